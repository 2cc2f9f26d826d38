# shellcheck shell=bash
# What the start scripts of the live servers have in common: the cache, ports, waiting, stopping. To be sourced.
#
# A server lives in one folder, DIR: its configuration, data, log, and `pid`. Nothing outside DIR and the cache is
# touched, and only the process named in DIR/pid is ever stopped.

set -euo pipefail
shopt -s inherit_errexit

# Where downloads are kept between runs; never inside the repository.
cache_dir() {
    local dir=${XDG_CACHE_HOME:-$HOME/.cache}/anthropic-ecs/$1
    mkdir -p "$dir"
    printf '%s\n' "$dir"
}

say() {
    printf '%s\n' "$*" >&2
}

die() {
    say "$*"
    exit 1
}

needs() {
    local tool
    for tool in "$@"; do
        command -v "$tool" >/dev/null || die "$tool is needed and not installed"
    done
}

# free_ports COUNT: ports on which nothing listens, all different, one a line. Below the range systems give out to
# outgoing connections, so that they stay free until the server takes them.
free_ports() {
    local port found=0
    declare -A seen=()
    while ((found < $1)); do
        port=$((10000 + RANDOM % 20000))
        [[ -z ${seen[$port]:-} ]] || continue
        seen[$port]=1
        if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            printf '%s\n' "$port"
            found=$((found + 1))
        fi
    done
}

# maven_jars NAME GROUP:ARTIFACT:VERSION…: these artefacts and what they need, in a folder of the cache that is printed.
# Complete or absent: a download that broke off is begun again.
maven_jars() {
    local name=$1 dir lib spec group artifact version
    shift
    dir=$(cache_dir "$name")
    lib=$dir/lib-$(printf '%s ' "$@" | cksum | cut -d' ' -f1)
    if [[ ! -e $lib/.complete ]]; then
        needs mvn
        say "fetching $* with Maven"
        {
            printf '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
            printf '<groupId>live</groupId><artifactId>%s</artifactId><version>1</version><dependencies>' "$name"
            for spec in "$@"; do
                IFS=: read -r group artifact version <<<"$spec"
                printf '<dependency><groupId>%s</groupId><artifactId>%s</artifactId><version>%s</version></dependency>' \
                    "$group" "$artifact" "$version"
            done
            printf '</dependencies></project>\n'
        } >"$dir/pom.xml"
        rm -rf "$lib"
        mvn -q -B -f "$dir/pom.xml" dependency:copy-dependencies -DincludeScope=runtime \
            -DoutputDirectory="$lib" >&2
        touch "$lib/.complete"
    fi
    printf '%s\n' "$lib"
}

alive() {
    [[ -s $1/pid ]] && kill -0 "$(<"$1/pid")" 2>/dev/null
}

# wait_until DIR SECONDS COMMAND…: until the command succeeds; ends the script when the server dies or time is up.
wait_until() {
    local dir=$1 deadline=$((SECONDS + $2))
    shift 2
    until "$@"; do
        if ! alive "$dir"; then
            tail -n 20 "$dir/log" >&2
            die "the server ended; its whole log is $dir/log"
        fi
        if ((SECONDS >= deadline)); then
            stop_server "$dir"
            die "the server did not come up in time; its log is $dir/log"
        fi
        sleep 0.2
    done
}

# stop_server DIR: asks it to end, and ends it after 20 seconds. Nothing to stop is no error.
stop_server() {
    local dir=$1 pid deadline=$((SECONDS + 20))
    [[ -s $dir/pid ]] || return 0
    pid=$(<"$dir/pid")
    kill "$pid" 2>/dev/null || true
    while kill -0 "$pid" 2>/dev/null; do
        if ((SECONDS >= deadline)); then
            kill -9 "$pid" 2>/dev/null || true
            deadline=$((SECONDS + 20))
        fi
        sleep 0.1
    done
    rm -f "$dir/pid"
}
