//! Thousands of lives of a reader: what the sink holds against what is true.

use simulator::api::{Dialect, Limits};

use super::*;

/// How many seeds; more by the environment.
fn seeds() -> u64 {
    std::env::var("CAMPAIGN_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(48)
}

/// Things that go wrong at random, all of which pass.
pub(super) fn troubles(seed: u64) -> Mischief {
    let mut random = Rng::with_seed(seed ^ 0x7472);
    Box::new(move |_, _, reply| {
        if random.u8(0..100) >= 12 {
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
            "reconcile": [{"every": "1h", "depth": "4h"}],
        }),
    );
    // Some tenants sleep just then. What is added is late by anything up to two hours, or comes at once.
    for _ in 0..12 {
        let created = world.now + world.random.i64(-HOUR..2 * HOUR);
        let late = if world.random.bool() { world.random.i64(0..2 * HOUR) } else { SECOND };
        world.add(created, created + late);
    }
    world.mischief = troubles(seed);
    world.crash_per_mille = crash_per_mille;
    world.prompt = false;
    world.run(2 * HOUR);
    // Trouble ceases, and the re-reads come round.
    world.mischief = Box::new(|_, _, _| {});
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
    // What was asked for was waited for. A process that was started anew does not know of it.
    if !crashed {
        for pair in world.simulation.seen().windows(2) {
            let wish = pair[0].retry_after.unwrap_or(0);
            assert!(pair[1].at >= pair[0].at + wish * SECOND, "{name}: retry-after was broken");
        }
    }
    assert!(world.reader.position.gaps.is_empty(), "{name}: a gap was left");
}

#[test]
fn nothing_is_lost_for_any_seed() {
    let mut crashes = 0;
    for seed in 0..seeds() {
        let limit = [5_000, 7, 2, 1][(seed % 4) as usize];
        let dialect = if seed % 3 == 0 { Dialect::August } else { Dialect::October };
        let crashing = if seed % 5 < 3 { [0, 20, 60][(seed % 3) as usize] } else { 0 };
        let world = live(seed, limit, seed % 7 != 0, dialect, crashing);
        crashes += world.crashes;
        judge(&world, crashing > 0, &format!("seed {seed}, limit {limit}"));
    }
    assert!(crashes > seeds() as u32, "the campaign is to crash");
}

/// A crash at each commit boundary, one after the other, in the same life.
#[test]
fn a_crash_at_every_commit_loses_nothing() {
    for boundary in 0..24 {
        let mut world = World::new(
            SimulatorSettings { own_reads: None, gzip: false, ..silent(boundary) },
            serde_json::json!({"page_size": 2, "initial_lookback": "1h", "reconcile": []}),
        );
        let start = world.now;
        for at in 0..40 {
            world.add(start - 50 * MINUTE + at / 3 * MINUTE, start - 40 * MINUTE);
        }
        let mut commits = 0;
        while commits < boundary {
            world.run(SECOND);
            commits += 1;
        }
        world.crash();
        world.run(10 * MINUTE);
        assert_eq!(world.missing(), [] as [String; 0], "boundary {boundary}");
        assert_eq!(world.repeats(), 0, "all that was committed is known");
    }
}
