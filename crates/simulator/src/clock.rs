//! Points in time and how the feed spells them.
//!
//! The API sends 0, 3 or 6 fraction digits, and `Z` or `+00:00`. Time is an argument here, never
//! the machine's clock, so that output depends on the seed alone.

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};

/// How many microseconds a second has.
pub const SECOND: i64 = 1_000_000;

/// A point in time in microseconds since 1970, UTC.
pub type Micros = i64;

/// The point in time of a UTC date and time of day; 1970 for a date that does not exist.
#[must_use]
pub fn instant(date: (i32, u32, u32), hour: u32, minute: u32, second: u32) -> Micros {
    NaiveDate::from_ymd_opt(date.0, date.1, date.2)
        .and_then(|day| day.and_hms_opt(hour, minute, second))
        .map_or(0, |time| time.and_utc().timestamp_micros())
}

/// How many fraction digits a time is written with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// No fraction.
    Seconds,
    /// Three digits.
    Millis,
    /// Six digits.
    Micros,
}

/// RFC 3339 with the given fraction, `Z` when `zulu`, else `+00:00`.
#[must_use]
pub fn rfc3339(at: Micros, precision: Precision, zulu: bool) -> String {
    let format = match precision {
        Precision::Seconds => SecondsFormat::Secs,
        Precision::Millis => SecondsFormat::Millis,
        Precision::Micros => SecondsFormat::Micros,
    };
    DateTime::<Utc>::from_timestamp_micros(at).unwrap_or_default().to_rfc3339_opts(format, zulu)
}

/// The date alone, `YYYY-MM-DD`.
#[must_use]
pub(crate) fn date(at: Micros) -> String {
    DateTime::<Utc>::from_timestamp_micros(at).unwrap_or_default().date_naive().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_the_feed() {
        let at = instant((2026, 10, 6), 8, 9, 10) + 120_045;
        assert_eq!(rfc3339(at, Precision::Seconds, true), "2026-10-06T08:09:10Z");
        assert_eq!(rfc3339(at, Precision::Millis, true), "2026-10-06T08:09:10.120Z");
        assert_eq!(rfc3339(at, Precision::Micros, false), "2026-10-06T08:09:10.120045+00:00");
        assert_eq!(date(at), "2026-10-06");
    }
}
