//! A tenant of any size, served by the simulator. What rows say repeats after some thousands, so that years of them fit into
//! memory: a row of its own is an id and two times.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use simulator::api::{Limits, Pace, Server, Settings, Simulation};
use tokio::runtime::Runtime;

const SECOND: i64 = 1_000_000;
const HOUR: i64 = 3_600 * SECOND;
const DAY: i64 = 24 * HOUR;

/// How long the stage's windows are when it is far behind.
const WINDOW: i64 = 7 * DAY;

/// How much each of them does in an hour at work.
const HOURLY: u64 = 40;

/// A served feed.
pub(crate) struct Feed {
    pub(crate) server: Server,
    pub(crate) key: String,
    /// The stretch that is read: at or after the first, before the second.
    pub(crate) since: i64,
    pub(crate) until: i64,
    /// Rows in it.
    pub(crate) rows: usize,
    /// Rows in the largest window.
    pub(crate) largest: usize,
    /// How long it took to make them.
    pub(crate) made: Duration,
    /// The server's tasks run on it; dropped last.
    _runtime: Runtime,
}

impl Feed {
    /// About so many rows in so many days.
    pub(crate) fn new(rows: usize, days: i64, gzip: bool) -> Self {
        let begun = Instant::now();
        let start = now() / SECOND * SECOND;
        let settings = |people: usize, days: i64| {
            let mut settings = Settings {
                start,
                gzip,
                own_reads: None,
                limits: Limits { requests: 100_000_000, ..Limits::default() },
                ..Settings::default()
            };
            settings.tenant.people = people;
            settings.tenant.hourly = HOURLY;
            settings.tenant.history = days * DAY;
            settings.tenant.late_per_mille = 0;
            settings.tenant.stories = false;
            settings.tenant.pool = 20_000;
            settings
        };
        // How much a person does in a week decides how many are needed.
        let sample = 60;
        let weekly = Simulation::new(settings(sample, 7)).count();
        let people = (rows as f64 * sample as f64 * 7.0 / (weekly as f64 * days as f64)).ceil() as usize;
        let simulation = Simulation::new(settings(people.max(1), days));
        let (since, until) = (start - days * DAY, start - HOUR);
        let mut windows = vec![0; (days * DAY / WINDOW) as usize + 1];
        for truth in simulation.truth().filter(|truth| (since..until).contains(&truth.created)) {
            windows[((truth.created - since) / WINDOW) as usize] += 1;
        }
        let key = simulation.key("activities").to_owned();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let server = runtime
            .block_on(Server::start(simulation, ([127, 0, 0, 1], 0).into(), Pace::Times(1.0)))
            .unwrap();
        // Making it took a while. A clock that is behind would make the program begin anew when it sees that.
        let behind = now() - server.control().now();
        server.control().advance(Duration::from_micros(behind.max(0).unsigned_abs()));
        Self {
            server,
            key,
            since,
            until,
            rows: windows.iter().sum(),
            largest: windows.iter().copied().max().unwrap_or(0),
            made: begun.elapsed(),
            _runtime: runtime,
        }
    }

    /// Rows in all answers so far.
    pub(crate) fn served(&self) -> usize {
        self.server.control().with(|simulation, _| simulation.seen().iter().map(|seen| seen.rows).sum())
    }

    /// The bounds of its windows, as the stage has them.
    pub(crate) fn windows(&self) -> impl Iterator<Item = (i64, i64)> + '_ {
        let starts = (0..).map(|window| self.since + window * WINDOW).take_while(|from| *from < self.until);
        starts.map(|from| (from, self.until.min(from + WINDOW)))
    }
}

/// What the clock says, in microseconds since 1970.
fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros()).unwrap()
}

/// A time for a query or a configuration.
pub(crate) fn time(micros: i64) -> String {
    simulator::rfc3339(micros, simulator::Precision::Seconds, true)
}
