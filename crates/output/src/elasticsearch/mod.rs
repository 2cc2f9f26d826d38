//! Elasticsearch and OpenSearch: documents into the data stream `logs-anthropic.audit-<namespace>`, by bulk requests that
//! only ever create.
//!
//! Owns one attempt and the reading of its answer. Must not retry, count or wait; `pipeline` does. The subtle thing: a
//! document is stored under its own id and never written over, so that a request whose answer was lost can be sent again,
//! and what was stored the first time comes back as a duplicate. In a data stream that holds within one backing index.

mod bulk;
mod client;
mod config;
mod credentials;
mod fault;
mod hosts;
mod probe;
mod response;
mod target;
mod tls;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use elasticsearch::http::Method;
use model::fault::{Fault, FaultKind};
use tokio::sync::Mutex;
use tracing::field::Empty;
use tracing::{Instrument, Span};

pub use client::{Answer, Call, Client};
pub use config::{Compression, ElasticsearchConfig, Flavour, Settings, Urls};
pub use probe::Finding;
pub use target::data_stream;

use crate::document::Request;
use crate::sink::{Outcome, Sink};
use target::Standing;

/// A cluster to write to.
#[derive(Debug)]
pub struct Elasticsearch {
    client: Client,
    stream: String,
    flavour: Flavour,
    compression: Compression,
    limits: Limits,
    in_flight: usize,
    /// How long the server is to wait for a shard to come back: less than we wait for the server, so that the answer
    /// tells which documents are affected.
    patience: Duration,
    ground: Ground,
}

/// How much is worth putting into one request, for whoever puts it together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes of documents.
    pub bytes: usize,
    /// The most documents.
    pub documents: usize,
    /// How long to wait for more.
    pub linger: Duration,
}

/// What is known of the place we write to. Faults make it unknown again: what comes back may be another cluster.
#[derive(Debug, Default)]
struct Ground {
    /// Held while looking, so that requests that start together look once.
    looking: Mutex<()>,
    known: AtomicBool,
    /// We may not look at templates.
    unclear: AtomicBool,
    /// The server does not know `require_data_stream`: OpenSearch, and Elasticsearch before 8.13.
    old: AtomicBool,
}

impl Elasticsearch {
    /// Reads the files the settings name, and gets ready. No server is reached yet.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, or does not hold what it should.
    pub fn open(settings: &Settings) -> Result<Self, Fault> {
        settings.warn();
        Ok(Self {
            client: Client::new(settings)?,
            stream: data_stream(&settings.namespace),
            flavour: settings.flavour,
            compression: settings.compression,
            limits: Limits {
                bytes: settings.max_bulk_bytes,
                documents: settings.max_bulk_documents,
                linger: settings.linger,
            },
            patience: settings.timeout / 2,
            in_flight: settings.in_flight,
            ground: Ground { old: (settings.flavour == Flavour::OpenSearch).into(), ..Ground::default() },
        })
    }

    /// How requests should be put together.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// The data stream that is written to.
    #[must_use]
    pub fn stream(&self) -> &str {
        &self.stream
    }

    /// The hosts, for other questions than writing.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Looks at the data stream unless it was seen since the last fault.
    async fn look(&self) -> Result<(), Fault> {
        let ground = &self.ground;
        if ground.known.load(Ordering::Acquire) {
            return Ok(());
        }
        let _looking = ground.looking.lock().await;
        if ground.known.load(Ordering::Acquire) {
            return Ok(());
        }
        let standing = target::inspect(&self.client, &self.stream).await?;
        let unclear = match standing {
            Standing::Ready(words) => {
                tracing::info!(stream = self.stream, "{words}");
                false
            }
            Standing::Unclear(fault) if ground.old.load(Ordering::Acquire) => {
                return Err(blind(fault, &self.stream));
            }
            Standing::Unclear(fault) => {
                tracing::warn!(
                    stream = self.stream,
                    cause = fault.cause,
                    "these credentials may not look at index templates; whether `setup` was run is not known"
                );
                true
            }
        };
        ground.unclear.store(unclear, Ordering::Release);
        ground.known.store(true, Ordering::Release);
        Ok(())
    }

    /// Sends the body. A server that does not know one of our parameters says so before it looks at the body; the request
    /// is then sent again without it, which is still one attempt.
    async fn send(&self, body: &bytes::Bytes) -> Result<Answer, Fault> {
        loop {
            let old = self.ground.old.load(Ordering::Acquire);
            let path = format!(
                "{}/_bulk?timeout={}ms&filter_path={}{}",
                self.stream,
                self.patience.as_millis(),
                response::FILTER,
                if old { "" } else { "&require_data_stream=true" },
            );
            let gzip = self.compression == Compression::Gzip;
            let call = Call { method: Method::Post, path: &path, body: Some(body.clone()), gzip };
            let answer = self.client.send(call).await?;
            if old || !is_unknown_parameter(&answer) {
                return Ok(answer);
            }
            self.ground.old.store(true, Ordering::Release);
            if self.ground.unclear.load(Ordering::Acquire) {
                let fault = Fault::new(
                    FaultKind::Forbidden,
                    format!("{} hides its index templates", answer.host),
                    "",
                );
                return Err(blind(fault, &self.stream));
            }
        }
    }

    /// The span of a bulk request.
    fn span(&self, documents: usize) -> Span {
        let system = if self.flavour == Flavour::OpenSearch { "opensearch" } else { "elasticsearch" };
        tracing::info_span!(
            "bulk",
            db.collection.name = self.stream.as_str(),
            db.operation.batch.size = i64::try_from(documents).unwrap_or(i64::MAX),
            db.operation.name = "bulk",
            db.system.name = system,
            error.type = Empty,
            http.request.method = "POST",
            http.response.status_code = Empty,
            otel.kind = "client",
            otel.status_code = Empty,
        )
    }

    async fn attempt(&self, request: &Request) -> Result<Vec<Outcome>, Fault> {
        self.look().await?;
        // Compressing some MiB takes longer than other tasks of this thread should wait.
        let (parts, compression) = (request.clone(), self.compression);
        let body = tokio::task::spawn_blocking(move || bulk::body(&parts, compression)).await;
        let body = body.map_err(std::io::Error::other).and_then(|body| body).map_err(|error| {
            Fault::new(FaultKind::Unreachable, format!("a request was not put together: {error}"), "")
        })?;
        let span = self.span(request.len());
        let answer = self.send(&body).instrument(span.clone()).await;
        let failed = match &answer {
            Ok(answer) => {
                span.record("http.response.status_code", i64::from(answer.status));
                (answer.status != 200).then(|| answer.status.to_string())
            }
            Err(fault) => Some(fault.kind.name().to_owned()),
        };
        if let Some(failed) = failed {
            span.record("error.type", failed.as_str());
            span.record("otel.status_code", "error");
        }
        drop(span);
        let answer = answer?;
        if answer.status != 200 {
            return Err(self.client.fault(&answer, &self.stream));
        }
        response::outcomes(&answer.body, request.len(), &self.stream)
            .map_err(|why| fault::unreadable(&answer, &why))
    }
}

/// Without sight of the templates, and with a server that makes an index of anything, nothing may be written.
fn blind(fault: Fault, stream: &str) -> Fault {
    let remedy = format!(
        "allow these credentials indices:admin/data_stream/get on {stream}, so that it can be seen that no plain index is made"
    );
    Fault { remedy, ..fault }
}

fn is_unknown_parameter(answer: &Answer) -> bool {
    let names = |part: &[u8]| answer.body.windows(part.len()).any(|window| window == part);
    answer.status == 400 && names(b"unrecognized parameter") && names(b"require_data_stream")
}

impl Sink for Elasticsearch {
    async fn write(&self, request: &Request) -> Result<Vec<Outcome>, Fault> {
        if request.is_empty() {
            return Ok(Vec::new());
        }
        let outcome = self.attempt(request).await;
        let lost = match &outcome {
            Ok(outcomes) => outcomes
                .iter()
                .any(|outcome| matches!(outcome, Outcome::Retry(fault) if fault.kind == FaultKind::Missing)),
            Err(fault) => !matches!(fault.kind, FaultKind::Throttled | FaultKind::TooLarge),
        };
        if lost {
            self.ground.known.store(false, Ordering::Release);
        }
        outcome
    }

    fn most_in_flight(&self) -> usize {
        self.in_flight
    }

    async fn close(&self) -> Result<(), Fault> {
        Ok(())
    }
}
