//! Exactly once, where source and sink share transactions: documents and positions become visible together or not at all.
//!
//! Owns the order of one transaction after the other: begin, write everything, bury what is refused, commit with the
//! positions. Must not know Kafka: what positions are is the source's and the sink's business.
//!
//! The subtle thing: a transaction covers whole batches and is kept until it is committed, so that after an abort the same
//! is written again; except what belongs to lanes that are ours no longer, since whoever has them now reads it again. A
//! lane is asked about last thing before the commit, by the one that gives the positions. Dead letters are no part of the
//! transaction: they are durable before its commit, and after a crash between the two they are there twice.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use ingest::{Mark, Source};
use model::fault::{Fault, FaultKind};
use output::{Outcome, Rejection, Request};
use tokio::time::{Instant, sleep, timeout};
use tracing::Instrument;

use crate::config::Options;
use crate::dead::{DeadLetters, Letter};
use crate::gathering::{Broken, Gathering, Load};
use crate::run::{Ending, Left, RunError, Stage, Summary};
use crate::spans;
use crate::status::Status;
use crate::stop::Stop;
use crate::workers::Workers;

/// How long each step of the end may take beyond the drain.
const LAST_STEP: Duration = Duration::from_secs(5);

/// A source whose positions can be part of a transaction. [`Source::commit`] is not called.
pub trait TransactionalSource: Source {
    /// What a transaction commits: offsets, and who we are in the group.
    type Positions: Send;

    /// Whether the lane of a batch is still ours.
    fn holds(&self, mark: Mark) -> bool;

    /// The positions behind these marks, one of each lane. `None` if one of the lanes is ours no longer; the two must be
    /// decided at once.
    fn positions(&mut self, marks: &[Mark]) -> Option<Self::Positions>;

    /// A transaction with the positions behind these marks was committed.
    fn committed(&mut self, marks: &[Mark]);
}

/// A sink that writes in transactions.
pub trait TransactionalSink<P>: Send {
    /// A transaction that was begun.
    type Open<'s>: Transaction<P>
    where
        Self: 's;

    /// Begins a transaction. What was left open before is undone first.
    ///
    /// # Errors
    ///
    /// What stood in the way; unless it is final, it is tried again.
    fn begin(&mut self) -> impl Future<Output = Result<Self::Open<'_>, Fault>> + Send;

    /// Lets go of everything, and undoes what is open.
    ///
    /// # Errors
    ///
    /// What stood in the way; what is committed is safe.
    fn close(self) -> impl Future<Output = Result<(), Fault>> + Send;
}

/// A transaction. It is undone unless it is committed.
pub trait Transaction<P>: Send {
    /// Tries once to write documents; see [`output::Sink::write`]. If an outcome is anything but delivered, or a duplicate,
    /// the transaction is aborted.
    ///
    /// # Errors
    ///
    /// When there is no telling the documents apart. The transaction is then aborted.
    fn write(&mut self, request: &Request) -> impl Future<Output = Result<Vec<Outcome>, Fault>> + Send;

    /// Commits the documents together with the positions, and asks until it is known what came of it.
    ///
    /// # Errors
    ///
    /// If it is not final, nothing is committed and nothing will be. If it is final, it may be unknown; the next start
    /// learns it from the positions.
    fn commit(self, positions: P) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Undoes it.
    ///
    /// # Errors
    ///
    /// What stood in the way; the next [`TransactionalSink::begin`] tries again.
    fn abort(self) -> impl Future<Output = Result<(), Fault>> + Send;
}

/// Why an attempt did not come to its commit.
enum Stuck {
    /// The same is to be tried again, later.
    Later(Fault),
    /// Something was refused; the rest is to be tried at once.
    Without,
    /// The run ends.
    Broken(Broken),
}

/// The state of a run.
struct Transactions<D> {
    dead_letters: D,
    status: Arc<Status>,
    options: Options,
    random: Rng,
}

/// Runs in transactions until the source ends, the stop comes, or a fault ends it. A transaction takes what comes within
/// [`Options::commit_interval`], or a quarter of [`Options::max_in_flight_bytes`].
///
/// # Errors
///
/// A fault that waiting cannot help: somebody else has our transactional id, say. What is committed is safe.
pub async fn run_transactional<S, K, D>(
    stage: Stage<S, K, D>,
    options: &Options,
    status: Arc<Status>,
    mut stop: Stop,
) -> Result<Summary, Box<RunError>>
where
    S: TransactionalSource,
    K: TransactionalSink<S::Positions>,
    D: DeadLetters,
{
    let mut random = options.seed.map_or_else(Rng::new, Rng::with_seed);
    let mut source = stage.source;
    let workers = Workers::start(&stage.mapping, options.decode, options.threads);
    let mut sink = stage.sink;
    let mut transactions = Transactions {
        dead_letters: stage.dead_letters,
        status: Arc::clone(&status),
        options: *options,
        random: random.fork(),
    };
    let mut left = Left::default();
    let worked = match workers {
        Err(fault) => Err(("mapper", fault)),
        Ok(workers) => {
            let mut gathering = Gathering {
                workers,
                load: Load::default(),
                most: options.max_in_flight_bytes / 4,
                linger: options.commit_interval,
                due: HashMap::new(),
                failures: 0,
                again: None,
                ended: false,
                random,
                backoff: options.backoff,
                status: Arc::clone(&status),
            };
            let mut drain = stop.clone();
            let deadline = async {
                drain.asked().await;
                sleep(options.drain_timeout).await;
            };
            tokio::select! {
                worked = transactions.work(&mut source, &mut sink, &mut gathering, &mut stop, &mut left) => worked,
                () = deadline => Ok(Ending::Stopped),
            }
        }
    };
    source.stop_intake();
    // The sink first: it undoes what is open, before others get the partitions it was read from.
    let closed = timeout(LAST_STEP, sink.close()).await;
    let _ = timeout(LAST_STEP, source.close()).await;
    let letters = timeout(LAST_STEP, transactions.dead_letters.close()).await;
    let summary = |ending, left| Summary { ending, totals: status.totals(), left };
    let failed =
        [("sink", closed), ("dead letters", letters)].into_iter().find_map(|(part, closed)| match closed {
            Ok(Err(fault)) => Some((part, fault)),
            _ => None,
        });
    match (worked, failed) {
        (Ok(ending), None) => Ok(summary(ending, left)),
        (Err((part, fault)), _) | (Ok(_), Some((part, fault))) => {
            tracing::error!(part, kind = fault.kind.name(), %fault, "this ends the run");
            Err(Box::new(RunError { part, fault, summary: summary(Ending::Broken, left) }))
        }
    }
}

impl<D: DeadLetters> Transactions<D> {
    /// One transaction after the other.
    async fn work<S, K>(
        &mut self,
        source: &mut S,
        sink: &mut K,
        gathering: &mut Gathering,
        stop: &mut Stop,
        left: &mut Left,
    ) -> Result<Ending, Broken>
    where
        S: TransactionalSource,
        K: TransactionalSink<S::Positions>,
    {
        loop {
            tokio::select! {
                biased;
                () = stop.asked() => return Ok(Ending::Stopped),
                filled = gathering.fill(source) => filled?,
            }
            let mut load = std::mem::take(&mut gathering.load);
            if load.parcels.is_empty() && gathering.ended {
                return Ok(Ending::SourceEnded);
            }
            *left = Left { batches: load.parcels.len(), records: load.records(), uncommitted: 0 };
            self.show(&load);
            self.deliver(&mut load, source, sink, gathering, stop).await?;
            *left = Left::default();
            self.show(&Load::default());
        }
    }

    /// Shows what is under way.
    fn show(&self, load: &Load) {
        let status = &self.status;
        status.open_batches.set(load.parcels.len() as u64);
        status.bytes_in_flight.set(load.cost as u64);
        status.peak_bytes.raise(load.cost as u64);
        status.requests_in_flight.set(u64::from(!load.parcels.is_empty()));
        status.request_limit.set(1);
    }

    /// Writes a load until it is committed. Meanwhile the next one is gathered, unless the run is to stop.
    async fn deliver<S, K>(
        &mut self,
        load: &mut Load,
        source: &mut S,
        sink: &mut K,
        gathering: &mut Gathering,
        stop: &Stop,
    ) -> Result<(), Broken>
    where
        S: TransactionalSource,
        K: TransactionalSink<S::Positions>,
    {
        let mut failures = 0_u32;
        // What ends the gathering of the next load ends the run, but not before this load is committed.
        let mut broken: Option<Broken> = None;
        loop {
            gathering.forget_lost_lanes(source);
            load.retain(|mark| source.holds(mark));
            if load.parcels.is_empty() {
                return broken.map_or(Ok(()), Err);
            }
            let attempt = {
                let mut writing = std::pin::pin!(self.attempt(load, sink, failures.saturating_add(1)));
                let mut gather = broken.is_none() && !stop.is_asked();
                loop {
                    tokio::select! {
                        biased;
                        attempt = &mut writing => break attempt,
                        filled = gathering.fill(source), if gather => {
                            gather = false;
                            broken = filled.err();
                        }
                    }
                }
            };
            let marks = load.marks();
            let fault = match attempt {
                Ok(transaction) => match source.positions(&marks) {
                    Some(positions) => {
                        let span = spans::commit(marks.len());
                        let committed = transaction.commit(positions).instrument(span.clone()).await;
                        spans::ended(&span, &committed);
                        match committed {
                            Ok(()) => {
                                source.committed(&marks);
                                self.count(load);
                                return broken.map_or(Ok(()), Err);
                            }
                            Err(fault) => fault,
                        }
                    }
                    None => {
                        self.abort(transaction).await?;
                        continue;
                    }
                },
                Err(Stuck::Without) => continue,
                Err(Stuck::Later(fault)) => fault,
                Err(Stuck::Broken(broken)) => return Err(broken),
            };
            if fault.kind.is_final() {
                return Err(("sink", fault));
            }
            self.status.sink.failed(&fault);
            self.status.retried.add(load.records());
            failures = failures.saturating_add(1);
            self.pause(failures, &fault).await;
        }
    }

    /// One attempt at everything but the commit. Unless it comes through, the transaction is aborted.
    async fn attempt<'s, P, K>(
        &mut self,
        load: &mut Load,
        sink: &'s mut K,
        attempt: u32,
    ) -> Result<K::Open<'s>, Stuck>
    where
        K: TransactionalSink<P>,
    {
        let mut transaction = sink.begin().await.map_err(Stuck::Later)?;
        let mut stuck = self.write(load, &mut transaction, attempt).await.err();
        if stuck.is_none() && !load.buried {
            let letters = load.letters().cloned().collect();
            stuck = self.bury(letters).await.err();
            load.buried = stuck.is_none();
        }
        match stuck {
            None => Ok(transaction),
            Some(stuck) => {
                self.abort(transaction).await.map_err(Stuck::Broken)?;
                Err(stuck)
            }
        }
    }

    /// Writes a load's documents.
    async fn write<P>(
        &self,
        load: &mut Load,
        transaction: &mut impl Transaction<P>,
        attempt: u32,
    ) -> Result<(), Stuck> {
        let mut waiting = vec![load.request()];
        let mut refused = false;
        while let Some(packed) = waiting.pop() {
            let count = packed.request.len();
            if count == 0 {
                continue;
            }
            self.status.requests.add(1);
            let started = Instant::now();
            let parcels = packed.parcels.iter().filter_map(|at| load.parcels.get(*at as usize));
            let span = spans::write(&packed.request, attempt, parcels.map(|parcel| &parcel.span));
            let answer = transaction.write(&packed.request).instrument(span.clone()).await;
            spans::written(&span, &answer);
            drop(span);
            self.status.tried(&packed.request, started.elapsed());
            let outcomes = match answer {
                Err(fault) if fault.kind == FaultKind::TooLarge && count > 1 => {
                    let (first, second) = packed.halves();
                    waiting.extend([second, first]);
                    continue;
                }
                Err(fault) if fault.kind == FaultKind::TooLarge => {
                    let rejection = Rejection { reason: fault.kind.name().to_owned(), detail: fault.cause };
                    vec![Outcome::Rejected(rejection)]
                }
                Err(fault) => return Err(Stuck::Later(fault)),
                Ok(outcomes) if outcomes.len() != count => {
                    let cause = format!("the sink gave {} answers for {count} documents", outcomes.len());
                    let advice = "this is a fault of the program; report it";
                    return Err(Stuck::Broken(("sink", Fault::new(FaultKind::Unusable, cause, advice))));
                }
                Ok(outcomes) => outcomes,
            };
            let parts = packed.request.parts().iter().zip(&packed.parcels);
            let places = parts.flat_map(|((_, which), parcel)| which.iter().map(move |at| (*parcel, *at)));
            let mut again = None;
            for ((parcel, document), outcome) in places.zip(outcomes) {
                match outcome {
                    Outcome::Delivered | Outcome::Duplicate => {}
                    Outcome::Retry(fault) => again = Some(fault),
                    Outcome::Rejected(rejection) => {
                        load.refuse(parcel, document, rejection);
                        refused = true;
                    }
                }
            }
            match again {
                // Leaving out what was refused is a step ahead. And it is why the rest has to come again: a producer takes
                // back what it has not sent yet, and that says nothing about the server.
                Some(_) if refused => return Err(Stuck::Without),
                Some(fault) => return Err(Stuck::Later(fault)),
                None => {}
            }
        }
        if refused { Err(Stuck::Without) } else { Ok(()) }
    }

    /// Writes letters until they are durable.
    async fn bury(&mut self, letters: Vec<Letter>) -> Result<(), Stuck> {
        let mut failures = 0_u32;
        while !letters.is_empty() {
            let span = spans::bury(letters.len());
            let written = self.dead_letters.write(letters.clone()).instrument(span.clone()).await;
            spans::ended(&span, &written);
            drop(span);
            match written {
                Ok(()) => break,
                Err(fault) => {
                    self.status.dead_letters.failed(&fault);
                    if fault.kind.is_final() {
                        return Err(Stuck::Broken(("dead letters", fault)));
                    }
                    failures = failures.saturating_add(1);
                    self.pause(failures, &fault).await;
                }
            }
        }
        self.status.dead_letters.worked();
        Ok(())
    }

    /// Aborts a transaction. What stands in the way is met again by the next `begin`.
    async fn abort<P>(&self, transaction: impl Transaction<P>) -> Result<(), Broken> {
        match transaction.abort().await {
            Err(fault) if fault.kind.is_final() => Err(("sink", fault)),
            Err(fault) => {
                self.status.sink.failed(&fault);
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    async fn pause(&mut self, failures: u32, fault: &Fault) {
        sleep(self.options.backoff.delay(failures, fault, &mut self.random)).await;
    }

    /// Counts what a transaction committed; what it aborted was nothing.
    fn count(&self, load: &Load) {
        let status = &self.status;
        let documents: u64 = load.parcels.iter().map(|parcel| parcel.documents.len() as u64).sum();
        status.read.add(load.records());
        status.mapped.add(documents);
        status.delivered.add(documents - load.refused.len() as u64);
        status.committed();
        load.letters().for_each(|letter| status.buried(letter));
        load.parcels.iter().for_each(|parcel| status.ended(parcel));
        status.sink.worked();
    }
}

#[cfg(test)]
#[path = "transactional_tests.rs"]
mod tests;
