//! Cursors: how a place in a listing is written down and read back.
//!
//! Owns the encoding and its checks. A cursor carries the order and the filters it was made under;
//! whether another question may use it is a setting, because the vendor does not say.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::filter::Filter;
use super::row::{Place, number_of};
use super::store::Order;
use crate::clock::Micros;

/// What cursors look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CursorStyle {
    /// Base64 of JSON, as met live.
    #[default]
    Opaque,
    /// A bare activity id, as in the vendor's examples.
    RawIds,
    /// As [`CursorStyle::Opaque`], and that many bytes long at least.
    Long(usize),
}

/// What stands in a cursor.
#[derive(Serialize, Deserialize)]
struct Written {
    id: String,
    t: Micros,
    /// Whether ascending, and the question.
    o: bool,
    q: u64,
    /// When it was handed out.
    at: Micros,
    /// Over all of the above, so that an altered cursor is known.
    s: u64,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pad: String,
}

/// A cursor read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Read {
    /// A place, and when the cursor was made; the question is the same or not said.
    Place { place: Place, made: Option<Micros> },
    /// A raw id: the caller knows where it stands, if anywhere.
    Id(u128),
}

/// Writes and reads the cursors of one tenant.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursors {
    pub(crate) seed: u64,
    pub(crate) style: CursorStyle,
    pub(crate) strict: bool,
}

impl Cursors {
    pub(crate) fn write(&self, place: Place, order: Order, filter: &Filter, now: Micros) -> String {
        if self.style == CursorStyle::RawIds {
            return place.id();
        }
        let mut written = Written {
            id: place.id(),
            t: place.created,
            o: order == Order::Ascending,
            q: question(filter),
            at: now,
            s: 0,
            pad: String::new(),
        };
        written.s = self.sum(&written);
        if let CursorStyle::Long(bytes) = self.style {
            written.pad = "0".repeat(bytes);
        }
        // Plain strings and numbers always serialize.
        URL_SAFE_NO_PAD.encode(serde_json::to_string(&written).unwrap_or_default())
    }

    /// Nothing when it cannot be read, was altered, or (if strict) belongs to another question.
    pub(crate) fn read(&self, text: &str, order: Order, filter: &Filter) -> Option<Read> {
        if let Some(number) = number_of(text) {
            return Some(Read::Id(number));
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let written: Written = serde_json::from_slice(&bytes).ok()?;
        let place = Place { created: written.t, number: number_of(&written.id)? };
        let same = written.o == (order == Order::Ascending) && written.q == question(filter);
        (written.s == self.sum(&written) && (same || !self.strict))
            .then_some(Read::Place { place, made: Some(written.at) })
    }

    fn sum(&self, written: &Written) -> u64 {
        let Written { id, t, o, q, at, .. } = written;
        hash(&format!("{}/{id}/{t}/{o}/{q}/{at}", self.seed))
    }
}

/// The filters in one number.
fn question(filter: &Filter) -> u64 {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write!(text, "{filter:?}");
    hash(&text)
}

/// FNV-1a, which is the same on every platform and for ever. Kept to 53 bits, so that JSON carries it exactly.
pub(crate) fn hash(text: &str) -> u64 {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash >> 11
}
