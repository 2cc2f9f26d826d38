//! Keys, scopes, budgets, dialects, own records.

use super::*;

fn with_key(simulation: &mut Simulation, key: Option<&str>) -> Answer {
    let request = Request::get(&format!("{ACTIVITIES_PATH}?limit=1"));
    let request = match key {
        Some(name) => request.key(simulation.key(name)),
        None => request,
    };
    let now = simulation.start();
    simulation.answer(&request, now)
}

#[test]
fn every_key_opens_what_it_opens_in_both_dialects() {
    for (key, august, october) in [
        (Some("full"), (200, ""), (200, "")),
        (Some("activities"), (200, ""), (200, "")),
        (Some("audit"), (200, ""), (200, "")),
        (Some("admin"), (200, ""), (200, "")),
        (Some("user_data"), (403, "Needed: "), (403, "Needed one of: ")),
        (Some("org_data"), (403, "Missing required scopes"), (403, "Missing required scopes")),
        (Some("early_admin"), (403, "Missing required scopes"), (403, "Missing required scopes")),
        (Some("revoked"), (401, "revoked"), (401, "deactivated")),
        (Some("expired"), (401, "expired"), (401, "expired")),
        (Some("claude"), (401, "invalid"), (404, "Not found")),
        (Some("no such key"), (401, "invalid"), (401, "invalid")),
        (None, (401, "required"), (404, "Not found")),
    ] {
        for (dialect, (status, fragment)) in [(Dialect::August, august), (Dialect::October, october)] {
            let mut simulation = Simulation::new(Settings { dialect, ..small(1) });
            let answer = with_key(&mut simulation, key);
            assert_eq!(answer.status, status, "{key:?} {dialect:?}");
            assert!(error(&answer).1.contains(fragment), "{key:?} {dialect:?}: {:?}", error(&answer));
        }
    }
}

#[test]
fn an_admin_key_opens_the_feed_alone_whatever_its_scopes() {
    let mut simulation = Simulation::new(small(1));
    let secret = simulation.add_key("mighty", KeyKind::Admin, &[ORG_AUDIT], &[]);
    let now = simulation.start();
    let mut status = |path: &str| simulation.answer(&Request::get(path).key(&secret), now).status;
    assert_eq!((status(ACTIVITIES_PATH), status("/v1/compliance/organizations")), (200, 403));
}

#[test]
fn a_key_of_another_organization_does_not_reach_this_one() {
    let mut simulation = Simulation::new(small(1));
    let secret = simulation.add_key("foreign", KeyKind::Compliance, &[ACTIVITIES], &["org_01elsewhere"]);
    let target = format!("{ACTIVITIES_PATH}?organization_ids[]={}", simulation.organization().0);
    assert_eq!(simulation.answer(&Request::get(&target).key(&secret), simulation.start()).status, 403);
}

#[test]
fn a_bearer_token_is_a_key_too() {
    let mut simulation = Simulation::new(small(1));
    let bearer = format!("Bearer {}", simulation.key("full"));
    let request = Request::get(ACTIVITIES_PATH).header("Authorization", &bearer);
    assert_eq!(simulation.answer(&request, simulation.start()).status, 200);
}

#[test]
fn the_dialects_differ_where_the_vendor_changed_its_mind() {
    let mut august = Simulation::new(small(1));
    let mut october = Simulation::new(Settings { dialect: Dialect::October, ..small(1) });
    let now = august.start();
    assert_eq!(get(&mut august, now, "limt=5").status, 200, "ignored");
    let refused = get(&mut october, now, "limt=5");
    assert_eq!(refused.status, 400);
    assert_eq!(error(&refused).1, "Unknown query parameter: 'limt'. Did you mean 'limit'?");
    assert_eq!(refused.json()["request_id"], refused.find("request-id").unwrap());
    let refused = get(&mut august, now, "limit=0");
    assert_eq!(error(&refused).0, "invalid_request_error");
    assert!(refused.json().get("request_id").is_none() && refused.json().get("type").is_none());
}

#[test]
fn names_go_retroactively_in_the_october_dialect() {
    let rest = r#","type":"claude_file_uploaded","filename":"plan.pdf"}"#;
    for (dialect, from, name) in [
        (Dialect::August, None, Some("plan.pdf")),
        (Dialect::October, None, None),
        (Dialect::October, Some(Micros::MAX), Some("plan.pdf")),
    ] {
        let tenant = Tenant::empty();
        let mut simulation = Simulation::new(Settings { dialect, redacted_from: from, tenant, ..small(1) });
        let now = simulation.start();
        simulation.add_raw(rest, Place { created: now - HOUR, number: 1 }, now - HOUR);
        let page = page(&mut simulation, now, "limit=1");
        assert_eq!(page["data"][0]["filename"].as_str(), name, "{dialect:?}");
        assert!(page["data"][0].get("filename").is_some());
    }
}

#[test]
fn an_organization_out_of_reach_is_forbidden() {
    let mut simulation = Simulation::new(small(1));
    let now = simulation.start();
    let answer = get(&mut simulation, now, "organization_ids[]=org_01elsewhere");
    assert_eq!(answer.status, 403);
    assert!(error(&answer).1.contains("outside this API key's scope"));
}

#[test]
fn one_budget_is_shared_by_all_keys_and_strangers_do_not_draw_on_it() {
    let limits = Limits { requests: 3, margin_seconds: 2, ..Limits::default() };
    let mut simulation = Simulation::new(Settings { limits, ..small(1) });
    for _ in 0..10 {
        assert_eq!(with_key(&mut simulation, None).status, 401);
    }
    assert_eq!(
        with_key(&mut simulation, Some("full")).find("anthropic-ratelimit-requests-remaining"),
        Some("2")
    );
    assert_eq!(with_key(&mut simulation, Some("org_data")).status, 403, "costs one");
    assert_eq!(
        with_key(&mut simulation, Some("admin")).find("anthropic-ratelimit-requests-remaining"),
        Some("0")
    );
    let refused = with_key(&mut simulation, Some("activities"));
    assert_eq!((refused.status, refused.find("retry-after")), (429, Some("62")));
    assert_eq!(error(&refused).0, "rate_limit_error");
    let start = simulation.start();
    assert_eq!(get(&mut simulation, start + 59 * SECOND, "").status, 429);
    assert_eq!(get(&mut simulation, start + 60 * SECOND, "").status, 200);
    assert_eq!(simulation.broken_waits().count(), 2, "both came before the 62 seconds were over");
}

#[test]
fn a_request_leaves_a_record_with_its_own_id() {
    let mut simulation =
        Simulation::new(Settings { own_reads: Some(5 * SECOND), tenant: Tenant::empty(), ..small(1) });
    let now = simulation.start();
    let answer = get(&mut simulation, now, "limit=1&order=asc");
    assert_eq!(page(&mut simulation, now + SECOND, "limit=9")["data"].as_array().unwrap().len(), 0);
    let page = page(&mut simulation, now + 5 * SECOND, "limit=9");
    let row = &page["data"][0];
    assert_eq!(row["type"], "compliance_api_accessed");
    assert_eq!(row["request_id"], answer.find("request-id").unwrap());
    assert_eq!(row["url"], "https://api.anthropic.com/v1/compliance/activities?limit=1&order=asc");
    assert_eq!((&row["status_code"], &row["organization_id"]), (&Value::from(200), &Value::Null));
    assert!(!page.to_string().contains("sk-ant-"), "a secret in the feed");
}

#[test]
fn headers_follow_the_virtual_clock_and_can_be_absent() {
    let mut simulation = Simulation::new(small(1));
    let now = simulation.start();
    assert_eq!(get(&mut simulation, now, "").find("date"), Some("Tue, 06 Oct 2026 12:00:00 GMT"));
    simulation.settings().date = Some(-90 * SECOND);
    assert_eq!(get(&mut simulation, now, "").find("date"), Some("Tue, 06 Oct 2026 11:58:30 GMT"));
    simulation.settings().date = None;
    simulation.settings().limits.headers = false;
    let bare = get(&mut simulation, now, "");
    assert!(bare.find("date").is_none() && bare.find("anthropic-ratelimit-requests-limit").is_none());
    assert!(bare.find("request-id").unwrap().starts_with("req_01"));
}

#[test]
fn cursors_survive_a_change_of_keys() {
    let mut simulation = Simulation::new(small(1));
    let now = simulation.start();
    let first = page(&mut simulation, now, "limit=1&order=asc");
    simulation.set_key("activities", KeyState::Revoked);
    let target =
        format!("{ACTIVITIES_PATH}?limit=1&order=asc&after_id={}", first["last_id"].as_str().unwrap());
    let old = Request::get(&target).key(simulation.key("activities"));
    let new = Request::get(&target).key(simulation.key("successor"));
    assert_eq!((simulation.answer(&old, now).status, simulation.answer(&new, now).status), (401, 200));
}

#[test]
fn the_directory_pages_by_tokens_and_has_scopes_of_its_own() {
    // Without stories nobody has left.
    let tenant = Tenant { stories: false, ..small(1).tenant };
    let mut simulation = Simulation::new(Settings { dialect: Dialect::October, tenant, ..small(1) });
    let now = simulation.start();
    let uuid = simulation.organization().1.to_owned();
    let users = format!("/v1/compliance/organizations/{uuid}/users");
    let mut ask = |key: &str, target: &str| {
        let request = Request::get(target).key(simulation.key(key));
        simulation.answer(&request, now)
    };
    let organizations = ask("org_data", "/v1/compliance/organizations").json();
    assert_eq!(organizations["data"][0]["uuid"], uuid);
    assert_eq!(
        (&organizations["has_more"], &organizations["next_page"]),
        (&Value::from(false), &Value::Null)
    );
    for (key, target, status) in [
        ("audit", users.as_str(), 200),
        ("org_data", users.as_str(), 403),
        ("admin", users.as_str(), 403),
        ("user_data", "/v1/compliance/organizations", 403),
        ("full", "/v1/compliance/organizations/9101/users", 404),
        ("full", "/v1/compliance/weather", 404),
    ] {
        assert_eq!(ask(key, target).status, status, "{key} {target}");
    }
    let (mut met, mut next) = (Vec::new(), String::new());
    loop {
        let page = ask("user_data", &format!("{users}?limit=4{next}")).json();
        met.extend(
            page["data"].as_array().unwrap().iter().map(|user| user["id"].as_str().unwrap().to_owned()),
        );
        let Some(token) = page["next_page"].as_str() else { break };
        next = format!("&page={token}");
    }
    assert_eq!(met.len(), 6);
    let own = format!("/v1/compliance/organizations?{}", &next[1..]);
    assert_eq!(ask("full", &own).status, 400, "a token of another route");
}
