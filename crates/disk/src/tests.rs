//! Who may read what was made, what is never written through, and what goes on working.

use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

type Opening = fn(&Path) -> io::Result<()>;

/// Every way to make a file.
const WAYS: [(&str, Opening); 6] = [
    ("append", |path| append(path).map(drop)),
    ("update", |path| update(path).map(drop)),
    ("empty", |path| empty(path).map(drop)),
    ("write", |path| write(path, b"new")),
    ("replace", |path| replace(path, b"new", Replaced::Durably)),
    ("replace soon", |path| replace(path, b"new", Replaced::Soon)),
];

#[test]
fn what_is_made_is_for_its_user_alone() {
    let root = tempfile::tempdir().unwrap();
    for (name, way) in WAYS {
        let path = root.path().join(name);
        way(&path).unwrap();
        assert_eq!(mode(&path), 0o600, "{name}");
    }
    folder(&root.path().join("a/b")).unwrap();
    assert_eq!([mode(&root.path().join("a")), mode(&root.path().join("a/b"))], [0o700, 0o700]);
}

#[test]
fn what_an_operator_made_keeps_its_mode() {
    let root = tempfile::tempdir().unwrap();
    for (name, way) in WAYS {
        let path = root.path().join(name);
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        way(&path).unwrap();
        assert_eq!(mode(&path), 0o644, "{name}");
        assert!(is_for_everybody(&fs::metadata(&path).unwrap()));
    }
    fs::set_permissions(root.path(), fs::Permissions::from_mode(0o750)).unwrap();
    folder(root.path()).unwrap();
    assert_eq!(mode(root.path()), 0o750);
}

#[test]
fn nothing_is_written_through_a_link() {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name);
    for (name, way) in WAYS {
        for target in ["victim", "nowhere"] {
            fs::write(at("victim"), "precious").unwrap();
            let link = at("link");
            symlink(at(target), &link).unwrap();
            let error = way(&link).expect_err(name);
            assert!(error.to_string().contains("symbolic link"), "{name}: {error}");
            let fault = fault(&link, "opening", &error);
            assert_eq!(fault.kind, FaultKind::Unusable, "{name}: {fault}");
            assert!(fault.to_string().ends_with("link is a symbolic link, and nothing is written through links; name the file itself, or remove the link"));
            fs::remove_file(link).unwrap();
            assert_eq!(fs::read_to_string(at("victim")).unwrap(), "precious", "{name}");
            assert!(!at("nowhere").exists(), "{name}");
        }
    }
    symlink(at("victim"), at("state.new")).unwrap();
    replace(&at("state"), b"new", Replaced::Soon).unwrap();
    assert_eq!(fs::read_to_string(at("victim")).unwrap(), "precious");
    assert!(existing(&at("none")).is_err());
}

#[test]
fn a_folder_on_the_way_may_be_a_link() {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name);
    fs::create_dir(at("real")).unwrap();
    symlink(at("real"), at("link")).unwrap();
    for (name, way) in WAYS {
        way(&at("link").join(name)).unwrap();
        assert!(at("real").join(name).is_file(), "{name}");
    }
    folder(&at("link/inner")).unwrap();
    folder(&at("link")).unwrap();
}

#[test]
fn pipes_and_devices_can_be_written_to() {
    let root = tempfile::tempdir().unwrap();
    empty(Path::new("/dev/null")).unwrap().write_all(b"x").unwrap();
    existing(Path::new("/dev/null")).unwrap().write_all(b"x").unwrap();
    let pipe = root.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut said = String::new();
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut text = String::new();
            File::open(&pipe).unwrap().read_to_string(&mut text).map(|_| text).unwrap()
        });
        empty(&pipe).unwrap().write_all(b"through").unwrap();
        said = reader.join().unwrap();
    });
    assert_eq!(said, "through");
}

#[test]
fn the_names_of_what_is_open_are_followed_and_no_others() {
    use std::os::fd::AsRawFd;
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("open");
    let file = File::create(&path).unwrap();
    for folder in ["/dev/fd", "/proc/self/fd"].map(Path::new).into_iter().filter(|folder| folder.is_dir()) {
        let name = folder.join(file.as_raw_fd().to_string());
        empty(&name).unwrap().write_all(b"through").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "through", "{}", name.display());
    }
    for name in ["/dev/stdout", "/dev/stderr", "/dev/fd/1"] {
        assert!(is_name_of_open_file(Path::new(name)), "{name}");
    }
    for name in ["/dev/shm/x", "/tmp/x", "x", "/", ""] {
        assert!(!is_name_of_open_file(Path::new(name)), "{name}");
    }
}

#[test]
fn what_the_disk_says_comes_with_advice() {
    let said = |kind: io::ErrorKind| fault(Path::new("/a"), "opening", &kind.into());
    assert_eq!(said(io::ErrorKind::StorageFull).remedy, "make room on that disk");
    assert_eq!(said(io::ErrorKind::NotFound).remedy, "make the folder");
    let fault = said(io::ErrorKind::PermissionDenied);
    assert_eq!(
        (fault.kind, fault.cause.as_str()),
        (FaultKind::Storage, "opening /a failed: permission denied")
    );
}
