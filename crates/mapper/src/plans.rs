//! All plans: which one a record gets, and which records are worth one.
//!
//! Most records are told by a glance to be like one of the last two of their kind. Others are walked over once for their
//! outline, by which plans are kept. What is met often without a plan gets one; what is not used any more makes room.

use hashbrown::HashMap;
use simd_json::{Node, StaticNode};

use crate::enrich::GeoDatabases;
use crate::fragments::Addresses;
use crate::plan::{AddressShape, Common, MEMBERS, Nodes, Plan, node_of};
use crate::record::Record;
use crate::value::Values;

/// Plans kept; when they are more, those not used lately make room.
const PLANS: usize = 2048;
/// Plans of one outline: they differ in the very values something depends on.
const VARIANTS: usize = 32;
/// Counters for outlines without a plan; a power of two.
const STRANGERS: usize = 1 << 15;
/// Places for guesses; a power of two.
const GUESSES: usize = 1 << 12;
/// A plan is worth its making when its outline has been met this often.
const FAMILIAR: u8 = 16;
/// After so many records without a plan all counters are halved, so that the past fades.
const FADING: u32 = 1 << 15;

/// All plans, and what is known of records without one.
pub(crate) struct Plans {
    /// By outline, which plans have it.
    by_outline: HashMap<u64, Vec<u16>, foldhash::fast::FixedState>,
    plans: Vec<Plan>,
    pub(crate) common: Common,
    /// By what can be seen at a glance, the two plans that fitted last.
    guesses: Vec<[u16; 2]>,
    /// Where the value of `type` stood in the last record that had a plan.
    type_node: u32,
    /// How often outlines without a plan were met; several may share a counter.
    strangers: Vec<u8>,
    strangers_met: u32,
    nodes: Nodes,
}

/// What a record looks like from afar: a hash of its type, its actor's kind, the lengths of its keys and the kinds of
/// its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outline(u64);

/// A plan that a record fits, where the record's members stand, and the actor's address: node, text and what is known.
pub(crate) struct Fit<'p, 'a> {
    pub(crate) plan: &'p Plan,
    pub(crate) nodes: &'p Nodes,
    pub(crate) common: &'p Common,
    pub(crate) address: Option<(u32, &'a str, u32)>,
}

impl Plans {
    pub(crate) fn new() -> Self {
        Self {
            by_outline: HashMap::default(),
            plans: Vec::new(),
            common: Common::default(),
            guesses: vec![[u16::MAX; 2]; GUESSES],
            type_node: 0,
            strangers: vec![0; STRANGERS],
            strangers_met: 0,
            nodes: [0; MEMBERS],
        }
    }

    /// The plan for a record.
    ///
    /// # Errors
    ///
    /// There is none; the outline is what to learn by, unless the record has too many members to be planned.
    #[inline]
    pub(crate) fn find<'a>(
        &mut self,
        values: &Values<'_, 'a>,
        addresses: &mut Addresses,
        geo: &GeoDatabases,
    ) -> Result<Fit<'_, 'a>, Option<Outline>> {
        let record = values.record;
        let glance = self.glance(record);
        for guess in self.guesses[glance] {
            if let Some(address) = self.try_plan(guess, values, addresses, geo) {
                let plan = &self.plans[usize::from(guess)];
                return Ok(Fit { plan, nodes: &self.nodes, common: &self.common, address });
            }
        }
        let Some((outline, type_node)) = outline(record) else { return Err(None) };
        self.type_node = type_node;
        let variants = self.by_outline.get(&outline.0).map_or(0, Vec::len);
        for at in 0..variants {
            let plan =
                self.by_outline.get(&outline.0).and_then(|plans| plans.get(at)).copied().unwrap_or(u16::MAX);
            if let Some(address) = self.try_plan(plan, values, addresses, geo) {
                let guesses = &mut self.guesses[glance];
                *guesses = [plan, guesses[0]];
                let plan = &self.plans[usize::from(plan)];
                return Ok(Fit { plan, nodes: &self.nodes, common: &self.common, address });
            }
        }
        Err(Some(outline))
    }

    /// What can be seen of a record without walking over it: its type, its size, and what its last values are like.
    #[inline]
    fn glance(&self, record: &Record<'_>) -> usize {
        let type_text = record.text(self.type_node).unwrap_or_default();
        let mut hash = mix(sample(type_text.as_bytes()), record.nodes.len() as u64);
        for node in record.nodes.iter().rev().take(12) {
            let kind = match node {
                Node::Static(StaticNode::Null) => 1,
                Node::String(text) => u64::from(text.is_empty()),
                // Numbers that look like a status decide outcomes.
                Node::Static(StaticNode::I64(status @ 100..600)) => *status as u64,
                Node::Static(StaticNode::Bool(value)) => 2 + u64::from(*value),
                _ => 4,
            };
            hash = hash.rotate_left(3) ^ kind;
        }
        mix(hash, 0) as usize >> 40 & (GUESSES - 1)
    }

    /// Whether a plan fits; then the actor's address.
    #[inline]
    fn try_plan<'a>(
        &mut self,
        plan: u16,
        values: &Values<'_, 'a>,
        addresses: &mut Addresses,
        geo: &GeoDatabases,
    ) -> Option<Option<(u32, &'a str, u32)>> {
        let plan = self.plans.get_mut(usize::from(plan))?;
        if !plan.fits(&self.common, values, &mut self.nodes) {
            return None;
        }
        let address = match plan.address {
            None => None,
            Some((member, shape)) => {
                let node = node_of(&self.nodes, member);
                let text = values.record.text(node)?;
                let known = addresses.find(text, geo);
                if addresses.get(known).map(AddressShape::of) != Some(shape) {
                    return None;
                }
                Some((node, text, known))
            }
        };
        plan.used = true;
        Some(address)
    }

    /// Whether a record without a plan is worth one: it takes about ten times as long to make as it saves.
    pub(crate) fn is_worth_learning(&mut self, outline: Outline) -> bool {
        self.strangers_met += 1;
        if self.strangers_met == FADING {
            self.strangers_met = 0;
            self.strangers.iter_mut().for_each(|met| *met /= 2);
        }
        let Some(met) = self.strangers.get_mut((outline.0 >> 32) as usize & (STRANGERS - 1)) else {
            return false;
        };
        *met += 1;
        if *met < FAMILIAR {
            return false;
        }
        *met = 0;
        true
    }

    /// Makes room for one more plan; to be called before it is made, since it can make plans forget their keys.
    pub(crate) fn make_room(&mut self) {
        if self.common.is_full() {
            self.clear();
        } else if self.plans.len() >= PLANS {
            self.sweep();
        }
    }

    /// Keeps a plan.
    pub(crate) fn insert(&mut self, plan: Plan) {
        let variants = self.by_outline.entry(plan.outline.0).or_default();
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
            self.clear();
        }
        self.by_outline.clear();
        self.guesses.fill([u16::MAX; 2]);
        for (at, plan) in self.plans.iter().enumerate() {
            self.by_outline.entry(plan.outline.0).or_default().push(at as u16);
        }
    }

    /// Forgets all plans.
    pub(crate) fn clear(&mut self) {
        self.plans.clear();
        self.common.clear();
        self.by_outline.clear();
        self.guesses.fill([u16::MAX; 2]);
    }
}

/// Walks over a record once; answers the outline and the node of its `type`, or nothing if it has too many members to be
/// planned.
fn outline(record: &Record<'_>) -> Option<(Outline, u32)> {
    let Some(Node::Object { len, .. }) = record.nodes.first() else { return None };
    let (mut hash, mut type_node, mut members) = (0, 0, 0);
    let (mut left, mut top_left, mut in_actor, mut at) = (*len, 0, false, 1);
    loop {
        if left == 0 {
            if !in_actor {
                return Some((Outline(hash), type_node));
            }
            (left, in_actor) = (top_left, false);
            continue;
        }
        left -= 1;
        members += 1;
        if members > MEMBERS {
            return None;
        }
        let Some([Node::String(key), value]) = record.nodes.get(at..at + 2) else { return None };
        at += 2;
        let class = match value {
            Node::Static(StaticNode::Null) => 1,
            Node::String("") => 1,
            Node::String(text) => {
                if *key == "type" {
                    hash = mix(hash, sample(text.as_bytes()));
                    if !in_actor {
                        type_node = at as u32 - 1;
                    }
                }
                2
            }
            Node::Static(StaticNode::Bool(_)) => 3,
            Node::Static(_) => 4,
            Node::Object { len, .. } if *key == "actor" && !in_actor => {
                (top_left, left, in_actor) = (left, *len, true);
                5
            }
            Node::Object { count, .. } | Node::Array { count, .. } => {
                let class = if record.is_empty(at as u32 - 1) { 1 } else { 6 };
                at += count;
                class
            }
        };
        hash = mix(hash, (key.len() as u64) << 3 | class);
    }
}

#[inline]
fn mix(hash: u64, more: u64) -> u64 {
    (hash.rotate_left(5) ^ more).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Something of a text that tells most texts apart: its length, its beginning, its middle and its end.
#[inline]
fn sample(text: &[u8]) -> u64 {
    let word = |chunk: Option<&[u8; 8]>| chunk.map_or(0, |chunk| u64::from_le_bytes(*chunk));
    let middle = text.get(text.len() / 2..).and_then(|half| half.first_chunk::<8>());
    let ends = mix(word(text.first_chunk::<8>()), word(text.last_chunk::<8>()));
    mix(mix(ends, word(middle)), text.len() as u64)
}
