//! `docs/configuration.md`, out of the JSON Schema: what an editor shows and what the page says cannot differ.

use serde_json::Value;

use super::{NOTE, cell, code, head, row};

const INTRODUCTION: &str = r#"# Configuration

One TOML file says what `anthropic-ecs run`, `check`, `setup` and `state` work with: one source, one sink, and what is
between them. [examples/](../examples/) has a file for each use to begin with.

- A value may hold `${NAME}`, an environment variable, anywhere in a text; `$${` stands for `${` itself. A variable that is
  not set stops the start. Variables are filled in after the file was parsed, so that a secret with a quote in it is fine.
- Keys that end in `_file` name a file with the secret or certificate.
- An unknown section or key is refused with its line and the nearest known name.
- Durations are written `250ms`, `90s`, `10m`, `24h` or `5d`; sizes `512`, `64KiB`, `5MiB` or `1GiB`.
- Secrets are printed nowhere, and no complaint quotes a value of the file.

`anthropic-ecs check --config FILE` reads the file, and opens what it names on this machine. With `--connect` it also asks
every server. Exit status 2 says that the configuration must be changed.

## Help while writing it

[configuration.schema.json](configuration.schema.json) is the same reference as a JSON Schema (draft 7). Editors with a
TOML language server that knows JSON Schema, such as Taplo in VS Code ("Even Better TOML"), complete keys, show their
meaning and mark mistakes, when the first line of the file names the schema, by a path or a URL:

```toml
#:schema ./configuration.schema.json
```

On the command line, `taplo lint --schema file:///path/to/configuration.schema.json FILE` does the same. The program's own
`check` knows more: how keys go together, and which values make sense. It also knows variables: an editor may mark a `${NAME}`
where it expects a duration, a size or one of a few words.
"#;

/// The page, its sections in the order of `names`.
pub(super) fn page(schema: &Value, names: &[&str]) -> String {
    let mut index = String::from("\n## Sections\n\n");
    let mut body = String::new();
    index.push_str(&head(["Section", "What it says", "Keys"]));
    for name in names {
        let section = &schema["properties"][*name];
        let is_required = contains(&schema["required"], name);
        let needed = if is_required { "Required." } else { "May be left out." };
        let meaning = text(section, "description");
        body.push_str(&format!("\n## [{name}]\n\n{meaning} {needed}\n"));
        match section["oneOf"].as_array() {
            None => {
                index.push_str(&row([
                    format!("[`[{name}]`](#{name})"),
                    cell(meaning),
                    keys(name, section).join(" "),
                ]));
                body.push_str(&table(name, section));
            }
            Some(kinds) => {
                for kind in kinds {
                    let title = text(kind, "title");
                    let anchor = format!("{name}-{title}");
                    index.push_str(&row([
                        format!("[`[{name}]` {}](#{anchor})", code(title)),
                        cell(meaning),
                        keys(&anchor, kind).join(" "),
                    ]));
                    body.push_str(&format!("\n### {name} {title}\n\n{}\n", text(kind, "description")));
                    body.push_str(&table(&anchor, kind));
                }
            }
        }
    }
    format!("{NOTE}{INTRODUCTION}{index}{body}")
}

/// The keys of a table: `type`, then what is required, then the others.
fn ordered(table: &Value) -> Vec<(&str, &Value)> {
    let mut keys: Vec<(&str, &Value)> = members(&table["properties"]).collect();
    keys.sort_by_key(|(name, _)| (*name != "type", !contains(&table["required"], name)));
    keys
}

/// Links to the rows of a table.
fn keys(anchor: &str, table: &Value) -> Vec<String> {
    ordered(table).iter().map(|(name, _)| format!("[`{name}`](#{anchor}-{name})")).collect()
}

fn table(anchor: &str, table: &Value) -> String {
    let mut out = format!("\n{}", head(["Key", "Value", "Default", "Meaning"]));
    let mut below = String::new();
    for (name, key) in ordered(table) {
        let default = match &key["default"] {
            _ if contains(&table["required"], name) => "**required**".to_owned(),
            Value::Null => String::new(),
            Value::Array(items) if items.iter().any(Value::is_object) => "below".to_owned(),
            default => code(&toml(default)),
        };
        let choices = choices(key);
        let meaning = if choices.is_empty() {
            cell(text(key, "description"))
        } else {
            format!("{}<br>{}", cell(text(key, "description")), choices.join("<br>"))
        };
        let label = format!("<a id=\"{anchor}-{name}\"></a>`{name}`");
        out.push_str(&row([label, value(key), default, meaning]));
        if key.get("properties").is_some() {
            below.push_str(&format!(
                "\nThe table `{name}` has these keys:\n{}",
                self::table(&format!("{anchor}-{name}"), key)
            ));
        }
        if let Some(inner) = key.get("items").filter(|items| items.get("properties").is_some()) {
            let inside = format!("{anchor}-{name}");
            below.push_str(&format!(
                "\nEach table of `{name}` has these keys:\n{}",
                self::table(&inside, inner)
            ));
            if let Some(default) = key["default"].as_array().filter(|tables| !tables.is_empty()) {
                below.push_str(&format!("\nThe default of `{name}`:\n\n```toml\n{name} = [\n"));
                for table in default {
                    below.push_str(&format!("    {},\n", toml(table)));
                }
                below.push_str("]\n```\n");
            }
        }
    }
    out + &below
}

/// The values of an enumeration, with their meaning.
fn choices(key: &Value) -> Vec<String> {
    let choices = key["oneOf"].as_array().into_iter().flatten();
    choices
        .map(|choice| format!("`{}`: {}", text(choice, "const"), cell(text(choice, "description"))))
        .collect()
}

/// What kind of value a key takes, in a word or two.
fn value(key: &Value) -> String {
    if let Some(constant) = key["const"].as_str() {
        return code(&format!("\"{constant}\""));
    }
    if let Some(title) = key["title"].as_str() {
        return title.to_owned();
    }
    if key.get("oneOf").is_some() || key.get("enum").is_some() {
        return "one of".to_owned();
    }
    if let Some(alternatives) = key["anyOf"].as_array() {
        return alternatives.iter().map(value).collect::<Vec<_>>().join(" or ");
    }
    match key["type"].as_str() {
        Some("string") => "text".to_owned(),
        Some("integer") => "whole number".to_owned(),
        Some("array") if key["items"].get("properties").is_some() => "list of tables".to_owned(),
        Some("array") => format!("list of {}s", value(&key["items"])),
        Some("object") => "table".to_owned(),
        Some(other) => other.to_owned(),
        None => "any".to_owned(),
    }
}

/// A JSON value as TOML writes it on one line.
fn toml(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(toml).collect::<Vec<_>>().join(", ")),
        Value::Object(table) if table.is_empty() => "{}".to_owned(),
        Value::Object(table) => {
            let members =
                table.iter().filter(|(_, value)| value.as_array().is_none_or(|items| !items.is_empty()));
            let members: Vec<String> =
                members.map(|(name, value)| format!("{name} = {}", toml(value))).collect();
            format!("{{ {} }}", members.join(", "))
        }
        other => other.to_string(),
    }
}

fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_default()
}

fn contains(list: &Value, name: &str) -> bool {
    list.as_array().into_iter().flatten().any(|item| item == name)
}

#[test]
fn values_read_as_toml() {
    let value = serde_json::json!([{"every": "1h", "activity_types": []}, true, 5, "a\"b", {}]);
    assert_eq!(toml(&value), r#"[{ every = "1h" }, true, 5, "a\"b", {}]"#);
}
