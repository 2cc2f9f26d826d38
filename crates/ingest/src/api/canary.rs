//! Our own footprint in the feed: each request makes a row, and the row names the request.
//!
//! Owns telling a quiet tenant from a feed that is not recorded. Pure. Must not filter: the same rows are the audit of others.
//!
//! The subtle thing: a row of ours is looked for only when its time has been read for a while; before that its absence says
//! nothing.

use std::collections::VecDeque;
use std::time::Duration;

use super::time::Micros;

/// How many requests are remembered.
const MOST: usize = 64;

/// How long after its time was read a row of ours may still come.
const PATIENCE: Duration = Duration::from_secs(900);

/// Requests whose rows have not come.
#[derive(Debug, Default)]
pub(super) struct Canary {
    waiting: VecDeque<(String, Micros)>,
    /// Since the last row of ours, so that one alarm is one line.
    alarmed: bool,
    seen: bool,
}

impl Canary {
    /// A request was answered.
    pub(super) fn asked(&mut self, request_id: &str, now: Micros) {
        if self.waiting.len() == MOST {
            // The oldest are those that say most about what is missing.
            self.waiting.remove(MOST / 2);
        }
        self.waiting.push_back((request_id.to_owned(), now));
    }

    /// A row about a request came. Gives how long it took if the request was ours.
    pub(super) fn saw(&mut self, request_id: &str, now: Micros) -> Option<Duration> {
        let at = self.waiting.iter().position(|(own, _)| own == request_id)?;
        let (_, asked) = self.waiting.remove(at)?;
        // What is older than a row that came was missed for another reason, such as a crash.
        self.waiting.drain(..at.min(self.waiting.len()));
        self.seen = true;
        self.alarmed = false;
        Some(now.since(asked))
    }

    /// How long a row of ours has not come that should have, now that everything before `high` is read.
    pub(super) fn overdue(&self, high: Micros, now: Micros) -> Option<Duration> {
        let (_, asked) = self.waiting.front()?;
        (self.seen && *asked < high.before(PATIENCE)).then(|| now.since(*asked))
    }

    /// Whether that is to be told. True once for each silence.
    pub(super) fn alarms(&mut self) -> bool {
        !std::mem::replace(&mut self.alarmed, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Trap 21: a gap in the recording looks like a quiet tenant, except that our own rows are missing too.
    #[test]
    fn trap_21_a_recording_gap_is_told_from_a_quiet_tenant() {
        let minute = |minute: i64| Micros(minute * 60_000_000);
        let mut canary = Canary::default();
        for at in 0..10 {
            canary.asked(&format!("req_{at}"), minute(at));
        }
        assert_eq!(canary.saw("req_other", minute(10)), None);
        assert_eq!(canary.saw("req_8", minute(10)), Some(Duration::from_secs(120)));
        // Quiet, but our own rows come.
        assert_eq!(canary.overdue(minute(20), minute(21)), None);
        // req_9 never comes.
        assert_eq!(canary.overdue(minute(30), minute(31)), Some(Duration::from_secs(22 * 60)));
        assert!(canary.alarms());
        assert!(!canary.alarms(), "one alarm for one silence");
        // The next one does.
        canary.asked("req_10", minute(31));
        assert_eq!(canary.saw("req_10", minute(33)), Some(Duration::from_secs(120)));
        assert_eq!(canary.overdue(minute(60), minute(60)), None);
        assert!(canary.alarms(), "another silence, another alarm");
    }
}
