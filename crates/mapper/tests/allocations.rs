//! In steady state, a record of a known type whose address and client are cached allocates nothing.
//!
//! Shown over the commonest types of the simulator's feed. A mapper is warmed by one part of the feed and
//! measured over the next: other records, times, people and ids, but kinds of record it has met. Records of
//! a kind that it has no plan for, or whose plan met something it did not foresee, go the general
//! way; of those it is said how much they allocate, and that this is little.
//!
//! Caches are bounded, so in a feed of many addresses some records meet an address that is not cached, which
//! is looked up and written anew. To leave these out, each record is preceded by another one, of
//! another type, with the same actor; that one is not measured.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "the lints' own exception covers marked functions only"
)]

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use allocation_counter::measure;
use mapper::enrich::GeoDatabases;
use mapper::{Action, Mapper, MapperOptions, Mapping, Privacy, PrivacyOptions};
use model::catalog::Catalog;
use model::settings::Secret;
use model::tables::{Class, Tables};
use serde_json::{Value, json};
use simulator::Feed;

/// How many of the commonest types are looked at.
const TYPES: usize = 40;
/// Records of these types that warm the mapper.
const WARMING: usize = 20_000;
/// Records of these types that are measured.
const MEASURED: usize = 2_000;
/// How many of the measured records must go by a plan for the test to say something.
const MOST: usize = MEASURED * 9 / 10;
/// The most allocations of a record by the general way.
const GENERALLY: u64 = 8;
/// On average so many records go by the general way for one allocation.
const RARELY: u64 = 20;

/// A record and its herald, which has the same actor and nothing else in common.
struct Item {
    activity_type: String,
    raw: String,
    herald: String,
}

/// Records of the commonest types, in the order of the feed.
static ITEMS: LazyLock<Vec<Item>> = LazyLock::new(|| {
    let catalog = Catalog::builtin();
    let lines: Vec<(String, String)> = Feed::new(&catalog, 7)
        .take((WARMING + MEASURED) * 5 / 4)
        .map(|raw| {
            let record: Value = serde_json::from_str(&raw).unwrap();
            (record["type"].as_str().unwrap().to_owned(), raw)
        })
        .collect();
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for (activity_type, _) in &lines {
        *counts.entry(activity_type).or_default() += 1;
    }
    let mut types: Vec<_> = counts.into_iter().collect();
    types.sort_by_key(|(name, count)| (usize::MAX - count, *name));
    let common: Vec<&str> = types.into_iter().take(TYPES).map(|(name, _)| name).collect();
    let chosen = lines.iter().filter(|(activity_type, _)| common.contains(&activity_type.as_str()));
    let items: Vec<Item> =
        chosen.take(WARMING + MEASURED).map(|(activity_type, raw)| item(activity_type, raw)).collect();
    assert_eq!(items.len(), WARMING + MEASURED);
    items
});

fn item(activity_type: &str, raw: &str) -> Item {
    let record: Value = serde_json::from_str(raw).unwrap();
    let other = if activity_type == "user_logged_out" { "claude_chat_viewed" } else { "user_logged_out" };
    let herald = json!({ "id": "herald", "type": other, "actor": record["actor"] }).to_string();
    Item { activity_type: activity_type.to_owned(), raw: raw.to_owned(), herald }
}

/// How the databases of `tests/data` would be given on the command line.
fn databases() -> GeoDatabases {
    let data = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/data");
    let paths = ["test-city.mmdb", "test-asn.mmdb", "test-anonymous-ip.mmdb"].map(|file| data.join(file));
    GeoDatabases::open(&paths).unwrap()
}

/// What records allocated.
#[derive(Default)]
struct Tally {
    records: u64,
    allocations: u64,
    most: u64,
    /// The types that allocated, with how often and a record of each.
    culprits: BTreeMap<String, (u64, String)>,
}

impl Tally {
    fn add(&mut self, item: &Item, allocations: u64) {
        self.records += 1;
        self.allocations += allocations;
        self.most = self.most.max(allocations);
        if allocations > 0 {
            let culprit = self.culprits.entry(item.activity_type.clone()).or_default();
            culprit.0 += allocations;
            culprit.1.clone_from(&item.raw);
        }
    }

    fn say(&self, what: &str) {
        let mean = self.allocations as f64 / self.records.max(1) as f64;
        println!(
            "{what}: {} records, {} allocations, {mean:.2} a record, {} at most",
            self.records, self.allocations, self.most
        );
    }
}

/// Warms a mapper and measures it: what went by plans, and what went the general way.
fn tallies(geo: GeoDatabases, plans: bool) -> (Tally, Tally) {
    tallies_with(geo, plans, MapperOptions::default())
}

fn tallies_with(geo: GeoDatabases, plans: bool, options: MapperOptions) -> (Tally, Tally) {
    let mut mapper = Mapper::new(Arc::new(Mapping::new(Tables::builtin(), geo, options)));
    mapper.use_plans(plans);
    let mut out = Vec::with_capacity(1 << 20);
    let (warming, measured) = ITEMS.split_at(WARMING);
    for item in warming {
        for raw in [&item.herald, &item.raw] {
            out.clear();
            mapper.map(raw.as_bytes(), &mut out).unwrap();
        }
    }
    let (mut planned, mut general) = (Tally::default(), Tally::default());
    for item in measured {
        out.clear();
        mapper.map(item.herald.as_bytes(), &mut out).unwrap();
        let before = mapper.plan_statistics();
        let info = measure(|| {
            mapper.map(item.raw.as_bytes(), &mut out).unwrap();
        });
        let by_plan = mapper.plan_statistics().planned > before.planned;
        if by_plan { &mut planned } else { &mut general }.add(item, info.count_total);
    }
    (planned, general)
}

fn nothing_is_allocated(geo: GeoDatabases, name: &str) {
    let (planned, general) = tallies(geo, true);
    planned.say(&format!("{name}, by plans"));
    general.say(&format!("{name}, of no known plan"));
    assert!(planned.records >= MOST as u64, "only {} of {MEASURED} went by a plan", planned.records);
    assert_eq!(planned.allocations, 0, "{:#?}", planned.culprits);
}

#[test]
fn a_planned_record_allocates_nothing() {
    nothing_is_allocated(GeoDatabases::default(), "no databases");
}

#[test]
fn a_planned_record_with_geography_allocates_nothing() {
    nothing_is_allocated(databases(), "three databases");
}

/// Only a value that is not in the cache costs, and one with escapes, which must be read to be hashed.
#[test]
fn a_record_that_is_hashed_allocates_next_to_nothing() {
    let options = PrivacyOptions {
        classes: Class::ALL.map(|class| (class, Action::Hash)).into(),
        key: Some(Secret::new("a key of enough bytes")),
        ..PrivacyOptions::default()
    };
    let privacy = Privacy::new(&options, &Tables::builtin()).unwrap().map(Arc::new);
    let options = MapperOptions { privacy, ..MapperOptions::default() };
    let (planned, general) = tallies_with(databases(), true, options);
    planned.say("hashed, by plans");
    general.say("hashed, of no known plan");
    assert!(planned.records >= MOST as u64, "only {} of {MEASURED} went by a plan", planned.records);
    assert!(planned.allocations * 10 <= planned.records, "{:#?}", planned.culprits);
}

#[test]
fn the_general_way_allocates_little() {
    for (geo, name) in [(GeoDatabases::default(), "no databases"), (databases(), "three databases")] {
        let (planned, general) = tallies(geo, false);
        general.say(&format!("{name}, plans not used"));
        assert_eq!((planned.records, general.records), (0, MEASURED as u64));
        assert!(general.most <= GENERALLY, "{}: {:#?}", general.most, general.culprits);
        assert!(general.allocations * RARELY <= general.records, "{:#?}", general.culprits);
    }
}

#[test]
fn the_counter_counts() {
    let info = measure(|| drop(std::hint::black_box(vec![0_u8; 100])));
    assert_eq!((info.count_total, info.bytes_total), (1, 100));
    let mut grown = Vec::with_capacity(8);
    let info = measure(|| grown.extend_from_slice(&[0_u8; 64]));
    assert_eq!(info.count_total, 1, "a reallocation counts");
}
