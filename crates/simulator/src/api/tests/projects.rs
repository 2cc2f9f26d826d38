//! Projects, attachments, documents and code artifacts.

use serde_json::json;

use super::*;

/// A project with two documents and a file, another one, and a chat in the first.
fn two() -> Vec<Event> {
    let actor = json!({"type": "user_actor", "user_id": "user_01a", "email_address": "a@example.com"});
    let document = |id: &str, at| {
        let fields =
            json!({"claude_project_document_id": id, "claude_project_id": "p", "filename": "notes.md"});
        event("claude_project_document_uploaded", at, fields)
    };
    vec![
        event("claude_project_created", 0, json!({"claude_project_id": "p", "actor": actor})),
        event("claude_project_created", 10, json!({"claude_project_id": "q"})),
        document("d1", 60),
        document("d2", 120),
        event("claude_project_file_uploaded", 90, json!({"claude_file_id": "f", "claude_project_id": "p"})),
        event("claude_chat_created", 180, json!({"claude_chat_id": "c", "claude_project_id": "p"})),
    ]
}

#[test]
fn projects_are_listed_by_age_and_filtered() {
    let mut simulation = Simulation::new(small(3));
    let now = simulation.start();
    let all = rows(&pages(&mut simulation, now, "/apps/projects", 100));
    assert!(all.len() > 5 && texts(&all, "created_at").is_sorted(), "{}", all.len());
    for limit in [1, 2, 7] {
        assert_eq!(rows(&pages(&mut simulation, now, "/apps/projects", limit)), all);
    }
    let mut simulation = told(small(1), &two());
    let start = simulation.start();
    let list = |simulation: &mut Simulation, query: &str| {
        texts(&rows(&pages(simulation, start + HOUR, &format!("/apps/projects?{query}"), 20)), "id")
    };
    assert_eq!(list(&mut simulation, "user_ids[]=user_01a"), ["p"]);
    assert_eq!(list(&mut simulation, "created_at.gt=2026-10-06T12:00:00Z"), ["q"]);
    // What comes into a project changes it.
    assert_eq!(list(&mut simulation, "updated_at.gte=2026-10-06T12:01:00Z"), ["p"]);
    let (id, uuid) = simulation.organization();
    let (id, uuid) = (id.to_owned(), uuid.to_owned());
    assert_eq!(list(&mut simulation, &format!("organization_ids[]={id}")), ["p", "q"]);
    assert_eq!(list(&mut simulation, &format!("organization_ids[]={uuid}")), ["p", "q"]);
    assert_eq!(refused(&mut simulation, start, "/apps/projects?organization_ids[]=org_01x").0, 403);
    assert_eq!(refused(&mut simulation, start, "/apps/projects?limit=101").0, 400);
}

#[test]
fn attachments_are_files_and_documents_by_age() {
    let mut events = two();
    events.push(event(
        "claude_project_document_deleted",
        600,
        json!({"claude_project_document_id": "d2", "claude_project_id": "p"}),
    ));
    let mut simulation = told(small(1), &events);
    let start = simulation.start();
    for limit in [1, 2, 20] {
        let attached =
            rows(&pages(&mut simulation, start + 300 * SECOND, "/apps/projects/p/attachments", limit));
        assert_eq!(texts(&attached, "id"), ["d1", "f", "d2"]);
        assert_eq!(texts(&attached, "type"), ["project_doc", "project_file", "project_doc"]);
    }
    let left = rows(&pages(&mut simulation, start + HOUR, "/apps/projects/p/attachments", 20));
    assert_eq!(texts(&left, "id"), ["d1", "f"]);
    let document = asked(&mut simulation, start + HOUR, "/apps/projects/documents/d1/metadata");
    assert_eq!((&document["filename"], &document["project_id"]), (&json!("notes.md"), &json!("p")));
    assert_eq!(refused(&mut simulation, start + HOUR, "/apps/projects/documents/d2/metadata").0, 404);
    assert_eq!(refused(&mut simulation, start + HOUR, "/apps/projects/x/attachments").0, 404);
}

#[test]
fn a_project_with_chats_cannot_be_deleted_and_the_editions_say_so_differently() {
    for (dialect, kind) in [(Dialect::August, "conflict_error"), (Dialect::October, "invalid_request_error")]
    {
        let mut simulation = told(Settings { dialect, ..small(1) }, &two());
        let now = simulation.start() + HOUR;
        let key = simulation.key("eraser").to_owned();
        let mut delete = |path: &str| {
            let request = Request::get(&format!("/v1/compliance/apps/{path}")).key(&key);
            simulation.answer(&Request { method: "DELETE".into(), ..request }, now)
        };
        let refused = delete("projects/p");
        assert_eq!((refused.status, error(&refused).0.as_str()), (409, kind));
        let statuses =
            ["chats/c", "projects/p", "projects/q", "chats/files/f", "projects/documents/d1", "projects/q"];
        assert_eq!(statuses.map(|path| delete(path).status), [200, 200, 200, 200, 200, 404]);
        assert_eq!(asked(&mut simulation, now, "/apps/projects")["data"], json!([]));
        assert_eq!(super::refused(&mut simulation, now, "/apps/chats/files/f").0, 404);
    }
}

#[test]
fn pages_of_code_artifacts_may_be_short_and_empty_while_there_is_more() {
    let made = |index: i64| {
        let user = if index == 7 { "user_01rare" } else { "user_01often" };
        let actor = json!({"type": "user_actor", "user_id": user, "email_address": "a@example.com"});
        let id = format!("claude_artifact_{index:02}");
        event("claude_artifact_created", index, json!({"claude_artifact_id": id, "actor": actor}))
    };
    let mut events: Vec<_> = (0..20).map(made).collect();
    events.push(event(
        "claude_artifact_published",
        99,
        json!({"claude_artifact_version_id": "claude_artifact_version_99", "title": "T"}),
    ));
    let mut simulation = told(small(1), &events);
    let now = simulation.start() + HOUR;
    let all = rows(&pages(&mut simulation, now, "/apps/code/artifacts", 100));
    assert_eq!(all.len(), 21);
    assert!(texts(&all, "id").is_sorted());
    assert_eq!(all[20]["version_id"], "claude_artifact_version_99");
    let walked = pages(&mut simulation, now, "/apps/code/artifacts?user_ids[]=user_01rare", 3);
    let sizes: Vec<_> = walked.iter().map(|page| page["data"].as_array().unwrap().len()).collect();
    assert_eq!(sizes, [0, 0, 1, 0, 0, 0, 0]);
    // The index is minutes behind.
    let fresh = simulation.start() + 60 * SECOND;
    assert_eq!(asked(&mut simulation, fresh, "/apps/code/artifacts")["data"], json!([]));
    assert_eq!(
        asked(&mut simulation, fresh, "/apps/artifacts/claude_artifact_version_03")["id"],
        "claude_artifact_03"
    );
}
