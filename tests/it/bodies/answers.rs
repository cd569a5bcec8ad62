//! Answers without a body, with a range of one, and with trailers.

use super::{get, missed, page, raw, record, replay, served};
use crate::support::client::{Client, Proto, TestRequest};
use crate::support::origin::{Origin, OriginRequest, OriginResponse};
use crate::support::sandbox::Sandbox;

const WHOLE: &str = "0123456789abcdefghij";

/// An origin that supports ranges and validators.
fn ranges(request: &OriginRequest) -> Option<OriginResponse> {
    let head = |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok());
    let status = match (request.path.as_str(), head("range"), head("if-range"), head("if-none-match")) {
        ("/api/ranges", _, _, Some("\"v1\"")) => 304,
        ("/api/ranges", Some("bytes=0-4" | "bytes=5-9"), None | Some("\"v1\""), _) => 206,
        ("/api/ranges", ..) | ("/api/whole", ..) => 200,
        _ => return None,
    };
    let mut page = page("text/plain", WHOLE);
    page.status = status;
    page.headers.push(("etag", "\"v1\"".into()));
    match (status, head("range")) {
        (206, Some(range)) => {
            let at = if range == "bytes=0-4" { 0 } else { 5 };
            page.headers.push(("content-range", format!("bytes {at}-{}/20", at + 4)));
            page.body = WHOLE.as_bytes()[at..at + 5].to_vec();
        }
        (304, _) => page.body.clear(),
        _ => {}
    }
    Some(page)
}

#[test]
fn ranges_and_304_answer_only_matching_requests() {
    for proto in [Proto::H1, Proto::H2] {
        let ask = |range: Option<&str>, if_range: Option<&str>, if_none_match: Option<&str>| {
            let fields = [("range", range), ("if-range", if_range), ("if-none-match", if_none_match)];
            let given = fields.iter().filter_map(|(name, value)| Some((*name, (*value)?)));
            given.fold(get("/api/ranges"), |ask, (name, value)| ask.header(name, value))
        };
        let asks = [
            ask(Some("bytes=0-4"), None, None),
            ask(Some("bytes=5-9"), Some("\"v1\""), None),
            ask(Some("bytes=0-4"), Some("\"old\""), None),
            ask(None, None, Some("\"v1\"")),
            ask(None, None, None),
            get("/api/whole").header("range", "bytes=0-4"),
        ];
        let sandbox = Sandbox::new();
        let live = record(&sandbox, Origin::answering(ranges), "hars/api.har", &[], proto, &asks);
        let statuses: Vec<_> = live.iter().map(|got| got.status).collect();
        assert_eq!(statuses, [206, 206, 200, 304, 200, 200]);

        let (server, client) = replay(&sandbox, &["hars/api.har"], proto);
        for (ask, live) in asks.iter().zip(live) {
            let got = client.send(ask.clone());
            served(&got);
            assert_eq!(got.unmarked(), live.unmarked(), "{ask:?}");
        }
        let got = client.send(ask(Some("bytes=10-14"), None, None));
        assert_eq!((got.status, got.text().as_str()), (200, WHOLE), "an unrecorded range gets the whole");
        server.stop().expect(0);
    }
}

#[test]
fn recorded_range_does_not_answer_another_range() {
    let sandbox = Sandbox::new();
    let part = get("/api/ranges").header("range", "bytes=0-4");
    record(&sandbox, Origin::answering(ranges), "hars/api.har", &[], Proto::H1, &[part]);
    let (server, client) = replay(&sandbox, &["hars/api.har"], Proto::H1);
    let explained = missed(&client.send(get("/api/ranges").header("range", "bytes=5-9")));
    assert!(explained.contains("range") && explained.contains("bytes=0-4"), "{explained}");
    missed(&client.get("https://api.test/api/ranges"));
    server.stop().expect(1);
}

/// No body, no Content-Length where none is allowed, and the connection stays usable.
#[test]
fn answers_without_a_body_have_none_on_the_wire() {
    let sandbox = Sandbox::new();
    let url = |path: &str| format!("http://api.test{path}");
    let asks = [
        TestRequest::new("HEAD", &url("/api/whole")),
        TestRequest::new("GET", &url("/api/no-content")),
        TestRequest::new("GET", &url("/api/ranges")).header("if-none-match", "\"v1\""),
    ];
    record(&sandbox, Origin::answering(ranges), "hars/api.har", &[], Proto::H1, &asks);
    let (server, _) = replay(&sandbox, &["hars/api.har"], Proto::H1);
    let request = |line: &str, more: &str| format!("{line} HTTP/1.1\r\nHost: api.test\r\n{more}\r\n");
    let all = [
        request("HEAD http://api.test/api/whole", ""),
        request("GET http://api.test/api/no-content", ""),
        request("GET http://api.test/api/ranges", "If-None-Match: \"v1\"\r\nConnection: close\r\n"),
    ]
    .concat();
    let answers = String::from_utf8(raw(server.proxy(), all.as_bytes())).unwrap().to_ascii_lowercase();
    let heads: Vec<&str> = answers.split_terminator("\r\n\r\n").collect();
    assert_eq!(heads.len(), 3, "{answers}");
    for (head, status) in heads.iter().zip(["200", "204", "304"]) {
        assert!(head.starts_with(&format!("http/1.1 {status}")), "{answers}");
        assert!(!head.contains("transfer-encoding"), "{head}");
    }
    assert!(heads[0].contains("content-length: 20"), "{answers}");
    assert!(!heads[1].contains("content-length"), "RFC 9110 section 8.6: {answers}");
    server.stop().expect(0);
}

#[test]
fn trailers_are_replayed_over_http1_and_http2() {
    let page = |request: &OriginRequest| {
        let page = OriginResponse {
            status: 200,
            headers: vec![("content-type", "text/plain".into()), ("trailer", "x-sum, x-sig".into())],
            body: b"with trailers".to_vec(),
            trailers: vec![("x-sum", "7"), ("x-sig", "ab cd")],
        };
        (request.path == "/api/tail").then_some(page)
    };
    let ask = get("/api/tail").header("te", "trailers");
    for output in ["hars/api.har", "hars/api.zip"] {
        for (recorded, replayed) in [(Proto::H1, Proto::H1), (Proto::H2, Proto::H2), (Proto::H2, Proto::H1)] {
            let sandbox = Sandbox::new();
            let asks = [ask.clone()];
            let live = record(&sandbox, Origin::answering(page), output, &[], recorded, &asks);
            assert_eq!(live[0].trailers.len(), 2, "{recorded:?}: {live:?}");
            let (server, client) = replay(&sandbox, &[output], replayed);
            let got = client.send(ask.clone());
            served(&got);
            assert_eq!(got.unmarked(), live[0].clone().unmarked(), "{recorded:?} {replayed:?}");
            if replayed == Proto::H1 {
                let without = Client::get(&client, "https://api.test/api/tail");
                assert_eq!((without.text().as_str(), without.trailers.len()), ("with trailers", 0));
            }
            server.stop().expect(0);
        }
    }
}
