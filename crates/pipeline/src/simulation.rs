//! Thousands of small worlds, each from a seed: a run is dropped at random points and started again until everything is
//! done. Afterwards nothing is lost, nothing is there that should not be, and no commit ever passed an unfinished record.
//!
//! Time is paused, so that hours of outage take no time. `SIMULATION_SEEDS=from..to` chooses other seeds; a failure names
//! its seed, which repeats it.

use std::num::NonZero;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use fastrand::Rng;
use tokio::runtime::Builder;
use tokio::time::{sleep, timeout};

use crate::testing::{Chaos, Fate, Message, World, message, options, page, planted};
use crate::{Ending, Status, run, stop};

/// How often a run may be ended before its time.
const MOST_ENDS: usize = 6;

pub(crate) fn messages(random: &mut Rng, partition: usize) -> Vec<Message> {
    let mut number = 0;
    let mut record = |random: &mut Rng| {
        number += 1;
        let fate = match random.u32(0..40) {
            0 => Fate::Unmappable,
            1 => Fate::Refused,
            2 => Fate::TooLarge,
            _ => Fate::Delivered,
        };
        planted(&format!("p{partition}-{number}"), fate)
    };
    let count = random.usize(0..60);
    let mut messages = Vec::new();
    for _ in 0..count {
        // A page with a broken record in it is broken at an unknown place, so pages hold none.
        messages.push(if random.u32(0..10) == 0 {
            let size = random.usize(0..4);
            let mut records: Vec<_> = (0..size).map(|_| record(random)).collect();
            records.retain(|record| record.fate != Fate::Unmappable);
            page(records)
        } else {
            message(record(random))
        });
    }
    messages
}

pub(crate) fn chaos(random: &mut Rng) -> Chaos {
    // Some worlds are calm in most respects, so that rare combinations are not drowned.
    let mut level = |most: u32| if random.bool() { random.u32(0..most) } else { 0 };
    let (source_fault, commit_fault, revocation, pause) = (level(20), level(40), level(10), level(50));
    let (request_fault, item_retry, letter_fault) = (level(40), level(40), level(50));
    let span = |random: &mut Rng| {
        let from = Duration::from_millis(random.u64(0..20_000));
        (from, from + Duration::from_secs(random.u64(1..4_000)))
    };
    let outages = (0..random.usize(0..3)).map(|_| span(random)).collect();
    let letter_outages = (0..random.usize(0..2)).map(|_| span(random)).collect();
    Chaos {
        source_fault,
        commit_fault,
        revocation,
        pause,
        request_fault,
        item_retry,
        letter_fault,
        slowest: Duration::from_millis(random.u64(0..300)),
        outages,
        letter_outages,
        // Longer than every document but those that are planted as too large.
        request_limit: random.usize(3_000..5_000),
        batch: random.usize(1..9),
        taking_back: random.bool(),
    }
}

async fn simulate(seed: u64) {
    let mut random = Rng::with_seed(seed);
    let partitions = (0..random.usize(1..5)).map(|partition| messages(&mut random, partition)).collect();
    let world = World::new(seed, partitions, chaos(&mut random));
    world.lock().most_in_flight = random.usize(1..6);
    let mut ends = 0;
    loop {
        let status = Arc::new(Status::default());
        let mut options = options(random.u64(..));
        options.packing.documents = random.usize(1..20);
        options.max_in_flight_bytes = random.usize(96..192) << 10;
        let (handle, token) = stop();
        let running = run(world.stage(), &options, Arc::clone(&status), token);
        let moment = Duration::from_millis(random.u64(0..40_000));
        let ended = if ends == MOST_ENDS {
            Some(running.await)
        } else if random.bool() {
            timeout(moment, running).await.ok()
        } else {
            let stopping = async {
                sleep(moment).await;
                handle.stop();
                std::future::pending::<()>().await;
            };
            let most = moment + options.drain_timeout + Duration::from_secs(20);
            let ended = timeout(most, async {
                tokio::select! { ended = running => ended, () = stopping => unreachable!() }
            });
            Some(ended.await.unwrap_or_else(|_| panic!("seed {seed}: a stop took longer than it may")))
        };
        ends += 1;
        assert_eq!(world.lock().violations, Vec::<String>::new(), "seed {seed}");
        let peak = status.peak_bytes.get();
        let most = options.max_in_flight_bytes as u64;
        assert!(peak <= most, "seed {seed}: {peak} bytes at the peak, more than {most}");
        let Some(ended) = ended else { continue };
        let summary = ended.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let totals = &summary.totals;
        if summary.left.records == 0 && summary.left.batches == 0 {
            let ended = totals.delivered + totals.duplicates + totals.dead_letters();
            assert_eq!(totals.read, ended, "seed {seed}: {summary:?}");
        }
        if summary.ending == Ending::SourceEnded {
            assert!(summary.left.is_nothing(), "seed {seed}: {summary:?}");
            break;
        }
    }
    assert_eq!(world.wrong_at_the_end(), Vec::<String>::new(), "seed {seed}");
}

/// Runs a world for each seed, on all cores.
pub(crate) fn campaign<F: Future<Output = ()>>(seeds: Range<u64>, simulate: fn(u64) -> F) {
    let next = AtomicU64::new(seeds.start);
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
            runtime.unwrap().block_on(simulate(seed));
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, NonZero::get) {
            scope.spawn(work);
        }
    });
}

/// The seeds to run: those of the environment, or the first `usual`.
pub(crate) fn seeds(usual: u64) -> Range<u64> {
    let chosen = std::env::var("SIMULATION_SEEDS").ok();
    let chosen = chosen.as_deref().and_then(|seeds| seeds.split_once(".."));
    chosen.map_or(0..usual, |(from, to)| from.parse().unwrap()..to.parse().unwrap())
}

#[test]
fn nothing_is_lost_whatever_happens() {
    campaign(seeds(1_000), simulate);
}
