//! What the READMEs show and name is so: the document in the first one, and every file and heading pointed to, there and in
//! `docs/`.
//!
//! [`docs`](crate::docs) holds more of what is written there against the program; how a page is read is here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use mapper::enrich::GeoDatabases;
use mapper::{Mapper, MapperOptions, Mapping};
use model::tables::Tables;

use crate::json::Json;
use crate::world;

/// What is written for readers of the repository, beside `docs/`.
const PAGES: [&str; 7] = [
    "README.md",
    "deploy/README.md",
    "crates/README.md",
    "mappings/README.md",
    "mappings/elasticsearch/README.md",
    "samples/README.md",
    "CHANGELOG.md",
];

/// What is named and need not be there: it is made by running something.
const MADE: [&str; 7] = [
    "attestations.ndjson",
    "dead-letters.ndjson",
    "demo-output/",
    "ecs.ndjson",
    "fuzz/corpus/map",
    "state/attestations.ndjson",
    "target",
];

/// Every page, by its path.
pub(crate) fn pages() -> Vec<String> {
    let mut pages: Vec<String> = PAGES.map(str::to_owned).to_vec();
    let mut folders = vec!["docs".to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(world::root(&folder)).unwrap() {
            let entry = entry.unwrap();
            let path = format!("{folder}/{}", entry.file_name().to_str().unwrap());
            if entry.file_type().unwrap().is_dir() {
                folders.push(path);
            } else if path.ends_with(".md") {
                pages.push(path);
            }
        }
    }
    pages.sort();
    pages
}

pub(crate) fn page(path: &str) -> String {
    fs::read_to_string(world::root(path)).unwrap()
}

/// What a page consists of.
pub(crate) enum Piece<'p> {
    Heading(&'p str),
    /// A line of prose.
    Prose(&'p str),
    /// A line of code, with the language of its block.
    Code(&'p str, &'p str),
}

pub(crate) fn pieces(page: &str) -> Vec<Piece<'_>> {
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
        format!("the {samples} [sample records]"),
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
    let pages = pages();
    let mut anchors = BTreeMap::new();
    for name in &pages {
        let page = page(name);
        for target in links(&page) {
            checked += 1;
            if let Err(why) = follow(name, &target, &mut anchors) {
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
    assert!(checked > 500, "only {checked} names were found, so the search for them is broken");
    assert!(pages.len() > 25, "only {} pages", pages.len());
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

pub(crate) fn prose<'p>(piece: &Piece<'p>) -> Option<&'p str> {
    match piece {
        Piece::Prose(line) => Some(line),
        Piece::Heading(_) | Piece::Code(..) => None,
    }
}

/// Anchors by page, as far as they were asked for: some pages are large, and pointed to by many.
type Anchors = BTreeMap<PathBuf, BTreeSet<String>>;

/// Whether a link leads somewhere: to a file that is there, and to a heading or an anchor of it.
fn follow(from: &str, target: &str, known: &mut Anchors) -> Result<(), &'static str> {
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let named = if file.is_empty() { PathBuf::from(from) } else { directory(from).join(file) };
    let mut path = PathBuf::new();
    for part in named.components() {
        let inside = match part {
            Component::ParentDir => path.pop(),
            Component::RootDir => false,
            part => {
                path.push(part);
                true
            }
        };
        if !inside {
            return Err("leads out of the repository");
        }
    }
    if !exists(&path) {
        return Err("no such file");
    }
    if anchor.is_empty() {
        return Ok(());
    }
    let anchors = known.entry(path.clone()).or_insert_with(|| {
        let page = page(path.to_str().unwrap());
        let ids = page.split("<a id=\"").skip(1).filter_map(|rest| Some(rest.split_once('"')?.0.to_owned()));
        headings(&page).into_iter().chain(ids).collect()
    });
    if anchors.contains(anchor) { Ok(()) } else { Err("no such heading") }
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

/// The spans of code in a page's prose.
pub(crate) fn spans(page: &str) -> Vec<String> {
    let pieces = pieces(page);
    let mut spans = Vec::new();
    // Line by line but for those that go on: a span with two backticks around it may hold one.
    let text = pieces.iter().filter_map(prose).collect::<Vec<_>>().join("\n");
    let mut rest = text.as_str();
    while let Some(at) = rest.find('`') {
        let behind = &rest[at..];
        let fence = behind.len() - behind.trim_start_matches('`').len();
        let (fence, inside) = behind.split_at(fence);
        let Some(end) = inside.find(fence) else { break };
        spans.push(inside[..end].replace('\n', " ").trim().to_owned());
        rest = &inside[end + fence.len()..];
    }
    spans
}

/// What looks like a path of this repository among the code of a page: in prose all of a span of code, in
/// commands the words that begin with one of its folders.
fn paths(page: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let pieces = pieces(page);
    let spans = spans(page);
    found.extend(spans.iter().filter(|span| is_path(span)).cloned());
    let commands = pieces.iter().filter_map(|piece| match piece {
        Piece::Code("", line) => Some(*line),
        _ => None,
    });
    for word in spans.iter().map(String::as_str).chain(commands).flat_map(str::split_whitespace) {
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
    let follow = |from, target| follow(from, target, &mut Anchors::new());
    assert_eq!(follow("crates/README.md", "../README.md#status"), Ok(()));
    let key = "configuration.md#source-compliance_api-lag";
    assert_eq!(follow("docs/README.md", key), Ok(()));
    assert_eq!(spans("`a` and ``b `c` ``\nand `d\ne`"), ["a", "b `c`", "d e"]);
    assert_eq!(follow("README.md", "#nowhere"), Err("no such heading"));
    assert_eq!(follow("README.md", "none.md"), Err("no such file"));
    assert_eq!(follow("README.md", "../README.md"), Err("leads out of the repository"));
    assert_eq!(follow("README.md", "/etc/passwd"), Err("leads out of the repository"));
}
