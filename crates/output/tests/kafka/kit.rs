//! What the tests have in common: topics, documents, and reading back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use output::kafka::{Config, KafkaSink, Settings};
use output::{DocumentsBuilder, Outcome, Request, Sink};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Headers;
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

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

pub(crate) async fn create_topic(brokers: &str, topic: &str, partitions: i32, options: &[(&str, &str)]) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
    let mut new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
    for (key, value) in options {
        new = new.set(key, value);
    }
    let done = admin.create_topics([&new], &AdminOptions::new().operation_timeout(Some(LONG))).await.unwrap();
    done.into_iter().next().unwrap().unwrap();
    let deadline = Instant::now() + LONG;
    while admin.inner().fetch_metadata(Some(topic), LONG).unwrap().topics()[0].partitions().len() as i32
        != partitions
    {
        assert!(Instant::now() < deadline, "the topic is there");
    }
}

pub(crate) fn settings(brokers: &str, topic: &str, extra: &str) -> Settings {
    let text = format!(r#"{{"brokers":"{brokers}","topic":"{topic}"{extra}}}"#);
    let config: Config = serde_json::from_str(&text).unwrap();
    config.settings().unwrap()
}

pub(crate) fn sink(brokers: &str, topic: &str, extra: &str) -> KafkaSink {
    KafkaSink::new(&settings(brokers, topic, extra), "9.4.0").unwrap()
}

pub(crate) fn body(n: u32, length: usize) -> String {
    format!(r#"{{"event":{{"id":"id-{n}"}},"x":"{}"}}"#, "x".repeat(length))
}

/// A request with documents of these numbers and lengths.
pub(crate) fn request_of(documents: impl IntoIterator<Item = (u32, usize)>) -> Request {
    let mut builder = DocumentsBuilder::default();
    let mut count = 0;
    for (n, length) in documents {
        builder.lines.extend_from_slice(body(n, length).as_bytes());
        builder.push(&format!("id-{n}"), "claude_chat_created", None);
        count += 1;
    }
    let mut request = Request::default();
    request.add(&Arc::new(builder.finish()), (0..count).collect());
    request
}

pub(crate) fn request(numbers: std::ops::Range<u32>) -> Request {
    request_of(numbers.map(|n| (n, 10)))
}

/// Writes until everything is delivered, as a pipeline does with what is to be tried again.
pub(crate) async fn deliver(sink: &KafkaSink, request: &Request) {
    let deadline = Instant::now() + LONG;
    loop {
        match sink.write(request).await {
            Ok(outcomes) if outcomes.iter().all(|outcome| *outcome == Outcome::Delivered) => return,
            Err(fault) if fault.kind.is_final() => panic!("{fault}"),
            other => assert!(Instant::now() < deadline, "{other:?}"),
        }
    }
}

/// A message read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) partition: i32,
    pub(crate) key: String,
    pub(crate) value: String,
    pub(crate) headers: Vec<(String, String)>,
}

/// Everything in a topic that readers of committed messages see, up to its end now.
pub(crate) fn read(brokers: &str, topic: &str, partitions: i32) -> Vec<Read> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", unique("reader"))
        .set("enable.partition.eof", "true")
        .set("isolation.level", "read_committed")
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions {
        list.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&list).unwrap();
    let (mut found, mut ends) = (Vec::new(), 0);
    let deadline = Instant::now() + LONG;
    while ends < partitions {
        assert!(Instant::now() < deadline, "read {} and {ends} ends", found.len());
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                let text =
                    |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap_or_default().to_vec()).unwrap();
                let headers = message.headers().map(|headers| {
                    headers.iter().map(|header| (header.key.to_owned(), text(header.value))).collect()
                });
                found.push(Read {
                    partition: message.partition(),
                    key: text(message.key()),
                    value: text(message.payload()),
                    headers: headers.unwrap_or_default(),
                });
            }
            Some(Err(rdkafka::error::KafkaError::PartitionEOF(_))) => ends += 1,
            Some(Err(error)) => panic!("{error}"),
            None => {}
        }
    }
    found
}

/// The ids in the order they were read.
pub(crate) fn keys(read: &[Read]) -> Vec<String> {
    read.iter().map(|message| message.key.clone()).collect()
}

pub(crate) fn ids(numbers: impl IntoIterator<Item = u32>) -> Vec<String> {
    numbers.into_iter().map(|n| format!("id-{n}")).collect()
}

pub(crate) fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort();
    texts
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
