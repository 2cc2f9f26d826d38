//! Plans: how records of one shape are written, learnt from the first of them.
//!
//! A feed repeats itself: the same keys in the same order with the same kinds of values, a few shapes per activity
//! type. A plan holds such a shape and the steps that wrote its first document. A record that has the shape is
//! written by those steps alone; nothing is looked up, sorted or decided again.
//!
//! The invariant: a plan may only be used where the general path would have done the same. So a plan
//! names everything a decision was based on (members, their kinds, the very values that chose an outcome, a condition or a
//! word, the parts that a text lacks, what is known of the address), [`Plan::fits`] checks all of it, and a step
//! that ends differently than recorded makes the record go the general way. `tests/properties.rs` holds both ways together.

use simd_json::{Node, StaticNode};

use crate::fragments::Address;
use crate::message;
use crate::plans::Outline;
use crate::program::Write;
use crate::record::{Record, Scalar};
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

#[derive(Debug)]
struct Member {
    /// The key, as a range of the plan's keys.
    start: u32,
    end: u32,
    /// Its first and last eight bytes, if it has as many.
    first: [u8; 8],
    last: [u8; 8],
    class: Class,
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
    keys: Vec<u8>,
    top_len: usize,
    steps: Vec<Step>,
    text: Vec<u8>,
    lists: Vec<Vec<(u32, Write)>>,
    parts: Vec<(u32, Parted, u8)>,
    pub(crate) address: Option<(u32, AddressShape)>,
    id: u32,
    activity_type: Box<str>,
    pub(crate) outline: Outline,
    /// Used since plans were last swept out.
    pub(crate) used: bool,
}

/// Some fixed bytes, and what comes behind them.
#[derive(Debug, Clone, Copy)]
struct Step {
    start: u32,
    end: u32,
    then: Then,
}

#[derive(Debug, Clone, Copy)]
enum Then {
    /// The inside of a JSON string: the text of a member whole; `Say` cuts it to a readable length.
    Text(u32),
    Say(u32),
    /// A part of a member's text.
    Part(u32, Write),
    Other(Op),
    End,
}

impl Step {
    /// Joins each run of fixed bytes with the step behind it.
    fn of(ops: &[Op]) -> Vec<Self> {
        let mut steps = Vec::new();
        let mut fixed = (0, 0);
        for &op in ops {
            let then = match op {
                Op::Fixed { start, end } => {
                    if fixed != (0, 0) {
                        steps.push(Self { start: fixed.0, end: fixed.1, then: Then::End });
                    }
                    fixed = (start, end);
                    continue;
                }
                Op::Text(member) => Then::Text(member),
                Op::Say(member) => Then::Say(member),
                Op::Part(member, write) => Then::Part(member, write),
                other => Then::Other(other),
            };
            steps.push(Self { start: fixed.0, end: fixed.1, then });
            fixed = (0, 0);
        }
        steps.push(Self { start: fixed.0, end: fixed.1, then: Then::End });
        steps
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
    ) -> Option<Self> {
        if recording.unforeseeable {
            return None;
        }
        let mut shape = Shape { record, recording, members: Vec::new(), keys: Vec::new(), nodes: Vec::new() };
        shape.add(0, basis.actor)?;
        let Shape { members, keys, nodes, .. } = shape;
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
        Some(Self {
            steps: Step::of(&recording.ops.iter().map(op).collect::<Option<Vec<_>>>()?),
            text: recording.text.clone(),
            lists: recording.lists.iter().map(list).collect::<Option<_>>()?,
            parts: recording.parts.iter().map(part).collect::<Option<_>>()?,
            address: match basis.address {
                Some((node, address)) => Some((ordinal(node)?, AddressShape::of(address))),
                None => None,
            },
            id: ordinal(basis.id)?,
            top_len: record.members(0).count(),
            members,
            keys,
            activity_type: activity_type.into(),
            outline,
            used: true,
        })
    }

    /// Whether a record has the shape; `nodes` then says where each member's value stands.
    #[inline]
    pub(crate) fn fits(&self, values: &Values<'_, '_>, nodes: &mut Nodes) -> bool {
        let record = values.record;
        if !matches!(record.nodes.first(), Some(Node::Object { len, .. }) if *len == self.top_len) {
            return false;
        }
        let mut rest = record.nodes.get(1..).unwrap_or_default();
        for (member, place) in self.members.iter().zip(nodes.iter_mut()) {
            let [Node::String(key), value, behind @ ..] = rest else { return false };
            if !self.is_key(member, key.as_bytes()) {
                return false;
            }
            let at = (record.nodes.len() - behind.len() - 1) as u32;
            *place = at;
            rest = behind;
            if let (Class::Text, Node::String(text)) = (&member.class, value) {
                if text.is_empty() {
                    return false;
                }
                continue;
            }
            let fits = match (&member.class, value) {
                (Class::ExactText(exact), Node::String(text)) => same(text.as_bytes(), exact.as_bytes()),
                (Class::Blank, Node::Static(StaticNode::Null)) => true,
                (Class::Blank, _) => record.is_empty(at),
                (Class::Actor(expected), Node::Object { len, .. }) => len == expected,
                (Class::Container, Node::Object { .. } | Node::Array { .. }) => !record.is_empty(at),
                (Class::Int, Node::Static(_)) => matches!(record.scalar(at), Some(Scalar::Int(_))),
                (Class::ExactInt(exact), Node::Static(_)) => record.scalar(at) == Some(Scalar::Int(*exact)),
                (Class::Bool, Node::Static(StaticNode::Bool(_))) => true,
                (Class::ExactBool(exact), Node::Static(StaticNode::Bool(value))) => value == exact,
                _ => false,
            };
            if !fits {
                return false;
            }
            if let (Node::Object { count, .. } | Node::Array { count, .. }, false) =
                (value, matches!(member.class, Class::Actor(_)))
            {
                rest = behind.get(*count..).unwrap_or_default();
            }
        }
        self.parts
            .iter()
            .all(|&(member, parted, parts)| values.parts(node_of(nodes, member), parted) == parts)
    }

    /// Whether a member has this key.
    #[inline(always)]
    fn is_key(&self, member: &Member, key: &[u8]) -> bool {
        let (Some(first), Some(last)) = (key.first_chunk::<8>(), key.last_chunk::<8>()) else {
            return self
                .keys
                .get(member.start as usize..member.end as usize)
                .is_some_and(|other| same(key, other));
        };
        key.len() as u32 == member.end - member.start
            && *first == member.first
            && *last == member.last
            && (key.len() <= 16
                || self
                    .keys
                    .get(member.start as usize..member.end as usize)
                    .is_some_and(|other| same_middle(key, other)))
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
    pub(crate) fn replay(&self, nodes: &Nodes, writer: &mut Writer<'_, '_, '_>) -> bool {
        let node = |member: u32| node_of(nodes, member);
        let is_plain = writer.values.is_plain;
        for step in &self.steps {
            let (start, end) = (step.start as usize, step.end as usize);
            if let Then::Text(member) | Then::Say(member) = step.then
                && is_plain
                && let Some(text) = writer.values.record.text(node(member))
                && (text.len() <= message::LONGEST_VALUE || matches!(step.then, Then::Text(_)))
            {
                writer.out.put_padded_and(&self.text, start, end, text.as_bytes());
                continue;
            }
            writer.out.put_padded(&self.text, start, end);
            let outcome = match step.then {
                Then::End => continue,
                Then::Part(member, write) => match writer.values.part_of(node(member), write) {
                    Some(part) => {
                        writer.values.push_text(writer.out, part);
                        continue;
                    }
                    None => return false,
                },
                Then::Text(member) => writer.perform(Op::Text(node(member))),
                Then::Say(member) => writer.perform(Op::Say(node(member))),
                Then::Other(Op::Distinct(list)) => {
                    let list = self.lists.get(list as usize).map_or(&[][..], Vec::as_slice);
                    writer.distinct(list.iter().map(|&(member, write)| (node(member), write))).into()
                }
                Then::Other(Op::Value(member, write)) => writer.perform(Op::Value(node(member), write)),
                Then::Other(Op::Agent(member)) => writer.perform(Op::Agent(node(member))),
                Then::Other(other) => writer.perform(other),
            };
            if outcome != Outcome::Written {
                return false;
            }
        }
        true
    }
}

/// Where the values of the members stand, by ordinal.
pub(crate) type Nodes = [u32; MEMBERS];

#[inline]
pub(crate) fn node_of(nodes: &Nodes, member: u32) -> u32 {
    nodes[member as usize % MEMBERS]
}

/// Equality without a call for the short texts that keys are.
#[inline(always)]
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let ends = (a.first_chunk::<8>(), a.last_chunk::<8>(), b.first_chunk::<8>(), b.last_chunk::<8>());
    if let (Some(a_first), Some(a_last), Some(b_first), Some(b_last)) = ends {
        a_first == b_first && a_last == b_last && (a.len() <= 16 || same_middle(a, b))
    } else {
        a.iter().zip(b).all(|(a, b)| a == b)
    }
}

/// Equality of what lies between the first and the last eight bytes of texts of one length, longer than 16.
#[inline]
fn same_middle(a: &[u8], b: &[u8]) -> bool {
    let word = |text: &[u8], at: usize| text.get(at..).and_then(|text| text.first_chunk::<8>()).copied();
    if a.len() <= 24 {
        // Eight bytes that overlap what has been compared already.
        let at = a.len() - 16;
        return word(a, at) == word(b, at);
    }
    a[8..a.len() - 8] == b[8..b.len() - 8]
}

/// Finds out the shape of a record.
struct Shape<'s, 'a> {
    record: &'s Record<'a>,
    recording: &'s Recording,
    members: Vec<Member>,
    keys: Vec<u8>,
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
            let start = self.keys.len() as u32;
            let key = self.record.text(key)?.as_bytes();
            self.keys.extend_from_slice(key);
            self.members.push(Member {
                start,
                end: self.keys.len() as u32,
                first: key.first_chunk().copied().unwrap_or_default(),
                last: key.last_chunk().copied().unwrap_or_default(),
                class,
            });
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

#[cfg(test)]
mod tests {
    use super::same;

    #[test]
    fn same_is_equality() {
        for len in 0..50 {
            let text: Vec<u8> = (0..len).collect();
            assert!(same(&text, &text.clone()));
            assert!(!same(&text, &[&text[..], b"x"].concat()));
            for at in 0..usize::from(len) {
                let mut other = text.clone();
                other[at] ^= 1;
                assert!(!same(&text, &other), "{len} {at}");
            }
        }
    }
}
