//! Chunked bodies (RFC 9112 section 7.1) through the engine. The forwarded body is equal to the received one, and an
//! incomplete body stays incomplete. A decoder that implements only the grammar checks this.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, OnceLock};
use std::thread::{JoinHandle, spawn};
use std::time::Duration;

use harproxy::diagnose::doctor::Doctor;
use harproxy::pipeline::EventBus;
use harproxy_proxy::upstream::{Timeouts, UpstreamPlan, UpstreamProxy};
use harproxy_proxy::{Proxy, ProxyPlan};
use harproxy_tls::authority::Authority;

/// A time limit that passes only if an invariant is violated.
const PATIENCE: Duration = Duration::from_secs(10);

/// The first byte selects the direction of the body, which is the rest.
pub fn check(data: &[u8]) {
    let Some((&way, body)) = data.split_first() else { return };
    if way % 2 == 0 { answer(body) } else { request(body) }
}

fn answer(body: &[u8]) {
    let output = [&b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"[..], body].concat();
    let origin = Origin::answering(output, |heard| heard.windows(4).any(|end| end == b"\r\n\r\n"));
    let mut client = connect();
    let head = format!("GET http://{0}/ HTTP/1.1\r\nHost: {0}\r\nConnection: close\r\n\r\n", origin.addr);
    client.write_all(head.as_bytes()).unwrap();
    let mut heard = Vec::new();
    // A reset ends the connection, too.
    let _ = client.read_to_end(&mut heard);
    origin.received();
    let sent = Chunks::of(body);
    let Some(got) = Message::of(&heard) else { panic!("no answer at all: {}", shown(&heard)) };
    if !got.head.starts_with("HTTP/1.1 200") {
        assert!(got.head.starts_with("HTTP/1.1 502") && !sent.is_clear(), "{}", got.head);
        return;
    }
    check_forwarded(&sent, &got);
}

fn request(body: &[u8]) {
    let answer = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
    let origin =
        Origin::answering(answer.to_vec(), |heard| Message::of(heard).is_some_and(|it| it.body().end != End::Cut));
    let mut client = connect();
    let head = format!(
        "POST http://{0}/ HTTP/1.1\r\nHost: {0}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
        origin.addr
    );
    let _ = client.write_all(&[head.as_bytes(), body].concat());
    let sent = Chunks::of(body);
    // Closes this half, since the engine may wait for the rest of an incomplete body.
    if !sent.is_clear() {
        let _ = client.shutdown(Shutdown::Write);
    }
    let mut output = Vec::new();
    let _ = client.read_to_end(&mut output);
    if sent.is_clear() {
        assert!(output.starts_with(b"HTTP/1.1 204"), "{}", shown(&output));
    }
    let heard = origin.received();
    let Some(got) = Message::of(&heard) else {
        assert!(!sent.is_clear(), "nothing came: {}", shown(&heard));
        return;
    };
    check_forwarded(&sent, &got);
}

/// Checks that the received body is a prefix of the sent one, has one framing, and is complete only if the sent one is.
fn check_forwarded(sent: &Chunks, got: &Message) {
    assert!(got.framings() == 1, "framed {} times: {}", got.framings(), got.head);
    let body = got.body();
    assert!(body.end != End::Broken, "not chunks: {}", shown(&got.rest));
    assert!(sent.bytes.starts_with(&body.bytes), "{} became {}", shown(&sent.bytes), shown(&body.bytes));
    assert!(body.end != End::Whole || sent.end == End::Whole, "{sent:?} became {body:?}");
    assert!(body.end == End::Whole || !sent.is_clear(), "{sent:?} became {body:?}");
    assert!(body.end != End::Whole || body.bytes.len() == sent.bytes.len(), "bytes are missing: {sent:?}, {body:?}");
}

fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

/// The state at the end of a chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Whole,
    /// The body is incomplete.
    Cut,
    /// The body is invalid.
    Broken,
}

#[derive(Debug)]
struct Chunks {
    bytes: Vec<u8>,
    end: End,
    /// True if the body has neither trailers nor extensions, which may be refused.
    plain: bool,
}

impl Chunks {
    /// True if every recipient must accept the body.
    fn is_clear(&self) -> bool {
        self.end == End::Whole && self.plain
    }

    fn of(mut text: &[u8]) -> Self {
        let (mut bytes, mut plain) = (Vec::new(), true);
        let end = loop {
            let Some((line, rest)) = line(text) else { break unended(text) };
            let Some(size) = size(line) else { break End::Broken };
            plain &= line.len() <= 16 && line.iter().all(u8::is_ascii_hexdigit);
            if size == 0 {
                plain &= rest.starts_with(b"\r\n");
                break trailers(rest);
            }
            let taken = rest.len().min(size);
            bytes.extend_from_slice(&rest[..taken]);
            match &rest[taken..] {
                [b'\r', b'\n', next @ ..] => text = next,
                [] | [b'\r'] => break End::Cut,
                _ => break End::Broken,
            }
        };
        Chunks { bytes, end, plain }
    }
}

/// Reads up to the next CRLF. A lone LF does not end a line here.
fn line(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.windows(2).position(|pair| pair == b"\r\n")?;
    Some((&text[..end], &text[end + 2..]))
}

fn unended(line: &[u8]) -> End {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    if line.contains(&b'\n') || (digits == 0 && !line.is_empty()) { End::Broken } else { End::Cut }
}

/// The size of a chunk, without its extensions.
fn size(line: &[u8]) -> Option<usize> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (size, rest) = line.split_at(digits);
    let rest = rest.trim_ascii_start();
    let is_extension = rest.is_empty() || (rest[0] == b';' && !rest.contains(&b'\n') && !rest.contains(&b'\r'));
    is_extension.then(|| usize::from_str_radix(std::str::from_utf8(size).ok()?, 16).ok())?
}

/// A lone LF may end a line here (RFC 9112 section 2.2).
fn trailers(mut text: &[u8]) -> End {
    while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
        let line = text[..end].strip_suffix(b"\r").unwrap_or(&text[..end]);
        let name = line.iter().position(|byte| *byte == b':');
        match (line, name) {
            ([], _) => return End::Whole,
            (_, Some(1..)) => text = &text[end + 1..],
            _ => return End::Broken,
        }
    }
    End::Cut
}

/// A head and the bytes behind it.
struct Message {
    head: String,
    rest: Vec<u8>,
}

impl Message {
    fn of(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
        Some(Message {
            head: String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase().replacen("http", "HTTP", 1),
            rest: bytes[end + 4..].to_vec(),
        })
    }

    fn field(&self, name: &str) -> Vec<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.filter(|(field, _)| *field == name).map(|(_, value)| value.trim()).collect()
    }

    /// The number of headers that define the length.
    fn framings(&self) -> usize {
        self.field("transfer-encoding").len() + self.field("content-length").len()
    }

    fn body(&self) -> Chunks {
        match self.field("content-length")[..] {
            [length] => {
                let length: usize = length.parse().unwrap();
                let end = if self.rest.len() == length { End::Whole } else { End::Cut };
                Chunks { bytes: self.rest.clone(), end, plain: true }
            }
            _ => Chunks::of(&self.rest),
        }
    }
}

/// An origin for one connection.
struct Origin {
    addr: SocketAddr,
    thread: JoinHandle<Vec<u8>>,
}

impl Origin {
    /// Answers as soon as `enough` accepts the received bytes, and reads to the end.
    fn answering(answer: Vec<u8>, enough: impl Fn(&[u8]) -> bool + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let name = addr.to_string();
        let is_ours = move |heard: &[u8]| heard.windows(name.len()).any(|window| window == name.as_bytes());
        let thread = spawn(move || {
            loop {
                let (mut stream, _) = listener.accept().unwrap();
                let (mut heard, mut piece, mut answered) = (Vec::new(), [0; 4096], false);
                while let Ok(n @ 1..) = stream.read(&mut piece) {
                    heard.extend_from_slice(&piece[..n]);
                    if !answered && is_ours(&heard) && enough(&heard) {
                        answered = true;
                        let _ = stream.write_all(&answer);
                        let _ = stream.shutdown(Shutdown::Write);
                    }
                }
                // Ports are reused, so a connection may be for an earlier listener.
                if heard.is_empty() || is_ours(&heard) {
                    return heard;
                }
            }
        });
        Origin { addr, thread }
    }

    /// All received bytes. Connects first if no connection was made.
    fn received(self) -> Vec<u8> {
        drop(TcpStream::connect(self.addr));
        self.thread.join().unwrap()
    }
}

/// A connection to an engine that forwards all requests.
fn connect() -> TcpStream {
    static ENGINE: OnceLock<SocketAddr> = OnceLock::new();
    let stream = TcpStream::connect(ENGINE.get_or_init(start)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

fn start() -> SocketAddr {
    let dir = tempfile::tempdir().unwrap();
    let plan = ProxyPlan {
        listen: "127.0.0.1:0".parse().unwrap(),
        reverse: Vec::new(),
        reverse_tls: false,
        auth: None,
        authority: Arc::new(Authority::load_or_create(dir.path()).unwrap()),
        head_timeout: PATIENCE,
        idle_timeout: PATIENCE,
    };
    let upstream = UpstreamPlan {
        proxy: UpstreamProxy::Direct,
        timeouts: Timeouts { connect: PATIENCE, idle: PATIENCE, answer: PATIENCE },
        ..UpstreamPlan::default()
    };
    let (tell, reported) = std::sync::mpsc::channel();
    spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let proxy = Proxy::bind(plan).await.unwrap();
            tell.send(proxy.addr()).unwrap();
            let _running = proxy.serve(Doctor::new(upstream).unwrap().handler(&EventBus::new(Vec::new())));
            std::future::pending::<()>().await;
        });
    });
    reported.recv().unwrap()
}
