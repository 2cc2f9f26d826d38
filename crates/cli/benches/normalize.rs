//! What `normalize` costs as a whole: reading, mapping with look-ups, writing, starting, memory.
//!
//! The program is run over a file of the simulator's feed with one thread and with all, in turn, several times over,
//! so that a ratio holds even where the machine's speed drifts; medians are printed. In the same rounds the
//! mapper alone maps the same records in this process, on one core: that times the cores is what the program
//! could do at best, and 85 % of it is asked for. How near the mapper alone comes to that on all cores says
//! what the machine has to do with it; so does the processor time, which does not count what others took.
//!
//! `cargo bench-normalize` (add `--quick` for a smoke run, `--keep` to keep the feed for other tools).

#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

#[path = "../tests/common/mod.rs"]
mod common;

use std::fs::{self, File};
use std::hint::black_box;
use std::io::{BufWriter, Write};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use common::{peak_of_normalize, program, repository, time_to_first_document};
use mapper::enrich::GeoDatabases;
use mapper::{Mapper, MapperOptions, Mapping};
use model::catalog::Catalog;
use model::tables::Tables;
use simulator::Feed;

/// `normalize` uses no more threads than this.
const MOST_THREADS: usize = 8;

/// The feed in a file.
struct Input {
    path: PathBuf,
    records: u64,
    bytes: u64,
}

fn main() {
    let has = |name: &str| std::env::args().any(|arg| arg == name);
    let quick = has("--quick") || has("--test");
    let (bytes, rounds, starts) = if quick { (8_000_000, 2, 5) } else { (600_000_000, 7, 20) };
    let mut directory = tempfile::tempdir().unwrap();
    directory.disable_cleanup(has("--keep"));
    let input = write_feed(directory.path().join("feed.ndjson"), bytes);
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    println!(
        "{} records, {:.0} MB, {} bytes on average, {rounds} rounds, {cores} cores, three GeoIP databases",
        input.records,
        input.bytes as f64 / 1e6,
        input.bytes / input.records
    );
    println!("{}\n", input.path.display());
    throughput(&input, rounds, cores.min(MOST_THREADS));

    let mut times: Vec<Duration> = (0..starts).map(|_| time_to_first_document()).collect();
    println!("\n{:<34} {:>8.1} ms (median of {starts})", "start to first document", median(&mut times) * 1e3);
    let mut counts = vec![1, cores.min(MOST_THREADS), MOST_THREADS];
    counts.dedup();
    for threads in counts {
        let name = format!("peak memory, {}", plural(threads));
        let threads = threads.to_string();
        let args = [vec!["--threads".to_owned(), threads], geoip()].concat();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        match peak_of_normalize(&input.path, input.records, &args) {
            Some(peak) => println!("{name:<34} {:>8.1} MiB", peak as f64 / f64::from(1 << 20)),
            None => println!("{name:<34} unknown: there is no /proc/<pid>/status here"),
        }
    }
}

/// Writes so many bytes of the feed, and reads them once, so that no run pays for the disk.
fn write_feed(path: PathBuf, bytes: u64) -> Input {
    let catalog = Catalog::builtin();
    let mut input = Input { path, records: 0, bytes: 0 };
    let mut out = BufWriter::new(File::create(&input.path).unwrap());
    for line in Feed::new(&catalog, 7) {
        writeln!(out, "{line}").unwrap();
        input.records += 1;
        input.bytes += line.len() as u64 + 1;
        if input.bytes >= bytes {
            break;
        }
    }
    out.flush().unwrap();
    black_box(fs::read(&input.path).unwrap());
    input
}

fn throughput(input: &Input, rounds: usize, all: usize) {
    let text = fs::read(&input.path).unwrap();
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    let mapping = mapping();
    let mut marks: Vec<(String, Box<dyn Fn()>)> =
        vec![("the mapper alone, 1 thread".to_owned(), Box::new(|| map(&mapping, &lines)))];
    if all > 1 {
        let name = format!("the mapper alone, {}", plural(all));
        marks.push((name, Box::new(|| map_in_threads(&mapping, &lines, all))));
    }
    for threads in if all > 1 { vec![1, all] } else { vec![1] } {
        let name = format!("normalize, {}", plural(threads));
        marks.push((name, Box::new(move || normalize(&input.path, threads))));
    }
    let mut times = vec![Vec::new(); marks.len()];
    let mut busy = vec![Vec::new(); marks.len()];
    for _ in 0..rounds {
        for (((_, mark), times), busy) in marks.iter().zip(&mut times).zip(&mut busy) {
            let (start, before) = (Instant::now(), processor_time());
            mark();
            times.push(start.elapsed());
            busy.extend(processor_time().zip(before).map(|(after, before)| after - before));
        }
    }
    println!("{:<32} {:>9} {:>12} {:>6} {:>10}", "", "ns/record", "of processor", "MB/s", "records/s");
    let (records, bytes) = (input.records as f64, input.bytes as f64);
    let (mut medians, mut busiest) = (Vec::new(), Vec::new());
    for (((name, _), times), busy) in marks.iter().zip(&mut times).zip(&mut busy) {
        let (wall, busy) = (median(times), median(busy));
        let (ns, busy) = (wall / records * 1e9, busy / records * 1e9);
        println!("{name:<32} {ns:>9.0} {busy:>12.0} {:>6.0} {:>10.0}", bytes / wall / 1e6, records / wall);
        medians.push(wall);
        busiest.push(busy);
    }
    println!();
    match medians[..] {
        [alone, together, one, many] => {
            let cores = all as f64;
            share("normalize, of the mapper alone", alone / one);
            share(&format!("{} of 1 thread", plural(all)), one / (cores * many));
            share(&format!("{} of the mapper on 1 core", plural(all)), alone / (cores * many));
            share("  what the machine allows of that", alone / (cores * together));
            share("  the same by processor time", busiest[0] / busiest[3]);
        }
        _ => share("normalize, of the mapper alone", medians[0] / medians[1]),
    }
}

/// Prints a throughput as a part of the ideal one.
fn share(name: &str, share: f64) {
    println!("{name:<34} {:>7.0} %", share * 100.0);
}

/// The processor time of this process and the ones it waited for, where the kernel tells.
fn processor_time() -> Option<Duration> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let fields = stat.rsplit_once(')')?.1.split_whitespace();
    // utime, stime, cutime and cstime, in hundredths of a second.
    let ticks: u64 = fields.skip(11).take(4).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Some(Duration::from_millis(ticks * 10))
}

/// The median, in seconds.
fn median(times: &mut [Duration]) -> f64 {
    times.sort_unstable();
    times.get(times.len() / 2).map_or(f64::NAN, Duration::as_secs_f64)
}

fn plural(threads: usize) -> String {
    format!("{threads} thread{}", if threads == 1 { "" } else { "s" })
}

/// The options that name the databases of `tests/data`.
fn geoip() -> Vec<String> {
    databases()
        .into_iter()
        .flat_map(|path| ["--geoip".to_owned(), path.to_str().unwrap().to_owned()])
        .collect()
}

fn databases() -> [PathBuf; 3] {
    ["test-city.mmdb", "test-asn.mmdb", "test-anonymous-ip.mmdb"]
        .map(|file| repository("tests/data").join(file))
}

/// The program, from start to end.
fn normalize(path: &Path, threads: usize) {
    let threads = threads.to_string();
    let geoip = geoip();
    let mut args =
        vec!["normalize", path.to_str().unwrap(), "-o", "/dev/null", "--quiet", "--threads", &threads];
    args.extend(geoip.iter().map(String::as_str));
    let status = program(&args).stdout(Stdio::null()).stderr(Stdio::inherit()).status().unwrap();
    assert!(status.success(), "{status}");
}

fn mapping() -> Arc<Mapping> {
    let geo = GeoDatabases::open(&databases()).unwrap();
    Arc::new(Mapping::new(Tables::builtin(), geo, MapperOptions::default()))
}

/// One mapper over the whole feed, with cold caches; documents are thrown away in blocks, as `normalize` hands
/// them on.
fn map(mapping: &Arc<Mapping>, lines: &[&[u8]]) {
    const BLOCK: usize = 128 << 10;
    let mut mapper = Mapper::new(Arc::clone(mapping));
    let mut out = Vec::with_capacity(2 * BLOCK);
    for line in lines {
        mapper.map(line, &mut out).unwrap();
        if out.len() > BLOCK {
            black_box(&mut out).clear();
        }
    }
}

/// The same in several threads, each with its part of the records: what the machine can do with as many at once.
fn map_in_threads(mapping: &Arc<Mapping>, lines: &[&[u8]], threads: usize) {
    thread::scope(|scope| {
        for part in lines.chunks(lines.len().div_ceil(threads)) {
            scope.spawn(|| map(mapping, part));
        }
    });
}
