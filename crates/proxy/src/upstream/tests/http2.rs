use std::sync::atomic::{AtomicUsize, Ordering};

use ::http::StatusCode;
use http_body_util::StreamBody;
use tokio::sync::oneshot;

use super::*;

async fn origin() -> Way {
    Way::new(upstream(), https(tls_origin("origin", &["h2", "http/1.1"]).await))
}

/// An HTTP/2 origin without TLS, down to its frames; told the connection's number from 0.
async fn framed<F, S>(script: S) -> Way
where
    S: Fn(h2::server::Connection<TcpStream, Bytes>, usize) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let addr = scripted(move |stream, number| {
        let script = script.clone();
        async move { script(h2::server::handshake(stream).await.unwrap(), number).await }
    })
    .await;
    Way::plain(addr)
}

fn done() -> Response<()> {
    Response::builder().status(204).body(()).unwrap()
}

/// Drives a connection until its client closes it.
async fn run(mut connection: h2::server::Connection<TcpStream, Bytes>) {
    while let Some(Ok((_request, mut respond))) = connection.accept().await {
        respond.send_response(done(), true).unwrap();
    }
}

#[tokio::test]
async fn client_connections_share_one() {
    let way = origin().await;
    let other = way.another();
    let (a, b) = (way.get2("/a").await.unwrap(), other.get2("/b").await.unwrap());
    assert_eq!((a.connection, a.reused), (1, false));
    assert_eq!((b.connection, b.reused), (1, true));
    assert!(way.upstream.has_shared(&way.pool, &way.to));
    assert_eq!(other.secure(&["h2"]).await, Alpn::Http2);
    assert_eq!(way.upstream.opened(), 1, "there was no need for another");
    drop((way, a));
    assert_eq!(other.get2("/c").await.unwrap().connection, 1);
}

#[tokio::test]
async fn more_streams_than_a_window_has_room_for_are_on_another_connection() {
    let room = crate::limits::H2_UPSTREAM_WINDOW / crate::limits::H2_STREAM_WINDOW;
    let way = framed(|mut connection, _| async move {
        let mut unfinished = Vec::new();
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            match request.uri().path() {
                "/unread" => unfinished.push(respond.send_response(Response::new(()), false).unwrap()),
                _ => drop(respond.send_response(done(), true).unwrap()),
            }
        }
    })
    .await;
    let mut unread = Vec::new();
    for _ in 0..2 * room {
        let request = way.request("GET", "/unread").version(Version::HTTP_2).body(empty()).unwrap();
        unread.push(way.send(request).await.unwrap());
    }
    assert!(unread[..room as usize].iter().all(|answer| answer.connection == 1));
    assert!(unread[room as usize..].iter().all(|answer| answer.connection == 2));
    assert_eq!(way.another().get2("/").await.unwrap().connection, 3, "whoever comes is not held up");
    unread.pop();
    assert_eq!(way.get2("/").await.unwrap().connection, 2, "the first that has room");
}

#[tokio::test]
async fn many_at_once_make_one() {
    let way = Arc::new(origin().await);
    let sent: Vec<_> = (0..20)
        .map(|_| {
            tokio::spawn({
                let way = way.clone();
                async move { way.get2("/").await }
            })
        })
        .collect();
    let mut fresh = 0;
    for got in sent {
        fresh += usize::from(!got.await.unwrap().unwrap().reused);
    }
    assert_eq!((way.upstream.opened(), fresh), (1, 1));
}

#[tokio::test]
async fn sessions_do_not_share() {
    let way = origin().await;
    way.get2("/").await.unwrap();
    let named = crate::origin::Session(Some("other".into()));
    assert!(!way.upstream.has_shared(&way.pool.with_session(named.clone()), &way.to));
    let request = way.request("GET", "/").version(Version::HTTP_2).body(empty()).unwrap();
    let answer = way.upstream.send(&way.pool.with_session(named.clone()), &way.to, request).await.unwrap();
    assert_eq!(answer.connection, 2);
}

#[tokio::test]
async fn an_http1_client_keeps_connections_of_its_own() {
    let way = origin().await;
    way.get2("/").await.unwrap();
    let got = way.get("/").await.unwrap();
    assert_eq!(got.connection, 2);
    assert!(text(&got).contains("HTTP/1.1"));
}

#[tokio::test]
async fn heads_are_made_for_http2() {
    let way = origin().await;
    way.secure(&["h2"]).await;
    let to = &way.to;
    let mut request = way.request("POST", "/p?q=%20").version(Version::HTTP_2);
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
    let got = Got::read(way.send(request.body(body).unwrap()).await.unwrap()).await;
    assert_eq!(
        text(&got),
        format!(
            "0 - HTTP/2.0 POST {to}/p?q=%20\nx-a: 1\nte: trailers\ncookie: a=1\ncookie: b=2\n\
             trailers: {{\"x-sum\": \"9\"}}\nbody"
        )
    );
}

#[tokio::test]
async fn a_host_that_stays_is_the_authority() {
    let way = origin().await;
    let request = way.request("GET", "/").version(Version::HTTP_2).header("host", "Front.test").extension(HostStays);
    let got = Got::read(way.send(request.body(empty()).unwrap()).await.unwrap()).await;
    assert_eq!(text(&got), "0 - HTTP/2.0 GET https://Front.test/\n");
}

#[tokio::test]
async fn no_length_is_added_or_lost() {
    let way = origin().await;
    for (method, length, body, told) in [
        ("POST", None, "", ""),
        ("POST", Some("0"), "", "content-length: 0\n"),
        ("GET", None, "", ""),
        ("PUT", Some("2"), "hi", "content-length: 2\nhi"),
    ] {
        let mut request = way.request(method, "/").version(Version::HTTP_2);
        if let Some(length) = length {
            request = request.header("content-length", length);
        }
        let got = Got::read(way.send(request.body(Full::new(Bytes::from(body))).unwrap()).await.unwrap()).await;
        assert_eq!(text(&got), format!("0 - HTTP/2.0 {method} {}/\n{told}", way.to), "{method} {length:?}");
    }
}

#[tokio::test]
async fn a_connection_after_goaway_takes_no_more() {
    let way = framed(|mut connection, number| async move {
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
    let first = way.get2("/").await.unwrap();
    assert_eq!(first.body.as_deref(), Ok(&b"whole"[..]), "what was under way ends well");
    while way.upstream.has_shared(&way.pool, &way.to) {
        tokio::task::yield_now().await;
    }
    let second = way.get2("/").await.unwrap();
    assert_eq!((second.connection, &second.head.headers["n"]), (2, &"1".parse().unwrap()));
}

#[tokio::test]
async fn a_refused_stream_is_sent_on_a_fresh_connection() {
    let seen = Arc::new(AtomicUsize::new(0));
    let count = seen.clone();
    let way = framed(move |mut connection, number| {
        let seen = count.clone();
        async move {
            if number == 0 {
                let (_, mut respond) = connection.accept().await.unwrap().unwrap();
                respond.send_response(done(), true).unwrap();
                let (_, mut respond) = connection.accept().await.unwrap().unwrap();
                respond.send_reset(h2::Reason::REFUSED_STREAM);
            }
            seen.fetch_add(1, Ordering::SeqCst);
            run(connection).await;
        }
    })
    .await;
    way.get2("/").await.unwrap();
    let got = way.get2("/").await.unwrap();
    assert_eq!((got.connection, got.head.status), (2, StatusCode::NO_CONTENT));
}

#[tokio::test]
async fn a_refused_upload_that_has_begun_is_not_sent_again() {
    let way = framed(|mut connection, number| async move {
        assert_eq!(number, 0, "no other connection");
        let (_, mut respond) = connection.accept().await.unwrap().unwrap();
        respond.send_response(done(), true).unwrap();
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
    way.get2("/").await.unwrap();
    let frames = futures_util::stream::once(async { Ok::<_, Infallible>(http_body::Frame::data("part".into())) });
    let body = StreamBody::new(Box::pin(futures_util::StreamExt::chain(frames, futures_util::stream::pending())));
    let request = way.request("POST", "/").version(Version::HTTP_2).body(body).unwrap();
    match way.send(request).await {
        Err(SendError::Upstream(error)) => assert_eq!(error.kind(), "reset"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_stream_that_is_reset_is_broken_and_the_connection_goes_on() {
    let way = framed(|mut connection, number| async move {
        assert_eq!(number, 0);
        let (_, mut respond) = connection.accept().await.unwrap().unwrap();
        respond.send_response(done(), true).unwrap();
        let (_, mut respond) = connection.accept().await.unwrap().unwrap();
        respond.send_reset(h2::Reason::INTERNAL_ERROR);
        run(connection).await;
    })
    .await;
    way.get2("/").await.unwrap();
    assert_eq!(kind(way.get2("/").await), "reset");
    assert_eq!(way.get2("/").await.unwrap().connection, 1);
}

#[tokio::test]
async fn a_shared_connection_that_dies_silently_is_stale() {
    let way = framed(|mut connection, _| async move {
        let (_, mut respond) = connection.accept().await.unwrap().unwrap();
        respond.send_response(done(), true).unwrap();
        let _request = connection.accept().await.unwrap().unwrap();
    })
    .await;
    way.get2("/").await.unwrap();
    assert_eq!(kind(way.get2("/").await), "stale");
    assert_eq!(way.get2("/").await.unwrap().connection, 2);
}

#[tokio::test]
async fn a_final_answer_before_the_upload_ends_its_stream() {
    let (tell, told) = oneshot::channel();
    let tell = Arc::new(Mutex::new(Some(tell)));
    let way = framed(move |mut connection, _| {
        let tell = tell.clone();
        async move {
            let (request, mut respond) = connection.accept().await.unwrap().unwrap();
            let answer = Response::builder().status(417).body(()).unwrap();
            let mut send = respond.send_response(answer, false).unwrap();
            send.send_data("no".into(), true).unwrap();
            let mut body = request.into_body();
            let reading = tokio::spawn(async move { body.data().await });
            let running = tokio::spawn(run(connection));
            let ended = reading.await.unwrap();
            tell.lock().unwrap().take().unwrap().send(ended).unwrap();
            running.await.unwrap();
        }
    })
    .await;
    let request = way.request("PUT", "/").version(Version::HTTP_2).header("expect", "100-continue");
    let got = Got::read(way.send(request.body(Full::new(Bytes::from("data"))).unwrap()).await.unwrap()).await;
    assert_eq!((got.head.status.as_u16(), text(&got)), (417, "no"));
    told.await.unwrap().unwrap().unwrap_err();
    assert_eq!(way.get2("/").await.unwrap().connection, 1, "only the stream is gone");
}

#[tokio::test]
async fn an_idle_connection_is_let_go() {
    let (gone, closed) = oneshot::channel();
    let gone = Arc::new(Mutex::new(Some(gone)));
    let way = framed(move |connection, number| {
        let gone = gone.clone();
        async move {
            run(connection).await;
            if number == 0 {
                gone.lock().unwrap().take().unwrap().send(()).unwrap();
            }
        }
    })
    .await;
    let plan = UpstreamPlan { timeouts: Timeouts { idle: Duration::from_millis(20), ..Timeouts::default() }, ..plan() };
    let way = Way::new(Upstream::anywhere(plan).unwrap(), way.to);
    way.get2("/").await.unwrap();
    closed.await.unwrap();
    assert_eq!(way.get2("/").await.unwrap().connection, 2);
}

#[tokio::test]
async fn a_slow_reader_holds_back_its_stream_and_no_other() {
    let way = framed(|mut connection, _| async move {
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            if request.uri().path() != "/flood" {
                respond.send_response(done(), true).unwrap();
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
    let flood = || way.request("GET", "/flood").version(Version::HTTP_2).body(empty()).unwrap();
    let unread = [way.send(flood()).await.unwrap(), way.send(flood()).await.unwrap(), way.send(flood()).await.unwrap()];
    assert_eq!(way.get2("/").await.unwrap().connection, 1);
    // What is under way on an unread stream is at most its window: then the origin waits for us.
    let mut body = unread.into_iter().next().unwrap().response.into_body();
    let mut read = 0;
    while read < 4 * crate::limits::H2_STREAM_WINDOW as usize {
        read += body.frame().await.unwrap().unwrap().into_data().unwrap().len();
    }
}
