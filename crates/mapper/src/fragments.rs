//! Finished pieces of a document for an address or a client: made once, copied often.
//!
//! The same few thousand addresses and few hundred clients stand in nearly every record; what is
//! known of each is looked up and written as JSON once, and kept in a bounded cache.

use std::net::IpAddr;

use crate::enrich::{GeoDatabases, GeoRecord, user_agent};
use crate::json;

/// What the document says of an address.
#[derive(Default)]
pub(crate) struct Address {
    /// The members of `source`.
    pub(crate) source: Box<[u8]>,
    /// The value of `anthropic.audit.source.anonymizer`; empty when nothing is known.
    pub(crate) anonymizer: Box<[u8]>,
    /// The end of the sentence, escaped: ` from 192.0.2.1 (Berlin, DE)`.
    pub(crate) place: Box<[u8]>,
    pub(crate) is_ip: bool,
    /// A database could not be read at this address.
    pub(crate) is_broken: bool,
}

/// What the document says of a client.
#[derive(Default)]
pub(crate) struct Agent {
    /// The members of `user_agent`.
    pub(crate) members: Box<[u8]>,
}

impl Address {
    pub(crate) fn new(text: &str, geo: &GeoDatabases) -> Self {
        let Ok(address) = text.parse::<IpAddr>() else {
            let mut source = Members::default();
            source.text("address", Some(text));
            let mut place = b" from ".to_vec();
            json::push_escaped(&mut place, shorten(text));
            return Self { source: source.0.into(), place: place.into(), ..Self::default() };
        };
        let (found, is_broken) = match geo.lookup(address) {
            Ok(found) => (found.unwrap_or_default(), false),
            Err(broken) => (broken.partial, true),
        };
        Self {
            source: source(text, &found).into(),
            anonymizer: anonymizer(&found).into(),
            place: place(text, &found).into(),
            is_ip: true,
            is_broken,
        }
    }
}

fn source(text: &str, found: &GeoRecord<'_>) -> Vec<u8> {
    let mut source = Members::default();
    source.text("ip", Some(text));
    let mut organization = Members::default();
    organization.text("name", found.as_organization_name);
    let mut network = Members::default();
    network.raw("number", found.as_number.map(|number| number.to_string()));
    network.object("organization", organization);
    source.object("as", network);
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
    source.object("geo", geo);
    source.0
}

fn anonymizer(found: &GeoRecord<'_>) -> Vec<u8> {
    let flags = &found.anonymizer;
    let kinds = [
        (flags.is_anonymous, "anonymous"),
        (flags.is_anonymous_vpn, "anonymous_vpn"),
        (flags.is_hosting_provider, "hosting_provider"),
        (flags.is_public_proxy, "public_proxy"),
        (flags.is_residential_proxy, "residential_proxy"),
        (flags.is_tor_exit_node, "tor_exit_node"),
    ];
    let names: Vec<String> = kinds.iter().filter(|(set, _)| *set).map(|(_, name)| format!("\"{name}\"")).collect();
    if names.is_empty() { Vec::new() } else { format!("[{}]", names.join(",")).into_bytes() }
}

fn place(text: &str, found: &GeoRecord<'_>) -> Vec<u8> {
    let mut place = format!(" from {text}").into_bytes();
    let names = match (found.city_name, found.country_iso_code.or(found.country_name)) {
        (Some(city), Some(country)) => format!(" ({city}, {country})"),
        (Some(only), None) | (None, Some(only)) => format!(" ({only})"),
        (None, None) => String::new(),
    };
    json::push_escaped(&mut place, &names);
    place
}

impl Agent {
    pub(crate) fn new(text: &str) -> Self {
        let agent = user_agent::parse(text);
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
        Self { members: members.0.into() }
    }
}

fn shorten(text: &str) -> &str {
    let mut end = text.len().min(128);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The members of a JSON object, without its braces.
#[derive(Default)]
struct Members(Vec<u8>);

impl Members {
    fn key(&mut self, name: &str) {
        if !self.0.is_empty() {
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
            self.0.extend_from_slice(value.as_bytes());
        }
    }

    fn object(&mut self, name: &str, inner: Self) {
        if !inner.0.is_empty() {
            self.key(name);
            self.0.push(b'{');
            self.0.extend_from_slice(&inner.0);
            self.0.push(b'}');
        }
    }
}
