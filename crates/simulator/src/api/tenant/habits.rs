//! What people and machines do on ordinary days.
//!
//! Everybody works in an office somewhere, comes and goes at their hours, has a role and a usual place and client. Machines
//! work around the clock.

use super::{CATALOG, HOUR, MINUTE, Office};
use crate::cast::Person;
use crate::clock::{Micros, SECOND};
use crate::json;
use crate::random::Random;

/// Hours that the offices are ahead of UTC: Dublin, Berlin, Bengaluru (half an hour off, as hours go), New York, San Francisco.
const OFFICES: [i64; 5] = [1, 2, 5, -4, -7];

/// What a role does, the most frequent first and repeated.
const ROLES: [&[&str]; 4] = [
    &[
        "claude_chat_created",
        "claude_chat_viewed",
        "claude_chat_viewed",
        "claude_chat_updated",
        "claude_file_uploaded",
        "claude_artifact_created",
        "claude_artifact_viewed",
        "claude_project_viewed",
    ],
    &[
        "claude_chat_created",
        "claude_chat_viewed",
        "claude_project_document_uploaded",
        "claude_project_document_viewed",
        "claude_file_viewed",
        "claude_file_uploaded",
        "claude_project_viewed",
        "claude_chat_deleted",
    ],
    &[
        "claude_chat_viewed",
        "claude_chat_created",
        "claude_skill_enabled",
        "platform_file_uploaded",
        "platform_agent_session_created",
        "platform_api_key_created",
        "platform_workspace_members_listed",
        "claude_chat_updated",
    ],
    &[
        "claude_chat_viewed",
        "claude_user_role_updated",
        "group_member_added",
        "platform_workspace_member_added",
        "claude_organization_settings_updated",
        "claude_project_viewed",
        "claude_chat_created",
        "org_members_exported",
    ],
];

/// What machines do.
const MACHINES: [(&str, &str); 5] = [
    ("platform_file_uploaded", "service_account_actor"),
    ("platform_agent_session_created", "api_actor"),
    ("platform_federated_authentication", "federated_identity_actor"),
    ("platform_workspace_members_listed", "admin_api_key_actor"),
    ("platform_usage_report_messages_viewed", "admin_api_key_actor"),
];

/// How somebody lives.
#[derive(Debug, Clone)]
pub(super) struct Habit {
    /// Hours ahead of UTC.
    zone: i64,
    /// Local hours of coming and going.
    comes: i64,
    goes: i64,
    role: usize,
    /// How much they do, in percent of the usual.
    busy: u64,
}

impl Habit {
    pub(super) fn new(random: &mut Random) -> Self {
        let comes = random.range(7, 10) as i64;
        Self {
            zone: OFFICES[[0, 1, 1, 2, 3, 3, 4][random.index(7)]],
            comes,
            goes: comes + random.range(8, 10) as i64,
            // Most create, few administer.
            role: [0, 0, 0, 1, 1, 1, 1, 2, 2, 3][random.index(10)],
            busy: random.range(20, 180),
        }
    }
}

impl Office {
    /// What the people do in an hour.
    pub(super) fn work(&mut self, from: Micros) {
        for index in 0..self.habits.len() {
            if from < self.away[index] {
                continue;
            }
            let Habit { zone, comes, goes, role, busy } = self.habits[index];
            let local = from.div_euclid(HOUR) + zone;
            let (day, hour) = (local.div_euclid(24), local.rem_euclid(24));
            // 1 January 1970 was a Thursday.
            let weekend = matches!((day + 3).rem_euclid(7), 5 | 6);
            let at_work = (comes..goes).contains(&hour) && (!weekend || self.random.chance(4));
            // Some look in from home at night.
            if !at_work && !self.random.chance(2) {
                continue;
            }
            let person = self.generator.cast.people()[index].clone();
            if hour == comes || !at_work {
                self.sign_in(from, &person);
            }
            let actor = self.at(&person);
            let usual = self.settings.hourly * busy / 100;
            let count = if at_work { self.random.below(2 * usual + 1) } else { usual / 4 };
            for _ in 0..count {
                let at = self.some_time(from);
                // One record in thirty is of any type there is.
                let any = self.random.index(30) == 0;
                let name = if any { self.any_type() } else { *self.random.pick(ROLES[role]) };
                if any {
                    self.tell(at, name, |draft| draft);
                } else {
                    let ids = self.things[index].touched(name);
                    self.tell(at, name, |draft| {
                        let draft = draft.actor_json(&actor);
                        ids.iter().fold(draft, |draft, (field, id)| draft.set(field, id))
                    });
                }
            }
            if at_work && hour == goes - 1 && self.random.chance(30) {
                self.tell(from + HOUR - MINUTE, "user_logged_out", |draft| draft.actor_json(&actor));
            }
        }
    }

    fn any_type(&mut self) -> &'static str {
        let rank = self.random.index(CATALOG.activities.len());
        CATALOG.activities.keys().nth(rank).map_or("claude_chat_viewed", String::as_str)
    }

    /// Somebody signs in, now and then at the second try.
    fn sign_in(&mut self, from: Micros, person: &Person) {
        let at = from + self.random.below(40 * MINUTE as u64) as Micros;
        let (actor, claimed) = (self.at(person), claimed(person, &person.addresses[0], &person.agents[0]));
        self.tell(at, "sso_login_initiated", |draft| draft.actor_json(&claimed));
        if self.random.chance(6) {
            self.tell(at + 9 * SECOND, "sso_login_failed", |draft| draft.actor_json(&claimed));
            self.tell(at + 31 * SECOND, "sso_login_initiated", |draft| draft.actor_json(&claimed));
        }
        self.tell(at + 52 * SECOND, "sso_login_succeeded", |draft| {
            draft.actor_json(&actor).set("auth_method", "sso")
        });
    }

    /// A person where they mostly are, with what they mostly use.
    fn at(&mut self, person: &Person) -> String {
        let place = if self.random.chance(85) { 0 } else { self.random.index(person.addresses.len()) };
        let client = if self.random.chance(85) { 0 } else { self.random.index(person.agents.len()) };
        user(person, &person.addresses[place], &person.agents[client])
    }

    /// What machines do in an hour.
    pub(super) fn machines(&mut self, from: Micros) {
        for _ in 0..self.habits.len() as u64 * self.settings.hourly / 40 {
            let at = self.some_time(from);
            let (name, kind) = *self.random.pick(&MACHINES);
            self.tell(at, name, |draft| draft.actor_kind(kind));
        }
    }
}

/// An actor with an account, as JSON.
pub(super) fn user(person: &Person, address: &str, agent: &str) -> String {
    object(&[
        ("type", "user_actor"),
        ("user_id", &person.user_id),
        ("email_address", &person.email),
        ("ip_address", address),
        ("user_agent", agent),
    ])
}

/// Somebody who says to be that person, and has not shown it.
pub(super) fn claimed(person: &Person, address: &str, agent: &str) -> String {
    object(&[
        ("type", "unauthenticated_user_actor"),
        ("unauthenticated_email_address", &person.email),
        ("ip_address", address),
        ("user_agent", agent),
    ])
}

/// An object of strings.
pub(super) fn object(fields: &[(&str, &str)]) -> String {
    let mut out = String::from("{");
    for (name, value) in fields {
        json::key(&mut out, name);
        json::string(&mut out, value);
    }
    out.push('}');
    out
}
