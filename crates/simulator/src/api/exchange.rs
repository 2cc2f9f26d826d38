//! A request and an answer without any network.
//!
//! Owns what travels; how an answer is damaged on the way is said here ([`Delivery`]) and done by the
//! server, so that tests without sockets can judge it too.

use bytes::Bytes;

/// A request as the simulation sees it.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// `GET` and the like.
    pub method: String,
    /// The path, percent-encoded as sent.
    pub path: String,
    /// The query without its question mark, as sent.
    pub query: String,
    /// Header names in lower case, with their values.
    pub headers: Vec<(String, String)>,
}

impl Request {
    /// A GET of a path with an optional query: `/v1/compliance/activities?limit=2`.
    #[must_use]
    pub fn get(target: &str) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Self { method: "GET".into(), path: path.into(), query: query.into(), headers: Vec::new() }
    }

    /// The same with a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_ascii_lowercase(), value.to_owned()));
        self
    }

    /// The same with a key, as `x-api-key`.
    #[must_use]
    pub fn key(self, secret: &str) -> Self {
        self.header("x-api-key", secret)
    }

    /// The value of a header.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The key, from either header.
    pub(crate) fn secret(&self) -> Option<&str> {
        let bearer = || self.find("authorization").and_then(|value| value.strip_prefix("Bearer "));
        self.find("x-api-key").or_else(bearer)
    }

    /// Path and query, as sent.
    #[must_use]
    pub fn target(&self) -> String {
        match self.query.as_str() {
            "" => self.path.clone(),
            query => format!("{}?{query}", self.path),
        }
    }

    /// The query, decoded.
    pub(crate) fn pairs(&self) -> Vec<(String, String)> {
        form_urlencoded::parse(self.query.as_bytes()).into_owned().collect()
    }
}

/// What becomes of an answer on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Delivery {
    /// It arrives.
    #[default]
    Whole,
    /// The connection is reset and nothing arrives.
    Reset,
    /// Status and headers arrive, then nothing more, and the connection stays open.
    Stall,
    /// The body arrives in pieces of that many bytes, with a pause after each.
    Drip {
        /// Bytes a piece.
        bytes: usize,
        /// Milliseconds of real time between two.
        pause_millis: u64,
    },
    /// A body of announced length ends after that many bytes, with the connection.
    Cut(usize),
    /// It arrives, its length unannounced (chunked).
    Chunked,
    /// The connection ends without an answer, and new ones are refused for that many milliseconds of real time.
    Refuse(u64),
    /// A body of unannounced length (chunked) ends after that many bytes, without its last chunk.
    Abort(usize),
}

/// What the API answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers, without those that frame the body.
    pub headers: Vec<(&'static str, String)>,
    /// The body, compressed if `content-encoding` says so.
    pub body: Bytes,
    /// What becomes of it.
    pub delivery: Delivery,
}

impl Answer {
    pub(crate) fn new(status: u16, content_type: &str, body: Vec<u8>) -> Self {
        Self {
            status,
            headers: vec![("content-type", content_type.to_owned())],
            body: body.into(),
            delivery: Delivery::Whole,
        }
    }

    /// The value of a header.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.remove(name);
        self.headers.push((name, value.into()));
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.headers.retain(|(known, _)| *known != name);
    }

    /// The body as JSON; null when it is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}
