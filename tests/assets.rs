//! What `setup` installs, as files under `mappings/elasticsearch`, and that every golden document fits it.
//!
//! `UPDATE_GOLDEN=1` rewrites the files from the tables.

use std::collections::BTreeSet;
use std::fs;

use model::tables::Tables;
use output::assets::{AssetKind, Assets, Flavour, Lifecycle, Target};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::Value;

use crate::{mutations, world};

const FLAVOURS: [(Flavour, &str); 2] =
    [(Flavour::Elasticsearch, "elasticsearch"), (Flavour::OpenSearch, "opensearch")];

pub(crate) fn render(flavour: Flavour, lifecycle: Lifecycle, namespace: &str) -> Assets {
    Assets::render(&Tables::builtin(), Target::new(flavour, lifecycle, namespace).unwrap())
}

fn file_name(kind: AssetKind, name: &str) -> String {
    format!("{}.{name}.json", kind.name().replace(' ', "-"))
}

#[test]
fn rendered_files_are_as_committed() {
    let is_update = std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1");
    for (flavour, folder) in FLAVOURS {
        let folder = world::root("mappings/elasticsearch").join(folder);
        let mut wanted = BTreeSet::new();
        for asset in render(flavour, Lifecycle::Policy, "default").items {
            let path = folder.join(file_name(asset.kind, &asset.name));
            let text = serde_json::to_string_pretty(&asset.body).unwrap() + "\n";
            if is_update {
                fs::create_dir_all(&folder).unwrap();
                fs::write(&path, &text).unwrap();
            }
            let committed = fs::read_to_string(&path).unwrap_or_default();
            assert!(
                committed == text,
                "{} is not what the tables say; UPDATE_GOLDEN=1 rewrites it",
                path.display()
            );
            wanted.insert(path);
        }
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            assert!(wanted.contains(&path), "{} is nothing that setup installs", path.display());
        }
    }
}

/// Holds a value against the definition of its field; says where it does not fit.
fn misfits(path: &str, value: &Value, mapping: &Value, found: &mut Vec<String>) {
    if let Value::Array(items) = value {
        return items.iter().for_each(|item| misfits(path, item, mapping, found));
    }
    let index = mapping["type"].as_str().unwrap_or("object");
    let fits = match (index, value) {
        ("object", Value::Object(members)) => {
            for (name, value) in members {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                match mapping["properties"].get(name) {
                    Some(inner) => misfits(&path, value, inner, found),
                    None => found.push(format!("{path} is not mapped")),
                }
            }
            true
        }
        ("flattened" | "flat_object", value) => value.is_object(),
        ("geo_point", value) => value["lat"].is_number() && value["lon"].is_number(),
        ("long", value) => value.is_i64(),
        ("double" | "float", value) => value.is_number(),
        ("boolean", value) => value.is_boolean(),
        ("constant_keyword", value) => mapping.get("value").is_none_or(|constant| constant == value),
        ("keyword" | "wildcard" | "match_only_text" | "date" | "date_nanos" | "ip", value) => {
            value.is_string()
        }
        _ => false,
    };
    if !fits {
        found.push(format!("{path} is mapped as {index} and holds {value}"));
    }
}

#[test]
fn every_path_of_every_golden_document_is_mapped() {
    let mut documents = Vec::new();
    for folder in fs::read_dir(world::root("tests/golden")).unwrap() {
        for entry in fs::read_dir(folder.unwrap().path()).unwrap() {
            let path = entry.unwrap().path();
            if path.to_string_lossy().ends_with(".out.json") {
                documents.push(fs::read_to_string(&path).unwrap());
            }
        }
    }
    demand_mapped(&documents, 500);
}

/// Golden records are one of each; these are all shapes and values the catalog allows, and what can go wrong with them.
#[test]
fn every_path_of_generated_documents_is_mapped() {
    let mut mapper = world::mapper();
    let mut records: Vec<String> = Vec::new();
    for (seed, activity_type) in (0..).zip(world::catalog().activities.keys()) {
        records.extend(world::generator(seed).records_for(activity_type));
    }
    let mut runner = TestRunner::deterministic();
    records.extend((0..500).map(|_| mutations::mutated_record().new_tree(&mut runner).unwrap().current()));
    let mut documents = Vec::new();
    for record in &records {
        let mut out = Vec::new();
        if mapper.map(record.as_bytes(), &mut out).is_ok() {
            documents.push(String::from_utf8(out).unwrap());
        }
    }
    demand_mapped(&documents, 5_000);
}

fn demand_mapped(documents: &[String], at_least: usize) {
    assert!(documents.len() > at_least, "only {} documents", documents.len());
    for (flavour, _) in FLAVOURS {
        let mapping = render(flavour, Lifecycle::Policy, "default").mapping();
        let mut found = Vec::new();
        for document in documents {
            // What serde_json cannot hold is a number of the source's own digits, in free objects alone.
            let document: Value = serde_json::from_str(document).unwrap();
            misfits("", &document, &mapping, &mut found);
        }
        found.truncate(10);
        assert!(found.is_empty(), "{flavour}: {}", found.join("\n"));
    }
}

/// Elastic's own index types, or ones that are searched alike.
#[test]
fn what_elastic_maps_is_mapped_alike() {
    let mapping = render(Flavour::Elasticsearch, Lifecycle::Policy, "default").mapping();
    let table = fs::read_to_string(world::root("mappings/elastic/audit-fields.csv")).unwrap();
    let mut compared = 0;
    for line in table.lines().skip(1) {
        let (path, index) = line.split_once(',').unwrap();
        let field = path.split('.').fold(&mapping, |value, name| &value["properties"][name]);
        let ours = field["type"].as_str().unwrap_or("nothing");
        // Fractions: a deviation that mappings/README.md lists. Here, a rule knows a client's place by a name of its own.
        let alike = ours == index || (index, ours) == ("long", "double");
        assert!(alike, "{path} is {index} there and {ours} here");
        compared += 1;
    }
    assert!(compared > 150, "only {compared} fields compared");
}
