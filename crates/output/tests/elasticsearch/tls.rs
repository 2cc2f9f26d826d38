//! Certificates: the server's is checked unless that is switched off, and ours is shown.

use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use super::*;

/// An authority of our own, and files with what it signed.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    files: TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let files = tempfile::tempdir().unwrap();
        std::fs::write(files.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, files }
    }

    fn ca_file(&self) -> PathBuf {
        self.files.path().join("ca.pem")
    }

    /// A server with a certificate for a name.
    fn server(&self, name: &str, expired: bool, client_certificate: bool) -> Arc<ServerConfig> {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        if expired {
            params.not_after = rcgen::date_time_ymd(2001, 1, 1);
        }
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = if client_certificate {
            let mut roots = RootCertStore::empty();
            roots.add(self.issuer.der().clone()).unwrap();
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        } else {
            builder.with_no_client_auth()
        };
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Arc::new(builder.with_single_cert(vec![certificate.der().clone()], key).unwrap())
    }

    /// Files with a certificate and a key for a client.
    fn client(&self) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(["stage".to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        let (certificate_file, key_file) =
            (self.files.path().join("client.pem"), self.files.path().join("client.key"));
        std::fs::write(&certificate_file, certificate.pem()).unwrap();
        std::fs::write(&key_file, key.serialize_pem()).unwrap();
        (certificate_file, key_file)
    }
}

async fn refused(config: Value) -> Fault {
    open(config).unwrap().write(&all(&numbered(1))).await.unwrap_err()
}

#[tokio::test]
async fn a_server_is_trusted_by_its_authority_only() {
    let authority = Authority::new();
    let fake = FakeElasticsearch::start_tls(authority.server("localhost", false, false)).await;

    let fault = refused(json!({"url": fake.url()})).await;
    assert_eq!(fault.kind, FaultKind::Unauthenticated, "{fault}");
    assert!(fault.remedy.contains("`ca_file`"), "{fault}");
    let stranger = Authority::new();
    let fault = refused(json!({"url": fake.url(), "ca_file": stranger.ca_file()})).await;
    assert_eq!(fault.kind, FaultKind::Unauthenticated, "{fault}");
    assert!(fake.state().seen.is_empty(), "nothing was said to a server that is not trusted");

    for config in [
        json!({"url": fake.url(), "ca_file": authority.ca_file()}),
        json!({"url": fake.url(), "danger_accept_invalid_certificates": true}),
    ] {
        assert!(deliver(&open(config).unwrap(), &numbered(5)).await.faults.is_empty());
    }
    assert_eq!(fake.ids(), ids(5));
}

#[tokio::test]
async fn a_certificate_for_another_name_or_out_of_date_is_refused() {
    let authority = Authority::new();
    for (name, expired, remedy) in [("elsewhere", false, "host name"), ("localhost", true, "renew")] {
        let fake = FakeElasticsearch::start_tls(authority.server(name, expired, false)).await;
        let fault = refused(json!({"url": fake.url(), "ca_file": authority.ca_file()})).await;
        assert_eq!(fault.kind, FaultKind::Unauthenticated, "{fault}");
        assert!(fault.remedy.contains(remedy), "{fault}");
        assert!(fake.state().seen.is_empty());
    }
}

#[tokio::test]
async fn a_client_certificate_is_shown_together_with_a_key() {
    let authority = Authority::new();
    let fake = FakeElasticsearch::start_tls(authority.server("localhost", false, true)).await;
    fake.state().authorization = Some("ApiKey k".into());
    let fault = refused(json!({"url": fake.url(), "ca_file": authority.ca_file()})).await;
    assert_eq!(fault.kind, FaultKind::Unauthenticated, "{fault}");
    assert!(fault.remedy.contains("`client_certificate_file`"), "{fault}");

    let (certificate, key) = authority.client();
    let config = json!({"url": fake.url(), "ca_file": authority.ca_file(), "api_key": "k",
        "client_certificate_file": certificate, "client_key_file": key});
    assert!(deliver(&open(config).unwrap(), &numbered(5)).await.faults.is_empty());

    let config = json!({"url": fake.url(), "client_certificate_file": key, "client_key_file": key});
    assert_eq!(open(config).unwrap_err().kind, FaultKind::Unusable);
}

#[tokio::test]
async fn the_wrong_scheme_is_named() {
    let plain = FakeElasticsearch::start().await;
    let fault = refused(json!({"url": plain.url().replace("http:", "https:")})).await;
    assert_eq!(fault.kind, FaultKind::Unreachable, "{fault}");
    assert!(fault.remedy.contains("https"), "{fault}");
    let encrypted = FakeElasticsearch::start_tls(Authority::new().server("localhost", false, false)).await;
    let fault = refused(json!({"url": encrypted.url().replace("https:", "http:")})).await;
    assert_eq!(fault.kind, FaultKind::Unreachable, "{fault}");
    assert!(fault.remedy.contains("https"), "{fault}");
}
