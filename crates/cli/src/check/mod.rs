//! `check`: whether a configuration can be used; with `--connect`, whether the world is as it says.
//!
//! Owns the order in which things are looked at, which is the order in which one would repair them, and how findings are
//! shown. Nothing is changed, neither here nor there.

mod local;

use std::io::{self, Write};
use std::time::Duration;

use model::fault::Fault;
use output::elasticsearch::{Elasticsearch, Finding};

use crate::args::CheckArgs;
use crate::config::{Config, DeadLettersConfig, Sink, Source};
use crate::failure::{Ending, Failure};
use crate::run::wire::Knowledge;

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
        Err(failure) => report.bad("mapper", failure.message().unwrap_or_default()),
    }
    local::look(&config, &mut report);
    if args.connect {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
        runtime.block_on(connect(&config, &mut report));
        runtime.shutdown_background();
    }
    report.print().map_err(Failure::writing)?;
    Ok(if report.bad == 0 { Ending::Done } else { Ending::Usage })
}

/// What was found, line by line.
#[derive(Default)]
struct Report {
    lines: Vec<(&'static str, &'static str, String)>,
    bad: usize,
}

impl Report {
    fn good(&mut self, part: &'static str, words: impl Into<String>) {
        self.lines.push(("ok", part, words.into()));
    }

    fn unclear(&mut self, part: &'static str, words: impl Into<String>) {
        self.lines.push(("?", part, words.into()));
    }

    fn bad(&mut self, part: &'static str, words: impl Into<String>) {
        self.bad += 1;
        self.lines.push(("WRONG", part, words.into()));
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

/// What servers say.
async fn connect(config: &Config, report: &mut Report) {
    match &config.source {
        Source::Kafka(source) => {
            let found = match source.settings() {
                Ok(settings) => ingest::kafka::probe(&settings, PATIENCE).await,
                Err(fault) => Err(fault),
            };
            report.result(
                "source",
                found.map(|found| {
                    let topics: Vec<String> = found
                        .topics
                        .iter()
                        .map(|(topic, partitions)| format!("{topic} ({})", number(*partitions, "partition")))
                        .collect();
                    format!(
                        "{}; {}; the group has {}",
                        number(found.brokers, "broker"),
                        topics.join(", "),
                        number(found.positions, "position")
                    )
                }),
            );
        }
        Source::File(_) => {}
    }
    match &config.sink {
        Sink::Elasticsearch(sink) => {
            match sink.validate().and_then(|settings| Elasticsearch::open(&settings)) {
                Ok(sink) => {
                    for finding in sink.probe().await {
                        match finding {
                            Finding::Good(words) => report.good("sink", words),
                            Finding::Unclear(words) => report.unclear("sink", words),
                            Finding::Bad(fault) => report.bad("sink", fault.to_string()),
                        }
                    }
                }
                // Said already.
                Err(_) => {}
            }
        }
        Sink::Kafka(sink) => report.result("sink", topic(sink).await),
        Sink::Ndjson(_) => {}
    }
    if let DeadLettersConfig::Kafka(letters) = &config.dead_letters {
        report.result("dead letters", topic(letters).await);
    }
}

/// Asks after a topic to be written to.
async fn topic(config: &output::kafka::Config) -> Result<String, Fault> {
    let found = output::kafka::probe(&config.settings()?, PATIENCE).await?;
    let (brokers, partitions) = (number(found.brokers, "broker"), number(found.partitions, "partition"));
    Ok(format!("{brokers}; {} ({partitions})", config.topic))
}
