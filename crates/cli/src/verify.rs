//! `verify`: delivered documents against the attestations of the API source.
//!
//! Owns the comparison. Reads NDJSON of any kind the program writes: documents, raw records, dead letters; a record in the
//! dead letters has ended too.
//!
//! The subtle thing: an attestation is of what the feed held when it was read. Rows that came later are in the output too, and
//! in an attestation of their own; so more is no fault, less is, and equal is proven by the hash.
//!
//! The ids of everything delivered are held in memory: about 100 MB for a million.

use std::io::{self, Write};

use anyhow::anyhow;
use ingest::api::{Attestation, Micros, read_attestations};
use ingest::dead_letter;
use ingest::file::{Block, Options, Records, expand};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::args::VerifyArgs;
use crate::failure::{Ending, Failure};
use crate::run::failure;

/// Lines that are shown one by one.
const MOST_SHOWN: usize = 20;

/// Runs the mode.
pub(crate) fn run(args: &VerifyArgs) -> Result<Ending, Failure> {
    let lines = read_attestations(&args.attestations).map_err(|fault| failure(&fault))?;
    let delivered = Delivered::read(args)?;
    let mut out = io::stdout();
    let (mut exact, mut more, mut short) = (0, 0, 0);
    for line in lines.iter().filter(|line| is_comparable(line)) {
        match delivered.judge(line) {
            Verdict::Exact => exact += 1,
            Verdict::More => more += 1,
            Verdict::Short(missing) => {
                short += 1;
                if short <= MOST_SHOWN {
                    writeln!(out, "SHORT  attestation {}: {} to {}: {} records were read, {missing} of them are not there", line.sequence, line.from, line.to, line.records)
                        .map_err(Failure::writing)?;
                }
            }
        }
    }
    let new: u64 = lines.iter().map(|line| line.new).sum();
    let gaps: u64 = lines.iter().filter(|line| line.kind != "gap").map(|line| line.gaps).sum();
    let closed = lines.iter().filter(|line| line.kind == "gap").count();
    writeln!(out, "{} attestations: {exact} exact, {more} with more than was read then, {short} short; {new} records given, {} ids delivered", lines.len(), delivered.rows.len())
        .map_err(Failure::writing)?;
    if gaps > closed as u64 {
        writeln!(out, "{gaps} gaps were left, {closed} of them closed since").map_err(Failure::writing)?;
    }
    if short > 0 {
        return Err(Failure::failed(anyhow!(
            "{short} windows are not whole; name all files that were written, dead letters too"
        )));
    }
    Ok(Ending::Done)
}

/// Whether the output can be counted by the line's bounds alone.
fn is_comparable(line: &Attestation) -> bool {
    let whole = matches!(line.kind.as_str(), "window" | "history" | "gap")
        || !line.query.contains("activity_types[]");
    whole && line.kind != "unrecorded" && line.gaps == 0
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Exact,
    More,
    Short(u64),
}

/// What was delivered, in the feed's order.
struct Delivered {
    rows: Vec<(Micros, String)>,
}

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

impl Delivered {
    fn read(args: &VerifyArgs) -> Result<Self, Failure> {
        let found = expand(&args.paths).map_err(Failure::usage)?;
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

    fn judge(&self, line: &Attestation) -> Verdict {
        let from = self.rows.partition_point(|(created, _)| *created < line.from);
        let to = self.rows.partition_point(|(created, _)| *created < line.to);
        let rows = self.rows.get(from..to).unwrap_or_default();
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
        if digits == line.ids_sha256 { Verdict::Exact } else { Verdict::More }
    }
}

/// When a record was made, and its id.
fn row(bytes: &[u8]) -> Option<(Micros, String)> {
    let unwrapped = dead_letter::unwrap(bytes);
    let bytes = unwrapped.as_ref().map_or(bytes, |(raw, _)| raw.as_slice());
    let written: Written = serde_json::from_slice(bytes).ok()?;
    let (id, created) = match written.event {
        Some(event) => (event.id?, event.created?),
        None => (written.id?, written.created_at?),
    };
    Some((Micros::parse(&created)?, id))
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
        assert_eq!(delivered.judge(&line(&["a", "b", "c", "x"])), Verdict::Short(1));
    }
}
