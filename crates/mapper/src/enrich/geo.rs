//! Address to geography, network and anonymizer flags, over up to four databases.
//!
//! Owns which databases are open and who wins. Must not know ECS field names or caches; after
//! [`GeoDatabases::open`] it does no IO. The subtle thing: one damaged database must neither hide
//! what the others say nor pass as "not found", so a look-up can fail and answer at once.

use std::net::IpAddr;
use std::path::PathBuf;

use maxminddb::MaxMindDbError;
use thiserror::Error;

use super::database::{Database, DatabaseKind, GeoError};
use super::record::GeoRecord;
use super::special::is_special_purpose;

/// The open databases. Look-ups need no lock and can come from any number of threads.
#[derive(Debug, Default)]
pub struct GeoDatabases {
    // In order of precedence.
    databases: Vec<Database>,
}

/// What tells one [`GeoRecord`] from another without reading it; see [`GeoDatabases::key`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RecordKey([Option<usize>; DatabaseKind::COUNT]);

/// A look-up that met damaged data in one database or more.
#[derive(Debug, Error)]
#[error("GeoIP look-up of {address} failed: {}", .failures.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct BrokenLookup<'a> {
    /// The address asked for.
    pub address: IpAddr,
    /// What the sound databases say; to be used all the same.
    pub partial: GeoRecord<'a>,
    /// One entry per database that failed; never empty.
    pub failures: Vec<LookupFailure<'a>>,
}

/// One database's failure.
#[derive(Debug, Error)]
#[error("{} database {}: {source}", .database.kind(), .database.path().display())]
pub struct LookupFailure<'a> {
    /// Where it happened.
    pub database: &'a Database,
    /// What it was.
    pub source: MaxMindDbError,
}

impl GeoDatabases {
    /// Reads every file into memory, tells by its metadata what it is, and checks it.
    ///
    /// # Errors
    ///
    /// The first file that cannot be read, is no database, is damaged, is of a type without use
    /// here, or is a second one of its kind.
    pub fn open(paths: &[PathBuf]) -> Result<Self, GeoError> {
        let mut databases = Self::default();
        for path in paths {
            databases.add(Database::open(path)?)?;
        }
        Ok(databases)
    }

    fn add(&mut self, database: Database) -> Result<(), GeoError> {
        let kind = database.kind();
        if let Some(first) = self.databases.iter().find(|open| open.kind() == kind) {
            let (path, first) = (database.path().into(), first.path().into());
            return Err(GeoError::SecondOfKind { path, first, kind });
        }
        self.databases.push(database);
        self.databases.sort_by_key(|database| precedence(database.kind()));
        Ok(())
    }

    /// Whether no database is open, so that no look-up can find anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.databases.is_empty()
    }

    /// The open databases.
    pub fn databases(&self) -> impl ExactSizeIterator<Item = &Database> {
        self.databases.iter()
    }

    /// Which entries the databases have for an address, without reading them: addresses with the same key have the same
    /// record. `None` if a database is damaged there. `most` as in [`GeoDatabases::lookup_of_network`].
    #[must_use]
    pub fn key(&self, address: IpAddr, most: Option<u8>) -> Option<RecordKey> {
        let address = address.to_canonical();
        let mut key = RecordKey::default();
        if !is_special_purpose(address) {
            for (entry, database) in key.0.iter_mut().zip(&self.databases) {
                *entry = database.entry(address, most).ok()?;
            }
        }
        Some(key)
    }

    /// Everything known about an address. `Ok(None)`: nothing, be it that no database has an entry
    /// or that the address [is never looked up](is_special_purpose). An IPv4-mapped IPv6 address is
    /// looked up as IPv4. A City database wins over a Country one, an ASN one over an Enterprise
    /// one.
    ///
    /// # Errors
    ///
    /// A database turned out to be damaged at this address. What the others say is in
    /// [`BrokenLookup::partial`].
    pub fn lookup(&self, address: IpAddr) -> Result<Option<GeoRecord<'_>>, Box<BrokenLookup<'_>>> {
        self.lookup_of_network(address, None)
    }

    /// The same for an address that stands for a network of `most` bits: what is known of a part of that network alone is not said,
    /// since the address need not lie in that part.
    ///
    /// # Errors
    ///
    /// As for [`GeoDatabases::lookup`].
    pub fn lookup_of_network(
        &self,
        address: IpAddr,
        most: Option<u8>,
    ) -> Result<Option<GeoRecord<'_>>, Box<BrokenLookup<'_>>> {
        let address = address.to_canonical();
        if is_special_purpose(address) {
            return Ok(None);
        }
        let mut record = GeoRecord::default();
        let mut failures = Vec::new();
        for database in &self.databases {
            if !database.could_add_to(&record) {
                continue;
            }
            match database.lookup(address, most) {
                Ok(Some(more)) => record.fill(more),
                Ok(None) => {}
                Err(source) => failures.push(LookupFailure { database, source }),
            }
        }
        if !failures.is_empty() {
            return Err(Box::new(BrokenLookup { address, partial: record, failures }));
        }
        Ok((!record.is_empty()).then_some(record))
    }
}

/// Whoever fills a field first wins.
fn precedence(kind: DatabaseKind) -> u8 {
    match kind {
        DatabaseKind::Asn => 0,
        DatabaseKind::City => 1,
        DatabaseKind::Country => 2,
        DatabaseKind::AnonymousIp => 3,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    /// The City database as it is, and the ASN one with one byte changed, unchecked.
    fn with_damage(at: usize) -> Option<GeoDatabases> {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data");
        let mut databases = GeoDatabases::open(&[data.join("test-city.mmdb")]).unwrap();
        let mut bytes = fs::read(data.join("test-asn.mmdb")).unwrap();
        *bytes.get_mut(at)? ^= 0xe0;
        databases.add(Database::unchecked(Path::new("damaged.mmdb"), bytes).ok()?).unwrap();
        Some(databases)
    }

    #[test]
    fn damage_met_at_look_up_is_told_from_absence_and_hides_nothing() {
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        let mut met = 0;
        for at in 0..1600 {
            let Some(databases) = with_damage(at) else { continue };
            let Err(broken) = databases.lookup(address) else { continue };
            assert_eq!(broken.partial.city_name, Some("Amsterdam"));
            assert_eq!(broken.failures.len(), 1);
            assert_eq!(broken.failures[0].database.kind(), DatabaseKind::Asn);
            let message = broken.to_string();
            assert!(
                message.starts_with("GeoIP look-up of 192.0.2.1 failed: ASN database damaged.mmdb: "),
                "{message}"
            );
            met += 1;
        }
        assert!(met > 10, "{met}");
    }
}
