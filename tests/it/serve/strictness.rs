//! Rules hide no miss, reach no server without permission, and fail a replay that they can't answer.

use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{API, entry, get, har, sandbox, send, serve, serve_with};
use crate::support::origin::{Origin, OriginResponse};
use crate::support::sandbox::{Output, Sandbox, Server};

/// Runs a replay in which curl requests these paths.
fn replay(sandbox: &Sandbox, options: &[&str], curls: &[&str]) -> Output {
    let script: String =
        curls.iter().map(|curl| format!("curl -sS -o /dev/null {}\n", curl.replace("API", API))).collect();
    let args = ["replay"].into_iter().chain(options.iter().copied());
    sandbox.run(args.chain(["--", "sh", "-ec", &script]))
}

/// The address of the only reverse port.
fn reverse_address(server: &Server) -> &str {
    server.ready()["urls"]["API_TEST"].as_str().unwrap().trim_start_matches("http://")
}

fn counting(count: &Arc<AtomicU64>, body: &'static str) -> Origin {
    let count = count.clone();
    Origin::answering(move |request| {
        count.fetch_add(1, Ordering::Relaxed);
        let key = request.headers.contains_key("x-api-key");
        Some(OriginResponse {
            status: 200,
            headers: vec![("content-type", "text/plain".to_owned()), ("x-had-key", key.to_string())],
            body: body.into(),
            ..OriginResponse::default()
        })
    })
}

#[test]
fn rule_without_a_source_does_not_hide_a_miss() {
    let sandbox = sandbox("[[route]]\nmatch = 'https://api.test/**'\nsource = ['fixture', 'none']\n");
    replay(&sandbox, &[], &["API/orders"]).expect(0);
    replay(&sandbox, &[], &["API/unknown"]).expect(1).says("miss");
    assert_eq!(get(&serve(&sandbox, &[]), "/unknown").status, 404);
    for sources in
        ["['fixture', 'local']", "['fixture', 'local', 'none']\nfallback-on = ['miss', 'connect']", "'local'"]
    {
        sandbox.write("harproxy.toml", format!("[[route]]\nmatch = 'https://api.test/**'\nsource = {sources}\n"));
        replay(&sandbox, &[], &["API/unknown"]).expect(1).says("rule-failed");
    }
}

#[test]
fn live_rule_of_a_replay_is_reported() {
    let sandbox = sandbox("[[route]]\nmatch = 'https://api.test/**'\nsource = ['fixture', 'live']\n");
    let count = Arc::default();
    let origin = counting(&count, "live");
    let mut options = vec!["--allow-live".to_owned()];
    options.extend(origin.args());
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    replay(&sandbox, &options, &["API/unknown"]).expect(0).says("as rule `1` says");
    let strict = [&options[..], &["--fail-on", "+passthrough"]].concat();
    replay(&sandbox, &strict, &["API/unknown"]).expect(1);
    replay(&sandbox, &strict, &["API/orders"]).expect(0);
    assert_eq!(count.load(Ordering::Relaxed), 2);
}

#[test]
fn answers_that_rules_cannot_give_fail_a_replay() {
    for (rule, said) in [
        ("respond = { example = 'of another path' }", "no entry fits"),
        ("patch = [{ op = 'replace', path = '$.zzz', value = 1 }]", "the patch does not fit the answer"),
        ("template = true\nrespond = { text = '{{ x.y }}' }", "the template fails"),
    ] {
        let sandbox = sandbox(&format!("[[route]]\nmatch = 'https://api.test/**'\n{rule}\n"));
        let elsewhere = entry("of another path", "GET", "/elsewhere", 200, "{}");
        sandbox.write("hars/api.har", har(&[entry("", "GET", "/orders", 200, r#"[{"id":1}]"#), elsewhere]));
        replay(&sandbox, &["--fail-on", "none"], &["API/orders"]).expect(1).says(said);
    }
}

#[test]
fn changes_without_an_effect_do_not_count() {
    let empty = ("-X DELETE", "DELETE", 204);
    let object = ("", "GET", 200);
    for (rule, (curl, method, status)) in [
        ("fault = 'reset'", empty),
        ("fault = 'truncate'", empty),
        ("fault = { kind = 'slow', rate = '1KiB/s' }", empty),
        ("patch = [{ op = 'add', path = '$.x', value = 1 }]", empty),
        ("fault = 'empty-set'", object),
        ("fault = 'reset'", ("-I", "HEAD", 200)),
    ] {
        let sandbox = sandbox(&format!("[[route]]\nmatch = 'https://api.test/**'\n{rule}\n"));
        let entries = [
            entry("", "DELETE", "/orders/1", 204, ""),
            entry("", "GET", "/orders/1", 200, "{}"),
            entry("", "HEAD", "/orders/1", 200, ""),
        ];
        sandbox.write("hars/api.har", har(&entries));
        let curl = format!("{curl} API/orders/1");
        replay(&sandbox, &[], &[&curl]).expect(0).says("applied to no request");
        replay(&sandbox, &["--fail-on", "+rule-unused"], &[&curl]).expect(1);
        let answer = send(&serve(&sandbox, &[]), method, "/orders/1", &[], "");
        assert_eq!(answer.status, status, "{rule}");
        assert!(!answer.header("x-harproxy").unwrap().contains("patched"), "{rule}");
    }
    // A status that announces a payload.
    let patch = "[{ op = 'status', value = 200 }, { op = 'add', path = '$.x', value = 1 }]";
    let sandbox = sandbox(&format!("[[route]]\nmatch = 'https://api.test/**'\npatch = {patch}\n"));
    sandbox.write("hars/api.har", har(&[entry("", "DELETE", "/orders/1", 204, "")]));
    replay(&sandbox, &[], &["-X DELETE API/orders/1"]).expect(1).says("the patch does not fit the answer");
}

#[test]
fn document_of_a_failed_live_request_is_not_patched() {
    let sandbox = sandbox(
        "[[route]]\nmatch = 'https://api.test/**'\nsource = 'live'\n\
         patch = [{ op = 'status', value = 200 }, { op = 'replace', path = '$.title', value = 'ok' }]\n",
    );
    // Nothing listens on the port of a listener that is gone.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let map = format!("api.test:443=127.0.0.1:{port}");
    let answer = get(&serve(&sandbox, &["--map", &map]), "/orders");
    assert_eq!((answer.status, answer.json()["title"].as_str()), (502, Some("upstream request failed")));
    replay(&sandbox, &["--allow-live", "--map", &map], &["API/orders"])
        .expect(1)
        .says("the source `live` of rule `1` did not answer")
        .says("check that api.test is up");
}

#[test]
fn control_headers_that_no_entry_fits_fail_a_replay() {
    let sandbox = sandbox("");
    for (header, said) in [
        ("x-mock-match-request-headers: user-agent", "a header differs"),
        ("x-mock-response-code: abc", "invalid control header"),
        ("x-mock-response-code: 500", "no entry fits"),
    ] {
        replay(&sandbox, &["--mock-headers"], &["API/orders", &format!("-H '{header}' API/orders")])
            .expect(1)
            .says(said);
    }
}

#[test]
fn client_that_leaves_during_its_payload_is_no_failure_of_a_rule() {
    let sandbox = sandbox(
        "[[route]]\nmatch = 'POST https://api.test/**'\nwhen = { body.'$.a' = 1 }\nrespond = { status = 418 }\n",
    );
    let server = serve(&sandbox, &["--reverse", API]);
    let mut stream = std::net::TcpStream::connect(reverse_address(&server)).unwrap();
    stream.write_all(b"POST /orders HTTP/1.1\r\nhost: localhost\r\ncontent-length: 15\r\n\r\n{\"it").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    // The connection is closed once the request has its outcome.
    stream.read_to_end(&mut Vec::new()).unwrap();
    let output = server.stop().says("unreadable");
    assert!(!output.stderr.contains("rule-failed"), "{output:?}");
}

#[test]
fn stalled_payload_ends_with_the_idle_timeout() {
    let sandbox = sandbox("[[expect]]\nmatch = 'POST **'\nbody = { '$.a' = 1 }\n");
    let server = serve(&sandbox, &["--idle-timeout", "1s", "--reverse", API]);
    // Expectations read that of POST, `serve` reads JSON for persisted queries, and matching reads any other.
    for (method, content_type) in [("POST", "text/plain"), ("PUT", "application/json"), ("PUT", "text/plain")] {
        let mut stream = std::net::TcpStream::connect(reverse_address(&server)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let fields = format!("host: localhost\r\ncontent-type: {content_type}\r\ncontent-length: 15\r\n");
        stream.write_all(format!("{method} /orders HTTP/1.1\r\n{fields}\r\n{{\"it").as_bytes()).unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).unwrap();
        assert_eq!(std::str::from_utf8(&status), Ok("HTTP/1.1 408"), "{method} {content_type}");
    }
}

#[test]
fn early_retry_gets_the_status_again_though_the_rule_names_the_first_request() {
    let sandbox = sandbox(
        "[[route]]\nmatch = 'https://api.test/**'\nwhen = { nth = 1 }\n\
         fault = { kind = 'status', status = 429, retry-after = '60s' }\n",
    );
    let server = serve(&sandbox, &[]);
    assert_eq!((get(&server, "/orders").status, get(&server, "/orders").status), (429, 429));
    replay(&sandbox, &["--fail-on", "+retry-too-early"], &["API/orders", "API/orders"]).expect(1);
    // The client counts from the answer, which comes after the delay.
    let delayed = "[[route]]\nmatch = 'https://api.test/**'\nwhen = { nth = 1 }\ndelay = '3s'\n\
                   fault = { kind = 'status', status = 503, retry-after = '3s' }\n";
    sandbox.write("harproxy.toml", delayed);
    replay(&sandbox, &["--fail-on", "+retry-too-early"], &["API/orders", "API/orders"]).expect(1);
}

#[test]
fn patterns_that_never_match_are_errors() {
    let sandbox = sandbox("");
    for (pattern, said) in [
        ("post https://api.test/x = never", "write methods in upper case, `POST`"),
        ("GET /orders = never", "as in `**/orders`"),
        ("GET !https://api.test/x = 0", "never matches"),
    ] {
        sandbox.run(["replay", "--expect", pattern, "--", "true"]).expect(2).says(said);
    }
}

#[test]
fn payload_of_an_expectation_is_decoded() {
    let sandbox = sandbox(
        "[[match]]\nbody = 'ignore'\n[[expect]]\nmatch = 'POST **'\ntimes = 'never'\nbody = { '$.role' = 'admin' }\n",
    );
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(br#"{"role":"admin"}"#).unwrap();
    let file = sandbox.write("payload.gz", gzip.finish().unwrap());
    let curl = format!("-H 'content-encoding: gzip' --data-binary @{} API/orders", file.display());
    replay(&sandbox, &[], &[&curl]).expect(1).says("never, and 1 request came");
}

#[test]
fn answers_without_a_payload_are_not_patched() {
    let mut order = entry("", "GET", "/orders/1", 200, r#"{"id":1}"#);
    order["response"]["headers"].as_array_mut().unwrap().push(serde_json::json!({ "name": "etag", "value": "\"a\"" }));
    let sandbox = Sandbox::new();
    sandbox.write("hars/api.har", har(&[order, entry("", "HEAD", "/orders/1", 200, "")]));
    sandbox.write(
        "harproxy.toml",
        "[[route]]\nmatch = 'https://api.test/**'\npatch = [{ op = 'replace', path = '$.id', value = 7 }]\n",
    );
    let server = serve(&sandbox, &[]);
    let patched = get(&server, "/orders/1");
    assert_eq!((patched.json()["id"].as_u64(), patched.header("etag")), (Some(7), None));
    assert_eq!(send(&server, "HEAD", "/orders/1", &[], "").status, 200);
}

#[test]
fn request_without_a_key_reaches_no_server() {
    let sandbox = sandbox("[[route]]\nmatch = 'https://api.test/**'\nsource = 'live'\n");
    let count = Arc::default();
    let origin = counting(&count, "live");
    let mut options = vec!["serve".to_owned(), "--api-key".to_owned(), "k3y".to_owned()];
    options.extend(["--passthrough".to_owned(), format!("{API}/pass/**")]);
    options.extend(origin.args());
    let server = sandbox.start(options);
    let preflight = [("origin", "https://app.test"), ("access-control-request-method", "DELETE")];
    for path in ["/orders", "/pass/1"] {
        assert_eq!(send(&server, "OPTIONS", path, &preflight, "").status, 204, "{path}");
        assert_eq!(send(&server, "OPTIONS", path, &preflight[1..], "").status, 401, "{path}: not a preflight");
        assert_eq!(get(&server, path).status, 401, "{path}");
    }
    assert_eq!(count.load(Ordering::Relaxed), 0);
    for path in ["/orders", "/pass/1"] {
        let answer = send(&server, "GET", path, &[("x-api-key", "k3y")], "");
        assert_eq!((answer.status, answer.header("x-had-key")), (200, Some("false")), "{path}");
    }
}

#[test]
fn skipped_live_source_still_falls_back() {
    let sandbox = sandbox(
        "[[route]]\nmatch = 'https://api.test/**'\nsource = ['live', 'fixture']\nfallback-on = ['connect', 'timeout']\n",
    );
    let count = Arc::default();
    let origin = counting(&count, "live");
    let server = serve_with(&sandbox, &origin);
    origin.stop();
    for request in 0..8 {
        assert_eq!(get(&server, "/orders/1").status, 200, "request {request}");
    }
}

#[test]
fn only_recorded_texts_are_templates() {
    let sandbox = sandbox("[[route]]\nmatch = 'https://api.test/**'\nsource = ['fixture', 'live']\ntemplate = true\n");
    let count = Arc::default();
    let origin = counting(&count, "{{ env('PATH') }}");
    let server = serve_with(&sandbox, &origin);
    assert_eq!(get(&server, "/braces").json()["text"], "GET");
    assert_eq!(get(&server, "/unknown").text(), "{{ env('PATH') }}");
}

#[test]
fn ids_of_state_do_not_overflow() {
    let sandbox =
        sandbox("[[route]]\nmatch = 'https://api.test/orders**'\nstate = { id = '$.id', path = '/orders/{id}' }\n");
    let server = serve(&sandbox, &[]);
    assert_eq!(send(&server, "POST", "/orders", &[], r#"{"id":18446744073709551615}"#).status, 201);
    assert_eq!(send(&server, "POST", "/orders", &[], "{}").status, 201);
    assert_eq!(send(&server, "POST", "/orders", &[], r#"{"id":"a/b"}"#).header("location"), Some("/orders/a%2Fb"));
}

#[test]
fn entry_that_answers_by_its_name_is_used() {
    let sandbox = Sandbox::new();
    sandbox.write("hars/api.har", har(&[entry("E1", "GET", "/a", 200, "{}"), entry("E2", "GET", "/a", 404, "{}")]));
    let options = ["--mock-headers", "--fail-on", "+unused"];
    replay(&sandbox, &options, &["API/a"]).expect(1).says("unused");
    replay(&sandbox, &options, &["API/a", "-H 'x-mock-response-name: E2' API/a"]).expect(0);
}

#[test]
fn credentials_of_a_rule_are_redacted_where_a_server_repeats_them() {
    let sandbox = sandbox(
        "[[route]]\nmatch = 'https://api.test/**'\nsource = 'live'\nheaders = { x-tenant = 'Bearer 1njected-value' }\n",
    );
    let origin = Origin::answering(|request| {
        let given = request.headers["x-tenant"].to_str().unwrap().to_owned();
        Some(OriginResponse {
            status: 200,
            headers: vec![("content-type", "text/plain".to_owned()), ("x-echo", given)],
            body: b"ok".to_vec(),
            ..OriginResponse::default()
        })
    });
    let mut options = vec!["--allow-live".to_owned(), "--report".to_owned(), "r.html".to_owned(), "-vv".to_owned()];
    options.extend(origin.args());
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let output = replay(&sandbox, &options, &["API/orders"]).expect(0);
    let report = sandbox.read("r.html");
    assert!(report.contains("x-echo"), "the header is in the report");
    for (place, text) in [("the report", &report), ("the log", &output.stderr)] {
        assert!(!text.contains("1njected-value"), "{place}");
    }
}
