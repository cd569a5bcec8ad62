//! The framing of an upload does not affect matching.

use super::{missed, post, raw, record, replay, served};
use crate::support::client::{Proto, TestRequest};
use crate::support::origin::Origin;
use crate::support::sandbox::Sandbox;

const HEAD: &str =
    "POST http://api.test/api/echo HTTP/1.1\r\nHost: api.test\r\nContent-Type: text/plain\r\nConnection: close\r\n";

fn entry_of(answer: &[u8]) -> String {
    let text = String::from_utf8_lossy(answer).into_owned();
    let mark = text.lines().find_map(|line| line.strip_prefix("x-harproxy: "));
    mark.unwrap_or_else(|| panic!("{text}")).to_owned()
}

#[test]
fn uploads_match_with_any_framing() {
    let framed = [
        format!("{HEAD}Content-Length: 11\r\n\r\nhello there"),
        format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;a=b\r\n there\r\n0\r\n\r\n"),
        format!("{HEAD}Transfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\nB\r\nhello there\r\n0\r\nx-sum: 7\r\n\r\n"),
        format!("{HEAD}Expect: 100-continue\r\nContent-Length: 11\r\n\r\nhello there"),
    ];
    for recorded in &framed {
        let sandbox = Sandbox::new();
        let origin = Origin::start();
        let recorder = sandbox.record(&origin);
        let live = String::from_utf8_lossy(&raw(recorder.proxy(), recorded.as_bytes())).into_owned();
        assert!(live.contains("hello there"), "{recorded}: {live}");
        recorder.stop().expect(0);
        origin.stop();

        let (server, client) = replay(&sandbox, &["hars/api.har"], Proto::H2);
        for framed in &framed {
            assert_eq!(entry_of(&raw(server.proxy(), framed.as_bytes())), "replay; entry=hars/api.har#0", "{framed}");
        }
        let plain = TestRequest::new("POST", "http://api.test/api/echo").header("content-type", "text/plain");
        served(&client.send(plain.clone().body("hello there")));
        missed(&client.send(plain.body("hello here")));
        server.stop().expect(1);
    }
}

#[test]
fn missing_and_empty_payloads_are_equal() {
    let sandbox = Sandbox::new();
    let asks = [
        TestRequest::new("POST", "https://api.test/api/echo"),
        TestRequest::new("DELETE", "https://api.test/api/items/9").body("why"),
    ];
    record(&sandbox, Origin::start(), "hars/api.har", &[], Proto::H1, &asks);
    let (server, client) = replay(&sandbox, &["hars/api.har"], Proto::H1);
    served(&client.send(asks[0].clone()));
    served(&client.send(asks[0].clone().body("")));
    served(&client.send(asks[1].clone()));
    missed(&client.send(TestRequest::new("DELETE", "https://api.test/api/items/9")));
    missed(&client.send(post("/api/echo", "text/plain", "x")));
    let empty = b"POST http://api.test/api/echo HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    assert!(String::from_utf8_lossy(&raw(server.proxy(), empty)).contains("501"), "the entry was recorded over https");
    server.stop().expect(1);
}
