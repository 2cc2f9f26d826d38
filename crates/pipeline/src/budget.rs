//! How much memory records under way may take.
//!
//! Owns one number and its bound. What comes in waits here, not in a queue; so nothing grows while a sink is away.
//!
//! The subtle thing: a batch larger than the bound is let in when nothing else is under way, or it could never be
//! delivered. And a batch's size is reckoned before it is mapped and put right after, so that the bound can be passed by what
//! documents are larger than reckoned.
//!
//! A batch that waits here is told of: documents may wait for its company, and it for their memory.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::Notify;

/// Bytes under way, and their bound.
#[derive(Debug)]
pub(crate) struct Budget {
    used: AtomicUsize,
    peak: AtomicUsize,
    most: usize,
    freed: Notify,
    short: AtomicBool,
    ran_short: Notify,
}

impl Budget {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            used: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            most,
            freed: Notify::new(),
            short: AtomicBool::new(false),
            ran_short: Notify::new(),
        }
    }

    /// Takes `bytes`, waiting until they are free. One caller at a time; dropping the future takes nothing.
    pub(crate) async fn take(&self, bytes: usize) {
        let free = |used: usize| (used == 0 || used.saturating_add(bytes) <= self.most).then(|| used + bytes);
        loop {
            if let Ok(before) = self.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, free) {
                self.peak.fetch_max(before + bytes, Ordering::Relaxed);
                self.short.store(false, Ordering::Relaxed);
                return;
            }
            if !self.short.swap(true, Ordering::Relaxed) {
                self.ran_short.notify_one();
            }
            self.freed.notified().await;
        }
    }

    /// Puts right what was taken for something that turned out to take another amount.
    pub(crate) fn adjust(&self, taken: usize, real: usize) {
        if real > taken {
            let before = self.used.fetch_add(real - taken, Ordering::AcqRel);
            self.peak.fetch_max(before + real - taken, Ordering::Relaxed);
        } else {
            self.release(taken - real);
        }
    }

    /// Gives back.
    pub(crate) fn release(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::AcqRel);
        self.freed.notify_one();
    }

    /// Whether something waits for memory, or did when it was last asked for.
    pub(crate) fn is_short(&self) -> bool {
        self.short.load(Ordering::Relaxed)
    }

    /// Waits until something begins to wait for memory.
    pub(crate) async fn runs_short(&self) {
        self.ran_short.notified().await;
    }

    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// The most there ever was.
    pub(crate) fn peak(&self) -> usize {
        self.peak.load(Ordering::Relaxed)
    }
}
