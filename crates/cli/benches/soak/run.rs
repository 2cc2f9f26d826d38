//! The run: bad weather for as long as was asked for, then calm, then rest, and then the books are closed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{IsTerminal as _, Write as _, stderr};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ingest::api::Position;
use tokio::runtime::Runtime;

use crate::elastic::Elastic;
use crate::figures::{Figures, imbalance};
use crate::files::{Follower, NAME};
use crate::ledger::{Balance, Ledger};
use crate::options::Options;
use crate::sample::Sample;
use crate::stage::Stage;
use crate::tenant::{KEYS, MINUTE, Tenant};
use crate::weather::{Record, Weather};

/// How often it is looked whether anything is due.
const TICK: Duration = Duration::from_millis(100);

/// How often the truth is held against the sinks, and files are read.
const SETTLE: Duration = Duration::from_secs(2);

/// A position that is less behind has caught up, in seconds of the feed.
const CAUGHT_UP: f64 = 600.0;

/// How long that may take when nothing goes wrong any more.
const CALM: Duration = Duration::from_secs(180);

/// How long it may take until all rows are found when nothing happens any more.
const REST: Duration = Duration::from_secs(300);

/// By how much the clock is moved on then.
const STEP: Duration = Duration::from_secs(1_800);

/// Everything that is at work.
pub(crate) struct Run<'o> {
    options: &'o Options,
    begun: Instant,
    tenant: Tenant,
    elastic: Elastic,
    stages: [Stage; 2],
    ledgers: [Arc<Ledger>; 2],
    follower: Follower,
    weather: Weather,
    samples: Vec<Sample>,
    /// The same as NDJSON, for whoever looks while it runs.
    kept: File,
    settled: Instant,
    sampled: Option<Instant>,
    bar: ProgressBar,
    /// The servers' tasks run on it; dropped last.
    runtime: Runtime,
}

/// What came of it.
pub(crate) struct Outcome {
    pub(crate) samples: Vec<Sample>,
    pub(crate) figures: Vec<Figures>,
    pub(crate) balances: Vec<Balance>,
    pub(crate) record: Record,
    /// What went wrong at the sink.
    pub(crate) sink: BTreeMap<&'static str, u64>,
    pub(crate) bulks: u64,
    /// What the stages counted: a name, and a number for each.
    pub(crate) counts: Vec<(&'static str, [f64; 2])>,
    pub(crate) ndjson_bytes: u64,
    /// How long they took to catch up when it was calm.
    pub(crate) caught_up: Option<Duration>,
    /// What is wrong.
    pub(crate) faults: Vec<String>,
}

impl Outcome {
    /// The samples of a stage.
    pub(crate) fn of(&self, stage: &str) -> Vec<&Sample> {
        self.samples.iter().filter(|sample| sample.stage == stage).collect()
    }
}

impl<'o> Run<'o> {
    pub(crate) fn new(options: &'o Options) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let tenant = Tenant::new(&runtime, options.seed, options.people, options.span());
        let ledgers = [Arc::new(Ledger::default()), Arc::new(Ledger::default())];
        let elastic = Elastic::start(&runtime, options.seed, Arc::clone(&ledgers[1]));
        let ndjson = format!("type = \"ndjson\"\npath = \"{NAME}\"\nrotate_bytes = \"16MiB\"");
        let bulk = format!("type = \"elasticsearch\"\nurl = \"{}\"\ntimeout = \"5s\"", elastic.url);
        let stages = [
            Stage::new("ndjson", &tenant, KEYS[0], &ndjson),
            Stage::new("elasticsearch", &tenant, KEYS[1], &bulk),
        ];
        let follower = Follower::new(stages[0].path("."), Arc::clone(&ledgers[0]));
        Self {
            options,
            begun: Instant::now(),
            weather: Weather::new(&tenant, options.seed, options.span(), options.kills),
            tenant,
            elastic,
            stages,
            ledgers,
            follower,
            samples: Vec::new(),
            kept: File::create(Options::folder().join("samples.ndjson")).unwrap(),
            settled: Instant::now(),
            sampled: None,
            bar: bar(options.span()),
            runtime,
        }
    }

    pub(crate) fn run(mut self) -> Outcome {
        self.stages.iter_mut().for_each(Stage::start);
        self.begun = Instant::now();
        let mut tenth = 1;
        while self.begun.elapsed() < self.options.span() {
            self.weather.tick(&self.tenant, &self.elastic, &mut self.stages, &self.runtime);
            self.work();
            if !stderr().is_terminal() && self.begun.elapsed() * 10 >= self.options.span() * tenth {
                println!("{:>3} %  {}", tenth * 10, self.words());
                tenth += 1;
            }
        }
        let caught_up = self.calm();
        self.bar.finish_and_clear();
        let mut faults = Vec::new();
        if caught_up.is_none() {
            faults.push(format!("a position has not caught up after {} s of calm", CALM.as_secs()));
        }
        self.rest();
        self.close(caught_up, faults)
    }

    /// One look around.
    fn work(&mut self) {
        let now = Instant::now();
        if self.sampled.is_none_or(|last| now - last >= self.options.every()) {
            self.sampled = Some(now);
            self.sample();
        }
        if now - self.settled >= SETTLE {
            self.settled = now;
            self.settle();
            self.bar.set_position(self.begun.elapsed().as_secs());
            self.bar.set_message(self.words());
        }
        sleep(TICK);
    }

    fn sample(&mut self) {
        let seconds = self.begun.elapsed().as_secs_f64();
        let outage = self.weather.is_outage();
        for (stage, ledger) in self.stages.iter_mut().zip(&self.ledgers) {
            let now = self.tenant.control().now();
            let sample = Sample::take(stage, seconds, now, ledger.written(), outage);
            let Some(sample) = sample else { continue };
            writeln!(self.kept, "{}", serde_json::to_string(&sample).unwrap()).unwrap();
            self.samples.push(sample);
        }
    }

    /// Holds what nobody looks back to any more against the sinks.
    fn settle(&mut self) {
        self.follower.follow();
        self.weather.note(&self.tenant.take_seen());
        let read = |stage: &Stage| stage.position().map_or(i64::MIN / 2, |position| position.high.0);
        let rows = self.tenant.take_settled(self.stages.iter().map(read).min().unwrap_or_default());
        self.ledgers.iter().for_each(|ledger| ledger.settle(&rows));
    }

    fn words(&self) -> String {
        let last = |name| self.samples.iter().rev().find(|sample| sample.stage == name);
        let stages = self.stages.iter().filter_map(|stage| last(stage.name)).map(|sample| {
            format!(
                "{}: {} rows, {:.1} MiB, {:.0} min of the feed behind",
                sample.stage,
                sample.written,
                sample.resident_bytes as f64 / f64::from(1 << 20),
                sample.behind_seconds.unwrap_or(0.0) / 60.0
            )
        });
        stages.collect::<Vec<_>>().join("; ")
    }

    /// Nothing goes wrong any more; how long the stages took to catch up.
    fn calm(&mut self) -> Option<Duration> {
        self.weather.clear(&self.tenant, &self.elastic, &self.runtime);
        let begun = Instant::now();
        while begun.elapsed() < CALM {
            let now = self.tenant.control().now();
            let near = |stage: &Stage| {
                let high = stage.position().map(|position| position.high.0);
                high.is_some_and(|high| ((now - high) as f64 / 1e6) < CAUGHT_UP)
            };
            if self.stages.iter().all(near) {
                self.sample();
                return Some(begun.elapsed());
            }
            self.work();
        }
        None
    }

    /// Nothing happens any more, until everything that had happened is found, or should have been. The clock is moved on only
    /// when the stages have read what there is, re-reads included: how fast they are must not decide what they find.
    fn rest(&mut self) {
        let until = self.tenant.come_to_rest();
        let deadline = Instant::now() + REST;
        let control = self.tenant.control().clone();
        while Instant::now() < deadline {
            sleep(TICK);
            self.stages.iter_mut().for_each(|stage| _ = stage.process());
            let now = control.now();
            if !self.stages.iter().all(|stage| stage.position().is_some_and(|position| idle(&position, now)))
            {
                continue;
            }
            self.follower.follow();
            let ids = self.tenant.ids();
            if now > until && self.ledgers.iter().all(|ledger| ledger.missing(&ids) == 0) {
                return;
            }
            control.advance(STEP);
        }
    }

    fn close(mut self, caught_up: Option<Duration>, mut faults: Vec<String>) -> Outcome {
        for stage in &mut self.stages {
            let status = stage.stop();
            if !status.success() {
                faults.push(format!("{} stopped with {status}", stage.name));
            }
        }
        self.follower.follow();
        self.weather.note(&self.tenant.take_seen());
        let rows = self.tenant.take_rest();
        self.ledgers.iter().for_each(|ledger| ledger.settle(&rows));
        let balances: Vec<Balance> = self.ledgers.iter().map(|ledger| ledger.close()).collect();
        let samples = self.samples;
        let figures: Vec<Figures> = (self.stages.iter())
            .map(|stage| {
                let own: Vec<&Sample> = samples.iter().filter(|sample| sample.stage == stage.name).collect();
                Figures::of(&own, self.options.warm_up())
            })
            .collect();
        for (stage, balance) in self.stages.iter().zip(&balances) {
            faults.extend(imbalance(stage.name, balance));
            let letters = stage.dead_letters();
            if letters > 0 {
                faults.push(format!("{}: {letters} dead letters", stage.name));
            }
            if stage.position().is_none_or(|position| !position.gaps.is_empty()) {
                faults.push(format!("{}: a gap is left in what was read", stage.name));
            }
        }
        if self.options.is_judged() {
            faults.extend(figures.iter().flat_map(|figures| figures.faults(self.options.span())));
        }
        self.stages.iter().for_each(|stage| stage.keep(&Options::folder()));
        let count = |(name, words)| (words, [0, 1].map(|at| self.stages[at].total(name)));
        let counts = COUNTS.map(count).to_vec();
        Outcome {
            samples,
            figures,
            balances,
            record: self.weather.record,
            sink: self.elastic.met(),
            bulks: self.elastic.bulks(),
            counts,
            ndjson_bytes: self.follower.bytes,
            caught_up,
            faults,
        }
    }
}

/// Whether there is nothing to be read at that time.
fn idle(position: &Position, now: i64) -> bool {
    position.walks.is_empty()
        && position.high.0 > now - 5 * MINUTE
        && position.passes.iter().all(|pass| pass.due.0 > now)
}

/// What the stages count that is worth telling, and in which words.
const COUNTS: [(&str, &str); 9] = [
    ("api_requests_total", "requests to the API"),
    ("api_throttled_total", "of these answered 429"),
    ("api_failures_total", "of these failed in another way"),
    ("api_rows_total", "rows in their pages, with overlaps and re-reads"),
    ("api_late_rows_total", "rows found by a re-read"),
    ("api_rereads_total", "re-reads"),
    ("records_delivered_total", "documents delivered"),
    ("records_duplicate_total", "documents that the sink had already"),
    ("records_retried_total", "times a document was sent again"),
];

fn bar(span: Duration) -> ProgressBar {
    let target = if stderr().is_terminal() {
        ProgressDrawTarget::stderr_with_hz(2)
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(Some(span.as_secs()), target);
    let style = ProgressStyle::with_template("{bar:24} {elapsed_precise}, {eta} left  {msg}").unwrap();
    bar.with_style(style.progress_chars("=> "))
}
