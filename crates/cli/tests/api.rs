//! The stage on a simulated Compliance API: polled, mapped, written, shown and verified, by the real program; behind TLS and
//! through proxies, with pages of
//! any size, and by two stages with keys of their own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod common;
#[path = "../../output/tests/support/fake_elasticsearch.rs"]
mod fake_elasticsearch;

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use simulator::api::{
    ACTIVITIES, Fault, FaultKind, KeyKind, Pace, Place, Server, Settings, Simulation, Tenant,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::block_in_place;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use common::{peak_memory, signal};
use fake_elasticsearch::FakeElasticsearch;

const KEY: &str = "ANTHROPIC_COMPLIANCE_KEY";

/// For what must come sooner or later.
const LONG: Duration = Duration::from_secs(60);

const MINUTE: i64 = 60_000_000;

/// What says that there is a proxy, on the machine that runs the tests.
const PROXIES: [&str; 8] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
];

/// A command line of the program; nothing of the proxies around here is left in its environment.
fn command(folder: &Path, key: &str, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_anthropic-ecs"));
    command.args(args).env(KEY, key).current_dir(folder);
    for name in PROXIES {
        command.env_remove(name);
    }
    command
}

fn program(folder: &Path, key: &str, args: &[&str]) -> Output {
    command(folder, key, args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn time(at: i64) -> String {
    simulator::rfc3339(at, simulator::Precision::Seconds, true)
}

/// The ids in an output, sorted.
fn ids(path: &Path) -> Vec<String> {
    let written = fs::read_to_string(path).unwrap_or_default();
    let whole = written.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    let mut ids: Vec<String> = whole
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["event"]["id"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    ids.sort();
    ids
}

/// A feed that listens, of which some hours are read that ended an hour ago.
struct Feed {
    server: Server,
    key: String,
    since: i64,
    /// Reading goes on for ever when nothing.
    until: Option<i64>,
    /// The ids of these hours, sorted.
    wanted: Vec<String>,
}

impl Feed {
    /// Everyday records; what is read begins so many hours ago.
    async fn start(hours: i64) -> Self {
        let mut settings = Settings::default();
        settings.tenant.late_per_mille = 0;
        Self::of(Simulation::new(settings), hours).await
    }

    async fn of(simulation: Simulation, hours: i64) -> Self {
        let (since, until) = (simulation.start() - hours * 60 * MINUTE, simulation.start() - 60 * MINUTE);
        let read = simulation.truth().filter(|truth| (since..until).contains(&truth.created));
        let mut wanted: Vec<String> = read.map(|truth| truth.id).collect();
        wanted.sort();
        let key = simulation.key("activities").to_owned();
        let server = Server::start(simulation, ([127, 0, 0, 1], 0).into(), Pace::Stepped(0)).await.unwrap();
        Self { server, key, since, until: Some(until), wanted }
    }

    /// Writes a configuration that reads these hours from an address; `more` belongs to the source and what follows it.
    fn configure(&self, folder: &Path, address: &str, more: &str) {
        let since = time(self.since);
        let until = self.until.map_or_else(String::new, |until| format!("until = \"{}\"\n", time(until)));
        let config = format!(
            "[telemetry]\nlisten = \"off\"\n[source]\ntype = \"compliance_api\"\nbase_url = \"{address}\"\n\
             api_key = \"${{{KEY}}}\"\nsince = \"{since}\"\n{until}page_size = 500\n{more}\n"
        );
        fs::write(folder.join("c.toml"), config).unwrap();
    }

    /// How many requests came.
    fn requests(&self) -> usize {
        self.server.control().with(|simulation, _| simulation.seen().len())
    }
}

/// What is read goes to a file.
const TO_A_FILE: &str = "[sink]\ntype = \"ndjson\"\npath = \"out.ndjson\"";

/// A program that runs beside the test, with its log in a file; it is ended with the test.
struct Running {
    child: Child,
    log: std::path::PathBuf,
}

impl Running {
    fn start(folder: &Path, key: &str) -> Self {
        Self::with(folder, key, &[])
    }

    fn with(folder: &Path, key: &str, variables: &[(&str, &str)]) -> Self {
        let log = folder.join("log");
        let mut command = command(folder, key, RUN);
        command.envs(variables.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log).unwrap());
        Self { child: command.spawn().unwrap(), log }
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until something is so, while the program must run.
    async fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + LONG;
        while !is_so(self) {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "it ended, {ended:?}, and {what} did not come:\n{}", self.log());
            assert!(Instant::now() < deadline, "{what} does not come:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits for its end, which must be a good one, and gives its log.
    async fn end(mut self) -> String {
        let deadline = Instant::now() + LONG;
        loop {
            match self.child.try_wait().unwrap() {
                Some(status) => {
                    assert!(status.success(), "{status}:\n{}", self.log());
                    return self.log();
                }
                None => assert!(Instant::now() < deadline, "it does not end:\n{}", self.log()),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Tells it to stop, which it must do in good order.
    async fn stop(mut self) -> String {
        assert!(self.child.try_wait().unwrap().is_none(), "it ended by itself:\n{}", self.log());
        signal(&self.child, "TERM");
        self.end().await
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const RUN: &[&str] = &["run", "--config", "c.toml"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backfill_is_delivered_attested_and_verified() {
    let feed = Feed::start(12).await;
    let home = tempfile::tempdir().unwrap();
    feed.configure(home.path(), &feed.server.url(), TO_A_FILE);
    block_in_place(|| {
        let (folder, key, until) = (home.path(), feed.key.as_str(), time(feed.until.unwrap()));
        let checked = program(folder, key, &["check", "--config", "c.toml", "--connect"]);
        assert!(text(&checked.stdout).contains("lets us read activities"), "{}", text(&checked.stdout));
        let nobody = program(folder, "sk-ant-api01-nobody", &["check", "--config", "c.toml", "--connect"]);
        assert_eq!(nobody.status.code(), Some(2), "{}", text(&nobody.stdout));
        let run = program(folder, key, &["run", "--config", "c.toml"]);
        assert_eq!(run.status.code(), Some(0), "{}", text(&run.stderr));
        assert!(!text(&run.stderr).contains(key), "the key is in the log");
        let written = fs::read_to_string(folder.join("out.ndjson")).unwrap();
        assert!(feed.wanted.len() > 500, "{} records", feed.wanted.len());
        assert_eq!(ids(&folder.join("out.ndjson")), feed.wanted);
        let verified = program(folder, key, &["verify", "out.ndjson"]);
        assert_eq!(verified.status.code(), Some(0), "{}", text(&verified.stdout));
        assert!(
            text(&verified.stdout).contains(" exact, 0 with more than was read then, 0 short"),
            "{}",
            text(&verified.stdout)
        );
        let all_but_one: String = written.lines().skip(1).map(|line| format!("{line}\n")).collect();
        fs::write(folder.join("less.ndjson"), all_but_one).unwrap();
        assert_eq!(program(folder, key, &["verify", "less.ndjson"]).status.code(), Some(1));
        let shown = program(folder, key, &["state", "show", "--config", "c.toml"]);
        assert!(text(&shown.stdout).contains(&format!("read up to     {until}")), "{}", text(&shown.stdout));
        assert!(program(folder, key, &["state", "reset", "--config", "c.toml"]).status.success());
        assert!(folder.join("state/compliance_api.state").exists(), "nothing is removed without --yes");
        assert!(program(folder, key, &["state", "reset", "--config", "c.toml", "--yes"]).status.success());
        assert!(!folder.join("state/compliance_api.state").exists());
        assert!(folder.join("state/attestations.ndjson").exists());
    });
}

/// An authority of the test's own, and the name by which only a proxy finds the server.
struct Behind {
    authority: CertifiedIssuer<'static, KeyPair>,
    /// Clients that went away before anything was said, since they did not trust it.
    refused: Arc<AtomicUsize>,
}

/// No such host is ever found by asking for its address.
const HIDDEN: &str = "compliance.invalid";

impl Behind {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { authority, refused: Arc::default() }
    }

    /// TLS on a loopback port, before a server that speaks none.
    async fn tls(&self, server: SocketAddr) -> SocketAddr {
        let key = KeyPair::generate().unwrap();
        let names = ["localhost".to_owned(), HIDDEN.to_owned()];
        let signed = CertificateParams::new(names).unwrap().signed_by(&key, &self.authority).unwrap();
        let tls = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![signed.der().clone()],
                PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der())),
            )
            .unwrap();
        let tls = TlsAcceptor::from(Arc::new(tls));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let refused = Arc::clone(&self.refused);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, refused) = (tls.clone(), Arc::clone(&refused));
                tokio::spawn(async move {
                    let Ok(mut stream) = tls.accept(stream).await else {
                        refused.fetch_add(1, Ordering::SeqCst);
                        return;
                    };
                    let mut server = TcpStream::connect(server).await.unwrap();
                    let _ = copy_bidirectional(&mut stream, &mut server).await;
                });
            }
        });
        address
    }

    fn write(&self, folder: &Path) {
        fs::write(folder.join("ca.pem"), self.authority.pem()).unwrap();
    }
}

/// A proxy that leads to one server, whatever it is asked for, and keeps the head of the first request of each connection.
struct Proxy {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    /// Whether it lets nobody through for now.
    refuses: Arc<AtomicBool>,
}

impl Proxy {
    async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let refuses = Arc::new(AtomicBool::new(false));
        let (kept, shut) = (Arc::clone(&heads), Arc::clone(&refuses));
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let (kept, shut) = (Arc::clone(&kept), Arc::clone(&shut));
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        head.push(client.read_u8().await.unwrap());
                    }
                    kept.lock().unwrap().push(text(&head));
                    if shut.load(Ordering::SeqCst) {
                        let refusal =
                            "HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n";
                        return client.write_all(refusal.as_bytes()).await.unwrap();
                    }
                    let mut server = TcpStream::connect(server).await.unwrap();
                    if head.starts_with(b"CONNECT ") {
                        client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await.unwrap();
                    } else {
                        server.write_all(&head).await.unwrap();
                    }
                    let _ = copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        Self { address, heads, refuses }
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

/// Runs to the end, in a folder of its own that is given back.
async fn read_whole(
    feed: &Feed,
    behind: &Behind,
    address: &str,
    more: &str,
    variables: &[(&str, &str)],
) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    behind.write(home.path());
    feed.configure(home.path(), address, &format!("{more}\n{TO_A_FILE}"));
    Running::with(home.path(), &feed.key, variables).end().await;
    assert_eq!(ids(&home.path().join("out.ndjson")), feed.wanted);
    home
}

/// Nothing that the program wrote has any of these words in it.
fn discreet(folder: &Path, words: &[&str]) {
    let mut looked_at = 0;
    for entry in fs::read_dir(folder).unwrap().chain(fs::read_dir(folder.join("state")).into_iter().flatten())
    {
        let path = entry.unwrap().path();
        if path.is_file() {
            looked_at += 1;
            let bytes = fs::read(&path).unwrap();
            for word in words {
                let found = bytes.windows(word.len()).any(|window| window == word.as_bytes());
                assert!(!found, "{word} is in {}", path.display());
            }
        }
    }
    assert!(looked_at >= 3, "{looked_at} files");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_behind_tls_is_waited_for_until_its_authority_is_trusted() {
    let feed = Feed::start(4).await;
    let behind = Behind::new();
    let address = format!("https://localhost:{}", behind.tls(feed.server.address()).await.port());

    let home = tempfile::tempdir().unwrap();
    feed.configure(home.path(), &address, TO_A_FILE);
    let mut running = Running::start(home.path(), &feed.key);
    running.until("a second attempt", |_| behind.refused.load(Ordering::SeqCst) > 1).await;
    let log = running.stop().await;
    assert!(
        log.contains("localhost: ") && log.contains("invalid peer certificate: UnknownIssuer"),
        "the cause is not said:\n{log}"
    );
    assert!(log.contains("name its authority in `ca_file`"), "the remedy is not said:\n{log}");
    assert_eq!(feed.requests(), 0, "something was said to a server that is not trusted");
    assert_eq!(ids(&home.path().join("out.ndjson")), [] as [String; 0]);
    discreet(home.path(), &[&feed.key]);

    // A stranger's authority does not help.
    Behind::new().write(home.path());
    feed.configure(home.path(), &address, &format!("ca_file = \"ca.pem\"\n{TO_A_FILE}"));
    let mut running = Running::start(home.path(), &feed.key);
    running.until("a refusal", |running| running.log().contains("certificate")).await;
    running.stop().await;
    assert_eq!(feed.requests(), 0, "something was said to a server that is not trusted");

    let home = read_whole(&feed, &behind, &address, "ca_file = \"ca.pem\"", &[]).await;
    assert!(feed.requests() > 0);
    discreet(home.path(), &[&feed.key]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_is_gone_through_and_learns_no_key() {
    let feed = Feed::start(4).await;
    let behind = Behind::new();
    let tls = behind.tls(feed.server.address()).await;
    // Nobody but the proxy knows where that is.
    let address = format!("https://{HIDDEN}");
    let password = "hunter2-of-the-proxy";
    let secrets = [&feed.key, password];

    let proxy = Proxy::start(tls).await;
    let url = format!("http://stage:{password}@{}", proxy.address);
    let more = "ca_file = \"ca.pem\"\nproxy = \"${PROXY}\"";
    let home = read_whole(&feed, &behind, &address, more, &[("PROXY", &url)]).await;
    discreet(home.path(), &secrets);
    let heads = proxy.heads();
    assert!(!heads.is_empty(), "it was not asked");
    for head in &heads {
        assert!(head.starts_with(&format!("CONNECT {HIDDEN}:443 HTTP/1.1\r\n")), "{head}");
        assert!(head.to_lowercase().contains("\r\nproxy-authorization: basic "), "{head}");
        assert!(!head.contains(&feed.key), "the key is shown to the proxy");
    }

    // The one in the environment, which a proxy of the configuration goes before.
    let other = Proxy::start(tls).await;
    let environment = format!("http://{}", other.address);
    let both = [("PROXY", url.as_str()), ("HTTPS_PROXY", environment.as_str())];
    read_whole(&feed, &behind, &address, more, &both).await;
    assert_eq!(other.heads(), [] as [String; 0], "the environment's proxy was asked");
    read_whole(&feed, &behind, &address, "ca_file = \"ca.pem\"", &both[1..]).await;
    assert!(!other.heads().is_empty(), "the environment's proxy was not asked");

    // An API on this machine, in the open: only if the configuration says so.
    let open = Proxy::start(feed.server.address()).await;
    let url = format!("http://{}", open.address);
    let variables = [("PROXY", url.as_str()), ("HTTP_PROXY", url.as_str())];
    read_whole(&feed, &behind, &feed.server.url(), "", &variables).await;
    assert_eq!(
        open.heads(),
        [] as [String; 0],
        "the environment's proxy was asked for what is on this machine"
    );
    let home = read_whole(&feed, &behind, &feed.server.url(), "proxy = \"${PROXY}\"", &variables).await;
    discreet(home.path(), &secrets);
    assert!(open.heads()[0].starts_with(&format!("GET {}/v1/compliance/", feed.server.url())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_refuses_is_waited_for() {
    let feed = Feed::start(4).await;
    let behind = Behind::new();
    let proxy = Proxy::start(behind.tls(feed.server.address()).await).await;
    proxy.refuses.store(true, Ordering::SeqCst);
    let password = "hunter2-of-the-proxy";
    let home = tempfile::tempdir().unwrap();
    behind.write(home.path());
    let lines =
        format!("proxy = \"http://stage:{password}@{}\"\nca_file = \"ca.pem\"\n{TO_A_FILE}", proxy.address);
    feed.configure(home.path(), &format!("https://{HIDDEN}"), &lines);
    let mut running = Running::start(home.path(), &feed.key);
    running.until("a second attempt", |_| proxy.heads().len() > 1).await;
    let log = running.log();
    assert!(log.contains("proxy auth"), "the cause is not said:\n{log}");
    assert!(log.contains("see that the API can be reached from here"), "the remedy is not said:\n{log}");
    assert_eq!(feed.requests(), 0);

    // It goes on by itself.
    proxy.refuses.store(false, Ordering::SeqCst);
    running.end().await;
    assert_eq!(ids(&home.path().join("out.ndjson")), feed.wanted);
    fs::remove_file(home.path().join("c.toml")).unwrap();
    discreet(home.path(), &[&feed.key, password]);
}

/// What a page is made of that is to be read, and what becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Body {
    /// Everyday rows.
    Usual,
    /// The same rows, one of them padded by 64 MiB, which no record may be.
    OneHugeRow,
    /// As many rows, all of them large.
    LargeRows,
}

/// Rows of a page.
const ROWS: u128 = 200;
/// The size of a page that is too large to be held; about this many bytes.
const PAGE: usize = 64 << 20;

/// Reads one page to its end; gives the most memory that the program ever held.
async fn peak_of(body: Body) -> Option<u64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64 * 1_000_000;
    let tenant = Tenant::empty();
    // Not before the clock of this machine, by which the program would begin twice.
    let settings = Settings { start: now, tenant, own_reads: None, gzip: false, ..Settings::default() };
    let mut simulation = Simulation::new(settings);
    let first = simulation.start() - 3 * 60 * MINUTE;
    let length = if body == Body::LargeRows { PAGE / ROWS as usize } else { 10 };
    let rest = format!(",\"type\":\"claude_chat_created\",\"padding\":\"{}\"}}", "x".repeat(length));
    for number in 0..ROWS {
        let created = first + number as i64 * 1_000_000;
        simulation.add_raw(&rest, Place { created, number }, created);
    }
    if body == Body::OneHugeRow {
        simulation.order(Fault::new(FaultKind::Huge)).unwrap();
    }
    let mut feed = Feed::of(simulation, 4).await;
    // It is not to end before it was looked at.
    feed.until = None;
    let home = tempfile::tempdir().unwrap();
    feed.configure(
        home.path(),
        &feed.server.url(),
        &format!("reconcile = []\n{TO_A_FILE}\n[dead_letters]\npath = \"dead.ndjson\""),
    );
    let (out, dead) = (home.path().join("out.ndjson"), home.path().join("dead.ndjson"));
    let lines =
        |path: &Path| fs::read(path).unwrap_or_default().iter().filter(|byte| **byte == b'\n').count();
    let mut running = Running::start(home.path(), &feed.key);
    running.until("every row", |_| lines(&out) + lines(&dead) >= feed.wanted.len()).await;
    let peak = peak_memory(&running.child);
    running.stop().await;
    assert_eq!(feed.requests(), 1, "it was to be one page");
    assert!(body != Body::LargeRows || fs::metadata(&out).unwrap().len() > PAGE as u64);
    let mut wanted = feed.wanted;
    let buried = fs::read_to_string(&dead).unwrap_or_default();
    if body == Body::OneHugeRow {
        let huge = wanted.remove(wanted.len() / 2);
        assert!(buried.contains(&huge) && buried.contains("too_large"), "{huge} is no dead letter");
    }
    assert_eq!(lines(&dead), usize::from(body == Body::OneHugeRow), "dead letters");
    assert_eq!(ids(&out), wanted);
    peak
}

/// What is allowed for is what one record may take and what may be under way to the sink; a client that waits for a page's
/// last byte would hold all of the page besides.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_any_size_is_read_in_bounded_memory() {
    let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let Some(usual) = peak_of(Body::Usual).await else {
        return println!("SKIPPED: there is no /proc/<pid>/status here");
    };
    for body in [Body::OneHugeRow, Body::LargeRows] {
        let more = peak_of(body).await.unwrap().saturating_sub(usual);
        println!("{body:?}: {:.1} MiB more than the usual {:.1}", mebibytes(more), mebibytes(usual));
        assert!(more < PAGE as u64 / 4 * 3, "{body:?}: {more} bytes more");
    }
}

/// What the last line of a log counts: delivered, and there already.
fn counts(log: &str) -> (usize, usize) {
    let line = log.lines().rfind(|line| line.contains(" there already, ")).unwrap_or_else(|| panic!("{log}"));
    let before = |what: &str| -> usize {
        let (before, _) = line.split_once(what).unwrap();
        before.rsplit(' ').next().unwrap().parse().unwrap()
    };
    (before(" delivered, "), before(" there already, "))
}

/// A key for all organizations under a parent and one for this organization alone show the same rows. Two stages that do not
/// know of each other, each with a key and a state of its own, deliver every row once between them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_stages_with_two_keys_deliver_each_row_once() {
    let mut settings = Settings::default();
    settings.tenant.late_per_mille = 0;
    settings.tenant.linked = 2;
    let mut simulation = Simulation::new(settings);
    let organization = simulation.organization().0.to_owned();
    let own = simulation.add_key("own", KeyKind::Admin, &[ACTIVITIES], &[&organization]);
    let feed = Feed::of(simulation, 4).await;
    let start = |elasticsearch: &FakeElasticsearch, key: &str| {
        let home = tempfile::tempdir().unwrap();
        let sink = format!("[sink]\ntype = \"elasticsearch\"\nurl = \"{}\"", elasticsearch.url());
        feed.configure(home.path(), &feed.server.url(), &sink);
        let running = Running::start(home.path(), key);
        (home, running)
    };
    let all = feed.wanted.len();
    assert!(all > 100, "{all} records");

    // One after the other: the second finds everything there.
    let elasticsearch = FakeElasticsearch::start().await;
    let (home, running) = start(&elasticsearch, &feed.key);
    assert_eq!(counts(&running.end().await), (all, 0));
    discreet(home.path(), &[&feed.key, &own]);
    assert_eq!(elasticsearch.ids(), feed.wanted);
    let (home, running) = start(&elasticsearch, &own);
    assert_eq!(counts(&running.end().await), (0, all));
    discreet(home.path(), &[&feed.key, &own]);
    assert_eq!(elasticsearch.ids(), feed.wanted);

    // Side by side: what one delivers is there already for the other.
    let elasticsearch = FakeElasticsearch::start().await;
    let (first, second) = (start(&elasticsearch, &feed.key), start(&elasticsearch, &own));
    let (first, second) = (counts(&first.1.end().await), counts(&second.1.end().await));
    assert_eq!((first.0 + first.1, second.0 + second.1), (all, all));
    assert_eq!((first.0 + second.0, first.1 + second.1), (all, all));
    assert_eq!(elasticsearch.ids(), feed.wanted);
    // Both keys were used.
    let asked = |name: &str| {
        let by = |simulation: &mut Simulation, _| {
            simulation.seen().iter().filter(|seen| seen.key.as_deref() == Some(name)).count()
        };
        feed.server.control().with(by)
    };
    assert!(asked("activities") > 0 && asked("own") > 0);
}
