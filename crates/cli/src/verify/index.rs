//! The data stream of an Elasticsearch or OpenSearch sink, asked for what `verify` wants to know: how many documents there
//! are of a stretch of time, and which.
//!
//! Owns the questions. Must not judge.
//!
//! The subtle thing: `event.created` is a date there, which knows milliseconds, and the bounds of a window know microseconds.
//! So every stretch is asked for twice, once rounded outwards and once inwards; where the two differ, the documents
//! themselves have to be looked at.

use anyhow::anyhow;
use ingest::api::Micros;
use output::elasticsearch::{Call, Elasticsearch, ElasticsearchConfig};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::run::failure;

/// How many stretches are counted by one request.
const AT_ONCE: usize = 400;

/// How many documents come with one answer.
const PAGE: usize = 5_000;

/// How many documents there are of a stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Count {
    /// Those that are in it for certain.
    pub(super) inside: u64,
    /// These, and those that share a millisecond with one of its bounds.
    pub(super) around: u64,
}

/// A data stream.
pub(super) struct Index {
    cluster: Elasticsearch,
}

#[derive(Deserialize)]
struct Found {
    hits: Hits,
}

#[derive(Deserialize)]
struct Hits {
    hits: Vec<Hit>,
}

#[derive(Deserialize)]
struct Hit {
    #[serde(rename = "_source")]
    source: super::Written,
    sort: Vec<Value>,
}

impl Index {
    /// Gets ready. No server is reached yet.
    pub(super) fn open(sink: &ElasticsearchConfig) -> Result<Self, Failure> {
        let settings = sink.validate().map_err(|fault| failure(&fault))?;
        Ok(Self { cluster: Elasticsearch::open(&settings).map_err(|fault| failure(&fault))? })
    }

    /// What it is called.
    pub(super) fn name(&self) -> &str {
        self.cluster.stream()
    }

    /// Lets what was written last be found. Not every key may ask for that, and then it is found a moment later by itself.
    pub(super) async fn refresh(&self) {
        let path = format!("{}/_refresh", self.name());
        // With a body, even an empty object, it is refused.
        let _ = self.cluster.client().send(Call::get(&path)).await;
    }

    /// Counts the documents of each stretch: at or after the first time, before the second.
    pub(super) async fn count(&self, stretches: &[(Micros, Micros)]) -> Result<Vec<Count>, Failure> {
        let mut counts = Vec::with_capacity(stretches.len());
        for some in stretches.chunks(AT_ONCE) {
            let outer = self.ranges(some.iter().map(|(from, to)| (floor(*from), ceiling(*to)))).await?;
            let inner = self.ranges(some.iter().map(|(from, to)| (ceiling(*from), floor(*to)))).await?;
            counts.extend(outer.into_iter().zip(inner).map(|(around, inside)| Count { inside, around }));
        }
        Ok(counts)
    }

    /// Counts by one request. A stretch that rounding has turned round has nothing in it.
    async fn ranges(&self, ranges: impl Iterator<Item = (i64, i64)>) -> Result<Vec<u64>, Failure> {
        let ranges: Vec<(i64, i64)> = ranges.map(|(from, to)| (from, to.max(from))).collect();
        let earliest = ranges.iter().map(|range| range.0).min().unwrap_or_default();
        let latest = ranges.iter().map(|range| range.1).max().unwrap_or_default();
        let named: Vec<Value> = (0_usize..)
            .zip(&ranges)
            .map(|(key, (from, to))| {
                json!({"key": key.to_string(), "from": from.to_string(), "to": to.to_string()})
            })
            .collect();
        let answer = self
            .search(&json!({
                "size": 0,
                "track_total_hits": false,
                "query": between(earliest, latest),
                "aggs": {"windows": {"date_range": {
                    "field": "event.created", "format": "epoch_millis", "keyed": true, "ranges": named,
                }}},
            }))
            .await?;
        let answer: Value = serde_json::from_slice(&answer).map_err(Failure::failed)?;
        let buckets = answer.pointer("/aggregations/windows/buckets");
        (0..ranges.len())
            .map(|key| {
                let count =
                    buckets.and_then(|buckets| buckets.get(key.to_string())?.get("doc_count")?.as_u64());
                count.ok_or_else(|| {
                    Failure::failed(anyhow!("{}: the answer to a count has no numbers in it", self.name()))
                })
            })
            .collect()
    }

    /// The documents of a stretch: when each was made, and its id. An index that makes its documents anew from what it has
    /// indexed (synthetic source) knows only milliseconds; those that share one with the stretch's beginning are among them
    /// then, as if they were made at it.
    pub(super) async fn rows(&self, from: Micros, to: Micros) -> Result<Vec<(Micros, String)>, Failure> {
        let mut rows = Vec::new();
        let mut after: Option<Vec<Value>> = None;
        loop {
            let mut question = json!({
                "size": PAGE,
                "track_total_hits": false,
                "_source": ["event.id", "event.created"],
                "sort": [{"event.created": "asc"}, {"event.id": "asc"}],
                "query": between(floor(from), ceiling(to)),
            });
            if let (Some(after), Some(question)) = (after.take(), question.as_object_mut()) {
                question.insert("search_after".into(), after.into());
            }
            let answer = self.search(&question).await?;
            let found: Found = serde_json::from_slice(&answer).map_err(Failure::failed)?;
            let full = found.hits.hits.len() >= PAGE;
            for hit in found.hits.hits {
                after = Some(hit.sort);
                let Some((created, id)) = hit.source.row() else { continue };
                if created < to && (created >= from || created.0 == floor(from) * 1_000) {
                    rows.push((created.max(from), id));
                }
            }
            if !full {
                return Ok(rows);
            }
        }
    }

    async fn search(&self, question: &Value) -> Result<Vec<u8>, Failure> {
        // Half an answer would make windows short that are whole.
        let path = format!("{}/_search?allow_partial_search_results=false", self.name());
        let call = Call::post(&path, question.to_string());
        let answer = self.cluster.client().send(call).await.map_err(|fault| failure(&fault))?;
        if answer.status == 200 {
            return Ok(answer.body.to_vec());
        }
        let said: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let reason = said.pointer("/error/reason").and_then(Value::as_str).unwrap_or("no reason in JSON");
        let advice = match answer.status {
            401 => "see the credentials of [sink]",
            403 => "give the key or user the index privilege `read` on it",
            404 => "nothing was delivered to it, or [sink] names another namespace",
            _ => "see the server's log",
        };
        Err(Failure::failed(anyhow!(
            "{} answered {} to a search of {}: {reason}; {advice}",
            answer.host,
            answer.status,
            self.name()
        )))
    }
}

fn between(from: i64, to: i64) -> Value {
    json!({"range": {"event.created": {"gte": from, "lt": to, "format": "epoch_millis"}}})
}

/// In milliseconds, rounded down.
fn floor(time: Micros) -> i64 {
    time.0.div_euclid(1_000)
}

/// In milliseconds, rounded up.
fn ceiling(time: Micros) -> i64 {
    time.0.div_euclid(1_000) + i64::from(time.0.rem_euclid(1_000) > 0)
}
