//! Topics: made, filled, read, and how far a group is behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{ClientConfig, ClientContext, Offset, TopicPartitionList};

const LONG: Duration = Duration::from_secs(60);

/// How many partitions the topics of a campaign have.
pub(crate) const PARTITIONS: i32 = 6;

pub(crate) async fn create_topic(brokers: &str, topic: &str, config: &[(&str, &str)]) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
    let mut new = NewTopic::new(topic, PARTITIONS, TopicReplication::Fixed(1));
    for (key, value) in config {
        new = new.set(key, value);
    }
    let done = admin.create_topics([&new], &AdminOptions::new().operation_timeout(Some(LONG))).await.unwrap();
    done.into_iter().next().unwrap().unwrap();
}

pub(crate) async fn delete_topics(brokers: &str, topics: &[&str]) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
    let _ = admin.delete_topics(topics, &AdminOptions::new()).await;
}

/// Counts messages that did not arrive.
#[derive(Default)]
struct Failures(AtomicUsize);

#[derive(Clone)]
struct Counting(Arc<Failures>);

impl ClientContext for Counting {}

impl ProducerContext for Counting {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if result.is_err() {
            self.0.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Fills a topic, each message once, across restarts of the broker.
pub(crate) struct Filler {
    producer: ThreadedProducer<Counting>,
    failures: Arc<Failures>,
    topic: String,
    sent: usize,
}

impl Filler {
    pub(crate) fn new(brokers: &str, topic: &str) -> Self {
        let failures = Arc::new(Failures::default());
        let producer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("enable.idempotence", "true")
            .set("compression.type", "lz4")
            .set("message.timeout.ms", "280000")
            .set("queue.buffering.max.messages", "1000000")
            .create_with_context(Counting(Arc::clone(&failures)))
            .unwrap();
        Self { producer, failures, topic: topic.to_owned(), sent: 0 }
    }

    /// Hands messages over, spread over all partitions.
    pub(crate) fn send(&mut self, messages: &[Option<String>]) {
        for message in messages {
            let key = self.sent.to_string();
            let partition = (self.sent % PARTITIONS as usize) as i32;
            let mut record = BaseRecord::to(&self.topic).key(&key).partition(partition);
            record.payload = message.as_ref();
            self.producer.send(record).map_err(|(error, _)| error).unwrap();
            self.sent += 1;
        }
    }

    /// Waits until the broker has all of them.
    pub(crate) fn finish(&self) {
        self.producer.flush(LONG * 4).unwrap();
        assert_eq!(self.failures.0.load(Ordering::Relaxed), 0, "messages were not taken by the broker");
    }
}

/// How many messages of a topic a group has not committed; an error while the broker is not there.
pub(crate) fn lag(consumer: &BaseConsumer, topic: &str) -> Result<i64, KafkaError> {
    let mut list = TopicPartitionList::new();
    list.add_partition_range(topic, 0, PARTITIONS - 1);
    let committed = consumer.committed_offsets(list, LONG)?;
    let mut lag = 0;
    for partition in 0..PARTITIONS {
        let (low, high) = consumer.fetch_watermarks(topic, partition, LONG)?;
        let position = match committed.find_partition(topic, partition).unwrap().offset() {
            Offset::Offset(offset) => offset,
            _ => low,
        };
        lag += high - position;
    }
    Ok(lag)
}

/// A client that asks for the positions of a group without being of it.
pub(crate) fn observer(brokers: &str, group: &str) -> BaseConsumer {
    ClientConfig::new().set("bootstrap.servers", brokers).set("group.id", group).create().unwrap()
}

/// Waits until the brokers have ended every transaction in a topic: one of a copy that was killed hides from readers what
/// came after it, until its time is up.
pub(crate) fn await_transactions(brokers: &str, topic: &str) {
    let ends = |isolation: &str| -> Vec<i64> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("group.id", "reader")
            .set("isolation.level", isolation)
            .create()
            .unwrap();
        (0..PARTITIONS).map(|at| consumer.fetch_watermarks(topic, at, LONG).unwrap().1).collect()
    };
    let deadline = Instant::now() + LONG;
    while ends("read_committed") != ends("read_uncommitted") {
        assert!(Instant::now() < deadline, "{topic}: a transaction stays open");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// A message as it was read.
pub(crate) struct Read {
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
}

/// Everything in a topic that a reader of committed messages sees, until the end of each partition.
pub(crate) fn read_all(brokers: &str, topic: &str) -> Vec<Read> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "reader")
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "error")
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    let mut ends = 0;
    for partition in 0..PARTITIONS {
        list.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&list).unwrap();
    let mut found = Vec::new();
    let mut deadline = Instant::now() + LONG;
    while ends < PARTITIONS {
        assert!(Instant::now() < deadline, "{topic} cannot be read to its end");
        match consumer.poll(Duration::from_millis(500)) {
            None => {}
            Some(Err(KafkaError::PartitionEOF(_))) => ends += 1,
            Some(Err(error)) => panic!("{topic}: {error}"),
            Some(Ok(message)) => {
                deadline = Instant::now() + LONG;
                let owned = |part: Option<&[u8]>| part.unwrap_or_default().to_vec();
                found.push(Read { key: owned(message.key()), value: owned(message.payload()) });
            }
        }
    }
    found
}
