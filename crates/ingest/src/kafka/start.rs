//! Where to begin in a partition for which the group has no position.
//!
//! Owns the look-up of `latest` and of a time. Must not know what comes of it.
//!
//! The one subtle thing: the answer is an offset, fixed once and committed at once. Were it left to `auto.offset.reset`,
//! a restart before the first commit would begin at a later "latest" and pass over what came in between, and a position
//! that points at deleted messages would jump to the end instead of to what is left.

use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};

use super::client::Client;
use super::config::Start;
use super::shared::Shared;

/// For one question to the brokers.
const ASK: Duration = Duration::from_secs(5);
/// For all of them; far below `max.poll.interval.ms`.
const GIVE_UP: Duration = Duration::from_secs(60);

/// Sets the offsets of those partitions of `list` that have no position, and gives these for committing. Partitions left
/// alone begin at their committed position, or at the oldest message.
pub(crate) fn decide(
    client: &Client,
    list: &mut TopicPartitionList,
    start: Start,
    shared: &Shared,
) -> TopicPartitionList {
    let mut decided = TopicPartitionList::new();
    if start == Start::Earliest || list.count() == 0 {
        return decided;
    }
    let since = Instant::now();
    loop {
        match look_up(client, list, start) {
            Ok(found) => decided = found,
            Err(error) if since.elapsed() < GIVE_UP && !shared.is_closing() => {
                tracing::debug!(%error, "the start is not known yet");
                continue;
            }
            // To read too much is harmless; to pass over something is not.
            Err(error) => {
                tracing::warn!(%error, "the start could not be looked up: beginning at the oldest message")
            }
        }
        break;
    }
    for element in decided.elements() {
        // Cannot fail: every partition of `decided` is from `list`.
        let _ = list.set_partition_offset(element.topic(), element.partition(), element.offset());
    }
    decided
}

fn look_up(client: &Client, list: &TopicPartitionList, start: Start) -> KafkaResult<TopicPartitionList> {
    let committed = client.committed_offsets(list.clone(), ASK)?;
    let mut wanted = TopicPartitionList::new();
    for element in committed.elements() {
        element.error()?;
        if !matches!(element.offset(), Offset::Offset(_)) {
            wanted.add_partition(element.topic(), element.partition());
        }
    }
    if let Start::Timestamp(time) = start
        && wanted.count() > 0
    {
        wanted.set_all_offsets(Offset::Offset(time))?;
        wanted = client.offsets_for_times(wanted, ASK)?;
    }
    let mut found = TopicPartitionList::new();
    for element in wanted.elements() {
        let offset = match (start, element.offset()) {
            (Start::Timestamp(_), Offset::Offset(offset)) => offset,
            // No message is that young yet.
            _ => client.fetch_watermarks(element.topic(), element.partition(), ASK)?.1,
        };
        found.add_partition_offset(element.topic(), element.partition(), Offset::Offset(offset))?;
    }
    Ok(found)
}
