//! Fields and where they go, as data and as a table.
//!
//! Owns [`FieldReport`], which is what `--json` shows, and its layout for people: four columns where there is
//! room, three with the reasons between the lines where there is not.

use std::io::{self, Write};

use model::tables::{FieldRow, Tables};
use serde::Serialize;

use super::rules::{self, Leaf};
use super::words;
use crate::table::{Cell, Style, Table};

/// A field of a type or an actor kind.
#[derive(Debug, Serialize)]
pub(super) struct FieldReport {
    /// Dotted path in the record.
    pub(super) field: String,
    /// Its shape, if it is documented.
    #[serde(skip_serializing_if = "Option::is_none")]
    shape: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    values: Vec<String>,
    optional: bool,
    nullable: bool,
    /// Where it goes; the first whose condition is met. Never empty for documented fields.
    homes: Vec<HomeReport>,
}

/// One place a field can go to.
#[derive(Debug, Serialize)]
struct HomeReport {
    #[serde(skip_serializing_if = "Option::is_none")]
    when: Option<WhenReport>,
    home: String,
    index: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    also: Vec<CopyReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    derived: Option<&'static str>,
    row: String,
    applies_to: String,
    #[serde(skip)]
    condition: Option<String>,
}

#[derive(Debug, Serialize)]
struct WhenReport {
    field: String,
    values: Vec<String>,
}

#[derive(Debug, Serialize)]
struct CopyReport {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    part: Option<&'static str>,
}

impl FieldReport {
    /// What the tables say of a documented field of `name`.
    pub(super) fn documented(tables: &Tables, leaf: Leaf<'_>, name: &str) -> Self {
        let values = leaf.values.iter().map(|value| (*value).to_owned()).collect();
        let shape = Some(leaf.shape_in_words());
        let homes = homes(tables, &leaf.path, name);
        Self { field: leaf.path, shape, values, optional: leaf.optional, nullable: leaf.nullable, homes }
    }

    /// What the tables say of a field that the catalog does not know of.
    pub(super) fn undocumented(tables: &Tables, path: &str, name: &str) -> Self {
        let homes = homes(tables, path, name);
        Self {
            field: path.to_owned(),
            shape: None,
            values: Vec::new(),
            optional: true,
            nullable: false,
            homes,
        }
    }

    fn shape_text(&self) -> String {
        let mark = if self.optional || self.nullable { "?" } else { "" };
        self.shape.as_ref().map_or("(undocumented)".to_owned(), |shape| format!("{shape}{mark}"))
    }
}

fn homes(tables: &Tables, path: &str, name: &str) -> Vec<HomeReport> {
    rules::rows(tables, path, name).into_iter().map(|row| home(row, name)).collect()
}

fn home(row: &FieldRow, name: &str) -> HomeReport {
    let copy = |copy: &model::tables::CopyTo| CopyReport {
        path: copy.path.clone(),
        part: words::part(copy.convert),
    };
    HomeReport {
        when: row
            .when
            .as_ref()
            .map(|when| WhenReport { field: when.field.clone(), values: when.values.clone() }),
        home: row.home.clone(),
        index: row.index.as_str(),
        also: row.also.iter().map(copy).collect(),
        derived: derived(&row.home),
        row: place(&row.place),
        applies_to: words::applies(row, name),
        condition: row.when.as_ref().map(words::when),
    }
}

/// What is worked out from the value of a home, beyond copies.
fn derived(home: &str) -> Option<&'static str> {
    match home {
        "source.ip" => Some("source.geo.*, source.as.* and anonymizer facts, out of the --geoip databases"),
        "user_agent.original" => Some("user_agent.name, .version, .os.*, .device.name"),
        _ => None,
    }
}

/// Where a row stands.
pub(super) fn place((file, line): &(String, u64)) -> String {
    format!("{file}:{line}")
}

/// Writes fields as a table.
pub(super) fn write(out: &mut impl Write, fields: &[FieldReport], style: Style) -> io::Result<()> {
    let wide = table(fields, true);
    let fits = style.width.is_none_or(|width| wide.width() + 2 <= width);
    if fits { wide.write(out, style, "  ") } else { table(fields, false).write(out, style, "  ") }
}

fn table(fields: &[FieldReport], wide: bool) -> Table {
    let headers = ["FIELD", "TYPE", "GOES TO", "WHY"];
    let mut table = Table::new(if wide { &headers } else { &headers[..3] });
    for field in fields {
        let (mut to, mut why) = (Cell::default(), Cell::default());
        for home in &field.homes {
            if let Some(condition) = &home.condition {
                to.push_dim(condition);
            } else if field.homes.len() > 1 {
                to.push_dim("otherwise");
            }
            level(&to, &mut why);
            to.push(format!("{} ({})", home.home, home.index));
            let reason = format!("{} {}", home.row, home.applies_to);
            if wide {
                why.push_dim(reason);
            }
            for copy in &home.also {
                let part = copy.part.map_or(String::new(), |part| format!(" ({part})"));
                to.push(format!("+ {}{part}", copy.path));
            }
            if let Some(derived) = home.derived {
                to.push_dim(format!("+ {derived}"));
            }
            if !wide {
                to.push_dim(format!("  {} {}", home.row, home.applies_to));
            }
        }
        if field.homes.is_empty() {
            to.push(format!("anthropic.audit.metadata.{} (flattened)", field.field));
            why.push_dim("no row knows it");
        }
        let mut cells = vec![field.field.as_str().into(), field.shape_text().into(), to];
        if wide {
            cells.push(why);
        }
        table.row(cells);
    }
    table
}

/// Makes `cell` as high as `other`.
fn level(other: &Cell, cell: &mut Cell) {
    while cell.height() < other.height() {
        cell.push("");
    }
}
