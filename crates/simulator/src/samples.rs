//! The records in `samples/activities.ndjson`: two days in a small office.
//!
//! A dozen people do their work, a key is stolen and used, somebody exports a project before leaving,
//! single sign-on is weakened and repaired, Anthropic's staff look at what was reported. Around the
//! story lies an ordinary working day, and one record of every family of types that the story has no
//! use for. `cargo run -p anthropic-ecs-simulator --example sample_feed` writes the file again.

mod office;
mod story;

use std::path::{Path, PathBuf};

use model::catalog::Catalog;

use self::office::{Narrator, at};
use crate::clock::{Micros, SECOND};
use crate::values::settle;

/// Decides every byte of the samples that the story leaves open.
const SEED: u64 = 2_026;

/// How many records there are in all.
const COUNT: usize = 400;

/// What people do on an ordinary day.
const EVERYDAY: [&str; 12] = [
    "claude_chat_viewed",
    "claude_chat_created",
    "claude_chat_viewed",
    "claude_chat_updated",
    "claude_file_uploaded",
    "claude_project_viewed",
    "claude_project_document_uploaded",
    "claude_artifact_viewed",
    "claude_chat_settings_updated",
    "claude_skill_enabled",
    "claude_project_document_viewed",
    "claude_chat_deleted",
];

/// Name prefixes too large to be one family: here the second word counts too.
const LARGE_FAMILIES: [&str; 4] = ["ccr", "claude", "org", "platform"];

/// The text of `samples/activities.ndjson`: one record a line, times ascending.
#[must_use]
pub fn activities(catalog: &Catalog) -> String {
    let mut narrator = Narrator::new(catalog, SEED);
    story::mornings(&mut narrator);
    story::the_collector_reads(&mut narrator);
    story::the_platform_is_set_up(&mut narrator);
    story::a_key_is_stolen(&mut narrator);
    story::a_mass_export(&mut narrator);
    story::sign_on_is_weakened_and_repaired(&mut narrator);
    story::the_afternoon_after(&mut narrator);
    one_of_every_other_family(&mut narrator, catalog);
    ordinary_work(&mut narrator);
    narrator.into_text()
}

/// Where the samples lie in a checkout.
#[must_use]
pub fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples/activities.ndjson")
}

/// The family of a type: its first word, or its first two where the first says too little.
fn family(activity_type: &str) -> &str {
    let words = |count: usize| {
        activity_type
            .match_indices('_')
            .nth(count - 1)
            .map_or(activity_type, |(end, _)| &activity_type[..end])
    };
    if LARGE_FAMILIES.contains(&words(1)) { words(2) } else { words(1) }
}

/// A record of each family that the story has not mentioned, on the first day, when nobody has left yet.
fn one_of_every_other_family(narrator: &mut Narrator, catalog: &Catalog) {
    for name in catalog.activities.keys() {
        if !narrator.told().iter().any(|told| family(told) == family(name)) {
            let time = working_hour(narrator, 1);
            narrator.tell(time, "", name, &[]);
        }
    }
}

/// Fills both days up with everyday work.
fn ordinary_work(narrator: &mut Narrator) {
    let names: Vec<_> = Narrator::first_names().collect();
    while narrator.count() < COUNT {
        let day = narrator.generator.random.range(1, 2) as u32;
        let time = working_hour(narrator, day);
        let random = &mut narrator.generator.random;
        let (name, activity_type) = (*random.pick(&names), *random.pick(&EVERYDAY));
        // On the second day Wei does what the story says and leaves.
        let name = if name == "Wei" && day == 2 { "Jonas" } else { name };
        let home = random.chance(20);
        let actor = if home { narrator.at_home(name) } else { narrator.at_work(name) };
        narrator.tell(time, &actor, activity_type, &[]);
    }
}

/// Some time between half past nine and five.
fn working_hour(narrator: &mut Narrator, day: u32) -> Micros {
    let random = &mut narrator.generator.random;
    let time = at(day, "09:30:00") + random.below(27_000 * SECOND as u64) as Micros;
    settle(random, time)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    #[test]
    fn the_committed_file_is_what_this_module_tells() {
        let committed = std::fs::read_to_string(path()).unwrap_or_default();
        let told = activities(&Catalog::builtin());
        assert!(committed == told, "stale: cargo run -p anthropic-ecs-simulator --example sample_feed");
    }

    #[test]
    fn every_actor_kind_and_family_occurs_and_times_ascend() {
        let catalog = Catalog::builtin();
        let text = activities(&catalog);
        let records: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(records.len(), COUNT);
        let texts = |pointer: &str| -> BTreeSet<&str> {
            records.iter().map(|record| record.pointer(pointer).unwrap().as_str().unwrap()).collect()
        };
        assert_eq!(texts("/id").len(), COUNT);
        let kinds = texts("/actor/type");
        assert!(catalog.actors.keys().all(|kind| kinds.contains(kind.as_str())), "{kinds:?}");
        let told: BTreeSet<_> = texts("/type").into_iter().map(family).collect();
        let missing: Vec<_> = catalog.activities.keys().filter(|name| !told.contains(family(name))).collect();
        assert!(missing.is_empty(), "{missing:?}");
        let times = records.iter().map(|record| {
            chrono::DateTime::parse_from_rfc3339(record["created_at"].as_str().unwrap())
                .unwrap()
                .timestamp_micros()
        });
        assert!(times.is_sorted());
    }

    #[test]
    fn only_what_is_meant_to_be_unknown_departs_from_the_catalog() {
        let catalog = Catalog::builtin();
        let problems: Vec<_> = activities(&catalog)
            .lines()
            .flat_map(|line| crate::conformance::problems(&catalog, &serde_json::from_str(line).unwrap()))
            .collect();
        assert_eq!(
            problems,
            [
                "unknown type claude_canvas_exported",
                "claude_chat_created.chat_origin is unknown",
                "claude_file_viewed.actor is of unknown kind delegated_agent_actor",
            ]
        );
    }
}
