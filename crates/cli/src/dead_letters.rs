//! What a dead letter looks like: one line of JSON with the reason, the place and the raw bytes.
//!
//! Owns the format. There is no time in it and nothing else that differs from run to run: the same
//! input gives the same dead letters. What is not UTF-8 is written in base64, so that not even a
//! broken byte is lost.

/// A record that cannot be made a document.
#[derive(Debug)]
pub(crate) struct DeadLetter<'a> {
    /// Why, as a short name to be counted.
    pub(crate) reason: &'a str,
    /// Why, as a sentence.
    pub(crate) detail: &'a str,
    /// The input.
    pub(crate) path: &'a str,
    /// Where in the (decompressed) input the record begins.
    pub(crate) offset: u64,
    /// Its length in bytes; more than `raw` has when only the head was kept.
    pub(crate) length: u64,
    /// Its bytes.
    pub(crate) raw: &'a [u8],
}

impl DeadLetter<'_> {
    /// Appends the letter as a line.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"reason\":");
        push_string(out, self.reason);
        out.extend_from_slice(b",\"detail\":");
        push_string(out, self.detail);
        out.extend_from_slice(b",\"stage\":\"normalize\",\"source\":{\"path\":");
        push_string(out, self.path);
        out.extend_from_slice(format!(",\"offset\":{}}},\"length\":{}", self.offset, self.length).as_bytes());
        // A head may end in the middle of a character.
        let truncated = (self.raw.len() as u64) < self.length;
        match std::str::from_utf8(self.raw) {
            Ok(text) => {
                out.extend_from_slice(b",\"raw\":");
                push_string(out, text);
            }
            Err(cut) if truncated && cut.error_len().is_none() => {
                out.extend_from_slice(b",\"raw\":");
                push_string(
                    out,
                    &String::from_utf8_lossy(self.raw.get(..cut.valid_up_to()).unwrap_or_default()),
                );
            }
            Err(_) => {
                out.extend_from_slice(b",\"raw_base64\":\"");
                push_base64(out, self.raw);
                out.push(b'"');
            }
        }
        if truncated {
            out.extend_from_slice(b",\"raw_truncated\":true");
        }
        out.extend_from_slice(b"}\n");
    }
}

/// Appends a JSON string.
fn push_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..=0x1f => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

/// Appends base64 as in RFC 4648 section 4, with padding.
fn push_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or_default());
        let group = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let index = (group >> (18 - 6 * digit) & 63) as usize;
            out.push(if digit <= chunk.len() { ALPHABET[index] } else { b'=' });
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn letter(raw: &[u8], length: u64) -> Value {
        let mut out = Vec::new();
        DeadLetter { reason: "r", detail: "a \"b\"", path: "x\\y", offset: 7, length, raw }.write(&mut out);
        assert_eq!(out.pop(), Some(b'\n'));
        assert!(!out.contains(&b'\n'));
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn a_letter_is_one_line_and_loses_no_byte() {
        let raw: String = (0..0x250).filter_map(char::from_u32).collect();
        let expected = json!({"reason":"r","detail":"a \"b\"","stage":"normalize",
            "source":{"path":"x\\y","offset":7},"length":raw.len(),"raw":raw});
        assert_eq!(letter(raw.as_bytes(), raw.len() as u64), expected);
        assert_eq!(letter(b"a\xff\xfe", 3)["raw_base64"], "Yf/+");
    }

    #[test]
    fn a_head_says_so_and_is_cut_between_characters() {
        let cut = letter("aé".as_bytes().get(..2).unwrap(), 9);
        assert_eq!(
            (&cut["raw"], &cut["raw_truncated"], &cut["length"]),
            (&json!("a"), &json!(true), &json!(9))
        );
        assert_eq!(letter(b"a\xff\xff", 9)["raw_base64"], "Yf//");
    }

    #[test]
    fn base64_is_padded() {
        let base64 = |bytes: &[u8]| {
            let mut out = Vec::new();
            push_base64(&mut out, bytes);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(
            ["", "f", "fo", "foo", "foob"].map(|t| base64(t.as_bytes())),
            ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg=="]
        );
    }
}
