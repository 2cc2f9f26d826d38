//! What the simulation promises, held against itself.

mod access;
mod chats;
mod directory;
mod faulty;
mod paging;
mod projects;
mod served;
mod sessions;
mod staged;

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

/// A GET of any route with the key `full`, by its path after `/v1/compliance`.
fn ask(simulation: &mut Simulation, now: Micros, target: &str) -> Answer {
    let request = Request::get(&format!("/v1/compliance{target}")).key(simulation.key("full"));
    simulation.answer(&request, now)
}

/// The same, and it must succeed.
fn asked(simulation: &mut Simulation, now: Micros, target: &str) -> Value {
    let answer = ask(simulation, now, target);
    assert_eq!(answer.status, 200, "{target}: {}", String::from_utf8_lossy(&answer.body));
    answer.json()
}

/// The same, and it must be refused: status and message.
fn refused(simulation: &mut Simulation, now: Micros, target: &str) -> (u16, String) {
    let answer = ask(simulation, now, target);
    assert_ne!(answer.status, 200, "{target}");
    (answer.status, error(&answer).1)
}

fn with(target: &str, more: &str) -> String {
    format!("{target}{}{more}", if target.contains('?') { '&' } else { '?' })
}

/// All pages of a route by tokens, from the first to the last.
fn pages(simulation: &mut Simulation, now: Micros, target: &str, limit: usize) -> Vec<Value> {
    let mut all = vec![asked(simulation, now, &with(target, &format!("limit={limit}")))];
    while let Some(token) = all.last().unwrap()["next_page"].as_str() {
        let next = with(target, &format!("limit={limit}&page={token}"));
        all.push(asked(simulation, now, &next));
    }
    all
}

/// The records of pages.
fn rows(pages: &[Value]) -> Vec<Value> {
    pages.iter().flat_map(|page| page["data"].as_array().unwrap()).cloned().collect()
}

/// A field of records that is a text.
fn texts(rows: &[Value], name: &str) -> Vec<String> {
    rows.iter().map(|row| row[name].as_str().unwrap().to_owned()).collect()
}

/// All records of a route by cursors, forward.
fn cursors(simulation: &mut Simulation, now: Micros, target: &str, name: &str, limit: usize) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = asked(simulation, now, &with(target, &format!("limit={limit}{cursor}")));
        all.extend(page[name].as_array().unwrap().iter().cloned());
        if page["has_more"] == false {
            return all;
        }
        cursor = format!("&after_id={}", page["last_id"].as_str().unwrap());
    }
}

/// An event `seconds` after the start, with fields as JSON.
fn event(activity_type: &str, seconds: i64, fields: Value) -> Event {
    let fields = fields.as_object().unwrap().clone();
    Event { created: Some(When::Seconds(seconds)), fields, ..Event::new(activity_type) }
}

/// A silent tenant in which these events are told.
fn told(settings: Settings, events: &[Event]) -> Simulation {
    let mut simulation = Simulation::new(Settings { tenant: Tenant::empty(), ..settings });
    let start = simulation.start();
    events.iter().for_each(|event| drop(simulation.tell(event, start).unwrap()));
    simulation
}
