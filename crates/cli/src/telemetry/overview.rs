//! Everything a person asks of a running stage, as one JSON document: what the status page and `anthropic-ecs status` show.
//!
//! Owns its shape, which is for our own pages and may change; whoever wants names that stay reads the metrics. Nothing of a
//! record's content is in it.

use std::collections::{BTreeMap, HashMap};

use chrono::{SecondsFormat, Utc};
use mapper::ECS_VERSION;
use serde_json::{Map, Value, json};

use super::facts::{Behind, Facts};
use super::readiness;

/// How many names of a kind are shown.
const MOST_NAMES: usize = 10;

/// The document.
pub(super) fn report(facts: &Facts) -> Value {
    let (status, now) = (&facts.status, Utc::now());
    let totals = status.totals();
    let last_hour = status.glance.last_hour();
    let dead: Vec<Value> = status
        .recent_dead
        .get()
        .into_iter()
        .map(|note| {
            let time = note.time.to_rfc3339_opts(SecondsFormat::Secs, true);
            json!({ "time": time, "reason": note.reason, "stage": note.stage, "place": note.place })
        })
        .collect();
    let behind = match facts.behind(now) {
        Some(Behind::Seconds(seconds)) => json!({ "seconds": seconds }),
        Some(Behind::Messages(messages)) => json!({ "messages": messages }),
        None => Value::Null,
    };
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "ecs_version": ECS_VERSION,
        "source": facts.source,
        "sink": facts.sink,
        "now": now.to_rfc3339_opts(SecondsFormat::Millis, true),
        "readiness": readiness::report(facts),
        "totals": {
            "read": totals.read,
            "mapped": totals.mapped,
            "delivered": totals.delivered,
            "duplicates": totals.duplicates,
            "retried": totals.retried,
            "dead": totals.dead,
            "requests": status.requests.get(),
            "commits": status.commits.get(),
        },
        "unknown": { "types": most(totals.unknown_types), "fields": most(status.unknown_fields.get()) },
        "behind": behind,
        "newest_record_age_seconds": facts.newest_age(now),
        "position_age_seconds": facts.position_age(now),
        "in_flight": {
            "bytes": status.bytes_in_flight.get(),
            "batches": status.open_batches.get(),
            "requests": status.requests_in_flight.get(),
            "requests_limit": status.request_limit.get(),
        },
        "api": api(facts),
        "last_hour": {
            "actions": most(last_hour.actions.clone()),
            "categories": most(categories(facts, &last_hour.actions)),
            "countries": most(last_hour.countries),
        },
        "recent_dead": dead,
        "history": facts.history.report(),
    })
}

/// What the reader of the API is at.
fn api(facts: &Facts) -> Value {
    let Some(watch) = facts.api.get() else { return Value::Null };
    json!({
        "state": watch.doing().name(),
        "requests": watch.requests.get(),
        "throttled": watch.throttled.get(),
        "late": watch.late.get(),
        "gaps": watch.gaps.get(),
        "budget_left": watch.budget_left.get(),
        "budget_limit": watch.budget_limit.get(),
        "server_left": watch.server_left(),
        "left_seconds": watch.left_seconds.get(),
    })
}

/// The first category of each action, as the tables have it.
fn categories(facts: &Facts, actions: &HashMap<String, u64>) -> BTreeMap<String, u64> {
    let rows = &facts.mapping.tables().activities;
    let mut categories = BTreeMap::new();
    for (action, count) in actions {
        let at = rows.binary_search_by(|row| row.activity_type.cmp(action));
        let row = at.ok().and_then(|at| rows.get(at));
        let category = row.and_then(|row| row.categories.first()).map_or("(none)", String::as_str);
        *categories.entry(category.to_owned()).or_default() += count;
    }
    categories
}

/// The names that stand for most, the first of all first.
fn most(counts: impl IntoIterator<Item = (String, u64)>) -> Value {
    let mut counts: Vec<(String, u64)> = counts.into_iter().collect();
    counts.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
    counts.truncate(MOST_NAMES);
    // An object keeps no order; pairs do.
    counts.into_iter().map(|(name, count)| json!([name, count])).collect()
}

/// The names of an object with numbers, and their sum; for whoever reads the document.
pub(crate) fn sum(counts: &Map<String, Value>) -> u64 {
    counts.values().filter_map(Value::as_u64).sum()
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;

    #[test]
    fn a_dead_letter_is_shown_without_its_content() {
        let report = report(&testing::busy());
        assert_eq!(report["totals"]["read"], 100);
        assert_eq!(report["unknown"]["fields"], json!([["actor.new", 4]]));
        assert!(report["history"]["time"].is_array());
        assert_eq!(report["api"]["state"], "starting");
    }

    #[test]
    fn the_most_come_first_and_few_are_shown() {
        let counts = (0..20).map(|at| (format!("name {at:02}"), at / 2));
        let shown = most(counts);
        assert_eq!(shown.as_array().unwrap().len(), MOST_NAMES);
        assert_eq!((&shown[0], &shown[1]), (&json!(["name 18", 9]), &json!(["name 19", 9])));
    }
}
