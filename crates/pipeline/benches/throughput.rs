//! What the run loop costs: file to nowhere through all of it, as a multiple of the bare mapper on the same records.
//!
//! All marks run over the same realistic feed, in turn, several times over, so that a ratio holds even where the machine's
//! speed drifts; the medians are printed. The mark to hold the loop to is the one with a single mapper thread: what it takes
//! beyond the mapper alone is the loop's own cost, as far as a second core does not hide it.
//!
//! `cargo bench -p anthropic-ecs-pipeline --bench throughput` (add `-- --quick` for a smoke run).

#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

use std::fs::File;
use std::hint::black_box;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ingest::file::{Block, Options as SplitOptions, Records, expand};
use ingest::{Batch, Lane, Origin, RawRecord, Source};
use mapper::enrich::GeoDatabases;
use mapper::{Mapper, MapperOptions, Mapping};
use model::catalog::Catalog;
use model::fault::{Fault, FaultKind};
use model::tables::Tables;
use output::{Outcome, Request, Sink};
use pipeline::{Backoff, DeadLetters, DecodeOptions, Letter, Options, Packing, Stage, Status, run, stop};
use simulator::Feed;

fn main() {
    let quick = std::env::args().any(|arg| arg == "--quick" || arg == "--test");
    let (records, rounds) = if quick { (20_000, 3) } else { (400_000, 7) };
    let lines: Vec<String> = Feed::new(&Catalog::builtin(), 7).take(records).collect();
    let bytes: usize = lines.iter().map(String::len).sum();
    println!("{records} records, {} bytes on average, {rounds} rounds", bytes / records);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("records.ndjson");
    let mut file = BufWriter::new(File::create(&path).unwrap());
    for line in &lines {
        writeln!(file, "{line}").unwrap();
    }
    file.into_inner().unwrap();

    let mapping =
        Arc::new(Mapping::new(Tables::builtin(), GeoDatabases::default(), MapperOptions::default()));
    let mut marks: Vec<Mark<'_>> = vec![
        ("the mapper alone, one thread", Box::new(|| bare(&mapping, &lines))),
        ("file -> null, one mapper thread", Box::new(|| loop_over(&mapping, &path, records, 1))),
        ("file -> null, two mapper threads", Box::new(|| loop_over(&mapping, &path, records, 2))),
    ];
    let mut times: Vec<Vec<Duration>> = vec![Vec::new(); marks.len()];
    for _ in 0..rounds {
        for ((_, mark), times) in marks.iter_mut().zip(&mut times) {
            let start = Instant::now();
            mark();
            times.push(start.elapsed());
        }
    }
    let median = |times: &mut Vec<Duration>| {
        times.sort_unstable();
        times[times.len() / 2].as_secs_f64() / records as f64 * 1e9
    };
    let medians: Vec<f64> = times.iter_mut().map(median).collect();
    for ((name, _), median) in marks.iter().zip(&medians) {
        println!("{name:<34} {median:>7.0} ns/record {:>6.2} of the mapper", median / medians[0]);
    }
}

/// A name and what is timed.
type Mark<'a> = (&'a str, Box<dyn FnMut() + 'a>);

fn bare(mapping: &Arc<Mapping>, lines: &[String]) {
    let mut mapper = Mapper::new(Arc::clone(mapping));
    let mut out = Vec::with_capacity(BLOCK);
    for line in lines {
        mapper.map(line.as_bytes(), &mut out).unwrap();
        if out.len() > BLOCK - (1 << 14) {
            black_box(&mut out).clear();
        }
    }
}

fn loop_over(mapping: &Arc<Mapping>, path: &Path, records: usize, threads: usize) {
    let options = Options {
        max_in_flight_bytes: 32 << 20,
        drain_timeout: Duration::from_secs(20),
        commit_interval: Duration::from_millis(500),
        threads,
        packing: Packing { bytes: 5 << 20, documents: 10_000, linger: Duration::from_millis(100) },
        decode: DecodeOptions::default(),
        backoff: Backoff::default(),
        seed: Some(1),
    };
    let stage = Stage {
        source: Blocks::open(path.into()),
        sink: Nowhere,
        dead_letters: Nowhere,
        mapping: Arc::clone(mapping),
    };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    let (_handle, token) = stop();
    let summary = runtime.block_on(run(stage, &options, Arc::new(Status::default()), token)).unwrap();
    assert_eq!((summary.totals.delivered, summary.left.is_nothing()), (records as u64, true));
}

/// The plainest file source: blocks of the splitter, read on a thread that may block.
struct Blocks {
    records: Option<Records>,
    path: Arc<str>,
    batch: u64,
}

impl Blocks {
    fn open(path: PathBuf) -> Self {
        let name: Arc<str> = path.to_string_lossy().into();
        let found = expand(&[path]).unwrap();
        let options = SplitOptions { block_bytes: BLOCK, ..SplitOptions::default() };
        Self { records: Some(Records::new(found.inputs, options)), path: name, batch: 0 }
    }
}

impl Source for Blocks {
    async fn next(&mut self) -> Result<Option<Batch>, Fault> {
        let broken = |why: String| Fault::new(FaultKind::Unusable, why, "");
        let records = self.records.as_mut().ok_or_else(|| broken("no reader".into()))?;
        let mut block = Block::new();
        let more = records.next_block(&mut block).map_err(|error| broken(error.to_string()))?;
        if !more {
            return Ok(None);
        }
        let end = block.spans().iter().map(|span| span.end).max().unwrap_or_default();
        let whole = ingest::file::Span { start: 0, end, offset: 0, kind: ingest::file::Kind::Record };
        let bytes = Bytes::copy_from_slice(block.bytes(&whole));
        let one = |span: &ingest::file::Span| RawRecord {
            bytes: bytes.slice(span.start as usize..span.end as usize),
            kind: span.kind,
            origin: Origin::File { path: Arc::clone(&self.path), offset: span.offset },
        };
        let records = block.spans().iter().map(one).collect();
        let mark = ingest::Mark { lane: Lane(0), batch: self.batch };
        self.batch += 1;
        Ok(Some(Batch { mark, records }))
    }

    async fn commit(&mut self, _: &[ingest::Mark]) -> Result<(), Fault> {
        Ok(())
    }

    async fn close(self) {}
}

/// Takes everything and keeps nothing.
struct Nowhere;

impl Sink for Nowhere {
    async fn write(&self, request: &Request) -> Result<Vec<Outcome>, Fault> {
        Ok(vec![Outcome::Delivered; black_box(request).len()])
    }

    fn most_in_flight(&self) -> usize {
        2
    }

    async fn close(&self) -> Result<(), Fault> {
        Ok(())
    }
}

impl DeadLetters for Nowhere {
    async fn write(&self, letters: Vec<Letter>) -> Result<(), Fault> {
        Err(Fault::new(FaultKind::Unusable, format!("{} dead letters in a clean feed", letters.len()), ""))
    }
}

/// Bytes of a batch of records.
const BLOCK: usize = 256 << 10;
