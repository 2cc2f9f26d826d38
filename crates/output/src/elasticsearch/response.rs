//! The answer to a bulk request, item by item: one outcome for each document, in the order they were sent.
//!
//! The status of each item decides. `errors` is not looked at: an item that says nothing bad costs no allocation, so there
//! is nothing to be gained by believing it.

use std::borrow::Cow;
use std::fmt;

use model::fault::{Fault, FaultKind};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use super::fault::{self, Words};
use crate::sink::{Outcome, Rejection};

/// What is asked for; anything else would only be thrown away.
pub(super) const FILTER: &str = "errors,items.*.status,items.*.failure_store,items.*.error.type,\
    items.*.error.reason,items.*.error.caused_by.type,items.*.error.caused_by.reason";

#[derive(Deserialize)]
struct Bulk<'a> {
    #[serde(borrow)]
    items: Vec<Named<'a>>,
}

/// `{"create": {…}}`.
struct Named<'a>(Item<'a>);

#[derive(Deserialize)]
struct Item<'a> {
    status: u16,
    #[serde(borrow, default)]
    error: Option<ItemError<'a>>,
    #[serde(borrow, default)]
    failure_store: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ItemError<'a> {
    Object(#[serde(borrow)] Exception<'a>),
    Text(#[serde(borrow)] Cow<'a, str>),
}

#[derive(Deserialize)]
struct Exception<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    reason: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    caused_by: Option<Cause<'a>>,
}

#[derive(Deserialize)]
struct Cause<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    reason: Option<Cow<'a, str>>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Named<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneKey;
        impl<'de> Visitor<'de> for OneKey {
            type Value = Named<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with one key")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Named<'de>, A::Error> {
                let entry = map.next_entry::<IgnoredAny, Item<'de>>()?;
                let (_, item) = entry.ok_or_else(|| serde::de::Error::custom("an item without action"))?;
                match map.next_key::<IgnoredAny>()? {
                    None => Ok(Named(item)),
                    Some(_) => Err(serde::de::Error::custom("an item with two actions")),
                }
            }
        }
        deserializer.deserialize_map(OneKey)
    }
}

/// Reads an answer with status 200.
///
/// # Errors
///
/// Why it says nothing about the documents: it is no JSON, it is cut off, or it has not one item for each.
pub(super) fn outcomes(body: &[u8], sent: usize, target: &str) -> Result<Vec<Outcome>, String> {
    let bulk: Bulk<'_> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    if bulk.items.len() != sent {
        return Err(format!("{} items for {sent} documents", bulk.items.len()));
    }
    Ok(bulk.items.iter().map(|Named(item)| outcome(item, target)).collect())
}

fn outcome(item: &Item<'_>, target: &str) -> Outcome {
    let words = match &item.error {
        None => Words::default(),
        Some(ItemError::Text(text)) => Words { kind: "", reason: text },
        Some(ItemError::Object(exception)) => Words {
            kind: exception.kind.as_deref().unwrap_or_default(),
            reason: exception.reason.as_deref().unwrap_or_default(),
        },
    };
    match item.status {
        // The server took it in, but not where it can be found: a mapping refused it.
        200..=299 if item.failure_store.as_deref() == Some("used") => Outcome::Rejected(Rejection {
            reason: "failure_store".to_owned(),
            detail: format!("{target} refused the document, and the server put it into the failure store"),
        }),
        200..=299 => Outcome::Delivered,
        409 if words.kind.is_empty() || words.kind == "version_conflict_engine_exception" => {
            Outcome::Duplicate
        }
        status => match fault::of_cluster(status, words, target) {
            Some((kind, remedy)) => Outcome::Retry(Fault::new(
                kind,
                format!("{target} answered {status} for a document: {words}"),
                remedy,
            )),
            // A status that means neither yes nor no: the document must not be lost by it.
            None if !(400..=499).contains(&status) || status == 409 => Outcome::Retry(Fault::new(
                FaultKind::Unreachable,
                format!("{target} answered {status} for a document: {words}"),
                "look at the cluster's logs",
            )),
            None => Outcome::Rejected(rejection(status, item, words)),
        },
    }
}

/// The server's own type and reason, with the reason behind it, which is often the one that helps.
fn rejection(status: u16, item: &Item<'_>, words: Words<'_>) -> Rejection {
    let reason = if words.kind.is_empty() { format!("status_{status}") } else { words.kind.to_owned() };
    let mut detail = words.reason.to_owned();
    if let Some(ItemError::Object(Exception { caused_by: Some(cause), .. })) = &item.error {
        let [kind, reason] = [&cause.kind, &cause.reason].map(|text| text.as_deref().unwrap_or_default());
        if !detail.contains(reason) || reason.is_empty() {
            detail.push_str("; caused by ");
            detail.push_str(&Words { kind, reason }.to_string());
        }
    }
    Rejection { reason, detail: fault::shorten(&detail, LONGEST_DETAIL).to_owned() }
}

/// Reasons quote the document; a dead letter has it anyway.
const LONGEST_DETAIL: usize = 2_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn one(item: &str) -> Outcome {
        let body = format!(r#"{{"items":[{{"create":{item}}}]}}"#);
        outcomes(body.as_bytes(), 1, "logs-anthropic.audit-default").unwrap().remove(0)
    }

    fn retry(item: &str) -> FaultKind {
        match one(item) {
            Outcome::Retry(fault) => fault.kind,
            other => panic!("{item}: {other:?}"),
        }
    }

    #[test]
    fn created_is_delivered_and_a_conflict_a_duplicate() {
        assert_eq!(one(r#"{"status":201}"#), Outcome::Delivered);
        assert_eq!(one(r#"{"status":200,"failure_store":"not_enabled"}"#), Outcome::Delivered);
        assert_eq!(one(r#"{"status":409}"#), Outcome::Duplicate);
        let conflict =
            r#"{"status":409,"error":{"type":"version_conflict_engine_exception","reason":"exists"}}"#;
        assert_eq!(one(conflict), Outcome::Duplicate);
    }

    #[test]
    fn another_conflict_is_no_delivery() {
        assert_eq!(retry(r#"{"status":409,"error":{"type":"other","reason":"x"}}"#), FaultKind::Unreachable);
    }

    #[test]
    fn a_document_in_the_failure_store_is_not_delivered() {
        assert!(matches!(one(r#"{"status":201,"failure_store":"used"}"#), Outcome::Rejected(_)));
    }

    #[test]
    fn a_refused_document_has_the_servers_words() {
        let item = r#"{"status":400,"error":{"type":"document_parsing_exception","reason":"[1:9] failed to parse \"x\"",
            "caused_by":{"type":"illegal_argument_exception","reason":"'y' is not an IP string literal."}}}"#;
        let Outcome::Rejected(rejection) = one(item) else { panic!() };
        assert_eq!(rejection.reason, "document_parsing_exception");
        assert_eq!(
            rejection.detail,
            "[1:9] failed to parse \"x\"; caused by illegal_argument_exception: 'y' is not an IP string literal."
        );
        let Outcome::Rejected(rejection) = one(r#"{"status":400,"error":"words"}"#) else { panic!() };
        assert_eq!((rejection.reason.as_str(), rejection.detail.as_str()), ("status_400", "words"));
        assert!(matches!(one(r#"{"status":400}"#), Outcome::Rejected(_)));
    }

    #[test]
    fn what_may_pass_later_is_tried_again() {
        assert_eq!(
            retry(r#"{"status":429,"error":{"type":"es_rejected_execution_exception"}}"#),
            FaultKind::Throttled
        );
        assert_eq!(retry(r#"{"status":429}"#), FaultKind::Throttled);
        assert_eq!(
            retry(r#"{"status":503,"error":{"type":"unavailable_shards_exception"}}"#),
            FaultKind::Unreachable
        );
        assert_eq!(retry(r#"{"status":500}"#), FaultKind::Unreachable);
        assert_eq!(
            retry(r#"{"status":404,"error":{"type":"index_not_found_exception"}}"#),
            FaultKind::Missing
        );
        assert_eq!(retry(r#"{"status":403,"error":{"type":"security_exception"}}"#), FaultKind::Forbidden);
        assert_eq!(retry(r#"{"status":403,"error":{"type":"cluster_block_exception"}}"#), FaultKind::Blocked);
        assert_eq!(retry(r#"{"status":302}"#), FaultKind::Unreachable);
        assert_eq!(retry(r#"{"status":0}"#), FaultKind::Unreachable);
    }

    #[test]
    fn outcomes_stand_in_the_order_of_the_items_whatever_else_is_there() {
        let body = br#"{"took":3,"ingest_took":1,"errors":true,"items":[
            {"create":{"_index":"x","_id":"a","status":201,"_shards":{"total":2}}},
            {"index":{"status":409}},
            {"create":{"status":429,"error":{"type":"t","reason":"r","index":"i","shard":"0"}}}]}"#;
        let outcomes = outcomes(body, 3, "t").unwrap();
        assert!(matches!(outcomes[..], [Outcome::Delivered, Outcome::Duplicate, Outcome::Retry(_)]));
    }

    #[test]
    fn an_answer_that_does_not_cover_the_documents_is_none() {
        for body in [
            "",
            "{}",
            "[]",
            "<html>",
            r#"{"errors":false}"#,
            r#"{"errors":false,"items":[]}"#,
            r#"{"errors":false,"items":[{"create":{"status":201}}]}"#,
            r#"{"errors":false,"items":[{"create":{"status":201}},{"create":{}}]}"#,
            r#"{"errors":false,"items":[{"create":{"status":201}},{}]}"#,
            r#"{"errors":false,"items":[{"create":{"status":201}},{"create":{"status":201}},{"create":{"status":201}}]}"#,
            r#"{"errors":false,"items":[{"create":{"status":201}},{"create":{"status":20"#,
            r#"{"errors":false,"items":[{"create":{"status":201}},{"create":{"status":201},"x":{"status":400}}]}"#,
            r#"{"errors":false,"items":[{"create":{"status":201}},{"create":{"status":-1}}]}"#,
            "\u{0}\u{1}",
        ] {
            assert!(outcomes(body.as_bytes(), 2, "t").is_err(), "{body}");
        }
    }
}
