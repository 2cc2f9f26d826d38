//! A STAND-IN for Elasticsearch: enough of the bulk API for a data stream, with faults, and with a memory for ids alone.
//!
//! What it stores it never writes over, as `create` does. Whether something goes wrong is decided for each bulk request; half
//! of what can go wrong does so after the documents were stored, so that they come again. What real servers do is shown
//! elsewhere, by the live tests.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::io::Read as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use flate2::read::GzDecoder;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use simulator::Random;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

use crate::ledger::Ledger;

/// Of a hundred bulk requests, how many something happens to.
const PERCENT: u64 = 6;

/// What happens to a bulk request.
#[derive(Debug, Clone, Copy)]
enum Trouble {
    /// 429 to all of it, with a wait.
    Throttled,
    /// 503 to all of it.
    Unavailable,
    /// 429 to some of its documents.
    Partly,
    /// 503 to some of its documents.
    ShardsAway,
    /// The connection is reset before anything was done.
    Reset,
    /// The documents are stored, and the connection is reset.
    ResetAfter,
    /// The documents are stored, and a gateway says 502.
    Gateway,
    /// The documents are stored, and half of the answer comes.
    Cut,
    /// The documents are stored, and no answer comes.
    Silence,
    /// The documents are stored, and the answer takes two seconds.
    Slow,
}

const TROUBLES: [(Trouble, &str); 10] = [
    (Trouble::Throttled, "429 to a bulk request"),
    (Trouble::Unavailable, "503 to a bulk request"),
    (Trouble::Partly, "429 to some documents"),
    (Trouble::ShardsAway, "503 to some documents"),
    (Trouble::Reset, "connection reset, nothing stored"),
    (Trouble::ResetAfter, "connection reset after storing"),
    (Trouble::Gateway, "502 after storing"),
    (Trouble::Cut, "answer cut in the middle"),
    (Trouble::Silence, "no answer after storing"),
    (Trouble::Slow, "answer two seconds late"),
];

/// What all connections share.
#[derive(Debug)]
struct Shared {
    ledger: Arc<Ledger>,
    random: Mutex<Random>,
    /// Whether anything goes wrong.
    unruly: AtomicBool,
    /// Whether every request is refused.
    away: AtomicBool,
    bulks: AtomicU64,
    met: Mutex<BTreeMap<&'static str, u64>>,
}

/// A cluster of one.
pub(crate) struct Elastic {
    shared: Arc<Shared>,
    pub(crate) url: String,
}

impl Elastic {
    pub(crate) fn start(runtime: &Runtime, seed: u64, ledger: Arc<Ledger>) -> Self {
        let shared = Arc::new(Shared {
            ledger,
            random: Mutex::new(Random::new(seed ^ 0x656c_6173)),
            unruly: AtomicBool::new(true),
            away: AtomicBool::new(false),
            bulks: AtomicU64::new(0),
            met: Mutex::default(),
        });
        let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0))).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        runtime.spawn(accept(listener, Arc::clone(&shared)));
        Self { shared, url }
    }

    /// Refuses everything, or not any more.
    pub(crate) fn away(&self, away: bool) {
        self.shared.away.store(away, Ordering::Relaxed);
    }

    /// From now on nothing goes wrong.
    pub(crate) fn calm(&self) {
        self.away(false);
        self.shared.unruly.store(false, Ordering::Relaxed);
    }

    /// Bulk requests so far.
    pub(crate) fn bulks(&self) -> u64 {
        self.shared.bulks.load(Ordering::Relaxed)
    }

    /// What went wrong, and how often.
    pub(crate) fn met(&self) -> BTreeMap<&'static str, u64> {
        self.shared.met.lock().unwrap().clone()
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        tokio::spawn(serve(stream, Arc::clone(&shared)));
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    // It is only ever us who end a connection on purpose, and then with a reset.
    let _ = stream.set_zero_linger();
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { respond(request, &shared).await }
    });
    // How a connection ends is the client's business, or was the fault's.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// What makes hyper give up a connection.
#[derive(Debug)]
struct GivenUp;

impl std::fmt::Display for GivenUp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("given up on purpose")
    }
}

impl std::error::Error for GivenUp {}

impl From<Infallible> for GivenUp {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, GivenUp>;

fn whole(status: u16, body: impl Into<Bytes>) -> Response<Body> {
    let body = Full::new(body.into()).map_err(GivenUp::from).boxed_unsync();
    let response = Response::builder().status(status).header("content-type", "application/json");
    response.header("x-elastic-product", "Elasticsearch").body(body).unwrap()
}

/// An error as Elasticsearch words it.
fn refusal(status: u16, kind: &str) -> Response<Body> {
    let reason = format!(r#"{{"error":{{"type":"{kind}","reason":"on purpose"}},"status":{status}}}"#);
    whole(status, reason)
}

async fn respond(request: Request<Incoming>, shared: &Shared) -> Result<Response<Body>, GivenUp> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| GivenUp)?.to_bytes();
    if shared.away.load(Ordering::Relaxed) {
        return Ok(refusal(503, "no_shard_available_action_exception"));
    }
    let path = head.uri.path();
    if let Some(stream) = path.strip_suffix("/_bulk") {
        let zipped = head.headers.get("content-encoding").is_some_and(|coding| coding == "gzip");
        let body = if zipped { unzipped(&body) } else { body };
        return bulk(stream.trim_start_matches('/'), &body, shared).await;
    }
    Ok(match path {
        "/" => whole(200, r#"{"cluster_name":"stand-in","version":{"number":"9.3.0"}}"#),
        path if path.starts_with("/_data_stream/") => {
            let name = path.trim_start_matches("/_data_stream/");
            whole(200, format!(r#"{{"data_streams":[{{"name":"{name}","template":"ours"}}]}}"#))
        }
        "/_index_template" => whole(
            200,
            r#"{"index_templates":[{"name":"ours","index_template":{"index_patterns":["logs-anthropic.audit-*"],"priority":250,"data_stream":{}}}]}"#,
        ),
        _ if head.method == Method::HEAD => whole(404, ""),
        _ => refusal(400, "illegal_argument_exception"),
    })
}

fn unzipped(body: &[u8]) -> Bytes {
    let mut text = Vec::new();
    GzDecoder::new(body).read_to_end(&mut text).unwrap();
    text.into()
}

/// The line before a document.
#[derive(Deserialize)]
struct Action<'b> {
    #[serde(borrow)]
    create: Target<'b>,
}

#[derive(Deserialize)]
struct Target<'b> {
    _id: &'b str,
}

async fn bulk(stream: &str, body: &[u8], shared: &Shared) -> Result<Response<Body>, GivenUp> {
    shared.bulks.fetch_add(1, Ordering::Relaxed);
    let trouble = draw(shared);
    match trouble {
        Some(Trouble::Throttled) => {
            let mut answer = refusal(429, "es_rejected_execution_exception");
            answer.headers_mut().insert("retry-after", 1.into());
            return Ok(answer);
        }
        Some(Trouble::Unavailable) => return Ok(refusal(503, "unavailable_shards_exception")),
        Some(Trouble::Reset) => return Err(GivenUp),
        _ => {}
    }
    let answer = store(stream, body, shared, trouble);
    match trouble {
        Some(Trouble::ResetAfter) => Err(GivenUp),
        Some(Trouble::Gateway) => Ok(whole(502, "<html>Bad gateway</html>")),
        Some(Trouble::Silence) => std::future::pending().await,
        Some(Trouble::Cut) => {
            // The whole length is announced.
            let half = Bytes::from(answer.as_bytes()[..answer.len() / 2].to_vec());
            let pieces = Cut { half: Some(half), length: answer.len() as u64 };
            Ok(Response::new(pieces.boxed_unsync()))
        }
        Some(Trouble::Slow) => {
            tokio::time::sleep(Duration::from_secs(2)).await;
            Ok(whole(200, answer))
        }
        _ => Ok(whole(200, answer)),
    }
}

/// What happens to this request, if anything does.
fn draw(shared: &Shared) -> Option<Trouble> {
    if !shared.unruly.load(Ordering::Relaxed) {
        return None;
    }
    let mut random = shared.random.lock().unwrap();
    let (trouble, name) = random.chance(PERCENT).then(|| *random.pick(&TROUBLES))?;
    *shared.met.lock().unwrap().entry(name).or_default() += 1;
    Some(trouble)
}

/// Stores the documents of a request, and says what came of each.
fn store(stream: &str, body: &[u8], shared: &Shared, trouble: Option<Trouble>) -> String {
    let refused = match trouble {
        Some(Trouble::Partly) => Some((429, "es_rejected_execution_exception")),
        Some(Trouble::ShardsAway) => Some((503, "unavailable_shards_exception")),
        _ => None,
    };
    let mut lines = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let (mut items, mut errors, mut count) = (String::new(), false, 0_usize);
    while let Some((action, document)) = lines.next().zip(lines.next()) {
        let Action { create: Target { _id: id } } =
            serde_json::from_slice(action).expect("only create, with an id");
        assert!(document.starts_with(b"{") && document.ends_with(b"}"), "a document is one line");
        count += 1;
        let (status, kind) = match refused {
            Some(refused) if count.is_multiple_of(3) => refused,
            _ if shared.ledger.create(id) => (201, ""),
            _ => (409, "version_conflict_engine_exception"),
        };
        let comma = if items.is_empty() { "" } else { "," };
        let _ = write!(items, r#"{comma}{{"create":{{"_index":"{stream}","_id":"{id}","status":{status}"#);
        if !kind.is_empty() {
            errors = true;
            let _ = write!(items, r#","error":{{"type":"{kind}","reason":"on purpose"}}"#);
        }
        items.push_str("}}");
    }
    format!(r#"{{"errors":{errors},"took":1,"items":[{items}]}}"#)
}

/// A body that ends before its announced length.
struct Cut {
    half: Option<Bytes>,
    length: u64,
}

impl hyper::body::Body for Cut {
    type Data = Bytes;
    type Error = GivenUp;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, GivenUp>>> {
        let frame = self.half.take().map(hyper::body::Frame::data).ok_or(GivenUp);
        std::task::Poll::Ready(Some(frame))
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        hyper::body::SizeHint::with_exact(self.length)
    }
}
