//! The pass over a raw record that puts treated values into the place of those that are to be treated.
//!
//! Owns the walk: one pass, no recursion, at most [`MAX_DEPTH`] levels, what is not touched copied in runs. Must not know fields
//! or classes; it asks the tree what is to be done, and [`treat`] what comes of it.
//!
//! The subtle things. A value is replaced where it stands, so that its key, and the order of keys, stay; one that is dropped becomes
//! `null`, which a document does not show. What is replaced is checked to be JSON, since nobody reads it afterwards; all
//! else is checked by the parser, which reads what comes out of here. What lies too deep to be looked at is dropped.

use std::borrow::Cow;
use std::ops::Range;

use model::tables::Class;

use super::memory::{Keys, TypePatterns, Values, Variants};
use super::scan::{self, space};
use super::tree::{Patterns, PlaceId, TOP};
use super::verdict::{UNDECIDED, Verdict};
use super::{Action, Privacy, treat};
use crate::MAX_DEPTH;
use crate::out::Out;
use crate::tags::Tags;

/// The member by which activities, and the variants of an object, are told apart.
const TYPE: &str = "type";

/// The record is not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unreadable;

/// Treats records, one after the other.
pub(crate) struct Treater {
    out: Out,
    open: Vec<Open>,
    memory: Memory,
}

/// What is reused from record to record.
struct Memory {
    keys: Keys,
    types: TypePatterns,
    variants: Variants,
    values: Values,
}

/// An array or object that is open.
#[derive(Clone, Copy)]
struct Open {
    place: PlaceId,
    /// What holds for what lies in it.
    verdict: Verdict,
    is_object: bool,
    /// A member has been left in it.
    has_member: bool,
}

impl Treater {
    pub(crate) fn new() -> Self {
        Self {
            out: Out::default(),
            open: Vec::with_capacity(MAX_DEPTH),
            memory: Memory {
                keys: Keys::new(),
                types: TypePatterns::default(),
                variants: Variants::default(),
                values: Values::new(),
            },
        }
    }

    /// Treats a record; the tags say what was done. If nothing was, the record is as it was, and [`Treater::record`] is of no use.
    /// What is written is at most `limit` bytes longer than the record; what would be more is dropped.
    pub(crate) fn treat(&mut self, privacy: &Privacy, raw: &[u8], limit: usize) -> Result<Tags, Unreadable> {
        self.out.clear();
        self.open.clear();
        let mut pass = Pass {
            privacy,
            raw,
            out: &mut self.out,
            open: &mut self.open,
            memory: &mut self.memory,
            patterns: None,
            last: 0,
            copied: 0,
            room: limit,
            tags: Tags::default(),
        };
        pass.run().ok_or(Unreadable)?;
        let tags = pass.tags;
        if !tags.is_empty() {
            pass.copy(raw.len());
        }
        Ok(tags)
    }

    /// The record treated last.
    pub(crate) fn record(&self) -> &[u8] {
        self.out.as_slice()
    }

    /// Gives back what one huge record made the buffer grow by.
    pub(crate) fn shrink(&mut self, bytes: usize) {
        if self.out.capacity() > bytes {
            self.out = Out::default();
        }
    }
}

/// One record.
struct Pass<'p> {
    privacy: &'p Privacy,
    raw: &'p [u8],
    out: &'p mut Out,
    open: &'p mut Vec<Open>,
    memory: &'p mut Memory,
    patterns: Option<Patterns>,
    /// Where the key before was found.
    last: u32,
    /// How far the record has been copied, or replaced.
    copied: usize,
    /// By how much more what is written may be longer than the record.
    room: usize,
    tags: Tags,
}

/// What comes next.
enum Next {
    /// A value at this offset.
    Value(usize, Verdict, PlaceId),
    /// What stands behind a value.
    Behind(usize),
    /// A key at this offset; and where the comma before it is.
    Key(usize, Option<usize>),
}

impl<'p> Pass<'p> {
    /// Walks through the record; `None` if it is not JSON.
    fn run(&mut self) -> Option<()> {
        let mut next = Next::Value(space(self.raw, 0), UNDECIDED, TOP);
        loop {
            next = match next {
                Next::Value(at, verdict, place) => self.value(at, verdict, place)?,
                Next::Key(at, comma) => self.key(at, comma)?,
                Next::Behind(at) => {
                    let at = space(self.raw, at);
                    let Some(open) = self.open.last_mut() else {
                        return (at == self.raw.len()).then_some(());
                    };
                    match (self.raw.get(at)?, open.is_object) {
                        (b',', true) => Next::Key(space(self.raw, at + 1), Some(at)),
                        (b',', false) => Next::Value(space(self.raw, at + 1), open.verdict, open.place),
                        (b'}', true) | (b']', false) => {
                            self.open.pop();
                            Next::Behind(at + 1)
                        }
                        _ => return None,
                    }
                }
            };
        }
    }

    #[inline]
    fn value(&mut self, at: usize, verdict: Verdict, place: PlaceId) -> Option<Next> {
        match self.raw.get(at)? {
            b'"' => self.string(at, verdict).map(Next::Behind),
            b'{' | b'[' => self.container(at, verdict, place),
            _ => self.scalar(at, verdict).map(Next::Behind),
        }
    }

    fn container(&mut self, at: usize, verdict: Verdict, place: PlaceId) -> Option<Next> {
        let is_object = self.raw.get(at) == Some(&b'{');
        let inside = space(self.raw, at + 1);
        if self.raw.get(inside) == Some(if is_object { &b'}' } else { &b']' }) {
            return Some(Next::Behind(inside + 1));
        }
        if verdict.action() == Action::Drop || self.open.len() == MAX_DEPTH {
            let end = scan::value(self.raw, at)?;
            scan::checked(self.raw.get(at..end)?)?;
            self.replace(at..end, b"null", Tags::PRIVACY_DROPPED);
            return Some(Next::Behind(end));
        }
        let place = if is_object { self.variant(at, place)? } else { place };
        // Versions in a list are versions.
        let verdict = if is_object { verdict.inside() } else { verdict };
        self.open.push(Open { place, verdict, is_object, has_member: false });
        Some(if is_object { Next::Key(inside, None) } else { Next::Value(inside, verdict, place) })
    }

    /// The place of an object, which may depend on its member `type`; at the top, so does what is to be done.
    fn variant(&mut self, at: usize, place: PlaceId) -> Option<PlaceId> {
        let tree = &self.privacy.tree;
        if place == TOP && self.open.is_empty() {
            if tree.needs_type() {
                let name = self.member(at)?;
                self.patterns = Some(self.memory.types.of(tree, &name));
            }
            return Some(place);
        }
        let Some(variants) = tree.variants(place) else { return Some(place) };
        let name = self.member(at)?;
        let by_ending = || tree.variant_by_ending(place, self.memory.variants.ending(tree, &name));
        Some(variants.get(&*name).copied().unwrap_or_else(by_ending))
    }

    /// The text of the member `type` of the object at `at`, the last one if there are several; empty if there is none.
    fn member(&self, at: usize) -> Option<Cow<'p, str>> {
        let raw = self.raw;
        let mut found = Cow::Borrowed("");
        let mut at = space(raw, at + 1);
        while raw.get(at) == Some(&b'"') {
            let (key, behind) = self.text(at)?;
            let value = space(raw, behind);
            let value = space(raw, if raw.get(value) == Some(&b':') { value + 1 } else { return None });
            let end = if key == TYPE && raw.get(value) == Some(&b'"') {
                let (text, end) = self.text(value)?;
                found = text;
                end
            } else {
                scan::value(raw, value)?
            };
            at = space(raw, end);
            if raw.get(at) == Some(&b',') {
                at = space(raw, at + 1);
            }
        }
        Some(found)
    }

    /// The text of the string at `at`, and where it ends.
    #[inline]
    fn text(&self, at: usize) -> Option<(Cow<'p, str>, usize)> {
        if self.raw.get(at) != Some(&b'"') {
            return None;
        }
        let string = scan::string(self.raw, at)?;
        let part = self.raw.get(at..string.end)?;
        let text = if string.has_escape {
            Cow::Owned(scan::unescaped(part)?)
        } else {
            Cow::Borrowed(scan::plain(part)?)
        };
        Some((text, string.end))
    }

    fn key(&mut self, at: usize, comma: Option<usize>) -> Option<Next> {
        if self.raw.get(at) != Some(&b'"') {
            return None;
        }
        let string = scan::string(self.raw, at)?;
        let colon = space(self.raw, string.end);
        if self.raw.get(colon) != Some(&b':') {
            return None;
        }
        let value = space(self.raw, colon + 1);
        let open = *self.open.last()?;
        // A key that was met is known by its bytes, and need not be read.
        let bytes = self.raw.get(at + 1..string.end - 1).filter(|_| !string.has_escape);
        let guessed = bytes.and_then(|bytes| self.memory.keys.guess(open.place, bytes, &mut self.last));
        let known = match guessed {
            Some(known) => known,
            None => {
                let (key, _) = self.text(at)?;
                self.memory.keys.find(&self.privacy.tree, open.place, &key, &mut self.last)
            }
        };
        if let Some(class) = known.looks
            && let action @ (Action::Truncate | Action::Hash | Action::Drop) =
                self.privacy.tree.key_action(open.verdict, class)
            && !self.name(at..string.end, (action, class))?
        {
            return self.remove(at, value, comma);
        }
        if let Some(open) = self.open.last_mut() {
            open.has_member = true;
        }
        let patterns = self.patterns.as_deref().unwrap_or_default();
        let own = known.verdict(&self.privacy.tree, patterns);
        Some(Next::Value(value, open.verdict.over(own), known.into))
    }

    /// Treats a key that is itself an address; false if nothing is to be left of it.
    #[cold]
    fn name(&mut self, place: Range<usize>, (action, class): (Action, Class)) -> Option<bool> {
        let (key, _) = self.text(place.start)?;
        let mut json = Vec::new();
        let put = |treated: &[u8]| json.extend_from_slice(treated);
        let tag = self.memory.values.treat(self.privacy, (action, Some(class)), &key, put);
        let more = json.len().saturating_sub(place.len());
        if tag.contains(Tags::PRIVACY_DROPPED) || more > self.room {
            return Some(false);
        }
        if !tag.is_empty() {
            self.replace(place, &json, tag);
        }
        Some(true)
    }

    /// Leaves a member out, with the comma that it makes superfluous.
    #[cold]
    fn remove(&mut self, key: usize, value: usize, comma: Option<usize>) -> Option<Next> {
        let end = scan::value(self.raw, value)?;
        scan::checked(self.raw.get(value..end)?)?;
        self.tags.insert(Tags::PRIVACY_DROPPED);
        let has_member = self.open.last()?.has_member;
        match comma.filter(|_| has_member) {
            Some(comma) => {
                self.copy(comma);
                self.copied = end;
                Some(Next::Behind(end))
            }
            None => {
                self.copy(key);
                let behind = space(self.raw, end);
                if self.raw.get(behind) == Some(&b',') {
                    self.copied = behind + 1;
                    let next = space(self.raw, behind + 1);
                    return (self.raw.get(next) == Some(&b'"')).then_some(Next::Key(next, None));
                }
                self.copied = end;
                Some(Next::Behind(end))
            }
        }
    }

    #[inline]
    fn string(&mut self, at: usize, verdict: Verdict) -> Option<usize> {
        let string = scan::string(self.raw, at)?;
        let part = self.raw.get(at..string.end)?;
        let concerns = match verdict {
            Verdict::Fixed | Verdict::Rule(Action::Keep, ..) => false,
            Verdict::Version => self.privacy.tree.looks_like_email(part, string),
            Verdict::Usual(Action::Keep, _) => self.privacy.tree.looks(part, string),
            Verdict::Usual(..) | Verdict::Rule(..) => true,
        };
        if concerns && string.has_escape {
            self.treat(at..string.end, verdict, &scan::unescaped(part)?);
        } else if concerns {
            self.treat(at..string.end, verdict, scan::plain(part)?);
        }
        Some(string.end)
    }

    /// A number, a truth value or null. The last two say nothing of anybody, unless a rule names them.
    fn scalar(&mut self, at: usize, verdict: Verdict) -> Option<usize> {
        let end = scan::scalar(self.raw, at);
        let part = self.raw.get(at..end).filter(|part| !part.is_empty())?;
        let is_number = part.first().is_some_and(|byte| byte.is_ascii_digit() || *byte == b'-');
        let concerns = match verdict {
            _ if part == b"null" => false,
            Verdict::Fixed
            | Verdict::Version
            | Verdict::Usual(Action::Keep, _)
            | Verdict::Rule(Action::Keep, ..) => false,
            Verdict::Usual(..) => is_number,
            Verdict::Rule(..) => true,
        };
        if concerns {
            scan::checked(part)?;
            self.treat(at..end, verdict, std::str::from_utf8(part).ok()?);
        }
        Some(end)
    }

    /// Treats the value that stands at `place` and says `text`.
    fn treat(&mut self, place: Range<usize>, verdict: Verdict, text: &str) {
        if text.is_empty() {
            return;
        }
        let what = match verdict {
            Verdict::Fixed => return,
            Verdict::Version => match treat::class_by_looks(text) {
                Some(Class::Email) => (self.privacy.of(Class::Email), Some(Class::Email)),
                _ => return,
            },
            Verdict::Usual(action, class) => treat::usual(self.privacy, action, class, text),
            Verdict::Rule(action, class, _) => (action, treat::class_by_looks(text).or(class)),
        };
        if what.0 == Action::Keep {
            return;
        }
        let Self { privacy, raw, out, memory, copied, room, .. } = self;
        let mut is_crowded = false;
        let tag = memory.values.treat(privacy, what, text, |json| {
            out.put(raw.get(*copied..place.start).unwrap_or_default());
            *copied = place.end;
            let more = json.len().saturating_sub(place.len());
            match room.checked_sub(more) {
                Some(left) => {
                    *room = left;
                    out.put(json);
                }
                None => {
                    is_crowded = true;
                    out.put(b"\"\"");
                }
            }
        });
        self.tags.insert(if is_crowded { Tags::PRIVACY_DROPPED } else { tag });
    }

    /// Puts JSON into a place of the record.
    fn replace(&mut self, place: Range<usize>, json: &[u8], tag: Tags) {
        self.room = self.room.saturating_sub(json.len().saturating_sub(place.len()));
        self.copy(place.start);
        self.out.put(json);
        self.copied = place.end;
        self.tags.insert(tag);
    }

    /// Copies the record up to `end`.
    fn copy(&mut self, end: usize) {
        self.out.put(self.raw.get(self.copied..end).unwrap_or_default());
        self.copied = end;
    }
}

#[cfg(test)]
mod tests;
