//! The simulated API of one life, behind a socket of its own.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use simulator::api::{Control, Pace, Server, Settings, Simulation};
use tokio::runtime::Runtime;

use crate::copies::Copy;

pub(crate) const SECOND: i64 = 1_000_000;
pub(crate) const MINUTE: i64 = 60 * SECOND;
pub(crate) const HOUR: i64 = 60 * MINUTE;

/// What the real clock says, in microseconds since 1970.
pub(crate) fn real_now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros()).unwrap()
}

/// A simulation that listens.
pub(crate) struct Feed {
    server: Server,
    pub(crate) key: String,
    /// The server's tasks run on it; dropped last.
    _runtime: Runtime,
}

impl Feed {
    pub(crate) fn new(settings: Settings, pace: Pace) -> Self {
        Self::of(Simulation::new(settings), pace)
    }

    pub(crate) fn of(simulation: Simulation, pace: Pace) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let key = simulation.key("activities").to_owned();
        let server = runtime.block_on(Server::start(simulation, ([127, 0, 0, 1], 0).into(), pace)).unwrap();
        Self { server, key, _runtime: runtime }
    }

    pub(crate) fn control(&self) -> &Control {
        self.server.control()
    }

    /// How many requests came so far.
    pub(crate) fn requests(&self) -> usize {
        self.control().with(|simulation, _| simulation.seen().len())
    }

    /// A copy of the program that reads this feed into `out.ndjson`. `source` is the rest of its section.
    pub(crate) fn copy(&self, folder: &Path, name: &str, source: &str) -> Copy {
        let url = self.server.url();
        let configuration = format!(
            r#"
[source]
type = "compliance_api"
base_url = "{url}"
api_key_file = "key"
{source}
[sink]
type = "ndjson"
path = "out.ndjson"
[dead_letters]
path = "dead.ndjson"
[delivery]
commit_interval = "10ms"
"#
        );
        let copy = Copy::new(folder, name, &configuration);
        std::fs::write(copy.path("key"), &self.key).unwrap();
        copy
    }
}
