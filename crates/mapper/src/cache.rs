//! A bounded cache of finished fragments, keyed by text.
//!
//! Four-way set-associative: a key has four places, and the oldest of them makes room. It is ours
//! because a lookup answers with a place instead of a reference, so that the caller can look up
//! several things before using them, and because a hit must not write, lock or allocate.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;

const WAYS: usize = 4;

/// The cache; `V` is the finished work.
pub(crate) struct FragmentCache<V> {
    entries: Vec<Entry<V>>,
    next: Vec<u8>,
    hasher: RandomState,
    longest_key: usize,
}

struct Entry<V> {
    hash: u64,
    key: Box<str>,
    value: V,
}

/// A place in the cache, valid until the next look-up that misses.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found(usize);

impl<V: Default> FragmentCache<V> {
    /// A cache of up to `capacity` values, for keys of up to `longest_key` bytes.
    pub(crate) fn new(capacity: usize, longest_key: usize) -> Self {
        let sets = (capacity / WAYS).next_power_of_two();
        // One more entry, behind the sets, for the value of a key that is too long to be kept.
        let empty = || Entry { hash: 0, key: "".into(), value: V::default() };
        Self {
            entries: std::iter::repeat_with(empty).take(sets * WAYS + 1).collect(),
            next: vec![0; sets],
            hasher: RandomState::default(),
            longest_key,
        }
    }

    /// The place of the value for `key`, made by `make` if it is not there.
    #[inline]
    pub(crate) fn find(&mut self, key: &str, make: impl FnOnce(&str) -> V) -> Found {
        let hash = self.hasher.hash_one(key.as_bytes());
        let set = hash as usize & (self.next.len() - 1);
        let first = set * WAYS;
        for (way, entry) in self.entries[first..first + WAYS].iter().enumerate() {
            if entry.hash == hash && *entry.key == *key {
                return Found(first + way);
            }
        }
        self.insert(set, hash, key, make)
    }

    #[cold]
    fn insert(&mut self, set: usize, hash: u64, key: &str, make: impl FnOnce(&str) -> V) -> Found {
        let value = make(key);
        if key.len() > self.longest_key {
            let spare = self.entries.len() - 1;
            self.entries[spare].value = value;
            return Found(spare);
        }
        let way = usize::from(self.next[set]);
        self.next[set] = ((way + 1) % WAYS) as u8;
        let at = set * WAYS + way;
        self.entries[at] = Entry { hash, key: key.into(), value };
        Found(at)
    }

    #[inline]
    pub(crate) fn get(&self, found: Found) -> &V {
        &self.entries[found.0].value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_fits_and_never_mixes_keys() {
        let mut cache = FragmentCache::<String>::new(64, 8);
        let mut made = 0;
        for round in 0..3 {
            for key in 0..1000 {
                let key = format!("k{key}");
                let found = cache.find(&key, |key| {
                    made += 1;
                    format!("value of {key}")
                });
                assert_eq!(*cache.get(found), format!("value of {key}"), "round {round}");
            }
        }
        assert!(made > 1000, "64 places cannot hold 1000 keys");
        for _ in 0..2 {
            for key in ["a", "b", "", "a key too long to keep"] {
                let found = cache.find(key, |key| format!("value of {key}"));
                assert_eq!(*cache.get(found), format!("value of {key}"));
            }
        }
        assert_eq!(cache.entries.len(), 65);
    }

    #[test]
    fn an_empty_place_is_not_the_empty_key() {
        let mut cache = FragmentCache::<String>::new(4, 8);
        let hash = cache.hasher.hash_one(b"".as_slice());
        assert_ne!(hash, 0);
        assert_eq!(cache.find("", |_| "made".to_owned()).0 / WAYS, 0);
        let found = cache.find("", |_| String::new());
        assert_eq!(cache.get(found), "made");
    }
}
