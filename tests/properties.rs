//! What holds for every record: the catalog's, mutations of them, and any bytes at all.
//!
//! The cases are the same in every run. `PROPTEST_CASES` makes more of them.

use std::cell::RefCell;

use mapper::Unmappable;
use model::tables::Tables;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestCaseResult, TestRunner};

use crate::json::{Json, is_json};
use crate::lossless::{Checker, Origin};
use crate::{mutations, world};

/// How often a record is mapped where it matters what the mapper remembers: it may treat what it knows well
/// by other code, and nothing tells from outside when that begins.
const OFTEN: usize = 18;

/// Runs a property over generated cases, the same ones every time; returns how many.
pub(crate) fn for_all<S: Strategy>(
    cases: u32,
    strategy: S,
    property: impl Fn(S::Value) -> TestCaseResult,
) -> usize
where
    S::Value: Clone,
{
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(cases);
    let config = Config {
        cases,
        rng_seed: RngSeed::Fixed(20_261_005),
        failure_persistence: None,
        max_shrink_iters: 4_000,
        ..Config::default()
    };
    if let Err(error) = TestRunner::new(config).run(&strategy, property) {
        panic!("{}", crate::json::shorten(&error.to_string()));
    }
    cases as usize
}

fn verdict(problems: &[String], raw: &str) -> TestCaseResult {
    if problems.is_empty() {
        return Ok(());
    }
    Err(TestCaseError::fail(format!("{}\n  record: {}", problems.join("\n"), crate::json::shorten(raw))))
}

/// Every type in every shape, with every enum value, union variant and actor kind.
#[test]
fn nothing_of_a_catalog_record_is_lost() {
    let mut checker = Checker::new(Tables::builtin());
    let mut mapper = world::mapper();
    let mut documents = Vec::new();
    for (seed, activity_type) in (0..).zip(world::catalog().activities.keys()) {
        for raw in world::generator(seed).records_for(activity_type) {
            let document = world::document_of(&mut mapper, raw.as_bytes());
            checker.demand(&raw, &document, Origin::Catalog);
            for _ in 1..OFTEN {
                assert!(
                    world::document_of(&mut mapper, raw.as_bytes()) == document,
                    "not the same bytes: {raw}"
                );
            }
            let text = std::str::from_utf8(&document).unwrap();
            assert!(!text.contains("(unknown)"), "the message lacks a value: {text}");
            documents.push((raw, document));
        }
    }
    assert!(documents.len() > 5_000, "only {} records", documents.len());
    let planned = mapper.plan_statistics().planned;
    assert!(planned > 5_000, "only {planned} records were written by a plan");
    // Another mapper that meets them in another order writes the same bytes.
    let mut mapper = world::mapper();
    for (raw, document) in documents.iter().rev() {
        assert!(
            world::document_of(&mut mapper, raw.as_bytes()) == *document,
            "not the same bytes again: {raw}"
        );
    }
}

#[test]
fn nothing_of_a_mutated_record_is_lost() {
    world::with_room(|| {
        let checker = RefCell::new(Checker::new(Tables::builtin()));
        let used = RefCell::new(world::mapper());
        let cases = for_all(3_000, mutations::mutated_record(), |raw| {
            let mut out = Vec::new();
            let result = world::try_map(&mut used.borrow_mut(), raw.as_bytes(), &mut out).map(|_| ());
            let problems = match result {
                Ok(()) => checker.borrow_mut().problems(&raw, &out, Origin::Anywhere),
                Err(Unmappable::NotAnActivity) if is_no_activity(&Json::read(&raw)) => Vec::new(),
                Err(error) => vec![format!("refused: {error}")],
            };
            verdict(&problems, &raw)
        });
        assert!(checker.borrow().documents > cases / 2);
    });
}

/// What an activity must have at least: an `id` that is a value, or a `type` that is a name.
fn is_no_activity(record: &Json) -> bool {
    let id = record.get("id").filter(|id| !matches!(id, Json::Array(_) | Json::Object(_)) && !id.is_empty());
    let name = record.get("type").and_then(Json::text).unwrap_or_default();
    id.is_none() && name.is_empty()
}

#[test]
fn any_json_is_mapped_or_refused_for_a_documented_reason() {
    world::with_room(|| {
        let checker = RefCell::new(Checker::new(Tables::builtin()));
        let used = RefCell::new(world::mapper());
        let cases = for_all(2_000, mutations::any_json(), |value| {
            let mut raw = String::new();
            value.write(&mut raw);
            let value = Json::read(&raw);
            let mut out = Vec::new();
            let result = world::try_map(&mut used.borrow_mut(), raw.as_bytes(), &mut out).map(|_| ());
            let problems = match (result, value.is_object(), is_no_activity(&value)) {
                (Ok(()), true, false) => checker.borrow_mut().problems(&raw, &out, Origin::Anywhere),
                (Err(Unmappable::NotAnObject { .. }), false, _)
                | (Err(Unmappable::NotAnActivity), true, true) => Vec::new(),
                (other, ..) => vec![format!("{other:?}")],
            };
            verdict(&problems, &raw)
        });
        assert!(checker.borrow().documents > cases / 3);
    });
}

/// The mapper takes for JSON what serde_json takes for JSON, and what only serde_json's limits exclude: any depth,
/// any number, lone surrogates.
#[test]
fn not_json_is_what_is_not_json() {
    let mapper = RefCell::new(world::mapper());
    let same = |bytes: &[u8]| {
        let mut out = Vec::new();
        let mut mapper = mapper.borrow_mut();
        let is_refused = match world::try_map(&mut mapper, bytes, &mut out) {
            Err(Unmappable::NotJson { offset, .. }) => {
                prop_assert!(offset <= bytes.len(), "offset {offset} in {} bytes", bytes.len());
                true
            }
            _ => false,
        };
        prop_assert_eq!(is_refused, !is_json(bytes), "{}", String::from_utf8_lossy(bytes));
        // The yardstick itself, held against serde_json reading values, which has limits.
        if let Err(error) = serde_json::from_slice::<serde_json::Value>(bytes) {
            let text = error.to_string();
            let limits = ["recursion limit", "number out of range", "surrogate", "end of hex escape"];
            prop_assert!(is_refused || limits.iter().any(|limit| text.contains(limit)), "{}", text);
        } else {
            prop_assert!(!is_refused);
        }
        Ok(())
    };
    for_all(6_000, mutations::nearly_json(), |bytes| same(&bytes));
    for_all(1_000, prop::collection::vec(any::<u8>(), 0..40), |bytes| same(&bytes));
    let record = world::generator(7).record("claude_chat_created", simulator::RecordShape::Full).into_bytes();
    // Shorter records, and records with one byte changed.
    for end in 0..=record.len() {
        same(&record[..end]).unwrap();
    }
    for_all(3_000, (any::<prop::sample::Index>(), any::<u8>()), |(at, byte)| {
        let mut record = record.clone();
        let at = at.index(record.len());
        record[at] = byte;
        same(&record)
    });
}

/// The document depends on the record alone, not on what the mapper met before.
#[test]
fn the_same_record_gives_the_same_bytes() {
    world::with_room(|| {
        let used = RefCell::new(world::mapper());
        for_all(300, mutations::mutated_record(), |raw| {
            let (mut fresh, mut again) = (Vec::new(), Vec::new());
            let mut mapper = world::mapper();
            let first = mapper
                .map(raw.as_bytes(), &mut fresh)
                .map(|mapped| (mapped.event_id.to_owned(), mapped.tags));
            for _ in 0..OFTEN {
                again.clear();
                let mut used = used.borrow_mut();
                let second = used
                    .map(raw.as_bytes(), &mut again)
                    .map(|mapped| (mapped.event_id.to_owned(), mapped.tags));
                prop_assert_eq!(&first, &second);
                prop_assert!(fresh == again, "not the same bytes: {}", crate::json::shorten(&raw));
            }
            Ok(())
        });
    });
}

/// What a mapper remembers of a record's shape serves other values in that shape, whatever their types.
#[test]
fn a_remembered_shape_changes_nothing() {
    world::with_room(|| {
        let used = RefCell::new(world::mapper());
        for_all(500, mutations::record_and_other_values(), |(base, others)| {
            let mut used = used.borrow_mut();
            for _ in 0..OFTEN {
                world::document_of(&mut used, base.as_bytes());
            }
            let mut fresh = world::mapper();
            for raw in others.iter().chain([&base]) {
                let mut expected = Vec::new();
                let first = fresh
                    .map(raw.as_bytes(), &mut expected)
                    .map(|mapped| (mapped.event_id.to_owned(), mapped.tags));
                for _ in 0..OFTEN {
                    let mut found = Vec::new();
                    let second = used
                        .map(raw.as_bytes(), &mut found)
                        .map(|mapped| (mapped.event_id.to_owned(), mapped.tags));
                    prop_assert_eq!(&first, &second);
                    prop_assert!(expected == found, "not the same bytes: {}", crate::json::shorten(raw));
                }
            }
            Ok(())
        });
        let planned = used.borrow().plan_statistics().planned;
        assert!(planned > 500, "only {planned} records were written by a plan");
    });
}
