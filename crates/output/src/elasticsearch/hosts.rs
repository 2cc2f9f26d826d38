//! Whose turn it is: the hosts one after the other, and one that failed is left alone for a while.
//!
//! Pure; the time comes in from outside.

use std::time::Duration;

use tokio::time::Instant;

/// How long a host is left alone after its first failure; doubled with each further one.
const FIRST_REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Default)]
struct Host {
    rests_until: Option<Instant>,
    failures: u32,
}

/// The hosts by index.
#[derive(Debug)]
pub(super) struct Hosts {
    hosts: Vec<Host>,
    next: usize,
}

impl Hosts {
    pub(super) fn new(count: usize) -> Self {
        Self { hosts: vec![Host::default(); count.max(1)], next: 0 }
    }

    /// The next host that is not resting. If all are, the one that has rested most: there is always one to try, since a
    /// call that is not made cannot find out that a host is back.
    pub(super) fn pick(&mut self, now: Instant) -> usize {
        let count = self.hosts.len();
        let order = (0..count).map(|step| (self.next + step) % count);
        // The first of equals is taken, so that awake hosts are used in turn.
        let at = order.min_by_key(|at| self.hosts[*at].rests_until.filter(|until| *until > now)).unwrap_or(0);
        self.next = (at + 1) % count;
        at
    }

    /// A host gave no answer, or the answer of a gateway with nobody behind it.
    pub(super) fn failed(&mut self, at: usize, now: Instant) {
        if let Some(host) = self.hosts.get_mut(at) {
            let rest = FIRST_REST.saturating_mul(1 << host.failures.min(10)).min(LONGEST_REST);
            host.failures = host.failures.saturating_add(1);
            host.rests_until = Some(now + rest);
        }
    }

    /// A host answered.
    pub(super) fn answered(&mut self, at: usize) {
        if let Some(host) = self.hosts.get_mut(at) {
            *host = Host::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_take_turns() {
        let (mut hosts, now) = (Hosts::new(3), Instant::now());
        assert_eq!((0..6).map(|_| hosts.pick(now)).collect::<Vec<_>>(), [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn a_failed_host_rests_longer_each_time_and_comes_back() {
        let (mut hosts, start) = (Hosts::new(2), Instant::now());
        hosts.failed(0, start);
        assert_eq!([hosts.pick(start), hosts.pick(start)], [1, 1]);
        let later = start + Duration::from_millis(1_001);
        assert!([hosts.pick(later), hosts.pick(later)].contains(&0));
        hosts.failed(0, later);
        assert_eq!([hosts.pick(later + FIRST_REST), hosts.pick(later + FIRST_REST)], [1, 1]);
        hosts.answered(0);
        assert!([hosts.pick(later), hosts.pick(later)].contains(&0));
        for _ in 0..100 {
            hosts.failed(0, start);
        }
        assert!([hosts.pick(start + LONGEST_REST), hosts.pick(start + LONGEST_REST)].contains(&0));
    }

    #[test]
    fn there_is_always_one_to_try() {
        let (mut hosts, now) = (Hosts::new(2), Instant::now());
        hosts.failed(0, now + Duration::from_secs(5));
        hosts.failed(1, now);
        assert_eq!(hosts.pick(now), 1);
        assert_eq!(Hosts::new(1).pick(now), 0);
    }
}
