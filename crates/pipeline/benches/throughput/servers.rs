//! The marks that need servers: a topic of raw records into another topic, and into a cluster.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ingest::kafka::KafkaSource;
use mapper::{ECS_VERSION, Mapping};
use model::fault::{Fault, FaultKind};
use model::tables::Tables;
use output::assets::{Api, Assets, Flavour, Target, apply, detect};
use output::elasticsearch::{Elasticsearch, ElasticsearchConfig};
use output::kafka::KafkaSink;
use pipeline::Packing;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::json;
use tokio::runtime::Runtime;

use super::live_server::{Live, live, reduce};
use super::stage::{endless, feed, prepare, runtime};
use super::{Mark, bare, compare};

/// As the `kafka` sink of the program is set up.
const TO_TOPIC: Packing = Packing { bytes: 1 << 20, documents: 10_000, linger: Duration::from_millis(20) };
const PARTITIONS: i32 = 4;
const LONG: Duration = Duration::from_secs(60);

fn variable(name: &str) -> Option<String> {
    let value = std::env::var(name).ok().filter(|value| !value.is_empty());
    if value.is_none() {
        println!("skipped: {name} is not set");
    }
    value
}

/// A name nobody has used.
fn unique(what: &str) -> String {
    format!("{what}{}", SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros())
}

/// All marks that start at a topic.
pub(crate) fn kafka(mapping: &Arc<Mapping>, lines: &[String], rounds: usize) {
    let Some(brokers) = variable("KAFKA_BROKERS") else { return };
    let (runtime, records) = (runtime(), lines.len());
    let raw = runtime.block_on(topic(&brokers));
    fill(&brokers, &raw, lines);
    println!("{records} records in {PARTITIONS} partitions, {rounds} rounds");
    let requests = prepare(mapping, lines, TO_TOPIC);
    let runtime = &runtime;
    // Each time another topic, so that none grows.
    let sink = |runtime: &Runtime| {
        let config = json!({"brokers": brokers, "topic": runtime.block_on(topic(&brokers))});
        let config: output::kafka::Config = serde_json::from_value(config).unwrap();
        let _runtime = runtime.enter();
        KafkaSink::new(&config.settings().unwrap(), ECS_VERSION).unwrap()
    };
    let source = || source(&brokers, &raw);
    let mut marks = vec![
        bare(mapping, lines),
        Mark::new("finished documents -> Kafka", None, || feed(runtime, sink(runtime), &requests)),
        Mark::new("Kafka -> Kafka", Some(1), || {
            endless(runtime, mapping, source(), sink(runtime), TO_TOPIC, records)
        }),
    ];
    for (name, flavour) in
        [("ELASTICSEARCH_URL", Flavour::Elasticsearch), ("OPENSEARCH_URL", Flavour::OpenSearch)]
    {
        let Some(live) = live(name, flavour) else { continue };
        let live = Arc::new(live);
        let limits = runtime.block_on(cluster(&live)).unwrap().limits();
        let packing = Packing { bytes: limits.bytes, documents: limits.documents, linger: limits.linger };
        let requests = prepare(mapping, lines, packing);
        let open = move || runtime.block_on(cluster(&live)).unwrap();
        let (fed, other) = (marks.len(), open.clone());
        marks.push(Mark::new(format!("finished documents -> {name}"), None, move || {
            feed(runtime, open(), &requests)
        }));
        marks.push(Mark::new(format!("Kafka -> {name}"), Some(fed), move || {
            endless(runtime, mapping, source(), other(), packing, records)
        }));
    }
    compare(&mut marks, records, rounds);
}

async fn topic(brokers: &str) -> String {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
    let name = unique("throughput");
    let new = NewTopic::new(&name, PARTITIONS, TopicReplication::Fixed(1));
    let options = AdminOptions::new().operation_timeout(Some(LONG));
    admin.create_topics([&new], &options).await.unwrap().remove(0).unwrap();
    name
}

fn fill(brokers: &str, topic: &str, lines: &[String]) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("compression.type", "lz4")
        .set("linger.ms", "20")
        .create()
        .unwrap();
    for (number, line) in (0..).zip(lines) {
        let mut message = BaseRecord::<str, str>::to(topic).partition(number % PARTITIONS).payload(line);
        while let Err((_, back)) = producer.send(message) {
            producer.poll(Duration::from_millis(10));
            message = back;
        }
    }
    producer.flush(LONG).unwrap();
}

/// A group that has read nothing yet.
fn source(brokers: &str, topic: &str) -> KafkaSource {
    let config = json!({"brokers": brokers, "topics": topic, "group": unique("throughput")});
    let config: ingest::kafka::Config = serde_json::from_value(config).unwrap();
    KafkaSource::start(&config.settings().unwrap()).unwrap()
}

/// A cluster with a data stream of its own each time, under the templates that `setup` installs, without the index types
/// that a bare server lacks.
async fn cluster(live: &Live) -> Result<Elasticsearch, Fault> {
    let namespace = unique("throughput");
    let flavour = live.flavour.to_string().to_lowercase();
    let config: ElasticsearchConfig =
        serde_json::from_value(json!({"url": live.url, "flavour": flavour, "namespace": namespace})).unwrap();
    let sink = Elasticsearch::open(&config.validate()?)?;
    let missing = || Fault::new(FaultKind::Unusable, "no server is named", "");
    let (transport, address) = sink.client().management().ok_or_else(missing)?;
    let api = Api::new(&transport, address);
    let server = detect(&api, Some(live.flavour)).await?;
    let target = Target::new(server.flavour, server.lifecycle, &namespace)?;
    let mut assets = Assets::render(&Tables::builtin(), target);
    reduce(live, &mut assets).await;
    apply(&api, &assets).await?;
    Ok(sink)
}
