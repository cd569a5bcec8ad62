//! What upstream servers are checked with, and what harproxy shows them: roots, `--upstream-ca`, `--client-cert`.
//!
//! Where nothing is to be verified (`--insecure`, loopback) any certificate is accepted, but the handshake's signatures are
//! still checked: the other side holds the key of the certificate it shows.

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

/// Why a file of certificates can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// It can't be read, or is not PEM.
    #[error("reading {}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: pem::Error,
    },
    /// It holds no certificate.
    #[error("{} holds no certificate", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// It holds a certificate to show, but not the key to it.
    #[error("{} holds no private key beside its certificate", path.display())]
    Keyless {
        /// The file.
        path: PathBuf,
    },
    /// A certificate in it is not one, or does not belong to the key beside it.
    #[error("using the certificate in {}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: TlsError,
    },
}

/// The roots, the certificates to show, and the TLS configurations made of them; these are kept, so that sessions resume.
#[derive(Debug)]
pub struct Trust {
    verifier: Option<Arc<dyn ServerCertVerifier>>,
    identities: HashMap<String, Identity>,
    made: Mutex<HashMap<Kind, Arc<ClientConfig>>>,
}

#[derive(Debug)]
struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

/// What two connections must have in common to share a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Kind {
    identity: Option<String>,
    verify: bool,
    alpn: Vec<Vec<u8>>,
}

impl Trust {
    /// The system's roots (or those that `SSL_CERT_FILE` and `SSL_CERT_DIR` name, so that harproxy trusts another harproxy
    /// around it; or Mozilla's, with a warning, where there are none) and those in the `extra_roots` files; and for some
    /// hosts a certificate of our own, from PEM files that hold its chain and key.
    ///
    /// # Errors
    /// When a file can't be read or holds nothing of use.
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
        #[expect(
            clippy::expect_used,
            reason = "without the system's roots there are Mozilla's, so that it is never built of none"
        )]
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
            .build()
            .expect("there are roots, and no revocation lists to go wrong");
        let mut trust = Trust {
            verifier: Some(Arc::new(Verifier { webpki: verifier, named })),
            identities: HashMap::new(),
            made: Mutex::default(),
        };
        for (host, path) in client_certs {
            let identity = Identity { chain: certificates(path)?, key: key(path)? };
            trust.identities.insert(host.to_ascii_lowercase(), identity);
            trust
                .make(&Kind { identity: Some(host.to_ascii_lowercase()), verify: true, alpn: Vec::new() })
                .map_err(|source| TrustError::Certificate { path: path.clone(), source })?;
        }
        Ok(trust)
    }

    /// Accepts any certificate and has none to show.
    #[must_use]
    pub fn blind() -> Self {
        Trust { verifier: None, identities: HashMap::new(), made: Mutex::default() }
    }

    /// The configuration for a connection to `host` (a name in lower case or an IP address) that offers `alpn`; without
    /// `verify` any certificate will do.
    #[must_use]
    pub fn config(&self, host: &str, verify: bool, alpn: &[Vec<u8>]) -> Arc<ClientConfig> {
        let identity = self.identities.contains_key(host).then(|| host.to_owned());
        let kind = Kind { identity, verify: verify && self.verifier.is_some(), alpn: alpn.to_vec() };
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = made.get(&kind) {
            return config.clone();
        }
        #[expect(clippy::expect_used, reason = "what is made of a certificate was made once when it was read")]
        let config = Arc::new(self.make(&kind).expect("the certificate was tried when it was read"));
        made.insert(kind, config.clone());
        config
    }

    fn make(&self, kind: &Kind) -> Result<ClientConfig, TlsError> {
        let verifier = match &self.verifier {
            Some(verifier) if kind.verify => verifier.clone(),
            _ => Arc::new(AcceptAny(provider())),
        };
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match kind.identity.as_deref().and_then(|host| self.identities.get(host)) {
            Some(identity) => builder.with_client_auth_cert(identity.chain.clone(), identity.key.clone_key())?,
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols.clone_from(&kind.alpn);
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
        tracing::warn!("this system has no root certificates; Mozilla's, as built in, are used instead");
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

/// Checks against the roots. A server's own certificate that the user named by `--upstream-ca` is accepted too, as curl
/// does: `openssl req -x509` makes one that calls itself an authority, which WebPKI refuses from a server.
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
                // Its dates are right: WebPKI looks at them first.
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

/// Whether WebPKI's only trouble is that a server shows an authority's certificate. rustls has no variant for it.
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
    fn a_system_without_roots_gets_the_built_in_ones() {
        assert_eq!(roots_of(Vec::new()).len(), webpki_roots::TLS_SERVER_ROOTS.len());
        let broken = CertificateDer::from(vec![1, 2, 3]);
        assert_eq!(roots_of(vec![broken.clone()]).len(), webpki_roots::TLS_SERVER_ROOTS.len());
        let ours = certificates(&pki("ca.pem")).unwrap().remove(0);
        assert_eq!(roots_of(vec![broken, ours]).len(), 1);
    }

    #[test]
    fn one_configuration_for_equal_connections() {
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
    fn a_certificate_to_show_without_its_key_is_told_as_that() {
        for (file, said) in [("client.pem", "no private key"), ("client-key.pem", "no certificate")] {
            let error = Trust::new(&[], &[("a".to_owned(), pki(file))]).unwrap_err().to_string();
            assert!(error.contains(file) && error.contains(said), "{error}");
        }
    }

    #[test]
    fn a_key_that_belongs_to_another_certificate_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mixed.pem");
        let [chain, key] = ["client.pem", "ca-key.pem"].map(|file| std::fs::read_to_string(pki(file)).unwrap());
        std::fs::write(&path, chain + &key).unwrap();
        let error = Trust::new(&[], &[("a".to_owned(), path.clone())]).unwrap_err();
        assert_eq!(error.to_string(), format!("using the certificate in {}", path.display()));
    }
}
