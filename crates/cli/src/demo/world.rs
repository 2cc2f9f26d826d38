//! What the demo is about: a simulated tenant behind a simulated API, what goes wrong there, and a folder for the rest.
//!
//! Owns the folder's contents. The subtle thing: the configuration is written down and read back as any other, so that what
//! the demo runs is what `run` would run.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, anyhow};
use serde_json::Value;
use simulator::api::{Dialect, Fault, FaultKind, Pace, Server, Settings, Simulation, Tenant};
use simulator::{Micros, SECOND};

use crate::failure::Failure;

/// How many people there are, and for how many hours they have been recorded.
pub(super) const PEOPLE: usize = 60;
pub(super) const HISTORY_HOURS: i64 = 72;

/// What the stage is told to do; short times, so that there is something to see within a minute.
pub(super) const LAG: u64 = 8;
pub(super) const POLL: u64 = 1;

/// Two databases for the addresses that belong to nobody, which is where everybody lives here.
const DATABASES: [(&str, &[u8]); 2] = [
    ("city.mmdb", include_bytes!("../../../../tests/data/test-city.mmdb")),
    ("asn.mmdb", include_bytes!("../../../../tests/data/test-asn.mmdb")),
];

/// The files of a demo.
pub(super) struct Folder {
    pub(super) path: PathBuf,
}

impl Folder {
    const CONFIGURATION: &str = "demo.toml";
    const DOCUMENTS: &str = "ecs.ndjson";
    const DEAD_LETTERS: &str = "dead-letters.ndjson";
    const STATE: &str = "state";
    const GEOIP: &str = "geoip";

    /// Takes a folder that is new, empty, or of an earlier demo, whose files it removes.
    pub(super) fn take(path: &Path) -> Result<Self, Failure> {
        let folder = Self { path: path.to_owned() };
        let name = path.display();
        let unusable = |error: io::Error| {
            Failure::failed(anyhow::Error::new(error).context(format!("{name} cannot be used for the demo")))
        };
        disk::folder(path).map_err(unusable)?;
        let empty = fs::read_dir(path).map_err(unusable)?.next().is_none();
        if !empty && !folder.configuration().is_file() {
            return Err(Failure::usage(anyhow!(
                "{name} holds something else than an earlier demo; name another folder with --output"
            )));
        }
        for part in [Self::STATE, Self::GEOIP] {
            remove(fs::remove_dir_all(path.join(part))).map_err(unusable)?;
        }
        for part in [Self::DOCUMENTS, Self::DEAD_LETTERS, Self::CONFIGURATION] {
            remove(fs::remove_file(path.join(part))).map_err(unusable)?;
        }
        Ok(folder)
    }

    pub(super) fn documents(&self) -> PathBuf {
        self.path.join(Self::DOCUMENTS)
    }

    pub(super) fn dead_letters(&self) -> PathBuf {
        self.path.join(Self::DEAD_LETTERS)
    }

    pub(super) fn attestations(&self) -> PathBuf {
        self.path.join(Self::STATE).join("attestations.ndjson")
    }

    pub(super) fn configuration(&self) -> PathBuf {
        self.path.join(Self::CONFIGURATION)
    }

    /// Writes the databases and the configuration, whose text it gives.
    pub(super) fn furnish(&self, url: &str, key: &str) -> Result<String, Failure> {
        let geoip = self.path.join(Self::GEOIP);
        let written = || -> io::Result<()> {
            disk::folder(&geoip)?;
            DATABASES.iter().try_for_each(|(name, bytes)| disk::write(&geoip.join(name), bytes))
        };
        written()
            .with_context(|| format!("{} cannot be written", geoip.display()))
            .map_err(Failure::Failed)?;
        let text = self.text(url, key)?;
        let path = self.configuration();
        disk::write(&path, text.as_bytes())
            .with_context(|| format!("{} cannot be written", path.display()))
            .map_err(Failure::Failed)?;
        Ok(text)
    }

    fn text(&self, url: &str, key: &str) -> Result<String, Failure> {
        let quoted = |path: PathBuf| match path.to_str() {
            // A JSON string is a TOML string, too.
            Some(text) => Ok(Value::from(text).to_string()),
            None => Err(Failure::usage(anyhow!("{} is no UTF-8; name another folder", path.display()))),
        };
        let [city, asn] = DATABASES.map(|(name, _)| quoted(self.path.join(Self::GEOIP).join(name)));
        let (city, asn) = (city?, asn?);
        let documents = quoted(self.documents())?;
        let dead_letters = quoted(self.dead_letters())?;
        let state = quoted(self.path.join(Self::STATE))?;
        // The simulator tells whole hours.
        let lookback = HISTORY_HOURS + 1;
        Ok(format!(
            r#"# What `anthropic-ecs demo` ran with. The key opens nothing but the simulator, which is gone by now.

[source]
type = "compliance_api"
base_url = "{url}"
api_key = "{key}"
initial_lookback = "{lookback}h"
# For the real API leave these five out: their defaults are made for it.
page_size = 400
poll_interval = "{POLL}s"
lag = "{LAG}s"
overlap = "30m"
budget_share = 1.0

[mapper]
geoip = [{city}, {asn}]

[sink]
type = "ndjson"
path = {documents}

[dead_letters]
path = {dead_letters}

[state]
path = {state}
"#
        ))
    }
}

/// What was not there need not be removed.
fn remove(removed: io::Result<()>) -> io::Result<()> {
    removed.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

/// Starts the simulated API on a free loopback port, with the history of the last days.
pub(super) async fn start(seed: u64) -> Result<Server, Failure> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let tenant = Tenant {
        people: PEOPLE,
        history: HISTORY_HOURS * 3_600 * SECOND,
        // What is late here comes in one go, when it can be watched.
        late_per_mille: 0,
        ..Tenant::default()
    };
    let start = Micros::try_from(since.as_micros()).unwrap_or_default();
    let settings = Settings { seed, dialect: Dialect::October, start, tenant, ..Settings::default() };
    let mut simulation = Simulation::new(settings);
    for fault in faults() {
        simulation.order(fault).map_err(|error| Failure::failed(anyhow!(error)))?;
    }
    Server::start(simulation, ([127, 0, 0, 1], 0).into(), Pace::Times(1.0))
        .await
        .context("no loopback port can be had for the simulator")
        .map_err(Failure::Failed)
}

/// What goes wrong while the history is read.
fn faults() -> [Fault; 3] {
    [
        Fault { retry_after: Some(3), ..Fault::new(FaultKind::RateLimited) }.after(4),
        Fault::status(503).after(9),
        Fault::new(FaultKind::ResetAfter).after(13),
    ]
}
