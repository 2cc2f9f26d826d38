//! `/apps/sessions/remote` and the transcripts.
//!
//! Owns the two routes; there is no third one for a single session. What a session is stands in
//! [`crate::api::library::remote`].

use serde_json::{Map, Value};

use super::asked::Spec;
use super::local::{DAYS_BEFORE, MESSAGES, byte_caps, is_id, numbered};
use super::mark::Spot;
use super::paging::Tokens;
use super::{Reply, World};
use crate::api::library::Kind;
use crate::api::library::local::DAY;
use crate::api::library::remote::{self, Session};
use crate::api::refusal::Refusal;

const LIST: Spec = Spec {
    names: &[
        "limit",
        "page",
        "organization_ids[]",
        "user_ids[]",
        "created_at.gt",
        "created_at.gte",
        "created_at.lt",
        "created_at.lte",
    ],
    usual: Some(100),
    most: 500,
    lists: &[("organization_ids[]", 500), ("user_ids[]", 10)],
    ..Spec::NONE
};

impl World<'_> {
    pub(super) fn remote_sessions(&self) -> Result<Reply, Refusal> {
        let asked = self.asked(&LIST)?;
        let created = asked.range("created_at");
        let of_users = !asked.list("user_ids[]").is_empty();
        let sessions = self.remote_all().filter(|session| {
            // A filter by user drops what agents own.
            let owned = session.owner().is_some_and(|owner| asked.keeps("user_ids[]", owner));
            created.contains(&session.created) && (owned || !of_users)
        });
        let entries =
            sessions.map(|session| (Spot { rank: session.created, id: session.id.clone() }, session));
        let marks = self.marks("remote".to_owned(), &asked);
        let tokens = Tokens { marks: &marks, descends: true, has_more: false, lifetime: None, bytes: None };
        self.by_token(&asked, &tokens, entries.collect(), Map::new(), |session| {
            Some(self.remote_json(session, true))
        })
    }

    pub(super) fn remote_messages(&self, id: &str) -> Result<Reply, Refusal> {
        let asked = self.asked(&MESSAGES)?;
        let caps = byte_caps(&asked)?;
        if !is_id(id, "cse_") {
            return Err(Refusal::invalid(&format!("session_id: '{id}' is not a valid remote session id")));
        }
        let ready = |session: &Session| session.id == id && session.status(self.now) != "pending";
        let missing = || Refusal::new(404, "not_found_error", "Remote session not found");
        let session = self.remote_all().find(ready).ok_or_else(missing)?;
        let messages = session.messages(self.seed(), self.now, caps);
        let marks = self.marks(format!("remote/{id} {}", asked.descends()), &asked);
        let mut body = Map::new();
        body.insert("session".into(), self.remote_json(&session, false));
        let entries = messages.into_iter().map(numbered).collect();
        self.by_token(&asked, &self.transcript(&marks, &asked), entries, body, |message| {
            Some(message.clone())
        })
    }

    fn remote_json(&self, session: &Session, list: bool) -> Value {
        let projects = self.things(Kind::Project).filter(|(_, thing)| thing.state(session.created).is_some());
        let projects: Vec<_> = projects.map(|(id, _)| id).collect();
        let chosen = session.project.and_then(|chance| {
            let index = (chance % projects.len().max(1) as u64) as usize;
            projects.get(index).copied()
        });
        session.json(self.now, self.uuid(), chosen, list)
    }

    fn remote_all(&self) -> impl Iterator<Item = Session> {
        let from = self.since() - DAYS_BEFORE * DAY;
        let sessions = remote::sessions(self.seed(), self.people(), from, self.now);
        sessions.into_iter().filter(|session| session.shown(self.now) && !self.is_erased(&session.id))
    }
}
