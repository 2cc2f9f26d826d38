//! Every fault, as far as it can be seen without a network.

use super::*;

/// A simulation whose next request meets the fault, and an answer to `query`.
fn meet(fault: Fault, query: &str) -> (Simulation, Answer) {
    let mut simulation = Simulation::new(small(6));
    let now = simulation.start();
    simulation.order(fault).unwrap();
    let answer = get(&mut simulation, now, query);
    (simulation, answer)
}

/// A cursor of the simulation above: it depends on the seed alone.
fn cursor() -> String {
    let mut simulation = Simulation::new(small(6));
    let now = simulation.start();
    page(&mut simulation, now, "limit=2&order=asc")["last_id"].as_str().unwrap().to_owned()
}

#[test]
fn refusals_have_the_status_type_and_text_of_the_table() {
    use FaultKind::*;
    let after = format!("limit=2&order=asc&after_id={}", cursor());
    for (fault, status, kind, fragment) in [
        (Fault::new(RateLimited), 429, "rate_limit_error", ""),
        (Fault::new(Status), 500, "api_error", ""),
        (Fault::status(503), 503, "overloaded_error", ""),
        (Fault::status(504), 504, "timeout_error", ""),
        (Fault::status(529), 529, "overloaded_error", ""),
        (Fault::new(Revoked), 401, "authentication_error", "revoked"),
        (Fault::new(Expired), 401, "authentication_error", "expired"),
        (Fault::new(WrongKind), 401, "authentication_error", "invalid"),
        (Fault::new(MissingScope), 403, "permission_error", "Missing required scopes"),
        (Fault::new(OutOfScope), 403, "permission_error", "outside this API key's scope"),
        (Fault::new(NotEnabled), 400, "invalid_request_error", "is not enabled for this organization"),
        (Fault::new(CursorInvalid), 400, "invalid_request_error", "after_id"),
        (Fault::new(OrderRefused), 400, "invalid_request_error", "Unknown query parameter: 'order'"),
    ] {
        let (mut simulation, answer) = meet(fault.clone(), &after);
        assert_eq!(answer.status, status, "{fault:?}");
        assert_eq!(error(&answer).0, kind, "{fault:?}");
        assert!(error(&answer).1.contains(fragment), "{fault:?}: {:?}", error(&answer));
        assert_eq!(simulation.seen()[0].fault, Some(fault.kind));
        let now = simulation.start();
        assert_eq!(get(&mut simulation, now, &after).status, 200, "{fault:?}: only once");
    }
}

#[test]
fn waits_are_announced_or_not() {
    let (_, answer) = meet(Fault::new(FaultKind::RateLimited), "");
    assert_eq!(answer.find("retry-after"), None);
    let (_, answer) = meet(Fault { retry_after: Some(7), ..Fault::new(FaultKind::RateLimited) }, "");
    assert_eq!(answer.find("retry-after"), Some("7"));
    let (_, answer) = meet(Fault { should_retry: Some(false), ..Fault::status(500) }, "");
    assert_eq!(answer.find("x-should-retry"), Some("false"));
    let (_, answer) = meet(Fault::status(500), "");
    assert_eq!(answer.find("x-should-retry"), None);
    let (_, answer) = meet(Fault::new(FaultKind::Expired), "");
    assert_eq!(answer.find("request-id"), None);
    let (_, answer) = meet(Fault::new(FaultKind::Bare), "");
    assert_eq!(answer.headers.len(), 1, "{:?}", answer.headers);
    let (_, answer) = meet(Fault { seconds: Some(-60), ..Fault::new(FaultKind::Skewed) }, "");
    assert_eq!(answer.find("date"), Some("Tue, 06 Oct 2026 11:59:00 GMT"));
}

#[test]
fn another_consumer_starves_everybody_until_the_window_ends() {
    let mut simulation = Simulation::new(Settings { limits: Limits::default(), ..small(6) });
    let now = simulation.start();
    simulation.order(Fault::new(FaultKind::Starved)).unwrap();
    assert_eq!(get(&mut simulation, now, "").find("retry-after"), Some("60"));
    assert_eq!(get(&mut simulation, now + 30 * SECOND, "").find("retry-after"), Some("30"));
    assert_eq!(get(&mut simulation, now + 60 * SECOND, "").status, 200);
}

#[test]
fn bodies_are_damaged_as_ordered() {
    let whole = meet(Fault::new(FaultKind::RateLimited).after(9), "limit=50").1;
    let damaged = |kind| meet(Fault::new(kind), "limit=50").1;
    let truncated = damaged(FaultKind::Truncated);
    assert!(whole.body.starts_with(&truncated.body) && truncated.body.len() * 2 <= whole.body.len());
    assert!(damaged(FaultKind::Empty).body.is_empty());
    let malformed = damaged(FaultKind::Malformed);
    assert!(malformed.status == 200 && malformed.json().is_null());
    let html = damaged(FaultKind::Html);
    assert!(html.status == 502 && html.find("content-type") == Some("text/html"));
    let (_, html) = meet(Fault { status: Some(200), ..Fault::new(FaultKind::Html) }, "");
    assert!(html.status == 200 && html.json().is_null());
    let deliveries = [
        (FaultKind::Reset, Delivery::Reset),
        (FaultKind::ResetAfter, Delivery::Reset),
        (FaultKind::Stall, Delivery::Stall),
        (FaultKind::Drip, Delivery::Drip { bytes: 1_024, pause_millis: 50 }),
        (FaultKind::Cut, Delivery::Cut(whole.body.len() / 2)),
        (FaultKind::Abort, Delivery::Abort(whole.body.len() / 2)),
    ];
    for (kind, delivery) in deliveries {
        assert_eq!(damaged(kind).delivery, delivery);
    }
    let huge = meet(Fault { bytes: Some(1 << 20), ..Fault::new(FaultKind::Huge) }, "limit=5").1;
    assert!(huge.body.len() > 1 << 20 && huge.json()["data"].as_array().unwrap().len() == 5);
}

#[test]
fn compressed_bodies_read_back_and_can_be_cut() {
    use std::io::Read as _;
    let unpack = |bytes: &[u8]| {
        let mut body = Vec::new();
        flate2::read::GzDecoder::new(bytes).read_to_end(&mut body).map(|_| body)
    };
    let mut simulation = Simulation::new(small(6));
    let now = simulation.start();
    let request = Request::get(&format!("{ACTIVITIES_PATH}?limit=50")).key(simulation.key("full"));
    let plain = simulation.answer(&request, now);
    let packed = simulation.answer(&request.clone().header("Accept-Encoding", "br, gzip"), now);
    assert_eq!((plain.find("content-encoding"), packed.find("content-encoding")), (None, Some("gzip")));
    assert_eq!(unpack(&packed.body).unwrap(), plain.body);
    simulation.order(Fault::new(FaultKind::GzipCut)).unwrap();
    assert_eq!(simulation.answer(&request, now).body, plain.body, "left alone: it takes no gzip");
    let cut = simulation.answer(&request.header("Accept-Encoding", "gzip"), now);
    assert!(unpack(&cut.body).is_err());
}

#[test]
fn one_record_of_a_page_cannot_be_decoded_and_the_others_can() {
    let (mut simulation, answer) = meet(Fault::new(FaultKind::Undecodable), "limit=5");
    assert!(answer.json().is_null());
    let mended = String::from_utf8(answer.body.to_vec()).unwrap().replace(r#","note":"\x""#, "");
    let now = simulation.start();
    assert_eq!(mended, page(&mut simulation, now, "limit=5").to_string_as_sent(&mut simulation, now));
}

trait AsSent {
    fn to_string_as_sent(&self, simulation: &mut Simulation, now: Micros) -> String;
}

impl AsSent for Value {
    /// The same page as text; a value has lost the order of its keys.
    fn to_string_as_sent(&self, simulation: &mut Simulation, now: Micros) -> String {
        let answer = get(simulation, now, "limit=5");
        assert_eq!(&answer.json(), self);
        String::from_utf8(answer.body.to_vec()).unwrap()
    }
}

#[test]
fn pages_lie_about_where_they_end() {
    let cursor = cursor();
    let after = format!("limit=5000&order=asc&after_id={cursor}");
    let page = |kind, query: &str| meet(Fault::new(kind), query).1.json();
    let repeated = page(FaultKind::CursorRepeated, &after);
    assert_eq!((&repeated["last_id"], &repeated["has_more"]), (&Value::from(cursor), &Value::from(true)));
    let null = page(FaultKind::CursorNull, "limit=5000");
    assert_eq!((&null["last_id"], &null["has_more"]), (&Value::Null, &Value::from(true)));
    assert!(page(FaultKind::HasMoreMissing, "limit=5000").get("has_more").is_none());
    let mut honest = Simulation::new(small(6));
    let now = honest.start();
    let first = ids(&super::page(&mut honest, now, "limit=2&order=asc"));
    assert_eq!(ids(&page(FaultKind::Duplicate, &after))[0], first[1]);
}

#[test]
fn the_same_ids_come_with_another_content() {
    let rest = r#","type":"claude_artifact_viewed","title":"Budget"}"#;
    let mut simulation = Simulation::new(Settings { tenant: Tenant::empty(), ..small(1) });
    let now = simulation.start();
    let id = simulation.add_raw(rest, Place { created: now, number: 3 }, now);
    simulation.order(Fault::new(FaultKind::Changed)).unwrap();
    let (changed, usual) = (page(&mut simulation, now, ""), page(&mut simulation, now, ""));
    assert_eq!((ids(&changed), ids(&usual)), (vec![id.clone()], vec![id]));
    assert_eq!(
        (&changed["data"][0]["title"], &usual["data"][0]["title"]),
        (&Value::Null, &Value::from("Budget"))
    );
}

#[test]
fn what_happens_while_recording_is_off_is_never_shown() {
    let mut simulation = Simulation::new(Settings { own_reads: Some(0), ..small(6) });
    let start = simulation.start();
    let off = Fault {
        from: Some(When::Seconds(0)),
        until: Some(When::Seconds(3 * 3_600)),
        count: 0,
        ..Fault::new(FaultKind::NotEnabled)
    };
    simulation.order(off).unwrap();
    assert_eq!(get(&mut simulation, start + SECOND, "").status, 400);
    assert_eq!(get(&mut simulation, start + 3 * HOUR, "").status, 200);
    simulation.advance(start + 5 * HOUR);
    let meanwhile: Vec<_> =
        simulation.truth().filter(|row| (start + 1..start + 3 * HOUR).contains(&row.occurred)).collect();
    assert_eq!(meanwhile, []);
    let switches =
        simulation.truth().filter(|row| row.activity_type == "org_compliance_api_settings_updated");
    assert!(switches.count() >= 2);
    assert!(simulation.truth().any(|row| row.occurred > start + 3 * HOUR));
}

#[test]
fn what_was_lost_before_the_key_was_known_leaves_no_trace_and_what_was_lost_after_does() {
    for (kind, recorded) in [
        (FaultKind::Reset, 0),
        (FaultKind::Html, 0),
        (FaultKind::Revoked, 0),
        (FaultKind::ResetAfter, 1),
        (FaultKind::Status, 1),
    ] {
        let mut simulation =
            Simulation::new(Settings { tenant: Tenant::empty(), own_reads: Some(0), ..small(1) });
        let now = simulation.start();
        simulation.order(Fault::new(kind)).unwrap();
        get(&mut simulation, now, "");
        assert_eq!(simulation.count(), recorded, "{kind:?}");
    }
}

#[test]
fn a_burst_of_refusals_says_that_nothing_is_left_and_until_when() {
    let mut simulation = Simulation::new(Settings { limits: Limits::default(), ..small(6) });
    let now = simulation.start();
    let fault = Fault { retry_after: Some(1), ..Fault::new(FaultKind::RateLimited) };
    simulation.order(fault.times(3)).unwrap();
    for _ in 0..3 {
        let answer = get(&mut simulation, now, "");
        assert_eq!((answer.status, answer.find("retry-after")), (429, Some("1")));
        assert_eq!(answer.find("anthropic-ratelimit-requests-remaining"), Some("0"));
        assert_eq!(answer.find("anthropic-ratelimit-requests-reset"), Some("2026-10-06T12:00:01Z"));
        assert_eq!(answer.find("x-should-retry"), Some("true"));
    }
    assert_eq!(get(&mut simulation, now, "").status, 200);
    assert_eq!(simulation.broken_waits().count(), 3, "none of them waited");
}

#[test]
fn another_consumer_may_take_most_of_every_window() {
    let limits = Limits { requests: 10, others: 8, ..Limits::default() };
    let mut simulation = Simulation::new(Settings { limits, ..small(6) });
    let now = simulation.start();
    for window in [0, 60] {
        let statuses =
            [0, 1, 2].map(|second| get(&mut simulation, now + (window + second) * SECOND, "").status);
        assert_eq!(statuses, [200, 200, 429]);
    }
}

#[test]
fn one_page_fails_for_good_and_all_others_do_not() {
    let mut simulation = Simulation::new(small(6));
    let now = simulation.start();
    let page = Fault {
        query: Some(format!("after_id={}", cursor())),
        should_retry: Some(false),
        count: 0,
        ..Fault::status(500)
    };
    simulation.order(page).unwrap();
    assert_eq!(get(&mut simulation, now, "limit=2&order=asc").status, 200);
    for _ in 0..3 {
        let answer = get(&mut simulation, now, &format!("limit=2&order=asc&after_id={}", cursor()));
        assert_eq!((answer.status, answer.find("x-should-retry")), (500, Some("false")));
    }
}

#[test]
fn a_page_of_64_mebibytes_is_possible() {
    let huge = meet(Fault::new(FaultKind::Huge), "limit=2").1;
    assert!(huge.body.len() >= 64 << 20, "{}", huge.body.len());
    assert!(huge.body.ends_with(b"}"));
}

#[test]
fn the_date_alone_may_be_missing() {
    let (_, answer) = meet(Fault::new(FaultKind::NoDate), "");
    assert!(answer.find("date").is_none() && answer.find("request-id").is_some());
    let (_, answer) = meet(Fault::new(FaultKind::Refused), "");
    assert_eq!(answer.delivery, Delivery::Refuse(1_000));
}

#[test]
fn local_sessions_have_faults_of_their_own_each_on_its_routes() {
    const LIST: &str = "/apps/sessions/local";
    let mut simulation =
        Simulation::new(Settings { tenant: Tenant { history: 200 * HOUR, ..small(6).tenant }, ..small(6) });
    let now = simulation.start();
    let id = asked(&mut simulation, now, LIST)["data"][0]["id"].as_str().unwrap().to_owned();
    let (one, messages) = (format!("{LIST}/{id}"), format!("{LIST}/{id}/messages"));
    for (kind, status, fragment, met) in [
        (FaultKind::LocalListBusy, 503, "index is temporarily unavailable", [true, false, false]),
        (
            FaultKind::LocalContentBusy,
            503,
            "Captured content is temporarily unavailable",
            [false, false, true],
        ),
        (FaultKind::LocalRetention, 503, "retention overrides", [true, true, true]),
        (FaultKind::LocalRetention, 503, "Try again later", [true, true, true]),
        (FaultKind::LocalMissing, 404, "Local sessions are not available", [true, true, true]),
        (FaultKind::LocalTooLarge, 400, "too large to read", [false, false, true]),
    ] {
        for (target, met) in [LIST, &one, &messages].into_iter().zip(met) {
            simulation.clear_faults();
            simulation.order(Fault::new(kind)).unwrap();
            assert_eq!(get(&mut simulation, now, "").status, 200, "not the feed's");
            let answer = ask(&mut simulation, now, target);
            assert_eq!(answer.status, if met { status } else { 200 }, "{kind:?} {target}");
            if met {
                assert!(error(&answer).1.contains(fragment), "{kind:?}: {:?}", error(&answer));
            }
        }
    }
}

#[test]
fn pages_by_tokens_lie_about_where_they_end_too() {
    let mut simulation = Simulation::new(small(6));
    let now = simulation.start();
    let target = format!("/organizations/{}/users?limit=2", simulation.organization().1);
    let first = asked(&mut simulation, now, &target);
    let token = first["next_page"].as_str().unwrap().to_owned();
    let second = format!("{target}&page={token}");
    let honest = asked(&mut simulation, now, &second);
    let mut meet = |kind, target: &str| {
        simulation.order(Fault::new(kind)).unwrap();
        ask(&mut simulation, now, target)
    };
    let repeated = meet(FaultKind::CursorRepeated, &second).json();
    assert_eq!(
        (&repeated["next_page"], &repeated["has_more"]),
        (&Value::from(token.as_str()), &Value::from(true))
    );
    let null = meet(FaultKind::CursorNull, &second).json();
    assert_eq!((&null["next_page"], &null["has_more"]), (&Value::Null, &Value::from(true)));
    assert!(meet(FaultKind::HasMoreMissing, &second).json().get("has_more").is_none());
    assert_eq!(meet(FaultKind::Duplicate, &second).json()["data"][0], first["data"][1]);
    assert!(error(&meet(FaultKind::CursorExpired, &second)).1.contains("cursor has expired"));
    assert!(error(&meet(FaultKind::CursorInvalid, &second)).1.contains("not a valid cursor"));
    // An empty page goes on where it stood, at the beginning too.
    for (target, follows) in [(&target, &first), (&second, &honest)] {
        let empty = meet(FaultKind::EmptyPage, target).json();
        assert_eq!((&empty["data"], &empty["has_more"]), (&Value::Array(Vec::new()), &Value::from(true)));
        let next = format!(
            "/organizations/{}",
            target.trim_start_matches("/organizations/").split('?').next().unwrap()
        );
        let next = format!("{next}?limit=2&page={}", empty["next_page"].as_str().unwrap());
        // A fault that fits nothing here leaves the answer alone.
        assert_eq!(meet(FaultKind::OrderRefused, &next).json()["data"], follows["data"]);
    }
}

#[test]
fn chats_lie_about_where_they_end_as_the_feed_does() {
    let mut simulation = Simulation::new(small(6));
    let now = simulation.start();
    let first = asked(&mut simulation, now, "/apps/chats?limit=2");
    let cursor = first["last_id"].as_str().unwrap().to_owned();
    let second = format!("/apps/chats?limit=2&after_id={cursor}");
    let mut meet = |kind, target: &str| {
        simulation.order(Fault::new(kind)).unwrap();
        ask(&mut simulation, now, target).json()
    };
    let repeated = meet(FaultKind::CursorRepeated, &second);
    assert_eq!((&repeated["last_id"], &repeated["has_more"]), (&Value::from(cursor), &Value::from(true)));
    let null = meet(FaultKind::CursorNull, &second);
    assert_eq!((&null["last_id"], &null["has_more"]), (&Value::Null, &Value::from(true)));
    assert!(meet(FaultKind::HasMoreMissing, "/apps/chats").get("has_more").is_none());
    assert_eq!(meet(FaultKind::Duplicate, &second)["data"][0], first["data"][1]);
}
