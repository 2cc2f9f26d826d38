//! Writing JSON text: strings with the escapes RFC 8259 section 7 asks for, nothing more.

/// Appends `text` as a JSON string, quotes included.
#[inline]
pub(crate) fn push_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    push_escaped(out, text);
    out.push(b'"');
}

/// Appends `text` as the inside of a JSON string.
#[inline]
pub(crate) fn push_escaped(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    out.extend_from_slice(bytes);
    if needs_escape(bytes) {
        out.truncate(out.len() - bytes.len());
        push_escaped_slowly(out, bytes);
    }
}

/// Whether any byte must be escaped inside a JSON string.
#[inline]
pub(crate) fn needs_escape(bytes: &[u8]) -> bool {
    // Whole chunks without an early exit, so that the compiler turns each into a few vector instructions.
    let special = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    let mut chunks = bytes.chunks_exact(16);
    for chunk in &mut chunks {
        if chunk.iter().fold(false, |found, &byte| found | special(byte)) {
            return true;
        }
    }
    chunks.remainder().iter().fold(false, |found, &byte| found | special(byte))
}

#[cold]
fn push_escaped_slowly(out: &mut Vec<u8>, bytes: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut start = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        let short = match byte {
            b'"' | b'\\' => byte,
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x08 => b'b',
            0x0c => b'f',
            0..=0x1f => 0,
            _ => continue,
        };
        out.extend_from_slice(&bytes[start..at]);
        start = at + 1;
        out.push(b'\\');
        if short == 0 {
            out.extend_from_slice(b"u00");
            out.push(HEX[usize::from(byte >> 4)]);
            out.push(HEX[usize::from(byte & 15)]);
        } else {
            out.push(short);
        }
    }
    out.extend_from_slice(&bytes[start..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_read_back() {
        let long = "x".repeat(40) + "\u{1}" + &"ü".repeat(9);
        for text in ["", "plain", "\"\\\u{8}\u{c}\n\r\t\0\u{1f}\u{7f}é😀", long.as_str(), "tab\tat the end of 16"] {
            let mut out = Vec::new();
            push_string(&mut out, text);
            assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        }
    }
}
