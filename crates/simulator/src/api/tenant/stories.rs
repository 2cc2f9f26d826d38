//! What attackers do, and what follows: one story every eighth hour.
//!
//! Addresses and clients of attackers are the same in every tenant, so that a newcomer finds them again.

use super::habits::{claimed, object, user};
use super::{AWAY, HOUR, MINUTE, Office};
use crate::cast::Person;
use crate::clock::{Micros, Precision, SECOND, rfc3339};
use crate::values::tagged_id;

/// Where the attacker comes from, and with what.
pub(super) const ATTACKER: (&str, &str) = ("198.51.100.77", "python-requests/2.28.2");
/// The hours between two stories.
const EVERY: i64 = 8;
/// In which of those hours one is told.
const HOUR_OF_STORY: i64 = 3;

impl Office {
    /// The story of the hour that begins at `from`, if it has one.
    pub(super) fn story(&mut self, from: Micros) {
        let hour = from.div_euclid(HOUR);
        if hour.rem_euclid(EVERY) != HOUR_OF_STORY {
            return;
        }
        let people = self.generator.cast.people();
        let index = self.random.index(people.len());
        let (victim, administrator) = (people[index].clone(), people[0].clone());
        match hour.div_euclid(EVERY).rem_euclid(4) {
            0 => self.stolen_key(from, &victim, &administrator),
            1 => {
                self.mass_export(from, &victim, &administrator);
                self.away[index] = from + HOUR + AWAY;
            }
            2 => self.taken_account(from, &victim, &administrator),
            _ => self.staff_access(from),
        }
    }

    /// Somebody else uses a person's key, makes one of their own, and is stopped.
    fn stolen_key(&mut self, from: Micros, victim: &Person, administrator: &Person) {
        let mut id = |prefix| tagged_id(&mut self.random, prefix);
        let (stolen, own, workspace) = (id("apikey_"), id("apikey_"), id("wrkspc_"));
        let (address, agent) = ATTACKER;
        let thief = object(&[
            ("type", "api_actor"),
            ("api_key_id", &stolen),
            ("ip_address", address),
            ("user_agent", agent),
        ]);
        let owner = user(victim, &victim.addresses[0], &victim.agents[0]);
        self.tell(from + MINUTE, "platform_api_key_created", |draft| {
            draft.actor_json(&owner).set("api_key_id", &stolen)
        });
        self.tell(from + 12 * MINUTE, "platform_workspace_members_listed", |draft| {
            draft.actor_json(&thief).set("workspace_id", &workspace)
        });
        for file in 0..16 {
            let at = from + 13 * MINUTE + file * 5 * SECOND;
            self.tell(at, "platform_file_content_downloaded", |draft| draft.actor_json(&thief));
        }
        self.tell(from + 16 * MINUTE, "platform_api_key_created", |draft| {
            draft.actor_json(&thief).set("api_key_id", &own)
        });
        let system = object(&[("type", "system_actor"), ("service", "abuse-detection")]);
        self.tell(from + 40 * MINUTE, "abuse_decision_received", |draft| {
            draft.actor_json(&system).set("decision", "blocked")
        });
        let admin = user(administrator, &administrator.addresses[0], &administrator.agents[0]);
        let off = "[{\"current_value\":\"inactive\",\"previous_value\":\"active\",\"type\":\"status\"}]";
        for (index, key) in [stolen, own].iter().enumerate() {
            let at = from + 52 * MINUTE + index as Micros * 29 * SECOND;
            self.tell(at, "platform_api_key_updated", |draft| {
                draft.actor_json(&admin).set("api_key_id", key).set_json("updates", off)
            });
        }
    }

    /// Somebody who is about to leave takes everything along.
    fn mass_export(&mut self, from: Micros, leaver: &Person, administrator: &Person) {
        let project = tagged_id(&mut self.random, "claude_proj_");
        let actor = user(leaver, &leaver.addresses[0], &leaver.agents[0]);
        self.tell(from + 5 * MINUTE, "claude_project_viewed", |draft| {
            draft.actor_json(&actor).set("claude_project_id", &project)
        });
        for file in 0..26 {
            let id = tagged_id(&mut self.random, "claude_file_");
            self.tell(from + 6 * MINUTE + file * 13 * SECOND, "claude_file_exported", |draft| {
                draft.actor_json(&actor).set("claude_file_id", &id).set("export_destination", "google_drive")
            });
        }
        self.tell(from + 15 * MINUTE, "org_data_export_started", |draft| {
            draft.actor_json(&actor).set("scope", "member_own_data")
        });
        let worker = object(&[("type", "system_actor"), ("service", "export-worker")]);
        self.tell(from + 26 * MINUTE, "org_data_export_completed", |draft| {
            draft.actor_json(&worker).set("export_type", "conversations")
        });
        self.tell(from + 28 * MINUTE, "claude_project_document_bulk_deletion_audit_truncated", |draft| {
            draft.set("claude_project_id", &project)
        });
        let admin = user(administrator, &administrator.addresses[0], &administrator.agents[0]);
        self.tell(from + 55 * MINUTE, "org_user_deleted", |draft| {
            draft
                .actor_json(&admin)
                .set("deleted_user_email", &leaver.email)
                .set("deleted_user_id", &leaver.user_id)
        });
    }

    /// Sign-in is tried until it works; then the account makes itself an administrator.
    fn taken_account(&mut self, from: Micros, victim: &Person, administrator: &Person) {
        let (address, agent) = ATTACKER;
        let (unknown, thief) = (claimed(victim, address, agent), user(victim, address, agent));
        for attempt in 0..7 {
            let at = from + 17 * MINUTE + attempt * 48 * SECOND;
            self.tell(at, "magic_link_login_initiated", |draft| draft.actor_json(&unknown));
            let ends = at + 20 * SECOND;
            if attempt < 6 {
                self.tell(ends, "magic_link_login_failed", |draft| draft.actor_json(&unknown));
            } else {
                self.tell(ends, "magic_link_login_succeeded", |draft| {
                    draft.actor_json(&thief).set("auth_method", "magic_link")
                });
            }
        }
        let admin = user(administrator, &administrator.addresses[0], &administrator.agents[0]);
        for (at, actor, now, before) in [(26, &thief, "admin", "user"), (50, &admin, "user", "admin")] {
            self.tell(from + at * MINUTE, "claude_user_role_updated", |draft| {
                let draft = draft.actor_json(actor).set("current_role", now).set("previous_role", before);
                draft.set("user_email", &victim.email).set("user_id", &victim.user_id)
            });
        }
        self.tell(from + 27 * MINUTE, "org_members_exported", |draft| draft.actor_json(&thief));
        self.tell(from + 51 * MINUTE, "session_revoked", |draft| draft.actor_json(&admin));
    }

    /// Anthropic's staff look at something; the feed shows it up to two days later.
    fn staff_access(&mut self, from: Micros) {
        let staff = "{\"type\":\"anthropic_actor\",\"email_address\":null}";
        let seen = rfc3339(from + 20 * MINUTE, Precision::Seconds, true);
        for name in ["anthropic_access", "anthropic_access", "cmek_preserve"] {
            let lag = self.random.below(48 * HOUR as u64) as Micros;
            self.tell_late(from + 20 * MINUTE, name, lag, |draft| {
                let draft = draft.actor_json(staff);
                if name == "cmek_preserve" { draft } else { draft.set("accessed_at", &seen) }
            });
        }
    }
}
