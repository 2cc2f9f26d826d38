//! What delivery costs: from files and topics to files, topics and clusters, as a multiple of the bare mapper on the same
//! records, and of what each place takes when it is fed finished documents at its best.
//!
//! All marks of a group run over the same realistic feed, in turn, several times over, so that a ratio holds even where the
//! machine's speed drifts; the medians are printed. The mark to hold the run loop to is `file -> null` with a single mapper
//! thread: what it takes beyond the mapper alone is the loop's own cost, as far as a second core does not hide it. A ratio
//! of one to what was fed says that the stage is not what the other side waits for.
//!
//! On a machine that does other things too, the CPU time is the number to look at: that of all threads of this process, making
//! ready included, and without the servers'.
//!
//! `cargo bench-delivery` (add `--quick` for a smoke run). Servers are part of it where `KAFKA_BROKERS`, `ELASTICSEARCH_URL`
//! and `OPENSEARCH_URL` name them; on one machine they take from the stage what they need themselves.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    reason = "a bench prints, and may panic"
)]

#[path = "../../../../tests/live_server.rs"]
#[allow(dead_code, clippy::print_stderr, reason = "the tests use the rest, and say which servers they found")]
mod live_server;
mod servers;
mod stage;

use std::fs::File;
use std::hint::black_box;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ingest::checkpoint::Checkpoint;
use ingest::file::{FileConfig, FileSource};
use mapper::enrich::GeoDatabases;
use mapper::{Documents, Mapper, MapperOptions, Mapping};
use model::catalog::Catalog;
use model::tables::Tables;
use output::ndjson::{NdjsonConfig, NdjsonSink};
use pipeline::Packing;
use simulator::Feed;

use stage::{Nowhere, feed, prepare, runtime};

fn main() {
    let quick = std::env::args().any(|arg| arg == "--quick" || arg == "--test");
    let (records, rounds) = if quick { (20_000, 3) } else { (400_000, 7) };
    let lines: Vec<String> = Feed::new(&Catalog::builtin(), 7).take(records).collect();
    let bytes: usize = lines.iter().map(String::len).sum();
    println!("{records} records, {} bytes on average, {rounds} rounds", bytes / records);
    let mapping =
        Arc::new(Mapping::new(Tables::builtin(), GeoDatabases::default(), MapperOptions::default()));
    files(&mapping, &lines, rounds);
    let (records, rounds) = if quick { (5_000, 1) } else { (100_000, 3) };
    let some = lines.get(..records).unwrap_or_default();
    servers::kafka(&mapping, some, rounds);
}

/// Something that is timed.
struct Mark<'a> {
    name: String,
    /// The mark that feeds the same place with finished documents.
    fed: Option<usize>,
    /// Does it once, and says how long that took, without what had to be made ready.
    run: Box<dyn FnMut() -> Duration + 'a>,
}

impl<'a> Mark<'a> {
    fn new(name: impl Into<String>, fed: Option<usize>, run: impl FnMut() -> Duration + 'a) -> Self {
        Self { name: name.into(), fed, run: Box::new(run) }
    }
}

/// Times marks in turn, and prints their medians. The first is the mapper alone.
fn compare(marks: &mut [Mark<'_>], records: usize, rounds: usize) {
    let mut times: Vec<Vec<Duration>> = vec![Vec::new(); marks.len()];
    let mut busy = vec![Duration::ZERO; marks.len()];
    for _ in 0..rounds {
        for ((mark, times), busy) in marks.iter_mut().zip(&mut times).zip(&mut busy) {
            let before = cpu_time();
            times.push((mark.run)());
            *busy += cpu_time().saturating_sub(before);
        }
    }
    let median = |times: &mut Vec<Duration>| {
        times.sort_unstable();
        times[times.len() / 2].as_secs_f64() / records as f64 * 1e9
    };
    let medians: Vec<f64> = times.iter_mut().map(median).collect();
    let mapper = busy[0].as_secs_f64().max(1e-3);
    for ((mark, median), busy) in marks.iter().zip(&medians).zip(&busy) {
        let fed = mark.fed.map(|at| format!(", {:.2} of fed", median / medians[at])).unwrap_or_default();
        let (name, rate) = (&mark.name, 1e9 / median);
        let cpu = busy.as_secs_f64() / (records * rounds) as f64 * 1e9;
        let of_mapper = busy.as_secs_f64() / mapper;
        println!(
            "{name:<42} {median:>7.0} ns/record {rate:>9.0}/s {:>6.2} of the mapper{fed}; CPU {cpu:.0} ns, {of_mapper:.2} of the mapper",
            median / medians[0]
        );
    }
}

/// What all threads of this process have used so far, where the kernel tells; in hundredths of a second.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

fn timed(run: impl FnOnce()) -> Duration {
    let start = Instant::now();
    run();
    start.elapsed()
}

/// The mapper alone, on one thread.
fn bare<'a>(mapping: &'a Arc<Mapping>, lines: &'a [String]) -> Mark<'a> {
    const ENOUGH: usize = 240 << 10;
    Mark::new("the mapper alone, one thread", None, move || {
        timed(|| {
            let mut mapper = Mapper::new(Arc::clone(mapping));
            let mut out = Documents::with_capacity(ENOUGH + (16 << 10));
            for line in lines {
                mapper.append(line.as_bytes(), &mut out).unwrap();
                if out.len() > ENOUGH {
                    black_box(&mut out).clear();
                }
            }
        })
    })
}

/// As the `ndjson` sink of the program is set up.
const TO_FILE: Packing =
    Packing { bytes: 1 << 20, documents: usize::MAX, linger: Duration::from_millis(200) };

fn files(mapping: &Arc<Mapping>, lines: &[String], rounds: usize) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("records.ndjson");
    let mut file = BufWriter::new(File::create(&path).unwrap());
    for line in lines {
        writeln!(file, "{line}").unwrap();
    }
    file.into_inner().unwrap();
    let (path, records) = (path.as_path(), lines.len());
    let requests = prepare(mapping, lines, TO_FILE);
    let through = |threads: usize, to_file: bool| {
        // A position and an output of its own each time, so that all is new.
        let work = tempfile::tempdir().unwrap();
        let source = source(path, work.path());
        if to_file {
            stage::files(mapping, source, ndjson(work.path()), TO_FILE, records, threads)
        } else {
            stage::files(mapping, source, Nowhere, TO_FILE, records, threads)
        }
    };
    let fed = || {
        let work = tempfile::tempdir().unwrap();
        let runtime = runtime();
        feed(&runtime, ndjson(work.path()), &requests)
    };
    let mut marks = vec![
        bare(mapping, lines),
        Mark::new("file -> null, one mapper thread", None, || through(1, false)),
        Mark::new("file -> null, two mapper threads", None, || through(2, false)),
        Mark::new("finished documents -> NDJSON", None, fed),
        Mark::new("file -> NDJSON, one mapper thread", Some(3), || through(1, true)),
        Mark::new("file -> NDJSON, two mapper threads", Some(3), || through(2, true)),
    ];
    compare(&mut marks, records, rounds);
}

fn source(path: &Path, work: &Path) -> FileSource {
    let settings = FileConfig::new([path]).validate().unwrap();
    FileSource::open(&settings, Some(Checkpoint::open(&work.join("state"), "files").unwrap())).unwrap()
}

fn ndjson(work: &Path) -> NdjsonSink {
    NdjsonSink::open(NdjsonConfig::new(work.join("out.ndjson")).validate().unwrap()).unwrap()
}
