//! Pages of a listing: which entries, and what stands around them.
//!
//! Owns both manners of paging (cursors that go either way; tokens that go on) and the faults that concern them. What the
//! entries are comes in, in any order.

use serde_json::{Map, Value, json};

use super::asked::Asked;
use super::mark::{Mark, Marks, Spot};
use super::{Reply, World};
use crate::api::faults::FaultKind;
use crate::api::refusal::Refusal;
use crate::api::store::Side;
use crate::clock::Micros;

/// A listing by tokens.
pub(super) struct Tokens<'m> {
    pub(super) marks: &'m Marks,
    pub(super) descends: bool,
    /// Whether the page says `has_more`.
    pub(super) has_more: bool,
    /// How old a walk may grow.
    pub(super) lifetime: Option<Micros>,
    /// The most bytes of entries; one entry is always there.
    pub(super) bytes: Option<usize>,
}

impl World<'_> {
    /// A page by cursors, in the field `name` of `body`.
    pub(super) fn by_cursor<T>(
        &self,
        asked: &Asked,
        marks: &Marks,
        mut entries: Vec<(Spot, T)>,
        (mut body, name): (Map<String, Value>, &str),
        show: impl Fn(&T) -> Value,
    ) -> Result<Reply, Refusal> {
        entries.sort_by(|(one, _), (other, _)| one.cmp(other));
        if asked.descends() {
            entries.reverse();
        }
        let sent = asked.text("after_id").map(|text| (Side::After, "after_id", text));
        let sent = sent.or_else(|| asked.text("before_id").map(|text| (Side::Before, "before_id", text)));
        let (mut from, mut until) = (0, entries.len());
        if let Some((side, parameter, text)) = sent {
            let spot = self.spot(marks, &entries, text).ok_or_else(|| Refusal::cursor(parameter))?;
            let passed = |entry: &Spot| if asked.descends() { *entry > spot } else { *entry < spot };
            let at = entries.iter().filter(|(entry, _)| passed(entry)).count();
            let met = entries.get(at).is_some_and(|(entry, _)| *entry == spot);
            match side {
                // The fault gives the last entry of the page before once more.
                Side::After => from = at + usize::from(met && !self.is(FaultKind::Duplicate)),
                Side::Before => until = at,
            }
        }
        let limit = asked.limit.unwrap_or(usize::MAX);
        let backward = sent.is_some_and(|(side, ..)| side == Side::Before);
        let all = entries.get(from..until).unwrap_or_default();
        let more = all.len() > limit;
        let page = match backward {
            true => all.get(all.len().saturating_sub(limit)..),
            false => all.get(..limit.min(all.len())),
        };
        let page = page.unwrap_or_default();
        let cursor = |entry: Option<&(Spot, T)>| match entry {
            Some((spot, _)) if !self.is(FaultKind::CursorNull) => {
                json!(marks.cursor(&Mark { spot: spot.clone(), begun: self.now }))
            }
            _ => Value::Null,
        };
        let repeats = self.is(FaultKind::CursorRepeated);
        let last = sent.filter(|_| repeats).map_or_else(|| cursor(page.last()), |(_, _, text)| json!(text));
        body.insert("first_id".into(), cursor(page.first()));
        body.insert("last_id".into(), last);
        if !self.is(FaultKind::HasMoreMissing) {
            let pretends = repeats || self.is(FaultKind::CursorNull);
            body.insert("has_more".into(), (more || pretends).into());
        }
        body.insert(name.into(), page.iter().map(|(_, entry)| show(entry)).collect());
        Ok(Reply::json(&body.into(), page.len()))
    }

    /// Where a cursor points: what it says, or where the entry of that id stands.
    fn spot<T>(&self, marks: &Marks, entries: &[(Spot, T)], text: &str) -> Option<Spot> {
        if let Some(mark) = marks.read(text) {
            let expired =
                self.settings.cursor_lifetime.is_some_and(|lifetime| self.now - mark.begun > lifetime);
            return (!expired).then_some(mark.spot);
        }
        entries.iter().map(|(spot, _)| spot).find(|spot| spot.id == text).cloned()
    }

    /// A page by tokens, in the field `data` of `body`. An entry that `show` makes nothing of has its place in the page all
    /// the same, so that pages may be short, and empty.
    pub(super) fn by_token<T>(
        &self,
        asked: &Asked,
        tokens: &Tokens<'_>,
        mut entries: Vec<(Spot, T)>,
        mut body: Map<String, Value>,
        show: impl Fn(&T) -> Option<Value>,
    ) -> Result<Reply, Refusal> {
        let Tokens { marks, descends, lifetime, bytes, .. } = *tokens;
        entries.sort_by(|(one, _), (other, _)| one.cmp(other));
        if descends {
            entries.reverse();
        }
        let sent = asked.text("page");
        let mark =
            sent.map(|text| marks.read(text).ok_or_else(|| Refusal::invalid("page: not a valid cursor")));
        let mark = mark.transpose()?;
        let begun = mark.as_ref().map_or(self.now, |mark| mark.begun);
        if lifetime.is_some_and(|lifetime| self.now - begun > lifetime) {
            return Err(Refusal::invalid("page: cursor has expired"));
        }
        if let Some(Mark { spot, .. }) = &mark {
            let again = self.is(FaultKind::Duplicate);
            entries.retain(|(entry, _)| {
                (if descends { entry < spot } else { entry > spot }) || (again && entry == spot)
            });
        }
        let limit = asked.limit.unwrap_or(usize::MAX);
        let (mut data, mut size, mut met) = (Vec::new(), 0, 0);
        let mut last = mark.map(|mark| mark.spot);
        let empty = self.is(FaultKind::EmptyPage);
        for (spot, entry) in entries.iter().take(if empty { 0 } else { limit }) {
            let shown = show(entry);
            if let (Some(most), Some(shown)) = (bytes, &shown) {
                size += shown.to_string().len();
                if size > most && !data.is_empty() {
                    break;
                }
            }
            data.extend(shown);
            met += 1;
            last = Some(spot.clone());
        }
        let more = entries.len() > met;
        // Before the first entry there is a place too, which an empty page goes on from.
        let start = Spot { rank: if descends { i64::MAX } else { i64::MIN }, id: String::new() };
        let next = (more || empty).then(|| marks.token(&Mark { spot: last.unwrap_or(start), begun }));
        let next = if self.is(FaultKind::CursorNull) { None } else { next };
        let next = if self.is(FaultKind::CursorRepeated) { sent.map(str::to_owned).or(next) } else { next };
        let pretends = self.is(FaultKind::CursorRepeated) || self.is(FaultKind::CursorNull);
        if tokens.has_more && !self.is(FaultKind::HasMoreMissing) {
            body.insert("has_more".into(), (more || empty || pretends).into());
        }
        body.insert("next_page".into(), next.into());
        let rows = data.len();
        body.insert("data".into(), data.into());
        Ok(Reply::json(&body.into(), rows))
    }
}
