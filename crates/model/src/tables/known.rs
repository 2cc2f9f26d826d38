//! Which fields there are, as far as the catalog and the tables know; and whether `personal.csv` decides on all of them that it should.
//!
//! Owns the walk through the shapes of the catalog, by which a rule of the configuration and a row of the table are held to name
//! something. The subtle thing: the variants of a list of changes are told apart by a published `type` even where all are of one
//! shape, so that `updates[name]` is a place of its own.

use std::collections::BTreeSet;

#[cfg(test)]
use super::Source;
use super::personal::{FieldName, FieldPath, PersonalRow, Segment, personal, words};
use super::{On, PERSONAL, Problem, Tables};
use crate::catalog::{Catalog, Field, Shape};

/// A field there is, as far as anybody knows.
#[derive(Debug, Clone)]
pub struct KnownField {
    /// The way to it.
    pub path: FieldPath,
    /// The activity type it is on; `None` if it can be on any.
    pub on: Option<String>,
    /// What is in it.
    pub holds: Holds,
}

/// What is known of a field's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// Text that is not one of a published set.
    Text,
    /// Numbers, truth values, words of a published set.
    Plain,
    /// An object of known fields.
    Fields,
    /// Anything: what lies below is not known either.
    Anything,
}

/// The fields of the catalog, nested ones too, and those that rows of `tables` name beyond it.
#[must_use]
pub fn known_fields(catalog: &Catalog, tables: &Tables) -> Vec<KnownField> {
    let mut known = Vec::new();
    let here = FieldPath(Vec::new());
    walk(&catalog.envelope, &here, None, &mut known);
    let actor = FieldPath(vec![Segment { key: "actor".to_owned(), variant: None }]);
    for fields in catalog.actors.values() {
        walk(fields, &actor, None, &mut known);
    }
    for observed in &catalog.observed {
        let on = Some(observed.on.as_str()).filter(|on| *on != "*" && !observed.field.name.contains('.'));
        walk(std::slice::from_ref(&observed.field), &here, on, &mut known);
    }
    for (name, activity) in &catalog.activities {
        walk(&activity.fields, &here, Some(name), &mut known);
    }
    let seen: BTreeSet<String> = known.iter().map(|field| plain(&field.path)).collect();
    for row in tables.fields.iter().filter(|row| !seen.contains(&row.field)) {
        if let Ok(path) = row.field.parse() {
            known.push(KnownField { path, on: None, holds: Holds::Anything });
        }
    }
    known
}

/// A path without its variants.
fn plain(path: &FieldPath) -> String {
    path.0.iter().map(|segment| segment.key.as_str()).collect::<Vec<_>>().join(".")
}

fn walk(fields: &[Field], parent: &FieldPath, on: Option<&str>, into: &mut Vec<KnownField>) {
    for field in fields {
        let mut path = parent.clone();
        let keys = field.name.split('.').map(|key| Segment { key: key.to_owned(), variant: None });
        path.0.extend(keys);
        let mut shape = &field.shape;
        while let Shape::Array { items } = shape {
            shape = items;
        }
        let holds = match shape {
            Shape::String => Holds::Text,
            Shape::Number | Shape::Boolean | Shape::Enum { .. } => Holds::Plain,
            Shape::Object { fields } => {
                walk(fields, &path, on, into);
                Holds::Fields
            }
            Shape::Union { variants } => {
                for variant in variants {
                    let mut path = path.clone();
                    if let Some(last) = path.0.last_mut() {
                        last.variant = tag(&variant.fields);
                    }
                    walk(&variant.fields, &path, on, into);
                }
                Holds::Fields
            }
            // Lists were passed through above.
            Shape::Map { .. } | Shape::Any | Shape::Array { .. } => Holds::Anything,
            Shape::Actor => Holds::Fields,
        };
        // A list of changes tells them apart by a published `type`, though they are of one shape.
        if let Shape::Object { fields } = shape
            && matches!(
                fields.iter().find(|field| field.name == TYPE),
                Some(Field { shape: Shape::Enum { .. }, .. })
            )
        {
            for value in fields.iter().filter(|field| field.name == TYPE).flat_map(values) {
                let mut path = path.clone();
                if let Some(last) = path.0.last_mut() {
                    last.variant = Some(value.clone());
                }
                walk(fields, &path, on, into);
            }
        }
        into.push(KnownField { path, on: on.map(str::to_owned), holds });
    }
}

/// The member that tells the variants of an object apart.
const TYPE: &str = "type";

fn values(field: &Field) -> &[String] {
    match &field.shape {
        Shape::Enum { values } => values,
        _ => &[],
    }
}

fn tag(fields: &[Field]) -> Option<String> {
    fields.iter().find(|field| field.name == TYPE).and_then(|field| values(field).first().cloned())
}

/// Words in a key that suggest something of a person; a text field with one needs a decision.
const SUSPICIOUS: [&str; 46] = [
    "address",
    "addresses",
    "agent",
    "alias",
    "body",
    "comment",
    "content",
    "contents",
    "description",
    "detail",
    "email",
    "emails",
    "endpoint",
    "file",
    "filename",
    "filenames",
    "href",
    "instructions",
    "ip",
    "label",
    "link",
    "login",
    "mail",
    "message",
    "name",
    "names",
    "owner",
    "path",
    "phone",
    "principal",
    "prompt",
    "query",
    "reason",
    "subject",
    "summary",
    "text",
    "title",
    "titles",
    "uri",
    "uris",
    "url",
    "urls",
    "user",
    "username",
    "value",
    "values",
];
/// Last words of keys that hold no words of people. Not among them: what has a part of the value, such as a `prefix`.
const HARMLESS: [&str; 7] = ["hash", "id", "ids", "kind", "sha256", "type", "uuid"];

/// Holds the table against the catalog: every row means something there, and every text field whose key has a word that suggests
/// something of a person has a row.
#[must_use]
pub fn check_personal(catalog: &Catalog, rows: &[PersonalRow]) -> Vec<Problem> {
    let known = known_fields(catalog, &Tables::default());
    let mut problems = Vec::new();
    let mut problem = |place: &(String, u64), message| {
        problems.push(Problem { file: place.0.clone(), line: place.1, message })
    };
    for row in rows {
        if let On::Only(names) = &row.on {
            if !matches!(row.field, FieldName::At(_)) {
                problem(
                    &row.place,
                    "the end of a key, or `*`, says the same on every type: `on` must be *".to_owned(),
                );
            }
            for name in
                names.iter().filter(|name| !name.contains('*') && !catalog.activities.contains_key(*name))
            {
                problem(&row.place, format!("the catalog has no activity type `{name}`"));
            }
        }
        if let FieldName::Within(path) = &row.field
            && !known.iter().any(|field| field.holds == Holds::Anything && path.names(&field.path))
        {
            problem(&row.place, format!("the catalog has no field `{path}` that holds anything"));
        }
        if let FieldName::At(path) = &row.field
            && path.to_string() != ACTOR_TYPE
        {
            let is_on = |field: &KnownField| field.on.as_deref().is_none_or(|on| row.on.rank(on) > 0);
            let is_there = |field: &KnownField| {
                path.names(&field.path) || field.holds == Holds::Anything && field.path.leads_to(path)
            };
            if !known.iter().any(|field| is_on(field) && is_there(field)) {
                problem(&row.place, format!("the catalog has no field `{path}` on `{}`", row.on));
            }
        }
    }
    let place = (PERSONAL.name.to_owned(), 0);
    for field in known.iter().filter(|field| field.holds == Holds::Text && is_suspicious(field.path.key())) {
        let on = field.on.as_deref().unwrap_or_default();
        if personal(rows, &field.path, on).is_none() {
            let on = field.on.as_deref().unwrap_or("*");
            problem(
                &place,
                format!("no row for the field `{}` of `{on}`: give it a class, or `none`", field.path),
            );
        }
    }
    problems.dedup();
    problems
}

/// Not listed among the fields of an actor, but there on every one.
const ACTOR_TYPE: &str = "actor.type";

fn is_suspicious(key: &str) -> bool {
    let words = words(key);
    let mut each = words.split('_');
    let is_harmless = each.clone().next_back().is_some_and(|last| HARMLESS.contains(&last));
    !is_harmless && each.any(|word| SUSPICIOUS.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::personal::HEADER;

    fn problems(text: &str) -> Vec<String> {
        let text = format!("{}\n{text}", HEADER.join(","));
        match PersonalRow::parse(Source { name: "p.csv", text: &text }) {
            Ok(rows) => check_personal(&Catalog::builtin(), &rows).iter().map(ToString::to_string).collect(),
            Err(error) => vec![error.to_string()],
        }
    }

    #[test]
    fn a_wrong_row_is_refused() {
        let first =
            |row: &str| problems(row).into_iter().find(|problem| problem.starts_with("p.csv")).unwrap();
        for (row, expected) in [
            ("filename,*,file,", "p.csv:2: `file` is no class"),
            ("filename,,file_name,", "p.csv:2: `on` is empty"),
            ("filenam,*,file_name,", "p.csv:2: the catalog has no field `filenam`"),
            ("filename,sso_login_failed,file_name,", "p.csv:2: the catalog has no field `filename`"),
            ("filename,claude_file_upload,file_name,", "p.csv:2: the catalog has no activity type"),
            ("updates[novel].current_value,*,name,", "p.csv:2: the catalog has no field"),
            ("updates[full_name],*,name,", "p.csv:2: `updates[full_name]` is no path"),
            ("*a_b_c_d_e,*,email,", "p.csv:2: `*a_b_c_d_e` has more than 4 words"),
            ("*Email,*,email,", "p.csv:2: `*Email` must be words"),
            ("*email,sso_login_failed,email,", "p.csv:2: the end of a key, or `*`, says the same"),
            ("filename.*,*,name,", "p.csv:2: the catalog has no field `filename` that holds anything"),
            ("b,*,none,\na,*,none,", "p.csv:3: not sorted"),
        ] {
            assert!(first(row).starts_with(expected), "{row}: {}", first(row));
        }
    }

    #[test]
    fn a_field_with_a_telling_name_needs_a_row() {
        let missing = problems("");
        for field in [
            "actor.email_address",
            "filename",
            "match_subject_prefix",
            "request_body",
            "updates[full_name].current_value",
        ] {
            let expected = format!("no row for the field `{field}`");
            assert!(missing.iter().any(|problem| problem.contains(&expected)), "{field}");
        }
        assert_eq!(check_personal(&Catalog::builtin(), &PersonalRow::builtin()), []);
    }
}
