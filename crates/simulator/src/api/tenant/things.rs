//! The chats, projects and files that somebody works with.
//!
//! Owns which ids stand in the records of a person, so that what was made is what is looked at, changed and deleted later.
//! Chance of its own, so that who works when does not hang on what with.

use std::collections::VecDeque;

use crate::random::Random;
use crate::values::tagged_id;

/// How many of a kind somebody has at hand.
const AT_HAND: usize = 6;

/// What a person works with, by the fields that name it; the latest last.
#[derive(Debug, Clone)]
pub(super) struct Things {
    random: Random,
    chats: VecDeque<String>,
    projects: VecDeque<String>,
    files: VecDeque<String>,
    documents: VecDeque<String>,
    artifacts: VecDeque<String>,
}

impl Things {
    pub(super) fn new(seed: u64, person: usize) -> Self {
        let random = Random::new(seed ^ 0x7468_696e ^ ((person as u64) << 32));
        let none = VecDeque::new;
        Self { random, chats: none(), projects: none(), files: none(), documents: none(), artifacts: none() }
    }

    /// The fields of a record of that type that name things, with the ids.
    pub(super) fn touched(&mut self, activity_type: &str) -> Vec<(&'static str, String)> {
        let Self { random, chats, projects, files, documents, artifacts } = self;
        let (field, prefix, kept) = match activity_type {
            name if name.starts_with("claude_chat_") => ("claude_chat_id", "claude_chat_", chats),
            name if name.starts_with("claude_project_document_") => {
                // A document is in a project, which may be the first.
                let project = used(random, "claude_proj_", projects);
                let id = by_name(random, name, "claude_proj_doc_", documents);
                return vec![("claude_project_document_id", id), ("claude_project_id", project)];
            }
            name if name.starts_with("claude_project_") => ("claude_project_id", "claude_proj_", projects),
            name if name.starts_with("claude_file_") => ("claude_file_id", "claude_file_", files),
            name if name.starts_with("claude_artifact_") => {
                ("claude_artifact_id", "claude_artifact_", artifacts)
            }
            _ => return Vec::new(),
        };
        let mut named = vec![(field, by_name(random, activity_type, prefix, kept))];
        // Half of the files come into a chat.
        if activity_type == "claude_file_uploaded"
            && self.random.chance(50)
            && let Some(chat) = self.chats.back()
        {
            named.push(("claude_chat_id", chat.clone()));
        }
        named
    }
}

/// A new thing where the type makes one, otherwise one at hand.
fn by_name(random: &mut Random, activity_type: &str, prefix: &str, kept: &mut VecDeque<String>) -> String {
    let makes = ["_created", "_uploaded"].iter().any(|ending| activity_type.ends_with(ending));
    if makes {
        made(random, prefix, kept)
    } else if activity_type.ends_with("_deleted") {
        // What is deleted is nobody's any more.
        kept.pop_front().unwrap_or_else(|| tagged_id(random, prefix))
    } else {
        used(random, prefix, kept)
    }
}

fn made(random: &mut Random, prefix: &str, kept: &mut VecDeque<String>) -> String {
    let id = tagged_id(random, prefix);
    kept.push_back(id.clone());
    if kept.len() > AT_HAND {
        kept.pop_front();
    }
    id
}

/// One at hand; the first one there ever was is made for it.
fn used(random: &mut Random, prefix: &str, kept: &mut VecDeque<String>) -> String {
    match kept.len() {
        0 => made(random, prefix, kept),
        count => kept.get(random.index(count)).cloned().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_is_looked_at_until_it_is_deleted() {
        let mut things = Things::new(1, 2);
        let mut one = |name: &str| things.touched(name).remove(0).1;
        let chat = one("claude_chat_created");
        assert_eq!([one("claude_chat_viewed"), one("claude_chat_updated")], [chat.clone(), chat.clone()]);
        assert_eq!(one("claude_chat_deleted"), chat);
        assert_ne!(one("claude_chat_viewed"), chat);
        let document = things.touched("claude_project_document_uploaded");
        let seen = things.touched("claude_project_document_viewed");
        assert_eq!(document, seen);
        assert_eq!(things.touched("user_logged_out"), []);
        assert_eq!(things.touched("claude_project_viewed")[0].1, document[1].1);
    }
}
