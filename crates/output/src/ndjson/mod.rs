//! NDJSON files: one document a line, in the order in which they came.
//!
//! Owns the configuration of the `ndjson` sink and what "delivered" means for it. Must not know how a file is kept whole;
//! that is `append`.
//!
//! The subtle thing: a file knows no ids, so it cannot refuse a document that it has already. After a crash a source gives
//! again what it had not committed, and these documents would stand in the file twice. So at the start the ids of the last
//! [`REMEMBERED_BYTES`] are read back, and documents with these ids are duplicates. A source that commits more often than
//! that (all of ours do) is thus written exactly once.

mod config;

use std::collections::HashSet;
use std::sync::Mutex;

use bytes::Bytes;
use model::fault::Fault;
use serde::Deserialize;

use crate::append::{Appender, Writer};
use crate::document::Request;
use crate::sink::{Outcome, Sink};

pub use config::{Compression, Fsync, NdjsonConfig, NdjsonSettings};

/// How much of what is written is looked at for ids at the start: several times what a source may give again (the file source
/// commits to the disk every 32 MiB of records), and not so much that the start is slow or the ids take much memory.
pub const REMEMBERED_BYTES: u64 = 256 << 20;

/// Writes documents to a file, or to standard output.
#[derive(Debug)]
pub struct NdjsonSink {
    writer: Writer,
    recent: Mutex<Recent>,
}

/// Ids that are in the file already.
#[derive(Debug)]
struct Recent {
    ids: HashSet<Box<str>>,
    /// After this many new bytes nobody can be giving anything again.
    left: u64,
}

#[derive(Deserialize)]
struct Line<'l> {
    #[serde(borrow)]
    event: Event<'l>,
}

#[derive(Deserialize)]
struct Event<'l> {
    #[serde(borrow)]
    id: std::borrow::Cow<'l, str>,
}

impl NdjsonSink {
    /// Takes the lock, repairs what a crash left behind, and reads back the last ids. Waits for the disk.
    ///
    /// # Errors
    ///
    /// Another process has the file, it cannot be opened, or it is there and no file of ours.
    pub fn open(settings: NdjsonSettings) -> Result<Self, Fault> {
        Self::remembering(settings, REMEMBERED_BYTES)
    }

    fn remembering(settings: NdjsonSettings, window: u64) -> Result<Self, Fault> {
        let appender = Appender::open(settings.into_plan())?;
        let mut ids = HashSet::new();
        appender.last_lines(window, &mut |line| {
            if let Ok(Line { event }) = serde_json::from_slice(line) {
                ids.insert(event.id.into());
            }
        })?;
        let recent = Mutex::new(Recent { ids, left: window });
        Ok(Self { writer: Writer::start(appender)?, recent })
    }

    /// What is to be written of a request, and what becomes of each document if that succeeds.
    fn sort(&self, request: &Request) -> (Vec<Bytes>, Vec<Outcome>) {
        let Ok(mut recent) = self.recent.lock() else { return (whole(request), delivered(request)) };
        if recent.ids.is_empty() {
            return (whole(request), delivered(request));
        }
        let (mut lines, mut outcomes) = (Vec::new(), Vec::with_capacity(request.len()));
        for document in request.documents() {
            if recent.ids.contains(document.id) {
                outcomes.push(Outcome::Duplicate);
            } else {
                lines.extend_from_slice(document.line);
                outcomes.push(Outcome::Delivered);
            }
        }
        recent.left = recent.left.saturating_sub(lines.len() as u64);
        if recent.left == 0 {
            recent.ids = HashSet::new();
        }
        (vec![lines.into()], outcomes)
    }
}

/// All documents of a request, copied only where a part leaves some out.
fn whole(request: &Request) -> Vec<Bytes> {
    let part = |(documents, which): &(std::sync::Arc<crate::Documents>, Vec<u32>)| {
        if which.len() == documents.len() && which.is_sorted() {
            return documents.lines().clone();
        }
        let lines = which.iter().filter_map(|at| documents.get(*at as usize)).map(|document| document.line);
        Bytes::from(lines.collect::<Vec<_>>().concat())
    };
    request.parts().iter().map(part).collect()
}

fn delivered(request: &Request) -> Vec<Outcome> {
    vec![Outcome::Delivered; request.len()]
}

impl Sink for NdjsonSink {
    async fn write(&self, request: &Request) -> Result<Vec<Outcome>, Fault> {
        let (lines, outcomes) = self.sort(request);
        self.writer.append(lines).await?;
        Ok(outcomes)
    }

    /// One: the order of the lines is the order of the calls.
    fn most_in_flight(&self) -> usize {
        1
    }

    async fn close(&self) -> Result<(), Fault> {
        self.writer.close().await
    }
}

#[cfg(test)]
mod tests;
