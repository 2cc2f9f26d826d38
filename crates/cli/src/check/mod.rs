//! `check`: whether a configuration can be used; with `--connect`, whether the world is as it says.
//!
//! Owns the order in which things are looked at, which is the order in which one would repair them, and how findings are
//! shown. Nothing is changed, neither here nor there.

mod local;

use std::io::{self, Write};
use std::time::Duration;

use model::fault::Fault;
use output::elasticsearch::{Elasticsearch, ElasticsearchConfig, Finding};

use crate::args::CheckArgs;
use crate::config::{Config, DeadLettersConfig, Listen, OtlpConfig, Sink, Source};
use crate::failure::{Ending, Failure};
use crate::run::wire::Knowledge;
use crate::status;
use crate::telemetry::{self, Listener};
use crate::terminal::shown;

/// How long a broker may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs the mode.
pub(crate) fn run(args: &CheckArgs) -> Result<Ending, Failure> {
    let config = Config::read(&args.config)?;
    let mut report = Report::default();
    report.good("configuration", format!("{} reads well", args.config.display()));
    match Knowledge::load(&config) {
        Ok(knowledge) => {
            let geo = config.mapper.geoip.len();
            let types = knowledge.mapping.tables().activities.len();
            report.good("mapper", format!("{types} activity types, {}", number(geo, "GeoIP database")));
        }
        // Tables tell all their problems at once, one on each line.
        Err(failure) => {
            failure.message().unwrap_or_default().lines().for_each(|line| report.bad("mapper", line));
        }
    }
    local::look(&config, &mut report);
    told(&config, &mut report);
    if args.connect {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
        runtime.block_on(async {
            connect(&config, &mut report).await;
            listener(&config, &mut report).await;
            collector(&config, &mut report).await;
        });
        runtime.shutdown_background();
    }
    report.print().map_err(Failure::writing)?;
    Ok(if report.bad == 0 { Ending::Done } else { Ending::Usage })
}

/// Begins the lines that make the exit status.
const WRONG: &str = "WRONG";

/// What was found, line by line.
#[derive(Default)]
struct Report {
    lines: Vec<(&'static str, &'static str, String)>,
    bad: usize,
}

impl Report {
    fn good(&mut self, part: &'static str, words: impl Into<String>) {
        self.add("ok", part, &words.into());
    }

    fn unclear(&mut self, part: &'static str, words: impl Into<String>) {
        self.add("?", part, &words.into());
    }

    fn bad(&mut self, part: &'static str, words: impl Into<String>) {
        self.bad += 1;
        self.add(WRONG, part, &words.into());
    }

    /// Adds a line. Much of what it says was said by a server.
    fn add(&mut self, mark: &'static str, part: &'static str, words: &str) {
        self.lines.push((mark, part, shown(words)));
    }

    /// Whether something was found wrong with a part.
    fn is_bad(&self, part: &str) -> bool {
        self.lines.iter().any(|(mark, of, _)| *mark == WRONG && *of == part)
    }

    fn result(&mut self, part: &'static str, result: Result<String, Fault>) {
        match result {
            Ok(words) => self.good(part, words),
            Err(fault) => self.bad(part, fault.to_string()),
        }
    }

    fn print(&self) -> io::Result<()> {
        let mut out = io::stdout();
        for (mark, part, words) in &self.lines {
            writeln!(out, "{mark:<6}{part:<14}{words}")?;
        }
        match self.bad {
            0 => Ok(()),
            1 => writeln!(out, "1 thing is wrong"),
            bad => writeln!(out, "{bad} things are wrong"),
        }
    }
}

/// A number of things in words.
fn number(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Where the stage is to listen, and whom it is to tell about itself, as far as that can be told without trying.
fn told(config: &Config, report: &mut Report) {
    match config.telemetry.listen() {
        Listen::Off => report.good("telemetry", "off"),
        Listen::Usual(address) => report.good("telemetry", format!("{address}, unless that is taken")),
        Listen::At(address) => {
            report.good("telemetry", address.to_string());
            if !address.ip().is_loopback() {
                let words = "`listen` is no loopback address, and nobody is asked who they are: see that only machines you trust reach it";
                report.unclear("telemetry", words);
            }
        }
    }
    match config.telemetry.otlp.as_ref().map(OtlpConfig::validate) {
        None => {}
        Some(Ok(otlp)) => {
            let urls: Vec<&str> = otlp.traces.iter().chain(&otlp.metrics).map(|url| url.as_str()).collect();
            report.good("telemetry", format!("sent to {}", urls.join(" and ")));
            if otlp.sends_secrets_in_the_clear() {
                let words = "`headers` of [telemetry.otlp] go over the network unencrypted: give `endpoint` an address with https://";
                report.unclear("telemetry", words);
            }
        }
        Some(Err(fault)) => report.bad("telemetry", fault.to_string()),
    }
}

/// Whether the collector takes what it is to be sent, by requests with nothing in them.
async fn collector(config: &Config, report: &mut Report) {
    if let Some(Ok(otlp)) = config.telemetry.otlp.as_ref().map(OtlpConfig::validate) {
        report.result("telemetry", telemetry::probe(&otlp).await);
    }
}

/// Whether the stage could listen there now.
async fn listener(config: &Config, report: &mut Report) {
    let Listen::At(address) = config.telemetry.listen() else { return };
    match Listener::bind(address).await {
        Ok(_) => report.good("telemetry", format!("{address} can be listened at")),
        Err(_) if status::ask(&format!("http://{address}")).await.is_ok() => {
            let words =
                format!("a stage listens at {address}; if it is not this one, give `listen` another port");
            report.unclear("telemetry", words);
        }
        Err(fault) => report.bad("telemetry", fault.to_string()),
    }
}

/// What servers say, of parts that were found well here.
async fn connect(config: &Config, report: &mut Report) {
    match &config.source {
        _ if report.is_bad("source") => {}
        Source::ComplianceApi(source) => {
            let found = match source.validate() {
                Ok(settings) => ingest::api::probe(&settings).await,
                Err(fault) => Err(fault),
            };
            report.result("source", found);
        }
        Source::Kafka(source) => report.result("source", topics(source).await),
        Source::File(_) => {}
    }
    match &config.sink {
        _ if report.is_bad("sink") => {}
        Sink::Elasticsearch(sink) => cluster(sink, report).await,
        Sink::Kafka(sink) => report.result("sink", topic(sink).await),
        Sink::Ndjson(_) => {}
    }
    if let DeadLettersConfig::Kafka(letters) = &config.dead_letters
        && !report.is_bad("dead letters")
    {
        report.result("dead letters", topic(letters).await);
    }
}

/// Asks after topics to be read.
async fn topics(config: &ingest::kafka::Config) -> Result<String, Fault> {
    let found = ingest::kafka::probe(&config.settings()?, PATIENCE).await?;
    let topic =
        |(topic, partitions): &(String, usize)| format!("{topic} ({})", number(*partitions, "partition"));
    Ok(format!(
        "{}; {}; the group has {}",
        number(found.brokers, "broker"),
        found.topics.iter().map(topic).collect::<Vec<_>>().join(", "),
        number(found.positions, "position")
    ))
}

/// Asks a cluster that is to be written to.
async fn cluster(config: &ElasticsearchConfig, report: &mut Report) {
    match config.validate().and_then(|settings| Elasticsearch::open(&settings)) {
        Ok(sink) => {
            for finding in sink.probe().await {
                match finding {
                    Finding::Good(words) => report.good("sink", words),
                    Finding::Unclear(words) => report.unclear("sink", words),
                    Finding::Bad(fault) => report.bad("sink", fault.to_string()),
                }
            }
        }
        Err(fault) => report.bad("sink", fault.to_string()),
    }
}

/// Asks after a topic to be written to.
async fn topic(config: &output::kafka::Config) -> Result<String, Fault> {
    let found = output::kafka::probe(&config.settings()?, PATIENCE).await?;
    let (brokers, partitions) = (number(found.brokers, "broker"), number(found.partitions, "partition"));
    Ok(format!("{brokers}; {} ({partitions})", config.topic))
}
