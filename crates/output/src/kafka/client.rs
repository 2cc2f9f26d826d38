//! A producer and its delivery reports: what was handed to librdkafka, and what became of each message.
//!
//! Owns one call's bookkeeping: every message that was taken is reported on exactly once, within `message.timeout.ms`. Must
//! not decide what a report means for a document.
//!
//! The one subtle thing: a call that is dropped half way leaves its messages on their way. Their reports then find a tally
//! that nobody waits for, and no harm is done: the same documents may be sent again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use model::fault::{Fault, FaultKind};
use model::kafka::Troubles;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{
    BaseRecord, DeliveryResult, Producer, ProducerContext, PurgeConfig, ThreadedProducer,
};
use rdkafka::{ClientConfig, ClientContext};
use tokio::sync::Notify;
use tracing::Instrument;

use super::config::{Format, Settings, refusal};
use crate::document::{Document, Request};

/// How long a full queue is waited for.
const QUEUE_WAIT: Duration = Duration::from_secs(30);
/// How long between two looks at a full queue.
const QUEUE_LOOK: Duration = Duration::from_millis(5);
/// After how many messages others get their turn on this thread.
const TURN: usize = 256;

/// What became of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Report {
    /// All replicas in sync have it.
    Delivered,
    /// librdkafka did not take it; nothing was sent.
    Refused(RDKafkaErrorCode),
    /// It was taken, and failed.
    Failed(RDKafkaErrorCode),
}

/// The reports of one call.
struct Tally {
    inner: Mutex<Counted>,
    /// All reports are in, or the first failure is.
    news: Notify,
}

struct Counted {
    reports: Vec<Report>,
    missing: usize,
    failed: bool,
}

impl Tally {
    fn set(&self, at: usize, report: Report) {
        let mut counted = self.lock();
        if let Some(place) = counted.reports.get_mut(at) {
            *place = report;
        }
        counted.missing = counted.missing.saturating_sub(1);
        let first_failure =
            matches!(report, Report::Failed(_)) && !std::mem::replace(&mut counted.failed, true);
        if counted.missing == 0 || first_failure {
            self.news.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Travels with a message.
pub(crate) struct Ticket {
    tally: Arc<Tally>,
    at: usize,
}

pub(crate) struct Context(Mutex<Troubles>);

impl Context {
    pub(crate) fn troubles(&self) -> MutexGuard<'_, Troubles> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let Some(code) = error.rdkafka_error_code() else { return };
        tracing::debug!(target: "librdkafka", ?code, reason, "error reported");
        self.troubles().note(code as i32, reason);
    }
}

/// librdkafka writes a line for every broken connection and every attempt to mend it; what of it matters becomes a fault.
pub(crate) fn log(level: RDKafkaLogLevel, facility: &str, line: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
            tracing::error!(target: "librdkafka", facility, "{line}");
        }
        _ => tracing::debug!(target: "librdkafka", facility, "{line}"),
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = Box<Ticket>;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: Box<Ticket>) {
        let report = match result {
            Ok(_) => Report::Delivered,
            Err((error, _)) => Report::Failed(error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail)),
        };
        ticket.tally.set(ticket.at, report);
    }
}

/// What every message says about itself.
#[derive(Debug, Clone)]
pub(crate) struct Headers {
    ecs_version: Option<String>,
}

impl Headers {
    /// Raw records follow no version of ECS.
    pub(crate) fn new(settings: &Settings, ecs_version: &str) -> Self {
        Self { ecs_version: (settings.format() == Format::Ecs).then(|| ecs_version.to_owned()) }
    }

    fn of(&self, document: &Document<'_>) -> OwnedHeaders {
        let mut headers = OwnedHeaders::new_with_capacity(3)
            .insert(Header { key: "content-type", value: Some("application/json") });
        if let Some(version) = &self.ecs_version {
            headers = headers.insert(Header { key: "ecs-version", value: Some(version) });
        }
        if !document.action.is_empty() {
            headers = headers.insert(Header { key: "action", value: Some(document.action) });
        }
        headers
    }
}

/// A producer.
pub(crate) struct Handle {
    pub(crate) producer: ThreadedProducer<Context>,
    topic: String,
    headers: Headers,
    transactional: bool,
}

impl Handle {
    /// Makes a producer; nothing is connected yet. `alone` puts every message into a batch of its own.
    pub(crate) fn new(settings: &Settings, headers: &Headers, alone: bool) -> Result<Self, Fault> {
        let mut config: ClientConfig = settings.client.clone();
        if alone {
            config.set("batch.num.messages", "1");
        }
        let context = Context(Mutex::new(Troubles::new(settings.about.clone())));
        let producer = config.create_with_context(context).map_err(|error: KafkaError| {
            let cause = format!("[sink] {}", refusal(&error));
            Fault::new(FaultKind::Unusable, cause, "correct the configuration")
        })?;
        let (topic, headers, transactional) =
            (settings.topic.clone(), headers.clone(), settings.exactly_once());
        Ok(Self { producer, topic, headers, transactional })
    }

    /// Whether the producer is of no use any more.
    pub(crate) fn is_dead(&self) -> bool {
        self.producer.client().fatal_error().is_some()
    }

    /// The fault behind an error code.
    pub(crate) fn explain(&self, code: RDKafkaErrorCode) -> Fault {
        self.producer.context().troubles().explain(code as i32, &code)
    }

    /// Sends those documents of a request that are wanted, all if that is `None`, and waits for the reports.
    pub(crate) async fn send(&self, request: &Request, wanted: Option<&[usize]>) -> Vec<Report> {
        let count = wanted.map_or(request.len(), <[usize]>::len);
        let span = tracing::info_span!(
            "send",
            messaging.batch.message_count = i64::try_from(count).unwrap_or(i64::MAX),
            messaging.destination.name = self.topic.as_str(),
            messaging.operation.name = "send",
            messaging.operation.type = "send",
            messaging.system = "kafka",
            otel.kind = "producer",
        );
        let reports = self.send_and_wait(request, wanted).instrument(span).await;
        if reports.contains(&Report::Delivered) {
            self.producer.context().troubles().clear();
        }
        reports
    }

    /// In a transaction, the first failure ends it for all: librdkafka then sends nothing more and would let the rest wait
    /// for their timeout, so they are taken back.
    async fn send_and_wait(&self, request: &Request, wanted: Option<&[usize]>) -> Vec<Report> {
        let count = wanted.map_or(request.len(), <[usize]>::len);
        // One more than messages, so that the tally cannot be complete before everything was sent.
        let reports = vec![Report::Refused(RDKafkaErrorCode::QueueFull); count];
        let counted = Counted { reports, missing: count + 1, failed: false };
        let tally = Arc::new(Tally { inner: Mutex::new(counted), news: Notify::new() });
        let is_wanted = |at: &usize| wanted.is_none_or(|wanted| wanted.binary_search(at).is_ok());
        let documents = request.documents().enumerate().filter(|(at, _)| is_wanted(at));
        let mut deadline = None;
        for (at, (_, document)) in documents.enumerate() {
            if at % TURN == TURN - 1 {
                tokio::task::yield_now().await;
            }
            loop {
                match self.enqueue(&document, Ticket { tally: Arc::clone(&tally), at }) {
                    Ok(()) => deadline = None,
                    Err(RDKafkaErrorCode::QueueFull)
                        if *deadline.get_or_insert_with(|| Instant::now() + QUEUE_WAIT) > Instant::now() =>
                    {
                        tokio::time::sleep(QUEUE_LOOK).await;
                        continue;
                    }
                    Err(code) => tally.set(at, Report::Refused(code)),
                }
                break;
            }
        }
        tally.set(usize::MAX, Report::Delivered);
        let mut purged = !self.transactional;
        loop {
            {
                let mut counted = tally.lock();
                if counted.missing == 0 {
                    break std::mem::take(&mut counted.reports);
                }
                if counted.failed && !std::mem::replace(&mut purged, true) {
                    drop(counted);
                    self.producer.purge(PurgeConfig::default().queue().inflight());
                }
            }
            tally.news.notified().await;
        }
    }

    fn enqueue(&self, document: &Document<'_>, ticket: Ticket) -> Result<(), RDKafkaErrorCode> {
        let record = BaseRecord::with_opaque_to(&self.topic, Box::new(ticket))
            .key(document.key)
            .payload(document.body())
            .headers(self.headers.of(document));
        let refused = self.producer.send(record).map_err(|(error, _)| error.rdkafka_error_code());
        refused.map_err(|code| code.unwrap_or(RDKafkaErrorCode::Fail))
    }
}

/// Lets go of a producer, which takes a moment, on a thread that may wait.
pub(crate) fn drop_aside(handle: Option<Arc<Handle>>) {
    if let (Some(handle), Ok(runtime)) = (handle, tokio::runtime::Handle::try_current()) {
        runtime.spawn_blocking(move || drop(handle));
    }
}
