//! A look at the cluster before anything is written, for `check --connect`.
//!
//! Owns the questions: are brokers there, do they take us for who we are, is the topic there. Must not change anything. It
//! asks as a consumer, because a producer that asks for a topic may create it.
//!
//! Whether we may write cannot be asked without writing.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use model::fault::{Fault, FaultKind};
use model::kafka::{Troubles, fault};
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::config::{Settings, refusal};

/// What a probe found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// How many brokers the cluster has.
    pub brokers: usize,
    /// How many partitions the topic has.
    pub partitions: usize,
}

struct Context(Mutex<(Troubles, Option<Fault>)>);

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        super::client::log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let Some(code) = error.rdkafka_error_code() else { return };
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (troubles, last) = &mut *guard;
        if let Some(fault) = troubles.note(code as i32, reason) {
            *last = Some(fault);
        }
    }
}

impl ConsumerContext for Context {}

/// Asks the cluster, for at most about `patience`.
///
/// # Errors
///
/// What stands in the way of writing, the first that is met.
pub async fn probe(settings: &Settings, patience: Duration) -> Result<Found, Fault> {
    let settings = settings.clone();
    let asked = tokio::task::spawn_blocking(move || ask(&settings, patience)).await;
    asked
        .unwrap_or_else(|error| Err(Fault::new(FaultKind::Unusable, format!("the probe ended: {error}"), "")))
}

fn ask(settings: &Settings, patience: Duration) -> Result<Found, Fault> {
    let deadline = Instant::now() + patience;
    let context = Context(Mutex::new((Troubles::new(settings.about.clone()), None)));
    let mut config = settings.client.clone();
    config.remove("transactional.id");
    let client: BaseConsumer<Context> = config.create_with_context(context).map_err(|error| {
        let remedy = "check `ca_file`, `certificate_file` and `key_file`, and the table `librdkafka`";
        Fault::new(FaultKind::Unusable, refusal(&error), remedy)
    })?;
    let explain = |code: RDKafkaErrorCode| {
        let guard = client.context().0.lock().unwrap_or_else(PoisonError::into_inner);
        guard.0.explain(code as i32, &code)
    };
    loop {
        let error = match client.fetch_metadata(Some(&settings.topic), Duration::from_millis(500)) {
            Ok(metadata) => {
                let topic = metadata.topics().iter().find(|topic| topic.name() == settings.topic);
                if let Some(error) = topic.and_then(|topic| topic.error()) {
                    return Err(explain(RDKafkaErrorCode::from(error)));
                }
                let partitions = topic.map_or(0, |topic| topic.partitions().len());
                if partitions == 0 {
                    return Err(explain(RDKafkaErrorCode::UnknownTopicOrPartition));
                }
                return Ok(Found { brokers: metadata.brokers().len(), partitions });
            }
            Err(error) => error,
        };
        // Causes are told while polling.
        while client.poll(Duration::from_millis(10)).is_some() {}
        let reported = client.context().0.lock().unwrap_or_else(PoisonError::into_inner).1.clone();
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::OperationTimedOut);
        let passing = fault(code as i32, &"", &settings.about).kind == FaultKind::Unreachable;
        match reported {
            Some(fault) if fault.kind != FaultKind::Unreachable => return Err(fault),
            _ if !passing => return Err(explain(code)),
            Some(fault) if Instant::now() >= deadline => return Err(fault),
            None if Instant::now() >= deadline => return Err(explain(code)),
            _ => {}
        }
    }
}
