//! `demo`: the whole stage on this machine, with nothing else needed.
//!
//! Owns the order of things. What runs is the stage that `run` runs, by a configuration that lies in the folder afterwards;
//! only the API at its other end is a simulated one, on a loopback port, where things go wrong on purpose.

mod closing;
mod tour;
mod world;

use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use pipeline::{Options, Stage, Status};
use simulator::api::Server;
use tokio::time::interval;

use crate::args::DemoArgs;
use crate::config::{Config, Sink, Source};
use crate::failure::{Ending, Failure};
use crate::run::dead_letters::Letters;
use crate::run::wire::{self, Knowledge};
use crate::run::{failure, listen};

use tour::{Seen, Tour};
use world::Folder;

/// How often the tour looks at the stage.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Runs the mode.
pub(crate) fn run(args: &DemoArgs) -> Result<Ending, Failure> {
    let folder = Folder::take(&args.output)?;
    let started = Instant::now();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::failed)?;
    let ended = runtime.block_on(async {
        let server = world::start(args.seed).await?;
        introduce(&server, &folder)?;
        let ended = stage(&server, &folder).await?;
        closing::tell(&mut io::stdout().lock(), &ended, &server, &folder, started.elapsed())
    });
    runtime.shutdown_background();
    ended
}

/// What the stage did.
struct Ended {
    summary: pipeline::Summary,
    seen: Seen,
}

fn introduce(server: &Server, folder: &Folder) -> Result<(), Failure> {
    let (people, days) = (world::PEOPLE, world::HISTORY_HOURS / 24);
    writeln!(
        io::stderr(),
        "A simulated Compliance API is at {}: an organization of {people} people, {days} days of their activities.\n\
         The stage reads it, maps each activity to ECS and writes {}.\n",
        server.url(),
        folder.documents().display()
    )
    .map_err(Failure::writing)
}

/// Runs the stage against the simulated API until the tour is over.
async fn stage(server: &Server, folder: &Folder) -> Result<Ended, Failure> {
    let key = server.control().with(|simulation, _| simulation.key("activities").to_owned());
    let text = folder.furnish(&server.url(), &key)?;
    let name = folder.configuration().display().to_string();
    let config = Config::parse(&name, &text, &|_| None).map_err(Failure::failed)?;
    let (Source::ComplianceApi(source), Sink::Ndjson(sink)) = (&config.source, &config.sink) else {
        return Err(Failure::failed(anyhow!("{name} is not what was written there")));
    };
    let knowledge = Knowledge::load(&config)?;
    let source = wire::compliance_api(source, &config).map_err(|fault| failure(&fault))?;
    let (sink, packing) = wire::ndjson(sink).map_err(|fault| failure(&fault))?;
    let dead_letters = Letters::open(&config.dead_letters).map_err(|fault| failure(&fault))?;
    let options = Options::new(&config.delivery, packing, wire::decode(&config)).map_err(Failure::failed)?;

    let (status, watch) = (Arc::new(Status::default()), source.watch());
    let mut tour = Tour::new(server.control().clone(), watch, Arc::clone(&status));
    let (handle, stop) = pipeline::stop();
    // Ctrl-C ends the tour as its end does.
    let (interrupted, mut interrupt) = pipeline::stop();
    listen(interrupted).map_err(Failure::failed)?;
    let stage = Stage { source, sink, dead_letters, mapping: knowledge.mapping };
    let mut run = std::pin::pin!(pipeline::run(stage, &options, status, stop));
    let mut looks = interval(LOOK_EVERY);
    let mut running = true;
    let outcome = loop {
        tokio::select! {
            outcome = &mut run => break outcome,
            () = interrupt.asked(), if running => {
                running = false;
                handle.stop();
            }
            _ = looks.tick(), if running => if tour.step() {
                running = false;
                handle.stop();
            }
        }
    };
    let seen = tour.finish();
    match outcome {
        Ok(summary) => Ok(Ended { summary, seen }),
        Err(error) => Err(Failure::failed(anyhow!("{error}"))),
    }
}
