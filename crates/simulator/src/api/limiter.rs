//! The budget of requests: one for all keys and routes of a tenant.
//!
//! Owns counting and what the rate headers say. Time comes in as an argument.

use crate::clock::{Micros, Precision, SECOND, rfc3339};

/// How requests are limited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Requests a window; none are refused when 0.
    pub requests: u64,
    /// The length of the window.
    pub window: Micros,
    /// Whether the budget grows back bit by bit (a token bucket) instead of at the window's end.
    pub bucket: bool,
    /// Whether answers say what is left.
    pub headers: bool,
    /// By how many seconds `retry-after` goes beyond the reset.
    pub margin_seconds: i64,
    /// Requests a window that another consumer of the tenant makes, at the window's very start.
    pub others: u64,
    /// The second budget, of the routes about remote sessions: requests a window; none are refused when 0. Headers never
    /// speak of it, and its `retry-after` is always 1.
    pub remote: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests: 600,
            window: 60 * SECOND,
            bucket: false,
            headers: true,
            margin_seconds: 0,
            others: 0,
            remote: 60,
        }
    }
}

impl Limits {
    /// The second budget as one of its own, always by windows.
    pub(crate) fn second(&self) -> Self {
        Self { requests: self.remote, bucket: false, others: 0, ..self.clone() }
    }
}

/// What is left of the budget.
#[derive(Debug, Clone, Default)]
pub(crate) struct Limiter {
    /// The beginning of the window, or when the bucket was last looked at.
    since: Option<Micros>,
    /// What is used, in units of a millionth of a request.
    used: u64,
}

/// A request in units of [`Limiter::used`].
const ONE: u64 = 1_000_000;

impl Limiter {
    /// Lets time pass: the window ends, or the bucket fills.
    fn settle(&mut self, limits: &Limits, now: Micros) {
        let others = limits.others.saturating_mul(ONE);
        let since = *self.since.get_or_insert_with(|| {
            self.used = others;
            now
        });
        let passed = (now - since).max(0);
        if limits.bucket {
            let back = u128::from(passed.unsigned_abs()) * u128::from(limits.requests * ONE)
                / u128::from(limits.window.unsigned_abs().max(1));
            self.used = self.used.saturating_sub(u64::try_from(back).unwrap_or(u64::MAX));
            self.since = Some(now);
        } else if passed >= limits.window {
            self.since = Some(now);
            self.used = others;
        }
    }

    /// Takes units out of the budget.
    ///
    /// # Errors
    ///
    /// The seconds to wait, when it does not hold them.
    pub(crate) fn take(&mut self, limits: &Limits, now: Micros, units: u64) -> Result<(), i64> {
        self.settle(limits, now);
        let wanted = self.used.saturating_add(units.saturating_mul(ONE));
        if limits.requests > 0 && wanted > limits.requests * ONE {
            let seconds = (self.reset(limits, now) - now + SECOND - 1) / SECOND;
            return Err(seconds.max(1) + limits.margin_seconds);
        }
        self.used = wanted;
        Ok(())
    }

    /// Takes what is left: another consumer was here.
    pub(crate) fn exhaust(&mut self, limits: &Limits, now: Micros) {
        self.settle(limits, now);
        self.used = limits.requests * ONE;
    }

    /// When the budget is whole again; of a bucket, when it holds one more.
    fn reset(&self, limits: &Limits, now: Micros) -> Micros {
        if limits.bucket {
            now + limits.window / limits.requests.max(1) as Micros
        } else {
            self.since.unwrap_or(now) + limits.window
        }
    }

    /// The headers that change when nothing is left until a time.
    pub(crate) fn spent(until: Micros) -> [(&'static str, String); 2] {
        let reset = rfc3339(until, Precision::Seconds, true);
        [
            ("anthropic-ratelimit-requests-remaining", "0".to_owned()),
            ("anthropic-ratelimit-requests-reset", reset),
        ]
    }

    /// The headers about the budget.
    pub(crate) fn headers(&self, limits: &Limits, now: Micros) -> Vec<(&'static str, String)> {
        let left = (limits.requests * ONE).saturating_sub(self.used) / ONE;
        vec![
            ("anthropic-ratelimit-requests-limit", limits.requests.to_string()),
            ("anthropic-ratelimit-requests-remaining", left.to_string()),
            (
                "anthropic-ratelimit-requests-reset",
                rfc3339(self.reset(limits, now), Precision::Seconds, true),
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_refuses_until_its_end_and_says_when_that_is() {
        let limits = Limits { requests: 2, ..Limits::default() };
        let mut limiter = Limiter::default();
        assert!(limiter.take(&limits, 0, 1).is_ok() && limiter.take(&limits, SECOND, 1).is_ok());
        assert_eq!(limiter.take(&limits, 20 * SECOND, 1), Err(40));
        assert_eq!(limiter.headers(&limits, 20 * SECOND)[1].1, "0");
        assert!(limiter.take(&limits, 60 * SECOND, 1).is_ok());
    }

    #[test]
    fn another_consumer_has_its_part_of_every_window() {
        let limits = Limits { requests: 5, others: 3, ..Limits::default() };
        let mut limiter = Limiter::default();
        for window in [0, 60 * SECOND, 120 * SECOND] {
            assert!((0..2).all(|_| limiter.take(&limits, window, 1).is_ok()));
            assert_eq!(limiter.take(&limits, window, 1), Err(60));
        }
    }

    #[test]
    fn a_bucket_grows_back_bit_by_bit() {
        let limits = Limits { requests: 60, bucket: true, ..Limits::default() };
        let mut limiter = Limiter::default();
        assert!((0..60).all(|_| limiter.take(&limits, 0, 1).is_ok()));
        assert_eq!(limiter.take(&limits, 0, 1), Err(1));
        assert!(limiter.take(&limits, SECOND, 1).is_ok());
        assert!(limiter.take(&limits, SECOND, 1).is_err());
    }
}
