//! Which kinds of actor fit an activity type by its meaning.
//!
//! The vendor allows any kind for any type; these are the likely ones. Rules go by name, so a type
//! of a later edition gets a sensible answer too.

/// Actor kinds with weights.
pub(crate) type Kinds = &'static [(&'static str, u64)];

const PEOPLE: Kinds = &[("user_actor", 1)];
const ANYBODY: Kinds = &[("user_actor", 9), ("unauthenticated_user_actor", 1)];
const NOT_SIGNED_IN: Kinds = &[("unauthenticated_user_actor", 1)];
const API_READERS: Kinds = &[("api_actor", 1)];
const STAFF: Kinds = &[("anthropic_actor", 1)];
const STAFF_OR_SYSTEM: Kinds = &[("anthropic_actor", 2), ("system_actor", 1), ("user_actor", 1)];
const SYSTEM: Kinds = &[("system_actor", 1)];
const DIRECTORY: Kinds = &[("scim_directory_sync_actor", 1)];
const GROUPS: Kinds = &[("user_actor", 5), ("scim_directory_sync_actor", 3), ("admin_api_key_actor", 1)];
const ADMINISTRATORS: Kinds = &[("user_actor", 4), ("admin_api_key_actor", 1)];
const DEVICES: Kinds = &[("attested_device_actor", 1)];
const TRUSTED_DEVICES: Kinds = &[("user_actor", 3), ("attested_device_actor", 1)];
const WORKLOADS: Kinds =
    &[("federated_identity_actor", 3), ("federated_actor", 2), ("service_account_actor", 1)];
const AGENTS: Kinds = &[("user_actor", 5), ("system_actor", 2), ("service_account_actor", 1)];
const PLATFORM: Kinds = &[
    ("user_actor", 5),
    ("admin_api_key_actor", 2),
    ("service_account_actor", 2),
    ("api_actor", 1),
    ("federated_identity_actor", 1),
    ("federated_actor", 1),
];

/// The likely kinds of actor for an activity type, the likeliest first.
pub(crate) fn fitting(activity_type: &str) -> Kinds {
    let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| activity_type.starts_with(prefix));
    let ends = |suffixes: &[&str]| suffixes.iter().any(|suffix| activity_type.ends_with(suffix));
    match activity_type {
        "compliance_api_accessed" => API_READERS,
        "anthropic_access" | "cmek_preserve" | "org_creation_blocked" | "org_deleted_via_bulk" => STAFF,
        "platform_federated_authentication" => WORKLOADS,
        "platform_app_attest_authentication" => DEVICES,
        "anonymous_mobile_login_attempted" | "phone_code_sent" | "sso_second_factor_magic_link" => {
            NOT_SIGNED_IN
        }
        "abuse_decision_received" | "org_data_export_completed" | "subscription_renewed" => SYSTEM,
        "org_bulk_delete_initiated" | "extra_usage_credit_granted" => STAFF_OR_SYSTEM,
        _ if starts(&["scim_"]) => DIRECTORY,
        _ if ends(&["_login_failed", "_login_initiated"]) => NOT_SIGNED_IN,
        _ if ends(&[
            "_audit_truncated",
            "_security_scan_completed",
            "_signature_invalid",
            "_tripped",
            "_failed_open",
        ]) =>
        {
            SYSTEM
        }
        _ if starts(&["org_taint_", "org_directory_resync_", "org_sync_"]) => STAFF_OR_SYSTEM,
        _ if ends(&["_access_failed", "snapshot_viewed", "artifact_viewed", "share_accessed"]) => ANYBODY,
        _ if starts(&["trusted_device_", "step_up_"]) => TRUSTED_DEVICES,
        _ if starts(&["group_", "org_directory_sync_", "org_sso_connection_"]) => GROUPS,
        _ if starts(&["ccr_"]) => AGENTS,
        _ if starts(&["platform_"]) => PLATFORM,
        _ if starts(&[
            "admin_",
            "api_key_",
            "claude_user_",
            "org_",
            "rbac_",
            "role_",
            "scoped_",
            "service_",
        ]) =>
        {
            ADMINISTRATORS
        }
        _ => PEOPLE,
    }
}

/// True for activities that no organization is named for: sign-in, sign-out, Compliance API calls.
pub(crate) fn is_without_organization(activity_type: &str) -> bool {
    let prefixes =
        ["sso_login_", "sso_second_factor", "magic_link_", "social_login_", "phone_code_", "anonymous_"];
    matches!(activity_type, "user_logged_out" | "compliance_api_accessed")
        || prefixes.iter().any(|prefix| activity_type.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use model::catalog::Catalog;

    use super::*;

    #[test]
    fn every_kind_fits_some_type_and_no_kind_is_invented() {
        let catalog = Catalog::builtin();
        let fit: BTreeSet<_> =
            catalog.activities.keys().flat_map(|name| fitting(name)).map(|(kind, _)| *kind).collect();
        assert!(fit.iter().copied().eq(catalog.actors.keys().map(String::as_str)), "{fit:?}");
    }
}
