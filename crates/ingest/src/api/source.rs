//! The source: the reader, its wires and its disk, put together.
//!
//! Owns what is kept when records have ended, and in which order. Must not decide what is read.
//!
//! What is left of the budget is kept on its own, with each request: it has nothing to do with what was delivered.
//!
//! The subtle thing is that order: first the ids of delivered records, then the position with its attestations, then the
//! attestations' own file. A crash between two of them leaves ids of records that are delivered, or lines that the next start
//! adds; never a position ahead of what was delivered.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use model::fault::{Fault, FaultKind};
use tokio::time::{Instant, sleep_until};

use super::allowance::{self, Allowance};
use super::attestation::{Attestation, Attestations};
use super::client::{Client, Event, Exchange};
use super::config::Settings;
use super::position::Position;
use super::query::{Order, Question};
use super::reader::{Broke, Known, Now, Portion, Reader, Step};
use super::refusal::{Head, classify};
use super::seen::{Key, Lookup, Seen, SeenStore};
use super::spans::{Found, Spans};
use super::time::Micros;
use super::trouble::unreachable;
use super::watch::Watch;
use crate::checkpoint::Checkpoint;
use crate::source::{Batch, Lane, Mark, Source};

/// The name of the position in the state folder.
pub const NAME: &str = "compliance_api";

/// There is one order: a batch counts when all before it have ended.
const LANE: Lane = Lane(0);

/// The files in a state folder that belong to this source and may be removed to begin anew. Attestations stay, and so does
/// what is left of the budget: to begin anew is no reason to ask at once.
#[must_use]
pub fn files(folder: &Path) -> [PathBuf; 2] {
    [folder.join(format!("{NAME}.state")), folder.join(format!("{NAME}.ids"))]
}

/// The time, replaceable in tests.
#[derive(Clone)]
pub(super) struct Clock {
    wall: Arc<dyn Fn() -> Micros + Send + Sync>,
    started: Instant,
}

impl Clock {
    pub(super) fn new(wall: impl Fn() -> Micros + Send + Sync + 'static) -> Self {
        Self { wall: Arc::new(wall), started: Instant::now() }
    }

    fn now(&self) -> Now {
        Now { wall: (self.wall)(), steady: self.started.elapsed() }
    }
}

/// Reads the feed.
pub struct ComplianceApiSource {
    reader: Reader,
    client: Client,
    clock: Clock,
    exchange: Option<Exchange>,
    spans: Spans,
    allowance: Allowance,
    seen: Arc<SeenStore>,
    keeper: Arc<Mutex<Keeper>>,
    next_batch: u64,
    /// What was given and has not ended.
    pending: VecDeque<Pending>,
}

struct Pending {
    batch: u64,
    seen: Vec<Seen>,
    position: Option<Box<Position>>,
}

impl ComplianceApiSource {
    /// Takes the state folder, reads what is kept there, and gets ready. No server is reached. Waits for the disk.
    ///
    /// # Errors
    ///
    /// Another process has the folder; what is kept there cannot be used or was made under other filters; a file that the
    /// settings name cannot be read.
    pub fn open(settings: &Settings, folder: &Path) -> Result<Self, Fault> {
        Self::with_clock(settings, folder, Clock::new(Micros::now), Rng::new())
    }

    pub(super) fn with_clock(
        settings: &Settings,
        folder: &Path,
        clock: Clock,
        random: Rng,
    ) -> Result<Self, Fault> {
        for warning in settings.warnings() {
            tracing::warn!("{warning}");
        }
        let checkpoint = Checkpoint::open(folder, NAME)?;
        let kept: Option<Position> = checkpoint.load()?;
        let client = Client::new(settings)?;
        let ids = folder.join(format!("{NAME}.ids"));
        match (&kept, ids.exists()) {
            (Some(_), false) => {
                tracing::warn!(file = %ids.display(), "the ids of delivered records are not there; records of the last days may be delivered again");
            }
            // To begin anew is to deliver anew.
            (None, true) => std::fs::remove_file(&ids).map_err(|error| {
                let cause = format!("removing {} failed: {error}", ids.display());
                Fault::new(FaultKind::Storage, cause, "remove it by hand")
            })?,
            _ => {}
        }
        let unwritten = kept.as_ref().map(|kept| kept.outbox.clone()).unwrap_or_default();
        let mut reader = Reader::new(settings.rules.clone(), kept, clock.now(), random)?;
        reader.position.outbox.clear();
        let allowance = Allowance::at(allowance::path_in(folder));
        allowance.resume(&mut reader.budget, clock.now());
        let seen = Arc::new(SeenStore::open(&ids)?);
        let mut attestations = Attestations::open(folder)?;
        attestations.add(&unwritten)?;
        let keeper = Keeper { checkpoint, seen: Arc::clone(&seen), attestations, unwritten: Vec::new() };
        let position = &reader.position;
        tracing::info!(high = %position.high, walks = position.walks.len(), gaps = position.gaps.len(), "reading the feed from here on");
        Ok(Self {
            reader,
            client,
            clock,
            exchange: None,
            spans: Spans::default(),
            allowance,
            seen,
            keeper: Arc::new(Mutex::new(keeper)),
            next_batch: 0,
            pending: VecDeque::new(),
        })
    }

    /// Its counters.
    #[must_use]
    pub fn watch(&self) -> Arc<Watch> {
        self.reader.watch()
    }

    fn batch(&mut self, portion: Portion) -> Batch {
        let batch = self.next_batch;
        self.next_batch += 1;
        let Portion { records, seen, position } = portion;
        let whole = position.is_some();
        self.pending.push_back(Pending { batch, seen, position });
        let made = self.spans.within(|| Batch::new(Mark { lane: LANE, batch }, records));
        if whole {
            self.spans.over();
        }
        made
    }

    /// Takes what came of the request under way. A batch, if it made one.
    fn came(&mut self, event: Event) -> Result<Option<Portion>, Fault> {
        let now = self.clock.now();
        match event {
            Event::Head(head) => {
                if matches!(head.status, 401 | 403 | 404) {
                    self.client.refused();
                }
                self.spans.head(&head);
                self.reader.head(*head, now)?;
                Ok(None)
            }
            Event::Piece(piece) => {
                let mut lookup = self.seen.reader()?;
                self.reader.piece(&piece, &mut lookup, now)
            }
            Event::End => {
                self.exchange = None;
                let before = Found::by(&self.reader.watch);
                let portion = self.reader.end(now).map_err(|fault| self.discreet(fault))?;
                self.spans.came(&self.reader, before);
                self.reader.watch.worked();
                Ok(Some(portion))
            }
            Event::Broke(broke, cause) => Err(self.reader.broke(broke, cause, now)),
        }
    }

    /// Something failed. What was asked for must be kept at once: the process may be ended while it waits.
    fn failed(&mut self, fault: Fault) -> Fault {
        let now = self.clock.now();
        self.allowance.keep(&self.reader.budget, now);
        self.reader.watch.failed(&fault, now.wall);
        self.spans.failed(&fault);
        fault
    }

    /// A server that says the key aloud is not quoted.
    fn discreet(&self, mut fault: Fault) -> Fault {
        if self.client.reveals(fault.cause.as_bytes()) {
            fault.cause = "the API refused the request, in words that hold the key and are not shown".into();
        }
        fault
    }
}

impl Known for Lookup {
    fn has(&mut self, key: Key) -> Result<bool, Fault> {
        Lookup::has(self, key)
    }
}

impl Source for ComplianceApiSource {
    async fn next(&mut self) -> Result<Option<Batch>, Fault> {
        loop {
            if let Some(exchange) = &mut self.exchange {
                let event = exchange.next().await;
                match self.came(event) {
                    Ok(None) => {}
                    Ok(Some(portion)) => return Ok(Some(self.batch(portion))),
                    Err(fault) => {
                        if self.exchange.take().is_some() {
                            // It ended in the middle, by us.
                            self.reader.broke(Broke::Connection, fault.cause.clone(), self.clock.now());
                        }
                        return Err(self.failed(fault));
                    }
                }
                continue;
            }
            let now = self.clock.now();
            match self.reader.step(now) {
                Step::Give(portion) => return Ok(Some(self.batch(portion))),
                Step::Wait(until) => sleep_until(self.clock.started + until).await,
                Step::End => return Ok(None),
                Step::Send(query) => {
                    self.allowance.keep(&self.reader.budget, now);
                    self.spans.sent(&self.reader, self.client.server());
                    match self.client.start(&query) {
                        Ok(exchange) => self.exchange = Some(exchange),
                        Err(fault) => {
                            self.reader.broke(Broke::Connection, fault.cause.clone(), self.clock.now());
                            return Err(self.failed(fault));
                        }
                    }
                }
            }
        }
    }

    async fn commit(&mut self, marks: &[Mark]) -> Result<(), Fault> {
        let Some(last) = marks.iter().filter(|mark| mark.lane == LANE).map(|mark| mark.batch).max() else {
            return Ok(());
        };
        let ended = self.pending.iter().take_while(|pending| pending.batch <= last).count();
        let seen: Vec<Seen> =
            self.pending.iter().take(ended).flat_map(|pending| pending.seen.iter().copied()).collect();
        let positions: Vec<&Position> =
            self.pending.iter().take(ended).filter_map(|pending| pending.position.as_deref()).collect();
        let lines = positions.iter().flat_map(|position| position.outbox.iter().cloned()).collect();
        let position = positions.last().map(|position| (*position).clone());
        let forget = self.reader.forget_before(position.as_ref().unwrap_or(&self.reader.position));
        let (keeper, kept) = (Arc::clone(&self.keeper), seen.clone());
        let keeping = tokio::task::spawn_blocking(move || {
            let mut keeper = keeper.lock().unwrap_or_else(PoisonError::into_inner);
            keeper.keep(&kept, forget, position, lines)
        });
        let broken = |_| Err(Fault::new(FaultKind::Storage, "keeping the position was broken off", ""));
        keeping.await.unwrap_or_else(broken)?;
        self.pending.drain(..ended);
        self.reader.delivered(&seen);
        Ok(())
    }

    fn stop_intake(&mut self) {
        self.exchange = None;
        self.spans.over();
    }

    async fn close(self) {}
}

/// Everything on disk.
pub(super) struct Keeper {
    checkpoint: Checkpoint,
    seen: Arc<SeenStore>,
    attestations: Attestations,
    /// Lines that are in the kept position and may not be in their file.
    unwritten: Vec<Attestation>,
}

impl Keeper {
    /// Keeps what has ended. Calling it again with the same changes nothing.
    fn keep(
        &mut self,
        seen: &[Seen],
        forget: Micros,
        position: Option<Position>,
        lines: Vec<Attestation>,
    ) -> Result<(), Fault> {
        self.seen.add(seen, forget)?;
        let Some(mut position) = position else { return Ok(()) };
        for line in lines {
            if !self.unwritten.iter().any(|known| known.sequence == line.sequence) {
                self.unwritten.push(line);
            }
        }
        position.outbox.clone_from(&self.unwritten);
        self.checkpoint.save(&position)?;
        self.attestations.add(&self.unwritten)?;
        self.unwritten.clear();
        Ok(())
    }
}

/// Asks the API for one row of the last hour.
///
/// # Errors
///
/// What stands in the way: the key, a scope, the address.
pub async fn probe(settings: &Settings) -> Result<String, Fault> {
    let client = Client::new(settings)?;
    let rules = &settings.rules;
    let now = Micros::now();
    let question = Question {
        filters: &rules.filters,
        types: None,
        order: Order::Asc,
        from: now.before(Duration::from_secs(3_600)),
        to: now,
        cursor: None,
        limit: 1,
    };
    let mut exchange = client.start(&question.text())?;
    let (mut answer, mut body) = (Head::default(), Vec::new());
    loop {
        match exchange.next().await {
            Event::Head(head) => answer = *head,
            Event::Piece(piece) if body.len() < 1 << 20 => body.extend_from_slice(&piece),
            Event::Piece(_) => {}
            Event::Broke(_, cause) => {
                return Err(unreachable(cause));
            }
            Event::End => break,
        }
    }
    if answer.status != 200 {
        let (_, fault) = classify(&answer, &body, rules, false);
        return Err(if client.reveals(fault.cause.as_bytes()) {
            Fault { cause: format!("the API answered {}", answer.status), ..fault }
        } else {
            fault
        });
    }
    let whose = answer.organization.map_or_else(String::new, |id| format!(", organization {id}"));
    let left =
        answer.remaining.map_or_else(String::new, |left| format!(", {left} requests left this minute"));
    Ok(format!("{} lets us read activities{whose}{left}", rules.filters.base_url))
}
