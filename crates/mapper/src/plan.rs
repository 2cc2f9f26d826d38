//! Plans: how records of one shape are written, learnt from one of them.
//!
//! A feed repeats itself: the same keys in the same order with the same kinds of values, a few shapes per activity
//! type. A plan holds such a shape and the steps that wrote one document. A record that has the shape is
//! written by those steps alone; nothing is looked up, sorted or decided again.
//!
//! The invariant: a plan may only be used where the general path would have done the same. So a plan
//! names everything a decision was based on (members, their kinds, the very values that chose an outcome, a condition or a
//! word, which parts a text has, what is known of the address), [`Plan::fits`] checks all of it, and a step
//! that ends differently than recorded makes the record go the general way. `tests/properties.rs` holds both ways together.

use hashbrown::HashMap;
use simd_json::{Node, StaticNode};

use crate::fragments::Address;
use crate::message;
use crate::out::PADDING;
use crate::plans::Outline;
use crate::program::Write;
use crate::record::{Record, Scalar};
use crate::text::same;
use crate::value::{Outcome, Parted, Values};
use crate::writer::{Op, Recording, Writer};

/// Records with more members are not planned.
pub(crate) const MEMBERS: usize = 64;

/// What a plan expects of a value.
#[derive(Debug, Clone, PartialEq)]
enum Class {
    /// `null`, `""`, `{}`, `[]` or made of nothing else.
    Blank,
    Text,
    ExactText(Box<str>),
    Int,
    ExactInt(i64),
    Bool,
    ExactBool(bool),
    /// An array or object that is not blank; what is in it is looked at anew each time.
    Container,
    /// The actor, whose members come next.
    Actor(usize),
}

/// A member of a shape. Small, like all of a plan: what one plan takes less, the caches hold more of the others.
#[derive(Debug, Clone, Copy)]
struct Member {
    /// The key, in [`Keys`].
    key: u16,
    kind: Kind,
    /// For an exact value and for the actor, which of the plan's `exact` it is.
    exact: u8,
}

/// A [`Class`] without what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Blank,
    Text,
    Int,
    Bool,
    Container,
    Exact,
}

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

/// One shape and how to write it.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The record's members, the actor's in their place; an ordinal counts through all of them.
    members: Vec<Member>,
    exact: Vec<Class>,
    top_len: usize,
    steps: Vec<Step>,
    /// Steps that are none of the common ones.
    others: Vec<Op>,
    lists: Vec<Vec<(u32, Write)>>,
    parts: Vec<(u32, Parted, u8)>,
    pub(crate) address: Option<(u32, AddressShape)>,
    id: u32,
    activity_type: Box<str>,
    pub(crate) outline: Outline,
    /// Used since plans were last swept out.
    pub(crate) used: bool,
}

/// Some fixed bytes, as a range of [`Texts`], and what comes behind them.
#[derive(Debug, Clone, Copy)]
struct Step {
    start: u32,
    len: u16,
    then: Then,
    /// The member whose value it is; for other steps, which of the plan's `others`.
    member: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    /// The inside of a JSON string: the text of a member whole.
    Text,
    /// The same, cut to a readable length.
    Say,
    Other,
    End,
}

/// Joins each run of fixed bytes with the step behind it; `None` if there are more bytes or steps than a plan can count.
fn steps_of(ops: &[Op], text: &[u8], texts: &mut Texts) -> Option<(Vec<Step>, Vec<Op>)> {
    let (mut steps, mut others) = (Vec::new(), Vec::new());
    let mut fixed = (0, 0);
    let mut push = |(start, end): (u32, u32), then, member: u32| {
        let begin = start;
        let start = texts.place(text.get(start as usize..end as usize)?)?;
        let len = u16::try_from(end - begin).ok()?;
        steps.push(Step { start, len, then, member: u8::try_from(member).ok()? });
        Some(())
    };
    for &op in ops {
        let (then, member) = match op {
            Op::Fixed { start, end } => {
                push(fixed, Then::End, 0)?;
                fixed = (start, end);
                continue;
            }
            Op::Text(member) => (Then::Text, member),
            Op::Say(member) => (Then::Say, member),
            other => {
                others.push(other);
                (Then::Other, others.len() as u32 - 1)
            }
        };
        push(fixed, then, member)?;
        fixed = (0, 0);
    }
    push(fixed, Then::End, 0)?;
    steps.retain(|step| step.len > 0 || step.then != Then::End);
    Some((steps, others))
}

/// The fixed bytes of all plans, each run kept once: most stand in many plans, and what all use stays in the caches.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    /// Always followed by what [`crate::out::Out::put_padded`] may read behind a text.
    bytes: Vec<u8>,
    places: HashMap<Box<[u8]>, u32>,
}

impl Texts {
    const MOST: usize = 1 << 22;

    fn place(&mut self, text: &[u8]) -> Option<u32> {
        if let Some(place) = self.places.get(text) {
            return Some(*place);
        }
        let place = self.bytes.len().saturating_sub(PADDING);
        self.bytes.truncate(place);
        self.bytes.extend_from_slice(text);
        self.bytes.extend_from_slice(&[0; PADDING]);
        let place = u32::try_from(place).ok()?;
        self.places.insert(text.into(), place);
        Some(place)
    }
}

/// What plans have in common.
#[derive(Debug, Default)]
pub(crate) struct Common {
    keys: Keys,
    texts: Texts,
}

impl Common {
    /// Whether no more should be added.
    pub(crate) fn is_full(&self) -> bool {
        self.keys.bytes.len() > Keys::MOST || self.texts.bytes.len() > Texts::MOST
    }

    /// Forgets everything; only when there are no plans that refer to it.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// The keys of all plans, each kept once.
#[derive(Debug, Default)]
struct Keys {
    bytes: Vec<u8>,
    ranges: Vec<(u32, u32)>,
    ids: HashMap<Box<str>, u16>,
}

impl Keys {
    /// The longest key, and all keys together, in bytes.
    const LONGEST: usize = 128;
    const MOST: usize = 1 << 18;

    fn id(&mut self, key: &str) -> Option<u16> {
        if key.len() > Self::LONGEST {
            return None;
        }
        if let Some(id) = self.ids.get(key) {
            return Some(*id);
        }
        let (id, start) = (u16::try_from(self.ranges.len()).ok()?, u32::try_from(self.bytes.len()).ok()?);
        self.bytes.extend_from_slice(key.as_bytes());
        self.ranges.push((start, self.bytes.len() as u32));
        self.ids.insert(key.into(), id);
        Some(id)
    }

    #[inline]
    fn get(&self, id: u16) -> &[u8] {
        let range = self.ranges.get(usize::from(id)).copied().unwrap_or_default();
        self.bytes.get(range.0 as usize..range.1 as usize).unwrap_or_default()
    }
}

/// What must be known beside the recording to make a plan.
pub(crate) struct Basis<'b> {
    pub(crate) id: u32,
    pub(crate) actor: Option<u32>,
    pub(crate) address: Option<(u32, &'b Address)>,
}

impl Plan {
    /// Makes a plan of a recording; `None` when the record has something no plan foresees.
    pub(crate) fn new(
        record: &Record<'_>,
        recording: &Recording,
        basis: &Basis<'_>,
        activity_type: &str,
        outline: Outline,
        common: &mut Common,
    ) -> Option<Self> {
        if recording.unforeseeable {
            return None;
        }
        let keys = &mut common.keys;
        let mut shape =
            Shape { record, recording, keys, members: Vec::new(), exact: Vec::new(), nodes: Vec::new() };
        shape.add(0, basis.actor)?;
        let Shape { members, exact, nodes, .. } = shape;
        if members.len() > MEMBERS {
            return None;
        }
        let ordinal = |node: u32| nodes.iter().position(|other| *other == node).map(|at| at as u32);
        let list = |list: &Vec<(u32, Write)>| {
            list.iter().map(|&(node, write)| Some((ordinal(node)?, write))).collect::<Option<Vec<_>>>()
        };
        let part = |&(node, parted, parts): &(u32, Parted, u8)| Some((ordinal(node)?, parted, parts));
        let op = |op: &Op| {
            Some(match *op {
                Op::Text(node) => Op::Text(ordinal(node)?),
                Op::Value(node, write) => Op::Value(ordinal(node)?, write),
                Op::Say(node) => Op::Say(ordinal(node)?),
                Op::Part(node, write) => Op::Part(ordinal(node)?, write),
                Op::Agent(node) => Op::Agent(ordinal(node)?),
                other => other,
            })
        };
        let ops = recording.ops.iter().map(op).collect::<Option<Vec<_>>>()?;
        let (steps, others) = steps_of(&ops, &recording.text, &mut common.texts)?;
        Some(Self {
            steps,
            others,
            lists: recording.lists.iter().map(list).collect::<Option<_>>()?,
            parts: recording.parts.iter().map(part).collect::<Option<_>>()?,
            address: match basis.address {
                Some((node, address)) => Some((ordinal(node)?, AddressShape::of(address))),
                None => None,
            },
            id: ordinal(basis.id)?,
            top_len: record.members(0).count(),
            members,
            exact,
            activity_type: activity_type.into(),
            outline,
            used: true,
        })
    }

    /// Whether a record has the shape; `nodes` then says where each member's value stands.
    #[inline]
    pub(crate) fn fits(&self, common: &Common, values: &Values<'_, '_>, nodes: &mut Nodes) -> bool {
        let record = values.record;
        if !matches!(record.nodes.first(), Some(Node::Object { len, .. }) if *len == self.top_len) {
            return false;
        }
        let mut rest = record.nodes.get(1..).unwrap_or_default();
        for (member, place) in self.members.iter().zip(nodes.iter_mut()) {
            let [Node::String(key), value, behind @ ..] = rest else { return false };
            if !same(key.as_bytes(), common.keys.get(member.key)) {
                return false;
            }
            let at = (record.nodes.len() - behind.len() - 1) as u32;
            *place = at;
            rest = behind;
            let fits = match (member.kind, value) {
                (Kind::Text, Node::String(text)) => !text.is_empty(),
                (Kind::Blank, Node::Static(StaticNode::Null)) => true,
                (Kind::Blank, Node::String(text)) => text.is_empty(),
                (Kind::Blank, Node::Object { count, .. } | Node::Array { count, .. }) => {
                    rest = behind.get(*count..).unwrap_or_default();
                    record.is_empty(at)
                }
                (Kind::Container, Node::Object { count, .. } | Node::Array { count, .. }) => {
                    rest = behind.get(*count..).unwrap_or_default();
                    !record.is_empty(at)
                }
                (Kind::Exact, _) => self.fits_exactly(member.exact, record, at, value),
                (Kind::Int, Node::Static(_)) => matches!(record.scalar(at), Some(Scalar::Int(_))),
                (Kind::Bool, Node::Static(StaticNode::Bool(_))) => true,
                _ => false,
            };
            if !fits {
                return false;
            }
        }
        let has_parts = |&(member, parted, parts): &(u32, Parted, u8)| {
            values.parts(node_of(nodes, member), parted) == parts
        };
        self.parts.iter().all(has_parts)
    }

    #[inline]
    fn fits_exactly(&self, exact: u8, record: &Record<'_>, at: u32, value: &Node<'_>) -> bool {
        match (self.exact.get(usize::from(exact)), value) {
            (Some(Class::ExactText(exact)), Node::String(text)) => same(text.as_bytes(), exact.as_bytes()),
            (Some(Class::Actor(expected)), Node::Object { len, .. }) => len == expected,
            (Some(Class::ExactInt(exact)), Node::Static(_)) => record.scalar(at) == Some(Scalar::Int(*exact)),
            (Some(Class::ExactBool(exact)), Node::Static(StaticNode::Bool(value))) => value == exact,
            _ => false,
        }
    }

    pub(crate) fn activity_type(&self) -> &str {
        &self.activity_type
    }

    /// The node of the activity's id.
    pub(crate) fn id_node(&self, nodes: &Nodes) -> u32 {
        node_of(nodes, self.id)
    }

    /// Writes the document; false if a step ended differently than recorded, and then what was written is to be cut off.
    #[inline]
    pub(crate) fn replay(&self, common: &Common, nodes: &Nodes, writer: &mut Writer<'_, '_, '_>) -> bool {
        let node = |member: u32| node_of(nodes, member);
        let (is_plain, texts) = (writer.values.is_plain, common.texts.bytes.as_slice());
        for step in &self.steps {
            let start = step.start as usize;
            let end = start + usize::from(step.len);
            let member = u32::from(step.member);
            let said = step.then == Then::Say;
            if (said || step.then == Then::Text)
                && is_plain
                && let Some(text) = writer.values.record.text(node(member))
                && (!said || text.len() <= message::LONGEST_VALUE)
            {
                writer.out.put_padded_and(texts, start, end, text.as_bytes());
                continue;
            }
            writer.out.put_padded(texts, start, end);
            let outcome = match step.then {
                Then::End => continue,
                Then::Text => writer.perform(Op::Text(node(member))),
                Then::Say => writer.perform(Op::Say(node(member))),
                Then::Other => self.perform(member, nodes, writer),
            };
            if outcome != Outcome::Written {
                return false;
            }
        }
        true
    }

    /// Performs one of the `others`.
    #[inline]
    fn perform(&self, other: u32, nodes: &Nodes, writer: &mut Writer<'_, '_, '_>) -> Outcome {
        let node = |member: u32| node_of(nodes, member);
        match self.others.get(other as usize).copied() {
            Some(Op::Part(member, write)) => match writer.values.part_of(node(member), write) {
                Some(part) => {
                    writer.values.push_text(writer.out, part);
                    Outcome::Written
                }
                None => Outcome::Refused,
            },
            Some(Op::Distinct(list)) => {
                let list = self.lists.get(list as usize).map_or(&[][..], Vec::as_slice);
                writer.distinct(list.iter().map(|&(member, write)| (node(member), write))).into()
            }
            Some(Op::Value(member, write)) => writer.perform(Op::Value(node(member), write)),
            Some(Op::Agent(member)) => writer.perform(Op::Agent(node(member))),
            Some(other) => writer.perform(other),
            None => Outcome::Refused,
        }
    }
}

/// Where the values of the members stand, by ordinal.
pub(crate) type Nodes = [u32; MEMBERS];

#[inline]
pub(crate) fn node_of(nodes: &Nodes, member: u32) -> u32 {
    nodes[member as usize % MEMBERS]
}

/// Finds out the shape of a record.
struct Shape<'s, 'a> {
    record: &'s Record<'a>,
    recording: &'s Recording,
    keys: &'s mut Keys,
    members: Vec<Member>,
    exact: Vec<Class>,
    nodes: Vec<u32>,
}

impl Shape<'_, '_> {
    /// Adds the members of an object, the actor's behind the actor.
    fn add(&mut self, object: u32, actor: Option<u32>) -> Option<()> {
        for (key, value) in self.record.members(object) {
            let class = if Some(value) == actor {
                Class::Actor(self.record.members(value).count())
            } else {
                self.class(value)?
            };
            let kind = match class {
                Class::Blank => Kind::Blank,
                Class::Text => Kind::Text,
                Class::Int => Kind::Int,
                Class::Bool => Kind::Bool,
                Class::Container => Kind::Container,
                Class::ExactText(_) | Class::ExactInt(_) | Class::ExactBool(_) | Class::Actor(_) => {
                    Kind::Exact
                }
            };
            let exact = u8::try_from(self.exact.len()).ok()?;
            if kind == Kind::Exact {
                self.exact.push(class);
            }
            self.members.push(Member { key: self.keys.id(self.record.text(key)?)?, kind, exact });
            self.nodes.push(value);
            if Some(value) == actor {
                self.add(value, None)?;
            }
        }
        Some(())
    }

    fn class(&self, node: u32) -> Option<Class> {
        if self.record.is_empty(node) {
            return Some(Class::Blank);
        }
        let exact = self.recording.exact.contains(&node);
        Some(match (self.record.scalar(node), exact) {
            (None, false) => Class::Container,
            (Some(Scalar::Text(_)), false) => Class::Text,
            (Some(Scalar::Text(text)), true) => Class::ExactText(text.into()),
            (Some(Scalar::Int(_)), false) => Class::Int,
            (Some(Scalar::Int(value)), true) => Class::ExactInt(value),
            (Some(Scalar::Bool(_)), false) => Class::Bool,
            (Some(Scalar::Bool(value)), true) => Class::ExactBool(value),
            _ => return None,
        })
    }
}
