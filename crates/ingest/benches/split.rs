//! How fast records are told apart: `cargo bench -p anthropic-ecs-ingest [-- FILE…]`.
//!
//! Medians of several runs over 256 MiB in memory (copied into the block as a read would), and the floor beside them:
//! the copy alone. A file given on the command line is read instead, from the page cache.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use anthropic_ecs_ingest::file::{Block, Options, Records, Splitter, expand};
use std::io::Read;
use std::time::Instant;

const BYTES: usize = 256 << 20;

/// About 590 bytes, with the strings, escapes and nesting of an activity.
fn activity(number: usize) -> String {
    format!(
        concat!(
            r#"{{"id":"activity_01{:020}","created_at":"2025-06-01T12:34:56.789012Z","type":"claude_file_uploaded","#,
            r#""organization_id":"org_01AbCdEfGhIjKlMnOpQrStUv","organization_uuid":"f47ac10b-58cc-4372-a567-0e02b2c3d479","#,
            r#""actor":{{"type":"user_actor","user_id":"user_01XyZAbCdEfGhIjKlMnOpQrS","email_address":"someone@example.com","#,
            r#""ip_address":"192.0.2.{}","user_agent":"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 "#,
            r#"(KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"}},"claude_file_id":"file_01AbCdEf","#,
            r#""filename":"Q3 \"final\" report.pdf","client_platform":"web_claude_ai"}}"#
        ),
        number,
        number % 250
    )
}

fn join(begin: &str, between: &str, end: &str) -> Vec<u8> {
    let mut text = begin.as_bytes().to_vec();
    let mut number = 0;
    while text.len() < BYTES {
        text.extend_from_slice(if number > 0 { between.as_bytes() } else { b"" });
        text.extend_from_slice(activity(number).as_bytes());
        number += 1;
    }
    text.extend_from_slice(end.as_bytes());
    text
}

fn pages() -> Vec<u8> {
    let mut text = Vec::new();
    while text.len() < BYTES {
        let list: Vec<String> = (0..1000).map(activity).collect();
        text.extend_from_slice(format!("{{\"data\":[{}],\"has_more\":true}}\n", list.join(",")).as_bytes());
    }
    text
}

fn median(name: &str, bytes: usize, mut run: impl FnMut() -> usize) {
    let mut times = Vec::new();
    let mut found = 0;
    for _ in 0..7 {
        let start = Instant::now();
        found = run();
        times.push(start.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    let time = times[times.len() / 2];
    println!(
        "{name:<28} {:>7.2} GB/s {:>7.1} ns a record",
        bytes as f64 / time / 1e9,
        time * 1e9 / found.max(1) as f64
    );
}

fn split(text: &[u8]) -> usize {
    let mut splitter = Splitter::new(text, "memory", 0, Options::default());
    let (mut block, mut found) = (Block::new(), 0);
    while splitter.next_block(&mut block).unwrap() {
        found += block.spans().len();
    }
    found
}

fn main() {
    let files: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    if !files.is_empty() {
        let found = expand(&files).unwrap();
        return median("files", found.total_bytes().unwrap_or(0) as usize, || {
            let mut records = Records::new(found.inputs.clone(), Options::default());
            let (mut block, mut count) = (Block::new(), 0);
            while records.next_block(&mut block).unwrap() {
                count += block.spans().len();
            }
            count
        });
    }
    let lines = join("", "\n", "\n");
    let mut buffer = vec![0; 256 * 1024];
    median("copy alone", lines.len(), || {
        let mut reader = &lines[..];
        while reader.read(std::hint::black_box(&mut buffer)).unwrap() > 0 {}
        lines.len() / activity(0).len()
    });
    median("lines", lines.len(), || split(&lines));
    drop(lines);
    let short = "{}\n".repeat(16 << 20).into_bytes();
    median("lines of two bytes", short.len(), || split(&short));
    drop(short);
    let array = join("[", ",", "]");
    median("array, compact", array.len(), || split(&array));
    drop(array);
    let pages = pages();
    median("pages of 1000, compact", pages.len(), || split(&pages));
}
