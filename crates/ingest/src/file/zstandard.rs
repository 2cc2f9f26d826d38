//! Zstandard: frames one after the other, some of them to be skipped.
//!
//! Owns how much the decoder is fed at a time. The subtle thing: a call that decodes two blocks and fails at the second
//! loses the first, so the decoder gets exactly the bytes it says it wants next, which is never more than one block.

use super::decompress::Stored;
use super::error::Fault;
use std::io::{self, Read};
use zstd::stream::raw::{Decoder, InBuffer, Operation, OutBuffer};

/// What the decoder wants before it has seen anything: not even a whole frame header.
const FIRST_BYTES: usize = 5;

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
            let feed = if self.wanted == 0 { FIRST_BYTES } else { self.wanted };
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
