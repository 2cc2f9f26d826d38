//! What is said in a chat.
//!
//! Owns the messages: each time the feed says that a chat was made or changed, somebody asked something and got an answer.
//! The subtle thing: an answer carries the time it was complete, so a chat may hold a question whose answer does not exist
//! yet.

use super::file::File;
use super::words::{chance_of, characters, made_id, said, title, tool};
use super::{Kind, Library, Thing, Verb};
use crate::api::refusal::Dialect;
use crate::clock::{Micros, Precision, SECOND, rfc3339};
use crate::vocabulary::MODELS;
use serde_json::{Value, json};

/// How long texts of tools may be, in characters; without bound when nothing.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Caps {
    pub(crate) input: Option<usize>,
    pub(crate) result: Option<usize>,
}

/// A message.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) id: String,
    pub(crate) at: Micros,
    answer: bool,
    /// The id of the file that came with it.
    file: Option<String>,
}

/// The messages of a chat by `now`, oldest first.
pub(crate) fn messages(seed: u64, thing: &Thing, now: Micros) -> Vec<Message> {
    let mut all = Vec::new();
    for (at, number, mention) in thing.events(now) {
        if !matches!(mention.verb, Verb::Made | Verb::Changed) {
            continue;
        }
        let turn = format!("{}/{number}", mention.id);
        let id = |part: &str| made_id(seed, "claude_chat_msg_", &format!("{turn}/{part}"));
        all.push(Message { id: id("question"), at, answer: false, file: mention.file.clone() });
        let answered =
            at + chance_of(seed, "answer", &turn).range(2 * SECOND as u64, 90 * SECOND as u64) as Micros;
        if answered <= now {
            all.push(Message { id: id("answer"), at: answered, answer: true, file: None });
        }
    }
    all.sort_by(|one, other| (one.at, &one.id).cmp(&(other.at, &other.id)));
    all
}

/// When a chat changed last: its answers count too.
pub(crate) fn updated(seed: u64, thing: &Thing, changed: Micros, now: Micros) -> Micros {
    messages(seed, thing, now).last().map_or(changed, |message| message.at.max(changed))
}

/// The name, which a rename changes; the first messages give it.
pub(crate) fn name(seed: u64, id: &str, renamed: u32) -> String {
    title(&mut chance_of(seed, "name", &format!("{id}/{renamed}")))
}

/// The model, which not every chat has.
pub(crate) fn model(seed: u64, id: &str) -> Option<&'static str> {
    let mut random = chance_of(seed, "model", id);
    (!random.chance(10)).then(|| *random.pick(MODELS))
}

impl Message {
    /// The files that were made in it, by id.
    pub(crate) fn generated(&self, seed: u64, dialect: Dialect) -> Option<File> {
        let mut random = chance_of(seed, "generated", &self.id);
        let prefix = match dialect {
            Dialect::October if random.chance(50) => "claude_gen_file_",
            _ => "claude_file_",
        };
        (self.answer && random.chance(15))
            .then(|| File::new(seed, &made_id(seed, prefix, &self.id), None, self.at))
    }

    /// The artifact that was made in it: its id, its version's and its title.
    pub(crate) fn artifact(&self, seed: u64) -> Option<(String, String, String)> {
        let mut random = chance_of(seed, "artifact", &self.id);
        (self.answer && random.chance(20)).then(|| {
            let id = made_id(seed, "claude_artifact_", &self.id);
            let version = id.replacen("claude_artifact_", "claude_artifact_version_", 1);
            (id, version, title(&mut random))
        })
    }

    /// The message as the API shows it; `emptied` when the chat was deleted and its content with it.
    pub(crate) fn json(
        &self,
        seed: u64,
        library: &Library,
        dialect: Dialect,
        caps: Caps,
        emptied: bool,
    ) -> Value {
        let at = rfc3339(self.at, Precision::Micros, true);
        let role = if self.answer { "assistant" } else { "user" };
        let mut message = json!({"id": self.id, "role": role, "created_at": at, "content": []});
        if emptied {
            return message;
        }
        message["content"] = self.content(seed, caps).into();
        if let Some(id) = &self.file {
            let name = library.get(Kind::File, id).and_then(|file| file.state(Micros::MAX)?.name);
            message["files"] = json!([File::new(seed, id, name, self.at).json()]);
        }
        // The three arrays may be null, or absent.
        let mut random = chance_of(seed, "arrays", &self.id);
        if random.chance(50) {
            message["generated_files"] = Value::Null;
            message["artifacts"] = Value::Null;
        }
        if let Some(file) = self.generated(seed, dialect) {
            message["generated_files"] = json!([file.json()]);
        }
        if let Some((id, version, title)) = self.artifact(seed) {
            message["artifacts"] =
                json!([{"id": id, "version_id": version, "title": title, "artifact_type": "text/markdown"}]);
        }
        message
    }

    fn content(&self, seed: u64, caps: Caps) -> Vec<Value> {
        let mut random = chance_of(seed, "content", &self.id);
        let mut blocks = Vec::new();
        if self.answer && random.chance(40) {
            let (name, input, result) = tool(&mut random);
            let call = made_id(seed, "toolu_", &self.id);
            let (input, cut) = characters(&input, caps.input);
            blocks.push(json!({
                "type": "tool_use", "id": call, "name": name, "input": input, "integration_name": null,
                "mcp_server_url": null, "truncated": cut,
            }));
            let (result, cut) = characters(&result, caps.result);
            blocks.push(json!({
                "type": "tool_result", "tool_use_id": call, "name": name, "is_error": random.chance(5),
                "integration_name": null, "mcp_server_url": null,
                "content": [{"type": "text", "text": result}], "truncated": cut,
            }));
        }
        let mut text = json!({"type": "text", "text": said(&mut random)});
        // Booleans may be absent, which means false.
        if random.chance(70) {
            text["truncated"] = false.into();
            text["thinking_redacted"] = false.into();
        }
        blocks.push(text);
        blocks
    }
}
