//! Records gone wrong: what a mapper must bear, as proptest strategies.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use proptest::prelude::*;
use proptest::sample::Index;
use simulator::RecordShape;

use crate::json::Json;
use crate::world;

/// Numbers that do not survive a 64-bit integer or fraction.
pub(crate) const NUMBERS: [&str; 16] = [
    "0",
    "-0",
    "1.50",
    "0.1000000000000000055511",
    "1e400",
    "-1E+400",
    "1e-400",
    "1E5",
    "-0.0",
    "200",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775809",
    "18446744073709551615",
    "18446744073709551616",
    "123456789012345678901234567890",
];

/// Times as nobody should write them, and some as one should.
pub(crate) const TIMES: [&str; 22] = [
    "2026-10-05T09:15:02Z",
    "2026-10-05T09:15:02.120+00:00",
    "2026-10-05T09:15:02.123456",
    "2026-10-05T09:15:02.1234567891Z",
    "2026-10-05T09:15:02+02:00",
    "2026-10-05 09:15:02.5Z",
    "2026-10-05t09:15:02z",
    "2026-10-05T09:15:02-00:00",
    "2026-10-05",
    "2026-10-05T09:15Z",
    "2026-13-05T09:15:02Z",
    "2026-10-05T24:00:00Z",
    "2016-12-31T23:59:60Z",
    "2016-12-31T23:59:60.5",
    "1969-12-31T23:59:59.999Z",
    "2261-12-31T23:59:59-01:00",
    "9999-12-31T23:59:59Z",
    "+2026-10-05T09:15:02.5",
    "2026-9-5T9:15:02.123456789",
    "2026-10-05T09:15:02.",
    "1791191702",
    "soon",
];

const ADDRESSES: [&str; 12] = [
    "192.0.2.1",
    "198.51.100.17",
    "::ffff:198.51.100.81",
    "2001:db8:4000::1",
    "0.0.0.0",
    "192.0.2.256",
    "192.0.2.01",
    "192.0.2.0/24",
    "fe80::1%eth0",
    "2001:db8::g",
    "unknown",
    " 192.0.2.1",
];

const TEXTS: [&str; 16] = [
    "plain",
    " ",
    "say \"hi\" \\ \n\t\u{1}\u{7f}",
    "é😀\u{2028}\u{FFFD}",
    "https://user:pw@api.example.com:8443/v1/x?y=%00#z",
    "https://",
    "http://[2001:db8::1]:99999/",
    "://?#",
    "@",
    "ada@",
    "a.b.c@example.com",
    ".bashrc",
    "dir/.x",
    "true",
    "{\"a\":[null]}",
    "UNKNOWN",
];

/// Values that need their own spelling.
const SPELLED: [&str; 20] = [
    "null",
    "true",
    "false",
    "\"\"",
    "{}",
    "[]",
    "[[],{\"a\":null,\"b\":[\"\"]}]",
    "\"\\ud800\"",
    "\"\\udc00 and \\ud83dx \\ud83d\\ude00\"",
    "\"\\u0000\"",
    "[1,\"a\",true,null,\"\",2.50]",
    "[[1],[\"b\"]]",
    "[{\"a\":1},\"b\"]",
    "{\"a\":1,\"a\":2}",
    "{\"a\":1,\"a\":null}",
    "{\"\":1}",
    "{\"a.b\":1,\"a\":{\"b\":2}}",
    "{\"\\ud800\":1}",
    "{\"type\":\"workspace\",\"workspace_id\":\"w\",\"id\":7,\"outcome\":\"success\",\"claims\":{\"sub\":\"x\",\"n\":0.10}}",
    "[{\"type\":\"name\",\"previous_value\":null,\"current_value\":[1.10,{\"type\":[\"x\"]}]}]",
];

/// Keys that an index, ECS or the mapper itself gives a meaning.
const KEYS: [&str; 36] = [
    "",
    " ",
    ".",
    "..",
    "a..b",
    ".a",
    "a.",
    "a.b",
    "nul\u{0}x",
    "quote\"\\\n",
    "ünï😀",
    "@timestamp",
    "_id",
    "_source",
    "event",
    "event.id",
    "message",
    "tags",
    "related",
    "anthropic",
    "user",
    "user.name",
    "source",
    "source.ip",
    "metadata",
    "unindexable",
    "actor",
    "actor.novel",
    "actor.user_id",
    "status",
    "status.outcome",
    "scope",
    "id",
    "type",
    "created_at",
    "novel",
];

/// A value of any kind that a field may be given, spelled as JSON.
pub(crate) fn odd_value() -> impl Strategy<Value = Json> {
    let quoted = |text: &str| Json::Text(text.to_owned());
    prop_oneof![
        4 => prop::sample::select(&SPELLED[..]).prop_map(|text| Json::Raw(text.to_owned())),
        3 => prop::sample::select(&NUMBERS[..]).prop_map(|text| Json::Number(text.to_owned())),
        2 => prop::sample::select(&TIMES[..]).prop_map(quoted),
        2 => prop::sample::select(&ADDRESSES[..]).prop_map(quoted),
        3 => prop::sample::select(&TEXTS[..]).prop_map(quoted),
        2 => nested(),
        1 => any::<String>().prop_map(Json::Text),
    ]
}

/// Containers around the depth where the mapper stops, and far beyond it.
pub(crate) fn nested() -> impl Strategy<Value = Json> {
    let depth = prop_oneof![8 => 60_usize..70, 3 => 120..135_usize, 1 => Just(5_000_usize)];
    let inner = prop::sample::select(&["1", "null", "", "\"x\"", "{\"a\":1,\"a\":1.50}"][..]);
    (depth, any::<u8>(), inner).prop_map(|(depth, kind, inner)| Json::Raw(nest(depth, kind, inner)))
}

/// `inner` inside that many containers; `kind` chooses arrays, objects or both in turn.
pub(crate) fn nest(depth: usize, kind: u8, inner: &str) -> String {
    let is_object = |level: usize| kind % 3 == 1 || kind % 3 == 2 && level.is_multiple_of(2);
    let empty = inner.is_empty() && depth > 0 && is_object(depth - 1);
    let open: String = (0..depth).map(|level| if is_object(level) { "{\"k\":" } else { "[" }).collect();
    let close: String = (0..depth).rev().map(|level| if is_object(level) { '}' } else { ']' }).collect();
    let inner = if empty { "[]" } else { inner };
    format!("{open}{inner}{close}")
}

pub(crate) fn odd_key() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => prop::sample::select(&KEYS[..]).prop_map(str::to_owned),
        4 => prop::sample::select(field_names()),
        1 => Just("k".repeat(512)),
        1 => Just("k".repeat(513)),
        1 => any::<String>(),
    ]
}

/// Every field the tables know, at any level.
fn field_names() -> &'static [String] {
    static NAMES: OnceLock<Vec<String>> = OnceLock::new();
    NAMES.get_or_init(|| {
        let tables = model::tables::Tables::builtin();
        let names = tables.fields.iter().flat_map(|row| row.field.split('.')).map(str::to_owned);
        names.collect::<BTreeSet<_>>().into_iter().collect()
    })
}

/// One thing done to a record.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    Drop,
    Replace(Json),
    /// A member beside the one aimed at.
    Add(String, Json),
    /// The same key again, before or behind.
    Repeat(Json, bool),
    /// The value in a list.
    Wrap,
    Lengthen(usize),
}

#[derive(Debug, Clone)]
pub(crate) struct Mutation {
    aim: Index,
    change: Change,
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let change = prop_oneof![
        2 => Just(Change::Drop),
        6 => odd_value().prop_map(Change::Replace),
        5 => (odd_key(), odd_value()).prop_map(|(key, value)| Change::Add(key, value)),
        2 => (odd_value(), any::<bool>()).prop_map(|(value, before)| Change::Repeat(value, before)),
        1 => Just(Change::Wrap),
        1 => prop_oneof![60 => Just(300_usize), 1 => Just(1 << 20)].prop_map(Change::Lengthen),
    ];
    (any::<Index>(), change).prop_map(|(aim, change)| Mutation { aim, change })
}

/// A record of a known type with some things done to it, as text.
pub(crate) fn mutated_record() -> impl Strategy<Value = String> {
    let types: Vec<&'static str> = world::catalog().activities.keys().map(String::as_str).collect();
    let kinds: Vec<&'static str> = world::catalog().actors.keys().map(String::as_str).collect();
    let shape = prop::sample::select(&RecordShape::ALL[..]);
    let base = (prop::sample::select(types), prop::sample::select(kinds), shape, any::<u64>());
    (base, prop::collection::vec(mutation(), 1..8)).prop_map(
        |((activity_type, kind, shape, seed), mutations)| {
            let record = world::generator(seed).draft(activity_type).shape(shape).actor_kind(kind).finish();
            let mut record = Json::read(&record);
            for mutation in mutations {
                mutation.apply(&mut record);
            }
            let mut text = String::new();
            record.write(&mut text);
            text
        },
    )
}

/// A record, and others with the same keys in the same order and some values exchanged.
pub(crate) fn record_and_other_values() -> impl Strategy<Value = (String, Vec<String>)> {
    let types: Vec<&'static str> = world::catalog().activities.keys().map(String::as_str).collect();
    let value = prop_oneof![
        9 => odd_value().prop_map(Change::Replace),
        1 => Just(Change::Wrap),
        1 => Just(Change::Lengthen(300)),
    ];
    let exchange = (any::<Index>(), value).prop_map(|(aim, change)| Mutation { aim, change });
    let exchanges = prop::collection::vec(prop::collection::vec(exchange, 1..4), 1..5);
    (prop::sample::select(types), any::<u64>(), exchanges).prop_map(|(activity_type, seed, exchanges)| {
        let base = world::generator(seed).record(activity_type, RecordShape::Full);
        let others = exchanges.into_iter().map(|exchanges| {
            let mut record = Json::read(&base);
            exchanges.into_iter().for_each(|mutation| mutation.apply(&mut record));
            let mut text = String::new();
            record.write(&mut text);
            text
        });
        let others = others.collect();
        (base, others)
    })
}

impl Mutation {
    fn apply(self, record: &mut Json) {
        let mut members = Vec::new();
        find_members(record, &mut Vec::new(), &mut members);
        if members.is_empty() {
            return;
        }
        let path = &members[self.aim.index(members.len())];
        let Some((&at, parents)) = path.split_last() else { return };
        let mut parent = record;
        for &step in parents {
            parent = match parent {
                Json::Array(items) => &mut items[step],
                Json::Object(members) => &mut members[step].1,
                _ => return,
            };
        }
        let Json::Object(members) = parent else { return };
        match self.change {
            Change::Drop => drop(members.remove(at)),
            Change::Replace(value) => members[at].1 = value,
            Change::Add(key, value) => members.insert(at, (key, value)),
            Change::Repeat(value, before) => {
                let key = members[at].0.clone();
                members.insert(at + usize::from(!before), (key, value));
            }
            Change::Wrap => {
                let value = std::mem::replace(&mut members[at].1, Json::Null);
                members[at].1 = Json::Array(vec![value]);
            }
            Change::Lengthen(bytes) => members[at].1 = Json::Text("long \"text\" ü ".repeat(bytes / 14 + 1)),
        }
    }
}

/// The paths of all members of all objects.
fn find_members(value: &Json, path: &mut Vec<usize>, found: &mut Vec<Vec<usize>>) {
    let children: Vec<&Json> = match value {
        Json::Array(items) => items.iter().collect(),
        Json::Object(members) => members.iter().map(|(_, value)| value).collect(),
        _ => return,
    };
    for (at, child) in children.into_iter().enumerate() {
        path.push(at);
        if value.is_object() {
            found.push(path.clone());
        }
        find_members(child, path, found);
        path.pop();
    }
}

/// Any JSON value, of modest size: mostly an object with an `id`, whose keys are often ones that mean something.
pub(crate) fn any_json() -> impl Strategy<Value = Json> {
    let value = odd_value().prop_recursive(3, 12, 6, |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..4).prop_map(Json::Array),
            3 => prop::collection::vec((odd_key(), inner), 0..6).prop_map(Json::Object),
        ]
    });
    let members = prop::collection::vec((odd_key(), value.clone()), 0..8);
    let object = (members, odd_value()).prop_map(|(mut members, id)| {
        members.push(("id".to_owned(), id));
        Json::Object(members)
    });
    prop_oneof![1 => value, 5 => object]
}

/// Text that is nearly JSON, put together from its pieces.
pub(crate) fn nearly_json() -> impl Strategy<Value = Vec<u8>> {
    const PIECES: [&[u8]; 40] = [
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"\"id\":\"x\"",
        b"\"type\":\"y\"",
        b"\"a\"",
        b"\"",
        b"\\",
        b"\\u",
        b"d83d",
        b"\"\\ud83d\"",
        b"\"\\ude00\\u0041\"",
        b"\"\\x\"",
        b"1",
        b"-",
        b"0",
        b"01",
        b"1.",
        b".5",
        b"1e",
        b"1e5",
        b"-0",
        b"+1",
        b"9999999999999999999999",
        b"true",
        b"null",
        b"nul",
        b"NaN",
        b" ",
        b"\n",
        b"\t",
        b"\x0c",
        b"\x00",
        b"\xef\xbb\xbf",
        b"\xff",
        b"\xc3",
        "ü".as_bytes(),
    ];
    prop::collection::vec(prop::sample::select(&PIECES[..]), 0..12).prop_map(|pieces| pieces.concat())
}
