//! What `check` says of the mistakes that are made, by running the program: what is wrong, where, and what to do, in a line
//! that begins with WRONG, and exit status 2.
//!
//! Servers are fakes in this process, where the mistake allows it; what only a real broker does is shown on one, where
//! `KAFKA_BROKERS`, `KAFKA_SASL_BROKERS` and `KAFKA_TLS_BROKERS` name its listeners.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::fake_elasticsearch::FakeElasticsearch;
use crate::world::root;

const FILES: &str = "[source]\ntype = \"file\"\npaths = [\"in.ndjson\"]\n";
const NDJSON: &str = "[sink]\ntype = \"ndjson\"\npath = \"out.ndjson\"\n";

/// Files to Elasticsearch, with some more keys.
fn elasticsearch(url: &str, keys: &str) -> String {
    format!("{FILES}[sink]\ntype = \"elasticsearch\"\nurl = \"{url}\"\n{keys}\n")
}

fn from_kafka(brokers: &str, keys: &str) -> String {
    format!("[source]\ntype = \"kafka\"\nbrokers = \"{brokers}\"\n{keys}\n{NDJSON}")
}

fn to_kafka(brokers: &str, keys: &str) -> String {
    format!("{FILES}[sink]\ntype = \"kafka\"\nbrokers = \"{brokers}\"\n{keys}\n")
}

/// A folder with what configurations name.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("in.ndjson", "{\"id\":\"1\",\"type\":\"claude_chat_created\"}\n");
    write("text", "hunter2\n");
    write(
        "wrong.csv",
        "type,category,event_type,outcome,severity,message\na_type,iam,info,success,200,did it\n",
    );
    folder
}

/// Runs `check` over a configuration; gives the exit status and everything it said.
fn check(folder: &Path, config: &str, more: &[&str]) -> (Option<i32>, String) {
    fs::write(folder.join("c.toml"), config).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_anthropic-ecs"));
    command.args(["check", "--config", "c.toml"]).args(more).current_dir(folder);
    // Proxies and secrets of whoever runs the tests have no part in this.
    command.env_clear();
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

/// Asserts that one part is wrong, that all these words are said of it, and that nothing was changed by looking.
#[track_caller]
fn wrong(config: &str, more: &[&str], part: &str, words: &[&str]) {
    let folder = folder();
    let (status, said) = check(folder.path(), config, more);
    assert_eq!(status, Some(2), "{config}\n{said}");
    let lines: Vec<&str> = said.lines().filter(|line| line.starts_with("WRONG")).collect();
    let [line] = lines[..] else { panic!("{config}\n{said}") };
    assert!(line.starts_with(&format!("WRONG {part}")), "{config}\n{said}");
    for word in words {
        assert!(line.contains(word), "`{word}` is not in\n{said}");
    }
    assert!(said.ends_with("1 thing is wrong\n"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 4, "{config}: something was made");
}

/// Asserts that a configuration cannot even be read, in one line with the place.
#[track_caller]
fn unread(config: &str, words: &[&str]) {
    let (status, said) = check(folder().path(), config, &[]);
    assert_eq!((status, said.lines().count()), (Some(2), 1), "{config}\n{said}");
    for word in words {
        assert!(said.contains(word), "`{word}` is not in\n{said}");
    }
}

/// Asserts that nothing is wrong, and that all these words are said.
#[track_caller]
fn fine(config: &str, more: &[&str], words: &[&str]) {
    let (status, said) = check(folder().path(), config, more);
    assert_eq!(status, Some(0), "{config}\n{said}");
    assert!(!said.contains("wrong") && !said.contains("WRONG"), "{said}");
    for word in words {
        assert!(said.contains(word), "`{word}` is not in\n{said}");
    }
}

const CONNECT: &[&str] = &["--connect"];

/// An address where nobody listens.
fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn what_is_right_is_said_to_be() {
    fine(
        &format!("{FILES}{NDJSON}"),
        &[],
        &["ok    configuration c.toml", "ok    source        1 file\n", "dead-letters.ndjson"],
    );
}

#[test]
fn mistakes_in_the_file_name_their_line() {
    let sink = |keys| elasticsearch("https://es:9200", keys);
    unread(
        &sink("api_key = \"${NO_SUCH_VARIABLE}\""),
        &["c.toml:7: ", "NO_SUCH_VARIABLE is not set", "set it"],
    );
    unread(
        &sink("api_kye = \"hunter2\""),
        &["c.toml:7: [sink] has no key `api_kye`; did you mean `api_key`?"],
    );
    unread(&sink("linger = \"5 lots\""), &["c.toml:7: ", "`5 lots` is no duration", "90s"]);
    unread(NDJSON, &["c.toml: there is no section [source]"]);
    let output = Command::new(env!("CARGO_BIN_EXE_anthropic-ecs"))
        .args(["check", "--config", "/no/such.toml"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("/no/such.toml: the configuration cannot be read")
    );
}

#[test]
fn keys_that_do_not_go_together_are_named() {
    let sink = |keys| elasticsearch("https://es:9200", keys);
    for (config, words) in [
        (sink("username = \"u\""), ["`username`", "add `password`"]),
        (sink("api_key = \"hunter2\"\nbearer = \"hunter2\""), ["more than one of", "keep one"]),
        (elasticsearch("localhost:9200", ""), ["neither http nor https", "https://localhost:9200"]),
        (elasticsearch("http://es:9200", "ca_file = \"ca.pem\""), ["`ca_file` is given", "https://"]),
        (elasticsearch("https://u:hunter2@es:9200", ""), ["has a user name or a password", "password_file"]),
        (to_kafka("k:9092", "topic = \"t\"\nexactly_once = true"), ["`exactly_once` needs", "leave"]),
        (to_kafka("k:9092", "topic = \"t\"\n[sink.librdkafka]\nacks = 1"), ["acks", "all replicas"]),
    ] {
        wrong(&config, &[], "sink", &words);
    }
}

#[test]
fn files_that_are_not_what_they_should_be_are_named() {
    let files = |keys: &str| format!("{FILES}{NDJSON}{keys}\n");
    let sink = |keys: &str| elasticsearch("https://es:9200", keys);
    let other_type = root("tests/data/wrong-type.mmdb").canonicalize().unwrap();
    let other_type = files(&format!("[mapper]\ngeoip = [\"{}\"]", other_type.display()));
    let absent = |path| format!("[source]\ntype = \"file\"\npaths = [\"{path}\"]\n{NDJSON}");
    for (config, part, words) in [
        (files("[mapper]\ngeoip = [\"text\"]"), "mapper", vec!["text: ", "MaxMind-format"]),
        (files("[mapper]\ngeoip = [\"no.mmdb\"]"), "mapper", vec!["no.mmdb: cannot be read", ".mmdb file"]),
        (other_type, "mapper", vec!["wrong-type.mmdb: ", "GeoIP2-Domain", "expected a City"]),
        (files("[mapper]\noverlay = \"wrong.csv\""), "mapper", vec!["wrong.csv:2: ", "`200`", "0 to 100"]),
        (files("[mapper]\noverlay = \"in.ndjson\""), "mapper", vec!["in.ndjson:1: ", "header"]),
        (files("[mapper]\noverlay = \"no.csv\""), "mapper", vec!["no.csv cannot be read", "CSV file"]),
        (absent("no/such"), "source", vec!["no/such: no such file", "name files"]),
        (files("[state]\npath = \"text\""), "state", vec!["text, is no folder", "name a folder"]),
        (files("[dead_letters]\npath = \"no/dead\""), "dead letters", vec!["no/dead", "make the folder no"]),
        (sink("api_key_file = \"no/key\""), "sink", vec!["no/key, cannot be read", "put the secret there"]),
        (sink("api_key_file = \".\""), "sink", vec!["., cannot be read", "let this user read it"]),
        (sink("ca_file = \"no.pem\""), "sink", vec!["no.pem, cannot be read", "put the PEM file there"]),
        (sink("ca_file = \"text\""), "sink", vec!["text: there is no certificate", "BEGIN CERTIFICATE"]),
        (to_kafka("k:9092", "topic = \"t\"\nca_file = \"no.pem\""), "sink", vec!["`ca_file`: no.pem cannot"]),
        (
            to_kafka("k:9092", "topic = \"t\"\nsasl_username = \"u\"\nsasl_password_file = \"no/key\""),
            "sink",
            vec!["`sasl_password_file`: no/key cannot be read", "this user may read"],
        ),
        (files("").replace("out.ndjson", "no/out"), "sink", vec!["no/out", "make the folder no"]),
        (files("").replace("out.ndjson", "."), "sink", vec!["is a folder", "name a file in it"]),
        (
            files("").replace("out.ndjson", "in.ndjson"),
            "sink",
            vec!["in.ndjson", "[source] reads", "another"],
        ),
    ] {
        wrong(&config, &[], part, &words);
    }
}

/// Runs a test beside servers of this process.
fn beside<T>(server: impl Future<Output = T>) -> (Runtime, T) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let server = runtime.block_on(server);
    (runtime, server)
}

#[test]
fn addresses_where_no_elasticsearch_is() {
    let port = nobody().port();
    let (_runtime, fake) = beside(FakeElasticsearch::start());
    let to = |url: &str, words: &[&str]| wrong(&elasticsearch(url, ""), CONNECT, "sink", words);
    to(
        &format!("http://localhost:{port}"),
        &[&format!("localhost:{port}"), "Connection refused", "check host and port in `url`"],
    );
    to("http://elasticsearch.invalid:9200", &["elasticsearch.invalid", "check the host name in `url`"]);
    to(&fake.url().replace("http:", "https:"), &["check `https` and the port in `url`"]);
    fake.state().impostor = true;
    to(&fake.url(), &["is neither Elasticsearch nor OpenSearch", "check host and port"]);
}

#[test]
fn clusters_that_do_not_take_us_for_somebody_who_may_write() {
    let (_runtime, fake) = beside(FakeElasticsearch::start());
    let with = |keys| elasticsearch(&fake.url(), keys);
    fine(&with(""), CONNECT, &["is Elasticsearch 9.3.0", "from the template ours", "may write to"]);

    fake.state().authorization = Some("ApiKey right".to_owned());
    fine(&with("api_key = \"right\""), CONNECT, &["knows us as stage"]);
    wrong(&with("api_key = \"hunter2\""), CONNECT, "sink", &["401", "check `api_key`", "revoked"]);
    wrong(&with(""), CONNECT, "sink", &["401", "set `api_key_file`"]);
    wrong(&with("username = \"u\"\npassword = \"hunter2\""), CONNECT, "sink", &["401", "`password`"]);
    fake.state().authorization = None;

    fake.state().privileges = false;
    wrong(
        &with(""),
        CONNECT,
        "sink",
        &["does not allow create_doc", "logs-anthropic.audit-default", "give the key"],
    );
    fake.state().privileges = true;

    fake.state().templates = vec![("logs", "logs-*-*", 100)];
    wrong(&with(""), CONNECT, "sink", &["logs-*-*", "anthropic-ecs setup --config"]);
    fake.state().templates.clear();
    wrong(
        &with(""),
        CONNECT,
        "sink",
        &["no index template is there for logs-anthropic.audit-default", "setup"],
    );
    fake.state().plain_index = true;
    wrong(&with(""), CONNECT, "sink", &["is an index and not a data stream", "reindex"]);
    assert!(fake.bulks().is_empty(), "nothing is written by looking");
}

/// TLS for a name, and the certificate of the authority that signed it.
fn tls(name: &str) -> (Arc<ServerConfig>, String) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    (Arc::new(config), issuer.pem())
}

#[test]
fn tls_that_does_not_fit() {
    let ca = tempfile::tempdir().unwrap();
    let start = |name: &str| {
        let (config, pem) = tls(name);
        let file = ca.path().join(format!("{name}.pem"));
        fs::write(&file, pem).unwrap();
        (beside(FakeElasticsearch::start_tls(config)), format!("ca_file = \"{}\"", file.display()))
    };
    let ((_here, fake), ca_file) = start("localhost");
    fine(&elasticsearch(&fake.url(), &ca_file), CONNECT, &["is Elasticsearch"]);
    wrong(&elasticsearch(&fake.url(), ""), CONNECT, "sink", &["UnknownIssuer", "set `ca_file`"]);
    let plain = fake.url().replace("https:", "http:");
    wrong(&elasticsearch(&plain, ""), CONNECT, "sink", &["a server that wants https:// may close too"]);
    let ((_there, other), ca_file) = start("elsewhere");
    let config = elasticsearch(&other.url(), &ca_file);
    wrong(
        &config,
        CONNECT,
        "sink",
        &["elsewhere", "use a host name in `url` that the server's certificate has"],
    );
}

fn kafka() -> (MockCluster<'static, DefaultProducerContext>, String) {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("raw", 3, 1).unwrap();
    let brokers = cluster.bootstrap_servers();
    (cluster, brokers)
}

#[test]
fn brokers_that_are_not_there() {
    let nobody = nobody().to_string();
    let topic = "topic = \"t\"";
    wrong(
        &from_kafka(&nobody, "topics = \"raw\""),
        CONNECT,
        "source",
        &[&nobody, "Connection refused", "check that the brokers"],
    );
    wrong(
        &to_kafka("kafka.invalid:9092", topic),
        CONNECT,
        "sink",
        &["resolve 'kafka.invalid:9092'", "check"],
    );
}

#[test]
fn topics_that_are_not_there() {
    let (_cluster, brokers) = kafka();
    fine(
        &from_kafka(&brokers, "topics = \"raw\""),
        CONNECT,
        &["1 broker; raw (3 partitions); the group has 0"],
    );
    let source = from_kafka(&brokers, "topics = [\"raw\", \"rwa\"]");
    wrong(&source, CONNECT, "source", &["Unknown topic", "create the topic raw, rwa"]);
    wrong(
        &to_kafka(&brokers, "topic = \"rwa\""),
        CONNECT,
        "sink",
        &["Unknown topic", "create the topic rwa"],
    );
    let letters = format!("[dead_letters]\ntype = \"kafka\"\nbrokers = \"{brokers}\"\ntopic = \"dead\"\n");
    let config = from_kafka(&brokers, "topics = \"raw\"") + &letters;
    wrong(&config, CONNECT, "dead letters", &["Unknown topic", "create the topic dead"]);
}

/// The listener of a real broker that a variable names; says whether there is one.
fn live(variable: &str) -> Option<String> {
    let brokers = std::env::var(variable).ok().filter(|brokers| !brokers.is_empty());
    match &brokers {
        Some(brokers) => eprintln!("live: {variable}={brokers}"),
        None => eprintln!("skipped: {variable} is not set"),
    }
    brokers
}

#[test]
fn a_broker_that_does_not_take_us_for_somebody() {
    let Some(brokers) = live("KAFKA_SASL_BROKERS") else { return };
    let source = |mechanism: &str, user: &str, password: &str| {
        let keys = format!(
            "topics = \"no-such-topic\"\nsasl_mechanism = \"{mechanism}\"\nsasl_username = \"{user}\"\nsasl_password = \"{password}\""
        );
        from_kafka(&brokers, &keys)
    };
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        wrong(
            &source(mechanism, "ecs", "hunter2"),
            CONNECT,
            "source",
            &[&brokers, "uthentication failed", "check sasl_mechanism, sasl_username and sasl_password"],
        );
    }
    wrong(&source("PLAIN", "nobody", "ecs-secret"), CONNECT, "source", &["authorization failed", "(ACL)"]);
    wrong(&source("PLAIN", "ecs", "ecs-secret"), CONNECT, "source", &["create the topic no-such-topic"]);
    let without = from_kafka(&brokers, "topics = \"raw\"");
    wrong(&without, CONNECT, "source", &["`tls` and `sasl_username` fit the listener"]);
}

#[test]
fn a_broker_with_other_tls() {
    let Some(brokers) = live("KAFKA_TLS_BROKERS") else { return };
    let source = |keys: &str| from_kafka(&brokers, &format!("topics = \"raw\"\n{keys}"));
    wrong(&source("tls = true"), CONNECT, "source", &["certificate verify failed", "check ca_file"]);
    wrong(&source("ca_file = \"text\""), CONNECT, "source", &["no certificate", "check `ca_file`"]);
    wrong(&source(""), CONNECT, "source", &["`tls` and `sasl_username` fit the listener"]);
    if let Some(plain) = live("KAFKA_BROKERS") {
        let config = from_kafka(&plain, "topics = \"raw\"\ntls = true");
        wrong(
            &config,
            CONNECT,
            "source",
            &["connecting to a PLAINTEXT broker listener", "port is the one for TLS"],
        );
    }
}
