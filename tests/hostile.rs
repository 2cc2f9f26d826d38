//! Records that nobody should send: what becomes of each kind, by place and tag.
//!
//! The issue's list, "Hostile records" and "Not mappable", one test for each entry. That nothing is lost on the
//! way is checked every time; the tests state where things end up.

use mapper::{Mapper, MapperOptions, Mapping, Tags, Unmappable};
use model::tables::Tables;

use crate::json::Json;
use crate::lossless::assert_nothing_lost;
use crate::mutations::nest;
use crate::world;

const METADATA: &str = "anthropic.audit.metadata";

/// The document of a record with these members beside the usual ones; nothing is lost in it.
fn document(members: &str) -> Json {
    record(&format!(
        "{{\"id\":\"a1\",\"created_at\":\"2026-10-05T07:30:00Z\",\"type\":\"claude_chat_created\",\
         \"actor\":{{\"type\":\"user_actor\",\"user_id\":\"u1\"}},\"claude_chat_id\":\"chat_1\"{}{members}}}",
        if members.is_empty() { "" } else { "," }
    ))
}

fn record(raw: &str) -> Json {
    let bytes = world::document_of(&mut world::mapper(), raw.as_bytes());
    assert_nothing_lost(raw, &bytes);
    Json::read(std::str::from_utf8(&bytes).unwrap())
}

fn tags(document: &Json) -> Vec<&str> {
    document.get("tags").map(Json::items).unwrap_or_default().iter().filter_map(Json::text).collect()
}

/// A value in the document, as JSON.
fn at(document: &Json, path: &str) -> String {
    document.at(path).map(ToString::to_string).unwrap_or_default()
}

/// A member of `anthropic.audit.metadata`, as JSON.
fn kept(document: &Json, name: &str) -> String {
    document.at(METADATA).and_then(|metadata| metadata.get(name)).map(ToString::to_string).unwrap_or_default()
}

fn refusal(raw: &[u8]) -> Unmappable {
    world::try_map(&mut world::mapper(), raw, &mut Vec::new()).unwrap_err()
}

#[test]
fn an_ordinary_record_has_no_tags() {
    assert!(document("").get("tags").is_none());
}

#[test]
fn dotted_keys_stay_whole() {
    let document = document(r#""a.b":1,"user.name":"x","actor.user_id":"y""#);
    assert_eq!(kept(&document, "a.b"), "1");
    assert_eq!(kept(&document, "user.name"), "\"x\"");
    assert_eq!(kept(&document, "actor.user_id"), "\"y\"");
    assert_eq!(at(&document, "user.id"), "\"u1\"");
    assert_eq!(tags(&document), ["unknown_field"]);
}

#[test]
fn keys_no_index_takes_are_kept_as_json_text() {
    let long = "k".repeat(513);
    let keys = ["", " ", ".", "..", ".a", "a.", "a..b", "nul\\u0000", long.as_str()];
    for key in keys {
        let document =
            document(&format!("\"{key}\":{{\"x\":[1,null]}},\"fine\":{{\"inner\":{{\"{key}\":2}}}}"));
        let unindexable = document.at(METADATA).unwrap().get("unindexable").unwrap();
        let texts: Vec<_> = unindexable.items().iter().filter_map(Json::text).collect();
        let first = format!("{{\"{key}\":{{\"x\":[1,null]}}}}");
        assert_eq!(texts, [first, format!("{{\"fine\":{{\"inner\":{{\"{key}\":2}}}}}}")], "{key}");
        assert_eq!(tags(&document), ["unknown_field"]);
    }
    let longest = "k".repeat(256);
    assert_eq!(kept(&document(&format!("\"{longest}\":3")), &longest), "3");
}

#[test]
fn keys_that_clash_with_ecs_roots_do_not_reach_them() {
    let names =
        ["@timestamp", "event", "user", "source", "related", "message", "tags", "anthropic", "_id", "ecs"];
    let members: Vec<_> =
        names.iter().map(|name| format!("\"{name}\":{{\"id\":\"clash\",\"ip\":7}}")).collect();
    let (clashing, plain) = (document(&members.join(",")), document(""));
    // `source` is a field of the catalog as well, of another type.
    assert_eq!(tags(&clashing), ["unknown_field", "unexpected_value"]);
    for name in names {
        assert_eq!(kept(&clashing, name), "{\"id\":\"clash\",\"ip\":7}", "{name}");
    }
    for path in ["@timestamp", "event", "user", "source", "related", "message", "ecs"] {
        assert_eq!(at(&clashing, path), at(&plain, path), "{path}");
    }
}

#[test]
fn a_key_that_is_the_mappers_own_is_no_trap() {
    let document = document(r#""unindexable":"mine","metadata":{"unindexable":1},"":2"#);
    assert_eq!(at(&document, "anthropic.audit.setting_metadata"), "{\"unindexable\":1}");
    let unindexable = document.at(METADATA).unwrap().get("unindexable").unwrap();
    assert_eq!(unindexable.items().len(), 2);
}

#[test]
fn strings_of_a_mebibyte_stay_whole_and_messages_stay_short() {
    let long = "x\\n\"ü".replace('"', "\\\"").repeat(1 << 18);
    let document = document(&format!("\"claude_project_id\":\"{long}\",\"novel\":\"{long}\""));
    for path in ["anthropic.audit.claude_project_id", "anthropic.audit.metadata.novel"] {
        assert_eq!(document.at(path).and_then(Json::text).map(str::len), Some(5 << 18), "{path}");
    }
    assert!(document.get("message").and_then(Json::text).unwrap().len() < 2_000);
}

#[test]
fn nesting_is_kept_to_64_and_as_json_text_beyond() {
    for kind in 0..3 {
        for depth in [1, 63, 64, 65, 66, 200, 5_000] {
            let value = nest(depth, kind, "\"core\"");
            let raw = format!("\"novel\":{value}");
            world::with_room(move || {
                let found = document(&raw);
                let mut value = found.at(METADATA).unwrap().get("novel").unwrap();
                let mut levels = 0;
                while let Json::Array(_) | Json::Object(_) = value {
                    value = value.get("k").unwrap_or_else(|| &value.items()[0]);
                    levels += 1;
                }
                assert_eq!(levels, depth.min(mapper::MAX_DEPTH));
                let rest = nest(
                    depth - levels,
                    if levels % 2 == 0 { kind } else { [0, 1, 5][usize::from(kind)] },
                    "\"core\"",
                );
                if kind < 2 {
                    assert_eq!(value.text(), Some(if depth > levels { rest.as_str() } else { "core" }));
                }
            });
        }
    }
}

#[test]
fn nesting_without_a_value_in_it_is_empty_at_any_depth() {
    for kind in 0..3 {
        for depth in [1, 64, 65, 66, 67, 130] {
            for inner in ["", "null", "\"\""] {
                let value = nest(depth, kind, inner);
                let members = format!(
                    "\"novel\":{value},\"title\":{value},\"updates\":[{value}],\"expires_at\":{value}"
                );
                world::with_room(move || {
                    document(&members);
                    record(&format!(
                        "{{\"id\":\"a\",\"type\":{value},\"actor\":{value},\"created_at\":{value}}}"
                    ));
                });
            }
        }
    }
}

/// A record's depth is bounded by its size alone; the stack is not.
#[test]
fn nesting_costs_no_stack() {
    world::with_stack(512 << 10, || {
        let mut mapper = world::mapper();
        for kind in 0..2 {
            for inner in ["1", "null"] {
                let deep = nest(30_000, kind, inner);
                // A field of the sentence, a flattened one, a date, an unknown one, the actor's, and those that identify.
                for name in
                    ["claude_chat_id", "metadata", "expires_at", "novel", "id", "type", "actor", "created_at"]
                {
                    let other = if name == "type" { "id" } else { "type" };
                    let raw = format!("{{\"{other}\":\"claude_chat_created\",\"{name}\":{deep}}}");
                    let out = world::document_of(&mut mapper, raw.as_bytes());
                    assert!(crate::json::is_json(&out), "{name}");
                }
                let raw =
                    format!("{{\"id\":\"a\",\"actor\":{{\"type\":\"user_actor\",\"user_id\":{deep}}}}}");
                world::document_of(&mut mapper, raw.as_bytes());
                let inside = deep.replacen("{\"k\":", "{\"type\":", 30_000);
                let raw = format!(
                    "{{\"id\":\"a\",\"type\":\"claude_user_settings_updated\",\"updates\":{inside}}}"
                );
                world::document_of(&mut mapper, raw.as_bytes());
            }
        }
    });
}

#[test]
fn integers_of_any_size_are_kept_exactly() {
    let huge = "123456789012345678901234567890";
    let found = document(&format!(
        "\"novel\":{huge},\"seat_count\":{huge},\"claude_project_id\":{huge},\"limit_usd\":{huge}"
    ));
    assert_eq!(kept(&found, "novel"), huge);
    assert_eq!(kept(&found, "seat_count"), huge);
    assert_eq!(at(&found, "anthropic.audit.claude_project_id"), format!("\"{huge}\""));
    assert_eq!(at(&found, "anthropic.audit.limit_usd"), huge);
    assert_eq!(tags(&found), ["unknown_field", "unexpected_value"]);
    let edges = document(
        "\"seat_count\":9223372036854775807,\"port\":-9223372036854775808,\"cc_email_count\":9223372036854775808",
    );
    assert_eq!(at(&edges, "anthropic.audit.seat_count"), "9223372036854775807");
    assert_eq!(at(&edges, "anthropic.audit.port"), "-9223372036854775808");
    assert_eq!(kept(&edges, "cc_email_count"), "9223372036854775808");
}

#[test]
fn fractions_keep_their_digits() {
    let found = document(
        "\"limit_usd\":0.1000000000000000055511,\"amount\":1e400,\"novel\":[1.50,1E5,1e400],\"title\":2.50,\"port\":443.0",
    );
    assert_eq!(at(&found, "anthropic.audit.limit_usd"), "0.1000000000000000055511");
    assert_eq!(at(&found, "anthropic.audit.title"), "\"2.50\"");
    assert_eq!(kept(&found, "amount"), "\"1e400\"", "no double holds it");
    assert_eq!(kept(&found, "port"), "443.0", "a long is written without a point");
    assert_eq!(kept(&found, "novel"), "[1.50,1E5,\"1e400\"]");
}

#[test]
fn values_an_index_refuses_move_whole() {
    let found = document(
        r#""enabled":"yes","port":"443","expires_at":"soon","title":{"a":1},"updates":"text","agent_ids":["a",["b"]],"updates_":1"#,
    );
    assert_eq!(kept(&found, "enabled"), "\"yes\"");
    assert_eq!(kept(&found, "port"), "\"443\"");
    assert_eq!(kept(&found, "expires_at"), "\"soon\"");
    assert_eq!(kept(&found, "title"), "{\"a\":1}");
    assert_eq!(kept(&found, "updates"), "\"text\"");
    assert_eq!(kept(&found, "agent_ids"), "[\"a\",[\"b\"]]");
    for name in ["enabled", "port", "expires_at", "title", "updates", "agent_ids"] {
        assert!(found.at(&format!("anthropic.audit.{name}")).is_none(), "{name}");
    }
    assert_eq!(tags(&found), ["unknown_field", "unexpected_value"]);
}

#[test]
fn keywords_take_numbers_and_booleans_as_text() {
    let found = document(r#""claude_project_id":7,"title":true,"agent_ids":["a",1,false,null,""]"#);
    assert_eq!(at(&found, "anthropic.audit.claude_project_id"), "\"7\"");
    assert_eq!(at(&found, "anthropic.audit.title"), "\"true\"");
    assert_eq!(at(&found, "anthropic.audit.agent_ids"), "[\"a\",\"1\",\"false\"]");
    assert!(found.get("tags").is_none());
}

#[test]
fn empty_values_are_left_out_at_every_depth() {
    let found = document(
        r#""title":"","claude_project_id":null,"agent_ids":[null,""],"novel":{"a":null,"b":[{},[""]],"c":{"d":1}}"#,
    );
    assert_eq!(kept(&found, "novel"), "{\"c\":{\"d\":1}}");
    for name in ["title", "claude_project_id", "agent_ids"] {
        assert!(found.at(&format!("anthropic.audit.{name}")).is_none(), "{name}");
    }
}

#[test]
fn lone_surrogates_become_the_replacement_character() {
    let found = document(r#""title":"a\ud800b","novel":{"\udc00":"\ud83d\ude00"}"#);
    assert_eq!(at(&found, "anthropic.audit.title"), "\"a\u{FFFD}b\"");
    assert_eq!(kept(&found, "novel"), "{\"\u{FFFD}\":\"😀\"}");
    assert_eq!(tags(&found), ["preserve_original_event", "unknown_field", "invalid_unicode"]);
    assert!(at(&found, "event.original").contains("\\\\ud800"));
}

#[test]
fn of_a_repeated_key_the_last_value_counts() {
    let found =
        document(r#""claude_chat_id":"chat_2","novel":{"x":1,"y":{"z":1,"z":2},"x":2},"more":1,"more":2"#);
    assert_eq!(at(&found, "anthropic.audit.claude_chat_id"), "\"chat_2\"");
    assert_eq!(kept(&found, "novel"), "{\"y\":{\"z\":2},\"x\":2}");
    assert_eq!(kept(&found, "more"), "2");
    assert_eq!(tags(&found), ["preserve_original_event", "unknown_field", "duplicate_key"]);
    let found = record(
        r#"{"id":"a","id":"b","type":"x","type":"claude_chat_created","actor":{"type":"a","type":"user_actor"},"scope":{"type":1,"type":2}}"#,
    );
    assert_eq!(at(&found, "event.id"), "\"b\"");
    assert_eq!(at(&found, "event.action"), "\"claude_chat_created\"");
    assert_eq!(at(&found, "anthropic.audit.actor.type"), "\"user_actor\"");
    // A value and then none is none, and the original tells.
    let found = document(r#""title":"x","title":null"#);
    assert!(found.at("anthropic.audit.title").is_none() && tags(&found).contains(&"duplicate_key"));
}

#[test]
fn an_address_that_is_none_is_no_ip() {
    for text in ["unknown", "192.0.2.256", "192.0.2.0/24", "fe80::1%eth0", "192.0.2.1:443", " 192.0.2.1"] {
        let found = record(&format!(
            "{{\"id\":\"a\",\"type\":\"claude_chat_created\",\"actor\":{{\"type\":\"user_actor\",\"ip_address\":\"{text}\"}}}}"
        ));
        assert_eq!(at(&found, "source"), format!("{{\"address\":\"{text}\"}}"));
        assert!(found.at("related.ip").is_none());
        assert!(found.get("message").and_then(Json::text).unwrap().contains(&format!(" from {text}")));
    }
    let found = record(
        r#"{"id":"a","type":"claude_chat_created","actor":{"type":"user_actor","ip_address":3232235777}}"#,
    );
    assert_eq!(kept(&found, "actor.ip_address"), "3232235777");
}

#[test]
fn times_are_utc_with_the_digits_of_the_source() {
    let cases = [
        ("2026-10-05T07:30:00", "2026-10-05T07:30:00Z"),
        ("2026-10-05T07:30:00.10", "2026-10-05T07:30:00.10Z"),
        ("2026-10-05T07:30:00.123456+00:00", "2026-10-05T07:30:00.123456Z"),
        ("2026-10-05T07:30:00+02:00", "2026-10-05T05:30:00Z"),
        ("2026-10-05", "2026-10-05"),
    ];
    for (raw, expected) in cases {
        let found =
            record(&format!("{{\"id\":\"a\",\"type\":\"claude_chat_created\",\"created_at\":\"{raw}\"}}"));
        assert_eq!(at(&found, "@timestamp"), format!("\"{expected}\""));
        assert_eq!(at(&found, "event.created"), format!("\"{expected}\""));
        assert!(!tags(&found).contains(&"unexpected_value"), "{raw}");
    }
}

#[test]
fn a_time_with_more_digits_than_an_index_keeps_also_keeps_the_original() {
    let found = document(r#""expires_at":"2026-10-05T07:30:00.1234567891Z""#);
    assert_eq!(at(&found, "anthropic.audit.expires_at"), "\"2026-10-05T07:30:00.123456789Z\"");
    assert_eq!(tags(&found), ["preserve_original_event"]);
}

#[test]
fn without_a_usable_time_it_is_the_epoch() {
    for time in ["null", "\"soon\"", "1791191702", "[]", "\"9999-12-31T23:59:59Z\""] {
        let found =
            record(&format!("{{\"id\":\"a\",\"type\":\"claude_chat_created\",\"created_at\":{time}}}"));
        assert_eq!(at(&found, "@timestamp"), "\"1970-01-01T00:00:00Z\"");
        assert!(tags(&found).contains(&"missing_timestamp"));
        assert!(found.at("event.created").is_none(), "{time}");
    }
}

#[test]
fn access_by_anthropic_happens_when_it_was_accessed() {
    for name in ["anthropic_access", "cmek_preserve"] {
        let with = |accessed: &str| {
            record(&format!(
                "{{\"id\":\"a\",\"type\":\"{name}\",\"created_at\":\"2026-10-05T07:30:00Z\",\"accessed_at\":{accessed}}}"
            ))
        };
        let found = with("\"2026-10-01T00:00:00Z\"");
        assert_eq!(at(&found, "@timestamp"), "\"2026-10-01T00:00:00Z\"");
        assert_eq!(at(&found, "event.created"), "\"2026-10-05T07:30:00Z\"");
        for missing in ["null", "\"soon\""] {
            let found = with(missing);
            assert_eq!(at(&found, "@timestamp"), "\"2026-10-05T07:30:00Z\"");
            assert_eq!(at(&found, "event.created"), "\"2026-10-05T07:30:00Z\"");
        }
    }
}

#[test]
fn an_unknown_type_is_tagged_and_kept_whole() {
    let found = record(
        r#"{"id":"a","created_at":"2026-10-05T07:30:00Z","type":"claude_chat_teleport_failed","claude_chat_id":"c","speed":{"c":0.9}}"#,
    );
    assert_eq!(at(&found, "event.action"), "\"claude_chat_teleport_failed\"");
    assert_eq!(at(&found, "event.outcome"), "\"failure\"");
    assert_eq!(at(&found, "anthropic.audit.claude_chat_id"), "\"c\"");
    assert_eq!(kept(&found, "speed"), "{\"c\":0.9}");
    assert!(tags(&found).contains(&"unknown_activity_type") && tags(&found).contains(&"unknown_field"));
}

#[test]
fn a_record_without_a_type_still_says_something() {
    for kind in ["null", "\"\"", "7", "[\"claude_chat_created\"]"] {
        let found = record(&format!("{{\"id\":\"a\",\"type\":{kind}}}"));
        assert!(found.at("event.action").is_none() && tags(&found).contains(&"unknown_activity_type"));
        let message = found.get("message").and_then(Json::text).unwrap();
        assert!(message.ends_with(char::is_alphabetic), "{message:?}");
    }
}

#[test]
fn an_unknown_actor_kind_still_has_address_and_agent() {
    let found = record(
        r#"{"id":"a","type":"claude_chat_created","actor":{"type":"robot_actor","robot_id":"r","ip_address":"192.0.2.1","user_agent":"curl/8.9.1"}}"#,
    );
    assert_eq!(at(&found, "source.ip"), "\"192.0.2.1\"");
    assert_eq!(at(&found, "source.geo.city_name"), "\"Amsterdam\"");
    assert_eq!(at(&found, "user_agent.original"), "\"curl/8.9.1\"");
    assert_eq!(at(&found, "anthropic.audit.actor.type"), "\"robot_actor\"");
    assert_eq!(kept(&found, "actor.robot_id"), "\"r\"");
    assert!(tags(&found).contains(&"unknown_actor_type"));
    for actor in ["\"somebody\"", "[1]", "7", "[{\"type\":\"user_actor\"}]"] {
        let found = record(&format!("{{\"id\":\"a\",\"type\":\"claude_chat_created\",\"actor\":{actor}}}"));
        assert_eq!(kept(&found, "actor"), actor);
        assert!(tags(&found).contains(&"unexpected_value"));
    }
}

#[test]
fn a_record_without_id_gets_one_that_spelling_does_not_change() {
    let id = |raw: &str| {
        let found = record(raw);
        assert!(tags(&found).contains(&"derived_event_id"), "{raw}");
        let id = found.at("event.id").and_then(Json::text).unwrap().to_owned();
        assert!(id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
        id
    };
    let first = id(r#"{"type":"claude_chat_created","n":{"a":1,"b":[true,"é"]}}"#);
    assert_eq!(id(r#" { "n" : {"b":[true,"\u00e9"],"a":1}, "type":"claude_chat_created" } "#), first);
    assert_ne!(id(r#"{"type":"claude_chat_created","n":{"a":1,"b":["é",true]}}"#), first);
    assert_ne!(id(r#"{"type":"claude_chat_created","n":{"a":"1","b":[true,"é"]}}"#), first);
    for missing in ["null", "\"\"", "{}", "[]", "{\"not\":\"an id\"}"] {
        id(&format!("{{\"id\":{missing},\"type\":\"claude_chat_created\"}}"));
    }
    assert_eq!(at(&record("{\"id\":1234567890123456789012}"), "event.id"), "\"1234567890123456789012\"");
}

#[test]
fn what_the_caller_gets_beside_the_document() {
    let mut mapper = world::mapper();
    let mut out = Vec::new();
    let mapped = mapper.map(br#"{"id":12.50,"type":"novel_thing"}"#, &mut out).unwrap();
    assert_eq!((mapped.event_id, mapped.activity_type), ("12.50", "novel_thing"));
    assert!(
        mapped.tags.contains(Tags::UNKNOWN_ACTIVITY_TYPE) && mapped.tags.contains(Tags::MISSING_TIMESTAMP)
    );
    let mapped = mapper.map(br#"{"id":"x"}"#, &mut out).unwrap();
    assert_eq!((mapped.event_id, mapped.activity_type), ("x", ""));
}

#[test]
fn bytes_that_are_not_json_say_where() {
    let cases: [(&[u8], usize); 12] = [
        (b"", 0),
        (b"hello", 0),
        (b"{\"id\":\"a\"", 9),
        (b"{\"id\":\"a\"} x", 11),
        (b"{\"id\":\"a\"}{\"id\":\"b\"}", 10),
        (b"{\"id\":01}", 7),
        (b"{\"id\":\"a\",}", 10),
        (b"{'id':1}", 1),
        (b"{\"id\":\"a\nb\"}", 8),
        (b"{\"id\":\"\xff\"}", 7),
        (b"\xef\xbb\xbf{\"id\":\"a\"}", 0),
        (b"{\"id\":NaN}", 6),
    ];
    for (raw, offset) in cases {
        let error = refusal(raw);
        assert_eq!(
            (error.reason(), error.offset()),
            ("not_json", offset),
            "{}",
            String::from_utf8_lossy(raw)
        );
        assert!(error.to_string().contains(&format!("at byte {offset}")), "{error}");
    }
}

#[test]
fn values_that_are_no_object_say_what_they_are() {
    for (raw, found) in [
        ("[{\"id\":\"a\"}]", "an array"),
        ("\"text\"", "a string"),
        ("null", "null"),
        ("true", "a boolean"),
        ("12345678901234567890123", "a number"),
        (" 7 ", "a number"),
    ] {
        let error = refusal(raw.as_bytes());
        assert_eq!(error.reason(), "not_an_object");
        assert!(error.to_string().ends_with(found), "{error}");
    }
}

#[test]
fn an_object_without_id_and_type_is_no_activity() {
    for raw in [
        "{}",
        "{\"id\":null,\"type\":\"\"}",
        "{\"data\":[{\"id\":\"a\"}]}",
        "{\"ID\":\"a\",\"actor\":{\"type\":\"user_actor\"}}",
    ] {
        assert_eq!(refusal(raw.as_bytes()), Unmappable::NotAnActivity, "{raw}");
    }
}

#[test]
fn a_record_over_the_limit_is_refused_unread() {
    let options = MapperOptions { max_record_bytes: 20, ..MapperOptions::default() };
    let mut mapper = Mapper::new(Mapping::new(Tables::builtin(), world::geo(), options).into());
    let mut out = Vec::new();
    assert!(mapper.map(b"{\"id\":\"123456789012\"}", &mut out).is_err() && out.is_empty());
    assert_eq!(
        mapper.map(b"not JSON, but too long", &mut out),
        Err(Unmappable::TooLarge { size: 22, limit: 20 })
    );
    assert!(mapper.map(b"{\"id\":\"12345678901\"}", &mut out).is_ok());
    assert_eq!(MapperOptions::default().max_record_bytes, 16 << 20);
}

#[test]
fn the_options_of_a_mapper() {
    let options = MapperOptions {
        namespace: "say \"hi\"".to_owned(),
        preserve_original: true,
        event_hash: true,
        ..MapperOptions::default()
    };
    let mut mapper = Mapper::new(Mapping::new(Tables::builtin(), world::geo(), options).into());
    let raw = r#" {"id":"a","type":"claude_chat_created"}"#;
    let document = Json::read(std::str::from_utf8(&world::document_of(&mut mapper, raw.as_bytes())).unwrap());
    assert_eq!(at(&document, "data_stream.namespace"), r#""say \"hi\"""#);
    assert_eq!(document.at("event.original").and_then(Json::text), Some(raw));
    assert_eq!(at(&document, "event.hash").len(), 66);
    assert!(tags(&document).contains(&"preserve_original_event"));
}
