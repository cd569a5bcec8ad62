use std::fs;

use rustls::pki_types::ServerName;
use x509_parser::extensions::{GeneralName, ParsedExtension};

use super::*;

/// The leaf that a client with this name for the server is shown, checked against the CA by rustls' own verifier.
fn leaf(authority: &Authority, host: &str) -> CertificateDer<'static> {
    let client = shake_hands(authority, host, crate::provider::provider());
    client.peer_certificates().unwrap()[0].clone().into_owned()
}

/// A client of this provider, when it has done so.
fn shake_hands(
    authority: &Authority,
    host: &str,
    provider: Arc<rustls::crypto::CryptoProvider>,
) -> rustls::ClientConnection {
    let config = authority.server_config(host, Alpn::Http1).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.cert_der().clone()).unwrap();
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned()).unwrap();
    let mut client = rustls::ClientConnection::new(Arc::new(client), name).unwrap();
    let mut server = rustls::ServerConnection::new(config).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let mut wire = Vec::new();
        client.write_tls(&mut wire).unwrap();
        server.read_tls(&mut &wire[..]).unwrap();
        server.process_new_packets().unwrap();
        let mut wire = Vec::new();
        server.write_tls(&mut wire).unwrap();
        client.read_tls(&mut &wire[..]).unwrap();
        client.process_new_packets().unwrap();
    }
    client
}

fn parse(der: &[u8]) -> X509Certificate<'_> {
    X509Certificate::from_der(der).unwrap().1
}

fn key_id(cert: &X509Certificate<'_>) -> Vec<u8> {
    let found = cert.extensions().iter().find_map(|e| match e.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
        _ => None,
    });
    found.expect("a subject key identifier")
}

#[test]
fn ca_certificate_allows_signing_alone() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::load_or_create(dir.path()).unwrap();
    let cert = parse(authority.cert_der());
    assert!(cert.basic_constraints().unwrap().unwrap().critical);
    let usage = cert.key_usage().unwrap().unwrap();
    assert!(usage.value.key_cert_sign() && usage.value.crl_sign() && !usage.value.digital_signature());
    assert_eq!(key_id(&cert).len(), 20);
    let years = (authority.expires() - OffsetDateTime::now_utc()).whole_days() / 365;
    assert_eq!(years, 9, "ten years but for the two days that it was backdated");
    assert!(authority.subject().starts_with("CN=harproxy CA "), "{}", authority.subject());
    assert_eq!(authority.fingerprint().len(), 95);
    assert_eq!(base64::engine::general_purpose::STANDARD.decode(authority.spki_pin()).unwrap().len(), 32);
}

#[test]
fn leaf_names_one_host_and_is_valid_for_less_than_200_days() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::load_or_create(dir.path()).unwrap();
    let der = leaf(&authority, "api.example.com");
    let cert = parse(&der);
    let validity = cert.validity();
    assert!((validity.not_after.to_datetime() - validity.not_before.to_datetime()).whole_days() <= 197);
    assert!((OffsetDateTime::now_utc() - validity.not_before.to_datetime()).whole_days() >= 1);
    assert!(cert.raw_serial().len() >= 15);
    assert!(!cert.is_ca());
    let usage = cert.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.server_auth && !usage.client_auth && !usage.any);
    assert!(cert.key_usage().unwrap().unwrap().value.digital_signature());
    let names = &cert.subject_alternative_name().unwrap().unwrap().value.general_names;
    assert_eq!(names, &[GeneralName::DNSName("api.example.com")]);
    let issuer_id = cert.extensions().iter().find_map(|e| match e.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(id) => id.key_identifier.as_ref().map(|id| id.0.to_vec()),
        _ => None,
    });
    assert_eq!(issuer_id.unwrap(), key_id(&parse(authority.cert_der())));
    assert_ne!(key_id(&cert), key_id(&parse(authority.cert_der())), "leaves have a key of their own");
}

#[test]
fn leaf_for_an_address_has_an_ip_name() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::load_or_create(dir.path()).unwrap();
    for (host, octets) in [("127.0.0.1", vec![127, 0, 0, 1]), ("[::1]", [vec![0; 15], vec![1]].concat())] {
        let der = leaf(&authority, host);
        let cert = parse(&der);
        let names = &cert.subject_alternative_name().unwrap().unwrap().value.general_names;
        assert_eq!(names, &[GeneralName::IPAddress(&octets)], "{host}");
    }
}

#[test]
fn host_gets_one_certificate_for_both_protocols() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::load_or_create(dir.path()).unwrap();
    assert_eq!(leaf(&authority, "a.test"), leaf(&authority, "a.test"));
    assert_ne!(leaf(&authority, "a.test"), leaf(&authority, "b.test"));
    let http2 = authority.server_config("a.test", Alpn::Http2).unwrap();
    assert_eq!(http2.alpn_protocols, [b"h2".to_vec(), b"http/1.1".to_vec(), b"http/1.0".to_vec()]);
    assert!(Arc::ptr_eq(&http2, &authority.server_config("a.test", Alpn::Http2).unwrap()));
}

#[test]
fn invalid_host_names_get_no_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::load_or_create(dir.path()).unwrap();
    for host in ["", ".", "*.example.com", "a b", "bücher.example", "a/b", "[::1", &"a.".repeat(200)] {
        let error = authority.server_config(host, Alpn::Http1).unwrap_err();
        assert!(matches!(error, AuthorityError::Host { .. }), "{host}: {error}");
    }
}

#[test]
fn parallel_first_runs_share_one_ca() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("data/harproxy");
    let pins: Vec<String> = std::thread::scope(|scope| {
        let runs: Vec<_> =
            (0..8).map(|_| scope.spawn(|| Authority::load_or_create(&dir).unwrap().spki_pin().to_owned())).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    assert!(pins.iter().all(|pin| *pin == pins[0]), "{pins:?}");
}

#[test]
fn create_new_replaces_the_ca() {
    let dir = tempfile::tempdir().unwrap();
    let old = Authority::load_or_create(dir.path()).unwrap();
    let new = Authority::create_new(dir.path()).unwrap();
    assert_ne!(old.spki_pin(), new.spki_pin());
    assert_ne!(old.subject(), new.subject());
    assert_eq!(Authority::load_or_create(dir.path()).unwrap().spki_pin(), new.spki_pin());
}

#[test]
fn incomplete_and_mismatched_pairs_are_distinct_errors() {
    let dir = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    Authority::load_or_create(dir.path()).unwrap();
    Authority::load_or_create(other.path()).unwrap();

    fs::copy(other.path().join("ca.pem"), dir.path().join("ca.pem")).unwrap();
    let mixed = Authority::load_or_create(dir.path()).unwrap_err();
    assert!(matches!(mixed, AuthorityError::Mismatch { .. }));

    fs::write(dir.path().join("ca.pem"), "-----BEGIN CERTIFICATE-----\nMIIB").unwrap();
    let torn = Authority::load_or_create(dir.path()).unwrap_err();
    assert!(matches!(torn, AuthorityError::Malformed { .. }));

    fs::remove_file(dir.path().join("ca.pem")).unwrap();
    let half = Authority::load_or_create(dir.path()).unwrap_err();
    assert!(matches!(half, AuthorityError::Incomplete { missing: "ca.pem", .. }), "{half}");

    Authority::create_new(dir.path()).unwrap();
    fs::remove_file(dir.path().join("ca-key.pem")).unwrap();
    let half = Authority::load_or_create(dir.path()).unwrap_err();
    assert!(matches!(half, AuthorityError::Incomplete { missing: "ca-key.pem", .. }), "{half}");
}

#[test]
fn expired_ca_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.not_before = OffsetDateTime::now_utc() - time::Duration::days(9);
    params.not_after = OffsetDateTime::now_utc() - time::Duration::days(1);
    let cert_pem = params.self_signed(&key).unwrap().pem();
    CaFiles::at(dir.path()).write(&Pair { cert_pem, key_pem: key.serialize_pem() }).unwrap();
    let error = Authority::load_or_create(dir.path()).unwrap_err();
    assert!(matches!(error, AuthorityError::Expired { .. }) && error.to_string().contains("expired on"), "{error}");
}

#[cfg(unix)]
#[test]
fn key_readable_by_others_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("harproxy");
    Authority::load_or_create(&dir).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&dir), mode(&dir.join("ca-key.pem"))), (0o700, 0o600));

    fs::set_permissions(dir.join("ca-key.pem"), fs::Permissions::from_mode(0o644)).unwrap();
    let error = Authority::load_or_create(&dir).unwrap_err().to_string();
    assert!(error.contains("0644") && error.contains("is readable by other users"), "{error}");
}
