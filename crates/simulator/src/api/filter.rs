//! The parameters of a listing: read, checked, and what they keep.
//!
//! Owns validation, limits included; an answer's wording is [`super::refusal`]'s business. Bounds become
//! a half-open interval of whole microseconds, which is exact because no record is finer.

use std::collections::BTreeSet;

use chrono::DateTime;
use model::catalog::Catalog;

use super::refusal::Refusal;
use super::row::Content;
use super::store::Order;
use crate::clock::Micros;

/// The most rows a page of the feed may have, and how many it has when not said.
pub(crate) const MOST: usize = 5_000;
pub(crate) const USUAL: usize = 100;

/// Names of parameters of the feed.
const KNOWN: [&str; 13] = [
    "limit",
    "order",
    "after_id",
    "before_id",
    "created_at.gt",
    "created_at.gte",
    "created_at.lt",
    "created_at.lte",
    "activity_types[]",
    "exclude_activity_types[]",
    "actor_ids[]",
    "user_ids[]",
    "organization_ids[]",
];

/// What a listing keeps.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Filter {
    /// The first microsecond kept.
    pub(crate) from: Micros,
    /// The first microsecond no longer kept.
    pub(crate) until: Micros,
    types: BTreeSet<String>,
    excluded: BTreeSet<String>,
    actors: BTreeSet<String>,
    pub(crate) organizations: BTreeSet<String>,
}

impl Filter {
    /// Everything.
    pub(crate) fn all() -> Self {
        Self {
            from: Micros::MIN,
            until: Micros::MAX,
            types: BTreeSet::new(),
            excluded: BTreeSet::new(),
            actors: BTreeSet::new(),
            organizations: BTreeSet::new(),
        }
    }

    /// Whether a record's content passes; its time is the interval's business.
    pub(crate) fn keeps(&self, content: &Content) -> bool {
        (self.types.is_empty() || self.types.contains(&content.activity_type))
            && !self.excluded.contains(&content.activity_type)
            && (self.actors.is_empty()
                || content.user_id.as_ref().is_some_and(|user| self.actors.contains(user)))
            && (self.organizations.is_empty()
                || content.organization.as_ref().is_none_or(|(id, uuid)| {
                    self.organizations.contains(id) || self.organizations.contains(uuid)
                }))
    }
}

/// A listing's parameters as they were sent.
#[derive(Debug)]
pub(crate) struct Parameters {
    pub(crate) filter: Filter,
    pub(crate) order: Order,
    pub(crate) limit: usize,
    pub(crate) after: Option<String>,
    pub(crate) before: Option<String>,
}

impl Parameters {
    /// Reads a decoded query.
    ///
    /// # Errors
    ///
    /// What the API says to a parameter it does not know (when `strict`), cannot read, or does not combine.
    pub(crate) fn read(pairs: &[(String, String)], catalog: &Catalog, strict: bool) -> Result<Self, Refusal> {
        let mut filter = Filter::all();
        let (mut order, mut limit, mut after, mut before) = (Order::Descending, USUAL, None, None);
        for (name, value) in pairs {
            match name.as_str() {
                "limit" => limit = read_limit(value, MOST)?,
                "order" => {
                    order = match value.as_str() {
                        "asc" => Order::Ascending,
                        "desc" => Order::Descending,
                        _ => return Err(Refusal::invalid("order: Input should be 'asc' or 'desc'")),
                    }
                }
                "after_id" => after = Some(value.clone()),
                "before_id" => before = Some(value.clone()),
                "created_at.gte" => filter.from = filter.from.max(instant(name, value)?.ceiling),
                "created_at.gt" => filter.from = filter.from.max(instant(name, value)?.floor + 1),
                "created_at.lt" => filter.until = filter.until.min(instant(name, value)?.ceiling),
                "created_at.lte" => filter.until = filter.until.min(instant(name, value)?.floor + 1),
                "activity_types[]" => {
                    if !is_known(catalog, value) {
                        return Err(Refusal::invalid(&format!(
                            "activity_types: '{value}' is not one of the permitted values"
                        )));
                    }
                    filter.types.insert(value.clone());
                }
                "exclude_activity_types[]" => {
                    filter.excluded.insert(value.clone());
                }
                "actor_ids[]" | "user_ids[]" => {
                    filter.actors.insert(value.clone());
                }
                "organization_ids[]" => {
                    filter.organizations.insert(value.clone());
                }
                unknown if strict => return Err(Refusal::unknown_parameter(unknown, &KNOWN)),
                _ => {}
            }
        }
        if after.is_some() && before.is_some() {
            return Err(Refusal::invalid("Only one of after_id and before_id may be given"));
        }
        if !filter.types.is_empty() && !filter.excluded.is_empty() {
            return Err(Refusal::invalid(
                "Only one of activity_types[] and exclude_activity_types[] may be given",
            ));
        }
        Ok(Self { filter, order, limit, after, before })
    }
}

/// Staff access is recorded though the reference does not enumerate it, and can be filtered by.
fn is_known(catalog: &Catalog, name: &str) -> bool {
    catalog.activities.contains_key(name) || matches!(name, "anthropic_access" | "cmek_preserve")
}

/// A `limit` within the route's bound.
pub(crate) fn read_limit(value: &str, most: usize) -> Result<usize, Refusal> {
    match value.parse() {
        Ok(limit) if (1..=most).contains(&limit) => Ok(limit),
        Ok(0) => Err(Refusal::invalid("limit: Input should be greater than or equal to 1")),
        _ => Err(Refusal::invalid(&format!("limit: Input should be less than or equal to {most}"))),
    }
}

/// A time in whole microseconds, rounded either way.
pub(crate) struct Instant {
    pub(crate) floor: Micros,
    pub(crate) ceiling: Micros,
}

pub(crate) fn instant(name: &str, value: &str) -> Result<Instant, Refusal> {
    // The feed takes a time without an offset as UTC; a date alone it refuses.
    let time =
        DateTime::parse_from_rfc3339(value).or_else(|_| DateTime::parse_from_rfc3339(&format!("{value}Z")));
    let time =
        time.map_err(|_| Refusal::invalid(&format!("{name}: Input should be a valid RFC 3339 timestamp")))?;
    let floor = time.timestamp_micros();
    let ceiling = floor + Micros::from(time.timestamp_subsec_nanos() % 1_000 != 0);
    Ok(Instant { floor, ceiling })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<Parameters, Refusal> {
        let pairs: Vec<_> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        Parameters::read(&pairs, &Catalog::builtin(), true)
    }

    #[test]
    fn bounds_are_exact_to_the_microsecond_and_below() {
        let base = DateTime::parse_from_rfc3339("2026-10-06T00:00:00Z").unwrap().timestamp_micros();
        let filter =
            read("created_at.gte=2026-10-06T00:00:00.0000001Z&created_at.lte=2026-10-06T00:00:01%2B00:00")
                .unwrap()
                .filter;
        assert_eq!((filter.from, filter.until), (base + 1, base + 1_000_001));
        let filter =
            read("created_at.gt=2026-10-06T00:00:00&created_at.lt=2026-10-06T00:00:01Z").unwrap().filter;
        assert_eq!((filter.from, filter.until), (base + 1, base + 1_000_000));
    }

    #[test]
    fn what_the_api_refuses_is_refused() {
        for (query, fragment) in [
            ("limit=0", "limit"),
            ("limit=5001", "5000"),
            ("limit=x", "limit"),
            ("order=up", "order"),
            ("created_at.gte=2026-10-06", "created_at.gte"),
            ("created_at.gte=2026-10-06T00:00:00+00:00", "created_at.gte"),
            ("after_id=a&before_id=b", "before_id"),
            (
                "activity_types[]=claude_chat_created&exclude_activity_types%5B%5D=claude_chat_viewed",
                "exclude",
            ),
            ("activity_types[]=no_such_type", "not one of the permitted values"),
            ("create_at.gte=2026-10-06T00:00:00Z", "Unknown query parameter"),
        ] {
            let refusal = read(query).unwrap_err();
            assert!(refusal.status == 400 && refusal.message.contains(fragment), "{query}: {refusal:?}");
        }
    }
}
