//! `docs/fields/ecs.md` and `docs/fields/anthropic.md`: every path that a document can have, and what fills it.
//!
//! Owns the one list of what the program writes without a row of a table ([`MADE`]). The test below holds both pages against
//! the golden documents: no document has a path that no page knows, and nothing listed here is never met.

use std::collections::{BTreeMap, BTreeSet};

use model::tables::{EcsFields, FieldRow, On, Tables};

use serde_json::Value;

use super::{NOTE, code, codes, head, row};
use crate::explain::words;

/// What no row fills: a path, and from what it is made.
const MADE: &[(&str, &str)] = &[
    (
        "@timestamp",
        "the epoch, if the record has no usable time (tag `missing_timestamp`). The template makes it `date_nanos`",
    ),
    (
        "anthropic.audit.anonymizer",
        "the address, by an Anonymous-IP database: `anonymous`, `anonymous_vpn`, `hosting_provider`, `public_proxy`, `residential_proxy`, `tor_exit_node`",
    ),
    ("anthropic.audit.metadata", "whatever no row knows, and values that their own index would refuse"),
    ("data_stream.dataset", "always `anthropic.audit`"),
    (
        "data_stream.namespace",
        "the configuration: `namespace` of an Elasticsearch sink, or of `[mapper]`; `default`",
    ),
    ("data_stream.type", "always `logs`"),
    ("ecs.version", "always the version of ECS that documents follow"),
    ("event.category", "the type's row"),
    ("event.created", "`created_at`"),
    ("event.dataset", "always `anthropic.audit`"),
    ("event.hash", "the SHA-256 of the raw record, with `event_hash`"),
    (
        "event.id",
        "the SHA-256 of the record with its keys sorted, if it has no `id` (tag `derived_event_id`)",
    ),
    (
        "event.ingested",
        "when the record passed through `run`, unless `ingested = false`; never from `normalize`",
    ),
    ("event.kind", "always `event`"),
    ("event.module", "always `anthropic`"),
    (
        "event.original",
        "the raw record, with `preserve_original`, and where a value could not be kept as it was",
    ),
    ("event.outcome", "the type's row, for some types by a field"),
    ("event.severity", "the type's row"),
    ("event.type", "the type's row"),
    ("message", "the type's row and the actor's: who did what to what, from where"),
    ("source.address", "`actor.ip_address`, if it is no address"),
    ("source.as.number", "the address, by an ASN database"),
    ("source.as.organization.name", "the address, by an ASN database"),
    ("source.geo.city_name", "the address, by a City database"),
    ("source.geo.continent_code", "the address, by a City or Country database"),
    ("source.geo.continent_name", "the address, by a City or Country database"),
    ("source.geo.country_iso_code", "the address, by a City or Country database"),
    ("source.geo.country_name", "the address, by a City or Country database"),
    ("source.geo.location", "the address, by a City database"),
    ("source.geo.postal_code", "the address, by a City database"),
    ("source.geo.region_iso_code", "the address, by a City database"),
    ("source.geo.region_name", "the address, by a City database"),
    ("source.geo.timezone", "the address, by a City database"),
    ("tags", "what was unusual; absent if nothing was"),
    ("user_agent.device.name", "the user agent"),
    ("user_agent.name", "the user agent"),
    ("user_agent.os.family", "the user agent"),
    ("user_agent.os.full", "the user agent"),
    ("user_agent.os.name", "the user agent"),
    ("user_agent.os.type", "the user agent"),
    ("user_agent.os.version", "the user agent"),
    ("user_agent.version", "the user agent"),
];

/// Stands for the names of fields in a text that is finished when all are known.
const FIELDS: &str = "{fields}";

/// More types than these are counted, not named.
const MOST_NAMED: usize = 4;

/// A path, its index type, and all that fills it.
#[derive(Default)]
struct Filled {
    index: String,
    /// By condition and part, the fields.
    from: BTreeMap<String, BTreeSet<String>>,
    made: Vec<String>,
}

/// Both pages.
pub(super) fn pages(tables: &Tables) -> BTreeMap<String, String> {
    let (vendor, standard): (Vec<_>, Vec<_>) =
        filled(tables).into_iter().partition(|(path, _)| path.starts_with("anthropic."));
    let introduction = format!(
        "The ECS {} fields that a document can have, and what fills each. `actor.` is a field of the actor, other names are \
         fields of the record; which types have them is on [the pages of the types](README.md#by-activity-type). What is \
         unnamed here is never written.",
        mapper::ECS_VERSION
    );
    let standard = page("ECS fields", &introduction, standard);
    let vendor = page(
        "Fields under anthropic.audit",
        "The fields outside ECS that a document can have. They keep the names that the feed gives them, and are the ones of \
         Elastic's integration wherever it has them.",
        vendor,
    );
    BTreeMap::from([("fields/ecs.md".to_owned(), standard), ("fields/anthropic.md".to_owned(), vendor)])
}

/// Every path that a document can have.
fn filled(tables: &Tables) -> BTreeMap<&str, Filled> {
    let ecs = EcsFields::builtin();
    let index_of = |path: &str| ecs.get(path).map_or("keyword".to_owned(), |field| field.index.clone());
    let mut paths: BTreeMap<&str, Filled> = BTreeMap::new();
    for &(path, from) in MADE {
        let filled = paths.entry(path).or_default();
        filled.made.push(from.to_owned());
        filled.index = match path {
            "anthropic.audit.metadata" => "flattened".to_owned(),
            _ => index_of(path),
        };
    }
    for field in &tables.fields {
        let home = paths.entry(&field.home).or_default();
        home.index = field.index.as_str().to_owned();
        home.from.entry(why(field, None)).or_default().insert(field.field.clone());
        for copy in &field.also {
            let filled = paths.entry(&copy.path).or_default();
            if filled.index.is_empty() {
                filled.index = index_of(&copy.path);
            }
            filled.from.entry(why(field, words::part(copy.convert))).or_default().insert(field.field.clone());
        }
    }
    for actor in &tables.actors {
        for (path, value) in &actor.set {
            let filled = paths.entry(path).or_default();
            if filled.index.is_empty() {
                filled.index = index_of(path);
            }
            filled.made.push(format!("{} for a {}", code(value), code(&actor.kind)));
        }
    }
    paths
}

/// For which types a row is, on what condition, and what part of the value it takes.
fn why(field: &FieldRow, part: Option<&str>) -> String {
    let mut why = Vec::new();
    why.extend(part.map(|part| format!("{part} of ")));
    why.push(FIELDS.to_owned());
    match &field.on {
        On::Any => {}
        On::Only(names) if names.len() > MOST_NAMED => why.push(format!(" on {} types", names.len())),
        On::Only(names) => why.push(format!(" on {}", codes(names))),
    }
    if let Some(when) = &field.when {
        why.push(format!(" if {} is {}", code(&when.field), codes(&when.values)));
    }
    why.concat()
}

fn page(title: &str, introduction: &str, paths: Vec<(&str, Filled)>) -> String {
    // ECS calls the first part of a name a field set; the vendor's own are one set.
    let set = |path: &str| match path.split_once('.') {
        Some(("anthropic", _)) => "By name".to_owned(),
        Some((root, _)) => root.to_owned(),
        None => "Base fields".to_owned(),
    };
    let mut sets: BTreeMap<String, String> = BTreeMap::new();
    for (path, filled) in paths {
        let rows = filled.from.iter().map(|(why, fields)| why.replace(FIELDS, &codes(fields)));
        let from: Vec<String> = rows.chain(filled.made).collect();
        sets.entry(set(path)).or_default().push_str(&row([code(path), filled.index, from.join("<br>")]));
    }
    let mut out = format!("{NOTE}# {title}\n\n{introduction}\n");
    for (set, rows) in sets {
        out.push_str(&format!("\n## {set}\n\n{}{rows}", head(["Field", "Index", "From"])));
    }
    out
}

/// The paths of a document, down to those in `known`; others are found wanting.
fn met(known: &BTreeMap<&str, Filled>, path: &str, value: &Value, met: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) if !known.contains_key(path) => {
            for (name, value) in members {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                self::met(known, &path, value, met);
            }
        }
        _ => {
            met.insert(path.to_owned());
        }
    }
}

#[test]
fn documents_have_these_paths_and_no_others() {
    let tables = Tables::builtin();
    let known = filled(&tables);
    let mut found = BTreeSet::new();
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden");
    for folder in std::fs::read_dir(golden).unwrap() {
        for entry in std::fs::read_dir(folder.unwrap().path()).unwrap() {
            let path = entry.unwrap().path();
            if path.to_string_lossy().ends_with(".out.json") {
                let document = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
                met(&known, "", &document, &mut found);
            }
        }
    }
    let unknown: Vec<&String> = found.iter().filter(|path| !known.contains_key(path.as_str())).collect();
    assert!(unknown.is_empty(), "no page has {unknown:?}");
    // Not in golden documents, whose options are the defaults of `normalize`.
    let optional = ["event.hash", "event.ingested"];
    let never: Vec<&str> = MADE
        .iter()
        .map(|(path, _)| *path)
        .filter(|path| !found.contains(*path) && !optional.contains(path))
        .collect();
    assert!(never.is_empty(), "no document has {never:?}");
}
