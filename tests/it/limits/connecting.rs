//! Connections that are never established: an origin or upstream proxy that drops SYN packets, and unanswered DNS
//! queries.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;

use super::{Raw, ReplayServer, assert_served};
use crate::support::block_on;
use crate::support::client::{Proto, TestRequest};
use crate::support::origin::{Origin, OriginResponse};
use crate::support::sandbox::{Sandbox, Server};

/// A bound for the end of a run. The system itself gives up connecting after two minutes.
const END_LIMIT: Duration = Duration::from_secs(60);

/// A listener with a full backlog: the system drops further SYN packets.
struct UnresponsivePort {
    addr: SocketAddr,
    _listener: TcpListener,
    _queue: Vec<TcpStream>,
}

impl UnresponsivePort {
    fn new() -> Self {
        let listener = block_on(async {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
            socket.listen(1).unwrap().into_std().unwrap()
        });
        let addr = listener.local_addr().unwrap();
        let mut queue = Vec::new();
        loop {
            match TcpStream::connect_timeout(&addr, Duration::from_secs(1)) {
                Ok(stream) => queue.push(stream),
                Err(error) if error.kind() == std::io::ErrorKind::TimedOut => break,
                Err(error) => panic!("a full queue is refused here, not dropped: {error}"),
            }
            assert!(queue.len() < 16, "this queue is never full");
        }
        UnresponsivePort { addr, _listener: listener, _queue: queue }
    }

    /// `--map` arguments for these hosts.
    fn maps(&self, hosts: &[&str]) -> Vec<String> {
        let maps = hosts.iter().flat_map(|host| [80, 443].map(|port| format!("{host}:{port}={}", self.addr)));
        maps.flat_map(|map| ["--map".to_owned(), map]).collect()
    }

    /// The number of connections in progress.
    fn waiting(&self) -> usize {
        let port = format!("{:04X}", self.addr.port());
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        // State 2 is SYN_SENT.
        lines.filter(|line| line.len() > 3 && line[2].ends_with(&port) && line[3] == "02").count()
    }
}

fn good() -> Origin {
    Origin::answering(|request| {
        let page = OriginResponse { status: 200, body: b"good".to_vec(), ..OriginResponse::default() };
        (request.path == "/api/good").then_some(page)
    })
}

/// Records `api.test`, which answers, and `deaf.test`. No other host is in scope.
fn record(sandbox: &Sandbox, origin: &Origin, more: &[String]) -> Server {
    let args = ["record", "-o", "hars/api.har", "--record-failures", "-g", "{http,https}://{api,deaf}.test/**"]
        .map(String::from);
    sandbox.start(args.into_iter().chain(origin.args()).chain(more.iter().cloned()))
}

#[track_caller]
fn assert_timeout(status: u16, text: &str) {
    assert_eq!(status, 504, "{text}");
    assert!(text.contains("--connect-timeout") && text.contains("\"timeout\""), "{text}");
}

#[test]
fn upstream_that_accepts_no_connection_is_a_504() {
    let (origin, unresponsive, sandbox) = (good(), UnresponsivePort::new(), Sandbox::new());
    let mut options = unresponsive.maps(&["deaf.test", "other.test"]);
    options.extend(["--connect-timeout", "2s", "--report", "report.json"].map(String::from));
    let recorder = record(&sandbox, &origin, &options);
    let requests = [
        (TestRequest::new("GET", "http://deaf.test/api/x"), Proto::H1),
        (TestRequest::new("POST", "http://deaf.test/api/x").body("hello"), Proto::H1),
        (TestRequest::new("GET", "https://deaf.test/api/x"), Proto::H1),
        (TestRequest::new("GET", "https://deaf.test/api/two"), Proto::H2),
        (TestRequest::new("GET", "http://other.test/x"), Proto::H1),
    ];
    // Out of scope: only the host is known.
    let mut tunnel = Raw::to(recorder.proxy());
    tunnel.send("CONNECT other.test:443 HTTP/1.1\r\nHost: other.test:443\r\n\r\n");
    std::thread::scope(|scope| {
        for (request, proto) in requests {
            let client = recorder.client(proto);
            scope.spawn(move || {
                let got = client.send(request);
                assert_timeout(got.status, &got.text());
            });
        }
        assert_served(&recorder, "http://api.test/api/good");
        assert_served(&recorder, "https://api.test/api/good");
    });
    let (head, body) = tunnel.answer();
    assert!(head.starts_with("HTTP/1.1 504 "), "{head}");
    assert_timeout(504, &body);
    recorder.stop().expect(0).says("connecting to http://deaf.test took longer than 2s");
    let har = sandbox.har("hars/api.har");
    let entries = har["log"]["entries"].as_array().unwrap();
    let failed: Vec<_> = entries.iter().filter(|entry| entry["response"]["status"] == 0).collect();
    assert!(failed.iter().all(|entry| entry["_harproxy"]["error"]["kind"] == "timeout"), "{har}");
    assert_eq!((failed.len(), entries.len()), (4, 6), "{har}");
    let report: Value = serde_json::from_str(&sandbox.read("report.json")).unwrap();
    assert!(report["findings"].as_array().unwrap().iter().any(|found| found["kind"] == "upstream-failed"), "{report}");
}

#[test]
fn pending_connections_block_neither_other_clients_nor_the_end_of_a_run() {
    let (origin, unresponsive, sandbox) = (good(), UnresponsivePort::new(), Sandbox::new());
    let mut options = unresponsive.maps(&["deaf.test", "other.test"]);
    options.extend(["--connect-timeout", "1h", "--grace", "100ms"].map(String::from));
    let recorder = record(&sandbox, &origin, &options);
    let mut waiting: Vec<Raw> = (0..3).map(|_| Raw::to(recorder.proxy())).collect();
    waiting[0].send("GET http://deaf.test/api/x HTTP/1.1\r\nHost: deaf.test\r\n\r\n");
    waiting[1].send("CONNECT deaf.test:443 HTTP/1.1\r\nHost: deaf.test:443\r\n\r\n");
    waiting[2].send("CONNECT other.test:443 HTTP/1.1\r\nHost: other.test:443\r\n\r\n");
    while unresponsive.waiting() < waiting.len() {
        assert_served(&recorder, "http://api.test/api/good");
    }
    assert_served(&recorder, "https://api.test/api/good");
    let signalled = Instant::now();
    recorder.signal(Signal::SIGTERM);
    recorder.wait().expect(0);
    assert!(signalled.elapsed() < END_LIMIT, "{:?}", signalled.elapsed());
    for raw in &mut waiting {
        assert_eq!(raw.rest_text(), "");
    }
    let har = sandbox.har("hars/api.har");
    let mut urls =
        har["log"]["entries"].as_array().unwrap().iter().map(|entry| entry["request"]["url"].as_str().unwrap());
    assert!(urls.all(|url| url.ends_with("://api.test/api/good")), "pending requests are not recorded: {har}");
    assert_eq!(unresponsive.waiting(), 0);
}

#[test]
fn upstream_proxy_that_accepts_no_connection_is_named() {
    let unresponsive = UnresponsivePort::new();
    std::thread::scope(|scope| {
        for scheme in ["http", "https", "socks5"] {
            let unresponsive = &unresponsive;
            scope.spawn(move || {
                let (origin, sandbox) = (good(), Sandbox::new());
                let proxy = format!("{scheme}://me:secret@{}", unresponsive.addr);
                let options = ["--connect-timeout", "2s", "--upstream-proxy", &proxy].map(String::from);
                let recorder = record(&sandbox, &origin, &options);
                let client = recorder.client(Proto::H1);
                std::thread::scope(|asking| {
                    for url in ["http://deaf.test/api/x", "https://deaf.test/api/x", "http://other.test/x"] {
                        let client = &client;
                        asking.spawn(move || {
                            let got = client.get(url);
                            assert_timeout(got.status, &got.text());
                            let named = format!("through the upstream proxy {scheme}://{}", unresponsive.addr);
                            assert!(got.text().contains(&named), "{}", got.text());
                        });
                    }
                    // A mapped host needs no proxy.
                    assert_served(&recorder, "http://api.test/api/good");
                });
                let stderr = recorder.stop().expect(0).stderr;
                assert!(stderr.contains("check `--upstream-proxy`") && !stderr.contains("secret"), "{stderr}");
                let har = sandbox.har("hars/api.har");
                let entries = har["log"]["entries"].as_array().unwrap().iter();
                let timeouts = entries.filter(|entry| entry["_harproxy"]["error"]["kind"] == "timeout");
                assert_eq!(timeouts.count(), 2, "{har}");
            });
        }
    });
}

#[test]
fn local_server_that_accepts_no_connection_is_a_504_at_replay() {
    let (replay, unresponsive) = (ReplayServer::start(&["--connect-timeout", "2s"]), UnresponsivePort::new());
    let mut tunnel = replay.raw();
    tunnel.send(format!("CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n\r\n", unresponsive.addr));
    let got = replay.server.client(Proto::H1).get(&format!("http://{}/x", unresponsive.addr));
    assert_timeout(got.status, &got.text());
    replay.assert_served();
    let (head, body) = tunnel.answer();
    assert!(head.starts_with("HTTP/1.1 504 "), "{head}");
    assert_timeout(504, &body);
    replay.server.stop().expect(0);
}

#[test]
fn unresponsive_address_is_skipped_for_another() {
    let unresponsive = UnresponsivePort::new();
    let Ok(listener) = TcpListener::bind(("::1", unresponsive.addr.port())) else {
        let _ = writeln!(std::io::stderr(), "skipped: no ::1 here");
        return;
    };
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            crate::support::raw::read_head(&mut stream);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nhere");
        }
    });
    let replay = ReplayServer::start(&["--connect-timeout", "1h"]);
    let client = replay.server.client(Proto::H1);
    assert_eq!(client.get(&format!("http://localhost:{}/x", unresponsive.addr.port())).text(), "here");
    replay.server.stop().expect(0);
}

/// Set in the process inside the network namespace.
const INSIDE: &str = "HARPROXY_TEST_SILENCE";

/// Runs in a network that drops packets and has a silent name server.
#[test]
fn silent_network_is_a_504() {
    if std::env::var_os(INSIDE).is_some() {
        return run_in_silent_network();
    }
    let sandbox = Sandbox::new();
    let resolver = sandbox.write("resolv.conf", "nameserver 127.0.0.1\noptions timeout:30 attempts:5\n");
    // Packets to this network arrive on the loopback interface, where no address matches, and are dropped.
    let script =
        "mount --bind \"$0\" /etc/resolv.conf && ip link set lo up && ip route add 192.0.2.0/24 dev lo && exec \"$@\"";
    let alone = || {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--net", "--mount", "sh", "-c", script]).arg(&resolver);
        command
    };
    if !alone().arg("true").status().is_ok_and(|status| status.success()) {
        let _ = writeln!(std::io::stderr(), "skipped: no network namespaces here");
        return;
    }
    let mut same = alone();
    same.arg(std::env::current_exe().unwrap());
    let name = "limits::connecting::silent_network_is_a_504";
    same.args(["--exact", name, "--nocapture"]).env(INSIDE, "1");
    let output = same.output().unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

fn run_in_silent_network() {
    let resolver = UdpSocket::bind("127.0.0.1:53").unwrap();
    let (origin, sandbox) = (good(), Sandbox::new());
    let begin = ["record", "-o", "hars/api.har", "--record-failures", "--connect-timeout", "2s"].map(String::from);
    let recorder = sandbox.start(begin.into_iter().chain(origin.args()));
    let client = recorder.client(Proto::H1);
    std::thread::scope(|scope| {
        for url in ["http://192.0.2.9/api/x", "https://192.0.2.9/api/x", "http://slow.example/api/x"] {
            let client = &client;
            scope.spawn(move || {
                let got = client.get(url);
                assert_timeout(got.status, &got.text());
            });
        }
        assert_served(&recorder, "http://api.test/api/good");
    });
    recorder.stop().expect(0);
    let har = sandbox.har("hars/api.har");
    let entries = har["log"]["entries"].as_array().unwrap().iter();
    assert_eq!(entries.filter(|entry| entry["_harproxy"]["error"]["kind"] == "timeout").count(), 3, "{har}");

    // The system's resolver cannot be cancelled: the end of the run does not wait for it.
    let begin = ["record", "-o", "hars/b.har", "--connect-timeout", "1h", "--grace", "100ms"].map(String::from);
    let recorder = sandbox.start(begin.into_iter().chain(origin.args()));
    assert_served(&recorder, "http://api.test/api/good");
    let mut waiting = Raw::to(recorder.proxy());
    waiting.send("GET http://later.example/api/x HTTP/1.1\r\nHost: later.example\r\n\r\n");
    resolver.set_read_timeout(Some(END_LIMIT)).unwrap();
    let mut query = [0; 512];
    loop {
        let length = resolver.recv(&mut query).expect("a query");
        if query[..length].windows(5).any(|name| name == b"later") {
            break;
        }
    }
    let signalled = Instant::now();
    recorder.signal(Signal::SIGTERM);
    recorder.wait().expect(0);
    assert!(signalled.elapsed() < END_LIMIT, "{:?}", signalled.elapsed());
}
