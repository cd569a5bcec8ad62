//! TLS towards upstream servers: roots, `--upstream-ca` and `--client-cert`.
//!
//! Without verification (`--insecure`, loopback) any certificate is accepted. The handshake's signatures are still
//! verified, so the server owns the key of its certificate.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, OtherError, RootCertStore,
    SignatureScheme,
};

use super::provider::provider;
use harproxy_support::printable::Shown as _;

/// Error of reading a certificate file.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file can't be read, or is not PEM.
    #[error("reading {}", path.shown())]
    Pem { path: PathBuf, source: pem::Error },
    /// The file has no certificate.
    #[error("{} has no certificate", path.shown())]
    Empty { path: PathBuf },
    /// The file has a client certificate without its key.
    #[error("{} has a certificate but no private key", path.shown())]
    Keyless { path: PathBuf },
    /// A certificate is malformed or does not match the key.
    #[error("using the certificate in {}", path.shown())]
    Certificate { path: PathBuf, source: TlsError },
}

/// Roots, client certificates, and a cache of the TLS configurations made of them, so that sessions resume.
#[derive(Debug)]
pub struct Trust {
    verifier: Option<Arc<dyn ServerCertVerifier>>,
    identities: HashMap<String, Identity>,
    configs: Mutex<HashMap<ConfigKey, Arc<ClientConfig>>>,
}

#[derive(Debug)]
struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

/// Cache key: connections that share a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ConfigKey {
    identity: Option<String>,
    verify: bool,
    alpn: Vec<Vec<u8>>,
}

impl Trust {
    /// Loads the system's roots and those in the `extra_roots` files. `SSL_CERT_FILE` and `SSL_CERT_DIR` replace the
    /// system's roots, so that a nested harproxy trusts the outer one. Without system roots Mozilla's are used, with a
    /// warning. `client_certs` maps hosts to PEM files with a certificate chain and its key.
    ///
    /// # Errors
    /// When a file can't be read, or has no certificate or key.
    pub fn new(extra_roots: &[PathBuf], client_certs: &[(String, PathBuf)]) -> Result<Self, TrustError> {
        let mut roots = system_roots();
        let mut named = Vec::new();
        for path in extra_roots {
            for certificate in certificates(path)? {
                roots
                    .add(certificate.clone())
                    .map_err(|source| TrustError::Certificate { path: path.clone(), source })?;
                named.push(certificate);
            }
        }
        #[expect(clippy::expect_used, reason = "there are always roots: the system's or Mozilla's")]
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
            .build()
            .expect("there are roots, and no revocation lists");
        let mut trust = Trust {
            verifier: Some(Arc::new(Verifier { webpki: verifier, named })),
            identities: HashMap::new(),
            configs: Mutex::default(),
        };
        for (host, path) in client_certs {
            let identity = Identity { chain: certificates(path)?, key: key(path)? };
            trust.identities.insert(host.to_ascii_lowercase(), identity);
            trust
                .build(&ConfigKey { identity: Some(host.to_ascii_lowercase()), verify: true, alpn: Vec::new() })
                .map_err(|source| TrustError::Certificate { path: path.clone(), source })?;
        }
        Ok(trust)
    }

    /// Accepts any server certificate and has no client certificates.
    #[must_use]
    pub fn blind() -> Self {
        Trust { verifier: None, identities: HashMap::new(), configs: Mutex::default() }
    }

    /// Returns the configuration for a connection to `host` (a name in lower case or an IP address) that offers `alpn`.
    /// Without `verify` it accepts any certificate.
    #[must_use]
    pub fn config(&self, host: &str, verify: bool, alpn: &[Vec<u8>]) -> Arc<ClientConfig> {
        let identity = self.identities.contains_key(host).then(|| host.to_owned());
        let key = ConfigKey { identity, verify: verify && self.verifier.is_some(), alpn: alpn.to_vec() };
        let mut configs = self.configs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = configs.get(&key) {
            return config.clone();
        }
        #[expect(clippy::expect_used, reason = "`new` built a configuration of each certificate")]
        let config = Arc::new(self.build(&key).expect("the certificate is valid"));
        configs.insert(key, config.clone());
        config
    }

    fn build(&self, key: &ConfigKey) -> Result<ClientConfig, TlsError> {
        let verifier = match &self.verifier {
            Some(verifier) if key.verify => verifier.clone(),
            _ => Arc::new(AcceptAny(provider())),
        };
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match key.identity.as_deref().and_then(|host| self.identities.get(host)) {
            Some(identity) => builder.with_client_auth_cert(identity.chain.clone(), identity.key.clone_key())?,
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols.clone_from(&key.alpn);
        Ok(config)
    }
}

fn system_roots() -> RootCertStore {
    let native = rustls_native_certs::load_native_certs();
    for error in &native.errors {
        tracing::debug!(%error, "loading the system's root certificates");
    }
    roots_of(native.certs)
}

fn roots_of(certificates: Vec<CertificateDer<'static>>) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(certificates);
    if added == 0 {
        tracing::warn!("this system has no root certificates: using Mozilla's, which are built in");
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let pem = |source| TrustError::Pem { path: path.to_owned(), source };
    let certificates = CertificateDer::pem_file_iter(path).map_err(pem)?.collect::<Result<Vec<_>, _>>().map_err(pem)?;
    if certificates.is_empty() {
        return Err(TrustError::Empty { path: path.to_owned() });
    }
    Ok(certificates)
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, TrustError> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| match error {
        pem::Error::NoItemsFound => TrustError::Keyless { path: path.to_owned() },
        source => TrustError::Pem { path: path.to_owned(), source },
    })
}

/// Verifies servers against the roots. Like curl, it also accepts a server certificate that `--upstream-ca` names
/// itself: `openssl req -x509` marks its certificates as CAs, and WebPKI rejects those from a server.
#[derive(Debug)]
struct Verifier {
    webpki: Arc<WebPkiServerVerifier>,
    named: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        match self.webpki.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(TlsError::InvalidCertificate(CertificateError::Other(other))) if is_an_authority(&other) => {
                if !self.named.iter().any(|named| named == end_entity) {
                    return Err(CertificateError::UnknownIssuer.into());
                }
                // WebPKI has checked the validity period already.
                rustls::client::verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.webpki.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.webpki.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.webpki.supported_verify_schemes()
    }
}

/// Whether WebPKI rejected a server certificate only because it is marked as a CA. rustls has no variant for it.
fn is_an_authority(error: &OtherError) -> bool {
    error.0.to_string() == "CaUsedAsEndEntity"
}

/// Accepts any certificate whose key signed the handshake.
#[derive(Debug)]
struct AcceptAny(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pki(file: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../certs").join(file)
    }

    #[test]
    fn built_in_roots_are_used_without_system_roots() {
        assert_eq!(roots_of(Vec::new()).len(), webpki_roots::TLS_SERVER_ROOTS.len());
        let broken = CertificateDer::from(vec![1, 2, 3]);
        assert_eq!(roots_of(vec![broken.clone()]).len(), webpki_roots::TLS_SERVER_ROOTS.len());
        let ours = certificates(&pki("ca.pem")).unwrap().remove(0);
        assert_eq!(roots_of(vec![broken, ours]).len(), 1);
    }

    #[test]
    fn equal_connections_share_a_configuration() {
        let trust = Trust::new(&[], &[("API.test".to_owned(), pki("client-pair.pem"))]).unwrap();
        let h2 = &[b"h2".to_vec()][..];
        assert!(Arc::ptr_eq(&trust.config("a.test", true, h2), &trust.config("b.test", true, h2)));
        for (host, verify, alpn) in [("api.test", true, h2), ("a.test", false, h2), ("a.test", true, &[])] {
            assert!(!Arc::ptr_eq(&trust.config("a.test", true, h2), &trust.config(host, verify, alpn)), "{host}");
        }
        assert!(trust.config("api.test", true, h2).client_auth_cert_resolver.has_certs());
        assert!(!format!("{trust:?}").contains("PRIVATE"));
    }

    #[test]
    fn missing_key_or_certificate_is_an_error() {
        for (file, said) in [("client.pem", "no private key"), ("client-key.pem", "no certificate")] {
            let error = Trust::new(&[], &[("a".to_owned(), pki(file))]).unwrap_err().to_string();
            assert!(error.contains(file) && error.contains(said), "{error}");
        }
    }

    #[test]
    fn mismatched_key_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mixed.pem");
        let [chain, key] = ["client.pem", "ca-key.pem"].map(|file| std::fs::read_to_string(pki(file)).unwrap());
        std::fs::write(&path, chain + &key).unwrap();
        let error = Trust::new(&[], &[("a".to_owned(), path.clone())]).unwrap_err();
        assert_eq!(error.to_string(), format!("using the certificate in {}", path.display()));
    }
}
