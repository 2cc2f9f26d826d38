//! Delivery: the only code that retries, counts and commits.
//!
//! [`run`] takes a source, a sink, dead letters and a mapping, and delivers until it is told to stop. It owns the promise:
//! every record ends exactly one way, delivered or dead-lettered, and a position is committed only when every record at or
//! before it has ended. Must not know which source or sink it has, nor what a document says.
//!
//! The way of a batch: `intake` reads it and waits for memory (`budget`); `workers` map it (`mapping`); `delivery` packs its
//! documents into requests and decides when each is sent, `letters` does the same for what cannot be delivered; when the
//! last of its records has ended, the `ledger` lets its lane move and the `engine` has it committed. All that is decided
//! is decided by parts that do no IO.

mod budget;
mod config;
mod dead;
mod delivery;
mod engine;
mod gathering;
mod intake;
mod ledger;
mod letters;
mod limit;
mod mapping;
mod packer;
mod retry;
mod run;
mod spans;
mod status;
mod stop;
mod transactional;
mod workers;

pub use config::{DeliveryConfig, InvalidDelivery, Options};
pub use dead::{DeadLetters, Letter};
pub use mapping::{DecodeOptions, Decoder, Format, KeyBy, Parcel};
pub use packer::Packing;
pub use retry::Backoff;
pub use run::{Ending, Left, RunError, Stage, Summary, run};
pub use status::{
    Counter, DeadNote, Distribution, Down, Gauge, Glance, Health, Histogram, LastHour, Mappers, Names,
    OTHER_NAMES, Recent, Status, Totals,
};
pub use stop::{Stop, StopHandle, stop};
pub use transactional::{Transaction, TransactionalSink, TransactionalSource, run_transactional};

#[cfg(test)]
pub mod contract;
#[cfg(test)]
mod contract_of_fakes;
#[cfg(test)]
mod scenarios;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod testing;
