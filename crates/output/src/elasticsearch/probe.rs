//! What `check --connect` says about a cluster: whether each host answers and what it is, who we are to it, and whether
//! documents would find their place.
//!
//! Only looks; nothing is written. What we are not allowed to see is said to be so, and is no fault: a key that can write
//! and nothing else is a good key.

use bytes::Bytes;
use elasticsearch::http::Method;
use model::fault::{Fault, FaultKind};
use serde_json::{Value, json};

use super::Elasticsearch;
use super::client::{Answer, Call};
use super::config::Flavour;
use super::fault;
use super::target::{self, Standing};

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// It is as it should be; in words for people.
    Good(String),
    /// It could not be found out, and need not stand in the way.
    Unclear(String),
    /// It stands in the way.
    Bad(Fault),
}

/// What `GET /` says.
struct Server {
    flavour: Flavour,
    version: String,
}

impl Elasticsearch {
    /// Looks at the cluster as `check --connect` does. Findings are in the order in which one would repair them; what
    /// could not be looked at for an earlier one is left out.
    pub async fn probe(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut server = None;
        for host in 0..self.client.hosts() {
            match self.probe_host(host).await {
                Ok((found, finding)) => {
                    findings.push(finding);
                    server = server.or(Some((host, found)));
                }
                Err(fault) => findings.push(Finding::Bad(fault)),
            }
        }
        let Some((host, server)) = server else { return findings };
        let flavour = server.map_or(self.flavour, |server| server.flavour);
        match self.probe_identity(host, flavour).await {
            Ok(finding) => findings.push(finding),
            Err(fault) => {
                findings.push(Finding::Bad(fault));
                return findings;
            }
        }
        findings.push(match target::inspect(&self.client, &self.stream).await {
            Ok(Standing::Ready(words)) => Finding::Good(words),
            Ok(Standing::Unclear(fault)) => Finding::Unclear(format!(
                "whether the index template is there cannot be seen without the cluster privilege monitor: {}",
                fault.cause
            )),
            Err(fault) => Finding::Bad(fault),
        });
        if flavour != Flavour::OpenSearch {
            findings.extend(self.probe_privileges(host).await);
        }
        findings
    }

    /// Whether a host answers, and what it is.
    async fn probe_host(&self, host: usize) -> Result<(Option<Server>, Finding), Fault> {
        let answer = self.client.send_to(host, Call::get("")).await?;
        match answer.status {
            200 => {}
            // Not for these credentials, or a server cut down so far that it has no such page; its errors are known.
            400 | 403 | 405 if fault::is_known(&answer) => {
                let words = format!("{} answers, and does not say what it is", answer.host);
                return Ok((None, Finding::Unclear(words)));
            }
            _ => return Err(self.client.fault(&answer, &self.stream)),
        }
        let server = server(&answer).ok_or_else(|| {
            let remedy = "check host and port in `url`";
            let cause = format!("{} answers, and is neither Elasticsearch nor OpenSearch", answer.host);
            Fault::new(FaultKind::Unreachable, cause, remedy)
        })?;
        let name = name(server.flavour);
        if self.flavour != Flavour::Auto && self.flavour != server.flavour {
            let cause = format!("{} is {name} {}, which is not the `flavour`", answer.host, server.version);
            return Err(Fault::new(FaultKind::Unusable, cause, "take `flavour` out"));
        }
        let finding = Finding::Good(format!("{} is {name} {}", answer.host, server.version));
        Ok((Some(server), finding))
    }

    /// Who we are to the server.
    async fn probe_identity(&self, host: usize, flavour: Flavour) -> Result<Finding, Fault> {
        let path = match flavour {
            Flavour::OpenSearch => "_plugins/_security/authinfo",
            _ => "_security/_authenticate",
        };
        let answer = self.client.send_to(host, Call::get(path)).await?;
        let json: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let user = ["username", "user_name"].iter().find_map(|key| json.get(key)?.as_str());
        match (answer.status, user) {
            (200, Some(user)) => {
                let key = json.pointer("/api_key/name").and_then(Value::as_str);
                let key = key.map(|key| format!(", API key {key}")).unwrap_or_default();
                Ok(Finding::Good(format!("{} knows us as {user}{key}", answer.host)))
            }
            (401 | 429 | 502..=504, _) => Err(self.client.fault(&answer, &self.stream)),
            (403, _) => {
                Ok(Finding::Unclear(format!("{} does not say who these credentials are", answer.host)))
            }
            // No handler there.
            _ => Ok(Finding::Unclear(format!("{} has no security, or does not tell", answer.host))),
        }
    }

    /// Whether we may write. Elasticsearch tells everybody about themselves; OpenSearch has no such question.
    async fn probe_privileges(&self, host: usize) -> Option<Finding> {
        let body =
            json!({"index": [{"names": [self.stream], "privileges": ["create_doc", "auto_configure"]}]});
        let call = Call {
            method: Method::Post,
            body: Some(Bytes::from(body.to_string())),
            ..Call::get("_security/user/_has_privileges")
        };
        let answer = match self.client.send_to(host, call).await {
            Ok(answer) if answer.status == 200 => answer,
            Ok(_) => return None,
            Err(fault) => return Some(Finding::Bad(fault)),
        };
        let json: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let granted = json.get("index")?.get(&self.stream)?.as_object()?;
        let missing: Vec<_> =
            granted.iter().filter(|(_, has)| **has != true).map(|(name, _)| name.as_str()).collect();
        if missing.is_empty() {
            return Some(Finding::Good(format!("may write to {}", self.stream)));
        }
        Some(Finding::Bad(Fault::new(
            FaultKind::Forbidden,
            format!("{} does not allow {} on {}", answer.host, missing.join(" and "), self.stream),
            format!("give the key or user these index privileges on {}", self.stream),
        )))
    }
}

fn server(answer: &Answer) -> Option<Server> {
    let json: Value = serde_json::from_slice(&answer.body).ok()?;
    let version = json.get("version")?;
    let flavour = match version.get("distribution").and_then(Value::as_str) {
        Some("opensearch") => Flavour::OpenSearch,
        _ => Flavour::Elasticsearch,
    };
    Some(Server { flavour, version: version.get("number")?.as_str()?.to_owned() })
}

fn name(flavour: Flavour) -> &'static str {
    match flavour {
        Flavour::OpenSearch => "OpenSearch",
        _ => "Elasticsearch",
    }
}
