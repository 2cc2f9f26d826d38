//! The sentence in `message`: who did what to what, from where.

use crate::json;
use crate::program::{FieldRef, Part, Sentence};
use crate::record::{Record, Scalar};
use crate::value::Values;

/// The longest run of one value that is shown, in bytes.
const LONGEST_VALUE: usize = 256;
/// The most items of a list that are shown.
const MOST_ITEMS: usize = 6;
/// Stands for a value that a sentence needs and the record lacks.
const MISSING: &str = "(unknown)";

/// What a sentence is made from.
pub(crate) struct Speaker<'s, 'r, 'a> {
    pub(crate) values: &'s Values<'r, 'a>,
    /// By field, its node plus one; 0 when the record lacks it.
    pub(crate) seen: &'s [u32],
}

impl Speaker<'_, '_, '_> {
    /// Appends the sentence, escaped for the inside of a JSON string.
    pub(crate) fn speak(&self, out: &mut Vec<u8>, sentence: &Sentence) {
        self.parts(out, &sentence.0, false);
    }

    /// Appends parts; in a group, false as soon as a value is missing.
    fn parts(&self, out: &mut Vec<u8>, parts: &[Part], group: bool) -> bool {
        for part in parts {
            match part {
                Part::Text(text) => out.extend_from_slice(text),
                Part::Value { fields, fallback } => {
                    if fields.iter().any(|field| self.node(field).is_some_and(|node| self.say(out, node))) {
                        continue;
                    }
                    match fallback {
                        Some(text) => json::push_escaped(out, text),
                        None if group => return false,
                        None => out.extend_from_slice(MISSING.as_bytes()),
                    }
                }
                Part::Choice { field, yes, no, absent } => {
                    let value = self.node(field).and_then(|node| self.values.record.scalar(node));
                    let text = match value {
                        Some(Scalar::Bool(true)) => yes,
                        Some(Scalar::Bool(false)) => no,
                        _ => match absent {
                            Some(absent) => absent,
                            None if group => return false,
                            None => MISSING,
                        },
                    };
                    json::push_escaped(out, text);
                }
                Part::Group(inner) => {
                    let start = out.len();
                    if !self.parts(out, inner, true) {
                        out.truncate(start);
                    }
                }
            }
        }
        true
    }

    #[inline]
    fn node(&self, reference: &FieldRef) -> Option<u32> {
        let seen = *self.seen.get(usize::from(reference.field))?;
        let node = seen.checked_sub(1)?;
        if reference.below.is_empty() { Some(node) } else { find(self.values.record, node, &reference.below) }
    }

    /// Appends a value as a person would read it; false if there is nothing to show.
    fn say(&self, out: &mut Vec<u8>, node: u32) -> bool {
        let record = self.values.record;
        match record.scalar(node) {
            Some(Scalar::Text("") | Scalar::Null) => false,
            Some(Scalar::Text(text)) => {
                push_limited(out, text);
                true
            }
            Some(scalar) => {
                self.values.push_scalar(out, scalar);
                true
            }
            None if record.is_array(node) => self.say_list(out, node),
            None => self.say_object(out, node),
        }
    }

    fn say_list(&self, out: &mut Vec<u8>, node: u32) -> bool {
        let start = out.len();
        let mut shown = 0;
        let mut hidden = 0;
        for item in self.values.record.items(node) {
            if shown == MOST_ITEMS {
                hidden += 1;
                continue;
            }
            let before = out.len();
            if before > start {
                out.extend_from_slice(b", ");
            }
            if self.say(out, item) {
                shown += 1;
            } else {
                out.truncate(before);
            }
        }
        if hidden > 0 {
            out.extend_from_slice(format!(" and {hidden} more").as_bytes());
        }
        shown > 0
    }

    /// A change as `name: old → new`, any other object by its `type`.
    fn say_object(&self, out: &mut Vec<u8>, node: u32) -> bool {
        let record = self.values.record;
        let member = |name| find(record, node, &[Box::from(name)]).filter(|value| !record.is_empty(*value));
        let Some(kind) = member("type") else { return false };
        let start = out.len();
        if !self.say(out, kind) {
            return false;
        }
        let (old, new) = (member("previous_value"), member("current_value"));
        if old.is_some() || new.is_some() {
            out.extend_from_slice(b": ");
            for (value, separator) in [(old, " → "), (new, "")] {
                let before = out.len();
                if !value.is_some_and(|value| self.say(out, value)) {
                    out.truncate(before);
                    out.extend_from_slice(if value.is_some() { "…" } else { "nothing" }.as_bytes());
                }
                out.extend_from_slice(separator.as_bytes());
            }
        }
        out.len() > start
    }
}

/// The value below an object, following keys; of a repeated key the last.
pub(crate) fn find(record: &Record<'_>, mut node: u32, keys: &[Box<str>]) -> Option<u32> {
    for wanted in keys {
        let named = record.members(node).filter(|(key, _)| record.text(*key) == Some(wanted));
        node = named.last()?.1;
    }
    Some(node)
}

/// Appends text, cut to a readable length.
fn push_limited(out: &mut Vec<u8>, text: &str) {
    if text.len() <= LONGEST_VALUE {
        json::push_escaped(out, text);
        return;
    }
    let mut end = LONGEST_VALUE;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    json::push_escaped(out, &text[..end]);
    out.extend_from_slice("…".as_bytes());
}
