use std::sync::atomic::{AtomicUsize, Ordering};

use ::http::StatusCode;
use http_body_util::StreamBody;
use tokio::sync::oneshot;

use super::*;

async fn origin() -> TestClient {
    TestClient::new(upstream(), https(tls_origin("origin", &["h2", "http/1.1"]).await))
}

/// A scripted HTTP/2 origin without TLS. The script gets the number of the connection, from 0.
async fn scripted_h2<F, S>(script: S) -> TestClient
where
    S: Fn(h2::server::Connection<TcpStream, Bytes>, usize) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let addr = scripted(move |stream, number| {
        let script = script.clone();
        async move { script(h2::server::handshake(stream).await.unwrap(), number).await }
    })
    .await;
    TestClient::plain(addr)
}

fn no_content() -> Response<()> {
    Response::builder().status(204).body(()).unwrap()
}

/// Answers requests until the client closes the connection.
async fn run(mut connection: h2::server::Connection<TcpStream, Bytes>) {
    while let Some(Ok((_request, mut respond))) = connection.accept().await {
        respond.send_response(no_content(), true).unwrap();
    }
}

#[tokio::test]
async fn client_connections_share_a_connection() {
    let client = origin().await;
    let other = client.another();
    let (a, b) = (client.get2("/a").await.unwrap(), other.get2("/b").await.unwrap());
    assert_eq!((a.connection, a.reused), (1, false));
    assert_eq!((b.connection, b.reused), (1, true));
    assert!(client.upstream.has_shared(&client.pool, &client.to));
    assert_eq!(other.negotiate(&["h2"]).await, Alpn::Http2);
    assert_eq!(client.upstream.opened(), 1, "no second connection");
    drop((client, a));
    assert_eq!(other.get2("/c").await.unwrap().connection, 1);
}

#[tokio::test]
async fn streams_beyond_the_window_use_another_connection() {
    let room = crate::limits::H2_UPSTREAM_WINDOW / crate::limits::H2_STREAM_WINDOW;
    let client = scripted_h2(|mut connection, _| async move {
        let mut unfinished = Vec::new();
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            match request.uri().path() {
                "/unread" => unfinished.push(respond.send_response(Response::new(()), false).unwrap()),
                _ => drop(respond.send_response(no_content(), true).unwrap()),
            }
        }
    })
    .await;
    let mut unread = Vec::new();
    for _ in 0..2 * room {
        let request = client.request("GET", "/unread").version(Version::HTTP_2).body(empty()).unwrap();
        unread.push(client.send(request).await.unwrap());
    }
    assert!(unread[..room as usize].iter().all(|answer| answer.connection == 1));
    assert!(unread[room as usize..].iter().all(|answer| answer.connection == 2));
    assert_eq!(client.another().get2("/").await.unwrap().connection, 3, "a further stream is not blocked");
    unread.pop();
    assert_eq!(client.get2("/").await.unwrap().connection, 2, "the first connection with room");
}

#[tokio::test]
async fn concurrent_requests_open_one_connection() {
    let client = Arc::new(origin().await);
    let sent: Vec<_> = (0..20)
        .map(|_| {
            tokio::spawn({
                let client = client.clone();
                async move { client.get2("/").await }
            })
        })
        .collect();
    let mut fresh = 0;
    for got in sent {
        fresh += usize::from(!got.await.unwrap().unwrap().reused);
    }
    assert_eq!((client.upstream.opened(), fresh), (1, 1));
}

#[tokio::test]
async fn sessions_do_not_share_connections() {
    let client = origin().await;
    client.get2("/").await.unwrap();
    let named = crate::origin::Session(Some("other".into()));
    assert!(!client.upstream.has_shared(&client.pool.with_session(named.clone()), &client.to));
    let request = client.request("GET", "/").version(Version::HTTP_2).body(empty()).unwrap();
    let answer = client
        .upstream
        .send(&client.pool.with_session(named.clone()), &client.to, request.map(Body::boxed))
        .await
        .unwrap();
    assert_eq!(answer.connection, 2);
}

#[tokio::test]
async fn http1_client_has_connections_of_its_own() {
    let client = origin().await;
    client.get2("/").await.unwrap();
    let got = client.get("/").await.unwrap();
    assert_eq!(got.connection, 2);
    assert!(text(&got).contains("HTTP/1.1"));
}

#[tokio::test]
async fn head_is_converted_for_http2() {
    let client = origin().await;
    client.negotiate(&["h2"]).await;
    let to = &client.to;
    let mut request = client.request("POST", "/p?q=%20").version(Version::HTTP_2);
    for (name, value) in [
        ("host", "other.test"),
        ("x-a", "1"),
        ("connection", "te, x-mine"),
        ("x-mine", "gone"),
        ("te", "trailers, deflate"),
        ("transfer-encoding", "chunked"),
        ("cookie", "a=1"),
        ("upgrade", "websocket"),
        ("cookie", "b=2"),
        ("keep-alive", "x"),
    ] {
        request = request.header(name, value);
    }
    let frames = [
        Ok::<_, Infallible>(http_body::Frame::data("body".into())),
        Ok(http_body::Frame::trailers(HeaderMap::from_iter([("x-sum".parse().unwrap(), "9".parse().unwrap())]))),
    ];
    let body = StreamBody::new(futures_util::stream::iter(frames));
    let got = ReadAnswer::read(client.send(request.body(body).unwrap()).await.unwrap()).await;
    assert_eq!(
        text(&got),
        format!(
            "0 - HTTP/2.0 POST {to}/p?q=%20\nx-a: 1\nte: trailers\ncookie: a=1\ncookie: b=2\n\
             trailers: {{\"x-sum\": \"9\"}}\nbody"
        )
    );
}

#[tokio::test]
async fn kept_host_header_is_the_authority() {
    let client = origin().await;
    let request = client.request("GET", "/").version(Version::HTTP_2).header("host", "Front.test").extension(HostStays);
    let got = ReadAnswer::read(client.send(request.body(empty()).unwrap()).await.unwrap()).await;
    assert_eq!(text(&got), "0 - HTTP/2.0 GET https://Front.test/\n");
}

#[tokio::test]
async fn content_length_is_kept_and_not_added() {
    let client = origin().await;
    for (method, length, body, expected) in [
        ("POST", None, "", ""),
        ("POST", Some("0"), "", "content-length: 0\n"),
        ("GET", None, "", ""),
        ("PUT", Some("2"), "hi", "content-length: 2\nhi"),
    ] {
        let mut request = client.request(method, "/").version(Version::HTTP_2);
        if let Some(length) = length {
            request = request.header("content-length", length);
        }
        let got =
            ReadAnswer::read(client.send(request.body(Full::new(Bytes::from(body))).unwrap()).await.unwrap()).await;
        assert_eq!(text(&got), format!("0 - HTTP/2.0 {method} {}/\n{expected}", client.to), "{method} {length:?}");
    }
}

#[tokio::test]
async fn connection_after_goaway_gets_no_requests() {
    let client = scripted_h2(|mut connection, number| async move {
        let (request, mut respond) = connection.accept().await.unwrap().unwrap();
        let answer = Response::builder().status(200).header("n", number).body(()).unwrap();
        let mut body = respond.send_response(answer, false).unwrap();
        drop(request);
        if number == 0 {
            connection.graceful_shutdown();
        }
        let ending = tokio::spawn(async move { run(connection).await });
        body.send_data("whole".into(), true).unwrap();
        ending.await.unwrap();
    })
    .await;
    let first = client.get2("/").await.unwrap();
    assert_eq!(first.body.as_deref(), Ok(&b"whole"[..]), "the answer in progress is complete");
    while client.upstream.has_shared(&client.pool, &client.to) {
        tokio::task::yield_now().await;
    }
    let second = client.get2("/").await.unwrap();
    assert_eq!((second.connection, &second.head.headers["n"]), (2, &"1".parse().unwrap()));
}

#[tokio::test]
async fn refused_stream_is_sent_on_a_new_connection() {
    let seen = Arc::new(AtomicUsize::new(0));
    let count = seen.clone();
    let client = scripted_h2(move |mut connection, number| {
        let seen = count.clone();
        async move {
            if number == 0 {
                let (_, mut respond) = connection.accept().await.unwrap().unwrap();
                respond.send_response(no_content(), true).unwrap();
                let (_, mut respond) = connection.accept().await.unwrap().unwrap();
                respond.send_reset(h2::Reason::REFUSED_STREAM);
            }
            seen.fetch_add(1, Ordering::SeqCst);
            run(connection).await;
        }
    })
    .await;
    client.get2("/").await.unwrap();
    let got = client.get2("/").await.unwrap();
    assert_eq!((got.connection, got.head.status), (2, StatusCode::NO_CONTENT));
}

#[tokio::test]
async fn refused_upload_in_progress_is_not_sent_again() {
    let client = scripted_h2(|mut connection, number| async move {
        assert_eq!(number, 0, "no other connection");
        let (_, mut respond) = connection.accept().await.unwrap().unwrap();
        respond.send_response(no_content(), true).unwrap();
        let (request, mut respond) = connection.accept().await.unwrap().unwrap();
        let mut body = request.into_body();
        let reading = async {
            body.data().await.unwrap().unwrap();
            respond.send_reset(h2::Reason::REFUSED_STREAM);
        };
        tokio::select! {
            () = reading => {}
            _ = std::future::poll_fn(|cx| connection.poll_closed(cx)) => {}
        }
        run(connection).await;
    })
    .await;
    client.get2("/").await.unwrap();
    let frames = futures_util::stream::once(async { Ok::<_, Infallible>(http_body::Frame::data("part".into())) });
    let body = StreamBody::new(Box::pin(futures_util::StreamExt::chain(frames, futures_util::stream::pending())));
    let request = client.request("POST", "/").version(Version::HTTP_2).body(body).unwrap();
    match client.send(request).await {
        Err(SendError::Upstream(error)) => assert_eq!(error.kind(), "reset"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn reset_stream_is_an_error_and_the_connection_is_kept() {
    let client = scripted_h2(|mut connection, number| async move {
        assert_eq!(number, 0);
        let (_, mut respond) = connection.accept().await.unwrap().unwrap();
        respond.send_response(no_content(), true).unwrap();
        let (_, mut respond) = connection.accept().await.unwrap().unwrap();
        respond.send_reset(h2::Reason::INTERNAL_ERROR);
        run(connection).await;
    })
    .await;
    client.get2("/").await.unwrap();
    assert_eq!(kind(client.get2("/").await), "reset");
    assert_eq!(client.get2("/").await.unwrap().connection, 1);
}

#[tokio::test]
async fn shared_connection_that_closes_silently_is_stale() {
    let client = scripted_h2(|mut connection, _| async move {
        let (_, mut respond) = connection.accept().await.unwrap().unwrap();
        respond.send_response(no_content(), true).unwrap();
        let _request = connection.accept().await.unwrap().unwrap();
    })
    .await;
    client.get2("/").await.unwrap();
    assert_eq!(kind(client.get2("/").await), "stale");
    assert_eq!(client.get2("/").await.unwrap().connection, 2);
}

#[tokio::test]
async fn final_answer_before_the_upload_ends_the_stream() {
    let (report, ended) = oneshot::channel();
    let report = Arc::new(Mutex::new(Some(report)));
    let client = scripted_h2(move |mut connection, _| {
        let report = report.clone();
        async move {
            let (request, mut respond) = connection.accept().await.unwrap().unwrap();
            let answer = Response::builder().status(417).body(()).unwrap();
            let mut send = respond.send_response(answer, false).unwrap();
            send.send_data("no".into(), true).unwrap();
            let mut body = request.into_body();
            let reading = tokio::spawn(async move { body.data().await });
            let running = tokio::spawn(run(connection));
            let end = reading.await.unwrap();
            report.lock().unwrap().take().unwrap().send(end).unwrap();
            running.await.unwrap();
        }
    })
    .await;
    let request = client.request("PUT", "/").version(Version::HTTP_2).header("expect", "100-continue");
    let got = ReadAnswer::read(client.send(request.body(Full::new(Bytes::from("data"))).unwrap()).await.unwrap()).await;
    assert_eq!((got.head.status.as_u16(), text(&got)), (417, "no"));
    ended.await.unwrap().unwrap().unwrap_err();
    assert_eq!(client.get2("/").await.unwrap().connection, 1, "only the stream is closed");
}

#[tokio::test]
async fn idle_connection_is_closed() {
    let (report, closed) = oneshot::channel();
    let report = Arc::new(Mutex::new(Some(report)));
    let client = scripted_h2(move |connection, number| {
        let report = report.clone();
        async move {
            run(connection).await;
            if number == 0 {
                report.lock().unwrap().take().unwrap().send(()).unwrap();
            }
        }
    })
    .await;
    let plan = UpstreamPlan { timeouts: Timeouts { idle: Duration::from_millis(20), ..Timeouts::default() }, ..plan() };
    let client = TestClient::new(Upstream::anywhere(plan).unwrap(), client.to);
    client.get2("/").await.unwrap();
    closed.await.unwrap();
    assert_eq!(client.get2("/").await.unwrap().connection, 2);
}

#[tokio::test]
async fn slow_reader_blocks_its_own_stream_only() {
    let client = scripted_h2(|mut connection, _| async move {
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            if request.uri().path() != "/flood" {
                respond.send_response(no_content(), true).unwrap();
                continue;
            }
            let mut body = respond.send_response(Response::new(()), false).unwrap();
            tokio::spawn(async move {
                let chunk = Bytes::from(vec![0; 64 * 1024]);
                loop {
                    body.reserve_capacity(chunk.len());
                    match std::future::poll_fn(|cx| body.poll_capacity(cx)).await {
                        Some(Ok(room)) => body.send_data(chunk.slice(..room), false).unwrap(),
                        _ => return,
                    }
                }
            });
        }
    })
    .await;
    let flood = || client.request("GET", "/flood").version(Version::HTTP_2).body(empty()).unwrap();
    let unread =
        [client.send(flood()).await.unwrap(), client.send(flood()).await.unwrap(), client.send(flood()).await.unwrap()];
    assert_eq!(client.get2("/").await.unwrap().connection, 1);
    // An unread stream has at most its window in flight. Then the origin waits.
    let mut body = unread.into_iter().next().unwrap().response.into_body();
    let mut read = 0;
    while read < 4 * crate::limits::H2_STREAM_WINDOW as usize {
        read += body.frame().await.unwrap().unwrap().into_data().unwrap().len();
    }
}

#[tokio::test]
async fn request_is_converted_when_an_origin_without_tls_speaks_http1_only() {
    let log = Log::default();
    let shared = log.clone();
    let addr = scripted(move |mut stream, _| {
        let log = shared.clone();
        async move {
            while let Some(head) = read_head(&mut stream).await {
                log.push(head.lines().next().unwrap());
                if head.starts_with("PRI ") {
                    stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n").await.unwrap();
                    let _ = stream.read_to_end(&mut Vec::new()).await;
                    return;
                }
                stream.write_all(OK.as_bytes()).await.unwrap();
            }
        }
    })
    .await;
    let client = TestClient::plain(addr);
    assert_eq!(text(&client.get2("/a").await.unwrap()), "ok");
    assert_eq!(text(&client.get2("/b").await.unwrap()), "ok");
    assert_eq!(log.all(), ["PRI * HTTP/2.0", "GET /a HTTP/1.1", "GET /b HTTP/1.1"]);
    assert_eq!(client.upstream.opened(), 2);
}
