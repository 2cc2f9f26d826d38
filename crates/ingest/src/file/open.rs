//! What to read: from the paths a user gave to a list of inputs.
//!
//! Owns the rules for directories. Must not know what is inside a file.
//!
//! A file named by the user is read whatever it is called. Of a directory, all regular files are read, at any depth,
//! in the order of their paths, except hidden ones (a leading dot, directories too) and those whose name says that
//! they are not finished or not data (see `NOT_DATA`); these are listed in [`Expansion::skipped`], so that the caller can
//! say so. Symbolic links are followed.
//!
//! The subtle thing: a file found in a directory is read once, however many links and overlapping paths lead to it;
//! that also ends loops. It is opened here once to see that it can be read: six hours into a run is too late.

use super::error::{ExpandError, ReadError};
use std::collections::HashSet;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Endings of names that are passed over in directories.
const NOT_DATA: &[&str] = &[
    "~",
    ".bak",
    ".crdownload",
    ".lock",
    ".md",
    ".md5",
    ".part",
    ".partial",
    ".sha1",
    ".sha256",
    ".sha512",
    ".sig",
    ".asc",
    ".swp",
    ".tmp",
];

/// Something to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    path: Option<PathBuf>,
    size: Option<u64>,
}

impl Input {
    /// Standard input.
    #[must_use]
    pub fn stdin() -> Self {
        Self { path: None, size: None }
    }

    /// A file, or anything else that can be opened and read, such as a named pipe.
    #[must_use]
    pub fn file(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let size = fs::metadata(&path).ok().filter(fs::Metadata::is_file).map(|data| data.len());
        Self { path: Some(path), size }
    }

    /// Where it is; `None` for standard input.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Bytes as stored, compressed if it is; `None` if that is not known beforehand.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    /// Whether `path` leads to this input. To be asked of every file about to be written.
    #[must_use]
    pub fn is(&self, path: &Path) -> bool {
        let real = |path: &Path| fs::canonicalize(path).ok();
        self.path().and_then(real).is_some_and(|own| real(path) == Some(own))
    }

    pub(crate) fn open(&self) -> Result<Box<dyn Read + Send>, ReadError> {
        match &self.path {
            None => Ok(Box::new(io::stdin())),
            Some(path) => match File::open(path) {
                Ok(file) => Ok(Box::new(file)),
                Err(source) => Err(ReadError::Open { input: self.to_string(), source }),
            },
        }
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            None => f.write_str("standard input"),
            Some(path) => path.display().fmt(f),
        }
    }
}

/// What paths stand for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expansion {
    /// What is to be read, in this order.
    pub inputs: Vec<Input>,
    /// What was found in directories and passed over because of its name.
    pub skipped: Vec<PathBuf>,
}

impl Expansion {
    /// The size of all inputs together, as stored; `None` if that of one is not known.
    #[must_use]
    pub fn total_bytes(&self) -> Option<u64> {
        self.inputs.iter().map(Input::size).sum()
    }
}

/// Finds out what `paths` stand for: files, directories, or `-` for standard input. No paths give no inputs, and a
/// directory may be empty, too.
///
/// # Errors
///
/// When something does not exist, cannot be read, or when `-` is given twice. Nothing has been read then.
pub fn expand<P: AsRef<Path>>(paths: &[P]) -> Result<Expansion, ExpandError> {
    let mut found = Expansion::default();
    let mut seen = HashSet::new();
    for path in paths.iter().map(AsRef::as_ref) {
        if path == Path::new("-") {
            if found.inputs.iter().any(|input| input.path.is_none()) {
                return Err(ExpandError::StdinTwice);
            }
            found.inputs.push(Input::stdin());
        } else if metadata(path)?.is_dir() {
            walk(path, &mut seen, &mut found)?;
        } else {
            seen.insert(real(path)?);
            found.inputs.push(readable(path)?);
        }
    }
    Ok(found)
}

fn walk(root: &Path, seen: &mut HashSet<PathBuf>, found: &mut Expansion) -> Result<(), ExpandError> {
    // What is really there is listed before what links lead to, so that it keeps its own name.
    let (mut directories, mut links) = (vec![root.to_owned()], Vec::new());
    let mut files = Vec::new();
    let from = found.skipped.len();
    while let Some(directory) = directories.pop().or_else(|| links.pop()) {
        if !seen.insert(real(&directory)?) {
            continue;
        }
        let entries = fs::read_dir(&directory).map_err(|source| unreadable(&directory, source))?;
        for entry in entries {
            let entry = entry.map_err(|source| unreadable(&directory, source))?;
            let path = entry.path();
            if !is_data(&entry.file_name().to_string_lossy()) {
                found.skipped.push(path);
                continue;
            }
            let link = entry.file_type().map_err(|source| unreadable(&path, source))?.is_symlink();
            let data = metadata(&path)?;
            match (data.is_dir(), link) {
                (true, true) => links.push(path),
                (true, false) => directories.push(path),
                (false, _) if data.is_file() => files.push((link, path)),
                (false, _) => found.skipped.push(path),
            }
        }
    }
    files.sort();
    let mut inputs = Vec::new();
    for (_, path) in files {
        if seen.insert(real(&path)?) {
            inputs.push(readable(&path)?);
        }
    }
    inputs.sort_by(|a, b| a.path.cmp(&b.path));
    found.inputs.append(&mut inputs);
    found.skipped[from..].sort();
    Ok(())
}

fn is_data(name: &str) -> bool {
    !name.starts_with('.') && !NOT_DATA.iter().any(|ending| name.ends_with(ending))
}

fn readable(path: &Path) -> Result<Input, ExpandError> {
    let input = Input::file(path);
    // Opening a pipe would wait for its writer.
    if input.size.is_some() {
        File::open(path).map_err(|source| unreadable(path, source))?;
    }
    Ok(input)
}

fn metadata(path: &Path) -> Result<fs::Metadata, ExpandError> {
    fs::metadata(path).map_err(|source| unreadable(path, source))
}

fn real(path: &Path) -> Result<PathBuf, ExpandError> {
    fs::canonicalize(path).map_err(|source| unreadable(path, source))
}

fn unreadable(path: &Path, source: io::Error) -> ExpandError {
    let path = path.to_owned();
    match source.kind() {
        io::ErrorKind::NotFound => ExpandError::NotFound { path },
        _ => ExpandError::Unreadable { path, source },
    }
}
