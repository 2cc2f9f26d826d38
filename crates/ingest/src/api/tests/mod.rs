//! The reader against a simulated API, without sockets and at the speed of the processor.
//!
//! [`World`] is everything around the reader: the API, two clocks, a disk that survives a crash, and a sink that takes each id
//! once. What it holds in the end is compared with what is true.

mod campaign;
mod canary;
mod traps;
mod wired;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use model::fault::{Fault, FaultKind};
use simulator::api::{ACTIVITIES_PATH, Request, Settings as SimulatorSettings, Simulation, Tenant};

use super::attestation::Attestation;
use super::config::{ComplianceApiConfig, Settings};
use super::position::Position;
use super::reader::{Broke, Known, Now, Portion, Reader, Step};
use super::refusal::Head;
use super::rows::Look;
use super::seen::{Key, Seen};
use super::time::Micros;

pub(super) const SECOND: i64 = 1_000_000;
pub(super) const MINUTE: i64 = 60 * SECOND;
pub(super) const HOUR: i64 = 60 * MINUTE;

/// What a request came to, to be tampered with.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Vec<u8>,
    /// The connection breaks off instead of an answer.
    pub(super) reset: bool,
    /// The connection breaks off after so many bytes.
    pub(super) cut: Option<usize>,
}

impl Reply {
    pub(super) fn refuse(&mut self, status: u16, kind: &str, message: &str) {
        self.status = status;
        self.body = serde_json::json!({"error": {"type": kind, "message": message}}).to_string().into_bytes();
    }

    pub(super) fn edit(&mut self, change: impl FnOnce(&mut serde_json::Value)) {
        // A page may hold numbers that a tree of values refuses; it is left alone then.
        if let Ok(mut page) = serde_json::from_slice(&self.body) {
            change(&mut page);
            self.body = page.to_string().into_bytes();
        }
    }
}

/// Says what goes wrong with a request, by its number and its query.
pub(super) type Mischief = Box<dyn FnMut(usize, &str, &mut Reply)>;

/// What survives a crash.
#[derive(Default)]
pub(super) struct Disk {
    pub(super) position: Option<String>,
    /// Ids that are remembered, with the times of their records.
    pub(super) seen: HashMap<Key, Micros>,
    pub(super) lines: Vec<Attestation>,
    /// What is left of the budget, as of the last request or refusal.
    pub(super) budget: Option<String>,
}

/// What of a commit has been done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Done {
    /// The records have ended, and that is known to nobody.
    Nothing,
    /// The ids are kept.
    Ids,
    /// So is the position, with the attestations.
    Position,
    All,
}

impl Known for &HashMap<Key, Micros> {
    fn has(&mut self, key: Key) -> Result<bool, Fault> {
        Ok(self.contains_key(&key))
    }
}

struct Pending {
    portion: Portion,
    ended: bool,
}

/// Everything around a reader.
pub(super) struct World {
    pub(super) simulation: Simulation,
    pub(super) settings: Settings,
    /// The true time.
    pub(super) now: i64,
    /// How far our own clock is ahead of it.
    pub(super) skew: i64,
    steady: Duration,
    pub(super) random: Rng,
    pub(super) reader: Reader,
    pub(super) disk: Disk,
    pending: VecDeque<Pending>,
    /// How often each id came to the sink; and how often the sink's own rule had to help.
    pub(super) sink: BTreeMap<String, u32>,
    pub(super) first: BTreeMap<String, Vec<u8>>,
    pub(super) malformed: Vec<Vec<u8>>,
    pub(super) faults: Vec<Fault>,
    pub(super) mischief: Mischief,
    pub(super) requests: Vec<(i64, String, u16)>,
    pub(super) crash_per_mille: u64,
    pub(super) crashes: u32,
    /// How many of them came while the API wanted to be left alone.
    pub(super) crashes_in_waits: u32,
    /// The commit, from 1 on, in which to crash, and when it has done so much.
    pub(super) crash_at: Option<(u32, Done)>,
    pub(super) commits: u32,
    /// The name of the key that is used.
    pub(super) key: &'static str,
    /// Whether records end at once, or at any time.
    pub(super) prompt: bool,
}

pub(super) fn config(extra: serde_json::Value) -> ComplianceApiConfig {
    let mut all = serde_json::json!({"api_key": "sk-ant-api01-test", "base_url": "http://127.0.0.1:1", "budget_share": 1.0});
    all.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    serde_json::from_value(all).unwrap()
}

/// A tenant in which only happens what a test adds.
pub(super) fn silent(seed: u64) -> SimulatorSettings {
    SimulatorSettings {
        seed,
        tenant: Tenant::empty(),
        own_reads: None,
        gzip: false,
        ..SimulatorSettings::default()
    }
}

impl World {
    pub(super) fn new(simulator: SimulatorSettings, extra: serde_json::Value) -> Self {
        Self::skewed(simulator, extra, 0)
    }

    pub(super) fn skewed(simulator: SimulatorSettings, extra: serde_json::Value, skew: i64) -> Self {
        let seed = simulator.seed;
        let simulation = Simulation::new(simulator);
        let settings = config(extra).validate().unwrap();
        let now = simulation.start();
        let mut random = Rng::with_seed(seed);
        let at = Now { wall: Micros(now + skew), steady: Duration::ZERO };
        let reader = Reader::new(settings.rules.clone(), None, at, random.fork()).unwrap();
        Self {
            simulation,
            settings,
            now,
            skew,
            steady: Duration::ZERO,
            random,
            reader,
            disk: Disk::default(),
            pending: VecDeque::new(),
            sink: BTreeMap::new(),
            first: BTreeMap::new(),
            malformed: Vec::new(),
            faults: Vec::new(),
            mischief: Box::new(|_, _, _| {}),
            requests: Vec::new(),
            crash_per_mille: 0,
            crashes: 0,
            crashes_in_waits: 0,
            crash_at: None,
            commits: 0,
            key: "activities",
            prompt: true,
        }
    }

    pub(super) fn at(&self) -> Now {
        Now { wall: Micros(self.now + self.skew), steady: self.steady }
    }

    pub(super) fn pass(&mut self, micros: i64) {
        self.now += micros;
        self.steady += Duration::from_micros(micros as u64);
    }

    /// The process ends, at once, and is started again.
    pub(super) fn crash(&mut self) {
        self.crashes += 1;
        self.crashes_in_waits += u32::from(self.reader.budget.is_held(self.steady));
        self.restart(self.settings.clone()).unwrap();
    }

    pub(super) fn restart(&mut self, settings: Settings) -> Result<(), Fault> {
        self.pending.clear();
        let kept: Option<Position> =
            self.disk.position.as_deref().map(|text| serde_json::from_str(text).unwrap());
        let mut reader = Reader::new(settings.rules.clone(), kept, self.at(), self.random.fork())?;
        reader.position.outbox.clear();
        if let Some(kept) = &self.disk.budget {
            reader.budget.resume(&serde_json::from_str(kept).unwrap(), self.steady, self.at().wall);
        }
        self.settings = settings;
        self.reader = reader;
        Ok(())
    }

    /// As the source keeps it: with each request, and when something failed.
    fn keep_budget(&mut self) {
        let kept = self.reader.budget.kept(self.steady, self.at().wall);
        self.disk.budget = Some(serde_json::to_string(&kept).unwrap());
    }

    /// Within a commit.
    fn may_crash_when(&mut self, done: Done) -> bool {
        if self.crash_at == Some((self.commits, done)) {
            self.crash_at = None;
            self.crash();
            return true;
        }
        self.may_crash()
    }

    fn may_crash(&mut self) -> bool {
        let crash = self.random.u64(0..1_000) < self.crash_per_mille;
        if crash {
            self.crash();
        }
        crash
    }

    /// Runs for some time, or until the source ends. Gives whether it ended.
    pub(super) fn run(&mut self, micros: i64) -> bool {
        let until = self.now + micros;
        while self.now < until {
            if self.may_crash() {
                continue;
            }
            self.deliver();
            match self.reader.step(self.at()) {
                Step::End => {
                    self.settle();
                    return true;
                }
                Step::Wait(at) => {
                    assert!(at > self.steady, "waiting for what has passed");
                    self.settle();
                    let wait = (at - self.steady).as_nanos().div_ceil(1_000) as i64;
                    self.pass(wait.min(until - self.now));
                }
                Step::Give(portion) => self.pending.push_back(Pending { portion, ended: false }),
                Step::Send(query) => {
                    self.keep_budget();
                    self.exchange(&query);
                }
            }
        }
        self.settle();
        false
    }

    fn exchange(&mut self, query: &str) {
        let number = self.requests.len();
        let key = self.simulation.key(self.key).to_owned();
        let request = Request::get(&format!("{ACTIVITIES_PATH}?{query}")).key(&key);
        let answer = self.simulation.answer(&request, self.now);
        let mut reply = Reply {
            status: answer.status,
            headers: answer.headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
            body: answer.body.to_vec(),
            reset: false,
            cut: None,
        };
        (self.mischief)(number, query, &mut reply);
        self.requests.push((self.now, query.to_owned(), reply.status));
        let latency = 50_000 + self.random.i64(0..400_000);
        self.pass(latency);
        let outcome = self.feed(&reply);
        if let Err(fault) = outcome {
            assert!(!fault.kind.is_final() || fault.kind == FaultKind::Unusable);
            assert!(!fault.to_string().contains("sk-ant"), "{fault}");
            self.faults.push(fault);
            self.keep_budget();
        }
    }

    fn feed(&mut self, reply: &Reply) -> Result<(), Fault> {
        let broken = |world: &mut Self, broke| {
            let at = world.at();
            Err(world.reader.broke(broke, "the connection broke off".into(), at))
        };
        if reply.reset {
            return broken(self, Broke::Connection);
        }
        let at = self.at();
        self.reader.head(head(reply), at)?;
        let body =
            Bytes::copy_from_slice(&reply.body[..reply.cut.unwrap_or(usize::MAX).min(reply.body.len())]);
        let mut from = 0;
        while from < body.len() {
            let to = (from + self.random.usize(1..=32_768)).min(body.len());
            let portion = self.reader.piece(&body.slice(from..to), &mut &self.disk.seen, at)?;
            self.pending.extend(portion.map(|portion| Pending { portion, ended: false }));
            from = to;
            // Whoever ends within a refusal has not heard it, so there is nothing that could be kept to.
            if reply.status == 200 && self.random.u8(0..32) == 0 && self.may_crash() {
                return Ok(());
            }
        }
        if reply.cut.is_some() {
            return broken(self, Broke::Size);
        }
        let portion = self.reader.end(at)?;
        self.pending.push_back(Pending { portion, ended: false });
        Ok(())
    }

    /// Some of what was given ends, in any order; some of the beginning is committed.
    fn deliver(&mut self) {
        for at in 0..self.pending.len() {
            if !self.pending[at].ended && (self.prompt || self.random.bool()) {
                self.end(at);
            }
        }
        if self.prompt || self.random.u8(0..4) == 0 {
            self.commit();
        }
    }

    fn settle(&mut self) {
        for at in 0..self.pending.len() {
            if !self.pending[at].ended {
                self.end(at);
            }
        }
        self.commit();
    }

    fn end(&mut self, at: usize) {
        self.pending[at].ended = true;
        for record in &self.pending[at].portion.records {
            // Not by a tree of values, which refuses what the feed may hold: lone surrogates, huge numbers.
            match Look::at(&record.bytes).and_then(|look| look.id) {
                Some(id) if record.kind == crate::file::Kind::Record => {
                    let id = id.into_owned();
                    *self.sink.entry(id.clone()).or_default() += 1;
                    self.first.entry(id).or_insert_with(|| record.bytes.to_vec());
                }
                _ => self.malformed.push(record.bytes.to_vec()),
            }
        }
    }

    /// As the source keeps it: ids, position, attestations, with a crash between any two.
    fn commit(&mut self) {
        let ended = self.pending.iter().take_while(|pending| pending.ended).count();
        if ended == 0 {
            return;
        }
        let done: Vec<Pending> = self.pending.drain(..ended).collect();
        let seen: Vec<Seen> = done.iter().flat_map(|done| done.portion.seen.iter().copied()).collect();
        let positions: Vec<&Position> =
            done.iter().filter_map(|done| done.portion.position.as_deref()).collect();
        let lines: Vec<Attestation> = positions.iter().flat_map(|position| position.outbox.clone()).collect();
        // What will not be read again is not remembered, to the hour.
        let forget = self.reader.forget_before(positions.last().copied().unwrap_or(&self.reader.position));
        self.commits += 1;
        if self.may_crash_when(Done::Nothing) {
            return;
        }
        let kept = seen.iter().filter(|seen| seen.created >= forget);
        self.disk.seen.extend(kept.map(|seen| (seen.key, seen.created)));
        self.disk.seen.retain(|_, created| created.0 / HOUR >= forget.0 / HOUR);
        if self.may_crash_when(Done::Ids) {
            return;
        }
        if let Some(position) = positions.last() {
            self.check_committed(position);
            self.disk.position = Some(serde_json::to_string(position).unwrap());
            self.disk.lines.extend(lines);
        }
        if self.may_crash_when(Done::Position) {
            return;
        }
        self.reader.delivered(&seen);
        self.may_crash_when(Done::All);
    }

    /// No kept position is past a row that was visible in time and is not in the sink.
    fn check_committed(&self, position: &Position) {
        let gaps: Vec<_> = position.gaps.iter().map(|gap| gap.slice.from.0..gap.slice.to.0).collect();
        let history = position.history.map_or(position.start.0, |history| history.to.0);
        for truth in self.simulation.truth() {
            let covered = (history..position.high.0).contains(&truth.created);
            let in_time = truth.indexed <= truth.created + 60 * SECOND;
            let gap = gaps.iter().any(|gap| gap.contains(&truth.created));
            assert!(
                !covered || !in_time || gap || self.sink.contains_key(&truth.id),
                "the kept position, {}, is past {} of {}, which is not delivered",
                position.high,
                truth.id,
                Micros(truth.created)
            );
        }
    }

    /// Ids that are true, from `start` on, and not in the sink.
    pub(super) fn missing(&self) -> Vec<String> {
        let start = self.reader.position.start.0;
        let wanted =
            self.simulation.truth().filter(|truth| truth.created >= start && truth.indexed <= self.now);
        wanted.map(|truth| truth.id).filter(|id| !self.sink.contains_key(id)).collect()
    }

    /// How often the sink met an id that it had.
    pub(super) fn repeats(&self) -> u32 {
        self.sink.values().map(|times| times - 1).sum()
    }

    pub(super) fn add(&mut self, created: i64, indexed: i64) -> String {
        self.simulation.add("claude_chat_created", created, indexed)
    }
}

fn head(reply: &Reply) -> Head {
    let text = |name: &str| reply.headers.get(name).cloned();
    let number = |name: &str| text(name).and_then(|text| text.parse().ok());
    Head {
        status: reply.status,
        request_id: text("request-id"),
        organization: text("anthropic-organization-id"),
        retry_after: number("retry-after").map(|seconds| Duration::from_secs(u64::from(seconds))),
        should_retry: text("x-should-retry").and_then(|text| text.parse().ok()),
        date: text("date").and_then(|text| Micros::parse_http(&text)),
        limit: number("anthropic-ratelimit-requests-limit"),
        remaining: number("anthropic-ratelimit-requests-remaining"),
        reset: text("anthropic-ratelimit-requests-reset").and_then(|text| Micros::parse(&text)),
    }
}
