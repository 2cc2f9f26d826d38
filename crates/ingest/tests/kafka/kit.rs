//! What the tests have in common: topics, messages, positions, and a small pipeline.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anthropic_ecs_ingest::kafka::{Config, KafkaSource, Settings};
use anthropic_ecs_ingest::{Batch, Mark, Source};
use model::fault::Fault;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

/// For what must come sooner or later.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// The address of a real broker; says so, or that the test is skipped.
pub(crate) fn live(test: &str) -> Option<String> {
    live_at(test, "KAFKA_BROKERS")
}

pub(crate) fn live_at(test: &str, variable: &str) -> Option<String> {
    let brokers = std::env::var(variable).ok().filter(|brokers| !brokers.is_empty());
    match &brokers {
        Some(brokers) => println!("{test}: live, Kafka at {brokers}"),
        None => println!("{test}: skipped, {variable} is not set"),
    }
    brokers
}

/// A name nobody has used.
pub(crate) fn unique(what: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros();
    format!("{what}-{time}-{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(LONG * 3, future).await.expect("in time") })
}

pub(crate) async fn create_topic(brokers: &str, topic: &str, partitions: i32) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
    let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
    let done = admin.create_topics([&new], &AdminOptions::new().operation_timeout(Some(LONG))).await.unwrap();
    done.into_iter().next().unwrap().unwrap();
    until("the topic is there", || {
        let metadata = admin.inner().fetch_metadata(Some(topic), LONG).unwrap();
        metadata.topics().iter().any(|found| found.partitions().len() == partitions as usize)
    });
}

pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !condition() {
        assert!(Instant::now() < deadline, "{what}: not in time");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Sends values (`None` is a tombstone) to one partition, in order.
pub(crate) fn produce(brokers: &str, topic: &str, partition: i32, values: &[Option<String>]) {
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", brokers).set("linger.ms", "1").create().unwrap();
    for value in values {
        let mut record = BaseRecord::<str, str>::to(topic).partition(partition).key("k");
        record.payload = value.as_deref();
        while let Err((_, back)) = producer.send(record) {
            producer.poll(Duration::from_millis(10));
            record = back;
        }
    }
    producer.flush(LONG).unwrap();
    assert_eq!(producer.in_flight_count(), 0);
}

pub(crate) fn activities(range: std::ops::Range<u32>) -> Vec<Option<String>> {
    range.map(|n| Some(activity(n))).collect()
}

pub(crate) fn activity(n: u32) -> String {
    format!(r#"{{"id":"activity-{n}","type":"claude_chat_created"}}"#)
}

pub(crate) fn settings(brokers: &str, topic: &str, group: &str, extra: &str) -> Settings {
    let text = format!(r#"{{"brokers":"{brokers}","topics":"{topic}","group":"{group}"{extra}}}"#);
    let config: Config = serde_json::from_str(&text).unwrap();
    config.settings().unwrap()
}

pub(crate) fn ids(range: std::ops::Range<u32>) -> BTreeSet<String> {
    range.map(activity).collect()
}

/// The group's positions, by partition.
pub(crate) fn committed(brokers: &str, group: &str, topic: &str, partitions: i32) -> Vec<Option<i64>> {
    let client: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", brokers).set("group.id", group).create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_range(topic, 0, partitions - 1);
    let found = client.committed_offsets(list, LONG).unwrap();
    let position = |number| match found.find_partition(topic, number).unwrap().offset() {
        Offset::Offset(offset) => Some(offset),
        _ => None,
    };
    (0..partitions).map(position).collect()
}

/// The next batch; faults that pass are waited out.
pub(crate) async fn next(source: &mut KafkaSource) -> Batch {
    loop {
        match tokio::time::timeout(LONG, source.next()).await.expect("a batch in time") {
            Ok(batch) => return batch.unwrap(),
            Err(fault) => assert!(!fault.kind.is_final(), "{fault}"),
        }
    }
}

/// The next fault.
pub(crate) async fn next_fault(source: &mut KafkaSource) -> Fault {
    loop {
        if let Err(fault) = tokio::time::timeout(LONG, source.next()).await.expect("a fault in time") {
            return fault;
        }
    }
}

/// Commits as a pipeline does: again until it is done.
pub(crate) async fn commit(source: &mut KafkaSource, marks: &[Mark]) {
    let deadline = Instant::now() + LONG;
    while let Err(fault) = source.commit(marks).await {
        assert!(!fault.kind.is_final() && Instant::now() < deadline, "{fault}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) fn texts(batch: &Batch) -> Vec<String> {
    batch.records.iter().map(|record| String::from_utf8_lossy(&record.bytes).into_owned()).collect()
}

/// Takes batches until so many records came, committing nothing.
pub(crate) async fn take(source: &mut KafkaSource, records: usize) -> (BTreeSet<String>, Vec<Mark>) {
    let (mut seen, mut marks, mut count) = (BTreeSet::new(), Vec::new(), 0);
    while count < records {
        let batch = next(source).await;
        count += batch.records.len();
        seen.extend(texts(&batch));
        marks.push(batch.mark);
    }
    (seen, marks)
}

/// A pipeline in small: what it takes ends a little later, lane by lane in order, and is then committed.
pub(crate) struct Small {
    pub(crate) source: KafkaSource,
    pub(crate) seen: BTreeMap<String, usize>,
    under_way: Vec<Batch>,
}

impl Small {
    pub(crate) fn start(settings: &Settings) -> Self {
        Self { source: KafkaSource::start(settings).unwrap(), seen: BTreeMap::new(), under_way: Vec::new() }
    }

    /// Works for a moment. Up to `most` batches stay under way.
    pub(crate) async fn work(&mut self, most: usize) {
        if let Ok(Ok(Some(batch))) = tokio::time::timeout(Duration::from_millis(20), self.source.next()).await
        {
            self.under_way.push(batch);
            if self.under_way.len() <= most {
                return;
            }
        }
        self.end(self.under_way.len().div_ceil(2)).await;
    }

    /// The oldest batches end: they are seen, and committed. A commit that is refused is made again with later ones.
    async fn end(&mut self, batches: usize) {
        let ended: Vec<Batch> = self.under_way.drain(..batches).collect();
        for text in ended.iter().flat_map(texts) {
            *self.seen.entry(text).or_default() += 1;
        }
        let marks: Vec<Mark> = ended.iter().map(|batch| batch.mark).collect();
        if let Err(fault) = self.source.commit(&marks).await {
            assert!(!fault.kind.is_final(), "{fault}");
        }
    }

    /// Stops as the program does: no more intake, what is under way ends, commit, leave.
    pub(crate) async fn stop(mut self) -> BTreeMap<String, usize> {
        self.source.stop_intake();
        self.end(self.under_way.len()).await;
        self.source.close().await;
        self.seen
    }

    /// Dies: what is under way is gone, and nothing more is committed.
    pub(crate) fn die(self) -> BTreeMap<String, usize> {
        self.seen
    }
}

/// A broker of the test's own, which it may stop; needs the start script (`KAFKA_SCRIPT`). Stopped when dropped.
pub(crate) struct Broker {
    script: String,
    folder: tempfile::TempDir,
    pub(crate) brokers: String,
}

impl Broker {
    pub(crate) fn start(test: &str) -> Option<Self> {
        let Ok(script) = std::env::var("KAFKA_SCRIPT") else {
            println!("{test}: skipped, KAFKA_SCRIPT is not set");
            return None;
        };
        let mut broker = Self { script, folder: tempfile::tempdir().unwrap(), brokers: String::new() };
        let told = broker.tell("start");
        let brokers = told.lines().find_map(|line| line.strip_prefix("KAFKA_BROKERS="));
        broker.brokers = brokers.unwrap_or_else(|| panic!("{told}")).to_owned();
        println!("{test}: live, a Kafka of its own at {}", broker.brokers);
        Some(broker)
    }

    /// `stop`, `restart`, or `start` again on the same port with the same data.
    pub(crate) fn tell(&self, command: &str) -> String {
        let told =
            std::process::Command::new(&self.script).arg(command).arg(self.folder.path()).output().unwrap();
        assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
        String::from_utf8(told.stdout).unwrap()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.tell("stop");
    }
}
