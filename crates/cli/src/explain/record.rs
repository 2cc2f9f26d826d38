//! `explain -`: what becomes of one record.
//!
//! Owns the comparison of a record with its document: the mapper makes the document, the tables say where
//! each value should be, and each is looked up there. So what is shown is what happened.

use std::io::{self, BufWriter, Write};
use std::sync::Arc;

use anyhow::anyhow;
use ingest::file::{Block, Input, Kind, Options, Records, split_page};
use mapper::{Mapper, MapperOptions, Mapping};
use model::tables::Tables;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::layout::place;
use super::{rules, words};
use crate::args::ExplainArgs;
use crate::failure::{Ending, Failure};
use crate::knowledge;
use crate::table::{Cell, Style, Table};
use crate::terminal::{shown, shown_json};

/// Where leftovers go.
const METADATA: &str = "anthropic.audit.metadata";

/// The report on a record.
#[derive(Debug, Serialize)]
struct Report {
    event_id: String,
    #[serde(rename = "type")]
    activity_type: String,
    unusual: Vec<&'static str>,
    fields: Vec<Fate>,
    /// Why the fields are not shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    document: Box<RawValue>,
}

/// What became of one value.
#[derive(Debug, Serialize)]
struct Fate {
    field: String,
    value: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    home: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    also: Vec<String>,
    why: String,
}

/// Runs the mode.
pub(super) fn run(args: &ExplainArgs) -> Result<Ending, Failure> {
    let tables = knowledge::tables(&args.knowledge.mappings)?;
    let geo = knowledge::geoip(&args.knowledge.geoip)?;
    let (record, more) = read_one()?;
    let mapping = Arc::new(Mapping::new(tables, geo, MapperOptions::default()));
    let mut mapper = Mapper::new(Arc::clone(&mapping));
    let mut document = Vec::new();
    let mapped = mapper.map(&record, &mut document).map_err(|why| {
        Failure::Failed(anyhow!("this record would be a dead letter, reason {}: {why}", why.reason()))
    })?;
    // The mapper reads some records that this parser does not: very deep ones, and lone surrogates.
    let raw: Result<Value, _> = serde_json::from_slice(&record);
    let note = raw.as_ref().err().map(|error| format!("the fields cannot be shown one by one: {error}"));
    let raw = raw.unwrap_or_default();
    let shown: Value = serde_json::from_slice(&document).map_err(Failure::failed)?;
    let document = String::from_utf8(document).map_err(Failure::failed)?;
    let report = Report {
        event_id: mapped.event_id.to_owned(),
        activity_type: mapped.activity_type.to_owned(),
        unusual: mapped.tags.names().collect(),
        fields: fates(mapping.tables(), &raw, &shown),
        note,
        document: RawValue::from_string(document).map_err(Failure::failed)?,
    };
    let mut out = BufWriter::new(io::stdout().lock());
    let written = if args.json {
        serde_json::to_writer(&mut out, &report).map_err(io::Error::from).and_then(|()| writeln!(out))
    } else {
        write(&mut out, &report, more)
    };
    written.and_then(|()| out.flush()).map_err(Failure::writing)?;
    Ok(Ending::Done)
}

/// Reads the first record of standard input, in any form that normalize reads; and whether there are more.
fn read_one() -> Result<(Vec<u8>, bool), Failure> {
    let mut records = Records::new(vec![Input::stdin()], Options::default());
    let mut block = Block::new();
    let none =
        || Failure::Failed(anyhow!("standard input holds no record; expected one activity as a JSON object"));
    if !records.next_block(&mut block).map_err(Failure::failed)? {
        return Err(none());
    }
    let span = block.spans().first().ok_or_else(none)?;
    let bytes = block.bytes(span);
    let more = block.spans().len() > 1;
    match span.kind {
        Kind::Record => {}
        Kind::Malformed(reason) => {
            return Err(Failure::Failed(anyhow!(
                "this is no record: {reason}; expected one activity as a JSON object"
            )));
        }
        Kind::TooLarge { length } => {
            return Err(Failure::Failed(anyhow!(
                "{length} bytes are too much for one record; normalize makes it a dead letter"
            )));
        }
    }
    match split_page(bytes).as_deref() {
        Some([first, rest @ ..]) => {
            let inner = bytes.get(first.start as usize..first.end as usize).unwrap_or_default();
            Ok((inner.to_vec(), more || !rest.is_empty()))
        }
        _ => Ok((bytes.to_vec(), more)),
    }
}

/// Finds each value of `raw` in `document`.
fn fates(tables: &Tables, raw: &Value, document: &Value) -> Vec<Fate> {
    let text = |pointer: &str| raw.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (activity_type, kind) = (text("/type"), text("/actor/type"));
    let tracer = Tracer { tables, raw, document };
    let mut fates = Vec::new();
    for (key, value) in raw.as_object().into_iter().flatten() {
        match value {
            Value::Object(actor) if key == "actor" => {
                for (key, value) in actor {
                    tracer.trace(&format!("{}{key}", rules::ACTOR), value, kind, &mut fates);
                }
            }
            _ => tracer.trace(key, value, activity_type, &mut fates),
        }
    }
    fates
}

struct Tracer<'a> {
    tables: &'a Tables,
    raw: &'a Value,
    document: &'a Value,
}

impl Tracer<'_> {
    fn trace(&self, path: &str, value: &Value, name: &str, fates: &mut Vec<Fate>) {
        match value {
            Value::Object(members)
                if self.leftover(path).is_none() && rules::is_opened(self.tables, path, name) =>
            {
                for (key, value) in members {
                    self.trace(&format!("{path}.{key}"), value, name, fates);
                }
            }
            _ => fates.push(self.fate(path, value, name)),
        }
    }

    fn fate(&self, path: &str, value: &Value, name: &str) -> Fate {
        let fate = |home: Option<String>, also, why: String| Fate {
            field: path.to_owned(),
            value: value.clone(),
            home,
            also,
            why,
        };
        if is_empty(value) {
            return fate(None, Vec::new(), "empty, so left out".to_owned());
        }
        let rows = rules::rows(self.tables, path, name);
        let row = rows.into_iter().find(|row| row.when.as_ref().is_none_or(|when| self.holds(when)));
        if let Some(home) = self.leftover(path) {
            let why = match row {
                Some(row) => format!(
                    "{} wants {} at {}; this value does not fit",
                    place(&row.place),
                    row.index.as_str(),
                    row.home
                ),
                None => "no row knows it".to_owned(),
            };
            return fate(Some(home), Vec::new(), why);
        }
        let Some(row) = row else {
            return fate(
                None,
                Vec::new(),
                "not found in the document. This is a fault: please report it".to_owned(),
            );
        };
        let also = row
            .also
            .iter()
            .filter(|copy| self.at(&copy.path).is_some_and(|there| self.shows(there, value, copy)));
        let also = also.map(|copy| copy.path.clone()).collect();
        let condition = row.when.as_ref().map_or(String::new(), |when| format!(", {}", words::when(when)));
        let why = format!("{} {}{condition}", place(&row.place), words::applies(row, name));
        match self.at(&row.home) {
            Some(_) => fate(Some(row.home.clone()), also, why),
            None => fate(None, also, format!("{why}; not found there")),
        }
    }

    /// Whether a copy of `value` is what stands at a path that several fields may fill.
    fn shows(&self, there: &Value, value: &Value, copy: &model::tables::CopyTo) -> bool {
        let texts = |value: &Value| -> Vec<String> {
            match value {
                Value::Array(items) => items.iter().map(plain).collect(),
                other => vec![plain(other)],
            }
        };
        let (there, value) = (texts(there), texts(value));
        if words::part(copy.convert).is_none() {
            value.iter().any(|text| there.contains(text))
        } else {
            there.iter().any(|part| value.iter().any(|text| text.contains(part.as_str())))
        }
    }

    fn holds(&self, when: &model::tables::When) -> bool {
        let sibling = self.raw.get(&when.field).and_then(Value::as_str);
        sibling.is_some_and(|sibling| when.values.iter().any(|value| value == sibling))
    }

    /// The value at a dotted path of the document.
    fn at(&self, path: &str) -> Option<&Value> {
        path.split('.').try_fold(self.document, |value, key| value.get(key))
    }

    /// Where among the leftovers the value at `path` is; their keys are whole paths.
    fn leftover(&self, path: &str) -> Option<String> {
        let metadata = self.at(METADATA)?;
        if metadata.get(path).is_some() {
            return Some(format!("{METADATA}[{path}]"));
        }
        let key = path.strip_prefix(rules::ACTOR).unwrap_or(path);
        let start = format!("{{{}:", Value::from(key));
        let held = metadata.get("unindexable")?.as_array()?;
        held.iter()
            .filter_map(Value::as_str)
            .any(|text| text.starts_with(&start))
            .then(|| format!("{METADATA}.unindexable"))
    }
}

/// Null, "", {} and [], at every depth.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.iter().all(is_empty),
        Value::Object(members) => members.values().all(is_empty),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// A scalar without quotes.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn write(out: &mut impl Write, report: &Report, more: bool) -> io::Result<()> {
    let style = Style::of_stdout();
    writeln!(out, "{}", style.bold("The document"))?;
    writeln!(out, "{}\n", indented(&shown_json(report.document.get())))?;
    writeln!(out, "{}", style.bold("Where each value went"))?;
    let mut table = Table::new(&["FIELD", "VALUE", "WENT TO", "WHY"]);
    for fate in &report.fields {
        let mut to = Cell::from(fate.home.as_deref().unwrap_or("-"));
        for copy in &fate.also {
            to.push(format!("+ {copy}"));
        }
        let mut why = Cell::default();
        why.push_dim(fate.why.as_str());
        table.row(vec![fate.field.as_str().into(), short(&fate.value).into(), to, why]);
    }
    match &report.note {
        Some(note) => writeln!(out, "  {note}")?,
        None => table.write(out, style, "  ")?,
    }
    let unusual = if report.unusual.is_empty() { "nothing".to_owned() } else { report.unusual.join(", ") };
    writeln!(out, "\n{}  {unusual}", style.bold("Unusual"))?;
    if more {
        writeln!(out, "{}", style.dim("There is more than one record; this is the first."))?;
    }
    Ok(())
}

/// The beginning of a value.
fn short(value: &Value) -> String {
    const MOST: usize = 40;
    let text = shown(&plain(value));
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

/// Valid JSON, one member a line. Nothing else is changed: numbers and the order of keys stay as they are.
fn indented(json: &str) -> String {
    let (mut out, mut depth, mut in_string, mut escaped) = (String::new(), 0_usize, false, false);
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.push_str(&"  ".repeat(depth));
    };
    let mut chars = json.chars().peekable();
    while let Some(c) = chars.next() {
        if in_string {
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
            out.push(c);
            continue;
        }
        match c {
            '{' | '[' => {
                out.push(c);
                if !matches!(chars.peek(), Some('}' | ']')) {
                    depth += 1;
                    line(&mut out, depth);
                } else if let Some(close) = chars.next() {
                    out.push(close);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            c => {
                in_string = c == '"';
                out.push(c);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use mapper::enrich::GeoDatabases;
    use model::catalog::Catalog;
    use simulator::{RecordGenerator, RecordShape};

    use super::*;

    /// The tables as read here and as compiled by the mapper agree: every value is where it is said to be.
    #[test]
    fn every_value_of_every_type_is_found() {
        let (tables, catalog) = (Tables::builtin(), Catalog::builtin());
        let mapping = Mapping::new(tables.clone(), GeoDatabases::default(), MapperOptions::default());
        let mut mapper = Mapper::new(Arc::new(mapping));
        let mut records = RecordGenerator::new(&catalog, 7);
        for activity_type in catalog.activities.keys() {
            for shape in RecordShape::ALL {
                let record = records.record(activity_type, shape);
                let mut document = Vec::new();
                mapper.map(record.as_bytes(), &mut document).unwrap();
                let (raw, shown) =
                    (serde_json::from_str(&record).unwrap(), serde_json::from_slice(&document).unwrap());
                for fate in fates(&tables, &raw, &shown) {
                    assert_eq!(fate.home.is_none(), is_empty(&fate.value), "{record}\n{fate:?}");
                    assert!(!fate.why.contains("not found"), "{record}\n{fate:?}");
                }
            }
        }
    }

    #[test]
    fn indenting_changes_nothing_but_space() {
        let json = r#"{"a":[1.50,{}],"b\"{,":"x:,\\","c":{"d":[]}}"#;
        let shown = indented(json);
        assert_eq!(shown.lines().count(), 10);
        assert!(shown.contains("1.50") && shown.contains("\"d\": []"));
        let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        assert_eq!(read(&shown), read(json));
    }
}
