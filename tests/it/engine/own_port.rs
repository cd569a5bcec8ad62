//! The proxy port: absolute form, sessions, credentials and the proxy's own pages.

use super::stage::{EngineSettings, TestEngine, authorization};
use crate::support::client::{Proto, TestRequest};

#[test]
fn absolute_form_wins_over_the_host_header() {
    let stage = TestEngine::start();
    let mut raw = stage.raw();
    raw.send(
        "GET http://User:pw@API.example.com:80/a%2Fb//c?q=%41#x HTTP/1.1\r\nHost: other.test\r\nX-MiXed: 1\r\n\r\n",
    );
    let echo = raw.echo();
    assert_eq!(echo["uri"], "http://api.example.com/a%2Fb//c?q=%41");
    assert_eq!(echo["origin"], "http://api.example.com");
    assert_eq!(echo["version"], "HTTP/1.1");
    assert_eq!(echo["hostStays"], false);
    assert_eq!(echo["headers"][0], serde_json::json!(["host", "other.test"]));

    raw.send("POST https://[0::1]:8443/x HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody");
    let echo = raw.echo();
    assert_eq!(echo["origin"], "https://[::1]:8443");
    assert_eq!(echo["uri"], "https://[::1]:8443/x");
    assert_eq!(echo["body"], "body");
    assert_eq!(echo["connection"], 1, "the connection was kept");
}

#[test]
fn proxy_port_accepts_http2_with_prior_knowledge() {
    let stage = TestEngine::start();
    let answer = crate::support::block_on(async {
        let tcp = tokio::net::TcpStream::connect(stage.addr).await.unwrap();
        let io = hyper_util::rt::TokioIo::new(tcp);
        let executor = hyper_util::rt::TokioExecutor::new();
        let (mut send, connection) = hyper::client::conn::http2::handshake(executor, io).await.unwrap();
        tokio::spawn(connection);
        let request = http::Request::get("http://api.test/x").body(String::new()).unwrap();
        let response = send.send_request(request).await.unwrap();
        http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes()
    });
    let echo: serde_json::Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!((&echo["uri"], &echo["version"]), (&"http://api.test/x".into(), &"HTTP/2.0".into()));
}

#[test]
fn proxy_port_accepts_tls() {
    let stage = TestEngine::start();
    let client = stage.client(Proto::H1);
    let (direct, inside) = crate::support::block_on(async {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let tcp = tokio::net::TcpStream::connect(stage.addr).await.unwrap();
        let own: url::Url = format!("https://{}/", stage.addr).parse().unwrap();
        let mut tls = client.tls(tcp, &own).await.unwrap();
        tls.write_all(b"GET http://api.test/a HTTP/1.1\r\n\r\n").await.unwrap();
        let mut direct = vec![0; 2048];
        let n = tls.read(&mut direct).await.unwrap();
        direct.truncate(n);

        tls.write_all(b"CONNECT api.test:443 HTTP/1.1\r\n\r\n").await.unwrap();
        let mut head = [0; 256];
        let n = tls.read(&mut head).await.unwrap();
        assert!(head[..n].starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&head[..n]));
        let mut inner = client.tls(tls, &"https://api.test/".parse().unwrap()).await.unwrap();
        inner.write_all(b"GET /b HTTP/1.1\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut inside = Vec::new();
        inner.read_to_end(&mut inside).await.unwrap();
        (direct, inside)
    });
    assert!(String::from_utf8_lossy(&direct).contains("http://api.test/a"));
    assert!(String::from_utf8_lossy(&inside).contains("https://api.test/b"));
}

#[test]
fn user_name_is_the_session_and_is_not_forwarded() {
    let stage = TestEngine::start();
    let mut raw = stage.raw();
    for (credentials, session) in [(Some("worker-3:x"), Some("worker-3")), (None, None), (Some("w4:"), Some("w4"))] {
        let header = credentials.map(authorization).unwrap_or_default();
        raw.send(format!("GET http://a.test/ HTTP/1.1\r\n{header}\r\n"));
        let echo = raw.echo();
        assert_eq!(echo["session"].as_str(), session);
        assert!(!echo["headers"].to_string().contains("proxy-authorization"), "{echo}");
    }
}

#[test]
fn connect_sets_the_session_of_all_requests_inside() {
    let stage = TestEngine::start();
    let mut client = stage.client(Proto::H1);
    client.user = Some("worker-5".into());
    assert_eq!(client.get("https://a.test/").json()["session"], "worker-5");
}

#[test]
fn auth_requires_the_right_credentials() {
    let stage = TestEngine::with(EngineSettings { auth: Some("me:secret"), ..EngineSettings::default() });
    let mut raw = stage.raw();
    for wrong in ["", "me:wrong", "you:secret", "me+x:wrong"] {
        let header = if wrong.is_empty() { String::new() } else { authorization(wrong) };
        for request in ["GET http://a.test/", "CONNECT a.test:443"] {
            raw.send(format!("{request} HTTP/1.1\r\n{header}\r\n"));
            let (head, body) = raw.answer();
            assert!(head.starts_with("HTTP/1.1 407 "), "{head}");
            assert!(head.contains("proxy-authenticate: Basic realm=\"harproxy\"\r\n"), "{head}");
            assert!(body.contains("--auth") && !body.contains("secret"), "{body}");
        }
    }
    raw.send(format!("GET http://a.test/ HTTP/1.1\r\n{}\r\n", authorization("me+w1:secret")));
    assert_eq!(raw.echo()["session"], "w1");
    let mut client = stage.client(Proto::H2);
    client.user = Some("me:secret".into());
    assert_eq!(client.get("http://a.test/").json()["session"], serde_json::Value::Null);
}

#[test]
fn own_pages_require_an_own_host_name() {
    let stage = TestEngine::start();
    let port = stage.addr.port();
    let get = |path: &str, headers: &str| {
        let mut raw = stage.raw();
        raw.send(format!("GET {path} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n"));
        raw.rest_text()
    };
    let own = format!("Host: 127.0.0.1:{port}\r\n");
    let page = get("/", &own);
    assert!(page.starts_with("HTTP/1.1 200 ") && page.contains("text/html") && page.contains("/ca.pem"), "{page}");
    assert!(page.contains(&format!("HTTP_PROXY=http://127.0.0.1:{port}")), "{page}");
    assert!(get("/healthz", &format!("Host: localhost:{port}\r\n")).ends_with("{\"status\":\"ok\"}\n"));
    assert!(get("/ca.pem", &own).ends_with(&stage.ca));
    assert!(get("/nope", &own).starts_with("HTTP/1.1 404 "));

    for rebound in ["Host: evil.test\r\n", "Host: 127.0.0.1\r\n", "", "Host: a\r\nHost: b\r\n"] {
        for path in ["/", "/ca.pem", "/nope"] {
            let answer = get(path, rebound);
            assert!(answer.starts_with("HTTP/1.1 421 ") && answer.contains("HTTP_PROXY=http://127.0.0.1"), "{answer}");
        }
        // The health check answers under any name: a container knows the proxy by the name of its service.
        assert!(get("/healthz", rebound).ends_with("{\"status\":\"ok\"}\n"), "{rebound}");
    }
    let other_site = format!("{own}Origin: https://evil.test\r\n");
    assert!(get("/healthz", &other_site).starts_with("HTTP/1.1 421 "));
    assert!(get("/healthz", &format!("{own}Origin: http://127.0.0.1:{port}\r\n")).starts_with("HTTP/1.1 200 "));

    let mut raw = stage.raw();
    raw.send(format!("POST / HTTP/1.1\r\n{own}Content-Length: 0\r\n\r\n"));
    let (head, _) = raw.answer();
    assert!(head.starts_with("HTTP/1.1 405 ") && head.contains("allow: GET, HEAD"), "{head}");
}

#[test]
fn proxy_does_not_forward_to_itself() {
    let stage = TestEngine::start();
    let client = stage.client(Proto::H1);
    assert_eq!(client.get(&format!("http://{}/healthz", stage.addr)).text(), "{\"status\":\"ok\"}\n");
    let looped = client.send(TestRequest::new("POST", &format!("http://localhost:{}/healthz", stage.addr.port())));
    assert_eq!(looped.status, 508);
    assert!(looped.text().contains("own address"), "{}", looped.text());
    let error = client.try_send(TestRequest::new("GET", &format!("https://{}/", stage.addr))).unwrap_err().to_string();
    assert!(error.starts_with("HTTP/1.1 508 "), "{error}");
}
