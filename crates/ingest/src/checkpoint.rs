//! Where a source stands, on disk: a folder that one process has at a time, and one small file in it.
//!
//! Owns the folder's lock and the file's envelope: a version, a checksum, and its replacement as a whole. Must not know what a
//! position is; sources give and take anything that serde can write.
//!
//! The subtle thing: only a file that is not there means "start at the beginning". One that is there and cannot be understood
//! stops the start, because beginning again, or going on from a guess, is for a person to decide.
//!
//! The file is text of two lines: the envelope, and the position as JSON.

use std::fs::{File, TryLockError};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use disk::{Replaced, fault};
use model::fault::{Fault, FaultKind};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

/// The first word of the file, with the version of the envelope.
const MAGIC: &str = "anthropic-ecs-state-1";

/// No position of ours is larger; what is larger is no state.
const MOST_BYTES: u64 = 1 << 30;

/// Where the state of the stage is kept.
#[derive(Debug, Clone, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StateConfig {
    /// A folder of the stage's own; made for its user alone (mode 0700) if it is not there. One process uses it at a time.
    #[serde(default = "state_path")]
    pub path: PathBuf,
}

fn state_path() -> PathBuf {
    "state".into()
}

impl Default for StateConfig {
    fn default() -> Self {
        Self { path: state_path() }
    }
}

/// A place for one position.
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    lock: File,
}

impl Drop for Checkpoint {
    fn drop(&mut self) {
        // Said aloud, because a process that is just being started may hold a copy of the descriptor.
        let _ = self.lock.unlock();
    }
}

impl Checkpoint {
    /// Takes the folder, making it if need be. `name` is the kind of source: positions of different kinds never meet. Waits
    /// for the disk.
    ///
    /// # Errors
    ///
    /// Another process has the folder, or it cannot be made or written.
    pub fn open(folder: &Path, name: &str) -> Result<Self, Fault> {
        disk::folder(folder).map_err(|error| fault(folder, "making", &error))?;
        let beside = folder.join("lock");
        let lock = disk::update(&beside).map_err(|error| fault(&beside, "opening", &error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: file(folder, name), lock }),
            Err(TryLockError::WouldBlock) => Err(Fault::new(
                FaultKind::Taken,
                format!("the state in {} is in use by another process", folder.display()),
                "stop that one, or give this one a state.path of its own",
            )),
            Err(TryLockError::Error(error)) => Err(fault(&beside, "locking", &error)),
        }
    }

    /// The file, for messages that ask a person to decide about it.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The position that was saved last; `None` if none ever was. Waits for the disk.
    ///
    /// # Errors
    ///
    /// The file is there and cannot be read, or does not say what it should: [`FaultKind::Unusable`].
    pub fn load<T: DeserializeOwned>(&self) -> Result<Option<T>, Fault> {
        load(&self.path)
    }

    /// The position as it is, for a look at it, while another process may have the folder. Waits for the disk.
    ///
    /// # Errors
    ///
    /// As [`Checkpoint::load`].
    pub fn peek<T: DeserializeOwned>(folder: &Path, name: &str) -> Result<Option<T>, Fault> {
        load(&file(folder, name))
    }

    /// Replaces the saved position, and returns when the new one is on the disk. After a crash at any moment either the old
    /// or the new one is there, whole. Waits for the disk.
    ///
    /// # Errors
    ///
    /// What the disk said; the old position is still there, or the new one may be.
    pub fn save<T: Serialize>(&self, position: &T) -> Result<(), Fault> {
        let text = envelope(position).map_err(|error| fault(&self.path, "writing", &error.into()))?;
        disk::replace(&self.path, &text, Replaced::Durably)
            .map_err(|error| fault(&self.path, "writing", &error))
    }
}

/// Where the position of a kind of source is.
fn file(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.state"))
}

fn load<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Fault> {
    let mut text = Vec::new();
    match File::open(path).and_then(|file| file.take(MOST_BYTES).read_to_end(&mut text)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fault(path, "reading", &error)),
        Ok(_) => {}
    }
    let body = open_envelope(&text).map_err(|why| unreadable(path, why))?;
    serde_json::from_slice(body).map(Some).map_err(|error| unreadable(path, &error.to_string()))
}

fn unreadable(path: &Path, why: &str) -> Fault {
    Fault::new(
        FaultKind::Unusable,
        format!("the saved position in {} cannot be used: {why}", path.display()),
        "put back a good copy of it; or remove it to begin from the start, which may deliver records again",
    )
}

/// The bytes of a state file.
fn envelope<T: Serialize>(position: &T) -> serde_json::Result<Vec<u8>> {
    let body = serde_json::to_vec(position)?;
    let mut text = format!("{MAGIC} sha256={} bytes={}\n", hex(&Sha256::digest(&body)), body.len());
    text.reserve(body.len() + 1);
    let mut text = text.into_bytes();
    text.extend_from_slice(&body);
    text.push(b'\n');
    Ok(text)
}

/// What is in a state file, or what is wrong with it.
fn open_envelope(text: &[u8]) -> Result<&[u8], &'static str> {
    let mut parts = text.splitn(2, |byte| *byte == b'\n');
    let head = parts.next().and_then(|head| std::str::from_utf8(head).ok()).unwrap_or_default();
    let Some(words) = head.strip_prefix(MAGIC) else {
        return Err("it does not begin as a state file of this version does");
    };
    let body = parts.next().and_then(|rest| rest.strip_suffix(b"\n")).ok_or("it is cut short")?;
    let expected = format!(" sha256={} bytes={}", hex(&Sha256::digest(body)), body.len());
    if words == expected { Ok(body) } else { Err("its checksum does not fit") }
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_position_comes_back_and_only_absence_means_the_beginning() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("a/b");
        let checkpoint = Checkpoint::open(&folder, "file").unwrap();
        assert_eq!(checkpoint.load::<Vec<u64>>().unwrap(), None);
        checkpoint.save(&vec![1, 2]).unwrap();
        checkpoint.save(&vec![3]).unwrap();
        assert_eq!(checkpoint.load::<Vec<u64>>().unwrap(), Some(vec![3]));
        let fault = checkpoint.load::<String>().unwrap_err();
        assert_eq!(fault.kind, FaultKind::Unusable, "{fault}");
    }

    #[test]
    fn a_file_cut_or_changed_at_any_byte_stops_the_start() {
        let root = tempfile::tempdir().unwrap();
        let checkpoint = Checkpoint::open(root.path(), "file").unwrap();
        checkpoint.save(&vec![12345, 67890]).unwrap();
        let whole = fs::read(checkpoint.path()).unwrap();
        let refused = |bytes: &[u8]| {
            fs::write(checkpoint.path(), bytes).unwrap();
            let fault = checkpoint.load::<Vec<u64>>().unwrap_err();
            assert_eq!(fault.kind, FaultKind::Unusable, "{fault}");
            assert!(fault.remedy.contains("remove it to begin from the start"), "{fault}");
        };
        for at in 0..whole.len() {
            refused(&whole[..at]);
            let mut changed = whole.clone();
            changed[at] ^= 1;
            refused(&changed);
        }
        refused(&[&whole[..], b"\n"].concat());
        refused(b"anthropic-ecs-state-2 sha256=0 bytes=0\n\n");
    }

    #[test]
    fn a_crash_while_saving_leaves_the_old_position() {
        let root = tempfile::tempdir().unwrap();
        let checkpoint = Checkpoint::open(root.path(), "file").unwrap();
        checkpoint.save(&vec![1]).unwrap();
        let new = envelope(&vec![2]).unwrap();
        for cut in 0..=new.len() {
            // The moment before the name is changed: whatever came to the disk of the new file is not looked at.
            fs::write(root.path().join("file.state.new"), &new[..cut]).unwrap();
            assert_eq!(checkpoint.load::<Vec<u64>>().unwrap(), Some(vec![1]));
        }
        checkpoint.save(&vec![2]).unwrap();
        assert_eq!(checkpoint.load::<Vec<u64>>().unwrap(), Some(vec![2]));
        assert!(!root.path().join("file.state.new").exists());
    }

    #[test]
    fn a_link_in_the_way_is_not_followed() {
        let root = tempfile::tempdir().unwrap();
        let checkpoint = Checkpoint::open(root.path(), "file").unwrap();
        let victim = root.path().join("victim");
        fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, root.path().join("file.state.new")).unwrap();
        checkpoint.save(&vec![1]).unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
        drop(checkpoint);
        fs::remove_file(root.path().join("lock")).unwrap();
        std::os::unix::fs::symlink(root.path().join("nowhere"), root.path().join("lock")).unwrap();
        let fault = Checkpoint::open(root.path(), "file").unwrap_err();
        assert_eq!(fault.kind, FaultKind::Unusable, "{fault}");
        assert!(!root.path().join("nowhere").exists());
    }

    #[test]
    fn one_process_has_a_folder() {
        let root = tempfile::tempdir().unwrap();
        let first = Checkpoint::open(root.path(), "file").unwrap();
        let fault = Checkpoint::open(root.path(), "compliance_api").unwrap_err();
        assert_eq!(fault.kind, FaultKind::Taken, "{fault}");
        drop(first);
        Checkpoint::open(root.path(), "file").unwrap();
    }

    #[test]
    fn a_disk_that_refuses_keeps_the_old_position() {
        let root = tempfile::tempdir().unwrap();
        let checkpoint = Checkpoint::open(root.path(), "file").unwrap();
        checkpoint.save(&vec![1]).unwrap();
        // Not even root can remove a folder with remove_file.
        fs::create_dir(root.path().join("file.state.new")).unwrap();
        let fault = checkpoint.save(&vec![2]).unwrap_err();
        assert_eq!(fault.kind, FaultKind::Storage, "{fault}");
        assert_eq!(checkpoint.load::<Vec<u64>>().unwrap(), Some(vec![1]));
    }

    proptest! {
        #[test]
        fn whatever_lies_there_is_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(open_envelope(&bytes).is_err());
        }
    }
}
