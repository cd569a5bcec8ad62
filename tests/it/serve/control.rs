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
fn closest_entry_answers_a_miss_and_says_so() {
    let sandbox = examples();
    let server = serve(&sandbox, &["--closest"]);
    let answer = get(&server, "/get?id=7");
    assert_eq!(answer.json()["entry"], "E1");
    assert_eq!(answer.header("x-harproxy"), Some("closest; score=0; entry=hars/api.har#0"));
    let near = get(&server, "/get?id=5&page=1");
    assert_eq!(near.json()["entry"], "E3");
    assert_eq!(near.header("x-harproxy"), Some("closest; score=50; entry=hars/api.har#2"));
    assert_eq!(get(&server, "/get?id=5").header("x-harproxy"), Some("replay; entry=hars/api.har#2"), "a match");
    assert_eq!(send(&server, "POST", "/get", &[], "").json()["kind"], "no-entry", "another method");
    assert_eq!(get(&server, "/gets").json()["kind"], "no-entry", "another path");
}

#[test]
fn closest_payload_is_that_with_most_equal_members() {
    let with_payload = |item: &str, body: &str| {
        let mut entry = entry("", "POST", "/orders", 201, body);
        let text = serde_json::json!({ "item": item, "count": 1, "currency": "EUR" }).to_string();
        entry["request"]["postData"] = serde_json::json!({ "mimeType": "application/json", "text": text });
        entry
    };
    let sandbox = Sandbox::new();
    sandbox.write("hars/api.har", har(&[with_payload("tea", "{\"n\":1}"), with_payload("cake", "{\"n\":2}")]));
    let server = serve(&sandbox, &["--closest"]);
    let answer = send(&server, "POST", "/orders", &[], r#"{"item":"cake","count":2,"currency":"EUR"}"#);
    assert_eq!(answer.json()["n"], 2);
    assert_eq!(answer.header("x-harproxy"), Some("closest; score=66; entry=hars/api.har#1"));
}

#[test]
fn graphql_is_compared_as_a_document_and_unknown_persisted_queries_are_not_found() {
    let sandbox = Sandbox::new();
    let mut query = entry("", "POST", "/graphql", 200, r#"{"data":{"user":{"name":"Ada"}}}"#);
    let recorded = serde_json::json!({
        "query": "query Q($id: ID!) {\n  user(id: $id, kind: 1) { name }\n}", "variables": { "id": "1", "n": 2 },
    });
    query["request"]["postData"] = serde_json::json!({ "mimeType": "application/json", "text": recorded.to_string() });
    sandbox.write("hars/api.har", har(&[query]));
    let server = serve(&sandbox, &[]);
    let ask = |payload: &str| send(&server, "POST", "/graphql", &[("content-type", "application/json")], payload);
    let reformatted = r#"{"variables":{"n":2,"id":"1"},"query":"query Q($id:ID!){user(id:$id kind:1){name}} # done"}"#;
    assert_eq!(ask(reformatted).json()["data"]["user"]["name"], "Ada");
    assert_eq!(ask(&reformatted.replace("kind:1", "kind:2")).json()["kind"], "no-entry", "a changed literal");
    let with_rule = |rule: &str| {
        sandbox.write("harproxy.toml", format!("[[match]]\nglob = '**/graphql'\n{rule}\n"));
        let server = serve(&sandbox, &[]);
        send(&server, "POST", "/graphql", &[("content-type", "application/json")], reformatted).status
    };
    assert_eq!(with_rule("ignore-body = ['$.extensions']"), 200);
    assert_eq!(with_rule("body = 'exact'"), 404);
    sandbox.write(
        "harproxy.toml",
        "[[route]]\nmatch = 'POST **/graphql'\npatch = [{ op = 'replace', path = '$.data.user.name', value = 'Eve' }]\n",
    );
    let patched = serve(&sandbox, &[]);
    let ask_patched =
        |payload: &str| send(&patched, "POST", "/graphql", &[("content-type", "application/json")], payload);
    assert_eq!(ask_patched(reformatted).json()["data"]["user"]["name"], "Eve");
    let hash_alone = r#"{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"ab12"}}}"#;
    assert_eq!(
        ask_patched(hash_alone).json()["errors"][0]["message"],
        "PersistedQueryNotFound",
        "rules do not change it"
    );
    drop(patched);
    sandbox.write("harproxy.toml", "");
    let curl = format!(
        "curl -sS -o /dev/null -H 'content-type: application/json' -d '{reformatted}' https://api.test/graphql"
    );
    sandbox.run(["replay", "--", "sh", "-ec", &curl]).expect(1).says("body = \"json\"");
    let hash = r#"{"operationName":"Q","extensions":{"persistedQuery":{"version":1,"sha256Hash":"ab12"}}}"#;
    let unknown = ask(hash);
    assert_eq!(
        (unknown.status, unknown.json()["errors"][0]["message"].as_str()),
        (200, Some("PersistedQueryNotFound"))
    );
    assert_eq!(ask(&format!("[{hash},{hash}]")).json()[1]["errors"][0]["message"], "PersistedQueryNotFound");
    let in_url = "/graphql?extensions=%7B%22persistedQuery%22%3A%7B%22sha256Hash%22%3A%22ab12%22%7D%7D";
    assert_eq!(get(&server, in_url).json()["errors"][0]["extensions"]["code"], "PERSISTED_QUERY_NOT_FOUND");
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
