//! The source against a real broker (`KAFKA_BROKERS`, see `tests/live/kafka.sh`).

use std::collections::BTreeMap;
use std::time::Duration;

use anthropic_ecs_ingest::Source;
use anthropic_ecs_ingest::kafka::{Found, KafkaSource, probe};
use model::fault::FaultKind;
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::kit::*;

/// Members come, work, stop and die while records keep coming. What each of them saw is all there was.
fn coming_and_going(test: &str, extra: &str) {
    let Some(brokers) = live(test) else { return };
    let (topic, group) = (unique("raw"), unique("group"));
    run(async {
        create_topic(&brokers, &topic, 6).await;
        let settings = settings(&brokers, &topic, &group, extra);
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        let mut add = |more: BTreeMap<String, usize>| {
            for (text, count) in more {
                *seen.entry(text).or_default() += count;
            }
        };
        let mut members = vec![Small::start(&settings)];
        let mut sent = 0;
        for round in 0..12u32 {
            for partition in 0..6 {
                produce(&brokers, &topic, partition, &activities(sent..sent + 200));
                sent += 200;
            }
            match round {
                1 | 3 | 5 | 8 => members.push(Small::start(&settings)),
                4 | 7 => add(members.remove(0).stop().await),
                6 | 10 => add(members.remove(0).die()),
                _ => {}
            }
            for _ in 0..15 {
                for member in &mut members {
                    member.work(4).await;
                }
            }
        }
        // The rest, until everything is committed.
        let ends = || committed(&brokers, &group, &topic, 6).into_iter().flatten().sum::<i64>();
        for _ in 0..3000 {
            for member in &mut members {
                member.work(0).await;
            }
            if ends() == i64::from(sent) {
                break;
            }
        }
        assert_eq!(ends(), i64::from(sent), "everything is committed");
        for member in members {
            add(member.stop().await);
        }
        let missing: Vec<_> = (0..sent).map(activity).filter(|text| !seen.contains_key(text)).collect();
        assert!(missing.is_empty(), "{} lost, like {:?}", missing.len(), missing.first());
        let again = seen.values().filter(|count| **count > 1).count();
        println!("{test}: {sent} records, none lost, {again} seen more than once (two members died)");
    });
}

#[test]
fn members_come_and_go_cooperative() {
    coming_and_going("members_come_and_go_cooperative", r#","librdkafka":{"session.timeout.ms":6000}"#);
}

#[test]
fn members_come_and_go_eager() {
    let extra = r#","librdkafka":{"partition.assignment.strategy":"range","session.timeout.ms":6000}"#;
    coming_and_going("members_come_and_go_eager", extra);
}

#[test]
fn members_come_and_go_assigned_by_the_broker() {
    coming_and_going(
        "members_come_and_go_assigned_by_the_broker",
        r#","librdkafka":{"group.protocol":"consumer"}"#,
    );
}

/// With both assignment protocols: the second member gets nothing of what the first has under way, until it is committed.
fn handing_over(test: &str, strategy: &str) {
    let Some(brokers) = live(test) else { return };
    let (topic, group) = (unique("raw"), unique("group"));
    run(create_topic(&brokers, &topic, 2));
    for partition in 0..2 {
        let from = partition as u32 * 100;
        produce(&brokers, &topic, partition, &activities(from..from + 100));
    }
    run(async {
        let extra = format!(
            r#","revoke_timeout":"40s","librdkafka":{{"partition.assignment.strategy":"{strategy}"}}"#
        );
        let settings = settings(&brokers, &topic, &group, &extra);
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
            produce(&brokers, &topic, partition, &activities(from..from + 10));
        }
        let (one, two) = tokio::join!(take(&mut first, 10), take(&mut second, 10));
        assert_eq!(&one.0 | &two.0, ids(200..220), "each exactly one partition, from where it was left");
        commit(&mut first, &one.1).await;
        commit(&mut second, &two.1).await;
        assert_eq!(committed(&brokers, &group, &topic, 2), [Some(110), Some(110)]);
        first.close().await;
        second.close().await;
    });
}

#[test]
fn a_partition_is_given_away_when_what_is_under_way_is_committed_eager() {
    handing_over("a_partition_is_given_away_when_what_is_under_way_is_committed_eager", "range");
}

#[test]
fn a_partition_is_given_away_when_what_is_under_way_is_committed_cooperative() {
    handing_over(
        "a_partition_is_given_away_when_what_is_under_way_is_committed_cooperative",
        "cooperative-sticky",
    );
}

#[test]
fn a_partition_is_given_away_in_time_and_late_marks_change_nothing() {
    let test = "a_partition_is_given_away_in_time_and_late_marks_change_nothing";
    let Some(brokers) = live(test) else { return };
    let (topic, group) = (unique("raw"), unique("group"));
    run(create_topic(&brokers, &topic, 2));
    for partition in 0..2 {
        let from = partition as u32 * 100;
        produce(&brokers, &topic, partition, &activities(from..from + 100));
    }
    run(async {
        let settings = settings(&brokers, &topic, &group, r#","revoke_timeout":"100ms""#);
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
        let positions = committed(&brokers, &group, &topic, 2);
        assert_eq!(
            (positions[moved], positions[1 - moved]),
            (None, Some(100)),
            "late marks pass over what has moved"
        );
        commit(&mut other, &others).await;
        assert_eq!(committed(&brokers, &group, &topic, 2), [Some(100), Some(100)]);
        stuck.close().await;
        other.close().await;
    });
}

#[test]
fn a_full_queue_holds_up_fetching_and_loses_nothing() {
    let test = "a_full_queue_holds_up_fetching_and_loses_nothing";
    let Some(brokers) = live(test) else { return };
    let (topic, group) = (unique("raw"), unique("group"));
    run(create_topic(&brokers, &topic, 3));
    for partition in 0..3 {
        let from = partition as u32 * 4000;
        produce(&brokers, &topic, partition, &activities(from..from + 4000));
    }
    run(async {
        let extra = r#","buffer_bytes":"64KiB","revoke_timeout":"1s","librdkafka":{"max.poll.interval.ms":6000,"session.timeout.ms":6000,"heartbeat.interval.ms":300}"#;
        let mut source = KafkaSource::start(&settings(&brokers, &topic, &group, extra)).unwrap();
        let first = next(&mut source).await;
        // Longer than the group would keep a member that does not poll.
        tokio::time::sleep(Duration::from_secs(9)).await;
        commit(&mut source, &[first.mark]).await;
        let (mut seen, _) = take(&mut source, 12_000 - first.records.len()).await;
        seen.extend(texts(&first));
        assert_eq!(seen, ids(0..12_000), "each once: the partitions were never taken away");
        source.close().await;
    });
}

#[test]
fn a_member_that_leaves_in_peace_causes_no_repetition() {
    let Some(brokers) = live("a_member_that_leaves_in_peace_causes_no_repetition") else { return };
    let (topic, group) = (unique("raw"), unique("group"));
    run(async {
        create_topic(&brokers, &topic, 2).await;
        let settings = settings(&brokers, &topic, &group, "");
        for partition in 0..2 {
            produce(
                &brokers,
                &topic,
                partition,
                &activities(partition as u32 * 3000..(partition as u32 + 1) * 3000),
            );
        }
        let mut all: BTreeMap<String, usize> = BTreeMap::new();
        let mut first = Small::start(&settings);
        for _ in 0..5 {
            first.work(2).await;
        }
        all.extend(first.stop().await);
        let mut second = Small::start(&settings);
        while committed(&brokers, &group, &topic, 2) != [Some(3000), Some(3000)] {
            second.work(2).await;
        }
        for (text, count) in second.stop().await {
            *all.entry(text).or_default() += count;
        }
        assert_eq!(all.len(), 6000);
        assert!(all.values().all(|count| *count == 1));
    });
}

#[test]
fn a_static_member_comes_back_to_its_partitions() {
    let Some(brokers) = live("a_static_member_comes_back_to_its_partitions") else { return };
    let (topic, group) = (unique("raw"), unique("group"));
    run(async {
        create_topic(&brokers, &topic, 1).await;
        produce(&brokers, &topic, 0, &activities(0..10));
        let member = settings(&brokers, &topic, &group, r#","group_instance_id":"one""#);
        let mut source = KafkaSource::start(&member).unwrap();
        let (_, marks) = take(&mut source, 10).await;
        commit(&mut source, &marks).await;
        source.close().await;
        produce(&brokers, &topic, 0, &activities(10..20));
        let mut again = KafkaSource::start(&member).unwrap();
        let (seen, _) = take(&mut again, 10).await;
        assert_eq!(seen, (10..20).map(activity).collect());
        // Somebody else by that name: the earlier member is told, for good.
        let usurper = KafkaSource::start(&member).unwrap();
        let fault = next_fault(&mut again).await;
        assert_eq!(fault.kind, FaultKind::Taken, "{fault}");
        assert!(fault.remedy.contains("group_instance_id"), "{fault}");
        again.close().await;
        usurper.close().await;
    });
}

#[test]
fn the_start_is_decided_once() {
    let Some(brokers) = live("the_start_is_decided_once") else { return };
    let topic = unique("raw");
    run(async {
        create_topic(&brokers, &topic, 1).await;
        produce(&brokers, &topic, 0, &activities(0..50));
        let group = unique("latest");
        let latest = settings(&brokers, &topic, &group, r#","start":"latest""#);
        let source = KafkaSource::start(&latest).unwrap();
        until("the start is committed", || committed(&brokers, &group, &topic, 1) == [Some(50)]);
        source.close().await;
        // What comes while nobody is there is not passed over.
        produce(&brokers, &topic, 0, &activities(50..60));
        let mut source = KafkaSource::start(&latest).unwrap();
        let (seen, _) = take(&mut source, 10).await;
        assert_eq!(seen, (50..60).map(activity).collect());
        source.close().await;
    });
}

#[test]
fn the_start_may_be_a_time() {
    let Some(brokers) = live("the_start_may_be_a_time") else { return };
    let topic = unique("raw");
    run(async {
        create_topic(&brokers, &topic, 2).await;
        let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", &brokers).create().unwrap();
        let time = chrono::DateTime::parse_from_rfc3339("2026-01-31T00:00:00Z").unwrap().timestamp_millis();
        for n in 0..20u32 {
            let (text, at) = (activity(n), time + (i64::from(n) - 10) * 1000);
            producer
                .send(BaseRecord::<str, str>::to(&topic).partition(0).payload(&text).timestamp(at))
                .unwrap();
        }
        let old = activity(99);
        producer
            .send(BaseRecord::<str, str>::to(&topic).partition(1).payload(&old).timestamp(time - 1))
            .unwrap();
        producer.flush(LONG).unwrap();
        let group = unique("time");
        let settings = settings(&brokers, &topic, &group, r#","start":"2026-01-31T01:00:00+01:00""#);
        let mut source = KafkaSource::start(&settings).unwrap();
        let (seen, marks) = take(&mut source, 10).await;
        assert_eq!(seen, (10..20).map(activity).collect());
        commit(&mut source, &marks).await;
        assert_eq!(
            committed(&brokers, &group, &topic, 2),
            [Some(20), Some(1)],
            "nothing that young: the end"
        );
        source.close().await;
    });
}

#[test]
fn aborted_messages_do_not_come() {
    let Some(brokers) = live("aborted_messages_do_not_come") else { return };
    let topic = unique("raw");
    run(async {
        create_topic(&brokers, &topic, 1).await;
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", &brokers)
            .set("transactional.id", unique("t"))
            .create()
            .unwrap();
        producer.init_transactions(LONG).unwrap();
        for n in 0..6 {
            producer.begin_transaction().unwrap();
            let text = activity(n);
            producer.send(BaseRecord::<str, str>::to(&topic).payload(&text)).unwrap();
            if n % 2 == 0 {
                producer.commit_transaction(LONG)
            } else {
                producer.flush(LONG).and_then(|()| producer.abort_transaction(LONG))
            }
            .unwrap();
        }
        let mut source = KafkaSource::start(&settings(&brokers, &topic, &unique("g"), "")).unwrap();
        let (seen, _) = take(&mut source, 3).await;
        assert_eq!(seen, [0, 2, 4].map(activity).into());
        assert!(tokio::time::timeout(Duration::from_secs(1), source.next()).await.is_err());
        source.close().await;
    });
}

#[test]
fn positions_go_with_a_transaction() {
    let Some(brokers) = live("positions_go_with_a_transaction") else { return };
    let (topic, group) = (unique("raw"), unique("group"));
    run(async {
        create_topic(&brokers, &topic, 1).await;
        produce(&brokers, &topic, 0, &activities(0..10));
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", &brokers)
            .set("transactional.id", unique("t"))
            .create()
            .unwrap();
        producer.init_transactions(LONG).unwrap();
        let mut source = KafkaSource::start(&settings(&brokers, &topic, &group, "")).unwrap();
        let (_, marks) = take(&mut source, 10).await;
        for commit in [false, true] {
            producer.begin_transaction().unwrap();
            let (offsets, member) = source.transaction_offsets(&marks).unwrap();
            producer.send_offsets_to_transaction(&offsets, &member, LONG).unwrap();
            if commit {
                producer.commit_transaction(LONG).unwrap();
                source.transaction_committed(&marks);
            } else {
                producer.abort_transaction(LONG).unwrap();
            }
            assert_eq!(committed(&brokers, &group, &topic, 1), [commit.then_some(10)]);
        }
        assert_eq!(source.transaction_offsets(&marks).unwrap().0.count(), 0, "nothing is left to commit");
        source.close().await;
    });
}

#[test]
fn a_probe_tells_what_is_there_and_what_is_not() {
    let Some(brokers) = live("a_probe_tells_what_is_there_and_what_is_not") else { return };
    let (topic, group) = (unique("raw"), unique("group"));
    run(async {
        create_topic(&brokers, &topic, 3).await;
        let found = probe(&settings(&brokers, &topic, &group, ""), LONG).await.unwrap();
        assert_eq!(found, Found { brokers: 1, topics: vec![(topic.clone(), 3)], positions: 0 });
        let missing = settings(&brokers, "not-there", &group, "");
        let fault = probe(&missing, LONG).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Missing, "{fault}");
        let mut source = KafkaSource::start(&missing).unwrap();
        assert_eq!(next_fault(&mut source).await.kind, FaultKind::Missing);
        source.close().await;
        // TLS asked for where there is none.
        let tls = settings(&brokers, &topic, &group, r#","tls":true"#);
        let fault = probe(&tls, Duration::from_secs(5)).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Unauthenticated, "{fault}");
        assert!(fault.remedy.contains("TLS"), "{fault}");
    });
}

#[test]
fn a_topic_that_comes_to_be_is_noticed() {
    let Some(brokers) = live("a_topic_that_comes_to_be_is_noticed") else { return };
    let topic = unique("raw");
    run(async {
        let mut source = KafkaSource::start(&settings(&brokers, &topic, &unique("group"), "")).unwrap();
        assert_eq!(next_fault(&mut source).await.kind, FaultKind::Missing);
        create_topic(&brokers, &topic, 1).await;
        produce(&brokers, &topic, 0, &activities(0..10));
        assert_eq!(take(&mut source, 10).await.0, ids(0..10));
        source.close().await;
    });
}

#[test]
fn sasl_lets_in_who_may() {
    let test = "sasl_lets_in_who_may";
    let (Some(plain), Some(sasl)) = (live(test), live_at(test, "KAFKA_SASL_BROKERS")) else { return };
    let (topic, group) = (unique("raw"), unique("group"));
    let user = |name: &str, password: &str, mechanism: &str| {
        format!(r#","sasl_mechanism":"{mechanism}","sasl_username":"{name}","sasl_password":"{password}""#)
    };
    run(async {
        create_topic(&plain, &topic, 1).await;
        produce(&plain, &topic, 0, &activities(0..10));
        for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
            let may = settings(&sasl, &topic, &unique("group"), &user("ecs", "ecs-secret", mechanism));
            probe(&may, LONG).await.unwrap();
            let mut source = KafkaSource::start(&may).unwrap();
            assert_eq!(take(&mut source, 10).await.0.len(), 10, "{mechanism}");
            source.close().await;
            let wrong = settings(&sasl, &topic, &group, &user("ecs", "wrong-secret", mechanism));
            let fault = probe(&wrong, LONG).await.unwrap_err();
            assert_eq!(fault.kind, FaultKind::Unauthenticated, "{fault}");
            assert!(!fault.to_string().contains("wrong-secret"), "{fault}");
        }
        let nobody = settings(&sasl, &topic, &group, &user("nobody", "ecs-secret", "SCRAM-SHA-512"));
        let fault = probe(&nobody, LONG).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Forbidden, "{fault}");
        let wrong = settings(&sasl, &topic, &group, &user("ecs", "wrong-secret", "SCRAM-SHA-512"));
        let mut source = KafkaSource::start(&wrong).unwrap();
        assert_eq!(next_fault(&mut source).await.kind, FaultKind::Unauthenticated);
        source.close().await;
    });
}

#[test]
fn tls_is_verified() {
    let test = "tls_is_verified";
    let (Some(plain), Some(tls), Some(ca)) =
        (live(test), live_at(test, "KAFKA_TLS_BROKERS"), live_at(test, "KAFKA_CA_FILE"))
    else {
        return;
    };
    let (topic, group) = (unique("raw"), unique("group"));
    run(async {
        create_topic(&plain, &topic, 1).await;
        produce(&plain, &topic, 0, &activities(0..10));
        let trusted = settings(&tls, &topic, &group, &format!(r#","ca_file":"{ca}""#));
        probe(&trusted, LONG).await.unwrap();
        let mut source = KafkaSource::start(&trusted).unwrap();
        assert_eq!(take(&mut source, 10).await.0.len(), 10);
        source.close().await;
        let fault = probe(&settings(&tls, &topic, &group, r#","tls":true"#), LONG).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Unauthenticated, "an unknown certificate: {fault}");
        assert!(fault.remedy.contains("ca_file"), "{fault}");
    });
}
