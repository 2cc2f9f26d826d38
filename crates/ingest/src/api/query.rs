//! What is asked of the feed: filters, and how a question is written.
//!
//! Owns the form of a query (lists repeat `key[]=`, ranges use a dot, times end in `Z`) and what filters mean for each other.
//! Must not know windows or pages.
//!
//! The subtle thing: a cursor answers only the question it was made for. So filters are part of the kept position, and a
//! position made under other filters is refused.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::time::Micros;

/// Which rows are wanted. Lists are kept sorted, so that order in a configuration means nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filters {
    /// Where the feed is: a position in one feed is none in another.
    pub base_url: String,
    /// Keep only these.
    pub activity_types: Vec<String>,
    /// Drop these.
    pub exclude_activity_types: Vec<String>,
    /// Only rows of these users.
    pub actor_ids: Vec<String>,
    /// Only rows of these organizations.
    pub organization_ids: Vec<String>,
}

impl Filters {
    /// What tells two sets of filters apart, in words; `None` if nothing does.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Option<String> {
        let lists = [
            ("activity_types", &self.activity_types, &other.activity_types),
            ("exclude_activity_types", &self.exclude_activity_types, &other.exclude_activity_types),
            ("actor_ids", &self.actor_ids, &other.actor_ids),
            ("organization_ids", &self.organization_ids, &other.organization_ids),
        ];
        let mut words: Vec<String> = lists
            .into_iter()
            .filter(|(_, old, new)| old != new)
            .map(|(key, old, new)| format!("`{key}` was [{}] and is [{}]", old.join(", "), new.join(", ")))
            .collect();
        if self.base_url != other.base_url {
            words.push(format!("`base_url` was {} and is {}", self.base_url, other.base_url));
        }
        (!words.is_empty()).then(|| words.join("; "))
    }

    /// The types to ask for when only `types` are to be read again; `None` when these filters hide all of them.
    #[must_use]
    pub fn narrowed(&self, types: &[String]) -> Option<Vec<String>> {
        let wanted = |name: &&String| {
            !self.exclude_activity_types.contains(name)
                && (self.activity_types.is_empty() || self.activity_types.contains(name))
        };
        let left: Vec<String> = types.iter().filter(wanted).cloned().collect();
        (!left.is_empty()).then_some(left)
    }
}

/// In which order a walk goes through time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// Oldest first; has to be asked for.
    #[default]
    Asc,
    /// Newest first, which is what comes when nothing is said. Used where `order` is refused.
    Desc,
}

/// One question.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question<'q> {
    pub(super) filters: &'q Filters,
    /// Instead of the filters' own types.
    pub(super) types: Option<&'q [String]>,
    pub(super) order: Order,
    /// At or after this.
    pub(super) from: Micros,
    /// Before this.
    pub(super) to: Micros,
    pub(super) cursor: Option<&'q str>,
    pub(super) limit: u32,
}

impl Question<'_> {
    /// The query string, without `?`.
    pub(super) fn text(&self) -> String {
        let mut text = format!("limit={}&created_at.gte={}&created_at.lt={}", self.limit, self.from, self.to);
        // Said in every request: with the default order, the same cursor would walk into the past.
        if self.order == Order::Asc {
            text.push_str("&order=asc");
        }
        let list = |text: &mut String, key: &str, values: &[String]| {
            for value in values {
                let _ = write!(text, "&{key}[]=");
                encode(text, value);
            }
        };
        match self.types {
            Some(types) => list(&mut text, "activity_types", types),
            None => {
                list(&mut text, "activity_types", &self.filters.activity_types);
                list(&mut text, "exclude_activity_types", &self.filters.exclude_activity_types);
            }
        }
        list(&mut text, "actor_ids", &self.filters.actor_ids);
        list(&mut text, "organization_ids", &self.filters.organization_ids);
        if let Some(cursor) = self.cursor {
            text.push_str("&after_id=");
            encode(&mut text, cursor);
        }
        text
    }
}

/// Percent-encodes everything that is not unreserved in RFC 3986.
fn encode(text: &mut String, value: &str) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_written_as_the_api_reads_it() {
        let filters = Filters {
            exclude_activity_types: vec!["compliance_api_accessed".into()],
            organization_ids: vec!["org_1".into(), "org_2".into()],
            ..Filters::default()
        };
        let question = Question {
            filters: &filters,
            types: None,
            order: Order::Asc,
            from: Micros(1_775_808_550_000_000),
            to: Micros(1_775_808_550_500_000),
            cursor: Some("a+b/c= &d"),
            limit: 7,
        };
        assert_eq!(
            question.text(),
            "limit=7&created_at.gte=2026-04-10T08:09:10Z&created_at.lt=2026-04-10T08:09:10.500Z&order=asc\
             &exclude_activity_types[]=compliance_api_accessed&organization_ids[]=org_1&organization_ids[]=org_2\
             &after_id=a%2Bb%2Fc%3D%20%26d"
        );
        let types = ["x".to_owned()];
        let narrowed = Question { types: Some(&types), order: Order::Desc, cursor: None, ..question };
        assert_eq!(
            narrowed.text(),
            "limit=7&created_at.gte=2026-04-10T08:09:10Z&created_at.lt=2026-04-10T08:09:10.500Z&activity_types[]=x&organization_ids[]=org_1&organization_ids[]=org_2"
        );
    }

    #[test]
    fn a_pass_never_asks_for_what_the_filters_hide() {
        let types = ["a".to_owned(), "b".to_owned()];
        let none = Filters::default();
        let without = Filters { exclude_activity_types: vec!["a".into()], ..Filters::default() };
        let only = Filters { activity_types: vec!["c".into()], ..Filters::default() };
        assert_eq!(none.narrowed(&types).unwrap(), ["a", "b"]);
        assert_eq!(without.narrowed(&types).unwrap(), ["b"]);
        assert_eq!(only.narrowed(&types), None);
    }
}
