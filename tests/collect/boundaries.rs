//! A small backfill, killed at each boundary there is, one after the other: at the n-th change of any of its files for every
//! n, and at the n-th request for every n. After the kill it goes on to its end. With pages of one row, of some, and of all
//! there are; forwards and backwards, in both dialects; and with faults besides.

use std::thread::{scope, sleep, yield_now};
use std::time::{Duration, Instant};

use simulator::Precision;
use simulator::api::{Dialect, Fault, FaultKind, Limits, Pace, Settings, Simulation, Tenant};

use crate::copies::Copy;
use crate::feed::{Feed, MINUTE, real_now};
use crate::kills::{FILES, Watched};
use crate::settings::{Scratch, variable};
use crate::{say, verdict};

/// How long one run may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// How many rows there are.
const ROWS: i64 = 30;

/// Page sizes: a row, a tie that is cut, the rest of one, and everything.
const LIMITS: [u32; 4] = [1, 2, 7, 5_000];

/// Whether `order` is known, and the dialect.
const WAYS: [(bool, Dialect); 4] =
    [(true, Dialect::October), (false, Dialect::August), (false, Dialect::October), (true, Dialect::August)];

/// How many kills are tried in one case at most; all of them, each in every way, when lives are asked for.
fn most(usual: usize) -> usize {
    if variable("COLLECT_LIVES").is_some() { usize::MAX } else { usual }
}

/// Rows for some pages of any size, a third of them tied, in the hours before the clock's start.
fn feed((knows_order, dialect): (bool, Dialect)) -> Feed {
    let start = (real_now() / MINUTE) * MINUTE - 60 * MINUTE;
    let settings = Settings {
        seed: 11,
        dialect,
        start,
        tenant: Tenant::empty(),
        own_reads: None,
        knows_order,
        // Its clock stands still, so what is spent of the budget never comes back.
        limits: Limits { requests: 600_000, ..Limits::default() },
        ..Settings::default()
    };
    let mut simulation = Simulation::new(settings);
    for at in 0..ROWS {
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

/// What a boundary is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Boundary {
    Change,
    Request,
}

/// Kills at every boundary, in a way that changes from each to the next; and again from the first, until every way had its
/// turn at each. The faults are ordered anew for each run.
fn every_boundary(boundaries: Boundary, limit: u32, faults: &[Fault], most: usize) {
    let scratch = Scratch::new();
    let feeds: Vec<Feed> = WAYS.into_iter().map(feed).collect();
    let (mut killed, mut tried, mut met) = (0, 0, 0);
    for turn in 0..WAYS.len() {
        for boundary in 1.. {
            if tried == most {
                break;
            }
            let way = (boundary + turn) % WAYS.len();
            let case =
                format!("{boundaries:?} {boundary}, limit {limit}, {:?}, {} faults", WAYS[way], faults.len());
            feeds[way].control().with(|simulation, _| {
                simulation.take_seen();
                simulation.clear_faults();
                faults.iter().for_each(|fault| simulation.order(fault.clone()).unwrap());
            });
            let goes_on = once(&feeds[way], &scratch, boundaries, boundary, limit, &case);
            met += feeds[way]
                .control()
                .with(|simulation, _| simulation.seen().iter().filter(|seen| seen.fault.is_some()).count());
            tried += 1;
            killed += usize::from(goes_on);
            if !goes_on {
                break;
            }
        }
    }
    assert!(killed > 1, "{boundaries:?}, limit {limit}: there were only {killed} kills");
    assert!(faults.is_empty() || met >= 2 * tried, "{met} faults in {tried} runs");
    say(format!("at every {boundaries:?}: limit {limit}: {killed} kills, {met} faults"));
}

/// One run, killed at the n-th boundary if it has so many, and its end.
fn once(
    feed: &Feed,
    scratch: &Scratch,
    boundaries: Boundary,
    boundary: usize,
    limit: u32,
    case: &str,
) -> bool {
    let folder = tempfile::tempdir_in(scratch.path()).unwrap();
    let mut copy = feed.copy(folder.path(), "copy", &backfill(feed, limit));
    let mut watched = Watched::new(&copy, &FILES);
    let mut asked = feed.requests();
    copy.start();
    let killed = kill_at(&mut copy, boundary, || match boundaries {
        Boundary::Change => usize::from(watched.changed()),
        Boundary::Request => {
            let now = feed.requests();
            now - std::mem::replace(&mut asked, now)
        }
    });
    if killed {
        verdict::after_a_kill(feed, &copy, case);
        copy.start();
        finish(&mut copy);
    }
    assert_eq!(verdict::in_the_end(feed, &copy, case), ROWS as usize, "{case}");
    killed
}

/// Side by side, since most of the time goes by in waiting.
fn all_limits(boundaries: Boundary) {
    scope(|scope| {
        for limit in LIMITS {
            scope.spawn(move || every_boundary(boundaries, limit, &[], most(9)));
        }
    });
}

#[test]
fn killed_at_every_change_of_a_file() {
    all_limits(Boundary::Change);
}

#[test]
fn killed_at_every_request() {
    all_limits(Boundary::Request);
}

/// Some that cost a wait, and one after which it goes on at once; all of them before the fifth page.
#[test]
fn killed_while_things_go_wrong() {
    let faults = &[
        Fault::new(FaultKind::Duplicate).after(1),
        Fault::new(FaultKind::ResetAfter).after(2),
        Fault::new(FaultKind::CursorInvalid).after(3),
    ];
    scope(|scope| {
        for (boundaries, limit) in [(Boundary::Change, 2), (Boundary::Request, 7)] {
            scope.spawn(move || every_boundary(boundaries, limit, faults, most(3).min(100)));
        }
    });
}
