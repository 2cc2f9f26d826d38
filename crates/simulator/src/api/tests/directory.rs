//! Organizations, people, roles, groups and settings.

use std::collections::BTreeSet;

use serde_json::json;

use super::*;

const DAY: Micros = 24 * HOUR;

#[test]
fn linked_organizations_are_listed_by_age_and_people_may_be_in_several() {
    let tenant = Tenant { linked: 2, stories: false, ..small(1).tenant };
    let mut simulation = Simulation::new(Settings { tenant, ..small(1) });
    let now = simulation.start();
    let listed = rows(&pages(&mut simulation, now, "/organizations", 1));
    assert_eq!(listed.len(), 3);
    assert_eq!(listed[0]["uuid"], simulation.organization().1);
    assert!(texts(&listed, "created_at").is_sorted());
    let users = |simulation: &mut Simulation, uuid: &str| {
        let users = rows(&pages(simulation, now, &format!("/organizations/{uuid}/users"), 2));
        texts(&users, "id").into_iter().collect::<BTreeSet<_>>()
    };
    let uuids = texts(&listed, "uuid");
    let (own, linked) = (users(&mut simulation, &uuids[0]), users(&mut simulation, &uuids[1]));
    assert_eq!((own.len(), linked.len()), (6, 3));
    assert!(linked.is_subset(&own));
}

#[test]
fn people_are_sorted_by_joining_which_is_not_the_age_of_their_account() {
    let tenant = Tenant { people: 60, hourly: 0, stories: false, ..small(1).tenant };
    let mut simulation = Simulation::new(Settings { tenant, ..small(1) });
    let now = simulation.start();
    let target = format!("/organizations/{}/users", simulation.organization().1);
    let listed = rows(&pages(&mut simulation, now, &target, 500));
    assert_eq!(listed.len(), 60);
    assert!(!texts(&listed, "created_at").is_sorted());
    for limit in [1, 7] {
        assert_eq!(rows(&pages(&mut simulation, now, &target, limit)), listed);
    }
    let roles: BTreeSet<_> = texts(&listed, "organization_role").into_iter().collect();
    assert!(roles.len() > 4 && listed[0]["organization_role"] == "primary_owner", "{roles:?}");
}

#[test]
fn who_leaves_is_gone_at_once() {
    let mut simulation =
        Simulation::new(Settings { tenant: Tenant { stories: false, ..small(1).tenant }, ..small(1) });
    let start = simulation.start();
    let target = format!("/organizations/{}/users", simulation.organization().1);
    let people = |simulation: &mut Simulation, now| texts(&rows(&pages(simulation, now, &target, 500)), "id");
    let before = people(&mut simulation, start);
    let gone = event("org_user_deleted", 60, json!({"deleted_user_id": before[2]}));
    simulation.tell(&gone, start).unwrap();
    assert_eq!(people(&mut simulation, start + 59 * SECOND), before);
    let after = people(&mut simulation, start + 60 * SECOND);
    assert!(after.len() == 5 && !after.contains(&before[2]));
    assert_eq!(people(&mut simulation, start + 4 * DAY).len(), 6, "asked back");
}

#[test]
fn groups_are_those_from_the_beginning_and_those_of_the_feed() {
    let add = json!({"group_id": "group_01new", "member_ids": ["user_01guest"]});
    let mut simulation = told(
        small(1),
        &[
            event("group_created", 0, json!({"group_id": "group_01new", "group_name": "Finance and more"})),
            event("group_member_added", 60, add.clone()),
            event("group_member_removed", 120, add),
            event("group_deleted", 180, json!({"group_id": "group_01new"})),
        ],
    );
    let start = simulation.start();
    let groups = |simulation: &mut Simulation, now, query: &str| {
        rows(&pages(simulation, now, &format!("/groups{query}"), 3))
    };
    let before = groups(&mut simulation, start - 1, "");
    let after = groups(&mut simulation, start, "");
    assert_eq!(after.len(), before.len() + 1);
    assert_eq!(after.last().unwrap()["id"], "rbac_group_01new");
    let sources: BTreeSet<_> = texts(&before, "source_type").into_iter().collect();
    assert_eq!(sources, ["direct", "scim"].map(str::to_owned).into());
    assert!(
        texts(&after, "created_at").iter().all(|time| !time.ends_with('Z') && !time.contains('+')),
        "without a zone"
    );
    let named = groups(&mut simulation, start, "?name_prefix=Finance");
    assert_eq!(texts(&named, "name"), ["Finance", "Finance and more"]);
    for id in ["group_01new", "rbac_group_01new"] {
        let members = |simulation: &mut Simulation, seconds: i64| {
            let now = start + seconds * SECOND;
            texts(&rows(&pages(simulation, now, &format!("/groups/{id}/members"), 500)), "user_id")
        };
        assert_eq!(members(&mut simulation, 59), [] as [String; 0]);
        assert_eq!(members(&mut simulation, 60), ["user_01guest"]);
        assert_eq!(members(&mut simulation, 120), [] as [String; 0]);
        let gone = refused(&mut simulation, start + 180 * SECOND, &format!("/groups/{id}/members"));
        assert_eq!(gone.0, 404);
    }
}

#[test]
fn members_are_people_of_the_directory() {
    let tenant = Tenant { people: 60, hourly: 0, stories: false, ..small(1).tenant };
    let mut simulation = Simulation::new(Settings { tenant, ..small(1) });
    let now = simulation.start();
    let target = format!("/organizations/{}/users", simulation.organization().1);
    let people: BTreeSet<_> =
        texts(&rows(&pages(&mut simulation, now, &target, 500)), "id").into_iter().collect();
    for id in texts(&rows(&pages(&mut simulation, now, "/groups", 500)), "id") {
        let members = rows(&pages(&mut simulation, now, &format!("/groups/{id}/members"), 4));
        assert!(!members.is_empty());
        assert!(members.iter().all(|member| people.contains(member["user_id"].as_str().unwrap())));
        assert!(members.iter().all(|member| member["email"].as_str().unwrap().contains('@')));
    }
}

#[test]
fn roles_are_those_from_the_beginning_and_those_of_the_feed() {
    let made = event("rbac_role_created", 0, json!({"role_id": "rbac_role_01new", "role_name": "Auditors"}));
    let mut simulation = told(small(1), &[made]);
    let now = simulation.start();
    let target = format!("/organizations/{}/roles", simulation.organization().1);
    let roles = rows(&pages(&mut simulation, now, &target, 2));
    assert!(roles.len() > 3);
    assert_eq!(roles.last().unwrap()["id"], "rbac_role_01new");
    assert_eq!(roles.last().unwrap()["name"], "Auditors role");
    assert_eq!(refused(&mut simulation, now, "/organizations/9101/roles").0, 404);
}

#[test]
fn settings_show_the_keys_and_hide_why_there_are_none() {
    let mut simulation = Simulation::new(small(1));
    let now = simulation.start();
    let uuid = simulation.organization().1.to_owned();
    let settings = asked(&mut simulation, now, &format!("/organizations/{uuid}/settings"));
    assert_eq!(settings["organization_id"], uuid.as_str());
    let keys = settings["api_keys"].as_array().unwrap();
    let revoked = keys.iter().find(|key| key["name"] == "revoked").unwrap();
    assert_eq!(revoked["is_active"], false);
    assert!(!settings.to_string().contains("sk-ant-"), "a secret in the settings");
    let unknown = refused(&mut simulation, now, "/organizations/9101/settings");
    assert_eq!(unknown, refused(&mut simulation, now, "/organizations/not-a-uuid/settings"));
}

#[test]
fn a_key_that_does_not_reach_the_organization_finds_nothing() {
    let mut simulation = Simulation::new(small(1));
    let now = simulation.start();
    let secret =
        simulation.add_key("foreign", KeyKind::Compliance, &[USER_DATA, ORG_DATA], &["org_01elsewhere"]);
    let uuid = simulation.organization().1.to_owned();
    let mut ask =
        |path: &str| simulation.answer(&Request::get(&format!("/v1/compliance{path}")).key(&secret), now);
    for path in ["/organizations", "/groups", "/apps/chats", "/apps/projects", "/apps/sessions/local"] {
        assert_eq!(ask(path).json()["data"], json!([]), "{path}");
    }
    assert_eq!(ask(&format!("/organizations/{uuid}/users")).status, 404);
    assert_eq!(ask(&format!("/apps/projects?organization_ids[]={uuid}")).status, 403);
}

#[test]
fn everybody_and_everything_in_the_feed_can_be_looked_up() {
    let tenant = Tenant { people: 12, history: DAY, ..Tenant::default() };
    let mut simulation = Simulation::new(Settings { tenant, ..small(9) });
    let now = simulation.start();
    // Later on, when all that has happened by now is shown.
    let feed =
        page(&mut simulation, now + 3 * HOUR, "limit=5000&order=asc&created_at.lte=2026-10-06T12:00:00Z");
    let feed = feed["data"].as_array().unwrap().clone();
    assert!(feed.len() > 300, "{}", feed.len());
    let left: BTreeSet<_> = feed.iter().filter_map(|row| row["deleted_user_id"].as_str()).collect();
    let target = format!("/organizations/{}/users", simulation.organization().1);
    let people: BTreeSet<_> =
        texts(&rows(&pages(&mut simulation, now, &target, 500)), "id").into_iter().collect();
    let mut found = std::collections::BTreeMap::<&str, usize>::new();
    for row in &feed {
        if let Some(user) = row["actor"]["user_id"].as_str() {
            let quit = row["type"] == "org_user_left";
            assert!(people.contains(user) || left.contains(user) || quit || has_quit(&feed, user), "{user}");
        }
        for (field, before, after, deletes) in [
            ("claude_chat_id", "/apps/chats/", "/messages", ""),
            ("claude_project_id", "/apps/projects/", "/attachments", "claude_project_deleted"),
            ("claude_file_id", "/apps/chats/files/", "", "claude_file_deleted claude_project_file_deleted"),
            (
                "claude_project_document_id",
                "/apps/projects/documents/",
                "/metadata",
                "claude_project_document_deleted",
            ),
            ("claude_artifact_version_id", "/apps/artifacts/", "", ""),
            ("group_id", "/groups/", "/members", "group_deleted"),
        ] {
            let Some(id) = row[field].as_str() else { continue };
            let answer = ask(&mut simulation, now, &format!("{before}{id}{after}"));
            // What was deleted is gone, but for chats, which stay.
            let ended = |row: &Value| row[field] == id && deletes.split(' ').any(|name| row["type"] == name);
            let gone = feed.iter().any(ended);
            assert_eq!(answer.status, if gone { 404 } else { 200 }, "{field} {id}");
            *found.entry(field).or_default() += 1;
        }
    }
    assert!(found.len() >= 5 && found["claude_chat_id"] > 50, "{found:?}");
}

/// Whether the feed says that somebody left by themselves.
fn has_quit(feed: &[Value], user: &str) -> bool {
    feed.iter().any(|row| row["type"] == "org_user_left" && row["actor"]["user_id"] == user)
}
