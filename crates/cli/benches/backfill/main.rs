//! A year of a large tenant, backfilled: how fast, in how much memory, and what a kill in the middle costs.
//!
//! The simulator serves the feed from this process, at a rate limit that is lifted; the program polls it, maps, and writes
//! NDJSON into a pipe that is only counted. Before and after, a bare client fetches the same windows from the same simulator
//! and looks at nothing but the cursors: what it gets is the most that the simulator can serve here, and the ratio says what
//! the stage adds. Both share the machine's cores with the simulator.
//!
//! `cargo bench-backfill` reads a million rows; `-- 10000000` as many as that (the simulator then takes about a gigabyte for
//! itself), `--quick` is a smoke run, `--gzip` lets the simulator compress.

#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

mod bare;
mod feed;
mod stage;

use feed::Feed;
use stage::{Outcome, Stage};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    let quick = has("--quick") || has("--test");
    let wanted = arguments.iter().find_map(|argument| argument.replace('_', "").parse().ok());
    let rows: usize = wanted.unwrap_or(if quick { 40_000 } else { 1_000_000 });
    let days = if quick { 20 } else { 365 };
    println!("load before: {}", load());
    let feed = Feed::new(rows, days, has("--gzip"));
    println!(
        "{} rows in {days} days, {} in the largest window; made in {:.0} s; gzip {}",
        feed.rows,
        feed.largest,
        feed.made.as_secs_f64(),
        if has("--gzip") { "on" } else { "off" },
    );
    let before = bare::fetch_all(&feed);
    let whole = Stage::new(&feed).run(None);
    let after = bare::fetch_all(&feed);
    let bare = before.rate.max(after.rate);
    println!(
        "\n{:<38} {:>10.0} rows/s, {:.0} MB/s (again afterwards: {:.0} rows/s)",
        "the simulator alone, a bare client", before.rate, before.megabytes, after.rate
    );
    let rate = feed.rows as f64 / whole.seconds;
    println!("{:<38} {rate:>10.0} rows/s in {:.1} s: {:.2} of that", "the stage", whole.seconds, rate / bare);
    memory(&whole);
    assert_eq!((whole.written, whole.served), (feed.rows, feed.rows), "every row once, and read once");

    let killed = Stage::new(&feed).run(Some(0.5));
    let again = killed.served - feed.rows;
    println!(
        "\nkilled with SIGKILL half way, and started again: {again} rows read twice ({:.2} of the largest window, {:.3} % of all), {} written twice; {:.1} s",
        again as f64 / feed.largest as f64,
        again as f64 / feed.rows as f64 * 100.0,
        killed.written - feed.rows,
        killed.seconds
    );
    memory(&killed);
    // Positions are kept twice a second. A window of a small tenant is less than what comes in a second at this speed.
    assert!(
        again <= feed.largest.max(rate as usize),
        "no more than one window, or one second, is read again"
    );
    println!("load after: {}", load());
}

fn memory(outcome: &Outcome) {
    let moments: Vec<String> =
        outcome.memory.iter().map(|(percent, bytes)| format!("{percent} %: {:.1}", mib(*bytes))).collect();
    println!("{:<38} {}", "resident memory, MiB", moments.join(", "));
    println!("{:<38} {:>10.1} MiB", "at its peak", mib(outcome.peak));
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_else(|_| "not known here".to_owned());
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    format!("{}, on {cores} cores", text.split(' ').take(3).collect::<Vec<_>>().join(" "))
}
