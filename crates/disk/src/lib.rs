//! Files that the program writes: for the user it runs as and nobody else, and never through a symbolic link.
//!
//! Owns how such files are opened, made and replaced, and how it is said that the disk refuses. Must not know what is in
//! them, nor what they are for.
//!
//! The subtle thing: whether a link is in the way is asked of the call that opens, not before it, so that nobody can put one
//! there in between. Folders on the way may be links, as `/var` may: who can change those can do worse. And what an operator
//! has made before keeps the mode it was given.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use model::fault::{Fault, FaultKind};

/// The mode of a file that was not there before. A umask can only take from it.
const FILE_MODE: u32 = 0o600;

/// The mode of a folder that was not there before.
const FOLDER_MODE: u32 = 0o700;

/// Why a file was not opened: a symbolic link is in its place. It is in the [`io::Error`] of the functions here.
#[derive(Debug, thiserror::Error)]
#[error(
    "it is a symbolic link, and nothing is written through links; name the file itself, or remove the link"
)]
struct Link;

/// Opens a file to add to its end, and to read it; makes it if it is not there.
///
/// # Errors
///
/// What the disk says, or that the path is a symbolic link.
pub fn append(path: &Path) -> io::Result<File> {
    open(path, OpenOptions::new().read(true).append(true).create(true))
}

/// Opens a file with what is in it, to read and to write anywhere; makes it if it is not there.
///
/// # Errors
///
/// As for [`append`].
pub fn update(path: &Path) -> io::Result<File> {
    open(path, OpenOptions::new().read(true).write(true).create(true).truncate(false))
}

/// Opens a file without what was in it; makes it if it is not there. Pipes and devices can be opened, too, and so can
/// `/dev/stdout` and its like, which are links that the system itself has made.
///
/// # Errors
///
/// As for [`append`].
pub fn empty(path: &Path) -> io::Result<File> {
    open(path, OpenOptions::new().write(true).create(true).truncate(true))
}

/// Opens what is there already, such as a device, to write to it.
///
/// # Errors
///
/// As for [`append`], and when nothing is there.
pub fn existing(path: &Path) -> io::Result<File> {
    open(path, OpenOptions::new().write(true))
}

fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    options.mode(FILE_MODE);
    if !is_name_of_open_file(path) {
        options.custom_flags(libc::O_NOFOLLOW);
    }
    options.open(path).map_err(|error| {
        let link = error.raw_os_error() == Some(libc::ELOOP)
            && fs::symlink_metadata(path).is_ok_and(|data| data.is_symlink());
        if link { io::Error::new(io::ErrorKind::InvalidInput, Link) } else { error }
    })
}

/// Whether a path is one of the names that the system has for what a process has open: `/dev/stdout`, `/dev/fd/3`,
/// `/proc/self/fd/3`. They are links, and only the system can make one there.
fn is_name_of_open_file(path: &Path) -> bool {
    let folder = path.parent().and_then(|folder| folder.canonicalize().ok());
    folder.is_some_and(|folder| {
        folder == Path::new("/dev") || folder == Path::new("/dev/fd") || folder.starts_with("/proc")
    })
}

/// Makes a folder and those above it that are not there; a folder that is there is left as it is.
///
/// # Errors
///
/// What the disk says.
pub fn folder(path: &Path) -> io::Result<()> {
    let there = |folder: &&Path| !folder.as_os_str().is_empty() && !folder.exists();
    let made: Vec<&Path> = path.ancestors().take_while(there).collect();
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path)?;
    // What is synced in a folder is lost with the folder's own name. Where the one above cannot be opened, it is as with any
    // folder that somebody else has made.
    for folder in made {
        let _ = sync_folder(folder);
    }
    Ok(())
}

/// Writes a file as a whole, over what was in it. See [`replace`] for a file that somebody may read meanwhile.
///
/// # Errors
///
/// As for [`append`].
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    empty(path)?.write_all(bytes)
}

/// When a replaced file is on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replaced {
    /// When [`replace`] returns; after a loss of power, too, either the old or the new file is there, whole.
    Durably,
    /// When the system likes. A process that is killed leaves either the old or the new file.
    Soon,
}

/// Replaces a file as a whole, or makes it. The new one is written beside it first, as `NAME.new`, and takes the mode of the
/// old.
///
/// # Errors
///
/// What the disk says, or that the path is a symbolic link; the old file is still there, or the new one may be.
pub fn replace(path: &Path, bytes: &[u8], when: Replaced) -> io::Result<()> {
    let permissions = match fs::symlink_metadata(path) {
        Ok(data) if data.is_symlink() => return Err(io::Error::new(io::ErrorKind::InvalidInput, Link)),
        Ok(data) => Some(data.permissions()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    // Made anew each time, so that nothing that lies there, such as a link or a file of others, is written to.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&new)?;
    if let Some(permissions) = permissions {
        file.set_permissions(permissions)?;
    }
    file.write_all(bytes)?;
    if when == Replaced::Durably {
        file.sync_all()?;
    }
    fs::rename(&new, path)?;
    if when == Replaced::Durably { sync_folder(path) } else { Ok(()) }
}

/// Makes the names in the folder of a file durable.
///
/// # Errors
///
/// What the disk says.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(folder_of(path))?.sync_all()
}

/// The folder that a file is in.
#[must_use]
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Whether every user of the machine may read a file, as far as its own mode goes.
#[must_use]
pub fn is_for_everybody(data: &Metadata) -> bool {
    data.mode() & 0o004 != 0
}

/// What is in the way of something done to a file: to be waited for, or for a person to change.
#[must_use]
pub fn fault(path: &Path, doing: &str, error: &io::Error) -> Fault {
    let name = path.display();
    if error.get_ref().is_some_and(|inner| inner.is::<Link>()) {
        let cause = format!("{name} is a symbolic link, and nothing is written through links");
        return Fault::new(FaultKind::Unusable, cause, "name the file itself, or remove the link");
    }
    let remedy = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "make room on that disk",
        io::ErrorKind::PermissionDenied => "let this user read and write there",
        io::ErrorKind::NotFound => "make the folder",
        io::ErrorKind::ReadOnlyFilesystem => "mount it for writing",
        _ => "look at that disk",
    };
    Fault::new(FaultKind::Storage, format!("{doing} {name} failed: {error}"), remedy)
}

#[cfg(test)]
mod tests;
