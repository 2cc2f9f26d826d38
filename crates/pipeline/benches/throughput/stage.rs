//! The stage as the program puts it together, and a sink in a tight loop, both timed.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ingest::Source;
use mapper::{Mapper, Mapping};
use model::fault::{Fault, FaultKind};
use output::{DocumentsBuilder, Outcome, Request, Sink};
use pipeline::{
    Backoff, DeadLetters, DecodeOptions, DeliveryConfig, Letter, Options, Packing, Stage, Status, run, stop,
};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn options(packing: Packing, threads: Option<usize>) -> Options {
    let config = DeliveryConfig { threads, ..DeliveryConfig::default() };
    let options = Options::new(&config, packing, DecodeOptions::default()).unwrap();
    Options { backoff: Backoff::default(), seed: Some(1), ..options }
}

/// From files until they end; the time is that of the whole run.
pub(crate) fn files<S: Source + 'static, K: Sink>(
    mapping: &Arc<Mapping>,
    source: S,
    sink: K,
    packing: Packing,
    records: usize,
    threads: usize,
) -> Duration {
    let stage = Stage { source, sink, dead_letters: Nowhere, mapping: Arc::clone(mapping) };
    let (_handle, token) = stop();
    let options = options(packing, Some(threads));
    let runtime = runtime();
    let start = Instant::now();
    let summary = runtime.block_on(run(stage, &options, Arc::new(Status::default()), token)).unwrap();
    let time = start.elapsed();
    assert_eq!((summary.totals.delivered, summary.left.is_nothing()), (records as u64, true));
    time
}

/// From a source without an end, until so many records are delivered. The clock starts with the first record, so that
/// joining a group is no part of it.
pub(crate) fn endless<S: Source + 'static, K: Sink>(
    runtime: &Runtime,
    mapping: &Arc<Mapping>,
    source: S,
    sink: K,
    packing: Packing,
    records: usize,
) -> Duration {
    let stage = Stage { source, sink, dead_letters: Nowhere, mapping: Arc::clone(mapping) };
    let (handle, token) = stop();
    let options = options(packing, None);
    let status = Arc::new(Status::default());
    let watched = Arc::clone(&status);
    runtime.block_on(async move {
        let watcher = tokio::spawn(async move {
            let mut start = None;
            loop {
                tokio::time::sleep(Duration::from_millis(2)).await;
                if watched.read.get() > 0 {
                    let start: &mut Instant = start.get_or_insert_with(Instant::now);
                    if watched.delivered.get() >= records as u64 {
                        handle.stop();
                        return start.elapsed();
                    }
                }
            }
        });
        let summary = run(stage, &options, status, token).await.unwrap();
        assert_eq!(summary.totals.delivered, records as u64);
        watcher.await.unwrap()
    })
}

/// Finished documents in requests of such a size.
pub(crate) fn prepare(mapping: &Arc<Mapping>, lines: &[String], packing: Packing) -> Vec<Request> {
    let mut mapper = Mapper::new(Arc::clone(mapping));
    let mut requests = Vec::new();
    let (mut builder, mut count) = (DocumentsBuilder::default(), 0);
    let mut seal = |builder: &mut DocumentsBuilder, count: &mut u32| {
        let mut request = Request::default();
        request.add(&Arc::new(std::mem::take(builder).finish()), (0..std::mem::take(count)).collect());
        requests.push(request);
    };
    for line in lines {
        let mapped = mapper.map(line.as_bytes(), &mut builder.lines).unwrap();
        builder.push(mapped.event_id, mapped.activity_type, None);
        count += 1;
        if builder.bytes() + (8 << 10) > packing.bytes || count as usize >= packing.documents {
            seal(&mut builder, &mut count);
        }
    }
    if count > 0 {
        seal(&mut builder, &mut count);
    }
    requests
}

/// Writes requests as fast as the sink takes them: as many at a time as it says it is worth.
pub(crate) fn feed<K: Sink>(runtime: &Runtime, sink: K, requests: &[Request]) -> Duration {
    let sink = Arc::new(sink);
    runtime.block_on(async {
        let start = Instant::now();
        let mut writes = JoinSet::new();
        for request in requests {
            if writes.len() >= sink.most_in_flight() {
                writes.join_next().await.unwrap().unwrap();
            }
            let (sink, mut request) = (Arc::clone(&sink), request.clone());
            writes.spawn(async move {
                while !request.is_empty() {
                    match sink.write(&request).await {
                        Ok(outcomes) => request = again(&request, &outcomes),
                        Err(fault) => assert!(!fault.kind.is_final(), "{fault}"),
                    }
                }
            });
        }
        while let Some(done) = writes.join_next().await {
            done.unwrap();
        }
        sink.close().await.unwrap();
        start.elapsed()
    })
}

/// What of a request is to be tried again.
fn again(request: &Request, outcomes: &[Outcome]) -> Request {
    let mut outcomes = outcomes.iter();
    let mut rest = Request::default();
    for (documents, which) in request.parts() {
        let retried = which.iter().zip(&mut outcomes).filter_map(|(at, outcome)| match outcome {
            Outcome::Retry(_) => Some(*at),
            Outcome::Rejected(why) => panic!("{why:?}"),
            Outcome::Delivered | Outcome::Duplicate => None,
        });
        let retried: Vec<u32> = retried.collect();
        if !retried.is_empty() {
            rest.add(documents, retried);
        }
    }
    rest
}

/// Takes everything and keeps nothing.
pub(crate) struct Nowhere;

impl Sink for Nowhere {
    async fn write(&self, request: &Request) -> Result<Vec<Outcome>, Fault> {
        Ok(vec![Outcome::Delivered; black_box(request).len()])
    }

    fn most_in_flight(&self) -> usize {
        2
    }

    async fn close(&self) -> Result<(), Fault> {
        Ok(())
    }
}

impl DeadLetters for Nowhere {
    async fn write(&self, letters: Vec<Letter>) -> Result<(), Fault> {
        Err(Fault::new(FaultKind::Unusable, format!("{} dead letters in a clean feed", letters.len()), ""))
    }
}
