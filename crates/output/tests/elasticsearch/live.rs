//! The same against real servers, where their addresses are in the environment: what the fake only believes.
//!
//! The template is a small one of the test's own, for a namespace of the test's own, so that it needs nothing installed and
//! leaves nothing behind.

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

    let body = json!({
        "index_patterns": [sink.stream()], "priority": 900, "data_stream": {},
        "template": {
            "settings": {"number_of_replicas": 0},
            "mappings": {"properties": {"@timestamp": {"type": "date"}, "number": {"type": "long"}}},
        },
    });
    assert_eq!(manage(&sink, Method::Put, &template, Some(body)).await, 200);
    let log = deliver(&sink, &numbered(200)).await;
    assert!(log.faults.is_empty() && log.retries.is_empty() && log.duplicates == 0, "{log:?}");
    let log = deliver(&open(config("none")).unwrap(), &numbered(201)).await;
    assert_eq!((log.faults.len(), log.duplicates), (0, 200), "{log:?}");
    assert_eq!(stored(&sink).await, ids(201));

    // One document that the mapping refuses, between two that it takes; and ids that no index takes.
    let mut builder = DocumentsBuilder::default();
    let longest = "x".repeat(600);
    for (id, number) in [("good", json!(1)), ("bad", json!({"a": 1})), (longest.as_str(), json!(2)), ("", json!(3))] {
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
