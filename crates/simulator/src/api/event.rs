//! Events of a script: records with a time of their own for when they happened, what they say, and when they are shown.
//!
//! Owns what an event may leave out and what that means. The record's content is the tenant's business.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::faults::When;
use crate::clock::{Micros, SECOND};

/// On which side of a record with the same time another one stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Beside {
    /// Before it in ascending order: its id is lower.
    Before,
    /// After it: its id is higher.
    #[default]
    After,
}

/// One record, or some that differ in nothing but their ids.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// The activity type.
    #[serde(rename = "type")]
    pub activity_type: String,
    /// When it happened; as `created` when not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occurred: Option<When>,
    /// What its `created_at` says; the present when not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<When>,
    /// From when on the feed shows it; at once when not said, but not before `created`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub indexed: Option<When>,
    /// How many seconds later than that it is shown.
    #[serde(default)]
    pub shown_after_seconds: i64,
    /// How many of them.
    #[serde(default = "one")]
    pub count: usize,
    /// The id of a record whose `created_at` it shares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tied_with: Option<String>,
    /// On which side of that record it stands.
    #[serde(default)]
    pub beside: Beside,
    /// Fields with given values; the others are left to chance.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub fields: Map<String, Value>,
    /// The record's text after `created_at`, from the comma on, instead of all that: any text, damaged ones too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
}

fn one() -> usize {
    1
}

/// The three times of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) occurred: Micros,
    pub(crate) created: Micros,
    pub(crate) indexed: Micros,
}

impl Event {
    /// An event of that type, just now.
    #[must_use]
    pub fn new(activity_type: &str) -> Self {
        Self {
            activity_type: activity_type.to_owned(),
            occurred: None,
            created: None,
            indexed: None,
            shown_after_seconds: 0,
            count: 1,
            tied_with: None,
            beside: Beside::After,
            fields: Map::new(),
            raw: None,
        }
    }

    /// Its times, with seconds counted from `start`.
    ///
    /// # Errors
    ///
    /// Which of them is no time.
    pub(crate) fn times(&self, start: Micros, now: Micros) -> Result<Times, String> {
        let read = |name: &str, when: &Option<When>, usual: Micros| match when {
            None => Ok(usual),
            Some(when) => when
                .micros(start)
                .ok_or_else(|| format!("`{name}` is neither seconds after the start nor RFC 3339: {when:?}")),
        };
        let created = read("created", &self.created, now)?;
        let indexed = read("indexed", &self.indexed, now.max(created))?;
        Ok(Times {
            occurred: read("occurred", &self.occurred, created)?,
            created,
            indexed: indexed.saturating_add(self.shown_after_seconds.saturating_mul(SECOND)),
        })
    }

    /// The number of the nth record beside one with that number; nothing when there is none left.
    pub(crate) fn beside(&self, number: u128, nth: u128) -> Option<u128> {
        match self.beside {
            Beside::Before => number.checked_sub(nth),
            Beside::After => number.checked_add(nth),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_follows_from_what_is() {
        let at = |seconds| Some(When::Seconds(seconds));
        let times = |event: Event| {
            event.times(0, 100 * SECOND).map(|t| [t.occurred, t.created, t.indexed].map(|at| at / SECOND))
        };
        let event = Event::new("x");
        assert_eq!(times(event.clone()), Ok([100, 100, 100]));
        assert_eq!(times(Event { created: at(7), ..event.clone() }), Ok([7, 7, 100]));
        assert_eq!(
            times(Event { created: at(200), shown_after_seconds: 9, ..event.clone() }),
            Ok([200, 200, 209])
        );
        assert_eq!(
            times(Event { occurred: at(1), created: at(2), indexed: at(3), ..event.clone() }),
            Ok([1, 2, 3])
        );
        let noon = Event { occurred: Some(When::Time("noon".into())), ..event };
        assert!(times(noon).unwrap_err().contains("`occurred`"));
    }
}
