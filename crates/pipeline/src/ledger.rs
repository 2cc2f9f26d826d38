//! What is under way, by lane, and how far each lane may be committed.
//!
//! Owns the one rule on which nothing lost rests: a mark may be committed when every record at or before it in its lane
//! has ended. Pure: no IO, no clock; it does not know what a record is or how one ends.
//!
//! The subtle thing: only open batches are kept. Everything below the oldest of them in a lane has ended, and what ended
//! above it needs no entry, since batches are counted up by one: so a single record that cannot end for days costs one
//! entry, however much passes it by. A lane of which all is committed is forgotten, since rebalances make new ones without
//! end.

use std::collections::{BTreeMap, HashMap};

use ingest::{Lane, Mark};

/// A source that breaks its promise to count batches up by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("batch {} of lane {} came where batch {expected} was due", .got.batch, .got.lane.0)]
pub(crate) struct OutOfTurn {
    /// What came.
    pub(crate) got: Mark,
    /// Which number was due.
    pub(crate) expected: u64,
}

/// The batches under way.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    lanes: HashMap<Lane, Progress>,
    open: usize,
    records: u64,
}

#[derive(Debug)]
struct Progress {
    /// The number the next batch will have.
    next: u64,
    /// Batches before this number are committed.
    committed: u64,
    /// How many records of a batch have not ended; `None` until they are counted.
    open: BTreeMap<u64, Option<u64>>,
}

impl Progress {
    /// Batches before this number have ended.
    fn ended(&self) -> u64 {
        self.open.first_key_value().map_or(self.next, |(batch, _)| *batch)
    }

    fn is_idle(&self) -> bool {
        self.open.is_empty() && self.committed == self.next
    }
}

impl Ledger {
    /// Notes a batch that came from the source. Until [`Ledger::expect`] it counts as unfinished.
    ///
    /// # Errors
    ///
    /// When it is not the one that was due; a hole could then be committed. The batch is not noted.
    pub(crate) fn admit(&mut self, mark: Mark) -> Result<(), OutOfTurn> {
        let lane = self.lanes.entry(mark.lane).or_insert_with(|| Progress {
            next: mark.batch,
            committed: mark.batch,
            open: BTreeMap::new(),
        });
        if lane.next != mark.batch {
            return Err(OutOfTurn { got: mark, expected: lane.next });
        }
        lane.next += 1;
        lane.open.insert(mark.batch, None);
        self.open += 1;
        Ok(())
    }

    /// Says how many records of a batch are to end; it may be none.
    pub(crate) fn expect(&mut self, mark: Mark, records: u64) {
        let left = self.lanes.get_mut(&mark.lane).and_then(|lane| lane.open.get_mut(&mark.batch));
        if let Some(left @ None) = left {
            *left = Some(records);
            self.records += records;
            self.close_if_done(mark);
        }
    }

    /// Notes that some records of a batch ended. Gives whether it was the last of them.
    ///
    /// More than were expected are a fault of the caller; the batch then stays open for good, which commits too little and
    /// never too much.
    pub(crate) fn end(&mut self, mark: Mark, records: u64) -> bool {
        let left = self.lanes.get_mut(&mark.lane).and_then(|lane| lane.open.get_mut(&mark.batch));
        let Some(Some(left)) = left else { return false };
        let Some(rest) = left.checked_sub(records) else {
            *left = u64::MAX;
            return false;
        };
        *left = rest;
        self.records -= records;
        self.close_if_done(mark)
    }

    fn close_if_done(&mut self, mark: Mark) -> bool {
        let Some(lane) = self.lanes.get_mut(&mark.lane) else { return false };
        let done = lane.open.get(&mark.batch) == Some(&Some(0));
        if done {
            lane.open.remove(&mark.batch);
            self.open -= 1;
        }
        done
    }

    /// For each lane that has moved, the mark up to which it may be committed.
    #[must_use]
    pub(crate) fn ready(&self) -> Vec<Mark> {
        let moved = self.lanes.iter().filter(|(_, progress)| progress.ended() > progress.committed);
        let mut marks: Vec<Mark> =
            moved.map(|(lane, progress)| Mark { lane: *lane, batch: progress.ended() - 1 }).collect();
        marks.sort_unstable();
        marks
    }

    /// Whether [`Ledger::ready`] would give anything.
    #[must_use]
    pub(crate) fn has_ready(&self) -> bool {
        self.lanes.values().any(|progress| progress.ended() > progress.committed)
    }

    /// Notes what the source committed.
    pub(crate) fn committed(&mut self, marks: &[Mark]) {
        for mark in marks {
            let Some(lane) = self.lanes.get_mut(&mark.lane) else { continue };
            lane.committed = lane.committed.max(mark.batch.saturating_add(1).min(lane.ended()));
            if lane.is_idle() {
                self.lanes.remove(&mark.lane);
            }
        }
    }

    /// How many batches have not ended.
    #[must_use]
    pub(crate) fn open_batches(&self) -> usize {
        self.open
    }

    /// How many counted records have not ended.
    #[must_use]
    pub(crate) fn open_records(&self) -> u64 {
        self.records
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mark(lane: u64, batch: u64) -> Mark {
        Mark { lane: Lane(lane), batch }
    }

    #[test]
    fn a_mark_waits_for_everything_before_it() {
        let mut ledger = Ledger::default();
        for batch in 0..3 {
            ledger.admit(mark(1, batch)).unwrap();
            ledger.expect(mark(1, batch), 2);
        }
        assert!(ledger.end(mark(1, 2), 2));
        assert!(!ledger.end(mark(1, 0), 1));
        assert_eq!(ledger.ready(), []);
        assert!(ledger.end(mark(1, 0), 1));
        assert_eq!(ledger.ready(), [mark(1, 0)]);
        ledger.committed(&[mark(1, 0)]);
        assert_eq!(ledger.ready(), []);
        assert!(ledger.end(mark(1, 1), 2));
        assert_eq!(ledger.ready(), [mark(1, 2)]);
        assert_eq!((ledger.open_batches(), ledger.open_records()), (0, 0));
    }

    #[test]
    fn an_uncounted_batch_is_unfinished_and_an_empty_one_is_not() {
        let mut ledger = Ledger::default();
        ledger.admit(mark(1, 0)).unwrap();
        ledger.admit(mark(1, 1)).unwrap();
        ledger.expect(mark(1, 1), 0);
        assert_eq!(ledger.ready(), []);
        ledger.expect(mark(1, 0), 0);
        assert_eq!(ledger.ready(), [mark(1, 1)]);
    }

    #[test]
    fn a_hole_in_the_numbers_is_refused() {
        let mut ledger = Ledger::default();
        ledger.admit(mark(1, 0)).unwrap();
        assert_eq!(ledger.admit(mark(1, 2)), Err(OutOfTurn { got: mark(1, 2), expected: 1 }));
        assert!(ledger.admit(mark(1, 0)).is_err());
    }

    #[test]
    fn ending_too_much_never_commits() {
        let mut ledger = Ledger::default();
        ledger.admit(mark(1, 0)).unwrap();
        ledger.expect(mark(1, 0), 1);
        assert!(!ledger.end(mark(1, 0), 2));
        assert!(!ledger.end(mark(1, 0), 1));
        assert_eq!(ledger.ready(), []);
    }

    #[test]
    fn lanes_that_are_done_are_forgotten() {
        let mut ledger = Ledger::default();
        for lane in 0..1_000 {
            ledger.admit(mark(lane, 0)).unwrap();
            ledger.expect(mark(lane, 0), 0);
            ledger.committed(&ledger.ready());
        }
        assert!(ledger.lanes.is_empty());
        ledger.admit(mark(7, 1)).unwrap();
        ledger.expect(mark(7, 1), 0);
        assert_eq!(ledger.ready(), [mark(7, 1)]);
    }

    proptest! {
        /// Against a plain list of every record: whatever the order in which they end, what is ready never covers an
        /// unfinished one, covers all it may, and one stuck batch costs one entry.
        #[test]
        fn ready_is_the_longest_prefix(
            sizes in prop::collection::vec((0_u64..3, 0_u64..4), 1..40),
            order in prop::collection::vec(any::<prop::sample::Index>(), 0..120),
            commit_every in 1_usize..6,
        ) {
            let mut ledger = Ledger::default();
            let mut model: Vec<(Mark, u64)> = Vec::new();
            let mut numbers = [0_u64; 3];
            for (lane, size) in sizes {
                let mark = mark(lane, numbers[lane as usize]);
                numbers[lane as usize] += 1;
                ledger.admit(mark).unwrap();
                ledger.expect(mark, size);
                model.push((mark, size));
            }
            let mut committed = [0_u64; 3];
            for (step, index) in order.iter().enumerate() {
                let open: Vec<usize> = (0..model.len()).filter(|at| model[*at].1 > 0).collect();
                if open.is_empty() { break; }
                let at = open[index.index(open.len())];
                model[at].1 -= 1;
                prop_assert_eq!(ledger.end(model[at].0, 1), model[at].1 == 0);
                let unfinished = model.iter().filter(|(_, left)| *left > 0).count();
                prop_assert_eq!(ledger.open_batches(), unfinished);
                let kept: usize = ledger.lanes.values().map(|lane| lane.open.len()).sum();
                prop_assert_eq!(kept, unfinished);
                let expected: Vec<Mark> = (0..3_u64).filter_map(|lane| {
                    let mut own = model.iter().filter(|(mark, _)| mark.lane.0 == lane);
                    let prefix = own.by_ref().take_while(|(_, left)| *left == 0).count() as u64;
                    (prefix > committed[lane as usize]).then(|| mark(lane, prefix - 1))
                }).collect();
                prop_assert_eq!(&ledger.ready(), &expected);
                prop_assert_eq!(ledger.has_ready(), !expected.is_empty());
                if step % commit_every == 0 {
                    for mark in &expected { committed[mark.lane.0 as usize] = mark.batch + 1; }
                    ledger.committed(&expected);
                    prop_assert_eq!(ledger.ready(), []);
                }
            }
        }
    }
}
