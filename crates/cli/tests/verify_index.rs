//! `verify --config` against a FAKE Elasticsearch, which knows two searches and nothing else: counts by `date_range`, and
//! documents by `search_after`. As a date field does, it counts by milliseconds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const MINUTE: i64 = 60_000_000;

/// Documents: when they were made, in microseconds, and their ids.
type Documents = Arc<Mutex<Vec<(i64, String)>>>;

/// Listens for as long as the process lives; gives the address, and the searches that came.
fn fake(documents: &Documents) -> (String, Arc<Mutex<Vec<Value>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let searches = Arc::new(Mutex::new(Vec::new()));
    let (documents, seen) = (Arc::clone(documents), Arc::clone(&searches));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (documents, seen) = (Arc::clone(&documents), Arc::clone(&seen));
            std::thread::spawn(move || serve(stream.unwrap(), &documents, &seen));
        }
    });
    (address, searches)
}

fn serve(mut stream: TcpStream, documents: &Documents, seen: &Mutex<Vec<Value>>) {
    let mut input = Vec::new();
    loop {
        let head = loop {
            if let Some(at) = input.windows(4).position(|part| part == b"\r\n\r\n") {
                break at + 4;
            }
            let mut piece = [0; 4_096];
            match stream.read(&mut piece) {
                Ok(length @ 1..) => input.extend_from_slice(&piece[..length]),
                _ => return,
            }
        };
        let text = String::from_utf8(input.drain(..head).collect()).unwrap();
        let length: usize = text
            .lines()
            .find_map(|line| line.to_lowercase().strip_prefix("content-length: ").map(str::to_owned))
            .map_or(0, |length| length.trim().parse().unwrap());
        while input.len() < length {
            let mut piece = [0; 4_096];
            match stream.read(&mut piece) {
                Ok(length @ 1..) => input.extend_from_slice(&piece[..length]),
                _ => return,
            }
        }
        let body: Vec<u8> = input.drain(..length).collect();
        let path = text.split(' ').nth(1).unwrap();
        let (status, answer) = if path.starts_with("/logs-anthropic.audit-main/_search?") {
            let question: Value = serde_json::from_slice(&body).unwrap();
            let answer = search(&documents.lock().unwrap(), &question);
            seen.lock().unwrap().push(question);
            (200, answer)
        } else if path.ends_with("/_refresh") {
            // As the real one does, which found that out.
            assert!(body.is_empty(), "a refresh with a body is refused");
            seen.lock().unwrap().push(json!("refresh"));
            (403, json!({"error": {"reason": "not allowed"}}))
        } else {
            (404, json!({"error": {"type": "index_not_found_exception", "reason": "no such index [x]"}}))
        };
        let answer = answer.to_string();
        let head = format!(
            "HTTP/1.1 {status} Fake\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            answer.len()
        );
        if stream.write_all((head + &answer).as_bytes()).is_err() {
            return;
        }
    }
}

fn search(documents: &[(i64, String)], question: &Value) -> Value {
    let range = &question["query"]["range"]["event.created"];
    assert_eq!(range["format"], "epoch_millis");
    let (from, to) = (range["gte"].as_i64().unwrap(), range["lt"].as_i64().unwrap());
    let within = |from: i64, to: i64| {
        let mut found: Vec<(i64, &str)> = documents
            .iter()
            .map(|(created, id)| (created.div_euclid(1_000), id.as_str()))
            .filter(|(millis, _)| (from..to).contains(millis))
            .collect();
        found.sort_unstable();
        found
    };
    if let Some(ranges) = question.pointer("/aggs/windows/date_range/ranges") {
        let buckets: serde_json::Map<String, Value> = ranges
            .as_array()
            .unwrap()
            .iter()
            .map(|one| {
                let bound = |name: &str| one[name].as_str().unwrap().parse::<i64>().unwrap();
                let (low, high) = (bound("from").max(from), bound("to").min(to));
                let count = if low < high { within(low, high).len() } else { 0 };
                (one["key"].as_str().unwrap().to_owned(), json!({"doc_count": count}))
            })
            .collect();
        return json!({"hits": {"hits": []}, "aggregations": {"windows": {"buckets": buckets}}});
    }
    let after = question
        .get("search_after")
        .map(|after| (after[0].as_i64().unwrap(), after[1].as_str().unwrap().to_owned()));
    let size = question["size"].as_u64().unwrap() as usize;
    let hits: Vec<Value> = within(from, to)
        .into_iter()
        .filter(|(millis, id)| {
            after.as_ref().is_none_or(|after| (*millis, *id) > (after.0, after.1.as_str()))
        })
        .take(size)
        .map(|(millis, id)| {
            let created = documents.iter().find(|(_, known)| known == id).unwrap().0;
            let event = json!({"id": id, "created": time(created)});
            json!({"_source": {"event": event}, "sort": [millis, id]})
        })
        .collect();
    json!({"hits": {"hits": hits}})
}

fn time(micros: i64) -> String {
    simulator::rfc3339(micros, simulator::Precision::Micros, true)
}

/// What the reader would have attested of a window that holds these documents.
fn attestation(sequence: usize, from: i64, to: i64, documents: &[(i64, String)]) -> Value {
    let mut rows: Vec<_> = documents.iter().filter(|(created, _)| (from..to).contains(created)).collect();
    rows.sort();
    let text: String = rows.iter().map(|(_, id)| format!("{id}\n")).collect();
    let digits: String = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
    json!({
        "sequence": sequence, "time": time(to), "kind": "window", "query": "limit=5000&order=asc",
        "from": time(from), "to": time(to), "read_to": time(to), "pages": 1, "records": rows.len(),
        "new": rows.len(), "late": 0, "duplicates": 0, "without_id": 0, "lateness_seconds": 0, "gaps": 0,
        "first_cursor": null, "last_cursor": null, "request_ids": [], "more_requests": 0,
        "ids_sha256": digits,
    })
}

fn verify(folder: &Path, more: &[&str]) -> (i32, String) {
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_anthropic-ecs"))
        .args(["verify", "--config", "c.toml"])
        .args(more)
        .current_dir(folder)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr);
    (status.code().unwrap(), text)
}

fn configure(folder: &Path, url: &str, namespace: &str) {
    let text = format!(
        "[source]\ntype = \"compliance_api\"\napi_key = \"k\"\n[sink]\ntype = \"elasticsearch\"\nurl = \"{url}\"\nnamespace = \"{namespace}\"\n"
    );
    std::fs::write(folder.join("c.toml"), text).unwrap();
}

#[test]
fn windows_that_lack_documents_are_named() {
    let start = simulator::instant((2026, 10, 6), 12, 0, 0) + 123_456;
    // Fifteen hundred windows of a minute, more than one question holds; their bounds are between milliseconds, and some
    // documents share one with them. One window is larger than a page of answers.
    let mut all: Vec<(i64, String)> = (0..1_500)
        .flat_map(|minute| {
            let from = start + minute * MINUTE;
            [
                (from, format!("a{minute}")),
                (from - 400, format!("b{minute}")),
                (from + 7_000_000, format!("c{minute}")),
            ]
        })
        .collect();
    all.extend(
        (0..12_000).map(|number| (start + 20 * MINUTE + 1_000 + number * 777, format!("d{number:05}"))),
    );
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("state")).unwrap();
    let lines: String = (0..1_500)
        .map(|minute| {
            let (from, to) = (start + minute as i64 * MINUTE, start + (minute as i64 + 1) * MINUTE);
            format!("{}\n", attestation(minute, from, to, &all))
        })
        .collect();
    std::fs::write(root.path().join("state/attestations.ndjson"), lines).unwrap();
    let documents: Documents = Arc::new(Mutex::new(all.clone()));
    let (url, searches) = fake(&documents);
    configure(root.path(), &url, "main");

    let (status, said) = verify(root.path(), &[]);
    assert_eq!(status, 0, "{said}");
    assert!(said.contains("1500 exact, 0 with more than was read then, 0 short"), "{said}");

    // Some are lost, one came later, and one is in the dead letters.
    {
        let mut documents = documents.lock().unwrap();
        documents
            .retain(|(_, id)| !["a700", "c701", "b702", "d00000", "d11999", "c900"].contains(&id.as_str()));
        documents.push((start + 1_000 * MINUTE + 5_000_000, "late".to_owned()));
    }
    let letter = json!({"id": "c900", "created_at": time(start + 900 * MINUTE + 7_000_000)});
    std::fs::write(root.path().join("dead-letters.ndjson"), format!("{letter}\n")).unwrap();
    searches.lock().unwrap().clear();
    let (status, said) = verify(root.path(), &[]);
    assert_eq!(status, 1, "{said}");
    for (window, missing) in [(20, 2), (700, 1), (701, 2)] {
        let line = said.lines().find(|line| line.contains(&format!("attestation {window}:"))).unwrap();
        assert!(line.contains(&format!("{missing} of them are not there")), "{line}");
    }
    assert!(said.contains("1496 exact, 1 with more than was read then, 3 short"), "{said}");
    assert!(said.contains("3 windows are not whole, 5 records are missing"), "{said}");
    assert!(said.contains("with 1 dead letters beside it"), "{said}");

    // A namespace to which nothing was delivered.
    configure(root.path(), &url, "other");
    let (status, said) = verify(root.path(), &[]);
    assert_eq!(status, 1, "{said}");
    assert!(said.contains("answered 404") && said.contains("another namespace"), "{said}");
}

#[test]
fn counts_that_are_right_are_not_looked_into_unless_that_is_wanted() {
    let start = simulator::instant((2026, 10, 6), 12, 0, 0);
    let all: Vec<(i64, String)> = (0..600).map(|at| (start + at * 1_000_003, format!("id{at:03}"))).collect();
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("state")).unwrap();
    let lines: String = (0..10)
        .map(|minute| {
            let from = start + minute as i64 * MINUTE;
            format!("{}\n", attestation(minute, from, from + MINUTE, &all))
        })
        .collect();
    std::fs::write(root.path().join("state/attestations.ndjson"), lines).unwrap();
    let documents: Documents = Arc::new(Mutex::new(all));
    let (url, searches) = fake(&documents);
    configure(root.path(), &url, "main");
    let (status, said) = verify(root.path(), &[]);
    assert!(status == 0 && said.contains("0 exact, 10 with the same count, 0 with more"), "{said}");
    let asked = std::mem::take(&mut *searches.lock().unwrap());
    assert_eq!((asked[0].as_str(), asked.len()), (Some("refresh"), 3), "two questions are enough");
    // One was swapped for another: the count does not tell, the ids do.
    documents.lock().unwrap()[5].1 = "other".to_owned();
    let (status, said) = verify(root.path(), &["--ids"]);
    assert!(status == 1 && said.contains("9 exact, 0 with more than was read then, 1 short"), "{said}");
    assert!(said.contains("1 or more of them are not there, though others are"), "{said}");
}
