//! Clients that mean harm, at both listeners of the program: the status page of a stage and the simulated API.

#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod common;

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use common::program;

/// For what must come sooner or later.
const LONG: Duration = Duration::from_secs(60);

/// The two, running, and killed in the end.
struct World {
    children: Vec<Child>,
    simulator: String,
    key: String,
    stage: String,
    _folder: tempfile::TempDir,
}

impl Drop for World {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl World {
    fn new() -> Self {
        let mut simulator =
            program(&["simulate", "--port", "0", "--people", "5", "--history", "1"]).spawn().unwrap();
        let mut said = BufReader::new(simulator.stdout.take().unwrap()).lines();
        let curl = said.by_ref().map(Result::unwrap).find(|line| line.contains("curl")).unwrap();
        // What else is said is read, so that nobody waits for that, or misses a reader.
        std::thread::spawn(move || said.for_each(drop));
        let mut quoted = curl.split('\'').skip(1).step_by(2);
        let key = quoted.next().unwrap().strip_prefix("x-api-key: ").unwrap().to_owned();
        let url = quoted.next().unwrap().strip_prefix("http://").unwrap();
        let address = url.split_once('/').unwrap().0.to_owned();

        let folder = tempfile::tempdir().unwrap();
        let configuration = format!(
            r#"
            [source]
            type = "compliance_api"
            base_url = "http://{address}"
            api_key = "{key}"
            [sink]
            type = "ndjson"
            path = "out.ndjson"
            [telemetry]
            listen = "127.0.0.1:0"
            log_format = "json"
            "#
        );
        fs::write(folder.path().join("c.toml"), configuration).unwrap();
        let mut stage = program(&["run", "--config", "c.toml"]);
        let mut stage = stage.current_dir(folder.path()).stdout(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(stage.stderr.take().unwrap()).lines();
        let served =
            lines.by_ref().map(Result::unwrap).find(|line| line.contains("are served here")).unwrap();
        let served: serde_json::Value = serde_json::from_str(&served).unwrap();
        let at = served["anthropic_ecs"]["address"].as_str().unwrap().to_owned();
        std::thread::spawn(move || lines.for_each(drop));
        Self { children: vec![simulator, stage], simulator: address, key, stage: at, _folder: folder }
    }

    /// Both still answer.
    fn are_well(&self) {
        assert_eq!(status(&ask(&self.stage, "GET /healthz HTTP/1.1", "")), "200");
        let key = format!("x-api-key: {}\r\n", self.key);
        assert_eq!(
            status(&ask(&self.simulator, "GET /v1/compliance/activities?limit=1 HTTP/1.1", &key)),
            "200"
        );
    }

    fn both(&self) -> [&str; 2] {
        [&self.stage, &self.simulator]
    }
}

/// Sends bytes and gives what comes back, until the other side closes.
fn send(address: &str, request: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    // The other side may have had enough before the end.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let ended = stream.read_to_end(&mut answer).err().map(|error| error.kind());
    assert!(
        !matches!(ended, Some(ErrorKind::WouldBlock | ErrorKind::TimedOut)),
        "no end of an answer to {:?}",
        String::from_utf8_lossy(&request[..request.len().min(80)])
    );
    answer
}

fn ask(address: &str, line: &str, headers: &str) -> Vec<u8> {
    send(address, format!("{line}\r\nHost: {address}\r\n{headers}Connection: close\r\n\r\n").as_bytes())
}

/// The status of an answer; `none` if there is none.
fn status(answer: &[u8]) -> &str {
    let line = answer.split(|byte| *byte == b'\r').next().unwrap();
    std::str::from_utf8(line).unwrap().split(' ').nth(1).unwrap_or("none")
}

#[test]
fn paths_lead_nowhere_else() {
    let world = World::new();
    for path in [
        "/../../../../etc/passwd",
        "/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/..%2f..%2fetc%2fpasswd",
        "//etc/passwd",
        "/etc/passwd",
        "/healthz/../../etc/passwd",
        "/healthz%00.html",
        "/healthz/",
        "/HEALTHZ",
        "/out.ndjson",
        "/_control/../../etc/passwd",
        "/v1/compliance/apps/chats/..%2f..%2fetc/messages",
        "/v1/compliance/activities/../../../etc/passwd",
        "/\u{fffd}\u{202e}",
        "/\\..\\..",
        "etc/passwd",
        "",
        "*",
    ] {
        for address in world.both() {
            let headers = format!("x-api-key: {}\r\n", world.key);
            let answer = ask(address, &format!("GET {path} HTTP/1.1"), &headers);
            assert!(["400", "401", "403", "404", "none"].contains(&status(&answer)), "{path}: {answer:?}");
            assert!(!String::from_utf8_lossy(&answer).contains("root:"), "{path}");
        }
    }
    world.are_well();
}

#[test]
fn heads_and_bodies_without_bounds_are_not_read() {
    let world = World::new();
    let mebibyte = "x".repeat(1 << 20);
    for address in world.both() {
        for head in [
            format!("GET / HTTP/1.1\r\nHost: {address}\r\nX: {mebibyte}\r\n\r\n"),
            format!("GET / HTTP/1.1\r\nHost: {address}\r\n{}\r\n", "a: b\r\n".repeat(10_000)),
            format!("GET /{mebibyte} HTTP/1.1\r\nHost: {address}\r\n\r\n"),
            mebibyte.clone(),
        ] {
            let answer = send(address, head.as_bytes());
            // The answer may be lost, since the other side closes with bytes unread.
            assert!(["400", "414", "431", "none"].contains(&status(&answer)), "{:?}", status(&answer));
        }
        // A body that is promised and never sent is not waited for.
        let promised = ask(address, "POST /healthz HTTP/1.1", "Content-Length: 1000000000000\r\n");
        assert!(["404", "405"].contains(&status(&promised)), "{:?}", status(&promised));
    }
    // Orders to the simulator have a body; it has bounds.
    let order = format!(
        "POST /_control/faults HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n\r\n{}",
        world.simulator,
        8 << 20,
        mebibyte.repeat(8)
    );
    assert_ne!(status(&send(&world.simulator, order.as_bytes())), "200");
    world.are_well();
}

/// A client that always says a little more: no read of it is slow, and the head never ends.
#[test]
fn who_goes_on_slowly_is_left() {
    let world = World::new();
    let mut stream = TcpStream::connect(&world.stage).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let deadline = Instant::now() + LONG;
    let mut closed = false;
    while !closed {
        assert!(Instant::now() < deadline, "it is listened to for ever");
        let mut byte = [0];
        // A pause, unless there is an end.
        closed = stream.write_all(b"a: b\r\n").is_err()
            || match stream.read(&mut byte) {
                Ok(read) => read == 0 || byte[0] == b'H',
                Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
            };
    }
    world.are_well();
}

#[test]
fn many_silent_clients_keep_nobody_out() {
    let world = World::new();
    let silent: Vec<TcpStream> = world
        .both()
        .into_iter()
        .flat_map(|address| (0..100).map(move |_| TcpStream::connect(address).unwrap()))
        .collect();
    world.are_well();
    drop(silent);
}
