//! Shutdown, panics and resource limits of the engine.

use std::net::TcpStream;
use std::time::Duration;

use harproxy_tls::authority::{Alpn, Authority};

use super::stage::{EngineSettings, TestEngine};
use crate::support::client::Proto;

/// A time limit that does not pass within a test.
const LONG: Duration = Duration::from_secs(600);

#[test]
fn drain_completes_requests_in_progress_and_closes_idle_connections() {
    let mut stage = TestEngine::start();
    let mut busy = stage.raw();
    busy.send("GET http://a.test/gate HTTP/1.1\r\n\r\n");
    stage.entered.recv().unwrap();
    let mut idle = stage.raw();
    idle.send("GET http://a.test/ HTTP/1.1\r\n\r\n");
    idle.echo();
    let mut silent = stage.tunnel("a.test:443");

    let done = stage.start_drain(LONG);
    assert_eq!(idle.rest(), b"");
    assert_eq!(silent.rest(), b"");
    stage.echo.gate.notify_one();
    let answer = busy.rest_text();
    assert!(answer.contains("connection: close\r\n") && answer.ends_with("through the gate"), "{answer}");
    done.recv().unwrap();
    assert!(TcpStream::connect(stage.addr).is_err(), "the port is closed");
}

#[test]
fn drain_closes_upgraded_connections_and_tunnels() {
    let upstream = harproxy_proxy::upstream::Upstream::loopback(harproxy_proxy::upstream::Timeouts::default());
    let mut stage = TestEngine::with(EngineSettings { upstream: Some(upstream), ..EngineSettings::default() });
    let mut upgraded = stage.raw();
    upgraded.send("GET http://a.test/upgrade HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: twice\r\n\r\nabcd");
    upgraded.head();
    assert_eq!(upgraded.exactly(8), b"abcdabcd");

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut tunnel = stage.tunnel(&format!("tunnel.localhost:{}", listener.local_addr().unwrap().port()));
    let (mut upstream, _) = listener.accept().unwrap();
    std::io::Write::write_all(&mut upstream, b"hello").unwrap();
    assert_eq!(tunnel.exactly(5), b"hello");

    stage.drain(LONG);
    assert_eq!((upgraded.rest(), tunnel.rest()), (vec![], vec![]));
    assert!(matches!(stage.next_event(), harproxy_proxy::ConnectionEvent::TunnelClosed { sent: 0, received: 5, .. }));
}

#[test]
fn drain_completes_http2_streams() {
    let mut stage = TestEngine::with(EngineSettings { alpn: Alpn::Http2, ..EngineSettings::default() });
    let client = stage.client(Proto::H2);
    let asking = std::thread::spawn(move || client.get("https://a.test/gate"));
    stage.entered.recv().unwrap();
    let done = stage.start_drain(LONG);
    stage.echo.gate.notify_one();
    assert_eq!(asking.join().unwrap().text(), "through the gate");
    done.recv().unwrap();
}

#[test]
fn observed_bodies_have_reported_their_end_after_a_drain() {
    for (alpn, proto) in [(Alpn::Http1, Proto::H1), (Alpn::Http2, Proto::H2)] {
        let mut stage = TestEngine::with(EngineSettings { alpn, ..EngineSettings::default() });
        let mut raw = stage.raw();
        raw.send("GET http://a.test/endless HTTP/1.1\r\n\r\n");
        assert!(raw.head().starts_with("HTTP/1.1 200 "));
        let client = stage.client(proto);
        let asking = std::thread::spawn(move || {
            client.try_send(crate::support::client::TestRequest::new("GET", "https://a.test/endless")).is_err()
        });
        let mut gate = stage.raw();
        gate.send("GET http://a.test/gate HTTP/1.1\r\n\r\n");
        stage.entered.recv().unwrap();
        // The endless answer over TLS has begun, too: its end is reported below.
        raw.exactly(10);
        stage.drain(Duration::from_millis(300));
        let ends: Vec<String> = stage.ends.try_iter().collect();
        assert!(!ends.is_empty() && ends.iter().all(|end| end == "Cancelled"), "{ends:?}");
        assert!(asking.join().unwrap(), "the endless body was cut");
        assert_eq!(gate.rest(), b"");
    }
}

#[test]
fn client_that_leaves_cancels_its_body() {
    let stage = TestEngine::start();
    let mut raw = stage.raw();
    raw.send("GET http://a.test/endless HTTP/1.1\r\n\r\n");
    raw.head();
    raw.exactly(10);
    drop(raw);
    assert_eq!(stage.ends.recv().unwrap(), "Cancelled");
}

#[test]
fn panic_closes_only_its_connection() {
    let stage = TestEngine::start();
    let mut raw = stage.raw();
    raw.send("GET http://a.test/panic HTTP/1.1\r\n\r\n");
    assert_eq!(raw.rest(), b"");
    let mut raw = stage.raw();
    raw.send("GET http://a.test/ HTTP/1.1\r\n\r\n");
    raw.echo();
}

#[test]
fn idle_connections_do_not_block_other_clients() {
    let stage = TestEngine::start();
    let idle: Vec<_> = (0..300).map(|_| stage.raw()).collect();
    assert_eq!(stage.client(Proto::H1).get("https://a.test/").status, 200);
    drop(idle);
}

const FEW_FILES: &str = "HARPROXY_IT_FEW_FILES";

/// The body of the next test, in a process of its own.
#[test]
fn serve_with_few_descriptors() {
    if std::env::var_os(FEW_FILES).is_none() {
        return;
    }
    let stage = TestEngine::start();
    let mut clients = Vec::new();
    while let Ok(client) = TcpStream::connect(stage.addr) {
        clients.push(client);
    }
    assert!(clients.len() > 10);
    drop(clients);
    let mut raw = stage.raw();
    raw.send("GET http://a.test/ HTTP/1.1\r\n\r\n");
    raw.echo();
}

#[cfg(unix)]
#[test]
fn clients_wait_when_no_file_descriptors_are_left() {
    let status = std::process::Command::new("sh")
        .args(["-c", "ulimit -n 100 && exec \"$0\" --exact engine::life::serve_with_few_descriptors --quiet"])
        .arg(std::env::current_exe().unwrap())
        .env(FEW_FILES, "1")
        .stdout(std::process::Stdio::null())
        .status();
    assert!(status.unwrap().success());
}

const CA_DIR: &str = "HARPROXY_IT_CA_DIR";

/// The body of the next test, in processes of its own.
#[test]
fn create_ca_in_given_folder() {
    if let Some(dir) = std::env::var_os(CA_DIR) {
        Authority::load_or_create(dir.as_ref()).unwrap();
    }
}

#[test]
fn concurrent_processes_share_one_ca() {
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("data");
    let mut runs: Vec<_> = (0..6)
        .map(|_| {
            std::process::Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "engine::life::create_ca_in_given_folder", "--quiet"])
                .env(CA_DIR, &ca)
                .stdout(std::process::Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    assert!(runs.iter_mut().all(|run| run.wait().unwrap().success()));
    Authority::load_or_create(&ca).unwrap();
    let files = std::fs::read_dir(&ca).unwrap().count();
    assert_eq!(files, 3, "the pair and the lock, and nothing half-written");
}
