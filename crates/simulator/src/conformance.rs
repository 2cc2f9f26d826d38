//! Whether a record is what the catalog says: the yardstick of this crate's tests.

use std::collections::HashSet;

use model::catalog::{Catalog, Field, Shape};
use serde_json::{Map, Value};

/// Everything in which a record of a known type departs from the catalog.
pub(crate) fn problems(catalog: &Catalog, record: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let Some(object) = record.as_object() else { return vec!["not an object".to_owned()] };
    let name = object.get("type").and_then(Value::as_str).unwrap_or_default();
    let Some(activity) = catalog.activities.get(name) else { return vec![format!("unknown type {name}")] };
    check_fields(catalog, object, catalog.envelope.iter().chain(&activity.fields), name, &mut found);
    found
}

fn check_fields<'f>(
    catalog: &Catalog,
    object: &Map<String, Value>,
    fields: impl Iterator<Item = &'f Field>,
    path: &str,
    found: &mut Vec<String>,
) {
    let mut known = HashSet::new();
    for field in fields {
        known.insert(field.name.as_str());
        let path = format!("{path}.{}", field.name);
        match object.get(&field.name) {
            None if field.optional => {}
            None => found.push(format!("{path} is missing")),
            Some(Value::Null) if field.optional || field.nullable => {}
            Some(value) => check(catalog, value, &field.shape, &path, found),
        }
    }
    found.extend(
        object
            .keys()
            .filter(|key| !known.contains(key.as_str()))
            .map(|key| format!("{path}.{key} is unknown")),
    );
}

fn check(catalog: &Catalog, value: &Value, shape: &Shape, path: &str, found: &mut Vec<String>) {
    let fits = match (shape, value) {
        (Shape::String, Value::String(text)) => !text.is_empty(),
        (Shape::Number, Value::Number(_)) | (Shape::Boolean, Value::Bool(_)) | (Shape::Any, _) => true,
        (Shape::Enum { values }, Value::String(text)) => values.contains(text),
        (Shape::Array { items }, Value::Array(list)) => {
            list.iter().for_each(|item| check(catalog, item, items, path, found));
            true
        }
        (Shape::Object { fields }, Value::Object(object)) => {
            check_fields(catalog, object, fields.iter(), path, found);
            true
        }
        (Shape::Map { values }, Value::Object(object)) => {
            object.values().for_each(|item| check(catalog, item, values, path, found));
            true
        }
        (Shape::Union { variants }, Value::Object(object)) => {
            let alternatives = variants.iter().map(|variant| {
                let mut found = Vec::new();
                check_fields(catalog, object, variant.fields.iter(), path, &mut found);
                found
            });
            let best = alternatives.min_by_key(Vec::len).unwrap_or_default();
            found.extend(best);
            true
        }
        (Shape::Actor, Value::Object(object)) => {
            let mut object = object.clone();
            let kind =
                object.remove("type").and_then(|kind| kind.as_str().map(str::to_owned)).unwrap_or_default();
            match catalog.actors.get(&kind) {
                Some(fields) => {
                    check_fields(catalog, &object, fields.iter(), &format!("{path}({kind})"), found)
                }
                None => found.push(format!("{path} is of unknown kind {kind}")),
            }
            true
        }
        _ => false,
    };
    if !fits {
        found.push(format!("{path} is {value}"));
    }
}

mod tests {
    use std::collections::{BTreeSet, HashMap};

    use model::catalog::Variant;

    use super::*;
    use crate::{RecordGenerator, RecordShape};

    fn parse(line: &str) -> Value {
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    /// The `type` that tells a variant from the others.
    fn tag(fields: &[Field]) -> &str {
        match &fields.iter().find(|field| field.name == "type").unwrap().shape {
            Shape::Enum { values } => &values[0],
            other => panic!("{other:?}"),
        }
    }

    /// Every enum value, boolean and union variant that a value of this shape can show.
    fn choices(shape: &Shape, path: &str, found: &mut BTreeSet<String>) {
        match shape {
            Shape::Boolean => found.extend(["true", "false"].map(|value| format!("{path}={value}"))),
            Shape::Enum { values } => found.extend(values.iter().map(|value| format!("{path}={value:?}"))),
            Shape::Array { items } => choices(items, &format!("{path}[]"), found),
            Shape::Map { values } => choices(values, &format!("{path}{{}}"), found),
            Shape::Object { fields } => {
                fields
                    .iter()
                    .for_each(|field| choices(&field.shape, &format!("{path}.{}", field.name), found));
            }
            Shape::Union { variants } => {
                for Variant { fields } in variants {
                    let path = format!("{path}<{}>", tag(fields));
                    fields
                        .iter()
                        .for_each(|field| choices(&field.shape, &format!("{path}.{}", field.name), found));
                }
            }
            Shape::String | Shape::Number | Shape::Any | Shape::Actor => {}
        }
    }

    /// The same for what a value does show; free keys count as one.
    fn shown(value: &Value, shape: &Shape, path: &str, found: &mut BTreeSet<String>) {
        fn fields_shown(
            fields: &[Field],
            object: &Map<String, Value>,
            path: &str,
            found: &mut BTreeSet<String>,
        ) {
            for field in fields {
                let path = format!("{path}.{}", field.name);
                object
                    .get(&field.name)
                    .into_iter()
                    .for_each(|value| shown(value, &field.shape, &path, found));
            }
        }
        match (shape, value) {
            (Shape::Boolean, Value::Bool(_)) | (Shape::Enum { .. }, Value::String(_)) => {
                found.insert(format!("{path}={value}"));
            }
            (Shape::Array { items }, Value::Array(list)) => {
                list.iter().for_each(|item| shown(item, items, &format!("{path}[]"), found));
            }
            (Shape::Map { values }, Value::Object(object)) => {
                object.values().for_each(|item| shown(item, values, &format!("{path}{{}}"), found));
            }
            (Shape::Object { fields }, Value::Object(object)) => fields_shown(fields, object, path, found),
            (Shape::Union { variants }, Value::Object(object)) => {
                for Variant { fields } in
                    variants.iter().filter(|variant| object["type"] == tag(&variant.fields))
                {
                    fields_shown(fields, object, &format!("{path}<{}>", tag(fields)), found);
                }
            }
            _ => {}
        }
    }

    #[test]
    fn every_record_of_every_type_is_what_the_catalog_says() {
        let catalog = Catalog::builtin();
        let mut generator = RecordGenerator::new(&catalog, 5);
        for (name, activity) in &catalog.activities {
            let records: Vec<_> = generator.records_for(name).iter().map(|line| parse(line)).collect();
            let mut expected = BTreeSet::new();
            let mut found = BTreeSet::new();
            for field in &activity.fields {
                choices(&field.shape, &field.name, &mut expected);
                for value in records.iter().filter_map(|record| record.get(&field.name)) {
                    shown(value, &field.shape, &field.name, &mut found);
                }
            }
            let missed: Vec<_> = expected.difference(&found).collect();
            assert!(missed.is_empty() && found.len() == expected.len(), "{name}: {missed:?}");
            let kinds: BTreeSet<_> =
                records.iter().map(|record| record["actor"]["type"].as_str().unwrap()).collect();
            assert!(kinds.into_iter().eq(catalog.actors.keys()), "{name}: not every actor kind");
            for record in &records {
                assert_eq!(record["type"], *name);
                assert_eq!(problems(&catalog, record), Vec::<String>::new(), "{record}");
            }
        }
    }

    #[test]
    fn each_shape_carries_what_it_promises() {
        let catalog = Catalog::builtin();
        let mut generator = RecordGenerator::new(&catalog, 6);
        for (name, activity) in &catalog.activities {
            let mut make = |shape| parse(&generator.record(name, shape));
            let (full, required, nulls) =
                (make(RecordShape::Full), make(RecordShape::Required), make(RecordShape::Nulls));
            for field in &activity.fields {
                assert!(full[&field.name] != Value::Null, "{name}.{} in {full}", field.name);
                assert_eq!(required.get(&field.name).is_some(), !field.optional, "{name}.{}", field.name);
                assert_eq!(nulls[&field.name].is_null(), !field.is_required(), "{name}.{}", field.name);
            }
        }
    }

    #[test]
    fn actors_cover_every_variant() {
        let catalog = Catalog::builtin();
        let mut generator = RecordGenerator::new(&catalog, 7);
        for (kind, fields) in &catalog.actors {
            let (mut expected, mut found) = (BTreeSet::new(), BTreeSet::new());
            for actor in generator.actors_for(kind) {
                for field in fields {
                    choices(&field.shape, &field.name, &mut expected);
                    shown(&parse(&actor)[&field.name], &field.shape, &field.name, &mut found);
                }
            }
            assert_eq!(expected, found, "{kind}");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_records() {
        let catalog = Catalog::builtin();
        let records = |seed| {
            let mut generator = RecordGenerator::new(&catalog, seed);
            let names = catalog.activities.keys().step_by(17);
            names.flat_map(|name| generator.records_for(name)).collect::<Vec<_>>()
        };
        assert_eq!(records(1), records(1));
        assert_ne!(records(1), records(2));
    }

    #[test]
    fn changed_values_mostly_differ_from_previous_ones() {
        let catalog = Catalog::builtin();
        let mut generator = RecordGenerator::new(&catalog, 8);
        let mut pairs = HashMap::<bool, usize>::new();
        for name in ["primary_owner_transferred", "claude_user_role_updated", "subscription_upgraded"] {
            for _ in 0..100 {
                let record = parse(&generator.record(name, RecordShape::Full));
                for (new, old) in [
                    ("new_owner_id", "previous_owner_id"),
                    ("current_role", "previous_role"),
                    ("new_plan", "old_plan"),
                ] {
                    if record.get(new).is_some() {
                        *pairs.entry(record[new] == record[old]).or_default() += 1;
                    }
                }
            }
        }
        assert!(pairs.get(&true).is_none_or(|same| *same < 5), "{pairs:?}");
    }

    #[test]
    fn a_draft_keeps_what_was_fixed_and_adds_what_is_unknown() {
        let catalog = Catalog::builtin();
        let mut generator = RecordGenerator::new(&catalog, 9);
        let line = generator
            .draft("claude_chat_created")
            .shape(RecordShape::Required)
            .actor_kind("system_actor")
            .at(crate::instant((2026, 10, 6), 9, 0, 0))
            .set("id", "activity_fixed")
            .set("claude_chat_id", "claude_chat_fixed")
            .set_json("not_in_the_catalog", "{\"a\":[1,null]}")
            .finish();
        let record = parse(&line);
        assert_eq!(record["id"], "activity_fixed");
        assert!(record["created_at"].as_str().unwrap().starts_with("2026-10-06T09:00:00"));
        assert_eq!(record["actor"], serde_json::json!({"type": "system_actor"}));
        assert_eq!(record["claude_chat_id"], "claude_chat_fixed");
        assert_eq!(record["not_in_the_catalog"]["a"][0], 1);
        assert!(line.starts_with("{\"id\":\"activity_fixed\",\"created_at\":"), "{line}");
        let unknown = parse(&generator.record("claude_canvas_exported", RecordShape::Full));
        assert_eq!(unknown.as_object().unwrap().len(), 6);
    }
}
