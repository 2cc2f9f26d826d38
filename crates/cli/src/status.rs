//! `status`: how a running stage is doing, for a person at a terminal.
//!
//! Owns how it is asked and shown. What it says is the stage's own business; whatever it is, it is shown without any
//! character that could act upon a terminal.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use reqwest::redirect::Policy;
use reqwest::tls::Version;
use serde_json::{Map, Value};

use crate::args::StatusArgs;
use crate::config::{Config, Listen};
use crate::failure::{Ending, Failure};
use crate::telemetry::overview::sum;
use crate::terminal::{shown, shown_json};

/// Where a stage listens of which nothing is known.
const USUAL: &str = "http://127.0.0.1:9464";

/// How long a stage may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The most that is read of an answer.
const MOST: usize = 8 << 20;

/// Runs the mode.
pub(crate) fn run(args: &StatusArgs) -> Result<Ending, Failure> {
    let address = address(args)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
    let status = runtime.block_on(ask(&address)).map_err(Failure::failed)?;
    let text = if args.json { format!("{}\n", shown_json(&format!("{status:#}"))) } else { view(&status) };
    io::stdout().write_all(text.as_bytes()).map_err(Failure::writing)?;
    let ready = status["readiness"]["ready"] == true;
    Ok(if ready { Ending::Done } else { Ending::Failed })
}

/// Where to ask.
fn address(args: &StatusArgs) -> Result<String, Failure> {
    if let Some(url) = &args.url {
        return Ok(url.trim_end_matches('/').to_owned());
    }
    let Some(path) = &args.config else { return Ok(USUAL.to_owned()) };
    match Config::read(path)?.telemetry.listen() {
        Listen::Off => Err(Failure::usage(anyhow!(
            "{}: [telemetry] `listen` is off, so that the stage cannot be asked; give it an address",
            path.display()
        ))),
        Listen::Usual(mut at) | Listen::At(mut at) => {
            if at.ip().is_unspecified() {
                // It listens everywhere, here too.
                at.set_ip(if at.is_ipv4() {
                    [127, 0, 0, 1].into()
                } else {
                    std::net::Ipv6Addr::LOCALHOST.into()
                });
            }
            Ok(format!("http://{at}"))
        }
    }
}

/// Asks a stage.
pub(crate) async fn ask(address: &str) -> anyhow::Result<Value> {
    let advice =
        "see that the stage runs, and where its log says that it is served; `--url` names another address";
    let mut builder = reqwest::Client::builder()
        .min_tls_version(Version::TLS_1_2)
        .timeout(PATIENCE)
        .redirect(Policy::none())
        .referer(false);
    if address.starts_with("http://") {
        // A proxy of the environment would look for a stage of this machine on its own.
        builder = builder.no_proxy();
    }
    let client = builder.build()?;
    let asked = client.get(format!("{address}/status.json")).send().await;
    let mut answer = asked
        .map_err(reqwest::Error::without_url)
        .with_context(|| format!("no stage answers at {address}; {advice}"))?;
    if !answer.status().is_success() {
        bail!("{address} answered {}, which no stage does; {advice}", answer.status());
    }
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(reqwest::Error::without_url)? {
        if body.len() + piece.len() > MOST {
            bail!("{address} answers without end, which no stage does; {advice}");
        }
        body.extend_from_slice(&piece);
    }
    let status: Value = serde_json::from_slice(&body).unwrap_or_default();
    if !status["readiness"]["parts"].is_array() {
        bail!("what {address} answers is not the status of a stage; {advice}");
    }
    Ok(status)
}

/// What is shown: state, cause and remedy first.
fn view(status: &Value) -> String {
    let (readiness, totals) = (&status["readiness"], &status["totals"]);
    let mut out = shown(&format!(
        "{}  {} to {}, version {}, since {}",
        text(&readiness["state"]),
        text(&status["source"]),
        text(&status["sink"]),
        text(&status["version"]),
        text(&readiness["since"]),
    ));
    out.push_str("\n\n");
    for part in readiness["parts"].as_array().into_iter().flatten() {
        line(
            &mut out,
            text(&part["part"]),
            &format!("{} since {}", text(&part["state"]), text(&part["since"])),
        );
        if part["state"] == "down" {
            let times = part["failures"].as_u64().unwrap_or_default();
            line(
                &mut out,
                "",
                &format!("cause:  {} ({}, {times} times)", text(&part["cause"]), text(&part["kind"])),
            );
            if part["remedy"].as_str().is_some_and(|remedy| !remedy.is_empty()) {
                line(&mut out, "", &format!("remedy: {}", text(&part["remedy"])));
            }
        }
    }
    out.push('\n');
    line(&mut out, "throughput", &throughput(&status["history"]));
    line(&mut out, "behind", &behind(status));
    line(
        &mut out,
        "records",
        &format!(
            "{} read, {} delivered, {} there already, {} sent again",
            totals["read"], totals["delivered"], totals["duplicates"], totals["retried"]
        ),
    );
    line(&mut out, "dead letters", &dead(totals["dead"].as_object()));
    if let Some(letter) = status["recent_dead"].get(0) {
        let (time, reason, place) = (text(&letter["time"]), text(&letter["reason"]), text(&letter["place"]));
        line(&mut out, "", &format!("the last: {reason} at {time}, from {place}"));
    }
    let flight = &status["in_flight"];
    line(
        &mut out,
        "under way",
        &format!(
            "{} batches, {} of {} requests, {:.1} MiB",
            flight["batches"],
            flight["requests"],
            flight["requests_limit"],
            flight["bytes"].as_f64().unwrap_or_default() / f64::from(1 << 20)
        ),
    );
    if let Some(waits) = status["position_age_seconds"].as_f64().filter(|seconds| *seconds > 60.0) {
        line(&mut out, "", &format!("no position was committed for {}", duration(waits)));
    }
    let api = &status["api"];
    if api.is_object() {
        let of_all = api["server_left"]
            .as_u64()
            .map_or_else(String::new, |left| format!(", {left} left of all keys'"));
        let budget = format!(
            "{} requests may go at once{of_all}; the organization has {} a minute",
            api["budget_left"], api["budget_limit"]
        );
        line(&mut out, "budget", &budget);
        let reader = format!(
            "{}; {} requests, {} throttled, {} late rows, {} gaps",
            text(&api["state"]),
            api["requests"],
            api["throttled"],
            api["late"],
            api["gaps"]
        );
        line(&mut out, "reader", &reader);
    }
    for (name, what) in [("types", "unknown types"), ("fields", "unknown fields")] {
        let names = status["unknown"][name].as_array().into_iter().flatten();
        let names: Vec<String> = names.map(|pair| format!("{} ({})", text(&pair[0]), pair[1])).collect();
        if !names.is_empty() {
            line(&mut out, what, &names.join(", "));
        }
    }
    out
}

fn line(out: &mut String, name: &str, words: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{name:<14}{}", shown(words));
}

/// A text of the stage.
fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn dead(reasons: Option<&Map<String, Value>>) -> String {
    let Some(reasons) = reasons.filter(|reasons| !reasons.is_empty()) else { return "none".to_owned() };
    let named: Vec<String> = reasons.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
    format!("{}: {}", sum(reasons), named.join(", "))
}

fn behind(status: &Value) -> String {
    let newest = status["newest_record_age_seconds"].as_f64();
    let newest = newest.map_or_else(
        || "nothing has ended yet".to_owned(),
        |age| format!("the newest record that has ended is {} old", duration(age)),
    );
    if let Some(messages) = status["behind"]["messages"].as_u64() {
        return format!("{messages} messages; {newest}");
    }
    match status["behind"]["seconds"].as_f64() {
        Some(seconds) => format!("{}; {newest}", duration(seconds)),
        None => newest,
    }
}

/// How many records ended a second, in the last minute or as long as is known.
fn throughput(history: &Value) -> String {
    let column = |name: &str| -> Vec<f64> {
        history[name].as_array().into_iter().flatten().filter_map(Value::as_f64).collect()
    };
    let (time, delivered, duplicates, dead) =
        (column("time"), column("delivered"), column("duplicates"), column("dead"));
    let ended = |at: usize| Some(delivered.get(at)? + duplicates.get(at)? + dead.get(at)?);
    let rate = || {
        let last = time.len().checked_sub(1)?;
        let first = last.saturating_sub(6);
        let seconds = (time.get(last)? - time.get(first)?) / 1_000.0;
        (seconds > 0.0).then_some((ended(last)? - ended(first)?, seconds))
    };
    rate().map_or_else(
        || "not known yet".to_owned(),
        |(records, seconds)| {
            format!("{:.1} records/s over the last {}", records / seconds, duration(seconds))
        },
    )
}

fn duration(seconds: f64) -> String {
    match seconds {
        ..120.0 => format!("{seconds:.0} s"),
        120.0..7_200.0 => format!("{:.0} min", seconds / 60.0),
        7_200.0..172_800.0 => format!("{:.1} h", seconds / 3_600.0),
        _ => format!("{:.0} days", seconds / 86_400.0),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn cause_and_remedy_are_shown_and_nothing_acts_on_the_terminal() {
        let status = json!({
            "version": "1", "source": "kafka", "sink": "elasticsearch",
            "readiness": { "ready": false, "state": "waiting", "since": "2026-01-01T00:00:00Z", "parts": [
                { "part": "source", "state": "up", "since": "2026-01-01T00:00:00Z" },
                { "part": "sink", "state": "down", "since": "2026-01-01T01:00:00Z", "kind": "forbidden",
                  "cause": "no \u{1b}[31mright", "remedy": "give it", "failures": 7 },
            ] },
            "totals": { "read": 10, "delivered": 6, "duplicates": 1, "retried": 2, "dead": { "not_json": 3 } },
            "behind": { "messages": 55 }, "newest_record_age_seconds": 90_000.0, "position_age_seconds": 300.0,
            "in_flight": { "bytes": 1_572_864, "batches": 2, "requests": 1, "requests_limit": 4 },
            "history": { "time": [0, 10_000], "delivered": [0, 50], "duplicates": [0, 0], "dead": [0, 5], "read": [0, 60] },
            "unknown": { "types": [["new_type", 4]], "fields": [] },
            "recent_dead": [{ "time": "2026-01-01T00:30:00Z", "reason": "not_json", "stage": "map", "place": "in: byte 5" }],
        });
        let shown = view(&status);
        for said in [
            "waiting  kafka to elasticsearch",
            "sink          down since 2026-01-01T01:00:00Z\n",
            "cause:  no \\u{1b}[31mright (forbidden, 7 times)\n",
            "remedy: give it\n",
            "throughput    5.5 records/s over the last 10 s\n",
            "behind        55 messages; the newest record that has ended is 25.0 h old\n",
            "records       10 read, 6 delivered, 1 there already, 2 sent again\n",
            "dead letters  3: not_json 3\n",
            "the last: not_json at 2026-01-01T00:30:00Z, from in: byte 5\n",
            "under way     2 batches, 1 of 4 requests, 1.5 MiB\n",
            "no position was committed for 5 min\n",
            "unknown types new_type (4)\n",
        ] {
            assert!(shown.contains(said), "{said}\n{shown}");
        }
        assert!(!shown.contains('\u{1b}') && !shown.contains("budget"), "{shown}");
    }

    #[test]
    fn a_stage_that_says_little_is_shown_too() {
        let shown = view(&json!({ "readiness": { "parts": [] }, "api": { "state": "resting" } }));
        assert!(shown.contains("not known yet") && shown.contains("nothing has ended yet"), "{shown}");
        assert!(shown.contains("reader        resting"), "{shown}");
    }
}
