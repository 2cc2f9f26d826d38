//! One database file: reading it, telling what it is, and refusing what would not serve.
//!
//! Owns the open file's bytes, its kind, and [`GeoError`]. Must not know how databases are
//! combined. The subtle thing is how much is checked at start: the search tree always and in full;
//! the records in full for small files and a spread of some thousands for large ones, since
//! decoding every record of a City database takes the better part of a second. Damage that slips
//! through is still met safely, and reported, at look-up.

use std::fmt;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use maxminddb::{LookupResult, MaxMindDbError, Reader, WithinOptions};
use thiserror::Error;

use super::layout::{Flat, Network, Place};
use super::record::GeoRecord;

/// Files up to this size are verified record by record.
const VERIFY_WHOLE_BYTES: usize = 8 << 20;
/// How many records are decoded at start, spread over the whole file.
const SAMPLE: usize = 8192;
/// What the user may give, for messages.
const EXPECTED: &str = "expected a City, Country, Enterprise, ASN, ISP or Anonymous-IP database (GeoLite2-*, GeoIP2-*, DBIP-*), or \
     IPinfo's location, country, ASN or privacy ones";

/// What a database can tell. At most one of each kind can be open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DatabaseKind {
    /// Country, region, city, place; an Enterprise database counts as one.
    City,
    /// Continent and country only.
    Country,
    /// Autonomous system; an ISP database counts as one.
    Asn,
    /// VPN, proxy, Tor and hosting flags.
    AnonymousIp,
}

impl DatabaseKind {
    /// How many kinds there are, and so the most databases that can be open.
    pub(super) const COUNT: usize = 4;

    /// Every kind, in order.
    pub const ALL: [Self; 4] = [Self::City, Self::Country, Self::Asn, Self::AnonymousIp];

    /// `City`, `Country`, `ASN` or `Anonymous-IP`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::City => "City",
            Self::Country => "Country",
            Self::Asn => "ASN",
            Self::AnonymousIp => "Anonymous-IP",
        }
    }
}

impl fmt::Display for DatabaseKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a database was refused. Every message names the file, what was found and what was expected.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GeoError {
    /// The file is not there, is a directory, or may not be read.
    #[error("GeoIP database {}: cannot be read; expected a readable .mmdb file", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is something else, or has lost its end.
    #[error("GeoIP database {}: found {found}, expected a MaxMind-format (.mmdb) database", .path.display())]
    NotMaxMind {
        /// The file.
        path: PathBuf,
        /// What the content looks like.
        found: String,
    },
    /// The file is a database, but a damaged one.
    #[error("GeoIP database {}: found damaged data ({source}), expected an intact database: fetch it again", .path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// The first damage met.
        source: MaxMindDbError,
    },
    /// A sound database of a type that is of no use here.
    #[error("GeoIP database {}: found type {database_type:?}, {EXPECTED}", .path.display())]
    UnsupportedType {
        /// The file.
        path: PathBuf,
        /// Its `database_type`.
        database_type: String,
    },
    /// The type is right, but the records hold none of the fields that such a database has.
    #[error(
        "GeoIP database {}: found type {database_type:?} with no record that has a field of a {kind} database, \
         expected such fields", .path.display()
    )]
    NoUsefulRecord {
        /// The file.
        path: PathBuf,
        /// Its `database_type`.
        database_type: String,
        /// What the type promised.
        kind: DatabaseKind,
    },
    /// Two files would answer the same question.
    #[error(
        "GeoIP database {}: found a second {kind} database, expected at most one: {} is open already",
        .path.display(), .first.display()
    )]
    SecondOfKind {
        /// The file refused.
        path: PathBuf,
        /// The file opened before it.
        first: PathBuf,
        /// What both are.
        kind: DatabaseKind,
    },
}

/// One open database.
#[derive(Debug)]
pub struct Database {
    path: PathBuf,
    kind: DatabaseKind,
    layout: Layout,
    small: bool,
    reader: Reader<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    Place,
    Network,
    Flat,
}

impl Database {
    /// The file it was read from.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it can tell.
    #[must_use]
    pub fn kind(&self) -> DatabaseKind {
        self.kind
    }

    /// The publisher's name for it: `GeoLite2-City`.
    #[must_use]
    pub fn database_type(&self) -> &str {
        &self.reader.metadata().database_type
    }

    /// When it was built: seconds since 1970.
    #[must_use]
    pub fn build_epoch(&self) -> u64 {
        self.reader.metadata().build_epoch
    }

    /// Whether a look-up here is worth its cost, `record` being known: a Country database has
    /// nothing to say where the country is, except for IPinfo's, which know the network too.
    pub(super) fn could_add_to(&self, record: &GeoRecord<'_>) -> bool {
        self.kind != DatabaseKind::Country
            || record.country_iso_code.is_none()
            || (self.layout == Layout::Flat && record.as_number.is_none())
    }

    /// What this database alone says of an address; `None` if it has no entry, or one whose network has more than `most` bits.
    pub(super) fn lookup(
        &self,
        address: IpAddr,
        most: Option<u8>,
    ) -> Result<Option<GeoRecord<'_>>, MaxMindDbError> {
        self.find(address, most)?.map_or(Ok(None), |found| self.decode(&found))
    }

    /// Where that entry lies in the file, without reading it; `None` if there is none.
    pub(super) fn entry(&self, address: IpAddr, most: Option<u8>) -> Result<Option<usize>, MaxMindDbError> {
        Ok(self.find(address, most)?.and_then(|found| found.offset()))
    }

    fn find(
        &self,
        address: IpAddr,
        most: Option<u8>,
    ) -> Result<Option<LookupResult<'_, Vec<u8>>>, MaxMindDbError> {
        if address.is_ipv6() && self.reader.metadata().ip_version == 4 {
            return Ok(None);
        }
        let found = self.reader.lookup(address)?;
        let is_too_narrow = match most {
            Some(most) => found.network()?.prefix() > most,
            None => false,
        };
        Ok((!is_too_narrow).then_some(found))
    }

    fn decode<'a>(
        &self,
        result: &LookupResult<'a, Vec<u8>>,
    ) -> Result<Option<GeoRecord<'a>>, MaxMindDbError> {
        Ok(match self.layout {
            Layout::Place => result.decode::<Place<'a>>()?.map(GeoRecord::from),
            Layout::Network => result.decode::<Network<'a>>()?.map(GeoRecord::from),
            Layout::Flat => result.decode::<Flat<'a>>()?.map(GeoRecord::from),
        })
    }

    pub(super) fn open(path: &Path) -> Result<Self, GeoError> {
        let bytes = fs::read(path).map_err(|source| GeoError::Unreadable { path: path.into(), source })?;
        let database = Self::unchecked(path, bytes)?;
        database.check()?;
        Ok(database)
    }

    /// A database by its metadata alone; `path` is for messages.
    pub(super) fn unchecked(path: &Path, bytes: Vec<u8>) -> Result<Self, GeoError> {
        let path = path.to_owned();
        if let Some(found) = something_else(&bytes) {
            return Err(GeoError::NotMaxMind { path, found });
        }
        let small = bytes.len() <= VERIFY_WHOLE_BYTES;
        let reader = match Reader::from_source(bytes) {
            Ok(reader) => reader,
            Err(source) => return Err(GeoError::Corrupt { path, source }),
        };
        let Some((kind, layout)) = recognise(&reader.metadata().database_type) else {
            let database_type = reader.metadata().database_type.clone();
            return Err(GeoError::UnsupportedType { path, database_type });
        };
        Ok(Self { path, kind, layout, small, reader })
    }

    fn check(&self) -> Result<(), GeoError> {
        let path = || self.path.clone();
        let corrupt = |source| GeoError::Corrupt { path: path(), source };
        // The verifier insists on a description, which home-made databases lack without harm.
        if self.small && !self.reader.metadata().description.is_empty() {
            self.reader.verify().map_err(corrupt)?;
        }
        if !self.spot_check().map_err(corrupt)? {
            let database_type = self.database_type().to_owned();
            return Err(GeoError::NoUsefulRecord { path: path(), database_type, kind: self.kind });
        }
        Ok(())
    }

    /// Walks the whole search tree and decodes a spread of records, as look-ups will; says
    /// whether any of them was of use.
    fn spot_check(&self) -> Result<bool, MaxMindDbError> {
        let nodes = self.reader.metadata().node_count as usize;
        let stride = (nodes / SAMPLE).max(1);
        // A binary tree has one leaf more than it has nodes; a damaged one may lead in circles.
        let limit = nodes.saturating_mul(3);
        let mut useful = false;
        let everything = WithinOptions::default().include_networks_without_data();
        for (index, network) in self.reader.networks(everything)?.enumerate() {
            let network = network?;
            if index > limit {
                return Err(MaxMindDbError::invalid_database("the search tree leads in circles"));
            }
            if index.is_multiple_of(stride)
                && let Some(record) = self.decode(&network)?
            {
                useful |= self.is_useful(&record);
            }
        }
        Ok(useful)
    }

    /// Whether a record says what its kind of database is for.
    fn is_useful(&self, record: &GeoRecord<'_>) -> bool {
        let place = record.country_iso_code.or(record.continent_code);
        match self.kind {
            DatabaseKind::City => place.or(record.city_name).is_some() || record.location.is_some(),
            DatabaseKind::Country => place.is_some(),
            DatabaseKind::Asn => record.as_number.is_some() || record.as_organization_name.is_some(),
            DatabaseKind::AnonymousIp => record.anonymizer.any(),
        }
    }
}

/// What a `database_type` promises, by its words: publishers add prefixes (`GeoIP2-`, `DBIP-`) and
/// suffixes (`-Lite`, `-Africa`, ` (compat=City)`).
fn recognise(database_type: &str) -> Option<(DatabaseKind, Layout)> {
    let lower = database_type.to_ascii_lowercase();
    let has =
        |words: &[&str]| lower.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| words.contains(&word));
    if lower.starts_with("ipinfo") {
        let kind = if lower.contains("privacy") {
            DatabaseKind::AnonymousIp
        } else if lower.contains("location") {
            DatabaseKind::City
        } else if lower.contains("country") || has(&["lite"]) {
            DatabaseKind::Country
        } else if lower.contains("asn") {
            DatabaseKind::Asn
        } else {
            return None;
        };
        return Some((kind, Layout::Flat));
    }
    if has(&["enterprise", "city", "location"]) {
        Some((DatabaseKind::City, Layout::Place))
    } else if has(&["anonymous"]) {
        Some((DatabaseKind::AnonymousIp, Layout::Network))
    } else if has(&["asn", "isp"]) {
        Some((DatabaseKind::Asn, Layout::Network))
    } else if has(&["country"]) {
        Some((DatabaseKind::Country, Layout::Place))
    } else {
        None
    }
}

/// What content without MaxMind metadata is, as far as its beginning tells.
fn something_else(bytes: &[u8]) -> Option<String> {
    const MARKER: &[u8] = b"\xab\xcd\xefMaxMind.com";
    /// The format puts the metadata into the last 128 KiB.
    const METADATA: usize = 128 << 10;
    let end = &bytes[bytes.len().saturating_sub(METADATA)..];
    if end.windows(MARKER.len()).any(|window| window == MARKER) {
        return None;
    }
    let text = bytes.trim_ascii_start();
    Some(match bytes {
        [] => "an empty file".to_owned(),
        [0x1f, 0x8b, ..] => "gzip data (unpack it first)".to_owned(),
        [b'P', b'K', 3, 4, ..] => "a zip archive (unpack it first)".to_owned(),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => "zstd data (unpack it first)".to_owned(),
        _ if bytes.get(257..262) == Some(b"ustar") => "a tar archive (unpack it first)".to_owned(),
        _ if text.starts_with(b"<") => "an HTML or XML page".to_owned(),
        _ => format!(
            "{} bytes without MaxMind metadata at the end (not a database, or cut short)",
            bytes.len()
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_recognised_by_their_words() {
        use DatabaseKind::{AnonymousIp, Asn, City, Country};
        use Layout::{Flat, Network, Place};
        for (database_type, expected) in [
            ("GeoLite2-City", Some((City, Place))),
            ("GeoIP2-City-Asia-Pacific", Some((City, Place))),
            ("GeoIP2-Enterprise", Some((City, Place))),
            ("GeoIP2-Precision-Enterprise", Some((City, Place))),
            ("DBIP-City-Lite", Some((City, Place))),
            ("DBIP-Location-ISP (compat=Enterprise)", Some((City, Place))),
            ("GeoLite2-Country", Some((Country, Place))),
            ("DBIP-Country-Lite", Some((Country, Place))),
            ("GeoLite2-ASN", Some((Asn, Network))),
            ("DBIP-ASN-Lite (compat=GeoLite2-ASN)", Some((Asn, Network))),
            ("GeoIP2-ISP", Some((Asn, Network))),
            ("GeoIP2-Anonymous-IP", Some((AnonymousIp, Network))),
            ("GeoIP-Anonymous-Plus", Some((AnonymousIp, Network))),
            ("ipinfo standard_location.mmdb", Some((City, Flat))),
            ("ipinfo generic_country_asn_free.mmdb", Some((Country, Flat))),
            ("ipinfo generic_country_free_country.mmdb", Some((Country, Flat))),
            ("ipinfo asn.mmdb", Some((Asn, Flat))),
            ("ipinfo privacy.mmdb", Some((AnonymousIp, Flat))),
            ("ipinfo standard_privacy_detection.mmdb", Some((AnonymousIp, Flat))),
            ("ipinfo generic_mnc.mmdb", None),
            ("GeoIP2-Domain", None),
            ("GeoIP2-Connection-Type", None),
            ("Electricity", None),
            ("", None),
        ] {
            assert_eq!(recognise(database_type), expected, "{database_type}");
        }
    }
}
