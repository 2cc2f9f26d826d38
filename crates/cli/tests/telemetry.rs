//! What a running stage tells about itself, by running the real program: metrics, readiness, `status`, and its log.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use simulator::api::{Pace, Server, Settings, Simulation};

/// For what must come sooner or later.
const LONG: Duration = Duration::from_secs(60);

fn program(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_anthropic-ecs"));
    command.current_dir(folder).env("NO_PROXY", "127.0.0.1").stdin(Stdio::null());
    command
}

fn done(folder: &Path, args: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = program(folder).args(args).output().unwrap();
    (status.code(), String::from_utf8([stdout, stderr].concat()).unwrap())
}

/// A stage that runs, and the lines of its log so far.
struct Stage {
    child: Child,
    log: Arc<Mutex<Vec<Value>>>,
}

impl Stage {
    fn start(folder: &Path, key: &str) -> Self {
        let mut command = program(folder);
        command.args(["run", "--config", "c.toml"]).env("KEY", key).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let log = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&log);
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                // The last lines are for people.
                kept.lock().unwrap().push(serde_json::from_str(&line).unwrap_or(Value::String(line)));
            }
        });
        Self { child, log }
    }

    fn log(&self) -> Vec<Value> {
        self.log.lock().unwrap().clone()
    }

    /// The first line of the log with this message.
    fn said(&self, message: &str) -> Value {
        let mut found = None;
        until(message, || {
            found = self.log().into_iter().find(|line| line["message"] == message);
            found.is_some()
        });
        found.unwrap()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[track_caller]
fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !condition() {
        assert!(Instant::now() < deadline, "{what}: not in time");
        thread::sleep(Duration::from_millis(20));
    }
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn metric(text: &str, name: &str) -> f64 {
    let line = text.lines().find(|line| line.split([' ', '{']).next() == Some(name));
    line.and_then(|line| line.rsplit_once(' ')).map_or(f64::NAN, |(_, value)| value.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_sees_state_cause_and_remedy() {
    let simulation = Simulation::new(Settings::default());
    let key = simulation.key("activities").to_owned();
    let since =
        simulator::rfc3339(simulation.start() - 6 * 3_600_000_000, simulator::Precision::Seconds, true);
    let server = Server::start(simulation, ([127, 0, 0, 1], 0).into(), Pace::Stepped(0)).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "[source]\ntype = \"compliance_api\"\nbase_url = \"{}\"\napi_key = \"${{KEY}}\"\nsince = \"{since}\"\npoll_interval = \"1s\"\n\
         [sink]\ntype = \"ndjson\"\npath = \"out.ndjson\"\n\
         [telemetry]\nlisten = \"127.0.0.1:0\"\n",
        server.url()
    );
    std::fs::write(folder.path().join("c.toml"), config).unwrap();
    let mut stage = Stage::start(folder.path(), &key);
    let served = stage.said("metrics, readiness and the status page are served here");
    assert_eq!((&served["log.level"], &served["service.name"]), (&"info".into(), &"anthropic-ecs".into()));
    let address = served["anthropic_ecs"]["address"].as_str().unwrap().to_owned();
    let url = format!("http://{address}");

    until("records are delivered", || {
        metric(&get(&address, "/metrics"), "anthropic_ecs_records_delivered_total") > 0.0
    });
    let metrics = get(&address, "/metrics");
    for name in [
        "anthropic_ecs_records_read_total",
        "anthropic_ecs_api_requests_total",
        "anthropic_ecs_api_behind_seconds",
    ] {
        assert!(metric(&metrics, name) > 0.0, "{name}\n{metrics}");
    }
    assert!(metrics.contains("anthropic_ecs_api_state{state="), "{metrics}");
    assert!(get(&address, "/readyz").starts_with("HTTP/1.1 200"));
    let (status, said) = done(folder.path(), &["status", "--url", &url]);
    assert_eq!(status, Some(0), "{said}");
    assert!(said.starts_with("running  compliance_api to ndjson"), "{said}");

    server.go_away().await.unwrap();
    until("the source is down", || get(&address, "/readyz").starts_with("HTTP/1.1 503"));
    let answer = get(&address, "/readyz");
    let report: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    let source = report["parts"].as_array().unwrap().iter().find(|part| part["part"] == "source").unwrap();
    assert_eq!((&report["state"], &source["state"]), (&"waiting".into(), &"down".into()));
    let (cause, remedy) = (source["cause"].as_str().unwrap(), source["remedy"].as_str().unwrap());
    assert!(!cause.is_empty() && !remedy.is_empty());
    let (status, said) = done(folder.path(), &["status", "--url", &url]);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("cause:  ") && said.contains("remedy: "), "{said}");
    assert!(metric(&get(&address, "/metrics"), "anthropic_ecs_ready") < 0.5);
    let line = stage.said("down; trying on");
    assert_eq!((&line["anthropic_ecs"]["part"], &line["log.level"]), (&"source".into(), &"warn".into()));
    assert!(line["error"]["message"].is_string() && line["anthropic_ecs"]["remedy"].is_string(), "{line}");

    server.come_back().await.unwrap();
    stage.said("works again");
    until("it is ready again", || get(&address, "/readyz").starts_with("HTTP/1.1 200"));
    for text in [
        get(&address, "/metrics"),
        get(&address, "/status.json"),
        get(&address, "/readyz"),
        format!("{:?}", stage.log()),
    ] {
        assert!(!text.contains(&key), "the key is shown");
    }
    let id = stage.child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    assert!(stage.child.wait().unwrap().success());
    let lines = stage.log();
    assert!(lines.len() < 30, "a line for each change of state, and not more: {lines:#?}");
}

const FILES: &str =
    "[source]\ntype = \"file\"\npaths = [\"in.ndjson\"]\n[sink]\ntype = \"ndjson\"\npath = \"out.ndjson\"\n";

fn folder(telemetry: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("in.ndjson"), "{\"id\":\"a\",\"type\":\"claude_chat_created\"}\n")
        .unwrap();
    std::fs::write(folder.path().join("c.toml"), format!("{FILES}[telemetry]\n{telemetry}\n")).unwrap();
    folder
}

#[test]
fn a_port_that_was_asked_for_and_is_taken_ends_the_start() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let folder = folder(&format!("listen = \"{address}\""));
    let (status, said) = done(folder.path(), &["run", "--config", "c.toml"]);
    assert_eq!(status, Some(1), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("[telemetry] `listen`") && said.contains(&address.to_string()), "{said}");
    assert!(
        !folder.path().join("out.ndjson").exists() && !folder.path().join("state").exists(),
        "something was done"
    );
    let (status, said) = done(folder.path(), &["check", "--config", "c.toml"]);
    assert_eq!(status, Some(0), "{said}");
    let (status, said) = done(folder.path(), &["check", "--config", "c.toml", "--connect"]);
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("WRONG telemetry") && said.contains("another port"), "{said}");
}

#[test]
fn the_usual_port_that_is_taken_ends_nothing() {
    // Whoever has it: we, or another stage.
    let _taken = TcpListener::bind("127.0.0.1:9464");
    let folder = folder("log_format = \"text\"");
    let (status, said) = done(folder.path(), &["run", "--config", "c.toml"]);
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains(" WARN  there are no metrics of this stage  cause="), "{said}");
    assert!(
        std::fs::read_to_string(folder.path().join("out.ndjson")).unwrap().contains("claude_chat_created")
    );
}

#[test]
fn off_is_off_and_levels_are_kept() {
    let folder = folder("listen = \"off\"\nlog_level = \"error\"");
    let (status, said) = done(folder.path(), &["run", "--config", "c.toml"]);
    assert_eq!((status, said.lines().count()), (Some(0), 1), "{said}");
    let (status, said) = done(folder.path(), &["status", "--config", "c.toml"]);
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("`listen` is off"), "{said}");
    let (status, said) = done(folder.path(), &["run", "--config", "c.toml", "--log-level", "debug"]);
    assert_eq!(status, Some(0), "{said}");
    let (status, said) = done(folder.path(), &["status", "--url", "http://127.0.0.1:1"]);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("no stage answers at http://127.0.0.1:1"), "{said}");
}
