//! Writing JSON text: strings with the escapes RFC 8259 section 7 asks for, nothing more.

use crate::out::Out;

/// Appends `text` as a JSON string, quotes included.
#[inline]
pub(crate) fn push_string(out: &mut Out, text: &str) {
    out.push(b'"');
    push_escaped(out, text);
    out.push(b'"');
}

/// Appends `text` as the inside of a JSON string.
#[inline]
pub(crate) fn push_escaped(out: &mut Out, text: &str) {
    let bytes = text.as_bytes();
    if needs_escape(bytes) {
        push_escaped_slowly(out, bytes);
    } else {
        out.put(bytes);
    }
}

/// Makes a JSON string.
pub(crate) fn string(text: &str) -> Box<[u8]> {
    let mut out = Out::default();
    push_string(&mut out, text);
    out.as_slice().into()
}

/// Makes the inside of a JSON string.
pub(crate) fn escaped(text: &str) -> Box<[u8]> {
    let mut out = Out::default();
    push_escaped(&mut out, text);
    out.as_slice().into()
}

/// Whether any byte must be escaped inside a JSON string.
#[inline]
fn needs_escape(bytes: &[u8]) -> bool {
    let mut chunks = bytes.chunks_exact(8);
    let words = chunks.by_ref().filter_map(|chunk| chunk.first_chunk::<8>());
    let found = words.fold(0, |found, chunk| found | special_bits(u64::from_le_bytes(*chunk)));
    found != 0 || chunks.remainder().iter().any(|&byte| byte < 0x20 || byte == b'"' || byte == b'\\')
}

/// Not zero when one of eight bytes must be escaped: below 0x20, a quote or a backslash. Each part is the
/// well-known test for a byte below a limit, done on eight at once; a borrow can only follow a hit.
#[inline]
fn special_bits(bytes: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    const TOPS: u64 = ONES * 0x80;
    let below = |bytes: u64, limit: u64| bytes.wrapping_sub(ONES * limit) & !bytes;
    let quote = bytes ^ (ONES * 0x22);
    let backslash = bytes ^ (ONES * 0x5c);
    (below(bytes, 0x20) | below(quote, 1) | below(backslash, 1)) & TOPS
}

#[cold]
fn push_escaped_slowly(out: &mut Out, bytes: &[u8]) {
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
        out.put(&bytes[start..at]);
        start = at + 1;
        out.push(b'\\');
        if short == 0 {
            out.put(b"u00");
            out.push(HEX[usize::from(byte >> 4)]);
            out.push(HEX[usize::from(byte & 15)]);
        } else {
            out.push(short);
        }
    }
    out.put(&bytes[start..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_read_back() {
        let long = "x".repeat(40) + "\u{1}" + &"ü".repeat(9);
        for text in
            ["", "plain", "\"\\\u{8}\u{c}\n\r\t\0\u{1f}\u{7f}é😀", long.as_str(), "tab\tat the end of 16"]
        {
            assert_eq!(serde_json::from_slice::<String>(&string(text)).unwrap(), text);
        }
    }

    #[test]
    fn every_place_of_an_escape() {
        for len in 0..40 {
            for (at, special) in
                (0..len).flat_map(|at| ['"', '\\', '\0', '\u{1f}'].map(|special| (at, special)))
            {
                let text: String = (0..len).map(|i| if i == at { special } else { 'ÿ' }).collect();
                assert_eq!(serde_json::from_slice::<String>(&string(&text)).unwrap(), text);
            }
        }
    }
}
