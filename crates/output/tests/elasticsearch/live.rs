//! The same against real servers, where their addresses are in the environment: what the fake only believes.
//!
//! The template is a small one of the test's own, for a namespace of the test's own, so that it needs nothing installed.
//!
//! `ELASTICSEARCH_TIGHT_URL` is a node that is soon full, started with `thread_pool.write.queue_size=1`,
//! `thread_pool.write.size=1`, `indexing_pressure.memory.limit=2mb` and `http.max_content_length=200kb`.
//!
//! `ELASTICSEARCH_SECURED_URL` is one with `xpack.security.enabled=true` and three users of the file realm, all with the
//! password `ELASTICSEARCH_SECURED_PASSWORD`: `admin` is superuser, `writer` has `create_doc` and `auto_configure` on
//! `logs-anthropic.audit-*`, `reader` has `read` there. For https, `ELASTICSEARCH_SECURED_CA` is the file with its
//! authority. API keys need a module that the server for Elastic's own tests lacks.

use bytes::Bytes;
use elasticsearch::http::Method;
use output::elasticsearch::{Call, Finding};

use super::*;

/// Sends a call to the management API, and shows an answer that is no success.
async fn manage(sink: &Elasticsearch, method: Method, path: &str, body: Option<Value>) -> u16 {
    let body = body.map(|body| Bytes::from(body.to_string()));
    let answer = sink.client().send(Call { method, body, ..Call::get(path) }).await.unwrap();
    if answer.status >= 300 {
        println!("{path}: {} {}", answer.status, String::from_utf8_lossy(&answer.body));
    }
    answer.status
}

async fn stored(sink: &Elasticsearch) -> Vec<String> {
    manage(sink, Method::Post, &format!("{}/_refresh", sink.stream()), None).await;
    let path = format!("{}/_search?size=1000&_source=false", sink.stream());
    let answer = sink.client().send(Call::get(&path)).await.unwrap();
    let json: Value = serde_json::from_slice(&answer.body).unwrap();
    let hits = json["hits"]["hits"].as_array().unwrap();
    let mut ids: Vec<String> = hits.iter().map(|hit| hit["_id"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    ids
}

/// An index template for one data stream.
fn definition(stream: &str) -> Value {
    json!({
        "index_patterns": [stream], "priority": 900, "data_stream": {},
        "template": {
            "settings": {"number_of_replicas": 0},
            "mappings": {"properties": {"@timestamp": {"type": "date"}, "number": {"type": "long"}}},
        },
    })
}

async fn live(variable: &str) {
    let Ok(url) = std::env::var(variable) else {
        println!("skipped: {variable} is not set");
        return;
    };
    println!("live: {variable}={url}");
    let namespace = format!("sinktest{}", std::process::id());
    let config = |compression: &str| json!({"url": url, "namespace": namespace, "compression": compression});
    let sink = open(config("gzip")).unwrap();
    let template = format!("_index_template/anthropic-ecs-{namespace}");

    // Nothing of ours is there, and what Elasticsearch has for all logs is not taken for it.
    let fault = sink.write(&all(&numbered(1))).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Missing, "{fault}");
    assert!(sink.probe().await.iter().any(|finding| matches!(finding, Finding::Bad(_))));

    assert_eq!(manage(&sink, Method::Put, &template, Some(definition(sink.stream()))).await, 200);
    let log = deliver(&sink, &numbered(200)).await;
    assert!(log.faults.is_empty() && log.retries.is_empty() && log.duplicates == 0, "{log:?}");
    let log = deliver(&open(config("none")).unwrap(), &numbered(201)).await;
    assert_eq!((log.faults.len(), log.duplicates), (0, 200), "{log:?}");
    assert_eq!(stored(&sink).await, ids(201));

    // One document that the mapping refuses, between two that it takes; and ids that no index takes.
    let mut builder = DocumentsBuilder::default();
    let longest = "x".repeat(600);
    for (id, number) in
        [("good", json!(1)), ("bad", json!({"a": 1})), (longest.as_str(), json!(2)), ("", json!(3))]
    {
        let document = json!({"@timestamp": "2026-01-02T03:04:05.678901Z", "number": number});
        builder.lines.extend_from_slice(document.to_string().as_bytes());
        builder.push(id, "", None);
    }
    let log = deliver(&sink, &Arc::new(builder.finish())).await;
    let [(id, rejection)] = &log.rejected[..] else { panic!("{log:?}") };
    assert_eq!(id, "bad");
    assert!(["document_parsing_exception", "mapper_parsing_exception"].contains(&rejection.reason.as_str()));
    assert!(rejection.detail.contains("number"), "{rejection:?}");
    assert_eq!(stored(&sink).await.len(), 204);

    // A block on the index is neither lost nor dead.
    let settings = format!("{}/_settings", sink.stream());
    for (block, value) in [("index.blocks.read_only_allow_delete", true), ("index.blocks.write", true)] {
        assert_eq!(manage(&sink, Method::Put, &settings, Some(json!({block: value}))).await, 200);
        let outcomes = sink.write(&all(&documents(["blocked"]))).await.unwrap();
        let [Outcome::Retry(fault)] = &outcomes[..] else { panic!("{block}: {outcomes:?}") };
        assert_eq!(fault.kind, FaultKind::Blocked, "{block}: {fault}");
        println!("{block}: {fault}");
        assert_eq!(manage(&sink, Method::Put, &settings, Some(json!({block: null}))).await, 200);
    }
    assert_eq!(sink.write(&all(&documents(["blocked"]))).await.unwrap(), [Outcome::Delivered]);

    for finding in sink.probe().await {
        println!("{finding:?}");
        assert!(!matches!(finding, Finding::Bad(_)), "{finding:?}");
    }

    // The server for Elastic's own tests has no management of data streams; there it stays.
    if manage(&sink, Method::Delete, &format!("_data_stream/{}", sink.stream()), None).await == 200 {
        manage(&sink, Method::Delete, &template, None).await;
        let fault = open(config("gzip")).unwrap().write(&all(&numbered(1))).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Missing, "{fault}");
    }
}

#[tokio::test]
async fn elasticsearch_does_what_the_fake_does() {
    live("ELASTICSEARCH_URL").await;
}

#[tokio::test]
async fn opensearch_does_what_the_fake_does() {
    live("OPENSEARCH_URL").await;
}

/// What a node answers that cannot keep up, and what it refuses for its size, as it says it itself.
#[tokio::test]
async fn a_node_that_is_full_loses_nothing() {
    let Ok(url) = std::env::var("ELASTICSEARCH_TIGHT_URL") else {
        println!("skipped: ELASTICSEARCH_TIGHT_URL is not set");
        return;
    };
    println!("live: ELASTICSEARCH_TIGHT_URL={url}");
    let namespace = format!("tight{}", std::process::id());
    let sink = Arc::new(open(json!({"url": url, "namespace": namespace, "compression": "none"})).unwrap());
    let template = format!("_index_template/anthropic-ecs-{namespace}");
    assert_eq!(manage(&sink, Method::Put, &template, Some(definition(sink.stream()))).await, 200);

    // A body beyond the limit is split; one document beyond it is refused.
    let mut builder = DocumentsBuilder::default();
    for (id, filler) in [("large", 300_000), ("b", 90_000), ("c", 90_000), ("d", 90_000)] {
        let document = json!({"@timestamp": "2026-01-02T03:04:05.678901Z", "filler": "x".repeat(filler)});
        builder.lines.extend_from_slice(document.to_string().as_bytes());
        builder.push(id, "", None);
    }
    let log = deliver(&sink, &Arc::new(builder.finish())).await;
    println!("{:?}", log.faults);
    assert!(log.faults.iter().all(|fault| fault.kind == FaultKind::TooLarge), "{log:?}");
    assert_eq!(log.rejected.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["large"]);

    // More at a time than it takes.
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..60 {
        let sink = Arc::clone(&sink);
        tasks.spawn(async move {
            let ids: Vec<_> = (0..400).map(|number| format!("t{task}_{number}")).collect();
            let documents = documents(ids.iter().map(String::as_str));
            deliver(&sink, &documents).await
        });
    }
    let logs = tasks.join_all().await;
    let faults = logs.iter().flat_map(|log| log.faults.iter().chain(&log.retries));
    let kinds: std::collections::BTreeMap<String, usize> =
        faults.fold(Default::default(), |mut kinds, fault| {
            *kinds
                .entry(format!("{:?} {}", fault.kind, &fault.cause[..fault.cause.len().min(150)]))
                .or_default() += 1;
            kinds
        });
    println!("{kinds:#?}");
    assert!(logs.iter().all(|log| log.rejected.is_empty() && log.duplicates == 0));
    manage(&sink, Method::Post, &format!("{}/_refresh", sink.stream()), None).await;
    let answer = sink.client().send(Call::get(&format!("{}/_count", sink.stream()))).await.unwrap();
    let json: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(json["count"], 3 + 60 * 400);
}

/// Users and their rights as a real server treats them.
#[tokio::test]
async fn users_may_do_what_they_may() {
    let variable = |name: &str| std::env::var(format!("ELASTICSEARCH_SECURED_{name}"));
    let [Ok(url), Ok(password)] = ["URL", "PASSWORD"].map(variable) else {
        println!("skipped: ELASTICSEARCH_SECURED_URL and ELASTICSEARCH_SECURED_PASSWORD are not set");
        return;
    };
    println!("live: ELASTICSEARCH_SECURED_URL={url}");
    let namespace = format!("secured{}", std::process::id());
    let open_with = |mut config: Value| {
        config["url"] = json!(url);
        config["namespace"] = json!(namespace);
        config["ca_file"] = variable("CA").map_or(Value::Null, Value::from);
        open(config).unwrap()
    };
    let user = |name: &str| open_with(json!({"username": name, "password": password}));
    let forbidden =
        |finding: &Finding| matches!(finding, Finding::Bad(fault) if fault.kind == FaultKind::Forbidden);
    let one = all(&documents(["one"]));

    for config in
        [json!({}), json!({"username": "admin", "password": "wrong"}), json!({"api_key": "id:wrong"})]
    {
        let fault = open_with(config.clone()).write(&one).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Unauthenticated, "{fault}");
        println!("{fault}");
        let findings = open_with(config).probe().await;
        assert!(findings.iter().any(|finding| matches!(finding, Finding::Bad(_))), "{findings:?}");
    }

    let admin = user("admin");
    let template = format!("_index_template/anthropic-ecs-{namespace}");
    assert_eq!(manage(&admin, Method::Put, &template, Some(definition(admin.stream()))).await, 200);

    let reader = user("reader");
    let fault = match reader.write(&one).await {
        Err(fault) => fault,
        Ok(outcomes) => match &outcomes[..] {
            [Outcome::Retry(fault)] => fault.clone(),
            other => panic!("{other:?}"),
        },
    };
    assert_eq!(fault.kind, FaultKind::Forbidden, "{fault}");
    println!("{fault}");
    let findings = reader.probe().await;
    println!("{findings:#?}");
    assert!(findings.iter().any(forbidden), "{findings:?}");

    // What a user may do who can write and nothing else.
    let writer = user("writer");
    let log = deliver(&writer, &numbered(100)).await;
    assert!(log.faults.is_empty() && log.retries.is_empty() && log.duplicates == 0, "{log:?}");
    assert_eq!(stored(&admin).await, ids(100));
    assert_eq!(deliver(&writer, &numbered(100)).await.duplicates, 100);
    let findings = writer.probe().await;
    println!("{findings:#?}");
    assert!(!findings.iter().any(|finding| matches!(finding, Finding::Bad(_))), "{findings:?}");
}
