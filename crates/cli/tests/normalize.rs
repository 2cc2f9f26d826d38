//! `normalize` as a user runs it: forms of input, order, dead letters, what it says.

#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod common;

use std::fs;
use std::io::{Read, Write};
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use common::{code, program, repository, run, run_in, samples, stderr, stdout, whole_lines};
use model::catalog::Catalog;
use serde_json::{Value, json};
use simulator::Feed;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

#[test]
fn every_form_of_input_gives_the_same_documents() {
    let text = samples();
    let lines: Vec<&str> = text.lines().take(60).collect();
    let plain = format!("{}\n", lines.join("\n"));
    let expected = run(&["normalize", "-q"], plain.as_bytes());
    assert_eq!((code(&expected), stderr(&expected)), (0, String::new()));
    assert_eq!(whole_lines(&expected.stdout), 60);

    let array = format!("[{}]", lines.join(","));
    let pretty: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let page =
        |lines: &[&str]| format!("{{\"data\":[{}],\"has_more\":true,\"last_id\":\"x\"}}", lines.join(","));
    let halves = lines.chunks(30).map(page).collect::<Vec<_>>();
    let forms: Vec<(&str, Vec<u8>)> = vec![
        ("gzip", gzip(plain.as_bytes())),
        ("zstd", zstd::encode_all(plain.as_bytes(), 3).unwrap()),
        ("gzip of an array", gzip(array.as_bytes())),
        ("array", array.into_bytes()),
        ("indented array", serde_json::to_vec_pretty(&pretty).unwrap()),
        ("page", page(&lines).into_bytes()),
        ("a page a line", halves.join("\n").into_bytes()),
        ("a page among lines", format!("{}\n{}\n", lines[..30].join("\n"), page(&lines[30..])).into_bytes()),
        ("two on a line", lines.chunks(2).map(|pair| pair.join(" ") + "\n").collect::<String>().into_bytes()),
        ("CRLF", plain.replace('\n', "\r\n").into_bytes()),
        ("byte order mark", format!("\u{feff}{plain}").into_bytes()),
        ("blank lines", plain.replace('\n', "\n\n  \n").into_bytes()),
        ("no final line end", plain.trim_end().as_bytes().to_vec()),
    ];
    let root = tempfile::tempdir().unwrap();
    for (name, bytes) in forms {
        let path = root.path().join("input");
        fs::write(&path, &bytes).unwrap();
        let from_file = run(&["normalize", "-q", path.to_str().unwrap()], b"");
        let from_stdin = run(&["normalize", "-q", "-"], &bytes);
        for output in [from_file, from_stdin] {
            assert_eq!((code(&output), stderr(&output)), (0, String::new()), "{name}");
            if name != "indented array" {
                assert!(output.stdout == expected.stdout, "{name}");
            } else {
                // Its keys are in another order, which leftovers show.
                assert_eq!(whole_lines(&output.stdout), 60);
            }
        }
    }
}

/// A feed with everything in it that can go wrong.
fn troubled_feed(records: usize) -> Vec<u8> {
    let catalog = Catalog::builtin();
    let mut out = Vec::new();
    for (at, line) in Feed::new(&catalog, 3).take(records).enumerate() {
        match at % 97 {
            11 => out.extend_from_slice(&line.as_bytes()[..line.len() / 2]),
            23 => out.extend_from_slice(b"{\"id\":\"broken \xff byte\"}"),
            31 => {
                out.extend_from_slice(format!("{{\"data\":[{line},{line},7],\"has_more\":false}}").as_bytes())
            }
            43 => out.extend_from_slice(b"{\"neither\":\"nor\"}"),
            59 => out.extend_from_slice(
                format!("{{\"id\":\"x{at}\",\"type\":\"new_thing_{}\"}}", at % 7).as_bytes(),
            ),
            71 => out.extend_from_slice(b"\"text\""),
            83 => out.extend_from_slice(format!("{{\"id\":\"{}\"}}", "long".repeat(5_000)).as_bytes()),
            _ => out.extend_from_slice(line.as_bytes()),
        }
        out.push(b'\n');
    }
    out
}

#[test]
fn the_number_of_threads_changes_no_byte() {
    let root = tempfile::tempdir().unwrap();
    let input = root.path().join("input.ndjson");
    fs::write(&input, troubled_feed(6_000)).unwrap();
    let mut first = None;
    for threads in 1..=8 {
        let directory = tempfile::tempdir().unwrap();
        let threads = threads.to_string();
        let args = [
            "normalize",
            input.to_str().unwrap(),
            "-o",
            "out",
            "--threads",
            &threads,
            "--max-record-size",
            "8KiB",
        ];
        let output = run_in(directory.path(), &args, b"");
        assert_eq!((code(&output), stdout(&output)), (3, String::new()), "{}", stderr(&output));
        let documents = fs::read(directory.path().join("out")).unwrap();
        let dead = fs::read(directory.path().join("dead-letters.ndjson")).unwrap();
        let (written, died) = (whole_lines(&documents), whole_lines(&dead));
        assert!(written > 5_000 && died > 300, "{written} {died}");
        let said = stderr(&output);
        assert!(said.contains("too_large 61") && said.contains("new_thing_"), "{said}");
        match &first {
            None => first = Some((documents, dead)),
            Some((one, other)) => assert!(*one == documents && *other == dead, "{threads} threads"),
        }
    }
}

#[test]
fn a_dead_letter_says_why_and_where_and_keeps_the_bytes() {
    let good = "{\"id\":\"1\",\"type\":\"claude_chat_created\",\"created_at\":\"2026-01-01T00:00:00Z\"}\n";
    let long = format!("{{\"id\":\"{}\"}}", "x".repeat(2_000));
    let mut input = format!("{good}{{\"id\":1,}}\n{{\"a\":1}}\n[1]\n{long}\n").into_bytes();
    input.extend_from_slice(b"{\"id\":\"\xff\"}\n");
    let root = tempfile::tempdir().unwrap();
    let output = run_in(root.path(), &["normalize", "--max-record-size", "1KiB"], &input);
    assert_eq!(code(&output), 3);
    assert_eq!(whole_lines(&output.stdout), 1);
    let text = fs::read_to_string(root.path().join("dead-letters.ndjson")).unwrap();
    let dead: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let brief = |letter: &Value| json!([letter["reason"], letter["source"]["offset"], letter["length"]]);
    let at = good.len();
    assert_eq!(
        dead.iter().map(brief).collect::<Vec<_>>(),
        [
            json!(["not_json", at, 9]),
            json!(["not_an_activity", at + 10, 7]),
            json!(["not_an_object", at + 19, 1]),
            json!(["too_large", at + 22, 2_009]),
            json!(["not_json", at + 22 + 2_010, 10]),
        ],
        "{text}"
    );
    assert_eq!((&dead[0]["raw"], &dead[0]["stage"]), (&json!("{\"id\":1,}"), &json!("map")));
    assert_eq!(dead[0]["source"]["path"], "standard input");
    assert_eq!(dead[3]["raw"].as_str().map(str::len), Some(1_024));
    assert_eq!(dead[3]["raw_truncated"], true);
    assert_eq!(dead[4]["raw_base64"], "eyJpZCI6Iv8ifQ==");
    let said = stderr(&output);
    assert!(
        said.starts_with(
            "anthropic-ecs: read 6, wrote 1, dead 5 (not_an_activity 1, not_an_object 1, not_json 2, too_large 1); "
        ),
        "{said}"
    );
    assert!(said.contains("are in dead-letters.ndjson"), "{said}");
}

#[test]
fn no_dead_letter_file_is_made_without_need() {
    let root = tempfile::tempdir().unwrap();
    let output = run_in(root.path(), &["normalize", "-o", "out"], samples().as_bytes());
    assert_eq!(code(&output), 0);
    let names: Vec<_> = fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["out"]);
    // And what is there is replaced, not added to.
    let again = run_in(root.path(), &["normalize", "-o", "out", "-q"], b"{\"id\":\"1\"}\n{}\n");
    assert_eq!((code(&again), stderr(&again)), (3, String::new()));
    assert_eq!(whole_lines(&fs::read(root.path().join("out")).unwrap()), 1);
    assert_eq!(whole_lines(&fs::read(root.path().join("dead-letters.ndjson")).unwrap()), 1);
}

#[test]
fn directories_are_read_in_order_and_what_is_no_data_is_named() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("in")).unwrap();
    for (name, id) in [("in/b.json", "2"), ("in/a.ndjson", "1"), ("in/.hidden", "9"), ("c", "3")] {
        fs::write(root.path().join(name), format!("{{\"id\":\"{id}\",\"type\":\"org_created\"}}")).unwrap();
    }
    let output = run_in(root.path(), &["normalize", "in", "-", "c"], b"{\"id\":\"stdin\"}");
    assert_eq!(code(&output), 0);
    let text = stdout(&output);
    let ids: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap().pointer("/event/id").unwrap().clone())
        .collect();
    assert_eq!(ids, ["1", "2", "stdin", "3"]);
    assert!(stderr(&output).contains(".hidden"), "{}", stderr(&output));
}

#[test]
fn an_empty_input_is_no_failure() {
    for input in ["", "\n\n", "[]", "{\"data\":[],\"has_more\":false}\n"] {
        let output = run(&["normalize"], input.as_bytes());
        assert_eq!((code(&output), stdout(&output)), (0, String::new()), "{input}");
        assert!(
            stderr(&output).starts_with("anthropic-ecs: read 0, wrote 0, dead 0; "),
            "{}",
            stderr(&output)
        );
    }
}

#[test]
fn options_reach_the_document() {
    let record = "{\"id\":\"1\",\"type\":\"brand_new\",\"actor\":{\"type\":\"user_actor\",\"ip_address\":\"192.0.2.1\"}}";
    let root = tempfile::tempdir().unwrap();
    let overlay = "type,category,event_type,outcome,severity,message\nbrand_new,iam,info,success,42,did it\n";
    fs::write(root.path().join("mine.csv"), overlay).unwrap();
    let city = repository("tests/data/test-city.mmdb");
    let args = [
        "normalize",
        "--preserve-original",
        "--event-hash",
        "--namespace",
        "prod",
        "--mappings",
        "mine.csv",
        "--geoip",
        city.to_str().unwrap(),
    ];
    let output = run_in(root.path(), &args, record.as_bytes());
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["event"]["original"], record);
    assert_eq!(document["event"]["hash"].as_str().map(str::len), Some(64));
    assert_eq!(document["event"]["severity"], 42);
    assert_eq!(document["data_stream"]["namespace"], "prod");
    assert_eq!(document["source"]["geo"]["city_name"], "Amsterdam");
}

#[test]
fn a_slow_pipe_is_answered_at_once_and_progress_is_told() {
    let mut child = program(&["normalize", "--progress"]).stdin(Stdio::piped()).spawn().unwrap();
    let (mut stdin, mut out) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    stdin.write_all(b"{\"id\":\"1\"}\n{\"id\":").unwrap();
    let mut first = [0];
    out.read_exact(&mut first).unwrap();
    sleep(Duration::from_millis(1_300));
    stdin.write_all(b"\"2\"}\n").unwrap();
    drop(stdin);
    let mut rest = first.to_vec();
    out.read_to_end(&mut rest).unwrap();
    assert_eq!(whole_lines(&rest), 2);
    let output = child.wait_with_output().unwrap();
    assert_eq!(code(&output), 0);
    assert!(stderr(&output).contains("1 records, 0.0 MB read"), "{}", stderr(&output));
}
