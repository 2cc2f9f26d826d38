//! All inputs, one after the other, as one sequence of blocks.
//!
//! Owns the order of inputs, and the count of bytes read. Must not know what is in them.
//!
//! The subtle thing: a damaged input is an error once and no end; the next call goes on with the next input. Whether
//! to go on is the caller's decision.

use super::block::{Block, Options};
use super::decompress::Content;
use super::error::ReadError;
use super::open::Input;
use super::split::Splitter;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How much has been read, as stored. Clones count together, from any thread.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<AtomicU64>);

impl Progress {
    /// Bytes read so far, compressed if they are.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }
}

/// The records of all inputs.
pub struct Records {
    inputs: Vec<Input>,
    next: usize,
    current: Option<Splitter<Content<Box<dyn Read + Send>>>>,
    options: Options,
    progress: Progress,
}

impl Records {
    /// Reads `inputs` in order. Nothing is opened yet.
    #[must_use]
    pub fn new(inputs: Vec<Input>, options: Options) -> Self {
        Self { inputs, next: 0, current: None, options, progress: Progress::default() }
    }

    /// Counts the bytes read, to be compared with [`Expansion::total_bytes`](super::Expansion::total_bytes).
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// The inputs, in the order of [`Block::input`].
    #[must_use]
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// The name of an input, for messages and dead letters; empty if there is none with that index.
    #[must_use]
    pub fn name(&self, input: usize) -> String {
        self.inputs.get(input).map(ToString::to_string).unwrap_or_default()
    }

    /// Fills `block` with the next records of one input. False when all inputs are used up.
    ///
    /// # Errors
    ///
    /// When an input cannot be opened or read any further. Everything before that point has been handed out; calling
    /// again goes on with the next input.
    pub fn next_block(&mut self, block: &mut Block) -> Result<bool, ReadError> {
        loop {
            if let Some(current) = &mut self.current {
                match current.next_block(block) {
                    Ok(true) => return Ok(true),
                    Ok(false) => self.current = None,
                    Err(error) => {
                        self.current = None;
                        return Err(error);
                    }
                }
            }
            let Some(input) = self.inputs.get(self.next) else {
                return Ok(false);
            };
            let index = self.next;
            self.next += 1;
            let name = input.to_string();
            let content = Content::new(input.open()?, self.progress.clone());
            let content = content.map_err(|source| ReadError::new(&name, 0, source))?;
            self.current = Some(Splitter::new(content, name, index, self.options));
        }
    }
}
