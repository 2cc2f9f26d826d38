//! Golden files: raw records and the documents made of them, found by walking `tests/golden`.
//!
//! `<case>.in.json` is one record as it was sent; `<case>.out.json` is its document, printed for people. The
//! comparison is of the printed text, so the order of keys and the digits of numbers count. `UPDATE_GOLDEN=1`
//! rewrites the documents, and makes a record for every type and actor kind that has none yet.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use model::catalog::Shape;
use model::tables::Tables;
use simulator::RecordShape;

use crate::json::Json;
use crate::lossless::{Checker, Origin};
use crate::world;

const ACTIVITIES: &str = "activities";
const ACTORS: &str = "actors";
const VARIANTS: &str = "variants";
/// Written by hand: what no generator thinks of.
const CASES: &str = "cases";

fn folder(name: &str) -> PathBuf {
    world::root("tests/golden").join(name)
}

fn is_update() -> bool {
    std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1")
}

/// The names of the cases in a folder.
fn cases(name: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(folder(name)).into_iter().flatten();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter_map(|name| name.strip_suffix(".in.json").map(str::to_owned)).collect()
}

/// A case: its folder, its name, and how its record is made.
type Wanted = (&'static str, String, Box<dyn Fn() -> String>);

/// The cases there must be: one per type, one per actor kind, one per variant of a union.
fn wanted() -> Vec<Wanted> {
    let mut wanted: Vec<Wanted> = Vec::new();
    for (name, activity) in &world::catalog().activities {
        let new = || world::generator(world::seed_of(name)).record(name, RecordShape::Full);
        wanted.push((ACTIVITIES, name.clone(), Box::new(new)));
        for field in &activity.fields {
            for (path, tag) in tags_of_variants(&field.name, &field.shape) {
                let new = move || {
                    let records = world::generator(world::seed_of(name)).records_for(name);
                    let has = |record: &&String| {
                        let values = Json::read(record).get(path).cloned().unwrap_or(Json::Null);
                        values.items().iter().any(|value| value.get("type").and_then(Json::text) == Some(tag))
                    };
                    records.iter().rev().find(has).expect("a record of every variant").clone()
                };
                wanted.push((VARIANTS, format!("{name}--{tag}"), Box::new(new)));
            }
        }
    }
    for kind in world::catalog().actors.keys() {
        let new = move || {
            let mut generator = world::generator(world::seed_of(kind));
            generator.draft("claude_project_viewed").shape(RecordShape::Full).actor_kind(kind).finish()
        };
        wanted.push((ACTORS, kind.clone(), Box::new(new)));
        for field in &world::catalog().actors[kind] {
            for (path, tag) in tags_of_variants(&field.name, &field.shape) {
                let new = move || {
                    let mut generator = world::generator(world::seed_of(kind));
                    let actors = generator.actors_for(kind);
                    let has = |actor: &&String| {
                        Json::read(actor).at(&format!("{path}.type")).and_then(Json::text) == Some(tag)
                    };
                    let actor = actors.iter().rev().find(has).expect("an actor of every variant");
                    generator.draft("claude_project_viewed").actor_json(actor).finish()
                };
                wanted.push((VARIANTS, format!("{kind}--{tag}"), Box::new(new)));
            }
        }
    }
    wanted
}

/// The first `type` of every variant of a union, or of a list of unions.
fn tags_of_variants<'c>(name: &'c str, shape: &'c Shape) -> Vec<(&'c str, &'c str)> {
    let variants = match shape {
        Shape::Union { variants } => variants,
        Shape::Array { items } => return tags_of_variants(name, items),
        _ => return Vec::new(),
    };
    let tags = variants.iter().flat_map(|variant| &variant.fields).filter(|field| field.name == "type");
    tags.filter_map(|field| match &field.shape {
        Shape::Enum { values } => Some((name, values.first()?.as_str())),
        _ => None,
    })
    .collect()
}

fn path_of(folder_name: &str, case: &str, end: &str) -> PathBuf {
    folder(folder_name).join(format!("{case}.{end}.json"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn make_missing() {
    for (folder_name, case, new) in wanted() {
        let path = path_of(folder_name, &case, "in");
        if !path.exists() {
            fs::create_dir_all(folder(folder_name)).unwrap();
            fs::write(path, new() + "\n").unwrap();
        }
    }
}

fn all_cases() -> impl Iterator<Item = (&'static str, String)> {
    let folders = [ACTIVITIES, ACTORS, VARIANTS, CASES];
    folders
        .into_iter()
        .flat_map(|folder_name| cases(folder_name).into_iter().map(move |case| (folder_name, case)))
}

#[test]
fn documents_are_as_committed() {
    if is_update() {
        make_missing();
    }
    let mut mapper = world::mapper();
    let mut checker = Checker::new(Tables::builtin());
    let mut different = Vec::new();
    for (folder_name, case) in all_cases() {
        let raw = read(&path_of(folder_name, &case, "in"));
        let raw = raw.trim_end_matches('\n');
        let document = world::document_of(&mut mapper, raw.as_bytes());
        let origin = if folder_name == CASES { Origin::Anywhere } else { Origin::Catalog };
        checker.demand(raw, &document, origin);
        let printed = Json::read(std::str::from_utf8(&document).unwrap()).pretty();
        let out = path_of(folder_name, &case, "out");
        if is_update() {
            fs::write(&out, printed).unwrap();
        } else if read(&out) != printed {
            different.push(first_difference(&out, &read(&out), &printed));
        }
    }
    assert!(checker.documents > 500, "only {} golden files found", checker.documents);
    let advice = "if the new documents are right, rewrite them with UPDATE_GOLDEN=1 and look at the diff";
    let count = different.len();
    different.truncate(10);
    assert!(
        count == 0,
        "{count} documents differ from their golden files; {advice}\n{}",
        different.join("\n")
    );
}

fn first_difference(path: &Path, committed: &str, printed: &str) -> String {
    let mut pairs = committed.lines().zip(printed.lines()).zip(1..);
    let place = match pairs.find(|((committed, printed), _)| committed != printed) {
        Some(((committed, printed), line)) => {
            format!("{line}:\n  - {}\n  + {}", committed.trim(), printed.trim())
        }
        None => " one is longer".to_owned(),
    };
    let root = world::root("").display().to_string();
    format!("{}:{place}", path.display().to_string().trim_start_matches(&root))
}

#[test]
fn every_type_actor_kind_and_variant_has_a_golden_file() {
    let missing: Vec<_> = wanted()
        .into_iter()
        .filter(|(folder_name, case, _)| {
            !path_of(folder_name, case, "in").exists() || !path_of(folder_name, case, "out").exists()
        })
        .map(|(folder_name, case, _)| format!("{folder_name}/{case}"))
        .collect();
    assert!(missing.is_empty(), "no golden file (UPDATE_GOLDEN=1 makes them): {}", missing.join(" "));
    for (folder_name, case) in all_cases() {
        let record = Json::read(&read(&path_of(folder_name, &case, "in")));
        let name = if folder_name == ACTIVITIES { record.get("type") } else { record.at("actor.type") };
        let is_named = name.and_then(Json::text) == Some(case.as_str());
        assert!(
            is_named || !matches!(folder_name, ACTIVITIES | ACTORS),
            "{folder_name}/{case} is about {name:?}"
        );
    }
}

#[test]
fn no_golden_document_is_without_its_record() {
    for folder_name in [ACTIVITIES, ACTORS, VARIANTS, CASES] {
        for entry in fs::read_dir(folder(folder_name)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let partner = match (name.strip_suffix(".in.json"), name.strip_suffix(".out.json")) {
                (Some(case), _) => format!("{case}.out.json"),
                (_, Some(case)) => format!("{case}.in.json"),
                _ => panic!("{folder_name}/{name} is neither .in.json nor .out.json"),
            };
            assert!(folder(folder_name).join(&partner).exists(), "{folder_name}/{name} without {partner}");
        }
    }
    let known: BTreeSet<_> = wanted().into_iter().map(|(folder_name, case, _)| (folder_name, case)).collect();
    for (folder_name, case) in all_cases().filter(|(folder_name, _)| *folder_name != CASES) {
        assert!(
            known.contains(&(folder_name, case.clone())),
            "{folder_name}/{case} is about nothing in the catalog"
        );
    }
}
