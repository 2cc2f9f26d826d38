//! Transactions against a real broker: the mock cluster shows aborted messages to readers of committed ones.

use std::time::Duration;

use model::fault::FaultKind;
use output::Outcome;
use output::kafka::TransactionalSink;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerGroupMetadata};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::kit::*;

/// A member of a group, standing for the source: its metadata is what a transaction is tied to.
struct Member {
    consumer: BaseConsumer,
    topic: String,
}

impl Member {
    async fn join(brokers: &str, group: &str) -> Self {
        let topic = unique("raw");
        create_topic(brokers, &topic, 1, &[]).await;
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("session.timeout.ms", "6000")
            .create()
            .unwrap();
        consumer.subscribe(&[&topic]).unwrap();
        while consumer.assignment().unwrap().count() == 0 {
            consumer.poll(Duration::from_millis(50));
        }
        Self { consumer, topic }
    }

    fn group(&self) -> ConsumerGroupMetadata {
        self.consumer.group_metadata().unwrap()
    }

    fn offsets(&self, offset: i64) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.topic, 0, Offset::Offset(offset)).unwrap();
        list
    }

    fn committed(&self) -> Option<i64> {
        let mut list = TopicPartitionList::new();
        list.add_partition(&self.topic, 0);
        let found = self.consumer.committed_offsets(list, LONG).unwrap();
        match found.elements()[0].offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        }
    }
}

fn transactional(brokers: &str, topic: &str, id: &str, extra: &str) -> TransactionalSink {
    let extra = format!(r#","exactly_once":true,"transactional_id":"{id}"{extra}"#);
    TransactionalSink::new(&settings(brokers, topic, &extra), "9.4.0").unwrap()
}

#[test]
fn what_is_committed_is_seen_with_its_positions_and_nothing_else() {
    let Some(brokers) = live("what_is_committed_is_seen_with_its_positions_and_nothing_else") else { return };
    let topic = unique("ecs");
    run(async {
        create_topic(&brokers, &topic, 2, &[]).await;
        let member = Member::join(&brokers, &unique("group")).await;
        let mut sink = transactional(&brokers, &topic, &unique("t"), "");

        let mut transaction = sink.begin().await.unwrap();
        assert_eq!(transaction.write(&request(0..50)).await.unwrap(), vec![Outcome::Delivered; 50]);
        assert_eq!(transaction.write(&request(50..60)).await.unwrap(), vec![Outcome::Delivered; 10]);
        assert_eq!(keys(&read(&brokers, &topic, 2)), ids([]), "not committed yet");
        transaction.commit(member.offsets(60), member.group()).await.unwrap();
        assert_eq!(sorted(keys(&read(&brokers, &topic, 2))), sorted(ids(0..60)));
        assert_eq!(member.committed(), Some(60));

        let mut aborted = sink.begin().await.unwrap();
        aborted.write(&request(100..200)).await.unwrap();
        aborted.abort().await.unwrap();
        {
            let mut dropped = sink.begin().await.unwrap();
            dropped.write(&request(200..300)).await.unwrap();
        }

        let mut last = sink.begin().await.unwrap();
        last.write(&request(60..70)).await.unwrap();
        last.commit(member.offsets(70), member.group()).await.unwrap();
        assert_eq!(sorted(keys(&read(&brokers, &topic, 2))), sorted(ids(0..70)));
        assert_eq!(member.committed(), Some(70));
        sink.close().await.unwrap();
    });
}

#[test]
fn a_process_with_the_same_id_fences_the_earlier_one_and_ends_what_it_left_open() {
    let Some(brokers) = live("a_process_with_the_same_id_fences_the_earlier_one") else { return };
    let (topic, id) = (unique("ecs"), unique("t"));
    run(async {
        create_topic(&brokers, &topic, 1, &[]).await;
        let member = Member::join(&brokers, &unique("group")).await;
        let mut earlier = transactional(&brokers, &topic, &id, "");
        let mut open = earlier.begin().await.unwrap();
        open.write(&request(0..10)).await.unwrap();

        let mut later = transactional(&brokers, &topic, &id, "");
        let mut transaction = later.begin().await.unwrap();
        transaction.write(&request(10..20)).await.unwrap();
        transaction.commit(member.offsets(20), member.group()).await.unwrap();

        let fault = open.commit(member.offsets(10), member.group()).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Taken, "{fault}");
        assert!(fault.remedy.contains(&id), "{fault}");
        assert_eq!(keys(&read(&brokers, &topic, 1)), ids(10..20));
        assert_eq!(member.committed(), Some(20));
    });
}

#[test]
fn a_member_that_was_left_behind_cannot_commit_positions() {
    let Some(brokers) = live("a_member_that_was_left_behind_cannot_commit_positions") else { return };
    let (topic, group) = (unique("ecs"), unique("group"));
    run(async {
        create_topic(&brokers, &topic, 1, &[]).await;
        let member = Member::join(&brokers, &group).await;
        let stale = member.group();
        // The group moves on: the member leaves and comes back under another generation.
        member.consumer.unsubscribe();
        while member.consumer.assignment().unwrap().count() > 0 {
            member.consumer.poll(Duration::from_millis(50));
        }
        member.consumer.subscribe(&[&member.topic]).unwrap();
        while member.consumer.assignment().unwrap().count() == 0 {
            member.consumer.poll(Duration::from_millis(50));
        }
        let mut sink = transactional(&brokers, &topic, &unique("t"), "");
        let mut transaction = sink.begin().await.unwrap();
        transaction.write(&request(0..10)).await.unwrap();
        let fault = transaction.commit(member.offsets(10), stale).await.unwrap_err();
        assert!(!fault.kind.is_final(), "{fault}");
        assert_eq!((keys(&read(&brokers, &topic, 1)), member.committed()), (ids([]), None));
        // And it goes on with the identity of now.
        let mut transaction = sink.begin().await.unwrap();
        transaction.write(&request(0..10)).await.unwrap();
        transaction.commit(member.offsets(10), member.group()).await.unwrap();
        assert_eq!((keys(&read(&brokers, &topic, 1)), member.committed()), (ids(0..10), Some(10)));
    });
}

#[test]
fn a_message_too_large_ends_alone_in_the_dead_letters() {
    let Some(brokers) = live("a_message_too_large_ends_alone_in_the_dead_letters") else { return };
    let topic = unique("small");
    run(async {
        create_topic(&brokers, &topic, 1, &[("max.message.bytes", "10000")]).await;
        let member = Member::join(&brokers, &unique("group")).await;
        let extra = r#","compression":"none","librdkafka":{"linger.ms":100}"#;
        let mut sink = transactional(&brokers, &topic, &unique("t"), extra);
        // As a pipeline does: abort, leave out what was rejected, begin again.
        let (mut left, mut rejected): (Vec<u32>, Vec<u32>) = ((0..40).collect(), Vec::new());
        for round in 0.. {
            assert!(round < 10, "{rejected:?}");
            let mut transaction = sink.begin().await.unwrap();
            let documents = left.iter().map(|n| (*n, if *n == 30 || *n == 7 { 20_000 } else { 1000 }));
            let outcomes = match transaction.write(&request_of(documents)).await {
                Ok(outcomes) => outcomes,
                Err(fault) => {
                    assert!(!fault.kind.is_final(), "{fault}");
                    transaction.abort().await.unwrap();
                    continue;
                }
            };
            if outcomes.iter().all(|outcome| *outcome == Outcome::Delivered) {
                transaction.commit(member.offsets(40), member.group()).await.unwrap();
                break;
            }
            transaction.abort().await.unwrap();
            let is_bad = |at: usize| matches!(outcomes[at], Outcome::Rejected(_));
            rejected.extend((0..left.len()).filter(|at| is_bad(*at)).map(|at| left[at]));
            left.retain(|n| !rejected.contains(n));
        }
        rejected.sort_unstable();
        assert_eq!(rejected, [7, 30]);
        assert_eq!(keys(&read(&brokers, &topic, 1)), ids((0..40).filter(|n| ![7, 30].contains(n))));
        assert_eq!(member.committed(), Some(40));
    });
}

#[test]
fn brokers_that_are_away_are_waited_for() {
    run(async {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut sink = transactional(&format!("127.0.0.1:{port}"), "ecs", "t", "");
        let fault = sink.begin().await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Unreachable, "{fault}");
        sink.close().await.unwrap();
    });
}
