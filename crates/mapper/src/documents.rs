//! Documents, one behind the other, as a [`crate::Mapper`] appends them.
//!
//! A buffer of bytes like any other, except that it is kept filled to its end, which lets a document be written into it in
//! whole chunks. That is why [`crate::Mapper::append`] takes this one, and [`crate::Mapper::map`], which takes a `Vec`, must
//! copy the finished document once more.

use crate::out::Out;

/// A buffer for documents.
#[derive(Debug, Default)]
pub struct Documents(pub(crate) Out);

impl Documents {
    /// An empty buffer that takes so many bytes before it grows.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self(Out::with_capacity(bytes))
    }

    /// What was written so far.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// How many bytes were written so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.len() == 0
    }

    /// How many bytes the buffer holds in memory.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.0.capacity()
    }

    /// Appends what separates documents.
    pub fn push(&mut self, byte: u8) {
        self.0.push(byte);
    }

    /// Empties the buffer.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}
