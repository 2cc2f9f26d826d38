//! How often the API may be asked.
//!
//! Owns the share of the limit that all keys of an organization have together, what the rate headers say, the waits after
//! a 429, and what of all that outlives the process ([`Kept`]). Pure: the time is given. Must not know what is asked.
//!
//! The subtle thing: `retry-after` is a floor, not a promise. A second, unpublished budget always answers `1`; whoever believes
//! it never gets through. So waits double with every 429 in a row, whatever the header says.
//!
//! And a process that is started again and again must not have a full bucket each time, nor forget a wait: what is spent stays
//! spent. Times are kept by our own clock, which may have been set meanwhile; so a wait is never believed to be longer than
//! the longest there is, and a bucket never to be fuller than a full one.

use std::time::Duration;

use fastrand::Rng;
use serde::{Deserialize, Serialize};

use super::time::Micros;

/// Requests a minute that an organization has, unless the headers say otherwise.
const LIMIT: f64 = 600.0;

/// What is left for others when the organization's budget runs out: below this share of it we wait for the next minute.
const RESERVE: f64 = 0.1;

const FIRST_WAIT: Duration = Duration::from_secs(1);
const LAST_WAIT: Duration = Duration::from_secs(60);

/// The longest that a header is believed in.
const LONGEST_WISH: Duration = Duration::from_secs(3_600);

/// What an answer said of the budget.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Rate {
    pub(super) limit: Option<u32>,
    pub(super) remaining: Option<u32>,
    /// How long until the budget is whole again.
    pub(super) reset: Option<Duration>,
}

/// What outlives the process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kept {
    /// When this was so, by our own clock.
    at: Micros,
    /// How many requests could go at once.
    tokens: f64,
    /// Requests a minute that all have together.
    limit: f64,
    /// Until when nothing may be asked, by our own clock.
    not_before: Option<Micros>,
    /// Answers 429 in a row.
    refusals: u32,
}

impl Kept {
    /// Until when nothing may be asked, by our own clock.
    pub(super) fn not_before(&self) -> Option<Micros> {
        self.not_before
    }
}

/// A token bucket. Times are since any fixed moment, by a clock that never goes back.
#[derive(Debug)]
pub(super) struct Budget {
    share: f64,
    limit: f64,
    tokens: f64,
    filled: Duration,
    not_before: Duration,
    refusals: u32,
    random: Rng,
}

impl Budget {
    /// A bucket for a share of the limit, full.
    pub(super) fn new(share: f64, now: Duration, random: Rng) -> Self {
        let mut budget =
            Self { share, limit: LIMIT, tokens: 0.0, filled: now, not_before: now, refusals: 0, random };
        budget.tokens = budget.capacity();
        budget
    }

    /// What is to be kept now. `wall` is what our own clock says.
    pub(super) fn kept(&self, now: Duration, wall: Micros) -> Kept {
        let gained = now.saturating_sub(self.filled).as_secs_f64() * self.flow();
        Kept {
            at: wall,
            tokens: (self.tokens + gained).min(self.capacity()),
            limit: self.limit,
            not_before: self.held(now).map(|wait| wall.after(wait)),
            refusals: self.refusals,
        }
    }

    /// Goes on from what an earlier process kept.
    pub(super) fn resume(&mut self, kept: &Kept, now: Duration, wall: Micros) {
        if kept.limit.is_finite() && kept.limit >= 1.0 {
            self.limit = kept.limit;
        }
        let gained = wall.since(kept.at).as_secs_f64() * self.flow();
        self.tokens = (kept.tokens.max(0.0) + gained).min(self.capacity());
        self.filled = now;
        let wait = kept.not_before.map_or(Duration::ZERO, |until| until.since(wall)).min(LONGEST_WISH);
        self.not_before = self.not_before.max(now + wait);
        self.refusals = kept.refusals;
    }

    /// Nothing is known of what was spent lately: there may have been as much as there is.
    pub(super) fn empty(&mut self) {
        self.tokens = 0.0;
    }

    /// How many requests may come at once. Together with what flows in, it never makes more than the share in any minute.
    fn capacity(&self) -> f64 {
        (self.share * self.limit / 10.0).max(1.0)
    }

    /// Requests a second that flow in.
    fn flow(&self) -> f64 {
        let most = self.share * self.limit;
        ((most - self.capacity()) / 60.0).max(most / 120.0)
    }

    fn fill(&mut self, now: Duration) {
        let gained = now.saturating_sub(self.filled).as_secs_f64() * self.flow();
        self.tokens = (self.tokens + gained).min(self.capacity());
        self.filled = now.max(self.filled);
    }

    /// When the next request may go; `now` if it may go at once.
    pub(super) fn next(&mut self, now: Duration) -> Duration {
        self.fill(now);
        let missing = (1.0 - self.tokens).max(0.0);
        // Rounded up, so that whoever waits until then is not sent away again.
        let refill =
            Duration::from_micros((missing / self.flow() * 1e6).ceil() as u64 + u64::from(missing > 0.0));
        (now + refill).max(self.not_before)
    }

    /// How many requests may go at once, but for a wait that was asked for.
    pub(super) fn left(&self, now: Duration) -> u64 {
        let gained = now.saturating_sub(self.filled).as_secs_f64() * self.flow();
        (self.tokens + gained).min(self.capacity()) as u64
    }

    /// Requests a minute that all have together.
    pub(super) fn limit(&self) -> u64 {
        self.limit as u64
    }

    /// How much longer the other side wants to be left alone, if it does.
    pub(super) fn held(&self, now: Duration) -> Option<Duration> {
        self.not_before.checked_sub(now).filter(|wait| !wait.is_zero())
    }

    /// Whether it wants to be left alone.
    pub(super) fn is_held(&self, now: Duration) -> bool {
        self.held(now).is_some()
    }

    /// A request goes out.
    pub(super) fn spend(&mut self, now: Duration) {
        self.fill(now);
        self.tokens = (self.tokens - 1.0).max(0.0);
    }

    /// An answer came, whatever it was.
    pub(super) fn answered(&mut self, now: Duration, rate: Rate) {
        if let Some(limit) = rate.limit.filter(|limit| *limit > 0) {
            self.limit = f64::from(limit);
        }
        let scarce = rate.remaining.is_some_and(|left| f64::from(left) < self.limit * RESERVE);
        if let Some(reset) = rate.reset.filter(|_| scarce) {
            self.not_before = self.not_before.max(now + reset.min(LAST_WAIT));
        }
    }

    /// A request went well.
    pub(super) fn worked(&mut self) {
        self.refusals = 0;
    }

    /// Something else than a 429 asked to be left alone. Gives how long is waited.
    pub(super) fn hold(&mut self, now: Duration, wish: Duration) -> Duration {
        let wait = wish.min(LONGEST_WISH);
        self.not_before = self.not_before.max(now + wait);
        wait
    }

    /// A 429 came. Gives how long is waited.
    pub(super) fn refused(&mut self, now: Duration, retry_after: Option<Duration>) -> Duration {
        self.refusals = self.refusals.saturating_add(1);
        let own = doubled(self.refusals, &mut self.random);
        let wait = match retry_after {
            // The first time the other side knows best; after that, it has been wrong.
            Some(wish) if self.refusals == 1 => wish,
            Some(wish) => wish.max(own),
            None => own,
        };
        let wait = wait.min(LONGEST_WISH);
        self.not_before = self.not_before.max(now + wait);
        wait
    }
}

/// The wait after a number of failures in a row: doubling, up to a minute, and between half and all of that.
pub(super) fn doubled(failures: u32, random: &mut Rng) -> Duration {
    let most = FIRST_WAIT.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(LAST_WAIT);
    most.mul_f64(0.5 + random.f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn budget(share: f64) -> Budget {
        Budget::new(share, Duration::ZERO, Rng::with_seed(1))
    }

    proptest! {
        /// However eager the reader is, no minute sees more than its share.
        #[test]
        fn no_minute_sees_more_than_the_share(share in 0.002_f64..=1.0, pauses in proptest::collection::vec(0_u64..3_000, 1..600)) {
            let mut budget = budget(share);
            let (mut now, mut sent) = (Duration::ZERO, Vec::new());
            for pause in pauses {
                now = budget.next(now + Duration::from_millis(pause / 100 * pause));
                budget.spend(now);
                sent.push(now);
            }
            let most = (share * 600.0).max(1.0).ceil() as usize + 1;
            for (at, first) in sent.iter().enumerate() {
                let within = sent[at..].iter().take_while(|time| **time < *first + 60 * SECOND).count();
                prop_assert!(within <= most, "{} in a minute, {} allowed", within, most);
            }
        }
    }

    proptest! {
        /// Nor does it when the reader is ended and started again all the time.
        #[test]
        fn no_minute_sees_more_than_the_share_across_restarts(share in 0.02_f64..=1.0, seed in any::<u64>()) {
            let mut random = Rng::with_seed(seed);
            let (mut wall, mut sent) = (Micros(1_000_000_000_000_000), Vec::new());
            let mut kept: Option<Kept> = None;
            for _ in 0..200 {
                // Each process has a steady clock of its own.
                let begun = wall;
                let mut budget = budget(share);
                if let Some(kept) = &kept {
                    budget.resume(kept, Duration::ZERO, wall);
                }
                for _ in 0..random.u8(0..4) {
                    let at = budget.next(wall.since(begun));
                    wall = begun.after(at);
                    budget.spend(at);
                    kept = Some(budget.kept(at, wall));
                    sent.push(wall);
                    wall = wall.after(Duration::from_millis(random.u64(0..300)));
                }
            }
            let most = (share * 600.0).max(1.0).ceil() as usize + 1;
            for (at, first) in sent.iter().enumerate() {
                let within = sent[at..].iter().take_while(|time| **time < first.after(60 * SECOND)).count();
                prop_assert!(within <= most, "{} in a minute, {} allowed", within, most);
            }
        }
    }

    #[test]
    fn a_wait_outlives_the_process_and_never_the_clock() {
        let wall = Micros(1_000_000_000_000_000);
        let mut first = budget(1.0);
        first.refused(SECOND, Some(600 * SECOND));
        let kept = first.kept(SECOND, wall);
        let text = serde_json::to_string(&kept).unwrap();
        assert_eq!(serde_json::from_str::<Kept>(&text).unwrap(), kept);
        let again = |wall: Micros| {
            let mut budget = budget(1.0);
            budget.resume(&kept, 7 * SECOND, wall);
            budget.held(7 * SECOND)
        };
        assert_eq!(again(wall), Some(600 * SECOND));
        assert_eq!(again(wall.after(200 * SECOND)), Some(400 * SECOND));
        assert_eq!(again(wall.after(600 * SECOND)), None);
        // The clock was wrong then, by a year: that is not waited for.
        assert_eq!(again(wall.before(365 * 86_400 * SECOND)), Some(LONGEST_WISH));
        // The second 429 in a row is no first one.
        let mut second = budget(1.0);
        second.resume(&kept, Duration::ZERO, wall.after(600 * SECOND));
        assert!((0..20).any(|_| second.refused(Duration::ZERO, Some(SECOND)) > SECOND));
    }

    #[test]
    fn what_is_waited_for_is_there() {
        let mut budget = budget(0.01);
        let mut now = Duration::ZERO;
        for _ in 0..50 {
            let at = budget.next(now);
            assert_eq!(budget.next(at), at);
            budget.spend(at);
            now = at;
        }
    }

    /// Trap 12: `retry-after: 1` is a floor.
    #[test]
    fn trap_12_retry_after_of_one_is_not_believed_twice() {
        let mut budget = budget(1.0);
        let waits: Vec<u64> =
            (0..8).map(|_| budget.refused(Duration::ZERO, Some(SECOND)).as_millis() as u64).collect();
        assert_eq!(waits[0], 1_000);
        assert!(waits[3] >= 4_000 && waits[7] >= 30_000, "{waits:?}");
        budget.worked();
        assert_eq!(budget.refused(Duration::ZERO, Some(SECOND)), SECOND);
    }

    #[test]
    fn a_wish_is_kept_and_missing_headers_are_survived() {
        let mut budget = budget(1.0);
        budget.refused(10 * SECOND, Some(42 * SECOND));
        assert_eq!(budget.next(11 * SECOND), 52 * SECOND);
        let mut budget = super::tests::budget(1.0);
        budget.answered(SECOND, Rate::default());
        assert_eq!(budget.next(SECOND), SECOND);
        let wait = budget.refused(SECOND, None);
        assert!((SECOND / 2..=SECOND).contains(&wait));
    }

    #[test]
    fn the_last_of_the_budget_is_left_to_others() {
        let mut budget = budget(0.5);
        budget.answered(SECOND, Rate { limit: Some(600), remaining: Some(59), reset: Some(20 * SECOND) });
        assert_eq!(budget.next(SECOND), 21 * SECOND);
        let mut budget = super::tests::budget(0.5);
        budget.answered(SECOND, Rate { limit: Some(600), remaining: Some(61), reset: Some(20 * SECOND) });
        assert_eq!(budget.next(SECOND), SECOND);
    }
}
