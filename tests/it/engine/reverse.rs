//! `--reverse` ports.

use std::net::SocketAddr;

use harproxy_proxy::{Origin, ReversePlan, Scheme};

use super::stage::{EngineSettings, TestEngine};
use crate::support::client::{Proto, TestRequest};
use crate::support::raw::Raw;

fn reverse(name: &str, prefix: Option<&str>, url: &str) -> ReversePlan {
    let url: url::Url = url.parse().unwrap();
    ReversePlan {
        name: name.into(),
        port: 0,
        prefix: prefix.map(Into::into),
        origin: Origin {
            scheme: if url.scheme() == "http" { Scheme::Http } else { Scheme::Https },
            host: url.host_str().unwrap().into(),
            port: url.port_or_known_default().unwrap(),
        },
        base_path: url.path().trim_end_matches('/').into(),
    }
}

fn stage(tls: bool) -> TestEngine {
    let reverse = vec![
        reverse("API", None, "https://api.test/v1"),
        reverse("A", Some("/a"), "https://a.test"),
        reverse("AB", Some("/a/b"), "http://b.test:8080/base"),
    ];
    TestEngine::with(EngineSettings { reverse, reverse_tls: tls, ..EngineSettings::default() })
}

fn url(stage: &TestEngine, name: &str) -> url::Url {
    stage.urls.iter().find(|(n, _)| n == name).unwrap().1.parse().unwrap()
}

fn addr(url: &url::Url) -> SocketAddr {
    url.socket_addrs(|| None).unwrap()[0]
}

#[test]
fn origins_have_urls_and_share_a_port_if_they_have_a_prefix() {
    let stage = stage(false);
    let (api, a, ab) = (url(&stage, "API"), url(&stage, "A"), url(&stage, "AB"));
    assert_eq!((a.path(), ab.path()), ("/a", "/a/b"));
    assert_eq!(a.port(), ab.port());
    assert_ne!(a.port(), api.port());

    let mut raw = Raw::to(addr(&api));
    raw.send("GET /users?q HTTP/1.1\r\nHost: whatever.test\r\n\r\n");
    let echo = raw.echo();
    assert_eq!(echo["uri"], "https://api.test/v1/users?q");
    assert_eq!(echo["headers"][0][1], "whatever.test");
    assert_eq!((&echo["hostStays"], &echo["session"]), (&false.into(), &serde_json::Value::Null));

    let mut raw = Raw::to(addr(&a));
    for (path, uri) in [
        ("/a/x", "https://a.test/x"),
        ("/a", "https://a.test/"),
        ("/a/b/x", "http://b.test:8080/base/x"),
        ("/a/bx", "https://a.test/bx"),
    ] {
        raw.send(format!("GET {path} HTTP/1.1\r\n\r\n"));
        assert_eq!(raw.echo()["uri"], uri);
    }
    raw.send("GET /other HTTP/1.1\r\n\r\n");
    let (head, body) = raw.answer();
    assert!(head.starts_with("HTTP/1.1 404 ") && body.contains("/a/b, /a"), "{head}{body}");
    raw.send("CONNECT a.test:443 HTTP/1.1\r\n\r\n");
    assert!(raw.answer().0.starts_with("HTTP/1.1 400 "));
}

#[test]
fn reverse_port_has_a_certificate_for_the_requested_name() {
    let stage = stage(true);
    let api = url(&stage, "API");
    assert_eq!(api.scheme(), "https");
    for (proto, version) in [(Proto::H1, "HTTP/1.1"), (Proto::H2, "HTTP/2.0")] {
        for host in ["127.0.0.1", "localhost", "api.test"] {
            let client = stage.client(proto);
            let body = crate::support::block_on(async {
                let tcp = tokio::net::TcpStream::connect(addr(&api)).await.unwrap();
                let tls = client.tls(tcp, &format!("https://{host}/").parse().unwrap()).await.unwrap();
                let request = http::Request::get(format!("https://{host}/x")).body(String::new()).unwrap();
                let io = hyper_util::rt::TokioIo::new(tls);
                let response = if proto == Proto::H2 {
                    let executor = hyper_util::rt::TokioExecutor::new();
                    let (mut send, run) = hyper::client::conn::http2::handshake(executor, io).await.unwrap();
                    tokio::spawn(run);
                    send.send_request(request).await.unwrap()
                } else {
                    let (mut send, run) = hyper::client::conn::http1::handshake(io).await.unwrap();
                    tokio::spawn(run);
                    send.send_request(request).await.unwrap()
                };
                http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes()
            });
            let echo: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!((&echo["uri"], &echo["version"]), (&"https://api.test/v1/x".into(), &version.into()), "{host}");
        }
    }
}

#[test]
fn reverse_port_is_reachable_through_the_proxy_port() {
    let stage = stage(false);
    let client = stage.client(Proto::H1);
    let api = url(&stage, "API");
    assert_eq!(client.get(&format!("{api}users")).json()["uri"], "https://api.test/v1/users");
    let tunnelled = stage.client(Proto::H2).send(TestRequest::new("GET", &format!("{api}users")));
    assert_eq!(tunnelled.json()["uri"], "https://api.test/v1/users");
}
