//! The CA as an entry of trust stores, and the detection of other harproxy CAs.

use std::path::PathBuf;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, pem};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use harproxy_har::digest::hex;
use harproxy_tls::authority::Authority;

/// Prefix of the common name of every harproxy CA; eight hexadecimal digits follow.
const COMMON_NAME: &str = "harproxy CA ";
/// Number of fingerprint digits in names of files and entries.
const DIGITS: usize = 8;

#[derive(Clone, Debug)]
pub struct Ca {
    /// The certificate's file, PEM.
    pub file: PathBuf,
    /// The common name, which a store's own list shows.
    pub name: String,
    /// The name of its entry in a store: `harproxy-` and the first digits of its SHA-256, lower case.
    pub label: String,
    /// The certificate's serial number, lower-case hexadecimal without leading zeros.
    pub serial: String,
    der: CertificateDer<'static>,
}

impl Ca {
    pub fn of(authority: &Authority) -> Self {
        let der = authority.cert_der().clone();
        let digits: String = authority.fingerprint().chars().filter(char::is_ascii_hexdigit).take(DIGITS).collect();
        let parsed = X509Certificate::from_der(&der).ok();
        let serial = parsed.as_ref().map(|(_, parsed)| hex(parsed.raw_serial())).unwrap_or_default();
        Ca {
            file: authority.cert_path(),
            name: common_name(&der).unwrap_or_else(|| COMMON_NAME.trim_end().to_owned()),
            label: format!("harproxy-{}", digits.to_ascii_lowercase()),
            serial: serial.trim_start_matches('0').to_owned(),
            der,
        }
    }

    /// Returns true if the certificate is this CA's, byte for byte.
    pub(super) fn is(&self, other: &CertificateDer<'_>) -> bool {
        self.der.as_ref() == other.as_ref()
    }

    /// Returns the common name of another harproxy CA, from before `ca new` or of another `--ca-dir`.
    pub(super) fn other(&self, other: &CertificateDer<'_>) -> Option<String> {
        if self.is(other) {
            return None;
        }
        common_name(other).filter(|name| is_harproxy_name(name))
    }
}

/// Returns true if a common name has the form of harproxy's CAs.
pub(super) fn is_harproxy_name(common_name: &str) -> bool {
    let digits = common_name.strip_prefix(COMMON_NAME);
    digits.is_some_and(|digits| digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Returns the certificates of a PEM text. Malformed and other blocks are skipped.
pub(super) fn certificates(text: &[u8]) -> impl Iterator<Item = CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(text).filter_map(Result::<_, pem::Error>::ok)
}

fn common_name(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let name = parsed.subject().iter_common_name().next()?;
    name.as_str().ok().map(str::to_owned)
}
