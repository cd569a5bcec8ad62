//! Both sides of TLS, by an authority that harproxy makes.

use std::path::PathBuf;
use std::sync::Arc;

use harproxy::tls::authority::{Alpn, Authority};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::options::Options;
use super::payload::HOST;

/// The authority in `--ca-dir`.
pub fn authority(options: &Options) -> Authority {
    Authority::load_or_create(&options.get::<PathBuf>("ca-dir")).unwrap()
}

/// What a bare server shows for [`HOST`]: HTTP/1.1, or HTTP/2 with `--mode h2`.
pub fn server(options: &Options) -> Arc<ServerConfig> {
    let alpn = if options.or("mode", String::new()) == "h2" { Alpn::Http2 } else { Alpn::Http1 };
    authority(options).server_config(HOST, alpn).unwrap()
}

/// What a client trusts.
pub fn client(options: &Options, h2: bool) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority(options).cert_pem().as_bytes()).unwrap()).unwrap();
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![if h2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
    config
}
