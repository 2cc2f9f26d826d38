//! The course of the demo: what happens to the feed while the stage reads it, and what is told of that.
//!
//! Owns the phases. It watches the stage by its own counters, and the API by the simulator's log, as an operator would.

use std::collections::HashSet;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ingest::api::Watch;
use pipeline::Status;
use simulator::SECOND;
use simulator::api::{Control, FaultKind};
use tokio::time::Instant;

use super::world::{LAG, POLL};
use crate::table::grouped;

/// How many activities come late, and the types they are of.
const LATE: usize = 24;
const LATE_TYPES: [&str; 4] =
    ["claude_chat_created", "claude_file_uploaded", "claude_project_viewed", "sso_login_succeeded"];

/// How long the demo waits for anything; what has not come by then is told as it is.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long the last rows take to come: until their window is closed, and read.
const LAST_ROWS: Duration = Duration::from_secs(LAG + POLL + 2);

enum Phase {
    /// The history is read.
    History,
    /// Activities have come late.
    Late,
    /// What there is at the end is waited for.
    Last,
    Over,
}

/// What was seen on the way.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Requests the stage sent.
    pub(super) requests: usize,
    /// What went wrong with some of them.
    pub(super) faults: Vec<FaultKind>,
    /// Activities that came late and were found, and how late the latest was, in seconds.
    pub(super) late: u64,
    pub(super) most_lateness: u64,
    /// What must have been delivered: every activity that the feed showed when the last was waited for.
    pub(super) truth: HashSet<String>,
}

/// The demo while it runs.
pub(super) struct Tour {
    control: Control,
    watch: Arc<Watch>,
    status: Arc<Status>,
    screen: Screen,
    phase: Phase,
    since: Instant,
    history: u64,
    pub(super) seen: Seen,
}

impl Tour {
    pub(super) fn new(control: Control, watch: Arc<Watch>, status: Arc<Status>) -> Self {
        let history = control
            .with(|simulation, now| simulation.truth().filter(|truth| truth.indexed <= now).count() as u64);
        let screen = Screen::new(history);
        screen.say(&format!("The feed has {} activities to read.", grouped(history)));
        Self {
            control,
            watch,
            status,
            screen,
            phase: Phase::History,
            since: Instant::now(),
            history,
            seen: Seen::default(),
        }
    }

    /// Looks at how things are, and goes on if it is time. Whether the demo is over.
    pub(super) fn step(&mut self) -> bool {
        self.tell_requests();
        let delivered = self.status.delivered.get();
        self.screen.show(delivered);
        let waited = self.since.elapsed();
        match self.phase {
            Phase::History if delivered >= self.history || waited > PATIENCE => {
                self.screen.say(&format!(
                    "All of the history is delivered, {} documents; now the feed is followed as it grows.",
                    grouped(delivered)
                ));
                self.add_late();
                self.enter(Phase::Late);
            }
            Phase::Late if self.watch.late.get() >= LATE as u64 || waited > PATIENCE => {
                let late = self.watch.late.get();
                self.screen.say(&format!(
                    "The stage has read that time once more, as it always does, and found {late} of them."
                ));
                self.note_truth();
                self.screen.say("A few seconds more of the live feed …");
                self.enter(Phase::Last);
            }
            Phase::Last if waited > LAST_ROWS => self.enter(Phase::Over),
            _ => {}
        }
        matches!(self.phase, Phase::Over)
    }

    /// Takes the bar away, and gives what was seen.
    pub(super) fn finish(mut self) -> Seen {
        self.tell_requests();
        self.screen.clear();
        self.seen.late = self.watch.late.get();
        self.seen.most_lateness = self.watch.lateness.most();
        self.seen
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.since = Instant::now();
    }

    /// Tells which requests went wrong since the last look.
    fn tell_requests(&mut self) {
        let known = self.seen.requests;
        let new: Vec<_> = self.control.with(|simulation, _| {
            simulation.seen().iter().skip(known).map(|seen| (seen.fault, seen.retry_after)).collect()
        });
        for (fault, retry_after) in new {
            self.seen.requests += 1;
            let Some(fault) = fault else { continue };
            self.seen.faults.push(fault);
            let what = match (fault, retry_after) {
                (FaultKind::RateLimited, Some(seconds)) => {
                    format!(
                        "The API says 429, too many requests, wait {seconds} s. The stage waits just that long."
                    )
                }
                (FaultKind::Status, _) => {
                    "The API says 503. The stage waits a moment and asks again.".to_owned()
                }
                (FaultKind::ResetAfter, _) => {
                    "The connection breaks and an answer is lost. The page is read again.".to_owned()
                }
                _ => format!("The API fails: {fault:?}."),
            };
            self.screen.say(&what);
        }
    }

    /// Adds activities of the last minutes that the feed shows only now, behind what was read already.
    fn add_late(&self) {
        self.control.with(|simulation, now| {
            for (number, activity_type) in LATE_TYPES.iter().cycle().take(LATE).enumerate() {
                let created = now - (60 + 45 * number as i64) * SECOND;
                simulation.add(activity_type, created, now);
            }
        });
        self.screen.say(&format!(
            "{LATE} activities of the last twenty minutes appear only now, behind what was read already."
        ));
    }

    fn note_truth(&mut self) {
        self.seen.truth = self.control.with(|simulation, now| {
            simulation.truth().filter(|truth| truth.indexed <= now).map(|truth| truth.id).collect()
        });
    }
}

/// Standard error: a bar and lines above it in a terminal, plain lines elsewhere.
struct Screen(Option<ProgressBar>);

impl Screen {
    fn new(total: u64) -> Self {
        if !io::stderr().is_terminal() {
            return Self(None);
        }
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(10));
        let template = "{bar:32} {human_pos} of {human_len} activities delivered  {elapsed}";
        Self(Some(match ProgressStyle::with_template(template) {
            Ok(style) => bar.with_style(style.progress_chars("=> ")),
            Err(_) => bar,
        }))
    }

    fn show(&self, delivered: u64) {
        if let Some(bar) = &self.0 {
            bar.set_length(bar.length().unwrap_or_default().max(delivered));
            bar.set_position(delivered);
        }
    }

    fn say(&self, line: &str) {
        match &self.0 {
            Some(bar) => bar.println(line),
            // Nobody watching is no reason to stop.
            None => drop(writeln!(io::stderr(), "{line}")),
        }
    }

    fn clear(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
