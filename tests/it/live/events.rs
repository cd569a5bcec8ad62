//! `--log-format json`: each line on standard error is an object with an `event`, as in `docs/reference/events.md`.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::Stdio;

use serde_json::{Value, json};

use super::{client, two_entries};
use crate::cli::{CURL, CliSandbox};
use crate::support::client::TestRequest;
use crate::support::raw::RawOrigin;
use crate::support::repo;
use crate::support::sandbox::{Output, Sandbox, finish};

/// The events of all lines.
#[track_caller]
fn events(output: &Output) -> Vec<Value> {
    let event = |line: &str| -> Value {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(event["event"].is_string(), "{line}");
        let at = event["at"].as_str().unwrap_or_else(|| panic!("no time: {line}"));
        assert!(at.len() >= 20 && at.ends_with('Z'), "{line}");
        event
    };
    output.stderr.lines().map(event).collect()
}

fn names(events: &[Value]) -> BTreeSet<&str> {
    events.iter().filter_map(|event| event["event"].as_str()).collect()
}

fn of<'e>(events: &'e [Value], name: &str) -> Vec<&'e Value> {
    events.iter().filter(|event| event["event"] == name).collect()
}

#[test]
fn each_log_line_is_an_event() {
    let stage = CliSandbox::new();
    let json = ["--log-format", "json"];
    let run = |command: &str, options: &[&str], cmd: &[&str]| {
        let options = [&json[..], options].concat();
        let output = stage.sandbox.run(stage.args(command, &options, cmd));
        let told: BTreeSet<String> = names(&events(&output)).into_iter().map(str::to_owned).collect();
        assert!(!told.is_empty(), "{command} {options:?}: {}", output.stderr);
        (output.status, told)
    };
    let silent: &[&str] = &["sh", "-c", "curl -sS https://api.test/api/json >/dev/null 2>&1"];
    let missing: &[&str] = &["sh", "-c", "curl -s https://api.test/api/text >/dev/null 2>&1"];
    for (command, options, cmd, status, some) in [
        ("record", &[][..], silent, 0, "request"),
        ("record", &["-vvv"], silent, 0, "log"),
        ("record", &["--color", "always", "-o", "hars/b.har"], &["true"], 1, "verdict"),
        ("record", &["-o", "hars/c.har", "--twice"], silent, 0, "learned"),
        ("replay", &["hars/recorded.har"], silent, 0, "verdict"),
        ("replay", &["hars/recorded.har", "-vvv"], silent, 0, "log"),
        ("replay", &["hars/recorded.har"], missing, 1, "finding"),
        ("replay", &["hars/recorded.har", "--report", "/dev/null/x.json"], silent, 3, "error"),
        ("replay", &["hars/none.har"], silent, 2, "error"),
        ("replay", &["hars/recorded.har", "--miss-stauts", "404"], silent, 2, "error"),
        ("replay", &["hars/recorded.har", "--fail-on", "mis"], silent, 2, "error"),
        ("replay", &["hars/recorded.har"], &["no-such-command"], 127, "error"),
        ("replay", &["hars/recorded.har", "--listen", "192.0.2.1:1", "--allow-remote"], silent, 3, "error"),
    ] {
        let (ended, told) = run(command, options, cmd);
        assert_eq!(ended, status, "{command} {options:?} {cmd:?}: {told:?}");
        assert!(told.contains(some), "{command} {options:?} {cmd:?}: {told:?}");
    }
    for args in [&["check", "--log-format", "json"][..], &["--log-format", "json", "fmt", "hars/none.har"]] {
        events(&stage.sandbox.run(args));
    }
    let told = events(&stage.sandbox.run(["doctor", "--log-format", "json", "--", "true"]).expect(1));
    let [diagnosis] = of(&told, "diagnosis")[..] else { panic!("{told:?}") };
    let diagnosis = &diagnosis["diagnosis"];
    assert_eq!((&diagnosis["schema"], &diagnosis["well"]), (&json!("harproxy.doctor/1"), &json!(false)));
    assert_eq!(diagnosis["findings"][0]["kind"], "no-traffic");
}

#[test]
fn replay_events_have_the_entry_or_the_reason_of_a_miss() {
    let sandbox = Sandbox::new();
    sandbox.write("hars/api.har", two_entries("first"));
    let server = sandbox.start(["replay"]);
    let client = client(&server);
    assert_eq!(client.get("https://api.test/one?page=1").text(), "first");
    assert_eq!(client.get("https://api.test/one?page=3").status, 501);
    assert_eq!(client.get("https://other.test/").status, 501);
    let output = server.stop().expect(1);
    let events = events(&output);
    let requests = of(&events, "request");
    let told: Vec<_> = requests
        .iter()
        .map(|event| {
            ["id", "method", "url", "status", "outcome", "source", "fixture", "entry"].map(|name| &event[name])
        })
        .collect();
    assert_eq!(
        json!(told),
        json!([
            [1, "GET", "https://api.test/one?page=1", 200, "served", "fixture", "hars/api.har", 0],
            [2, "GET", "https://api.test/one?page=3", 501, "miss", "none", "hars/api.har", 0],
            [3, "GET", "https://other.test/", 501, "out-of-scope", "none", null, null],
        ])
    );
    assert!(requests[0]["tookMs"].is_number() && requests[0]["complete"] == true && requests[0]["bytes"] == 5);
    assert!(requests[0].get("explanation").is_none());
    assert!(requests[1]["explanation"].as_str().unwrap().contains("`3`, recorded `1`"), "{}", requests[1]);
    assert!(requests[1]["remedy"].as_str().unwrap().contains("--on-miss record"), "{}", requests[1]);
    let kinds: Vec<_> = of(&events, "finding").iter().map(|event| event["kind"].clone()).collect();
    assert_eq!(kinds, ["miss", "out-of-scope"]);
    let [verdict] = of(&events, "verdict")[..] else { panic!("{events:?}") };
    assert_eq!(verdict["report"]["counts"]["requests"], 3);
    assert!(verdict["report"].get("requests").is_none(), "requests are events");
    assert_eq!(events.last().unwrap(), verdict);
    assert!(of(&events, "log").is_empty(), "a finding is told once: {events:?}");
}

#[test]
fn recording_events_mark_recorded_forwarded_and_tunnelled_requests() {
    let stage = CliSandbox::new();
    let server = stage.sandbox.start(stage.args("record", &["-g", "https://api.test/api/**"], &[]));
    let client = client(&server);
    for path in ["/api/json", "/page"] {
        assert_eq!(client.get(&format!("https://api.test{path}")).status, 200);
    }
    let output = server.stop().expect(0);
    let events = events(&output);
    let told: Vec<_> = of(&events, "request")
        .iter()
        .map(|event| json!([event["outcome"], event["source"], event["protocol"]]))
        .collect();
    assert_eq!(told, [json!(["recorded", "live", "HTTP/1.1"]), json!(["passed", "live", "HTTP/1.1"])]);
    assert_eq!(of(&events, "summary").len(), 1);

    let server = stage.sandbox.start(stage.args("record", &["-g", "https://elsewhere.test/**"], &[]));
    let trusting = crate::support::client::Client::new(
        server.proxy(),
        std::fs::read_to_string(repo("certs/ca.pem")).unwrap(),
        crate::support::client::Proto::H1,
    );
    assert_eq!(trusting.get("https://api.test/page").status, 200);
    let output = server.stop().expect(1);
    let tunnels = self::events(&output);
    let [tunnel] = of(&tunnels, "tunnel")[..] else { panic!("{tunnels:?}") };
    assert_eq!((&tunnel["url"], &tunnel["method"]), (&json!("api.test:443"), &json!("CONNECT")));
}

#[test]
fn refused_certificate_is_an_event() {
    let sandbox = Sandbox::new();
    sandbox.write("hars/api.har", two_entries("first"));
    let server = sandbox.start(["replay"]);
    let distrusting = crate::support::client::Client::new(
        server.proxy(),
        std::fs::read_to_string(repo("certs/ca.pem")).unwrap(),
        crate::support::client::Proto::H1,
    );
    assert!(distrusting.try_send(TestRequest::new("GET", "https://api.test/two")).is_err());
    let refused = server.stderr().event("tls-refused", |_| true);
    assert_eq!((&refused["host"], &refused["port"]), (&json!("api.test"), &json!(443)));
    assert!(!refused["reason"].as_str().unwrap().is_empty());
    events(&server.stop());
}

#[test]
fn running_response_is_an_event_at_its_head() {
    let origin = RawOrigin::start(|_, stream| {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: 1\n\n";
        let _ = stream.write_all(head.as_bytes());
        // Waits until the client closes the connection.
        let _ = std::io::Read::read(stream, &mut [0]);
    });
    let sandbox = Sandbox::new();
    let map = format!("sse.test:80={}", origin.addr);
    let server = sandbox.start(["record", "-o", "hars/a.har", "--map", &map, "--grace", "0s"]);
    let client = client(&server);
    let waiting = std::thread::spawn(move || client.try_send(TestRequest::new("GET", "http://sse.test/events")));
    let answered = server.stderr().event("answered", |_| true);
    assert_eq!(
        (&answered["status"], &answered["complete"], &answered["tookMs"]),
        (&json!(200), &json!(false), &json!(null))
    );
    let output = server.stop();
    let _ = waiting.join();
    let ended = events(&output);
    let ended = of(&ended, "request");
    assert_eq!((&ended[0]["id"], &ended[0]["complete"]), (&answered["id"], &json!(false)));
}

#[test]
fn progress_never_and_quiet_omit_request_events() {
    let stage = CliSandbox::new();
    stage.record(&[], CURL).expect(0);
    for options in [&["--progress", "never"][..], &["-q"]] {
        let output = stage.replay(&[&["--log-format", "json"], options].concat(), CURL).expect(0);
        assert!(of(&events(&output), "request").is_empty(), "{options:?}");
    }
    let with_cmd = stage.replay(&["--log-format", "json"], CURL).expect(0);
    assert_eq!(of(&events(&with_cmd), "request").len(), 1);
}

#[test]
fn run_ends_when_its_output_is_not_read() {
    let sandbox = Sandbox::new();
    sandbox.write("hars/api.har", two_entries("first"));
    let mut command = sandbox.command(["replay", "--log-format", "json", "--report", "report.json", "--"]);
    // The output is larger than the buffer of a pipe.
    let script = "curl -s -o /dev/null 'http://api.test/[1-600]' 2>/dev/null; true";
    command.args(["sh", "-c", script]).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let unread = child.stderr.take();
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(1));
    drop(unread);
    assert!(sandbox.har("report.json")["counts"]["requests"].as_u64().unwrap() > 400);
    // A closed standard error changes nothing else.
    let mut command = sandbox.command(["replay", "--log-format", "json", "--", "curl", "-s", "https://api.test/two"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stderr.take());
    let output = finish(child.wait_with_output().unwrap()).expect(0);
    assert_eq!(output.stdout, "second");
}
