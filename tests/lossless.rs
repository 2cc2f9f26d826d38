//! Holds a document against its raw record: nothing lost, nothing empty, nothing an index would refuse.
//!
//! Three questions, answered without the mapper's help. Is the document valid: every path one that ECS or the
//! tables know, every value of the type that path is indexed as, one type per path over all documents seen? Is
//! every value of the record at the home the tables give it, or kept in `anthropic.audit.metadata` with the
//! tag that says why? And, whatever the tables say, is every scalar in the document as often as in the record?

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use chrono::{DateTime, NaiveDate, NaiveDateTime, Timelike};
use mapper::Tags;
use model::tables::{Convert, EcsFields, FieldRow, IndexType, Tables};

use crate::json::{Json, is_json};
use crate::world;

/// What the mapper writes deeper than this is JSON inside a string.
const DEEPEST: usize = mapper::MAX_DEPTH;
const METADATA: &str = "anthropic.audit.metadata";
/// Vendor fields that no row claims: the mapper's own.
const OWN: [(&str, &str); 2] = [(METADATA, "flattened"), (world::ANONYMIZER, "keyword")];

/// The checker; remembers what type each path had in the documents it has seen.
pub(crate) struct Checker {
    tables: Tables,
    ecs: EcsFields,
    /// Index types of the vendor's paths, by the tables.
    claims: BTreeMap<String, &'static str>,
    rows: HashMap<String, Vec<FieldRow>>,
    /// JSON type of each path, and the first document that had it.
    types_seen: BTreeMap<String, (&'static str, String)>,
    pub(crate) documents: usize,
}

/// What is expected of a record.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// It follows the catalog: nothing about it is unusual.
    Catalog,
    /// It may be anything.
    Anywhere,
}

/// Fails when anything of `raw` is not in `document`, or the document is not a valid one.
#[track_caller]
pub(crate) fn assert_nothing_lost(raw: &str, document: &[u8]) {
    Checker::new(Tables::builtin()).demand(raw, document, Origin::Anywhere);
}

impl Checker {
    pub(crate) fn new(tables: Tables) -> Self {
        let mut claims: BTreeMap<String, &'static str> =
            OWN.map(|(path, index)| (path.to_owned(), index)).into();
        let mut rows: HashMap<String, Vec<FieldRow>> = HashMap::new();
        for row in &tables.fields {
            claims.insert(row.home.clone(), row.index.as_str());
            for copy in row.also.iter().filter(|copy| copy.convert == Convert::Whole) {
                claims.entry(copy.path.clone()).or_insert(row.index.as_str());
            }
            rows.entry(row.field.clone()).or_default().push(row.clone());
        }
        for (path, _) in tables.actors.iter().flat_map(|row| &row.set) {
            claims.entry(path.clone()).or_insert("keyword");
        }
        let ecs = EcsFields::builtin();
        Self { tables, ecs, claims, rows, types_seen: BTreeMap::new(), documents: 0 }
    }

    /// Fails with everything that is wrong.
    #[track_caller]
    pub(crate) fn demand(&mut self, raw: &str, document: &[u8], origin: Origin) {
        let problems = self.problems(raw, document, origin);
        if !problems.is_empty() {
            let (raw, document) = (crate::json::shorten(raw), String::from_utf8_lossy(document));
            let document = crate::json::shorten(&document);
            panic!("{}\n  record: {raw}\n  document: {document}", problems.join("\n"));
        }
    }

    /// Everything that is wrong with the document of a record.
    pub(crate) fn problems(&mut self, raw: &str, document: &[u8], origin: Origin) -> Vec<String> {
        self.documents += 1;
        if !is_json(document) {
            return vec!["the document is not JSON".to_owned()];
        }
        let document = Json::read(std::str::from_utf8(document).unwrap());
        let record = Json::read(raw);
        let mut problems = Vec::new();
        if document.repeats_a_key() {
            problems.push("a key stands twice in one object of the document".to_owned());
        }
        self.whole(&document, &mut problems);
        self.walk(&document, "", origin, &mut problems);
        self.homes(&record, &document, &mut problems);
        scalars(&record, &document, false, &mut problems);
        tags(raw, &record, &document, origin, &mut problems);
        problems
    }

    /// What every document has.
    fn whole(&self, document: &Json, problems: &mut Vec<String>) {
        let fixed = [
            ("data_stream.type", "logs"),
            ("data_stream.dataset", "anthropic.audit"),
            ("data_stream.namespace", "default"),
            ("ecs.version", mapper::ECS_VERSION),
            ("event.dataset", "anthropic.audit"),
            ("event.kind", "event"),
            ("event.module", "anthropic"),
        ];
        for (path, expected) in fixed {
            let found = document.at(path);
            if found.and_then(Json::text) != Some(expected) {
                problems.push(format!("{path} is {found:?}, not {expected}"));
            }
        }
        for path in ["@timestamp", "event.id", "event.outcome", "event.type", "event.severity", "message"] {
            if document.at(path).is_none() {
                problems.push(format!("{path} is missing"));
            }
        }
        let message = document.get("message").and_then(Json::text).unwrap_or_default();
        if message.trim().is_empty() {
            problems.push("the message is blank".to_owned());
        }
        self.classification(document, problems);
    }

    /// `event.category` and `event.type` are such as ECS expects beside each other.
    fn classification(&self, document: &Json, problems: &mut Vec<String>) {
        let texts = |path| -> Vec<&str> {
            document.at(path).map(Json::items).unwrap_or_default().iter().filter_map(Json::text).collect()
        };
        let (categories, types) = (texts("event.category"), texts("event.type"));
        let Some(expected) = self.ecs.get("event.category").map(|field| &field.allowed) else { return };
        let expects = |category: &str, kind: &str| {
            expected.get(category).is_some_and(|kinds| kinds.iter().any(|other| other == kind))
        };
        for category in &categories {
            if !types.iter().any(|kind| expects(category, kind)) {
                problems.push(format!("event.category {category} expects none of {types:?}"));
            }
        }
        for kind in types.iter().filter(|_| !categories.is_empty()) {
            if !categories.iter().any(|category| expects(category, kind)) {
                problems.push(format!("event.type {kind} is expected by none of {categories:?}"));
            }
        }
    }

    /// Checks a value in the document and all below it.
    fn walk(&mut self, value: &Json, path: &str, origin: Origin, problems: &mut Vec<String>) {
        let field = self.ecs.get(path).map(|field| (field.index.clone(), field.array, field.allowed.clone()));
        let vendor = path.starts_with("anthropic.audit.").then(|| self.claims.get(path).copied()).flatten();
        let (index, array, allowed) = match (field, vendor) {
            (Some((index, array, allowed)), _) => (index, Some(array), allowed),
            (None, Some(index)) => (index.to_owned(), None, BTreeMap::new()),
            (None, None) => ("object".to_owned(), None, BTreeMap::new()),
        };
        if index == "object" || index == "nested" {
            let Json::Object(members) = value else {
                return problems.push(format!("no table knows {path}, which is {value}"));
            };
            if members.is_empty() {
                problems.push(format!("{path} is {{}}"));
            }
            for (name, inner) in members {
                if name.is_empty() || name.contains('.') {
                    problems.push(format!("a key {name:?} in {path:?}"));
                }
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                self.walk(inner, &path, origin, problems);
            }
            return;
        }
        let is_array = matches!(value, Json::Array(_));
        if let Some(array) = array
            && array != is_array
            && (array || origin == Origin::Catalog)
        {
            problems.push(format!(
                "ECS wants {path} {} array: {value}",
                if array { "as an" } else { "not as an" }
            ));
        }
        if value.is_empty() || matches!(value, Json::Array(items) if items.iter().any(Json::is_empty)) {
            problems.push(format!("{path} is or has something empty: {value}"));
        }
        if index == "flattened" {
            flattened(value, path, 0, problems);
        } else {
            for item in value.items() {
                if !is_indexable(item, &index) {
                    problems.push(format!("{path} is indexed as {index}, which refuses {item}"));
                }
                if !allowed.is_empty() && !item.text().is_some_and(|text| allowed.contains_key(text)) {
                    problems.push(format!("{path} has {item}, which ECS does not allow"));
                }
            }
        }
        if path.starts_with("related.") {
            let distinct: BTreeSet<_> = value.items().iter().filter_map(Json::text).collect();
            if distinct.len() < value.items().len() {
                problems.push(format!("{path} repeats a value: {value}"));
            }
        }
        self.one_type_per_path(path, value, problems);
    }

    fn one_type_per_path(&mut self, path: &str, value: &Json, problems: &mut Vec<String>) {
        for item in value.items() {
            let found = match item {
                Json::Text(_) => "a text",
                Json::Number(_) => "a number",
                Json::Bool(_) => "a boolean",
                _ => "an object",
            };
            // Long and double take integers alike; what differs is refused by the index above.
            match self.types_seen.get(path) {
                Some((other, before)) if *other != found => {
                    problems
                        .push(format!("{path} is {found}, but was {other} ({before}) in another document"));
                }
                Some(_) => {}
                None => {
                    self.types_seen.insert(path.to_owned(), (found, item.to_string()));
                }
            }
        }
    }

    /// Every value of the record is where the tables send it, or kept and tagged.
    fn homes(&self, record: &Json, document: &Json, problems: &mut Vec<String>) {
        let search = Search { checker: self, record, document };
        let name_of = |value: Option<&Json>| value.and_then(Json::text).unwrap_or_default().to_owned();
        let (activity_type, kind) = (name_of(record.get("type")), name_of(record.at("actor.type")));
        let mut used = BTreeSet::new();
        for (name, value) in record.members() {
            match name {
                "type" if value.text().is_some_and(|text| !text.is_empty()) => {
                    if document.at("event.action") != Some(value) {
                        problems.push(format!("event.action is not {value}"));
                    }
                }
                "actor" if value.is_object() => {
                    for (name, value) in value.members() {
                        search.value(&format!("actor.{name}"), name, value, &kind, &mut used, problems);
                    }
                }
                _ => search.value(name, name, value, &activity_type, &mut used, problems),
            }
        }
    }

    /// The row for a field, by the rules of the tables: the closest name, and among those a condition that holds.
    fn row(&self, path: &str, name: &str, record: &Json) -> Option<&FieldRow> {
        let holds = |row: &FieldRow| {
            row.when.as_ref().map(|when| {
                let sibling = record.get(&when.field).and_then(Json::text);
                sibling.is_some_and(|text| when.values.iter().any(|value| value == text))
            })
        };
        let rows = || self.rows.get(path).into_iter().flatten().filter(|row| row.on.rank(name) > 0);
        let best = |condition: Option<bool>| {
            rows()
                .filter(|row| holds(row) == condition)
                .max_by_key(|row| (row.on.rank(name), std::cmp::Reverse(row.place.1)))
        };
        best(Some(true)).or_else(|| best(None))
    }

    fn has_rows_inside(&self, path: &str, name: &str) -> bool {
        let below = format!("{path}.");
        self.tables.fields.iter().any(|row| row.field.starts_with(&below) && row.on.rank(name) > 0)
    }
}

/// Looks for the values of one record in its document.
struct Search<'a> {
    checker: &'a Checker,
    record: &'a Json,
    document: &'a Json,
}

impl Search<'_> {
    /// Finds one value of the record, marking its place as used.
    fn value(
        &self,
        path: &str,
        key: &str,
        value: &Json,
        name: &str,
        used: &mut BTreeSet<String>,
        problems: &mut Vec<String>,
    ) {
        if value.is_empty() {
            return;
        }
        // A key with a dot in it is no path into an object.
        let plain = !key.contains('.');
        let row = if plain { self.checker.row(path, name, self.record) } else { None };
        let inside = plain && self.checker.has_rows_inside(path, name);
        if let Some(row) = row {
            let mut homes = vec![row.home.as_str()];
            if row.home == "source.ip" {
                homes.push("source.address");
            }
            for home in homes {
                let found = self.document.at(home).is_some_and(|found| is_at_home(value, found, row.index));
                if found && used.insert(home.to_owned()) {
                    return;
                }
            }
        }
        if inside && value.is_object() {
            let (mut used_inside, mut problems_inside) = (used.clone(), Vec::new());
            for (key, value) in value.members() {
                let path = format!("{path}.{key}");
                self.value(&path, key, value, name, &mut used_inside, &mut problems_inside);
            }
            if problems_inside.is_empty() {
                *used = used_inside;
                return;
            }
        }
        let expected = if row.is_some() || inside { "unexpected_value" } else { "unknown_field" };
        if self.is_kept(path, key, value, used) {
            let tags = self.document.get("tags").map(Json::items).unwrap_or_default();
            if !tags.iter().any(|tag| tag.text() == Some(expected)) {
                problems.push(format!("{path} is in {METADATA}, but there is no tag {expected}"));
            }
            return;
        }
        let home = row.map_or(METADATA, |row| &row.home);
        problems.push(format!("{path} is lost, it is not at {home}: {value}"));
    }

    /// Whether a value is in `metadata`: under its name, or as JSON text where its keys cannot be indexed.
    fn is_kept(&self, path: &str, key: &str, value: &Json, used: &mut BTreeSet<String>) -> bool {
        let Some(metadata @ Json::Object(members)) = self.document.at(METADATA) else { return false };
        let by_name = members.iter().find(|(name, _)| name == path && name != "unindexable");
        if by_name.is_some_and(|(_, found)| is_pruned(value, found, DEEPEST))
            && used.insert(format!("kept {path}"))
        {
            return true;
        }
        let unindexable = metadata.get("unindexable").map(Json::items).unwrap_or_default();
        unindexable.iter().enumerate().any(|(at, member)| {
            let member = member.text().filter(|text| is_json(text.as_bytes())).map(Json::read);
            let same = |(name, found): &(String, Json)| name == key && found == value;
            matches!(member, Some(Json::Object(members)) if members.iter().any(same))
                && used.insert(format!("unindexable {at}"))
        })
    }
}

/// Whether `found`, indexed as `index`, is all of `value`.
fn is_at_home(value: &Json, found: &Json, index: IndexType) -> bool {
    if index == IndexType::Flattened {
        return is_pruned(value, found, DEEPEST);
    }
    if value.is_object() || found.is_object() {
        return false;
    }
    let values: Vec<_> = value.items().iter().filter(|item| !item.is_empty()).collect();
    values.len() == found.items().len()
        && values.iter().zip(found.items()).all(|(value, found)| match (index, value, found) {
            (
                IndexType::Keyword | IndexType::Wildcard | IndexType::MatchOnlyText,
                value,
                Json::Text(found),
            ) => scalar(value).is_some_and(|text| text == *found || text == "0" && found == "-0"),
            (IndexType::Date, Json::Text(value), Json::Text(found)) => {
                Instant::read(value).is_some() && Instant::read(value) == Instant::read(found)
            }
            (_, value, found) => *value == found,
        })
}

/// Whether `found` is `value` without its empty parts, of repeated keys the last, and with what lies deeper
/// than `depth` as JSON in a text.
fn is_pruned(value: &Json, found: &Json, depth: usize) -> bool {
    match (value, found) {
        (Json::Array(_) | Json::Object(_), Json::Text(text)) if depth == 0 => {
            is_json(text.as_bytes()) && Json::read(text) == *value
        }
        (Json::Array(_) | Json::Object(_), _) if depth == 0 => false,
        (Json::Array(values), Json::Array(found)) => {
            all_pair(values, found, Json::is_empty, |value, found| is_pruned(value, found, depth - 1))
        }
        (Json::Object(_), Json::Object(found)) => {
            let is = |(name, value): &(&str, &Json), (found_name, found): &(String, Json)| {
                name == found_name && is_pruned(value, found, depth - 1)
            };
            all_pair(&value.members(), found, |(_, value)| value.is_empty(), is)
        }
        // A number that readers of JSON refuse is kept as text.
        (Json::Number(value), Json::Text(found)) => value == found && !is_readable(value),
        (value, found) => value == found,
    }
}

/// Whether readers of JSON take a number: what a double holds, in not too many digits.
fn is_readable(number: &str) -> bool {
    number.len() <= 800 && number.parse::<f64>().is_ok_and(f64::is_finite)
}

/// Pairs values with what was found of them, in order. Empty ones may be left out, and must be unless they
/// reach deeper than the mapper looks.
fn all_pair<V, F>(
    values: &[V],
    found: &[F],
    is_empty: impl Fn(&V) -> bool,
    is: impl Fn(&V, &F) -> bool,
) -> bool {
    let mut found = found.iter().peekable();
    let paired = values.iter().all(|value| {
        let next = found.next_if(|found| is(value, found));
        next.is_some() || is_empty(value)
    });
    paired && found.next().is_none()
}

/// Every scalar of the record is in the document at least as often, wherever that is.
fn scalars(record: &Json, document: &Json, repeated: bool, problems: &mut Vec<String>) {
    let mut left: HashMap<String, isize> = HashMap::new();
    let Json::Object(members) = document else { return };
    for (name, value) in members {
        // These repeat values, or hold none of the record's.
        if !matches!(name.as_str(), "message" | "related" | "tags" | "data_stream" | "ecs") {
            count(value, &mut |text| *left.entry(text).or_default() += 1, name == "event");
        }
    }
    count_record(record, repeated, &mut |text| *left.entry(text).or_default() -= 1);
    for (text, left) in left.into_iter().filter(|(_, left)| *left < 0) {
        problems.push(format!("{} times too few in the document: {}", -left, crate::json::shorten(&text)));
    }
}

/// Calls `add` with every scalar; of a repeated key all values count if `repeated`, else only the last.
fn count_record(value: &Json, repeated: bool, add: &mut impl FnMut(String)) {
    match value {
        Json::Array(items) => items.iter().for_each(|item| count_record(item, repeated, add)),
        Json::Object(members) if repeated => {
            members.iter().for_each(|(_, value)| count_record(value, true, add))
        }
        Json::Object(_) => value.members().into_iter().for_each(|(_, value)| count_record(value, false, add)),
        other => scalar(other).filter(|text| !text.is_empty()).map(comparable).into_iter().for_each(add),
    }
}

fn count(value: &Json, add: &mut impl FnMut(String), event: bool) {
    match value {
        Json::Array(items) => items.iter().for_each(|item| count(item, add, false)),
        Json::Object(members) => {
            for (_, value) in members.iter().filter(|(name, _)| !event || name != "original") {
                count(value, add, false);
            }
        }
        other => {
            if let Some(text) = scalar(other) {
                // What is too deep or cannot be indexed is JSON in a text.
                if text.starts_with(['{', '[']) && is_json(text.as_bytes()) {
                    count_record(&Json::read(&text), true, add);
                }
                add(comparable(text));
            }
        }
    }
}

/// A scalar as text.
fn scalar(value: &Json) -> Option<String> {
    match value {
        Json::Text(text) | Json::Number(text) => Some(text.clone()),
        Json::Bool(value) => Some(value.to_string()),
        _ => None,
    }
}

fn comparable(text: String) -> String {
    match Instant::read(&text) {
        Some(instant) => format!("{instant:?}"),
        None if text == "-0" => "0".to_owned(),
        None => text,
    }
}

/// The tags are known ones, and those that a look at the record demands are there.
fn tags(raw: &str, record: &Json, document: &Json, origin: Origin, problems: &mut Vec<String>) {
    let tags: Vec<_> =
        document.get("tags").map(Json::items).unwrap_or_default().iter().filter_map(Json::text).collect();
    for tag in &tags {
        if !Tags::ALL.iter().any(|(_, name)| name == tag) {
            problems.push(format!("unknown tag {tag}"));
        }
    }
    if origin == Origin::Catalog && !tags.is_empty() {
        problems.push(format!("tags on a record that follows the catalog: {tags:?}"));
    }
    let repaired = raw.contains("\\u") && {
        let mut read = String::new();
        record.write(&mut read);
        read.contains('\u{FFFD}') && !raw.contains('\u{FFFD}') && !raw.to_lowercase().contains("\\ufffd")
    };
    // What is kept as JSON text keeps its repeated keys too, and then there is nothing to tell.
    let mut dropped = Vec::new();
    scalars(record, document, true, &mut dropped);
    for (is_so, tag) in
        [(record.repeats_a_key() && !dropped.is_empty(), "duplicate_key"), (repaired, "invalid_unicode")]
    {
        if is_so && !tags.contains(&tag) {
            problems.push(format!("no tag {tag}"));
        }
    }
    let original = document.at("event.original").map(|original| original.text() == Some(raw));
    if original == Some(false) {
        problems.push("event.original is not the record".to_owned());
    }
    if tags.contains(&"preserve_original_event") != original.is_some() {
        problems.push("preserve_original_event and event.original do not go together".to_owned());
    }
    if (tags.contains(&"duplicate_key") || tags.contains(&"invalid_unicode")) && original.is_none() {
        problems.push("something was repaired, but the original is not kept".to_owned());
    }
}

/// Whether Elasticsearch takes `value` for a field of type `index`.
fn is_indexable(value: &Json, index: &str) -> bool {
    match (index, value) {
        ("keyword" | "constant_keyword" | "wildcard" | "match_only_text" | "text", Json::Text(_))
        | ("boolean", Json::Bool(_)) => true,
        ("long" | "integer", Json::Number(text)) => text.parse::<i64>().is_ok(),
        ("double" | "float" | "scaled_float", Json::Number(text)) => {
            text.parse::<f64>().is_ok_and(f64::is_finite)
        }
        ("date", Json::Text(text)) => is_date(text),
        ("ip", Json::Text(text)) => text.parse::<IpAddr>().is_ok(),
        ("geo_point", point) => {
            let within = |name, limit: f64| match point.get(name) {
                Some(Json::Number(text)) => text.parse::<f64>().is_ok_and(|at| at.abs() <= limit),
                _ => false,
            };
            point.members().len() == 2 && within("lat", 90.0) && within("lon", 180.0)
        }
        _ => false,
    }
}

/// Whether a text is what `strict_date_optional_time_nanos` reads, in UTC and within reach of `date_nanos`.
fn is_date(text: &str) -> bool {
    let year = text.get(..4).and_then(|year| year.parse::<u16>().ok());
    let fits = year.is_some_and(|year| (1970..=2261).contains(&year));
    if text.len() == 10 {
        return fits && NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok();
    }
    let shape = |at: usize, byte| text.as_bytes().get(at) == Some(&byte);
    let fraction = text.get(19..).and_then(|rest| rest.strip_suffix('Z'));
    let fraction_fits = fraction.is_some_and(|fraction| {
        fraction.is_empty()
            || (2..=10).contains(&fraction.len())
                && fraction.starts_with('.')
                && fraction[1..].bytes().all(|byte| byte.is_ascii_digit())
    });
    let leap = text.get(17..19) == Some("60");
    fits && fraction_fits
        && !leap
        && shape(10, b'T')
        && shape(16, b':')
        && DateTime::parse_from_rfc3339(text).is_ok()
}

/// What a `flattened` field must satisfy beyond being an object.
fn flattened(value: &Json, path: &str, depth: usize, problems: &mut Vec<String>) {
    if depth > DEEPEST + 1 {
        return problems.push(format!("{path} is nested deeper than {DEEPEST}"));
    }
    if depth == 0 && !value.items().iter().all(Json::is_object) {
        problems.push(format!("{path} is flattened and not an object: {value}"));
    }
    match value {
        Json::Object(members) => {
            for (name, inner) in members {
                let bad = name.trim().is_empty()
                    || name.len() > 512
                    || name.contains('\0')
                    || name.split('.').any(str::is_empty);
                if bad {
                    problems.push(format!("{path} has a key no index takes: {name:?}"));
                }
                if inner.is_empty() {
                    problems.push(format!("{path}.{name} is {inner}"));
                }
                flattened(inner, path, depth + 1, problems);
            }
        }
        Json::Array(items) => {
            for item in items {
                if item.is_empty() {
                    problems.push(format!("{path} has an empty item"));
                }
                flattened(item, path, depth + 1, problems);
            }
        }
        _ => {}
    }
}

/// A point in time with the digits it was written with, as far as an index keeps them.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Instant {
    seconds: i64,
    digits: String,
}

impl Instant {
    fn read(text: &str) -> Option<Self> {
        if text.len() == 10
            && let Ok(day) = NaiveDate::parse_from_str(text, "%Y-%m-%d")
        {
            return Some(Self {
                seconds: day.and_hms_opt(0, 0, 0)?.and_utc().timestamp(),
                digits: String::new(),
            });
        }
        let zoned = DateTime::parse_from_rfc3339(text).map(|time| time.naive_utc());
        let time = zoned.or_else(|_| NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f")).ok()?;
        let fraction = text.split_once('.').map_or("", |(_, rest)| rest);
        let digits = fraction.chars().take_while(char::is_ascii_digit).take(9).collect();
        (time.nanosecond() < 1_000_000_000).then_some(Self { seconds: time.and_utc().timestamp(), digits })
    }
}

/// Changes to a right document, each of which the checker must notice.
#[test]
fn the_checker_notices() {
    let raw = r#"{"id":"a1","created_at":"2026-10-05T07:30:00.120+00:00","organization_id":"org_1","organization_uuid":null,
        "type":"claude_chat_created","claude_chat_id":"chat_1","claude_project_id":"p","novel":{"n":7,"deep":[true,"x"]},
        "actor":{"type":"user_actor","user_id":"u1","email_address":"ada@example.com","ip_address":"192.0.2.1","user_agent":"curl/8"}}"#;
    let document = String::from_utf8(world::document_of(&mut world::mapper(), raw.as_bytes())).unwrap();
    assert_nothing_lost(raw, document.as_bytes());
    let cases = [
        ("\"novel\":{\"n\":7,", "\"novel\":{", "novel is lost"),
        ("[true,\"x\"]", "[true]", "1 times too few"),
        ("\"n\":7", "\"n\":7.0", "novel is lost"),
        ("\"n\":7", "\"n\":7,\"e\":[]", "metadata.e is []"),
        ("\"n\":7", "\"n\":7,\"\":1", "a key no index takes"),
        ("\"claude_chat_id\":\"chat_1\"", "\"claude_chat_id\":\"chat_2\"", "claude_chat_id is lost"),
        ("\"claude_chat_id\":\"chat_1\"", "\"claude_chat_id\":[]", "something empty"),
        (
            "\"claude_chat_id\":\"chat_1\"",
            "\"claude_chat_id\":\"chat_1\",\"mine\":1",
            "no table knows anthropic.audit.mine",
        ),
        (
            "\"claude_chat_id\":\"chat_1\"",
            "\"claude_chat_id\":\"chat_1\",\"claude_chat_id\":\"x\"",
            "stands twice",
        ),
        (
            "\"claude_chat_id\":\"chat_1\"",
            "\"claude_chat_id\":\"chat_1\",\"enabled\":\"yes\"",
            "indexed as boolean",
        ),
        (":00.120Z", ":00.12Z", "created_at is lost"),
        (":00.120Z", ":00.120+00:00", "indexed as date"),
        ("2026-10-05T07", "2026-10-05T08", "created_at is lost"),
        ("\"kind\":\"event\"", "\"kind\":\"happening\"", "ECS does not allow"),
        ("\"id\":\"a1\"", "\"id\":[\"a1\"]", "\"event.id\" array"),
        ("\"type\":[\"", "\"type\":[\"protocol\",\"", "event.type protocol is expected by none"),
        ("\"category\":[", "\"category\":[\"library\",", "event.category library expects none"),
        ("\"severity\":", "\"severity\":\"high\",\"risk_score\":", "indexed as long"),
        ("\"ip\":\"192.0.2.1\"", "\"ip\":\"192.0.2\"", "indexed as ip"),
        ("\"message\":\"", "\"message\":\" \",\"event\":\"", "the message is blank"),
        ("\"tags\":[\"unknown_field\"]", "\"tags\":[\"odd\"]", "unknown tag odd"),
        ("\"tags\":[\"unknown_field\"]", "\"tags\":[\"unexpected_value\"]", "no tag unknown_field"),
        ("\"ecs\":{", "\"ecs\":{\"of\":\"x\",", "no table knows ecs.of"),
        ("\"user\":[\"", "\"user\":[\"u1\",\"u1\",\"", "repeats a value"),
    ];
    for (from, to, expected) in cases {
        assert!(document.contains(from), "{from} is not in {document}");
        let broken = document.replacen(from, to, 1);
        let problems =
            Checker::new(Tables::builtin()).problems(raw, broken.as_bytes(), Origin::Catalog).join("\n");
        let expected = expected.replace("\"event.id\" array", "event.id not as an array");
        assert!(problems.contains(&expected), "{from} -> {to}: {problems}");
    }
}

/// A path keeps its type from document to document, whatever the tables say.
#[test]
fn the_checker_remembers_types() {
    let mut checker = Checker::new(Tables::builtin());
    let mut problems = Vec::new();
    checker.one_type_per_path("anthropic.audit.x", &Json::Text("7".to_owned()), &mut problems);
    assert!(problems.is_empty());
    checker.one_type_per_path("anthropic.audit.x", &Json::Number("7".to_owned()), &mut problems);
    assert_eq!(problems.len(), 1, "{problems:?}");
}
