//! The sink as the pipeline uses it.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use model::fault::FaultKind;
use model::settings::{ByteSize, Period};

use super::*;
use crate::document::DocumentsBuilder;

fn documents(ids: std::ops::Range<usize>) -> Arc<crate::Documents> {
    let mut builder = DocumentsBuilder::default();
    for id in ids {
        let id = format!("activity_{id:04}");
        let document = format!("{{\"@timestamp\":\"t\",\"event\":{{\"kind\":\"event\",\"id\":\"{id}\"}}}}");
        builder.lines.extend_from_slice(document.as_bytes());
        builder.push(&id, "a", None);
    }
    Arc::new(builder.finish())
}

fn request(parts: &[(&Arc<crate::Documents>, Vec<u32>)]) -> Request {
    let mut request = Request::default();
    parts.iter().for_each(|(documents, which)| request.add(documents, which.clone()));
    request
}

fn everything(documents: &Arc<crate::Documents>) -> Request {
    request(&[(documents, (0..documents.len() as u32).collect())])
}

fn open(config: &NdjsonConfig) -> NdjsonSink {
    NdjsonSink::open(config.clone().validate().unwrap()).unwrap()
}

/// The ids in all files of a sink, in order.
fn ids(folder: &Path) -> Vec<usize> {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| !path.file_name().unwrap().to_str().unwrap().starts_with('.'));
    // `out-…` sorts before `out.ndjson`, the newest.
    files.sort();
    let lines: String = files.iter().map(|file| read(file)).collect();
    let id = |line: &str| {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        value["event"]["id"].as_str().unwrap()["activity_".len()..].parse().unwrap()
    };
    lines.lines().map(id).collect()
}

fn read(file: &Path) -> String {
    use std::io::Read;
    let stored = fs::read(file).unwrap();
    let mut text = String::new();
    match stored.first() {
        Some(0x1f) => flate2::read::MultiGzDecoder::new(&stored[..]).read_to_string(&mut text).unwrap(),
        Some(b'{') | None => return String::from_utf8(stored).unwrap(),
        Some(_) => zstd::stream::Decoder::new(&stored[..]).unwrap().read_to_string(&mut text).unwrap(),
    };
    text
}

#[tokio::test]
async fn a_request_is_written_in_order_and_only_what_it_names() {
    let root = tempfile::tempdir().unwrap();
    let sink = open(&NdjsonConfig::new(root.path().join("out.ndjson")));
    let (first, second) = (documents(0..10), documents(10..20));
    let request = request(&[(&first, vec![1, 3, 9]), (&second, (0..10).collect())]);
    let outcomes = sink.write(&request).await.unwrap();
    assert_eq!(outcomes, vec![Outcome::Delivered; 13]);
    assert_eq!(sink.most_in_flight(), 1);
    sink.close().await.unwrap();
    sink.close().await.unwrap();
    let expected: Vec<usize> = [1, 3, 9].into_iter().chain(10..20).collect();
    assert_eq!(ids(root.path()), expected);
    assert_eq!(sink.write(&request).await.unwrap_err().kind, FaultKind::Unusable);
}

#[tokio::test]
async fn a_crash_anywhere_and_a_replay_of_everything_give_every_document_once() {
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        for rotate_bytes in [None, Some(ByteSize(500))] {
            let root = tempfile::tempdir().unwrap();
            let path = root.path().join("out.ndjson");
            let config = NdjsonConfig { compression, rotate_bytes, ..NdjsonConfig::new(&path) };
            let sink = open(&config);
            for start in 0..4 {
                sink.write(&everything(&documents(start * 3..start * 3 + 3))).await.unwrap();
            }
            sink.close().await.unwrap();
            let stored = fs::read(&path).unwrap();
            for cut in (0..=stored.len()).step_by(3) {
                let again = tempfile::tempdir().unwrap();
                for entry in fs::read_dir(root.path()).unwrap() {
                    let from = entry.unwrap().path();
                    fs::copy(&from, again.path().join(from.file_name().unwrap())).unwrap();
                }
                let path = again.path().join("out.ndjson");
                fs::write(&path, &stored[..cut]).unwrap();
                let sink = open(&NdjsonConfig { path, ..config.clone() });
                let before = ids(again.path()).len();
                let outcomes = sink.write(&everything(&documents(0..15))).await.unwrap();
                let old = outcomes.iter().filter(|outcome| **outcome == Outcome::Duplicate).count();
                assert_eq!(old, before, "{compression:?} {cut}");
                assert_eq!(outcomes.len(), 15);
                sink.close().await.unwrap();
                assert_eq!(ids(again.path()), (0..15).collect::<Vec<_>>(), "{compression:?} {cut}");
            }
        }
    }
}

#[tokio::test]
async fn ids_are_forgotten_when_nobody_can_give_them_again() {
    let root = tempfile::tempdir().unwrap();
    let config = NdjsonConfig::new(root.path().join("out.ndjson"));
    let sink = open(&config);
    sink.write(&everything(&documents(0..3))).await.unwrap();
    sink.close().await.unwrap();
    let sink = NdjsonSink::remembering(config.validate().unwrap(), 400).unwrap();
    assert_eq!(sink.write(&everything(&documents(0..1))).await.unwrap(), [Outcome::Duplicate]);
    sink.write(&everything(&documents(3..20))).await.unwrap();
    assert!(sink.recent.lock().unwrap().ids.is_empty());
    assert_eq!(sink.write(&everything(&documents(0..1))).await.unwrap(), [Outcome::Delivered]);
}

#[tokio::test]
async fn age_rotates_a_file_that_gets_nothing_more() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("out.ndjson");
    let rotate_interval = Some(Period(std::time::Duration::from_millis(20)));
    let sink = open(&NdjsonConfig { rotate_interval, ..NdjsonConfig::new(&path) });
    sink.write(&everything(&documents(0..3))).await.unwrap();
    while path.exists() {
        tokio::task::yield_now().await;
    }
    sink.close().await.unwrap();
    assert_eq!(ids(root.path()), [0, 1, 2]);
}

#[tokio::test]
async fn a_full_device_is_told_and_tried_again() {
    let sink = open(&NdjsonConfig::new("/dev/full"));
    for _ in 0..2 {
        assert_eq!(sink.write(&everything(&documents(0..3))).await.unwrap_err().kind, FaultKind::Storage);
    }
    sink.close().await.unwrap();
}

#[tokio::test]
async fn one_sink_a_file_until_it_is_closed() {
    let root = tempfile::tempdir().unwrap();
    let config = NdjsonConfig::new(root.path().join("out.ndjson"));
    let sink = open(&config);
    let settings = || config.clone().validate().unwrap();
    assert_eq!(NdjsonSink::open(settings()).unwrap_err().kind, FaultKind::Taken);
    sink.close().await.unwrap();
    NdjsonSink::open(settings()).unwrap();
}
