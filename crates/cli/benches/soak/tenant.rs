//! The tenant and the API before it: how large, how fast its clock goes, and how it comes to rest.
//!
//! An hour over there passes in a minute: a soak of two hours is five days of a large tenant, with its nights, with rows that
//! come two hours late, and with a re-read each minute. What the stages say they have delivered is taken out of the simulator
//! later than anything looks back, so that neither grows.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use simulator::api::{Control, Pace, Seen, Server, Settings, Simulation, Truth};
use tokio::runtime::Runtime;

pub(crate) const SECOND: i64 = 1_000_000;
pub(crate) const MINUTE: i64 = 60 * SECOND;
pub(crate) const HOUR: i64 = 60 * MINUTE;

/// How many times as fast as ours its clock goes.
pub(crate) const TIMES: f64 = 60.0;

/// How long rows stay in the simulator: longer than the deepest re-read of [`RECONCILE`] looks back.
pub(crate) const HORIZON: i64 = 30 * HOUR;

/// What the stages read again. The deepest is a day, for else only a soak of ten hours would see ids expire.
pub(crate) const RECONCILE: &str =
    "[{ every = \"1h\", depth = \"6h\" }, { every = \"12h\", depth = \"24h\" }]";

/// From its last row on: the latest comes two hours later, and is found by a re-read an hour later.
const REST: i64 = 4 * HOUR;

/// By how much more it is behind our clock: for what comes after the span, when it goes faster.
const SPARE: i64 = 96 * HOUR;

/// The keys by which the stages are told apart.
pub(crate) const KEYS: [&str; 2] = ["activities", "full"];

/// A tenant that is served.
pub(crate) struct Tenant {
    server: Server,
    /// Nothing is before it.
    pub(crate) since: i64,
}

impl Tenant {
    pub(crate) fn new(runtime: &Runtime, seed: u64, people: usize, span: Duration) -> Self {
        // Behind our clock for as long as it lasts, so that the stages follow its own.
        let ahead = (span.as_micros() as f64 * TIMES) as i64 + SPARE;
        let start = monday_morning(now() - ahead);
        let mut settings = Settings { seed, start, own_reads: Some(SECOND), ..Settings::default() };
        settings.tenant.people = people;
        settings.tenant.hourly = 40;
        settings.tenant.history = HOUR;
        // These have rows that are up to two days late, which a soak would have to wait for in the end.
        settings.tenant.stories = false;
        settings.tenant.late_per_mille = 10;
        settings.tenant.tied_percent = 10;
        settings.tenant.odd_per_mille = 2;
        settings.tenant.pool = 20_000;
        let since = start - settings.tenant.history;
        let address = ([127, 0, 0, 1], 0).into();
        let server =
            runtime.block_on(Server::start(Simulation::new(settings), address, Pace::Times(TIMES))).unwrap();
        Self { server, since }
    }

    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    pub(crate) fn control(&self) -> &Control {
        self.server.control()
    }

    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    pub(crate) fn key(&self, name: &str) -> String {
        self.control().with(|simulation, _| simulation.key(name).to_owned())
    }

    /// Rows that nobody looks back to any more who has read up to that time.
    pub(crate) fn take_settled(&self, read: i64) -> Vec<Truth> {
        self.control().with(|simulation, _| simulation.take_before(read - HORIZON))
    }

    /// All rows that are left.
    pub(crate) fn take_rest(&self) -> Vec<Truth> {
        self.control().with(|simulation, _| simulation.take_before(i64::MAX))
    }

    /// The ids of all rows that are left.
    pub(crate) fn ids(&self) -> Vec<String> {
        self.control().with(|simulation, _| simulation.truth().map(|truth| truth.id).collect())
    }

    pub(crate) fn take_seen(&self) -> Vec<Seen> {
        self.control().with(|simulation, _| simulation.take_seen())
    }

    /// Nothing happens any more after the hour under way, requests leave no rows, and the clock goes as ours does but for
    /// where it is moved on. Gives the moment at which everything has been there to be read.
    pub(crate) fn come_to_rest(&self) -> i64 {
        let quiet = self.control().with(|simulation, now| {
            let quiet = (now / HOUR + 1) * HOUR;
            simulation.settings().tenant.quiet_from = Some(quiet);
            simulation.settings().own_reads = None;
            quiet
        });
        self.control().pace(Pace::Times(1.0));
        quiet + REST
    }
}

/// What our clock says, in microseconds since 1970.
fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros()).unwrap()
}

/// The last Monday at 06:00 UTC, when most of the offices are at work or about to be: five days of load follow.
fn monday_morning(time: i64) -> i64 {
    // 1 January 1970 was a Thursday, so that the first such Monday was its fifth.
    let (first, week) = (4 * 24 * HOUR + 6 * HOUR, 7 * 24 * HOUR);
    first + (time - first).div_euclid(week) * week
}

/// A time for a configuration.
pub(crate) fn time(micros: i64) -> String {
    simulator::rfc3339(micros, simulator::Precision::Seconds, true)
}
