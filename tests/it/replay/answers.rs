//! Responses from entries, as a client of the proxy receives them.

use std::io::{Read, Write};
use std::net::TcpStream;

use harproxy::verdict::CheckId;
use harproxy_matching::Redirects;
use serde_json::json;

use super::stage::{Stage, entry, foreign, found, own, posted, text};
use crate::support::client::{Proto, TestRequest};

fn over(proto: Proto, mut entry: serde_json::Value) -> Stage {
    entry["response"]["httpVersion"] = json!(if proto == Proto::H2 { "HTTP/2" } else { "HTTP/1.1" });
    Stage::of(&own(&["**"], &[entry]))
}

#[test]
fn client_gets_status_reason_and_duplicate_headers() {
    for proto in [Proto::H1, Proto::H2] {
        let stage = over(
            proto,
            entry(
                "GET https://api.test/a",
                json!({
                    "status": 299, "statusText": "Odd Reason",
                    "headers": [
                        {"name": "Set-Cookie", "value": "a=1"},
                        {"name": "x-latin", "value": "caf\u{e9}"},
                        {"name": "set-cookie", "value": "b=2"},
                        {"name": "connection", "value": "close"},
                    ],
                    "content": {"size": 2, "mimeType": "text/plain", "text": "hi"},
                }),
            ),
        );
        let got = stage.client(proto).get("https://api.test/a");
        assert_eq!((got.status, got.text().as_str()), (299, "hi"));
        if proto == Proto::H1 {
            assert_eq!(got.reason, "Odd Reason");
        }
        let headers: Vec<_> = got.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).take(3).collect();
        assert_eq!(headers, [("set-cookie", "a=1"), ("set-cookie", "b=2"), ("x-latin", "caf\u{e9}")], "{proto:?}");
        assert_eq!(got.header("connection"), None);
    }
}

#[test]
fn trailers_reach_http2_clients_and_http1_clients_with_te_trailers() {
    let answer = json!({
        "content": {"size": 2, "mimeType": "text/plain", "text": "hi"},
        "_trailers": [{"name": "x-sum", "value": "7"}],
    });
    let with = vec![("x-sum".to_owned(), "7".to_owned())];
    for (proto, te, trailers) in
        [(Proto::H2, None, &with), (Proto::H1, Some("trailers"), &with), (Proto::H1, None, &Vec::new())]
    {
        let stage = over(proto, entry("GET https://api.test/a", answer.clone()));
        let request = TestRequest::new("GET", "https://api.test/a");
        let request = te.into_iter().fold(request, |request, te| request.header("te", te));
        let got = stage.client(proto).send(request);
        assert_eq!((got.text().as_str(), &got.trailers), ("hi", trailers), "{proto:?} {te:?}");
    }
}

#[test]
fn responses_to_head_and_204_have_no_body() {
    let stage = Stage::of(&own(
        &["**"],
        &[
            entry("HEAD http://api.test/a", json!({"headers": [{"name": "content-length", "value": "1234"}]})),
            entry("HEAD http://api.test/b", json!({})),
            entry("GET http://api.test/204", json!({"status": 204, "statusText": "No Content"})),
        ],
    ));
    let raw = |request: &str| raw(&stage, request);
    let head = raw("HEAD http://api.test/a HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n\r\n").to_lowercase();
    assert!(head.contains("content-length: 1234\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    let head = raw("HEAD http://api.test/b HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n\r\n").to_lowercase();
    assert!(!head.contains("content-length"), "the length is unknown: {head}");
    let none = raw("GET http://api.test/204 HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n\r\n").to_lowercase();
    assert!(none.starts_with("http/1.1 204 no content") && none.ends_with("\r\n\r\n"), "{none}");
    assert!(!none.contains("content-length"), "{none}");
}

#[test]
fn http_1_0_client_gets_the_same_response() {
    let stage = Stage::of(&own(&["**"], &[text("GET http://api.test/a", "hi")]));
    let got = raw(&stage, "GET http://api.test/a HTTP/1.0\r\n\r\n");
    assert!(got.starts_with("HTTP/1.0 200 OK\r\n"), "{got}");
    assert!(got.ends_with("\r\n\r\nhi"), "{got}");
    assert!(!got.to_lowercase().contains("transfer-encoding"), "{got}");
}

/// The bytes that the proxy sends back for these bytes.
fn raw(stage: &Stage, request: &str) -> String {
    let mut tcp = TcpStream::connect(stage.addr()).unwrap();
    tcp.write_all(request.as_bytes()).unwrap();
    let mut got = Vec::new();
    let _ = tcp.read_to_end(&mut got);
    String::from_utf8_lossy(&got).into_owned()
}

#[test]
fn recorded_failure_closes_the_connection_and_is_a_warning() {
    for proto in [Proto::H1, Proto::H2] {
        let mut ok = text("GET https://api.test/b", "b");
        ok["response"]["httpVersion"] = json!("HTTP/2");
        let failed = entry("GET https://api.test/a", json!({"status": 0, "statusText": ""}));
        let stage = Stage::of(&own(&["**"], &[failed, ok]));
        assert!(stage.client(proto).try_send(TestRequest::new("GET", "https://api.test/a")).is_err(), "{proto:?}");
        let verdict = stage.verdict();
        assert_eq!((verdict.counts.served, verdict.counts.failures), (1, 1));
        assert_eq!(found(&verdict, CheckId::FAILED_SERVED)[0].at.entry, Some(0));
        assert!(verdict.passed());
    }
}

#[test]
fn truncated_response_breaks_off_after_the_recorded_bytes_and_fails_the_run() {
    let truncated = |reason: &str, headers: serde_json::Value| {
        entry(
            "GET http://api.test/a",
            json!({
                "headers": headers,
                "content": {"size": 4, "mimeType": "text/plain", "text": "kept",
                    "_truncated": {"reason": reason, "kept": 4, "total": 10}},
            }),
        )
    };
    let get = "GET http://api.test/a HTTP/1.1\r\nHost: api.test\r\n\r\n";
    let length = json!([{"name": "content-length", "value": "10"}]);
    let stage = Stage::of(&own(&["**"], &[truncated("upstream-died", length)]));
    let got = raw(&stage, get);
    assert!(got.contains("content-length: 10\r\n") && got.ends_with("\r\n\r\nkept"), "{got}");
    let verdict = stage.verdict();
    assert_eq!(verdict.counts.truncated, 1);
    let finding = found(&verdict, CheckId::TRUNCATED)[0];
    assert!(finding.text.contains("4 of 10 bytes"), "{finding:?}");
    assert!(!verdict.passed());

    let stage = Stage::of(&own(&["**"], &[truncated("client-left", json!([]))]));
    let got = raw(&stage, get);
    assert!(got.contains("transfer-encoding: chunked\r\n"), "{got}");
    assert!(got.contains("\r\n4\r\nkept\r\n") && !got.ends_with("0\r\n\r\n"), "{got}");

    let mut over_h2 = truncated("upstream-died", json!([]));
    over_h2["request"]["url"] = json!("https://api.test/a");
    over_h2["response"]["httpVersion"] = json!("HTTP/2");
    let stage = Stage::of(&own(&["**"], &[over_h2]));
    let broken = stage.client(Proto::H2).try_send(TestRequest::new("GET", "https://api.test/a"));
    assert!(broken.unwrap_err().to_string().contains("body"), "the head came, then the stream is reset");

    let stage = Stage::of(&own(&["**"], &[truncated("max-body", json!([]))]));
    let got = stage.h1().get("http://api.test/a");
    assert_eq!(got.text(), "kept", "a complete short body");
    assert_eq!(found(&stage.verdict(), CheckId::TRUNCATED).len(), 1);
}

#[test]
fn long_payload_file_is_streamed_completely() {
    let folder = tempfile::tempdir().unwrap();
    let payload: Vec<u8> = (0..9 * 1024 * 1024_u32).map(|n| (n % 251) as u8).collect();
    std::fs::create_dir(folder.path().join("api")).unwrap();
    std::fs::write(folder.path().join("api/0123456789abcdef.bin"), &payload).unwrap();
    let attached = |coding: Option<&str>| {
        let headers: Vec<_> = coding.iter().map(|c| json!({"name": "content-encoding", "value": c})).collect();
        json!({
            "headers": headers,
            "content": {"size": payload.len(), "mimeType": "application/octet-stream", "_file": "api/0123456789abcdef.bin"},
        })
    };
    let har = own(
        &["**"],
        &[
            entry("GET https://api.test/plain", attached(None)),
            entry("GET https://api.test/coded", attached(Some("gzip"))),
        ],
    );
    std::fs::write(folder.path().join("api.har"), har.to_string()).unwrap();
    let stage = Stage::in_folder(folder, |_| {});
    let plain = stage.h1().get("https://api.test/plain");
    assert!(plain.body == payload);
    let request = TestRequest::new("GET", "https://api.test/coded").header("accept-encoding", "gzip");
    for _ in 0..2 {
        let coded = stage.h1().send(request.clone());
        assert_eq!(coded.header("content-encoding"), Some("gzip"));
        let mut decoded = Vec::new();
        flate2::read::GzDecoder::new(&coded.body[..]).read_to_end(&mut decoded).unwrap();
        assert!(decoded == payload);
    }
    let verdict = stage.verdict();
    assert!(verdict.counts.bytes > payload.len() as u64);
}

#[test]
fn redirects_are_served_from_own_fixtures_and_followed_in_foreign_ones() {
    let hop = entry(
        "GET http://api.test/a",
        json!({
            "status": 302, "statusText": "Found", "redirectURL": "/b",
            "headers": [{"name": "location", "value": "/b"}, {"name": "set-cookie", "value": "hop=1"}],
        }),
    );
    let entries = [hop, text("GET http://api.test/b", "end")];
    let own = Stage::of(&own(&["**"], &entries));
    let got = own.h1().get("http://api.test/a");
    assert_eq!((got.status, got.header("location")), (302, Some("/b")));

    let stage = Stage::of(&foreign(&entries));
    let got = stage.h1().get("http://api.test/a");
    assert_eq!((got.status, got.text().as_str(), got.header("set-cookie")), (200, "end", Some("hop=1")));
    assert!(got.header("x-harproxy").unwrap().ends_with("api.har#0; followed=#1"), "{got:?}");
    let verdict = stage.verdict();
    assert_eq!((verdict.counts.served, verdict.counts.followed, verdict.fixtures[0].used), (1, 1, 2));

    let serve = Stage::with(&foreign(&entries), |plan| plan.matching.redirects = Redirects::Serve);
    assert_eq!(serve.h1().get("http://api.test/a").status, 302);
}

#[test]
fn each_session_has_its_own_sequence() {
    let stage =
        Stage::of(&own(&["**"], &[text("GET http://api.test/a", "first"), text("GET http://api.test/a", "second")]));
    let mut other = stage.h1();
    other.user = Some("worker-2".into());
    assert_eq!(stage.h1().get("http://api.test/a").text(), "first");
    assert_eq!(other.get("http://api.test/a").text(), "first");
    assert_eq!(stage.h1().get("http://api.test/a").text(), "second");
}

#[test]
fn payloads_are_compared_independently_of_their_framing() {
    let entries = [
        posted(text("POST http://api.test/a", "one"), r#"{"n":1}"#),
        posted(text("POST http://api.test/a", "two"), r#"{"n":2}"#),
    ];
    let stage = Stage::of(&own(&["**"], &entries));
    let got = stage.h1().send(TestRequest::new("POST", "http://api.test/a").body(r#"{"n":2}"#));
    assert_eq!(got.text(), "two");
    let chunked = raw(
        &stage,
        "POST http://api.test/a HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\
         Expect: 100-continue\r\n\r\n3\r\n{\"n\r\n4\r\n\":1}\r\n0\r\n\r\n",
    );
    assert!(chunked.ends_with("one"), "{chunked}");
}

#[test]
fn no_mark_option_leaves_out_the_mark_header() {
    let stage = Stage::with(&own(&["**"], &[text("GET http://api.test/a", "a")]), |plan| plan.mark = false);
    assert_eq!(stage.h1().get("http://api.test/a").header("x-harproxy"), None);
    assert_eq!(stage.h1().get("http://api.test/b").header("x-harproxy"), None);
}
