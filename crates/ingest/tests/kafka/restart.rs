//! The source while its only broker goes away and comes back.

use anthropic_ecs_ingest::Source;
use anthropic_ecs_ingest::kafka::KafkaSource;
use model::fault::FaultKind;

use crate::kit::*;

#[test]
fn a_broker_that_restarts_costs_time_and_no_records() {
    let Some(broker) = Broker::start("a_broker_that_restarts_costs_time_and_no_records") else { return };
    let (topic, group) = (unique("raw"), unique("group"));
    run(async {
        create_topic(&broker.brokers, &topic, 2).await;
        for partition in 0..2 {
            let from = partition as u32 * 100;
            produce(&broker.brokers, &topic, partition, &activities(from..from + 100));
        }
        let settings =
            settings(&broker.brokers, &topic, &group, r#","librdkafka":{"session.timeout.ms":6000}"#);
        let mut source = KafkaSource::start(&settings).unwrap();
        let (mut seen, marks) = take(&mut source, 200).await;
        broker.tell("stop");
        assert_eq!(next_fault(&mut source).await.kind, FaultKind::Unreachable);
        // Made while nobody is there, through when somebody is.
        let restart = tokio::task::spawn_blocking(move || {
            broker.tell("start");
            broker
        });
        let fault = source.commit(&marks).await.err();
        let broker = restart.await.unwrap();
        if let Some(fault) = fault {
            assert!(!fault.kind.is_final(), "{fault}");
        }
        for partition in 0..2 {
            let from = 200 + partition as u32 * 100;
            produce(&broker.brokers, &topic, partition, &activities(from..from + 100));
        }
        // The lanes may be others now; what was not committed comes again.
        while committed(&broker.brokers, &group, &topic, 2) != [Some(200), Some(200)] || seen.len() < 400 {
            let batch = next(&mut source).await;
            seen.extend(texts(&batch));
            let all: Vec<_> = marks.iter().copied().chain([batch.mark]).collect();
            commit(&mut source, &all).await;
        }
        assert_eq!(seen, ids(0..400));
        source.close().await;
        drop(broker);
    });
}
