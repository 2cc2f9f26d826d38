//! `suffixes.csv`: what the end of an unknown activity type's name says.

use super::{Outcome, Problem, Source, csv_rows};

pub(super) const HEADER: [&str; 4] = ["suffix", "event_type", "outcome", "severity"];

/// One suffix. The rows are tried in the order of the file.
#[derive(Debug, Clone)]
pub struct SuffixRow {
    /// The file and line the row stands in.
    pub place: (String, u64),
    /// The end of the name, such as `_deleted`; empty for the row that takes the rest.
    pub suffix: String,
    /// `event.type`.
    pub event_types: Vec<String>,
    /// `event.outcome`.
    pub outcome: Outcome,
    /// `event.severity`.
    pub severity: u8,
}

pub(super) fn read(source: Source<'_>, problems: &mut Vec<Problem>) -> Vec<SuffixRow> {
    csv_rows::read(source, &HEADER, problems, |row| {
        let severity = row.cell(3).parse::<u8>().ok().filter(|severity| *severity <= 100);
        Ok(SuffixRow {
            place: (source.name.to_owned(), row.line),
            suffix: row.cell(0).to_owned(),
            event_types: row.words(1),
            outcome: Outcome::parse(row.cell(2))?,
            severity: severity.ok_or_else(|| format!("severity `{}` is not 0 to 100", row.cell(3)))?,
        })
    })
}
