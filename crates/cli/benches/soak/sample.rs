//! One look at a stage: what the system says of its process, what it says of itself, and where it stands.

use std::fs;
use std::path::Path;

use serde::Serialize;

use crate::stage::Stage;

/// Ticks of processor time a second, as Linux has them everywhere.
const TICKS: f64 = 100.0;

/// What was seen.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Sample {
    pub(crate) stage: &'static str,
    /// Since the beginning.
    pub(crate) seconds: f64,
    pub(crate) resident_bytes: u64,
    /// The most so far.
    pub(crate) peak_bytes: u64,
    /// The part that is no file.
    pub(crate) anonymous_bytes: u64,
    pub(crate) descriptors: u64,
    pub(crate) threads: u64,
    /// Processor time of this life.
    pub(crate) cpu_seconds: f64,
    pub(crate) state_bytes: u64,
    pub(crate) in_flight_bytes: u64,
    /// Documents at the sink, those that came again included.
    pub(crate) written: u64,
    /// How far the kept position is behind the feed's clock, in seconds of the feed.
    pub(crate) behind_seconds: Option<f64>,
    /// Whether the API or the sink is away altogether.
    pub(crate) outage: bool,
}

impl Sample {
    /// Looks at a stage that runs; `now` is the feed's clock.
    pub(crate) fn take(
        stage: &mut Stage,
        seconds: f64,
        now: i64,
        written: u64,
        outage: bool,
    ) -> Option<Self> {
        let folder = Path::new("/proc").join(stage.process().to_string());
        let status = fs::read_to_string(folder.join("status")).ok()?;
        let field = |name: &str| -> Option<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse().ok()
        };
        // A name may have spaces; what follows it has none.
        let stat = fs::read_to_string(folder.join("stat")).ok()?;
        let ticks: Vec<f64> = (stat.rsplit_once(')')?.1.split_whitespace())
            .skip(11)
            .take(2)
            .filter_map(|field| field.parse().ok())
            .collect();
        let position = stage.position();
        Some(Self {
            stage: stage.name,
            seconds,
            resident_bytes: field("VmRSS:")? << 10,
            peak_bytes: field("VmHWM:")? << 10,
            anonymous_bytes: field("RssAnon:")? << 10,
            descriptors: fs::read_dir(folder.join("fd")).ok()?.count() as u64,
            threads: field("Threads:")?,
            cpu_seconds: ticks.iter().sum::<f64>() / TICKS,
            state_bytes: stage.state_bytes(),
            in_flight_bytes: stage.metrics().get("in_flight_bytes").copied().unwrap_or(0.0) as u64,
            written,
            behind_seconds: position.map(|position| (now - position.high.0) as f64 / 1e6),
            outage,
        })
    }
}
