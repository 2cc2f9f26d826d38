//! One document, written the general way: what stands where, in which order, and what becomes of a value that does not
//! fit.

use std::collections::HashSet;

use model::tables::Outcome;

use crate::fields::{COPY, Fields};
use crate::flatten::is_indexable_key;
use crate::message;
use crate::out::Out;
use crate::program::{KindInfo, OutcomeByField, Program, Related, Slot, SlotId, TypeInfo, Write};
use crate::record::Scalar;
use crate::tags::Tags;
use crate::value::{self, Values};
use crate::writer::{Op, Recorder, push_sha256};
use crate::{Mapping, json};

/// One document being written.
pub(crate) struct Document<'d, 'w, 'r, 'a> {
    pub(crate) fields: &'d mut Fields,
    pub(crate) to: Recorder<'w, 'r, 'a>,
    /// A time had more digits than an index keeps.
    pub(crate) cut: bool,
}

impl Document<'_, '_, '_, '_> {
    /// Writes the value of `@timestamp`. Without a usable time it is the epoch: a data stream refuses
    /// documents without one.
    pub(crate) fn timestamp(&mut self, program: &Program) {
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
        if self.to.writer.values.record.text(node).is_none() {
            return false;
        }
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
    pub(crate) fn event(
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
            self.to.fixed(b",\"outcome\":\"");
            self.to.fixed(outcome.as_str().as_bytes());
            self.to.fixed(b"\"");
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
        let node = self.to.find(&self.fields.top.seen, &rule.field);
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
    pub(crate) fn slots(&mut self, program: &Program) -> u16 {
        let mut group = 0;
        for word in 0..self.fields.filled.len() {
            let mut bits = self.fields.filled[word];
            while bits != 0 {
                let at = word * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                let (slot, filled) = (&program.slots[at], self.fields.slots[at]);
                let mark = self.to.mark();
                let is_first = self.enter(program, group, slot.group);
                let wrote = match filled.write {
                    Write::Source | Write::UserAgent => {
                        if !is_first {
                            self.to.fixed(b",");
                        }
                        match filled.write {
                            Write::Source => self.source(filled.node),
                            _ => self.to.agent(filled.node),
                        }
                    }
                    Write::Anonymizer => {
                        self.key(slot, is_first);
                        self.to.perform(Op::Anonymizer)
                    }
                    Write::Text(text) => {
                        self.key(slot, is_first);
                        self.to.fixed_string(program.texts.get(usize::from(text)).map_or("", |text| text));
                        value::Outcome::Written
                    }
                    write => {
                        self.key(slot, is_first);
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

    /// Writes what stands between a value in one group and the next in another; answers whether the next is the first of its
    /// object.
    fn enter(&mut self, program: &Program, from: u16, to: u16) -> bool {
        let between = program.transition(from, to);
        if !between.is_empty() {
            self.to.fixed(between);
        }
        between.last() == Some(&b'{')
    }

    fn key(&mut self, slot: &Slot, is_first: bool) {
        self.to.fixed(slot.key.get(usize::from(is_first)..).unwrap_or_default());
    }

    fn source(&mut self, node: u32) -> value::Outcome {
        if self.to.writer.address.is_some_and(|(address, ..)| address == node) {
            self.to.perform(Op::Source)
        } else {
            value::Outcome::Refused
        }
    }

    /// Writes `anthropic.audit.metadata`: what has no other home.
    pub(crate) fn leftovers(&mut self, program: &Program, group: u16) -> u16 {
        if self.fields.leftovers.is_empty() {
            return group;
        }
        let slot = &program.slots[usize::from(program.special.metadata)];
        let before = self.to.writer.out.len();
        let is_first = self.enter(program, group, slot.group);
        self.key(slot, is_first);
        // Such a record never becomes a plan, so from here on nothing need be noted.
        if write_leftovers(self.fields, self.to.writer.values, self.to.writer.out) {
            slot.group
        } else {
            self.to.writer.out.truncate(before);
            group
        }
    }

    pub(crate) fn message(&mut self, info: &TypeInfo, kind: &KindInfo) {
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
    pub(crate) fn related(&mut self) {
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

/// Writes the object; false if nothing is in it.
#[cold]
#[inline(never)]
fn write_leftovers(fields: &Fields, values: &Values<'_, '_>, out: &mut Out) -> bool {
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
        if values.pruned_member(out, leftover.node, crate::MAX_DEPTH, before) {
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
    out.len() > start + 1
}
