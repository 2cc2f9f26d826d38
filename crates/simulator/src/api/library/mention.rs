//! What a record says about things: which, and what became of them.
//!
//! Owns the reading of records for that: which field names which kind of thing, and what an activity type does to it. A
//! record that cannot be read mentions nothing.

use std::sync::Arc;

use serde_json::{Map, Value};

/// A kind of thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Chat,
    Project,
    File,
    Document,
    Artifact,
    Group,
    Role,
    /// Somebody with an account, of whom only the leaving is told.
    Person,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Made,
    Changed,
    Renamed,
    Seen,
    Joined,
    Left,
    Ended,
}

/// A thing in a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mention {
    pub(crate) kind: Kind,
    pub(crate) id: String,
    pub(crate) verb: Verb,
    /// Who acted, by id and address, where it is somebody with an account.
    pub(crate) who: Option<(String, String)>,
    pub(crate) name: Option<String>,
    pub(crate) chat: Option<String>,
    pub(crate) project: Option<String>,
    pub(crate) file: Option<String>,
    pub(crate) version: Option<String>,
    /// Ids of members, of a group.
    pub(crate) members: Vec<String>,
}

/// The field that names a kind of thing, and what the types about it start with.
const KINDS: [(Kind, &str, &[&str]); 7] = [
    (Kind::Chat, "claude_chat_id", &["claude_chat_"]),
    (Kind::Project, "claude_project_id", &["claude_project_"]),
    (Kind::File, "claude_file_id", &["claude_project_file_", "claude_file_"]),
    (Kind::Document, "claude_project_document_id", &["claude_project_document_"]),
    (Kind::Artifact, "claude_artifact_id", &["claude_artifact_"]),
    (Kind::Group, "group_id", &["group_"]),
    (Kind::Role, "role_id", &["rbac_role_"]),
];

/// What a record's text after `created_at` mentions.
pub(crate) fn mentions(activity_type: &str, rest: &str) -> Vec<Arc<Mention>> {
    // Most types mention nothing, and a text is searched faster than read.
    let speaks = ["\"claude_", "\"group_id", "\"role_id", "\"deleted_user_id"];
    if !speaks.iter().any(|key| rest.contains(key)) && activity_type != "org_user_left" {
        return Vec::new();
    }
    let object = format!("{{{}", rest.trim_start_matches(','));
    let Ok(record) = serde_json::from_str::<Map<String, Value>>(&object) else { return Vec::new() };
    let text = |name: &str| record.get(name).and_then(Value::as_str).map(str::to_owned);
    let actor = |name: &str| record.get("actor")?.get(name)?.as_str().map(str::to_owned);
    let who = actor("user_id").map(|id| (id, actor("email_address").unwrap_or_default()));
    let about = |kind, id, verb, name| Mention {
        kind,
        id,
        verb,
        who: who.clone(),
        name,
        chat: text("claude_chat_id"),
        project: text("claude_project_id"),
        file: text("claude_file_id"),
        version: text("claude_artifact_version_id"),
        members: list(&record, "member_ids"),
    };
    let mut all = Vec::new();
    for (kind, field, prefixes) in KINDS {
        let Some(id) = text(field) else { continue };
        let own = prefixes.iter().find_map(|prefix| activity_type.strip_prefix(prefix));
        let verb = verb(kind, activity_type, own);
        let name = match kind {
            Kind::File | Kind::Document => text("filename"),
            Kind::Artifact => text("title"),
            Kind::Group => text("group_name"),
            Kind::Role => text("role_name"),
            Kind::Chat | Kind::Project | Kind::Person => None,
        };
        all.push(about(kind, id, verb, name));
    }
    // Publishing names a version alone; the artifact is called after it.
    if let (None, Some(version)) = (text("claude_artifact_id"), text("claude_artifact_version_id")) {
        let id = version.replacen("claude_artifact_version_", "claude_artifact_", 1);
        let own = activity_type.strip_prefix("claude_artifact_");
        all.push(about(Kind::Artifact, id, verb(Kind::Artifact, activity_type, own), text("title")));
    }
    for (kind, field) in [(Kind::Chat, "claude_chat_ids"), (Kind::Project, "claude_project_ids")] {
        all.extend(list(&record, field).into_iter().map(|id| about(kind, id, Verb::Seen, None)));
    }
    let gone = match activity_type {
        "org_user_deleted" => text("deleted_user_id"),
        "org_user_left" => actor("user_id"),
        _ => None,
    };
    all.extend(gone.map(|id| about(Kind::Person, id, Verb::Ended, None)));
    all.into_iter().map(Arc::new).collect()
}

fn list(record: &Map<String, Value>, name: &str) -> Vec<String> {
    let items = record.get(name).and_then(Value::as_array).into_iter().flatten();
    items.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// What a type does to a thing; `own` is the rest of its name, if it is one about such things.
fn verb(kind: Kind, activity_type: &str, own: Option<&str>) -> Verb {
    // What comes into a chat or a project changes it.
    let enters = matches!(activity_type, "claude_file_uploaded" if kind == Kind::Chat);
    match own {
        Some("created" | "uploaded" | "published") => Verb::Made,
        Some("updated") => Verb::Changed,
        // A rename may not move `updated_at`.
        Some("settings_updated") => Verb::Renamed,
        Some("deleted") => Verb::Ended,
        Some("member_added") => Verb::Joined,
        Some("member_removed") => Verb::Left,
        Some(inner) if kind == Kind::Project && inner.ends_with("ed") && !inner.ends_with("failed") => {
            match inner {
                "viewed" | "reported" | "document_viewed" => Verb::Seen,
                _ => Verb::Changed,
            }
        }
        _ if enters => Verb::Changed,
        _ => Verb::Seen,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verbs(activity_type: &str, rest: &str) -> Vec<(Kind, String, Verb)> {
        let all = mentions(activity_type, rest);
        all.iter().map(|mention| (mention.kind, mention.id.clone(), mention.verb)).collect()
    }

    #[test]
    fn types_do_to_things_what_they_say() {
        let ids = r#","claude_chat_id":"c","claude_project_id":"p","claude_file_id":"f"}"#;
        let owned = |kind, id: &str, verb| (kind, id.to_owned(), verb);
        for (name, chat, project, file) in [
            ("claude_file_uploaded", Verb::Changed, Verb::Seen, Verb::Made),
            ("claude_chat_settings_updated", Verb::Renamed, Verb::Seen, Verb::Seen),
            ("claude_chat_deletion_failed", Verb::Seen, Verb::Seen, Verb::Seen),
            ("claude_chat_deleted", Verb::Ended, Verb::Seen, Verb::Seen),
            ("claude_project_file_uploaded", Verb::Seen, Verb::Changed, Verb::Made),
            ("claude_project_archived", Verb::Seen, Verb::Changed, Verb::Seen),
            ("claude_project_viewed", Verb::Seen, Verb::Seen, Verb::Seen),
        ] {
            let expected = [
                owned(Kind::Chat, "c", chat),
                owned(Kind::Project, "p", project),
                owned(Kind::File, "f", file),
            ];
            assert_eq!(verbs(name, ids), expected, "{name}");
        }
    }

    #[test]
    fn an_artifact_is_found_by_its_version_alone() {
        let all = mentions(
            "claude_artifact_published",
            r#","claude_artifact_version_id":"claude_artifact_version_01a","title":"T"}"#,
        );
        assert_eq!((all[0].id.as_str(), all[0].verb), ("claude_artifact_01a", Verb::Made));
        assert_eq!(all[0].name.as_deref(), Some("T"));
    }

    #[test]
    fn lists_people_and_damage() {
        let shared = r#","claude_chat_ids":["a","b"],"claude_project_ids":null}"#;
        assert_eq!(verbs("org_user_shares_retained", shared).len(), 2);
        let left = r#","actor":{"user_id":"u"}}"#;
        assert_eq!(verbs("org_user_left", left), [(Kind::Person, "u".to_owned(), Verb::Ended)]);
        assert_eq!(verbs("claude_chat_created", r#","claude_chat_id":"\x"}"#), []);
        assert_eq!(verbs("claude_chat_created", r#","claude_chat_id":7}"#), []);
    }
}
