//! A bounded cache of finished work, keyed by text.
//!
//! Four-way set-associative: a key has four places, and the oldest of them makes room. It is ours
//! because a look-up answers with a place instead of a reference, so that the caller can look up
//! several things before using them, and because a hit must not write, lock or allocate.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;

const WAYS: usize = 4;

/// Finished work, and what it was made for.
pub(crate) trait Finished: Default {
    /// Whether it was made for `key`.
    fn is_for(&self, key: &str) -> bool;
    /// Whether work for `key` is kept: not if it is too long.
    fn keeps(key: &str) -> bool;
}

/// A key of up to 46 bytes, kept in place: no IP address is longer, and one cache line holds key and value.
pub(crate) struct ShortKey {
    len: u8,
    bytes: [u8; Self::LONGEST],
}

impl ShortKey {
    const LONGEST: usize = 46;
}

impl Default for ShortKey {
    fn default() -> Self {
        Self { len: 0, bytes: [0; Self::LONGEST] }
    }
}

impl ShortKey {
    /// The beginning of a key, if it is longer than a key can be.
    pub(crate) fn new(key: &str) -> Self {
        let len = key.len().min(Self::LONGEST);
        let mut short = Self { len: len as u8, ..Self::default() };
        short.bytes[..len].copy_from_slice(&key.as_bytes()[..len]);
        short
    }

    #[inline]
    pub(crate) fn is(&self, key: &str) -> bool {
        self.bytes.get(..usize::from(self.len)) == Some(key.as_bytes())
    }

    pub(crate) fn takes(key: &str) -> bool {
        key.len() <= Self::LONGEST
    }
}

/// The cache.
pub(crate) struct FragmentCache<F> {
    entries: Vec<Entry<F>>,
    next: Vec<u8>,
    hasher: RandomState,
    misses: u64,
}

#[derive(Default)]
struct Entry<F> {
    hash: u64,
    finished: F,
}

/// A place in the cache, valid until the next look-up that misses.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found(usize);

impl<F: Finished> FragmentCache<F> {
    /// A cache for up to `capacity` keys.
    pub(crate) fn new(capacity: usize) -> Self {
        let sets = (capacity / WAYS).next_power_of_two();
        // One more entry, behind the sets, for a key that is too long to be kept.
        let entries = std::iter::repeat_with(Entry::default).take(sets * WAYS + 1).collect();
        Self { entries, next: vec![0; sets], hasher: RandomState::default(), misses: 0 }
    }

    /// The place of the work for `key`, done by `make` if it is not there.
    #[inline]
    pub(crate) fn find(&mut self, key: &str, make: impl FnOnce(&str) -> F) -> Found {
        // Never 0: that is what an empty place has.
        let hash = self.hasher.hash_one(key.as_bytes()) | 1 << 63;
        let set = hash as usize & (self.next.len() - 1);
        let first = set * WAYS;
        for (way, entry) in self.entries[first..first + WAYS].iter().enumerate() {
            if entry.hash == hash && entry.finished.is_for(key) {
                return Found(first + way);
            }
        }
        self.insert(set, hash, key, make)
    }

    #[cold]
    fn insert(&mut self, set: usize, hash: u64, key: &str, make: impl FnOnce(&str) -> F) -> Found {
        let finished = make(key);
        self.misses += 1;
        if !F::keeps(key) {
            let spare = self.entries.len() - 1;
            self.entries[spare].finished = finished;
            return Found(spare);
        }
        let way = usize::from(self.next[set]);
        self.next[set] = ((way + 1) % WAYS) as u8;
        let at = set * WAYS + way;
        self.entries[at] = Entry { hash, finished };
        Found(at)
    }

    /// How often `make` was called since this was asked last. Hits are not counted: they must not write.
    pub(crate) fn take_misses(&mut self) -> u64 {
        std::mem::take(&mut self.misses)
    }

    #[inline]
    pub(crate) fn get(&self, found: Found) -> &F {
        &self.entries[found.0].finished
    }

    /// All there is.
    #[cfg(test)]
    pub(crate) fn finished(&self) -> impl Iterator<Item = &F> {
        self.entries.iter().map(|entry| &entry.finished)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Named(ShortKey, String);

    impl Finished for Named {
        fn is_for(&self, key: &str) -> bool {
            self.0.is(key)
        }

        fn keeps(key: &str) -> bool {
            ShortKey::takes(key)
        }
    }

    #[test]
    fn keeps_what_fits_and_never_mixes_keys() {
        let mut cache = FragmentCache::<Named>::new(64);
        let made = std::cell::Cell::new(0);
        let make = |key: &str| {
            made.set(made.get() + 1);
            Named(ShortKey::new(key), format!("value of {key}"))
        };
        for round in 0..3 {
            for key in 0..1000 {
                let key = format!("k{key}");
                let found = cache.find(&key, make);
                assert_eq!(cache.get(found).1, format!("value of {key}"), "round {round}");
            }
        }
        assert!(made.get() > 1000, "64 places cannot hold 1000 keys");
        let long = "a key too long to keep".repeat(100);
        for _ in 0..2 {
            for key in ["a", "b", "", &long, &long[..46], &long[..47]] {
                let found = cache.find(key, make);
                assert_eq!(cache.get(found).1, format!("value of {key}"));
            }
        }
        assert_eq!(cache.entries.len(), 65);
    }
}
