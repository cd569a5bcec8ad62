//! Requests that no entry answers: misses, generated preflights, WebSockets, malformed requests.

use std::io::{Read, Write};
use std::net::TcpStream;

use harproxy::replay::MissAnswer;
use harproxy::verdict::{CheckId, Severity};
use harproxy_matching::Repeat;
use serde_json::json;

use super::stage::{Stage, entry, found, own, posted, text};
use crate::support::client::{Proto, TestRequest};

const PAGE: &str = "https://app.test";

#[test]
fn miss_is_explained_to_the_client_and_in_the_verdict() {
    let stage = Stage::of(&own(&["**"], &[text("GET https://api.test/users?page=2", "two")]));
    let got = stage.h1().send(TestRequest::new("GET", "https://api.test/users?page=3").header("origin", PAGE));
    assert_eq!((got.status, got.header("x-harproxy")), (501, Some("miss")));
    assert_eq!(got.header("cache-control"), Some("no-store"));
    assert_eq!(got.header("content-type"), Some("application/problem+json"));
    assert_eq!(got.header("access-control-allow-origin"), Some(PAGE));
    assert_eq!(got.header("access-control-allow-credentials"), Some("true"));
    let problem = got.json();
    assert_eq!(problem["request"], "GET https://api.test/users?page=3");
    assert_eq!(problem["urlRecorded"], false);
    assert_eq!(problem["samePath"], 1);
    assert_eq!(problem["near"][0]["entry"], 0);
    assert_eq!(
        problem["near"][0]["differences"],
        json!([{"what": "query", "name": "page", "request": "3", "recorded": "2"}])
    );
    let hint = problem["remedy"].as_str().unwrap();
    assert!(hint.starts_with("record it: `harproxy replay ") && hint.lines().count() == 1, "{hint}");
    let verdict = stage.verdict();
    let miss = found(&verdict, CheckId::MISS)[0];
    assert_eq!((miss.severity, miss.at.entry), (Severity::Error, Some(0)));
    assert!(miss.at.line.is_some());
    assert!(miss.text.contains("query parameter `page` is `3`, recorded `2`"), "{miss:?}");
    assert_eq!(miss.hint.as_deref(), Some(hint));
    assert!(!verdict.passed());
}

#[test]
fn miss_names_the_recorded_method_or_payload_of_the_same_url() {
    let stage = Stage::of(&own(&["**"], &[posted(text("POST https://api.test/a", "a"), r#"{"user":{"id":5}}"#)]));
    let problem = stage.h1().get("https://api.test/a").json();
    assert_eq!(problem["urlRecorded"], true);
    assert!(problem["detail"].as_str().unwrap().contains("only recorded as POST"), "{problem}");
    let problem = stage.h1().send(TestRequest::new("POST", "https://api.test/a").body(r#"{"user":{"id":7}}"#)).json();
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("`$.user.id` is `7`, recorded `5`"), "{detail}");
}

#[test]
fn miss_status_option_sets_the_status_or_closes_the_connection() {
    let har = own(&["**"], &[text("GET https://api.test/a", "a")]);
    let stage = Stage::with(&har, |plan| plan.answers.miss = MissAnswer::Status(404));
    let got = stage.h1().get("https://api.test/b");
    assert_eq!((got.status, got.json()["status"].as_u64(), got.header("x-harproxy")), (404, Some(404), Some("miss")));
    let stage = Stage::with(&har, |plan| plan.answers.miss = MissAnswer::Abort);
    assert!(stage.h1().try_send(TestRequest::new("GET", "https://api.test/b")).is_err());
    let verdict = stage.verdict();
    assert_eq!(verdict.counts.misses, 1, "it is still counted");
    assert!(!verdict.passed());
}

#[test]
fn repeated_miss_is_one_finding_with_a_count() {
    let stage = Stage::of(&own(&["**"], &[text("GET https://api.test/a", "a")]));
    for url in ["https://api.test/b", "https://api.test/c", "https://api.test/b"] {
        stage.h1().get(url);
    }
    let verdict = stage.verdict();
    let misses: Vec<_> =
        found(&verdict, CheckId::MISS).iter().map(|f| (f.at.request.clone().unwrap(), f.times)).collect();
    assert_eq!(misses, [("GET https://api.test/b".into(), 2), ("GET https://api.test/c".into(), 1)]);
    assert_eq!(verdict.counts.misses, 3);
}

#[test]
fn entry_without_its_payload_is_a_miss_and_not_an_empty_response() {
    let stage = Stage::of(&own(
        &["**"],
        &[
            entry("GET https://api.test/evicted", json!({"content": {"size": 10, "mimeType": "text/plain"}})),
            entry(
                "GET https://api.test/gone",
                json!({"content": {"size": 1, "mimeType": "", "_file": "api/0123456789abcdef.bin"}}),
            ),
        ],
    ));
    let problem = stage.h1().get("https://api.test/evicted").json();
    assert_eq!((&problem["kind"], &problem["status"]), (&json!("body-not-recorded"), &json!(501)));
    let problem = stage.h1().get("https://api.test/gone").json();
    assert_eq!((&problem["kind"], &problem["status"]), (&json!("unreadable"), &json!(501)));
    assert!(problem["detail"].as_str().unwrap().contains("0123456789abcdef.bin` does not exist"), "{problem}");
}

fn preflight(url: &str) -> TestRequest {
    TestRequest::new("OPTIONS", url)
        .header("origin", PAGE)
        .header("access-control-request-method", "PUT")
        .header("access-control-request-headers", "content-type")
}

#[test]
fn preflight_without_an_entry_is_generated_and_leaves_the_sequence() {
    let entries = [text("PUT https://api.test/a", "put")];
    let stage = Stage::with(&own(&["**"], &entries), |plan| plan.matching.repeat = Repeat::Once);
    let got = stage.h1().send(preflight("https://api.test/a"));
    assert_eq!((got.status, got.header("x-harproxy")), (204, Some("preflight")));
    assert_eq!(got.header("access-control-allow-origin"), Some(PAGE));
    assert_eq!(got.header("access-control-allow-methods"), Some("PUT"));
    assert_eq!(got.header("access-control-allow-headers"), Some("content-type"));
    assert_eq!(got.header("access-control-allow-credentials"), Some("true"));
    assert_eq!(stage.h1().send(TestRequest::new("PUT", "https://api.test/a")).text(), "put");
    let verdict = stage.verdict();
    assert_eq!((verdict.counts.preflights, verdict.counts.served, verdict.counts.misses), (1, 1, 0));
    assert!(verdict.passed());
}

#[test]
fn recorded_preflight_is_served_from_its_entry() {
    let recorded = entry(
        "OPTIONS https://api.test/a",
        json!({"status": 200, "headers": [{"name": "access-control-allow-origin", "value": "*"}]}),
    );
    let got = Stage::of(&own(&["**"], &[recorded])).h1().send(preflight("https://api.test/a"));
    assert_eq!((got.status, got.header("access-control-allow-origin")), (200, Some("*")));
    assert!(got.header("x-harproxy").unwrap().starts_with("replay"));
}

#[test]
fn plain_options_request_and_preflight_out_of_scope_are_refused() {
    let stage = Stage::of(&own(&["https://api.test/**"], &[text("GET https://api.test/a", "a")]));
    assert_eq!(stage.h1().send(TestRequest::new("OPTIONS", "https://api.test/a")).header("x-harproxy"), Some("miss"));
    let outside = stage.h1().send(preflight("https://other.test/a"));
    assert_eq!((outside.status, outside.header("x-harproxy")), (501, Some("out-of-scope")));
    assert_eq!(outside.header("access-control-allow-methods"), Some("PUT"));
}

#[test]
fn websocket_in_scope_is_refused_and_fails_the_run() {
    let stage = Stage::of(&own(&["**"], &[text("GET https://api.test/a", "a")]));
    stage.h1().get("https://api.test/a");
    let ask = |url: &str| {
        TestRequest::new("GET", url)
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
    };
    let got = stage.h1().send(ask("https://api.test/live"));
    assert_eq!((got.status, got.header("x-harproxy")), (501, Some("miss")));
    assert_eq!(got.json()["kind"], "websocket");
    let verdict = stage.verdict();
    assert_eq!(found(&verdict, CheckId::WEBSOCKET)[0].severity, Severity::Error);
    assert_eq!((verdict.counts.refused, verdict.counts.misses), (1, 0));
    assert!(!verdict.passed(), "{:?}", verdict.findings);
}

#[test]
fn plain_request_for_a_recorded_websocket_is_a_miss() {
    let stage = Stage::of(&own(&["**"], &[entry("GET https://api.test/live", json!({"status": 101}))]));
    let got = stage.h1().get("https://api.test/live");
    assert_eq!((got.status, got.header("x-harproxy")), (501, Some("miss")));
    assert_eq!(got.json()["kind"], "other-protocol");
    let verdict = stage.verdict();
    assert_eq!(found(&verdict, CheckId::MISS)[0].severity, Severity::Error);
    assert_eq!((verdict.counts.refused, verdict.counts.misses), (0, 1));
}

#[test]
fn recorded_refusal_of_a_websocket_is_served_to_websocket_requests() {
    let mut forbidden = text("GET https://api.test/live", "no");
    forbidden["response"]["status"] = json!(403);
    forbidden["request"]["headers"] = json!([{"name": "upgrade", "value": "websocket"}]);
    let stage = Stage::of(&own(&["**"], &[text("GET https://api.test/live", "plain"), forbidden]));
    assert_eq!(stage.h1().get("https://api.test/live").text(), "plain");
    let upgrade = || {
        TestRequest::new("GET", "https://api.test/live").header("connection", "Upgrade").header("upgrade", "websocket")
    };
    assert_eq!(stage.h1().send(upgrade()).status, 403);
    assert_eq!(stage.h1().get("https://api.test/live").text(), "plain");
}

#[test]
fn offer_of_h2c_does_not_change_the_response() {
    let stage = Stage::of(&own(&["**"], &[text("GET http://api.test/a", "a")]));
    let request = TestRequest::new("GET", "http://api.test/a")
        .header("connection", "Upgrade, HTTP2-Settings")
        .header("upgrade", "h2c");
    assert_eq!(stage.h1().send(request).text(), "a");
}

#[test]
fn upload_that_matching_ignores_does_not_break_the_connection() {
    let stage = Stage::of(&own(&["**"], &[text("GET https://api.test/a", "a")]));
    for proto in [Proto::H1, Proto::H2] {
        let url = if proto == Proto::H1 { "https://api.test/upload" } else { "http://api.test/upload" };
        let got = stage.client(proto).send(TestRequest::new("POST", url).body(vec![b'x'; 4 << 20]));
        assert_eq!((got.status, got.header("x-harproxy")), (501, Some("miss")), "{proto:?}");
    }
}

#[test]
fn incomplete_payload_gets_400_and_is_not_a_miss() {
    let stage = Stage::of(&own(&["**"], &[posted(text("POST http://api.test/a", "a"), "{}")]));
    let mut tcp = TcpStream::connect(stage.addr()).unwrap();
    tcp.write_all(
        b"POST http://api.test/a HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\n\r\nnot a chunk\r\n",
    )
    .unwrap();
    let mut got = String::new();
    let _ = tcp.read_to_string(&mut got);
    assert!(got.starts_with("HTTP/1.1 400"), "{got}");
    let verdict = stage.verdict();
    assert_eq!((verdict.counts.refused, verdict.counts.misses), (1, 0));
    assert!(found(&verdict, CheckId::MISS).is_empty());
}

#[test]
fn unused_entries_are_listed_with_their_line() {
    let stage = Stage::of(&own(&["**"], &[text("GET https://api.test/a", "a"), text("GET https://api.test/b", "b")]));
    stage.h1().get("https://api.test/a");
    let verdict = stage.verdict();
    let unused = found(&verdict, CheckId::UNUSED);
    assert_eq!(unused.len(), 1);
    assert_eq!((unused[0].at.request.as_deref(), unused[0].at.entry), (Some("GET https://api.test/b"), Some(1)));
    assert!(unused[0].at.line.is_some());
    assert_eq!((verdict.fixtures[0].entries, verdict.fixtures[0].used), (2, 1));
    assert!(verdict.passed());
}

#[test]
fn malformed_request_head_is_a_finding() {
    use std::io::{Read, Write};
    for head in [
        "GET http://api.test/a b HTTP/1.1\r\n\r\n",
        "GET http://api.test/ HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    ] {
        let stage = Stage::of(&own(&["**"], &[text("GET http://api.test/a", "a")]));
        let mut stream = std::net::TcpStream::connect(stage.addr()).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut got = String::new();
        stream.read_to_string(&mut got).unwrap();
        assert!(got.starts_with("HTTP/1.1 400 "), "{got}");
        let verdict = stage.verdict();
        let findings = found(&verdict, CheckId::UNREADABLE);
        assert!(findings.len() == 1 && findings[0].text.contains("not valid HTTP"), "{:?}", verdict.findings);
        assert_eq!(findings[0].severity, Severity::Error);
    }
}
