//! The Kafka source and sink: on librdkafka's mock cluster, with and without faults, and on a real broker.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use ingest::kafka::KafkaSource;
use output::kafka::KafkaSink;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::types::{RDKafkaApiKey as Api, RDKafkaRespErr as Code};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use serde_json::{Value, json};

use crate::contract::{SinkBench, SourceBench, document};
use crate::unique;

/// For what must come sooner or later.
const LONG: Duration = Duration::from_secs(60);

/// Errors that a broker answers with first, by request.
type Faults = &'static [(Api, &'static [Code])];

pub(crate) const SOURCE_FAULTS: Faults = &[
    (Api::Metadata, &[Code::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE; 2]),
    (Api::Fetch, &[Code::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION; 3]),
    (Api::JoinGroup, &[Code::RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE; 2]),
    (Api::OffsetCommit, &[Code::RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS; 4]),
    (Api::OffsetFetch, &[Code::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS; 2]),
];

pub(crate) const SINK_FAULTS: Faults = &[
    (Api::Metadata, &[Code::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE; 2]),
    (Api::InitProducerId, &[Code::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS; 2]),
    (
        Api::Produce,
        &[
            Code::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
            Code::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
            Code::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
        ],
    ),
];

/// A cluster with a topic.
pub(crate) struct Cluster {
    brokers: String,
    topic: String,
    group: String,
    /// Dropped, it ends the mock cluster.
    _mock: Option<mpsc::Sender<()>>,
}

impl Cluster {
    /// The mock cluster may not be shared between threads, so it has one of its own.
    fn mock(partitions: i32, faults: Faults) -> Self {
        let (tell, told) = mpsc::channel();
        let (end, ended) = mpsc::channel::<()>();
        thread::spawn(move || {
            let cluster = MockCluster::new(1).unwrap();
            cluster.create_topic("topic", partitions, 1).unwrap();
            for (api, errors) in faults {
                cluster.request_errors(*api, errors);
            }
            tell.send(cluster.bootstrap_servers()).unwrap();
            let _ = ended.recv();
        });
        Self { brokers: told.recv().unwrap(), topic: "topic".into(), group: "group".into(), _mock: Some(end) }
    }

    async fn live(partitions: i32) -> Option<Self> {
        let brokers = crate::live("KAFKA_BROKERS")?;
        let topic = unique("contract");
        let admin: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", &brokers).create().unwrap();
        let new = NewTopic::new(&topic, partitions, TopicReplication::Fixed(1));
        let options = AdminOptions::new().operation_timeout(Some(LONG));
        admin.create_topics([&new], &options).await.unwrap().remove(0).unwrap();
        let deadline = Instant::now() + LONG;
        let there = || {
            let metadata = admin.inner().fetch_metadata(Some(&topic), LONG).unwrap();
            metadata.topics().iter().any(|found| found.partitions().len() == partitions as usize)
        };
        while !there() {
            assert!(Instant::now() < deadline, "the topic is there");
        }
        Some(Self { brokers, group: unique("group"), topic, _mock: None })
    }
}

const PARTITIONS: i32 = 3;

pub(crate) async fn mock_source(faults: Faults) -> Option<Cluster> {
    let cluster = Cluster::mock(PARTITIONS, faults);
    cluster.fill();
    Some(cluster)
}

pub(crate) async fn live_source() -> Option<Cluster> {
    let cluster = Cluster::live(PARTITIONS).await?;
    cluster.fill();
    Some(cluster)
}

pub(crate) async fn mock_sink(faults: Faults) -> Option<Cluster> {
    Some(Cluster::mock(1, faults))
}

pub(crate) async fn live_sink() -> Option<Cluster> {
    Cluster::live(1).await
}

/// The records of each partition: many, few, and none.
fn records() -> [Vec<String>; PARTITIONS as usize] {
    let record = |partition: usize, number: usize| format!(r#"{{"id":"p{partition}-{number}","type":"t"}}"#);
    let many = |partition, count| (0..count).map(|number| record(partition, number)).collect();
    [many(0, 3_000), many(1, 25), Vec::new()]
}

impl Cluster {
    /// Every tenth record is one of a page, and a tombstone comes now and then, also at the end.
    fn fill(&self) {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .set("linger.ms", "1")
            .create()
            .unwrap();
        let send = |partition: usize, value: Option<&str>| {
            let mut message = BaseRecord::<str, str>::to(&self.topic).partition(partition as i32).key("k");
            message.payload = value;
            while let Err((_, back)) = producer.send(message) {
                producer.poll(Duration::from_millis(10));
                message = back;
            }
        };
        for (partition, records) in records().iter().enumerate() {
            for (number, some) in records.chunks(5).enumerate() {
                if number % 2 == 0 {
                    some.iter().for_each(|record| send(partition, Some(record)));
                } else {
                    send(partition, Some(&format!(r#"{{"data":[{}],"has_more":false}}"#, some.join(","))));
                }
                if number % 7 == 3 {
                    send(partition, None);
                }
            }
        }
        send(2, None);
        producer.flush(LONG).unwrap();
        assert_eq!(producer.in_flight_count(), 0);
    }
}

impl SourceBench for Cluster {
    type Source = KafkaSource;

    async fn open(&self) -> KafkaSource {
        let config = json!({
            "brokers": self.brokers, "topics": self.topic, "group": self.group, "buffer_bytes": "64KiB",
            "librdkafka": {"session.timeout.ms": 6_000, "heartbeat.interval.ms": 500, "fetch.wait.max.ms": 50},
        });
        let config: ingest::kafka::Config = serde_json::from_value(config).unwrap();
        KafkaSource::start(&config.settings().unwrap()).unwrap()
    }

    fn records(&self) -> Vec<Vec<Vec<u8>>> {
        records().map(|partition| partition.into_iter().map(String::into_bytes).collect()).into()
    }
}

impl SinkBench for Cluster {
    type Sink = KafkaSink;

    async fn open(&self) -> KafkaSink {
        let config = json!({
            "brokers": self.brokers, "topic": self.topic, "librdkafka": {"message.max.bytes": 20_000},
        });
        let config: output::kafka::Config = serde_json::from_value(config).unwrap();
        KafkaSink::new(&config.settings().unwrap(), "9.4.0").unwrap()
    }

    async fn stored(&self, prefix: &str) -> Vec<String> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .set("group.id", unique("reader"))
            .set("enable.partition.eof", "true")
            .create()
            .unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.topic, 0, Offset::Beginning).unwrap();
        consumer.assign(&list).unwrap();
        let mut found = Vec::new();
        let deadline = Instant::now() + LONG;
        loop {
            assert!(Instant::now() < deadline, "read {}, and not all", found.len());
            match consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => {
                    let value: Value = serde_json::from_slice(message.payload().unwrap()).unwrap();
                    let id = value["event"]["id"].as_str().unwrap().to_owned();
                    assert_eq!(message.key(), Some(id.as_bytes()));
                    found.push(id);
                }
                Some(Err(KafkaError::PartitionEOF(_))) => break,
                Some(Err(error)) => panic!("{error}"),
                None => {}
            }
        }
        found.retain(|id| id.starts_with(prefix));
        found
    }

    /// A topic knows no ids; readers see by the key what they have already.
    fn stores_once(&self) -> bool {
        false
    }

    fn tells_duplicates(&self) -> bool {
        false
    }

    fn unique(&self) -> String {
        unique("message")
    }

    /// One that is longer than the client may send.
    fn refused(&self, id: &str) -> Option<String> {
        Some(document(id).replacen('{', &format!("{{\"pad\":\"{}\",", "x".repeat(30_000)), 1))
    }
}
