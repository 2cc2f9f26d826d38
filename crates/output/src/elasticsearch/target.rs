//! Whether the data stream is ours to write to, before the first document is.
//!
//! A server makes an index for whatever it is sent: without our template a plain one, or a data stream of the template for
//! all logs that Elasticsearch brings, with every field guessed. Taking that back means writing everything again, so the
//! stage looks first, and looks again after every fault. Where looking is not allowed, Elasticsearch is told with each
//! request to write to a data stream only; OpenSearch cannot be told.

use elasticsearch::http::Method;
use model::fault::{Fault, FaultKind};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::client::{Answer, Call, Client};
use super::fault::{self, SETUP};

/// The name of the data stream for a namespace, by Elastic's scheme and that of its `anthropic` package.
#[must_use]
pub fn data_stream(namespace: &str) -> String {
    format!("logs-anthropic.audit-{namespace}")
}

/// What a template must name to be one for this feed, and not one for all logs.
const DATASET: &str = "anthropic";

/// What was seen.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// The data stream is there, or the first document makes it from a template for it. In words for people.
    Ready(String),
    /// We are not allowed to look.
    Unclear(Fault),
}

#[derive(Deserialize)]
struct Streams {
    #[serde(default)]
    data_streams: Vec<Stream>,
}

#[derive(Deserialize)]
struct Stream {
    #[serde(default)]
    template: String,
}

#[derive(Deserialize)]
struct Templates {
    #[serde(default)]
    index_templates: Vec<Template>,
}

#[derive(Deserialize)]
struct Template {
    name: String,
    index_template: Definition,
}

#[derive(Deserialize)]
struct Definition {
    #[serde(default)]
    index_patterns: OneOrMany,
    #[serde(default)]
    priority: i64,
    data_stream: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl Default for OneOrMany {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

/// Looks at the data stream, and where it is not there at the template that would make it.
///
/// # Errors
///
/// What is missing or in its way, or why the server could not be asked.
pub(super) async fn inspect(client: &Client, stream: &str) -> Result<Standing, Fault> {
    let path = format!("_data_stream/{stream}?filter_path=data_streams.name,data_streams.template");
    let answer = client.send(Call::get(&path)).await?;
    match answer.status {
        200 => {
            let found: Streams = parse(&answer)?;
            if let Some(found) = found.data_streams.first() {
                return Ok(Standing::Ready(format!(
                    "data stream {stream}, by the template {}",
                    found.template
                )));
            }
        }
        404 => no_plain_index(client, stream).await?,
        status if passing(status) => return Err(client.fault(&answer, stream)),
        // Forbidden, or a server without this API. The template may say enough.
        _ => {}
    }
    inspect_template(client, stream).await
}

/// An index under the name of the data stream is what a writer without the template leaves behind.
async fn no_plain_index(client: &Client, stream: &str) -> Result<(), Fault> {
    let answer = client.send(Call { method: Method::Head, ..Call::get(stream) }).await?;
    match answer.status {
        200 => Err(Fault::new(
            FaultKind::Blocked,
            format!("{stream} is an index and not a data stream"),
            format!("{SETUP}, then reindex {stream} under another name and delete it"),
        )),
        status if passing(status) => Err(client.fault(&answer, stream)),
        _ => Ok(()),
    }
}

/// The template that the server would take for the data stream.
pub(super) async fn inspect_template(client: &Client, stream: &str) -> Result<Standing, Fault> {
    let path = "_index_template?filter_path=index_templates.name,index_templates.index_template.index_patterns,\
        index_templates.index_template.priority,index_templates.index_template.data_stream";
    let answer = client.send(Call::get(path)).await?;
    let templates: Templates = match answer.status {
        200 => parse(&answer)?,
        404 => Templates { index_templates: Vec::new() },
        403 => return Ok(Standing::Unclear(client.fault(&answer, stream))),
        _ => return Err(client.fault(&answer, stream)),
    };
    let missing = |what: String| Err(Fault::new(FaultKind::Missing, what, SETUP));
    let matching = templates.index_templates.iter().filter_map(|template| {
        let patterns = match &template.index_template.index_patterns {
            OneOrMany::One(pattern) => std::slice::from_ref(pattern),
            OneOrMany::Many(patterns) => patterns,
        };
        let pattern = patterns.iter().find(|pattern| matches(pattern, stream))?;
        Some((template, pattern))
    });
    match matching.max_by_key(|(template, _)| template.index_template.priority) {
        None => missing(format!("no index template is there for {stream}")),
        Some((template, pattern)) if !pattern.contains(DATASET) => {
            missing(format!("the index template for {stream} would be {}, for {pattern}", template.name))
        }
        Some((template, _)) if template.index_template.data_stream.is_none() => {
            missing(format!("the index template {} makes no data streams", template.name))
        }
        Some((template, _)) => Ok(Standing::Ready(format!(
            "data stream {stream} will be made by the first document, from the template {}",
            template.name
        ))),
    }
}

/// Statuses that say nothing about what was asked for.
fn passing(status: u16) -> bool {
    matches!(status, 401 | 408 | 429 | 502..=504)
}

fn parse<T: DeserializeOwned>(answer: &Answer) -> Result<T, Fault> {
    serde_json::from_slice(&answer.body).map_err(|error| fault::unreadable(answer, &error.to_string()))
}

/// Whether an index pattern, in which `*` stands for anything, covers a name.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((start, mut rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut name) = name.strip_prefix(start) else { return false };
    // Each part between two stars is found as early as possible, the last one at the end.
    while let Some((part, after)) = rest.split_once('*') {
        let Some(at) = name.find(part) else { return false };
        name = &name[at + part.len()..];
        rest = after;
    }
    name.ends_with(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_cover_names() {
        let name = "logs-anthropic.audit-default";
        for pattern in
            ["*", "logs-*-*", "logs-anthropic.audit-*", name, "*anthropic*", "logs-*-default", "l*d*t"]
        {
            assert!(matches(pattern, name), "{pattern}");
        }
        for pattern in ["", "logs-", "metrics-*", "logs-anthropic.audit-*x", "*anthropic", "logs-*-*-*-*"] {
            assert!(!matches(pattern, name), "{pattern}");
        }
    }
}
