//! The configuration: one file, read and checked before anything is opened.
//!
//! Owns which sections there are. What a section holds stands beside the part that it configures, in the other crates; here
//! they are only put together.

mod dead_letters;
mod document;
mod otlp;
mod privacy;
#[cfg(test)]
pub(crate) mod schema;
mod telemetry;

use std::path::{Path, PathBuf};

use anyhow::Context;
use ingest::api::ComplianceApiConfig;
use ingest::checkpoint::StateConfig;
use ingest::file::FileConfig;
use model::settings::ByteSize;
use output::elasticsearch::ElasticsearchConfig;
use output::ndjson::NdjsonConfig;
use pipeline::DeliveryConfig;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::failure::Failure;
use document::{Document, Wrong};
use privacy::PrivacyConfig;

pub(crate) use dead_letters::DeadLettersConfig;
pub(crate) use otlp::{Otlp, OtlpConfig};
pub(crate) use privacy::of_file as privacy_of_file;
pub(crate) use telemetry::{Listen, LogFormat, TelemetryConfig};

/// Everything a configuration file says.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) source: Source,
    pub(crate) mapper: MapperConfig,
    pub(crate) sink: Sink,
    pub(crate) dead_letters: DeadLettersConfig,
    pub(crate) state: StateConfig,
    pub(crate) delivery: DeliveryConfig,
    pub(crate) telemetry: TelemetryConfig,
}

/// `[source]`, by its `type`.
#[derive(Debug)]
pub(crate) enum Source {
    /// `compliance_api`
    ComplianceApi(Box<ComplianceApiConfig>),
    /// `kafka`
    Kafka(Box<ingest::kafka::Config>),
    /// `file`
    File(FileConfig),
}

/// `[sink]`, by its `type`.
#[derive(Debug)]
pub(crate) enum Sink {
    /// `elasticsearch`
    Elasticsearch(Box<ElasticsearchConfig>),
    /// `kafka`
    Kafka(Box<output::kafka::Config>),
    /// `ndjson`
    Ndjson(NdjsonConfig),
}

/// What documents are made of, beside the record.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MapperConfig {
    /// City, Country, ASN and Anonymous-IP databases in MaxMind format.
    #[serde(default)]
    pub(crate) geoip: Vec<PathBuf>,
    /// A CSV file with rows of your own for activity types or fields.
    pub(crate) overlay: Option<PathBuf>,
    /// Keep the raw record, byte for byte, in `event.original`; with `privacy`, the treated one.
    #[serde(default)]
    pub(crate) preserve_original: bool,
    /// Write the SHA-256 of the raw record to `event.hash`; with `privacy`, of the treated one.
    #[serde(default)]
    pub(crate) event_hash: bool,
    /// Write when a record passed here to `event.ingested`. Without it, the same records give the same bytes.
    #[serde(default = "yes")]
    pub(crate) ingested: bool,
    /// `data_stream.namespace`. With an Elasticsearch sink, leave it out: that has a key of this name.
    pub(crate) namespace: Option<String>,
    /// Longer records go to the dead letters.
    #[serde(default = "max_record_bytes")]
    pub(crate) max_record_bytes: ByteSize,
    /// What is done to values that say something of a person, before anything is made of them. Without this table all stay as
    /// they are.
    pub(crate) privacy: Option<PrivacyConfig>,
}

fn yes() -> bool {
    true
}

fn max_record_bytes() -> ByteSize {
    ByteSize(16 << 20)
}

impl Default for MapperConfig {
    fn default() -> Self {
        Self {
            geoip: Vec::new(),
            overlay: None,
            preserve_original: false,
            event_hash: false,
            ingested: true,
            namespace: None,
            max_record_bytes: max_record_bytes(),
            privacy: None,
        }
    }
}

/// The sections there are.
const SECTIONS: [&str; 7] = ["source", "mapper", "sink", "dead_letters", "state", "delivery", "telemetry"];

impl Config {
    /// Reads a file. No other file is opened and no server reached.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .with_context(|| {
                format!("{file}: the configuration cannot be read; expected a TOML file in UTF-8")
            })
            .map_err(Failure::usage)?;
        Self::parse(&file, &text, &|name| std::env::var(name).ok()).map_err(Failure::usage)
    }

    /// Reads a configuration from text, `environment` answering for `${NAME}`.
    pub(crate) fn parse(
        file: &str,
        text: &str,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Wrong> {
        let mut document = Document::parse(file, text, environment)?;
        let source = source(&mut document)?;
        let sink = sink(&mut document)?;
        let mapper = optional(&mut document, "mapper")?;
        let dead_letters = dead_letters::read(&mut document)?;
        let state = optional(&mut document, "state")?;
        let delivery = optional(&mut document, "delivery")?;
        let telemetry = optional(&mut document, "telemetry")?;
        document.finish(&SECTIONS)?;
        Ok(Self { source, mapper, sink, dead_letters, state, delivery, telemetry })
    }

    /// `data_stream.namespace` of the documents.
    pub(crate) fn namespace(&self) -> Result<&str, Failure> {
        match (&self.sink, &self.mapper.namespace) {
            (Sink::Elasticsearch(sink), None) => Ok(&sink.namespace),
            (Sink::Elasticsearch(sink), Some(own)) if *own != sink.namespace => {
                Err(Failure::usage(anyhow::anyhow!(
                    "[mapper] `namespace` is `{own}` and [sink] `namespace` is `{}`; leave out the first: documents must name the data stream they are in",
                    sink.namespace
                )))
            }
            (_, Some(own)) => {
                crate::args::namespace(own)
                    .map_err(|why| Failure::usage(anyhow::anyhow!("[mapper] `namespace` {why}")))?;
                Ok(own)
            }
            (_, None) => Ok("default"),
        }
    }
}

fn optional<T>(document: &mut Document<'_>, name: &'static str) -> Result<T, Wrong>
where
    T: Default + serde::de::DeserializeOwned + JsonSchema,
{
    document.section(name)?.map_or_else(|| Ok(T::default()), |section| document.read(section))
}

fn source(document: &mut Document<'_>) -> Result<Source, Wrong> {
    type Read = fn(&Document<'_>, document::Section<'_>) -> Result<Source, Wrong>;
    let kinds: [(&str, Read); 3] = [
        ("compliance_api", |document, section| Ok(Source::ComplianceApi(Box::new(document.read(section)?)))),
        ("kafka", |document, section| Ok(Source::Kafka(Box::new(document.read(section)?)))),
        ("file", |document, section| Ok(Source::File(document.read(section)?))),
    ];
    let Some(mut section) = document.section("source")? else {
        return Err(document.wrong(None, "there is no section [source]: say where records come from"));
    };
    let kind = document.kind(&mut section, &kinds)?;
    kind(document, section)
}

fn sink(document: &mut Document<'_>) -> Result<Sink, Wrong> {
    type Read = fn(&Document<'_>, document::Section<'_>) -> Result<Sink, Wrong>;
    let kinds: [(&str, Read); 3] = [
        ("elasticsearch", |document, section| Ok(Sink::Elasticsearch(Box::new(document.read(section)?)))),
        ("kafka", |document, section| Ok(Sink::Kafka(Box::new(document.read(section)?)))),
        ("ndjson", |document, section| Ok(Sink::Ndjson(document.read(section)?))),
    ];
    let Some(mut section) = document.section("sink")? else {
        return Err(document.wrong(None, "there is no section [sink]: say where documents go"));
    };
    let kind = document.kind(&mut section, &kinds)?;
    kind(document, section)
}

#[cfg(test)]
mod tests;
