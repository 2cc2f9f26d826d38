//! What arrived at a sink, held against what is true.
//!
//! Ids only, and only those that were not held against the truth yet: what is settled is forgotten. So an id that arrives
//! again afterwards is met as one that is not in the feed, which is as wrong, and is found at the end.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, MutexGuard};

use simulator::api::Truth;

/// What every id begins with, and the digits that follow.
const PREFIX: &str = "activity_01";
const DIGITS: usize = 22;

/// How many examples are kept of what is wrong.
const EXAMPLES: usize = 5;

/// The books of one sink.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<Books>);

#[derive(Debug, Default)]
struct Books {
    /// What arrived, and how often.
    arrived: HashMap<[u8; DIGITS], u32>,
    written: u64,
    settled: u64,
    lost: Wrong,
    doubled: Wrong,
    strange: Wrong,
}

/// Ids with which something is wrong.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wrong {
    pub(crate) count: u64,
    pub(crate) examples: Vec<String>,
}

impl Wrong {
    fn add(&mut self, id: &str) {
        self.count += 1;
        if self.examples.len() < EXAMPLES {
            self.examples.push(id.to_owned());
        }
    }
}

/// What the books say.
#[derive(Debug, Clone)]
pub(crate) struct Balance {
    /// Rows of the feed that were looked for.
    pub(crate) settled: u64,
    pub(crate) lost: Wrong,
    pub(crate) doubled: Wrong,
    /// What arrived and is not in the feed, or arrived again much later.
    pub(crate) strange: Wrong,
}

impl Ledger {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap()
    }

    /// Writes down what arrived; says whether it is new.
    pub(crate) fn note(&self, id: &str) -> bool {
        let mut books = self.books();
        books.written += 1;
        let Some(digits) = digits(id) else {
            books.strange.add(id);
            return true;
        };
        match books.arrived.entry(digits) {
            Entry::Vacant(place) => {
                place.insert(1);
                true
            }
            Entry::Occupied(mut place) => {
                *place.get_mut() += 1;
                false
            }
        }
    }

    /// Writes down what arrived at a sink that refuses what it has; says whether it was taken.
    pub(crate) fn create(&self, id: &str) -> bool {
        let known = digits(id).is_some_and(|digits| self.books().arrived.contains_key(&digits));
        !known && self.note(id)
    }

    /// How many arrived.
    pub(crate) fn written(&self) -> u64 {
        self.books().written
    }

    /// How many of these are not here.
    pub(crate) fn missing(&self, ids: &[String]) -> usize {
        let books = self.books();
        let here = |id: &String| digits(id).is_some_and(|digits| books.arrived.contains_key(&digits));
        ids.iter().filter(|id| !here(id)).count()
    }

    /// Holds rows against what arrived, and forgets both.
    pub(crate) fn settle(&self, rows: &[Truth]) {
        let mut books = self.books();
        for row in rows {
            books.settled += 1;
            match digits(&row.id).and_then(|digits| books.arrived.remove(&digits)) {
                None => books.lost.add(&row.id),
                Some(1) => {}
                Some(_) => books.doubled.add(&row.id),
            }
        }
    }

    /// The end: what is left is not in the feed.
    pub(crate) fn close(&self) -> Balance {
        let mut books = self.books();
        let left: Vec<String> = books
            .arrived
            .drain()
            .map(|(digits, _)| format!("{PREFIX}{}", String::from_utf8_lossy(&digits)))
            .collect();
        left.iter().for_each(|id| books.strange.add(id));
        let Books { settled, lost, doubled, strange, .. } = &*books;
        Balance { settled: *settled, lost: lost.clone(), doubled: doubled.clone(), strange: strange.clone() }
    }
}

fn digits(id: &str) -> Option<[u8; DIGITS]> {
    id.strip_prefix(PREFIX)?.as_bytes().try_into().ok()
}
