//! What one mapper remembers from record to record: keys and what is to be done with them, and values that were treated.
//!
//! Owns the caches of the pass, all of them bounded. A key is first guessed to be the one that followed last time, since records of
//! a feed resemble each other. The subtle thing: nothing here decides anything; with empty caches the same comes out.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashTable};
use model::tables::Class;

use super::treat::{self, Treated};
use super::tree::{ANYWHERE, Patterns, PlaceId, Tree};
use super::verdict::{UNDECIDED, Verdict};
use super::{Action, Privacy};
use crate::cache::{Finished, FragmentCache};
use crate::json;
use crate::out::Out;
use crate::tags::Tags;
use crate::text::same;

/// Keys kept, and how long they may be, in bytes.
const KEYS: usize = 8192;
const LONGEST_KEY: usize = 256;
/// Activity types kept.
const TYPES: usize = 2048;
/// Values kept of each class whose values repeat, and how long they may be, in bytes.
const VALUES: usize = 2048;
const LONGEST_VALUE: usize = 512;
/// The classes whose values repeat.
const REPEATING: [Class; 4] = [Class::Email, Class::Address, Class::UserAgent, Class::Name];

/// What is to be done with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Known {
    field: Option<u32>,
    /// The verdict, if it does not depend on the activity type.
    verdict: Option<Verdict>,
    pub(super) into: PlaceId,
    /// What the key is itself.
    pub(super) looks: Option<Class>,
}

impl Known {
    fn new(tree: &Tree, place: PlaceId, key: &str) -> Self {
        let field = tree.field(place, key);
        Self {
            field,
            verdict: match field {
                Some(field) => tree.verdict_on_all(field),
                None => Some(tree.unknown(place, key)),
            },
            into: field.map_or(ANYWHERE, |field| tree.into(field)),
            looks: treat::class_by_looks(key),
        }
    }

    /// What is to be done on a record's type.
    #[inline]
    pub(super) fn verdict(&self, tree: &Tree, patterns: &[u64]) -> Verdict {
        match (self.verdict, self.field) {
            (Some(verdict), _) => verdict,
            (None, Some(field)) => tree.verdict(field, patterns),
            (None, None) => UNDECIDED,
        }
    }
}

/// Keys that were met.
pub(super) struct Keys {
    entries: Vec<Entry>,
    places: HashTable<u32>,
    hasher: RandomState,
}

struct Entry {
    place: PlaceId,
    key: Box<str>,
    known: Known,
    /// The one that followed last time.
    next: u32,
}

impl Keys {
    pub(super) fn new() -> Self {
        let start = Entry {
            place: PlaceId::MAX,
            key: "".into(),
            known: Known { field: None, verdict: Some(UNDECIDED), into: ANYWHERE, looks: None },
            next: 0,
        };
        Self { entries: vec![start], places: HashTable::new(), hasher: RandomState::default() }
    }

    /// What is to be done with the field of a key in a place, if the key is the one that followed last time; `last` is where the
    /// key before it was found, 0 at the start.
    #[inline]
    pub(super) fn guess(&self, place: PlaceId, key: &[u8], last: &mut u32) -> Option<Known> {
        let guess = self.entries.get(*last as usize)?.next;
        let entry = self.entries.get(guess as usize)?;
        let is_it = entry.place == place && same(entry.key.as_bytes(), key);
        is_it.then(|| {
            *last = guess;
            entry.known
        })
    }

    /// The same for any key.
    #[inline(never)]
    pub(super) fn find(&mut self, tree: &Tree, place: PlaceId, key: &str, last: &mut u32) -> Known {
        let Self { entries, places, hasher } = self;
        let hash = hasher.hash_one((place, key));
        let is_it = |number: &u32| {
            entries.get(*number as usize).is_some_and(|entry| entry.place == place && *entry.key == *key)
        };
        let number = match places.find(hash, is_it) {
            Some(number) => *number,
            None => {
                let known = Known::new(tree, place, key);
                if entries.len() >= KEYS || key.len() > LONGEST_KEY {
                    return known;
                }
                let number = entries.len() as u32;
                entries.push(Entry { place, key: key.into(), known, next: 0 });
                places.insert_unique(hash, number, |number| {
                    entries
                        .get(*number as usize)
                        .map_or(0, |entry| hasher.hash_one((entry.place, &*entry.key)))
                });
                number
            }
        };
        if let Some(before) = entries.get_mut(*last as usize) {
            before.next = number;
        }
        *last = number;
        entries.get(number as usize).map_or_else(|| Known::new(tree, place, key), |entry| entry.known)
    }
}

/// Which patterns are for a type, by type.
#[derive(Default)]
pub(super) struct TypePatterns(HashMap<Box<str>, Patterns>);

impl TypePatterns {
    pub(super) fn of(&mut self, tree: &Tree, activity_type: &str) -> Patterns {
        if let Some(patterns) = self.0.get(activity_type) {
            return Patterns::clone(patterns);
        }
        let patterns = tree.patterns(activity_type);
        if self.0.len() < TYPES && activity_type.len() <= LONGEST_KEY {
            self.0.insert(activity_type.into(), Patterns::clone(&patterns));
        }
        patterns
    }
}

/// What the ends of those variants say that the tree does not know.
#[derive(Default)]
pub(super) struct Variants(HashMap<Box<str>, Verdict>);

impl Variants {
    pub(super) fn ending(&mut self, tree: &Tree, name: &str) -> Verdict {
        if let Some(verdict) = self.0.get(name) {
            return *verdict;
        }
        let verdict = tree.by_key(name);
        if self.0.len() < TYPES && name.len() <= LONGEST_KEY {
            self.0.insert(name.into(), verdict);
        }
        verdict
    }
}

/// Values that were treated.
pub(super) struct Values {
    caches: [FragmentCache<Kept>; REPEATING.len()],
}

/// A value, and what stands in its place.
#[derive(Default)]
struct Kept {
    text: Box<str>,
    action: Action,
    tag: Tags,
    /// As JSON; empty where the value itself stays.
    json: Box<[u8]>,
}

impl Finished for Kept {
    #[inline]
    fn is_for(&self, key: &str) -> bool {
        same(self.text.as_bytes(), key.as_bytes())
    }

    fn keeps(key: &str) -> bool {
        key.len() <= LONGEST_VALUE
    }
}

impl Values {
    pub(super) fn new() -> Self {
        Self { caches: REPEATING.map(|_| FragmentCache::new(VALUES)) }
    }

    /// Writes what stands in a value's place, as JSON, by `put`, which is not called where the value stays as it is; answers the
    /// tag for what was done.
    pub(super) fn treat(
        &mut self,
        privacy: &Privacy,
        (action, class): (Action, Option<Class>),
        text: &str,
        put: impl FnOnce(&[u8]),
    ) -> Tags {
        // A long one is not even put into the place for those that are not kept: it would stay there, in clear.
        let class_kept = class.filter(|_| Kept::keeps(text));
        let cache = class_kept.and_then(|class| REPEATING.iter().position(|other| *other == class));
        if let Some(cache) = cache.and_then(|cache| self.caches.get_mut(cache)) {
            let found = cache.find(text, |text| {
                let (tag, json) = written(privacy, action, class, text);
                Kept { text: text.into(), action, tag, json: json.as_slice().into() }
            });
            let kept = cache.get(found);
            // A rule may treat a value otherwise in one place than its class is treated in another.
            if kept.action == action {
                if !kept.tag.is_empty() {
                    put(&kept.json);
                }
                return kept.tag;
            }
        }
        let (tag, json) = written(privacy, action, class, text);
        if !tag.is_empty() {
            put(json.as_slice());
        }
        tag
    }
}

/// What stands in a value's place, as JSON, and the tag for it.
fn written(
    privacy: &Privacy,
    action: Action,
    class: Option<Class>,
    text: &str,
) -> (Tags, smallvec::SmallVec<[u8; 128]>) {
    let mut json = smallvec::SmallVec::new();
    let tag = match treat::treat(privacy, action, class, text) {
        Treated::Same => Tags::default(),
        Treated::Nothing => {
            json.extend_from_slice(b"null");
            Tags::PRIVACY_DROPPED
        }
        Treated::Pseudonym(pseudonym) => {
            json.push(b'"');
            json.extend_from_slice(&pseudonym);
            json.push(b'"');
            Tags::PRIVACY_HASHED
        }
        Treated::Part(part) => {
            let mut out = Out::default();
            json::push_string(&mut out, &part);
            json.extend_from_slice(out.as_slice());
            Tags::PRIVACY_TRUNCATED
        }
    };
    (tag, json)
}

#[cfg(test)]
mod tests {
    use model::tables::Tables;

    use super::*;
    use crate::privacy::PrivacyOptions;

    #[test]
    fn no_long_value_stays() {
        let options = PrivacyOptions {
            classes: Class::ALL.map(|class| (class, Action::Truncate)).into(),
            ..PrivacyOptions::default()
        };
        let privacy = Privacy::new(&options, &Tables::builtin()).unwrap().unwrap();
        let mut values = Values::new();
        for (len, is_kept) in [(LONGEST_VALUE, true), (LONGEST_VALUE + 1, false)] {
            let text = "a".repeat(len);
            for class in REPEATING {
                values.treat(&privacy, (Action::Truncate, Some(class)), &text, |_| {});
            }
            let stays = |cache: &FragmentCache<Kept>| cache.finished().any(|kept| *kept.text == *text);
            for cache in &values.caches {
                assert_eq!(stays(cache), is_kept, "{len}");
            }
        }
    }
}
