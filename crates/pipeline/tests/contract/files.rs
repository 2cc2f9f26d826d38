//! The file source over several files, and NDJSON files.

use std::fs;
use std::io::Write;

use flate2::Compression as Level;
use flate2::write::GzEncoder;
use ingest::Source;
use ingest::checkpoint::Checkpoint;
use ingest::file::{FileConfig, FileSource};
use output::ndjson::{Compression, Fsync, NdjsonConfig, NdjsonSink};
use serde_json::Value;
use tempfile::TempDir;

use crate::contract::{SinkBench, SourceBench};
use crate::unique;

pub(crate) struct Files {
    root: TempDir,
    records: Vec<Vec<u8>>,
}

/// A folder with a file of lines that is longer than a batch, a compressed one, one without a last line end, and a page.
pub(crate) async fn source() -> Option<Files> {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("in");
    fs::create_dir(&folder).unwrap();
    let record = |file: &str, number: usize| {
        format!("{{\"id\":\"{file}{number}\",\"type\":\"t\",\"pad\":\"{}\"}}", "x".repeat(number % 700))
    };
    let records = |file: &str, count| (0..count).map(|number| record(file, number)).collect::<Vec<_>>();
    let files = [records("a", 4_000), records("b", 300), records("c", 2), records("d", 30)];
    fs::write(folder.join("a.ndjson"), files[0].join("\n") + "\n").unwrap();
    let mut gzip = GzEncoder::new(fs::File::create(folder.join("b.ndjson.gz")).unwrap(), Level::fast());
    gzip.write_all((files[1].join("\n") + "\n").as_bytes()).unwrap();
    gzip.finish().unwrap();
    fs::write(folder.join("c.ndjson"), files[2].join("\n")).unwrap();
    fs::write(folder.join("d.json"), format!("{{\"data\":[{}],\"has_more\":false}}", files[3].join(",")))
        .unwrap();
    Some(Files { root, records: files.concat().into_iter().map(String::into_bytes).collect() })
}

impl SourceBench for Files {
    type Source = FileSource;

    async fn open(&self) -> FileSource {
        let settings = FileConfig::new([self.root.path().join("in")]).validate().unwrap();
        let checkpoint = Checkpoint::open(&self.root.path().join("state"), "files").unwrap();
        FileSource::open(&settings, Some(checkpoint)).unwrap()
    }

    fn records(&self) -> Vec<Vec<Vec<u8>>> {
        vec![self.records.clone()]
    }
}

pub(crate) struct Ndjson {
    root: TempDir,
    compression: Compression,
    fsync: Fsync,
}

pub(crate) async fn sink(compression: Compression, fsync: Fsync) -> Option<Ndjson> {
    Some(Ndjson { root: tempfile::tempdir().unwrap(), compression, fsync })
}

impl SinkBench for Ndjson {
    type Sink = NdjsonSink;

    async fn open(&self) -> NdjsonSink {
        let config = NdjsonConfig {
            compression: self.compression,
            fsync: self.fsync,
            ..NdjsonConfig::new(self.root.path().join("out"))
        };
        NdjsonSink::open(config.validate().unwrap()).unwrap()
    }

    async fn stored(&self, prefix: &str) -> Vec<String> {
        // The copy is what a crash would leave.
        let copy = self.root.path().join("copy");
        fs::copy(self.root.path().join("out"), &copy).unwrap();
        let settings = FileConfig::new([copy]).validate().unwrap();
        let mut source = FileSource::open(&settings, None).unwrap();
        let mut found = Vec::new();
        while let Some(batch) = source.next().await.unwrap() {
            for record in batch.records {
                assert_eq!(record.kind, ingest::file::Kind::Record);
                let line: Value = serde_json::from_slice(&record.bytes).unwrap();
                found.push(line["event"]["id"].as_str().unwrap().to_owned());
            }
        }
        found.retain(|id| id.starts_with(prefix));
        found
    }

    /// Only what was there when it was opened.
    fn stores_once(&self) -> bool {
        false
    }

    fn tells_duplicates(&self) -> bool {
        true
    }

    fn unique(&self) -> String {
        unique("file")
    }

    /// A file takes everything.
    fn refused(&self, _: &str) -> Option<String> {
        None
    }
}
