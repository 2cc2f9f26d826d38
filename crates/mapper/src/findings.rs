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
    /// Addresses that were looked for in the cache, one a record that has one.
    pub address_lookups: u64,
    /// Of those, the ones that were not there, and had to be looked up in the databases.
    pub address_misses: u64,
    /// User agents that were looked for in the cache.
    pub agent_lookups: u64,
    /// Of those, the ones that were not there, and had to be taken apart.
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

/// What a plan's records are looked for in: one number, so that counting such a record is counting its class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Looks(u8);

impl Looks {
    /// How many there are.
    pub(crate) const CLASSES: usize = 4;
    const ADDRESS: u8 = 1;
    const AGENT: u8 = 2;

    pub(crate) fn new(address: bool, agent: bool) -> Self {
        Self(u8::from(address) * Self::ADDRESS + u8::from(agent) * Self::AGENT)
    }
}

/// How often caches were asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Lookups {
    pub(crate) address: u64,
    pub(crate) agent: u64,
}

/// How many records were written by plans, by what their plans look for: all that is counted of such a record is one of these.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Planned([u64; Looks::CLASSES]);

impl Planned {
    #[inline]
    pub(crate) fn add(&mut self, looks: Looks) {
        self.0[usize::from(looks.0) % Looks::CLASSES] += 1;
    }

    pub(crate) fn all(&self) -> u64 {
        self.0.iter().sum()
    }

    pub(crate) fn lookups(&self) -> Lookups {
        let with = |looked: u8| {
            let classes = self.0.iter().zip(0u8..).filter(|(_, class)| class & looked != 0);
            classes.map(|(count, _)| count).sum()
        };
        Lookups { address: with(Looks::ADDRESS), agent: with(Looks::AGENT) }
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
    use std::sync::Arc;

    use model::catalog::Catalog;
    use model::tables::Tables;
    use simulator::Feed;

    use super::*;
    use crate::enrich::GeoDatabases;
    use crate::{Mapper, MapperOptions, Mapping};

    fn mapper(plans: bool) -> Mapper {
        let mapping = Mapping::new(Tables::builtin(), GeoDatabases::default(), MapperOptions::default());
        let mut mapper = Mapper::new(Arc::new(mapping));
        mapper.use_plans(plans);
        mapper
    }

    #[test]
    fn lookups_are_of_records_that_have_what_is_looked_for() {
        let address = r#","ip_address":"198.51.100.7""#;
        let agent = r#","user_agent":"curl/8""#;
        let (mut with, mut without) = (mapper(true), mapper(false));
        for (at, parts) in
            [[address, agent], [address, ""], ["", agent], ["", ""]].iter().cycle().take(400).enumerate()
        {
            let record = format!(
                r#"{{"id":"activity_{at}","created_at":"2026-09-01T10:00:00Z","type":"claude_chat_created","actor":{{"type":"user_actor","user_id":"user_{at}"{}}}}}"#,
                parts.concat()
            );
            for mapper in [&mut with, &mut without] {
                mapper.map(record.as_bytes(), &mut Vec::new()).unwrap();
            }
        }
        assert!(with.plan_statistics().planned > 300, "{:?}", with.plan_statistics());
        for mapper in [&mut with, &mut without] {
            let found = mapper.take_findings();
            assert_eq!((found.address_lookups, found.address_misses), (200, 1));
            assert_eq!((found.agent_lookups, found.agent_misses), (200, 1));
            // Once.
            let found = mapper.take_findings();
            assert_eq!((found.address_lookups, found.agent_lookups), (0, 0));
        }
    }

    #[test]
    fn lookups_of_a_feed_are_the_same_by_plans() {
        let (mut with, mut without) = (mapper(true), mapper(false));
        for record in Feed::new(&Catalog::builtin(), 31).take(6_000) {
            for mapper in [&mut with, &mut without] {
                mapper.map(record.as_bytes(), &mut Vec::new()).unwrap();
            }
        }
        assert!(with.plan_statistics().planned > 1_000, "{:?}", with.plan_statistics());
        let (with, without) = (with.take_findings(), without.take_findings());
        assert_eq!(
            (with.address_lookups, with.agent_lookups),
            (without.address_lookups, without.agent_lookups)
        );
        assert!(with.address_lookups > with.address_misses && with.agent_lookups > with.agent_misses);
    }

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
