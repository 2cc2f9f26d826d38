//! Gzip: members one after the other, then perhaps zeros.
//!
//! Owns the member's header and trailer; inflating is flate2's. The subtle thing: when inflating fails, what came out
//! of the same call is handed out first, and the error with the next read.

use super::decompress::Stored;
use super::error::Fault;
use flate2::{Crc, Decompress, FlushDecompress, Status};
use std::io::{self, Read};

enum State {
    /// Before a member; `first` if none has been read yet.
    Header {
        first: bool,
    },
    Body,
    Trailer,
    End,
}

pub(crate) struct Gzip<R> {
    stored: Stored<R>,
    state: State,
    inflate: Decompress,
    check: Crc,
    error: Option<io::Error>,
}

impl<R: Read> Gzip<R> {
    pub(crate) fn new(stored: Stored<R>) -> Self {
        Self {
            stored,
            state: State::Header { first: true },
            inflate: Decompress::new(false),
            check: Crc::new(),
            error: None,
        }
    }

    fn damaged(&self, what: impl Into<String>) -> io::Error {
        Fault::Damaged { format: "gzip", what: what.into(), at: self.stored.position() }.into()
    }

    fn byte(&mut self) -> io::Result<u8> {
        match self.stored.next_byte()? {
            Some(byte) => Ok(byte),
            None => Err(self.damaged("the stream is cut short")),
        }
    }

    fn word(&mut self) -> io::Result<u32> {
        Ok(u32::from_le_bytes([self.byte()?, self.byte()?, self.byte()?, self.byte()?]))
    }

    /// Reads a member's header; false at the end of the file, which may be padded with zeros.
    fn header(&mut self, first: bool) -> io::Result<bool> {
        if !first {
            loop {
                match self.stored.fill()?.iter().position(|byte| *byte != 0) {
                    Some(zeros) => break self.stored.consume(zeros),
                    None if self.stored.buffered().is_empty() => return Ok(false),
                    None => self.stored.consume(self.stored.buffered().len()),
                }
            }
            if self.stored.buffered().first() != Some(&0x1f) {
                return Err(self.damaged("something else follows the compressed data"));
            }
        }
        if [self.byte()?, self.byte()?, self.byte()?] != [0x1f, 0x8b, 8] {
            return Err(self.damaged("not a gzip header"));
        }
        let flags = self.byte()?;
        if flags & 0xe0 != 0 {
            return Err(self.damaged("a gzip header with unknown flags"));
        }
        for _ in 0..6 {
            self.byte()?;
        }
        if flags & 4 != 0 {
            let length = u16::from_le_bytes([self.byte()?, self.byte()?]);
            for _ in 0..length {
                self.byte()?;
            }
        }
        for text in [8, 16] {
            while flags & text != 0 && self.byte()? != 0 {}
        }
        if flags & 2 != 0 {
            self.byte()?;
            self.byte()?;
        }
        self.inflate.reset(false);
        self.check.reset();
        Ok(true)
    }

    /// Inflates into `out`; 0 at the end of the member.
    fn body(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let input = self.stored.fill()?;
            let last = input.is_empty();
            let before = (self.inflate.total_in(), self.inflate.total_out());
            let status = self.inflate.decompress(input, out, FlushDecompress::None);
            self.stored.consume((self.inflate.total_in() - before.0) as usize);
            let count = (self.inflate.total_out() - before.1) as usize;
            self.check.update(&out[..count]);
            match status {
                Ok(Status::StreamEnd) => {
                    self.state = State::Trailer;
                    return Ok(count);
                }
                Ok(_) if count > 0 => return Ok(count),
                Ok(_) if last => return Err(self.damaged("the stream is cut short")),
                Ok(_) => {}
                Err(_) if count > 0 => {
                    self.error = Some(self.damaged("the compressed data is corrupt"));
                    return Ok(count);
                }
                Err(_) => return Err(self.damaged("the compressed data is corrupt")),
            }
        }
    }

    fn trailer(&mut self) -> io::Result<()> {
        if self.word()? != self.check.sum() || self.word()? != self.check.amount() {
            return Err(self.damaged("the checksum does not match the content"));
        }
        Ok(())
    }

    fn step(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.state {
                State::Header { first } => {
                    self.state = if self.header(first)? { State::Body } else { State::End };
                }
                State::Body => {
                    let count = self.body(out)?;
                    if count > 0 {
                        return Ok(count);
                    }
                }
                State::Trailer => {
                    self.trailer()?;
                    self.state = State::Header { first: false };
                }
                State::End => return Ok(0),
            }
        }
    }
}

impl<R: Read> Read for Gzip<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        match self.error.take() {
            Some(error) => Err(error),
            None => self.step(out),
        }
        .inspect_err(|_| self.state = State::End)
    }
}
