//! How far a run is, on standard error.
//!
//! Owns when and how that is shown: a bar in a terminal, a plain line now and then elsewhere if asked for, and
//! nothing when documents go to the same terminal.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ingest::file::Progress;

use crate::args::NormalizeArgs;
use crate::table::grouped;

/// How often the bar's text, and how often a line, is renewed.
const BAR_EVERY: Duration = Duration::from_millis(100);
const LINE_EVERY: Duration = Duration::from_secs(1);

/// Shows progress, or does not.
#[derive(Default)]
pub(super) struct Gauge {
    shown: Option<Shown>,
}

struct Shown {
    bar: Option<ProgressBar>,
    progress: Progress,
    total: Option<u64>,
    last: Instant,
}

impl Gauge {
    /// The gauge the user wants; `total` is in the bytes that `progress` counts.
    pub(super) fn new(args: &NormalizeArgs, total: Option<u64>, progress: Progress) -> Self {
        let terminal = io::stderr().is_terminal();
        let in_the_way = args.output.is_none() && io::stdout().is_terminal();
        let wanted = args.progress || (terminal && !in_the_way && !args.quiet);
        if !wanted {
            return Self::default();
        }
        let bar = terminal.then(|| bar(total));
        Self { shown: Some(Shown { bar, progress, total, last: Instant::now() }) }
    }

    /// To be called often; shows something now and then.
    pub(super) fn update(&mut self, records: u64) {
        let Some(shown) = &mut self.shown else { return };
        let every = if shown.bar.is_some() { BAR_EVERY } else { LINE_EVERY };
        if shown.last.elapsed() < every {
            return;
        }
        shown.last = Instant::now();
        let bytes = shown.progress.bytes();
        match &shown.bar {
            Some(bar) => {
                bar.set_message(format!("{} records", grouped(records)));
                bar.set_position(bytes);
            }
            None => {
                let part = shown.total.filter(|total| *total > 0).map_or(String::new(), |total| {
                    format!(" of {:.1} MB ({} %)", total as f64 / 1e6, bytes.saturating_mul(100) / total)
                });
                let (records, bytes) = (grouped(records), bytes as f64 / 1e6);
                // Nobody watching is no reason to stop.
                let _ = writeln!(io::stderr(), "anthropic-ecs: {records} records, {bytes:.1} MB{part} read");
            }
        }
    }

    /// Takes the bar away.
    pub(super) fn clear(&mut self) {
        if let Some(bar) = self.shown.take().and_then(|shown| shown.bar) {
            bar.finish_and_clear();
        }
    }
}

fn bar(total: Option<u64>) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr_with_hz(10));
    let template = match total {
        Some(_) => "{bar:32} {percent:>3} %  {bytes} of {total_bytes}  {bytes_per_sec}  eta {eta}  {msg}",
        None => "{spinner} {bytes}  {bytes_per_sec}  {elapsed}  {msg}",
    };
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style.progress_chars("=> ")),
        Err(_) => bar,
    }
}
