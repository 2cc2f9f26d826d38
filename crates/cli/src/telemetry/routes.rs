//! Which path has which answer.
//!
//! Owns paths, methods and the headers of answers. Must not know sockets.
//!
//! The subtle thing: on a loopback address only names of this machine are answered to. A web page elsewhere could otherwise
//! let its own name lead here, and read what is for this machine alone.

use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{self, HeaderValue};
use hyper::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use sha2::{Digest, Sha256};

use super::exposition::Exposition;
use super::facts::Facts;
use super::{overview, readiness};

/// The page. Everything it needs is in it.
pub(super) const PAGE: &str = include_str!("page.html");

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
const HTML: &str = "text/html; charset=utf-8";

/// What there is to be had.
pub(super) const PATHS: [&str; 5] = ["/", "/healthz", "/metrics", "/readyz", "/status.json"];

/// The answers.
pub(super) struct Routes {
    facts: Arc<Facts>,
    exposition: Exposition,
    /// Only clients that call us by a name of this machine are answered.
    local: bool,
    /// What the page may do: run and be styled by what is in it, and ask us.
    policy: HeaderValue,
}

impl Routes {
    pub(super) fn new(facts: Arc<Facts>, local: bool) -> Self {
        let policy = format!(
            "default-src 'none'; script-src '{}'; style-src '{}'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            digest(PAGE, "script"),
            digest(PAGE, "style"),
        );
        let policy = HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"));
        Self { exposition: Exposition::new(Arc::clone(&facts)), facts, local, policy }
    }

    /// The answer to a request. Its body, if it has one, is not looked at.
    pub(super) fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        let (status, kind, body) = self.choose(request);
        let mut response = Response::new(Full::new(Bytes::from(body)));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers.insert(header::CONTENT_SECURITY_POLICY, self.policy.clone());
        if status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        response
    }

    fn choose<B>(&self, request: &Request<B>) -> (StatusCode, &'static str, String) {
        if self.local && !calls_this_machine(request.headers(), request.uri()) {
            let words = "this answers to localhost and to IP addresses only\n";
            return (StatusCode::MISDIRECTED_REQUEST, TEXT, words.to_owned());
        }
        let path = request.uri().path();
        if !PATHS.contains(&path) {
            let words = format!("nothing is here; there is {}\n", PATHS.join(" "));
            return (StatusCode::NOT_FOUND, TEXT, words);
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return (StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET and HEAD\n".to_owned());
        }
        match path {
            "/healthz" => (StatusCode::OK, TEXT, "ok\n".to_owned()),
            "/readyz" => {
                let report = readiness::report(&self.facts);
                let ready = report.get("ready").and_then(serde_json::Value::as_bool) == Some(true);
                let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
                (status, JSON, format!("{report}\n"))
            }
            "/metrics" => {
                let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok());
                match self.exposition.text(accept.unwrap_or_default()) {
                    Ok((kind, text)) => (StatusCode::OK, kind, text),
                    Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("{error}\n")),
                }
            }
            "/status.json" => (StatusCode::OK, JSON, format!("{}\n", overview::report(&self.facts))),
            _ => (StatusCode::OK, HTML, PAGE.to_owned()),
        }
    }
}

/// Whether a client calls us by a name that can only be this machine. One that calls no name cannot be a browser.
fn calls_this_machine(headers: &HeaderMap, uri: &Uri) -> bool {
    let Some(host) = headers.get(header::HOST) else { return uri.host().is_none_or(is_of_this_machine) };
    let Ok(host) = host.to_str() else { return false };
    let name = match host.rsplit_once(':') {
        // The last colon of an IPv6 address without a port is within its brackets.
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    is_of_this_machine(name)
}

fn is_of_this_machine(name: &str) -> bool {
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok()
}

/// The digest of what stands in an element of the page, as a policy names it.
fn digest(page: &str, element: &str) -> String {
    let (open, close) = (format!("<{element}>"), format!("</{element}>"));
    let inside =
        page.split_once(&open).and_then(|(_, rest)| rest.split_once(&close)).map(|(inside, _)| inside);
    format!("sha256-{}", STANDARD.encode(Sha256::digest(inside.unwrap_or_default())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(host: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        calls_this_machine(&headers, &Uri::from_static("/"))
    }

    #[test]
    fn only_names_of_this_machine_are_answered_to() {
        for host in ["localhost", "LOCALHOST:9464", "127.0.0.1:9464", "[::1]:9464", "[::1]", "10.0.0.7"] {
            assert!(calls(host), "{host}");
        }
        for host in
            ["evil.example", "localhost.evil.example:9464", "127.0.0.1.evil.example", "", "[::1", "a:b:1"]
        {
            assert!(!calls(host), "{host}");
        }
        assert!(calls_this_machine(&HeaderMap::new(), &Uri::from_static("/")));
        assert!(!calls_this_machine(&HeaderMap::new(), &Uri::from_static("http://evil.example/")));
    }

    #[test]
    fn the_page_needs_nothing_from_elsewhere() {
        for element in ["script", "style"] {
            assert_eq!(PAGE.matches(&format!("<{element}")).count(), 1, "{element}: one, without attributes");
            assert!(PAGE.contains(&format!("<{element}>")), "{element}");
        }
        for elsewhere in
            ["http://", "https://", "src=", "@import", "url(", " style=", " onclick=", "innerHTML"]
        {
            // The name of SVG's namespace is no address that is asked.
            let page = PAGE.replace("http://www.w3.org/2000/svg", "");
            assert!(!page.contains(elsewhere), "{elsewhere}");
        }
    }
}
