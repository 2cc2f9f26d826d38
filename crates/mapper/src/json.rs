//! Writing JSON text: strings with the escapes RFC 8259 section 7 asks for, nothing more.
//!
//! A document is put together from some hundred short pieces, so what counts is the cost of a piece, not of a
//! byte: copies of up to [`SHORT`] bytes are a few moves of fixed size instead of a call, the last of them
//! overlapping the one before, and the search for characters to escape is done on the same chunks.

/// Longer pieces are copied by the library.
const SHORT: usize = 64;

/// Appends bytes that are often few.
#[inline]
pub(crate) fn push_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    if bytes.len() > SHORT {
        out.extend_from_slice(bytes);
    } else {
        copy_chunks(out, bytes);
    }
}

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
    let start = out.len();
    if copy_chunks(out, bytes) {
        out.truncate(start);
        push_escaped_slowly(out, bytes);
    }
}

/// Appends bytes and tells whether one of them must be escaped inside a JSON string.
#[inline]
fn copy_chunks(out: &mut Vec<u8>, bytes: &[u8]) -> bool {
    let len = bytes.len();
    if len >= 16 {
        let mut found = false;
        let mut rest = bytes;
        while let Some((chunk, behind)) = rest.split_first_chunk::<16>() {
            out.extend_from_slice(chunk);
            found |= needs_escape(chunk);
            rest = behind;
        }
        found | copy_tail::<16>(out, bytes, rest.len())
    } else if len >= 8 {
        copy_ends::<8>(out, bytes)
    } else {
        let mut found = false;
        for &byte in bytes {
            out.push(byte);
            found |= is_special(byte);
        }
        found
    }
}

/// Appends bytes of between `N` and twice `N`.
#[inline]
fn copy_ends<const N: usize>(out: &mut Vec<u8>, bytes: &[u8]) -> bool {
    let Some(first) = bytes.first_chunk::<N>() else { return false };
    out.extend_from_slice(first);
    needs_escape(first) | copy_tail::<N>(out, bytes, bytes.len() - N)
}

/// Appends the `left` last bytes, fewer than `N` of at least `N`, by writing the last `N` over what is there.
#[inline]
fn copy_tail<const N: usize>(out: &mut Vec<u8>, bytes: &[u8], left: usize) -> bool {
    let Some(last) = bytes.last_chunk::<N>().filter(|_| left > 0) else { return false };
    out.truncate(out.len() - (N - left));
    out.extend_from_slice(last);
    needs_escape(last)
}

/// Whether any byte of a chunk must be escaped.
#[inline]
fn needs_escape<const N: usize>(chunk: &[u8; N]) -> bool {
    if let (Some(low), Some(high)) = (chunk.first_chunk::<8>(), chunk.last_chunk::<8>()) {
        (special_bits(u64::from_le_bytes(*low)) | special_bits(u64::from_le_bytes(*high))) != 0
    } else {
        chunk.iter().fold(false, |found, &byte| found | is_special(byte))
    }
}

/// Not zero when one of eight bytes must be escaped: below 0x20, a quote or a backslash. Each line is the
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

#[inline]
fn is_special(byte: u8) -> bool {
    (byte < 0x20) | (byte == b'"') | (byte == b'\\')
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

    #[test]
    fn every_length_and_every_place_of_an_escape() {
        for len in 0..100 {
            let plain: String = (0..len).map(|at| char::from(b'a' + (at % 26) as u8)).collect();
            let mut out = b"before".to_vec();
            push_bytes(&mut out, plain.as_bytes());
            assert_eq!(out, format!("before{plain}").into_bytes());
            for at in 0..len {
                let mut text = plain.clone().into_bytes();
                text[at] = b'"';
                let mut out = Vec::new();
                push_string(&mut out, std::str::from_utf8(&text).unwrap());
                assert_eq!(serde_json::from_slice::<String>(&out).unwrap().into_bytes(), text);
            }
        }
    }
}
