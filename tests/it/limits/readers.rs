//! HTTP/2 clients that do not read: backpressure reaches upstream, and other clients are served.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Either, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde_json::json;

use super::frames::{DEFAULT_WINDOW, WindowedClient};
use super::{assert_served, descriptors, peak, wait_for_descriptors};
use crate::replay::stage::{entry, own, text};
use crate::support::block_on;
use crate::support::sandbox::{Sandbox, Server};

/// Number of streams that are opened and not read.
const STREAMS: u32 = 100;

/// Bytes that a client with a small window reads of each stream.
const SMALL_WINDOW: u32 = 1000;

/// Flow-control window of an upstream stream.
const WINDOW: u64 = 1 << 20;

const MIB: u64 = 1 << 20;

/// Bytes that the origin sent, and the number of its open answers.
#[derive(Default)]
struct Flood {
    sent: u64,
    open: usize,
}

type Flooding = Arc<(Mutex<Flood>, Condvar)>;

/// An endless answer.
struct Endless(Flooding);

impl Endless {
    fn of(flooding: &Flooding) -> Self {
        flooding.0.lock().unwrap().open += 1;
        Endless(flooding.clone())
    }
}

impl Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        const PIECE: &[u8] = &[b'x'; 16 << 10];
        self.0.0.lock().unwrap().sent += PIECE.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(PIECE)))))
    }
}

impl Drop for Endless {
    fn drop(&mut self) {
        self.0.0.lock().unwrap().open -= 1;
        self.0.1.notify_all();
    }
}

/// An origin for HTTP/1.1 and HTTP/2 without TLS. Answers except `/api/good` are endless.
fn origin() -> (SocketAddr, Flooding) {
    let flooding = Flooding::default();
    let (report, addr) = std::sync::mpsc::channel();
    let shared = flooding.clone();
    std::thread::spawn(move || {
        block_on(async move {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            report.send(listener.local_addr().unwrap()).unwrap();
            while let Ok((tcp, _)) = listener.accept().await {
                let flooding = shared.clone();
                let service = service_fn(move |request: Request<Incoming>| {
                    let body = match request.uri().path() {
                        "/api/good" => Either::Left(Full::from("good")),
                        _ => Either::Right(Endless::of(&flooding)),
                    };
                    async move { Ok::<_, Infallible>(Response::new(body.boxed())) }
                });
                tokio::spawn(async move {
                    let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(tcp), service).await;
                });
            }
        });
    });
    (addr.recv().unwrap(), flooding)
}

/// Two clients that do not read: one with small stream windows, one with a small connection window.
fn stall(server: &Server, path: &str) -> [WindowedClient; 2] {
    let mut narrow = WindowedClient::with_window(server.proxy(), SMALL_WINDOW);
    let streams: Vec<u32> = (0..STREAMS).map(|_| narrow.send(path)).collect();
    narrow.until(|client| streams.iter().all(|stream| client.received(*stream).bytes == SMALL_WINDOW as usize));
    // A small answer passes the blocked streams on the same connection.
    narrow.is_served("/api/good", 4);

    let mut stuck = WindowedClient::new(server.proxy());
    let streams: Vec<u32> = (0..STREAMS).map(|_| stuck.send(path)).collect();
    stuck.until(|client| {
        let received = || streams.iter().map(|stream| client.received(*stream));
        received().all(|received| received.heads == 1)
            && received().map(|received| received.bytes).sum::<usize>() == DEFAULT_WINDOW as usize
    });
    [narrow, stuck]
}

/// Asserts that other clients are served over HTTP/1.1 and HTTP/2.
fn assert_others_are_served(server: &Server) {
    for _ in 0..10 {
        assert_served(server, "http://api.test/api/good");
        WindowedClient::new(server.proxy()).is_served("/api/good", 4);
    }
}

#[test]
fn unread_streams_block_upstream_and_no_other_client() {
    let (addr, flooding) = origin();
    let sandbox = Sandbox::new();
    let map = format!("api.test:80={addr}");
    let recorder = sandbox.start(["record", "-o", "hars/api.har", "--max-body", "1kb", "--grace", "0s", "--map", &map]);
    assert_others_are_served(&recorder);
    let (before, open) = (peak(&recorder), descriptors(&recorder));
    let clients = stall(&recorder, "/api/long");
    assert_others_are_served(&recorder);

    let sent = flooding.0.lock().unwrap().sent;
    // The windows of both clients' streams, and the socket buffers.
    let max = u64::from(2 * STREAMS) * WINDOW + 64 * MIB;
    assert!(sent < max, "upstream did not wait: {} MiB", sent / MIB);
    let grown = peak(&recorder) - before;
    assert!(grown < 300, "{grown} MiB for {STREAMS} unread streams, twice");

    drop(clients);
    let (flood, fewer) = &*flooding;
    let left =
        fewer.wait_timeout_while(flood.lock().unwrap(), Duration::from_secs(120), |flood| flood.open > 0).unwrap();
    assert_eq!(left.0.open, 0, "all answers are cancelled");
    drop(left);
    // Idle HTTP/2 upstream connections are kept: one per 32 streams.
    let kept = 2 * STREAMS as usize / 32;
    wait_for_descriptors(&recorder, open + 4 + kept);
    recorder.stop().expect(0);
}

#[test]
fn unread_payloads_are_not_read_into_memory_at_replay() {
    const LONG: u64 = 64 * MIB;
    let sandbox = Sandbox::new();
    let long = |url: &str, content| entry(url, json!({"content": content}));
    let entries = [
        text("GET http://api.test/api/good", "good"),
        long(
            "GET http://api.test/api/file",
            json!({"size": LONG, "mimeType": "application/octet-stream", "_file": "api/0123456789abcdef.bin"}),
        ),
        text("GET http://api.test/api/text", &"x".repeat(200_000)),
    ];
    sandbox.write("hars/api.har", own(&["http://api.test/**"], &entries).to_string());
    // A sparse file.
    std::fs::File::create(sandbox.write("hars/api/0123456789abcdef.bin", "")).unwrap().set_len(LONG).unwrap();
    let server = sandbox.start(["replay", "hars/api.har"]);
    assert_others_are_served(&server);
    let (before, open) = (peak(&server), descriptors(&server));
    let clients = [stall(&server, "/api/file"), stall(&server, "/api/text")];
    assert_others_are_served(&server);
    let grown = peak(&server) - before;
    assert!(grown < 80, "{grown} MiB for {STREAMS} unread streams, four times");
    drop(clients);
    wait_for_descriptors(&server, open + 4);
    server.stop().expect(0);
}
