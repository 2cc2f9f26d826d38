//! Writing objects with free keys, for fields indexed as `flattened`.
//!
//! Empty values are left out at every depth, of a repeated key the last value counts, and what lies
//! deeper than [`MAX_DEPTH`] is written as a JSON string. A key that an index cannot hold makes the
//! whole value unwritable here: empty or blank keys, NUL, stray dots, and keys beyond 512 bytes are refused
//! by Elasticsearch or would break its limits.

use std::collections::{BTreeMap, HashMap};

use simd_json::Node;

use crate::MAX_DEPTH;
use crate::json;
use crate::out::Out;
use crate::record::{Record, Scalar};
use crate::value::{Values, is_readable_number};

/// The longest key that is indexed.
const LONGEST_KEY: usize = 256;
/// From this many members on, repeated keys are looked for with a map instead of pairwise.
const MANY: usize = 32;

/// Whether a flattened field can have this key.
pub(crate) fn is_indexable_key(key: &str) -> bool {
    !key.trim().is_empty()
        && key.len() <= LONGEST_KEY
        && !key.contains('\0')
        && !key.starts_with('.')
        && !key.ends_with('.')
        && !key.contains("..")
}

impl Values<'_, '_> {
    /// Writes an object, or an array of objects.
    pub(crate) fn flattened(&self, out: &mut Out, node: u32) -> bool {
        let record = self.record;
        let takes = record.is_object(node)
            || record.is_array(node)
                && record.items(node).all(|item| record.is_object(item) || record.is_empty(item));
        let start = out.len();
        takes
            && self.pruned(out, node, MAX_DEPTH)
            && !matches!(out.as_slice().get(start..), Some(b"{}" | b"[]"))
    }

    /// Writes any value without its empty parts; false if a key is not indexable.
    pub(crate) fn pruned(&self, out: &mut Out, node: u32, depth: usize) -> bool {
        let record = self.record;
        match record.scalar(node) {
            Some(Scalar::Number(Some(text))) if !is_readable_number(text) => {
                json::push_string(out, text);
                return true;
            }
            Some(scalar) => {
                self.push_scalar(out, scalar);
                return true;
            }
            None => {}
        }
        if depth == 0 {
            let mut text = Out::default();
            self.whole(&mut text, node);
            json::push_string(out, &String::from_utf8_lossy(text.as_slice()));
            return true;
        }
        let object = record.is_object(node);
        out.push(if object { b'{' } else { b'[' });
        let start = out.len();
        let separate = |out: &mut Out| {
            if out.len() > start {
                out.push(b',');
            }
        };
        if object {
            let last = self.last_of_each_key(node);
            for (key, value) in record.members(node) {
                let name = record.text(key).unwrap_or_default();
                if !is_indexable_key(name) {
                    return false;
                }
                if !last.is_last(record, node, key, name) {
                    self.duplicate_key.set(true);
                    continue;
                }
                if record.is_empty(value) {
                    continue;
                }
                let before = out.len();
                separate(out);
                json::push_string(out, name);
                out.push(b':');
                if !self.pruned_member(out, value, depth - 1, before) {
                    return false;
                }
            }
        } else {
            for item in record.items(node) {
                if record.is_empty(item) {
                    continue;
                }
                let before = out.len();
                separate(out);
                if !self.pruned_member(out, item, depth - 1, before) {
                    return false;
                }
            }
        }
        out.push(if object { b'}' } else { b']' });
        true
    }

    /// Writes a member or item, and takes it back to `before` if nothing of it was left: of a repeated key the
    /// last value counts, even when it is empty.
    pub(crate) fn pruned_member(&self, out: &mut Out, node: u32, depth: usize, before: usize) -> bool {
        let start = out.len();
        let written = self.pruned(out, node, depth);
        if matches!(out.as_slice().get(start..), Some(b"{}" | b"[]")) {
            out.truncate(before);
        }
        written
    }

    /// Writes any value whole, to any depth, as compact JSON.
    pub(crate) fn whole(&self, out: &mut Out, node: u32) {
        // Of every open container: how many items are left, and whether it is an object.
        let mut open: Vec<(usize, bool)> = Vec::new();
        let mut at = node;
        let end = self.record.after(node);
        let mut key = false;
        while at < end {
            match self.record.node(at) {
                Node::Object { len, .. } => {
                    out.push(b'{');
                    open.push((len, true));
                    key = true;
                }
                Node::Array { len, .. } => {
                    out.push(b'[');
                    open.push((len, false));
                    key = false;
                }
                Node::String(text) if key => {
                    json::push_string(out, text);
                    out.push(b':');
                    key = false;
                    at += 1;
                    continue;
                }
                _ => {
                    if let Some(scalar) = self.record.scalar(at) {
                        self.push_scalar(out, scalar);
                    }
                    item_done(&mut open);
                }
            }
            at += 1;
            // Close what is complete.
            while let Some(&(0, object)) = open.last() {
                out.push(if object { b'}' } else { b']' });
                open.pop();
                item_done(&mut open);
            }
            if let Some(&(_, object)) = open.last() {
                if !matches!(out.last(), Some(b'{' | b'[')) {
                    out.push(b',');
                }
                key = object;
            }
        }
    }

    /// Writes any value in a form that does not depend on the order of keys, white space or the way
    /// strings are escaped: keys sorted by code point, of repeated ones the last.
    pub(crate) fn canonical(&self, out: &mut Out, node: u32, depth: usize) {
        let record = self.record;
        if depth == 0 || record.scalar(node).is_some() {
            return self.whole(out, node);
        }
        if record.is_array(node) {
            out.push(b'[');
            for (at, item) in record.items(node).enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                self.canonical(out, item, depth - 1);
            }
            return out.push(b']');
        }
        let named = record.members(node).filter_map(|(key, value)| Some((record.text(key)?, value)));
        let members: BTreeMap<&str, u32> = named.collect();
        out.push(b'{');
        for (at, (name, value)) in members.into_iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            json::push_string(out, name);
            out.push(b':');
            self.canonical(out, value, depth - 1);
        }
        out.push(b'}');
    }

    fn last_of_each_key(&self, node: u32) -> LastOfKey<'_> {
        let Node::Object { len, .. } = self.record.node(node) else { return LastOfKey::Few };
        if len <= MANY {
            return LastOfKey::Few;
        }
        let named = self.record.members(node).filter_map(|(key, _)| Some((self.record.text(key)?, key)));
        LastOfKey::Many(named.collect())
    }
}

fn item_done(open: &mut [(usize, bool)]) {
    if let Some((left, _)) = open.last_mut() {
        *left -= 1;
    }
}

/// Tells the last of several members with one key.
enum LastOfKey<'a> {
    Few,
    Many(HashMap<&'a str, u32>),
}

impl LastOfKey<'_> {
    fn is_last(&self, record: &Record<'_>, object: u32, key: u32, name: &str) -> bool {
        match self {
            Self::Few => {
                !record.members(object).any(|(other, _)| other > key && record.text(other) == Some(name))
            }
            Self::Many(last) => last.get(name) == Some(&key),
        }
    }
}
