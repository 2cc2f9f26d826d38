//! The table of errors, row by row, in both dialects.

use super::super::config::ComplianceApiConfig;
use super::*;

fn rules() -> Rules {
    let config = serde_json::json!({
        "api_key": "k", "activity_types": ["type_a", "type_ab"], "organization_ids": ["org_1", "org_2"],
    });
    serde_json::from_value::<ComplianceApiConfig>(config).unwrap().validate().unwrap().rules
}

fn answer(status: u16, kind: &str, message: &str) -> (Action, Fault) {
    let body = serde_json::json!({"error": {"type": kind, "message": message}}).to_string();
    let head = Head { status, request_id: Some("req_1".into()), ..Head::default() };
    let plain = classify(&head, body.as_bytes(), &rules(), true);
    let body =
        serde_json::json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": null});
    assert_eq!(classify(&head, body.to_string().as_bytes(), &rules(), true), plain);
    plain
}

#[test]
fn every_row_of_the_table() {
    use Action::*;
    let bad = "invalid_request_error";
    let rows = [
        (400, bad, "created_at.gte: invalid RFC 3339 timestamp", Pause(SLOW_PROBE)),
        (400, bad, "limit must be at most 5000", Shrink),
        (400, bad, "Invalid after_id", DropCursor),
        (400, bad, "activity_id could not be decoded", DropCursor),
        (400, bad, "invalid pagination cursor", DropCursor),
        (400, bad, "Unknown query parameter: order", DropOrder),
        (400, bad, "Unknown query parameter: colour", Pause(SLOW_PROBE)),
        (400, bad, "'type_ab' is not one of the permitted values", DropType("type_ab".into())),
        (400, bad, "'other' is not one of the permitted values", Pause(SLOW_PROBE)),
        (400, bad, "The Compliance API is not enabled for this organization", Pause(SLOW_PROBE)),
        (401, "authentication_error", "API key is invalid", Credentials(PROBE)),
        (401, "authentication_error", "API key has been revoked", Credentials(PROBE)),
        (401, "authentication_error", "expired", Credentials(PROBE)),
        (403, "permission_error", "Missing required scopes. Got: [] Needed: [x]", Credentials(SLOW_PROBE)),
        (403, "permission_error", "Missing required scopes. Needed one of: x", Credentials(SLOW_PROBE)),
        (403, "permission_error", "org_2 is outside this API key's scope", DropOrganization("org_2".into())),
        (403, "permission_error", "one is outside this API key's scope", Pause(SLOW_PROBE)),
        (404, "not_found_error", "Not found", Credentials(PROBE)),
        (413, "request_too_large", "", Shrink),
        (429, "rate_limit_error", "", Throttled(None)),
        (500, "api_error", "", Again),
        (502, "api_error", "", Again),
        (503, "overloaded_error", "", Again),
        (504, "timeout_error", "", Again),
        (529, "overloaded_error", "", Again),
        (599, "new_error", "", Again),
        (418, "new_error", "", Pause(SLOW_PROBE)),
        (302, "", "", Pause(SLOW_PROBE)),
    ];
    for (status, kind, message, action) in rows {
        let (found, fault) = answer(status, kind, message);
        assert_eq!(found, action, "{status} {message}");
        assert!(fault.cause.contains("req_1") && !fault.remedy.is_empty(), "{fault}");
        // An unusable type is one that is dropped, unless it was the last: the reader decides that.
        assert!(!fault.kind.is_final() || matches!(found, DropType(_)), "{fault}");
    }
}

#[test]
fn x_should_retry_false_vetoes_a_500_and_never_a_429() {
    let mut head = Head { status: 500, should_retry: Some(false), ..Head::default() };
    assert_eq!(classify(&head, b"", &rules(), false).0, Action::Isolate);
    head.status = 429;
    head.retry_after = Some(PROBE);
    assert_eq!(classify(&head, b"", &rules(), false).0, Action::Throttled(Some(PROBE)));
}

#[test]
fn what_an_intermediary_says_is_no_message() {
    let head = Head { status: 502, ..Head::default() };
    let (action, fault) = classify(&head, b"<html>secret</html>", &rules(), false);
    assert_eq!(action, Action::Again);
    assert!(fault.cause.contains("no error in JSON") && !fault.cause.contains("secret"), "{fault}");
}

/// Trap 11: a 404 is nobody's "nothing there".
#[test]
fn trap_11_a_404_is_no_end_of_the_feed() {
    let (action, fault) = answer(404, "not_found_error", "Not found");
    assert_eq!((action, fault.kind), (Action::Credentials(PROBE), FaultKind::Unauthenticated));
}
