//! A raw record, parsed: simd-json's tape, with every number's own text within reach.
//!
//! Two parsers stand behind one [`Record`]. The fast one is simd-json on reused buffers. Where it
//! refuses a record (integers beyond 64 bits, lone surrogates, very deep nesting) or would change one
//! (a fraction turned into the nearest `f64`), [`crate::exact`] reads the same bytes without loss.
//!
//! A record of a known layout is not parsed: its nodes are its values, and only those that the layout cannot read go
//! through simd-json.

use std::cell::Cell;

use simd_json::{Buffers, INPUT_PADDING, Node, StaticNode, Tape, fill_tape_padded};

use crate::exact::{self, Exact};

/// The reused buffers of both parsers.
pub(crate) struct Parser {
    input: Vec<u8>,
    buffers: Buffers,
    tape: Tape<'static>,
}

/// The record is not JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NotJson {
    /// What was expected at the offset.
    pub(crate) expected: &'static str,
    /// Byte offset in the record.
    pub(crate) offset: usize,
}

impl Parser {
    pub(crate) fn new() -> Self {
        Self { input: Vec::new(), buffers: Buffers::new(4096), tape: Tape(Vec::new()) }
    }

    /// Parses `raw` and calls `read` with the result. `read` gets it once, or twice if it answers
    /// `None` to say that it met a fraction: the second time every number's text is at hand.
    pub(crate) fn parse<R>(
        &mut self,
        raw: &[u8],
        mut read: impl FnMut(&Record<'_>) -> Option<R>,
    ) -> Result<R, NotJson> {
        // simd-json unescapes strings in place and reads past the end: it gets a padded copy.
        let padded = raw.len() + INPUT_PADDING;
        self.make_room(raw.len());
        self.input[..raw.len()].copy_from_slice(raw);
        let mut tape = std::mem::replace(&mut self.tape, Tape(Vec::new())).reset();
        let parsed = fill_tape_padded(&mut self.input[..padded], raw.len(), &mut self.buffers, &mut tape);
        let answer = match parsed {
            Ok(()) => read(&Record { nodes: &tape.0, exact: None, raw, value: Cell::new(0) }),
            Err(_) => None,
        };
        self.tape = tape.reset();
        if answer.is_none() {
            // The exact parser takes as much again.
            self.shrink(crate::LARGE_RECORD);
        }
        match answer {
            Some(answer) => Ok(answer),
            None => Self::parse_exactly(raw, read),
        }
    }

    /// Reads some values of a record of a known layout. A text takes its place among `values`; a container goes behind them, and
    /// the place says where. Nothing if one is not JSON, or is a container with nothing in it.
    #[cold]
    pub(crate) fn parse_values<'a>(
        &'a mut self,
        raw: &[u8],
        unread: &[Unread],
        values: &mut Vec<Node<'a>>,
    ) -> Option<()> {
        // One call reads them all, as the items of an array.
        let len = unread.iter().map(|part| part.end - part.start + 1).sum::<usize>() + 1;
        self.make_room(len);
        let Self { input, buffers, tape } = self;
        let mut at = 0;
        for part in unread {
            input[at] = if at == 0 { b'[' } else { b',' };
            let end = at + 1 + (part.end - part.start);
            input.get_mut(at + 1..end)?.copy_from_slice(raw.get(part.start..part.end)?);
            at = end;
        }
        input[at] = b']';
        let mut parsed = std::mem::replace(tape, Tape(Vec::new())).reset();
        let is_json = fill_tape_padded(&mut input[..len + INPUT_PADDING], len, buffers, &mut parsed).is_ok();
        let nodes = if is_json { parsed.0.as_slice() } else { &[] };
        let taken = take(nodes, unread, values);
        *tape = parsed.reset();
        taken
    }

    /// Makes the input large enough for `len` bytes and the padding.
    fn make_room(&mut self, len: usize) {
        let padded = len + INPUT_PADDING;
        if self.input.len() < padded {
            self.input.resize(padded.next_power_of_two(), 0);
        }
    }

    #[cold]
    fn parse_exactly<R>(raw: &[u8], mut read: impl FnMut(&Record<'_>) -> Option<R>) -> Result<R, NotJson> {
        let exact = exact::parse(raw)?;
        let nodes = exact.nodes();
        let answer = read(&Record { nodes: &nodes, exact: Some(&exact), raw, value: Cell::new(0) });
        answer.ok_or(NotJson { expected: "a readable record", offset: 0 })
    }

    /// Gives back what one huge record made the buffers grow by.
    pub(crate) fn shrink(&mut self, bytes: usize) {
        if self.input.len() > bytes {
            *self = Self::new();
        }
    }
}

/// A value that a layout leaves to the parser: its number, and where it stands in the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unread {
    pub(crate) value: usize,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// Set in the number of a value that is a container: in its place stands where its nodes are.
pub(crate) const CONTAINER: u32 = 1 << 31;

/// Gives values what was parsed of them, as the items of an array.
fn take<'a>(parsed: &[Node<'a>], unread: &[Unread], values: &mut Vec<Node<'a>>) -> Option<()> {
    let mut items = parsed.get(1..)?;
    for part in unread {
        let len = match items.first()? {
            Node::Object { count, .. } | Node::Array { count, .. } => count + 1,
            _ => 1,
        };
        let (item, behind) = items.split_at_checked(len)?;
        items = behind;
        let read = match item {
            [Node::String(text)] => Node::String(text),
            container => {
                let at = values.len();
                values.extend_from_slice(container);
                if Record::of_values(values, &[]).is_empty(at as u32) {
                    return None;
                }
                Node::Static(StaticNode::U64(at as u64))
            }
        };
        *values.get_mut(part.value)? = read;
    }
    items.is_empty().then_some(())
}

/// A parsed record: a flat list of nodes, the root first, every container before its content.
pub(crate) struct Record<'a> {
    pub(crate) nodes: &'a [Node<'a>],
    exact: Option<&'a Exact<'a>>,
    pub(crate) raw: &'a [u8],
    /// Some value that is not empty: all that contain it are not empty either.
    value: Cell<u32>,
}

/// A scalar, as seen by those who write it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Scalar<'a> {
    Null,
    Bool(bool),
    Text(&'a str),
    /// An integer of up to 64 bits.
    Int(i64),
    /// An integer beyond `i64`, up to `u64`.
    Big(u64),
    /// Any other number, by its own text; `None` when the fast parser has lost it.
    Number(Option<&'a str>),
}

impl<'a> Record<'a> {
    /// The values of a record that was not parsed.
    pub(crate) fn of_values(nodes: &'a [Node<'a>], raw: &'a [u8]) -> Self {
        Self { nodes, exact: None, raw, value: Cell::new(0) }
    }

    /// The node of a value that a plan names.
    #[inline]
    pub(crate) fn node_of(&self, value: u32) -> u32 {
        match self.nodes.get((value ^ CONTAINER) as usize) {
            Some(Node::Static(StaticNode::U64(at))) => *at as u32,
            _ => value,
        }
    }

    pub(crate) fn node(&self, at: u32) -> Node<'a> {
        self.nodes.get(at as usize).copied().unwrap_or(Node::Static(StaticNode::Null))
    }

    /// The index of the node behind `at` and all it contains.
    #[inline]
    pub(crate) fn after(&self, at: u32) -> u32 {
        match self.nodes.get(at as usize) {
            Some(Node::Object { count, .. } | Node::Array { count, .. }) => at + 1 + *count as u32,
            _ => at + 1,
        }
    }

    #[inline]
    pub(crate) fn text(&self, at: u32) -> Option<&'a str> {
        match self.nodes.get(at as usize) {
            Some(Node::String(text)) => Some(text),
            _ => None,
        }
    }

    /// The scalar at `at`; `None` for a container.
    #[inline]
    pub(crate) fn scalar(&self, at: u32) -> Option<Scalar<'a>> {
        Some(match *self.nodes.get(at as usize)? {
            Node::String(text) => Scalar::Text(text),
            Node::Static(StaticNode::Null) => Scalar::Null,
            Node::Static(StaticNode::Bool(value)) => Scalar::Bool(value),
            Node::Static(number) => self.number(at, number),
            Node::Object { .. } | Node::Array { .. } => return None,
        })
    }

    fn number(&self, at: u32, number: StaticNode) -> Scalar<'a> {
        match (number, self.exact) {
            (_, Some(exact)) => {
                let text = exact.number_text(at);
                let int = text.and_then(|text| text.parse().ok()).map(Scalar::Int);
                let big = || text.and_then(|text| text.parse().ok()).map(Scalar::Big);
                int.or_else(big).unwrap_or(Scalar::Number(text))
            }
            (StaticNode::I64(value), None) => Scalar::Int(value),
            (StaticNode::U64(value), None) => i64::try_from(value).map_or(Scalar::Big(value), Scalar::Int),
            (_, None) => Scalar::Number(None),
        }
    }

    /// The keys and values of the object at `at`, as node indexes.
    pub(crate) fn members(&self, at: u32) -> Members<'a, '_> {
        let left = match self.nodes.get(at as usize) {
            Some(Node::Object { len, .. }) => *len,
            _ => 0,
        };
        Members { record: self, next: at + 1, left }
    }

    /// The items of the array at `at`, as node indexes.
    pub(crate) fn items(&self, at: u32) -> Items<'a, '_> {
        let left = match self.nodes.get(at as usize) {
            Some(Node::Array { len, .. }) => *len,
            _ => 0,
        };
        Items { record: self, next: at + 1, left }
    }

    pub(crate) fn is_object(&self, at: u32) -> bool {
        matches!(self.nodes.get(at as usize), Some(Node::Object { .. }))
    }

    pub(crate) fn is_array(&self, at: u32) -> bool {
        matches!(self.nodes.get(at as usize), Some(Node::Array { .. }))
    }

    /// Whether the exact parser has read the record.
    pub(crate) fn is_exact(&self) -> bool {
        self.exact.is_some()
    }

    /// Whether strings were repaired while parsing (a lone surrogate became U+FFFD).
    pub(crate) fn is_repaired(&self) -> bool {
        self.exact.is_some_and(Exact::is_repaired)
    }

    /// Whether the value is `null`, `""`, `{}`, `[]` or made of nothing else.
    #[inline]
    pub(crate) fn is_empty(&self, at: u32) -> bool {
        self.is_empty_within(at, 4)
    }

    fn is_empty_within(&self, at: u32, depth: u8) -> bool {
        match self.nodes.get(at as usize) {
            None | Some(Node::Static(StaticNode::Null)) => true,
            Some(Node::String(text)) => text.is_empty(),
            Some(Node::Static(_)) => false,
            Some(Node::Object { len: 0, .. } | Node::Array { len: 0, .. }) => true,
            // Few values are deep; those that are must not be followed by recursion.
            Some(_) if depth == 0 => self.is_hollow(at),
            Some(Node::Object { .. }) => {
                self.members(at).all(|(_, value)| self.is_empty_within(value, depth - 1))
            }
            Some(Node::Array { .. }) => self.items(at).all(|item| self.is_empty_within(item, depth - 1)),
        }
    }

    /// Whether nothing in a container, at any depth, is a value.
    #[cold]
    fn is_hollow(&self, at: u32) -> bool {
        let end = self.after(at);
        if (at..end).contains(&self.value.get()) && self.value.get() > at {
            return false;
        }
        let mut open: Vec<(usize, bool)> = Vec::new();
        let mut at = at;
        while at < end {
            match self.node(at) {
                Node::Object { len, .. } if len > 0 => open.push((len + 1, true)),
                Node::Array { len, .. } if len > 0 => open.push((len + 1, false)),
                Node::String(text) if !text.is_empty() => {
                    self.value.set(at);
                    return false;
                }
                Node::Static(value) if value != StaticNode::Null => {
                    self.value.set(at);
                    return false;
                }
                _ => {}
            }
            at += 1;
            while let Some((left, object)) = open.last_mut() {
                *left -= 1;
                if *left > 0 {
                    at += u32::from(*object);
                    break;
                }
                open.pop();
            }
        }
        true
    }
}

#[cfg(test)]
impl<'a> Record<'a> {
    /// A record without nodes, for tests of what needs none.
    pub(crate) fn of_text(raw: &'a str) -> Self {
        Self { nodes: &[], exact: None, raw: raw.as_bytes(), value: Cell::new(0) }
    }
}

/// Iterates over an object.
pub(crate) struct Members<'a, 'r> {
    record: &'r Record<'a>,
    next: u32,
    left: usize,
}

impl Iterator for Members<'_, '_> {
    type Item = (u32, u32);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let (key, value) = (self.next, self.next + 1);
        self.next = self.record.after(value);
        Some((key, value))
    }
}

/// Iterates over an array.
pub(crate) struct Items<'a, 'r> {
    record: &'r Record<'a>,
    next: u32,
    left: usize,
}

impl Iterator for Items<'_, '_> {
    type Item = u32;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let item = self.next;
        self.next = self.record.after(item);
        Some(item)
    }
}
