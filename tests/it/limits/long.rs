//! Bodies that are larger than memory.

use std::io::{Read, Write};

use serde_json::json;

use super::{Raw, ReplayServer, assert_served, peak};
use crate::replay::stage::{entry, own, text};
use crate::support::raw::{RawOrigin, read_head};
use crate::support::sandbox::{Sandbox, Server};

/// Four GiB and a byte: more than 32 bits can hold.
const LONG: u64 = (4 << 30) + 1;

/// Reads a body of [`LONG`] bytes, and asserts in the middle that another client is served.
fn receive(server: &Server, path: &str, url: &str) {
    let mut raw = Raw::to(server.proxy());
    raw.send(format!("GET http://api.test{path} HTTP/1.1\r\nHost: api.test\r\n\r\n"));
    let head = String::from_utf8(read_head(&mut raw.0)).unwrap();
    assert!(head.starts_with("HTTP/1.1 200 ") && head.to_lowercase().contains("content-length: 4294967297"), "{head}");
    let (mut buffer, mut got) = (vec![0; 1 << 20], 0);
    while got < LONG {
        let n = raw.0.read(&mut buffer).unwrap() as u64;
        assert!(n > 0, "the body ends at {got}");
        if got < LONG / 2 && got + n >= LONG / 2 {
            assert_served(server, url);
        }
        got += n;
    }
    assert_eq!(got, LONG);
}

#[test]
fn response_of_four_gigabytes_is_forwarded_and_recorded_up_to_max_body() {
    let origin = RawOrigin::start(|head, stream| {
        if !head.starts_with(b"GET /api/long ") {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\ngood");
            return;
        }
        let mut stream = stream.try_clone().unwrap();
        std::thread::spawn(move || {
            let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {LONG}\r\n\r\n").as_bytes());
            let (piece, mut left) = (vec![b'x'; 1 << 20], LONG);
            while left > 0 {
                let n = left.min(1 << 20);
                if stream.write_all(&piece[..usize::try_from(n).unwrap()]).is_err() {
                    return;
                }
                left -= n;
            }
        });
    });
    let sandbox = Sandbox::new();
    let map = format!("api.test:80={}", origin.addr);
    let recorder = sandbox.start(["record", "-o", "hars/api.har", "--max-body", "1mb", "--map", &map]);
    assert_served(&recorder, "http://api.test/api/good");
    let before = peak(&recorder);
    receive(&recorder, "/api/long", "http://api.test/api/good");
    let grown = peak(&recorder) - before;
    assert!(grown < 100, "{grown} MiB");
    recorder.stop().expect(0);
    let har = sandbox.har("hars/api.har");
    let mut entries = har["log"]["entries"].as_array().unwrap().iter();
    let long = entries.find(|entry| entry["request"]["url"] == "http://api.test/api/long").unwrap();
    assert_eq!(long["response"]["content"]["_truncated"]["total"], LONG, "{har}");
}

#[test]
fn payload_of_four_gigabytes_is_served_from_its_file() {
    let replay = ReplayServer::start(&[]);
    let sandbox = &replay.sandbox;
    let long = entry(
        "GET http://api.test/api/long",
        json!({"content": {"size": LONG, "mimeType": "application/octet-stream", "_file": "long/0123456789abcdef.bin"}}),
    );
    let entries = [text("GET http://api.test/api/good", "good"), long];
    sandbox.write("hars/long.har", own(&["**/api/**"], &entries).to_string());
    // A sparse file.
    std::fs::File::create(sandbox.write("hars/long/0123456789abcdef.bin", "")).unwrap().set_len(LONG).unwrap();
    let server = sandbox.start(["replay", "hars/long.har"]);
    assert_served(&server, "http://api.test/api/good");
    let before = peak(&server);
    receive(&server, "/api/long", "http://api.test/api/good");
    let grown = peak(&server) - before;
    assert!(grown < 100, "{grown} MiB");
    server.stop().expect(0);
}

/// Backpressure reaches the origin, and other clients are served.
#[test]
fn client_that_does_not_read_costs_no_memory() {
    let sandbox = Sandbox::new();
    let origin = RawOrigin::start(|head, stream| {
        let mut stream = stream.try_clone().unwrap();
        let long = head.starts_with(b"GET /api/long ");
        std::thread::spawn(move || {
            if !long {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\ngood");
                return;
            }
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
            while stream.write_all(&[b'x'; 1 << 16]).is_ok() {}
        });
    });
    let map = format!("api.test:80={}", origin.addr);
    let recorder = sandbox.start(["record", "-o", "hars/api.har", "--max-body", "1kb", "--grace", "0s", "--map", &map]);
    assert_served(&recorder, "http://api.test/api/good");
    let before = peak(&recorder);
    let mut stalled: Vec<Raw> = (0..50).map(|_| Raw::to(recorder.proxy())).collect();
    for raw in &mut stalled {
        raw.send("GET http://api.test/api/long HTTP/1.1\r\nHost: api.test\r\n\r\n");
        read_head(&mut raw.0);
    }
    for _ in 0..50 {
        assert_served(&recorder, "http://api.test/api/good");
    }
    let grown = peak(&recorder) - before;
    assert!(grown < 100, "{grown} MiB for {} clients that don't read", stalled.len());
    drop(stalled);
    recorder.stop();
}
