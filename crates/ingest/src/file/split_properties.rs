//! What holds for every input: nothing depends on the size of reads, and every byte is accounted for.

use super::tests::{Dribble, Piece, drain};
use super::*;
use crate::file::page::split_page;
use proptest::collection::vec;
use proptest::prelude::*;

/// Text that is almost JSON, made of pieces that matter to the splitter.
fn soup() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => prop::sample::select(vec!["{", "}", "[", "]", "\"", "\\", ",", ":", "\n", " ", "\r\n", "x", "1"]),
        4 => prop::sample::select(vec![
            "{}", "{\"id\":1}", "{\"a\":{\"b\":[{}]}}\n", "{\"id\":\"\\\"}\"}\n", "[{}", "\"a\":", "\"id\":", "{\n",
        ]),
        3 => prop::sample::select(vec!["{\"data\":[", "\"data\":[", "],\"has_more\":true}", "],", "\"type\":\"t\"}"]),
        1 => prop::sample::select(vec!["\u{feff}", "\u{e9}", "      ", "xxxxxxxxxxxx", "\n\n\n"]),
    ];
    vec(piece, 0..60).prop_map(|pieces| pieces.concat().into_bytes())
}

fn options() -> impl Strategy<Value = Options> {
    let max = prop_oneof![1usize..40, Just(16 << 20)];
    (16usize..64, max).prop_map(|(block_bytes, max_record_bytes)| Options { block_bytes, max_record_bytes })
}

/// Checks that every byte is in one piece, in the frame of a page, or separates records.
fn account(input: &[u8], pieces: &[Piece], frames: &[(u64, u64)]) {
    let mut count = vec![0u8; input.len()];
    for (offset, kind, bytes) in pieces {
        let from = *offset as usize;
        let length = match kind {
            Kind::TooLarge { length } => *length as usize,
            _ => bytes.len(),
        };
        assert_eq!(&input[from..from + bytes.len()], bytes);
        assert!(*kind != Kind::Record || bytes.starts_with(b"{"));
        // The beginning of what was no page is told again, and was a frame before.
        if *kind == Kind::Malformed(Reason::NotAPage) && bytes.starts_with(b"{") {
            continue;
        }
        count[from..from + length].iter_mut().for_each(|count| *count += 1);
    }
    for (from, to) in frames {
        let frame = &input[*from as usize..*to as usize];
        assert!(frame.starts_with(b"{") && frame.ends_with(b"[") || frame.ends_with(b"}"));
        count[*from as usize..*to as usize].iter_mut().for_each(|count| *count += 1);
    }
    let mut at = 0;
    while at < input.len() {
        let bom = input[at..].starts_with(BOM) && count[at] == 0;
        assert!(count[at] < 2, "byte {at} is told twice");
        assert!(bom || count[at] == 1 || b" \t\r\n,[]".contains(&input[at]), "byte {at} is lost: {pieces:?}");
        at += if bom { 3 } else { 1 };
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_size_of_reads_changes_nothing(input in soup(), options in options(), sizes in vec(1usize..20, 1..4)) {
        let whole = drain(&input[..], options).0;
        for sizes in [&sizes[..], &[1], &[2], &[3], &[7]] {
            let reader = Dribble { data: &input, sizes, turn: 0 };
            prop_assert_eq!(&drain(reader, options).0, &whole);
        }
        let large = Options { block_bytes: 4096, ..options };
        prop_assert_eq!(&drain(&input[..], large).0, &whole);
    }

    #[test]
    fn every_byte_is_accounted_for(input in soup(), options in options()) {
        let (pieces, splitter) = drain(&input[..], options);
        account(&input, &pieces, &splitter.machine.frames);
    }

    #[test]
    fn any_bytes_are_accounted_for(input in vec(any::<u8>(), 0..200), options in options()) {
        prop_assume!(!input.starts_with(b"\xff\xfe") && !input.starts_with(b"\xfe\xff"));
        prop_assume!(!matches!(input[..], [b'{' | b'[', 0, ..] | [0, b'{' | b'[', ..]));
        let (pieces, splitter) = drain(&input[..], options);
        account(&input, &pieces, &splitter.machine.frames);
    }

    #[test]
    fn a_record_is_taken_apart_within_its_bounds(input in soup()) {
        for span in split_page(&input).unwrap_or_default() {
            prop_assert!(span.start <= span.end && span.end as usize <= input.len());
            prop_assert_eq!(u64::from(span.start), span.offset);
        }
    }
}

/// A valid activity: any JSON object with an `id`.
fn activity() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        ".{0,12}".prop_map(serde_json::Value::from)
    ];
    let value = leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            vec((".{0,4}", inner), 0..4).prop_map(|pairs| pairs.into_iter().collect::<serde_json::Value>()),
        ]
    });
    vec(("[a-z]{1,3}", value), 0..5).prop_map(|pairs| {
        let mut object = serde_json::Map::from_iter(pairs);
        object.insert("id".into(), "x".into());
        object.into()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// The same activities in every form come out whole, and in order.
    #[test]
    fn valid_input_gives_its_records(list in vec((activity(), any::<bool>()), 0..12), options in options()) {
        let text = |(value, pretty): &(serde_json::Value, bool)| match pretty {
            true => serde_json::to_string_pretty(value).unwrap(),
            false => value.to_string(),
        };
        let compact: Vec<String> = list.iter().map(|(value, _)| value.to_string()).collect();
        let mixed: Vec<String> = list.iter().map(text).collect();
        let middle = mixed.len() / 2;
        let page = |list: &[String]| format!("{{\"has_more\":true,\"data\":[{}],\"last_id\":\"]\"}}", list.join(" , "));
        for (input, expected) in [
            (compact.join("\n"), &compact),
            (compact.join("\r\n \r\n"), &compact),
            (compact.join(""), &compact),
            (mixed.join("\n"), &mixed),
            (format!("[{}]", mixed.join(",\n")), &mixed),
            (page(&mixed), &mixed),
            (format!("{}\n{}", page(&mixed[..middle]), page(&mixed[middle..])), &mixed),
        ] {
            let options = Options { max_record_bytes: 16 << 20, ..options };
            let pieces = drain(input.as_bytes(), options).0;
            let found: Vec<_> = pieces.iter().map(|(_, _, bytes)| std::str::from_utf8(bytes).unwrap()).collect();
            prop_assert_eq!(found, expected.iter().map(String::as_str).collect::<Vec<_>>());
            prop_assert!(pieces.iter().all(|piece| piece.1 == Kind::Record));
        }
    }
}
