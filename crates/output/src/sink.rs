//! What every sink does: one attempt to write a request, and one answer for each document of it.

use std::future::Future;

use model::fault::Fault;

use crate::document::Request;

/// What became of one document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is written, as durably as the sink was told to.
    Delivered,
    /// It had been written before, so that nothing was to do.
    Duplicate,
    /// Not now; the same bytes may pass later.
    Retry(Fault),
    /// Never; it belongs to the dead letters.
    Rejected(Rejection),
}

/// Why a document is refused for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// A short name for counters: `document_parsing_exception`, `message_too_large`.
    pub reason: String,
    /// The other side's own words.
    pub detail: String,
}

/// Where documents go.
pub trait Sink: Send + Sync + 'static {
    /// Tries once to write every document of a request. The answer has one outcome for each document, in the order of
    /// [`Request::documents`]. Several calls may be under way at a time, up to [`Sink::most_in_flight`].
    ///
    /// # Errors
    ///
    /// When there is no telling the documents apart: nothing was sent, or no answer came, or it cannot be understood. All of
    /// them are to be tried again, which is harmless. A [`model::fault::FaultKind::TooLarge`] asks for a smaller request; for
    /// a single document it means that this document is refused for good.
    fn write(&self, request: &Request) -> impl Future<Output = Result<Vec<Outcome>, Fault>> + Send;

    /// How many requests it is worth having under way at a time; 1 for a sink that keeps the order.
    fn most_in_flight(&self) -> usize;

    /// Makes durable what is only written, and lets go of everything.
    ///
    /// # Errors
    ///
    /// What stood in the way; what was reported as delivered is durable all the same.
    fn close(&self) -> impl Future<Output = Result<(), Fault>> + Send;
}
