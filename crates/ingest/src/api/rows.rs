//! One page's records: which of them are new, and what they say about the walk.
//!
//! Owns the look at `id`, `created_at` and our own footprint, and the counts of one page. Must not know requests.
//!
//! The subtle thing: the counts are of a page that may fail and come again. They become the walk's only when the page is
//! whole, and a record given in a failed attempt is still new in the next.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::page::{Item, Pages};
use super::position::{Task, Walk};
use super::refusal::Head;
use super::seen::{Key, Seen};
use super::tally::Tally;
use super::time::Micros;
use crate::file::Kind;
use crate::source::{Origin, RawRecord};

/// What the reader looks at in a record.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Look<'r> {
    #[serde(borrow, default, deserialize_with = "text")]
    pub(super) id: Option<Cow<'r, str>>,
    #[serde(borrow, default, deserialize_with = "text")]
    pub(super) created_at: Option<Cow<'r, str>>,
    #[serde(borrow, default, rename = "type", deserialize_with = "text")]
    pub(super) kind: Option<Cow<'r, str>>,
    #[serde(borrow, default, deserialize_with = "text")]
    pub(super) request_id: Option<Cow<'r, str>>,
}

impl<'r> Look<'r> {
    /// None where the record is none that serde can read.
    pub(super) fn at(bytes: &'r [u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}

/// A text, or nothing if it is anything else.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Cow<'de, str>>, D::Error> {
    struct Text;
    impl<'de> Visitor<'de> for Text {
        type Value = Option<Cow<'de, str>>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("anything")
        }
        fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
            Ok(Some(Cow::Borrowed(text)))
        }
        fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
            Ok(Some(Cow::Owned(text.to_owned())))
        }
        fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
            Ok(None)
        }
        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
            Ok(None)
        }
        fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
            Ok(None)
        }
        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
            Ok(None)
        }
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            Ok(None)
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            Ok(None)
        }
    }
    deserializer.deserialize_any(Text)
}

/// What is taken in of a page.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) task: Task,
    pub(super) head: Head,
    pub(super) limit: u32,
    pub(super) pages: Pages,
    /// The body of a refusal.
    pub(super) refusal: Vec<u8>,
    pub(super) tally: Tally,
    /// Times of its rows that move the walk, first and last.
    pub(super) walk: Walk,
    pub(super) request_id: Arc<str>,
    pub(super) items: u32,
    pub(super) records: Vec<RawRecord>,
    pub(super) seen: Vec<Seen>,
    pub(super) bytes: usize,
    /// Rows that look damaged and are not given before the page was asked for again.
    pub(super) doubtful: u32,
    /// How late its late rows are, in seconds.
    pub(super) late: Vec<u64>,
}

/// What was found out about a row.
pub(super) struct Row {
    pub(super) seen: Seen,
    /// When it was made, if it says so.
    pub(super) created: Option<Micros>,
    /// Whether this walk has met it before.
    pub(super) repeats: bool,
}

impl Page {
    /// Notes a row, whether it is new or not.
    pub(super) fn row(&mut self, item: &Item, look: &Look<'_>, now: Micros) -> Row {
        let created = look.created_at.as_deref().and_then(Micros::parse);
        let key = look.id.as_deref().map_or_else(|| Key::of_bytes(&item.bytes), Key::of_id);
        self.items += 1;
        let repeats = self.tally.repeats(created, key);
        if !repeats {
            self.tally.records += 1;
            match &look.id {
                Some(id) => self.tally.id(id.as_bytes()),
                None => {
                    self.tally.without_id += 1;
                    self.tally.id(key.hex().as_bytes());
                }
            }
        }
        if let Some(created) = created {
            self.walk.reach(created);
        }
        Row { seen: Seen { key, created: created.unwrap_or(now) }, created, repeats }
    }

    /// Counts a row as new, and gives it out unless an earlier attempt at this page did.
    pub(super) fn fresh(&mut self, item: Item, row: &Row, attempted: &mut HashSet<Key>) -> bool {
        self.tally.new += 1;
        if !attempted.insert(row.seen.key) {
            return false;
        }
        self.bytes += item.bytes.len();
        let origin = Origin::Api { request_id: Arc::clone(&self.request_id), item: self.items - 1 };
        self.records.push(RawRecord { bytes: item.bytes, kind: item.kind, origin });
        self.seen.push(row.seen);
        true
    }
}

/// Lets go of a piece of a body, so many bytes long, of which little was new. A record is a slice of the piece it came in and
/// keeps the whole of it in memory; most of what a re-read meets was given long ago, and only what is given is reckoned with.
pub(super) fn detach(new: &mut [RawRecord], piece: usize) {
    if new.iter().map(|record| record.bytes.len()).sum::<usize>() < piece / 2 {
        for record in new {
            record.bytes = Bytes::copy_from_slice(&record.bytes);
        }
    }
}

/// What can be seen of a row. None if it looks damaged: it may come whole when the page is asked for again.
pub(super) fn look(item: &Item) -> Option<Look<'_>> {
    match item.kind {
        Kind::Record => Look::at(&item.bytes),
        Kind::Malformed(_) => None,
        Kind::TooLarge { .. } => Some(Look::default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_of_which_little_is_new_is_not_kept_in_memory() {
        let piece = Bytes::from(vec![b'x'; 1_000]);
        let record = |range| RawRecord {
            bytes: piece.slice(range),
            kind: Kind::Record,
            origin: Origin::Api { request_id: "r".into(), item: 0 },
        };
        for (mut records, kept) in
            [(vec![record(0..100), record(300..600)], false), (vec![record(0..500)], true)]
        {
            detach(&mut records, piece.len());
            assert!(records.iter().all(|record| record.bytes.is_unique() != kept && record.bytes[0] == b'x'));
        }
    }

    #[test]
    fn odd_values_are_no_ids_and_spoil_nothing() {
        let record = br#"{"id":["x"],"created_at":7,"type":{"a":1},"request_id":null,"n":123456789012345678901234567890,"s":"\ud800"}"#;
        let look = Look::at(record).unwrap();
        assert!(look.id.is_none() && look.created_at.is_none() && look.kind.is_none());
        let look = Look::at(br#"{"s":"\ud800","n":1e999,"id":"a\u0062","type":"t"}"#).unwrap();
        assert_eq!((look.id.as_deref(), look.kind.as_deref()), (Some("ab"), Some("t")));
        assert!(Look::at(br#"{"id":"a","#).is_none());
    }
}
