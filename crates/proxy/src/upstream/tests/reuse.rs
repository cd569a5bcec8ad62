use futures_util::FutureExt as _;
use http_body_util::StreamBody;
use tokio::sync::{mpsc, oneshot};

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sequential_requests_use_one_connection() {
    let (addr, _) = canned(OK).await;
    let client = TestClient::plain(addr);
    for n in 0..200 {
        let got = if n % 2 == 0 {
            client.get("/").await.unwrap()
        } else {
            let frames = ["a", "b"].map(|text| Ok::<_, Infallible>(http_body::Frame::data(text.into())));
            let body = StreamBody::new(futures_util::stream::iter(frames));
            ReadAnswer::read(client.send(client.request("POST", "/").body(body).unwrap()).await.unwrap()).await
        };
        // At once: the connection is free before the client can know that the answer is complete.
        assert_eq!((got.connection, got.reused), (1, n > 0));
    }
    assert_eq!(client.upstream.opened(), 1);
}

#[tokio::test]
async fn concurrent_requests_use_separate_connections() {
    let (received, mut requests) = mpsc::unbounded_channel();
    let (go, gate) = tokio::sync::watch::channel(false);
    let addr = scripted(move |mut stream, _| {
        let (received, mut gate) = (received.clone(), gate.clone());
        async move {
            while read_head(&mut stream).await.is_some() {
                received.send(()).unwrap();
                gate.wait_for(|open| *open).await.unwrap();
                stream.write_all(OK.as_bytes()).await.unwrap();
            }
        }
    })
    .await;
    let client = TestClient::plain(addr);
    let both = async { tokio::join!(client.get("/a"), client.get("/b")) };
    let release = async {
        requests.recv().await.unwrap();
        requests.recv().await.unwrap();
        go.send(true).unwrap();
    };
    let ((a, b), ()) = tokio::join!(both, release);
    let mut used = [a.unwrap().connection, b.unwrap().connection];
    used.sort_unstable();
    assert_eq!(used, [1, 2]);
    assert!(client.get("/c").await.unwrap().reused);
}

#[tokio::test]
async fn upstream_connections_close_with_their_client_connection() {
    let (report, mut closed) = mpsc::unbounded_channel();
    let addr = scripted(move |mut stream, number| {
        let report = report.clone();
        async move {
            while read_head(&mut stream).await.is_some() {
                stream.write_all(OK.as_bytes()).await.unwrap();
            }
            report.send(number).unwrap();
        }
    })
    .await;
    let first = TestClient::plain(addr);
    let second = first.another();
    assert_eq!(first.get("/").await.unwrap().connection, 1);
    assert_eq!(second.get("/").await.unwrap().connection, 2);
    assert_eq!(first.get("/").await.unwrap().connection, 1);
    drop(first);
    assert_eq!(closed.recv().await, Some(0));
    assert_eq!(second.get("/").await.unwrap().connection, 2);
}

#[tokio::test]
async fn idle_connection_is_closed_after_its_timeout() {
    let (report, closed) = oneshot::channel();
    let report = Arc::new(Mutex::new(Some(report)));
    let addr = scripted(move |mut stream, number| {
        let report = report.clone();
        async move {
            while read_head(&mut stream).await.is_some() {
                stream.write_all(OK.as_bytes()).await.unwrap();
            }
            if number == 0 {
                report.lock().unwrap().take().unwrap().send(()).unwrap();
            }
        }
    })
    .await;
    let plan = UpstreamPlan { timeouts: Timeouts { idle: Duration::from_millis(20), ..Timeouts::default() }, ..plan() };
    let client = TestClient::new(Upstream::anywhere(plan).unwrap(), http(addr));
    client.get("/").await.unwrap();
    closed.await.unwrap();
    assert_eq!(client.get("/").await.unwrap().connection, 2);
}

#[tokio::test]
async fn closed_connection_is_not_used() {
    let addr = scripted(|mut stream, _| async move {
        read_head(&mut stream).await;
        stream.write_all(OK.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
    })
    .await;
    let client = TestClient::plain(addr);
    for connection in 1..=20 {
        let got = client.get("/").await;
        match got {
            Ok(got) => assert_eq!(got.connection, connection),
            // The request was written before the end was read: upstream may have seen it.
            Err(SendError::Stale) => return,
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn reused_connection_that_closes_silently_is_stale_and_a_new_one_is_broken() {
    let (addr, log) = {
        let log = Log::default();
        let kept = log.clone();
        let addr = scripted(move |mut stream, number| {
            let log = kept.clone();
            async move {
                if number == 0 {
                    read_head(&mut stream).await;
                    stream.write_all(OK.as_bytes()).await.unwrap();
                }
                // Closed without an answer to the next request.
                log.push(read_request(&mut stream).await.unwrap());
            }
        })
        .await;
        (addr, log)
    };
    let client = TestClient::plain(addr);
    client.get("/").await.unwrap();
    let post = || client.request("POST", "/once").body(Full::new(Bytes::from("x"))).unwrap();
    assert!(matches!(client.send(post()).await, Err(SendError::Stale)));
    assert_eq!(log.all().len(), 1, "the request is not sent again");
    match client.send(post()).await {
        Err(SendError::Upstream(error)) => assert_eq!((error.kind(), error.status()), ("reset", 502)),
        other => panic!("{other:?}"),
    }
    assert_eq!(log.all().len(), 2);
}

#[tokio::test]
async fn connection_that_closes_within_a_head_is_broken() {
    let addr = scripted(|mut stream, _| async move {
        read_head(&mut stream).await;
        stream.write_all(OK.as_bytes()).await.unwrap();
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 O").await.unwrap();
    })
    .await;
    let client = TestClient::plain(addr);
    client.get("/").await.unwrap();
    assert_eq!(kind(client.get("/").await), "reset");
}

/// Puts a closed connection into the pool that still reports itself as ready.
async fn put_closed(client: &TestClient) {
    let (near, far) = tokio::io::duplex(64);
    let dialled = Dialled {
        stream: crate::stream::ByteStream::new(near),
        id: 99,
        remote: None,
        timings: ConnectTimings::default(),
        form: connection::TargetForm::Origin,
    };
    let mut closed = client.upstream.start(&client.pool, &client.to, dialled, false).await.unwrap();
    closed.state().fresh.lock().unwrap().take();
    let connection::Sender::Http1(send) = &mut closed.sender else { panic!("{closed:?}") };
    send.ready().await.unwrap();
    // The connection task has not read the end yet.
    drop(far);
    client.pool.lock().release(&client.to, closed);
}

/// hyper returns a request that it has not begun to write when the connection ends.
#[tokio::test]
async fn unwritten_request_is_sent_on_a_new_connection() {
    let (addr, log) = canned(OK).await;
    let client = TestClient::plain(addr);
    put_closed(&client).await;
    let body = StreamBody::new(futures_util::stream::iter([Ok::<_, Infallible>(http_body::Frame::data("hi".into()))]));
    let request = client.request("POST", "/").body(body).unwrap();
    let got = ReadAnswer::read(client.send(request).await.unwrap()).await;
    assert_eq!((text(&got), got.reused), ("ok", false));
    assert!(log.only().ends_with("\r\n\r\n2\r\nhi\r\n0\r\n\r\n"));
}

#[tokio::test]
async fn answer_timeout_begins_with_each_request() {
    let addr = scripted(|mut stream, _| async move {
        for _ in 0..2 {
            read_head(&mut stream).await;
            stream.write_all(OK.as_bytes()).await.unwrap();
        }
        // The third request gets no answer.
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    })
    .await;
    let limit = Duration::from_secs(1);
    let plan = UpstreamPlan { timeouts: Timeouts { answer: limit, ..Timeouts::default() }, ..plan() };
    let client = TestClient::new(Upstream::anywhere(plan).unwrap(), http(addr));
    client.get("/").await.unwrap();
    assert!(client.get("/").await.unwrap().reused);
    let sent = std::time::Instant::now();
    assert_eq!(kind(client.get("/").await), "timeout");
    assert!(sent.elapsed() >= limit);
}

#[tokio::test]
async fn unwritten_request_keeps_its_head() {
    // A head without and with changes.
    for (host, more) in [("", ""), ("other.test", "connection: x-hop\r\nx-hop: 1\r\n")] {
        let (addr, log) = canned(OK).await;
        let client = TestClient::plain(addr);
        put_closed(&client).await;
        let host = if host.is_empty() { client.to.authority() } else { host.to_owned() };
        let mut request =
            client.request("GET", "/a?b").header("x-first", "1").header("host", &host).header("x-last", "2");
        for line in more.lines() {
            let (name, value) = line.split_once(": ").unwrap();
            request = request.header(name, value);
        }
        let got = ReadAnswer::read(client.send(request.body(empty()).unwrap()).await.unwrap()).await;
        assert_eq!((text(&got), got.reused), ("ok", false));
        let host = client.to.authority();
        assert_eq!(log.only(), format!("GET /a?b HTTP/1.1\r\nx-first: 1\r\nhost: {host}\r\nx-last: 2\r\n\r\n"));
    }
}

#[tokio::test]
async fn unread_answer_closes_its_connection() {
    let addr = scripted(|mut stream, _| async move {
        while read_head(&mut stream).await.is_some() {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nonly so much").await;
        }
    })
    .await;
    let client = TestClient::plain(addr);
    drop(client.send(client.request("GET", "/").body(empty()).unwrap()).await.unwrap());
    let answer = client.send(client.request("GET", "/").body(empty()).unwrap()).await.unwrap();
    assert_eq!(answer.connection, 2);
}

#[tokio::test]
async fn dropped_request_is_not_sent_and_closes_its_connection() {
    let (addr, log) = canned(OK).await;
    let client = TestClient::plain(addr);
    client.get("/first").await.unwrap();
    let request = client.request("GET", "/dropped").body(empty()).unwrap();
    assert!(client.upstream.send(&client.pool, &client.to, request.map(Body::boxed)).now_or_never().is_none());
    let last = client.get("/last").await.unwrap();
    assert_eq!((last.connection, last.reused), (2, false));
    let paths: Vec<String> = log.all().iter().map(|head| head.split(' ').nth(1).unwrap().to_owned()).collect();
    assert_eq!(paths, ["/first", "/last"]);
}

#[tokio::test]
async fn stored_failure_of_one_origin_does_not_affect_others() {
    let (addr, _) = canned(OK).await;
    let client = TestClient::plain(addr);
    assert!(!client.get("/").await.unwrap().reused);
    let to = at(Scheme::Https, "127.0.0.1", closed_port());
    let failing = TestClient { upstream: client.upstream.clone(), pool: client.pool.clone(), to };
    client.pool.put_failure(&failing.to, client.upstream.dial(&failing.to).await.unwrap_err());
    for _ in 0..2 {
        let got = client.get("/").await.unwrap();
        assert_eq!((got.connection, got.reused), (1, true));
    }
    assert_eq!(kind(failing.get("/").await), "refused");
}

#[tokio::test]
async fn answer_before_the_end_of_the_upload_closes_the_connection() {
    let addr = scripted(|mut stream, _| async move {
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno").await.unwrap();
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    })
    .await;
    let plan = UpstreamPlan { timeouts: Timeouts { idle: Duration::from_millis(20), ..Timeouts::default() }, ..plan() };
    let client = TestClient::new(Upstream::anywhere(plan).unwrap(), http(addr));
    let (dropped, watched) = oneshot::channel();
    let request =
        client.request("POST", "/").header("content-length", "1000").body(PendingBody(Some(dropped))).unwrap();
    let got = ReadAnswer::read(client.send(request).await.unwrap()).await;
    assert_eq!(text(&got), "no");
    // The upload is dropped after a timeout.
    watched.await.unwrap();
    assert_eq!(client.get("/").await.unwrap().connection, 2);
}

/// A body that stays pending and reports its drop.
struct PendingBody(Option<oneshot::Sender<()>>);

impl http_body::Body for PendingBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        std::task::Poll::Pending
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(1000)
    }
}

impl Drop for PendingBody {
    fn drop(&mut self) {
        let _ = self.0.take().unwrap().send(());
    }
}

#[tokio::test]
async fn connection_dialled_for_a_connect_serves_the_first_request() {
    let (addr, _) = canned(OK).await;
    let client = TestClient::plain(addr);
    let dialled = client.upstream.dial(&client.to).await.unwrap();
    client.pool.put_dialled(&client.to, dialled);
    let got = client.get("/").await.unwrap();
    assert_eq!((got.connection, got.reused), (1, false));
    assert!(client.get("/").await.unwrap().reused);
}

#[tokio::test]
async fn dial_error_answers_the_first_request() {
    let client = TestClient::new(upstream(), at(Scheme::Https, "127.0.0.1", closed_port()));
    let error = client.upstream.dial(&client.to).await.unwrap_err();
    assert_eq!((error.kind(), error.status()), ("refused", 502));
    client.pool.put_failure(&client.to, error);
    // Not dialled again.
    assert_eq!(client.negotiate(&["h2", "http/1.1"]).await, Alpn::Http1);
    assert_eq!(kind(client.get("/").await), "refused");
}

#[tokio::test]
async fn greeting_of_a_server_is_not_lost() {
    let addr = scripted(|mut stream, _| async move {
        stream.write_all(b"220 mail.test\r\n").await.unwrap();
        let mut hello = [0; 4];
        stream.read_exact(&mut hello).await.unwrap();
        stream.write_all(&hello).await.unwrap();
    })
    .await;
    let mut dialled = upstream().dial(&http(addr)).await.unwrap();
    assert!(dialled.first_bytes().await.unwrap());
    assert!(dialled.first_bytes().await.unwrap(), "a second call reads nothing");
    let mut io = dialled.stream;
    io.write_all(b"EHLO").await.unwrap();
    let mut all = String::new();
    io.read_to_string(&mut all).await.unwrap();
    assert_eq!(all, "220 mail.test\r\nEHLO");
}

#[tokio::test]
async fn first_bytes_are_false_when_the_server_closes_silently() {
    let (close, wait) = oneshot::channel::<()>();
    let wait = Arc::new(tokio::sync::Mutex::new(Some(wait)));
    let addr = scripted(move |stream, _| {
        let wait = wait.clone();
        async move {
            let _ = wait.lock().await.take().unwrap().await;
            drop(stream);
        }
    })
    .await;
    let mut dialled = upstream().dial(&http(addr)).await.unwrap();
    tokio::select! {
        biased;
        spoken = dialled.first_bytes() => panic!("{spoken:?}"),
        () = std::future::ready(()) => {}
    }
    drop(close);
    assert!(!dialled.first_bytes().await.unwrap());
}

#[tokio::test]
async fn unresolved_names_and_silent_servers_are_errors() {
    let client = TestClient::new(upstream(), at(Scheme::Http, "no-such-host.invalid", 80));
    assert_eq!(kind(client.get("/").await), "dns");

    let addr = scripted(|stream, _| async move {
        let _stream = stream;
        std::future::pending::<()>().await;
    })
    .await;
    let plan =
        UpstreamPlan { timeouts: Timeouts { connect: Duration::from_millis(50), ..Timeouts::default() }, ..plan() };
    let client = TestClient::new(Upstream::anywhere(plan).unwrap(), https(addr));
    match client.get("/").await {
        Err(SendError::Upstream(error)) => {
            assert_eq!((error.kind(), error.status()), ("timeout", 504));
            assert_eq!(error.to_string(), format!("TLS with https://{addr} took longer than 50ms"));
        }
        other => panic!("{other:?}"),
    }
}

pub(super) fn closed_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
