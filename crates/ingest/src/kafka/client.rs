//! What librdkafka calls back: rebalances, errors, log lines.
//!
//! Owns the order of things when partitions come and go. Must not know batches or records.
//!
//! The one subtle thing: a rebalance callback runs inside `poll`, on the consumer thread, and the group waits for it. When
//! partitions are taken away it holds them until what was handed out has been committed (commits go on meanwhile, they are
//! made elsewhere), but never longer than it is told.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, TopicPartitionList};

use super::config::Start;
use super::lag;
use super::offsets::Partition;
use super::shared::Shared;
use super::start;

pub(crate) type Client = BaseConsumer<Context>;

pub(crate) struct Context {
    pub(crate) shared: Arc<Shared>,
    pub(crate) start: Start,
    pub(crate) revoke_timeout: Duration,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let Some(code) = error.rdkafka_error_code() else { return };
        tracing::debug!(target: "librdkafka", ?code, reason, "error reported");
        self.shared.trouble(code as i32, reason);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.shared.statistics(lag::ends(statistics));
    }
}

/// librdkafka writes a line for every broken connection and every attempt to mend it; what of it matters becomes a fault.
pub(crate) fn log(level: RDKafkaLogLevel, facility: &str, line: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
            tracing::error!(target: "librdkafka", facility, "{line}");
        }
        _ => tracing::debug!(target: "librdkafka", facility, "{line}"),
    }
}

impl ConsumerContext for Context {
    fn rebalance(&self, client: &Client, event: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let cooperative = matches!(client.rebalance_protocol(), RebalanceProtocol::Cooperative);
        let done = if event == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            self.assign(client, list, cooperative)
        } else {
            self.revoke(client, list, cooperative)
        };
        if let Err(error) = done {
            // The group moved on meanwhile; librdkafka joins again by itself.
            tracing::warn!(%error, "the rebalance was overtaken by another");
        }
    }

    fn commit_callback(&self, result: Result<(), KafkaError>, _: &TopicPartitionList) {
        if let Err(error) = result
            && error.rdkafka_error_code() != Some(RDKafkaErrorCode::NoOffset)
        {
            tracing::debug!(%error, "commit refused");
        }
    }
}

impl Context {
    fn assign(
        &self,
        client: &Client,
        list: &mut TopicPartitionList,
        cooperative: bool,
    ) -> Result<(), KafkaError> {
        let decided = start::decide(client, list, self.start, &self.shared);
        let partitions = partitions(list);
        tracing::info!(partitions = %names(&partitions), "partitions assigned");
        self.shared.assigned(partitions);
        if cooperative {
            client.incremental_assign(list)?;
        } else {
            client.assign(list)?;
        }
        if self.shared.is_paused() {
            client.pause(list)?;
        }
        if decided.count() > 0 {
            client.commit(&decided, CommitMode::Sync)?;
        }
        Ok(())
    }

    fn revoke(
        &self,
        client: &Client,
        list: &TopicPartitionList,
        cooperative: bool,
    ) -> Result<(), KafkaError> {
        let partitions = partitions(list);
        // What was lost has another owner already: commits would be refused.
        let lost = client.assignment_lost();
        let patience = if lost { Duration::ZERO } else { self.revoke_timeout };
        let unfinished = self.shared.give_away(&partitions, patience);
        tracing::info!(partitions = %names(&partitions), lost, unfinished, "partitions revoked");
        if cooperative { client.incremental_unassign(list) } else { client.unassign() }
    }
}

pub(crate) fn partitions(list: &TopicPartitionList) -> Vec<Partition> {
    let partition = |(topic, number): (String, i32)| Partition { topic: topic.into(), number };
    let mut found: Vec<_> = list.to_topic_map().into_keys().map(partition).collect();
    found.sort();
    found
}

/// For the log: `raw[0, 3], other[1]`.
fn names(partitions: &[Partition]) -> String {
    let topics = partitions.chunk_by(|one, other| one.topic == other.topic);
    let name = |of: &[Partition]| {
        let numbers: Vec<_> = of.iter().map(|partition| partition.number.to_string()).collect();
        format!("{}[{}]", of.first().map_or("", |partition| &partition.topic), numbers.join(", "))
    };
    topics.map(name).collect::<Vec<_>>().join(", ")
}
