//! The map function: one parsed record in, one document out.
//!
//! A record whose shape has been met before is written by its plan. Any other goes the general way: its fields are
//! sorted into slots, the filled slots are written in document order, which the numbering of slots gives for free,
//! and what was written becomes a plan if nothing about the record was unusual. A value that turns out not to fit
//! its slot is kept for `anthropic.audit.metadata`, which is written last.

use std::collections::HashSet;

use hashbrown::HashMap;
use model::tables::Outcome;

use crate::cache::FragmentCache;
use crate::fields::{COPY, Fields, Filled};
use crate::flatten::is_indexable_key;
use crate::fragments::{Addresses, Agent};
use crate::message;
use crate::out::Out;
use crate::plan::{Basis, Fit, Outline, Plan, Plans};
use crate::program::{KindInfo, OutcomeByField, Program, Related, SlotId, TypeInfo, Write};
use crate::record::{Record, Scalar};
use crate::tags::Tags;
use crate::value::{self, Values};
use crate::writer::{Op, Recorder, Recording, Writer, push_sha256};
use crate::{Mapped, Mapping, PlanStatistics, json, unknown};

/// Clients kept; 256 already hit 99.9 of 100.
const AGENTS: usize = 1024;
/// Unknown types whose inference is kept.
const UNKNOWN_TYPES: usize = 1024;
const LONGEST_TYPE: usize = 256;

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

/// What is reused from record to record.
pub(crate) struct State {
    fields: Fields,
    recording: Recording,
    plans: Plans,
    addresses: Addresses,
    agents: FragmentCache<Box<str>, Agent>,
    unknown_types: HashMap<Box<str>, TypeInfo>,
    event_id: String,
    activity_type: String,
    tags: Tags,
    statistics: PlanStatistics,
}

/// What every record is mapped with.
#[derive(Clone, Copy)]
pub(crate) struct Context<'c> {
    pub(crate) mapping: &'c Mapping,
    pub(crate) ingested: Option<&'c str>,
    /// Records may be written by plans, and plans be learnt.
    pub(crate) plans: bool,
}

impl State {
    pub(crate) fn new(program: &Program) -> Self {
        Self {
            fields: Fields::new(program),
            recording: Recording::default(),
            plans: Plans::new(),
            addresses: Addresses::new(),
            agents: FragmentCache::new(AGENTS),
            unknown_types: HashMap::new(),
            event_id: String::new(),
            activity_type: String::new(),
            tags: Tags::default(),
            statistics: PlanStatistics::default(),
        }
    }

    /// Gives back what one huge record made the lists grow by; the caches stay.
    pub(crate) fn shrink(&mut self, program: &Program) {
        self.fields = Fields::new(program);
        self.recording = Recording::default();
    }

    /// Forgets what was learnt under other options.
    pub(crate) fn forget_plans(&mut self) {
        self.plans.clear();
    }

    pub(crate) fn statistics(&self) -> PlanStatistics {
        self.statistics
    }

    pub(crate) fn mapped(&self) -> Mapped<'_> {
        Mapped { event_id: &self.event_id, activity_type: &self.activity_type, tags: self.tags }
    }
}

/// Maps one record. On anything but [`Verdict::Mapped`], what was appended to `out` is to be cut off.
pub(crate) fn map(
    context: Context<'_>,
    state: &mut State,
    record: &Record<'_>,
    keep_original: bool,
    out: &mut Out,
) -> Verdict {
    if !context.plans || record.is_exact() {
        return map_generally(context, state, record, keep_original, None, out);
    }
    match map_by_plan(context, state, record, out) {
        Ok(true) => {
            state.statistics.planned += 1;
            Verdict::Mapped
        }
        Ok(false) => {
            // The general path must not learn the same shape again.
            state.statistics.surprises += 1;
            out.clear();
            map_generally(context, state, record, keep_original, None, out)
        }
        Err(outline) => {
            let learn = outline.filter(|outline| state.plans.is_worth_learning(*outline));
            map_generally(context, state, record, keep_original, learn, out)
        }
    }
}

/// Writes a record by the plan for its shape; false if it met a surprise, an error if there is none.
#[inline]
fn map_by_plan(
    context: Context<'_>,
    state: &mut State,
    record: &Record<'_>,
    out: &mut Out,
) -> Result<bool, Option<Outline>> {
    let State { plans, addresses, agents, .. } = state;
    let values = Values::new(record);
    let Fit { plan, nodes, address } = plans.find(&values, addresses, &context.mapping.geo)?;
    let ingested = context.ingested;
    let mut writer = Writer { out, values: &values, agents, addresses, address, ingested, time: None };
    if !plan.replay(nodes, &mut writer) || values.inexact.get() || values.duplicate_key.get() {
        return Ok(false);
    }
    state.event_id.clear();
    state.event_id.push_str(record.text(plan.id_node(nodes)).unwrap_or_default());
    state.activity_type.clear();
    state.activity_type.push_str(plan.activity_type());
    state.tags = Tags::default();
    if context.mapping.options.preserve_original {
        state.tags.insert(Tags::PRESERVE_ORIGINAL_EVENT);
    }
    Ok(true)
}

#[inline(never)]
fn map_generally(
    context: Context<'_>,
    state: &mut State,
    record: &Record<'_>,
    keep_original: bool,
    learn: Option<Outline>,
    out: &mut Out,
) -> Verdict {
    state.statistics.general += 1;
    let program = &context.mapping.program;
    if !record.is_object(0) {
        return Verdict::NotAnObject(match record.scalar(0) {
            None => "an array",
            Some(Scalar::Text(_)) => "a string",
            Some(Scalar::Null) => "null",
            Some(Scalar::Bool(_)) => "a boolean",
            Some(_) => "a number",
        });
    }
    state.fields.collect(program, record);
    let (fields, special) = (&mut state.fields, &program.special);
    let activity_type = fields.top.get(special.type_).and_then(|node| record.text(node)).unwrap_or_default();
    let id = fields.top.get(special.id).filter(|node| record.scalar(*node).is_some());
    if id.is_none() && activity_type.is_empty() {
        return Verdict::NotAnActivity;
    }
    state.activity_type.clear();
    state.activity_type.push_str(activity_type);
    let kind = fields.actor.get(special.actor_type).and_then(|node| record.text(node)).unwrap_or_default();
    let kind = program.kinds.get(kind).unwrap_or_else(|| {
        fields.tags.insert(Tags::UNKNOWN_ACTOR_TYPE);
        &program.any_kind
    });
    if let Some(info) = program.types.get(activity_type) {
        return write_document(context, state, record, info, kind, keep_original, learn, out);
    }
    // An unknown type's inference is lent out of the state while the state is worked on.
    fields.tags.insert(Tags::UNKNOWN_ACTIVITY_TYPE);
    let inferred = infer(context.mapping, state, activity_type);
    let verdict = write_document(context, state, record, &inferred, kind, keep_original, None, out);
    if activity_type.len() <= LONGEST_TYPE {
        state.unknown_types.insert(activity_type.into(), inferred);
    }
    verdict
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

#[expect(
    clippy::too_many_arguments,
    reason = "the second half of one function, called for known and unknown types"
)]
fn write_document(
    context: Context<'_>,
    state: &mut State,
    record: &Record<'_>,
    info: &TypeInfo,
    kind: &KindInfo,
    keep_original: bool,
    learn: Option<Outline>,
    out: &mut Out,
) -> Verdict {
    let Context { mapping, ingested, .. } = context;
    let (program, special) = (&mapping.program, &mapping.program.special);
    let State { fields, recording, addresses, agents, .. } = state;
    fields.place_all(program, record, info, kind);

    let address = fields.actor.get(special.actor_address);
    let address = address.and_then(|node| record.text(node).map(|text| (node, text)));
    let address = address.map(|(node, text)| (node, text, addresses.find(text, &mapping.geo)));
    if let Some(known) = address.and_then(|(.., known)| addresses.get(known)) {
        if known.is_broken {
            fields.tags.insert(Tags::GEOIP_LOOKUP_FAILURE);
        }
        if !known.anonymizer.is_empty() {
            fields.fill(special.anonymizer, Filled { node: 0, write: Write::Anonymizer, prefix: COPY });
        }
    }
    if record.is_repaired() {
        fields.tags.insert(Tags::INVALID_UNICODE);
    }

    recording.start(learn.is_some());
    let values = Values::new(record);
    let writer = Writer { out, values: &values, agents, addresses, address, ingested, time: None };
    let mut document = Document { fields, to: Recorder { writer, recording }, cut: false };
    document.to.fixed(b"{\"@timestamp\":");
    document.timestamp(program);
    document.to.fixed(b",");
    document.to.fixed(&mapping.head);
    let id = document.event(mapping, info, keep_original, &mut state.event_id);
    let group = document.slots(program);
    let group = document.leftovers(program, group);
    for _ in 0..program.depth(group) {
        document.to.fixed(b"}");
    }
    document.message(info, kind);
    document.related();

    let cut = document.cut;
    if values.inexact.get() {
        return Verdict::NeedsExactNumbers;
    }
    if values.duplicate_key.get() {
        fields.tags.insert(Tags::DUPLICATE_KEY);
    }
    let unusual = !fields.tags.is_empty() || cut || !fields.leftovers.is_empty();
    if keep_original {
        fields.tags.insert(Tags::PRESERVE_ORIGINAL_EVENT);
    } else if cut || fields.tags.contains(Tags::DUPLICATE_KEY) || fields.tags.contains(Tags::INVALID_UNICODE)
    {
        return Verdict::NeedsOriginal;
    }
    let mut end = Vec::new();
    for (at, name) in fields.tags.names().enumerate() {
        end.extend_from_slice(if at == 0 { b",\"tags\":[\"" } else { b"\",\"" });
        end.extend_from_slice(name.as_bytes());
    }
    end.extend_from_slice(if end.is_empty() { b"}" } else { b"\"]}" });
    out.put(&end);
    state.tags = fields.tags;

    if let (Some(outline), Some(id), false) = (learn, id, unusual) {
        make_plan(state, program, record, id, address.map(|(node, _, known)| (node, known)), &end, outline);
    }
    Verdict::Mapped
}

/// Makes a plan of what was just written.
#[cold]
fn make_plan(
    state: &mut State,
    program: &Program,
    record: &Record<'_>,
    id: u32,
    address: Option<(u32, u32)>,
    end: &[u8],
    outline: Outline,
) {
    let State { fields, recording, addresses, .. } = state;
    let special = &program.special;
    let kind = fields.actor.get(special.actor_type);
    let (Some(type_), Some(kind)) = (fields.top.get(special.type_), kind) else { return };
    recording.finish(end);
    recording.exact.extend([type_, kind]);
    recording.exact.extend_from_slice(&fields.choosers);
    let basis = Basis {
        id,
        actor: fields.actor_object(program, record),
        address: address.and_then(|(node, known)| Some((node, addresses.get(known)?))),
    };
    if let Some(plan) = Plan::new(record, recording, &basis, &state.activity_type, outline) {
        state.plans.insert(plan);
        state.statistics.learnt += 1;
    }
}

/// One document being written.
struct Document<'d, 'w, 'r, 'a> {
    fields: &'d mut Fields,
    to: Recorder<'w, 'r, 'a>,
    /// A time had more digits than an index keeps.
    cut: bool,
}

impl Document<'_, '_, '_, '_> {
    /// Writes the value of `@timestamp`. Without a usable time it is the epoch: a data stream refuses
    /// documents without one.
    fn timestamp(&mut self, program: &Program) {
        let own = self.fields.take(program.special.timestamp);
        if let Some(filled) = own {
            if self.date(filled.node) {
                return;
            }
            self.fields.refuse(filled.node, filled.prefix, Tags::UNEXPECTED_VALUE);
        }
        let created = self.fields.top.get(program.special.created_at);
        if let Some(node) = created.filter(|node| own.is_none_or(|filled| filled.node != *node))
            && self.date(node)
        {
            return;
        }
        self.fields.tags.insert(Tags::MISSING_TIMESTAMP);
        self.to.fixed(b"\"1970-01-01T00:00:00Z\"");
    }

    /// Writes a time; false, and nothing written, if it is none.
    fn date(&mut self, node: u32) -> bool {
        let mark = self.to.mark();
        match self.to.value(node, Write::Date) {
            value::Outcome::Written => true,
            value::Outcome::Cut => {
                self.cut = true;
                true
            }
            value::Outcome::Refused => {
                self.to.rewind(mark);
                false
            }
        }
    }

    /// Writes the members of `event` that are not slots, leaving the object open; answers the node of the id.
    fn event(
        &mut self,
        mapping: &Mapping,
        info: &TypeInfo,
        keep_original: bool,
        id: &mut String,
    ) -> Option<u32> {
        let special = &mapping.program.special;
        self.to.fixed(&info.event);
        if let Some(rule) = &info.outcome {
            let outcome = self.outcome(rule);
            self.to.fixed(b",\"outcome\":");
            self.to.fixed_string(outcome.as_str());
        }
        let id_node = self.id(special.event_id, id);
        // When it was recorded; the same as @timestamp unless the type has an event time of its own.
        let recorded = self.fields.take(special.event_created);
        let created = self.fields.top.get(special.created_at);
        if let Some(node) = recorded.map(|filled| filled.node).or(created) {
            let mark = self.to.mark();
            self.to.fixed(b",\"created\":");
            if !self.date(node) {
                self.to.rewind(mark);
                if let Some(filled) = recorded {
                    self.fields.refuse(filled.node, filled.prefix, Tags::UNEXPECTED_VALUE);
                }
            }
        }
        if self.to.writer.ingested.is_some() {
            self.to.fixed(b",\"ingested\":\"");
            self.to.perform(Op::Ingested);
            self.to.fixed(b"\"");
        }
        if mapping.options.event_hash {
            self.to.fixed(b",\"hash\":\"");
            self.to.perform(Op::Hash);
            self.to.fixed(b"\"");
        }
        if keep_original {
            self.to.fixed(b",\"original\":\"");
            self.to.perform(Op::Original);
            self.to.fixed(b"\"");
        }
        id_node
    }

    /// Writes `event.id`; answers its node if it is text.
    fn id(&mut self, slot: SlotId, id: &mut String) -> Option<u32> {
        id.clear();
        self.to.fixed(b",\"id\":");
        let mark = self.to.mark();
        let values = self.to.writer.values;
        if let Some(filled) = self.fields.take(slot) {
            let start = self.to.writer.out.len();
            if values.record.scalar(filled.node).is_some()
                && self.to.value(filled.node, Write::Keyword) == value::Outcome::Written
            {
                let text = values.record.text(filled.node);
                match text {
                    Some(text) => id.push_str(text),
                    None => {
                        let written = self.to.writer.out.as_slice().get(start..).unwrap_or_default();
                        id.push_str(String::from_utf8_lossy(written).trim_matches('"'));
                    }
                }
                return text.map(|_| filled.node);
            }
            self.to.rewind(mark);
            self.fields.refuse(filled.node, filled.prefix, Tags::UNEXPECTED_VALUE);
        }
        self.fields.tags.insert(Tags::DERIVED_EVENT_ID);
        let mut canonical = Out::default();
        values.canonical(&mut canonical, 0, crate::MAX_DEPTH);
        let mut hash = Out::default();
        push_sha256(&mut hash, canonical.as_slice());
        id.push_str(&String::from_utf8_lossy(hash.as_slice()));
        self.to.fixed_string(id);
        None
    }

    fn outcome(&mut self, rule: &OutcomeByField) -> Outcome {
        let record = self.to.writer.values.record;
        let node = message::node(record, &self.fields.top.seen, &rule.field);
        if let Some(node) = node {
            self.to.depends_on(node);
        }
        let mut number = itoa::Buffer::new();
        let text = match node.and_then(|node| record.scalar(node)) {
            Some(Scalar::Text(text)) => text,
            Some(Scalar::Bool(true)) => "true",
            Some(Scalar::Bool(false)) => "false",
            Some(Scalar::Int(value)) => number.format(value),
            _ => return rule.otherwise,
        };
        rule.cases.iter().find(|(case, _)| case.matches(text)).map_or(rule.otherwise, |(_, outcome)| *outcome)
    }

    /// Writes the filled slots in document order, behind the open `event`; answers the group left open.
    fn slots(&mut self, program: &Program) -> u8 {
        let mut group = 0;
        for word in 0..self.fields.filled.len() {
            let mut bits = self.fields.filled[word];
            while bits != 0 {
                let at = word * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                let (slot, filled) = (&program.slots[at], self.fields.slots[at]);
                let mark = self.to.mark();
                self.to.fixed(program.transition(group, slot.group));
                let wrote = match filled.write {
                    Write::Source => self.source(filled.node),
                    Write::UserAgent => self.to.perform(Op::Agent(filled.node)),
                    Write::Anonymizer => {
                        self.to.fixed(&slot.key);
                        self.to.perform(Op::Anonymizer)
                    }
                    Write::Text(text) => {
                        self.to.fixed(&slot.key);
                        self.to.fixed_string(program.texts.get(usize::from(text)).map_or("", |text| text));
                        value::Outcome::Written
                    }
                    write => {
                        self.to.fixed(&slot.key);
                        self.to.value(filled.node, write)
                    }
                };
                match wrote {
                    value::Outcome::Written => group = slot.group,
                    value::Outcome::Cut => {
                        group = slot.group;
                        self.cut = true;
                    }
                    value::Outcome::Refused => {
                        self.to.rewind(mark);
                        if filled.prefix != COPY {
                            self.fields.refuse(filled.node, filled.prefix, Tags::UNEXPECTED_VALUE);
                        }
                    }
                }
            }
        }
        group
    }

    fn source(&mut self, node: u32) -> value::Outcome {
        if self.to.writer.address.is_some_and(|(address, ..)| address == node) {
            self.to.perform(Op::Source)
        } else {
            value::Outcome::Refused
        }
    }

    /// Writes `anthropic.audit.metadata`: what has no other home.
    fn leftovers(&mut self, program: &Program, group: u8) -> u8 {
        if self.fields.leftovers.is_empty() {
            return group;
        }
        let slot = &program.slots[usize::from(program.special.metadata)];
        self.to.fixed(program.transition(group, slot.group));
        self.to.fixed(&slot.key);
        // Such a record never becomes a plan, so from here on nothing need be noted.
        write_leftovers(self.fields, self.to.writer.values, self.to.writer.out);
        slot.group
    }

    fn message(&mut self, info: &TypeInfo, kind: &KindInfo) {
        self.to.fixed(b",\"message\":\"");
        message::speak(&mut self.to, &self.fields.actor.seen, &kind.subject);
        self.to.fixed(b" ");
        message::speak(&mut self.to, &self.fields.top.seen, &info.message);
        if self.to.writer.address.is_some() {
            self.to.perform(Op::Place);
        }
        self.to.fixed(b"\"");
    }

    /// Writes `related`: what the record is about, in lists that analysts search.
    fn related(&mut self) {
        let mut open = false;
        for list in Related::ALL {
            let entries = &self.fields.related[list as usize];
            if entries.is_empty() {
                continue;
            }
            let mark = self.to.mark();
            self.to.fixed(if open { b",\"" } else { b",\"related\":{\"" });
            self.to.fixed(list.name().as_bytes());
            self.to.fixed(b"\":[");
            if self.to.distinct(entries) {
                self.to.fixed(b"]");
                open = true;
            } else {
                self.to.rewind(mark);
            }
        }
        if open {
            self.to.fixed(b"}");
        }
    }
}

/// Members of `metadata` whose keys no index can hold, as a list of JSON texts.
const UNINDEXABLE: &str = "unindexable";

fn write_leftovers(fields: &Fields, values: &Values<'_, '_>, out: &mut Out) {
    out.push(b'{');
    let record = values.record;
    let start = out.len();
    let mut unindexable: Vec<u32> = Vec::new();
    let mut written: HashSet<String> = HashSet::new();
    for leftover in &fields.leftovers {
        let key = record.text(leftover.node - 1).unwrap_or_default();
        let prefix = fields.prefixes.get(usize::from(leftover.prefix)).map_or("", String::as_str);
        let name = format!("{prefix}{key}");
        if name == UNINDEXABLE
            || !is_indexable_key(key)
            || !is_indexable_key(&name)
            || written.contains(&name)
        {
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
        out.put(b":[");
        for (at, node) in unindexable.into_iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            let mut member = Out::default();
            member.push(b'{');
            json::push_string(&mut member, record.text(node - 1).unwrap_or_default());
            member.push(b':');
            values.whole(&mut member, node);
            member.push(b'}');
            json::push_string(out, &String::from_utf8_lossy(member.as_slice()));
        }
        out.push(b']');
    }
    out.push(b'}');
}
