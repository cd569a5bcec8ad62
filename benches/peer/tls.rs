//! TLS settings of servers and clients, with the certificate authority that harproxy made.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{CertificateParams, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::mix::HOST;
use super::options::Options;

/// Reads a file of the authority in `--ca-dir`.
fn read(options: &Options, name: &str) -> String {
    fs::read_to_string(options.get::<PathBuf>("ca-dir").join(name)).unwrap()
}

/// A server's settings with a certificate for [`HOST`] and its subdomains. ALPN is HTTP/1.1, HTTP/2 with `--mode h2`,
/// or both with
/// `--mode any`.
pub fn server(options: &Options) -> Arc<ServerConfig> {
    let authority = KeyPair::from_pem(&read(options, "ca-key.pem")).unwrap();
    let issuer = Issuer::from_ca_cert_pem(&read(options, "ca.pem"), authority).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf =
        CertificateParams::new([HOST.to_owned(), format!("*.{HOST}")]).unwrap().signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder().with_no_client_auth();
    let mut config = config.with_single_cert(vec![leaf.der().clone()], key).unwrap();
    let protocols: &[&[u8]] = match &*options.or("mode", String::new()) {
        "h2" => &[b"h2"],
        "any" => &[b"h2", b"http/1.1"],
        _ => &[b"http/1.1"],
    };
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Arc::new(config)
}

/// A client's settings. It trusts the authority alone.
pub fn client(options: &Options, h2: bool) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(read(options, "ca.pem").as_bytes()).unwrap()).unwrap();
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![if h2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
    config
}
