//! What the program writes is for its user alone, whatever the umask, and goes through no symbolic link.

#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod common;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use model::catalog::Catalog;
use simulator::Feed;

use common::{code, run_in, samples, stderr, whole_lines};

/// Runs the program with a umask that takes nothing from a mode.
fn run_open(folder: &Path, args: &[&str]) -> Output {
    Command::new("sh")
        .args(["-c", "umask 0; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_anthropic-ecs")])
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

/// Asserts that a folder and all in it is for one user, and counts the files.
fn closed(path: &Path) -> usize {
    if !path.is_dir() {
        assert_eq!(mode(path), 0o600, "{}", path.display());
        return 1;
    }
    assert_eq!(mode(path), 0o700, "{}", path.display());
    fs::read_dir(path).unwrap().map(|entry| closed(&entry.unwrap().path())).sum()
}

/// Records and one line that is none.
fn input(folder: &Path) {
    fs::write(folder.join("in.ndjson"), samples() + "no record\n").unwrap();
}

#[test]
fn normalize_writes_for_its_user() {
    let root = tempfile::tempdir().unwrap();
    input(root.path());
    let output = run_open(root.path(), &["normalize", "in.ndjson", "-o", "out.ndjson"]);
    assert_eq!(code(&output), 3, "{}", stderr(&output));
    assert_eq!(
        [mode(&root.path().join("out.ndjson")), mode(&root.path().join("dead-letters.ndjson"))],
        [0o600; 2]
    );

    // Who has opened a file for others keeps it so.
    fs::set_permissions(root.path().join("out.ndjson"), fs::Permissions::from_mode(0o644)).unwrap();
    let output = run_open(root.path(), &["normalize", "in.ndjson", "-o", "out.ndjson"]);
    assert_eq!((code(&output), mode(&root.path().join("out.ndjson"))), (3, 0o644));
}

#[test]
fn a_run_writes_for_its_user() {
    let root = tempfile::tempdir().unwrap();
    let configuration = r#"
        [source]
        type = "file"
        paths = ["in"]
        [sink]
        type = "ndjson"
        path = "made/out.ndjson"
        rotate_bytes = "1KiB"
        [dead_letters]
        path = "made/dead.ndjson"
        [state]
        path = "made/state/of/this"
        [telemetry]
        listen = "off"
    "#;
    fs::write(root.path().join("stage.toml"), configuration).unwrap();
    let made = root.path().join("made");
    fs::create_dir(&made).unwrap();
    fs::set_permissions(&made, fs::Permissions::from_mode(0o700)).unwrap();
    fs::create_dir(root.path().join("in")).unwrap();
    let catalog = Catalog::builtin();
    for (name, seed, warned) in [("1", 1, false), ("2", 2, true)] {
        let records = Feed::new(&catalog, seed).take(50).chain(["no record".to_owned()]);
        let text: String = records.map(|line| line + "\n").collect();
        fs::write(root.path().join("in").join(name), text).unwrap();
        // What comes with the second start is written behind a rotation.
        let output = run_open(root.path(), &["run", "--config", "stage.toml"]);
        assert_eq!(code(&output), 3, "{}", stderr(&output));
        // What everybody may read is told of, and still written.
        assert_eq!(
            stderr(&output).contains("every user of this machine may read"),
            warned,
            "{}",
            stderr(&output)
        );
        fs::set_permissions(made.join("dead.ndjson"), fs::Permissions::from_mode(0o604)).unwrap();
    }
    assert_eq!(mode(&made.join("dead.ndjson")), 0o604);
    fs::set_permissions(made.join("dead.ndjson"), fs::Permissions::from_mode(0o600)).unwrap();
    // Output and what was rotated, dead letters, their locks, the position and its lock.
    assert_eq!(closed(&made), 7, "{:?}", fs::read_dir(&made).unwrap().collect::<Vec<_>>());
}

#[test]
fn normalize_writes_through_no_link() {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name);
    input(root.path());
    fs::write(at("victim"), "precious").unwrap();
    symlink(at("victim"), at("link")).unwrap();
    let refused = run_in(root.path(), &["normalize", "in.ndjson", "-o", "link"], b"");
    let said = stderr(&refused);
    assert_eq!(code(&refused), 2, "{said}");
    assert!(
        said.contains("link: cannot be opened") && said.contains("name the file itself, or remove the link"),
        "{said}"
    );
    let refused =
        run_in(root.path(), &["normalize", "in.ndjson", "-o", "out", "--dead-letters", "link"], b"");
    assert_eq!(code(&refused), 1, "{}", stderr(&refused));
    assert!(stderr(&refused).contains("symbolic link"), "{}", stderr(&refused));
    assert_eq!(fs::read_to_string(at("victim")).unwrap(), "precious");
    assert_eq!(mode(&at("out")), 0o600);
}

#[test]
fn standard_output_by_its_names_and_devices_can_be_written_to() {
    let root = tempfile::tempdir().unwrap();
    for name in ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"] {
        if !Path::new(name).parent().unwrap().is_dir() {
            continue;
        }
        let output = run_in(root.path(), &["normalize", "-o", name], samples().as_bytes());
        assert_eq!(code(&output), 0, "{name}: {}", stderr(&output));
        assert_eq!(whole_lines(&output.stdout), 400, "{name}");
        // And where standard output is a file.
        let file = fs::File::create(root.path().join("out")).unwrap();
        let shell = Command::new("sh")
            .args(["-c", "\"$0\" normalize -o \"$1\" -", env!("CARGO_BIN_EXE_anthropic-ecs"), name])
            .current_dir(root.path())
            .stdin(fs::File::open(common::repository("samples/activities.ndjson")).unwrap())
            .stdout(file)
            .output()
            .unwrap();
        assert_eq!(code(&shell), 0, "{name}: {}", stderr(&shell));
        assert_eq!(whole_lines(&fs::read(root.path().join("out")).unwrap()), 400, "{name}");
    }
    let output = run_in(root.path(), &["normalize", "-o", "/dev/null"], samples().as_bytes());
    assert_eq!(code(&output), 0, "{}", stderr(&output));
}
