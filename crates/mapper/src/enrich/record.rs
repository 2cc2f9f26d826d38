//! What is known about one address.
//!
//! Owns [`GeoRecord`] and how two of them are joined. Must not know files, vendors' layouts or
//! look-up order. The subtle thing: a record borrows its text from the database, allocates nothing
//! and is `Copy`; the one composed value, the region's code, is held in place.

use std::fmt;
use std::ops::Deref;

/// Everything known about one address; `None` or `false` where nothing is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GeoRecord<'a> {
    /// Two letters: `EU`.
    pub continent_code: Option<&'a str>,
    /// `Europe`.
    pub continent_name: Option<&'a str>,
    /// ISO 3166-1 alpha-2: `NL`.
    pub country_iso_code: Option<&'a str>,
    /// `The Netherlands`.
    pub country_name: Option<&'a str>,
    /// ISO 3166-2: `NL-NH`, of the most specific subdivision.
    pub region_iso_code: Option<RegionCode>,
    /// `North Holland`.
    pub region_name: Option<&'a str>,
    /// `Amsterdam`.
    pub city_name: Option<&'a str>,
    /// `1012`; often only the first part.
    pub postal_code: Option<&'a str>,
    /// IANA time zone: `Europe/Amsterdam`.
    pub timezone: Option<&'a str>,
    /// The middle of the place, not of the host.
    pub location: Option<Location>,
    /// The autonomous system that announces the address.
    pub as_number: Option<u32>,
    /// Who runs that system.
    pub as_organization_name: Option<&'a str>,
    /// What is known of the address hiding somebody.
    pub anonymizer: AnonymizerFlags,
}

/// Degrees; always finite and in range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Location {
    /// -90 to 90.
    pub lat: f64,
    /// -180 to 180.
    pub lon: f64,
}

/// The flags of an Anonymous IP database; `false` also where no database says anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AnonymizerFlags {
    /// Any of the kinds below, or one not told.
    pub is_anonymous: bool,
    /// A VPN service.
    pub is_anonymous_vpn: bool,
    /// A hosting provider, where no person sits.
    pub is_hosting_provider: bool,
    /// A proxy open to all.
    pub is_public_proxy: bool,
    /// A proxy on somebody's home line.
    pub is_residential_proxy: bool,
    /// A Tor exit.
    pub is_tor_exit_node: bool,
}

impl AnonymizerFlags {
    /// Whether any flag is set.
    #[must_use]
    pub fn any(self) -> bool {
        self != Self::default()
    }

    fn or(self, other: Self) -> Self {
        Self {
            is_anonymous: self.is_anonymous | other.is_anonymous,
            is_anonymous_vpn: self.is_anonymous_vpn | other.is_anonymous_vpn,
            is_hosting_provider: self.is_hosting_provider | other.is_hosting_provider,
            is_public_proxy: self.is_public_proxy | other.is_public_proxy,
            is_residential_proxy: self.is_residential_proxy | other.is_residential_proxy,
            is_tor_exit_node: self.is_tor_exit_node | other.is_tor_exit_node,
        }
    }
}

/// An ISO 3166-2 code held in place; reads as a `str`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RegionCode {
    bytes: [u8; Self::MAX],
    len: u8,
}

impl RegionCode {
    /// The longest code that exists is 6 bytes; this leaves room for vendors' own.
    const MAX: usize = 15;

    /// `country-region`; `None` if either is empty, not printable ASCII or the whole is longer
    /// than any such code.
    #[must_use]
    pub fn new(country: &str, region: &str) -> Option<Self> {
        let len = country.len() + 1 + region.len();
        let plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        if len > Self::MAX || !plain(country) || !plain(region) {
            return None;
        }
        let mut bytes = [0; Self::MAX];
        let joined = country.bytes().chain([b'-']).chain(region.bytes());
        bytes.iter_mut().zip(joined).for_each(|(to, from)| *to = from);
        Some(Self { bytes, len: u8::try_from(len).ok()? })
    }

    /// The code as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or_default()
    }
}

impl Deref for RegionCode {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for RegionCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl fmt::Debug for RegionCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl<'a> GeoRecord<'a> {
    /// Whether nothing at all is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Takes from `other` what is missing here. A country and its continent, and a system and its
    /// organization, are taken together or not at all.
    pub(super) fn fill(&mut self, other: Self) {
        let network = Self {
            as_number: self.as_number,
            as_organization_name: self.as_organization_name,
            anonymizer: self.anonymizer,
            ..Self::default()
        };
        if *self == network {
            *self = Self {
                as_number: network.as_number,
                as_organization_name: network.as_organization_name,
                anonymizer: network.anonymizer,
                ..other
            };
        } else if self.country_iso_code.is_none()
            && (self.continent_code.is_none() || self.continent_code == other.continent_code)
        {
            self.continent_code = other.continent_code;
            self.continent_name = other.continent_name;
            self.country_iso_code = other.country_iso_code;
            self.country_name = other.country_name;
        }
        if self.as_number.is_none() && self.as_organization_name.is_none() {
            self.as_number = other.as_number;
            self.as_organization_name = other.as_organization_name;
        }
        self.anonymizer = self.anonymizer.or(other.anonymizer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn region_code_joins_and_refuses_nonsense() {
        assert_eq!(RegionCode::new("NL", "NH").unwrap().as_str(), "NL-NH");
        assert_eq!(RegionCode::new("GB", "ENG").unwrap().to_string(), "GB-ENG");
        assert_eq!(format!("{:?}", RegionCode::new("JP", "13").unwrap()), "\"JP-13\"");
        assert_eq!(RegionCode::new("AB", "ABCDEFGHIJKL").unwrap().len(), RegionCode::MAX);
        assert_eq!(RegionCode::new("AB", "ABCDEFGHIJKLM"), None);
        assert_eq!(RegionCode::new("NL", ""), None);
        assert_eq!(RegionCode::new("", "NH"), None);
        assert_eq!(RegionCode::new("NL", "Zürich"), None);
        assert_eq!(RegionCode::new("NL", "N H"), None);
    }

    #[test]
    fn fill_keeps_what_is_there_and_never_mixes_places() {
        let city = GeoRecord {
            continent_code: Some("EU"),
            country_iso_code: Some("NL"),
            city_name: Some("Amsterdam"),
            ..GeoRecord::default()
        };
        let other = GeoRecord {
            continent_code: Some("NA"),
            country_iso_code: Some("US"),
            country_name: Some("United States"),
            as_number: Some(64496),
            ..GeoRecord::default()
        };
        let mut record = city;
        record.fill(other);
        assert_eq!(record, GeoRecord { as_number: Some(64496), ..city });

        let mut record = GeoRecord { as_organization_name: Some("Mine"), ..GeoRecord::default() };
        record.fill(other);
        assert_eq!(record.country_iso_code, Some("US"));
        assert_eq!((record.as_number, record.as_organization_name), (None, Some("Mine")));

        let mut record = GeoRecord { city_name: Some("Boston"), ..GeoRecord::default() };
        record.fill(other);
        assert_eq!((record.city_name, record.country_name), (Some("Boston"), Some("United States")));

        let mut record = GeoRecord { continent_code: Some("EU"), ..GeoRecord::default() };
        record.fill(other);
        assert_eq!((record.continent_code, record.country_iso_code), (Some("EU"), None));
    }

    #[test]
    fn flags_are_joined() {
        let vpn = AnonymizerFlags { is_anonymous: true, is_anonymous_vpn: true, ..Default::default() };
        let tor = AnonymizerFlags { is_anonymous: true, is_tor_exit_node: true, ..Default::default() };
        let mut record = GeoRecord { anonymizer: vpn, ..Default::default() };
        record.fill(GeoRecord { anonymizer: tor, ..Default::default() });
        assert!(record.anonymizer.is_anonymous_vpn && record.anonymizer.is_tor_exit_node);
        assert!(record.anonymizer.any() && !AnonymizerFlags::default().any());
    }
}
