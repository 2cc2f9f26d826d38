//! Numbers that anybody may read while a run changes them.
//!
//! Owns the kinds of numbers there are. Must not know what they count.
//!
//! The subtle thing: names come from outside, so that only so many are told apart; what comes after is counted together, and
//! nothing is ever left out of a sum.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::mapping::shorten;

/// How many names are counted one by one; what comes after is counted together.
const MOST_NAMES: usize = 1_000;

/// How many bytes of a name are kept.
const LONGEST_NAME: usize = 128;

/// What stands for all names beyond the first thousand.
pub const OTHER_NAMES: &str = "(others)";

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to it.
    pub fn add(&self, number: u64) {
        self.0.fetch_add(number, Ordering::Relaxed);
    }

    /// What it is.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// Sets it.
    pub fn set(&self, number: u64) {
        self.0.store(number, Ordering::Relaxed);
    }

    /// Sets it, unless it is more already.
    pub fn raise(&self, number: u64) {
        self.0.fetch_max(number, Ordering::Relaxed);
    }

    /// What it is.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Numbers by name. Names come from outside, so only so many are told apart.
#[derive(Debug, Default)]
pub struct Names(Mutex<BTreeMap<String, u64>>);

impl Names {
    /// Adds to the number of a name.
    pub fn add(&self, name: &str, number: u64) {
        let mut names = lock(&self.0);
        let name = shorten(name, LONGEST_NAME);
        let known = names.len() < MOST_NAMES || names.contains_key(name);
        let name = if known { name } else { OTHER_NAMES };
        match names.get_mut(name) {
            Some(total) => *total = total.saturating_add(number),
            None => drop(names.insert(name.to_owned(), number)),
        }
    }

    /// All of them.
    #[must_use]
    pub fn get(&self) -> BTreeMap<String, u64> {
        lock(&self.0).clone()
    }
}

/// How often a size or a duration was how large, in whole units of its own.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [u64],
    /// One more than there are bounds: what is larger than the last.
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

/// A histogram at a moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Distribution {
    /// Up to which size, that included, how many were; the last has no bound. Each was counted once.
    pub counts: Vec<(Option<u64>, u64)>,
    /// All sizes together.
    pub sum: u64,
}

impl Histogram {
    /// An empty one, with the upper bounds of its classes in rising order.
    #[must_use]
    pub fn new(bounds: &'static [u64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, counts, sum: AtomicU64::new(0) }
    }

    /// Counts a size.
    pub fn add(&self, size: u64) {
        let class = self.bounds.partition_point(|bound| *bound < size);
        if let Some(count) = self.counts.get(class) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.sum.fetch_add(size, Ordering::Relaxed);
    }

    /// What it is. Sizes that are counted meanwhile may be in the sum and not yet in a class, or the other way round.
    #[must_use]
    pub fn get(&self) -> Distribution {
        let bounds = self.bounds.iter().copied().map(Some).chain([None]);
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed));
        Distribution { counts: bounds.zip(counts).collect(), sum: self.sum.load(Ordering::Relaxed) }
    }
}

/// Nothing panics while it holds one of these locks; if something did, numbers are still numbers.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded() {
        let names = Names::default();
        for number in 0..5_000 {
            names.add(&format!("name {number}"), 1);
        }
        names.add("name 3", 2);
        let names = names.get();
        assert_eq!(names.len(), MOST_NAMES + 1);
        assert_eq!((names["name 3"], names[OTHER_NAMES]), (3, 4_000));
        assert_eq!(names.values().sum::<u64>(), 5_002);
    }

    #[test]
    fn sizes_are_counted_in_the_class_they_fit() {
        let histogram = Histogram::new(&[1, 10]);
        for size in [0, 1, 2, 10, 11, 1_000] {
            histogram.add(size);
        }
        let found = histogram.get();
        assert_eq!(found.counts, [(Some(1), 2), (Some(10), 2), (None, 2)]);
        assert_eq!(found.sum, 1_024);
    }
}
