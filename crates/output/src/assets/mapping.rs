//! From the mapping tables to the fields of an index: one definition for each path a document can have.
//!
//! Two promises decide the details. No value can refuse a document: long texts are left out of the index and stay in the
//! source, malformed ones are ignored, unknown paths are not mapped. And whatever Elastic's integration maps is found here
//! by the same name with a type of the same family.

use std::collections::BTreeMap;

use model::tables::{EcsFields, Tables};
use serde_json::{Map, Value, json};

use super::server::Flavour;

/// The mapper's own places outside ECS, which no row of the tables names.
const OWN: [(&str, &str); 2] =
    [("anthropic.audit.anonymizer", "keyword"), ("anthropic.audit.metadata", "flattened")];

/// ECS field sets that are mapped whole: the mapper, its enrichment or an ingest pipeline of the user's may fill any of them.
/// From other sets come the fields that the tables name.
const WHOLE_SETS: [&str; 13] = [
    "@timestamp",
    "data_stream.",
    "ecs.",
    "event.",
    "message",
    "organization.",
    "related.",
    "source.address",
    "source.as.",
    "source.geo.",
    "tags",
    "url.",
    "user_agent.",
];

/// Fields to which ECS 9.4.0 adds a `.text` for full text search.
const WITH_TEXT: [&str; 14] = [
    "http.request.body.content",
    "organization.name",
    "source.as.organization.name",
    "url.full",
    "url.original",
    "user.changes.full_name",
    "user.changes.name",
    "user.effective.name",
    "user.full_name",
    "user.name",
    "user.target.name",
    "user_agent.original",
    "user_agent.os.full",
    "user_agent.os.name",
];

/// Longer exact texts are not indexed. A character is at most 4 bytes, and Lucene refuses a document with a term beyond
/// 32,766 bytes. ECS says 1024, of which this is a superset.
const IGNORE_ABOVE: u32 = 8_191;

/// In a flattened field the term is path, NUL and value together; this leaves 29 KiB for the path.
const IGNORE_ABOVE_FLATTENED: u32 = 1_024;

/// The mapper keeps free objects to 64 levels; the place they stand in comes on top.
const FLATTENED_DEPTH: u32 = 128;

/// The properties of ECS fields, and those of the vendor's own, as two mappings.
pub(super) fn mappings(tables: &Tables, flavour: Flavour) -> (Value, Value) {
    let ecs = EcsFields::builtin();
    let whole = ecs.iter().filter(|(name, _)| {
        WHOLE_SETS.iter().any(|set| name == set || set.ends_with('.') && name.starts_with(set))
    });
    let mut types: BTreeMap<&str, &str> = whole.map(|(name, field)| (name, field.index.as_str())).collect();
    types.remove("data_stream.namespace");
    types.extend(OWN);
    for row in &tables.fields {
        types.insert(&row.home, row.index.as_str());
        for copy in &row.also {
            // A copy outside ECS that is nobody's home is text: no conversion makes anything else there.
            let index = ecs.get(&copy.path).map_or("keyword", |field| field.index.as_str());
            types.entry(&copy.path).or_insert(index);
        }
    }
    let (mut standard, mut vendor) = (Map::new(), Map::new());
    for (path, index) in types {
        let tree = if path.starts_with("anthropic.") { &mut vendor } else { &mut standard };
        insert(tree, path, definition(flavour, path, index));
    }
    (mapping(standard), mapping(vendor))
}

/// What no row knows is kept in the source and not mapped: it can neither clash with a type nor use up the field limit.
fn mapping(properties: Map<String, Value>) -> Value {
    json!({"dynamic": false, "properties": properties})
}

/// Puts a definition at its place in the tree of `properties`.
fn insert(tree: &mut Map<String, Value>, path: &str, definition: Value) {
    match path.split_once('.') {
        None => {
            tree.insert(path.to_owned(), definition);
        }
        Some((name, rest)) => {
            let object = tree.entry(name).or_insert_with(|| json!({"properties": {}}));
            // The tables' check refuses a path that is a value in one row and an object in another.
            if let Some(inner) = object.get_mut("properties").and_then(Value::as_object_mut) {
                insert(inner, rest, definition);
            }
        }
    }
}

fn definition(flavour: Flavour, path: &str, index: &str) -> Value {
    let mut definition = match (path, index) {
        // Microseconds decide the order; as `date` they would be cut to milliseconds. Kibana and queries treat the two
        // alike. The mapper lets no time pass that `date_nanos` cannot hold; a data stream may not ignore its time.
        ("@timestamp", _) => json!({"type": "date_nanos", "ignore_malformed": false}),
        // The namespace, the third of these, is in the index template.
        ("data_stream.type", _) => json!({"type": "constant_keyword", "value": "logs"}),
        ("data_stream.dataset", _) => json!({"type": "constant_keyword", "value": "anthropic.audit"}),
        // As ECS says: it is kept to be read, not searched.
        ("event.original", _) => json!({"type": "keyword", "index": false, "doc_values": false}),
        (_, "keyword" | "wildcard") => json!({"type": index, "ignore_above": IGNORE_ABOVE}),
        (_, "scaled_float") => json!({"type": "scaled_float", "scaling_factor": 1000}),
        // Objects and lists of objects without a shape of their own. OpenSearch's type has no limits to set.
        (_, "flattened" | "object" | "nested") => match flavour {
            Flavour::Elasticsearch => json!({
                "type": "flattened", "ignore_above": IGNORE_ABOVE_FLATTENED, "depth_limit": FLATTENED_DEPTH,
            }),
            Flavour::OpenSearch => json!({"type": "flat_object"}),
        },
        _ => json!({"type": index}),
    };
    if WITH_TEXT.contains(&path)
        && let Some(members) = definition.as_object_mut()
    {
        members.insert("fields".to_owned(), json!({"text": {"type": "match_only_text"}}));
    }
    definition
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at<'v>(mapping: &'v Value, path: &str) -> &'v Value {
        path.split('.').fold(mapping, |value, name| &value["properties"][name])
    }

    #[test]
    fn each_flavour_gets_types_it_has() {
        let (ecs, vendor) = mappings(&Tables::builtin(), Flavour::Elasticsearch);
        assert_eq!(at(&ecs, "@timestamp")["type"], "date_nanos");
        assert_eq!(at(&ecs, "source.ip")["type"], "ip");
        assert_eq!(at(&ecs, "source.geo.location")["type"], "geo_point");
        assert_eq!(at(&ecs, "url.original")["fields"]["text"]["type"], "match_only_text");
        assert_eq!(at(&ecs, "event.original")["doc_values"], false);
        assert_eq!(at(&vendor, "anthropic.audit.metadata")["type"], "flattened");
        assert_eq!(at(&vendor, "anthropic.audit.limit_usd")["type"], "double");
        let (_, vendor) = mappings(&Tables::builtin(), Flavour::OpenSearch);
        assert_eq!(*at(&vendor, "anthropic.audit.metadata"), json!({"type": "flat_object"}));
    }

    #[test]
    fn every_path_of_the_tables_is_mapped() {
        let tables = Tables::builtin();
        let (ecs, vendor) = mappings(&tables, Flavour::Elasticsearch);
        for row in &tables.fields {
            for path in std::iter::once(&row.home).chain(row.also.iter().map(|copy| &copy.path)) {
                let tree = if path.starts_with("anthropic.") { &vendor } else { &ecs };
                assert!(at(tree, path)["type"].is_string(), "{path}");
            }
        }
    }

    #[test]
    fn full_text_is_only_where_ecs_has_it_and_we_have_the_field() {
        let ecs = EcsFields::builtin();
        for path in WITH_TEXT {
            assert!(ecs.get(path).is_some(), "{path}");
        }
        assert!(WITH_TEXT.is_sorted());
    }

    #[test]
    fn fields_stay_within_what_a_free_text_search_may_expand_to() {
        fn count(mapping: &Value) -> usize {
            let inner =
                |key| mapping[key].as_object().into_iter().flat_map(Map::values).map(count).sum::<usize>();
            1 + inner("properties") + inner("fields")
        }
        let (ecs, vendor) = mappings(&Tables::builtin(), Flavour::Elasticsearch);
        let fields = count(&ecs) + count(&vendor);
        assert!(
            (600..1024).contains(&fields),
            "{fields} fields; a query over all fields may have 1024 clauses"
        );
    }
}
