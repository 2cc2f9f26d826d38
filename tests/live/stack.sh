#!/usr/bin/env bash
# The stack of docker-compose.yml without containers: its own commands with its own configurations, as processes.
#
#     tests/live/stack.sh PROGRAM
#
#     simulator ──▶ poller ──▶ Kafka ──▶ consumer ──▶ OpenSearch
#
# PROGRAM is the built anthropic-ecs. What each service runs, and with which key and configuration, is read from
# docker-compose.yml and deploy/docker; only addresses, ports and the place of the state are changed. It passes when poller and
# consumer are healthy as the stack asks it, when every activity that was read is in the data stream, no more and no less, and
# when each process ends as it should after SIGTERM.
#
# Takes the servers in KAFKA_BROKERS and OPENSEARCH_URL, which must be new, and starts those that are not given. OpenSearch,
# because the Elasticsearch that can be had without containers lacks what `setup` installs; see elasticsearch.sh. Only processes
# that this script started are stopped.

# shellcheck source=tests/live/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

(($# == 1)) || die "usage: tests/live/stack.sh PROGRAM"
program=$(realpath "$1")
needs curl
dir=$(mktemp -d)
chmod 755 "$dir"
declare -A started=()
servers=()
finish() {
    local name
    for name in "${!started[@]}"; do
        kill "${started[$name]}" 2>/dev/null || true
        wait "${started[$name]}" 2>/dev/null || true
    done
    for name in "${servers[@]}"; do "tests/live/$name.sh" stop "$dir/$name" || true; done
    rm -r "$dir"
}
trap finish EXIT

# given SERVER: starts it, and takes over what it says of itself.
given() {
    servers+=("$1")
    "tests/live/$1.sh" start "$dir/$1" >"$dir/$1.env"
    set -a
    # shellcheck source=/dev/null
    source "$dir/$1.env"
    set +a
}
[[ -n ${KAFKA_BROKERS:-} ]] || given kafka
[[ -n ${OPENSEARCH_URL:-} ]] || given opensearch
export KAFKA_BROKERS
export ELASTICSEARCH_URL=$OPENSEARCH_URL

# command_of SERVICE: the words of its command, one a line.
command_of() {
    sed -n "/^  $1:\$/,/^  [a-z]*:\$/s/^    command: \[\(.*\)\]\$/\1/p" docker-compose.yml | sed 's/", "/\n/g; s/^"//; s/"$//' |
        grep . || die "docker-compose.yml: service $1 has no command that can be read"
}

# run SERVICE: starts its command with the addresses of here.
mapfile -t ports < <(free_ports 3)
readonly simulator=${ports[0]} poller=${ports[1]} consumer=${ports[2]}
run() {
    local words word=() name=$1
    mapfile -t words < <(command_of "$name")
    for word in "${!words[@]}"; do
        words[word]=${words[word]//\/etc\/anthropic-ecs\//$dir\/}
        if [[ $word -gt 0 && ${words[word - 1]} == --port ]]; then words[word]=$simulator; fi
    done
    say "$name: anthropic-ecs ${words[*]}"
    "$program" "${words[@]}" >"$dir/$name.out" 2>"$dir/$name.log" &
    started[$name]=$!
}

# ends SERVICE STATUS: waits for its end, which must be this one.
ends() {
    local status=0
    wait "${started[$1]}" || status=$?
    unset "started[$1]"
    ((status == $2)) || die "$1 ended with status $status instead of $2: $(tail -n 5 "$dir/$1.log")"
}

# until_true SECONDS WHAT COMMAND…
until_true() {
    local deadline=$((SECONDS + $1)) what=$2 name
    shift 2
    until "$@"; do
        for name in "${!started[@]}"; do
            kill -0 "${started[$name]}" 2>/dev/null || die "$name ended: $(tail -n 5 "$dir/$name.log")"
        done
        ((SECONDS < deadline)) || die "not in time: $what; $(tail -n 3 "$dir"/*.log)"
        sleep 0.3
    done
    say "$what, after $((SECONDS - began)) s"
}

# healthy PORT…: as the stack's health checks ask, and as an orchestrator would.
healthy() {
    local port
    for port in "$@"; do
        "$program" status --url "http://127.0.0.1:$port" >/dev/null 2>&1 || return
        [[ $(curl -s -o "$dir/ready" -w '%{http_code}' "http://127.0.0.1:$port/readyz") == 200 ]] || return
    done
}

# Documents in the data stream; none where it is not there yet.
stream=logs-anthropic.audit-default
documents() {
    curl -sf -X POST "$OPENSEARCH_URL/$stream/_refresh" >"$dir/refresh" || true
    curl -sf "$OPENSEARCH_URL/$stream/_count" | sed -n 's/.*"count": *\([0-9]*\).*/\1/p' | grep . || echo 0
}

# documents_are OPERATOR NUMBER
documents_are() {
    test "$(documents)" "$1" "$2"
}

# For each of the two: where it listens, and where its state is.
configure() {
    sed "s|^listen = .*|listen = \"127.0.0.1:$2\"|; s|127.0.0.1:8787|127.0.0.1:$simulator|; s|\"/var/lib/anthropic-ecs/|\"$dir/$1/|" \
        "deploy/docker/$1.toml" >"$dir/$1.toml"
}

began=$SECONDS
# The simulated activities have the same ids each time.
documents_are -eq 0 || die "$stream at $OPENSEARCH_URL has documents already; remove it, or give a server without it"
configure poller "$poller"
configure consumer "$consumer"
ANTHROPIC_COMPLIANCE_KEY=$(sed -n 's/^ *ANTHROPIC_COMPLIANCE_KEY: //p' docker-compose.yml)
export ANTHROPIC_COMPLIANCE_KEY
topics=$(sed -n 's/^ *for topic in \(.*\); do$/\1/p' docker-compose.yml)
partitions=$(sed -n 's/.*--create.*--partitions \([0-9]*\)$/\1/p' docker-compose.yml)
[[ -n $ANTHROPIC_COMPLIANCE_KEY && -n $topics && -n $partitions ]] || die "docker-compose.yml is not read as it was meant"
# shellcheck disable=SC2086 # several names
tests/live/kafka.sh topics "$KAFKA_BROKERS" "$partitions" $topics

run setup
ends setup 0
run simulator
run poller
run consumer
until_true 120 'poller and consumer are healthy' healthy "$poller" "$consumer"
until_true 120 '1000 documents are there' documents_are -ge 1000
for check in poller consumer; do
    "$program" check --connect --config "$dir/$check.toml" >"$dir/check" || die "$check: check says $(<"$dir/check")"
done

# The first half of the stack ends; whatever it has read is in the topic, and comes out at the other end.
kill "${started[poller]}"
ends poller 0
line=$(tail -n 1 "$dir/poller.log")
read -r _ records _ delivered _ <<<"${line//,/}"
[[ $line == *" 0 dead"* && $records == "$delivered" ]] || die "the poller says: $line"
until_true 60 "all $records records are documents" documents_are -eq "$records"
kill "${started[consumer]}"
ends consumer 0
[[ $(tail -n 1 "$dir/consumer.log") == *" 0 dead"* ]] || die "the consumer says: $(tail -n 1 "$dir/consumer.log")"
"$program" verify --ids --config "$dir/consumer.toml" --attestations "$dir/poller/state/attestations.ndjson" >"$dir/verify" ||
    die "verify says: $(<"$dir/verify")"
say "verify: $(tail -n 1 "$dir/verify")"
kill "${started[simulator]}"
ends simulator 130
say "the stack runs: $records records, in $((SECONDS - began)) s"
