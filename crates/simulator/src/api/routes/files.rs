//! Files, documents and artifacts by their ids, and their bytes.
//!
//! Owns the look-ups. The subtle thing: what was generated in a chat stands in no record of the feed, so it is looked for in
//! the messages.

use serde_json::{Value, json};

use super::asked::Spec;
use super::projects::version_of;
use super::{Reply, World};
use crate::api::library::chat::{self, Message};
use crate::api::library::file::File;
use crate::api::library::words::{chance_of, said, title};
use crate::api::library::{Kind, Thing};
use crate::api::refusal::Refusal;
use crate::clock::{Precision, rfc3339};

impl World<'_> {
    pub(super) fn file(&self, id: &str, generated: bool, content: bool) -> Result<Reply, Refusal> {
        self.asked(&Spec::NONE)?;
        let uploaded = || self.thing(Kind::File, "File", id).and_then(|thing| self.kept("File", id, thing));
        let file = match self.generated(id) {
            Some(file) => file,
            None if generated => return Err(Refusal::gone("File", id)),
            None => uploaded()?,
        };
        Ok(if content { download(&file, file.mime_type()) } else { Reply::json(&file.json(), 1) })
    }

    pub(super) fn document(&self, id: &str) -> Result<Reply, Refusal> {
        self.asked(&Spec::NONE)?;
        let thing = self.thing(Kind::Document, "Document", id)?;
        let mut body = self.kept("Document", id, thing)?.json();
        body["project_id"] = thing.state(self.seen()).and_then(|state| state.project).into();
        Ok(Reply::json(&body, 1))
    }

    pub(super) fn artifact(&self, version: &str, content: bool) -> Result<Reply, Refusal> {
        self.asked(&Spec::NONE)?;
        let (id, made, name) = self.version(version).ok_or_else(|| Refusal::gone("Artifact", version))?;
        if content {
            let text = format!("# {name}\n\n{}\n", said(&mut chance_of(self.seed(), "text", version)));
            let file = File { id, name: format!("{name}.md"), made, bytes: text.into_bytes() };
            return Ok(download(&file, "text/markdown"));
        }
        let created_at = rfc3339(made, Precision::Micros, true);
        let body: Value = json!({
            "id": id, "version_id": version, "title": name, "artifact_type": "text/markdown", "created_at": created_at,
        });
        Ok(Reply::json(&body, 1))
    }

    /// A file that is still there.
    fn kept(&self, name: &str, id: &str, thing: &Thing) -> Result<File, Refusal> {
        let state = thing.state(self.seen()).filter(|state| state.ended.is_none());
        let state = state.ok_or_else(|| Refusal::gone(name, id))?;
        Ok(File::new(self.seed(), id, state.name, state.made))
    }

    /// Every message of every chat that can be read.
    fn all_messages(&self) -> impl Iterator<Item = Message> {
        let chats = self.things(Kind::Chat);
        chats.flat_map(|(_, thing)| chat::messages(self.seed(), thing, self.seen()))
    }

    fn generated(&self, id: &str) -> Option<File> {
        let made = |message: Message| message.generated(self.seed(), self.dialect());
        self.all_messages().filter_map(made).find(|file| file.id == id)
    }

    /// The artifact a version belongs to: its id, when it was made, and its title.
    fn version(&self, version: &str) -> Option<(String, i64, String)> {
        for (id, thing) in self.things(Kind::Artifact) {
            let state = thing.state(self.seen()).filter(|state| state.ended.is_none());
            let named =
                thing.events(self.seen()).any(|(_, _, mention)| mention.version.as_deref() == Some(version));
            if let (Some(state), true) = (state, named || version_of(id) == version) {
                let usual = || title(&mut chance_of(self.seed(), "artifact", id));
                return Some((id.to_owned(), state.made, state.name.map_or_else(usual, str::to_owned)));
            }
        }
        self.all_messages().find_map(|message| {
            let (id, made, title) = message.artifact(self.seed())?;
            (made == version).then_some((id, message.at, title))
        })
    }
}

/// The bytes of a file, streamed.
fn download(file: &File, mime_type: &str) -> Reply {
    let headers = vec![
        ("content-type", mime_type.to_owned()),
        ("content-md5", file.content_md5()),
        ("content-disposition", file.disposition()),
    ];
    Reply { body: file.bytes.clone(), rows: 1, headers, streamed: true }
}
