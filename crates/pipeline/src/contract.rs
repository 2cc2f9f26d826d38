//! What every source and every sink must do, as lists of named checks.
//!
//! Owns the promises of `ingest::Source` and `output::Sink` in a form that can fail. Must not know any of them: a bench says
//! how to open one and how to look behind it. The fakes of this crate pass the lists, so that what is shown with them is
//! shown of the real ones.
//!
//! Use [`sink_contract!`](crate::sink_contract) and [`source_contract!`](crate::source_contract); both make a test of each
//! check. The fakes pass it in this crate's unit tests; `tests/contract` takes this file in and holds the real ones to it.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use ingest::{Batch, Lane, Mark, Source};
use output::{Documents, DocumentsBuilder, Outcome, Request, Sink};

/// How a sink is opened and looked into.
pub trait SinkBench: Sync {
    /// The sink.
    type Sink: Sink;
    /// Opens it, on the same place each time.
    fn open(&self) -> impl Future<Output = Self::Sink> + Send;
    /// The ids stored there whose text begins with `prefix`, as often as they are stored, and in order if it keeps one.
    fn stored(&self, prefix: &str) -> impl Future<Output = Vec<String>> + Send;
    /// Whether a document that is written twice is there once.
    fn stores_once(&self) -> bool;
    /// Whether what was there when the sink was opened is answered as a duplicate, and nothing else is.
    fn tells_duplicates(&self) -> bool;
    /// What makes ids of this run differ from those of others.
    fn unique(&self) -> String;
    /// A document that the sink refuses for good, without its line end, if there is one.
    fn refused(&self, id: &str) -> Option<String>;
}

/// How a source is opened and filled.
pub trait SourceBench: Sync {
    /// The source.
    type Source: Source;
    /// Opens it, on the same place and at the committed positions each time.
    fn open(&self) -> impl Future<Output = Self::Source> + Send;
    /// The records it holds, all of them, by lane in order. There are at least 20, and they are all different.
    fn records(&self) -> Vec<Vec<Vec<u8>>>;
}

/// A document as the mapper would make it, as far as a sink can tell.
#[must_use]
pub fn document(id: &str) -> String {
    format!(
        "{{\"@timestamp\":\"2026-10-05T07:30:08.415283Z\",\"data_stream\":{{\"dataset\":\"anthropic.audit\",\
         \"namespace\":\"default\",\"type\":\"logs\"}},\"event\":{{\"id\":\"{id}\",\"action\":\"contract_check\"}}}}"
    )
}

/// Documents under ids.
#[must_use]
pub fn documents(bodies: &[(String, String)]) -> Arc<Documents> {
    let mut builder = DocumentsBuilder::default();
    for (id, body) in bodies {
        builder.lines.extend_from_slice(body.as_bytes());
        builder.push(id, "contract_check", None);
    }
    Arc::new(builder.finish())
}

fn numbered(prefix: &str, count: usize) -> Vec<(String, String)> {
    let ids = (0..count).map(|number| format!("{prefix}-{number}"));
    ids.map(|id| (id.clone(), document(&id))).collect()
}

/// A request of some documents, in parts of at most `part`.
fn request(documents: &Arc<Documents>, which: &[u32], part: usize) -> Request {
    let mut request = Request::default();
    for which in which.chunks(part.max(1)) {
        request.add(documents, which.to_vec());
    }
    request
}

/// Writes as the pipeline does, again what is to be tried again, until every document has ended; gives how.
async fn deliver<S: Sink>(sink: &S, documents: &Arc<Documents>, part: usize) -> Vec<Outcome> {
    let mut ended: Vec<Option<Outcome>> = vec![None; documents.len()];
    for _ in 0..1_000 {
        let open: Vec<u32> =
            (0..).zip(&ended).filter(|(_, ended)| ended.is_none()).map(|(at, _)| at).collect();
        if open.is_empty() {
            break;
        }
        match sink.write(&request(documents, &open, part)).await {
            Ok(outcomes) => {
                assert_eq!(outcomes.len(), open.len(), "one outcome for each document");
                for (at, outcome) in open.into_iter().zip(outcomes) {
                    if let Some(ended) = ended.get_mut(at as usize)
                        && !matches!(outcome, Outcome::Retry(_))
                    {
                        *ended = Some(outcome);
                    }
                }
            }
            Err(fault) => {
                assert!(!fault.kind.is_final(), "{fault}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    ended
        .into_iter()
        .map(|outcome| outcome.unwrap_or_else(|| fail(&"no end after a thousand tries")))
        .collect()
}

/// What is waited before another attempt.
const PAUSE: Duration = Duration::from_millis(20);

fn written(outcomes: &[Outcome]) -> bool {
    outcomes.iter().all(|outcome| matches!(outcome, Outcome::Delivered | Outcome::Duplicate))
}

async fn stored<B: SinkBench>(bench: &B, prefix: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for id in bench.stored(prefix).await {
        *counts.entry(id).or_default() += 1;
    }
    counts
}

fn once(bodies: &[(String, String)]) -> BTreeMap<String, usize> {
    bodies.iter().map(|(id, _)| (id.clone(), 1)).collect()
}

/// Everything is stored, and once where the sink can tell.
async fn all_stored<B: SinkBench>(bench: &B, prefix: &str, bodies: &[(String, String)]) {
    let found = stored(bench, prefix).await;
    if bench.stores_once() {
        assert_eq!(found, once(bodies));
    } else {
        assert_eq!(found.keys().collect::<Vec<_>>(), once(bodies).keys().collect::<Vec<_>>());
    }
}

/// Every document has an answer, and what is delivered is stored.
pub async fn sink_delivers_every_document_of_a_request<B: SinkBench>(bench: &B) {
    let prefix = format!("{}-every", bench.unique());
    let bodies = numbered(&prefix, 25);
    let sink = bench.open().await;
    let outcomes = deliver(&sink, &documents(&bodies), 10).await;
    assert!(written(&outcomes), "{outcomes:?}");
    assert_eq!(stored(bench, &prefix).await, once(&bodies));
    assert_eq!(sink.close().await, Ok(()));
}

/// A request of nothing is answered with nothing.
pub async fn sink_answers_an_empty_request<B: SinkBench>(bench: &B) {
    let sink = bench.open().await;
    assert_eq!(sink.write(&Request::default()).await, Ok(Vec::new()));
    assert_eq!(sink.close().await, Ok(()));
}

/// Only the documents chosen are written: a retry is a choice of indexes.
pub async fn sink_writes_only_what_a_request_chooses<B: SinkBench>(bench: &B) {
    let prefix = format!("{}-choice", bench.unique());
    let bodies = numbered(&prefix, 9);
    let choice = request(&documents(&bodies), &[1, 2, 7], 2);
    let sink = bench.open().await;
    let mut tries = 0;
    loop {
        match sink.write(&choice).await {
            Ok(outcomes) if outcomes.len() == 3 && written(&outcomes) => break,
            Err(fault) if !fault.kind.is_final() && tries < 1_000 => tries += 1,
            other => fail(&format_args!("{other:?}")),
        }
        tokio::time::sleep(PAUSE).await;
    }
    let chosen: Vec<_> = [1, 2, 7].into_iter().filter_map(|at| bodies.get(at).cloned()).collect();
    assert_eq!(stored(bench, &prefix).await, once(&chosen));
    assert_eq!(sink.close().await, Ok(()));
}

/// Writing again is harmless: the answers say that it is there, and where the sink can tell, it is there once.
pub async fn sink_takes_the_same_documents_again<B: SinkBench>(bench: &B) {
    let prefix = format!("{}-again", bench.unique());
    let bodies = numbered(&prefix, 12);
    for _ in 0..2 {
        let sink = bench.open().await;
        for _ in 0..2 {
            assert!(written(&deliver(&sink, &documents(&bodies), 5).await));
        }
        assert_eq!(sink.close().await, Ok(()));
    }
    all_stored(bench, &prefix, &bodies).await;
}

/// Outcomes stand where their documents stand: of documents half of which are there already, these are the duplicates.
pub async fn sink_answers_each_document_in_its_place<B: SinkBench>(bench: &B) {
    let prefix = format!("{}-place", bench.unique());
    let bodies = numbered(&prefix, 16);
    let half: Vec<_> = bodies.iter().step_by(2).cloned().collect();
    let sink = bench.open().await;
    assert!(written(&deliver(&sink, &documents(&half), 4).await));
    assert_eq!(sink.close().await, Ok(()));
    // A sink that knows only what was there when it was opened knows it now.
    let sink = bench.open().await;
    for (at, outcome) in deliver(&sink, &documents(&bodies), 4).await.iter().enumerate() {
        assert!(written(std::slice::from_ref(outcome)), "{at}: {outcome:?}");
        if bench.tells_duplicates() {
            assert_eq!(*outcome == Outcome::Duplicate, at % 2 == 0, "{at}: {outcome:?}");
        }
    }
    assert_eq!(sink.close().await, Ok(()));
    all_stored(bench, &prefix, &bodies).await;
}

/// Documents that are refused for good are answered in their places, and their neighbours are delivered.
pub async fn sink_refuses_single_documents_alone<B: SinkBench>(bench: &B) {
    let prefix = format!("{}-refused", bench.unique());
    let mut bodies = numbered(&prefix, 9);
    for at in [3, 4, 8] {
        let bad = format!("{prefix}-bad{at}");
        let Some(body) = bench.refused(&bad) else { return };
        bodies.insert(at, (bad, body));
    }
    let sink = bench.open().await;
    let outcomes = deliver(&sink, &documents(&bodies), 3).await;
    for ((id, _), outcome) in bodies.iter().zip(&outcomes) {
        let refused = matches!(outcome, Outcome::Rejected(why) if !why.reason.is_empty());
        let right = if id.contains("-bad") { refused } else { written(std::slice::from_ref(outcome)) };
        assert!(right, "{id}: {outcome:?}");
    }
    bodies.retain(|(id, _)| !id.contains("-bad"));
    all_stored(bench, &prefix, &bodies).await;
    assert_eq!(sink.close().await, Ok(()));
}

/// A sink that takes one request at a time keeps their order, and that of the documents in them; and closing loses nothing.
pub async fn sink_keeps_the_order_of_one_at_a_time<B: SinkBench>(bench: &B) {
    let prefix = format!("{}-order", bench.unique());
    let bodies = numbered(&prefix, 40);
    let sink = bench.open().await;
    for some in bodies.chunks(9) {
        assert!(written(&deliver(&sink, &documents(some), 4).await));
    }
    let ordered = sink.most_in_flight() == 1;
    assert_eq!(sink.close().await, Ok(()));
    if ordered {
        let ids: Vec<_> = bodies.iter().map(|(id, _)| id.clone()).collect();
        assert_eq!(bench.stored(&prefix).await, ids);
    } else {
        all_stored(bench, &prefix, &bodies).await;
    }
}

/// Giving up a write at any moment leaves the sink usable, and the same documents can be written again.
pub async fn sink_bears_a_write_that_is_given_up<B: SinkBench>(bench: &B) {
    let prefix = format!("{}-dropped", bench.unique());
    let bodies = numbered(&prefix, 18);
    let documents = documents(&bodies);
    let all: Vec<u32> = (0..documents.len() as u32).collect();
    let sink = bench.open().await;
    for patience in [0, 1, 5] {
        let request = request(&documents, &all, 7);
        let _ = tokio::time::timeout(Duration::from_millis(patience), sink.write(&request)).await;
    }
    assert!(written(&deliver(&sink, &documents, 7).await));
    assert_eq!(sink.close().await, Ok(()));
    all_stored(bench, &prefix, &bodies).await;
}

/// As many requests as it says may be under way at once.
pub async fn sink_bears_what_it_says_may_be_in_flight<B: SinkBench>(bench: &B) {
    let prefix = format!("{}-flight", bench.unique());
    let sink = Arc::new(bench.open().await);
    assert!(sink.most_in_flight() >= 1);
    let mut all = Vec::new();
    let mut writes = tokio::task::JoinSet::new();
    for number in 0..sink.most_in_flight().min(16) {
        let bodies = numbered(&format!("{prefix}-{number}"), 20);
        all.extend(bodies.clone());
        let sink = Arc::clone(&sink);
        writes.spawn(async move { deliver(&*sink, &documents(&bodies), 7).await });
    }
    while let Some(answer) = writes.join_next().await {
        assert!(written(&answer.unwrap_or_else(|error| fail(&error))));
    }
    all_stored(bench, &prefix, &all).await;
    assert_eq!(sink.close().await, Ok(()));
}

/// What was answered as delivered is there though the sink was never closed.
pub async fn sink_keeps_what_it_answered_without_being_closed<B: SinkBench>(bench: &B) {
    let prefix = format!("{}-crash", bench.unique());
    let bodies = numbered(&prefix, 10);
    let sink = bench.open().await;
    assert!(written(&deliver(&sink, &documents(&bodies), 4).await));
    drop(sink);
    all_stored(bench, &prefix, &bodies).await;
}

/// Everything a source gives until it has given `most` records or ends. Faults that are not final are passed over.
async fn read<S: Source>(source: &mut S, most: usize) -> Vec<Batch> {
    let (mut batches, mut records, mut faults) = (Vec::new(), 0, 0);
    while records < most {
        match source.next().await {
            Ok(None) => break,
            Ok(Some(batch)) => {
                records += batch.records.len();
                batches.push(batch);
            }
            Err(fault) => {
                faults += 1;
                assert!(!fault.kind.is_final() && faults < 1_000, "{fault}");
            }
        }
    }
    batches
}

fn total<B: SourceBench>(bench: &B) -> usize {
    bench.records().iter().map(Vec::len).sum()
}

/// The records of batches, sorted.
fn contents(batches: &[Batch]) -> Vec<Vec<u8>> {
    let mut all: Vec<_> =
        batches.iter().flat_map(|batch| &batch.records).map(|record| record.bytes.to_vec()).collect();
    all.sort();
    all
}

fn everything<B: SourceBench>(bench: &B) -> Vec<Vec<u8>> {
    let mut all: Vec<_> = bench.records().concat();
    all.sort();
    all
}

/// Every record comes once, in the order of its lane; batches of a lane are counted up by one from 0.
pub async fn source_gives_every_record_once_in_order<B: SourceBench>(bench: &B) {
    let mut source = bench.open().await;
    let batches = read(&mut source, total(bench)).await;
    assert_eq!(contents(&batches), everything(bench));
    let mut lanes: BTreeMap<Lane, (u64, Vec<Vec<u8>>)> = BTreeMap::new();
    for batch in &batches {
        let (number, records) = lanes.entry(batch.mark.lane).or_default();
        assert_eq!(batch.mark.batch, *number, "batches of {:?}", batch.mark.lane);
        *number += 1;
        records.extend(batch.records.iter().map(|record| record.bytes.to_vec()));
    }
    let mut given: Vec<_> =
        lanes.into_values().map(|(_, records)| records).filter(|all| !all.is_empty()).collect();
    let mut expected: Vec<_> = bench.records().into_iter().filter(|all| !all.is_empty()).collect();
    given.sort();
    expected.sort();
    assert_eq!(given, expected);
    source.close().await;
}

/// What is not committed comes again.
pub async fn source_gives_again_what_is_not_committed<B: SourceBench>(bench: &B) {
    for _ in 0..2 {
        let mut source = bench.open().await;
        assert_eq!(contents(&read(&mut source, total(bench)).await), everything(bench));
        source.close().await;
    }
}

/// What is committed does not come again, and what is not does, over one start after another.
pub async fn source_goes_on_after_the_last_commit<B: SourceBench>(bench: &B) {
    let total = total(bench);
    let mut seen: Vec<Batch> = Vec::new();
    for _ in 0..total + 2 {
        let done: usize = seen.iter().map(|batch| batch.records.len()).sum();
        if done >= total {
            break;
        }
        let mut source = bench.open().await;
        // The second batch is read and not committed, so that it must come again.
        let mut batches = read(&mut source, (total - done).min(2)).await;
        batches.truncate(1);
        let marks: Vec<Mark> = batches.iter().map(|batch| batch.mark).collect();
        commit(&mut source, &marks).await;
        seen.extend(batches);
        source.close().await;
    }
    assert_eq!(contents(&seen), everything(bench));
}

/// Commits until it went well, as the pipeline does.
async fn commit<S: Source>(source: &mut S, marks: &[Mark]) {
    for _ in 0..1_000 {
        match source.commit(marks).await {
            Ok(()) => return,
            Err(fault) => assert!(!fault.kind.is_final(), "{fault}"),
        }
        tokio::time::sleep(PAUSE).await;
    }
    fail(&"a commit failed a thousand times");
}

/// The last marks of batches, by lane.
fn last_marks(batches: &[Batch]) -> Vec<Mark> {
    let mut last: BTreeMap<Lane, Mark> = BTreeMap::new();
    for batch in batches {
        last.insert(batch.mark.lane, batch.mark);
    }
    last.into_values().collect()
}

/// Committing nothing, the same mark again, an older one, or one of a lane that never was, is harmless: no position moves
/// back, and none moves on.
pub async fn source_bears_marks_it_does_not_need<B: SourceBench>(bench: &B) {
    let mut source = bench.open().await;
    let batches = read(&mut source, total(bench)).await;
    let (done, rest) = batches.split_at(batches.len().div_ceil(2));
    let marks = last_marks(done);
    let old: Vec<Mark> = marks.iter().map(|mark| Mark { batch: 0, ..*mark }).collect();
    let unknown = [Mark { lane: Lane(u64::MAX), batch: 3 }];
    for marks in [&marks[..], &marks, &[], &old, &unknown] {
        commit(&mut source, marks).await;
    }
    source.close().await;
    let expected = contents(rest);
    let mut source = bench.open().await;
    assert_eq!(contents(&read(&mut source, expected.len()).await), expected);
    source.stop_intake();
    source.close().await;
}

/// A source that is dropped in the middle, as by a crash, gives again what was not committed; what was may come again too.
pub async fn source_loses_nothing_when_it_is_dropped<B: SourceBench>(bench: &B) {
    let mut source = bench.open().await;
    let batches = read(&mut source, total(bench)).await;
    let (done, rest) = batches.split_at(batches.len() / 2);
    commit(&mut source, &last_marks(done)).await;
    drop(source);
    let mut open: BTreeSet<_> = contents(rest).into_iter().collect();
    let all: BTreeSet<_> = everything(bench).into_iter().collect();
    let mut source = bench.open().await;
    while !open.is_empty() {
        let given = contents(&read(&mut source, 1).await);
        assert!(!given.is_empty(), "the source ended, and {} records are missing", open.len());
        for record in given {
            assert!(all.contains(&record));
            open.remove(&record);
        }
    }
    source.close().await;
}

/// Dropping a `next` that waits loses nothing.
pub async fn source_loses_nothing_when_a_read_is_dropped<B: SourceBench>(bench: &B) {
    let mut source = bench.open().await;
    let total = total(bench);
    let mut batches = Vec::new();
    let mut records = 0;
    for turn in 0_u32.. {
        if records >= total {
            break;
        }
        // Polled once, or for a moment, and dropped.
        let patience = Duration::from_millis(u64::from(turn % 7) * 20);
        match tokio::time::timeout(patience, source.next()).await {
            Ok(Ok(Some(batch))) => {
                records += batch.records.len();
                batches.push(batch);
            }
            Ok(Ok(None)) => break,
            Ok(Err(fault)) => assert!(!fault.kind.is_final(), "{fault}"),
            Err(_) => {}
        }
    }
    assert_eq!(contents(&batches), everything(bench));
    source.close().await;
}

/// After the intake is stopped, what is under way can still be committed.
pub async fn source_commits_after_intake_is_stopped<B: SourceBench>(bench: &B) {
    let mut source = bench.open().await;
    let batches = read(&mut source, total(bench)).await;
    let half = batches.len().div_ceil(2);
    source.stop_intake();
    commit(&mut source, &last_marks(batches.get(..half).unwrap_or_default())).await;
    source.close().await;
    let rest = batches.get(half..).unwrap_or_default();
    let expected = contents(rest);
    let mut source = bench.open().await;
    assert_eq!(contents(&read(&mut source, expected.len()).await), expected);
    source.close().await;
}

/// Fails a check.
#[allow(clippy::panic, reason = "this is how a test fails")]
fn fail(why: &dyn std::fmt::Display) -> ! {
    panic!("{why}")
}

/// A test of each check that a sink must pass. Takes an expression that makes a bench, awaited in each test; with `None` the
/// test is skipped.
#[macro_export]
macro_rules! sink_contract {
    ($bench:expr) => {
        $crate::contract_tests! { $bench;
            sink_delivers_every_document_of_a_request
            sink_answers_an_empty_request
            sink_writes_only_what_a_request_chooses
            sink_takes_the_same_documents_again
            sink_answers_each_document_in_its_place
            sink_refuses_single_documents_alone
            sink_keeps_the_order_of_one_at_a_time
            sink_bears_a_write_that_is_given_up
            sink_bears_what_it_says_may_be_in_flight
            sink_keeps_what_it_answered_without_being_closed
        }
    };
}

/// A test of each check that a source must pass; see [`sink_contract!`]. Each test needs a source of its own, at its start.
#[macro_export]
macro_rules! source_contract {
    ($bench:expr) => {
        $crate::contract_tests! { $bench;
            source_gives_every_record_once_in_order
            source_gives_again_what_is_not_committed
            source_goes_on_after_the_last_commit
            source_bears_marks_it_does_not_need
            source_loses_nothing_when_a_read_is_dropped
            source_loses_nothing_when_it_is_dropped
            source_commits_after_intake_is_stopped
        }
    };
}

/// One test for each check.
#[doc(hidden)]
#[macro_export]
macro_rules! contract_tests {
    ($bench:expr; $($check:ident)+) => {$(
        #[tokio::test]
        async fn $check() {
            if let Some(bench) = $bench.await {
                $crate::contract::$check(&bench).await;
            }
        }
    )+};
}
