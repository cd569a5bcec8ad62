//! Errors of users: each has one clear message and its exit status, loses no data and does not panic.

use std::io::Write;
use std::net::TcpListener;

use crate::support::client::{Proto, TestRequest};
use crate::support::origin::Origin;
use crate::support::raw::RawOrigin;
use crate::support::sandbox::{Output, Sandbox};

/// Asserts that the message has an error and a hint, and no internals of the program.
#[track_caller]
pub fn assert_plain_error(output: Output) -> Output {
    for word in ["panicked", "RUST_BACKTRACE", "Custom {", "Os {", "src/"] {
        assert!(!output.stderr.contains(word), "{word}: {}", output.stderr);
    }
    assert!(output.stderr.contains("error: "), "{}", output.stderr);
    assert!(output.stderr.contains("hint: "), "{}", output.stderr);
    output
}

fn replay_content(content: &[u8]) -> Output {
    let sandbox = Sandbox::new();
    sandbox.write("hars/api.har", content);
    assert_plain_error(sandbox.run(["replay", "hars/api.har", "--", "true"]).expect(2))
}

#[test]
fn missing_fixture_is_an_error() {
    let sandbox = Sandbox::new();
    assert_plain_error(sandbox.run(["replay", "hars/none.har", "--", "true"]).expect(2)).says("hars/none.har");
    assert_plain_error(sandbox.run(["replay", "--", "true"]).expect(2)).says("harproxy record");
}

#[test]
fn empty_folder_is_an_error() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.join("hars")).unwrap();
    assert_plain_error(sandbox.run(["replay", "--", "true"]).expect(2)).says("no fixture");
}

#[test]
fn file_that_is_not_a_har_is_an_error() {
    replay_content(b"").says("hars/api.har");
    replay_content(b"hello").says("hars/api.har");
    replay_content(b"{\"log\":{\"version\":\"1.2\"}}").says("entries");
    for nothing in ["{}", "[]", "null", r#"{"log":{}}"#, r#"{"log":{"entries":"x"}}"#, "[1]", r#"{"name":"x"}"#] {
        replay_content(nothing.as_bytes()).says("hars/api.har");
    }
    replay_content(b"PK\x03\x04 not really").says("hars/api.har");
    replay_content(&[0x1f, 0x8b, 8, 0, 1, 2, 3]).says("hars/api.har");
}

#[test]
fn truncated_fixture_is_an_error_with_a_line() {
    let sandbox = Sandbox::new();
    let origin = Origin::start();
    let recorder = sandbox.record(&origin);
    let client = recorder.client(Proto::H1);
    client.get("https://api.test/api/json");
    client.get("https://api.test/api/text");
    recorder.stop().expect(0);
    let whole = std::fs::read(sandbox.join("hars/api.har")).unwrap();
    sandbox.write("hars/api.har", &whole[..whole.len() - 40]);
    assert_plain_error(sandbox.run(["replay", "hars/api.har", "--", "true"]).expect(2)).says("hars/api.har:");
}

/// Records a request to a failing upstream. Returns the response of the client and the recorded entry.
fn record_failure(args: &[String], url: &str) -> (crate::support::client::TestResponse, serde_json::Value) {
    let sandbox = Sandbox::new();
    let args: Vec<String> = ["record", "-o", "hars/api.har", "--record-failures"]
        .iter()
        .map(|s| (*s).to_owned())
        .chain(args.to_vec())
        .collect();
    let recorder = sandbox.start(&args);
    let got = recorder.client(Proto::H1).send(TestRequest::new("GET", url));
    recorder.stop().expect(0);
    let har = sandbox.har("hars/api.har");
    assert_eq!(har["log"]["entries"].as_array().unwrap().len(), 1);
    (got, har["log"]["entries"][0].clone())
}

#[test]
fn failed_upstream_is_a_problem_document_and_a_failed_entry() {
    let refused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let dead = RawOrigin::answering("");
    let map = |to: &str| {
        vec!["--map".to_owned(), format!("api.test:443={to}"), "--map".to_owned(), format!("api.test:80={to}")]
    };
    for (args, url, kind) in [
        (vec![], "https://no-such-host.invalid/api/x", "dns"),
        (vec![], "http://no-such-host.invalid/api/x", "dns"),
        (map(&refused.to_string()), "https://api.test/api/x", "refused"),
        (map(&refused.to_string()), "http://api.test/api/x", "refused"),
        (map(&dead.addr.to_string()), "http://api.test/api/x", "reset"),
    ] {
        let (got, entry) = record_failure(&args, url);
        assert_eq!(got.status, 502, "{url}: {}", got.text());
        assert_eq!(got.header("content-type"), Some("application/problem+json"));
        assert!(
            got.json()["detail"].as_str().unwrap().contains("api.test") || url.contains("no-such"),
            "{}",
            got.text()
        );
        assert_eq!(entry["response"]["status"], 0, "{entry}");
        assert_eq!(entry["_harproxy"]["error"]["kind"], kind, "{entry}");
        assert_eq!(entry["request"]["url"], url);
    }
}

#[test]
fn response_cut_by_upstream_is_stored_and_replayed_truncated() {
    let raw = RawOrigin::start(|_, stream| {
        let _ =
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\nonly this");
    });
    let sandbox = Sandbox::new();
    let recorder = sandbox.start([
        "record",
        "-o",
        "hars/api.har",
        "--content",
        "embed",
        "--map",
        &format!("api.test:80={}", raw.addr),
    ]);
    let client = recorder.client(Proto::H1);
    assert!(
        client.try_send(TestRequest::new("GET", "http://api.test/api/cut")).is_err(),
        "the cut must reach the client"
    );
    recorder.stop().expect(0);
    let entry = sandbox.har("hars/api.har")["log"]["entries"][0].clone();
    assert_eq!(entry["response"]["content"]["text"], "only this");
    assert_eq!(entry["response"]["content"]["_truncated"]["kept"], 9, "{entry}");
    assert_eq!(entry["response"]["content"]["_truncated"]["total"], 100, "{entry}");

    let replay = sandbox.start(["replay", "hars/api.har"]);
    let client = replay.client(Proto::H1);
    assert!(client.try_send(TestRequest::new("GET", "http://api.test/api/cut")).is_err(), "as live");
    replay.stop().expect(1).says("truncated");
}

#[test]
fn empty_recording_keeps_the_fixture_and_fails() {
    let sandbox = Sandbox::new();
    let origin = Origin::start();
    let recorder = sandbox.record(&origin);
    recorder.client(Proto::H1).get("https://api.test/api/json");
    recorder.stop().expect(0).says("git add hars/api.har");
    let before = std::fs::read(sandbox.join("hars/api.har")).unwrap();
    sandbox.run(["record", "-o", "hars/api.har", "--", "true"]).expect(1);
    assert_eq!(std::fs::read(sandbox.join("hars/api.har")).unwrap(), before);
}

#[cfg(unix)]
#[test]
fn unwritable_folder_is_an_error() {
    let sandbox = Sandbox::new();
    // A file in place of the folder is an error for root, too.
    sandbox.write("hars", "not a folder");
    assert_plain_error(sandbox.run(["record", "-o", "hars/api.har", "--", "true"]).expect(3)).says("hars");
}

#[test]
fn miss_is_explained_and_fails_the_run() {
    let sandbox = Sandbox::new();
    let origin = Origin::start();
    let args: Vec<String> = ["record", "-o", "hars/api.har", "--glob", "**/api/**"]
        .into_iter()
        .map(String::from)
        .chain(origin.args())
        .collect();
    let recorder = sandbox.start(&args);
    recorder.client(Proto::H1).get("https://api.test/api/items?page=2");
    recorder.stop().expect(0);
    origin.stop();

    let replay = sandbox.start(["replay", "hars/api.har"]);
    let client = replay.client(Proto::H1);
    let got = client.get("https://api.test/api/items?page=3");
    assert_eq!(got.status, 501);
    assert_eq!(got.header("x-harproxy"), Some("miss"));
    assert_eq!(got.header("cache-control"), Some("no-store"));
    assert_eq!(got.header("content-type"), Some("application/problem+json"));
    assert!(got.text().contains("page") && got.text().contains("hars/api.har"), "{}", got.text());
    let outside = client.get("https://elsewhere.test/page");
    assert_eq!((outside.status, outside.header("x-harproxy")), (501, Some("out-of-scope")));
    replay.stop().expect(1).says("page");
}
