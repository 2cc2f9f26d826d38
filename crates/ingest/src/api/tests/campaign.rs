//! Thousands of lives of a reader: what the sink holds against what is true.

use simulator::api::{Dialect, Fault as Ordered, FaultKind as Kind, Limits};

use super::*;

/// How many seeds; more by the environment.
fn seeds() -> u64 {
    std::env::var("CAMPAIGN_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(48)
}

/// Things that go wrong at random, all of which pass.
pub(super) fn troubles(seed: u64) -> Mischief {
    let mut random = Rng::with_seed(seed ^ 0x7472);
    Box::new(move |_, _, reply| {
        // What the API asks for itself must be heard, since it is held against what is done.
        if random.u8(0..100) >= 12 || reply.headers.contains_key("retry-after") {
            return;
        }
        match random.u8(0..14) {
            0 => reply.reset = true,
            1 => reply.cut = Some(random.usize(0..=reply.body.len())),
            2 => reply.refuse(503, "overloaded_error", "Overloaded"),
            3 => reply.refuse(529, "overloaded_error", "Overloaded"),
            4 => reply.refuse(500, "api_error", "Internal server error"),
            5 => {
                reply.refuse(429, "rate_limit_error", "slow down");
                reply.headers.insert("retry-after".into(), random.u8(1..40).to_string());
            }
            6 => reply.refuse(429, "rate_limit_error", "slow down"),
            7 => {
                reply.status = 502;
                reply.body = b"<html>bad gateway</html>".to_vec();
            }
            8 => reply.body = b"<html>fine</html>".to_vec(),
            9 => reply.body.clear(),
            10 if reply.status == 200 => reply.edit(|page| {
                page.as_object_mut().unwrap().remove("has_more");
            }),
            11 if reply.status == 200 => reply.edit(|page| {
                (page["has_more"], page["last_id"]) = (true.into(), serde_json::Value::Null);
            }),
            12 => reply.headers.clear(),
            13 if reply.status == 200 => {
                let to = random.usize(0..=reply.body.len());
                reply.body.truncate(to);
            }
            _ => {
                reply.refuse(500, "api_error", "cannot");
                reply.headers.insert("x-should-retry".into(), "false".into());
            }
        }
    })
}

/// How much of the budget a life may use: all, the usual, and next to nothing.
fn share(seed: u64) -> f64 {
    [1.0, 0.25, 0.1, 0.03][(seed / 4 % 4) as usize]
}

fn live(seed: u64, limit: u32, knows_order: bool, dialect: Dialect, crash_per_mille: u64) -> World {
    let tiny = limit < 100;
    let mut simulator = SimulatorSettings {
        seed,
        dialect,
        knows_order,
        // At a row a page, every row about a request would make requests of its own.
        own_reads: (!tiny).then_some(SECOND),
        gzip: false,
        strict_cursors: seed.is_multiple_of(2),
        limits: Limits { headers: !seed.is_multiple_of(3), ..Limits::default() },
        ..SimulatorSettings::default()
    };
    simulator.tenant.people = if tiny { 4 } else { 8 };
    simulator.tenant.hourly = 4;
    simulator.tenant.stories = false;
    simulator.tenant.history = 2 * HOUR;
    simulator.tenant.late_per_mille = 100;
    simulator.tenant.tied_percent = 30;
    simulator.tenant.odd_per_mille = 20;
    simulator.tenant.quiet_from = Some(simulator.start + 2 * HOUR);
    let mut world = World::new(
        simulator,
        serde_json::json!({
            "page_size": limit, "initial_lookback": "2h", "poll_interval": if tiny { "5m" } else { "60s" },
            "reconcile": [{"every": "1h", "depth": "4h"}], "budget_share": share(seed),
        }),
    );
    // Some tenants sleep just then. What is added is late by anything up to two hours, or comes at once.
    for _ in 0..12 {
        let created = world.now + world.random.i64(-HOUR..2 * HOUR);
        let late = if world.random.bool() { world.random.i64(0..2 * HOUR) } else { SECOND };
        world.add(created, created + late);
    }
    for _ in 0..8 {
        let (after, seconds) = (world.random.u64(0..120), world.random.i64(1..200));
        let kind = *world.random.choice(&[Kind::RateLimited, Kind::Status]).unwrap();
        let fault =
            Ordered { retry_after: Some(seconds), status: Some(503), ..Ordered::new(kind).after(after) };
        world.simulation.order(fault.times(world.random.u64(1..3))).unwrap();
    }
    world.mischief = troubles(seed);
    world.crash_per_mille = crash_per_mille;
    world.prompt = false;
    world.run(2 * HOUR);
    // Trouble ceases, and the re-reads come round.
    world.mischief = Box::new(|_, _, _| {});
    world.simulation.clear_faults();
    world.crash_per_mille = 0;
    world.simulation.settings().own_reads = None;
    world.run(5 * HOUR + 30 * MINUTE);
    world
}

fn judge(world: &World, crashed: bool, name: &str) {
    assert_eq!(world.missing(), [] as [String; 0], "{name}: lost");
    assert!(world.sink.len() > 5, "{name}: nothing happened");
    if !crashed {
        assert_eq!(world.repeats(), 0, "{name}: given twice without a crash");
    }
    // Numbers without holes, and none twice.
    let numbers: Vec<u64> = world.disk.lines.iter().map(|line| line.sequence).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{name}: {numbers:?}");
    // What was asked for was waited for, and no minute saw more than the share, whatever process it was.
    let broken: Vec<_> = world.simulation.broken_waits().collect();
    assert!(broken.is_empty(), "{name}: waits were broken: {broken:#?}");
    let (busiest, most) = (world.simulation.busiest(MINUTE), world.settings.rules.budget_share * 600.0);
    assert!(busiest as f64 <= most, "{name}: {busiest} requests in a minute, {most} are its share");
    assert!(world.reader.position.gaps.is_empty(), "{name}: a gap was left");
}

#[test]
fn nothing_is_lost_for_any_seed() {
    let (mut crashes, mut in_waits, mut waits) = (0, 0, 0);
    for seed in 0..seeds() {
        let limit = [5_000, 7, 2, 1][(seed % 4) as usize];
        let dialect = if seed % 3 == 0 { Dialect::August } else { Dialect::October };
        let crashing = if seed % 5 < 3 { [0, 20, 60][(seed % 3) as usize] } else { 0 };
        let world = live(seed, limit, seed % 7 != 0, dialect, crashing);
        crashes += world.crashes;
        in_waits += world.crashes_in_waits;
        waits += world.simulation.seen().iter().filter(|seen| seen.retry_after.is_some()).count();
        judge(&world, crashing > 0, &format!("seed {seed}, limit {limit}"));
    }
    assert!(crashes > seeds() as u32, "the campaign is to crash");
    assert!(waits as u64 > seeds(), "it is to be asked to wait");
    assert!(u64::from(in_waits) > seeds() / 8, "it is to crash while it waits: {in_waits} times");
}

/// In each commit, after each step of it.
#[test]
fn a_crash_at_every_commit_loses_nothing() {
    for done in [Done::Nothing, Done::Ids, Done::Position, Done::All] {
        let mut commit = 0;
        loop {
            commit += 1;
            let mut world = World::new(
                SimulatorSettings { own_reads: None, gzip: false, ..silent(commit) },
                // As long as something is read again, its ids are kept; those of a mere backfill are not.
                serde_json::json!({"page_size": 2, "initial_lookback": "1h", "reconcile": [{"every": "1h", "depth": "4h"}]}),
            );
            let start = world.now;
            for at in 0..40 {
                world.add(start - 50 * MINUTE + at / 3 * MINUTE, start - 40 * MINUTE);
            }
            world.crash_at = Some((commit as u32, done));
            world.run(10 * MINUTE);
            let name = format!("commit {commit}, done: {done:?}");
            assert_eq!(world.missing(), [] as [String; 0], "{name}");
            // What has ended and is known to nobody comes again: a page.
            let again = if done == Done::Nothing { 2 } else { 0 };
            assert!(world.repeats() <= again, "{name}: {} rows twice", world.repeats());
            if world.crashes == 0 {
                break;
            }
        }
        // Twenty pages, and a poll a minute.
        assert!(commit > 25, "there were only {commit} commits");
    }
}
