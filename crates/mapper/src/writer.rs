//! Writing a document, and remembering how it was written.
//!
//! Everything that reaches a document goes through a [`Writer`]. The general path writes through a [`Recorder`],
//! which passes each step on and notes it; the notes become a [`crate::plan::Plan`], and replaying a plan
//! makes the same calls on a writer. So there is one way a document is written, and two ways to decide what to write.

use sha2::{Digest, Sha256};

use crate::cache::FragmentCache;
use crate::fragments::{Address, Addresses, Agent};
use crate::json::{self, push_escaped};
use crate::message;
use crate::out::Out;
use crate::program::{FieldRef, Write};
use crate::record::Record;
use crate::text::same;
use crate::value::{Outcome, Parted, Values};

/// Appends the pieces of one document.
pub(crate) struct Writer<'w, 'r, 'a> {
    pub(crate) out: &'w mut Out,
    pub(crate) values: &'w Values<'r, 'a>,
    pub(crate) agents: &'w mut FragmentCache<Agent>,
    pub(crate) addresses: &'w Addresses,
    /// The actor's address: its node, its text, what is known of it.
    pub(crate) address: Option<(u32, &'a str, u32)>,
    pub(crate) ingested: Option<&'w str>,
    /// The time written last: its node, and where it begins and ends.
    pub(crate) time: Option<(u32, usize, usize)>,
}

/// One step of writing. Values are named by node, or, in a plan, by member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    /// Bytes that do not depend on the record, as a range of the document.
    Fixed { start: u32, end: u32 },
    /// The inside of a JSON string: a text whole.
    Text(u32),
    /// A value as its index type wants it.
    Value(u32, Write),
    /// The inside of a JSON string: a part of a text.
    Part(u32, Write),
    /// The inside of a JSON string: a value as a person would read it.
    Say(u32),
    /// Members of `source`.
    Source,
    /// What kind of anonymizer the address is.
    Anonymizer,
    /// Where in the sentence.
    Place,
    /// Members of `user_agent`.
    Agent(u32),
    /// Distinct texts, as items of an array; a range of the recording's lists.
    Distinct { start: u32, end: u32 },
    /// The time of ingestion.
    Ingested,
    /// SHA-256 of the raw record.
    Hash,
    /// The raw record as a JSON string.
    Original,
}

impl Op {
    /// The value a step is about, if it is about one.
    pub(crate) fn node(self) -> Option<u32> {
        match self {
            Self::Text(node)
            | Self::Value(node, _)
            | Self::Part(node, _)
            | Self::Say(node)
            | Self::Agent(node) => Some(node),
            _ => None,
        }
    }

    /// A plan's step, about the node that its value has in a record.
    #[inline]
    pub(crate) fn of(self, record: &Record<'_>) -> Self {
        match self {
            Self::Value(value, write) => Self::Value(record.node_of(value), write),
            Self::Say(value) => Self::Say(record.node_of(value)),
            other => other,
        }
    }
}

impl<'a> Writer<'_, '_, 'a> {
    fn address(&self) -> Option<(&'a str, &Address)> {
        self.address.and_then(|(_, text, known)| Some((text, self.addresses.get(known)?)))
    }

    /// Performs a step that needs neither fixed bytes nor a list; false if it wrote nothing.
    #[inline(never)]
    pub(crate) fn perform(&mut self, op: Op) -> Outcome {
        match op {
            Op::Text(node) => match self.values.record.text(node) {
                Some(text) => self.values.push_text(self.out, text),
                None => return Outcome::Refused,
            },
            Op::Value(node, Write::Date) => {
                // The same time usually stands in two places.
                if let Some((_, start, end)) = self.time.filter(|(last, ..)| *last == node) {
                    self.out.repeat(start, end);
                    return Outcome::Written;
                }
                let start = self.out.len();
                let outcome = self.values.write(self.out, node, Write::Date);
                if outcome == Outcome::Written {
                    self.time = Some((node, start, self.out.len()));
                }
                return outcome;
            }
            Op::Value(node, write) => return self.values.write(self.out, node, write),
            Op::Part(node, write) => match self.values.part_of(node, write) {
                Some(part) => self.values.push_text(self.out, part),
                None => return Outcome::Refused,
            },
            Op::Agent(node) => match self.values.record.text(node) {
                Some(text) => {
                    let found = self.agents.find(text, Agent::new);
                    self.agents.get(found).write(self.out);
                }
                None => return Outcome::Refused,
            },
            Op::Source | Op::Anonymizer | Op::Place => {
                let known =
                    self.address.and_then(|(_, text, known)| Some((text, self.addresses.get(known)?)));
                match (known, op) {
                    (Some((text, address)), Op::Source) => address.write_source(self.out, text),
                    (Some((text, address)), Op::Place) => address.write_place(self.out, text),
                    (Some((_, address)), _) => self.out.put(&address.anonymizer),
                    (None, _) => return Outcome::Refused,
                }
            }
            Op::Say(node) => return message::say(self.values, self.out, node).into(),
            Op::Ingested => self.out.put(self.ingested.unwrap_or_default().as_bytes()),
            Op::Hash => push_sha256(self.out, self.values.record.raw),
            Op::Original => match std::str::from_utf8(self.values.record.raw) {
                Ok(text) => push_escaped(self.out, text),
                Err(_) => return Outcome::Refused,
            },
            Op::Fixed { .. } | Op::Distinct { .. } => return Outcome::Refused,
        }
        Outcome::Written
    }

    /// Whether a list's entry is the text at `node`, in every record that the same plan is for.
    fn is_one_text(&self, node: u32, write: Write) -> bool {
        let is_address = || self.address.is_some_and(|(address, ..)| address == node);
        self.values.record.text(node).is_some_and(|text| !text.is_empty())
            && match write {
                Write::Keyword => true,
                Write::Ip => is_address() && self.address().is_some_and(|(_, address)| address.is_ip),
                _ => false,
            }
    }

    /// Writes the distinct texts of a list, with commas between; false if there are none.
    #[inline]
    pub(crate) fn distinct(&mut self, list: impl Iterator<Item = (u32, Write)>) -> bool {
        let first = self.out.len();
        let mut texts = Distinct::default();
        for (node, write) in list {
            if let (Write::Keyword, Some(text)) = (write, self.values.record.text(node)) {
                self.push_distinct(Some(text), &mut texts, first);
            } else if matches!(write, Write::Ip) && self.address.is_some_and(|(address, ..)| address == node)
            {
                // The actor's address has been parsed already.
                if self.address().is_some_and(|(_, address)| address.is_ip) {
                    self.push_distinct(self.values.record.text(node), &mut texts, first);
                }
            } else if self.values.record.is_array(node) {
                for item in self.values.record.items(node) {
                    self.push_distinct(self.values.text_of(item, write), &mut texts, first);
                }
            } else {
                self.push_distinct(self.values.text_of(node, write), &mut texts, first);
            }
        }
        self.out.len() > first
    }

    #[inline]
    fn push_distinct(&mut self, text: Option<&'a str>, texts: &mut Distinct<'a>, first: usize) {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return };
        if texts.insert(text) {
            self.out.put(if self.out.len() > first { b",\"" } else { b"\"" });
            self.values.push_text(self.out, text);
            self.out.push(b'"');
        }
    }
}

/// Texts met so far: pairwise while they are few, so that nothing is allocated.
#[derive(Default)]
struct Distinct<'a> {
    few: [&'a str; 8],
    len: usize,
    many: Option<std::collections::HashSet<&'a str>>,
}

impl<'a> Distinct<'a> {
    #[inline]
    fn insert(&mut self, text: &'a str) -> bool {
        if let Some(many) = &mut self.many {
            return many.insert(text);
        }
        if self.few[..self.len].iter().any(|other| same(other.as_bytes(), text.as_bytes())) {
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

pub(crate) fn push_sha256(out: &mut Out, bytes: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for byte in Sha256::digest(bytes) {
        out.push(HEX[usize::from(byte >> 4)]);
        out.push(HEX[usize::from(byte & 15)]);
    }
}

/// What was written, step by step, and on what it depended.
#[derive(Default)]
pub(crate) struct Recording {
    pub(crate) ops: Vec<Op>,
    /// Where the document begins in the output.
    pub(crate) begin: usize,
    pub(crate) lists: Vec<(u32, Write)>,
    /// Scalars whose very value decided something.
    pub(crate) exact: Vec<u32>,
    /// Texts of which a part was wanted, and which parts they have.
    pub(crate) parts: Vec<(u32, Parted, u8)>,
    /// Objects in which a value was looked for.
    pub(crate) searched: Vec<u32>,
    /// Something was decided that a plan cannot foresee.
    pub(crate) unforeseeable: bool,
    /// Whether anything is noted at all.
    pub(crate) is_on: bool,
    /// How many clients were looked for; counted whether it is on or not.
    pub(crate) agents: u64,
}

impl Recording {
    pub(crate) fn start(&mut self, is_on: bool, begin: usize) {
        (self.is_on, self.begin) = (is_on, begin);
        self.ops.clear();
        self.lists.clear();
        self.exact.clear();
        self.parts.clear();
        self.searched.clear();
        self.unforeseeable = false;
        self.agents = 0;
    }

    /// Notes fixed bytes, as a range of the output.
    pub(crate) fn fixed(&mut self, start: usize, end: usize) {
        let (start, end) = ((start - self.begin) as u32, (end - self.begin) as u32);
        match self.ops.last_mut() {
            Some(Op::Fixed { end: last, .. }) if *last == start => *last = end,
            _ => self.ops.push(Op::Fixed { start, end }),
        }
    }
}

/// A place in a document that writing can go back to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    out: usize,
    ops: usize,
    lists: usize,
}

/// A writer that notes what it does.
pub(crate) struct Recorder<'w, 'r, 'a> {
    pub(crate) writer: Writer<'w, 'r, 'a>,
    pub(crate) recording: &'w mut Recording,
}

impl Recorder<'_, '_, '_> {
    /// Appends bytes that do not depend on the record.
    pub(crate) fn fixed(&mut self, bytes: &[u8]) {
        let start = self.writer.out.len();
        self.writer.out.put(bytes);
        if self.recording.is_on {
            self.recording.fixed(start, self.writer.out.len());
        }
    }

    /// Appends fixed text, escaped, quotes included.
    pub(crate) fn fixed_string(&mut self, text: &str) {
        self.fixed(&json::string(text));
    }

    /// Performs a step; what a refused one has begun is for the caller to cut off.
    pub(crate) fn perform(&mut self, op: Op) -> Outcome {
        if self.recording.is_on {
            self.recording.ops.push(op);
        }
        self.writer.perform(op)
    }

    /// Appends what is known of a client.
    pub(crate) fn agent(&mut self, node: u32) -> Outcome {
        let outcome = self.perform(Op::Agent(node));
        self.recording.agents += u64::from(outcome == Outcome::Written);
        outcome
    }

    /// Appends a value the way `write` says.
    pub(crate) fn value(&mut self, node: u32, write: Write) -> Outcome {
        if self.writer.values.record.text(node).is_some() && matches!(write, Write::Keyword) {
            self.fixed(b"\"");
            let outcome = self.perform(Op::Text(node));
            self.fixed(b"\"");
            return outcome;
        }
        if let Some(parted) = Parted::of(write)
            && self.writer.values.record.text(node).is_some()
        {
            let parts = (node, parted, self.writer.values.parts(node, parted));
            if !self.recording.parts.contains(&parts) {
                self.recording.parts.push(parts);
            }
            if self.writer.values.part_of(node, write).is_some() {
                self.fixed(b"\"");
                let outcome = self.perform(Op::Part(node, write));
                self.fixed(b"\"");
                return outcome;
            }
            return self.perform(Op::Value(node, write));
        }
        let outcome = self.perform(Op::Value(node, write));
        if outcome != Outcome::Written {
            self.recording.unforeseeable = true;
        }
        outcome
    }

    /// Appends a value as a person would read it; false if there is nothing to show.
    pub(crate) fn say(&mut self, node: u32) -> bool {
        let mark = self.mark();
        let said = self.perform(Op::Say(node)) == Outcome::Written;
        if !said {
            self.recording.unforeseeable = true;
            self.rewind(mark);
        }
        said
    }

    /// Appends the distinct texts of a list; false if there are none.
    pub(crate) fn distinct(&mut self, list: &[(u32, Write)]) -> bool {
        if let [(node, write)] = *list
            && self.writer.is_one_text(node, write)
        {
            self.fixed(b"\"");
            self.perform(Op::Text(node));
            self.fixed(b"\"");
            return true;
        }
        if self.recording.is_on {
            let start = self.recording.lists.len() as u32;
            self.recording.lists.extend_from_slice(list);
            self.recording.ops.push(Op::Distinct { start, end: self.recording.lists.len() as u32 });
        }
        let written = self.writer.distinct(list.iter().copied());
        if !written && !self.foresees_none(list) {
            self.recording.unforeseeable = true;
        }
        written
    }

    /// Whether a plan can tell that a list is empty: that the actor's address is none is a part of it, and so is which parts a
    /// text has, if it is asked for. All else may depend on more than a plan looks at.
    fn foresees_none(&mut self, list: &[(u32, Write)]) -> bool {
        list.iter().all(|&(node, write)| match Parted::of(write) {
            Some(parted) if self.writer.values.record.text(node).is_some() => {
                let parts = (node, parted, self.writer.values.parts(node, parted));
                if !self.recording.parts.contains(&parts) {
                    self.recording.parts.push(parts);
                }
                true
            }
            _ => {
                matches!(write, Write::Ip) && self.writer.address.is_some_and(|(address, ..)| address == node)
            }
        })
    }

    /// The value a sentence or an outcome is made from.
    pub(crate) fn find(&mut self, seen: &[u32], reference: &FieldRef) -> Option<u32> {
        let mut node = seen.get(usize::from(reference.field))?.checked_sub(1)?;
        for key in &reference.below {
            self.recording.searched.push(node);
            node = message::member(self.writer.values.record, node, key)?;
        }
        Some(node)
    }

    /// Notes that the very value of a scalar decides what is written.
    pub(crate) fn depends_on(&mut self, node: u32) {
        self.recording.exact.push(node);
    }

    pub(crate) fn mark(&self) -> Mark {
        let recording = &self.recording;
        Mark { out: self.writer.out.len(), ops: recording.ops.len(), lists: recording.lists.len() }
    }

    /// Takes back what was written since `mark`.
    pub(crate) fn rewind(&mut self, mark: Mark) {
        self.writer.out.truncate(mark.out);
        self.writer.time = self.writer.time.filter(|(.., end)| *end <= mark.out);
        let recording = &mut self.recording;
        recording.ops.truncate(mark.ops);
        recording.lists.truncate(mark.lists);
        if let Some(Op::Fixed { end, .. }) = recording.ops.last_mut() {
            *end = (*end).min((mark.out - recording.begin) as u32);
        }
    }
}
