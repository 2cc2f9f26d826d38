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
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self { buffer: vec![0; bytes + SLACK], len: 0 }
    }

    pub(crate) fn capacity(&self) -> usize {
        self.buffer.len()
    }

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

    #[inline(always)]
    pub(crate) fn push(&mut self, byte: u8) {
        self.room(1)[0] = byte;
        self.len += 1;
    }

    /// Appends bytes.
    #[inline(always)]
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        copy(self.room(bytes.len()), bytes);
        self.len += bytes.len();
    }

    /// Appends `text[start..end]`, reading and writing whole chunks: `text` must go on for [`PADDING`] bytes behind `end`.
    #[inline(always)]
    pub(crate) fn put_padded(&mut self, text: &[u8], start: usize, end: usize) {
        let room = self.room(end - start);
        let Some(text) = text.get(start..end + PADDING) else { return };
        copy_padded(room, text, end - start);
        self.len += end - start;
    }

    /// Appends `text[start..end]` as [`Out::put_padded`] does, and then `bytes`.
    #[inline(always)]
    pub(crate) fn put_padded_and(&mut self, text: &[u8], start: usize, end: usize, bytes: &[u8]) {
        let (fixed, len) = (end - start, bytes.len());
        let room = self.room(fixed + len);
        let Some(text) = text.get(start..end + PADDING) else { return };
        copy_padded(room, text, fixed);
        let Some((_, room)) = room.split_at_mut_checked(fixed) else { return };
        copy(room, bytes);
        self.len += fixed + len;
    }

    /// Appends bytes written before.
    pub(crate) fn repeat(&mut self, start: usize, end: usize) {
        self.room(end - start);
        self.buffer.copy_within(start..end, self.len);
        self.len += end - start;
    }

    /// The place behind what is written: room for `len` bytes and [`SLACK`] more.
    #[inline(always)]
    fn room(&mut self, len: usize) -> &mut [u8] {
        if self.buffer.len() - self.len < len + SLACK {
            self.grow(len + SLACK);
        }
        &mut self.buffer[self.len..]
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, room: usize) {
        self.buffer.resize((self.len + room).next_power_of_two().max(256), 0);
    }
}

/// Longer padded texts are copied by the library.
const LONG: usize = 192;
/// What [`Out::put_padded`] may read behind the end of a text.
pub(crate) const PADDING: usize = 32;

/// Copies bytes to the front of a room that is longer than they by [`SLACK`].
#[inline(always)]
fn copy(room: &mut [u8], bytes: &[u8]) {
    let len = bytes.len();
    if len <= 16 {
        if len >= 8 {
            copy_ends::<8>(room, bytes);
        } else if len >= 4 {
            copy_ends::<4>(room, bytes);
        } else {
            for (place, byte) in room.iter_mut().zip(bytes) {
                *place = *byte;
            }
        }
    } else if len <= 32 {
        copy_ends::<16>(room, bytes);
    } else if len <= SLACK {
        copy_ends::<32>(room, bytes);
    } else {
        room[..len].copy_from_slice(bytes);
    }
}

/// Copies `len` bytes of a text that goes on for [`PADDING`] bytes more, whole chunks at a time.
#[inline(always)]
fn copy_padded(room: &mut [u8], text: &[u8], len: usize) {
    if len > LONG {
        room[..len].copy_from_slice(&text[..len]);
        return;
    }
    let (mut text, mut room, mut copied) = (text, room, 0);
    while let (Some((from, text_behind)), Some((to, room_behind))) =
        (text.split_first_chunk::<PADDING>(), room.split_first_chunk_mut::<PADDING>())
    {
        *to = *from;
        copied += PADDING;
        if copied >= len {
            break;
        }
        (text, room) = (text_behind, room_behind);
    }
}

/// Copies between `N` and twice `N` bytes.
#[inline(always)]
fn copy_ends<const N: usize>(room: &mut [u8], bytes: &[u8]) {
    let len = bytes.len();
    let ends = (bytes.first_chunk::<N>(), bytes.last_chunk::<N>(), room.first_chunk_mut::<N>());
    let (Some(first), Some(last), Some(to)) = ends else { return };
    *to = *first;
    if let Some(to) = room.get_mut(len - N..).and_then(|room| room.first_chunk_mut::<N>()) {
        *to = *last;
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
        assert_eq!((out.len(), out.as_slice()), (0, &b""[..]));
    }
}
