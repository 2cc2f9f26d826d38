//! Undoes compression, as the first bytes tell.
//!
//! Owns the choice of decoder and the count of compressed bytes. Must not know records.
//!
//! The subtle thing: a decoder hands out everything before the damage, and only then reports the damage. The stream
//! interfaces of both libraries may throw away what they decoded in the very call that fails, so both are driven here
//! through their raw interfaces.

use super::error::Fault;
use super::gzip::Gzip;
use super::reader::Progress;
use super::zstandard::Zstandard;
use std::io::{self, Read};

const BUFFER_BYTES: usize = 64 * 1024;

/// The bytes of a file as they are stored, buffered and counted.
pub(crate) struct Stored<R> {
    inner: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    position: u64,
    progress: Progress,
}

impl<R: Read> Stored<R> {
    pub(crate) fn new(inner: R, progress: Progress) -> Self {
        Self { inner, buffer: vec![0; BUFFER_BYTES], start: 0, end: 0, position: 0, progress }
    }

    /// What is in the buffer; more is read only if it is empty. Empty at the end of the file.
    pub(crate) fn fill(&mut self) -> io::Result<&[u8]> {
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
            self.end = self.count_read(None)?;
        }
        Ok(&self.buffer[self.start..self.end])
    }

    pub(crate) fn buffered(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    pub(crate) fn consume(&mut self, count: usize) {
        self.start += count;
        self.position += count as u64;
    }

    /// Offset in the file of the next byte of the buffer.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    pub(crate) fn next_byte(&mut self) -> io::Result<Option<u8>> {
        let byte = self.fill()?.first().copied();
        self.consume(usize::from(byte.is_some()));
        Ok(byte)
    }

    /// The first bytes of the file; at least six unless it is shorter.
    fn peek(&mut self) -> io::Result<&[u8]> {
        while self.end < 6 {
            let count = self.count_read(None)?;
            self.end += count;
            if count == 0 {
                break;
            }
        }
        Ok(&self.buffer[..self.end])
    }

    /// Reads past the buffer once that is empty.
    fn pass(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let buffered = self.buffered();
        if buffered.is_empty() {
            return self.count_read(Some(out));
        }
        let count = buffered.len().min(out.len());
        out[..count].copy_from_slice(&buffered[..count]);
        self.consume(count);
        Ok(count)
    }

    fn count_read(&mut self, out: Option<&mut [u8]>) -> io::Result<usize> {
        let out = out.unwrap_or(&mut self.buffer[self.end..]);
        loop {
            match self.inner.read(out) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
                Ok(count) => {
                    self.progress.add(count as u64);
                    return Ok(count);
                }
            }
        }
    }
}

/// The content of a file, whatever it is compressed with.
pub(crate) enum Content<R> {
    Plain(Stored<R>),
    Gzip(Box<Gzip<R>>),
    Zstandard(Box<Zstandard<R>>),
}

impl<R: Read> Content<R> {
    /// Looks at the first bytes of `inner`, which are read now.
    pub(crate) fn new(inner: R, progress: Progress) -> io::Result<Self> {
        let mut stored = Stored::new(inner, progress);
        let unsupported = |format| Fault::Unsupported { format, advice: "decompress it first" }.into();
        match stored.peek()? {
            [0x1f, 0x8b, ..] => Ok(Self::Gzip(Box::new(Gzip::new(stored)))),
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
                Ok(Self::Zstandard(Box::new(Zstandard::new(stored)?)))
            }
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31 | 0x17, ..] => Err(unsupported("a bzip2 file")),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Err(unsupported("an xz file")),
            [b'P', b'K', 3 | 5, 4 | 6, ..] => Err(unsupported("a zip archive")),
            [0x04, 0x22, 0x4d, 0x18, ..] => Err(unsupported("an lz4 file")),
            _ => Ok(Self::Plain(stored)),
        }
    }
}

impl<R: Read> Read for Content<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stored) => stored.pass(out),
            Self::Gzip(gzip) => gzip.read(out),
            Self::Zstandard(zstandard) => zstandard.read(out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_content_of_any_length_passes_and_is_counted() {
        for length in [0, 1, 5, 6, 7, BUFFER_BYTES - 1, BUFFER_BYTES, BUFFER_BYTES * 3 + 1] {
            let bytes = vec![b'x'; length];
            let progress = Progress::default();
            let mut out = Vec::new();
            Content::new(&bytes[..], progress.clone()).unwrap().read_to_end(&mut out).unwrap();
            assert_eq!((out.len(), progress.bytes()), (length, length as u64));
        }
    }

    #[test]
    fn what_is_not_read_is_named() {
        for (magic, name) in [
            (&b"BZh91AY&SY"[..], "bzip2"),
            (b"\xfd7zXZ\0\0\x04", "xz"),
            (b"PK\x03\x04\x14", "zip"),
            (b"\x04\x22\x4d\x18\x60", "lz4"),
        ] {
            let error = Content::new(magic, Progress::default()).err().unwrap().to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}
