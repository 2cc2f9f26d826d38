//! The file of dead letters.

use std::fs;
use std::path::Path;

use super::*;

fn letter(raw: &[u8]) -> DeadLetter<'_> {
    DeadLetter {
        reason: "not_json",
        detail: "d",
        stage: Stage::Map,
        source: Place::File { path: "a", offset: 1 },
        attempts: 0,
        time: None,
        length: raw.len() as u64,
        raw,
    }
}

fn config(path: &Path) -> DeadLettersConfig {
    DeadLettersConfig { path: path.to_owned(), rotate_bytes: None }
}

#[tokio::test]
async fn letters_are_appended_and_a_torn_one_is_cut_off() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("dead.ndjson");
    let letters = DeadLetters::open(&config(&path)).unwrap();
    letters.write(&[letter(b"one"), letter(b"\xff")]).await.unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 2);
    assert_eq!(DeadLetters::open(&config(&path)).unwrap_err().kind, FaultKind::Taken);
    letters.close().await.unwrap();

    let whole = fs::read(&path).unwrap();
    for cut in 0..whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        let letters = DeadLetters::open(&config(&path)).unwrap();
        letters.write(&[letter(b"new")]).await.unwrap();
        letters.close().await.unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let mut raws = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        assert_eq!(raws.next_back().unwrap()["raw"], "new", "{cut}");
        assert!(raws.count() < 2);
    }
}

#[tokio::test]
async fn a_full_disk_is_told() {
    let letters = DeadLetters::open(&config(Path::new("/dev/full"))).unwrap();
    assert_eq!(letters.write(&[letter(b"x")]).await.unwrap_err().kind, FaultKind::Storage);
    letters.write(&[]).await.unwrap();
}

#[tokio::test]
async fn size_rotates_and_nothing_is_lost() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("dead.ndjson");
    let rotating = DeadLettersConfig { rotate_bytes: Some(ByteSize(300)), ..config(&path) };
    let letters = DeadLetters::open(&rotating).unwrap();
    for _ in 0..10 {
        letters.write(&[letter(b"x")]).await.unwrap();
    }
    letters.close().await.unwrap();
    let files = fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().path());
    let texts: Vec<String> = files.map(|file| fs::read_to_string(file).unwrap()).collect();
    assert!(texts.len() > 3);
    assert_eq!(texts.iter().map(|text| text.lines().count()).sum::<usize>(), 10);
}

#[test]
fn nonsense_is_refused() {
    let empty = config(Path::new(""));
    let zero = DeadLettersConfig { rotate_bytes: Some(ByteSize(0)), ..DeadLettersConfig::default() };
    for config in [empty, zero] {
        assert_eq!(DeadLetters::open(&config).unwrap_err().kind, FaultKind::Unusable);
    }
}
