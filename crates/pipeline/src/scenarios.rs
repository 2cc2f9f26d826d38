//! Single situations, each told from the outside: a world, a run, and what must be so afterwards. Time is paused.

use std::sync::Arc;
use std::time::Duration;

use model::fault::FaultKind;
use tokio::time::{Instant, sleep};

use crate::testing::{Chaos, Fate, Message, Scripted, World, fault, good, message, options, planted};
use crate::{Ending, Options, RunError, Status, Summary, run, stop};

const SECOND: Duration = Duration::from_secs(1);

fn world(messages: Vec<Message>) -> World {
    World::new(1, vec![messages], Chaos { batch: 3, ..Chaos::default() })
}

/// A run to the end of the source.
async fn to_the_end(world: &World) -> (Result<Summary, Box<RunError>>, Arc<Status>) {
    let status = Arc::new(Status::default());
    let (_handle, token) = stop();
    (run(world.stage(), &options(1), Arc::clone(&status), token).await, status)
}

/// A run that is told to stop after a while.
async fn stopped_after(world: &World, time: Duration, options: Options) -> Result<Summary, Box<RunError>> {
    let (handle, token) = stop();
    tokio::spawn(async move {
        sleep(time).await;
        handle.stop();
        // The wish outlives the one who had it.
        drop(handle);
    });
    run(world.stage(), &options, Arc::new(Status::default()), token).await
}

#[tokio::test(start_paused = true)]
async fn a_calm_run_delivers_everything_and_counts_it() {
    let mut messages = good("a", 50);
    messages.push(message(planted("bad", Fate::Unmappable)));
    messages.push(message(planted("no", Fate::Refused)));
    let world = world(messages);
    let (summary, status) = to_the_end(&world).await;
    let summary = summary.unwrap();
    assert_eq!(world.wrong_at_the_end(), Vec::<String>::new());
    let totals = &summary.totals;
    assert_eq!((totals.read, totals.mapped, totals.delivered, totals.duplicates), (52, 51, 50, 0));
    let dead: Vec<_> = totals.dead.iter().map(|(reason, count)| (reason.as_str(), *count)).collect();
    assert_eq!(dead, [("document_parsing_exception", 1), ("not_json", 1)]);
    assert!(summary.left.is_nothing() && summary.ending == Ending::SourceEnded);
    assert_eq!(status.bytes_in_flight.get(), 0);
    assert_eq!(status.down(), []);
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_is_away_for_hours_costs_no_memory_and_is_noticed_within_seconds() {
    let hours = 5 * 3_600 * SECOND;
    let chaos = Chaos { batch: 3, outages: vec![(Duration::ZERO, hours)], ..Chaos::default() };
    let world = World::new(1, vec![good("a", 5_000)], chaos);
    let watched = world.clone();
    let status = Arc::new(Status::default());
    let seen = Arc::clone(&status);
    let watch = tokio::spawn(async move {
        sleep(60 * SECOND).await;
        let before = (watched.lock().reads, seen.bytes_in_flight.get());
        assert!(seen.sink.down().is_some_and(|down| down.failures > 10));
        sleep(hours - 61 * SECOND).await;
        assert_eq!((watched.lock().reads, seen.bytes_in_flight.get()), before, "nothing more is read");
        assert!(before.0 < 100 && before.1 > 0, "{before:?}");
    });
    let (_handle, token) = stop();
    run(world.stage(), &options(1), Arc::clone(&status), token).await.unwrap();
    watch.await.unwrap();
    assert_eq!(world.wrong_at_the_end(), Vec::<String>::new());
    assert!(status.peak_bytes.get() <= 64 << 10);
    let inner = world.lock();
    let during = inner.writes.iter().filter(|(at, ..)| *at > SECOND && *at < hours);
    assert!(during.clone().all(|(_, in_flight, _)| *in_flight == 1), "one probe at a time");
    assert!(during.count() > 2_000, "it is tried to the end");
    let noticed = inner.writes.iter().find(|(at, ..)| *at >= hours).unwrap().0 - hours;
    assert!(noticed <= 10 * SECOND, "{noticed:?}");
}

#[tokio::test(start_paused = true)]
async fn dead_letters_that_cannot_be_written_hold_the_position() {
    let mut messages = good("a", 30);
    messages[10] = message(planted("bad", Fate::Unmappable));
    let away = 600 * SECOND;
    let chaos = Chaos { batch: 1, letter_outages: vec![(Duration::ZERO, away)], ..Chaos::default() };
    let world = World::new(1, vec![messages], chaos);
    let watched = world.clone();
    let status = Arc::new(Status::default());
    let seen = Arc::clone(&status);
    let watch = tokio::spawn(async move {
        sleep(away - SECOND).await;
        let inner = watched.lock();
        assert_eq!(inner.store.len(), 29, "delivery goes on");
        assert_eq!(inner.partitions[0].committed, 10, "the position does not pass it");
        let down = seen.dead_letters.down().unwrap();
        assert_eq!(down.fault.kind, FaultKind::Storage);
    });
    let (_handle, token) = stop();
    run(world.stage(), &options(1), status, token).await.unwrap();
    watch.await.unwrap();
    assert_eq!(world.wrong_at_the_end(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_away_is_asked_again_after_a_wait() {
    let world = world(good("a", 20));
    let mut wish = fault(FaultKind::Throttled);
    wish.retry_after = Some(30 * SECOND);
    world.lock().read_script = vec![fault(FaultKind::Unreachable), fault(FaultKind::Unreachable), wish];
    let begun = Instant::now();
    let watched = world.clone();
    let status = Arc::new(Status::default());
    let seen = Arc::clone(&status);
    let watch = tokio::spawn(async move {
        sleep(20 * SECOND).await;
        assert_eq!(watched.lock().reads, 3);
        assert_eq!(seen.source.down().map(|down| down.failures), Some(3));
    });
    let (_handle, token) = stop();
    run(world.stage(), &options(1), Arc::clone(&status), token).await.unwrap();
    watch.await.unwrap();
    assert!(begun.elapsed() >= 30 * SECOND);
    assert_eq!((world.wrong_at_the_end(), status.down()), (Vec::new(), Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_fails_is_tried_again_and_blocks_nothing() {
    let world = world(good("a", 200));
    world.lock().commit_script = vec![fault(FaultKind::Unreachable); 9];
    let watched = world.clone();
    let watch = tokio::spawn(async move {
        sleep(2 * SECOND).await;
        let inner = watched.lock();
        assert_eq!((inner.store.len(), inner.partitions[0].committed), (200, 0));
    });
    let (summary, status) = to_the_end(&world).await;
    assert!(summary.unwrap().left.is_nothing());
    watch.await.unwrap();
    assert_eq!(world.wrong_at_the_end(), Vec::<String>::new());
    assert_eq!(status.down(), []);
}

#[tokio::test(start_paused = true)]
async fn commits_are_rare_and_not_one_for_each_batch() {
    let mut chaos = Chaos { batch: 1, pause: 100, slowest: Duration::from_millis(20), ..Chaos::default() };
    chaos.commit_fault = 0;
    let world = World::new(1, vec![good("a", 1_000)], chaos);
    let begun = Instant::now();
    to_the_end(&world).await.0.unwrap();
    let most = begun.elapsed().as_millis() / 200 + 2;
    let commits = world.lock().commits;
    assert!(commits > 5 && commits as u128 <= most, "{commits} commits, at most {most}");
}

#[tokio::test(start_paused = true)]
async fn a_stop_drains_commits_and_leaves_nothing() {
    let chaos = Chaos { batch: 3, pause: 60, slowest: Duration::from_millis(50), ..Chaos::default() };
    let world = World::new(1, vec![good("a", 10_000)], chaos);
    let summary = stopped_after(&world, 5 * SECOND, options(1)).await.unwrap();
    assert_eq!(summary.ending, Ending::Stopped);
    assert!(summary.left.is_nothing(), "{summary:?}");
    let inner = world.lock();
    assert_eq!(inner.violations, Vec::<String>::new());
    let committed = inner.partitions[0].committed;
    assert!(committed > 10 && committed < 10_000);
    assert_eq!(inner.store.len(), committed, "what was delivered is committed");
}

#[tokio::test(start_paused = true)]
async fn a_stop_while_the_sink_is_away_ends_in_time_and_says_what_is_left() {
    let chaos = Chaos {
        batch: 3,
        outages: vec![(2 * SECOND, 9_999 * SECOND)],
        pause: 100,
        slowest: SECOND / 50,
        ..Chaos::default()
    };
    let world = World::new(1, vec![good("a", 10_000)], chaos);
    let begun = Instant::now();
    let summary = stopped_after(&world, 30 * SECOND, options(1)).await.unwrap();
    assert!(begun.elapsed() <= 46 * SECOND, "{:?}", begun.elapsed());
    assert!(summary.left.records > 0 && summary.left.batches > 0 && summary.left.uncommitted == 0);
    assert_eq!(world.lock().violations, Vec::<String>::new());
    world.lock().chaos.outages.clear();
    to_the_end(&world).await.0.unwrap();
    assert_eq!(world.wrong_at_the_end(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_final_fault_of_the_sink_ends_the_run_after_the_others_are_done() {
    let world = world(good("a", 500));
    let unusable = Scripted::Fail(fault(FaultKind::Taken));
    world.lock().script =
        vec![Scripted::Slow(SECOND), Scripted::Slow(3 * SECOND), Scripted::Slow(2 * SECOND), unusable];
    let (result, _) = to_the_end(&world).await;
    let error = result.unwrap_err();
    assert_eq!((error.part, error.fault.kind), ("sink", FaultKind::Taken));
    assert!(error.to_string().starts_with("sink: injected taken"), "{error}");
    let inner = world.lock();
    assert_eq!(inner.writes.len(), 4, "nothing is begun after it");
    assert_eq!(inner.store.len() as u64, error.summary.totals.delivered);
    assert!(inner.store.len() > 10, "the others came to their end");
    assert!(inner.partitions[0].committed > 0 && inner.violations.is_empty());
    assert!(error.summary.left.records > 0);
}

#[tokio::test(start_paused = true)]
async fn a_final_fault_of_the_source_delivers_what_was_read() {
    let world = world(good("a", 50));
    world.lock().chaos.pause = 100;
    world.lock().chaos.slowest = SECOND / 10;
    let breaker = world.clone();
    tokio::spawn(async move {
        sleep(SECOND / 2).await;
        breaker.lock().read_script.push(fault(FaultKind::Unusable));
    });
    let (result, _) = to_the_end(&world).await;
    let error = result.unwrap_err();
    assert_eq!((error.part, error.summary.left.is_nothing()), ("source", true), "{error:?}");
    let inner = world.lock();
    assert!(inner.partitions[0].committed > 0 && inner.store.len() == inner.partitions[0].committed);
}

#[tokio::test(start_paused = true)]
async fn a_final_fault_of_the_dead_letters_or_of_a_commit_ends_the_run_without_passing_it() {
    let mut messages = good("a", 50);
    messages[20] = message(planted("bad", Fate::Unmappable));
    let world = world(messages);
    world.lock().letter_script.push(fault(FaultKind::Taken));
    let error = to_the_end(&world).await.0.unwrap_err();
    assert_eq!(error.part, "dead letters");
    assert!(world.lock().partitions[0].committed <= 20 && world.lock().violations.is_empty());
    world.lock().commit_script.push(fault(FaultKind::Taken));
    let error = to_the_end(&world).await.0.unwrap_err();
    assert_eq!((error.part, error.summary.left.uncommitted), ("commits", 1));
    to_the_end(&world).await.0.unwrap();
    assert_eq!(world.wrong_at_the_end(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn answers_that_are_lost_or_partial_make_no_second_copy() {
    let world = world(good("a", 100));
    world.lock().script = vec![
        Scripted::FailAfter(fault(FaultKind::Unreachable)),
        Scripted::RetryAll(fault(FaultKind::Throttled)),
        Scripted::RetryHalf(fault(FaultKind::Throttled)),
        Scripted::Write,
        Scripted::RetryHalf(fault(FaultKind::Blocked)),
    ];
    let (summary, _) = to_the_end(&world).await;
    let totals = summary.unwrap().totals;
    assert_eq!(world.wrong_at_the_end(), Vec::<String>::new());
    assert_eq!(totals.delivered + totals.duplicates, 100);
    assert!(totals.duplicates > 0, "what was written before its answer was lost: {totals:?}");
    assert!(totals.retried > 10, "{totals:?}");
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_cannot_count_ends_the_run_and_commits_nothing() {
    let world = world(good("a", 5));
    world.lock().script.push(Scripted::Miscount);
    let error = to_the_end(&world).await.0.unwrap_err();
    assert_eq!((error.part, error.fault.kind), ("sink", FaultKind::Unusable));
    assert_eq!(world.lock().partitions[0].committed, 0);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_counts_wrong_ends_the_run_and_commits_no_hole() {
    use ingest::{Batch, Lane, Mark, Source};
    struct Skips(u64, Vec<Mark>);
    impl Source for Skips {
        async fn next(&mut self) -> Result<Option<Batch>, model::fault::Fault> {
            self.0 += if self.0 == 2 { 2 } else { 1 };
            Ok(Some(Batch::new(Mark { lane: Lane(1), batch: self.0 - 1 }, Vec::new())))
        }
        async fn commit(&mut self, marks: &[Mark]) -> Result<(), model::fault::Fault> {
            self.1.extend(marks);
            assert!(marks.iter().all(|mark| mark.batch <= 1), "{marks:?}");
            Ok(())
        }
        async fn close(self) {
            assert_eq!(self.1.last().map(|mark| mark.batch), Some(1));
        }
    }
    let world = world(Vec::new());
    let stage = world.stage();
    let stage = crate::Stage {
        source: Skips(0, Vec::new()),
        sink: stage.sink,
        dead_letters: stage.dead_letters,
        mapping: stage.mapping,
    };
    let (_handle, token) = stop();
    let error = run(stage, &options(1), Arc::new(Status::default()), token).await.unwrap_err();
    assert_eq!(error.part, "source");
    assert!(error.fault.cause.contains("batch 3 of lane 1 came where batch 2 was due"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn documents_do_not_wait_for_company_that_waits_for_their_memory() {
    let world = world(good("a", 500));
    let mut options = options(1);
    (options.packing.bytes, options.packing.documents) = (1 << 30, usize::MAX);
    options.packing.linger = 3_600 * SECOND;
    let (_handle, token) = stop();
    let begun = Instant::now();
    run(world.stage(), &options, Arc::new(Status::default()), token).await.unwrap();
    assert_eq!(world.wrong_at_the_end(), Vec::<String>::new());
    assert!(begun.elapsed() < options.packing.linger, "{:?}", begun.elapsed());
}

/// With real threads and real time, since threads know no paused clock.
#[tokio::test]
async fn threads_keep_the_order_of_the_source() {
    let mut messages = good("a", 3_000);
    for at in (0..3_000).step_by(97) {
        messages[at] = message(planted(&format!("a-{at}"), Fate::TooLarge));
        messages[at].records[0].fate = Fate::Delivered;
    }
    let world = World::new(1, vec![messages], Chaos { batch: 40, ..Chaos::default() });
    world.lock().most_in_flight = 1;
    let mut options = options(1);
    (options.threads, options.max_in_flight_bytes) = (4, 4 << 20);
    world.lock().fates.clear();
    let (_handle, token) = stop();
    run(world.stage(), &options, Arc::new(Status::default()), token).await.unwrap();
    let expected: Vec<String> = (0..3_000).map(|at| format!("a-{at}")).collect();
    assert_eq!(world.lock().order, expected);
}
