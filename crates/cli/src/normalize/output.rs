//! Where batches end: documents to the output, dead letters to their file, numbers to the totals.
//!
//! Owns both files and the rule that neither may be something this run reads. The dead-letter file is made
//! when the first dead letter comes, and is on disk before the program says that it is done.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use ingest::file::Input;

use super::progress::Gauge;
use super::summary::Totals;
use super::worker::Batch;
use super::{default_dead_letters, refuse};
use crate::args::NormalizeArgs;
use crate::failure::Failure;
use crate::files::{Identity, Lines};

/// The open output.
pub(super) struct Output {
    /// What is written, for messages.
    name: String,
    documents: Lines,
    /// Where dead letters go.
    pub(super) dead_letters: PathBuf,
    dead: Option<Lines>,
    totals: Totals,
    gauge: Gauge,
}

impl Output {
    /// Makes sure that nothing to be read would be overwritten, and opens the output.
    pub(super) fn prepare(args: &NormalizeArgs, inputs: &[Input]) -> Result<Self, Failure> {
        let default = || default_dead_letters(args.output.as_deref());
        let dead_letters = args.dead_letters.clone().unwrap_or_else(default);
        let read: Vec<(Identity, String)> = read(args, inputs);
        let clash = |own: Option<Identity>| read.iter().find(|(other, _)| own.as_ref() == Some(other));
        let own = match &args.output {
            Some(path) => Identity::of(path),
            None => Identity::of_open(io::stdout()),
        };
        if let Some((_, input)) = clash(own) {
            let name = args.output.as_deref().unwrap_or(Path::new("standard output"));
            return Err(refuse(name, "output", input));
        }
        if let Some((_, input)) = clash(Identity::of(&dead_letters)) {
            return Err(refuse(&dead_letters, "dead-letter file", input));
        }
        let same = own.is_some() && own == Identity::of(&dead_letters);
        if same || args.output.as_deref().is_some_and(|output| same_place(output, &dead_letters)) {
            let path = dead_letters.display();
            return Err(Failure::Usage(anyhow!("{path}: documents and dead letters need a file each")));
        }
        // That the output's directory exists will show when it is opened.
        let nowhere = args.dead_letters.is_some() && !directory(&dead_letters).is_dir();
        if dead_letters.is_dir() || nowhere {
            let path = dead_letters.display();
            let error =
                anyhow!("{path}: no dead-letter file can be made here; name a file in an existing directory");
            return Err(Failure::Usage(error));
        }
        let (name, documents) = match &args.output {
            Some(path) => (path.display().to_string(), Lines::create(path)),
            None => ("standard output".to_owned(), Lines::stdout()),
        };
        let documents = documents
            .with_context(|| format!("{name}: cannot be opened for writing"))
            .map_err(Failure::usage)?;
        let (totals, gauge) = (Totals::default(), Gauge::default());
        Ok(Self { name, documents, dead_letters, dead: None, totals, gauge })
    }

    /// Shows progress from now on.
    pub(super) fn show(&mut self, gauge: Gauge) {
        self.gauge = gauge;
    }

    /// Takes one batch.
    pub(super) fn take(&mut self, batch: &Batch) -> Result<(), Failure> {
        if let Err(error) = self.documents.write(batch.documents.as_slice()) {
            if error.kind() == io::ErrorKind::BrokenPipe {
                self.gauge.clear();
                return Err(Failure::BrokenPipe);
            }
            let why = format!("{}: documents cannot be written (whole lines up to here are)", self.name);
            return Err(Failure::Failed(anyhow::Error::new(error).context(why)));
        }
        if !batch.dead.is_empty() {
            self.write_dead(&batch.dead).map_err(|error| self.dead_failure(error))?;
        }
        self.totals.add(&batch.counts);
        self.idle();
        Ok(())
    }

    /// To be called now and then.
    pub(super) fn idle(&mut self) {
        self.gauge.update(self.totals.read());
    }

    /// Makes the dead letters durable. Nothing more can be written then.
    pub(super) fn finish(&mut self) -> Result<Totals, Failure> {
        self.gauge.clear();
        if let Some(dead) = self.dead.take() {
            dead.sync().map_err(|error| self.dead_failure(error))?;
        }
        Ok(std::mem::take(&mut self.totals))
    }

    fn write_dead(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.dead.is_none() {
            self.dead = Some(Lines::create(&self.dead_letters)?);
        }
        self.dead.as_mut().map_or(Ok(()), |dead| dead.write(lines))
    }

    fn dead_failure(&self, error: io::Error) -> Failure {
        let path = self.dead_letters.display();
        let why = format!(
            "{path}: dead letters cannot be written, and nothing may be dropped unseen, so this is the end"
        );
        Failure::Failed(anyhow::Error::new(error).context(why))
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.gauge.clear();
    }
}

/// Every file this run reads, with its name.
fn read(args: &NormalizeArgs, inputs: &[Input]) -> Vec<(Identity, String)> {
    let inputs = inputs.iter().map(|input| match input.path() {
        Some(path) => (Identity::of(path), input.to_string()),
        None => (Identity::of_open(io::stdin()), input.to_string()),
    });
    let files = args.knowledge.geoip.iter().chain(&args.knowledge.mappings);
    let files = files.map(|path| (Identity::of(path), path.display().to_string()));
    inputs.chain(files).filter_map(|(identity, name)| Some((identity?, name))).collect()
}

/// The directory a file lies in.
fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Whether two files that need not exist yet would be one.
fn same_place(a: &Path, b: &Path) -> bool {
    let place = |path: &Path| Some((directory(path).canonicalize().ok()?, path.file_name()?.to_owned()));
    place(a).is_some() && place(a) == place(b)
}
