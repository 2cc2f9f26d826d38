//! Records and what becomes of them, byte by byte.

use model::settings::Secret;
use model::tables::Tables;

use super::*;
use crate::privacy::{PrivacyOptions, PrivacyRule};

fn privacy(action: Action, rules: &[(&str, &str, Action)]) -> Privacy {
    let rule = |(field, on, action): &(&str, &str, Action)| PrivacyRule {
        fields: vec![(*field).to_owned()],
        activity_types: on.split_whitespace().map(str::to_owned).collect(),
        action: *action,
    };
    let options = PrivacyOptions {
        classes: Class::ALL.map(|class| (class, action)).into(),
        rules: rules.iter().map(rule).collect(),
        key: Some(Secret::new("a key of enough bytes")),
    };
    Privacy::new(&options, &Tables::builtin()).unwrap().unwrap()
}

/// What becomes of a record, and the names of the tags; nothing if it is not JSON.
fn treated(privacy: &Privacy, raw: &str) -> Option<(String, Vec<&'static str>)> {
    let mut treater = Treater::new();
    let mut found = None;
    // The second time by what is remembered of the first.
    for _ in 0..2 {
        let tags = treater.treat(privacy, raw.as_bytes(), 1 << 20).ok();
        let text = |tags: Tags| {
            let bytes = if tags.is_empty() { raw.as_bytes() } else { treater.record() };
            String::from_utf8(bytes.to_vec()).unwrap()
        };
        let now = tags.map(|tags| (text(tags), tags.names().collect::<Vec<_>>()));
        assert!(found.is_none_or(|before| before == now), "not the same again: {raw}");
        found = Some(now);
    }
    found.flatten()
}

#[test]
fn only_what_is_treated_changes() {
    let drop = privacy(Action::Drop, &[]);
    for (raw, expected) in [
        (r#"{"id":"a","x":1.50,"b":[ 1e400,"",null ]}"#, ""),
        (r#" { "title" : "t" , "x" : 1 } "#, r#" { "title" : null , "x" : 1 } "#),
        (
            r#"{"title":7,"x":{"body":true,"url":null,"urls":[]}}"#,
            r#"{"title":null,"x":{"body":true,"url":null,"urls":[]}}"#,
        ),
        (r#"{"title":{"a":["b"]},"x":[{"url":"u"},"c"]}"#, r#"{"title":null,"x":[{"url":null},"c"]}"#),
        (r#"{"x":["192.0.2.1",["a@example.com"],"a@b"]}"#, r#"{"x":[null,[null],"a@b"]}"#),
        (
            r#"{"x":"\u0061\u0040example.com","y":"192\u002e0.2.1","z":"\n"}"#,
            r#"{"x":null,"y":null,"z":"\n"}"#,
        ),
        (r#"{"ti\u0074le":"t","title":"u"}"#, r#"{"ti\u0074le":null,"title":null}"#),
        (
            r#"{"version":"1.2.3.4","versions":["1.2.3.4"],"x":"1.2.3.4"}"#,
            r#"{"version":"1.2.3.4","versions":["1.2.3.4"],"x":null}"#,
        ),
        (
            r#"{"id":"a@example.com","type":"192.0.2.1","actor":{"type":"a@example.com","id":"a@example.com"}}"#,
            r#"{"id":"a@example.com","type":"192.0.2.1","actor":{"type":"a@example.com","id":null}}"#,
        ),
        (r#"{"id":{"x":"a@example.com"}}"#, r#"{"id":{"x":null}}"#),
    ] {
        let (found, tags) = treated(&drop, raw).unwrap();
        let is_same = expected.is_empty();
        assert_eq!(found, if is_same { raw } else { expected });
        assert_eq!(tags, if is_same { vec![] } else { vec!["privacy_dropped"] }, "{raw}");
    }
}

#[test]
fn keys_that_are_addresses_go_with_their_commas() {
    let drop = privacy(Action::Drop, &[]);
    for (raw, expected) in [
        (r#"{"a@example.com":1}"#, r#"{}"#),
        (r#"{ "a@example.com" : {"x":[1]} }"#, r#"{  }"#),
        (r#"{"a@example.com":1,"x":2}"#, r#"{"x":2}"#),
        (r#"{"x":2,"a@example.com":1}"#, r#"{"x":2}"#),
        (r#"{"x":2 , "a@example.com":1 , "y":3}"#, r#"{"x":2  , "y":3}"#),
        (
            r#"{"a@example.com":1,"192.0.2.1":2,"x":{"b@example.com":1,"y":1,"c@example.com":1}}"#,
            r#"{"x":{"y":1}}"#,
        ),
        (r#"{"a@example.com":1,"b@example.com":"u"}"#, r#"{}"#),
    ] {
        let (found, tags) = treated(&drop, raw).unwrap();
        assert_eq!(found, expected, "{raw}");
        assert_eq!(tags, ["privacy_dropped"], "{raw}");
    }
    let truncate = privacy(Action::Truncate, &[]);
    let (found, _) = treated(&truncate, r#"{"a@example.com":{"192.0.2.7":"b@example.org"}}"#).unwrap();
    assert_eq!(found, r#"{"@example.com":{"192.0.2.0":"@example.org"}}"#);
    let hash = privacy(Action::Hash, &[]);
    let (found, _) = treated(&hash, r#"{"a@example.com":"A@EXAMPLE.com"}"#).unwrap();
    let (key, value) = found[1..found.len() - 1].split_once(':').unwrap();
    assert_eq!(key, value);
}

#[test]
fn keys_that_are_addresses_are_treated_under_rules_too() {
    let raw = r#"{"metadata":{"ada@example.com":5},"request_body":{"192.0.2.7":1}}"#;
    let rules = |action| [("metadata", "", action), ("request_body", "", action)];
    for class_action in [Action::Keep, Action::Drop] {
        let of = |action| treated(&privacy(class_action, &rules(action)), raw).unwrap().0;
        let hashed = of(Action::Hash);
        assert!(!hashed.contains("ada@") && !hashed.contains("192."), "{hashed}");
        assert_eq!(hashed.matches("\"hmac_").count(), 4, "{hashed}");
        assert_eq!(of(Action::Truncate), r#"{"metadata":{"@example.com":5},"request_body":{"192.0.2.0":1}}"#);
        if class_action == Action::Drop {
            assert_eq!(of(Action::Keep), raw);
        }
    }
    // What it lies in may say less than what it is.
    let options = PrivacyOptions {
        classes: [(Class::Body, Action::Hash), (Class::Email, Action::Truncate)].into(),
        key: Some(Secret::new("a key of enough bytes")),
        ..PrivacyOptions::default()
    };
    let bodies = Privacy::new(&options, &Tables::builtin()).unwrap().unwrap();
    let (found, _) = treated(&bodies, raw).unwrap();
    assert!(found.starts_with(r#"{"metadata":{"@example.com":5},"request_body":{"hmac_"#), "{found}");
}

#[test]
fn keys_are_bounded_too() {
    let hash = privacy(Action::Hash, &[]);
    let members: Vec<String> = (0..100).map(|number| format!("\"{number}@example.com\":1")).collect();
    let raw = format!("{{\"x\":{{{}}}}}", members.join(","));
    for room in [0, 1, 100, 1000] {
        let mut treater = Treater::new();
        let tags = treater.treat(&hash, raw.as_bytes(), room).unwrap();
        assert!(treater.record().len() <= raw.len() + room, "{room}");
        assert!(tags.contains(Tags::PRIVACY_DROPPED));
        assert_eq!(tags.contains(Tags::PRIVACY_HASHED), room > 50, "{room}");
        assert!(!String::from_utf8_lossy(treater.record()).contains('@'));
        scan::checked(treater.record()).unwrap();
    }
}

#[test]
fn a_version_is_no_address_but_may_be_an_email_address() {
    let drop = privacy(Action::Drop, &[]);
    let raw = r#"{"client_version":"ada@example.com","a_version":"1.2.3.4","versions":["a\u0040example.com","1.2.3.4",1]}"#;
    let expected = r#"{"client_version":null,"a_version":"1.2.3.4","versions":[null,"1.2.3.4",1]}"#;
    assert_eq!(treated(&drop, raw).unwrap().0, expected);
    let rule = privacy(Action::Keep, &[("metadata.team", "", Action::Drop)]);
    assert_eq!(treated(&rule, raw).unwrap().0, raw);
}

#[test]
fn the_type_decides_wherever_it_stands() {
    let rules =
        [("filename", "claude_file_viewed", Action::Keep), ("updates", "claude_user_*", Action::Hash)];
    let drop = privacy(Action::Drop, &rules);
    for (raw, expected) in [
        (
            r#"{"type":"claude_file_viewed","filename":"a.txt"}"#,
            r#"{"type":"claude_file_viewed","filename":"a.txt"}"#,
        ),
        (
            r#"{"filename":"a.txt","x":{"type":"y"},"type":"claude_file_viewed"}"#,
            r#"{"filename":"a.txt","x":{"type":"y"},"type":"claude_file_viewed"}"#,
        ),
        (
            r#"{"filename":"a.txt","\u0074ype":"claude_file_\u0076iewed"}"#,
            r#"{"filename":"a.txt","\u0074ype":"claude_file_\u0076iewed"}"#,
        ),
        (
            r#"{"filename":"a.txt","x":{"type":"claude_file_viewed"}}"#,
            r#"{"filename":null,"x":{"type":"claude_file_viewed"}}"#,
        ),
        (
            r#"{"filename":"a.txt","type":"claude_file_viewed","type":"other"}"#,
            r#"{"filename":null,"type":"claude_file_viewed","type":"other"}"#,
        ),
        (
            r#"{"updates":[{"current_value":"A","type":"full_name"},{"current_value":"B","type":"name"}]}"#,
            r#"{"updates":[{"current_value":null,"type":"full_name"},{"current_value":"B","type":"name"}]}"#,
        ),
        (
            r#"{"type":"claude_user_settings_updated","updates":[{"current_value":"Ada Lovelace","previous_value":"Ada L"}]}"#,
            "",
        ),
        (
            r#"{"type":"x","updates":[{"current_value":"Ada Lovelace"},{"type":"nick\u006eame","current_value":"Ada"}]}"#,
            r#"{"type":"x","updates":[{"current_value":"Ada Lovelace"},{"type":"nick\u006eame","current_value":null}]}"#,
        ),
    ] {
        let drop = if expected.is_empty() { &privacy(Action::Drop, &[]) } else { &drop };
        let expected = if expected.is_empty() {
            r#"{"type":"claude_user_settings_updated","updates":[{"current_value":null,"previous_value":null}]}"#
        } else {
            expected
        };
        assert_eq!(treated(drop, raw).unwrap().0, expected);
    }
    let raw = r#"{"updates":[{"current_value":true,"type":"x"}],"type":"claude_user_of_tomorrow"}"#;
    let (found, tags) = treated(&drop, raw).unwrap();
    assert!(found.starts_with(r#"{"updates":[{"current_value":"hmac_"#), "{found}");
    assert_eq!(tags, ["privacy_hashed"]);
}

#[test]
fn what_is_not_json_is_not_treated() {
    let drop = privacy(Action::Drop, &[]);
    for raw in [
        "",
        " ",
        "{",
        "{\"title\":\"a\"",
        "{\"title\":\"a\"}}",
        "{\"title\" \"a\"}",
        "{\"title\":\"\\x\"}",
        "{\"title\":\"a\nb\"}",
        "{\"title\":01}",
        "{\"title\":[1}",
        "{\"title\":{\"a\":}}",
        "{title:1}",
        "{\"a@example.com\":[}",
        "{\"a@example.com\":1,}",
        "[1,]x",
        "{\"title\":\"a\",,\"b\":1}",
    ] {
        assert_eq!(treated(&drop, raw), None, "{raw}");
    }
}

#[test]
fn what_is_too_deep_is_dropped() {
    let keep_names = privacy(Action::Truncate, &[]);
    for (depth, is_dropped) in [(MAX_DEPTH - 1, false), (MAX_DEPTH, true), (10_000, true)] {
        let raw = format!("{{\"x\":{}1{}}}", "[".repeat(depth), "]".repeat(depth));
        let (found, tags) = treated(&keep_names, &raw).unwrap();
        assert_eq!(tags.contains(&"privacy_dropped"), is_dropped, "{depth}");
        assert_eq!(found.len() < raw.len() || depth == MAX_DEPTH && is_dropped, is_dropped, "{depth}");
    }
}
