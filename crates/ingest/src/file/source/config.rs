//! The `[source]` section of type `file`.

use std::path::PathBuf;

use model::fault::{Fault, FaultKind};
use model::settings::ByteSize;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::file::Options;

/// Raw records from files, directories or standard input.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileConfig {
    /// Files, directories (all files in them, at any depth), or `-` for standard input. Plain, gzip or zstd; inside one activity
    /// a line, API pages, arrays of activities, or dead letters; all found out by looking. Where reading stands is kept in
    /// the state folder, by the identity of each file; a file that only grew is read on, and one that was changed stops the
    /// start. Standard input cannot be resumed.
    pub paths: Vec<PathBuf>,
    /// The longest record. Longer ones go to the dead letters.
    #[serde(default = "max_record_bytes")]
    pub max_record_bytes: ByteSize,
}

fn max_record_bytes() -> ByteSize {
    ByteSize(16 << 20)
}

/// A configuration that makes sense.
#[derive(Debug, Clone)]
pub struct FileSettings {
    pub(super) paths: Vec<PathBuf>,
    pub(super) max_record_bytes: u64,
}

impl FileConfig {
    /// These paths, and every other key at its default.
    #[must_use]
    pub fn new<P: Into<PathBuf>>(paths: impl IntoIterator<Item = P>) -> Self {
        Self { paths: paths.into_iter().map(Into::into).collect(), max_record_bytes: max_record_bytes() }
    }

    /// Checks it, without looking at any file.
    ///
    /// # Errors
    ///
    /// The key that cannot be as it is.
    pub fn validate(self) -> Result<FileSettings, Fault> {
        let refuse = |what: &str, remedy: &str| Err(Fault::new(FaultKind::Unusable, what, remedy));
        if self.paths.is_empty() || self.paths.iter().any(|path| path.as_os_str().is_empty()) {
            return refuse(
                "source.paths names nothing",
                "name files or directories, or - for standard input",
            );
        }
        if !(64..=512 << 20).contains(&self.max_record_bytes.0) {
            let cause = format!("source.max_record_bytes is {}", self.max_record_bytes);
            return refuse(&cause, "give it a value from 64 to 512MiB");
        }
        Ok(FileSettings { paths: self.paths, max_record_bytes: self.max_record_bytes.0 })
    }
}

impl FileSettings {
    /// Limits of the splitter: a dead letter is longer than the record in it, by base64 at most and its other fields.
    pub(super) fn options(&self) -> Options {
        let letter = self.max_record_bytes + self.max_record_bytes / 2 + (1 << 20);
        Options { max_record_bytes: letter as usize, ..Options::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        assert!(FileConfig::new(["-"]).validate().is_ok());
        let tiny = FileConfig { max_record_bytes: ByteSize(1), ..FileConfig::new(["a"]) };
        for (config, name) in [
            (FileConfig::new([""; 0]), "paths"),
            (FileConfig::new([""]), "paths"),
            (tiny, "max_record_bytes"),
        ] {
            let fault = config.validate().unwrap_err();
            assert!(fault.kind == FaultKind::Unusable && fault.cause.contains(name), "{fault}");
        }
        assert!(serde_json::from_str::<FileConfig>(r#"{"paths":["a"],"path":"a"}"#).is_err());
    }
}
