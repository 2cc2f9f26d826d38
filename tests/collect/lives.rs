//! Whole lives over a tenant at work: hours of troubles and kills, then hours of quiet in which the re-reads come round.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use simulator::Random;
use simulator::api::{Dialect, Fault, FaultKind, Limits, Pace, Settings};

use crate::copies::Copy;
use crate::feed::{Feed, HOUR, MINUTE, SECOND, real_now};
use crate::kills::{FILES, When, wait};
use crate::settings::{Scratch, variable};
use crate::{say, verdict};

/// How many times as fast as the real clock the simulated one goes while there is trouble.
const FAST: f64 = 1_800.0;

/// How long a copy may take to catch up.
const PATIENCE: Duration = Duration::from_secs(120);

/// What is tried in a life.
struct Life {
    name: String,
    limit: u32,
    feed: Feed,
    random: Random,
}

/// What came of it.
#[derive(Default)]
struct Outcome {
    rows: usize,
    requests: usize,
    faults: usize,
    kills: usize,
    late: u64,
    again: u64,
}

impl Life {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0x6c69_6665);
        let limit = [5_000, 7, 2, 1][(seed % 4) as usize];
        let tiny = limit < 7;
        let mut settings = Settings {
            seed,
            dialect: if seed.is_multiple_of(3) { Dialect::August } else { Dialect::October },
            // Behind the real clock for as long as the life lasts, so that the program follows the simulated one.
            start: (real_now() - 72 * HOUR) / MINUTE * MINUTE,
            knows_order: !seed.is_multiple_of(5),
            strict_cursors: seed.is_multiple_of(2),
            gzip: !seed.is_multiple_of(3),
            // At a row or two a page, every row about a request would make requests of its own.
            own_reads: (!tiny).then_some(SECOND),
            // In hours that last two seconds there would be no budget at all.
            limits: Limits { requests: 600_000, ..Limits::default() },
            ..Settings::default()
        };
        settings.tenant.people = if tiny { 3 } else { 8 };
        settings.tenant.hourly = 3;
        settings.tenant.stories = false;
        settings.tenant.history = 2 * HOUR;
        settings.tenant.late_per_mille = 100;
        settings.tenant.tied_percent = 30;
        settings.tenant.odd_per_mille = 20;
        settings.tenant.quiet_from = Some(settings.start + 2 * HOUR);
        let feed = Feed::new(settings, Pace::Times(FAST));
        let name = format!("life {seed}, limit {limit}");
        // Moments have a sequence of their own, so that what is ordered does not depend on them.
        let moments = Random::new(random.bits());
        let mut life = Self { name, limit, feed, random };
        life.add_rows();
        life.order_faults();
        life.random = moments;
        life
    }

    /// Some tenants sleep just then. What is added is late by anything up to two hours, or comes at once.
    fn add_rows(&mut self) {
        let Self { feed, random, .. } = self;
        feed.control().with(|simulation, now| {
            for _ in 0..14 {
                let created = now - HOUR + random.below(3 * HOUR as u64) as i64;
                let late = if random.chance(50) { random.below(2 * HOUR as u64) as i64 } else { SECOND };
                simulation.add("claude_chat_created", created, created + late);
            }
        });
    }

    /// Things that go wrong and pass. Each costs a second or so of real time, in which half an hour goes by over there.
    fn order_faults(&mut self) {
        use FaultKind::{
            Abort, Changed, CursorInvalid, CursorNull, CursorRepeated, Cut, Drip, Duplicate, Empty, GzipCut,
            HasMoreMissing, Html, Malformed, RateLimited, Reset, ResetAfter, Starved, Status, Truncated,
            Undecodable,
        };
        let kinds = [
            Abort,
            Changed,
            CursorInvalid,
            CursorNull,
            CursorRepeated,
            Cut,
            Drip,
            Duplicate,
            Empty,
            GzipCut,
            HasMoreMissing,
            Html,
            Malformed,
            RateLimited,
            Reset,
            ResetAfter,
            Starved,
            Status,
            Truncated,
            Undecodable,
        ];
        let Self { feed, random, limit, .. } = self;
        let spread = if *limit < 7 { 200 } else { 40 };
        feed.control().with(|simulation, _| {
            for _ in 0..8 {
                let kind = *random.pick(&kinds);
                let mut fault = Fault::new(kind).after(random.below(spread)).times(random.range(1, 2));
                match kind {
                    Status => {
                        fault.status = Some(*random.pick(&[500, 503, 504, 529]));
                        // For good, as far as that page is concerned; it passes all the same.
                        fault.should_retry =
                            (fault.status == Some(500) && random.chance(50)).then_some(false);
                    }
                    RateLimited => fault.retry_after = random.chance(50).then_some(1),
                    Drip => (fault.bytes, fault.pause_millis) = (Some(2_000), Some(5)),
                    _ => {}
                }
                simulation.order(fault).unwrap();
            }
        });
    }

    fn source(&self) -> String {
        let limit = self.limit;
        // By a time and not by a lookback: how far the clock is when the first page comes is up to the machine.
        let begin = self.feed.control().with(|simulation, _| simulation.start()) - 2 * HOUR;
        let since = simulator::rfc3339(begin, simulator::Precision::Seconds, true);
        format!(
            "page_size = {limit}\npoll_interval = \"1s\"\nsince = \"{since}\"\nbudget_share = 1.0\nreconcile = [{{ every = \"1h\", depth = \"4h\" }}]"
        )
    }

    fn moment(&mut self) -> When {
        let random = &mut self.random;
        let pause = Duration::from_micros(if random.chance(40) { 0 } else { random.below(4_000) });
        match random.below(3) {
            0 => When::After(Duration::from_millis(random.below(900))),
            1 => When::Changed(FILES[random.index(FILES.len())], pause),
            _ => When::Asked(random.index(8) + 1, pause),
        }
    }

    /// The first two hours: it is killed again and again.
    fn troubles(&mut self, copy: &mut Copy) -> usize {
        let quiet = self.feed.control().with(|simulation, _| simulation.start()) + 2 * HOUR + 10 * MINUTE;
        let mut kills = 0;
        copy.start();
        while self.feed.control().now() < quiet || kills < 6 {
            let when = self.moment();
            assert!(wait(copy, &self.feed, when, Duration::from_secs(2)), "{}: ended", self.name);
            copy.kill();
            kills += 1;
            verdict::after_a_kill(&self.feed, copy, &format!("{}, kill {kills}, {when:?}", self.name));
            copy.start();
        }
        kills
    }

    /// The hours after that: nothing fails any more, and everything is found.
    fn quiet(&mut self, copy: &mut Copy) {
        let control = self.feed.control().clone();
        control.with(|simulation, _| {
            simulation.clear_faults();
            simulation.settings().own_reads = None;
        });
        control.pace(Pace::Stepped(0));
        let until = control.now() + 5 * HOUR + 30 * MINUTE;
        let before = passes(copy);
        while control.now() < until {
            control.advance(Duration::from_secs(1_800));
            // A request that learns the new time, and those that follow from it.
            let asked = self.feed.requests();
            let deadline = Instant::now() + PATIENCE;
            while self.feed.requests() == asked {
                copy.must_run();
                assert!(Instant::now() < deadline, "{}: it asks for nothing\n{}", self.name, copy.log_tail());
                sleep(Duration::from_millis(5));
            }
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            let start = verdict::position(copy).map_or(i64::MAX, |position| position.start.0);
            let missing = verdict::missing(&self.feed, copy, start);
            // A slow machine may have found everything before the re-reads came round.
            if start < i64::MAX && missing.is_empty() && passes(copy) > before {
                break;
            }
            copy.must_run();
            if Instant::now() > deadline {
                break;
            }
            sleep(Duration::from_millis(100));
        }
        copy.stop();
    }

    fn run(mut self) -> Outcome {
        let scratch = Scratch::new();
        let mut copy = self.feed.copy(scratch.path(), "a", &self.source());
        let kills = self.troubles(&mut copy);
        self.quiet(&mut copy);
        let rows = verdict::in_the_end(&self.feed, &copy, &self.name);
        verdict::no_secret(&self.feed, &copy, &self.name);
        assert!(rows > 5, "{}: nothing happened", self.name);
        let lines = ingest::api::read_attestations(&copy.path("state/attestations.ndjson")).unwrap();
        assert!(passes(&copy) > 0, "{}: nothing was read again", self.name);
        let (requests, faults) = self.feed.control().with(|simulation, _| {
            let seen = simulation.seen();
            (seen.len(), seen.iter().filter(|seen| seen.fault.is_some()).count())
        });
        let late = lines.iter().map(|line| line.late).sum();
        let again = lines.iter().map(|line| line.duplicates).sum();
        Outcome { rows, requests, faults, kills, late, again }
    }
}

/// How many re-reads came to their end.
fn passes(copy: &Copy) -> usize {
    let text = std::fs::read_to_string(copy.path("state/attestations.ndjson")).unwrap_or_default();
    text.lines().filter(|line| line.contains("\"kind\":\"pass\"")).count()
}

fn number(name: &str, usual: u64) -> u64 {
    variable(name).map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// No loss, each id once, no position past an undelivered row, no secret: for every seed.
#[test]
fn nothing_is_lost_whatever_strikes() {
    let lives = number("COLLECT_LIVES", 4);
    let first = number("COLLECT_SEED", u64::from(std::process::id()) / 4 * 4);
    say(format!("nothing_is_lost_whatever_strikes: {lives} lives, COLLECT_SEED={first}"));
    let next = AtomicU64::new(first);
    let totals: [AtomicUsize; 6] = Default::default();
    let started = Instant::now();
    scope(|scope| {
        for _ in 0..number("COLLECT_AT_ONCE", 4).min(lives) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + lives {
                        return;
                    }
                    let Outcome { rows, requests, faults, kills, late, again } = Life::new(seed).run();
                    let numbers = [rows, requests, faults, kills, late as usize, again as usize];
                    for (total, number) in totals.iter().zip(numbers) {
                        total.fetch_add(number, Ordering::Relaxed);
                    }
                    if lives > 20 && (seed - first) % 20 == 19 {
                        say(format!("{} lives, {:.0} s", seed - first + 1, started.elapsed().as_secs_f64()));
                    }
                }
            });
        }
    });
    let [rows, requests, faults, kills, late, again] = totals.map(AtomicUsize::into_inner);
    say(format!(
        "{lives} lives: {kills} kills, {faults} faults in {requests} requests, {rows} rows each once, {late} late finds, {again} rows met again; {:.0} s",
        started.elapsed().as_secs_f64()
    ));
    assert!(kills as u64 >= lives * 6 && faults as u64 >= lives, "{kills} kills, {faults} faults");
}
