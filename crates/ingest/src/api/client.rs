//! One request at a time: sent once, its answer handed on as it arrives.
//!
//! Owns the connection, TLS, proxies, time limits and the key. Must not know what an answer means.
//!
//! The subtle thing: the key goes into one header, marked as sensitive, and nowhere else. Redirects are not followed, since
//! they would carry it along; addresses are taken out of errors, since a query may name people.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use model::fault::{Fault, FaultKind, causes};
use model::settings::Secret;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::tls::Version;
use reqwest::{Certificate, Proxy, Url, redirect};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::config::{Authentication, Key, Settings};
use super::reader::Broke;
use super::refusal::Head;
use super::time::Micros;

/// It comes back in the audit rows about our own requests, so it should be told from others.
const AGENT: &str = concat!("anthropic-ecs/", env!("CARGO_PKG_VERSION"));

const CONNECT: Duration = Duration::from_secs(10);
/// How long nothing may arrive.
const IDLE: Duration = Duration::from_secs(30);

/// Pieces of an answer that wait to be taken.
const AHEAD: usize = 8;

/// What comes of a request, in this order; the last is one of the last two.
#[derive(Debug)]
pub(super) enum Event {
    Head(Box<Head>),
    Piece(Bytes),
    End,
    Broke(Broke, String),
}

/// A request under way. Dropping it gives it up.
#[derive(Debug)]
pub(super) struct Exchange {
    events: mpsc::Receiver<Event>,
    task: JoinHandle<()>,
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Exchange {
    /// What comes next. Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> Event {
        let broke = || Event::Broke(Broke::Connection, "the request ended by itself".into());
        self.events.recv().await.unwrap_or_else(broke)
    }
}

/// The way to the API.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    address: Url,
    authentication: Authentication,
    key: Key,
    /// The key as it was read last; none when it is to be read again.
    current: Mutex<Option<Secret>>,
}

impl Client {
    /// Reads the files that the settings name. No server is reached.
    pub(super) fn new(settings: &Settings) -> Result<Self, Fault> {
        let unusable = |cause: String, remedy: &str| Fault::new(FaultKind::Unusable, cause, remedy);
        let mut builder = reqwest::Client::builder()
            .user_agent(AGENT)
            .min_tls_version(Version::TLS_1_2)
            .connect_timeout(CONNECT)
            .read_timeout(IDLE)
            .timeout(settings.timeout)
            .redirect(redirect::Policy::none())
            .referer(false);
        if let Some(path) = &settings.ca_file {
            let pem = std::fs::read(path).map_err(|error| unreadable(path, &error))?;
            let advice = "let `ca_file` hold certificates in PEM";
            let certificates = Certificate::from_pem_bundle(&pem)
                .map_err(|error| unusable(causes(&error.without_url()), advice))?;
            if certificates.is_empty() {
                return Err(unusable(format!("{} holds no certificate", path.display()), advice));
            }
            for certificate in certificates {
                builder = builder.add_root_certificate(certificate);
            }
        }
        let loopback = settings.base_url.scheme() == "http";
        builder = match &settings.proxy {
            // What is wrong with it is not said: it may hold a password.
            Some(proxy) => builder.proxy(Proxy::all(proxy.expose()).map_err(|_| {
                unusable("[source] `proxy` is no address".into(), "write it like http://proxy:3128")
            })?),
            // A proxy of the environment would look for it on its own machine.
            None if loopback => builder.no_proxy(),
            None => builder,
        };
        let http = builder
            .build()
            .map_err(|error| unusable(causes(&error.without_url()), "see `ca_file` and `proxy`"))?;
        let mut address = settings.base_url.clone();
        address.set_path(&format!("{}/v1/compliance/activities", address.path().trim_end_matches('/')));
        let client = Self {
            http,
            address,
            authentication: settings.authentication,
            key: settings.key.clone(),
            current: Mutex::new(None),
        };
        client.headers()?;
        Ok(client)
    }

    /// Host and port.
    pub(super) fn server(&self) -> (&str, u16) {
        (
            self.address.host_str().unwrap_or_default(),
            self.address.port_or_known_default().unwrap_or_default(),
        )
    }

    /// The key was refused: it is read again before the next request.
    pub(super) fn refused(&self) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Whether a text has the key in it.
    pub(super) fn reveals(&self, text: &[u8]) -> bool {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.as_ref().is_some_and(|key| memchr::memmem::find(text, key.expose().as_bytes()).is_some())
    }

    fn headers(&self) -> Result<HeaderMap, Fault> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let key = match &*current {
            Some(key) => key.clone(),
            None => {
                let text = match &self.key {
                    Key::Text(key) => key.expose().to_owned(),
                    Key::File(path) => {
                        std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))?
                    }
                };
                let key = Secret::new(text.trim());
                if key.expose().is_empty() {
                    let advice = "write the key into `api_key_file`";
                    return Err(Fault::new(
                        FaultKind::Unauthenticated,
                        "the file with the key is empty",
                        advice,
                    ));
                }
                current.insert(key).clone()
            }
        };
        let (name, text) = match self.authentication {
            Authentication::XApiKey => (HeaderName::from_static("x-api-key"), key.expose().to_owned()),
            Authentication::Bearer => (AUTHORIZATION, format!("Bearer {}", key.expose())),
        };
        let mut value = HeaderValue::from_str(&text).map_err(|_| {
            let cause = "the key has characters in it that no key has";
            Fault::new(FaultKind::Unusable, cause, "see that it is one line of letters, digits and dashes")
        })?;
        value.set_sensitive(true);
        let mut headers = HeaderMap::with_capacity(3);
        headers.insert(name, value);
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert("anthropic-version", HeaderValue::from_static("2023-06-01"));
        Ok(headers)
    }

    /// Sends a query once.
    ///
    /// # Errors
    ///
    /// The key cannot be read.
    pub(super) fn start(&self, query: &str) -> Result<Exchange, Fault> {
        let headers = self.headers()?;
        let mut url = self.address.clone();
        url.set_query(Some(query));
        let request = self.http.get(url).headers(headers);
        let host = self.address.host_str().unwrap_or_default().to_owned();
        let (sender, events) = mpsc::channel(AHEAD);
        let task = tokio::spawn(async move {
            let last = match exchange(request, &sender).await {
                Ok(()) => Event::End,
                Err(error) => {
                    let sized =
                        !error.is_connect() && (error.is_timeout() || error.is_body() || error.is_decode());
                    let broke = if sized { Broke::Size } else { Broke::Connection };
                    Event::Broke(broke, format!("{host}: {}", causes(&error.without_url())))
                }
            };
            let _ = sender.send(last).await;
        });
        Ok(Exchange { events, task })
    }
}

async fn exchange(request: reqwest::RequestBuilder, sender: &mpsc::Sender<Event>) -> reqwest::Result<()> {
    let mut response = request.send().await?;
    let head = head(response.status().as_u16(), response.headers());
    if sender.send(Event::Head(Box::new(head))).await.is_err() {
        return Ok(());
    }
    while let Some(piece) = response.chunk().await? {
        if sender.send(Event::Piece(piece)).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// What the headers say. Every one may be missing, or say nothing that can be understood.
fn head(status: u16, headers: &HeaderMap) -> Head {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let number = |name: &str| text(name).and_then(|text| text.parse().ok());
    Head {
        status,
        request_id: text("request-id").map(|id| id.chars().take(200).collect()),
        organization: text("anthropic-organization-id").map(|id| id.chars().take(200).collect()),
        retry_after: text("retry-after")
            .and_then(|text| text.parse::<f64>().ok())
            .and_then(|seconds| Duration::try_from_secs_f64(seconds.ceil()).ok()),
        should_retry: text("x-should-retry").and_then(|text| text.parse().ok()),
        date: text("date").and_then(Micros::parse_http),
        limit: number("anthropic-ratelimit-requests-limit"),
        remaining: number("anthropic-ratelimit-requests-remaining"),
        reset: text("anthropic-ratelimit-requests-reset").and_then(Micros::parse),
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Fault {
    let cause = format!("{} cannot be read: {error}", path.display());
    Fault::new(FaultKind::Storage, cause, "see that it is there, and let this user read it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_may_say_anything() {
        let mut headers = HeaderMap::new();
        assert_eq!(head(200, &headers).retry_after, None);
        for (text, seconds) in
            [("7", Some(7)), (" 7 ", Some(7)), ("1.2", Some(2)), ("-1", None), ("soon", None), ("1e99", None)]
        {
            headers.insert("retry-after", HeaderValue::from_static(text));
            assert_eq!(head(429, &headers).retry_after, seconds.map(Duration::from_secs), "{text}");
        }
        headers.insert("x-should-retry", HeaderValue::from_static("false"));
        headers.insert("date", HeaderValue::from_static("Fri, 10 Apr 2026 08:09:10 GMT"));
        let head = head(500, &headers);
        assert_eq!(head.should_retry, Some(false));
        assert_eq!(head.date, Some(Micros(1_775_808_550_000_000)));
    }
}
