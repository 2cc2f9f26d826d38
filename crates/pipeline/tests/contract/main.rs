//! Every source and every sink there is, held to the contract: the one place that lists them.
//!
//! A module is one of them under one configuration, and in it is one test for each rule of `src/contract.rs`. In-process
//! fakes serve where a server is needed, some with faults in between; the same lists run against real servers where
//! `KAFKA_BROKERS`, `ELASTICSEARCH_URL` and `OPENSEARCH_URL` name them, and each such test says whether it was live.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test may panic, and says what it does"
)]

#[path = "../../src/contract.rs"]
pub mod contract;

mod elasticsearch;
#[path = "../../../output/tests/support/fake_elasticsearch.rs"]
mod fake_elasticsearch;
mod files;
mod kafka;

use std::sync::atomic::{AtomicU64, Ordering};

/// A name nobody has used.
fn unique(what: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros();
    format!("{what}{time}x{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// The value of a variable that names a server; says whether there is one.
fn live(variable: &str) -> Option<String> {
    let value = std::env::var(variable).ok().filter(|value| !value.is_empty());
    match &value {
        Some(value) => println!("live: {variable}={value}"),
        None => println!("skipped: {variable} is not set"),
    }
    value
}

mod source {
    mod file {
        crate::source_contract!(crate::files::source());
    }
    mod kafka_mock {
        crate::source_contract!(crate::kafka::mock_source(&[]));
    }
    mod kafka_mock_with_faults {
        crate::source_contract!(crate::kafka::mock_source(crate::kafka::SOURCE_FAULTS));
    }
    mod kafka_live {
        crate::source_contract!(crate::kafka::live_source());
    }
}

mod sink {
    /// One module for each fsync policy of a compression.
    macro_rules! ndjson {
        ($($name:ident: $compression:ident $fsync:ident,)+) => {$(
            mod $name {
                use output::ndjson::{Compression, Fsync};
                crate::sink_contract!(crate::files::sink(Compression::$compression, Fsync::$fsync));
            }
        )+};
    }
    ndjson! {
        ndjson_fsync_always: None Always,
        ndjson_fsync_interval: None Interval,
        ndjson_fsync_never: None Never,
        ndjson_gzip_fsync_always: Gzip Always,
        ndjson_gzip_fsync_interval: Gzip Interval,
        ndjson_gzip_fsync_never: Gzip Never,
        ndjson_zstd_fsync_always: Zstd Always,
        ndjson_zstd_fsync_interval: Zstd Interval,
        ndjson_zstd_fsync_never: Zstd Never,
    }
    mod kafka_mock {
        crate::sink_contract!(crate::kafka::mock_sink(&[]));
    }
    mod kafka_mock_with_faults {
        crate::sink_contract!(crate::kafka::mock_sink(crate::kafka::SINK_FAULTS));
    }
    mod kafka_live {
        crate::sink_contract!(crate::kafka::live_sink());
    }
    mod elasticsearch_fake {
        crate::sink_contract!(crate::elasticsearch::fake(false, false));
    }
    mod elasticsearch_fake_with_faults {
        crate::sink_contract!(crate::elasticsearch::fake(false, true));
    }
    mod opensearch_fake_with_faults {
        crate::sink_contract!(crate::elasticsearch::fake(true, true));
    }
    mod elasticsearch_live {
        crate::sink_contract!(crate::elasticsearch::live("ELASTICSEARCH_URL"));
    }
    mod opensearch_live {
        crate::sink_contract!(crate::elasticsearch::live("OPENSEARCH_URL"));
    }
}
