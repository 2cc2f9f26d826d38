//! How fast the simulated API alone serves a year of a large tenant, without sockets: the figure a backfill is held against.
//!
//! `cargo run --release -p anthropic-ecs-simulator --example serve_year [ROWS]`; ten million when not said.

use std::io::{self, Write};
use std::time::Instant;

use simulator::SECOND;
use simulator::api::{ACTIVITIES_PATH, Limits, Request, Settings, Simulation, Tenant};

/// Hours of a year, and of them those somebody with a usual day works, with all they do at other hours.
const HOURS: i64 = 8_760;
const BUSY_HOURS: u64 = 2_390;

fn main() -> io::Result<()> {
    let rows: u64 = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(10_000_000);
    let hourly = 12;
    let people = (rows / (hourly * BUSY_HOURS)).max(1) as usize;
    let tenant =
        Tenant { people, hourly, history: HOURS * 3_600 * SECOND, pool: 50_000, ..Tenant::default() };
    let limits = Limits { requests: 0, ..Limits::default() };
    let begun = Instant::now();
    let mut simulation = Simulation::new(Settings { tenant, limits, own_reads: None, ..Settings::default() });
    let mut out = io::stdout();
    let seconds = begun.elapsed().as_secs_f64();
    writeln!(out, "{} records of {people} people made in {seconds:.1} s", simulation.count())?;

    let (now, key) = (simulation.start(), simulation.key("activities").to_owned());
    let (begun, mut served, mut bytes, mut cursor) = (Instant::now(), 0, 0, String::new());
    loop {
        let target = format!("{ACTIVITIES_PATH}?order=asc&limit=5000{cursor}");
        let answer = simulation.answer(&Request::get(&target).key(&key), now);
        bytes += answer.body.len();
        served += simulation.seen().last().map_or(0, |seen| seen.rows);
        // The tail alone is JSON enough: the records need not be parsed to go on.
        let tail =
            String::from_utf8_lossy(&answer.body[answer.body.len().saturating_sub(2_000)..]).into_owned();
        let Some((_, last)) = tail.rsplit_once("\"last_id\":\"") else { break };
        if tail.contains("],\"has_more\":false") {
            break;
        }
        cursor = format!("&after_id={}", last.trim_end_matches("\"}"));
    }
    let seconds = begun.elapsed().as_secs_f64();
    writeln!(
        out,
        "{served} records served in {seconds:.1} s: {:.0} records/s, {:.0} MB/s",
        served as f64 / seconds,
        bytes as f64 / seconds / 1e6
    )
}
