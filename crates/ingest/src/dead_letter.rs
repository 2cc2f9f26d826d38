//! Dead letters, read back: a letter's raw bytes are a record again.
//!
//! Owns the recognition. The format is written by `output`; what both must agree on is held together by a test of the whole
//! program. Must not know why a record died.
//!
//! The subtle thing: a record must never be taken for a letter. A letter begins with its marker and has all of its fields and
//! no other; an activity has none of them. What is nearly a letter is an ordinary record, and nothing of it is lost.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::file::{Kind, Reason};

/// What every letter begins with; 1 is the version of the format.
const MARKER: &[u8] = b"{\"dead_letter\":1,";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "fields that must be there, whatever they say")]
struct Letter<'l> {
    dead_letter: u32,
    reason: IgnoredAny,
    detail: IgnoredAny,
    stage: IgnoredAny,
    source: IgnoredAny,
    #[serde(default)]
    attempts: IgnoredAny,
    #[serde(default)]
    time: IgnoredAny,
    length: u64,
    #[serde(borrow, default)]
    raw: Option<Cow<'l, str>>,
    #[serde(borrow, default)]
    raw_base64: Option<Cow<'l, str>>,
    #[serde(default)]
    raw_truncated: bool,
}

/// The record that a dead letter holds: its bytes exactly, and whether they can be one. `None` if this is no dead letter.
///
/// Of a record that was too large only the head was kept; it comes back as too large, so that it stays dead.
#[must_use]
pub fn unwrap(line: &[u8]) -> Option<(Vec<u8>, Kind)> {
    if !line.starts_with(MARKER) {
        return None;
    }
    let letter: Letter<'_> = serde_json::from_slice(line).ok()?;
    let raw = match (letter.raw, letter.raw_base64) {
        (Some(text), None) => text.into_owned().into_bytes(),
        (None, Some(text)) => STANDARD.decode(text.as_bytes()).ok()?,
        _ => return None,
    };
    let kind = if letter.raw_truncated {
        Kind::TooLarge { length: letter.length }
    } else {
        match raw.trim_ascii_start().first() {
            Some(b'{') => Kind::Record,
            Some(_) => Kind::Malformed(Reason::NotAnObject),
            None => Kind::Malformed(Reason::Truncated),
        }
    };
    Some((raw, kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(rest: &str) -> String {
        format!(
            "{{\"dead_letter\":1,\"reason\":\"r\",\"detail\":\"d\",\"stage\":\"map\",\"source\":{{\"path\":\"a\",\
             \"offset\":1}},{rest}}}"
        )
    }

    #[test]
    fn a_letter_gives_its_record() {
        for (rest, raw, kind) in [
            (r#""length":2,"raw":"{}""#, &b"{}"[..], Kind::Record),
            (r#""length":2,"raw_base64":"e/8=""#, b"{\xff", Kind::Record),
            (r#""attempts":3,"time":"2026-01-01T00:00:00.000Z","length":2,"raw":"{}""#, b"{}", Kind::Record),
            (r#""length":1,"raw":"7""#, b"7", Kind::Malformed(Reason::NotAnObject)),
            (r#""length":0,"raw":"""#, b"", Kind::Malformed(Reason::Truncated)),
            (r#""length":9,"raw":"{","raw_truncated":true"#, b"{", Kind::TooLarge { length: 9 }),
        ] {
            assert_eq!(unwrap(letter(rest).as_bytes()), Some((raw.to_vec(), kind)), "{rest}");
        }
    }

    #[test]
    fn what_is_nearly_a_letter_is_none() {
        let whole = letter(r#""length":2,"raw":"{}""#);
        for wrong in [
            letter(r#""length":2"#),
            letter(r#""length":2,"raw":"{}","raw_base64":"e30=""#),
            letter(r#""length":2,"raw":"{}","id":"activity_1""#),
            letter(r#""length":2,"raw_base64":"*""#),
            whole.replace("\"reason\":\"r\",", ""),
            whole.replace("\"dead_letter\":1", "\"dead_letter\":2"),
            whole.replace("{\"dead_letter\":1,", "{"),
            format!(" {whole}"),
            whole[..whole.len() - 1].to_owned(),
        ] {
            assert_eq!(unwrap(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
