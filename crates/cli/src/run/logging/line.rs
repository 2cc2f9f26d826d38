//! An event taken apart: when, how grave, from where, what, and its fields.

use std::fmt;

use chrono::{DateTime, Utc};
use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::{Event, Level};

/// What of a text is kept: what comes from outside may be of any length.
const LONGEST: usize = 8 << 10;

/// An event.
pub(super) struct Line {
    pub(super) time: DateTime<Utc>,
    pub(super) level: Level,
    pub(super) target: &'static str,
    pub(super) message: String,
    /// In the order in which they were given.
    pub(super) fields: Vec<(&'static str, Value)>,
}

impl Line {
    pub(super) fn new(event: &Event<'_>, time: DateTime<Utc>) -> Self {
        let metadata = event.metadata();
        let (level, target) = (*metadata.level(), metadata.target());
        let mut line = Self { time, level, target, message: String::new(), fields: Vec::new() };
        event.record(&mut line);
        line
    }

    fn text(&mut self, field: &Field, mut text: String) {
        if text.len() > LONGEST {
            let mut end = LONGEST;
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            text.truncate(end);
            text.push('…');
        }
        match field.name() {
            "message" => self.message = text,
            name => self.fields.push((name, text.into())),
        }
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value.to_owned());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.fields.push((field.name(), value.into()));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.fields.push((field.name(), value.into()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.fields.push((field.name(), value.into()));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.fields.push((field.name(), value.into()));
    }
}
