//! The classes of requests: in scope, local, noise, out of scope.

use std::io::{Read, Write};
use std::net::TcpStream;

use harproxy::verdict::{CheckId, Severity};
use serde_json::json;

use super::stage::{Stage, foreign, found, globs, own, text};
use crate::support::client::{Proto, TestRequest};
use crate::support::origin::Origin;
use crate::support::raw::RawOrigin;

const API: &str = "https://api.test/**";

#[test]
fn request_in_scope_is_served_over_every_protocol() {
    let mut over_h2 = text("GET https://two.test/a", "two");
    over_h2["response"]["httpVersion"] = json!("HTTP/2");
    let har = own(&["**"], &[text("GET https://api.test/a", "tls"), text("GET http://api.test/a", "plain"), over_h2]);
    let stage = Stage::of(&har);
    for (proto, url, body) in [
        (Proto::H1, "https://api.test/a", "tls"),
        (Proto::H1, "http://api.test/a", "plain"),
        (Proto::H2, "http://api.test/a", "plain"),
        (Proto::H2, "https://two.test/a", "two"),
        (Proto::H1, "https://two.test/a", "two"),
    ] {
        let got = stage.client(proto).get(url);
        assert_eq!((got.status, got.text().as_str()), (200, body), "{proto:?} {url}");
        assert!(got.header("x-harproxy").unwrap().starts_with("replay; entry="), "{got:?}");
    }
    // The proxy offers HTTP/1.1 for entries of HTTP/1.1, but also serves clients that support only HTTP/2.
    assert_eq!(stage.client(Proto::H2).get("https://api.test/a").text(), "tls");
    let verdict = stage.verdict();
    assert_eq!((verdict.counts.served, verdict.counts.requests), (6, 6));
    assert_eq!(verdict.counts.upstream_connections, 0);
    assert!(verdict.passed(), "{:?}", verdict.findings);
}

#[test]
fn scope_is_the_recorded_one_unless_an_option_replaces_it() {
    let har = own(&[API, "!**/health"], &[text("GET https://api.test/a", "a")]);
    let mark = |stage: &Stage, url: &str| stage.h1().get(url).header("x-harproxy").unwrap().to_owned();
    let stage = Stage::of(&har);
    assert_eq!(mark(&stage, "https://api.test/b"), "miss");
    assert_eq!(mark(&stage, "https://api.test/health"), "out-of-scope");
    assert_eq!(mark(&stage, "https://other.test/"), "out-of-scope");
    let stage = Stage::with(&har, |plan| plan.answers.scope = globs(&["https://other.test/**"]));
    assert_eq!(mark(&stage, "https://other.test/"), "miss");
    assert_eq!(mark(&stage, "https://api.test/a"), "out-of-scope");
}

#[test]
fn scope_of_a_foreign_har_is_its_origins() {
    let stage = Stage::of(&foreign(&[text("GET https://api.test/a", "a")]));
    assert_eq!(stage.h1().get("https://api.test/b").header("x-harproxy"), Some("miss"));
    assert_eq!(stage.h1().get("http://api.test/a").header("x-harproxy"), Some("out-of-scope"));
}

#[test]
fn url_is_in_scope_if_any_fixture_accepts_it() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, har: serde_json::Value| std::fs::write(folder.path().join(name), har.to_string()).unwrap();
    write("a.har", own(&["https://a.test/**"], &[text("GET https://a.test/", "a")]));
    write("b.har", own(&["https://b.test/**"], &[text("GET https://b.test/", "b")]));
    let stage = Stage::in_folder(folder, |_| {});
    assert_eq!(stage.h1().get("https://a.test/").text(), "a");
    let got = stage.h1().get("https://b.test/");
    assert_eq!(got.text(), "b");
    assert!(got.header("x-harproxy").unwrap().ends_with("b.har#0"), "{got:?}");
    let verdict = stage.verdict();
    assert_eq!(verdict.fixtures.iter().map(|f| (f.entries, f.used)).collect::<Vec<_>>(), [(1, 1), (1, 1)]);
}

#[test]
fn local_requests_are_dialled_and_counted_but_are_not_traffic() {
    let origin = Origin::start();
    let stage = Stage::of(&own(&[API], &[text("GET https://api.test/a", "a")]));
    let plain = stage.h1().get(&format!("http://{}/api/text", origin.http));
    assert_eq!((plain.status, plain.header("x-harproxy")), (200, Some("local")));
    let by_name = stage.h1().get(&format!("http://app.localhost:{}/api/text", origin.http.port()));
    assert_eq!(by_name.text(), plain.text());
    let verdict = stage.verdict();
    assert_eq!((verdict.counts.local, verdict.counts.requests), (2, 2));
    assert!(verdict.counts.local_connections >= 1);
    assert_eq!(verdict.counts.upstream_connections, 0);
    assert_eq!(found(&verdict, CheckId::NO_TRAFFIC).len(), 1);
    assert!(!verdict.passed());
}

#[test]
fn tls_of_a_local_server_that_no_glob_can_match_is_tunnelled() {
    let origin = Origin::start();
    let stage = Stage::of(&own(&[API], &[text("GET https://api.test/a", "a")]));
    let mut client = stage.h1();
    client.ca = std::fs::read_to_string(crate::support::repo("certs/ca.pem")).unwrap();
    let got = client.get(&format!("https://localhost:{}/api/text", origin.https.port()));
    assert_eq!((got.status, got.header("x-harproxy")), (200, None), "untouched");
    let verdict = stage.verdict();
    assert_eq!((verdict.counts.local, verdict.counts.tunnels), (1, 1));
}

#[test]
fn tls_of_a_local_server_that_a_glob_could_match_is_intercepted() {
    let origin = Origin::start();
    let stage = Stage::of(&own(&["https://localhost:*/v1/**"], &[text("GET https://api.test/v1/a", "a")]));
    let got = stage.h1().get(&format!("https://localhost:{}/api/text", origin.https.port()));
    assert_eq!((got.status, got.header("x-harproxy")), (200, Some("local")));
    let got = stage.h1().get(&format!("https://localhost:{}/v1/text", origin.https.port()));
    assert_eq!(got.header("x-harproxy"), Some("miss"));
}

#[test]
fn local_websocket_is_passed_through() {
    let server = RawOrigin::start(|head, stream| {
        assert!(String::from_utf8_lossy(head).to_lowercase().contains("upgrade: websocket"));
        let _ =
            stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
        let mut received = [0; 4];
        stream.read_exact(&mut received).unwrap();
        stream.write_all(&received.map(|byte| byte.to_ascii_uppercase())).unwrap();
    });
    let stage = Stage::of(&own(&[API], &[text("GET https://api.test/a", "a")]));
    let mut tcp = TcpStream::connect(stage.addr()).unwrap();
    let request = format!(
        "GET http://{0}/ws HTTP/1.1\r\nHost: {0}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        server.addr
    );
    tcp.write_all(request.as_bytes()).unwrap();
    let head = String::from_utf8(crate::support::raw::read_head(&mut tcp)).unwrap().to_lowercase();
    assert!(head.starts_with("http/1.1 101"), "{head}");
    assert!(head.contains("x-harproxy: local"), "{head}");
    tcp.write_all(b"ping").unwrap();
    let mut answer = [0; 4];
    tcp.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"PING");
}

#[test]
fn local_server_that_is_down_gets_502_without_a_finding() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let stage = Stage::of(&own(&[API], &[text("GET https://api.test/a", "a")]));
    stage.h1().get("https://api.test/a");
    let got = stage.h1().get(&format!("http://{closed}/"));
    assert_eq!((got.status, got.header("x-harproxy")), (502, Some("local")));
    assert!(got.json()["detail"].as_str().unwrap().contains("is the server running?"), "{}", got.text());
    assert!(stage.verdict().passed());
}

#[test]
fn no_local_refuses_loopback_requests() {
    let origin = Origin::start();
    let stage = Stage::with(&own(&[API], &[text("GET https://api.test/a", "a")]), |plan| plan.local = false);
    let got = stage.h1().get(&format!("http://{}/api/text", origin.http));
    assert_eq!((got.status, got.header("x-harproxy")), (501, Some("out-of-scope")));
    let inside = stage.h1().get(&format!("https://localhost:{}/", origin.https.port()));
    assert_eq!((inside.status, inside.header("x-harproxy")), (501, Some("out-of-scope")));
    assert!(inside.text().contains("--no-local"), "{}", inside.text());
    let verdict = stage.verdict();
    assert_eq!((verdict.counts.local, verdict.counts.out_of_scope), (0, 2));
    assert_eq!(verdict.counts.upstream_connections, 0);
    assert!(!verdict.passed());
}

#[test]
fn noise_is_refused_and_counted_without_a_finding() {
    let stage = Stage::of(&own(&["**"], &[text("GET https://api.test/a", "a")]));
    stage.h1().get("https://api.test/a");
    let icon = stage.h1().get("https://api.test/favicon.ico");
    assert_eq!((icon.status, icon.header("x-harproxy")), (404, Some("noise")));
    let probe = stage.h1().get("http://detectportal.firefox.com/canonical.html");
    assert_eq!((probe.status, probe.header("x-harproxy")), (501, Some("noise")));
    let verdict = stage.verdict();
    assert_eq!(verdict.counts.noise, 2);
    assert!(verdict.findings.is_empty(), "{:?}", verdict.findings);
}

#[test]
fn recorded_noise_is_served() {
    let stage = Stage::of(&own(&["**"], &[text("GET https://api.test/favicon.ico", "an icon")]));
    assert_eq!(stage.h1().get("https://api.test/favicon.ico").text(), "an icon");
}

#[test]
fn request_out_of_scope_is_refused_inside_tls_and_fails_the_run() {
    let stage = Stage::of(&own(&[API], &[text("GET https://api.test/a", "a")]));
    stage.h1().get("https://api.test/a");
    let got = stage.h1().send(TestRequest::new("POST", "https://other.test/x").body("hello"));
    assert_eq!((got.status, got.header("x-harproxy")), (501, Some("out-of-scope")));
    assert_eq!(got.json()["scope"], json!([API]));
    let verdict = stage.verdict();
    let finding = found(&verdict, CheckId::OUT_OF_SCOPE)[0];
    assert_eq!(finding.at.request.as_deref(), Some("POST https://other.test/x"));
    assert_eq!(finding.severity, Severity::Error);
    assert!(!verdict.passed());
}

#[test]
fn subresource_out_of_scope_is_a_warning() {
    let stage = Stage::of(&own(&[API], &[text("GET https://api.test/a", "a")]));
    stage.h1().get("https://api.test/a");
    let ask = |dest: &str| TestRequest::new("GET", "https://fonts.test/x").header("sec-fetch-dest", dest);
    assert_eq!(stage.h1().send(ask("font")).status, 501);
    let verdict = stage.verdict();
    assert_eq!(found(&verdict, CheckId::OUT_OF_SCOPE)[0].severity, Severity::Warning);
    assert!(verdict.passed());
    let stage = Stage::of(&own(&[API], &[text("GET https://api.test/a", "a")]));
    stage.h1().send(ask("empty"));
    assert_eq!(
        found(&stage.verdict(), CheckId::OUT_OF_SCOPE)[0].severity,
        Severity::Error,
        "requested by the page's code"
    );
}

#[test]
fn refused_certificate_is_a_finding_with_the_glob_that_excludes_the_host() {
    let stage = Stage::of(&own(&["**/v1/**"], &[text("GET https://api.test/v1/a", "a")]));
    let mut distrusting = stage.h1();
    distrusting.ca = std::fs::read_to_string(crate::support::repo("certs/ca.pem")).unwrap();
    assert!(distrusting.try_send(TestRequest::new("GET", "https://pinned.test/v1/a")).is_err());
    stage.wait_for(|verdict| !found(verdict, CheckId::TLS_REFUSED).is_empty());
    let verdict = stage.verdict();
    let finding = found(&verdict, CheckId::TLS_REFUSED)[0];
    assert!(finding.text.contains("pinned.test"), "{finding:?}");
    assert!(finding.hint.as_deref().unwrap().contains("!https://pinned.test/**"), "{finding:?}");
}

#[test]
fn other_protocol_inside_connect_is_a_finding() {
    let stage = Stage::of(&own(&["**"], &[text("GET https://api.test/a", "a")]));
    let mut tcp = TcpStream::connect(stage.addr()).unwrap();
    tcp.write_all(b"CONNECT db.test:5432 HTTP/1.1\r\nHost: db.test:5432\r\n\r\n").unwrap();
    assert!(crate::support::raw::read_head(&mut tcp).starts_with(b"HTTP/1.1 200"));
    tcp.write_all(&[0, 0, 0, 8, 4, 210, 22, 47]).unwrap();
    let mut rest = Vec::new();
    let _ = tcp.read_to_end(&mut rest);
    assert!(rest.is_empty());
    let verdict = stage.verdict();
    assert!(found(&verdict, CheckId::UNREADABLE)[0].text.contains("db.test:5432"));
}
