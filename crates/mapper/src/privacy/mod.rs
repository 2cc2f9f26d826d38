//! Privacy: what is said of persons is treated before anything is made of it.
//!
//! Owns which values are dropped, hashed or truncated, and the pass that does it. The pass rewrites a raw record
//! ([`rewrite`]), and only what comes out of it is mapped: whatever a document derives, copies or keeps of a value, it derives from
//! the treated one. So there is one place to get right, and the mapper knows nothing of privacy but a set of tags.
//!
//! Must not know any field by name: what is personal stands in `mappings/personal.csv`, and what is to be done in the
//! configuration; [`tree`] puts the two together. Must not change a byte of anything else in the record.
//!
//! The subtle thing: a record is refused rather than mapped untreated. Where the pass cannot read a record it is no JSON, and
//! the mapper's parser says so.

mod looks;
mod memory;
mod pseudonym;
mod rewrite;
mod scan;
mod treat;
mod tree;
mod verdict;

use std::collections::BTreeMap;
use std::fmt;

use model::catalog::Catalog;
use model::settings::Secret;
use model::tables::{Class, FieldPath, Holds, KnownField, On, PersonalRow, Tables, known_fields};
use thiserror::Error;

pub(crate) use looks::bits_if_truncated;
pub(crate) use pseudonym::is_pseudonym;
pub(crate) use rewrite::{Treater, Unreadable};

use pseudonym::Pseudonyms;
use tree::Tree;

/// The shortest key that values may be hashed with, in bytes.
pub const SHORTEST_KEY: usize = 16;

/// What is done to a value. The later ones say less of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// It stays as it is.
    #[default]
    Keep,
    /// A part of it stays, which one by its class.
    Truncate,
    /// A keyed hash stands in its place.
    Hash,
    /// It is absent.
    Drop,
}

/// What is done to some fields, on some types, whatever their class.
#[derive(Debug, Clone)]
pub struct PrivacyRule {
    /// Fields by their paths in the record, as in `mappings/personal.csv`.
    pub fields: Vec<String>,
    /// Activity types; a `*` in a name stands for any text. Empty: all types.
    pub activity_types: Vec<String>,
    /// What is done.
    pub action: Action,
}

/// What is to be done.
#[derive(Debug, Clone, Default)]
pub struct PrivacyOptions {
    /// By class; what is not in it is kept.
    pub classes: BTreeMap<Class, Action>,
    /// The last one that fits wins over all before it, and over the classes.
    pub rules: Vec<PrivacyRule>,
    /// What is hashed is hashed with this key.
    pub key: Option<Secret>,
}

impl PrivacyOptions {
    /// The action for a class.
    #[must_use]
    pub fn of(&self, class: Class) -> Action {
        self.classes.get(&class).copied().unwrap_or_default()
    }

    /// Whether any value is treated.
    #[must_use]
    pub fn is_on(&self) -> bool {
        let actions = self.classes.values().copied().chain(self.rules.iter().map(|rule| rule.action));
        actions.into_iter().any(|action| action != Action::Keep)
    }

    /// Whether a key is needed.
    #[must_use]
    pub fn hashes(&self) -> bool {
        let actions = self.classes.values().copied().chain(self.rules.iter().map(|rule| rule.action));
        actions.into_iter().any(|action| action == Action::Hash)
    }
}

/// What is to be done, checked and compiled; shared by all mappers.
pub struct Privacy {
    tree: Tree,
    classes: [Action; Class::ALL.len()],
    /// Some rule truncates.
    rules_truncate: bool,
    pseudonyms: Option<Pseudonyms>,
}

impl fmt::Debug for Privacy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Privacy").field("classes", &self.classes).finish_non_exhaustive()
    }
}

/// What is to be done cannot be done. Rules are counted from 1.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PrivacyError {
    /// Values are to be hashed, and there is no key.
    #[error("values are to be hashed, and there is no key")]
    NoKey,
    /// The key is too short.
    #[error("the key has {bytes} bytes; at least {SHORTEST_KEY} are needed")]
    ShortKey {
        /// How long it is.
        bytes: usize,
    },
    /// A rule without fields.
    #[error("rule {rule} names no fields")]
    NoFields {
        /// Which rule.
        rule: usize,
    },
    /// What is no path.
    #[error("rule {rule}: {why}")]
    NoPath {
        /// Which rule.
        rule: usize,
        /// What is wrong with it.
        why: String,
    },
    /// No record is known to have the field.
    #[error("rule {rule}: no field `{field}` is known")]
    UnknownField {
        /// Which rule.
        rule: usize,
        /// What it names.
        field: String,
    },
    /// A field without which no record can be told from others, or understood.
    #[error("rule {rule}: `{field}` cannot be treated: {why}")]
    Untreatable {
        /// Which rule.
        rule: usize,
        /// What it names.
        field: String,
        /// What would go wrong.
        why: &'static str,
    },
    /// No such type is known, or none that a pattern stands for.
    #[error("rule {rule}: no activity type `{name}` is known")]
    UnknownType {
        /// Which rule.
        rule: usize,
        /// What it names.
        name: String,
    },
    /// A field that the type does not have.
    #[error("rule {rule}: none of its activity types has a field `{field}`")]
    NotOnType {
        /// Which rule.
        rule: usize,
        /// What it names.
        field: String,
    },
}

/// What rules must leave alone, and why.
const UNTREATABLE: [(&str, &str); 5] = [
    ("id", "it is what makes a replay harmless"),
    ("type", "everything that is known of a record depends on it"),
    ("created_at", "without it a document has no time"),
    ("actor", "name its fields, such as `actor.email_address`"),
    ("actor.type", "everything that is known of an actor depends on it"),
];

impl Privacy {
    /// Checks what is to be done, and compiles it; `None` if that is nothing.
    ///
    /// # Errors
    ///
    /// A key that is missing or too short; a rule that names what no record has.
    pub fn new(options: &PrivacyOptions, tables: &Tables) -> Result<Option<Self>, PrivacyError> {
        let known = known_fields(&Catalog::builtin(), tables);
        for (rule, number) in options.rules.iter().zip(1..) {
            check(rule, number, &known, tables)?;
        }
        if let Some(key) = &options.key
            && key.expose().len() < SHORTEST_KEY
        {
            return Err(PrivacyError::ShortKey { bytes: key.expose().len() });
        }
        if options.hashes() && options.key.is_none() {
            return Err(PrivacyError::NoKey);
        }
        if !options.is_on() {
            return Ok(None);
        }
        Ok(Some(Self {
            tree: Tree::compile(&PersonalRow::builtin(), options),
            classes: Class::ALL.map(|class| options.of(class)),
            rules_truncate: options.rules.iter().any(|rule| rule.action == Action::Truncate),
            pseudonyms: options.key.as_ref().map(|key| Pseudonyms::new(key.expose().as_bytes())),
        }))
    }

    /// The paths that a rule may name, for suggestions.
    #[must_use]
    pub fn known_paths(tables: &Tables) -> Vec<String> {
        let known = known_fields(&Catalog::builtin(), tables);
        let mut paths: Vec<String> = known.iter().map(|field| field.path.to_string()).collect();
        paths.sort_unstable();
        paths.dedup();
        paths
    }

    /// The action for a class.
    pub(crate) fn of(&self, class: Class) -> Action {
        self.classes.get(class as usize).copied().unwrap_or_default()
    }

    /// Whether addresses may be truncated.
    pub(crate) fn truncates(&self) -> bool {
        self.rules_truncate || self.of(Class::Address) == Action::Truncate
    }
}

/// Refuses a rule that names what there is not.
fn check(
    rule: &PrivacyRule,
    number: usize,
    known: &[KnownField],
    tables: &Tables,
) -> Result<(), PrivacyError> {
    if rule.fields.is_empty() {
        return Err(PrivacyError::NoFields { rule: number });
    }
    for name in &rule.activity_types {
        let on = On::Only(vec![name.clone()]);
        if !tables.activities.iter().any(|row| on.rank(&row.activity_type) > 0) {
            return Err(PrivacyError::UnknownType { rule: number, name: name.clone() });
        }
    }
    let on = types(rule);
    for field in &rule.fields {
        if let Some((_, why)) = UNTREATABLE.iter().find(|(name, _)| name == field) {
            return Err(PrivacyError::Untreatable { rule: number, field: field.clone(), why });
        }
        let path: FieldPath = field.parse().map_err(|why| PrivacyError::NoPath { rule: number, why })?;
        let is_it = |other: &&KnownField| {
            path.names(&other.path) || other.holds == Holds::Anything && other.path.leads_to(&path)
        };
        if !known.iter().any(|other| is_it(&other)) {
            return Err(PrivacyError::UnknownField { rule: number, field: field.clone() });
        }
        let is_on = |other: &KnownField| other.on.as_deref().is_none_or(|name| on.rank(name) > 0);
        if !known.iter().filter(is_it).any(is_on) {
            return Err(PrivacyError::NotOnType { rule: number, field: field.clone() });
        }
    }
    Ok(())
}

/// The types that a rule is for.
fn types(rule: &PrivacyRule) -> On {
    match rule.activity_types.as_slice() {
        [] => On::Any,
        names => On::Only(names.to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(fields: &[&str], types: &[&str]) -> String {
        let texts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let rule = PrivacyRule { fields: texts(fields), activity_types: texts(types), action: Action::Drop };
        let options = PrivacyOptions { rules: vec![rule], ..PrivacyOptions::default() };
        Privacy::new(&options, &Tables::builtin()).map_or_else(|error| error.to_string(), |_| String::new())
    }

    #[test]
    fn rules_name_what_there_is() {
        for (fields, types, expected) in [
            (&["filename"][..], &["claude_file_uploaded"][..], ""),
            (&["filename"], &["claude_file_*", "claude_project_*"], ""),
            (&["updates[full_name].current_value", "updates.previous_value"], &[], ""),
            (&["event_data.oidc_token.claims.email", "metadata.owner.team"], &[], ""),
            (&["event_data", "actor.provider", "actor.provider.signed_principal"], &[], ""),
            (&[], &[], "rule 1 names no fields"),
            (&["filenam"], &[], "rule 1: no field `filenam` is known"),
            (&["filename.x"], &[], "rule 1: no field `filename.x` is known"),
            (&["updates[novel].current_value"], &[], "rule 1: no field"),
            (&["a..b"], &[], "rule 1: `a..b` is no path"),
            (
                &["filename"],
                &["claude_file_upload"],
                "rule 1: no activity type `claude_file_upload` is known",
            ),
            (&["filename"], &["zzz_*"], "rule 1: no activity type `zzz_*` is known"),
            (
                &["filename"],
                &["sso_login_failed"],
                "rule 1: none of its activity types has a field `filename`",
            ),
            (&["id"], &[], "rule 1: `id` cannot be treated: it is what makes a replay harmless"),
            (&["actor"], &[], "rule 1: `actor` cannot be treated: name its fields"),
        ] {
            let said = refusal(fields, types);
            assert!(
                said.starts_with(expected) && said.is_empty() == expected.is_empty(),
                "{fields:?}: {said}"
            );
        }
    }

    #[test]
    fn hashing_needs_a_key_that_is_one() {
        let with = |key: Option<&str>, action| {
            let options = PrivacyOptions {
                classes: [(Class::Email, action)].into(),
                key: key.map(Secret::new),
                ..PrivacyOptions::default()
            };
            Privacy::new(&options, &Tables::builtin())
        };
        assert_eq!(with(None, Action::Hash).unwrap_err(), PrivacyError::NoKey);
        assert_eq!(
            with(Some("0123456789abcde"), Action::Hash).unwrap_err(),
            PrivacyError::ShortKey { bytes: 15 }
        );
        assert_eq!(with(Some("short"), Action::Keep).unwrap_err(), PrivacyError::ShortKey { bytes: 5 });
        assert!(with(Some("0123456789abcdef"), Action::Hash).unwrap().is_some());
        assert!(with(None, Action::Drop).unwrap().is_some());
        assert!(with(None, Action::Keep).unwrap().is_none());
        let debug = format!("{:?}", with(Some("0123456789abcdef"), Action::Hash));
        assert!(!debug.contains("0123456789abcdef"), "{debug}");
    }
}
