//! What one transaction covers, and how it is gathered while the one before is written.
//!
//! Owns reading and mapping for transactions: how much is worth one, and how long to wait for it. Must not know how it is
//! written.
//!
//! The subtle thing: gathering goes on and off between the steps of a write, so everything it has is in its fields and
//! nothing in a future.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use ingest::{Batch, Lane, Mark, Source};
use model::fault::{Fault, FaultKind};
use output::Rejection;
use tokio::time::{Instant, sleep_until};

use crate::dead::Letter;
use crate::mapping::{Parcel, expected_cost};
use crate::packer::Packed;
use crate::retry::Backoff;
use crate::status::Status;
use crate::transactional::TransactionalSource;
use crate::workers::Workers;

/// A part and the fault that ends the run.
pub(crate) type Broken = (&'static str, Fault);

/// What one transaction covers.
#[derive(Default)]
pub(crate) struct Load {
    pub(crate) parcels: Vec<Parcel>,
    pub(crate) cost: usize,
    /// Reckoned for batches that are being mapped.
    pub(crate) reckoned: usize,
    /// When the first batch came.
    pub(crate) since: Option<Instant>,
    /// Letters for documents that the sink refused; the next attempt goes without them.
    pub(crate) refused: BTreeMap<(Mark, u32), Letter>,
    /// Whether all letters are durable: those of the mapping, and those of what was refused.
    pub(crate) buried: bool,
}

impl Load {
    /// The last mark of each lane.
    pub(crate) fn marks(&self) -> Vec<Mark> {
        let mut last: BTreeMap<Lane, Mark> = BTreeMap::new();
        for parcel in &self.parcels {
            last.insert(parcel.mark.lane, parcel.mark);
        }
        last.into_values().collect()
    }

    /// Everything but what was refused.
    pub(crate) fn request(&self) -> Packed {
        let mut packed = Packed::default();
        for (at, parcel) in self.parcels.iter().enumerate() {
            let wanted = |document: &u32| !self.refused.contains_key(&(parcel.mark, *document));
            let which = (0..parcel.documents.len() as u32).filter(wanted).collect();
            packed.add(at as u64, &parcel.documents, which);
        }
        packed
    }

    /// The next attempt goes without a document.
    pub(crate) fn refuse(&mut self, parcel: u64, document: u32, rejection: Rejection) {
        let Some(parcel) = self.parcels.get(parcel as usize) else { return };
        if let Some(letter) = parcel.refused(document, rejection, 1) {
            self.refused.insert((parcel.mark, document), letter);
            self.buried = false;
        }
    }

    /// Everything that is to be in the dead letters.
    pub(crate) fn letters(&self) -> impl Iterator<Item = &Letter> {
        self.parcels.iter().flat_map(|parcel| &parcel.letters).chain(self.refused.values())
    }

    /// Drops what belongs to lanes that are ours no longer.
    pub(crate) fn retain(&mut self, holds: impl Fn(Mark) -> bool) {
        self.parcels.retain(|parcel| holds(parcel.mark));
        self.refused.retain(|(mark, _), _| holds(*mark));
    }

    pub(crate) fn records(&self) -> u64 {
        self.parcels.iter().map(Parcel::len).sum()
    }
}

/// Reading and mapping for the transaction to come.
pub(crate) struct Gathering {
    pub(crate) workers: Workers,
    pub(crate) load: Load,
    /// How much memory a load may take, and how long its first batch may wait.
    pub(crate) most: usize,
    pub(crate) linger: Duration,
    /// The number the next batch of each lane must have.
    pub(crate) due: HashMap<Lane, u64>,
    pub(crate) failures: u32,
    pub(crate) again: Option<Instant>,
    pub(crate) ended: bool,
    pub(crate) random: Rng,
    pub(crate) backoff: Backoff,
    pub(crate) status: Arc<Status>,
}

impl Gathering {
    /// Reads and maps until the load is worth a transaction. Dropping the future loses nothing.
    pub(crate) async fn fill<S: Source>(&mut self, source: &mut S) -> Result<(), Broken> {
        loop {
            let idle = self.workers.is_empty();
            let full = self.load.cost + self.load.reckoned >= self.most;
            let due = self.load.since.map(|since| since + self.linger);
            let enough = full || self.ended || due.is_some_and(|due| due <= Instant::now());
            if idle && enough {
                return Ok(());
            }
            let read = !enough && self.again.is_none() && self.workers.has_room();
            tokio::select! {
                // What is mapped frees a thread; only then is there use for more.
                biased;
                parcel = self.workers.next(), if !idle => self.mapped(parcel.map_err(|fault| ("mapper", fault))?),
                () = sleep_until(due.unwrap_or_else(Instant::now)), if idle && due.is_some() => {}
                () = sleep_until(self.again.unwrap_or_else(Instant::now)), if self.again.is_some() => self.again = None,
                next = source.next(), if read => self.came(next)?,
            }
        }
    }

    fn came(&mut self, next: Result<Option<Batch>, Fault>) -> Result<(), Broken> {
        match next {
            Ok(Some(batch)) => {
                self.failures = 0;
                self.status.source.worked();
                self.status.batches.add(1);
                self.status
                    .read_bytes
                    .add(batch.records.iter().map(|record| record.bytes.len() as u64).sum());
                let due = self.due.entry(batch.mark.lane).or_insert(batch.mark.batch);
                if *due != batch.mark.batch {
                    let cause = format!("{:?} came where batch {due} was due", batch.mark);
                    let advice = "this is a fault of the program; report it";
                    return Err(("source", Fault::new(FaultKind::Unusable, cause, advice)));
                }
                *due += 1;
                self.load.reckoned += expected_cost(&batch);
                self.load.since.get_or_insert_with(Instant::now);
                self.workers.submit(batch).map_err(|fault| ("mapper", fault))?;
            }
            Ok(None) => self.ended = true,
            Err(fault) => {
                self.status.source.failed(&fault);
                if fault.kind.is_final() {
                    return Err(("source", fault));
                }
                self.failures = self.failures.saturating_add(1);
                let delay = self.backoff.delay(self.failures, &fault, &mut self.random);
                self.again = Some(Instant::now() + delay);
            }
        }
        Ok(())
    }

    fn mapped(&mut self, mut parcel: Parcel) {
        self.status.met(&mut parcel);
        self.load.cost += parcel.cost;
        if self.workers.is_empty() {
            self.load.reckoned = 0;
        }
        self.load.parcels.push(parcel);
    }

    pub(crate) fn forget_lost_lanes<S: TransactionalSource>(&mut self, source: &S) {
        self.due.retain(|lane, due| source.holds(Mark { lane: *lane, batch: due.saturating_sub(1) }));
    }
}
