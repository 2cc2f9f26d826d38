//! Finished pieces of a document for an address or a client: made once, copied often.
//!
//! The same few thousand addresses and few hundred clients stand in nearly every record; what is
//! known of each is looked up and written as JSON once, and kept in a bounded cache.

use std::net::IpAddr;

use hashbrown::HashMap;

use crate::cache::{Finished, FragmentCache, ShortKey};
use crate::enrich::user_agent::{self, UserAgent};
use crate::enrich::{GeoDatabases, GeoRecord, RecordKey};
use crate::json;
use crate::out::{Out, PADDING};
use crate::privacy::{bits_if_truncated, is_pseudonym};
use crate::text::shorten;

/// As much of an address that is none as a sentence shows, in bytes.
const LONGEST_NAME: usize = 128;

/// Addresses kept: half of them already hit 97 of 100 look-ups of a realistic feed, and one takes a cache line.
const ADDRESSES: usize = 8192;
/// Distinct findings kept; when they are more, all is forgotten.
const FINDINGS: usize = 4 * ADDRESSES;

/// What the document says of an address, beside the address itself.
#[derive(Default)]
pub(crate) struct Address {
    /// The members of `source` behind the address, each with a comma before it.
    members: Padded,
    /// The value of `anthropic.audit.anonymizer`; empty when nothing is known.
    pub(crate) anonymizer: Box<[u8]>,
    /// What stands behind the address in the sentence, escaped: ` (Berlin, DE)`.
    place: Padded,
    pub(crate) is_ip: bool,
    /// A database could not be read at this address.
    pub(crate) is_broken: bool,
}

/// What is known of addresses. Many addresses share what is known of them, so that it is kept once, and the
/// memory that a feed of many addresses keeps busy stays small.
pub(crate) struct Addresses {
    by_text: FragmentCache<Known>,
    findings: Vec<Address>,
    by_key: HashMap<RecordKey, u32>,
    /// What is known of all texts that are no address: nothing.
    none: Option<u32>,
    /// Misses of caches that were forgotten.
    misses: u64,
    /// Addresses may have been truncated before they came here.
    are_truncated: bool,
}

/// An address, and the number of what is known of it.
#[derive(Default)]
struct Known {
    text: ShortKey,
    finding: u32,
}

impl Finished for Known {
    #[inline]
    fn is_for(&self, key: &str) -> bool {
        self.text.is(key)
    }

    fn keeps(key: &str) -> bool {
        ShortKey::takes(key)
    }
}

impl Addresses {
    pub(crate) fn new(are_truncated: bool) -> Self {
        Self {
            are_truncated,
            by_text: FragmentCache::new(ADDRESSES),
            findings: Vec::new(),
            by_key: HashMap::new(),
            none: None,
            misses: 0,
        }
    }

    /// How many addresses had to be looked up since this was asked last.
    pub(crate) fn take_misses(&mut self) -> u64 {
        std::mem::take(&mut self.misses) + self.by_text.take_misses()
    }

    /// What is known of an address, as a number for [`Addresses::get`].
    #[inline]
    pub(crate) fn find(&mut self, text: &str, geo: &GeoDatabases) -> u32 {
        let Self { by_text, findings, by_key, none, misses, are_truncated } = self;
        if findings.len() > FINDINGS {
            *misses += by_text.take_misses();
            *by_text = FragmentCache::new(ADDRESSES);
            findings.clear();
            by_key.clear();
            *none = None;
        }
        let found = by_text.find(text, |text| {
            let address = text.parse::<IpAddr>().ok();
            let most = address.filter(|_| *are_truncated).and_then(bits_if_truncated);
            let mut add = || {
                findings
                    .push(address.map_or_else(Address::default, |address| Address::new(address, most, geo)));
                findings.len() as u32 - 1
            };
            let finding = match (address, address.and_then(|address| geo.key(address, most))) {
                (_, Some(key)) => *by_key.entry(key).or_insert_with(add),
                (Some(_), None) => add(),
                (None, None) => *none.get_or_insert_with(add),
            };
            Known { text: ShortKey::new(text), finding }
        });
        self.by_text.get(found).finding
    }

    #[inline]
    pub(crate) fn get(&self, address: u32) -> Option<&Address> {
        self.findings.get(address as usize)
    }
}

/// What the document says of a client.
#[derive(Default)]
pub(crate) struct Agent {
    /// The members of `user_agent`.
    members: Padded,
    /// The client, where it does not stand in the members as it is.
    escaped: Option<Box<str>>,
    /// How long the client is.
    len: usize,
}

/// What stands before the client in the members of `user_agent`.
const ORIGINAL: &str = "\"original\":\"";
/// Longer clients are not kept.
const LONGEST_AGENT: usize = 1024;

/// The client is compared where it is about to be copied from: that costs fewer cache lines than a key of its own.
impl Finished for Agent {
    #[inline]
    fn is_for(&self, key: &str) -> bool {
        match &self.escaped {
            None => {
                self.len == key.len()
                    && self.members.0.get(ORIGINAL.len()..ORIGINAL.len() + key.len()) == Some(key.as_bytes())
            }
            Some(text) => **text == *key,
        }
    }

    fn keeps(key: &str) -> bool {
        key.len() <= LONGEST_AGENT
    }
}

/// Bytes that [`Out::put_padded`] can copy.
#[derive(Default)]
struct Padded(Box<[u8]>);

impl Padded {
    fn new(bytes: &[u8]) -> Self {
        Self([bytes, &[0; PADDING]].concat().into())
    }

    #[inline]
    fn write(&self, out: &mut Out) {
        if let Some(end) = self.0.len().checked_sub(PADDING) {
            out.put_padded(&self.0, 0, end);
        }
    }
}

impl Address {
    fn new(address: IpAddr, most: Option<u8>, geo: &GeoDatabases) -> Self {
        let (found, is_broken) = match geo.lookup_of_network(address, most) {
            Ok(found) => (found.unwrap_or_default(), false),
            Err(broken) => (broken.partial, true),
        };
        Self {
            members: Padded::new(&members(&found)),
            anonymizer: anonymizer(&found),
            place: Padded::new(&place(&found)),
            is_ip: true,
            is_broken,
        }
    }

    /// Writes the members of `source` for the address `text`.
    #[inline]
    pub(crate) fn write_source(&self, out: &mut Out, text: &str) {
        if self.is_ip {
            out.put(b"\"ip\":\"");
            out.put(text.as_bytes());
            out.push(b'"');
            self.members.write(out);
        } else {
            out.put(b"\"address\":");
            json::push_string(out, text);
        }
    }

    /// Writes the end of the sentence: ` from 192.0.2.1 (Berlin, DE)`.
    #[inline]
    pub(crate) fn write_place(&self, out: &mut Out, text: &str) {
        out.put(b" from ");
        if self.is_ip {
            out.put(text.as_bytes());
        } else {
            json::push_escaped(out, shorten(text, LONGEST_NAME));
        }
        self.place.write(out);
    }
}

fn members(found: &GeoRecord<'_>) -> Box<[u8]> {
    let mut organization = Members::default();
    organization.text("name", found.as_organization_name);
    let mut network = Members::default();
    network.raw("number", found.as_number.map(|number| number.to_string()));
    network.object("organization", organization);
    let mut geo = Members::default();
    geo.text("continent_code", found.continent_code);
    geo.text("continent_name", found.continent_name);
    geo.text("country_iso_code", found.country_iso_code);
    geo.text("country_name", found.country_name);
    geo.text("region_iso_code", found.region_iso_code.as_deref());
    geo.text("region_name", found.region_name);
    geo.text("city_name", found.city_name);
    geo.text("postal_code", found.postal_code);
    geo.text("timezone", found.timezone);
    let location = found.location.map(|at| format!("{{\"lat\":{},\"lon\":{}}}", at.lat, at.lon));
    geo.raw("location", location);
    let mut members = Members::default();
    members.object("as", network);
    members.object("geo", geo);
    let members = members.finish();
    if members.is_empty() { members } else { [b",", &*members].concat().into() }
}

fn anonymizer(found: &GeoRecord<'_>) -> Box<[u8]> {
    let flags = &found.anonymizer;
    let kinds = [
        (flags.is_anonymous, "anonymous"),
        (flags.is_anonymous_vpn, "anonymous_vpn"),
        (flags.is_hosting_provider, "hosting_provider"),
        (flags.is_public_proxy, "public_proxy"),
        (flags.is_residential_proxy, "residential_proxy"),
        (flags.is_tor_exit_node, "tor_exit_node"),
    ];
    let names: Vec<String> =
        kinds.iter().filter(|(set, _)| *set).map(|(_, name)| format!("\"{name}\"")).collect();
    if names.is_empty() { Box::default() } else { format!("[{}]", names.join(",")).into_bytes().into() }
}

fn place(found: &GeoRecord<'_>) -> Box<[u8]> {
    let names = match (found.city_name, found.country_iso_code.or(found.country_name)) {
        (Some(city), Some(country)) => format!(" ({city}, {country})"),
        (Some(only), None) | (None, Some(only)) => format!(" ({only})"),
        (None, None) => String::new(),
    };
    json::escaped(&names)
}

impl Agent {
    pub(crate) fn new(text: &str) -> Self {
        // A pseudonym is no client, though it could be one's name.
        let agent = if is_pseudonym(text) { UserAgent::default() } else { user_agent::parse(text) };
        let mut members = Members::default();
        members.text("original", Some(text));
        members.text("name", agent.name);
        members.text("version", agent.version);
        let mut device = Members::default();
        device.text("name", agent.device_name);
        members.object("device", device);
        let mut os = Members::default();
        os.text("name", agent.os.name);
        os.text("version", agent.os.version.as_deref());
        os.text("full", agent.os.full.as_deref());
        os.text("family", agent.os.family);
        os.text("type", agent.os.os_type.map(|os_type| os_type.as_str()));
        members.object("os", os);
        let members = Padded::new(&members.finish());
        let is_plain = members.0.get(ORIGINAL.len()..).is_some_and(|rest| rest.starts_with(text.as_bytes()));
        Self { members, escaped: (!is_plain).then(|| text.into()), len: text.len() }
    }

    /// Writes the members of `user_agent`.
    #[inline]
    pub(crate) fn write(&self, out: &mut Out) {
        self.members.write(out);
    }
}

/// The members of a JSON object, without its braces.
#[derive(Default)]
struct Members(Out);

impl Members {
    fn finish(self) -> Box<[u8]> {
        self.0.as_slice().into()
    }

    fn key(&mut self, name: &str) {
        if self.0.len() > 0 {
            self.0.push(b',');
        }
        json::push_string(&mut self.0, name);
        self.0.push(b':');
    }

    fn text(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            self.key(name);
            json::push_string(&mut self.0, value);
        }
    }

    fn raw(&mut self, name: &str, value: Option<String>) {
        if let Some(value) = value {
            self.key(name);
            self.0.put(value.as_bytes());
        }
    }

    fn object(&mut self, name: &str, inner: Self) {
        if inner.0.len() > 0 {
            self.key(name);
            self.0.push(b'{');
            self.0.put(inner.0.as_slice());
            self.0.push(b'}');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_and_what_is_known_of_it_share_a_cache_line() {
        assert!(size_of::<(u64, Known)>() <= 64);
    }

    #[test]
    fn an_agent_is_for_its_text_alone() {
        let texts =
            ["", "curl", "curl/8.0", "curl/8", "a \"quoted\\\" one", "\"", "curl/8.0\",\"name\":\"curl"];
        for made_for in texts {
            let agent = Agent::new(made_for);
            for text in texts {
                assert_eq!(agent.is_for(text), text == made_for, "{made_for} {text}");
            }
        }
    }
}
