//! The program at work: its output counted, its memory looked at, and killed if that is wanted.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::feed::{Feed, time};

/// How often memory is looked at.
const EVERY: Duration = Duration::from_millis(20);

/// The program over a feed, with a folder of its own.
pub(crate) struct Stage<'f> {
    feed: &'f Feed,
    folder: tempfile::TempDir,
}

/// What came of it.
pub(crate) struct Outcome {
    pub(crate) seconds: f64,
    /// Lines in its output, by all processes together.
    pub(crate) written: usize,
    /// Rows that the simulator served to them.
    pub(crate) served: usize,
    /// Resident bytes when so many per cent were written.
    pub(crate) memory: Vec<(usize, u64)>,
    /// The most resident bytes of any of the processes.
    pub(crate) peak: u64,
}

impl<'f> Stage<'f> {
    pub(crate) fn new(feed: &'f Feed) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (url, since, until) = (feed.server.url(), time(feed.since), time(feed.until));
        let configuration = format!(
            r#"
[source]
type = "compliance_api"
base_url = "{url}"
api_key_file = "key"
since = "{since}"
until = "{until}"
budget_share = 1.0
[sink]
type = "ndjson"
path = "-"
"#
        );
        fs::write(folder.path().join("stage.toml"), configuration).unwrap();
        fs::write(folder.path().join("key"), &feed.key).unwrap();
        Self { feed, folder }
    }

    /// Runs to its end; killed once when that part of all rows is written, and started again.
    pub(crate) fn run(&self, kill: Option<f64>) -> Outcome {
        let (begun, before) = (Instant::now(), self.feed.served());
        let written = Arc::new(AtomicUsize::new(0));
        let mut outcome = Outcome { seconds: 0.0, written: 0, served: 0, memory: Vec::new(), peak: 0 };
        if let Some(part) = kill {
            let until = (self.feed.rows as f64 * part) as usize;
            let mut child = self.start(&written);
            let running = self.watch(&mut child, &written, until, &mut outcome);
            assert!(running, "it ended before it could be killed");
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let mut child = self.start(&written);
        self.watch(&mut child, &written, usize::MAX, &mut outcome);
        outcome.seconds = begun.elapsed().as_secs_f64();
        // The one who counts may be some lines behind the end of the process.
        let deadline = Instant::now() + Duration::from_secs(5);
        while written.load(Ordering::Relaxed) < self.feed.rows && Instant::now() < deadline {
            thread::sleep(EVERY);
        }
        outcome.written = written.load(Ordering::Relaxed);
        outcome.served = self.feed.served() - before;
        outcome
    }

    fn start(&self, written: &Arc<AtomicUsize>) -> Child {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.log()).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_anthropic-ecs"))
            .args(["run", "--config", "stage.toml"])
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let (mut output, written) = (child.stdout.take().unwrap(), Arc::clone(written));
        thread::spawn(move || {
            let mut piece = vec![0; 1 << 20];
            while let Ok(length @ 1..) = output.read(&mut piece) {
                let lines = line_ends(&piece[..length]);
                written.fetch_add(lines, Ordering::Relaxed);
            }
        });
        child
    }

    fn log(&self) -> std::path::PathBuf {
        self.folder.path().join("log")
    }

    /// Looks at the memory until the end, which must be a good one, or until so much is written; true in the latter case.
    fn watch(&self, child: &mut Child, written: &AtomicUsize, until: usize, outcome: &mut Outcome) -> bool {
        loop {
            let now = written.load(Ordering::Relaxed);
            if now >= until {
                return true;
            }
            if let Some((resident, peak)) = memory(child.id()) {
                outcome.peak = outcome.peak.max(peak);
                let percent = now * 100 / self.feed.rows / 10 * 10;
                if percent >= 10 && outcome.memory.last().is_none_or(|(last, _)| *last < percent) {
                    outcome.memory.push((percent, resident));
                }
            }
            if let Some(status) = child.try_wait().unwrap() {
                assert!(status.success(), "{status}: {}", fs::read_to_string(self.log()).unwrap());
                return false;
            }
            thread::sleep(EVERY);
        }
    }
}

/// How many line ends there are; the compiler makes SIMD of it.
fn line_ends(bytes: &[u8]) -> usize {
    bytes
        .chunks(255)
        .map(|some| usize::from(some.iter().map(|byte| u8::from(*byte == b'\n')).sum::<u8>()))
        .sum()
}

/// Resident bytes of a process now, and at most so far.
fn memory(id: u32) -> Option<(u64, u64)> {
    let text = fs::read_to_string(Path::new("/proc").join(id.to_string()).join("status")).ok()?;
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().trim_end_matches(" kB").parse::<u64>().ok().map(|kib| kib * 1_024)
    };
    Some((field("VmRSS:")?, field("VmHWM:")?))
}
