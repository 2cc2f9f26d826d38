//! What the run does at each event.
//!
//! Owns everything under way: which parcel has how much to end, what is sent, what is committed. Each method takes one event
//! and returns at once; the waiting is done in `run`.
//!
//! The subtle thing: a record ends in one of two places, `answered` and `letters_written`, and both go through
//! [`Engine::end`]. Nothing else moves the ledger, so nothing else can move a position.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use fastrand::Rng;
use ingest::Mark;
use mapper::Mapping;
use model::fault::{Fault, FaultKind};
use output::{Outcome, Sink};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tracing::Instrument;

use crate::budget::Budget;
use crate::config::Options;
use crate::dead::DeadLetters;
use crate::delivery::{Delivery, Shipment};
use crate::intake::{Commit, FromSource};
use crate::ledger::Ledger;
use crate::letters::Letters;
use crate::mapping::Parcel;
use crate::run::{Ending, Left, RunError, Summary};
use crate::spans;
use crate::status::Status;
use crate::stop::StopHandle;
use crate::workers::Workers;

/// Throttling is everyday life; the sink counts as down when it lasts this many answers.
const THROTTLED_IS_DOWN: u32 = 4;

/// What an engine works on.
pub(crate) struct Links<K, D> {
    pub(crate) sink: Arc<K>,
    pub(crate) dead_letters: Arc<D>,
    pub(crate) status: Arc<Status>,
    pub(crate) budget: Arc<Budget>,
    /// Asks the source's side for a commit; one at a time.
    pub(crate) commits: mpsc::Sender<Vec<Mark>>,
    /// Tells it to read no more.
    pub(crate) halt: StopHandle,
}

/// Parts that a final fault can put out of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Source,
    Mapper,
    Sink,
    DeadLetters,
    Commits,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Mapper => "mapper",
            Self::Sink => "sink",
            Self::DeadLetters => "dead letters",
            Self::Commits => "commits",
        }
    }
}

/// The state of a run.
pub(crate) struct Engine<K, D> {
    links: Links<K, D>,
    options: Options,
    ledger: Ledger,
    parcels: HashMap<u64, Parcel>,
    parcel_numbers: u64,
    /// What was taken of the budget for each batch with the mappers, in their order.
    reckoned: VecDeque<usize>,
    pub(crate) workers: Workers,
    delivery: Delivery,
    /// Requests under way.
    pub(crate) writes: JoinSet<(Shipment, Result<Vec<Outcome>, Fault>)>,
    letters: Letters,
    /// Letters under way; one write at a time.
    pub(crate) letter_writes: JoinSet<Result<(), Fault>>,
    throttled: u32,
    committing: bool,
    commit_due: Instant,
    commit_failures: u32,
    commit_not_before: Option<Instant>,
    random: Rng,
    intake_open: bool,
    ending: Option<Ending>,
    deadline: Option<Instant>,
    broken: Vec<(Part, Fault)>,
}

impl<K: Sink, D: DeadLetters> Engine<K, D> {
    pub(crate) fn new(
        links: Links<K, D>,
        mapping: &Arc<Mapping>,
        options: &Options,
        mut random: Rng,
    ) -> Result<Self, Fault> {
        let most = links.sink.most_in_flight();
        Ok(Self {
            workers: Workers::start(mapping, options.decode, options.threads)?,
            delivery: Delivery::new(options.packing, most, options.backoff, random.fork()),
            letters: Letters::new(options.backoff, random.fork()),
            links,
            options: *options,
            ledger: Ledger::default(),
            parcels: HashMap::new(),
            parcel_numbers: 0,
            reckoned: VecDeque::new(),
            writes: JoinSet::new(),
            letter_writes: JoinSet::new(),
            throttled: 0,
            committing: false,
            commit_due: Instant::now() + options.commit_interval,
            commit_failures: 0,
            commit_not_before: None,
            random,
            intake_open: true,
            ending: None,
            deadline: None,
            broken: Vec::new(),
        })
    }

    // === events

    /// Something came from the source.
    pub(crate) fn came(&mut self, event: Option<FromSource>) {
        match event {
            Some(FromSource::Batch(batch, cost)) => {
                let status = &self.links.status;
                status.batches.add(1);
                status.read_bytes.add(batch.records.iter().map(|record| record.bytes.len() as u64).sum());
                if let Err(hole) = self.ledger.admit(batch.mark) {
                    self.links.budget.release(cost);
                    let advice = "this is a fault of the program; report it";
                    self.broke(Part::Source, Fault::new(FaultKind::Unusable, hole.to_string(), advice));
                    return;
                }
                self.reckoned.push_back(cost);
                if let Err(fault) = self.workers.submit(batch) {
                    self.broke(Part::Mapper, fault);
                }
            }
            Some(FromSource::End) => {
                self.intake_open = false;
                self.ending.get_or_insert(Ending::SourceEnded);
            }
            Some(FromSource::Broken(fault)) => {
                self.intake_open = false;
                self.broke(Part::Source, fault);
            }
            None => {
                self.intake_open = false;
                if self.ending.is_none() {
                    let advice = "this is a fault of the program; report it";
                    let cause = "the source's task ended by itself";
                    self.broke(Part::Source, Fault::new(FaultKind::Unusable, cause, advice));
                }
            }
        }
    }

    /// A batch is mapped.
    pub(crate) fn mapped(&mut self, parcel: Result<Parcel, Fault>) {
        let mut parcel = match parcel {
            Ok(parcel) => parcel,
            Err(fault) => return self.broke(Part::Mapper, fault),
        };
        let status = &self.links.status;
        status.read.add(parcel.len());
        status.mapped.add(parcel.documents.len() as u64);
        status.met(&mut parcel);
        let reckoned = self.reckoned.pop_front().unwrap_or_default();
        self.links.budget.adjust(reckoned, parcel.cost);
        self.ledger.expect(parcel.mark, parcel.len());
        if parcel.is_empty() {
            self.links.budget.release(parcel.cost);
            return;
        }
        let number = self.parcel_numbers;
        self.parcel_numbers += 1;
        self.delivery.offer(number, &parcel.documents, Instant::now());
        for letter in std::mem::take(&mut parcel.letters) {
            self.letters.push(number, letter);
        }
        self.parcels.insert(number, parcel);
    }

    /// The sink answered.
    pub(crate) fn answered(&mut self, answer: Result<(Shipment, Result<Vec<Outcome>, Fault>), JoinError>) {
        let (shipment, answer) = match answer {
            Ok(answer) => answer,
            Err(error) => {
                let cause = format!("a write ended by itself: {error}");
                let advice = "this is a fault of the program; report it";
                return self.broke(Part::Sink, Fault::new(FaultKind::Unusable, cause, advice));
            }
        };
        let verdict = self.delivery.answered(shipment, answer, Instant::now());
        let status = Arc::clone(&self.links.status);
        status.delivered.add(verdict.delivered);
        status.duplicates.add(verdict.duplicates);
        status.retried.add(verdict.retried);
        for (parcel, count) in verdict.ended {
            self.end(parcel, count);
        }
        for refused in verdict.refused {
            let parcel = self.parcels.get(&refused.parcel);
            let letter = parcel
                .and_then(|parcel| parcel.refused(refused.document, refused.rejection, refused.attempts));
            if let Some(letter) = letter {
                self.letters.push(refused.parcel, letter);
            }
        }
        if verdict.progress {
            self.throttled = 0;
            status.sink.worked();
        }
        match verdict.fault {
            Some(fault) if fault.kind.is_final() => self.broke(Part::Sink, fault),
            Some(fault) if !verdict.progress => {
                self.throttled += 1;
                if fault.kind != FaultKind::Throttled || self.throttled >= THROTTLED_IS_DOWN {
                    status.sink.failed(&fault);
                }
            }
            _ => {}
        }
    }

    /// Letters were written, or not.
    pub(crate) fn letters_written(&mut self, written: Result<Result<(), Fault>, JoinError>) {
        let written = written.unwrap_or_else(|error| {
            let cause = format!("writing dead letters ended by itself: {error}");
            Err(Fault::new(FaultKind::Unusable, cause, "this is a fault of the program; report it"))
        });
        match written {
            Ok(()) => {
                self.links.status.dead_letters.worked();
                for (parcel, letter) in self.letters.written() {
                    self.links.status.buried(&letter);
                    self.end(parcel, 1);
                }
            }
            Err(fault) => {
                self.links.status.dead_letters.failed(&fault);
                self.letters.failed(&fault, Instant::now());
                if fault.kind.is_final() {
                    self.broke(Part::DeadLetters, fault);
                }
            }
        }
    }

    /// The source committed, or not.
    pub(crate) fn committed(&mut self, (marks, result): Commit) {
        self.committing = false;
        match result {
            Ok(()) => {
                self.links.status.positions.worked();
                self.links.status.committed();
                self.ledger.committed(&marks);
                self.commit_failures = 0;
                self.commit_not_before = None;
            }
            Err(fault) => {
                self.links.status.positions.failed(&fault);
                self.commit_failures = self.commit_failures.saturating_add(1);
                let delay = self.options.backoff.delay(self.commit_failures, &fault, &mut self.random);
                self.commit_not_before = Some(Instant::now() + delay);
                if fault.kind.is_final() {
                    self.broke(Part::Commits, fault);
                }
            }
        }
    }

    /// The run is to end.
    pub(crate) fn stop(&mut self) {
        tracing::info!(batches = self.ledger.open_batches(), "stopping; delivering what was read");
        self.ending = Some(Ending::Stopped);
        self.drain_under_deadline();
    }

    /// Some records of a parcel have ended.
    fn end(&mut self, number: u64, count: u64) {
        let Some(parcel) = self.parcels.get(&number) else { return };
        if self.ledger.end(parcel.mark, count) {
            self.links.budget.release(parcel.cost);
            self.links.status.ended(parcel);
            self.parcels.remove(&number);
        }
    }

    /// Waiting cannot help.
    fn broke(&mut self, part: Part, fault: Fault) {
        if !self.is_broken(part) {
            tracing::error!(part = part.name(), kind = fault.kind.name(), %fault, "this ends the run");
            self.broken.push((part, fault));
        }
        self.ending.get_or_insert(Ending::Broken);
        self.drain_under_deadline();
    }

    fn drain_under_deadline(&mut self) {
        self.links.halt.stop();
        self.deadline.get_or_insert(Instant::now() + self.options.drain_timeout);
    }

    // === what to do next

    /// Starts whatever may be started, and says when to look again if nothing happens.
    pub(crate) fn dispatch(&mut self) -> Option<Instant> {
        let now = Instant::now();
        // Company for what waits in the packer comes from the source. There is none when that has ended, nor when the source
        // waits for the memory that just this takes.
        let starved = self.links.budget.is_short() && self.writes.is_empty();
        let flush = (!self.intake_open || starved) && self.workers.is_empty();
        let mut wake = [None; 3];
        if !self.is_broken(Part::Sink) {
            while let Some(shipment) = self.delivery.take(now, flush) {
                self.links.status.requests.add(1);
                let (sink, status) = (Arc::clone(&self.links.sink), Arc::clone(&self.links.status));
                let parcels = shipment.packed.parcels.iter().filter_map(|parcel| self.parcels.get(parcel));
                let batches = parcels.map(|parcel| &parcel.span);
                let span = spans::write(&shipment.packed.request, shipment.attempts, batches);
                self.writes.spawn(async move {
                    let answer = sink.write(&shipment.packed.request).instrument(span.clone()).await;
                    spans::written(&span, &answer);
                    status.tried(&shipment.packed.request, now.elapsed());
                    (shipment, answer)
                });
            }
            wake[0] = self.delivery.due(now, flush);
        }
        if !self.is_broken(Part::DeadLetters) {
            if let Some(letters) = self.letters.take(now) {
                let dead_letters = Arc::clone(&self.links.dead_letters);
                let span = spans::bury(letters.len());
                self.letter_writes.spawn(async move {
                    let written = dead_letters.write(letters).instrument(span.clone()).await;
                    spans::ended(&span, &written);
                    written
                });
            }
            wake[1] = self.letters.due(now);
        }
        if self.commit_at(now).is_some_and(|at| at <= now) {
            self.commit();
        }
        wake[2] = self.commit_at(now);
        self.show();
        wake.into_iter().flatten().min()
    }

    /// When to commit next; `None` while there is nothing to commit, or one is under way.
    fn commit_at(&self, now: Instant) -> Option<Instant> {
        if self.committing || self.is_broken(Part::Commits) || !self.ledger.has_ready() {
            return None;
        }
        // At the end there is nothing to wait for but a fault to pass.
        let due = if self.is_settled() { now } else { self.commit_due };
        Some(self.commit_not_before.map_or(due, |at| at.max(due)))
    }

    fn commit(&mut self) {
        let marks = self.ledger.ready();
        self.committing = self.links.commits.try_send(marks).is_ok();
        self.commit_due = Instant::now() + self.options.commit_interval;
    }

    /// Asks once more for a commit, if that makes sense. Gives whether one is under way.
    pub(crate) fn ask_last_commit(&mut self) -> bool {
        if !self.committing && self.commit_failures == 0 && self.ledger.has_ready() {
            self.commit();
        }
        self.committing
    }

    fn show(&self) {
        let status = &self.links.status;
        let (requests, limit) = self.delivery.in_flight();
        status.bytes_in_flight.set(self.links.budget.used() as u64);
        status.peak_bytes.set(self.links.budget.peak() as u64);
        status.open_batches.set(self.ledger.open_batches() as u64);
        status.requests_in_flight.set(requests as u64);
        status.request_limit.set(limit as u64);
    }

    // === where it stands

    fn is_broken(&self, part: Part) -> bool {
        self.broken.iter().any(|(broken, _)| *broken == part)
    }

    /// Whether everything that can end has ended.
    fn is_settled(&self) -> bool {
        let sink = if self.is_broken(Part::Sink) { self.writes.is_empty() } else { self.delivery.is_empty() };
        let letters = self.letters.is_empty() || self.is_broken(Part::DeadLetters);
        let workers = self.workers.is_empty() || self.is_broken(Part::Mapper);
        !self.intake_open && workers && sink && letters && self.letter_writes.is_empty()
    }

    /// Whether everything is done.
    pub(crate) fn is_finished(&self) -> bool {
        let committed = self.is_broken(Part::Commits) || !self.ledger.has_ready();
        self.is_settled() && committed && !self.committing
    }

    /// Whether the next event of the source is wanted.
    pub(crate) fn may_read(&self) -> bool {
        self.intake_open && (self.workers.has_room() || self.is_broken(Part::Mapper))
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.ending == Some(Ending::Stopped)
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The end: lets go of everything and says what was done.
    pub(crate) fn close(self) -> Result<Summary, Box<RunError>> {
        let left = Left {
            batches: self.ledger.open_batches(),
            records: self.ledger.open_records(),
            uncommitted: self.ledger.ready().len(),
        };
        let ending = self.ending.unwrap_or(Ending::SourceEnded);
        let summary = Summary { ending, totals: self.links.status.totals(), left };
        match self.broken.into_iter().next() {
            Some((part, fault)) => Err(Box::new(RunError { part: part.name(), fault, summary })),
            None => Ok(summary),
        }
    }
}
