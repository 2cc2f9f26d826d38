//! The figures in words: a summary for the terminal, and the page that is published.
//!
//! What is the same for every run stands here as text, so that one command writes the whole page.

use std::fmt::Write as _;

use chrono::Utc;
use model::settings::Period;

use crate::figures::Figures;
use crate::options::Options;
use crate::run::Outcome;
use crate::tenant::TIMES;
use crate::{machine, stage};

/// The page, with names in braces for what a run decides.
const PAGE: &str = include_str!("page.md");

/// The figures, without the text around them.
pub(crate) fn summary(outcome: &Outcome) -> String {
    let mut text = verdict(outcome);
    for part in [stages(outcome), faults(outcome), counts(outcome)] {
        text.push_str("\n\n");
        text.push_str(&part);
    }
    text
}

/// `soak.md`.
pub(crate) fn page(options: &Options, outcome: &Outcome) -> String {
    let build = if std::env::var_os("DELIVERY_PROGRAM").is_some_and(|name| !name.is_empty()) {
        "a build that was made before"
    } else if cfg!(debug_assertions) {
        "a DEBUG build, whose figures mean nothing"
    } else {
        "a release build"
    };
    let size = std::fs::metadata(stage::program()).map_or(0, |found| found.len());
    let kills = if options.kills {
        "The stages were ended now and then, by SIGTERM or SIGKILL, and started again."
    } else {
        "The two processes lived the whole time."
    };
    let judged = if options.is_judged() { "" } else { " Growth was not judged in this run." };
    let facts = [
        ("span", options.span.to_string()),
        ("command", options.command()),
        ("verdict", verdict(outcome)),
        ("stages", stages(outcome)),
        ("faults", faults(outcome)),
        ("counts", counts(outcome)),
        ("times", format!("{TIMES:.0}")),
        ("people", grouped(options.people as f64)),
        ("every", format!("{:.1}", options.every().as_secs_f64())),
        ("warm_up", Period(options.warm_up()).to_string()),
        ("judged", judged.to_owned()),
        ("kills", kills.to_owned()),
        ("machine", machine::words()),
        ("load", machine::load()),
        ("commit", machine::commit()),
        ("date", Utc::now().format("%Y-%m-%d").to_string()),
        ("build", format!("{build} of {:.1} MiB", size as f64 / f64::from(1 << 20))),
    ];
    facts.iter().fold(PAGE.to_owned(), |page, (name, words)| page.replace(&format!("{{{name}}}"), words))
}

fn verdict(outcome: &Outcome) -> String {
    let rows = outcome.balances.first().map_or(0, |balance| balance.settled);
    if outcome.faults.is_empty() {
        return format!(
            "**Passed.** {} rows of the feed, each at both sinks, once; no dead letters; caught up {:.0} s after the last fault.",
            grouped(rows as f64),
            outcome.caught_up.unwrap_or_default().as_secs_f64()
        );
    }
    let mut text = format!("**Failed**, over {} rows:\n", grouped(rows as f64));
    outcome.faults.iter().for_each(|fault| _ = write!(text, "\n- {fault}"));
    text
}

/// A row of the table of stages: its words, and how it is told.
type Row = (&'static str, fn(&Figures) -> String);

const ROWS: [Row; 13] = [
    ("documents at the sink", |f| grouped(f.written as f64)),
    ("documents a minute, on average", |f| grouped(f.rate)),
    ("resident memory after ten minutes, at half time, at the end, MiB", |f| {
        format!("{:.1}, {:.1}, {:.1}", f.early, f.half, f.end)
    }),
    ("of it in the end no file's, MiB", |f| format!("{:.1}", f.anonymous)),
    ("at its highest, MiB", |f| format!("{:.1}", f.peak)),
    ("its slope after the warm-up, MiB an hour", |f| format!("{:+.2}", f.slope)),
    ("open descriptors, least and most; usual in the first and the last third", |f| range(f.descriptors)),
    ("threads, the same", |f| range(f.threads)),
    ("records under way at the most, MiB", |f| format!("{:.1}", f.in_flight)),
    ("state folder at the end, MiB", |f| format!("{:.1}", f.state)),
    ("position behind the feed's clock, median, minutes of the feed", |f| minutes(f.behind[0])),
    ("the same, 99 % of the time, and at the most", |f| {
        format!("{}, {}", minutes(f.behind[1]), minutes(f.behind[2]))
    }),
    ("processor, per cent of one core", |f| format!("{:.1}", f.cpu * 100.0)),
];

fn range(range: crate::figures::Range) -> String {
    format!("{}–{}; {} and {}", range.least, range.most, range.first, range.last)
}

fn minutes(seconds: f64) -> String {
    format!("{:.1}", seconds / 60.0)
}

fn stages(outcome: &Outcome) -> String {
    let names: Vec<&str> = outcome.figures.iter().map(|figures| figures.name).collect();
    let rows = ROWS.iter().map(|(words, tell)| {
        let cells: Vec<String> = outcome.figures.iter().map(tell).collect();
        ((*words).to_owned(), cells)
    });
    table("Stage", &names, rows)
}

fn faults(outcome: &Outcome) -> String {
    let record = &outcome.record;
    let mut rows: Vec<(String, Vec<String>)> = Vec::new();
    let mut add = |words: String, count: u64| rows.push((words, vec![grouped(count as f64)]));
    add("API away altogether".to_owned(), record.api_outages);
    for (kind, count) in &record.api {
        add(format!("API: `{kind}`"), *count);
    }
    add("Elasticsearch away altogether".to_owned(), record.sink_outages);
    for (name, count) in &outcome.sink {
        add(format!("Elasticsearch: {name}"), *count);
    }
    for (words, count) in [("SIGTERM", record.terminated), ("SIGKILL", record.killed)] {
        if count > 0 {
            add(words.to_owned(), count);
        }
    }
    table("What went wrong on purpose", &["times"], rows)
}

fn counts(outcome: &Outcome) -> String {
    let names: Vec<&str> = outcome.figures.iter().map(|figures| figures.name).collect();
    let rows = outcome
        .counts
        .iter()
        .map(|(words, counts)| ((*words).to_owned(), counts.iter().map(|count| grouped(*count)).collect()));
    let record = &outcome.record;
    format!(
        "{}\n\nThe simulated API answered {} requests with {} rows, the stand-in for Elasticsearch {} bulk requests; the NDJSON files had {:.1} GiB.",
        table("As the stages count, until the end", &names, rows),
        grouped(record.requests.iter().sum::<u64>() as f64),
        grouped(record.rows as f64),
        grouped(outcome.bulks as f64),
        outcome.ndjson_bytes as f64 / f64::from(1 << 30),
    )
}

fn table(head: &str, names: &[&str], rows: impl IntoIterator<Item = (String, Vec<String>)>) -> String {
    let mut text = format!("| {head} | {} |\n|---|{}", names.join(" | "), "---:|".repeat(names.len()));
    for (words, cells) in rows {
        let _ = write!(text, "\n| {words} | {} |", cells.join(" | "));
    }
    text
}

/// A whole number with its thousands apart.
fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
