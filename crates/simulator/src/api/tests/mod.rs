//! What the simulation promises, held against itself.

mod access;
mod faulty;
mod paging;
mod served;

use serde_json::Value;

use super::*;
use crate::clock::{Micros, SECOND};

/// An hour.
const HOUR: Micros = 3_600 * SECOND;

/// A small tenant of one afternoon, and nothing that gets in the way of reading it.
fn small(seed: u64) -> Settings {
    let tenant = Tenant { people: 6, hourly: 8, history: 3 * HOUR, ..Tenant::default() };
    let limits = Limits { requests: 0, ..Limits::default() };
    Settings { seed, tenant, limits, own_reads: None, ..Settings::default() }
}

/// A GET of the feed with the key `activities`.
fn get(simulation: &mut Simulation, now: Micros, query: &str) -> Answer {
    let request = Request::get(&format!("{ACTIVITIES_PATH}?{query}")).key(simulation.key("activities"));
    simulation.answer(&request, now)
}

/// The same, and it must succeed.
fn page(simulation: &mut Simulation, now: Micros, query: &str) -> Value {
    let answer = get(simulation, now, query);
    assert_eq!(answer.status, 200, "{query}: {}", String::from_utf8_lossy(&answer.body));
    answer.json()
}

fn ids(page: &Value) -> Vec<String> {
    page["data"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
}

/// Walks forward, in result order, from the start or from a cursor, to the end.
fn walk(simulation: &mut Simulation, now: Micros, query: &str, limit: usize) -> Vec<String> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let answer = get(simulation, now, &format!("limit={limit}{query}{cursor}"));
        let text = String::from_utf8(answer.body.to_vec()).unwrap();
        assert_eq!(answer.status, 200, "{query}: {text}");
        // As text: among the records may be some that no parser takes.
        let starts = text.match_indices("{\"id\":\"activity_").map(|(at, _)| at + 7);
        all.extend(starts.map(|at| text[at..].split('"').next().unwrap().to_owned()));
        let end: Value =
            serde_json::from_str(&text[text.rfind("],\"has_more\"").unwrap()..].replacen("],", "{", 1))
                .unwrap();
        if end["has_more"] == false {
            return all;
        }
        cursor = format!("&after_id={}", end["last_id"].as_str().unwrap());
    }
}

/// What the feed shows at `now`, oldest first.
fn shown(simulation: &Simulation, now: Micros) -> Vec<String> {
    simulation.truth().filter(|row| row.indexed <= now).map(|row| row.id).collect()
}

/// `type` and `message` of an error.
fn error(answer: &Answer) -> (String, String) {
    let error = &answer.json()["error"];
    (error["type"].as_str().unwrap_or_default().into(), error["message"].as_str().unwrap_or_default().into())
}
