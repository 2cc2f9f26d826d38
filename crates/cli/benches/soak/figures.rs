//! From samples to figures, and from figures to a verdict. Pure.

use std::time::Duration;

use crate::ledger::{Balance, Wrong};
use crate::sample::Sample;

/// Memory may grow by so many MiB for each hour, by the line that fits it best; and by so many in any case, or the shorter
/// runs could not be judged at all.
const GROWTH_AN_HOUR: f64 = 2.0;
const GROWTH: f64 = 4.0;

/// By so much the usual number of descriptors and of threads may differ between the first and the last third.
const MORE_DESCRIPTORS: f64 = 3.0;
const MORE_THREADS: f64 = 1.0;

/// Shorter runs say nothing about growth: it is the first day of the tenant, and load itself grows.
pub(crate) const SHORTEST: Duration = Duration::from_secs(3_600);

const MIB: f64 = 1_048_576.0;

/// What a stage took, and how it kept up.
#[derive(Debug, Clone)]
pub(crate) struct Figures {
    pub(crate) name: &'static str,
    /// MiB after ten minutes (or the warm-up, if that is shorter), at half time, at the end, and at its highest.
    pub(crate) early: f64,
    pub(crate) half: f64,
    pub(crate) end: f64,
    pub(crate) anonymous: f64,
    pub(crate) peak: f64,
    /// MiB an hour after the warm-up, and what that makes until the end.
    pub(crate) slope: f64,
    pub(crate) growth: f64,
    /// Least, usual and most in the judged part; and the usual of its first and last thirds.
    pub(crate) descriptors: Range,
    pub(crate) threads: Range,
    /// MiB of records under way at the most, and of state on disk at the end.
    pub(crate) in_flight: f64,
    pub(crate) state: f64,
    /// Seconds of the feed that the kept position was behind: half the time, 99 % of it, and always at most.
    pub(crate) behind: [f64; 3],
    /// Of one core.
    pub(crate) cpu: f64,
    pub(crate) written: u64,
    /// Documents a minute.
    pub(crate) rate: f64,
}

/// How a number moved.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Range {
    pub(crate) least: f64,
    pub(crate) most: f64,
    pub(crate) first: f64,
    pub(crate) last: f64,
}

impl Range {
    fn of(values: &[f64]) -> Self {
        let third = (values.len() / 3).max(1).min(values.len());
        Self {
            least: values.iter().copied().fold(f64::INFINITY, f64::min),
            most: values.iter().copied().fold(0.0, f64::max),
            first: part(&values[..third], 0.5),
            last: part(&values[values.len() - third..], 0.5),
        }
    }
}

impl Figures {
    /// Of the samples of a stage, of which there is one at least.
    pub(crate) fn of(samples: &[&Sample], warm_up: Duration) -> Self {
        let warm = warm_up.as_secs_f64();
        let from = samples.iter().position(|sample| sample.seconds >= warm).unwrap_or(0);
        let judged = &samples[from..];
        let (first, last) = (samples[0], samples[samples.len() - 1]);
        let mib = |sample: &&&Sample| sample.resident_bytes as f64 / MIB;
        let at = |seconds: f64| {
            let at = samples.partition_point(|sample| sample.seconds < seconds).min(samples.len() - 1);
            samples[at].resident_bytes as f64 / MIB
        };
        let slope = slope(&judged.iter().map(|s| (s.seconds / 3_600.0, mib(&s))).collect::<Vec<_>>());
        let behind: Vec<f64> = judged.iter().filter_map(|sample| sample.behind_seconds).collect();
        // A process that was started again counts from nothing.
        let cpu: f64 = samples
            .windows(2)
            .map(|pair| match pair[1].cpu_seconds - pair[0].cpu_seconds {
                less if less < 0.0 => pair[1].cpu_seconds,
                more => more,
            })
            .sum();
        let seconds = (last.seconds - first.seconds).max(1e-3);
        let written = last.written;
        Self {
            name: first.stage,
            early: at(warm.min(600.0)),
            half: at(last.seconds / 2.0),
            end: last.resident_bytes as f64 / MIB,
            anonymous: last.anonymous_bytes as f64 / MIB,
            peak: samples.iter().map(|sample| sample.peak_bytes).max().unwrap_or(0) as f64 / MIB,
            slope,
            growth: slope * (last.seconds - judged[0].seconds) / 3_600.0,
            descriptors: Range::of(
                &judged.iter().map(|sample| sample.descriptors as f64).collect::<Vec<_>>(),
            ),
            threads: Range::of(&judged.iter().map(|sample| sample.threads as f64).collect::<Vec<_>>()),
            in_flight: samples.iter().map(|s| s.in_flight_bytes).max().unwrap_or(0) as f64 / MIB,
            state: last.state_bytes as f64 / MIB,
            behind: [part(&behind, 0.5), part(&behind, 0.99), part(&behind, 1.0)],
            cpu: cpu / seconds,
            written,
            rate: (written - first.written) as f64 / seconds * 60.0,
        }
    }

    /// What is wrong with it.
    pub(crate) fn faults(&self, span: Duration) -> Vec<String> {
        let mut faults = Vec::new();
        let hours = span.as_secs_f64() / 3_600.0;
        let bound = (GROWTH_AN_HOUR * hours).max(GROWTH);
        if self.growth > bound {
            faults.push(format!(
                "{}: memory grew by {:.1} MiB after the warm-up, {bound:.1} are allowed",
                self.name, self.growth
            ));
        }
        for (what, range, more) in
            [("descriptors", self.descriptors, MORE_DESCRIPTORS), ("threads", self.threads, MORE_THREADS)]
        {
            if range.last > range.first + more {
                faults.push(format!("{}: {what} grew from {} to {}", self.name, range.first, range.last));
            }
        }
        faults
    }
}

/// What the books of a sink have against it.
pub(crate) fn imbalance(name: &str, balance: &Balance) -> Vec<String> {
    let words = |wrong: &Wrong, what: &str| {
        (wrong.count > 0)
            .then(|| format!("{name}: {} rows {what}, such as {}", wrong.count, wrong.examples.join(", ")))
    };
    let Balance { lost, doubled, strange, .. } = balance;
    [
        words(lost, "are lost"),
        words(doubled, "are there more than once"),
        words(strange, "are not in the feed, or came again much later"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The value below which that part of them is; 0 if there are none.
fn part(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (sorted.len() as f64 * part).ceil() as usize;
    sorted.get(at.saturating_sub(1)).copied().unwrap_or(0.0)
}

/// Of the line that fits best, by least squares.
fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let (x, y) = points.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0 / count, y + point.1 / count));
    let (over, under) = points.iter().fold((0.0, 0.0), |(over, under), point| {
        (over + (point.0 - x) * (point.1 - y), under + (point.0 - x).powi(2))
    });
    if under > 0.0 { over / under } else { 0.0 }
}
