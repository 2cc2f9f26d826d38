//! What the READMEs show and name is so: the document in the first one, and every file and heading pointed to.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use mapper::enrich::GeoDatabases;
use mapper::{Mapper, MapperOptions, Mapping};
use model::tables::Tables;

use crate::json::Json;
use crate::world;

/// What is written for readers of the repository.
const PAGES: [&str; 6] = [
    "README.md",
    "crates/README.md",
    "mappings/README.md",
    "mappings/elasticsearch/README.md",
    "samples/README.md",
    "CHANGELOG.md",
];

/// What is named and need not be there: it is made by running something.
const MADE: [&str; 4] = ["dead-letters.ndjson", "demo-output/", "fuzz/corpus/map", "target"];

fn page(path: &str) -> String {
    fs::read_to_string(world::root(path)).unwrap()
}

/// What a page consists of.
enum Piece<'p> {
    Heading(&'p str),
    /// A line of prose.
    Prose(&'p str),
    /// A line of code, with the language of its block.
    Code(&'p str, &'p str),
}

fn pieces(page: &str) -> Vec<Piece<'_>> {
    let mut fence = None;
    let mut pieces = Vec::new();
    for line in page.lines() {
        if let Some(language) = line.strip_prefix("```") {
            fence = if fence.is_some() { None } else { Some(language) };
        } else if let Some(language) = fence {
            pieces.push(Piece::Code(language, line));
        } else if let Some(code) = line.strip_prefix("    ") {
            pieces.push(Piece::Code("", code));
        } else if let Some(heading) = line.strip_prefix('#') {
            pieces.push(Piece::Heading(heading.trim_start_matches('#').trim()));
        } else {
            pieces.push(Piece::Prose(line));
        }
    }
    assert!(fence.is_none(), "a block of code has no end");
    pieces
}

/// The blocks of JSON of the first README.
fn json_blocks() -> Vec<String> {
    let page = page("README.md");
    let blocks = page.split("\n```json\n").skip(1);
    blocks.map(|rest| rest.split_once("\n```\n").unwrap().0.to_owned()).collect()
}

#[test]
fn the_document_of_the_readme_is_what_the_mapper_makes() {
    let [raw, shown] = json_blocks().try_into().expect("a record and its document");
    let options = MapperOptions::default();
    let mapping = Mapping::new(Tables::builtin(), GeoDatabases::default(), options);
    let document = world::document_of(&mut Mapper::new(Arc::new(mapping)), raw.as_bytes());
    let document = Json::read(std::str::from_utf8(&document).unwrap());
    // Members in their order, too: the README shows the document as it comes.
    assert!(document == Json::read(&shown), "README.md shows\n{shown}\nbut the document is\n{document}");

    let samples = page("samples/activities.ndjson");
    let raw = Json::read(&raw);
    assert!(
        samples.lines().any(|line| Json::read(line) == raw),
        "the README's record is none of the samples"
    );
}

#[test]
fn with_databases_the_document_has_the_place_the_readme_tells() {
    let [raw, _] = json_blocks().try_into().expect("a record and its document");
    let document = world::mapped(&raw);
    assert!(document.at("source.geo").is_some() && document.at("source.as").is_some(), "{document}");
    let place = " from 198.51.100.77 (London, GB)";
    assert!(document.get("message").and_then(Json::text).unwrap().ends_with(place), "{document}");
    let told: String = page("README.md").split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains(&format!("ends in `{}`", place.trim())), "README.md tells of another place");
}

#[test]
fn the_numbers_of_the_readme_are_right() {
    let (readme, catalog) = (page("README.md"), world::catalog());
    let samples = page("samples/activities.ndjson").lines().count();
    let elastic = page("mappings/elastic/categories.csv").lines().count() - 1;
    for told in [
        format!("{} documented activity types", catalog.activities.len()),
        format!("{} kinds of actor", catalog.actors.len()),
        format!("each of the {samples} [sample records]"),
        format!("each of the {elastic} types it classifies"),
        format!("valid ECS {}", mapper::ECS_VERSION),
        "Rust 1.89 or newer".to_owned(),
    ] {
        assert!(readme.contains(&told), "README.md does not say {told:?}");
    }
    assert!(
        page("Cargo.toml").contains("rust-version = \"1.89\""),
        "the README names another version of Rust"
    );
    assert!(page("samples/README.md").contains(&format!("`activities.ndjson`: {samples} activity records")));
}

#[test]
fn every_file_and_heading_that_is_named_exists() {
    let mut wrong = Vec::new();
    let mut checked = 0;
    for name in PAGES {
        let page = page(name);
        for target in links(&page) {
            checked += 1;
            if let Err(why) = follow(name, &target) {
                wrong.push(format!("{name}: ({target}): {why}"));
            }
        }
        for path in paths(&page) {
            checked += 1;
            let places = [directory(name).join(&path), PathBuf::from(&path)];
            if !MADE.contains(&path.as_str()) && !places.iter().any(|place| exists(place)) {
                wrong.push(format!("{name}: `{path}` is not there"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(checked > 30, "only {checked} names were found, so the search for them is broken");
}

fn directory(page: &str) -> &Path {
    Path::new(page).parent().unwrap()
}

fn exists(path: &Path) -> bool {
    world::root(path.to_str().unwrap()).exists()
}

/// Targets of links within the repository; a link may be broken across lines.
fn links(page: &str) -> Vec<String> {
    let prose: Vec<&str> = pieces(page).iter().filter_map(prose).collect();
    let text = prose.join(" ");
    let targets = text.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0.to_owned()));
    targets.filter(|target| !target.contains("://") && !target.starts_with("mailto:")).collect()
}

fn prose<'p>(piece: &Piece<'p>) -> Option<&'p str> {
    match piece {
        Piece::Prose(line) => Some(line),
        Piece::Heading(_) | Piece::Code(..) => None,
    }
}

/// Whether a link leads somewhere: to a file that is there, and to a heading of it.
fn follow(from: &str, target: &str) -> Result<(), &'static str> {
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = if file.is_empty() { PathBuf::from(from) } else { directory(from).join(file) };
    let mut depth = 0;
    for part in path.components() {
        depth += if part == Component::ParentDir { -1 } else { 1 };
        if depth < 0 || part == Component::RootDir {
            return Err("leads out of the repository");
        }
    }
    if !exists(&path) {
        return Err("no such file");
    }
    if anchor.is_empty() || headings(&page(path.to_str().unwrap())).contains(anchor) {
        return Ok(());
    }
    Err("no such heading")
}

/// The anchors of a page's headings, as GitHub makes them.
fn headings(page: &str) -> BTreeSet<String> {
    let headings = pieces(page).into_iter().filter_map(|piece| match piece {
        Piece::Heading(text) => Some(text.to_lowercase()),
        _ => None,
    });
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    headings.map(|text| text.chars().filter(kept).collect::<String>().replace(' ', "-")).collect()
}

/// What looks like a path of this repository among the code of a page: in prose all of a span of code, in
/// commands the words that begin with one of its folders.
fn paths(page: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let pieces = pieces(page);
    let text = pieces.iter().filter_map(prose).collect::<Vec<_>>().join(" ");
    let spans = text.split('`').skip(1).step_by(2);
    found.extend(spans.clone().filter(|span| is_path(span)).map(str::to_owned));
    let commands = pieces.iter().filter_map(|piece| match piece {
        Piece::Code("", line) => Some(*line),
        _ => None,
    });
    for word in spans.chain(commands).flat_map(str::split_whitespace) {
        let first = word.split('/').next().unwrap();
        if word.contains('/') && !word.contains('*') && !first.is_empty() && exists(Path::new(first)) {
            found.insert(word.trim_end_matches(&[',', ')'][..]).to_owned());
        }
    }
    found
}

/// Whether a span of code is a path and nothing else.
fn is_path(span: &str) -> bool {
    let plain = span.chars().all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c));
    let endings = [".csv", ".json", ".md", ".ndjson", ".py", ".rs", ".toml", ".tsv", ".yml", "/"];
    plain && !span.starts_with('/') && endings.iter().any(|ending| span.ends_with(ending))
}

#[test]
fn pages_are_read_as_they_are_shown() {
    let page = "# A, `b` & c-d\ntext [one](x.md#a)\nand [two](\nhttps://example.com) `a/b.rs` `{a/b}` `x.y`\n\n    cargo run tests/none.rs\n\n```json\n{\"a\":\"`tests/x.rs`\"}\n```\n";
    assert_eq!(headings(page), ["a-b--c-d".to_owned()].into());
    assert_eq!(links(page), ["x.md#a"]);
    assert_eq!(paths(page), ["a/b.rs", "tests/none.rs"].map(str::to_owned).into());
    assert_eq!(follow("crates/README.md", "../README.md#status"), Ok(()));
    assert_eq!(follow("README.md", "#nowhere"), Err("no such heading"));
    assert_eq!(follow("README.md", "none.md"), Err("no such file"));
    assert_eq!(follow("README.md", "../README.md"), Err("leads out of the repository"));
    assert_eq!(follow("README.md", "/etc/passwd"), Err("leads out of the repository"));
}
