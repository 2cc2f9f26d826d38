//! What happens in the office, scene by scene.
//!
//! Two days, Tuesday 6 and Wednesday 7 October 2026, UTC. Each scene stands alone; the narrator puts
//! everything in order of time.

use super::office::Given::{Json, Text};
use super::office::{Narrator, OFFICE_IP, THIEF_IP, at, object};
use crate::clock::{Micros, SECOND, rfc3339};
use crate::values::tagged_id;

/// What is recorded when a key is switched off.
const SWITCHED_OFF: &str =
    "[{\"current_value\":\"inactive\",\"previous_value\":\"active\",\"type\":\"status\"}]";

/// A minute.
const MINUTE: Micros = 60 * SECOND;

/// The directory brings a newcomer; everybody signs in, one of them on the second try.
pub(super) fn mornings(n: &mut Narrator) {
    let hana = n.person("Hana").user_id.clone();
    let members = format!("[\"{hana}\"]");
    let directory = n.directory();
    n.tell(at(1, "07:41:09"), &directory, "scim_user_created", &[("user_id", Text(&hana))]);
    let (directory, group) = (n.directory(), n.ids.newcomers_group.clone());
    let joined = [("group_id", Text(group.as_str())), ("member_ids", Json(members.as_str()))];
    n.tell(at(1, "07:41:11"), &directory, "group_member_added", &joined);
    for (day, opening) in [(1, "07:55"), (2, "08:02")] {
        for (place, name) in Narrator::first_names().enumerate() {
            let arrives = at(day, opening) + place as i64 * 7 * MINUTE + place as i64 * 11 * SECOND;
            let (claimed, person) = (n.claims_to_be(name, OFFICE_IP), n.at_work(name));
            n.tell(arrives, &claimed, "sso_login_initiated", &[]);
            if name == "Emeka" && day == 1 {
                n.tell(arrives + 9 * SECOND, &claimed, "sso_login_failed", &[]);
                n.tell(arrives + 40 * SECOND, &claimed, "sso_login_initiated", &[]);
            }
            n.tell(arrives + 52 * SECOND, &person, "sso_login_succeeded", &[("auth_method", Text("sso"))]);
        }
    }
    for (day, clock, name) in
        [(1, "17:32:40", "Ines"), (1, "18:05:12", "Lena"), (2, "17:48:03", "Kofi"), (2, "18:20:55", "Sofia")]
    {
        let person = n.at_work(name);
        n.tell(at(day, clock), &person, "user_logged_out", &[]);
    }
}

/// The collector reads the feed every hour; on the second morning it is told to slow down once.
pub(super) fn the_collector_reads(n: &mut Narrator) {
    let (noor, key) = (n.at_work("Noor"), n.ids.collector_key.clone());
    let admin_key = format!("admin_api_key_{key}");
    let scopes = "[\"read:compliance_activities\"]";
    let made = [("admin_api_key_id", Text(admin_key.as_str())), ("scopes", Json(scopes))];
    n.tell(at(1, "09:15:22"), &noor, "admin_api_key_created", &made);
    let enabled =
        [("compliance_api_enabled", Json("true")), ("compliance_api_logging_enabled", Json("true"))];
    n.tell(at(1, "09:16:05"), &noor, "org_compliance_api_settings_updated", &enabled);
    for hour in 10..42_u32 {
        let (day, hour) = (1 + hour / 24, hour % 24);
        let time = at(day, &format!("{hour}:00:30"));
        let since = rfc3339(time - 70 * MINUTE, crate::Precision::Seconds, true).replace(':', "%3A");
        let url = format!(
            "https://api.anthropic.com/v1/compliance/activities?order=asc&limit=5000&created_at.gte={since}"
        );
        let status = if (day, hour) == (2, 9) { "429" } else { "200" };
        let call = [
            ("request_method", Text("GET")),
            ("status_code", Json(status)),
            ("url", Text(url.as_str())),
            ("request_body", Json("null")),
        ];
        let collector = n.collector();
        n.tell(time, &collector, "compliance_api_accessed", &call);
    }
}

/// Priya's team gets a key, a service account and a pipeline that signs in by itself.
pub(super) fn the_platform_is_set_up(n: &mut Narrator) {
    let (tomas, priya) = (n.at_work("Tomas"), n.at_work("Priya"));
    let (workspace, account) = (n.ids.workspace.clone(), n.ids.service_account.clone());
    let key = format!("apikey_{}", n.ids.stolen_key);
    let priya_id = n.person("Priya").user_id.clone();
    let in_workspace = ("workspace_id", Text(workspace.as_str()));
    n.tell(at(1, "10:02:14"), &tomas, "platform_workspace_created", &[in_workspace]);
    let member = [("user_id", Text(priya_id.as_str())), ("workspace_id", Text(workspace.as_str()))];
    n.tell(at(1, "10:03:41"), &tomas, "platform_workspace_member_added", &member);
    let scope = object(&[("type", "workspace"), ("workspace_id", &workspace)]);
    let made = [
        ("api_key_id", Text(key.as_str())),
        ("principal_id", Text(priya_id.as_str())),
        ("principal_type", Text("user")),
        ("scope", Json(scope.as_str())),
    ];
    n.tell(at(1, "10:31:08"), &priya, "platform_api_key_created", &made);
    let role = [("organization_role", Text("developer")), ("service_account_id", Text(account.as_str()))];
    n.tell(at(1, "10:44:57"), &tomas, "platform_service_account_created", &role);
    n.tell(at(1, "11:10:30"), &tomas, "platform_federation_issuer_created", &[]);
    n.tell(at(1, "11:14:02"), &tomas, "platform_federation_rule_created", &[]);
    for (minute, kind) in
        [(20, "federated_identity_actor"), (35, "federated_actor"), (50, "federated_identity_actor")]
    {
        let workload = n.generator.actor(kind, crate::RecordShape::Believable);
        n.tell(at(1, &format!("11:{minute}:00")), &workload, "platform_federated_authentication", &[]);
    }
    for batch in 0..9 {
        let (account, key) = (n.service_account(), n.key_at_work());
        let time = at(1, "13:00:00") + batch * 23 * MINUTE;
        n.tell(time, &account, "platform_file_uploaded", &[]);
        n.tell(time + 4 * SECOND, &key, "platform_agent_session_created", &[]);
    }
    let admin_key = n.generator.actor("admin_api_key_actor", crate::RecordShape::Full);
    n.tell(at(1, "14:20:19"), &admin_key, "platform_workspace_rate_limit_updated", &[in_workspace]);
    n.tell(at(1, "14:20:20"), &admin_key, "platform_workspace_members_listed", &[in_workspace]);
}

/// At night somebody else uses Priya's key; in the morning it is found and revoked.
pub(super) fn a_key_is_stolen(n: &mut Narrator) {
    let workspace = n.ids.workspace.clone();
    let key_id = format!("apikey_{}", n.ids.stolen_key);
    let in_workspace = ("workspace_id", Text(workspace.as_str()));
    let night = at(1, "23:12:04");
    let thief = n.key_stolen();
    n.tell(night, &thief, "platform_workspace_members_listed", &[in_workspace]);
    n.tell(night + 3 * SECOND, &thief, "platform_usage_report_messages_viewed", &[]);
    for file in 0..16 {
        n.tell(night + MINUTE + file * 5 * SECOND, &thief, "platform_file_content_downloaded", &[]);
    }
    let own = n.ids.thiefs_keys[0].clone();
    n.tell(night + 4 * MINUTE, &thief, "platform_api_key_created", &[("api_key_id", Text(&own))]);
    n.tell(night + 9 * MINUTE, &thief, "platform_memory_store_deleted", &[in_workspace]);
    let system = object(&[("type", "system_actor"), ("service", "abuse-detection")]);
    n.tell(at(2, "03:05:51"), &system, "abuse_decision_received", &[("decision", Text("blocked"))]);

    let (noor, tomas) = (n.at_home("Noor"), n.at_work("Tomas"));
    for (clock, id) in [("07:20:33", &key_id), ("07:21:02", &own)] {
        let change = [("api_key_id", Text(id.as_str())), ("updates", Json(SWITCHED_OFF))];
        n.tell(at(2, clock), &noor, "platform_api_key_updated", &change);
    }
    n.tell(at(2, "07:26:40"), &noor, "session_revoked", &[]);
    n.tell(at(2, "07:31:15"), &noor, "audit_log_export_started", &[]);
    n.tell(at(2, "08:40:00"), &tomas, "org_ip_restriction_created", &[]);
    n.tell(at(2, "08:41:27"), &tomas, "platform_signing_key_rotated", &[]);
}

/// Wei, who is about to leave, takes the project along.
pub(super) fn a_mass_export(n: &mut Narrator) {
    let (wei, project) = (n.from("Wei", "198.51.100.203"), n.ids.project.clone());
    let in_project = ("claude_project_id", Text(project.as_str()));
    let start = at(2, "09:31:00");
    n.tell(start, &wei, "claude_project_viewed", &[in_project]);
    for file in 0..26 {
        let time = start + MINUTE + file * 13 * SECOND;
        let id = tagged_id(&mut n.generator.random, "claude_file_");
        let this = ("claude_file_id", Text(id.as_str()));
        if file % 4 == 0 {
            n.tell(
                time,
                &wei,
                "claude_file_viewed",
                &[("claude_file_id", Text(&id)), ("claude_project_id", Text(&project))],
            );
        }
        n.tell(
            time + 2 * SECOND,
            &wei,
            "claude_file_exported",
            &[this, ("export_destination", Text("google_drive"))],
        );
    }
    n.tell(at(2, "09:41:10"), &wei, "org_data_export_started", &[("scope", Text("member_own_data"))]);
    let worker = object(&[("type", "system_actor"), ("service", "export-worker")]);
    n.tell(
        at(2, "09:52:48"),
        &worker,
        "org_data_export_completed",
        &[("export_type", Text("conversations"))],
    );
    n.tell(at(2, "09:54:03"), &wei, "org_data_export_accessed", &[("export_type", Text("conversations"))]);
    let counts = [in_project, ("requested_count", Json("180")), ("audited_count", Json("100"))];
    n.tell(at(2, "09:58:20"), &wei, "claude_project_document_bulk_deletion_audit_truncated", &counts);
    let (mara, wei) = (n.at_work("Mara"), n.person("Wei").clone());
    let gone =
        [("deleted_user_email", Text(wei.email.as_str())), ("deleted_user_id", Text(wei.user_id.as_str()))];
    n.tell(at(2, "10:30:12"), &mara, "org_user_deleted", &gone);
}

/// Single sign-on is switched off "for a test"; within the hour somebody comes in as Kofi.
pub(super) fn sign_on_is_weakened_and_repaired(n: &mut Narrator) {
    let (tomas, noor) = (n.at_work("Tomas"), n.at_work("Noor"));
    let (connection, kofi) = (n.ids.connection.clone(), n.person("Kofi").clone());
    let this = ("connection_id", Text(connection.as_str()));
    n.tell(at(2, "11:00:07"), &tomas, "org_sso_connection_deactivated", &[this]);
    n.tell(at(2, "11:00:31"), &tomas, "org_sso_toggled", &[("enabled", Json("false"))]);
    n.tell(at(2, "11:01:12"), &tomas, "org_magic_link_second_factor_toggled", &[("enabled", Json("false"))]);
    let (unknown, thief) = (n.claims_to_be("Kofi", THIEF_IP), n.thief_as("Kofi"));
    for attempt in 0..5 {
        let time = at(2, "11:17:40") + attempt * 48 * SECOND;
        n.tell(time, &unknown, "magic_link_login_initiated", &[]);
        if attempt < 4 {
            n.tell(time + 20 * SECOND, &unknown, "magic_link_login_failed", &[]);
        } else {
            n.tell(
                time + 31 * SECOND,
                &thief,
                "magic_link_login_succeeded",
                &[("auth_method", Text("magic_link"))],
            );
        }
    }
    let role = |now, before| {
        [
            ("current_role", Text(now)),
            ("previous_role", Text(before)),
            ("user_email", Text(kofi.email.as_str())),
            ("user_id", Text(kofi.user_id.as_str())),
        ]
    };
    let step_up = [("method", Text("webauthn")), ("reason", Text("challenge_rejected"))];
    n.tell(at(2, "11:24:30"), &thief, "step_up_authentication_failed", &step_up);
    n.tell(at(2, "11:26:02"), &thief, "claude_user_role_updated", &role("admin", "user"));
    n.tell(at(2, "11:26:44"), &thief, "org_members_exported", &[]);
    let key = n.ids.thiefs_keys[1].clone();
    let this_key = ("api_key_id", Text(key.as_str()));
    let reads = [this_key, ("scopes", Json("[\"read:compliance_user_data\"]"))];
    n.tell(at(2, "11:27:10"), &thief, "api_key_created", &reads);

    n.tell(at(2, "11:50:00"), &noor, "claude_user_role_updated", &role("user", "admin"));
    let revoked = [
        ("user_id", Text(kofi.user_id.as_str())),
        ("completed", Json("true")),
        ("devices_revoked_count", Json("2")),
        ("sessions_revoked_count", Json("3")),
    ];
    n.tell(at(2, "11:50:41"), &noor, "org_user_trusted_devices_revoked", &revoked);
    let off = [this_key, ("updates", Json(SWITCHED_OFF))];
    n.tell(at(2, "11:51:17"), &noor, "platform_api_key_updated", &off);
    n.tell(at(2, "11:52:09"), &noor, "org_magic_link_second_factor_toggled", &[("enabled", Json("true"))]);
    n.tell(
        at(2, "11:53:30"),
        &noor,
        "org_sso_connection_activated",
        &[this, ("connection_type", Text("OktaSAML"))],
    );
    n.tell(at(2, "11:54:02"), &noor, "org_sso_toggled", &[("enabled", Json("true"))]);
    let settings = "[{\"current_value\":28800,\"previous_value\":2592000,\"type\":\"account_session_duration_seconds\"},\
        {\"current_value\":[\"example.com\"],\"previous_value\":[],\"type\":\"allowed_invite_domains\"},\
        {\"current_value\":false,\"previous_value\":true,\"type\":\"claude_ai_chat_sharing_enabled\"}]";
    n.tell(at(2, "11:58:47"), &noor, "claude_organization_settings_updated", &[("updates", Json(settings))]);
}

/// Anthropic's staff look into what happened; devices are enrolled; the directory removes who left.
pub(super) fn the_afternoon_after(n: &mut Narrator) {
    let staff = "{\"type\":\"anthropic_actor\",\"email_address\":null}";
    let seen = rfc3339(at(2, "10:12:00"), crate::Precision::Seconds, true);
    let reason = [
        ("accessed_at", Text(seen.as_str())),
        ("accessor_department", Text("Safeguards")),
        ("reason_code", Text("incident_response")),
    ];
    // Two messages seen, recorded at the very same time.
    for _ in 0..2 {
        n.tell(at(2, "14:03:00") + 250 * 1_000, staff, "anthropic_access", &reason);
    }
    n.tell(at(2, "14:05:33"), staff, "cmek_preserve", &[]);
    let (kofi, sofia) = (n.at_work("Kofi"), n.at_work("Sofia"));
    let phone = [("enrollment_method", Text("session")), ("platform", Text("android"))];
    n.tell(at(2, "14:30:21"), &kofi, "trusted_device_enrolled", &phone);
    for clock in ["14:31:00", "15:02:17"] {
        let device = n.generator.actor("attested_device_actor", crate::RecordShape::Full);
        n.tell(at(2, clock), &device, "platform_app_attest_authentication", &[]);
    }
    let (directory, wei) = (n.directory(), n.person("Wei").user_id.clone());
    n.tell(at(2, "15:10:05"), &directory, "scim_user_deleted", &[("user_id", Text(&wei))]);
    // Anthropic's own processes act for people from an address that is none.
    let process = n.from("Sofia", "0.0.0.0");
    n.tell(at(2, "15:20:00"), &process, "claude_artifact_created", &[]);
    the_unknown(n, &sofia);
}

/// What no catalog lists yet: a type, a field, an actor kind.
fn the_unknown(n: &mut Narrator, sofia: &str) {
    let canvas = [
        ("claude_canvas_id", Text("claude_canvas_01QpW7bGv2yXk9TzR4mNc8Ld")),
        ("export_format", Text("svg")),
        ("previous_export_format", Json("null")),
        ("page_count", Json("3")),
        ("shared_with", Json("[{\"type\":\"group\",\"group_id\":\"group_01HkT5sVw8ZqYb3NcJ6rXf2P\"}]")),
    ];
    n.tell(at(2, "15:30:44"), sofia, "claude_canvas_exported", &canvas);
    let origin = [("chat_origin", Json("{\"surface\":\"canvas\",\"is_continuation\":true}"))];
    n.tell(at(2, "15:45:12"), sofia, "claude_chat_created", &origin);
    let user = n.person("Sofia").user_id.clone();
    let delegate = object(&[
        ("type", "delegated_agent_actor"),
        ("agent_id", "cagt_01VbN3xRk7LqTf9YwC5mZs2H"),
        ("on_behalf_of_user_id", &user),
        ("ip_address", "2001:db8:40::d7"),
    ]);
    n.tell(at(2, "15:52:36"), &delegate, "claude_file_viewed", &[]);
}
