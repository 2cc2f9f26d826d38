//! A block of records: the bytes, and where in them each record lies.
//!
//! Owns the shape in which records leave this crate, and its limits. Must not know how they were found.
//!
//! The subtle thing: a block's buffer is always initialised to its full length and only ever grows while one record
//! needs it, so reading into a recycled block costs neither zeroing nor allocation.

use std::fmt;

/// The part of a [`Kind::TooLarge`] record that is kept.
pub(crate) const HEAD_BYTES: usize = 64 * 1024;

/// Limits of the splitter.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How many bytes a block holds, unless one record needs more. 256 KiB unless told otherwise; at least 16 bytes.
    pub block_bytes: usize,
    /// The longest record handed out whole. 16 MiB unless told otherwise; between 16 bytes and 1 GiB.
    pub max_record_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { block_bytes: 256 * 1024, max_record_bytes: 16 * 1024 * 1024 }
    }
}

impl Options {
    /// The same limits, moved into the range that positions in a block can express.
    pub(crate) fn clamped(self) -> Self {
        Self {
            block_bytes: self.block_bytes.clamp(16, 1 << 30),
            max_record_bytes: self.max_record_bytes.clamp(16, 1 << 30),
        }
    }
}

/// Why bytes are in no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Something other than an object stands where a record should: a number, a string, stray text.
    NotAnObject,
    /// Brackets that do not match, or an object that begins in the middle of another.
    Unbalanced,
    /// A line ends inside a string.
    LineBreakInString,
    /// The input ends here, inside a record, an array or a page. The span is empty when no byte is left over.
    Truncated,
    /// What is left of an object that began like an API page, so that its `data` went out as records, and then turned
    /// out to have an `id` or `type` of its own, or a second `data` array.
    NotAPage,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAnObject => "not a JSON object",
            Self::Unbalanced => "brackets do not match",
            Self::LineBreakInString => "a line ends inside a string",
            Self::Truncated => "the input ends too early",
            Self::NotAPage => "an object with a data array that is not an API page",
        })
    }
}

/// What the bytes of a [`Span`] are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One record. It begins with `{`; nothing else is promised.
    Record,
    /// Bytes outside every record.
    Malformed(Reason),
    /// The head (at most 64 KiB) of something too long to be handed out.
    TooLarge {
        /// Its whole length in bytes.
        length: u64,
    },
}

/// Where something lies: in its block, and in its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First byte, in the block.
    pub start: u32,
    /// One past the last byte, in the block.
    pub end: u32,
    /// Offset of the first byte in the decompressed input.
    pub offset: u64,
    /// What it is.
    pub kind: Kind,
}

/// Bytes of one input, and the records in them. Keep it and hand it back to be filled again.
#[derive(Debug, Default)]
pub struct Block {
    pub(crate) data: Vec<u8>,
    pub(crate) spans: Vec<Span>,
    pub(crate) input: usize,
}

impl Block {
    /// An empty block. It allocates when it is first filled.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What was found, in input order.
    #[must_use]
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// The bytes of a span of this block; empty for a span that lies outside it.
    #[must_use]
    pub fn bytes(&self, span: &Span) -> &[u8] {
        self.data.get(span.start as usize..span.end as usize).unwrap_or_default()
    }

    /// Which input the block was read from, as an index into the inputs given.
    #[must_use]
    pub fn input(&self) -> usize {
        self.input
    }

    /// Bytes of memory the block holds on to.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.data.capacity() + self.spans.capacity() * size_of::<Span>()
    }

    /// Empties the block, and makes room for `room` bytes; memory that one long record needed is given back.
    pub(crate) fn reset(&mut self, input: usize, room: usize) {
        self.spans.clear();
        self.input = input;
        if self.data.len() > room.saturating_mul(2) {
            self.data.truncate(room);
            self.data.shrink_to_fit();
        }
        self.reserve(room);
    }

    /// Makes the buffer at least `length` bytes long.
    pub(crate) fn reserve(&mut self, length: usize) {
        if self.data.len() < length {
            self.data.reserve_exact(length - self.data.len());
            self.data.resize(length, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recycled_block_gives_back_what_one_long_record_needed() {
        let mut block = Block::new();
        block.reset(0, 100);
        block.reserve(10_000);
        assert_eq!(block.data.len(), 10_000);
        block.reset(1, 100);
        assert_eq!((block.data.len(), block.data.capacity(), block.input()), (100, 100, 1));
    }

    #[test]
    fn a_foreign_span_is_empty_not_a_panic() {
        let span = Span { start: 5, end: 9, offset: 0, kind: Kind::Record };
        assert_eq!(Block::new().bytes(&span), b"");
    }

    #[test]
    fn limits_are_moved_into_range() {
        let options = Options { block_bytes: 0, max_record_bytes: usize::MAX }.clamped();
        assert_eq!((options.block_bytes, options.max_record_bytes), (16, 1 << 30));
    }
}
