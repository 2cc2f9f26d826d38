//! What is sent, held against the table of metrics, the list of spans, and the page about both.
//!
//! `UPDATE_GOLDEN=1` rewrites the table in the page.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::metrics::v1::AggregationTemporality;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use prost::Message;
use tokio::net::TcpListener;
use tracing_subscriber::layer::SubscriberExt;

use super::super::exposition::Exposition;
use super::super::table::METRICS;
use super::super::testing;
use super::spans::SPANS;
use super::*;

fn root(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join(path)
}

fn text(value: &Option<AnyValue>) -> &str {
    match value {
        Some(AnyValue { value: Some(any_value::Value::StringValue(text)) }) => text,
        other => panic!("no text: {other:?}"),
    }
}

/// Labels as they stand behind a name in the text of `/metrics`.
fn labels(attributes: &[KeyValue]) -> String {
    let escaped = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let labels: Vec<String> =
        attributes.iter().map(|one| format!("{}=\"{}\"", one.key, escaped(text(&one.value)))).collect();
    labels.join(",")
}

/// The samples of `/metrics`: name and labels, and the value.
fn exposed(text: &str) -> BTreeMap<String, f64> {
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(name, value)| (name.to_owned(), value.parse().unwrap()))
        .collect()
}

fn sample(name: &str, labels: &str) -> String {
    if labels.is_empty() { name.to_owned() } else { format!("{name}{{{labels}}}") }
}

/// Every row that has something to say is sent under its name, with its unit, its words, its labels and its values: those
/// that `/metrics` has, and no others.
#[test]
fn metrics_are_those_of_the_page() {
    let facts = Arc::new(testing::busy());
    let (_, page) = Exposition::new(Arc::clone(&facts)).text("*/*").unwrap();
    let mut page = exposed(&page);
    let sent = metrics::request(&facts, &Resource::default()).encode_to_vec();
    let sent = ExportMetricsServiceRequest::decode(sent.as_slice()).unwrap();
    let scope = &sent.resource_metrics[0].scope_metrics[0];
    let mut names = BTreeSet::new();
    for metric in &scope.metrics {
        let row = METRICS.iter().find(|row| row.name == metric.name).expect("a name of the table");
        assert!(names.insert(row.name) && metric.description == row.help, "{}", row.name);
        let unit = match row.name.trim_end_matches("_total").rsplit('_').next() {
            Some("seconds") => "s",
            Some("bytes") => "By",
            _ => "",
        };
        assert_eq!(metric.unit, unit, "{}", row.name);
        let kind = text(&metric.metadata[0].value);
        let (numbers, histograms) = match metric.data.clone().unwrap() {
            Data::Gauge(gauge) => {
                assert_eq!(kind, "gauge");
                (gauge.data_points, Vec::new())
            }
            Data::Sum(sum) => {
                assert_eq!((kind == "counter", kind == "info"), (sum.is_monotonic, !sum.is_monotonic));
                assert_eq!(sum.aggregation_temporality(), AggregationTemporality::Cumulative);
                (sum.data_points, Vec::new())
            }
            Data::Histogram(histogram) => {
                assert_eq!(kind, "histogram");
                assert_eq!(histogram.aggregation_temporality(), AggregationTemporality::Cumulative);
                (Vec::new(), histogram.data_points)
            }
            other => panic!("{other:?}"),
        };
        let mut take = |name: String, value: f64| {
            let there = page.remove(&name).unwrap_or_else(|| panic!("{name} is not in {page:?}"));
            let moves = name.contains("_age_");
            assert!(moves || (there - value).abs() < 1e-9, "{name}: {there} and {value}");
        };
        for point in numbers {
            let value = match point.value.unwrap() {
                Number::AsInt(value) => value as f64,
                Number::AsDouble(value) => value,
            };
            assert!(point.time_unix_nano > 0 && (point.start_time_unix_nano > 0) != (kind == "gauge"));
            take(sample(row.name, &labels(&point.attributes)), value);
        }
        for point in histograms {
            let own = labels(&point.attributes);
            take(sample(&format!("{}_count", row.name), &own), point.count as f64);
            take(sample(&format!("{}_sum", row.name), &own), point.sum.unwrap());
            assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
            let bounds = point.explicit_bounds.iter().map(|bound| format!("{bound:?}"));
            let mut all = 0;
            for (bound, count) in bounds.chain(["+Inf".to_owned()]).zip(&point.bucket_counts) {
                all += count;
                take(format!("{}_bucket{{le=\"{bound}\"}}", row.name), all as f64);
            }
        }
    }
    assert_eq!(page, BTreeMap::new(), "is in the page and was not sent");
    assert!(names.len() > 40);
}

fn on(config: &str) -> Export {
    let config: TelemetryConfig = serde_json::from_str(config).unwrap();
    Export::open(&config).unwrap()
}

#[test]
fn nothing_is_there_unless_it_is_asked_for() {
    let off = on("{}");
    assert!(off.0.is_none() && off.layer::<tracing_subscriber::Registry>().is_none());
    let metrics = on(r#"{"otlp":{"endpoint":"http://127.0.0.1:4318","traces":false}}"#);
    assert!(metrics.0.is_some() && metrics.layer::<tracing_subscriber::Registry>().is_none());
    let refused = serde_json::from_str(r#"{"otlp":{"endpoint":"collector"}}"#).unwrap();
    assert!(Export::open(&refused).err().unwrap().cause.contains("`endpoint`"));
    let missing = r#"{"otlp":{"endpoint":"https://collector","ca_file":"/nowhere/ca.pem"}}"#;
    let missing = Export::open(&serde_json::from_str(missing).unwrap()).err().unwrap();
    assert!(missing.cause.contains("`ca_file`"), "{missing}");
}

#[test]
fn what_the_configuration_says_of_the_resource_goes_before_ours() {
    let export = on(
        r#"{"otlp":{"endpoint":"http://127.0.0.1:4318","resource":{"service.name":"feed","deployment.environment.name":"test"}}}"#,
    );
    let resource = resource(&export.0.unwrap().otlp);
    let said: BTreeMap<&str, &str> =
        resource.attributes.iter().map(|one| (one.key.as_str(), text(&one.value))).collect();
    assert_eq!(said.len(), resource.attributes.len());
    assert_eq!((said["service.name"], said["deployment.environment.name"]), ("feed", "test"));
    assert_eq!(said["service.version"], env!("CARGO_PKG_VERSION"));
    let instance = said["service.instance.id"];
    let lengths: Vec<usize> = instance.split('-').map(str::len).collect();
    assert_eq!(lengths, [8, 4, 4, 4, 12], "{instance}");
    assert!(&instance[14..15] == "4" && ["8", "9", "a", "b"].contains(&&instance[19..20]), "{instance}");
}

/// Nobody empties the queue: what has no place in it is counted, and whoever made it goes on.
#[test]
fn a_full_queue_costs_spans_and_nothing_else() {
    let export = on(r#"{"otlp":{"endpoint":"http://127.0.0.1:4318"}}"#);
    let subscriber = tracing_subscriber::registry().with(export.layer());
    tracing::subscriber::with_default(subscriber, || {
        for _ in 0..MOST_WAITING + 7 {
            drop(tracing::info_span!("batch"));
        }
        // Neither from elsewhere nor too fine.
        drop(tracing::info_span!(target: "hyper", "connection"));
        drop(tracing::debug_span!("batch"));
        tracing::error!("no span");
    });
    let counts = &export.0.as_ref().unwrap().counts;
    assert_eq!(counts.spans_dropped.load(Ordering::Relaxed), 7);
}

#[test]
fn a_sample_is_of_whole_traces() {
    for (ratio, least, most) in [(0.0, 0, 0), (1.0, 1_000, 1_000), (0.5, 400, 600)] {
        let mut export =
            on(&format!(r#"{{"otlp":{{"endpoint":"http://127.0.0.1:4318","sample_ratio":{ratio}}}}}"#));
        let subscriber = tracing_subscriber::registry().with(export.layer());
        tracing::subscriber::with_default(subscriber, || {
            for _ in 0..1_000 {
                let batch = tracing::info_span!("batch");
                drop(tracing::info_span!(parent: &batch, "map"));
            }
        });
        let mut queue = export.0.take().unwrap().queue.1.unwrap();
        let (mut parts, mut whole) = (BTreeSet::new(), BTreeSet::new());
        while let Ok(span) = queue.try_recv() {
            let of = if span.name == "map" { &mut parts } else { &mut whole };
            of.insert(span.span_context.trace_id().to_bytes());
        }
        assert_eq!(parts, whole);
        assert!((least..=most).contains(&whole.len()), "{ratio}: {}", whole.len());
    }
}

/// Every file below a folder.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The spans that the code makes, with their attributes, out of its text.
fn made() -> BTreeMap<String, BTreeSet<String>> {
    let mut paths = Vec::new();
    for name in ["ingest", "mapper", "model", "output", "pipeline"] {
        files(&root("crates").join(name).join("src"), &mut paths);
    }
    let mut made = BTreeMap::new();
    for path in paths {
        let code = fs::read_to_string(path).unwrap();
        for call in code.split("info_span!(").skip(1) {
            let call =
                &call[..call.find("\n    )").or_else(|| call.find("\n        )")).unwrap_or(call.len())];
            let ends = ["\n    )", "\n        )", ");"].map(|end| call.find(end).unwrap_or(call.len()));
            let call = &call[..ends.into_iter().min().unwrap()];
            let name = call.split('"').nth(1).unwrap();
            let attributes =
                call.lines().filter_map(|line| line.trim().split_once(" = ")).map(|(name, _)| name);
            let attributes = attributes.filter(|name| !name.starts_with("otel.")).map(str::to_owned);
            assert!(made.insert(name.to_owned(), attributes.collect()).is_none(), "{name} is made twice");
        }
    }
    made
}

#[test]
fn the_list_of_spans_is_what_the_code_makes() {
    let listed: BTreeMap<String, BTreeSet<String>> = SPANS
        .iter()
        .map(|kind| (kind.name.to_owned(), kind.attributes.iter().map(|name| (*name).to_owned()).collect()))
        .collect();
    assert_eq!(made(), listed);
}

const BEGIN: &str = "<!-- spans: made from the list in the program, a test keeps it so -->\n";
const END: &str = "<!-- end of spans -->\n";

#[test]
fn the_page_shows_the_list_of_spans() {
    let mut table = String::from(
        "\n| span | kind | what it covers | where it belongs | attributes |\n| --- | --- | --- | --- | --- |\n",
    );
    for spans::Kind { name, kind, meaning, place, attributes } in SPANS {
        let attributes: Vec<String> = attributes.iter().map(|name| format!("`{name}`")).collect();
        writeln!(table, "| `{name}` | {kind} | {meaning} | {place} | {} |", attributes.join(", ")).unwrap();
    }
    table.push('\n');
    let path = root("docs/opentelemetry.md");
    let page = fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("where the table begins");
    let (shown, behind) = rest.split_once(END).expect("where the table ends");
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        fs::write(&path, format!("{before}{BEGIN}{table}{END}{behind}")).unwrap();
        return;
    }
    assert!(shown == table, "docs/opentelemetry.md is not what the list says; UPDATE_GOLDEN=1 rewrites it");
}

/// A collector that answers with these statuses and bodies, one after the other, and counts its requests.
async fn scripted(answers: &'static [(u16, &'static [u8])]) -> (std::net::SocketAddr, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, asked) = (listener.local_addr().unwrap(), Arc::new(AtomicU64::new(0)));
    let counted = Arc::clone(&asked);
    tokio::spawn(async move {
        for (status, body) in answers {
            let (stream, _) = listener.accept().await.unwrap();
            let counted = Arc::clone(&counted);
            let service = service_fn(async |request: Request<Incoming>| {
                request.into_body().collect().await.unwrap();
                counted.fetch_add(1, Ordering::SeqCst);
                let response = Response::builder().status(*status).body(Full::new(Bytes::from_static(body)));
                Ok::<_, Infallible>(response.unwrap())
            });
            let mut http = http1::Builder::new();
            let _ = http.keep_alive(false).serve_connection(TokioIo::new(stream), service).await;
        }
    });
    (address, asked)
}

/// What may pass later is sent again, all else is given up at once; and what a collector leaves out is counted.
#[tokio::test]
async fn spans_are_tried_again_where_that_may_help() {
    let partial = ExportTraceServiceResponse {
        partial_success: Some(ExportTracePartialSuccess { rejected_spans: 2, error_message: String::new() }),
    };
    // Field 1 with a message of two bytes: field 1 is 2.
    assert_eq!(partial.encode_to_vec(), [0x0a, 0x02, 0x08, 0x02]);
    type Script = &'static [(u16, &'static [u8])];
    let scripts: [(Script, u64, u64, u64); 4] = [
        (&[(503, b""), (429, b"no more"), (200, b"")], 3, 2, 0),
        (&[(400, b""), (200, b"")], 1, 1, 3),
        (&[(301, b""), (200, b"")], 1, 1, 3),
        (&[(200, b"\x0a\x02\x08\x02")], 1, 0, 2),
    ];
    for (script, requests, failed, dropped) in scripts {
        let (address, asked) = scripted(script).await;
        let mut on = on(&format!(r#"{{"otlp":{{"endpoint":"http://{address}"}}}}"#)).0.unwrap();
        let layer = spans::layer(on.queue.0.clone(), Arc::clone(&on.counts), 1.0);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            for _ in 0..3 {
                drop(tracing::info_span!("batch"));
            }
        });
        let mut queue = on.queue.1.take().unwrap();
        let mut spans = Vec::new();
        assert_eq!(queue.recv_many(&mut spans, MOST_AT_ONCE).await, 3);
        let counts = Arc::clone(&on.counts);
        let mut shipping = Shipping {
            client: Arc::clone(&on.client),
            counts: Arc::clone(&counts),
            resource: Resource::default(),
            end: on.end.1.clone(),
            random: Rng::with_seed(1),
        };
        shipping.send(&mut queue, spans).await;
        let count = |number: &AtomicU64| number.load(Ordering::SeqCst);
        assert_eq!(count(&asked), requests, "{script:?}");
        assert_eq!(count(&counts.traces.failed), failed, "{script:?}");
        assert_eq!(count(&counts.spans_dropped), dropped, "{script:?}");
    }
}
