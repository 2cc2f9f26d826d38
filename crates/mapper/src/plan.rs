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

use hashbrown::HashMap;
use simd_json::{Node, StaticNode};

use crate::fragments::Address;
use crate::program::Write;
use crate::record::{Record, Scalar};
use crate::value::{Outcome, Values};
use crate::writer::{Op, Recording, Writer};

/// Plans kept; when they are more, those not used lately make room.
const PLANS: usize = 1024;
/// Plans of one outline: they differ in the very values something depends on.
const VARIANTS: usize = 32;
/// Records with more members are not planned.
const MEMBERS: usize = 64;
/// Counters for outlines without a plan; a power of two.
const STRANGERS: usize = 1 << 14;
/// A plan is worth its making when its outline has been met this often.
const FAMILIAR: u8 = 12;
/// After so many records without a plan all counters are halved, so that the past fades.
const FADING: u32 = 1 << 15;

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
    key: Box<str>,
    class: Class,
}

/// What a document depends on of its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct AddressShape {
    is_ip: bool,
    is_broken: bool,
    has_anonymizer: bool,
}

impl AddressShape {
    fn of(address: &Address) -> Self {
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
    ops: Vec<Op>,
    text: Vec<u8>,
    lists: Vec<Vec<(u32, Write)>>,
    parts: Vec<(u32, Write, bool)>,
    address: Option<AddressShape>,
    id: u32,
    activity_type: Box<str>,
    outline: u64,
    /// Used since plans were last swept out.
    used: bool,
}

/// What must be known beside the recording to make a plan.
pub(crate) struct Basis<'b> {
    pub(crate) id: u32,
    pub(crate) actor: Option<u32>,
    pub(crate) address: Option<&'b Address>,
}

impl Plan {
    /// Makes a plan of a recording; `None` when the record has something no plan foresees.
    pub(crate) fn new(
        record: &Record<'_>,
        recording: &Recording,
        basis: &Basis<'_>,
        activity_type: &str,
        outline: u64,
    ) -> Option<Self> {
        if recording.unforeseeable {
            return None;
        }
        let mut shape = Shape { record, recording, members: Vec::new(), nodes: Vec::new() };
        shape.add(0, basis.actor)?;
        let Shape { members, nodes, .. } = shape;
        let ordinal = |node: u32| nodes.iter().position(|other| *other == node).map(|at| at as u32);
        let list = |list: &Vec<(u32, Write)>| {
            list.iter().map(|&(node, write)| Some((ordinal(node)?, write))).collect::<Option<Vec<_>>>()
        };
        let part = |&(node, write, has): &(u32, Write, bool)| Some((ordinal(node)?, write, has));
        let op = |op: &Op| {
            Some(match *op {
                Op::Text(node) => Op::Text(ordinal(node)?),
                Op::Value(node, write) => Op::Value(ordinal(node)?, write),
                Op::Say(node) => Op::Say(ordinal(node)?),
                Op::Agent(node) => Op::Agent(ordinal(node)?),
                other => other,
            })
        };
        Some(Self {
            ops: recording.ops.iter().map(op).collect::<Option<_>>()?,
            text: recording.text.clone(),
            lists: recording.lists.iter().map(list).collect::<Option<_>>()?,
            parts: recording.parts.iter().map(part).collect::<Option<_>>()?,
            address: basis.address.map(AddressShape::of),
            id: ordinal(basis.id)?,
            members,
            activity_type: activity_type.into(),
            outline,
            used: true,
        })
    }

    /// Whether a record with the members at `nodes` has the shape.
    #[inline]
    fn fits(&self, values: &Values<'_, '_>, nodes: &[u32]) -> bool {
        let record = values.record;
        if self.members.len() != nodes.len() {
            return false;
        }
        let has_shape = self.members.iter().zip(nodes).all(|(member, &node)| {
            let at = node as usize;
            let (Some(Node::String(key)), Some(value)) = (record.nodes.get(at - 1), record.nodes.get(at)) else {
                return false;
            };
            same(key.as_bytes(), member.key.as_bytes())
                && match (&member.class, value) {
                    (Class::Text, Node::String(text)) => !text.is_empty(),
                    (Class::ExactText(exact), Node::String(text)) => same(text.as_bytes(), exact.as_bytes()),
                    (Class::Blank, _) => record.is_empty(node),
                    (Class::Container, Node::Object { .. } | Node::Array { .. }) => !record.is_empty(node),
                    (Class::Actor(expected), Node::Object { len, .. }) => len == expected,
                    (Class::Int, Node::Static(_)) => matches!(record.scalar(node), Some(Scalar::Int(_))),
                    (Class::ExactInt(exact), Node::Static(_)) => record.scalar(node) == Some(Scalar::Int(*exact)),
                    (Class::Bool, Node::Static(StaticNode::Bool(_))) => true,
                    (Class::ExactBool(exact), Node::Static(StaticNode::Bool(value))) => value == exact,
                    _ => false,
                }
        });
        has_shape
            && self.parts.iter().all(|&(member, write, has)| {
                nodes.get(member as usize).is_some_and(|node| values.has_part(*node, write) == has)
            })
    }

    pub(crate) fn activity_type(&self) -> &str {
        &self.activity_type
    }

    /// The node of the activity's id.
    pub(crate) fn id_node(&self, nodes: &[u32]) -> Option<u32> {
        nodes.get(self.id as usize).copied()
    }

    /// Writes the document; false if a step ended differently than recorded, and then what was written is to be cut off.
    #[inline]
    pub(crate) fn replay(&self, nodes: &[u32], writer: &mut Writer<'_, '_, '_>) -> bool {
        let node = |member: u32| nodes.get(member as usize).copied().unwrap_or_default();
        for op in &self.ops {
            let outcome = match *op {
                Op::Fixed { start, end } => {
                    writer.out.put_padded(&self.text, start as usize, end as usize);
                    continue;
                }
                Op::Distinct(list) => {
                    let list = self.lists.get(list as usize).map_or(&[][..], Vec::as_slice);
                    writer.distinct(list.iter().map(|&(member, write)| (node(member), write))).into()
                }
                Op::Text(member) => match writer.values.record.text(node(member)) {
                    Some(text) => {
                        writer.values.push_text(writer.out, text);
                        continue;
                    }
                    None => return false,
                },
                Op::Value(member, write) => writer.perform(Op::Value(node(member), write)),
                Op::Say(member) => writer.perform(Op::Say(node(member))),
                Op::Agent(member) => writer.perform(Op::Agent(node(member))),
                other => writer.perform(other),
            };
            if outcome != Outcome::Written {
                return false;
            }
        }
        true
    }
}

/// Equality without a call for the short texts that keys are.
#[inline]
fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    if let (Some(a_tail), Some(b_tail)) = (a.last_chunk::<8>(), b.last_chunk::<8>()) {
        let equal = |(a, b): (&[u8], &[u8])| a == b;
        a_tail == b_tail && a.chunks_exact(8).zip(b.chunks_exact(8)).all(|(a, b)| {
            match (a.first_chunk::<8>(), b.first_chunk::<8>()) {
                (Some(a), Some(b)) => a == b,
                _ => equal((a, b)),
            }
        })
    } else {
        a.iter().zip(b).all(|(a, b)| a == b)
    }
}

/// Finds out the shape of a record.
struct Shape<'s, 'a> {
    record: &'s Record<'a>,
    recording: &'s Recording,
    members: Vec<Member>,
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
            self.members.push(Member { key: self.record.text(key)?.into(), class });
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

/// All plans, and what is known of records without one.
pub(crate) struct Plans {
    /// By outline, which plans have it.
    by_outline: HashMap<u64, Vec<u16>, foldhash::fast::FixedState>,
    plans: Vec<Plan>,
    /// How often outlines without a plan were met; several may share a counter.
    strangers: Vec<u8>,
    strangers_met: u32,
    nodes: Vec<u32>,
}

/// What a record looks like from afar.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outline {
    hash: u64,
    /// The node of the actor's address, or 0.
    address: u32,
}

impl Outline {
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }
}

impl Plans {
    pub(crate) fn new() -> Self {
        Self { by_outline: HashMap::default(), plans: Vec::new(), strangers: vec![0; STRANGERS], strangers_met: 0, nodes: Vec::new() }
    }

    /// Walks over a record once: where its members stand, and a hash of type, actor kind, lengths of keys and kinds of
    /// values. `None` if it has too many members to be planned.
    #[inline]
    pub(crate) fn outline(&mut self, record: &Record<'_>) -> Option<Outline> {
        self.nodes.clear();
        let mut outline = Outline { hash: 0, address: 0 };
        let Some(Node::Object { len, .. }) = record.nodes.first() else { return None };
        let mut left = *len;
        let mut at = 1;
        let mut top_left = 0;
        let mut in_actor = false;
        loop {
            if left == 0 {
                if !in_actor {
                    break;
                }
                in_actor = false;
                left = top_left;
                continue;
            }
            left -= 1;
            let (Some(Node::String(key)), Some(value)) = (record.nodes.get(at), record.nodes.get(at + 1)) else {
                return None;
            };
            at += 2;
            if self.nodes.len() == MEMBERS {
                return None;
            }
            self.nodes.push(at as u32 - 1);
            let class = match value {
                Node::String("") | Node::Static(StaticNode::Null) => 1,
                Node::String(text) => {
                    if *key == "type" {
                        outline.hash = mix(outline.hash, sample(text.as_bytes()));
                    } else if in_actor && *key == "ip_address" {
                        outline.address = at as u32 - 1;
                    }
                    2
                }
                Node::Static(StaticNode::Bool(_)) => 3,
                Node::Static(_) => 4,
                Node::Object { len, .. } if *key == "actor" && !in_actor => {
                    in_actor = true;
                    top_left = left;
                    left = *len;
                    5
                }
                Node::Object { count, .. } | Node::Array { count, .. } => {
                    let class = if record.is_empty(at as u32 - 1) { 1 } else { 6 };
                    at += count;
                    class
                }
            };
            outline.hash = mix(outline.hash, (key.len() as u64) << 3 | class);
        }
        Some(outline)
    }

    /// The text of the actor's address.
    #[inline]
    pub(crate) fn address<'a>(&self, record: &Record<'a>, outline: &Outline) -> Option<(u32, &'a str)> {
        record.text(outline.address).filter(|_| outline.address > 0).map(|text| (outline.address, text))
    }

    /// The plan for a record, with the nodes of its members.
    #[inline]
    pub(crate) fn find(
        &mut self,
        values: &Values<'_, '_>,
        outline: &Outline,
        address: Option<&Address>,
    ) -> Option<(&Plan, &[u32])> {
        let shape = address.map(AddressShape::of);
        let variants = self.by_outline.get(&outline.hash)?;
        let plan = variants.iter().copied().find(|&plan| {
            let plan = self.plans.get(usize::from(plan));
            plan.is_some_and(|plan| plan.address == shape && plan.fits(values, &self.nodes))
        })?;
        let plan = self.plans.get_mut(usize::from(plan))?;
        plan.used = true;
        Some((plan, &self.nodes))
    }

    /// Whether a record without a plan is worth one: it takes about ten times as long to make as it saves.
    pub(crate) fn is_worth_learning(&mut self, outline: &Outline) -> bool {
        self.strangers_met += 1;
        if self.strangers_met == FADING {
            self.strangers_met = 0;
            self.strangers.iter_mut().for_each(|met| *met /= 2);
        }
        let Some(met) = self.strangers.get_mut((outline.hash >> 32) as usize & (STRANGERS - 1)) else { return false };
        *met += 1;
        if *met < FAMILIAR {
            return false;
        }
        *met = 0;
        true
    }

    /// Keeps a plan.
    pub(crate) fn insert(&mut self, plan: Plan) {
        if self.plans.len() >= PLANS {
            self.sweep();
        }
        let variants = self.by_outline.entry(plan.outline).or_default();
        if variants.len() < VARIANTS {
            variants.push(self.plans.len() as u16);
            self.plans.push(plan);
        }
    }

    /// Forgets the plans not used since the last time, or all if there are none such.
    #[cold]
    fn sweep(&mut self) {
        self.plans.retain_mut(|plan| std::mem::replace(&mut plan.used, false));
        if self.plans.len() >= PLANS {
            self.plans.clear();
        }
        self.by_outline.clear();
        for (at, plan) in self.plans.iter().enumerate() {
            self.by_outline.entry(plan.outline).or_default().push(at as u16);
        }
    }

    /// Forgets all plans.
    pub(crate) fn clear(&mut self) {
        self.plans.clear();
        self.by_outline.clear();
    }
}

#[inline]
fn mix(hash: u64, more: u64) -> u64 {
    (hash.rotate_left(5) ^ more).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Something of a text that tells most texts apart.
#[inline]
fn sample(text: &[u8]) -> u64 {
    let mut hash = text.len() as u64;
    for chunk in text.chunks(8) {
        let word = match chunk.first_chunk::<8>() {
            Some(chunk) => u64::from_le_bytes(*chunk),
            None => chunk.iter().fold(0, |word, &byte| word << 8 | u64::from(byte)),
        };
        hash = mix(hash, word);
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::same;

    #[test]
    fn same_is_equality() {
        let texts = ["", "a", "b", "1234567", "12345678", "12345679", "x2345678", "123456789abcdefg", "123456789abcdefh"];
        for a in texts {
            for b in texts {
                assert_eq!(same(a.as_bytes(), b.as_bytes()), a == b, "{a} {b}");
            }
        }
    }
}
