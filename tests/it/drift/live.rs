//! A live server: which requests are sent, with which headers, and answers that can't be compared.

use std::sync::{Arc, Mutex};

use super::{API, OriginResponse, ask, entry, field, fields, get, har, json_response, report_of, server};
use crate::support::origin::Origin;
use crate::support::sandbox::Sandbox;

/// The requests that a server got: method, path and the `authorization` header.
type Seen = Arc<Mutex<Vec<(String, String, Option<String>)>>>;

fn recording_server(answer: impl Fn(&str) -> OriginResponse + Send + Sync + 'static) -> (Origin, Seen) {
    let seen = Seen::default();
    let log = seen.clone();
    let origin = server(move |request| {
        let authorization = request.headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
        log.lock().unwrap().push((request.method.clone(), request.path.clone(), authorization));
        answer(&request.path)
    });
    (origin, seen)
}

fn sandbox_with(entries: &[serde_json::Value]) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("hars/api.har", har(entries));
    sandbox
}

#[test]
fn one_request_is_sent_for_each_endpoint_and_no_recorded_credential() {
    let sandbox = sandbox_with(&[get("/users/1", "{}"), get("/users/2", "{}"), get("/shops?p=1", "{}")]);
    let (origin, seen) = recording_server(|_| json_response("{}"));
    let report = report_of(&ask(&sandbox, &origin, &[]).expect(0));
    assert_eq!(report["score"]["mean"], 100);
    let mut seen = seen.lock().unwrap().clone();
    seen.sort();
    assert_eq!(seen, [("GET".into(), "/shops?p=1".into(), None), ("GET".into(), "/users/1".into(), None)]);
}

#[test]
fn methods_that_can_change_data_are_sent_only_if_allowed() {
    let sandbox = sandbox_with(&[get("/users", "{}"), entry("POST", "/search", 200, &[], "{}")]);
    let (origin, seen) = recording_server(|_| json_response("{}"));
    let methods =
        || std::mem::take(&mut *seen.lock().unwrap()).into_iter().map(|(method, ..)| method).collect::<Vec<_>>();
    let report = report_of(&ask(&sandbox, &origin, &[]).expect(0));
    assert_eq!(methods(), ["GET"]);
    assert_eq!(report["skipped"][0]["endpoint"], "POST https://api.test/search");
    ask(&sandbox, &origin, &["--include-unsafe", "--concurrency", "1"]).expect(0);
    assert_eq!(methods(), ["GET", "POST"]);
    sandbox.write("harproxy.toml", "[drift]\nallow-unsafe = ['POST https://api.test/search']\nconcurrency = 1\n");
    ask(&sandbox, &origin, &[]).expect(0);
    assert_eq!(methods(), ["GET", "POST"]);
}

#[test]
fn only_unsafe_methods_are_not_in_sync() {
    let sandbox = sandbox_with(&[entry("POST", "/orders", 201, &[], "{}")]);
    let (origin, seen) = recording_server(|_| json_response("{}"));
    let output = ask(&sandbox, &origin, &[]).expect(4);
    assert_eq!(report_of(&output)["result"], "not-compared");
    assert!(seen.lock().unwrap().is_empty());
}

#[test]
fn credentials_come_from_the_environment() {
    let sandbox = sandbox_with(&[get("/users", "{}")]);
    sandbox.write("harproxy.toml", "[drift.headers]\nauthorization = 'env:API_TOKEN'\n");
    let (origin, seen) = recording_server(|_| json_response("{}"));
    ask(&sandbox, &origin, &[]).expect(2).says("`API_TOKEN` is not set");
    let mut command = sandbox.command(["drift"].into_iter().map(str::to_owned).chain(origin.args()));
    let output = crate::support::sandbox::finish(command.env("API_TOKEN", "Bearer t0ps3cret").output().unwrap());
    let output = output.expect(0);
    assert_eq!(seen.lock().unwrap()[0].2.as_deref(), Some("Bearer t0ps3cret"));
    assert!(!format!("{output:?}").contains("t0ps3cret"));
}

#[test]
fn login_captures_a_token() {
    let login = entry("POST", "/login", 200, &[], r#"{"access_token":"REDACTED-access_token-1"}"#);
    let sandbox = sandbox_with(&[login, get("/users", "{}")]);
    sandbox.write(
        "harproxy.toml",
        "[drift]\nheaders = { authorization = 'Bearer {token}' }\n\
         [drift.login]\nsend = 'POST https://api.test/login'\ncapture = { token = '$.access_token' }\n",
    );
    let (origin, seen) = recording_server(|path| match path {
        "/login" => json_response(r#"{"access_token":"t1"}"#),
        _ => json_response("{}"),
    });
    ask(&sandbox, &origin, &[]).expect(0);
    assert_eq!(seen.lock().unwrap().last().unwrap().2.as_deref(), Some("Bearer t1"));

    let refusing = server(|_| OriginResponse { status: 401, ..OriginResponse::default() });
    let report = report_of(&ask(&sandbox, &refusing, &[]).expect(5));
    assert_eq!(fields(&report), [field("status", "not_authorized", "critical")]);
}

#[test]
fn refused_credentials_are_inconclusive() {
    for status in [401, 403] {
        let sandbox = sandbox_with(&[get("/users", "{}")]);
        let origin = server(move |_| OriginResponse { status, ..OriginResponse::default() });
        let report = report_of(&ask(&sandbox, &origin, &[]).expect(5));
        assert_eq!((&report["result"], &report["endpoints"][0]["driftScore"]), (&"inconclusive".into(), &().into()));
        assert!(report["endpoints"][0]["fields"][0]["suggestion"].as_str().unwrap().contains("[drift]"));
    }
}

#[test]
fn recorded_refusal_is_compared() {
    let sandbox = sandbox_with(&[entry("GET", "/private", 401, &[], r#"{"error":"no"}"#)]);
    let origin = server(|_| OriginResponse { status: 401, ..json_response(r#"{"error":"other"}"#) });
    assert_eq!(fields(&report_of(&ask(&sandbox, &origin, &[]).expect(0))), []);
}

#[test]
fn production_without_a_usable_answer_is_not_compared() {
    let sandbox = sandbox_with(&[get("/users", r#"{"a":1}"#)]);
    let html = || OriginResponse { headers: vec![("content-type", "text/html".into())], ..json_response("<html>") };
    let cases: [(OriginResponse, &str); 6] = [
        (OriginResponse { status: 503, ..json_response("{}") }, "production answers 503"),
        (html(), "`text/html` where JSON was recorded"),
        (json_response("{\"a\":"), "not valid JSON"),
        (json_response(""), "no payload where one was recorded"),
        (json_response(&["[".repeat(1000), "]".repeat(1000)].concat()), "nested deeper than 128 levels"),
        (
            OriginResponse { status: 429, headers: vec![("retry-after", "3600".into())], ..OriginResponse::default() },
            "asks to wait 3600 s",
        ),
    ];
    for (response, reason) in cases {
        let origin = server(move |_| response.clone());
        let report = report_of(&ask(&sandbox, &origin, &[]).expect(4));
        let finding = &report["endpoints"][0]["fields"][0];
        assert_eq!(finding["issue"], "not_compared");
        assert!(finding["text"].as_str().unwrap().contains(reason), "{reason}: {finding}");
        assert_eq!(report["result"], "not-compared");
    }
}

#[test]
fn unreachable_production_is_not_compared() {
    let sandbox = sandbox_with(&[get("/users", "{}")]);
    let origin = server(|_| json_response("{}"));
    let map = format!("api.test:443={}", origin.https);
    // The certificate of the test CA is unknown.
    let untrusted = sandbox.run(["drift", "--json", "--map", &map]).expect(4);
    assert!(untrusted.stdout.contains("TLS with"), "{untrusted:?}");
    origin.stop();
    let refused = sandbox.run(["drift", "--json", "--map", &map]).expect(4);
    assert!(refused.stdout.contains("connecting to https://api.test"), "{refused:?}");
    let unknown = sandbox.run(["drift", "--json", "--upstream-proxy", "none"]).expect(4);
    assert!(unknown.stdout.contains("resolving api.test"), "{unknown:?}");
}

#[test]
fn slow_production_is_not_compared() {
    let silent = crate::support::raw::RawOrigin::silent();
    let sandbox = sandbox_with(&[get("/users", "{}")]);
    let base = format!("http://{}", silent.addr);
    let output = sandbox.run(super::args(&["--base-url", &base, "--timeout", "200ms"])).expect(4);
    assert!(output.stdout.contains("no complete answer within 200ms"), "{output:?}");
}

#[test]
fn rate_limit_of_a_host_is_honoured() {
    let sandbox = sandbox_with(&[get("/users", "{}")]);
    let count = Arc::new(Mutex::new(0));
    let origin = server(move |_| {
        let mut count = count.lock().unwrap();
        *count += 1;
        match *count {
            1 => {
                OriginResponse { status: 429, headers: vec![("retry-after", "0".into())], ..OriginResponse::default() }
            }
            _ => json_response("{}"),
        }
    });
    ask(&sandbox, &origin, &[]).expect(0);
}

#[test]
fn redirects_are_not_followed() {
    let sandbox = sandbox_with(&[get("/users", "{}")]);
    let (elsewhere, seen) = recording_server(|_| json_response("{}"));
    let target = format!("http://{}/stolen", elsewhere.http);
    let origin = server(move |_| OriginResponse {
        status: 302,
        headers: vec![("location", target.clone())],
        ..OriginResponse::default()
    });
    let report = report_of(&ask(&sandbox, &origin, &["-H", "authorization: Bearer x"]).expect(1));
    assert_eq!(fields(&report), [field("status", "status_class_changed", "critical")]);
    assert!(seen.lock().unwrap().is_empty());
}

#[test]
fn credentials_are_not_sent_to_hosts_that_did_not_get_them() {
    let mut other = get("/data", "{}");
    other["request"]["url"] = "https://app.test/data".into();
    other["request"]["headers"] = serde_json::json!([]);
    let sandbox = sandbox_with(&[get("/users", "{}"), other]);
    let (origin, seen) = recording_server(|_| json_response("{}"));
    let app = format!("app.test:443={}", origin.https);
    ask(&sandbox, &origin, &["--map", &app, "-H", "authorization: Bearer x"]).expect(0);
    let mut seen = seen.lock().unwrap().clone();
    seen.sort();
    assert_eq!(seen, [("GET".into(), "/data".into(), None), ("GET".into(), "/users".into(), Some("Bearer x".into()))]);
}

#[test]
fn credential_for_several_hosts_needs_an_origin() {
    let mut other = get("/data", "{}");
    other["request"]["url"] = "https://app.test/data".into();
    let sandbox = sandbox_with(&[get("/users", "{}"), other]);
    let (origin, seen) = recording_server(|_| json_response("{}"));
    let app = format!("app.test:443={}", origin.https);
    let refused = ask(&sandbox, &origin, &["--map", &app, "-H", "authorization: Bearer x"]).expect(2);
    let refused = refused.says("`authorization` could be meant for https://api.test, https://app.test");
    assert!(refused.stderr.contains("[drift.headers.\"https://api.test\"]") && seen.lock().unwrap().is_empty());
    sandbox.write("harproxy.toml", "[drift.headers.'https://api.test']\nauthorization = 'Bearer y'\n");
    ask(&sandbox, &origin, &["--map", &app]).expect(0);
    let mut seen = seen.lock().unwrap().clone();
    seen.sort();
    assert_eq!(seen, [("GET".into(), "/data".into(), None), ("GET".into(), "/users".into(), Some("Bearer y".into()))]);
}

#[test]
fn login_of_another_host_does_not_go_to_the_base_url() {
    let mut login = entry("POST", "/token", 200, &[], r#"{"token":"x"}"#);
    login["request"]["url"] = "https://app.test/token".into();
    let sandbox = sandbox_with(&[login, get("/users", "{}")]);
    sandbox.write("harproxy.toml", "[drift.login]\nsend = 'POST https://app.test/token'\n");
    let (auth, logins) = recording_server(|_| json_response("{}"));
    let (staging, seen) = recording_server(|_| json_response("{}"));
    let (map, base) = (format!("app.test:443={}", auth.https), format!("http://{}", staging.http));
    ask(&sandbox, &auth, &["--map", &map, "--base-url", &base]).expect(0);
    assert_eq!((logins.lock().unwrap()[0].1.as_str(), seen.lock().unwrap()[0].1.as_str()), ("/token", "/users"));
}

#[test]
fn recorded_credentials_of_other_tools_are_not_sent() {
    let (origin, seen) = recording_server(|_| json_response("{}"));
    let mut override_method = get("/users", "{}");
    override_method["request"]["headers"] =
        serde_json::json!([{ "name": "X-HTTP-Method-Override", "value": "DELETE" }]);
    for (entry, reason) in [
        (get("/users?api_key=9f8e7d6c5b4a39281706", "{}"), "has a recorded credential"),
        (override_method, "names another method"),
    ] {
        let output = ask(&sandbox_with(&[entry]), &origin, &[]).expect(4);
        assert!(output.stdout.contains(reason) && !output.stdout.contains("9f8e7d"), "{output:?}");
    }
    assert!(seen.lock().unwrap().is_empty());
}

#[test]
fn live_secrets_are_not_shown() {
    let sandbox = sandbox_with(&[get("/users", r#"{"password":"REDACTED-password-1","version":1,"pin":"a"}"#)]);
    let origin = server(|_| json_response(r#"{"password":"l1ve-s3cret","version":2,"pin":"b"}"#));
    let output = ask(&sandbox, &origin, &["--values", "$.password", "--values", "$.version"]).expect(1);
    assert_eq!(fields(&report_of(&output)), [field("$.version", "value_changed", "critical")]);
    assert!(!output.stdout.contains("l1ve-s3cret"), "{output:?}");
}

#[test]
fn files_that_send_credentials_are_announced() {
    let sandbox = sandbox_with(&[get("/users", "{}")]);
    sandbox.write(
        "harproxy.toml",
        "[drift]\nallow-unsafe = ['POST **/x']\n[drift.headers]\nx-key = 'secret-of-the-file'\n",
    );
    let origin = server(|_| json_response("{}"));
    let output = ask(&sandbox, &origin, &[]).expect(0).says("from harproxy.toml:");
    assert!(output.stderr.contains("allow-unsafe") && output.stderr.contains("x-key"), "{output:?}");
    assert!(!output.stderr.contains("secret-of-the-file"), "{output:?}");
    let config = sandbox.run(["config", "drift"]).expect(0);
    assert!(!config.stdout.contains("secret-of-the-file"), "{config:?}");
}

#[test]
fn base_url_stands_for_one_origin() {
    let sandbox = sandbox_with(&[get("/users?q=1", "{}")]);
    let (origin, seen) = recording_server(|_| json_response("{}"));
    let base = format!("http://{}/v2", origin.http);
    sandbox.run(super::args(&["--base-url", &base])).expect(0);
    assert_eq!(seen.lock().unwrap()[0].1, "/v2/users?q=1");
    let mut other = get("/data", "{}");
    other["request"]["url"] = "https://app.test/data".into();
    sandbox.write("hars/other.har", har(&[other]));
    sandbox.run(super::args(&["--base-url", &base])).expect(2).says("stands for one origin");
    sandbox.run(super::args(&["--base-url", &base, "-g", &format!("{API}/**")])).expect(0);
}

#[test]
fn redacted_url_is_sent_only_with_its_value() {
    let sandbox = sandbox_with(&[get("/users?key=REDACTED-key-1", "{}")]);
    let (origin, seen) = recording_server(|_| json_response("{}"));
    let report = report_of(&ask(&sandbox, &origin, &[]).expect(4));
    let text = report["endpoints"][0]["fields"][0]["text"].as_str().unwrap();
    assert!(text.contains("REDACTED-key-1") && text.contains("[redact.values]"), "{text}");
    assert!(seen.lock().unwrap().is_empty());
    sandbox.write("harproxy.toml", "[redact.values]\nkey-1 = 'v4lu3-of-the-key'\n");
    let output = ask(&sandbox, &origin, &[]).expect(0);
    assert_eq!(seen.lock().unwrap()[0].1, "/users?key=v4lu3-of-the-key");
    assert!(!output.stdout.contains("v4lu3"), "{output:?}");
}

#[test]
fn coded_answers_are_decoded_and_ten_megabytes_are_compared() {
    let items = |n: usize| format!("[{}]", vec![r#"{"id":1,"name":"0123456789"}"#; n].join(","));
    let sandbox = sandbox_with(&[get("/users", &items(2))]);
    let body = crate::support::origin::brotli(items(400_000).as_bytes());
    let origin = server(move |_| OriginResponse {
        headers: vec![("content-type", "application/json".into()), ("content-encoding", "br".into())],
        body: body.clone(),
        ..json_response("")
    });
    assert_eq!(fields(&report_of(&ask(&sandbox, &origin, &[]).expect(0))), []);
}
