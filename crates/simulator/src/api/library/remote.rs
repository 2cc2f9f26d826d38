//! Sessions started on the web or a phone, and their transcripts.
//!
//! Owns whose they are, how they begin and end, and what is in them. The subtle thing: times are those of commits, so events
//! that follow each other may tie or run backwards.

use serde_json::{Value, json};

use super::local::{Caps, DAY, MOST_BYTES, bytes};
use super::words::{chance_of, made_id, one_of, said, tool};
use crate::cast::Person;
use crate::clock::{Micros, Precision, SECOND, rfc3339};

/// More people than these have no such sessions.
const MOST_PEOPLE: usize = 2_000;

/// A session.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) id: String,
    /// The person, who owns it or started it for an agent.
    person: (String, String),
    agent: Option<String>,
    /// Chance that says in which of the tenant's projects it is.
    pub(crate) project: Option<u64>,
    pub(crate) created: Micros,
    /// Until when it is pending.
    ready: Micros,
    /// The times of its events, in the server's order.
    events: Vec<Micros>,
    /// What becomes of it in the end.
    end: &'static str,
    deleted: Option<Micros>,
}

/// All sessions that begin between two times.
pub(crate) fn sessions(seed: u64, people: &[Person], from: Micros, until: Micros) -> Vec<Session> {
    let mut all = Vec::new();
    for person in people.iter().take(MOST_PEOPLE) {
        for day in from.div_euclid(DAY)..=until.div_euclid(DAY) {
            all.extend(session(seed, person, day));
        }
    }
    all.retain(|session| (from..=until).contains(&session.created));
    all
}

fn session(seed: u64, person: &Person, day: i64) -> Option<Session> {
    let of = format!("{}/{day}", person.user_id);
    let mut random = chance_of(seed, "remote", &of);
    if !random.chance(20) {
        return None;
    }
    let created = day * DAY + random.below(22 * 3_600 * SECOND as u64) as Micros;
    let ready = created + random.range(5, 600) as Micros * SECOND;
    let mut at = ready;
    let events = (0..random.range(2, 30)).map(|_| {
        // One in eight ties with the one before, one in eight was committed before it.
        match random.below(8) {
            0 => {}
            1 => at = (at - SECOND).max(ready),
            _ => at += random.range(1, 600) as Micros * SECOND,
        }
        at
    });
    let events: Vec<_> = events.collect();
    let last = events.iter().max().copied().unwrap_or(ready);
    Some(Session {
        id: made_id(seed, "cse_", &of),
        person: (person.user_id.clone(), person.email.clone()),
        agent: random.chance(25).then(|| made_id(seed, "cagt_", &of)),
        project: random.chance(25).then(|| random.bits()),
        created,
        ready,
        events,
        end: one_of(&mut random, &["paused", "archived", "archived", "failed"]),
        deleted: random.chance(10).then(|| last + random.range(1, 72) as Micros * 3_600 * SECOND),
    })
}

impl Session {
    /// Whether lists show it.
    pub(crate) fn shown(&self, now: Micros) -> bool {
        self.created <= now && self.deleted.is_none_or(|deleted| now < deleted)
    }

    fn last(&self) -> Micros {
        self.events.iter().max().copied().unwrap_or(self.ready)
    }

    pub(crate) fn status(&self, now: Micros) -> &'static str {
        match now {
            _ if now < self.ready => "pending",
            _ if now < self.last() + DAY / 4 => "active",
            _ => self.end,
        }
    }

    /// When it changed last, its status included.
    fn updated(&self, now: Micros) -> Micros {
        let ended = Some(self.last() + DAY / 4);
        let changes = self.events.iter().copied().chain([self.created, self.ready]).chain(ended);
        changes.filter(|at| *at <= now).max().unwrap_or(self.created)
    }

    /// Whose it is: a person's, or nobody's when it is an agent's.
    pub(crate) fn owner(&self) -> Option<&str> {
        self.agent.is_none().then_some(self.person.0.as_str())
    }

    /// The session as lists show it; on the route of its messages (`list` is false) some of it is always null.
    pub(crate) fn json(&self, now: Micros, organization: &str, project: Option<&str>, list: bool) -> Value {
        let at = |at| rfc3339(at, Precision::Micros, true);
        let (id, address) = &self.person;
        let user = self.owner().map(|_| json!({"id": id, "email_address": list.then_some(address)}));
        json!({
            "id": self.id,
            "organization_uuid": organization,
            "user": user,
            "agent_id": self.agent,
            "started_by_user": (list && self.agent.is_some()).then(|| json!({"id": id, "email_address": address})),
            "status": self.status(now),
            "created_at": at(self.created),
            "updated_at": at(self.updated(now)),
            "product_surface": "cowork_remote",
            "claude_project_id": project.filter(|_| list),
        })
    }

    /// Its events with their numbers, in the server's order.
    pub(crate) fn messages(&self, seed: u64, now: Micros, caps: Caps) -> Vec<(i64, Value)> {
        let made = self.events.iter().enumerate().filter(|(_, at)| **at <= now);
        made.map(|(index, at)| (index as i64, self.event(seed, index, *at, caps))).collect()
    }

    fn event(&self, seed: u64, index: usize, at: Micros, caps: Caps) -> Value {
        let of = format!("{}/{index}", self.id);
        let mut random = chance_of(seed, "event", &of);
        let asks = index.is_multiple_of(2);
        let withheld = random.chance(6);
        let mut content = Vec::new();
        if !withheld && !asks && random.chance(50) {
            let (name, input, result) = tool(&mut random);
            let call = made_id(seed, "toolu_", &of);
            let (input, cut) = bytes(&input, caps.input);
            content.push(
                json!({"type": "tool_use", "id": call, "name": name, "input": input, "truncated": cut}),
            );
            let (result, cut) = bytes(&result, caps.result);
            content.push(json!({
                "type": "tool_result", "tool_use_id": call, "name": name, "is_error": false,
                "content": [{"type": "text", "text": result}], "truncated": cut,
            }));
        }
        if !withheld {
            let (text, cut) = bytes(&said(&mut random), MOST_BYTES);
            content.push(json!({"type": "text", "text": text, "truncated": cut}));
        }
        json!({
            "id": made_id(seed, "csev_", &of),
            "role": if asks { "user" } else { "assistant" },
            "created_at": rfc3339(at, Precision::Micros, true),
            "content": content,
            "sent_by_user_id": (asks && self.agent.is_some()).then_some(&self.person.0),
            "content_unavailable": withheld,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_pending_then_active_then_over_and_gone() {
        let session = Session {
            id: "cse_01a".into(),
            person: ("user_01a".into(), "a@example.com".into()),
            agent: None,
            project: None,
            created: 0,
            ready: 10,
            events: vec![10, 30, 20],
            end: "archived",
            deleted: Some(2 * DAY),
        };
        assert_eq!([9, 10, 30 + DAY / 4].map(|now| session.status(now)), ["pending", "active", "archived"]);
        assert_eq!([5, 10, 25, 40, DAY].map(|now| session.updated(now)), [0, 10, 20, 30, 30 + DAY / 4]);
        let caps = Caps { input: 9, result: 9 };
        let times = session.messages(1, 25, caps).iter().map(|(number, _)| *number).collect::<Vec<_>>();
        assert_eq!(times, [0, 2], "the second was committed last");
        assert!(session.shown(DAY) && !session.shown(2 * DAY));
    }
}
