//! `check`: whether a configuration can be used; with `--connect`, whether the world is as it says.
//!
//! Owns the order in which things are looked at, which is the order in which one would repair them, and how findings are
//! shown. Nothing is changed, neither here nor there.

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
            report.good("mapper", format!("{types} activity types, {geo} GeoIP databases"));
        }
        Err(failure) => report.bad("mapper", failure.message().unwrap_or_default()),
    }
    statics(&config, &mut report);
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

/// What can be told without reaching a server.
fn statics(config: &Config, report: &mut Report) {
    let fine = |words: &str| Ok(words.to_owned());
    let source = match &config.source {
        Source::ComplianceApi(source) => source.validate().map(|settings| {
            for warning in settings.warnings() {
                report.unclear("source", warning);
            }
            "compliance_api".to_owned()
        }),
        Source::Kafka(source) => source.settings().map(|_| "kafka".to_owned()),
        Source::File(source) => source.clone().validate().map(|_| "file".to_owned()),
    };
    report.result("source", source);
    report.result(
        "sink",
        match &config.sink {
            Sink::Elasticsearch(sink) => sink.validate().map(|_| "elasticsearch".to_owned()),
            Sink::Kafka(sink) => sink.settings().map(|_| "kafka".to_owned()),
            Sink::Ndjson(sink) => sink.clone().validate().map(|_| "ndjson".to_owned()),
        },
    );
    report.result(
        "dead letters",
        match &config.dead_letters {
            DeadLettersConfig::File(letters) => fine(&letters.path.display().to_string()),
            DeadLettersConfig::Kafka(letters) => {
                letters.settings().map(|_| format!("topic {}", letters.topic))
            }
        },
    );
}

/// What servers say.
async fn connect(config: &Config, report: &mut Report) {
    match &config.source {
        Source::ComplianceApi(source) => {
            let found = match source.validate() {
                Ok(settings) => ingest::api::probe(&settings).await,
                Err(fault) => Err(fault),
            };
            report.result("source", found);
        }
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
                        .map(|(topic, partitions)| format!("{topic} ({partitions} partitions)"))
                        .collect();
                    format!(
                        "{} brokers; {}; the group has {} positions",
                        found.brokers,
                        topics.join(", "),
                        found.positions
                    )
                }),
            );
        }
        Source::File(source) => match ingest::file::expand(&source.paths) {
            Ok(found) => report.good("source", format!("{} files", found.inputs.len())),
            Err(error) => report.bad("source", error.to_string()),
        },
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
                Err(fault) => report.bad("sink", fault.to_string()),
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
    Ok(format!("{} brokers; {} ({} partitions)", found.brokers, config.topic, found.partitions))
}
