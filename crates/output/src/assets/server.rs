//! Which server this is, and what it can do.

use std::fmt;

use elasticsearch::http::Method;
use model::fault::{Fault, FaultKind};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::api::Api;
use super::templates::Lifecycle;

/// The two families of servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Flavour {
    /// Elasticsearch 8 and 9.
    Elasticsearch,
    /// OpenSearch 2 and 3.
    OpenSearch,
}

impl fmt::Display for Flavour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Elasticsearch => "Elasticsearch",
            Self::OpenSearch => "OpenSearch",
        })
    }
}

impl Flavour {
    /// The first release with everything the templates use: component templates that may be missing, and the types
    /// `wildcard`, `constant_keyword` and `match_only_text`.
    fn oldest(self) -> (u64, u64) {
        match self {
            Self::Elasticsearch => (8, 7),
            Self::OpenSearch => (2, 15),
        }
    }
}

/// A server as it presents itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Its family.
    pub flavour: Flavour,
    /// Its release; empty if it does not say.
    pub version: String,
    /// What it has for the lifecycle of indices.
    pub lifecycle: Lifecycle,
}

/// Asks the server what it is. A flavour that the configuration names is believed, and then a server that does not say
/// its release is no fault.
///
/// # Errors
///
/// The server cannot be reached, refuses us, is older than what the templates need, or is something else.
pub async fn detect(api: &Api<'_>, flavour: Option<Flavour>) -> Result<Server, Fault> {
    let answer = api.call(Method::Get, "/", None).await?;
    let said = answer.body.pointer("/version/number").and_then(Value::as_str).map(str::to_owned);
    let is_open = answer.body.pointer("/version/distribution").and_then(Value::as_str) == Some("opensearch");
    let flavour = match (flavour, &said) {
        (Some(flavour), _) => flavour,
        (None, Some(_)) if is_open => Flavour::OpenSearch,
        (None, Some(_)) => Flavour::Elasticsearch,
        (None, None) => {
            return Err(answer.fault(
                FaultKind::Unusable,
                "check that `url` is an Elasticsearch or OpenSearch server, or set `flavour` if it hides its release",
            ));
        }
    };
    let version = said.unwrap_or_default();
    let oldest = flavour.oldest();
    if release(&version).is_some_and(|release| release < oldest) {
        let (major, minor) = oldest;
        return Err(Fault::new(
            FaultKind::Unusable,
            format!("{} is {flavour} {version}", api.address()),
            format!("use {flavour} {major}.{minor} or later"),
        ));
    }
    let lifecycle = if has_policies(api, flavour).await? { Lifecycle::Policy } else { Lifecycle::None };
    Ok(Server { flavour, version, lifecycle })
}

/// Whether the server manages lifecycles by policies: a serverless project, a server without the plugin do not.
async fn has_policies(api: &Api<'_>, flavour: Flavour) -> Result<bool, Fault> {
    let path = match flavour {
        Flavour::Elasticsearch => "/_ilm/policy",
        Flavour::OpenSearch => "/_plugins/_ism/policies",
    };
    let answer = api.call(Method::Get, path, None).await?;
    match answer.status {
        200 | 404 => Ok(true),
        400 | 405 | 410 => Ok(false),
        _ => Err(answer.unexpected()),
    }
}

fn release(version: &str) -> Option<(u64, u64)> {
    let mut parts = version.split(['.', '-']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_compared_by_number() {
        assert!(release("8.19.21") > Some((8, 7)) && release("2.9.0") < Some((2, 15)));
        assert_eq!(release("9.0.0-beta1"), Some((9, 0)));
        assert_eq!(release(""), None);
    }
}
