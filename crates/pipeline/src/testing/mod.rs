//! A world to deliver in: partitions to read from, a store to write to, dead letters, and faults in all of them.
//!
//! Fakes for tests. Everything of a world outlives a run, so that a run can be dropped at any moment, as in a crash, and the
//! next goes on from what was committed. The world checks each commit against what really ended.

mod letters;
mod sink;
mod source;
mod transactions;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use ingest::Lane;
use mapper::enrich::GeoDatabases;
use mapper::{MapperOptions, Mapping};
use model::fault::{Fault, FaultKind};
use model::tables::Tables;
use tokio::time::Instant;

use crate::{Backoff, DecodeOptions, Options, Packing, Stage};

pub(crate) use letters::FakeLetters;
pub(crate) use sink::FakeSink;
pub(crate) use source::FakeSource;
pub(crate) use transactions::FakeTransactions;

/// What is to become of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Delivered,
    /// The mapper cannot make a document of it.
    Unmappable,
    /// The sink refuses it.
    Refused,
    /// The sink refuses it for its length.
    TooLarge,
}

/// One record.
#[derive(Debug, Clone)]
pub(crate) struct Planted {
    pub(crate) id: String,
    pub(crate) raw: Bytes,
    pub(crate) fate: Fate,
}

/// What a source hands out as one record: an activity, or a page of them.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) bytes: Bytes,
    pub(crate) records: Vec<Planted>,
}

#[derive(Debug, Default)]
pub(crate) struct Partition {
    pub(crate) messages: Vec<Message>,
    pub(crate) committed: usize,
}

#[derive(Debug)]
pub(crate) struct LaneState {
    pub(crate) partition: usize,
    /// Where the partition stood after each batch.
    pub(crate) ends: Vec<usize>,
    pub(crate) at: usize,
    pub(crate) owned: bool,
}

/// How much goes wrong, in percent, and how slow things are.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chaos {
    pub(crate) source_fault: u32,
    pub(crate) commit_fault: u32,
    pub(crate) revocation: u32,
    pub(crate) pause: u32,
    pub(crate) request_fault: u32,
    pub(crate) item_retry: u32,
    pub(crate) letter_fault: u32,
    pub(crate) slowest: Duration,
    /// Spans of time in which the sink answers nothing.
    pub(crate) outages: Vec<(Duration, Duration)>,
    /// The same for dead letters.
    pub(crate) letter_outages: Vec<(Duration, Duration)>,
    /// The largest request the sink takes.
    pub(crate) request_limit: usize,
    /// Most messages in a batch.
    pub(crate) batch: usize,
    /// What comes after a refused document is taken back, as a producer does it in a transaction.
    pub(crate) taking_back: bool,
}

/// Everything outside the pipeline.
pub(crate) struct Inner {
    pub(crate) random: Rng,
    pub(crate) chaos: Chaos,
    pub(crate) started: Instant,
    pub(crate) partitions: Vec<Partition>,
    pub(crate) lanes: BTreeMap<Lane, LaneState>,
    pub(crate) next_lane: u64,
    pub(crate) store: HashMap<String, u32>,
    /// Raw bytes of letters, with how often they were written and why.
    pub(crate) buried: HashMap<Bytes, (u32, String)>,
    pub(crate) fates: HashMap<String, Fate>,
    /// The order in which documents came to the store.
    pub(crate) order: Vec<String>,
    pub(crate) violations: Vec<String>,
    /// When each write began, how many were under way then, and how large it was.
    pub(crate) writes: Vec<(Duration, usize, usize)>,
    pub(crate) in_flight: usize,
    pub(crate) most_in_flight: usize,
    /// How many reads the source was asked for.
    pub(crate) reads: usize,
    pub(crate) commits: usize,
    pub(crate) stopped_intake: bool,
    /// The open transaction, and which producer may write.
    pub(crate) transaction: Option<Vec<String>>,
    pub(crate) producer: u64,
    /// Whether something in the open transaction was not taken, so that it cannot be committed.
    pub(crate) spoilt: bool,
    /// Answers for the writes to come, before chaos is asked.
    pub(crate) script: Vec<Scripted>,
    /// The same for commits, reads and letters.
    pub(crate) commit_script: Vec<Fault>,
    pub(crate) read_script: Vec<Fault>,
    pub(crate) letter_script: Vec<Fault>,
}

/// What the sink does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Scripted {
    /// Nothing special.
    Write,
    /// The whole request fails, with nothing written.
    Fail(Fault),
    /// The whole request fails after all of it was written.
    FailAfter(Fault),
    /// All documents are to be tried again.
    RetryAll(Fault),
    /// Every second document is to be tried again.
    RetryHalf(Fault),
    /// An answer too few.
    Miscount,
    /// Writes after a while.
    Slow(Duration),
}

/// A shared [`Inner`].
#[derive(Clone)]
pub(crate) struct World(Arc<Mutex<Inner>>);

impl World {
    pub(crate) fn new(seed: u64, partitions: Vec<Vec<Message>>, chaos: Chaos) -> Self {
        let records = partitions.iter().flatten().flat_map(|message| &message.records);
        let fates = records.map(|record| (record.id.clone(), record.fate)).collect();
        let partition = |messages| Partition { messages, committed: 0 };
        Self(Arc::new(Mutex::new(Inner {
            random: Rng::with_seed(seed),
            chaos,
            started: Instant::now(),
            partitions: partitions.into_iter().map(partition).collect(),
            lanes: BTreeMap::new(),
            next_lane: 0,
            store: HashMap::new(),
            buried: HashMap::new(),
            fates,
            order: Vec::new(),
            violations: Vec::new(),
            writes: Vec::new(),
            in_flight: 0,
            most_in_flight: 4,
            reads: 0,
            commits: 0,
            stopped_intake: false,
            transaction: None,
            producer: 0,
            spoilt: false,
            script: Vec::new(),
            commit_script: Vec::new(),
            read_script: Vec::new(),
            letter_script: Vec::new(),
        })))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    pub(crate) fn stage(&self) -> Stage<FakeSource, FakeSink, FakeLetters> {
        Stage {
            source: FakeSource::open(self),
            sink: FakeSink(self.clone()),
            dead_letters: FakeLetters(self.clone()),
            mapping: mapping(),
        }
    }

    /// What is not as it has to be when everything has ended.
    pub(crate) fn wrong_at_the_end(&self) -> Vec<String> {
        let inner = self.lock();
        let mut wrong = inner.violations.clone();
        for (at, partition) in inner.partitions.iter().enumerate() {
            if partition.committed != partition.messages.len() {
                wrong.push(format!("partition {at} is committed up to {}", partition.committed));
            }
            for record in partition.messages.iter().flat_map(|message| &message.records) {
                let stored = inner.store.get(&record.id).copied().unwrap_or_default();
                let buried = inner.buried.contains_key(&record.raw);
                let right = match record.fate {
                    Fate::Delivered => stored == 1 && !buried,
                    Fate::Unmappable | Fate::Refused | Fate::TooLarge => stored == 0 && buried,
                };
                if !right {
                    wrong
                        .push(format!("{} ({:?}): stored {stored}, buried {buried}", record.id, record.fate));
                }
            }
        }
        let planted = inner.fates.values().filter(|fate| **fate != Fate::Delivered).count();
        if inner.buried.len() != planted {
            wrong.push(format!("{} dead letters for {planted} planted", inner.buried.len()));
        }
        wrong
    }
}

impl Inner {
    pub(crate) fn percent(&mut self, chance: u32) -> bool {
        self.random.u32(0..100) < chance
    }

    pub(crate) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    pub(crate) fn delay(&mut self) -> Duration {
        let slowest = self.chaos.slowest.as_millis() as u64;
        let most = if self.percent(2) { slowest * 50 } else { slowest };
        Duration::from_millis(self.random.u64(0..=most))
    }

    pub(crate) fn has_ended(&self, record: &Planted) -> bool {
        self.store.contains_key(&record.id) || self.buried.contains_key(&record.raw)
    }

    pub(crate) fn is_out(&self, outages: &[(Duration, Duration)]) -> bool {
        outages.iter().any(|(from, to)| (*from..*to).contains(&self.now()))
    }
}

pub(crate) fn fault(kind: FaultKind) -> Fault {
    Fault::new(kind, format!("injected {}", kind.name()), "wait")
}

/// The mapping; compiled once.
pub(crate) fn mapping() -> Arc<Mapping> {
    static MAPPING: OnceLock<Arc<Mapping>> = OnceLock::new();
    let make =
        || Arc::new(Mapping::new(Tables::builtin(), GeoDatabases::default(), MapperOptions::default()));
    Arc::clone(MAPPING.get_or_init(make))
}

/// A record of the usual size.
pub(crate) fn planted(id: &str, fate: Fate) -> Planted {
    let filler = if fate == Fate::TooLarge { "long ".repeat(1_000) } else { "Quarterly planning".to_owned() };
    let raw = format!(
        r#"{{"id":"{id}","created_at":"2026-10-05T07:30:08.415283Z","organization_id":"org_01A2Tam3Wc3uEVxogCdCZf8o","organization_uuid":"71f5ac3a-a04e-4e7c-a480-9b7d7c6f2710","type":"claude_chat_created","actor":{{"type":"user_actor","email_address":"dario.dahl@example.org","user_id":"user_{id}"}},"name":"{filler}"}}"#
    );
    let raw = if fate == Fate::Unmappable { raw.replace("\"actor\":", "\"actor\" ") } else { raw };
    Planted { id: id.to_owned(), raw: raw.into(), fate }
}

pub(crate) fn message(record: Planted) -> Message {
    Message { bytes: record.raw.clone(), records: vec![record] }
}

/// An API page.
pub(crate) fn page(records: Vec<Planted>) -> Message {
    let parts: Vec<&str> = records.iter().map(|record| std::str::from_utf8(&record.raw).unwrap()).collect();
    let bytes = format!("{{\"data\":[{}],\"has_more\":false}}", parts.join(",")).into();
    Message { bytes, records }
}

/// So many records that can be delivered.
pub(crate) fn good(prefix: &str, count: usize) -> Vec<Message> {
    (0..count).map(|at| message(planted(&format!("{prefix}-{at}"), Fate::Delivered))).collect()
}

/// Options for tests: everything in one thread, small requests, little memory.
pub(crate) fn options(seed: u64) -> Options {
    Options {
        max_in_flight_bytes: 64 << 10,
        drain_timeout: Duration::from_secs(10),
        commit_interval: Duration::from_millis(200),
        threads: 0,
        packing: Packing { bytes: 8 << 10, documents: 7, linger: Duration::from_millis(50) },
        decode: DecodeOptions::default(),
        backoff: Backoff::default(),
        seed: Some(seed),
    }
}
