//! The sink against a real broker (`KAFKA_BROKERS`, see `tests/live/kafka.sh`).

use std::collections::BTreeSet;

use model::fault::FaultKind;
use output::kafka::{Found, probe};
use output::{Outcome, Sink};

use crate::kit::*;

#[test]
fn every_compression_arrives() {
    let Some(brokers) = live("every_compression_arrives") else { return };
    run(async {
        for compression in ["none", "lz4", "zstd", "gzip", "snappy"] {
            let topic = unique(compression);
            create_topic(&brokers, &topic, 3, &[]).await;
            let sink = sink(&brokers, &topic, &format!(r#","compression":"{compression}""#));
            assert_eq!(sink.write(&request(0..500)).await.unwrap(), vec![Outcome::Delivered; 500]);
            sink.close().await.unwrap();
            let found = read(&brokers, &topic, 3);
            assert_eq!(sorted(keys(&found)), sorted(ids(0..500)), "{compression}");
            assert_eq!(found.iter().map(|message| message.partition).collect::<BTreeSet<_>>().len(), 3);
        }
    });
}

#[test]
fn several_requests_at_a_time_arrive_once() {
    let Some(brokers) = live("several_requests_at_a_time_arrive_once") else { return };
    let topic = unique("ecs");
    run(async {
        create_topic(&brokers, &topic, 2, &[]).await;
        let sink = sink(&brokers, &topic, "");
        let requests = [0, 1, 2, 3].map(|n| request(n * 2000..(n + 1) * 2000));
        let (a, b, c, d) = tokio::join!(
            sink.write(&requests[0]),
            sink.write(&requests[1]),
            sink.write(&requests[2]),
            sink.write(&requests[3])
        );
        for written in [a, b, c, d] {
            assert_eq!(written.unwrap(), vec![Outcome::Delivered; 2000]);
        }
        assert_eq!(sorted(keys(&read(&brokers, &topic, 2))), sorted(ids(0..8000)));
    });
}

#[test]
fn a_message_too_large_for_the_topic_takes_no_other_with_it() {
    let Some(brokers) = live("a_message_too_large_for_the_topic_takes_no_other_with_it") else { return };
    let topic = unique("small");
    run(async {
        create_topic(&brokers, &topic, 1, &[("max.message.bytes", "10000")]).await;
        let sink = sink(&brokers, &topic, r#","compression":"none","librdkafka":{"linger.ms":200}"#);
        let documents = (0..60).map(|n| (n, if n == 30 { 20_000 } else { 1000 }));
        let outcomes = sink.write(&request_of(documents)).await.unwrap();
        for (n, outcome) in outcomes.iter().enumerate() {
            match outcome {
                Outcome::Rejected(rejection) if n == 30 => assert_eq!(rejection.reason, "message_too_large"),
                other => assert!(n != 30 && *other == Outcome::Delivered, "{n}: {other:?}"),
            }
        }
        assert_eq!(sorted(keys(&read(&brokers, &topic, 1))), sorted(ids((0..60).filter(|n| *n != 30))));
    });
}

#[test]
fn a_probe_tells_what_is_there_and_creates_nothing() {
    let Some(brokers) = live("a_probe_tells_what_is_there_and_creates_nothing") else { return };
    let topic = unique("ecs");
    run(async {
        let settings = settings(&brokers, &topic, r#","exactly_once":true"#);
        for _ in 0..2 {
            let fault = probe(&settings, LONG).await.unwrap_err();
            assert_eq!(fault.kind, FaultKind::Missing, "{fault}");
            assert!(fault.remedy.contains(&topic), "{fault}");
        }
        create_topic(&brokers, &topic, 4, &[]).await;
        assert_eq!(probe(&settings, LONG).await.unwrap(), Found { brokers: 1, partitions: 4 });
    });
}

#[test]
fn sasl_lets_in_who_may() {
    let test = "sasl_lets_in_who_may";
    let (Some(plain), Some(sasl)) = (live(test), live_at(test, "KAFKA_SASL_BROKERS")) else { return };
    let topic = unique("ecs");
    let user = |name: &str, password: &str, rest: &str| {
        format!(r#","sasl_username":"{name}","sasl_password":"{password}"{rest}"#)
    };
    run(async {
        create_topic(&plain, &topic, 1, &[]).await;
        deliver(&sink(&sasl, &topic, &user("ecs", "ecs-secret", "")), &request(0..10)).await;
        assert_eq!(keys(&read(&plain, &topic, 1)), ids(0..10));
        let soon = r#","librdkafka":{"message.timeout.ms":3000}"#;
        for (name, password, kind) in [
            ("ecs", "wrong-secret", FaultKind::Unauthenticated),
            ("nobody", "ecs-secret", FaultKind::Forbidden),
        ] {
            let extra = user(name, password, soon);
            let fault = sink(&sasl, &topic, &extra).write(&request(0..3)).await.unwrap_err();
            assert_eq!(fault.kind, kind, "{fault}");
            assert!(!fault.to_string().contains("secret"), "{fault}");
            let fault = probe(&settings(&sasl, &topic, &extra), LONG).await.unwrap_err();
            assert_eq!(fault.kind, kind, "{fault}");
        }
    });
}

#[test]
fn tls_is_verified() {
    let test = "tls_is_verified";
    let (plain, tls, ca) = (live(test), live_at(test, "KAFKA_TLS_BROKERS"), live_at(test, "KAFKA_CA_FILE"));
    let (Some(plain), Some(tls), Some(ca)) = (plain, tls, ca) else { return };
    let topic = unique("ecs");
    run(async {
        create_topic(&plain, &topic, 1, &[]).await;
        deliver(&sink(&tls, &topic, &format!(r#","ca_file":"{ca}""#)), &request(0..10)).await;
        assert_eq!(keys(&read(&plain, &topic, 1)), ids(0..10));
        let untrusting = sink(&tls, &topic, r#","tls":true,"librdkafka":{"message.timeout.ms":3000}"#);
        let fault = untrusting.write(&request(0..3)).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Unauthenticated, "{fault}");
    });
}
