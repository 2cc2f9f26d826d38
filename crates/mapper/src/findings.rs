//! What a mapper met, for whoever counts.
//!
//! Owns the numbers until they are taken. Must not cost anything where a record is as expected: what is counted here is met
//! on cold ways only, or had been counted anyway.

use hashbrown::HashMap;

use crate::PlanStatistics;
use crate::text::shorten;

/// How many names of unknown fields are told apart between two takings, and how much of a name is kept, in bytes.
const MOST_NAMES: usize = 256;
const LONGEST_NAME: usize = 128;

/// What stands for the names beyond the most.
const OTHER_NAMES: &str = "(others)";

/// What was met since it was asked last; see [`crate::Mapper::take_findings`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// How records were written.
    pub plans: PlanStatistics,
    /// Addresses that were not in the cache, and had to be looked up.
    pub address_misses: u64,
    /// User agents that were not in the cache, and had to be taken apart.
    pub agent_misses: u64,
    /// Values of fields that the tables do not know, by the path of the field in the record. Bounded.
    pub unknown_fields: Vec<(Box<str>, u64)>,
}

impl PlanStatistics {
    /// What was added since `before`.
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            planned: self.planned - before.planned,
            general: self.general - before.general,
            surprises: self.surprises - before.surprises,
            learnt: self.learnt - before.learnt,
        }
    }
}

/// Names of fields that the tables do not know.
#[derive(Default)]
pub(crate) struct UnknownFields {
    counts: HashMap<Box<str>, u64>,
    path: String,
}

impl UnknownFields {
    /// Counts a field by its path: what stands before its key, with the dot, and the key.
    #[cold]
    pub(crate) fn add(&mut self, prefix: &str, key: &str) {
        self.path.clear();
        self.path.push_str(shorten(prefix, LONGEST_NAME));
        self.path.push_str(shorten(key, LONGEST_NAME));
        let name = shorten(&self.path, LONGEST_NAME);
        if let Some(count) = self.counts.get_mut(name) {
            *count += 1;
        } else if self.counts.len() < MOST_NAMES {
            self.counts.insert(name.into(), 1);
        } else {
            *self.counts.entry(OTHER_NAMES.into()).or_default() += 1;
        }
    }

    /// Gives them away.
    pub(crate) fn take(&mut self) -> Vec<(Box<str>, u64)> {
        self.counts.drain().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_few() {
        let mut fields = UnknownFields::default();
        for at in 0..1_000 {
            fields.add("actor.", &format!("{at:0>300}"));
            fields.add("", "known before");
        }
        for at in 0..1_000 {
            fields.add("", &format!("field {at}"));
        }
        let found = fields.take();
        assert!(found.iter().all(|(name, _)| name.len() <= LONGEST_NAME));
        assert!(found.len() <= MOST_NAMES + 1, "{}", found.len());
        assert_eq!(found.iter().map(|(_, count)| count).sum::<u64>(), 3_000);
        assert_eq!(fields.take(), []);
    }
}
