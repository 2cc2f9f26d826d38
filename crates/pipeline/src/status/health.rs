//! Whether a part works, and what stands in its way if it does not.
//!
//! Owns the lines about it in the log. Must not decide what is done.
//!
//! The subtle thing: a server that is away fails thousands of times, and an operator wants three lines of it. A line is
//! written when a part goes down, when it is up again, and in between ever more rarely.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use chrono::{DateTime, Utc};
use model::fault::Fault;
use tokio::time::Instant;

use super::numbers::{Names, lock};

/// The first pause between two lines about something that is still down; it doubles up to the longest.
const FIRST_REMINDER: Duration = Duration::from_secs(60);
const LAST_REMINDER: Duration = Duration::from_secs(3_600);

/// Whether a part works.
#[derive(Debug)]
pub struct Health {
    part: &'static str,
    state: Mutex<State>,
    faults: Names,
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
enum State {
    /// Nothing stands in the way, as far as is known.
    Up {
        since: DateTime<Utc>,
    },
    Down(Box<Trouble>),
}

#[derive(Debug)]
struct Trouble {
    down: Down,
    began: Instant,
    next_line: Instant,
    pause: Duration,
}

impl Health {
    pub(super) fn new(part: &'static str) -> Self {
        let state = Mutex::new(State::Up { since: Utc::now() });
        Self { part, state, faults: Names::default() }
    }

    /// Which part it is.
    #[must_use]
    pub fn part(&self) -> &'static str {
        self.part
    }

    /// What stands in the way, if anything.
    #[must_use]
    pub fn down(&self) -> Option<Down> {
        match &*lock(&self.state) {
            State::Up { .. } => None,
            State::Down(trouble) => Some(trouble.down.clone()),
        }
    }

    /// Since when it is as it is: down, or not known to be.
    #[must_use]
    pub fn since(&self) -> DateTime<Utc> {
        match &*lock(&self.state) {
            State::Up { since } => *since,
            State::Down(trouble) => trouble.down.since,
        }
    }

    /// How often it failed, by the kind of fault.
    #[must_use]
    pub fn faults(&self) -> BTreeMap<String, u64> {
        self.faults.get()
    }

    /// Notes a failure.
    pub fn failed(&self, fault: &Fault) {
        self.faults.add(fault.kind.name(), 1);
        let (part, kind, now) = (self.part, fault.kind.name(), Instant::now());
        let mut state = lock(&self.state);
        match &mut *state {
            State::Up { .. } => {
                tracing::warn!(part, kind, cause = fault.cause, remedy = fault.remedy, "down; trying on");
                let down = Down { fault: fault.clone(), since: Utc::now(), failures: 1 };
                let next_line = now + FIRST_REMINDER;
                *state =
                    State::Down(Box::new(Trouble { down, began: now, next_line, pause: FIRST_REMINDER }));
            }
            State::Down(trouble) => {
                let other = trouble.down.fault.kind != fault.kind;
                trouble.down.failures += 1;
                trouble.down.fault = fault.clone();
                if other || now >= trouble.next_line {
                    let seconds = now.duration_since(trouble.began).as_secs();
                    let failures = trouble.down.failures;
                    tracing::warn!(
                        part,
                        kind,
                        seconds,
                        failures,
                        cause = fault.cause,
                        remedy = fault.remedy,
                        "still down"
                    );
                    if !other {
                        trouble.pause = (trouble.pause * 2).min(LAST_REMINDER);
                    }
                    trouble.next_line = now + trouble.pause;
                }
            }
        }
    }

    /// Notes that it works.
    pub fn worked(&self) {
        let mut state = lock(&self.state);
        let State::Down(trouble) = &*state else { return };
        let (seconds, failures) = (trouble.began.elapsed().as_secs(), trouble.down.failures);
        *state = State::Up { since: Utc::now() };
        drop(state);
        tracing::info!(part = self.part, seconds, failures, "works again");
    }
}

impl fmt::Display for Down {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (since {})", self.fault, self.since.format("%Y-%m-%dT%H:%M:%SZ"))
    }
}

#[cfg(test)]
mod tests {
    use model::fault::FaultKind;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_down_is_known_until_it_works() {
        let health = Health::new("sink");
        let started = health.since();
        assert_eq!(health.down(), None);
        for _ in 0..3 {
            health.failed(&Fault::new(FaultKind::Unreachable, "no answer", "start it"));
        }
        let down = health.down().unwrap();
        assert_eq!((health.part(), down.failures, down.since), ("sink", 3, health.since()));
        assert!(down.to_string().starts_with("no answer; start it (since 2"));
        assert_eq!(health.faults(), [("unreachable".to_owned(), 3)].into());
        health.worked();
        assert_eq!(health.down(), None);
        assert!(health.since() >= down.since && down.since >= started);
    }
}
