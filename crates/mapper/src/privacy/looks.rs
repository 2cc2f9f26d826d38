//! Values that give themselves away: texts that are an e-mail address or an IP address, and nothing else.
//!
//! What merely contains one is a text of its own class. The subtle thing: much looks nearly so. A plugin of a marketplace
//! (`review@tools`) is no address of a person, a time and a version are no addresses of a machine.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// No e-mail address is longer (RFC 5321), and no name before one that we would look through.
pub(super) const LONGEST_EMAIL: usize = 512;
/// An IPv6 address in brackets, with a zone and a port.
pub(super) const LONGEST_ADDRESS: usize = 80;

/// The bare address, if a text is an e-mail address: `ada@example.com`, also as `mailto:…` and as `Ada <…>`.
pub(super) fn email(text: &str) -> Option<&str> {
    if text.len() > LONGEST_EMAIL || memchr::memchr(b'@', text.as_bytes()).is_none() {
        return None;
    }
    let text = text.trim();
    let bare = match text.strip_suffix('>').and_then(|text| text.rsplit_once('<')) {
        Some((_, bare)) => bare,
        None => text,
    };
    let bare = match bare.get(..7) {
        Some(scheme) if scheme.eq_ignore_ascii_case("mailto:") => bare.get(7..)?,
        _ => bare,
    };
    let (local, domain) = bare.rsplit_once('@')?;
    let is_local = !local.is_empty()
        && local.chars().all(|c| {
            !c.is_whitespace()
                && !c.is_control()
                && !matches!(c, '/' | ':' | ',' | ';' | '<' | '>' | '(' | ')' | '@')
        });
    (is_local && is_domain(domain)).then_some(bare)
}

/// Whether a text is a domain with a dot in it, whose last part is no number.
pub(super) fn is_domain(text: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.chars().all(|c| {
                c.is_ascii_alphanumeric() || c == '-' || c == '_' || !c.is_ascii() && c.is_alphanumeric()
            })
    };
    text.split('.').all(is_label)
        && text.rsplit_once('.').is_some_and(|(_, last)| {
            last.chars().count() > 1 && !last.starts_with(|c: char| c.is_ascii_digit())
        })
}

/// An IP address, or a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Network {
    pub(super) address: IpAddr,
    /// How many bits are of the network, where that is written.
    pub(super) bits: Option<u8>,
}

/// How many bits of an address a truncated one keeps: 24 of IPv4, 48 of IPv6. A 6to4 address (RFC 3056) is an IPv4 one behind 16
/// bits.
pub(super) fn kept_bits(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 24,
        IpAddr::V6(address) if address.segments()[0] == 0x2002 => 16 + 24,
        IpAddr::V6(_) => 48,
    }
}

/// How many bits of an address say something, if it can be one that was truncated: so many as those keep.
pub(crate) fn bits_if_truncated(address: IpAddr) -> Option<u8> {
    let address = address.to_canonical();
    let truncated = Network { address, bits: None }.truncated();
    (truncated.address == address).then(|| kept_bits(address))
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bits {
            Some(bits) => write!(f, "{}/{bits}", self.address),
            None => write!(f, "{}", self.address),
        }
    }
}

impl Network {
    /// How many bits of an address a truncated one keeps.
    fn most(self) -> u8 {
        kept_bits(self.address)
    }

    /// The network it is in: [`kept_bits`] of it.
    pub(super) fn truncated(self) -> Self {
        let kept = self.bits.unwrap_or(u8::MAX).min(self.most());
        let address = match self.address {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(kept)).unwrap_or_default();
                Ipv4Addr::from_bits(address.to_bits() & mask).into()
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(kept)).unwrap_or_default();
                Ipv6Addr::from_bits(address.to_bits() & mask).into()
            }
        };
        Self { address, bits: self.bits.map(|_| kept) }
    }
}

/// Whether a text that begins so could be an IP address: told by one byte, before more is looked at.
#[inline]
pub(super) fn could_be_address(first: u8) -> bool {
    first.is_ascii_hexdigit() || matches!(first, b':' | b'[' | b' ' | b'\t')
}

/// What a text says if it is an IP address, canonical, or a network; a zone and a port are left out.
pub(super) fn network(text: &str) -> Option<Network> {
    if text.len() > LONGEST_ADDRESS {
        return None;
    }
    let text = text.trim();
    // Nearly everything else ends here: an id, a time, a word.
    let zone = memchr::memchr(b'%', text.as_bytes()).unwrap_or(text.len());
    let is_digit = |byte: u8| byte.is_ascii_hexdigit() || matches!(byte, b'.' | b':' | b'[' | b']' | b'/');
    if !text.as_bytes().get(..zone)?.iter().all(|byte| is_digit(*byte)) || !text.contains(['.', ':']) {
        return None;
    }
    if let Some((address, bits)) = text.split_once('/') {
        let address = bare(address)?;
        let bits = bits.parse().ok().filter(|bits| *bits <= if address.is_ipv4() { 32 } else { 128 })?;
        return Some(Network { address: address.to_canonical(), bits: Some(bits) });
    }
    let address = bare(text).or_else(|| {
        // With a port: `192.0.2.1:443`, `[2001:db8::1]:443`.
        let (address, port) = text.rsplit_once(':')?;
        port.parse::<u16>().ok()?;
        (address.contains('.') || address.ends_with(']')).then(|| bare(address)).flatten()
    })?;
    Some(Network { address: address.to_canonical(), bits: None })
}

/// An address alone, in brackets, or with a zone.
fn bare(text: &str) -> Option<IpAddr> {
    let text = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let text = text.split_once('%').map_or(text, |(text, _)| text);
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_an_email_address() {
        for text in [
            "ada@example.com",
            " Ada.Lovelace+x@sub.example.co.uk",
            "Ada Lovelace <ada@example.com>",
            "MAILTO:ada@example.com",
            "ada@bücher.example",
            "o'hara_1@example.com",
            "ada@xn--bcher-kva.example",
        ] {
            assert!(email(text).is_some(), "{text}");
        }
        for text in [
            "",
            "@",
            "ada@",
            "@example.com",
            "review@tools",
            "pkg@1.2.3",
            "@scope/pkg@1.0.0",
            "git@github.com:o/r.git",
            "https://ada@example.com/x",
            "mail ada@example.com",
            "a@example.com, b@example.com",
            "ada@example..com",
            "ada@example.c",
            &format!("{}@example.com", "a".repeat(600)),
        ] {
            assert_eq!(email(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_an_ip_address() {
        for (text, expected, truncated) in [
            ("192.0.2.77", "192.0.2.77", "192.0.2.0"),
            (" 192.0.2.77 ", "192.0.2.77", "192.0.2.0"),
            ("192.0.2.77:443", "192.0.2.77", "192.0.2.0"),
            ("::ffff:192.0.2.77", "192.0.2.77", "192.0.2.0"),
            ("2001:DB8:1:2::7", "2001:db8:1:2::7", "2001:db8:1::"),
            ("[2001:db8:1:2::7]:443", "2001:db8:1:2::7", "2001:db8:1::"),
            ("fe80::1%eth0", "fe80::1", "fe80::"),
            ("10.1.2.3/8", "10.1.2.3/8", "10.0.0.0/8"),
            ("10.1.2.3/32", "10.1.2.3/32", "10.1.2.0/24"),
            ("10.1.2.3/0", "10.1.2.3/0", "0.0.0.0/0"),
            ("2001:db8::/32", "2001:db8::/32", "2001:db8::/32"),
            ("::1", "::1", "::"),
            ("2002:c633:6411::1", "2002:c633:6411::1", "2002:c633:6400::"),
            ("2002:c633:6411::/48", "2002:c633:6411::/48", "2002:c633:6400::/40"),
        ] {
            let network = network(text).unwrap();
            assert_eq!(network.to_string(), expected, "{text}");
            assert_eq!(network.truncated().to_string(), truncated, "{text}");
        }
        for text in [
            "",
            ":",
            "1.2.3",
            "192.0.2.256",
            "192.0.2.01",
            "192.0.2.1/33",
            "2026-10-05T09:15:02Z",
            "09:15:02",
            "deadbeef",
            "cafe:babe",
            "1.2.3.4.5",
            "192.0.2.1:99999",
            "::1::",
            "192.0.2.1/",
            "example.com",
        ] {
            assert_eq!(network(text), None, "{text}");
        }
    }
}
