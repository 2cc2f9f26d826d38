//! The traps of the feed, one test each, named after its number. Those about routes that this source does not read are
//! held against what they mean for the feed. Traps 10, 11, 12 and 21 stand beside the code that knows about them.

use serde_json::{Value, json};
use simulator::api::{CursorStyle, Fault as Ordered, FaultKind as Kind, Place, When};

use super::super::query::Order;
use super::*;

const NO_PASSES: &str = "reconcile";

fn calm(seed: u64, extra: Value) -> World {
    let mut all = json!({NO_PASSES: [], "initial_lookback": "1h"});
    all.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    World::new(silent(seed), all)
}

/// So many rows a minute apart, the newest `ago` before now.
fn rows(world: &mut World, count: i64, ago: i64) -> Vec<String> {
    let now = world.now;
    (0..count).rev().map(|at| world.add(now - ago - at * MINUTE, now - ago - at * MINUTE + SECOND)).collect()
}

#[test]
fn trap_01_default_order() {
    let mut world = calm(1, json!({"page_size": 3}));
    rows(&mut world, 10, 5 * MINUTE);
    world.run(MINUTE);
    assert_eq!(world.missing(), [] as [String; 0]);
    let late = world.now;
    world.add(late, late + SECOND);
    world.run(5 * MINUTE);
    assert_eq!(world.missing(), [] as [String; 0], "new rows are seen after a restart of the walk");
    for (_, query, _) in &world.requests {
        assert!(query.contains("&order=asc"), "order is said in every request: {query}");
    }
}

#[test]
fn trap_02_wrong_pages_first_id() {
    let mut world = calm(2, json!({"page_size": 3, "overlap": "0s"}));
    rows(&mut world, 30, 5 * MINUTE);
    world.run(MINUTE);
    assert_eq!(world.missing(), [] as [String; 0]);
    let before = world.requests.len();
    world.run(MINUTE);
    // The next run begins where the last one ended, not at its first page.
    assert!(world.requests.len() <= before + 2, "{} requests for nothing", world.requests.len() - before);
    let line = &world.disk.lines[0];
    assert_ne!(line.first_cursor, line.last_cursor);
    let last = world.requests[before - 1].1.clone();
    assert!(last.contains("after_id="), "{last}");
}

#[test]
fn trap_03_high_water_mark_from_the_head() {
    // Backwards, as where `order` is unknown, and a crash after each page.
    for pages in 0..12 {
        let mut simulator = silent(3);
        simulator.knows_order = false;
        let mut world =
            World::new(simulator, json!({"page_size": 3, NO_PASSES: [], "initial_lookback": "1h"}));
        rows(&mut world, 30, 5 * MINUTE);
        while world.requests.len() < pages {
            world.run(SECOND / 10);
        }
        let kept = world.disk.position.as_deref().map(|text| serde_json::from_str::<Position>(text).unwrap());
        if world.sink.len() < 30
            && let Some(kept) = kept
        {
            assert_eq!(kept.high, kept.start, "the mark stays until the walk has ended");
        }
        world.crash();
        world.run(5 * MINUTE);
        assert_eq!(world.missing(), [] as [String; 0], "crash after {pages} pages");
        assert_eq!(world.reader.order, Order::Desc);
    }
}

#[test]
fn trap_04_watermark_of_the_newest_row() {
    let mut world = calm(4, json!({"page_size": 2}));
    let time = world.now - 5 * MINUTE;
    for number in 0..9 {
        world.simulation.add_at("claude_chat_created", Place { created: time, number: number * 100 }, time);
    }
    world.run(MINUTE);
    // Rows with the very same time as the newest, before it and behind it in order, come later.
    let late = world.now + 10 * SECOND;
    for number in [50, 950] {
        world.simulation.add_at("claude_chat_created", Place { created: time, number }, late);
    }
    world.run(3 * MINUTE);
    assert_eq!(world.missing(), [] as [String; 0]);
    assert_eq!(world.sink.len(), 11);
}

#[test]
fn trap_05_upper_bound_at_now() {
    // Our clock is ten minutes fast, or ten days, and a row comes a minute after its time.
    for skew in [10 * MINUTE, -10 * MINUTE, 0, 240 * HOUR] {
        let mut world =
            World::skewed(silent(5), json!({NO_PASSES: [], "overlap": "0s", "initial_lookback": "1h"}), skew);
        for _ in 0..30 {
            let now = world.now;
            world.add(now, now + 55 * SECOND);
            world.run(20 * SECOND);
        }
        world.run(20 * MINUTE);
        assert_eq!((world.missing().len(), world.sink.len()), (0, 30), "skew {skew}");
    }
    // A re-read that became due by a clock that was a month fast does not wait until that month is over.
    let mut world = World::new(silent(5), json!({"initial_lookback": "1h"}));
    for pass in &mut world.reader.position.passes {
        pass.due = pass.due.after(Duration::from_secs(30 * 86_400));
    }
    world.run(2 * HOUR);
    let passes = world.disk.lines.iter().filter(|line| line.kind == "pass").count();
    assert!(
        (3..=5).contains(&passes),
        "{passes} re-reads: each at once, and the hourly one again in its time"
    );
    // Without a date in any answer only our own clock is left; it must not be asked for more than it says.
    let mut world = calm(5, json!({}));
    world.simulation.settings().date = None;
    let now = world.now;
    world.add(now, now + 55 * SECOND);
    world.run(5 * MINUTE);
    assert_eq!(world.missing(), [] as [String; 0]);
}

#[test]
fn trap_06_cursor_only_tailing() {
    let mut world = World::new(
        silent(6),
        json!({"tail": "5s", "overlap": "1m", "reconcile": [{"every": "1h", "depth": "4h"}], "initial_lookback": "1h"}),
    );
    for _ in 0..20 {
        let now = world.now;
        world.add(now - 30 * SECOND, now);
        // An hour late, behind every cursor and every window.
        world.add(now - HOUR / 2, now + HOUR / 2);
        world.run(MINUTE);
    }
    world.run(4 * HOUR);
    assert_eq!(world.missing(), [] as [String; 0]);
    assert_eq!(world.repeats(), 0);
    let late: u64 = world.disk.lines.iter().map(|line| line.late).sum();
    assert_eq!(late, 20, "late finds are counted");
    assert!(world.disk.lines.iter().any(|line| line.lateness_seconds > 1_800));
}

#[test]
fn trap_07_null_or_missing_fields() {
    let mut world = calm(7, json!({"page_size": 5}));
    rows(&mut world, 20, 5 * MINUTE);
    // Full pages do not say whether there is more.
    world.mischief = Box::new(|_, _, reply| {
        reply.edit(|page| {
            page.as_object_mut().unwrap().remove("has_more");
        });
    });
    world.run(MINUTE);
    assert_eq!(world.missing(), [] as [String; 0], "a missing has_more ends nothing");
    let position: Position = serde_json::from_str(world.disk.position.as_deref().unwrap()).unwrap();
    assert!(position.high > position.start && position.walks.is_empty());
    let line = world.disk.lines.iter().find(|line| line.records > 0).unwrap();
    assert!(line.last_cursor.is_some(), "an empty last page takes no cursor away");
    // An empty page with no cursors moves nothing back.
    let before = world.reader.position.high;
    world.run(30 * MINUTE);
    assert!(world.reader.position.high > before);
    // More, and no way to it.
    let mut world = calm(7, json!({"page_size": 5}));
    rows(&mut world, 20, 5 * MINUTE);
    world.mischief = Box::new(|number, _, reply| {
        reply.edit(|page| match number {
            1 => page["last_id"] = Value::Null,
            4 | 5 => (page["last_id"], page["has_more"]) = ("stuck".into(), true.into()),
            _ => {}
        });
    });
    world.run(5 * MINUTE);
    assert_eq!(world.missing(), [] as [String; 0]);
    assert!(world.faults.iter().any(|fault| fault.cause.contains("no new cursor")));
}

#[test]
fn trap_08_checkpoint_before_durability() {
    let mut world = calm(8, json!({"page_size": 3, "exclude_activity_types": ["claude_project_created"]}));
    world.prompt = false;
    rows(&mut world, 30, 5 * MINUTE);
    for _ in 0..30 {
        // What was given and not delivered when the process ends is given again.
        world.crash();
        world.run(SECOND / 2);
    }
    world.run(5 * MINUTE);
    assert_eq!(world.missing(), [] as [String; 0]);
    // A position answers only the question it was made for.
    let other =
        config(json!({NO_PASSES: [], "exclude_activity_types": ["claude_chat_created"]})).validate().unwrap();
    let fault = world.restart(other).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Unusable);
    assert!(fault.cause.contains("was [claude_project_created] and is [claude_chat_created]"), "{fault}");
    assert!(fault.remedy.contains("state reset"), "{fault}");
}

#[test]
fn trap_09_last_write_wins_on_re_reads() {
    let mut world = calm(9, json!({}));
    let now = world.now;
    world.simulation.add("claude_file_uploaded", now - 3 * MINUTE, now - 3 * MINUTE);
    world.run(MINUTE);
    let first = world.first.clone();
    // From now on all names are gone, retroactively; the overlap reads the row again.
    world.mischief = Box::new(|_, _, reply| {
        reply.edit(|page| {
            for row in page["data"].as_array_mut().unwrap() {
                row["filename"] = Value::Null;
            }
        });
    });
    world.run(10 * MINUTE);
    assert!(world.disk.lines.iter().map(|line| line.duplicates).sum::<u64>() > 3, "it was read again");
    assert_eq!((world.repeats(), &world.first), (0, &first), "and never given again");
}

#[test]
fn trap_13_feedback() {
    let mut simulator = silent(13);
    simulator.own_reads = Some(SECOND);
    let mut world = World::new(simulator, json!({"tail": "30s", "initial_lookback": "1h"}));
    world.run(30 * MINUTE);
    let before = world.requests.len();
    world.run(HOUR);
    let requests = world.requests.len() - before;
    assert!(
        (60..=190).contains(&requests),
        "{requests} requests in a quiet hour; the timers allow 60 and 120"
    );
}

#[test]
fn trap_13_an_end_that_is_to_come_is_no_reason_to_hurry() {
    let simulator = silent(13);
    let until = Micros(simulator.start + HOUR);
    let mut world = World::new(
        simulator,
        json!({"initial_lookback": "1h", "until": until.to_string(), "poll_interval": "1m", "reconcile": []}),
    );
    world.run(50 * MINUTE);
    assert!((20..80).contains(&world.requests.len()), "{} requests in 50 minutes", world.requests.len());
    assert!(world.run(2 * HOUR), "it ends when the end can be read");
}

#[test]
fn trap_14_short_page_is_no_end() {
    let mut simulator = silent(14);
    simulator.cursors = CursorStyle::RawIds;
    let mut world = World::new(simulator, json!({"page_size": 10, NO_PASSES: [], "initial_lookback": "1h"}));
    rows(&mut world, 30, 5 * MINUTE);
    // Pages are cut short, and say that there is more.
    world.mischief = Box::new(|number, _, reply| {
        reply.edit(|page| {
            let rows = page["data"].as_array_mut().unwrap();
            let keep = 1 + number % 3;
            if rows.len() > keep {
                rows.truncate(keep);
                page["last_id"] = rows[keep - 1]["id"].clone();
                page["has_more"] = true.into();
            }
        });
    });
    world.run(MINUTE);
    assert_eq!((world.missing().len(), world.sink.len()), (0, 30));
}

#[test]
fn trap_15_parked_cursors() {
    for knows_order in [true, false] {
        let mut simulator = silent(15);
        simulator.cursor_lifetime = Some(24 * HOUR);
        simulator.knows_order = knows_order;
        let mut world =
            World::new(simulator, json!({"page_size": 3, NO_PASSES: [], "initial_lookback": "1h"}));
        let now = world.now;
        // Four share a time, so that the parked cursor is in the midst of a tie.
        for at in (0..32).rev() {
            world.add(now - 5 * MINUTE - at / 4 * MINUTE, now - 4 * MINUTE);
        }
        while world.sink.len() < 9 {
            world.run(SECOND / 10);
        }
        let asked = world.requests.len();
        // The process is away for three days; its cursor is void then.
        world.crash();
        world.pass(72 * HOUR);
        world.run(5 * MINUTE);
        assert!(world.requests.iter().any(|(_, _, status)| *status == 400), "the old cursor was refused");
        assert_eq!((world.missing().len(), world.sink.len(), world.repeats()), (0, 32, 0));
        // The walk goes on from the last row's time, not from its start: what it meets again is counted as that.
        let line = world.disk.lines.iter().find(|line| line.records > 0).unwrap();
        assert_eq!((line.records, line.new, line.duplicates), (32, 32, 0), "{line:?}");
        assert!((1..=4).contains(&line.repeats), "{} rows again", line.repeats);
        let second = &world.requests[asked + 1..];
        let from = |query: &str| {
            query.split("created_at.gte=").nth(1).unwrap().split('&').next().unwrap().to_owned()
        };
        if knows_order {
            assert!(from(&second[0].1) > from(&world.requests[0].1), "{:?}", second[0]);
        }
    }
}

#[test]
fn trap_16_rows_that_come_to_an_old_time() {
    // Days late, as for Anthropic's own access: found by the five-day pass, by its types alone.
    let mut world = World::new(silent(16), json!({"initial_lookback": "1h"}));
    let now = world.now;
    world.simulation.add("anthropic_access", now - MINUTE, now + 50 * HOUR);
    world.run(80 * HOUR);
    assert_eq!(world.missing(), [] as [String; 0]);
    let passes: Vec<_> = world.disk.lines.iter().filter(|line| line.late > 0).collect();
    assert_eq!(passes.len(), 1);
    assert!(passes[0].query.contains("activity_types[]=anthropic_access"), "{}", passes[0].query);
    // Everything else reads windows of `created_at`, to which such a row never comes back.
    let without = json!({"initial_lookback": "1h", NO_PASSES: [{"every": "1h", "depth": "6h"}, {"every": "24h", "depth": "48h"}]});
    let mut naive = World::new(silent(16), without);
    naive.simulation.add("anthropic_access", now - MINUTE, now + 50 * HOUR);
    naive.run(80 * HOUR);
    assert_eq!(naive.missing().len(), 1, "windows and shorter re-reads do not find it");
    // The operator sees how late it was.
    let lateness = &world.reader.watch().lateness;
    let classes: Vec<u64> = lateness.cumulative().iter().map(|(_, count)| *count).collect();
    assert_eq!((lateness.count(), classes[6], classes[7]), (1, 0, 1), "later than two days, within five");
}

#[test]
fn trap_17_sorting_or_deduping_by_timestamp() {
    for limit in [1, 2, 7, 5_000] {
        for knows_order in [true, false] {
            let mut simulator = silent(17);
            simulator.knows_order = knows_order;
            simulator.cursors = if limit == 7 { CursorStyle::RawIds } else { CursorStyle::Opaque };
            let mut world =
                World::new(simulator, json!({"page_size": limit, NO_PASSES: [], "initial_lookback": "1h"}));
            let time = world.now - 5 * MINUTE;
            for number in 0..40 {
                world.simulation.add_at("claude_chat_created", Place { created: time, number }, time);
            }
            world.run(3 * MINUTE);
            assert_eq!(
                (world.missing().len(), world.sink.len(), world.repeats()),
                (0, 40, 0),
                "limit {limit}"
            );
        }
    }
}

#[test]
fn trap_18_records_are_not_taken_apart() {
    // Whatever is inside a row, cut or not, valid or not, goes on byte for byte.
    let mut world = calm(18, json!({}));
    let inside = r#"{"id":"activity_x","created_at":"2026-10-06T11:50:00+00:00","input":"{\"cut\": \"of","n":1e999,"s":"\ud800"}"#;
    let body = format!(r#"{{"data":[{inside}],"has_more":false,"first_id":"a","last_id":"a"}}"#);
    world.mischief = Box::new(move |number, _, reply| {
        if number < 2 {
            reply.body = body.clone().into_bytes();
        }
    });
    world.run(MINUTE / 2);
    let all: Vec<&[u8]> =
        world.first.values().map(Vec::as_slice).chain(world.malformed.iter().map(Vec::as_slice)).collect();
    assert_eq!(all, [inside.as_bytes()]);
}

#[test]
fn trap_19_offsets_in_queries() {
    let mut world =
        calm(19, json!({"page_size": 2, "since": "2026-10-06T08:00:00+02:00", "initial_lookback": null}));
    rows(&mut world, 5, 5 * MINUTE);
    world.run(10 * MINUTE);
    for (_, query, status) in &world.requests {
        assert!(!query.contains('+') && *status == 200, "{query}");
    }
    assert!(world.requests[0].1.contains("created_at.gte=2026-10-06T06:00:00Z"));
    assert_eq!(world.missing(), [] as [String; 0]);
}

#[test]
fn trap_20_swallowed_failures() {
    let mut world = calm(20, json!({"page_size": 100}));
    let ids = rows(&mut world, 30, 5 * MINUTE);
    let bad = ids[13].clone();
    // One row makes every page with it fail for good; for two hours.
    let healed = world.now + 2 * HOUR;
    let now = std::rc::Rc::new(std::cell::Cell::new(world.now));
    let clock = std::rc::Rc::clone(&now);
    let name = bad.clone();
    world.mischief = Box::new(move |_, _, reply| {
        if clock.get() < healed && String::from_utf8_lossy(&reply.body).contains(&name) {
            reply.refuse(500, "api_error", "Internal server error");
            reply.headers.insert("x-should-retry".into(), "false".into());
        }
    });
    for _ in 0..60 {
        now.set(world.now);
        world.run(MINUTE);
    }
    assert_eq!(world.missing(), std::slice::from_ref(&bad), "all others pass it by");
    let kept: Position = serde_json::from_str(world.disk.position.as_deref().unwrap()).unwrap();
    assert_eq!(kept.gaps.len(), 1, "and it is kept: {:?}", kept.gaps);
    world.crash();
    for _ in 0..90 {
        now.set(world.now);
        world.run(MINUTE);
    }
    assert_eq!(world.missing(), [] as [String; 0]);
    assert!(world.reader.position.gaps.is_empty());
    assert!(world.disk.lines.iter().any(|line| line.kind == "gap" && line.new == 1));
}

#[test]
fn trap_20_an_undecodable_record_spoils_only_itself() {
    let mut world = calm(20, json!({}));
    rows(&mut world, 5, 5 * MINUTE);
    world.mischief = Box::new(|number, _, reply| {
        let text = String::from_utf8(reply.body.clone()).unwrap();
        if number < 3 {
            reply.body = text
                .replacen("\"data\":[", "\"data\":[17,{\"id\":\"bad\\escape\",\"x\":nope},", 1)
                .into_bytes();
        }
    });
    world.run(20 * MINUTE);
    assert_eq!(world.missing(), [] as [String; 0]);
    assert_eq!(world.malformed.len(), 2, "given once, though read three times: {:?}", world.malformed);
}

#[test]
fn trap_22_key_ids_are_joined_on_nothing() {
    // Our own rows are known by request id. Another key takes over half way, whose rows name another `apikey_…`; and others
    // read the feed with the very key that we use.
    let mut simulator = silent(22);
    simulator.own_reads = Some(SECOND);
    let mut world = World::new(simulator, json!({"initial_lookback": "1h"}));
    world.run(30 * MINUTE);
    let watch = world.reader.watch();
    let seconds = watch.canary.get();
    assert!((60..600).contains(&seconds), "own rows take a window and a poll to come back: {seconds}");
    world.key = "successor";
    let before = world.requests.len();
    for _ in 0..30 {
        let secret = world.simulation.key(world.key).to_owned();
        let other = Request::get(&format!("{ACTIVITIES_PATH}?limit=1")).key(&secret);
        world.simulation.answer(&other, world.now);
        world.run(MINUTE);
    }
    assert!(world.faults.is_empty(), "{:?}", world.faults);
    // A join by key would take the rows of the others, a second old, for ours.
    let seconds = watch.canary.get();
    assert!((60..600).contains(&seconds), "own rows of the new key come back in their time: {seconds}");
    assert!(world.requests.len() < before + 100);
    let kept = world.disk.position.clone().unwrap();
    assert!(!kept.contains("sk-ant") && !kept.contains("apikey_"), "no key in the position: {kept}");
    // An organization has two names, and the header may have either; a different one of the same kind is another's.
    let at = world.at();
    let known = Position { organization: Some("org_01Wv".into()), ..world.reader.position.clone() };
    for (name, ours) in
        [("abcdef01-2345-6789-abcd-ef0123456789", true), ("org_01Wv", true), ("org_01Zz", false)]
    {
        world.reader.position = known.clone();
        let head = Head { status: 200, organization: Some(name.into()), ..Head::default() };
        assert_eq!(world.reader.head(head, at).is_ok(), ours, "{name}");
    }
}

#[test]
fn trap_23_every_row_counts_once() {
    // What is counted are records, by their ids: not rows as they come. A page repeats the last row of the one before, a
    // cursor is lost in the middle, and everything is read again by overlaps.
    for kind in [Kind::Duplicate, Kind::CursorInvalid] {
        let mut world = calm(23, json!({"page_size": 4}));
        let ids = rows(&mut world, 10, 5 * MINUTE);
        world.simulation.order(Ordered::new(kind).after(1)).unwrap();
        world.run(20 * MINUTE);
        let came: usize = world.simulation.seen().iter().map(|seen| seen.rows).sum();
        assert!(came > 20, "{came} rows came: who counts those is wrong");
        let line = &world.disk.lines[0];
        assert_eq!((line.records, line.new, line.duplicates, line.without_id), (10, 10, 0, 0), "{kind:?}");
        assert_eq!(line.repeats, 1, "{kind:?}");
        let text: String = ids.iter().map(|id| format!("{id}\n")).collect();
        use sha2::Digest;
        assert_eq!(line.ids_sha256, crate::checkpoint::hex(&sha2::Sha256::digest(text)), "{kind:?}");
        let new: u64 = world.disk.lines.iter().map(|line| line.new).sum();
        assert_eq!((new, world.reader.watch().fresh.get()), (10, 10), "{kind:?}");
    }
}

#[test]
fn trap_24_keys_of_several_organizations() {
    // Two readers of the same rows on one sink: each id comes twice, and the sink's create takes it once.
    let simulator = silent(24);
    let (mut one, mut two) = (World::new(simulator.clone(), json!({})), World::new(simulator, json!({})));
    for world in [&mut one, &mut two] {
        rows(world, 20, 5 * MINUTE);
        world.run(5 * MINUTE);
    }
    assert_eq!(one.sink, two.sink);
    // A key of another organization does not go on from this position.
    let mut head = Head { status: 200, organization: Some("other".into()), ..Head::default() };
    let at = one.at();
    let fault = one.reader.head(head.clone(), at).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Unusable, "{fault}");
    head.organization = None;
    one.reader.head(head, at).unwrap();
}

/// Trap 21 again: while the API is off, the source pauses, and what was never recorded is written down.
#[test]
fn trap_21_an_api_that_is_switched_off_leaves_a_line() {
    let mut simulator = silent(21);
    simulator.own_reads = Some(SECOND);
    let mut world = World::new(simulator, json!({"initial_lookback": "1h"}));
    let ordered = Ordered {
        from: Some(When::Seconds(600)),
        until: Some(When::Seconds(4_200)),
        count: 0,
        ..Ordered::new(Kind::NotEnabled)
    };
    world.simulation.order(ordered).unwrap();
    world.run(3 * HOUR);
    let off: Vec<_> = world.disk.lines.iter().filter(|line| line.kind == "unrecorded").collect();
    assert_eq!(off.len(), 1);
    assert!(off[0].to.since(off[0].from) >= Duration::from_secs(3_000), "{} to {}", off[0].from, off[0].to);
    assert!(world.faults.iter().all(|fault| fault.kind == FaultKind::Blocked));
    // Probed slowly: an hour of it is a dozen requests.
    assert!(world.faults.len() <= 13, "{} probes", world.faults.len());
    world.simulation.settings().own_reads = None;
    world.run(5 * MINUTE);
    assert_eq!(world.missing(), [] as [String; 0]);
}

/// What the simulator can do to a page, one kind after the other, and all is there in the end.
#[test]
fn every_fault_of_a_page_passes() {
    let kinds = [
        Kind::RateLimited,
        Kind::Starved,
        Kind::Status,
        Kind::Html,
        Kind::Truncated,
        Kind::Empty,
        Kind::Malformed,
        Kind::Huge,
        Kind::Revoked,
        Kind::Expired,
        Kind::WrongKind,
        Kind::MissingScope,
        Kind::CursorInvalid,
        Kind::CursorRepeated,
        Kind::CursorNull,
        Kind::HasMoreMissing,
        Kind::OrderRefused,
        Kind::Duplicate,
        Kind::Changed,
        Kind::Bare,
        Kind::Skewed,
    ];
    for kind in kinds {
        let mut world = calm(30, json!({"page_size": 5}));
        rows(&mut world, 40, 5 * MINUTE);
        let ordered = Ordered { after: 2, every: 2, count: 3, bytes: Some(700), ..Ordered::new(kind) };
        world.simulation.order(ordered).unwrap();
        world.run(HOUR);
        assert_eq!(world.missing(), [] as [String; 0], "{kind:?}");
        assert_eq!((world.repeats(), world.sink.len()), (0, 40), "{kind:?}");
    }
}
