//! Chats and their messages.

use serde_json::json;

use super::*;

const DAY: Micros = 24 * HOUR;

/// Three chats of one person, made a minute apart from the start on.
fn three() -> Vec<Event> {
    let actor = json!({"type": "user_actor", "user_id": "user_01a", "email_address": "a@example.com"});
    let made = |id: &str, at| event("claude_chat_created", at, json!({"claude_chat_id": id, "actor": actor}));
    vec![made("a", 0), made("b", 60), made("c", 120)]
}

fn change(id: &str, at: i64) -> Event {
    event("claude_chat_updated", at, json!({"claude_chat_id": id}))
}

#[test]
fn chats_are_listed_once_by_either_time_in_pages_of_any_size() {
    let mut simulation = Simulation::new(small(3));
    let now = simulation.start();
    for order in ["created_at", "updated_at"] {
        let target = format!("/apps/chats?order_by={order}");
        let all = cursors(&mut simulation, now, &target, "data", 1_000);
        assert!(all.len() > 20, "{}", all.len());
        let time =
            |row: &Value| (row[order].as_str().unwrap().to_owned(), row["id"].as_str().unwrap().to_owned());
        assert!(all.windows(2).all(|pair| time(&pair[0]) < time(&pair[1])), "{order}");
        for limit in [1, 2, 7] {
            assert_eq!(cursors(&mut simulation, now, &target, "data", limit), all, "{order}, limit {limit}");
        }
    }
}

#[test]
fn of_a_users_chats_pages_go_back_too() {
    let mut simulation = told(small(1), &three());
    let now = simulation.start() + HOUR;
    let target = "/apps/chats?user_ids[]=user_01a&limit=1";
    let last = cursors(&mut simulation, now, "/apps/chats?user_ids[]=user_01a", "data", 3);
    assert_eq!(texts(&last, "id"), ["a", "b", "c"]);
    let page = asked(&mut simulation, now, "/apps/chats?user_ids[]=user_01a&limit=3");
    let mut cursor = page["last_id"].as_str().unwrap().to_owned();
    for (id, more) in [("b", true), ("a", false)] {
        let page = asked(&mut simulation, now, &format!("{target}&before_id={cursor}"));
        assert_eq!((&page["data"][0]["id"], &page["has_more"]), (&json!(id), &json!(more)));
        cursor = page["first_id"].as_str().unwrap().to_owned();
    }
    let none = asked(&mut simulation, now, "/apps/chats?user_ids[]=user_01b");
    assert_eq!(none, json!({"data": [], "has_more": false, "first_id": null, "last_id": null}));
}

#[test]
fn a_chat_that_changes_during_a_walk_moves_ahead_of_the_cursor() {
    let mut events = three();
    events.push(change("a", 1_000));
    let mut simulation = told(small(1), &events);
    let start = simulation.start();
    let before = start + 900 * SECOND;
    let page = asked(&mut simulation, before, "/apps/chats?order_by=updated_at&limit=2");
    assert_eq!(ids(&page), ["a", "b"]);
    let cursor = page["last_id"].as_str().unwrap();
    let rest = format!("/apps/chats?order_by=updated_at&after_id={cursor}");
    assert_eq!(ids(&asked(&mut simulation, before, &rest)), ["c"]);
    assert_eq!(ids(&asked(&mut simulation, start + HOUR, &rest)), ["c", "a"], "once more, ahead");
    let by_creation = asked(&mut simulation, start + HOUR, "/apps/chats");
    assert_eq!(ids(&by_creation), ["a", "b", "c"]);
}

#[test]
fn a_rename_changes_the_name_and_not_the_time() {
    let mut events = three();
    events.push(event("claude_chat_settings_updated", 1_000, json!({"claude_chat_id": "b"})));
    let mut simulation = told(small(1), &events);
    let (start, list) = (simulation.start(), "/apps/chats");
    let before = asked(&mut simulation, start + 900 * SECOND, list)["data"][1].clone();
    let after = asked(&mut simulation, start + HOUR, list)["data"][1].clone();
    assert_ne!(before["name"], after["name"]);
    assert_eq!(before["updated_at"], after["updated_at"]);
}

#[test]
fn what_may_not_be_combined_is_refused() {
    let october = Settings { dialect: Dialect::October, ..small(1) };
    let (mut august, mut october) = (told(small(1), &three()), told(october, &three()));
    let now = august.start() + HOUR;
    let cursor = asked(&mut august, now, "/apps/chats?limit=1")["last_id"].as_str().unwrap().to_owned();
    let time = "2026-10-06T12:00:00Z";
    for query in [
        "order_by=name".to_owned(),
        "user_ids[]=u&order_by=updated_at".to_owned(),
        format!("before_id={cursor}"),
        "project_ids[]=p".to_owned(),
        format!("updated_at.gte={time}"),
        format!("order_by=updated_at&created_at.gte={time}"),
        format!("order_by=updated_at&after_id={cursor}"),
        format!("after_id={cursor}x"),
        "limit=1001".to_owned(),
        (0..11).map(|user| format!("user_ids[]={user}&")).collect(),
    ] {
        assert_eq!(refused(&mut august, now, &format!("/apps/chats?{query}")).0, 400, "{query}");
    }
    let both = format!("/apps/chats?user_ids[]=user_01a&updated_at.gte={time}");
    assert_eq!(asked(&mut august, now, &both)["data"].as_array().unwrap().len(), 3);
    assert_eq!(refused(&mut october, now, &both).0, 400);
    // A cursor is of its order even where its filters do not matter.
    august.settings().strict_cursors = false;
    let other = format!("/apps/chats?order_by=updated_at&after_id={cursor}");
    assert_eq!(refused(&mut august, now, &other).0, 400);
    let filtered = format!("/apps/chats?user_ids[]=user_01a&after_id={cursor}");
    assert_eq!(ids(&asked(&mut august, now, &filtered)), ["b", "c"]);
}

#[test]
fn a_deleted_chat_is_readable_or_emptied_and_an_erased_one_is_gone() {
    let mut events = three();
    events.push(event("claude_chat_deleted", 1_000, json!({"claude_chat_id": "b"})));
    for dialect in [Dialect::August, Dialect::October] {
        let mut simulation = told(Settings { dialect, ..small(1) }, &events);
        let now = simulation.start() + HOUR;
        let chat = asked(&mut simulation, now, "/apps/chats")["data"][1].clone();
        assert_eq!(chat["deleted_at"], "2026-10-06T12:16:40.000000Z");
        assert_eq!(chat["updated_at"], chat["deleted_at"]);
        let messages = asked(&mut simulation, now, "/apps/chats/b/messages");
        let content = &messages["chat_messages"][0]["content"];
        let emptied = dialect == Dialect::October;
        assert_eq!((chat["name"] == "", *content == json!([])), (emptied, emptied), "{dialect:?}");

        let erase = Request { method: "DELETE".into(), ..Request::get("/v1/compliance/apps/chats/b") };
        for (key, status) in [("full", 403), ("audit", 403), ("eraser", 200), ("eraser", 404)] {
            let request = erase.clone().key(simulation.key(key));
            assert_eq!(simulation.answer(&request, now).status, status, "{key}");
        }
        assert_eq!(ids(&asked(&mut simulation, now, "/apps/chats")), ["a", "c"]);
        assert_eq!(refused(&mut simulation, now, "/apps/chats/b/messages"), (404, "Chat b not found".into()));
        let own = simulation.truth().count();
        simulation.settings().own_reads = Some(0);
        ask(&mut simulation, now, "/apps/chats");
        assert_eq!(simulation.truth().count(), own + 1, "requests of all routes are recorded");
    }
}

#[test]
fn messages_come_in_either_order_in_pages_of_any_size_and_whole_without_a_limit() {
    let changes = (1..40).map(|minute| change("a", minute * 600));
    let mut simulation = told(small(1), &three().into_iter().chain(changes).collect::<Vec<_>>());
    let now = simulation.start() + DAY;
    let target = "/apps/chats/a/messages";
    let whole = asked(&mut simulation, now, target);
    let all = whole["chat_messages"].as_array().unwrap().clone();
    assert_eq!((all.len(), &whole["has_more"], &whole["id"]), (80, &json!(false), &json!("a")));
    assert!(all.iter().all(|message| message["content"].as_array().is_some_and(|blocks| !blocks.is_empty())));
    let mut back = all.clone();
    back.reverse();
    for limit in [1, 2, 7, 1_000] {
        assert_eq!(cursors(&mut simulation, now, target, "chat_messages", limit), all);
        let descending = format!("{target}?order=desc");
        assert_eq!(cursors(&mut simulation, now, &descending, "chat_messages", limit), back);
    }
    let since = format!("{target}?created_at.gte=2026-10-06T18:00:00Z");
    let part = asked(&mut simulation, now, &since)["chat_messages"].as_array().unwrap().len();
    assert!((1..80).contains(&part), "{part}");
    assert_eq!(refused(&mut simulation, now, &format!("{target}?limit=1001")).0, 400);
}

#[test]
fn an_answer_is_not_there_before_it_is_complete() {
    let mut simulation = told(small(1), &three()[..1]);
    let start = simulation.start();
    let at = |simulation: &mut Simulation, seconds: i64| {
        let page = asked(simulation, start + seconds * SECOND, "/apps/chats/a/messages");
        page["chat_messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|message| message["role"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(at(&mut simulation, 1), ["user"]);
    assert_eq!(at(&mut simulation, 91), ["user", "assistant"]);
}

#[test]
fn texts_of_tools_are_capped_in_characters() {
    let changes = (1..60).map(|minute| change("a", minute * 600));
    let events: Vec<_> = three().into_iter().chain(changes).collect();
    let mut simulation = told(small(1), &events);
    let now = simulation.start() + DAY;
    let mut longest = |dialect, query: &str| {
        simulation.settings().dialect = dialect;
        let page = asked(&mut simulation, now, &format!("/apps/chats/a/messages{query}"));
        let blocks = page["chat_messages"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|message| message["content"].as_array().unwrap());
        let tools: Vec<_> = blocks.filter(|block| block["type"] == "tool_use").cloned().collect();
        let input = |block: &Value| block["input"].as_str().unwrap().chars().count();
        let cut = tools.iter().filter(|block| block["truncated"] == true).count();
        (tools.iter().map(input).max().unwrap(), cut)
    };
    let (whole, none) = longest(Dialect::August, "");
    assert!(whole > 10_000 && none == 0, "{whole}");
    let (october, some) = longest(Dialect::October, "");
    assert!(october == 10_000 && some > 0);
    assert_eq!(longest(Dialect::October, "?tool_use_input_max_chars=-1"), (whole, 0));
    assert_eq!(longest(Dialect::August, "?tool_use_input_max_chars=50").0, 50);
    let mut simulation = told(small(1), &events);
    assert_eq!(refused(&mut simulation, now, "/apps/chats/a/messages?tool_use_input_max_chars=-2").0, 400);
}

#[test]
fn files_in_messages_can_be_downloaded() {
    let upload =
        json!({"claude_chat_id": "a", "claude_file_id": "claude_file_01f", "filename": "Übergabe.pdf"});
    let mut events = three();
    events.push(event("claude_file_uploaded", 600, upload));
    let mut simulation = told(small(1), &events);
    let now = simulation.start() + HOUR;
    let page = asked(&mut simulation, now, "/apps/chats/a/messages");
    let with_file =
        page["chat_messages"].as_array().unwrap().iter().find_map(|message| message.get("files")).unwrap();
    let file = &with_file[0];
    assert_eq!(file["filename"], "Übergabe.pdf");
    let metadata = asked(&mut simulation, now, "/apps/chats/files/claude_file_01f");
    assert_eq!(metadata["md5"], file["md5"]);
    let content = ask(&mut simulation, now, "/apps/chats/files/claude_file_01f/content");
    assert_eq!(content.body.len() as u64, file["size_bytes"].as_u64().unwrap());
    assert_eq!(content.delivery, Delivery::Chunked);
    assert_eq!(content.find("content-type"), Some("application/pdf"));
    assert_eq!(content.find("content-disposition"), Some("attachment; filename*=utf-8''%C3%9Cbergabe.pdf"));
    assert!(content.find("content-md5").unwrap().ends_with("=="));
    assert_eq!(refused(&mut simulation, now, "/apps/chats/files/claude_file_01g").0, 404);
}

#[test]
fn what_was_generated_in_a_chat_is_found_by_its_id() {
    let changes = (1..60).map(|minute| change("a", minute * 600));
    let events: Vec<_> = three().into_iter().chain(changes).collect();
    let mut simulation = told(Settings { dialect: Dialect::October, ..small(1) }, &events);
    let now = simulation.start() + DAY;
    let page = asked(&mut simulation, now, "/apps/chats/a/messages");
    let messages = page["chat_messages"].as_array().unwrap().clone();
    let files: Vec<_> =
        messages.iter().filter_map(|message| message["generated_files"][0]["id"].as_str()).collect();
    assert!(files.iter().any(|id| id.starts_with("claude_gen_file_")), "{files:?}");
    for id in files {
        asked(&mut simulation, now, &format!("/apps/chats/generated-files/{id}"));
        assert_eq!(
            ask(&mut simulation, now, &format!("/apps/chats/generated-files/{id}/content")).status,
            200
        );
    }
    let artifact = messages.iter().find_map(|message| message["artifacts"].get(0)).unwrap();
    let target = format!("/apps/artifacts/{}", artifact["version_id"].as_str().unwrap());
    assert_eq!(asked(&mut simulation, now, &target)["title"], artifact["title"]);
    let content = ask(&mut simulation, now, &format!("{target}/content"));
    assert_eq!((content.status, content.find("content-type")), (200, Some("text/markdown")));
}

#[test]
fn chats_can_be_behind_the_feed() {
    let mut simulation = told(Settings { content_lag: 300 * SECOND, ..small(1) }, &three());
    let start = simulation.start();
    assert_eq!(ids(&asked(&mut simulation, start + 300 * SECOND, "/apps/chats")), ["a"]);
    assert_eq!(ids(&page(&mut simulation, start + 300 * SECOND, "order=asc")).len(), 3);
}
