//! What is known of the reader while it runs, for metrics.
//!
//! Owns the counters. Must not decide anything by them.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that anybody may read.
#[derive(Debug, Default)]
pub struct Number(AtomicU64);

impl Number {
    pub(super) fn add(&self, number: u64) {
        self.0.fetch_add(number, Ordering::Relaxed);
    }

    pub(super) fn set(&self, number: u64) {
        self.0.store(number, Ordering::Relaxed);
    }

    pub(super) fn raise(&self, number: u64) {
        self.0.fetch_max(number, Ordering::Relaxed);
    }

    /// What it is.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counters of a reader.
#[derive(Debug, Default)]
pub struct Watch {
    /// Requests sent.
    pub requests: Number,
    /// Pages that came whole.
    pub pages: Number,
    /// Records in them.
    pub records: Number,
    /// Records that had been given before.
    pub duplicates: Number,
    /// Records that were not there when their time was read first.
    pub late: Number,
    /// How late the latest of them was, in seconds.
    pub most_lateness: Number,
    /// Answers 429.
    pub throttled: Number,
    /// Requests that failed in any other way.
    pub failures: Number,
    /// Parts that cannot be read, and are tried again.
    pub gaps: Number,
    /// How far the closed windows are behind the clock, in seconds.
    pub behind: Number,
    /// How long the last of our own rows took to come, in seconds.
    pub canary: Number,
    /// Days of history still to be read.
    pub history_days: Number,
}
