//! The recorder and its proxy in this process, between clients and origins that may misbehave.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, mpsc};

use harproxy::record::journal::{FrameKind, JournalReader};
use harproxy::record::{CmdEnd, Error};
use harproxy::verdict::{CheckId, Severity};
use harproxy_redact::Policy;
use serde_json::Value;

use crate::support::client::{Client, Proto, TestRequest};
use crate::support::origin::{Origin, OriginResponse};
use crate::support::raw::{RawOrigin, read_head};
use crate::support::repo;
use crate::support::rig::{Rig, answers, setup};
use crate::support::sandbox::Sandbox;

const HAR: &str = "hars/api.har";

fn entries(sandbox: &Sandbox) -> Vec<Value> {
    sandbox.har(HAR)["log"]["entries"].as_array().unwrap().clone()
}

fn pairs(list: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    list.as_array().unwrap().iter().map(|header| (text(&header["name"]), text(&header["value"]))).collect()
}

/// Sends the bytes of a cleartext request to the proxy.
fn raw(rig: &Rig, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(rig.proxy).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

fn text_of(mut stream: impl Read) -> String {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

fn nowhere() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn visit(client: &Client, base: &str) {
    for path in [
        "duplicates",
        "latin1-header",
        "gzip",
        "chunked",
        "trailers",
        "no-content",
        "redirect",
        "redirect/2",
        "not-modified",
        "not-gzip",
        "image",
    ] {
        client.send(
            TestRequest::new("GET", &format!("{base}/api/{path}")).header("te", "trailers").header("cookie", "a=1"),
        );
    }
    client.send(TestRequest::new("HEAD", &format!("{base}/api/json")));
    client.send(
        TestRequest::new("POST", &format!("{base}/api/json?b=2&a=1"))
            .header("content-type", "text/plain")
            .body("payload"),
    );
}

#[test]
fn heads_of_many_lines_are_recorded_whole() {
    let field = |n: usize| -> (&'static str, String) { (format!("x-many-{n}").leak(), n.to_string()) };
    let fields: Vec<_> = (0..200).map(field).collect();
    let origin = Origin::answering({
        let fields = fields.clone();
        move |_| Some(OriginResponse { status: 200, headers: fields.clone(), body: b"{}".to_vec(), trailers: vec![] })
    });
    let sandbox = Sandbox::new();
    let rig = setup(&sandbox).to(&origin).start(&sandbox).unwrap();
    // Over HTTP/1.1, this origin and this client do not accept that many fields.
    let client = rig.client(Proto::H2);
    for n in 0..2 {
        let ask = TestRequest::new("GET", &format!("https://api.test/api/{n}"));
        client.send(fields.iter().fold(ask, |ask, (name, value)| ask.header(name, value)));
    }
    assert!(rig.finish(CmdEnd::Clean).written);
    for (entry, side) in entries(&sandbox).iter().flat_map(|entry| [(entry, "request"), (entry, "response")]) {
        let mut own = pairs(&entry[side]["headers"]);
        own.retain(|(name, _)| name.starts_with("x-many-"));
        let expected = fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        assert_eq!(own, expected.collect::<Vec<_>>(), "{side}");
    }
}

#[test]
fn entries_are_equal_over_http1_and_http2() {
    let origin = Origin::start();
    let record = |proto| {
        let sandbox = Sandbox::new();
        let mut setup = setup(&sandbox).to(&origin);
        setup.record.policy = Arc::new(Policy::off());
        let rig = setup.start(&sandbox).unwrap();
        visit(&rig.client(proto), "https://api.test");
        let outcome = rig.finish(CmdEnd::Clean);
        assert!(outcome.written && outcome.verdict.passed());
        assert_eq!((outcome.summary.added, outcome.verdict.counts.recorded), (13, 13));
        let host = &outcome.hosts[0];
        assert_eq!((&*host.host, host.requests, host.recorded, host.passed), ("api.test", 13, 13, 0));
        (entries(&sandbox), sandbox.har(HAR))
    };
    let (one, har) = record(Proto::H1);
    let (two, _) = record(Proto::H2);
    assert_eq!(har["log"]["_harproxy"]["scope"], serde_json::json!(["**/api/**"]));
    for (one, two) in one.iter().zip(&two) {
        let url = &one["request"]["url"];
        assert_eq!(one["response"]["httpVersion"], "HTTP/1.1", "{url}");
        assert_eq!(two["response"]["httpVersion"], "HTTP/2", "{url}");
        for part in ["method", "url", "queryString", "cookies", "postData", "bodySize"] {
            assert_eq!(one["request"][part], two["request"][part], "{url} {part}");
        }
        // The client sends `content-length` first over HTTP/1.1, and last over HTTP/2.
        let sorted = |entry: &Value| {
            let mut headers = pairs(&entry["request"]["headers"]);
            headers.sort();
            headers
        };
        assert_eq!(sorted(one), sorted(two), "{url}");
        for part in ["status", "statusText", "content", "redirectURL", "_trailers", "bodySize", "cookies"] {
            assert_eq!(one["response"][part], two["response"][part], "{url} {part}");
        }
        let quiet = |entry: &Value| {
            let mut headers = pairs(&entry["response"]["headers"]);
            // The origin sends `content-length: 0` over HTTP/1.1 only.
            headers.retain(|(name, _)| name != "date" && name != "content-length");
            headers
        };
        assert_eq!(quiet(one), quiet(two), "{url}");
        assert_eq!(pairs(&one["request"]["headers"])[0], ("host".into(), "api.test".into()));
        assert!(pairs(&one["request"]["headers"]).iter().all(|(name, _)| name != "te"), "{url}");
        assert!(one["serverIPAddress"] == "127.0.0.1" && one["time"].as_f64().unwrap() > 0.0);
    }
    let response = |n: usize| &one[n]["response"];
    let cookies: Vec<String> =
        pairs(&response(0)["headers"]).into_iter().filter(|(n, _)| n == "set-cookie").map(|(_, v)| v).collect();
    assert_eq!(cookies, ["a=1; Path=/", "b=2; HttpOnly"]);
    assert!(pairs(&response(1)["headers"]).contains(&("x-name".into(), "caf\u{e9}".into())));
    assert!(response(2)["content"]["text"].as_str().unwrap().contains("packed"));
    assert!(pairs(&response(2)["headers"]).contains(&("content-encoding".into(), "gzip".into())));
    assert!(response(2)["bodySize"] != response(2)["content"]["size"]);
    assert_eq!(response(3)["content"]["text"], "one,two,three");
    assert!(pairs(&response(3)["headers"]).iter().all(|(name, _)| name != "transfer-encoding"));
    assert_eq!(pairs(&response(4)["_trailers"]), [("x-checksum".into(), "abc123".into())]);
    assert_eq!((&response(6)["status"], &response(6)["redirectURL"]), (&302.into(), &"/api/redirect/2".into()));
    assert_eq!(
        (&response(7)["status"], &response(7)["redirectURL"]),
        (&307.into(), &"https://api.test/api/json".into())
    );
    assert_eq!(response(9)["content"]["_encoded"], true);
    let post = &one[12]["request"];
    assert_eq!((&post["postData"]["text"], &post["bodySize"]), (&"payload".into(), &7.into()));
}

#[test]
fn custom_reason_phrase_is_recorded() {
    let (sandbox, origin) = (Sandbox::new(), Origin::start());
    let rig = setup(&sandbox).to(&origin).start(&sandbox).unwrap();
    assert_eq!(rig.client(Proto::H1).get("https://api.test/api/reason").reason, "Fine Indeed");
    rig.finish(CmdEnd::Clean);
    assert_eq!(entries(&sandbox)[0]["response"]["statusText"], "Fine Indeed");
}

#[test]
fn out_of_scope_requests_are_forwarded_and_counted() {
    let (sandbox, origin) = (Sandbox::new(), Origin::start());
    let rig = setup(&sandbox).to(&origin).globs(["https://api.test/api/**"]).start(&sandbox).unwrap();
    let client = rig.client(Proto::H1);
    assert_eq!(client.get("https://api.test/page").status, 200);
    assert_eq!(client.get("http://app.test/api/json").status, 200);
    assert_eq!(client.get("https://api.test/favicon.ico").status, 404);
    assert_eq!(client.get("https://api.test/api/json").status, 200);
    // A host that no glob can match is not intercepted: the client sees the certificate of the origin.
    let pinned = Client { ca: std::fs::read_to_string(repo("certs/ca.pem")).unwrap(), ..rig.client(Proto::H2) };
    assert_eq!(pinned.get("https://app.test/api/json").status, 200);
    let outcome = rig.finish(CmdEnd::Clean);
    assert_eq!(entries(&sandbox).len(), 1);
    let lines: Vec<_> =
        outcome.hosts.iter().map(|line| (&*line.host, line.requests, line.recorded, line.passed)).collect();
    assert_eq!(lines, [("api.test", 3, 1, 2), ("app.test", 2, 0, 2)]);
    let counts = outcome.verdict.counts;
    assert_eq!((counts.requests, counts.recorded, counts.passed, counts.tunnels), (5, 1, 4, 1));
    assert!(counts.bytes > 0 && counts.local_connections > 0);
}

#[test]
fn favicon_is_noise_unless_a_glob_names_it() {
    let (sandbox, origin) = (Sandbox::new(), Origin::start());
    let rig = setup(&sandbox).to(&origin).globs([]).start(&sandbox).unwrap();
    rig.client(Proto::H1).get("https://api.test/favicon.ico");
    let outcome = rig.finish(CmdEnd::Clean);
    assert_eq!((outcome.verdict.counts.noise, outcome.written), (1, false));
    let rig = setup(&sandbox).to(&origin).globs(["**/favicon.ico"]).start(&sandbox).unwrap();
    rig.client(Proto::H1).get("https://api.test/favicon.ico");
    assert!(rig.finish(CmdEnd::Clean).written);
}

#[test]
fn empty_recording_is_an_error_and_leaves_no_files() {
    let sandbox = Sandbox::new();
    let rig = setup(&sandbox).start(&sandbox).unwrap();
    let outcome = rig.finish(CmdEnd::Clean);
    assert!(!outcome.written && !outcome.verdict.passed());
    assert_eq!(outcome.verdict.findings[0].check, CheckId::NOTHING_RECORDED);
    assert!(!sandbox.join("hars").exists());
}

#[test]
fn upload_after_100_continue_is_recorded() {
    let (sandbox, origin) = (Sandbox::new(), Origin::start());
    let rig = setup(&sandbox).to(&origin).start(&sandbox).unwrap();
    let mut stream = raw(
        &rig,
        "POST http://api.test/api/echo HTTP/1.1\r\nHost: api.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n",
    );
    assert!(String::from_utf8(read_head(&mut stream)).unwrap().starts_with("HTTP/1.1 100"));
    stream.write_all(b"hello").unwrap();
    assert!(text_of(stream).contains("hello"));
    rig.finish(CmdEnd::Clean);
    let entry = &entries(&sandbox)[0];
    assert_eq!(entry["request"]["postData"]["text"], "hello");
    assert!(entry["_harproxy"].is_null(), "the informational response is not recorded");
}

#[test]
fn upgrade_is_forwarded_and_becomes_an_entry() {
    let (sandbox, origin) = (Sandbox::new(), Origin::start());
    let rig = setup(&sandbox).to(&origin).start(&sandbox).unwrap();
    let mut stream = raw(
        &rig,
        "GET http://api.test/api/socket HTTP/1.1\r\nHost: api.test\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n",
    );
    let head = String::from_utf8(read_head(&mut stream)).unwrap().to_lowercase();
    assert!(head.starts_with("http/1.1 101") && head.contains("upgrade: echo"), "{head}");
    stream.write_all(b"ping").unwrap();
    let mut pong = [0; 4];
    stream.read_exact(&mut pong).unwrap();
    assert_eq!(&pong, b"ping");
    drop(stream);
    rig.finish(CmdEnd::Clean);
    let entry = &entries(&sandbox)[0];
    assert_eq!(entry["response"]["status"], 101);
    assert!(pairs(&entry["response"]["headers"]).contains(&("upgrade".into(), "echo".into())));
}

#[test]
fn unreachable_upstream_is_answered_inside_tls_and_recorded() {
    let sandbox = Sandbox::new();
    let rig = setup(&sandbox).map("api.test", nowhere(), nowhere()).start(&sandbox).unwrap();
    for (proto, url) in [
        (Proto::H1, "https://api.test/api/one"),
        (Proto::H2, "https://api.test/api/two"),
        (Proto::H1, "http://api.test/api/three"),
    ] {
        let got = rig.client(proto).get(url);
        assert_eq!((got.status, got.header("content-type")), (502, Some("application/problem+json")), "{url}");
        assert!(got.json()["detail"].as_str().unwrap().contains("api.test"), "{}", got.text());
        assert_eq!(got.header("x-harproxy"), Some("live"));
    }
    let outcome = rig.finish(CmdEnd::Clean);
    assert_eq!(outcome.summary.added, 3);
    for entry in entries(&sandbox) {
        assert_eq!(entry["response"]["status"], 0);
        assert_eq!(entry["_harproxy"]["error"]["kind"], "refused", "{entry}");
    }
}

#[test]
fn connect_is_refused_when_the_tunnel_fails() {
    let sandbox = Sandbox::new();
    let rig =
        setup(&sandbox).globs(["https://other.test/**"]).map("api.test", nowhere(), nowhere()).start(&sandbox).unwrap();
    let error = rig.client(Proto::H1).try_send(TestRequest::new("GET", "https://api.test/api/x")).unwrap_err();
    assert!(error.to_string().starts_with("HTTP/1.1 502"), "{error}");
    let outcome = rig.finish(CmdEnd::Clean);
    assert_eq!((outcome.verdict.counts.passed, outcome.written), (1, false));
}

#[test]
fn response_that_upstream_breaks_off_is_truncated_for_client_and_entry() {
    let sandbox = Sandbox::new();
    let origin =
        RawOrigin::answering("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\nonly this");
    let rig = setup(&sandbox).map("api.test", origin.addr, origin.addr).start(&sandbox).unwrap();
    rig.client(Proto::H1).try_send(TestRequest::new("GET", "http://api.test/api/cut")).unwrap_err();
    rig.finish(CmdEnd::Clean);
    let content = &entries(&sandbox)[0]["response"]["content"];
    assert_eq!(content["text"], "only this");
    assert_eq!(content["_truncated"], serde_json::json!({ "reason": "upstream-died", "kept": 9, "total": 100 }));
}

#[test]
fn payload_longer_than_max_body_is_forwarded_whole_and_stored_truncated() {
    let (sandbox, origin) = (Sandbox::new(), Origin::start());
    let mut setup = setup(&sandbox).to(&origin);
    setup.record.max_body = Some(10);
    let rig = setup.start(&sandbox).unwrap();
    let ask =
        TestRequest::new("POST", "https://api.test/api/json").header("content-type", "text/plain").body("x".repeat(30));
    assert_eq!(rig.client(Proto::H2).send(ask).body.len(), 60);
    rig.finish(CmdEnd::Clean);
    let entry = &entries(&sandbox)[0];
    let cut = |total: u64| serde_json::json!({ "reason": "max-body", "kept": 10, "total": total });
    assert_eq!(entry["response"]["content"]["_truncated"], cut(60));
    assert_eq!(entry["request"]["postData"]["_truncated"], cut(30));
    assert_eq!((&entry["request"]["bodySize"], &entry["response"]["bodySize"]), (&30.into(), &60.into()));
}

#[test]
fn entry_is_truncated_when_the_client_leaves_half_way() {
    let sandbox = Sandbox::new();
    let (go, wait) = mpsc::channel::<()>();
    let origin = RawOrigin::start(move |_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nfirst half");
        let _ = wait.recv();
    });
    let rig = setup(&sandbox).map("api.test", origin.addr, origin.addr).start(&sandbox).unwrap();
    let mut stream = raw(&rig, "GET http://api.test/api/half HTTP/1.1\r\nHost: api.test\r\n\r\n");
    read_head(&mut stream);
    let mut half = [0; 10];
    stream.read_exact(&mut half).unwrap();
    drop(stream);
    let outcome = rig.finish(CmdEnd::Clean);
    drop(go);
    assert_eq!(outcome.summary.added, 1);
    let content = &entries(&sandbox)[0]["response"]["content"];
    assert_eq!(content["_truncated"], serde_json::json!({ "reason": "client-left", "kept": 10, "total": 1000 }));
}

#[test]
fn exchange_is_not_stored_when_the_client_leaves_before_the_response() {
    let sandbox = Sandbox::new();
    let (request, was_asked) = mpsc::channel();
    let (go, wait) = mpsc::channel::<()>();
    let origin = RawOrigin::start(move |_, _| {
        request.send(()).unwrap();
        let _ = wait.recv();
    });
    let rig = setup(&sandbox).map("api.test", origin.addr, origin.addr).start(&sandbox).unwrap();
    let stream = raw(&rig, "GET http://api.test/api/slow HTTP/1.1\r\nHost: api.test\r\n\r\n");
    was_asked.recv().unwrap();
    drop(stream);
    let outcome = rig.finish(CmdEnd::Clean);
    drop(go);
    assert_eq!((outcome.summary.unanswered, outcome.written), (1, false));
    let counts = outcome.verdict.counts;
    assert_eq!((counts.requests, counts.recorded, counts.passed), (1, 0, 1));
}

/// When a client sees the end of a response, the journal holds the end of the exchange.
#[test]
fn journal_has_the_exchange_before_the_client_sees_its_end() {
    let (sandbox, origin) = (Sandbox::new(), Origin::start());
    let rig = setup(&sandbox).to(&origin).start(&sandbox).unwrap();
    let ends = || {
        let journal = std::fs::File::open(sandbox.join("hars/.api.har.journal")).unwrap();
        let mut reader = JournalReader::open(journal, None).unwrap().unwrap();
        let kinds = std::iter::from_fn(|| reader.next_frame().unwrap().map(|frame| frame.kind));
        kinds.filter(|kind| *kind == FrameKind::End).count()
    };
    let mut seen = 0;
    for round in 0..5 {
        for proto in [Proto::H1, Proto::H2] {
            let client = rig.client(proto);
            for path in ["json", "chunked", "trailers", "no-content", "gzip", "empty"] {
                client.get(&format!("https://api.test/api/{path}"));
                seen += 1;
                assert!(ends() >= seen, "{path}, round {round}");
            }
        }
    }
    assert_eq!(rig.finish(CmdEnd::Clean).summary.added, seen);
}

#[test]
fn second_recorder_of_the_same_fixture_is_refused() {
    let (sandbox, origin) = (Sandbox::new(), Origin::start());
    let rig = setup(&sandbox).to(&origin).start(&sandbox).unwrap();
    assert!(matches!(setup(&sandbox).start(&sandbox), Err(Error::Locked { .. })));
    rig.finish(CmdEnd::Clean);
    setup(&sandbox).start(&sandbox).unwrap().finish(CmdEnd::Clean);
}

#[test]
fn failed_run_keeps_the_fixture_and_holds_the_recording() {
    let (sandbox, origin) = (Sandbox::new(), Origin::start());
    let record = |path: &str, ending| {
        let rig = setup(&sandbox).to(&origin).start(&sandbox).unwrap();
        rig.client(Proto::H1).get(&format!("https://api.test/api/{path}"));
        rig.finish(ending)
    };
    let first = record("json", CmdEnd::Failed);
    assert!(first.written && first.held.is_none(), "a first recording is written");
    let before = sandbox.read(HAR);
    let held = sandbox.join("hars/.api.har.held");
    for again in [false, true] {
        let outcome = record("text", CmdEnd::Failed);
        assert_eq!((outcome.written, outcome.held.as_ref(), outcome.replaced_held), (false, Some(&held), again));
        assert_eq!(sandbox.read(HAR), before);
        assert!(held.exists() && !sandbox.join("hars/.api.har.journal").exists());
    }
    let clean = record("text", CmdEnd::Clean);
    assert_eq!((clean.summary.added, clean.summary.not_seen, clean.replaced_held), (1, 1, true));
    assert!(!held.exists());
}

#[test]
fn killed_recording_is_finalised_by_the_next_one() {
    let (sandbox, origin) = (Sandbox::new(), Origin::start());
    let rig = setup(&sandbox).to(&origin).start(&sandbox).unwrap();
    rig.client(Proto::H1).get("https://api.test/api/json");
    rig.kill();
    let rig = setup(&sandbox).to(&origin).start(&sandbox).unwrap();
    let recovery = rig.recorder.recovery().unwrap();
    assert_eq!((recovery.summary.exchanges, recovery.summary.cut), (1, 0));
    assert!(recovery.to_string().contains("recovered 1 exchange into"), "{recovery}");
    rig.client(Proto::H1).get("https://api.test/api/text");
    let outcome = rig.finish(CmdEnd::Clean);
    assert_eq!((outcome.summary.added, outcome.summary.not_seen), (1, 1));
    assert_eq!(answers(&sandbox.join(HAR)).len(), 2);
}

#[test]
fn refused_certificate_is_a_finding_with_the_glob_that_excludes_the_host() {
    let (sandbox, origin) = (Sandbox::new(), Origin::start());
    let rig = setup(&sandbox).to(&origin).start(&sandbox).unwrap();
    let pinned = Client { ca: std::fs::read_to_string(repo("certs/ca.pem")).unwrap(), ..rig.client(Proto::H1) };
    pinned.try_send(TestRequest::new("GET", "https://api.test/api/json")).unwrap_err();
    let outcome = rig.finish(CmdEnd::Clean);
    let finding = outcome.verdict.findings.iter().find(|finding| finding.check == CheckId::TLS_REFUSED).unwrap();
    assert_eq!(finding.severity, Severity::Warning);
    assert!(finding.hint.as_ref().unwrap().contains("'!https://api.test/**'"));
}

#[test]
fn unchanged_responses_change_no_byte_of_the_fixture() {
    let (sandbox, origin) = (Sandbox::new(), Origin::start());
    let record = |proto| {
        let rig = setup(&sandbox).to(&origin).start(&sandbox).unwrap();
        let client = rig.client(proto);
        for path in ["json", "gzip", "duplicates", "chunked", "trailers", "no-content", "json"] {
            client.send(TestRequest::new("GET", &format!("https://api.test/api/{path}")).header("te", "trailers"));
        }
        rig.finish(CmdEnd::Clean)
    };
    record(Proto::H1);
    let before = sandbox.read(HAR);
    for proto in [Proto::H1, Proto::H2] {
        let outcome = record(proto);
        assert_eq!((outcome.summary.unchanged, outcome.summary.changed, outcome.summary.added), (7, 0, 0));
        assert_eq!(sandbox.read(HAR), before);
    }
}
