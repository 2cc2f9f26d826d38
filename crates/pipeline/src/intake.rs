//! The source's side of the run: the only code that calls a source.
//!
//! Owns reading, waiting for memory, trying again, and carrying out commits. Must not decide what may be committed.
//!
//! The subtle thing: a commit is never kept waiting by a read that has nothing, nor by a full pipeline, since both waits are
//! given up when a commit is asked for; a source promises that this loses nothing.

use std::sync::Arc;

use fastrand::Rng;
use ingest::{Batch, Mark, Source};
use model::fault::Fault;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tracing::Instrument;

use crate::budget::Budget;
use crate::mapping::expected_cost;
use crate::retry::Backoff;
use crate::spans;
use crate::status::Status;
use crate::stop::Stop;

/// What the source's side tells the loop.
#[derive(Debug)]
pub(crate) enum FromSource {
    /// A batch, and what was taken of the budget for it.
    Batch(Batch, usize),
    /// There will be no more.
    End,
    /// There can be no more.
    Broken(Fault),
}

/// The marks that were to be committed, and whether they were.
pub(crate) type Commit = (Vec<Mark>, Result<(), Fault>);

/// The other ends of the loop's channels.
pub(crate) struct Ends {
    pub(crate) batches: mpsc::Sender<FromSource>,
    pub(crate) commits: mpsc::Receiver<Vec<Mark>>,
    pub(crate) committed: mpsc::Sender<Commit>,
    pub(crate) stop: Stop,
}

/// What the side needs beside its channels.
pub(crate) struct Tools {
    pub(crate) budget: Arc<Budget>,
    pub(crate) status: Arc<Status>,
    pub(crate) backoff: Backoff,
    pub(crate) random: Rng,
}

/// Reads until the source ends or the stop comes, commits until nobody can ask for it any more, and closes the source.
pub(crate) async fn intake<S: Source>(mut source: S, ends: Ends, mut tools: Tools) {
    let Ends { batches, mut commits, committed, mut stop } = ends;
    let mut batches = Some(batches);
    let mut held: Option<(Batch, usize)> = None;
    let mut failures = 0;
    let mut again: Option<Instant> = None;
    loop {
        let reading = batches.is_some();
        tokio::select! {
            // Commits first: they are what makes progress durable, and there is at most one. Then the wish to stop, which must
            // not wait behind a source that always has more.
            biased;
            marks = commits.recv() => {
                let Some(marks) = marks else { break };
                let span = spans::commit(marks.len());
                let result = source.commit(&marks).instrument(span.clone()).await;
                spans::ended(&span, &result);
                drop(span);
                if committed.send((marks, result)).await.is_err() {
                    break;
                }
            }
            () = stop.asked(), if reading => {
                source.stop_intake();
                // What is held was not let in; it comes again on the next start.
                (held, batches) = (None, None);
            }
            room = room(batches.as_ref(), &tools.budget, held.as_ref()), if reading && held.is_some() => {
                if let (true, Some(sender), Some((batch, cost))) = (room, &batches, held.take()) {
                    // There is room, and nobody else sends.
                    let _ = sender.try_send(FromSource::Batch(batch, cost));
                } else {
                    batches = None;
                }
            }
            () = sleep_until(again.unwrap_or_else(Instant::now)), if reading && again.is_some() => again = None,
            next = source.next(), if reading && held.is_none() && again.is_none() => match next {
                Ok(Some(batch)) => {
                    failures = 0;
                    tools.status.source.worked();
                    let cost = expected_cost(&batch);
                    held = Some((batch, cost));
                }
                Ok(None) => {
                    tools.status.source.worked();
                    source.stop_intake();
                    end(&mut batches, FromSource::End).await;
                }
                Err(fault) => {
                    tools.status.source.failed(&fault);
                    if fault.kind.is_final() {
                        source.stop_intake();
                        end(&mut batches, FromSource::Broken(fault)).await;
                    } else {
                        failures += 1;
                        again = Some(Instant::now() + tools.backoff.delay(failures, &fault, &mut tools.random));
                    }
                }
            },
        }
    }
    source.close().await;
}

/// Waits for a place in the channel and takes memory for what is held. False when nobody reads any more.
async fn room(
    batches: Option<&mpsc::Sender<FromSource>>,
    budget: &Budget,
    held: Option<&(Batch, usize)>,
) -> bool {
    let (Some(batches), Some((_, cost))) = (batches, held) else { return false };
    if batches.reserve().await.is_err() {
        return false;
    }
    budget.take(*cost).await;
    true
}

/// The last message. There is always a reader, and room soon, while the loop runs.
async fn end(batches: &mut Option<mpsc::Sender<FromSource>>, last: FromSource) {
    if let Some(batches) = batches.take() {
        let _ = batches.send(last).await;
    }
}
