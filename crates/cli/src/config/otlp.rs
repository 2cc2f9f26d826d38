//! `[telemetry.otlp]`: the collector that traces and metrics are sent to.
//!
//! Owns the keys and what follows from them. No IO: what `ca_file` holds is read by whoever opens the connection.
//!
//! The subtle thing: nothing of this comes from the variables that OpenTelemetry's own programs read. What goes out, and
//! where to, stands in the one file.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use model::fault::{Fault, FaultKind};
use model::settings::{Period, Secret};
use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use schemars::JsonSchema;
use serde::Deserialize;

/// The table.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OtlpConfig {
    /// Where the collector takes OTLP over HTTP, like `http://127.0.0.1:4318`; `/v1/traces` and `/v1/metrics` are added. The
    /// variables `OTEL_*` of the environment are not read.
    pub(crate) endpoint: String,
    /// Headers of each request, for a collector that asks who we are: `{ authorization = "Bearer ${OTLP_TOKEN}" }`. Their
    /// values are secrets.
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, Secret>,
    /// Certificates in PEM of authorities that are trusted beside the system's.
    pub(crate) ca_file: Option<PathBuf>,
    /// Whether spans are sent.
    #[serde(default = "yes")]
    pub(crate) traces: bool,
    /// Whether metrics are sent: those of `/metrics`, under the same names.
    #[serde(default = "yes")]
    pub(crate) metrics: bool,
    /// How often metrics are sent, 1s or more. They are sent once more at the end.
    #[serde(default = "interval")]
    pub(crate) interval: Period,
    /// How long the collector may take for an answer.
    #[serde(default = "timeout")]
    pub(crate) timeout: Period,
    /// The share of traces that are sent, from 0 to 1. A trace is sent whole or not at all.
    #[serde(default = "all")]
    pub(crate) sample_ratio: f64,
    /// Attributes of the resource, which say whose traces and metrics these are: `{ "deployment.environment.name" = "production" }`. They
    /// go before our own: `service.name`, `service.version`, and `service.instance.id`, which is a new one with each start.
    #[serde(default)]
    pub(crate) resource: BTreeMap<String, String>,
}

fn yes() -> bool {
    true
}

fn interval() -> Period {
    Period(Duration::from_secs(60))
}

fn timeout() -> Period {
    Period(Duration::from_secs(10))
}

fn all() -> f64 {
    1.0
}

/// A checked table.
#[derive(Debug, Clone)]
pub(crate) struct Otlp {
    /// Where spans go, if they do.
    pub(crate) traces: Option<Url>,
    /// Where metrics go, if they do.
    pub(crate) metrics: Option<Url>,
    /// Marked as sensitive, so that they print as such.
    pub(crate) headers: HeaderMap,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) interval: Duration,
    pub(crate) timeout: Duration,
    pub(crate) sample_ratio: f64,
    pub(crate) resource: BTreeMap<String, String>,
    /// Whether the collector is on this machine.
    pub(crate) is_local: bool,
}

fn unusable(cause: impl AsRef<str>, remedy: &str) -> Fault {
    Fault::new(FaultKind::Unusable, format!("[telemetry.otlp] {}", cause.as_ref()), remedy)
}

impl Otlp {
    /// Whether headers can be read on the way to another machine.
    pub(crate) fn sends_secrets_in_the_clear(&self) -> bool {
        let plain = self.traces.iter().chain(&self.metrics).any(|url| url.scheme() == "http");
        plain && !self.is_local && !self.headers.is_empty()
    }
}

impl OtlpConfig {
    /// Checks everything that can be checked without asking anybody.
    ///
    /// # Errors
    ///
    /// What makes no sense, and which key to change: [`FaultKind::Unusable`]. No value is quoted, since it may be a secret.
    pub(crate) fn validate(&self) -> Result<Otlp, Fault> {
        let endpoint = self.endpoint()?;
        if !self.traces && !self.metrics {
            let remedy = "let one of them be true, or leave the table out";
            return Err(unusable("sends neither `traces` nor `metrics`", remedy));
        }
        if self.interval.0 < Duration::from_secs(1) {
            return Err(unusable("`interval` is less than a second", "set it to 1s or more; 60s is usual"));
        }
        if self.timeout.0.is_zero() {
            return Err(unusable("`timeout` is nothing", "set it to some seconds"));
        }
        if !(0.0..=1.0).contains(&self.sample_ratio) {
            let cause = format!("`sample_ratio` is {}", self.sample_ratio);
            return Err(unusable(cause, "set it from 0 to 1: 0.1 is one trace of ten"));
        }
        if self.resource.keys().any(String::is_empty) {
            return Err(unusable("`resource` has an attribute without a name", "name it or leave it out"));
        }
        let below = |signal: &str| {
            let mut url = endpoint.clone();
            url.set_path(&format!("{}/v1/{signal}", endpoint.path().trim_end_matches('/')));
            url
        };
        Ok(Otlp {
            traces: self.traces.then(|| below("traces")),
            metrics: self.metrics.then(|| below("metrics")),
            headers: self.headers()?,
            ca_file: self.ca_file.clone(),
            interval: self.interval.0,
            timeout: self.timeout.0,
            sample_ratio: self.sample_ratio,
            resource: self.resource.clone(),
            is_local: is_local(&endpoint),
        })
    }

    fn endpoint(&self) -> Result<Url, Fault> {
        let usual = "write it like http://127.0.0.1:4318";
        let url = Url::parse(&self.endpoint)
            .map_err(|error| unusable(format!("`endpoint` is no address: {error}"), usual))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(unusable("`endpoint` is neither http://… nor https://…", usual));
        }
        if !url.username().is_empty()
            || url.password().is_some()
            || url.query().is_some()
            || url.fragment().is_some()
        {
            let cause = "`endpoint` has a user, a query or a fragment in it";
            return Err(unusable(cause, "leave only the address, and put credentials into `headers`"));
        }
        let signal = ["/v1/traces", "/v1/metrics"];
        if signal.iter().any(|path| url.path().trim_end_matches('/').ends_with(path)) {
            let cause = "`endpoint` ends with the path of one signal";
            return Err(unusable(cause, "leave `/v1/traces` or `/v1/metrics` out: they are added"));
        }
        Ok(url)
    }

    fn headers(&self) -> Result<HeaderMap, Fault> {
        let mut headers = HeaderMap::with_capacity(self.headers.len());
        for (name, value) in &self.headers {
            let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| {
                unusable(format!("`headers`: {name:?} is no name of a header"), "write it like authorization")
            })?;
            let remedy = "see that the value is one line of plain characters";
            let mut value = HeaderValue::from_str(value.expose().trim())
                .map_err(|_| unusable(format!("`headers`: the value of {header} cannot be sent"), remedy))?;
            value.set_sensitive(true);
            headers.insert(header, value);
        }
        Ok(headers)
    }
}

/// Whether an address is on this machine, as far as its name says.
fn is_local(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(more: &str) -> Result<Otlp, String> {
        let text = format!("{{\"endpoint\":\"http://127.0.0.1:4318\"{more}}}");
        let config: OtlpConfig = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        config.validate().map_err(|fault| fault.to_string())
    }

    fn at(endpoint: &str) -> Result<Otlp, String> {
        let config: OtlpConfig = serde_json::from_value(serde_json::json!({ "endpoint": endpoint })).unwrap();
        config.validate().map_err(|fault| fault.to_string())
    }

    #[test]
    fn an_address_is_the_base_of_both_signals() {
        for (endpoint, traces, is_local) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces", true),
            ("http://localhost:4318/", "http://localhost:4318/v1/traces", true),
            ("http://[::1]:4318", "http://[::1]:4318/v1/traces", true),
            ("https://otlp.example/otlp", "https://otlp.example/otlp/v1/traces", false),
        ] {
            let otlp = at(endpoint).unwrap();
            assert_eq!(otlp.traces.as_ref().map(Url::as_str), Some(traces));
            assert_eq!(otlp.metrics.unwrap().as_str(), traces.replace("traces", "metrics"));
            assert_eq!(otlp.is_local, is_local, "{endpoint}");
        }
        assert!(read(r#","traces":false"#).unwrap().traces.is_none());
        assert!(serde_json::from_str::<OtlpConfig>("{}").unwrap_err().to_string().contains("endpoint"));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_key() {
        for (endpoint, said) in [
            ("127.0.0.1:4318", "`endpoint`"),
            ("grpc://127.0.0.1:4317", "neither http"),
            ("http://user:hunter2@collector:4318", "`headers`"),
            ("http://collector:4318/?key=hunter2", "`headers`"),
            ("http://collector:4318/v1/traces", "are added"),
        ] {
            let refused = at(endpoint).unwrap_err();
            assert!(refused.contains(said) && !refused.contains("hunter2"), "{endpoint}: {refused}");
        }
        for (more, said) in [
            (r#","traces":false,"metrics":false"#, "neither"),
            (r#","interval":"10ms""#, "`interval`"),
            (r#","timeout":"0s""#, "`timeout`"),
            (r#","sample_ratio":1.5"#, "`sample_ratio`"),
            (r#","resource":{"":"x"}"#, "`resource`"),
            (r#","headers":{"not a name":"hunter2"}"#, "no name of a header"),
            (r#","headers":{"authorization":"hunter2\nx: y"}"#, "authorization"),
            (r#","headers":{"authorization":12345}"#, "text in quotes"),
            (r#","header":{}"#, "header"),
        ] {
            let refused = read(more).unwrap_err();
            assert!(refused.contains(said), "{more}: {refused}");
            assert!(!refused.contains("hunter2") && !refused.contains("12345"), "{refused}");
        }
    }

    #[test]
    fn headers_print_as_what_they_are_not() {
        let otlp = read(r#","headers":{"Authorization":" Bearer hunter2 "}"#).unwrap();
        assert_eq!(otlp.headers["authorization"], "Bearer hunter2");
        assert!(!format!("{otlp:?}").contains("hunter2"), "{otlp:?}");
    }
}
