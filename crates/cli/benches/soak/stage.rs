//! The program at work: how it is set up, started, ended, and what its numbers are.
//!
//! A folder and a port are a stage's own, for all its lives. What it counts begins anew with each life, so the counts of
//! those that are over are kept here.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use ingest::api::{NAME, Position};
use ingest::checkpoint::Checkpoint;

use crate::options::Options;
use crate::tenant::{RECONCILE, Tenant, time};

/// How long it may take to stop in good order.
const STOPPING: Duration = Duration::from_secs(60);

/// How long a look at its metrics may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// One stage.
pub(crate) struct Stage {
    pub(crate) name: &'static str,
    folder: tempfile::TempDir,
    listen: SocketAddr,
    child: Option<Child>,
    pub(crate) starts: usize,
    /// What the lives that are over had counted.
    past: BTreeMap<String, f64>,
    /// What this one had counted when it was asked last.
    last: BTreeMap<String, f64>,
}

impl Stage {
    /// A stage from the tenant to a sink; it does not run yet.
    pub(crate) fn new(name: &'static str, tenant: &Tenant, key: &str, sink: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listen = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
        let (url, since) = (tenant.url(), time(tenant.since));
        // It asks each second, so each minute of the feed; its waits are by our clock.
        let configuration = format!(
            r#"
[source]
type = "compliance_api"
base_url = "{url}"
api_key_file = "key"
since = "{since}"
poll_interval = "1s"
page_size = 2000
budget_share = 1.0
timeout = "5s"
reconcile = {RECONCILE}
[sink]
{sink}
[dead_letters]
path = "dead.ndjson"
[telemetry]
listen = "{listen}"
"#
        );
        fs::write(folder.path().join("stage.toml"), configuration).unwrap();
        fs::write(folder.path().join("key"), tenant.key(key)).unwrap();
        let (past, last) = Default::default();
        Self { name, folder, listen, child: None, starts: 0, past, last }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn start(&mut self) {
        assert!(self.child.is_none());
        let log = OpenOptions::new().create(true).append(true).open(self.path("log")).unwrap();
        let mut command = Command::new(program());
        command.args(["run", "--config", "stage.toml"]).current_dir(self.folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.child = Some(command.spawn().unwrap());
        self.starts += 1;
    }

    /// The number of its process, which must be there.
    pub(crate) fn process(&mut self) -> u32 {
        let child = self.child.as_mut().unwrap();
        if let Some(status) = child.try_wait().unwrap() {
            panic!("{} ended by itself, {status}:\n{}", self.name, self.log_tail());
        }
        child.id()
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.process();
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        self.bury();
    }

    /// SIGTERM, upon which it must end in good order.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        let process = self.process().to_string();
        self.metrics();
        assert!(Command::new("kill").args(["-TERM", &process]).status().unwrap().success());
        let mut child = self.child.take().unwrap();
        let deadline = Instant::now() + STOPPING;
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                self.bury();
                return status;
            }
            assert!(Instant::now() < deadline, "{} does not stop:\n{}", self.name, self.log_tail());
            sleep(Duration::from_millis(20));
        }
    }

    /// A life is over.
    fn bury(&mut self) {
        for (name, count) in std::mem::take(&mut self.last) {
            *self.past.entry(name).or_default() += count;
        }
    }

    /// What `/metrics` says, by name, labels added up. What it said before where it does not answer.
    pub(crate) fn metrics(&mut self) -> &BTreeMap<String, f64> {
        if let Some(text) = self.scrape() {
            self.last.clear();
            for line in text.lines().filter(|line| !line.starts_with('#')) {
                let Some((name, value)) = line.rsplit_once(' ') else { continue };
                let name = name.split('{').next().unwrap_or(name).trim_start_matches("anthropic_ecs_");
                *self.last.entry(name.to_owned()).or_default() += value.parse().unwrap_or(0.0);
            }
        }
        &self.last
    }

    /// A count over all its lives.
    pub(crate) fn total(&self, name: &str) -> f64 {
        [&self.past, &self.last]
            .iter()
            .filter_map(|counts| counts.get(name))
            .fold(0.0, |sum, count| sum + count)
    }

    fn scrape(&self) -> Option<String> {
        let mut stream = TcpStream::connect_timeout(&self.listen, PATIENCE).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.starts_with("HTTP/1.1 200").then_some(answer)
    }

    /// Until when it has read everything, as it would be known to the next start.
    pub(crate) fn position(&self) -> Option<Position> {
        Checkpoint::peek(&self.path("state"), NAME).unwrap()
    }

    /// Dead letters so far.
    pub(crate) fn dead_letters(&self) -> usize {
        let text = fs::read(self.path("dead.ndjson")).unwrap_or_default();
        text.iter().filter(|byte| **byte == b'\n').count()
    }

    /// Bytes in its state folder.
    pub(crate) fn state_bytes(&self) -> u64 {
        bytes_in(&self.path("state"))
    }

    /// The last lines of its log.
    pub(crate) fn log_tail(&self) -> String {
        let log = String::from_utf8_lossy(&fs::read(self.path("log")).unwrap_or_default()).into_owned();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }

    /// Its log and its dead letters are wanted after it is gone.
    pub(crate) fn keep(&self, folder: &Path) {
        for name in ["log", "dead.ndjson", "stage.toml", "state/attestations.ndjson"] {
            let kept = name.trim_start_matches("state/");
            let _ = fs::copy(self.path(name), folder.join(format!("{}-{kept}", self.name)));
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.keep(&Options::folder());
        }
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// `DELIVERY_PROGRAM` names another build of the program.
pub(crate) fn program() -> PathBuf {
    let named = std::env::var_os("DELIVERY_PROGRAM").filter(|name| !name.is_empty());
    named.map_or_else(|| env!("CARGO_BIN_EXE_anthropic-ecs").into(), PathBuf::from)
}

fn bytes_in(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.metadata().ok())
        .filter(|found| found.is_file())
        .map(|found| found.len())
        .sum()
}
