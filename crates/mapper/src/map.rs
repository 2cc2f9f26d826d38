//! The map function: one parsed record in, one document out.
//!
//! A record whose shape has been met before is written by its plan. Any other goes the general way: its fields are
//! sorted into slots, the filled slots are written in document order, which the numbering of slots gives for free,
//! and what was written becomes a plan if nothing about the record was unusual. A value that turns out not to fit
//! its slot is kept for `anthropic.audit.metadata`, which is written last.

use std::borrow::Cow;

use hashbrown::HashMap;
use simd_json::{Node, Tape};

use crate::cache::FragmentCache;
use crate::document::Document;
use crate::fields::{COPY, Fields, Filled};
use crate::findings::{Lookups, Planned, UnknownFields};
use crate::fragments::{Addresses, Agent};
use crate::out::Out;
use crate::plan::{Basis, Plan};
use crate::plans::{self, Fit, Outline, Plans};
use crate::program::{KindInfo, Program, TypeInfo, Write};
use crate::record::{Parser, Record, Scalar, Unread};
use crate::tags::Tags;
use crate::value::Values;
use crate::writer::{Recorder, Recording, Writer};
use crate::{Findings, Mapped, MapperOptions, Mapping, PlanStatistics, unknown};

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
    agents: FragmentCache<Agent>,
    unknown_types: HashMap<Box<str>, TypeInfo>,
    event_id: String,
    activity_type: String,
    tags: Tags,
    /// How records were written, but for those by plans.
    statistics: PlanStatistics,
    planned: Planned,
    /// How often the general path asked caches, and how often all did when it was told last.
    general: Lookups,
    told: Lookups,
    unknown_fields: UnknownFields,
    /// The values of a record that is written by a plan.
    values: Tape<'static>,
    unread: Vec<Unread>,
    /// The record has a plan, which met something it did not foresee.
    surprised: bool,
}

/// What every record is mapped with.
#[derive(Clone, Copy)]
pub(crate) struct Context<'c> {
    pub(crate) mapping: &'c Mapping,
    pub(crate) ingested: Option<&'c str>,
    /// Records may be written by plans, and plans be learnt.
    pub(crate) plans: bool,
    /// What was done to the record beforehand; `None` where nothing ever is. A plan knows nothing of it: the end of a
    /// document with its tags is then not a part of plans.
    pub(crate) treated: Option<Tags>,
}

impl State {
    /// `are_truncated`: addresses may have been truncated before records come here.
    pub(crate) fn new(program: &Program, are_truncated: bool) -> Self {
        Self {
            fields: Fields::new(program),
            recording: Recording::default(),
            plans: Plans::new(),
            addresses: Addresses::new(are_truncated),
            agents: FragmentCache::new(AGENTS),
            unknown_types: HashMap::new(),
            event_id: String::new(),
            activity_type: String::new(),
            tags: Tags::default(),
            statistics: PlanStatistics::default(),
            planned: Planned::default(),
            general: Lookups::default(),
            told: Lookups::default(),
            unknown_fields: UnknownFields::default(),
            values: Tape(Vec::new()),
            unread: Vec::new(),
            surprised: false,
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
        PlanStatistics { planned: self.planned.all(), ..self.statistics }
    }

    /// What was met since the last time, plans aside.
    pub(crate) fn take_findings(&mut self) -> Findings {
        let planned = self.planned.lookups();
        let now = Lookups {
            address: self.general.address + planned.address,
            agent: self.general.agent + planned.agent,
        };
        let before = std::mem::replace(&mut self.told, now);
        Findings {
            plans: PlanStatistics::default(),
            address_lookups: now.address - before.address,
            agent_lookups: now.agent - before.agent,
            address_misses: self.addresses.take_misses(),
            agent_misses: self.agents.take_misses(),
            unknown_fields: self.unknown_fields.take(),
        }
    }

    pub(crate) fn mapped(&self) -> Mapped<'_> {
        Mapped { event_id: &self.event_id, activity_type: &self.activity_type, tags: self.tags }
    }
}

/// Maps one parsed record. On anything but [`Verdict::Mapped`], what was appended to `out` is to be cut off.
pub(crate) fn map(
    context: Context<'_>,
    state: &mut State,
    record: &Record<'_>,
    keep_original: bool,
    out: &mut Out,
) -> Verdict {
    let learns = context.plans && !record.is_exact() && !std::mem::take(&mut state.surprised);
    let outline = if learns { plans::outline(record) } else { None };
    let outline = outline.filter(|outline| state.plans.is_worth_learning(*outline));
    map_generally(context, state, record, keep_original, outline, out)
}

/// Writes a record by the plan for its layout, unparsed; false, and nothing written, if there is none or it met a surprise.
#[inline]
pub(crate) fn map_by_plan(
    context: Context<'_>,
    state: &mut State,
    parser: &mut Parser,
    raw: &[u8],
    out: &mut Out,
) -> bool {
    let mut values = std::mem::replace(&mut state.values, Tape(Vec::new())).reset();
    let planned = map_values(context, state, parser, raw, &mut values.0, out);
    state.values = values.reset();
    planned
}

/// The same, with an empty list for the record's values.
#[inline]
fn map_values<'a>(
    context: Context<'_>,
    state: &mut State,
    parser: &'a mut Parser,
    raw: &'a [u8],
    values: &mut Vec<Node<'a>>,
    out: &mut Out,
) -> bool {
    let State {
        plans,
        addresses,
        agents,
        event_id,
        activity_type,
        tags,
        statistics,
        planned: by_plan,
        surprised,
        unread,
        ..
    } = state;
    let (mut planned, start) = (false, out.len());
    unread.clear();
    if let Some(found) = plans.recognise(raw, values, unread) {
        if !unread.is_empty() && parser.parse_values(raw, unread, values).is_none() {
            return false;
        }
        let record = Record::of_values(values, raw);
        let values = Values::of(&record, unread.is_empty());
        if let Some(Fit { plan, texts, address }) =
            plans.choose(found, &values, addresses, &context.mapping.geo)
        {
            let ingested = context.ingested;
            let mut writer =
                Writer { out, values: &values, agents, addresses, address, ingested, time: None };
            planned = plan.replay(texts, &mut writer) && !values.inexact.get() && !values.duplicate_key.get();
            if planned {
                event_id.clear();
                event_id.push_str(record.text(plan.id()).unwrap_or_default());
                activity_type.clear();
                activity_type.push_str(plan.activity_type());
                *tags = Tags::default();
                if context.mapping.options.preserve_original {
                    tags.insert(Tags::PRESERVE_ORIGINAL_EVENT);
                }
                if let Some(treated) = context.treated {
                    tags.insert(treated);
                    writer.out.put(context.mapping.ends.get(end_of(treated)).map_or(b"}", |end| end));
                }
                by_plan.add(plan.looks);
            } else {
                // The general path must not learn the same layout again.
                *surprised = true;
                statistics.surprises += 1;
                out.truncate(start);
            }
        }
    }
    planned
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
    let State { fields, recording, addresses, agents, general, .. } = state;
    fields.place_all(program, record, info, kind);

    let address = fields.actor.get(special.actor_address);
    let address = address.and_then(|node| record.text(node).map(|text| (node, text)));
    let address = address.map(|(node, text)| (node, text, addresses.find(text, &mapping.geo)));
    general.address += u64::from(address.is_some());
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

    recording.start(learn.is_some(), out.len());
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
    general.agent += recording.agents;
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
    fields.tags.insert(context.treated.unwrap_or_default());
    let end = if fields.tags.is_empty() {
        Cow::Borrowed(&b"}"[..])
    } else {
        Cow::Owned(end_with_tags(fields.tags))
    };
    let before = out.len();
    out.put(&end);
    if context.treated.is_none() {
        recording.fixed(before, out.len());
    }
    state.tags = fields.tags;
    for leftover in &fields.unknown {
        let prefix = fields.prefixes.get(usize::from(leftover.prefix)).map_or("", String::as_str);
        state.unknown_fields.add(prefix, record.text(leftover.node - 1).unwrap_or_default());
    }

    if let (Some(outline), Some(id), false) = (learn, id, unusual) {
        let address = address.map(|(node, _, known)| (node, known));
        if !make_plan(context, state, record, id, address, out) {
            state.plans.give_up(outline);
        }
    }
    Verdict::Mapped
}

/// How documents of treated records end that have no other tags; [`end_of`] tells which is which.
pub(crate) fn ends(options: &MapperOptions) -> Vec<Box<[u8]>> {
    let done =
        |bits: usize| Tags::PRIVACY.into_iter().enumerate().filter(move |(bit, _)| bits >> bit & 1 == 1);
    let end = |bits| {
        let mut tags = Tags::default();
        if options.preserve_original {
            tags.insert(Tags::PRESERVE_ORIGINAL_EVENT);
        }
        done(bits).for_each(|(_, tag)| tags.insert(tag));
        if tags.is_empty() { Box::from(&b"}"[..]) } else { end_with_tags(tags).into() }
    };
    (0..1 << Tags::PRIVACY.len()).map(end).collect()
}

/// Which of the [`ends`] is that of a record to which this was done.
fn end_of(done: Tags) -> usize {
    let bits = Tags::PRIVACY.into_iter().enumerate();
    bits.map(|(bit, tag)| usize::from(done.contains(tag)) << bit).sum()
}

/// The end of a document, with its tags.
fn end_with_tags(tags: Tags) -> Vec<u8> {
    let names: Vec<String> = tags.names().map(|name| format!("\"{name}\"")).collect();
    format!(",\"tags\":[{}]}}", names.join(",")).into_bytes()
}

/// Makes a plan of what was just written; false if records like this one will not be written by it.
#[cold]
fn make_plan(
    context: Context<'_>,
    state: &mut State,
    record: &Record<'_>,
    id: u32,
    address: Option<(u32, u32)>,
    out: &Out,
) -> bool {
    let State { fields, recording, addresses, agents, plans, activity_type, .. } = state;
    let special = &context.mapping.program.special;
    let kind = fields.actor.get(special.actor_type);
    let (Some(type_), Some(kind)) = (fields.top.get(special.type_), kind) else { return false };
    recording.exact.extend([type_, kind]);
    recording.exact.extend_from_slice(&fields.choosers);
    let basis = Basis {
        id,
        opened: &fields.opened,
        address: address.and_then(|(node, known)| Some((node, addresses.get(known)?))),
    };
    plans.make_room();
    let activity_type = plans.share(activity_type);
    let (values, mut scratch) = (Values::new(record), Out::default());
    let mut writer = Writer {
        out: &mut scratch,
        values: &values,
        agents,
        addresses,
        address: None,
        ingested: context.ingested,
        time: None,
    };
    let document = out.as_slice().get(recording.begin..).unwrap_or_default();
    match Plan::new(recording, document, &basis, activity_type, &mut plans.texts, &mut writer) {
        Some(plan) => {
            state.statistics.learnt += 1;
            plans.insert(plan, record.raw)
        }
        None => false,
    }
}
