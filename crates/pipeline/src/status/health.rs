//! Whether a part works, and what stands in its way if it does not.
//!
//! Owns the lines about it in the log. Must not decide what is done.
//!
//! The subtle thing: a server that is away fails thousands of times, and an operator wants three lines of it. A line is
//! written when a part goes down, when it is up again, and in between ever more rarely. And one that comes and goes would
//! make two lines each time: what fails again in the same way before its next line is due is not told of until then.

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
        /// What it was down by before.
        before: Option<Box<Trouble>>,
    },
    Down(Box<Trouble>),
}

#[derive(Debug)]
struct Trouble {
    down: Down,
    began: Instant,
    next_line: Instant,
    pause: Duration,
    /// Whether the log has a line of it.
    told: bool,
}

impl Trouble {
    /// Whether this fault would say nothing new of it.
    fn is_told_of(&self, fault: &Fault, now: Instant) -> bool {
        self.down.fault.kind == fault.kind && now < self.next_line
    }
}

impl Health {
    /// A part that works, as far as is known.
    #[must_use]
    pub fn new(part: &'static str) -> Self {
        let state = Mutex::new(State::Up { since: Utc::now(), before: None });
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
            State::Up { since, .. } => *since,
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
            State::Up { before, .. } => {
                let (next_line, pause, told) =
                    match before.take().filter(|before| before.is_told_of(fault, now)) {
                        Some(before) => (before.next_line, before.pause, false),
                        None => (now + FIRST_REMINDER, FIRST_REMINDER, true),
                    };
                if told {
                    tracing::warn!(part, kind, cause = fault.cause, remedy = fault.remedy, "down; trying on");
                }
                let down = Down { fault: fault.clone(), since: Utc::now(), failures: 1 };
                *state = State::Down(Box::new(Trouble { down, began: now, next_line, pause, told }));
            }
            State::Down(trouble) => {
                let other = trouble.down.fault.kind != fault.kind;
                trouble.down.failures += 1;
                trouble.down.fault = fault.clone();
                if other || now >= trouble.next_line {
                    trouble.told = true;
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
        if matches!(*state, State::Up { .. }) {
            return;
        }
        let up = State::Up { since: Utc::now(), before: None };
        let State::Down(trouble) = std::mem::replace(&mut *state, up) else { return };
        if trouble.told {
            let (seconds, failures) = (trouble.began.elapsed().as_secs(), trouble.down.failures);
            tracing::info!(part = self.part, seconds, failures, "works again");
        }
        if let State::Up { before, .. } = &mut *state {
            *before = Some(trouble);
        }
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

    /// Counts the lines of the log.
    #[derive(Clone, Default)]
    struct Lines(std::sync::Arc<std::sync::atomic::AtomicU64>);

    impl tracing::Subscriber for Lines {
        fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
            true
        }

        fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
            tracing::span::Id::from_u64(1)
        }

        fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

        fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

        fn event(&self, _: &tracing::Event<'_>) {
            self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }

        fn enter(&self, _: &tracing::span::Id) {}

        fn exit(&self, _: &tracing::span::Id) {}
    }

    #[tokio::test(start_paused = true)]
    async fn what_lasts_and_what_comes_and_goes_makes_few_lines() {
        let lines = Lines::default();
        let said = || lines.0.swap(0, std::sync::atomic::Ordering::Relaxed);
        // While there is only one subscriber, another test may have it noted that nobody wants to hear of a place in the code,
        // and then this one hears nothing from there either.
        let _other = tracing::Dispatch::new(Lines::default());
        let _here = tracing::subscriber::set_default(lines.clone());
        let health = Health::new("sink");
        let fault = |kind| Fault::new(kind, "no answer", "start it");
        // Ten minutes of failures, one each second: at once, then after one minute, three, and seven.
        for _ in 0..600 {
            health.failed(&fault(FaultKind::Unreachable));
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!(said(), 4);
        health.worked();
        assert_eq!(said(), 1);
        // It comes and goes: nothing, until the next line is due.
        for _ in 0..10 {
            health.failed(&fault(FaultKind::Unreachable));
            assert!(health.down().is_some(), "it is down, whether the log says so or not");
            health.worked();
        }
        assert_eq!(said(), 0);
        health.failed(&fault(FaultKind::Forbidden));
        health.worked();
        assert_eq!(said(), 2, "another fault is news");
        tokio::time::advance(Duration::from_secs(3_600)).await;
        health.failed(&fault(FaultKind::Forbidden));
        assert_eq!(said(), 1);
    }
}
