//! JVM option variables, and PKCS #12 trust stores.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use harproxy_support::printable::Shown as _;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};
use yasna::models::ObjectIdentifier;
use yasna::{DERWriter, Tag, construct_der};

/// Variables from which a JVM reads options, in ascending order of precedence.
pub const OPTION_VARIABLES: &[&str] = &["JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS"];

/// The password of the trust stores that harproxy writes, and of every JDK's own. It protects nothing: certificates are
/// public.
pub const PASSWORD: &str = "changeit";

/// Error of reading a trust store that the user named.
#[derive(Debug, thiserror::Error)]
pub enum TrustStoreError {
    /// The file does not exist or can't be opened.
    #[error("opening it")]
    Open(#[source] io::Error),
    /// No JDK on this machine.
    #[error("starting {}; install a JDK, or name the certificates with SSL_CERT_FILE instead", program.shown())]
    Start {
        /// `keytool`, or its path under `JAVA_HOME`.
        program: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// keytool rejected the file or its password.
    #[error("keytool can't read it: {0}")]
    Rejected(String),
    /// keytool printed a certificate that is not valid PEM.
    #[error("parsing the certificates that keytool printed")]
    Pem(#[source] pem::Error),
}

/// A trust store that the user's JVM options name.
#[derive(PartialEq, Eq)]
pub struct NamedTrustStore {
    /// `-Djavax.net.ssl.trustStore`
    pub path: PathBuf,
    /// `-Djavax.net.ssl.trustStorePassword`, or [`PASSWORD`].
    password: String,
}

/// Leaves the password out.
impl std::fmt::Debug for NamedTrustStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NamedTrustStore").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Splits the value of an option variable as HotSpot does: at white space outside of `'…'` and `"…"`.
///
/// ```
/// use harproxy_tls::jvm::split_options;
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

/// Quotes one option so that [`split_options`] returns it unchanged. HotSpot has no escape character, so each kind of
/// quote is enclosed in the other.
///
/// ```
/// use harproxy_tls::jvm::quote_option;
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

/// Returns the trust store that these options name. The last `-Djavax.net.ssl.trustStore` wins, as in HotSpot.
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
    /// Reads the trusted certificates with the JDK's keytool, which knows every store format.
    ///
    /// # Errors
    /// When the file can't be opened, there is no keytool, or keytool rejects the file or the password.
    pub fn read(&self) -> Result<Vec<CertificateDer<'static>>, TrustStoreError> {
        std::fs::File::open(&self.path).map_err(TrustStoreError::Open)?;
        let program = keytool();
        let output = Command::new(&program)
            .args(["-J-Duser.language=en", "-list", "-rfc", "-storepass:env", PASSWORD_VARIABLE, "-keystore"])
            .arg(&self.path)
            .env(PASSWORD_VARIABLE, &self.password)
            // The options name the store being read; keytool needs none of them, and prints them on standard error.
            .env_remove("JAVA_TOOL_OPTIONS")
            .env_remove("JDK_JAVA_OPTIONS")
            .env_remove("_JAVA_OPTIONS")
            .stdin(Stdio::null())
            .output()
            .map_err(|source| TrustStoreError::Start { program, source })?;
        let printed = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            let reason = printed.lines().find(|line| !line.trim().is_empty()).unwrap_or("no reason given");
            return Err(TrustStoreError::Rejected(reason.trim().to_owned()));
        }
        parse_listing(&printed)
    }
}

const PASSWORD_VARIABLE: &str = "HARPROXY_TRUST_STORE_PASSWORD";

/// The keytool of `JAVA_HOME`, or the one on the PATH.
fn keytool() -> PathBuf {
    let name = if cfg!(windows) { "keytool.exe" } else { "keytool" };
    let home = std::env::var_os("JAVA_HOME").map(|home| Path::new(&home).join("bin").join(name));
    home.filter(|program| program.exists()).unwrap_or_else(|| name.into())
}

/// The certificates of the `trustedCertEntry` entries in the output of `keytool -list -rfc`. Certificates of private
/// key entries are left out: a JVM does not trust them.
fn parse_listing(listing: &str) -> Result<Vec<CertificateDer<'static>>, TrustStoreError> {
    let entries = listing.split("Alias name:").skip(1).filter(|entry| entry.contains("trustedCertEntry"));
    let parsed = entries.flat_map(|entry| CertificateDer::pem_slice_iter(entry.as_bytes()));
    parsed.collect::<Result<_, _>>().map_err(TrustStoreError::Pem)
}

const PKCS7_DATA: &[u64] = &[1, 2, 840, 113_549, 1, 7, 1];
const CERTIFICATE_BAG: &[u64] = &[1, 2, 840, 113_549, 1, 12, 10, 1, 3];
const X509_CERTIFICATE: &[u64] = &[1, 2, 840, 113_549, 1, 9, 22, 1];
const FRIENDLY_NAME: &[u64] = &[1, 2, 840, 113_549, 1, 9, 20];
/// Oracle's attribute that marks a certificate as trusted, and its value `anyExtendedKeyUsage`.
const TRUSTED_KEY_USAGE: &[u64] = &[2, 16, 840, 1, 113_894, 746_875, 1, 1];
const ANY_USAGE: &[u64] = &[2, 5, 29, 37, 0];

/// Encodes a PKCS #12 trust store (RFC 7292) of these roots, without encryption and without a MAC. JVMs from version 8
/// on read it with any password.
#[must_use]
pub fn trust_store(roots: &[CertificateDer<'_>]) -> Vec<u8> {
    let bags = construct_der(|writer| {
        writer.write_sequence_of(|bags| {
            for (n, root) in roots.iter().enumerate() {
                write_bag(bags.next(), &format!("root-{n}"), root);
            }
        });
    });
    let contents = construct_der(|writer| {
        writer.write_sequence_of(|contents| write_data(contents.next(), &bags));
    });
    construct_der(|writer| {
        writer.write_sequence(|store| {
            store.next().write_u8(3);
            write_data(store.next(), &contents);
        });
    })
}

/// ContentInfo of type `data` (RFC 2315 section 7).
fn write_data(writer: DERWriter<'_>, content: &[u8]) {
    writer.write_sequence(|info| {
        write_oid(info.next(), PKCS7_DATA);
        info.next().write_tagged(Tag::context(0), |writer| writer.write_bytes(content));
    });
}

/// SafeBag with a certificate (RFC 7292 section 4.2).
fn write_bag(writer: DERWriter<'_>, name: &str, certificate: &[u8]) {
    writer.write_sequence(|bag| {
        write_oid(bag.next(), CERTIFICATE_BAG);
        bag.next().write_tagged(Tag::context(0), |writer| {
            writer.write_sequence(|value| {
                write_oid(value.next(), X509_CERTIFICATE);
                value.next().write_tagged(Tag::context(0), |writer| writer.write_bytes(certificate));
            });
        });
        bag.next().write_set_of(|attributes| {
            write_attribute(attributes.next(), FRIENDLY_NAME, |value| value.write_bmp_string(name));
            write_attribute(attributes.next(), TRUSTED_KEY_USAGE, |value| write_oid(value, ANY_USAGE));
        });
    });
}

fn write_attribute(writer: DERWriter<'_>, oid: &[u64], write_value: impl FnOnce(DERWriter<'_>)) {
    writer.write_sequence(|attribute| {
        write_oid(attribute.next(), oid);
        attribute.next().write_set_of(|values| write_value(values.next()));
    });
}

fn write_oid(writer: DERWriter<'_>, oid: &[u64]) {
    writer.write_oid(&ObjectIdentifier::from_slice(oid));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ca() -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(include_bytes!("../../../certs/ca.pem")).unwrap()
    }

    #[test]
    fn split_options_returns_a_quoted_option() {
        for option in ["-Dx=1", "-Dx=", "-Dx=a b", "-Dx=\"a\" 'b'", "-Dx=C:\\a b\\c", "'", "\""] {
            assert_eq!(split_options(&quote_option(option)), [option]);
        }
    }

    #[test]
    fn last_trust_store_option_wins() {
        let named = named_trust_store(
            "-Djavax.net.ssl.trustStore=/a -Xmx1g '-Djavax.net.ssl.trustStore=/b c' -Djavax.net.ssl.trustStorePassword=pw",
        );
        assert_eq!(named, Some(NamedTrustStore { path: "/b c".into(), password: "pw".into() }));
        assert_eq!(named_trust_store("-Djavax.net.ssl.trustStoreType=JKS"), None);
    }

    /// keytool where a JDK is installed; else `None`, and a message.
    fn read(path: &Path, password: &str) -> Option<Result<Vec<CertificateDer<'static>>, TrustStoreError>> {
        let store = NamedTrustStore { path: path.to_owned(), password: password.to_owned() };
        match store.read() {
            Err(TrustStoreError::Start { source, .. }) => {
                eprintln!("skipped: no keytool: {source}");
                None
            }
            read => Some(read),
        }
    }

    #[test]
    fn keytool_reads_a_written_store() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a store.p12");
        std::fs::write(&path, trust_store(&[ca()])).unwrap();
        if let Some(certificates) = read(&path, PASSWORD) {
            assert_eq!(certificates.unwrap(), [ca()]);
        }
    }

    #[test]
    fn keytool_rejects_a_file_that_is_not_a_store() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("not-a-store");
        std::fs::write(&path, "text").unwrap();
        if let Some(certificates) = read(&path, PASSWORD) {
            assert!(matches!(certificates, Err(TrustStoreError::Rejected(_))), "{certificates:?}");
        }
        let missing = NamedTrustStore { path: folder.path().join("missing"), password: PASSWORD.to_owned() };
        assert!(matches!(missing.read(), Err(TrustStoreError::Open(_))));
    }

    #[test]
    fn listing_gives_trusted_certificates_alone() {
        let pem = include_str!("../../../certs/ca.pem");
        let listing = format!(
            "Keystore type: PKCS12\n\nAlias name: a\nEntry type: PrivateKeyEntry\n{pem}\nAlias name: b\n\
             Creation date: Nov 20, 2026\nEntry type: trustedCertEntry\n\n{pem}\n"
        );
        assert_eq!(parse_listing(&listing).unwrap(), [ca()]);
        assert!(parse_listing("").unwrap().is_empty());
    }
}
