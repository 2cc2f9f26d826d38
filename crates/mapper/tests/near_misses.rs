//! A record that is nearly like those a plan knows is written as if there were no plans.
//!
//! Plans take a record apart by its bytes, without a parser. So records of a feed, which make the plans, are changed at
//! a place or two, by what a parser would mind and by what it would not, and each goes through a mapper with plans and one
//! without: same document, same id, same tags, or the same refusal.

#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;

use mapper::enrich::GeoDatabases;
use mapper::{Mapper, MapperOptions, Mapping};
use model::catalog::Catalog;
use model::tables::Tables;
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

#[test]
fn near_misses_are_written_as_if_there_were_no_plans() {
    let options = MapperOptions::default();
    let mapping = Arc::new(Mapping::new(Tables::builtin(), GeoDatabases::default(), options));
    let (mut with, mut without) = (Mapper::new(Arc::clone(&mapping)), Mapper::new(mapping));
    without.use_plans(false);
    let mut dice = Dice(11);
    let (mut a, mut b) = (Vec::new(), Vec::new());
    let mut compare = |raw: &[u8]| {
        a.clear();
        b.clear();
        let one = with
            .map(raw, &mut a)
            .map(|mapped| (mapped.event_id.to_owned(), mapped.activity_type.to_owned(), mapped.tags));
        let other = without
            .map(raw, &mut b)
            .map(|mapped| (mapped.event_id.to_owned(), mapped.activity_type.to_owned(), mapped.tags));
        assert!(
            one == other && a == b,
            "{}\n{one:?} {}\n{other:?} {}",
            raw.escape_ascii(),
            a.escape_ascii(),
            b.escape_ascii()
        );
    };
    for record in Feed::new(&Catalog::builtin(), 23).take(12_000) {
        compare(record.as_bytes());
        for _ in 0..4 {
            compare(&changed(record.as_bytes(), &mut dice));
        }
    }
    let statistics = with.plan_statistics();
    assert!(statistics.planned > 12_000, "{statistics:?}");
}
