//! The listener as clients meet it: over real sockets, with well-made requests and with others.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::listener::{FOR_THE_HEAD, MOST_CLIENTS, MOST_HEAD};
use super::*;

/// For what must come sooner or later.
const LONG: Duration = Duration::from_secs(60);

/// A stage that answers.
struct Served {
    facts: Arc<Facts>,
    address: SocketAddr,
    _tasks: JoinSet<()>,
}

async fn served(facts: Facts) -> Served {
    let listener = Listener::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let (address, facts, mut tasks) = (listener.address(), Arc::new(facts), JoinSet::new());
    serve(listener, &facts, &mut tasks);
    Served { facts, address, _tasks: tasks }
}

/// Sends bytes as they are, and reads until the other side has had enough.
async fn send(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The other side may close before it has read all.
    let _ = stream.write_all(request).await;
    read(&mut stream).await
}

async fn read(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let _ = timeout(LONG, stream.read_to_end(&mut answer)).await.expect("an end in time");
    String::from_utf8_lossy(&answer).into_owned()
}

async fn get(address: SocketAddr, path: &str) -> String {
    send(address, format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes()).await
}

fn status(answer: &str) -> &str {
    answer.get(9..12).unwrap_or("none")
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

#[tokio::test]
async fn every_path_answers_and_says_what_it_is() {
    let stage = served(testing::busy()).await;
    for (path, expected, kind, said) in [
        ("/", "200", "text/html", "<title>anthropic-ecs</title>"),
        ("/healthz", "200", "text/plain", "ok"),
        ("/metrics", "200", "text/plain; version=0.0.4", "anthropic_ecs_records_read_total 100"),
        ("/metrics?x=1", "200", "text/plain; version=0.0.4", "anthropic_ecs_part_up{part=\"sink\"} 0.0"),
        ("/readyz", "503", "application/json", "\"remedy\":\"start it\""),
        ("/status.json", "200", "application/json", "\"history\""),
        ("/favicon.ico", "404", "text/plain", "/metrics"),
        ("/metrics/", "404", "text/plain", ""),
        ("/../etc/passwd", "404", "text/plain", ""),
        ("/%2e%2e/", "404", "text/plain", ""),
        ("//", "404", "text/plain", ""),
    ] {
        let answer = get(stage.address, path).await;
        assert_eq!(status(&answer), expected, "{path}: {answer}");
        assert!(answer.contains(&format!("content-type: {kind}")), "{path}: {answer}");
        assert!(body(&answer).contains(said), "{path}: {answer}");
        for header in [
            "connection: close",
            "cache-control: no-store",
            "x-content-type-options: nosniff",
            "default-src 'none'",
        ] {
            assert!(answer.contains(header), "{path}: {header}: {answer}");
        }
    }
    stage.facts.status.sink.worked();
    assert_eq!(status(&get(stage.address, "/readyz").await), "200");
}

#[tokio::test]
async fn open_metrics_is_given_to_whom_asks_for_it() {
    let stage = served(testing::busy()).await;
    let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: application/openmetrics-text;version=1.0.0,text/plain;q=0.1\r\n\r\n";
    let answer = send(stage.address, request.as_bytes()).await;
    assert!(answer.contains("content-type: application/openmetrics-text; version=1.0.0"), "{answer}");
    assert!(answer.ends_with("# EOF\n"));
}

#[tokio::test]
async fn other_methods_names_and_nonsense_are_refused() {
    let stage = served(testing::idle()).await;
    for (request, expected) in [
        ("POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nabcd", "405"),
        ("DELETE / HTTP/1.1\r\nHost: localhost\r\n\r\n", "405"),
        ("OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", "404"),
        ("BREW /pot HTTP/1.1\r\nHost: localhost\r\n\r\n", "404"),
        ("GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n", "421"),
        ("GET http://evil.example/metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n", "421"),
        ("GET /metrics HTTP/1.0\r\n\r\n", "200"),
        ("HEAD /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", "200"),
        ("GET / HTTP/9.9\r\nHost: localhost\r\n\r\n", "400"),
        ("\u{16}\u{3}\u{1} this is no HTTP\r\n\r\n", "400"),
        ("GET /metrics HTTP/1.1\r\nHost: localhost\r\nbad header\r\n\r\n", "400"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "400"),
    ] {
        let answer = send(stage.address, request.as_bytes()).await;
        // What is no HTTP at all may get no answer, but never a good one.
        assert!([expected, "none"].contains(&status(&answer)), "{request:?}: {answer}");
        assert!(expected != "200" || status(&answer) == "200", "{request:?}: {answer}");
        assert!(!request.starts_with("HEAD") || body(&answer).is_empty(), "{answer}");
    }
    let refused = send(stage.address, b"PUT / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert!(refused.contains("allow: GET, HEAD"), "{refused}");
    assert_eq!(status(&get(stage.address, "/healthz").await), "200", "it goes on");
}

#[tokio::test]
async fn a_head_without_bounds_is_not_read() {
    let stage = served(testing::idle()).await;
    let long = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(4 * MOST_HEAD));
    let many = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "a: b\r\n".repeat(500));
    let path = format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "y".repeat(4 * MOST_HEAD));
    for request in [long, many, path] {
        let answer = send(stage.address, request.as_bytes()).await;
        // The answer may be lost, since the other side closes with bytes unread.
        assert!(["431", "414", "400", "none"].contains(&status(&answer)), "{answer}");
    }
    assert_eq!(status(&get(stage.address, "/healthz").await), "200");
}

/// As many clients as there are places, none of which says anything: whoever comes after them is answered all the same, as
/// soon as their time is up.
#[tokio::test]
async fn silent_clients_keep_nobody_out_for_long() {
    let stage = served(testing::idle()).await;
    let mut silent = Vec::new();
    for at in 0..MOST_CLIENTS {
        let mut stream = TcpStream::connect(stage.address).await.unwrap();
        if at % 2 == 0 {
            stream.write_all(b"GET /metrics HTTP/1.1\r\nHo").await.unwrap();
        }
        silent.push(stream);
    }
    let answer = timeout(LONG, get(stage.address, "/healthz")).await.expect("a place in time");
    assert_eq!(status(&answer), "200");
    for stream in &mut silent {
        let answer = read(stream).await;
        assert!(["408", "none"].contains(&status(&answer)), "{answer}");
    }
    assert!(FOR_THE_HEAD < LONG / 4);
}

/// A client that asks and then does not read what it gets.
#[tokio::test]
async fn who_does_not_read_is_left() {
    let facts = testing::busy();
    for at in 0..1_000 {
        facts.status.unknown_types.add(&format!("{at:0>120}"), 1);
    }
    let stage = served(facts).await;
    let mut deaf = Vec::new();
    for _ in 0..MOST_CLIENTS {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(1_024).unwrap();
        let mut stream = socket.connect(stage.address).await.unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        deaf.push(stream);
    }
    let answer = timeout(LONG, get(stage.address, "/healthz")).await.expect("a place in time");
    assert_eq!(status(&answer), "200");
    drop(deaf);
}

#[tokio::test]
async fn an_address_that_is_taken_is_refused_in_words() {
    let stage = served(testing::idle()).await;
    let refused = Listener::bind(stage.address).await.err().unwrap();
    assert_eq!(refused.kind, model::fault::FaultKind::Taken);
    assert!(refused.cause.contains("[telemetry] `listen`") && refused.remedy.contains("off"), "{refused}");
    let nowhere = Listener::bind(([203, 0, 113, 7], 9_464).into()).await.err().unwrap();
    assert_eq!(nowhere.kind, model::fault::FaultKind::Unusable);
}

#[tokio::test]
async fn it_ends_when_it_is_dropped() {
    let Served { address, _tasks: tasks, .. } = served(testing::idle()).await;
    drop(tasks);
    let gone = async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    timeout(LONG, gone).await.expect("nobody listens any more");
}

/// The address of a stage is usually there, and nothing of its content is of use to anybody else; but it holds no secret
/// either, whatever was configured.
#[tokio::test]
async fn one_asks_a_stage_as_the_command_does() {
    let stage = served(testing::busy()).await;
    let told = crate::status::ask(&format!("http://{}", stage.address)).await.unwrap();
    assert_eq!(told["readiness"]["state"], "waiting");
    assert_eq!(told["totals"]["delivered"], 70);
    let nobody = Listener::bind(([127, 0, 0, 1], 0).into()).await.unwrap().address();
    let error = crate::status::ask(&format!("http://{nobody}")).await.unwrap_err();
    assert!(format!("{error:#}").contains("see that the stage runs"), "{error:#}");
}
