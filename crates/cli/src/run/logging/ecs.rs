//! A line for machines: one object of ECS's logging fields, as Elastic's shippers take it without any mapping of their own.
//!
//! The fields of an event that ECS has a name for stand there; all others are ours, under `anthropic_ecs`.

use std::fmt::Write;

use chrono::SecondsFormat;
use mapper::ECS_VERSION;
use serde_json::{Map, Value, json};

use super::line::Line;
use crate::terminal::shown_json;

/// The line, without its end.
pub(super) fn write(line: &Line) -> String {
    let time = line.time.to_rfc3339_opts(SecondsFormat::Millis, true);
    let level = line.level.as_str().to_ascii_lowercase();
    let mut own = Map::new();
    let mut error = Map::new();
    for (name, value) in &line.fields {
        match *name {
            "cause" | "error" | "fault" => error.insert("message".to_owned(), value.clone()),
            "kind" => error.insert("type".to_owned(), value.clone()),
            // A field called log.something is made by a bridge from another log, for its own use.
            name if name.starts_with("log.") => None,
            name => own.insert(name.to_owned(), value.clone()),
        };
    }
    // The beginning stands in the order in which ECS's logging libraries write it, so that raw lines can be read too.
    let text = |value: &str| Value::from(value).to_string();
    let mut out = format!(
        "{{\"@timestamp\":{},\"log.level\":{},\"message\":{}",
        text(&time),
        text(&level),
        text(&line.message)
    );
    let rest = json!({
        "ecs.version": ECS_VERSION,
        "event.dataset": "anthropic_ecs.log",
        "log.logger": line.target,
        "process.pid": std::process::id(),
        "service.name": "anthropic-ecs",
        "service.type": "anthropic_ecs",
        "service.version": env!("CARGO_PKG_VERSION"),
    });
    for (name, value) in rest.as_object().into_iter().flatten() {
        // Writing to a string cannot fail.
        let _ = write!(out, ",{}:{value}", text(name));
    }
    for (name, members) in [("error", error), ("anthropic_ecs", own)] {
        if !members.is_empty() {
            let _ = write!(out, ",{}:{}", text(name), Value::Object(members));
        }
    }
    out.push('}');
    shown_json(&out)
}
