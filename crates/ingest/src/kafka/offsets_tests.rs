//! The bookkeeping under any order of events, against a model that knows the truth.

use super::*;
use proptest::prelude::*;

fn partition(number: i32) -> Partition {
    Partition { topic: "raw".into(), number }
}

#[test]
fn a_mark_stands_for_the_end_of_its_batch() {
    let mut lanes = Lanes::default();
    let lane = lanes.assign(partition(3));
    let marks = [10, 25, 26].map(|end| lanes.seal(lane, end).unwrap());
    assert_eq!(marks.map(|mark| mark.batch), [0, 1, 2]);
    assert!(lanes.positions(&marks).is_empty(), "nothing was handed out");
    assert!(marks.iter().all(|mark| lanes.hand_out(*mark)));
    let offsets = |lanes: &Lanes, marks: &[Mark]| -> Vec<_> {
        lanes.positions(marks).iter().map(|position| (position.partition.number, position.offset)).collect()
    };
    assert_eq!(offsets(&lanes, &[marks[1], marks[0]]), [(3, 25)]);
    lanes.committed(marks[1]);
    assert!(lanes.under_way(&partition(3)));
    assert!(lanes.positions(&marks[..2]).is_empty(), "committed already");
    assert_eq!(offsets(&lanes, &marks), [(3, 26)]);
    lanes.committed(marks[2]);
    assert!(!lanes.under_way(&partition(3)));
}

#[test]
fn marks_of_an_earlier_assignment_meet_nobody() {
    let mut lanes = Lanes::default();
    let first = lanes.assign(partition(0));
    let old = lanes.seal(first, 100).unwrap();
    assert!(lanes.hand_out(old));
    assert_eq!(lanes.forget(&partition(0)), 1);
    let second = lanes.assign(partition(0));
    assert_ne!(first, second);
    let new = lanes.seal(second, 51).unwrap();
    assert!(lanes.hand_out(new));
    assert!(lanes.positions(&[old]).is_empty());
    assert!(!lanes.all_ours(&[old, new]) && lanes.all_ours(&[new]));
    lanes.committed(old);
    assert!(lanes.under_way(&partition(0)), "a late mark must not count for the new lane");
    assert_eq!(lanes.seal(first, 120), None);
}

#[test]
fn a_leaving_lane_hands_out_nothing_and_can_be_committed() {
    let mut lanes = Lanes::default();
    let lane = lanes.assign(partition(0));
    let (out, queued) = (lanes.seal(lane, 1).unwrap(), lanes.seal(lane, 2).unwrap());
    assert!(lanes.hand_out(out));
    lanes.leave(&partition(0));
    assert!(!lanes.hand_out(queued));
    assert_eq!(lanes.seal(lane, 3), None);
    assert!(lanes.under_way(&partition(0)));
    assert_eq!(lanes.positions(&[out]).len(), 1);
    lanes.committed(out);
    assert!(!lanes.under_way(&partition(0)), "what only waited in the queue holds up nothing");
    assert_eq!(lanes.forget(&partition(0)), 0);
}

#[derive(Debug, Clone)]
enum Event {
    Assign(i32),
    Seal {
        partition: i32,
        messages: i64,
    },
    HandOut,
    /// The n-th batch under way ends.
    Finish(usize),
    /// What has ended from the front of each lane is committed; the broker may refuse.
    Commit {
        accepted: bool,
    },
    /// Marks of anything that ever was are committed again.
    Late(usize),
    Leave(i32),
    Forget(i32),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        2 => (0..3i32).prop_map(Event::Assign),
        8 => (0..3i32, 1..5i64).prop_map(|(partition, messages)| Event::Seal { partition, messages }),
        8 => Just(Event::HandOut),
        8 => any::<usize>().prop_map(Event::Finish),
        5 => any::<bool>().prop_map(|accepted| Event::Commit { accepted }),
        2 => any::<usize>().prop_map(Event::Late),
        1 => (0..3i32).prop_map(Event::Leave),
        1 => (0..3i32).prop_map(Event::Forget),
    ]
}

/// What is true: every message of each partition, and whether it has ended.
#[derive(Default)]
struct World {
    lanes: Lanes,
    /// By partition: the broker's position, the reader's position, and what has ended.
    stored: [i64; 3],
    reading: [i64; 3],
    ended: [std::collections::BTreeSet<i64>; 3],
    queue: VecDeque<(Mark, i32, std::ops::Range<i64>)>,
    under_way: Vec<(Mark, i32, std::ops::Range<i64>)>,
    /// Lane by lane, batches that ended, in any order; the pipeline commits the run at the front.
    done: BTreeMap<Lane, (u64, std::collections::BTreeSet<u64>)>,
    ever: Vec<Mark>,
}

impl World {
    fn front(&mut self) -> Vec<Mark> {
        let mut marks = Vec::new();
        for (lane, (next, done)) in &mut self.done {
            while done.remove(next) {
                *next += 1;
            }
            if let Some(batch) = next.checked_sub(1) {
                marks.push(Mark { lane: *lane, batch });
            }
        }
        marks
    }

    fn commit(&mut self, marks: &[Mark], accepted: bool) {
        for position in self.lanes.positions(marks) {
            let number = position.partition.number as usize;
            // The heart of it: everything before a position that leaves for the broker has ended.
            for message in 0..position.offset {
                assert!(self.ended[number].contains(&message), "{message} of {number} is lost");
            }
            if accepted {
                assert!(position.offset > self.stored[number], "a position went backwards");
                self.stored[number] = position.offset;
                self.lanes.committed(position.mark);
            }
        }
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::Assign(number) => {
                self.lanes.assign(partition(number));
                self.reading[number as usize] = self.stored[number as usize];
            }
            Event::Seal { partition: number, messages } => {
                let Some(lane) = self.lanes.lane(&partition(number)) else { return };
                let from = self.reading[number as usize];
                if let Some(mark) = self.lanes.seal(lane, from + messages) {
                    self.reading[number as usize] += messages;
                    self.queue.push_back((mark, number, from..from + messages));
                    self.ever.push(mark);
                }
            }
            Event::HandOut => {
                if let Some(batch) = self.queue.pop_front()
                    && self.lanes.hand_out(batch.0)
                {
                    self.under_way.push(batch);
                }
            }
            Event::Finish(which) => {
                if self.under_way.is_empty() {
                    return;
                }
                let (mark, number, messages) = self.under_way.swap_remove(which % self.under_way.len());
                self.ended[number as usize].extend(messages);
                self.done.entry(mark.lane).or_default().1.insert(mark.batch);
            }
            Event::Commit { accepted } => {
                let marks = self.front();
                self.commit(&marks, accepted);
            }
            Event::Late(which) => {
                // Only marks the pipeline may name: at or before the front of their lane.
                let front = self.front();
                if let Some(mark) = self.ever.get(which % self.ever.len().max(1)).copied()
                    && front.iter().any(|other| other.lane == mark.lane && mark.batch <= other.batch)
                {
                    self.commit(&[mark], true);
                }
            }
            Event::Leave(number) => self.lanes.leave(&partition(number)),
            Event::Forget(number) => {
                self.lanes.forget(&partition(number));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_position_passes_what_has_not_ended_and_all_ended_is_all_committed(events in prop::collection::vec(event(), 1..200)) {
        let mut world = World::default();
        for event in events {
            world.apply(event);
        }
        // Let everything that was handed out end, and commit it.
        while !world.queue.is_empty() {
            world.apply(Event::HandOut);
        }
        while !world.under_way.is_empty() {
            world.apply(Event::Finish(0));
        }
        world.apply(Event::Commit { accepted: true });
        for number in 0..3 {
            prop_assert!(!world.lanes.under_way(&partition(number)));
            let leaving = world.lanes.lane(&partition(number)).and_then(|lane| world.lanes.lanes.get(&lane)).is_none_or(|state| state.leaving);
            if !leaving {
                prop_assert_eq!(world.stored[number as usize], world.reading[number as usize]);
            }
        }
    }
}
