//! What `docs/` says of the program is held against the program: commands, configuration keys, names, messages, figures.
//!
//! That links lead somewhere is tested with the READMEs ([`readme`](crate::readme)); that generated pages are up to date is
//! tested where they are made, in the binary's own crate.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::readme::{Piece, page, pages, pieces, prose, spans};
use crate::world;

/// The pages that somebody wrote.
fn written() -> Vec<String> {
    let generated = ["docs/configuration.md", "docs/metrics.md"];
    let made = |page: &String| page.starts_with("docs/fields/") || generated.contains(&page.as_str());
    pages().into_iter().filter(|page| !made(page)).collect()
}

fn demand(wrong: &[String]) {
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The help of a command; empty if there is no such command.
fn help(words: &[&str]) -> String {
    let ran = Command::new(env!("CARGO_BIN_EXE_anthropic-ecs")).args(words).arg("--help").output().unwrap();
    if ran.status.success() { String::from_utf8(ran.stdout).unwrap() } else { String::new() }
}

/// Whether a word stands in a help text as one.
fn lists(help: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    help.split(|c: char| !is_part(c)).any(|other| other == word)
}

/// The calls of our program in a page: what comes behind its name, up to a pipe.
fn calls(page: &str) -> Vec<Vec<String>> {
    let spans = spans(page);
    let pieces = pieces(page);
    let code = pieces.iter().filter_map(|piece| match piece {
        Piece::Code("" | "sh", line) => Some(*line),
        _ => None,
    });
    let commands = code.chain(spans.iter().map(String::as_str)).flat_map(|line| line.split(" | "));
    let calls = commands.filter_map(|command| command.trim().strip_prefix("anthropic-ecs "));
    // Behind two spaces a list of commands says what each does.
    calls
        .map(|call| call.split("  ").next().unwrap_or(call))
        .map(|call| call.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .filter(|call| !call.is_empty())
        .collect()
}

#[test]
fn every_command_and_option_exists() {
    let mut wrong = Vec::new();
    let mut helps: BTreeMap<String, String> = BTreeMap::new();
    let mut count = 0;
    for name in pages() {
        for call in calls(&page(&name)) {
            count += 1;
            let mut words: Vec<&str> = Vec::new();
            if !call[0].starts_with('-') {
                words.push(&call[0]);
            }
            if call[0] == "state"
                && let Some(inner) = call.get(1)
            {
                words.push(inner.split('|').next().unwrap());
            }
            let help = helps.entry(words.join(" ")).or_insert_with(|| help(&words));
            if help.is_empty() {
                wrong.push(format!("{name}: there is no command `{}`", words.join(" ")));
                continue;
            }
            for option in call.iter().filter(|word| word.starts_with('-') && word.len() > 1) {
                let option = option.trim_end_matches([',', ';', '.', ':']).split('=').next().unwrap();
                if !lists(help, option) {
                    wrong.push(format!("{name}: `{}` has no option {option}", words.join(" ")));
                }
            }
        }
    }
    demand(&wrong);
    assert!(count > 40, "only {count} calls were found");
}

fn schema() -> Value {
    serde_json::from_str(&page("docs/configuration.schema.json")).unwrap()
}

/// The keys that each section may have, of whatever kind it is.
fn sections() -> BTreeMap<String, BTreeSet<String>> {
    let keys = |table: &Value| table["properties"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let schema = schema();
    let sections = schema["properties"].as_object().unwrap().iter();
    sections
        .map(|(name, section)| {
            let keys: Vec<String> = match section["oneOf"].as_array() {
                None => keys(section),
                Some(kinds) => kinds.iter().flat_map(keys).collect(),
            };
            (name.clone(), keys.into_iter().collect())
        })
        .collect()
}

/// Says where a value does not fit a schema, as far as this schema uses JSON Schema.
fn misfits(place: &str, schema: &Value, value: &Value, found: &mut Vec<String>) {
    for choice in ["oneOf", "anyOf"] {
        let Some(alternatives) = schema[choice].as_array() else { continue };
        let mut tries = alternatives.iter().map(|alternative| {
            let mut wrong = Vec::new();
            misfits(place, alternative, value, &mut wrong);
            // Of several kinds of section the one that is meant is told by its `type`.
            let is_meant = alternative["properties"]["type"]["const"] == value["type"];
            (!wrong.is_empty(), !is_meant, wrong)
        });
        let best = tries.by_ref().min().unwrap();
        found.extend(best.2);
    }
    if schema.get("const").is_some_and(|constant| constant != value) {
        found.push(format!("{place} is {value} and not {}", schema["const"]));
    }
    let is = |name: &str| match name {
        "string" => value.is_string(),
        "integer" => value.is_i64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("{place}: no type {other} is known here"),
    };
    let fits = match &schema["type"] {
        Value::String(name) => is(name),
        Value::Array(names) => names.iter().any(|name| is(name.as_str().unwrap())),
        _ => true,
    };
    if !fits {
        found.push(format!("{place} is {value}, and should be {}", schema["type"]));
    }
    for item in value.as_array().into_iter().flatten() {
        misfits(place, &schema["items"], item, found);
    }
    let (Some(members), Some(known)) = (value.as_object(), schema["properties"].as_object()) else { return };
    for (name, value) in members {
        match known.get(name) {
            Some(schema) => misfits(&format!("{place}.{name}"), schema, value, found),
            None => found.push(format!("{place} has no key `{name}`")),
        }
    }
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !members.contains_key(name) {
            found.push(format!("{place} lacks `{name}`"));
        }
    }
}

/// The blocks of TOML of a page.
fn toml_blocks(page: &str) -> Vec<String> {
    let blocks = page.split("\n```toml\n").skip(1);
    blocks.map(|rest| rest.split_once("\n```").unwrap().0.to_owned()).collect()
}

#[test]
fn examples_fit_the_schema() {
    let schema = schema();
    let mut wrong = Vec::new();
    let mut count = 0;
    for entry in fs::read_dir(world::root("examples")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "toml") {
            let value = toml::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
            misfits(path.file_name().unwrap().to_str().unwrap(), &schema, &value, &mut wrong);
            count += 1;
        }
    }
    demand(&wrong);
    assert!(count > 4, "only {count} examples");
}

/// Whole sections, of which a page need not show all.
#[test]
fn sections_that_are_shown_fit_the_schema() {
    let schema = schema();
    let mut wrong = Vec::new();
    let mut count = 0;
    for name in written() {
        for block in toml_blocks(&page(&name)) {
            let sections: Value = toml::from_str(&block).unwrap_or_else(|error| panic!("{name}: {error}"));
            for (section, value) in sections.as_object().unwrap() {
                let place = format!("{name}: [{section}]");
                match schema["properties"].get(section) {
                    Some(schema) => misfits(&place, schema, value, &mut wrong),
                    None => wrong.push(format!("{place} does not exist")),
                }
                count += 1;
            }
        }
    }
    demand(&wrong);
    assert!(count >= 4, "only {count} sections were found");
}

#[test]
fn what_does_not_fit_is_found() {
    let misfits = |text: &str| {
        let mut found = Vec::new();
        misfits("c", &schema(), &toml::from_str(text).unwrap(), &mut found);
        found
    };
    let sink = "[sink]\ntype = \"ndjson\"\npath = \"out\"\n";
    let whole = format!("{sink}[source]\ntype = \"kafka\"\nbrokers = \"b:9092\"\n");
    assert_eq!(misfits(&whole), ["c.source lacks `topics`"]);
    assert_eq!(misfits(&format!("{whole}topics = [\"t\", 5]\n")).len(), 1);
    assert_eq!(misfits(&format!("{whole}topics = \"t\"\n")), [""; 0]);
    assert_eq!(misfits(&format!("{whole}topics = \"t\"\ntopic = \"t\"\n")), ["c.source has no key `topic`"]);
    assert_eq!(misfits(sink), ["c lacks `source`"]);
    assert_eq!(misfits(&format!("{whole}topics = \"t\"\n[mapper]\ngeoip = \"f\"\n")).len(), 1);
}

#[test]
fn keys_that_are_named_with_their_section_exist() {
    let sections = sections();
    let mut wrong = Vec::new();
    let mut count = 0;
    for name in written() {
        for span in spans(&page(&name)) {
            let (section, key) = match (span.strip_prefix('['), span.split_once('.')) {
                (Some(rest), _) => match rest.split_once(']') {
                    Some((section, "")) if is_name(section) => (section, None),
                    Some((section, key)) if is_name(section) => (section, Some(key.trim().trim_matches('`'))),
                    _ => continue,
                },
                (None, Some((section, key))) if sections.contains_key(section) => (section, Some(key)),
                _ => continue,
            };
            // What else looks so: what secrets print as, and names of document fields.
            if section == "redacted" {
                continue;
            }
            if matches!(section, "source")
                && key.is_some_and(|key| is_document_field(&format!("source.{key}")))
            {
                continue;
            }
            count += 1;
            match (sections.get(section), key.filter(|key| is_name(key))) {
                (None, _) => wrong.push(format!("{name}: there is no section [{section}]: `{span}`")),
                (Some(keys), Some(key)) if !keys.contains(key) => {
                    wrong.push(format!("{name}: [{section}] has no key `{key}`: `{span}`"));
                }
                _ => {}
            }
        }
    }
    demand(&wrong);
    assert!(count > 20, "only {count} keys were found");
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// Whether ECS has such a field, or fields below it.
fn is_document_field(path: &str) -> bool {
    let fields = page("mappings/ecs-fields.csv");
    fields.lines().any(|line| line.starts_with(&format!("{path},")) || line.starts_with(&format!("{path}.")))
}

/// Everything below a folder with such an ending, as one text.
fn texts(folder: &Path, ending: &str, into: &mut String) {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            texts(&path, ending, into);
        } else if path.to_str().unwrap().ends_with(ending) {
            into.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

/// The sources of the program.
fn sources() -> String {
    let mut found = String::new();
    texts(&world::root("crates"), ".rs", &mut found);
    found
}

/// Names of the program's own making (`like_this`) come from the program: a name that nothing has any more is found.
#[test]
fn names_in_code_are_names_of_something() {
    let mut known = sources();
    texts(&world::root("mappings"), ".csv", &mut known);
    texts(&world::root("mappings"), ".json", &mut known);
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let known: BTreeSet<&str> = known.split(|c| !is_part(c)).filter(|word| word.contains('_')).collect();
    // Elasticsearch's and Anthropic's own names, which the program has no use for.
    let others = [
        "_ignored",
        "_source",
        "_id",
        "create_doc",
        "default_pipeline",
        "manage_ilm",
        "manage_index_templates",
        "read_committed",
        "role_descriptors",
        "session_timeout",
    ];
    let mut wrong = Vec::new();
    let mut count = 0;
    for name in written().iter().filter(|name| name.starts_with("docs/")) {
        for span in spans(&page(name)) {
            if !span.contains('_') || !span.chars().all(is_part) {
                continue;
            }
            count += 1;
            let span = span.trim_end_matches('_');
            let is_known =
                known.contains(span) || known.iter().any(|word| word.starts_with(&format!("{span}_")));
            if !is_known && !others.contains(&span) {
                wrong.push(format!("{name}: nothing has the name `{span}`"));
            }
        }
    }
    demand(&wrong);
    assert!(count > 60, "only {count} names were found");
}

/// The program's texts as they are printed: without the line breaks and escaped quotes of their source.
fn messages() -> String {
    let mut text = String::new();
    let mut goes_on = false;
    for line in sources().lines() {
        // A text that goes on in the next line goes on where that line's words begin.
        let line = if goes_on { line.trim_start() } else { line };
        let begun = line.strip_suffix('\\');
        goes_on = begun.is_some();
        text.push_str(begun.unwrap_or(line));
        if !goes_on {
            text.push('\n');
        }
    }
    text.replace("\\\"", "\"")
}

#[test]
fn messages_that_are_quoted_are_the_programs() {
    let messages = messages();
    let troubleshooting = page("docs/troubleshooting.md");
    let mut wrong = Vec::new();
    let (mut quotes, mut inside) = (0, false);
    for line in pieces(&troubleshooting).iter().filter_map(prose) {
        let first = line.strip_prefix("| ").and_then(|cells| cells.split(" |").next());
        let Some(cell) = first else {
            inside &= line.starts_with('|');
            continue;
        };
        if cell == "Message" {
            inside = true;
            continue;
        }
        let [quote] = spans(cell).try_into().unwrap_or_else(|_| [String::new()]);
        if !inside || quote.is_empty() {
            continue;
        }
        quotes += 1;
        for part in quote.split('…').map(str::trim).filter(|part| part.len() > 3) {
            let part = part.trim_matches('`').trim();
            if !messages.contains(part) {
                wrong.push(format!("nothing says `{part}`"));
            }
        }
    }
    demand(&wrong);
    assert!(quotes > 90, "only {quotes} messages were found");
}

/// What is said to be measured stands in the README, where it is said how.
#[test]
fn figures_that_are_measured_are_the_readmes() {
    let readme = page("README.md");
    let known: BTreeSet<&str> = numbers(&readme).collect();
    let mut wrong = Vec::new();
    let mut count = 0;
    let sizing = page("docs/sizing.md");
    // A sentence or a row at a time.
    let text = pieces(&sizing).iter().filter_map(prose).collect::<Vec<_>>().join("\n").replace(". ", ".\n");
    for line in text.lines().filter(|line| line.contains("(*measured*")) {
        for number in numbers(line) {
            count += 1;
            if !known.contains(number) {
                wrong.push(format!("docs/sizing.md: {number} is not in README.md: {line}"));
            }
        }
    }
    demand(&wrong);
    assert!(count > 4, "only {count} figures were found");
}

/// The numbers of a text, with their separators.
fn numbers(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !(c.is_ascii_digit() || c == ',' || c == '.'));
    words
        .map(|word| word.trim_matches([',', '.']))
        .filter(|word| word.starts_with(|c: char| c.is_ascii_digit()))
}

#[test]
fn pages_are_taken_apart_as_meant() {
    let page = "`anthropic-ecs run --config a.toml`\n\n    cat x | anthropic-ecs explain - --json\n    anthropic-ecs catalog     every --type\n";
    let calls = calls(page);
    assert_eq!(calls, [vec!["explain", "-", "--json"], vec!["catalog"], vec!["run", "--config", "a.toml"]]);
    assert!(lists("  --config <FILE>  what", "--config") && !lists("  --configure", "--config"));
    assert_eq!(numbers("1,165,000 records, 2.0 floors. 7").collect::<Vec<_>>(), ["1,165,000", "2.0", "7"]);
    assert_eq!(toml_blocks("a\n```toml\n[x]\ny = 1\n```\n"), ["[x]\ny = 1"]);
}
