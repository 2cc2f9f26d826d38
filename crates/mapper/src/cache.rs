//! A bounded cache of finished work, keyed by text.
//!
//! Four-way set-associative: a key has four places, and the oldest of them makes room. It is ours
//! because a look-up answers with a place instead of a reference, so that the caller can look up
//! several things before using them, and because a hit must not write, lock or allocate.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;

const WAYS: usize = 4;

/// How a key is kept.
pub(crate) trait Key: Default {
    /// Keeps a key, unless it is too long.
    fn keep(key: &str) -> Option<Self>;
    /// Whether this is the key.
    fn is(&self, key: &str) -> bool;
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

impl Key for ShortKey {
    fn keep(key: &str) -> Option<Self> {
        let mut short = Self { len: key.len() as u8, ..Self::default() };
        short.bytes.get_mut(..key.len())?.copy_from_slice(key.as_bytes());
        Some(short)
    }

    #[inline]
    fn is(&self, key: &str) -> bool {
        self.bytes.get(..usize::from(self.len)) == Some(key.as_bytes())
    }
}

/// A key of up to 1 KiB, kept apart.
impl Key for Box<str> {
    fn keep(key: &str) -> Option<Self> {
        (key.len() <= 1024).then(|| key.into())
    }

    #[inline]
    fn is(&self, key: &str) -> bool {
        **self == *key
    }
}

/// The cache; `V` is the finished work.
pub(crate) struct FragmentCache<K, V> {
    entries: Vec<Entry<K, V>>,
    next: Vec<u8>,
    hasher: RandomState,
}

#[derive(Default)]
struct Entry<K, V> {
    hash: u64,
    key: K,
    value: V,
}

/// A place in the cache, valid until the next look-up that misses.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found(usize);

impl<K: Key, V: Default> FragmentCache<K, V> {
    /// A cache of up to `capacity` values.
    pub(crate) fn new(capacity: usize) -> Self {
        let sets = (capacity / WAYS).next_power_of_two();
        // One more entry, behind the sets, for the value of a key that is too long to be kept.
        let entries = std::iter::repeat_with(Entry::default).take(sets * WAYS + 1).collect();
        Self { entries, next: vec![0; sets], hasher: RandomState::default() }
    }

    /// The place of the value for `key`, made by `make` if it is not there.
    #[inline]
    pub(crate) fn find(&mut self, key: &str, make: impl FnOnce(&str) -> V) -> Found {
        // Never 0: that is what an empty place has.
        let hash = self.hasher.hash_one(key.as_bytes()) | 1 << 63;
        let set = hash as usize & (self.next.len() - 1);
        let first = set * WAYS;
        for (way, entry) in self.entries[first..first + WAYS].iter().enumerate() {
            if entry.hash == hash && entry.key.is(key) {
                return Found(first + way);
            }
        }
        self.insert(set, hash, key, make)
    }

    #[cold]
    fn insert(&mut self, set: usize, hash: u64, key: &str, make: impl FnOnce(&str) -> V) -> Found {
        let value = make(key);
        let Some(kept) = K::keep(key) else {
            let spare = self.entries.len() - 1;
            self.entries[spare].value = value;
            return Found(spare);
        };
        let way = usize::from(self.next[set]);
        self.next[set] = ((way + 1) % WAYS) as u8;
        let at = set * WAYS + way;
        self.entries[at] = Entry { hash, key: kept, value };
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

    fn never_mixes_keys<K: Key>() {
        let mut cache = FragmentCache::<K, String>::new(64);
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
        let long = "a key too long to keep".repeat(100);
        for _ in 0..2 {
            for key in ["a", "b", "", &long] {
                let found = cache.find(key, |key| format!("value of {key}"));
                assert_eq!(*cache.get(found), format!("value of {key}"));
            }
        }
        assert_eq!(cache.entries.len(), 65);
    }

    #[test]
    fn keeps_what_fits_and_never_mixes_keys() {
        never_mixes_keys::<ShortKey>();
        never_mixes_keys::<Box<str>>();
    }

    #[test]
    fn an_address_and_what_is_known_of_it_share_a_cache_line() {
        assert!(size_of::<Entry<ShortKey, u32>>() <= 64);
    }
}
