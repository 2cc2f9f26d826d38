//! Answers to single documents of a request.

use super::*;

#[tokio::test]
async fn each_document_has_its_own_outcome() {
    let fake = FakeElasticsearch::start().await;
    let sink = sink(&fake);
    deliver(&sink, &documents(["b"])).await;
    fake.item("c", 429, "es_rejected_execution_exception", "queue");
    fake.item("d", 400, "document_parsing_exception", "failed to parse field [x]");
    fake.item("e", 503, "unavailable_shards_exception", "primary shard is not active");
    let outcomes = sink.write(&all(&documents(["a", "b", "c", "d", "e", "f"]))).await.unwrap();
    let [a, b, c, d, e, f] = &outcomes[..] else { panic!("{outcomes:?}") };
    assert_eq!((a, b, f), (&Outcome::Delivered, &Outcome::Duplicate, &Outcome::Delivered));
    assert!(matches!(c, Outcome::Retry(fault) if fault.kind == FaultKind::Throttled), "{c:?}");
    assert!(matches!(e, Outcome::Retry(fault) if fault.kind == FaultKind::Unreachable), "{e:?}");
    let Outcome::Rejected(rejection) = d else { panic!("{d:?}") };
    assert_eq!(rejection.reason, "document_parsing_exception");
    assert!(rejection.detail.contains("failed to parse field [x]"));
}

#[tokio::test]
async fn only_what_failed_for_now_is_sent_again() {
    let fake = FakeElasticsearch::start().await;
    for id in ["activity_00003", "activity_00007"] {
        fake.item(id, 429, "es_rejected_execution_exception", "queue");
        fake.item(id, 500, "exception", "oops");
    }
    let log = deliver(&sink(&fake), &numbered(10)).await;
    assert_eq!((log.retries.len(), log.duplicates, log.rejected.len()), (4, 0, 0), "{log:?}");
    assert_eq!(fake.ids(), ids(10));
    let lines: Vec<usize> =
        fake.bulks().iter().map(|seen| seen.body.iter().filter(|byte| **byte == b'\n').count()).collect();
    assert_eq!(lines, [20, 4, 4]);
}

#[tokio::test]
async fn faults_of_the_index_make_no_dead_letters() {
    let flood = "index [x] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark, index has \
        read-only-allow-delete block];";
    let table = [
        (404, "index_not_found_exception", "no such index [x]", FaultKind::Missing, "setup"),
        (429, "cluster_block_exception", flood, FaultKind::Blocked, "free disk space"),
        (
            403,
            "cluster_block_exception",
            "blocked by: [FORBIDDEN/8/index write (api)];",
            FaultKind::Blocked,
            "index.blocks",
        ),
        (400, "index_closed_exception", "closed", FaultKind::Blocked, "open"),
        (403, "security_exception", "action is unauthorized", FaultKind::Forbidden, "create_doc"),
        (
            400,
            "illegal_argument_exception",
            "pipeline with id [p] does not exist",
            FaultKind::Missing,
            "pipeline",
        ),
        (400, "validation_exception", "this action would add [2] shards", FaultKind::Blocked, "index"),
    ];
    for (status, kind, reason, expected, remedy) in table {
        let fake = FakeElasticsearch::start().await;
        fake.item("activity_00000", status, kind, reason);
        let log = deliver(&sink(&fake), &numbered(2)).await;
        assert!(log.rejected.is_empty() && log.faults.is_empty(), "{kind}: {log:?}");
        assert_eq!(log.retries.len(), 1, "{kind}");
        assert_eq!(log.retries[0].kind, expected, "{kind}: {}", log.retries[0]);
        assert!(log.retries[0].remedy.contains(remedy), "{}", log.retries[0]);
        assert!(log.retries[0].cause.contains(reason), "{}", log.retries[0]);
        assert_eq!(fake.ids(), ids(2));
    }
}

#[tokio::test]
async fn a_document_twice_in_a_request_is_there_once() {
    let fake = FakeElasticsearch::start().await;
    let outcomes = sink(&fake).write(&all(&documents(["a", "a"]))).await.unwrap();
    assert_eq!(outcomes, [Outcome::Delivered, Outcome::Duplicate]);
    assert_eq!(fake.ids(), ["a"]);
}

#[tokio::test]
async fn ids_no_index_takes_are_replaced_and_stay_the_same() {
    let fake = FakeElasticsearch::start().await;
    let (long, longer) = ("é".repeat(300), "é".repeat(301));
    let documents = documents([long.as_str(), &longer, "", "\"quoted\"\n\u{1}"]);
    let log = deliver(&sink(&fake), &documents).await;
    assert!(log.rejected.is_empty(), "{log:?}");
    assert_eq!(fake.ids().len(), 4);
    assert!(fake.ids().contains(&"\"quoted\"\n\u{1}".to_owned()));
    let log = deliver(&sink(&fake), &documents).await;
    assert_eq!((log.duplicates, fake.ids().len()), (4, 4));
}
