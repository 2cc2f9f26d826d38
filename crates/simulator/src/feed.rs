//! An endless feed as a large office would cause it: the input of benches and long tests.
//!
//! It owns the skew: which types are frequent, how many people there are, how fast time goes. A few
//! everyday types make three quarters of the records; every type of the catalog occurs in the tail.

use model::catalog::Catalog;

use crate::cast::{Cast, CastSize};
use crate::clock::Micros;
use crate::random::{Random, Weighted};
use crate::records::{RecordGenerator, RecordShape};
use crate::values::settle;

/// The everyday types, with their share in thousandths of all records.
const EVERYDAY: [(&str, u64); 15] = [
    ("claude_chat_viewed", 175),
    ("compliance_api_accessed", 110),
    ("claude_chat_created", 95),
    ("claude_chat_updated", 65),
    ("claude_file_uploaded", 55),
    ("claude_project_viewed", 50),
    ("sso_login_succeeded", 40),
    ("sso_login_initiated", 35),
    ("claude_file_viewed", 30),
    ("claude_artifact_viewed", 25),
    ("claude_project_document_viewed", 20),
    ("claude_project_document_uploaded", 15),
    ("claude_artifact_created", 15),
    ("user_logged_out", 10),
    ("claude_chat_deleted", 10),
];

/// The size of the office.
const OFFICE: CastSize = CastSize { people: 5_000, machines: 120, addresses: 8_000 };

/// The longest pause between two records, in microseconds.
const LONGEST_PAUSE: u64 = 400_000;

/// An endless iterator of records, one line each, without the newline.
///
/// Times never go back; some records share one. The same catalog and seed give the same lines.
#[derive(Debug, Clone)]
pub struct Feed<'c> {
    generator: RecordGenerator<'c>,
    types: Vec<&'c str>,
    shares: Weighted,
    now: Micros,
}

impl<'c> Feed<'c> {
    /// A feed of every type in `catalog`.
    #[must_use]
    pub fn new(catalog: &'c Catalog, seed: u64) -> Self {
        let generator = RecordGenerator::with_cast(catalog, seed, Cast::new(seed, OFFICE));
        let mut types: Vec<&str> = catalog.activities.keys().map(String::as_str).collect();
        shuffle(&mut Random::new(seed ^ 0x7479_7065), &mut types);
        Self { shares: shares(&types), types, now: generator.now, generator }
    }
}

impl Iterator for Feed<'_> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let random = &mut self.generator.random;
        let activity_type = self.types[self.shares.pick(random)];
        if !random.chance(4) {
            let later = self.now + random.below(LONGEST_PAUSE) as Micros;
            self.now = settle(random, later);
        }
        let reads = activity_type == "compliance_api_accessed" && !random.chance(8);
        let draft = self.generator.draft(activity_type).shape(RecordShape::Believable).at(self.now);
        // Nearly all calls of that API are reads that succeed, and a read has no body.
        let draft =
            if reads { draft.set("request_method", "GET").set_json("status_code", "200") } else { draft };
        Some(if reads { draft.set_json("request_body", "null") } else { draft }.finish())
    }
}

/// The weight of each type: its everyday share, and its place in the tail.
fn shares(types: &[&str]) -> Weighted {
    const THOUSANDTH: u64 = 1_000_000;
    let tail = |rank: usize| 1_000_000_000 / (rank as u64 + 40);
    let tail_sum: u64 = (0..types.len()).map(tail).sum();
    let everyday_sum: u64 = EVERYDAY.iter().map(|(_, share)| share).sum();
    let tail_share = (1_000 - everyday_sum) * THOUSANDTH;
    Weighted::new(types.iter().enumerate().map(|(rank, name)| {
        let everyday = EVERYDAY.iter().find(|(everyday, _)| everyday == name).map_or(0, |(_, share)| *share);
        everyday * THOUSANDTH
            + (u128::from(tail(rank)) * u128::from(tail_share) / u128::from(tail_sum)) as u64
    }))
}

/// Fisher and Yates' shuffle.
fn shuffle<T>(random: &mut Random, items: &mut [T]) {
    for last in (1..items.len()).rev() {
        items.swap(last, random.index(last + 1));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use serde_json::Value;

    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_lines() {
        let catalog = Catalog::builtin();
        let lines = |seed| Feed::new(&catalog, seed).take(200).collect::<Vec<_>>();
        assert_eq!(lines(1), lines(1));
        assert_ne!(lines(1), lines(2));
    }

    #[test]
    fn size_skew_people_and_times_are_those_of_an_office() {
        const COUNT: usize = 40_000;
        let catalog = Catalog::builtin();
        let mut types = HashMap::<String, usize>::new();
        let (mut people, mut addresses, mut agents) = (HashSet::new(), HashSet::new(), HashSet::new());
        let (mut bytes, mut last) = (0, Micros::MIN);
        for line in Feed::new(&catalog, 11).take(COUNT) {
            bytes += line.len();
            let record: Value = serde_json::from_str(&line).unwrap();
            *types.entry(record["type"].as_str().unwrap().to_owned()).or_default() += 1;
            let note = |set: &mut HashSet<String>, name: &str| {
                set.extend(record["actor"][name].as_str().map(str::to_owned));
            };
            note(&mut people, "user_id");
            note(&mut addresses, "ip_address");
            note(&mut agents, "user_agent");
            let created = record["created_at"].as_str().unwrap();
            let at = chrono::DateTime::parse_from_rfc3339(created).unwrap().timestamp_micros();
            assert!(at >= last, "{created} goes back");
            last = at;
        }
        let mean = bytes / COUNT;
        assert!((560..=610).contains(&mean), "mean size {mean}");
        let everyday: usize = EVERYDAY.iter().map(|(name, _)| types[*name]).sum();
        assert!((74..=79).contains(&(everyday * 100 / COUNT)), "{everyday} of {COUNT}");
        assert!(types.len() >= 519, "{} types", types.len());
        assert!((3_500..=5_000).contains(&people.len()), "{} people", people.len());
        assert!((3_000..=8_000).contains(&addresses.len()), "{} addresses", addresses.len());
        assert!((240..=320).contains(&agents.len()), "{} agents", agents.len());
    }
}
