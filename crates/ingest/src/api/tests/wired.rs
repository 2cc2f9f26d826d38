//! The source with its wires and its disk, against the simulator's server on a loopback port.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use simulator::api::{Control, Fault as Ordered, FaultKind as Kind, KeyState, Pace, Server};
use tokio::time::timeout;

use super::super::attestation;
use super::super::source::{Clock, ComplianceApiSource, NAME, files, probe};
use super::super::watch::Doing;
use super::*;
use crate::checkpoint::Checkpoint;
use crate::source::{Batch, Source};

/// Longer than any of these tests may take.
const PATIENCE: Duration = Duration::from_secs(30);

struct Wired {
    server: Server,
    control: Arc<Control>,
    folder: tempfile::TempDir,
    key: String,
}

impl Wired {
    async fn new(seed: u64, rows: i64) -> Self {
        let mut settings = silent(seed);
        settings.gzip = true;
        let mut simulation = Simulation::new(settings);
        let start = simulation.start();
        for at in 0..rows {
            simulation.add("claude_chat_created", start - 10 * MINUTE - at * SECOND, start - 9 * MINUTE);
        }
        let key = simulation.key("activities").to_owned();
        let server = Server::start(simulation, ([127, 0, 0, 1], 0).into(), Pace::Stepped(0)).await.unwrap();
        let control = Arc::new(server.control().clone());
        Self { server, control, folder: tempfile::tempdir().unwrap(), key }
    }

    fn settings(&self, extra: serde_json::Value) -> Settings {
        let mut all = serde_json::json!({
            "api_key": self.key, "base_url": self.server.url(), "initial_lookback": "1h", "reconcile": [],
        });
        all.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        serde_json::from_value::<ComplianceApiConfig>(all).unwrap().validate().unwrap()
    }

    fn open(&self, settings: &Settings) -> Result<ComplianceApiSource, Fault> {
        let control = Arc::clone(&self.control);
        let clock = Clock::new(move || Micros(control.now()));
        ComplianceApiSource::with_clock(settings, self.folder.path(), clock, Rng::with_seed(1))
    }

    fn until(&self) -> serde_json::Value {
        let until = Micros(self.control.now() - 5 * MINUTE).to_string();
        serde_json::json!({"until": until, "page_size": 40})
    }
}

/// Everything until the source ends.
async fn drain(source: &mut ComplianceApiSource) -> Vec<Batch> {
    let mut batches = Vec::new();
    while let Some(batch) = timeout(PATIENCE, source.next()).await.unwrap().unwrap() {
        batches.push(batch);
    }
    batches
}

#[tokio::test]
async fn rows_come_over_the_wire_and_a_restart_goes_on_where_it_was() {
    let wired = Wired::new(1, 100).await;
    let settings = wired.settings(wired.until());
    let mut source = wired.open(&settings).unwrap();
    let mut first = Vec::new();
    for _ in 0..2 {
        first.push(timeout(PATIENCE, source.next()).await.unwrap().unwrap().unwrap());
    }
    // Only the first page has ended when the process does.
    source.commit(&[first[0].mark]).await.unwrap();
    assert_eq!(wired.open(&settings).err().unwrap().kind, FaultKind::Taken, "two processes on one state");
    source.close().await;
    let mut source = wired.open(&settings).unwrap();
    let rest = drain(&mut source).await;
    let ids = |batches: &[Batch]| -> Vec<Bytes> {
        batches.iter().flat_map(|batch| batch.records.iter().map(|record| record.bytes.clone())).collect()
    };
    assert_eq!(
        ids(&first[..1]).len() + ids(&rest).len(),
        100,
        "the second page comes again, the first does not"
    );
    source.commit(&[rest.last().unwrap().mark]).await.unwrap();
    source.close().await;
    let lines = attestation::read(&wired.folder.path().join("attestations.ndjson")).unwrap();
    assert_eq!((lines.len(), lines[0].records, lines[0].new, lines[0].pages), (1, 100, 100, 3));
    // Nothing is left to do.
    let mut source = wired.open(&settings).unwrap();
    assert!(drain(&mut source).await.is_empty());
    drop(source);
    for path in files(wired.folder.path()) {
        let bytes = std::fs::read(path).unwrap();
        assert!(memchr::memmem::find(&bytes, wired.key.as_bytes()).is_none(), "the key is kept nowhere");
    }
    let made: Vec<_> = std::fs::read_dir(wired.folder.path()).unwrap().map(Result::unwrap).collect();
    assert!(made.len() >= 4, "{made:?}");
    for entry in made {
        assert_eq!(entry.metadata().unwrap().mode() & 0o7777, 0o600, "{}", entry.path().display());
    }
}

#[tokio::test]
async fn a_link_in_place_of_the_ids_or_the_attestations_is_refused() {
    let wired = Wired::new(8, 1).await;
    let settings = wired.settings(wired.until());
    let nowhere = wired.folder.path().join("nowhere");
    for name in ["compliance_api.ids", "attestations.ndjson"] {
        let link = wired.folder.path().join(name);
        std::os::unix::fs::symlink(&nowhere, &link).unwrap();
        let fault = wired.open(&settings).err().unwrap();
        assert_eq!(fault.kind, FaultKind::Unusable, "{fault}");
        assert!(fault.cause.contains(name) && fault.cause.contains("symbolic link"), "{fault}");
        std::fs::remove_file(link).unwrap();
        assert!(!nowhere.exists(), "{name}");
    }
}

#[tokio::test]
async fn a_key_that_is_replaced_in_its_file_is_taken() {
    let wired = Wired::new(2, 10).await;
    let path = wired.folder.path().join("key");
    std::fs::write(&path, format!("{}\n", wired.key)).unwrap();
    wired.control.with(|simulation, _| simulation.set_key("activities", KeyState::Revoked));
    let mut extra = wired.until();
    extra["api_key"] = serde_json::Value::Null;
    extra["api_key_file"] = path.to_str().unwrap().into();
    let mut source = wired.open(&wired.settings(extra)).unwrap();
    let fault = timeout(PATIENCE, source.next()).await.unwrap().unwrap_err();
    assert_eq!(fault.kind, FaultKind::Unauthenticated, "{fault}");
    assert!(fault.retry_after.unwrap() >= Duration::from_secs(60), "probed slowly");
    assert!(!fault.to_string().contains(&wired.key));
    let other = wired.control.with(|simulation, _| simulation.key("full").to_owned());
    std::fs::write(&path, other).unwrap();
    // The minute passes at once; nothing is under way over the wire meanwhile.
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(61)).await;
    tokio::time::resume();
    let batches = drain(&mut source).await;
    assert_eq!(batches.iter().map(|batch| batch.records.len()).sum::<usize>(), 10);
}

#[tokio::test]
async fn a_wait_that_was_asked_for_outlives_the_source() {
    for (kind, status) in [(Kind::RateLimited, 429), (Kind::Status, 503)] {
        let wired = Wired::new(6, 10).await;
        let ordered = Ordered { retry_after: Some(600), status: Some(status), ..Ordered::new(kind) };
        wired.control.with(|simulation, _| simulation.order(ordered)).unwrap();
        let settings = wired.settings(wired.until());
        let mut source = wired.open(&settings).unwrap();
        let fault = timeout(PATIENCE, source.next()).await.unwrap().unwrap_err();
        assert!(fault.retry_after.unwrap() >= Duration::from_secs(600), "{fault}");
        let watch = source.watch();
        assert_eq!(watch.held_until.get(), Some(Micros(wired.control.now() + 600 * SECOND)));
        assert_eq!(watch.trouble().unwrap().fault.cause, fault.cause);
        drop(source);
        let mut source = wired.open(&settings).unwrap();
        // Ten minutes pass at once, and nothing is asked in them.
        tokio::time::pause();
        assert!(timeout(Duration::from_secs(599), source.next()).await.is_err());
        assert_eq!(source.watch().doing(), Doing::Held);
        assert_eq!(wired.control.with(|simulation, _| simulation.seen().len()), 1, "asked again at once");
        tokio::time::advance(Duration::from_secs(2)).await;
        tokio::time::resume();
        let batches = drain(&mut source).await;
        assert_eq!(batches.iter().map(|batch| batch.records.len()).sum::<usize>(), 10);
        assert_eq!(source.watch().doing(), Doing::Done);
    }
}

#[tokio::test]
async fn what_stands_in_the_way_is_said() {
    let wired = Wired::new(3, 1).await;
    let words = probe(&wired.settings(serde_json::json!({}))).await.unwrap();
    assert!(words.contains("lets us read activities"), "{words}");
    let nobody = wired.settings(serde_json::json!({"api_key": "sk-ant-api01-nobody"}));
    assert_eq!(probe(&nobody).await.unwrap_err().kind, FaultKind::Unauthenticated);
    let gone = wired.settings(serde_json::json!({"base_url": "http://127.0.0.1:1"}));
    let fault = probe(&gone).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Unreachable, "{fault}");
    assert!(!fault.to_string().contains("created_at"), "no address in it: {fault}");
}

#[tokio::test]
async fn other_filters_and_spoilt_state_stop_the_start() {
    let wired = Wired::new(4, 5).await;
    let settings = wired.settings(wired.until());
    let mut source = wired.open(&settings).unwrap();
    let batches = drain(&mut source).await;
    source.commit(&[batches.last().unwrap().mark]).await.unwrap();
    source.close().await;
    let mut extra = wired.until();
    extra["exclude_activity_types"] = serde_json::json!(["x"]);
    let fault = wired.open(&wired.settings(extra)).err().unwrap();
    assert!(fault.kind.is_final() && fault.cause.contains("other filters"), "{fault}");
    let path = files(wired.folder.path())[0].clone();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let fault = wired.open(&settings).err().unwrap();
    assert_eq!(fault.kind, FaultKind::Unusable, "{fault}");
    assert!(Checkpoint::open(Path::new(wired.folder.path()), NAME).is_ok(), "the lock is free again");
}

#[tokio::test]
async fn giving_up_a_wait_loses_nothing() {
    let wired = Wired::new(5, 500).await;
    let settings = wired.settings(wired.until());
    let mut source = wired.open(&settings).unwrap();
    let mut records = 0;
    loop {
        // As a pipeline that has something else to do does it, all the time.
        match timeout(Duration::from_micros(300), source.next()).await {
            Err(_) => {}
            Ok(Ok(Some(batch))) => records += batch.records.len(),
            Ok(Ok(None)) => break,
            Ok(Err(fault)) => panic!("{fault}"),
        }
    }
    assert_eq!(records, 500);
}
