//! Comparing and cutting texts.

use wide::u8x16;

use crate::out::PADDING;

/// Equality without a call for the short texts that keys are.
#[inline(always)]
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let ends = (a.first_chunk::<8>(), a.last_chunk::<8>(), b.first_chunk::<8>(), b.last_chunk::<8>());
    if let (Some(a_first), Some(a_last), Some(b_first), Some(b_last)) = ends {
        a_first == b_first && a_last == b_last && (a.len() <= 16 || same_middle(a, b))
    } else {
        a.iter().zip(b).all(|(a, b)| a == b)
    }
}

/// Equality of what lies between the first and the last eight bytes of texts of one length, longer than 16.
#[inline]
fn same_middle(a: &[u8], b: &[u8]) -> bool {
    let word = |text: &[u8], at: usize| text.get(at..).and_then(|text| text.first_chunk::<8>()).copied();
    if a.len() <= 24 {
        // Eight bytes that overlap what has been compared already.
        let at = a.len() - 16;
        return word(a, at) == word(b, at);
    }
    let (mut a, mut b) = (&a[8..], &b[8..]);
    while let (Some((a_chunk, a_behind)), Some((b_chunk, b_behind))) =
        (a.split_first_chunk::<16>(), b.split_first_chunk::<16>())
    {
        if u128::from_le_bytes(*a_chunk) != u128::from_le_bytes(*b_chunk) {
            return false;
        }
        (a, b) = (a_behind, b_behind);
    }
    a.len() <= 8 || a == b
}

/// Whether bytes begin with `len` bytes of a text that goes on for [`PADDING`] bytes more. Whole chunks are compared, and what
/// lies behind is left out of account: a branch for every length would be guessed wrong too often.
#[inline(always)]
pub(crate) fn begins(bytes: &[u8], text: &[u8], len: usize) -> bool {
    let (mut bytes, mut text, mut left) = (bytes, text, len);
    while let (Some((a, behind_a)), Some((b, behind_b))) =
        (bytes.split_first_chunk::<PADDING>(), text.split_first_chunk::<PADDING>())
    {
        let equal = equal(a, b);
        if left <= PADDING {
            return !equal & ((1_u64 << left) - 1) as u32 == 0;
        }
        if equal != u32::MAX {
            return false;
        }
        (bytes, text, left) = (behind_a, behind_b, left - PADDING);
    }
    // The end of a record.
    bytes.get(..left).is_some_and(|bytes| text.starts_with(bytes))
}

/// A bit for each of the bytes that are equal.
#[inline(always)]
fn equal(a: &[u8; PADDING], b: &[u8; PADDING]) -> u32 {
    let half = |bytes: &[u8; PADDING], at: usize| {
        bytes[at..].first_chunk::<16>().map_or(u8x16::ZERO, |half| u8x16::new(*half))
    };
    let low = half(a, 0).simd_eq(half(b, 0)).to_bitmask();
    let high = half(a, 16).simd_eq(half(b, 16)).to_bitmask();
    low | high << 16
}

/// The beginning of a text, at most so many bytes of it.
pub(crate) fn shorten(text: &str, bytes: usize) -> &str {
    let mut end = text.len().min(bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::same;

    #[test]
    fn same_is_equality() {
        for len in 0..90 {
            let text: Vec<u8> = (0..len).collect();
            assert!(same(&text, &text.clone()));
            assert!(!same(&text, &[&text[..], b"x"].concat()));
            for at in 0..usize::from(len) {
                let mut other = text.clone();
                other[at] ^= 1;
                assert!(!same(&text, &other), "{len} {at}");
            }
        }
    }
}
