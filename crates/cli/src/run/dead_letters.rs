//! Dead letters on their way from the pipeline to a file or a topic.

use std::sync::Arc;

use ingest::Origin;
use mapper::ECS_VERSION;
use model::fault::{Fault, FaultKind};
use output::dead_letters::{DeadLetter, DeadLetters as File, Place};
use output::kafka::KafkaSink;
use output::{DocumentsBuilder, Outcome, Request, Sink};
use pipeline::{DeadLetters, Letter};

use crate::config::DeadLettersConfig;

/// Where letters go.
pub(crate) enum Letters {
    /// A file.
    File(File),
    /// A topic.
    Kafka(Box<KafkaSink>),
}

impl Letters {
    /// Opens what the configuration names.
    pub(crate) fn open(config: &DeadLettersConfig) -> Result<Self, Fault> {
        Ok(match config {
            DeadLettersConfig::File(config) => Self::File(File::open(config)?),
            DeadLettersConfig::Kafka(config) => {
                Self::Kafka(Box::new(KafkaSink::new(&config.settings()?, ECS_VERSION)?))
            }
        })
    }
}

impl DeadLetters for Letters {
    async fn write(&self, letters: Vec<Letter>) -> Result<(), Fault> {
        let lines: Vec<DeadLetter<'_>> = letters.iter().map(line).collect();
        match self {
            Self::File(file) => file.write(&lines).await,
            Self::Kafka(sink) => send(sink, &lines, &letters).await,
        }
    }

    async fn close(&self) -> Result<(), Fault> {
        match self {
            Self::File(file) => file.close().await,
            Self::Kafka(sink) => sink.close().await,
        }
    }
}

fn line(letter: &Letter) -> DeadLetter<'_> {
    DeadLetter {
        reason: &letter.reason,
        detail: &letter.detail,
        stage: letter.stage,
        source: match &letter.origin {
            Origin::File { path, offset } => Place::File { path, offset: offset + letter.offset },
            Origin::Kafka { topic, partition, offset, item } => {
                Place::Kafka { topic, partition: *partition, offset: *offset, item: *item }
            }
            Origin::Api { request_id, item } => Place::Api { request_id, item: *item },
        },
        attempts: letter.attempts.into(),
        time: Some(letter.time),
        length: letter.length,
        raw: &letter.raw,
    }
}

/// Sends letters as messages, keyed by where they came from, and waits until all are safe.
async fn send(sink: &KafkaSink, lines: &[DeadLetter<'_>], letters: &[Letter]) -> Result<(), Fault> {
    let mut builder = DocumentsBuilder::default();
    for (line, letter) in lines.iter().zip(letters) {
        line.line(&mut builder.lines);
        // The builder ends each line itself.
        builder.lines.pop();
        builder.push(&letter.origin.to_string(), "", None);
    }
    let documents = Arc::new(builder.finish());
    let mut request = Request::default();
    request.add(&documents, (0..documents.len() as u32).collect());
    for outcome in sink.write(&request).await? {
        match outcome {
            Outcome::Delivered | Outcome::Duplicate => {}
            Outcome::Retry(fault) => return Err(fault),
            Outcome::Rejected(rejection) => {
                let cause = format!(
                    "the topic for dead letters refuses one: {}: {}",
                    rejection.reason, rejection.detail
                );
                let remedy = "raise max.message.bytes of the topic (and message.max.bytes under [dead_letters.librdkafka])";
                return Err(Fault::new(FaultKind::TooLarge, cause, remedy));
            }
        }
    }
    Ok(())
}
