//! A record that is nearly like those a plan knows is written as if there were no plans.
//!
//! Plans take a record apart by its bytes, without a parser. So records of a feed, which make the plans, are changed at
//! a place or two, by what a parser would mind and by what it would not, and each goes through a mapper with plans and one
//! without: same document, same id, same tags, or the same refusal.

#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::HashMap;
use std::sync::Arc;

use mapper::enrich::GeoDatabases;
use mapper::{Mapper, MapperOptions, Mapping};
use model::catalog::Catalog;
use model::tables::Tables;
use serde_json::Value;
use simulator::Feed;

/// What is put into a record, or in the place of some of its bytes.
const PIECES: [&[u8]; 46] = [
    b"",
    b"\"",
    b"\\",
    b"\\\"",
    b"\\u00e9",
    b"\\ud800",
    b"\n",
    b"\t",
    b"\0",
    b"\x1f",
    b" ",
    b"\x7f",
    b"\xff",
    b"\xc3\xa9",
    b"\xc3",
    b"\xe2\x82\xac",
    b"\xed\xa0\x80",
    b"{",
    b"}",
    b"[",
    b"]",
    b"{}",
    b"[]",
    b",",
    b":",
    b"0",
    b"-",
    b"-0",
    b"1",
    b"00",
    b".5",
    b"e3",
    b"999999999999999999",
    b"9999999999999999999",
    b"null",
    b"true",
    b"false",
    b"\"\"",
    b"@",
    b"/",
    b"?",
    b"\"type\":\"user_actor\",",
    b"\"x\":1,",
    b"\"id\":\"other\",",
    b"::1",
    b"192.0.2.1",
];

/// A small generator, so that a failure can be found again.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end.max(1)
    }
}

fn changed(raw: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut raw = raw.to_vec();
    for _ in 0..=dice.below(2) {
        let at = dice.below(raw.len() + 1);
        let end = (at + [0, 0, 1, 1, 2, 5, 20][dice.below(7)]).min(raw.len());
        let piece = PIECES[dice.below(PIECES.len())];
        match dice.below(8) {
            0 => raw.truncate(at),
            1 => drop(raw.splice(at..end, [dice.below(256) as u8])),
            2 => {
                let copied = raw[at..end].to_vec();
                drop(raw.splice(at..at, copied));
            }
            _ => drop(raw.splice(at..end, piece.iter().copied())),
        }
    }
    raw
}

/// Two mappers that must agree, the second without plans.
struct Both {
    with: Mapper,
    without: Mapper,
}

impl Both {
    fn new() -> Self {
        let options = MapperOptions::default();
        let mapping = Arc::new(Mapping::new(Tables::builtin(), GeoDatabases::default(), options));
        let (with, mut without) = (Mapper::new(Arc::clone(&mapping)), Mapper::new(mapping));
        without.use_plans(false);
        Self { with, without }
    }

    fn compare(&mut self, raw: &[u8]) {
        let map = |mapper: &mut Mapper| {
            let mut document = Vec::new();
            let mapped = mapper
                .map(raw, &mut document)
                .map(|mapped| (mapped.event_id.to_owned(), mapped.activity_type.to_owned(), mapped.tags));
            (mapped, document)
        };
        let (with, without) = (map(&mut self.with), map(&mut self.without));
        assert!(
            with == without,
            "{}\n{:?} {}\n{:?} {}",
            raw.escape_ascii(),
            with.0,
            with.1.escape_ascii(),
            without.0,
            without.1.escape_ascii()
        );
    }
}

#[test]
fn near_misses_are_written_as_if_there_were_no_plans() {
    let mut both = Both::new();
    let mut dice = Dice(11);
    for record in Feed::new(&Catalog::builtin(), 23).take(12_000) {
        both.compare(record.as_bytes());
        for _ in 0..4 {
            both.compare(&changed(record.as_bytes(), &mut dice));
        }
    }
    let statistics = both.with.plan_statistics();
    assert!(statistics.planned > 12_000, "{statistics:?}");
}

/// What is put in the place of an array, an object or a text, which a layout leaves to the parser.
const VALUES: [&str; 44] = [
    "null",
    "7",
    "true",
    "-0",
    "1.50",
    r#""""#,
    r#""plain""#,
    r#""a \"b\" \\ \/ \n \u00e9 \ud83d\ude00""#,
    r#""\ud800""#,
    r#""\x""#,
    "\"a\nb\"",
    r#""open"#,
    "[]",
    "{}",
    "[null]",
    r#"["",{"a":[]}]"#,
    r#"{"a":null}"#,
    r#"["a","b"]"#,
    r#"[ "a" , "b" ]"#,
    r#"["a","","a",null]"#,
    r#"["a",7,true]"#,
    r#"["]","}\"]","\\"]"#,
    r#"["192.0.2.1","https://example.com/"]"#,
    r#"[{"a":"b"},{"a":["c"]}]"#,
    r#"[["a"],["b"]]"#,
    r#"{"a":"b","c":{"d":[1,2]}}"#,
    r#"{"type":"a","previous_value":"b","current_value":["c"]}"#,
    r#"{"a":1,"a":2}"#,
    r#"[{"a":1,"a":null}]"#,
    r#"{"a":1.5}"#,
    "[1e400]",
    "[123456789012345678901234567890]",
    r#"["\ud800"]"#,
    "[\"a\nb\"]",
    r#"{"":1}"#,
    r#"{"a.b":1,"a":{"b":2}}"#,
    "[1}",
    "{1]",
    "[1,]",
    "[,1]",
    "[tru]",
    "[1],[2]",
    r#"[1],"x":[2]"#,
    r#"["a" "b"]"#,
];

/// Where values stand that a layout leaves to the parser, the actor and what is in it left out.
fn unread(raw: &str) -> Vec<std::ops::Range<usize>> {
    let starts = raw.match_indices("\":").map(|(at, _)| at + 2);
    starts
        .filter(|start| !raw[..*start].ends_with("\"actor\":"))
        .filter_map(|start| {
            let mut values = serde_json::Deserializer::from_str(&raw[start..]).into_iter::<Value>();
            let value = values.next()?.ok()?;
            let end = start + values.byte_offset();
            let is_unread = value.is_array() || value.is_object() || raw[start..end].contains('\\');
            is_unread.then_some(start..end)
        })
        .collect()
}

#[test]
fn values_left_to_the_parser_are_written_as_if_there_were_no_plans() {
    let mut both = Both::new();
    let mut seen: HashMap<(String, usize), usize> = HashMap::new();
    let deep = [70, 1_100].map(|depth| format!("{}1{}", "[".repeat(depth), "]".repeat(depth)));
    for record in Feed::new(&Catalog::builtin(), 29).take(30_000) {
        let activity = serde_json::from_str::<Value>(&record).unwrap();
        for (number, place) in unread(&record).into_iter().enumerate() {
            let seen = seen.entry((activity["type"].to_string(), number)).or_default();
            *seen += 1;
            if *seen > 1 {
                continue;
            }
            // Met often enough to have a plan, where one can be made.
            for _ in 0..4 {
                both.compare(record.as_bytes());
            }
            for value in VALUES.into_iter().chain(deep.iter().map(String::as_str)) {
                let mut changed = record.clone();
                changed.replace_range(place.clone(), value);
                for _ in 0..3 {
                    both.compare(changed.as_bytes());
                }
                both.compare(record.as_bytes());
            }
        }
    }
    assert!(seen.len() > 80, "{}", seen.len());
    let statistics = both.with.plan_statistics();
    assert!(statistics.planned > 5_000 && statistics.surprises > 0, "{statistics:?}");
}
