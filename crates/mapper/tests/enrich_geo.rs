//! GeoIP databases: what the test databases say, and every way in which one is refused.

#![allow(clippy::unwrap_used, reason = "the lint's own exception covers only functions marked as tests")]

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use mapper::enrich::{AnonymizerFlags, DatabaseKind, GeoDatabases, GeoError, GeoRecord, Location};

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data")
}

fn open(names: &[&str]) -> GeoDatabases {
    GeoDatabases::open(&names.iter().map(|name| data().join(name)).collect::<Vec<_>>()).unwrap()
}

fn all() -> GeoDatabases {
    open(&["test-city.mmdb", "test-country.mmdb", "test-asn.mmdb", "test-anonymous-ip.mmdb"])
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// An address that stands for a network gets what is known of all of that network, and not what is known of its first address.
#[test]
fn an_address_that_stands_for_a_network_is_not_its_first_neighbour() {
    let databases = open(&["test-city.mmdb", "test-asn.mmdb"]);
    let of = |address: &str, most| {
        let found = databases.lookup_of_network(ip(address), most).unwrap().unwrap_or_default();
        (found.city_name, found.as_number)
    };
    // 192.0.2.0/24 is split in both databases, 203.0.113.0/24 in one, 2001:db8::/36 in none.
    for (address, bits, whole, expected) in [
        ("192.0.2.0", 24, (Some("Amsterdam"), Some(64496)), (None, None)),
        ("203.0.113.0", 24, (Some("Berlin"), Some(65536)), (None, Some(65536))),
        ("203.0.113.0", 26, (Some("Berlin"), Some(65536)), (Some("Berlin"), Some(65536))),
        ("2001:db8::", 48, (Some("Amsterdam"), Some(65551)), (Some("Amsterdam"), Some(65551))),
        ("2001:db8::", 35, (Some("Amsterdam"), Some(65551)), (None, Some(65551))),
        ("::ffff:203.0.113.0", 24, (Some("Berlin"), Some(65536)), (None, Some(65536))),
        ("2001:db8:f000::", 48, (None, None), (None, None)),
    ] {
        assert_eq!(of(address, None), whole, "{address}");
        assert_eq!(of(address, Some(bits)), expected, "{address}/{bits}");
        let key = |most| databases.key(ip(address), most).unwrap();
        assert_eq!(key(None) == key(Some(bits)), whole == expected, "{address}/{bits}");
    }
}

fn found<'a>(databases: &'a GeoDatabases, address: &str) -> Option<GeoRecord<'a>> {
    databases.lookup(ip(address)).unwrap()
}

/// A file of this test's own.
fn file(name: &str, content: &[u8]) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, content).unwrap();
    path
}

fn city() -> Vec<u8> {
    fs::read(data().join("test-city.mmdb")).unwrap()
}

/// The metadata's place in a database.
fn metadata(bytes: &[u8]) -> usize {
    bytes.windows(14).rposition(|window| window == b"\xab\xcd\xefMaxMind.com").unwrap()
}

/// `bytes` with the one occurrence of `from` replaced by as many bytes.
fn replaced(mut bytes: Vec<u8>, from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let at = bytes.windows(from.len()).rposition(|window| window == from).unwrap();
    bytes[at..at + to.len()].copy_from_slice(to);
    bytes
}

fn refusal(paths: &[PathBuf]) -> (GeoError, String) {
    let error = GeoDatabases::open(paths).unwrap_err();
    let message = error.to_string();
    assert!(message.contains(&paths[paths.len() - 1].display().to_string()), "{message}");
    assert!(message.contains("expected"), "{message}");
    (error, message)
}

#[test]
fn every_field_of_a_city_record() {
    let databases = all();
    let record = found(&databases, "192.0.2.1").unwrap();
    assert_eq!(record.continent_code, Some("EU"));
    assert_eq!(record.continent_name, Some("Europe"));
    assert_eq!(record.country_iso_code, Some("NL"));
    assert_eq!(record.country_name, Some("The Netherlands"));
    assert_eq!(record.region_iso_code.as_deref(), Some("NL-NH"));
    assert_eq!(record.region_name, Some("North Holland"));
    assert_eq!(record.city_name, Some("Amsterdam"));
    assert_eq!(record.postal_code, Some("1012"));
    assert_eq!(record.timezone, Some("Europe/Amsterdam"));
    assert_eq!(record.location, Some(Location { lat: 52.3759, lon: 4.8975 }));
    assert_eq!(record.as_number, Some(64496));
    assert_eq!(record.as_organization_name, Some("Example Telecom B.V."));
    assert!(!record.anonymizer.any());
}

#[test]
fn places_on_every_continent_at_both_ends_of_their_ranges() {
    let databases = all();
    for (first, last, continent, city) in [
        ("192.0.2.32", "192.0.2.63", "EU", "Zürich"),
        ("192.0.2.64", "192.0.2.95", "SA", "São Paulo"),
        ("192.0.2.96", "192.0.2.127", "AS", "Tokyo"),
        ("192.0.2.128", "192.0.2.159", "NA", "New York"),
        ("192.0.2.160", "192.0.2.191", "AF", "Nairobi"),
        ("192.0.2.192", "192.0.2.223", "OC", "Sydney"),
        ("198.51.100.192", "198.51.100.255", "NA", "Montréal"),
        ("2001:db8:3000::", "2001:db8:3fff:ffff:ffff:ffff:ffff:ffff", "SA", "Buenos Aires"),
    ] {
        for address in [first, last] {
            let record = found(&databases, address).unwrap();
            assert_eq!((record.continent_code, record.city_name), (Some(continent), Some(city)), "{address}");
        }
    }
}

#[test]
fn a_record_with_a_country_and_no_more() {
    let databases = open(&["test-city.mmdb"]);
    let expected = GeoRecord {
        continent_code: Some("EU"),
        continent_name: Some("Europe"),
        country_iso_code: Some("IS"),
        country_name: Some("Iceland"),
        ..GeoRecord::default()
    };
    assert_eq!(found(&databases, "192.0.2.230"), Some(expected));
}

#[test]
fn absent_is_no_record_and_no_failure() {
    let databases = open(&["test-city.mmdb", "test-country.mmdb"]);
    for address in ["192.0.2.240", "203.0.113.250", "2001:db8:f000::1", "8.8.8.8", "2a00::1"] {
        assert_eq!(found(&databases, address), None, "{address}");
    }
    assert_eq!(found(&GeoDatabases::default(), "192.0.2.1"), None);
    assert!(GeoDatabases::default().is_empty() && !databases.is_empty());
}

#[test]
fn special_purpose_addresses_are_never_looked_up() {
    for address in
        ["127.0.0.1", "10.0.0.1", "100.64.0.1", "::1", "fe80::1", "::ffff:192.168.0.1", "::192.0.2.1"]
    {
        assert_eq!(found(&all(), address), None, "{address}");
    }
}

#[test]
fn a_mapped_address_is_looked_up_as_ipv4() {
    let databases = all();
    assert_eq!(found(&databases, "::ffff:192.0.2.40"), found(&databases, "192.0.2.40"));
    assert_eq!(found(&databases, "::ffff:192.0.2.40").unwrap().city_name, Some("Zürich"));
}

#[test]
fn city_wins_and_country_fills_whatever_the_order() {
    for names in [["test-city.mmdb", "test-country.mmdb"], ["test-country.mmdb", "test-city.mmdb"]] {
        let databases = open(&names);
        assert_eq!(found(&databases, "203.0.113.1").unwrap().city_name, Some("Berlin"));
        let record = found(&databases, "203.0.113.230").unwrap();
        assert_eq!((record.country_iso_code, record.city_name), (Some("IS"), None));
    }
    let country = open(&["test-country.mmdb"]);
    let record = found(&country, "203.0.113.1").unwrap();
    assert_eq!((record.country_iso_code, record.city_name, record.as_number), (Some("DE"), None, None));
}

#[test]
fn anonymizers() {
    let databases = all();
    let anonymous = AnonymizerFlags { is_anonymous: true, ..AnonymizerFlags::default() };
    for (address, expected) in [
        ("198.51.100.20", AnonymizerFlags { is_anonymous_vpn: true, ..anonymous }),
        ("198.51.100.90", AnonymizerFlags { is_hosting_provider: true, ..anonymous }),
        ("203.0.113.20", AnonymizerFlags { is_tor_exit_node: true, ..anonymous }),
        ("203.0.113.90", AnonymizerFlags { is_public_proxy: true, ..anonymous }),
        ("203.0.113.150", AnonymizerFlags { is_residential_proxy: true, ..anonymous }),
        (
            "2001:db8:4000::7",
            AnonymizerFlags { is_anonymous_vpn: true, is_hosting_provider: true, ..anonymous },
        ),
        ("192.0.2.1", AnonymizerFlags::default()),
    ] {
        assert_eq!(found(&databases, address).unwrap().anonymizer, expected, "{address}");
    }
}

#[test]
fn what_is_open_can_be_told() {
    let databases = all();
    let told: Vec<_> =
        databases.databases().map(|open| (open.kind(), open.database_type(), open.build_epoch())).collect();
    assert_eq!(told.len(), 4);
    assert!(told.contains(&(DatabaseKind::City, "GeoLite2-City", 1_767_225_600)));
    assert!(told.contains(&(DatabaseKind::AnonymousIp, "GeoIP2-Anonymous-IP", 1_767_225_600)));
    assert!(databases.databases().all(|open| open.path().exists()));
    assert_eq!(DatabaseKind::ALL.map(DatabaseKind::as_str), ["City", "Country", "ASN", "Anonymous-IP"]);
}

#[test]
fn other_publishers_names_are_understood() {
    let bytes = city();
    for name in ["DBIP-City-Lit", "GeoIP2-City-A", "My-City-12345", "Enterprise-AB"] {
        let path = file(&format!("{name}.mmdb"), &replaced(bytes.clone(), b"GeoLite2-City", name.as_bytes()));
        let databases = GeoDatabases::open(&[path]).unwrap();
        assert_eq!(databases.databases().next().unwrap().kind(), DatabaseKind::City, "{name}");
        assert_eq!(found(&databases, "192.0.2.1").unwrap().city_name, Some("Amsterdam"));
    }
}

#[test]
fn ipinfo_knows_place_and_network_in_one() {
    let databases = open(&["test-ipinfo.mmdb"]);
    let record = found(&databases, "192.0.2.1").unwrap();
    assert_eq!((record.continent_code, record.country_iso_code), (Some("EU"), Some("NL")));
    assert_eq!((record.as_number, record.as_organization_name), (Some(64496), Some("Example Telecom B.V.")));
    // It still gives the network where another database gives the place.
    let databases = open(&["test-city.mmdb", "test-ipinfo.mmdb"]);
    let record = found(&databases, "192.0.2.1").unwrap();
    assert_eq!((record.country_name, record.as_number), (Some("The Netherlands"), Some(64496)));
}

#[test]
fn refused_unreadable() {
    let (error, message) = refusal(&[data().join("no-such.mmdb")]);
    assert!(matches!(error, GeoError::Unreadable { .. }), "{message}");
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("No such file"), "{cause}");
    let (error, message) = refusal(&[data()]);
    assert!(matches!(error, GeoError::Unreadable { .. }), "{message}");
}

#[test]
fn refused_not_a_database() {
    for (name, content, says) in [
        ("empty.mmdb", &b""[..], "an empty file"),
        ("page.mmdb", b"\n<!DOCTYPE html><p>Sign in to download", "an HTML or XML page"),
        ("city.tar.gz", b"\x1f\x8b\x08\x00rest", "gzip data"),
        ("city.zip", b"PK\x03\x04rest", "a zip archive"),
        ("city.zst", b"\x28\xb5\x2f\xfdrest", "zstd data"),
        ("words.mmdb", b"just words", "10 bytes without MaxMind metadata"),
    ] {
        let (error, message) = refusal(&[file(name, content)]);
        assert!(matches!(error, GeoError::NotMaxMind { .. }), "{message}");
        assert!(message.contains(says), "{message}");
    }
    let mut tar = vec![b'x'; 512];
    tar[257..262].copy_from_slice(b"ustar");
    assert!(refusal(&[file("city.tar", &tar)]).1.contains("a tar archive"));
}

#[test]
fn refused_truncated() {
    let (error, message) = refusal(&[data().join("truncated.mmdb")]);
    assert!(matches!(error, GeoError::NotMaxMind { .. }), "{message}");
    assert!(message.contains("cut short"), "{message}");
    // Every possible length is refused, whatever the reason.
    let bytes = city();
    for length in (0..bytes.len()).step_by(7).chain(metadata(&bytes)..bytes.len()) {
        let path = file("shorter.mmdb", &bytes[..length]);
        assert!(GeoDatabases::open(&[path]).is_err(), "{length} of {} bytes", bytes.len());
    }
}

#[test]
fn refused_with_a_hole() {
    // A piece missing in the middle shifts all that follows.
    let mut bytes = city();
    bytes.drain(3000..3100);
    let (error, message) = refusal(&[file("hole.mmdb", &bytes)]);
    assert!(matches!(error, GeoError::Corrupt { .. }), "{message}");
    assert!(message.contains("damaged"), "{message}");
}

#[test]
fn refused_or_harmless_with_any_byte_changed() {
    let bytes = city();
    let (mut refused, mut broken) = (0, 0);
    for at in (0..bytes.len()).step_by(11) {
        let mut changed = bytes.clone();
        changed[at] ^= 0xff;
        let Ok(databases) = GeoDatabases::open(&[file("changed.mmdb", &changed)]) else {
            refused += 1;
            continue;
        };
        // Changed text cannot be told from other text; but no look-up may panic.
        for last in 0..=255 {
            broken += usize::from(databases.lookup(IpAddr::from([192, 0, 2, last])).is_err());
        }
    }
    assert!(refused * 2 > bytes.len() / 11, "{refused} of {} refused", bytes.len() / 11);
    assert_eq!(broken, 0, "a small file is checked in full, so nothing can break later");
}

#[test]
fn refused_with_a_bad_tree_or_separator() {
    let bytes = city();
    let separator = bytes.windows(16).position(|window| window == [0; 16]).unwrap();
    let mut tree = bytes.clone();
    tree[..3].copy_from_slice(&[0xff; 3]);
    let mut apart = bytes.clone();
    apart[separator + 5] = 1;
    for (name, content) in [("tree.mmdb", tree), ("separator.mmdb", apart)] {
        let (error, message) = refusal(&[file(name, &content)]);
        assert!(matches!(error, GeoError::Corrupt { .. }), "{message}");
    }
}

#[test]
fn refused_unsupported_type() {
    let (error, message) = refusal(&[data().join("wrong-type.mmdb")]);
    assert!(matches!(error, GeoError::UnsupportedType { .. }), "{message}");
    assert!(message.contains("\"GeoIP2-Domain\"") && message.contains("Anonymous-IP"), "{message}");
}

#[test]
fn refused_records_of_another_kind() {
    // The type says ASN, the records are those of a City database.
    let path = file("liar.mmdb", &replaced(city(), b"GeoLite2-City", b"GeoLite-2-ASN"));
    let (error, message) = refusal(&[path]);
    assert!(matches!(error, GeoError::NoUsefulRecord { kind: DatabaseKind::Asn, .. }), "{message}");
    // A field that is text where a number belongs.
    let asn = fs::read(data().join("test-asn.mmdb")).unwrap();
    let path = file("typed.mmdb", &replaced(asn, b"GeoLite2-ASN", b"Anonymous-XY"));
    assert!(matches!(refusal(&[path]).0, GeoError::NoUsefulRecord { .. } | GeoError::Corrupt { .. }));
}

#[test]
fn refused_second_of_a_kind() {
    let second = file("second-city.mmdb", &city());
    let (error, message) = refusal(&[data().join("test-city.mmdb"), second]);
    assert!(matches!(error, GeoError::SecondOfKind { kind: DatabaseKind::City, .. }), "{message}");
    assert!(message.contains("a second City database") && message.contains("test-city.mmdb"), "{message}");
}

#[test]
fn the_databases_are_what_the_script_writes() {
    let fresh = Path::new(env!("CARGO_TARGET_TMPDIR")).join("geoip");
    let script = data().join("../make_geoip.py");
    let Ok(output) = Command::new("python3").arg(script).arg(&fresh).output() else { return };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for entry in fs::read_dir(&fresh).unwrap() {
        let name = entry.unwrap().file_name();
        assert_eq!(fs::read(fresh.join(&name)).unwrap(), fs::read(data().join(&name)).unwrap(), "{name:?}");
    }
}
