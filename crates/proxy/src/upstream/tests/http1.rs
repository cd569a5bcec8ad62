use ::http::StatusCode;
use http_body_util::StreamBody;

use super::*;

#[tokio::test]
async fn header_order_case_and_values_are_kept_and_nothing_is_added() {
    let (addr, log) = canned(OK).await;
    let client = TestClient::plain(addr);
    client
        .through(&format!(
            "POST /a%20b?x=1&x=2 HTTP/1.1\r\nX-MiXed: 1\r\nhOSt: {addr}\r\naCCept: a\r\nB: 2\r\nContent-LENGTH: 5\r\n\
         Accept: c\r\nX-Bytes: \u{e9}\r\nConnection: close\r\n\r\nhello"
        ))
        .await;
    assert_eq!(
        log.only(),
        format!(
            "POST /a%20b?x=1&x=2 HTTP/1.1\r\nX-MiXed: 1\r\nhOSt: {addr}\r\naCCept: a\r\nAccept: c\r\nB: 2\r\n\
             Content-LENGTH: 5\r\nX-Bytes: \u{e9}\r\n\r\nhello"
        )
    );
}

#[tokio::test]
async fn hop_by_hop_headers_are_generated_anew() {
    let (addr, log) = canned(OK).await;
    let client = TestClient::plain(addr);
    client
        .through(&format!(
            "GET / HTTP/1.1\r\nHost: {addr}\r\nConnection: X-Mine, keep-alive\r\nX-Mine: 1\r\nKeep-Alive: timeout=5\r\n\
         Proxy-Connection: keep-alive\r\nProxy-Authorization: Basic eA==\r\nTE: trailers, deflate;q=0.5\r\n\
         Upgrade: websocket\r\nX-Yours: 2\r\n\r\n"
        ))
        .await;
    // Upgrade has no effect: Connection does not name it.
    assert_eq!(
        log.only(),
        format!("GET / HTTP/1.1\r\nHost: {addr}\r\nConnection: TE\r\nTE: trailers\r\nX-Yours: 2\r\n\r\n")
    );
}

#[tokio::test]
async fn connection_header_cannot_remove_content_length() {
    let (addr, log) = canned(OK).await;
    let client = TestClient::plain(addr);
    client
        .through(&format!(
            "POST / HTTP/1.1\r\nHost: {addr}\r\nConnection: Content-Length, Host, close\r\nContent-Length: 2\r\n\r\nhi"
        ))
        .await;
    assert_eq!(log.only(), format!("POST / HTTP/1.1\r\nHost: {addr}\r\nContent-Length: 2\r\n\r\nhi"));
}

#[tokio::test]
async fn framing_of_the_client_is_kept() {
    for (request, sent) in [
        ("GET / HTTP/1.1\r\nHost: h\r\n\r\n", "GET / HTTP/1.1\r\nHost: h\r\n\r\n"),
        ("DELETE / HTTP/1.1\r\nHost: h\r\n\r\n", "DELETE / HTTP/1.1\r\nHost: h\r\n\r\n"),
        ("POST / HTTP/1.1\r\nHost: h\r\n\r\n", "POST / HTTP/1.1\r\nHost: h\r\n\r\n"),
        (
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
        ),
        (
            "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi",
            "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi",
        ),
        (
            "GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nX: y\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nX: y\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        ),
        (
            "POST / HTTP/1.1\r\nHost: h\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n\
             2\r\nhi\r\n0\r\nX-Sum: 7\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: h\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n\
             2\r\nhi\r\n0\r\nx-sum: 7\r\n\r\n",
        ),
        (
            // Conflicting lengths: chunked wins, and upstream sees no conflict (RFC 9112 section 6.3).
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        ),
        (
            // An HTTP/1.0 client: the proxy sends its own version (RFC 9110 section 2.5).
            "POST / HTTP/1.0\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi",
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi",
        ),
    ] {
        let (addr, log) = canned(OK).await;
        TestClient::plain(addr).through(request).await;
        assert_eq!(log.only(), sent);
    }
}

#[tokio::test]
async fn host_header_of_the_client_is_kept_if_it_names_the_target() {
    let (addr, log) = canned(OK).await;
    let upstream = Arc::new(Upstream::anywhere(UpstreamPlan { map: map("api.test", addr), ..plan() }).unwrap());
    for (to, request, host) in [
        // In origin form the Host header is kept, whatever the CONNECT target was.
        (at(Scheme::Http, "api.test", 80), "GET / HTTP/1.1\r\nHost: other.test\r\n\r\n", "Host: other.test"),
        // In absolute form it is ignored (RFC 9112 section 3.2.2), but keeps its spelling if it names the same host.
        (at(Scheme::Http, "api.test", 80), "GET http://api.test/ HTTP/1.1\r\nHost: b.test\r\n\r\n", "Host: api.test"),
        (
            at(Scheme::Http, "api.test", 80),
            "GET http://api.test/ HTTP/1.1\r\nHost: API.test:80\r\n\r\n",
            "Host: API.test:80",
        ),
        (
            at(Scheme::Http, "api.test", 81),
            "GET http://api.test:81/ HTTP/1.1\r\nHost: api.test\r\n\r\n",
            "Host: api.test:81",
        ),
        (at(Scheme::Http, "api.test", 80), "GET http://api.test/ HTTP/1.0\r\n\r\n", "host: api.test"),
    ] {
        let before = log.all().len();
        TestClient::new(upstream.clone(), to).through(request).await;
        assert_eq!(log.all()[before..], [format!("GET / HTTP/1.1\r\n{host}\r\n\r\n")], "{request}");
    }
}

#[tokio::test]
async fn http2_request_is_converted_to_http1() {
    let (addr, log) = canned(OK).await;
    let client = TestClient::plain(addr);
    // An idle HTTP/1.1 connection is used, as for an origin without HTTP/2.
    client.get("/first").await.unwrap();
    let mut request = client.request("POST", "/p?q").version(Version::HTTP_2);
    for (name, value) in [("cookie", "a=1"), ("x", "y"), ("cookie", "b=2"), ("te", "trailers"), ("cookie", "c=3")] {
        request = request.header(name, value);
    }
    let body = StreamBody::new(futures_util::stream::iter([Ok::<_, Infallible>(http_body::Frame::data("hi".into()))]));
    ReadAnswer::read(client.send(request.body(body).unwrap()).await.unwrap()).await;
    assert_eq!(
        log.all()[1],
        format!(
            "POST /p?q HTTP/1.1\r\nhost: {addr}\r\ncookie: a=1; b=2; c=3\r\nx: y\r\nte: trailers\r\nconnection: TE\r\n\
             transfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
        )
    );
}

#[tokio::test]
async fn answer_head_is_unchanged() {
    let (addr, _) = canned(
        "HTTP/1.1 299 Fine Indeed\r\nX-ReQuest-ID: 7\r\nset-COOKIE: a=1\r\nETag: \"x\"\r\nSet-Cookie: b=2\r\n\
         Content-LENGTH: 2\r\n\r\nok",
    )
    .await;
    assert_eq!(
        TestClient::plain(addr).through("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await,
        "HTTP/1.1 299 Fine Indeed\r\nX-ReQuest-ID: 7\r\nset-COOKIE: a=1\r\nSet-Cookie: b=2\r\nETag: \"x\"\r\n\
         Content-LENGTH: 2\r\n\r\nok"
    );
}

#[tokio::test]
async fn answers_without_a_body_end_with_their_head() {
    for (method, head) in [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n"),
        ("HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 12345\r\nETag: \"x\"\r\n\r\n"),
    ] {
        let (addr, _) = canned(head).await;
        let client = TestClient::plain(addr);
        for reused in [false, true] {
            let request = client.request(method, "/").body(empty()).unwrap();
            let got = ReadAnswer::read(client.send(request).await.unwrap()).await;
            assert_eq!(got.body.as_deref(), Ok(&b""[..]), "{method} {head}");
            assert_eq!(got.reused, reused, "{method} {head}");
            let length = got.head.headers.get("content-length");
            assert_eq!(length.is_some(), head.contains("Content-Length"));
        }
    }
}

#[tokio::test]
async fn chunks_and_trailers_are_read() {
    let (addr, _) = canned(
        "HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 9\r\n\r\n",
    )
    .await;
    let client = TestClient::plain(addr);
    let got = client.get("/").await.unwrap();
    assert_eq!(text(&got), "abcde");
    assert_eq!(got.trailers.unwrap()["x-sum"], "9");
    assert!(client.get("/").await.unwrap().reused);
}

#[tokio::test]
async fn aborted_body_is_an_error() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n!\r\n",
    ] {
        let addr = scripted(move |mut stream, _| async move {
            read_head(&mut stream).await;
            stream.write_all(answer.as_bytes()).await.unwrap();
        })
        .await;
        let client = TestClient::plain(addr);
        client.get("/").await.unwrap().body.unwrap_err();
    }
}

#[tokio::test]
async fn body_can_end_with_the_connection() {
    let addr = scripted(|mut stream, _| async move {
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nall of it").await.unwrap();
    })
    .await;
    let client = TestClient::plain(addr);
    assert_eq!(text(&client.get("/").await.unwrap()), "all of it");
    assert!(!client.get("/").await.unwrap().reused);
}

#[tokio::test]
async fn informational_answers_are_collected() {
    let (addr, _) = canned(
        "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n\
         HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    )
    .await;
    let got = TestClient::plain(addr).get("/").await.unwrap();
    assert_eq!(text(&got), "ok");
    let statuses: Vec<_> = got.informational.iter().map(|(status, _)| status.as_u16()).collect();
    assert_eq!(statuses, [103, 102]);
    assert_eq!(got.informational[0].1["link"], "</a.css>");
}

#[tokio::test]
async fn folded_header_is_unfolded_and_space_before_the_colon_is_removed() {
    let (addr, _) = canned("HTTP/1.1 200 OK\r\nX: a\r\n b\r\nY : c\r\nContent-Length: 2\r\n\r\nok").await;
    let got = TestClient::plain(addr).get("/").await.unwrap();
    assert_eq!((&got.head.headers["x"], &got.head.headers["y"]), (&"a b".parse().unwrap(), &"c".parse().unwrap()));
}

#[tokio::test]
async fn long_heads_pass_in_both_directions() {
    let answer: &'static str = format!(
        "HTTP/1.1 200 OK\r\n{}Big: {}\r\nContent-Length: 2\r\n\r\nok",
        (0..2000).map(|n| format!("X-{n}: {n}\r\n")).collect::<String>(),
        "b".repeat(200_000)
    )
    .leak();
    let (addr, log) = canned(answer).await;
    let fields: String = (0..2000).map(|n| format!("Y-{n}: {n}\r\n")).collect();
    let long = "c".repeat(200_000);
    let got =
        TestClient::plain(addr).through(&format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}Long: {long}\r\n\r\n")).await;
    assert_eq!(got, answer);
    assert_eq!(log.only(), format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}Long: {long}\r\n\r\n"));
}

#[tokio::test]
async fn upgrade_returns_the_connection() {
    let addr = scripted(|mut stream, _| async move {
        let head = read_head(&mut stream).await.unwrap();
        assert!(head.contains("upgrade: websocket\r\nconnection: Upgrade\r\n"), "{head}");
        let answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nfirst ";
        stream.write_all(answer.as_bytes()).await.unwrap();
        let mut word = [0; 4];
        stream.read_exact(&mut word).await.unwrap();
        stream.write_all(&word).await.unwrap();
    })
    .await;
    let client = TestClient::plain(addr);
    let mut request = client.request("GET", "/").body(empty()).unwrap();
    for (name, value) in [("host", "h"), ("upgrade", "websocket"), ("connection", "keep-alive, Upgrade")] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let mut answer = client.send(request).await.unwrap();
    assert_eq!(answer.response.status(), StatusCode::SWITCHING_PROTOCOLS);
    let mut io = TokioIo::new(hyper::upgrade::on(&mut answer.response).await.unwrap());
    io.write_all(b"ping").await.unwrap();
    let mut all = String::new();
    io.read_to_string(&mut all).await.unwrap();
    assert_eq!(all, "first ping");
    assert!(client.pool.take(&client.to, false).is_none());
}

#[tokio::test]
async fn h2c_upgrade_is_removed() {
    let (addr, log) = canned(OK).await;
    TestClient::plain(addr)
        .through(
            "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
             HTTP2-Settings: AAMAAABk\r\n\r\n",
        )
        .await;
    assert_eq!(log.only(), "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
}
