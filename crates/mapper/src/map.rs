//! The map function: one parsed record in, one document out.
//!
//! Two steps. First every field finds its rule and its slot, homes before copies. Then the filled slots
//! are written in document order, which the numbering of slots gives for free. A value that turns out not
//! to fit its slot is kept for `anthropic.audit.metadata`, which is written last.

use std::collections::HashSet;

use hashbrown::HashMap;
use model::tables::Outcome;
use sha2::{Digest, Sha256};

use crate::cache::{Found, FragmentCache};
use crate::flatten::is_indexable_key;
use crate::fragments::{Address, Agent};
use crate::message::{self, Speaker};
use crate::program::{
    FieldId, KindInfo, NONE, Names, OutcomeByField, Place, Program, Related, Rule, SlotId, TypeInfo, Write,
};
use crate::record::{Record, Scalar};
use crate::tags::Tags;
use crate::value::{self, Values};
use crate::{Mapped, Mapping, json, unknown};

/// Addresses kept; some 4,096 hit 97 of 100 look-ups of a realistic feed.
const ADDRESSES: usize = 4096;
/// Clients kept; 256 already hit 99.9 of 100.
const AGENTS: usize = 1024;
const LONGEST_ADDRESS: usize = 64;
const LONGEST_AGENT: usize = 1024;
/// Unknown types whose inference is kept.
const UNKNOWN_TYPES: usize = 1024;
const LONGEST_TYPE: usize = 256;
/// From this many entries on, repetitions are looked for with a set instead of pairwise.
const MANY: usize = 32;

/// How mapping ended, or why it must be done again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Mapped,
    NotAnObject(&'static str),
    NotAnActivity,
    /// Something was cut, replaced or repeated: the original must be kept.
    NeedsOriginal,
    /// A number's text is needed that the fast parser does not keep.
    NeedsExactNumbers,
}

/// Where a leftover comes from: the path before its key. Indexes `State::prefixes`.
type Prefix = u16;
const TOP: Prefix = 0;
const ACTOR: Prefix = 1;
/// The value is a copy: nothing is lost if it is refused.
const COPY: Prefix = u16::MAX;

/// A value in its slot.
#[derive(Clone, Copy)]
struct Filled {
    node: u32,
    write: Write,
    prefix: Prefix,
}

/// A value without a slot; its key is the node before it.
#[derive(Clone, Copy)]
struct Leftover {
    prefix: Prefix,
    node: u32,
}

/// What is reused from record to record.
pub(crate) struct State {
    top: Level,
    actor: Level,
    slots: Vec<Filled>,
    filled: Vec<u64>,
    copies: Vec<(u16, u32)>,
    related: [Vec<(u32, Write)>; 4],
    leftovers: Vec<Leftover>,
    prefixes: Vec<String>,
    tags: Tags,
    /// A time had more digits than an index keeps.
    cut: bool,
    addresses: FragmentCache<Address>,
    agents: FragmentCache<Agent>,
    unknown_types: HashMap<Box<str>, TypeInfo>,
    event_id: String,
    activity_type: String,
}

/// The fields met in the record or in its actor.
struct Level {
    /// Field and value, in the order met.
    fields: Vec<(FieldId, u32)>,
    /// By field, its value's node plus one.
    seen: Vec<u32>,
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
            let field = if guess != NONE && names.name(guess) == name {
                guess
            } else {
                let field = names.id(name).unwrap_or(NONE);
                self.next[before] = field;
                field
            };
            if field == NONE {
                if !record.is_empty(value) {
                    leftovers.push(Leftover { prefix, node: value });
                }
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
            tags.insert(Tags::UNKNOWN_FIELD);
            keep_last_of_each_key(record, leftovers, first_unknown, tags);
        }
    }

    fn clear(&mut self) {
        for (field, _) in self.fields.drain(..) {
            self.seen[usize::from(field)] = 0;
        }
    }

    /// The value of a field.
    #[inline]
    fn get(&self, field: FieldId) -> Option<u32> {
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
        unknown.iter().rev().filter(|leftover| !later.insert(key(leftover))).map(|leftover| leftover.node).collect()
    };
    if !repeated.is_empty() {
        tags.insert(Tags::DUPLICATE_KEY);
        let repeated: HashSet<u32> = repeated.into_iter().collect();
        leftovers.retain(|leftover| !repeated.contains(&leftover.node));
    }
}

impl State {
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
            prefixes: vec![String::new(), "actor.".to_owned()],
            tags: Tags::default(),
            cut: false,
            addresses: FragmentCache::new(ADDRESSES, LONGEST_ADDRESS),
            agents: FragmentCache::new(AGENTS, LONGEST_AGENT),
            unknown_types: HashMap::new(),
            event_id: String::new(),
            activity_type: String::new(),
        }
    }

    /// Gives back what one huge record made the lists grow by; the caches stay.
    pub(crate) fn shrink(&mut self, program: &Program) {
        self.top = Level::new(&program.top);
        self.actor = Level::new(&program.actor);
        self.copies = Vec::new();
        self.related = Default::default();
        self.leftovers = Vec::new();
        self.prefixes.truncate(2);
    }

    pub(crate) fn mapped(&self) -> Mapped<'_> {
        Mapped { event_id: &self.event_id, activity_type: &self.activity_type, tags: self.tags }
    }

    fn reset(&mut self) {
        self.top.clear();
        self.actor.clear();
        self.filled.fill(0);
        self.copies.clear();
        self.leftovers.clear();
        self.prefixes.truncate(2);
        self.tags = Tags::default();
        self.cut = false;
        self.event_id.clear();
        self.activity_type.clear();
        for list in &mut self.related {
            list.clear();
        }
    }

    #[inline]
    fn is_filled(&self, slot: SlotId) -> bool {
        self.filled.get(usize::from(slot) / 64).is_some_and(|word| word >> (slot % 64) & 1 == 1)
    }

    /// Fills a free slot; false if it is taken.
    #[inline]
    fn fill(&mut self, slot: SlotId, filled: Filled) -> bool {
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
    fn take(&mut self, slot: SlotId) -> Option<Filled> {
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
                let chosen = cases.cases.iter().find(|(sibling, values, _)| {
                    let text = self.top.get(*sibling).and_then(|node| record.text(node));
                    text.is_some_and(|text| values.iter().any(|value| **value == *text))
                });
                match chosen {
                    Some((_, _, leaf)) => self.home(program, *leaf, node, prefix),
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
            let rule = inside.iter().find(|(known, _)| Some(&**known) == name).map_or(&Rule::Unknown, |(_, rule)| rule);
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
    fn refuse(&mut self, node: u32, prefix: Prefix, why: Tags) {
        self.tags.insert(why);
        self.leftovers.push(Leftover { prefix, node });
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

/// Maps one record; on anything but [`Verdict::Mapped`] what was appended to `out` is to be cut off.
pub(crate) fn map(
    mapping: &Mapping,
    state: &mut State,
    record: &Record<'_>,
    keep_original: bool,
    ingested: Option<&str>,
    out: &mut Vec<u8>,
) -> Verdict {
    let program = &mapping.program;
    if !record.is_object(0) {
        return Verdict::NotAnObject(match record.scalar(0) {
            None => "an array",
            Some(Scalar::Text(_)) => "a string",
            Some(Scalar::Null) => "null",
            Some(Scalar::Bool(_)) => "a boolean",
            Some(_) => "a number",
        });
    }
    state.reset();
    let (leftovers, tags) = (&mut state.leftovers, &mut state.tags);
    state.top.collect(&program.top, record, 0, TOP, leftovers, tags);
    let special = &program.special;
    let activity_type = state.top.get(special.type_).and_then(|node| record.text(node)).unwrap_or_default();
    let id = state.top.get(special.id).filter(|node| record.scalar(*node).is_some());
    if id.is_none() && activity_type.is_empty() {
        return Verdict::NotAnActivity;
    }
    state.activity_type.push_str(activity_type);

    // The actor's fields are a level of their own.
    let actor = state.top.get(special.actor).filter(|node| record.is_object(*node));
    if let Some(node) = actor {
        state.actor.collect(&program.actor, record, node, ACTOR, &mut state.leftovers, &mut state.tags);
    }
    let kind = state.actor.get(special.actor_type).and_then(|node| record.text(node)).unwrap_or_default();
    let kind = match program.kinds.get(kind) {
        Some(kind) => kind,
        None => {
            state.tags.insert(Tags::UNKNOWN_ACTOR_TYPE);
            &program.any_kind
        }
    };

    // An unknown type's inference is lent out of the state while the state is worked on.
    let known = program.types.get(activity_type);
    if known.is_none() {
        state.tags.insert(Tags::UNKNOWN_ACTIVITY_TYPE);
        let inferred = infer(mapping, state, activity_type);
        let verdict = write_document(mapping, state, record, &inferred, kind, actor.is_some(), keep_original, ingested, out);
        if activity_type.len() <= LONGEST_TYPE {
            state.unknown_types.insert(activity_type.into(), inferred);
        }
        return verdict;
    }
    match known {
        Some(info) => write_document(mapping, state, record, info, kind, actor.is_some(), keep_original, ingested, out),
        None => Verdict::NotAnActivity,
    }
}

/// Takes the inference for an unknown type out of the state, or makes it.
#[cold]
fn infer(mapping: &Mapping, state: &mut State, activity_type: &str) -> TypeInfo {
    if state.unknown_types.len() > UNKNOWN_TYPES {
        state.unknown_types.clear();
    }
    match state.unknown_types.remove(activity_type) {
        Some(info) => info,
        None => unknown::infer(&mapping.program, &mapping.ecs, activity_type),
    }
}

#[expect(clippy::too_many_arguments, reason = "one call, in two places, of what was one function")]
fn write_document(
    mapping: &Mapping,
    state: &mut State,
    record: &Record<'_>,
    info: &TypeInfo,
    kind: &KindInfo,
    has_actor: bool,
    keep_original: bool,
    ingested: Option<&str>,
    out: &mut Vec<u8>,
) -> Verdict {
    let program = &mapping.program;
    let special = &program.special;
    fill_slots(program, state, record, info, kind, has_actor);

    let address = state.actor.get(special.actor_address).and_then(|node| record.text(node));
    let address = address.map(|text| state.addresses.find(text, |text| Address::new(text, &mapping.geo)));
    if let Some(found) = address {
        let address = state.addresses.get(found);
        if address.is_broken {
            state.tags.insert(Tags::GEOIP_LOOKUP_FAILURE);
        }
        if !address.anonymizer.is_empty() {
            state.fill(special.anonymizer, Filled { node: 0, write: Write::Anonymizer, prefix: COPY });
        }
    }
    if record.is_repaired() {
        state.tags.insert(Tags::INVALID_UNICODE);
    }

    let values = Values::new(record);
    out.extend_from_slice(b"{\"@timestamp\":");
    write_timestamp(program, state, &values, out);
    out.push(b',');
    out.extend_from_slice(&mapping.head);
    write_event(mapping, state, &values, info, keep_original, ingested, out);
    let group = write_slots(program, state, &values, address, out);
    let group = write_leftovers(program, state, &values, group, out);
    out.extend(std::iter::repeat_n(b'}', program.depth(group)));

    out.extend_from_slice(b",\"message\":\"");
    Speaker { values: &values, seen: &state.actor.seen }.speak(out, &kind.subject);
    out.push(b' ');
    Speaker { values: &values, seen: &state.top.seen }.speak(out, &info.message);
    if let Some(found) = address {
        out.extend_from_slice(&state.addresses.get(found).place);
    }
    out.push(b'"');
    write_related(program, state, &values, address, out);

    if values.inexact.get() {
        return Verdict::NeedsExactNumbers;
    }
    if values.duplicate_key.get() {
        state.tags.insert(Tags::DUPLICATE_KEY);
    }
    if keep_original {
        state.tags.insert(Tags::PRESERVE_ORIGINAL_EVENT);
    } else if state.tags.contains(Tags::DUPLICATE_KEY) || state.tags.contains(Tags::INVALID_UNICODE) || state.cut {
        return Verdict::NeedsOriginal;
    }
    if !state.tags.is_empty() {
        out.extend_from_slice(b",\"tags\":[");
        for (at, name) in state.tags.names().enumerate() {
            out.extend_from_slice(if at == 0 { b"\"" } else { b",\"" });
            out.extend_from_slice(name.as_bytes());
            out.push(b'"');
        }
        out.push(b']');
    }
    out.push(b'}');
    Verdict::Mapped
}

fn fill_slots(
    program: &Program,
    state: &mut State,
    record: &Record<'_>,
    info: &TypeInfo,
    kind: &KindInfo,
    has_actor: bool,
) {
    let special = &program.special;
    for at in 0..state.top.fields.len() {
        let (field, node) = state.top.fields[at];
        if field == special.type_ && !state.activity_type.is_empty() || field == special.actor && has_actor {
            continue;
        }
        if field == special.type_ || field == special.actor {
            state.refuse(node, TOP, Tags::UNEXPECTED_VALUE);
            continue;
        }
        state.place(program, record, program.top.rule(field, &info.overrides), node, TOP);
    }
    for at in 0..state.actor.fields.len() {
        let (field, node) = state.actor.fields[at];
        state.place(program, record, program.actor.rule(field, &kind.overrides), node, ACTOR);
    }
    state.copy(program);
    for &(slot, text) in &kind.set {
        state.fill(slot, Filled { node: 0, write: Write::Text(text), prefix: COPY });
    }
}

/// Writes the value of `@timestamp`. Without a usable time it is the epoch: a data stream refuses
/// documents without one.
fn write_timestamp(program: &Program, state: &mut State, values: &Values<'_, '_>, out: &mut Vec<u8>) {
    let special = &program.special;
    let start = out.len();
    let own = state.take(special.timestamp);
    let created = state.top.get(special.created_at);
    for (node, filled) in [(own.map(|filled| filled.node), own), (created, None)] {
        let Some(node) = node else { continue };
        match values.write(out, node, Write::Date) {
            value::Outcome::Written => return,
            value::Outcome::Cut => return state.cut = true,
            value::Outcome::Refused => out.truncate(start),
        }
        if let Some(filled) = filled {
            state.refuse(filled.node, filled.prefix, Tags::UNEXPECTED_VALUE);
        }
    }
    state.tags.insert(Tags::MISSING_TIMESTAMP);
    out.extend_from_slice(b"\"1970-01-01T00:00:00Z\"");
}

/// Writes the members of `event` that are not slots, leaving the object open.
fn write_event(
    mapping: &Mapping,
    state: &mut State,
    values: &Values<'_, '_>,
    info: &TypeInfo,
    keep_original: bool,
    ingested: Option<&str>,
    out: &mut Vec<u8>,
) {
    let special = &mapping.program.special;
    out.extend_from_slice(&info.event);
    if let Some(rule) = &info.outcome {
        out.extend_from_slice(b",\"outcome\":\"");
        out.extend_from_slice(outcome(values, &state.top.seen, rule).as_str().as_bytes());
        out.push(b'"');
    }
    write_id(special.event_id, state, values, out);
    // When it was recorded; the same as @timestamp unless the type has an event time of its own.
    let recorded = state.take(special.event_created);
    let node = recorded.map(|filled| filled.node).or_else(|| state.top.get(special.created_at));
    if let Some(node) = node {
        let start = out.len();
        out.extend_from_slice(b",\"created\":");
        match (values.write(out, node, Write::Date), recorded) {
            (value::Outcome::Written, _) => {}
            (value::Outcome::Cut, _) => state.cut = true,
            (value::Outcome::Refused, Some(filled)) => {
                out.truncate(start);
                state.refuse(filled.node, filled.prefix, Tags::UNEXPECTED_VALUE);
            }
            (value::Outcome::Refused, None) => out.truncate(start),
        }
    }
    if let Some(ingested) = ingested {
        out.extend_from_slice(b",\"ingested\":\"");
        out.extend_from_slice(ingested.as_bytes());
        out.push(b'"');
    }
    if mapping.options.event_hash {
        out.extend_from_slice(b",\"hash\":\"");
        push_sha256(out, values.record.raw);
        out.push(b'"');
    }
    if keep_original {
        out.extend_from_slice(b",\"original\":");
        json::push_string(out, &String::from_utf8_lossy(values.record.raw));
    }
}

fn write_id(slot: SlotId, state: &mut State, values: &Values<'_, '_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"id\":");
    let start = out.len();
    if let Some(filled) = state.take(slot) {
        if values.record.scalar(filled.node).is_some()
            && values.write(out, filled.node, Write::Keyword) == value::Outcome::Written
        {
            match values.record.text(filled.node) {
                Some(text) => state.event_id.push_str(text),
                None => state.event_id.push_str(&String::from_utf8_lossy(&out[start + 1..out.len() - 1])),
            }
            return;
        }
        out.truncate(start);
        state.refuse(filled.node, filled.prefix, Tags::UNEXPECTED_VALUE);
    }
    state.tags.insert(Tags::DERIVED_EVENT_ID);
    let mut canonical = Vec::new();
    values.canonical(&mut canonical, 0, crate::MAX_DEPTH);
    let mut hash = Vec::new();
    push_sha256(&mut hash, &canonical);
    state.event_id.push_str(&String::from_utf8_lossy(&hash));
    json::push_string(out, &state.event_id);
}

fn push_sha256(out: &mut Vec<u8>, bytes: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for byte in Sha256::digest(bytes) {
        out.push(HEX[usize::from(byte >> 4)]);
        out.push(HEX[usize::from(byte & 15)]);
    }
}

fn outcome(values: &Values<'_, '_>, seen: &[u32], rule: &OutcomeByField) -> Outcome {
    let record = values.record;
    let node = seen.get(usize::from(rule.field.field)).and_then(|seen| seen.checked_sub(1));
    let node = match rule.field.below.as_ref() {
        [] => node,
        below => node.and_then(|node| message::find(record, node, below)),
    };
    let Some(scalar) = node.and_then(|node| record.scalar(node)) else { return rule.otherwise };
    let mut number = itoa::Buffer::new();
    let text = match scalar {
        Scalar::Text(text) => text,
        Scalar::Bool(true) => "true",
        Scalar::Bool(false) => "false",
        Scalar::Int(value) => number.format(value),
        _ => return rule.otherwise,
    };
    rule.cases.iter().find(|(case, _)| case.matches(text)).map_or(rule.otherwise, |(_, outcome)| *outcome)
}

/// Writes the filled slots in document order, behind the open `event`; returns the group left open.
fn write_slots(
    program: &Program,
    state: &mut State,
    values: &Values<'_, '_>,
    address: Option<Found>,
    out: &mut Vec<u8>,
) -> u8 {
    let mut group = 0;
    for word in 0..state.filled.len() {
        let mut bits = state.filled[word];
        while bits != 0 {
            let at = word * 64 + bits.trailing_zeros() as usize;
            bits &= bits - 1;
            let (slot, filled) = (&program.slots[at], state.slots[at]);
            let start = out.len();
            out.extend_from_slice(program.transition(group, slot.group));
            let wrote = match filled.write {
                Write::Source | Write::UserAgent => write_fragment(state, values, filled, address, out),
                Write::Anonymizer => {
                    out.extend_from_slice(&slot.key);
                    if let Some(found) = address {
                        out.extend_from_slice(&state.addresses.get(found).anonymizer);
                    }
                    value::Outcome::Written
                }
                Write::Text(text) => {
                    out.extend_from_slice(&slot.key);
                    json::push_string(out, program.texts.get(usize::from(text)).map_or("", |text| text));
                    value::Outcome::Written
                }
                write => {
                    out.extend_from_slice(&slot.key);
                    values.write(out, filled.node, write)
                }
            };
            match wrote {
                value::Outcome::Written => group = slot.group,
                value::Outcome::Cut => {
                    group = slot.group;
                    state.cut = true;
                }
                value::Outcome::Refused => {
                    out.truncate(start);
                    if filled.prefix != COPY {
                        state.refuse(filled.node, filled.prefix, Tags::UNEXPECTED_VALUE);
                    }
                }
            }
        }
    }
    group
}

/// Writes the finished members of `source` or `user_agent`.
#[inline]
fn write_fragment(
    state: &mut State,
    values: &Values<'_, '_>,
    filled: Filled,
    address: Option<Found>,
    out: &mut Vec<u8>,
) -> value::Outcome {
    let Some(text) = values.record.text(filled.node) else { return value::Outcome::Refused };
    match (filled.write, address) {
        (Write::Source, Some(found)) => out.extend_from_slice(&state.addresses.get(found).source),
        _ => {
            let found = state.agents.find(text, Agent::new);
            out.extend_from_slice(&state.agents.get(found).members);
        }
    }
    value::Outcome::Written
}

/// Writes `anthropic.audit.metadata`: what has no other home.
fn write_leftovers(
    program: &Program,
    state: &mut State,
    values: &Values<'_, '_>,
    group: u8,
    out: &mut Vec<u8>,
) -> u8 {
    if state.leftovers.is_empty() {
        return group;
    }
    let slot = &program.slots[usize::from(program.special.metadata)];
    out.extend_from_slice(program.transition(group, slot.group));
    out.extend_from_slice(&slot.key);
    out.push(b'{');
    let record = values.record;
    let start = out.len();
    let mut unindexable: Vec<u32> = Vec::new();
    let mut written: HashSet<String> = HashSet::new();
    for leftover in &state.leftovers {
        let key = record.text(leftover.node - 1).unwrap_or_default();
        let prefix = state.prefixes.get(usize::from(leftover.prefix)).map_or("", String::as_str);
        let name = format!("{prefix}{key}");
        if name == UNINDEXABLE || !is_indexable_key(key) || !is_indexable_key(&name) || written.contains(&name) {
            unindexable.push(leftover.node);
            continue;
        }
        let before = out.len();
        if before > start {
            out.push(b',');
        }
        json::push_string(out, &name);
        out.push(b':');
        if values.pruned(out, leftover.node, crate::MAX_DEPTH) {
            written.insert(name);
        } else {
            out.truncate(before);
            unindexable.push(leftover.node);
        }
    }
    if !unindexable.is_empty() {
        if out.len() > start {
            out.push(b',');
        }
        json::push_string(out, UNINDEXABLE);
        out.extend_from_slice(b":[");
        for (at, node) in unindexable.into_iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            let mut member = vec![b'{'];
            json::push_string(&mut member, record.text(node - 1).unwrap_or_default());
            member.push(b':');
            values.whole(&mut member, node);
            member.push(b'}');
            json::push_string(out, &String::from_utf8_lossy(&member));
        }
        out.push(b']');
    }
    out.push(b'}');
    slot.group
}

/// Members of `metadata` whose keys no index can hold, as a list of JSON texts.
const UNINDEXABLE: &str = "unindexable";

/// Writes `related`: what the record is about, in lists that are searched by analysts.
fn write_related(
    program: &Program,
    state: &State,
    values: &Values<'_, '_>,
    address: Option<Found>,
    out: &mut Vec<u8>,
) {
    let start = out.len();
    let address_node = state.actor.get(program.special.actor_address);
    for list in Related::ALL {
        let mut texts = Distinct::default();
        let before = out.len();
        out.extend_from_slice(if before == start { b",\"related\":{\"" } else { b",\"" });
        out.extend_from_slice(list.name().as_bytes());
        out.extend_from_slice(b"\":[");
        let first = out.len();
        for &(node, write) in &state.related[list as usize] {
            // The actor's address has been parsed already.
            let known = address.filter(|_| Some(node) == address_node && matches!(write, Write::Ip));
            if let Some(found) = known {
                if state.addresses.get(found).is_ip {
                    push_distinct(values.record.text(node), &mut texts, first, out);
                }
            } else if values.record.is_array(node) {
                for item in values.record.items(node) {
                    push_distinct(values.text_of(item, write), &mut texts, first, out);
                }
            } else {
                push_distinct(values.text_of(node, write), &mut texts, first, out);
            }
        }
        if out.len() == first {
            out.truncate(before);
        } else {
            out.push(b']');
        }
    }
    if out.len() > start {
        out.push(b'}');
    }
}

fn push_distinct<'a>(text: Option<&'a str>, texts: &mut Distinct<'a>, first: usize, out: &mut Vec<u8>) {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return };
    if texts.insert(text) {
        if out.len() > first {
            out.push(b',');
        }
        json::push_string(out, text);
    }
}

/// Texts met so far: pairwise while they are few, so that nothing is allocated.
#[derive(Default)]
struct Distinct<'a> {
    few: [&'a str; 8],
    len: usize,
    many: Option<HashSet<&'a str>>,
}

impl<'a> Distinct<'a> {
    fn insert(&mut self, text: &'a str) -> bool {
        if let Some(many) = &mut self.many {
            return many.insert(text);
        }
        if self.few[..self.len].contains(&text) {
            return false;
        }
        match self.few.get_mut(self.len) {
            Some(place) => *place = text,
            None => {
                let many = self.many.insert(self.few.iter().copied().collect());
                many.insert(text);
                return true;
            }
        }
        self.len += 1;
        true
    }
}
