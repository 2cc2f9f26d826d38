//! The fakes keep the same promises as the real ones: both pass the contract.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::contract::{SinkBench, SourceBench, document};
use crate::testing::{Chaos, FakeSink, FakeSource, World, good};

struct Fakes(World);

async fn fakes() -> Option<Fakes> {
    Some(Fakes(World::new(
        5,
        vec![good("a", 40), good("b", 25), Vec::new()],
        Chaos { batch: 4, ..Chaos::default() },
    )))
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

    fn tells_duplicates(&self) -> bool {
        true
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

mod sink {
    crate::sink_contract!(super::fakes());
}

mod source {
    crate::source_contract!(super::fakes());
}
