//! One line that holds more than one record.
//!
//! Owns the second look at a record that turned out to be no activity. Must not know why it did.
//!
//! The subtle thing: a line is only taken apart when every byte of it can be explained, or when it is a page. A broken
//! activity stays one broken record; its inner objects must never pass for activities.

use super::block::{Kind, Reason, Span};
use super::machine::{End, Machine, Window};

/// Takes apart a record that is really an API page, an array, or several objects one after the other; `None` if it is
/// none of these. Positions are relative to `record`. An empty page gives an empty list.
#[must_use]
pub fn split_page(record: &[u8]) -> Option<Vec<Span>> {
    let mut machine = Machine::exact(record.len());
    let mut spans = Vec::new();
    let window = Window { data: record, base: 0 };
    while !machine.done() {
        machine.advance(window, End::Complete, &mut spans);
        if let Some((offset, header)) = machine.header.take() {
            let (start, end) = (offset as u32, (offset as usize + header.len()) as u32);
            let span = Span { start, end, offset, kind: Kind::Malformed(Reason::NotAPage) };
            spans.insert(spans.len().saturating_sub(1), span);
        }
    }
    let clean = || spans.iter().all(|span| span.kind == Kind::Record);
    let whole = || {
        let trimmed = record.trim_ascii();
        spans.len() == 1 && spans.iter().all(|span| (span.end - span.start) as usize == trimmed.len())
    };
    (machine.saw_page || (!spans.is_empty() && clean() && !whole())).then_some(spans)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(record: &str) -> Option<Vec<(&str, Kind)>> {
        let text = |span: &Span| (&record[span.start as usize..span.end as usize], span.kind);
        split_page(record.as_bytes()).map(|spans| spans.iter().map(text).collect())
    }

    fn records<'a>(texts: &[&'a str]) -> Option<Vec<(&'a str, Kind)>> {
        Some(texts.iter().map(|text| (*text, Kind::Record)).collect())
    }

    #[test]
    fn pages_arrays_and_neighbours_are_taken_apart() {
        assert_eq!(
            split(r#"{"has_more":false,"data":[{"id":"a"},{"id":"b"}],"x":[{}]}"#),
            records(&[r#"{"id":"a"}"#, r#"{"id":"b"}"#])
        );
        assert_eq!(split(r#" {"data":[]} "#), records(&[]));
        assert_eq!(split(r#"{"a":1} {"b":2}"#), records(&[r#"{"a":1}"#, r#"{"b":2}"#]));
        assert_eq!(split(r#"{"a":1},"#), records(&[r#"{"a":1}"#]));
        assert_eq!(split(r#"[{"a":1}]"#), records(&[r#"{"a":1}"#]));
    }

    #[test]
    fn one_record_stays_one() {
        for record in [
            "",
            "[]",
            "{}",
            " {\"a\":1}\t",
            r#"{"data":[{"id":1}],"id":"x"}"#,
            r#"{"type":"x","data":[{"id":1}]}"#,
            r#"{"x":1,{"id":1,"type":"t"}"#,
            r#"{"x":{"id":1,"type":"t"}"#,
            r#"{"a":1} x"#,
        ] {
            assert_eq!(split(record), None, "{record}");
        }
    }

    #[test]
    fn a_cut_page_gives_what_it_has() {
        assert_eq!(
            split(r#"{"data":[{"id":1},{"id":2"#),
            Some(vec![(r#"{"id":1}"#, Kind::Record), (r#"{"id":2"#, Kind::Malformed(Reason::Truncated))])
        );
    }
}
