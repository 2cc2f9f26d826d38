//! `/apps/chats` and what is in them.
//!
//! Owns which parameters may be combined, and what is shown of a deleted chat in either edition. The subtle thing: a chat
//! that changes moves ahead in the list by `updated_at`, so a walk may meet it twice and never loses it.

use serde_json::{Map, Value, json};

use super::asked::{Asked, Spec};
use super::mark::Spot;
use super::{Reply, World};
use crate::api::library::{Kind, State, Thing, chat};
use crate::api::refusal::{Dialect, Refusal};
use crate::clock::{Micros, Precision, rfc3339};

const CHATS: Spec = Spec {
    names: &[
        "limit",
        "order_by",
        "after_id",
        "before_id",
        "user_ids[]",
        "organization_ids[]",
        "project_ids[]",
        "created_at.gt",
        "created_at.gte",
        "created_at.lt",
        "created_at.lte",
        "updated_at.gt",
        "updated_at.gte",
        "updated_at.lt",
        "updated_at.lte",
    ],
    usual: Some(100),
    most: 1_000,
    lists: &[("user_ids[]", 10)],
    ..Spec::NONE
};

const MESSAGES: Spec = Spec {
    names: &[
        "limit",
        "order",
        "after_id",
        "before_id",
        "created_at.gt",
        "created_at.gte",
        "created_at.lt",
        "created_at.lte",
        "updated_at.gt",
        "updated_at.gte",
        "updated_at.lt",
        "updated_at.lte",
        "tool_use_input_max_chars",
        "tool_result_max_chars",
    ],
    usual: None,
    most: 1_000,
    ..Spec::NONE
};

/// The characters of a tool's text that are shown when nothing is said; the older edition shows all.
const USUAL_CHARACTERS: usize = 10_000;

/// A chat with what it is just now.
struct Chat<'t> {
    id: &'t str,
    state: State<'t>,
    updated: Micros,
}

impl World<'_> {
    pub(super) fn chats(&self) -> Result<Reply, Refusal> {
        let asked = self.asked(&CHATS)?;
        let by_update = self.chats_order(&asked)?;
        let (created, updated) = (asked.range("created_at"), asked.range("updated_at"));
        let chats = self.things(Kind::Chat).filter_map(|(id, thing)| self.chat(id, thing));
        let chats = chats.filter(|chat| {
            let user = chat.state.who.map_or("", |(id, _)| id);
            created.contains(&chat.state.made)
                && updated.contains(&chat.updated)
                && asked.keeps("user_ids[]", user)
                && asked.keeps("project_ids[]", chat.state.project.unwrap_or_default())
        });
        let entries = chats.map(|chat| {
            let rank = if by_update { chat.updated } else { chat.state.made };
            (Spot { rank, id: chat.id.to_owned() }, chat)
        });
        let marks = self.marks(format!("chats {by_update}"), &asked);
        self.by_cursor(&asked, &marks, entries.collect(), (Map::new(), "data"), |chat| {
            self.chat_json(chat).into()
        })
    }

    /// Whether the list is by `updated_at`.
    fn chats_order(&self, asked: &Asked) -> Result<bool, Refusal> {
        let by_update = match asked.text("order_by") {
            None | Some("created_at") => false,
            Some("updated_at") => true,
            Some(_) => {
                return Err(Refusal::invalid("order_by: Input should be 'created_at' or 'updated_at'"));
            }
        };
        let of_users = !asked.list("user_ids[]").is_empty();
        let broken = [
            (of_users && by_update, "user_ids[] cannot be combined with order_by=updated_at"),
            (!of_users && asked.text("before_id").is_some(), "before_id requires user_ids[]"),
            (!of_users && !asked.list("project_ids[]").is_empty(), "project_ids[] requires user_ids[]"),
            (
                !of_users && by_update && asked.bounds("created_at"),
                "created_at bounds require order_by=created_at",
            ),
            (
                !of_users && !by_update && asked.bounds("updated_at"),
                "updated_at bounds require order_by=updated_at",
            ),
            (
                of_users && asked.bounds("updated_at") && self.dialect() == Dialect::October,
                "user_ids[] cannot be combined with updated_at bounds",
            ),
        ];
        match broken.iter().find(|(broken, _)| *broken) {
            Some((_, rule)) => Err(Refusal::invalid(rule)),
            None => Ok(by_update),
        }
    }

    fn chat<'t>(&self, id: &'t str, thing: &'t Thing) -> Option<Chat<'t>> {
        let state = thing.state(self.seen())?;
        let updated = chat::updated(self.seed(), thing, state.changed, self.seen());
        Some(Chat { id, updated: state.ended.unwrap_or(updated), state })
    }

    /// Whether deletion took what was in it along.
    fn emptied(&self, chat: &Chat<'_>) -> bool {
        chat.state.ended.is_some() && self.dialect() == Dialect::October
    }

    fn chat_json(&self, chat: &Chat<'_>) -> Map<String, Value> {
        let at = |at| rfc3339(at, Precision::Micros, true);
        let Chat { id, state, updated } = chat;
        let name =
            if self.emptied(chat) { String::new() } else { chat::name(self.seed(), id, state.renamed) };
        let value = json!({
            "id": id,
            "name": name,
            "created_at": at(state.made),
            "updated_at": at(*updated),
            "deleted_at": state.ended.map(at),
            "href": format!("https://claude.ai/chat/{id}"),
            "model": chat::model(self.seed(), id),
            "organization_uuid": self.uuid(),
            "project_id": state.project,
            "user": self.owner(state.who, id),
        });
        match value {
            Value::Object(fields) => fields,
            _ => Map::new(),
        }
    }

    pub(super) fn chat_messages(&self, id: &str) -> Result<Reply, Refusal> {
        let asked = self.asked(&MESSAGES)?;
        let usual = (self.dialect() == Dialect::October).then_some(USUAL_CHARACTERS);
        let cap = |name: &str| match asked.number(name)? {
            None => Ok(usual),
            Some(-1) => Ok(None),
            Some(most) => usize::try_from(most).map(Some).map_err(|_| {
                Refusal::invalid(&format!("{name}: Input should be greater than or equal to -1"))
            }),
        };
        let caps =
            chat::Caps { input: cap("tool_use_input_max_chars")?, result: cap("tool_result_max_chars")? };
        let thing = self.thing(Kind::Chat, "Chat", id)?;
        let chat = self.chat(id, thing).ok_or_else(|| Refusal::gone("Chat", id))?;
        let emptied = self.emptied(&chat);
        let (created, updated) = (asked.range("created_at"), asked.range("updated_at"));
        // A message never changes, so that both its times are one.
        let messages = chat::messages(self.seed(), thing, self.seen()).into_iter();
        let messages =
            messages.filter(|message| created.contains(&message.at) && updated.contains(&message.at));
        let entries = messages.map(|message| (Spot { rank: message.at, id: message.id.clone() }, message));
        let marks = self.marks(format!("chats/{id} {}", asked.descends()), &asked);
        let body = (self.chat_json(&chat), "chat_messages");
        self.by_cursor(&asked, &marks, entries.collect(), body, |message| {
            message.json(self.seed(), self.library, self.dialect(), caps, emptied)
        })
    }
}
