//! `/apps/sessions/local` and the transcripts.
//!
//! Owns the three routes and what may stand in their way: a family that is switched off, a walk that took too long, a page
//! that is too large. What a session is stands in [`crate::api::library::local`].

use serde_json::{Map, Value};

use super::asked::{Asked, Spec};
use super::mark::Spot;
use super::paging::Tokens;
use super::{Reply, World};
use crate::api::library::local::{self, Caps, DAY, Left, MOST_BYTES, Session};
use crate::api::refusal::{Dialect, Refusal};

const LIST: Spec = Spec {
    names: &["limit", "page", "created_at.gte", "created_at.lt"],
    usual: Some(100),
    most: 500,
    offset: true,
    ..Spec::NONE
};

/// The later edition has a filter more.
const OCTOBER_LIST: Spec =
    Spec { names: &["limit", "page", "created_at.gte", "created_at.lt", "updated_at.gte"], ..LIST };

/// What a transcript takes, also that of a remote session.
pub(super) const MESSAGES: Spec = Spec {
    names: &["limit", "page", "order", "tool_use_input_max_bytes", "tool_result_max_bytes"],
    usual: Some(100),
    most: 1_000,
    ..Spec::NONE
};

/// The bytes of a tool's text that are shown when nothing is said.
const USUAL_BYTES: usize = 10_000;
/// For how many days before its history the tenant has sessions: they last longer than what the feed says of them.
pub(super) const DAYS_BEFORE: i64 = 3;

impl World<'_> {
    pub(super) fn local_sessions(&self) -> Result<Reply, Refusal> {
        self.local_family()?;
        let spec = if self.dialect() == Dialect::October { OCTOBER_LIST } else { LIST };
        let asked = self.asked(&spec)?;
        let (created, updated) = (asked.range("created_at"), asked.range("updated_at"));
        if created.start >= created.end {
            return Err(Refusal::invalid("created_at.lt must be strictly after created_at.gte"));
        }
        let kept = |(session, left): &(Session, Left)| {
            created.contains(&left.created) && updated.contains(&left.updated) && !self.is_erased(&session.id)
        };
        let entries = self
            .local_all()
            .filter(kept)
            .map(|(session, left)| (Spot { rank: left.created, id: session.id.clone() }, (session, left)));
        let marks = self.marks("local".to_owned(), &asked);
        let tokens = Tokens { marks: &marks, descends: true, has_more: false, lifetime: None, bytes: None };
        self.by_token(&asked, &tokens, entries.collect(), Map::new(), |(session, left)| {
            Some(session.json(left, self.uuid(), self.dialect(), true))
        })
    }

    pub(super) fn local_session(&self, id: &str) -> Result<Reply, Refusal> {
        self.local_family()?;
        self.asked(&Spec::NONE)?;
        let (session, left) = self.local_found(id)?;
        Ok(Reply::json(&session.json(&left, self.uuid(), self.dialect(), true), 1))
    }

    pub(super) fn local_messages(&self, id: &str) -> Result<Reply, Refusal> {
        self.local_family()?;
        let asked = self.asked(&MESSAGES)?;
        let caps = byte_caps(&asked)?;
        let (session, left) = self.local_found(id)?;
        if session.large && asked.descends() && self.dialect() == Dialect::October {
            let text = "This session is too large to read in this order: a page is too large; use order=asc";
            return Err(Refusal::invalid(text));
        }
        let messages = session.messages(self.seed(), &left, self.dialect(), caps);
        let entries = messages.into_iter().map(numbered);
        let marks = self.marks(format!("local/{id} {}", asked.descends()), &asked);
        let mut body = Map::new();
        body.insert("session".into(), session.json(&left, self.uuid(), self.dialect(), false));
        let tokens = self.transcript(&marks, &asked);
        self.by_token(&asked, &tokens, entries.collect(), body, |message| Some(message.clone()))
    }

    /// How a transcript is paged.
    pub(super) fn transcript<'m>(&self, marks: &'m super::mark::Marks, asked: &Asked) -> Tokens<'m> {
        let (lifetime, bytes) = (Some(self.settings.walk_lifetime), Some(self.settings.page_bytes));
        Tokens { marks, descends: asked.descends(), has_more: false, lifetime, bytes }
    }

    /// Whether the tenant has local sessions at all.
    fn local_family(&self) -> Result<(), Refusal> {
        let missing = Refusal::new(404, "not_found_error", "Local sessions are not available");
        if self.settings.local_sessions { Ok(()) } else { Err(missing) }
    }

    fn local_all(&self) -> impl Iterator<Item = (Session, Left)> {
        let from = self.since() - DAYS_BEFORE * DAY;
        let sessions = local::sessions(self.seed(), self.people(), from, self.now);
        let retention = self.settings.transcript_retention;
        sessions.into_iter().filter_map(move |session| {
            let left = session.left(self.now, retention)?;
            Some((session, left))
        })
    }

    fn local_found(&self, id: &str) -> Result<(Session, Left), Refusal> {
        if !is_id(id, "clls_") {
            return Err(Refusal::invalid(&format!("session_id: '{id}' is not a valid local session id")));
        }
        let found = self.local_all().find(|(session, _)| session.id == id && !self.is_erased(id));
        found.ok_or_else(|| Refusal::new(404, "not_found_error", "Local session not found"))
    }
}

/// A message with its place in the server's order.
pub(super) fn numbered((number, message): (i64, Value)) -> (Spot, Value) {
    (Spot { rank: number, id: String::new() }, message)
}

/// Whether a text can be an id of that kind at all.
pub(super) fn is_id(id: &str, prefix: &str) -> bool {
    id.strip_prefix(prefix)
        .is_some_and(|tail| !tail.is_empty() && tail.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// The caps on texts of tools, in bytes: -1 is the most there is, more is as much, and 0 is refused.
pub(super) fn byte_caps(asked: &Asked) -> Result<Caps, Refusal> {
    let cap = |name: &str| match asked.number(name)? {
        None => Ok(USUAL_BYTES),
        Some(-1) => Ok(MOST_BYTES),
        Some(most @ 1..) => Ok(usize::try_from(most).unwrap_or(MOST_BYTES).min(MOST_BYTES)),
        Some(_) => Err(Refusal::invalid(&format!("{name}: Input should be -1 or greater than 0"))),
    };
    Ok(Caps { input: cap("tool_use_input_max_bytes")?, result: cap("tool_result_max_bytes")? })
}
