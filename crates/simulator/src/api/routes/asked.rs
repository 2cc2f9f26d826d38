//! The parameters of a request to any route but the feed: read and checked.
//!
//! Owns validation by what a route declares ([`Spec`]); what the parameters mean is the route's business. Bounds become a
//! half-open interval of whole microseconds.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::api::filter::{instant, read_limit};
use crate::api::refusal::Refusal;
use crate::clock::Micros;

/// What a route takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spec {
    /// Every parameter it knows, `limit` and `page` included.
    pub(crate) names: &'static [&'static str],
    /// How many entries a page has when not said; nothing for all of them.
    pub(crate) usual: Option<usize>,
    /// The most a page may have.
    pub(crate) most: usize,
    /// The most values of a list.
    pub(crate) lists: &'static [(&'static str, usize)],
    /// Whether a time needs its offset.
    pub(crate) offset: bool,
}

impl Spec {
    /// A route without any parameters.
    pub(crate) const NONE: Self = Self { names: &[], usual: None, most: 1, lists: &[], offset: false };

    /// A route with `limit` and `page` alone.
    pub(crate) const fn paged(usual: usize, most: usize) -> Self {
        Self { names: &["limit", "page"], usual: Some(usual), most, ..Self::NONE }
    }
}

/// What was asked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asked {
    pub(crate) limit: Option<usize>,
    values: BTreeMap<String, Vec<String>>,
    /// Bounds by the name before the dot.
    ranges: BTreeMap<String, Range<Micros>>,
}

impl Asked {
    /// Reads a decoded query; a parameter the route does not know is refused when `strict`, and ignored otherwise.
    ///
    /// # Errors
    ///
    /// What the API says to a parameter it does not know, cannot read, or does not combine.
    pub(crate) fn read(pairs: &[(String, String)], spec: &Spec, strict: bool) -> Result<Self, Refusal> {
        let mut asked = Self { limit: spec.usual, ..Self::default() };
        for (name, value) in pairs {
            if !spec.names.contains(&name.as_str()) {
                if strict {
                    return Err(Refusal::unknown_parameter(name, spec.names));
                }
                continue;
            }
            match name.split_once('.') {
                Some((field, bound)) => asked.bound(spec, field, bound, value)?,
                None if name == "limit" => asked.limit = Some(read_limit(value, spec.most)?),
                None if name == "order" && !matches!(value.as_str(), "asc" | "desc") => {
                    return Err(Refusal::invalid("order: Input should be 'asc' or 'desc'"));
                }
                None => asked.values.entry(name.clone()).or_default().push(value.clone()),
            }
        }
        if asked.text("after_id").is_some() && asked.text("before_id").is_some() {
            return Err(Refusal::invalid("Only one of after_id and before_id may be given"));
        }
        for (name, most) in spec.lists {
            if asked.values.get(*name).is_some_and(|values| values.len() > *most) {
                return Err(Refusal::invalid(&format!("{name}: List should have at most {most} items")));
            }
        }
        Ok(asked)
    }

    fn bound(&mut self, spec: &Spec, field: &str, bound: &str, value: &str) -> Result<(), Refusal> {
        let name = format!("{field}.{bound}");
        if spec.offset && chrono::DateTime::parse_from_rfc3339(value).is_err() {
            return Err(Refusal::invalid(&format!(
                "{name}: Input should be a valid RFC 3339 timestamp with an offset"
            )));
        }
        let at = instant(&name, value)?;
        let range = self.ranges.entry(field.to_owned()).or_insert(Micros::MIN..Micros::MAX);
        match bound {
            "gte" => range.start = range.start.max(at.ceiling),
            "gt" => range.start = range.start.max(at.floor + 1),
            "lt" => range.end = range.end.min(at.ceiling),
            _ => range.end = range.end.min(at.floor + 1),
        }
        Ok(())
    }

    /// A parameter's one value, the last when it was repeated.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name)?.last().map(String::as_str)
    }

    /// A parameter's values.
    pub(crate) fn list(&self, name: &str) -> &[String] {
        self.values.get(name).map_or(&[], Vec::as_slice)
    }

    /// Whether a list keeps a value; one that was not given keeps all.
    pub(crate) fn keeps(&self, name: &str, value: &str) -> bool {
        let list = self.list(name);
        list.is_empty() || list.iter().any(|kept| kept == value)
    }

    /// Whether bounds on a field were given.
    pub(crate) fn bounds(&self, field: &str) -> bool {
        self.ranges.contains_key(field)
    }

    /// The times of a field that are kept.
    pub(crate) fn range(&self, field: &str) -> Range<Micros> {
        self.ranges.get(field).cloned().unwrap_or(Micros::MIN..Micros::MAX)
    }

    /// A whole number.
    ///
    /// # Errors
    ///
    /// What the API says to what is none.
    pub(crate) fn number(&self, name: &str) -> Result<Option<i64>, Refusal> {
        let invalid = |_| Refusal::invalid(&format!("{name}: Input should be a valid integer"));
        self.text(name).map(|text| text.parse().map_err(invalid)).transpose()
    }

    /// Whether the newest come first.
    pub(crate) fn descends(&self) -> bool {
        self.text("order") == Some("desc")
    }

    /// The filters in one text, to which marks are bound; order and page size are not among them.
    pub(crate) fn question(&self) -> String {
        let page = ["after_id", "before_id", "page", "order", "order_by"];
        let mut kept: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (name, values) in self.values.iter().filter(|(name, _)| !page.contains(&name.as_str())) {
            kept.insert(name, values.iter().map(String::as_str).collect());
        }
        format!("{kept:?} {:?}", self.ranges)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPEC: Spec = Spec {
        names: &[
            "limit",
            "page",
            "order",
            "user_ids[]",
            "created_at.gte",
            "created_at.lt",
            "after_id",
            "before_id",
        ],
        usual: Some(20),
        most: 100,
        lists: &[("user_ids[]", 2)],
        offset: true,
    };

    fn read(query: &str, strict: bool) -> Result<Asked, Refusal> {
        let pairs: Vec<_> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        Asked::read(&pairs, &SPEC, strict)
    }

    #[test]
    fn what_a_route_does_not_take_is_refused() {
        for (query, fragment) in [
            ("limit=0", "limit"),
            ("limit=101", "100"),
            ("order=up", "order"),
            ("user_ids[]=a&user_ids[]=b&user_ids[]=c", "at most 2"),
            ("created_at.gte=2026-10-06T00:00:00", "offset"),
            ("after_id=a&before_id=b", "before_id"),
            ("user_id[]=a", "Did you mean 'user_ids[]'?"),
        ] {
            let refusal = read(query, true).unwrap_err();
            assert!(refusal.status == 400 && refusal.message.contains(fragment), "{query}: {refusal:?}");
        }
        assert_eq!(read("user_id[]=a", false).unwrap().limit, Some(20));
    }

    #[test]
    fn the_question_is_the_filters_and_not_the_page() {
        let question = |query: &str| read(query, true).unwrap().question();
        assert_eq!(
            question("limit=5&page=x&user_ids[]=b&user_ids[]=a"),
            question("user_ids[]=a&user_ids[]=b")
        );
        assert_ne!(question("user_ids[]=a"), question("user_ids[]=b"));
        assert_ne!(question("created_at.gte=2026-10-06T00:00:00Z"), question(""));
    }
}
