//! What the log says of a broker that is away; the rest is tried against brokers, in `tests/kafka`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::kafka::Config;

/// Counts the lines of the log.
#[derive(Clone, Default)]
struct Lines(Arc<AtomicU64>);

impl tracing::Subscriber for Lines {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target().ends_with("transactional")
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, _: &tracing::Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_stays_away_makes_few_lines() {
    let config = serde_json::json!({
        "brokers": "127.0.0.1:1", "topic": "t", "exactly_once": true, "transactional_id": "t",
    });
    let settings = serde_json::from_value::<Config>(config).unwrap().settings().unwrap();
    let mut sink = TransactionalSink::new(&settings, "9").unwrap();
    let handle = sink.handle().unwrap();
    let lines = Lines::default();
    // While there is only one subscriber, another test may have it noted that nobody wants to hear of a place in the code.
    let _other = tracing::Dispatch::new(Lines::default());
    let _here = tracing::subscriber::set_default(lines.clone());
    // Ten attempts, one after the other, each given up after half a minute: at once, then after one minute, and three.
    for _ in 0..10 {
        let away = |_: &Handle| Err(KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut));
        let called = sink.call(&handle, GIVE_UP, away).await;
        assert!(matches!(called, Err(Verdict::Again(_))));
    }
    assert_eq!(lines.0.load(Ordering::Relaxed), 3);
}
