//! Header names keep their case through a recording, on connections with several exchanges.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, channel};

use harproxy::record::CmdEnd;

use crate::support::raw::{RawOrigin, read_head};
use crate::support::rig::{Rig, setup};
use crate::support::sandbox::Sandbox;

/// A payload that looks like a head.
const BODY: &str = "GET / HTTP/1.1\r\nHOST: no\r\nX-id: 0\r\n\r\nHTTP/1.1 200 OK\r\nX-REPLY: 0\r\n\r\n";

/// An origin that reports the heads it receives and answers by path, on one connection.
fn origin() -> (RawOrigin, Receiver<String>) {
    let (report, heads) = channel();
    let origin = RawOrigin::start(move |first, stream| {
        let mut head = first.to_vec();
        while !head.is_empty() {
            let text = String::from_utf8(head).unwrap();
            let lower = text.to_ascii_lowercase();
            if lower.contains("expect: 100-continue") {
                stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap();
            }
            if let Some((_, rest)) = lower.split_once("content-length: ") {
                let mut body = vec![0; rest.lines().next().unwrap().parse().unwrap()];
                stream.read_exact(&mut body).unwrap();
            } else if lower.contains("transfer-encoding: ") {
                while !read_head(stream).ends_with(b"\r\n0\r\n\r\n") {}
            }
            let answer = answer(&text);
            report.send(text).unwrap();
            // In two writes, so that the head is split.
            let half = answer.len() / 3;
            stream.write_all(&answer.as_bytes()[..half]).unwrap();
            stream.flush().unwrap();
            stream.write_all(&answer.as_bytes()[half..]).unwrap();
            head = read_head(stream);
        }
    });
    (origin, heads)
}

fn answer(head: &str) -> String {
    let length = BODY.len();
    match head.split(' ').nth(1).unwrap() {
        "/api/lower" => format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nx-reply: 1\r\n\r\n{BODY}"),
        "/api/hints" => format!(
            "HTTP/1.1 103 Early Hints\r\nLINK: </a>\r\n\r\nHTTP/1.1 200 OK\r\nLiNK: </b>\r\nCONTENT-Length: {length}\r\n\r\n{BODY}"
        ),
        "/api/chunked" => format!(
            "HTTP/1.1 200 Fine\r\nX-Reply: a\r\nTransfer-Encoding: chunked\r\nx-REPLY: b\r\n\r\n{length:x}\r\n{BODY}\r\n0\r\n\r\n"
        ),
        _ => format!(
            "HTTP/1.1 200 OK\r\nSet-Cookie: A=1\r\nContent-Length: {length}\r\nset-cookie: B=2\r\nETag: X-Y\r\n\r\n{BODY}"
        ),
    }
}

/// A client connection.
struct Connection {
    stream: TcpStream,
    heads: Receiver<String>,
}

impl Connection {
    fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).unwrap();
    }

    /// The next head that the origin received, without its first line.
    fn received(&self) -> String {
        self.heads.recv().unwrap().split_once("\r\n").unwrap().1.to_owned()
    }

    /// Reads an answer and returns its head.
    fn answer(&mut self) -> String {
        let head = String::from_utf8(read_head(&mut self.stream)).unwrap();
        let chunked = head.to_ascii_lowercase().contains("chunked");
        let mut body =
            vec![0; BODY.len() + if chunked { format!("{:x}\r\n\r\n0\r\n\r\n", BODY.len()).len() } else { 0 }];
        self.stream.read_exact(&mut body).unwrap();
        assert!(String::from_utf8(body).unwrap().contains(BODY));
        head
    }
}

fn start(sandbox: &Sandbox) -> (Rig, Connection) {
    let (origin, heads) = origin();
    let rig = setup(sandbox).map("api.test", origin.addr, origin.addr).start(sandbox).unwrap();
    let stream = TcpStream::connect(rig.proxy).unwrap();
    (rig, Connection { stream, heads })
}

#[test]
fn header_names_keep_their_case_in_both_directions() {
    let sandbox = Sandbox::new();
    let (rig, mut client) = start(&sandbox);
    let cookies = "HTTP/1.1 200 OK\r\nSet-Cookie: A=1\r\nset-cookie: B=2\r\nContent-Length: 77\r\nETag: X-Y\r\n\r\n";
    let cookies = cookies.replace("77", &BODY.len().to_string());
    for _ in 0..2 {
        client.send(
            "GET http://api.test/api/mixed HTTP/1.1\r\nHoST: api.test\r\nX-id: 1\r\nx-b: X-id: 2\r\nX-ID: 3\r\n\r\n",
        );
        assert_eq!(client.received(), "HoST: api.test\r\nX-id: 1\r\nX-ID: 3\r\nx-b: X-id: 2\r\n\r\n");
        assert_eq!(client.answer(), cookies);
        client.send("GET http://api.test/api/lower HTTP/1.1\r\nhost: api.test\r\nx-id: A\r\n\r\n");
        assert_eq!(client.received(), "host: api.test\r\nx-id: A\r\n\r\n");
        assert!(client.answer().ends_with("\r\nx-reply: 1\r\n\r\n"));
    }
    // A split head, and a payload that looks like a head.
    for piece in [
        "POST http://api.test/api/hints HT",
        "TP/1.1\r\nHost: api.test\r\nConTent-",
        "Length: 77\r\nX-Id: 1\r\n\r",
        "\n",
    ] {
        client.send(&piece.replace("77", &BODY.len().to_string()));
    }
    client.send(BODY);
    assert_eq!(client.received(), format!("Host: api.test\r\nConTent-Length: {}\r\nX-Id: 1\r\n\r\n", BODY.len()));
    assert_eq!(client.answer(), format!("HTTP/1.1 200 OK\r\nLiNK: </b>\r\nCONTENT-Length: {}\r\n\r\n", BODY.len()));
    let chunks = format!("{:x}\r\n{BODY}\r\n0\r\n\r\n", BODY.len());
    client.send("POST http://api.test/api/chunked HTTP/1.1\r\nHosT: api.test\r\nTRANSFER-Encoding: chunked\r\nExPect: 100-continue\r\n\r\n");
    assert_eq!(read_head(&mut client.stream), b"HTTP/1.1 100 Continue\r\n\r\n");
    client.send(&chunks);
    assert_eq!(client.received(), "HosT: api.test\r\nTRANSFER-Encoding: chunked\r\nExPect: 100-continue\r\n\r\n");
    assert_eq!(client.answer(), "HTTP/1.1 200 Fine\r\nX-Reply: a\r\nx-REPLY: b\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send("GET http://api.test/api/mixed HTTP/1.1\r\nhOST: api.test\r\n\r\n");
    assert_eq!(client.received(), "hOST: api.test\r\n\r\n");
    assert_eq!(client.answer(), cookies);
    assert_eq!(rig.finish(CmdEnd::Clean).verdict.counts.recorded, 7);
}

#[test]
fn pipelined_requests_keep_the_case_of_their_header_names() {
    let sandbox = Sandbox::new();
    let (rig, mut client) = start(&sandbox);
    let request = "GET http://api.test/api/mixed HTTP/1.1\r\nHoSt: api.test\r\nX-iD: 1\r\n\r\n";
    client.send(&request.repeat(3));
    for _ in 0..3 {
        assert_eq!(client.received(), "HoSt: api.test\r\nX-iD: 1\r\n\r\n");
        assert!(client.answer().contains("\r\nset-cookie: B=2\r\n"));
    }
    rig.finish(CmdEnd::Clean);
}
