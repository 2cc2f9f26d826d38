//! Groups and their members.
//!
//! Owns which groups there are: some from the beginning, and all that the feed speaks of. The subtle thing: the feed calls a
//! group `group_…` where the directory calls it `rbac_group_…`; either finds it.

use std::collections::BTreeMap;

use serde_json::json;

use super::asked::Spec;
use super::directory::{DIRECTORY, zoneless};
use super::mark::Spot;
use super::{Reply, World};
use crate::api::library::words::{chance_of, made_id, one_of};
use crate::api::library::{Kind, Thing, Verb};
use crate::api::refusal::Refusal;
use crate::clock::Micros;
use crate::vocabulary::{GROUPS, SENTENCES};

const LIST: Spec = Spec { names: &["limit", "page", "name_prefix"], ..DIRECTORY };
/// What ids start with in the directory, and in the feed.
const PREFIX: &str = "rbac_group_";
const FEED_PREFIX: &str = "group_";

/// A group as it is just now.
struct Group<'t> {
    id: String,
    name: &'t str,
    made: Micros,
    changed: Micros,
    /// What the feed says of it; nothing of those that were always there.
    thing: Option<&'t Thing>,
}

impl World<'_> {
    pub(super) fn groups(&self) -> Result<Reply, Refusal> {
        let asked = self.asked(&LIST)?;
        let prefix = asked.text("name_prefix").unwrap_or_default();
        let groups = self.all_groups().into_iter().filter(|group| group.name.starts_with(prefix));
        let entries = groups.map(|group| (Spot { rank: group.made, id: group.id.clone() }, group));
        self.directory("groups", &asked, entries.collect(), |group| {
            let mut random = chance_of(self.seed(), "group", &group.id);
            let source = if random.chance(50) { "scim" } else { "direct" };
            let role = made_id(self.seed(), "rbac_role_", one_of(&mut random, GROUPS));
            json!({
                "id": group.id,
                "name": group.name,
                "description": random.pick(SENTENCES),
                "source_type": source,
                "roles": [role],
                "created_at": zoneless(group.made),
                "updated_at": zoneless(group.changed),
            })
        })
    }

    pub(super) fn members(&self, id: &str) -> Result<Reply, Refusal> {
        let asked = self.asked(&DIRECTORY)?;
        let same = |group: &Group<'_>| group.id == id || group.id.strip_prefix("rbac_") == Some(id);
        let group = self.all_groups().into_iter().find(same).ok_or_else(|| Refusal::gone("Group", id))?;
        let entries: Vec<_> = self
            .joined(&group)
            .into_iter()
            .map(|(member, at)| (Spot { rank: at, id: member.clone() }, (member, at)))
            .collect();
        self.directory(&format!("members {}", group.id), &asked, entries, |(member, at)| {
            let person = self.people().iter().find(|person| person.user_id == *member);
            json!({"user_id": member, "email": person.map(|person| &person.email), "created_at": zoneless(*at)})
        })
    }

    fn all_groups(&self) -> Vec<Group<'_>> {
        let standing = GROUPS.iter().filter(|_| self.reaches()).map(|name| {
            let id = made_id(self.seed(), PREFIX, name);
            Group { id, name, made: self.founded(), changed: self.founded(), thing: None }
        });
        let told = self.things(Kind::Group).filter_map(|(id, thing)| {
            let state = thing.state(self.seen()).filter(|state| state.ended.is_none())?;
            let usual = *chance_of(self.seed(), "group", id).pick(GROUPS);
            let tail = id.strip_prefix(PREFIX).or_else(|| id.strip_prefix(FEED_PREFIX)).unwrap_or(id);
            Some(Group {
                id: format!("{PREFIX}{tail}"),
                name: state.name.unwrap_or(usual),
                made: state.made,
                changed: state.changed,
                thing: Some(thing),
            })
        });
        standing.chain(told).collect()
    }

    /// Who is in a group, and since when.
    fn joined(&self, group: &Group<'_>) -> BTreeMap<String, Micros> {
        let mut members = BTreeMap::new();
        for person in self.people() {
            // Some were in it before the feed said anything.
            if chance_of(self.seed(), &group.id, &person.user_id).chance(20) {
                members.insert(person.user_id.clone(), group.made);
            }
        }
        for (at, _, mention) in group.thing.into_iter().flat_map(|thing| thing.events(self.seen())) {
            for member in &mention.members {
                match mention.verb {
                    Verb::Joined => drop(members.insert(member.clone(), at)),
                    Verb::Left => drop(members.remove(member)),
                    _ => {}
                }
            }
        }
        let gone: Vec<_> = self.people().iter().filter(|person| self.has_left(person)).collect();
        members.retain(|member, _| !gone.iter().any(|person| person.user_id == *member));
        members
    }
}
