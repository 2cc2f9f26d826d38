//! `[telemetry]`: where the stage tells about itself, and how it writes its log. Whom it tells without being asked is said
//! in `otlp`.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};
use tracing::Level;

use super::otlp::OtlpConfig;

/// The port that is listened at unless another is said; on this machine only.
const USUAL: &str = "127.0.0.1:9464";

/// The table.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TelemetryConfig {
    /// Address and port for `/metrics`, `/healthz`, `/readyz` and the status page at `/`, or `off`. Without this key it is
    /// `127.0.0.1:9464`, or nothing if somebody else listens there; if the key is there and the address cannot be had, the
    /// stage does not start. Nobody is asked who they are: let other machines reach it only over a network you trust.
    #[serde(default, deserialize_with = "address")]
    #[schemars(with = "Option<String>")]
    listen: Option<Said>,
    /// How the log is written: `text` for people, `json` for Elasticsearch (ECS, one object a line), or `auto`, which is
    /// `text` on a terminal and `json` elsewhere.
    #[serde(default)]
    pub(crate) log_format: LogFormat,
    /// The lowest level that is written: `error`, `warn`, `info`, `debug` or `trace`. The option `--log-level` goes before it.
    #[serde(default)]
    pub(crate) log_level: LogLevel,
    /// `[telemetry.otlp]`, a table of its own: an OpenTelemetry collector that traces and metrics are sent to. Without it,
    /// nothing is sent anywhere.
    pub(crate) otlp: Option<OtlpConfig>,
}

/// What `listen` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Off,
    At(SocketAddr),
}

/// Where to listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listen {
    /// Nowhere.
    Off,
    /// Here, and nowhere else.
    At(SocketAddr),
    /// Here, as nothing was said; if it cannot be had, it is done without.
    Usual(SocketAddr),
}

/// How the log is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// By where it goes.
    #[default]
    Auto,
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// A level of the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogLevel {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}

impl From<LogLevel> for Level {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => Self::ERROR,
            LogLevel::Warn => Self::WARN,
            LogLevel::Info => Self::INFO,
            LogLevel::Debug => Self::DEBUG,
            LogLevel::Trace => Self::TRACE,
        }
    }
}

impl TelemetryConfig {
    /// Where to listen.
    pub(crate) fn listen(&self) -> Listen {
        match self.listen {
            Some(Said::Off) => Listen::Off,
            Some(Said::At(address)) => Listen::At(address),
            None => USUAL.parse().map_or(Listen::Off, Listen::Usual),
        }
    }
}

fn address<'d, D: Deserializer<'d>>(deserializer: D) -> Result<Option<Said>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text == "off" {
        return Ok(Some(Said::Off));
    }
    let local = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    let address = local.as_deref().unwrap_or(&text).parse();
    address.map(|address| Some(Said::At(address))).map_err(|_| {
        D::Error::custom(format!("`listen` is an IP address and a port, as in {USUAL} or [::1]:9464, or off"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<TelemetryConfig, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn an_address_is_an_ip_and_a_port() {
        let listen = |text: &str| read(&format!(r#"{{"listen":"{text}"}}"#)).map(|config| config.listen());
        assert_eq!(read("{}").unwrap().listen(), Listen::Usual(USUAL.parse().unwrap()));
        assert_eq!(TelemetryConfig::default().listen(), read("{}").unwrap().listen());
        assert_eq!(listen("off"), Ok(Listen::Off));
        for good in ["127.0.0.1:9464", "0.0.0.0:80", "[::1]:9464", "localhost:9000"] {
            let address = good.replace("localhost", "127.0.0.1").parse().unwrap();
            assert_eq!(listen(good), Ok(Listen::At(address)), "{good}");
        }
        for bad in ["", "9464", ":9464", "127.0.0.1", "example.com:80", "127.0.0.1:99999", "on"] {
            assert!(listen(bad).unwrap_err().contains("is an IP address and a port"), "{bad}");
        }
    }

    #[test]
    fn formats_and_levels_are_few() {
        let config = read(r#"{"log_format":"json","log_level":"debug"}"#).unwrap();
        assert_eq!((config.log_format, Level::from(config.log_level)), (LogFormat::Json, Level::DEBUG));
        assert_eq!(Level::from(LogLevel::default()), Level::INFO);
        assert!(read(r#"{"log_format":"xml"}"#).is_err() && read(r#"{"log_level":"loud"}"#).is_err());
        assert!(read(r#"{"colour":1}"#).is_err());
    }
}
