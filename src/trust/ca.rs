//! The CA as trust stores know it, and how another CA of harproxy is recognised among their roots.

use std::path::PathBuf;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, pem};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use harproxy_tls::authority::Authority;

/// How the name of every CA that harproxy makes begins; eight hexadecimal digits follow.
const COMMON_NAME: &str = "harproxy CA ";
/// Digits of the fingerprint that tell one CA from another in names of files and entries.
const DIGITS: usize = 8;

/// The CA whose trust is asked for.
#[derive(Clone, Debug)]
pub struct Ca {
    /// The certificate's file, PEM.
    pub file: PathBuf,
    /// Its common name, by which people find it in a store's own list.
    pub name: String,
    /// What it is called where a store wants a name: `harproxy-` and the first digits of its SHA-256, lower case.
    pub label: String,
    /// The certificate's serial number, lower-case hexadecimal without leading zeros.
    pub serial: String,
    der: CertificateDer<'static>,
}

impl Ca {
    /// The one of this authority.
    #[must_use]
    pub fn of(authority: &Authority) -> Self {
        Ca::new(authority.cert_path(), authority.cert_der().clone(), authority.fingerprint())
    }

    pub(super) fn new(file: PathBuf, der: CertificateDer<'static>, fingerprint: &str) -> Self {
        let digits: String = fingerprint.chars().filter(char::is_ascii_hexdigit).take(DIGITS).collect();
        let parsed = X509Certificate::from_der(&der).ok();
        let serial = parsed.as_ref().map(|(_, parsed)| hexadecimal(parsed.raw_serial())).unwrap_or_default();
        Ca {
            name: common_name(&der).unwrap_or_else(|| COMMON_NAME.trim_end().to_owned()),
            label: format!("harproxy-{}", digits.to_ascii_lowercase()),
            serial,
            file,
            der,
        }
    }

    /// Whether this is its certificate, byte for byte.
    pub(super) fn is(&self, other: &CertificateDer<'_>) -> bool {
        self.der.as_ref() == other.as_ref()
    }

    /// Its name when this is another CA that a harproxy made: one from before `ca new`, or of another `--ca-dir`.
    pub(super) fn other(&self, other: &CertificateDer<'_>) -> Option<String> {
        if self.is(other) {
            return None;
        }
        common_name(other).filter(|name| is_ours(name))
    }
}

/// Whether harproxy gives its CAs such names.
pub(super) fn is_ours(common_name: &str) -> bool {
    let digits = common_name.strip_prefix(COMMON_NAME);
    digits.is_some_and(|digits| digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// All certificates of a text; what is malformed, and whatever else stands there, is passed over.
pub(super) fn certificates(text: &[u8]) -> impl Iterator<Item = CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(text).filter_map(Result::<_, pem::Error>::ok)
}

fn common_name(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let name = parsed.subject().iter_common_name().next()?;
    name.as_str().ok().map(str::to_owned)
}

fn hexadecimal(number: &[u8]) -> String {
    let digits: String = number.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.trim_start_matches('0').to_owned()
}
