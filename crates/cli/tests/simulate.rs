//! `simulate`: what it says, what it serves, and how it ends.

#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

use common::{code, program, run, signal, stderr};

/// A request by hand: the answer as text.
fn get(address: &str, path: &str, key: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nx-api-key: {key}\r\nconnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn it_says_where_it_is_and_what_opens_it_and_ends_on_a_signal() {
    let folder = tempfile::tempdir().unwrap();
    let faults = folder.path().join("faults.toml");
    let script = "[settings]\ncursors = \"raw_ids\"\n[[fault]]\nkind = \"status\"\nstatus = 503\nafter = 1\n\
                  [[activity]]\ntype = \"claude_chat_created\"\ncreated = -60\nfields = { claude_chat_id = \"claude_chat_01mine\" }\n";
    std::fs::write(&faults, script).unwrap();
    let faults = faults.to_str().unwrap();
    let mut child =
        program(&["simulate", "--port", "0", "--people", "5", "--history", "3", "--faults", faults])
            .spawn()
            .unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap());
    let mut lines = Vec::new();
    while !lines.last().is_some_and(|line: &String| line.contains("Ctrl-C")) {
        let mut line = String::new();
        assert!(said.read_line(&mut line).unwrap() > 0, "ended after {lines:?}");
        lines.push(line);
    }
    let all = lines.concat();
    let curl = lines.iter().find(|line| line.contains("curl")).unwrap();
    let url = curl.split('\'').nth(3).unwrap();
    let key = curl.split('\'').nth(1).unwrap().strip_prefix("x-api-key: ").unwrap();
    let (address, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let path = format!("/{path}");

    let first = get(address, &path, key);
    assert!(first.starts_with("HTTP/1.1 200") && first.contains("\"has_more\":"), "{first}");
    assert!(get(address, &path, key).starts_with("HTTP/1.1 503"));
    assert!(get(address, &path, "another").starts_with("HTTP/1.1 401"));
    assert!(first.contains("\"last_id\":\"activity_01"), "the mode of the script: {first}");
    let full = all.lines().find_map(|line| line.trim().strip_prefix("full ")).unwrap();
    let full = full.split_whitespace().next().unwrap();
    let chat = get(address, "/v1/compliance/apps/chats/claude_chat_01mine/messages", full);
    assert!(chat.starts_with("HTTP/1.1 200") && chat.contains("\"chat_messages\""), "{chat}");
    assert!(get(address, "/_control/requests", "").contains("\"status\":503"));
    assert!(all.contains("admin") && all.contains("revoked"), "{all}");

    signal(&child, "INT");
    assert_eq!(code(&child.wait_with_output().unwrap()), 130);
}

#[test]
fn what_cannot_be_is_refused_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let faults = folder.path().join("faults.jsonl");
    std::fs::write(&faults, "{\"kind\":\"reset\"}\n{\"kind\":\"reset\",\"from\":\"noon\"}\n").unwrap();
    let output = run(&["simulate", "--port", "0", "--faults", faults.to_str().unwrap()], b"");
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("noon"), "{}", stderr(&output));

    std::fs::write(&faults, "{\"kind\":\"reset\"}\n{\"kind\":\"flood\"}\n").unwrap();
    let output = run(&["simulate", "--port", "0", "--faults", faults.to_str().unwrap()], b"");
    assert_eq!(code(&output), 2);
    assert!(
        stderr(&output).contains("line 2") && stderr(&output).contains("faults.jsonl"),
        "{}",
        stderr(&output)
    );

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = run(&["simulate", "--people", "1", "--port", &port], b"");
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains(&port) && stderr(&output).contains("--port"), "{}", stderr(&output));

    assert_eq!(code(&run(&["simulate", "--dialect", "2026-09"], b"")), 2);
}

#[test]
fn help_says_what_there_is() {
    let output = run(&["simulate", "--help"], b"");
    let said = String::from_utf8(output.stdout.clone()).unwrap();
    for name in [
        "/apps/sessions/remote/{id}/messages",
        "cursor_repeated",
        "transcript_retention",
        "POST script",
        "tied_with",
    ] {
        assert!(said.contains(name), "{name} is missing: {said}");
    }
    assert_eq!(code(&output), 0);
}
