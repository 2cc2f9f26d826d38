//! `simulate`: a Compliance API with a tenant behind it, on a loopback port.
//!
//! Owns what is told to whoever started it. The subtle thing: the simulated present is the real one, so that a reader with
//! its own clock agrees with it.

use std::fs;
use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, anyhow};
use simulator::api::{ACTIVITIES_PATH, Pace, Scenario, Server, Settings, Simulation, Tenant, read_scenario};
use simulator::{Micros, SECOND};
use tokio::signal::unix::{SignalKind, signal};

use crate::args::SimulateArgs;
use crate::failure::{Ending, Failure};

/// Runs the mode until a signal ends it.
pub(crate) fn run(args: &SimulateArgs) -> Result<Ending, Failure> {
    let simulation = simulation(args)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::failed)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(Failure::failed)?;
        let introduction = Introduction::of(&simulation);
        let server = Server::start(simulation, ([127, 0, 0, 1], args.port).into(), Pace::Times(args.speed))
            .await
            .with_context(|| {
                format!("port {} of 127.0.0.1 cannot be taken; name another with --port", args.port)
            })
            .map_err(Failure::Failed)?;
        introduction.tell(&mut io::stdout(), &server.url()).map_err(Failure::writing)?;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        Ok(Ending::Interrupted)
    })
}

/// What there is to simulate, below the options of `--help`.
pub(crate) fn help() -> String {
    format!("What there is to simulate\n\n{}", simulator::api::guide())
}

/// The simulation that the arguments describe, as its script stages it.
fn simulation(args: &SimulateArgs) -> Result<Simulation, Failure> {
    let scenario = match &args.faults {
        None => Scenario::default(),
        Some(path) => {
            let name = path.display();
            let text = fs::read_to_string(path).with_context(|| format!("{name} cannot be read"));
            let script =
                text.and_then(|text| read_scenario(&text).map_err(|error| anyhow!("{name}: {error}")));
            script.map_err(Failure::Usage)?
        }
    };
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let tenant = Tenant {
        people: args.people,
        hourly: args.rate,
        history: Micros::from(args.history) * 3_600 * SECOND,
        // A year of history must fit into memory.
        pool: 50_000,
        ..Tenant::default()
    };
    let start = Micros::try_from(since.as_micros()).unwrap_or_default();
    let settings = Settings { seed: args.seed, dialect: args.dialect, start, tenant, ..Settings::default() };
    let mut simulation = Simulation::new(settings);
    simulation.stage(&scenario, start).map_err(|error| Failure::usage(anyhow!(error)))?;
    Ok(simulation)
}

/// What there is to know before the first request.
struct Introduction {
    records: usize,
    /// Names and secrets of the keys that show something.
    keys: Vec<(&'static str, &'static str, String)>,
}

/// The keys that are shown, and what they are good for.
const KEYS: [(&str, &str); 7] = [
    ("activities", "reads the feed"),
    ("full", "reads everything"),
    ("eraser", "reads and deletes chats, files and projects"),
    ("admin", "an Admin key, reads the feed"),
    ("org_data", "lacks the scope for the feed: 403"),
    ("revoked", "is deleted: 401"),
    ("expired", "has expired: 401"),
];

impl Introduction {
    fn of(simulation: &Simulation) -> Self {
        let keys = KEYS.map(|(name, meaning)| (name, meaning, simulation.key(name).to_owned()));
        Self { records: simulation.count(), keys: keys.into() }
    }

    fn tell(&self, out: &mut impl Write, url: &str) -> io::Result<()> {
        writeln!(out, "A simulated Compliance API is at {url}; {} activities so far.\n", self.records)?;
        writeln!(out, "Keys, which open nothing but this:")?;
        for (name, meaning, secret) in &self.keys {
            writeln!(out, "  {name:<11}{secret}  {meaning}")?;
        }
        let key = self.keys.first().map_or("", |(_, _, secret)| secret);
        writeln!(out, "\nTry it:")?;
        writeln!(out, "  curl -H 'x-api-key: {key}' '{url}{ACTIVITIES_PATH}?limit=2&order=asc'\n")?;
        writeln!(
            out,
            "Faults, modes, clock and truth are at {url}/_control/; simulate --help lists them. Ctrl-C ends it."
        )?;
        out.flush()
    }
}
