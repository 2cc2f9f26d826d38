//! Which offsets stand for which marks: the bookkeeping of positions, without any IO.
//!
//! Owns lanes (one assignment of one partition each), the batches cut from them, and how far each was committed. Must not
//! know Kafka's client, time or threads, so that tests can try any order of events.
//!
//! The one subtle thing: a lane's number is never used again. A partition that goes away and comes back is another lane, so
//! a late mark of the first meets nobody and can neither move nor hold up the second.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use crate::{Lane, Mark};

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Partition {
    pub(crate) topic: Arc<str>,
    pub(crate) number: i32,
}

/// A position to be committed: `offset` is the next message to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) mark: Mark,
    pub(crate) partition: Partition,
    pub(crate) offset: i64,
}

#[derive(Debug)]
struct State {
    partition: Partition,
    /// Where each batch ends that is not committed yet, the first of them being batch number `first`.
    ends: VecDeque<i64>,
    first: u64,
    /// How many batches were handed out.
    handed_out: u64,
    /// The last position that is durable, once there is one.
    committed: Option<i64>,
    /// Nothing more is handed out: the partition is being given away.
    leaving: bool,
}

/// All lanes.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    next: u64,
    lanes: BTreeMap<Lane, State>,
    by_partition: HashMap<Partition, Lane>,
}

impl Lanes {
    /// A partition is ours from now on. An earlier lane of it is forgotten.
    pub(crate) fn assign(&mut self, partition: Partition) -> Lane {
        self.forget(&partition);
        let lane = Lane(self.next);
        self.next += 1;
        self.by_partition.insert(partition.clone(), lane);
        let state = State {
            partition,
            ends: VecDeque::new(),
            first: 0,
            handed_out: 0,
            committed: None,
            leaving: false,
        };
        self.lanes.insert(lane, state);
        lane
    }

    /// The lane of a partition that is ours.
    pub(crate) fn lane(&self, partition: &Partition) -> Option<Lane> {
        self.by_partition.get(partition).copied()
    }

    /// The next batch of a lane ends before `offset`. `None` when the lane is gone or leaving: the batch is to be dropped.
    pub(crate) fn seal(&mut self, lane: Lane, offset: i64) -> Option<Mark> {
        let state = self.lanes.get_mut(&lane).filter(|state| !state.leaving)?;
        let batch = state.first + state.ends.len() as u64;
        state.ends.push_back(offset);
        Some(Mark { lane, batch })
    }

    /// A batch leaves our hands. False when it must not any more.
    pub(crate) fn hand_out(&mut self, mark: Mark) -> bool {
        let Some(state) = self.lanes.get_mut(&mark.lane).filter(|state| !state.leaving) else { return false };
        state.handed_out = state.handed_out.max(mark.batch + 1);
        true
    }

    /// The positions that marks stand for. Passed over: lanes that are gone, what is committed already, and batches that
    /// were never handed out.
    pub(crate) fn positions(&self, marks: &[Mark]) -> Vec<Position> {
        let mut latest: BTreeMap<Lane, u64> = BTreeMap::new();
        for mark in marks {
            let batch = latest.entry(mark.lane).or_insert(mark.batch);
            *batch = mark.batch.max(*batch);
        }
        let position = |(lane, batch): (Lane, u64)| {
            let state = self.lanes.get(&lane).filter(|state| batch < state.handed_out)?;
            let offset = *state.ends.get(usize::try_from(batch.checked_sub(state.first)?).ok()?)?;
            Some(Position { mark: Mark { lane, batch }, partition: state.partition.clone(), offset })
        };
        latest.into_iter().filter_map(position).collect()
    }

    /// The partitions that are ours, each with the position that was committed last since it is.
    pub(crate) fn partitions(&self) -> impl Iterator<Item = (&Partition, Option<i64>)> {
        self.lanes.values().map(|state| (&state.partition, state.committed))
    }

    /// Whether every lane of these marks is ours still.
    pub(crate) fn all_ours(&self, marks: &[Mark]) -> bool {
        marks.iter().all(|mark| self.lanes.contains_key(&mark.lane))
    }

    /// The position of this mark is durable.
    pub(crate) fn committed(&mut self, mark: Mark) {
        let Some(state) = self.lanes.get_mut(&mark.lane) else { return };
        while state.first <= mark.batch
            && let Some(end) = state.ends.pop_front()
        {
            state.first += 1;
            state.committed = Some(end);
        }
    }

    /// Nothing more is to be handed out from this partition.
    pub(crate) fn leave(&mut self, partition: &Partition) {
        if let Some(state) = self.by_partition.get(partition).and_then(|lane| self.lanes.get_mut(lane)) {
            state.leaving = true;
        }
    }

    /// Whether something of this partition was handed out and is not committed.
    pub(crate) fn under_way(&self, partition: &Partition) -> bool {
        let lane = self.by_partition.get(partition).and_then(|lane| self.lanes.get(lane));
        lane.is_some_and(|state| state.first < state.handed_out)
    }

    /// The partition is ours no longer. Gives how many batches were handed out and not committed.
    pub(crate) fn forget(&mut self, partition: &Partition) -> u64 {
        let state = self.by_partition.remove(partition).and_then(|lane| self.lanes.remove(&lane));
        state.map_or(0, |state| state.handed_out.saturating_sub(state.first))
    }
}

#[cfg(test)]
#[path = "offsets_tests.rs"]
mod tests;
