//! What `normalize` refuses, and how it fails: exit status, message, and what is left behind.

#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod common;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::process::{Command, Stdio};

use model::catalog::Catalog;
use simulator::Feed;

use common::{code, program, repository, run, run_in, samples, stderr, whole_lines};

/// Runs in `root` and asserts a refusal that says all of `saying`, in one message.
fn refused(root: &std::path::Path, args: &[&str], saying: &[&str]) {
    let output = run_in(root, args, b"");
    let said = stderr(&output);
    assert_eq!((code(&output), output.stdout.len()), (2, 0), "{args:?}: {said}");
    assert!(said.starts_with("anthropic-ecs: ") && said.trim_end().lines().count() <= 2, "{args:?}: {said}");
    for part in saying {
        assert!(said.contains(part), "{args:?}: {said}");
    }
}

#[test]
fn configuration_that_cannot_be_used_is_refused_before_anything_is_written() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("in"), samples()).unwrap();
    let header = "type,category,event_type,outcome,severity,message\n";
    fs::write(root.path().join("bad.csv"), format!("{header}a_type,iam,info,success,200,did it\n")).unwrap();
    fs::write(root.path().join("odd.csv"), "what,is,this\n").unwrap();
    let wrong = repository("tests/data/wrong-type.mmdb");
    let (wrong, in_repository) = (wrong.to_str().unwrap(), repository("Cargo.toml"));
    for (args, saying) in [
        (vec!["absent"], vec!["absent: no such file"]),
        (vec!["-", "-"], vec!["only once"]),
        (vec!["in", "--mappings", "bad.csv"], vec!["bad.csv:2: ", "200"]),
        (vec!["in", "--mappings", "odd.csv"], vec!["odd.csv:1: ", "header"]),
        (vec!["in", "--mappings", "none.csv"], vec!["none.csv", "cannot be read"]),
        (vec!["in", "--geoip", "none.mmdb"], vec!["none.mmdb", "cannot be read"]),
        (vec!["in", "--geoip", wrong], vec!["wrong-type.mmdb", "expected"]),
        (vec!["in", "--geoip", in_repository.to_str().unwrap()], vec!["Cargo.toml", "expected"]),
        (vec!["in", "--dead-letters", "no/where"], vec!["no/where", "existing directory"]),
    ] {
        let args = [vec!["normalize", "-o", "out"], args].concat();
        refused(root.path(), &args, &saying);
        assert!(!root.path().join("out").exists(), "{args:?}");
    }
    refused(root.path(), &["normalize", "in", "-o", "no/where"], &["no/where", "cannot be opened"]);
    for bad in
        [["--threads", "0"], ["--max-record-size", "9 lots"], ["--namespace", "A-B"], ["--nonsense", "x"]]
    {
        assert_eq!(code(&run(&["normalize", bad[0], bad[1]], b"")), 2, "{bad:?}");
    }
    assert_eq!(code(&run(&[], b"")), 2);
    assert_eq!(code(&run(&["--help"], b"")), 0);
}

#[test]
fn an_input_is_never_overwritten_whatever_it_is_called() {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name);
    fs::create_dir(at("d")).unwrap();
    fs::write(at("d/in"), samples()).unwrap();
    fs::hard_link(at("d/in"), at("hard")).unwrap();
    std::os::unix::fs::symlink(at("d/in"), at("soft")).unwrap();
    for output in ["d/in", "d/../d/in", "hard", "soft"] {
        refused(root.path(), &["normalize", "d/in", "-o", output], &[output, "also read (d/in)"]);
        refused(root.path(), &["normalize", "d", "--dead-letters", output], &[output, "also read (d/in)"]);
    }
    refused(root.path(), &["normalize", "d/in", "-o", "x", "--dead-letters", "./x"], &["a file each"]);
    // The output of last time lies in the directory that is read.
    refused(root.path(), &["normalize", ".", "-o", "hard"], &["hard", "also read"]);
    assert_eq!(fs::read_to_string(at("d/in")).unwrap(), samples());

    // Standard input and output count as well.
    let open = || OpenOptions::new().append(true).open(at("hard")).unwrap();
    let appending = program(&["normalize", "d/in"]).current_dir(root.path()).stdout(open()).output().unwrap();
    assert_eq!(code(&appending), 2, "{}", stderr(&appending));
    let input = fs::File::open(at("soft")).unwrap();
    let piped = program(&["normalize", "-o", "hard"]).current_dir(root.path()).stdin(input).output().unwrap();
    assert_eq!(code(&piped), 2, "{}", stderr(&piped));
    assert_eq!(fs::read_to_string(at("d/in")).unwrap(), samples());
}

#[test]
fn what_was_read_before_damage_is_written() {
    let text: String = Feed::new(&Catalog::builtin(), 5).take(6_000).map(|line| line + "\n").collect();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(text.as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    let mut corrupt = gzip.clone();
    for byte in &mut corrupt[gzip.len() / 2..gzip.len() / 2 + 64] {
        *byte ^= 0x5a;
    }
    let zstd = zstd::encode_all(text.as_bytes(), 1).unwrap();
    let root = tempfile::tempdir().unwrap();
    for (name, bytes) in
        [("cut.gz", &gzip[..gzip.len() / 2]), ("bad.gz", &corrupt), ("cut.zst", &zstd[..zstd.len() / 2])]
    {
        fs::write(root.path().join(name), bytes).unwrap();
        let output = run_in(root.path(), &["normalize", name, "-o", "out"], b"");
        assert_eq!(code(&output), 1, "{name}");
        let said = stderr(&output);
        let last = said.lines().last().unwrap();
        assert!(last.contains(name) && last.contains("compressed byte"), "{said}");
        assert!(whole_lines(&fs::read(root.path().join("out")).unwrap()) > 1_000, "{name}: {said}");
    }
}

#[test]
fn a_file_that_vanishes_ends_the_run() {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name);
    assert!(Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
    fs::write(at("later"), "{\"id\":\"2\"}\n").unwrap();
    let child = program(&["normalize", "pipe", "later"]).current_dir(root.path()).spawn().unwrap();
    let mut pipe = OpenOptions::new().write(true).open(at("pipe")).unwrap();
    fs::remove_file(at("later")).unwrap();
    pipe.write_all(b"{\"id\":\"1\"}\n").unwrap();
    drop(pipe);
    let output = child.wait_with_output().unwrap();
    assert_eq!((code(&output), whole_lines(&output.stdout)), (1, 1));
    assert!(stderr(&output).contains("later: cannot be opened"), "{}", stderr(&output));
}

#[test]
fn a_full_disk_is_a_failure_and_leaves_whole_lines() {
    let root = tempfile::tempdir().unwrap();
    let full = |args: &[&str]| run_in(root.path(), args, format!("{}{{}}\n", samples()).as_bytes());
    let documents = full(&["normalize", "-o", "/dev/full"]);
    assert_eq!(code(&documents), 1);
    assert!(stderr(&documents).contains("/dev/full: documents cannot be written"), "{}", stderr(&documents));
    let dead = full(&["normalize", "-o", "out", "--dead-letters", "/dev/full"]);
    assert_eq!(code(&dead), 1);
    assert!(stderr(&dead).contains("/dev/full: dead letters cannot be written"), "{}", stderr(&dead));
    assert_eq!(whole_lines(&fs::read(root.path().join("out")).unwrap()), 400);

    // A limit on the size of files cuts a write in the middle.
    fs::write(root.path().join("in"), samples()).unwrap();
    let script = "trap '' XFSZ; ulimit -f 64; exec \"$0\" normalize in";
    for (to, stdout) in
        [(" -o short", Stdio::null()), ("", fs::File::create(root.path().join("stdout")).unwrap().into())]
    {
        let limited = Command::new("sh")
            .args(["-c", &format!("{script}{to}"), env!("CARGO_BIN_EXE_anthropic-ecs")])
            .current_dir(root.path())
            .stdout(stdout)
            .output()
            .unwrap();
        assert_eq!(code(&limited), 1, "{}", stderr(&limited));
    }
    for name in ["short", "stdout"] {
        let left = fs::read(root.path().join(name)).unwrap();
        assert!((20..100).contains(&whole_lines(&left)), "{name} {}", left.len());
    }
}
