//! Tests of what becomes of each thing a source hands out.

use ingest::Lane;

use super::*;
use crate::testing::mapping;

fn decode(options: DecodeOptions, records: Vec<(&str, Kind)>) -> Parcel {
    let record = |(at, (text, kind)): (usize, (&str, Kind))| RawRecord {
        bytes: text.to_owned().into(),
        kind,
        origin: Origin::File { path: "in".into(), offset: at as u64 * 1_000 },
    };
    let records = records.into_iter().enumerate().map(record).collect();
    Decoder::new(&mapping(), options).decode(Batch::new(Mark { lane: Lane(1), batch: 0 }, records))
}

fn ids(parcel: &Parcel) -> Vec<String> {
    (0..parcel.documents.len()).filter_map(|at| Some(parcel.documents.get(at)?.id.to_owned())).collect()
}

fn reasons(parcel: &Parcel) -> Vec<(&str, Stage, &[u8])> {
    parcel.letters.iter().map(|letter| (letter.reason.as_str(), letter.stage, &letter.raw[..])).collect()
}

const A: &str = r#"{"id":"a","type":"claude_chat_created","created_at":"2026-10-05T07:30:08Z","organization_id":"org_1","actor":{"type":"user_actor","user_id":"user_1"}}"#;
const B: &str = r#"{"id":"b","type":"not_yet_known"}"#;

#[test]
fn everything_is_a_document_or_a_letter() {
    let page = format!("{{\"data\":[{A},{{\"x\":1}},{B}]}}");
    let parcel = decode(
        DecodeOptions::default(),
        vec![
            (A, Kind::Record),
            ("{\"x\":", Kind::Record),
            (&page, Kind::Record),
            ("stray", Kind::Malformed(Reason::NotAnObject)),
            ("{\"long", Kind::TooLarge { length: 99 }),
            ("{\"data\":[]}", Kind::Record),
        ],
    );
    assert_eq!(ids(&parcel), ["a", "a", "b"]);
    let expected: [(&str, Stage, &[u8]); 4] = [
        ("not_json", Stage::Map, b"{\"x\":"),
        ("not_an_activity", Stage::Map, b"{\"x\":1}"),
        ("not_an_object", Stage::Decode, b"stray"),
        ("too_large", Stage::Decode, b"{\"long"),
    ];
    assert_eq!(reasons(&parcel), expected);
    let (in_page, too_large) = (&parcel.letters[1], &parcel.letters[3]);
    assert_eq!(in_page.offset, 9 + A.len() as u64 + 1);
    assert_eq!((too_large.length, in_page.length, in_page.attempts), (99, 7, 0));
    assert_eq!(parcel.len(), 7);
    assert_eq!(parcel.unknown_types.get("not_yet_known"), Some(&1));
}

#[test]
fn fields_that_nobody_knows_are_counted_by_their_path() {
    let strange = r#"{"id":"c","type":"claude_chat_created","colour":1,"empty":null,"actor":{"type":"user_actor","shoe":{"size":43}}}"#;
    let records = [strange, A, strange].map(|text| (text, Kind::Record));
    let parcel = decode(DecodeOptions::default(), records.into());
    let mut found: Vec<(&str, u64)> =
        parcel.findings.unknown_fields.iter().map(|(name, count)| (&**name, *count)).collect();
    found.sort_unstable();
    assert_eq!(found, [("actor.shoe", 2), ("colour", 2)]);
}

#[test]
fn a_refused_document_becomes_the_record_it_came_from() {
    let page = format!("{{\"data\":[{A},{B}]}}");
    let parcel = decode(
        DecodeOptions::default(),
        vec![("no", Kind::Record), (&page, Kind::Record), (A, Kind::Record)],
    );
    let rejection = || Rejection { reason: "r".repeat(500), detail: "é".repeat(9_000) };
    for (document, raw) in [(0, A), (1, B), (2, A)] {
        let letter = parcel.refused(document, rejection(), 3).unwrap();
        assert_eq!((&letter.raw[..], letter.stage, letter.attempts), (raw.as_bytes(), Stage::Deliver, 3));
        assert_eq!(letter.reason.len(), LONGEST_NAME);
        assert!(letter.detail.len() <= LONGEST_DETAIL);
    }
    assert_eq!(parcel.refused(3, rejection(), 1), None);
}

#[test]
fn raw_records_pass_as_one_line_under_the_id_of_their_document() {
    let pretty = "\n{\"id\":\"a\",\r\n \"type\":\"x\"} ";
    let options = DecodeOptions { format: Format::Raw, ..DecodeOptions::default() };
    let parcel = decode(options, vec![(pretty, Kind::Record), (B, Kind::Record), ("[]", Kind::Record)]);
    assert_eq!(ids(&parcel), ["a", "b"]);
    let lines = std::str::from_utf8(parcel.documents.lines()).unwrap();
    assert_eq!(lines, format!("{{\"id\":\"a\",   \"type\":\"x\"}}\n{B}\n"));
    assert_eq!(parcel.letters.len(), 1);
}

#[test]
fn keys_are_the_id_the_actor_or_the_organization() {
    let key = |key, format| {
        let parcel = decode(
            DecodeOptions { key, format, ingested: false },
            vec![(A, Kind::Record), (B, Kind::Record)],
        );
        [0, 1].map(|at| parcel.documents.get(at).unwrap().key.to_owned())
    };
    for format in [Format::Ecs, Format::Raw] {
        assert_eq!(key(KeyBy::Id, format), ["a", "b"]);
        assert_eq!(key(KeyBy::Actor, format), ["user_1", "b"]);
        assert_eq!(key(KeyBy::Organization, format), ["org_1", "b"]);
    }
}

#[test]
fn documents_say_when_they_passed_only_if_asked() {
    for ingested in [false, true] {
        let parcel = decode(DecodeOptions { ingested, ..DecodeOptions::default() }, vec![(A, Kind::Record)]);
        let line = parcel.documents.lines();
        let found = line.windows(12).any(|window| window == b"\"ingested\":\"");
        assert_eq!(found, ingested);
    }
}
