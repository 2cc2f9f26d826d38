//! What is offered to whoever is asked by `https://`: TLS 1.2 and 1.3, and nothing older.
//!
//! Nobody answers here. The first message of a handshake is not encrypted, and says which versions the client speaks.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test ends where something is not as it should be"
)]

mod common;

use std::collections::BTreeSet;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::thread::{self, JoinHandle};

use common::program;

const TLS_1_2: u16 = 0x0303;
const TLS_1_3: u16 = 0x0304;
/// The extension that has the versions.
const SUPPORTED_VERSIONS: u16 = 43;

/// Takes one connection, and gives the versions that its first message offers.
struct Listener {
    address: String,
    offered: JoinHandle<BTreeSet<u16>>,
}

impl Listener {
    fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("https://{}", listener.local_addr().unwrap());
        Self { address, offered: thread::spawn(move || offered(listener.accept().unwrap().0)) }
    }
}

/// Reads a ClientHello (RFC 8446, 4.1.2), field by field.
struct Hello(Vec<u8>, usize);

impl Hello {
    /// A number of so many bytes.
    fn number(&mut self, bytes: usize) -> usize {
        let number = self.0[self.1..self.1 + bytes].iter().fold(0, |all, byte| all << 8 | usize::from(*byte));
        self.1 += bytes;
        number
    }

    /// Passes over a field that has its length before it, in so many bytes.
    fn skip(&mut self, bytes: usize) {
        let length = self.number(bytes);
        self.1 += length;
    }
}

fn offered(mut stream: TcpStream) -> BTreeSet<u16> {
    let mut head = [0; 5];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(head[0], 22, "this is no handshake");
    let mut record = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
    stream.read_exact(&mut record).unwrap();
    let mut hello = Hello(record, 0);
    assert_eq!(hello.number(1), 1, "this is no ClientHello");
    hello.number(3);
    let legacy = hello.number(2) as u16;
    hello.1 += 32;
    // Session, cipher suites, compression.
    for bytes in [1, 2, 1] {
        hello.skip(bytes);
    }
    let end = hello.number(2) + hello.1;
    while hello.1 < end {
        if hello.number(2) as u16 != SUPPORTED_VERSIONS {
            hello.skip(2);
            continue;
        }
        hello.number(2);
        let versions = hello.number(1) / 2;
        return (0..versions).map(|_| hello.number(2) as u16).collect();
    }
    // Before TLS 1.3 a client named the newest only, and took any older.
    [legacy, 0].into()
}

#[test]
fn brokers_are_offered_nothing_older_either() {
    let broker = Listener::open();
    let config = format!(
        "[source]\ntype = \"kafka\"\nbrokers = [\"{}\"]\ntopics = [\"t\"]\ntls = true\n\
         [sink]\ntype = \"ndjson\"\npath = \"out.ndjson\"\n[telemetry]\nlisten = \"off\"\n",
        broker.address.trim_start_matches("https://")
    );
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("c.toml"), config).unwrap();
    let mut stage = program(&["run", "--config", "c.toml"])
        .current_dir(&folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let offered = broker.offered.join().unwrap();
    // It would try for ever.
    stage.kill().unwrap();
    stage.wait().unwrap();
    assert_eq!(offered, [TLS_1_2, TLS_1_3].into());
}

#[test]
fn nothing_older_than_tls_1_2_is_offered_to_anybody() {
    let [api, cluster, collector, stage] = [(); 4].map(|()| Listener::open());
    let config = format!(
        "[source]\ntype = \"compliance_api\"\nbase_url = \"{}\"\napi_key = \"sk-ant-api01-x\"\n\
         [sink]\ntype = \"elasticsearch\"\nurl = \"{}\"\napi_key = \"x\"\n\
         [telemetry]\nlisten = \"off\"\n[telemetry.otlp]\nendpoint = \"{}\"\n",
        api.address, cluster.address, collector.address
    );
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("c.toml"), config).unwrap();
    let run = |args: &[&str]| {
        let output = program(args).current_dir(&folder).env("NO_PROXY", "127.0.0.1").output().unwrap();
        assert!(!output.status.success(), "nobody has answered: {args:?}");
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    let said =
        run(&["check", "--connect", "--config", "c.toml"]) + &run(&["status", "--url", &stage.address]);
    for (name, listener) in [("API", api), ("cluster", cluster), ("collector", collector), ("stage", stage)] {
        // Whoever was not asked waits still, and takes this for it.
        drop(TcpStream::connect(listener.address.trim_start_matches("https://")));
        let offered = listener.offered.join().unwrap_or_else(|_| panic!("the {name} was not asked: {said}"));
        assert_eq!(offered, [TLS_1_2, TLS_1_3].into(), "{name}");
    }
}
