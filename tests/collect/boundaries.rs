//! A small backfill, killed at each boundary there is, one after the other: at the n-th change of any of its files for every
//! n, and at the n-th request for every n. After the kill it goes on to its end.

use std::thread::{sleep, yield_now};
use std::time::{Duration, Instant};

use simulator::Precision;
use simulator::api::{Dialect, Pace, Settings, Simulation, Tenant};

use crate::copies::Copy;
use crate::feed::{Feed, MINUTE, real_now};
use crate::kills::{FILES, Watched};
use crate::settings::{Scratch, variable};
use crate::{say, verdict};

/// How long one run may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// How many boundaries are tried in one case at most; all of them when lives are asked for.
fn most() -> usize {
    if variable("COLLECT_LIVES").is_some() { usize::MAX } else { 14 }
}

/// Rows for some pages of any size, a third of them tied, in the hours before the clock's start.
fn feed(rows: i64, knows_order: bool, dialect: Dialect) -> Feed {
    let start = (real_now() / MINUTE) * MINUTE - 60 * MINUTE;
    let settings = Settings {
        seed: 11,
        dialect,
        start,
        tenant: Tenant::empty(),
        own_reads: None,
        knows_order,
        ..Settings::default()
    };
    let mut simulation = Simulation::new(settings);
    for at in 0..rows {
        let created = start - 50 * MINUTE + at / 3 * MINUTE;
        simulation.add("claude_chat_created", created, created);
    }
    Feed::of(simulation, Pace::Stepped(0))
}

/// What the configuration says of a backfill of two hours.
fn backfill(feed: &Feed, limit: u32) -> String {
    let time =
        |before: i64| simulator::rfc3339(feed.control().now() - before * MINUTE, Precision::Seconds, true);
    format!("since = \"{}\"\nuntil = \"{}\"\npage_size = {limit}\nbudget_share = 1.0", time(120), time(10))
}

/// Runs until its end; it must be a good one.
fn finish(copy: &mut Copy) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match copy.ended() {
            Some(status) => return assert!(status.success(), "{status}:\n{}", copy.log_tail()),
            None => assert!(Instant::now() < deadline, "it does not end:\n{}", copy.log_tail()),
        }
        sleep(Duration::from_millis(2));
    }
}

/// Kills at the n-th time that `passed` says so; false if the run ended before.
fn kill_at(copy: &mut Copy, boundary: usize, mut passed: impl FnMut() -> usize) -> bool {
    let deadline = Instant::now() + PATIENCE;
    let mut met = 0;
    while met < boundary {
        met += passed();
        if let Some(status) = copy.ended() {
            assert!(status.success(), "{status}:\n{}", copy.log_tail());
            return false;
        }
        assert!(Instant::now() < deadline, "nothing happens:\n{}", copy.log_tail());
        yield_now();
    }
    copy.kill_unless_ended()
}

fn every_boundary(name: &str, limit: u32, knows_order: bool, dialect: Dialect, by_request: bool) {
    let (scratch, rows) = (Scratch::new(), 30);
    let feed = feed(rows, knows_order, dialect);
    let source = backfill(&feed, limit);
    let (mut boundary, mut killed) = (1, 0);
    loop {
        let mut copy = feed.copy(scratch.path(), &format!("{boundary}"), &source);
        let mut watched = Watched::new(&copy, &FILES);
        let mut asked = feed.requests();
        copy.start();
        let goes_on = if by_request {
            kill_at(&mut copy, boundary, || {
                let now = feed.requests();
                now - std::mem::replace(&mut asked, now)
            })
        } else {
            kill_at(&mut copy, boundary, || usize::from(watched.changed()))
        };
        let case = format!("{name}, limit {limit}, boundary {boundary}");
        if goes_on {
            killed += 1;
            verdict::after_a_kill(&feed, &copy, &case);
            copy.start();
            finish(&mut copy);
        }
        assert_eq!(verdict::in_the_end(&feed, &copy, &case), rows as usize, "{case}");
        if !goes_on || boundary >= most() {
            break;
        }
        boundary += 1;
    }
    assert!(killed > 2, "{name}: there were only {killed} boundaries");
    say(format!(
        "{name}: limit {limit}, order {}: killed at each of {killed} boundaries",
        if knows_order { "asc" } else { "desc" }
    ));
}

#[test]
fn killed_at_every_change_of_a_file() {
    every_boundary("at every change", 7, true, Dialect::October, false);
    every_boundary("at every change", 2, false, Dialect::August, false);
}

#[test]
fn killed_at_every_request() {
    every_boundary("at every request", 2, true, Dialect::August, true);
    every_boundary("at every request", 7, false, Dialect::October, true);
}
