//! The record that a request leaves behind in the feed.

use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};

use super::exchange::Request;
use super::keys::Key;
use super::row::{Content, Row};
use crate::clock::Micros;
use crate::json;

/// The activity type of such records.
pub(crate) const TYPE: &str = "compliance_api_accessed";

/// The record of a request that was answered `status`, shown `delay` later.
pub(crate) fn own_read(
    request: &Request,
    key: &Key,
    (request_id, status): (&str, u16),
    now: Micros,
    delay: Micros,
) -> Row {
    let mut rest = String::from(",\"organization_id\":null,\"organization_uuid\":null");
    json::key(&mut rest, "type");
    json::string(&mut rest, TYPE);
    json::key(&mut rest, "actor");
    rest.push('{');
    let key_id = format!("apikey_{}", key.tail);
    for (name, value) in [
        ("type", "api_actor"),
        ("api_key_id", key_id.as_str()),
        ("ip_address", "192.0.2.25"),
        ("user_agent", request.find("user-agent").unwrap_or("unknown")),
    ] {
        json::key(&mut rest, name);
        json::string(&mut rest, value);
    }
    rest.push('}');
    let url = format!("https://api.anthropic.com{}", request.target());
    for (name, value) in
        [("request_id", request_id), ("request_method", request.method.as_str()), ("url", url.as_str())]
    {
        json::key(&mut rest, name);
        json::string(&mut rest, value);
    }
    // Writing to a String cannot fail.
    let _ = write!(rest, ",\"status_code\":{status},\"request_body\":null}}");
    let content = Content {
        activity_type: TYPE.to_owned(),
        user_id: None,
        organization: None,
        rest,
        redacted: None,
        mentions: OnceLock::new(),
    };
    Row { occurred: now, indexed: now + delay, content: Arc::new(content) }
}
