//! At the speed of the real clock: a process that is killed while it waits goes on waiting when it is started again, and one
//! that is killed all the time asks no more often than one that is not.

use std::thread::sleep;
use std::time::{Duration, Instant};

use simulator::api::{Fault, FaultKind, Pace, Seen, Settings, Simulation, Tenant};

use crate::copies::Copy;
use crate::feed::{Feed, HOUR, MINUTE, SECOND, real_now};
use crate::say;
use crate::settings::Scratch;

/// Two hours with rows enough that a page each would keep the reader busy for long.
fn feed(seed: u64, rows: i64) -> Feed {
    let start = real_now() / SECOND * SECOND;
    let settings = Settings { seed, start, tenant: Tenant::empty(), own_reads: None, ..Settings::default() };
    let mut simulation = Simulation::new(settings);
    for at in 0..rows {
        let created = start - HOUR + at * SECOND;
        simulation.add("claude_chat_created", created, created);
    }
    Feed::of(simulation, Pace::Times(1.0))
}

fn seen(feed: &Feed) -> Vec<Seen> {
    feed.control().with(|simulation, _| simulation.seen().to_vec())
}

/// Kills now, and says when that was by the simulated clock.
fn kill(copy: &mut Copy, feed: &Feed) -> i64 {
    copy.kill();
    feed.control().now()
}

#[test]
fn a_wait_that_was_asked_for_outlives_the_process() {
    let scratch = Scratch::new();
    let feed = feed(21, 3_000);
    feed.control().with(|simulation, _| {
        for (after, kind) in
            [(3, FaultKind::RateLimited), (9, FaultKind::Status), (15, FaultKind::RateLimited)]
        {
            let fault = Fault { retry_after: Some(4), status: Some(503), ..Fault::new(kind).after(after) };
            simulation.order(fault).unwrap();
        }
    });
    let source = "page_size = 5\ninitial_lookback = \"2h\"\nbudget_share = 1.0\nreconcile = []";
    let mut copy = feed.copy(scratch.path(), "a", source);
    copy.start();
    let (mut kills, mut within) = (Vec::new(), 0);
    let deadline = Instant::now() + Duration::from_secs(90);
    let asked_to_wait = |seen: &[Seen]| seen.iter().filter(|seen| seen.retry_after.is_some()).count();
    for wait in 1..=3 {
        while asked_to_wait(&seen(&feed)) < wait {
            copy.must_run();
            assert!(Instant::now() < deadline, "it was never asked to wait:\n{}", copy.log_tail());
            sleep(Duration::from_millis(5));
        }
        let last = seen(&feed).iter().rev().find(|seen| seen.retry_after.is_some()).unwrap().at;
        // Killed and started again while it is to wait, more than once.
        sleep(Duration::from_millis(300));
        if wait == 3 {
            // By now there is a position to be shown.
            let shown = copy.ask(&["state", "show"]);
            assert!(shown.contains("\nasks again     at 20"), "{shown}");
        }
        while feed.control().now() < last + 3 * SECOND {
            kills.push(kill(&mut copy, &feed));
            within += 1;
            copy.start();
            sleep(Duration::from_millis(700));
        }
    }
    let before = seen(&feed).len();
    while seen(&feed).len() < before + 5 {
        copy.must_run();
        assert!(Instant::now() < deadline, "it does not go on:\n{}", copy.log_tail());
        sleep(Duration::from_millis(20));
    }
    copy.stop();
    assert!(within >= 3, "it was killed only {within} times while it was to wait");
    let broken: Vec<Seen> = feed.control().with(|simulation, _| simulation.broken_waits().cloned().collect());
    assert!(broken.is_empty(), "killed at {kills:?}: {broken:#?}");
    let waited = seen(&feed).windows(2).filter(|pair| pair[0].retry_after == Some(4)).count();
    say(format!(
        "a_wait_that_was_asked_for_outlives_the_process: {waited} waits, {within} kills in them, none broken"
    ));
}

#[test]
fn a_share_of_the_budget_is_kept_to_by_one_that_is_killed_all_the_time() {
    let scratch = Scratch::new();
    let feed = feed(22, 2_000);
    // Thirty requests a minute, whatever happens.
    let share = 0.05;
    let source = format!("page_size = 1\ninitial_lookback = \"2h\"\nbudget_share = {share}\nreconcile = []");
    let mut copy = feed.copy(scratch.path(), "a", &source);
    let begun = Instant::now();
    let mut kills = 0;
    copy.start();
    while begun.elapsed() < Duration::from_secs(20) {
        sleep(Duration::from_millis(450));
        copy.kill();
        kills += 1;
        copy.start();
    }
    copy.kill();
    let times: Vec<i64> = seen(&feed).iter().map(|seen| seen.at).collect();
    let most = (share * 600.0) as usize;
    for (at, first) in times.iter().enumerate() {
        let within = times[at..].iter().take_while(|time| **time < first + MINUTE).count();
        assert!(within <= most, "{within} requests within a minute, {most} are its share");
    }
    assert!(times.len() >= 5, "it got nowhere: {} requests", times.len());
    say(format!(
        "a_share_of_the_budget: {} requests in {:.0} s across {kills} kills; its share is {most} a minute",
        times.len(),
        begun.elapsed().as_secs_f64()
    ));
}
