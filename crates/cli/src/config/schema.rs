//! The JSON Schema of a whole configuration file, put together from what each section derives.
//!
//! Owns which section is read as which type, a second time: [`Config::parse`](super::Config::parse) says it in code that reads,
//! this says it in a list. The tests below hold the two together. Editors and the reference page are served by it; the
//! program itself has no use for it, so that it is built for tests alone.
//!
//! The subtle thing: TOML has no null, so that what may be absent is only ever left out, and the schema says so.

use ingest::api::ComplianceApiConfig;
use ingest::checkpoint::StateConfig;
use ingest::file::FileConfig;
use output::dead_letters::DeadLettersConfig as DeadLetterFileConfig;
use output::elasticsearch::ElasticsearchConfig;
use output::ndjson::NdjsonConfig;
use pipeline::DeliveryConfig;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::dead_letters::OF_DOCUMENTS;
use super::{MapperConfig, TelemetryConfig};

/// A section, and what it may be.
struct Section {
    name: &'static str,
    meaning: &'static str,
    required: bool,
    body: Body,
}

enum Body {
    /// Always the same keys.
    Plain(Value),
    /// Keys by the value of `type`; `default` is the one that need not be said.
    Kinds { kinds: Vec<(&'static str, Value)>, default: Option<&'static str> },
}

fn sections() -> Vec<Section> {
    vec![
        Section {
            name: "source",
            meaning: "Where records come from.",
            required: true,
            body: Body::Kinds {
                kinds: vec![
                    ("compliance_api", keys::<ComplianceApiConfig>()),
                    ("kafka", keys::<ingest::kafka::Config>()),
                    ("file", keys::<FileConfig>()),
                ],
                default: None,
            },
        },
        Section {
            name: "mapper",
            meaning: "What documents are made of, beside the record.",
            required: false,
            body: Body::Plain(keys::<MapperConfig>()),
        },
        Section {
            name: "sink",
            meaning: "Where documents go.",
            required: true,
            body: Body::Kinds {
                kinds: vec![
                    ("elasticsearch", keys::<ElasticsearchConfig>()),
                    ("kafka", keys::<output::kafka::Config>()),
                    ("ndjson", keys::<NdjsonConfig>()),
                ],
                default: None,
            },
        },
        Section {
            name: "dead_letters",
            meaning: "Where records go that can be neither mapped nor delivered, with the reason.",
            required: false,
            body: Body::Kinds {
                kinds: vec![
                    ("file", keys::<DeadLetterFileConfig>()),
                    ("kafka", without(keys::<output::kafka::Config>(), &OF_DOCUMENTS)),
                ],
                default: Some("file"),
            },
        },
        Section {
            name: "state",
            meaning: "Where the position of a `compliance_api` or `file` source is kept. A `kafka` source keeps its own in the group.",
            required: false,
            body: Body::Plain(keys::<StateConfig>()),
        },
        Section {
            name: "delivery",
            meaning: "Memory, threads and times of the stage as a whole.",
            required: false,
            body: Body::Plain(keys::<DeliveryConfig>()),
        },
        Section {
            name: "telemetry",
            meaning: "Metrics, readiness, the status page, and the log.",
            required: false,
            body: Body::Plain(keys::<TelemetryConfig>()),
        },
    ]
}

/// The schema of a table, everything in place: no definitions elsewhere, which not every editor follows.
fn keys<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft07().with(|settings| settings.inline_subschemas = true);
    let mut schema = SchemaGenerator::new(settings).into_root_schema_for::<T>().to_value();
    without_null(&mut schema);
    in_one_line(&mut schema);
    if let Some(members) = schema.as_object_mut() {
        for name in ["$schema", "title"] {
            members.remove(name);
        }
    }
    schema
}

/// The same without some keys.
fn without(mut schema: Value, keys: &[&str]) -> Value {
    if let Some(known) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        known.retain(|key, _| !keys.contains(&key.as_str()));
    }
    schema
}

/// Takes out null, as a type, an alternative and a default.
fn without_null(schema: &mut Value) {
    let is_null = |schema: &Value| schema == "null" || schema.get("type").is_some_and(|kind| kind == "null");
    match schema {
        Value::Object(members) => {
            if members.get("default").is_some_and(Value::is_null) {
                members.remove("default");
            }
            for name in ["type", "anyOf", "oneOf"] {
                let Some(Value::Array(choices)) = members.get_mut(name) else { continue };
                choices.retain(|choice| !is_null(choice));
                if let [only] = choices.as_mut_slice() {
                    let only = only.take();
                    match only {
                        Value::Object(inner) => {
                            members.remove(name);
                            for (key, value) in inner {
                                members.entry(key).or_insert(value);
                            }
                        }
                        other => {
                            members.insert(name.to_owned(), other);
                        }
                    }
                }
            }
            members.values_mut().for_each(without_null);
        }
        Value::Array(items) => items.iter_mut().for_each(without_null),
        _ => {}
    }
}

/// Joins the lines of descriptions, which are broken at the width of the code.
fn in_one_line(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::String(text)) = members.get_mut("description") {
                *text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            }
            members.values_mut().for_each(in_one_line);
        }
        Value::Array(items) => items.iter_mut().for_each(in_one_line),
        _ => {}
    }
}

/// The names of the sections, in the order in which one thinks of them: a JSON object has none.
pub(crate) fn names() -> Vec<&'static str> {
    sections().iter().map(|section| section.name).collect()
}

/// The schema of a whole file.
pub(crate) fn schema() -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for section in sections() {
        let body = match section.body {
            Body::Plain(keys) => keys,
            Body::Kinds { kinds, default } => {
                let kinds: Vec<Value> =
                    kinds.into_iter().map(|(kind, keys)| with_kind(keys, kind, default)).collect();
                json!({"type": "object", "oneOf": kinds})
            }
        };
        let mut body = body;
        body["description"] = section.meaning.into();
        properties.insert(section.name.to_owned(), body);
        if section.required {
            required.push(section.name);
        }
    }
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Configuration of anthropic-ecs run",
        "type": "object",
        "required": required,
        "additionalProperties": false,
        "properties": properties,
    })
}

/// The schema of a table with its key `type`.
fn with_kind(mut keys: Value, kind: &str, default: Option<&str>) -> Value {
    let mut own = json!({"const": kind, "description": format!("This section's kind: `{kind}`.")});
    if default == Some(kind) {
        own["default"] = kind.into();
    } else {
        let mut required = vec![Value::from("type")];
        required.extend(keys["required"].as_array().into_iter().flatten().cloned());
        keys["required"] = required.into();
    }
    keys["title"] = kind.into();
    keys["properties"]["type"] = own;
    keys
}

#[cfg(test)]
mod tests {
    use super::super::{Config, SECTIONS};
    use super::*;

    fn kinds(section: &str) -> Vec<String> {
        let schema = schema();
        let kinds = schema["properties"][section]["oneOf"].as_array();
        kinds.into_iter().flatten().map(|kind| kind["title"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn the_schema_has_the_sections_that_are_read() {
        let schema = schema();
        let named: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
        let mut read = SECTIONS;
        read.sort_unstable();
        assert_eq!(named, read, "name a new section in the list at the top of this file too");
    }

    #[test]
    fn the_schema_has_the_kinds_that_are_read() {
        for section in ["source", "sink", "dead_letters"] {
            let others =
                ["[source]\ntype=\"file\"\npaths=[\"a\"]\n", "[sink]\ntype=\"ndjson\"\npath=\"a\"\n"];
            let others = others.iter().filter(|other| !other.starts_with(&format!("[{section}]")));
            let text = others.map(|other| (*other).to_owned()).collect::<String>();
            let said = Config::parse("c", &format!("{text}[{section}]\ntype=\"\"\n"), &|_| None).unwrap_err();
            let listed = kinds(section).iter().map(|kind| format!("`{kind}`")).collect::<Vec<_>>().join(", ");
            assert!(said.to_string().ends_with(&format!("is one of {listed}")), "{said}");
        }
    }

    #[test]
    fn nothing_is_null_and_every_key_says_what_it_is() {
        fn walk(place: &str, schema: &Value) {
            match schema {
                Value::Object(members) => {
                    for (name, property) in
                        members.get("properties").and_then(Value::as_object).into_iter().flatten()
                    {
                        assert!(property["description"].is_string(), "{place}.{name} has no description");
                    }
                    members.iter().for_each(|(name, value)| walk(&format!("{place}.{name}"), value));
                }
                Value::Array(items) => items.iter().for_each(|item| walk(place, item)),
                value => assert!(!value.is_null() && value != "null", "{place}"),
            }
        }
        walk("", &schema());
    }
}
