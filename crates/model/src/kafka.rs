//! What the Kafka source and the Kafka sink have in common: how to reach a cluster, and what its errors mean.
//!
//! Owns the turning of our keys into librdkafka's properties, the refusal of properties that would break what we promise,
//! and the table of error codes. Must not know librdkafka itself: properties are texts here and codes are numbers, so that
//! two crates that may not know each other can share them.
//!
//! The one subtle thing: a property from the user's table goes in last and may change our defaults, but never a key the
//! configuration has a name of its own for, nor one the promise rests on.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use crate::fault::{Fault, FaultKind};
use crate::settings::Secret;

/// A table of librdkafka properties. Values are never shown: a password may be among them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Properties(pub BTreeMap<String, Secret>);

impl<'de> Deserialize<'de> for Properties {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Text(String),
            Whole(i64),
            Truth(bool),
            Fraction(f64),
        }
        let table = BTreeMap::<String, Written>::deserialize(deserializer)?;
        let text = |value| match value {
            Written::Text(text) => text,
            Written::Whole(number) => number.to_string(),
            Written::Truth(truth) => truth.to_string(),
            Written::Fraction(number) => number.to_string(),
        };
        Ok(Self(table.into_iter().map(|(key, value)| (key, Secret::new(text(value)))).collect()))
    }
}

impl JsonSchema for Properties {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "LibrdkafkaProperties".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "object", "additionalProperties": {"type": ["string", "integer", "number", "boolean"]}})
    }
}

/// How a client proves who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum SaslMechanism {
    /// User name and password as they are; use it over TLS only.
    #[serde(rename = "PLAIN")]
    Plain,
    /// Salted challenge and response over SHA-256.
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// Salted challenge and response over SHA-512.
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
}

impl SaslMechanism {
    fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

/// One or several, as a configuration may write it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum OneOrMany {
    /// One.
    One(String),
    /// A list.
    Many(Vec<String>),
}

impl OneOrMany {
    /// All of them.
    #[must_use]
    pub fn as_slice(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

/// How to reach a cluster: what the keys of a `[source]` or `[sink]` table say about it.
#[derive(Debug, Clone, Default)]
pub struct Connection<'c> {
    /// Addresses of some brokers.
    pub brokers: &'c [String],
    /// Whether TLS is asked for; `None` leaves it to the other keys.
    pub tls: Option<bool>,
    /// Certificates to trust.
    pub ca_file: Option<&'c PathBuf>,
    /// Our certificate.
    pub certificate_file: Option<&'c PathBuf>,
    /// Its key.
    pub key_file: Option<&'c PathBuf>,
    /// The password of the key.
    pub key_password: Option<&'c Secret>,
    /// How to prove who we are.
    pub sasl_mechanism: Option<SaslMechanism>,
    /// As whom.
    pub sasl_username: Option<&'c str>,
    /// With what.
    pub sasl_password: Option<&'c Secret>,
    /// The user's own properties.
    pub librdkafka: Option<&'c Properties>,
}

/// A property that may not stand in the table, and what is to be said instead.
pub type Refused = (&'static str, &'static str);

/// Refused for source and sink alike.
const REFUSED: [Refused; 3] = [
    ("bootstrap.servers", "use the key `brokers`"),
    ("metadata.broker.list", "use the key `brokers`"),
    ("enable.sasl.oauthbearer.unsecure.jwt", "such tokens prove nothing"),
];

impl Connection<'_> {
    /// librdkafka's properties: the connection, then `ours`, then the user's table.
    ///
    /// # Errors
    ///
    /// A text that names the key: keys that need each other, a property that stands in the table and in a key, and
    /// properties listed in `refused`.
    pub fn properties(
        &self,
        ours: &[(&str, &str)],
        refused: &[Refused],
    ) -> Result<BTreeMap<String, Secret>, String> {
        let mut from_keys = self.security()?;
        if self.brokers.is_empty() || self.brokers.iter().any(|broker| broker.trim().is_empty()) {
            return Err("`brokers` is empty; name at least one, like `brokers = [\"kafka:9092\"]`".into());
        }
        from_keys.insert("bootstrap.servers", self.brokers.join(","));
        let own = |(key, value): (&str, &str)| (key.to_owned(), Secret::new(value));
        let mut all: BTreeMap<_, _> = ours.iter().copied().map(own).collect();
        for (key, value) in self.librdkafka.map(|table| table.0.iter()).into_iter().flatten() {
            if let Some((_, instead)) = REFUSED.iter().chain(refused).find(|(name, _)| name == key) {
                return Err(format!("`librdkafka.\"{key}\"` cannot be set: {instead}"));
            }
            if from_keys.contains_key(key.as_str()) {
                return Err(format!(
                    "`librdkafka.\"{key}\"` is already decided by another key; say it in one place"
                ));
            }
            all.insert(key.clone(), value.clone());
        }
        all.extend(from_keys.into_iter().map(|(key, value)| (key.to_owned(), Secret::new(value))));
        Ok(all)
    }

    /// Properties about TLS and SASL.
    fn security(&self) -> Result<BTreeMap<&'static str, String>, String> {
        let mut found = BTreeMap::new();
        let files = [
            ("ca_file", "ssl.ca.location", self.ca_file),
            ("certificate_file", "ssl.certificate.location", self.certificate_file),
            ("key_file", "ssl.key.location", self.key_file),
        ];
        for (key, property, path) in files {
            let Some(path) = path else { continue };
            if self.tls == Some(false) {
                return Err(format!("`{key}` is for TLS, and `tls` is false; remove one of them"));
            }
            let path = path.to_str().ok_or_else(|| format!("`{key}` is not UTF-8"))?;
            found.insert(property, path.to_owned());
        }
        if self.certificate_file.is_some() != self.key_file.is_some() {
            return Err("`certificate_file` and `key_file` need each other".into());
        }
        if let Some(password) = self.key_password {
            if self.key_file.is_none() {
                return Err("`key_password` needs `key_file`".into());
            }
            found.insert("ssl.key.password", password.expose().to_owned());
        }
        match (self.sasl_mechanism, self.sasl_username, self.sasl_password) {
            (None, None, None) => {}
            (mechanism, Some(user), Some(password)) => {
                let mechanism = mechanism.unwrap_or(SaslMechanism::ScramSha512);
                found.insert("sasl.mechanism", mechanism.name().into());
                found.insert("sasl.username", user.into());
                found.insert("sasl.password", password.expose().into());
            }
            _ => {
                return Err(
                    "`sasl_username` and `sasl_password` (or `sasl_password_file`) are needed together"
                        .into(),
                );
            }
        }
        let tls = self.tls.unwrap_or(self.ca_file.is_some() || self.certificate_file.is_some());
        let protocol = match (tls, found.contains_key("sasl.mechanism")) {
            (true, true) => "SASL_SSL",
            (true, false) => "SSL",
            (false, true) => "SASL_PLAINTEXT",
            // Nothing said: the user's table may.
            (false, false) if self.tls.is_none() => return Ok(found),
            (false, false) => "PLAINTEXT",
        };
        found.insert("security.protocol", protocol.into());
        Ok(found)
    }
}

/// Says why librdkafka refused a property, without its value when that may be a secret.
#[must_use]
pub fn refused_property(key: &str, description: &str) -> String {
    let secret =
        ["password", "secret", "pem", "token", "jaas", "oauth"].iter().any(|word| key.contains(word));
    if secret || description.is_empty() {
        format!("librdkafka refuses the value of `{key}`")
    } else {
        format!("librdkafka refuses `{key}`: {}", description.trim())
    }
}

/// What a call was about, to say so in a fault.
#[derive(Debug, Clone, Default)]
pub struct About {
    /// Addresses of the brokers, as configured.
    pub brokers: String,
    /// The topics.
    pub topics: String,
    /// The consumer group, if there is one.
    pub group: Option<String>,
    /// The transactional id, if there is one.
    pub transactional_id: Option<String>,
}

/// What an error code of Kafka or librdkafka means for us.
///
/// Numbers from the protocol's list of error codes (positive) and from `rdkafka.h` (negative); they never change meaning.
/// What is not listed is taken for a passing trouble of the connection, which is tried again.
#[must_use]
pub fn fault(code: i32, words: &dyn fmt::Display, about: &About) -> Fault {
    let About { brokers, topics, .. } = about;
    let group = about.group.as_deref().unwrap_or("-");
    let transactional = about.transactional_id.as_deref().unwrap_or("-");
    let (kind, remedy) = match code {
        // UNKNOWN_TOPIC_OR_PARTITION, UNKNOWN_TOPIC_ID; _UNKNOWN_PARTITION, _UNKNOWN_TOPIC
        3 | 100 | -190 | -188 => {
            (FaultKind::Missing, format!("create the topic {topics}, or correct its name"))
        }
        // INVALID_TOPIC_EXCEPTION
        17 => (FaultKind::Unusable, format!("correct the topic name {topics}")),
        29 => (FaultKind::Forbidden, format!("allow this user to use the topic {topics} (ACL)")),
        30 => (FaultKind::Forbidden, format!("allow this user to read the consumer group {group} (ACL)")),
        31 => (FaultKind::Forbidden, "allow this user IdempotentWrite on the cluster (ACL)".into()),
        53 => (FaultKind::Forbidden, format!("allow this user the transactional id {transactional} (ACL)")),
        // UNSUPPORTED_SASL_MECHANISM, SASL_AUTHENTICATION_FAILED; _AUTHENTICATION
        33 | 58 | -169 => (
            FaultKind::Unauthenticated,
            "check sasl_mechanism, sasl_username and sasl_password, and that the listener is one for SASL"
                .into(),
        ),
        // _SSL
        -181 => (
            FaultKind::Unauthenticated,
            "check ca_file (or the client certificate), and that the port is the one for TLS".into(),
        ),
        // INVALID_PRODUCER_EPOCH, PRODUCER_FENCED; _FENCED
        47 | 90 | -144 if about.transactional_id.is_some() => (
            FaultKind::Taken,
            format!(
                "another producer uses the transactional id {transactional}; give every copy one of its own"
            ),
        ),
        // FENCED_INSTANCE_ID
        82 => (
            FaultKind::Taken,
            "another member of the group has this group_instance_id; give every copy one of its own".into(),
        ),
        // KAFKA_STORAGE_ERROR, NOT_ENOUGH_REPLICAS, NOT_ENOUGH_REPLICAS_AFTER_APPEND
        56 | 19 | 20 => (FaultKind::Blocked, "see the brokers' health: disks, and replicas in sync".into()),
        // POLICY_VIOLATION
        44 => (FaultKind::Forbidden, "see the policy of the cluster".into()),
        // THROTTLING_QUOTA_EXCEEDED; _QUEUE_FULL
        89 | -184 => (FaultKind::Throttled, String::new()),
        // MSG_SIZE_TOO_LARGE, RECORD_LIST_TOO_LARGE
        10 | 18 => (FaultKind::TooLarge, format!("raise max.message.bytes of the topic {topics}")),
        _ => (
            FaultKind::Unreachable,
            format!(
                "check that the brokers {brokers} run and can be reached from here, by their advertised addresses too, and that `tls` and `sasl_username` fit the listener"
            ),
        ),
    };
    Fault::new(kind, format!("Kafka at {brokers}: {words}"), remedy)
}

/// What a client reported of late, and what of it is worth saying.
///
/// librdkafka reports one cause as many errors: that a password is wrong, that the connection is therefore closed, that all
/// brokers are therefore down. The first is what a person must hear, whenever the last is reported.
#[derive(Debug)]
pub struct Troubles {
    about: About,
    /// The last fault that says more than "not reachable".
    specific: Option<(Instant, Fault)>,
    /// What the last connection that failed died of.
    connection: Option<String>,
}

/// How long a cause explains what is reported after it. Longer than librdkafka waits between two attempts to connect.
const EXPLAINS: Duration = Duration::from_secs(30);

impl Troubles {
    /// Nothing was reported yet.
    #[must_use]
    pub fn new(about: About) -> Self {
        Self { about, specific: None, connection: None }
    }

    /// What calls are about.
    #[must_use]
    pub fn about(&self) -> &About {
        &self.about
    }

    /// A client reported an error. Gives a fault if the whole client is held up by it.
    pub fn note(&mut self, code: i32, words: &str) -> Option<Fault> {
        // A handshake that fails half way is reported as a broken connection; only the words tell.
        let code = if words.contains("SSL handshake failed") { -181 } else { code };
        let fault = fault(code, &words, &self.about);
        if fault.kind != FaultKind::Unreachable {
            self.specific = Some((Instant::now(), fault.clone()));
            return Some(fault);
        }
        match code {
            // _ALL_BROKERS_DOWN
            -187 => Some(self.explain(code, &words)),
            // _RESOLVE: a name that nobody knows. That all brokers are down is said next, and means the same.
            -193 => {
                self.connection = Some(words.to_owned());
                Some(fault)
            }
            // _TRANSPORT
            -195 => {
                self.connection = Some(words.to_owned());
                None
            }
            _ => None,
        }
    }

    /// The fault behind an error code, as far as it is known from what was reported before.
    #[must_use]
    pub fn explain(&self, code: i32, words: &dyn fmt::Display) -> Fault {
        let fault = fault(code, words, &self.about);
        if fault.kind != FaultKind::Unreachable {
            return fault;
        }
        if let Some((at, specific)) = &self.specific
            && at.elapsed() < EXPLAINS
        {
            return specific.clone();
        }
        match &self.connection {
            Some(connection) => self::fault(code, &format_args!("{words} ({connection})"), &self.about),
            None => fault,
        }
    }

    /// The cluster answers again.
    pub fn clear(&mut self) {
        self.specific = None;
        self.connection = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(pairs: &[(&str, &str)]) -> Properties {
        Properties(pairs.iter().map(|(key, value)| ((*key).into(), Secret::new(*value))).collect())
    }

    fn shown(properties: &BTreeMap<String, Secret>, key: &str) -> Option<String> {
        properties.get(key).map(|value| value.expose().to_owned())
    }

    #[test]
    fn security_follows_from_what_is_given() {
        let brokers = ["a:1".to_owned(), "b:2".to_owned()];
        let ca = PathBuf::from("ca.pem");
        let password = Secret::new("p");
        let plain = Connection { brokers: &brokers, ..Connection::default() };
        let properties = plain.properties(&[("x", "1")], &[]).unwrap();
        assert_eq!(shown(&properties, "bootstrap.servers").as_deref(), Some("a:1,b:2"));
        assert_eq!(shown(&properties, "security.protocol"), None);
        let tls = Connection { ca_file: Some(&ca), ..plain.clone() };
        assert_eq!(shown(&tls.properties(&[], &[]).unwrap(), "security.protocol").as_deref(), Some("SSL"));
        let sasl = Connection { sasl_username: Some("u"), sasl_password: Some(&password), ..plain.clone() };
        let properties = sasl.properties(&[], &[]).unwrap();
        assert_eq!(shown(&properties, "security.protocol").as_deref(), Some("SASL_PLAINTEXT"));
        assert_eq!(shown(&properties, "sasl.mechanism").as_deref(), Some("SCRAM-SHA-512"));
        let both = Connection { tls: Some(true), ..sasl };
        assert_eq!(
            shown(&both.properties(&[], &[]).unwrap(), "security.protocol").as_deref(),
            Some("SASL_SSL")
        );
    }

    #[test]
    fn what_does_not_fit_together_is_refused_by_name() {
        let brokers = ["a:1".to_owned()];
        let file = PathBuf::from("f.pem");
        let password = Secret::new("hunter2");
        let base = Connection { brokers: &brokers, ..Connection::default() };
        let doubled = table(&[("ssl.ca.location", "hunter2")]);
        let servers = table(&[("bootstrap.servers", "hunter2")]);
        let committing = table(&[("enable.auto.commit", "hunter2")]);
        let cases = [
            (Connection::default(), "`brokers`"),
            (Connection { certificate_file: Some(&file), ..base.clone() }, "`key_file`"),
            (Connection { key_password: Some(&password), ..base.clone() }, "`key_file`"),
            (Connection { sasl_username: Some("u"), ..base.clone() }, "`sasl_password`"),
            (Connection { sasl_mechanism: Some(SaslMechanism::Plain), ..base.clone() }, "`sasl_username`"),
            (Connection { tls: Some(false), ca_file: Some(&file), ..base.clone() }, "`tls`"),
            (
                Connection { ca_file: Some(&file), librdkafka: Some(&doubled), ..base.clone() },
                "ssl.ca.location",
            ),
            (Connection { librdkafka: Some(&servers), ..base.clone() }, "`brokers`"),
            (Connection { librdkafka: Some(&committing), ..base.clone() }, "because"),
        ];
        for (connection, named) in cases {
            let error = connection.properties(&[], &[("enable.auto.commit", "because")]).unwrap_err();
            assert!(error.contains(named), "{error} should name {named}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn the_table_changes_our_defaults_and_shows_nothing() {
        let brokers = ["a:1".to_owned()];
        let mine = table(&[("linger.ms", "7"), ("sasl.password", "hunter2")]);
        let connection = Connection { brokers: &brokers, librdkafka: Some(&mine), ..Connection::default() };
        let properties = connection.properties(&[("linger.ms", "5"), ("retries", "9")], &[]).unwrap();
        assert_eq!(shown(&properties, "linger.ms").as_deref(), Some("7"));
        assert_eq!(shown(&properties, "retries").as_deref(), Some("9"));
        assert!(!format!("{mine:?} {properties:?}").contains("hunter2"));
        assert!(!refused_property("ssl.key.password", "Invalid value \"hunter2\"").contains("hunter2"));
        assert!(refused_property("linger.ms", "Invalid value \"x\"").contains("Invalid value"));
    }

    #[test]
    fn values_of_the_table_may_be_texts_numbers_and_truths() {
        let read: Properties = serde_json::from_str(r#"{"a":"x","b":5,"c":true,"d":0.5}"#).unwrap();
        let values: Vec<_> = read.0.values().map(Secret::expose).collect();
        assert_eq!(values, ["x", "5", "true", "0.5"]);
    }

    #[test]
    fn codes_have_their_kinds_and_remedies() {
        let (group, transactional_id) = (Some("g".into()), Some("x".into()));
        let about = About { brokers: "b:1".into(), topics: "t".into(), group, transactional_id };
        let cases = [
            (3, FaultKind::Missing, "t"),
            (29, FaultKind::Forbidden, "topic t"),
            (30, FaultKind::Forbidden, "group g"),
            (58, FaultKind::Unauthenticated, "sasl_password"),
            (-181, FaultKind::Unauthenticated, "ca_file"),
            (-187, FaultKind::Unreachable, "b:1"),
            (82, FaultKind::Taken, "group_instance_id"),
            (90, FaultKind::Taken, "transactional id x"),
            (20, FaultKind::Blocked, "replicas"),
            (-12345, FaultKind::Unreachable, "b:1"),
        ];
        for (code, kind, named) in cases {
            let fault = fault(code, &"words", &about);
            assert_eq!(fault.kind, kind, "{code}");
            assert!(fault.remedy.contains(named), "{code}: {fault}");
            assert!(fault.cause.contains("words"), "{fault}");
        }
        let plain = About { transactional_id: None, ..about };
        assert_eq!(fault(47, &"", &plain).kind, FaultKind::Unreachable, "without transactions it passes");
    }

    #[test]
    fn what_follows_is_explained_by_what_came_first() {
        let mut troubles = Troubles::new(About { brokers: "b:1".into(), ..About::default() });
        assert_eq!(troubles.note(-195, "b:1: Connection refused"), None);
        let down = troubles.note(-187, "1/1 brokers are down").unwrap();
        assert_eq!(down.kind, FaultKind::Unreachable);
        assert!(down.cause.contains("1/1 brokers are down (b:1: Connection refused)"), "{down}");
        let tls = troubles.note(-187, "1/1 brokers are down: SSL handshake failed: Disconnected").unwrap();
        assert_eq!(tls.kind, FaultKind::Unauthenticated);
        assert_eq!(troubles.note(-169, "SASL failed").unwrap().kind, FaultKind::Unauthenticated);
        assert_eq!(troubles.note(-187, "1/1 brokers are down").unwrap().kind, FaultKind::Unauthenticated);
        assert_eq!(troubles.explain(-192, &"message timed out").kind, FaultKind::Unauthenticated);
        troubles.clear();
        assert_eq!(troubles.explain(-192, &"message timed out").kind, FaultKind::Unreachable);
    }
}
