//! Both sides of TLS, by the authority that harproxy made.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{CertificateParams, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::options::Options;
use super::payload::HOST;

/// A file of the authority in `--ca-dir`.
fn file(options: &Options, name: &str) -> String {
    fs::read_to_string(options.get::<PathBuf>("ca-dir").join(name)).unwrap()
}

/// What a bare server shows for [`HOST`]: HTTP/1.1, or HTTP/2 with `--mode h2`.
pub fn server(options: &Options) -> Arc<ServerConfig> {
    let authority = KeyPair::from_pem(&file(options, "ca-key.pem")).unwrap();
    let issuer = Issuer::from_ca_cert_pem(&file(options, "ca.pem"), authority).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new([HOST.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder().with_no_client_auth();
    let mut config = config.with_single_cert(vec![leaf.der().clone()], key).unwrap();
    let is_h2 = options.or("mode", String::new()) == "h2";
    config.alpn_protocols = vec![if is_h2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
    Arc::new(config)
}

/// What a client trusts.
pub fn client(options: &Options, h2: bool) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(file(options, "ca.pem").as_bytes()).unwrap()).unwrap();
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![if h2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
    config
}
