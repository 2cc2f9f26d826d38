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
    let without_zone = text.strip_suffix('Z').or_else(|| text.strip_suffix("+00:00"));
    if let Some(time) = without_zone.filter(|time| is_plain(time.as_bytes())) {
        out.put(time.as_bytes());
        out.push(b'Z');
        return Wrote::Whole;
    }
    push_odd(out, text)
}

/// Whether a time without its zone can be written as it is: so can nearly every one in the feed.
#[inline]
fn is_plain(text: &[u8]) -> bool {
    let Some((date_time, rest)) = text.split_first_chunk::<19>() else { return false };
    let fraction_ok = match rest {
        [] => true,
        [b'.', digits @ ..] => {
            (1..=NANOSECOND_DIGITS).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit)
        }
        _ => false,
    };
    let (Some(date), Some(time), Some(last)) = (
        digits_of(date_time, 0, b"0000-00-"),
        digits_of(date_time, 8, b"00T00:00"),
        digits_of(date_time, 11, b"00:00:00"),
    ) else {
        return false;
    };
    let two = |digits: [u8; 8], at: usize| digits[at] * 10 + digits[at + 1];
    let year_ok = matches!((two(date, 0), two(date, 2)), (19, 70..=99) | (20..=21, _) | (22, 0..=61));
    // Days that only some months have are left to the calendar.
    fraction_ok
        && year_ok
        && (1..=12).contains(&two(date, 5))
        && (1..=28).contains(&two(time, 0))
        && two(time, 3) < 24
        && two(time, 6) < 60
        && two(last, 6) < 60
}

/// The values of the digits of eight bytes, if they are digits where `form` has `0`, and what `form` has elsewhere.
#[inline]
fn digits_of(text: &[u8; 19], at: usize, form: &[u8; 8]) -> Option<[u8; 8]> {
    const ONES: u64 = u64::MAX / 255;
    let bytes = u64::from_le_bytes(*text.get(at..)?.first_chunk::<8>()?);
    // A digit becomes its value, what `form` fixes becomes 0, and every other byte something above 9.
    let values = bytes ^ u64::from_le_bytes(*form);
    let fixed = u64::from_le_bytes(form.map(|byte| if byte == b'0' { 0 } else { u8::MAX }));
    let too_large = (values | values.wrapping_add(ONES * 0x76)) & (ONES * 0x80);
    (too_large == 0 && values & fixed == 0).then_some(values.to_le_bytes())
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
            ("2026-04-10T08:09:1\u{c3}\u{a9}Z", None, Wrote::Refused),
            ("2026/04-10T08:09:10Z", None, Wrote::Refused),
            ("2026-04-10T08-09:10Z", None, Wrote::Refused),
            ("2026-04-1:T08:09:10Z", None, Wrote::Refused),
            ("20/6-04-10T08:09:10Z", None, Wrote::Refused),
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
