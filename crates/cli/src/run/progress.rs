//! How far a backfill is: a bar on a terminal, a line in the log about every ten per cent elsewhere.
//!
//! Owns when and how that is shown. What there is to show is the reader's [`Watch`]; a reader that keeps up shows nothing.
//!
//! The subtle thing: the log goes to the same terminal. A line that is written while there is a bar would be torn by it, so
//! the log writes through [`stderr`], which takes the bar away for as long as that lasts.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ingest::api::Watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval};

use crate::table::grouped;

/// How often it is looked at.
const EVERY: Duration = Duration::from_millis(200);

/// Less than this to be read is no backfill.
const LEAST: u64 = 6 * 3_600;

/// Less than this is the end of one: what is left is what has happened meanwhile.
const CAUGHT_UP: u64 = 600;

const DAY: f64 = 86_400.0;

/// The bar that is shown, if one is.
static BAR: Mutex<Option<ProgressBar>> = Mutex::new(None);

fn shown() -> MutexGuard<'static, Option<ProgressBar>> {
    BAR.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Standard error for the log.
pub(super) fn stderr() -> impl Write {
    struct AroundTheBar;
    impl Write for AroundTheBar {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match &*shown() {
                Some(bar) => bar.suspend(|| io::stderr().write(bytes)),
                None => io::stderr().write(bytes),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            io::stderr().flush()
        }
    }
    AroundTheBar
}

/// Shows how far a backfill is for as long as it is held.
pub(super) struct Follower(JoinHandle<()>);

impl Drop for Follower {
    fn drop(&mut self) {
        self.0.abort();
        if let Some(bar) = shown().take() {
            bar.finish_and_clear();
        }
    }
}

/// Follows a reader. Shows nothing while there is no backfill.
pub(super) fn follow(watch: Arc<Watch>) -> Follower {
    Follower(tokio::spawn(async move {
        let terminal = io::stderr().is_terminal();
        let (mut ticks, begun) = (interval(EVERY), Instant::now());
        let mut backfill: Option<Backfill> = None;
        loop {
            ticks.tick().await;
            let now = Seen::of(&watch, begun.elapsed());
            let Some(current) = &mut backfill else {
                if now.left >= LEAST {
                    backfill = Some(Backfill::begun(now));
                }
                continue;
            };
            if terminal {
                draw(current, now);
            } else if let Some(percent) = current.milestone(now) {
                tracing::info!(percent, progress = current.words(now), "reading history");
            }
            if now.left < CAUGHT_UP {
                backfill = None;
                if let Some(bar) = shown().take() {
                    bar.finish_and_clear();
                }
            }
        }
    }))
}

fn draw(backfill: &Backfill, now: Seen) {
    let mut shown = shown();
    let bar = shown.get_or_insert_with(bar);
    bar.set_length(now.read + now.left);
    bar.set_position(now.read);
    bar.set_message(backfill.words(now));
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(5));
    match ProgressStyle::with_template("{bar:32} {percent:>3} %  {msg}") {
        Ok(style) => bar.with_style(style.progress_chars("=> ")),
        Err(_) => bar,
    }
}

/// What the reader's numbers were at a moment.
#[derive(Debug, Clone, Copy)]
struct Seen {
    /// Since the start of the process.
    at: Duration,
    /// Seconds of time that are read, and that are left.
    read: u64,
    left: u64,
    rows: u64,
    late: u64,
}

impl Seen {
    fn of(watch: &Watch, at: Duration) -> Self {
        Self {
            at,
            read: watch.read_seconds.get(),
            left: watch.left_seconds.get(),
            rows: watch.fresh.get(),
            late: watch.late.get(),
        }
    }

    fn percent(self) -> u64 {
        (self.read * 100).checked_div(self.read + self.left).unwrap_or(100)
    }
}

/// A backfill under way.
#[derive(Debug)]
struct Backfill {
    /// How it was when it was seen first. A restart goes on in the middle.
    first: Seen,
    /// The tenth of it that was said last.
    said: u64,
}

impl Backfill {
    fn begun(first: Seen) -> Self {
        Self { first, said: first.percent() / 10 }
    }

    /// The per cent, when another tenth is done.
    fn milestone(&mut self, now: Seen) -> Option<u64> {
        let (percent, before) = (now.percent(), self.said);
        self.said = before.max(percent / 10);
        (self.said > before).then_some(percent)
    }

    /// All that is known, in a line.
    fn words(&self, now: Seen) -> String {
        let elapsed = (now.at.saturating_sub(self.first.at)).as_secs_f64();
        let rows = now.rows.saturating_sub(self.first.rows) as f64;
        let read = now.read.saturating_sub(self.first.read) as f64;
        let mut words = format!(
            "{:.1} of {:.1} days, {} rows, {} rows/s, {} late",
            now.read as f64 / DAY,
            (now.read + now.left) as f64 / DAY,
            grouped(now.rows),
            grouped((rows / elapsed.max(0.001)) as u64),
            grouped(now.late),
        );
        if read > 0.0 && elapsed > 2.0 {
            let seconds = (now.left as f64 * elapsed / read) as u64;
            words.push_str(&format!(
                ", {}h{:02}m{:02}s left",
                seconds / 3_600,
                seconds / 60 % 60,
                seconds % 60
            ));
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(seconds: u64, days: u64, of: u64, rows: u64) -> Seen {
        let day = 86_400;
        Seen { at: Duration::from_secs(seconds), read: days * day, left: (of - days) * day, rows, late: 3 }
    }

    #[test]
    fn a_line_comes_about_every_ten_per_cent() {
        let mut backfill = Backfill::begun(seen(0, 0, 365, 0));
        let said: Vec<u64> =
            (1..=365).filter_map(|day| backfill.milestone(seen(day, day, 365, day * 1_000))).collect();
        assert_eq!(said, [10, 20, 30, 40, 50, 60, 70, 80, 90, 100]);
        // One that goes on in the middle says what comes.
        let mut backfill = Backfill::begun(seen(0, 200, 365, 0));
        assert_eq!(backfill.milestone(seen(1, 201, 365, 9)), None);
        assert_eq!(backfill.milestone(seen(2, 365, 365, 9)), Some(100));
    }

    #[test]
    fn the_words_say_how_fast_it_goes_and_how_long_it_takes() {
        let backfill = Backfill::begun(seen(10, 100, 365, 500_000));
        assert_eq!(
            backfill.words(seen(110, 200, 365, 3_500_000)),
            "200.0 of 365.0 days, 3,500,000 rows, 30,000 rows/s, 3 late, 0h02m45s left"
        );
        assert_eq!(
            backfill.words(seen(10, 100, 365, 500_000)),
            "100.0 of 365.0 days, 500,000 rows, 0 rows/s, 3 late"
        );
    }
}
