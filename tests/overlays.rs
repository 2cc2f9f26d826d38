//! What a user's overlay must not be able to do: make a document wrong, or one that an index refuses.

use std::sync::Arc;

use mapper::enrich::GeoDatabases;
use mapper::{Mapper, MapperOptions, Mapping};
use model::tables::{Source, Tables};

use crate::json::Json;
use crate::world;

const FIELD: &str = "field,on,when,home,index,also\n";
const TYPE: &str = "type,category,event_type,outcome,severity,message\n";

fn extended(overlays: &[String]) -> Result<Tables, String> {
    let mut tables = Tables::builtin();
    for text in overlays {
        tables.extend(Source { name: "mine.csv", text }).map_err(|error| error.to_string())?;
    }
    Ok(tables)
}

fn refusal(field_row: &str) -> String {
    extended(&[format!("{FIELD}{field_row}\n")]).expect_err(field_row)
}

/// An outcome and a sentence may reach into an object that is kept whole. What they find there is not part of a
/// record's shape, so no remembered shape may answer for it.
#[test]
fn an_outcome_inside_an_object_is_looked_up_for_every_record() {
    let fields = format!("{FIELD}details,*,,anthropic.audit.details,flattened,\n");
    let types = format!(
        "{TYPE}canvas_checked,file,access info,details.ok true=success false=failure *=unknown,20,\
         checked a canvas[ of kind {{details.kind}}]\n"
    );
    let tables = extended(&[fields, types]).unwrap();
    let mapping = Arc::new(Mapping::new(tables, GeoDatabases::default(), MapperOptions::default()));
    let mut mapper = Mapper::new(mapping);
    let record = |details: &str| {
        format!(
            "{{\"id\":\"a1\",\"created_at\":\"2026-10-05T07:30:00Z\",\"type\":\"canvas_checked\",\
             \"actor\":{{\"type\":\"user_actor\",\"user_id\":\"u1\"}},\"details\":{details}}}"
        )
    };
    let mut outcome_and_message = |details: &str| {
        let document = world::document_of(&mut mapper, record(details).as_bytes());
        let document = Json::read(std::str::from_utf8(&document).unwrap());
        let text = |path| document.at(path).map(|value| format!("{value}")).unwrap_or_default();
        (text("event.outcome"), text("message"))
    };
    for _ in 0..20 {
        assert_eq!(outcome_and_message("{\"ok\":true,\"x\":1}").0, "\"success\"");
    }
    assert_eq!(outcome_and_message("{\"ok\":false,\"x\":1}").0, "\"failure\"");
    assert_eq!(outcome_and_message("{\"okay\":1,\"x\":1}").0, "\"unknown\"");
    assert!(outcome_and_message("{\"ok\":true,\"kind\":\"b\"}").1.contains("of kind b"));
}

#[test]
fn places_that_the_program_fills_are_refused() {
    for home in
        ["event.action", "event.outcome", "message", "user_agent.name", "source.geo.name", "source.ip"]
    {
        let index = if home == "source.ip" { "ip" } else { "keyword" };
        let index = if home == "message" { "match_only_text" } else { index };
        let refusal = refusal(&format!("canvas,*,,{home},{index},"));
        assert!(refusal.contains("is written by the program itself"), "{home}: {refusal}");
    }
    assert!(refusal("canvas,*,,related.user,keyword,").contains("put it under `also`"));
    assert!(refusal("actor.canvas,*,subject=x,anthropic.audit.actor.canvas,keyword,").contains("sibling"));
}

#[test]
fn a_copy_must_fit_the_index_of_its_place() {
    for also in ["client.ip", "event.end", "url.port:url_host"] {
        let refusal = refusal(&format!("canvas,*,,anthropic.audit.canvas,keyword,{also}"));
        assert!(refusal.contains("ECS indexes"), "{also}: {refusal}");
    }
    extended(&[format!("{FIELD}canvas,*,,anthropic.audit.canvas,keyword,url.full file.name\n")]).unwrap();
}

/// More objects than a byte can count, each with a value of its own.
#[test]
fn many_rows_of_ones_own_keep_their_places() {
    let rows: String =
        (0..400).map(|n| format!("zf{n:03},*,,anthropic.audit.g{n:03}.x,keyword,\n")).collect();
    let tables = extended(&[format!("{FIELD}{rows}")]).unwrap();
    let mapping = Arc::new(Mapping::new(tables, GeoDatabases::default(), MapperOptions::default()));
    let members: String = (0..400).map(|n| format!(",\"zf{n:03}\":\"v{n}\"")).collect();
    let raw = format!("{{\"id\":\"a1\",\"type\":\"claude_chat_created\",\"claude_chat_id\":\"c\"{members}}}");
    let document = world::document_of(&mut Mapper::new(mapping), raw.as_bytes());
    let document = Json::read(std::str::from_utf8(&document).unwrap());
    for n in 0..400 {
        let found = document.at(&format!("anthropic.audit.g{n:03}.x")).map(|value| format!("{value}"));
        assert_eq!(found, Some(format!("\"v{n}\"")));
    }
    let rows: String =
        (0..5_000).map(|n| format!("zf{n:04},*,,anthropic.audit.h{n:04},keyword,\n")).collect();
    assert!(extended(&[format!("{FIELD}{rows}")]).unwrap_err().contains("paths in all"));
}

/// What a hostile name or depth costs grows with its length, not with its square: these end at once, or never.
#[test]
fn hostile_names_and_depths_do_not_multiply() {
    world::with_room(|| {
        let mut mapper = world::mapper();
        let name = "a_".repeat(500_000);
        world::document_of(&mut mapper, format!("{{\"id\":\"a\",\"type\":\"{name}\"}}").as_bytes());
        for (open, close) in [("[", "]"), ("{\"k\":", "}")] {
            let deep =
                format!("{{\"id\":\"a\",\"x\":{}\"v\"{}}}", open.repeat(300_000), close.repeat(300_000));
            world::document_of(&mut mapper, deep.as_bytes());
        }
    });
}
