//! Every refusal of the table check once, and what a user's overlay may and may not do.
//!
//! Each case edits copies of the shipped tables in memory and states the whole complaint: file, line, words.

use model::catalog::{CATALOG_JSON, Catalog};
use model::tables::{ACTIVITIES, ACTORS, ECS_FIELDS, EcsFields, FIELDS, SUFFIXES, Source, Tables, check};

use crate::json::Json;
use crate::world;

/// The shipped texts, to be edited.
struct Texts {
    activities: String,
    actors: String,
    fields: String,
    suffixes: String,
    ecs: String,
    catalog: String,
}

impl Texts {
    fn new() -> Self {
        let [activities, actors, fields, suffixes, ecs] =
            [ACTIVITIES, ACTORS, FIELDS, SUFFIXES, ECS_FIELDS].map(|source| source.text.to_owned());
        Self { activities, actors, fields, suffixes, ecs, catalog: CATALOG_JSON.to_owned() }
    }

    /// What the build would print.
    fn complaints(&self) -> Vec<String> {
        let source = |shipped: Source<'static>, text| Source { name: shipped.name, text };
        let mut problems = Vec::new();
        let ecs = EcsFields::read(source(ECS_FIELDS, &self.ecs), &mut problems);
        let tables = Tables::parse(
            source(ACTIVITIES, &self.activities),
            source(ACTORS, &self.actors),
            source(FIELDS, &self.fields),
            source(SUFFIXES, &self.suffixes),
        );
        match tables {
            Ok(tables) => problems.extend(check(&Catalog::parse(&self.catalog).unwrap(), &ecs, &tables)),
            Err(error) => problems.extend(error.0),
        }
        problems.iter().map(ToString::to_string).collect()
    }
}

/// Replaces the one line that begins with `start`.
fn replace_line(text: &mut String, start: &str, with: &str) {
    let found: Vec<_> = text.lines().filter(|line| line.starts_with(start)).collect();
    assert_eq!(found.len(), 1, "lines that begin with {start}: {found:?}");
    let with = if with.is_empty() { String::new() } else { format!("\n{with}") };
    *text = text.replacen(&format!("\n{}\n", found[0]), &format!("{with}\n"), 1);
}

fn insert_before(text: &mut String, start: &str, line: &str) {
    let at = text.find(&format!("\n{start}")).unwrap() + 1;
    text.insert_str(at, &format!("{line}\n"));
}

fn line_of(text: &str, start: &str) -> usize {
    text.lines().position(|line| line.starts_with(start)).unwrap() + 1
}

/// Edits the texts and demands exactly one complaint, with `#` standing for the line that begins with `line`.
#[track_caller]
fn refused(edit: impl Fn(&mut Texts), line: (&str, &str), expected: &str) {
    let mut texts = Texts::new();
    edit(&mut texts);
    let text = match line.0 {
        "activities" => &texts.activities,
        "actors" => &texts.actors,
        "suffixes" => &texts.suffixes,
        _ => &texts.fields,
    };
    let place = match line.1 {
        "" => format!("mappings/{}.csv: ", line.0),
        start => format!("mappings/{}.csv:{}: ", line.0, line_of(text, start)),
    };
    assert_eq!(texts.complaints(), [place + expected]);
}

const CHAT: &str = "claude_chat_created,";

#[track_caller]
fn activity_refused(row: &str, expected: &str) {
    let row = format!("{CHAT}{row}");
    refused(|texts| replace_line(&mut texts.activities, CHAT, &row), ("activities", CHAT), expected);
}

#[test]
fn the_shipped_tables_are_accepted() {
    assert_eq!(Texts::new().complaints(), Vec::<String>::new());
}

#[test]
fn types_without_row_and_rows_without_type() {
    refused(
        |texts| replace_line(&mut texts.activities, CHAT, ""),
        ("activities", ""),
        "no row for the activity type `claude_chat_created`",
    );
    let row = "claude_chat_createe,session,start,success,20,did";
    refused(
        |texts| insert_before(&mut texts.activities, "claude_chat_deleted,", row),
        ("activities", "claude_chat_createe"),
        "the catalog has no activity type `claude_chat_createe`",
    );
}

#[test]
fn fields_without_row_and_rows_without_field() {
    refused(
        |texts| replace_line(&mut texts.fields, "can_write,", ""),
        ("fields", ""),
        "no row for the field `can_write` of `ccr_agent_slack_access_scope_created`",
    );
    let row = "can_writf,*,,anthropic.audit.can_writf,boolean,";
    refused(
        |texts| insert_before(&mut texts.fields, "cascade_trigger_credential_id,", row),
        ("fields", "can_writf"),
        "the catalog has no field `can_writf` on `*`",
    );
    let nested = "status.detail,";
    refused(
        |texts| replace_line(&mut texts.fields, nested, ""),
        ("fields", ""),
        "no row for the field `status.detail` of `platform_federated_authentication`",
    );
    let conditional = "is_public,*,platform=x,anthropic.audit.is_public,boolean,";
    let mut texts = Texts::new();
    replace_line(&mut texts.fields, "is_public,", conditional);
    let complaints = texts.complaints();
    assert!(!complaints.is_empty());
    assert!(
        complaints.iter().all(|text| text.contains("no row without condition for the field `is_public`")),
        "{complaints:?}"
    );
}

#[test]
fn actor_kinds_without_row_and_rows_without_kind() {
    refused(
        |texts| replace_line(&mut texts.actors, "system_actor,", ""),
        ("actors", ""),
        "no row for the actor kind `system_actor`",
    );
    refused(
        |texts| insert_before(&mut texts.actors, "user_actor,", "updater_actor,An updater,"),
        ("actors", "updater_actor"),
        "the catalog has no actor kind `updater_actor`",
    );
    refused(
        |texts| replace_line(&mut texts.actors, "*,", ""),
        ("actors", ""),
        "no row `*` for actor kinds not known",
    );
}

#[test]
fn homes_that_ecs_does_not_have() {
    let with = |home: &'static str, index: &'static str| {
        move |texts: &mut Texts| {
            replace_line(&mut texts.fields, "can_write,", &format!("can_write,*,,{home},{index},"))
        }
    };
    let place = ("fields", "can_write,");
    refused(
        with("file.writeable", "boolean"),
        place,
        "ECS has no field `file.writeable`; vendor fields begin with `anthropic.`",
    );
    refused(
        with("can_write", "boolean"),
        place,
        "ECS has no field `can_write`; vendor fields begin with `anthropic.`",
    );
    refused(with("dns.answers.ttl", "boolean"), place, "ECS indexes `dns.answers.ttl` as long, not boolean");
    refused(with("anthropic.audit.can_write", "bool"), place, "`bool` is no index type");
    refused(
        with("anthropic.audit.can_write", "date"),
        place,
        "date cannot index what the catalog says of `can_write` on `ccr_agent_slack_access_scope_created`",
    );
    refused(
        |texts| {
            replace_line(
                &mut texts.fields,
                "can_write,",
                "can_write,*,,anthropic.audit.can_write,boolean,file.writeable",
            )
        },
        place,
        "ECS has no field `file.writeable`; vendor fields begin with `anthropic.`",
    );
    refused(
        |texts| {
            replace_line(
                &mut texts.fields,
                "can_write,",
                "can_write,*,,anthropic.audit.can_write,boolean,file.name:upper",
            )
        },
        place,
        "`upper` is no conversion",
    );
}

#[test]
fn one_path_one_index_type() {
    refused(
        |texts| {
            replace_line(
                &mut texts.fields,
                "cc_email_count,",
                "cc_email_count,*,,anthropic.audit.can_write,long,",
            )
        },
        ("fields", "cc_email_count,"),
        "`anthropic.audit.can_write` is indexed as boolean by another row, as long here",
    );
    let mut texts = Texts::new();
    replace_line(&mut texts.fields, "can_write,", "can_write,*,,anthropic.audit.mode.can_write,boolean,");
    let complaints = texts.complaints();
    let expected =
        "`anthropic.audit.mode` cannot be a value and the parent of `anthropic.audit.mode.can_write` at once";
    assert!(complaints.len() == 1 && complaints[0].ends_with(expected), "{complaints:?}");
    let mut texts = Texts::new();
    let row = "claude_chat_snapshot_id,*,,anthropic.audit.claude_chat_id,keyword,";
    replace_line(&mut texts.fields, "claude_chat_snapshot_id,", row);
    let complaints = texts.complaints();
    let place = format!("mappings/fields.csv:{}: ", line_of(&texts.fields, "claude_chat_snapshot_id,"));
    let expected = "`claude_chat_id` and `claude_chat_snapshot_id` of `claude_chat_snapshot_created` share the home `anthropic.audit.claude_chat_id`";
    assert!(complaints.contains(&format!("{place}{expected}")), "{complaints:?}");
}

/// Paths the mapper writes without a row belong to the check as well: a row must not contradict them.
#[test]
fn the_mappers_own_paths_contradict_no_row() {
    let tables = Tables::builtin();
    let homes =
        tables.fields.iter().flat_map(|row| row.also.iter().map(|copy| &copy.path).chain([&row.home]));
    let homes: std::collections::BTreeSet<_> = homes.map(String::as_str).collect();
    for own in [world::ANONYMIZER, "anthropic.audit.metadata"] {
        let parents: Vec<_> = own.match_indices('.').map(|(at, _)| &own[..at]).collect();
        assert!(parents.iter().all(|parent| !homes.contains(parent)), "{own} is below the home of a field");
        assert!(
            !homes.iter().any(|home| home.starts_with(&format!("{own}."))),
            "the home of a field is below {own}"
        );
        assert!(!homes.contains(own), "{own} is the home of a field");
    }
}

#[test]
fn event_types_that_ecs_does_not_expect() {
    activity_refused(
        "file session,creation,success,20,did",
        "event.category `session` expects one of the event types start end info, found creation",
    );
    activity_refused(
        "file,creation protocol,success,20,did",
        "event.type `protocol` is expected by none of the categories file",
    );
    activity_refused("files file,creation,success,20,did", "`files` is no event.category of ECS");
    activity_refused("file,creation created,success,20,did", "`created` is no event.type of ECS");
    activity_refused("file,creation creation,success,20,did", "a value stands twice in `creation creation`");
    activity_refused(",,success,20,did", "event.category and event.type must not be empty");
    refused(
        |texts| replace_line(&mut texts.suffixes, "_renamed,", "_renamed,rename,success,30"),
        ("suffixes", "_renamed"),
        "`rename` is no event.type of ECS",
    );
    refused(
        |texts| replace_line(&mut texts.suffixes, ",info,", ""),
        ("suffixes", "_succeeded"),
        "the last row must have an empty suffix and take the rest",
    );
}

#[test]
fn rows_out_of_order_or_twice() {
    refused(
        |texts| {
            let row = texts.activities.lines().find(|line| line.starts_with(CHAT)).unwrap().to_owned();
            replace_line(&mut texts.activities, CHAT, "");
            insert_before(&mut texts.activities, "account_deleted,", &row);
        },
        ("activities", "account_deleted,"),
        "not sorted: \"account_deleted\" comes after \"claude_chat_created\"",
    );
    let mut texts = Texts::new();
    insert_before(&mut texts.activities, CHAT, &format!("{CHAT}file,creation,success,20,did"));
    assert_eq!(
        texts.complaints(),
        [format!(
            "mappings/activities.csv:{}: a second row for \"claude_chat_created\"",
            line_of(&texts.activities, CHAT) + 1
        )]
    );
    let mut texts = Texts::new();
    insert_before(&mut texts.fields, "can_write,", "can_write,*,,anthropic.audit.can_write,boolean,");
    assert_eq!(
        texts.complaints(),
        [format!(
            "mappings/fields.csv:{}: a second row for (\"can_write\", \"*\", \"\")",
            line_of(&texts.fields, "can_write,") + 1
        )]
    );
    refused(
        |texts| insert_before(&mut texts.actors, "user_actor,", "zebra_actor,A zebra,"),
        ("actors", "user_actor"),
        "not sorted: \"user_actor\" comes after \"zebra_actor\"",
    );
}

#[test]
fn sentences_about_fields_that_are_not_there() {
    activity_refused(
        "file,creation,success,20,created[ {claude_artifact_id}]",
        "the sentence names `claude_artifact_id`, which the catalog does not have here",
    );
    activity_refused(
        "file,creation,success,20,created {claude_project_id}",
        "`claude_project_id` may be absent: put it into a [group]",
    );
}

#[test]
fn sentences_that_cannot_be_read() {
    activity_refused("file,creation,success,20,created {claude_chat_id", "a { without its }");
    activity_refused("file,creation,success,20,created [chat]", "a [group] without a {value}");
    activity_refused(
        "file,creation,success,20,created it.",
        "the message must not end in a full stop or a space: the place is put behind it",
    );
    activity_refused("file,creation,success,20,", "the message is empty");
}

#[test]
fn outcomes_that_the_catalog_does_not_know() {
    let rule = |rule: &str| format!("file,creation,{rule},20,did");
    activity_refused(
        &rule("approved true=success *=unknown"),
        "`claude_chat_created` has no field `approved`",
    );
    activity_refused(&rule("fine"), "`fine` is no outcome; ECS allows success, failure, unknown");
    activity_refused(
        &rule("id x=success"),
        "an outcome by field needs at least one value=outcome and ends with *=outcome",
    );
    let import = "github_token_import,";
    refused(
        |texts| {
            let row = texts.activities.lines().find(|line| line.starts_with(import)).unwrap().to_owned();
            replace_line(&mut texts.activities, import, &row.replace("imported=success", "fine=success"));
        },
        ("activities", import),
        "`result` has no value `fine`, only failed_internal imported rejected_feature_disabled rejected_invalid_credential \
         rejected_missing_repo_scope rejected_tenant_not_ready rejected_zdr_policy unspecified",
    );
}

#[test]
fn severities_out_of_range() {
    for severity in ["101", "-1", "high", "", "256"] {
        let expected = format!("severity `{severity}` is not 0 to 100");
        activity_refused(&format!("file,creation,success,{severity},did"), &expected);
    }
}

#[test]
fn files_that_are_no_tables() {
    let mut texts = Texts::new();
    texts.actors = texts.actors.replacen("actor,subject,set", "actor,subject", 1);
    assert_eq!(texts.complaints()[0], "mappings/actors.csv:1: the header must be `actor,subject,set`");
    activity_refused(
        "file,creation,success,20",
        "5 cells, expected 6 (type,category,event_type,outcome,severity,message)",
    );
}

fn overlay(text: &str) -> Result<Tables, String> {
    let mut tables = Tables::builtin();
    tables.extend(Source { name: "mine.csv", text }).map(|()| tables).map_err(|error| error.to_string())
}

const ACTIVITY_HEADER: &str = "type,category,event_type,outcome,severity,message";
const FIELD_HEADER: &str = "field,on,when,home,index,also";

fn mapped_with(tables: Tables, raw: &str) -> Json {
    let mapping = mapper::Mapping::new(tables.clone(), world::geo(), mapper::MapperOptions::default());
    let document = world::document_of(&mut mapper::Mapper::new(mapping.into()), raw.as_bytes());
    crate::lossless::Checker::new(tables).demand(raw, &document, crate::lossless::Origin::Anywhere);
    Json::read(std::str::from_utf8(&document).unwrap())
}

#[test]
fn an_overlay_adds_types_and_fields() {
    let mut tables = overlay(&format!(
        "\u{feff}{ACTIVITY_HEADER}\r\nclaude_canvas_exported,file,access info,status_code 2xx=success *=failure,50,\"exported canvas {{canvas_id}}, whole\"\r\n"
    ))
    .unwrap();
    let fields = format!(
        "{FIELD_HEADER}\ncanvas_id,*,,anthropic.audit.canvas_id,keyword,related.hash\ncanvas_size,claude_canvas_*,,file.size,long,\n"
    );
    tables.extend(Source { name: "mine.csv", text: &fields }).unwrap();
    let document = mapped_with(
        tables,
        r#"{"id":"a","created_at":"2026-10-05T07:30:00Z","type":"claude_canvas_exported","canvas_id":"c1","canvas_size":7,"status_code":204,"actor":{"type":"user_actor","user_id":"u"}}"#,
    );
    assert!(document.get("tags").is_none());
    let at = |path| document.at(path).map(ToString::to_string).unwrap_or_default();
    assert_eq!(at("event.category"), "[\"file\"]");
    assert_eq!(at("event.outcome"), "\"success\"");
    assert_eq!(at("anthropic.audit.canvas_id"), "\"c1\"");
    assert_eq!(at("file.size"), "7");
    assert_eq!(at("related.hash"), "[\"c1\"]");
    assert_eq!(at("message"), "\"u exported canvas c1, whole\"");
}

#[test]
fn an_overlay_replaces_rows() {
    let text = format!(
        "{ACTIVITY_HEADER}\nclaude_chat_created,file,creation,success,99,opened chat {{claude_chat_id}}\n"
    );
    let raw = r#"{"id":"a","type":"claude_chat_created","claude_chat_id":"c","actor":{"type":"user_actor","user_id":"u"}}"#;
    let tables = overlay(&text).unwrap();
    assert_eq!(tables.activities.len(), Tables::builtin().activities.len());
    let document = mapped_with(tables, raw);
    assert_eq!(document.at("event.severity"), Some(&Json::Number("99".to_owned())));
    assert_eq!(document.get("message").and_then(Json::text), Some("u opened chat c"));
    let text = format!("{FIELD_HEADER}\nclaude_chat_id,*,,anthropic.audit.chat,keyword,\n");
    let document = mapped_with(overlay(&text).unwrap(), raw);
    assert_eq!(document.at("anthropic.audit.chat").and_then(Json::text), Some("c"));
    assert!(document.at("anthropic.audit.claude_chat_id").is_none());
}

#[test]
fn an_overlay_is_checked_like_the_shipped_tables() {
    let activity = |row: &str| overlay(&format!("{ACTIVITY_HEADER}\n{row}\n")).unwrap_err();
    let field = |row: &str| overlay(&format!("{FIELD_HEADER}\n{row}\n")).unwrap_err();
    let cases = [
        (activity("x,file,creation,success,101,did"), "mine.csv:2: severity `101` is not 0 to 100"),
        (
            activity("x,file,protocol,success,1,did"),
            "mine.csv:2: event.category `file` expects one of the event types access change creation deletion info, found protocol\nmine.csv:2: event.type `protocol` is expected by none of the categories file",
        ),
        (
            activity("x,file,creation,fine,1,did"),
            "mine.csv:2: `fine` is no outcome; ECS allows success, failure, unknown",
        ),
        (activity("x,file,creation,success,1,did {"), "mine.csv:2: a { without its }"),
        (
            activity("x,file,creation"),
            "mine.csv:2: 3 cells, expected 6 (type,category,event_type,outcome,severity,message)",
        ),
        (
            activity("b,file,creation,success,1,did\na,file,creation,success,1,did"),
            "mine.csv:3: not sorted: \"a\" comes after \"b\"",
        ),
        (
            activity("a,file,creation,success,1,did\na,file,creation,success,1,did"),
            "mine.csv:3: a second row for \"a\"",
        ),
        (
            field("x,*,,mine.x,keyword,"),
            "mine.csv:2: ECS has no field `mine.x`; vendor fields begin with `anthropic.`",
        ),
        (field("x,*,,file.size,keyword,"), "mine.csv:2: ECS indexes `file.size` as long, not keyword"),
        (
            field("x,*,,anthropic.audit.enabled,long,"),
            "mine.csv:2: `anthropic.audit.enabled` is indexed as boolean by another row, as long here",
        ),
        (field("x,*,status,anthropic.audit.x,long,"), "mine.csv:2: `status` must read field=value|value"),
        (field("x,,,anthropic.audit.x,long,"), "mine.csv:2: `on` is empty; write * for every type"),
        (field("x..y,*,,anthropic.audit.x,long,"), "mine.csv:2: `x..y` is no field path"),
        (
            overlay("type,what\nx,y\n").unwrap_err(),
            "mine.csv:1: the first line must be the header `type,category,event_type,outcome,severity,message` or `field,on,when,home,index,also`, found `type,what`",
        ),
        (
            overlay("").unwrap_err(),
            "mine.csv:1: the first line must be the header `type,category,event_type,outcome,severity,message` or `field,on,when,home,index,also`, found ``",
        ),
    ];
    for (found, expected) in cases {
        assert_eq!(found, expected);
    }
}

/// Rows that only beside the shipped ones are wrong.
#[test]
fn an_overlay_cannot_contradict_the_shipped_tables() {
    let field = |row: &str| overlay(&format!("{FIELD_HEADER}\n{row}\n")).map(|_| ());
    let early = field("aaa,*,,anthropic.audit.enabled,long,");
    assert!(
        early.is_err_and(|error| error.starts_with("mine.csv")
            && error.contains("`anthropic.audit.enabled` is indexed as"))
    );
    for home in ["anthropic.audit.enabled.by", "anthropic.audit.actor"] {
        let error = field(&format!("x,*,,{home},keyword,")).unwrap_err();
        assert!(
            error.starts_with("mine.csv") && error.contains("cannot be a value and the parent of"),
            "{error}"
        );
    }
    for home in [
        "anthropic.audit.metadata",
        world::ANONYMIZER,
        "event.category",
        "message",
        "tags",
        "data_stream.type",
        "ecs.version",
    ] {
        let index = if home.ends_with("metadata") {
            "flattened"
        } else if home == "message" {
            "match_only_text"
        } else {
            "keyword"
        };
        let error = field(&format!("x,*,,{home},{index},")).map_err(|error| error.lines().count());
        assert!(error.is_err(), "a field may not go to {home}, which the mapper writes itself");
    }
}

#[test]
fn a_refused_overlay_changes_nothing() {
    let mut tables = Tables::builtin();
    let before = (tables.activities.len(), tables.fields.len());
    let text = format!("{ACTIVITY_HEADER}\na,file,creation,success,1,did\nb,file,creation,success,500,did\n");
    assert!(tables.extend(Source { name: "mine.csv", text: &text }).is_err());
    assert_eq!((tables.activities.len(), tables.fields.len()), before);
    assert!(tables.activity("a").is_none());
}
