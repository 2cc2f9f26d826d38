#!/usr/bin/env bash
# A genuine Elasticsearch on a free loopback port, for the live tests, without Docker.
#
#   elasticsearch.sh start DIR [setting=value ...]   prints ELASTICSEARCH_URL=http://127.0.0.1:PORT and
#                                                    ELASTICSEARCH_LIVE_DIR=DIR when the node answers
#   elasticsearch.sh halt DIR                        stops it by process id and keeps its data
#   elasticsearch.sh resume DIR                      starts it again, at the same port
#   elasticsearch.sh stop DIR                        stops it by process id and removes DIR
#
# With xpack.security.enabled=true the user elastic has the password in ELASTIC_PASSWORD, and with LIVE_CONFIG=FOLDER the
# files in there (certificates) are put beside the configuration, so that settings can name them, for example
# xpack.security.http.ssl.enabled=true xpack.security.http.ssl.certificate=node.pem xpack.security.http.ssl.key=node.key
#
# Needs: bash, curl, unzip, Maven (only to fetch, once), Java 21 or later for Elasticsearch 9, Java 17 for 8. Java is
# looked for in ES_JAVA_HOME, JAVA_HOME and /usr/lib/jvm. ELASTICSEARCH_VERSION chooses the release.
#
# The artefact is the bare distribution that Elastic publishes on Maven Central for integration tests. It is the real
# server with security and x-pack core, but without the modules for lifecycle policies, data stream management, ingest
# processors, painless, and the types constant_keyword, match_only_text, scaled_float and wildcard.
#
# Elasticsearch refuses to run as root; root becomes LIVE_USER_ID (65534, nobody) for it, by setpriv of util-linux.
set -euo pipefail

readonly newest=9.5.3 for_java_17=8.19.21 plugin=org.apache.maven.plugins:maven-dependency-plugin:3.6.1
readonly cache=${XDG_CACHE_HOME:-$HOME/.cache}/anthropic-ecs
readonly user=${LIVE_USER_ID:-65534}

die() {
    echo "elasticsearch.sh: $*" >&2
    exit 1
}

# The home of the newest Java that is at least $1.
java_home() {
    local home major best=0 found=
    for home in "${ES_JAVA_HOME:-}" "${JAVA_HOME:-}" /usr/lib/jvm/*; do
        [ -n "$home" ] && [ -x "$home/bin/java" ] || continue
        major=$("$home/bin/java" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1)
        if [ "${major:-0}" -ge "$1" ] && [ "$major" -gt "$best" ]; then
            best=$major found=$home
        fi
    done
    [ -n "$found" ] && echo "$found"
}

fetch() {
    local zip=elasticsearch-$1.zip
    [ -s "$cache/$zip" ] && return
    mkdir -p "$cache"
    local new
    new=$(mktemp -d "$cache/new.XXXXXX")
    mvn -q -B -Dstyle.color=never "$plugin:copy" -DoutputDirectory="$new" \
        -Dartifact="org.elasticsearch.distribution.integ-test-zip:elasticsearch:$1:zip" >&2
    mv "$new/$zip" "$cache/$zip"
    rmdir "$new"
}

start() {
    local dir=$1 version home
    shift
    version=${ELASTICSEARCH_VERSION:-}
    if [ -z "$version" ]; then
        if java_home 21 >/dev/null; then version=$newest; else version=$for_java_17; fi
    fi
    case $version in
        [78].*) home=$(java_home 17) || die "Elasticsearch $version needs Java 17 or later" ;;
        *) home=$(java_home 21) || die "Elasticsearch $version needs Java 21 or later" ;;
    esac
    fetch "$version"
    mkdir -p "$dir"
    dir=$(cd "$dir" && pwd)
    unzip -q -o "$cache/elasticsearch-$version.zip" -d "$dir"
    local here=$dir/elasticsearch-$version
    {
        echo "cluster.name: live"
        echo "discovery.type: single-node"
        echo "network.host: 127.0.0.1"
        echo "http.port: 0"
        echo "transport.port: 0"
        echo "cluster.routing.allocation.disk.threshold_enabled: false"
        # Off unless the caller says otherwise; a setting may stand in the file only once.
        [[ " $* " == *" xpack.security.enabled="* ]] || echo "xpack.security.enabled: false"
        local setting
        for setting in "$@"; do echo "${setting%%=*}: ${setting#*=}"; done
    } >"$here/config/elasticsearch.yml"
    if [ -n "${LIVE_CONFIG:-}" ]; then cp -- "$LIVE_CONFIG"/* "$here/config/"; fi
    if [ -n "${ELASTIC_PASSWORD:-}" ]; then
        printf %s "$ELASTIC_PASSWORD" | env -u JAVA_HOME ES_JAVA_HOME="$home" \
            "$here/bin/elasticsearch-keystore" add --force --stdin bootstrap.password >&2
    fi
    echo "$home" >"$dir/java"
    echo "$here" >"$dir/here"
    echo http >"$dir/scheme"
    [[ " $* " != *" xpack.security.http.ssl.enabled=true "* ]] || echo https >"$dir/scheme"
    if [ "$(id -u)" = 0 ]; then chown -R "$user:$user" "$dir"; fi
    launch "$dir"
}

# Starts what `start` has laid out, and waits until it answers.
launch() {
    local dir=$1 here scheme as=() port answer
    here=$(cat "$dir/here")
    scheme=$(cat "$dir/scheme")
    if [ "$(id -u)" = 0 ]; then as=(setpriv "--reuid=$user" "--regid=$user" --clear-groups); fi
    env -u JAVA_HOME HOME="$dir" ES_JAVA_HOME="$(cat "$dir/java")" ES_JAVA_OPTS="${ES_JAVA_OPTS:--Xms1g -Xmx1g}" \
        "${as[@]}" "$here/bin/elasticsearch" >"$dir/log" 2>&1 </dev/null &
    echo $! >"$dir/pid"
    for _ in $(seq 240); do
        kill -0 "$(cat "$dir/pid")" 2>/dev/null || {
            tail -n 30 "$dir/log" >&2
            die "the node ended while it started"
        }
        port=$(sed -n 's/.*HttpServer.*publish_address {127\.0\.0\.1:\([0-9]*\)}.*/\1/p' "$dir/log" | head -n 1)
        if [ -n "$port" ]; then
            answer=$(curl -sk -o /dev/null -m 2 -w '%{http_code}' \
                "$scheme://127.0.0.1:$port/_cluster/health?wait_for_status=yellow&timeout=1s" || true)
            # With security on, being asked who we are is as good as an answer.
            case $answer in 200 | 401)
                sed -i "s/^http\.port: 0$/http.port: $port/" "$here/config/elasticsearch.yml"
                echo "ELASTICSEARCH_URL=$scheme://127.0.0.1:$port"
                echo "ELASTICSEARCH_LIVE_DIR=$dir"
                return
                ;;
            esac
        fi
        sleep 0.5
    done
    tail -n 30 "$dir/log" >&2
    halt "$dir"
    die "the node did not answer within two minutes"
}

halt() {
    local pid
    pid=$(cat "$1/pid" 2>/dev/null) || die "$1 has no pid; was it started by this script?"
    # The script of Elasticsearch is a launcher with the server as its child; it passes the signal on.
    kill "$pid" 2>/dev/null || true
    for _ in $(seq 60); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.5
    done
    if kill -0 "$pid" 2>/dev/null; then
        pkill -KILL -P "$pid" || true
        kill -KILL "$pid" || true
    fi
}

case ${1:-} in
    start) [ $# -ge 2 ] || die "start DIR"; shift; start "$@" ;;
    halt) [ $# = 2 ] || die "halt DIR"; halt "$2" ;;
    resume) [ $# = 2 ] || die "resume DIR"; launch "$2" ;;
    stop) [ $# = 2 ] || die "stop DIR"; halt "$2"; rm -rf -- "$2" ;;
    *) die "start DIR [setting=value ...] | halt DIR | resume DIR | stop DIR" ;;
esac
