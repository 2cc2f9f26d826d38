//! `run`: the stage a configuration describes.
//!
//! Owns the order of a start (everything that can be refused is refused before anything is read), the signals, and what the
//! end means. What happens in between is the pipeline's.

pub(crate) mod dead_letters;
mod exactly_once;
pub(crate) mod logging;
mod progress;
pub(crate) mod wire;

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Instant;

use anyhow::anyhow;
use model::fault::{Fault, FaultKind};
use pipeline::{Options, RunError, Stage, Status, StopHandle, Summary};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::args::RunArgs;
use crate::config::{Config, Sink, Source};
use crate::core_files;
use crate::failure::{Ending, Failure};
use crate::telemetry::{Export, Telemetry};
use crate::terminal::shown;

use dead_letters::Letters;
use wire::Knowledge;

/// Runs the mode.
pub(crate) fn run(args: &RunArgs) -> Result<Ending, Failure> {
    let config = Config::read(&args.config)?;
    let mut export = Export::open(&config.telemetry).map_err(|fault| failure(&fault))?;
    logging::start(&config.telemetry, args.log_level, export.layer());
    if let Some(limit) = core_files::allowed() {
        tracing::debug!(
            limit,
            "the system did not let core files be forbidden: one of this process would hold its secrets"
        );
    }
    let knowledge = Knowledge::load(&config)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::failed)?;
    let started = Instant::now();
    let outcome = runtime.block_on(async {
        let outcome = stage(&config, &knowledge, &mut export).await;
        export.finish().await;
        outcome
    });
    // A thread may still wait in a read that nothing can interrupt.
    runtime.shutdown_background();
    match outcome {
        Ok(summary) => {
            say(&closing_line(&summary, started));
            Ok(ending(&summary))
        }
        Err(Broken::Start(fault)) => Err(failure(&fault)),
        Err(Broken::Usage(failure)) => Err(failure),
        Err(Broken::Run(error)) => {
            say(&closing_line(&error.summary, started));
            Err(Failure::failed(anyhow!(shown(&error.to_string()))))
        }
    }
}

/// Why there is no good end.
enum Broken {
    /// Something could not be opened.
    Start(Fault),
    /// Something in the configuration cannot be used.
    Usage(Failure),
    /// A fault ended the run.
    Run(Box<RunError>),
}

impl From<Fault> for Broken {
    fn from(fault: Fault) -> Self {
        Self::Start(fault)
    }
}

impl From<Failure> for Broken {
    fn from(failure: Failure) -> Self {
        Self::Usage(failure)
    }
}

/// Opens source and sink, and runs.
async fn stage(config: &Config, knowledge: &Knowledge, export: &mut Export) -> Result<Summary, Broken> {
    let (handle, stop) = pipeline::stop();
    listen(handle).map_err(|error| Failure::failed(anyhow::Error::new(error)))?;
    let status = Arc::new(Status::default());
    let (shown, stops) = (Arc::clone(&status), stop.clone());
    let telemetry = Telemetry::start(config, shown, Arc::clone(&knowledge.mapping), stops, export).await?;
    let dead_letters = Letters::open(&config.dead_letters)?;
    let mapping = Arc::clone(&knowledge.mapping);

    /// Puts a source and a sink of any kind together and runs them.
    macro_rules! run {
        ($source:expr, $sink:expr, $packing:expr, $decode:expr) => {{
            let options = Options::new(&config.delivery, $packing, $decode)
                .map_err(|error| Failure::usage(anyhow::Error::new(error)))?;
            let stage = Stage { source: $source, sink: $sink, dead_letters, mapping };
            pipeline::run(stage, &options, status, stop).await.map_err(Broken::Run)
        }};
        ($sink:expr, $packing:expr, $decode:expr) => {
            match &config.source {
                Source::ComplianceApi(source) => {
                    let source = wire::compliance_api(source, config)?;
                    let _shown = progress::follow(source.watch());
                    run!(telemetry.facts().api(source), $sink, $packing, $decode)
                }
                Source::File(source) => {
                    run!(wire::file_source(source, config)?, $sink, $packing, $decode)
                }
                Source::Kafka(source) => {
                    run!(telemetry.facts().kafka(wire::kafka_source(source)?), $sink, $packing, $decode)
                }
            }
        };
    }

    match &config.sink {
        Sink::Elasticsearch(sink) => {
            let (sink, packing) = wire::elasticsearch(sink)?;
            run!(sink, packing, wire::decode(config))
        }
        Sink::Ndjson(sink) => {
            let (sink, packing) = wire::ndjson(sink)?;
            run!(sink, packing, wire::decode(config))
        }
        Sink::Kafka(sink) if sink.exactly_once => {
            let Source::Kafka(source) = &config.source else {
                let cause = "[sink] `exactly_once` needs a source of type `kafka`: positions of others are in no transaction";
                return Err(Fault::new(FaultKind::Unusable, cause, "leave `exactly_once` out").into());
            };
            let source = exactly_once::From(telemetry.facts().kafka(wire::kafka_source(source)?));
            let (sink, packing) = wire::exactly_once(sink)?;
            let options = Options::new(&config.delivery, packing, wire::decode(config))
                .map_err(|error| Failure::usage(anyhow::Error::new(error)))?;
            let stage = Stage { source, sink: exactly_once::To(sink), dead_letters, mapping };
            pipeline::run_transactional(stage, &options, status, stop).await.map_err(Broken::Run)
        }
        Sink::Kafka(sink) => {
            let (sink, packing) = wire::kafka(sink)?;
            run!(sink, packing, wire::decode(config))
        }
    }
}

/// The first signal stops the run, the second ends the process: nothing is lost by that, only done again.
pub(crate) fn listen(handle: StopHandle) -> io::Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::spawn(async move {
        either(&mut interrupt, &mut terminate).await;
        tracing::info!(
            "stopping: no more is read, what is under way is delivered; a second signal ends at once"
        );
        handle.stop();
        either(&mut interrupt, &mut terminate).await;
        std::process::exit(Ending::Interrupted as i32);
    });
    Ok(())
}

async fn either(one: &mut Signal, other: &mut Signal) {
    tokio::select! {
        _ = one.recv() => {}
        _ = other.recv() => {}
    }
}

/// A fault at the start as the program's failure: the user's to mend, or the world's.
pub(crate) fn failure(fault: &Fault) -> Failure {
    // Much of what a fault says was said by a server.
    let error = anyhow!(shown(&fault.to_string()));
    if fault.kind == FaultKind::Unusable { Failure::usage(error) } else { Failure::failed(error) }
}

fn ending(summary: &Summary) -> Ending {
    match summary.ending {
        pipeline::Ending::SourceEnded if summary.totals.dead_letters() > 0 => Ending::DeadLetters,
        _ => Ending::Done,
    }
}

fn say(line: &str) {
    // Standard error may be closed; what was delivered is what counts.
    let _ = writeln!(io::stderr(), "anthropic-ecs: {}", shown(line));
}

/// What was done, in a line.
fn closing_line(summary: &Summary, started: Instant) -> String {
    let totals = &summary.totals;
    let seconds = started.elapsed().as_secs_f64();
    let mut line = format!(
        "{} read, {} delivered, {} there already, {} dead, {} sent again; {seconds:.1} s, {:.0} records/s",
        totals.read,
        totals.delivered,
        totals.duplicates,
        totals.dead_letters(),
        totals.retried,
        totals.read as f64 / seconds.max(0.001),
    );
    for (reason, count) in &totals.dead {
        line.push_str(&format!("; dead: {reason} {count}"));
    }
    if !summary.left.is_nothing() {
        line.push_str(&format!(
            "; {} records read and not delivered, they come again at the next start",
            summary.left.records
        ));
    }
    line
}
