//! What is looked at before writing, and what `check --connect` says.

use output::elasticsearch::Finding;

use super::fake_elasticsearch::Trouble;
use super::*;

#[tokio::test]
async fn without_a_template_of_ours_nothing_is_written() {
    let others: [(&str, Vec<_>, &str); 4] = [
        ("none at all", vec![], "no index template"),
        ("Elastic's for all logs", vec![("logs", "logs-*-*", 100)], "logs-*-*"),
        ("one for another feed", vec![("x", "metrics-anthropic-*", 500)], "no index template"),
        (
            "ours below a general one",
            vec![("ours", "logs-anthropic.audit-*", 250), ("all", "logs-*", 900)],
            "would be all",
        ),
    ];
    for opensearch in [false, true] {
        for (name, templates, words) in others.clone() {
            let fake = FakeElasticsearch::start().await;
            fake.state().templates = templates;
            fake.state().opensearch = opensearch;
            let sink = sink(&fake);
            let fault = sink.write(&all(&numbered(3))).await.unwrap_err();
            assert_eq!(fault.kind, FaultKind::Missing, "{name}: {fault}");
            assert!(fault.cause.contains(words) && fault.remedy.contains("setup"), "{name}: {fault}");
            assert!(fake.bulks().is_empty(), "{name}");

            // After `setup` it goes on by itself.
            fake.state().templates = vec![("logs", "logs-*-*", 100), ("ours", "logs-anthropic.audit-*", 250)];
            assert!(deliver(&sink, &numbered(3)).await.faults.is_empty());
            assert_eq!(fake.ids(), ids(3));
            assert!(!fake.state().plain_index);
        }
    }
}

#[tokio::test]
async fn a_data_stream_that_is_there_needs_no_look_at_templates() {
    let fake = FakeElasticsearch::start().await;
    fake.state().templates.clear();
    fake.state().data_stream = true;
    assert!(deliver(&sink(&fake), &numbered(3)).await.faults.is_empty());
}

#[tokio::test]
async fn an_index_in_the_place_of_the_data_stream_is_refused() {
    let fake = FakeElasticsearch::start().await;
    fake.state().plain_index = true;
    let fault = sink(&fake).write(&all(&numbered(1))).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Blocked);
    assert!(fault.cause.contains("not a data stream"), "{fault}");
    assert!(fake.bulks().is_empty());
}

#[tokio::test]
async fn after_a_fault_the_place_is_looked_at_again() {
    for trouble in [Trouble::ResetUnread, Trouble::Status(404, "", String::new())] {
        let fake = FakeElasticsearch::start().await;
        let sink = sink(&fake);
        deliver(&sink, &numbered(1)).await;
        fake.trouble(trouble);
        sink.write(&all(&numbered(2))).await.unwrap_err();
        // What comes back is a cluster without anything.
        fake.state().templates.clear();
        fake.state().data_stream = false;
        assert_eq!(sink.write(&all(&numbered(2))).await.unwrap_err().kind, FaultKind::Missing);
        assert!(!fake.state().plain_index);
    }
}

#[tokio::test]
async fn a_document_without_its_index_makes_us_look_again() {
    let fake = FakeElasticsearch::start().await;
    let sink = sink(&fake);
    fake.item("a", 404, "index_not_found_exception", "no such index");
    let outcomes = sink.write(&all(&documents(["a"]))).await.unwrap();
    assert!(matches!(&outcomes[..], [Outcome::Retry(_)]));
    fake.state().templates.clear();
    fake.state().data_stream = false;
    assert_eq!(sink.write(&all(&documents(["a"]))).await.unwrap_err().kind, FaultKind::Missing);
}

#[tokio::test]
async fn a_server_without_require_data_stream_is_asked_once() {
    let fake = FakeElasticsearch::start().await;
    fake.state().opensearch = true;
    let sink = sink(&fake);
    for _ in 0..3 {
        assert!(deliver(&sink, &numbered(3)).await.faults.is_empty());
    }
    let asked = fake.bulks().iter().filter(|seen| seen.path.contains("require_data_stream")).count();
    assert_eq!((asked, fake.bulks().len()), (1, 4));

    let told = open(json!({"url": fake.url(), "flavour": "opensearch"})).unwrap();
    deliver(&told, &numbered(3)).await;
    assert_eq!(fake.bulks().len(), 5, "who is told does not ask");
}

#[tokio::test]
async fn a_key_that_can_only_write_is_enough_for_elasticsearch() {
    let fake = FakeElasticsearch::start().await;
    fake.state().hidden = true;
    assert!(deliver(&sink(&fake), &numbered(3)).await.faults.is_empty());
    assert!(fake.bulks().iter().all(|seen| seen.path.contains("require_data_stream=true")));
}

#[tokio::test]
async fn a_server_that_makes_plain_indexes_is_not_written_to_blindly() {
    for flavour in ["auto", "opensearch"] {
        let fake = FakeElasticsearch::start().await;
        fake.state().hidden = true;
        fake.state().opensearch = true;
        let sink = open(json!({"url": fake.url(), "flavour": flavour})).unwrap();
        for _ in 0..2 {
            let fault = sink.write(&all(&numbered(3))).await.unwrap_err();
            assert_eq!(fault.kind, FaultKind::Forbidden);
            assert!(fault.remedy.contains("indices:admin/data_stream/get"), "{fault}");
        }
        assert!(fake.ids().is_empty());
        fake.state().hidden = false;
        assert!(deliver(&sink, &numbered(3)).await.faults.is_empty());
    }
}

/// Findings in a line each.
async fn probe(sink: &Elasticsearch) -> Vec<String> {
    let show = |finding| match finding {
        Finding::Good(words) => format!("good: {words}"),
        Finding::Unclear(words) => format!("unclear: {words}"),
        Finding::Bad(fault) => format!("bad: {}: {fault}", fault.kind.name()),
    };
    sink.probe().await.into_iter().map(show).collect()
}

#[tokio::test]
async fn a_good_cluster_is_described() {
    let fake = FakeElasticsearch::start().await;
    let url = fake.url();
    assert_eq!(
        probe(&sink(&fake)).await,
        [
            format!("good: {url} is Elasticsearch 9.3.0"),
            format!("good: {url} knows us as stage, API key ours"),
            "good: data stream logs-anthropic.audit-default will be made by the first document, from the template ours"
                .to_owned(),
            "good: may write to logs-anthropic.audit-default".to_owned(),
        ]
    );
    fake.state().opensearch = true;
    fake.state().data_stream = true;
    assert_eq!(
        probe(&sink(&fake)).await,
        [
            format!("good: {url} is OpenSearch 3.0.0"),
            format!("good: {url} knows us as stage"),
            "good: data stream logs-anthropic.audit-default, by the template ours".to_owned(),
        ]
    );
    assert!(fake.bulks().is_empty());
}

#[tokio::test]
async fn common_mistakes_are_named() {
    let mut fake = FakeElasticsearch::start().await;

    fake.state().templates.clear();
    let lines = probe(&sink(&fake)).await;
    assert!(lines[2].starts_with("bad: missing: ") && lines[2].contains("setup"), "{lines:?}");

    fake.state().data_stream = true;
    fake.state().privileges = false;
    let lines = probe(&sink(&fake)).await;
    assert!(lines[3].starts_with("bad: forbidden: ") && lines[3].contains("create_doc"), "{lines:?}");

    fake.state().hidden = true;
    let lines = probe(&sink(&fake)).await;
    assert!(lines[2].starts_with("unclear: "), "{lines:?}");

    let lines = probe(&open(json!({"url": fake.url(), "flavour": "opensearch"})).unwrap()).await;
    assert!(lines[0].starts_with("bad: unusable: ") && lines[0].contains("Elasticsearch 9.3.0"), "{lines:?}");

    fake.state().authorization = Some("ApiKey right".into());
    let lines = probe(&open(json!({"url": fake.url(), "api_key": "wrong"})).unwrap()).await;
    assert_eq!(lines.len(), 1);
    assert!(lines[0].starts_with("bad: unauthenticated: ") && lines[0].contains("`api_key`"), "{lines:?}");

    fake.state().authorization = None;
    fake.state().impostor = true;
    let lines = probe(&sink(&fake)).await;
    assert_eq!(lines.len(), 1);
    assert!(lines[0].contains("neither Elasticsearch nor OpenSearch"), "{lines:?}");
    assert_eq!(sink(&fake).write(&all(&numbered(1))).await.unwrap_err().kind, FaultKind::Unreachable);
    fake.state().impostor = false;

    let other = FakeElasticsearch::beside(&fake).await;
    let both = open(json!({"url": [fake.url(), other.url()]})).unwrap();
    fake.stop().await;
    let lines = probe(&both).await;
    assert!(lines[0].starts_with("bad: unreachable: ") && lines[0].contains("host and port"), "{lines:?}");
    assert!(lines[1].starts_with("good: ") && lines.len() > 2, "{lines:?}");
}
