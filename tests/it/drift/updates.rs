//! `--update`: fixtures follow production.

use std::path::Path;

use serde_json::Value;

use super::{API, OriginResponse, ask, fields, get, har, json_response, report_of, server};
use crate::support::client::{Proto, TestRequest};
use crate::support::origin::Origin;
use crate::support::sandbox::Sandbox;

/// Records `path` from a server that answers with this payload.
fn recorded(sandbox: &Sandbox, path: &str, body: &'static str) {
    let origin = server(move |_| json_response(body));
    let recording = sandbox.record(&origin);
    let client = recording.client(Proto::H1);
    client.send(TestRequest::new("GET", &format!("{API}{path}")).header("authorization", "Bearer s3cret-of-mine-1"));
    recording.stop();
}

fn files(sandbox: &Sandbox) -> Vec<(String, Vec<u8>)> {
    fn walk(folder: &Path, found: &mut Vec<(String, Vec<u8>)>) {
        for item in std::fs::read_dir(folder).unwrap().flatten() {
            match item.path().is_dir() {
                true => walk(&item.path(), found),
                false => found.push((item.path().display().to_string(), std::fs::read(item.path()).unwrap())),
            }
        }
    }
    let mut found = Vec::new();
    walk(&sandbox.join("hars"), &mut found);
    found.sort();
    found
}

fn stored_payload(sandbox: &Sandbox) -> String {
    let har = sandbox.har("hars/api.har");
    let content = &har["log"]["entries"][0]["response"]["content"];
    match content["_file"].as_str() {
        Some(file) => sandbox.read(&format!("hars/{file}")),
        None => content["text"].as_str().unwrap().to_owned(),
    }
}

#[test]
fn non_breaking_update_adds_fields_without_secrets_and_then_finds_nothing() {
    let sandbox = Sandbox::new();
    recorded(&sandbox, "/users", r#"{"items":[{"id":1,"total":7.0}],"n":1}"#);
    let live = r#"{"items":[{"id":1,"total":9,"access_token":"t0k3n-Zq8Jw2","role":"admin"}],"n":2,"v":[1]}"#;
    let origin = server(move |_| json_response(live));
    let output = ask(&sandbox, &origin, &["--update=non-breaking"]).expect(0);
    assert_eq!(fields(&report_of(&output)).len(), 4, "{output:?}");
    assert!(output.stderr.contains("hars/api.har: 1 entry updated; 1 value redacted"), "{output:?}");
    let payload = stored_payload(&sandbox);
    let value: Value = serde_json::from_str(&payload).unwrap();
    let expected =
        r#"{"items":[{"id":1,"total":7.0,"access_token":"REDACTED-access_token-1","role":"admin"}],"n":1,"v":[1]}"#;
    assert_eq!(value, serde_json::from_str::<Value>(expected).unwrap());
    assert!(payload.contains("7.0"), "numbers keep their spelling: {payload}");
    let after = files(&sandbox);
    let again = ask(&sandbox, &origin, &["--update=non-breaking"]).expect(0);
    assert!(again.stderr.contains("no fixture was changed"), "{again:?}");
    assert_eq!(files(&sandbox), after, "a second update changes nothing");
    let left: Vec<_> = fields(&report_of(&again)).into_iter().map(|(path, issue, _)| (path, issue)).collect();
    assert_eq!(left, [("$.items[0].total".to_owned(), "type_changed".to_owned())]);
    sandbox.run(["check", "hars/api.har"]).expect(0);
    sandbox.run(["fmt", "--check", "hars/api.har"]).expect(0);
}

#[test]
fn non_breaking_update_never_removes_or_retypes() {
    let sandbox = Sandbox::new();
    recorded(&sandbox, "/users", r#"{"gone":1,"a":{"b":1},"list":[]}"#);
    let origin = server(|_| json_response(r#"{"a":"x","list":[{"c":1}]}"#));
    let before = files(&sandbox);
    ask(&sandbox, &origin, &["--update=non-breaking"]).expect(1).says("no fixture was changed");
    assert_eq!(files(&sandbox), before);
}

#[test]
fn suppressed_fields_are_not_added() {
    let sandbox = Sandbox::new();
    recorded(&sandbox, "/users", r#"{"a":1}"#);
    sandbox.write("harproxy.toml", "[[drift.suppress]]\npath = '$.b'\nreason = 'internal'\n");
    let origin = server(|_| json_response(r#"{"a":1,"b":2,"c":3}"#));
    ask(&sandbox, &origin, &["--update=non-breaking"]).expect(0);
    let value: Value = serde_json::from_str(&stored_payload(&sandbox)).unwrap();
    assert_eq!(value, serde_json::json!({ "a": 1, "c": 3 }));
}

#[test]
fn full_update_records_drifted_entries_again() {
    let sandbox = Sandbox::new();
    recorded(&sandbox, "/users", r#"{"a":1}"#);
    let origin = server(|_| OriginResponse {
        status: 201,
        headers: vec![("content-type", "application/json".into()), ("x-new", "1".into())],
        ..json_response(r#"{"a":"1","password":"hunter2-secret"}"#)
    });
    ask(&sandbox, &origin, &["--update=all"]).expect(1);
    let har = sandbox.har("hars/api.har");
    let response = &har["log"]["entries"][0]["response"];
    assert_eq!(response["status"], 201);
    assert!(response["headers"].to_string().contains("x-new"), "{response}");
    let value: Value = serde_json::from_str(&stored_payload(&sandbox)).unwrap();
    assert_eq!(value, serde_json::json!({ "a": "1", "password": "REDACTED-password-1" }));
    let report = report_of(&ask(&sandbox, &origin, &["--update=all"]).expect(0));
    assert_eq!(fields(&report), []);
    sandbox.run(["check", "hars/api.har"]).expect(0);
}

#[test]
fn full_update_keeps_entries_whose_answer_is_of_another_kind() {
    let sandbox = Sandbox::new();
    let entries: Vec<Value> = (1..=3).map(|n| get(&format!("/users/{n}"), r#"{"a":1}"#)).collect();
    sandbox.write("hars/api.har", har(&entries));
    let origin = server(|request| match request.path.as_str() {
        "/users/1" => json_response(r#"{"a":"1"}"#),
        "/users/2" => OriginResponse { status: 404, ..json_response("{}") },
        _ => OriginResponse { headers: vec![("content-type", "text/html".into())], ..json_response("<p>Sign in</p>") },
    });
    let output = ask(&sandbox, &origin, &["--update=all"]).expect(1).says("1 entry updated");
    assert!(output.stderr.contains("hars/api.har#1 is not updated: the status is 404, not 200"), "{output:?}");
    assert!(output.stderr.contains("hars/api.har#2 is not updated: production sends `text/html`"), "{output:?}");
    let texts: Vec<Value> = sandbox.har("hars/api.har")["log"]["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| serde_json::from_str(entry["response"]["content"]["text"].as_str().unwrap()).unwrap())
        .collect();
    assert_eq!(texts, [serde_json::json!({ "a": "1" }), serde_json::json!({ "a": 1 }), serde_json::json!({ "a": 1 })]);
}

#[test]
fn credentials_of_the_run_are_not_written() {
    let sandbox = Sandbox::new();
    sandbox.write("hars/api.har", har(&[get("/users", r#"{"a":1}"#)]));
    let origin = server(|request| {
        let sent = request.headers["x-tenant"].to_str().unwrap().to_owned();
        json_response(&serde_json::json!({ "a": 1, "echo": sent }).to_string())
    });
    ask(&sandbox, &origin, &["-H", "x-tenant: hunter2-of-the-tenant", "--update=non-breaking"]).expect(0);
    assert!(!sandbox.read("hars/api.har").contains("hunter2"), "{}", sandbox.read("hars/api.har"));
}

#[test]
fn nothing_is_updated_if_a_fixture_is_foreign() {
    let sandbox = Sandbox::new();
    sandbox.write("hars/a.har", har(&[get("/users", r#"{"a":1}"#)]));
    let mut foreign: Value = serde_json::from_str(&har(&[get("/shops", r#"{"a":1}"#)])).unwrap();
    foreign["log"].as_object_mut().unwrap().shift_remove("_harproxy");
    sandbox.write("hars/b.har", foreign.to_string());
    let before = files(&sandbox);
    let origin = server(|_| json_response(r#"{"a":1,"b":2}"#));
    ask(&sandbox, &origin, &["--update=non-breaking"]).expect(2).says("hars/b.har was not recorded by harproxy");
    assert_eq!(files(&sandbox), before);
}

#[test]
fn archives_and_embedded_payloads_are_updated() {
    let origin = server(|_| json_response(r#"{"a":1,"b":2}"#));
    let ask_for = |sandbox: &Sandbox, origin: &Origin, file: &str| {
        ask(sandbox, origin, &[file, "--update=non-breaking"]).expect(0).says("1 entry updated");
        let again = ask(sandbox, origin, &[file]).expect(0);
        assert_eq!(fields(&report_of(&again)), [], "{file}");
    };
    let archive = Sandbox::new();
    recorded(&archive, "/users", r#"{"a":1}"#);
    archive.run(["pack", "hars/api.har"]).expect(0);
    ask_for(&archive, &origin, "hars/api.zip");
    let embedded = Sandbox::new();
    embedded.write("hars/api.har", har(&[get("/users", r#"{"a":1}"#)]));
    ask_for(&embedded, &origin, "hars/api.har");
    assert!(!embedded.join("hars/api").exists(), "payloads stay in the HAR");
}

#[test]
fn fixture_of_another_tool_is_not_updated() {
    let sandbox = Sandbox::new();
    let mut foreign: Value = serde_json::from_str(&har(&[get("/users", r#"{"a":1}"#)])).unwrap();
    foreign["log"].as_object_mut().unwrap().shift_remove("_harproxy");
    sandbox.write("hars/api.har", foreign.to_string());
    let origin = server(|_| json_response(r#"{"a":1,"b":2}"#));
    ask(&sandbox, &origin, &["--update=non-breaking"]).expect(2).says("was not recorded by harproxy");
    assert_eq!(sandbox.har("hars/api.har"), foreign);
}
