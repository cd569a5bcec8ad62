//! Slow clients and origins, and the time limits that apply to them.

use std::io::Write;
use std::net::TcpListener;
use std::sync::mpsc::channel;

use super::{GOOD, Raw, ReplayServer, assert_served, descriptors};
use crate::support::client::{Proto, TestRequest};
use crate::support::origin::{Origin, OriginResponse};
use crate::support::raw::{RawOrigin, read_head};
use crate::support::sandbox::{Sandbox, Server};

/// Waits until the server has closed a silent connection: the idle timeout has passed.
fn pass_the_idle_timeout(server: &Server) {
    assert_eq!(Raw::to(server.proxy()).rest(), b"");
}

#[test]
fn slow_heads_and_handshakes_are_closed() {
    let replay = ReplayServer::start(&["--head-timeout", "2s"]);
    let open = descriptors(&replay.server);
    let mut slow = Vec::new();
    for begun in ["G", "GET http://api.test/api/good HTTP/1.1\r\nX-A: ", "PRI * HTTP/2.0\r\n", "\x16\x03\x01\x02"] {
        for _ in 0..50 {
            let mut raw = replay.raw();
            raw.send(begun);
            slow.push(raw);
        }
    }
    for _ in 0..50 {
        let mut raw = replay.raw();
        raw.send("CONNECT api.test:443 HTTP/1.1\r\n\r\n");
        raw.head();
        // The first bytes of a ClientHello.
        raw.send([0x16, 3, 1, 2, 0, 1]);
        slow.push(raw);
    }
    replay.assert_served();
    for raw in &mut slow {
        let rest = raw.rest_text();
        assert!(rest.is_empty() || rest.starts_with("HTTP/1.1 400 "), "{rest}");
    }
    drop(slow);
    replay.assert_served();
    assert!(descriptors(&replay.server) <= open + 4, "{} descriptors are left", descriptors(&replay.server));
    replay.server.stop().expect(1).says("unreadable");
}

#[test]
fn payload_that_stops_is_refused_at_replay() {
    let replay = ReplayServer::start(&["--idle-timeout", "2s"]);
    let post = "POST http://api.test/api/upload HTTP/1.1\r\nHost: api.test\r\nContent-Type: application/json\r\n";
    let mut slow: Vec<Raw> = (0..50).map(|_| replay.raw()).collect();
    for raw in &mut slow {
        raw.send(format!("{post}Content-Length: 10\r\n\r\n01234"));
    }
    replay.assert_served();
    for raw in &mut slow {
        let (head, body) = raw.answer();
        assert!(head.starts_with("HTTP/1.1 408 ") && body.contains("--idle-timeout"), "{head}{body}");
    }
    let mut raw = replay.raw();
    raw.send(format!("{post}Content-Length: 10\r\n\r\n0123456789"));
    assert_eq!(raw.answer().1, "taken");
    let output = replay.server.stop().expect(1);
    output.says("unreadable").says("no data of the request's payload arrived").says("--passthrough");
}

/// Uploads and event streams have no time limit.
#[test]
fn body_that_pauses_continues_while_recording() {
    let (report, read) = channel();
    let (go, gate) = channel::<()>();
    let raw = RawOrigin::start(move |head, stream| {
        let (mut five, slow) = ([0; 5], head.starts_with(b"POST "));
        if slow {
            std::io::Read::read_exact(stream, &mut five).unwrap();
            report.send(()).unwrap();
            std::io::Read::read_exact(stream, &mut five).unwrap();
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n").unwrap();
        gate.recv().unwrap();
        stream.write_all(b"data: 2\n\n").unwrap();
    });
    let sandbox = Sandbox::new();
    let map = format!("api.test:80={}", raw.addr);
    let limits = ["--idle-timeout", "2s", "--answer-timeout", "2s", "--head-timeout", "2s"];
    let recorder = sandbox.start(["record", "-o", "hars/api.har", "--map", &map].iter().chain(&limits));
    let mut client = Raw::to(recorder.proxy());
    client.send("POST http://api.test/api/events HTTP/1.1\r\nHost: api.test\r\nContent-Length: 10\r\n\r\n01234");
    read.recv().unwrap();
    pass_the_idle_timeout(&recorder);
    client.send("56789");
    let head = String::from_utf8(read_head(&mut client.0)).unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    pass_the_idle_timeout(&recorder);
    go.send(()).unwrap();
    let mut events = String::new();
    while !events.contains("data: 2") {
        let mut byte = [0];
        std::io::Read::read_exact(&mut client.0, &mut byte).unwrap();
        events.push(char::from(byte[0]));
    }
    recorder.stop().expect(0);
    let har = sandbox.har("hars/api.har");
    assert_eq!(har["log"]["entries"][0]["response"]["content"]["_truncated"], serde_json::Value::Null, "{har}");
}

/// An origin that accepts connections and never answers.
fn silent() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut open = Vec::new();
        for stream in listener.incoming() {
            open.push(stream);
        }
    });
    addr
}

#[test]
fn upstream_that_never_answers_is_a_504() {
    let origin = Origin::answering(|request| {
        let page = OriginResponse { status: 200, body: b"good".to_vec(), ..OriginResponse::default() };
        (request.path == "/api/good").then_some(page)
    });
    let never = silent().to_string();
    let sandbox = Sandbox::new();
    let maps = [format!("never.test:80={never}"), format!("never.test:443={never}")];
    let args: Vec<String> =
        ["record", "-o", "hars/api.har", "--record-failures", "--report", "report.json"].map(String::from).into();
    let limits = ["--answer-timeout", "2s", "--connect-timeout", "2s"].map(String::from);
    let maps = maps.iter().flat_map(|map| ["--map".to_owned(), map.clone()]);
    let recorder = sandbox.start(args.into_iter().chain(limits).chain(maps).chain(origin.args()));
    let client = recorder.client(Proto::H1);
    let requests = [
        (TestRequest::new("GET", "http://never.test/api/x"), "--answer-timeout"),
        (TestRequest::new("POST", "http://never.test/api/x").body("hello"), "--answer-timeout"),
        // No answer to the ClientHello.
        (TestRequest::new("GET", "https://never.test/api/x"), "--connect-timeout"),
    ];
    std::thread::scope(|scope| {
        for (ask, option) in requests {
            let client = &client;
            scope.spawn(move || {
                let got = client.send(ask);
                assert_eq!((got.status, got.json()["kind"].as_str()), (504, Some("timeout")), "{}", got.text());
                assert!(got.text().contains(option), "{}", got.text());
            });
        }
        assert_served(&recorder, "http://api.test/api/good");
        assert_served(&recorder, "https://api.test/api/good");
    });
    recorder.stop().expect(0).says("the answer of http://never.test took longer than 2s");
    let har = sandbox.har("hars/api.har");
    let failed = har["log"]["entries"].as_array().unwrap().iter().filter(|entry| entry["response"]["status"] == 0);
    assert_eq!(failed.filter(|entry| entry["_harproxy"]["error"]["kind"] == "timeout").count(), 3, "{har}");
    let report: serde_json::Value = serde_json::from_str(&sandbox.read("report.json")).unwrap();
    let findings = report["findings"].as_array().unwrap();
    assert!(findings.iter().any(|finding| finding["kind"] == "upstream-failed"), "{report}");
}

#[test]
fn local_server_that_never_answers_is_a_504_at_replay() {
    let replay = ReplayServer::start(&["--answer-timeout", "2s"]);
    let got = replay.server.client(Proto::H1).get(&format!("http://{}/x", silent()));
    assert_eq!((got.status, got.json()["kind"].as_str()), (504, Some("timeout")), "{}", got.text());
    assert_eq!(got.header("x-harproxy"), Some("local"));
    replay.assert_served();
    replay.server.stop().expect(0);
}

/// A client that closes its half of a connection has left, except in a tunnel.
#[test]
fn half_closed_connections_end_and_half_closed_tunnels_continue() {
    let replay = ReplayServer::start(&[]);
    let open = descriptors(&replay.server);
    let mut halves: Vec<Raw> = (0..200).map(|_| replay.raw()).collect();
    for (n, raw) in halves.iter_mut().enumerate() {
        if n % 2 == 0 {
            raw.send(GOOD);
            assert_eq!(raw.answer().1, "good");
        }
        raw.finish();
    }
    replay.assert_served();
    for raw in &mut halves {
        assert_eq!(raw.rest(), b"");
    }
    assert!(descriptors(&replay.server) <= open + 4, "{} descriptors are left", descriptors(&replay.server));

    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = server.local_addr().unwrap();
    let answering = std::thread::spawn(move || {
        let (mut stream, _) = server.accept().unwrap();
        let mut all = Vec::new();
        std::io::Read::read_to_end(&mut stream, &mut all).unwrap();
        stream.write_all(&all).unwrap();
    });
    let mut tunnel = replay.raw();
    tunnel.send(format!("CONNECT {addr} HTTP/1.1\r\n\r\n"));
    tunnel.head();
    tunnel.send("\x01all of it");
    tunnel.finish();
    assert_eq!(tunnel.rest(), b"\x01all of it");
    answering.join().unwrap();
    replay.server.stop().expect(0);
}
