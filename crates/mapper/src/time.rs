//! Times as the feed writes them, turned into what an Elasticsearch `date` or `date_nanos` accepts.
//!
//! The feed uses RFC 3339 with 0, 3 or 6 fraction digits and `Z` or `+00:00`; some directories write
//! no zone, which means UTC. The fraction is kept digit by digit: a document never claims more or less
//! precision than its source.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, Timelike};

use crate::out::Out;

/// How well a text could be written as a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrote {
    /// Nothing was lost.
    Whole,
    /// Digits beyond nanoseconds were cut off.
    Cut,
    /// The text is no time that an index accepts; nothing was written.
    Refused,
}

/// `date_nanos` reaches from 1970 to 2262.
const YEARS: std::ops::RangeInclusive<i32> = 1970..=2261;
const NANOSECOND_DIGITS: usize = 9;

/// Appends `text` in UTC with a `Z`, or a bare date as it is, without quotes.
pub(crate) fn push_utc(out: &mut Out, text: &str) -> Wrote {
    if is_plain_utc(text.as_bytes()) {
        out.put(text.as_bytes());
        return Wrote::Whole;
    }
    push_odd(out, text)
}

/// Whether a text is exactly what would be written for it: the form nearly every time in the feed has.
#[inline]
fn is_plain_utc(text: &[u8]) -> bool {
    let Some((date_time, rest)) = text.split_first_chunk::<19>() else { return false };
    let fraction_ok = match rest {
        [b'Z'] => true,
        [b'.', digits @ .., b'Z'] => {
            (1..=NANOSECOND_DIGITS).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit)
        }
        _ => false,
    };
    let separators_ok =
        [date_time[4], date_time[7], date_time[10], date_time[13], date_time[16]] == *b"--T::";
    let two = |at: usize| match (date_time[at].wrapping_sub(b'0'), date_time[at + 1].wrapping_sub(b'0')) {
        (tens @ 0..=9, ones @ 0..=9) => tens * 10 + ones,
        _ => u8::MAX,
    };
    let (century, year, month, day) = (two(0), two(2), two(5), two(8));
    let year_ok = matches!((century, year), (19, 70..=99) | (20..=21, 0..=99) | (22, 0..=61));
    // Days that only some months have are left to the calendar.
    fraction_ok
        && separators_ok
        && year_ok
        && (1..=12).contains(&month)
        && (1..=28).contains(&day)
        && two(11) < 24
        && two(14) < 60
        && two(17) < 60
}

#[cold]
fn push_odd(out: &mut Out, text: &str) -> Wrote {
    if text.len() < 19 {
        return push_date(out, text);
    }
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        let utc = time.naive_utc();
        if !YEARS.contains(&utc.year()) || text.get(17..19) == Some("60") {
            return Wrote::Refused;
        }
        let fraction = fraction_of(text);
        if time.offset().local_minus_utc() == 0 && text.as_bytes().get(10) == Some(&b'T') {
            out.put(&text.as_bytes()[..19]);
        } else {
            out.put(utc.format("%Y-%m-%dT%H:%M:%S").to_string().as_bytes());
        }
        return push_fraction(out, fraction);
    }
    // No zone: UTC.
    match NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f") {
        Ok(time) if YEARS.contains(&time.year()) && time.nanosecond() < 1_000_000_000 => {
            out.put(time.format("%Y-%m-%dT%H:%M:%S").to_string().as_bytes());
            push_fraction(out, fraction_of(text))
        }
        _ => Wrote::Refused,
    }
}

fn push_date(out: &mut Out, text: &str) -> Wrote {
    match NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        Ok(date) if text.len() == 10 && YEARS.contains(&date.year()) => {
            out.put(text.as_bytes());
            Wrote::Whole
        }
        _ => Wrote::Refused,
    }
}

/// The digits behind the point, if there is one.
fn fraction_of(text: &str) -> &str {
    let Some((_, rest)) = text.split_once('.') else { return "" };
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    &rest[..end]
}

fn push_fraction(out: &mut Out, fraction: &str) -> Wrote {
    let kept = &fraction[..fraction.len().min(NANOSECOND_DIGITS)];
    if !kept.is_empty() {
        out.push(b'.');
        out.put(kept.as_bytes());
    }
    out.push(b'Z');
    if kept.len() == fraction.len() { Wrote::Whole } else { Wrote::Cut }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_keep_their_precision_and_become_utc() {
        let cases = [
            ("2026-04-10T08:09:10Z", Some("2026-04-10T08:09:10Z"), Wrote::Whole),
            ("2026-04-10T08:09:10.120Z", Some("2026-04-10T08:09:10.120Z"), Wrote::Whole),
            ("2026-04-10T08:09:10.123456+00:00", Some("2026-04-10T08:09:10.123456Z"), Wrote::Whole),
            ("2026-04-10T08:09:10+02:00", Some("2026-04-10T06:09:10Z"), Wrote::Whole),
            ("2026-04-10T08:09:10", Some("2026-04-10T08:09:10Z"), Wrote::Whole),
            ("2026-04-10t08:09:10z", Some("2026-04-10T08:09:10Z"), Wrote::Whole),
            ("2026-04-10 08:09:10Z", Some("2026-04-10T08:09:10Z"), Wrote::Whole),
            ("2026-04-10T08:09:10.1234567891Z", Some("2026-04-10T08:09:10.123456789Z"), Wrote::Cut),
            ("2026-04-10", Some("2026-04-10"), Wrote::Whole),
            ("2026-04-31", None, Wrote::Refused),
            ("2026-4-1", None, Wrote::Refused),
            ("2024-02-29T23:59:59.999999Z", Some("2024-02-29T23:59:59.999999Z"), Wrote::Whole),
            ("2026-02-29T00:00:00Z", None, Wrote::Refused),
            ("2026-04-10T08:09:10.Z", None, Wrote::Refused),
            ("2026-04-10T08:60:10Z", None, Wrote::Refused),
            ("2026-13-10T08:00:10Z", None, Wrote::Refused),
            ("2026-00-10T08:00:10Z", None, Wrote::Refused),
            ("2026-10-00T08:00:10Z", None, Wrote::Refused),
            ("2262-01-01T00:00:00Z", None, Wrote::Refused),
            ("1970-01-01T00:00:00Z", Some("1970-01-01T00:00:00Z"), Wrote::Whole),
            ("2026-04-10T25:09:10Z", None, Wrote::Refused),
            ("2016-12-31T23:59:60Z", None, Wrote::Refused),
            ("1969-12-31T23:59:59Z", None, Wrote::Refused),
            ("9999-12-31T23:59:59Z", None, Wrote::Refused),
            ("yesterday, at noon or so", None, Wrote::Refused),
            ("ääääääääääääääääääää", None, Wrote::Refused),
            ("", None, Wrote::Refused),
        ];
        for (text, expected, wrote) in cases {
            let mut out = Out::default();
            assert_eq!(push_utc(&mut out, text), wrote, "{text}");
            assert_eq!(std::str::from_utf8(out.as_slice()).unwrap(), expected.unwrap_or_default(), "{text}");
        }
    }
}
