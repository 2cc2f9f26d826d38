//! The Elasticsearch sink against a fake server with faults on demand, and against real ones where they are.
//!
//! What is shown is what the fake has in the end: every document once, whatever happened on the way.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test may panic"
)]

mod faults;
mod items;
mod live;
mod probing;
mod tls;
mod wire;

#[path = "../support/fake_elasticsearch.rs"]
mod fake_elasticsearch;

use std::sync::Arc;

use fake_elasticsearch::FakeElasticsearch;
use model::fault::{Fault, FaultKind};
use output::elasticsearch::{Elasticsearch, ElasticsearchConfig};
use output::{Documents, DocumentsBuilder, Outcome, Rejection, Request, Sink};
use serde_json::{Value, json};

/// The sink of a configuration given as JSON; `url` and what else a test has to say.
fn open(config: Value) -> Result<Elasticsearch, Fault> {
    let config: ElasticsearchConfig = serde_json::from_value(config).unwrap();
    Elasticsearch::open(&config.validate()?)
}

fn sink(fake: &FakeElasticsearch) -> Elasticsearch {
    open(json!({"url": fake.url()})).unwrap()
}

/// Documents that say which they are.
fn documents<'i>(ids: impl IntoIterator<Item = &'i str>) -> Arc<Documents> {
    let mut builder = DocumentsBuilder::default();
    for id in ids {
        let document = json!({"@timestamp": "2026-01-02T03:04:05.678901Z", "event": {"id": id}});
        builder.lines.extend_from_slice(document.to_string().as_bytes());
        builder.push(id, "test", None);
    }
    Arc::new(builder.finish())
}

fn all(documents: &Arc<Documents>) -> Request {
    let mut request = Request::default();
    request.add(documents, (0..documents.len() as u32).collect());
    request
}

/// What a patient caller saw.
#[derive(Debug, Default)]
struct Log {
    /// Whole requests that failed.
    faults: Vec<Fault>,
    /// Documents that were to be tried again.
    retries: Vec<Fault>,
    duplicates: usize,
    rejected: Vec<(String, Rejection)>,
}

/// Does what the pipeline does, without waiting: again what is to be tried again, in halves what is too large, until
/// every document has ended.
async fn deliver(sink: &Elasticsearch, documents: &Arc<Documents>) -> Log {
    let mut log = Log::default();
    let mut open: Vec<Vec<u32>> = vec![(0..documents.len() as u32).collect()];
    for _ in 0..200 {
        let Some(which) = open.pop() else { return log };
        let mut request = Request::default();
        request.add(documents, which.clone());
        match sink.write(&request).await {
            Ok(outcomes) => {
                assert_eq!(outcomes.len(), which.len());
                let mut again = Vec::new();
                for (at, outcome) in which.iter().zip(outcomes) {
                    match outcome {
                        Outcome::Delivered => {}
                        Outcome::Duplicate => log.duplicates += 1,
                        Outcome::Retry(fault) => {
                            log.retries.push(fault);
                            again.push(*at);
                        }
                        Outcome::Rejected(rejection) => {
                            let id = documents.get(*at as usize).unwrap().id.to_owned();
                            log.rejected.push((id, rejection));
                        }
                    }
                }
                if !again.is_empty() {
                    open.push(again);
                }
            }
            Err(fault) => {
                if fault.kind == FaultKind::TooLarge {
                    let (left, right) = which.split_at(which.len() / 2);
                    if left.is_empty() {
                        let id = documents.get(right[0] as usize).unwrap().id.to_owned();
                        log.rejected
                            .push((id, Rejection { reason: "too large".into(), detail: String::new() }));
                    } else {
                        open.extend([left.to_vec(), right.to_vec()]);
                    }
                } else {
                    open.push(which);
                }
                log.faults.push(fault);
            }
        }
    }
    panic!("documents are still open: {log:?}");
}

/// Numbered ids, as they are sorted.
fn ids(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("activity_{number:05}")).collect()
}

fn numbered(count: usize) -> Arc<Documents> {
    documents(ids(count).iter().map(String::as_str))
}
