//! An engine with a handler that echoes requests, and raw connections to it.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use futures_util::stream;
use harproxy_http::problem::Problem;
use harproxy_proxy::body::{Body, BodyEnd, BodyObserver, ObservedBody};
use harproxy_proxy::upstream::{Dialled, Upstream};
use harproxy_proxy::{
    BoxFuture, Close, Connection, ConnectionEvent, Credentials, Exchange, Handler, HostStays, Origin, Proxy, ProxyPlan,
    ReversePlan, Running, Tunnel, respond,
};
use harproxy_tls::authority::{Alpn, Authority};
use http::Response;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::support::client::{self, Proto};
use crate::support::raw::Raw;

/// A time limit that passes only if a test fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// More than the socket buffers of a connection hold.
pub static LONG: &[u8] = &[b'l'; 32 << 20];

/// Answers by the path of the request; see [`Echo::answer`].
pub struct Echo {
    events: Mutex<Sender<ConnectionEvent>>,
    ends: Mutex<Sender<String>>,
    pub gate: Arc<Notify>,
    pub entered: Mutex<Sender<()>>,
    alpn: Alpn,
    upstream: Option<Upstream>,
}

impl Handler for Echo {
    fn tunnel<'a>(&'a self, connection: &'a Connection, to: &'a Origin) -> BoxFuture<'a, Tunnel> {
        Box::pin(async {
            match (&*to.host, &self.upstream) {
                ("refused.test", _) => {
                    let detail = format!("session {:?}", connection.session().0);
                    Tunnel::Refuse(respond::problem(&Problem::new(403, "Refused", detail), "out-of-scope"))
                }
                ("tunnel.localhost", Some(upstream)) => Tunnel::PassThrough(upstream.dial(to).await.unwrap()),
                (_, Some(upstream)) => Tunnel::Intercept(upstream.dial(to).await.ok()),
                (_, None) => Tunnel::Intercept(None),
            }
        })
    }

    fn alpn<'a>(
        &'a self,
        _: &'a Connection,
        _: &'a Origin,
        _: &'a [Vec<u8>],
        _: Option<Dialled>,
    ) -> BoxFuture<'a, Alpn> {
        Box::pin(std::future::ready(self.alpn))
    }

    fn handle<'a>(
        &'a self,
        connection: &'a Connection,
        exchange: Exchange,
    ) -> BoxFuture<'a, Result<Response<Body>, Close>> {
        Box::pin(self.answer(connection, exchange))
    }

    fn event(&self, event: ConnectionEvent) {
        let _ = self.events.lock().unwrap().send(event);
    }
}

impl Echo {
    async fn answer(&self, connection: &Connection, exchange: Exchange) -> Result<Response<Body>, Close> {
        let plain = |status: u16, body: Body| Response::builder().status(status).body(body).unwrap();
        match exchange.request.uri().path() {
            "/close" => Err(Close),
            "/panic" => panic!("a panic in the handler"),
            "/long" => Ok(plain(200, Body::full(Bytes::from_static(LONG)))),
            "/unread" => Ok(plain(501, Body::full("not read"))),
            "/204" => Ok(plain(204, Body::default())),
            "/304" => {
                let mut response = plain(304, Body::default());
                response.headers_mut().insert("content-length", "1234".parse().unwrap());
                Ok(response)
            }
            "/trailers" => {
                let sum =
                    [("x-sum", "42")].into_iter().map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap())).collect();
                let frames = [Ok::<_, Close>(Frame::data(Bytes::from("body"))), Ok(Frame::trailers(sum))];
                let mut response = plain(200, Body::boxed(StreamBody::new(stream::iter(frames))));
                response.headers_mut().insert("trailer", "x-sum".parse().unwrap());
                Ok(response)
            }
            "/broken" => {
                let frames = [Ok(Frame::data(Bytes::from("half"))), Err(Close)];
                Ok(plain(200, Body::boxed(StreamBody::new(stream::iter(frames)))))
            }
            // Fails when the gate opens.
            "/broken-later" => {
                let gate = self.gate.clone();
                let first = stream::iter([Ok(Frame::data(Bytes::from("half")))]);
                let then = stream::once(async move {
                    gate.notified().await;
                    Err(Close)
                });
                let frames = Box::pin(futures_util::StreamExt::chain(first, then));
                Ok(plain(200, Body::boxed(StreamBody::new(frames))))
            }
            // Answers when the gate opens.
            "/gate" => {
                let _ = self.entered.lock().unwrap().send(());
                self.gate.notified().await;
                Ok(plain(200, Body::full("through the gate")))
            }
            "/endless" => {
                let pieces = stream::unfold(0, |n| async move {
                    if n > 0 {
                        std::future::pending::<()>().await;
                    }
                    Some((Ok::<_, Close>(Frame::data(Bytes::from("first"))), n + 1))
                });
                let watch = Box::new(EndReporter(self.ends.lock().unwrap().clone()));
                let body = ObservedBody::new(Body::boxed(StreamBody::new(pieces)), watch);
                Ok(plain(200, Body::boxed(body)))
            }
            "/upgrade" => Ok(upgrade(exchange)),
            _ => Ok(echo(connection, exchange).await),
        }
    }
}

/// The request that the handler received, as JSON.
async fn echo(connection: &Connection, exchange: Exchange) -> Response<Body> {
    let (parts, body) = exchange.request.into_parts();
    let body = match body.collect().await {
        Ok(body) => body,
        Err(error) => return Response::new(Body::full(format!("{{\"error\":\"{error}\"}}"))),
    };
    let trailers = body.trailers().map(|t| format!("{t:?}"));
    let headers: Vec<(String, String)> = parts
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    let text = json!({
        "method": parts.method.as_str(),
        "uri": parts.uri.to_string(),
        "version": format!("{:?}", parts.version),
        "origin": exchange.origin.to_string(),
        "connectTo": exchange.connect_to.to_string(),
        "session": connection.session().0.as_deref(),
        "connection": connection.id,
        "hostStays": parts.extensions.get::<HostStays>().is_some(),
        "headers": headers,
        "body": String::from_utf8_lossy(&body.to_bytes()),
        "trailers": trailers,
    });
    Response::builder().header("content-type", "application/json").body(Body::full(text.to_string())).unwrap()
}

/// Switches to a protocol that repeats every four bytes.
fn upgrade(mut exchange: Exchange) -> Response<Body> {
    let upgrade = hyper::upgrade::on(&mut exchange.request);
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut io = hyper_util::rt::TokioIo::new(upgrade.await.unwrap());
        let mut word = [0; 4];
        while io.read_exact(&mut word).await.is_ok() {
            io.write_all(&[word, word].concat()).await.unwrap();
        }
    });
    Response::builder()
        .status(101)
        .header("connection", "upgrade")
        .header("upgrade", "twice")
        .body(Body::default())
        .unwrap()
}

struct EndReporter(Sender<String>);

impl BodyObserver for EndReporter {
    fn data(&mut self, _: &Bytes) {}

    fn end(self: Box<Self>, end: BodyEnd) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            // Pending at the first poll, so that a drain has to wait for it.
            tokio::task::yield_now().await;
            let _ = self.0.send(format!("{end:?}"));
        })
    }
}

/// The settings of an engine under test.
pub struct EngineSettings {
    pub auth: Option<&'static str>,
    pub alpn: Alpn,
    pub head_timeout: Duration,
    pub idle_timeout: Duration,
    pub reverse: Vec<ReversePlan>,
    pub reverse_tls: bool,
    pub upstream: Option<Upstream>,
}

impl Default for EngineSettings {
    fn default() -> Self {
        EngineSettings {
            auth: None,
            alpn: Alpn::Http1,
            head_timeout: PATIENCE,
            idle_timeout: PATIENCE,
            reverse: Vec::new(),
            reverse_tls: false,
            upstream: None,
        }
    }
}

/// A running engine, with the events and body ends that it reports.
pub struct TestEngine {
    pub addr: SocketAddr,
    pub urls: Vec<(String, String)>,
    pub ca: String,
    pub echo: Arc<Echo>,
    pub events: Receiver<ConnectionEvent>,
    pub ends: Receiver<String>,
    pub entered: Receiver<()>,
    running: Option<Running>,
    runtime: tokio::runtime::Runtime,
    _dir: tempfile::TempDir,
}

impl TestEngine {
    pub fn start() -> Self {
        Self::with(EngineSettings::default())
    }

    pub fn with(setting: EngineSettings) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let authority = Arc::new(Authority::load_or_create(dir.path()).unwrap());
        let ca = authority.cert_pem().to_owned();
        let plan = ProxyPlan {
            listen: "127.0.0.1:0".parse().unwrap(),
            reverse: setting.reverse,
            reverse_tls: setting.reverse_tls,
            auth: setting.auth.map(|auth| {
                let (user, password) = auth.split_once(':').unwrap();
                Credentials { user: user.into(), password: password.into() }
            }),
            authority,
            head_timeout: setting.head_timeout,
            idle_timeout: setting.idle_timeout,
        };
        let (event, events) = channel();
        let (end, ends) = channel();
        let (enter, entered) = channel();
        let echo = Arc::new(Echo {
            events: Mutex::new(event),
            ends: Mutex::new(end),
            gate: Arc::default(),
            entered: Mutex::new(enter),
            alpn: setting.alpn,
            upstream: setting.upstream,
        });
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let handler = echo.clone();
        let (addr, urls, running) = runtime.block_on(async move {
            let proxy = Proxy::bind(plan).await.unwrap();
            (proxy.addr(), proxy.urls(), proxy.serve(handler))
        });
        TestEngine { addr, urls, ca, echo, events, ends, entered, running: Some(running), runtime, _dir: dir }
    }

    pub fn drain(&mut self, grace: Duration) {
        let running = self.running.take().unwrap();
        self.runtime.block_on(running.drain(grace));
    }

    /// Drains in the background and reports the end.
    pub fn start_drain(&mut self, grace: Duration) -> Receiver<()> {
        let running = self.running.take().unwrap();
        let (report, done) = channel();
        self.runtime.spawn(async move {
            running.drain(grace).await;
            let _ = report.send(());
        });
        done
    }

    pub fn client(&self, proto: Proto) -> client::Client {
        client::Client::new(self.addr, self.ca.clone(), proto)
    }

    pub fn raw(&self) -> Raw {
        Raw::to(self.addr)
    }

    /// A raw connection inside a CONNECT.
    pub fn tunnel(&self, to: &str) -> Raw {
        let mut raw = self.raw();
        raw.send(format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n"));
        let head = raw.head();
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        raw
    }

    pub fn next_event(&self) -> ConnectionEvent {
        self.events.recv_timeout(PATIENCE).expect("an event")
    }
}

impl Raw {
    /// Reads the echo of a request.
    #[track_caller]
    pub fn echo(&mut self) -> Value {
        let (head, body) = self.answer();
        assert!(head.starts_with("HTTP/1.1 200 ") || head.starts_with("HTTP/1.0 200 "), "{head}{body}");
        serde_json::from_str(&body).unwrap()
    }
}

/// A `Proxy-Authorization` header line.
pub fn authorization(credentials: &str) -> String {
    format!("Proxy-Authorization: Basic {}\r\n", base64::engine::general_purpose::STANDARD.encode(credentials))
}
