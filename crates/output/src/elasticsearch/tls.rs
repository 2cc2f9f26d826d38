//! Certificates from files: whom we trust, and what we show.
//!
//! The least version, TLS 1.2, is not set here: the client's builder has no place for it, and rustls speaks nothing older. A test
//! of the program (`tls_floor`) looks at what is offered.

use std::fs;
use std::path::Path;

use elasticsearch::auth::{ClientCertificate, Credentials};
use elasticsearch::cert::{Certificate, CertificateValidation};
use elasticsearch::http::transport::TransportBuilder;
use model::fault::{Fault, FaultKind};

use super::config::{Settings, unusable};

/// The contents of the certificate files, read once.
#[derive(Debug)]
pub(super) struct Tls {
    authorities: Option<Vec<u8>>,
    /// Certificate and key, one after the other, as the TLS library wants them.
    identity: Option<Vec<u8>>,
    accept_any: bool,
}

impl Tls {
    pub(super) fn read(settings: &Settings) -> Result<Self, Fault> {
        let authorities = settings.ca_file.as_deref().map(|path| {
            let pem = read(path)?;
            Certificate::from_pem(&pem).map_err(|_| {
                let cause = format!("{}: there is no certificate in PEM form in it", path.display());
                unusable(cause, "`ca_file` wants text with lines like -----BEGIN CERTIFICATE-----")
            })?;
            Ok::<_, Fault>(pem)
        });
        let identity = settings.client_certificate.as_ref().map(|(certificate, key)| {
            let mut pem = read(certificate)?;
            pem.push(b'\n');
            pem.extend(read(key)?);
            Ok::<_, Fault>(pem)
        });
        Ok(Self {
            authorities: authorities.transpose()?,
            identity: identity.transpose()?,
            accept_any: settings.accept_invalid_certificates,
        })
    }

    /// Sets up one connection's TLS.
    pub(super) fn apply(&self, mut builder: TransportBuilder) -> Result<TransportBuilder, Fault> {
        if self.accept_any {
            builder = builder.cert_validation(CertificateValidation::None);
        } else if let Some(pem) = &self.authorities {
            let chain =
                Certificate::from_pem(pem).map_err(|error| unusable(error.to_string(), "check `ca_file`"))?;
            builder = builder.cert_validation(CertificateValidation::Full(chain));
        }
        if let Some(pem) = &self.identity {
            builder = builder.auth(Credentials::Certificate(ClientCertificate::Pem(pem.clone())));
        }
        Ok(builder)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Fault> {
    fs::read(path).map_err(|error| {
        Fault::new(
            FaultKind::Storage,
            format!("the file with the certificate or key, {}, cannot be read: {error}", path.display()),
            "put the PEM file there, and let this user read it",
        )
    })
}
