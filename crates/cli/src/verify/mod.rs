//! `verify`: what was delivered against the attestations of the API source.
//!
//! Owns the comparison. Reads NDJSON of any kind the program writes: documents, raw records, dead letters; a record in the
//! dead letters has ended too. With a configuration whose sink is Elasticsearch, the data stream is counted window by window
//! (`index`), and its documents are looked at where a count is not what it should be.
//!
//! The subtle thing: an attestation is of what the feed held when it was read. Rows that came later are in the output too, and
//! in an attestation of their own; so more is no fault, less is, and equal is proven by the hash.
//!
//! The ids of everything in files are held in memory: about 100 MB for a million. Those of a data stream are for one window at
//! a time.

mod index;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use ingest::api::{Attestation, Micros, read_attestations};
use ingest::dead_letter;
use ingest::file::{Block, Options, Records, expand};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::args::VerifyArgs;
use crate::config::{Config, DeadLettersConfig, Sink};
use crate::failure::{Ending, Failure};
use crate::run::failure;
use crate::terminal::shown;

use index::{Count, Index};

/// Lines that are shown one by one.
const MOST_SHOWN: usize = 20;

/// Where attestations are unless told otherwise.
const ATTESTATIONS: &str = "state/attestations.ndjson";

/// Runs the mode.
pub(crate) fn run(args: &VerifyArgs) -> Result<Ending, Failure> {
    let config = args.config.as_deref().map(Config::read).transpose()?;
    let path = match (&args.attestations, &config) {
        (Some(path), _) => path.clone(),
        (None, Some(config)) => config.state.path.join("attestations.ndjson"),
        (None, None) => ATTESTATIONS.into(),
    };
    let lines = read_attestations(&path).map_err(|fault| failure(&fault))?;
    let mut tally = Tally::default();
    let found = match &config {
        None => {
            let delivered = Delivered::read(&args.paths)?;
            for line in lines.iter().filter(|line| is_comparable(line)) {
                tally.add(line, delivered.judge(line))?;
            }
            format!("{} ids delivered", delivered.rows.len())
        }
        Some(config) => {
            let Sink::Elasticsearch(sink) = &config.sink else {
                return Err(Failure::usage(anyhow!(
                    "[sink] is not of type `elasticsearch`; leave --config out, and name the files that were written"
                )));
            };
            // What is in the dead letters is not in the index, and has ended all the same.
            let letters = Delivered::read(&letters(args, config))?;
            let index = Index::open(sink)?;
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(Failure::failed)?;
            runtime.block_on(compare(&index, &letters, &lines, args.ids, &mut tally))?;
            format!("counted in {}, with {} dead letters beside it", index.name(), letters.rows.len())
        }
    };
    tally.close(&lines, &found)
}

/// The files with dead letters: those that are named, and the one of the configuration if it is there.
fn letters(args: &VerifyArgs, config: &Config) -> Vec<PathBuf> {
    let own = match &config.dead_letters {
        DeadLettersConfig::File(file) => Some(file.path.clone()),
        DeadLettersConfig::Kafka(_) => None,
    };
    args.paths.iter().cloned().chain(own.filter(|path| Path::exists(path))).collect()
}

/// Counts every window in a data stream, and looks at the documents of those whose count is not what was read.
async fn compare(
    index: &Index,
    letters: &Delivered,
    lines: &[Attestation],
    ids: bool,
    tally: &mut Tally,
) -> Result<(), Failure> {
    index.refresh().await;
    let lines: Vec<&Attestation> = lines.iter().filter(|line| is_comparable(line)).collect();
    let stretches: Vec<(Micros, Micros)> = lines.iter().map(|line| (line.from, line.to)).collect();
    let counts = index.count(&stretches).await?;
    for (line, Count { inside, around }) in lines.into_iter().zip(counts) {
        let dead = letters.between(line);
        let wanted = line.records.saturating_sub(dead.len() as u64);
        if !ids && inside == wanted && around == wanted {
            tally.add(line, Verdict::Equal)?;
            continue;
        }
        let mut rows = index.rows(line.from, line.to).await?;
        rows.extend_from_slice(dead);
        let delivered = Delivered::new(rows);
        let verdict = match delivered.judge(line) {
            // The order of rows that share a millisecond may not be that of the feed.
            Verdict::Other if delivered.is_rounded() => Verdict::Equal,
            verdict => verdict,
        };
        tally.add(line, verdict)?;
    }
    Ok(())
}

/// What came of all lines.
#[derive(Debug, Default)]
struct Tally {
    exact: usize,
    equal: usize,
    more: usize,
    short: usize,
    missing: u64,
}

impl Tally {
    fn add(&mut self, line: &Attestation, verdict: Verdict) -> Result<(), Failure> {
        match verdict {
            Verdict::Exact => self.exact += 1,
            Verdict::Equal => self.equal += 1,
            Verdict::More => self.more += 1,
            Verdict::Short(missing) => self.short(line, missing, "of them are not there")?,
            Verdict::Other => self.short(line, 1, "or more of them are not there, though others are")?,
        }
        Ok(())
    }

    fn short(&mut self, line: &Attestation, missing: u64, words: &str) -> Result<(), Failure> {
        self.short += 1;
        self.missing += missing;
        if self.short > MOST_SHOWN {
            return Ok(());
        }
        let Attestation { sequence, from, to, records, .. } = line;
        let words = format!("{from} to {to}: {records} records were read, {missing} {words}");
        writeln!(io::stdout(), "SHORT  attestation {sequence}: {words}").map_err(Failure::writing)
    }

    /// The last lines, and how it ends.
    fn close(&self, lines: &[Attestation], found: &str) -> Result<Ending, Failure> {
        let Self { exact, equal, more, short, missing } = self;
        let mut out = io::stdout();
        if *short > MOST_SHOWN {
            writeln!(out, "SHORT  and {} more", short - MOST_SHOWN).map_err(Failure::writing)?;
        }
        let new: u64 = lines.iter().map(|line| line.new).sum();
        let gaps: u64 = lines.iter().filter(|line| line.kind != "gap").map(|line| line.gaps).sum();
        let closed = lines.iter().filter(|line| line.kind == "gap").count();
        let equal_count = *equal;
        let equal = if *equal > 0 { format!("{equal} with the same count, ") } else { String::new() };
        writeln!(
            out,
            "{} attestations: {exact} exact, {equal}{more} with more than was read then, {short} short; {new} records given, {}",
            lines.len(),
            shown(found)
        )
        .map_err(Failure::writing)?;
        if *short > 0 {
            return Err(Failure::failed(anyhow!(
                "{short} windows are not whole, {missing} records are missing in them; name all files that were written, dead letters too"
            )));
        }
        if gaps > closed as u64 {
            return Err(Failure::failed(anyhow!(
                "{gaps} parts of the feed could not be read, {closed} of them have been since; the stage goes on trying, so ask again later"
            )));
        }
        if exact + equal_count + more == 0 {
            return Err(Failure::failed(anyhow!(
                "there is no attestation to hold anything against; the stage writes the first when it has read its first window"
            )));
        }
        Ok(Ending::Done)
    }
}

/// Whether the output can be counted by the line's bounds alone.
fn is_comparable(line: &Attestation) -> bool {
    let whole = matches!(line.kind.as_str(), "window" | "history" | "gap")
        || !line.query.contains("activity_types[]");
    whole && line.kind != "unrecorded" && line.gaps == 0
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// The same ids in the same order.
    Exact,
    /// As many; whether they are the same was not looked at, or cannot be said.
    Equal,
    More,
    /// As many, and others: something is missing, and something came later.
    Other,
    Short(u64),
}

/// What was delivered, in the feed's order.
struct Delivered {
    rows: Vec<(Micros, String)>,
}

/// A document, a raw record, or what an index keeps of a document.
#[derive(Deserialize)]
struct Written {
    id: Option<String>,
    created_at: Option<String>,
    event: Option<Event>,
}

#[derive(Deserialize)]
struct Event {
    id: Option<String>,
    created: Option<String>,
}

impl Written {
    /// When it was made, and its id.
    fn row(self) -> Option<(Micros, String)> {
        let (id, created) = match self.event {
            Some(event) => (event.id?, event.created?),
            None => (self.id?, self.created_at?),
        };
        Some((Micros::parse(&created)?, id))
    }
}

impl Delivered {
    fn read(paths: &[PathBuf]) -> Result<Self, Failure> {
        let found = expand(paths).map_err(Failure::usage)?;
        let mut records = Records::new(found.inputs, Options::default());
        let (mut rows, mut block) = (Vec::new(), Block::new());
        while records.next_block(&mut block).map_err(Failure::failed)? {
            rows.extend(block.spans().iter().filter_map(|span| row(block.bytes(span))));
        }
        Ok(Self::new(rows))
    }

    fn new(mut rows: Vec<(Micros, String)>) -> Self {
        rows.sort_unstable();
        rows.dedup();
        Self { rows }
    }

    /// Whether all times are of whole milliseconds, and some are the same.
    fn is_rounded(&self) -> bool {
        let tied = |pair: &[(Micros, String)]| matches!(pair, [one, other] if one.0 == other.0);
        self.rows.iter().all(|(created, _)| created.0 % 1_000 == 0) && self.rows.windows(2).any(tied)
    }

    /// The rows of a line's stretch.
    fn between(&self, line: &Attestation) -> &[(Micros, String)] {
        let from = self.rows.partition_point(|(created, _)| *created < line.from);
        let to = self.rows.partition_point(|(created, _)| *created < line.to);
        self.rows.get(from..to).unwrap_or_default()
    }

    fn judge(&self, line: &Attestation) -> Verdict {
        let rows = self.between(line);
        let (found, read) = (rows.len() as u64, line.records);
        if found < read {
            return Verdict::Short(read - found);
        }
        let mut hash = Sha256::new();
        let mut add = |(_, id): &(Micros, String)| {
            hash.update(id);
            hash.update(b"\n");
        };
        if line.query.contains("order=asc") {
            rows.iter().for_each(&mut add)
        } else {
            rows.iter().rev().for_each(&mut add)
        }
        let digits: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        match digits == line.ids_sha256 {
            true => Verdict::Exact,
            false if found == read => Verdict::Other,
            false => Verdict::More,
        }
    }
}

/// When a record was made, and its id.
fn row(bytes: &[u8]) -> Option<(Micros, String)> {
    let unwrapped = dead_letter::unwrap(bytes);
    let bytes = unwrapped.as_ref().map_or(bytes, |(raw, _)| raw.as_slice());
    serde_json::from_slice::<Written>(bytes).ok()?.row()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(ids: &[&str]) -> Attestation {
        let text: String = ids.iter().map(|id| format!("{id}\n")).collect();
        let digits: String = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
        serde_json::from_value(serde_json::json!({
            "sequence": 0, "time": "2026-01-01T02:00:00Z", "kind": "window", "query": "order=asc",
            "from": "2026-01-01T00:00:00Z", "to": "2026-01-01T01:00:00Z", "read_to": "2026-01-01T01:00:00Z",
            "pages": 1, "records": ids.len(), "new": ids.len(), "late": 0, "duplicates": 0, "without_id": 0,
            "lateness_seconds": 0, "gaps": 0, "first_cursor": null, "last_cursor": null, "request_ids": [],
            "more_requests": 0, "ids_sha256": digits,
        }))
        .unwrap()
    }

    #[test]
    fn less_than_was_read_is_found_and_more_is_no_fault() {
        let documents = [
            r#"{"event":{"id":"b","created":"2026-01-01T00:00:05Z"}}"#,
            r#"{"event":{"id":"a","created":"2026-01-01T00:00:05.000Z"}}"#,
            r#"{"id":"c","created_at":"2026-01-01T00:59:59.999999Z"}"#,
            r#"{"id":"c","created_at":"2026-01-01T00:59:59.999999Z"}"#,
            r#"{"id":"d","created_at":"2026-01-01T01:00:00Z"}"#,
            "no record",
        ];
        let delivered = Delivered::new(documents.iter().filter_map(|text| row(text.as_bytes())).collect());
        assert_eq!(delivered.judge(&line(&["a", "b", "c"])), Verdict::Exact);
        assert_eq!(delivered.judge(&line(&["a", "b"])), Verdict::More);
        assert_eq!(delivered.judge(&line(&["a", "b", "x"])), Verdict::Other);
        assert_eq!(delivered.judge(&line(&["a", "b", "c", "x"])), Verdict::Short(1));
    }
}
