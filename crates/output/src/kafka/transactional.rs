//! The sink of `exactly_once = true`: documents and the positions they came from in one transaction.
//!
//! Owns the life of transactions and what their errors mean. Must not know what is read or from where: positions and the
//! group's identity come in as librdkafka's own values and go on unchanged.
//!
//! A [`Transaction`] that is not committed is aborted: by [`Transaction::abort`], or, when it is dropped, before the next
//! one begins. What was written in it is then never seen by readers of committed messages.
//!
//! The one subtle thing: an error while committing can leave open whether it was committed. It is asked again until it is
//! known. Only when the producer dies meanwhile it stays unknown, and then the stage must end: at the next start the
//! group's positions say what was committed, which nothing in this process can.

use std::sync::Arc;
use std::time::Duration;

use model::fault::{Fault, FaultKind};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::Producer;
use tokio::time::Instant;

use super::client::{Handle, Headers, Report, drop_aside};
use super::config::Settings;
use super::producer::{is_suspect, outcomes};
use super::reminder::Reminder;
use crate::document::Request;
use crate::sink::Outcome;

/// For one attempt of a call.
const ATTEMPT: Duration = Duration::from_secs(10);
/// For all attempts of a call that can be given up.
const GIVE_UP: Duration = Duration::from_secs(30);

/// What is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// No producer that can begin one.
    New,
    /// No transaction.
    Ready,
    /// One that must be aborted first.
    Open,
    /// One of which nobody knows whether it was committed.
    Unknown,
}

/// Documents into a topic, in transactions.
pub struct TransactionalSink {
    settings: Settings,
    headers: Headers,
    handle: Option<Arc<Handle>>,
    state: State,
    /// When it is said that a transaction waits.
    waits: Reminder,
    /// A broker refused a batch: until a transaction gets through, every message goes in a batch of its own.
    alone: bool,
}

impl std::fmt::Debug for TransactionalSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TransactionalSink").field("state", &self.state).finish_non_exhaustive()
    }
}

/// An open transaction. It is aborted unless it is committed.
#[derive(Debug)]
#[must_use = "a transaction that is dropped is aborted"]
pub struct Transaction<'s> {
    sink: &'s mut TransactionalSink,
}

/// What an error of a transactional call asks for.
enum Verdict {
    Again(Fault),
    Abort(Fault),
    /// The producer is of no use any more.
    Dead(Fault),
}

impl TransactionalSink {
    /// Prepares; nothing is connected yet. `ecs_version` is what the header `ecs-version` says.
    ///
    /// # Errors
    ///
    /// [`FaultKind::Unusable`] when `exactly_once` is not set or librdkafka refuses the configuration.
    pub fn new(settings: &Settings, ecs_version: &str) -> Result<Self, Fault> {
        if !settings.exactly_once() {
            let cause = "[sink] transactions are wanted and `exactly_once` is not set";
            return Err(Fault::new(FaultKind::Unusable, cause, "set exactly_once = true"));
        }
        let headers = Headers::new(settings, ecs_version);
        let handle = Some(Arc::new(Handle::new(settings, &headers, false)?));
        Ok(Self {
            settings: settings.clone(),
            headers,
            handle,
            state: State::New,
            waits: Reminder::default(),
            alone: false,
        })
    }

    /// Begins a transaction. Before the first one, what an earlier process with the same transactional id left open is
    /// aborted.
    ///
    /// # Errors
    ///
    /// What stands in the way. Unless it is final, to be tried again. [`FaultKind::Taken`] says that another process has
    /// taken the transactional id.
    pub async fn begin(&mut self) -> Result<Transaction<'_>, Fault> {
        match self.state {
            State::Unknown => return Err(unknown("it was not waited for")),
            State::Open => self.abort_open().await?,
            State::New | State::Ready => {}
        }
        if self.state == State::New {
            let handle = self.handle()?;
            let call = |handle: &Handle| handle.producer.init_transactions(ATTEMPT);
            self.call(&handle, GIVE_UP, call).await.map_err(Verdict::fault)?;
            self.state = State::Ready;
        }
        let handle = self.handle()?;
        // Local to librdkafka: no broker is asked.
        if let Err(error) = handle.producer.begin_transaction() {
            return Err(self.judge(&handle, &error).fault());
        }
        self.state = State::Open;
        Ok(Transaction { sink: self })
    }

    /// Aborts what is open and lets go of the producer.
    ///
    /// # Errors
    ///
    /// What stood in the way of aborting; the brokers abort by themselves after `transaction.timeout.ms`.
    pub async fn close(mut self) -> Result<(), Fault> {
        let aborted = if self.state == State::Open { self.abort_open().await } else { Ok(()) };
        drop_aside(self.handle.take());
        aborted
    }

    fn handle(&mut self) -> Result<Arc<Handle>, Fault> {
        if let Some(handle) = &self.handle {
            return Ok(Arc::clone(handle));
        }
        let handle = Arc::new(Handle::new(&self.settings, &self.headers, self.alone)?);
        self.handle = Some(Arc::clone(&handle));
        Ok(handle)
    }

    /// The next transaction gets a new producer.
    fn renew(&mut self) {
        drop_aside(self.handle.take());
        self.state = State::New;
    }

    async fn abort_open(&mut self) -> Result<(), Fault> {
        let handle = self.handle()?;
        let aborted = self.call(&handle, GIVE_UP, |handle| handle.producer.abort_transaction(ATTEMPT)).await;
        match aborted {
            Ok(()) => {
                self.state = State::Ready;
                if self.alone {
                    self.renew();
                }
                Ok(())
            }
            // A new producer with the same id makes an end of it; one without aborts it by timeout.
            Err(Verdict::Dead(fault)) if fault.kind.is_final() => Err(fault),
            Err(Verdict::Dead(_)) => Ok(()),
            Err(verdict) => Err(verdict.fault()),
        }
    }

    /// Makes a blocking call until it is through, or an error is not one to try again, or `patience` is at an end.
    async fn call(
        &mut self,
        handle: &Arc<Handle>,
        patience: Duration,
        call: impl Fn(&Handle) -> Result<(), KafkaError> + Clone + Send + 'static,
    ) -> Result<(), Verdict> {
        let since = Instant::now();
        loop {
            let (call, at_work) = (call.clone(), Arc::clone(handle));
            let ended = tokio::task::spawn_blocking(move || call(&at_work)).await;
            let error = match ended {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => error,
                Err(error) => return Err(Verdict::Dead(unknown(&error.to_string()))),
            };
            match self.judge(handle, &error) {
                Verdict::Again(fault) if since.elapsed() < patience => {
                    if let Some(attempts) = self.waits.is_due(fault.kind, Instant::now().into_std()) {
                        tracing::warn!(%fault, attempts, "the transaction waits");
                    }
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                verdict => return Err(verdict),
            }
        }
    }

    fn judge(&mut self, handle: &Arc<Handle>, error: &KafkaError) -> Verdict {
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
        let fault = handle.explain(code);
        let (fatal, abort, again) = match error {
            KafkaError::Transaction(error) => {
                (error.is_fatal(), error.txn_requires_abort(), error.is_retriable())
            }
            // The flush inside a commit ran out of time.
            KafkaError::Flush(_) => (false, false, true),
            _ => (false, true, false),
        };
        if fatal || handle.is_dead() {
            self.renew();
            Verdict::Dead(fault)
        } else if again && !abort {
            Verdict::Again(fault)
        } else {
            Verdict::Abort(fault)
        }
    }
}

impl Transaction<'_> {
    /// Writes documents; the answer is as for [`crate::Sink::write`]. Delivered means: as soon as the transaction is committed.
    /// When an outcome is anything else, the transaction cannot be committed: abort it, and begin again without what was
    /// rejected.
    ///
    /// # Errors
    ///
    /// As for [`crate::Sink::write`]. The transaction is to be aborted.
    pub async fn write(&mut self, request: &Request) -> Result<Vec<Outcome>, Fault> {
        let handle = self.sink.handle()?;
        let reports = handle.send(request, None).await;
        if reports.iter().any(is_suspect) && !self.sink.alone {
            self.sink.alone = true;
            let code = reports.iter().find(|report| is_suspect(report));
            let Some(Report::Failed(code)) = code else { return Ok(Vec::new()) };
            let cause = format!("{}: a batch was refused: {code}", handle.explain(*code).cause);
            // The broker asks for less at a time; nobody has to do anything.
            return Err(Fault::new(FaultKind::Throttled, cause, "it is tried again message by message"));
        }
        outcomes(&handle, request, &reports)
    }

    /// Commits what was written, and with it the positions it was read at.
    ///
    /// Do not drop the future: nobody would know whether it was committed, and no transaction can begin any more.
    ///
    /// # Errors
    ///
    /// If it is not final, the transaction was aborted and everything in it is to be written again. That is also the way of
    /// a source that has lost a partition meanwhile. If it is final, the stage must end.
    pub async fn commit(
        self,
        offsets: TopicPartitionList,
        group: ConsumerGroupMetadata,
    ) -> Result<(), Fault> {
        let handle = self.sink.handle()?;
        let sent = (offsets, Arc::new(group));
        let send =
            move |handle: &Handle| handle.producer.send_offsets_to_transaction(&sent.0, &sent.1, ATTEMPT);
        if let Err(verdict) = self.sink.call(&handle, GIVE_UP, send).await {
            return self.end(verdict).await;
        }
        self.sink.state = State::Unknown;
        let commit = |handle: &Handle| handle.producer.commit_transaction(ATTEMPT);
        match self.sink.call(&handle, Duration::MAX, commit).await {
            Ok(()) => {
                self.sink.state = State::Ready;
                if std::mem::take(&mut self.sink.alone) {
                    self.sink.renew();
                }
                Ok(())
            }
            Err(Verdict::Dead(fault)) => {
                self.sink.state = State::Unknown;
                Err(if fault.kind.is_final() { fault } else { unknown(&fault.cause) })
            }
            Err(verdict) => {
                self.sink.state = State::Open;
                self.end(verdict).await
            }
        }
    }

    /// Aborts: nothing of it will be seen.
    ///
    /// # Errors
    ///
    /// What stands in the way; it is tried again before the next transaction begins.
    pub async fn abort(self) -> Result<(), Fault> {
        if self.sink.state == State::Open { self.sink.abort_open().await } else { Ok(()) }
    }

    /// Aborts because of an error, which is given back.
    async fn end(self, verdict: Verdict) -> Result<(), Fault> {
        let fault = verdict.fault();
        match self.abort().await {
            Err(worse) if worse.kind.is_final() => Err(worse),
            _ => Err(fault),
        }
    }
}

impl Verdict {
    fn fault(self) -> Fault {
        match self {
            Self::Again(fault) | Self::Abort(fault) | Self::Dead(fault) => fault,
        }
    }
}

fn unknown(why: &str) -> Fault {
    Fault::new(
        FaultKind::Unusable,
        format!("it is not known whether the last transaction was committed: {why}"),
        "start again: the positions are in the transaction, so reading goes on where it is right",
    )
}

#[cfg(test)]
#[path = "transactional_tests.rs"]
mod tests;
