//! What there is to simulate, in words: for `--help`, and for who has missed a name.
//!
//! Owns one line for each route, fault, mode and control route. A test holds it against what can really be read, so that
//! nothing is offered that is not there and nothing is there that is not offered.

use std::fmt::Write as _;

/// What can be asked for, after `/v1/compliance`, and the scope that opens it.
pub(crate) const ROUTES: [(&str, &str); 22] = [
    ("/activities", "read:compliance_activities"),
    ("/apps/chats", "read:compliance_user_data"),
    ("/apps/chats/{id}/messages", "read:compliance_user_data"),
    ("/apps/chats/files/{id}[/content]", "read:compliance_user_data"),
    ("/apps/chats/generated-files/{id}[/content]", "read:compliance_user_data"),
    ("/apps/artifacts/{version}[/content]", "read:compliance_user_data"),
    ("/apps/code/artifacts", "read:compliance_user_data"),
    ("/apps/projects", "read:compliance_user_data"),
    ("/apps/projects/{id}/attachments", "read:compliance_user_data"),
    ("/apps/projects/documents/{id}/metadata", "read:compliance_user_data"),
    ("/apps/sessions/local", "read:compliance_user_data"),
    ("/apps/sessions/local/{id}", "read:compliance_user_data"),
    ("/apps/sessions/local/{id}/messages", "read:compliance_user_data"),
    ("/apps/sessions/remote", "read:compliance_user_data"),
    ("/apps/sessions/remote/{id}/messages", "read:compliance_user_data"),
    ("/organizations", "read:compliance_org_data"),
    ("/organizations/{uuid}/users", "read:compliance_user_data"),
    ("/organizations/{uuid}/roles", "read:compliance_org_data"),
    ("/organizations/{uuid}/settings", "read:compliance_org_data"),
    ("/groups", "read:compliance_org_data"),
    ("/groups/{id}/members", "read:compliance_user_data"),
    ("DELETE of a chat, a file, a document, a project", "delete:compliance_user_data"),
];

/// The kinds of faults.
pub(crate) const FAULTS: [(&str, &str); 42] = [
    ("rate_limited", "429; `retry_after` if given"),
    ("starved", "another consumer takes the rest of the budget"),
    ("status", "`status` (500) as the API words it; `should_retry`, `message`"),
    ("html", "`status` (502, also 200) with a gateway's page"),
    ("refused", "connections are refused for `pause_millis` (1000)"),
    ("reset", "reset before anything was done"),
    ("reset_after", "reset after all was done and counted"),
    ("stall", "headers come, and no body"),
    ("drip", "`bytes` (1024) at a time, `pause_millis` (50) between"),
    ("cut", "the body ends after `bytes`, short of its announced length"),
    ("abort", "a chunked body ends after `bytes`"),
    ("truncated", "the JSON ends after `bytes`, the body in good order"),
    ("gzip_cut", "a compressed body ends early"),
    ("empty", "200 without a body"),
    ("malformed", "200 with what is no JSON in its midst"),
    ("undecodable", "one record cannot be decoded, the others can"),
    ("huge", "a page longer by `bytes` (64 MiB)"),
    ("shape", "one record is odd: `shape`, or by chance"),
    ("revoked", "401 as for a deleted key"),
    ("expired", "401 as for a key whose time is over"),
    ("wrong_kind", "401, or a bare 404, as for a key of another kind"),
    ("missing_scope", "403: the key lacks the scope"),
    ("out_of_scope", "403: the organization is not the key's"),
    ("not_enabled", "400: switched off; with `from` and `until` nothing is recorded meanwhile"),
    ("cursor_invalid", "400 to a cursor or a page token"),
    ("cursor_expired", "400 to a page token of a walk that took too long"),
    ("cursor_repeated", "the cursor that was sent comes back, with more to come"),
    ("cursor_null", "no cursor, with more to come"),
    ("has_more_missing", "no has_more"),
    ("order_refused", "400 to the parameter order"),
    ("duplicate", "the last record of the page before comes once more"),
    ("empty_page", "an empty page with a next_page"),
    ("local_list_busy", "503: the list of local sessions"),
    ("local_content_busy", "503: their transcripts"),
    ("local_retention", "503: retention overrides"),
    ("local_missing", "404: no local sessions at all"),
    ("local_too_large", "400: a transcript's page is too large"),
    ("changed", "names in the feed's records are null this once"),
    ("bare", "no headers about date, budget and request"),
    ("no_date", "no date"),
    ("skewed", "the date is off by `seconds` (3600)"),
    (
        "",
        "each also takes: path, query, after, every, count (0: for ever), from, until (seconds after the start, or RFC 3339)",
    ),
];

/// The modes.
pub(crate) const SETTINGS: [(&str, &str); 23] = [
    ("dialect", "2026-08 or 2026-10"),
    ("cursors", "opaque, raw_ids or long"),
    ("strict_cursors", "whether a cursor under other filters is refused"),
    ("cursor_lifetime", "seconds; negative for ever"),
    ("own_reads", "seconds until a request's own record is shown; negative for none"),
    ("requests", "a window's budget; 0 for no limit"),
    ("window", "seconds"),
    ("bucket", "whether the budget grows back bit by bit"),
    ("rate_headers", "whether answers tell of the budget"),
    ("retry_margin", "seconds by which retry-after goes beyond the reset"),
    ("other_requests", "what another consumer takes of each window"),
    ("remote_requests", "the second budget, of remote sessions"),
    ("gzip", "whether bodies are compressed"),
    ("date", "whether answers have one"),
    ("date_skew", "seconds by which it is off"),
    ("order", "whether the feed knows that parameter"),
    ("redacted_from", "from when on names are missing, retroactively"),
    ("quiet_from", "from when on nothing happens: a long silence; the hour that has begun is made already"),
    ("content_lag", "seconds by which chats and the like are behind the feed"),
    ("transcript_retention", "seconds local transcripts are kept; negative for six years"),
    ("local_sessions", "whether there are any"),
    ("walk_lifetime", "seconds a walk through a transcript may take"),
    ("page_bytes", "the most bytes in a page of a transcript"),
];

/// The shapes of odd records.
pub(crate) const SHAPES: &str = "unknown_type, unknown_actor, unknown_block, extra_field, null_string, missing_field, \
no_fraction, milliseconds, microseconds, offset, long_string, lone_surrogate, huge_integer";

/// The control routes.
pub(crate) const CONTROL: [(&str, &str); 12] = [
    ("GET", "time, keys and counts"),
    ("POST clock", "{\"advance_seconds\": 60} or {\"times\": 10}"),
    ("GET faults", "those that may still act"),
    ("POST faults", "more of them, as in a script"),
    ("DELETE faults", "none any more"),
    ("GET truth", "every record with the times it happened, says and is shown at"),
    ("GET requests", "every request and how it was answered"),
    ("POST keys", "{\"name\": \"activities\", \"state\": \"revoked\"}; or active, expired"),
    ("POST activities", "an activity, as in a script"),
    ("POST settings", "modes"),
    ("POST erase", "{\"id\": …} of a chat, file, project or session, for good"),
    ("POST script", "a whole script"),
];

/// The keys of an activity in a script.
pub(crate) const ACTIVITY: &str = "type, occurred, created, indexed, shown_after_seconds, count, tied_with, beside (before, \
after), fields, raw";

/// All of it, for people.
#[must_use]
pub fn guide() -> String {
    let mut out = String::new();
    let mut part = |title: &str, lines: &[(&str, &str)]| {
        let width = lines.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{title}:");
        for (name, meaning) in lines {
            let _ = writeln!(out, "  {name:<width$}  {meaning}");
        }
        out.push('\n');
    };
    part("Routes after /v1/compliance, and the scope that opens each", &ROUTES);
    part("Kinds of faults in a script, TOML [[fault]] or JSON lines {\"kind\": …}", &FAULTS);
    part("Modes in a script, TOML [settings] or a JSON line {\"settings\": {…}}", &SETTINGS);
    part("Routes below /_control/, for this machine alone", &CONTROL);
    let _ = writeln!(out, "Shapes of odd records: {SHAPES}\n");
    let _ = writeln!(out, "No TLS is spoken: who asks by https:// has a handshake that fails\n");
    let _ = write!(
        out,
        "Keys of an activity in a script, TOML [[activity]] or a JSON line with `type`: {ACTIVITY}"
    );
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::api::{Change, Event, FaultKind, Shape};
    use serde::Deserialize;

    /// What serde says that it knows, when it is given what it does not know.
    fn known<'d, T: Deserialize<'d>>(text: &'d str) -> BTreeSet<String> {
        let error = serde_json::from_str::<T>(text).err().unwrap().to_string();
        let (_, names) = error.split_once("expected").unwrap();
        names.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    }

    fn named(list: &[(&str, &str)]) -> BTreeSet<String> {
        list.iter().map(|(name, _)| (*name).to_owned()).filter(|name| !name.is_empty()).collect()
    }

    #[test]
    fn the_guide_offers_what_there_is() {
        assert_eq!(named(&FAULTS), known::<FaultKind>("\"earthquake\""));
        assert_eq!(named(&SETTINGS), known::<Change>("{\"colour\":1}"));
        let list = |text: &str| text.split(", ").map(str::to_owned).collect::<BTreeSet<_>>();
        assert_eq!(list(SHAPES), known::<Shape>("\"round\""));
        let activity = list(&ACTIVITY.replace(" (before, after)", ""));
        assert_eq!(activity, known::<Event>("{\"colour\":1}"));
        let keys = known::<crate::api::Fault>("{\"colour\":1}");
        let told: String = FAULTS.iter().map(|(_, meaning)| *meaning).collect();
        for key in keys.iter().filter(|key| *key != "kind") {
            assert!(told.contains(key.as_str()), "{key} is told nowhere");
        }
    }

    #[test]
    fn every_route_is_there_and_opened_by_its_scope() {
        for (path, scope) in
            ROUTES.iter().filter(|(path, _)| !path.starts_with("DELETE") && *path != "/activities")
        {
            for path in [path.replace("[/content]", ""), path.replace("[/content]", "/content")] {
                let route = crate::api::routes::Route::of("GET", &path);
                assert_eq!(route.map(|route| route.scope()), Some(*scope), "{path}");
            }
        }
    }

    #[test]
    fn every_control_route_answers() {
        use crate::api::{Control, Pace, Request, Settings, Simulation, Tenant};
        let simulation = Simulation::new(Settings { tenant: Tenant::empty(), ..Settings::default() });
        let control = Control::new(simulation, Pace::Stepped(0));
        for (name, _) in CONTROL {
            let (method, path) = name.split_once(' ').unwrap_or((name, ""));
            let request = Request { method: method.into(), ..Request::get(&format!("/_control/{path}")) };
            let answer = control.route(&request, "");
            let missed = answer.json()["error"].as_str().is_some_and(|error| error.contains("there are"));
            assert!(!missed, "{name}");
        }
        let missed = control.route(&Request::get("/_control/weather"), "").json();
        let missed = missed["error"].as_str().unwrap();
        for (name, _) in CONTROL.iter().skip(1) {
            assert!(missed.contains(name.split(' ').next_back().unwrap()), "{name}");
        }
        assert!(guide().contains("cursor_expired") && guide().contains("https://"));
    }
}
