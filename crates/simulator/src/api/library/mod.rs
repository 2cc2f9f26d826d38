//! What the feed speaks of: chats, projects, files, artifacts, groups and roles, as far as records mention them.
//!
//! Owns the lives of these things, and nothing about how they are shown. There is no second tenant: a thing exists because a
//! record names it, so whatever id stands in the feed can be looked up. The subtle thing: it is filled by any number of
//! records in any order and is the same in the end, so it may be made as late as somebody asks for it.

pub(crate) mod chat;
pub(crate) mod file;
pub(crate) mod local;
mod mention;
pub(crate) mod remote;
pub(crate) mod words;

use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) use self::mention::{Kind, Mention, Verb, mentions};
use super::row::{Place, Row};
use crate::clock::Micros;

/// The most events of one thing that are kept: records of a pool repeat for years.
const MOST_EVENTS: usize = 64;

/// Something that records speak of.
#[derive(Debug, Clone, Default)]
pub(crate) struct Thing {
    /// By when they happened; the record's number tells equal times apart.
    events: BTreeMap<(Micros, u128), Arc<Mention>>,
}

/// What a thing is at a time.
#[derive(Debug, Clone, Default)]
pub(crate) struct State<'t> {
    /// When it was made, or mentioned first.
    pub(crate) made: Micros,
    /// When it changed last.
    pub(crate) changed: Micros,
    /// When it was deleted first, and last.
    pub(crate) ended: Option<Micros>,
    pub(crate) ended_last: Option<Micros>,
    /// Who made it, by id and address.
    pub(crate) who: Option<&'t (String, String)>,
    /// The name that was given last.
    pub(crate) name: Option<&'t str>,
    /// How often it was renamed without the new name being told.
    pub(crate) renamed: u32,
    /// The project it is in.
    pub(crate) project: Option<&'t str>,
    /// Of an artifact, the version mentioned last.
    pub(crate) version: Option<&'t str>,
}

impl Thing {
    /// What happened to it by `now`, oldest first, with the numbers of the records.
    pub(crate) fn events(&self, now: Micros) -> impl Iterator<Item = (Micros, u128, &Mention)> {
        self.events.range(..=(now, u128::MAX)).map(|((at, number), mention)| (*at, *number, &**mention))
    }

    /// What it is at `now`; nothing before it is first mentioned.
    pub(crate) fn state(&self, now: Micros) -> Option<State<'_>> {
        let mut states: Option<State<'_>> = None;
        for (at, _, mention) in self.events(now) {
            let state = states.get_or_insert_with(|| State { made: at, changed: at, ..State::default() });
            match mention.verb {
                Verb::Made | Verb::Changed | Verb::Joined | Verb::Left => state.changed = at,
                Verb::Ended => {
                    state.changed = at;
                    state.ended = state.ended.or(Some(at));
                    state.ended_last = Some(at);
                }
                Verb::Renamed => state.renamed += 1,
                Verb::Seen => {}
            }
            state.who = state.who.or(mention.who.as_ref());
            state.name = mention.name.as_deref().or(state.name);
            state.version = mention.version.as_deref().or(state.version);
            // Only who writes in it says where it is.
            let tells = matches!(mention.verb, Verb::Made | Verb::Changed);
            if state.project.is_none() || tells {
                state.project = mention.project.as_deref().or(state.project);
            }
        }
        states
    }
}

/// Everything the feed speaks of.
#[derive(Debug, Clone, Default)]
pub(crate) struct Library {
    things: BTreeMap<Kind, BTreeMap<String, Thing>>,
}

impl Library {
    /// Takes in what a record says.
    pub(crate) fn note(&mut self, place: Place, row: &Row) {
        for mention in row.content.mentions() {
            let thing = self.things.entry(mention.kind).or_default().entry(mention.id.clone()).or_default();
            thing.events.insert((row.occurred, place.number), Arc::clone(mention));
            if thing.events.len() > MOST_EVENTS {
                thing.events.pop_last();
            }
        }
    }

    /// All things of a kind, by their ids.
    pub(crate) fn all(&self, kind: Kind) -> impl Iterator<Item = (&str, &Thing)> {
        self.things.get(&kind).into_iter().flatten().map(|(id, thing)| (id.as_str(), thing))
    }

    /// The thing with that id.
    pub(crate) fn get(&self, kind: Kind, id: &str) -> Option<&Thing> {
        self.things.get(&kind)?.get(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::row::Content;

    fn row(at: Micros, rest: &str) -> Row {
        Row { occurred: at, indexed: at, content: Arc::new(Content::of_rest(rest)) }
    }

    fn told(rows: &[(Micros, &str)]) -> Library {
        let mut library = Library::default();
        for (number, (at, rest)) in (1..).zip(rows) {
            library.note(Place { created: *at, number }, &row(*at, rest));
        }
        library
    }

    const LIFE: [(Micros, &str); 4] = [
        (
            10,
            r#","type":"claude_chat_created","claude_chat_id":"c","actor":{"user_id":"u","email_address":"e"}}"#,
        ),
        (20, r#","type":"claude_chat_viewed","claude_chat_id":"c","claude_project_id":"p"}"#),
        (30, r#","type":"claude_chat_updated","claude_chat_id":"c","claude_project_id":"q"}"#),
        (40, r#","type":"claude_chat_deleted","claude_chat_id":"c"}"#),
    ];

    #[test]
    fn a_thing_lives_as_its_records_say() {
        let library = told(&LIFE);
        let chat = library.get(Kind::Chat, "c").unwrap();
        let at = |now| chat.state(now).map(|state| (state.made, state.changed, state.ended, state.project));
        assert_eq!(at(9), None);
        assert_eq!(at(25), Some((10, 10, None, Some("p"))), "a look changes nothing");
        assert_eq!(at(30), Some((10, 30, None, Some("q"))));
        assert_eq!(at(99), Some((10, 40, Some(40), Some("q"))));
        assert_eq!(chat.state(99).unwrap().who, Some(&("u".to_owned(), "e".to_owned())));
        assert_eq!(library.all(Kind::Project).map(|(id, _)| id).collect::<Vec<_>>(), ["p", "q"]);
    }

    #[test]
    fn the_order_of_telling_does_not_matter() {
        let mut back = Library::default();
        for (number, (at, rest)) in (1_u8..5).zip(&LIFE).rev() {
            let number = number.into();
            back.note(Place { created: *at, number }, &row(*at, rest));
        }
        assert_eq!(format!("{back:?}"), format!("{:?}", told(&LIFE)));
    }

    #[test]
    fn a_life_without_end_is_bounded() {
        let mut library = Library::default();
        let update = row(5, LIFE[2].1);
        for number in 0..1_000 {
            library.note(Place { created: 5, number }, &Row { occurred: number as Micros, ..update.clone() });
        }
        assert_eq!(library.get(Kind::Chat, "c").unwrap().events(Micros::MAX).count(), MOST_EVENTS);
    }
}
