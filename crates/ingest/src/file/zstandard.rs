//! Zstandard: frames one after the other, some of them to be skipped.
//!
//! Owns how much the decoder is fed at a time. The subtle thing: a call that decodes a block and then fails at the next
//! one's header loses the block. The decoder asks for a block together with the header that follows it, so it gets
//! three bytes less than it wants, and the header with the next call.

use super::decompress::Stored;
use super::error::Fault;
use std::io::{self, Read};
use zstd::stream::raw::{Decoder, InBuffer, Operation, OutBuffer};

/// What the decoder wants before it has seen anything: not even a whole frame header.
const FIRST_BYTES: usize = 5;

/// The header of a block.
const HEADER_BYTES: usize = 3;

pub(crate) struct Zstandard<R> {
    stored: Stored<R>,
    decoder: Decoder<'static>,
    /// How much the decoder wants next; 0 between frames.
    wanted: usize,
    ended: bool,
}

impl<R: Read> Zstandard<R> {
    pub(crate) fn new(stored: Stored<R>) -> io::Result<Self> {
        Ok(Self { stored, decoder: Decoder::new()?, wanted: 0, ended: false })
    }

    fn damaged(&self, what: impl Into<String>) -> io::Error {
        Fault::Damaged { format: "zstd", what: what.into(), at: self.stored.position() }.into()
    }

    fn step(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut output = OutBuffer::around(out);
        loop {
            let stored = self.stored.fill()?;
            let last = stored.is_empty();
            if last && self.wanted == 0 {
                return Ok(0);
            }
            let feed = match self.wanted {
                0 => FIRST_BYTES,
                wanted if wanted > HEADER_BYTES => wanted - HEADER_BYTES,
                wanted => wanted,
            };
            let mut input = InBuffer::around(&stored[..feed.min(stored.len())]);
            let result = self.decoder.run(&mut input, &mut output);
            let used = input.pos();
            self.stored.consume(used);
            match result {
                Ok(wanted) => self.wanted = wanted,
                Err(error) => return Err(self.damaged(error.to_string())),
            }
            if output.pos() > 0 {
                return Ok(output.pos());
            }
            if last && self.wanted > 0 {
                return Err(self.damaged("the stream is cut short"));
            }
        }
    }
}

impl<R: Read> Read for Zstandard<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() || self.ended {
            return Ok(0);
        }
        self.step(out).inspect_err(|_| self.ended = true)
    }
}
