//! The same job as a plain `serde_json::Value` program would do it: parse to a tree, build a tree, print it.
//!
//! Written for comparison only, in good faith: tables in hash maps, one look-up per field and record, and
//! the same geography and user-agent code, but no fragments kept, no slots, no reused buffers.

use std::collections::HashMap;

use mapper::enrich::{GeoDatabases, user_agent};
use model::tables::{ActivityRow, FieldRow, On, OutcomeRule, Tables};
use serde_json::{Map, Value, json};

pub(crate) struct Program {
    activities: HashMap<String, ActivityRow>,
    fields: HashMap<String, Vec<FieldRow>>,
    geo: GeoDatabases,
}

impl Program {
    pub(crate) fn new(tables: &Tables, geo: GeoDatabases) -> Self {
        let activities =
            tables.activities.iter().map(|row| (row.activity_type.clone(), row.clone())).collect();
        let mut fields: HashMap<String, Vec<FieldRow>> = HashMap::new();
        for row in &tables.fields {
            fields.entry(row.field.clone()).or_default().push(row.clone());
        }
        for rows in fields.values_mut() {
            rows.sort_by_key(|row| (row.when.is_none(), row.on == On::Any));
        }
        Self { activities, fields, geo }
    }

    pub(crate) fn map(&self, line: &str, out: &mut Vec<u8>) {
        let Ok(Value::Object(mut record)) = serde_json::from_str::<Value>(line) else { return };
        let mut document = json!({
            "data_stream": {"dataset": "anthropic.audit", "namespace": "default", "type": "logs"},
            "ecs": {"version": "9.4.0"},
            "event": {"dataset": "anthropic.audit", "kind": "event", "module": "anthropic"},
        });
        let action = record.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
        let actor = record.remove("actor").unwrap_or(Value::Null);
        let kind = actor.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut related: HashMap<&str, Vec<Value>> = HashMap::new();
        let members = record.iter().map(|(name, value)| (name.clone(), value, &action));
        let of_actor = actor.as_object().into_iter().flatten();
        let members = members.chain(of_actor.map(|(name, value)| (format!("actor.{name}"), value, &kind)));
        for (name, value, on) in members {
            if is_empty(value) {
                continue;
            }
            let rows = self.fields.get(&name).into_iter().flatten();
            let row = rows.into_iter().find(|row| {
                row.on.rank(on) > 0
                    && row.when.as_ref().is_none_or(|when| {
                        record
                            .get(&when.field)
                            .and_then(Value::as_str)
                            .is_some_and(|v| when.values.iter().any(|w| w == v))
                    })
            });
            let Some(row) = row else {
                set(&mut document, &format!("anthropic.audit.metadata.{name}"), value.clone());
                continue;
            };
            set(&mut document, &row.home, value.clone());
            for copy in &row.also {
                match copy.path.strip_prefix("related.") {
                    Some(list) => {
                        let list = related.entry(match list {
                            "ip" => "ip",
                            "user" => "user",
                            "hosts" => "hosts",
                            _ => "hash",
                        });
                        list.or_default().push(value.clone());
                    }
                    None => set(&mut document, &copy.path, value.clone()),
                }
            }
        }
        if let Some(row) = self.activities.get(&action) {
            set(&mut document, "event.category", json!(row.categories));
            set(&mut document, "event.type", json!(row.event_types));
            set(&mut document, "event.severity", json!(row.severity));
            if let OutcomeRule::Fixed(outcome) = row.outcome {
                set(&mut document, "event.outcome", json!(outcome.as_str()));
            }
        }
        if let Some(address) = actor.get("ip_address").and_then(Value::as_str) {
            self.add_geography(&mut document, address);
        }
        if let Some(agent) = actor.get("user_agent").and_then(Value::as_str) {
            add_user_agent(&mut document, agent);
        }
        for (list, mut values) in related {
            values.dedup();
            set(&mut document, &format!("related.{list}"), Value::Array(values));
        }
        let who = document.pointer("/user/email").and_then(Value::as_str).unwrap_or("someone");
        let message = format!("{who} performed {action}");
        set(&mut document, "message", json!(message));
        let _ = serde_json::to_writer(out, &document);
    }

    fn add_geography(&self, document: &mut Value, address: &str) {
        let Ok(ip) = address.parse() else { return };
        let Ok(Some(found)) = self.geo.lookup(ip) else { return };
        let texts = [
            ("country_iso_code", found.country_iso_code),
            ("country_name", found.country_name),
            ("continent_name", found.continent_name),
            ("city_name", found.city_name),
            ("region_name", found.region_name),
            ("timezone", found.timezone),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                set(document, &format!("source.geo.{name}"), json!(text));
            }
        }
        if let Some(at) = found.location {
            set(document, "source.geo.location", json!({"lat": at.lat, "lon": at.lon}));
        }
        if let Some(number) = found.as_number {
            set(document, "source.as.number", json!(number));
        }
    }
}

fn add_user_agent(document: &mut Value, text: &str) {
    let agent = user_agent::parse(text);
    let texts = [
        ("name", agent.name),
        ("version", agent.version),
        ("device.name", agent.device_name),
        ("os.name", agent.os.name),
        ("os.version", agent.os.version.as_deref()),
        ("os.full", agent.os.full.as_deref()),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            set(document, &format!("user_agent.{name}"), json!(text));
        }
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.iter().all(is_empty),
        Value::Object(members) => members.values().all(is_empty),
        _ => false,
    }
}

fn set(document: &mut Value, path: &str, value: Value) {
    let mut place = document;
    for name in path.split('.') {
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        let Value::Object(members) = place else { return };
        place = members.entry(name).or_insert(Value::Null);
    }
    *place = value;
}
