//! Points in time as the feed has them: microseconds since 1970, in UTC.
//!
//! Owns reading the forms in which the API writes a time, and the one form in which we send one. Must not know windows.
//!
//! The subtle thing: we never send an offset. A literal `+00:00` in a query decodes to a space and draws a 400; `Z` cannot.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Microseconds since 1970.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Micros(pub i64);

impl Micros {
    /// Earlier by a duration.
    #[must_use]
    pub fn before(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(micros(duration)))
    }

    /// Later by a duration.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(micros(duration)))
    }

    /// How long it is from an earlier time to this one; nothing if it is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// What the clock of this machine says.
    #[must_use]
    pub fn now() -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self(micros(since))
    }

    /// A time as the API writes it: any number of fraction digits, with an offset or, as in the directory, without (UTC).
    /// What is finer than a microsecond is cut off.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let zoned = DateTime::parse_from_rfc3339(text).map(|time| time.timestamp_micros());
        zoned
            .or_else(|_| text.parse::<NaiveDateTime>().map(|time| time.and_utc().timestamp_micros()))
            .ok()
            .map(Self)
    }

    /// The `date` header of an answer, which knows seconds.
    #[must_use]
    pub fn parse_http(text: &str) -> Option<Self> {
        DateTime::parse_from_rfc2822(text).ok().map(|time| Self(time.timestamp_micros()))
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DateTime::<Utc>::from_timestamp_micros(self.0) {
            Some(time) => f.write_str(&time.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
            None => write!(f, "{} us", self.0),
        }
    }
}

impl Serialize for Micros {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Micros {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom(format!("`{text}` is no time")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_time_is_the_same_time() {
        let same = [
            "2026-04-10T08:09:10Z",
            "2026-04-10T08:09:10.000+00:00",
            "2026-04-10T08:09:10.000000",
            "2026-04-10T10:09:10+02:00",
        ];
        for text in same {
            assert_eq!(Micros::parse(text), Some(Micros(1_775_808_550_000_000)), "{text}");
        }
        assert_eq!(Micros::parse_http("Fri, 10 Apr 2026 08:09:10 GMT"), Some(Micros(1_775_808_550_000_000)));
        for text in ["", "2026-04-10", "yesterday"] {
            assert_eq!(Micros::parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_sent_is_exact_and_has_no_offset() {
        for micros in [1_775_808_550_000_000, 1_775_808_550_123_456, 1_775_808_550_000_001, 0] {
            let text = Micros(micros).to_string();
            assert!(text.ends_with('Z') && !text.contains('+'), "{text}");
            assert_eq!(Micros::parse(&text), Some(Micros(micros)), "{text}");
        }
    }
}
