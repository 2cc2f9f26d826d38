//! Finding the way through JSON without reading it.
//!
//! Owns where a value ends, and nothing else: no tree, no numbers, no unescaped texts. What is only passed over is copied as it is
//! and read by the mapper's parser afterwards, so that it need not be checked here; what is replaced is checked by
//! [`checked`], since nobody would read it again.

use wide::u8x16;

use crate::exact;
use crate::record::Scalar;

/// A string, from its opening quote on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Quoted {
    /// Behind the closing quote.
    pub(super) end: usize,
    /// There is a backslash in it.
    pub(super) has_escape: bool,
    /// There is an `@` in it.
    pub(super) has_at: bool,
}

/// Where white space ends.
#[inline]
pub(super) fn space(raw: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = raw.get(at) {
        at += 1;
    }
    at
}

/// The string whose opening quote is at `start`.
#[inline]
pub(super) fn string(raw: &[u8], start: usize) -> Option<Quoted> {
    let (mut has_escape, mut has_at) = (false, false);
    let mut at = start + 1;
    while let Some(chunk) = raw.get(at..).and_then(<[u8]>::first_chunk::<16>) {
        let bytes = u8x16::new(*chunk);
        let is = |byte: u8| bytes.simd_eq(u8x16::splat(byte)).to_bitmask();
        let (special, signs) = (is(b'"') | is(b'\\'), is(b'@'));
        if special == 0 {
            has_at |= signs != 0;
            at += 16;
            continue;
        }
        let before = special.trailing_zeros();
        has_at |= signs & ((1 << before) - 1) != 0;
        at += before as usize;
        if raw.get(at) == Some(&b'"') {
            return Some(Quoted { end: at + 1, has_escape, has_at });
        }
        has_escape = true;
        at += 2;
    }
    loop {
        match raw.get(at)? {
            b'"' => return Some(Quoted { end: at + 1, has_escape, has_at }),
            b'\\' => {
                has_escape = true;
                at += 2;
            }
            byte => {
                has_at |= *byte == b'@';
                at += 1;
            }
        }
    }
}

/// Where the value at `at` ends.
pub(super) fn value(raw: &[u8], at: usize) -> Option<usize> {
    match raw.get(at)? {
        b'"' => string(raw, at).map(|string| string.end),
        b'{' | b'[' => container(raw, at),
        _ => Some(scalar(raw, at)).filter(|end| *end > at),
    }
}

/// Where an array or object ends; which bracket closes which is not looked at.
fn container(raw: &[u8], start: usize) -> Option<usize> {
    let (mut at, mut depth) = (start, 0_usize);
    loop {
        match raw.get(at)? {
            b'"' => {
                at = string(raw, at)?.end;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
        at += 1;
    }
}

/// Where a number or a word ends.
#[inline]
pub(super) fn scalar(raw: &[u8], start: usize) -> usize {
    let ends = |byte: &u8| {
        matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r' | b'"' | b':' | b'{' | b'[')
    };
    let rest = raw.get(start..).unwrap_or_default();
    start + rest.iter().position(ends).unwrap_or(rest.len())
}

/// Whether a part of a record is a JSON value.
#[cold]
pub(super) fn checked(part: &[u8]) -> Option<()> {
    exact::parse(part).ok().map(drop)
}

/// The text of a string with escapes, quotes included in `part`.
#[cold]
pub(super) fn unescaped(part: &[u8]) -> Option<String> {
    let parsed = exact::parse(part).ok()?;
    let nodes = parsed.nodes();
    let record = crate::record::Record::of_values(&nodes, part);
    match record.scalar(0) {
        Some(Scalar::Text(text)) => Some(text.to_owned()),
        _ => None,
    }
}

/// The text of a string without escapes, quotes included in `part`.
#[inline]
pub(super) fn plain(part: &[u8]) -> Option<&str> {
    let inside = part.get(1..part.len().checked_sub(1)?)?;
    if inside.iter().any(|byte| *byte < 0x20) {
        return None;
    }
    simdutf8::basic::from_utf8(inside).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_of_every_length_end_where_they_end() {
        for len in 0..70 {
            for behind in ["", ",", "}                                   "] {
                for (at, inside) in (0..=len).flat_map(|at| [(at, "\\\""), (at, "@"), (at, "")]) {
                    let text = format!("\"{}{inside}{}\"", "x".repeat(at), "y".repeat(len - at));
                    let raw = format!("{text}{behind}");
                    let found = string(raw.as_bytes(), 0).unwrap();
                    assert_eq!(
                        found,
                        Quoted { end: text.len(), has_escape: inside == "\\\"", has_at: inside == "@" }
                    );
                    let cut = &raw.as_bytes()[..text.len() - 1];
                    assert_eq!(string(cut, 0), None, "{raw}");
                }
            }
        }
        // What stands behind the string is not in it.
        assert!(!string(b"\"x\"@@@@@@@@@@@@@@@@@@", 0).unwrap().has_at);
    }

    #[test]
    fn values_end_where_they_end() {
        for text in ["{}", "[[{\"a\":\"]\"}],1]", "\"a\\\"\"", "12.5e3", "true", "{\"}\":\"\\\\\"}"] {
            for behind in ["", ",1", "}", " ]"] {
                assert_eq!(
                    value(format!("{text}{behind}").as_bytes(), 0),
                    Some(text.len()),
                    "{text}{behind}"
                );
            }
        }
        for text in ["", "{", "[[]", "\"", ",", "}"] {
            assert_eq!(value(text.as_bytes(), 0), None, "{text}");
        }
    }

    #[test]
    fn texts_are_read_or_refused() {
        assert_eq!(unescaped(b"\"\\u0041\\n\"").as_deref(), Some("A\n"));
        assert_eq!(unescaped(b"\"\\x\""), None);
        assert_eq!(plain("\"ü\"".as_bytes()), Some("ü"));
        assert_eq!(plain(b"\"\n\""), None);
        assert_eq!(plain(b"\"\xff\""), None);
        assert!(checked(b"{\"a\":[1]}").is_some() && checked(b"{\"a\":[1}").is_none());
    }
}
