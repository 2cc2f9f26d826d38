//! A FAKE Elasticsearch for tests: HTTP/1.1 by hand on a loopback port, just enough of the bulk API, and faults on demand.
//!
//! It keeps what it is sent by `_id` and never writes over it, as `create` does, so that loss and duplicates are seen. A
//! scripted fault concerns the next bulk request only. What is faked here and what real servers do may differ; the live
//! tests are there for that.

#![allow(dead_code, reason = "every test binary uses a part of it")]

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

/// What goes wrong with the next bulk request.
#[derive(Debug, Clone)]
pub(crate) enum Trouble {
    /// The connection is reset before the body is read.
    ResetUnread,
    /// The documents are stored, and the connection is reset.
    ResetAfterActing,
    /// The documents are stored, and no answer comes.
    Silence,
    /// The documents are stored, and half of the answer comes.
    Truncated,
    /// The documents are stored, and the last item is missing in the answer.
    FewerItems,
    /// The documents are stored, and the answer is this text with status 200.
    Text(&'static str),
    /// Nothing is stored; a status, a header line or nothing, and a body.
    Status(u16, &'static str, String),
    /// The documents are stored, and the answer is a gateway's: a status and nothing.
    StatusAfterActing(u16),
    /// A status is answered before the body is read, and the connection closed.
    StatusUnread(u16),
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) port: u16,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: HashMap<String, String>,
    /// Decompressed.
    pub(crate) body: Vec<u8>,
}

impl Seen {
    pub(crate) fn is_bulk(&self) -> bool {
        self.path.contains("/_bulk")
    }
}

/// What the fake knows and how it behaves; tests change it at any time.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) opensearch: bool,
    /// Documents by `_id`.
    pub(crate) stored: BTreeMap<String, Value>,
    /// Statuses, types and reasons for documents, each used once.
    pub(crate) items: HashMap<String, VecDeque<(u16, &'static str, &'static str)>>,
    pub(crate) script: VecDeque<Trouble>,
    /// The header it must be.
    pub(crate) authorization: Option<String>,
    pub(crate) data_stream: bool,
    /// The name, pattern and priority of index templates with `data_stream`.
    pub(crate) templates: Vec<(&'static str, &'static str, i64)>,
    /// Whether looking at streams and templates is forbidden.
    pub(crate) hidden: bool,
    /// Set when a document made an index without a template for it, which must never be.
    pub(crate) plain_index: bool,
    /// The most bytes of a body, decompressed.
    pub(crate) most_bytes: usize,
    pub(crate) privileges: bool,
    /// Whether something else answers on this port.
    pub(crate) impostor: bool,
    pub(crate) seen: Vec<Seen>,
}

pub(crate) struct FakeElasticsearch {
    state: Arc<Mutex<State>>,
    address: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
    listening: Option<(JoinHandle<()>, watch::Sender<()>)>,
}

impl FakeElasticsearch {
    /// A server with our template.
    pub(crate) async fn start() -> Self {
        let state = State {
            opensearch: false,
            stored: BTreeMap::new(),
            items: HashMap::new(),
            script: VecDeque::new(),
            authorization: None,
            data_stream: false,
            templates: vec![("logs", "logs-*-*", 100), ("ours", "logs-anthropic.audit-*", 250)],
            hidden: false,
            plain_index: false,
            most_bytes: usize::MAX,
            privileges: true,
            impostor: false,
            seen: Vec::new(),
        };
        Self::listen(Arc::new(Mutex::new(state)), None).await
    }

    /// A server behind TLS.
    pub(crate) async fn start_tls(tls: Arc<ServerConfig>) -> Self {
        let state = Self::start().await.state;
        Self::listen(state, Some(tls)).await
    }

    /// Another node of the same cluster.
    pub(crate) async fn beside(other: &Self) -> Self {
        Self::listen(Arc::clone(&other.state), None).await
    }

    async fn listen(state: Arc<Mutex<State>>, tls: Option<Arc<ServerConfig>>) -> Self {
        let mut fake = Self { state, address: SocketAddr::from(([127, 0, 0, 1], 0)), tls, listening: None };
        fake.restart().await;
        fake
    }

    /// Listens again on the same port.
    pub(crate) async fn restart(&mut self) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(self.address).unwrap();
        let listener = socket.listen(64).unwrap();
        self.address = listener.local_addr().unwrap();
        let (alive, stop) = watch::channel(());
        let task = tokio::spawn(accept(listener, Arc::clone(&self.state), self.tls.clone(), stop));
        self.listening = Some((task, alive));
    }

    /// Closes the port and every connection: from now on connections are refused.
    pub(crate) async fn stop(&mut self) {
        if let Some((task, alive)) = self.listening.take() {
            drop(alive);
            task.await.unwrap();
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://localhost:{}", self.port())
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Adds a fault for the next bulk request that has none yet.
    pub(crate) fn trouble(&self, trouble: Trouble) {
        self.state().script.push_back(trouble);
    }

    /// How a document is answered the next time it would be created.
    pub(crate) fn item(&self, id: &str, status: u16, kind: &'static str, reason: &'static str) {
        self.state().items.entry(id.to_owned()).or_default().push_back((status, kind, reason));
    }

    /// The ids of what is stored.
    pub(crate) fn ids(&self) -> Vec<String> {
        self.state().stored.keys().cloned().collect()
    }

    pub(crate) fn bulks(&self) -> Vec<Seen> {
        self.state().seen.iter().filter(|seen| seen.is_bulk()).cloned().collect()
    }
}

async fn accept(
    listener: TcpListener,
    state: Arc<Mutex<State>>,
    tls: Option<Arc<ServerConfig>>,
    mut stop: watch::Receiver<()>,
) {
    let port = listener.local_addr().unwrap().port();
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (mut tcp, _) = tokio::select! {
            accepted = listener.accept() => accepted.unwrap(),
            _ = stop.changed() => break,
        };
        let (state, tls) = (Arc::clone(&state), tls.clone());
        connections.spawn(async move {
            match tls {
                None => {
                    if serve(&mut tcp, port, &state).await == Ended::Reset {
                        tcp.set_zero_linger().unwrap();
                    }
                }
                Some(tls) => {
                    if let Ok(mut stream) = TlsAcceptor::from(tls).accept(tcp).await {
                        serve(&mut stream, port, &state).await;
                        let _ = stream.shutdown().await;
                    }
                }
            }
        });
    }
    connections.shutdown().await;
}

#[derive(PartialEq)]
enum Ended {
    Closed,
    Reset,
}

async fn serve(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), port: u16, state: &Mutex<State>) -> Ended {
    let mut input = Vec::new();
    let head_end = |input: &[u8]| match input.first() {
        // The hello of TLS has no end of a head in it.
        Some(0x16) => Some(0),
        _ => find(input, b"\r\n\r\n").map(|at| at + 4),
    };
    while let Some(end) = read_until(stream, &mut input, head_end).await {
        if end == 0 {
            let _ = stream.write_all(&frame(400, "", b"", true)).await;
            return Ended::Closed;
        }
        let head = String::from_utf8(input.drain(..end).collect()).unwrap();
        let mut lines = head.lines();
        let mut first = lines.next().unwrap().split(' ').map(str::to_owned);
        let headers: HashMap<String, String> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        let (method, path) = (first.next().unwrap(), first.next().unwrap());
        let trouble = if path.contains("/_bulk") { state.lock().unwrap().script.pop_front() } else { None };
        match &trouble {
            Some(Trouble::ResetUnread) => return Ended::Reset,
            Some(Trouble::StatusUnread(status)) => {
                let _ = stream.write_all(&frame(*status, "", b"", true)).await;
                return Ended::Closed;
            }
            _ => {}
        }
        let length: usize = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
        if read_until(stream, &mut input, |input| (input.len() >= length).then_some(length)).await.is_none() {
            return Ended::Closed;
        }
        let mut body: Vec<u8> = input.drain(..length).collect();
        if headers.get("content-encoding").is_some_and(|coding| coding == "gzip") {
            let mut text = Vec::new();
            GzDecoder::new(&body[..]).read_to_end(&mut text).unwrap();
            body = text;
        }
        let gzip = headers.get("accept-encoding").is_some_and(|codings| codings.contains("gzip"));
        let seen = Seen { port, method, path, headers, body };
        let head_only = seen.method == "HEAD";
        let (status, header, body) = answer(&mut state.lock().unwrap(), &seen, trouble.as_ref());
        state.lock().unwrap().seen.push(seen);
        let body = if gzip && status == 200 { compress(&body) } else { body };
        let header = if gzip && status == 200 { "content-encoding: gzip\r\n" } else { header };
        let mut bytes = frame(status, header, if head_only { b"" } else { &body }, false);
        match trouble {
            Some(Trouble::ResetAfterActing) => return Ended::Reset,
            Some(Trouble::Silence) => std::future::pending().await,
            Some(Trouble::Truncated) => bytes.truncate(bytes.len() - body.len() / 2),
            _ => {}
        }
        if stream.write_all(&bytes).await.is_err() || matches!(trouble, Some(Trouble::Truncated)) {
            return Ended::Closed;
        }
    }
    Ended::Closed
}

/// Reads until there is enough, and says how much; `None` when the stream ends before.
async fn read_until(
    stream: &mut (impl AsyncRead + Unpin),
    input: &mut Vec<u8>,
    enough: impl Fn(&[u8]) -> Option<usize>,
) -> Option<usize> {
    loop {
        if let Some(length) = enough(input) {
            return Some(length);
        }
        match stream.read_buf(input).await {
            Ok(1..) => {}
            _ => return None,
        }
    }
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

fn compress(body: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(body).unwrap();
    gzip.finish().unwrap()
}

fn frame(status: u16, header: &str, body: &[u8], close: bool) -> Vec<u8> {
    let connection = if close { "connection: close\r\n" } else { "" };
    let mut bytes = format!(
        "HTTP/1.1 {status} Fake\r\ncontent-type: application/json\r\n{header}{connection}content-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

type Reply = (u16, &'static str, Vec<u8>);

fn reply(status: u16, body: &Value) -> Reply {
    (status, "", body.to_string().into_bytes())
}

fn refusal(status: u16, kind: &str, reason: &str) -> Reply {
    reply(status, &json!({"error": {"type": kind, "reason": reason}, "status": status}))
}

fn answer(state: &mut State, seen: &Seen, trouble: Option<&Trouble>) -> Reply {
    if let Some(expected) = &state.authorization
        && seen.headers.get("authorization") != Some(expected)
    {
        return refusal(401, "security_exception", "unable to authenticate");
    }
    let (path, query) = seen.path.split_once('?').unwrap_or((&seen.path, ""));
    if let Some(stream) = path.strip_prefix('/').and_then(|path| path.strip_suffix("/_bulk")) {
        return bulk(state, stream, query, &seen.body, trouble);
    }
    match path {
        _ if state.impostor => (200, "", b"<html>It works!</html>".to_vec()),
        "/" => {
            let version = if state.opensearch {
                json!({"number": "3.0.0", "distribution": "opensearch"})
            } else {
                json!({"number": "9.3.0"})
            };
            reply(200, &json!({"cluster_name": "fake", "version": version}))
        }
        "/_security/_authenticate" if !state.opensearch => {
            reply(200, &json!({"username": "stage", "api_key": {"name": "ours"}}))
        }
        "/_plugins/_security/authinfo" if state.opensearch => reply(200, &json!({"user_name": "stage"})),
        "/_security/user/_has_privileges" if !state.opensearch => {
            let asked: Value = serde_json::from_slice(&seen.body).unwrap();
            let granted = json!({"create_doc": state.privileges, "auto_configure": true});
            reply(200, &json!({"index": {asked["index"][0]["names"][0].as_str().unwrap(): granted}}))
        }
        _ if state.hidden => refusal(403, "security_exception", "action is unauthorized"),
        "/_index_template" => {
            let templates: Vec<Value> = state
                .templates
                .iter()
                .map(|(name, pattern, priority)| {
                    json!({"name": name, "index_template": {
                        "index_patterns": [pattern], "priority": priority, "data_stream": {"hidden": false}}})
                })
                .collect();
            reply(200, &json!({"index_templates": templates}))
        }
        path if path.starts_with("/_data_stream/") && state.data_stream => {
            reply(200, &json!({"data_streams": [{"name": "x", "template": "ours"}]}))
        }
        path if path.starts_with("/_data_stream/") => {
            refusal(404, "index_not_found_exception", "no such index")
        }
        _ if seen.method == "HEAD" => reply(if state.plain_index { 200 } else { 404 }, &json!({})),
        _ => reply(400, &json!({"error": "no handler found for uri"})),
    }
}

fn bulk(state: &mut State, stream: &str, query: &str, body: &[u8], trouble: Option<&Trouble>) -> Reply {
    if state.opensearch && query.contains("require_data_stream") {
        let reason = "request [/x/_bulk] contains unrecognized parameter: [require_data_stream]";
        return refusal(400, "illegal_argument_exception", reason);
    }
    if body.len() > state.most_bytes {
        return (413, "", Vec::new());
    }
    if let Some(Trouble::Status(status, header, body)) = trouble {
        return (*status, header, body.clone().into_bytes());
    }
    if !state.data_stream {
        state.data_stream = state.templates.iter().any(|(_, pattern, _)| pattern.contains("anthropic"));
        state.plain_index |= !state.data_stream;
    }
    assert!(body.ends_with(b"\n"), "a bulk request ends with a line end");
    let lines: Vec<&[u8]> = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    let mut items: Vec<Value> = lines
        .chunks_exact(2)
        .map(|pair| {
            let action: Value = serde_json::from_slice(pair[0]).unwrap();
            let id = action["create"]["_id"].as_str().expect("only create").to_owned();
            assert!((1..=512).contains(&id.len()), "an id of {} bytes", id.len());
            json!({"create": create(state, stream, id, serde_json::from_slice(pair[1]).unwrap())})
        })
        .collect();
    match trouble {
        Some(Trouble::Text(text)) => return (200, "", text.as_bytes().to_vec()),
        Some(Trouble::StatusAfterActing(status)) => return (*status, "", Vec::new()),
        Some(Trouble::FewerItems) => drop(items.pop()),
        _ => {}
    }
    let errors = items.iter().any(|item| item["create"]["error"].is_object());
    reply(200, &json!({"errors": errors, "took": 1, "items": items}))
}

fn create(state: &mut State, stream: &str, id: String, document: Value) -> Value {
    if state.stored.contains_key(&id) {
        let error = json!({"type": "version_conflict_engine_exception", "reason": "document already exists"});
        return json!({"_index": stream, "_id": id, "status": 409, "error": error});
    }
    if let Some((status, kind, reason)) = state.items.get_mut(&id).and_then(VecDeque::pop_front) {
        return json!({"_index": stream, "_id": id, "status": status, "error": {"type": kind, "reason": reason}});
    }
    state.stored.insert(id.clone(), document);
    json!({"_index": stream, "_id": id, "status": 201, "result": "created"})
}
