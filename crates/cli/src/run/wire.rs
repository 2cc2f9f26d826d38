//! From a checked configuration to running parts.

use std::sync::Arc;
use std::time::Duration;

use ingest::api::{ComplianceApiConfig, ComplianceApiSource};
use ingest::checkpoint::Checkpoint;
use ingest::file::{FileConfig, FileSource};
use ingest::kafka::KafkaSource;
use mapper::{ECS_VERSION, MapperOptions, Mapping};
use model::fault::{Fault, FaultKind};
use model::tables::Tables;
use output::elasticsearch::{Elasticsearch, ElasticsearchConfig};
use output::kafka::{Format as KafkaFormat, KafkaSink, Key, TransactionalSink};
use output::ndjson::{NdjsonConfig, NdjsonSink};
use pipeline::{DecodeOptions, Format, KeyBy, Packing};

use crate::config::{Config, DeadLettersConfig, Sink};
use crate::failure::Failure;
use crate::knowledge;

/// Tables, databases and options, put together.
pub(crate) struct Knowledge {
    pub(crate) mapping: Arc<Mapping>,
}

impl Knowledge {
    /// Reads the overlay and the databases.
    pub(crate) fn load(config: &Config) -> Result<Self, Failure> {
        let mapper = &config.mapper;
        let tables: Tables = knowledge::tables(mapper.overlay.as_slice())?;
        let geo = knowledge::geoip(&mapper.geoip)?;
        let options = MapperOptions {
            privacy: config.privacy(&tables)?.map(Arc::new),
            namespace: config.namespace()?.to_owned(),
            preserve_original: mapper.preserve_original,
            event_hash: mapper.event_hash,
            max_record_bytes: usize::try_from(mapper.max_record_bytes.0).unwrap_or(usize::MAX),
        };
        Ok(Self { mapping: Arc::new(Mapping::new(tables, geo, options)) })
    }
}

/// The name of the file source's position in the state folder.
pub(crate) const FILES: &str = "files";

/// Opens a file source, which must read nothing of what the stage writes: that would have no end.
pub(crate) fn file_source(source: &FileConfig, config: &Config) -> Result<FileSource, Fault> {
    let settings = source.clone().validate()?;
    let source = FileSource::open(&settings, Some(Checkpoint::open(&config.state.path, FILES)?))?;
    let sink = match &config.sink {
        Sink::Ndjson(sink) => Some(("[sink] `path`", &sink.path)),
        Sink::Elasticsearch(_) | Sink::Kafka(_) => None,
    };
    let letters = match &config.dead_letters {
        DeadLettersConfig::File(letters) => Some(("[dead_letters] `path`", &letters.path)),
        DeadLettersConfig::Kafka(_) => None,
    };
    for (key, path) in sink.into_iter().chain(letters) {
        if source.reads(path) {
            let cause = format!("{key}, {}, is one of the files that [source] reads", path.display());
            return Err(Fault::new(
                FaultKind::Unusable,
                cause,
                "name another file, outside the folders that are read",
            ));
        }
    }
    Ok(source)
}

/// Opens the API source with its position, its ids and its attestations in the state folder.
pub(crate) fn compliance_api(
    source: &ComplianceApiConfig,
    config: &Config,
) -> Result<ComplianceApiSource, Fault> {
    ComplianceApiSource::open(&source.validate()?, &config.state.path)
}

pub(crate) fn kafka_source(config: &ingest::kafka::Config) -> Result<KafkaSource, Fault> {
    KafkaSource::start(&config.settings()?)
}

pub(crate) fn elasticsearch(config: &ElasticsearchConfig) -> Result<(Elasticsearch, Packing), Fault> {
    let sink = Elasticsearch::open(&config.validate()?)?;
    let limits = sink.limits();
    let packing = Packing { bytes: limits.bytes, documents: limits.documents, linger: limits.linger };
    Ok((sink, packing))
}

pub(crate) fn ndjson(config: &NdjsonConfig) -> Result<(NdjsonSink, Packing), Fault> {
    // A write is also a frame, if the file is compressed, and an fsync, if each is to be safe.
    let packing = Packing { bytes: 1 << 20, documents: usize::MAX, linger: Duration::from_millis(200) };
    Ok((NdjsonSink::open(config.clone().validate()?)?, packing))
}

/// librdkafka makes batches of its own; this only bounds for how much one answer is waited.
const KAFKA: Packing = Packing { bytes: 1 << 20, documents: 10_000, linger: Duration::from_millis(20) };

pub(crate) fn kafka(config: &output::kafka::Config) -> Result<(KafkaSink, Packing), Fault> {
    Ok((KafkaSink::new(&config.settings()?, ECS_VERSION)?, KAFKA))
}

pub(crate) fn exactly_once(config: &output::kafka::Config) -> Result<(TransactionalSink, Packing), Fault> {
    Ok((TransactionalSink::new(&config.settings()?, ECS_VERSION)?, KAFKA))
}

/// What documents are to be for the sink.
pub(crate) fn decode(config: &Config) -> DecodeOptions {
    let ingested = config.mapper.ingested;
    match &config.sink {
        Sink::Kafka(sink) => DecodeOptions {
            format: match sink.format {
                KafkaFormat::Ecs => Format::Ecs,
                KafkaFormat::Raw => Format::Raw,
            },
            key: match sink.key {
                Key::Id => KeyBy::Id,
                Key::Actor => KeyBy::Actor,
                Key::Organization => KeyBy::Organization,
            },
            ingested,
        },
        Sink::Elasticsearch(_) | Sink::Ndjson(_) => DecodeOptions { ingested, ..DecodeOptions::default() },
    }
}
