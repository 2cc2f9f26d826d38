//! `normalize`: raw activities in, ECS documents out.
//!
//! Owns the order of a run: everything that can be refused is refused before the first byte is read or
//! written (inputs listed, databases and mappings open, output known not to be an input), then the
//! pipeline runs, then the dead letters are made durable, then the closing line is written.

mod output;
mod pipeline;
mod progress;
mod summary;
mod worker;

use std::io::{self, IsTerminal, Write};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use anyhow::anyhow;
use ingest::file::{Expansion, Options, Records, expand};
use mapper::{MapperOptions, Mapping};

use crate::args::NormalizeArgs;
use crate::config;
use crate::failure::{Ending, Failure};
use crate::knowledge;
use crate::stop::Stop;

use output::Output;
use pipeline::{Closing, Sizes};
use progress::Gauge;

/// Eight mappers make more than one writer can write, some gigabytes a second; further ones would only cost the
/// memory of their caches, some 5 MiB each.
const MOST_THREADS: usize = 8;

/// Runs the mode.
pub(crate) fn run(args: &NormalizeArgs) -> Result<Ending, Failure> {
    let started = Instant::now();
    let found = inputs(args)?;
    let tables = knowledge::tables(&args.knowledge.mappings)?;
    let geo = knowledge::geoip(&args.knowledge.geoip)?;
    let privacy = match &args.privacy {
        Some(path) => config::privacy_of_file(path, &tables)?,
        None => None,
    };
    let mut output = Output::prepare(args, &found.inputs)?;
    let stop = Stop::on_signals().map_err(Failure::failed)?;

    let options = MapperOptions {
        namespace: args.namespace.clone(),
        preserve_original: args.preserve_original,
        event_hash: args.event_hash,
        max_record_bytes: args.max_record_size,
        privacy: privacy.map(Arc::new),
    };
    let mapping = Arc::new(Mapping::new(tables, geo, options));
    let threads = threads(args);
    let sizes = Sizes::for_threads(threads);
    let options = Options { block_bytes: sizes.block, max_record_bytes: args.max_record_size };
    let total = found.total_bytes();
    let records = Records::new(found.inputs, options);
    output.show(Gauge::new(args, total, records.progress()));

    let closing = pipeline::run(records, &mapping, threads, sizes, &stop, &mut output)?;
    let totals = output.finish()?;
    if !args.quiet {
        let line = totals.closing_line(started.elapsed(), &closing, &output.dead_letters);
        // Standard error may be closed; the documents are what counts.
        let _ = write!(io::stderr(), "{line}");
    }
    match closing {
        Closing::Broken(error) => Err(Failure::Failed(error)),
        Closing::Interrupted => Ok(Ending::Interrupted),
        Closing::Complete if totals.dead.is_empty() => Ok(Ending::Done),
        Closing::Complete => Ok(Ending::DeadLetters),
    }
}

/// Lists the inputs, and says what a user should know of that list.
fn inputs(args: &NormalizeArgs) -> Result<Expansion, Failure> {
    let stdin = [PathBuf::from("-")];
    let paths = if args.paths.is_empty() { &stdin[..] } else { &args.paths };
    let found = expand(paths).map_err(Failure::usage)?;
    if args.quiet {
        return Ok(found);
    }
    let mut notes = Vec::new();
    if found.inputs.is_empty() {
        notes.push("nothing to read: no data file in the directories given".to_owned());
    }
    if let Some(first) = found.skipped.first() {
        let (count, first) = (found.skipped.len(), first.display());
        notes.push(format!(
            "passed over as no data, by name: {count} in all, such as {first}; name one to read it"
        ));
    }
    if found.inputs.iter().any(|input| input.path().is_none()) && io::stdin().is_terminal() {
        notes.push("reading activities from the terminal; end with Ctrl-D".to_owned());
    }
    for note in notes {
        writeln!(io::stderr(), "anthropic-ecs: {note}").map_err(Failure::writing)?;
    }
    Ok(found)
}

fn threads(args: &NormalizeArgs) -> usize {
    let cores = || thread::available_parallelism().map_or(1, NonZero::get);
    args.threads.unwrap_or_else(cores).min(MOST_THREADS)
}

/// Where dead letters go unless told otherwise.
fn default_dead_letters(output: Option<&Path>) -> PathBuf {
    // Beside a device such as /dev/null nobody would look for them, or be allowed to make them.
    let beside = output.filter(|path| path.metadata().is_ok_and(|data| data.is_file()) || !path.exists());
    beside.and_then(Path::parent).unwrap_or(Path::new("")).join("dead-letters.ndjson")
}

/// A refusal to write where that would destroy what is to be read.
fn refuse(path: &Path, role: &str, input: &str) -> Failure {
    let path = path.display();
    Failure::Usage(anyhow!("{path}: this {role} is also read ({input}); name another file for the {role}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_letters_lie_beside_the_output() {
        let of = |output: Option<&str>| default_dead_letters(output.map(Path::new));
        assert_eq!(of(None), Path::new("dead-letters.ndjson"));
        assert_eq!(of(Some("out.ndjson")), Path::new("dead-letters.ndjson"));
        assert_eq!(of(Some("/nowhere/out.ndjson")), Path::new("/nowhere/dead-letters.ndjson"));
        assert_eq!(of(Some("/dev/null")), Path::new("dead-letters.ndjson"));
    }
}
