//! What an answer other than 200 means: the table of errors, row by row.
//!
//! Owns the classification by status, type of error and, where nothing else tells, a fragment of the message; and the words
//! for a person. Must not know the state of a walk.
//!
//! The subtle thing: nothing here gives up. What must not be repeated at once is probed slowly, because "not retryable" ends
//! the attempt and not the obligation: the position stays, and the source is seen to be down.

use std::time::Duration;

use model::fault::{Fault, FaultKind};
use serde::Deserialize;

use super::config::Rules;

/// How long until a key that was refused is tried again.
const PROBE: Duration = Duration::from_secs(60);
/// How long until something is tried again that only a person, or the vendor, can mend.
const SLOW_PROBE: Duration = Duration::from_secs(300);

/// The head of an answer; every header may be missing.
#[derive(Debug, Clone, Default)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) request_id: Option<String>,
    pub(super) organization: Option<String>,
    pub(super) retry_after: Option<Duration>,
    pub(super) should_retry: Option<bool>,
    pub(super) date: Option<super::time::Micros>,
    pub(super) limit: Option<u32>,
    pub(super) remaining: Option<u32>,
    pub(super) reset: Option<super::time::Micros>,
}

/// What is to be done about a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// The same request again, after a wait.
    Again,
    /// The same request again; the budget is spent.
    Throttled(Option<Duration>),
    /// Again, but the key may be another by then.
    Credentials(Duration),
    /// Again, when somebody has done something.
    Pause(Duration),
    /// This very page fails for good: read it in smaller parts.
    Isolate,
    /// The cursor is void: begin again from a bound in time.
    DropCursor,
    /// `order` is not known here: read backwards.
    DropOrder,
    /// Fewer rows in a page.
    Shrink,
    /// An activity type that cannot be filtered by.
    DropType(String),
    /// An organization that the key does not cover.
    DropOrganization(String),
}

#[derive(Debug, Default, Deserialize)]
struct Body {
    #[serde(default)]
    error: Error,
    request_id: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Error {
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    message: String,
}

/// Decides what a refusal means. `cursor` says whether the request had one.
pub(super) fn classify(head: &Head, body: &[u8], rules: &Rules, cursor: bool) -> (Action, Fault) {
    let parsed: Option<Body> = serde_json::from_slice(body).ok();
    let shaped = parsed.is_some();
    let Body { error, request_id } = parsed.unwrap_or_default();
    let request = head.request_id.clone().or(request_id).unwrap_or_else(|| "without request id".into());
    // The message is the vendor's; it is shortened, because it may be anybody's who answers in between.
    let message: String = error.message.chars().filter(|c| !c.is_control()).take(300).collect();
    let said = if shaped { format!("{}: {message}", error.kind) } else { "no error in JSON".to_owned() };
    let cause = format!("{} answered {} ({said}; {request})", rules.filters.base_url, head.status);
    // The wish to be left alone may come with anything, a 503 as well as a 429.
    let fault = |kind, remedy: &str| Fault {
        retry_after: head.retry_after,
        ..Fault::new(kind, cause.clone(), remedy)
    };
    let has = |words: &str| message.to_ascii_lowercase().contains(words);
    match head.status {
        429 => (
            Action::Throttled(head.retry_after),
            fault(
                FaultKind::Throttled,
                "nothing is to be done; lower `budget_share` if other readers suffer",
            ),
        ),
        401 => (
            Action::Credentials(PROBE),
            fault(
                FaultKind::Unauthenticated,
                "renew the key; if it stands in `api_key_file`, put the new one there, and it is taken within a minute",
            ),
        ),
        // A list route that is not found means that we are nobody: no key, or one of the wrong kind.
        404 => (
            Action::Credentials(PROBE),
            fault(
                FaultKind::Unauthenticated,
                "see that `base_url` is right, and that the key is a Compliance Access Key or an Admin API key",
            ),
        ),
        403 if has("outside this api key's scope") => {
            let named = rules.filters.organization_ids.iter().find(|id| message.contains(id.as_str()));
            match named.or(rules
                .filters
                .organization_ids
                .first()
                .filter(|_| rules.filters.organization_ids.len() == 1))
            {
                Some(id) => (
                    Action::DropOrganization(id.clone()),
                    fault(
                        FaultKind::Forbidden,
                        "take that organization out of `organization_ids`, or use a key that covers it",
                    ),
                ),
                None => (
                    Action::Pause(SLOW_PROBE),
                    fault(FaultKind::Forbidden, "use a key that covers all of `organization_ids`"),
                ),
            }
        }
        403 => (
            Action::Credentials(SLOW_PROBE),
            fault(
                FaultKind::Forbidden,
                "make a new key with the scope read:compliance_activities (or read:org_audit); an Admin API key made before the Compliance API was enabled never has it",
            ),
        ),
        400 if has("is not enabled for this organization") => (
            Action::Pause(SLOW_PROBE),
            fault(
                FaultKind::Blocked,
                "enable the Compliance API in the organization's settings; what happens until then is never recorded",
            ),
        ),
        400 if has("not one of the permitted values") => {
            let filters = &rules.filters;
            let passes = rules.passes.iter().filter_map(|pass| pass.types.as_ref()).flatten();
            let known = filters.activity_types.iter().chain(&filters.exclude_activity_types).chain(passes);
            match known.filter(|name| message.contains(name.as_str())).max_by_key(|name| name.len()) {
                Some(name) => (
                    Action::DropType(name.clone()),
                    fault(FaultKind::Unusable, "take that type out of the configuration"),
                ),
                None => (
                    Action::Pause(SLOW_PROBE),
                    fault(FaultKind::Blocked, "take the type that is not known out of the configuration"),
                ),
            }
        }
        400 if has("unknown query parameter") && has("order") => (
            Action::DropOrder,
            fault(FaultKind::Missing, "nothing is to be done; windows are read backwards"),
        ),
        400 if cursor && (has("after_id") || has("activity_id") || has("pagination cursor")) => (
            Action::DropCursor,
            fault(
                FaultKind::Missing,
                "nothing is to be done; the window is read again from the last row's time",
            ),
        ),
        400 if has("limit") && !has("rate limit") => {
            (Action::Shrink, fault(FaultKind::TooLarge, "nothing is to be done; pages are made smaller"))
        }
        400 if has("order") => (
            Action::DropOrder,
            fault(FaultKind::Missing, "nothing is to be done; windows are read backwards"),
        ),
        413 => (Action::Shrink, fault(FaultKind::TooLarge, "nothing is to be done; pages are made smaller")),
        500 if head.should_retry == Some(false) => (
            Action::Isolate,
            fault(
                FaultKind::Unreachable,
                "the window is read in smaller parts; if it stays, show the vendor the request id",
            ),
        ),
        500..=599 => (
            Action::Again,
            fault(
                FaultKind::Unreachable,
                "nothing is to be done unless it stays; see the vendor's status page",
            ),
        ),
        300..=399 => (
            Action::Pause(SLOW_PROBE),
            fault(
                FaultKind::Unreachable,
                "set `base_url` to where the API really is; redirects are not followed, they would carry the key along",
            ),
        ),
        200..=299 => (Action::Again, fault(FaultKind::Unreachable, "see what answers at `base_url`")),
        _ => (
            Action::Pause(SLOW_PROBE),
            fault(
                FaultKind::Blocked,
                "this is a fault of the program, or the API has changed: report it with the request id",
            ),
        ),
    }
}

#[cfg(test)]
#[path = "refusal_tests.rs"]
mod tests;
