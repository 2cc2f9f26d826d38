//! What goes wrong, and when: single faults all the time, outages now and then, and kills if they are asked for.
//!
//! Chance decides, by a seed; how often is set so that most requests go well, as they must for there to be load.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use simulator::Random;
use simulator::api::{Fault, FaultKind, Seen};
use tokio::runtime::Runtime;

use crate::elastic::Elastic;
use crate::stage::Stage;
use crate::tenant::{KEYS, Tenant};

/// What happens to requests to the API, each as often as it stands here.
const KINDS: [FaultKind; 26] = [
    FaultKind::RateLimited,
    FaultKind::RateLimited,
    FaultKind::RateLimited,
    FaultKind::Status,
    FaultKind::Status,
    FaultKind::Status,
    FaultKind::Reset,
    FaultKind::ResetAfter,
    FaultKind::Refused,
    FaultKind::Stall,
    FaultKind::Drip,
    FaultKind::Drip,
    FaultKind::Cut,
    FaultKind::Abort,
    FaultKind::Truncated,
    FaultKind::GzipCut,
    FaultKind::Empty,
    FaultKind::Malformed,
    FaultKind::Html,
    FaultKind::Huge,
    FaultKind::Changed,
    FaultKind::Duplicate,
    FaultKind::CursorInvalid,
    FaultKind::CursorNull,
    FaultKind::CursorRepeated,
    FaultKind::HasMoreMissing,
];

/// Each of them happens to one request in so many, at least; so something happens to about one in twenty.
const ONE_IN: u64 = 420;

/// These cost a minute each, in which an hour of the feed passes.
const LONG: [FaultKind; 3] = [FaultKind::Expired, FaultKind::Revoked, FaultKind::Starved];

/// Each of them happens to one request in so many, at least.
const LONG_ONE_IN: u64 = 12_000;

/// Somebody or something that can be away.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Away {
    Api,
    Sink,
}

/// Moments of chance.
struct Often {
    mean: Duration,
    next: Instant,
}

impl Often {
    fn new(mean: Duration, random: &mut Random) -> Self {
        let mut often = Self { mean, next: Instant::now() };
        often.again(random);
        often
    }

    /// Whether it is time; if so, the next time is another.
    fn is_due(&mut self, random: &mut Random) -> bool {
        let due = Instant::now() >= self.next;
        if due {
            self.again(random);
        }
        due
    }

    /// Half as long as usual to half as long again.
    fn again(&mut self, random: &mut Random) {
        self.next = Instant::now() + self.mean.mul_f64(0.5 + random.below(1_000) as f64 / 1_000.0);
    }
}

/// What has happened.
#[derive(Debug, Default, Clone)]
pub(crate) struct Record {
    /// Faults of the API by kind, and outages.
    pub(crate) api: BTreeMap<String, u64>,
    pub(crate) requests: [u64; 2],
    /// Rows in all answers.
    pub(crate) rows: u64,
    pub(crate) api_outages: u64,
    pub(crate) sink_outages: u64,
    pub(crate) terminated: u64,
    pub(crate) killed: u64,
}

/// What goes wrong.
pub(crate) struct Weather {
    random: Random,
    outages: Often,
    kills: Option<Often>,
    away: Option<(Away, Instant)>,
    /// Who is away next.
    next: Away,
    /// How long an outage lasts at most.
    longest: Duration,
    pub(crate) record: Record,
}

impl Weather {
    /// Orders what goes wrong with single requests to the API, without end. It goes by requests and not by time: a stage that
    /// waits longer after each failure must not meet another one with each attempt.
    pub(crate) fn new(tenant: &Tenant, seed: u64, span: Duration, kills: bool) -> Self {
        let mut random = Random::new(seed ^ 0x7765_6174);
        let kinds = KINDS.iter().map(|kind| (*kind, ONE_IN));
        for (kind, one_in) in kinds.chain(LONG.iter().map(|kind| (*kind, LONG_ONE_IN))) {
            let fault = Fault {
                count: 0,
                every: one_in + random.below(one_in / 2),
                after: one_in / 20 + random.below(one_in),
                ..fault(kind, &mut random)
            };
            tenant.control().with(|simulation, _| simulation.order(fault)).unwrap();
        }
        let within = |part: u32, least: u64, most: u64| {
            (span / part).clamp(Duration::from_secs(least), Duration::from_secs(most))
        };
        Self {
            outages: Often::new(within(4, 5, 240), &mut random),
            kills: kills.then(|| Often::new(within(10, 4, 240), &mut random)),
            away: None,
            next: Away::Api,
            longest: within(20, 2, 30),
            random,
            record: Record::default(),
        }
    }

    /// Whether somebody is away altogether.
    pub(crate) fn is_outage(&self) -> bool {
        self.away.is_some()
    }

    /// Does what is due.
    pub(crate) fn tick(
        &mut self,
        tenant: &Tenant,
        elastic: &Elastic,
        stages: &mut [Stage; 2],
        runtime: &Runtime,
    ) {
        match self.away {
            Some((who, until)) if Instant::now() >= until => self.back(who, tenant, elastic, runtime),
            None if self.outages.is_due(&mut self.random) => {
                let who = self.next;
                let length = self.longest.mul_f64(0.2 + self.random.below(800) as f64 / 1_000.0);
                self.away = Some((who, Instant::now() + length));
                match who {
                    Away::Api => {
                        self.next = Away::Sink;
                        self.record.api_outages += 1;
                        runtime.block_on(tenant.server().go_away()).unwrap();
                    }
                    Away::Sink => {
                        self.next = Away::Api;
                        self.record.sink_outages += 1;
                        elastic.away(true);
                    }
                }
            }
            _ => {}
        }
        if self.kills.as_mut().is_some_and(|kills| kills.is_due(&mut self.random)) {
            let stage = &mut stages[self.random.index(2)];
            if self.random.chance(50) {
                stage.kill();
                self.record.killed += 1;
            } else {
                let status = stage.stop();
                assert!(status.success(), "{} stopped with {status}:\n{}", stage.name, stage.log_tail());
                self.record.terminated += 1;
            }
            stage.start();
        }
    }

    fn back(&mut self, who: Away, tenant: &Tenant, elastic: &Elastic, runtime: &Runtime) {
        match who {
            Away::Api => runtime.block_on(tenant.server().come_back()).unwrap(),
            Away::Sink => elastic.away(false),
        }
        self.away = None;
    }

    /// From now on nothing goes wrong.
    pub(crate) fn clear(&mut self, tenant: &Tenant, elastic: &Elastic, runtime: &Runtime) {
        if let Some((who, _)) = self.away {
            self.back(who, tenant, elastic, runtime);
        }
        tenant.control().with(|simulation, _| simulation.clear_faults());
        elastic.calm();
    }

    /// Takes down what was asked and what went wrong.
    pub(crate) fn note(&mut self, requests: &[Seen]) {
        for seen in requests {
            if let Some(at) = KEYS.iter().position(|key| seen.key.as_deref() == Some(key)) {
                self.record.requests[at] += 1;
            }
            self.record.rows += seen.rows as u64;
            if let Some(kind) = seen.fault {
                let name = serde_json::to_value(kind).ok().and_then(|name| Some(name.as_str()?.to_owned()));
                *self.record.api.entry(name.unwrap_or_default()).or_default() += 1;
            }
        }
    }
}

/// A fault with its particulars.
fn fault(kind: FaultKind, random: &mut Random) -> Fault {
    let mut fault = Fault::new(kind);
    match kind {
        FaultKind::Status => {
            fault.status = Some(*random.pick(&[500, 503, 504, 529]));
            // For good, as far as that page is concerned; it passes all the same.
            fault.should_retry = (fault.status == Some(500)).then_some(false);
        }
        FaultKind::RateLimited => fault.retry_after = random.chance(50).then_some(2),
        FaultKind::Drip => (fault.bytes, fault.pause_millis) = (Some(4_000), Some(10)),
        FaultKind::Huge => fault.bytes = Some(1 << 20),
        _ => {}
    }
    fault
}
