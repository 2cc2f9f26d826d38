//! Plans: how records of one shape are written, learnt from one of them.
//!
//! A feed repeats itself: a few shapes per activity type. A plan holds a shape, as a [`Layout`], and the steps that wrote one
//! document. A record of the same layout is written by those steps alone; it is not parsed, and nothing is looked up,
//! sorted or decided again.
//!
//! The invariant: a plan may only be used where the general path would have done the same. So a plan names everything a
//! decision was based on: members and punctuation, and the values that chose an outcome, a condition or a word, are in the
//! layout's fixed bytes; which parts a text has, and what is known of the address, is checked beside it; and a step
//! that ends differently than recorded makes the record go the general way. `tests/properties.rs` holds both ways together.

use std::cell::Cell;
use std::hash::BuildHasher;
use std::ops::Range;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::findings::Looks;
use crate::fragments::Address;
use crate::layout::{self, Layout, Piece, Then as Behind};
use crate::message;
use crate::out::PADDING;
use crate::program::Write;
use crate::record::{CONTAINER, Record, Scalar};
use crate::text::begins;
use crate::value::{Outcome, Parted, Values};
use crate::writer::{Op, Recording, Writer};

/// Records with more members, the actor's among them, are not planned.
pub(crate) const MEMBERS: usize = 64;

/// What a document depends on of its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AddressShape {
    is_ip: bool,
    is_broken: bool,
    has_anonymizer: bool,
}

impl AddressShape {
    pub(crate) fn of(address: &Address) -> Self {
        Self {
            is_ip: address.is_ip,
            is_broken: address.is_broken,
            has_anonymizer: !address.anonymizer.is_empty(),
        }
    }
}

/// One shape and how to write it. Values are named by their place among the values of the layout, from 1.
///
/// There are thousands of plans and the next one to be used is anybody's guess, so that reading one is mostly waiting for
/// memory. Hence a plan is one line of the cache, and all else that is its own lies in one piece, in the order of use.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Plan {
    pub(crate) layout: Layout,
    /// First what texts must be for the plan, then what is to be written.
    steps: Box<[Step]>,
    activity_type: Arc<str>,
    pub(crate) address: Option<(u32, AddressShape)>,
    id: u32,
    /// How many of the steps ask.
    questions: u16,
    /// What its records are looked for in.
    pub(crate) looks: Looks,
    /// Used since plans were last swept out.
    pub(crate) used: Cell<bool>,
}

const _: () = assert!(size_of::<Plan>() == 64);

/// Some fixed bytes, as a range of [`Texts`], and what comes behind them.
#[derive(Debug, Clone, Copy)]
struct Step {
    start: u32,
    len: u16,
    then: Then,
}

/// What a step does.
#[derive(Debug, Clone, Copy)]
enum Then {
    /// Asks whether a text has just these parts.
    Ask(u32, Parted, u8),
    Do(Op),
    /// Writes a list of distinct texts, the values of so many steps behind it.
    List(u32),
    /// A value of a list.
    Item(u32, Write),
    /// Nothing: it is the last.
    End,
}

impl Step {
    /// A step without fixed bytes.
    fn bare(then: Then) -> Self {
        Self { start: 0, len: 0, then }
    }
}

/// The fixed bytes of all plans, each run kept once: most stand in many plans, and what all use stays in the caches.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    /// Always followed by what [`crate::out::Out::put_padded`] may read behind a text.
    bytes: Vec<u8>,
    /// Where each run begins, and its length.
    places: HashTable<(u32, u16)>,
    hasher: RandomState,
}

impl Texts {
    const MOST: usize = 1 << 22;

    /// Whether no more should be added.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes.len() > Self::MOST
    }

    /// Forgets everything; only when there are no plans that refer to it.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn get(&self, start: u32, len: u16) -> &[u8] {
        run(&self.bytes, (start, len))
    }

    /// Whether `bytes` begin with `len` bytes of the texts.
    #[inline(always)]
    pub(crate) fn begin(&self, bytes: &[u8], start: usize, len: usize) -> bool {
        match self.bytes.get(start..start + len + PADDING) {
            Some(text) => begins(bytes, text, len),
            None => false,
        }
    }

    /// Where a text is kept, and its length.
    pub(crate) fn place(&mut self, text: &[u8]) -> Option<(u32, u16)> {
        let Self { bytes, places, hasher } = self;
        let len = u16::try_from(text.len()).ok()?;
        let hash = hasher.hash_one(text);
        if let Some(place) = places.find(hash, |place| run(bytes, *place) == text) {
            return Some(*place);
        }
        let start = bytes.len().saturating_sub(PADDING);
        bytes.truncate(start);
        bytes.extend_from_slice(text);
        bytes.extend_from_slice(&[0; PADDING]);
        let place = (u32::try_from(start).ok()?, len);
        places.insert_unique(hash, place, |place| hasher.hash_one(run(bytes, *place)));
        Some(place)
    }
}

fn run(bytes: &[u8], (start, len): (u32, u16)) -> &[u8] {
    bytes.get(start as usize..start as usize + usize::from(len)).unwrap_or_default()
}

/// What must be known beside the recording to make a plan.
pub(crate) struct Basis<'b> {
    pub(crate) id: u32,
    /// Objects whose members are values of their own.
    pub(crate) opened: &'b [u32],
    pub(crate) address: Option<(u32, &'b Address)>,
}

impl Plan {
    /// Makes a plan of a recording of how a document was written, with a writer to write once more what is fixed; `None` when the record has something no
    /// plan foresees.
    pub(crate) fn new(
        recording: &Recording,
        document: &[u8],
        basis: &Basis<'_>,
        activity_type: Arc<str>,
        texts: &mut Texts,
        writer: &mut Writer<'_, '_, '_>,
    ) -> Option<Self> {
        let record = writer.values.record;
        if recording.unforeseeable || !recording.searched.iter().all(|node| basis.opened.contains(node)) {
            return None;
        }
        let mut shape = Shape {
            record,
            recording,
            texts,
            at: 0,
            fixed_from: 0,
            layout: Vec::with_capacity(MEMBERS),
            nodes: Vec::with_capacity(MEMBERS),
        };
        shape.add(0, basis.opened)?;
        shape.piece(record.raw.len()..record.raw.len(), Behind::End)?;
        let Shape { layout, nodes, .. } = shape;
        let value = |node: u32| {
            let number = nodes.iter().position(|other| *other == node)? as u32 + 1;
            Some(if record.scalar(node).is_some() { number } else { number | CONTAINER })
        };
        let (mut steps, mut fixed) = (Vec::with_capacity(recording.ops.len()), Vec::with_capacity(1024));
        for &(node, parted, parts) in &recording.parts {
            if !recording.exact.contains(&node) {
                steps.push(Step::bare(Then::Ask(value(node)?, parted, parts)));
            }
        }
        let questions = u16::try_from(steps.len()).ok()?;
        for &op in &recording.ops {
            if let Op::Fixed { start, end } = op {
                fixed.extend_from_slice(document.get(start as usize..end as usize)?);
                continue;
            }
            let is_exact = op.node().is_some_and(|node| recording.exact.contains(&node));
            if is_exact && !matches!(op, Op::Agent(_)) {
                // The layout asks for this very value, and what is written of it is always the same.
                writer.out.clear();
                if writer.perform(op) != Outcome::Written {
                    return None;
                }
                fixed.extend_from_slice(writer.out.as_slice());
                continue;
            }
            let list = match op {
                Op::Distinct { start, end } => recording.lists.get(start as usize..end as usize)?,
                _ => &[],
            };
            let then = match op {
                Op::Text(node) => Then::Do(Op::Text(value(node)?)),
                Op::Say(node) => Then::Do(Op::Say(value(node)?)),
                Op::Value(node, write) => Then::Do(Op::Value(value(node)?, write)),
                Op::Part(node, write) => Then::Do(Op::Part(value(node)?, write)),
                Op::Agent(node) => Then::Do(Op::Agent(value(node)?)),
                Op::Distinct { .. } => Then::List(list.len() as u32),
                other => Then::Do(other),
            };
            let (start, len) = texts.place(&fixed)?;
            steps.push(Step { start, len, then });
            for &(node, write) in list {
                steps.push(Step::bare(Then::Item(value(node)?, write)));
            }
            fixed.clear();
        }
        let (start, len) = texts.place(&fixed)?;
        steps.push(Step { start, len, then: Then::End });
        let has_agent = steps.iter().any(|step| matches!(step.then, Then::Do(Op::Agent(_))));
        Some(Self {
            layout: layout.into(),
            steps: steps.into(),
            activity_type,
            address: match basis.address {
                Some((node, address)) => Some((value(node)?, AddressShape::of(address))),
                None => None,
            },
            id: value(basis.id)?,
            questions,
            looks: Looks::new(basis.address.is_some(), has_agent),
            used: Cell::new(true),
        })
    }

    fn questions(&self) -> &[Step] {
        self.steps.get(..usize::from(self.questions)).unwrap_or_default()
    }

    /// Whether texts have the parts that the plan counts on. The record is known to have the layout.
    #[inline]
    pub(crate) fn fits(&self, values: &Values<'_, '_>) -> bool {
        self.questions().iter().all(|question| match question.then {
            Then::Ask(value, parted, parts) => values.parts(value, parted) == parts,
            _ => false,
        })
    }

    /// Whether another plan is for the same records.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let asked = |step: &Step| match step.then {
            Then::Ask(value, parted, parts) => Some((value, parted, parts)),
            _ => None,
        };
        self.address == other.address
            && self.questions().iter().map(asked).eq(other.questions().iter().map(asked))
    }

    pub(crate) fn activity_type(&self) -> &str {
        &self.activity_type
    }

    /// The value that is the activity's id.
    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// Writes the document; false if a step ended differently than recorded, and then what was written is to be cut off.
    #[inline]
    pub(crate) fn replay(&self, texts: &Texts, writer: &mut Writer<'_, '_, '_>) -> bool {
        let texts = texts.bytes.as_slice();
        let (record, is_plain) = (writer.values.record, writer.values.is_plain);
        let mut steps = self.steps.get(usize::from(self.questions)..).unwrap_or_default().iter();
        while let Some(step) = steps.next() {
            let start = step.start as usize;
            let end = start + usize::from(step.len);
            let text = match step.then {
                _ if !is_plain => None,
                Then::Do(Op::Text(value)) => record.text(value),
                Then::Do(Op::Say(value)) => {
                    record.text(value).filter(|text| text.len() <= message::LONGEST_VALUE)
                }
                _ => None,
            };
            if let Some(text) = text {
                writer.out.put_padded_and(texts, start, end, text.as_bytes());
                continue;
            }
            writer.out.put_padded(texts, start, end);
            let outcome = match step.then {
                Then::Do(op) if is_plain => writer.perform(op),
                Then::Do(op) => writer.perform(op.of(record)),
                Then::List(items) => {
                    let Some((list, behind)) = steps.as_slice().split_at_checked(items as usize) else {
                        return false;
                    };
                    steps = behind.iter();
                    let item = |step: &Step| match step.then {
                        Then::Item(value, write) => Some((record.node_of(value), write)),
                        _ => None,
                    };
                    writer.distinct(list.iter().filter_map(item)).into()
                }
                Then::End => Outcome::Written,
                Then::Ask(..) | Then::Item(..) => Outcome::Refused,
            };
            if outcome != Outcome::Written {
                return false;
            }
        }
        true
    }
}

/// Finds out the layout of a record.
struct Shape<'s, 'a> {
    record: &'s Record<'a>,
    recording: &'s Recording,
    texts: &'s mut Texts,
    /// How far the raw record has been walked over.
    at: usize,
    /// Where the fixed bytes begin that no piece has yet.
    fixed_from: usize,
    layout: Vec<Piece>,
    /// The nodes of the layout's values.
    nodes: Vec<u32>,
}

impl Shape<'_, '_> {
    /// Walks over the members of an object, and over those of opened ones where they stand.
    fn add(&mut self, object: u32, opened: &[u32]) -> Option<()> {
        let raw = self.record.raw;
        for (_, node) in self.record.members(object) {
            self.skip(|byte| byte != b'"')?;
            self.at += layout::value(raw.get(self.at..)?)?;
            self.skip(|byte| matches!(byte, b':' | b' ' | b'\t' | b'\r' | b'\n'))?;
            if opened.contains(&node) {
                self.add(node, opened)?;
                continue;
            }
            let start = self.at;
            self.at += layout::value(raw.get(start..)?)?;
            let exact = self.recording.exact.contains(&node);
            let then = match self.record.scalar(node) {
                _ if exact || self.record.is_empty(node) => continue,
                Some(Scalar::Text(_)) => Behind::Text,
                Some(Scalar::Int(_)) => Behind::Int,
                Some(Scalar::Bool(_)) => Behind::Bool,
                None => Behind::Container,
                _ => return None,
            };
            match then {
                Behind::Text => self.piece(start + 1..self.at - 1, then)?,
                Behind::Container => self.piece(start + 1..self.at, then)?,
                _ => self.piece(start..self.at, then)?,
            }
            self.nodes.push(node);
        }
        Some(())
    }

    fn skip(&mut self, skipped: impl Fn(u8) -> bool) -> Option<()> {
        self.at += self.record.raw.get(self.at..)?.iter().position(|byte| !skipped(*byte))?;
        Some(())
    }

    /// Ends a run of fixed bytes with what stands at `value`.
    fn piece(&mut self, value: Range<usize>, then: Behind) -> Option<()> {
        if self.layout.len() > MEMBERS {
            return None;
        }
        let (start, len) = self.texts.place(self.record.raw.get(self.fixed_from..value.start)?)?;
        self.layout.push(Piece { start, len, then });
        self.fixed_from = value.end;
        Some(())
    }
}
