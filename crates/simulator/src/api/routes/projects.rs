//! Projects, what is attached to them, and code artifacts.
//!
//! Owns three listings and the rule that keeps a project with chats from being deleted. The subtle thing: artifacts are
//! filtered after the page was cut, so that a page may be short or empty while there is more.

use serde_json::{Map, Value, json};

use super::asked::Spec;
use super::mark::Spot;
use super::paging::Tokens;
use super::{Reply, World};
use crate::api::library::file::File;
use crate::api::library::words::{chance_of, title};
use crate::api::library::{Kind, State, Thing};
use crate::api::refusal::{Dialect, Refusal};
use crate::clock::{Micros, Precision, SECOND, rfc3339};
use crate::vocabulary::SENTENCES;

const PROJECTS: Spec = Spec {
    names: &[
        "limit",
        "page",
        "organization_ids[]",
        "user_ids[]",
        "created_at.gt",
        "created_at.gte",
        "created_at.lt",
        "created_at.lte",
        "updated_at.gt",
        "updated_at.gte",
        "updated_at.lt",
        "updated_at.lte",
    ],
    usual: Some(20),
    most: 100,
    ..Spec::NONE
};
const ATTACHMENTS: Spec = Spec::paged(20, 100);
const ARTIFACTS: Spec = Spec {
    names: &[
        "limit",
        "page",
        "organization_ids[]",
        "user_ids[]",
        "updated_at.gt",
        "updated_at.gte",
        "updated_at.lt",
        "updated_at.lte",
    ],
    lists: &[("organization_ids[]", 500), ("user_ids[]", 200)],
    ..PROJECTS
};
/// How far the index of artifacts is behind.
const INDEX_LAG: Micros = 300 * SECOND;

impl World<'_> {
    /// The things of a kind that are there, with what they are just now.
    fn present(&self, kind: Kind) -> impl Iterator<Item = (&str, State<'_>)> {
        self.things(kind).filter_map(|(id, thing)| Some((id, self.alive(thing)?)))
    }

    fn alive<'t>(&self, thing: &'t Thing) -> Option<State<'t>> {
        thing.state(self.seen()).filter(|state| state.ended.is_none())
    }

    pub(super) fn projects(&self) -> Result<Reply, Refusal> {
        let asked = self.asked(&PROJECTS)?;
        let (created, updated) = (asked.range("created_at"), asked.range("updated_at"));
        let projects = self.present(Kind::Project).filter(|(_, state)| {
            let user = state.who.map_or("", |(id, _)| id);
            created.contains(&state.made)
                && updated.contains(&state.changed)
                && asked.keeps("user_ids[]", user)
        });
        let entries = projects.map(|(id, state)| (Spot { rank: state.made, id: id.to_owned() }, (id, state)));
        self.directory("projects", &asked, entries.collect(), |(id, state)| {
            let at = |at| rfc3339(at, Precision::Micros, true);
            let mut random = chance_of(self.seed(), "project", id);
            json!({
                "id": id,
                "name": title(&mut random),
                "description": random.pick(SENTENCES),
                "created_at": at(state.made),
                "updated_at": at(state.changed),
                "organization_uuid": self.uuid(),
                "is_private": random.chance(60),
                "user": self.owner(state.who, id),
            })
        })
    }

    pub(super) fn attachments(&self, id: &str) -> Result<Reply, Refusal> {
        let asked = self.asked(&ATTACHMENTS)?;
        let project = self.thing(Kind::Project, "Project", id)?;
        self.alive(project).ok_or_else(|| Refusal::gone("Project", id))?;
        let of = |kind| self.present(kind).filter(|(_, state)| state.project == Some(id));
        let files = of(Kind::File).map(|(file, state)| (file, state, "project_file"));
        let documents = of(Kind::Document).map(|(document, state)| (document, state, "project_doc"));
        let entries = files.chain(documents).map(|(attached, state, kind)| {
            (Spot { rank: state.made, id: attached.to_owned() }, (attached, state, kind))
        });
        let entries = entries.collect();
        self.directory(&format!("attachments {id}"), &asked, entries, |(attached, state, kind)| {
            let mut entry = File::new(self.seed(), attached, state.name, state.made).json();
            entry["type"] = (*kind).into();
            entry
        })
    }

    pub(super) fn code_artifacts(&self) -> Result<Reply, Refusal> {
        let asked = self.asked(&ARTIFACTS)?;
        let updated = asked.range("updated_at");
        let indexed = self.seen() - INDEX_LAG;
        let entries = self.things(Kind::Artifact).filter_map(|(id, thing)| {
            Some((Spot { rank: 0, id: id.to_owned() }, (id, thing.state(indexed)?)))
        });
        let marks = self.marks("artifacts".to_owned(), &asked);
        let tokens = Tokens { marks: &marks, descends: false, has_more: true, lifetime: None, bytes: None };
        self.by_token(&asked, &tokens, entries.collect(), Map::new(), |(id, state)| {
            let user = state.who.map_or("", |(id, _)| id);
            let kept = updated.contains(&state.changed) && asked.keeps("user_ids[]", user);
            (kept && state.ended.is_none()).then(|| self.artifact_json(id, state))
        })
    }

    /// An artifact as the list shows it.
    fn artifact_json(&self, id: &str, state: &State<'_>) -> Value {
        let at = |at| rfc3339(at, Precision::Micros, true);
        let version = state.version.map_or_else(|| version_of(id), str::to_owned);
        json!({
            "id": id,
            "version_id": version,
            "title": state.name.map_or_else(|| title(&mut chance_of(self.seed(), "artifact", id)), str::to_owned),
            "created_at": at(state.made),
            "updated_at": at(state.changed),
            "organization_uuid": self.uuid(),
            "user": self.owner(state.who, id),
        })
    }

    /// Whether something can be deleted for good.
    ///
    /// # Errors
    ///
    /// 404 when it is not there, 409 for a project in which chats are left.
    pub(super) fn erasable(&self, kind: Kind, id: &str) -> Result<Reply, Refusal> {
        self.asked(&Spec::NONE)?;
        let name = match kind {
            Kind::Chat => "Chat",
            Kind::Project => "Project",
            Kind::Document => "Document",
            _ => "File",
        };
        self.thing(kind, name, id)?.state(self.now).ok_or_else(|| Refusal::gone(name, id))?;
        let chats = self.things(Kind::Chat).filter_map(|(_, thing)| self.alive(thing));
        if kind == Kind::Project && chats.filter(|chat| chat.project == Some(id)).count() > 0 {
            let kind = match self.dialect() {
                Dialect::August => "conflict_error",
                Dialect::October => "invalid_request_error",
            };
            return Err(Refusal::new(409, kind, "Project has chats attached"));
        }
        Ok(Reply::json(&json!({"id": id, "deleted": true}), 1))
    }
}

/// The version of an artifact of which no record names one.
pub(super) fn version_of(id: &str) -> String {
    id.replacen("claude_artifact_", "claude_artifact_version_", 1)
}
