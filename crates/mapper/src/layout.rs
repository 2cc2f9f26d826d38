//! Layouts: a record told from others, and taken apart, by its bytes alone.
//!
//! Whoever writes a feed writes the records of one shape alike: the same keys in the same order, the same punctuation, and
//! between them the values that differ. A [`Layout`] is these fixed bytes, and the kinds of the values between them. All
//! layouts together are a tree, [`Layouts`], which a record is walked down once: fixed bytes are compared, values
//! are found by where they end, and the place where the walk ends says which plans know the record.
//!
//! This is no parser, and must not become one. It accepts bytes that differ from a record the parser has accepted only in
//! texts without escapes, in plain integers and in `true` and `false`; so they are JSON, and mean what the parser would have
//! found. Texts with escapes, arrays and objects it tells by their ends and leaves to the parser, as [`Unread`]. At anything
//! else it gives up, and the parser has the whole record.

use simd_json::{Node, StaticNode};
use smallvec::SmallVec;
use wide::u8x16;

use crate::plan::Texts;
use crate::record::Unread;

/// What stands behind a run of fixed bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// The inside of a string, not empty.
    Text,
    /// An integer of at most 18 digits.
    Int,
    /// `true` or `false`.
    Bool,
    /// The rest of an array or object, whose opening bracket is the last of the fixed bytes.
    Container,
    /// Nothing.
    End,
}

/// Fixed bytes, as a range of [`Texts`], and what stands behind them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) start: u32,
    pub(crate) len: u16,
    pub(crate) then: Then,
}

impl Piece {
    fn text(self, texts: &Texts) -> &[u8] {
        texts.get(self.start, self.len)
    }
}

/// The shape of a record, to the byte.
pub(crate) type Layout = Box<[Piece]>;

/// The tree of all layouts.
#[derive(Debug)]
pub(crate) struct Layouts {
    /// Where layouts part. The first is where every walk begins.
    places: Vec<Place>,
    /// The runs of all edges, each in one piece, so that a walk reads memory forwards.
    pieces: Vec<Piece>,
}

/// A place in the tree where layouts part, or end.
#[derive(Debug)]
struct Place {
    /// Where layouts part, there are mostly two.
    edges: SmallVec<[Edge; 2]>,
    /// Which edge to try first; the others by [`Edge::next`].
    first: u16,
    index: Option<Box<Index>>,
    /// The plans whose layout ends here: mostly one, and then it is read without another way to memory.
    plans: SmallVec<[u16; 8]>,
}

/// A run of pieces between two places.
#[derive(Debug, Clone, Copy)]
struct Edge {
    /// The first of the run, by which edges are told apart.
    head: Piece,
    /// The next shorter one, [`NONE`] at the end.
    next: u16,
    len: u16,
    run: u32,
    to: u32,
}

const NONE: u16 = u16::MAX;
/// Places with more edges get an index.
const FEW: usize = 4;
/// As many bytes as an index looks at, at most.
const WIDEST: usize = 40;

/// Finds edges by a window of their bytes: the first that differ.
#[derive(Debug)]
struct Index {
    skip: usize,
    width: usize,
    /// By hash, the first edge of a chain; a power of two of them.
    chains: Vec<u16>,
}

impl Index {
    fn chain(&self, bytes: &[u8]) -> Option<usize> {
        let window = bytes.get(self.skip..self.skip + self.width)?;
        let mut hash = 0;
        for chunk in window.as_chunks::<8>().0 {
            hash =
                (u64::rotate_left(hash, 5) ^ u64::from_le_bytes(*chunk)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
        Some((hash >> 40) as usize & (self.chains.len() - 1))
    }
}

impl Layouts {
    pub(crate) fn new() -> Self {
        Self { places: vec![Place::new()], pieces: Vec::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.places.len() == 1
    }

    /// Adds a plan.
    pub(crate) fn add(&mut self, layout: &[Piece], texts: &Texts, plan: u16) {
        let (mut at, mut rest) = (0, layout);
        while let Some(head) = rest.first() {
            let Some(number) = self.places[at].find(head, texts) else {
                let (run, to) = (self.pieces.len() as u32, self.places.len() as u32);
                self.pieces.extend_from_slice(rest);
                self.places.push(Place::new());
                self.places[at].add(Edge { head: *head, next: NONE, len: rest.len() as u16, run, to }, texts);
                at = to as usize;
                break;
            };
            let edge = self.places[at].edges[usize::from(number)];
            let common = self.run(edge).iter().zip(rest).take_while(|(a, b)| a == b).count();
            rest = &rest[common..];
            if common == usize::from(edge.len) {
                at = edge.to as usize;
                continue;
            }
            // They part in the middle of the run.
            let middle = self.places.len() as u32;
            let (len, run) = (edge.len - common as u16, edge.run + common as u32);
            let mut place = Place::new();
            place.add(Edge { head: self.pieces[run as usize], next: NONE, len, run, to: edge.to }, texts);
            self.places.push(place);
            let edge = &mut self.places[at].edges[usize::from(number)];
            (edge.len, edge.to) = (common as u16, middle);
            at = middle as usize;
        }
        self.places[at].plans.push(plan);
    }

    /// The plans of a layout.
    pub(crate) fn of(&self, layout: &[Piece], texts: &Texts) -> &[u16] {
        let (mut at, mut rest) = (0, layout);
        while let Some(head) = rest.first() {
            let edge =
                self.places[at].find(head, texts).map(|number| self.places[at].edges[usize::from(number)]);
            let Some((edge, behind)) = edge.and_then(|edge| Some((edge, rest.strip_prefix(self.run(edge))?)))
            else {
                return &[];
            };
            (at, rest) = (edge.to as usize, behind);
        }
        &self.places[at].plans
    }

    #[inline]
    fn run(&self, edge: Edge) -> &[Piece] {
        &self.pieces[edge.run as usize..edge.run as usize + usize::from(edge.len)]
    }

    /// Walks a record down the tree. Its values are appended to `values`, and those that a parser must read to `unread`; the
    /// answer is the plans of its layout.
    #[inline]
    pub(crate) fn walk<'a>(
        &self,
        bytes: &'a [u8],
        texts: &Texts,
        values: &mut Vec<Node<'a>>,
        unread: &mut Vec<Unread>,
    ) -> Option<&[u16]> {
        let raw = simdutf8::basic::from_utf8(bytes).ok()?;
        let (mut place, mut at) = (&self.places[0], 0);
        loop {
            let edge = place.follow(bytes.get(at..)?, texts)?;
            let mut is_known = true;
            for piece in self.run(*edge) {
                // The first piece has been compared to find the edge.
                if !std::mem::take(&mut is_known)
                    && !texts.begin(bytes.get(at..)?, piece.start as usize, usize::from(piece.len))
                {
                    return None;
                }
                at += usize::from(piece.len);
                let rest = bytes.get(at..)?;
                let (value, len) = match piece.then {
                    Then::Text => match special(rest)? {
                        (len, b'"') if len > 0 => (Node::String(raw.get(at..at + len)?), len),
                        (plain, b'\\') => {
                            let len = text(rest, plain)?;
                            unread.push(Unread { value: values.len(), start: at - 1, end: at + len + 1 });
                            (Node::Static(StaticNode::Null), len)
                        }
                        _ => return None,
                    },
                    Then::Int => {
                        let (value, len) = integer(rest)?;
                        (Node::Static(StaticNode::I64(value)), len)
                    }
                    Then::Bool if rest.starts_with(b"true") => (Node::Static(StaticNode::Bool(true)), 4),
                    Then::Bool if rest.starts_with(b"false") => (Node::Static(StaticNode::Bool(false)), 5),
                    Then::Bool => return None,
                    Then::Container => {
                        let len = container(rest)?;
                        unread.push(Unread { value: values.len(), start: at - 1, end: at + len });
                        (Node::Static(StaticNode::Null), len)
                    }
                    Then::End => {
                        return (at == raw.len()).then(|| self.places[edge.to as usize].plans.as_slice());
                    }
                };
                values.push(value);
                at += len;
            }
            place = &self.places[edge.to as usize];
        }
    }
}

impl Place {
    fn new() -> Self {
        Self { edges: SmallVec::new(), first: NONE, index: None, plans: SmallVec::new() }
    }

    /// The longest edge that the bytes begin with.
    #[inline]
    fn follow(&self, bytes: &[u8], texts: &Texts) -> Option<&Edge> {
        let mut next = match &self.index {
            None => self.first,
            Some(index) => index.chains[index.chain(bytes)?],
        };
        while let Some(edge) = self.edges.get(usize::from(next)) {
            if texts.begin(bytes, edge.head.start as usize, usize::from(edge.head.len)) {
                return Some(edge);
            }
            next = edge.next;
        }
        None
    }

    fn add(&mut self, edge: Edge, texts: &Texts) {
        let number = self.edges.len() as u16;
        self.edges.push(edge);
        if self.edges.len() <= FEW {
            self.chain(number, None, texts);
            return;
        }
        let text = edge.head.text(texts);
        match &self.index {
            Some(index)
                if self.edges.len() * 2 <= index.chains.len()
                    && text.len() >= index.skip + index.width
                    && text.get(..index.skip) == self.beginning(index.skip, texts) =>
            {
                let chain = index.chain(text);
                self.chain(number, chain, texts);
            }
            _ => {
                let (skip, width) = window(&self.edges, texts);
                self.rebuild(skip, width, texts);
            }
        }
    }

    /// What all edges begin with.
    fn beginning<'t>(&self, len: usize, texts: &'t Texts) -> Option<&'t [u8]> {
        self.edges.first().and_then(|edge| edge.head.text(texts).get(..len))
    }

    /// The number of the edge that begins with a piece.
    fn find(&self, head: &Piece, texts: &Texts) -> Option<u16> {
        let chain = match &self.index {
            Some(index) => Some(index.chain(head.text(texts))?),
            None => None,
        };
        let mut next = self.head(chain);
        while let Some(edge) = self.edges.get(usize::from(next)) {
            if edge.head == *head {
                return Some(next);
            }
            next = edge.next;
        }
        None
    }

    /// Puts all edges into chains anew.
    fn rebuild(&mut self, skip: usize, width: usize, texts: &Texts) {
        self.first = NONE;
        let chains = vec![NONE; (self.edges.len() * 4).next_power_of_two()];
        // Too few bytes tell nothing apart: then all edges are one chain.
        self.index = (width >= 8).then(|| Box::new(Index { skip, width, chains }));
        for number in 0..self.edges.len() {
            let head = self.edges[number].head;
            let chain = self.index.as_ref().and_then(|index| index.chain(head.text(texts)));
            self.chain(number as u16, chain, texts);
        }
    }

    /// Puts an edge into a chain, at the end, since what is met often is mostly met early; but before those that it begins
    /// with: of two that fit, the longer one says more.
    fn chain(&mut self, number: u16, chain: Option<usize>, texts: &Texts) {
        let text = self.edges[usize::from(number)].head.text(texts);
        let (mut before, mut next) = (NONE, self.head(chain));
        while let Some(edge) = self.edges.get(usize::from(next)) {
            if text.starts_with(edge.head.text(texts)) {
                break;
            }
            (before, next) = (next, edge.next);
        }
        self.edges[usize::from(number)].next = next;
        match self.edges.get_mut(usize::from(before)) {
            Some(edge) => edge.next = number,
            None => match (&mut self.index, chain) {
                (Some(index), Some(chain)) => index.chains[chain] = number,
                _ => self.first = number,
            },
        }
    }

    fn head(&self, chain: Option<usize>) -> u16 {
        match (&self.index, chain) {
            (Some(index), Some(chain)) => index.chains[chain],
            _ => self.first,
        }
    }
}

/// Where edges begin to differ, and how many bytes behind that all of them have, rounded down to whole words.
fn window(edges: &[Edge], texts: &Texts) -> (usize, usize) {
    let text = |edge: &Edge| edge.head.text(texts);
    let Some((first, others)) = edges.split_first() else { return (0, 0) };
    let first = text(first);
    let (mut skip, mut shortest) = (first.len(), first.len());
    for other in others {
        let other = text(other);
        shortest = shortest.min(other.len());
        skip = first.iter().zip(other).take(skip).take_while(|(a, b)| a == b).count();
    }
    (skip, (shortest - skip).min(WIDEST) & !7)
}

/// The first byte that ends a text or cannot stand in it as it is, and how many bytes come before it.
#[inline]
fn special(bytes: &[u8]) -> Option<(usize, u8)> {
    let (quote, backslash, control) = (u8x16::splat(b'"'), u8x16::splat(b'\\'), u8x16::splat(0x1f));
    let (mut rest, mut len) = (bytes, 0);
    while let Some((chunk, behind)) = rest.split_first_chunk::<16>() {
        let chunk = u8x16::new(*chunk);
        let special = chunk.simd_eq(quote) | chunk.simd_eq(backslash) | chunk.min(control).simd_eq(chunk);
        let special = special.to_bitmask();
        if special != 0 {
            len += special.trailing_zeros() as usize;
            return Some((len, *bytes.get(len)?));
        }
        (rest, len) = (behind, len + 16);
    }
    len += rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | ..=0x1f))?;
    Some((len, *bytes.get(len)?))
}

/// The length of the text that bytes begin with and a quote ends, of which `known` bytes are known to be plain.
fn text(bytes: &[u8], known: usize) -> Option<usize> {
    let mut len = known;
    loop {
        let (plain, special) = special(bytes.get(len..)?)?;
        len += plain;
        match special {
            b'"' => return Some(len),
            b'\\' => len += 2,
            _ => return None,
        }
    }
}

/// The length of what bytes begin with, up to the bracket that closes one opened before.
fn container(bytes: &[u8]) -> Option<usize> {
    let (mut len, mut depth) = (0, 1_usize);
    while depth > 0 {
        match bytes.get(len)? {
            b'"' => len += 1 + text(bytes.get(len + 1..)?, 0)?,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth -= 1,
            _ => {}
        }
        len += 1;
    }
    Some(len)
}

/// The length of the value that bytes begin with, of a record known to be JSON.
pub(crate) fn value(bytes: &[u8]) -> Option<usize> {
    match bytes.first()? {
        b'"' => Some(text(bytes.get(1..)?, 0)? + 2),
        b'[' | b'{' => Some(container(bytes.get(1..)?)? + 1),
        _ => bytes.iter().position(|byte| matches!(byte, b',' | b']' | b'}' | ..=b' ')),
    }
}

/// The integer that bytes begin with, and its length. `-0` is left to the parser, as is what is too long to be sure.
#[inline]
fn integer(bytes: &[u8]) -> Option<(i64, usize)> {
    let negative = bytes.first() == Some(&b'-');
    let digits = bytes.get(usize::from(negative)..)?;
    let (mut value, mut len) = (0_i64, 0);
    while let Some(digit) = digits.get(len).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit < 10) {
        if len == 18 {
            return None;
        }
        value = value * 10 + i64::from(digit);
        len += 1;
    }
    let leading_zero = digits.first() == Some(&b'0') && (len > 1 || negative);
    if len == 0 || leading_zero {
        return None;
    }
    Some((if negative { -value } else { value }, len + usize::from(negative)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Layouts of texts in which `_` stands for a text and `#` for an integer.
    fn tree(shapes: &[&str]) -> (Layouts, Texts) {
        let (mut layouts, mut texts) = (Layouts::new(), Texts::default());
        for (number, shape) in shapes.iter().enumerate() {
            let mut layout = Vec::new();
            for part in shape.split_inclusive(['_', '#']) {
                let then = match part.chars().last() {
                    Some('_') => Then::Text,
                    Some('#') => Then::Int,
                    _ => Then::End,
                };
                let (start, len) = texts.place(part.trim_end_matches(['_', '#']).as_bytes()).unwrap();
                layout.push(Piece { start, len, then });
            }
            assert!(layouts.of(&layout, &texts).is_empty());
            layouts.add(&layout, &texts, number as u16);
            assert_eq!(layouts.of(&layout, &texts), [number as u16]);
        }
        (layouts, texts)
    }

    #[test]
    fn records_find_their_layouts() {
        let many: Vec<String> =
            (0..300).map(|number| format!("{{\"id\":\"_\",\"type\":\"number_{number:03}\"}}")).collect();
        let mut shapes = vec![
            r#"{"a":"_"}"#,
            r#"{"a":"_","b":#}"#,
            r#"{"a":"_","b":null}"#,
            r#"{"a":"_","b":null,"c":"_"}"#,
            r#"{"a":"_","b":"_","c":"_"}"#,
            r#"{"a":"_","b":"_","d":"_"}"#,
            r#"{"a":"_","b":"known","c":"_"}"#,
            r#"{"e":#,"f":#,"g":"_"}"#,
        ];
        // The digits of their names are fixed bytes, not values.
        let many: Vec<String> = many.iter().map(|shape| shape.replacen("number_", "number-", 1)).collect();
        shapes.extend(many.iter().map(String::as_str));
        let (layouts, texts) = tree(&shapes);
        for (number, shape) in shapes.iter().enumerate() {
            for text in [
                "x",
                "some text",
                "fifteen letters",
                "sixteen letters!",
                "more than one chunk of sixteen bytes, é",
            ] {
                for int in ["0", "7", "-7", "123456789012345678"] {
                    let record = shape.replace('_', text).replace('#', int);
                    let mut values = Vec::new();
                    let found = layouts.walk(record.as_bytes(), &texts, &mut values, &mut Vec::new());
                    assert_eq!(found, Some(&[number as u16][..]), "{record}");
                    assert_eq!(values.len(), shape.matches(['_', '#']).count(), "{record}");
                    for end in 0..record.len() {
                        assert_eq!(
                            layouts.walk(&record.as_bytes()[..end], &texts, &mut Vec::new(), &mut Vec::new()),
                            None,
                            "{record} {end}"
                        );
                    }
                    assert_eq!(
                        layouts.walk(
                            format!("{record} ").as_bytes(),
                            &texts,
                            &mut Vec::new(),
                            &mut Vec::new()
                        ),
                        None
                    );
                }
            }
        }
    }

    #[test]
    fn texts_end_at_the_first_quote_that_is_not_escaped() {
        for before in 0..40 {
            for behind in 0..40 {
                let (start, end) = ("x".repeat(before), "x".repeat(behind));
                for found in ["\"", "\\", "\n", "\0", "\x1f"] {
                    let expected = Some((before, found.as_bytes()[0]));
                    assert_eq!(special(format!("{start}{found}{end}\"").as_bytes()), expected);
                }
                let allowed = format!("{start}\x7f é\"{end}");
                assert_eq!(special(allowed.as_bytes()), Some((before + 4, b'"')));
                let escaped = format!("{start}\\\"{end}\\\\\"{end}");
                assert_eq!(text(escaped.as_bytes(), before), Some(before + behind + 4));
                assert_eq!(text(format!("{start}\\\n\n{end}\"").as_bytes(), 0), None);
            }
        }
        assert_eq!(special(b"no end"), None);
        assert_eq!(text(b"no end\\", 0), None);
    }

    #[test]
    fn containers_end_where_they_are_closed() {
        for inside in ["", "1", "\"]\"", "\"\\\"]\"", "{\"a\":[[],{}]},[null]"] {
            let container = format!("{inside}]");
            assert_eq!(super::container(format!("{container},1").as_bytes()), Some(container.len()));
            for end in 0..container.len() {
                assert_eq!(super::container(&container.as_bytes()[..end]), None, "{container} {end}");
            }
        }
    }

    #[test]
    fn integers_are_plain_or_none() {
        for (text, value) in
            [("0", 0), ("10", 10), ("-1", -1), ("999999999999999999", 999_999_999_999_999_999)]
        {
            assert_eq!(integer(format!("{text},").as_bytes()), Some((value, text.len())));
        }
        for text in ["", "-", "-0", "00", "01", "-01", "1000000000000000000", "x"] {
            assert_eq!(integer(format!("{text},").as_bytes()), None, "{text}");
        }
    }
}
