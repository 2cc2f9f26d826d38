//! What the demo came to, told to somebody who sees all of this for the first time.
//!
//! Owns what is counted, and the words. Everything is read from the file that the stage wrote, not from its counters: what
//! is told here is what is there.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow};
use ingest::api::Micros;
use serde_json::Value;
use simulator::api::{ACTIVITIES_PATH, FaultKind, Request, Server};

use super::world::{Folder, HISTORY_HOURS, PEOPLE};
use super::{Ended, Seen};
use crate::failure::{Ending, Failure};
use crate::table::{Cell, Style, Table, grouped};

/// How many rows the lists of the most frequent have.
const TOP: usize = 5;
/// How much of a value is shown beside others.
const MOST_SHOWN: usize = 52;

/// The documents, counted.
#[derive(Default)]
struct Documents {
    ids: HashMap<String, u32>,
    /// By category, then how many by outcome.
    categories: BTreeMap<String, BTreeMap<String, u64>>,
    actors: BTreeMap<String, u64>,
    countries: BTreeMap<String, u64>,
    /// The most severe, one of each type, the most severe first.
    severe: Vec<Value>,
}

fn severity(document: &Value) -> u64 {
    document.pointer("/event/severity").and_then(Value::as_u64).unwrap_or_default()
}

fn text<'v>(document: &'v Value, pointer: &str) -> Option<&'v str> {
    document.pointer(pointer).and_then(Value::as_str)
}

impl Documents {
    fn read(path: &Path) -> anyhow::Result<Self> {
        let name = path.display();
        let file = File::open(path).with_context(|| format!("{name} cannot be read"))?;
        let mut documents = Self::default();
        for line in BufReader::new(file).lines() {
            let line = line.with_context(|| format!("{name} cannot be read"))?;
            let document = serde_json::from_str(&line).with_context(|| format!("{name} is damaged"))?;
            documents.add(document);
        }
        Ok(documents)
    }

    fn add(&mut self, document: Value) {
        let count = |numbers: &mut BTreeMap<String, u64>, name: Option<&str>| {
            if let Some(name) = name {
                *numbers.entry(name.to_owned()).or_default() += 1;
            }
        };
        *self.ids.entry(text(&document, "/event/id").unwrap_or_default().to_owned()).or_default() += 1;
        let outcome = text(&document, "/event/outcome");
        for category in document.pointer("/event/category").and_then(Value::as_array).into_iter().flatten() {
            let outcomes = self.categories.entry(category.as_str().unwrap_or_default().to_owned());
            count(outcomes.or_default(), Some(outcome.unwrap_or("unknown")));
        }
        let actor = text(&document, "/user/email").or_else(|| text(&document, "/anthropic/audit/actor/id"));
        count(&mut self.actors, actor);
        count(&mut self.countries, text(&document, "/source/geo/country_name"));
        let action = text(&document, "/event/action").map(str::to_owned);
        let known = self.severe.iter_mut().find(|known| text(known, "/event/action") == action.as_deref());
        match known {
            Some(known) if tells_more(&document, known) => *known = document,
            Some(_) => {}
            None => self.severe.push(document),
        }
    }

    /// How many of the ids are missing here, and how many documents are there more than once.
    fn compared(&self, truth: &HashSet<String>) -> (usize, usize) {
        let missing = truth.iter().filter(|id| !self.ids.contains_key(*id)).count();
        (missing, self.ids.values().filter(|times| **times > 1).count())
    }
}

/// Whether a document shows better than another of its type what documents hold.
fn tells_more(one: &Value, other: &Value) -> bool {
    let richness = |document: &Value| {
        ["/source/geo", "/source/as", "/user_agent", "/user/email"]
            .iter()
            .filter(|part| document.pointer(part).is_some())
            .count()
    };
    richness(one) > richness(other)
}

/// Writes the summary; how the demo ends by it.
pub(super) fn tell(
    out: &mut impl Write,
    ended: &Ended,
    server: &Server,
    folder: &Folder,
    took: Duration,
) -> Result<Ending, Failure> {
    let mut documents = Documents::read(&folder.documents()).map_err(Failure::Failed)?;
    documents.severe.sort_by_key(|document| std::cmp::Reverse(severity(document)));
    let style = Style::of_stdout();
    let (missing, doubled) = documents.compared(&ended.seen.truth);
    let write = |out: &mut dyn Write| -> std::io::Result<()> {
        heading(out, style, "What happened")?;
        story(out, ended, &documents, folder, took)?;
        heading(out, style, "What they did")?;
        categories(&documents).write(&mut &mut *out, style, "  ")?;
        heading(out, style, "Who, and from where")?;
        top(&documents).write(&mut &mut *out, style, "  ")?;
        heading(out, style, "What an analyst would look at first")?;
        severe(&documents).write(&mut &mut *out, style, "  ")?;
        if let Some((raw, document)) = example(&documents, server) {
            heading(out, style, "One activity, as it came and as it is delivered")?;
            beside(&raw, document).write(&mut &mut *out, style, "  ")?;
        }
        heading(out, style, "What next")?;
        next(out, folder)?;
        out.flush()
    };
    write(out).map_err(Failure::writing)?;
    if missing > 0 || doubled > 0 {
        let cause = format!("{missing} activities are missing and {doubled} are there more than once");
        return Err(Failure::failed(anyhow!("{cause}: this is a fault of the program, please report it")));
    }
    Ok(Ending::Done)
}

fn heading(out: &mut dyn Write, style: Style, text: &str) -> std::io::Result<()> {
    writeln!(out, "\n{}", style.bold(text))
}

fn story(
    out: &mut dyn Write,
    ended: &Ended,
    documents: &Documents,
    folder: &Folder,
    took: Duration,
) -> std::io::Result<()> {
    let Ended { summary, seen } = ended;
    let Seen { requests, faults, late, most_lateness, truth } = seen;
    let (missing, doubled) = documents.compared(truth);
    let once = match (truth.len(), missing, doubled) {
        (0, ..) => "The demo was stopped before its end, so nothing was compared.".to_owned(),
        (all, 0, 0) => format!(
            "The simulator knows what is true: all {} activities it had to show are there, each once.",
            grouped(all as u64)
        ),
        (all, ..) => format!(
            "Of {} activities {missing} are missing, and {doubled} are there more than once.",
            grouped(all as u64)
        ),
    };
    let times = |kind: FaultKind| match faults.iter().filter(|fault| **fault == kind).count() {
        1 => "once".to_owned(),
        count => format!("{count} times"),
    };
    writeln!(
        out,
        "  {} activities of {PEOPLE} people and {} days were read in {requests} requests, mapped and written in {:.0} s:\n  \
         {} documents in {}, {} dead letters.\n  {once}",
        grouped(summary.totals.read),
        HISTORY_HOURS / 24,
        took.as_secs_f64(),
        grouped(documents.ids.values().map(|times| u64::from(*times)).sum()),
        folder.documents().display(),
        summary.totals.dead_letters(),
    )?;
    writeln!(
        out,
        "  On the way: 429 {} (waited as long as asked), 503 {} (asked again), an answer lost {} (read again),",
        times(FaultKind::RateLimited),
        times(FaultKind::Status),
        times(FaultKind::ResetAfter),
    )?;
    writeln!(
        out,
        "  and {late} activities that came up to {} minutes late (found by reading each stretch of time again).",
        most_lateness / 60
    )
}

fn categories(documents: &Documents) -> Table {
    let mut table = Table::new(&["event.category", "success", "failure", "unknown"]);
    let total = |outcomes: &BTreeMap<String, u64>| outcomes.values().sum::<u64>();
    let mut rows: Vec<_> = documents.categories.iter().collect();
    rows.sort_by_key(|(_, outcomes)| std::cmp::Reverse(total(outcomes)));
    for (category, outcomes) in rows {
        let number =
            |outcome: &str| outcomes.get(outcome).map_or_else(String::new, |number| grouped(*number)).into();
        table.row(vec![category.as_str().into(), number("success"), number("failure"), number("unknown")]);
    }
    table
}

fn top(documents: &Documents) -> Table {
    let mut table = Table::new(&["Actor", "Documents", "Country", "Documents"]);
    let most = |numbers: &BTreeMap<String, u64>| {
        let mut rows: Vec<(String, u64)> =
            numbers.iter().map(|(name, number)| (name.clone(), *number)).collect();
        rows.sort_by_key(|(_, number)| std::cmp::Reverse(*number));
        rows.truncate(TOP);
        rows
    };
    let (actors, countries) = (most(&documents.actors), most(&documents.countries));
    for at in 0..actors.len().max(countries.len()) {
        let cells = |list: &[(String, u64)]| -> [Cell; 2] {
            list.get(at).map_or_else(
                || ["".into(), "".into()],
                |(name, number)| [shortened(name).into(), grouped(*number).into()],
            )
        };
        table.row(cells(&actors).into_iter().chain(cells(&countries)).collect());
    }
    table
}

fn severe(documents: &Documents) -> Table {
    let mut table = Table::new(&["Severity", "event.action", "message"]);
    for document in documents.severe.iter().take(TOP) {
        let message = text(document, "/message").unwrap_or_default();
        let action = text(document, "/event/action").unwrap_or_default();
        table.row(vec![severity(document).to_string().into(), action.into(), message.into()]);
    }
    table
}

/// A document worth looking at, and the record it was made of, asked for once more.
fn example<'d>(documents: &'d Documents, server: &Server) -> Option<(Value, &'d Value)> {
    let wanted = |document: &&Value| {
        text(document, "/source/geo/country_name").is_some() && document.get("user_agent").is_some()
    };
    let document = documents.severe.iter().find(wanted)?;
    let id = text(document, "/event/id")?;
    let answer = server.control().with(|simulation, now| {
        let created = simulation.truth().find(|truth| truth.id == id)?.created;
        let (from, to) = (Micros(created), Micros(created + 1));
        let query =
            format!("{ACTIVITIES_PATH}?limit=5000&order=asc&created_at.gte={from}&created_at.lt={to}");
        let request = Request::get(&query).key(simulation.key("activities"));
        Some(simulation.answer(&request, now))
    })?;
    let page: Value = serde_json::from_slice(&answer.body).ok()?;
    let records = page.get("data")?.as_array()?;
    let raw = records.iter().find(|record| text(record, "/id") == Some(id))?;
    Some((raw.clone(), document))
}

/// Both as lists of fields.
fn beside(raw: &Value, document: &Value) -> Table {
    let mut table = Table::new(&["Compliance API", "", "Elastic Common Schema", ""]);
    let (left, right) = (leaves(raw), leaves(document));
    for at in 0..left.len().max(right.len()) {
        let cells = |list: &[(String, String)]| -> [Cell; 2] {
            list.get(at).map_or_else(
                || ["".into(), "".into()],
                |(path, value)| [path.as_str().into(), shortened(value).into()],
            )
        };
        table.row(cells(&left).into_iter().chain(cells(&right)).collect());
    }
    table
}

/// Every value with the path to it.
fn leaves(value: &Value) -> Vec<(String, String)> {
    fn walk(path: &str, value: &Value, found: &mut Vec<(String, String)>) {
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    walk(&path, value, found);
                }
            }
            Value::String(text) => found.push((path.to_owned(), text.clone())),
            Value::Array(items) if items.iter().all(Value::is_string) => {
                let items: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
                found.push((path.to_owned(), items.join(", ")));
            }
            other => found.push((path.to_owned(), other.to_string())),
        }
    }
    let mut found = Vec::new();
    walk("", value, &mut found);
    found
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(MOST_SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

fn next(out: &mut dyn Write, folder: &Folder) -> std::io::Result<()> {
    let (documents, attestations) = (folder.documents(), folder.attestations());
    let rows = [
        ("Look at the documents", format!("head -n 1 {}", documents.display())),
        (
            "Prove that none is missing",
            format!("anthropic-ecs verify --attestations {} {}", attestations.display(), documents.display()),
        ),
        ("See what becomes of a type", "anthropic-ecs explain sso_login_failed".to_owned()),
        ("Map an export of your own", "anthropic-ecs normalize export.ndjson -o ecs.ndjson".to_owned()),
        (
            "Read the real API",
            "anthropic-ecs check --connect --config examples/api-to-elasticsearch.toml".to_owned(),
        ),
    ];
    for (what, command) in rows {
        writeln!(out, "  {what:<28}{command}")?;
    }
    Ok(())
}
