//! Each format, each kind of damage, and the limits, by example.

use super::*;
use crate::file::block::HEAD_BYTES;

/// One piece as a test sees it: offset, kind, bytes.
pub(super) type Piece = (u64, Kind, Vec<u8>);

/// Hands out `data` in pieces of the given sizes, over and over.
pub(super) struct Dribble<'a> {
    pub(super) data: &'a [u8],
    pub(super) sizes: &'a [usize],
    pub(super) turn: usize,
}

impl Read for Dribble<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let size = self.sizes[self.turn % self.sizes.len()].min(out.len());
        self.turn += 1;
        (&mut self.data).take(size as u64).read(out)
    }
}

/// Everything in `reader`, and its splitter.
pub(super) fn drain<R: Read>(reader: R, options: Options) -> (Vec<Piece>, Splitter<R>) {
    let mut splitter = Splitter::new(reader, "test", 7, options);
    let (mut block, mut pieces) = (Block::new(), Vec::new());
    while splitter.next_block(&mut block).unwrap() {
        assert!(!block.spans().is_empty());
        assert_eq!(block.input(), 7);
        pieces.extend(block.spans().iter().map(|span| (span.offset, span.kind, block.bytes(span).to_vec())));
    }
    assert!(!splitter.next_block(&mut block).unwrap() && block.spans().is_empty());
    (pieces, splitter)
}

/// Splits `input` whole and dribbling, expects the same, and shows it as text: records as they are, the rest with its
/// reason in front.
fn split(input: &str) -> Vec<String> {
    let (pieces, _) = drain(input.as_bytes(), Options::default());
    for sizes in [&[1][..], &[2], &[3], &[7], &[1, 16, 5]] {
        let reader = Dribble { data: input.as_bytes(), sizes, turn: 0 };
        assert_eq!(drain(reader, Options::default()).0, pieces, "{input:?} in pieces of {sizes:?}");
    }
    let show = |(offset, kind, bytes): &Piece| {
        let text = String::from_utf8_lossy(bytes);
        assert_eq!(&input.as_bytes()[*offset as usize..][..bytes.len()], bytes, "{text} is not at {offset}");
        match kind {
            Kind::Record => text.into_owned(),
            other => format!("{other:?}: {text}"),
        }
    };
    pieces.iter().map(show).collect()
}

#[track_caller]
fn gives(input: &str, expected: &[&str]) {
    assert_eq!(split(input), expected, "{input:?}");
}

const AB: &[&str] = &[r#"{"id":"a"}"#, r#"{"id":"b"}"#];

#[test]
fn lines() {
    gives("", &[]);
    gives(" \r\n\n\t", &[]);
    for input in [
        "{\"id\":\"a\"}\n{\"id\":\"b\"}\n",
        "{\"id\":\"a\"}\n{\"id\":\"b\"}",
        "{\"id\":\"a\"}\r\n{\"id\":\"b\"}\r\n",
        "\n\n  {\"id\":\"a\"} \t\n\r\n \n\t{\"id\":\"b\"}  \n\n",
        "\u{feff}{\"id\":\"a\"}\n{\"id\":\"b\"}\n",
        "{\"id\":\"a\"}\n\u{feff}{\"id\":\"b\"}\n",
        "\u{feff}{\"id\":\"a\"}\u{feff}{\"id\":\"b\"}\n",
    ] {
        gives(input, AB);
    }
}

#[test]
fn in_line_mode_a_line_is_a_record_unchecked() {
    gives("{\"a\":1}\n{\"b\":\"x\n{}}\n{c} , x\n", &[r#"{"a":1}"#, "{\"b\":\"x", "{}}", "{c} , x"]);
    gives("{}\nx {}\n3\n{}", &["{}", "Malformed(NotAnObject): x {}", "Malformed(NotAnObject): 3", "{}"]);
    let page = r#"{"data":[{"id":"a"}]}"#;
    gives(&format!("{{}}\n{page}\n"), &["{}", page]);
}

#[test]
fn in_line_mode_arrays_and_pretty_printed_objects_are_still_split() {
    gives("{}\n[{\"id\":\"a\"},{\"id\":\"b\"}]\n{}\n{\n}\n", &["{}", AB[0], AB[1], "{}", "{\n}"]);
    gives("{}\n[{\"id\":\"a\"},\n{\"id\":\"b\"}\n]", &["{}", AB[0], AB[1]]);
    gives("{}\n{\n  \"x\": {}\n}\n{}\nz\n", &["{}", "{\n  \"x\": {}\n}", "{}", "Malformed(NotAnObject): z"]);
}

#[test]
fn arrays() {
    for input in [
        r#"[{"id":"a"},{"id":"b"}]"#,
        "\u{feff} [\n  {\"id\":\"a\"} ,\r\n  {\"id\":\"b\"}\n]\n",
        "[{\"id\":\"a\"}\n{\"id\":\"b\"},]",
        r#"[[{"id":"a"}],[],[[{"id":"b"}]]]"#,
        r#"[{"id":"a"}][{"id":"b"}]"#,
        "[{\"id\":\"a\"}]\n[{\"id\":\"b\"}]\n",
    ] {
        gives(input, AB);
    }
    gives("[]", &[]);
    let page = r#"{"data":[{"id":"a"}]}"#;
    gives(&format!("[{page}]"), &[page]);
}

#[test]
fn objects_one_after_the_other() {
    gives(r#"{"id":"a"}{"id":"b"}"#, AB);
    gives(r#"{"id":"a"} , {"id":"b"},"#, AB);
    gives("{\"id\":\"a\"}\r{\"id\":\"b\"}\r", AB);
    gives("{\n \"id\": {\n}\n}\n{\n}\n", &["{\n \"id\": {\n}\n}", "{\n}"]);
}

#[test]
fn pages() {
    let full = r#"{"data":[{"id":"a"},{"id":"b"}],"has_more":true,"first_id":"x]}","last_id":"[{"}"#;
    let last = r#"{"first_id":null,"has_more":false,"data":[],"last_id":null}"#;
    let pretty = "{\n  \"has_more\": true,\n  \"data\": [\n    {\"id\":\"a\"},\n    {\"id\":\"b\"}\n  ]\n}";
    for input in [
        full.to_owned(),
        pretty.to_owned(),
        format!("{full}\n{last}\n"),
        format!("{last}{full}{last}"),
        format!("{last}\r\n{pretty}\n"),
        r#"{"data":{},"data":[{"id":"a"}, {"id":"b"}]}"#.to_owned(),
        r#"{"data":[{"id":"a"},{"id":"b"}],"created_at":"2024","x":{"id":1,"type":2}}"#.to_owned(),
    ] {
        gives(&input, AB);
    }
}

#[test]
fn an_activity_with_data_is_an_activity() {
    for input in [
        r#"{"id":"a","data":[{"x":1}]}"#,
        r#"{"data":[{"x":1}],"type":"t"}"#,
        r#"{"data":[{"x":1},[[]]],"actor":{},"id":"x","type":"t"}"#,
        r#"{"data":{"x":[1]}}"#,
        r#"{"x":{"data":[{}]}}"#,
    ] {
        gives(input, &[input]);
    }
}

/// A page too big to wait for: more than 64 KiB.
fn big_page(before: &str, after: &str) -> (String, usize) {
    let record = format!("{{\"id\":\"{}\"}}", "x".repeat(988));
    (format!("{{{before}\"data\":[{}]{after}}}", vec![record; 100].join(",")), 100)
}

#[test]
fn a_big_page_is_recognised_before_its_end() {
    let (page, count) = big_page("\"first_id\":\"x\",", ",\"last_id\":\"y\"");
    let records = split(&format!("{page}\n{page}"));
    assert_eq!(records.len(), 2 * count);
    assert!(records.iter().all(|record| record.len() == 997));
}

#[test]
fn a_big_page_that_was_none_is_reported_with_all_that_is_left_of_it() {
    let (page, count) = big_page("\"x\":1,", ",\"id\":\"y\",\"type\":\"t\"");
    let (pieces, _) = drain(format!("  {page}\n{{}}").as_bytes(), Options::default());
    assert_eq!(pieces.len(), count + 3);
    let reason = Kind::Malformed(Reason::NotAPage);
    assert_eq!(pieces[count], (2, reason, b"{\"x\":1,\"data\":".to_vec()));
    assert_eq!((pieces[count + 1].1, &*pieces[count + 1].2), (reason, &b",\"id\":\"y\",\"type\":\"t\"}"[..]));
    assert_eq!(pieces[count + 2].2, b"{}");
    let (page, _) = big_page("\"actor\":{},", ",\"id\":1");
    assert_eq!(split(&page), [page]);
}

#[test]
fn a_second_data_array_is_not_lost() {
    gives(
        r#"{"data":[{"id":"a"}],"data":[{"id":"b"}]} {}"#,
        &[AB[0], r#"Malformed(NotAPage): ,"data":[{"id":"b"}]}"#, "{}"],
    );
}

#[test]
fn garbage_is_handed_out_and_reading_goes_on() {
    gives(
        "[{\"id\":\"a\"} xyz {\"id\":\"b\"}, 1, \"a,{]\", null\n, {}]",
        &[
            AB[0],
            "Malformed(NotAnObject): xyz",
            AB[1],
            "Malformed(NotAnObject): 1",
            "Malformed(NotAnObject): \"a,{]\"",
            "Malformed(NotAnObject): null",
            "{}",
        ],
    );
    gives("log, line\n{}\n", &["Malformed(NotAnObject): log, line", "{}"]);
    gives("} ]\n{}", &["Malformed(NotAnObject): } ]", "{}"]);
    gives("\"open\n{}", &["Malformed(NotAnObject): \"open", "{}"]);
    gives("[{}}, {}]", &["{}", "Malformed(NotAnObject): }", "{}"]);
}

#[test]
fn a_broken_record_does_not_take_the_next_with_it() {
    gives(r#"[{"a":1,{"id":"b"}]"#, &[r#"Malformed(Unbalanced): {"a":1,"#, AB[1]]);
    gives(
        "[{\"a\":[1}, {\"x\":{},\n{\"id\":\"b\"}",
        &[
            r#"Malformed(Unbalanced): {"a":[1}"#,
            r#"Malformed(Unbalanced): {"x":{},"#,
            AB[1],
            "Malformed(Truncated): ",
        ],
    );
    gives(
        "{\"a\":[1\n{\"id\":\"a\"}\n{\"id\":\"b\"}\n",
        &[r#"Malformed(Unbalanced): {"a":[1"#, AB[0], AB[1]],
    );
    gives("[{\"a\":[1},\n{\"id\":\"b\"}]", &[r#"Malformed(Unbalanced): {"a":[1}"#, AB[1]]);
    gives(
        "{\"a\":\"x\n{\"id\":\"a\"}\n{\"id\":\"b\"}",
        &[r#"Malformed(LineBreakInString): {"a":"x"#, AB[0], AB[1]],
    );
    gives(
        "{\"data\":[{\"id\":\"a\"},{\"id\":2\n{\"id\":\"b\"}]}",
        &[AB[0], r#"Malformed(Unbalanced): {"id":2"#, AB[1]],
    );
    gives("{\"data\":[{\"id\":\"a\"}]\n{\"id\":\"b\"}", &[AB[0], "Malformed(Unbalanced): ", AB[1]]);
}

#[test]
fn a_cut_input_is_told() {
    gives(r#"[{"id":"a"},{"id":"b"}"#, &[AB[0], AB[1], "Malformed(Truncated): "]);
    gives(r#"[{"id":"a"},{"id": "#, &[AB[0], r#"Malformed(Truncated): {"id":"#]);
    gives(r#"[{"id":"a"},tru"#, &[AB[0], "Malformed(NotAnObject): tru", "Malformed(Truncated): "]);
    gives(r#"{"data":[{"id":"a"},"#, &[AB[0], "Malformed(Truncated): "]);
    gives(r#"{"data":[{"id":"a"}],"x":"#, &[AB[0], r#"Malformed(Truncated): ,"x":"#]);
    gives(r#"{"id":"#, &[r#"Malformed(Truncated): {"id":"#]);
    gives("{}\n{\"id\":", &["{}", "{\"id\":"]);
    gives("{}\n{\n", &["{}", "Malformed(Truncated): {"]);
}

#[test]
fn utf_16_is_refused() {
    for start in [&b"\xff\xfe{\0"[..], b"\xfe\xff\0{", b"{\0\n\0", b"\0[\0{", b"\xff\xfe"] {
        let mut splitter = Splitter::new(start, "x.json", 0, Options::default());
        let error = splitter.next_block(&mut Block::new()).unwrap_err().to_string();
        assert_eq!(error, "x.json: this is UTF-16 text, which is not read; convert it to UTF-8 first");
        assert!(!splitter.next_block(&mut Block::new()).unwrap());
    }
}

/// Fails after its bytes are read.
struct Failing<'a>(&'a [u8]);

impl Read for Failing<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.0.is_empty() { Err(io::Error::other("disk on fire")) } else { self.0.read(out) }
    }
}

#[test]
fn a_failure_comes_after_all_that_was_read() {
    for (input, last) in [
        ("{\"id\":1}\n{\"id\":2}", Kind::Record),
        ("{\"id\":1}\n{\"id\":2", Kind::Malformed(Reason::Truncated)),
        ("[{\"id\":1},{\"id\":2", Kind::Malformed(Reason::Truncated)),
        ("[{\"id\":1},{\"id\":2}", Kind::Malformed(Reason::Truncated)),
    ] {
        let mut splitter = Splitter::new(Failing(input.as_bytes()), "x", 0, Options::default());
        let (mut block, mut kinds) = (Block::new(), Vec::new());
        let error = loop {
            match splitter.next_block(&mut block) {
                Ok(more) => assert!(more),
                Err(error) => break error,
            }
            kinds.extend(block.spans().iter().map(|span| span.kind));
        };
        assert_eq!((kinds[0], kinds.last()), (Kind::Record, Some(&last)), "{input}");
        assert_eq!(error.to_string(), format!("x: reading failed at byte {}: disk on fire", input.len()));
        assert!(!splitter.next_block(&mut block).unwrap());
    }
}

/// Endless input made of one piece again and again, with a beginning and an end.
struct Synthetic<'a> {
    parts: [(&'a [u8], u64); 3],
}

impl Read for Synthetic<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        for (text, left) in &mut self.parts {
            while *left > 0 && filled + text.len() <= out.len() {
                out[filled..filled + text.len()].copy_from_slice(text);
                filled += text.len();
                *left -= 1;
            }
            if *left > 0 {
                break;
            }
        }
        Ok(filled)
    }
}

/// Reads it all in one block; gives the pieces counted, the last one, and the largest block and carry.
fn measure(parts: [(&[u8], u64); 3]) -> (usize, Option<Span>, usize) {
    let mut splitter = Splitter::new(Synthetic { parts }, "x", 0, Options::default());
    let (mut block, mut count, mut last, mut capacity) = (Block::new(), 0, None, 0);
    while splitter.next_block(&mut block).unwrap() {
        count += block.spans().len();
        last = block.spans().last().copied();
        capacity = capacity.max(block.capacity() + splitter.carry.capacity());
    }
    (count, last, capacity)
}

#[test]
fn a_long_array_and_a_long_page_need_a_block_and_no_more() {
    let element = format!(",{{\"id\":\"{}\"}}", "x".repeat(589));
    let count = 100_000_000 / element.len() as u64;
    for (begin, end) in [("[{}", "]"), ("{\"data\":[{}", "],\"has_more\":true}")] {
        let parts = [(begin.as_bytes(), 1), (element.as_bytes(), count), (end.as_bytes(), 1)];
        let (found, last, capacity) = measure(parts);
        assert_eq!((found as u64, last.unwrap().kind), (count + 1, Kind::Record));
        assert!(capacity < 600 * 1024, "{capacity}");
    }
}

#[test]
fn white_space_without_end_needs_no_memory() {
    for spaces in [b' ', b'\n', b','] {
        let (found, _, capacity) = measure([(b"{}", 1), (&[spaces; 1000], 50_000), (b"{}", 1)]);
        assert_eq!(found, 2);
        assert!(capacity < 600 * 1024, "{capacity}");
    }
}

#[test]
fn a_huge_record_is_skipped_and_the_next_is_found() {
    const CHUNK: u64 = 1000;
    for (begin, end, lead) in [
        ("[{\"x\":\"", "\"},{}]", 1),
        ("{\"x\":\"", "\"}\n{}", 0),
        ("{}\n {\"x\":\"", "\"} \n{}", 4),
        ("{}\n[{\"x\":\"", "\"}]\n{}", 4),
        ("xxx", "\n{}\n", 0),
    ] {
        let parts = [(begin.as_bytes(), 1), (&[b'x'; CHUNK as usize][..], 40_000), (end.as_bytes(), 1)];
        let mut splitter = Splitter::new(Synthetic { parts }, "x", 0, Options::default());
        let (mut block, mut spans, mut capacity) = (Block::new(), Vec::new(), 0);
        while splitter.next_block(&mut block).unwrap() {
            capacity = capacity.max(block.capacity());
            for span in block.spans() {
                if let Kind::TooLarge { length } = span.kind {
                    assert_eq!((span.offset, block.bytes(span).len()), (lead, HEAD_BYTES));
                    assert!(block.bytes(span).starts_with(&begin.as_bytes()[lead as usize..]));
                    assert!(length > CHUNK * 40_000 && length < CHUNK * 40_000 + 20, "{length}");
                }
                spans.push(span.kind);
            }
        }
        let tail = &spans[spans.len() - 2..];
        assert!(matches!(tail, [Kind::TooLarge { .. }, Kind::Record]), "{begin}: {spans:?}");
        assert!(capacity <= 17 * 1024 * 1024, "{capacity}");
    }
}

#[test]
fn the_limit_is_exact() {
    let options = Options { max_record_bytes: 16, block_bytes: 16 };
    for wrap in ["[#,{}]", "#\n{}\n", "{}\n#\n{}", "{}\n#"] {
        let fits = drain(wrap.replace('#', r#"{"a":1234567890}"#).as_bytes(), options).0;
        assert!(fits.iter().all(|piece| piece.1 == Kind::Record), "{wrap}");
        let long = drain(wrap.replace('#', r#"{"a":12345678901}"#).as_bytes(), options).0;
        let found = long.iter().find(|piece| piece.1 == Kind::TooLarge { length: 17 });
        assert_eq!(found.unwrap().2, br#"{"a":12345678901"#, "{wrap}");
        assert_eq!(long.len(), fits.len());
    }
}

#[test]
fn an_object_too_long_to_keep_does_not_lead_to_line_mode() {
    let options = Options { max_record_bytes: 16, block_bytes: 16 };
    let input = b"{\"a\":{\"b\":[{}]}   }\n\"data\":[";
    let whole = drain(&input[..], options).0;
    assert_eq!(whole[1].2, b"\"data\"");
    assert_eq!(drain(Dribble { data: input, sizes: &[1], turn: 0 }, options).0, whole);
}
