//! Whether the stage does its work, part by part, with cause and remedy.
//!
//! Owns what ready means: nothing is known to stand in the way of any part, and the stage is not stopping. That nothing was
//! tried yet is no obstacle: a topic may have nothing to read for days.

use chrono::SecondsFormat;
use serde_json::{Value, json};

use super::facts::Facts;

/// Whether it is ready.
pub(super) fn is_ready(facts: &Facts) -> bool {
    !facts.stop.is_asked() && facts.status.parts().iter().all(|part| part.down().is_none())
}

/// The answer to `/readyz`.
pub(super) fn report(facts: &Facts) -> Value {
    let parts: Vec<Value> = facts.status.parts().iter().map(|part| one(part)).collect();
    let ready = is_ready(facts);
    let state = match (facts.stop.is_asked(), ready) {
        (true, _) => "stopping",
        (false, true) => "running",
        (false, false) => "waiting",
    };
    json!({
        "ready": ready,
        "state": state,
        "since": facts.started.to_rfc3339_opts(SecondsFormat::Secs, true),
        "parts": parts,
    })
}

fn one(part: &pipeline::Health) -> Value {
    let since = part.since().to_rfc3339_opts(SecondsFormat::Secs, true);
    match part.down() {
        None => json!({ "part": part.part(), "state": "up", "since": since }),
        Some(down) => json!({
            "part": part.part(),
            "state": "down",
            "since": since,
            "kind": down.fault.kind.name(),
            "cause": down.fault.cause,
            "remedy": down.fault.remedy,
            "failures": down.failures,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;

    #[test]
    fn what_is_down_is_said_with_cause_and_remedy() {
        let facts = testing::idle();
        assert!(is_ready(&facts));
        assert_eq!(report(&facts)["state"], "running");
        let facts = testing::busy();
        let report = report(&facts);
        assert_eq!((&report["ready"], &report["state"]), (&json!(false), &json!("waiting")));
        let sink = report["parts"].as_array().unwrap().iter().find(|part| part["part"] == "sink").unwrap();
        assert_eq!(sink["kind"], "unreachable");
        assert_eq!(
            (&sink["cause"], &sink["remedy"]),
            (&json!("https://es:9200: no answer"), &json!("start it"))
        );
    }

    #[test]
    fn a_stage_that_stops_is_not_ready() {
        let (handle, stop) = pipeline::stop();
        let facts = Facts { stop, ..testing::idle() };
        handle.stop();
        assert!(!is_ready(&facts));
        assert_eq!(report(&facts)["state"], "stopping");
    }
}
