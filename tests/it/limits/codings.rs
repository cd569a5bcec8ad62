//! Messages with very many content codings: their payloads stay as they are, like those with an unknown coding.

use serde_json::json;

use super::peak;
use crate::replay::stage::{entry, own, text};
use crate::support::client::{Proto, TestRequest};
use crate::support::raw::{Raw, RawOrigin};
use crate::support::sandbox::Sandbox;

const URL: &str = "http://api.test/api/coded";

fn codings(count: usize) -> String {
    vec!["gzip"; count].join(",")
}

#[test]
fn payloads_with_25_000_codings_are_recorded_and_served_as_received() {
    let codings = codings(25_000);
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Encoding: {codings}\r\n");
    let origin = RawOrigin::answering(format!("{head}Content-Length: 4\r\nConnection: close\r\n\r\nbody"));
    let sandbox = Sandbox::new();
    let map = format!("api.test:80={}", origin.addr);
    let recorder = sandbox.start(["record", "-o", "hars/api.har", "--content", "embed", "--map", &map]);
    let request = format!(
        "POST {URL} HTTP/1.1\r\nHost: api.test\r\nContent-Encoding: {codings}\r\nContent-Length: 6\r\n\
         Connection: close\r\n\r\nupload"
    );
    let before = peak(&recorder);
    let mut raw = Raw::to(recorder.proxy());
    raw.send(&request);
    let live = raw.rest_text();
    assert!(live.starts_with("HTTP/1.1 200") && live.ends_with("\r\n\r\nbody"), "{}", live.len());
    let grown = peak(&recorder) - before;
    assert!(grown < 64, "{grown} MiB");
    recorder.stop().expect(0);
    let entry = &sandbox.har("hars/api.har")["log"]["entries"][0];
    for (payload, text) in [(&entry["request"]["postData"], "upload"), (&entry["response"]["content"], "body")] {
        assert_eq!((&payload["text"], &payload["_encoded"]), (&json!(text), &json!(true)));
    }

    let replay = sandbox.start(["replay", "hars/api.har"]);
    let mut raw = Raw::to(replay.proxy());
    raw.send(&request);
    let served = raw.rest_text();
    assert!(served.to_ascii_lowercase().contains(&format!("content-encoding: {codings}\r\n")), "{}", served.len());
    assert!(served.ends_with("\r\n\r\nbody"), "{}", served.len());
    replay.stop().expect(0);
}

#[test]
fn entry_with_80_000_codings_is_served_decoded() {
    let header = json!([{"name": "content-encoding", "value": codings(80_000)}]);
    let mut coded = entry(&format!("GET {URL}"), json!({"headers": header}));
    coded["response"]["content"] = json!({"size": 4, "mimeType": "text/plain", "text": "body"});
    coded["request"]["headers"] = header;
    let sandbox = Sandbox::new();
    let good = text("GET http://api.test/api/good", "good");
    sandbox.write("hars/api.har", own(&["**"], &[coded, good]).to_string());
    let replay = sandbox.start(["replay", "hars/api.har"]);
    let client = replay.client(Proto::H1);
    let got = client.get("http://api.test/api/good");
    assert_eq!(got.text(), "good");
    let before = peak(&replay);
    let got = client.send(TestRequest::new("GET", URL).header("accept-encoding", "gzip"));
    assert_eq!((got.status, got.text().as_str(), got.header("content-encoding")), (200, "body", None));
    let grown = peak(&replay) - before;
    assert!(grown < 64, "{grown} MiB");
    replay.stop().expect(0);
}
