//! `[sink] type = "kafka"`: what can be said about it, and what follows from that.
//!
//! Owns the keys and their defaults. Must not know how a client is driven; it ends where librdkafka's configuration is
//! complete. No IO but reading `sasl_password_file`.

use std::path::PathBuf;

use model::fault::{Fault, FaultKind};
use model::kafka::{About, Connection, OneOrMany, Properties, Refused, SaslMechanism, refused_property};
use model::settings::Secret;
use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The keys of `[sink]` with `type = "kafka"`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Addresses of one or more brokers, `host:port`.
    pub brokers: OneOrMany,
    /// The topic to write to. It is not created.
    pub topic: String,
    /// What messages are keyed by, which decides their partition: `id` (of the activity), `actor` or `organization`.
    #[serde(default)]
    pub key: Key,
    /// What is written: `ecs` documents, or the `raw` records as they came.
    #[serde(default)]
    pub format: Format,
    /// Writes in transactions that contain the positions of a Kafka source, so that each record arrives exactly once for
    /// readers with `isolation.level = read_committed`.
    #[serde(default)]
    pub exactly_once: bool,
    /// The name for `exactly_once` under which the brokers know this copy across restarts. Must differ between copies. With
    /// one, what a killed copy left open is cleared at its restart; without, after `transaction.timeout.ms`.
    pub transactional_id: Option<String>,
    /// How messages are compressed: `lz4`, `zstd`, `gzip`, `snappy` or `none`.
    #[serde(default)]
    pub compression: Compression,
    /// Whether to speak TLS to the brokers. Follows from `ca_file` or `certificate_file` when it is not given.
    pub tls: Option<bool>,
    /// Certificates (PEM) by which the brokers are known; the system's own when it is not given.
    pub ca_file: Option<PathBuf>,
    /// Our certificate (PEM), where brokers ask for one.
    pub certificate_file: Option<PathBuf>,
    /// The key (PEM) of `certificate_file`.
    pub key_file: Option<PathBuf>,
    /// The password of `key_file`.
    pub key_password: Option<Secret>,
    /// How we prove who we are: `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512` (the default).
    pub sasl_mechanism: Option<SaslMechanism>,
    /// The user name for SASL.
    pub sasl_username: Option<String>,
    /// The password for SASL.
    pub sasl_password: Option<Secret>,
    /// A file with the password for SASL; a line end after it is no part of it.
    pub sasl_password_file: Option<PathBuf>,
    /// Any other property of librdkafka by its own name, like `"linger.ms" = 20`.
    #[serde(default)]
    pub librdkafka: Properties,
}

/// What messages are keyed by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Key {
    /// The activity's id: spreads evenly, and a compacted topic keeps one of each.
    #[default]
    Id,
    /// Who acted: one actor's documents are in one partition, in order.
    Actor,
    /// The organization.
    Organization,
}

/// What is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// ECS documents.
    #[default]
    Ecs,
    /// Raw records.
    Raw,
}

/// How messages are compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not at all.
    None,
    /// Cheap for both sides.
    #[default]
    Lz4,
    /// Smaller, at some cost.
    Zstd,
    /// For old readers.
    Gzip,
    /// For old readers.
    Snappy,
}

impl Compression {
    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
        }
    }
}

/// Ours unless the table says otherwise.
const DEFAULTS: [(&str, &str); 11] = [
    ("client.id", "anthropic-ecs"),
    ("enable.idempotence", "true"),
    ("acks", "all"),
    ("linger.ms", "5"),
    // One attempt to write ends after this, and the pipeline says what is wrong and tries again.
    ("message.timeout.ms", "30000"),
    ("topic.metadata.propagation.max.ms", "10000"),
    // Memory is bounded: librdkafka's own default is 1 GiB.
    ("queue.buffering.max.kbytes", "32768"),
    // As the Java clients do it, so that topics keyed alike are partitioned alike.
    ("partitioner", "murmur2_random"),
    // A broker that comes back is noticed within seconds.
    ("reconnect.backoff.max.ms", "2000"),
    ("retry.backoff.max.ms", "1000"),
    ("socket.keepalive.enable", "true"),
];

/// What the promise rests on, or what has a key of its own.
const REFUSED: [Refused; 9] = [
    ("enable.idempotence", "without it, what the brokers have taken could be lost or doubled"),
    ("acks", "a document is delivered when all replicas have it"),
    ("request.required.acks", "a document is delivered when all replicas have it"),
    ("delivery.report.only.error", "what was delivered must be known"),
    ("message.send.max.retries", "how often is decided by message.timeout.ms"),
    ("retries", "how often is decided by message.timeout.ms"),
    ("transactional.id", "use the keys `exactly_once` and `transactional_id`"),
    ("compression.type", "use the key `compression`"),
    ("compression.codec", "use the key `compression`"),
];

/// A configuration that can be used.
#[derive(Clone)]
pub struct Settings {
    pub(crate) client: ClientConfig,
    pub(crate) topic: String,
    pub(crate) about: About,
    format: Format,
    key: Key,
    exactly_once: bool,
}

impl std::fmt::Debug for Settings {
    /// Without librdkafka's properties: there may be a password among them.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("topic", &self.topic)
            .field("about", &self.about)
            .finish_non_exhaustive()
    }
}

impl Settings {
    /// What messages are to be keyed by.
    #[must_use]
    pub fn key(&self) -> Key {
        self.key
    }

    /// What is to be written.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// Whether [`crate::kafka::TransactionalSink`] is to be used.
    #[must_use]
    pub fn exactly_once(&self) -> bool {
        self.exactly_once
    }
}

impl Config {
    /// Checks everything that can be checked without a broker.
    ///
    /// # Errors
    ///
    /// [`FaultKind::Unusable`] with the key that is wrong, or [`FaultKind::Storage`] when the password file cannot be read.
    pub fn settings(&self) -> Result<Settings, Fault> {
        let brokers = self.brokers.as_slice();
        let wrong = |text: String| Fault::new(FaultKind::Unusable, format!("[sink] {text}"), "");
        if self.topic.is_empty() {
            return Err(wrong("`topic` is empty; name one".into()));
        }
        if self.transactional_id.is_some() && !self.exactly_once {
            return Err(wrong(
                "`transactional_id` is for `exactly_once = true`; remove one or add the other".into(),
            ));
        }
        let password = match (&self.sasl_password, &self.sasl_password_file) {
            (Some(_), Some(_)) => {
                return Err(wrong(
                    "`sasl_password` and `sasl_password_file` are both given; keep one".into(),
                ));
            }
            (None, Some(path)) => Some(read_secret(path)?),
            (given, None) => given.clone(),
        };
        let connection = Connection {
            brokers,
            tls: self.tls,
            ca_file: self.ca_file.as_ref(),
            certificate_file: self.certificate_file.as_ref(),
            key_file: self.key_file.as_ref(),
            key_password: self.key_password.as_ref(),
            sasl_mechanism: self.sasl_mechanism,
            sasl_username: self.sasl_username.as_deref(),
            sasl_password: password.as_ref(),
            librdkafka: Some(&self.librdkafka),
        };
        let mut client = ClientConfig::new();
        for (key, value) in connection.properties(&DEFAULTS, &REFUSED).map_err(wrong)? {
            client.set(key, value.expose());
        }
        client.set("compression.type", self.compression.name());
        let transactional_id =
            self.exactly_once.then(|| self.transactional_id.clone().unwrap_or_else(one_of_its_own));
        if let Some(id) = &transactional_id {
            client.set("transactional.id", id);
        }
        client.create_native_config().map_err(|error| wrong(refusal(&error)))?;
        Ok(Settings {
            client,
            topic: self.topic.clone(),
            about: About {
                brokers: brokers.join(","),
                topics: self.topic.clone(),
                group: None,
                transactional_id,
            },
            format: self.format,
            key: self.key,
            exactly_once: self.exactly_once,
        })
    }
}

/// A transactional id no other process has.
fn one_of_its_own() -> String {
    use std::hash::{BuildHasher, RandomState};
    format!("anthropic-ecs-{}-{:016x}", std::process::id(), RandomState::new().hash_one("transactional id"))
}

/// The words for a configuration librdkafka does not take; never with a value that may be a secret.
pub(crate) fn refusal(error: &KafkaError) -> String {
    match error {
        KafkaError::ClientConfig(_, description, key, _) => refused_property(key, description),
        other => other.to_string(),
    }
}

fn read_secret(path: &PathBuf) -> Result<Secret, Fault> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        let cause = format!("[sink] `sasl_password_file`: {} cannot be read: {error}", path.display());
        Fault::new(FaultKind::Storage, cause, "make it a file this user may read")
    })?;
    Ok(Secret::new(text.trim_end_matches(['\r', '\n'])))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(extra: &str) -> Result<Settings, String> {
        let text = format!(r#"{{"brokers":["b:9092"],"topic":"ecs"{extra}}}"#);
        let config: Config = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        config.settings().map_err(|fault| fault.to_string())
    }

    #[test]
    fn little_is_needed() {
        let settings = config("").unwrap();
        for (key, value) in [("enable.idempotence", "true"), ("acks", "all"), ("compression.type", "lz4")] {
            assert_eq!(settings.client.get(key), Some(value), "{key}");
        }
        assert_eq!(
            (settings.key(), settings.format(), settings.exactly_once()),
            (Key::Id, Format::Ecs, false)
        );
        assert_eq!(settings.client.get("transactional.id"), None);
    }

    #[test]
    fn what_would_break_the_promise_is_refused_by_name() {
        for (key, _) in REFUSED {
            let error = config(&format!(r#","librdkafka":{{"{key}":"0"}}"#)).unwrap_err();
            assert!(error.contains(key), "{error}");
        }
        for (extra, named) in [
            (r#","librdkafka":{"no.such.property":1}"#, "no.such.property"),
            (r#","transactional_id":"t""#, "exactly_once"),
            (r#","compression":"rar""#, "rar"),
            (r#","key":"colour""#, "colour"),
            (r#","colour":1"#, "colour"),
            (r#","sasl_username":"u""#, "sasl_password"),
        ] {
            let error = config(extra).unwrap_err();
            assert!(error.contains(named), "{error}");
        }
    }

    #[test]
    fn every_copy_has_a_transactional_id_of_its_own() {
        let id = |settings: Settings| settings.client.get("transactional.id").map(str::to_owned).unwrap();
        let copies = [0, 1].map(|_| id(config(r#","exactly_once":true"#).unwrap()));
        assert_ne!(copies[0], copies[1]);
        let named = config(r#","exactly_once":true,"transactional_id":"mine""#).unwrap();
        assert_eq!(id(named), "mine");
    }
}
