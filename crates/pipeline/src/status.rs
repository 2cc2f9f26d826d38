//! What is known of a run while it runs, for metrics, readiness and the log.
//!
//! Owns the counters and what stands in the way of each part right now. Must not decide anything by them.
//!
//! The subtle thing: a server that is away fails thousands of times, and an operator wants three lines of it. A line is
//! written when a part goes down, when it is up again, and in between ever more rarely.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use model::fault::Fault;
use tokio::time::Instant;

use crate::mapping::shorten;

/// The first pause between two lines about something that is still down; it doubles up to the longest.
const FIRST_REMINDER: Duration = Duration::from_secs(60);
const LAST_REMINDER: Duration = Duration::from_secs(3_600);

/// How many names are counted one by one; what comes after is counted together.
const MOST_NAMES: usize = 1_000;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to it.
    pub fn add(&self, number: u64) {
        self.0.fetch_add(number, Ordering::Relaxed);
    }

    /// What it is.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// Sets it.
    pub fn set(&self, number: u64) {
        self.0.store(number, Ordering::Relaxed);
    }

    /// What it is.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Numbers by name. Names come from outside, so only so many are told apart.
#[derive(Debug, Default)]
pub struct Names(Mutex<BTreeMap<String, u64>>);

/// What stands for all names beyond the first thousand.
pub const OTHER_NAMES: &str = "(others)";

impl Names {
    /// Adds to the number of a name.
    pub fn add(&self, name: &str, number: u64) {
        let mut names = lock(&self.0);
        let name = shorten(name, 128);
        let known = names.len() < MOST_NAMES || names.contains_key(name);
        let name = if known { name } else { OTHER_NAMES };
        match names.get_mut(name) {
            Some(total) => *total = total.saturating_add(number),
            None => drop(names.insert(name.to_owned(), number)),
        }
    }

    /// All of them.
    #[must_use]
    pub fn get(&self) -> BTreeMap<String, u64> {
        lock(&self.0).clone()
    }
}

/// Everything known of a run.
#[derive(Debug)]
pub struct Status {
    /// Batches that came from the source.
    pub batches: Counter,
    /// Records that were found in them. Each ends as one of delivered, duplicate or dead.
    pub read: Counter,
    /// Bytes of records that came from the source.
    pub read_bytes: Counter,
    /// Records that became documents.
    pub mapped: Counter,
    /// Documents written.
    pub delivered: Counter,
    /// Documents that had been written before.
    pub duplicates: Counter,
    /// How often a document had to be sent again.
    pub retried: Counter,
    /// Requests sent.
    pub requests: Counter,
    /// Commits that went well.
    pub commits: Counter,
    /// Records whose address met damage in a GeoIP database.
    pub broken_lookups: Counter,
    /// Dead letters by reason, counted when they are durable.
    pub dead: Names,
    /// Documents by activity type, of types the tables do not know.
    pub unknown_types: Names,
    /// Bytes of memory reckoned for records under way.
    pub bytes_in_flight: Gauge,
    /// The most there ever was of them.
    pub peak_bytes: Gauge,
    /// Batches that have not ended.
    pub open_batches: Gauge,
    /// Requests under way, and how many may be at present.
    pub requests_in_flight: Gauge,
    /// How many requests may be under way at present.
    pub request_limit: Gauge,
    /// Reading.
    pub source: Health,
    /// Writing.
    pub sink: Health,
    /// Writing dead letters.
    pub dead_letters: Health,
    /// Committing positions.
    pub positions: Health,
}

impl Default for Status {
    fn default() -> Self {
        Self {
            batches: Counter::default(),
            read: Counter::default(),
            read_bytes: Counter::default(),
            mapped: Counter::default(),
            delivered: Counter::default(),
            duplicates: Counter::default(),
            retried: Counter::default(),
            requests: Counter::default(),
            commits: Counter::default(),
            broken_lookups: Counter::default(),
            dead: Names::default(),
            unknown_types: Names::default(),
            bytes_in_flight: Gauge::default(),
            peak_bytes: Gauge::default(),
            open_batches: Gauge::default(),
            requests_in_flight: Gauge::default(),
            request_limit: Gauge::default(),
            source: Health::new("source"),
            sink: Health::new("sink"),
            dead_letters: Health::new("dead letters"),
            positions: Health::new("commits"),
        }
    }
}

/// Numbers of a run when it is over, or at any moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// Records found.
    pub read: u64,
    /// Records that became documents.
    pub mapped: u64,
    /// Documents written.
    pub delivered: u64,
    /// Documents that had been written before.
    pub duplicates: u64,
    /// How often a document had to be sent again.
    pub retried: u64,
    /// Dead letters by reason.
    pub dead: BTreeMap<String, u64>,
    /// Documents of types the tables do not know.
    pub unknown_types: BTreeMap<String, u64>,
}

impl Totals {
    /// How many records are in the dead letters.
    #[must_use]
    pub fn dead_letters(&self) -> u64 {
        self.dead.values().sum()
    }
}

impl Status {
    /// The numbers as they are now.
    #[must_use]
    pub fn totals(&self) -> Totals {
        Totals {
            read: self.read.get(),
            mapped: self.mapped.get(),
            delivered: self.delivered.get(),
            duplicates: self.duplicates.get(),
            retried: self.retried.get(),
            dead: self.dead.get(),
            unknown_types: self.unknown_types.get(),
        }
    }

    /// The parts that are down, each with its fault.
    #[must_use]
    pub fn down(&self) -> Vec<(&'static str, Down)> {
        let parts = [&self.source, &self.sink, &self.dead_letters, &self.positions];
        parts.into_iter().filter_map(|part| Some((part.part, part.down()?))).collect()
    }
}

/// Whether a part works.
#[derive(Debug)]
pub struct Health {
    part: &'static str,
    state: Mutex<Option<State>>,
}

/// What stands in the way of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Down {
    /// The fault that was met last.
    pub fault: Fault,
    /// Since when nothing went well.
    pub since: DateTime<Utc>,
    /// How often it was tried since.
    pub failures: u64,
}

#[derive(Debug)]
struct State {
    down: Down,
    began: Instant,
    next_line: Instant,
    pause: Duration,
}

impl Health {
    fn new(part: &'static str) -> Self {
        Self { part, state: Mutex::new(None) }
    }

    /// What stands in the way, if anything.
    #[must_use]
    pub fn down(&self) -> Option<Down> {
        lock(&self.state).as_ref().map(|state| state.down.clone())
    }

    /// Notes a failure.
    pub(crate) fn failed(&self, fault: &Fault) {
        let now = Instant::now();
        let mut state = lock(&self.state);
        match &mut *state {
            None => {
                tracing::warn!(part = self.part, kind = fault.kind.name(), %fault, "down; trying on");
                let down = Down { fault: fault.clone(), since: Utc::now(), failures: 1 };
                *state =
                    Some(State { down, began: now, next_line: now + FIRST_REMINDER, pause: FIRST_REMINDER });
            }
            Some(state) => {
                let other = state.down.fault.kind != fault.kind;
                state.down.failures += 1;
                state.down.fault = fault.clone();
                if other || now >= state.next_line {
                    let seconds = now.duration_since(state.began).as_secs();
                    let failures = state.down.failures;
                    tracing::warn!(part = self.part, kind = fault.kind.name(), seconds, failures, %fault, "still down");
                    if !other {
                        state.pause = (state.pause * 2).min(LAST_REMINDER);
                    }
                    state.next_line = now + state.pause;
                }
            }
        }
    }

    /// Notes that it works.
    pub(crate) fn worked(&self) {
        let Some(state) = lock(&self.state).take() else { return };
        let seconds = state.began.elapsed().as_secs();
        tracing::info!(part = self.part, seconds, failures = state.down.failures, "works again");
    }
}

impl fmt::Display for Down {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (since {})", self.fault, self.since.format("%Y-%m-%dT%H:%M:%SZ"))
    }
}

/// Nothing panics while it holds one of these locks; if something did, numbers are still numbers.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use model::fault::FaultKind;

    use super::*;

    #[test]
    fn names_are_bounded() {
        let names = Names::default();
        for number in 0..5_000 {
            names.add(&format!("name {number}"), 1);
        }
        names.add("name 3", 2);
        let names = names.get();
        assert_eq!(names.len(), MOST_NAMES + 1);
        assert_eq!((names["name 3"], names[OTHER_NAMES]), (3, 4_000));
        assert_eq!(names.values().sum::<u64>(), 5_002);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_down_is_known_until_it_works() {
        let status = Status::default();
        assert_eq!(status.down(), []);
        for _ in 0..3 {
            status.sink.failed(&Fault::new(FaultKind::Unreachable, "no answer", "start it"));
        }
        let down = status.down();
        assert_eq!((down.len(), down[0].0, down[0].1.failures), (1, "sink", 3));
        assert!(down[0].1.to_string().starts_with("no answer; start it (since 2"));
        status.sink.worked();
        assert_eq!(status.down(), []);
    }
}
