//! Order, cursors, ties, late records, determinism.

use std::collections::BTreeSet;

use super::*;

#[test]
fn every_walk_in_either_order_meets_every_shown_record_once() {
    for seed in 0..60 {
        let mut simulation = Simulation::new(small(seed));
        let now = simulation.start();
        let mut shown = shown(&simulation, now);
        assert!(shown.len() > 20, "seed {seed}: {}", shown.len());
        for limit in [1, 2, 7, 5_000] {
            assert_eq!(walk(&mut simulation, now, "&order=asc", limit), shown, "seed {seed}, limit {limit}");
        }
        shown.reverse();
        for limit in [1, 2, 7, 5_000] {
            assert_eq!(walk(&mut simulation, now, "", limit), shown, "seed {seed}, limit {limit}");
        }
    }
}

#[test]
fn before_a_cursor_lie_the_records_next_to_it_in_result_order() {
    for order in ["asc", "desc"] {
        let mut simulation = Simulation::new(small(5));
        let now = simulation.start();
        let query = format!("&order={order}");
        let all = walk(&mut simulation, now, &query, 5_000);
        for limit in [1, 2, 7, 5_000] {
            let last = page(&mut simulation, now, &format!("limit=5000{query}"))["last_id"].clone();
            let (mut back, mut cursor) = (vec![all.last().unwrap().clone()], last);
            loop {
                let before = format!("limit={limit}{query}&before_id={}", cursor.as_str().unwrap());
                let page = page(&mut simulation, now, &before);
                back.splice(..0, ids(&page));
                if page["has_more"] == false {
                    break;
                }
                cursor = page["first_id"].clone();
            }
            assert_eq!(back, all, "{order}, limit {limit}");
        }
    }
}

#[test]
fn an_empty_page_has_null_cursors_and_no_more() {
    let mut simulation = Simulation::new(Settings { tenant: Tenant::empty(), ..small(1) });
    let answer = get(&mut simulation, 0, "limit=5");
    assert_eq!(&answer.body[..], br#"{"data":[],"has_more":false,"first_id":null,"last_id":null}"#);
}

#[test]
fn ties_are_ordered_by_id_and_pages_break_inside_them() {
    let mut simulation = Simulation::new(Settings { tenant: Tenant::empty(), ..small(1) });
    let now = simulation.start();
    let tie = now - HOUR;
    for number in [9, 3, 7, 1, 5, 8, 2, 6, 4] {
        simulation.add_at("claude_chat_viewed", Place { created: tie, number }, tie);
    }
    let expected: Vec<_> = (1..10).map(|number| Place { created: tie, number }.id()).collect();
    assert_eq!(walk(&mut simulation, now, "&order=asc", 2), expected);

    // Late and tied with the cursor: a lower id lies behind it for ever, a higher one before it.
    let first = page(&mut simulation, now, "limit=4&order=asc");
    simulation.add_at("claude_chat_viewed", Place { created: tie, number: 0 }, now + SECOND);
    simulation.add_at("claude_chat_viewed", Place { created: tie, number: 100 }, now + SECOND);
    let rest = format!("&order=asc&after_id={}", first["last_id"].as_str().unwrap());
    assert_eq!(walk(&mut simulation, now, &rest, 4), expected[4..], "not shown yet");
    let rest = walk(&mut simulation, now + SECOND, &rest, 4);
    assert_eq!(rest.last(), Some(&Place { created: tie, number: 100 }.id()));
    assert!(!rest.contains(&Place { created: tie, number: 0 }.id()));
}

#[test]
fn late_records_appear_behind_a_cursor_that_has_passed() {
    let tenant = Tenant { late_per_mille: 200, quiet_from: Some(small(1).start), ..small(1).tenant };
    let mut simulation = Simulation::new(Settings { tenant, ..small(11) });
    let now = simulation.start();
    let page = page(&mut simulation, now, "limit=5000&order=asc");
    let cursor = page["last_id"].as_str().unwrap();
    let later = now + 3 * HOUR;
    let tail = walk(&mut simulation, later, &format!("&order=asc&after_id={cursor}"), 5_000);
    let followed: BTreeSet<_> = ids(&page).into_iter().chain(tail).collect();
    let truth: BTreeSet<_> = shown(&simulation, later).into_iter().collect();
    assert!(followed.len() < truth.len(), "a tail must miss late records");
    let reread: BTreeSet<_> = walk(&mut simulation, later, "&order=asc", 7).into_iter().collect();
    assert_eq!(reread, truth);
}

#[test]
fn what_can_be_listed_in_the_end_is_the_truth() {
    for (seed, dialect) in [(1, Dialect::August), (2, Dialect::October), (3, Dialect::October)] {
        let base = small(seed);
        let tenant =
            Tenant { odd_per_mille: 100, quiet_from: Some(base.start + 2 * HOUR), ..base.tenant.clone() };
        let own_reads = Some(2 * SECOND);
        let mut simulation = Simulation::new(Settings { tenant, dialect, own_reads, ..base.clone() });
        for minute in 0..200 {
            get(&mut simulation, base.start + minute * 60 * SECOND, "limit=3&order=asc");
        }
        // Staff access is shown up to two days later.
        let end = base.start + 60 * HOUR;
        simulation.settings().own_reads = None;
        let listed = walk(&mut simulation, end, "&order=asc", 11);
        let truth: Vec<_> = simulation.truth().map(|row| row.id).collect();
        assert_eq!(listed, truth);
        let own = simulation.truth().filter(|row| row.activity_type == "compliance_api_accessed");
        assert!(own.count() >= 200);
    }
}

#[test]
fn filters_keep_what_they_say() {
    let mut simulation = Simulation::new(small(21));
    let now = simulation.start();
    let of = |simulation: &Simulation, keep: &dyn Fn(&Truth) -> bool| -> Vec<String> {
        simulation.truth().filter(|row| row.indexed <= now && keep(row)).map(|row| row.id).collect()
    };
    let viewed = of(&simulation, &|row| row.activity_type == "claude_chat_viewed");
    let others = of(&simulation, &|row| row.activity_type != "claude_chat_viewed");
    assert!(!viewed.is_empty() && !others.is_empty());
    assert_eq!(walk(&mut simulation, now, "&order=asc&activity_types[]=claude_chat_viewed", 2), viewed);
    assert_eq!(
        walk(&mut simulation, now, "&order=asc&exclude_activity_types%5B%5D=claude_chat_viewed", 2),
        others
    );
    let (from, until) = (now - 2 * HOUR, now - HOUR);
    let window = of(&simulation, &|row| (from..until).contains(&row.created));
    let spell = |at| crate::clock::rfc3339(at, crate::clock::Precision::Micros, true);
    let query = format!("&order=asc&created_at.gte={}&created_at.lt={}", spell(from), spell(until));
    assert_eq!(walk(&mut simulation, now, &query, 3), window);
    // An actor's filter hides everybody without a user id; an organization's keeps those without one.
    let all = page(&mut simulation, now, "limit=5000");
    let user =
        all["data"].as_array().unwrap().iter().find_map(|row| row["actor"]["user_id"].as_str()).unwrap();
    let of_user = page(&mut simulation, now, &format!("limit=5000&user_ids[]={user}"));
    assert!(of_user["data"].as_array().unwrap().iter().all(|row| row["actor"]["user_id"] == user));
    let organization = simulation.organization().0.to_owned();
    let own = page(&mut simulation, now, &format!("limit=5000&organization_ids[]={organization}"));
    assert_eq!(ids(&own), ids(&all));
}

#[test]
fn a_cursor_belongs_to_its_question_when_strict() {
    for strict in [true, false] {
        let mut simulation = Simulation::new(Settings { strict_cursors: strict, ..small(2) });
        let now = simulation.start();
        let cursor = page(&mut simulation, now, "limit=2&order=asc")["last_id"].clone();
        let cursor = cursor.as_str().unwrap();
        assert_eq!(get(&mut simulation, now, &format!("limit=7&order=asc&after_id={cursor}")).status, 200);
        for other in ["limit=2", "limit=2&order=asc&activity_types[]=claude_chat_viewed"] {
            let status = get(&mut simulation, now, &format!("{other}&after_id={cursor}")).status;
            assert_eq!(status, if strict { 400 } else { 200 }, "{other}");
        }
        // An altered one is none, in either mode.
        let middle = cursor.len() / 2;
        let letter = if &cursor[middle..=middle] == "A" { "B" } else { "A" };
        let altered = format!("{}{letter}{}", &cursor[..middle], &cursor[middle + 1..]);
        let answer = get(&mut simulation, now, &format!("limit=2&order=asc&after_id={altered}"));
        assert_eq!(answer.status, 400);
        assert!(error(&answer).1.contains("pagination cursor"));
    }
}

#[test]
fn every_style_of_cursor_walks() {
    for style in [CursorStyle::Opaque, CursorStyle::RawIds, CursorStyle::Long(2_048)] {
        let mut simulation = Simulation::new(Settings { cursors: style, ..small(4) });
        let now = simulation.start();
        let shown = shown(&simulation, now);
        assert_eq!(walk(&mut simulation, now, "&order=asc", 7), shown, "{style:?}");
        let cursor = page(&mut simulation, now, "limit=1")["last_id"].as_str().unwrap().len();
        assert!(if style == CursorStyle::Long(2_048) { cursor >= 2_048 } else { cursor < 400 });
        // A raw id is a cursor in every style.
        let raw = format!("limit=1&order=asc&after_id={}", shown[0]);
        assert_eq!(ids(&page(&mut simulation, now, &raw)), shown[1..2]);
    }
}

#[test]
fn old_cursors_are_refused_where_they_expire() {
    let mut simulation = Simulation::new(Settings { cursor_lifetime: Some(HOUR), ..small(4) });
    let now = simulation.start();
    let first = page(&mut simulation, now, "limit=1&order=asc");
    let query = format!("limit=1&order=asc&after_id={}", first["last_id"].as_str().unwrap());
    assert_eq!(get(&mut simulation, now + HOUR, &query).status, 200);
    assert_eq!(get(&mut simulation, now + HOUR + 1, &query).status, 400);
}

#[test]
fn the_same_seed_and_requests_give_the_same_bytes() {
    let run = |seed| {
        let mut simulation = Simulation::new(Settings { own_reads: Some(SECOND), ..small(seed) });
        let start = simulation.start();
        (0..40).map(|step| get(&mut simulation, start + step * 300 * SECOND, "limit=9")).collect::<Vec<_>>()
    };
    assert_eq!(run(8), run(8));
    assert_ne!(run(8), run(9));
}

#[test]
fn how_the_clock_is_moved_does_not_change_what_happens() {
    let (mut steps, mut leap) = (Simulation::new(small(8)), Simulation::new(small(8)));
    let start = steps.start();
    (0..300).for_each(|minute| steps.advance(start + minute * 60 * SECOND));
    leap.advance(start + 299 * 60 * SECOND);
    assert!(steps.truth().eq(leap.truth()));
    assert!(steps.count() > Simulation::new(small(8)).count());
}

#[test]
fn a_pool_bounds_what_is_said_and_not_how_often() {
    let tenant = Tenant { pool: 50, people: 20, hourly: 30, history: 12 * HOUR, ..Tenant::default() };
    let mut simulation = Simulation::new(Settings { tenant, ..small(3) });
    let now = simulation.start();
    let listed = walk(&mut simulation, now, "&order=asc", 5_000);
    assert!(listed.len() > 1_000 && listed == shown(&simulation, now));
    let page = page(&mut simulation, now, "limit=5000");
    let actors: BTreeSet<_> =
        page["data"].as_array().unwrap().iter().map(|row| row["actor"].to_string()).collect();
    assert!((10..=50).contains(&actors.len()), "{}", actors.len());
}
