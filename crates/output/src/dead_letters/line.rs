//! One dead letter as a line of JSON.
//!
//! Owns the format, of which the file source of `ingest` reads `dead_letter`, `length`, `raw`, `raw_base64` and
//! `raw_truncated`. It begins with `"dead_letter":1`, the version, so that a letter is known for one by its first bytes; an
//! activity has no such field. Every byte of the record is kept: as a string where it is UTF-8, in base64 where it is not,
//! or where escapes would make the string longer than that.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat, Utc};

/// A record that cannot be delivered.
#[derive(Debug, Clone, Copy)]
pub struct DeadLetter<'a> {
    /// Why, as a short name to be counted.
    pub reason: &'a str,
    /// Why, as a sentence, or the words of the other side.
    pub detail: &'a str,
    /// How far it came.
    pub stage: Stage,
    /// Where it came from.
    pub source: Place<'a>,
    /// How often its delivery was tried; 0 when it never came that far.
    pub attempts: u64,
    /// When it was given up. Left out where the same input is to give the same bytes.
    pub time: Option<DateTime<Utc>>,
    /// Its length in bytes; more than `raw` has when only the head was kept.
    pub length: u64,
    /// Its bytes.
    pub raw: &'a [u8],
}

/// How far a record came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It could not be told apart, or is too large.
    Decode,
    /// It is no activity.
    Map,
    /// The sink refuses its document.
    Deliver,
}

impl Stage {
    /// Its name in letters and counters.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::Map => "map",
            Self::Deliver => "deliver",
        }
    }
}

/// Where a record came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place<'a> {
    /// A file or stream.
    File {
        /// Its path, `-` for standard input.
        path: &'a str,
        /// Offset in the decompressed content.
        offset: u64,
    },
    /// A topic.
    Kafka {
        /// The topic.
        topic: &'a str,
        /// The partition.
        partition: i32,
        /// The offset of the message.
        offset: i64,
        /// Which record of the message.
        item: u32,
    },
    /// A page of the API.
    Api {
        /// The request id of the answer.
        request_id: &'a str,
        /// Which record of the page.
        item: u32,
    },
}

impl DeadLetter<'_> {
    /// Appends the letter as a line, with its line end.
    pub fn line(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"dead_letter\":1,\"reason\":");
        string(out, self.reason);
        out.extend_from_slice(b",\"detail\":");
        string(out, self.detail);
        out.extend_from_slice(format!(",\"stage\":\"{}\",\"source\":", self.stage.name()).as_bytes());
        self.source.write(out);
        if self.attempts > 0 {
            out.extend_from_slice(format!(",\"attempts\":{}", self.attempts).as_bytes());
        }
        if let Some(time) = self.time {
            let time = time.to_rfc3339_opts(SecondsFormat::Millis, true);
            out.extend_from_slice(format!(",\"time\":\"{time}\"").as_bytes());
        }
        out.extend_from_slice(format!(",\"length\":{}", self.length).as_bytes());
        // A head may end in the middle of a character.
        let truncated = (self.raw.len() as u64) < self.length;
        let text = match std::str::from_utf8(self.raw) {
            Err(cut) if truncated && cut.error_len().is_none() => {
                std::str::from_utf8(self.raw.get(..cut.valid_up_to()).unwrap_or_default())
            }
            text => text,
        };
        match text.ok().filter(|text| is_shorter_as_text(text)) {
            Some(text) => {
                out.extend_from_slice(b",\"raw\":");
                string(out, text);
            }
            None => {
                out.extend_from_slice(b",\"raw_base64\":\"");
                out.extend_from_slice(STANDARD.encode(self.raw).as_bytes());
                out.push(b'"');
            }
        }
        if truncated {
            out.extend_from_slice(b",\"raw_truncated\":true");
        }
        out.extend_from_slice(b"}\n");
    }
}

impl Place<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::File { path, offset } => {
                out.extend_from_slice(b"{\"path\":");
                string(out, path);
                out.extend_from_slice(format!(",\"offset\":{offset}}}").as_bytes());
            }
            Self::Kafka { topic, partition, offset, item } => {
                out.extend_from_slice(b"{\"topic\":");
                string(out, topic);
                let rest = format!(",\"partition\":{partition},\"offset\":{offset},\"item\":{item}}}");
                out.extend_from_slice(rest.as_bytes());
            }
            Self::Api { request_id, item } => {
                out.extend_from_slice(b"{\"request_id\":");
                string(out, request_id);
                out.extend_from_slice(format!(",\"item\":{item}}}").as_bytes());
            }
        }
    }
}

/// Whether a text is no longer with its escapes than it would be in base64, so that a letter is never much longer than its
/// record and can be read back within the same limits.
fn is_shorter_as_text(text: &str) -> bool {
    let escapes: usize = text.bytes().map(|byte| escape(byte).extra()).sum();
    escapes <= text.len() / 3 + 64
}

/// How a byte stands in a JSON string.
enum Escape {
    Plain,
    Short(u8),
    Hex,
}

impl Escape {
    fn extra(&self) -> usize {
        match self {
            Self::Plain => 0,
            Self::Short(_) => 1,
            Self::Hex => 5,
        }
    }
}

fn escape(byte: u8) -> Escape {
    match byte {
        b'"' | b'\\' => Escape::Short(byte),
        b'\n' => Escape::Short(b'n'),
        b'\r' => Escape::Short(b'r'),
        b'\t' => Escape::Short(b't'),
        0..=0x1f => Escape::Hex,
        _ => Escape::Plain,
    }
}

/// Appends a JSON string.
fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for byte in text.bytes() {
        match escape(byte) {
            Escape::Plain => out.push(byte),
            Escape::Short(letter) => out.extend_from_slice(&[b'\\', letter]),
            Escape::Hex => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const PLACE: Place<'_> = Place::File { path: "x\\y", offset: 7 };

    fn letter(raw: &[u8], length: u64, source: Place<'_>, time: Option<DateTime<Utc>>) -> Value {
        let mut out = Vec::new();
        let attempts = u64::from(time.is_some()) * 3;
        let (reason, detail, stage) = ("r", "a \"b\"", Stage::Map);
        DeadLetter { reason, detail, stage, source, attempts, time, length, raw }.line(&mut out);
        assert!(out.starts_with(b"{\"dead_letter\":1,\"reason\":"));
        assert_eq!(out.pop(), Some(b'\n'));
        assert!(!out.contains(&b'\n'));
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn a_letter_is_one_line_and_loses_no_byte() {
        let raw: String = (0..0x250).filter_map(char::from_u32).collect();
        let expected = json!({"dead_letter":1,"reason":"r","detail":"a \"b\"","stage":"map",
            "source":{"path":"x\\y","offset":7},"length":raw.len(),"raw":raw});
        assert_eq!(letter(raw.as_bytes(), raw.len() as u64, PLACE, None), expected);
        assert_eq!(letter(b"a\xff\xfe", 3, PLACE, None)["raw_base64"], "Yf/+");
    }

    #[test]
    fn every_place_time_and_attempts_are_told() {
        let kafka = Place::Kafka { topic: "t", partition: 3, offset: 9, item: 1 };
        let told = letter(b"{}", 2, kafka, DateTime::from_timestamp_millis(1_790_000_000_123));
        assert_eq!(told["source"], json!({"topic":"t","partition":3,"offset":9,"item":1}));
        assert_eq!((&told["time"], &told["attempts"]), (&json!("2026-09-21T14:13:20.123Z"), &json!(3)));
        let api = Place::Api { request_id: "req_1", item: 4 };
        assert_eq!(letter(b"{}", 2, api, None)["source"], json!({"request_id":"req_1","item":4}));
    }

    #[test]
    fn a_head_says_so_and_is_cut_between_characters() {
        let cut = letter("aé".as_bytes().get(..2).unwrap(), 9, PLACE, None);
        let expected = (&json!("a"), &json!(true), &json!(9));
        assert_eq!((&cut["raw"], &cut["raw_truncated"], &cut["length"]), expected);
        assert_eq!(letter(b"a\xff\xff", 9, PLACE, None)["raw_base64"], "Yf//");
    }

    #[test]
    fn escapes_do_not_make_a_letter_long() {
        let mut out = Vec::new();
        let raw = &[1; 3000];
        let (reason, detail, stage) = ("r", "d", Stage::Decode);
        DeadLetter { reason, detail, stage, source: PLACE, attempts: 0, time: None, length: 3000, raw }
            .line(&mut out);
        assert!(out.len() < 4200, "{}", out.len());
    }
}
