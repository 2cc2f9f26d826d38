//! A sink with transactions: what is written is seen when it is committed, with the positions, and not at all otherwise.

use ingest::Mark;
use model::fault::{Fault, FaultKind};
use output::{Outcome, Rejection, Request};
use tokio::time::sleep;

use super::{Fate, World, fault};
use crate::{CommitFault, TransactionalSink};

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
        inner.last_committed = false;
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
    async fn begin(&self) -> Result<(), Fault> {
        self.step().await?;
        let mut inner = self.world.lock();
        if inner.transaction.is_some() {
            inner.violations.push("two transactions at a time".into());
        }
        inner.transaction = Some(Vec::new());
        inner.last_committed = false;
        Ok(())
    }

    async fn write(&self, request: &Request) -> Result<Vec<Outcome>, Fault> {
        self.step().await?;
        let mut inner = self.world.lock();
        let (retry, limit) = (inner.chaos.item_retry / 10, inner.chaos.request_limit);
        let mut outcomes = Vec::new();
        for document in request.documents() {
            let fate = inner.fates.get(document.id).copied().unwrap_or(Fate::Delivered);
            outcomes.push(if fate == Fate::Refused || document.line.len() > limit {
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
        Ok(outcomes)
    }

    async fn commit(&self, positions: &Vec<Mark>) -> Result<(), CommitFault> {
        self.step().await.map_err(CommitFault::Unknown)?;
        let lost = {
            let mut inner = self.world.lock();
            if !inner.last_committed {
                let held = |mark: &Mark| inner.lanes.get(&mark.lane).is_some_and(|lane| lane.owned);
                if !positions.iter().all(held) {
                    return Err(CommitFault::Refused(fault(FaultKind::Throttled)));
                }
                for id in inner.transaction.take().unwrap_or_default() {
                    *inner.store.entry(id).or_default() += 1;
                }
                positions.iter().for_each(|mark| inner.carry_out(*mark));
                inner.last_committed = true;
            }
            let chance = inner.chaos.commit_fault;
            inner.percent(chance)
        };
        if lost { Err(CommitFault::Unknown(fault(FaultKind::Unreachable))) } else { Ok(()) }
    }

    async fn abort(&self) -> Result<(), Fault> {
        self.step().await?;
        self.world.lock().transaction = None;
        Ok(())
    }

    async fn close(&self) -> Result<(), Fault> {
        Ok(())
    }
}
