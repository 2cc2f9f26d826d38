//! Which sort of value a field name stands for.
//!
//! It owns the look-up: an exact row, then the name without its qualifier (`previous_model` is a
//! `model`), then the ending (`…_email`), then a plain word. A test demands that no name in the
//! catalog falls through to the last by accident.

use crate::text_rules::TEXTS;

/// The sorts of text there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Text<'n> {
    /// A tagged id with this prefix.
    Id(&'n str),
    /// One of these.
    OneOf(&'n [&'n str]),
    /// The id, address or name of somebody in the cast.
    UserId,
    Email,
    PersonName,
    /// The id of a user, a group or a service account.
    PrincipalId,
    /// Where and with what somebody in the cast works.
    Address,
    Agent,
    /// Words from the vocabulary.
    File,
    Label,
    Group,
    Slug,
    Sentence,
    Host,
    Domain,
    Scope,
    /// Several scopes, space-separated.
    Scopes,
    /// `owner/name`.
    Repo,
    /// Scheme and host, with path, or a Compliance API call.
    Origin,
    Url,
    ApiUrl,
    Uuid,
    /// Lowercase hex of this many digits.
    Hex(usize),
    /// `sha256:` and 64 digits.
    Sha256,
    /// Colon-separated uppercase bytes.
    Fingerprint,
    /// A Slack id with this letter, and the time stamp of a thread.
    Slack(char),
    SlackThread,
    Version,
    /// A number written as text.
    Digits(u64, u64),
    /// A time before or after the record, or a day before it.
    Past,
    Future,
    Date,
    /// A JSON text.
    RequestBody,
    RoleArn,
    AwsAccount,
    GoogleAccount,
    /// What an identity provider calls a workload.
    Subject,
}

/// Words before a name that do not change what it is.
const QUALIFIERS: &[&str] = &[
    "previous_",
    "current_",
    "new_",
    "old_",
    "deleted_",
    "invited_",
    "excluded_",
    "requested_",
    "source_",
    "cascaded_",
    "created_",
    "default_",
    "injected_",
    "unauthenticated_",
];

/// Endings that tell enough.
const ENDINGS: &[(&str, Text<'static>)] = &[
    ("_at", Text::Past),
    ("_email", Text::Email),
    ("_email_address", Text::Email),
    ("_emails", Text::Email),
    ("_hash", Text::Sha256),
    ("_jti", Text::Uuid),
    ("_name", Text::Label),
    ("_url", Text::Url),
    ("_user_id", Text::UserId),
    ("_uuid", Text::Uuid),
];

/// What the text of a field looks like.
pub(crate) fn text_rule(name: &str) -> Text<'_> {
    known_text_rule(name).unwrap_or(Text::Slug)
}

/// The same, `None` for a name that says nothing to us.
fn known_text_rule(name: &str) -> Option<Text<'_>> {
    if let Ok(row) = TEXTS.binary_search_by_key(&name, |row| row.0) {
        return Some(TEXTS[row].1);
    }
    if let Some(base) = QUALIFIERS.iter().find_map(|qualifier| name.strip_prefix(qualifier))
        && let Some(rule) = known_text_rule(base)
    {
        return Some(rule);
    }
    if let Some((_, rule)) = ENDINGS.iter().find(|(ending, _)| name.ends_with(ending)) {
        return Some(*rule);
    }
    let singular = name.strip_suffix('s').unwrap_or(name);
    if singular.ends_with("_id") { Some(Text::Id(&singular[..singular.len() - 2])) } else { None }
}

/// The sorts of number: one of a few, or a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Number {
    pub(crate) choices: Option<&'static [u64]>,
    pub(crate) low: u64,
    pub(crate) high: u64,
    /// Half of them have a decimal fraction.
    pub(crate) fraction: bool,
}

const fn between(low: u64, high: u64) -> Number {
    Number { choices: None, low, high, fraction: false }
}

const fn one_of(choices: &'static [u64]) -> Number {
    Number { choices: Some(choices), low: 0, high: 0, fraction: false }
}

/// Endings of number names, the first that fits counts.
const NUMBERS: &[(&str, Number)] = &[
    ("status_code", one_of(&[200, 200, 200, 200, 201, 204, 400, 403, 404, 409, 429, 500, 503])),
    ("port", one_of(&[443, 8_443, 22, 5_432, 9_200])),
    ("ports", one_of(&[443, 80, 8_080, 5_432, 6_443])),
    ("duration", Number { fraction: true, ..between(1, 90) }),
    ("amount", Number { fraction: true, ..between(10, 20_000) }),
    ("limit_usd", Number { fraction: true, ..between(100, 500_000) }),
    ("percentage", between(0, 100)),
    ("_ms", between(250, 15_000)),
    ("duration_seconds", one_of(&[3_600, 28_800, 86_400, 2_592_000])),
    ("leaf_index", between(0, 9_000_000)),
    ("installation_id", between(40_000_000, 90_000_000)),
    ("webhook_id", between(400_000_000, 600_000_000)),
    ("app_id", between(100_000, 2_000_000)),
    ("repo_ids", between(100_000_000, 900_000_000)),
    ("repo_ids_added", between(100_000_000, 900_000_000)),
    ("repo_ids_removed", between(100_000_000, 900_000_000)),
    ("members_limit", between(5, 5_000)),
    ("value", between(50, 4_000_000)),
    ("quantity", between(5, 400)),
    ("seats", between(1, 50)),
];

/// What the number of a field looks like: small when the name says nothing.
pub(crate) fn number_rule(name: &str) -> Number {
    NUMBERS.iter().find(|(ending, _)| name.ends_with(ending)).map_or(between(0, 40), |(_, rule)| *rule)
}

#[cfg(test)]
mod tests {
    use model::catalog::{Catalog, Field, Shape};

    use super::*;

    #[test]
    fn the_table_is_sorted_without_duplicates() {
        assert!(TEXTS.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn qualified_and_plural_names_find_their_rule() {
        assert_eq!(text_rule("previous_model"), text_rule("model"));
        assert_eq!(text_rule("claude_chat_ids"), Text::Id("claude_chat_"));
        assert_eq!(text_rule("deleted_user_email"), Text::Email);
        assert_eq!(text_rule("no_such_name_at_all"), Text::Slug);
    }

    #[test]
    fn every_text_in_the_catalog_has_a_rule() {
        fn visit(shape: &Shape, name: &str, missing: &mut Vec<String>) {
            match shape {
                Shape::String if !name.ends_with("_value") && known_text_rule(name).is_none() => {
                    missing.push(name.to_owned())
                }
                Shape::Array { items } => visit(items, name, missing),
                Shape::Object { fields } => {
                    fields.iter().for_each(|field| visit(&field.shape, &field.name, missing))
                }
                Shape::Union { variants } => {
                    for field in variants.iter().flat_map(|variant| &variant.fields) {
                        visit(&field.shape, &field.name, missing);
                    }
                }
                _ => {}
            }
        }
        let catalog = Catalog::builtin();
        let activities = catalog.activities.values().flat_map(|activity| &activity.fields);
        let fields: Vec<&Field> = activities.chain(catalog.actors.values().flatten()).collect();
        let mut missing = Vec::new();
        for field in fields {
            visit(&field.shape, &field.name, &mut missing);
        }
        assert!(missing.is_empty(), "{missing:?}");
    }
}
