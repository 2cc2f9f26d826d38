//! What a document costs, as a multiple of the floor: simd-json parsing the same lines and nothing else.
//!
//! All marks run over the same realistic feed, in turn, many times over, so that a ratio holds even
//! where the machine's speed drifts; the medians of the rounds are printed as a table.
//!
//! `cargo bench -p anthropic-ecs-mapper --bench map` (add `-- --quick` for a smoke run).

#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

mod serde_value;

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mapper::enrich::GeoDatabases;
use mapper::{Action, Documents, Mapper, MapperOptions, Mapping, Privacy, PrivacyOptions};
use model::catalog::Catalog;
use model::settings::Secret;
use model::tables::{Class, Tables};
use simd_json::{Buffers, INPUT_PADDING, Tape};
use simulator::Feed;

fn main() {
    let quick = std::env::args().any(|arg| arg == "--quick" || arg == "--test");
    let (records, rounds) = if quick { (20_000, 3) } else { (400_000, 7) };
    let lines: Vec<String> = Feed::new(&Catalog::builtin(), 7).take(records).collect();
    let bytes: usize = lines.iter().map(String::len).sum();
    println!("{records} records, {} bytes on average, {rounds} rounds", bytes / records);

    let enriched = GeoDatabases::open(&geoip()).unwrap();
    let hashed = private(Action::Hash);
    let truncated = private(Action::Truncate);
    let plain = mapping(GeoDatabases::default());
    let enriched = mapping(enriched);
    let value_program = serde_value::Program::new(&Tables::builtin(), GeoDatabases::open(&geoip()).unwrap());
    let mut marks: Vec<Mark<'_>> = vec![
        ("floor: simd-json tape", Box::new(|| floor(&lines))),
        ("floor, input copied by simd-json", Box::new(|| copying_floor(&lines))),
        ("map, no geography", Box::new(|| map(&plain, &lines, true))),
        ("map, geography and user agent, caches cold", Box::new(|| map(&enriched, &lines, true))),
        ("the same by the general path alone", Box::new(|| map(&enriched, &lines, false))),
        ("the same, all that is personal hashed", Box::new(|| map(&hashed, &lines, true))),
        ("the same, all that is personal truncated", Box::new(|| map(&truncated, &lines, true))),
        ("serde_json::Value program", Box::new(|| serde_value(&value_program, &lines))),
    ];
    if let Some(only) = std::env::args().skip(1).find(|arg| !arg.starts_with("--")) {
        marks.retain(|(name, _)| name.contains(&only));
    }
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
        let rate = bytes as f64 / records as f64 / median;
        println!("{name:<44} {median:>7.0} ns/record {:>6.2} floors {rate:>6.2} GB/s", median / medians[0]);
    }
}

/// A name and what is timed.
type Mark<'a> = (&'a str, Box<dyn FnMut() + 'a>);

fn geoip() -> Vec<std::path::PathBuf> {
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/");
    ["test-city.mmdb", "test-asn.mmdb", "test-anonymous-ip.mmdb"]
        .map(|file| format!("{data}{file}").into())
        .into()
}

fn mapping(geo: GeoDatabases) -> Arc<Mapping> {
    Arc::new(Mapping::new(Tables::builtin(), geo, MapperOptions::default()))
}

/// With everything that is personal treated in one way.
fn private(action: Action) -> Arc<Mapping> {
    let options = PrivacyOptions {
        classes: Class::ALL.map(|class| (class, action)).into(),
        key: Some(Secret::new("a key for measuring")),
        ..PrivacyOptions::default()
    };
    let privacy = Privacy::new(&options, &Tables::builtin()).unwrap().map(Arc::new);
    let options = MapperOptions { privacy, ..MapperOptions::default() };
    Arc::new(Mapping::new(Tables::builtin(), GeoDatabases::open(&geoip()).unwrap(), options))
}

/// The least anybody can pay for reading JSON into a tape: no copy but the one in-place unescaping needs.
fn floor(lines: &[String]) {
    let mut buffers = Buffers::default();
    let mut tape = Tape::null();
    let mut input = vec![0; 1 << 16];
    for line in lines {
        let padded = line.len() + INPUT_PADDING;
        input[..line.len()].copy_from_slice(line.as_bytes());
        let mut lent = std::mem::replace(&mut tape, Tape(Vec::new())).reset();
        simd_json::fill_tape_padded(&mut input[..padded], line.len(), &mut buffers, &mut lent).unwrap();
        tape = black_box(lent).reset();
    }
}

/// The same through the entry point that pads by copying once more.
fn copying_floor(lines: &[String]) {
    let mut buffers = Buffers::default();
    let mut tape = Tape::null();
    let mut input = Vec::new();
    for line in lines {
        input.clear();
        input.extend_from_slice(line.as_bytes());
        let mut lent = std::mem::replace(&mut tape, Tape(Vec::new())).reset();
        simd_json::fill_tape(&mut input, &mut buffers, &mut lent).unwrap();
        tape = black_box(lent).reset();
    }
}

/// One mapper over the whole feed; a new one each round, so that its caches start cold.
fn map(mapping: &Arc<Mapping>, lines: &[String], plans: bool) {
    let mut mapper = Mapper::new(Arc::clone(mapping));
    mapper.use_plans(plans);
    let mut out = Documents::with_capacity(BLOCK);
    let mut written = 0;
    for line in lines {
        mapper.append(line.as_bytes(), &mut out).unwrap();
        if out.len() > BLOCK - (1 << 14) {
            written += out.len();
            black_box(&mut out).clear();
        }
    }
    assert!(written + out.len() > lines.len() * 500);
}

fn serde_value(program: &serde_value::Program, lines: &[String]) {
    let mut out = Vec::new();
    for line in lines {
        out.clear();
        program.map(line, &mut out);
        black_box(&mut out);
    }
}

/// Documents are handed on in blocks of about this many bytes, as `normalize` does.
const BLOCK: usize = 128 << 10;
