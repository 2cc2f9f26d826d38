//! Privacy, shown from outside: what is to be treated is nowhere in the document, and nothing else is different.
//!
//! The yardstick is slow and its own: it walks a record as a tree and asks the table for each path ([`Personal`]), where the mapper
//! has a compiled tree and rewrites bytes. What both are asked of the same way is only what looks like an e-mail or IP address.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, OnceLock};

use mapper::{Action, Mapper, MapperOptions, Mapping, Privacy, PrivacyOptions, PrivacyRule, Tags};
use model::settings::Secret;
use model::tables::{Class, FieldPath, Personal, PersonalRow, Segment, Tables, personal};
use proptest::prelude::*;

use crate::json::Json;
use crate::properties::for_all;
use crate::{mutations, world};

const KEY: &str = "a key that is no secret";
/// See there.
const OFTEN: usize = 18;

fn everything(action: Action) -> PrivacyOptions {
    PrivacyOptions {
        classes: Class::ALL.map(|class| (class, action)).into(),
        rules: Vec::new(),
        key: Some(Secret::new(KEY)),
    }
}

fn rule(fields: &[&str], types: &[&str], action: Action) -> PrivacyRule {
    let texts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    PrivacyRule { fields: texts(fields), activity_types: texts(types), action }
}

fn mapper_with(options: &PrivacyOptions, others: MapperOptions) -> Mapper {
    let privacy = Privacy::new(options, &Tables::builtin()).unwrap().map(Arc::new);
    Mapper::new(Arc::new(Mapping::new(Tables::builtin(), world::geo(), MapperOptions { privacy, ..others })))
}

fn mapper(options: &PrivacyOptions) -> Mapper {
    mapper_with(options, MapperOptions::default())
}

/// The settings that golden documents are made with.
fn settings() -> Vec<(&'static str, PrivacyOptions)> {
    let rules = PrivacyOptions {
        classes: [(Class::Email, Action::Hash), (Class::FileName, Action::Drop)].into(),
        rules: vec![
            rule(&["filename"], &["claude_file_*"], Action::Truncate),
            rule(&["filename"], &["claude_file_viewed"], Action::Keep),
            rule(&["actor.email_address"], &["platform_*", "claude_artifact_published"], Action::Keep),
            rule(&["claude_project_id", "updates.previous_value", "status_code"], &[], Action::Hash),
            rule(&["updates[latex_enabled].current_value"], &[], Action::Drop),
        ],
        key: Some(Secret::new(KEY)),
    };
    vec![
        ("drop", everything(Action::Drop)),
        ("hash", everything(Action::Hash)),
        ("truncate", everything(Action::Truncate)),
        ("rules", rules),
    ]
}

/// Golden documents: `records/<case>.in.json` under each of the settings.
#[test]
fn treated_documents_are_as_committed() {
    let folder = world::root("tests/golden/privacy");
    let is_update = std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1");
    let entries = fs::read_dir(folder.join("records")).unwrap();
    let names: BTreeSet<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let mut different = Vec::new();
    for (setting, options) in settings() {
        let mut mapper = mapper(&options);
        fs::create_dir_all(folder.join(setting)).unwrap();
        for name in &names {
            let raw = fs::read_to_string(folder.join("records").join(name)).unwrap();
            let document = world::document_of(&mut mapper, raw.trim_end().as_bytes());
            let printed = Json::read(std::str::from_utf8(&document).unwrap()).pretty();
            let out = folder.join(setting).join(name.replace(".in.json", ".out.json"));
            if is_update {
                fs::write(&out, printed).unwrap();
            } else if fs::read_to_string(&out).unwrap_or_default() != printed {
                different.push(format!("{}\n{printed}", out.display()));
            }
        }
        let made = fs::read_dir(folder.join(setting)).unwrap().count();
        assert_eq!(made, names.len(), "a document without its record in {setting}");
    }
    assert!(
        different.is_empty(),
        "if the new documents are right, rewrite them with UPDATE_GOLDEN=1\n{}",
        different.join("\n")
    );
}

/// What a record says of persons, and what it says else.
struct Found {
    activity_type: String,
    personal: BTreeSet<String>,
    other: String,
}

impl Found {
    fn of(raw: &str) -> Self {
        let record = Json::read(raw);
        let activity_type = record.get("type").and_then(Json::text).unwrap_or_default().to_owned();
        let mut found = Self { activity_type, personal: BTreeSet::new(), other: String::new() };
        found.walk(&record, &FieldPath(Vec::new()), false);
        found
    }

    fn walk(&mut self, value: &Json, path: &FieldPath, is_inside: bool) {
        let is_personal = is_inside || self.is_personal(path);
        match value {
            Json::Object(members) => {
                let mut path = path.clone();
                if let (Some(last), Some(tag)) = (path.0.last_mut(), value.get("type").and_then(Json::text)) {
                    last.variant = Some(tag.to_owned());
                }
                for (key, value) in members {
                    let mut path = path.clone();
                    path.0.push(Segment { key: key.clone(), variant: None });
                    self.walk(value, &path, is_personal);
                }
            }
            Json::Array(items) => items.iter().for_each(|item| self.walk(item, path, is_personal)),
            Json::Text(text) if is_personal || self.is_given_away(path, text) => {
                self.personal.insert(text.clone());
            }
            Json::Text(text) => {
                self.other.push_str(text);
                self.other.push('\n');
            }
            _ => {}
        }
    }

    fn decision(&self, path: &FieldPath) -> Option<Personal> {
        static ROWS: OnceLock<Vec<PersonalRow>> = OnceLock::new();
        static KNOWN: Mutex<BTreeMap<(String, String), Option<Personal>>> = Mutex::new(BTreeMap::new());
        let key = (path.to_string(), self.activity_type.clone());
        let mut known = KNOWN.lock().unwrap();
        let decide = || personal(ROWS.get_or_init(PersonalRow::builtin), path, &self.activity_type);
        *known.entry(key).or_insert_with(decide)
    }

    fn is_personal(&self, path: &FieldPath) -> bool {
        matches!(self.decision(path), Some(Personal::Is(_)))
    }

    /// Whether a text gives itself away there.
    fn is_given_away(&self, path: &FieldPath, text: &str) -> bool {
        match self.decision(path) {
            Some(Personal::Fixed) => false,
            Some(Personal::Version) => looks_personal(text) && text.contains('@'),
            _ => looks_personal(text),
        }
    }

    /// Texts that no document may have: long enough not to be found by chance, and said by nothing else in the record.
    fn secrets(&self) -> impl Iterator<Item = String> + '_ {
        let halves = self.personal.iter().filter_map(|text| text.rsplit_once('@').map(|(local, _)| local));
        let texts = self.personal.iter().map(String::as_str).chain(halves);
        texts.filter(|text| text.len() >= 6 && !self.other.contains(text)).map(str::to_owned)
    }
}

/// A look-up of its own; the generator makes no other forms.
fn looks_personal(text: &str) -> bool {
    let is_email = text.split_once('@').is_some_and(|(local, domain)| {
        !local.contains(['/', ':', ' '])
            && !local.is_empty()
            && domain.contains('.')
            && !domain.contains([' ', '/', ':', '@'])
    });
    is_email || text.parse::<IpAddr>().is_ok()
}

fn demand_none_left(raw: &str, document: &[u8], secrets: &mut usize) {
    let document = std::str::from_utf8(document).unwrap();
    for secret in Found::of(raw).secrets() {
        *secrets += 1;
        let escaped = serde_json::to_string(&secret).unwrap();
        let escaped = escaped.trim_matches('"');
        if document.contains(&secret) || document.contains(escaped) {
            // Some words are the program's own: `default` is also a namespace.
            let without = world::document_of(&mut world::mapper(), dropped(raw).0.as_bytes());
            let is_ours = String::from_utf8(without).unwrap().contains(&secret);
            assert!(is_ours, "`{secret}` is left\n  record: {raw}\n  document: {document}");
        }
    }
}

/// Every type in every shape, every variant and actor kind, with what says most of the record: the original and its hash.
#[test]
fn nothing_personal_is_left_of_a_catalog_record() {
    let others = || MapperOptions { preserve_original: true, event_hash: true, ..MapperOptions::default() };
    let mut mappers = [Action::Drop, Action::Hash].map(|action| mapper_with(&everything(action), others()));
    let (mut records, mut secrets) = (0, 0);
    for (seed, activity_type) in (0..).zip(world::catalog().activities.keys()) {
        for raw in world::generator(seed).records_for(activity_type) {
            records += 1;
            for mapper in &mut mappers {
                let document = world::document_of(mapper, raw.as_bytes());
                demand_none_left(&raw, &document, &mut secrets);
            }
        }
    }
    for (seed, kind) in (0..).zip(world::catalog().actors.keys()) {
        for actor in world::generator(seed).actors_for(kind) {
            let raw = world::generator(seed).draft("claude_project_viewed").actor_json(&actor).finish();
            for mapper in &mut mappers {
                let document = world::document_of(mapper, raw.as_bytes());
                demand_none_left(&raw, &document, &mut secrets);
            }
        }
    }
    assert!(records > 5_000 && secrets > 20_000, "{records} records, {secrets} secrets");
}

/// Places of the catalog that say something of a person for sure, written down by hand: this does not come from the table, so that
/// a row that is missing or wrong is found.
const FOR_SURE: &[(Class, &str, &str)] = &[
    (Class::Email, "claude_project_viewed", "actor.email_address"),
    (Class::Email, "sso_login_failed", "actor.unauthenticated_email_address"),
    (Class::Email, "claude_user_role_updated", "user_email"),
    (Class::Email, "platform_organization_created", "admin_email"),
    (Class::Email, "org_user_deleted", "deleted_user_email"),
    (Class::Email, "org_user_invite_sent", "invited_email"),
    (Class::Email, "admin_setup_checklist_step_delegated", "delegate_email"),
    (Class::Email, "role_assignment_granted", "target_email"),
    (Class::Email, "claude_artifact_invite_accepted", "invitee_email"),
    (Class::Email, "platform_spend_limit_alert_emails_updated", "alert_emails"),
    (Class::Address, "claude_project_viewed", "actor.ip_address"),
    (Class::UserAgent, "claude_project_viewed", "actor.user_agent"),
    (Class::FileName, "claude_file_uploaded", "filename"),
    (Class::FileName, "claude_file_exported", "filename"),
    (Class::FileName, "claude_code_user_memory_updated", "keys_written"),
    (Class::Name, "claude_user_settings_updated", "updates[full_name].current_value"),
    (Class::Name, "claude_user_settings_updated", "updates[full_name].previous_value"),
    (Class::Name, "claude_user_settings_updated", "updates[display_name].current_value"),
    (Class::Name, "claude_user_settings_updated", "updates.current_value"),
    (Class::Name, "claude_user_settings_updated", "updates.previous_value"),
    (Class::Name, "a_type_of_tomorrow_updated", "updates[nickname].current_value"),
    (Class::Name, "a_type_of_tomorrow_updated", "updates[first_name].previous_value"),
    (Class::Name, "github_token_import", "github_username"),
    (Class::Name, "github_app_installation_linked", "github_account_login"),
    (Class::Name, "claude_code_review_repository_added", "repo_owner"),
    (Class::Name, "claude_github_integration_created", "organization_name"),
    (Class::Name, "ccr_agent_proxy_anthropic_oidc_token_exchanged", "role_session_name"),
    (Class::Name, "platform_api_key_created", "actor.subject"),
    (Class::Name, "platform_api_key_created", "actor.provider.signed_principal"),
    (Class::Name, "platform_federated_authentication", "event_data.oidc_token.claims.sub"),
    (Class::Name, "platform_federated_authentication", "event_data.oidc_token.claims.name"),
    (Class::Name, "platform_federated_authentication", "event_data.oidc_token.claims.actor"),
    (Class::Name, "platform_federated_authentication", "event_data.oidc_token.claims.unique_name"),
    (Class::Name, "platform_federated_authentication", "event_data.oidc_token.claims.repository_owner"),
    (Class::Name, "platform_federated_authentication", "event_data.oidc_token.claims.ref"),
    (Class::Name, "platform_federated_authentication", "event_data.oidc_token.claims.head_ref"),
    (Class::Name, "platform_federation_rule_created", "match_subject_prefix"),
    (Class::Name, "platform_federation_rule_updated", "updates[match_subject_prefix].current_value"),
    (Class::Title, "claude_artifact_published", "title"),
    (Class::Title, "claude_artifact_published", "description"),
    (Class::Title, "ccr_agent_created", "display_name"),
    (Class::Title, "claude_code_runner_pool_updated", "previous_display_name"),
    (Class::Title, "claude_code_runner_pool_secret_minted", "label"),
    (Class::Title, "claude_chat_sync_source_created", "resource_descriptor"),
    (Class::Title, "inference_hooks_config_updated", "deny_message"),
    (Class::Title, "org_external_key_updated", "updates[display_name].current_value"),
    (Class::Title, "platform_service_account_updated", "updates[description].previous_value"),
    (Class::Body, "compliance_api_accessed", "request_body"),
    (Class::Body, "platform_federated_authentication", "status.detail"),
    (Class::Body, "platform_federation_rule_updated", "updates[match_claims].current_value"),
    (Class::Body, "platform_federation_rule_updated", "updates[match_condition].previous_value"),
    (Class::Body, "platform_federation_rule_updated", "updates[attributes].current_value"),
    (Class::Body, "org_cowork_otlp_settings_updated", "new_otlp_resource_attributes"),
    (Class::Body, "org_cowork_otlp_settings_updated", "previous_otlp_resource_attributes"),
    (Class::Body, "claude_user_settings_updated", "updates[cowork_global_instructions].current_value"),
    (Class::Body, "a_type_of_tomorrow_created", "admin_note"),
    (Class::Body, "a_type_of_tomorrow_created", "commit_message"),
    (Class::Url, "claude_code_security_webhook_created", "url"),
    (Class::Url, "inference_hooks_config_updated", "webhook_url"),
    (Class::Url, "platform_federation_issuer_created", "issuer_url"),
    (Class::Url, "platform_federation_issuer_updated", "updates[jwks_url].current_value"),
    (Class::Url, "ccr_agent_created", "default_source_urls"),
    (Class::Url, "org_cowork_otlp_settings_updated", "new_otlp_endpoint"),
];

/// A record of a type that says something in one field.
fn saying(activity_type: &str, path: &FieldPath, said: &str) -> String {
    let mut value = serde_json::json!(said);
    for (at, segment) in path.0.iter().enumerate().rev() {
        value = serde_json::json!({ &segment.key: value });
        let holder = at.checked_sub(1).and_then(|at| path.0.get(at));
        if let Some(variant) = holder.and_then(|holder| holder.variant.as_ref()) {
            value["type"] = serde_json::json!(variant);
        }
        if holder.is_some_and(|holder| holder.key == "updates") {
            value = serde_json::json!([value]);
        }
        if holder.is_some_and(|holder| holder.key == "actor") {
            value["type"] = serde_json::json!("an_actor_of_tomorrow");
        }
    }
    value["id"] = serde_json::json!("activity_01");
    value["type"] = serde_json::json!(activity_type);
    value["created_at"] = serde_json::json!("2026-10-05T09:15:02Z");
    value.to_string()
}

#[test]
fn what_is_personal_for_sure_is_treated_by_its_class() {
    // As no field looks, so that only the field can tell.
    const SAID: &str = "Zebulon Quux says so";
    let mut all = mapper(&everything(Action::Drop));
    let mut one = Class::ALL.map(|class| {
        let classes = [(class, Action::Drop)].into();
        mapper(&PrivacyOptions { classes, ..PrivacyOptions::default() })
    });
    let mut wrong = Vec::new();
    for (class, activity_type, path) in FOR_SURE {
        let raw = saying(activity_type, &path.parse().unwrap(), SAID);
        let says = |mapper: &mut Mapper| {
            String::from_utf8(world::document_of(mapper, raw.as_bytes())).unwrap().contains("Quux")
        };
        assert!(says(&mut world::mapper()), "not even there without privacy: {raw}");
        if says(&mut all) {
            wrong.push(format!("{path} of {activity_type} is left"));
        } else if says(&mut one[*class as usize]) {
            wrong.push(format!("{path} of {activity_type} is no {}", class.as_str()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The record as the yardstick drops what is personal in it.
fn dropped(raw: &str) -> (String, bool) {
    fn walk(found: &Found, value: &Json, path: &FieldPath, is_inside: bool, any: &mut bool) -> Json {
        let is_personal = is_inside || found.is_personal(path);
        let is_value = !matches!(value, Json::Null | Json::Bool(_)) && *value != Json::Text(String::new());
        match value {
            Json::Array(items) if items.is_empty() => value.clone(),
            Json::Object(members) if members.is_empty() => value.clone(),
            Json::Array(_) | Json::Object(_) if is_personal => {
                *any = true;
                Json::Null
            }
            Json::Object(members) => {
                let mut path = path.clone();
                if let (Some(last), Some(tag)) = (path.0.last_mut(), value.get("type").and_then(Json::text)) {
                    last.variant = Some(tag.to_owned());
                }
                let member = |(key, value): &(String, Json)| {
                    let mut path = path.clone();
                    path.0.push(Segment { key: key.clone(), variant: None });
                    (key.clone(), walk(found, value, &path, is_personal, any))
                };
                Json::Object(members.iter().map(member).collect())
            }
            Json::Array(items) => {
                Json::Array(items.iter().map(|item| walk(found, item, path, is_personal, any)).collect())
            }
            Json::Text(text)
                if is_value
                    && found.decision(path) != Some(Personal::Fixed)
                    && (is_personal || found.is_given_away(path, text)) =>
            {
                *any = true;
                Json::Null
            }
            Json::Number(_) if is_personal => {
                *any = true;
                Json::Null
            }
            _ => value.clone(),
        }
    }
    let mut any = false;
    let record = walk(&Found::of(raw), &Json::read(raw), &FieldPath(Vec::new()), false, &mut any);
    (record.to_string(), any)
}

/// Nothing but what is personal is treated: the document is that of a record from which the yardstick dropped it.
#[test]
fn nothing_else_is_different() {
    let (mut plain, mut private) = (world::mapper(), mapper(&everything(Action::Drop)));
    for (seed, activity_type) in (0..).zip(world::catalog().activities.keys()) {
        for raw in world::generator(seed).records_for(activity_type) {
            let (expected, any) = dropped(&raw);
            let expected = world::document_of(&mut plain, expected.as_bytes());
            let found = world::document_of(&mut private, raw.as_bytes());
            let found = String::from_utf8(found).unwrap();
            assert_eq!(found.contains("privacy_dropped"), any, "{raw}");
            let found =
                found.replace(",\"tags\":[\"privacy_dropped\"]", "").replace(",\"privacy_dropped\"", "");
            assert_eq!(found, String::from_utf8(expected).unwrap(), "{raw}");
        }
    }
}

/// Looks at every value of a record and treats none.
fn idle() -> PrivacyOptions {
    PrivacyOptions {
        rules: vec![
            rule(&["metadata.nobody_has_this"], &[], Action::Drop),
            rule(&["filename"], &["abuse_decision_received", "claude_file_uploaded"], Action::Keep),
        ],
        ..everything(Action::Keep)
    }
}

fn same_as_plain(plain: &mut Mapper, idle: &mut Mapper, raw: &[u8]) -> Result<(), TestCaseError> {
    let (mut expected, mut found) = (Vec::new(), Vec::new());
    let first =
        world::try_map(plain, raw, &mut expected).map(|mapped| (mapped.event_id.to_owned(), mapped.tags));
    let second =
        world::try_map(idle, raw, &mut found).map(|mapped| (mapped.event_id.to_owned(), mapped.tags));
    // What is too deep to be looked at is dropped, and nothing else.
    if second.as_ref().is_ok_and(|(_, tags)| tags.contains(Tags::PRIVACY_DROPPED)) {
        prop_assert!(first.is_ok() && depth(raw) > mapper::MAX_DEPTH);
        return Ok(());
    }
    prop_assert_eq!(first, second);
    prop_assert!(expected == found, "not the same bytes: {}", String::from_utf8_lossy(raw));
    Ok(())
}

/// How deep brackets nest.
fn depth(raw: &[u8]) -> usize {
    let (mut depth, mut most, mut in_string, mut is_escaped) = (0_usize, 0, false, false);
    for byte in raw {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => depth -= 1,
            _ => {}
        }
        most = most.max(depth);
    }
    most
}

#[test]
fn where_nothing_is_to_be_treated_nothing_changes() {
    assert!(Privacy::new(&everything(Action::Keep), &Tables::builtin()).unwrap().is_none());
    world::with_room(|| {
        let (plain, idle) = (RefCell::new(world::mapper()), RefCell::new(mapper(&idle())));
        let same = |raw: &[u8]| same_as_plain(&mut plain.borrow_mut(), &mut idle.borrow_mut(), raw);
        for (seed, activity_type) in (0..).zip(world::catalog().activities.keys()) {
            for raw in world::generator(seed).records_for(activity_type) {
                same(raw.as_bytes()).unwrap();
            }
        }
        for_all(1_500, mutations::mutated_record(), |raw| same(raw.as_bytes()));
        for_all(1_500, mutations::any_json(), |value| {
            let mut raw = String::new();
            value.write(&mut raw);
            same(raw.as_bytes())
        });
        for_all(4_000, mutations::nearly_json(), |bytes| same(&bytes));
    });
}

/// Whatever is refused is refused for the same reason and at the same place as without privacy; nothing panics, and all else is
/// mapped.
#[test]
fn any_bytes_are_treated_or_refused_as_ever() {
    world::with_room(|| {
        let plain = RefCell::new(world::mapper());
        let private = RefCell::new(
            [Action::Drop, Action::Hash, Action::Truncate].map(|action| mapper(&everything(action))),
        );
        let same = |raw: &[u8]| {
            let mut out = Vec::new();
            let expected = world::try_map(&mut plain.borrow_mut(), raw, &mut out).map(|_| ());
            for mapper in private.borrow_mut().iter_mut() {
                let found = world::try_map(mapper, raw, &mut out).map(|_| ());
                prop_assert_eq!(&found, &expected, "{}", String::from_utf8_lossy(raw));
                prop_assert!(found.is_err() || crate::json::is_json(&out));
            }
            Ok(())
        };
        for_all(1_500, mutations::mutated_record(), |raw| same(raw.as_bytes()));
        for_all(4_000, mutations::nearly_json(), |bytes| same(&bytes));
        for_all(1_000, prop::collection::vec(any::<u8>(), 0..40), |bytes| same(&bytes));
        let names = ["file-uploaded", "unknown-type", "escapes-and-duplicates", "user-settings-updated"];
        for name in names {
            let path = world::root(&format!("tests/golden/privacy/records/{name}.in.json"));
            let record = fs::read(path).unwrap();
            for end in 0..=record.len() {
                same(&record[..end]).unwrap();
            }
            for_all(1_500, (any::<prop::sample::Index>(), any::<u8>()), |(at, byte)| {
                let mut record = record.clone();
                let at = at.index(record.len());
                record[at] = byte;
                same(&record)
            });
        }
    });
}

/// A treated record is written by plans as any other, with the same bytes.
#[test]
fn plans_change_nothing() {
    for action in [Action::Hash, Action::Truncate] {
        let (mut used, mut fresh) = (mapper(&everything(action)), mapper(&everything(action)));
        fresh.use_plans(false);
        for (seed, activity_type) in (0..).zip(world::catalog().activities.keys().step_by(4)) {
            for raw in world::generator(seed).records_for(activity_type).iter().take(6) {
                let (mut expected, mut found) = (Vec::new(), Vec::new());
                let tags = world::try_map(&mut fresh, raw.as_bytes(), &mut expected).unwrap().tags;
                for _ in 0..OFTEN {
                    let same = world::try_map(&mut used, raw.as_bytes(), &mut found).unwrap().tags;
                    assert!(same == tags && found == expected, "not the same: {raw}");
                }
            }
        }
        let statistics = used.plan_statistics();
        assert!(statistics.planned > 2 * statistics.general, "{statistics:?}");
    }
}

/// One person and one machine are one hash, in whatever field and spelling; another key makes others.
#[test]
fn what_is_hashed_can_still_be_followed() {
    let read = |name: &str, mapper: &mut Mapper| {
        let raw = fs::read_to_string(world::root(&format!("tests/golden/privacy/records/{name}.in.json")));
        let document = world::document_of(mapper, raw.unwrap().trim_end().as_bytes());
        Json::read(std::str::from_utf8(&document).unwrap())
    };
    let mut mapper = mapper(&everything(Action::Hash));
    let text =
        |document: &Json, path: &str| document.at(path).and_then(Json::text).unwrap_or_default().to_owned();
    let (upload, view) = (read("file-uploaded", &mut mapper), read("file-viewed", &mut mapper));
    assert!(text(&upload, "user.email").starts_with("hmac_"));
    for path in ["user.email", "source.address", "anthropic.audit.filename"] {
        assert_eq!(text(&upload, path), text(&view, path), "{path}");
    }
    let federated = read("federated", &mut mapper);
    assert_eq!(text(&federated, "anthropic.audit.actor.subject"), text(&upload, "user.email"));
    assert_eq!(upload.at("source.ip"), None);
    assert_eq!(upload.at("source.geo"), None);
    assert_eq!(upload.at("tags").unwrap().items(), [Json::Text("privacy_hashed".to_owned())]);
    let options = PrivacyOptions { key: Some(Secret::new("quite another key")), ..everything(Action::Hash) };
    let other = read("file-uploaded", &mut self::mapper(&options));
    assert_ne!(text(&other, "user.email"), text(&upload, "user.email"));
}

/// Of a truncated address only that is known which all of its network has in common; the city of its first address is a neighbour's.
#[test]
fn a_truncated_address_has_no_neighbours_city() {
    let of = |options: &PrivacyOptions, address: &str| {
        let path = "actor.ip_address".parse().unwrap();
        let document =
            world::document_of(&mut mapper(options), saying("x_created", &path, address).as_bytes());
        let document = Json::read(std::str::from_utf8(&document).unwrap());
        let text = |path| document.at(path).and_then(Json::text).unwrap_or_default().to_owned();
        (text("source.ip"), text("source.geo.city_name"), document.at("source.as.number").is_some())
    };
    let made = |ip: &str, city: &str, has_network| (ip.to_owned(), city.to_owned(), has_network);
    let by_rule = |action| PrivacyOptions {
        rules: vec![rule(&["actor.ip_address"], &[], action)],
        ..everything(Action::Keep)
    };
    let by_class = everything(Action::Truncate);
    for options in [&by_class, &by_rule(Action::Truncate)] {
        assert_eq!(of(options, "203.0.113.70"), made("203.0.113.0", "", true));
        assert_eq!(of(options, "2001:db8::7"), made("2001:db8::", "Amsterdam", true));
    }
    let kept = PrivacyOptions { classes: by_class.classes.clone(), ..by_rule(Action::Keep) };
    for options in [&kept, &idle()] {
        assert_eq!(of(options, "203.0.113.70"), made("203.0.113.70", "Paris", true));
    }
    assert_eq!(of(&idle(), "203.0.113.0"), made("203.0.113.0", "Berlin", true));
}

/// Two keys that become the same are one key twice: the last counts, as ever, and the treated original has both.
#[test]
fn keys_that_become_the_same_are_duplicates() {
    let raw = saying("x_created", &"metadata.x".parse().unwrap(), "y")
        .replace(r#""x":"y""#, r#""ada@example.com":"first","bob@example.com":"last""#);
    let document = world::document_of(&mut mapper(&everything(Action::Truncate)), raw.as_bytes());
    let document = String::from_utf8(document).unwrap();
    assert!(document.contains(r#"{"@example.com":"last"}"#), "{document}");
    let document = Json::read(&document);
    let original = document.at("event.original").and_then(Json::text).unwrap();
    assert!(original.contains(r#"{"@example.com":"first","@example.com":"last"}"#), "{original}");
    let tags = document.at("tags").unwrap().to_string();
    assert!(tags.contains("duplicate_key") && tags.contains("privacy_truncated"), "{tags}");
}

/// A hostile record cannot make the treated one grow without end.
#[test]
fn what_is_written_is_bounded() {
    let limit = 1 << 20;
    let mut mapper = mapper_with(
        &everything(Action::Hash),
        MapperOptions { max_record_bytes: limit, preserve_original: true, ..MapperOptions::default() },
    );
    let items = "\"a\",".repeat(limit / 5);
    let raw = format!("{{\"id\":\"a\",\"type\":\"x_created\",\"alert_emails\":[{items}\"b\"]}}");
    let document = world::document_of(&mut mapper, raw.as_bytes());
    assert!(document.len() < 8 * limit, "{} bytes", document.len());
    let tags = Json::read(std::str::from_utf8(&document).unwrap()).at("tags").unwrap().to_string();
    assert!(tags.contains("privacy_hashed") && tags.contains("privacy_dropped"), "{tags}");
    let deep =
        format!("{{\"id\":\"a\",\"x\":{}\"ada@example.com\"{}}}", "[".repeat(200_000), "]".repeat(200_000));
    let document = String::from_utf8(world::document_of(&mut mapper, deep.as_bytes())).unwrap();
    assert!(!document.contains("ada@") && document.contains("privacy_dropped"));
}
