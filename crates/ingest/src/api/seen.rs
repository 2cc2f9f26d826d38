//! Which records were delivered lately, so that a re-read gives only what is new.
//!
//! Owns the ids on disk, their expiry and their number. Must not decide what is read again.
//!
//! Kept in redb, and not in a file of our own: a large organization has millions of ids within the five days that are read
//! again, which should be neither in memory nor written anew with each commit; a tree on disk with transactions is what that
//! asks for, and redb is one without dependencies. An id is kept as 16 bytes of its SHA-256. They are found by these bytes,
//! and forgotten by the hour in which their records were made, so there are two tables.
//!
//! The subtle thing: losing this file loses no record; it only makes some be given twice, which the sink's `create` takes
//! for what it is. The reverse, an id in it whose record was not delivered, would be a loss; so ids are written only when
//! their records have ended, and a false match is out of the question with 128 bits.

use std::path::Path;

use model::fault::{Fault, FaultKind};
use redb::{
    Database, Durability, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition, TableError,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use super::time::Micros;

const BY_ID: TableDefinition<'_, [u8; 16], u32> = TableDefinition::new("hour by id");
const BY_HOUR: TableDefinition<'_, (u32, [u8; 16]), ()> = TableDefinition::new("ids by hour");

/// Memory for pages of the tree.
const CACHE: usize = 8 << 20;

/// No more ids than this are kept: about 1 GiB on disk. Beyond, the oldest are forgotten before their time.
const MOST_IDS: u64 = 16 << 20;

/// What stands for a record's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key([u8; 16]);

impl Key {
    /// Of an id.
    pub(super) fn of_id(id: &str) -> Self {
        Self::of(b"id\0", id.as_bytes())
    }

    /// Of a record without an id: the same bytes are the same record.
    pub(super) fn of_bytes(bytes: &[u8]) -> Self {
        Self::of(b"raw\0", bytes)
    }

    fn of(domain: &[u8], bytes: &[u8]) -> Self {
        let digest: [u8; 32] = Sha256::new().chain_update(domain).chain_update(bytes).finalize().into();
        let mut key = [0; 16];
        key.copy_from_slice(digest.split_at(16).0);
        Self(key)
    }

    /// For an attestation.
    pub(super) fn hex(self) -> String {
        crate::checkpoint::hex(&self.0)
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:032x}", u128::from_be_bytes(self.0)))
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let number = u128::from_str_radix(&text, 16);
        number.map(|number| Self(number.to_be_bytes())).map_err(serde::de::Error::custom)
    }
}

/// A record's key and when it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) key: Key,
    pub(super) created: Micros,
}

impl Seen {
    fn hour(&self) -> u32 {
        hour(self.created)
    }
}

fn hour(time: Micros) -> u32 {
    u32::try_from(time.0.max(0) / 3_600_000_000).unwrap_or(u32::MAX)
}

/// Ids on disk.
#[derive(Debug)]
pub(super) struct SeenStore {
    database: Database,
    most: u64,
}

impl SeenStore {
    /// Opens the file, or makes it. Waits for the disk.
    pub(super) fn open(path: &Path) -> Result<Self, Fault> {
        let file = disk::update(path).map_err(|error| disk::fault(path, "opening", &error))?;
        let opened = Database::builder().set_cache_size(CACHE).create_file(file);
        let database = opened.map_err(|error| {
            Fault::new(
                FaultKind::Unusable,
                format!("the ids of delivered records in {} cannot be used: {error}", path.display()),
                "put back a good copy of it; or remove it: records of the last days may then be delivered again",
            )
        })?;
        Self::new(database)
    }

    /// In memory, for tests.
    #[cfg(test)]
    pub(super) fn in_memory() -> Self {
        let backend = redb::backends::InMemoryBackend::new();
        Self::new(Database::builder().create_with_backend(backend).unwrap()).unwrap()
    }

    fn new(database: Database) -> Result<Self, Fault> {
        Ok(Self { database, most: MOST_IDS })
    }

    /// Whether a record was delivered. Reads from memory as a rule, from the disk at worst.
    pub(super) fn reader(&self) -> Result<Lookup, Fault> {
        let transaction = self.database.begin_read().map_err(storage)?;
        match transaction.open_table(BY_ID) {
            Ok(table) => Ok(Lookup(Some(table))),
            Err(TableError::TableDoesNotExist(_)) => Ok(Lookup(None)),
            Err(error) => Err(storage(error)),
        }
    }

    /// Adds ids, forgets those of records made before `forget`, and returns when that is on the disk.
    pub(super) fn add(&self, seen: &[Seen], forget: Micros) -> Result<(), Fault> {
        let mut transaction = self.database.begin_write().map_err(storage)?;
        transaction.set_durability(Durability::Immediate).map_err(storage)?;
        {
            let mut by_id = transaction.open_table(BY_ID).map_err(storage)?;
            let mut by_hour = transaction.open_table(BY_HOUR).map_err(storage)?;
            for one in seen.iter().filter(|one| one.created >= forget) {
                let before = by_id.insert(one.key.0, one.hour()).map_err(storage)?.map(|hour| hour.value());
                if let Some(before) = before.filter(|before| *before != one.hour()) {
                    by_hour.remove((before, one.key.0)).map_err(storage)?;
                }
                by_hour.insert((one.hour(), one.key.0), ()).map_err(storage)?;
            }
            let mut oldest = hour(forget);
            loop {
                while let Some((hour, key)) = first(&by_hour)?.filter(|(hour, _)| *hour < oldest) {
                    by_hour.remove((hour, key)).map_err(storage)?;
                    by_id.remove(key).map_err(storage)?;
                }
                let many = by_id.len().map_err(storage)? > self.most;
                let Some((hour, _)) = first(&by_hour)?.filter(|_| many) else { break };
                tracing::warn!(
                    most = self.most,
                    "too many ids of delivered records; the oldest are forgotten, a re-read may deliver their records again"
                );
                oldest = hour + 1;
            }
        }
        transaction.commit().map_err(storage)
    }

    /// How many ids there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> u64 {
        self.reader().unwrap().0.map_or(0, |table| table.len().unwrap())
    }
}

fn first(by_hour: &impl ReadableTable<(u32, [u8; 16]), ()>) -> Result<Option<(u32, [u8; 16])>, Fault> {
    Ok(by_hour.first().map_err(storage)?.map(|(key, _)| key.value()))
}

/// The ids as they were at one moment.
pub(super) struct Lookup(Option<redb::ReadOnlyTable<[u8; 16], u32>>);

impl Lookup {
    /// Whether an id is among them.
    pub(super) fn has(&self, key: Key) -> Result<bool, Fault> {
        match &self.0 {
            Some(table) => Ok(table.get(key.0).map_err(storage)?.is_some()),
            None => Ok(false),
        }
    }
}

fn storage(error: impl Into<redb::Error>) -> Fault {
    let error = error.into();
    Fault::new(
        FaultKind::Storage,
        format!("the ids of delivered records: {error}"),
        "look at the disk of `state.path`",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000_000;

    fn seen(id: u64, hour: i64) -> Seen {
        Seen { key: Key::of_id(&id.to_string()), created: Micros(hour * HOUR + 5) }
    }

    #[test]
    fn ids_survive_and_are_forgotten_by_the_hour() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("ids");
        {
            let store = SeenStore::open(&path).unwrap();
            assert!(!store.reader().unwrap().has(seen(1, 0).key).unwrap());
            store.add(&[seen(1, 10), seen(2, 11), seen(3, 12), seen(4, 1)], Micros(9 * HOUR)).unwrap();
            assert_eq!(store.len(), 3);
        }
        let store = SeenStore::open(&path).unwrap();
        store.add(&[seen(2, 11)], Micros(11 * HOUR)).unwrap();
        let lookup = store.reader().unwrap();
        let has: Vec<bool> = (1..=4).map(|id| lookup.has(seen(id, 0).key).unwrap()).collect();
        assert_eq!(has, [false, true, true, false]);
    }

    #[test]
    fn there_are_never_more_than_so_many() {
        let mut store = SeenStore::in_memory();
        store.most = 100;
        for round in 0..20 {
            let some: Vec<Seen> = (0..30).map(|id| seen(round * 30 + id, round as i64)).collect();
            store.add(&some, Micros(0)).unwrap();
            assert!(store.len() <= 100);
            assert!(store.reader().unwrap().has(some[0].key).unwrap());
        }
    }

    #[test]
    fn a_spoilt_file_stops_the_start_with_a_choice() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("ids");
        std::fs::write(&path, "this is none of ours, but long enough to be looked at".repeat(200)).unwrap();
        let fault = SeenStore::open(&path).unwrap_err();
        assert_eq!(fault.kind, FaultKind::Unusable);
        assert!(fault.remedy.contains("remove it"), "{fault}");
    }
}
