//! Which rows of the field table apply to a field.
//!
//! Owns the table's rules of precedence as a reader of the table would apply them: the row that names a type
//! most closely wins, rows with a condition are tried first, in that order. The mapper compiles the same
//! rules for speed; a test holds this reading against what the mapper does.

use std::cmp::Reverse;

use model::catalog::{Field, Shape};
use model::tables::{FieldRow, Tables};

use super::words;

/// Actor fields are named so in the table.
pub(crate) const ACTOR: &str = "actor.";

/// The rows for the value at `path` on the type (or actor kind) `name`, in the order in which they are tried;
/// the last has no condition, if there is such a row at all.
pub(crate) fn rows<'t>(tables: &'t Tables, path: &str, name: &str) -> Vec<&'t FieldRow> {
    let start = tables.fields.partition_point(|row| row.field.as_str() < path);
    let same = tables.fields.iter().skip(start).take_while(|row| row.field == path);
    let mut rows: Vec<&FieldRow> = same.filter(|row| row.on.rank(name) > 0).collect();
    rows.sort_by_key(|row| (row.when.is_none(), Reverse(row.on.rank(name))));
    let unconditional = rows.iter().position(|row| row.when.is_none());
    rows.truncate(unconditional.map_or(rows.len(), |at| at + 1));
    rows
}

/// Whether an object at `path` is taken apart, having rows for what is inside.
pub(crate) fn is_opened(tables: &Tables, path: &str, name: &str) -> bool {
    let prefix = format!("{path}.");
    let start = tables.fields.partition_point(|row| row.field < prefix);
    let inside = tables.fields.iter().skip(start).take_while(|row| row.field.starts_with(&prefix));
    inside.into_iter().any(|row| row.on.rank(name) > 0)
}

/// A catalog field that is a value of its own, and where it stands.
#[derive(Debug)]
pub(crate) struct Leaf<'c> {
    /// Dotted path in the record.
    pub(crate) path: String,
    /// Its shape; the first, where the objects of a union have it in several.
    pub(crate) shape: &'c Shape,
    /// Its published values, those of all objects it may be in.
    pub(crate) values: Vec<&'c str>,
    /// The key may be missing, or its parent's.
    pub(crate) optional: bool,
    /// The value may be `null`.
    pub(crate) nullable: bool,
}

impl Leaf<'_> {
    /// In words.
    pub(crate) fn shape_in_words(&self) -> String {
        match self.shape {
            Shape::Enum { .. } => format!("one of {}", self.values.len()),
            shape => words::shape(shape),
        }
    }
}

/// The leaves of `fields`: objects that the table takes apart are opened.
pub(crate) fn leaves<'c>(tables: &Tables, prefix: &str, fields: &'c [Field], name: &str) -> Vec<Leaf<'c>> {
    let mut found = Vec::new();
    for field in fields {
        open(tables, prefix, field, false, name, &mut found);
    }
    found
}

fn open<'c>(
    tables: &Tables,
    prefix: &str,
    field: &'c Field,
    optional: bool,
    name: &str,
    found: &mut Vec<Leaf<'c>>,
) {
    let path = format!("{prefix}{}", field.name);
    let optional = optional || field.optional;
    let below = format!("{path}.");
    match &field.shape {
        Shape::Object { fields } if is_opened(tables, &path, name) => {
            for inner in fields {
                open(tables, &below, inner, optional || field.nullable, name, found);
            }
        }
        Shape::Union { variants } if is_opened(tables, &path, name) => {
            for inner in variants.iter().flat_map(|variant| &variant.fields) {
                let mut inside = Vec::new();
                open(tables, &below, inner, true, name, &mut inside);
                for leaf in inside {
                    match found.iter_mut().find(|known| known.path == leaf.path) {
                        Some(known) => also(known, leaf),
                        None => found.push(leaf),
                    }
                }
            }
        }
        shape => {
            let values = match shape {
                Shape::Enum { values } => values.iter().map(String::as_str).collect(),
                _ => Vec::new(),
            };
            found.push(Leaf { path, shape, values, optional, nullable: field.nullable });
        }
    }
}

/// Another object of a union has the same field.
fn also<'c>(known: &mut Leaf<'c>, other: Leaf<'c>) {
    let new = other.values.into_iter().filter(|value| !known.values.contains(value));
    let new: Vec<&str> = new.collect();
    known.values.extend(new);
    known.optional |= other.optional;
    known.nullable |= other.nullable;
}

#[cfg(test)]
mod tests {
    use model::catalog::Catalog;

    use super::*;

    fn homes(path: &str, name: &str) -> Vec<String> {
        rows(&Tables::builtin(), path, name).iter().map(|row| row.home.clone()).collect()
    }

    #[test]
    fn the_closest_row_wins_and_conditions_come_first() {
        assert_eq!(homes("created_at", "claude_chat_created"), ["@timestamp"]);
        assert_eq!(homes("created_at", "anthropic_access"), ["event.created"]);
        let tables = Tables::builtin();
        let conditional = rows(&tables, "principal_id", "design_project_member_added");
        assert!(conditional.len() > 2);
        assert!(conditional.iter().rev().skip(1).all(|row| row.when.is_some()));
    }

    #[test]
    fn a_leaf_of_several_objects_is_there_once_with_all_values() {
        let (tables, catalog) = (Tables::builtin(), Catalog::builtin());
        let leaves = leaves(&tables, ACTOR, &catalog.actors["federated_actor"], "federated_actor");
        let values = |path: &str| {
            let found: Vec<_> = leaves.iter().filter(|leaf| leaf.path == path).collect();
            assert_eq!(found.len(), 1, "{path}");
            (found[0].values.clone(), found[0].shape_in_words())
        };
        assert_eq!(
            values("actor.provider.type"),
            (vec!["aws", "azure", "gcp", "oidc"], "one of 4".to_owned())
        );
        assert_eq!(values("actor.provider.account_id").0, [""; 0]);
        for (name, activity) in &catalog.activities {
            let leaves = super::leaves(&tables, "", &activity.fields, name);
            let paths: std::collections::BTreeSet<&str> =
                leaves.iter().map(|leaf| leaf.path.as_str()).collect();
            assert_eq!(paths.len(), leaves.len(), "{name} has a path twice");
        }
    }

    #[test]
    fn every_leaf_of_the_catalog_has_a_row() {
        let (tables, catalog) = (Tables::builtin(), Catalog::builtin());
        for (name, activity) in &catalog.activities {
            for leaf in leaves(&tables, "", &activity.fields, name) {
                assert!(!rows(&tables, &leaf.path, name).is_empty(), "{name} {}", leaf.path);
            }
        }
        for (kind, fields) in &catalog.actors {
            for leaf in leaves(&tables, ACTOR, fields, kind) {
                assert!(!rows(&tables, &leaf.path, kind).is_empty(), "{kind} {}", leaf.path);
            }
        }
    }
}
