//! What an address and a client string say beyond themselves: geography and network out of
//! MaxMind-format databases ([`GeoDatabases`]), client and system out of a user agent
//! ([`UserAgent`]).
//!
//! Owns the two look-ups and their typed results. Must not know activities, ECS field names, JSON
//! or caches: the map function decides where a value goes and what is worth remembering. The only
//! IO is [`GeoDatabases::open`], at start; no look-up touches a file, and none can fail for a
//! reason outside its arguments and the bytes read then.
//!
//! The subtle thing: "nothing known" and "could not be read" are different answers. A look-up
//! that finds nothing is `None`; one that meets damaged data says so, so that it can be counted.

mod database;
pub mod geo;
mod layout;
mod os;
mod record;
mod special;
mod tokens;
pub mod user_agent;
mod user_agent_table;

pub use database::{Database, DatabaseKind, GeoError};
pub use geo::{BrokenLookup, GeoDatabases, LookupFailure, RecordKey};
pub use maxminddb::MaxMindDbError;
pub use os::{Os, OsType};
pub use record::{AnonymizerFlags, GeoRecord, Location, RegionCode};
pub use special::is_special_purpose;
pub use user_agent::UserAgent;
