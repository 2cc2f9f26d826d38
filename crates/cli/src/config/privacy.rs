//! `[mapper.privacy]`: what is treated before anything is made of it.
//!
//! Owns the names of the keys, and where the key for hashing comes from. What the actions do, and which fields there are, is the
//! mapper's knowledge. The subtle thing: a raw record that is handed on as it is cannot be treated, so that such a configuration is
//! refused, and not obeyed in part.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use mapper::{Action, Privacy, PrivacyError, PrivacyOptions, PrivacyRule, SHORTEST_KEY};
use model::settings::Secret;
use model::tables::{Class, Tables};
use output::kafka::Format;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::document::Document;
use super::{Config, Sink};
use crate::failure::Failure;
use crate::suggest::nearest;

/// What is done to values that say something of a person, before anything is made of them. Without this table all stay as they are.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PrivacyConfig {
    /// E-mail addresses, wherever a text is one. Truncated: the domain, `@example.com`.
    #[serde(default)]
    pub(crate) emails: Treatment,
    /// IP addresses and networks, wherever a text is one. Truncated: the first 24 bits of IPv4, the first 48 of IPv6.
    #[serde(default)]
    pub(crate) addresses: Treatment,
    /// What clients call themselves. Truncated: name and major version, `Chrome/126`.
    #[serde(default)]
    pub(crate) user_agents: Treatment,
    /// Names of files and documents. Truncated: the extension, `*.pdf`.
    #[serde(default)]
    pub(crate) file_names: Treatment,
    /// Names of persons, and of accounts that are persons elsewhere. Truncated: the first letter.
    #[serde(default)]
    pub(crate) names: Treatment,
    /// Titles, descriptions, labels. Truncated: the first 16 characters.
    #[serde(default)]
    pub(crate) titles: Treatment,
    /// Request bodies, prompts, contents. Truncated: the first 16 characters.
    #[serde(default)]
    pub(crate) bodies: Treatment,
    /// URLs. Truncated: scheme and host.
    #[serde(default)]
    pub(crate) urls: Treatment,
    /// The key that values are hashed with, at least 16 bytes. Take it from the environment: `"${PRIVACY_KEY}"`. Another key makes
    /// other hashes of everything.
    pub(crate) key: Option<Secret>,
    /// A file with the key. It is read at the start only.
    pub(crate) key_file: Option<PathBuf>,
    /// What is done to some fields, on some types. The last rule that fits a field wins, over the others and over the keys above.
    #[serde(default)]
    pub(crate) rules: Vec<RuleConfig>,
}

/// What is done to a value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Treatment {
    /// It stays as it is.
    #[default]
    Keep,
    /// It is absent.
    Drop,
    /// A keyed hash stands in its place, the same for the same value.
    Hash,
    /// A part of it stays.
    Truncate,
}

impl Treatment {
    fn action(self) -> Action {
        match self {
            Self::Keep => Action::Keep,
            Self::Drop => Action::Drop,
            Self::Hash => Action::Hash,
            Self::Truncate => Action::Truncate,
        }
    }
}

/// A rule for some fields.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuleConfig {
    /// Fields by their names in the record: `filename`, `actor.email_address`, `updates[full_name].current_value`. What lies in a
    /// field is treated with it.
    pub(crate) fields: Vec<String>,
    /// Activity types; one `*` in a name stands for any text. Without it: all types.
    #[serde(default)]
    pub(crate) activity_types: Vec<String>,
    /// What is done.
    pub(crate) action: Treatment,
}

impl Config {
    /// What is to be treated, checked; `None` if nothing is. Reads the file with the key.
    pub(crate) fn privacy(&self, tables: &Tables) -> Result<Option<Privacy>, Failure> {
        let Some(config) = &self.mapper.privacy else { return Ok(None) };
        let privacy = config.load(tables)?;
        match &self.sink {
            Sink::Kafka(sink) if sink.format == Format::Raw && privacy.is_some() => Err(wrong(
                "cannot be kept with `format = \"raw\"` in [sink]: raw records are handed on as they came; leave one of the two out",
            )),
            _ => Ok(privacy),
        }
    }
}

/// A file that says nothing else.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Alone {
    /// The table.
    privacy: PrivacyConfig,
}

/// Reads what is to be treated from a file that has no other table than `[mapper.privacy]`.
pub(crate) fn of_file(path: &Path, tables: &Tables) -> Result<Option<Privacy>, Failure> {
    let file = path.display().to_string();
    let text = fs::read_to_string(path)
        .map_err(|error| Failure::usage(anyhow!("{file}: cannot be read: {error}; expected a TOML file")))?;
    let read = || {
        let mut document = Document::parse(&file, &text, &|name| std::env::var(name).ok())?;
        let Some(section) = document.section("mapper")? else {
            return Err(document.wrong(None, "there is no table [mapper.privacy]"));
        };
        let alone: Alone = document.read(section)?;
        document.finish(&["mapper"])?;
        Ok(alone.privacy)
    };
    read().map_err(Failure::usage)?.load(tables)
}

impl PrivacyConfig {
    fn load(&self, tables: &Tables) -> Result<Option<Privacy>, Failure> {
        let options = PrivacyOptions {
            classes: [
                (Class::Email, self.emails),
                (Class::Address, self.addresses),
                (Class::UserAgent, self.user_agents),
                (Class::FileName, self.file_names),
                (Class::Name, self.names),
                (Class::Title, self.titles),
                (Class::Body, self.bodies),
                (Class::Url, self.urls),
            ]
            .map(|(class, treatment)| (class, treatment.action()))
            .into(),
            rules: self.rules.iter().map(RuleConfig::rule).collect(),
            key: self.secret()?,
        };
        Privacy::new(&options, tables).map_err(|error| refusal(&error, tables))
    }

    fn secret(&self) -> Result<Option<Secret>, Failure> {
        match (&self.key, &self.key_file) {
            (Some(_), Some(_)) => Err(wrong("has both `key` and `key_file`; leave one of them out")),
            (Some(key), None) => Ok(Some(key.clone())),
            (None, Some(path)) => {
                let (text, is_exposed) = read_key(path).map_err(|error| {
                    let path = path.display();
                    wrong(&format!(
                        "`key_file`: {path} cannot be read: {error}; put a text there that nobody can guess"
                    ))
                })?;
                if is_exposed {
                    tracing::warn!(file = %path.display(), "every user of this machine may read the key that values are hashed with; take that right away with chmod o-rwx, and think of another key");
                }
                Ok(Some(Secret::new(text.trim())))
            }
            (None, None) => Ok(None),
        }
    }
}

/// What a file with a key says, and whether every user may read it.
fn read_key(path: &Path) -> io::Result<(String, bool)> {
    let mut file = File::open(path)?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok((text, disk::is_for_everybody(&file.metadata()?)))
}

impl RuleConfig {
    fn rule(&self) -> PrivacyRule {
        PrivacyRule {
            fields: self.fields.clone(),
            activity_types: self.activity_types.clone(),
            action: self.action.action(),
        }
    }
}

fn wrong(what: &str) -> Failure {
    Failure::Usage(anyhow!("[mapper.privacy] {what}"))
}

/// Why it cannot be done, and what to do about it.
fn refusal(error: &PrivacyError, tables: &Tables) -> Failure {
    let meant = |name: &str, known: &mut dyn Iterator<Item = &str>| match nearest(name, known).first() {
        Some(near) => format!("; did you mean `{near}`?"),
        None => String::new(),
    };
    let advice = match error {
        PrivacyError::NoKey => "; set `key_file`, or `key = \"${PRIVACY_KEY}\"`".to_owned(),
        PrivacyError::ShortKey { .. } => {
            format!("; make one of {SHORTEST_KEY} or more random bytes: `openssl rand -hex 32`")
        }
        PrivacyError::UnknownField { field, .. } => {
            let known = Privacy::known_paths(tables);
            let meant = meant(field, &mut known.iter().map(String::as_str));
            format!("{meant}; one that is new is named by a row in an `overlay` first")
        }
        PrivacyError::UnknownType { name, .. } => {
            meant(name, &mut tables.activities.iter().map(|row| row.activity_type.as_str()))
        }
        _ => String::new(),
    };
    wrong(&format!("{error}{advice}"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tracing_subscriber::Layer;
    use tracing_subscriber::layer::{Context, SubscriberExt};

    use super::*;

    /// Counts warnings.
    #[derive(Clone, Default)]
    struct Counted(Arc<AtomicUsize>);

    impl<S: tracing::Subscriber> Layer<S> for Counted {
        fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
            assert_eq!(*event.metadata().level(), tracing::Level::WARN);
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_key_that_everybody_may_read_is_told_from_one_that_nobody_may() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::write(&path, "0123456789abcdef\n").unwrap();
        for (mode, is_exposed) in [(0o600, false), (0o640, false), (0o644, true)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(read_key(&path).unwrap(), ("0123456789abcdef\n".to_owned(), is_exposed), "{mode:o}");
            let counted = Counted::default();
            let config = PrivacyConfig { key_file: Some(path.clone()), ..PrivacyConfig::default() };
            let subscriber = tracing_subscriber::registry().with(counted.clone());
            tracing::subscriber::with_default(subscriber, || config.secret().unwrap());
            assert_eq!(counted.0.load(Ordering::Relaxed), usize::from(is_exposed), "{mode:o}");
        }
    }
}
