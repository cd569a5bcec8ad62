//! What a JVM reads: its option variables, and trust stores in PKCS #12 and the older JKS.

use std::fs;
use std::io;
use std::path::PathBuf;

use p12_keystore::{Certificate, KeyStore, KeyStoreEntry, Pkcs12Archive};
use rustls::pki_types::CertificateDer;

/// Variables in which a JVM finds options, the one that the others overrule first.
pub const OPTION_VARIABLES: &[&str] = &["JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS"];

/// The password of the stores we write. It protects nothing: certificates are public. The JVM's own stores have the same.
pub const PASSWORD: &str = "changeit";

/// Why a trust store can't be read or made.
#[derive(Debug, thiserror::Error)]
pub enum TrustStoreError {
    /// The operating system refused.
    #[error("opening it")]
    Io(#[from] io::Error),
    /// It is no PKCS #12 store, or the password is another one.
    #[error("as PKCS #12")]
    Pkcs12(#[from] p12_keystore::error::Error),
    /// A JKS store that ends too early.
    #[error("the JKS store is cut short")]
    CutShort,
    /// A JKS store with a private key among the certificates, or of an unknown version.
    #[error(
        "the JKS store is of a kind that is not read here; `keytool -importkeystore -deststoretype pkcs12` converts it"
    )]
    UnknownJks,
}

/// The trust store that a user's options name.
#[derive(PartialEq, Eq)]
pub struct NamedTrustStore {
    /// `-Djavax.net.ssl.trustStore`
    pub path: PathBuf,
    /// `-Djavax.net.ssl.trustStorePassword`, or the one that everybody uses.
    password: String,
}

/// Never the password.
impl std::fmt::Debug for NamedTrustStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NamedTrustStore").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Splits the value of an option variable as HotSpot does: at white space, with `'…'` and `"…"` taken literally.
///
/// ```
/// use crate::jvm::split_options;
/// assert_eq!(split_options(r#"-Xmx1g  -Da="b c"'d'"#), ["-Xmx1g", "-Da=b cd"]);
/// ```
#[must_use]
pub fn split_options(options: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut current: Option<String> = None;
    let mut quote = None;
    for c in options.chars() {
        match quote {
            Some(open) if c == open => quote = None,
            None if c == '"' || c == '\'' => {
                quote = Some(c);
                current.get_or_insert_default();
            }
            None if c.is_ascii_whitespace() => all.extend(current.take()),
            _ => current.get_or_insert_default().push(c),
        }
    }
    all.extend(current);
    all
}

/// Writes one option so that [`split_options`] gives it back: there is no escape, so each kind of quote stands within the
/// other.
///
/// ```
/// use crate::jvm::quote_option;
/// assert_eq!(quote_option("-Da=/tmp/a b"), r#""-Da=/tmp/a b""#);
/// assert_eq!(quote_option("-Da=b"), "-Da=b");
/// ```
#[must_use]
pub fn quote_option(option: &str) -> String {
    if !option.contains(|c: char| c.is_ascii_whitespace() || c == '"' || c == '\'') {
        return option.to_owned();
    }
    let parts = option.split('"').map(|part| format!("\"{part}\""));
    parts.collect::<Vec<_>>().join("'\"'")
}

/// The trust store that these options name; of several the last one counts.
#[must_use]
pub fn named_trust_store(options: &str) -> Option<NamedTrustStore> {
    let options = split_options(options);
    let property = |name: &str| {
        let prefix = format!("-Djavax.net.ssl.{name}=");
        options.iter().rev().find_map(|option| option.strip_prefix(&prefix)).map(str::to_owned)
    };
    let path = property("trustStore").filter(|path| !path.is_empty() && path != "NONE")?;
    Some(NamedTrustStore {
        path: path.into(),
        password: property("trustStorePassword").unwrap_or_else(|| PASSWORD.to_owned()),
    })
}

impl NamedTrustStore {
    /// The certificates that a JVM would trust.
    ///
    /// # Errors
    /// When the file can't be read as a store, or the password does not open it.
    pub fn read(&self) -> Result<Vec<CertificateDer<'static>>, TrustStoreError> {
        let bytes = fs::read(&self.path)?;
        if bytes.starts_with(&JKS_MAGIC) {
            return read_jks(&bytes[JKS_MAGIC.len()..]);
        }
        let store = Pkcs12Archive::from_pkcs12(&bytes, &self.password)?;
        let trusted = store.certs.into_iter().filter(|bag| bag.trusted);
        Ok(trusted.map(|bag| CertificateDer::from(bag.cert.as_der().to_vec())).collect())
    }
}

/// A PKCS #12 trust store of these roots. One that the store's writer can't read is left out.
///
/// # Errors
/// When the store can't be encoded.
pub fn trust_store(roots: &[CertificateDer<'_>]) -> Result<Vec<u8>, TrustStoreError> {
    let mut store = KeyStore::new();
    for (n, root) in roots.iter().enumerate() {
        if let Ok(certificate) = Certificate::from_der(root) {
            store.add_entry(&format!("root-{n}"), KeyStoreEntry::Certificate(certificate));
        }
    }
    // Nothing is secret here, so the password need not be slow to guess; a JVM start and a run's start are the faster for it.
    Ok(store.writer(PASSWORD).encryption_iterations(ITERATIONS).mac_iterations(ITERATIONS).write()?)
}

const ITERATIONS: u32 = 64;

const JKS_MAGIC: [u8; 4] = [0xfe, 0xed, 0xfe, 0xed];

/// The trusted certificates of a JKS store, version 2 (sun.security.provider.JavaKeyStore): they are in the clear. The digest
/// at the end, which the password keys, is not looked at: a JVM that is given no password does not either.
fn read_jks(after_magic: &[u8]) -> Result<Vec<CertificateDer<'static>>, TrustStoreError> {
    const VERSION: u32 = 2;
    const TRUSTED_CERTIFICATE: u32 = 2;
    let mut rest = Cursor(after_magic);
    if rest.number()? != VERSION {
        return Err(TrustStoreError::UnknownJks);
    }
    let mut roots = Vec::new();
    for _ in 0..rest.number()? {
        if rest.number()? != TRUSTED_CERTIFICATE {
            return Err(TrustStoreError::UnknownJks);
        }
        let _alias = rest.short_text()?;
        let _date = rest.take(8)?;
        let _kind = rest.short_text()?;
        let length = rest.number()? as usize;
        roots.push(CertificateDer::from(rest.take(length)?.to_vec()));
    }
    Ok(roots)
}

/// What is left to read, in the big-endian form of java.io.DataOutput.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], TrustStoreError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(TrustStoreError::CutShort)?;
        self.0 = rest;
        Ok(taken)
    }

    fn number(&mut self) -> Result<u32, TrustStoreError> {
        let bytes = self.take(4)?;
        Ok(bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
    }

    fn short_text(&mut self) -> Result<&'a [u8], TrustStoreError> {
        let length = self.take(2)?;
        self.take(usize::from(length[0]) << 8 | usize::from(length[1]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::pem::PemObject;

    fn ca() -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(include_bytes!("../../../certs/ca.pem")).unwrap()
    }

    #[test]
    fn options_come_back_as_they_were_quoted() {
        for option in ["-Dx=1", "-Dx=", "-Dx=a b", "-Dx=\"a\" 'b'", "-Dx=C:\\a b\\c", "'", "\""] {
            assert_eq!(split_options(&quote_option(option)), [option]);
        }
    }

    #[test]
    fn the_last_trust_store_named_counts() {
        let named = named_trust_store(
            "-Djavax.net.ssl.trustStore=/a -Xmx1g '-Djavax.net.ssl.trustStore=/b c' -Djavax.net.ssl.trustStorePassword=pw",
        );
        assert_eq!(named, Some(NamedTrustStore { path: "/b c".into(), password: "pw".into() }));
        assert_eq!(named_trust_store("-Djavax.net.ssl.trustStoreType=JKS"), None);
    }

    #[test]
    fn a_store_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.p12");
        fs::write(&path, trust_store(&[ca()]).unwrap()).unwrap();
        let read = |password: &str| NamedTrustStore { path: path.clone(), password: password.into() }.read();
        assert_eq!(read(PASSWORD).unwrap(), [ca()]);
        assert!(matches!(read("another"), Err(TrustStoreError::Pkcs12(_))));
    }

    #[test]
    fn jks_gives_its_certificates_or_says_why_not() {
        let ca = ca();
        let mut jks = vec![0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 0, 1, b'a', 0, 0, 0, 0, 0, 0, 0, 0, 0, 5];
        jks.extend(b"X.509");
        jks.extend(u32::try_from(ca.len()).unwrap().to_be_bytes());
        jks.extend(ca.as_ref());
        jks.extend([0; 20]);
        assert_eq!(read_jks(&jks).unwrap(), [ca]);
        for length in 0..jks.len() - 20 {
            assert!(matches!(read_jks(&jks[..length]), Err(TrustStoreError::CutShort)), "{length}");
        }
        jks[11] = 1;
        assert!(matches!(read_jks(&jks), Err(TrustStoreError::UnknownJks)));
    }
}
