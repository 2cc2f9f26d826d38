//! Who we are: the `Authorization` header, from the configuration or from a file.
//!
//! The header is set per request and not given to the client library, since a client certificate takes the one place for
//! credentials there, and since a file is read again when the server refuses what it said before.

use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use elasticsearch::http::headers::HeaderValue;
use model::fault::{Fault, FaultKind};
use model::settings::Secret;

use super::config::unusable;

/// A secret, or where it is.
#[derive(Debug, Clone)]
pub(super) enum Text {
    /// It stands in the configuration.
    Given(Secret),
    /// It stands in a file.
    File(PathBuf),
}

impl Text {
    fn read(&self) -> Result<Secret, Fault> {
        let path = match self {
            Self::Given(secret) => return Ok(secret.clone()),
            Self::File(path) => path,
        };
        let text = fs::read_to_string(path).map_err(|error| {
            Fault::new(
                FaultKind::Storage,
                format!("the file with the secret, {}, cannot be read: {error}", path.display()),
                "put the secret there, and let this user read it",
            )
        })?;
        Ok(Secret::new(text.trim()))
    }
}

/// The ways to say who we are.
#[derive(Debug, Clone)]
pub(super) enum Credentials {
    None,
    ApiKey(Text),
    Basic(String, Text),
    Bearer(Text),
}

impl Credentials {
    /// The keys of the configuration to look at when the server does not accept them.
    pub(super) fn keys(&self) -> &'static str {
        match self {
            Self::None => "set `api_key_file`, or `username` and `password_file`, or `bearer_file`",
            Self::ApiKey(_) => "check `api_key`: it may be wrong, expired or revoked",
            Self::Basic(..) => "check `username` and `password`",
            Self::Bearer(_) => "check `bearer`: the token may be wrong or expired",
        }
    }

    fn header(&self) -> Result<Option<HeaderValue>, Fault> {
        let text = match self {
            Self::None => return Ok(None),
            Self::ApiKey(key) => {
                let key = key.read()?;
                // The console shows both forms; a colon is in no base64 text.
                match key.expose() {
                    pair if pair.contains(':') => format!("ApiKey {}", STANDARD.encode(pair)),
                    encoded => format!("ApiKey {encoded}"),
                }
            }
            Self::Basic(name, password) => {
                format!("Basic {}", STANDARD.encode(format!("{name}:{}", password.read()?.expose())))
            }
            Self::Bearer(token) => format!("Bearer {}", token.read()?.expose()),
        };
        let mut value = HeaderValue::from_str(&text)
            .map_err(|_| unusable("the credentials have a line end or a control character", self.keys()))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

/// The header in use.
#[derive(Debug)]
pub(super) struct Authorization {
    credentials: Credentials,
    header: Mutex<Option<HeaderValue>>,
}

impl Authorization {
    pub(super) fn new(credentials: Credentials) -> Result<Self, Fault> {
        let header = Mutex::new(credentials.header()?);
        Ok(Self { credentials, header })
    }

    pub(super) fn header(&self) -> Option<HeaderValue> {
        self.header.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the secret again after the server refused it, and says for people what to do now.
    pub(super) fn refused(&self) -> String {
        let fresh = match self.credentials.header() {
            Ok(fresh) => fresh,
            Err(fault) => return format!("{}; {}", self.credentials.keys(), fault),
        };
        let mut header = self.header.lock().unwrap_or_else(PoisonError::into_inner);
        if *header == fresh {
            return self.credentials.keys().to_owned();
        }
        *header = fresh;
        "the file has a new secret, which is used from now on".to_owned()
    }
}
