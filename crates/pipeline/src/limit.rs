//! How many requests may be under way at a time.
//!
//! Owns the adaptation: one more for each round of answers that went well, half as many when the other side asks for less.
//! Must not know requests or time.
//!
//! The subtle thing: requests that were sent before a cut say nothing about the limit after it, so that one burst of
//! refusals halves the limit once and not once for each request.

/// A limit between 1 and the most that is worth it.
#[derive(Debug, Clone)]
pub(crate) struct Limit {
    most: usize,
    current: f64,
    /// Counts the cuts; a request carries the number it was sent under.
    epoch: u64,
}

impl Limit {
    /// Starts at `most`; 0 means 1.
    #[must_use]
    pub(crate) fn new(most: usize) -> Self {
        let most = most.max(1);
        Self { most, current: most as f64, epoch: 0 }
    }

    /// The limit.
    #[must_use]
    pub(crate) fn now(&self) -> usize {
        (self.current as usize).clamp(1, self.most)
    }

    /// What a request that is sent now is to carry.
    #[must_use]
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// A request went well.
    pub(crate) fn succeeded(&mut self) {
        self.current = (self.current + 1.0 / self.current).min(self.most as f64);
    }

    /// The other side asked for less, in answer to a request sent in `epoch`.
    pub(crate) fn throttled(&mut self, epoch: u64) {
        if epoch == self.epoch {
            self.epoch += 1;
            self.current = (self.current / 2.0).max(1.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_of_refusals_halves_once_and_answers_raise_again() {
        let mut limit = Limit::new(8);
        let epoch = limit.epoch();
        for _ in 0..8 {
            limit.throttled(epoch);
        }
        assert_eq!(limit.now(), 4);
        for _ in 0..10 {
            limit.throttled(limit.epoch());
        }
        assert_eq!(limit.now(), 1);
        let mut answers = 0;
        while limit.now() < 8 {
            limit.succeeded();
            answers += 1;
            assert!(answers < 100);
        }
        assert!(answers > 20, "recovery is gentle: {answers}");
        limit.succeeded();
        assert_eq!(limit.now(), 8);
    }

    #[test]
    fn there_is_always_one() {
        assert_eq!(Limit::new(0).now(), 1);
    }
}
