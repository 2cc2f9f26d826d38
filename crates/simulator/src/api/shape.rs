//! Records bent on purpose: what no client expects and every client must survive, one sort at a time.
//!
//! Owns the sorts and how each is done to a record of any route. By chance the tenant makes odd records of its own
//! ([`super::tenant`]); this is for a fault that orders one.

use chrono::DateTime;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::cursor::hash;
use super::faults::{Fault, FaultKind};
use crate::clock::{Precision, rfc3339};

/// What is odd about a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// A `type` that nobody knows.
    UnknownType,
    /// An `actor.type` that nobody knows.
    UnknownActor,
    /// A content block that nobody knows.
    UnknownBlock,
    /// A field more, nested.
    ExtraField,
    /// Null where a string is usual.
    NullString,
    /// An optional field less.
    MissingField,
    /// A time without a fraction.
    NoFraction,
    /// A time in milliseconds.
    Milliseconds,
    /// A time in microseconds.
    Microseconds,
    /// A time with `+00:00` in place of `Z`.
    Offset,
    /// A string of a mebibyte.
    LongString,
    /// An escaped surrogate without its other half.
    LoneSurrogate,
    /// An integer beyond 64 bits.
    HugeInteger,
}

impl Shape {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::UnknownType,
        Self::UnknownActor,
        Self::UnknownBlock,
        Self::ExtraField,
        Self::NullString,
        Self::MissingField,
        Self::NoFraction,
        Self::Milliseconds,
        Self::Microseconds,
        Self::Offset,
        Self::LongString,
        Self::LoneSurrogate,
        Self::HugeInteger,
    ];

    /// The record with that about it; one that is no object stays as it is.
    pub(crate) fn bend(self, text: &str) -> String {
        let Ok(mut record) = serde_json::from_str::<Map<String, Value>>(text) else { return text.to_owned() };
        // What a tree of values cannot hold is written behind it.
        let mut more = "";
        match self {
            Self::UnknownType => drop(record.insert("type".into(), "claude_hologram_projected".into())),
            Self::UnknownActor => {
                record.insert("actor".into(), json!({"type": "delegated_actor", "delegate_id": "dlg_01"}));
            }
            Self::UnknownBlock => {
                let block = json!({"type": "hologram", "depth": 3});
                match record.get_mut("content").and_then(Value::as_array_mut) {
                    Some(blocks) => blocks.insert(0, block),
                    None => drop(record.insert("content".into(), json!([block]))),
                }
            }
            Self::ExtraField => {
                record.insert("nested".into(), json!({"a": {"b": [{"c": [[{"d": null}]]}]}}));
            }
            Self::NullString => {
                let string = record.iter_mut().find(|(name, value)| value.is_string() && !is_envelope(name));
                match string {
                    Some((_, value)) => *value = Value::Null,
                    None => drop(record.insert("name".into(), Value::Null)),
                }
            }
            Self::MissingField => {
                let name = record.keys().find(|name| !is_envelope(name)).cloned();
                name.into_iter().for_each(|name| drop(record.remove(&name)));
            }
            Self::NoFraction => respell(&mut record, Precision::Seconds, true),
            Self::Milliseconds => respell(&mut record, Precision::Millis, true),
            Self::Microseconds => respell(&mut record, Precision::Micros, true),
            Self::Offset => respell(&mut record, Precision::Micros, false),
            Self::LongString => drop(record.insert("body".into(), "x".repeat(1 << 20).into())),
            Self::LoneSurrogate => more = r#","note":"half \ud83d of a pair""#,
            Self::HugeInteger => more = r#","counter":123456789012345678901234567890"#,
        }
        let plain = Value::from(record).to_string();
        match more {
            "" => plain,
            more => format!("{}{more}}}", plain.strip_suffix('}').unwrap_or(&plain)),
        }
    }

    /// The one that is meant, or one that follows from the text.
    pub(crate) fn chosen(wanted: Option<Self>, text: &str) -> Self {
        let by_chance = (hash(text) % Self::ALL.len() as u64) as usize;
        wanted.unwrap_or(Self::ALL[by_chance])
    }
}

/// The fields without which nothing can be known again.
fn is_envelope(name: &str) -> bool {
    matches!(name, "id" | "uuid" | "user_id" | "type" | "created_at" | "actor" | "role" | "content")
}

fn respell(record: &mut Map<String, Value>, precision: Precision, zulu: bool) {
    if let Some(value) = record.get_mut("created_at")
        && let Some(time) = value.as_str().and_then(|text| DateTime::parse_from_rfc3339(text).ok())
    {
        *value = rfc3339(time.timestamp_micros(), precision, zulu).into();
    }
}

/// A page of any route but the feed's as a fault of records leaves it; other faults change nothing.
pub(crate) fn bend_page(body: Vec<u8>, fault: &Fault) -> Vec<u8> {
    let open = |text: &str| text.strip_suffix('}').unwrap_or(text).to_owned();
    match fault.kind {
        FaultKind::Shape => bend_middle(body, |text| Shape::chosen(fault.shape, text).bend(text)),
        // Braces and quotes are in order, so the record's end can be found; the escape is none.
        FaultKind::Undecodable => bend_middle(body, |text| format!(r#"{},"note":"\x"}}"#, open(text))),
        FaultKind::Huge => bend_middle(body, |text| {
            format!(r#"{},"padding":"{}"}}"#, open(text), "x".repeat(fault.bytes.unwrap_or(64 << 20)))
        }),
        _ => body,
    }
}

/// A page with the record in its middle bent; a page without records stays as it is.
fn bend_middle(body: Vec<u8>, bend: impl FnOnce(&str) -> String) -> Vec<u8> {
    // Stands for the record while the page is a tree, which cannot hold everything that a record may.
    const HOLE: &str = "\u{1}bent\u{1}";
    let Ok(mut page) = serde_json::from_slice::<Value>(&body) else { return body };
    let rows = ["data", "chat_messages"].into_iter().find(|name| page.get(name).is_some());
    let rows = rows.and_then(|name| page.get_mut(name)).and_then(Value::as_array_mut);
    let middle = rows.and_then(|rows| {
        let middle = rows.len() / 2;
        rows.get_mut(middle)
    });
    let Some(record) = middle else { return body };
    let text = record.to_string();
    *record = HOLE.into();
    page.to_string().replacen(&json!(HOLE).to_string(), &bend(&text), 1).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &str = r#"{"id":"a","created_at":"2026-10-06T08:00:00.123456Z","name":"n","type":"t","content":[{"type":"text"}]}"#;

    #[test]
    fn each_shape_does_what_it_says_and_keeps_the_record_known() {
        let bent = |shape: Shape| serde_json::from_str::<Value>(&shape.bend(RECORD)).unwrap_or_default();
        assert_eq!(bent(Shape::UnknownType)["type"], "claude_hologram_projected");
        assert_eq!(bent(Shape::UnknownActor)["actor"]["type"], "delegated_actor");
        assert_eq!(bent(Shape::UnknownBlock)["content"][0]["type"], "hologram");
        assert_eq!(bent(Shape::UnknownBlock)["content"][1]["type"], "text");
        assert!(bent(Shape::ExtraField)["nested"]["a"]["b"].is_array());
        assert!(bent(Shape::NullString)["name"].is_null());
        assert_eq!(bent(Shape::MissingField).get("name"), None);
        for (shape, time) in [
            (Shape::NoFraction, "2026-10-06T08:00:00Z"),
            (Shape::Milliseconds, "2026-10-06T08:00:00.123Z"),
            (Shape::Microseconds, "2026-10-06T08:00:00.123456Z"),
            (Shape::Offset, "2026-10-06T08:00:00.123456+00:00"),
        ] {
            assert_eq!(bent(shape)["created_at"], time);
        }
        assert!(bent(Shape::LongString)["body"].as_str().unwrap().len() == 1 << 20);
        assert!(Shape::LoneSurrogate.bend(RECORD).contains(r"\ud83d of"));
        assert!(Shape::HugeInteger.bend(RECORD).contains(":123456789012345678901234567890}"));
        for shape in Shape::ALL {
            assert!(shape.bend(RECORD).contains("\"id\":\"a\""), "{shape:?}");
            assert_ne!(shape.bend(RECORD), shape.bend("[]"));
        }
    }

    #[test]
    fn of_a_page_the_middle_is_bent() {
        let page = br#"{"data":[{"id":"a"},{"id":"b"},{"id":"c"}],"has_more":false}"#;
        let bent = |fault: &Fault| String::from_utf8(bend_page(page.to_vec(), fault)).unwrap();
        let surrogate = bent(&Fault { shape: Some(Shape::LoneSurrogate), ..Fault::new(FaultKind::Shape) });
        assert!(surrogate.contains(r#"{"id":"b","note":"half \ud83d of a pair"},{"id":"c"}"#), "{surrogate}");
        let undecodable = bent(&Fault::new(FaultKind::Undecodable));
        assert!(undecodable.contains(r#"{"id":"b","note":"\x"},{"id":"c"}"#), "{undecodable}");
        let huge = bent(&Fault { bytes: Some(3), ..Fault::new(FaultKind::Huge) });
        assert!(huge.contains(r#"{"id":"b","padding":"xxx"},{"id":"c"}"#), "{huge}");
        assert_eq!(bent(&Fault::new(FaultKind::Stall)).as_bytes(), page);
        let empty = br#"{"data":[]}"#.to_vec();
        assert_eq!(bend_page(empty.clone(), &Fault::new(FaultKind::Shape)), empty);
    }
}
