//! `docs/metrics.md`, and what uses the names of metrics elsewhere: all held against the table.
//!
//! `UPDATE_GOLDEN=1` rewrites the page.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use super::table::{Kind, METRICS, Metric, Unit};

fn root(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join(path)
}

/// The page, as the table says.
fn page() -> String {
    let mut out = String::from(
        "# Metrics\n\n\
         Every metric of `/metrics`, generated from the table in the program (`crates/cli/src/telemetry/table.rs`); a test\n\
         keeps it so. The text is OpenMetrics if the client asks for it, and Prometheus's older format otherwise, with the\n\
         same names. Counters begin at 0 with each start. A metric that has nothing to say (of a source that is not in use,\n\
         of a database that is not there) is left out.\n\n\
         [Alert rules](../deploy/prometheus/alerts.yml) and a [dashboard](../deploy/grafana/dashboard.json) use these names.\n\
         [OpenTelemetry](opentelemetry.md) says how they get to a collector, if one is named.\n\n\
         | name | type | unit | labels | what it is |\n| --- | --- | --- | --- | --- |\n",
    );
    for Metric { name, kind, unit, labels, help, .. } in METRICS {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
            Kind::Info => "info",
        };
        let unit = match unit {
            Unit::None => "",
            Unit::Seconds => "seconds",
            Unit::Bytes => "bytes",
        };
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        writeln!(out, "| `{name}` | {kind} | {unit} | {} | {help} |", labels.join(", ")).unwrap();
    }
    out
}

#[test]
fn the_page_is_as_the_table_says() {
    let path = root("docs/metrics.md");
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, page()).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == page(),
        "{} is not what the table says; UPDATE_GOLDEN=1 rewrites it",
        path.display()
    );
}

/// The names one may ask for, with their labels.
fn known() -> BTreeMap<String, BTreeSet<&'static str>> {
    let mut known = BTreeMap::new();
    for Metric { name, kind, labels, .. } in METRICS {
        let labels: BTreeSet<&str> = labels.iter().copied().chain(["instance", "job"]).collect();
        if *kind == Kind::Histogram {
            let with_bound = labels.iter().copied().chain(["le"]).collect();
            known.insert(format!("{name}_bucket"), with_bound);
            known.insert(format!("{name}_sum"), labels.clone());
            known.insert(format!("{name}_count"), labels);
        } else {
            known.insert((*name).to_owned(), labels);
        }
    }
    known
}

const KEYWORDS: [&str; 23] = [
    "sum",
    "rate",
    "increase",
    "by",
    "without",
    "max",
    "min",
    "and",
    "or",
    "unless",
    "on",
    "time",
    "histogram_quantile",
    "clamp_min",
    "changes",
    "absent",
    "ignoring",
    "last_over_time",
    "group_left",
    "topk",
    "label_replace",
    "up",
    "avg",
];

/// What is wrong with a query: names of ours that there are not, labels that its metrics do not have, and words that are
/// neither. Good enough for the queries we write, which the tests below show by breaking them.
fn faults(query: &str) -> Vec<String> {
    let known = known();
    let (mut wrong, mut used, mut labels) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    let mut rest = query;
    let mut inside = false;
    let mut before = String::new();
    while let Some(first) = rest.chars().next() {
        match first {
            '"' => {
                let end = rest[1..].find('"').map_or(rest.len(), |end| end + 2);
                rest = &rest[end..];
            }
            '{' | '}' => {
                inside = first == '{';
                rest = &rest[1..];
            }
            '[' => rest = &rest[rest.find(']').map_or(rest.len(), |end| end + 1)..],
            '$' => {
                let end = rest[1..].find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                rest = &rest[end.map_or(rest.len(), |end| end + 1)..];
            }
            first if first.is_ascii_alphabetic() || first == '_' => {
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
                let word = rest[..end].to_owned();
                rest = &rest[end..];
                if inside
                    || matches!(before.as_str(), "by(" | "without(" | "on(" | "ignoring(" | "group_left(")
                {
                    labels.insert(word);
                } else if word.starts_with("anthropic_ecs_") {
                    if !known.contains_key(&word) {
                        wrong.push(format!("there is no metric {word}"));
                    }
                    used.insert(word);
                } else if KEYWORDS.contains(&word.as_str()) {
                    before = word;
                } else {
                    wrong.push(format!("what is {word}?"));
                }
            }
            '(' => {
                if !before.ends_with('(') {
                    before.push('(');
                }
                rest = &rest[1..];
            }
            ')' => {
                before.clear();
                rest = &rest[1..];
            }
            first if first.is_ascii_digit() => {
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '.').unwrap_or(rest.len());
                rest = &rest[end..];
            }
            first => {
                if !first.is_whitespace() && first != ',' {
                    before.clear();
                }
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    for label in labels {
        if !used.iter().any(|metric| known.get(metric).is_some_and(|has| has.contains(label.as_str()))) {
            wrong.push(format!("no metric of it has the label {label}"));
        }
    }
    if used.is_empty() && !query.contains("up") {
        wrong.push("it asks for nothing of ours".to_owned());
    }
    wrong
}

#[test]
fn mistakes_in_queries_are_found() {
    for good in [
        "sum by (reason) (rate(anthropic_ecs_records_dead_total[5m])) > 0",
        "anthropic_ecs_part_up{part=\"sink\"} == 0",
        "histogram_quantile(0.99, sum by (le) (rate(anthropic_ecs_request_duration_seconds_bucket[$__rate_interval])))",
    ] {
        assert_eq!(faults(good), Vec::<String>::new(), "{good}");
    }
    for (bad, what) in [
        ("rate(anthropic_ecs_records_died_total[5m])", "anthropic_ecs_records_died_total"),
        ("sum by (cause) (anthropic_ecs_records_dead_total)", "cause"),
        ("anthropic_ecs_part_up{piece=\"sink\"}", "piece"),
        ("rat(anthropic_ecs_records_dead_total[5m])", "rat"),
        ("anthropic_ecs_request_duration_seconds", "anthropic_ecs_request_duration_seconds"),
        ("vector(1)", "vector"),
    ] {
        assert!(faults(bad).iter().any(|fault| fault.contains(what)), "{bad}: {:?}", faults(bad));
    }
}

/// The rules, each with the keys that every rule must have.
fn rules() -> Vec<BTreeMap<String, String>> {
    let text = fs::read_to_string(root("deploy/prometheus/alerts.yml")).unwrap();
    let document: Value = serde_saphyr::from_str(&text).unwrap();
    let groups = document["groups"].as_array().expect("groups");
    let mut rules = Vec::new();
    for rule in groups.iter().flat_map(|group| group["rules"].as_array().expect("rules")) {
        let mut flat = BTreeMap::new();
        for key in ["alert", "expr"] {
            flat.insert(
                key.to_owned(),
                rule[key].as_str().unwrap_or_else(|| panic!("{key}: {rule}")).to_owned(),
            );
        }
        for (section, key) in
            [("labels", "severity"), ("annotations", "summary"), ("annotations", "description")]
        {
            let text = rule[section][key].as_str().unwrap_or_else(|| panic!("{section}.{key}: {rule}"));
            flat.insert(key.to_owned(), text.to_owned());
        }
        rules.push(flat);
    }
    rules
}

#[test]
fn alerts_ask_for_what_there_is() {
    let mut names = BTreeSet::new();
    for rule in rules() {
        let (name, query) = (&rule["alert"], &rule["expr"]);
        assert!(names.insert(name.clone()), "{name} stands twice");
        assert_eq!(faults(query), Vec::<String>::new(), "{name}: {query}");
        assert!(["critical", "warning"].contains(&rule["severity"].as_str()), "{name}");
        assert!(rule["description"].len() > 40, "{name}: say what it means and what to do");
        let known = known();
        for label in rule["summary"].split("$labels.").chain(rule["description"].split("$labels.")).skip(1) {
            let label =
                label.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default();
            let has = known
                .iter()
                .any(|(metric, labels)| query.contains(metric.as_str()) && labels.contains(label));
            assert!(
                has || label.is_empty() || !rule["summary"].contains(&format!("$labels.{label}")),
                "{name}: {label}"
            );
        }
    }
    assert!(names.len() >= 10, "{names:?}");
}

/// What is gone has no metrics to ask for, and a feed that is not recorded looks like a quiet one.
#[test]
fn alerts_see_what_says_nothing() {
    let rules = rules();
    for query in [
        "up == 0 and on (instance, job) last_over_time(anthropic_ecs_build_info[",
        "absent(anthropic_ecs_build_info)",
        "anthropic_ecs_api_own_row_delay_seconds > ",
    ] {
        let rule = rules.iter().find(|rule| rule["expr"].starts_with(query));
        let rule = rule.unwrap_or_else(|| panic!("no rule asks for {query}"));
        assert_eq!(rule["severity"], "critical", "{query}");
    }
}

#[test]
fn the_dashboard_asks_for_what_there_is() {
    let text = fs::read_to_string(root("deploy/grafana/dashboard.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let mut asked = 0;
    let mut numbers = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(numbers.insert(panel["id"].as_u64().unwrap()), "{panel}");
        assert!(panel["title"].as_str().is_some_and(|title| !title.is_empty()), "{panel}");
        for target in panel["targets"].as_array().into_iter().flatten() {
            let query = target["expr"].as_str().unwrap();
            assert_eq!(faults(query), Vec::<String>::new(), "{}: {query}", panel["title"]);
            let legend = target["legendFormat"].as_str().unwrap_or_default();
            for label in
                legend.split("{{").skip(1).filter_map(|rest| rest.split_once("}}")).map(|(label, _)| label)
            {
                let known = known();
                let has = known
                    .iter()
                    .any(|(metric, labels)| query.contains(metric.as_str()) && labels.contains(label));
                assert!(has, "{}: {label}", panel["title"]);
            }
            asked += 1;
        }
    }
    assert!(asked >= 15, "{asked} queries");
}
