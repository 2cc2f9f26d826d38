//! The sinks while their only broker goes away and comes back.

use output::kafka::TransactionalSink;
use output::{Outcome, Sink};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::kit::*;

#[test]
fn a_broker_that_restarts_loses_and_doubles_nothing() {
    let Some(broker) = Broker::start("a_broker_that_restarts_loses_and_doubles_nothing") else { return };
    let brokers = broker.brokers.clone();
    run(async {
        create_topic(&brokers, "plain", 2, &[]).await;
        create_topic(&brokers, "exact", 2, &[]).await;
        let plain = sink(&brokers, "plain", "");
        let extra = r#","exactly_once":true,"transactional_id":"t""#;
        let mut exact = TransactionalSink::new(&settings(&brokers, "exact", extra), "9.4.0").unwrap();
        // Positions are another test's business; a group that has no members goes along with any transaction.
        let member: BaseConsumer = rdkafka::ClientConfig::new()
            .set("bootstrap.servers", &brokers)
            .set("group.id", "group")
            .create()
            .unwrap();
        let mut restart = None;
        let mut aborted = 0;
        let mut waiting = Some(broker);
        for n in 0..40u32 {
            if n == 10 {
                let broker = waiting.take().unwrap();
                restart = Some(tokio::task::spawn_blocking(move || {
                    broker.tell("restart");
                    broker
                }));
            }
            let request = request(n * 50..(n + 1) * 50);
            deliver(&plain, &request).await;
            loop {
                let mut transaction = match exact.begin().await {
                    Ok(transaction) => transaction,
                    Err(fault) => {
                        assert!(!fault.kind.is_final(), "{fault}");
                        continue;
                    }
                };
                let written = transaction.write(&request).await;
                let whole = written.is_ok_and(|all| all.iter().all(|one| *one == Outcome::Delivered));
                let group = member.group_metadata().unwrap();
                let ended = if whole {
                    transaction.commit(TopicPartitionList::new(), group).await
                } else {
                    transaction.abort().await.and(Err(model::fault::Fault::new(
                        model::fault::FaultKind::Unreachable,
                        "aborted",
                        "",
                    )))
                };
                match ended {
                    Ok(()) => break,
                    Err(fault) => assert!(!fault.kind.is_final(), "{fault}"),
                }
                aborted += 1;
            }
        }
        let broker = restart.unwrap().await.unwrap();
        println!("{aborted} transactions were aborted and made again");
        assert_eq!(sorted(keys(&read(&brokers, "plain", 2))), sorted(ids(0..2000)));
        assert_eq!(sorted(keys(&read(&brokers, "exact", 2))), sorted(ids(0..2000)));
        plain.close().await.unwrap();
        exact.close().await.unwrap();
        drop(broker);
    });
}
