//! A line for people: time, level, message, fields.

use std::fmt::Write;

use chrono::SecondsFormat;
use serde_json::Value;
use tracing::Level;

use super::line::Line;
use crate::terminal::{acts, shown};

/// The line, without its end.
pub(super) fn write(line: &Line, colour: bool) -> String {
    let mut out = line.time.to_rfc3339_opts(SecondsFormat::Millis, true);
    let (code, name) = match line.level {
        Level::ERROR => (31, "ERROR"),
        Level::WARN => (33, "WARN "),
        Level::INFO => (32, "INFO "),
        Level::DEBUG => (34, "DEBUG"),
        _ => (35, "TRACE"),
    };
    // Writing to a string cannot fail.
    let _ = if colour { write!(out, " \x1b[{code}m{name}\x1b[0m ") } else { write!(out, " {name} ") };
    out.push_str(&shown(&line.message));
    for (name, value) in &line.fields {
        let _ = write!(out, "  {name}=");
        match value {
            Value::String(text) if is_plain(text) => out.push_str(text),
            Value::String(text) => {
                out.push('"');
                out.push_str(&shown(&text.replace('\\', "\\\\").replace('"', "\\\"")));
                out.push('"');
            }
            other => {
                let _ = write!(out, "{other}");
            }
        }
    }
    out
}

fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| !c.is_whitespace() && !acts(c) && c != '"' && c != '\\')
}
