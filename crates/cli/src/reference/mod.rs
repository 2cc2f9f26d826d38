//! The pages under `docs/` that nobody writes by hand: the configuration reference with its JSON Schema, and the field
//! reference.
//!
//! Owns how these pages look, and the test that holds the committed ones against the code and the tables;
//! `UPDATE_GOLDEN=1 cargo test -p anthropic-ecs reference` writes them anew. It stands in the binary's crate because what it
//! describes is private to it, and it is built for tests alone.
//!
//! The subtle thing: Markdown is not escaped by its place. What comes out of a table goes through [`code`] or [`cell`], or a `|`
//! or `<` in it would take the page apart.

mod activities;
mod configuration;
mod paths;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use model::catalog::Catalog;
use model::tables::Tables;

use crate::config::schema;

/// What stands at the top of each page.
const NOTE: &str = "<!-- Made from the code and the tables; UPDATE_GOLDEN=1 cargo test -p anthropic-ecs reference writes it anew. -->\n";

/// Every generated page: its path below `docs/`, and its text.
fn pages() -> BTreeMap<String, String> {
    let (tables, catalog) = (Tables::builtin(), Catalog::builtin());
    let schema = schema::schema();
    let mut pages = BTreeMap::new();
    pages.insert("configuration.md".to_owned(), configuration::page(&schema, &schema::names()));
    // serde_json gives what it was given.
    pages.insert("configuration.schema.json".to_owned(), format!("{schema:#}\n"));
    pages.extend(activities::pages(&tables, &catalog));
    pages.extend(paths::pages(&tables));
    pages
}

/// A span of code, whatever is in it, also inside a table.
fn code(text: &str) -> String {
    let text = text.replace('|', "\\|");
    if text.contains('`') { format!("`` {text} ``") } else { format!("`{text}`") }
}

/// Prose of the code's own documentation as one cell of a table: its spans of code stay.
fn cell(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    text.replace('|', "\\|")
}

/// Words as a list of code spans.
fn codes<T: AsRef<str>>(words: impl IntoIterator<Item = T>) -> String {
    words.into_iter().map(|word| code(word.as_ref())).collect::<Vec<_>>().join(", ")
}

/// A row of a table.
fn row<T: AsRef<str>>(cells: impl IntoIterator<Item = T>) -> String {
    let cells: Vec<String> = cells.into_iter().map(|cell| cell.as_ref().to_owned()).collect();
    format!("| {} |\n", cells.join(" | "))
}

/// The first two rows of a table.
fn head<const N: usize>(names: [&str; N]) -> String {
    format!("{}|{}\n", row(names), "---|".repeat(N))
}

fn docs() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

#[test]
fn generated_pages_are_as_committed() {
    let is_update = std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1");
    let pages = pages();
    for (name, text) in &pages {
        let path = docs().join(name);
        if is_update {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
        }
        let committed = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == *text,
            "docs/{name} is not what the code says; UPDATE_GOLDEN=1 cargo test -p anthropic-ecs reference writes it anew"
        );
    }
    // docs/fields is ours alone: what nothing makes any more is to be removed.
    for entry in fs::read_dir(docs().join("fields")).unwrap() {
        let name = format!("fields/{}", entry.unwrap().file_name().to_string_lossy());
        assert!(pages.contains_key(&name), "docs/{name} is a page that nothing makes");
    }
}

#[test]
fn a_cell_stays_a_cell() {
    assert_eq!(code("{a|b}"), "`{a\\|b}`");
    assert_eq!(code("a`b"), "`` a`b ``");
    assert_eq!(row(["a", &cell("b |\n c")]), "| a | b \\| c |\n");
}
