//! Faults and order of events on librdkafka's mock cluster.

use std::collections::BTreeSet;
use std::time::Duration;

use anthropic_ecs_ingest::file::Kind;
use anthropic_ecs_ingest::kafka::{KafkaSource, Settings, probe};
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

/// The mock cluster waits for members nearly as long as a session may last.
fn member(brokers: &str, extra: &str) -> Settings {
    settings(brokers, TOPIC, GROUP, &format!(r#","librdkafka":{{"session.timeout.ms":3000}}{extra}"#))
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
        let mut source = KafkaSource::start(&member(&brokers, "")).unwrap();
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
        let settings = member(&brokers, r#","buffer_bytes":"64KiB""#);
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
        let mut source = KafkaSource::start(&member(&brokers, "")).unwrap();
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

#[test]
fn members_share_the_partitions() {
    let (_cluster, brokers) = cluster(2);
    run(async {
        let settings = member(&brokers, "");
        let (mut first, mut second) = (Small::start(&settings), Small::start(&settings));
        let mut sent = 0;
        while first.seen.is_empty() || second.seen.is_empty() {
            for partition in 0..2 {
                produce(&brokers, TOPIC, partition, &activities(sent..sent + 10));
                sent += 10;
            }
            for _ in 0..5 {
                first.work(1).await;
                second.work(1).await;
            }
        }
        let all = || committed(&brokers, GROUP, TOPIC, 2).into_iter().flatten().sum::<i64>();
        while all() < i64::from(sent) {
            first.work(0).await;
            second.work(0).await;
        }
        let (first, second) = (first.stop().await, second.stop().await);
        let seen: BTreeSet<_> = first.into_keys().chain(second.into_keys()).collect();
        assert_eq!(seen, ids(0..sent));
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
        let mut source = KafkaSource::start(&member(&brokers, r#","buffer_bytes":"64KiB""#)).unwrap();
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
        let mut source = KafkaSource::start(&member(&brokers, "")).unwrap();
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
            let settings = member(&brokers, "");
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
        let mut source = KafkaSource::start(&member(&brokers, "")).unwrap();
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

#[test]
fn the_lag_is_what_was_not_committed() {
    let (_cluster, brokers) = cluster(1);
    produce(&brokers, TOPIC, 0, &activities(0..300));
    run(async {
        let often = r#","librdkafka":{"session.timeout.ms":3000,"statistics.interval.ms":50}"#;
        let mut source = KafkaSource::start(&settings(&brokers, TOPIC, GROUP, often)).unwrap();
        let lags = source.lags();
        let messages = || lags.get().iter().map(|lag| lag.messages).collect::<Vec<_>>();
        let mut left = 300;
        while left > 0 {
            let batch = next(&mut source).await;
            left -= batch.records.len() as u64;
            commit(&mut source, &[batch.mark]).await;
            until("the lag is told", || messages() == [left]);
        }
        source.close().await;
    });
}
