//! Crashes at every byte, full disks, rotation, locks: what is in the file afterwards.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;

use super::*;

fn plan(path: &Path, framing: Framing) -> Plan {
    let (rotate_bytes, rotate_interval) = (None, None);
    Plan { path: path.to_owned(), rotate_bytes, rotate_interval, framing, durability: Durability::Always }
}

fn chunk(text: &str) -> [Bytes; 1] {
    [Bytes::copy_from_slice(text.as_bytes())]
}

/// The content, read by others than us.
fn content(path: &Path, framing: Framing) -> String {
    let stored = fs::read(path).unwrap();
    let mut text = String::new();
    if stored.is_empty() {
        return text;
    }
    match framing {
        Framing::Plain => return String::from_utf8(stored).unwrap(),
        Framing::Gzip => flate2::read::MultiGzDecoder::new(&stored[..]).read_to_string(&mut text),
        Framing::Zstd => zstd::stream::Decoder::new(&stored[..]).unwrap().read_to_string(&mut text),
    }
    .unwrap();
    text
}

const WRITES: [&str; 3] = ["{\"a\":1}\n", "{\"b\":22}\n{\"c\":333}\n", "{\"d\":\"é\"}\n"];

#[test]
fn a_crash_at_any_byte_leaves_whole_writes_and_the_next_goes_on_behind_them() {
    for framing in [Framing::Plain, Framing::Gzip, Framing::Zstd] {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("whole");
        let mut appender = Appender::open(plan(&path, framing)).unwrap();
        WRITES.iter().for_each(|write| appender.append(&chunk(write)).unwrap());
        let stored = fs::read(&path).unwrap();
        let torn = root.path().join("torn");
        for cut in 0..=stored.len() {
            for zeros in [0, 1, 40] {
                let mut left = stored[..cut].to_vec();
                left.resize(cut + zeros, 0);
                fs::write(&torn, &left).unwrap();
                let mut appender = Appender::open(plan(&torn, framing)).unwrap();
                let kept = content(&torn, framing);
                assert!(WRITES.concat().starts_with(&kept), "{framing:?} {cut}: {kept}");
                assert!(kept.is_empty() || kept.ends_with('\n'), "{framing:?} {cut}: {kept}");
                if cut == stored.len() {
                    assert_eq!(kept, WRITES.concat());
                }
                appender.append(&chunk("{\"new\":1}\n")).unwrap();
                assert_eq!(content(&torn, framing), kept.clone() + "{\"new\":1}\n", "{framing:?} {cut}");
                let mut lines = Vec::new();
                let mut each = |line: &[u8]| lines.push(String::from_utf8(line.to_vec()).unwrap());
                appender.last_lines(1 << 20, &mut each).unwrap();
                lines.retain(|line| !line.is_empty());
                lines.sort();
                let mut expected: Vec<String> =
                    (kept + "{\"new\":1}\n").lines().map(ToOwned::to_owned).collect();
                expected.sort();
                assert_eq!(lines, expected);
            }
        }
    }
}

#[test]
fn a_damaged_last_frame_is_cut_off() {
    for framing in [Framing::Gzip, Framing::Zstd] {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a");
        let mut appender = Appender::open(plan(&path, framing)).unwrap();
        WRITES.iter().for_each(|write| appender.append(&chunk(write)).unwrap());
        drop(appender);
        let mut stored = fs::read(&path).unwrap();
        let end = stored.len();
        stored[end - 12..].fill(0);
        fs::write(&path, stored).unwrap();
        Appender::open(plan(&path, framing)).unwrap();
        assert_eq!(content(&path, framing), WRITES[..2].concat());
    }
}

#[test]
fn what_is_not_ours_is_refused_and_left_alone() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("a");
    let mut gzip = Vec::new();
    flate2::write::GzEncoder::new(&mut gzip, flate2::Compression::fast()).write_all(b"{}\n").unwrap();
    let ours = root.path().join("ours");
    Appender::open(plan(&ours, Framing::Zstd)).unwrap().append(&chunk(WRITES[0])).unwrap();
    let mut followed = fs::read(ours).unwrap();
    followed.extend_from_slice(b"something else that somebody wrote");
    for (framing, foreign) in [
        (Framing::Plain, &b"root:x:0:0:root"[..]),
        (Framing::Plain, b"a,b\n1,2\n"),
        (Framing::Plain, b"{}\nnot json, not ended"),
        (Framing::Plain, &gzip),
        (Framing::Gzip, &gzip),
        (Framing::Gzip, b"{}\n"),
        (Framing::Zstd, b"{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}\n"),
        (Framing::Zstd, &followed),
    ] {
        fs::write(&path, foreign).unwrap();
        let fault = Appender::open(plan(&path, framing)).unwrap_err();
        assert_eq!(fault.kind, FaultKind::Unusable, "{fault}");
        assert_eq!(fs::read(&path).unwrap(), foreign);
    }
}

#[test]
fn links_and_folders_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name);
    fs::write(at("real"), "").unwrap();
    std::os::unix::fs::symlink(at("real"), at("link")).unwrap();
    std::os::unix::fs::symlink(at("nowhere"), at("dangling")).unwrap();
    fs::create_dir(at("folder")).unwrap();
    for name in ["link", "dangling", "folder"] {
        let fault = Appender::open(plan(&at(name), Framing::Plain)).unwrap_err();
        assert_eq!(fault.kind, FaultKind::Unusable, "{fault}");
    }
    assert!(!at("nowhere").exists());
    let fault = Appender::open(plan(&at("no/such/folder"), Framing::Plain)).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Storage, "{fault}");
}

#[test]
fn one_writer_at_a_time_and_the_file_is_not_for_everybody() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("a");
    let first = Appender::open(plan(&path, Framing::Plain)).unwrap();
    let fault = Appender::open(plan(&path, Framing::Plain)).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Taken, "{fault}");
    let mode = |name: &str| fs::metadata(root.path().join(name)).unwrap().mode() & 0o777;
    assert_eq!([mode("a"), mode(".a.lock")], [0o600, 0o600]);
    drop(first);
    Appender::open(plan(&path, Framing::Plain)).unwrap();
}

#[test]
fn size_and_age_end_a_file() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("out.ndjson");
    let by_size = Plan { rotate_bytes: Some(20), ..plan(&path, Framing::Plain) };
    let mut appender = Appender::open(by_size).unwrap();
    let lines: Vec<String> = (0..30).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    lines.iter().for_each(|line| appender.append(&chunk(line)).unwrap());
    let mut files = names::rotated(&path);
    assert!(files.len() >= 10);
    files.push(path.clone());
    assert!(files.iter().all(|file| fs::metadata(file).unwrap().len() <= 20));
    let all: String = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    assert_eq!(all, lines.concat());
    let mut last = Vec::new();
    appender.last_lines(30, &mut |line| last.extend_from_slice(line)).unwrap();
    assert!(String::from_utf8(last).unwrap().contains("{\"n\":27}"));
    drop(appender);

    let by_age = Plan { rotate_interval: Some(Duration::from_nanos(1)), ..plan(&path, Framing::Plain) };
    let mut appender = Appender::open(by_age).unwrap();
    appender.append(&chunk("{}\n")).unwrap();
    assert!(appender.tick().unwrap().is_none(), "nothing is left that could be due");
    assert!(!path.exists());
    appender.append(&chunk("{\"next\":1}\n")).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "{\"next\":1}\n");
}

#[test]
fn who_may_read_a_file_may_read_the_next() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("out.ndjson");
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    let open = || Appender::open(Plan { rotate_bytes: Some(4), ..plan(&path, Framing::Plain) }).unwrap();
    let mut appender = open();
    appender.append(&chunk("{}\n")).unwrap();
    appender.append(&chunk("{}\n")).unwrap();
    assert_eq!(mode(&path), 0o600);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    appender.append(&chunk("{}\n")).unwrap();
    assert_eq!(mode(&path), 0o640);
    // A process that ended between a rotation and the next line knows as much.
    appender.rotate().unwrap();
    drop(appender);
    let appender = open();
    assert_eq!(mode(&path), 0o640);
    assert_eq!(
        names::rotated(&path).iter().map(|path| mode(path)).collect::<Vec<_>>(),
        [0o600, 0o640, 0o640]
    );
    drop(appender);
}

#[test]
fn a_link_in_place_of_the_lock_or_of_a_new_file_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name);
    std::os::unix::fs::symlink(at("victim"), at(".a.lock")).unwrap();
    let fault = Appender::open(plan(&at("a"), Framing::Plain)).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Unusable, "{fault}");
    assert!(fault.to_string().contains(".a.lock is a symbolic link"), "{fault}");
    assert!(!at("victim").exists() && !at("a").exists());

    let rotating = Plan { rotate_bytes: Some(4), ..plan(&at("b"), Framing::Plain) };
    let mut appender = Appender::open(rotating).unwrap();
    appender.append(&chunk("{}\n")).unwrap();
    appender.rotate().unwrap();
    std::os::unix::fs::symlink(at("victim"), at("b")).unwrap();
    let fault = appender.append(&chunk("{}\n")).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Unusable, "{fault}");
    assert!(!at("victim").exists());
}

#[test]
fn an_interval_syncs_what_waits_and_says_when() {
    let root = tempfile::tempdir().unwrap();
    for (time, waits) in [(Duration::ZERO, false), (Duration::from_secs(3600), true)] {
        let within = Plan {
            durability: Durability::Within(time),
            ..plan(&root.path().join(format!("{waits}")), Framing::Plain)
        };
        let mut appender = Appender::open(within).unwrap();
        assert_eq!(appender.tick().unwrap(), None);
        appender.append(&chunk("{}\n")).unwrap();
        assert!(appender.unsynced.is_some());
        assert_eq!(appender.tick().unwrap().is_some(), waits);
        assert_eq!(appender.unsynced.is_some(), waits);
        appender.sync().unwrap();
        assert_eq!(appender.tick().unwrap(), None);
    }
}

#[test]
fn a_file_moved_away_or_cut_by_others_is_begun_again() {
    let root = tempfile::tempdir().unwrap();
    let (path, moved) = (root.path().join("a"), root.path().join("b"));
    let mut appender = Appender::open(plan(&path, Framing::Plain)).unwrap();
    appender.append(&chunk("{\"a\":1}\n")).unwrap();
    fs::rename(&path, &moved).unwrap();
    appender.append(&chunk("{\"b\":1}\n")).unwrap();
    assert_eq!(fs::read_to_string(&moved).unwrap(), "{\"a\":1}\n");
    assert_eq!(fs::read_to_string(&path).unwrap(), "{\"b\":1}\n");
    fs::write(&path, "{\"b\":").unwrap();
    appender.append(&chunk("{\"c\":1}\n")).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "{\"c\":1}\n");
}

#[test]
fn what_could_not_be_taken_back_at_once_is_cut_before_the_next_write() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("a");
    let mut appender = Appender::open(plan(&path, Framing::Plain)).unwrap();
    appender.append(&chunk("{\"a\":1}\n")).unwrap();
    appender.write_all(b"{\"b\":1}\n{\"c").unwrap();
    appender.unclean = true;
    appender.append(&chunk("{\"b\":1}\n")).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "{\"a\":1}\n{\"b\":1}\n");
}

#[test]
fn a_device_without_room_is_a_storage_fault() {
    let mut appender = Appender::open(plan(Path::new("/dev/full"), Framing::Plain)).unwrap();
    for _ in 0..2 {
        let fault = appender.append(&chunk("{}\n")).unwrap_err();
        assert_eq!((fault.kind, fault.remedy.as_str()), (FaultKind::Storage, "make room on that disk"));
    }
}

/// The part of the next test that runs in a process which may only write short files.
#[test]
fn inside_a_limit() {
    let Some(path) = std::env::var_os("ONLY_SHORT_FILES") else { return };
    let mut appender = Appender::open(plan(Path::new(&path), Framing::Plain)).unwrap();
    let line = format!("{{\"a\":\"{}\"}}\n", "x".repeat(890));
    let mut whole = 0;
    let fault = loop {
        match appender.append(&[Bytes::from(line.repeat(2)), Bytes::from(line.clone())]) {
            Ok(()) => whole += 3 * line.len(),
            Err(fault) => break fault,
        }
    };
    assert_eq!(fault.kind, FaultKind::Storage, "{fault}");
    assert_eq!(fs::metadata(&path).unwrap().len(), whole as u64);
    appender.append(&chunk("{\"short\":1}\n")).unwrap();
    fs::write(format!("{}.seen", path.display()), whole.to_string()).unwrap();
}

#[test]
fn a_write_that_finds_no_room_in_its_middle_leaves_nothing_behind() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("a");
    let status = std::process::Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 20; exec \"$0\" --exact append::tests::inside_a_limit"])
        .arg(std::env::current_exe().unwrap())
        .env("ONLY_SHORT_FILES", &path)
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    let seen: usize = fs::read_to_string(root.path().join("a.seen")).unwrap().parse().unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert!(seen > 0 && text.len() == seen + "{\"short\":1}\n".len() && text.ends_with("{\"short\":1}\n"));
}
