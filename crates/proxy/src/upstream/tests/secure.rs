use super::*;
use harproxy_glob::Globs;

fn trusting(addr: SocketAddr, plan: UpstreamPlan) -> Way {
    let upstream = Upstream::anywhere(UpstreamPlan { map: map("api.test", addr), ..plan }).unwrap();
    Way::new(upstream, at(Scheme::Https, "api.test", 443))
}

/// What the error says at the bottom.
fn reason(result: Result<Got, SendError>) -> String {
    let Err(SendError::Upstream(error)) = result else { panic!("{result:?}") };
    assert_eq!((error.kind(), error.status()), ("tls", 502));
    std::error::Error::source(&error).unwrap().to_string()
}

#[tokio::test]
async fn a_certificate_of_a_named_authority_verifies() {
    let addr = tls_origin("origin", &["http/1.1"]).await;
    let way = trusting(addr, plan());
    let got = way.get("/x?y").await.unwrap();
    // The Host and the name in SNI stay what they were, wherever the map leads.
    assert_eq!(text(&got), "0 api.test HTTP/1.1 GET /x?y\nhost: api.test\n");
    assert!(way.get("/").await.unwrap().reused);
}

#[tokio::test]
async fn upstream_is_spoken_to_in_what_it_speaks_whatever_the_client_does() {
    for (client, upstream, version) in [("http/1.1", &["h2"], "HTTP/2.0"), ("h2", &["http/1.1"], "HTTP/1.1")] {
        let addr = tls_origin("origin", upstream).await;
        let ask = async |way: &Way, path| match client {
            "h2" => way.get2(path).await.unwrap(),
            _ => way.get(path).await.unwrap(),
        };
        let way = trusting(addr, plan());
        assert_eq!(way.secure(&[client]).await, if version == "HTTP/2.0" { Alpn::Http2 } else { Alpn::Http1 });
        for path in ["/a", "/b"] {
            let got = ask(&way, path).await;
            let told = text(&got);
            assert!(told.contains(version) && told.contains(path), "{client}: {told}");
        }
        assert!(ask(&way, "/c").await.reused);
        // Without a handshake of the client's to go by, as at a port of `--reverse`.
        let got = ask(&trusting(addr, plan()), "/d").await;
        let told = text(&got);
        assert!(told.contains(version), "{client}: {told}");
    }
    let addr = tls_origin("origin", &["acme-tls/1"]).await;
    let Err(SendError::Upstream(error)) = trusting(addr, plan()).get("/").await else {
        panic!("no protocol is shared")
    };
    assert!(error.shares_no_protocol());
}

#[tokio::test]
async fn addresses_are_verified_too() {
    let addr = tls_origin("origin", &[]).await;
    let got = Way::new(upstream(), https(addr)).get("/").await.unwrap();
    assert!(text(&got).starts_with("0 - HTTP/1.1 GET /"));
}

#[tokio::test]
async fn what_does_not_verify_is_refused() {
    for (certificate, plan, why) in [
        ("expired", plan(), "certificate expired"),
        ("wrong-name", plan(), "not valid for name"),
        ("self-signed", plan(), "UnknownIssuer"),
        ("origin", UpstreamPlan { extra_roots: Vec::new(), ..plan() }, "UnknownIssuer"),
    ] {
        let addr = tls_origin(certificate, &["http/1.1"]).await;
        let reason = reason(trusting(addr, plan).get("/").await);
        assert!(reason.contains(why), "{certificate}: {reason}");
    }
}

#[tokio::test]
async fn a_server_certificate_can_be_named_itself() {
    let addr = tls_origin("self-signed", &["http/1.1"]).await;
    let named = || UpstreamPlan { extra_roots: vec![pki("self-signed.pem")], ..plan() };
    trusting(addr, named()).get("/").await.unwrap();
    // It is still only good for its own name.
    let upstream = Upstream::anywhere(UpstreamPlan { map: map("other.test", addr), ..named() }).unwrap();
    reason(Way::new(upstream, at(Scheme::Https, "other.test", 443)).get("/").await);
}

#[tokio::test]
async fn insecure_accepts_anything_where_its_globs_say_so() {
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
            let got = trusting(addr, UpstreamPlan { insecure, ..plan() }).get("/").await;
            assert_eq!(got.is_ok(), accepted, "{certificate} {globs:?}");
        }
    }
}

#[tokio::test]
async fn a_client_certificate_is_shown_to_its_host_only() {
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
    let got = trusting(addr, UpstreamPlan { client_certs: client_certs.clone(), ..plan() }).get("/").await.unwrap();
    assert_eq!(text(&got), "ok");
    let upstream = Upstream::anywhere(UpstreamPlan { client_certs, ..plan() }).unwrap();
    Way::new(upstream, https(addr)).get("/").await.unwrap_err();
}

#[test]
fn files_that_hold_nothing_of_use_are_named() {
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
async fn a_close_delimited_body_without_close_notify_is_truncated() {
    for polite in [true, false] {
        let acceptor = acceptor("origin", &["http/1.1"], false);
        let addr = scripted(move |stream, _| {
            let acceptor = acceptor.clone();
            async move {
                let mut stream = acceptor.accept(stream).await.unwrap();
                read_head(&mut stream).await;
                stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall?").await.unwrap();
                stream.flush().await.unwrap();
                if polite {
                    stream.shutdown().await.unwrap();
                }
            }
        })
        .await;
        let got = trusting(addr, plan()).get("/").await.unwrap();
        assert_eq!(got.body.is_ok(), polite, "{:?}", got.body);
    }
}

#[tokio::test]
async fn alpn_is_what_both_sides_speak() {
    for (origin, client, agreed) in [
        (&["h2", "http/1.1"][..], &["h2", "http/1.1"][..], Alpn::Http2),
        (&["h2", "http/1.1"], &["http/1.1"], Alpn::Http1),
        (&["h2", "http/1.1"], &[], Alpn::Http1),
        (&["h2", "http/1.1"], &["h2"], Alpn::Http2),
        (&["h2", "http/1.1"], &["acme-tls/1", "h2"], Alpn::Http2),
        (&["http/1.1"], &["h2", "http/1.1"], Alpn::Http1),
        (&[], &["h2", "http/1.1"], Alpn::Http1),
    ] {
        let addr = tls_origin("origin", origin).await;
        let way = trusting(addr, plan());
        assert_eq!(way.secure(client).await, agreed, "{origin:?} {client:?}");
        let (got, version) = match agreed {
            Alpn::Http2 => (way.get2("/").await.unwrap(), "HTTP/2.0"),
            Alpn::Http1 => (way.get("/").await.unwrap(), "HTTP/1.1"),
        };
        assert!(text(&got).contains(version), "{origin:?} {client:?}: {}", text(&got));
        assert_eq!((got.connection, got.reused), (1, false), "it is the one that was secured");
    }
}

#[tokio::test]
async fn an_error_of_securing_answers_the_first_request() {
    let addr = tls_origin("expired", &["h2"]).await;
    for (client, fallback) in [(&["h2", "http/1.1"][..], Alpn::Http1), (&["h2"], Alpn::Http2), (&[], Alpn::Http1)] {
        let way = trusting(addr, plan());
        assert_eq!(way.secure(client).await, fallback);
        reason(way.get("/").await);
    }
}

#[tokio::test]
async fn loopback_leads_nowhere_else() {
    let (addr, _) = canned(OK).await;
    let upstream = Arc::new(Upstream::loopback(Timeouts::default()));
    for host in ["127.0.0.1", "localhost", "api.localhost"] {
        let way = Way::new(upstream.clone(), at(Scheme::Http, host, addr.port()));
        assert_eq!(text(&way.get("/").await.unwrap()), "ok", "{host}");
    }
    let opened = upstream.opened();
    for host in ["10.0.0.1", "api.test", "127.0.0.1.nip.io", "0.0.0.0", "::ffff:127.0.0.1", "localhost.test"] {
        for scheme in [Scheme::Http, Scheme::Https] {
            let to = at(scheme, host, addr.port());
            assert_eq!(upstream.dial(&to).await.unwrap_err().kind(), "forbidden", "{host}");
            let way = Way::new(upstream.clone(), to);
            assert_eq!(kind(way.get("/").await), "forbidden", "{host}");
            assert_eq!(kind(way.get2("/").await), "forbidden", "{host}");
        }
    }
    assert_eq!(upstream.opened(), opened);
}

#[tokio::test]
async fn loopback_takes_any_certificate() {
    for certificate in ["self-signed", "expired", "wrong-name"] {
        let addr = tls_origin(certificate, &["h2", "http/1.1"]).await;
        let way = Way::new(Upstream::loopback(Timeouts::default()), https(addr));
        assert_eq!(way.secure(&["h2", "http/1.1"]).await, Alpn::Http2);
        assert!(text(&way.get2("/").await.unwrap()).contains("HTTP/2.0"));
    }
}
