//! One exchange with one host: a request goes out once, and its whole answer comes back.
//!
//! Owns the hosts, TLS and credentials. Does not know what an answer means beyond whether there is one. One subtle thing:
//! a host that failed is only noted here; the next call goes to the next host, this one is not repeated.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use elasticsearch::auth::Credentials;
use elasticsearch::http::Method;
use elasticsearch::http::headers::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER, USER_AGENT,
};
use elasticsearch::http::response::Response;
use elasticsearch::http::transport::{SingleNodeConnectionPool, Transport, TransportBuilder};
use model::fault::Fault;
use tokio::time::Instant;

use super::config::{Settings, is_loopback, unusable};
use super::credentials::Authorization;
use super::fault;
use super::hosts::Hosts;
use super::tls::Tls;

/// What is said to the server about us.
const AGENT: &str = concat!("anthropic-ecs/", env!("CARGO_PKG_VERSION"));

/// The most time for a question that sends nothing. Writers wait for some of them, and a host that is lost without a word
/// should not hold them up for as long as a large request may take.
const QUESTION: Duration = Duration::from_secs(10);

/// The hosts of a cluster, and who we are to them.
#[derive(Debug)]
pub struct Client {
    nodes: Vec<Node>,
    hosts: Mutex<Hosts>,
    authorization: Authorization,
    timeout: Duration,
}

#[derive(Debug)]
struct Node {
    /// The address as a person would write it.
    name: Arc<str>,
    transport: Transport,
}

/// What is asked of a server.
#[derive(Debug, Clone)]
pub struct Call<'c> {
    /// The method.
    pub method: Method,
    /// Path and query, without the first slash.
    pub path: &'c str,
    /// JSON or lines of JSON.
    pub body: Option<Bytes>,
    /// Whether the body is compressed.
    pub gzip: bool,
}

impl<'c> Call<'c> {
    /// A call with nothing to send.
    #[must_use]
    pub fn get(path: &'c str) -> Self {
        Self { method: Method::Get, path, body: None, gzip: false }
    }

    /// A call that sends JSON.
    #[must_use]
    pub fn post(path: &'c str, body: impl Into<Bytes>) -> Self {
        Self { method: Method::Post, path, body: Some(body.into()), gzip: false }
    }
}

/// What a server said, whatever it is.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Who said it.
    pub host: Arc<str>,
    /// The status of HTTP.
    pub status: u16,
    /// How long it asks to be left alone.
    pub retry_after: Option<Duration>,
    /// The whole body.
    pub body: Bytes,
}

impl Client {
    /// Reads the files the settings name, and gets ready. No server is reached yet.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, or does not hold what it should.
    pub fn new(settings: &Settings) -> Result<Self, Fault> {
        let tls = Tls::read(settings)?;
        let node = |url: &elasticsearch::http::Url| {
            let mut builder =
                TransportBuilder::new(SingleNodeConnectionPool::new(url.clone())).timeout(settings.timeout);
            builder = tls.apply(builder)?;
            if is_loopback(url) {
                // A proxy of the environment would look for it on its own machine.
                builder = builder.disable_proxy();
            }
            let transport = builder.build().map_err(|error| {
                unusable(
                    fault::chain(&error),
                    "check `ca_file`, `client_certificate_file` and `client_key_file`",
                )
            })?;
            Ok(Node { name: url.as_str().trim_end_matches('/').into(), transport })
        };
        let nodes = settings.urls.iter().map(node).collect::<Result<Vec<_>, Fault>>()?;
        Ok(Self {
            hosts: Mutex::new(Hosts::new(nodes.len())),
            nodes,
            authorization: Authorization::new(settings.credentials.clone())?,
            timeout: settings.timeout,
        })
    }

    /// Sends a call once, to the host whose turn it is.
    ///
    /// # Errors
    ///
    /// When there is no answer, or half of one. An answer with any status is none.
    pub async fn send(&self, call: Call<'_>) -> Result<Answer, Fault> {
        let at = self.lock().pick(Instant::now());
        self.send_to(at, call).await
    }

    /// Sends a call once to a certain host, by its place in the configuration.
    pub(super) async fn send_to(&self, at: usize, call: Call<'_>) -> Result<Answer, Fault> {
        let Some(node) = self.nodes.get(at) else {
            return Err(unusable("no host is configured", "set `url`"));
        };
        let timeout = if call.body.is_some() { self.timeout } else { self.timeout.min(QUESTION) };
        let exchange = self.exchange(node, call, timeout).await;
        let outcome = exchange.map_err(|error| fault::of_connection(&node.name, &error, timeout));
        match &outcome {
            // A gateway, or a node that has no cluster: others may be better off.
            Ok(Answer { status: 502..=504, .. }) | Err(_) => self.lock().failed(at, Instant::now()),
            Ok(_) => self.lock().answered(at),
        }
        outcome
    }

    /// The client library's own way to the first host, with who we are, for management; and what to call that host.
    #[must_use]
    pub fn management(&self) -> Option<(Transport, &str)> {
        let node = self.nodes.first()?;
        let header = self.authorization.header();
        let credentials = header
            .and_then(|header| Some(Credentials::AuthorizationHeader(header.to_str().ok()?.to_owned())));
        Some((node.transport.clone_with_auth(credentials), &node.name))
    }

    /// How many hosts there are.
    pub(super) fn hosts(&self) -> usize {
        self.nodes.len()
    }

    /// What an answer that is none of the expected ones means. After a refusal of the credentials they are read again.
    pub(super) fn fault(&self, answer: &Answer, target: &str) -> Fault {
        let mut fault = fault::of_answer(answer, target);
        if answer.status == 401 {
            fault.remedy = self.authorization.refused();
        }
        fault
    }

    async fn exchange(
        &self,
        node: &Node,
        call: Call<'_>,
        timeout: Duration,
    ) -> Result<Answer, elasticsearch::Error> {
        let mut headers = HeaderMap::with_capacity(4);
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        if let Some(authorization) = self.authorization.header() {
            headers.insert(AUTHORIZATION, authorization);
        }
        if call.path.contains("_bulk") {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
        }
        if call.gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        let response: Response = node
            .transport
            .send(call.method, call.path, headers, None::<&()>, call.body, Some(timeout))
            .await?;
        let status = response.status_code().as_u16();
        let retry_after =
            response.headers().get(RETRY_AFTER).and_then(|value| fault::retry_after(value.to_str().ok()?));
        let body = response.bytes().await?;
        Ok(Answer { host: Arc::clone(&node.name), status, retry_after, body })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Hosts> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
