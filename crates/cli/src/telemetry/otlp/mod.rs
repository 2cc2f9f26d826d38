//! Traces and metrics to an OpenTelemetry collector, by OTLP over HTTP, if `[telemetry.otlp]` names one.
//!
//! Owns everything between the spans and numbers of a stage and the collector's address: what is kept while it is away, what
//! is left out, and how long the end may take. Must not be able to stop, slow down or change the run.
//!
//! The way of a span: `tracing` makes it where something happens, [`spans`] turns it into OpenTelemetry's form and into a
//! bounded queue, the task below takes it out again, and `client` sends it. The way of a number is shorter: `metrics` reads
//! the table whenever it is time.
//!
//! The subtle thing: a queue that is full loses spans and nothing else, and its other end is a task that nobody waits for but
//! for a moment at the end. Numbers need no queue: those of the next time hold those of the last.

mod client;
mod metrics;
pub(super) mod spans;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fastrand::Rng;
use model::fault::Fault;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_sdk::trace::SpanData;
use pipeline::{Backoff, Health, Stop, StopHandle};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout};
use tracing::Subscriber;
use tracing_subscriber::layer::Layer;
use tracing_subscriber::registry::LookupSpan;

use super::facts::Facts;
use crate::config::{Otlp, TelemetryConfig};
use client::Client;

/// How many spans wait for the collector; more are left out. A span takes about a kilobyte.
const MOST_WAITING: usize = 2_048;

/// How many spans are sent at once, and for how long the first of them waits for others.
const MOST_AT_ONCE: usize = 512;
const COMPANY: Duration = Duration::from_secs(1);

/// How often the same spans are tried while the collector is away: for some twenty seconds, as long as a restart may take.
const MOST_TRIES: u32 = 10;

/// How long the end of a run may take for what is left.
const LAST_STEP: Duration = Duration::from_secs(3);

/// What came of it, for the table of metrics and for the log.
#[derive(Debug)]
pub(super) struct Counts {
    pub(super) traces: Signal,
    pub(super) metrics: Signal,
    /// Spans that never reached the collector.
    pub(super) spans_dropped: AtomicU64,
}

/// What came of one of the two.
#[derive(Debug)]
pub(super) struct Signal {
    /// Its name in metrics.
    pub(super) name: &'static str,
    pub(super) accepted: AtomicU64,
    pub(super) failed: AtomicU64,
    /// Writes the lines in the log.
    health: Health,
}

impl Signal {
    fn new(name: &'static str, part: &'static str) -> Self {
        Self { name, accepted: AtomicU64::new(0), failed: AtomicU64::new(0), health: Health::new(part) }
    }

    fn sent(&self, result: &Result<(), Fault>) {
        match result {
            Ok(()) => {
                self.accepted.fetch_add(1, Ordering::Relaxed);
                self.health.worked();
            }
            Err(fault) => {
                self.failed.fetch_add(1, Ordering::Relaxed);
                self.health.failed(fault);
            }
        }
    }
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            traces: Signal::new("traces", "otlp traces"),
            metrics: Signal::new("metrics", "otlp metrics"),
            spans_dropped: AtomicU64::new(0),
        }
    }
}

impl Counts {
    fn dropped(&self, spans: usize) {
        self.spans_dropped.fetch_add(spans as u64, Ordering::Relaxed);
    }
}

/// The export of a stage; nothing at all if the configuration does not ask for it.
pub(crate) struct Export(Option<On>);

struct On {
    otlp: Otlp,
    client: Arc<Client>,
    counts: Arc<Counts>,
    /// One end is with whatever makes spans, the other waits here for the task that sends them.
    queue: (mpsc::Sender<SpanData>, Option<mpsc::Receiver<SpanData>>),
    end: (StopHandle, Stop),
    tasks: JoinSet<()>,
}

impl Export {
    /// Gets ready; nobody is reached yet.
    ///
    /// # Errors
    ///
    /// What in `[telemetry.otlp]` makes no sense, or a certificate that cannot be read.
    pub(crate) fn open(config: &TelemetryConfig) -> Result<Self, Fault> {
        let Some(otlp) = &config.otlp else { return Ok(Self(None)) };
        let otlp = otlp.validate()?;
        let (sender, receiver) = mpsc::channel(MOST_WAITING);
        Ok(Self(Some(On {
            client: Arc::new(Client::new(&otlp)?),
            otlp,
            counts: Arc::default(),
            queue: (sender, Some(receiver)),
            end: pipeline::stop(),
            tasks: JoinSet::new(),
        })))
    }

    /// What takes up spans, if they are to be sent.
    pub(crate) fn layer<S>(&self) -> Option<impl Layer<S> + use<S>>
    where
        S: Subscriber + for<'s> LookupSpan<'s>,
    {
        let on = self.0.as_ref().filter(|on| on.otlp.traces.is_some())?;
        Some(spans::layer(on.queue.0.clone(), Arc::clone(&on.counts), on.otlp.sample_ratio))
    }

    /// Begins to send, from within a runtime.
    pub(super) fn begin(&mut self, facts: &Arc<Facts>) {
        let Some(on) = &mut self.0 else { return };
        say_where(&on.otlp);
        // There is one stage; of a second, nothing would be sent.
        let _ = facts.otlp.set(Arc::clone(&on.counts));
        let resource = resource(&on.otlp);
        if let (Some(_), Some(queue)) = (&on.otlp.traces, on.queue.1.take()) {
            let shipping = Shipping {
                client: Arc::clone(&on.client),
                counts: Arc::clone(&on.counts),
                resource: resource.clone(),
                end: on.end.1.clone(),
                random: Rng::new(),
            };
            on.tasks.spawn(shipping.run(queue));
        }
        if on.otlp.metrics.is_some() {
            let (client, counts) = (Arc::clone(&on.client), Arc::clone(&on.counts));
            let (facts, end) = (Arc::clone(facts), on.end.1.clone());
            on.tasks.spawn(report(facts, client, counts, resource, on.otlp.interval, end));
        }
    }

    /// Sends what is left, for a moment at most.
    pub(crate) async fn finish(self) {
        let Some(mut on) = self.0 else { return };
        on.end.0.stop();
        let all = async { while on.tasks.join_next().await.is_some() {} };
        if timeout(LAST_STEP, all).await.is_err() {
            tracing::warn!(
                "the OpenTelemetry collector did not take the last spans or metrics in time; records are not concerned"
            );
        }
    }
}

fn say_where(otlp: &Otlp) {
    let address = |url: &Option<reqwest::Url>| url.as_ref().map(|url| url.as_str().to_owned());
    tracing::info!(
        traces = address(&otlp.traces),
        metrics = address(&otlp.metrics),
        "telemetry is sent to a collector"
    );
    if otlp.sends_secrets_in_the_clear() {
        tracing::warn!("the headers of [telemetry.otlp] go over the network unencrypted");
    }
}

/// Whose spans and numbers these are: what the configuration says, then our own.
fn resource(otlp: &Otlp) -> Resource {
    let instance = Rng::new().u128(..);
    // A UUID of version 4, by RFC 9562.
    let instance = (instance & !(0xf << 76) & !(0b11 << 62)) | (0x4 << 76) | (0b10 << 62);
    let digits = format!("{instance:032x}");
    let mut parts = Vec::with_capacity(5);
    let mut rest = digits.as_str();
    for length in [8, 4, 4, 4, 12] {
        let (part, behind) = rest.split_at_checked(length).unwrap_or((rest, ""));
        parts.push(part);
        rest = behind;
    }
    let own = [
        ("service.instance.id", parts.join("-")),
        ("service.name", "anthropic-ecs".to_owned()),
        ("service.version", env!("CARGO_PKG_VERSION").to_owned()),
    ];
    let own = own.into_iter().filter(|(name, _)| !otlp.resource.contains_key(*name));
    let said = otlp.resource.iter().map(|(name, value)| attribute(name, value));
    let attributes = own.map(|(name, value)| attribute(name, &value)).chain(said).collect();
    Resource { attributes, ..Resource::default() }
}

fn attribute(name: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) });
    KeyValue { key: name.to_owned(), value, ..KeyValue::default() }
}

/// Sends metrics again and again, and once more at the end. What does not arrive is not tried again: the next numbers hold it.
async fn report(
    facts: Arc<Facts>,
    client: Arc<Client>,
    counts: Arc<Counts>,
    resource: Resource,
    every: Duration,
    mut end: Stop,
) {
    let mut ticks = interval_at(Instant::now() + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let last = tokio::select! {
            biased;
            () = end.asked() => true,
            _ = ticks.tick() => false,
        };
        let sent = client.metrics(&metrics::request(&facts, &resource)).await;
        counts.metrics.sent(&sent);
        if last {
            return;
        }
    }
}

/// What is needed to send spans.
struct Shipping {
    client: Arc<Client>,
    counts: Arc<Counts>,
    resource: Resource,
    end: Stop,
    random: Rng,
}

impl Shipping {
    /// Sends spans until the end, and then those that are left.
    async fn run(mut self, mut queue: mpsc::Receiver<SpanData>) {
        let mut spans = Vec::with_capacity(MOST_AT_ONCE);
        while self.gather(&mut queue, &mut spans).await {
            self.send(&mut queue, std::mem::take(&mut spans)).await;
        }
    }

    /// Waits for spans, and a little longer for company. False when there will be no more.
    async fn gather(&mut self, queue: &mut mpsc::Receiver<SpanData>, spans: &mut Vec<SpanData>) -> bool {
        let mut due: Option<Instant> = None;
        let mut open = !self.end.is_asked();
        if !open {
            queue.close();
        }
        while spans.len() < MOST_AT_ONCE {
            let room = MOST_AT_ONCE - spans.len();
            tokio::select! {
                biased;
                () = self.end.asked(), if open => {
                    // What is in it still comes out.
                    queue.close();
                    open = false;
                }
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() && open => break,
                came = queue.recv_many(spans, room) => {
                    if came == 0 {
                        break;
                    }
                    due.get_or_insert_with(|| Instant::now() + COMPANY);
                }
            }
        }
        !spans.is_empty()
    }

    /// Sends spans, again and again for some time if the collector is away; it is not waited for at the end.
    async fn send(&mut self, queue: &mut mpsc::Receiver<SpanData>, spans: Vec<SpanData>) {
        let count = spans.len();
        let request = spans::request(spans, &self.resource);
        for tries in 1..=MOST_TRIES {
            let sent = self.client.traces(&request).await;
            self.counts.traces.sent(&sent.as_ref().map(|_| ()).map_err(|refused| refused.fault.clone()));
            let refused = match sent {
                Ok(rejected) => return self.counts.dropped(rejected),
                Err(refused) => refused,
            };
            if !refused.may_pass_later || self.end.is_asked() {
                break;
            }
            let wait = Backoff::default().delay(tries, &refused.fault, &mut self.random);
            tokio::select! {
                () = self.end.asked() => queue.close(),
                () = tokio::time::sleep(wait) => {}
            }
        }
        self.counts.dropped(count);
    }
}

/// Asks the collector whether it takes what is configured, by requests with nothing in them; see `check`.
///
/// # Errors
///
/// What stands in the way.
pub(crate) async fn probe(otlp: &Otlp) -> Result<String, Fault> {
    let client = Client::new(otlp)?;
    let mut taken = Vec::new();
    if otlp.traces.is_some() {
        client.traces(&Default::default()).await.map_err(|refused| refused.fault)?;
        taken.push("traces");
    }
    if otlp.metrics.is_some() {
        client.metrics(&Default::default()).await?;
        taken.push("metrics");
    }
    Ok(format!("the collector takes {}", taken.join(" and ")))
}
