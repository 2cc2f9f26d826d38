//! The last hour of a few numbers, for the charts of the status page.
//!
//! Owns a bounded row of moments, a fixed time apart. Must not know how they are drawn.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::Utc;
use serde_json::{Value, json};

use super::facts::{Behind, Facts};

/// How far moments are apart, and how many are kept: an hour.
pub(super) const STEP: Duration = Duration::from_secs(10);
const MOST: usize = 361;

/// A moment. All but the last two are totals since the start.
#[derive(Debug, Clone, Copy, Default)]
struct Moment {
    time: i64,
    read: u64,
    delivered: u64,
    duplicates: u64,
    dead: u64,
    behind: Option<f64>,
    in_flight: u64,
}

/// The row.
#[derive(Debug, Default)]
pub(super) struct History(Mutex<VecDeque<Moment>>);

impl History {
    /// Adds what is now.
    pub(super) fn note(&self, facts: &Facts) {
        let (status, now) = (&facts.status, Utc::now());
        let behind = match facts.behind(now) {
            Some(Behind::Seconds(seconds)) => Some(seconds),
            Some(Behind::Messages(messages)) => Some(messages as f64),
            None => facts.newest_age(now),
        };
        let moment = Moment {
            time: now.timestamp_millis(),
            read: status.read.get(),
            delivered: status.delivered.get(),
            duplicates: status.duplicates.get(),
            dead: status.dead.get().values().sum(),
            behind,
            in_flight: status.bytes_in_flight.get(),
        };
        let mut moments = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if moments.len() == MOST {
            moments.pop_front();
        }
        moments.push_back(moment);
    }

    /// The row as columns, the oldest moment first.
    pub(super) fn report(&self) -> Value {
        let moments = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let column = |of: fn(&Moment) -> Value| moments.iter().map(of).collect::<Vec<_>>();
        json!({
            "time": column(|moment| moment.time.into()),
            "read": column(|moment| moment.read.into()),
            "delivered": column(|moment| moment.delivered.into()),
            "duplicates": column(|moment| moment.duplicates.into()),
            "dead": column(|moment| moment.dead.into()),
            "behind": column(|moment| moment.behind.into()),
            "in_flight_bytes": column(|moment| moment.in_flight.into()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing;

    #[test]
    fn an_hour_is_kept_and_no_more() {
        let facts = testing::busy();
        for _ in 0..2 * super::MOST {
            facts.history.note(&facts);
        }
        let report = facts.history.report();
        for column in ["time", "read", "delivered", "duplicates", "dead", "behind", "in_flight_bytes"] {
            assert_eq!(report[column].as_array().unwrap().len(), super::MOST, "{column}");
        }
        assert_eq!(report["read"][0], 100);
    }
}
