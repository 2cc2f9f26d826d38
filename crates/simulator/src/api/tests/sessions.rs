//! Sessions, local and remote, and walks through them.

use std::collections::BTreeSet;

use serde_json::json;

use super::*;

const DAY: Micros = 24 * HOUR;
const LOCAL: &str = "/apps/sessions/local";
const REMOTE: &str = "/apps/sessions/remote";

/// A tenant of twelve people with ten days behind it, in which nothing else happens.
fn lived(dialect: Dialect) -> Simulation {
    let tenant = Tenant { people: 12, hourly: 0, stories: false, history: 10 * DAY, ..Tenant::default() };
    let limits = Limits { requests: 0, remote: 0, ..Limits::default() };
    Simulation::new(Settings { dialect, tenant, limits, ..small(5) })
}

/// A session with at least so many messages.
fn long(simulation: &mut Simulation, now: Micros, least: usize) -> String {
    let listed = rows(&pages(simulation, now, LOCAL, 500));
    let ids = texts(&listed, "id");
    let whole =
        |id: &String| rows(&pages(simulation, now, &format!("{LOCAL}/{id}/messages"), 1_000)).len() >= least;
    ids.into_iter().find(whole).expect("a session that long")
}

#[test]
fn local_sessions_are_listed_newest_first_without_has_more() {
    let mut simulation = lived(Dialect::August);
    let now = simulation.start();
    let all = pages(&mut simulation, now, LOCAL, 500);
    assert_eq!(all.len(), 1);
    assert!(all[0].get("has_more").is_none() && all[0]["next_page"].is_null());
    let listed = rows(&all);
    assert!(listed.len() > 20, "{}", listed.len());
    let times = texts(&listed, "created_at");
    assert!(times.windows(2).all(|pair| pair[0] >= pair[1]));
    for limit in [1, 2, 7] {
        assert_eq!(rows(&pages(&mut simulation, now, LOCAL, limit)), listed, "limit {limit}");
    }
    let surfaces: BTreeSet<_> = listed.iter().map(|session| session["product_surface"].to_string()).collect();
    assert_eq!(surfaces, ["\"claude_code\"", "\"cowork\"", "null"].map(str::to_owned).into());
    let one = &listed[3];
    let retrieved = asked(&mut simulation, now, &format!("{LOCAL}/{}", one["id"].as_str().unwrap()));
    assert_eq!(&retrieved, one);
    let messages = asked(&mut simulation, now, &format!("{LOCAL}/{}/messages", one["id"].as_str().unwrap()));
    assert!(
        one["user"]["email_address"].is_string() && messages["session"]["user"]["email_address"].is_null()
    );
}

#[test]
fn local_lists_are_filtered_as_their_edition_can() {
    let mut simulation = lived(Dialect::October);
    let now = simulation.start();
    let listed = rows(&pages(&mut simulation, now, LOCAL, 500));
    let known = |session: &Value| session["updated_at"].is_string() && session["truncated"].is_boolean();
    assert!(listed.iter().all(known));
    let edge = "2026-10-04T00:00:00Z";
    let kept = |name: &str| texts(&listed, name).iter().filter(|time| time.as_str() >= edge).count();
    for name in ["created_at", "updated_at"] {
        let part = rows(&pages(&mut simulation, now, &format!("{LOCAL}?{name}.gte={edge}"), 500));
        assert_eq!(part.len(), kept(name), "{name}");
    }
    assert!(kept("updated_at") > kept("created_at"), "some have grown since");
    let mut october = |query: &str| refused(&mut simulation, now, &format!("{LOCAL}?{query}"));
    assert!(october(&format!("created_at.gte={edge}&created_at.lt={edge}")).1.contains("strictly after"));
    assert!(october("created_at.gte=2026-10-04T00:00:00").1.contains("offset"));
    assert!(october("limit=501").1.contains("500"));
    assert!(october("created_at.gt=2026-10-04T00:00:00Z").1.contains("Unknown query parameter"));
    let mut simulation = lived(Dialect::August);
    let ignored = rows(&pages(&mut simulation, now, &format!("{LOCAL}?updated_at.gte={edge}"), 500));
    assert_eq!(ignored.len(), listed.len(), "the older edition does not know it");
}

#[test]
fn a_transcript_is_walked_in_either_order_and_keeps_the_servers() {
    let mut simulation = lived(Dialect::August);
    let now = simulation.start();
    let id = long(&mut simulation, now, 60);
    let target = format!("{LOCAL}/{id}/messages");
    let all = rows(&pages(&mut simulation, now, &target, 1_000));
    let times = texts(&all, "created_at");
    assert!(times.is_sorted() && times.windows(2).any(|pair| pair[0] == pair[1]), "calls share a time");
    let mut back = all.clone();
    back.reverse();
    for limit in [1, 7, 1_000] {
        assert_eq!(rows(&pages(&mut simulation, now, &target, limit)), all);
        assert_eq!(rows(&pages(&mut simulation, now, &format!("{target}?order=desc"), limit)), back);
    }
    let kinds: BTreeSet<_> = all.iter().map(|message| message["provenance"]["type"].to_string()).collect();
    assert!(
        kinds.contains("null")
            && kinds.contains("\"client_asserted\"")
            && kinds.contains("\"synthetic_marker\"")
    );
    let verified =
        all.iter().filter(|message| message["role"] == "assistant" && message["provenance"].is_null());
    assert!(verified.count() < all.iter().filter(|message| message["role"] == "assistant").count());
}

#[test]
fn tokens_belong_to_their_session_and_order_and_an_altered_one_is_none() {
    let mut simulation = lived(Dialect::August);
    let now = simulation.start();
    let id = long(&mut simulation, now, 20);
    let target = format!("{LOCAL}/{id}/messages");
    let first = asked(&mut simulation, now, &format!("{target}?limit=2"));
    let token = first["next_page"].as_str().unwrap().to_owned();
    let other =
        texts(&rows(&pages(&mut simulation, now, LOCAL, 500)), "id").into_iter().find(|other| *other != id);
    let list =
        asked(&mut simulation, now, &format!("{LOCAL}?limit=1"))["next_page"].as_str().unwrap().to_owned();
    // Whatever is said of filters: to these a token is bound always.
    simulation.settings().strict_cursors = false;
    for wrong in [
        format!("{target}?limit=2&order=desc&page={token}"),
        format!("{target}?limit=2&page={token}A"),
        format!("{target}?limit=2&page={}", token.replacen('e', "f", 1)),
        format!("{target}?limit=2&page={list}"),
        format!("{LOCAL}/{}/messages?limit=2&page={token}", other.unwrap()),
        format!("{LOCAL}?page={token}"),
    ] {
        let (status, message) = refused(&mut simulation, now, &wrong);
        assert!(status == 400 && message.contains("not a valid cursor"), "{wrong}: {message}");
    }
    simulation.settings().cursors = CursorStyle::Long(4_096);
    let long =
        asked(&mut simulation, now, &format!("{target}?limit=2"))["next_page"].as_str().unwrap().to_owned();
    assert!(long.len() > 4_096);
    asked(&mut simulation, now, &format!("{target}?limit=2&page={long}"));
}

#[test]
fn a_walk_through_a_transcript_ends_after_a_day_and_one_through_the_list_does_not() {
    let mut simulation = lived(Dialect::August);
    let now = simulation.start();
    let id = long(&mut simulation, now, 20);
    let target = format!("{LOCAL}/{id}/messages?limit=1");
    let token = |page: &Value| page["next_page"].as_str().unwrap().to_owned();
    let first = asked(&mut simulation, now, &target);
    let second = asked(&mut simulation, now + 20 * HOUR, &format!("{target}&page={}", token(&first)));
    let third = format!("{target}&page={}", token(&second));
    assert_eq!(ask(&mut simulation, now + DAY, &third).status, 200);
    let (status, message) = refused(&mut simulation, now + DAY + 1, &third);
    assert!(
        status == 400 && message.contains("cursor has expired"),
        "counted from the first page: {message}"
    );
    let list = token(&asked(&mut simulation, now, &format!("{LOCAL}?limit=1")));
    asked(&mut simulation, now + 3 * DAY, &format!("{LOCAL}?limit=1&page={list}"));
}

#[test]
fn pages_of_a_transcript_are_short_where_the_bytes_end() {
    let mut simulation = lived(Dialect::August);
    let now = simulation.start();
    let id = long(&mut simulation, now, 60);
    let target = format!("{LOCAL}/{id}/messages");
    let all = rows(&pages(&mut simulation, now, &target, 1_000));
    simulation.settings().page_bytes = 2_000;
    let short = pages(&mut simulation, now, &target, 1_000);
    assert_eq!(rows(&short), all);
    assert!(short.len() > 5 && short.iter().all(|page| !page["data"].as_array().unwrap().is_empty()));
    simulation.settings().page_bytes = 0;
    let single = pages(&mut simulation, now, &target, 1_000);
    assert_eq!((single.len(), rows(&single)), (all.len(), all), "one message is always there");
}

#[test]
fn sessions_grow_and_their_beginning_moves_and_the_placeholder_changes() {
    let mut simulation = lived(Dialect::August);
    let now = simulation.start();
    let list = |simulation: &mut Simulation, now| rows(&pages(simulation, now, LOCAL, 500));
    let early = now - 5 * DAY;
    let before = list(&mut simulation, early);
    let grown = before.iter().filter(|session| {
        let target = format!("{LOCAL}/{}/messages", session["id"].as_str().unwrap());
        let early = rows(&pages(&mut simulation, early, &target, 1_000));
        let later = rows(&pages(&mut simulation, now, &target, 1_000));
        assert!(later.starts_with(&early));
        later.len() > early.len()
    });
    assert!(grown.count() > 0, "some go on");
    // Less is kept from now on, and at once: up to the middle of a session, and all of older ones.
    let id = long(&mut simulation, now, 60);
    let target = format!("{LOCAL}/{id}/messages");
    let whole = rows(&pages(&mut simulation, now, &target, 1_000));
    let middle = whole[whole.len() / 2]["created_at"].as_str().unwrap();
    let edge = chrono::DateTime::parse_from_rfc3339(middle).unwrap().timestamp_micros();
    let open =
        asked(&mut simulation, now, &format!("{target}?limit=3"))["next_page"].as_str().unwrap().to_owned();
    let all = list(&mut simulation, now);
    simulation.settings().transcript_retention = Some(now - edge);
    let kept = list(&mut simulation, now);
    assert!(kept.len() < all.len(), "some are gone whole");
    assert!(kept.iter().any(|session| session["id"] == id.as_str() && session["created_at"] == middle));
    let cut = rows(&pages(&mut simulation, now, &target, 7));
    assert_eq!(cut[0]["provenance"], json!({"type": "content_unavailable", "reason": "retention_elapsed"}));
    assert_eq!((&cut[0]["content"], cut[0]["created_at"].as_str()), (&json!([]), Some(middle)));
    assert!(whole.ends_with(&cut[1..]), "what is left is as it was");
    // A walk that had begun goes on behind what has aged out under it.
    let rest = asked(&mut simulation, now, &format!("{target}?limit=3&page={open}"));
    assert_eq!(rest["data"][0], cut[1]);
    // What ages out next changes the placeholder.
    let mut at = now;
    let next = loop {
        at += 60 * SECOND;
        let first = asked(&mut simulation, at, &format!("{target}?limit=1"))["data"][0].clone();
        if first["id"] != cut[0]["id"] {
            break first;
        }
    };
    assert_eq!(next["provenance"], cut[0]["provenance"]);
}

#[test]
fn what_is_missing_of_local_sessions_is_said() {
    let mut simulation = lived(Dialect::October);
    let now = simulation.start();
    let at = |path: &str| format!("{LOCAL}{path}");
    for (path, status, fragment) in [
        ("/clls_", 400, "not a valid"),
        ("/cse_01a", 400, "not a valid"),
        ("/clls_01a", 404, "Local session not found"),
        ("/clls_01a/messages", 404, "Local session not found"),
        ("/clls_01a/messages?tool_use_input_max_bytes=0", 400, "tool_use_input_max_bytes"),
        ("/clls_01a/messages?tool_result_max_bytes=-2", 400, "tool_result_max_bytes"),
        ("/clls_01a/messages?tool_result_max_bytes=x", 400, "tool_result_max_bytes"),
    ] {
        let (was, message) = refused(&mut simulation, now, &at(path));
        assert!(was == status && message.contains(fragment), "{path}: {was} {message}");
    }
    simulation.settings().local_sessions = false;
    for path in ["", "/clls_01a", "/clls_01a/messages"] {
        let (status, message) = refused(&mut simulation, now, &at(path));
        assert!(status == 404 && message.contains("Local sessions are not available"), "{path}");
    }
}

#[test]
fn some_sessions_are_too_large_to_read_backwards_in_the_later_edition() {
    for (dialect, status) in [(Dialect::August, 200), (Dialect::October, 400)] {
        let mut simulation = lived(dialect);
        let now = simulation.start();
        let ids = texts(&rows(&pages(&mut simulation, now, LOCAL, 500)), "id");
        let mut statuses = BTreeSet::new();
        for id in ids {
            let target = format!("{LOCAL}/{id}/messages");
            statuses.insert(ask(&mut simulation, now, &format!("{target}?order=desc")).status);
            assert_eq!(ask(&mut simulation, now, &target).status, 200, "in order it can be read");
        }
        assert_eq!(statuses, [200, status].into());
    }
}

#[test]
fn some_sessions_were_never_captured_and_some_turns_are_withheld() {
    let mut simulation = lived(Dialect::October);
    let now = simulation.start();
    let ids = texts(&rows(&pages(&mut simulation, now, LOCAL, 500)), "id");
    let mut reasons = BTreeSet::new();
    for id in ids {
        for message in rows(&pages(&mut simulation, now, &format!("{LOCAL}/{id}/messages"), 1_000)) {
            let missing = message["provenance"]["type"] == "content_unavailable";
            assert_eq!(missing, message["content"] == json!([]), "{message}");
            reasons.extend(message["provenance"]["reason"].as_str().map(str::to_owned));
        }
    }
    assert_eq!(reasons, ["client_aborted", "not_captured", "oversize"].map(str::to_owned).into());
}

#[test]
fn texts_of_tools_are_capped_in_bytes_and_end_with_a_note() {
    let mut simulation = lived(Dialect::August);
    let now = simulation.start();
    let ids = texts(&rows(&pages(&mut simulation, now, LOCAL, 500)), "id");
    let mut inputs = |query: &str| -> Vec<(String, bool)> {
        let mut all = Vec::new();
        for id in &ids {
            let page = asked(&mut simulation, now, &format!("{LOCAL}/{id}/messages?limit=1000{query}"));
            let blocks = page["data"]
                .as_array()
                .unwrap()
                .iter()
                .flat_map(|message| message["content"].as_array().unwrap());
            let tools = blocks.filter(|block| block["type"] == "tool_use");
            all.extend(
                tools.map(|block| (block["input"].as_str().unwrap().to_owned(), block["truncated"] == true)),
            );
        }
        all
    };
    let note = " [truncated]";
    for (query, most) in [("", 10_000), ("&tool_use_input_max_bytes=64", 64)] {
        let cut: Vec<_> = inputs(query).into_iter().filter(|(_, cut)| *cut).collect();
        assert!(!cut.is_empty(), "{query}");
        assert!(
            cut.iter().all(|(text, _)| text.ends_with(note) && text.len() <= most + note.len()),
            "{query}"
        );
    }
    for query in ["&tool_use_input_max_bytes=-1", "&tool_use_input_max_bytes=999999999"] {
        assert!(inputs(query).iter().all(|(text, cut)| !cut && serde_json::from_str::<Value>(text).is_ok()));
    }
}

#[test]
fn remote_sessions_are_listed_and_agents_have_no_user() {
    let mut simulation = lived(Dialect::October);
    let now = simulation.start();
    let listed = rows(&pages(&mut simulation, now, REMOTE, 500));
    assert!(listed.len() > 15, "{}", listed.len());
    assert!(texts(&listed, "created_at").windows(2).all(|pair| pair[0] >= pair[1]));
    for limit in [1, 7] {
        assert_eq!(rows(&pages(&mut simulation, now, REMOTE, limit)), listed);
    }
    let (agents, people): (Vec<_>, Vec<_>) = listed.iter().partition(|session| session["user"].is_null());
    assert!(!agents.is_empty() && !people.is_empty());
    assert!(
        agents
            .iter()
            .all(|session| session["agent_id"].is_string() && session["started_by_user"].is_object())
    );
    let users: BTreeSet<_> = listed
        .iter()
        .filter_map(|session| session["user"]["id"].as_str().or(session["started_by_user"]["id"].as_str()))
        .take(10)
        .collect();
    let filter: String = users.iter().map(|user| format!("user_ids[]={user}&")).collect();
    let owned = rows(&pages(&mut simulation, now, &format!("{REMOTE}?{filter}"), 500));
    assert!(
        !owned.is_empty()
            && owned.iter().all(|session| users.contains(session["user"]["id"].as_str().unwrap()))
    );
    let eleven: String = (0..11).map(|user| format!("user_ids[]={user}&")).collect();
    assert_eq!(refused(&mut simulation, now, &format!("{REMOTE}?{eleven}")).0, 400);
    assert_eq!(
        refused(&mut simulation, now, &format!("{REMOTE}?updated_at.gte=2026-10-06T00:00:00Z")).0,
        400
    );
    assert_eq!(refused(&mut simulation, now, &format!("{REMOTE}?organization_ids[]=org_01x")).0, 403);
    let one = listed[0]["id"].as_str().unwrap();
    assert_eq!(refused(&mut simulation, now, &format!("{REMOTE}/{one}")), (404, "Not found".into()));
}

#[test]
fn a_pending_session_has_no_transcript_until_it_is_active_and_a_deleted_one_is_never_listed() {
    let mut simulation = lived(Dialect::October);
    let start = simulation.start();
    let (mut met, mut gone) = (BTreeSet::new(), 0);
    let mut known: BTreeSet<String> = BTreeSet::new();
    for step in 0..600 {
        let now = start + step * 300 * SECOND;
        let listed = rows(&pages(&mut simulation, now, REMOTE, 500));
        let ids: BTreeSet<_> = texts(&listed, "id").into_iter().collect();
        gone += known.difference(&ids).count();
        known = ids;
        for session in &listed {
            let status = session["status"].as_str().unwrap();
            if met.insert(status.to_owned()) {
                let id = session["id"].as_str().unwrap();
                let answer = ask(&mut simulation, now, &format!("{REMOTE}/{id}/messages"));
                assert_eq!(answer.status, if status == "pending" { 404 } else { 200 }, "{status}");
                if status == "pending" {
                    assert_eq!(error(&answer).1, "Remote session not found");
                }
            }
        }
    }
    assert_eq!(met, ["active", "archived", "failed", "paused", "pending"].map(str::to_owned).into());
    assert!(gone > 0, "some were deleted");
}

#[test]
fn a_remote_transcript_hides_what_its_list_tells_and_times_run_backwards() {
    let mut simulation = lived(Dialect::October);
    let now = simulation.start();
    let listed = rows(&pages(&mut simulation, now, REMOTE, 500));
    let (mut withheld, mut inverted, mut sent) = (0, 0, 0);
    for session in listed.iter().filter(|session| session["status"] != "pending") {
        let target = format!("{REMOTE}/{}/messages", session["id"].as_str().unwrap());
        let walked = pages(&mut simulation, now, &target, 3);
        let head = &walked[0]["session"];
        assert!(head["user"]["email_address"].is_null() && head["started_by_user"].is_null());
        assert!(head["claude_project_id"].is_null());
        let events = rows(&walked);
        let times = texts(&events, "created_at");
        inverted += times.windows(2).filter(|pair| pair[0] > pair[1]).count();
        for event in &events {
            assert_eq!(event["content_unavailable"] == true, event["content"] == json!([]));
            withheld += usize::from(event["content_unavailable"] == true);
            if event["sent_by_user_id"].is_string() {
                sent += 1;
                assert!(session["user"].is_null() && event["role"] == "user");
            }
        }
    }
    assert!(withheld > 0 && inverted > 0 && sent > 0, "{withheld} {inverted} {sent}");
}

#[test]
fn remote_routes_have_a_second_budget_that_no_header_speaks_of() {
    let mut simulation = lived(Dialect::October);
    let now = simulation.start();
    simulation.settings().limits = Limits { requests: 100, remote: 2, ..Limits::default() };
    assert_eq!([0, 1].map(|_| ask(&mut simulation, now, REMOTE).status), [200, 200]);
    for after in [0, 1, 30] {
        let answer = ask(&mut simulation, now + after * SECOND, REMOTE);
        assert_eq!((answer.status, answer.find("retry-after")), (429, Some("1")), "a floor, not a promise");
        let left: u32 = answer.find("anthropic-ratelimit-requests-remaining").unwrap().parse().unwrap();
        assert!(left > 90, "of the other budget: {left}");
    }
    assert_eq!(ask(&mut simulation, now, LOCAL).status, 200);
    assert_eq!(ask(&mut simulation, now + 60 * SECOND, REMOTE).status, 200);
}

#[test]
fn an_erased_session_is_gone() {
    let mut simulation = lived(Dialect::October);
    let now = simulation.start();
    for (route, prefix) in [(LOCAL, "Local"), (REMOTE, "Remote")] {
        let id = rows(&pages(&mut simulation, now, route, 500))[0]["id"].as_str().unwrap().to_owned();
        simulation.erase(&id, now);
        assert!(!texts(&rows(&pages(&mut simulation, now, route, 500)), "id").contains(&id));
        let (status, message) = refused(&mut simulation, now, &format!("{route}/{id}/messages"));
        assert_eq!((status, message), (404, format!("{prefix} session not found")));
    }
}
