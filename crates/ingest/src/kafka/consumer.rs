//! The source: a consumer group member on a thread of its own, and the async side that takes batches and commits.
//!
//! Owns the poll loop and how messages become batches. Must not know what records mean, nor decide what is committed.
//!
//! The one subtle thing: when the queue is full the thread first just does not poll, because pausing throws away what was
//! fetched ahead; only when that lasts are partitions paused, so that polling can go on and the group keeps us.
//!
//! Commits are synchronous: [`Source::commit`] returns when the broker has the positions. They are made on a blocking
//! thread, so they go on while the consumer thread holds a rebalance until they are through.

use std::ops::Range;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use model::fault::{Fault, FaultKind};
use rdkafka::consumer::{CommitMode, Consumer, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message, Offset, TopicPartitionList};
use tokio::sync::oneshot;

use super::client::{Client, Context};
use super::config::{Settings, refusal};
use super::lag::Lags;
use super::offsets::{Partition, Position};
use super::shared::Shared;
use super::split::split;
use crate::file::Kind;
use crate::{Batch, Lane, Mark, Origin, RawRecord, Source};

/// A batch is closed when it holds this much, or when nothing more is there.
const BATCH_BYTES: usize = 512 * 1024;
const BATCH_RECORDS: usize = 1024;
/// How long the queue may be full before partitions are paused.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long one poll waits; also how soon the thread notices that it is to end or to resume.
const POLL: Duration = Duration::from_millis(100);
/// How long [`Source::close`] waits for the group to be left.
const LEAVE: Duration = Duration::from_secs(10);

/// Positions, and who we are in the group: what a transaction contains beside documents.
pub type TransactionOffsets = (TopicPartitionList, ConsumerGroupMetadata);

/// A member of a consumer group.
pub struct KafkaSource {
    shared: Arc<Shared>,
    /// The thread has the client, so that it is the thread that leaves the group, which takes its time.
    client: Weak<Client>,
    ended: oneshot::Receiver<()>,
}

impl std::fmt::Debug for KafkaSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaSource").finish_non_exhaustive()
    }
}

impl KafkaSource {
    /// Begins to join the group. Brokers that are away are no error; [`Source::next`] tells about them.
    ///
    /// # Errors
    ///
    /// [`FaultKind::Unusable`] when librdkafka refuses the configuration: a certificate that cannot be read, a bad topic.
    pub fn start(settings: &Settings) -> Result<Self, Fault> {
        let unusable = |error: KafkaError| {
            Fault::new(
                FaultKind::Unusable,
                format!("[source] {}", refusal(&error)),
                "correct the configuration",
            )
        };
        let shared = Arc::new(Shared::new(settings.buffer_bytes, settings.about.clone()));
        let context = Context {
            shared: Arc::clone(&shared),
            start: settings.start,
            revoke_timeout: settings.revoke_timeout,
        };
        let client: Client = settings.client.create_with_context(context).map_err(unusable)?;
        let topics: Vec<&str> = settings.topics.iter().map(String::as_str).collect();
        client.subscribe(&topics).map_err(unusable)?;
        let client = Arc::new(client);
        let (ending, ended) = oneshot::channel();
        let source = Self { shared: Arc::clone(&shared), client: Arc::downgrade(&client), ended };
        let spawned = thread::Builder::new().name("kafka-source".into()).spawn(move || {
            Loop { client: &client, shared: &shared, open: Vec::new(), generation: 0 }.run();
            // Leaves the group, unless a commit still holds the client; then that does.
            drop(client);
            let _ = ending.send(());
        });
        spawned.map_err(|error| Fault::new(FaultKind::Unusable, format!("no thread: {error}"), ""))?;
        Ok(source)
    }

    /// How far the group is behind, to be looked at while the source is at work.
    #[must_use]
    pub fn lags(&self) -> Lags {
        Lags(Arc::clone(&self.shared))
    }

    /// What a transaction must contain for these batches to be committed with it: the positions and who we are in the group.
    /// `None` when a partition of them is ours no longer: then the transaction must be aborted and the batches dropped,
    /// because whoever has the partition now delivers them.
    #[must_use]
    pub fn transaction_offsets(&self, marks: &[Mark]) -> Option<TransactionOffsets> {
        let client = self.client.upgrade()?;
        // Under the lock: a partition cannot go, and the group's generation not move on, between the two.
        let inner = self.shared.lock();
        if !inner.lanes.all_ours(marks) {
            return None;
        }
        Some((list(&inner.lanes.positions(marks)), client.group_metadata()?))
    }

    /// Whether the partition of a batch is still ours.
    #[must_use]
    pub fn holds(&self, mark: Mark) -> bool {
        self.shared.lock().lanes.all_ours(&[mark])
    }

    /// The transaction with these positions was committed; [`Source::commit`] is not to be called for them.
    pub fn transaction_committed(&mut self, marks: &[Mark]) {
        let positions = self.shared.lock().lanes.positions(marks);
        self.shared.committed(positions.into_iter().map(|position| position.mark));
    }
}

impl Source for KafkaSource {
    async fn next(&mut self) -> Result<Option<Batch>, Fault> {
        self.shared.next().await.map(Some)
    }

    async fn commit(&mut self, marks: &[Mark]) -> Result<(), Fault> {
        let positions = self.shared.lock().lanes.positions(marks);
        if positions.is_empty() {
            return Ok(());
        }
        let Some(client) = self.client.upgrade() else {
            return Err(Fault::new(FaultKind::Unusable, "the consumer thread has ended", "start again"));
        };
        let shared = Arc::clone(&self.shared);
        // What the broker has taken is noted in there, so that it is noted even when nobody waits for the answer.
        let committed = tokio::task::spawn_blocking(move || {
            client.commit(&list(&positions), CommitMode::Sync)?;
            shared.committed(positions.into_iter().map(|position| position.mark));
            Ok::<_, KafkaError>(())
        });
        match committed.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self.refused(&error)),
            Err(error) => Err(Fault::new(FaultKind::Unusable, format!("the commit ended: {error}"), "")),
        }
    }

    fn stop_intake(&mut self) {
        self.shared.stop();
    }

    async fn close(mut self) {
        self.shared.close();
        let (shared, ended) =
            (Arc::clone(&self.shared), std::mem::replace(&mut self.ended, oneshot::channel().1));
        drop(self);
        if tokio::time::timeout(LEAVE, ended).await.is_err() {
            let brokers = shared.lock().troubles.about().brokers.clone();
            tracing::warn!(
                brokers,
                "the group could not be left in time; the brokers will notice by themselves"
            );
        }
    }
}

impl KafkaSource {
    fn refused(&self, error: &KafkaError) -> Fault {
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
        match code {
            RDKafkaErrorCode::RebalanceInProgress
            | RDKafkaErrorCode::IllegalGeneration
            | RDKafkaErrorCode::UnknownMemberId => {
                Fault::new(FaultKind::Throttled, format!("positions cannot be committed now: {code}"), "")
            }
            _ => self
                .shared
                .lock()
                .troubles
                .explain(code as i32, &format_args!("positions cannot be committed: {code}")),
        }
    }
}

impl Drop for KafkaSource {
    fn drop(&mut self) {
        self.shared.close();
    }
}

fn list(positions: &[Position]) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(positions.len());
    for Position { partition, offset, .. } in positions {
        // Cannot fail: the entry was just added, and an offset of a message is one that can be written.
        let _ = list.add_partition_offset(&partition.topic, partition.number, Offset::Offset(*offset));
    }
    list
}

/// A batch that is being filled.
struct Open {
    lane: Lane,
    partition: Partition,
    /// The next message.
    offset: i64,
    data: Vec<u8>,
    records: Vec<(Range<usize>, Kind, i64, u32)>,
}

impl Open {
    fn add(&mut self, message: &BorrowedMessage<'_>) {
        self.offset = message.offset() + 1;
        let mut item = 0;
        // A tombstone has no value: the position moves on, and that is all.
        split(message.payload().unwrap_or_default(), |range, kind| {
            let start = self.data.len();
            self.data
                .extend_from_slice(message.payload().and_then(|value| value.get(range)).unwrap_or_default());
            self.records.push((start..self.data.len(), kind, message.offset(), item));
            item += 1;
        });
    }

    fn push(self, shared: &Shared) {
        let bytes = self.data.len() + self.records.len() * size_of::<RawRecord>();
        let data = Bytes::from(self.data);
        let record = |(range, kind, offset, item): (Range<usize>, Kind, i64, u32)| RawRecord {
            bytes: data.slice(range),
            kind,
            origin: Origin::Kafka {
                topic: Arc::clone(&self.partition.topic),
                partition: self.partition.number,
                offset,
                item,
            },
        };
        shared.push(self.lane, self.offset, self.records.into_iter().map(record).collect(), bytes);
    }
}

/// The consumer thread.
struct Loop<'l> {
    client: &'l Client,
    shared: &'l Shared,
    open: Vec<Open>,
    generation: u64,
}

impl Loop<'_> {
    fn run(&mut self) {
        while !self.shared.is_closing() {
            self.hold_or_go_on();
            let wait = if self.open.is_empty() { POLL } else { Duration::ZERO };
            let polled = self.client.poll(wait);
            if self.generation != self.shared.generation() {
                // Partitions came or went inside `poll`; what belongs to a lane that is gone is dropped there.
                self.generation = self.shared.generation();
                self.seal_all();
            }
            match polled {
                Some(Ok(message)) => self.take(&message),
                Some(Err(_)) => self.end_if_fatal(),
                None => self.seal_all(),
            }
        }
    }

    fn take(&mut self, message: &BorrowedMessage<'_>) {
        let (topic, number) = (message.topic(), message.partition());
        let is_it = |open: &Open| open.partition.number == number && *open.partition.topic == *topic;
        let at = match self.open.iter().position(is_it) {
            Some(at) => at,
            None => {
                let partition = Partition { topic: topic.into(), number };
                let Some(lane) = self.shared.lock().lanes.lane(&partition) else { return };
                if self.open.is_empty() {
                    self.shared.flowing();
                }
                let (data, records) = (Vec::new(), Vec::new());
                self.open.push(Open { lane, partition, offset: message.offset(), data, records });
                self.open.len() - 1
            }
        };
        let Some(open) = self.open.get_mut(at) else { return };
        open.add(message);
        if open.data.len() >= BATCH_BYTES || open.records.len() >= BATCH_RECORDS {
            self.open.swap_remove(at).push(self.shared);
        }
    }

    fn seal_all(&mut self) {
        for open in self.open.drain(..) {
            open.push(self.shared);
        }
    }

    /// Sees to it that what waits in the queue stays bounded.
    fn hold_or_go_on(&mut self) {
        let paused = self.shared.is_paused();
        let go_on = !self.shared.is_stopping()
            && self.shared.room(if paused { Duration::ZERO } else { PATIENCE })
            && !self.shared.is_stopping();
        if go_on != paused {
            return;
        }
        // The flag first: partitions that are assigned meanwhile follow it.
        self.shared.set_paused(!go_on);
        let turned = self
            .client
            .assignment()
            .and_then(|all| if go_on { self.client.resume(&all) } else { self.client.pause(&all) });
        match turned {
            Ok(()) => tracing::debug!(paused = !go_on, "fetching"),
            Err(error) => tracing::warn!(%error, paused = !go_on, "fetching could not be turned"),
        }
    }

    /// Some errors end a client for good: another member took our `group_instance_id`, or the group's settings clash.
    fn end_if_fatal(&self) {
        let Some((code, words)) = self.client.client().fatal_error() else { return };
        let mut fault = self.shared.lock().troubles.explain(code as i32, &words);
        if !fault.kind.is_final() {
            fault = Fault::new(
                FaultKind::Unusable,
                fault.cause,
                "start again; what was not committed is read again",
            );
        }
        self.shared.fail(fault);
    }
}
