//! The bytes of a document as they are written.
//!
//! A document is put together from some fifty short pieces, so what counts is the cost of a piece, not of a byte. The
//! buffer is kept filled to its end, and only a position moves: short pieces are then a few moves of fixed size, the
//! last overlapping the one before, without calls or bookkeeping.

/// A growing buffer of bytes.
#[derive(Debug, Default)]
pub(crate) struct Out {
    /// Always longer than `len` by at least [`SLACK`] once something was written.
    buffer: Vec<u8>,
    len: usize,
}

/// How far a write may reach past the end of what it writes.
const SLACK: usize = 64;

impl Out {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        self.buffer.get(..self.len).unwrap_or_default()
    }

    pub(crate) fn last(&self) -> Option<u8> {
        self.as_slice().last().copied()
    }

    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }

    /// Cuts off what lies behind `len`.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Gives back memory beyond `bytes`.
    pub(crate) fn shrink(&mut self, bytes: usize) {
        if self.buffer.len() > bytes {
            *self = Self::default();
        }
    }

    #[inline]
    pub(crate) fn push(&mut self, byte: u8) {
        if let Some(place) = self.room(1).first_mut() {
            *place = byte;
        }
        self.len += 1;
    }

    /// Appends bytes.
    #[inline(always)]
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        let len = bytes.len();
        let room = self.room(len);
        if len > SLACK {
            room[..len].copy_from_slice(bytes);
        } else if len > 32 {
            copy_ends::<32>(room, bytes);
        } else if len >= 16 {
            copy_ends::<16>(room, bytes);
        } else if len >= 8 {
            copy_ends::<8>(room, bytes);
        } else if len >= 4 {
            copy_ends::<4>(room, bytes);
        } else {
            for (place, byte) in room.iter_mut().zip(bytes) {
                *place = *byte;
            }
        }
        self.len += len;
    }

    /// Appends `text[start..end]`, reading and writing whole chunks: `text` must go on for [`PADDING`] bytes behind `end`.
    #[inline(always)]
    pub(crate) fn put_padded(&mut self, text: &[u8], start: usize, end: usize) {
        let len = end - start;
        let room = self.room(len);
        let mut at = 0;
        while at < len {
            room[at..at + PADDING].copy_from_slice(&text[start + at..start + at + PADDING]);
            at += PADDING;
        }
        self.len += len;
    }

    /// Appends bytes written before.
    pub(crate) fn repeat(&mut self, start: usize, end: usize) {
        self.room(end - start);
        self.buffer.copy_within(start..end, self.len);
        self.len += end - start;
    }

    /// The place behind what is written, with room for `len` bytes and [`SLACK`] more.
    #[inline(always)]
    fn room(&mut self, len: usize) -> &mut [u8] {
        if self.buffer.len() - self.len < len + SLACK {
            self.grow(len + SLACK);
        }
        &mut self.buffer[self.len..]
    }

    #[cold]
    fn grow(&mut self, room: usize) {
        self.buffer.resize((self.len + room).next_power_of_two().max(4096), 0);
    }
}

/// What [`Out::put_padded`] may read behind the end of a text.
pub(crate) const PADDING: usize = 32;

/// Copies between `N` and twice `N` bytes.
#[inline(always)]
fn copy_ends<const N: usize>(room: &mut [u8], bytes: &[u8]) {
    let len = bytes.len();
    if let (Some(first), Some(last)) = (bytes.first_chunk::<N>(), bytes.last_chunk::<N>()) {
        room[..N].copy_from_slice(first);
        room[len - N..len].copy_from_slice(last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_every_length() {
        let bytes: Vec<u8> = (0..=255).cycle().take(700).collect();
        let mut padded = bytes.clone();
        padded.resize(bytes.len() + PADDING, 0);
        let mut out = Out::default();
        let mut expected = Vec::new();
        for len in 0..300 {
            out.put(&bytes[..len]);
            expected.extend_from_slice(&bytes[..len]);
            out.put_padded(&padded, len, 2 * len);
            expected.extend_from_slice(&bytes[len..2 * len]);
            out.push(7);
            expected.push(7);
            let start = out.len() - 1;
            out.repeat(start, start + 1);
            expected.push(7);
            out.put(b"gone");
            out.truncate(out.len() - 4);
        }
        assert_eq!(out.as_slice(), expected);
        assert_eq!(out.last(), Some(7));
        out.clear();
        out.shrink(1);
        assert_eq!((out.len(), out.buffer.len()), (0, 0));
    }
}
