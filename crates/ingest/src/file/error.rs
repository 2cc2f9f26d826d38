//! What can go wrong with an input.
//!
//! Owns the two errors of this module: before anything is read ([`ExpandError`]) and while reading ([`ReadError`]).
//! Nothing here is worth a retry: the same file gives the same error.
//!
//! The subtle thing: the decompressors are plain [`std::io::Read`], so what they know about the damage travels as a
//! `Fault` inside an `io::Error` and is taken out again where the input's name is known.

use std::io;
use std::path::PathBuf;

/// Why the inputs could not be listed. Nothing has been read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExpandError {
    /// There is nothing by that name.
    #[error("{}: no such file or directory", path.display())]
    NotFound {
        /// The name as given, or as found in a directory.
        path: PathBuf,
    },
    /// It is there and cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Unreadable {
        /// The name as given, or as found in a directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// `-` appears more than once.
    #[error("standard input (-) can be read only once")]
    StdinTwice,
}

/// Why the rest of an input could not be read. Every record before that point has been handed out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The input could not be opened.
    #[error("{input}: cannot be opened: {source}")]
    Open {
        /// Name of the input.
        input: String,
        /// What the system said.
        source: io::Error,
    },
    /// Reading failed.
    #[error("{input}: reading failed at byte {offset}: {source}")]
    Read {
        /// Name of the input.
        input: String,
        /// Bytes of (decompressed) content before the failure.
        offset: u64,
        /// What the system said.
        source: io::Error,
    },
    /// The compressed stream is cut or corrupt.
    #[error("{input}: {format}: {what} at compressed byte {at}, after {offset} bytes of content")]
    Damaged {
        /// Name of the input.
        input: String,
        /// `gzip` or `zstd`.
        format: &'static str,
        /// What is wrong.
        what: String,
        /// Offset in the compressed stream.
        at: u64,
        /// Bytes of content before the damage.
        offset: u64,
    },
    /// The input is in a form this program does not read.
    #[error("{input}: this is {format}, which is not read; {advice}")]
    Unsupported {
        /// Name of the input.
        input: String,
        /// What it looks like.
        format: &'static str,
        /// What to do about it.
        advice: &'static str,
    },
}

impl ReadError {
    /// Gives an error of a reader its place.
    pub(crate) fn new(input: &str, offset: u64, source: io::Error) -> Self {
        let input = input.to_owned();
        match source.downcast::<Fault>() {
            Ok(Fault::Damaged { format, what, at }) => Self::Damaged { input, format, what, at, offset },
            Ok(Fault::Unsupported { format, advice }) => Self::Unsupported { input, format, advice },
            Err(source) => Self::Read { input, offset, source },
        }
    }
}

/// What a decompressor knows about a failure.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("{format}: {what} at compressed byte {at}")]
    Damaged { format: &'static str, what: String, at: u64 },
    #[error("{format} is not read; {advice}")]
    Unsupported { format: &'static str, advice: &'static str },
}

impl From<Fault> for io::Error {
    fn from(fault: Fault) -> Self {
        Self::new(io::ErrorKind::InvalidData, fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_input_and_the_place() {
        let fault = Fault::Damaged { format: "gzip", what: "the stream is cut short".into(), at: 12 };
        let error = ReadError::new("a.gz", 99, fault.into());
        assert_eq!(
            error.to_string(),
            "a.gz: gzip: the stream is cut short at compressed byte 12, after 99 bytes of content"
        );
        let error = ReadError::new("b", 7, io::Error::other("disk on fire"));
        assert_eq!(error.to_string(), "b: reading failed at byte 7: disk on fire");
    }
}
