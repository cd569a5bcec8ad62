//! Framing, keep-alive, and the heads that the parser accepts and refuses.

use std::io::Read;
use std::time::Duration;

use super::stage::{EngineSettings, TestEngine};
use crate::support::client::{Proto, TestRequest};
use harproxy_tls::authority::Alpn;

#[test]
fn connection_is_kept_and_pipelined_requests_are_answered_in_order() {
    let stage = TestEngine::start();
    let mut raw = stage.raw();
    let requests: String = (0..3).map(|n| format!("GET http://a.test/{n} HTTP/1.1\r\n\r\n")).collect();
    raw.send(requests);
    for n in 0..3 {
        let echo = raw.echo();
        assert_eq!((&echo["uri"], &echo["connection"]), (&format!("http://a.test/{n}").into(), &1.into()));
    }
    raw.send("GET http://a.test/last HTTP/1.1\r\nConnection: close\r\n\r\n");
    raw.echo();
    assert_eq!(raw.rest(), b"");
}

#[test]
fn upload_waits_for_100_continue() {
    let stage = TestEngine::start();
    let mut raw = stage.raw();
    raw.send("POST http://a.test/ HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    assert_eq!(raw.head(), "HTTP/1.1 100 Continue\r\n\r\n");
    raw.send("body");
    assert_eq!(raw.echo()["body"], "body");

    raw.send("POST http://a.test/unread HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    assert!(raw.answer().0.starts_with("HTTP/1.1 501 "), "no 100 if the handler does not read the body");
}

#[test]
fn chunks_and_trailers_of_a_request_are_read() {
    let stage = TestEngine::start();
    let mut raw = stage.raw();
    raw.send("POST http://a.test/ HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n");
    let echo = raw.echo();
    assert_eq!(echo["body"], "abc");
    assert!(echo["trailers"].to_string().contains("x-sum"), "{echo}");
}

#[test]
fn trailers_are_sent_to_clients_with_te_trailers() {
    let stage = TestEngine::with(EngineSettings { alpn: Alpn::Http2, ..EngineSettings::default() });
    let mut raw = stage.raw();
    raw.send("GET http://a.test/trailers HTTP/1.1\r\nTE: trailers\r\nConnection: TE, close\r\n\r\n");
    let answer = raw.rest_text();
    assert!(answer.contains("trailer: x-sum\r\n"), "{answer}");
    assert!(answer.ends_with("4\r\nbody\r\n0\r\nx-sum: 42\r\n\r\n"), "{answer}");

    let mut raw = stage.raw();
    raw.send("GET http://a.test/trailers HTTP/1.1\r\nConnection: close\r\n\r\n");
    assert!(raw.rest_text().ends_with("4\r\nbody\r\n0\r\n\r\n"));

    let got = stage.client(Proto::H2).get("https://a.test/trailers");
    assert_eq!(got.trailers, [("x-sum".to_owned(), "42".to_owned())]);
}

#[test]
fn answers_without_a_body_have_none() {
    let stage = TestEngine::start();
    let mut raw = stage.raw();
    raw.send("HEAD http://a.test/some/length HTTP/1.1\r\n\r\n");
    let head = raw.head();
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("content-length: "), "{head}");
    raw.send("GET http://a.test/204 HTTP/1.1\r\n\r\n");
    let head = raw.head();
    assert!(head.starts_with("HTTP/1.1 204 ") && !head.contains("content-length"), "{head}");
    raw.send("GET http://a.test/304 HTTP/1.1\r\n\r\n");
    let head = raw.head();
    assert!(head.starts_with("HTTP/1.1 304 ") && head.contains("content-length: 1234\r\n"), "{head}");
    raw.send("GET http://a.test/next HTTP/1.1\r\n\r\n");
    raw.echo();

    let stage = TestEngine::with(EngineSettings { alpn: Alpn::Http2, ..EngineSettings::default() });
    let client = stage.client(Proto::H2);
    for (method, path, status) in [("HEAD", "x", 200), ("GET", "204", 204), ("GET", "304", 304)] {
        let got = client.send(TestRequest::new(method, &format!("https://a.test/{path}")));
        assert_eq!((got.status, got.body.len()), (status, 0), "{path}");
    }
}

#[test]
fn http_10_clients_are_served() {
    let stage = TestEngine::start();
    let mut raw = stage.raw();
    raw.send("GET http://a.test/trailers HTTP/1.0\r\n\r\n");
    let answer = raw.rest_text();
    assert!(answer.starts_with("HTTP/1.0 200 ") && answer.ends_with("\r\n\r\nbody"), "{answer}");

    let mut raw = stage.raw();
    raw.send("GET http://a.test/ HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_eq!(raw.echo()["version"], "HTTP/1.0");
    raw.send("GET http://a.test/ HTTP/1.0\r\n\r\n");
    raw.echo();
    assert_eq!(raw.rest(), b"");
}

#[test]
fn engine_adds_no_headers() {
    let stage = TestEngine::start();
    let mut raw = stage.raw();
    raw.send("GET http://a.test/ HTTP/1.1\r\n\r\n");
    let (head, _) = raw.answer();
    let names: Vec<&str> = head.lines().skip(1).filter_map(|line| Some(line.split_once(':')?.0)).collect();
    assert_eq!(names, ["content-type", "content-length"], "{head}");
}

#[test]
fn ambiguous_heads_are_refused() {
    let stage = TestEngine::start();
    let refused = [
        ("two lengths", "POST http://a.test/ HTTP/1.1\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nbody!"),
        ("an invalid length", "POST http://a.test/ HTTP/1.1\r\nContent-Length: x\r\n\r\n"),
        ("a signed length", "POST http://a.test/ HTTP/1.1\r\nContent-Length: +4\r\n\r\nbody"),
        ("an unknown last coding", "POST http://a.test/ HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n"),
        ("codings in HTTP/1.0", "POST http://a.test/ HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("a folded line", "GET http://a.test/ HTTP/1.1\r\nX-A: 1\r\n  folded\r\n\r\n"),
        ("a space before the colon", "GET http://a.test/ HTTP/1.1\r\nX-A : 1\r\n\r\n"),
        ("no version", "GET http://a.test/\r\n\r\n"),
        ("no method", " http://a.test/ HTTP/1.1\r\n\r\n"),
        ("a NUL", "GET http://a.test/ HTTP/1.1\r\nX-A: \0\r\n\r\n"),
        ("an invalid port", "GET http://a.test:x/ HTTP/1.1\r\nConnection: close\r\n\r\n"),
        ("another scheme", "GET ftp://a.test/ HTTP/1.1\r\nConnection: close\r\n\r\n"),
        ("neither TLS nor HTTP", "\x00\x01\x02\x03\r\n\r\n"),
    ];
    for (what, bytes) in refused {
        let mut raw = stage.raw();
        raw.send(bytes);
        let answer = raw.rest_text();
        assert!(answer.starts_with("HTTP/1.1 400 ") || answer.starts_with("HTTP/1.0 400 "), "{what}: {answer}");
    }

    // A chunked body wins over a length, and the connection is closed.
    let mut raw = stage.raw();
    raw.send("POST http://a.test/ HTTP/1.1\r\nContent-Length: 30\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\nGET");
    let echo = raw.echo();
    assert_eq!(echo["body"], "x");
    assert!(!echo["headers"].to_string().contains("content-length"), "{echo}");
    assert_eq!(raw.rest(), b"");

    let mut raw = stage.raw();
    raw.send("POST http://a.test/ HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\nConnection: close\r\n\r\n0\r\n\r\n");
    assert!(raw.rest_text().starts_with("HTTP/1.1 501 "));

    // Line ends without CR are accepted (RFC 9112 section 2.2) and normalised.
    let mut raw = stage.raw();
    raw.send("GET http://a.test/lf HTTP/1.1\nX-A: 1\n\n");
    let echo = raw.echo();
    assert_eq!(echo["headers"], serde_json::json!([["x-a", "1"]]));
}

#[test]
fn malformed_chunked_body_is_an_error() {
    let stage = TestEngine::start();
    let mut raw = stage.raw();
    raw.send("POST http://a.test/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n");
    let (_, body) = raw.answer();
    assert!(body.contains("error"), "{body}");
}

#[test]
fn long_heads_are_accepted_up_to_a_limit() {
    let stage = TestEngine::start();
    let mut raw = stage.raw();
    let long = "x".repeat(200 * 1024);
    raw.send(format!("GET http://a.test/ HTTP/1.1\r\nX-Long: {long}\r\nX-Longer: {long}\r\n\r\n"));
    assert_eq!(raw.echo()["headers"][1][1].as_str().unwrap().len(), long.len());
    let many: String = (0..1000).map(|n| format!("X-{n}: {n}\r\n")).collect();
    raw.send(format!("GET http://a.test/ HTTP/1.1\r\n{many}\r\n"));
    assert_eq!(raw.echo()["headers"].as_array().unwrap().len(), 1000);

    let mut raw = stage.raw();
    raw.send(format!("GET http://a.test/ HTTP/1.1\r\n{many}{many}{many}\r\n"));
    assert!(raw.rest_text().starts_with("HTTP/1.1 431 "));
    let mut raw = stage.raw();
    raw.send(format!("GET http://a.test/ HTTP/1.1\r\nX-Long: {}\r\n\r\n", "x".repeat(600 * 1024)));
    assert!(raw.rest_text().starts_with("HTTP/1.1 431 "));
    let mut raw = stage.raw();
    raw.send(format!("GET http://a.test/{} HTTP/1.1\r\n\r\n", "x".repeat(70 * 1024)));
    assert!(raw.rest_text().starts_with("HTTP/1.1 414 "));

    let stage = TestEngine::with(EngineSettings { alpn: Alpn::Http2, ..EngineSettings::default() });
    let get =
        |long: &str| stage.client(Proto::H2).send(TestRequest::new("GET", "https://a.test/").header("x-long", long));
    assert!(get(&long[..100 * 1024]).text().contains(&long[..100 * 1024]));
    assert_eq!(get(&long).status, 431);
}

#[test]
fn slow_heads_and_idle_connections_are_closed() {
    let short = Duration::from_millis(50);
    let stage = TestEngine::with(EngineSettings { head_timeout: short, ..EngineSettings::default() });
    for begun in ["G", "GET http://a.test/ HTTP/1.1\r\nX-A"] {
        let mut raw = stage.raw();
        raw.send(begun);
        raw.rest_text();
    }
    let mut raw = stage.raw();
    raw.send("GET http://a.test/ HTTP/1.1\r\n\r\n");
    raw.echo();
    raw.send("GET http://a.test/ HTTP/1.1\r\n");
    assert_eq!(raw.rest(), b"", "the second head was too slow");
    let mut raw = stage.tunnel("a.test:443");
    raw.send([0x16, 3, 1, 2, 0, 1]);
    assert_eq!(raw.rest(), b"", "the rest of the ClientHello is missing");

    let stage =
        TestEngine::with(EngineSettings { idle_timeout: short, head_timeout: short, ..EngineSettings::default() });
    assert_eq!(stage.raw().rest(), b"");
    let mut raw = stage.raw();
    raw.send("GET http://a.test/ HTTP/1.1\r\n\r\n");
    raw.echo();
    assert_eq!(raw.rest(), b"");
    assert_eq!(stage.tunnel("a.test:443").rest(), b"");
    let mut raw = stage.tunnel("a.test:80");
    // Preface and empty SETTINGS (RFC 9113 section 3.4). The answer is SETTINGS and finally GOAWAY.
    raw.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    let frames = raw.rest();
    assert!(frames.windows(5).any(|frame| frame == [8, 7, 0, 0, 0]), "{frames:?}");
}

#[test]
fn answer_reaches_the_client_despite_an_unread_upload() {
    let stage = TestEngine::start();
    let mut raw = stage.raw();
    let upload = vec![b'x'; 8 * 1024 * 1024];
    raw.send(format!("POST http://a.test/unread HTTP/1.1\r\nContent-Length: {}\r\n\r\n", upload.len()));
    // The client reads only after it has sent the whole upload.
    raw.send(&upload);
    let (head, body) = raw.answer();
    assert!(head.starts_with("HTTP/1.1 501 ") && body == "not read", "{head}{body}");
}

#[test]
fn close_ends_the_connection_without_a_byte() {
    let stage = TestEngine::with(EngineSettings { alpn: Alpn::Http2, ..EngineSettings::default() });
    let mut raw = stage.raw();
    raw.send("GET http://a.test/close HTTP/1.1\r\n\r\n");
    let mut byte = [0];
    assert_eq!(raw.0.read(&mut byte).unwrap(), 0);

    // Over HTTP/2 only the stream is reset.
    let (closed, after) = crate::support::block_on(async {
        let mut send = h2(&stage).await;
        let ask = |path: &str| http::Request::get(format!("https://a.test{path}")).body(String::new()).unwrap();
        let closed = send.send_request(ask("/close")).await.map(drop);
        (closed, send.send_request(ask("/after")).await.map(|response| response.status()))
    });
    assert!(closed.is_err());
    assert_eq!(after.unwrap(), 200);
}

/// An HTTP/2 connection inside a CONNECT.
async fn h2(stage: &TestEngine) -> hyper::client::conn::http2::SendRequest<String> {
    let tcp = tokio::net::TcpStream::connect(stage.addr).await.unwrap();
    let client = stage.client(Proto::H2);
    let url: url::Url = "https://a.test/".parse().unwrap();
    let tls = client.tls(client.tunnel(tcp, &url).await.unwrap(), &url).await.unwrap();
    let executor = hyper_util::rt::TokioExecutor::new();
    let io = hyper_util::rt::TokioIo::new(tls);
    let (send, connection) = hyper::client::conn::http2::handshake(executor, io).await.unwrap();
    tokio::spawn(connection);
    send
}

/// A client may send requests for other hosts of the same server on one connection (RFC 9113 section 9.1.1).
#[test]
fn http2_connection_serves_several_authorities() {
    let stage = TestEngine::with(EngineSettings { alpn: Alpn::Http2, ..EngineSettings::default() });
    crate::support::block_on(async {
        let mut send = h2(&stage).await;
        for (authority, origin) in
            [("a.test", "https://a.test"), ("B.test", "https://b.test"), ("a.test:443", "https://a.test")]
        {
            let request = http::Request::get(format!("https://{authority}/x")).body(String::new()).unwrap();
            let answer = send.send_request(request).await.unwrap().into_body();
            let body = http_body_util::BodyExt::collect(answer).await.unwrap().to_bytes();
            let echo: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(
                (&echo["origin"], &echo["connectTo"]),
                (&origin.into(), &"https://a.test".into()),
                "{authority}"
            );
        }
        let two = http::Request::get("https://a.test/x").header("host", "b.test").body(String::new()).unwrap();
        assert_eq!(send.send_request(two).await.unwrap().status(), 400);
    });
}

#[test]
fn failed_body_closes_the_connection_after_its_data() {
    let stage = TestEngine::with(EngineSettings { alpn: Alpn::Http2, ..EngineSettings::default() });
    let mut raw = stage.raw();
    raw.send("GET http://a.test/broken HTTP/1.1\r\n\r\n");
    let answer = raw.rest_text();
    assert!(answer.ends_with("\r\n\r\n4\r\nhalf\r\n"), "{answer}");

    // Over HTTP/2 the data also arrives if it was flushed before the failure.
    let results = ["/broken", "/broken-later"].map(|path| {
        crate::support::block_on(async {
            let mut send = h2(&stage).await;
            let request = http::Request::get(format!("https://a.test{path}")).body(String::new()).unwrap();
            let mut body = send.send_request(request).await.unwrap().into_body();
            let data = http_body_util::BodyExt::frame(&mut body).await.unwrap().unwrap().into_data().unwrap();
            if path == "/broken-later" {
                stage.echo.gate.notify_one();
            }
            let rest = http_body_util::BodyExt::collect(body);
            let rest = tokio::time::timeout(std::time::Duration::from_secs(20), rest)
                .await
                .expect("the failure arrives at once");
            (data, rest.map(drop))
        })
    });
    for (data, rest) in results {
        assert_eq!(data, "half");
        assert!(rest.is_err(), "the stream was reset");
    }
}
