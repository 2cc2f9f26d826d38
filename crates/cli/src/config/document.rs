//! A configuration file as text: tables, environment variables, and where each thing stands.
//!
//! Owns `${NAME}`, unknown keys, and the line numbers in every complaint. Must not know what any key means.
//!
//! The subtle thing: variables are put into values after the file has been parsed, so that a password with a quote or a line
//! end in it is still one value; and no complaint ever quotes a value, since it may be a secret.

use std::fmt;
use std::ops::Range;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use crate::suggest::nearest;

/// What is wrong with a configuration file, and on which line.
#[derive(Debug)]
pub(crate) struct Wrong {
    file: String,
    line: Option<usize>,
    what: String,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file, self.what),
            None => write!(f, "{}: {}", self.file, self.what),
        }
    }
}

impl std::error::Error for Wrong {}

/// A parsed file, of which sections are taken one after the other.
pub(super) struct Document<'t> {
    file: &'t str,
    text: &'t str,
    root: DeTable<'t>,
}

/// A section that is a table.
pub(super) struct Section<'t> {
    name: &'static str,
    table: DeTable<'t>,
    span: Range<usize>,
}

impl Section<'_> {
    /// Whether a key is there.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }
}

impl<'t> Document<'t> {
    /// Parses a file and puts the environment into it.
    pub(super) fn parse(
        file: &'t str,
        text: &'t str,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Wrong> {
        let mut document = Self { file, text, root: DeTable::new() };
        let parsed = DeTable::parse(text)
            .map_err(|error| document.wrong(error.span(), format!("not TOML: {}", error.message())))?;
        document.root = parsed.into_inner();
        let mut root = std::mem::take(&mut document.root);
        for (_, value) in &mut root {
            document.fill(value, environment)?;
        }
        document.root = root;
        Ok(document)
    }

    /// Replaces `${NAME}` in every text below `value`.
    fn fill(
        &self,
        value: &mut Spanned<DeValue<'t>>,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(), Wrong> {
        let span = value.span();
        match value.get_mut() {
            DeValue::String(text) if text.contains("${") => {
                let filled = filled(text, environment).map_err(|what| self.wrong(Some(span), what))?;
                *text = filled.into();
            }
            DeValue::Array(items) => {
                for item in items.iter_mut() {
                    self.fill(item, environment)?;
                }
            }
            DeValue::Table(table) => {
                for (_, value) in table.iter_mut() {
                    self.fill(value, environment)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Takes a section; `None` if it is not there.
    pub(super) fn section(&mut self, name: &'static str) -> Result<Option<Section<'t>>, Wrong> {
        let Some((_, value)) = self.root.remove_entry(name) else { return Ok(None) };
        let span = value.span();
        match value.into_inner() {
            DeValue::Table(table) => Ok(Some(Section { name, table, span })),
            _ => {
                Err(self
                    .wrong(Some(span), format!("`{name}` is a section: write [{name}] and its keys below")))
            }
        }
    }

    /// Complains of what no section has taken.
    pub(super) fn finish(self, sections: &[&str]) -> Result<(), Wrong> {
        let Some((key, _)) = self.root.iter().next() else { return Ok(()) };
        let what =
            format!("unknown section [{}]{}", key.get_ref(), meant(key.get_ref(), sections.iter().copied()));
        Err(self.wrong(Some(key.span()), what))
    }

    /// Reads a section as `T`, whose schema names its keys.
    pub(super) fn read<T: DeserializeOwned + JsonSchema>(&self, section: Section<'_>) -> Result<T, Wrong> {
        let settings = SchemaSettings::default().with(|settings| settings.inline_subschemas = true);
        let schema = SchemaGenerator::new(settings).into_root_schema_for::<T>().to_value();
        self.know(section.name, &section.table, &schema)?;
        let whole = Spanned::new(section.span.clone(), DeValue::Table(section.table));
        T::deserialize(ValueDeserializer::from(whole)).map_err(|error| {
            let at = error.span().unwrap_or(section.span);
            self.wrong(Some(at), format!("[{}] {}", section.name, error.message()))
        })
    }

    /// Refuses keys that a table, or one in it, does not have by its schema.
    fn know(&self, name: &str, table: &DeTable<'_>, schema: &Value) -> Result<(), Wrong> {
        let Some(known) = properties(schema) else { return Ok(()) };
        for (key, value) in table {
            let Some(schema) = known.get(key.get_ref().as_ref()) else {
                let meant = meant(key.get_ref(), known.keys().map(String::as_str));
                let what = format!("[{name}] has no key `{}`{meant}", key.get_ref());
                return Err(self.wrong(Some(key.span()), what));
            };
            let inner = format!("{name}.{}", key.get_ref());
            match value.get_ref() {
                DeValue::Table(table) => self.know(&inner, table, schema)?,
                DeValue::Array(items) => {
                    for item in items.iter() {
                        if let (DeValue::Table(table), Some(schema)) = (item.get_ref(), schema.get("items")) {
                            self.know(&inner, table, schema)?;
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Refuses keys that have no meaning in this section though its type has them.
    pub(super) fn refuse(&self, section: &Section<'_>, keys: &[&str], why: &str) -> Result<(), Wrong> {
        match section.table.keys().find(|key| keys.contains(&key.get_ref().as_ref())) {
            Some(key) => {
                let what = format!("[{}] has no key `{}`: {why}", section.name, key.get_ref());
                Err(self.wrong(Some(key.span()), what))
            }
            None => Ok(()),
        }
    }

    /// Takes the key `type` out of a section, one of `known`.
    pub(super) fn kind<K: Copy>(&self, section: &mut Section<'t>, known: &[(&str, K)]) -> Result<K, Wrong> {
        let names = || known.iter().map(|(name, _)| *name);
        let listed = names().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let Some((_, value)) = section.table.remove_entry("type") else {
            let what = format!("[{}] needs the key `type`, one of {listed}", section.name);
            return Err(self.wrong(Some(section.span.clone()), what));
        };
        let span = value.span();
        let text = match value.get_ref() {
            DeValue::String(text) => text.as_ref(),
            _ => "",
        };
        known.iter().find(|(name, _)| *name == text).map(|(_, kind)| *kind).ok_or_else(|| {
            let what = format!("[{}] `type` is one of {listed}{}", section.name, meant(text, names()));
            self.wrong(Some(span), what)
        })
    }

    /// A complaint about a section that is missing or cannot be as it is.
    pub(super) fn wrong(&self, at: Option<Range<usize>>, what: impl Into<String>) -> Wrong {
        let line = at.and_then(|at| self.text.get(..at.start)).map(|before| before.matches('\n').count() + 1);
        Wrong { file: self.file.to_owned(), line, what: what.into() }
    }
}

/// The keys that a table of this schema has, each with its own schema; `None` if it may have any.
fn properties(schema: &Value) -> Option<&Map<String, Value>> {
    // What may be left out is one of two, the other being null.
    let choices = schema.get("anyOf").and_then(Value::as_array).into_iter().flatten();
    std::iter::once(schema).chain(choices).find_map(|schema| schema.get("properties")?.as_object())
}

/// `; did you mean ...?`, if anything is near.
fn meant<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> String {
    nearest(name, known).first().map(|near| format!("; did you mean `{near}`?")).unwrap_or_default()
}

/// A text with its variables replaced; `$${` stands for `${`.
fn filled(text: &str, environment: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, behind) = rest.split_at(at);
        let inside = &behind[2..];
        if let Some(before) = before.strip_suffix('$') {
            out.push_str(before);
            out.push_str("${");
            rest = inside;
            continue;
        }
        out.push_str(before);
        let Some((name, behind)) = inside.split_once('}') else {
            return Err("`${` without `}`; write $${ for the characters themselves".to_owned());
        };
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err("`${}` must name an environment variable: letters, digits and _".to_owned());
        }
        let value = environment(name).ok_or_else(|| {
            format!("the environment variable {name} is not set, or not UTF-8; set it before the start")
        })?;
        out.push_str(&value);
        rest = behind;
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_filled_in() {
        let environment = |name: &str| (name == "HOST").then(|| "es \"one\"".to_owned());
        let fill = |text| filled(text, &environment);
        assert_eq!(fill("https://${HOST}:${HOST}").unwrap(), "https://es \"one\":es \"one\"");
        assert_eq!(fill("$${HOST} $ {} }").unwrap(), "${HOST} $ {} }");
        assert!(fill("${PORT}").unwrap_err().contains("PORT is not set"));
        for wrong in ["${", "${}", "${A B}"] {
            assert!(fill(wrong).is_err(), "{wrong}");
        }
    }
}
