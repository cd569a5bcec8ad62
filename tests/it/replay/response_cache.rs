//! Repeated requests: the first response to a request is prepared from the fixture, later ones come from the cache.

use std::io::{Read, Write};
use std::net::TcpStream;

use harproxy::verdict::CheckId;
use serde_json::json;

use super::stage::{Stage, entry, found, globs, own, posted, text};
use crate::support::client::{Proto, TestRequest, TestResponse};
use crate::support::raw::read_head;

#[test]
fn repeated_request_gets_the_same_response_and_counts_the_same() {
    let field = |name: &str, value: &str| json!({"name": name, "value": value});
    let body = |text: &str| json!({"size": text.len(), "mimeType": "text/plain", "text": text});
    let dates = [
        field("date", "Wed, 21 Oct 2015 07:28:00 GMT"),
        field("expires", "Wed, 21 Oct 2015 08:28:00 GMT"),
        field("set-cookie", "a=1; Expires=Wed, 21 Oct 2015 09:28:00 GMT"),
        field("set-cookie", "b=2"),
        field("content-length", "5"),
        field("connection", "close"),
    ];
    let coded = [field("content-encoding", "gzip"), field("content-type", "text/plain")];
    let allowed = [field("access-control-allow-origin", "https://page.test")];
    let same = [
        field("x-a", "1"),
        field("date", "Wed, 21 Oct 2015 07:28:00 GMT"),
        field("Content-Type", "text/plain"),
        field("x-a", "2"),
        field("set-cookie", "a=1"),
        field("set-cookie", "b=\u{e4}"),
    ];
    let trailer = [field("trailer", "x-t"), field("trailer", "x-u")];
    let mut from_a_page = entry("GET https://api.test/page", json!({"headers": allowed, "content": body("page")}));
    from_a_page["request"]["headers"] = json!([field("origin", "https://page.test")]);
    let entries = [
        entry("GET https://api.test/dates", json!({"headers": dates, "content": body("dates")})),
        entry("GET https://api.test/coded", json!({"headers": coded, "content": body("coded")})),
        entry("GET https://api.test/none", json!({"status": 204, "statusText": "No Content"})),
        entry("GET https://api.test/empty", json!({"status": 404, "statusText": "Not Here"})),
        entry("GET https://api.test/sum", json!({"content": body("sum"), "_trailers": [field("x-sum", "7")]})),
        entry("HEAD https://api.test/dates", json!({"headers": dates})),
        entry("DELETE https://api.test/a%20b?q=1&q=2", json!({"content": body("gone")})),
        posted(text("POST https://api.test/post", "posted"), "{}"),
        entry("GET https://api.test/same", json!({"headers": same, "content": body("same")})),
        entry("GET https://api.test/same/2", json!({"headers": same, "content": body("")})),
        entry("GET https://api.test/gone", json!({"status": 404, "statusText": "Not Found", "content": body("gone")})),
        entry("GET https://api.test/trailer", json!({"headers": trailer, "content": body("trailer")})),
        from_a_page,
    ];
    let asks = [
        TestRequest::new("GET", "https://api.test/dates"),
        TestRequest::new("GET", "https://api.test/coded"),
        TestRequest::new("GET", "https://api.test/coded").header("accept-encoding", "gzip"),
        TestRequest::new("GET", "https://api.test/none"),
        TestRequest::new("GET", "https://api.test/empty"),
        TestRequest::new("GET", "https://api.test/sum").header("te", "trailers"),
        TestRequest::new("HEAD", "https://api.test/dates"),
        TestRequest::new("DELETE", "https://api.test/a%20b?q=1&q=2"),
        TestRequest::new("POST", "https://api.test/post").body("{}"),
        TestRequest::new("GET", "https://api.test/same"),
        TestRequest::new("GET", "https://api.test/same/2"),
        TestRequest::new("GET", "https://api.test/gone").header("if-none-match", "*").header("range", "bytes=0-0"),
        TestRequest::new("GET", "https://api.test/trailer"),
        TestRequest::new("GET", "https://api.test/page").header("origin", "http://localhost:5173"),
    ];
    for proto in [Proto::H1, Proto::H2] {
        let entries = entries.clone().map(|mut entry| {
            entry["response"]["httpVersion"] = json!(if proto == Proto::H2 { "HTTP/2" } else { "HTTP/1.1" });
            entry
        });
        let now = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_500_000_000);
        let stage = Stage::with(&own(&["https://api.test/**"], &entries), |plan| plan.answers.now = Some(now));
        let client = stage.client(proto);
        let mut bytes = 0;
        for ask in &asks {
            let parts = |got: TestResponse| (got.status, got.reason, got.headers, got.body, got.trailers);
            let first = parts(client.send(ask.clone()));
            for _ in 0..3 {
                assert_eq!(parts(client.send(ask.clone())), first, "{proto:?} {ask:?}");
            }
            assert!(first.2.iter().any(|(name, _)| name == "x-harproxy"), "{proto:?} {ask:?}: {first:?}");
            bytes += 4 * first.3.len() as u64;
        }
        let verdict = stage.verdict();
        assert_eq!((verdict.counts.requests, verdict.counts.served), (56, 56), "{proto:?}");
        assert_eq!(verdict.counts.bytes, bytes, "{proto:?}");
        assert!(verdict.passed() && found(&verdict, CheckId::UNUSED).is_empty(), "{proto:?}: {verdict:?}");
    }
}

#[test]
fn cached_response_is_not_sent_to_a_request_that_differs() {
    let stage = Stage::with(&own(&["**"], &[text("GET https://api.test/a", "hi")]), |plan| {
        plan.answers.scope = globs(&["**", "!**/b"]);
    });
    let client = stage.h1();
    assert_eq!([(); 2].map(|()| client.get("https://api.test/a").status), [200; 2]);
    let upgrade =
        TestRequest::new("GET", "https://api.test/a").header("connection", "upgrade").header("upgrade", "websocket");
    assert_eq!(client.send(upgrade).status, 501, "no entry is a WebSocket");
    assert_eq!(
        client.send(TestRequest::new("GET", "https://api.test/a").body("x")).status,
        501,
        "the entry has no payload"
    );
    assert_eq!(client.get("https://api.test/a?").status, 501, "another URL");
    assert_eq!(client.send(TestRequest::new("POST", "https://api.test/a")).status, 501, "another method");
    assert_eq!(client.get("https://api.test/x/../a").status, 200, "the same URL, written differently");
    let verdict = stage.verdict();
    assert_eq!((verdict.counts.served, verdict.counts.misses, verdict.counts.refused), (3, 3, 1));
}

#[test]
fn concurrent_connections_get_the_responses_to_their_own_requests() {
    const ENTRIES: usize = 1_000;
    let entries: Vec<_> = (0..ENTRIES).map(|n| text(&format!("GET http://api.test/{n}"), &format!("{n}"))).collect();
    let stage = Stage::of(&own(&["http://api.test/**"], &entries));
    let mut connections: Vec<_> = (0..24).map(|_| TcpStream::connect(stage.addr()).unwrap()).collect();
    let mut served = 0;
    for round in 0..6 {
        // Each URL three times: the first response is prepared, the others come from the cache.
        let of = |connection: usize| (connection * 7919 + round / 3 * 11) % ENTRIES;
        for (n, connection) in connections.iter_mut().enumerate() {
            write!(connection, "GET http://api.test/{} HTTP/1.1\r\nHost: api.test\r\n\r\n", of(n)).unwrap();
        }
        for (n, connection) in connections.iter_mut().enumerate() {
            let head = String::from_utf8(read_head(connection)).unwrap();
            let body = of(n).to_string();
            assert!(head.starts_with("HTTP/1.1 200 ") && head.contains(&format!("#{}\r\n", of(n))), "{head}");
            assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{head}");
            let mut got = vec![0; body.len()];
            connection.read_exact(&mut got).unwrap();
            assert_eq!(got, body.as_bytes());
            served += 1;
        }
    }
    // Misses on connections that had responses before.
    for (path, method) in [("/none", "GET"), ("/0", "POST")] {
        write!(connections[0], "{method} http://api.test{path} HTTP/1.1\r\nHost: api.test\r\n\r\n").unwrap();
        let head = String::from_utf8(read_head(&mut connections[0])).unwrap();
        assert!(head.starts_with("HTTP/1.1 501 "), "{head}");
        connections.remove(0);
    }
    drop(connections);
    let verdict = stage.verdict();
    assert_eq!((verdict.counts.served, verdict.counts.misses), (served, 2));
}
