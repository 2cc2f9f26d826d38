//! The directory: organizations, the people in them, roles and settings.
//!
//! Owns what a tenant is on paper. The subtle thing: people are sorted by when they joined, which no field says, and somebody
//! who leaves is gone at once. They come back after some days as if asked to: a tenant that lives for years would empty
//! itself otherwise.

use serde_json::{Map, Value, json};

use super::asked::{Asked, Spec};
use super::mark::Spot;
use super::paging::Tokens;
use super::{Reply, World};
use crate::api::keys::{KeyKind, KeyState};
use crate::api::library::Kind;
use crate::api::library::words::{chance_of, made_id};
use crate::api::refusal::Refusal;
use crate::api::tenant::AWAY;
use crate::cast::Person;
use crate::clock::{Micros, Precision, SECOND, rfc3339};
use crate::values::uuid;
use crate::vocabulary::GROUPS;

const ORGANIZATIONS: Spec = Spec::paged(1_000, 1_000);
pub(super) const DIRECTORY: Spec = Spec::paged(500, 1_000);

const DAY: Micros = 24 * 3_600 * SECOND;
/// For how long the tenant has been there when the clock starts.
const AGE: Micros = 400 * DAY;
/// What somebody may be; most are the last.
const ROLES: [&str; 9] = [
    "primary_owner",
    "owner",
    "admin",
    "billing",
    "membership_admin",
    "developer",
    "claude_code_user",
    "managed",
    "user",
];

impl World<'_> {
    /// When the first of the people joined.
    pub(super) fn founded(&self) -> Micros {
        self.settings.start - AGE
    }

    /// The UUID of a linked organization, from 1 on; the tenant's own is 0.
    fn linked(&self, index: usize) -> String {
        match index {
            0 => self.uuid().to_owned(),
            _ => uuid(&mut chance_of(self.seed(), "linked", &index.to_string())),
        }
    }

    /// Which organization a UUID names.
    fn organization(&self, named: &str) -> Option<usize> {
        let all = 0..=self.settings.tenant.linked;
        all.into_iter().find(|index| self.reaches() && self.linked(*index) == named)
    }

    pub(super) fn organizations(&self) -> Result<Reply, Refusal> {
        let asked = self.asked(&ORGANIZATIONS)?;
        let all = 0..if self.reaches() { self.settings.tenant.linked + 1 } else { 0 };
        let entries = all.map(|index| {
            let rank = self.founded() + index as Micros * DAY;
            (Spot { rank, id: self.linked(index) }, (index, rank))
        });
        self.directory("organizations", &asked, entries.collect(), |(index, created)| {
            let name =
                if *index == 0 { "Example Works".to_owned() } else { format!("Example Works {index}") };
            let created_at = rfc3339(*created, Precision::Seconds, true);
            json!({"uuid": self.linked(*index), "name": name, "created_at": created_at})
        })
    }

    pub(super) fn users(&self, named: &str) -> Result<Reply, Refusal> {
        let asked = self.asked(&DIRECTORY)?;
        let organization = self.organization(named).ok_or_else(|| Refusal::gone("Organization", named))?;
        // Everybody belongs to the first organization, and some to others too.
        let people = self
            .people()
            .iter()
            .enumerate()
            .filter(|(index, person)| index.is_multiple_of(organization + 1) && !self.has_left(person));
        let entries = people.map(|(index, person)| {
            let joined = self.founded() + index as Micros * DAY / 7;
            (Spot { rank: joined, id: person.user_id.clone() }, (index, joined, person))
        });
        self.directory(&format!("users {named}"), &asked, entries.collect(), |(index, joined, person)| {
            let mut random = chance_of(self.seed(), "account", &person.user_id);
            // The account may be older than the membership, and only its age is told.
            let created =
                if random.chance(30) { joined - random.range(1, 300) as Micros * DAY } else { *joined };
            // The first one administers, as in the stories.
            let role = match index {
                0 => ROLES[0],
                _ if random.chance(20) => *random.pick(&ROLES[1..8]),
                _ => ROLES[8],
            };
            json!({
                "id": person.user_id,
                "full_name": person.name,
                "email": person.email,
                "organization_role": role,
                "created_at": rfc3339(created, Precision::Seconds, true),
            })
        })
    }

    /// Whether somebody has left by now, as the feed says.
    pub(super) fn has_left(&self, person: &Person) -> bool {
        let thing = self.library.get(Kind::Person, &person.user_id);
        let ended = thing.and_then(|thing| thing.state(self.now)?.ended_last);
        ended.is_some_and(|ended| self.now < ended + AWAY)
    }

    /// The roles that were there from the beginning, and those the feed speaks of.
    pub(super) fn roles(&self, named: &str) -> Result<Reply, Refusal> {
        let asked = self.asked(&DIRECTORY)?;
        let organization = self.organization(named).ok_or_else(|| Refusal::gone("Organization", named))?;
        let standing = GROUPS.iter().map(|name| {
            let id = made_id(self.seed(), "rbac_role_", name);
            (Spot { rank: self.founded(), id }, (*name, self.founded(), self.founded()))
        });
        let told = self.things(Kind::Role).filter_map(|(id, thing)| {
            let state = thing.state(self.seen()).filter(|state| state.ended.is_none())?;
            let name = state.name.unwrap_or(GROUPS[id.len() % GROUPS.len()]);
            Some((Spot { rank: state.made, id: id.to_owned() }, (name, state.made, state.changed)))
        });
        let mut entries: Vec<_> = standing.chain(told).filter(|_| organization == 0).collect();
        entries.sort_by(|(one, _), (other, _)| one.cmp(other));
        let entries = entries.into_iter().map(|(spot, role)| (spot.clone(), (spot.id, role))).collect();
        self.directory(&format!("roles {named}"), &asked, entries, |(id, (name, made, changed))| {
            json!({
                "id": id, "name": format!("{name} role"), "description": null,
                "created_at": zoneless(*made), "updated_at": zoneless(*changed),
            })
        })
    }

    /// Settings that an administrator controls, and the keys; what is off, unknown and misspelt looks alike.
    pub(super) fn organization_settings(&self, named: &str) -> Result<Reply, Refusal> {
        self.asked(&Spec::NONE)?;
        if self.organization(named) != Some(0) {
            return Err(Refusal::new(404, "not_found_error", "Organization settings not found"));
        }
        let keys = self.keys.iter().filter(|key| key.kind == KeyKind::Compliance);
        let keys = keys.map(|key| {
            let expired =
                (key.state == KeyState::Expired).then(|| rfc3339(self.founded(), Precision::Seconds, true));
            json!({
                "id": format!("apikey_{}", key.tail), "name": key.name, "scopes": key.scopes,
                "is_active": key.state == KeyState::Active, "expires_at": expired,
            })
        });
        let body = json!({
            "organization_id": named,
            "settings": [
                {"type": "boolean", "name": "compliance_api_enabled", "value": true},
                {"type": "boolean", "name": "public_sharing_enabled", "value": false},
                {"type": "integer", "name": "conversation_retention_days",
                 "value": self.settings.transcript_retention.map(|kept| kept / DAY)},
            ],
            "api_keys": keys.collect::<Value>(),
        });
        Ok(Reply::json(&body, 1))
    }

    /// A page of the directory.
    pub(super) fn directory<T>(
        &self,
        route: &str,
        asked: &Asked,
        entries: Vec<(Spot, T)>,
        show: impl Fn(&T) -> Value,
    ) -> Result<Reply, Refusal> {
        let marks = self.marks(route.to_owned(), asked);
        let tokens = Tokens { marks: &marks, descends: false, has_more: true, lifetime: None, bytes: None };
        self.by_token(asked, &tokens, entries, Map::new(), |entry| Some(show(entry)))
    }
}

/// A time without its zone, as roles, groups and members have it.
pub(super) fn zoneless(at: Micros) -> String {
    rfc3339(at, Precision::Micros, true).trim_end_matches('Z').to_owned()
}
