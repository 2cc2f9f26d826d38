//! A sink with transactions: what is written is seen when it is committed, with the positions, and not at all otherwise.

use ingest::Mark;
use model::fault::{Fault, FaultKind};
use output::{Outcome, Rejection, Request};
use tokio::time::sleep;

use super::{Fate, World, fault};
use crate::{Transaction, TransactionalSink};

pub(crate) struct FakeTransactions {
    world: World,
    producer: u64,
}

impl FakeTransactions {
    /// A new producer; it fences the one before, and what that had open is undone.
    pub(crate) fn open(world: &World) -> Self {
        let mut inner = world.lock();
        inner.producer += 1;
        inner.transaction = None;
        let producer = inner.producer;
        drop(inner);
        Self { world: world.clone(), producer }
    }

    /// Waits a little, and fails at times.
    async fn step(&self) -> Result<(), Fault> {
        let (delay, failing) = {
            let mut inner = self.world.lock();
            let chance = inner.chaos.request_fault / 2;
            (inner.delay(), inner.percent(chance))
        };
        sleep(delay).await;
        let inner = self.world.lock();
        if inner.producer != self.producer {
            return Err(fault(FaultKind::Taken));
        }
        if failing || inner.is_out(&inner.chaos.outages) {
            Err(fault(FaultKind::Unreachable))
        } else {
            Ok(())
        }
    }
}

impl TransactionalSink<Vec<Mark>> for FakeTransactions {
    type Open<'s> = Open<'s>;

    async fn begin(&mut self) -> Result<Open<'_>, Fault> {
        self.step().await?;
        // What was left open is undone.
        let mut inner = self.world.lock();
        inner.transaction = Some(Vec::new());
        inner.spoilt = false;
        drop(inner);
        Ok(Open(self))
    }

    async fn close(self) -> Result<(), Fault> {
        Ok(())
    }
}

/// A transaction that was begun.
pub(crate) struct Open<'s>(&'s FakeTransactions);

impl Transaction<Vec<Mark>> for Open<'_> {
    async fn write(&mut self, request: &Request) -> Result<Vec<Outcome>, Fault> {
        self.0.step().await?;
        let mut inner = self.0.world.lock();
        let (retry, limit) = (inner.chaos.item_retry / 10, inner.chaos.request_limit);
        // Some brokers refuse the request as a whole.
        if request.len() > 20 && inner.percent(retry) {
            return Err(fault(FaultKind::TooLarge));
        }
        let mut outcomes = Vec::new();
        let mut taken_back = false;
        for document in request.documents() {
            let fate = inner.fates.get(document.id).copied().unwrap_or(Fate::Delivered);
            outcomes.push(if taken_back {
                Outcome::Retry(fault(FaultKind::Unreachable))
            } else if fate == Fate::Refused || document.line.len() > limit {
                taken_back = inner.chaos.taking_back;
                let reason = "message_too_large".into();
                Outcome::Rejected(Rejection { reason, detail: "planted".into() })
            } else if inner.percent(retry) {
                Outcome::Retry(fault(FaultKind::Unreachable))
            } else {
                match &mut inner.transaction {
                    Some(written) => written.push(document.id.to_owned()),
                    None => inner.violations.push("a write outside of a transaction".into()),
                }
                Outcome::Delivered
            });
        }
        inner.spoilt |= outcomes.iter().any(|outcome| *outcome != Outcome::Delivered);
        Ok(outcomes)
    }

    async fn commit(self, positions: Vec<Mark>) -> Result<(), Fault> {
        if let Err(fault) = self.0.step().await {
            let _ = self.abort().await;
            return Err(fault);
        }
        let mut inner = self.0.world.lock();
        let held = |mark: &Mark| inner.lanes.get(&mark.lane).is_some_and(|lane| lane.owned);
        let held = positions.iter().all(held);
        let written = inner.transaction.take();
        if !held {
            return Err(fault(FaultKind::Throttled));
        }
        if inner.spoilt {
            inner.violations.push("a commit without all that was written".into());
        }
        match written {
            None => inner.violations.push("a commit of nothing that is open".into()),
            Some(written) => written.into_iter().for_each(|id| *inner.store.entry(id).or_default() += 1),
        }
        positions.iter().for_each(|mark| inner.carry_out(*mark));
        Ok(())
    }

    async fn abort(self) -> Result<(), Fault> {
        self.0.step().await?;
        self.0.world.lock().transaction = None;
        Ok(())
    }
}
