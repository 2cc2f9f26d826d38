//! A page of the feed as text, and the faults that are made while it is written.
//!
//! Owns the body of `GET /v1/compliance/activities`; what it holds was selected by the store.

use super::cursor::{Cursors, Read};
use super::faults::{Fault, FaultKind};
use super::filter::{Filter, Parameters};
use super::keys::Key;
use super::refusal::{Dialect, Refusal};
use super::row::{Place, Row};
use super::settings::Settings;
use super::shape::Shape;
use super::store::{Order, Page, Query, Side, Store};
use super::tenant::CATALOG;
use crate::clock::{Micros, instant};

/// What a listing needs to know.
pub(crate) struct Listing<'s> {
    pub(crate) settings: &'s Settings,
    pub(crate) store: &'s Store,
    pub(crate) organization: (&'s str, &'s str),
    pub(crate) now: Micros,
    pub(crate) fault: Option<&'s Fault>,
}

impl Listing<'_> {
    /// The body and how many records it has.
    pub(crate) fn answer(&self, pairs: &[(String, String)], key: &Key) -> Result<(Vec<u8>, usize), Refusal> {
        if !self.settings.knows_order && pairs.iter().any(|(name, _)| name == "order") {
            return Err(Refusal::unknown_parameter("order", &[]));
        }
        let strict = self.settings.dialect == Dialect::October;
        let Parameters { filter, order, limit, after, before } = Parameters::read(pairs, &CATALOG, strict)?;
        self.reaches(key, &filter)?;
        let sent = after.clone();
        let cursor = match (after, before) {
            (Some(text), _) => Some((Side::After, self.place(&text, order, &filter, "after_id")?)),
            (_, Some(text)) => Some((Side::Before, self.place(&text, order, &filter, "before_id")?)),
            _ => None,
        };
        let query = Query { filter, order, cursor, limit };
        let mut page = self.store.page(&query, self.now);
        if let (true, Some((Side::After, place))) = (self.is(FaultKind::Duplicate), cursor) {
            page.rows.splice(..0, self.store.get(place).map(|row| (place, row)));
        }
        Ok((self.write(&page, &query, sent.as_deref()), page.rows.len()))
    }

    fn is(&self, kind: FaultKind) -> bool {
        self.fault.is_some_and(|fault| fault.kind == kind)
    }

    fn write(&self, page: &Page<'_>, query: &Query, sent: Option<&str>) -> Vec<u8> {
        let redacted = self.redacts() || self.is(FaultKind::Changed);
        let mut body = Vec::with_capacity(page.rows.len() * 640 + 400);
        body.extend_from_slice(b"{\"data\":[");
        for (index, (place, row)) in page.rows.iter().enumerate() {
            if index > 0 {
                body.push(b',');
            }
            let begin = body.len();
            row.write(*place, redacted, &mut body);
            if index == page.rows.len() / 2 {
                self.spoil(&mut body, begin);
            }
        }
        let cursors = self.cursors();
        let end = |edge: Option<&(Place, &Row)>| match edge {
            _ if self.is(FaultKind::CursorNull) => "null".to_owned(),
            Some((place, _)) => {
                format!("\"{}\"", cursors.write(*place, query.order, &query.filter, self.now))
            }
            None => "null".to_owned(),
        };
        let (first, mut last) = (end(page.rows.first()), end(page.rows.last()));
        if let (true, Some(sent)) = (self.is(FaultKind::CursorRepeated), sent) {
            last = format!("\"{sent}\"");
        }
        let pretends = self.is(FaultKind::CursorRepeated) || self.is(FaultKind::CursorNull);
        body.push(b']');
        if !self.is(FaultKind::HasMoreMissing) {
            body.extend_from_slice(format!(",\"has_more\":{}", page.has_more || pretends).as_bytes());
        }
        body.extend_from_slice(format!(",\"first_id\":{first},\"last_id\":{last}}}").as_bytes());
        body
    }

    /// What a fault does to the record just written, which begins at `begin`.
    fn spoil(&self, body: &mut Vec<u8>, begin: usize) {
        match self.fault {
            Some(Fault { kind: FaultKind::Shape, shape, .. }) => {
                let record = String::from_utf8_lossy(&body.split_off(begin)).into_owned();
                body.extend_from_slice(Shape::chosen(*shape, &record).bend(&record).as_bytes());
            }
            Some(Fault { kind: FaultKind::Undecodable, .. }) => {
                body.pop();
                // Braces and quotes are in order, so the record's end can be found; the escape is none.
                body.extend_from_slice(br#","note":"\x"}"#);
            }
            Some(Fault { kind: FaultKind::Huge, bytes, .. }) => {
                body.pop();
                body.extend_from_slice(b",\"padding\":\"");
                body.resize(body.len() + bytes.unwrap_or(64 << 20), b'x');
                body.extend_from_slice(b"\"}");
            }
            _ => {}
        }
    }

    /// Whether the key reads every organization asked for.
    fn reaches(&self, key: &Key, filter: &Filter) -> Result<(), Refusal> {
        let (id, uuid) = self.organization;
        let known = |name: &String| {
            (name == id || name == uuid) && (key.organizations.is_empty() || key.organizations.contains(name))
        };
        match filter.organizations.iter().find(|name| !known(name)) {
            Some(name) => Err(Refusal::outside(name)),
            None => Ok(()),
        }
    }

    fn place(&self, text: &str, order: Order, filter: &Filter, parameter: &str) -> Result<Place, Refusal> {
        let refused = || Refusal::cursor(parameter);
        match self.cursors().read(text, order, filter).ok_or_else(refused)? {
            Read::Place { place, made } => {
                let age = made.map_or(0, |made| self.now - made);
                let expired = self.settings.cursor_lifetime.is_some_and(|lifetime| age > lifetime);
                if expired { Err(refused()) } else { Ok(place) }
            }
            Read::Id(number) => self.store.find(number).ok_or_else(refused),
        }
    }

    fn cursors(&self) -> Cursors {
        let Settings { seed, cursors: style, strict_cursors: strict, .. } = *self.settings;
        Cursors { seed, style, strict }
    }

    /// Whether names are gone from records by now.
    fn redacts(&self) -> bool {
        let usual = match self.settings.dialect {
            Dialect::August => Micros::MAX,
            Dialect::October => instant((2026, 9, 24), 0, 0, 0),
        };
        self.now >= self.settings.redacted_from.unwrap_or(usual)
    }
}
