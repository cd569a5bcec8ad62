//! Many clients at once.

use std::io::Write;
use std::net::TcpStream;

use super::{GOOD, Raw, ReplayServer, descriptors, peak, raise_descriptor_limit, serves, wait_for_descriptors};
use crate::support::origin::{Origin, OriginResponse};
use crate::support::sandbox::{Sandbox, Server};

/// Maximum memory of a thousand idle connections, in MiB: buffers, tasks and descriptors.
const A_THOUSAND_IDLE: u64 = 40;

#[test]
fn ten_thousand_idle_connections_are_kept() {
    // Descriptors for both ends, and for other tests.
    let crowd = 10_000.min(raise_descriptor_limit().saturating_sub(1000)) / 2;
    let replay = ReplayServer::start(&["--idle-timeout", "1h"]);
    replay.serves();
    let (before, open) = (peak(&replay.server), descriptors(&replay.server));
    let silent: Vec<Raw> = (0..crowd).map(|_| replay.raw()).collect();
    let mut kept: Vec<Raw> = (0..crowd).map(|_| replay.raw()).collect();
    for raw in &mut kept {
        raw.send(GOOD);
        assert_eq!(raw.answer().1, "good");
    }
    assert!(descriptors(&replay.server) >= 2 * crowd, "all are open: {}", descriptors(&replay.server));
    replay.serves();
    let grown = peak(&replay.server) - before;
    assert!(grown < A_THOUSAND_IDLE * 2 * crowd as u64 / 1000, "{grown} MiB for {} connections", 2 * crowd);
    // None of them was closed.
    for raw in silent.into_iter().chain(kept).step_by(97) {
        let mut raw = raw;
        raw.send(GOOD);
        assert_eq!(raw.answer().1, "good");
    }
    wait_for_descriptors(&replay.server, open + 4);
    replay.server.stop().expect(0);
}

#[test]
fn a_thousand_concurrent_tunnels_are_served() {
    let crowd = 1000.min(raise_descriptor_limit() / 4);
    let origin = Origin::answering(|request| {
        let body = if request.path == "/api/good" { "good".into() } else { request.path.clone().into_bytes() };
        Some(OriginResponse { status: 200, body, ..OriginResponse::default() })
    });
    let sandbox = Sandbox::new();
    let recorder = sandbox.record(&origin);
    let before = peak(&recorder);
    let mut tunnels: Vec<Raw> = (0..crowd).map(|_| Raw::to(recorder.proxy())).collect();
    for raw in &mut tunnels {
        raw.send("CONNECT api.test:80 HTTP/1.1\r\nHost: api.test:80\r\n\r\n");
    }
    for raw in &mut tunnels {
        assert!(raw.answer().0.starts_with("HTTP/1.1 200 "));
    }
    // All tunnels are open before the first request.
    serves(&recorder, "https://api.test/api/good");
    for (n, raw) in tunnels.iter_mut().enumerate() {
        raw.send(format!("GET /api/{n} HTTP/1.1\r\nHost: api.test\r\n\r\n"));
    }
    for (n, raw) in tunnels.iter_mut().enumerate() {
        assert_eq!(raw.answer().1, format!("/api/{n}"));
    }
    let grown = peak(&recorder) - before;
    assert!(grown < 400, "{grown} MiB for {crowd} tunnels");
    drop(tunnels);
    recorder.stop().expect(0);
    assert_eq!(sandbox.har("hars/api.har")["log"]["entries"].as_array().unwrap().len(), crowd + 1, "none is lost");
}

#[test]
fn new_clients_wait_when_no_descriptors_are_left() {
    let replay = ReplayServer::start(&[]);
    let fixture = replay.sandbox.join("hars/api.har");
    let sandbox = Sandbox::new();
    let harproxy = sandbox.command(["replay", &fixture.display().to_string(), "--listen", "127.0.0.1:0"]);
    let mut shell = std::process::Command::new("sh");
    shell.arg("-c").arg("ulimit -n 64; exec \"$@\"").arg("sh").arg(harproxy.get_program()).args(harproxy.get_args());
    shell.args(["--log-format", "json"]).current_dir(sandbox.path()).env_clear();
    shell.envs(harproxy.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let few = Server::spawn(shell);
    let mut crowd: Vec<TcpStream> = (0..120).map(|_| TcpStream::connect(few.proxy()).unwrap()).collect();
    few.stderr().wait_for("the warning", |stderr| stderr.contains("clients wait until").then_some(()));
    let mut last = Raw(crowd.pop().unwrap());
    last.0.set_read_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
    last.send(GOOD);
    for stream in &mut crowd {
        let _ = stream.write_all(GOOD.as_bytes());
    }
    drop(crowd);
    assert_eq!(last.answer().1, "good", "the last client is served");
    serves(&few, "https://api.test/api/good");
    let stderr = few.stop().expect(0).stderr;
    assert_eq!(stderr.matches("clients wait until").count(), 1, "{stderr}");
    replay.server.stop();
}
