//! Clients of HTTP/2 that ask for much and take little: upstream waits for them, and nobody else does.

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

use super::frames::{DEFAULT_WINDOW, Stingy};
use super::{descriptors, descriptors_come_back, peak, serves};
use crate::replay::stage::{entry, own, text};
use crate::support::block_on;
use crate::support::sandbox::{Sandbox, Server};

/// Streams that are opened and not read.
const STREAMS: u32 = 100;

/// What a client that takes little takes of each.
const LITTLE: u32 = 1000;

/// Bytes that one stream upstream may have under way.
const WINDOW: u64 = 1 << 20;

const MIB: u64 = 1 << 20;

/// What an origin sends, and how many of its answers are under way.
#[derive(Default)]
struct Flood {
    sent: u64,
    open: usize,
}

type Flooding = Arc<(Mutex<Flood>, Condvar)>;

/// An answer without end.
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

/// An origin without TLS, of HTTP/1.1 and HTTP/2: `/api/good` is good, everything else never ends.
fn origin() -> (SocketAddr, Flooding) {
    let flooding = Flooding::default();
    let (tell, told) = std::sync::mpsc::channel();
    let shared = flooding.clone();
    std::thread::spawn(move || {
        block_on(async move {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            tell.send(listener.local_addr().unwrap()).unwrap();
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
    (told.recv().unwrap(), flooding)
}

/// Two clients that don't read: one whose streams are narrow, one whose connection is.
fn stall(server: &Server, path: &str) -> [Stingy; 2] {
    let mut narrow = Stingy::with_window(server.proxy(), LITTLE);
    let streams: Vec<u32> = (0..STREAMS).map(|_| narrow.ask(path)).collect();
    narrow.until(|client| streams.iter().all(|stream| client.came(*stream).bytes == LITTLE as usize));
    // What is small passes what is stuck, on this very connection.
    narrow.is_served("/api/good", 4);

    let mut stuck = Stingy::new(server.proxy());
    let streams: Vec<u32> = (0..STREAMS).map(|_| stuck.ask(path)).collect();
    stuck.until(|client| {
        let came = || streams.iter().map(|stream| client.came(*stream));
        came().all(|came| came.heads == 1) && came().map(|came| came.bytes).sum::<usize>() == DEFAULT_WINDOW as usize
    });
    [narrow, stuck]
}

/// Everybody else is served, over either version.
fn others_are_served(server: &Server) {
    for _ in 0..10 {
        serves(server, "http://api.test/api/good");
        Stingy::new(server.proxy()).is_served("/api/good", 4);
    }
}

#[test]
fn streams_that_nobody_reads_make_upstream_wait_and_nobody_else() {
    let (addr, flooding) = origin();
    let sandbox = Sandbox::new();
    let map = format!("api.test:80={addr}");
    let recorder = sandbox.start(["record", "-o", "hars/api.har", "--max-body", "1kb", "--grace", "0s", "--map", &map]);
    others_are_served(&recorder);
    let (before, open) = (peak(&recorder), descriptors(&recorder));
    let clients = stall(&recorder, "/api/long");
    others_are_served(&recorder);

    let sent = flooding.0.lock().unwrap().sent;
    // What the two hold of each stream, and what the system has on its way.
    let most = u64::from(2 * STREAMS) * WINDOW + 64 * MIB;
    assert!(sent < most, "upstream did not wait: {} MiB", sent / MIB);
    let grown = peak(&recorder) - before;
    assert!(grown < 300, "{grown} MiB for {STREAMS} streams that nobody reads, twice");

    drop(clients);
    let (flood, fewer) = &*flooding;
    let left =
        fewer.wait_timeout_while(flood.lock().unwrap(), Duration::from_secs(120), |flood| flood.open > 0).unwrap();
    assert_eq!(left.0.open, 0, "all of them are given up");
    drop(left);
    // Connections of HTTP/2 to upstream stay for others until nobody has used them for a while: one for 32 streams.
    let kept = 2 * STREAMS as usize / 32;
    descriptors_come_back(&recorder, open + 4 + kept);
    recorder.stop().expect(0);
}

#[test]
fn payloads_that_nobody_reads_stay_where_they_are_at_replay() {
    const LONG: u64 = 64 * MIB;
    let sandbox = Sandbox::new();
    let long = |url: &str, content| entry(url, json!({"content": content}));
    let entries = [
        text("GET http://api.test/api/good", "good"),
        long(
            "GET http://api.test/api/file",
            json!({"size": LONG, "mimeType": "application/octet-stream", "_file": "api/x.bin"}),
        ),
        text("GET http://api.test/api/text", &"x".repeat(200_000)),
    ];
    sandbox.write("hars/api.har", own(&["http://api.test/**"], &entries).to_string());
    // A hole takes no room on the disk.
    std::fs::File::create(sandbox.write("hars/api/x.bin", "")).unwrap().set_len(LONG).unwrap();
    let server = sandbox.start(["replay", "hars/api.har"]);
    others_are_served(&server);
    let (before, open) = (peak(&server), descriptors(&server));
    let clients = [stall(&server, "/api/file"), stall(&server, "/api/text")];
    others_are_served(&server);
    let grown = peak(&server) - before;
    assert!(grown < 200, "{grown} MiB for {STREAMS} streams that nobody reads, four times");
    drop(clients);
    descriptors_come_back(&server, open + 4);
    server.stop().expect(0);
}
