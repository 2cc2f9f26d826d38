//! What can be told on this machine: keys that go together, and files and folders that are there.
//!
//! Opens files for reading, and makes, locks and changes none; a stage that runs is not disturbed.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use ingest::file::{Expansion, FileConfig};
use model::fault::{Fault, FaultKind};
use output::elasticsearch::{Elasticsearch, ElasticsearchConfig};

use super::Report;
use crate::config::{Config, DeadLettersConfig, Sink, Source};

/// Looks at every section in turn.
pub(super) fn look(config: &Config, report: &mut Report) {
    let mut inputs = Expansion::default();
    let source = match &config.source {
        Source::ComplianceApi(source) => source.validate().map(|settings| {
            for warning in settings.warnings() {
                report.unclear("source", warning);
            }
            "compliance_api".to_owned()
        }),
        Source::Kafka(source) => {
            kafka(source.settings().map(drop), [&source.ca_file, &source.certificate_file, &source.key_file])
        }
        Source::File(source) => files(source).map(|found| {
            let words = super::number(found.inputs.len(), "file");
            inputs = found;
            words
        }),
    };
    report.result("source", source);
    let sink = match &config.sink {
        Sink::Elasticsearch(sink) => elasticsearch(sink),
        Sink::Kafka(sink) if sink.exactly_once && !matches!(config.source, Source::Kafka(_)) => {
            Err(unusable(
                "`exactly_once` needs a source of type `kafka`: positions of others are in no transaction",
                "leave `exactly_once` out",
            ))
        }
        Sink::Kafka(sink) => {
            kafka(sink.settings().map(drop), [&sink.ca_file, &sink.certificate_file, &sink.key_file])
        }
        Sink::Ndjson(sink) => {
            sink.clone().validate().and_then(|_| written(&sink.path, &inputs)).map(|()| "ndjson".to_owned())
        }
    };
    report.result("sink", sink);
    let letters = match &config.dead_letters {
        DeadLettersConfig::File(letters) => {
            written(&letters.path, &inputs).map(|()| letters.path.display().to_string())
        }
        DeadLettersConfig::Kafka(letters) => kafka(
            letters.settings().map(drop),
            [&letters.ca_file, &letters.certificate_file, &letters.key_file],
        )
        .map(|_| format!("topic {}", letters.topic)),
    };
    report.result("dead letters", letters);
    if let Source::File(_) | Source::ComplianceApi(_) = &config.source {
        report.result("state", state(&config.state.path));
    }
}

fn files(config: &FileConfig) -> Result<Expansion, Fault> {
    config.clone().validate()?;
    ingest::file::expand(&config.paths)
        .map_err(|error| unusable(format!("`paths`: {error}"), "name files and folders that are there"))
}

/// Settings, and the files that librdkafka would read.
fn kafka(settings: Result<(), Fault>, files: [&Option<std::path::PathBuf>; 3]) -> Result<String, Fault> {
    settings?;
    for (key, path) in ["ca_file", "certificate_file", "key_file"].into_iter().zip(files) {
        let Some(path) = path else { continue };
        File::open(path).and_then(|file| io::copy(&mut io::Read::take(file, 1), &mut io::sink())).map_err(
            |error| {
                let cause = format!("`{key}`: {} cannot be read: {error}", path.display());
                Fault::new(FaultKind::Storage, cause, "put the PEM file there, and let this user read it")
            },
        )?;
    }
    Ok("kafka".to_owned())
}

/// Opening reads the files with secrets and certificates; no server is reached by that.
fn elasticsearch(config: &ElasticsearchConfig) -> Result<String, Fault> {
    Elasticsearch::open(&config.validate()?)
        .map(|sink| format!("elasticsearch, data stream {}", sink.stream()))
}

/// Whether a file can be made or appended to, as far as one sees without doing it.
fn written(path: &Path, inputs: &Expansion) -> Result<(), Fault> {
    if path == Path::new("-") {
        return Ok(());
    }
    if inputs.inputs.iter().any(|input| input.is(path)) {
        return Err(unusable(
            format!("`path`, {}, is one of the files that [source] reads", path.display()),
            "name another file, outside the folders that are read",
        ));
    }
    if path.is_symlink() {
        let cause =
            format!("`path`, {}, is a symbolic link, and nothing is written through links", path.display());
        return Err(unusable(cause, "name the file itself"));
    }
    if path.is_dir() {
        return Err(unusable(format!("`path`, {}, is a folder", path.display()), "name a file in it"));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        let cause = format!("`path`, {}, lies in a folder that is not there", path.display());
        return Err(unusable(cause, format!("make the folder {}", folder.display())));
    }
    Ok(())
}

/// The folder is made at the start if it is not there.
fn state(path: &Path) -> Result<String, Fault> {
    match fs::metadata(path) {
        Ok(found) if !found.is_dir() => Err(unusable(
            format!("`path`, {}, is no folder", path.display()),
            "name a folder of the stage's own",
        )),
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            let cause = format!("`path`, {}: {error}", path.display());
            Err(Fault::new(FaultKind::Storage, cause, "let this user use the folder"))
        }
        _ => Ok(path.display().to_string()),
    }
}

fn unusable(cause: impl Into<String>, remedy: impl Into<String>) -> Fault {
    Fault::new(FaultKind::Unusable, cause, remedy)
}
