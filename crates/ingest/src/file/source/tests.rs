//! Files read, resumed, grown, changed: what is given, and what is refused.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;
use crate::RawRecord;
use crate::file::{Kind, Reason};

type Given = (Vec<u8>, Kind, String);

/// A folder with inputs, and another one with the state.
struct World {
    root: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("in")).unwrap();
        Self { root }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.root.path().join("in").join(name)
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        fs::write(self.file(name), bytes).unwrap();
    }

    fn open(&self) -> Result<FileSource, Fault> {
        let checkpoint = Checkpoint::open(&self.root.path().join("state"), "file")?;
        let settings = FileConfig::new([self.root.path().join("in")]).validate()?;
        FileSource::open(&settings, Some(checkpoint))
    }

    fn refused(&self, words: &str) {
        let fault = self.open().unwrap_err();
        assert_eq!(fault.kind, FaultKind::Unusable, "{fault}");
        assert!(fault.cause.contains(words), "{fault}");
        assert!(fault.to_string().contains("file.state") && fault.remedy.contains("; or "), "{fault}");
    }

    /// Reads everything, commits it and closes.
    async fn all(&self) -> Vec<Given> {
        let mut source = self.open().unwrap();
        let given = drain(&mut source).await;
        source.close().await;
        given
    }

    async fn texts(&self) -> Vec<String> {
        texts(&self.all().await)
    }
}

fn given(record: &RawRecord) -> Given {
    (record.bytes.to_vec(), record.kind, record.origin.to_string())
}

fn texts(given: &[Given]) -> Vec<String> {
    given.iter().map(|(bytes, ..)| String::from_utf8(bytes.clone()).unwrap()).collect()
}

/// Takes and commits all there is.
async fn drain(source: &mut FileSource) -> Vec<Given> {
    let mut all = Vec::new();
    let mut marks = Vec::new();
    while let Some(batch) = source.next().await.unwrap() {
        all.extend(batch.records.iter().map(given));
        marks.push(batch.mark);
    }
    source.commit(&marks).await.unwrap();
    all
}

/// Stops a source as a crash does: with what was saved, not with what was committed.
async fn crash(source: FileSource) {
    drop(source);
}

fn lines(numbers: std::ops::Range<usize>) -> String {
    numbers.map(|n| format!("{{\"id\":\"activity_{n}\",\"type\":\"t\"}}\n")).collect()
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn a_directory_is_read_once_and_only_what_is_new_after_that() {
    let world = World::new();
    world.put("a.ndjson", lines(0..3).as_bytes());
    world.put("c.ndjson", lines(3..5).as_bytes());
    fs::hard_link(world.file("a.ndjson"), world.file("b-is-a.ndjson")).unwrap();
    assert_eq!(world.texts().await.len(), 5);
    assert_eq!(world.texts().await, [""; 0]);
    world.put("b.ndjson", lines(5..6).as_bytes());
    assert_eq!(world.texts().await, ["{\"id\":\"activity_5\",\"type\":\"t\"}"]);
    fs::rename(world.file("c.ndjson"), world.file("d.ndjson")).unwrap();
    // Touched, copied and put back: the same bytes.
    fs::copy(world.file("b.ndjson"), world.file("x")).unwrap();
    fs::rename(world.file("x"), world.file("b.ndjson")).unwrap();
    assert_eq!(world.texts().await, [""; 0]);
}

/// Inputs of every form, of which every block is small enough to make many batches.
fn forms() -> Vec<(&'static str, Vec<u8>)> {
    let records: Vec<String> = lines(0..9000).lines().map(ToOwned::to_owned).collect();
    let array = format!("[{}]", records.join(",\n"));
    let pages: String = records
        .chunks(50)
        .map(|page| format!("{{\"data\":[{}],\"has_more\":true,\"first_id\":\"x\"}}\n", page.join(",")))
        .collect();
    let pretty = array.replace("\",\"", "\",\n  \"");
    let odd = format!(
        "{}\nnonsense\n[{}]\n{{\"data\":[{}],\"id\":\"no page\"}}",
        lines(0..4000),
        records[..3000].join(","),
        records[..3000].join(",")
    );
    let plain = lines(0..9000);
    let (gz, zst) = (gzip(&plain), zstd::encode_all(array.as_bytes(), 1).unwrap());
    let names = ["lines", "array", "pages", "pretty", "odd", "lines.gz", "array.zst"];
    let bytes = [
        plain.into_bytes(),
        array.into_bytes(),
        pages.into_bytes(),
        pretty.into_bytes(),
        odd.into_bytes(),
        gz,
        zst,
    ];
    names.into_iter().zip(bytes).collect()
}

#[tokio::test]
async fn from_every_committed_position_exactly_the_rest_is_given() {
    for (form, bytes) in forms() {
        let world = World::new();
        world.put("a-before", lines(0..2).as_bytes());
        world.put("input", &bytes);
        world.put("z-behind", lines(0..2).as_bytes());
        let mut whole = Vec::new();
        let mut batches = Vec::new();
        let mut source = world.open().unwrap();
        while let Some(batch) = source.next().await.unwrap() {
            whole.extend(batch.records.iter().map(given));
            batches.push(batch.records.len());
        }
        crash(source).await;
        assert!(batches.len() > 6, "{form}: {batches:?}");
        assert!(whole.len() > 9000, "{form}: {}", whole.len());
        for committed in 0..=batches.len() {
            let _ = fs::remove_dir_all(world.root.path().join("state"));
            let mut source = world.open().unwrap();
            for _ in 0..committed {
                let batch = source.next().await.unwrap().unwrap();
                source.commit(&[batch.mark]).await.unwrap();
            }
            // Taken, not committed: to be given again.
            let _ = source.next().await.unwrap();
            source.close().await;
            let done: usize = batches[..committed].iter().sum();
            let mut rest = world.all().await;
            // What was read in part comes before new files.
            let mut expected = whole[done..].to_vec();
            rest.sort_by(|a, b| a.2.cmp(&b.2));
            expected.sort_by(|a, b| a.2.cmp(&b.2));
            assert_eq!(rest.len(), expected.len(), "{form} {committed}");
            assert!(rest == expected, "{form} {committed}");
            assert!(world.all().await.is_empty(), "{form} {committed}");
        }
    }
}

#[tokio::test]
async fn a_file_that_grew_is_read_on_and_an_unfinished_record_is_given_again() {
    for (first, second, then) in [
        ("{\"a\":1}\n{\"b\":2}\n", "{\"c\":3}\n", vec!["{\"c\":3}"]),
        ("{\"a\":1}\n{\"b\":2}", "\n{\"c\":3}\n", vec!["{\"c\":3}"]),
        ("{\"a\":1}\n{\"b\":", "2}\n{\"c\":3}\n", vec!["{\"b\":2}", "{\"c\":3}"]),
        ("[{\"a\":1},", "{\"b\":2},{\"c\":3}]", vec!["{\"b\":2}", "{\"c\":3}"]),
        ("[{\"a\":1}", "]", vec![]),
        ("[{\"a\":1},{\"b\"", ":2},{\"c\":3}]", vec!["{\"b\":2}", "{\"c\":3}"]),
        ("", "{\"a\":1}\n", vec!["{\"a\":1}"]),
    ] {
        let world = World::new();
        world.put("a", first.as_bytes());
        world.all().await;
        world.put("a", format!("{first}{second}").as_bytes());
        assert_eq!(world.texts().await, then, "{first} + {second}");
        assert_eq!(world.texts().await, [""; 0]);
    }
    let world = World::new();
    world.put("a.gz", &gzip(&lines(0..5)));
    world.all().await;
    world.put("a.gz", &[gzip(&lines(0..5)), gzip(&lines(5..7))].concat());
    assert_eq!(world.texts().await.len(), 2);
}

#[tokio::test]
async fn a_file_that_grew_after_a_crash_at_its_former_end_is_read_on() {
    let world = World::new();
    world.put("a", b"{\"a\":1}\n{\"b\":");
    let mut source = world.open().unwrap();
    let batch = source.next().await.unwrap().unwrap();
    source.commit(&[batch.mark]).await.unwrap();
    source.close().await;
    world.put("a", b"{\"a\":1}\n{\"b\":2}\n");
    let rest = world.texts().await;
    assert_eq!(rest.last().unwrap(), "{\"b\":2}");
}

#[tokio::test]
async fn a_changed_file_stops_the_start() {
    let whole = lines(0..1000);
    for (name, other, words) in [
        ("shorter", lines(0..999), "bytes, and has"),
        ("other head", format!(" {}", &whole[1..]), "begins with other bytes"),
        ("other end", format!("{}x\n", &whole[..whole.len() - 2]), "other bytes before byte"),
        (
            "other end, and longer",
            format!("{}x\nmore\n", &whole[..whole.len() - 2]),
            "other bytes before byte",
        ),
    ] {
        for in_place in [true, false] {
            let world = World::new();
            world.put("a", whole.as_bytes());
            world.all().await;
            if !in_place {
                fs::rename(world.file("a"), world.root.path().join("away")).unwrap();
            }
            world.put("a", other.as_bytes());
            world.refused(words);
            // Under another name it is another file.
            fs::rename(world.file("a"), world.file("b")).unwrap();
            assert!(!world.all().await.is_empty(), "{name}");
        }
    }
}

#[tokio::test]
async fn a_file_changed_before_the_position_or_gone_is_refused() {
    let whole = lines(0..20_000);
    let world = World::new();
    world.put("a", whole.as_bytes());
    let mut source = world.open().unwrap();
    let first = source.next().await.unwrap().unwrap();
    source.commit(&[first.mark]).await.unwrap();
    source.close().await;
    let last = first.records.last().unwrap().bytes.clone();
    let last = std::str::from_utf8(&last).unwrap();

    world.put("a", whole.replace(last, &last.replace('t', "u")).as_bytes());
    let mut source = world.open().unwrap();
    let fault = source.next().await.unwrap_err();
    assert!(fault.kind == FaultKind::Unusable && fault.cause.contains("other bytes at byte"), "{fault}");
    source.close().await;

    world.put("a", &whole.as_bytes()[..last.len() * 3]);
    world.refused("bytes, and has");
    fs::remove_file(world.file("a")).unwrap();
    world.refused("read in part");
    world.put("a", whole.as_bytes());
    assert_eq!(world.all().await.len(), 20_000 - first.records.len());
}

#[tokio::test]
async fn a_rotated_log_is_not_read_again() {
    let world = World::new();
    world.put("log", lines(0..5).as_bytes());
    world.all().await;
    let mut log = fs::OpenOptions::new().append(true).open(world.file("log")).unwrap();
    log.write_all(lines(5..6).as_bytes()).unwrap();
    fs::rename(world.file("log"), world.file("log.1")).unwrap();
    world.put("log", lines(6..8).as_bytes());
    let mut given = world.texts().await;
    given.sort();
    assert_eq!(given, lines(5..8).lines().collect::<Vec<_>>());
}

#[tokio::test]
async fn a_damaged_file_is_a_dead_letter_once_and_the_next_is_read() {
    let world = World::new();
    let whole = gzip(&lines(0..5));
    world.put("a.gz", &whole[..whole.len() - 6]);
    world.put("b", lines(5..6).as_bytes());
    let given = world.all().await;
    assert_eq!(given.len(), 7, "{given:?}");
    assert!(given[5].0.is_empty() && given[5].1 == Kind::Malformed(Reason::Truncated));
    assert!(world.all().await.is_empty());
    world.put("a.gz", &whole);
    assert!(world.all().await.is_empty(), "the whole file has nothing that was not read");

    let world = World::new();
    let mut long: Vec<u8> =
        (0..400_000_u32).flat_map(|n| n.wrapping_mul(0x9e37_79b9).to_le_bytes()).collect();
    long.splice(..0, gzip(&lines(0..5)));
    world.put("a.gz", &long);
    assert!(!world.all().await.is_empty());
    assert!(world.all().await.is_empty(), "damage far before the end is damage once, too");
}

#[tokio::test]
async fn what_is_not_read_at_all_stops_the_stage() {
    let world = World::new();
    world.put("a.xz", b"\xfd7zXZ\0\0\x04");
    let mut source = world.open().unwrap();
    let fault = source.next().await.unwrap_err();
    assert!(fault.kind == FaultKind::Unusable && fault.remedy.contains("decompress"), "{fault}");
    assert_eq!(source.next().await.unwrap_err().kind, FaultKind::Unusable, "calling again tries again");
}

#[tokio::test]
async fn a_file_that_comes_back_is_read_where_it_was_left() {
    let world = World::new();
    world.put("a", lines(0..2).as_bytes());
    world.put("b", lines(2..3).as_bytes());
    let settings = FileConfig::new([world.file("a"), world.file("b")]).validate().unwrap();
    // The thread is held up by what nobody takes, long before it comes to the last file.
    let names: Vec<PathBuf> = (0..10).map(|n| world.file(&format!("filler-{n}"))).collect();
    names.iter().for_each(|name| fs::write(name, format!("{{\"n\":\"{}\"}}\n", name.display())).unwrap());
    let paths = names.iter().cloned().chain(settings.paths);
    let settings = FileConfig::new(paths).validate().unwrap();
    let mut source = FileSource::open(&settings, None).unwrap();
    fs::rename(world.file("b"), world.file("c")).unwrap();
    let mut count = 0;
    let fault = loop {
        match source.next().await {
            Ok(batch) => count += batch.unwrap().records.len(),
            Err(fault) => break fault,
        }
    };
    assert_eq!((fault.kind, count), (FaultKind::Storage, 12));
    fs::rename(world.file("c"), world.file("b")).unwrap();
    assert_eq!(drain(&mut source).await.len(), 1);
}

#[tokio::test]
async fn another_try_in_the_middle_of_a_file_gives_nothing_twice() {
    let world = World::new();
    world.put("a", lines(0..30_000).as_bytes());
    let mut source = world.open().unwrap();
    // The thread has the file open, and is held up long before its end, where it looks at the path again.
    let first = source.next().await.unwrap().unwrap();
    fs::rename(world.file("a"), world.root.path().join("away")).unwrap();
    let mut count = first.records.len();
    let fault = loop {
        match source.next().await {
            Ok(batch) => count += batch.unwrap().records.len(),
            Err(fault) => break fault,
        }
    };
    assert_eq!((fault.kind, count), (FaultKind::Storage, 30_000));
    fs::rename(world.root.path().join("away"), world.file("a")).unwrap();
    assert!(drain(&mut source).await.is_empty());
}

#[tokio::test]
async fn a_pipe_is_read_and_not_remembered() {
    let world = World::new();
    let pipe = world.root.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let settings = FileConfig::new([&pipe]).validate().unwrap();
    for _ in 0..2 {
        let checkpoint = Checkpoint::open(&world.root.path().join("state"), "file").unwrap();
        let mut source = FileSource::open(&settings, Some(checkpoint)).unwrap();
        let to = pipe.clone();
        let writer = thread::spawn(move || fs::write(to, lines(0..3)).unwrap());
        assert_eq!(drain(&mut source).await.len(), 3);
        writer.join().unwrap();
        source.close().await;
    }
}

#[tokio::test]
async fn two_processes_and_a_broken_state_are_refused() {
    let world = World::new();
    world.put("a", lines(0..2).as_bytes());
    let source = world.open().unwrap();
    assert_eq!(world.open().unwrap_err().kind, FaultKind::Taken);
    source.close().await;
    world.all().await;
    let state = world.root.path().join("state/file.state");
    let text = fs::read_to_string(&state).unwrap();
    fs::write(&state, &text[..text.len() - 1]).unwrap();
    world.refused("cannot be used");
}

#[tokio::test]
async fn giving_up_a_wait_loses_nothing() {
    use std::future::{Future, poll_fn};
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};
    use tokio::task::{coop, yield_now};
    let world = World::new();
    world.put("a", lines(0..30_000).as_bytes());
    let mut source = world.open().unwrap();
    let (mut all, mut given_up) = (Vec::new(), 0);
    for turn in 0.. {
        yield_now().await;
        let polled = poll_fn(|_| {
            let idle = &mut Context::from_waker(Waker::noop());
            // A task that has used up its turn is told to wait even for what is there: so some waits are given up
            // however fast the thread reads.
            while turn % 3 == 0 && coop::has_budget_remaining() {
                let _ = pin!(coop::consume_budget()).poll(idle);
            }
            Poll::Ready(pin!(source.next()).poll(idle))
        })
        .await;
        match polled {
            Poll::Ready(batch) => match batch.unwrap() {
                Some(batch) => all.extend(batch.records.iter().map(given)),
                None => break,
            },
            Poll::Pending => given_up += 1,
        }
    }
    assert_eq!(texts(&all), lines(0..30_000).lines().collect::<Vec<_>>());
    assert!(given_up > 0);
}

#[tokio::test]
async fn commits_are_saved_by_volume_and_at_the_end() {
    let world = World::new();
    world.put("a", lines(0..10).as_bytes());
    let state = world.root.path().join("state/file.state");
    let mut source = world.open().unwrap();
    let batch = source.next().await.unwrap().unwrap();
    source.commit(&[batch.mark]).await.unwrap();
    assert!(!state.exists(), "one small commit is not worth waiting for the disk");
    source.unsaved_bytes = SAVE_BYTES;
    source.commit(&[batch.mark]).await.unwrap();
    assert!(state.exists());
    fs::remove_file(&state).unwrap();
    let end = source.next().await.unwrap().unwrap();
    assert!(source.next().await.unwrap().is_none());
    assert!(!state.exists());
    source.commit(&[Mark { lane: Lane(7), batch: 9 }]).await.unwrap();
    assert!(!state.exists(), "a lane that is none of ours");
    source.commit(&[end.mark]).await.unwrap();
    assert!(state.exists());
}

#[tokio::test]
async fn a_disk_that_refuses_the_position_is_told_and_tried_again() {
    let world = World::new();
    world.put("a", lines(0..10).as_bytes());
    let mut source = world.open().unwrap();
    let in_the_way = world.root.path().join("state/file.state.new");
    fs::create_dir(&in_the_way).unwrap();
    let mut marks = Vec::new();
    while let Some(batch) = source.next().await.unwrap() {
        marks.push(batch.mark);
    }
    assert_eq!(source.commit(&marks).await.unwrap_err().kind, FaultKind::Storage);
    fs::remove_dir(&in_the_way).unwrap();
    source.commit(&marks).await.unwrap();
    drop(source);
    assert!(world.all().await.is_empty());
}

#[tokio::test]
async fn long_records_are_heads_and_long_letters_are_not() {
    let world = World::new();
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(100_000));
    let letter = format!(
        "{{\"dead_letter\":1,\"reason\":\"r\",\"detail\":\"{}\",\"stage\":\"map\",\"source\":{{}},\"length\":2,\
         \"raw\":\"{{}}\"}}",
        "d".repeat(100_000)
    );
    world.put("a", format!("{long}\n{letter}\n{{}}\n").as_bytes());
    let config = FileConfig {
        max_record_bytes: model::settings::ByteSize(70_000),
        ..FileConfig::new([world.file("a")])
    };
    let mut source = FileSource::open(&config.validate().unwrap(), None).unwrap();
    let given = drain(&mut source).await;
    assert_eq!(given[0].1, Kind::TooLarge { length: long.len() as u64 });
    assert_eq!(given[0].0, &long.as_bytes()[..64 * 1024]);
    assert_eq!((&given[1].0[..], given[1].1), (&b"{}"[..], Kind::Record));
    assert_eq!(given[2].1, Kind::Record);
    assert!(source.reads(&world.file("a")) && !source.reads(Path::new("/nowhere")));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever a file holds and wherever it was when it was first read, reading on gives what reading the whole at once
    /// gives, but for what the former end made of an unfinished piece.
    #[test]
    fn growing_loses_nothing(
        pieces in proptest::collection::vec(
            prop_oneof![
                Just("{\"a\":1}"), Just("\n"), Just("["), Just("]"), Just(","), Just("{\"data\":["), Just("}"),
                Just("nonsense"), Just("{\"b\":{\"c\":[1,2]}}"), Just("{\"id\":\"x\""), Just(" "), Just("]}"),
            ],
            0..24,
        ),
        at in 0.0..1.0f64,
    ) {
        let text = pieces.concat();
        let cut = (text.len() as f64 * at) as usize;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let whole = World::new();
            whole.put("a", text.as_bytes());
            let expected = whole.all().await;
            let world = World::new();
            world.put("a", &text.as_bytes()[..cut]);
            let mut found = world.all().await;
            world.put("a", text.as_bytes());
            found.extend(world.all().await);
            let key = |given: &Given| (given.0.clone(), given.2.rsplit(':').next().unwrap().to_owned());
            let found: std::collections::HashSet<_> = found.iter().map(key).collect();
            for record in expected.iter().filter(|given| !given.0.is_empty()) {
                assert!(found.contains(&key(record)), "{text:?} cut at {cut}: {record:?}");
            }
        });
    }
}
