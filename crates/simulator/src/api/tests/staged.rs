//! What a script or the control route stages: events with three times, modes, shapes; and the edges of days.

use serde_json::json;

use super::*;

#[test]
fn an_event_happens_says_so_and_is_shown_at_three_times() {
    let text = "[[activity]]\ntype = \"claude_chat_created\"\noccurred = 10\ncreated = 20\nindexed = 3600\nfields = { claude_chat_id = \"c\" }\n";
    let scenario = read_scenario(text).unwrap();
    let mut simulation = told(small(1), &[]);
    let start = simulation.start();
    simulation.stage(&scenario, start).unwrap();
    let truth = simulation.truth().next().unwrap();
    assert_eq!(
        [truth.occurred, truth.created, truth.indexed].map(|at| (at - start) / SECOND),
        [10, 20, 3_600]
    );
    assert_eq!(ids(&page(&mut simulation, start + HOUR - 1, "")), [] as [String; 0]);
    let row = page(&mut simulation, start + HOUR, "")["data"][0].clone();
    assert_eq!((&row["claude_chat_id"], &row["id"]), (&json!("c"), &json!(truth.id)));
    assert!(row["created_at"].as_str().unwrap().starts_with("2026-10-06T12:00:20"));
}

#[test]
fn events_tie_with_a_record_on_either_side_and_more_of_them_than_a_page_holds() {
    let mut simulation = told(small(1), &[]);
    let start = simulation.start();
    let first = simulation.tell(&event("user_logged_out", 0, json!({})), start).unwrap().remove(0);
    for (beside, count) in [(Beside::Before, 3), (Beside::After, 4)] {
        let tied = Event { tied_with: Some(first.clone()), beside, count, ..Event::new("user_logged_out") };
        simulation.tell(&tied, start).unwrap();
    }
    let all = walk(&mut simulation, start, "&order=asc", 2);
    assert_eq!((all.len(), all.iter().position(|id| *id == first)), (8, Some(3)));
    assert_eq!(all, walk(&mut simulation, start, "&order=asc", 5_000));
    let times: std::collections::BTreeSet<_> = simulation.truth().map(|truth| truth.created).collect();
    assert_eq!(times.len(), 1);
    let lost = Event { tied_with: Some("activity_01x".into()), ..Event::new("user_logged_out") };
    assert!(simulation.tell(&lost, start).unwrap_err().contains("activity_01x"));
}

#[test]
fn a_raw_event_may_be_damaged() {
    let mut simulation = told(small(1), &[]);
    let start = simulation.start();
    let raw = Some(r#","type":"user_logged_out","note":"\x"}"#.to_owned());
    simulation.tell(&Event { raw, ..Event::new("user_logged_out") }, start).unwrap();
    assert!(get(&mut simulation, start, "").json().is_null());
}

#[test]
fn modes_of_a_script_hold_from_the_start() {
    let mut simulation = told(small(1), &[event("user_logged_out", 0, json!({}))]);
    let start = simulation.start();
    let text = "{\"settings\":{\"cursors\":\"raw_ids\",\"requests\":1,\"retry_margin\":5,\"date\":false}}\n{\"kind\":\"status\"}";
    simulation.stage(&read_scenario(text).unwrap(), start).unwrap();
    assert_eq!(get(&mut simulation, start, "").status, 500, "and its faults");
    let refused = get(&mut simulation, start, "");
    assert_eq!((refused.find("retry-after"), refused.find("date")), (Some("65"), None));
    let row = page(&mut simulation, start + 60 * SECOND, "");
    assert_eq!(row["last_id"], row["data"][0]["id"]);
}

#[test]
fn bounds_hold_at_the_edges_of_days_also_where_clocks_are_changed() {
    // 25 October 2026 has 25 hours in Europe, 1 November in America; in UTC all days are alike.
    for day in [(2026, 10, 7), (2026, 10, 25), (2026, 11, 1), (2027, 1, 1)] {
        let midnight = crate::clock::instant(day, 0, 0, 0);
        let mut simulation = told(small(1), &[]);
        let places = [-1, 0, 1].map(|off| Place { created: midnight + off, number: 9 });
        let ids = places.map(|place| simulation.add_at("user_logged_out", place, midnight));
        let at = crate::clock::rfc3339(midnight, crate::clock::Precision::Seconds, true);
        let now = midnight + HOUR;
        for (bound, expected) in
            [("gte", &ids[1..]), ("gt", &ids[2..]), ("lt", &ids[..1]), ("lte", &ids[..2])]
        {
            assert_eq!(
                walk(&mut simulation, now, &format!("&order=asc&created_at.{bound}={at}"), 5),
                expected,
                "{bound} {at}"
            );
        }
    }
}

#[test]
fn one_record_of_a_page_is_bent_as_ordered_on_every_route() {
    let events =
        [0, 1, 2].map(|at| event("claude_chat_created", at, json!({"claude_chat_id": at.to_string()})));
    for shape in Shape::ALL {
        for target in ["/activities", "/apps/chats"] {
            let mut simulation = told(small(1), &events);
            let now = simulation.start() + HOUR;
            let whole = ask(&mut simulation, now, target).body;
            let fault = Fault { shape: Some(shape), ..Fault::new(FaultKind::Shape) };
            simulation.order(fault).unwrap();
            let bent = ask(&mut simulation, now, target);
            let text = String::from_utf8(bent.body.to_vec()).unwrap();
            let ends = text.matches("has_more").count();
            assert!(bent.status == 200 && ends == 1, "{shape:?} {target}");
            if !matches!(shape, Shape::Microseconds | Shape::NoFraction | Shape::Milliseconds | Shape::Offset)
            {
                assert_ne!(bent.body, whole, "{shape:?} {target}");
            }
            assert_eq!(ask(&mut simulation, now, target).body, whole, "only once");
        }
    }
    let mut simulation = told(small(1), &events);
    let now = simulation.start() + HOUR;
    simulation.order(Fault::new(FaultKind::Shape)).unwrap();
    let (bent, whole) = (get(&mut simulation, now, "").body, get(&mut simulation, now, "").body);
    assert_ne!(bent, whole, "by chance");
}

#[test]
fn the_busiest_minute_is_known() {
    let mut simulation = told(small(1), &[]);
    let start = simulation.start();
    for second in [0, 1, 30, 59, 61, 200] {
        get(&mut simulation, start + second * SECOND, "");
    }
    simulation.answer(&Request::get(ACTIVITIES_PATH), start + 200 * SECOND);
    assert_eq!((simulation.busiest(60 * SECOND), simulation.busiest(HOUR)), (4, 6));
}
