//! `x-mock-…` headers and API keys.

use super::{entry, get, har, sandbox, send, serve};
use crate::support::sandbox::Sandbox;

/// The entries of the design: E1, E2 and E3.
fn examples() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write(
        "hars/api.har",
        har(&[
            entry("E1", "GET", "/get", 200, r#"{"entry":"E1"}"#),
            entry("E2", "GET", "/test", 404, r#"{"entry":"E2"}"#),
            entry("E3", "GET", "/get?id=5", 200, r#"{"entry":"E3"}"#),
        ]),
    );
    sandbox
}

#[test]
fn examples_are_answered_word_for_word() {
    let sandbox = examples();
    let server = serve(&sandbox, &[]);
    for (path, name) in [("/get", "E1"), ("/test", "E2"), ("/get?id=5", "E3")] {
        assert_eq!(get(&server, path).json()["entry"], name, "{path}");
    }
    assert_eq!(get(&server, "/get?id=7").json()["kind"], "no-entry");
    let listed = send(&server, "GET", "/get", &[("x-mock-response-code", "404")], "");
    assert_eq!((listed.status, listed.json()["statuses"].clone()), (404, serde_json::json!([200])));
    let named = send(&server, "GET", "/get", &[("x-mock-response-name", "E3")], "");
    assert_eq!(named.json()["entry"], "E3");
    let contradiction =
        send(&server, "GET", "/test", &[("x-mock-response-name", "E2"), ("x-mock-response-code", "200")], "");
    assert_eq!(contradiction.status, 400);
    let text = send(&server, "GET", "/get", &[("x-mock-response-code", "many")], "");
    assert_eq!((text.status, text.json()["detail"].as_str()), (400, Some("`x-mock-response-code` expects an integer")));
    let delayed = send(&server, "GET", "/get", &[("x-mock-response-delay", "20")], "");
    assert_eq!(delayed.json()["entry"], "E1");
    let other = send(&server, "GET", "/get", &[("x-mock-match-request-headers", "accept"), ("accept", "x")], "");
    assert_eq!((other.status, other.json()["title"].as_str()), (404, Some("a header differs")));
}

#[test]
fn control_headers_can_be_switched_off() {
    let sandbox = examples();
    let server = serve(&sandbox, &["--no-mock-headers"]);
    assert_eq!(send(&server, "GET", "/get", &[("x-mock-response-code", "404")], "").json()["entry"], "E1");
}

#[test]
fn every_request_needs_a_key_and_no_output_has_it() {
    let sandbox = sandbox("");
    let server = sandbox.start_with(
        ["serve", "--api-key", "env:MOCK_KEY", "--api-key", "second-key", "-vv"],
        &[("MOCK_KEY", "t0ps3cret")],
    );
    let ask = |headers: &[(&str, &str)]| send(&server, "GET", "/orders", headers, "");
    let (none, wrong) = (ask(&[]), ask(&[("x-api-key", "wr0ng-k3y")]));
    assert_eq!((none.status, wrong.status), (401, 401));
    assert_eq!(none.text(), wrong.text(), "a wrong key and none look alike");
    assert_eq!(ask(&[("x-api-key", "t0ps3cret")]).status, 200);
    assert_eq!(ask(&[("x-api-key", "second-key")]).status, 200);
    let preflight = [("origin", "https://app.test"), ("access-control-request-method", "GET")];
    assert_ne!(send(&server, "OPTIONS", "/orders", &preflight, "").status, 401);
    let output = server.stop();
    for secret in ["t0ps3cret", "wr0ng-k3y", "second-key"] {
        assert!(!output.stderr.contains(secret) && !output.stdout.contains(secret), "{secret}");
    }
}
