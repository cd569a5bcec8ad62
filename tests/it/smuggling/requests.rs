//! Requests of the client.

use std::net::SocketAddr;

use super::wire::{ByteLog, Message, answer, send_and_read};
use crate::replay::stage::{foreign, posted, text};
use crate::support::raw::Raw;
use crate::support::sandbox::Sandbox;

/// The smuggled request.
const HIDDEN: &str = "GET http://api.test/api/hidden HTTP/1.1\r\nHost: api.test\r\n\r\n";

/// Heads and bodies of `POST /api/N`; `{hidden}` is the smuggled request.
const CORPUS: &[(&str, &str)] = &[
    ("two lengths", "Content-Length: 4\r\nContent-Length: 0\r\n\r\nbody{hidden}"),
    ("two lengths in one", "Content-Length: 4, 0\r\n\r\nbody{hidden}"),
    ("twice the same length", "Content-Length: 4\r\nContent-Length: 4\r\n\r\nbody"),
    ("a signed length", "Content-Length: +4\r\n\r\nbody{hidden}"),
    ("a negative length", "Content-Length: -4\r\n\r\nbody{hidden}"),
    ("a length in hexadecimal", "Content-Length: 0x4\r\n\r\nbody{hidden}"),
    ("a length with spaces", "Content-Length: 4 0\r\n\r\nbody{hidden}"),
    ("a length beyond 64 bits", "Content-Length: 18446744073709551620\r\n\r\nbody{hidden}"),
    ("an empty length", "Content-Length:\r\n\r\n{hidden}"),
    ("length and chunks", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"),
    ("chunks and length", "Transfer-Encoding: chunked\r\nContent-Length: 200\r\n\r\n0\r\n\r\n{hidden}"),
    ("chunks twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"),
    ("chunks and nothing", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n{hidden}"),
    ("an unknown coding", "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n{hidden}"),
    ("chunks in capitals", "Transfer-Encoding: CHUNKED\r\n\r\n4\r\nbody\r\n0\r\n\r\n"),
    ("chunks in a list", "Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n{hidden}"),
    ("chunks in quotes", "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n{hidden}"),
    ("chunks behind a tab", "Transfer-Encoding:\tchunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"),
    ("chunks behind a vertical tab", "Transfer-Encoding: \u{b}chunked\r\nContent-Length: 4\r\n\r\nbody{hidden}"),
    ("chunks behind a space before the colon", "Transfer-Encoding : chunked\r\nContent-Length: 4\r\n\r\nbody{hidden}"),
    ("chunks by an underscore", "Transfer_Encoding: chunked\r\nContent-Length: 4\r\n\r\nbody"),
    ("chunks in a folded line", "X-A: 1\r\n Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\nbody{hidden}"),
    ("a folded coding", "Transfer-Encoding:\r\n chunked\r\nContent-Length: 4\r\n\r\nbody{hidden}"),
    ("chunks after a bare LF", "X-A: 1\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"),
    ("chunks after a bare CR", "X-A: 1\rTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\nbody{hidden}"),
    ("a NUL in a name", "X\0A: 1\r\nContent-Length: 4\r\n\r\nbody{hidden}"),
    ("a NUL in a value", "X-A: 1\0Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\nbody{hidden}"),
    ("an empty name", ": 1\r\nContent-Length: 4\r\n\r\nbody{hidden}"),
    ("a line without a colon", "X-A\r\nContent-Length: 4\r\n\r\nbody{hidden}"),
    ("an end of bare LFs", "Content-Length: 4\n\nbody"),
    ("a chunk size with an extension", "Transfer-Encoding: chunked\r\n\r\n4;a=b;c=\"d\"\r\nbody\r\n0;x\r\n\r\n"),
    ("an extension with a bare LF", "Transfer-Encoding: chunked\r\n\r\n4;a\nb\r\nbody\r\n0\r\n\r\n{hidden}"),
    ("a chunk size with zeros", "Transfer-Encoding: chunked\r\n\r\n0004\r\nbody\r\n0000\r\n\r\n"),
    ("a chunk size with 0x", "Transfer-Encoding: chunked\r\n\r\n0x4\r\nbody\r\n0\r\n\r\n{hidden}"),
    ("a chunk size with a sign", "Transfer-Encoding: chunked\r\n\r\n+4\r\nbody\r\n0\r\n\r\n{hidden}"),
    ("a chunk size beyond 64 bits", "Transfer-Encoding: chunked\r\n\r\n10000000000000004\r\nbody\r\n0\r\n\r\n{hidden}"),
    ("a chunk size with spaces", "Transfer-Encoding: chunked\r\n\r\n4  \r\nbody\r\n0\r\n\r\n"),
    ("an empty chunk size", "Transfer-Encoding: chunked\r\n\r\n\r\nbody\r\n0\r\n\r\n{hidden}"),
    ("a chunk that is longer", "Transfer-Encoding: chunked\r\n\r\n2\r\nbody\r\n0\r\n\r\n{hidden}"),
    ("a chunk without its end", "Transfer-Encoding: chunked\r\n\r\n4\r\nbody0\r\n\r\n{hidden}"),
    ("chunks with bare LFs", "Transfer-Encoding: chunked\r\n\r\n4\nbody\n0\n\n{hidden}"),
    (
        "trailers that matter",
        "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nContent-Length: 99\r\nHost: evil\r\n\r\n",
    ),
    ("a folded trailer", "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nX-A: 1\r\n fold\r\n\r\n{hidden}"),
    ("a name as an option of the connection", "Connection: close, Content-Length\r\nContent-Length: 4\r\n\r\nbody"),
    ("two hosts", "Host: evil.test\r\nContent-Length: 4\r\n\r\nbody"),
    (
        "a protocol to upgrade to",
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\nContent-Length: 4\r\n\r\nbody",
    ),
];

/// Ambiguous request lines.
const STARTS: &[(&str, &str)] = &[
    ("a tab", "GET\thttp://api.test/api/start\tHTTP/1.1"),
    ("a space in the target", "GET http://api.test/api/start HTTP/1.1 HTTP/1.1"),
    ("a bare CR", "GET http://api.test/api/start HTTP/1.1\rX: 1"),
    ("a NUL", "GET http://api.test/api/\0start HTTP/1.1"),
    ("no version", "GET http://api.test/api/start"),
    ("another version", "GET http://api.test/api/start HTTP/1.2"),
    ("version 2", "GET http://api.test/api/start HTTP/2.0"),
    ("a space before", " GET http://api.test/api/start HTTP/1.1"),
    ("credentials in the target", "GET http://evil.test@api.test/api/start HTTP/1.1"),
    ("a fragment", "GET http://api.test/api/start#x HTTP/1.1"),
    ("a backslash", "GET http://api.test\\@evil.test/api/start HTTP/1.1"),
    ("an invalid port", "GET http://api.test:80x/api/start HTTP/1.1"),
    ("two hosts", "GET http://api.test,evil.test/api/start HTTP/1.1"),
    ("a method with a colon", "GE:T http://api.test/api/start HTTP/1.1"),
];

/// A request of the corpus to a proxy, or inside a tunnel.
fn bytes(n: usize, rest: &str, is_tunnel: bool) -> Vec<u8> {
    let origin = if is_tunnel { "" } else { "http://api.test" };
    format!("POST {origin}/api/{n} HTTP/1.1\r\nHost: api.test\r\n{}", rest.replace("{hidden}", HIDDEN)).into()
}

/// Sends a request to a proxy, or inside a tunnel to `api.test:80`, and reads the first answer.
fn send(proxy: SocketAddr, request: &[u8], is_tunnel: bool) -> (u16, Vec<u8>) {
    if !is_tunnel {
        return send_and_read(proxy, request);
    }
    let mut raw = Raw::to(proxy);
    raw.send("CONNECT api.test:80 HTTP/1.1\r\nHost: api.test:80\r\n\r\n");
    assert!(raw.head().starts_with("HTTP/1.1 200 "));
    raw.send(request);
    answer(&mut raw.0, request)
}

#[test]
fn origin_gets_one_unambiguous_request_or_none() {
    record_corpus(false);
}

#[test]
fn origin_gets_one_unambiguous_request_or_none_from_a_tunnel() {
    record_corpus(true);
}

fn record_corpus(is_tunnel: bool) {
    let origin = ByteLog::start();
    let sandbox = Sandbox::new();
    let begin = ["record", "-o", "hars/api.har"].map(String::from);
    let recorder = sandbox.start(begin.into_iter().chain(origin.args()));
    let mut passed = Vec::new();
    for (n, (what, rest)) in CORPUS.iter().enumerate() {
        match send(recorder.proxy(), &bytes(n, rest, is_tunnel), is_tunnel) {
            (200, body) if body == b"ok" => passed.push(n),
            // A connection with an incomplete body may be closed without an answer.
            (0 | 400 | 431 | 501 | 502, _) => {}
            (status, body) => panic!("{what}: {status} {}", String::from_utf8_lossy(&body)),
        }
    }
    let mut starts = Vec::new();
    // Inside a tunnel, bytes that do not begin as HTTP pass through untouched.
    for (what, start) in STARTS.iter().filter(|_| !is_tunnel) {
        let (status, _) =
            send_and_read(recorder.proxy(), format!("{start}\r\nHost: evil.test\r\nX-Case: {what}\r\n\r\n").as_bytes());
        assert!([0, 200, 400, 502, 505].contains(&status), "{what}: {status}");
        starts.extend((status == 200).then_some(*what));
    }
    recorder.stop();
    let seen = origin.seen();
    let mut whole = Vec::new();
    for bytes in &seen {
        let text = String::from_utf8_lossy(bytes);
        assert!(!text.contains("api/hidden HTTP"), "a request was smuggled: {text}");
        // An incomplete request is ignored: its declared length was not sent.
        let Some(first) = Message::first(bytes) else { continue };
        let message = first.unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!(message.len, bytes.len(), "more bytes follow: {text}");
        assert_eq!(message.header("host"), ["api.test"], "{text}");
        assert!(message.header("upgrade").is_empty() || text.contains("h2c"), "{text}");
        whole.push(message);
    }
    for (n, what) in passed.iter().map(|n| (*n, CORPUS[*n].0)) {
        let start = format!("POST /api/{n} HTTP/1.1");
        let of: Vec<&Message> = whole.iter().filter(|message| message.start == start).collect();
        assert_eq!(of.len(), 1, "{what}");
        assert!(["body", ""].contains(&std::str::from_utf8(&of[0].body).unwrap()), "{what}: {:?}", of[0]);
    }
    for message in whole.iter().filter(|message| !message.start.starts_with("POST ")) {
        assert_eq!(message.start, "GET /api/start HTTP/1.1");
        assert!(starts.contains(&message.header("x-case")[0]), "{message:?}");
    }
    assert!(passed.len() >= 8, "valid requests pass: {passed:?}");
}

#[test]
fn replay_answers_one_unambiguous_request_or_none() {
    let sandbox = Sandbox::new();
    let mut entries =
        vec![text("GET http://api.test/api/hidden", "smuggled"), text("GET http://api.test/api/start", "ok")];
    for n in 0..CORPUS.len() {
        for body in ["body", ""] {
            entries.push(posted(text(&format!("POST http://api.test/api/{n}"), "ok"), body));
        }
    }
    sandbox.write("hars/api.har", foreign(&entries).to_string());
    let server = sandbox.start(["replay", "hars/api.har", "--match-body", "exact"]);
    for (n, (what, rest)) in CORPUS.iter().enumerate() {
        for is_tunnel in [false, true] {
            let (status, body) = send(server.proxy(), &bytes(n, rest, is_tunnel), is_tunnel);
            assert!([0, 200, 400, 408, 431, 501].contains(&status), "{what}: {status}");
            assert!(status != 200 || body == b"ok", "{what}: {}", String::from_utf8_lossy(&body));
        }
    }
    for (what, start) in STARTS {
        let (status, _) = send_and_read(server.proxy(), format!("{start}\r\nHost: evil.test\r\n\r\n").as_bytes());
        assert!([0, 200, 400, 501, 505].contains(&status), "{what}: {status}");
    }
    let output = server.stop();
    let smuggled =
        output.stderr.lines().filter(|line| line.contains("\"event\":\"request\"") && line.contains("api/hidden"));
    assert_eq!(smuggled.count(), 0, "{}", output.stderr);
}

#[test]
fn connect_target_must_be_a_host_and_a_port() {
    let sandbox = Sandbox::new();
    sandbox.write("hars/api.har", foreign(&[text("GET http://api.test/api/good", "good")]).to_string());
    let server = sandbox.start(["replay", "hars/api.har"]);
    for target in [
        "api.test",
        "api.test:",
        "api.test:0",
        "api.test:65536",
        "api.test:-1",
        "api.test:443x",
        "api.test:4 43",
        ":443",
        "/",
        "*",
        "http://api.test:443",
        "https://api.test/",
        "u:p@api.test:443",
        "api.test:443/x",
        "api.test:443?x",
        "[::1",
        "[::1]",
        "::1:443",
        "api.test:443:80",
        "api%00.test:443",
        "api.test\\:443",
    ] {
        let (status, _) =
            send_and_read(server.proxy(), format!("CONNECT {target} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
        assert_eq!(status, 400, "{target}");
    }
    // A CONNECT to the proxy itself would loop.
    let own = server.proxy();
    assert_eq!(send_and_read(own, format!("CONNECT {own} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).0, 508);
    server.stop();
}
