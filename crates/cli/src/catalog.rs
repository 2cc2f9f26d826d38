//! `catalog`: every known activity type, one a row.
//!
//! Owns the list in its three forms. Types of a user's own rows are listed too; what the catalog does not
//! know of them (since when, which fields) stays empty.

use std::collections::BTreeSet;
use std::io::{self, BufWriter, Write};

use model::catalog::Catalog;
use model::tables::{ActivityRow, OutcomeRule};
use serde::Serialize;

use crate::args::CatalogArgs;
use crate::failure::{Ending, Failure};
use crate::knowledge;
use crate::table::{Style, Table};

/// The types that Elastic's own `anthropic` integration classifies.
const ELASTIC: &str = include_str!("../../../mappings/elastic/categories.csv");

/// What is told of a type.
#[derive(Debug, Serialize)]
struct Line<'a> {
    #[serde(rename = "type")]
    activity_type: &'a str,
    category: &'a [String],
    event_type: &'a [String],
    outcome: String,
    severity: u8,
    since: Option<&'a str>,
    retired: bool,
    fields: Option<usize>,
    elastic: bool,
}

/// Runs the mode.
pub(crate) fn run(args: &CatalogArgs) -> Result<Ending, Failure> {
    let tables = knowledge::tables(&args.mappings)?;
    let catalog = Catalog::builtin();
    let elastic: BTreeSet<&str> = elastic().collect();
    let lines = tables.activities.iter().map(|row| {
        let published = catalog.activities.get(&row.activity_type);
        Line {
            activity_type: &row.activity_type,
            category: &row.categories,
            event_type: &row.event_types,
            outcome: outcome(row),
            severity: row.severity,
            since: published.map(|activity| activity.since.as_str()),
            retired: published.is_some_and(|activity| activity.retired),
            fields: published.map(|activity| activity.fields.len()),
            elastic: elastic.contains(row.activity_type.as_str()),
        }
    });
    let lines: Vec<Line<'_>> = lines.collect();
    let mut out = BufWriter::new(io::stdout().lock());
    let written = if args.json {
        write_json(&mut out, &lines)
    } else if args.csv {
        write_csv(&mut out, &lines)
    } else {
        write_table(&mut out, &lines)
    };
    written.and_then(|()| out.flush()).map_err(Failure::writing)?;
    Ok(Ending::Done)
}

/// The types of Elastic's table.
pub(crate) fn elastic() -> impl Iterator<Item = &'static str> {
    ELASTIC.lines().skip(1).filter_map(|line| line.split(',').next())
}

/// The outcome, or what it depends on.
fn outcome(row: &ActivityRow) -> String {
    match &row.outcome {
        OutcomeRule::Fixed(outcome) => outcome.as_str().to_owned(),
        OutcomeRule::ByField { field, .. } => format!("by {field}"),
    }
}

fn write_json(out: &mut impl Write, lines: &[Line<'_>]) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, lines).map_err(io::Error::from)?;
    writeln!(out)
}

const COLUMNS: [&str; 9] =
    ["type", "category", "event_type", "outcome", "severity", "since", "retired", "fields", "elastic"];

fn write_csv(out: &mut impl Write, lines: &[Line<'_>]) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(COLUMNS).map_err(writing)?;
    for line in lines {
        csv.write_record([
            line.activity_type,
            &line.category.join(" "),
            &line.event_type.join(" "),
            &line.outcome,
            &line.severity.to_string(),
            line.since.unwrap_or_default(),
            if line.retired { "true" } else { "false" },
            &line.fields.map_or(String::new(), |fields| fields.to_string()),
            if line.elastic { "true" } else { "false" },
        ])
        .map_err(writing)?;
    }
    csv.flush()
}

/// What the system said; the CSV writer's own wrapping hides its kind.
fn writing(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

fn write_table(out: &mut impl Write, lines: &[Line<'_>]) -> io::Result<()> {
    let mut table =
        Table::new(&["TYPE", "CATEGORY", "EVENT TYPE", "OUTCOME", "SEVERITY", "SINCE", "FIELDS", "ELASTIC"]);
    for line in lines {
        let since = line.since.unwrap_or("-");
        table.row(vec![
            line.activity_type.into(),
            line.category.join(" ").into(),
            line.event_type.join(" ").into(),
            line.outcome.as_str().into(),
            line.severity.to_string().into(),
            if line.retired { format!("{since} retired") } else { since.to_owned() }.into(),
            line.fields.map_or("-".to_owned(), |fields| fields.to_string()).into(),
            if line.elastic { "yes" } else { "no" }.into(),
        ]);
    }
    table.write(out, Style::of_stdout(), "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elastics_table_is_read() {
        assert_eq!(elastic().count(), 305);
        assert!(elastic().all(|name| Catalog::builtin().activities.contains_key(name)));
    }
}
