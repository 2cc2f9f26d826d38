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
