//! What a run did, in numbers, and the closing line that says so.
//!
//! Owns the totals. Read is always written plus dead: everything found in an input is one or the other.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use super::pipeline::Closing;
use super::worker::Counts;
use crate::table::grouped;
use crate::terminal::shown;

/// How many unknown types are named.
const NAMED: usize = 5;
/// How many unknown types are counted one by one.
const COUNTED: usize = 10_000;

/// The numbers of a run.
#[derive(Debug, Default)]
pub(super) struct Totals {
    bytes: u64,
    written: u64,
    /// Dead letters by reason.
    pub(super) dead: BTreeMap<&'static str, u64>,
    unknown_types: BTreeMap<String, u64>,
    /// Of types that came after [`COUNTED`] others.
    uncounted: u64,
    broken_lookups: u64,
}

impl Totals {
    /// Adds what a batch did.
    pub(super) fn add(&mut self, counts: &Counts) {
        self.bytes += counts.bytes;
        self.written += counts.written;
        self.broken_lookups += counts.broken_lookups;
        for (reason, count) in &counts.dead {
            *self.dead.entry(reason).or_default() += count;
        }
        for (name, count) in &counts.unknown_types {
            let full = self.unknown_types.len() >= COUNTED;
            match self.unknown_types.get_mut(name) {
                Some(total) => *total += count,
                None if full => self.uncounted += count,
                None => {
                    self.unknown_types.insert(name.clone(), *count);
                }
            }
        }
    }

    /// How many records were found.
    pub(super) fn read(&self) -> u64 {
        self.written + self.dead.values().sum::<u64>()
    }

    /// The closing line, and one more for each thing that somebody should look at.
    pub(super) fn closing_line(&self, took: Duration, closing: &Closing, dead_letters: &Path) -> String {
        let seconds = took.as_secs_f64().max(0.000_001);
        let begin = if matches!(closing, Closing::Interrupted) { "interrupted: " } else { "" };
        let (read, written) = (grouped(self.read()), grouped(self.written));
        let mut line =
            format!("anthropic-ecs: {begin}read {read}, wrote {written}, dead {}", self.dead_text());
        let rate = grouped((self.read() as f64 / seconds) as u64);
        let speed = self.bytes as f64 / 1e6 / seconds;
        // Writing to a string cannot fail.
        let _ = writeln!(line, "; {seconds:.2} s, {rate} records/s, {speed:.1} MB/s");
        if !self.dead.is_empty() {
            let _ = writeln!(
                line,
                "anthropic-ecs: the dead letters, with their reasons, are in {}",
                dead_letters.display()
            );
        }
        if !self.unknown_types.is_empty() {
            let _ = writeln!(line, "anthropic-ecs: {}", self.unknown_text());
        }
        if self.broken_lookups > 0 {
            let count = grouped(self.broken_lookups);
            let _ = writeln!(
                line,
                "anthropic-ecs: a GeoIP database is damaged: {count} records tagged geoip_lookup_failure"
            );
        }
        line
    }

    fn dead_text(&self) -> String {
        let reasons: Vec<String> =
            self.dead.iter().map(|(reason, count)| format!("{reason} {}", grouped(*count))).collect();
        let total = grouped(self.dead.values().sum());
        if reasons.is_empty() { total } else { format!("{total} ({})", reasons.join(", ")) }
    }

    fn unknown_text(&self) -> String {
        let mut types: Vec<(&String, u64)> =
            self.unknown_types.iter().map(|(name, count)| (name, *count)).collect();
        types.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let named: Vec<String> = types.iter().take(NAMED).map(|(name, count)| named(name, *count)).collect();
        let more = if types.len() > NAMED || self.uncounted > 0 { ", ..." } else { "" };
        let records = types.iter().map(|(_, count)| count).sum::<u64>() + self.uncounted;
        let at_least = if self.uncounted > 0 { "more than " } else { "" };
        format!(
            "{at_least}{} in {}, mapped by inference: {}{more}",
            counted(types.len() as u64, "unknown activity type"),
            counted(records, "record"),
            named.join(", ")
        )
    }
}

/// A number of things.
fn counted(number: u64, what: &str) -> String {
    format!("{} {what}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// A type and its count; a name comes from the record and may hold anything.
fn named(name: &str, count: u64) -> String {
    let shown = shown(&name.chars().take(80).collect::<String>());
    let shown = if name.is_empty() { "(no type)" } else { &shown };
    format!("{shown} {}", grouped(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closing_line_has_everything() {
        let mut totals = Totals::default();
        let mut counts = Counts { bytes: 2_000_000, written: 1_998, ..Counts::default() };
        counts.dead.insert("not_json", 2);
        counts.unknown_types.extend((1..=6).map(|n| (format!("t{n}\n"), n)));
        totals.add(&counts);
        let line = totals.closing_line(Duration::from_secs(2), &Closing::Complete, Path::new("d"));
        assert_eq!(
            line,
            "anthropic-ecs: read 2,000, wrote 1,998, dead 2 (not_json 2); 2.00 s, 1,000 records/s, 1.0 MB/s\n\
             anthropic-ecs: the dead letters, with their reasons, are in d\n\
             anthropic-ecs: 6 unknown activity types in 21 records, mapped by inference: t6\\n 6, t5\\n 5, t4\\n 4, t3\\n 3, t2\\n 2, ...\n"
        );
    }
}
