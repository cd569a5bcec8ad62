//! Values that are known as secrets from another place or another request, or from `[redact.values]`. They are in no
//! report, no refusal, and no log line that is written later.

use std::io::Write;

use nix::sys::signal::Signal;
use serde_json::json;

use super::{HAR, JOURNAL, base64_inside, files, record};
use crate::replay::stage::{entry, own, posted};
use crate::support::client::{Proto, TestRequest};
use crate::support::origin::Origin;
use crate::support::raw::RawOrigin;
use crate::support::sandbox::{Sandbox, finish};

const REPORTS: [&str; 4] = ["report.json", "report.xml", "report.md", "report.html"];
/// A part of each value, which needs no escaping in any format.
const COMMON: &str = "Qz4f1";

fn report_options() -> Vec<&'static str> {
    REPORTS.iter().flat_map(|report| ["--report", report]).collect()
}

#[track_caller]
fn assert_clean(name: &str, bytes: &[u8]) {
    for text in [bytes, &base64_inside(bytes)] {
        if let Some(at) = memchr::memmem::find(text, COMMON.as_bytes()) {
            let around = &text[at.saturating_sub(200)..(at + 80).min(text.len())];
            panic!("{name}: {}", String::from_utf8_lossy(around));
        }
    }
}

/// Asserts that no file that harproxy wrote contains a value.
#[track_caller]
fn assert_files_clean(sandbox: &Sandbox) {
    let written = files(sandbox.path()).into_iter().filter(|(name, _)| !name.contains("/own"));
    written.for_each(|(name, bytes)| assert_clean(&name, &bytes));
}

/// The requests of a client that sends a value at unnamed places first, and as credentials later.
fn late(value: &str) -> Vec<TestRequest> {
    let get = |path: &str| TestRequest::new("GET", &format!("https://api.test{path}"));
    vec![
        get(&format!("/api/first/{value}?ref={value}")).header("x-custom", value),
        TestRequest::new("POST", "https://api.test/api/echo")
            .header("content-type", "text/plain")
            .body(format!("is {value}.")),
        get("/api/me").header("authorization", &format!("Bearer {value}")),
    ]
}

#[test]
fn reports_of_a_recording_have_no_value_that_became_known_later() {
    let (sandbox, origin) = (Sandbox::new(), Origin::start());
    let server = record(&sandbox, &origin, HAR, &report_options());
    for request in late("late-Qz4f1-b7c9d2e8f6a3") {
        server.client(Proto::H1).send(request);
    }
    server.stop().expect(0);
    assert_files_clean(&sandbox);
    for report in ["report.json", "report.html"] {
        assert!(sandbox.read(report).contains("/api/first/REDACTED-authorization"), "{report}");
    }
}

/// The script of a client, as a program that sends requests through curl.
fn ask(sandbox: &Sandbox, requests: &[TestRequest]) -> &'static str {
    let mut script = String::new();
    for (n, request) in requests.iter().enumerate() {
        sandbox.write(&format!("own/{n}.body"), request.body.clone().unwrap_or_default());
        let headers: String =
            request.headers.iter().map(|(name, value)| format!("header = \"{name}: {value}\"\n")).collect();
        let payload = request.body.as_ref().map(|_| format!("data-binary = \"@own/{n}.body\"\n")).unwrap_or_default();
        let (method, url) = (&request.method, &request.url);
        let config = format!("request = {method}\nurl = \"{url}\"\n{headers}{payload}output = \"answer-{n}\"\n");
        sandbox.write(&format!("own/{n}.curl"), config);
        script += &format!("curl -sS -K own/{n}.curl || exit 9\n");
    }
    sandbox.write("own/ask.sh", script);
    "own/ask.sh"
}

const VARIABLES: [(&str, &str); 2] = [("GITHUB_ACTIONS", "true"), ("GITHUB_STEP_SUMMARY", "summary.md")];

#[test]
fn verdict_of_a_recording_has_no_value_that_became_known_later() {
    let (sandbox, origin) = (Sandbox::new(), Origin::start());
    let script = ask(&sandbox, &late("late-Qz4f1-b7c9d2e8f6a3"));
    let to = origin.args();
    let to: Vec<&str> = to.iter().map(String::as_str).collect();
    let args = [&["record", "-o", HAR][..], &report_options(), &to, &["--", "sh", script]].concat();
    let output = finish(sandbox.command(args).envs(VARIABLES).output().unwrap()).expect(0);
    assert_clean("stderr", output.stderr.as_bytes());
    assert_clean("summary", sandbox.read("summary.md").as_bytes());
    assert_clean("report.xml", sandbox.read("report.xml").as_bytes());
}

/// A fixture that answers a login and a request with credentials.
fn fixture(sandbox: &Sandbox) {
    let login = posted(entry("POST https://api.test/login", json!({})), r#"{"password":"REDACTED-password-1"}"#);
    let me = entry("GET https://api.test/me", json!({}));
    sandbox.write(HAR, own(&["https://api.test/**"], &[login, me]).to_string());
}

#[test]
fn values_of_answered_requests_are_in_no_refusal_log_or_report_of_a_replay() {
    for value in ["known-Qz4f1-b7c9d2e8f6a3", "known/Qz4f1+b7c9d2e8f6a3"] {
        let sandbox = Sandbox::new();
        fixture(&sandbox);
        let quoted: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
        let (password, get) =
            (format!("pass-{quoted}"), |path: &str| TestRequest::new("GET", &format!("https://api.test{path}")));
        let login = json!({ "password": password }).to_string();
        let requests = [
            get("/me").header("authorization", &format!("Bearer {value}")),
            TestRequest::new("POST", "https://api.test/login").header("content-type", "application/json").body(login),
            get(&format!("/none/{quoted}?x={quoted}")).header("x-echo", value),
            get(&format!("/none/{password}")),
            TestRequest::new("POST", "https://api.test/none")
                .header("content-type", "text/plain")
                .body(format!("is {value}.")),
            TestRequest::new("GET", &format!("https://elsewhere.test/{quoted}")),
        ];
        let script = ask(&sandbox, &requests);
        for more in [&["-vv"][..], &["--log-format", "json", "-vv"], &["--progress", "always"]] {
            let args = [&["replay", HAR][..], more, &report_options(), &["--", "sh", script]].concat();
            let output = finish(sandbox.command(args).envs(VARIABLES).output().unwrap()).expect(1);
            assert_clean("stderr", output.stderr.as_bytes());
            assert_files_clean(&sandbox);
            assert!(sandbox.read("answer-2").contains("/none/REDACTED-authorization"), "{}", sandbox.read("answer-2"));
            assert!(sandbox.read("report.json").contains("/none/REDACTED-password"));
            assert!(sandbox.read("report.html").contains("x-echo"));
        }
    }
}

/// The values of the environment of a CI system, which no name tells.
#[test]
fn configured_values_are_in_no_refusal_log_or_report() {
    let value = "g1ven-Qz4f1-b7c9d2e8";
    let sandbox = Sandbox::new();
    fixture(&sandbox);
    sandbox.write("harproxy.toml", "[redact.values]\npassword-1 = \"env:CI_VALUE\"\n");
    let get = |path: &str| TestRequest::new("GET", &format!("https://api.test{path}"));
    let requests = [
        get(&format!("/none?v={value}")),
        get(&format!("/none/{value}/x")),
        get("/none").header("x-note", value),
        get(&format!("/me?v={value}")),
        TestRequest::new("POST", "https://api.test/none")
            .header("content-type", "text/plain")
            .body(format!("a {value} b")),
        TestRequest::new("GET", &format!("https://elsewhere.test/{value}")),
    ];
    let script = ask(&sandbox, &requests);
    for more in
        [&["-vv"][..], &["--log-format", "json", "-vv"], &["--progress", "always"], &["--on-miss", "passthrough"]]
    {
        let args = [&["replay", HAR][..], more, &report_options(), &["--", "sh", script, value]].concat();
        let mut command = sandbox.command(args);
        let output = finish(command.envs(VARIABLES).env("CI_VALUE", value).output().unwrap()).expect(1);
        assert_clean("stderr", output.stderr.as_bytes());
        assert_files_clean(&sandbox);
    }
    let url = format!("https://api.test/none/{value}?v={value}");
    for form in [&[][..], &["--json"]] {
        let mut command =
            sandbox.command([&["explain", HAR, "--url", &url, "-H", &format!("x-note: {value}")], form].concat());
        let output = finish(command.env("CI_VALUE", value).output().unwrap()).expect(0);
        assert_clean("explain", output.stdout.as_bytes());
        assert_clean("explain", output.stderr.as_bytes());
    }
    let origin = Origin::start();
    let to = origin.args();
    let to: Vec<&str> = to.iter().map(String::as_str).collect();
    let args = [&["record", "-o", "hars/new.har", "-vv"][..], &report_options(), &to, &["--", "sh", script]].concat();
    let mut command = sandbox.command(args);
    let output = finish(command.envs(VARIABLES).env("CI_VALUE", value).output().unwrap());
    assert_clean("stderr", output.stderr.as_bytes());
    assert_files_clean(&sandbox);
}

/// An origin that explains its errors in the reason phrase.
fn explaining(reason: &str) -> RawOrigin {
    let head = format!("HTTP/1.1 401 {reason}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    RawOrigin::start(move |_, stream| drop(stream.write_all(head.as_bytes())))
}

fn status_texts(sandbox: &Sandbox) -> Vec<String> {
    let har = sandbox.har(HAR);
    let entries = har["log"]["entries"].as_array().unwrap();
    entries.iter().map(|entry| entry["response"]["statusText"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn reason_phrase_is_redacted_by_value_and_by_shape() {
    let value = "known-Qz4f1-b7c9d2e8f6a3";
    let shape = format!("ghp_{}", "Qz4f1b7c9d2e8f6a3Qz4f1b7c9d2e8f6a3xyz");
    let origin = explaining(&format!("bad token {value} or {shape}"));
    let map = format!("api.test={}", origin.addr);
    let sandbox = Sandbox::new();
    // The first request sends the value at an unnamed place: it becomes known with the second one.
    let options = ["record", "-o", HAR, "-g", "http://api.test/**", "--map", &map];
    for signal in [Signal::SIGINT, Signal::SIGKILL] {
        let server = sandbox.start([&options[..], &report_options()].concat());
        let client = server.client(Proto::H1);
        let get = |path: &str| TestRequest::new("GET", &format!("http://api.test{path}"));
        if signal == Signal::SIGINT {
            assert_eq!(client.send(get("/first")).status, 401);
        }
        client.send(get("/me").header("authorization", &format!("Bearer {value}")));
        server.signal(signal);
        server.wait();
        assert_files_clean(&sandbox);
        if signal == Signal::SIGINT {
            let texts = status_texts(&sandbox);
            assert_eq!(texts.len(), 2);
            for text in texts {
                assert!(text.starts_with("bad token REDACTED-authorization-1 or REDACTED-"), "{text}");
            }
            sandbox.run(["check", HAR]).expect(0);
            let before = sandbox.read(HAR);
            let again = sandbox.start(options);
            again.client(Proto::H1).send(get("/first"));
            again.client(Proto::H1).send(get("/me").header("authorization", &format!("Bearer {value}")));
            again.stop().expect(0);
            assert_eq!(sandbox.read(HAR), before, "the same recording changes no byte");
        } else {
            assert_clean("the journal", &std::fs::read(sandbox.join(JOURNAL)).unwrap());
        }
    }
}
