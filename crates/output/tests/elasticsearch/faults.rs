//! Faults of a whole request: nothing is lost, nothing is there twice, and the fault says what it is.

use std::collections::BTreeSet;
use std::time::Duration;

use super::fake_elasticsearch::Trouble;
use super::*;

/// One fault, then none: the first attempt fails with the kind that is expected, and in the end every document is there
/// once.
async fn survives(trouble: Trouble, expected: FaultKind) -> (Log, FakeElasticsearch) {
    let fake = FakeElasticsearch::start().await;
    fake.trouble(trouble.clone());
    let sink = open(json!({"url": fake.url(), "timeout": "2s"})).unwrap();
    let log = deliver(&sink, &numbered(50)).await;
    assert_eq!(log.faults.first().map(|fault| fault.kind), Some(expected), "{trouble:?}: {log:?}");
    assert_eq!(log.faults.len(), 1, "{trouble:?}: {log:?}");
    assert!(log.faults[0].cause.contains("localhost"), "says where: {}", log.faults[0]);
    assert_eq!(fake.ids(), ids(50), "{trouble:?}");
    assert!(log.rejected.is_empty(), "{log:?}");
    (log, fake)
}

#[tokio::test]
async fn a_reset_before_the_server_acted_loses_nothing() {
    let (log, _) = survives(Trouble::ResetUnread, FaultKind::Unreachable).await;
    assert_eq!(log.duplicates, 0);
}

#[tokio::test]
async fn a_reset_after_the_server_acted_doubles_nothing() {
    let (log, _) = survives(Trouble::ResetAfterActing, FaultKind::Unreachable).await;
    assert_eq!(log.duplicates, 50);
}

#[tokio::test]
async fn a_timeout_is_tried_again() {
    let fake = FakeElasticsearch::start().await;
    fake.trouble(Trouble::Silence);
    let sink = open(json!({"url": fake.url(), "timeout": "500ms"})).unwrap();
    let log = deliver(&sink, &numbered(3)).await;
    assert_eq!(log.faults[0].kind, FaultKind::Unreachable);
    assert!(log.faults[0].cause.contains("did not answer within 500ms"), "{}", log.faults[0]);
    assert_eq!(fake.ids(), ids(3));
    assert_eq!(log.duplicates, 3);
}

#[tokio::test]
async fn half_an_answer_is_none() {
    let (log, _) = survives(Trouble::Truncated, FaultKind::Unreachable).await;
    assert_eq!(log.duplicates, 50);
}

#[tokio::test]
async fn an_answer_that_is_no_json_or_not_for_us_is_none() {
    for text in ["<html>login</html>", "", r#"{"errors":false}"#, r#"{"errors":false,"items":[]}"#] {
        let (log, _) = survives(Trouble::Text(text), FaultKind::Unreachable).await;
        assert!(log.faults[0].cause.contains("no answer of a bulk request"), "{}", log.faults[0]);
        assert_eq!(log.duplicates, 50);
    }
}

#[tokio::test]
async fn an_answer_without_an_item_for_each_document_is_none() {
    let (log, _) = survives(Trouble::FewerItems, FaultKind::Unreachable).await;
    assert!(log.faults[0].cause.contains("49 items for 50 documents"), "{}", log.faults[0]);
}

#[tokio::test]
async fn statuses_of_a_busy_or_broken_server_are_tried_again() {
    let json = |kind: &str| json!({"error": {"type": kind, "reason": "why"}}).to_string();
    let table = [
        (429, json("es_rejected_execution_exception"), FaultKind::Throttled),
        (429, json("circuit_breaking_exception"), FaultKind::Throttled),
        (429, "slow down".into(), FaultKind::Throttled),
        (503, String::new(), FaultKind::Throttled),
        (503, "<html>busy</html>".into(), FaultKind::Throttled),
        (503, json("cluster_block_exception"), FaultKind::Unreachable),
        (503, json("master_not_discovered_exception"), FaultKind::Unreachable),
        (502, "<html>bad gateway</html>".into(), FaultKind::Unreachable),
        (504, String::new(), FaultKind::Unreachable),
        (500, json("exception"), FaultKind::Unreachable),
        (403, json("security_exception"), FaultKind::Forbidden),
        (403, json("cluster_block_exception"), FaultKind::Blocked),
        (429, json("cluster_block_exception"), FaultKind::Blocked),
        (404, json("index_not_found_exception"), FaultKind::Missing),
        (404, "nothing here".into(), FaultKind::Missing),
        (400, json("index_closed_exception"), FaultKind::Blocked),
        (400, "The plain HTTP request was sent to HTTPS port".into(), FaultKind::Blocked),
        (405, "no".into(), FaultKind::Blocked),
        (302, String::new(), FaultKind::Blocked),
    ];
    for (status, body, kind) in table {
        let (log, fake) = survives(Trouble::Status(status, "", body), kind).await;
        assert!(log.faults[0].cause.contains(&format!("answered {status}")), "{}", log.faults[0]);
        assert_eq!(log.duplicates, 0);
        // One attempt each, and nothing is sent twice by ourselves.
        assert_eq!(fake.bulks().len(), 2, "{status}");
    }
}

#[tokio::test]
async fn a_gateway_that_gave_up_after_the_server_acted_doubles_nothing() {
    for status in [502, 504] {
        let (log, _) = survives(Trouble::StatusAfterActing(status), FaultKind::Unreachable).await;
        assert_eq!(log.duplicates, 50);
    }
}

#[tokio::test]
async fn the_time_a_server_asks_for_is_passed_on() {
    for (status, header) in [(429, "retry-after: 17\r\n"), (503, "Retry-After: 17\r\n")] {
        let (log, _) = survives(Trouble::Status(status, header, String::new()), FaultKind::Throttled).await;
        assert_eq!(log.faults[0].retry_after, Some(Duration::from_secs(17)));
    }
}

#[tokio::test]
async fn a_request_that_is_too_large_says_so() {
    survives(Trouble::Status(413, "", String::new()), FaultKind::TooLarge).await;
}

#[tokio::test]
async fn too_large_is_split_down_to_the_document_that_is() {
    let fake = FakeElasticsearch::start().await;
    fake.state().most_bytes = 2_000;
    let large = "x".repeat(3_000);
    let mut builder = DocumentsBuilder::default();
    for (id, filler) in [("a", "s"), ("b", large.as_str()), ("c", "s"), ("d", "s")] {
        builder.lines.extend_from_slice(json!({"filler": filler}).to_string().as_bytes());
        builder.push(id, "", None);
    }
    let log = deliver(&sink(&fake), &Arc::new(builder.finish())).await;
    assert!(log.faults.iter().all(|fault| fault.kind == FaultKind::TooLarge), "{log:?}");
    assert_eq!(log.rejected.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["b"]);
    assert_eq!(fake.ids(), ["a", "c", "d"]);
}

/// The body is larger than what the system buffers, so that the answer comes while it is still being sent.
#[tokio::test]
async fn a_server_that_refuses_the_body_unread_is_understood() {
    let fake = FakeElasticsearch::start().await;
    fake.trouble(Trouble::StatusUnread(413));
    let filler = "x".repeat(4 << 20);
    let mut builder = DocumentsBuilder::default();
    for id in ["a", "b"] {
        builder.lines.extend_from_slice(json!({"filler": filler}).to_string().as_bytes());
        builder.push(id, "", None);
    }
    let log = deliver(&sink(&fake), &Arc::new(builder.finish())).await;
    assert_eq!(log.faults[0].kind, FaultKind::TooLarge, "{log:?}");
    assert_eq!(fake.ids(), ["a", "b"]);
}

#[tokio::test]
async fn refused_connections_are_tried_again_and_recovery_is_noticed() {
    let mut fake = FakeElasticsearch::start().await;
    let sink = sink(&fake);
    deliver(&sink, &numbered(2)).await;
    fake.stop().await;
    for _ in 0..3 {
        let fault = sink.write(&all(&numbered(5))).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Unreachable, "{fault}");
    }
    let fault = sink.write(&all(&numbered(5))).await.unwrap_err();
    assert!(fault.cause.contains("Connection refused") && !fault.remedy.is_empty(), "{fault}");
    fake.restart().await;
    let log = deliver(&sink, &numbered(5)).await;
    assert_eq!((log.faults.len(), log.duplicates), (0, 2), "{log:?}");
    assert_eq!(fake.ids(), ids(5));
}

#[tokio::test]
async fn a_wrong_key_is_said_and_a_new_one_in_the_file_is_taken() {
    let fake = FakeElasticsearch::start().await;
    fake.state().authorization = Some("ApiKey new".into());
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, "keyThatWasRevoked\n").unwrap();
    let sink = open(json!({"url": fake.url(), "api_key_file": file.path()})).unwrap();
    let request = all(&numbered(3));
    for _ in 0..2 {
        let fault = sink.write(&request).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Unauthenticated);
        assert!(fault.remedy.contains("api_key"), "{fault}");
        assert!(!format!("{fault:?} {sink:?}").contains("Revoked"), "a secret was shown");
    }
    std::fs::write(&file, "new\n").unwrap();
    let fault = sink.write(&request).await.unwrap_err();
    assert!(fault.remedy.contains("used from now on"), "{fault}");
    assert!(deliver(&sink, &numbered(3)).await.faults.is_empty());
    assert_eq!(fake.ids(), ids(3));
}

#[tokio::test]
async fn a_missing_right_is_named_with_its_index() {
    let body = json!({"error": {"type": "security_exception", "reason": "action [indices:data/write/bulk] is unauthorized"}});
    let (log, _) = survives(Trouble::Status(403, "", body.to_string()), FaultKind::Forbidden).await;
    let fault = &log.faults[0];
    assert!(fault.cause.contains("indices:data/write/bulk"), "{fault}");
    assert!(
        fault.remedy.contains("create_doc") && fault.remedy.contains("logs-anthropic.audit-default"),
        "{fault}"
    );
}

#[tokio::test]
async fn hosts_take_turns_and_a_dead_one_is_left_alone() {
    let mut first = FakeElasticsearch::start().await;
    let second = FakeElasticsearch::beside(&first).await;
    let sink = open(json!({"url": [first.url(), second.url()]})).unwrap();
    let documents = numbered(12);
    let one = |at: u32| {
        let mut request = Request::default();
        request.add(&documents, vec![at]);
        request
    };
    for at in 0..4 {
        sink.write(&one(at)).await.unwrap();
    }
    let ports: BTreeSet<u16> = second.bulks().iter().map(|seen| seen.port).collect();
    assert_eq!(ports.len(), 2, "both hosts are used");

    first.stop().await;
    let mut faults = Vec::new();
    for at in 4..12 {
        while let Err(fault) = sink.write(&one(at)).await {
            faults.push(fault);
            assert!(faults.len() < 8, "a dead host is not asked every other time");
        }
    }
    assert!(faults.iter().all(|fault| fault.kind == FaultKind::Unreachable), "{faults:?}");
    assert_eq!(second.ids(), ids(12));
}
