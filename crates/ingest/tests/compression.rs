//! Compressed inputs: every way to put them together, and every way to break them.
#![allow(clippy::unwrap_used, clippy::panic)]

use anthropic_ecs_ingest::file::{Block, Input, Kind, Options, ReadError, Records};
use flate2::{Compression, GzBuilder, write::GzEncoder};
use std::io::Write;

/// Lines that do not compress too well, so that a stream has many blocks.
fn text(lines: usize) -> Vec<u8> {
    let mut state = 1u64;
    let mut text = Vec::new();
    for line in 0..lines {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(line as u64);
        writeln!(text, "{{\"id\":{line},\"x\":\"{state:016x}{:016x}\"}}", state.rotate_left(17)).unwrap();
    }
    text
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn zstd(text: &[u8], checksum: bool) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.include_checksum(checksum).unwrap();
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

/// The records of `stored` put together again, what could not be told apart, and how it ended.
fn read(stored: &[u8]) -> (Vec<u8>, usize, Result<(), ReadError>) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), stored).unwrap();
    let mut records = Records::new(vec![Input::file(file.path())], Options::default());
    let (mut block, mut text, mut malformed) = (Block::new(), Vec::new(), 0);
    loop {
        match records.next_block(&mut block) {
            Err(error) => {
                assert!(error.to_string().starts_with(&*file.path().to_string_lossy()), "{error}");
                return (text, malformed, Err(error));
            }
            Ok(false) => {
                assert_eq!(records.progress().bytes(), stored.len() as u64);
                return (text, malformed, Ok(()));
            }
            Ok(true) => {
                for span in block.spans() {
                    if span.kind == Kind::Record {
                        text.extend_from_slice(block.bytes(span));
                        text.push(b'\n');
                    } else {
                        malformed += 1;
                    }
                }
            }
        }
    }
}

#[track_caller]
fn whole(stored: &[u8], expected: &[u8]) {
    let (text, malformed, end) = read(stored);
    end.unwrap();
    assert!(text == expected && malformed == 0, "{} of {} bytes", text.len(), expected.len());
}

#[test]
fn gzip_in_every_form() {
    let text = text(20_000);
    let (first, second) = text.split_at(500_000);
    whole(&gzip(&text), &text);
    let members = [gzip(first), gzip(b""), gzip(second)].concat();
    whole(&members, &text);
    whole(&[&members[..], &[0; 100_000]].concat(), &text);
    whole(&[&gzip(first)[..], &[0; 512], &gzip(second)[..]].concat(), &text);
    whole(&gzip(b""), b"");
    let mut named = GzBuilder::new()
        .filename("x.ndjson")
        .comment("y")
        .extra(vec![7; 300])
        .write(Vec::new(), Compression::best());
    named.write_all(&text).unwrap();
    whole(&named.finish().unwrap(), &text);
    whole(&gzip(b"\xef\xbb\xbf{}\n"), b"{}\n");
}

#[test]
fn zstd_in_every_form() {
    let text = text(20_000);
    let (first, second) = text.split_at(500_000);
    whole(&zstd(&text, true), &text);
    let skippable = |nibble: u8| [&[0x50 | nibble, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"xyz"].concat();
    let frames =
        [skippable(0), zstd(first, false), skippable(15), zstd(b"", true), zstd(second, true), skippable(5)];
    whole(&frames.concat(), &text);
    whole(&zstd(b"", false), b"");
    // With the content size in the header, as the command line tool writes it.
    whole(&zstd::bulk::compress(&text, 3).unwrap(), &text);
}

/// Checks that `stored`, broken at `at`, gives a beginning of `text` and then an error about the place.
#[track_caller]
fn breaks(stored: &[u8], at: usize, text: &[u8], format: &str) -> usize {
    let (found, malformed, end) = read(stored);
    let Err(ReadError::Damaged { format: found_format, at: found_at, offset, .. }) = end else {
        panic!("no damage found at {at}: {end:?}");
    };
    assert_eq!(found_format, format);
    assert!(found_at <= stored.len() as u64);
    assert!(text.starts_with(&found), "records that were never written");
    let cut = offset as usize - found.len();
    assert!(cut < 80 && malformed == usize::from(cut > 0), "{cut} bytes of content in no record");
    found.len()
}

#[test]
fn a_cut_stream_gives_all_that_was_there() {
    let text = text(20_000);
    for (stored, format) in [(gzip(&text), "gzip"), (zstd(&text, true), "zstd"), (zstd(&text, false), "zstd")]
    {
        for at in [7, 100, 5_000, 300_000, stored.len() / 2, stored.len() - 5, stored.len() - 1] {
            let found = breaks(&stored[..at], at, &text, format);
            // A zstd block is decoded whole or not at all: 128 KiB.
            let due = (at as f64 / stored.len() as f64 * text.len() as f64) as usize;
            assert!(found + 200_000 > due, "{format} at {at}: {found} of {due}");
        }
    }
}

#[test]
fn a_corrupt_stream_gives_all_before_the_damage() {
    let text = text(20_000);
    let mut stored = zstd(&text, true);
    // A raw-sized block type that does not exist, at the header of a block half way.
    let mut at = 6;
    let mut blocks = 0;
    while at < stored.len() / 2 {
        at += 3 + (u32::from_le_bytes([stored[at], stored[at + 1], stored[at + 2], 0]) >> 3) as usize;
        blocks += 1;
    }
    stored[at] |= 0b110;
    let found = breaks(&stored, at, &text, "zstd");
    assert!(found > blocks * 128 * 1024 - 100, "{found} after {blocks} blocks");

    // Members are damaged after their end, in the middle, and in the checksum.
    let half = text.len() / 2 / 56 * 56;
    let good = gzip(&text[..half]);
    let garbage = [&good[..], b"what is this"].concat();
    assert!(breaks(&garbage, good.len(), &text, "gzip") + 100 > half);
    let mut flipped = good.clone();
    let check = flipped.len() - 8;
    flipped[check] ^= 1;
    assert!(breaks(&flipped, check, &text, "gzip") + 100 > half);
    // A stored deflate block after the good one, whose length check is wrong.
    let mut encoder = GzEncoder::new(Vec::new(), Compression::none());
    encoder.write_all(&text).unwrap();
    let mut stored = encoder.finish().unwrap();
    let mut at = 10;
    let mut content = 0;
    while content < text.len() / 2 {
        let length = u16::from_le_bytes([stored[at + 1], stored[at + 2]]) as usize;
        content += length;
        at += 5 + length;
    }
    stored[at + 3] ^= 0xff;
    assert!(breaks(&stored, at, &text, "gzip") + 100 > content);
}

#[test]
fn after_a_damaged_input_comes_the_next() {
    let directory = tempfile::tempdir().unwrap();
    let paths = ["a", "b", "c"].map(|name| directory.path().join(name));
    std::fs::write(&paths[0], &gzip(b"{}\n{}\n")[..20]).unwrap();
    std::fs::write(&paths[2], b"[{}]").unwrap();
    let inputs = paths.iter().map(Input::file).collect();
    let mut records = Records::new(inputs, Options::default());
    let mut block = Block::new();
    let mut ends = Vec::new();
    for _ in 0..20 {
        match records.next_block(&mut block) {
            Ok(true) => {
                ends.extend(block.spans().iter().map(|span| format!("{} {:?}", block.input(), span.kind)))
            }
            Ok(false) => break,
            Err(ReadError::Damaged { .. }) => ends.push("damaged".into()),
            Err(ReadError::Open { .. }) => ends.push("absent".into()),
            Err(other) => panic!("{other}"),
        }
    }
    let ends: Vec<_> = ends.iter().map(String::as_str).filter(|end| !end.starts_with("0 ")).collect();
    assert_eq!(ends, ["damaged", "absent", "2 Record"]);
}
