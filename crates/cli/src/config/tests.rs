//! Configurations that read well, and what is said of those that do not.

use super::*;

const SINK: &str = "[sink]\ntype = \"ndjson\"\npath = \"out\"\n";
const SOURCE: &str = "[source]\ntype = \"file\"\npaths = [\"in\"]\n";

fn parse(text: &str) -> Result<Config, String> {
    let environment = |name: &str| (name == "KEY").then(|| "s3cret".to_owned());
    Config::parse("c.toml", text, &environment).map_err(|wrong| wrong.to_string())
}

#[test]
fn little_is_needed() {
    let config = parse(&format!("{SOURCE}{SINK}")).unwrap();
    assert!(matches!(config.source, Source::File(_)) && matches!(config.sink, Sink::Ndjson(_)));
    assert!(config.mapper.ingested && config.mapper.geoip.is_empty());
    assert_eq!(config.namespace().unwrap(), "default");
}

#[test]
fn mistakes_are_named_with_their_line_and_what_was_meant() {
    let cases = [
        ("[source", "c.toml:1: not TOML"),
        (SINK, "c.toml: there is no section [source]"),
        (SOURCE, "c.toml: there is no section [sink]"),
        (
            "[source]\npaths = []\n",
            "c.toml:1: [source] needs the key `type`, one of `compliance_api`, `kafka`, `file`",
        ),
        (
            "[source]\ntype = \"fiel\"\n",
            "c.toml:2: [source] `type` is one of `compliance_api`, `kafka`, `file`; did you mean `file`?",
        ),
        ("source = 5", "c.toml:1: `source` is a section"),
        (
            "[source]\ntype = \"file\"\npath = \"x\"\n",
            "c.toml:3: [source] has no key `path`; did you mean `paths`?",
        ),
        ("[source]\ntype = \"file\"\npaths = \"x\"\n", "c.toml:3: [source] invalid type"),
        ("[source]\ntype = \"file\"\n", "c.toml:1: [source] missing field `paths`"),
    ];
    for (text, expected) in cases {
        let said = parse(text).unwrap_err();
        assert!(said.starts_with(expected), "{text:?}: {said}");
    }
    let more = [
        ("[mapper]\ngeo = []\n", "c.toml:8: [mapper] has no key `geo`; did you mean `geoip`?"),
        ("[maper]\n", "c.toml:7: unknown section [maper]; did you mean `mapper`?"),
        ("[delivery]\ndrain_timeout = \"5 minutes\"\n", "c.toml:8: [delivery] `5 minutes` is no duration"),
        ("[dead_letters]\ntype = \"topic\"\n", "c.toml:8: [dead_letters] `type` is one of `file`, `kafka`"),
        (
            "[dead_letters]\ntype = \"kafka\"\nbrokers = \"b\"\ntopic = \"t\"\nexactly_once = true\n",
            "c.toml:11: [dead_letters] has no key `exactly_once`: it is about documents",
        ),
        ("[telemetry]\nlisten = \"9464\"\n", "c.toml:8: [telemetry] `listen` is an IP address and a port"),
        ("[telemetry]\nport = 9464\n", "c.toml:8: [telemetry] has no key `port`"),
        ("[mapper]\nnamespace = \"${NOWHERE}\"\n", "c.toml:8: the environment variable NOWHERE is not set"),
    ];
    for (text, expected) in more {
        let said = parse(&format!("{SOURCE}{SINK}{text}")).unwrap_err();
        assert!(said.starts_with(expected), "{text:?}: {said}");
    }
}

#[test]
fn secrets_come_from_the_environment_and_are_never_shown() {
    let with =
        |key: &str| format!("{SOURCE}[sink]\ntype = \"elasticsearch\"\nurl = \"https://es:9200\"\n{key}\n");
    let config = parse(&with("api_key = \"${KEY}\"")).unwrap();
    let Sink::Elasticsearch(sink) = &config.sink else { panic!("another sink") };
    assert_eq!(sink.api_key.as_ref().unwrap().expose(), "s3cret");
    assert!(!format!("{config:?}").contains("s3cret"));
    for wrong in ["api_key = 12345", "api_key = [\"12345\"]", "api_key = { a = 12345 }"] {
        let said = parse(&with(wrong)).unwrap_err();
        assert!(said.contains("c.toml:7: [sink]") && !said.contains("12345"), "{said}");
    }
}

#[test]
fn tables_within_sections_are_read_as_strictly() {
    let section = "[mapper.privacy]\nemails = \"hash\"\nkey = \"${KEY}\"\n";
    let config = parse(&format!("{SOURCE}{SINK}{section}")).unwrap();
    let privacy = config.mapper.privacy.as_ref().unwrap();
    assert_eq!(privacy.key.as_ref().unwrap().expose(), "s3cret");
    assert!(!format!("{config:?}").contains("s3cret"));
    for (text, expected) in [
        (
            "[mapper.privacy]\nemail = \"hash\"\n",
            "c.toml:8: [mapper.privacy] has no key `email`; did you mean `emails`?",
        ),
        ("[mapper.privacy]\nemails = \"mask\"\n", "c.toml:8: [mapper] unknown variant `mask`"),
        (
            "[[mapper.privacy.rules]]\nfields = []\naction = \"drop\"\nactivity_type = []\n",
            "c.toml:10: [mapper.privacy.rules] has no key `activity_type`; did you mean `activity_types`?",
        ),
        ("[[mapper.privacy.rules]]\nfields = []\n", "c.toml:7: [mapper] missing field `action`"),
    ] {
        let said = parse(&format!("{SOURCE}{SINK}{text}")).unwrap_err();
        assert!(said.starts_with(expected), "{text:?}: {said}");
    }
}

#[test]
fn privacy_that_cannot_be_kept_is_refused() {
    let sink = "[sink]\ntype = \"kafka\"\nbrokers = \"b\"\ntopic = \"t\"\nformat = \"raw\"\n";
    let tables = model::tables::Tables::builtin();
    let load = |sink: &str, privacy: &str| {
        let config = parse(&format!("{SOURCE}{sink}[mapper.privacy]\n{privacy}\n")).unwrap();
        config.privacy(&tables).map_err(|failure| failure.message().unwrap_or_default())
    };
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    std::fs::write(&key, "0123456789abcdef\n").unwrap();
    let with_file = format!("key_file = {:?}\nemails = \"hash\"", key.display().to_string());
    assert!(load(SINK, &with_file).unwrap().is_some());
    assert!(load(SINK, "emails = \"keep\"").unwrap().is_none());
    assert!(load(sink, "emails = \"keep\"").unwrap().is_none());
    let rule = |field: &str, types: &str| {
        format!("rules = [{{ fields = [\"{field}\"], activity_types = [\"{types}\"], action = \"drop\" }}]")
    };
    for (sink, text, expected) in [
        (
            SINK,
            "emails = \"hash\"".to_owned(),
            "[mapper.privacy] values are to be hashed, and there is no key; set `key_file`",
        ),
        (
            SINK,
            "urls = \"hash\"\nkey = \"${KEY}\"".to_owned(),
            "[mapper.privacy] the key has 6 bytes; at least 16 are needed",
        ),
        (SINK, format!("{with_file}\nkey = \"x\""), "[mapper.privacy] has both `key` and `key_file`"),
        (
            SINK,
            "key_file = \"/nowhere/key\"".to_owned(),
            "[mapper.privacy] `key_file`: /nowhere/key cannot be read",
        ),
        (
            sink,
            "emails = \"drop\"".to_owned(),
            "[mapper.privacy] cannot be kept with `format = \"raw\"` in [sink]",
        ),
        (
            SINK,
            rule("filenam", "claude_file_*"),
            "[mapper.privacy] rule 1: no field `filenam` is known; did you mean `filename`?",
        ),
        (
            SINK,
            rule("filename", "claude_file_uploadde"),
            "[mapper.privacy] rule 1: no activity type `claude_file_uploadde` is known; did you mean `claude_file_uploaded`?",
        ),
        (SINK, rule("type", "*"), "[mapper.privacy] rule 1: `type` cannot be treated"),
    ] {
        let said = load(sink, &text).unwrap_err();
        assert!(said.starts_with(expected) && !said.contains("s3cret"), "{text}: {said}");
    }
}

#[test]
fn privacy_can_stand_in_a_file_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let tables = model::tables::Tables::builtin();
    let of = |text: &str| {
        let path = folder.path().join("privacy.toml");
        std::fs::write(&path, text).unwrap();
        privacy_of_file(&path, &tables).map_err(|failure| failure.message().unwrap_or_default())
    };
    assert!(of("[mapper.privacy]\ntitles = \"truncate\"\n").unwrap().is_some());
    assert!(of("[mapper.privacy]\n").unwrap().is_none());
    for (text, expected) in [
        ("[mapper]\ngeoip = []\n", "[mapper] has no key `geoip`"),
        ("", "there is no table [mapper.privacy]"),
        (
            "[mapper.privacy]\ntitle = \"drop\"\n",
            "[mapper.privacy] has no key `title`; did you mean `titles`?",
        ),
        ("[mapper.privacy]\ntitles = \"drop\"\n[sink]\n", "unknown section [sink]"),
        (
            "[mapper.privacy]\ntitles = \"hash\"\n",
            "[mapper.privacy] values are to be hashed, and there is no key",
        ),
    ] {
        let said = of(text).unwrap_err();
        assert!(said.contains(expected), "{text}: {said}");
    }
}

#[test]
fn the_namespace_is_the_sinks() {
    let with = |own: &str| {
        let sink = "[sink]\ntype = \"elasticsearch\"\nurl = \"https://es:9200\"\nnamespace = \"prod\"\n";
        parse(&format!("{SOURCE}{sink}[mapper]\n{own}")).unwrap()
    };
    assert_eq!(with("").namespace().unwrap(), "prod");
    assert_eq!(with("namespace = \"prod\"").namespace().unwrap(), "prod");
    assert!(with("namespace = \"test\"").namespace().is_err());
}

#[test]
fn every_example_reads() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples");
    let environment = |_: &str| Some("https://localhost:9200".to_owned());
    let mut found = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        Config::parse(&path.display().to_string(), &text, &environment).unwrap();
        found += 1;
    }
    assert!(found >= 4);
}
