//! One call to the server's management API, and what its answer means when it is a refusal.

use std::time::Duration;

use elasticsearch::http::headers::HeaderMap;
use elasticsearch::http::{Method, transport::Transport};
use model::fault::{Fault, FaultKind, causes};
use serde_json::Value;

/// Templates are cluster state: on a busy cluster a change can wait for others.
const TIMEOUT: Duration = Duration::from_secs(60);

/// What the key or user of `setup` must be allowed to do.
const PRIVILEGES: &str = "run setup with a key that has the cluster privileges monitor, manage_index_templates and manage_ilm \
     (OpenSearch: cluster_monitor, manage index templates and policies), and manage on logs-anthropic.audit-*; the stage itself \
     needs none of these";

/// The way to a server's management API.
#[derive(Debug, Clone, Copy)]
pub struct Api<'t> {
    transport: &'t Transport,
    address: &'t str,
}

/// What the server said.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Value,
    /// The call, for messages.
    call: String,
}

impl<'t> Api<'t> {
    /// `transport` knows hosts, credentials and certificates; `address` is what messages call the server.
    #[must_use]
    pub fn new(transport: &'t Transport, address: &'t str) -> Self {
        // A user and password in it are for the transport alone.
        Self { transport, address: address.rsplit_once('@').map_or(address, |(_, host)| host) }
    }

    pub(super) fn address(&self) -> &'t str {
        self.address
    }

    /// Sends one request. Refusals that mean the same everywhere (401, 403, 429, 5xx) are faults; all other answers are
    /// the caller's to judge.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, Fault> {
        let call = format!("{} {}{path}", name(method), self.address);
        let body = body.map(Value::to_string);
        let sent =
            self.transport.send(method, path, HeaderMap::new(), None::<&()>, body, Some(TIMEOUT)).await;
        let unreachable = |error: elasticsearch::Error| {
            let cause = format!("{call} failed: {}", causes(&error));
            Fault::new(
                FaultKind::Unreachable,
                cause,
                "check that the server runs, the port, and whether it speaks http or https",
            )
        };
        let response = sent.map_err(unreachable)?;
        let status = response.status_code().as_u16();
        let text = response.text().await.map_err(unreachable)?;
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        let answer = Answer { status, body, call };
        match status {
            401 => {
                Err(answer
                    .fault(FaultKind::Unauthenticated, "check api_key, username and password, or bearer"))
            }
            403 => Err(answer.fault(FaultKind::Forbidden, PRIVILEGES)),
            429 | 502..=504 => {
                Err(answer.fault(FaultKind::Throttled, "try again when the cluster is healthy"))
            }
            500.. => Err(answer.unexpected()),
            _ => Ok(answer),
        }
    }
}

impl Answer {
    /// Whether the server did as it was asked.
    pub(super) fn is_done(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Whether the server does not know such a call at all.
    pub(super) fn is_no_such_call(&self) -> bool {
        matches!(self.status, 400 | 405) && self.body.get("error").is_some_and(Value::is_string)
    }

    /// The answer as a fault: the call, the status and the server's own words.
    pub(super) fn fault(&self, kind: FaultKind, remedy: &str) -> Fault {
        Fault::new(kind, format!("{} answered {}: {}", self.call, self.status, self.words()), remedy)
    }

    /// A refusal that nobody foresaw.
    pub(super) fn unexpected(&self) -> Fault {
        self.fault(FaultKind::Unusable, "look at the server's own words, and in its log")
    }

    /// The innermost reason, which is the one that helps.
    pub(super) fn words(&self) -> String {
        let Some(mut error) = self.body.get("error") else { return "no reason given".to_owned() };
        if let Some(text) = error.as_str() {
            return text.to_owned();
        }
        while let Some(inner) = error.get("caused_by") {
            error = inner;
        }
        let part = |key: &str| error.get(key).and_then(Value::as_str).unwrap_or("unknown").to_owned();
        format!("{}: {}", part("type"), part("reason"))
    }
}

fn name(method: Method) -> &'static str {
    match method {
        Method::Get => "GET",
        Method::Put => "PUT",
        Method::Post => "POST",
        Method::Delete => "DELETE",
        Method::Head => "HEAD",
    }
}
