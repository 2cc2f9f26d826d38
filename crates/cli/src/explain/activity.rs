//! `explain TYPE`: what the tables say of an activity type.
//!
//! Owns the report on a type. Of a type the tables do not know it tells the nearest known ones, and what the
//! mapper would infer, by having it map a record of that type and nothing else.

use std::io::{self, BufWriter, Write};
use std::sync::Arc;

use mapper::enrich::GeoDatabases;
use mapper::{Mapper, MapperOptions, Mapping};
use model::catalog::Catalog;
use model::tables::{ActivityRow, ActorRow, OutcomeRule, Tables};
use serde::Serialize;
use serde_json::Value;

use super::layout::{self, FieldReport, place};
use super::{rules, words};
use crate::args::ExplainArgs;
use crate::failure::{Ending, Failure};
use crate::table::{Style, Table};
use crate::terminal::shown;
use crate::{catalog, knowledge, suggest};

/// The report on a known type.
#[derive(Debug, Serialize)]
struct Known<'a> {
    #[serde(rename = "type")]
    activity_type: &'a str,
    known: bool,
    since: Option<&'a str>,
    retired: bool,
    elastic: bool,
    category: &'a [String],
    event_type: &'a [String],
    outcome: Outcome<'a>,
    severity: u8,
    message: String,
    row: String,
    fields: Vec<FieldReport>,
    envelope: Vec<FieldReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actors: Option<Vec<Actor<'a>>>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Outcome<'a> {
    Fixed(&'a str),
    ByField { field: &'a str, cases: Vec<(String, &'a str)>, otherwise: &'a str },
}

/// The report on an actor kind.
#[derive(Debug, Serialize)]
struct Actor<'a> {
    kind: &'a str,
    subject: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    set: Vec<(&'a str, &'a str)>,
    row: String,
    fields: Vec<FieldReport>,
}

/// The report on a type that is not known.
#[derive(Debug, Serialize)]
struct Unknown<'a> {
    #[serde(rename = "type")]
    activity_type: &'a str,
    known: bool,
    nearest: Vec<&'a str>,
    inferred: Value,
}

/// Runs the mode.
pub(super) fn run(args: &ExplainArgs) -> Result<Ending, Failure> {
    let tables = knowledge::tables(&args.knowledge.mappings)?;
    let catalog = Catalog::builtin();
    let mut out = BufWriter::new(io::stdout().lock());
    let written = match tables.activity(&args.subject) {
        Some(row) => {
            let report = known(&tables, &catalog, row, args.actors);
            if args.json {
                write_json(&mut out, &report)
            } else {
                write_known(&mut out, &report, row, &catalog)
            }
        }
        None => {
            let report = unknown(&tables, &args.subject)?;
            let count = tables.activities.len();
            if args.json { write_json(&mut out, &report) } else { write_unknown(&mut out, &report, count) }
        }
    };
    written.and_then(|()| out.flush()).map_err(Failure::writing)?;
    Ok(Ending::Done)
}

fn known<'a>(tables: &'a Tables, catalog: &'a Catalog, row: &'a ActivityRow, actors: bool) -> Known<'a> {
    let name = row.activity_type.as_str();
    let published = catalog.activities.get(name);
    let report = |fields: &'a [model::catalog::Field]| -> Vec<FieldReport> {
        let leaves = rules::leaves(tables, "", fields, name);
        let own = leaves.into_iter().filter(|leaf| leaf.path != "actor");
        own.map(|leaf| FieldReport::documented(tables, leaf, name)).collect()
    };
    let envelope = report(&catalog.envelope);
    let mut fields = published.map(|activity| report(&activity.fields)).unwrap_or_default();
    // Rows that name the type though no documented field of it does.
    for row in tables.fields.iter().filter(|row| row.on.rank(name) == 3) {
        let listed = || fields.iter().chain(&envelope).any(|field| field.field == row.field);
        if !row.field.starts_with(rules::ACTOR) && !listed() {
            fields.push(FieldReport::undocumented(tables, &row.field, name));
        }
    }
    Known {
        activity_type: name,
        known: true,
        since: published.map(|activity| activity.since.as_str()),
        retired: published.is_some_and(|activity| activity.retired),
        elastic: catalog::elastic().any(|other| other == name),
        category: &row.categories,
        event_type: &row.event_types,
        outcome: match &row.outcome {
            OutcomeRule::Fixed(outcome) => Outcome::Fixed(outcome.as_str()),
            OutcomeRule::ByField { field, cases, otherwise } => Outcome::ByField {
                field,
                cases: cases.iter().map(|(case, outcome)| (words::case(case), outcome.as_str())).collect(),
                otherwise: otherwise.as_str(),
            },
        },
        severity: row.severity,
        message: words::sentence(&row.message),
        row: place(&row.place),
        fields,
        envelope,
        actors: actors.then(|| self::actors(tables, catalog)),
    }
}

fn actors<'a>(tables: &'a Tables, catalog: &'a Catalog) -> Vec<Actor<'a>> {
    let row = |kind: &str| tables.actors.iter().find(|row| row.kind == kind);
    let report = |(kind, fields): (&'a String, &'a Vec<model::catalog::Field>)| {
        let row = row(kind).or_else(|| row(ActorRow::ANY))?;
        let leaves = rules::leaves(tables, rules::ACTOR, fields, kind);
        Some(Actor {
            kind,
            subject: words::sentence(&row.subject),
            set: row.set.iter().map(|(path, value)| (path.as_str(), value.as_str())).collect(),
            row: place(&row.place),
            fields: leaves.into_iter().map(|leaf| FieldReport::documented(tables, leaf, kind)).collect(),
        })
    };
    catalog.actors.iter().filter_map(report).collect()
}

fn unknown<'a>(tables: &'a Tables, name: &'a str) -> Result<Unknown<'a>, Failure> {
    let known = tables.activities.iter().map(|row| row.activity_type.as_str());
    let nearest = suggest::nearest(name, known);
    let mapping = Mapping::new(tables.clone(), GeoDatabases::default(), MapperOptions::default());
    let mut document = Vec::new();
    let record = serde_json::json!({"id": "example", "type": name, "created_at": "2026-01-01T00:00:00Z"});
    Mapper::new(Arc::new(mapping))
        .map(record.to_string().as_bytes(), &mut document)
        .map_err(Failure::failed)?;
    let document: Value = serde_json::from_slice(&document).map_err(Failure::failed)?;
    let event = |field: &str| document.pointer(&format!("/event/{field}")).cloned().unwrap_or_default();
    let inferred = serde_json::json!({
        "category": event("category"),
        "event_type": event("type"),
        "outcome": event("outcome"),
        "severity": event("severity"),
        "message": document.get("message"),
        "tag": "unknown_activity_type",
    });
    Ok(Unknown { activity_type: name, known: false, nearest, inferred })
}

fn write_json(out: &mut impl Write, report: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, report).map_err(io::Error::from)?;
    writeln!(out)
}

fn write_known(
    out: &mut impl Write,
    report: &Known<'_>,
    row: &ActivityRow,
    catalog: &Catalog,
) -> io::Result<()> {
    let style = Style::of_stdout();
    writeln!(out, "{}\n", style.bold(report.activity_type))?;
    let mut facts = vec![
        ("event.category", report.category.join(", ")),
        ("event.type", report.event_type.join(", ")),
        ("event.outcome", words::outcome(&row.outcome)),
        ("event.severity", format!("{} of 100", report.severity)),
        ("message", format!("<actor> {}", report.message)),
    ];
    let retired = if report.retired { ", no longer recorded" } else { "" };
    let elastic = if report.elastic { "classified by Elastic too" } else { "not classified by Elastic" };
    let known =
        report.since.map_or("your own row".to_owned(), |since| format!("documented {since}{retired}"));
    facts.push(("known", format!("{known}, {elastic}")));
    facts.push(("row", report.row.clone()));
    for (name, value) in facts {
        writeln!(out, "  {}  {value}", style.dim(&format!("{name:<14}")))?;
    }
    writeln!(out, "\n{}", style.bold("Its own fields"))?;
    if report.fields.is_empty() {
        writeln!(out, "  none")?;
    } else {
        layout::write(out, &report.fields, style)?;
    }
    writeln!(out, "\n{}", style.bold("Fields of every record"))?;
    layout::write(out, &report.envelope, style)?;
    match &report.actors {
        Some(actors) => write_actors(out, actors, style),
        None => {
            let kinds: Vec<&str> = catalog.actors.keys().map(String::as_str).collect();
            writeln!(out, "\n{}", style.bold("Its actor is one of"))?;
            for line in kinds.chunks(4) {
                writeln!(out, "  {}", line.join("  "))?;
            }
            writeln!(
                out,
                "  {}",
                style.dim("(--actors shows where their fields go; ? marks what may be absent)")
            )
        }
    }
}

fn write_actors(out: &mut impl Write, actors: &[Actor<'_>], style: Style) -> io::Result<()> {
    for actor in actors {
        writeln!(out, "\n{} {}", style.bold("Actor"), style.bold(actor.kind))?;
        writeln!(out, "  {}  {}", style.dim("<actor>"), actor.subject)?;
        for (path, value) in &actor.set {
            writeln!(out, "  {}  {path} = {value}, unless the record fills it", style.dim("sets   "))?;
        }
        writeln!(out, "  {}  {}", style.dim("row    "), actor.row)?;
        layout::write(out, &actor.fields, style)?;
    }
    Ok(())
}

fn write_unknown(out: &mut impl Write, report: &Unknown<'_>, count: usize) -> io::Result<()> {
    let style = Style::of_stdout();
    writeln!(
        out,
        "{} is not among the {count} known activity types.\n",
        style.bold(&shown(report.activity_type))
    )?;
    if !report.nearest.is_empty() {
        writeln!(out, "{}", style.bold("Nearest known types"))?;
        for name in &report.nearest {
            writeln!(out, "  {name}")?;
        }
        writeln!(out)?;
    }
    writeln!(out, "{}", style.bold("Such a record is mapped all the same; its name gives away"))?;
    let mut table = Table::new(&["DOCUMENT", "INFERRED"]);
    let inferred = |field: &str| match report.inferred.get(field) {
        None | Some(Value::Null) => "(nothing)".to_owned(),
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    for (shown, field) in [
        ("event.category", "category"),
        ("event.type", "event_type"),
        ("event.outcome", "outcome"),
        ("event.severity", "severity"),
        ("message", "message"),
        ("tags", "tag"),
    ] {
        table.row(vec![shown.into(), inferred(field).into()]);
    }
    table.write(out, style, "  ")?;
    writeln!(
        out,
        "\nFields that other types have go where they go there; others are kept under anthropic.audit.metadata."
    )?;
    writeln!(out, "A row of your own in a --mappings file makes the type known.")
}
