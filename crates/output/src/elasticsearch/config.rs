//! The `[sink]` table of `type = "elasticsearch"`, and what is left of it when it makes sense.
//!
//! Owns the names, defaults and refusals of the keys. Does no IO: whether a file can be read or a server answers is found
//! out by [`super::Elasticsearch::open`] and [`super::Elasticsearch::probe`].

use std::path::PathBuf;
use std::time::Duration;

use elasticsearch::http::Url;
use model::fault::{Fault, FaultKind};
use model::settings::{ByteSize, Period, Secret};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::credentials::{Credentials, Text};

/// Elasticsearch 8 and 9, OpenSearch 2 and 3.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ElasticsearchConfig {
    /// Where the cluster is: one address or a list, `https://host:9200`. Several are used in turn, and one that fails is
    /// left alone for a while.
    pub url: Urls,
    /// What answers there: `auto`, `elasticsearch` or `opensearch`.
    #[serde(default)]
    pub flavour: Flavour,
    /// An API key: the encoded form, or `id:key`.
    pub api_key: Option<Secret>,
    /// A file with the API key. It is read again when the server refuses the key, so that a key can be replaced while the
    /// stage runs. The same goes for the other `_file` keys with secrets.
    pub api_key_file: Option<PathBuf>,
    /// User name for basic authentication; asks for `password` or `password_file`.
    pub username: Option<String>,
    /// Password for basic authentication.
    pub password: Option<Secret>,
    /// A file with the password.
    pub password_file: Option<PathBuf>,
    /// A bearer token (service account, JWT).
    pub bearer: Option<Secret>,
    /// A file with the bearer token.
    pub bearer_file: Option<PathBuf>,
    /// A PEM file with the authorities that sign the server's certificate, in addition to those of the system.
    pub ca_file: Option<PathBuf>,
    /// A PEM file with the certificate to show to the server; asks for `client_key_file`.
    pub client_certificate_file: Option<PathBuf>,
    /// A PEM file with the key of `client_certificate_file`.
    pub client_key_file: Option<PathBuf>,
    /// Accept any certificate of the server. Whoever is on the way can then read and change everything, credentials
    /// included.
    #[serde(default)]
    pub danger_accept_invalid_certificates: bool,
    /// The last part of the data stream's name, `logs-anthropic.audit-<namespace>`.
    #[serde(default = "default_namespace")]
    pub namespace: String,
    /// The most bytes of documents in one request, before compression.
    #[serde(default = "default_max_bulk_bytes")]
    pub max_bulk_bytes: ByteSize,
    /// The most documents in one request.
    #[serde(default = "default_max_bulk_documents")]
    pub max_bulk_documents: usize,
    /// How long to wait for more documents before a small request is sent.
    #[serde(default = "default_linger")]
    pub linger: Period,
    /// The most requests under way at a time.
    #[serde(default = "default_in_flight")]
    pub in_flight: usize,
    /// How long one request may take, connecting included.
    #[serde(default = "default_timeout")]
    pub timeout: Period,
    /// How requests are compressed: `gzip` or `none`. The default is `gzip`, and `none` where every `url` is on this
    /// machine: there the wire costs nothing, and both ends would pay for it in CPU.
    pub compression: Option<Compression>,
}

/// One address or several.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Urls {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

impl Urls {
    fn as_slice(&self) -> &[String] {
        match self {
            Self::One(url) => std::slice::from_ref(url),
            Self::Many(urls) => urls,
        }
    }
}

/// What kind of server it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Flavour {
    /// To be found out.
    #[default]
    Auto,
    /// Elasticsearch.
    Elasticsearch,
    /// OpenSearch.
    OpenSearch,
}

/// How the body of a request is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// gzip, the one coding that Elasticsearch and OpenSearch both take.
    Gzip,
    /// Not at all.
    None,
}

fn default_namespace() -> String {
    "default".to_owned()
}

/// Beyond some MiB a request gains nothing and costs the server heap; 5 MiB is what Elastic's own clients begin with.
fn default_max_bulk_bytes() -> ByteSize {
    ByteSize(5 << 20)
}

fn default_max_bulk_documents() -> usize {
    5_000
}

fn default_linger() -> Period {
    Period(Duration::from_millis(500))
}

fn default_in_flight() -> usize {
    4
}

fn default_timeout() -> Period {
    Period(Duration::from_secs(60))
}

/// A configuration that makes sense, as [`ElasticsearchConfig::validate`] gives it.
#[derive(Debug, Clone)]
pub struct Settings {
    pub(super) urls: Vec<Url>,
    pub(super) flavour: Flavour,
    pub(super) credentials: Credentials,
    pub(super) ca_file: Option<PathBuf>,
    /// Certificate and key.
    pub(super) client_certificate: Option<(PathBuf, PathBuf)>,
    pub(super) accept_invalid_certificates: bool,
    pub(super) namespace: String,
    pub(super) max_bulk_bytes: usize,
    pub(super) max_bulk_documents: usize,
    pub(super) linger: Duration,
    pub(super) in_flight: usize,
    pub(super) timeout: Duration,
    pub(super) compression: Compression,
}

impl Settings {
    /// Says what is allowed and seldom meant.
    pub(super) fn warn(&self) {
        if self.accept_invalid_certificates {
            tracing::warn!(
                "the server's certificate is not checked; `danger_accept_invalid_certificates` is set"
            );
        }
        let open = self.urls.iter().find(|url| url.scheme() == "http" && !is_loopback(url));
        if let Some(url) = open.filter(|_| !matches!(self.credentials, Credentials::None)) {
            tracing::warn!(url = url.as_str(), "credentials and documents go over the network unencrypted");
        }
    }
}

impl ElasticsearchConfig {
    /// Checks the keys and how they go together. Reads no file and reaches no server.
    ///
    /// # Errors
    ///
    /// The first key that cannot be used as it stands.
    pub fn validate(&self) -> Result<Settings, Fault> {
        let urls = self.url.as_slice().iter().map(|url| address(url)).collect::<Result<Vec<_>, _>>()?;
        if urls.is_empty() {
            return Err(unusable(
                "`url` is an empty list",
                "name at least one address, like https://localhost:9200",
            ));
        }
        let encrypted = urls.iter().any(|url| url.scheme() == "https");
        self.check_tls(encrypted)?;
        let client_certificate = match (&self.client_certificate_file, &self.client_key_file) {
            (Some(certificate), Some(key)) => Some((certificate.clone(), key.clone())),
            (None, None) => None,
            (Some(_), None) => return Err(lonely("client_certificate_file", "client_key_file")),
            (None, Some(_)) => return Err(lonely("client_key_file", "client_certificate_file")),
        };
        check_namespace(&self.namespace)?;
        let max_bulk_bytes = usize::try_from(self.max_bulk_bytes.0).unwrap_or(usize::MAX);
        between("max_bulk_bytes", max_bulk_bytes, 1 << 10, 1 << 30)?;
        between("max_bulk_documents", self.max_bulk_documents, 1, 1_000_000)?;
        between("in_flight", self.in_flight, 1, 256)?;
        if self.timeout.0 < Duration::from_millis(100) {
            return Err(unusable(
                format!("`timeout` is {}", self.timeout),
                "give a request some seconds at least",
            ));
        }
        let local = urls.iter().all(is_loopback);
        Ok(Settings {
            flavour: self.flavour,
            credentials: self.credentials()?,
            ca_file: self.ca_file.clone(),
            client_certificate,
            accept_invalid_certificates: self.danger_accept_invalid_certificates,
            namespace: self.namespace.clone(),
            max_bulk_bytes,
            max_bulk_documents: self.max_bulk_documents,
            linger: self.linger.0,
            in_flight: self.in_flight,
            timeout: self.timeout.0,
            compression: self.compression.unwrap_or(if local {
                Compression::None
            } else {
                Compression::Gzip
            }),
            urls,
        })
    }

    /// Keys that could only be there by mistake are refused: whoever writes them believes in a protection that is not.
    fn check_tls(&self, encrypted: bool) -> Result<(), Fault> {
        let keys = [
            ("ca_file", self.ca_file.is_some()),
            ("client_certificate_file", self.client_certificate_file.is_some()),
            ("danger_accept_invalid_certificates", self.danger_accept_invalid_certificates),
        ];
        if let Some((key, _)) = keys.into_iter().find(|(_, given)| *given && !encrypted) {
            return Err(unusable(
                format!("`{key}` is given and no `url` begins with https://"),
                format!("write https:// in `url`, or take `{key}` out"),
            ));
        }
        if self.ca_file.is_some() && self.danger_accept_invalid_certificates {
            return Err(unusable(
                "`ca_file` and `danger_accept_invalid_certificates` contradict each other",
                "keep `ca_file`; with it the certificate can be checked",
            ));
        }
        Ok(())
    }

    fn credentials(&self) -> Result<Credentials, Fault> {
        let api_key = either("api_key", &self.api_key, "api_key_file", &self.api_key_file)?;
        let password = either("password", &self.password, "password_file", &self.password_file)?;
        let bearer = either("bearer", &self.bearer, "bearer_file", &self.bearer_file)?;
        match (api_key, &self.username, password, bearer) {
            (None, None, None, None) => Ok(Credentials::None),
            (Some(key), None, None, None) => Ok(Credentials::ApiKey(key)),
            (None, None, None, Some(token)) => Ok(Credentials::Bearer(token)),
            (None, Some(name), Some(password), None) => Ok(Credentials::Basic(name.clone(), password)),
            (None, Some(_), None, None) => Err(lonely("username", "password")),
            (None, None, Some(_), None) => Err(lonely("password", "username")),
            _ => Err(unusable(
                "more than one of `api_key`, `username` with `password`, and `bearer` is given",
                "keep one of them",
            )),
        }
    }
}

pub(super) fn unusable(cause: impl Into<String>, remedy: impl Into<String>) -> Fault {
    Fault::new(FaultKind::Unusable, cause, remedy)
}

fn lonely(given: &str, missing: &str) -> Fault {
    unusable(format!("`{given}` is given without `{missing}`"), format!("add `{missing}`"))
}

fn between(key: &str, value: usize, least: usize, most: usize) -> Result<(), Fault> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(unusable(format!("`{key}` is {value}"), format!("choose from {least} to {most}")))
}

/// A secret that stands in the configuration or in a file, not both.
fn either(
    key: &str,
    given: &Option<Secret>,
    file_key: &str,
    file: &Option<PathBuf>,
) -> Result<Option<Text>, Fault> {
    match (given, file) {
        (Some(_), Some(_)) => {
            Err(unusable(format!("both `{key}` and `{file_key}` are given"), "keep one of them"))
        }
        (Some(secret), None) => Ok(Some(Text::Given(secret.clone()))),
        (None, Some(path)) => Ok(Some(Text::File(path.clone()))),
        (None, None) => Ok(None),
    }
}

/// Secrets in an address would end up in logs and errors, so they are refused, and not shown.
fn address(text: &str) -> Result<Url, Fault> {
    const FORM: &str = "write it like https://localhost:9200";
    let url = Url::parse(text).map_err(|error| unusable(format!("`url` is no address: {error}"), FORM))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(unusable(
            "`url` has a user name or a password in it",
            "use `username` and `password_file`",
        ));
    }
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(unusable(format!("`url` is {text}, which is neither http nor https"), FORM));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(unusable("`url` has a part after `?` or `#`", FORM));
    }
    Ok(url)
}

/// Elastic's rules for the namespace of a data stream.
fn check_namespace(namespace: &str) -> Result<(), Fault> {
    let bad =
        |c: char| c.is_uppercase() || c.is_whitespace() || c.is_control() || "\\/*?\"<>|,#:-%".contains(c);
    if namespace.is_empty() || namespace.len() > 100 || namespace.contains(bad) {
        return Err(unusable(
            format!("`namespace` is {namespace:?}"),
            "use 1 to 100 bytes in lower case, without spaces and none of \\ / * ? \" < > | , # : - %",
        ));
    }
    Ok(())
}

/// Whether an address is on this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}
