//! Letters on their way to the dead letters.
//!
//! Owns their queue and when to try. Pure; the time is told. Must not know how a letter is written.
//!
//! The subtle thing: a letter leaves the queue when it is durable and not before. Until then its parcel has not ended, so
//! that nothing behind it is committed and its memory stays counted.

use std::collections::VecDeque;

use fastrand::Rng;
use model::fault::Fault;
use tokio::time::Instant;

use crate::dead::Letter;
use crate::retry::Backoff;

/// What is written at once.
const MOST_LETTERS: usize = 1_000;
const MOST_BYTES: usize = 4 << 20;

/// The queue.
pub(crate) struct Letters {
    /// With the parcel of each.
    queue: VecDeque<(u64, Letter)>,
    /// How many from the front are being written.
    under_way: usize,
    failures: u32,
    not_before: Option<Instant>,
    backoff: Backoff,
    random: Rng,
}

impl Letters {
    pub(crate) fn new(backoff: Backoff, random: Rng) -> Self {
        Self { queue: VecDeque::new(), under_way: 0, failures: 0, not_before: None, backoff, random }
    }

    pub(crate) fn push(&mut self, parcel: u64, letter: Letter) {
        self.queue.push_back((parcel, letter));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// When letters may be written next; `None` while some are, or there are none.
    pub(crate) fn due(&self, now: Instant) -> Option<Instant> {
        let idle = self.under_way == 0 && !self.queue.is_empty();
        idle.then(|| self.not_before.map_or(now, |at| at.max(now)))
    }

    /// What to write now.
    pub(crate) fn take(&mut self, now: Instant) -> Option<Vec<Letter>> {
        self.due(now).filter(|due| *due <= now)?;
        let mut bytes = 0;
        let fits = |(_, letter): &&(u64, Letter)| {
            bytes += letter.raw.len() + letter.detail.len();
            bytes <= MOST_BYTES
        };
        self.under_way = self.queue.iter().take(MOST_LETTERS).take_while(fits).count().max(1);
        Some(self.queue.iter().take(self.under_way).map(|(_, letter)| letter.clone()).collect())
    }

    /// Those are durable. Gives them, with the parcel of each.
    pub(crate) fn written(&mut self) -> Vec<(u64, Letter)> {
        self.failures = 0;
        self.not_before = None;
        let count = std::mem::take(&mut self.under_way);
        self.queue.drain(..count.min(self.queue.len())).collect()
    }

    /// Those may not be.
    pub(crate) fn failed(&mut self, fault: &Fault, now: Instant) {
        self.under_way = 0;
        self.failures = self.failures.saturating_add(1);
        self.not_before = Some(now + self.backoff.delay(self.failures, fault, &mut self.random));
    }
}
