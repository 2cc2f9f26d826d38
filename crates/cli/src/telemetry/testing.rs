//! Stages that do not run, with numbers, for tests of what is shown of them.

use std::path::PathBuf;
use std::sync::{Arc, LazyLock, OnceLock};

use chrono::Utc;
use mapper::enrich::GeoDatabases;
use mapper::{MapperOptions, Mapping};
use model::fault::{Fault, FaultKind};
use model::tables::Tables;
use pipeline::Status;

use super::facts::Facts;
use super::history::History;

/// A type that would like to be more than a label.
pub(super) const HOSTILE: &str = "a\"} 1\nanthropic_ecs_ready 9 # \\";

/// A stage that has just begun.
pub(super) fn idle() -> Facts {
    let data = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data"));
    let geo = GeoDatabases::open(&[data.join("test-city.mmdb"), data.join("test-asn.mmdb")]).unwrap();
    Facts {
        status: Arc::default(),
        mapping: Arc::new(Mapping::new(Tables::builtin(), geo, MapperOptions::default())),
        api: OnceLock::new(),
        kafka: OnceLock::new(),
        otlp: OnceLock::new(),
        source: "compliance_api",
        sink: "elasticsearch",
        catalog: LazyLock::new(super::facts::edition as fn() -> String),
        stop: pipeline::stop().1,
        started: Utc::now(),
        history: History::default(),
    }
}

/// A stage at work, whose sink is away.
pub(super) fn busy() -> Facts {
    let facts = idle();
    let status: &Status = &facts.status;
    facts.api.set(Arc::default()).unwrap();
    facts.otlp.set(Arc::default()).unwrap();
    let now = u64::try_from(Utc::now().timestamp_millis()).unwrap();
    status.read.add(100);
    status.read_bytes.add(58_600);
    status.mapped.add(98);
    status.delivered.add(70);
    status.duplicates.add(20);
    status.retried.add(8);
    status.dead.add("not_json", 2);
    status.unknown_types.add(HOSTILE, 3);
    status.unknown_fields.add("actor.new", 4);
    status.bytes_in_flight.set(4_096);
    status.open_batches.set(1);
    status.requests.add(2);
    status.requests_in_flight.set(1);
    status.request_limit.set(4);
    for (documents, millis) in [(100, 40), (20_000, 70)] {
        status.request_documents.add(documents);
        status.request_bytes.add(documents * 1_200);
        status.request_millis.add(millis);
    }
    status.newest_record.set(now - 90_000);
    status.last_commit.set(now - 30_000);
    status.sink.failed(&Fault::new(FaultKind::Unreachable, "https://es:9200: no answer", "start it"));
    facts
}
