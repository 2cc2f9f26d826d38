//! What can be chosen about delivery as such, whatever the source and the sink are.

use std::num::NonZero;
use std::thread::available_parallelism;
use std::time::Duration;

use model::settings::{ByteSize, Period};
use schemars::JsonSchema;
use serde::Deserialize;
use thiserror::Error;

use crate::mapping::DecodeOptions;
use crate::packer::Packing;
use crate::retry::Backoff;

/// More threads than this make more documents than any one sink takes; each costs the memory of its caches, some 5 MiB.
const MOST_THREADS: usize = 8;

/// The least memory that lets work overlap at all.
const LEAST_IN_FLIGHT: u64 = 1 << 20;

/// The table `[delivery]`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeliveryConfig {
    /// The most memory that records under way may take, raw and mapped together. What is beyond it waits at the source, so
    /// that a sink may be away for days.
    #[serde(default = "default_max_in_flight_bytes")]
    pub max_in_flight_bytes: ByteSize,
    /// How long a stage that was told to stop goes on delivering what it has read. What is left comes again on the next
    /// start.
    #[serde(default = "default_drain_timeout")]
    pub drain_timeout: Period,
    /// How often positions are committed at most.
    #[serde(default = "default_commit_interval")]
    pub commit_interval: Period,
    /// How many threads map records; by default one for each core, and 8 at the most.
    #[serde(default)]
    pub threads: Option<usize>,
}

fn default_max_in_flight_bytes() -> ByteSize {
    ByteSize(24 << 20)
}

fn default_drain_timeout() -> Period {
    Period(Duration::from_secs(20))
}

fn default_commit_interval() -> Period {
    Period(Duration::from_millis(500))
}

impl Default for DeliveryConfig {
    fn default() -> Self {
        Self {
            max_in_flight_bytes: default_max_in_flight_bytes(),
            drain_timeout: default_drain_timeout(),
            commit_interval: default_commit_interval(),
            threads: None,
        }
    }
}

/// A value that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidDelivery {
    /// Too little memory to work with.
    #[error("delivery.max_in_flight_bytes: {got} is less than the least that works, {least}")]
    TooLittleMemory {
        /// What was given.
        got: ByteSize,
        /// The least.
        least: ByteSize,
    },
    /// No thread, or too many.
    #[error("delivery.threads: {0} is not between 1 and {MOST_THREADS}")]
    Threads(usize),
    /// No time between two commits, or hours.
    #[error("delivery.commit_interval: {0} is not between 10ms and 1m")]
    CommitInterval(Period),
    /// A request without room for a document.
    #[error("the sink's largest request has room for no document")]
    EmptyRequests,
}

/// How a run behaves.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Bytes of memory for records under way.
    pub max_in_flight_bytes: usize,
    /// How long to go on delivering after a stop.
    pub drain_timeout: Duration,
    /// The least time between two commits.
    pub commit_interval: Duration,
    /// Mapper threads; 0 maps in the loop itself, which a test uses to be repeatable.
    pub threads: usize,
    /// How large requests are.
    pub packing: Packing,
    /// What documents are.
    pub decode: DecodeOptions,
    /// How long to wait before a try.
    pub backoff: Backoff,
    /// For jitter; `None` for one that differs each time.
    pub seed: Option<u64>,
}

impl Options {
    /// Checks the table, and joins it with what the sink asks for.
    ///
    /// # Errors
    ///
    /// The first value that cannot be used.
    pub fn new(
        config: &DeliveryConfig,
        packing: Packing,
        decode: DecodeOptions,
    ) -> Result<Self, InvalidDelivery> {
        let (got, least) = (config.max_in_flight_bytes, ByteSize(LEAST_IN_FLIGHT));
        if got < least {
            return Err(InvalidDelivery::TooLittleMemory { got, least });
        }
        let threads = config.threads.unwrap_or_else(|| cores().min(MOST_THREADS));
        if !(1..=MOST_THREADS).contains(&threads) {
            return Err(InvalidDelivery::Threads(threads));
        }
        let interval = config.commit_interval;
        if !(Duration::from_millis(10)..=Duration::from_secs(60)).contains(&interval.0) {
            return Err(InvalidDelivery::CommitInterval(interval));
        }
        if packing.bytes == 0 || packing.documents == 0 {
            return Err(InvalidDelivery::EmptyRequests);
        }
        Ok(Self {
            max_in_flight_bytes: usize::try_from(got.0).unwrap_or(usize::MAX),
            drain_timeout: config.drain_timeout.0,
            commit_interval: interval.0,
            threads,
            packing,
            decode,
            backoff: Backoff::default(),
            seed: None,
        })
    }
}

fn cores() -> usize {
    available_parallelism().map_or(1, NonZero::get)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(change: impl FnOnce(&mut DeliveryConfig)) -> Result<Options, InvalidDelivery> {
        let mut config = DeliveryConfig::default();
        change(&mut config);
        let packing = Packing { bytes: 5 << 20, documents: 1_000, linger: Duration::ZERO };
        Options::new(&config, packing, DecodeOptions::default())
    }

    #[test]
    fn defaults_are_valid_and_wrong_values_are_named() {
        let options_made = options(|_| {}).unwrap();
        assert_eq!(options_made.max_in_flight_bytes, 24 << 20);
        assert!((1..=MOST_THREADS).contains(&options_made.threads));
        let wrong = |change: fn(&mut DeliveryConfig)| options(change).unwrap_err().to_string();
        assert!(
            wrong(|config| config.max_in_flight_bytes = ByteSize(7))
                .contains("max_in_flight_bytes: 7B is less")
        );
        assert!(wrong(|config| config.threads = Some(0)).contains("threads: 0"));
        assert!(
            wrong(|config| config.commit_interval = Period(Duration::ZERO)).contains("commit_interval: 0")
        );
    }

    #[test]
    fn the_table_reads_and_refuses_unknown_keys() {
        let read = |text: &str| serde_json::from_str::<DeliveryConfig>(text);
        let config = read(r#"{"max_in_flight_bytes":"64MiB","drain_timeout":"5s","threads":2}"#).unwrap();
        assert_eq!((config.max_in_flight_bytes, config.threads), (ByteSize(64 << 20), Some(2)));
        assert!(read(r#"{"retries":3}"#).is_err());
    }
}
