//! All plans: which one a record gets, and which records are worth one.
//!
//! What is met often without a plan gets one; what is not used any more makes room.

use std::sync::Arc;

use hashbrown::HashSet;
use simd_json::{Node, StaticNode};

use crate::enrich::GeoDatabases;
use crate::fragments::Addresses;
use crate::layout::Layouts;
use crate::plan::{AddressShape, MEMBERS, Plan, Texts};
use crate::record::{Record, Unread};
use crate::value::Values;

/// Plans kept; when they are more, those not used lately make room.
const PLANS: usize = 8192;
/// Plans of one layout: they differ in the parts that texts have, and in what is known of the address.
const VARIANTS: usize = 32;
/// Counters for outlines without a plan; a power of two.
const STRANGERS: usize = 1 << 15;
/// A plan is worth its making when its outline has been met this often.
const FAMILIAR: u8 = 2;
/// From here on a counter stands for an outline that plans do not help.
const HOPELESS: u8 = 128;
/// After so many records without a plan all counters are halved, so that the past fades.
const FADING: u32 = 1 << 15;

/// All plans, and what is known of records without one.
pub(crate) struct Plans {
    layouts: Layouts,
    plans: Vec<Plan>,
    pub(crate) texts: Texts,
    /// The activity types of all plans.
    types: HashSet<Arc<str>>,
    /// How often outlines without a plan were met; several may share a counter.
    strangers: Vec<u8>,
    strangers_met: u32,
}

/// A hash of what a record looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outline(u64);

/// A plan that a record fits, and the actor's address: its node, its text and what is known of it.
pub(crate) struct Fit<'p, 'a> {
    pub(crate) plan: &'p Plan,
    pub(crate) texts: &'p Texts,
    pub(crate) address: Option<(u32, &'a str, u32)>,
}

impl Plans {
    pub(crate) fn new() -> Self {
        Self {
            layouts: Layouts::new(),
            plans: Vec::new(),
            texts: Texts::default(),
            types: HashSet::new(),
            strangers: vec![0; STRANGERS],
            strangers_met: 0,
        }
    }

    /// Takes a record apart by its layout, if that is known; answers its plans.
    #[inline]
    pub(crate) fn recognise<'a>(
        &self,
        raw: &'a [u8],
        values: &mut Vec<Node<'a>>,
        unread: &mut Vec<Unread>,
    ) -> Option<&[u16]> {
        if self.layouts.is_empty() {
            return None;
        }
        // No value has the number 0, which stands for none in many places.
        values.push(Node::Static(StaticNode::Null));
        self.layouts.walk(raw, &self.texts, values, unread)
    }

    /// The one of some plans that a record fits, `plans` being those of its layout.
    #[inline]
    pub(crate) fn choose<'a>(
        &self,
        plans: &[u16],
        values: &Values<'_, 'a>,
        addresses: &mut Addresses,
        geo: &GeoDatabases,
    ) -> Option<Fit<'_, 'a>> {
        let mut known = None;
        for plan in plans {
            let plan = self.plans.get(usize::from(*plan))?;
            if !plan.fits(values) {
                continue;
            }
            let address = match plan.address {
                None => None,
                Some((value, shape)) => {
                    let text = values.record.text(value)?;
                    let known = *known.get_or_insert_with(|| addresses.find(text, geo));
                    if addresses.get(known).map(AddressShape::of) != Some(shape) {
                        continue;
                    }
                    Some((value, text, known))
                }
            };
            plan.used.set(true);
            return Some(Fit { plan, texts: &self.texts, address });
        }
        None
    }

    /// Whether a record without a plan is worth one: making it takes somewhat longer than one use of it saves.
    pub(crate) fn is_worth_learning(&mut self, outline: Outline) -> bool {
        self.strangers_met += 1;
        if self.strangers_met == FADING {
            self.strangers_met = 0;
            self.strangers.iter_mut().for_each(|met| *met /= 2);
        }
        let Some(met) = self.strangers.get_mut(outline.counter()) else { return false };
        if *met >= HOPELESS {
            return false;
        }
        *met += 1;
        if *met < FAMILIAR {
            return false;
        }
        *met = 0;
        true
    }

    /// Remembers that no plan can be made, or would be found.
    pub(crate) fn give_up(&mut self, outline: Outline) {
        if let Some(met) = self.strangers.get_mut(outline.counter()) {
            *met = u8::MAX;
        }
    }

    /// Makes room for one more plan; to be called before it is made, since it can make plans forget their texts.
    pub(crate) fn make_room(&mut self) {
        if self.texts.is_full() {
            self.clear();
        } else if self.plans.len() >= PLANS {
            self.sweep();
        }
    }

    /// Keeps a plan; false if records like `raw` would not be written by it.
    pub(crate) fn insert(&mut self, plan: Plan, raw: &[u8]) -> bool {
        let like = self.layouts.of(&plan.layout, &self.texts);
        if like.len() >= VARIANTS || like.iter().any(|other| self.plans[usize::from(*other)].is_like(&plan)) {
            return false;
        }
        let number = self.plans.len() as u16;
        self.layouts.add(&plan.layout, &self.texts, number);
        self.plans.push(plan);
        // Of two layouts that both fit, the longer fixed bytes win, and they may be another layout's.
        let found = self.layouts.walk(raw, &self.texts, &mut Vec::with_capacity(MEMBERS), &mut Vec::new());
        found.is_some_and(|plans| plans.contains(&number))
    }

    /// Forgets the plans not used since the last time, or all if there are none such.
    #[cold]
    fn sweep(&mut self) {
        self.plans.retain_mut(|plan| plan.used.replace(false));
        if self.plans.len() >= PLANS {
            self.clear();
        }
        self.layouts = Layouts::new();
        for (number, plan) in self.plans.iter().enumerate() {
            self.layouts.add(&plan.layout, &self.texts, number as u16);
        }
    }

    /// Forgets all plans.
    pub(crate) fn clear(&mut self) {
        self.plans.clear();
        self.layouts = Layouts::new();
        self.texts.clear();
        self.types.clear();
    }

    /// The text of an activity type, which all plans of the type share.
    pub(crate) fn share(&mut self, activity_type: &str) -> Arc<str> {
        Arc::clone(self.types.get_or_insert_with(activity_type, |text| text.into()))
    }
}

impl Outline {
    fn counter(self) -> usize {
        (self.0 >> 32) as usize & (STRANGERS - 1)
    }
}

/// What a record looks like from afar: a hash of its types, the lengths of its keys and the kinds of its values. Nothing if
/// no plan can be made of it.
pub(crate) fn outline(record: &Record<'_>) -> Option<Outline> {
    let Some(Node::Object { len, .. }) = record.nodes.first() else { return None };
    let (mut hash, mut members) = (0, 0);
    let (mut left, mut top_left, mut in_actor, mut at) = (*len, 0, false, 1);
    loop {
        if left == 0 {
            if !in_actor {
                return Some(Outline(hash));
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
                }
                2
            }
            Node::Static(StaticNode::Bool(_)) => 3,
            Node::Static(_) => 4,
            Node::Object { len, .. } if *key == "actor" && !in_actor => {
                (top_left, left, in_actor) = (left, *len, true);
                5
            }
            container @ (Node::Object { count, .. } | Node::Array { count, .. }) => {
                let is_empty = record.is_empty(at as u32 - 1);
                at += count;
                match container {
                    _ if is_empty => 1,
                    Node::Object { .. } => 6,
                    _ => 7,
                }
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
