//! Sessions on people's own machines, and their transcripts.
//!
//! Owns when people have such sessions, how these grow, and what of them is still kept. No record of the feed names one, so
//! they follow from the seed, the person and the day. The subtle thing: what has aged out is one placeholder, which is
//! another one each time more ages out, and the session seems to begin with the first call that is left.

use serde_json::{Value, json};

use super::words::{chance_of, made_id, said, tool};
use crate::api::refusal::Dialect;
use crate::cast::Person;
use crate::clock::{Micros, Precision, SECOND, rfc3339};

/// A day.
pub(crate) const DAY: Micros = 24 * 3_600 * SECOND;
/// Six years.
const KEPT: Micros = 6 * 365 * DAY;
/// More people than these have no such sessions: a list is made anew for each request.
const MOST_PEOPLE: usize = 2_000;
/// The most bytes of a text, whatever is asked for.
pub(crate) const MOST_BYTES: usize = 1 << 20;

/// A session.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) id: String,
    pub(crate) user: (String, String),
    surface: Option<&'static str>,
    workspace: Option<String>,
    /// When each call was made, ascending.
    calls: Vec<Micros>,
    /// How long it takes until the list shows it.
    lag: Micros,
    captured: bool,
    /// Whether a page of it from its end is too large to read.
    pub(crate) large: bool,
    truncated: bool,
}

/// How long texts of tools may be, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caps {
    pub(crate) input: usize,
    pub(crate) result: usize,
}

/// What is left of a session.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Left {
    /// How many calls have aged out, and how many were made.
    aged: usize,
    made: usize,
    /// The earliest call that is left, and the latest.
    pub(crate) created: Micros,
    pub(crate) updated: Micros,
}

/// All sessions that begin between two times, in no particular order.
pub(crate) fn sessions(seed: u64, people: &[Person], from: Micros, until: Micros) -> Vec<Session> {
    let mut all = Vec::new();
    for person in people.iter().take(MOST_PEOPLE) {
        for day in from.div_euclid(DAY)..=until.div_euclid(DAY) {
            all.extend(session(seed, person, day));
        }
    }
    all.retain(|session| session.calls.first().is_some_and(|first| (from..=until).contains(first)));
    all
}

/// What a person has on a day, if anything.
fn session(seed: u64, person: &Person, day: i64) -> Option<Session> {
    let of = format!("{}/{day}", person.user_id);
    let mut random = chance_of(seed, "local", &of);
    if !random.chance(30) {
        return None;
    }
    let mut at = day * DAY + random.below(20 * 3_600 * SECOND as u64) as Micros;
    let count = if random.chance(10) { random.range(40, 160) } else { random.range(1, 14) };
    let mut calls = Vec::new();
    for _ in 0..count {
        calls.push(at);
        // Some go on the next day.
        let pause = if random.chance(4) { 9 * 3_600 } else { random.range(4, 900) };
        at += pause as Micros * SECOND + random.below(SECOND as u64) as Micros;
    }
    let surfaces = [
        Some("claude_code"),
        Some("claude_code"),
        Some("cowork"),
        Some("cowork"),
        None,
        Some("claude_science"),
        Some("claude_in_chrome"),
        Some("office_agents/excel"),
    ];
    Some(Session {
        id: made_id(seed, "clls_", &of),
        user: (person.user_id.clone(), person.email.clone()),
        surface: *random.pick(&surfaces),
        workspace: random.chance(10).then(|| made_id(seed, "wrkspc_", &of)),
        calls,
        lag: random.range(20, 300) as Micros * SECOND,
        captured: !random.chance(8),
        large: random.chance(4),
        truncated: random.chance(3),
    })
}

impl Session {
    /// What is there of it at `now`; nothing before the list shows it and after all of it has aged out.
    pub(crate) fn left(&self, now: Micros, retention: Option<Micros>) -> Option<Left> {
        let edge = now - retention.unwrap_or(KEPT).min(KEPT);
        let aged = self.calls.partition_point(|call| *call < edge);
        let made = self.calls.partition_point(|call| *call <= now);
        let left = self.calls.get(aged..made)?;
        let shown = self.calls.first().is_some_and(|first| first + self.lag <= now);
        let (created, updated) = left.first().zip(left.last())?;
        shown.then_some(Left { aged, made, created: *created, updated: *updated })
    }

    /// The session as lists show it; on the route of its messages the address is null.
    pub(crate) fn json(&self, left: &Left, organization: &str, dialect: Dialect, address: bool) -> Value {
        let at = |at| rfc3339(at, Precision::Micros, true);
        // The older edition knows two surfaces.
        let known =
            |surface: &&str| dialect == Dialect::October || matches!(*surface, "claude_code" | "cowork");
        let mut session = json!({
            "type": "compliance_local_session",
            "id": self.id,
            "organization_uuid": organization,
            "workspace_id": self.workspace,
            "user": {"id": self.user.0, "email_address": address.then_some(&self.user.1)},
            "product_surface": self.surface.filter(known),
            "created_at": at(left.created),
        });
        if dialect == Dialect::October {
            session["updated_at"] = at(left.updated).into();
            session["truncated"] = self.truncated.into();
        }
        session
    }

    /// Its messages with their numbers, in the server's order.
    pub(crate) fn messages(&self, seed: u64, left: &Left, dialect: Dialect, caps: Caps) -> Vec<(i64, Value)> {
        let mut all = Vec::new();
        if left.aged > 0 {
            let id = made_id(seed, "clsm_", &format!("{}/aged/{}", self.id, left.aged));
            let reason = json!({"type": "content_unavailable", "reason": "retention_elapsed"});
            all.push((-1, message(&id, "user", left.created, reason, Vec::new())));
        }
        let calls = self.calls.iter().enumerate().take(left.made).skip(left.aged);
        for (index, at) in calls {
            for part in 0..4 {
                let number = (index * 4 + part) as i64;
                all.extend(self.part(seed, index, part, *at, dialect, caps).map(|json| (number, json)));
            }
        }
        all
    }

    /// One message of a call: the marker, the user's words, what the client says the model said before, the answer.
    fn part(
        &self,
        seed: u64,
        index: usize,
        part: usize,
        at: Micros,
        dialect: Dialect,
        caps: Caps,
    ) -> Option<Value> {
        let of = format!("{}/{index}/{part}", self.id);
        let id = made_id(seed, "clsm_", &of);
        let mut random = chance_of(seed, "part", &of);
        let (role, provenance) = match part {
            0 if index == 0 => ("user", json!({"type": "synthetic_marker"})),
            1 => ("user", Value::Null),
            2 if index > 0 => ("assistant", json!({"type": "client_asserted"})),
            3 => ("assistant", Value::Null),
            _ => return None,
        };
        let missing = |reason: &str| json!({"type": "content_unavailable", "reason": reason});
        let absent = match random.below(60) {
            _ if !self.captured => Some("not_captured"),
            0 => Some("oversize"),
            1 if dialect == Dialect::October => Some("client_aborted"),
            _ => None,
        };
        if let (Some(reason), true) = (absent, part > 0) {
            return Some(message(&id, role, at, missing(reason), Vec::new()));
        }
        let mut blocks = Vec::new();
        if part == 0 {
            blocks.push(
                json!({"type": "text", "text": "[system prompt content not shown]", "truncated": true}),
            );
        } else if part == 3 && random.chance(60) {
            let (name, input, _) = tool(&mut random);
            let (input, cut) = bytes(&input, caps.input);
            let call = made_id(seed, "toolu_", &of);
            blocks.push(
                json!({"type": "tool_use", "id": call, "name": name, "input": input, "truncated": cut}),
            );
        } else if part == 1 && index > 0 && random.chance(60) {
            let (name, _, result) = tool(&mut random);
            let (result, cut) = bytes(&result, caps.result);
            blocks.push(json!({
                "type": "tool_result", "tool_use_id": made_id(seed, "toolu_", &format!("{}/{}/3", self.id, index - 1)),
                "name": name, "is_error": false, "content": [{"type": "text", "text": result}], "truncated": cut,
            }));
        } else {
            let (text, cut) = bytes(&said(&mut random), MOST_BYTES);
            blocks.push(json!({"type": "text", "text": text, "truncated": cut}));
        }
        let mut message = message(&id, role, at, provenance, blocks);
        if dialect == Dialect::October && part == 3 {
            message["model"] = "claude-opus-4-5".into();
        }
        Some(message)
    }
}

fn message(id: &str, role: &str, at: Micros, provenance: Value, content: Vec<Value>) -> Value {
    json!({
        "type": "compliance_local_session_message",
        "id": id,
        "role": role,
        "created_at": rfc3339(at, Precision::Micros, true),
        "provenance": provenance,
        "content": content,
    })
}

/// What fits into so many bytes, with a note at its end where that is not all, and whether it was cut.
pub(crate) fn bytes(text: &str, most: usize) -> (String, bool) {
    const NOTE: &str = " [truncated]";
    if text.len() <= most {
        return (text.to_owned(), false);
    }
    let end = (0..=most).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    (format!("{}{NOTE}", text.get(..end).unwrap_or_default()), true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session_of(calls: &[Micros]) -> Session {
        Session {
            id: "clls_01a".into(),
            user: ("user_01a".into(), "a@example.com".into()),
            surface: Some("claude_code"),
            workspace: None,
            calls: calls.to_vec(),
            lag: 10,
            captured: true,
            large: false,
            truncated: false,
        }
    }

    #[test]
    fn sessions_appear_late_grow_and_age_out() {
        let session = session_of(&[0, 100, 200]);
        let left =
            |now, kept| session.left(now, Some(kept)).map(|left| (left.created, left.updated, left.made));
        assert_eq!(left(9, 1_000), None, "not in the list yet");
        assert_eq!(left(10, 1_000), Some((0, 0, 1)));
        assert_eq!(left(150, 1_000), Some((0, 100, 2)), "it has grown");
        assert_eq!(left(250, 200), Some((100, 200, 3)), "its beginning has moved");
        assert_eq!(left(401, 200), None, "all of it is gone");
    }

    #[test]
    fn the_placeholder_changes_and_the_other_messages_do_not() {
        let session = session_of(&[0, 100, 200, 300]);
        let caps = Caps { input: 100, result: 100 };
        let at = |now| {
            let left = session.left(now, Some(300)).unwrap();
            session.messages(1, &left, Dialect::October, caps)
        };
        let (whole, one, two) = (at(300), at(310), at(450));
        let ids = |messages: &[(i64, Value)]| -> Vec<String> {
            messages.iter().map(|(_, message)| message["id"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(whole[0].1["provenance"]["type"], "synthetic_marker");
        assert_eq!(one[0].1["provenance"]["reason"], "retention_elapsed");
        assert_ne!(ids(&one)[0], ids(&two)[0]);
        assert!(ids(&whole).ends_with(&ids(&one)[1..]) && ids(&whole).ends_with(&ids(&two)[1..]));
        assert!(one.is_sorted_by_key(|(number, _)| *number));
    }

    #[test]
    fn cuts_are_in_bytes_and_say_so() {
        assert_eq!(bytes("aöö", 4), ("aö [truncated]".to_owned(), true));
        assert_eq!(bytes("aö", 3), ("aö".to_owned(), false));
    }
}
