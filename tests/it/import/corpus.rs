//! Each file of tests/corpus/import: the number of its exchanges, and of the parts that are not carried over.

use std::collections::BTreeSet;

use super::{HAR, corpus, entries, import, lost};
use crate::support::client::{Proto, TestRequest};
use crate::support::sandbox::Sandbox;

/// The file, its entries, and its lost parts.
const FILES: [(&str, u64, usize); 37] = [
    ("vcr/recorded.yml", 9, 0),
    ("vcrpy/domain_redirect.yaml", 2, 0),
    ("vcrpy/gzip_httpx_old_format.yaml", 1, 0),
    ("vcrpy/gzip_requests.yaml", 1, 0),
    ("vcrpy/new_cassette.json", 1, 0),
    ("vcrpy/old_cassette.yaml", 1, 0),
    ("vcrpy/test_tornado_with_decorator_use_cassette.yaml", 1, 0),
    ("betamax/GitHub_create_issue.json", 2, 0),
    ("betamax/global_preserve_exact_body_bytes.json", 1, 0),
    ("betamax/handles_digest_auth.json", 2, 0),
    ("betamax/replay_multiple_times.json", 3, 0),
    ("betamax/test-multiple-cookies-regression.json", 2, 0),
    ("mitmproxy/corrupted_gzip_body.mitm", 1, 0),
    ("mitmproxy/dumpfile-011.mitm", 0, 1),
    ("mitmproxy/dumpfile-018.mitm", 1, 0),
    ("mitmproxy/dumpfile-19.mitm", 1, 0),
    ("mitmproxy/dumpfile-7-websocket.mitm", 0, 6),
    ("mitmproxy/dumpfile-7.mitm", 2, 0),
    ("mitmproxy/error_log.mitm", 1, 1),
    ("mitmproxy/event_stream.mitm", 0, 2),
    ("mitmproxy/incomplete_log.mitm", 0, 4),
    ("mitmproxy/successful_log.mitm", 2, 0),
    ("postman/479.json", 1, 0),
    ("postman/echo-v2.postman_collection.json", 10, 15),
    ("postman/petstoreGenerated.json", 7, 1),
    ("nock/recorded.json", 8, 0),
    ("hoverfly/all-matchers-simulation.json", 0, 3),
    ("hoverfly/basic-delay-simulation.json", 0, 2),
    ("hoverfly/basic-encoded-simulation.json", 1, 0),
    ("hoverfly/basic-simulation.json", 1, 0),
    ("hoverfly/hoverfly.io.json", 2, 0),
    ("polly/jest-puppeteer.har", 5, 0),
    ("polly/node-fetch.har", 1, 0),
    ("wiremock/remoteloader/mappings/one.json", 1, 1),
    ("wiremock/remoteloader/mappings/two.json", 1, 2),
    ("wiremock/remoteloader/mappings/with-png-body-file.json", 1, 1),
    ("wiremock/classpath-filesource/mappings/test.json", 1, 0),
];

#[test]
fn real_recordings_are_imported_and_pass_the_check() {
    for (name, count, lost_count) in FILES {
        let sandbox = Sandbox::new();
        let path = corpus(name).display().to_string();
        let status = i32::from(lost_count > 0);
        let (object, _) = import(&sandbox, &[&path, "--base-url", "https://api.test"], status);
        assert_eq!((object["entries"].as_u64(), lost(&object).len()), (Some(count), lost_count), "{name}: {object}");
        assert!(lost(&object).iter().all(|(line, _)| *line > 0 || name.starts_with("mitmproxy")), "{object}");
        if count > 0 {
            sandbox.run(["fmt", "--check", HAR]).expect(0);
            sandbox.run(["check", HAR]).expect(0);
        }
    }
}

#[test]
fn imported_answers_are_served() {
    for (source, url, status, content_type, begin) in [
        ("vcrpy/gzip_requests.yaml", "https://httpbin.org/gzip", 200, "application/json", "{"),
        ("vcr/recorded.yml", "http://127.0.0.1:39421/gzip", 200, "application/json", "{\"packed\": true}"),
        ("mitmproxy/dumpfile-7.mitm", "http://example.com/", 200, "text/html; charset=UTF-8", "<!doctype html>"),
        ("wiremock/remoteloader", "https://api.test/text-file", 200, "", "Some text"),
        (
            "hoverfly/basic-encoded-simulation.json",
            "http://docs.hoverfly.io/pages/keyconcepts/templates.html?query=true",
            200,
            "",
            "base64 encoded",
        ),
        (
            "polly/node-fetch.har",
            "https://jsonplaceholder.typicode.com/posts/1",
            200,
            "application/json; charset=utf-8",
            "{",
        ),
    ] {
        let sandbox = Sandbox::new();
        let path = corpus(source).display().to_string();
        sandbox.run(["import", &path, "--base-url", "https://api.test"]);
        let server = sandbox.start(["replay", HAR]);
        let got = server.client(Proto::H1).send(TestRequest::new("GET", url));
        assert_eq!((got.status, got.header("content-type").unwrap_or_default()), (status, content_type), "{source}");
        assert!(got.text().starts_with(begin), "{source}: {}", got.text());
        server.stop().expect(0);
    }
}

#[test]
fn binary_and_text_payloads_keep_their_bytes() {
    let sandbox = Sandbox::new();
    import(&sandbox, &[&corpus("nock/recorded.json").display().to_string()], 0);
    let server = sandbox.start(["replay", HAR]);
    let url = |path: &str| {
        let urls = entries(&sandbox);
        let urls = urls.iter().map(|entry| entry["request"]["url"].as_str().unwrap().to_owned());
        urls.into_iter().find(|url| url.ends_with(path)).unwrap()
    };
    let client = server.client(Proto::H1);
    let all: Vec<u8> = (0..=255).collect();
    assert_eq!(client.get(&url("/binary")).body, all);
    assert_eq!(client.get(&url("/latin1")).body, b"Z\xfcrich");
    // The answers of equal requests come in their order.
    let counts: Vec<String> = (0..2).map(|_| client.get(&url("/counter")).text()).collect();
    assert_eq!(counts.iter().collect::<BTreeSet<_>>().len(), 2, "{counts:?}");
    server.stop().expect(0);
}

#[test]
fn secrets_of_recordings_are_redacted_before_they_are_written() {
    let sandbox = Sandbox::new();
    let secret = format!("6rbAz1cGq0vXk2mN{}", "x9y8z7");
    let cassette = format!(
        "interactions:\n- request:\n    body: '{{\"password\": \"hunter2-{secret}\"}}'\n    headers:\n      Authorization:\n      - Bearer {secret}\n      Content-Type: [application/json]\n    method: POST\n    uri: https://api.test/login?api_key={secret}\n  response:\n    body:\n      string: '{{\"access_token\": \"{secret}\"}}'\n    headers:\n      Content-Type: [application/json]\n      Set-Cookie: [\"sid={secret}; Path=/\"]\n    status: {{code: 200, message: OK}}\nversion: 1\n"
    );
    sandbox.write("cassette.yaml", cassette);
    let (object, _) = import(&sandbox, &["cassette.yaml"], 0);
    assert!(object["redacted"].as_u64().unwrap() >= 2, "{object}");
    let payloads = std::fs::read_dir(sandbox.join("hars/imported")).unwrap().map(|file| file.unwrap().path());
    for file in payloads.chain([sandbox.join(HAR)]) {
        assert!(!std::fs::read_to_string(&file).unwrap().contains(&secret), "{}", file.display());
    }
    let server = sandbox.start(["replay", HAR]);
    let request = TestRequest::new("POST", "https://api.test/login?api_key=another-key-0123456789")
        .header("content-type", "application/json")
        .body(r#"{"password": "x"}"#);
    let got = server.client(Proto::H1).send(request);
    assert_eq!(got.status, 200, "{}", got.text());
    server.stop().expect(0);
}

#[test]
fn cassettes_of_pytest_belong_to_its_tests() {
    let sandbox = Sandbox::new();
    let cassette = sandbox_cassette("https://api.test/pay");
    sandbox.write("tests/test_shop.py", "");
    sandbox.write("tests/cassettes/test_shop/test_pay.yaml", &cassette);
    sandbox.write("tests/cassettes/test_shop/TestCart.test_add.yaml", &cassette);
    sandbox.write("tests/cassettes/other/test_x.yaml", &cassette);
    sandbox.write("tests/cassettes/notes.json", "{}");
    let (object, _) = import(&sandbox, &["tests/cassettes"], 0);
    assert_eq!((&object["files"], object["skipped"].as_array().unwrap().len()), (&3.into(), 1));
    let sessions: Vec<_> =
        entries(&sandbox).iter().map(|entry| entry["_harproxy"]["session"].as_str().unwrap().to_owned()).collect();
    assert_eq!(
        sessions,
        ["tests/cassettes/other/test_x", "tests/test_shop.py::TestCart::test_add", "tests/test_shop.py::test_pay"]
    );
}

/// A cassette with one interaction.
pub(super) fn sandbox_cassette(url: &str) -> String {
    format!(
        "interactions:\n- request: {{body: null, headers: {{}}, method: GET, uri: '{url}'}}\n  response:\n    body: {{string: hello}}\n    headers: {{Content-Type: [text/plain]}}\n    status: {{code: 200, message: OK}}\nversion: 1\n"
    )
}
