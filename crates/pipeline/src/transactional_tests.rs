//! Exactly once, in worlds that fail: thousands of seeds, with crashes at random points.

use tokio::time::timeout;

use super::*;
use crate::simulation::{campaign, chaos, messages, seeds};
use crate::stop;
use crate::testing::{
    Chaos, FakeLetters, FakeSource, FakeTransactions, Fate, World, fault, good, mapping, message, options,
    planted,
};

fn stage(world: &World) -> Stage<FakeSource, FakeTransactions, FakeLetters> {
    Stage {
        source: FakeSource::open(world),
        sink: FakeTransactions::open(world),
        dead_letters: FakeLetters(world.clone()),
        mapping: mapping(),
    }
}

async fn simulate(seed: u64) {
    let mut random = Rng::with_seed(seed);
    let partitions = (0..random.usize(1..5)).map(|partition| messages(&mut random, partition)).collect();
    let mut chaos = chaos(&mut random);
    for (from, to) in chaos.outages.iter_mut().chain(&mut chaos.letter_outages) {
        *to = (*to).min(*from + Duration::from_secs(120));
    }
    let world = World::new(seed, partitions, chaos);
    for round in 0.. {
        let (handle, token) = stop();
        let status = Arc::new(Status::default());
        let options = options(random.u64(..));
        let running = run_transactional(stage(&world), &options, status, token);
        let moment = Duration::from_millis(random.u64(0..30_000));
        let ended = if round == 5 {
            Some(running.await)
        } else if random.bool() {
            timeout(moment, running).await.ok()
        } else {
            let stopping = async {
                sleep(moment).await;
                handle.stop();
                std::future::pending::<()>().await;
            };
            let most = moment + options.drain_timeout + 5 * LAST_STEP;
            let ended = async {
                tokio::select! { ended = running => ended, () = stopping => unreachable!() }
            };
            Some(timeout(most, ended).await.unwrap_or_else(|_| panic!("seed {seed}: a stop took too long")))
        };
        assert_eq!(world.lock().violations, Vec::<String>::new(), "seed {seed}");
        let Some(ended) = ended else { continue };
        let summary = ended.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        if summary.left.is_nothing() {
            let totals = &summary.totals;
            assert_eq!(totals.read, totals.delivered + totals.dead_letters(), "seed {seed}: {summary:?}");
        }
        if summary.ending == Ending::SourceEnded {
            break;
        }
    }
    assert_eq!(world.wrong_at_the_end(), Vec::<String>::new(), "seed {seed}");
}

#[test]
fn everything_is_there_exactly_once_whatever_happens() {
    campaign(seeds(1_000), simulate);
}

#[tokio::test(start_paused = true)]
async fn a_second_producer_ends_the_first_and_nothing_is_there_twice() {
    let chaos = Chaos {
        batch: 2,
        pause: 100,
        slowest: Duration::from_millis(90),
        request_limit: 9_000,
        ..Chaos::default()
    };
    let world = World::new(3, vec![good("a", 300)], chaos);
    let (_handle, token) = stop();
    let (first, options) = (stage(&world), options(3));
    let other = world.clone();
    let fencing = async {
        sleep(Duration::from_secs(3)).await;
        FakeTransactions::open(&other)
    };
    let running = run_transactional(first, &options, Arc::new(Status::default()), token);
    let (ended, _second) = tokio::join!(running, fencing);
    let error = ended.unwrap_err();
    assert_eq!((error.part, error.fault.kind), ("sink", FaultKind::Taken));
    let (_handle, token) = stop();
    run_transactional(stage(&world), &options, Arc::new(Status::default()), token).await.unwrap();
    assert_eq!(world.wrong_at_the_end(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn many_refused_ones_cost_no_wait_each() {
    let mut records = good("a", 300);
    records.extend((0..60).map(|at| message(planted(&format!("refused-{at}"), Fate::Refused))));
    let chaos = Chaos { batch: 50, taking_back: true, request_limit: 9_000, ..Chaos::default() };
    let world = World::new(3, vec![records], chaos);
    let (_handle, token) = stop();
    let started = tokio::time::Instant::now();
    let status = Arc::new(Status::default());
    let ended = run_transactional(stage(&world), &options(3), status, token).await.unwrap();
    assert_eq!((ended.totals.dead_letters(), ended.totals.retried), (60, 0));
    // A wait after each would be minutes of the paused clock.
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert_eq!(world.wrong_at_the_end(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_final_fault_of_the_source_comes_after_what_was_read_is_committed() {
    let chaos = Chaos {
        batch: 2,
        pause: 100,
        slowest: Duration::from_millis(90),
        request_limit: 9_000,
        ..Chaos::default()
    };
    let world = World::new(3, vec![good("a", 300)], chaos);
    let (_handle, token) = stop();
    let breaker = world.clone();
    tokio::spawn(async move {
        sleep(Duration::from_secs(2)).await;
        breaker.lock().read_script.push(fault(FaultKind::Unusable));
    });
    let ended = run_transactional(stage(&world), &options(3), Arc::new(Status::default()), token).await;
    assert_eq!(ended.unwrap_err().part, "source");
    let inner = world.lock();
    assert!(inner.partitions[0].committed > 0 && inner.store.len() == inner.partitions[0].committed);
    assert!(inner.store.values().all(|count| *count == 1) && inner.violations.is_empty());
}
