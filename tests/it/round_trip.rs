//! A replayed response equals the live one: status, reason, headers with duplicates, body bytes, trailers. Tested over
//! HTTP/1.1 and HTTP/2, in cleartext and over TLS, from each form of a fixture, with the origin stopped.

use crate::support::client::{Proto, TestRequest, TestResponse};
use crate::support::origin::Origin;
use crate::support::sandbox::Sandbox;

/// One request for each kind of response of the origin.
fn visit(base: &str) -> Vec<TestRequest> {
    let get = |path: &str| TestRequest::new("GET", &format!("{base}{path}"));
    let post = |path: &str, media: &str, body: &[u8]| {
        TestRequest::new("POST", &format!("{base}{path}")).header("content-type", media).body(body)
    };
    let mut asks: Vec<TestRequest> = [
        "json",
        "echo?a=1&b=2",
        "echo?b=2&a=1",
        "duplicates",
        "latin1-header",
        "reason",
        "not-gzip",
        "text",
        "latin1",
        "image",
        "binary",
        "empty",
        "no-content",
        "not-found",
        "redirect",
        "redirect/2",
        "chunked",
        "big?mib=2",
    ]
    .iter()
    .map(|path| get(&format!("/api/{path}")))
    .collect();
    asks.push(get("/api/gzip").header("accept-encoding", "gzip, br"));
    asks.push(get("/api/br").header("accept-encoding", "gzip, br"));
    asks.push(get("/api/trailers").header("te", "trailers"));
    asks.push(get("/api/not-modified").header("if-none-match", "\"v1\""));
    asks.push(TestRequest::new("HEAD", &format!("{base}/api/json")));
    asks.push(TestRequest::new("OPTIONS", &format!("{base}/api/json")));
    asks.push(TestRequest::new("DELETE", &format!("{base}/api/items/9")));
    asks.push(post("/api/items", "application/json", br#"{"name":"first","n":1}"#));
    asks.push(post("/api/items", "application/json", br#"{"name":"second","n":2}"#));
    asks.push(post("/api/echo", "application/x-www-form-urlencoded", b"a=1&b=%C3%BC"));
    asks.push(post("/api/echo", "application/octet-stream", &[0, 159, 146, 150, 255]));
    asks.push(post("/api/echo", "text/plain", &b"long ".repeat(4000)));
    asks.push(TestRequest::new("PUT", &format!("{base}/api/echo")).body("put it"));
    asks
}

fn record_and_replay(base: &str, proto: Proto, output: &str, options: &[&str]) {
    let sandbox = Sandbox::new();
    let origin = Origin::start();
    // Redaction is off, so that cookies are equal.
    let mut args = vec!["record", "-o", output, "--glob", "**/api/**", "--no-redact"];
    args.extend(options);
    let args: Vec<String> = args.into_iter().map(String::from).chain(origin.args()).collect();

    let recorder = sandbox.start(&args);
    let client = recorder.client(proto);
    let live: Vec<TestResponse> = visit(base).into_iter().map(|ask| client.send(ask)).collect();
    recorder.stop().expect(0);
    origin.stop();

    let replay = sandbox.start(["replay", output]);
    let client = replay.client(proto);
    for (ask, live) in visit(base).into_iter().zip(live) {
        let what = format!("{} {}", ask.method, ask.url);
        let got = client.send(ask);
        assert!(got.header("x-harproxy").is_some_and(|mark| mark.starts_with("replay; entry=")), "{what}: {got:?}");
        assert_eq!(got.unmarked(), live.unmarked(), "{what}");
    }
    replay.stop().expect(0);
}

#[test]
fn https_over_http1_round_trips_with_attached_payloads() {
    record_and_replay("https://api.test", Proto::H1, "hars/api.har", &[]);
}

#[test]
fn https_over_http2_round_trips_with_attached_payloads() {
    record_and_replay("https://api.test", Proto::H2, "hars/api.har", &[]);
}

#[test]
fn https_round_trips_with_embedded_payloads() {
    record_and_replay("https://api.test", Proto::H1, "hars/api.har", &["--content", "embed"]);
}

#[test]
fn https_over_http2_round_trips_in_an_archive() {
    record_and_replay("https://api.test", Proto::H2, "hars/api.zip", &[]);
}

#[test]
fn http_in_absolute_form_round_trips() {
    record_and_replay("http://api.test", Proto::H1, "hars/api.har", &[]);
}

#[test]
fn http2_in_cleartext_inside_connect_round_trips() {
    record_and_replay("http://api.test", Proto::H2, "hars/api.zip", &[]);
}

/// A fixture serves clients of another protocol than the recorded one.
#[test]
fn http2_recording_replays_over_http1() {
    let sandbox = Sandbox::new();
    let origin = Origin::start();
    let args = ["record", "-o", "hars/api.har", "--no-redact"].map(String::from);
    let recorder = sandbox.start(args.into_iter().chain(origin.args()));
    let live = recorder.client(Proto::H2).get("https://api.test/api/duplicates");
    recorder.stop().expect(0);
    origin.stop();

    let replay = sandbox.start(["replay", "hars/api.har"]);
    let got = replay.client(Proto::H1).get("https://api.test/api/duplicates");
    assert_eq!(got.unmarked(), live.unmarked());
    replay.stop().expect(0);
}

/// A client that does not accept the recorded coding gets the decoded payload.
#[test]
fn encoded_response_is_served_as_identity_when_the_client_has_no_gzip() {
    let sandbox = Sandbox::new();
    let origin = Origin::start();
    let recorder = sandbox.record(&origin);
    let client = recorder.client(Proto::H1);
    let ask = TestRequest::new("GET", "https://api.test/api/gzip");
    client.send(ask.clone().header("accept-encoding", "gzip"));
    recorder.stop().expect(0);
    origin.stop();

    let replay = sandbox.start(["replay", "hars/api.har"]);
    let client = replay.client(Proto::H1);
    let got = client.send(ask.clone().header("accept-encoding", "identity"));
    assert_eq!(got.header("content-encoding"), None);
    assert_eq!(got.header("vary"), Some("accept-encoding"));
    assert_eq!(got.text(), r#"{"packed":true,"list":[1,2,3,4,5,6,7,8,9]}"#);
    let packed = client.send(ask.header("accept-encoding", "gzip"));
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert_ne!(packed.body, got.body);
    replay.stop().expect(0);
}
