//! The last dead letters, for people who look.
//!
//! Owns what of a letter may be shown: why, where, when. Never what is in the record, nor what another program said of it,
//! since that may quote it.

use std::collections::VecDeque;
use std::sync::Mutex;

use chrono::{DateTime, Utc};

use super::numbers::lock;
use crate::dead::Letter;

/// How many are kept.
const MOST: usize = 50;

/// What is shown of a dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadNote {
    /// The short name of why.
    pub reason: String,
    /// How far it came.
    pub stage: &'static str,
    /// Where the record came from.
    pub place: String,
    /// When it was given up.
    pub time: DateTime<Utc>,
}

/// The last dead letters.
#[derive(Debug, Default)]
pub struct Recent(Mutex<VecDeque<DeadNote>>);

impl Recent {
    pub(super) fn note(&self, letter: &Letter) {
        let note = DeadNote {
            reason: letter.reason.clone(),
            stage: letter.stage.name(),
            place: letter.origin.to_string(),
            time: letter.time,
        };
        let mut notes = lock(&self.0);
        if notes.len() == MOST {
            notes.pop_front();
        }
        notes.push_back(note);
    }

    /// They, the last one first.
    #[must_use]
    pub fn get(&self) -> Vec<DeadNote> {
        lock(&self.0).iter().rev().cloned().collect()
    }
}
