//! The assets on real servers: installed, kept, refused, and filled with every kind of document there is.
//!
//! Each run has a namespace of its own, and leaves behind what it made. A bare Elasticsearch lacks some index types; then, and
//! only then, they are replaced by the next best before the installation, and the test says so.

use std::fs;

use elasticsearch::http::Method;
use model::fault::FaultKind;
use output::assets::{Action, Api, AssetKind, Flavour, Lifecycle, apply, detect, plan, refusal};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::assets::render;
use crate::live_server::{Live, live, reduce, run_id};
use crate::{mutations, world};

/// Everything there is, each with an id of its own: golden records, one of each type in each shape, and broken ones.
fn documents() -> Vec<(String, String)> {
    let mut mapper = world::mapper();
    let mut documents = Vec::new();
    let mut add = |name: &str, raw: &str| {
        let mut out = Vec::new();
        if mapper.map(raw.as_bytes(), &mut out).is_ok() {
            documents.push((format!("{name}-{}", documents.len()), String::from_utf8(out).unwrap()));
        }
    };
    for folder in ["activities", "actors", "variants", "cases"] {
        for entry in fs::read_dir(world::root("tests/golden").join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.to_string_lossy().ends_with(".in.json") {
                add("golden", fs::read_to_string(&path).unwrap().trim_end());
            }
        }
    }
    for (seed, activity_type) in (0..).zip(world::catalog().activities.keys()) {
        for raw in world::generator(seed).records_for(activity_type) {
            add("catalog", &raw);
        }
    }
    let mut runner = TestRunner::deterministic();
    for _ in 0..1_000 {
        add("broken", &mutations::mutated_record().new_tree(&mut runner).unwrap().current());
    }
    for long in long_values() {
        add("long", &long);
    }
    for extreme in extremes() {
        add("extreme", &extreme);
    }
    documents
}

fn with(members: &str) -> String {
    format!(
        "{{\"id\":\"a\",\"created_at\":\"2026-10-05T07:30:00.000001Z\",\"type\":\"claude_chat_created\",\
         \"actor\":{{\"type\":\"user_actor\",\"user_id\":\"u\"}},{members}}}"
    )
}

/// Values beyond Lucene's longest term, in every kind of field that takes text, in one, two and four bytes a character.
fn long_values() -> Vec<String> {
    let mut records = Vec::new();
    for text in ["x", "ü", "😀"] {
        for length in [8_191, 8_192, 40_000, 400_000] {
            let long = text.repeat(length);
            for name in ["title", "claude_chat_id", "reason", "url", "filename", "user_email", "type"] {
                records.push(with(&format!("\"{name}\":\"{long}\"")));
            }
            let agent = format!(
                "\"actor\":{{\"type\":\"user_actor\",\"user_agent\":\"{long}\",\"email_address\":\"{long}@{long}\"}}"
            );
            records.push(format!("{{\"id\":\"a\",\"type\":\"claude_chat_created\",{agent}}}"));
        }
    }
    records
}

/// What is near or beyond the limits of a parser: digits, nesting, keys.
fn extremes() -> Vec<String> {
    let mut members = Vec::new();
    for digits in [100, 999, 1_000, 1_001, 20_000] {
        let number = "7".repeat(digits);
        members.push(format!("\"novel\":{number}"));
        members.push(format!("\"novel\":0.{number}"));
        members.push(format!("\"limit_usd\":0.{number}"));
        members.push(format!("\"title\":{number}"));
    }
    for (depth, key) in [(63, 10), (64, 10), (200, 10), (5_000, 1), (30, 512), (50, 512), (62, 512)] {
        let key = "k".repeat(key);
        let nested = format!("{{\"{key}\":").repeat(depth) + "\"core\"" + &"}".repeat(depth);
        members.push(format!("\"novel\":{nested}"));
        members.push(format!("\"updates\":[{nested}]"));
    }
    members.push(format!(
        "\"novel\":{{{}\"z\":1}}",
        (0..20_000).map(|at| format!("\"k{at}\":{at},")).collect::<String>()
    ));
    members.into_iter().map(|members| with(&members)).collect()
}

/// What no template can help against: a free object's path beyond Lucene's longest term, on both servers, and on OpenSearch a
/// value beyond it, for its type for free objects has no limits to set.
fn beyond_a_term() -> Vec<(String, String)> {
    let mut mapper = world::mapper();
    let long = "x".repeat(40_000);
    let key = "k".repeat(512);
    let nested = format!("{{\"{key}\":").repeat(64) + "\"core\"" + &"}".repeat(64);
    let members = [
        ("value", format!("\"novel\":\"{long}\"")),
        ("value", format!("\"novel\":{{\"a\":[{{\"b\":\"{long}\"}}]}}")),
        ("value", format!("\"updates\":[{{\"type\":\"name\",\"current_value\":\"{long}\"}}]")),
        ("value", format!("\"novel\":\"{}\"", "😀".repeat(10_000))),
        ("value", format!("\"{long}\":1")),
        ("path", format!("\"novel\":{nested}")),
        ("path", format!("\"updates\":[{nested}]")),
    ];
    let mut documents = Vec::new();
    for (at, (name, members)) in members.iter().enumerate() {
        let document = world::document_of(&mut mapper, with(members).as_bytes());
        documents.push((format!("{name}-{at}"), String::from_utf8(document).unwrap()));
    }
    documents
}

/// Documents whose times differ by microseconds alone, out of order.
fn close_together() -> Vec<(String, String)> {
    let mut mapper = world::mapper();
    let close = |micros: u32| {
        let raw = with("\"title\":\"close\"").replace(".000001Z", &format!(".123{micros:03}Z"));
        (
            format!("close-{micros:03}"),
            String::from_utf8(world::document_of(&mut mapper, raw.as_bytes())).unwrap(),
        )
    };
    [456, 2, 999, 1, 457, 0, 455, 500].map(close).to_vec()
}

async fn whole_story(live: Live) {
    let api = Api::new(&live.transport, &live.url);
    let server = detect(&api, Some(live.flavour)).await.unwrap();
    eprintln!("server: {} {} ({:?})", server.flavour, server.version, server.lifecycle);
    if !server.version.is_empty() {
        assert_eq!(detect(&api, None).await.unwrap(), server);
    }
    let namespace = run_id();
    let mut assets = render(live.flavour, server.lifecycle, &namespace);
    reduce(&live, &mut assets).await;
    let stream = assets.data_stream();

    // A dry run touches nothing.
    let planned = plan(&api, &assets).await.unwrap();
    let template = assets.items.last().unwrap();
    assert_eq!(planned.iter().find(|step| step.name == template.name).unwrap().action, Action::Create);
    assert_eq!(live.call(Method::Get, &format!("/_index_template/{}", template.name), None).await.0, 404);

    // Installed once; the second time there is nothing to do.
    let steps = apply(&api, &assets).await.unwrap();
    assert!(steps.iter().all(|step| step.action != Action::Refuse), "{steps:?}");
    let documents = own(documents(), &namespace);
    let refused = live.index(&stream, &documents[..1]).await;
    assert!(refused.is_empty(), "{refused:?}");
    let again = apply(&api, &assets).await.unwrap();
    assert!(again.iter().all(|step| step.action == Action::Unchanged), "{again:?}");

    // Nothing is refused, and nothing adds a field.
    let before = live.fields(&stream).await;
    assert_eq!(before["dynamic"], "false");
    let refused = live.index(&stream, &documents[1..]).await;
    let reasons: Vec<_> = refused.iter().take(10).map(|(id, error)| format!("{id}: {error}")).collect();
    assert!(refused.is_empty(), "{} of {} refused:\n{}", refused.len(), documents.len(), reasons.join("\n"));
    assert_eq!(live.count(&stream, json!({"match_all": {}})).await, documents.len() as u64);
    queries_find(&live, &stream, &documents).await;
    assert!(live.index(&stream, &own(close_together(), &namespace)).await.is_empty());
    order_is_kept(&live, &stream).await;
    let refused = live.index(&stream, &own(beyond_a_term(), &namespace)).await;
    for (id, error) in &refused {
        assert!(error.to_string().contains("immense"), "{id}: {error}");
        assert!(live.flavour == Flavour::OpenSearch || id.starts_with("path"), "{id}: {error}");
        eprintln!("known limit: {} refuses {id}", live.flavour);
    }
    assert_eq!(live.fields(&stream).await, before, "documents changed the mapping");

    what_is_foreign_stays(&live, &api).await;
    an_older_stream_is_brought_up_to_date(&live, &api, server.lifecycle).await;
}

/// The documents as a mapper that was told the namespace writes them.
fn own(documents: Vec<(String, String)>, namespace: &str) -> Vec<(String, String)> {
    let namespace = format!("\"namespace\":\"{namespace}\"");
    let own = |(id, document): (String, String)| {
        (id, document.replacen("\"namespace\":\"default\"", &namespace, 1))
    };
    documents.into_iter().map(own).collect()
}

async fn order_is_kept(live: &Live, stream: &str) {
    let body = json!({"size": 100, "_source": false, "sort": [{"@timestamp": "asc"}],
        "query": {"term": {"anthropic.audit.title": "close"}}});
    let (_, answer) = live.call(Method::Post, &format!("/{stream}/_search"), Some(body.to_string())).await;
    let ids: Vec<_> =
        answer["hits"]["hits"].as_array().unwrap().iter().map(|hit| hit["_id"].as_str().unwrap()).collect();
    let sorted =
        ["000", "001", "002", "455", "456", "457", "500", "999"].map(|micros| format!("close-{micros}"));
    assert_eq!(ids, sorted, "{answer}");
    // And a range can cut between two of them.
    let range = json!({"bool": {"filter": [{"term": {"anthropic.audit.title": "close"}},
        {"range": {"@timestamp": {"gt": "2026-10-05T07:30:00.123456Z"}}}]}});
    assert_eq!(live.count(stream, range).await, 3);
}

/// The queries that Elastic's dashboards and rules are made of find as many documents as there are.
async fn queries_find(live: &Live, stream: &str, documents: &[(String, String)]) {
    let documents: Vec<Value> =
        documents.iter().map(|(_, document)| serde_json::from_str(document).unwrap()).collect();
    let count =
        |has: &dyn Fn(&Value) -> bool| documents.iter().filter(|document| has(document)).count() as u64;
    let is = |value: &Value, wanted: &str| match value {
        Value::Array(items) => items.iter().any(|item| item == wanted),
        value => value == wanted,
    };
    for (path, wanted) in [
        ("event.action", "claude_project_viewed"),
        ("event.category", "iam"),
        ("event.outcome", "failure"),
        ("event.dataset", "anthropic.audit"),
        ("data_stream.dataset", "anthropic.audit"),
        ("user.target.roles", "admin"),
        ("anthropic.audit.actor.type", "unauthenticated_user_actor"),
        ("source.geo.country_iso_code", "DE"),
        ("tags", "unknown_field"),
    ] {
        let expected = count(&|document| {
            is(document.pointer(&format!("/{}", path.replace('.', "/"))).unwrap_or(&Value::Null), wanted)
        });
        assert!(expected > 0, "no document has {path} {wanted}");
        let mut term = json!({"term": {}});
        term["term"][path] = json!(wanted);
        assert_eq!(live.count(stream, term).await, expected, "{path} {wanted}");
    }
    let in_range = |document: &Value| {
        document["source"]["ip"]
            .as_str()
            .is_some_and(|ip| ip.starts_with("203.0.113.") || ip.starts_with("::ffff:203.0.113."))
    };
    let (expected, query) = (count(&in_range), json!({"term": {"source.ip": "203.0.113.0/24"}}));
    assert!(expected > 0);
    assert_eq!(live.count(stream, query).await, expected, "addresses by prefix");
    let near =
        json!({"geo_distance": {"distance": "50km", "source.geo.location": {"lat": 52.52, "lon": 13.41}}});
    let is_berlin = |document: &Value| document["source"]["geo"]["city_name"] == "Berlin";
    assert_eq!(live.count(stream, near).await, count(&is_berlin), "places by distance");
    let severe = json!({"range": {"event.severity": {"gte": 80}}});
    assert_eq!(live.count(stream, severe).await, count(&|d| d["event"]["severity"].as_u64() >= Some(80)));
    let enabled = json!({"term": {"anthropic.audit.enabled": true}});
    assert_eq!(live.count(stream, enabled).await, count(&|d| d["anthropic"]["audit"]["enabled"] == true));
    for query in [
        json!({"match_phrase": {"message": "created chat"}}),
        json!({"match": {"user_agent.original.text": "Macintosh"}}),
        json!({"wildcard": {"url.original": "*/v1/*"}}),
        json!({"term": {"anthropic.audit.updates.type": "name"}}),
        json!({"term": {"anthropic.audit.metadata.viewer.tabs.id": "2"}}),
        json!({"exists": {"field": "anthropic.audit.metadata"}}),
    ] {
        assert!(live.count(stream, query.clone()).await > 0, "{query} finds nothing");
    }
    let ignored = live.count(stream, json!({"exists": {"field": "_ignored"}})).await;
    eprintln!("{} documents, {ignored} with a value too long for the index", documents.len());
}

async fn what_is_foreign_stays(live: &Live, api: &Api<'_>) {
    // A template of our name that somebody else made.
    let namespace = run_id();
    let mut assets = render(live.flavour, Lifecycle::None, &namespace);
    reduce(live, &mut assets).await;
    let stream = assets.data_stream();
    let name = assets.items.last().unwrap().name.clone();
    let path = format!("/_index_template/{name}");
    let foreign = json!({"index_patterns": [stream], "priority": 240, "data_stream": {}, "_meta": {"managed_by": "fleet"}});
    live.put(&path, &foreign).await;
    let (_, before) = live.call(Method::Get, &path, None).await;
    let planned = plan(api, &assets).await.unwrap();
    assert_eq!(refusal(&planned).map(|fault| fault.kind), Some(FaultKind::Taken));
    let fault = apply(api, &assets).await.unwrap_err();
    assert!(fault.kind == FaultKind::Taken && fault.cause.contains(&name), "{fault}");
    assert_eq!(live.call(Method::Get, &path, None).await.1, before);
    live.call(Method::Delete, &path, None).await;

    // A template of theirs that would be used in place of ours.
    let rival = format!("/_index_template/rival-{namespace}");
    live.put(&rival, &json!({"index_patterns": [format!("{stream}*")], "priority": 400, "data_stream": {}}))
        .await;
    let fault = apply(api, &assets).await.unwrap_err();
    assert!(fault.kind == FaultKind::Taken && fault.cause.contains("priority 400"), "{fault}");
    assert_eq!(live.call(Method::Get, &path, None).await.0, 404, "something was installed all the same");
    live.call(Method::Delete, &rival, None).await;

    // An index where the data stream should be; made at a time when no template stands in the way of it.
    live.put(&format!("/{stream}"), &json!({})).await;
    let fault = apply(api, &assets).await.unwrap_err();
    assert!(fault.kind == FaultKind::Taken && fault.cause.contains(&stream), "{fault}");
    live.call(Method::Delete, &format!("/{stream}"), None).await;

    // Elastic's own, below ours, is left alone and outranked.
    let elastic = format!("/_index_template/elastic-{namespace}");
    live.put(
        &elastic,
        &json!({"index_patterns": [format!("{stream}*")], "priority": 200, "data_stream": {}}),
    )
    .await;
    let (_, before) = live.call(Method::Get, &elastic, None).await;
    apply(api, &assets).await.unwrap();
    assert_eq!(live.call(Method::Get, &elastic, None).await.1, before);
    let document = [("a".to_owned(), json!({"@timestamp": "2026-10-05T07:30:00Z"}).to_string())];
    assert!(live.index(&stream, &document).await.is_empty());
    assert_eq!(live.fields(&stream).await["_meta"]["managed_by"], "anthropic-ecs");
}

async fn an_older_stream_is_brought_up_to_date(live: &Live, api: &Api<'_>, lifecycle: Lifecycle) {
    let namespace = run_id();
    let mut assets = render(live.flavour, lifecycle, &namespace);
    reduce(live, &mut assets).await;
    let stream = assets.data_stream();
    // What an earlier version would have left: our mark, another hash, fewer fields, and a stream made from it.
    let index_template = assets.items.last().unwrap();
    assert_eq!(index_template.kind, AssetKind::IndexTemplate);
    let old = json!({"index_patterns": [stream], "priority": 250, "data_stream": {},
        "_meta": {"managed_by": "anthropic-ecs", "hash": "old"},
        "template": {"mappings": {"dynamic": false, "properties": {"@timestamp": {"type": "date_nanos"}}}}});
    let path = format!("/_index_template/{}", index_template.name);
    live.put(&path, &old).await;
    let document = |id: &str, time: &str| {
        (id.to_owned(), json!({"@timestamp": time, "event": {"action": "x"}}).to_string())
    };
    let time = "2026-10-05T07:30:00Z";
    assert!(live.index(&stream, &[document("a", time)]).await.is_empty());
    let by_action = json!({"term": {"event.action": "x"}});
    assert_eq!(live.count(&stream, by_action.clone()).await, 0);
    let steps = apply(api, &assets).await.unwrap();
    assert!(steps.iter().rev().take(2).all(|step| step.action == Action::Update), "{steps:?}");
    assert!(live.index(&stream, &[document("b", time)]).await.is_empty());
    assert_eq!(live.count(&stream, by_action).await, 1);
    assert!(apply(api, &assets).await.unwrap().iter().all(|step| step.action == Action::Unchanged));

    // Where a field has another type already, only a rollover helps, and the step says so.
    let namespace = run_id();
    let mut assets = render(live.flavour, lifecycle, &namespace);
    reduce(live, &mut assets).await;
    let stream = assets.data_stream();
    let clash = json!({"index_patterns": [stream], "priority": 200, "data_stream": {},
        "template": {"mappings": {"properties": {"event": {"properties": {"action": {"type": "long"}}}}}}});
    let rival = format!("/_index_template/older-{namespace}");
    live.put(&rival, &clash).await;
    let document = [("a".to_owned(), json!({"@timestamp": time}).to_string())];
    assert!(live.index(&stream, &document).await.is_empty());
    let steps = apply(api, &assets).await.unwrap();
    let step = steps.last().unwrap();
    assert!(step.action == Action::ByHand && step.note.contains("_rollover"), "{step:?}");
}

#[tokio::test]
async fn elasticsearch_takes_every_document() {
    if let Some(live) = live("ELASTICSEARCH_URL", Flavour::Elasticsearch) {
        whole_story(live).await;
    }
}

#[tokio::test]
async fn opensearch_takes_every_document() {
    if let Some(live) = live("OPENSEARCH_URL", Flavour::OpenSearch) {
        whole_story(live).await;
    }
}
