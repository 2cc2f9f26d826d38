//! Faults and order of events on librdkafka's mock cluster.

use std::collections::BTreeSet;
use std::time::Duration;

use anthropic_ecs_ingest::file::Kind;
use anthropic_ecs_ingest::kafka::{KafkaSource, probe};
use anthropic_ecs_ingest::{Origin, Source};
use model::fault::FaultKind;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use crate::kit::*;

const TOPIC: &str = "raw";
const GROUP: &str = "group";

fn cluster(partitions: i32) -> (MockCluster<'static, DefaultProducerContext>, String) {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(TOPIC, partitions, 1).unwrap();
    let brokers = cluster.bootstrap_servers();
    (cluster, brokers)
}

fn ids(range: std::ops::Range<u32>) -> BTreeSet<String> {
    range.map(activity).collect()
}

#[test]
fn values_become_records_and_every_message_moves_the_position() {
    let (_cluster, brokers) = cluster(1);
    let page = format!(r#"{{"data":[{},{}],"has_more":false}}"#, activity(1), activity(2));
    let values = [
        Some(activity(0)),
        None,
        Some(page),
        Some(String::new()),
        Some("no record".into()),
        Some("[]".into()),
        None,
    ];
    produce(&brokers, TOPIC, 0, &values);
    run(async {
        let mut source = KafkaSource::start(&settings(&brokers, TOPIC, GROUP, "")).unwrap();
        let (mut found, mut last) = (Vec::new(), None);
        while found.len() < 4 || committed(&brokers, GROUP, TOPIC, 1) != [Some(7)] {
            let batch = next(&mut source).await;
            last = Some(batch.mark);
            commit(&mut source, &[batch.mark]).await;
            found.extend(batch.records);
        }
        assert!(last.is_some());
        let place = |at: usize| match &found[at].origin {
            Origin::Kafka { topic, partition, offset, item } => (&**topic, *partition, *offset, *item),
            other => panic!("{other}"),
        };
        assert_eq!(
            (0..4).map(place).collect::<Vec<_>>(),
            [(TOPIC, 0, 0, 0), (TOPIC, 0, 2, 0), (TOPIC, 0, 2, 1), (TOPIC, 0, 4, 0)]
        );
        assert!(found[..3].iter().all(|record| record.kind == Kind::Record));
        assert!(matches!(found[3].kind, Kind::Malformed(_)) && found[3].bytes == "no record");
        source.close().await;
    });
}

#[test]
fn what_was_not_committed_is_read_again() {
    let (_cluster, brokers) = cluster(1);
    produce(&brokers, TOPIC, 0, &activities(0..3000));
    run(async {
        let settings = settings(&brokers, TOPIC, GROUP, r#","buffer_bytes":"64KiB""#);
        let mut source = KafkaSource::start(&settings).unwrap();
        let first = next(&mut source).await;
        let second = next(&mut source).await;
        assert_eq!((first.mark.batch, second.mark.batch, second.mark.lane), (0, 1, first.mark.lane));
        commit(&mut source, &[first.mark]).await;
        let done: BTreeSet<_> = texts(&first).into_iter().collect();
        source.close().await;
        assert_eq!(committed(&brokers, GROUP, TOPIC, 1), [Some(done.len() as i64)]);
        let mut source = KafkaSource::start(&settings).unwrap();
        let (again, _) = take(&mut source, 3000 - done.len()).await;
        assert_eq!(again, &ids(0..3000) - &done);
        source.close().await;
    });
}

#[test]
fn a_refused_commit_is_said_and_can_be_made_again() {
    let (cluster, brokers) = cluster(1);
    produce(&brokers, TOPIC, 0, &activities(0..10));
    run(async {
        let mut source = KafkaSource::start(&settings(&brokers, TOPIC, GROUP, "")).unwrap();
        let (_, marks) = take(&mut source, 10).await;
        for (error, kind) in [
            (RDKafkaRespErr::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, FaultKind::Forbidden),
            (RDKafkaRespErr::RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS, FaultKind::Throttled),
        ] {
            cluster.request_errors(RDKafkaApiKey::OffsetCommit, &[error; 20]);
            assert_eq!(source.commit(&marks).await.unwrap_err().kind, kind);
            assert_eq!(committed(&brokers, GROUP, TOPIC, 1), [None]);
            cluster.clear_request_errors(RDKafkaApiKey::OffsetCommit);
        }
        commit(&mut source, &marks).await;
        assert_eq!(committed(&brokers, GROUP, TOPIC, 1), [Some(10)]);
        source.close().await;
    });
}

/// With both assignment protocols: the second member gets nothing of what the first has under way, until it is committed.
fn handing_over(strategy: &str) {
    let (_cluster, brokers) = cluster(2);
    for partition in 0..2 {
        let from = partition as u32 * 100;
        produce(&brokers, TOPIC, partition, &activities(from..from + 100));
    }
    run(async {
        let extra = format!(
            r#","revoke_timeout":"40s","librdkafka":{{"partition.assignment.strategy":"{strategy}"}}"#
        );
        let settings = settings(&brokers, TOPIC, GROUP, &extra);
        let mut first = KafkaSource::start(&settings).unwrap();
        let (seen, marks) = take(&mut first, 200).await;
        assert_eq!(seen, ids(0..200));
        let mut second = KafkaSource::start(&settings).unwrap();
        // Long enough for the second to join; it must not see what the first has not let go.
        let early = tokio::time::timeout(Duration::from_secs(6), second.next()).await;
        assert!(early.is_err(), "{early:?}");
        commit(&mut first, &marks).await;
        for partition in 0..2 {
            let from = 200 + partition as u32 * 10;
            produce(&brokers, TOPIC, partition, &activities(from..from + 10));
        }
        let (one, two) = tokio::join!(take(&mut first, 10), take(&mut second, 10));
        assert_eq!(&one.0 | &two.0, ids(200..220), "each exactly one partition, from where it was left");
        commit(&mut first, &one.1).await;
        commit(&mut second, &two.1).await;
        assert_eq!(committed(&brokers, GROUP, TOPIC, 2), [Some(110), Some(110)]);
        first.close().await;
        second.close().await;
    });
}

#[test]
fn a_partition_is_given_away_when_what_is_under_way_is_committed_eager() {
    handing_over("range");
}

#[test]
fn a_partition_is_given_away_when_what_is_under_way_is_committed_cooperative() {
    handing_over("cooperative-sticky");
}

#[test]
fn a_partition_is_given_away_in_time_and_late_marks_change_nothing() {
    let (_cluster, brokers) = cluster(2);
    for partition in 0..2 {
        let from = partition as u32 * 100;
        produce(&brokers, TOPIC, partition, &activities(from..from + 100));
    }
    run(async {
        let settings = settings(&brokers, TOPIC, GROUP, r#","revoke_timeout":"100ms""#);
        let mut stuck = KafkaSource::start(&settings).unwrap();
        let (_, marks) = take(&mut stuck, 200).await;
        let mut other = KafkaSource::start(&settings).unwrap();
        let (again, others) = take(&mut other, 100).await;
        let moved = usize::from(again == ids(100..200));
        assert!(again == ids(0..100) || again == ids(100..200), "one whole partition, from its beginning");
        commit(&mut stuck, &marks).await;
        assert!(
            stuck.transaction_offsets(&marks).is_none(),
            "a transaction with a lost partition must be aborted"
        );
        let positions = committed(&brokers, GROUP, TOPIC, 2);
        assert_eq!(
            (positions[moved], positions[1 - moved]),
            (None, Some(100)),
            "late marks pass over what has moved"
        );
        commit(&mut other, &others).await;
        assert_eq!(committed(&brokers, GROUP, TOPIC, 2), [Some(100), Some(100)]);
        stuck.close().await;
        other.close().await;
    });
}

#[test]
fn a_full_queue_holds_up_fetching_and_loses_nothing() {
    let (_cluster, brokers) = cluster(3);
    for partition in 0..3 {
        let from = partition as u32 * 4000;
        produce(&brokers, TOPIC, partition, &activities(from..from + 4000));
    }
    run(async {
        let extra = r#","buffer_bytes":"64KiB","librdkafka":{"max.poll.interval.ms":3000,"session.timeout.ms":2000,"heartbeat.interval.ms":300}"#;
        let mut source = KafkaSource::start(&settings(&brokers, TOPIC, GROUP, extra)).unwrap();
        let first = next(&mut source).await;
        // Longer than the group would keep a member that does not poll.
        tokio::time::sleep(Duration::from_secs(5)).await;
        commit(&mut source, &[first.mark]).await;
        let (mut seen, _) = take(&mut source, 12_000 - first.records.len()).await;
        seen.extend(texts(&first));
        assert_eq!(seen, ids(0..12_000), "each once: the partitions were never taken away");
        source.close().await;
    });
}

#[test]
fn dropped_waits_lose_nothing() {
    let (_cluster, brokers) = cluster(2);
    for partition in 0..2 {
        let from = partition as u32 * 2000;
        produce(&brokers, TOPIC, partition, &activities(from..from + 2000));
    }
    run(async {
        let mut source =
            KafkaSource::start(&settings(&brokers, TOPIC, GROUP, r#","buffer_bytes":"64KiB""#)).unwrap();
        let mut seen = Vec::new();
        while seen.len() < 4000 {
            tokio::select! {
                biased;
                batch = source.next() => seen.extend(texts(&batch.unwrap().unwrap())),
                () = tokio::time::sleep(Duration::from_micros(50)) => {}
            }
        }
        assert_eq!(seen.len(), 4000);
        assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), ids(0..4000));
        source.close().await;
    });
}

#[test]
fn nothing_comes_after_the_intake_is_stopped_and_commits_still_go() {
    let (_cluster, brokers) = cluster(1);
    produce(&brokers, TOPIC, 0, &activities(0..100));
    run(async {
        let mut source = KafkaSource::start(&settings(&brokers, TOPIC, GROUP, "")).unwrap();
        let (_, marks) = take(&mut source, 100).await;
        source.stop_intake();
        produce(&brokers, TOPIC, 0, &activities(100..200));
        assert!(tokio::time::timeout(Duration::from_secs(2), source.next()).await.is_err());
        commit(&mut source, &marks).await;
        source.close().await;
        assert_eq!(committed(&brokers, GROUP, TOPIC, 1), [Some(100)]);
    });
}

#[test]
fn what_is_wrong_with_a_topic_is_said() {
    for (error, kind) in [
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, FaultKind::Missing),
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, FaultKind::Forbidden),
    ] {
        let (cluster, brokers) = cluster(1);
        cluster.topic_error(TOPIC, error).unwrap();
        run(async {
            let settings = settings(&brokers, TOPIC, GROUP, "");
            let probed = probe(&settings, Duration::from_secs(20)).await.unwrap_err();
            assert_eq!(probed.kind, kind, "{probed}");
            let mut source = KafkaSource::start(&settings).unwrap();
            let fault = next_fault(&mut source).await;
            assert_eq!(fault.kind, kind, "{fault}");
            assert!(fault.remedy.contains(TOPIC), "{fault}");
            source.close().await;
        });
    }
}

#[test]
fn brokers_that_go_away_are_said_and_waited_for() {
    let (cluster, brokers) = cluster(1);
    produce(&brokers, TOPIC, 0, &activities(0..10));
    run(async {
        let mut source = KafkaSource::start(&settings(&brokers, TOPIC, GROUP, "")).unwrap();
        let (_, marks) = take(&mut source, 10).await;
        cluster.broker_down(1).unwrap();
        let fault = next_fault(&mut source).await;
        assert_eq!(fault.kind, FaultKind::Unreachable, "{fault}");
        assert!(fault.to_string().contains(&brokers), "{fault}");
        cluster.broker_up(1).unwrap();
        produce(&brokers, TOPIC, 0, &activities(10..20));
        let (seen, more) = take(&mut source, 10).await;
        assert_eq!(seen, ids(10..20));
        commit(&mut source, &[marks, more].concat()).await;
        assert_eq!(committed(&brokers, GROUP, TOPIC, 1), [Some(20)]);
        source.close().await;
    });
}

#[test]
fn nobody_listens() {
    run(async {
        // A port that was just free.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let settings = settings(&format!("127.0.0.1:{port}"), TOPIC, GROUP, "");
        let fault = probe(&settings, Duration::from_secs(2)).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Unreachable, "{fault}");
        assert!(fault.cause.contains("refused"), "{fault}");
        let mut source = KafkaSource::start(&settings).unwrap();
        assert_eq!(next_fault(&mut source).await.kind, FaultKind::Unreachable);
        source.close().await;
    });
}
