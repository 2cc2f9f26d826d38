//! IP addresses that belong to nobody.
//!
//! Only the ranges set aside for documentation appear in what this crate writes (RFC 5737, RFC 3849).
//! The three IPv4 ranges hold 762 hosts; the rest of a plan is IPv6, which has room for all.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// 192.0.2.0/24, 198.51.100.0/24 and 203.0.113.0/24.
const V4_NETWORKS: [[u8; 3]; 3] = [[203, 0, 113], [198, 51, 100], [192, 0, 2]];

/// Hosts in one /24, without the network and the broadcast address.
const V4_HOSTS: usize = 254;

/// Every host address of the IPv4 documentation ranges.
pub const V4_CAPACITY: usize = V4_HOSTS * V4_NETWORKS.len();

/// A fixed sequence of distinct documentation addresses, the most used ones first.
///
/// Ranks are meant for a Zipf choice: three in four of the first are IPv4, as on a real office
/// network, until those ranges are used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressPlan {
    count: usize,
}

impl AddressPlan {
    /// A plan of `count` addresses, at least one.
    #[must_use]
    pub fn new(count: usize) -> Self {
        Self { count: count.max(1) }
    }

    /// How many addresses the plan has.
    #[must_use]
    pub fn count(self) -> usize {
        self.count
    }

    /// The address at a rank; ranks beyond the plan start over.
    #[must_use]
    pub fn address(self, rank: usize) -> IpAddr {
        let rank = rank % self.count;
        if rank >= V4_CAPACITY / 3 * 4 {
            v6(rank - V4_CAPACITY)
        } else if rank % 4 == 3 {
            v6(rank / 4)
        } else {
            v4_host(rank - (rank + 1) / 4)
        }
    }

    /// Every address of the plan, by rank.
    pub fn iter(self) -> impl Iterator<Item = IpAddr> {
        (0..self.count).map(move |rank| self.address(rank))
    }
}

/// The host of a rank; the three networks take turns so that each is busy.
fn v4_host(rank: usize) -> IpAddr {
    let [a, b, c] = V4_NETWORKS[rank % V4_NETWORKS.len()];
    let host = (rank / V4_NETWORKS.len()) % V4_HOSTS + 1;
    Ipv4Addr::new(a, b, c, host as u8).into()
}

/// A host in 2001:db8::/32: 16 sites in turn, one /64 for every 256 hosts of a site.
fn v6(rank: usize) -> IpAddr {
    let site = rank % 16 + 1;
    let subnet = rank / 16 / 256;
    let host = rank / 16 % 256 + 1;
    let interface = (host as u16).wrapping_mul(0x9e35);
    Ipv6Addr::new(0x2001, 0xdb8, site as u16, subnet as u16, 0, 0, host as u16, interface).into()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_large_plan_is_distinct_and_uses_all_of_the_v4_ranges() {
        let plan = AddressPlan::new(8_000);
        let all: HashSet<_> = plan.iter().collect();
        assert_eq!(all.len(), plan.count());
        assert_eq!(all.iter().filter(|address| address.is_ipv4()).count(), V4_CAPACITY);
    }

    #[test]
    fn every_address_is_documentation() {
        for address in AddressPlan::new(8_000).iter() {
            let text = address.to_string();
            let documentation = ["192.0.2.", "198.51.100.", "203.0.113.", "2001:db8:"];
            assert!(documentation.iter().any(|range| text.starts_with(range)), "{text}");
        }
    }
}
