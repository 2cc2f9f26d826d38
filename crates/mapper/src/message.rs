//! The sentence in `message`: who did what to what, from where.

use crate::out::Out;
use crate::program::{Part, Sentence};
use crate::record::{Record, Scalar};
use crate::text::shorten;
use crate::value::Values;
use crate::writer::Recorder;

/// The longest run of one value that is shown, in bytes.
pub(crate) const LONGEST_VALUE: usize = 256;
/// How deep a value is looked into.
const DEEPEST: usize = 4;
/// The most items of a list that are shown.
const MOST_ITEMS: usize = 6;
/// Stands for a value that a sentence needs and the record lacks.
const MISSING: &[u8] = b"(unknown)";

/// Appends the sentence, escaped for the inside of a JSON string. `seen` is, by field, its node plus one;
/// 0 when the record lacks it.
pub(crate) fn speak(to: &mut Recorder<'_, '_, '_>, seen: &[u32], sentence: &Sentence) {
    speak_parts(to, seen, &sentence.0, false);
}

/// Appends parts; in a group, false as soon as a value is missing.
fn speak_parts(to: &mut Recorder<'_, '_, '_>, seen: &[u32], parts: &[Part], group: bool) -> bool {
    for part in parts {
        match part {
            Part::Text(text) => to.fixed(text),
            Part::Value { fields, fallback } => {
                let mut said = false;
                for field in fields {
                    let value = to.find(seen, field);
                    said = value.is_some_and(|value| to.say(value));
                    if said {
                        break;
                    }
                }
                if said {
                    continue;
                }
                match fallback {
                    Some(text) => to.fixed(text),
                    None if group => return false,
                    None => to.fixed(MISSING),
                }
            }
            Part::Choice { field, yes, no, absent } => {
                let chooser = to.find(seen, field);
                if let Some(chooser) = chooser {
                    to.depends_on(chooser);
                }
                let text = match chooser.and_then(|node| to.writer.values.record.scalar(node)) {
                    Some(Scalar::Bool(true)) => yes,
                    Some(Scalar::Bool(false)) => no,
                    _ => match absent {
                        Some(absent) => absent,
                        None if group => return false,
                        None => MISSING,
                    },
                };
                to.fixed(text);
            }
            Part::Group(inner) => {
                let mark = to.mark();
                if !speak_parts(to, seen, inner, true) {
                    to.rewind(mark);
                }
            }
        }
    }
    true
}

/// Appends a value as a person would read it; false if there is nothing to show.
#[inline]
pub(crate) fn say(values: &Values<'_, '_>, out: &mut Out, node: u32) -> bool {
    say_within(values, out, node, DEEPEST)
}

fn say_within(values: &Values<'_, '_>, out: &mut Out, node: u32, depth: usize) -> bool {
    let record = values.record;
    match record.scalar(node) {
        Some(Scalar::Text("") | Scalar::Null) => false,
        Some(Scalar::Text(text)) => {
            push_limited(values, out, text);
            true
        }
        Some(scalar) => {
            match scalar {
                Scalar::Number(Some(text)) => push_limited(values, out, text),
                scalar => values.push_scalar(out, scalar),
            }
            true
        }
        None if depth == 0 => false,
        None if record.is_array(node) => say_list(values, out, node, depth - 1),
        None => say_object(values, out, node, depth - 1),
    }
}

fn say_list(values: &Values<'_, '_>, out: &mut Out, node: u32, depth: usize) -> bool {
    let start = out.len();
    let mut shown = 0;
    let mut hidden = 0;
    for item in values.record.items(node) {
        if shown == MOST_ITEMS {
            hidden += 1;
            continue;
        }
        let before = out.len();
        if before > start {
            out.put(b", ");
        }
        if say_within(values, out, item, depth) {
            shown += 1;
        } else {
            out.truncate(before);
        }
    }
    if hidden > 0 {
        out.put(b" and ");
        out.put(itoa::Buffer::new().format(hidden).as_bytes());
        out.put(b" more");
    }
    shown > 0
}

/// A change as `name: old → new`, any other object by its `type`.
fn say_object(values: &Values<'_, '_>, out: &mut Out, node: u32, depth: usize) -> bool {
    let record = values.record;
    let member = |name| member(record, node, name).filter(|value| !record.is_empty(*value));
    let Some(kind) = member("type") else { return false };
    let start = out.len();
    if !say_within(values, out, kind, depth) {
        return false;
    }
    let (old, new) = (member("previous_value"), member("current_value"));
    if old.is_some() || new.is_some() {
        out.put(b": ");
        for (value, separator) in [(old, " → "), (new, "")] {
            let before = out.len();
            if !value.is_some_and(|value| say_within(values, out, value, depth)) {
                out.truncate(before);
                out.put(if value.is_some() { "…" } else { "nothing" }.as_bytes());
            }
            out.put(separator.as_bytes());
        }
    }
    out.len() > start
}

/// The value of a key; of a repeated key the last.
pub(crate) fn member(record: &Record<'_>, object: u32, name: &str) -> Option<u32> {
    record.members(object).filter(|(key, _)| record.text(*key) == Some(name)).last().map(|(_, value)| value)
}

/// Appends text, cut to a readable length.
fn push_limited(values: &Values<'_, '_>, out: &mut Out, text: &str) {
    if text.len() <= LONGEST_VALUE {
        values.push_text(out, text);
        return;
    }
    values.push_text(out, shorten(text, LONGEST_VALUE));
    out.put("…".as_bytes());
}
