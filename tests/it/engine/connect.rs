//! CONNECT tunnels and the protocols inside them.

use harproxy_proxy::{ConnectionEvent, HandshakeRefusal};
use harproxy_tls::authority::Alpn;

use super::stage::{EngineSettings, TestEngine};
use crate::support::client::{Proto, TestRequest};

#[test]
fn tls_in_a_tunnel_is_served_over_http1_and_http2() {
    for (alpn, proto, version) in [
        (Alpn::Http1, Proto::H1, "HTTP/1.1"),
        (Alpn::Http2, Proto::H2, "HTTP/2.0"),
        (Alpn::Http2, Proto::H1, "HTTP/1.1"),
        // The client offers only HTTP/2.
        (Alpn::Http1, Proto::H2, "HTTP/2.0"),
    ] {
        let stage = TestEngine::with(EngineSettings { alpn, ..EngineSettings::default() });
        let client = stage.client(proto);
        let echo = client.send(TestRequest::new("POST", "https://api.test/v1?a=b").body("hello")).json();
        assert_eq!(echo["uri"], "https://api.test/v1?a=b");
        assert_eq!(echo["version"], version);
        assert_eq!(echo["body"], "hello");
        // Over HTTP/1.1 the Host header is the CONNECT target.
        assert_eq!(echo["hostStays"], version == "HTTP/2.0");
        // rustls verifies that the certificate names the address.
        assert_eq!(client.get("https://127.0.0.1:8443/").json()["origin"], "https://127.0.0.1:8443");
        assert_eq!(client.get("https://[::1]/").json()["uri"], "https://[::1]/");
    }
}

#[test]
fn http_in_a_tunnel_is_served_over_http1_and_http2() {
    let stage = TestEngine::start();
    let echo = stage.client(Proto::H2).get("http://api.test:8080/x").json();
    assert_eq!((&echo["uri"], &echo["version"]), (&"http://api.test:8080/x".into(), &"HTTP/2.0".into()));

    let mut raw = stage.tunnel("api.test:80");
    raw.send("GET /x HTTP/1.1\r\nHost: front.test\r\n\r\n");
    let echo = raw.echo();
    assert_eq!(echo["uri"], "http://front.test/x", "the Host header names the origin");
    assert_eq!(echo["connectTo"], "http://api.test", "and never the server to connect to");
    assert_eq!((&echo["headers"][0][1], &echo["origin"]), (&"front.test".into(), &"http://front.test".into()));
    raw.send("GET http://elsewhere.test/y HTTP/1.1\r\n\r\n");
    let echo = raw.echo();
    assert_eq!((&echo["uri"], &echo["connectTo"]), (&"http://elsewhere.test/y".into(), &"http://api.test".into()));
    raw.send("CONNECT other.test:443 HTTP/1.1\r\n\r\n");
    assert!(raw.answer().0.starts_with("HTTP/1.1 400 "));
}

#[test]
fn host_without_the_port_of_the_tunnel_names_its_origin() {
    let stage = TestEngine::start();
    let mut raw = stage.tunnel("api.test:8080");
    for (host, origin) in [
        ("api.test:8080", "http://api.test:8080"),
        ("API.test", "http://api.test:8080"),
        ("api.test:80", "http://api.test"),
        ("b.test", "http://b.test"),
        ("b.test:8080", "http://b.test:8080"),
    ] {
        raw.send(format!("GET /x HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        let echo = raw.echo();
        assert_eq!((&echo["origin"], &echo["headers"][0][1]), (&origin.into(), &host.into()));
        assert_eq!(echo["connectTo"], "http://api.test:8080");
    }
}

#[test]
fn ambiguous_host_in_a_tunnel_is_refused_and_is_an_event() {
    let stage = TestEngine::start();
    let mut raw = stage.tunnel("api.test:80");
    let hosts = ["a@localhost", "localhost, evil.test", "[::1", "evil.test/x", "", "api.test\r\nHost: evil.test"];
    for host in hosts {
        raw.send(format!("GET /x HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        let (head, body) = raw.answer();
        assert!(head.starts_with("HTTP/1.1 400 ") && body.contains("Host"), "{host:?}: {head}{body}");
        match stage.next_event() {
            ConnectionEvent::MalformedHead { reason, is_too_long: false } => {
                assert!(reason.contains("Host"), "{reason}")
            }
            other => panic!("{host:?}: {other:?}"),
        }
    }
    raw.send("GET /x HTTP/1.1\r\nHost: api.test\r\nHost: api.test\r\n\r\n");
    assert_eq!(raw.echo()["uri"], "http://api.test/x");
}

#[test]
fn bytes_sent_with_the_connect_are_not_lost() {
    let stage = TestEngine::start();
    let mut raw = stage.raw();
    raw.send("CONNECT api.test:80 HTTP/1.1\r\n\r\nGET /early HTTP/1.1\r\n\r\n");
    assert!(raw.head().starts_with("HTTP/1.1 200 "));
    assert_eq!(raw.echo()["uri"], "http://api.test/early");
}

#[test]
fn invalid_connect_targets_are_refused() {
    let stage = TestEngine::start();
    for target in ["api.test", "api.test:0", "api.test:99999", "/x", "http://api.test:443/", "u@api.test:443", ":443"] {
        let mut raw = stage.raw();
        raw.send(format!("CONNECT {target} HTTP/1.1\r\n\r\n"));
        let answer = raw.rest_text();
        assert!(answer.starts_with("HTTP/1.1 400 "), "{target}: {answer}");
    }
}

#[test]
fn refused_connect_gets_the_handlers_answer_and_is_closed() {
    let stage = TestEngine::start();
    let mut raw = stage.raw();
    raw.send("CONNECT refused.test:443 HTTP/1.1\r\n\r\n");
    let (head, body) = raw.answer();
    assert!(head.starts_with("HTTP/1.1 403 ") && head.contains("x-harproxy: out-of-scope"), "{head}");
    assert!(body.contains("Refused"));
    assert_eq!(raw.rest(), b"");
}

#[test]
fn certificate_is_for_the_name_in_the_client_hello() {
    let stage = TestEngine::start();
    let client = stage.client(Proto::H1);
    let answer = crate::support::block_on(async {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let tcp = tokio::net::TcpStream::connect(stage.addr).await.unwrap();
        let tunnel = client.tunnel(tcp, &"https://10.0.0.1/".parse().unwrap()).await.unwrap();
        let mut tls = client.tls(tunnel, &"https://named.test/".parse().unwrap()).await.unwrap();
        tls.write_all(b"GET / HTTP/1.1\r\nHost: named.test\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        tls.read_to_string(&mut answer).await.unwrap();
        answer
    });
    assert!(answer.contains("\"uri\":\"https://named.test/\""), "{answer}");
    assert!(answer.contains("\"connectTo\":\"https://10.0.0.1\""), "{answer}");
}

#[test]
fn tls_12_and_13_are_served_and_sessions_resume() {
    use rustls::HandshakeKind;
    let stage = TestEngine::start();
    let client = stage.client(Proto::H1);
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let config = std::sync::Arc::new(tls_config(&stage.ca, &[version]));
        let kinds: Vec<_> = (0..2)
            .map(|_| {
                crate::support::block_on(async {
                    use tokio::io::{AsyncReadExt, AsyncWriteExt};
                    let tcp = tokio::net::TcpStream::connect(stage.addr).await.unwrap();
                    let tunnel = client.tunnel(tcp, &"https://old.test/".parse().unwrap()).await.unwrap();
                    let connector = tokio_rustls::TlsConnector::from(config.clone());
                    let mut tls = connector.connect("old.test".try_into().unwrap(), tunnel).await.unwrap();
                    tls.write_all(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n").await.unwrap();
                    let mut seen = Vec::new();
                    tls.read_to_end(&mut seen).await.expect("close_notify before the end");
                    assert!(seen.starts_with(b"HTTP/1.1 200 "));
                    tls.get_ref().1.handshake_kind().unwrap()
                })
            })
            .collect();
        assert_eq!(kinds, [HandshakeKind::Full, HandshakeKind::Resumed], "{version:?}");
    }
}

fn tls_config(ca: &str, versions: &[&'static rustls::SupportedProtocolVersion]) -> rustls::ClientConfig {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

#[test]
fn refused_certificate_is_an_event() {
    let stage = TestEngine::start();
    let mut client = stage.client(Proto::H1);
    client.ca = other_ca();
    client.try_send(TestRequest::new("GET", "https://pinned.test/")).unwrap_err();
    match stage.next_event() {
        ConnectionEvent::TlsRefused { to, refusal: HandshakeRefusal { reason, is_distrust }, .. } => {
            assert_eq!(to.to_string(), "https://pinned.test");
            assert!(reason.contains("UnknownCA") && reason.contains("does not trust") && is_distrust, "{reason}");
        }
        other => panic!("{other:?}"),
    }
    // Closing the connection after the certificate counts as a refusal, too.
    let name = "leaving.test".try_into().unwrap();
    let config = tls_config(&stage.ca, rustls::ALL_VERSIONS);
    let mut tls = rustls::ClientConnection::new(std::sync::Arc::new(config), name).unwrap();
    let mut raw = stage.tunnel("leaving.test:443");
    tls.write_tls(&mut raw.0).unwrap();
    raw.exactly(1000);
    drop(raw);
    assert!(matches!(stage.next_event(), ConnectionEvent::TlsRefused { to, .. } if &*to.host == "leaving.test"));
    // A connection that closes without a byte is no event: the next event is that of the next connection.
    drop(stage.tunnel("quiet.test:443"));
    stage.tunnel("garbage.test:443").send("\x01\x02\x03");
    assert!(matches!(stage.next_event(), ConnectionEvent::UnknownProtocol { to } if &*to.host == "garbage.test"));
}

/// Another CA.
fn other_ca() -> String {
    let dir = tempfile::tempdir().unwrap();
    harproxy_tls::authority::Authority::load_or_create(dir.path()).unwrap().cert_pem().to_owned()
}

#[test]
fn unknown_protocol_without_an_upstream_is_refused() {
    let stage = TestEngine::start();
    let mut raw = stage.tunnel("irc.test:6667");
    raw.send("NICK someone\r\n");
    assert_eq!(raw.rest(), b"");
    assert!(
        matches!(stage.next_event(), ConnectionEvent::UnknownProtocol { to } if &*to.host == "irc.test" && to.port == 6667)
    );
}

#[test]
fn upgrade_works_on_the_proxy_port_and_in_a_tunnel() {
    let stage = TestEngine::start();
    let ask = "GET http://a.test/upgrade HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: twice\r\n\r\nabcd";
    let inside = "GET /upgrade HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: twice\r\n\r\nabcd";
    for (mut raw, request) in [(stage.raw(), ask), (stage.tunnel("a.test:80"), inside)] {
        raw.send(request);
        let head = raw.head();
        assert!(head.starts_with("HTTP/1.1 101 ") && head.contains("upgrade: twice\r\n"), "{head}");
        assert_eq!(raw.exactly(8), b"abcdabcd");
        raw.send("wxyz");
        assert_eq!(raw.exactly(8), b"wxyzwxyz");
    }
}
