//! What a walk found, counted and hashed, across pages and restarts.
//!
//! Owns the counts and the running SHA-256 over record ids. Must not know where records go.
//!
//! The subtle thing: the hash goes on after a restart, so its inner state is part of the kept position.

use serde::{Deserialize, Serialize};
use sha2::digest::common::hazmat::{SerializableState, SerializedState};
use sha2::{Digest, Sha256};

use super::seen::Key;
use super::time::Micros;
use crate::checkpoint::hex;

/// How many request ids are kept of one walk; of more, only how many there were.
const MOST_REQUESTS: usize = 200;

/// Counts of a walk.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tally {
    /// Pages that came whole.
    pub pages: u64,
    /// Records in them.
    pub records: u64,
    /// Records that had not been given before.
    pub new: u64,
    /// Of these, those that were not there when their time was read first.
    pub late: u64,
    /// Records that had been given before.
    pub duplicates: u64,
    /// Records without an id that can be read.
    pub without_id: u64,
    /// How late the latest was, in seconds.
    pub lateness: u64,
    /// The first row's cursor.
    pub first_cursor: Option<String>,
    /// The last row's cursor.
    pub last_cursor: Option<String>,
    /// The answers, by their request ids.
    pub request_ids: Vec<String>,
    /// How many more there were.
    pub more_requests: u64,
    /// Whether something was left out of it, which is a gap now.
    pub gaps: u64,
    /// Records that this same walk had met before: a page that repeats the one before, a walk that had to go on by the time.
    /// They are in none of the other counts, nor in the hash: what is counted can be found once.
    #[serde(default)]
    pub repeats: u64,
    /// The records of the last row's time, which are those that can be met again.
    #[serde(default)]
    edge: Edge,
    hash: Running,
}

/// Records that share their time with the last row.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Edge {
    time: Micros,
    keys: Vec<Key>,
}

/// More records than this share no time, or are not told apart.
const MOST_TIED: usize = 20_000;

/// A SHA-256 under way.
#[derive(Clone, Default)]
struct Running(Sha256);

impl Tally {
    /// Notes the id of a record, or what stands for one.
    pub(super) fn id(&mut self, id: &[u8]) {
        self.hash.0.update(id);
        self.hash.0.update(b"\n");
    }

    /// Whether this walk has met a record before, by its time and what stands for it; notes it if not.
    pub(super) fn repeats(&mut self, created: Option<Micros>, key: Key) -> bool {
        let Some(time) = created else { return false };
        let edge = &mut self.edge;
        if edge.time != time {
            edge.time = time;
            edge.keys.clear();
        }
        let repeats = edge.keys.contains(&key);
        if repeats {
            self.repeats += 1;
        } else if edge.keys.len() < MOST_TIED {
            edge.keys.push(key);
        }
        repeats
    }

    /// Notes an answer.
    pub(super) fn request(&mut self, id: &str) {
        if self.request_ids.len() < MOST_REQUESTS {
            self.request_ids.push(id.to_owned());
        } else {
            self.more_requests += 1;
        }
    }

    /// SHA-256 over the ids in the order in which they came, each followed by a line end.
    #[must_use]
    pub fn ids_sha256(&self) -> String {
        hex(&self.hash.0.clone().finalize())
    }
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex(&self.0.serialize()))
    }
}

impl PartialEq for Running {
    fn eq(&self, other: &Self) -> bool {
        self.0.serialize() == other.0.serialize()
    }
}

impl Serialize for Running {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex(&SerializableState::serialize(&self.0)))
    }
}

impl<'de> Deserialize<'de> for Running {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wrong = || serde::de::Error::custom("this is no state of a SHA-256");
        let text = String::deserialize(deserializer)?;
        let digits = text
            .as_bytes()
            .chunks_exact(2)
            .map(|pair| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok()));
        let bytes: Vec<u8> = digits.collect::<Option<_>>().ok_or_else(wrong)?;
        let state = SerializedState::<Sha256>::try_from(bytes.as_slice()).map_err(|_| wrong())?;
        Sha256::deserialize(&state).map(Self).map_err(|_| wrong())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_goes_on_after_a_restart() {
        let ids: Vec<String> = (0..100).map(|id| format!("activity_{id}")).collect();
        let mut tally = Tally::default();
        for id in &ids {
            tally.id(id.as_bytes());
            let text = serde_json::to_string(&tally).unwrap();
            tally = serde_json::from_str(&text).unwrap();
        }
        let expected = hex(&Sha256::digest(ids.iter().map(|id| format!("{id}\n")).collect::<String>()));
        assert_eq!(tally.ids_sha256(), expected);
        for wrong in ["", "zz", "00"] {
            let text = serde_json::to_string(&Tally::default()).unwrap();
            let state = hex(&SerializableState::serialize(&Sha256::new()));
            assert!(serde_json::from_str::<Tally>(&text.replace(&state, wrong)).is_err(), "{wrong}");
        }
    }
}
