//! Every field of a record finds its rule, and by it a slot: homes first, then copies where there is room.
//!
//! What finds none, or a taken one, is a leftover, to be kept under `anthropic.audit.metadata`. Nothing is written
//! here, and no value is looked into further than to tell whether it is empty.

use std::collections::HashSet;

use crate::flatten::is_indexable_key;
use crate::program::{FieldId, KindInfo, NONE, Names, Place, Program, Rule, SlotId, TypeInfo, Write};
use crate::record::Record;
use crate::tags::Tags;
use crate::text::same;

/// From this many entries on, repetitions are looked for with a set instead of pairwise.
const MANY: usize = 32;

/// Where a value comes from: the path before its key. Indexes `Fields::prefixes`.
pub(crate) type Prefix = u16;
pub(crate) const TOP: Prefix = 0;
const ACTOR: Prefix = 1;
/// The value is a copy: nothing is lost if it is refused.
pub(crate) const COPY: Prefix = u16::MAX;

/// A value in its slot.
#[derive(Clone, Copy)]
pub(crate) struct Filled {
    pub(crate) node: u32,
    pub(crate) write: Write,
    pub(crate) prefix: Prefix,
}

/// A value without a slot; its key is the node before it.
#[derive(Clone, Copy)]
pub(crate) struct Leftover {
    pub(crate) prefix: Prefix,
    pub(crate) node: u32,
}

/// The fields of one record, sorted into slots; reused from record to record.
pub(crate) struct Fields {
    pub(crate) top: Level,
    pub(crate) actor: Level,
    /// By slot, what fills it; only meaningful where `filled` says so.
    pub(crate) slots: Vec<Filled>,
    /// One bit per slot.
    pub(crate) filled: Vec<u64>,
    /// The lists under `related`, in the order of [`crate::program::Related::ALL`].
    pub(crate) related: [Vec<(u32, Write)>; 4],
    pub(crate) leftovers: Vec<Leftover>,
    /// Those of them that the tables do not know.
    pub(crate) unknown: Vec<Leftover>,
    pub(crate) prefixes: Vec<String>,
    pub(crate) tags: Tags,
    /// Scalars whose very value chose a rule.
    pub(crate) choosers: Vec<u32>,
    /// Objects whose members were placed one by one, the actor among them.
    pub(crate) opened: Vec<u32>,
    copies: Vec<(u16, u32)>,
}

/// The fields met in the record or in its actor.
pub(crate) struct Level {
    /// Field and value, in the order met.
    fields: Vec<(FieldId, u32)>,
    /// By field, its value's node plus one; 0 when the record lacks it.
    pub(crate) seen: Vec<u32>,
    /// By field, the one that followed it last time; the last entry is for the start.
    next: Vec<FieldId>,
}

impl Level {
    fn new(names: &Names) -> Self {
        Self { fields: Vec::new(), seen: vec![0; names.len()], next: vec![NONE; names.len() + 1] }
    }

    /// Sorts the members of an object into known fields and leftovers.
    #[inline]
    fn collect(
        &mut self,
        names: &Names,
        record: &Record<'_>,
        object: u32,
        prefix: Prefix,
        leftovers: &mut Vec<Leftover>,
        tags: &mut Tags,
    ) {
        let first_unknown = leftovers.len();
        let mut before = names.len();
        for (key, value) in record.members(object) {
            let name = record.text(key).unwrap_or_default();
            let guess = self.next[before];
            let field = if guess != NONE && same(names.name(guess).as_bytes(), name.as_bytes()) {
                guess
            } else {
                let field = names.id(name).unwrap_or(NONE);
                self.next[before] = field;
                field
            };
            if field == NONE {
                leftovers.push(Leftover { prefix, node: value });
                continue;
            }
            before = usize::from(field);
            let seen = &mut self.seen[before];
            if *seen != 0 {
                // Of a repeated key the last value counts.
                tags.insert(Tags::DUPLICATE_KEY);
                self.fields.retain(|(other, _)| *other != field);
                *seen = 0;
            }
            if !record.is_empty(value) {
                *seen = value + 1;
                self.fields.push((field, value));
            }
        }
        if leftovers.len() > first_unknown {
            keep_last_of_each_key(record, leftovers, first_unknown, tags);
            leftovers.retain(|leftover| !record.is_empty(leftover.node));
            if leftovers.len() > first_unknown {
                tags.insert(Tags::UNKNOWN_FIELD);
            }
        }
    }

    fn clear(&mut self) {
        for (field, _) in self.fields.drain(..) {
            self.seen[usize::from(field)] = 0;
        }
    }

    /// The value of a field.
    #[inline]
    pub(crate) fn get(&self, field: FieldId) -> Option<u32> {
        self.seen.get(usize::from(field)).and_then(|seen| seen.checked_sub(1))
    }
}

/// Drops all but the last leftover of each key, from `first` on.
fn keep_last_of_each_key(record: &Record<'_>, leftovers: &mut Vec<Leftover>, first: usize, tags: &mut Tags) {
    let key = |leftover: &Leftover| record.text(leftover.node - 1).unwrap_or_default();
    let unknown = &leftovers[first..];
    let repeated: Vec<u32> = if unknown.len() <= MANY {
        let is_repeated = |(at, leftover): (usize, &Leftover)| {
            unknown[at + 1..].iter().any(|later| key(later) == key(leftover)).then_some(leftover.node)
        };
        unknown.iter().enumerate().filter_map(is_repeated).collect()
    } else {
        let mut later = HashSet::new();
        unknown
            .iter()
            .rev()
            .filter(|leftover| !later.insert(key(leftover)))
            .map(|leftover| leftover.node)
            .collect()
    };
    if !repeated.is_empty() {
        tags.insert(Tags::DUPLICATE_KEY);
        let repeated: HashSet<u32> = repeated.into_iter().collect();
        leftovers.retain(|leftover| !repeated.contains(&leftover.node));
    }
}

impl Fields {
    pub(crate) fn new(program: &Program) -> Self {
        let nothing = Filled { node: 0, write: Write::Keyword, prefix: COPY };
        Self {
            top: Level::new(&program.top),
            actor: Level::new(&program.actor),
            slots: vec![nothing; program.slots.len()],
            filled: vec![0; program.slots.len().div_ceil(64)],
            copies: Vec::new(),
            related: Default::default(),
            leftovers: Vec::new(),
            unknown: Vec::new(),
            prefixes: vec![String::new(), "actor.".to_owned()],
            tags: Tags::default(),
            choosers: Vec::new(),
            opened: Vec::new(),
        }
    }

    /// Sorts the members of a record and of its actor into known fields and leftovers.
    pub(crate) fn collect(&mut self, program: &Program, record: &Record<'_>) {
        self.top.clear();
        self.actor.clear();
        self.filled.fill(0);
        self.copies.clear();
        self.leftovers.clear();
        self.prefixes.truncate(2);
        self.tags = Tags::default();
        self.choosers.clear();
        self.opened.clear();
        for list in &mut self.related {
            list.clear();
        }
        self.top.collect(&program.top, record, 0, TOP, &mut self.leftovers, &mut self.tags);
        if let Some(actor) = self.actor_object(program, record) {
            self.opened.push(actor);
            self.actor.collect(&program.actor, record, actor, ACTOR, &mut self.leftovers, &mut self.tags);
        }
        // Until here a field is left over only because nobody knows it.
        self.unknown.clone_from(&self.leftovers);
    }

    /// The node of the actor, if it is an object.
    pub(crate) fn actor_object(&self, program: &Program, record: &Record<'_>) -> Option<u32> {
        self.top.get(program.special.actor).filter(|node| record.is_object(*node))
    }

    /// Gives every collected field its slot.
    pub(crate) fn place_all(
        &mut self,
        program: &Program,
        record: &Record<'_>,
        info: &TypeInfo,
        kind: &KindInfo,
    ) {
        let special = &program.special;
        let actor = self.actor_object(program, record);
        for at in 0..self.top.fields.len() {
            let (field, node) = self.top.fields[at];
            if field == special.type_ {
                // A type that is text is written with the constants of its row.
                if record.text(node).is_none() {
                    self.refuse(node, TOP, Tags::UNEXPECTED_VALUE);
                }
            } else if field == special.actor {
                if actor.is_none() {
                    self.refuse(node, TOP, Tags::UNEXPECTED_VALUE);
                }
            } else {
                self.place(program, record, program.top.rule(field, &info.overrides), node, TOP);
            }
        }
        for at in 0..self.actor.fields.len() {
            let (field, node) = self.actor.fields[at];
            self.place(program, record, program.actor.rule(field, &kind.overrides), node, ACTOR);
        }
        self.copy(program);
        for &(slot, text) in &kind.set {
            self.fill(slot, Filled { node: 0, write: Write::Text(text), prefix: COPY });
        }
    }

    #[inline]
    fn is_filled(&self, slot: SlotId) -> bool {
        self.filled.get(usize::from(slot) / 64).is_some_and(|word| word >> (slot % 64) & 1 == 1)
    }

    /// Fills a free slot; false if it is taken.
    #[inline]
    pub(crate) fn fill(&mut self, slot: SlotId, filled: Filled) -> bool {
        let (word, bit) = (usize::from(slot) / 64, 1_u64 << (slot % 64));
        match (self.filled.get_mut(word), self.slots.get_mut(usize::from(slot))) {
            (Some(word), Some(place)) if *word & bit == 0 => {
                *word |= bit;
                *place = filled;
                true
            }
            _ => false,
        }
    }

    /// Takes the value out of a slot.
    pub(crate) fn take(&mut self, slot: SlotId) -> Option<Filled> {
        if !self.is_filled(slot) {
            return None;
        }
        self.filled[usize::from(slot) / 64] &= !(1 << (slot % 64));
        self.slots.get(usize::from(slot)).copied()
    }

    /// Moves a field's value to where its rule says.
    #[inline]
    fn place(&mut self, program: &Program, record: &Record<'_>, rule: &Rule, node: u32, prefix: Prefix) {
        match rule {
            Rule::Leaf(leaf) => self.home(program, *leaf, node, prefix),
            Rule::Cases(cases) => {
                let siblings = cases.cases.iter().filter_map(|case| self.top.get(case.sibling));
                self.choosers.extend(siblings);
                let chosen = cases.cases.iter().find(|case| {
                    let text = self.top.get(case.sibling).and_then(|node| record.text(node));
                    text.is_some_and(|text| case.values.iter().any(|value| **value == *text))
                });
                match chosen {
                    Some(case) => self.home(program, case.leaf, node, prefix),
                    None => self.place(program, record, &cases.otherwise, node, prefix),
                }
            }
            Rule::Object { inside, otherwise } if record.is_object(node) => {
                self.open(program, record, inside, node, prefix, otherwise);
            }
            Rule::Object { otherwise, .. } => match **otherwise {
                Rule::Unknown => self.refuse(node, prefix, Tags::UNEXPECTED_VALUE),
                ref rule => self.place(program, record, rule, node, prefix),
            },
            Rule::Unknown => self.refuse(node, prefix, Tags::UNKNOWN_FIELD),
        }
    }

    /// Places the members of an object of known shape.
    fn open(
        &mut self,
        program: &Program,
        record: &Record<'_>,
        inside: &[(Box<str>, Rule)],
        node: u32,
        prefix: Prefix,
        otherwise: &Rule,
    ) {
        let mut path = self.prefixes.get(usize::from(prefix)).cloned().unwrap_or_default();
        path.push_str(record.text(node - 1).unwrap_or_default());
        path.push('.');
        let below = self.prefixes.len();
        if below >= usize::from(COPY) || !is_indexable_key(path.trim_end_matches('.')) {
            return self.place(program, record, otherwise, node, prefix);
        }
        self.prefixes.push(path);
        self.opened.push(node);
        let first = self.leftovers.len();
        let mut members: Vec<(u32, u32)> = Vec::new();
        for (key, value) in record.members(node) {
            let before = members.len();
            members.retain(|(other, _)| record.text(*other) != record.text(key));
            if members.len() < before {
                self.tags.insert(Tags::DUPLICATE_KEY);
            }
            members.push((key, value));
            if members.len() > MANY {
                // No known shape has so many members: keep the whole value as it is.
                self.leftovers.truncate(first);
                return self.refuse(node, prefix, Tags::UNEXPECTED_VALUE);
            }
        }
        for (key, value) in members {
            if record.is_empty(value) {
                continue;
            }
            let name = record.text(key);
            let rule = inside
                .iter()
                .find(|(known, _)| Some(&**known) == name)
                .map_or(&Rule::Unknown, |(_, rule)| rule);
            self.place(program, record, rule, value, below as Prefix);
        }
    }

    #[inline]
    fn home(&mut self, program: &Program, leaf: u16, node: u32, prefix: Prefix) {
        let Some(row) = program.leaves.get(usize::from(leaf)) else { return };
        if !self.fill(row.slot, Filled { node, write: row.write, prefix }) {
            // Two fields of an uncatalogued combination share a home: the second keeps its own name.
            self.refuse(node, prefix, Tags::UNEXPECTED_VALUE);
        }
        if !row.also.is_empty() {
            self.copies.push((leaf, node));
        }
    }

    /// Keeps a value for `anthropic.audit.metadata`.
    #[cold]
    pub(crate) fn refuse(&mut self, node: u32, prefix: Prefix, why: Tags) {
        self.tags.insert(why);
        let leftover = Leftover { prefix, node };
        if why == Tags::UNKNOWN_FIELD {
            self.unknown.push(leftover);
        }
        self.leftovers.push(leftover);
    }

    fn copy(&mut self, program: &Program) {
        for at in 0..self.copies.len() {
            let (leaf, node) = self.copies[at];
            let Some(row) = program.leaves.get(usize::from(leaf)) else { continue };
            for &(place, write) in &row.also {
                match place {
                    Place::Slot(slot) => {
                        self.fill(slot, Filled { node, write, prefix: COPY });
                    }
                    Place::Related(list) => self.related[list as usize].push((node, write)),
                }
            }
        }
    }
}
