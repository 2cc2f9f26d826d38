//! The body of a page into records, as it arrives.
//!
//! Owns the frame (`data`, `has_more`, `first_id`, `last_id`, in any order) and where each record ends. What is valid inside a
//! record is the mapper's verdict; here only strings and brackets count, so that one bad record spoils no other.
//!
//! Memory is one record of the largest size plus what arrived last: a record that lies whole in what arrived is a slice of it,
//! only one that was cut in two is copied.
//!
//! The subtle thing: records are handed out before the page has ended, and a page that is cut is asked for again. That is no
//! harm, since whoever takes them knows which were given; but the cursor is told only by [`Pages::finish`], when all is there.

use bytes::{Bytes, BytesMut};
use serde_json::Value;

use crate::file::{Kind, Reason};

/// What is kept of a record that is too long.
const HEAD_BYTES: usize = 64 * 1024;

/// The longest cursor, or anything else in the frame, that is kept.
const MOST_FRAME: usize = 1 << 20;

/// The frame of a page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) has_more: Option<bool>,
    pub(super) first_id: Option<String>,
    pub(super) last_id: Option<String>,
}

/// Why a body is no page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoPage {
    #[error("the answer has no body")]
    Empty,
    #[error("the answer is no page of activities")]
    Other,
    #[error("the answer ends in the middle")]
    Cut,
}

/// Something in `data`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) bytes: Bytes,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Before the `{` of the page.
    Start,
    /// Where a key, or the end of the page, comes.
    Key,
    /// Between a key and its value.
    Colon,
    Value,
    /// After a value.
    AfterValue,
    /// In `data`, where an item, or its end, comes.
    Item,
    AfterItem,
    End,
}

/// What is being walked through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inside {
    Nothing,
    /// A string; its end is the end of what is walked through, unless it is within brackets.
    Text {
        escaped: bool,
        depth: u32,
        open: u8,
    },
    /// Brackets of one kind.
    Brackets {
        depth: u32,
        open: u8,
    },
    /// A number or a word.
    Plain,
}

/// Takes one page apart.
#[derive(Debug)]
pub(super) struct Pages {
    at: At,
    inside: Inside,
    /// The beginning of what is walked through, from earlier pieces.
    carry: BytesMut,
    /// How long it is in all.
    length: u64,
    key: Vec<u8>,
    frame: Frame,
    data: bool,
    wrong: bool,
    empty: bool,
    most: u64,
}

impl Pages {
    /// Before a page; records longer than `most` are not kept.
    pub(super) fn new(most: u64) -> Self {
        Self {
            at: At::Start,
            inside: Inside::Nothing,
            carry: BytesMut::new(),
            length: 0,
            key: Vec::new(),
            frame: Frame::default(),
            data: false,
            wrong: false,
            empty: true,
            most,
        }
    }

    /// Takes the next piece of the body; calls `take` for each item that ends in it.
    pub(super) fn feed(&mut self, piece: &Bytes, take: &mut impl FnMut(Item)) {
        let mut at = 0;
        while let Some(byte) = piece.get(at).copied() {
            if self.wrong {
                return;
            }
            if self.inside != Inside::Nothing {
                at = self.walk(piece, at, at, take);
                continue;
            }
            if byte.is_ascii_whitespace() || (self.at == At::Start && [0xef, 0xbb, 0xbf].contains(&byte)) {
                at += 1;
                continue;
            }
            self.empty = false;
            match (self.at, byte) {
                (At::Start, b'{') => self.at = At::Key,
                (At::Value, b'[') if self.key == b"data" => (self.at, self.data) = (At::Item, true),
                (At::Item, b']') => self.at = At::AfterValue,
                (At::Key, b'"') | (At::Value | At::Item, _) => {
                    self.length = 0;
                    self.inside = match byte {
                        b'"' => Inside::Text { escaped: false, depth: 0, open: 0 },
                        b'{' | b'[' => Inside::Brackets { depth: 1, open: byte },
                        _ => Inside::Plain,
                    };
                    let from = at;
                    at = if self.inside == Inside::Plain { at } else { at + 1 };
                    at = self.walk(piece, from, at, take);
                    continue;
                }
                (At::Key, b'}') | (At::AfterValue, b'}') => self.at = At::End,
                (At::Colon, b':') => self.at = At::Value,
                (At::AfterValue, b',') => self.at = At::Key,
                (At::AfterItem, b']') => self.at = At::AfterValue,
                (At::AfterItem, b',') => self.at = At::Item,
                _ => self.wrong = true,
            }
            at += 1;
        }
    }

    /// Walks on from `at` to the end of what is walked through, or of the piece. What belongs to it begins at `from`.
    fn walk(&mut self, piece: &Bytes, from: usize, mut at: usize, take: &mut impl FnMut(Item)) -> usize {
        let end = loop {
            let rest = piece.get(at..).unwrap_or_default();
            match self.inside {
                Inside::Nothing => break at,
                Inside::Text { escaped: true, depth, open } => {
                    if rest.is_empty() {
                        return self.keep(piece, from);
                    }
                    self.inside = Inside::Text { escaped: false, depth, open };
                    at += 1;
                }
                Inside::Text { escaped: false, depth, open } => match memchr::memchr2(b'"', b'\\', rest) {
                    None => return self.keep(piece, from),
                    Some(step) => {
                        at += step + 1;
                        self.inside = match (rest.get(step), depth) {
                            (Some(b'\\'), _) => Inside::Text { escaped: true, depth, open },
                            (_, 0) => Inside::Nothing,
                            _ => Inside::Brackets { depth, open },
                        };
                    }
                },
                Inside::Brackets { depth, open } => match memchr::memchr3(b'"', open, open + 2, rest) {
                    None => return self.keep(piece, from),
                    Some(step) => {
                        at += step + 1;
                        self.inside = match rest.get(step) {
                            Some(b'"') => Inside::Text { escaped: false, depth, open },
                            Some(byte) if *byte == open => {
                                Inside::Brackets { depth: depth.saturating_add(1), open }
                            }
                            _ if depth == 1 => Inside::Nothing,
                            _ => Inside::Brackets { depth: depth - 1, open },
                        };
                    }
                },
                Inside::Plain => {
                    let ends = |byte: &u8| b",]}".contains(byte) || byte.is_ascii_whitespace();
                    match rest.iter().position(ends) {
                        None => return self.keep(piece, from),
                        Some(step) => {
                            at += step;
                            self.inside = Inside::Nothing;
                        }
                    }
                }
            }
        };
        self.length += (end - from) as u64;
        let bytes = if self.carry.is_empty() {
            piece.slice(from..end)
        } else {
            let room = self.room();
            let part = piece.get(from..end).unwrap_or_default();
            self.carry.extend_from_slice(part.get(..part.len().min(room)).unwrap_or_default());
            self.carry.split().freeze()
        };
        self.ended(bytes, take);
        end
    }

    /// How much more of it is worth keeping.
    fn room(&self) -> usize {
        let most = if matches!(self.at, At::Item) { self.most } else { MOST_FRAME as u64 };
        usize::try_from(most).unwrap_or(usize::MAX).saturating_sub(self.carry.len())
    }

    /// The piece is used up in the middle of something.
    fn keep(&mut self, piece: &Bytes, from: usize) -> usize {
        let part = piece.get(from..).unwrap_or_default();
        self.length += part.len() as u64;
        let room = self.room();
        self.carry.extend_from_slice(part.get(..part.len().min(room)).unwrap_or_default());
        if self.at == At::Item && self.length > self.most {
            self.carry.truncate(HEAD_BYTES);
        }
        piece.len()
    }

    fn ended(&mut self, bytes: Bytes, take: &mut impl FnMut(Item)) {
        match self.at {
            At::Key => {
                self.key.clear();
                // A key with an escape in it is none of ours.
                self.key.extend_from_slice(bytes.get(1..bytes.len() - 1).unwrap_or_default());
                self.at = At::Colon;
            }
            At::Item => {
                let kind = match bytes.first() {
                    _ if self.length > self.most => Kind::TooLarge { length: self.length },
                    Some(b'{') => Kind::Record,
                    _ => Kind::Malformed(Reason::NotAnObject),
                };
                let bytes =
                    if self.length > self.most { bytes.slice(..bytes.len().min(HEAD_BYTES)) } else { bytes };
                self.wrong |= bytes.is_empty();
                self.at = At::AfterItem;
                take(Item { bytes, kind });
            }
            _ => {
                self.at = At::AfterValue;
                let value =
                    if self.length > MOST_FRAME as u64 { None } else { serde_json::from_slice(&bytes).ok() };
                match (self.key.as_slice(), value) {
                    (b"has_more", Some(Value::Bool(more))) => self.frame.has_more = Some(more),
                    (b"first_id", Some(Value::String(id))) => self.frame.first_id = Some(id),
                    (b"last_id", Some(Value::String(id))) => self.frame.last_id = Some(id),
                    (b"first_id" | b"last_id" | b"has_more", Some(Value::Null)) => {}
                    // No list of rows, no verdict that can be read, or no cursor: nothing to go on from.
                    (b"data" | b"first_id" | b"last_id" | b"has_more", _) | (_, None) => self.wrong = true,
                    _ => {}
                }
            }
        }
    }

    /// The body is over.
    ///
    /// # Errors
    ///
    /// When it was no whole page.
    pub(super) fn finish(self) -> Result<Frame, NoPage> {
        match self.at {
            _ if self.empty => Err(NoPage::Empty),
            _ if self.wrong => Err(NoPage::Other),
            At::End if self.data => Ok(self.frame),
            At::End => Err(NoPage::Other),
            _ => Err(NoPage::Cut),
        }
    }
}

#[cfg(test)]
#[path = "page_tests.rs"]
mod tests;
