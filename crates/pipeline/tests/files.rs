//! What the file source and the file outputs promise together: dead letters come back byte for byte, and a file copied
//! through crashes has every record once.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use ingest::checkpoint::Checkpoint;
use ingest::file::{FileConfig, FileSource, Kind, Reason};
use ingest::{Batch, Source};
use output::dead_letters::{DeadLetter, DeadLetters, DeadLettersConfig, Place, Stage};
use output::ndjson::{Compression, NdjsonConfig, NdjsonSink};
use output::{Documents, DocumentsBuilder, Outcome, Request, Sink};
use proptest::prelude::*;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn letter<'a>(raw: &'a [u8], length: u64, detail: &'a str) -> DeadLetter<'a> {
    let source = Place::Kafka { topic: detail, partition: 1, offset: 2, item: 3 };
    let (reason, stage, attempts) = ("a_reason", Stage::Deliver, 4);
    DeadLetter {
        reason,
        detail,
        stage,
        source,
        attempts,
        time: Some(chrono::DateTime::UNIX_EPOCH),
        length,
        raw,
    }
}

async fn read_back(path: &Path) -> Vec<(Vec<u8>, Kind)> {
    let settings = FileConfig::new([path]).validate().unwrap();
    let mut source = FileSource::open(&settings, None).unwrap();
    let mut found = Vec::new();
    while let Some(batch) = source.next().await.unwrap() {
        found.extend(batch.records.into_iter().map(|record| (record.bytes.to_vec(), record.kind)));
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn dead_letters_come_back_byte_for_byte(
        raws in proptest::collection::vec(
            prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..200),
                "\\PC{0,80}".prop_map(String::into_bytes),
                "\\{[\\x00-\\x7f]{0,80}".prop_map(String::into_bytes),
            ],
            1..8,
        ),
        detail in "\\PC{0,20}",
    ) {
        runtime().block_on(async {
            let root = tempfile::tempdir().unwrap();
            let path = root.path().join("dead.ndjson");
            let letters = DeadLetters::open(&DeadLettersConfig { path: path.clone(), rotate_bytes: None }).unwrap();
            let all: Vec<_> = raws.iter().map(|raw| letter(raw, raw.len() as u64, &detail)).collect();
            letters.write(&all).await.unwrap();
            letters.close().await.unwrap();
            let found = read_back(&path).await;
            let bytes: Vec<&Vec<u8>> = found.iter().map(|(bytes, _)| bytes).collect();
            assert_eq!(bytes, raws.iter().collect::<Vec<_>>());
            for (bytes, kind) in &found {
                assert_eq!(*kind == Kind::Record, bytes.trim_ascii_start().starts_with(b"{"));
            }
        });
    }
}

#[test]
fn a_letter_in_a_letter_is_unwrapped_once_and_a_head_stays_dead() {
    runtime().block_on(async {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("dead.ndjson");
        let letters =
            DeadLetters::open(&DeadLettersConfig { path: path.clone(), rotate_bytes: None }).unwrap();
        let mut inner = Vec::new();
        letter(b"{}", 2, "inner").line(&mut inner);
        let long = vec![b'x'; 4000];
        let all = [
            letter(&inner, inner.len() as u64, "outer"),
            letter(&long, 9000, "head"),
            letter(b"", 0, "empty"),
        ];
        letters.write(&all).await.unwrap();
        letters.close().await.unwrap();
        let expected = [
            (inner, Kind::Record),
            (long, Kind::TooLarge { length: 9000 }),
            (Vec::new(), Kind::Malformed(Reason::Truncated)),
        ];
        assert_eq!(read_back(&path).await, expected);
    });
}

/// Copies a batch's records as documents of the same bytes, all in one request.
fn request(batch: &Batch) -> Request {
    let mut builder = DocumentsBuilder::default();
    for record in &batch.records {
        let value: serde_json::Value = serde_json::from_slice(&record.bytes).unwrap();
        builder.lines.extend_from_slice(&record.bytes);
        builder.push(value["event"]["id"].as_str().unwrap(), "", None);
    }
    let documents: Arc<Documents> = Arc::new(builder.finish());
    let mut request = Request::default();
    request.add(&documents, (0..documents.len() as u32).collect());
    request
}

/// One life of a stage: `steps` batches, of which the last ones may be written and not committed; then a crash, of which
/// nothing remains but what is on the disk. True when there was no more.
async fn life(root: &Path, compression: Compression, steps: usize, committed: usize) -> bool {
    let checkpoint = Checkpoint::open(&root.join("state"), "file").unwrap();
    let settings = FileConfig::new([root.join("in.ndjson")]).validate().unwrap();
    let mut source = FileSource::open(&settings, Some(checkpoint)).unwrap();
    let config = NdjsonConfig { compression, ..NdjsonConfig::new(root.join("out.ndjson")) };
    let sink = NdjsonSink::open(config.validate().unwrap()).unwrap();
    let mut ended = false;
    for step in 0..steps {
        let Some(batch) = source.next().await.unwrap() else {
            ended = true;
            break;
        };
        let outcomes = sink.write(&request(&batch)).await.unwrap();
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Delivered | Outcome::Duplicate)));
        if step < committed {
            source.commit(&[batch.mark]).await.unwrap();
        }
    }
    if committed.is_multiple_of(2) {
        source.close().await;
    } else {
        // What was committed and not saved is forgotten.
        drop(source);
    }
    sink.close().await.unwrap();
    ended
}

#[test]
fn a_file_copied_through_crashes_has_every_record_once_and_in_order() {
    let lines: Vec<String> = (0..12_000)
        .map(|n| {
            format!("{{\"event\":{{\"id\":\"activity_{n}\",\"original\":\"{}\"}}}}", "x".repeat(n % 211))
        })
        .collect();
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("in.ndjson"), lines.join("\n")).unwrap();
        runtime().block_on(async {
            let mut lives = 0;
            while !life(root.path(), compression, 2 + lives, 1 + lives % 3).await {
                lives += 1;
                let mut output =
                    OpenOptions::new().append(true).open(root.path().join("out.ndjson")).unwrap();
                if compression == Compression::None {
                    // The write that the crash broke off.
                    output.write_all(b"{\"event\":{\"id\":\"activ").unwrap();
                } else {
                    output.write_all(&[0; 100]).unwrap();
                }
            }
            assert!(lives > 2, "{lives}");
        });
        let stored = fs::read(root.path().join("out.ndjson")).unwrap();
        let mut copy = root.path().join("out.ndjson");
        if compression != Compression::None {
            copy = root.path().join("copy");
            fs::write(&copy, stored).unwrap();
        }
        let found = runtime().block_on(read_back(&copy));
        assert_eq!(found.len(), lines.len(), "{compression:?}");
        assert!(
            found.iter().zip(&lines).all(|((bytes, _), line)| bytes == line.as_bytes()),
            "{compression:?}"
        );
    }
}
