//! What goes wrong, when, and how often: faults as a script or a test orders them.
//!
//! Owns the decision which fault concerns a request. What a fault does is [`super::damage`]'s business. At most one fault
//! acts on a request; another one that is due waits for the next.

use serde::{Deserialize, Serialize};

use super::exchange::Request;
use super::shape::Shape;
use crate::clock::{Micros, SECOND};

/// What can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// 429, with `retry_after` if given.
    RateLimited,
    /// Another consumer takes what is left of the budget, so this and the next requests meet a true 429.
    Starved,
    /// `status` (500 when not given) with a JSON error, with `x-should-retry` if `should_retry` is given.
    Status,
    /// `status` (502 when not given, 200 is possible) with a page of HTML, as from a gateway.
    Html,
    /// The connection ends without an answer, and for `pause_millis` of real time (a second when not given) new ones are
    /// refused.
    Refused,
    /// The connection is reset before anything was done.
    Reset,
    /// Everything is done and counted, and then the connection is reset.
    ResetAfter,
    /// Headers come, and no body.
    Stall,
    /// The body comes `bytes` at a time with `pause_millis` between.
    Drip,
    /// The connection ends after `bytes` of a body whose announced length is more.
    Cut,
    /// The connection ends after `bytes` of a chunked body.
    Abort,
    /// The body is complete as HTTP goes, and ends after `bytes` in the midst of the JSON.
    Truncated,
    /// The body is gzip and ends early; only for who accepts gzip.
    GzipCut,
    /// 200 without a body.
    Empty,
    /// 200 with a body that is no JSON in its midst.
    Malformed,
    /// One record of the page cannot be decoded; all others can.
    Undecodable,
    /// The page is padded by `bytes`, 64 MiB when not given, in a field of one record.
    Huge,
    /// One record has something no client expects: `shape`, or what chance says.
    Shape,
    /// 401 as for a deleted key.
    Revoked,
    /// 401 as for a key whose time is over, without a `request-id`.
    Expired,
    /// What a key of the wrong kind is told: 401, or a bare 404.
    WrongKind,
    /// 403: the key lacks the scope.
    MissingScope,
    /// 403: the organization asked for is not the key's.
    OutOfScope,
    /// 400: the Compliance API is switched off. With `from` and `until`, nothing is recorded meanwhile either.
    NotEnabled,
    /// 400 to a cursor that is none any more; requests without a cursor are left alone.
    CursorInvalid,
    /// 400 to a page token as for a walk that took too long; requests without a token are left alone.
    CursorExpired,
    /// `last_id` (or `next_page`) is the cursor that was sent, and `has_more` is true.
    CursorRepeated,
    /// `last_id` and `first_id` (or `next_page`) are null, and `has_more` is true.
    CursorNull,
    /// `has_more` is missing.
    HasMoreMissing,
    /// 400 to the parameter `order`; requests without it are left alone.
    OrderRefused,
    /// The page begins with the last record of the page before; requests without `after_id` or `page` are left alone.
    Duplicate,
    /// The page is empty, and `next_page` goes on; only where pages go by tokens.
    EmptyPage,
    /// 503: the list of local sessions is busy.
    LocalListBusy,
    /// 503: what was captured of local sessions cannot be read, for now or (while a customer's key is unusable) for long.
    LocalContentBusy,
    /// 503: retention overrides stand in the way of local sessions, for as long as the data do.
    LocalRetention,
    /// 404: there are no local sessions in this tenant, for now.
    LocalMissing,
    /// 400: the page of a local session's transcript is too large to read.
    LocalTooLarge,
    /// Names in the feed's records are null this once: the same ids with another content.
    Changed,
    /// No `date`, no rate headers, no `request-id`.
    Bare,
    /// No `date`.
    NoDate,
    /// `date` is off by `seconds`.
    Skewed,
}

/// A point in time in a script.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum When {
    /// Seconds after the start of the clock.
    Seconds(i64),
    /// RFC 3339.
    Time(String),
}

impl When {
    /// Microseconds, with seconds counted from `start`; nothing when the text is no time.
    pub(crate) fn micros(&self, start: Micros) -> Option<Micros> {
        match self {
            Self::Seconds(seconds) => Some(start + seconds * SECOND),
            Self::Time(text) => {
                chrono::DateTime::parse_from_rfc3339(text).ok().map(|time| time.timestamp_micros())
            }
        }
    }
}

/// A fault: what it is, which requests it concerns, and its particulars.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// What goes wrong.
    pub kind: FaultKind,
    /// Only requests whose path starts with this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Only requests whose decoded query (`name=value&name=value`) contains this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// Not the first so many of them.
    #[serde(default)]
    pub after: u64,
    /// Of the others only each so-manieth, beginning with the first: 2 flaps.
    #[serde(default = "one")]
    pub every: u64,
    /// How often in all; without end when 0.
    #[serde(default = "one")]
    pub count: u64,
    /// Not before this virtual time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<When>,
    /// Not at or after this virtual time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<When>,
    /// The status of `status` and `html`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The error's text where the usual one will not do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// `retry-after` in seconds, on any status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<i64>,
    /// `x-should-retry`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub should_retry: Option<bool>,
    /// How much of a body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<usize>,
    /// Milliseconds of real time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause_millis: Option<u64>,
    /// By how much a `date` is off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<i64>,
    /// What is odd about a record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shape: Option<Shape>,
}

/// The routes of local sessions.
const LOCAL: &str = "/v1/compliance/apps/sessions/local";

fn one() -> u64 {
    1
}

impl Fault {
    /// A fault that concerns the next request and no other.
    #[must_use]
    pub fn new(kind: FaultKind) -> Self {
        Self {
            kind,
            path: None,
            query: None,
            after: 0,
            every: 1,
            count: 1,
            from: None,
            until: None,
            status: None,
            message: None,
            retry_after: None,
            should_retry: None,
            bytes: None,
            pause_millis: None,
            seconds: None,
            shape: None,
        }
    }

    /// A JSON error with that status.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self { status: Some(status), ..Self::new(FaultKind::Status) }
    }

    /// So many times; without end when 0.
    #[must_use]
    pub fn times(mut self, count: u64) -> Self {
        self.count = count;
        self
    }

    /// After that many requests.
    #[must_use]
    pub fn after(mut self, requests: u64) -> Self {
        self.after = requests;
        self
    }

    /// Whether the fault can be done to this request at all.
    fn fits(&self, request: &Request, pairs: &[(String, String)]) -> bool {
        let has = |names: &[&str]| pairs.iter().any(|(name, _)| names.contains(&name.as_str()));
        let local = request.path.starts_with(LOCAL);
        let transcript = local && request.path.ends_with("/messages");
        let possible = match self.kind {
            FaultKind::CursorInvalid => has(&["after_id", "before_id", "page"]),
            FaultKind::CursorExpired => has(&["page"]),
            FaultKind::CursorRepeated | FaultKind::Duplicate => has(&["after_id", "page"]),
            FaultKind::EmptyPage => {
                !["/activities", "/apps/chats"].iter().any(|way| request.path.contains(way))
            }
            FaultKind::LocalListBusy => request.path == LOCAL,
            FaultKind::LocalContentBusy | FaultKind::LocalTooLarge => transcript,
            FaultKind::LocalRetention | FaultKind::LocalMissing => local,
            FaultKind::OrderRefused => has(&["order"]),
            FaultKind::GzipCut => {
                request.find("accept-encoding").is_some_and(|accepted| accepted.contains("gzip"))
            }
            _ => true,
        };
        let decoded =
            || pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&");
        possible
            && self.path.as_ref().is_none_or(|path| request.path.starts_with(path))
            && self.query.as_ref().is_none_or(|part| decoded().contains(part))
    }
}

/// A fault with what became of it so far.
#[derive(Debug, Clone)]
struct Ordered {
    fault: Fault,
    from: Micros,
    until: Micros,
    /// Requests it might have concerned.
    met: u64,
    done: u64,
}

/// The faults that are ordered.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults {
    ordered: Vec<Ordered>,
}

impl Faults {
    /// Orders a fault; false when one of its times cannot be read.
    pub(crate) fn add(&mut self, fault: Fault, start: Micros) -> bool {
        let bound = |when: &Option<When>, otherwise| match when {
            Some(when) => when.micros(start),
            None => Some(otherwise),
        };
        let times = bound(&fault.from, Micros::MIN).zip(bound(&fault.until, Micros::MAX));
        let Some((from, until)) = times else { return false };
        self.ordered.push(Ordered { fault, from, until, met: 0, done: 0 });
        true
    }

    pub(crate) fn clear(&mut self) {
        self.ordered.clear();
    }

    /// Those that may still act, with how often they did.
    pub(crate) fn pending(&self) -> impl Iterator<Item = (&Fault, u64)> {
        self.ordered
            .iter()
            .filter(|ordered| ordered.fault.count == 0 || ordered.done < ordered.fault.count)
            .map(|ordered| (&ordered.fault, ordered.done))
    }

    /// The fault that acts on this request, if any.
    pub(crate) fn due(&mut self, request: &Request, now: Micros) -> Option<Fault> {
        if self.ordered.is_empty() {
            return None;
        }
        let pairs = request.pairs();
        let mut acts = None;
        for ordered in &mut self.ordered {
            let Ordered { fault, from, until, met, done } = ordered;
            let over = fault.count > 0 && *done >= fault.count;
            if over || now < *from || now >= *until || !fault.fits(request, &pairs) {
                continue;
            }
            let turn = *met >= fault.after && (*met - fault.after) % fault.every.max(1) == 0;
            if turn && acts.is_none() {
                *done += 1;
                acts = Some(fault.clone());
            } else if turn {
                // Its turn is taken by another; it waits.
                continue;
            }
            *met += 1;
        }
        acts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_act_in_turn_and_as_often_as_ordered() {
        let mut faults = Faults::default();
        let flapping = Fault { every: 2, count: 0, ..Fault::status(503) };
        assert!(faults.add(Fault::new(FaultKind::Reset).after(1), 0) && faults.add(flapping, 0));
        let request = Request::get("/v1/compliance/activities");
        let mut next = || faults.due(&request, 0).map(|fault| fault.kind);
        let met = [next(), next(), next(), next(), next()];
        let status = Some(FaultKind::Status);
        assert_eq!(met, [status, Some(FaultKind::Reset), status, None, status]);
    }

    #[test]
    fn a_fault_keeps_to_its_time_route_and_query() {
        let mut faults = Faults::default();
        let fault = Fault {
            from: Some(When::Seconds(10)),
            until: Some(When::Time("1970-01-01T00:00:30Z".into())),
            query: Some("created_at.gte=2026-10-06T08:00:00+00:00".into()),
            count: 0,
            ..Fault::status(500)
        };
        assert!(faults.add(fault, 0));
        assert!(!faults.add(Fault { from: Some(When::Time("noon".into())), ..Fault::status(500) }, 0));
        let wanted = Request::get("/v1/compliance/activities?created_at.gte=2026-10-06T08:00:00%2B00:00");
        let other = Request::get("/v1/compliance/activities");
        assert!(faults.due(&wanted, 9 * SECOND).is_none() && faults.due(&other, 10 * SECOND).is_none());
        assert!(faults.due(&wanted, 10 * SECOND).is_some() && faults.due(&wanted, 30 * SECOND).is_none());
    }
}
