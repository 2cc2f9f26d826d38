//! The Kafka sinks against librdkafka's mock cluster (faults) and, where `KAFKA_BROKERS` names one, a real broker.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, missing_docs)]

mod kit;
mod live;
mod mock;
mod restart;
mod transactions;
