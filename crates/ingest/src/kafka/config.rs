//! `[source] type = "kafka"`: what can be said about it, and what follows from that.
//!
//! Owns the keys and their defaults. Must not know how a client is driven; it ends where librdkafka's configuration is
//! complete. No IO but reading `sasl_password_file`.

use std::path::PathBuf;
use std::time::Duration;

use model::fault::{Fault, FaultKind};
use model::kafka::{About, Connection, OneOrMany, Properties, Refused, SaslMechanism, refused_property};
use model::settings::{ByteSize, Period, Secret};
use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use schemars::JsonSchema;
use serde::Deserialize;

/// The keys of `[source]` with `type = "kafka"`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Addresses of one or more brokers, `host:port`.
    pub brokers: OneOrMany,
    /// The topic with raw records, or a list of topics. A name that begins with `^` is a regular expression.
    pub topics: OneOrMany,
    /// The consumer group. Copies of the program with the same group share the partitions.
    #[serde(default = "default_group")]
    pub group: String,
    /// Where to begin in a partition for which the group has no position yet: `earliest`, `latest`, or a time like
    /// `2026-01-31T00:00:00Z`. That place is committed at once, so that it is decided only once.
    #[serde(default)]
    pub start: Start,
    /// Makes this copy a static member of the group: restarting it within the session timeout moves no partitions. Must
    /// differ between copies.
    pub group_instance_id: Option<String>,
    /// How long a rebalance waits, before partitions are given away, for what is under way from them to end. What does not
    /// end in time is delivered again by whoever has the partition next. The whole group waits that long; it must be less
    /// than half of `max.poll.interval.ms` (5 minutes).
    #[serde(default = "default_revoke_timeout")]
    pub revoke_timeout: Period,
    /// How many bytes of records wait here for the mapper. Fetching stops while there are more.
    #[serde(default = "default_buffer_bytes")]
    pub buffer_bytes: ByteSize,
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
    /// Any other property of librdkafka by its own name, like `"fetch.wait.max.ms" = 200`.
    #[serde(default)]
    pub librdkafka: Properties,
}

fn default_group() -> String {
    "anthropic-ecs".into()
}

fn default_revoke_timeout() -> Period {
    Period(Duration::from_secs(10))
}

fn default_buffer_bytes() -> ByteSize {
    ByteSize(8 << 20)
}

/// Where to begin in a partition without a position.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Start {
    /// At the oldest message there is.
    #[default]
    Earliest,
    /// After the newest message there is.
    Latest,
    /// At the first message of this time or later, in milliseconds since 1970.
    Timestamp(i64),
}

impl TryFrom<String> for Start {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "earliest" => Ok(Self::Earliest),
            "latest" => Ok(Self::Latest),
            time => chrono::DateTime::parse_from_rfc3339(time)
                .map(|time| Self::Timestamp(time.timestamp_millis()))
                .map_err(|_| format!("`{time}` is no start; write `earliest`, `latest` or a time like `2026-01-31T00:00:00Z`")),
        }
    }
}

impl JsonSchema for Start {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "KafkaStart".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "title": "place or time",
            "type": "string",
            "default": "earliest",
            "examples": ["earliest", "latest", "2026-01-31T00:00:00Z"],
        })
    }
}

/// Ours unless the table says otherwise.
const DEFAULTS: [(&str, &str); 13] = [
    ("client.id", "anthropic-ecs"),
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    // Where there is no position, the start is looked up and committed; so this is met only when a position points at
    // what the broker has deleted, and then going on at the oldest message loses the least.
    ("auto.offset.reset", "earliest"),
    // Partitions that stay keep flowing through a rebalance.
    ("partition.assignment.strategy", "cooperative-sticky"),
    ("check.crcs", "true"),
    // Memory is bounded: librdkafka's own defaults are 64 MiB and 50 MiB.
    ("queued.max.messages.kbytes", "16384"),
    ("fetch.max.bytes", "8388608"),
    // With a queue that small, the default pause of a second after it was full is most of the time.
    ("fetch.queue.backoff.ms", "10"),
    // A broker that comes back is noticed within seconds.
    ("reconnect.backoff.max.ms", "2000"),
    // So is a topic that comes to be.
    ("topic.metadata.refresh.interval.ms", "10000"),
    ("socket.keepalive.enable", "true"),
    // How far behind we are is told this often.
    ("statistics.interval.ms", "5000"),
];

/// What the promise rests on, or what has a key of its own.
const REFUSED: [Refused; 7] = [
    ("enable.auto.commit", "positions are committed when records have ended, never by the clock"),
    ("auto.commit.interval.ms", "positions are committed when records have ended, never by the clock"),
    ("enable.auto.offset.store", "positions are committed when records have ended"),
    ("auto.offset.reset", "use the key `start`"),
    ("group.id", "use the key `group`"),
    ("group.instance.id", "use the key `group_instance_id`"),
    ("offset.store.method", "positions are kept by the brokers"),
];

/// A configuration that can be used.
#[derive(Clone)]
pub struct Settings {
    pub(crate) client: ClientConfig,
    pub(crate) topics: Vec<String>,
    pub(crate) start: Start,
    pub(crate) revoke_timeout: Duration,
    pub(crate) buffer_bytes: usize,
    pub(crate) about: About,
}

impl std::fmt::Debug for Settings {
    /// Without librdkafka's properties: there may be a password among them.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("topics", &self.topics)
            .field("about", &self.about)
            .finish_non_exhaustive()
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
        let topics = self.topics.as_slice();
        let wrong = |text: String| Fault::new(FaultKind::Unusable, format!("[source] {text}"), "");
        if topics.is_empty() || topics.iter().any(|topic| topic.trim().is_empty()) {
            return Err(wrong("`topics` is empty; name at least one".into()));
        }
        if self.group.is_empty() {
            return Err(wrong("`group` is empty; leave it out or give a name".into()));
        }
        if self.buffer_bytes.0 < 64 * 1024 || self.buffer_bytes.0 > 1 << 30 {
            return Err(wrong(format!(
                "`buffer_bytes` is {}; it must be from 64KiB to 1GiB",
                self.buffer_bytes
            )));
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
        client.set("group.id", &self.group);
        if let Some(id) = &self.group_instance_id {
            client.set("group.instance.id", id);
        }
        if client.get("group.protocol").is_some_and(|protocol| protocol.eq_ignore_ascii_case("consumer")) {
            // There the broker decides who gets what, and librdkafka refuses the key.
            client.remove("partition.assignment.strategy");
        }
        let native = client.create_native_config().map_err(|error| wrong(refusal(&error)))?;
        let poll_interval = native.get("max.poll.interval.ms").ok().and_then(|millis| millis.parse().ok());
        if poll_interval.is_some_and(|millis| self.revoke_timeout.0 > Duration::from_millis(millis) / 2) {
            return Err(wrong(format!(
                "`revoke_timeout` is {}; it must be less than half of max.poll.interval.ms, or the group expels us while we wait",
                self.revoke_timeout
            )));
        }
        Ok(Settings {
            client,
            topics: topics.to_vec(),
            start: self.start,
            revoke_timeout: self.revoke_timeout.0,
            buffer_bytes: usize::try_from(self.buffer_bytes.0).unwrap_or(usize::MAX),
            about: About {
                brokers: brokers.join(","),
                topics: topics.join(", "),
                group: Some(self.group.clone()),
                transactional_id: None,
            },
        })
    }
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
        let cause = format!("[source] `sasl_password_file`: {} cannot be read: {error}", path.display());
        Fault::new(FaultKind::Storage, cause, "make it a file this user may read")
    })?;
    Ok(Secret::new(text.trim_end_matches(['\r', '\n'])))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(extra: &str) -> Result<Settings, String> {
        let text = format!(r#"{{"brokers":"b:9092","topics":["raw"]{extra}}}"#);
        let config: Config = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        config.settings().map_err(|fault| fault.to_string())
    }

    #[test]
    fn little_is_needed() {
        let settings = config("").unwrap();
        for (key, value) in [
            ("bootstrap.servers", "b:9092"),
            ("group.id", "anthropic-ecs"),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("auto.offset.reset", "earliest"),
        ] {
            assert_eq!(settings.client.get(key), Some(value), "{key}");
        }
        assert_eq!(settings.start, Start::Earliest);
    }

    #[test]
    fn what_would_break_the_promise_is_refused_by_name() {
        for (key, _) in REFUSED {
            let error = config(&format!(r#","librdkafka":{{"{key}":"true"}}"#)).unwrap_err();
            assert!(error.contains(key), "{error}");
        }
        for (extra, named) in [
            (r#","librdkafka":{"no.such.property":1}"#, "no.such.property"),
            (r#","librdkafka":{"ssl.key.pem":"hunter2"}"#, "ssl.key.pem"),
            (r#","buffer_bytes":"1KiB""#, "buffer_bytes"),
            (r#","group":"""#, "group"),
            (r#","revoke_timeout":"200s""#, "revoke_timeout"),
            (r#","revoke_timeout":"4s","librdkafka":{"max.poll.interval.ms":6000}"#, "revoke_timeout"),
            (r#","start":"yesterday""#, "yesterday"),
            (r#","sasl_username":"u","sasl_password":"hunter2","sasl_password_file":"f""#, "keep one"),
            (r#","sasl_username":"u","sasl_password_file":"/nowhere/f""#, "/nowhere/f"),
            (r#","colour":1"#, "colour"),
        ] {
            match config(extra) {
                Err(error) => {
                    assert!(error.contains(named), "{error}");
                    assert!(!error.contains("hunter2"), "{error}");
                }
                // A key of PEM text is only read when the client is made.
                Ok(_) => assert!(extra.contains("pem"), "{extra} was taken"),
            }
        }
    }

    #[test]
    fn a_start_may_be_a_time() {
        let settings = config(r#","start":"1970-01-01T01:00:01+01:00""#).unwrap();
        assert_eq!(settings.start, Start::Timestamp(1000));
    }

    #[test]
    fn a_password_comes_from_a_file_and_is_not_shown() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "hunter2\n").unwrap();
        let path = file.path().to_str().unwrap();
        let settings = config(&format!(r#","sasl_username":"u","sasl_password_file":"{path}""#)).unwrap();
        assert_eq!(settings.client.get("sasl.password"), Some("hunter2"));
        assert!(!format!("{settings:?}").contains("hunter2"));
    }

    #[test]
    fn the_broker_side_protocol_leaves_the_assignment_to_the_broker() {
        let settings = config(r#","librdkafka":{"group.protocol":"consumer"}"#).unwrap();
        assert_eq!(settings.client.get("partition.assignment.strategy"), None);
    }
}
