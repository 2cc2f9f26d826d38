#!/usr/bin/env bash
# The status page in a real browser, over a real stage that reads a simulated API:
#
#     tests/live/page.sh PROGRAM [PICTURES]
#     tests/live/page.sh --browser     only tells which browser that would be, and fails if there is none
#
# PROGRAM is the built anthropic-ecs. Looks at the page wide and narrow, light and dark, with the API there and away; fails
# when something on it is missing or does not fit in, when its colours are not those asked for, or when the browser complains. With PICTURES, a folder, the page is also kept as pictures
# there; PAGE_HISTORY (hours), PAGE_PEOPLE and PAGE_WAIT (seconds) give them more to show. Needs Chromium or Chrome, by one
# of the names they are installed under, or the one in PAGE_BROWSER; nothing is downloaded.
# Only processes that this script started are stopped.

# shellcheck source=tests/live/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# The first of the names that is installed.
browser() {
    local name
    for name in "${PAGE_BROWSER:-}" chromium chromium-browser google-chrome google-chrome-stable; do
        if [[ -n $name ]] && command -v "$name"; then return; fi
    done
    die "no Chromium or Chrome is installed; PAGE_BROWSER names one"
}

(($# >= 1)) || die "usage: tests/live/page.sh PROGRAM [PICTURES] | --browser"
browser=$(browser)
if [[ $1 == --browser ]]; then
    printf '%s\n' "$browser"
    exit
fi
program=$(realpath "$1")
pictures=${2:-}
needs curl
dir=$(mktemp -d)
started=()
finish() {
    local pid
    for pid in "${started[@]}"; do
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    rm -r "$dir"
}
trap finish EXIT

mapfile -t ports < <(free_ports 2)
cat >"$dir/faults.jsonl" <<'FAULTS'
{"kind":"undecodable","path":"/v1/compliance/activities","after":5,"count":12}
{"kind":"rate_limited","after":2,"count":1,"retry_after":1}
FAULTS
touch "$dir/simulate.log"
"$program" simulate --port "${ports[0]}" --history "${PAGE_HISTORY:-3}" --people "${PAGE_PEOPLE:-60}" --rate 60 --faults "$dir/faults.jsonl" >"$dir/simulate.log" 2>&1 &
started+=($!)
simulator=$!
key=
for _ in {1..600}; do
    key=$(awk '$1 == "activities" { print $2 }' "$dir/simulate.log")
    [[ -z $key ]] || break
    sleep 0.1
done
[[ -n $key ]] || die "the simulator did not come up: $(<"$dir/simulate.log")"

cat >"$dir/stage.toml" <<STAGE
[source]
type = "compliance_api"
base_url = "http://127.0.0.1:${ports[0]}"
api_key = "$key"
initial_lookback = "${PAGE_HISTORY:-3}h"
page_size = 500
poll_interval = "2s"
lag = "2s"
[mapper]
geoip = ["$PWD/tests/data/test-city.mmdb", "$PWD/tests/data/test-asn.mmdb"]
[sink]
type = "ndjson"
path = "$dir/out.ndjson"
[dead_letters]
path = "$dir/dead.ndjson"
[state]
path = "$dir/state"
[telemetry]
listen = "127.0.0.1:${ports[1]}"
STAGE
"$program" run --config "$dir/stage.toml" 2>"$dir/stage.log" &
started+=($!)
stage=$!
page=http://127.0.0.1:${ports[1]}

# until_said SECONDS PATTERN: until the stage says of itself what is looked for.
until_said() {
    local deadline=$((SECONDS + $1))
    until curl -s --max-time 5 "$page/status.json" | grep -q "$2"; do
        kill -0 "$stage" 2>/dev/null || die "the stage ended: $(tail -n 5 "$dir/stage.log")"
        ((SECONDS < deadline)) || die "the stage does not come to say $2"
        sleep 0.3
    done
}

# browse NAME WIDTH HEIGHT FLAGS…: the page as a browser makes it, in $dir/NAME.html, and as a picture in $dir/NAME.png. What the
# browser prefers, in $dir/NAME, is its own.
browse() {
    local name=$1 size=$2,$3
    shift 3
    local flags=(--headless --no-sandbox --disable-gpu --hide-scrollbars --user-data-dir="$dir/$name" --window-size="$size"
        --enable-logging=stderr --virtual-time-budget=4000 "$@")
    timeout 60 "$browser" "${flags[@]}" --dump-dom "$page/" >"$dir/$name.html" 2>"$dir/$name.log" ||
        die "$browser: $(tail -n 5 "$dir/$name.log")"
    timeout 60 "$browser" "${flags[@]}" --screenshot="$dir/$name.png" "$page/" >/dev/null 2>>"$dir/$name.log" ||
        die "$browser: $(tail -n 5 "$dir/$name.log")"
    ! grep -E 'CONSOLE' "$dir/$name.log" || die "$name: the browser complains"
}

# made NAME WIDTH COLOUR: the browser has made the page this wide, everything fits in, and this is the colour behind it.
made() {
    local name=$1 page
    page=$(grep -om 1 '<html[^>]*>' "$dir/$name.html")
    [[ $page == *" data-width=\"$2\""* ]] || die "$name: is not $2 wide: $page"
    [[ $page == *' data-fits="true"'* ]] || die "$name: something on it is wider than it: $page"
    [[ $page == *" data-ground=\"$3\""* ]] || die "$name: is not in its colours, $3: $page"
}

# shows NAME TEXT…: the page has all of this in it.
shows() {
    local name=$1 text
    shift
    for text in "$@"; do
        grep -qF "$text" "$dir/$name.html" || die "$name: there is no $text in the page"
    done
}

until_said 300 '"countries":\[\['
until_said 300 '"recent_dead":\[{'
# Charts are of several moments, ten seconds apart.
until_said 300 '"time":\[[0-9]*,[0-9]*,[0-9]*,[0-9]*,'
sleep "${PAGE_WAIT:-0}"
# The grounds of the page's style.
light='rgb(245, 245, 242)' dark='rgb(20, 21, 23)'
browse wide 1280 1500
made wide 1280 "$light"
shows wide '>running</strong>' 'compliance_api to ndjson' 'class="series"' 'claude_' '<td>not_'
shows wide 'records a second ended in the last minute' 'is the feed read behind now' 'delivered' 'class="bars"' '<table>' 'requests left now'
for list in Categories Actions Countries; do
    shows wide "<h2>$list, last hour</h2><div id=\"${list,}\"><ul class=\"bars\"><li><span"
done
browse dark 1280 1500 --blink-settings=preferredColorScheme=0
made dark 1280 "$dark"
shows dark '>running</strong>' 'class="bars"'
! cmp -s "$dir/wide.png" "$dir/dark.png" || die 'the dark picture is the light one'
# A window is never less than 500 wide. A phone's 390 are had by showing all of it larger, 1.2^1.3628 times.
mkdir -p "$dir/phone/Default"
printf '{"partition":{"default_zoom_level":{"x":1.3628}}}' >"$dir/phone/Default/Preferences"
browse phone 500 4000
made phone 390 "$light"
shows phone '>running</strong>' 'class="bars"' '<table>'

kill "$simulator"
wait "$simulator" 2>/dev/null || true
until_said 300 '"state":"waiting"'
browse away 1280 1500
made away 1280 "$light"
shows away '>waiting</strong>' 'What to do: ' 'class="bad">down'

if [[ -n $pictures ]]; then
    mkdir -p "$pictures"
    cp "$dir/wide.png" "$pictures/status-page.png"
    cp "$dir/dark.png" "$pictures/status-page-dark.png"
    cp "$dir/phone.png" "$pictures/status-page-phone.png"
    cp "$dir/away.png" "$pictures/status-page-away.png"
fi
say "the page shows what it should, wide and narrow, light and dark, with the API there and away"
