//! Dead letters: what cannot be delivered, kept whole, with the reason.
//!
//! Owns the format ([`DeadLetter::line`]) and the file it goes to ([`DeadLetters`]). Must not know who sorts records out, nor
//! what the clock says: the time is given, so that the same input can give the same letters.
//!
//! The subtle thing: a write returns when its letters are on the disk, because the position in the source is committed
//! after it. If they cannot be written, nothing may be committed.

mod line;

use std::path::PathBuf;

use model::fault::{Fault, FaultKind};
use model::settings::ByteSize;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::append::{Appender, Durability, Framing, Plan, Writer};

pub use line::{DeadLetter, Place, Stage};

/// Where dead letters go, as a file.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeadLettersConfig {
    /// The file: one JSON object a line. It is made at the start, for its user alone (mode 0600), and appended to if it is
    /// there, whatever its mode. A symbolic link at its place is refused. A lock file lies beside it, hidden. A file source
    /// reads it back.
    #[serde(default = "path")]
    pub path: PathBuf,
    /// The file gets its final name, with the time in it, before a write that would make it longer than this. Without this
    /// key it only grows.
    #[serde(default)]
    pub rotate_bytes: Option<ByteSize>,
}

fn path() -> PathBuf {
    "dead-letters.ndjson".into()
}

impl Default for DeadLettersConfig {
    fn default() -> Self {
        Self { path: path(), rotate_bytes: None }
    }
}

/// The file of dead letters.
#[derive(Debug)]
pub struct DeadLetters {
    writer: Writer,
}

impl DeadLetters {
    /// Takes the lock, and repairs what a crash left behind. Waits for the disk.
    ///
    /// # Errors
    ///
    /// The configuration makes no sense, another process has the file, or it cannot be opened.
    pub fn open(config: &DeadLettersConfig) -> Result<Self, Fault> {
        if config.path.as_os_str().is_empty() || config.rotate_bytes == Some(ByteSize(0)) {
            let cause = "dead_letters.path is empty, or dead_letters.rotate_bytes is 0";
            return Err(Fault::new(FaultKind::Unusable, cause, "leave the key out, or give it a value"));
        }
        let appender = Appender::open(Plan {
            path: config.path.clone(),
            rotate_bytes: config.rotate_bytes.map(|size| size.0),
            rotate_interval: None,
            framing: Framing::Plain,
            durability: Durability::Always,
        })?;
        Ok(Self { writer: Writer::start(appender)? })
    }

    /// Writes letters, all or none, and returns when they are on the disk. All lines are in memory at a time.
    ///
    /// # Errors
    ///
    /// What stood in the way; none of the letters is in the file then, and the same call may pass later.
    pub async fn write(&self, letters: &[DeadLetter<'_>]) -> Result<(), Fault> {
        let mut lines = Vec::new();
        for letter in letters {
            letter.line(&mut lines);
        }
        self.writer.append(vec![lines.into()]).await
    }

    /// Lets go of the file.
    ///
    /// # Errors
    ///
    /// What stood in the way; what was written is durable all the same.
    pub async fn close(&self) -> Result<(), Fault> {
        self.writer.close().await
    }
}

#[cfg(test)]
mod tests;
