//! What a status, an error type or a broken connection means: the kind of fault, its cause in the server's own words, and
//! what to do about it.
//!
//! Types differ between Elasticsearch 8, 9 and OpenSearch, and with the way a request came; so the status decides, and
//! types only where one status has several meanings. Pure.

use std::error::Error;
use std::time::{Duration, SystemTime};

use chrono::DateTime;
use model::fault::{Fault, FaultKind};
use serde_json::Value;

use super::client::Answer;

/// The most bytes of somebody else's text in one of ours.
const LONGEST_WORDS: usize = 400;

/// An answer does not get to stop the stage for longer than this.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// The remedy of whatever `setup` puts right.
pub(super) const SETUP: &str = "run `anthropic-ecs setup --config FILE`";

/// The server's name for an error and its reason.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Words<'w> {
    pub(super) kind: &'w str,
    pub(super) reason: &'w str,
}

impl Words<'_> {
    fn has(&self, part: &str) -> bool {
        self.reason.contains(part)
    }
}

impl std::fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let reason = shorten(self.reason, LONGEST_WORDS);
        match (self.kind.is_empty(), reason.is_empty()) {
            (false, false) => write!(f, "{}: {reason}", self.kind),
            (false, true) => f.write_str(self.kind),
            (true, _) => f.write_str(reason),
        }
    }
}

/// The beginning of a text, at most so many bytes, cut between characters.
pub(super) fn shorten(text: &str, most: usize) -> &str {
    let text = text.trim();
    let end = (0..=most.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    &text[..end.unwrap_or(0)]
}

/// What stands in the way of every document, wherever it was said: for the request or for one of its items. `None` means
/// that it is this document which is refused.
pub(super) fn of_cluster(status: u16, words: Words<'_>, target: &str) -> Option<(FaultKind, String)> {
    let found = match (status, words.kind) {
        // Without a manager, or while it starts, a cluster blocks everything with 503.
        (503, "cluster_block_exception") => {
            (FaultKind::Unreachable, "wait for the cluster to have a manager".into())
        }
        (_, "cluster_block_exception") if words.has("flood") || words.has("allow delete") => (
            FaultKind::Blocked,
            format!("free disk space on the data nodes; {target} is opened for writing again by itself"),
        ),
        (_, "cluster_block_exception") => {
            (FaultKind::Blocked, format!("remove the index.blocks settings from the last index of {target}"))
        }
        (_, "index_closed_exception") => (FaultKind::Blocked, format!("open the closed index of {target}")),
        (_, "index_not_found_exception") => (FaultKind::Missing, SETUP.into()),
        (401, _) => (FaultKind::Unauthenticated, String::new()),
        (403, _) | (_, "security_exception") => (
            FaultKind::Forbidden,
            format!("give the key or user the index privileges create_doc and auto_configure on {target}"),
        ),
        (404, _) => (FaultKind::Missing, format!("check that `url` is that of the cluster, and {SETUP}")),
        (429, _) => (FaultKind::Throttled, String::new()),
        (503, _) if words.kind.is_empty() => (FaultKind::Throttled, String::new()),
        (408 | 500..=599, _) => (FaultKind::Unreachable, "look at the cluster's health and logs".into()),
        // The names of pipelines come from the index settings, never from a document.
        (400, "illegal_argument_exception") if words.has("pipeline with id [") => {
            (FaultKind::Missing, "create the ingest pipeline, or take it out of the index template".into())
        }
        // Said while the data stream's next index is made: too many shards, a broken template.
        (
            400,
            "validation_exception"
            | "index_creation_exception"
            | "invalid_index_name_exception"
            | "invalid_index_template_exception"
            | "index_template_missing_exception",
        ) => (FaultKind::Blocked, format!("make it possible for {target} to get a new index")),
        (400, "mapper_parsing_exception") if words.has("Failed to parse mapping") => {
            (FaultKind::Blocked, format!("repair the index template of {target}"))
        }
        _ => return None,
    };
    Some(found)
}

/// What an answer to a whole request means that is not 200.
pub(super) fn of_answer(answer: &Answer, target: &str) -> Fault {
    let json = serde_json::from_slice::<Value>(&answer.body).unwrap_or_default();
    let text = String::from_utf8_lossy(&answer.body);
    let words = words(&json).unwrap_or(Words { kind: "", reason: shorten(&text, LONGEST_WORDS) });
    let (kind, remedy) = match answer.status {
        413 => {
            (FaultKind::TooLarge, "raise http.max_content_length or the limit of the proxy in between".into())
        }
        status => of_cluster(status, words, target).unwrap_or_else(|| {
            let remedy = "check that `url` is that of the cluster, with the right scheme and path";
            (FaultKind::Blocked, remedy.to_owned())
        }),
    };
    let cause = format!("{} answered {}: {words}", answer.host, answer.status);
    Fault { kind, cause: cause.trim_end_matches(": ").to_owned(), remedy, retry_after: answer.retry_after }
}

/// Whether an answer is an error as both servers word it.
pub(super) fn is_known(answer: &Answer) -> bool {
    serde_json::from_slice::<Value>(&answer.body).is_ok_and(|json| words(&json).is_some())
}

/// The error of an answer: an object in both servers, a text where no handler was found or a plugin answered.
fn words(json: &Value) -> Option<Words<'_>> {
    let error = json.get("error")?;
    if let Some(text) = error.as_str() {
        return Some(Words { kind: "", reason: json.get("message").and_then(Value::as_str).unwrap_or(text) });
    }
    let text = |key| error.get(key).and_then(Value::as_str).unwrap_or_default();
    Some(Words { kind: text("type"), reason: text("reason") })
}

/// No answer came, or half of one.
pub(super) fn of_connection(host: &str, error: &elasticsearch::Error, timeout: Duration) -> Fault {
    if error.is_timeout() {
        let cause = format!("{host} did not answer within {timeout:?}");
        return Fault::new(
            FaultKind::Unreachable,
            cause,
            "look at the cluster's health; raise `timeout` if it is only slow",
        );
    }
    let cause = chain(error);
    let has = |parts: &[&str]| parts.iter().any(|part| cause.contains(part));
    let (kind, remedy) = if has(&["UnknownIssuer", "self-signed", "CaUsedAsEndEntity"]) {
        (FaultKind::Unauthenticated, "set `ca_file` to the authority that signed the server's certificate")
    } else if has(&["NotValidForName", "not valid for name"]) {
        (FaultKind::Unauthenticated, "use a host name in `url` that the server's certificate has")
    } else if has(&["invalid peer certificate"]) {
        (FaultKind::Unauthenticated, "renew the server's certificate")
    } else if has(&["CertificateRequired", "UnknownCA", "BadCertificate", "HandshakeFailure", "AccessDenied"])
    {
        (
            FaultKind::Unauthenticated,
            "set `client_certificate_file` and `client_key_file` to what the server accepts",
        )
    } else if has(&["InvalidContentType", "corrupt message", "InvalidMessage", "tls handshake eof"]) {
        (FaultKind::Unreachable, "the server may not speak TLS there: check `https` and the port in `url`")
    } else if has(&["dns error"]) {
        (FaultKind::Unreachable, "check the host name in `url`")
    } else if has(&["Connection refused"]) {
        (FaultKind::Unreachable, "start the server, or check host and port in `url`")
    } else {
        (
            FaultKind::Unreachable,
            "look at the server and at what is between; a server that wants https:// may close too",
        )
    };
    Fault::new(kind, format!("{host}: {cause}"), remedy)
}

/// An answer came that says nothing about the documents.
pub(super) fn unreadable(answer: &Answer, why: &str) -> Fault {
    let text = String::from_utf8_lossy(&answer.body);
    let start = shorten(&text, 80);
    Fault::new(
        FaultKind::Unreachable,
        format!(
            "{} answered {} with what is no answer of a bulk request ({why}): {start}",
            answer.host, answer.status
        ),
        "check that `url` is that of the cluster, and what is between",
    )
}

/// The causes of an error, outermost first. The HTTP library's own first line is left out: it is the address again.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        // Some errors show their source's text as their own.
        if !text.starts_with("error sending request") && texts.iter().all(|earlier| !earlier.contains(&text))
        {
            texts.push(text);
        }
        next = error.source();
    }
    texts.join(": ")
}

/// `Retry-After`: a number of seconds, or a date (RFC 9110, 10.2.3).
pub(super) fn retry_after(value: &str) -> Option<Duration> {
    let value = value.trim();
    let wait = match value.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let date = SystemTime::from(DateTime::parse_from_rfc2822(value).ok()?);
            date.duration_since(SystemTime::now()).ok()?
        }
    };
    Some(wait.min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(status: u16, kind: &str, reason: &str) -> Option<FaultKind> {
        of_cluster(status, Words { kind, reason }, "logs-anthropic.audit-default").map(|(kind, _)| kind)
    }

    #[test]
    fn faults_of_the_index_are_not_the_documents() {
        let flood = "index [.ds-x] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark, index has read-only-allow-delete block];";
        let table = [
            (429, "cluster_block_exception", flood, FaultKind::Blocked),
            (
                403,
                "cluster_block_exception",
                "blocked by: [FORBIDDEN/8/index write (api)];",
                FaultKind::Blocked,
            ),
            (503, "cluster_block_exception", "[SERVICE_UNAVAILABLE/2/no master];", FaultKind::Unreachable),
            (400, "index_closed_exception", "closed", FaultKind::Blocked),
            (404, "index_not_found_exception", "no such index", FaultKind::Missing),
            (403, "security_exception", "unauthorized", FaultKind::Forbidden),
            (401, "security_exception", "missing credentials", FaultKind::Unauthenticated),
            (429, "es_rejected_execution_exception", "queue", FaultKind::Throttled),
            (429, "rejected_execution_exception", "queue", FaultKind::Throttled),
            (429, "circuit_breaking_exception", "heap", FaultKind::Throttled),
            (503, "unavailable_shards_exception", "primary shard is not active", FaultKind::Unreachable),
            (500, "anything", "", FaultKind::Unreachable),
            (400, "illegal_argument_exception", "pipeline with id [x] does not exist", FaultKind::Missing),
            (400, "validation_exception", "this action would add [2] shards", FaultKind::Blocked),
            (400, "mapper_parsing_exception", "Failed to parse mapping: x", FaultKind::Blocked),
        ];
        for (status, name, reason, expected) in table {
            assert_eq!(kind(status, name, reason), Some(expected), "{status} {name}");
        }
    }

    #[test]
    fn faults_of_a_document_are_its_own() {
        for name in
            ["document_parsing_exception", "mapper_parsing_exception", "illegal_argument_exception", ""]
        {
            assert_eq!(kind(400, name, "failed to parse field [x] of type [ip]"), None, "{name}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_has_a_limit() {
        assert_eq!(retry_after("7"), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("99999999999"), Some(LONGEST_WAIT));
        assert_eq!(retry_after("Tue, 31 Dec 2999 23:59:59 GMT"), Some(LONGEST_WAIT));
        assert_eq!(retry_after("Fri, 31 Dec 1999 23:59:59 GMT"), None);
        assert_eq!(retry_after("soon"), None);
    }

    #[test]
    fn a_long_answer_is_cut_between_characters() {
        let text = "é".repeat(1_000);
        assert_eq!(shorten(&text, LONGEST_WORDS).len(), LONGEST_WORDS);
        assert_eq!((shorten(&text, 3).len(), shorten(" é ", 9), shorten("", 0)), (2, "é", ""));
    }
}
