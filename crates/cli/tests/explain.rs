//! `explain`, `catalog` and `--version` as a user runs them.

#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod common;

use std::fs;

use common::{code, run, run_in, samples, stderr, stdout};
use serde_json::{Value, json};

/// Runs, asserts success, and reads the JSON.
fn json_of(args: &[&str], input: &[u8]) -> Value {
    let output = run(args, input);
    assert_eq!((code(&output), stderr(&output)), (0, String::new()), "{args:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_version_tells_what_is_known() {
    let output = run(&["--version"], b"");
    let text = stdout(&output);
    let inside = text.strip_prefix(concat!("anthropic-ecs ", env!("CARGO_PKG_VERSION"), " (")).unwrap();
    // Which commit it is built from is not always known.
    let known = match inside.strip_prefix("commit ").and_then(|rest| rest.split_once(", ")) {
        Some((commit, rest)) if commit.len() >= 7 && commit.bytes().all(|c| c.is_ascii_hexdigit()) => rest,
        _ => inside,
    };
    assert_eq!((code(&output), known), (0, "ECS 9.4.0, catalog 2026-10, 521 activity types)\n"));
}

#[test]
fn a_known_type_is_explained() {
    let output = run(&["explain", "compliance_api_accessed"], b"");
    let text = stdout(&output);
    assert_eq!((code(&output), text.contains('\x1b')), (0, false));
    for part in
        ["by status_code: 2xx is success", "http.response.status_code (long)", "+ url.domain (URL host)"]
    {
        assert!(text.contains(part), "{text}");
    }
    assert!(text.contains("mappings/fields.csv:") && text.contains("mappings/activities.csv:"), "{text}");

    let report = json_of(&["explain", "anthropic_access", "--json", "--actors"], b"");
    assert_eq!((&report["known"], &report["elastic"]), (&json!(true), &json!(false)));
    let home = |list: &str, name: &str| -> Value {
        let fields = report[list].as_array().unwrap();
        fields.iter().find(|field| field["field"] == name).unwrap()["homes"][0]["home"].clone()
    };
    assert_eq!(home("fields", "accessed_at"), "@timestamp");
    assert_eq!(home("envelope", "created_at"), "event.created");
    assert_eq!(report["actors"].as_array().map(Vec::len), Some(11));
    let conditional = json_of(&["explain", "design_project_member_added", "--json"], b"");
    assert!(
        conditional["fields"].to_string().contains("\"when\":{\"field\":\"principal_type\""),
        "{conditional}"
    );
}

#[test]
fn an_unknown_type_gets_its_neighbours_and_an_inference() {
    let report = json_of(&["explain", "claude_chat_delete_failed", "--json"], b"");
    assert_eq!((&report["known"], &report["inferred"]["outcome"]), (&json!(false), &json!("failure")));
    assert!(report["nearest"].to_string().contains("claude_chat_deleted"), "{report}");
    let text = stdout(&run(&["explain", "qqq"], b""));
    assert!(text.starts_with("qqq is not among the 521 known activity types."), "{text}");
}

#[test]
fn a_users_rows_are_explained_and_listed() {
    let root = tempfile::tempdir().unwrap();
    let rows = "type,category,event_type,outcome,severity,message\nbrand_new,iam,info,success,42,did {it}\n";
    fs::write(root.path().join("types.csv"), rows).unwrap();
    let rows = "field,on,when,home,index,also\nit,brand_new,,anthropic.audit.it,keyword,\n";
    fs::write(root.path().join("fields.csv"), rows).unwrap();
    let args = ["explain", "brand_new", "--mappings", "fields.csv", "--mappings", "types.csv"];
    let output = run_in(root.path(), &args, b"");
    let text = stdout(&output);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(
        text.contains("your own row") && text.contains("types.csv:2") && text.contains("fields.csv:2"),
        "{text}"
    );
    let listed = run_in(root.path(), &["catalog", "--csv", "--mappings", "types.csv"], b"");
    assert!(stdout(&listed).contains("\nbrand_new,iam,info,success,42,,false,,false\n"));
}

#[test]
fn a_record_is_explained_value_by_value() {
    let record = json!({
        "id": "1", "type": "claude_project_created", "created_at": "2026-01-01T00:00:00Z", "new": [1],
        "actor": {"type": "user_actor", "user_id": "u", "email_address": "a@example.com"},
        "claude_project_id": {"odd": true}, "organization_id": null
    });
    let report = json_of(&["explain", "-", "--json"], record.to_string().as_bytes());
    assert_eq!(report["unusual"], json!(["unknown_field", "unexpected_value"]));
    assert_eq!(report["document"]["user"]["email"], "a@example.com");
    let fate = |name: &str| -> Value {
        report["fields"].as_array().unwrap().iter().find(|fate| fate["field"] == name).unwrap().clone()
    };
    assert_eq!(fate("actor.email_address")["also"], json!(["related.user", "user.domain", "user.name"]));
    assert_eq!(fate("new")["why"], "no row knows it");
    assert_eq!(fate("claude_project_id")["home"], "anthropic.audit.metadata[claude_project_id]");
    assert_eq!(fate("organization_id")["why"], "empty, so left out");

    let text = stdout(&run(&["explain", "-"], samples().as_bytes()));
    assert!(text.contains("Unusual  nothing") && text.contains("more than one record"), "{text}");
    let dead = run(&["explain", "-"], b"{\"a\":1}");
    assert_eq!((code(&dead), dead.stdout.len()), (1, 0));
    assert!(stderr(&dead).contains("reason not_an_activity"), "{}", stderr(&dead));
}

#[test]
fn the_catalog_is_listed_in_three_forms() {
    let table = stdout(&run(&["catalog"], b""));
    assert_eq!(table.lines().count(), 522);
    assert!(table.starts_with("TYPE  ") && !table.contains('\x1b'));
    let csv = stdout(&run(&["catalog", "--csv"], b""));
    assert_eq!(csv.lines().count(), 522);
    let list = json_of(&["catalog", "--json"], b"");
    let list = list.as_array().unwrap();
    let elastic = list.iter().filter(|line| line["elastic"] == true).count();
    assert_eq!((list.len(), elastic), (521, 305));
    assert_eq!(code(&run(&["catalog", "--json", "--csv"], b"")), 2);
}
