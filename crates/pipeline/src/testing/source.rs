//! A source of several partitions, which are taken away and given back at random.

use ingest::file::Kind;
use ingest::{Batch, Lane, Mark, Origin, RawRecord, Source};
use model::fault::{Fault, FaultKind};
use tokio::time::sleep;

use super::{Inner, LaneState, World, fault};
use crate::TransactionalSource;

pub(crate) struct FakeSource {
    world: World,
    topic: std::sync::Arc<str>,
}

impl FakeSource {
    /// A new start: whatever lanes there were are nobody's.
    pub(crate) fn open(world: &World) -> Self {
        let mut inner = world.lock();
        inner.stopped_intake = false;
        inner.lanes.values_mut().for_each(|lane| lane.owned = false);
        for partition in 0..inner.partitions.len() {
            inner.assign(partition);
        }
        drop(inner);
        Self { world: world.clone(), topic: "raw".into() }
    }
}

impl Inner {
    fn assign(&mut self, partition: usize) {
        let at = self.partitions[partition].committed;
        let lane = Lane(self.next_lane);
        self.next_lane += 1;
        self.lanes.insert(lane, LaneState { partition, ends: Vec::new(), at, owned: true });
    }

    fn owned(&self) -> Vec<Lane> {
        self.lanes.iter().filter(|(_, lane)| lane.owned).map(|(lane, _)| *lane).collect()
    }

    /// The next batch of one of the lanes.
    fn batch(&mut self, topic: &std::sync::Arc<str>) -> Option<Batch> {
        let unread =
            |lane: &Lane| self.lanes[lane].at < self.partitions[self.lanes[lane].partition].messages.len();
        let lanes: Vec<Lane> = self.owned().into_iter().filter(unread).collect();
        let lane = lanes[..].get(self.random.usize(0..lanes.len().max(1)))?;
        let most = self.chaos.batch;
        let size = if self.percent(5) { 0 } else { self.random.usize(1..=most.max(1)) };
        let state = self.lanes.get_mut(lane).unwrap();
        let messages = &self.partitions[state.partition].messages;
        let end = (state.at + size).min(messages.len());
        let record = |at: usize| RawRecord {
            bytes: messages[at].bytes.clone(),
            kind: Kind::Record,
            origin: Origin::Kafka {
                topic: topic.clone(),
                partition: state.partition as i32,
                offset: at as i64,
                item: 0,
            },
        };
        let records = (state.at..end).map(record).collect();
        let mark = Mark { lane: *lane, batch: state.ends.len() as u64 };
        state.at = end;
        state.ends.push(end);
        Some(Batch::new(mark, records))
    }

    pub(crate) fn carry_out(&mut self, mark: Mark) {
        let Some(lane) = self.lanes.get(&mark.lane).filter(|lane| lane.owned) else { return };
        let Some(end) = lane.ends.get(mark.batch as usize).copied() else {
            self.violations.push(format!("{mark:?} was never given"));
            return;
        };
        let partition = &self.partitions[lane.partition];
        let passed = partition.messages.get(partition.committed..end).unwrap_or_default();
        let open: Vec<String> = passed
            .iter()
            .flat_map(|message| &message.records)
            .filter(|record| !self.has_ended(record))
            .map(|record| format!("{mark:?} passes {}", record.id))
            .collect();
        self.violations.extend(open);
        let partition = lane.partition;
        self.partitions[partition].committed = self.partitions[partition].committed.max(end);
    }
}

impl Source for FakeSource {
    async fn next(&mut self) -> Result<Option<Batch>, Fault> {
        let pause = {
            let mut inner = self.world.lock();
            inner.reads += 1;
            let chance = inner.chaos.pause;
            if inner.percent(chance) { Some(inner.delay()) } else { None }
        };
        if let Some(pause) = pause {
            sleep(pause).await;
        }
        let mut inner = self.world.lock();
        if inner.stopped_intake {
            inner.violations.push("a read after the intake was stopped".into());
        }
        if !inner.read_script.is_empty() {
            return Err(inner.read_script.remove(0));
        }
        let (faults, revocations) = (inner.chaos.source_fault, inner.chaos.revocation);
        if inner.percent(faults) {
            return Err(fault(FaultKind::Unreachable));
        }
        if inner.percent(revocations) {
            let owned = inner.owned();
            let lane = owned[inner.random.usize(0..owned.len())];
            let state = inner.lanes.get_mut(&lane).unwrap();
            state.owned = false;
            let partition = state.partition;
            inner.assign(partition);
        }
        Ok(inner.batch(&self.topic))
    }

    async fn commit(&mut self, marks: &[Mark]) -> Result<(), Fault> {
        let (pause, before, after) = {
            let mut inner = self.world.lock();
            if !inner.commit_script.is_empty() {
                return Err(inner.commit_script.remove(0));
            }
            let chance = inner.chaos.commit_fault;
            (inner.delay(), inner.percent(chance), inner.percent(chance))
        };
        sleep(pause).await;
        if before {
            return Err(fault(FaultKind::Unreachable));
        }
        let mut inner = self.world.lock();
        inner.commits += 1;
        for mark in marks {
            inner.carry_out(*mark);
        }
        if after { Err(fault(FaultKind::Unreachable)) } else { Ok(()) }
    }

    fn stop_intake(&mut self) {
        self.world.lock().stopped_intake = true;
    }

    async fn close(self) {}
}

impl TransactionalSource for FakeSource {
    type Positions = Vec<Mark>;

    fn holds(&self, mark: Mark) -> bool {
        self.world.lock().lanes.get(&mark.lane).is_some_and(|lane| lane.owned)
    }

    fn positions(&mut self, marks: &[Mark]) -> Option<Vec<Mark>> {
        marks.iter().all(|mark| self.holds(*mark)).then(|| marks.to_vec())
    }

    fn committed(&mut self, _: &[Mark]) {}
}
