//! Drop-in for Elastic's `anthropic` integration, by the facts in `mappings/elastic`.
//!
//! Each deviation is a row in a table here, with its reason; the same rows are in `mappings/README.md`, and the
//! tests hold one against the other. Where the reference material lies beside the project, its expected
//! documents are compared value by value as well; a clone of the project alone does without.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use chrono::DateTime;
use model::tables::{Convert, OutcomeRule, Tables};

use crate::json::Json;
use crate::lossless::{Checker, Origin};
use crate::world;

/// Types whose outcome is another than Elastic's, and why.
const OUTCOMES: [(&str, &str); 4] = [
    ("compliance_api_accessed", "a server error is a failed call"),
    ("extra_usage_spend_limit_increase_request_denied", "the decision to deny was taken"),
    ("ghe_webhook_signature_invalid", "the webhook was refused"),
    (
        "org_join_proposal_decided",
        "decided by `approved`, as their pipeline does and their table does not say",
    ),
];

/// Fields indexed with another type, and why that serves the same queries.
const INDEXES: [(&str, &str, &str); 6] = [
    ("anthropic.audit.amount", "double", "fractions are not cut"),
    ("anthropic.audit.limit_usd", "double", "fractions are not cut"),
    ("anthropic.audit.new_limit_usd", "double", "fractions are not cut"),
    ("anthropic.audit.target_amount", "double", "fractions are not cut"),
    ("anthropic.audit.threshold_amount", "double", "fractions are not cut"),
    ("anthropic.audit.value", "double", "fractions are not cut"),
];

/// Values of theirs that are not at the same path here: types (a trailing `*` stands for any end), path, reason.
const VALUES: [(&str, &str, &str); 4] = [
    ("claude_github_integration_*", "organization.name", "it is a GitHub organization, not the customer"),
    ("compliance_api_accessed", "event.outcome", "as in OUTCOMES"),
    ("extra_usage_spend_limit_increase_request_denied", "event.outcome", "as in OUTCOMES"),
    ("ghe_webhook_signature_invalid", "event.outcome", "as in OUTCOMES"),
];

/// What is not compared: the databases and the user agent parser are not theirs, and unnamed fields may be placed better.
const NOT_COMPARED: [&str; 9] = [
    "anthropic.audit.metadata.",
    "ecs.version",
    "source.as.",
    "source.geo.",
    "tags",
    "user_agent.device.",
    "user_agent.name",
    "user_agent.os.",
    "user_agent.version",
];

fn rows(name: &str) -> Vec<Vec<String>> {
    let text = fs::read_to_string(world::root("mappings/elastic").join(name)).unwrap();
    text.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

#[test]
fn every_type_of_theirs_keeps_its_classification() {
    let tables = Tables::builtin();
    let rows = rows("categories.csv");
    assert_eq!(rows.len(), 305);
    let mut deviations = BTreeSet::new();
    for row in &rows {
        let [name, categories, types, outcome] = row.as_slice() else { panic!("{row:?}") };
        let ours = tables.activity(name).unwrap_or_else(|| panic!("no row for {name}"));
        let contains =
            |ours: &[String], theirs: &str| theirs.split(' ').all(|value| ours.iter().any(|o| o == value));
        let in_front = |ours: &[String], theirs: &str| {
            ours.iter().map(String::as_str).take(theirs.split(' ').count()).eq(theirs.split(' '))
        };
        assert!(
            contains(&ours.categories, categories),
            "{name}: {:?} lacks some of {categories}",
            ours.categories
        );
        assert!(contains(&ours.event_types, types), "{name}: {:?} lacks some of {types}", ours.event_types);
        assert!(
            in_front(&ours.categories, categories) && in_front(&ours.event_types, types),
            "{name}: their values come first, in their order"
        );
        if !matches!(&ours.outcome, OutcomeRule::Fixed(fixed) if fixed.as_str() == outcome) {
            deviations.insert(name.as_str());
        }
    }
    assert_eq!(
        deviations,
        OUTCOMES.iter().map(|(name, _)| *name).collect(),
        "outcomes unlike theirs, and those listed"
    );
}

/// The rules that decide those outcomes, by record.
#[test]
fn outcomes_that_depend_on_the_record() {
    let outcome = |name: &str, member: &str| {
        let document = world::mapped(&format!("{{\"id\":\"a\",\"type\":\"{name}\",{member}}}"));
        document.at("event.outcome").and_then(Json::text).unwrap().to_owned()
    };
    let cases = [
        ("200", "success"),
        ("404", "failure"),
        ("503", "failure"),
        ("100", "unknown"),
        ("null", "unknown"),
        ("\"200\"", "success"),
    ];
    for (status, expected) in cases {
        assert_eq!(
            outcome("compliance_api_accessed", &format!("\"status_code\":{status}")),
            expected,
            "{status}"
        );
    }
    for (approved, expected) in [("true", "success"), ("false", "failure"), ("null", "unknown")] {
        assert_eq!(outcome("org_join_proposal_decided", &format!("\"approved\":{approved}")), expected);
    }
    for name in ["platform_federated_authentication", "platform_app_attest_authentication"] {
        for (status, expected) in [("success", "success"), ("failure", "failure"), ("", "unknown")] {
            let status = format!("\"status\":{{\"outcome\":\"{status}\",\"reason\":\"x\"}}");
            assert_eq!(outcome(name, &status), expected, "{name}");
        }
    }
}

#[test]
fn every_field_of_theirs_exists_with_a_compatible_type() {
    let tables = Tables::builtin();
    let mut ours: BTreeMap<&str, &str> = [("anthropic.audit.metadata", "flattened")].into();
    for row in &tables.fields {
        ours.insert(&row.home, row.index.as_str());
        for copy in row.also.iter().filter(|copy| copy.convert == Convert::Whole) {
            ours.entry(&copy.path).or_insert(row.index.as_str());
        }
    }
    let rows = rows("audit-fields.csv");
    assert_eq!(rows.len(), 172);
    let mut deviations = Vec::new();
    for row in &rows {
        let (field, theirs) = (row[0].as_str(), row[1].as_str());
        match ours.get(field) {
            None => panic!("{field} has no home here"),
            Some(index) if *index != theirs => deviations.push((field, *index)),
            Some(_) => {}
        }
    }
    let listed: Vec<_> = INDEXES.iter().map(|(field, index, _)| (*field, *index)).collect();
    assert_eq!(deviations, listed, "index types unlike theirs, and those listed");
}

/// What users are told of deviations is what the tables above say.
#[test]
fn the_readme_lists_the_same_deviations() {
    let Ok(readme) = fs::read_to_string(world::root("mappings/README.md")) else { return };
    let (_, deviations) =
        readme.split_once("## Deviations from Elastic").expect("a section about deviations");
    let section = |title: &str| {
        let (_, text) = deviations.split_once(title).unwrap_or_else(|| panic!("no section {title}"));
        text.split("\n#").next().unwrap_or_default()
    };
    for (name, _) in OUTCOMES {
        assert!(section("### Outcome").contains(&format!("`{name}`")), "{name} is not in mappings/README.md");
    }
    for line in section("### Outcome").lines().filter(|line| line.starts_with("| `")) {
        let name = line.split('`').nth(1).unwrap();
        assert!(OUTCOMES.iter().any(|(listed, _)| *listed == name), "{name} is only in mappings/README.md");
    }
    for (field, ..) in INDEXES {
        let short = field.trim_start_matches("anthropic.audit");
        assert!(
            section("### Index type").contains(&format!("{short}`")),
            "{field} is not in mappings/README.md"
        );
    }
    for (types, path, _) in VALUES {
        assert!(deviations.contains(types), "{types} ({path}) is not in mappings/README.md");
    }
}

#[test]
fn every_value_of_their_documents_is_found_by_the_same_name() {
    let fixtures: PathBuf = world::root("../shared/reference/elastic-fixtures");
    if !fixtures.is_dir() {
        eprintln!("skipped: Elastic's documents are compared only where {} is", fixtures.display());
        return;
    }
    let mut mapper = world::mapper();
    let mut checker = Checker::new(Tables::builtin());
    let (mut compared, mut missing, mut used) = (0, Vec::new(), BTreeSet::new());
    for (records, documents) in [("activities", "expected"), ("derived-activities", "derived-expected")] {
        let read = |name: &str| fs::read_to_string(fixtures.join(name).with_extension("ndjson")).unwrap();
        let (records, documents) = (read(records), read(documents));
        assert_eq!(records.lines().count(), documents.lines().count());
        for (raw, theirs) in records.lines().zip(documents.lines()) {
            let ours = world::document_of(&mut mapper, raw.as_bytes());
            checker.demand(raw, &ours, Origin::Anywhere);
            let ours = Json::read(std::str::from_utf8(&ours).unwrap());
            let theirs = Json::read(theirs);
            let name = theirs.at("event.action").and_then(Json::text).unwrap_or_default().to_owned();
            leaves(&theirs, "", &mut |path, value| {
                if NOT_COMPARED.iter().any(|prefix| path.starts_with(prefix))
                    || is_unclassified(&theirs, path)
                {
                    return;
                }
                compared += 1;
                let mut found = Vec::new();
                leaves(&ours, "", &mut |other, value| found.extend((other == path).then(|| value.clone())));
                if found.iter().any(|found| is_same(found, path, value)) {
                    return;
                }
                let listed =
                    VALUES.iter().find(|(types, listed, _)| *listed == path && matches(types, &name));
                match listed {
                    Some(listed) => drop(used.insert(listed)),
                    None => missing.push(format!("{name}: {path} is {value} there, here {found:?}")),
                }
            });
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
    assert!(compared > 5_000, "only {compared} values compared");
    assert_eq!(used.len(), VALUES.len(), "a listed deviation that is none: {used:?}");
}

fn matches(types: &str, name: &str) -> bool {
    types.strip_suffix('*').map_or(types == name, |start| name.starts_with(start))
}

/// What they say of the outcome of a type that they do not know.
fn is_unclassified(theirs: &Json, path: &str) -> bool {
    path == "event.outcome" && theirs.at("event.category").is_none()
}

fn leaves(value: &Json, path: &str, visit: &mut impl FnMut(&str, &Json)) {
    match value {
        Json::Object(members) => {
            for (name, value) in members {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                leaves(value, &path, visit);
            }
        }
        Json::Array(items) => items.iter().for_each(|item| leaves(item, path, visit)),
        leaf => visit(path, leaf),
    }
}

/// Whether a value of theirs is one of ours; times are compared to the millisecond, which is all they keep.
fn is_same(ours: &Json, path: &str, theirs: &Json) -> bool {
    let millis = |value: &Json| {
        value
            .text()
            .and_then(|text| DateTime::parse_from_rfc3339(text).ok())
            .map(|time| time.timestamp_millis())
    };
    let time = path == "@timestamp" || path.starts_with("anthropic.audit.");
    ours == theirs
        || matches!((ours, theirs), (Json::Number(a), Json::Number(b)) if a.parse::<f64>() == b.parse::<f64>())
        || time && millis(ours).is_some() && millis(ours) == millis(theirs)
}
