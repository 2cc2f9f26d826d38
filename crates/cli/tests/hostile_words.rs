//! What servers and files say is shown as it is, and acts upon no terminal.

#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

use common::{code, run_in, stderr, stdout};

/// Colours, and lines that look like lines of ours. Whoever believes them sees a sink that is well.
const HOSTILE: &str =
    "no\u{1b}[31m right\r\nok    sink          all is well\nanthropic-ecs: all is well\u{202e}\u{9b}2J";

/// Answers every request with the same, until the process ends.
fn serve(status: &'static str, body: &serde_json::Value) -> String {
    let (listener, body) = (TcpListener::bind("127.0.0.1:0").unwrap(), body.to_string());
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = answer(stream.unwrap(), status, &body);
        }
    });
    address
}

fn answer(stream: TcpStream, status: &str, body: &str) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut line, mut length) = (String::new(), 0);
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let lower = line.to_ascii_lowercase();
        length = lower.strip_prefix("content-length:").map_or(length, |text| text.trim().parse().unwrap());
        if line.trim().is_empty() {
            break;
        }
    }
    reader.read_exact(&mut vec![0; length])?;
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nx-elastic-product: Elasticsearch\r\n"
    );
    let mut stream = reader.into_inner();
    write!(stream, "{head}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

/// Asserts that the hostile words are there, on lines of ours, and act upon nothing.
fn harmless(said: &str) {
    let acts = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
    assert!(!said.chars().any(acts), "{said:?}");
    assert!(said.contains("no\\u{1b}[31m right"), "{said}");
    for line in said.lines() {
        assert!(
            !line.starts_with("ok    sink          all") && !line.starts_with("anthropic-ecs: all is well"),
            "{said}"
        );
    }
}

#[test]
fn a_clusters_words_are_shown_and_do_nothing() {
    let root = tempfile::tempdir().unwrap();
    let error = serde_json::json!({
        "error": { "type": "security_exception", "reason": HOSTILE }, "status": 403,
    });
    let url = serve("403 Forbidden", &error);
    fs::write(root.path().join("in"), "{\"id\":\"1\",\"type\":\"claude_chat_created\"}\n").unwrap();
    let configuration = format!(
        r#"
        [source]
        type = "file"
        paths = ["in"]
        [sink]
        type = "elasticsearch"
        url = "{url}"
        [telemetry]
        listen = "off"
        "#
    );
    fs::write(root.path().join("c.toml"), configuration).unwrap();
    let checked = run_in(root.path(), &["check", "--connect", "--config", "c.toml"], b"");
    assert_eq!(code(&checked), 0, "what is not allowed to be seen is no mistake: {}", stdout(&checked));
    harmless(&stdout(&checked));
    for args in [&["setup", "--config", "c.toml"][..], &["setup", "--dry-run", "--config", "c.toml"]] {
        let set_up = run_in(root.path(), args, b"");
        assert_ne!(code(&set_up), 0, "{}", stdout(&set_up));
        harmless(&(stdout(&set_up) + &stderr(&set_up)));
    }
}

#[test]
fn a_stages_words_are_shown_and_do_nothing() {
    let part = serde_json::json!({
        "part": "sink", "state": "down", "since": "2026-01-01T00:00:00Z", "kind": "forbidden", "cause": HOSTILE,
        "remedy": HOSTILE, "failures": 1,
    });
    let status = serde_json::json!({
        "version": HOSTILE, "source": HOSTILE, "sink": HOSTILE,
        "readiness": { "ready": false, "state": HOSTILE, "since": HOSTILE, "parts": [part] },
        "totals": { "read": HOSTILE, "dead": { HOSTILE: 1 } },
        "recent_dead": [{ "time": HOSTILE, "reason": HOSTILE, "place": HOSTILE }],
        "api": { "state": HOSTILE, "requests": HOSTILE },
        "unknown": { "types": [[HOSTILE, 1]], "fields": [[HOSTILE, HOSTILE]] },
    });
    let url = serve("200 OK", &status);
    let folder = tempfile::tempdir().unwrap();
    let shown = run_in(folder.path(), &["status", "--url", &url], b"");
    harmless(&stdout(&shown));
    let json = run_in(folder.path(), &["status", "--json", "--url", &url], b"");
    assert!(!stdout(&json).chars().any(|c| c != '\n' && (c.is_control() || c == '\u{202e}')));
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&json.stdout).unwrap(), status);
}

#[test]
fn a_records_words_are_shown_and_do_nothing() {
    let root = tempfile::tempdir().unwrap();
    let record = serde_json::json!({ "id": "1", "type": HOSTILE, HOSTILE: HOSTILE }).to_string();
    let explained = run_in(root.path(), &["explain", "-"], record.as_bytes());
    harmless(&(stdout(&explained) + &stderr(&explained)));
    let normalized = run_in(root.path(), &["normalize", "-o", "out"], record.as_bytes());
    harmless(&stderr(&normalized));
    let unknown = run_in(root.path(), &["explain", HOSTILE], b"");
    harmless(&stdout(&unknown));
}

#[test]
fn the_name_of_a_file_is_shown_and_does_nothing() {
    let root = tempfile::tempdir().unwrap();
    let refused = run_in(root.path(), &["normalize", HOSTILE], b"");
    assert_eq!(code(&refused), 2);
    harmless(&stderr(&refused));
    // What is told of lines in a file begins with its name, and each problem has a line.
    fs::write(root.path().join("bad.csv"), "type,category,event_type,outcome,severity,message\na_type,iam,info,success,200,did it\nb_type,iam,info,success,300,did it\n").unwrap();
    let refused = run_in(root.path(), &["normalize", "--mappings", "bad.csv"], b"");
    let said = stderr(&refused);
    assert!(said.starts_with("anthropic-ecs: bad.csv:2: ") && said.contains("\n    bad.csv:3: "), "{said}");
}
