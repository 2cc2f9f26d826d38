//! How vendors lay a record out.
//!
//! Owns the shapes in use: MaxMind's nested maps for places and its flat ones for networks (DB-IP
//! follows both), and IPinfo's flat map of strings. Must not know files, kinds of database or
//! look-up order. The subtle thing: only the fields that are used are read and `names` only in
//! English, for skipping is much cheaper than decoding; and a field of the wrong type is an error,
//! never a silent hole.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};

use super::record::{AnonymizerFlags, GeoRecord, Location, RegionCode};

/// A City, Country or Enterprise record.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Place<'a> {
    #[serde(borrow)]
    continent: Area<'a>,
    #[serde(borrow)]
    country: Area<'a>,
    #[serde(borrow, deserialize_with = "last")]
    subdivisions: Area<'a>,
    #[serde(borrow)]
    city: Area<'a>,
    #[serde(borrow)]
    postal: Area<'a>,
    #[serde(borrow)]
    location: Point<'a>,
    #[serde(borrow)]
    traits: Network<'a>,
}

/// A continent, country, subdivision, city or postal area: each has some of these.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Area<'a> {
    #[serde(borrow, alias = "iso_code")]
    code: Option<&'a str>,
    #[serde(borrow)]
    names: Names<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Names<'a> {
    #[serde(borrow)]
    en: Option<&'a str>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Point<'a> {
    latitude: Option<f64>,
    longitude: Option<f64>,
    #[serde(borrow)]
    time_zone: Option<&'a str>,
}

/// An ASN, ISP or Anonymous IP record, and the `traits` of an Enterprise one.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Network<'a> {
    autonomous_system_number: Option<u32>,
    #[serde(borrow)]
    autonomous_system_organization: Option<&'a str>,
    is_anonymous: bool,
    is_anonymous_vpn: bool,
    is_hosting_provider: bool,
    is_public_proxy: bool,
    is_residential_proxy: bool,
    is_tor_exit_node: bool,
}

/// A record of IPinfo: every value is a string, and one that says nothing is empty.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Flat<'a> {
    // Older files have the code in `continent` and `country`, newer ones the name there and the
    // code in a field of its own.
    #[serde(borrow)]
    continent: Option<&'a str>,
    #[serde(borrow)]
    continent_code: Option<&'a str>,
    #[serde(borrow)]
    continent_name: Option<&'a str>,
    #[serde(borrow)]
    country: Option<&'a str>,
    #[serde(borrow)]
    country_code: Option<&'a str>,
    #[serde(borrow)]
    country_name: Option<&'a str>,
    #[serde(borrow)]
    region: Option<&'a str>,
    #[serde(borrow)]
    region_code: Option<&'a str>,
    #[serde(borrow)]
    city: Option<&'a str>,
    #[serde(borrow)]
    postal_code: Option<&'a str>,
    #[serde(borrow)]
    postal: Option<&'a str>,
    #[serde(borrow)]
    timezone: Option<&'a str>,
    #[serde(borrow, alias = "latitude")]
    lat: Option<&'a str>,
    #[serde(borrow, alias = "longitude")]
    lng: Option<&'a str>,
    #[serde(borrow)]
    asn: Option<&'a str>,
    #[serde(borrow)]
    as_name: Option<&'a str>,
    #[serde(borrow)]
    name: Option<&'a str>,
    #[serde(borrow)]
    hosting: Option<&'a str>,
    #[serde(borrow)]
    proxy: Option<&'a str>,
    #[serde(borrow)]
    relay: Option<&'a str>,
    #[serde(borrow)]
    tor: Option<&'a str>,
    #[serde(borrow)]
    vpn: Option<&'a str>,
}

impl<'a> From<Place<'a>> for GeoRecord<'a> {
    fn from(place: Place<'a>) -> Self {
        let country = text(place.country.code);
        let region = text(place.subdivisions.code);
        Self {
            continent_code: text(place.continent.code),
            continent_name: text(place.continent.names.en),
            country_iso_code: country,
            country_name: text(place.country.names.en),
            region_iso_code: country
                .zip(region)
                .and_then(|(country, region)| RegionCode::new(country, region)),
            region_name: text(place.subdivisions.names.en),
            city_name: text(place.city.names.en),
            postal_code: text(place.postal.code),
            timezone: text(place.location.time_zone),
            location: point(place.location.latitude, place.location.longitude),
            ..Self::from(place.traits)
        }
    }
}

impl<'a> From<Network<'a>> for GeoRecord<'a> {
    fn from(network: Network<'a>) -> Self {
        Self {
            as_number: network.autonomous_system_number.filter(|&number| number != 0),
            as_organization_name: text(network.autonomous_system_organization),
            anonymizer: AnonymizerFlags {
                is_anonymous: network.is_anonymous,
                is_anonymous_vpn: network.is_anonymous_vpn,
                is_hosting_provider: network.is_hosting_provider,
                is_public_proxy: network.is_public_proxy,
                is_residential_proxy: network.is_residential_proxy,
                is_tor_exit_node: network.is_tor_exit_node,
            },
            ..Self::default()
        }
    }
}

impl<'a> From<Flat<'a>> for GeoRecord<'a> {
    fn from(flat: Flat<'a>) -> Self {
        let (continent_code, continent_name) =
            code_and_name(flat.continent_code, flat.continent, flat.continent_name);
        let (country, country_name) = code_and_name(flat.country_code, flat.country, flat.country_name);
        let region = text(flat.region_code);
        let degrees = |value| text(value).and_then(|value| value.parse().ok());
        let is = |value| text(value).is_some_and(|value| value != "false" && value != "0");
        let (proxy, tor, vpn) = (is(flat.proxy), is(flat.tor), is(flat.vpn));
        Self {
            continent_code,
            continent_name,
            country_iso_code: country,
            country_name,
            region_iso_code: country
                .zip(region)
                .and_then(|(country, region)| RegionCode::new(country, region)),
            region_name: text(flat.region),
            city_name: text(flat.city),
            postal_code: text(flat.postal_code).or(text(flat.postal)),
            timezone: text(flat.timezone),
            location: point(degrees(flat.lat), degrees(flat.lng)),
            as_number: text(flat.asn).and_then(as_number),
            as_organization_name: text(flat.as_name).or(text(flat.name)),
            anonymizer: AnonymizerFlags {
                is_anonymous: proxy | tor | vpn | is(flat.relay),
                is_anonymous_vpn: vpn,
                is_hosting_provider: is(flat.hosting),
                is_public_proxy: proxy,
                is_residential_proxy: false,
                is_tor_exit_node: tor,
            },
        }
    }
}

/// A value that is there and says something.
fn text(value: Option<&str>) -> Option<&str> {
    value.filter(|value| !value.is_empty())
}

fn point(lat: Option<f64>, lon: Option<f64>) -> Option<Location> {
    let (lat, lon) = lat.zip(lon)?;
    ((-90.0..=90.0).contains(&lat) && (-180.0..=180.0).contains(&lon)).then_some(Location { lat, lon })
}

/// Tells IPinfo's two generations apart: `country` is the code, or else the name of `country_code`.
fn code_and_name<'a>(
    code: Option<&'a str>,
    either: Option<&'a str>,
    name: Option<&'a str>,
) -> (Option<&'a str>, Option<&'a str>) {
    match (text(code), text(either), text(name)) {
        (Some(code), either, name) => (Some(code), name.or(either)),
        (None, Some(either), name) if either.len() == 2 => (Some(either), name),
        (None, either, name) => (None, name.or(either)),
    }
}

/// `AS64496` or `64496`.
fn as_number(value: &str) -> Option<u32> {
    value.strip_prefix("AS").unwrap_or(value).parse().ok().filter(|&number| number != 0)
}

/// The last of a list: subdivisions go from the large to the small.
fn last<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Area<'de>, D::Error> {
    struct Last;

    impl<'de> Visitor<'de> for Last {
        type Value = Area<'de>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of subdivisions")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Area<'de>, A::Error> {
            let mut last = Area::default();
            while let Some(next) = list.next_element()? {
                last = next;
            }
            Ok(last)
        }
    }

    deserializer.deserialize_seq(Last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipinfo_of_both_generations() {
        let old = Flat { country: Some("NL"), country_name: Some("Netherlands"), ..Flat::default() };
        let new = Flat { country: Some("Netherlands"), country_code: Some("NL"), ..Flat::default() };
        for flat in [old, new] {
            let record = GeoRecord::from(flat);
            assert_eq!((record.country_iso_code, record.country_name), (Some("NL"), Some("Netherlands")));
        }
        let record = GeoRecord::from(Flat {
            country: Some("US"),
            region: Some("California"),
            region_code: Some("CA"),
            lat: Some("37.5"),
            lng: Some("-122.25"),
            asn: Some("AS64496"),
            as_name: Some("Example"),
            tor: Some("true"),
            vpn: Some("false"),
            proxy: Some(""),
            ..Flat::default()
        });
        assert_eq!(record.region_iso_code.unwrap().as_str(), "US-CA");
        assert_eq!(record.location, Some(Location { lat: 37.5, lon: -122.25 }));
        assert_eq!((record.as_number, record.as_organization_name), (Some(64496), Some("Example")));
        let expected = AnonymizerFlags { is_anonymous: true, is_tor_exit_node: true, ..Default::default() };
        assert_eq!(record.anonymizer, expected);
    }

    #[test]
    fn values_that_say_nothing_are_left_out() {
        assert_eq!(text(Some("")), None);
        assert_eq!(as_number("AS0"), None);
        assert_eq!(as_number("ASX"), None);
        assert_eq!(as_number("64496"), Some(64496));
        assert_eq!(point(Some(91.0), Some(0.0)), None);
        assert_eq!(point(Some(f64::NAN), Some(0.0)), None);
        assert_eq!(point(Some(0.0), Some(-180.5)), None);
        assert_eq!(point(Some(1.0), None), None);
        assert!(GeoRecord::from(Flat { country: Some(""), asn: Some(""), ..Flat::default() }).is_empty());
    }
}
