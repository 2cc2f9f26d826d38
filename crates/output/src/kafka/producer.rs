//! The sink: an idempotent producer, and what its delivery reports mean for documents.
//!
//! Owns the way from reports to outcomes, and the producer's life. Must not retry: librdkafka does while a message is its
//! own, the pipeline does afterwards.
//!
//! The one subtle thing: see the top of the module. A second producer whose batches hold one message each is made when it
//! is first needed, for what was refused in company.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::fault::Fault;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::Producer;

use super::client::{Handle, Headers, Report, drop_aside};
use super::config::Settings;
use crate::document::Request;
use crate::sink::{Outcome, Rejection, Sink};

/// librdkafka makes large batches of several requests, so a few under way keep it busy.
const IN_FLIGHT: usize = 4;
/// How long [`Sink::close`] waits for what nobody waited for.
const FLUSH: Duration = Duration::from_secs(10);

/// Documents into a topic, one message each.
pub struct KafkaSink {
    settings: Settings,
    headers: Headers,
    producer: Mutex<Arc<Handle>>,
    alone: Mutex<Option<Arc<Handle>>>,
}

impl std::fmt::Debug for KafkaSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaSink").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl KafkaSink {
    /// Makes the producer; nothing is connected yet. `ecs_version` is what the header `ecs-version` says.
    ///
    /// # Errors
    ///
    /// [`model::fault::FaultKind::Unusable`] when librdkafka refuses the configuration, like a certificate that cannot be read.
    pub fn new(settings: &Settings, ecs_version: &str) -> Result<Self, Fault> {
        let headers = Headers::new(settings, ecs_version);
        let producer = Mutex::new(Arc::new(Handle::new(settings, &headers, false)?));
        Ok(Self { settings: settings.clone(), headers, producer, alone: Mutex::new(None) })
    }

    /// The producer; a new one when the last met an error it cannot live with.
    fn producer(&self) -> Result<Arc<Handle>, Fault> {
        let mut current = self.producer.lock().unwrap_or_else(PoisonError::into_inner);
        if current.is_dead() {
            let new = Arc::new(Handle::new(&self.settings, &self.headers, false)?);
            tracing::warn!(topic = self.settings.topic, "the producer met a fatal error and was replaced");
            drop_aside(Some(std::mem::replace(&mut current, new)));
        }
        Ok(Arc::clone(&current))
    }

    /// The producer for messages on their own.
    fn alone(&self) -> Result<Arc<Handle>, Fault> {
        let mut current = self.alone.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(handle) = current.as_ref().filter(|handle| !handle.is_dead()) {
            return Ok(Arc::clone(handle));
        }
        let new = Arc::new(Handle::new(&self.settings, &self.headers, true)?);
        drop_aside(current.replace(Arc::clone(&new)));
        Ok(new)
    }
}

impl Sink for KafkaSink {
    async fn write(&self, request: &Request) -> Result<Vec<Outcome>, Fault> {
        let handle = self.producer()?;
        let mut reports = handle.send(request, None).await;
        let suspects: Vec<usize> =
            (0..reports.len()).filter(|at| reports.get(*at).is_some_and(is_suspect)).collect();
        let mut explaining = handle;
        if !suspects.is_empty() {
            explaining = self.alone()?;
            let again = explaining.send(request, Some(&suspects)).await;
            for (at, report) in suspects.iter().zip(again) {
                if let Some(place) = reports.get_mut(*at) {
                    *place = report;
                }
            }
        }
        outcomes(&explaining, request, &reports)
    }

    fn most_in_flight(&self) -> usize {
        IN_FLIGHT
    }

    async fn close(&self) -> Result<(), Fault> {
        let handle = self.producer.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let flushed = tokio::task::spawn_blocking(move || {
            let flushed = handle.producer.flush(FLUSH);
            flushed
                .map_err(|error| handle.explain(error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail)))
        });
        drop_aside(self.alone.lock().unwrap_or_else(PoisonError::into_inner).take());
        // Reported deliveries are durable; this waits only for calls that were dropped.
        flushed.await.unwrap_or(Ok(()))
    }
}

/// Whether a broker refused the batch this message was in, perhaps because of another message.
pub(crate) fn is_suspect(report: &Report) -> bool {
    matches!(report, Report::Failed(code) if final_reason(*code).is_some())
}

/// The name of a refusal that will be the same every time.
fn final_reason(code: RDKafkaErrorCode) -> Option<&'static str> {
    match code {
        RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::MessageBatchTooLarge => {
            Some("message_too_large")
        }
        RDKafkaErrorCode::InvalidRecord => Some("invalid_record"),
        _ => None,
    }
}

/// What reports mean, when refusals are about the message alone. An error if nothing got anywhere.
pub(crate) fn outcomes(
    handle: &Handle,
    request: &Request,
    reports: &[Report],
) -> Result<Vec<Outcome>, Fault> {
    let mut outcomes = Vec::with_capacity(reports.len());
    for (document, report) in request.documents().zip(reports) {
        outcomes.push(match report {
            Report::Delivered => Outcome::Delivered,
            Report::Refused(code) | Report::Failed(code) => match final_reason(*code) {
                Some(reason) => Outcome::Rejected(Rejection {
                    reason: reason.into(),
                    detail: format!("{} bytes: {code}", document.body().len()),
                }),
                None => Outcome::Retry(handle.explain(*code)),
            },
        });
    }
    match outcomes.first() {
        Some(Outcome::Retry(fault)) if outcomes.iter().all(|one| matches!(one, Outcome::Retry(_))) => {
            Err(fault.clone())
        }
        _ => Ok(outcomes),
    }
}
