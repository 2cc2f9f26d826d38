//! Which addresses have no place in the world.
//!
//! Owns the IANA special-purpose registries (IPv4 and IPv6, as of 2026) and the multicast space,
//! as one predicate. Must not know databases. The subtle thing is the exception: the four old
//! documentation ranges count as ordinary addresses here, because no published database holds
//! them, so that nothing is lost, and test databases do hold them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether `address` belongs to a range that never identifies a host on the Internet: loopback,
/// private, link-local, shared (CGNAT), multicast, reserved, benchmarking, relay and translation
/// prefixes, and everything in IPv6 outside `2000::/3`. Such addresses are never looked up.
///
/// The documentation ranges `192.0.2.0/24`, `198.51.100.0/24`, `203.0.113.0/24` and
/// `2001:db8::/32` are the one exception, and are *not* special here: no published database holds
/// them, test databases do. An IPv4-mapped IPv6 address is judged as the IPv4 address.
///
/// ```
/// use mapper::enrich::is_special_purpose;
/// assert!(is_special_purpose("10.1.2.3".parse().unwrap()));
/// assert!(!is_special_purpose("192.0.2.1".parse().unwrap()));
/// ```
#[must_use]
pub fn is_special_purpose(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => is_special_v4(v4),
        IpAddr::V6(v6) => is_special_v6(v6),
    }
}

fn is_special_v4(address: Ipv4Addr) -> bool {
    match address.octets() {
        [0 | 10 | 127, ..] => true,  // this network, private, loopback
        [100, 64..=127, ..] => true, // shared address space (CGNAT)
        [169, 254, ..] => true,      // link-local
        [172, 16..=31, ..] => true,  // private
        [192, 0, 0, _] => true,      // IETF protocol assignments
        [192, 31, 196, _] => true,   // AS112
        [192, 52, 193, _] => true,   // AMT relays
        [192, 88, 99, _] => true,    // 6to4 relay
        [192, 168, ..] => true,      // private
        [192, 175, 48, _] => true,   // AS112 by direct delegation
        [198, 18 | 19, ..] => true,  // benchmarking
        [224..=255, ..] => true,     // multicast, reserved, broadcast
        _ => false,
    }
}

fn is_special_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        // IANA has released nothing but 2000::/3. This covers unspecified, loopback, the obsolete
        // IPv4-compatible ::/96, NAT64, discard (100::/64), SRv6 (5f00::/16), unique local,
        // link-local, site-local and multicast.
        [first, ..] if first & 0xe000 != 0x2000 => true,
        [0x2001, second, ..] if second < 0x0200 => true, // 2001::/23: Teredo, benchmarking, ORCHID, AMT
        [0x2002, ..] => true,                            // 6to4
        [0x2620, 0x004f, 0x8000, ..] => true,            // AS112
        [0x3fff, second, ..] if second < 0x1000 => true, // 3fff::/20, the new documentation space
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn special(text: &str) -> bool {
        is_special_purpose(text.parse().unwrap())
    }

    #[test]
    fn every_special_range_is_recognised_at_both_ends() {
        for (first, last) in [
            ("0.0.0.0", "0.255.255.255"),
            ("10.0.0.0", "10.255.255.255"),
            ("100.64.0.0", "100.127.255.255"),
            ("127.0.0.0", "127.255.255.255"),
            ("169.254.0.0", "169.254.255.255"),
            ("172.16.0.0", "172.31.255.255"),
            ("192.0.0.0", "192.0.0.255"),
            ("192.31.196.0", "192.31.196.255"),
            ("192.52.193.0", "192.52.193.255"),
            ("192.88.99.0", "192.88.99.255"),
            ("192.168.0.0", "192.168.255.255"),
            ("192.175.48.0", "192.175.48.255"),
            ("198.18.0.0", "198.19.255.255"),
            ("224.0.0.0", "239.255.255.255"),
            ("240.0.0.0", "255.255.255.255"),
            ("::", "::1"),
            ("::8.8.8.8", "::ffff"),
            ("64:ff9b::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff"),
            ("100::", "100::ffff:ffff:ffff:ffff"),
            ("2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff"),
            ("2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
            ("2620:4f:8000::", "2620:4f:8000:ffff:ffff:ffff:ffff:ffff"),
            ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff"),
            ("5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
            ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
            ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
            ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
            ("::ffff:10.0.0.1", "::ffff:192.168.1.1"),
        ] {
            assert!(special(first), "{first}");
            assert!(special(last), "{last}");
        }
    }

    #[test]
    fn neighbours_of_special_ranges_are_ordinary() {
        for address in [
            "1.0.0.0",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.88.98.255",
            "192.88.100.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2001:200::",
            "2001:4860:4860::8888",
            "2003::",
            "2620:4f:8001::",
            "2a00::",
            "3fff:1000::",
            "::ffff:8.8.8.8",
        ] {
            assert!(!special(address), "{address}");
        }
    }

    #[test]
    fn documentation_ranges_are_looked_up() {
        for address in [
            "192.0.2.0",
            "192.0.2.255",
            "198.51.100.0",
            "198.51.100.255",
            "203.0.113.0",
            "203.0.113.255",
            "2001:db8::",
            "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
            "::ffff:192.0.2.1",
        ] {
            assert!(!special(address), "{address}");
        }
    }
}
