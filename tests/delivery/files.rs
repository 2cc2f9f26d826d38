//! Files to NDJSON: killed at moments of chance, and begun again each time, until the files end. Needs no server.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use simulator::Random;

use crate::copies::Copy;
use crate::records::{Plan, TOO_LARGE, Wanted};
use crate::say;
use crate::settings::{Scratch, alone, chance, kills, records};
use crate::verdict::{self, Times};

/// How long a run may take, beside a millisecond a record.
const PATIENCE: Duration = Duration::from_secs(60);

/// Writes the records as files: plain, gzip, zstd.
fn write(folder: &Path, plan: &Plan) {
    fs::create_dir(folder).unwrap();
    let lines: Vec<&str> = plan.messages.iter().flatten().map(String::as_str).collect();
    for (number, some) in lines.chunks(lines.len().div_ceil(6)).enumerate() {
        let text = some.join("\n") + "\n";
        let file = |ending: &str| File::create(folder.join(format!("{number}.ndjson{ending}"))).unwrap();
        match number % 3 {
            0 => file("").write_all(text.as_bytes()).unwrap(),
            1 => {
                let mut encoder = GzEncoder::new(file(".gz"), Compression::fast());
                encoder.write_all(text.as_bytes()).unwrap();
                encoder.finish().unwrap();
            }
            _ => zstd::stream::copy_encode(text.as_bytes(), file(".zst"), 1).unwrap(),
        }
    }
}

/// The files a sink has written: `out` and its rotated parts.
fn outputs(copy: &Copy) -> Vec<PathBuf> {
    let folder = copy.path("written");
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| !path.file_name().unwrap().to_string_lossy().starts_with('.')).collect()
}

fn written(copy: &Copy) -> u64 {
    // A file may be renamed between the listing and the look at it.
    outputs(copy).iter().filter_map(|path| fs::metadata(path).ok()).map(|found| found.len()).sum()
}

/// Waits until so much more was written and a moment longer, or the end of the run; true when it goes on.
fn await_moment(copy: &mut Copy, random: &mut Random, bytes: u64) -> bool {
    let (from, deadline) = (written(copy), deadline());
    while written(copy) < from + bytes {
        if let Some(status) = copy.ended() {
            assert!(matches!(status.code(), Some(0 | 3)), "{status}:\n{}", copy.log_tail());
            return false;
        }
        assert!(Instant::now() < deadline, "nothing is written:\n{}", copy.log_tail());
        sleep(Duration::from_millis(1));
    }
    sleep(Duration::from_micros(random.below(30_000)));
    true
}

fn deadline() -> Instant {
    Instant::now() + PATIENCE + Duration::from_millis(records() as u64)
}

fn files_to_ndjson(name: &str, sink: &str, unpack: fn(&[u8]) -> Vec<u8>) {
    let _alone = alone();
    let (scratch, mut random) = (Scratch::new(), chance(name));
    let wanted = Wanted { records: records(), refused: false, repeated: false, mixed: false };
    let plan = Plan::new(&mut random, wanted);
    write(&scratch.path().join("exports"), &plan);
    let configuration = format!(
        r#"
[source]
type = "file"
paths = ["../exports"]
[mapper]
max_record_bytes = {TOO_LARGE}
[sink]
type = "ndjson"
path = "written/ecs"
{sink}
[dead_letters]
path = "dead.ndjson"
"#
    );
    let mut copy = Copy::new(scratch.path(), "a", &configuration);
    fs::create_dir(copy.path("written")).unwrap();
    let (started, most) = (Instant::now(), kills(records()) * 2);
    let expected = plan.messages.iter().flatten().map(String::len).sum::<usize>() as u64;
    let mut kills = 0;
    // What is written is about as long as what was read, and much shorter when it is compressed: then the runs end sooner.
    let each = if sink.contains("compression") { expected / 12 } else { expected } / most as u64;
    copy.start();
    let mut goes_on = true;
    while goes_on && kills < most {
        let bytes = each / 2 + random.below(each);
        goes_on = await_moment(&mut copy, &mut random, bytes) && copy.kill_unless_ended();
        if goes_on {
            kills += 1;
            copy.start();
        }
    }
    let deadline = deadline();
    if goes_on {
        finish(&mut copy, deadline);
    }
    // All is done: one more run finds nothing to do.
    let before = written(&copy);
    copy.start();
    finish(&mut copy, deadline);
    assert_eq!(written(&copy), before, "a run after the last one wrote something");
    let seconds = started.elapsed().as_secs_f64();

    let files = outputs(&copy);
    let ids = files.iter().flat_map(|path| verdict::whole_lines(&unpack(&fs::read(path).unwrap()), path));
    verdict::ids(&plan, ids.map(|line| verdict::event_id(&line)), Times::Once);
    let repeated = verdict::dead_letters(&plan, verdict::lines(&copy.path("dead.ndjson")));
    say(format!(
        "{name}: {} records ({} ids, {} bad), {kills} kills, {} restarts, {seconds:.1} s, {:.0} records/s; each id once, in {} files; {repeated} dead letters repeated",
        plan.records,
        plan.ids.len(),
        plan.dead.len(),
        copy.starts - 1,
        plan.records as f64 / seconds,
        files.len(),
    ));
}

/// Until the run ends by itself.
fn finish(copy: &mut Copy, deadline: Instant) {
    loop {
        match copy.ended() {
            Some(status) => {
                assert!(matches!(status.code(), Some(0 | 3)), "{status}:\n{}", copy.log_tail());
                return;
            }
            None => assert!(Instant::now() < deadline, "it does not end:\n{}", copy.log_tail()),
        }
        sleep(Duration::from_millis(5));
    }
}

#[test]
fn files_to_plain_ndjson() {
    files_to_ndjson("files_to_plain_ndjson", "", <[u8]>::to_vec);
}

#[test]
fn files_to_rotated_and_compressed_ndjson() {
    let sink = "rotate_bytes = \"200KiB\"\ncompression = \"zstd\"";
    files_to_ndjson("files_to_rotated_and_compressed_ndjson", sink, |bytes| {
        zstd::stream::decode_all(bytes).unwrap()
    });
}
