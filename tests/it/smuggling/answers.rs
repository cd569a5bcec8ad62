//! Answers of the origin.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use super::wire::{Message, answer};
use crate::support::raw::RawOrigin;
use crate::support::sandbox::Sandbox;

/// The smuggled answer.
const HIDDEN: &str = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled";

const CORPUS: &[&str] = &[
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 90\r\n\r\nok{hidden}",
    "HTTP/1.1 200 OK\r\nContent-Length: 2, 90\r\n\r\nok{hidden}",
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok{hidden}",
    "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok{hidden}",
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok{hidden}",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n{hidden}",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 900\r\n\r\n2\r\nok\r\n0\r\n\r\n{hidden}",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n{hidden}",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\nContent-Length: 2\r\n\r\nok{hidden}",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nok\r\n0\r\nContent-Length: 9\r\n\r\n{hidden}",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x2\r\nok\r\n0\r\n\r\n{hidden}",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000002\r\nok\r\n0\r\n\r\n{hidden}",
    "HTTP/1.1 200 OK\r\nX-A: 1\r\n folded\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 200 OK\nX-A: 1\nContent-Length: 2\n\nok",
    "HTTP/1.1 200 OK\r\nX-A: 1\rX-B: 2\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nX-A: \0\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok{hidden}",
    "HTTP/1.1 200 O\x01K\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok{hidden}",
    "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n{hidden}",
    "HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\nok{hidden}",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok{hidden}",
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n{hidden}",
    "HTTP/1.1 99999 OK\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/9.9 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "ICY 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "no HTTP at all",
];

#[test]
fn client_gets_one_unambiguous_answer_or_a_502() {
    let origin = RawOrigin::start(|head, stream| {
        let path = String::from_utf8_lossy(head).split(' ').nth(1).unwrap_or_default().to_owned();
        let case: Option<usize> = path.strip_prefix("/api/").and_then(|n| n.parse().ok());
        let text = case.map_or("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood", |n| CORPUS[n]);
        let _ = stream.write_all(text.replace("{hidden}", HIDDEN).as_bytes());
    });
    let sandbox = Sandbox::new();
    let map = format!("api.test:80={}", origin.addr);
    let recorder = sandbox.start(["record", "-o", "hars/api.har", "--map", &map]);
    let mut passed = 0;
    for (n, case) in CORPUS.iter().enumerate() {
        let mut stream = TcpStream::connect(recorder.proxy()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let request = format!("GET http://api.test/api/{n} HTTP/1.1\r\nHost: api.test\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        // `answer` fails the test at an ambiguous message.
        let (status, body) = answer(&mut stream, case.as_bytes());
        let body = String::from_utf8_lossy(&body).into_owned();
        assert!(!body.contains("smuggled"), "{case:?}: {body}");
        match status {
            200 => assert_eq!(body, "ok", "{case:?}"),
            204 | 304 => assert_eq!(body, "", "{case:?}"),
            502 => assert!(body.contains("no answer from http://api.test"), "{case:?}: {body}"),
            // The body is incomplete.
            0 => {}
            _ => panic!("{case:?}: {status} {body}"),
        }
        passed += usize::from(status == 200);
        // The smuggled bytes answer no later request.
        let next = "GET http://api.test/good HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n\r\n";
        if stream.write_all(next.as_bytes()).is_ok() && status != 0 {
            let (status, body) = answer(&mut stream, case.as_bytes());
            assert!(status == 0 || (status == 200 && body == b"good"), "{case:?}: {status} {body:?}");
        }
    }
    assert!(passed >= 5, "valid answers pass: {passed}");
    recorder.stop();
}

/// Headers of a fixture cannot change the framing of its answer.
#[test]
fn headers_of_a_fixture_do_not_change_the_framing() {
    use crate::replay::stage::{entry, foreign};
    use serde_json::json;
    let headers = [
        ("Content-Length", "0"),
        ("Content-Length", "99999999999999999999"),
        ("Content-Length", "-1"),
        ("Transfer-Encoding", "chunked"),
        ("Transfer-Encoding", "identity"),
        ("Connection", "keep-alive, Content-Length, Content-Type"),
        ("Keep-Alive", "timeout=99999"),
        ("Upgrade", "h2c"),
        ("Proxy-Connection", "keep-alive"),
        ("TE", "trailers"),
        ("Trailer", "Content-Length"),
        ("X-Split", "a\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK"),
        ("X-Split\r\nSet-Cookie", "stolen=1"),
        ("X-Nul", "a\0b"),
        ("", "nameless"),
        ("X Space", "1"),
    ];
    let mut entries: Vec<_> = headers
        .iter()
        .enumerate()
        .map(|(n, (name, value))| {
            let fields = json!([{"name": name, "value": value}, {"name": "X-Good", "value": "yes"}]);
            let content = json!({"size": 2, "mimeType": "text/plain", "text": "ok"});
            entry(&format!("GET http://api.test/api/{n}"), json!({"headers": fields, "content": content}))
        })
        .collect();
    let all: Vec<_> = headers.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    let content = json!({"size": 2, "mimeType": "text/plain", "text": "ok"});
    entries.push(entry(
        &format!("GET http://api.test/api/{}", headers.len()),
        json!({"statusText": "OK\r\nSet-Cookie: stolen=1", "headers": all, "content": content}),
    ));
    let sandbox = Sandbox::new();
    sandbox.write("hars/api.har", foreign(&entries).to_string());
    let server = sandbox.start(["replay", "hars/api.har"]);
    for n in 0..entries.len() {
        let mut stream = TcpStream::connect(server.proxy()).unwrap();
        let request = format!("GET http://api.test/api/{n} HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut got = Vec::new();
        std::io::Read::read_to_end(&mut stream, &mut got).unwrap();
        let message = Message::only(&got).unwrap_or_else(|error| panic!("{:?}: {error}", headers.get(n)));
        assert_eq!(
            (message.start.as_str(), &message.body[..]),
            ("HTTP/1.1 200 OK", &b"ok"[..]),
            "{:?}",
            headers.get(n)
        );
        for removed in ["set-cookie", "upgrade", "keep-alive", "proxy-connection", "te"] {
            assert!(message.header(removed).is_empty(), "{removed}: {message:?}");
        }
    }
    server.stop().expect(0);
}
