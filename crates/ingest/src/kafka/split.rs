//! The records in one message value: one activity, an API page, an array, or lines.
//!
//! Owns the cheap look that tells the usual value, one activity, from the others. Must not know formats beyond that look;
//! [`split_page`] and [`Splitter`] tell records apart.
//!
//! The one subtle thing: only a value that cannot be anything but one record takes the short way. Two objects in valid JSON
//! are never neighbours without a comma outside a string, so braces that meet, and a key `data`, are the only hints
//! needed; a hint inside a string costs time and changes nothing.

use std::ops::Range;

use memchr::memmem;

use crate::file::{Block, Kind, Options, Reason, Splitter, split_page};

/// What is kept of a record that is too long.
const HEAD_BYTES: usize = 64 * 1024;

const BOM: &[u8] = b"\xef\xbb\xbf";

/// Calls `take` for every record of a value, with its place in the value. Nothing for an empty value, an empty page or an
/// empty array.
pub(crate) fn split(value: &[u8], mut take: impl FnMut(Range<usize>, Kind)) {
    let body = value.strip_prefix(BOM).unwrap_or(value);
    let start = value.len() - body.len() + (body.len() - body.trim_ascii_start().len());
    let body = body.trim_ascii();
    let mut whole = |kind| take(start..start + body.len(), kind);
    match body.first() {
        None => {}
        Some(b'{') if !may_hold_several(body) => match over_limit(body.len()) {
            Some(kind) => take(start..start + HEAD_BYTES, kind),
            None => whole(Kind::Record),
        },
        Some(b'{') => match split_page(body) {
            Some(spans) => {
                for span in spans {
                    let from = start + span.offset as usize;
                    let length = (span.end - span.start) as usize;
                    match over_limit(length).filter(|_| span.kind == Kind::Record) {
                        Some(kind) => take(from..from + HEAD_BYTES, kind),
                        None => take(from..from + length, span.kind),
                    }
                }
            }
            None if begins_with_a_line(body) => stream(body, start, take),
            None => match over_limit(body.len()) {
                Some(kind) => take(start..start + HEAD_BYTES, kind),
                None => whole(Kind::Record),
            },
        },
        Some(b'[') => stream(body, start, take),
        Some(_) => match over_limit(body.len()) {
            Some(kind) => take(start..start + HEAD_BYTES, kind),
            None => whole(Kind::Malformed(Reason::NotAnObject)),
        },
    }
}

fn over_limit(length: usize) -> Option<Kind> {
    let limit = Options::default().max_record_bytes;
    (length > limit).then_some(Kind::TooLarge { length: length as u64 })
}

/// Whether an object may really be a page, or several objects.
fn may_hold_several(body: &[u8]) -> bool {
    // What stands between `data` and its array in a broken page, the splitter judges more kindly than could be said here.
    let page = memmem::find(body, b"\"data\"").is_some();
    let after = |at: usize| body.get(at..).map(|rest| rest.trim_ascii_start()).unwrap_or_default();
    let neighbours = || memchr::memchr_iter(b'}', body).any(|at| after(at + 1).starts_with(b"{"));
    page || neighbours() || begins_with_a_line(body) || body.ends_with(b",")
}

/// Whether the first line looks like a record of its own, so that a later broken line spoils only itself.
fn begins_with_a_line(body: &[u8]) -> bool {
    memchr::memchr(b'\n', body)
        .is_some_and(|at| body.get(..at).is_some_and(|line| line.trim_ascii().ends_with(b"}")))
}

/// As a file with this content is read.
fn stream(body: &[u8], start: usize, mut take: impl FnMut(Range<usize>, Kind)) {
    let mut splitter = Splitter::new(body, "message", 0, Options::default());
    let mut block = Block::new();
    // Memory cannot fail to be read, and a message is never taken for UTF-16: it begins with a bracket and goes on.
    while let Ok(true) = splitter.next_block(&mut block) {
        for span in block.spans() {
            let from = start + span.offset as usize;
            take(from..from + (span.end - span.start) as usize, span.kind);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn records(value: &str) -> Vec<(String, Kind)> {
        let mut found = Vec::new();
        split(value.as_bytes(), |range, kind| found.push((value[range].to_owned(), kind)));
        found
    }

    fn good(texts: &[&str]) -> Vec<(String, Kind)> {
        texts.iter().map(|text| ((*text).to_owned(), Kind::Record)).collect()
    }

    #[test]
    fn one_activity_is_one_record() {
        for value in [
            r#"{"id":"a","type":"t"}"#,
            r#"{"id":"a","x":"}{ \"data\" : ["}"#,
            r#"{"id":"a","data":[{"id":"b"}]}"#,
            r#"{"id":"a","l":[{"x":1},{"y":2}]}"#,
            "{\n \"id\": \"a\",\n \"l\": {\n }\n}",
            r#"{"broken":{"id":"b","type":"t"}"#,
            r#"{"broken":1,{"id":"b","type":"t"}"#,
        ] {
            assert_eq!(records(value), good(&[value]), "{value}");
            assert_eq!(records(&format!(" \n{value}\r\n")), good(&[value]), "{value}");
            assert_eq!(records(&format!("\u{feff}{value}")), good(&[value]), "{value}");
        }
    }

    #[test]
    fn pages_arrays_lines_and_neighbours_are_taken_apart() {
        let two = good(&[r#"{"id":"a"}"#, r#"{"id":"b"}"#]);
        for value in [
            r#"{"data":[{"id":"a"},{"id":"b"}],"has_more":false}"#,
            r#" { "has_more" : true, "data" : [ {"id":"a"} , {"id":"b"} ] }"#,
            r#"[{"id":"a"},{"id":"b"}]"#,
            "\u{feff}[{\"id\":\"a\"},\n{\"id\":\"b\"}]\n",
            "{\"id\":\"a\"}\n{\"id\":\"b\"}\n",
            r#"{"id":"a"}{"id":"b"}"#,
        ] {
            assert_eq!(records(value), two, "{value}");
        }
    }

    #[test]
    fn nothing_is_in_empty_values() {
        for value in ["", " \n", "[]", "[ ]", r#"{"data":[],"has_more":false}"#, "\u{feff}"] {
            assert_eq!(records(value), [], "{value}");
        }
    }

    #[test]
    fn broken_pages_take_the_long_way() {
        for body in [r#"{}]{"data"\:["#, r#"{"data",:["#] {
            assert!(split_page(body.as_bytes()).is_some() && may_hold_several(body.as_bytes()), "{body}");
        }
    }

    #[test]
    fn what_is_no_record_comes_out_whole() {
        let malformed = Kind::Malformed(Reason::NotAnObject);
        for value in ["hello", "42", "\u{0}\u{1}", "\"text\"", "null"] {
            assert_eq!(records(value), [(value.to_owned(), malformed)], "{value}");
        }
        assert_eq!(
            records(r#"[{"id":"a"},7]"#),
            [(r#"{"id":"a"}"#.to_owned(), Kind::Record), ("7".to_owned(), malformed)]
        );
        let lines = "{\"id\":\"a\"}\nhalf\n{\"id\":\"b\"}";
        assert_eq!(records(lines).iter().filter(|(_, kind)| *kind == Kind::Record).count(), 2);
        assert!(records(lines).iter().any(|(text, kind)| text == "half" && *kind != Kind::Record));
    }

    #[test]
    fn what_is_too_long_gives_its_head() {
        let length = Options::default().max_record_bytes + 1;
        let long = format!("{{\"x\":\"{}\"}}", "a".repeat(length));
        for value in [long.clone(), format!("[{long}]"), format!("{{\"data\":[{long}]}}"), "a".repeat(length)]
        {
            let mut found = Vec::new();
            split(value.as_bytes(), |range, kind| found.push((range.len(), kind)));
            assert!(
                matches!(found[..], [(HEAD_BYTES, Kind::TooLarge { length: told })] if told as usize >= length),
                "{found:?}"
            );
        }
    }

    proptest! {
        /// The short way changes nothing: where it is taken, the long way finds one record too. What is no JSON may come out
        /// whole: the mapper refuses it, and then it is offered to [`split_page`].
        #[test]
        fn the_short_way_agrees_with_the_long_one(pieces in prop::collection::vec(prop::sample::select(vec![
            "{", "}", "[", "]", ",", ":", "\"data\"", "\"id\"", "1", " ", "\n", "\"x\"", "\"}{\"", "\\",
        ]), 0..24)) {
            let value = format!("{{{}", pieces.concat());
            let body = value.trim();
            if !may_hold_several(body.as_bytes()) {
                let is_json = serde_json::from_str::<serde::de::IgnoredAny>(body).is_ok();
                prop_assert!(!is_json || split_page(body.as_bytes()).is_none(), "{}", body);
            }
        }

        #[test]
        fn any_bytes_give_ranges_inside_in_order(value in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut end = 0;
            split(&value, |range, _| {
                assert!(range.start >= end && range.end <= value.len(), "{range:?}");
                end = range.end;
            });
        }
    }
}
