//! The export to an OpenTelemetry collector, by running the real program beside a collector of the test's own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
#[path = "../../output/tests/support/fake_elasticsearch.rs"]
mod fake_elasticsearch;

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Output;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::Message;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use simulator::api::{Pace, Server, Settings, Simulation};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use common::{code, program, samples, signal, stderr};
use fake_elasticsearch::{FakeElasticsearch, Trouble};

/// For what must come sooner or later.
const LONG: Duration = Duration::from_secs(60);

const TOKEN: &str = "hunter2-of-the-collector";

/// What a collector does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Takes,
    Answers(u16),
    /// Takes the request, and says nothing.
    Hangs,
}

/// A request as it came.
#[derive(Debug, Clone)]
struct Received {
    path: String,
    headers: BTreeMap<String, String>,
    body: Bytes,
}

struct Collector {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Collector {
    async fn start(manner: Manner) -> Self {
        Self::with_tls(manner, None).await
    }

    async fn with_tls(manner: Manner, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (connections, received) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
        let (counted, kept) = (Arc::clone(&connections), Arc::clone(&received));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let (tls, kept) = (tls.clone(), Arc::clone(&kept));
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, manner, kept).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, manner, kept).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, connections, received }
    }

    fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    fn spans(&self) -> Vec<Span> {
        let requests = self.received().into_iter().filter(|request| request.path == "/v1/traces");
        let requests = requests.map(|request| ExportTraceServiceRequest::decode(request.body).unwrap());
        requests
            .flat_map(|request| request.resource_spans)
            .flat_map(|all| all.scope_spans)
            .flat_map(|all| all.spans)
            .collect()
    }

    /// The numbers of the last metrics, by name; of several with labels, their sum. And the resource they are of.
    fn metrics(&self) -> (BTreeMap<String, f64>, Vec<KeyValue>) {
        let last = self.received().into_iter().rfind(|request| request.path == "/v1/metrics").unwrap();
        let request = ExportMetricsServiceRequest::decode(last.body).unwrap();
        let all = request.resource_metrics.into_iter().next().unwrap();
        let mut numbers = BTreeMap::new();
        for metric in all.scope_metrics.into_iter().flat_map(|scope| scope.metrics) {
            let points = match metric.data.unwrap() {
                Data::Gauge(gauge) => gauge.data_points,
                Data::Sum(sum) => sum.data_points,
                _ => continue,
            };
            let value = |number: Option<Number>| match number.unwrap() {
                Number::AsInt(number) => number as f64,
                Number::AsDouble(number) => number,
            };
            numbers.insert(metric.name, points.into_iter().map(|point| value(point.value)).sum());
        }
        (numbers, all.resource.unwrap().attributes)
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    manner: Manner,
    kept: Arc<Mutex<Vec<Received>>>,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let kept = Arc::clone(&kept);
        async move {
            let path = request.uri().path().to_owned();
            let headers = request.headers().iter();
            let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
            let headers = headers.collect();
            let body = request.into_body().collect().await.unwrap().to_bytes();
            kept.lock().unwrap().push(Received { path, headers, body });
            let status = match manner {
                Manner::Hangs => std::future::pending().await,
                Manner::Answers(status) => status,
                Manner::Takes => 200,
            };
            let response = Response::builder().status(status).body(Full::new(Bytes::new()));
            Ok::<_, Infallible>(response.unwrap())
        }
    });
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// Runs the program to its end, with variables that it must not heed.
async fn run(folder: &Path, args: &'static [&'static str], variables: &[(&str, &str)]) -> Output {
    let mut command = program(args);
    command.current_dir(folder).env("NO_PROXY", "127.0.0.1,localhost");
    command.env("OTEL_SERVICE_NAME", "not-this-one").env("OTEL_TRACES_SAMPLER", "always_off");
    command.env("OTEL_RESOURCE_ATTRIBUTES", "not=this").env("OTEL_SDK_DISABLED", "true");
    command.envs(variables.iter().copied());
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

const RUN: &[&str] = &["run", "--config", "c.toml"];

/// A folder with the sample feed, and a configuration that makes documents of it; `otlp` is `[telemetry.otlp]`.
fn folder(otlp: &str) -> tempfile::TempDir {
    folder_for("type = \"ndjson\"\npath = \"out.ndjson\"", otlp)
}

/// The same for another sink.
fn folder_for(sink: &str, otlp: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("in.ndjson"), samples()).unwrap();
    let config = format!(
        "[source]\ntype = \"file\"\npaths = [\"in.ndjson\"]\n[sink]\n{sink}\n\
         [mapper]\ningested = false\n[telemetry]\nlisten = \"off\"\nlog_format = \"json\"\n{otlp}"
    );
    fs::write(folder.path().join("c.toml"), config).unwrap();
    folder
}

fn documents(folder: &Path) -> String {
    fs::read_to_string(folder.join("out.ndjson")).unwrap()
}

fn text<'s>(attributes: &'s [KeyValue], name: &str) -> Option<&'s str> {
    let value = attributes.iter().find(|one| one.key == name)?.value.as_ref()?.value.as_ref()?;
    if let Value::StringValue(text) = value { Some(text) } else { None }
}

fn number(span: &Span, name: &str) -> i64 {
    let value = span.attributes.iter().find(|one| one.key == name).and_then(|one| one.value.as_ref());
    match value.and_then(|value| value.value.as_ref()) {
        Some(Value::IntValue(number)) => *number,
        other => panic!("{name} of {}: {other:?}", span.name),
    }
}

/// The spans of a name; there is one at least.
fn named<'s>(spans: &'s [Span], name: &str) -> Vec<&'s Span> {
    let found: Vec<&Span> = spans.iter().filter(|span| span.name == name).collect();
    assert!(
        !found.is_empty(),
        "no {name} among {:?}",
        spans.iter().map(|span| &span.name).collect::<Vec<_>>()
    );
    found
}

/// Checks what goes for every span: it ends, is of one trace with its parent, and has nothing that the libraries add.
fn sound(spans: &[Span]) {
    let by_id: BTreeMap<&[u8], &Span> = spans.iter().map(|span| (span.span_id.as_slice(), span)).collect();
    assert_eq!(by_id.len(), spans.len(), "an id twice");
    for span in spans {
        assert!(span.end_time_unix_nano >= span.start_time_unix_nano && span.start_time_unix_nano > 0);
        assert!(span.events.is_empty(), "a line of the log in a span: {span:?}");
        assert!(
            span.attributes.iter().all(|one| !one.key.starts_with("otel.") && !one.key.starts_with("code."))
        );
        if !span.parent_span_id.is_empty() {
            let parent = by_id.get(span.parent_span_id.as_slice());
            let parent = parent.unwrap_or_else(|| panic!("{} has a parent that did not come", span.name));
            assert_eq!(parent.trace_id, span.trace_id);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_told_anything_unless_the_configuration_says_so() {
    let collector = Collector::start(Manner::Takes).await;
    let folder = folder("");
    let url = format!("http://{}", collector.address);
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", url.as_str()),
        ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", url.as_str()),
    ];
    let output = run(folder.path(), RUN, &variables).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(collector.connections.load(Ordering::SeqCst), 0);
    assert!(!stderr(&output).contains("collector"), "{}", stderr(&output));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_is_seen_whole_and_its_headers_by_nobody_else() {
    let collector = Collector::start(Manner::Takes).await;
    let folder = folder(&format!(
        "[telemetry.otlp]\nendpoint = \"http://{}/\"\nheaders = {{ Authorization = \"Bearer ${{TOKEN}}\" }}\n\
         resource = {{ \"deployment.environment.name\" = \"test\" }}\n",
        collector.address
    ));
    let elsewhere = [("TOKEN", TOKEN), ("OTEL_EXPORTER_OTLP_HEADERS", "x-other=1")];
    let output = run(folder.path(), RUN, &elsewhere).await;
    let said = stderr(&output);
    assert_eq!(code(&output), 0, "{said}");
    assert!(!said.contains(TOKEN) && said.contains("telemetry is sent to a collector"), "{said}");

    for request in collector.received() {
        assert_eq!(request.headers["authorization"], format!("Bearer {TOKEN}"));
        assert_eq!(request.headers["content-type"], "application/x-protobuf");
        assert!(!request.headers.contains_key("x-other"));
        assert!(["/v1/traces", "/v1/metrics"].contains(&request.path.as_str()), "{}", request.path);
    }
    let records = samples().lines().count() as f64;
    let (metrics, resource) = collector.metrics();
    assert_eq!(metrics["anthropic_ecs_records_read_total"], records);
    assert_eq!(metrics["anthropic_ecs_records_delivered_total"], records);
    assert_eq!(metrics["anthropic_ecs_build_info"], 1.0);
    assert_eq!(metrics["anthropic_ecs_otlp_spans_dropped_total"], 0.0);
    assert!(metrics.contains_key("anthropic_ecs_otlp_requests_total"));
    assert_eq!(text(&resource, "service.name"), Some("anthropic-ecs"));
    assert_eq!(text(&resource, "deployment.environment.name"), Some("test"));
    assert_eq!(text(&resource, "not"), None);

    let spans = collector.spans();
    sound(&spans);
    let (batches, maps) = (named(&spans, "batch"), named(&spans, "map"));
    assert_eq!(batches.len(), maps.len());
    let sum = |spans: &[&Span], name: &str| spans.iter().map(|span| number(span, name)).sum::<i64>() as f64;
    assert_eq!(sum(&batches, "anthropic_ecs.batch.records"), records);
    assert_eq!(sum(&maps, "anthropic_ecs.map.documents"), records);
    assert_eq!(sum(&maps, "anthropic_ecs.map.dead"), 0.0);
    let ids: BTreeSet<&[u8]> = batches.iter().map(|span| span.span_id.as_slice()).collect();
    let writes = named(&spans, "write");
    assert_eq!(sum(&writes, "anthropic_ecs.write.delivered"), records);
    for span in maps.iter().chain(&writes) {
        assert!(ids.contains(span.parent_span_id.as_slice()), "{}: part of no batch", span.name);
    }
    // Every batch with something in it was written: as the first in a request, or linked to it.
    let full = batches.iter().filter(|batch| number(batch, "anthropic_ecs.batch.records") > 0);
    let full: BTreeSet<&[u8]> = full.map(|batch| batch.span_id.as_slice()).collect();
    let written: BTreeSet<&[u8]> = writes
        .iter()
        .flat_map(|write| {
            let links = write.links.iter().map(|link| link.span_id.as_slice());
            links.chain([write.parent_span_id.as_slice()])
        })
        .collect();
    assert_eq!(written, full);
    assert!(named(&spans, "commit").iter().all(|span| span.parent_span_id.is_empty()));
    assert!(writes.iter().all(|write| number(write, "anthropic_ecs.write.attempt") == 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reading_the_feed_is_seen_and_the_key_is_not() {
    let simulation = Simulation::new(Settings::default());
    let key = simulation.key("activities").to_owned();
    let time = |hours: i64| {
        let at = simulation.start() - hours * 3_600_000_000;
        simulator::rfc3339(at, simulator::Precision::Seconds, true)
    };
    let (since, until) = (time(8), time(2));
    let server = Server::start(simulation, ([127, 0, 0, 1], 0).into(), Pace::Stepped(0)).await.unwrap();
    let collector = Collector::start(Manner::Takes).await;
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "[source]\ntype = \"compliance_api\"\nbase_url = \"{}\"\napi_key = \"${{KEY}}\"\nsince = \"{since}\"\nuntil = \"{until}\"\n\
         [sink]\ntype = \"ndjson\"\npath = \"out.ndjson\"\n\
         [telemetry]\nlisten = \"off\"\n[telemetry.otlp]\nendpoint = \"http://{}\"\n",
        server.url(),
        collector.address
    );
    fs::write(folder.path().join("c.toml"), config).unwrap();
    let output = run(folder.path(), RUN, &[("KEY", &key)]).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));

    let spans = collector.spans();
    sound(&spans);
    let pages = named(&spans, "GET /v1/compliance/activities");
    let walks: BTreeSet<&[u8]> = named(&spans, "walk").iter().map(|span| span.span_id.as_slice()).collect();
    for page in &pages {
        assert_eq!(text(&page.attributes, "server.address"), Some("127.0.0.1"));
        assert_eq!(text(&page.attributes, "http.request.method"), Some("GET"));
        assert_eq!(number(page, "http.response.status_code"), 200);
        assert!(
            text(&page.attributes, "anthropic_ecs.page.from")
                < text(&page.attributes, "anthropic_ecs.page.to")
        );
        assert!(page.links.iter().any(|link| walks.contains(link.span_id.as_slice())), "a page of no walk");
    }
    let delivered = documents(folder.path()).lines().count() as i64;
    let (metrics, _) = collector.metrics();
    assert_eq!(metrics["anthropic_ecs_records_delivered_total"], delivered as f64);
    let rows: i64 = pages.iter().map(|page| number(page, "anthropic_ecs.page.rows_new")).sum();
    assert_eq!(rows, delivered);
    let ids: BTreeSet<&[u8]> = pages.iter().map(|page| page.span_id.as_slice()).collect();
    let batches = named(&spans, "batch");
    assert!(batches.iter().all(|batch| ids.contains(batch.parent_span_id.as_slice())), "a batch of no page");
    // Neither the key nor anything of a record.
    for request in collector.received() {
        let found = request.body.windows(key.len()).any(|window| window == key.as_bytes());
        assert!(!found, "the key was sent to {}", request.path);
    }
    for attribute in spans.iter().flat_map(|span| &span.attributes) {
        let text = text(std::slice::from_ref(attribute), &attribute.key).unwrap_or_default();
        assert!(!text.contains('@') && !text.contains("actor"), "{attribute:?}");
    }
}

/// What goes wrong at the sink is in the spans, with its cause; a server's words about a document are not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_is_seen_with_its_cause() {
    let ids: Vec<String> = samples()
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["id"].as_str().unwrap().to_owned()
        })
        .collect();
    let elasticsearch = FakeElasticsearch::start().await;
    elasticsearch.trouble(Trouble::Status(503, "", String::new()));
    elasticsearch.item(&ids[0], 429, "es_rejected_execution_exception", "later");
    elasticsearch.item(&ids[1], 400, "document_parsing_exception", "the value 'jane-of-the-record' is none");
    let collector = Collector::start(Manner::Takes).await;
    let folder = folder_for(
        &format!("type = \"elasticsearch\"\nurl = \"{}\"", elasticsearch.url()),
        &format!("[telemetry.otlp]\nendpoint = \"http://{}\"\n", collector.address),
    );
    let output = run(folder.path(), RUN, &[]).await;
    assert_eq!(code(&output), 3, "{}", stderr(&output));

    let spans = collector.spans();
    sound(&spans);
    let writes = named(&spans, "write");
    let first = writes.iter().min_by_key(|write| write.start_time_unix_nano).unwrap();
    assert_eq!(number(first, "anthropic_ecs.write.attempt"), 1);
    let status = first.status.as_ref().unwrap();
    assert_eq!(status.code(), StatusCode::Error);
    assert!(status.message.contains("503"), "{status:?}");
    assert!(text(&first.attributes, "error.type").is_some());
    let bulks = named(&spans, "bulk");
    let of = |write: &Span| bulks.iter().find(|bulk| bulk.parent_span_id == write.span_id).copied().unwrap();
    assert_eq!(number(of(first), "http.response.status_code"), 503);
    assert_eq!(text(&of(first).attributes, "db.collection.name"), Some("logs-anthropic.audit-default"));
    let answered: Vec<&&Span> =
        writes.iter().filter(|write| number(of(write), "http.response.status_code") == 200).collect();
    let sum = |name: &str| answered.iter().map(|write| number(write, name)).sum::<i64>();
    assert_eq!(sum("anthropic_ecs.write.delivered"), ids.len() as i64 - 1);
    assert_eq!((sum("anthropic_ecs.write.rejected"), sum("anthropic_ecs.write.retried")), (1, 1));
    assert!(answered.iter().all(|write| number(write, "anthropic_ecs.write.attempt") > 1));
    assert_eq!(number(named(&spans, "bury")[0], "anthropic_ecs.bury.letters"), 1);
    for request in collector.received() {
        assert!(!String::from_utf8_lossy(&request.body).contains("jane-of-the-record"), "{}", request.path);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_to_kafka_are_seen_as_such() {
    let kafka = MockCluster::new(1).unwrap();
    kafka.create_topic("ecs", 3, 1).unwrap();
    let collector = Collector::start(Manner::Takes).await;
    let folder = folder_for(
        &format!("type = \"kafka\"\nbrokers = \"{}\"\ntopic = \"ecs\"", kafka.bootstrap_servers()),
        &format!("[telemetry.otlp]\nendpoint = \"http://{}\"\n", collector.address),
    );
    let output = run(folder.path(), RUN, &[]).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let spans = collector.spans();
    sound(&spans);
    let (sends, writes) = (named(&spans, "send"), named(&spans, "write"));
    let messages: i64 = sends.iter().map(|send| number(send, "messaging.batch.message_count")).sum();
    assert_eq!(messages, samples().lines().count() as i64);
    for send in sends {
        assert_eq!(send.kind(), SpanKind::Producer);
        assert_eq!(text(&send.attributes, "messaging.system"), Some("kafka"));
        assert_eq!(text(&send.attributes, "messaging.destination.name"), Some("ecs"));
        assert!(writes.iter().any(|write| write.span_id == send.parent_span_id), "a message of no write");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_from_kafka_are_seen_with_their_place() {
    let kafka = MockCluster::new(1).unwrap();
    kafka.create_topic("raw", 1, 1).unwrap();
    let brokers = kafka.bootstrap_servers();
    let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", &brokers).create().unwrap();
    let records: Vec<String> = samples().lines().take(5).map(str::to_owned).collect();
    for record in &records {
        producer.send(BaseRecord::<(), str>::to("raw").payload(record)).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(LONG).unwrap();
    let collector = Collector::start(Manner::Takes).await;
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "[source]\ntype = \"kafka\"\nbrokers = \"{brokers}\"\ntopics = [\"raw\"]\ngroup = \"stage\"\n\
         librdkafka = {{ \"session.timeout.ms\" = 3000 }}\n\
         [sink]\ntype = \"ndjson\"\npath = \"out.ndjson\"\n\
         [telemetry]\nlisten = \"off\"\n[telemetry.otlp]\nendpoint = \"http://{}\"\ninterval = \"1s\"\n",
        collector.address
    );
    fs::write(folder.path().join("c.toml"), config).unwrap();
    let mut command = program(RUN);
    let mut child =
        command.current_dir(folder.path()).stderr(std::process::Stdio::inherit()).spawn().unwrap();
    let all = || fs::read_to_string(folder.path().join("out.ndjson")).unwrap_or_default().lines().count();
    let deadline = Instant::now() + LONG;
    // Metrics come while it runs, not only at its end.
    let told = || collector.received().iter().filter(|request| request.path == "/v1/metrics").count();
    while all() < records.len() || told() < 2 {
        assert!(Instant::now() < deadline, "the records are not delivered, or nothing is told of them");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    signal(&child, "TERM");
    assert!(tokio::task::spawn_blocking(move || child.wait()).await.unwrap().unwrap().success());

    let spans = collector.spans();
    sound(&spans);
    let full = named(&spans, "batch");
    let full: Vec<&Span> =
        full.into_iter().filter(|span| number(span, "anthropic_ecs.batch.records") > 0).collect();
    assert_eq!(number(full[0], "messaging.kafka.offset"), 0);
    for batch in &full {
        assert_eq!(batch.kind(), SpanKind::Consumer);
        assert_eq!(text(&batch.attributes, "messaging.system"), Some("kafka"));
        assert_eq!(text(&batch.attributes, "messaging.destination.name"), Some("raw"));
        assert_eq!(text(&batch.attributes, "messaging.destination.partition.id"), Some("0"));
    }
    let count = |span: &&Span| number(span, "messaging.batch.message_count");
    assert_eq!(full.iter().map(count).sum::<i64>(), 5);
}

/// Whatever a collector does, the run ends well, and with the same documents; the log has a line that says what to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_collector_costs_nothing_but_spans() {
    let without = folder("");
    assert_eq!(code(&run(without.path(), RUN, &[]).await), 0);
    let expected = documents(without.path());
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for manner in [
        None,
        Some(Manner::Answers(500)),
        Some(Manner::Answers(503)),
        Some(Manner::Answers(401)),
        Some(Manner::Hangs),
    ] {
        let collector = match manner {
            None => None,
            Some(manner) => Some(Collector::start(manner).await),
        };
        let address = collector.as_ref().map_or(nobody, |collector| collector.address);
        let folder = folder(&format!(
            "[telemetry.otlp]\nendpoint = \"http://{address}\"\ntimeout = \"500ms\"\nheaders = {{ x-token = \"{TOKEN}\" }}\n"
        ));
        let output = run(folder.path(), RUN, &[]).await;
        let said = stderr(&output);
        assert_eq!(code(&output), 0, "{manner:?}: {said}");
        assert!(documents(folder.path()) == expected, "{manner:?}: other documents");
        assert!(!said.contains(TOKEN), "{manner:?}: {said}");
        let warnings: Vec<&str> = said.lines().filter(|line| line.contains("otlp traces")).collect();
        assert_eq!(warnings.len(), 1, "{manner:?}: {said}");
        assert!(warnings[0].contains("records are delivered all the same"), "{manner:?}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_behind_tls_needs_its_authority() {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let signed =
        CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    let tls = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![signed.der().clone()],
            PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der())),
        )
        .unwrap();
    let tls = TlsAcceptor::from(Arc::new(tls));
    let collector = Collector::with_tls(Manner::Takes, Some(tls)).await;
    let endpoint =
        format!("[telemetry.otlp]\nendpoint = \"https://localhost:{}\"\n", collector.address.port());
    let untrusted = folder(&endpoint);
    let output = run(untrusted.path(), RUN, &[]).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(
        collector.received().is_empty() && stderr(&output).contains("certificate"),
        "{}",
        stderr(&output)
    );

    let trusted = folder(&format!("{endpoint}ca_file = \"ca.pem\"\n"));
    fs::write(trusted.path().join("ca.pem"), authority.pem()).unwrap();
    let output = run(trusted.path(), RUN, &[]).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    sound(&collector.spans());
    assert!(!collector.spans().is_empty() && !collector.metrics().0.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_asks_the_collector() {
    const CHECK: &[&str] = &["check", "--config", "c.toml"];
    const CONNECT: &[&str] = &["check", "--config", "c.toml", "--connect"];
    let table = |address: SocketAddr| {
        format!(
            "[telemetry.otlp]\nendpoint = \"http://{address}\"\nheaders = {{ authorization = \"Bearer {TOKEN}\" }}\n"
        )
    };
    let collector = Collector::start(Manner::Takes).await;
    let good = folder(&table(collector.address));
    let all = |output: &Output| format!("{}{}", String::from_utf8_lossy(&output.stdout), stderr(output));
    let output = run(good.path(), CHECK, &[]).await;
    assert_eq!((code(&output), collector.connections.load(Ordering::SeqCst)), (0, 0), "{}", all(&output));
    let output = run(good.path(), CONNECT, &[]).await;
    assert_eq!(code(&output), 0, "{}", all(&output));
    assert!(all(&output).contains("takes traces and metrics"), "{}", all(&output));
    // Nothing is left there.
    assert!(collector.received().iter().all(|request| request.body.is_empty()));

    let strict = Collector::start(Manner::Answers(401)).await;
    let bad = folder(&table(strict.address));
    let output = run(bad.path(), CONNECT, &[]).await;
    let said = all(&output);
    assert_eq!(code(&output), 2, "{said}");
    assert!(said.contains("answered 401") && said.contains("`headers`") && !said.contains(TOKEN), "{said}");
}
