//! Recording HTTP/1.1 over TLS, with a client and an origin that write exact bytes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant, SystemTime};

use harproxy::record::{CmdEnd, RecordingResult};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use rustls::{ClientConnection, ServerConnection, StreamOwned};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::support::raw::read_head;
use crate::support::repo;
use crate::support::rig::{PATIENCE, Rig, setup};
use crate::support::sandbox::Sandbox;

type OriginStream = StreamOwned<ServerConnection, TcpStream>;

/// An origin over TLS that sends exact bytes. Its connections are numbered from 0.
struct TlsOrigin {
    addr: SocketAddr,
    /// The heads that it received.
    heads: Arc<Mutex<Vec<String>>>,
}

impl TlsOrigin {
    /// `answer` handles a request and returns true if the connection is kept.
    fn start(answer: impl Fn(usize, &str, &mut OriginStream) -> bool + Send + Sync + 'static) -> Self {
        let certs = CertificateDer::pem_file_iter(repo("certs/origin.pem")).unwrap().map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_file(repo("certs/origin-key.pem")).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = Arc::new(config.unwrap().with_no_client_auth().with_single_cert(certs, key).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let (heads, answer) = (Arc::<Mutex<Vec<String>>>::default(), Arc::new(answer));
        std::thread::spawn({
            let heads = heads.clone();
            move || {
                for (number, tcp) in listener.incoming().enumerate() {
                    let Ok(tcp) = tcp else { return };
                    let tls = ServerConnection::new(config.clone()).unwrap();
                    let (heads, answer) = (heads.clone(), answer.clone());
                    std::thread::spawn(move || {
                        let mut stream = StreamOwned::new(tls, tcp);
                        loop {
                            let head = String::from_utf8(read_head(&mut stream)).unwrap();
                            if head.is_empty() {
                                return;
                            }
                            heads.lock().unwrap().push(head.clone());
                            if !answer(number, &head, &mut stream) {
                                stream.conn.send_close_notify();
                                let _ = stream.flush();
                                return;
                            }
                        }
                    });
                }
            }
        });
        TlsOrigin { addr, heads }
    }
}

/// A client that sends exact bytes inside a CONNECT.
struct RawClient(StreamOwned<ClientConnection, TcpStream>);

impl RawClient {
    fn connect(rig: &Rig) -> Self {
        let mut tcp = TcpStream::connect(rig.proxy).unwrap();
        tcp.set_read_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
        tcp.write_all(b"CONNECT api.test:443 HTTP/1.1\r\nHost: api.test:443\r\n\r\n").unwrap();
        assert!(read_head(&mut tcp).starts_with(b"HTTP/1.1 200 "));
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(rig.ca.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.unwrap().with_root_certificates(roots).with_no_client_auth();
        let tls = ClientConnection::new(config.into(), ServerName::try_from("api.test").unwrap()).unwrap();
        RawClient(StreamOwned::new(tls, tcp))
    }

    fn send(&mut self, request: &str) {
        self.0.write_all(request.as_bytes()).unwrap();
        self.0.flush().unwrap();
    }

    /// The next answer: head and framed payload; empty if the connection ended.
    fn answer(&mut self) -> String {
        let mut answer = String::from_utf8(read_head(&mut self.0)).unwrap();
        let lower = answer.to_ascii_lowercase();
        let length = lower.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
        if lower.contains("transfer-encoding: chunked") {
            let mut chunks = Vec::new();
            while !chunks.ends_with(b"0\r\n\r\n") {
                let mut byte = [0];
                self.0.read_exact(&mut byte).unwrap();
                chunks.push(byte[0]);
            }
            answer += std::str::from_utf8(&chunks).unwrap();
        } else if !lower.starts_with("http/1.1 304") && !lower.starts_with("http/1.1 1") {
            let mut payload = Vec::new();
            let _ = (&mut self.0).take(length.unwrap_or(0)).read_to_end(&mut payload);
            answer += &String::from_utf8_lossy(&payload);
        }
        answer
    }
}

/// Starts a recording of this origin.
fn start(origin: &TlsOrigin) -> (Sandbox, Rig, RawClient) {
    let sandbox = Sandbox::new();
    let rig = setup(&sandbox).map("api.test", origin.addr, origin.addr).start(&sandbox).unwrap();
    let client = RawClient::connect(&rig);
    (sandbox, rig, client)
}

const PLAIN: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 8\r\n\r\n{\"a\": 1}";

fn get(number: usize, fields: &str) -> String {
    format!("GET /api/{number}?q=%41 HTTP/1.1\r\nHost: api.test\r\n{fields}\r\n")
}

#[test]
fn pipelined_requests_are_recorded_and_answered_in_order() {
    let (report, requested) = mpsc::channel();
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let origin = TlsOrigin::start(move |_, head, stream| {
        if head.contains("/api/slow") {
            report.send(()).unwrap();
            wait.lock().unwrap().recv().unwrap();
        }
        stream.write_all(PLAIN.as_bytes()).is_ok()
    });
    let (_sandbox, rig, mut client) = start(&origin);
    client.send("GET /api/slow HTTP/1.1\r\nHost: api.test\r\n\r\n");
    requested.recv().unwrap();
    client.send("GET /api/next HTTP/1.1\r\nHost: api.test\r\n\r\n");
    go.send(()).unwrap();
    assert_eq!([client.answer(), client.answer()], [PLAIN, PLAIN]);
    drop(client);
    assert_eq!(rig.finish(CmdEnd::Clean).verdict.counts.recorded, 2);
    assert_eq!(origin.heads.lock().unwrap().len(), 2);
}

#[test]
fn upstream_close_without_an_answer_closes_the_client_connection() {
    let origin =
        TlsOrigin::start(|_, head, stream| head.contains("/api/0") && stream.write_all(PLAIN.as_bytes()).is_ok());
    let (_sandbox, rig, mut client) = start(&origin);
    client.send(&get(0, ""));
    assert_eq!(client.answer(), PLAIN);
    client.send(&get(1, ""));
    assert_eq!(client.answer(), "");
    drop(client);
    assert_eq!(origin.heads.lock().unwrap().len(), 2, "the request is not sent twice");
    rig.finish(CmdEnd::Clean);
}

#[test]
fn upstream_gets_a_close_notify() {
    let (report, ended) = mpsc::channel();
    let origin = TlsOrigin::start(move |_, _, stream| {
        stream.write_all(PLAIN.as_bytes()).unwrap();
        report.send(stream.read(&mut [0]).map_err(|error| error.kind())).unwrap();
        false
    });
    let (_sandbox, rig, mut client) = start(&origin);
    client.send(&get(0, ""));
    assert_eq!(client.answer(), PLAIN);
    drop(client);
    assert_eq!(ended.recv().unwrap(), Ok(0));
    rig.finish(CmdEnd::Clean);
}

/// Waits without sleeping.
fn wait_for(time: Duration) {
    let since = Instant::now();
    while since.elapsed() < time {
        std::thread::yield_now();
    }
}

#[test]
fn answer_that_pauses_after_its_head_is_forwarded_at_once() {
    let pause = Duration::from_millis(60);
    let (head_is_there, go) = mpsc::channel();
    let go = Mutex::new(go);
    let origin = TlsOrigin::start(move |_, _, stream| {
        let (head, rest) = PLAIN.split_at(PLAIN.len() - 3);
        stream.write_all(head.as_bytes()).unwrap();
        stream.flush().unwrap();
        go.lock().unwrap().recv().unwrap();
        wait_for(pause);
        stream.write_all(rest.as_bytes()).is_ok()
    });
    let (sandbox, rig, mut client) = start(&origin);
    client.send(&get(0, ""));
    let head = String::from_utf8(read_head(&mut client.0)).unwrap();
    // The client has the head before the payload is complete.
    head_is_there.send(()).unwrap();
    let mut payload = [0; 8];
    client.0.read_exact(&mut payload).unwrap();
    assert_eq!(head + std::str::from_utf8(&payload).unwrap(), PLAIN);
    drop(client);
    assert_eq!(rig.finish(CmdEnd::Clean).verdict.counts.recorded, 1);
    let entry = &sandbox.har("hars/api.har")["log"]["entries"][0];
    assert!(entry["timings"]["receive"].as_f64().unwrap() >= pause.as_millis() as f64, "{entry}");
}

#[test]
fn recording_survives_a_kill() {
    let origin = TlsOrigin::start(|_, _, stream| stream.write_all(PLAIN.as_bytes()).is_ok());
    let (sandbox, rig, mut client) = start(&origin);
    for number in 0..3 {
        client.send(&get(number, ""));
        assert_eq!(client.answer(), PLAIN);
    }
    rig.kill();
    let rig = setup(&sandbox).map("api.test", origin.addr, origin.addr).start(&sandbox).unwrap();
    let recovery = rig.recorder.recovery().unwrap();
    assert_eq!((recovery.summary.exchanges, recovery.summary.cut), (3, 0));
}

#[test]
fn slow_answer_is_recorded_with_its_start_and_wait() {
    let (report, requested) = mpsc::channel();
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let origin = TlsOrigin::start(move |_, head, stream| {
        if head.contains("/api/0") {
            report.send(()).unwrap();
            wait.lock().unwrap().recv().unwrap();
        }
        stream.write_all(PLAIN.as_bytes()).is_ok()
    });
    let (sandbox, rig, mut client) = start(&origin);
    client.send(&get(0, ""));
    requested.recv().unwrap();
    let requested_at = SystemTime::now();
    wait_for(Duration::from_millis(40));
    client.send(&get(1, ""));
    go.send(()).unwrap();
    assert_eq!([client.answer(), client.answer()], [PLAIN, PLAIN]);
    drop(client);
    assert_eq!(rig.finish(CmdEnd::Clean).verdict.counts.requests, 2);
    let har = sandbox.har("hars/api.har");
    let entry = &har["log"]["entries"][0];
    assert!(entry["request"]["url"].as_str().unwrap().contains("/api/0"));
    let started = OffsetDateTime::parse(entry["startedDateTime"].as_str().unwrap(), &Rfc3339).unwrap();
    assert!(SystemTime::from(started) <= requested_at, "{entry}");
    assert!(entry["timings"]["wait"].as_f64().unwrap() >= 39.0, "{entry}");
}

#[test]
fn answer_timeout_is_a_504_and_a_recorded_failure() {
    let origin = TlsOrigin::start(|_, head, stream| match head.contains("/api/never") {
        true => stream.read_to_end(&mut Vec::new()).is_err(),
        false => stream.write_all(PLAIN.as_bytes()).is_ok(),
    });
    for limit in [200, 800] {
        let sandbox = Sandbox::new();
        let mut setup = setup(&sandbox).map("api.test", origin.addr, origin.addr);
        setup.upstream.timeouts.answer = Duration::from_millis(limit);
        let rig = setup.start(&sandbox).unwrap();
        let mut client = RawClient::connect(&rig);
        client.send("GET /api/never HTTP/1.1\r\nHost: api.test\r\n\r\n");
        let answer = client.answer();
        assert!(answer.starts_with("HTTP/1.1 504 ") && answer.contains("\"timeout\""), "{answer}");
        client.send(&get(0, ""));
        assert_eq!(client.answer(), PLAIN);
        drop(client);
        let RecordingResult { verdict, .. } = rig.finish(CmdEnd::Clean);
        assert_eq!((verdict.counts.requests, origin.heads.lock().unwrap().len()), (2, 2));
        origin.heads.lock().unwrap().clear();
        let har = sandbox.har("hars/api.har");
        let entry = &har["log"]["entries"][0];
        assert_eq!(entry["_harproxy"]["error"]["kind"], "timeout", "{har}");
        assert!(entry["timings"]["wait"].as_f64().unwrap() >= limit as f64 * 0.9, "{har}");
    }
}

#[test]
fn request_in_progress_at_the_end_of_a_run_is_answered_and_recorded() {
    let (report, requested) = mpsc::channel();
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let origin = TlsOrigin::start(move |_, _, stream| {
        report.send(()).unwrap();
        wait.lock().unwrap().recv().unwrap();
        stream.write_all(PLAIN.as_bytes()).is_ok()
    });
    let sandbox = Sandbox::new();
    let rig = setup(&sandbox).map("api.test", origin.addr, origin.addr).start(&sandbox).unwrap();
    let mut idle = TcpStream::connect(rig.proxy).unwrap();
    idle.write_all(b"GET /harproxy/health HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert!(!read_head(&mut idle).is_empty());
    let mut client = RawClient::connect(&rig);
    client.send(&get(0, ""));
    requested.recv().unwrap();
    // The drain closes idle connections first.
    let begins = std::thread::spawn(move || {
        let _ = idle.read_to_end(&mut Vec::new());
        go.send(()).unwrap();
    });
    let outcome = rig.finish_within(PATIENCE, CmdEnd::Clean);
    begins.join().unwrap();
    assert_eq!(client.answer().to_ascii_lowercase().replace("connection: close\r\n", ""), PLAIN.to_ascii_lowercase());
    assert_eq!(outcome.verdict.counts.recorded, 1);
}

#[test]
fn request_whose_client_left_before_the_answer_is_counted_and_not_recorded() {
    let (report, requested) = mpsc::channel();
    let (ended, end) = mpsc::channel();
    let origin = TlsOrigin::start(move |_, _, stream| {
        report.send(()).unwrap();
        // The upstream connection closes with the client's.
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        ended.send(rest.len()).unwrap();
        false
    });
    let (_sandbox, rig, mut client) = start(&origin);
    client.send("GET /api/never HTTP/1.1\r\nHost: api.test\r\n\r\n");
    requested.recv().unwrap();
    drop(client);
    assert_eq!((end.recv().unwrap(), origin.heads.lock().unwrap().len()), (0, 1), "the request is not sent twice");
    let counts = rig.finish(CmdEnd::Clean).verdict.counts;
    assert_eq!((counts.requests, counts.recorded), (1, 0));
}

#[test]
fn connection_that_upstream_closed_between_requests_is_replaced() {
    let (report, closed) = mpsc::channel();
    let origin = TlsOrigin::start(move |number, _, stream| {
        stream.write_all(PLAIN.as_bytes()).unwrap();
        if number > 0 {
            return true;
        }
        stream.conn.send_close_notify();
        stream.flush().unwrap();
        stream.sock.shutdown(std::net::Shutdown::Write).unwrap();
        let mut rest = Vec::new();
        let _ = stream.sock.read_to_end(&mut rest);
        report.send(()).unwrap();
        false
    });
    let (_sandbox, rig, mut client) = start(&origin);
    for _ in 0..3 {
        client.send("GET /api/a HTTP/1.1\r\nHost: api.test\r\n\r\n");
        assert_eq!(client.answer(), PLAIN);
        if origin.heads.lock().unwrap().len() == 1 {
            // The proxy closes its side, although the client sends nothing.
            closed.recv().unwrap();
        }
    }
    assert_eq!(rig.finish(CmdEnd::Clean).verdict.counts.recorded, 3);
}
