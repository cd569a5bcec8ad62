//! HTTP/2 requests to an HTTP/1.1 origin: bytes of a value must not become lines.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::wire::{ByteLog, Message};
use crate::support::sandbox::Sandbox;

/// Header fields as they are sent, beyond `:method POST`, `:scheme https`, `:authority api.test` and `:path /api/N`.
type Fields = &'static [(&'static str, &'static str)];

const CORPUS: &[(&str, Fields)] = &[
    ("nothing", &[]),
    ("a line end in a value", &[("x-a", "1\r\ntransfer-encoding: chunked")]),
    ("a LF in a value", &[("x-a", "1\nx-b: 2")]),
    ("a CR in a value", &[("x-a", "1\rx-b: 2")]),
    ("a NUL in a value", &[("x-a", "1\0")]),
    ("a line end in a name", &[("x-a: 1\r\nx-b", "2")]),
    ("a colon in a name", &[("x-a: 1", "2")]),
    ("a capital in a name", &[("X-A", "1")]),
    ("an empty name", &[("", "1")]),
    ("a coding", &[("transfer-encoding", "chunked")]),
    ("a connection", &[("connection", "keep-alive")]),
    ("an upgrade", &[("upgrade", "h2c")]),
    ("a proxy's connection", &[("proxy-connection", "keep-alive")]),
    ("an invalid te", &[("te", "gzip")]),
    ("a length that is too long", &[("content-length", "99")]),
    ("a length that is too short", &[("content-length", "1")]),
    ("two lengths", &[("content-length", "4"), ("content-length", "0")]),
    ("an invalid length", &[("content-length", "+4")]),
    ("a valid length", &[("content-length", "4")]),
    ("another host", &[("host", "evil.test")]),
    ("a second path", &[(":path", "/api/hidden")]),
    ("a second method", &[(":method", "GET")]),
    ("a pseudo-header after headers", &[("x-a", "1"), (":path", "/api/hidden")]),
    ("an unknown pseudo-header", &[(":x", "1")]),
];

/// Methods and paths that are not valid in a request line.
const STARTS: &[(&str, &str)] = &[
    ("POST", "/api/x HTTP/1.1\r\nHost: evil.test\r\n\r\nGET /api/hidden"),
    ("POST", "/api/x HTTP/1.1"),
    ("POST", "/api/\0x"),
    ("POST", ""),
    ("POST", "api/x"),
    ("POST", "*"),
    ("GET /api/hidden HTTP/1.1\r\n\r\nPOST", "/api/x"),
    ("PO ST", "/api/x"),
    ("", "/api/x"),
];

fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let stream: u32 = if kind == 4 { 0 } else { 1 };
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A literal header field that is not indexed (RFC 7541 section 6.2.2).
fn field(name: &str, value: &str) -> Vec<u8> {
    let length = |text: &str| u8::try_from(text.len()).ok().filter(|n| *n < 127).unwrap();
    [&[0, length(name)], name.as_bytes(), &[length(value)], value.as_bytes()].concat()
}

/// The frames of a connection with one POST, whose body is `body`.
fn post(method: &str, path: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let usual = [(":method", method), (":scheme", "https"), (":authority", "api.test"), (":path", path)];
    let block: Vec<u8> = usual.iter().chain(fields).flat_map(|(name, value)| field(name, value)).collect();
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    [&preface[..], &frame(4, 0, &[]), &frame(1, 4, &block), &frame(0, 1, b"body")].concat()
}

/// Sends the frames and waits for the end of the stream or connection.
fn ask(proxy: std::net::SocketAddr, frames: &[u8]) {
    let mut stream = TcpStream::connect(proxy).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let _ = stream.write_all(frames);
    loop {
        let mut head = [0; 9];
        if stream.read_exact(&mut head).is_err() {
            return;
        }
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        if stream.read_exact(&mut payload).is_err() {
            return;
        }
        let (kind, flags) = (head[3], head[4]);
        // RST_STREAM, GOAWAY, or the end of the answer.
        if kind == 3 || kind == 7 || (kind <= 1 && flags & 1 == 1) {
            return;
        }
    }
}

#[test]
fn http1_origin_gets_one_unambiguous_request_or_none() {
    let origin = ByteLog::start();
    let sandbox = Sandbox::new();
    let begin = ["record", "-o", "hars/api.har"].map(String::from);
    let recorder = sandbox.start(begin.into_iter().chain(origin.args()));
    for (n, (_, fields)) in CORPUS.iter().enumerate() {
        ask(recorder.proxy(), &post("POST", &format!("/api/{n}"), fields));
    }
    for (method, path) in STARTS {
        ask(recorder.proxy(), &post(method, path, &[]));
    }
    recorder.stop();
    let mut passed = Vec::new();
    for bytes in origin.seen() {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        assert!(!text.contains("hidden"), "{text}");
        let Some(first) = Message::first(&bytes) else { continue };
        let message = first.unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!(message.len, bytes.len(), "more bytes follow: {text}");
        assert_eq!(message.header("host").len(), 1, "{text}");
        assert!(message.header("connection").is_empty() && message.header("upgrade").is_empty(), "{text}");
        let start = message.start.strip_prefix("POST /api/").and_then(|rest| rest.strip_suffix(" HTTP/1.1"));
        let case = start.unwrap_or_else(|| panic!("{text}"));
        assert_eq!(message.body, b"body", "{case}: {text}");
        passed.extend(case.parse::<usize>().map(|n| CORPUS[n].0));
    }
    assert!(passed.contains(&"nothing") && passed.contains(&"a valid length"), "{passed:?}");
}
