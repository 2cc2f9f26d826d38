//! The fakes keep the same promises as the real ones: both pass the contract.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::contract::{SinkBench, SourceBench, document};
use crate::testing::{Chaos, FakeSink, FakeSource, World, good};

struct Fakes(World);

async fn fakes(chaos: Chaos) -> Option<Fakes> {
    let chaos = Chaos { batch: 4, ..chaos };
    Some(Fakes(World::new(5, vec![good("a", 40), good("b", 25), Vec::new()], chaos)))
}

async fn calm() -> Option<Fakes> {
    fakes(Chaos::default()).await
}

/// With everything going wrong that may.
async fn faulty() -> Option<Fakes> {
    let slowest = Duration::from_millis(1);
    let (source_fault, commit_fault, pause) = (20, 30, 40);
    let (request_fault, item_retry) = (20, 20);
    fakes(Chaos { source_fault, commit_fault, pause, request_fault, item_retry, slowest, ..Chaos::default() })
        .await
}

impl SinkBench for Fakes {
    type Sink = FakeSink;

    async fn open(&self) -> FakeSink {
        FakeSink(self.0.clone())
    }

    async fn stored(&self, prefix: &str) -> Vec<String> {
        self.0.lock().order.iter().filter(|id| id.starts_with(prefix)).cloned().collect()
    }

    fn stores_once(&self) -> bool {
        true
    }

    /// With faults, a document may be there because an earlier attempt put it there.
    fn tells_duplicates(&self) -> bool {
        self.0.lock().chaos.request_fault == 0
    }

    fn unique(&self) -> String {
        static RUN: AtomicU64 = AtomicU64::new(0);
        format!("run{}", RUN.fetch_add(1, Ordering::Relaxed))
    }

    fn refused(&self, id: &str) -> Option<String> {
        Some(document(id) + "refuse me")
    }
}

impl SourceBench for Fakes {
    type Source = FakeSource;

    async fn open(&self) -> FakeSource {
        FakeSource::open(&self.0)
    }

    fn records(&self) -> Vec<Vec<Vec<u8>>> {
        let inner = self.0.lock();
        let lane = |partition: &crate::testing::Partition| {
            partition.messages.iter().map(|message| message.bytes.to_vec()).collect()
        };
        inner.partitions.iter().map(lane).collect()
    }
}

mod calm_sink {
    crate::sink_contract!(super::calm());
}

mod calm_source {
    crate::source_contract!(super::calm());
}

mod faulty_sink {
    crate::sink_contract!(super::faulty());
}

mod faulty_source {
    crate::source_contract!(super::faulty());
}
