//! The `[sink]` section of type `ndjson`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use model::fault::{Fault, FaultKind};
use model::settings::{ByteSize, Period};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::append::{Durability, Framing, Plan};

/// Documents as NDJSON: a file that is rotated, or standard output.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NdjsonConfig {
    /// The file; `-` is standard output. It is made for its user alone (mode 0600), and appended to if it is there, whatever
    /// its mode; after a rotation the new file gets the mode of the last. Its folder must exist, and a symbolic link at its
    /// place is refused. A lock file lies beside it, hidden, so that one process alone writes it.
    pub path: PathBuf,
    /// The file gets its final name, with the time in it, before a write that would make it longer than this. Such names sort
    /// by time, and no file is ever overwritten. Without this key size does not matter.
    #[serde(default)]
    pub rotate_bytes: Option<ByteSize>,
    /// The file gets its final name when it is this old, even if nothing more comes. Without this key age does not matter.
    #[serde(default)]
    pub rotate_interval: Option<Period>,
    /// How the file is compressed. Each write becomes a frame of its own, so that whatever stops the program, all before
    /// stays readable. The name is not changed by this: call the file `.gz` or `.zst` yourself.
    #[serde(default)]
    pub compression: Compression,
    /// When documents are safe from a loss of power, which is when they count as delivered if it is `always`. A crash of the
    /// program alone loses nothing, whatever is chosen.
    #[serde(default)]
    pub fsync: Fsync,
    /// How long written documents may stay unsynced with `fsync = "interval"`.
    #[serde(default = "fsync_interval")]
    pub fsync_interval: Period,
}

/// How a file is compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// A gzip member for each write.
    Gzip,
    /// A Zstandard frame for each write.
    Zstd,
}

/// When written documents are made safe from a loss of power.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Fsync {
    /// With each write, before it counts as delivered.
    #[default]
    Always,
    /// Every `fsync_interval`; a loss of power can cost what was delivered since.
    Interval,
    /// When the system likes, and at the end.
    Never,
}

fn fsync_interval() -> Period {
    Period(Duration::from_secs(1))
}

/// A configuration that makes sense.
#[derive(Debug, Clone)]
pub struct NdjsonSettings(Plan);

impl NdjsonConfig {
    /// A file with every key at its default.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            rotate_bytes: None,
            rotate_interval: None,
            compression: Compression::None,
            fsync: Fsync::Always,
            fsync_interval: fsync_interval(),
        }
    }

    /// Checks it, without looking at any file.
    ///
    /// # Errors
    ///
    /// The key that cannot be as it is.
    pub fn validate(self) -> Result<NdjsonSettings, Fault> {
        let refuse = |what: &str, remedy: &str| Fault::new(FaultKind::Unusable, what, remedy);
        if self.path.as_os_str().is_empty() {
            return Err(refuse("sink.path is empty", "name a file, or - for standard output"));
        }
        if self.path == Path::new("-") && (self.rotate_bytes.is_some() || self.rotate_interval.is_some()) {
            return Err(refuse(
                "sink.path is standard output, which cannot be rotated",
                "name a file, or leave out rotate_bytes and rotate_interval",
            ));
        }
        for (name, is_zero) in [
            ("rotate_bytes", self.rotate_bytes.is_some_and(|size| size.0 == 0)),
            ("rotate_interval", self.rotate_interval.is_some_and(|period| period.0.is_zero())),
            ("fsync_interval", self.fsync_interval.0.is_zero()),
        ] {
            if is_zero {
                return Err(refuse(&format!("sink.{name} is 0"), "leave it out, or give it a value"));
            }
        }
        Ok(NdjsonSettings(Plan {
            path: self.path,
            rotate_bytes: self.rotate_bytes.map(|size| size.0),
            rotate_interval: self.rotate_interval.map(|period| period.0),
            framing: match self.compression {
                Compression::None => Framing::Plain,
                Compression::Gzip => Framing::Gzip,
                Compression::Zstd => Framing::Zstd,
            },
            durability: match self.fsync {
                Fsync::Always => Durability::Always,
                Fsync::Interval => Durability::Within(self.fsync_interval.0),
                Fsync::Never => Durability::Never,
            },
        }))
    }
}

impl NdjsonSettings {
    pub(super) fn into_plan(self) -> Plan {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        let plain = NdjsonConfig::new("out.ndjson");
        assert!(plain.clone().validate().is_ok());
        let zero = Some(Period(Duration::ZERO));
        for (config, name) in [
            (NdjsonConfig { path: "".into(), ..plain.clone() }, "path"),
            (NdjsonConfig { rotate_bytes: Some(ByteSize(0)), ..plain.clone() }, "rotate_bytes"),
            (NdjsonConfig { rotate_interval: zero, ..plain.clone() }, "rotate_interval"),
            (
                NdjsonConfig { path: "-".into(), rotate_bytes: Some(ByteSize(9)), ..plain.clone() },
                "standard output",
            ),
            (NdjsonConfig { fsync_interval: Period(Duration::ZERO), ..plain }, "fsync_interval"),
        ] {
            let fault = config.validate().unwrap_err();
            assert!(fault.kind == FaultKind::Unusable && fault.cause.contains(name), "{fault}");
        }
    }

    #[test]
    fn the_keys_are_as_documented() {
        let json = r#"{"path":"a","rotate_bytes":"1GiB","rotate_interval":"1h","compression":"zstd",
            "fsync":"interval","fsync_interval":"250ms"}"#;
        let config: NdjsonConfig = serde_json::from_str(json).unwrap();
        assert_eq!((config.compression, config.fsync), (Compression::Zstd, Fsync::Interval));
        assert!(serde_json::from_str::<NdjsonConfig>(r#"{"path":"a","rotate":1}"#).is_err());
    }
}
