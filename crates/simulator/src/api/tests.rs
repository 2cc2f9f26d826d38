//! What the simulation promises, held against itself.

use std::collections::HashSet;

use super::*;
use crate::clock::SECOND;

/// A small tenant of one afternoon.
fn small(seed: u64) -> Settings {
    let tenant = Tenant { people: 5, hourly: 6, history: 3 * 3_600 * SECOND, ..Tenant::default() };
    Settings { seed, tenant, ..Settings::default() }
}

/// Walks from one end to the other and gives the ids met.
fn walk(simulation: &mut Simulation, now: i64, query: &str, limit: usize, forward: bool) -> Vec<String> {
    let key = simulation.key("activities").to_owned();
    let mut cursor = String::new();
    let mut ids = Vec::new();
    loop {
        let target = format!("{ACTIVITIES_PATH}?limit={limit}{query}{cursor}");
        let answer = simulation.answer(&Request::get(&target).key(&key), now);
        assert_eq!(answer.status, 200, "{target}: {}", String::from_utf8_lossy(&answer.body));
        let page = answer.json();
        let rows = page["data"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned());
        if forward {
            ids.extend(rows);
        } else {
            ids.splice(0..0, rows);
        }
        if page["has_more"] == false {
            return ids;
        }
        let (name, end) = if forward { ("after_id", "last_id") } else { ("before_id", "first_id") };
        cursor = format!("&{name}={}", page[end].as_str().unwrap());
    }
}

#[test]
fn every_walk_meets_every_shown_record_once() {
    let mut simulation = Simulation::new(Settings {
        own_reads: None,
        limits: Limits { requests: 0, ..Limits::default() },
        ..small(3)
    });
    let now = simulation.start();
    let mut shown: Vec<_> = simulation.truth().filter(|row| row.indexed <= now).map(|row| row.id).collect();
    assert!(shown.len() > 50);
    for limit in [1, 2, 7, 5_000] {
        assert_eq!(walk(&mut simulation, now, "&order=asc", limit, true), shown);
    }
    shown.reverse();
    for limit in [1, 2, 7, 5_000] {
        assert_eq!(walk(&mut simulation, now, "", limit, true), shown);
    }
    assert_eq!(shown.iter().collect::<HashSet<_>>().len(), shown.len());
}
