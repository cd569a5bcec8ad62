use futures_util::FutureExt as _;
use http_body_util::StreamBody;
use tokio::sync::{mpsc, oneshot};

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_after_the_other_on_one_connection() {
    let (addr, _) = canned(OK).await;
    let way = Way::plain(addr);
    for n in 0..200 {
        let got = if n % 2 == 0 {
            way.get("/").await.unwrap()
        } else {
            let frames = ["a", "b"].map(|text| Ok::<_, Infallible>(http_body::Frame::data(text.into())));
            let body = StreamBody::new(futures_util::stream::iter(frames));
            Got::read(way.send(way.request("POST", "/").body(body).unwrap()).await.unwrap()).await
        };
        // At once: the connection is free before the client can know that the answer is complete.
        assert_eq!((got.connection, got.reused), (1, n > 0));
    }
    assert_eq!(way.upstream.opened(), 1);
}

#[tokio::test]
async fn several_at_once_take_several() {
    let (asked, mut told) = mpsc::unbounded_channel();
    let (go, gate) = tokio::sync::watch::channel(false);
    let addr = scripted(move |mut stream, _| {
        let (asked, mut gate) = (asked.clone(), gate.clone());
        async move {
            while read_head(&mut stream).await.is_some() {
                asked.send(()).unwrap();
                gate.wait_for(|open| *open).await.unwrap();
                stream.write_all(OK.as_bytes()).await.unwrap();
            }
        }
    })
    .await;
    let way = Way::plain(addr);
    let both = async { tokio::join!(way.get("/a"), way.get("/b")) };
    let release = async {
        told.recv().await.unwrap();
        told.recv().await.unwrap();
        go.send(true).unwrap();
    };
    let ((a, b), ()) = tokio::join!(both, release);
    let mut used = [a.unwrap().connection, b.unwrap().connection];
    used.sort_unstable();
    assert_eq!(used, [1, 2]);
    assert!(way.get("/c").await.unwrap().reused);
}

#[tokio::test]
async fn each_client_connection_has_its_own_and_takes_them_along() {
    let (gone, mut left) = mpsc::unbounded_channel();
    let addr = scripted(move |mut stream, number| {
        let gone = gone.clone();
        async move {
            while read_head(&mut stream).await.is_some() {
                stream.write_all(OK.as_bytes()).await.unwrap();
            }
            gone.send(number).unwrap();
        }
    })
    .await;
    let first = Way::plain(addr);
    let second = first.another();
    assert_eq!(first.get("/").await.unwrap().connection, 1);
    assert_eq!(second.get("/").await.unwrap().connection, 2);
    assert_eq!(first.get("/").await.unwrap().connection, 1);
    drop(first);
    assert_eq!(left.recv().await, Some(0));
    assert_eq!(second.get("/").await.unwrap().connection, 2);
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_its_time() {
    let (gone, closed) = oneshot::channel();
    let gone = Arc::new(Mutex::new(Some(gone)));
    let addr = scripted(move |mut stream, number| {
        let gone = gone.clone();
        async move {
            while read_head(&mut stream).await.is_some() {
                stream.write_all(OK.as_bytes()).await.unwrap();
            }
            if number == 0 {
                gone.lock().unwrap().take().unwrap().send(()).unwrap();
            }
        }
    })
    .await;
    let plan = UpstreamPlan { timeouts: Timeouts { idle: Duration::from_millis(20), ..Timeouts::default() }, ..plan() };
    let way = Way::new(Upstream::anywhere(plan).unwrap(), http(addr));
    way.get("/").await.unwrap();
    closed.await.unwrap();
    assert_eq!(way.get("/").await.unwrap().connection, 2);
}

#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_is_not_used() {
    let addr = scripted(|mut stream, _| async move {
        read_head(&mut stream).await;
        stream.write_all(OK.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
    })
    .await;
    let way = Way::plain(addr);
    for connection in 1..=20 {
        let got = way.get("/").await;
        match got {
            Ok(got) => assert_eq!(got.connection, connection),
            // The end was not there yet when the request was written: nobody can say that it was not seen.
            Err(SendError::Stale) => return,
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn a_reused_connection_that_dies_silently_is_stale_and_a_fresh_one_broken() {
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
                // Closed when it has the next request, without a word.
                log.push(read_request(&mut stream).await.unwrap());
            }
        })
        .await;
        (addr, log)
    };
    let way = Way::plain(addr);
    way.get("/").await.unwrap();
    let post = || way.request("POST", "/once").body(Full::new(Bytes::from("x"))).unwrap();
    assert!(matches!(way.send(post()).await, Err(SendError::Stale)));
    assert_eq!(log.all().len(), 1, "not sent again");
    match way.send(post()).await {
        Err(SendError::Upstream(error)) => assert_eq!((error.kind(), error.status()), ("reset", 502)),
        other => panic!("{other:?}"),
    }
    assert_eq!(log.all().len(), 2);
}

#[tokio::test]
async fn a_connection_that_dies_in_the_middle_of_a_head_is_broken() {
    let addr = scripted(|mut stream, _| async move {
        read_head(&mut stream).await;
        stream.write_all(OK.as_bytes()).await.unwrap();
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 O").await.unwrap();
    })
    .await;
    let way = Way::plain(addr);
    way.get("/").await.unwrap();
    assert_eq!(kind(way.get("/").await), "reset");
}

/// Keeps a connection on which nobody ever answers the call to begin: its driver is gone.
async fn keep_dead(way: &Way) {
    let (near, far) = tokio::io::duplex(64);
    let dialled = Dialled {
        to: way.to.clone(),
        stream: crate::stream::ByteStream::new(near),
        id: 99,
        remote: None,
        timings: ConnectTimings::default(),
        form: route::TargetForm::Origin,
    };
    let mut dead = connection::Http1::start(dialled, LONG, || {}).await.unwrap();
    dead.fresh = None;
    dead.send.ready().await.unwrap();
    // Its end is there to be read, but the driver has not run since: `ready` still says yes.
    drop(far);
    way.pool.put(&way.to, IdleConnection::Http1(Box::new(dead)));
}

/// hyper gives a request back that it has not begun when its connection ends.
#[tokio::test]
async fn a_request_that_was_never_started_goes_to_a_fresh_connection() {
    let (addr, log) = canned(OK).await;
    let way = Way::plain(addr);
    keep_dead(&way).await;
    let body = StreamBody::new(futures_util::stream::iter([Ok::<_, Infallible>(http_body::Frame::data("hi".into()))]));
    let request = way.request("POST", "/").body(body).unwrap();
    let got = Got::read(way.send(request).await.unwrap()).await;
    assert_eq!((text(&got), got.reused), ("ok", false));
    assert!(log.only().ends_with("\r\n\r\n2\r\nhi\r\n0\r\n\r\n"));
}

#[tokio::test]
async fn each_answer_on_a_connection_has_the_whole_time_limit() {
    let addr = scripted(|mut stream, _| async move {
        for _ in 0..2 {
            read_head(&mut stream).await;
            stream.write_all(OK.as_bytes()).await.unwrap();
        }
        // The third is never answered.
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    })
    .await;
    let limit = Duration::from_secs(1);
    let plan = UpstreamPlan { timeouts: Timeouts { answer: limit, ..Timeouts::default() }, ..plan() };
    let way = Way::new(Upstream::anywhere(plan).unwrap(), http(addr));
    way.get("/").await.unwrap();
    assert!(way.get("/").await.unwrap().reused);
    let asked = std::time::Instant::now();
    assert_eq!(kind(way.get("/").await), "timeout");
    assert!(asked.elapsed() >= limit);
}

#[tokio::test]
async fn its_head_is_the_same_then() {
    // One that goes on as it is, and one that is made anew.
    for (host, more) in [("", ""), ("other.test", "connection: x-hop\r\nx-hop: 1\r\n")] {
        let (addr, log) = canned(OK).await;
        let way = Way::plain(addr);
        keep_dead(&way).await;
        let host = if host.is_empty() { way.to.authority() } else { host.to_owned() };
        let mut request = way.request("GET", "/a?b").header("x-first", "1").header("host", &host).header("x-last", "2");
        for line in more.lines() {
            let (name, value) = line.split_once(": ").unwrap();
            request = request.header(name, value);
        }
        let got = Got::read(way.send(request.body(empty()).unwrap()).await.unwrap()).await;
        assert_eq!((text(&got), got.reused), ("ok", false));
        let host = way.to.authority();
        assert_eq!(log.only(), format!("GET /a?b HTTP/1.1\r\nx-first: 1\r\nhost: {host}\r\nx-last: 2\r\n\r\n"));
    }
}

#[tokio::test]
async fn an_answer_that_nobody_reads_costs_its_connection() {
    let addr = scripted(|mut stream, _| async move {
        while read_head(&mut stream).await.is_some() {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nonly so much").await;
        }
    })
    .await;
    let way = Way::plain(addr);
    drop(way.send(way.request("GET", "/").body(empty()).unwrap()).await.unwrap());
    let answer = way.send(way.request("GET", "/").body(empty()).unwrap()).await.unwrap();
    assert_eq!(answer.connection, 2);
}

#[tokio::test]
async fn a_request_that_nobody_waits_for_is_not_sent_and_costs_its_connection() {
    let (addr, log) = canned(OK).await;
    let way = Way::plain(addr);
    way.get("/first").await.unwrap();
    let request = way.request("GET", "/dropped").body(empty()).unwrap();
    assert!(way.upstream.send(&way.pool, &way.to, request).now_or_never().is_none());
    let last = way.get("/last").await.unwrap();
    assert_eq!((last.connection, last.reused), (2, false));
    let asked: Vec<String> = log.all().iter().map(|head| head.split(' ').nth(1).unwrap().to_owned()).collect();
    assert_eq!(asked, ["/first", "/last"]);
}

#[tokio::test]
async fn a_failure_that_another_origin_has_yet_to_be_told_of_holds_nobody_up() {
    let (addr, _) = canned(OK).await;
    let way = Way::plain(addr);
    assert!(!way.get("/").await.unwrap().reused);
    let to = at(Scheme::Https, "127.0.0.1", closed_port());
    let dead = Way { upstream: way.upstream.clone(), pool: way.pool.clone(), to };
    way.pool.put_failure(&dead.to, way.upstream.dial(&dead.to).await.unwrap_err());
    for _ in 0..2 {
        let got = way.get("/").await.unwrap();
        assert_eq!((got.connection, got.reused), (1, true));
    }
    assert_eq!(kind(dead.get("/").await), "refused");
}

#[tokio::test]
async fn an_answer_before_the_upload_is_through_costs_its_connection() {
    let addr = scripted(|mut stream, _| async move {
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno").await.unwrap();
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    })
    .await;
    let plan = UpstreamPlan { timeouts: Timeouts { idle: Duration::from_millis(20), ..Timeouts::default() }, ..plan() };
    let way = Way::new(Upstream::anywhere(plan).unwrap(), http(addr));
    let (dropped, watched) = oneshot::channel();
    let request = way.request("POST", "/").header("content-length", "1000").body(Endless(Some(dropped))).unwrap();
    let got = Got::read(way.send(request).await.unwrap()).await;
    assert_eq!(text(&got), "no");
    // It is given some time, and then dropped.
    watched.await.unwrap();
    assert_eq!(way.get("/").await.unwrap().connection, 2);
}

/// Never says anything, and tells when it is dropped.
struct Endless(Option<oneshot::Sender<()>>);

impl http_body::Body for Endless {
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

impl Drop for Endless {
    fn drop(&mut self) {
        let _ = self.0.take().unwrap().send(());
    }
}

#[tokio::test]
async fn what_was_dialled_for_a_connect_serves_its_first_request() {
    let (addr, _) = canned(OK).await;
    let way = Way::plain(addr);
    let dialled = way.upstream.dial(&way.to).await.unwrap();
    way.pool.put_dialled(&way.to, dialled);
    let got = way.get("/").await.unwrap();
    assert_eq!((got.connection, got.reused), (1, false));
    assert!(way.get("/").await.unwrap().reused);
}

#[tokio::test]
async fn the_error_of_a_dial_answers_the_first_request() {
    let way = Way::new(upstream(), at(Scheme::Https, "127.0.0.1", closed_port()));
    let error = way.upstream.dial(&way.to).await.unwrap_err();
    assert_eq!((error.kind(), error.status()), ("refused", 502));
    way.pool.put_failure(&way.to, error);
    // Not dialled again: the answer is ready.
    assert_eq!(way.secure(&["h2", "http/1.1"]).await, Alpn::Http1);
    assert_eq!(kind(way.get("/").await), "refused");
}

#[tokio::test]
async fn a_server_that_speaks_first_loses_nothing() {
    let addr = scripted(|mut stream, _| async move {
        stream.write_all(b"220 mail.test\r\n").await.unwrap();
        let mut hello = [0; 4];
        stream.read_exact(&mut hello).await.unwrap();
        stream.write_all(&hello).await.unwrap();
    })
    .await;
    let mut dialled = upstream().dial(&http(addr)).await.unwrap();
    assert!(dialled.first_bytes().await.unwrap());
    assert!(dialled.first_bytes().await.unwrap(), "asking twice reads nothing");
    let mut io = dialled.into_io();
    io.write_all(b"EHLO").await.unwrap();
    let mut all = String::new();
    io.read_to_string(&mut all).await.unwrap();
    assert_eq!(all, "220 mail.test\r\nEHLO");
}

#[tokio::test]
async fn a_server_that_waits_says_nothing_first() {
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
        spoke = dialled.first_bytes() => panic!("{spoke:?}"),
        () = std::future::ready(()) => {}
    }
    drop(close);
    assert!(!dialled.first_bytes().await.unwrap());
}

#[tokio::test]
async fn names_that_do_not_resolve_and_servers_that_say_nothing_have_their_errors() {
    let way = Way::new(upstream(), at(Scheme::Http, "no-such-host.invalid", 80));
    assert_eq!(kind(way.get("/").await), "dns");

    let addr = scripted(|stream, _| async move {
        let _stream = stream;
        std::future::pending::<()>().await;
    })
    .await;
    let plan =
        UpstreamPlan { timeouts: Timeouts { connect: Duration::from_millis(50), ..Timeouts::default() }, ..plan() };
    let way = Way::new(Upstream::anywhere(plan).unwrap(), https(addr));
    match way.get("/").await {
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
