//! How long to wait before the next try.
//!
//! Owns the growth of the wait, its cap and its jitter. Must not know what is tried, nor ever say that it is over: what may
//! succeed later is tried for ever. The random numbers are the caller's, so that a test can repeat a run.

use std::time::Duration;

use fastrand::Rng;
use model::fault::{Fault, FaultKind};

/// The longest that another side's wish to be left alone is followed without asking again.
const LONGEST_WISH: Duration = Duration::from_secs(3_600);

/// Waits that double, with jitter, up to a cap.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    first: Duration,
    cap: Duration,
    patient_first: Duration,
    patient_cap: Duration,
}

impl Default for Backoff {
    /// From 100 ms up to 5 s: that a server is back is noticed within seconds. Where a person has to do something first (a
    /// privilege, a full disk), from 1 s up to 10 s.
    fn default() -> Self {
        Self {
            first: Duration::from_millis(100),
            cap: Duration::from_secs(5),
            patient_first: Duration::from_secs(1),
            patient_cap: Duration::from_secs(10),
        }
    }
}

impl Backoff {
    /// The wait after a number of failures in a row, the last of which was `fault`: at least what the other side asked for,
    /// otherwise between half and all of the doubled wait, so that many copies do not come back at once.
    #[must_use]
    pub fn delay(&self, failures: u32, fault: &Fault, random: &mut Rng) -> Duration {
        let (first, cap) = match fault.kind {
            FaultKind::Unauthenticated | FaultKind::Forbidden | FaultKind::Missing | FaultKind::Blocked => {
                (self.patient_first, self.patient_cap)
            }
            _ => (self.first, self.cap),
        };
        let doublings = failures.saturating_sub(1).min(16);
        let most = first.saturating_mul(1 << doublings).min(cap);
        let delay = most.mul_f64(0.5 + random.f64() / 2.0);
        fault.retry_after.map_or(delay, |wish| delay.max(wish.min(LONGEST_WISH)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(kind: FaultKind) -> Fault {
        Fault::new(kind, "no answer", "")
    }

    #[test]
    fn waits_grow_to_a_cap_and_never_end() {
        let (backoff, mut random) = (Backoff::default(), Rng::with_seed(1));
        for (failures, most) in [(1, 100), (2, 200), (4, 800), (7, 5_000), (u32::MAX, 5_000)] {
            for _ in 0..200 {
                let delay = backoff.delay(failures, &fault(FaultKind::Unreachable), &mut random).as_millis();
                assert!((most / 2..=most).contains(&delay), "{failures} failures: {delay} ms");
            }
        }
        let slow = backoff.delay(90, &fault(FaultKind::Forbidden), &mut random);
        assert!((5_000..=10_000).contains(&slow.as_millis()));
    }

    #[test]
    fn two_copies_do_not_wait_alike() {
        let wait =
            |seed| Backoff::default().delay(5, &fault(FaultKind::Unreachable), &mut Rng::with_seed(seed));
        assert_ne!(wait(1), wait(2));
        assert_eq!(wait(3), wait(3));
    }

    #[test]
    fn a_wish_to_be_left_alone_is_followed() {
        let mut asked = fault(FaultKind::Throttled);
        asked.retry_after = Some(Duration::from_secs(42));
        let mut random = Rng::with_seed(1);
        assert_eq!(Backoff::default().delay(1, &asked, &mut random), Duration::from_secs(42));
        asked.retry_after = Some(Duration::from_secs(1_000_000));
        assert_eq!(Backoff::default().delay(1, &asked, &mut random), LONGEST_WISH);
    }
}
