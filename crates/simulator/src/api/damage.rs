//! What faults do: refusals in place of an answer, and damage to one.
//!
//! Owns every effect but those on the page itself, which are made where the page is made ([`super::listing`]). The subtle
//! thing: a fault before the request was understood leaves no trace, one after it leaves the request counted and recorded.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::exchange::{Answer, Delivery, Request};
use super::faults::{Fault, FaultKind};
use super::keys::ORG_AUDIT;
use super::refusal::{Dialect, Refusal};

/// A page as a gateway sends it.
const HTML: &str = "<html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Gateway</h1></center></body></html>";

/// What a request comes to instead of being served.
pub(crate) enum Instead {
    /// Nobody saw it: no budget spent, no record.
    Unseen(Answer),
    /// An error of the API itself, after the key was known; costs and is recorded.
    Refused(Refusal),
    /// An error about the key; free and not recorded.
    Unauthenticated(Refusal),
}

/// What the fault puts in place of an answer; nothing when it damages one.
pub(crate) fn instead(fault: &Fault, request: &Request, dialect: Dialect) -> Option<Instead> {
    let message = |usual: &str| fault.message.clone().unwrap_or_else(|| usual.to_owned());
    let refused = |status, kind, usual: &str| Instead::Refused(Refusal::new(status, kind, message(usual)));
    let invalid = |usual: &str| refused(400, "invalid_request_error", usual);
    let busy = |usual: &str| refused(503, "overloaded_error", usual);
    Some(match fault.kind {
        FaultKind::RateLimited => {
            refused(429, "rate_limit_error", "Number of requests has exceeded the limit")
        }
        FaultKind::Status => {
            let status = fault.status.unwrap_or(500);
            let (kind, usual) = usual_error(status);
            refused(status, kind, usual)
        }
        FaultKind::Html => {
            let status = fault.status.unwrap_or(502);
            Instead::Unseen(Answer::new(status, "text/html", HTML.as_bytes().to_vec()))
        }
        FaultKind::Reset | FaultKind::Refused => {
            let mut answer = Answer::new(500, "text/plain", Vec::new());
            answer.delivery = match fault.kind {
                FaultKind::Reset => Delivery::Reset,
                _ => Delivery::Refuse(fault.pause_millis.unwrap_or(1_000)),
            };
            Instead::Unseen(answer)
        }
        FaultKind::Revoked | FaultKind::Expired => {
            let usual = match (fault.kind, dialect) {
                (FaultKind::Expired, _) => "API key has expired",
                (_, Dialect::August) => "API key has been revoked",
                (_, Dialect::October) => "API key has been deactivated",
            };
            Instead::Unauthenticated(Refusal::new(401, "authentication_error", message(usual)))
        }
        FaultKind::WrongKind => Instead::Unauthenticated(match dialect {
            Dialect::August => Refusal::new(401, "authentication_error", message("invalid x-api-key")),
            Dialect::October => Refusal::not_found(),
        }),
        FaultKind::MissingScope => {
            let needed = match dialect {
                Dialect::August => "Needed: ['read:compliance_activities']".to_owned(),
                Dialect::October => {
                    format!("Needed one of: ['read:compliance_activities', '{ORG_AUDIT}']")
                }
            };
            refused(403, "permission_error", &format!("Missing required scopes. Got: []. {needed}"))
        }
        FaultKind::OutOfScope => {
            refused(403, "permission_error", "Organization org_01outside is outside this API key's scope")
        }
        FaultKind::NotEnabled => invalid("Compliance API is not enabled for this organization"),
        FaultKind::CursorInvalid => {
            let pairs = request.pairs();
            let sent = pairs.iter().map(|(name, _)| name.as_str()).find(|name| name.ends_with("_id"));
            match sent {
                Some(parameter) => invalid(&Refusal::cursor(parameter).message),
                None => invalid("page: not a valid cursor"),
            }
        }
        FaultKind::CursorExpired => invalid("page: cursor has expired"),
        FaultKind::LocalListBusy => busy("The session index is temporarily unavailable"),
        FaultKind::LocalContentBusy => busy("Captured content is temporarily unavailable"),
        FaultKind::LocalRetention => busy("Session retention overrides could not be read. Try again later"),
        FaultKind::LocalMissing => refused(404, "not_found_error", "Local sessions are not available"),
        FaultKind::LocalTooLarge => invalid("This session's page is too large to read; use order=asc"),
        FaultKind::OrderRefused => Instead::Refused(Refusal::unknown_parameter("order", &[])),
        _ => return None,
    })
}

/// The error type and text that go with a status.
fn usual_error(status: u16) -> (&'static str, &'static str) {
    match status {
        400 => ("invalid_request_error", "Invalid request"),
        401 => ("authentication_error", "invalid x-api-key"),
        403 => ("permission_error", "Missing required scopes. Got: []. Needed: []"),
        404 => ("not_found_error", "Not found"),
        409 => ("conflict_error", "Conflict"),
        413 => ("request_too_large", "Request exceeds the maximum size"),
        429 => ("rate_limit_error", "Number of requests has exceeded the limit"),
        504 => ("timeout_error", "Request timed out"),
        503 | 529 => ("overloaded_error", "Overloaded"),
        _ => ("api_error", "Internal server error"),
    }
}

/// Headers that a fault adds, takes away or bends.
pub(crate) fn bend_headers(fault: &Fault, answer: &mut Answer) {
    if let Some(seconds) = fault.retry_after {
        answer.set("retry-after", seconds.to_string());
    }
    if let Some(should) = fault.should_retry {
        answer.set("x-should-retry", should.to_string());
    }
    match fault.kind {
        FaultKind::Expired => answer.remove("request-id"),
        FaultKind::NoDate => answer.remove("date"),
        // A gateway knows nothing of the API's headers.
        FaultKind::Html => {
            answer.headers.retain(|(name, _)| matches!(*name, "content-type" | "date" | "retry-after"))
        }
        FaultKind::Bare => {
            answer.headers.retain(|(name, _)| matches!(*name, "content-type" | "content-encoding"))
        }
        _ => {}
    }
}

/// What the fault does to a complete answer on its way.
pub(crate) fn damage(fault: &Fault, request: &Request, answer: &mut Answer) {
    let half = answer.body.len() / 2;
    let bytes = fault.bytes.unwrap_or(half).min(answer.body.len());
    match fault.kind {
        FaultKind::ResetAfter => answer.delivery = Delivery::Reset,
        FaultKind::Stall => answer.delivery = Delivery::Stall,
        FaultKind::Drip => {
            let pause_millis = fault.pause_millis.unwrap_or(50);
            answer.delivery = Delivery::Drip { bytes: fault.bytes.unwrap_or(1_024), pause_millis };
        }
        FaultKind::Cut => answer.delivery = Delivery::Cut(bytes),
        FaultKind::Abort => answer.delivery = Delivery::Abort(bytes),
        FaultKind::Truncated => {
            plain(answer);
            answer.body =
                answer.body.slice(..fault.bytes.unwrap_or(answer.body.len() / 2).min(answer.body.len()));
        }
        FaultKind::GzipCut => {
            compress(request, answer, 0);
            answer.body =
                answer.body.slice(..fault.bytes.unwrap_or(answer.body.len() / 2).min(answer.body.len()));
        }
        FaultKind::Empty => {
            answer.remove("content-encoding");
            answer.body = Vec::new().into();
        }
        FaultKind::Malformed => {
            plain(answer);
            let mut body = answer.body.to_vec();
            let middle = body.len() / 2;
            body.splice(middle..middle, *b"}]\x00");
            answer.body = body.into();
        }
        _ => {}
    }
}

/// Undoes the compression, so that damage is to the JSON.
fn plain(answer: &mut Answer) {
    if answer.find("content-encoding").is_some() {
        let mut decoder = flate2::write::GzDecoder::new(Vec::new());
        // We compressed it a moment ago; should it fail all the same, the packed bytes are damaged instead.
        if let Ok(body) = decoder.write_all(&answer.body).and_then(|()| decoder.finish()) {
            answer.body = body.into();
            answer.remove("content-encoding");
        }
    }
}

/// Compresses the body for who accepts that, if it is worth it.
pub(crate) fn compress(request: &Request, answer: &mut Answer, least: usize) {
    let accepts = request.find("accept-encoding").is_some_and(|accepted| accepted.contains("gzip"));
    if !accepts || answer.body.len() < least || answer.find("content-encoding").is_some() {
        return;
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing to memory cannot fail; if it did, the plain body is as good.
    if let Ok(packed) = encoder.write_all(&answer.body).and_then(|()| encoder.finish()) {
        answer.body = packed.into();
        answer.set("content-encoding", "gzip");
    }
}
