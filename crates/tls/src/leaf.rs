//! Leaf certificates, one for each host. They are signed on demand and cached, so that clients see a stable certificate
//! and can resume TLS sessions.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use indexmap::IndexMap;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType, SerialNumber,
};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ResolvesServerCertUsingSni, ServerSessionMemoryCache};
use rustls::sign::{CertifiedKey, SigningKey, SingleCertAndKey};
use time::{Duration, OffsetDateTime};

use super::authority_error::AuthorityError;
use super::ca_files::Pair;
use super::provider::provider;

/// Validity of a new CA.
const CA_VALIDITY: Duration = Duration::days(3650);
/// Validity of a leaf. Clients reject more than 200 days (CA/Browser Forum ballot SC-081).
const LEAF_VALIDITY: Duration = Duration::days(197);
/// Certificates start this long in the past, because clocks differ and resumed snapshots lag behind.
const BACKDATED: Duration = Duration::days(2);
/// Capacity of the leaf cache; the oldest leaf is evicted.
const MAX_CACHED: usize = 4096;
/// Capacity of the cache of TLS 1.2 sessions for resumption by id. Tickets need no memory.
const MAX_SESSIONS: usize = 4096;
/// Maximum length of a sent TLS record. rustls allocates each record; blocks of up to 8 KiB come from mimalloc's small
/// pages, which stay in the processor's cache.
const MAX_RECORD: usize = (8 << 10) - 24;
/// X.520's upper bound for a common name.
const MAX_COMMON_NAME: usize = 64;

/// Protocols offered by ALPN, in order of preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Alpn {
    /// `http/1.1`, then `http/1.0`.
    Http1,
    /// `h2`, then those of [`Alpn::Http1`].
    Http2,
}

/// Signs leaves, and caches them.
pub(super) struct LeafCache {
    issuer: Issuer<'static, KeyPair>,
    ca: CertificateDer<'static>,
    ca_expires: OffsetDateTime,
    key: KeyPair,
    signing_key: Arc<dyn SigningKey>,
    /// Settings shared by all configurations, with the session stores.
    common: ServerConfig,
    cached: Mutex<IndexMap<String, Leaf>>,
}

/// The server configurations of one leaf.
struct Leaf {
    http1: Arc<ServerConfig>,
    http2: Arc<ServerConfig>,
}

impl LeafCache {
    pub(super) fn new(
        ca: CertificateDer<'static>,
        ca_key: KeyPair,
        ca_expires: OffsetDateTime,
    ) -> Result<Self, AuthorityError> {
        let issuer = Issuer::from_ca_cert_der(&ca, ca_key).map_err(certificate("reading the CA's certificate"))?;
        let key = KeyPair::generate().map_err(certificate("generating a key"))?;
        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let signing_key = provider().key_provider.load_private_key(der).map_err(tls("loading a key"))?;
        let mut common = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(tls("choosing TLS versions"))?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(ResolvesServerCertUsingSni::new()));
        common.max_fragment_size = Some(MAX_RECORD);
        common.session_storage = ServerSessionMemoryCache::new(MAX_SESSIONS);
        common.ticketer = rustls::crypto::ring::Ticketer::new().map_err(tls("generating a ticket key"))?;
        Ok(LeafCache { issuer, ca, ca_expires, key, signing_key, common, cached: Mutex::default() })
    }

    pub(super) fn ca(&self) -> &CertificateDer<'static> {
        &self.ca
    }

    pub(super) fn server_config(&self, host: &str, alpn: Alpn) -> Result<Arc<ServerConfig>, AuthorityError> {
        let pick = |leaf: &Leaf| match alpn {
            Alpn::Http1 => leaf.http1.clone(),
            Alpn::Http2 => leaf.http2.clone(),
        };
        // Signing takes microseconds. Under the lock, two first connections to a host get the same certificate.
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(leaf) = cached.get(host) {
            return Ok(pick(leaf));
        }
        let leaf = self.sign(host)?;
        let config = pick(&leaf);
        if cached.len() >= MAX_CACHED {
            cached.shift_remove_index(0);
        }
        cached.insert(host.to_owned(), leaf);
        Ok(config)
    }

    fn sign(&self, host: &str) -> Result<Leaf, AuthorityError> {
        let name = subject_name(host)?;
        let mut params = CertificateParams::default();
        params.not_before = OffsetDateTime::now_utc() - BACKDATED;
        params.not_after = (params.not_before + LEAF_VALIDITY).min(self.ca_expires);
        params.serial_number = Some(random_serial()?);
        params.distinguished_name = rcgen::DistinguishedName::new();
        if host.len() <= MAX_COMMON_NAME {
            params.distinguished_name.push(DnType::CommonName, host);
        }
        params.subject_alt_names = vec![name];
        // rcgen writes the subject key identifier only for an explicit value.
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let cert = params.signed_by(&self.key, &self.issuer).map_err(certificate("signing a certificate"))?;

        let chain = vec![cert.der().clone(), self.ca.clone()];
        let mut http1 = self.common.clone();
        http1.cert_resolver = Arc::new(SingleCertAndKey::from(CertifiedKey::new(chain, self.signing_key.clone())));
        let mut http2 = http1.clone();
        // Some clients offer `http/1.0` alone, and would get no certificate at all without it.
        http1.alpn_protocols = vec![b"http/1.1".to_vec(), b"http/1.0".to_vec()];
        http2.alpn_protocols = [vec![b"h2".to_vec()], http1.alpn_protocols.clone()].concat();
        Ok(Leaf { http1: Arc::new(http1), http2: Arc::new(http2) })
    }
}

/// Creates a CA. The random suffix of its name keeps CAs of two machines apart in a trust store.
pub(super) fn new_ca() -> Result<Pair, AuthorityError> {
    let key = KeyPair::generate().map_err(certificate("generating a key"))?;
    let suffix: String = random::<4>()?.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut params = CertificateParams::default();
    params.not_before = OffsetDateTime::now_utc() - BACKDATED;
    params.not_after = params.not_before + CA_VALIDITY;
    params.serial_number = Some(random_serial()?);
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, format!("harproxy CA {suffix}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let cert = params.self_signed(&key).map_err(certificate("signing the CA's certificate"))?;
    Ok(Pair { cert_pem: cert.pem(), key_pem: key.serialize_pem() })
}

/// Returns the subject alternative name, an IP address or a DNS name (RFC 6125).
fn subject_name(host: &str) -> Result<SanType, AuthorityError> {
    let refuse = |reason| AuthorityError::Host { host: host.to_owned(), reason };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(address));
    }
    // A final dot marks an absolute name; certificates omit it.
    let name = host.strip_suffix('.').unwrap_or(host);
    match name {
        "" => Err(refuse("the name is empty")),
        _ if name.len() > 253 => Err(refuse("the name is longer than 253 characters")),
        _ if name.contains('*') => Err(refuse("the name is a wildcard")),
        _ if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)) => {
            Err(refuse("not a host name or address"))
        }
        _ => rcgen::string::Ia5String::try_from(name)
            .map(SanType::DnsName)
            .map_err(certificate("encoding the name of a host")),
    }
}

/// Returns 128 random bits: serial numbers of an issuer must be unique across runs and machines.
fn random_serial() -> Result<SerialNumber, AuthorityError> {
    Ok(SerialNumber::from_slice(&random::<16>()?))
}

fn random<const N: usize>() -> Result<[u8; N], AuthorityError> {
    let mut bytes = [0; N];
    provider()
        .secure_random
        .fill(&mut bytes)
        .map_err(|_| rustls::Error::FailedToGetRandomBytes)
        .map_err(tls("reading random numbers"))?;
    Ok(bytes)
}

fn tls(doing: &'static str) -> impl FnOnce(rustls::Error) -> AuthorityError {
    move |source| AuthorityError::Tls { doing, source }
}

fn certificate(doing: &'static str) -> impl FnOnce(rcgen::Error) -> AuthorityError {
    move |source| AuthorityError::Certificate { doing, source }
}
