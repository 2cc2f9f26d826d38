//! Faults on librdkafka's mock cluster.

use std::time::Duration;

use model::fault::FaultKind;
use output::kafka::probe;
use output::{Outcome, Sink};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr as Code};

use crate::kit::*;

const TOPIC: &str = "ecs";

fn cluster() -> (MockCluster<'static, DefaultProducerContext>, String) {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(TOPIC, 1, 1).unwrap();
    let brokers = cluster.bootstrap_servers();
    (cluster, brokers)
}

fn rejected(outcome: &Outcome) -> Option<&str> {
    match outcome {
        Outcome::Rejected(rejection) => Some(&rejection.reason),
        _ => None,
    }
}

#[test]
fn documents_arrive_in_order_with_key_and_headers() {
    let (_cluster, brokers) = cluster();
    run(async {
        let sink = sink(&brokers, TOPIC, "");
        assert_eq!(sink.write(&request(0..50)).await.unwrap(), vec![Outcome::Delivered; 50]);
        assert!(sink.write(&request(0..0)).await.unwrap().is_empty());
        sink.close().await.unwrap();
    });
    let found = read(&brokers, TOPIC, 1);
    assert_eq!(keys(&found), ids(0..50));
    assert_eq!(found[7].value, body(7, 10), "without the line end");
    let headers =
        [("content-type", "application/json"), ("ecs-version", "9.4.0"), ("action", "claude_chat_created")];
    assert_eq!(found[7].headers, headers.map(|(key, value)| (key.to_owned(), value.to_owned())));
}

#[test]
fn raw_records_claim_no_version_of_ecs() {
    let (_cluster, brokers) = cluster();
    run(async { deliver(&sink(&brokers, TOPIC, r#","format":"raw""#), &request(0..1)).await });
    assert!(read(&brokers, TOPIC, 1)[0].headers.iter().all(|(key, _)| key != "ecs-version"));
}

#[test]
fn a_full_queue_is_waited_for() {
    let (_cluster, brokers) = cluster();
    run(async {
        let sink = sink(&brokers, TOPIC, r#","librdkafka":{"queue.buffering.max.messages":5,"linger.ms":0}"#);
        assert_eq!(sink.write(&request(0..200)).await.unwrap(), vec![Outcome::Delivered; 200]);
    });
    assert_eq!(keys(&read(&brokers, TOPIC, 1)), ids(0..200));
}

#[test]
fn what_is_too_large_for_the_client_is_refused_and_nothing_else() {
    let (_cluster, brokers) = cluster();
    run(async {
        let sink = sink(&brokers, TOPIC, r#","librdkafka":{"message.max.bytes":2000}"#);
        let outcomes = sink.write(&request_of([(0, 10), (1, 3000), (2, 10)])).await.unwrap();
        assert_eq!((&outcomes[0], &outcomes[2]), (&Outcome::Delivered, &Outcome::Delivered));
        assert_eq!(rejected(&outcomes[1]), Some("message_too_large"));
    });
    assert_eq!(keys(&read(&brokers, TOPIC, 1)), ids([0, 2]));
}

#[test]
fn what_a_broker_refuses_in_company_is_tried_alone() {
    let (cluster, brokers) = cluster();
    run(async {
        let sink = sink(&brokers, TOPIC, r#","librdkafka":{"linger.ms":200}"#);
        // The batch is refused; alone, all pass.
        cluster.request_errors(RDKafkaApiKey::Produce, &[Code::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE]);
        assert_eq!(sink.write(&request(0..20)).await.unwrap(), vec![Outcome::Delivered; 20]);
        // The batch is refused, and one of them alone too.
        cluster.request_errors(
            RDKafkaApiKey::Produce,
            &[Code::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, Code::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE],
        );
        let outcomes = sink.write(&request(20..40)).await.unwrap();
        assert_eq!(outcomes.iter().filter_map(rejected).collect::<Vec<_>>(), ["message_too_large"]);
        assert_eq!(outcomes.iter().filter(|one| **one == Outcome::Delivered).count(), 19);
    });
    assert_eq!(sorted(keys(&read(&brokers, TOPIC, 1))).len(), 39);
}

#[test]
fn passing_errors_are_mended_without_duplicates() {
    let (cluster, brokers) = cluster();
    run(async {
        let sink = sink(&brokers, TOPIC, "");
        cluster.request_errors(
            RDKafkaApiKey::Produce,
            &[
                Code::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
                Code::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
                Code::RD_KAFKA_RESP_ERR__TRANSPORT,
                Code::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
            ],
        );
        assert_eq!(sink.write(&request(0..100)).await.unwrap(), vec![Outcome::Delivered; 100]);
    });
    assert_eq!(keys(&read(&brokers, TOPIC, 1)), ids(0..100));
}

#[test]
fn a_broker_that_goes_away_is_a_fault_that_passes() {
    let (cluster, brokers) = cluster();
    run(async {
        let sink = sink(&brokers, TOPIC, r#","librdkafka":{"message.timeout.ms":1500}"#);
        deliver(&sink, &request(0..10)).await;
        cluster.broker_down(1).unwrap();
        let fault = sink.write(&request(10..20)).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Unreachable, "{fault}");
        assert!(fault.cause.contains(&brokers), "{fault}");
        cluster.broker_up(1).unwrap();
        deliver(&sink, &request(10..20)).await;
    });
    let found = keys(&read(&brokers, TOPIC, 1));
    assert!(ids(0..20).iter().all(|id| found.contains(id)), "{found:?}");
}

#[test]
fn what_is_wrong_with_the_topic_is_said() {
    for (error, kind) in [
        (Code::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, FaultKind::Missing),
        (Code::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, FaultKind::Forbidden),
    ] {
        let (cluster, brokers) = cluster();
        cluster.topic_error(TOPIC, error).unwrap();
        run(async {
            let extra =
                r#","librdkafka":{"message.timeout.ms":8000,"topic.metadata.propagation.max.ms":1000}"#;
            let fault = sink(&brokers, TOPIC, extra).write(&request(0..3)).await.unwrap_err();
            assert_eq!(fault.kind, kind, "{fault}");
            assert!(fault.remedy.contains(TOPIC), "{fault}");
            let fault = probe(&settings(&brokers, TOPIC, ""), LONG).await.unwrap_err();
            assert_eq!(fault.kind, kind, "{fault}");
        });
    }
}

#[test]
fn a_producer_that_met_its_end_is_replaced() {
    let (cluster, brokers) = cluster();
    run(async {
        let sink = sink(&brokers, TOPIC, "");
        deliver(&sink, &request(0..1)).await;
        // An idempotent producer that hears this with nothing before in flight cannot go on.
        cluster.request_errors(
            RDKafkaApiKey::Produce,
            &[Code::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER; 1],
        );
        let first = sink.write(&request(1..2)).await;
        assert!(first.is_err(), "{first:?}");
        deliver(&sink, &request(1..3)).await;
    });
    let found = keys(&read(&brokers, TOPIC, 1));
    assert!(ids(0..3).iter().all(|id| found.contains(id)), "{found:?}");
}

#[test]
fn nobody_listens() {
    run(async {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let brokers = format!("127.0.0.1:{port}");
        let fault = probe(&settings(&brokers, TOPIC, ""), Duration::from_secs(2)).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Unreachable, "{fault}");
        let sink = sink(&brokers, TOPIC, r#","librdkafka":{"message.timeout.ms":1500}"#);
        let fault = sink.write(&request(0..1)).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Unreachable, "{fault}");
        assert!(fault.cause.contains("refused"), "{fault}");
        sink.close().await.unwrap();
    });
}
