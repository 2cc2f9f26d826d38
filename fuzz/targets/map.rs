//! Any bytes through the mapper: it never panics, and what it writes is a document.
//!
//! Checked for every input:
//!
//! - what comes out is one JSON object on one line, with the id that the mapper reports, an event kind and a time;
//! - what cannot be mapped leaves the output as it was, and says where the fault lies;
//! - the same bytes give the same document whatever was mapped before, so that nothing learnt and nothing cached shows;
//! - an object that `serde_json` can read and that has an id or a type is never refused;
//! - with everything personal hashed, the same records are refused for the same reasons, and the rest are documents.
#![no_main]

use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use mapper::enrich::GeoDatabases;
use mapper::{Action, Mapper, MapperOptions, Mapping, Privacy, PrivacyOptions, Unmappable};
use model::settings::Secret;
use model::tables::{Class, Tables};
use serde_json::Value;

const LARGEST: usize = 1 << 20;

static MAPPING: LazyLock<Arc<Mapping>> = LazyLock::new(|| {
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/");
    let databases = ["test-city.mmdb", "test-asn.mmdb", "test-anonymous-ip.mmdb"];
    let paths: Vec<PathBuf> = databases.iter().map(|name| format!("{data}{name}").into()).collect();
    let geo = GeoDatabases::open(&paths).expect("the test databases are sound");
    let options = MapperOptions { max_record_bytes: LARGEST, ..MapperOptions::default() };
    Arc::new(Mapping::new(Tables::builtin(), geo, options))
});

static PRIVATE: LazyLock<Arc<Mapping>> = LazyLock::new(|| {
    let options = PrivacyOptions {
        classes: Class::ALL.map(|class| (class, Action::Hash)).into(),
        key: Some(Secret::new("a key for fuzzing")),
        ..PrivacyOptions::default()
    };
    let privacy = Privacy::new(&options, &Tables::builtin()).expect("the key is long enough").map(Arc::new);
    let options = MapperOptions { max_record_bytes: LARGEST, privacy, ..MapperOptions::default() };
    Arc::new(Mapping::new(Tables::builtin(), GeoDatabases::default(), options))
});

thread_local! {
    /// Lives through all inputs, as a mapper in service does.
    static VETERAN: RefCell<Mapper> = RefCell::new(novice());
}

fuzz_target!(|raw: &[u8]| {
    let first = map(&mut novice(), raw);
    VETERAN.with_borrow_mut(|veteran| compare(&map(veteran, raw), &first));
    check_private(raw, &first);
    match &first {
        Ok((id, document)) => check_document(document, id),
        Err(unmappable) => return check_refusal(unmappable, raw),
    }
    // Often enough for it to have learnt whatever it learns of a record.
    let mut trained = novice();
    for _ in 0..18 {
        compare(&map(&mut trained, raw), &first);
    }
    for sibling in siblings(raw).iter().filter(|sibling| *sibling != raw) {
        compare(&map(&mut trained, sibling), &map(&mut novice(), sibling));
    }
    compare(&map(&mut trained, raw), &first);
});

/// A mapper that has met no record.
fn novice() -> Mapper {
    Mapper::new(Arc::clone(&MAPPING))
}

/// The id and the document.
type Mapped = Result<(String, Vec<u8>), Unmappable>;

fn map(mapper: &mut Mapper, raw: &[u8]) -> Mapped {
    let mut out = b"before".to_vec();
    let mapped = mapper.map(raw, &mut out).map(|mapped| mapped.event_id.to_owned());
    assert!(out.starts_with(b"before"), "the output before the document was changed");
    let document = out.split_off(6);
    assert!(mapped.is_ok() || document.is_empty(), "a refused record left {} bytes", document.len());
    mapped.map(|id| (id, document))
}

fn compare(found: &Mapped, expected: &Mapped) {
    let text = |mapped: &Mapped| {
        mapped
            .as_ref()
            .map(|(id, document)| format!("{id}\n{}", String::from_utf8_lossy(document)))
            .map_err(Clone::clone)
    };
    if found != expected {
        assert_eq!(text(found), text(expected), "what was mapped before shows");
    }
}

/// What is treated beforehand is mapped or refused as ever, and by plans as without.
fn check_private(raw: &[u8], plain: &Mapped) {
    let mut mapper = Mapper::new(Arc::clone(&PRIVATE));
    let first = map(&mut mapper, raw);
    match (&first, plain) {
        (Ok((id, document)), Ok(_)) => check_document(document, id),
        (Err(found), Err(expected)) => assert_eq!(found, expected),
        (found, plain) => panic!("{found:?} with privacy, {plain:?} without"),
    }
    for _ in 0..4 {
        compare(&map(&mut mapper, raw), &first);
    }
}

/// Records of the same shape with other values.
fn siblings(raw: &[u8]) -> [Vec<u8>; 3] {
    let digits = raw.iter().map(|byte| match byte {
        b'1'..=b'8' => byte + 1,
        b'9' => b'1',
        other => *other,
    });
    let text = String::from_utf8_lossy(raw);
    let flipped = text.replace("true", "\0").replace("false", "true").replace('\0', "false");
    let longer = text.replace('e', "e\u{e9}\\n");
    [digits.collect(), flipped.into_bytes(), longer.into_bytes()]
}

fn check_document(document: &[u8], id: &str) {
    assert!(!document.contains(&b'\n'), "a document is one line");
    let value: Value = match serde_json::from_slice(document) {
        Ok(value) => value,
        Err(error) => panic!("{error}: {}", String::from_utf8_lossy(document)),
    };
    let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str);
    assert!(!id.is_empty());
    assert_eq!(text("/event/id"), Some(id));
    assert_eq!(text("/event/kind"), Some("event"));
    assert_eq!(text("/ecs/version"), Some(mapper::ECS_VERSION));
    assert!(text("/@timestamp").is_some_and(|time| time.len() >= 10));
    assert!(text("/message").is_some_and(|message| !message.is_empty()));
    assert!(
        text("/event/outcome").is_some_and(|outcome| ["success", "failure", "unknown"].contains(&outcome))
    );
}

fn check_refusal(unmappable: &Unmappable, raw: &[u8]) {
    assert!(unmappable.offset() <= raw.len(), "{unmappable}");
    let named = |value: &Value| match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
        Value::Array(_) | Value::Object(_) => false,
    };
    if raw.len() <= LARGEST
        && let Ok(Value::Object(object)) = serde_json::from_slice(raw)
    {
        let has_id = object.get("id").is_some_and(named);
        let has_type = object.get("type").and_then(Value::as_str).is_some_and(|text| !text.is_empty());
        assert!(!has_id && !has_type, "refused an activity: {unmappable}");
    }
}
