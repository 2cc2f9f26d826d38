//! The run: source, mappers, sink and dead letters put together, from the start to the last commit.
//!
//! Owns the loop and the order of ending. What to do when is decided by [`Engine`]; here everything that can happen is waited
//! for in one place.
//!
//! The subtle thing is how it ends. A stop, the end of the source and a final fault are one path: no more is read, what is
//! under way is delivered (after a stop or a fault under a deadline), what has ended is committed, everything is closed.
//! Dropping the run at any point is a crash: what was not committed comes again.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use ingest::Source;
use mapper::Mapping;
use model::fault::{Fault, FaultKind};
use output::Sink;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout};

use crate::budget::Budget;
use crate::config::Options;
use crate::dead::DeadLetters;
use crate::engine::{Engine, Links};
use crate::intake::{Commit, Ends, Tools, intake};
use crate::status::{Status, Totals};
use crate::stop::{self, Stop};

/// How long each step of the end may take beyond the drain: the last commit, closing the source, closing the sink.
const LAST_STEP: Duration = Duration::from_secs(5);

/// What a run is made of.
pub struct Stage<S, K, D> {
    /// Where records come from.
    pub source: S,
    /// Where documents go.
    pub sink: K,
    /// Where records go that cannot be delivered.
    pub dead_letters: D,
    /// What makes documents of records.
    pub mapping: Arc<Mapping>,
}

/// What a run did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Why it ended.
    pub ending: Ending,
    /// What it did, in numbers.
    pub totals: Totals,
    /// What it read and left undone; it comes again on the next start.
    pub left: Left,
}

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// There was no more to read.
    SourceEnded,
    /// It was told to.
    Stopped,
    /// A fault that waiting cannot help; see [`RunError`].
    Broken,
}

/// What was read and neither delivered nor committed when a run ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Left {
    /// Batches of which something has not ended.
    pub batches: usize,
    /// Records that have not ended.
    pub records: u64,
    /// Lanes whose last position could not be committed, though all before it has ended.
    pub uncommitted: usize,
}

impl Left {
    /// Whether everything read is delivered and committed.
    #[must_use]
    pub fn is_nothing(self) -> bool {
        self == Self::default()
    }
}

/// A fault that ended a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunError {
    /// Which part met it.
    pub part: &'static str,
    /// What it is.
    pub fault: Fault,
    /// What was done all the same.
    pub summary: Summary,
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.part, self.fault)
    }
}

impl std::error::Error for RunError {}

/// Runs until the source ends, the stop comes, or a fault ends it.
///
/// After a stop it returns within [`Options::drain_timeout`] and four times five seconds: the last commit, and three parts to
/// close.
///
/// # Errors
///
/// A fault that waiting cannot help, after everything was delivered and committed that could be. And a sink that could not
/// be closed; what it said to have delivered is committed all the same.
pub async fn run<S, K, D>(
    stage: Stage<S, K, D>,
    options: &Options,
    status: Arc<Status>,
    mut stop: Stop,
) -> Result<Summary, Box<RunError>>
where
    S: Source + 'static,
    K: Sink,
    D: DeadLetters,
{
    let mut random = options.seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed);
    let budget = Arc::new(Budget::new(options.max_in_flight_bytes));
    // One batch waits here while the loop is busy; all further ones wait at the source.
    let (batches, mut incoming) = mpsc::channel(1);
    let (ask_commit, commits) = mpsc::channel(1);
    let (committed, mut committed_marks) = mpsc::channel::<Commit>(1);
    let (halt, halted) = stop::stop();
    let mut source_side = JoinSet::new();
    let ends = Ends { batches, commits, committed, stop: halted };
    let tools = Tools {
        budget: Arc::clone(&budget),
        status: Arc::clone(&status),
        backoff: options.backoff,
        random: random.fork(),
    };
    source_side.spawn(intake(stage.source, ends, tools));

    let (sink, dead_letters) = (Arc::new(stage.sink), Arc::new(stage.dead_letters));
    let links = Links {
        sink: Arc::clone(&sink),
        dead_letters: Arc::clone(&dead_letters),
        status: Arc::clone(&status),
        budget: Arc::clone(&budget),
        commits: ask_commit,
        halt,
    };
    let mut engine = match Engine::new(links, &stage.mapping, options, random) {
        Ok(engine) => engine,
        Err(fault) => {
            let summary =
                Summary { ending: Ending::Broken, totals: Totals::default(), left: Left::default() };
            return Err(Box::new(RunError { part: "mapper", fault, summary }));
        }
    };

    loop {
        let wake = engine.dispatch();
        if engine.is_finished() {
            break;
        }
        let deadline = engine.deadline();
        tokio::select! {
            // Completions come before new input: each gives back a permit and memory and moves a position, while input only
            // takes. The other way round, a source that is never empty would keep answers waiting, and with them everything
            // that depends on them. It cannot starve input, since there are only as many completions as there are permits.
            // The stop comes first of all, and it comes once.
            biased;
            () = stop.asked(), if !engine.is_stopping() => engine.stop(),
            () = sleep_until(deadline.unwrap_or_else(tokio::time::Instant::now)), if deadline.is_some() => break,
            Some(answer) = engine.writes.join_next() => engine.answered(answer),
            Some(written) = engine.letter_writes.join_next() => engine.letters_written(written),
            Some(commit) = committed_marks.recv() => engine.committed(commit),
            parcel = engine.workers.next(), if !engine.workers.is_empty() => engine.mapped(parcel),
            () = budget.runs_short() => {}
            () = sleep_until(wake.unwrap_or_else(tokio::time::Instant::now)), if wake.is_some() => {}
            event = incoming.recv(), if engine.may_read() => engine.came(event),
        }
    }

    // At a deadline something may be under way; what ended until now is worth a last commit all the same.
    engine.writes.abort_all();
    let _ = timeout(LAST_STEP, async {
        while engine.ask_last_commit() {
            let Some(commit) = committed_marks.recv().await else { break };
            engine.committed(commit);
        }
    })
    .await;
    drop(incoming);
    let outcome = engine.close();
    if timeout(LAST_STEP, source_side.join_next()).await.is_err() {
        tracing::warn!("the source did not close in time and was dropped");
    }
    let closing = [("sink", close(sink.close()).await), ("dead letters", close(dead_letters.close()).await)];
    let failed = closing.into_iter().find_map(|(part, closed)| Some((part, closed.err()?)));
    match (outcome, failed) {
        (Ok(summary), Some((part, fault))) => Err(Box::new(RunError { part, fault, summary })),
        (outcome, _) => outcome,
    }
}

/// Closes something that may hang.
async fn close(closing: impl Future<Output = Result<(), Fault>>) -> Result<(), Fault> {
    let late = || {
        let cause = format!("did not close within {} s", LAST_STEP.as_secs());
        Fault::new(FaultKind::Unreachable, cause, "what was delivered is safe; start again")
    };
    timeout(LAST_STEP, closing).await.unwrap_or_else(|_| Err(late()))
}
