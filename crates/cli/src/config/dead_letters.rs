//! `[dead_letters]`: a file, or a topic.

use output::dead_letters::DeadLettersConfig as FileConfig;

use super::document::{Document, Wrong};

/// Where dead letters go.
#[derive(Debug)]
pub(crate) enum DeadLettersConfig {
    /// `type = "file"`, which need not be said.
    File(FileConfig),
    /// `type = "kafka"`
    Kafka(Box<output::kafka::Config>),
}

/// The kinds, for the key `type`.
#[derive(Clone, Copy)]
enum Kind {
    File,
    Kafka,
}

/// Keys of a Kafka sink that say what documents are and how they are committed.
pub(super) const OF_DOCUMENTS: [&str; 4] = ["exactly_once", "format", "key", "transactional_id"];

/// Reads the section, which may be missing.
pub(super) fn read(document: &mut Document<'_>) -> Result<DeadLettersConfig, Wrong> {
    let Some(mut section) = document.section("dead_letters")? else {
        return Ok(DeadLettersConfig::File(FileConfig::default()));
    };
    let kinds = [("file", Kind::File), ("kafka", Kind::Kafka)];
    let kind = if section.has("type") { document.kind(&mut section, &kinds)? } else { Kind::File };
    Ok(match kind {
        Kind::File => DeadLettersConfig::File(document.read(section)?),
        Kind::Kafka => {
            document.refuse(
                &section,
                &OF_DOCUMENTS,
                "it is about documents, which letters are not; leave it out",
            )?;
            DeadLettersConfig::Kafka(Box::new(document.read(section)?))
        }
    })
}
