use super::*;
use harproxy_glob::Globs;

fn client_for(addr: SocketAddr, plan: UpstreamPlan) -> TestClient {
    let upstream = Upstream::anywhere(UpstreamPlan { map: map("api.test", addr), ..plan }).unwrap();
    TestClient::new(upstream, at(Scheme::Https, "api.test", 443))
}

/// The source of a TLS error.
fn reason(result: Result<ReadAnswer, SendError>) -> String {
    let Err(SendError::Upstream(error)) = result else { panic!("{result:?}") };
    assert_eq!((error.kind(), error.status()), ("tls", 502));
    std::error::Error::source(&error).unwrap().to_string()
}

#[tokio::test]
async fn certificate_of_an_extra_root_verifies() {
    let addr = tls_origin("origin", &["http/1.1"]).await;
    let client = client_for(addr, plan());
    let got = client.get("/x?y").await.unwrap();
    // A mapping changes neither Host nor SNI.
    assert_eq!(text(&got), "0 api.test HTTP/1.1 GET /x?y\nhost: api.test\n");
    assert!(client.get("/").await.unwrap().reused);
}

#[tokio::test]
async fn request_is_converted_to_the_only_protocol_of_upstream() {
    for (protocol, upstream, version) in [("http/1.1", &["h2"], "HTTP/2.0"), ("h2", &["http/1.1"], "HTTP/1.1")] {
        let addr = tls_origin("origin", upstream).await;
        let get = async |client: &TestClient, path| match protocol {
            "h2" => client.get2(path).await.unwrap(),
            _ => client.get(path).await.unwrap(),
        };
        let client = client_for(addr, plan());
        assert_eq!(client.negotiate(&[protocol]).await, if version == "HTTP/2.0" { Alpn::Http2 } else { Alpn::Http1 });
        for path in ["/a", "/b"] {
            let got = get(&client, path).await;
            let text = text(&got);
            assert!(text.contains(version) && text.contains(path), "{protocol}: {text}");
        }
        assert!(get(&client, "/c").await.reused);
        // Without a TLS handshake of the client, as on a `--reverse` port.
        let got = get(&client_for(addr, plan()), "/d").await;
        let text = text(&got);
        assert!(text.contains(version), "{protocol}: {text}");
    }
    let addr = tls_origin("origin", &["acme-tls/1"]).await;
    let Err(SendError::Upstream(error)) = client_for(addr, plan()).get("/").await else {
        panic!("no protocol is shared")
    };
    assert!(error.shares_no_protocol());
}

#[tokio::test]
async fn certificate_of_an_address_is_verified() {
    let addr = tls_origin("origin", &[]).await;
    let got = TestClient::new(upstream(), https(addr)).get("/").await.unwrap();
    assert!(text(&got).starts_with("0 - HTTP/1.1 GET /"));
}

#[tokio::test]
async fn invalid_certificate_is_refused() {
    for (certificate, plan, expected) in [
        ("expired", plan(), "certificate expired"),
        ("wrong-name", plan(), "not valid for name"),
        ("self-signed", plan(), "UnknownIssuer"),
        ("origin", UpstreamPlan { extra_roots: Vec::new(), ..plan() }, "UnknownIssuer"),
    ] {
        let addr = tls_origin(certificate, &["http/1.1"]).await;
        let reason = reason(client_for(addr, plan).get("/").await);
        assert!(reason.contains(expected), "{certificate}: {reason}");
    }
}

#[tokio::test]
async fn server_certificate_can_be_an_extra_root() {
    let addr = tls_origin("self-signed", &["http/1.1"]).await;
    let own_root = || UpstreamPlan { extra_roots: vec![pki("self-signed.pem")], ..plan() };
    client_for(addr, own_root()).get("/").await.unwrap();
    // It verifies only for its own name.
    let upstream = Upstream::anywhere(UpstreamPlan { map: map("other.test", addr), ..own_root() }).unwrap();
    reason(TestClient::new(upstream, at(Scheme::Https, "other.test", 443)).get("/").await);
}

#[tokio::test]
async fn insecure_accepts_any_certificate_of_matching_urls() {
    for certificate in ["expired", "wrong-name", "self-signed"] {
        let addr = tls_origin(certificate, &["http/1.1"]).await;
        for (globs, accepted) in [
            (&[][..], true),
            (&["https://api.test/**"], true),
            (&["https://*.test/**"], true),
            (&["https://other.test/**"], false),
            (&["https://api.test:8443/**"], false),
        ] {
            let insecure = Some(Globs::new(globs.iter()).unwrap());
            let got = client_for(addr, UpstreamPlan { insecure, ..plan() }).get("/").await;
            assert_eq!(got.is_ok(), accepted, "{certificate} {globs:?}");
        }
    }
}

#[tokio::test]
async fn client_certificate_is_sent_to_its_host_only() {
    let acceptor = acceptor("origin", &["http/1.1"], true);
    let addr = scripted(move |stream, _| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            read_head(&mut stream).await;
            let _ = stream.write_all(OK.as_bytes()).await;
        }
    })
    .await;
    let client_certs = vec![("api.test".to_owned(), pki("client-pair.pem"))];
    let got = client_for(addr, UpstreamPlan { client_certs: client_certs.clone(), ..plan() }).get("/").await.unwrap();
    assert_eq!(text(&got), "ok");
    let upstream = Upstream::anywhere(UpstreamPlan { client_certs, ..plan() }).unwrap();
    TestClient::new(upstream, https(addr)).get("/").await.unwrap_err();
}

#[test]
fn certificate_file_without_content_is_an_error() {
    for (plan, what) in [
        (UpstreamPlan { extra_roots: vec![pki("nope.pem")], ..plan() }, "reading "),
        (UpstreamPlan { extra_roots: vec![pki("README.md")], ..plan() }, "has no certificate"),
        (UpstreamPlan { extra_roots: vec![pki("ca-key.pem")], ..plan() }, "has no certificate"),
        (UpstreamPlan { client_certs: vec![("a".into(), pki("client.pem"))], ..plan() }, "no private key"),
    ] {
        let error = Upstream::anywhere(plan).unwrap_err();
        assert!(error.what.contains(what), "{error}");
        assert!(error.what.contains("certs"), "{error}");
    }
}

#[tokio::test]
async fn close_delimited_body_without_close_notify_is_truncated() {
    for sends_close_notify in [true, false] {
        let acceptor = acceptor("origin", &["http/1.1"], false);
        let addr = scripted(move |stream, _| {
            let acceptor = acceptor.clone();
            async move {
                let mut stream = acceptor.accept(stream).await.unwrap();
                read_head(&mut stream).await;
                stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall?").await.unwrap();
                stream.flush().await.unwrap();
                if sends_close_notify {
                    stream.shutdown().await.unwrap();
                }
            }
        })
        .await;
        let got = client_for(addr, plan()).get("/").await.unwrap();
        assert_eq!(got.body.is_ok(), sends_close_notify, "{:?}", got.body);
    }
}

#[tokio::test]
async fn alpn_is_a_protocol_of_both_sides() {
    for (origin, offered, agreed) in [
        (&["h2", "http/1.1"][..], &["h2", "http/1.1"][..], Alpn::Http2),
        (&["h2", "http/1.1"], &["http/1.1"], Alpn::Http1),
        (&["h2", "http/1.1"], &[], Alpn::Http1),
        (&["h2", "http/1.1"], &["h2"], Alpn::Http2),
        (&["h2", "http/1.1"], &["acme-tls/1", "h2"], Alpn::Http2),
        (&["http/1.1"], &["h2", "http/1.1"], Alpn::Http1),
        (&[], &["h2", "http/1.1"], Alpn::Http1),
    ] {
        let addr = tls_origin("origin", origin).await;
        let client = client_for(addr, plan());
        assert_eq!(client.negotiate(offered).await, agreed, "{origin:?} {offered:?}");
        let (got, version) = match agreed {
            Alpn::Http2 => (client.get2("/").await.unwrap(), "HTTP/2.0"),
            Alpn::Http1 => (client.get("/").await.unwrap(), "HTTP/1.1"),
        };
        assert!(text(&got).contains(version), "{origin:?} {offered:?}: {}", text(&got));
        assert_eq!((got.connection, got.reused), (1, false), "the negotiated connection is used");
    }
}

#[tokio::test]
async fn tls_error_answers_the_first_request() {
    let addr = tls_origin("expired", &["h2"]).await;
    for (offered, fallback) in [(&["h2", "http/1.1"][..], Alpn::Http1), (&["h2"], Alpn::Http2), (&[], Alpn::Http1)] {
        let client = client_for(addr, plan());
        assert_eq!(client.negotiate(offered).await, fallback);
        reason(client.get("/").await);
    }
}

#[tokio::test]
async fn loopback_upstream_refuses_other_addresses() {
    let (addr, _) = canned(OK).await;
    let upstream = Arc::new(Upstream::loopback(Timeouts::default()));
    for host in ["127.0.0.1", "localhost", "api.localhost"] {
        let client = TestClient::new(upstream.clone(), at(Scheme::Http, host, addr.port()));
        assert_eq!(text(&client.get("/").await.unwrap()), "ok", "{host}");
    }
    let opened = upstream.opened();
    for host in ["10.0.0.1", "api.test", "127.0.0.1.nip.io", "0.0.0.0", "::ffff:127.0.0.1", "localhost.test"] {
        for scheme in [Scheme::Http, Scheme::Https] {
            let to = at(scheme, host, addr.port());
            assert_eq!(upstream.dial(&to).await.unwrap_err().kind(), "forbidden", "{host}");
            let client = TestClient::new(upstream.clone(), to);
            assert_eq!(kind(client.get("/").await), "forbidden", "{host}");
            assert_eq!(kind(client.get2("/").await), "forbidden", "{host}");
        }
    }
    assert_eq!(upstream.opened(), opened);
}

#[tokio::test]
async fn loopback_upstream_accepts_any_certificate() {
    for certificate in ["self-signed", "expired", "wrong-name"] {
        let addr = tls_origin(certificate, &["h2", "http/1.1"]).await;
        let client = TestClient::new(Upstream::loopback(Timeouts::default()), https(addr));
        assert_eq!(client.negotiate(&["h2", "http/1.1"]).await, Alpn::Http2);
        assert!(text(&client.get2("/").await.unwrap()).contains("HTTP/2.0"));
    }
}
