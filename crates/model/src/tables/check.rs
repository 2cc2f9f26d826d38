//! Holds the tables against the catalog and against ECS.
//!
//! Run by the mapper's build script over the shipped tables, and again for every overlay. All
//! problems are collected, so that one run shows everything there is to mend.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    ActivityRow, ActorRow, Case, Convert, EcsFields, FieldRow, IndexType, OutcomeRule, Problem, Tables,
    Template,
};
use crate::catalog::{Catalog, Field, Shape};

/// Everything that is wrong with `tables`; empty when all is well.
///
/// Beyond what each row must satisfy by itself: every catalog type, actor kind and field
/// (nested ones included) has a row; every row means something in the catalog; two fields of one
/// type never share a home; messages and outcome rules name fields that the type has.
#[must_use]
pub fn check(catalog: &Catalog, ecs: &EcsFields, tables: &Tables) -> Vec<Problem> {
    let mut problems = check_rows(tables, ecs);
    let mut coverage = Coverage::new(tables);
    for (name, activity) in &catalog.activities {
        coverage.fields_of(&[name], "", &activity.fields);
        coverage.fields_of(&[name], "", &catalog.envelope);
        coverage.homes_are_distinct(name, activity.fields.iter().chain(&catalog.envelope));
        match tables.activity(name) {
            None => {
                coverage.whole("mappings/activities.csv", format!("no row for the activity type `{name}`"))
            }
            Some(row) => coverage.row_fits_type(row, &activity.fields),
        }
    }
    for row in &tables.activities {
        if !catalog.activities.contains_key(&row.activity_type) {
            let message = format!("the catalog has no activity type `{}`", row.activity_type);
            coverage.at(&row.place, message);
        }
    }
    for (kind, fields) in &catalog.actors {
        coverage.fields_of(&[kind], "actor.", fields);
        match tables.actors.iter().find(|row| row.kind == *kind) {
            None => coverage.whole("mappings/actors.csv", format!("no row for the actor kind `{kind}`")),
            Some(row) => coverage.subject_fits_kind(row, fields),
        }
    }
    for observed in &catalog.observed {
        coverage.fields_of(&[&observed.on], "", std::slice::from_ref(&observed.field));
    }
    for row in &tables.actors {
        if row.kind != ActorRow::ANY && !catalog.actors.contains_key(&row.kind) {
            coverage.at(&row.place, format!("the catalog has no actor kind `{}`", row.kind));
        }
    }
    problems.append(&mut coverage.finish());
    problems
}

/// What each row must satisfy by itself or beside the other rows, whatever the catalog says.
pub(super) fn check_rows(tables: &Tables, ecs: &EcsFields) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut problem = |place: &(String, u64), message: String| {
        problems.push(Problem { file: place.0.clone(), line: place.1, message });
    };
    for row in &tables.activities {
        check_classification(ecs, &row.categories, &row.event_types, &mut |message| {
            problem(&row.place, message)
        });
        check_template(&row.message, &mut |message| problem(&row.place, message));
    }
    for row in &tables.suffixes {
        for event_type in &row.event_types {
            if !ecs.get("event.type").is_some_and(|field| field.allowed.contains_key(event_type)) {
                problem(&row.place, format!("`{event_type}` is no event.type of ECS"));
            }
        }
    }
    if !tables.actors.iter().any(|row| row.kind == ActorRow::ANY) {
        let place = ("mappings/actors.csv".to_owned(), 0);
        problem(&place, format!("no row `{}` for actor kinds not known", ActorRow::ANY));
    }
    if tables.suffixes.last().is_none_or(|row| !row.suffix.is_empty()) {
        let place =
            tables.suffixes.last().map_or(("mappings/suffixes.csv".to_owned(), 0), |row| row.place.clone());
        problem(&place, "the last row must have an empty suffix and take the rest".to_owned());
    }
    let mut paths = Paths::default();
    for (path, index) in OWN_PATHS {
        paths.0.insert(path.to_owned(), (index.as_str().to_owned(), ("mappings/fields.csv".to_owned(), 0)));
    }
    // A user's rows come last: where they contradict a shipped one, they are to blame.
    let (shipped, own): (Vec<_>, Vec<_>) =
        tables.fields.iter().partition(|row| row.place.0 == super::FIELDS.name);
    for row in shipped.into_iter().chain(own) {
        let places = std::iter::once(&row.home).chain(row.also.iter().map(|copy| &copy.path));
        for path in places.filter(|path| WRITTEN.contains(&path.as_str()) || is_made_whole(path)) {
            let shipped = SHIPPED.contains(&(row.field.as_str(), path.as_str()));
            if !shipped {
                problem(&row.place, format!("`{path}` is written by the program itself"));
            }
        }
        if row.home.starts_with("related.") {
            problem(&row.place, format!("`{}` only takes copies: put it under `also`", row.home));
        }
        if row.field.starts_with("actor.") && row.when.is_some() {
            problem(&row.place, "an actor's field cannot depend on a sibling".to_owned());
        }
        paths.claim(ecs, &row.place, &row.home, Some(row.index), &mut |message| problem(&row.place, message));
        for copy in &row.also {
            let index = match copy.convert {
                Convert::Whole => Some(row.index).filter(|index| !is_text(*index, ecs, &copy.path)),
                Convert::UrlPort => Some(IndexType::Long),
                _ => Some(IndexType::Keyword).filter(|index| !is_text(*index, ecs, &copy.path)),
            };
            paths.claim(ecs, &row.place, &copy.path, index, &mut |message| problem(&row.place, message));
        }
    }
    for row in &tables.actors {
        for (path, _) in &row.set {
            paths.claim(ecs, &row.place, path, None, &mut |message| problem(&row.place, message));
        }
    }
    paths.no_leaf_is_a_parent(&mut problem);
    if let Some(row) = tables.fields.last()
        && paths.0.len() > MOST_PATHS
    {
        problem(
            &row.place,
            format!("{} paths in all, more than the {MOST_PATHS} a document can have", paths.0.len()),
        );
    }
    problems
}

/// The most paths that rows may name; an index has a limit of its own, 1,000 fields unless it is told otherwise.
const MOST_PATHS: usize = 4_000;

/// Vendor paths that the mapper fills without a row.
const OWN_PATHS: [(&str, IndexType); 2] =
    [("anthropic.audit.metadata", IndexType::Flattened), ("anthropic.audit.anonymizer", IndexType::Keyword)];

/// Paths that no row may fill, because the mapper writes them itself.
const WRITTEN: [&str; 20] = [
    "anthropic.audit.anonymizer",
    "anthropic.audit.metadata",
    "data_stream.dataset",
    "data_stream.namespace",
    "data_stream.type",
    "ecs.version",
    "event.action",
    "event.category",
    "event.dataset",
    "event.hash",
    "event.ingested",
    "event.kind",
    "event.module",
    "event.original",
    "event.outcome",
    "event.severity",
    "event.type",
    "message",
    "source.address",
    "tags",
];

/// Paths below which the program writes everything itself, from the one value that the shipped rows name.
fn is_made_whole(path: &str) -> bool {
    ["user_agent.", "source.geo.", "source.as."].iter().any(|root| path.starts_with(root))
        || path == "source.ip"
}

/// The shipped rows that give the program what it makes the rest from.
const SHIPPED: [(&str, &str); 3] = [
    ("actor.ip_address", "source.ip"),
    ("actor.user_agent", "user_agent.original"),
    ("type", "event.action"),
];

/// Whether both a value and the place of its copy are text, if of different kinds.
fn is_text(index: IndexType, ecs: &EcsFields, path: &str) -> bool {
    let texts = ["keyword", "wildcard", "match_only_text", "constant_keyword"];
    texts.contains(&index.as_str())
        && ecs.get(path).is_some_and(|field| texts.contains(&field.index.as_str()))
}

/// Paths claimed so far, with the index type and the place of the first row that claimed each.
#[derive(Default)]
struct Paths(BTreeMap<String, (String, (String, u64))>);

impl Paths {
    fn claim(
        &mut self,
        ecs: &EcsFields,
        place: &(String, u64),
        path: &str,
        index: Option<IndexType>,
        problem: &mut impl FnMut(String),
    ) {
        let wanted = match (ecs.get(path), path.starts_with("anthropic.")) {
            (Some(field), _) => {
                if let Some(index) = index
                    && index.as_str() != field.index
                {
                    problem(format!("ECS indexes `{path}` as {}, not {}", field.index, index.as_str()));
                }
                field.index.clone()
            }
            (None, true) => index.unwrap_or(IndexType::Keyword).as_str().to_owned(),
            (None, false) => {
                problem(format!("ECS has no field `{path}`; vendor fields begin with `anthropic.`"));
                return;
            }
        };
        if let Some((other, _)) = self.0.get(path) {
            if *other != wanted {
                problem(format!("`{path}` is indexed as {other} by another row, as {wanted} here"));
            }
        } else {
            self.0.insert(path.to_owned(), (wanted, place.clone()));
        }
    }

    fn no_leaf_is_a_parent(&self, problem: &mut impl FnMut(&(String, u64), String)) {
        for (path, (_, place)) in &self.0 {
            let below = format!("{path}.");
            if let Some((child, (_, child_place))) = self.0.range(below.clone()..).next()
                && child.starts_with(&below)
            {
                let shipped = place.0.starts_with("mappings/");
                problem(
                    if shipped { child_place } else { place },
                    format!("`{path}` cannot be a value and the parent of `{child}` at once"),
                );
            }
        }
    }
}

fn check_classification(
    ecs: &EcsFields,
    categories: &[String],
    types: &[String],
    problem: &mut impl FnMut(String),
) {
    let empty = BTreeMap::new();
    let expected = ecs.get("event.category").map_or(&empty, |field| &field.allowed);
    let known_types = ecs.get("event.type").map_or(&empty, |field| &field.allowed);
    if categories.is_empty() || types.is_empty() {
        problem("event.category and event.type must not be empty".to_owned());
    }
    for category in categories {
        match expected.get(category) {
            None => problem(format!("`{category}` is no event.category of ECS")),
            Some(beside) if !types.iter().any(|event_type| beside.contains(event_type)) => problem(format!(
                "event.category `{category}` expects one of the event types {}, found {}",
                beside.join(" "),
                types.join(" ")
            )),
            Some(_) => {}
        }
    }
    for event_type in types {
        if !known_types.contains_key(event_type) {
            problem(format!("`{event_type}` is no event.type of ECS"));
        } else if !categories
            .iter()
            .any(|c| expected.get(c).is_some_and(|beside| beside.contains(event_type)))
        {
            problem(format!(
                "event.type `{event_type}` is expected by none of the categories {}",
                categories.join(" ")
            ));
        }
    }
    for list in [categories, types] {
        if list.iter().collect::<BTreeSet<_>>().len() != list.len() {
            problem(format!("a value stands twice in `{}`", list.join(" ")));
        }
    }
}

fn check_template(template: &Template, problem: &mut impl FnMut(String)) {
    if let Some(super::Piece::Text(text)) = template.0.last()
        && (text.ends_with('.') || text.ends_with(' '))
    {
        problem("the message must not end in a full stop or a space: the place is put behind it".to_owned());
    }
}

/// The checks that need the catalog, and which rows they found in use.
struct Coverage<'a> {
    tables: &'a Tables,
    by_field: BTreeMap<&'a str, Vec<usize>>,
    used: Vec<bool>,
    problems: Vec<Problem>,
}

impl<'a> Coverage<'a> {
    fn new(tables: &'a Tables) -> Self {
        let mut by_field: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (index, row) in tables.fields.iter().enumerate() {
            by_field.entry(&row.field).or_default().push(index);
        }
        Self { tables, by_field, used: vec![false; tables.fields.len()], problems: Vec::new() }
    }

    fn at(&mut self, place: &(String, u64), message: String) {
        self.problems.push(Problem { file: place.0.clone(), line: place.1, message });
    }

    fn whole(&mut self, file: &str, message: String) {
        self.problems.push(Problem { file: file.to_owned(), line: 0, message });
    }

    /// The rows that apply to a field on a type: those of the closest rank.
    fn rows_for(&self, path: &str, name: &str) -> Vec<(usize, &'a FieldRow)> {
        let rows = self.by_field.get(path).into_iter().flatten();
        let rows: Vec<_> = rows
            .filter_map(|&index| self.tables.fields.get(index).map(|row| (index, row)))
            .filter(|(_, row)| row.on.rank(name) > 0)
            .collect();
        let mut best = Vec::new();
        for conditional in [false, true] {
            let of_kind = || rows.iter().filter(|(_, row)| row.when.is_some() == conditional);
            let rank = of_kind().map(|(_, row)| row.on.rank(name)).max();
            best.extend(of_kind().filter(|(_, row)| Some(row.on.rank(name)) == rank).copied());
        }
        best
    }

    fn fields_of(&mut self, names: &[&str], prefix: &str, fields: &[Field]) {
        for field in fields {
            if matches!(field.shape, Shape::Actor) {
                continue;
            }
            let path = format!("{prefix}{}", field.name);
            for name in names {
                self.field(name, &path, &field.shape);
            }
        }
    }

    /// Whether rows tell where the fields inside an object go.
    fn has_rows_inside(&self, path: &str, name: &str) -> bool {
        let below = format!("{path}.");
        let inside = self.by_field.range(below.as_str()..).take_while(|(field, _)| field.starts_with(&below));
        inside
            .flat_map(|(_, rows)| rows)
            .any(|&row| self.tables.fields.get(row).is_some_and(|r| r.on.rank(name) > 0))
    }

    fn field(&mut self, name: &str, path: &str, shape: &Shape) {
        if self.has_rows_inside(path, name) {
            match shape {
                Shape::Object { fields } => return self.fields_of(&[name], &format!("{path}."), fields),
                Shape::Union { variants } => {
                    for variant in variants {
                        self.fields_of(&[name], &format!("{path}."), &variant.fields);
                    }
                    return;
                }
                _ => {}
            }
        }
        let rows = self.rows_for(path, name);
        if rows.is_empty() {
            self.whole("mappings/fields.csv", format!("no row for the field `{path}` of `{name}`"));
            return;
        }
        if rows.iter().all(|(_, row)| row.when.is_some()) {
            self.whole(
                "mappings/fields.csv",
                format!("no row without condition for the field `{path}` of `{name}`"),
            );
        }
        for (index, row) in rows {
            if let Some(used) = self.used.get_mut(index) {
                *used = true;
            }
            if !accepts(row.index, shape) {
                let message = format!(
                    "{} cannot index what the catalog says of `{path}` on `{name}`",
                    row.index.as_str()
                );
                self.at(&row.place, message);
            }
        }
    }

    fn homes_are_distinct(&mut self, name: &str, fields: impl Iterator<Item = &'a Field>) {
        let mut homes: BTreeMap<&str, &str> = BTreeMap::new();
        for field in fields {
            for (_, row) in self.rows_for(&field.name, name) {
                if let Some(other) = homes.insert(&row.home, &field.name)
                    && other != field.name
                {
                    let message =
                        format!("`{other}` and `{}` of `{name}` share the home `{}`", field.name, row.home);
                    self.problems.push(Problem { file: row.place.0.clone(), line: row.place.1, message });
                }
            }
        }
    }

    fn row_fits_type(&mut self, row: &ActivityRow, fields: &[Field]) {
        let known = flatten(fields);
        self.template_fits(&row.place, &row.message, &known);
        if let OutcomeRule::ByField { field, cases, .. } = &row.outcome {
            match known.get(field.as_str()) {
                None => self.at(&row.place, format!("`{}` has no field `{field}`", row.activity_type)),
                Some((Shape::Enum { values }, _)) => {
                    for (case, _) in cases {
                        if let Case::Text(text) = case
                            && !values.contains(text)
                        {
                            let message =
                                format!("`{field}` has no value `{text}`, only {}", values.join(" "));
                            self.at(&row.place, message);
                        }
                    }
                }
                Some(_) => {}
            }
        }
    }

    fn subject_fits_kind(&mut self, row: &ActorRow, fields: &[Field]) {
        self.template_fits(&row.place, &row.subject, &flatten(fields));
    }

    fn template_fits(
        &mut self,
        place: &(String, u64),
        template: &Template,
        known: &BTreeMap<String, (&Shape, bool)>,
    ) {
        let mut messages = Vec::new();
        template.visit_fields(|fields, covered| {
            for field in fields {
                if !known.contains_key(field.as_str()) {
                    messages
                        .push(format!("the sentence names `{field}`, which the catalog does not have here"));
                }
            }
            let required = |field: &String| known.get(field.as_str()).is_some_and(|(_, required)| *required);
            if !covered && !fields.iter().any(required) {
                messages.push(format!("`{}` may be absent: put it into a [group]", fields.join("|")));
            }
        });
        for message in messages {
            self.at(place, message);
        }
    }

    fn finish(mut self) -> Vec<Problem> {
        for (row, used) in self.tables.fields.iter().zip(std::mem::take(&mut self.used)) {
            if !used && row.field != "actor.type" {
                let message = format!("the catalog has no field `{}` on `{}`", row.field, row.on);
                self.problems.push(Problem { file: row.place.0.clone(), line: row.place.1, message });
            }
        }
        self.problems
    }
}

/// Dotted paths of fields and of the fields of their objects, with whether each is required.
fn flatten(fields: &[Field]) -> BTreeMap<String, (&Shape, bool)> {
    fn walk<'a>(
        fields: &'a [Field],
        prefix: &str,
        required: bool,
        into: &mut BTreeMap<String, (&'a Shape, bool)>,
    ) {
        for field in fields {
            let path = format!("{prefix}{}", field.name);
            let required = required && field.is_required();
            match &field.shape {
                Shape::Object { fields } => walk(fields, &format!("{path}."), required, into),
                Shape::Union { variants } => {
                    for variant in variants {
                        walk(&variant.fields, &format!("{path}."), false, into);
                    }
                }
                _ => {}
            }
            into.entry(path).or_insert((&field.shape, required));
        }
    }
    let mut into = BTreeMap::new();
    walk(fields, "", true, &mut into);
    into
}

/// Whether an index type takes every value of a shape.
fn accepts(index: IndexType, shape: &Shape) -> bool {
    use IndexType as I;
    match shape {
        Shape::String => !matches!(index, I::Flattened | I::Boolean | I::Long | I::Double),
        Shape::Enum { .. } => matches!(index, I::Keyword | I::Wildcard),
        Shape::Number => matches!(index, I::Long | I::Double | I::Keyword),
        Shape::Boolean => matches!(index, I::Boolean | I::Keyword),
        Shape::Array { items } => accepts(index, items),
        Shape::Object { .. } | Shape::Map { .. } | Shape::Union { .. } => matches!(index, I::Flattened),
        Shape::Any | Shape::Actor => true,
    }
}
