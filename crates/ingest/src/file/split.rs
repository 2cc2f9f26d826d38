//! From one stream to blocks of whole records.
//!
//! Owns the buffer: reading into it, growing it for one long record, carrying a record's beginning to the next block.
//! Must not know formats; [`Machine`] tells records apart.
//!
//! The subtle thing: bytes are read straight into the caller's block, and only the unfinished record at its end (the
//! carry) is ever copied. What is too long is skipped by keeping its head at the front of the buffer and reading over
//! the rest, so memory never exceeds `max_record_bytes` plus one block.

use super::block::{Block, Kind, Options, Reason, Span};
use super::error::{Fault, ReadError};
use super::machine::{BOM, End, Machine, Window};
use std::io::{self, Read};

/// Splits one stream into blocks of records.
pub struct Splitter<R> {
    reader: R,
    name: String,
    input: usize,
    options: Options,
    machine: Machine,
    /// What the next block begins with, and its offset in the stream.
    carry: Vec<u8>,
    base: u64,
    started: bool,
    end: End,
    error: Option<io::Error>,
}

impl<R: Read> Splitter<R> {
    /// Reads `reader`, which errors call `name`; the blocks carry `input`.
    pub fn new(reader: R, name: impl Into<String>, input: usize, options: Options) -> Self {
        let options = options.clamped();
        Self {
            reader,
            name: name.into(),
            input,
            options,
            machine: Machine::new(0, options.max_record_bytes),
            carry: Vec::new(),
            base: 0,
            started: false,
            end: End::Open,
            error: None,
        }
    }

    /// Fills `block` with the next records. False when the stream is used up, and the block is then empty.
    ///
    /// A block is handed out as soon as one read gave a whole record, so a slow pipe is not held up.
    ///
    /// # Errors
    ///
    /// When the stream cannot be read any further, after everything before that point was handed out. The next call
    /// returns false.
    pub fn next_block(&mut self, block: &mut Block) -> Result<bool, ReadError> {
        let mut filled = self.carry.len();
        block.reset(self.input, self.options.block_bytes.max(filled));
        block.data[..filled].copy_from_slice(&self.carry);
        self.carry.clear();
        if !self.started {
            self.start(block, &mut filled)?;
        }
        loop {
            let unseen = self.machine.at() < self.base + filled as u64;
            if unseen || (self.end != End::Open && !self.machine.done()) {
                let window = Window { data: &block.data[..filled], base: self.base };
                self.machine.advance(window, self.end, &mut block.spans);
            }
            if !block.spans.is_empty() {
                self.hand_out(block, filled);
                return Ok(true);
            }
            if self.end != End::Open {
                let error = self.error.take();
                return error
                    .map_or(Ok(false), |error| Err(ReadError::new(&self.name, self.machine.at(), error)));
            }
            self.make_room(block, &mut filled);
            self.read(block, &mut filled);
        }
    }

    /// Looks for a byte order mark.
    fn start(&mut self, block: &mut Block, filled: &mut usize) -> Result<(), ReadError> {
        while *filled < 4 && self.end == End::Open {
            self.read(block, filled);
        }
        self.started = true;
        match &block.data[..*filled] {
            [0xef, 0xbb, 0xbf, ..] => {
                self.machine = Machine::new(BOM.len() as u64, self.options.max_record_bytes)
            }
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [b'{' | b'[', 0, ..] | [0, b'{' | b'[', ..] => {
                self.end = End::Complete;
                self.carry.clear();
                self.machine.close();
                let fault = Fault::Unsupported { format: "UTF-16 text", advice: "convert it to UTF-8 first" };
                return Err(ReadError::new(&self.name, 0, fault.into()));
            }
            _ => {}
        }
        Ok(())
    }

    /// Keeps for the next block what belongs to no span yet.
    fn hand_out(&mut self, block: &mut Block, mut filled: usize) {
        let needed = self.machine.needed();
        let from = (needed - self.base) as usize;
        self.carry.extend_from_slice(&block.data[from..filled]);
        self.base = needed;
        if let Some((offset, header)) = self.machine.header.take() {
            filled = from + header.len();
            block.reserve(filled);
            block.data[from..filled].copy_from_slice(&header);
            let kind = Kind::Malformed(Reason::NotAPage);
            let span = Span { start: from as u32, end: filled as u32, offset, kind };
            block.spans.insert(block.spans.len().saturating_sub(1), span);
        }
    }

    /// Drops from the front of the buffer what is no longer needed.
    fn make_room(&mut self, block: &mut Block, filled: &mut usize) {
        let needed = self.machine.needed();
        let head = self.machine.head();
        if !self.machine.skipping() {
            let from = (needed - self.base) as usize;
            if self.machine.too_long() {
                block.data.copy_within(from..from + head, 0);
                self.machine.skip();
            } else if from > 0 {
                block.data.copy_within(from..*filled, 0);
                *filled -= from;
                self.base = needed;
            }
        }
        if self.machine.skipping() {
            *filled = head;
            self.base = self.machine.at() - head as u64;
        }
    }

    /// Reads once.
    fn read(&mut self, block: &mut Block, filled: &mut usize) {
        let size = self.options.block_bytes;
        let to = size.max(*filled + size / 4);
        block.reserve(to);
        loop {
            match self.reader.read(&mut block.data[*filled..to]) {
                Ok(0) => self.end = End::Complete,
                Ok(count) => *filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    self.end = End::Cut;
                    self.error = Some(error);
                }
            }
            return;
        }
    }
}

#[cfg(test)]
#[path = "split_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "split_properties.rs"]
mod properties;
