//! `--on-miss record`: missing exchanges are recorded and added to the fixture; the rest stays byte for byte.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use crate::support::client::{Client, Proto, TestRequest};
use crate::support::origin::Origin;
use crate::support::raw::RawOrigin;
use crate::support::sandbox::{Sandbox, finish};

const API: &str = "https://api.test/api";

/// Replays `hars/api.har` with `--on-miss record` and returns the `x-harproxy` values of the responses.
fn ask(sandbox: &Sandbox, origin: &Origin, options: &[&str], paths: &[&str]) -> Vec<String> {
    let args = ["replay", "hars/api.har", "--on-miss", "record", "--report", "report.json"].iter().chain(options);
    let server = sandbox.start(args.map(|arg| (*arg).to_owned()).chain(origin.args()));
    let client = Client::new(server.proxy(), server.ca(), Proto::H1);
    let mark = |path: &&str| client.get(&format!("{API}{path}")).header("x-harproxy").unwrap_or_default().to_owned();
    let marks = paths.iter().map(mark).collect();
    server.stop().expect(0);
    marks
}

fn har(sandbox: &Sandbox) -> String {
    sandbox.read("hars/api.har")
}

fn urls(har: &str) -> Vec<String> {
    let har: Value = serde_json::from_str(har).unwrap();
    let entries = har["log"]["entries"].as_array().unwrap();
    entries.iter().map(|entry| entry["request"]["url"].as_str().unwrap().replace(API, "")).collect()
}

#[test]
fn missing_exchanges_are_added_and_the_rest_stays_byte_for_byte() {
    let (sandbox, origin) = (Sandbox::new(), Origin::start());
    let marks = ask(&sandbox, &origin, &["-g", "https://api.test/**"], &["/json", "/text"]);
    assert_eq!(marks, ["live", "live"], "there is no fixture yet");
    let first = har(&sandbox);
    assert_eq!(urls(&first), ["/json", "/text"]);

    let marks = ask(&sandbox, &origin, &[], &["/text", "/latin1", "/json"]);
    assert_eq!(marks, ["replay; entry=hars/api.har#1", "live", "replay; entry=hars/api.har#0"]);
    let second = har(&sandbox);
    assert_eq!(urls(&second), ["/json", "/text", "/latin1"]);
    let entries = first.split_once("\"entries\": [").unwrap();
    assert!(second.starts_with(entries.0), "the scope stays: {second}");
    assert!(second.contains(entries.1.trim_end().strip_suffix("\n    ]\n  }\n}").unwrap()), "{second}");
    let report: Value = sandbox.har("report.json");
    assert_eq!((&report["counts"]["recorded"], &report["counts"]["misses"]), (&1.into(), &0.into()));

    let recorded = report["requests"].as_array().unwrap().iter().find(|seen| seen["outcome"] == "recorded").unwrap();
    assert_eq!(
        (&recorded["fixture"], &recorded["entry"], &recorded["change"]),
        (&"hars/api.har".into(), &2.into(), &"added".into())
    );

    drop(origin);
    let server = sandbox.start(["replay", "hars/api.har"]);
    let client = Client::new(server.proxy(), server.ca(), Proto::H1);
    assert_eq!(client.get(&format!("{API}/latin1")).header("x-harproxy"), Some("replay; entry=hars/api.har#2"));
    server.stop().expect(0);
}

#[test]
fn fixture_is_not_written_without_a_miss() {
    let (sandbox, origin) = (Sandbox::new(), Origin::start());
    ask(&sandbox, &origin, &["-g", "https://api.test/**"], &["/json"]);
    let before = (har(&sandbox), fs::metadata(sandbox.join("hars/api.har")).unwrap().modified().unwrap());
    ask(&sandbox, &origin, &[], &["/json"]);
    assert_eq!(before, (har(&sandbox), fs::metadata(sandbox.join("hars/api.har")).unwrap().modified().unwrap()));
    let left: Vec<_> = fs::read_dir(sandbox.join("hars")).unwrap().map(|item| item.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().starts_with('.')), "{left:?}");
}

#[test]
fn failing_cmd_leaves_the_fixture_unchanged() {
    let (sandbox, origin) = (Sandbox::new(), Origin::start());
    ask(&sandbox, &origin, &["-g", "https://api.test/**"], &["/json"]);
    let before = har(&sandbox);
    let cmd = format!("curl -s {API}/text >/dev/null; exit 7");
    let args = ["replay", "hars/api.har", "--on-miss", "record"].map(str::to_owned).into_iter().chain(origin.args());
    let run = sandbox.run(args.chain(["--", "sh", "-c", &cmd].map(str::to_owned)));
    let message = run.expect(7).stderr;
    assert!(message.contains("hars/api.har is unchanged"), "{message}");
    assert!(message.contains("harproxy recover hars/api.har --discard"), "{message}");
    assert_eq!(har(&sandbox), before);
}

#[test]
fn on_miss_record_needs_one_own_fixture_and_refuses_ci() {
    let sandbox = Sandbox::new();
    sandbox.write("hars/theirs.har", r#"{"log":{"version":"1.2","creator":{"name":"x","version":"1"},"entries":[]}}"#);
    let refused = |args: &[&str], ci: &str| {
        let mut command = sandbox.command(["replay", "--on-miss", "record"].iter().chain(args));
        finish(command.env("CI", ci).output().unwrap()).expect(2).stderr
    };
    assert!(refused(&["--", "true"], "").contains("needs exactly one fixture"));
    assert!(refused(&["hars", "--", "true"], "").contains("needs exactly one fixture"));
    assert!(refused(&["a.har", "b.har", "--", "true"], "").contains("needs exactly one fixture"));
    assert!(refused(&["hars/theirs.har", "--", "true"], "").contains("was not recorded by harproxy"));
    let message = refused(&["hars/api.har", "--", "true"], "true");
    assert!(message.contains("in CI") && message.contains("--allow-ci-record"), "{message}");
}

/// Recorded misses are redacted like any recording, and match requests with other values.
#[test]
fn added_exchanges_contain_no_secret() {
    let sandbox = Sandbox::new();
    let origin = Origin::answering(|_| {
        let headers = vec![("content-type", "application/json".to_owned())];
        let body = br#"{"access_token":"an-answered-secret"}"#.to_vec();
        Some(crate::support::origin::OriginResponse { status: 200, headers, body, ..Default::default() })
    });
    let args =
        ["replay", "hars/api.har", "-g", "https://api.test/**", "--on-miss", "record", "-vvv"].map(str::to_owned);
    let server = sandbox.start(args.into_iter().chain(origin.args()));
    let login = |password: &str| {
        let text = format!(r#"{{"user":"ada","password":"{password}"}}"#);
        TestRequest::new("POST", "https://api.test/login")
            .header("content-type", "application/json")
            .body(text.into_bytes())
    };
    let client = Client::new(server.proxy(), server.ca(), Proto::H1);
    assert!(client.send(login("a-sent-secret")).text().contains("an-answered-secret"));
    let output = server.stop().expect(0).stderr;
    drop(origin);
    let server = sandbox.start(["replay", "hars/api.har"]);
    let client = Client::new(server.proxy(), server.ca(), Proto::H1);
    assert!(client.send(login("dummy")).text().contains("REDACTED-access_token-1"));
    server.stop().expect(0);
    let mut texts = vec![output, har(&sandbox)];
    let payloads = fs::read_dir(sandbox.join("hars/api")).unwrap();
    texts.extend(payloads.map(|file| fs::read_to_string(file.unwrap().path()).unwrap()));
    for text in texts {
        assert!(!text.contains("a-sent-secret") && !text.contains("an-answered-secret"), "{text}");
    }
}

#[test]
fn summary_of_dropped_exchanges_does_not_say_that_no_request_came() {
    let sandbox = Sandbox::new();
    let (began, has_begun) = std::sync::mpsc::channel();
    let origin = RawOrigin::start(move |_, stream| {
        began.send(()).unwrap();
        // Until the client has left.
        let _ = stream.read(&mut [0]);
    });
    let map = format!("api.test:80={}", origin.addr);
    let args = ["replay", "hars/api.har", "--on-miss", "record", "-g", "http://api.test/**", "--map", &map];
    let server = sandbox.start(args);
    let mut client = TcpStream::connect(server.proxy()).unwrap();
    client.write_all(b"GET http://api.test/ HTTP/1.1\r\nHost: api.test\r\n\r\n").unwrap();
    has_begun.recv().unwrap();
    drop(client);
    server.stderr().event("request", |event| event["outcome"] == "passed" && event["complete"] == false);
    let output = server.stop();
    assert!(!output.stderr.contains("no request came"), "{}", output.stderr);
    assert!(!output.stderr.contains("match none of the URLs"), "{}", output.stderr);
    output.says("the one request was not in scope, or not answered");
}
