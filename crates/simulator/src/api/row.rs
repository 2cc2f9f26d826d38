//! A record of the simulated feed, with the three times it has.
//!
//! Owns ids, their order, and how a record is spelled. What is inside a record was decided by the
//! tenant. The subtle thing: an id is a number written in 22 digits of an alphabet in ASCII order, so
//! that ids compare as text exactly as the numbers do, and ties have one order everywhere.

use std::sync::{Arc, OnceLock};

use serde::Deserialize;

use super::library::{self, Mention};
use crate::clock::{Micros, Precision, SECOND, rfc3339};

/// The digits of ids, ascending in ASCII.
const DIGITS: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
/// Enough of them for any `u128`.
const LENGTH: usize = 22;
/// What an activity id starts with.
const PREFIX: &str = "activity_01";

/// Where a record stands: the total order of the feed is that of `(created, number)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// `created_at`.
    pub created: Micros,
    /// The number behind the id; breaks ties.
    pub number: u128,
}

impl Place {
    /// The activity id: `activity_01…`.
    #[must_use]
    pub fn id(self) -> String {
        format!("{PREFIX}{}", base58(self.number))
    }
}

/// A number in 22 digits.
pub(crate) fn base58(mut number: u128) -> String {
    let mut digits = [DIGITS[0]; LENGTH];
    // Ten digits at a time fit into 64 bits, whose division is many times as fast.
    const TEN: u128 = 58_u128.pow(10);
    for chunk in digits.rchunks_mut(10) {
        let mut low = (number % TEN) as u64;
        number /= TEN;
        for digit in chunk.iter_mut().rev() {
            *digit = DIGITS[(low % 58) as usize];
            low /= 58;
        }
    }
    digits.iter().map(|&digit| char::from(digit)).collect()
}

/// The number behind an activity id; nothing when it is none.
pub(crate) fn number_of(id: &str) -> Option<u128> {
    let digits = id.strip_prefix(PREFIX)?;
    if digits.len() != LENGTH {
        return None;
    }
    digits.bytes().try_fold(0_u128, |number, digit| {
        let value = DIGITS.binary_search(&digit).ok()?;
        number.checked_mul(58)?.checked_add(value as u128)
    })
}

/// What a record says besides id and time; many records may share one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Content {
    /// `type`.
    pub(crate) activity_type: String,
    /// `actor.user_id`, which the filters by actor look at.
    pub(crate) user_id: Option<String>,
    /// `organization_id` and `organization_uuid`, where the record names one.
    pub(crate) organization: Option<(String, String)>,
    /// The record's text after `id` and `created_at`, from the comma on to the closing brace.
    pub(crate) rest: String,
    /// The same after names were redacted, where that changes anything.
    pub(crate) redacted: Option<String>,
    /// The things it speaks of, found when somebody asks.
    pub(crate) mentions: OnceLock<Vec<Arc<Mention>>>,
}

/// The parts of a record that filters look at.
#[derive(Default, Deserialize)]
struct Looked {
    #[serde(rename = "type")]
    activity_type: Option<String>,
    organization_id: Option<String>,
    organization_uuid: Option<String>,
    #[serde(default)]
    actor: Option<LookedActor>,
}

#[derive(Deserialize)]
struct LookedActor {
    user_id: Option<String>,
}

impl Content {
    /// The content of a record whose text begins with `id` and `created_at`, as the generator writes it.
    pub(crate) fn of_record(text: &str) -> Self {
        Self::of_rest(after_envelope(text).unwrap_or("}"))
    }

    /// The content of a record by its text after `created_at`. What cannot be read has no type and no actor: a record may be
    /// damaged on purpose.
    pub(crate) fn of_rest(rest: &str) -> Self {
        let object = format!("{{{}", rest.trim_start_matches(','));
        let looked: Looked = serde_json::from_str(&object).unwrap_or_default();
        let activity_type = looked.activity_type.unwrap_or_default();
        let named = ["_file_", "_document_", "_artifact_"].iter().any(|name| activity_type.contains(name));
        Self {
            user_id: looked.actor.and_then(|actor| actor.user_id),
            organization: looked.organization_id.zip(looked.organization_uuid),
            redacted: named.then(|| redact(rest)).flatten(),
            rest: rest.to_owned(),
            activity_type,
            mentions: OnceLock::new(),
        }
    }

    /// The things it speaks of.
    pub(crate) fn mentions(&self) -> &[Arc<Mention>] {
        self.mentions.get_or_init(|| library::mentions(&self.activity_type, &self.rest))
    }
}

/// What follows `{"id":"…","created_at":"…"`.
fn after_envelope(text: &str) -> Option<&str> {
    let (_, after_id) = text.strip_prefix("{\"id\":\"")?.split_once('"')?;
    let (_, rest) = after_id.strip_prefix(",\"created_at\":\"")?.split_once('"')?;
    Some(rest)
}

/// The text with every file name and title null; nothing when there are none.
fn redact(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut left = text;
    let next = |text: &str| {
        ["\"filename\":\"", "\"title\":\""]
            .iter()
            .filter_map(|key| text.find(key).map(|at| at + key.len() - 1))
            .min()
    };
    while let Some(at) = next(left) {
        let (before, value) = left.split_at(at);
        let mut escaped = false;
        let end = value.bytes().skip(1).position(|byte| {
            let ends = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        })?;
        out.push_str(before);
        out.push_str("null");
        left = &value[end + 2..];
    }
    (!out.is_empty()).then(|| out + left)
}

/// A record and when the feed shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    /// When it happened.
    pub(crate) occurred: Micros,
    /// From when on the feed shows it.
    pub(crate) indexed: Micros,
    /// What it says.
    pub(crate) content: Arc<Content>,
}

impl Row {
    /// Appends the record as the feed spells it.
    pub(crate) fn write(&self, place: Place, redacted: bool, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"id\":\"");
        out.extend_from_slice(PREFIX.as_bytes());
        out.extend_from_slice(base58(place.number).as_bytes());
        out.extend_from_slice(b"\",\"created_at\":\"");
        out.extend_from_slice(spelled(place).as_bytes());
        out.push(b'"');
        let rest = match &self.content.redacted {
            Some(text) if redacted => text,
            _ => &self.content.rest,
        };
        out.extend_from_slice(rest.as_bytes());
    }
}

/// `created_at` as the feed spells it: nothing is cut off, and the id decides where there is a choice.
fn spelled(place: Place) -> String {
    let choice = (place.number % 20) as u8;
    let precision = match place.created {
        whole if whole % SECOND == 0 && choice < 14 => Precision::Seconds,
        millis if millis % 1_000 == 0 && choice < 18 => Precision::Millis,
        _ => Precision::Micros,
    };
    rfc3339(place.created, precision, !place.number.is_multiple_of(7))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_back_and_compare_as_their_numbers() {
        let numbers = [0, 1, 57, 58, 1 << 64, u128::MAX - 1, u128::MAX];
        let ids: Vec<_> = numbers.iter().map(|&number| Place { created: 0, number }.id()).collect();
        assert!(ids.is_sorted());
        for (id, number) in ids.iter().zip(numbers) {
            assert_eq!(number_of(id), Some(number), "{id}");
        }
        assert_eq!(number_of("activity_01zzzzzzzzzzzzzzzzzzzzzz"), None, "beyond 128 bits");
        assert_eq!(number_of("activity_01"), None);
    }

    #[test]
    fn redaction_takes_names_and_nothing_else() {
        let text = r#","filename":"a \"b\".pdf","kept":"filename","nested":{"title":"T"}}"#;
        let redacted = redact(text).unwrap();
        assert_eq!(redacted, r#","filename":null,"kept":"filename","nested":{"title":null}}"#);
        assert_eq!(redact(r#","kept":1}"#), None);
    }
}
