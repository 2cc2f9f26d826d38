//! How a mode can end: exit statuses, and the one line that says what went wrong.
//!
//! Owns the exit statuses, which scripts rely on. Every error of the program becomes a [`Failure`] at
//! the place that knows whether the user or the world is to blame.

use std::io;

/// How the program ends; the numbers are its exit statuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Everything was done, or nobody reads the output any more.
    Done = 0,
    /// Something failed.
    Failed = 1,
    /// The command line, or a file it names as configuration, cannot be used.
    Usage = 2,
    /// Everything was read, but not every record could be mapped.
    DeadLetters = 3,
    /// A signal asked the program to end, and it ended in good order.
    Interrupted = 130,
}

/// Why a mode ended early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The user must change something first.
    Usage(anyhow::Error),
    /// It was not the user's doing.
    Failed(anyhow::Error),
    /// The reader of the output has gone, which is its right.
    BrokenPipe,
}

impl Failure {
    /// A failure to write to standard output or error.
    pub(crate) fn writing(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::BrokenPipe;
        }
        Self::Failed(anyhow::Error::new(error).context("the output cannot be written"))
    }

    /// The user must change something first.
    pub(crate) fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self::Usage(error.into())
    }

    /// It was not the user's doing.
    pub(crate) fn failed(error: impl Into<anyhow::Error>) -> Self {
        Self::Failed(error.into())
    }

    /// What to tell the user, from what happened to its cause; `None` to end quietly.
    pub(crate) fn message(&self) -> Option<String> {
        match self {
            Self::Usage(error) | Self::Failed(error) => Some(format!("{error:#}")),
            Self::BrokenPipe => None,
        }
    }

    /// How the program ends because of it.
    pub(crate) fn ending(&self) -> Ending {
        match self {
            Self::Usage(_) => Ending::Usage,
            Self::Failed(_) => Ending::Failed,
            Self::BrokenPipe => Ending::Done,
        }
    }
}
