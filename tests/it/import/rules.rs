//! Patterns that become rules, variables, and names of examples.

use serde_json::json;

use super::{HAR, corpus, entries, import, lost};
use crate::support::client::{Proto, TestRequest};
use crate::support::sandbox::Sandbox;

fn mapping(request: serde_json::Value, response: serde_json::Value) -> serde_json::Value {
    json!({ "request": request, "response": response })
}

#[test]
fn patterns_of_wiremock_become_rules() {
    let sandbox = Sandbox::new();
    let mappings = [
        mapping(
            json!({"method": "GET", "urlPathPattern": "/users/[^/]+", "queryParameters": {}}),
            json!({"status": 200, "jsonBody": {"id": 1}}),
        ),
        mapping(json!({"method": "POST", "url": "/any"}), json!({"status": 201, "body": "taken"})),
        mapping(
            json!({"method": "POST", "url": "/orders", "bodyPatterns": [{"equalToJson": {"n": 1}}]}),
            json!({"status": 201, "body": "first"}),
        ),
        mapping(
            json!({"method": "GET", "url": "/tenant", "headers": {"X-Tenant": {"equalTo": "a"}}}),
            json!({"status": 200, "body": "of a"}),
        ),
        mapping(
            json!({"method": "GET", "urlPath": "/search", "queryParameters": {"q": {"equalTo": "x y"}, "page": {"matches": ".*"}}}),
            json!({"status": 200, "body": "found"}),
        ),
    ];
    sandbox.write("mappings.json", json!({ "mappings": mappings }).to_string());
    sandbox
        .run(["import", "mappings.json"])
        .expect(2)
        .says("no host in its URLs")
        .says("--base-url https://api.example.com");
    let (object, _) = import(&sandbox, &["mappings.json", "--base-url", "https://api.test", "--write-policy"], 0);
    assert_eq!(object["entries"], 5);
    let config = sandbox.read("harproxy.toml");
    assert!(config.contains("path = \"/users/{id}\"") && config.contains("match-header = [\"x-tenant\"]"), "{config}");

    let server = sandbox.start(["replay", HAR]);
    let client = server.client(Proto::H1);
    let send = |method: &str, path: &str, body: &str| {
        let request =
            TestRequest::new(method, &format!("https://api.test{path}")).header("content-type", "application/json");
        let got = client.send(if body.is_empty() { request } else { request.body(body) });
        (got.status, got.text())
    };
    assert_eq!(send("GET", "/users/47", ""), (200, "{\"id\":1}".into()));
    assert_eq!(send("POST", "/any", "{\"x\":2}"), (201, "taken".into()));
    assert_eq!(send("POST", "/orders", "{ \"n\": 1 }"), (201, "first".into()));
    assert_eq!(send("GET", "/search?q=x+y&page=7", ""), (200, "found".into()));
    let tenant =
        |name: &str| client.send(TestRequest::new("GET", "https://api.test/tenant").header("x-tenant", name)).status;
    assert_eq!(tenant("a"), 200);
    assert_ne!(tenant("b"), 200);
    assert_ne!(send("POST", "/orders", "{\"n\":2}").0, 201);
    server.stop().expect(1);
}

#[test]
fn mapping_of_wiremock_with_the_first_priority_answers_every_time() {
    let sandbox = Sandbox::new();
    let stub = |path: &str, priority: Option<u32>, body: &str| {
        let mut mapping = mapping(json!({"method": "GET", "url": path}), json!({"status": 200, "body": body}));
        if let Some(priority) = priority {
            mapping["priority"] = priority.into();
        }
        mapping.to_string()
    };
    sandbox.write("mappings/a.json", stub("/a", Some(1), "first"));
    sandbox.write("mappings/b.json", stub("/a", Some(7), "shadowed"));
    sandbox.write("mappings/c.json", stub("/b", None, "earlier"));
    sandbox.write("mappings/d.json", stub("/b", Some(5), "latest"));
    let (object, _) = import(&sandbox, &["mappings", "--base-url", "http://api.test"], 1);
    assert_eq!(object["entries"], 2);
    let lost: Vec<_> = object["lost"].as_array().unwrap().iter().map(|it| it["file"].clone()).collect();
    assert_eq!(lost, ["mappings/b.json", "mappings/c.json"]);
    let server = sandbox.start(["replay", HAR]);
    let client = server.client(Proto::H1);
    let got = |path: &str| client.get(&format!("http://api.test{path}")).text();
    assert_eq!([got("/a"), got("/a"), got("/b"), got("/b")], ["first", "first", "latest", "latest"]);
    server.stop().expect(0);
}

#[test]
fn mappings_of_wiremock_on_one_line_are_told_apart() {
    let sandbox = Sandbox::new();
    let with_path = |path: &str, body: &str| {
        let patterns = json!([{ "matchesJsonPath": path }]);
        let request = json!({"method": "POST", "url": "/a", "bodyPatterns": patterns});
        mapping(request, json!({"status": 200, "body": body}))
    };
    sandbox.write("mappings.json", json!({ "mappings": [with_path("$.a", "1"), with_path("$.b", "2")] }).to_string());
    let (object, _) = import(&sandbox, &["mappings.json", "--base-url", "http://api.test"], 1);
    assert_eq!(object["entries"], 1);
    let texts: Vec<_> = object["lost"].as_array().unwrap().iter().map(|it| it["text"].as_str().unwrap()).collect();
    let left_out: Vec<_> = texts.iter().filter(|text| text.contains("left out")).collect();
    assert_eq!(left_out.len(), 1, "{texts:?}");
    assert!(left_out[0].contains("those of mappings.json:1"), "{texts:?}");
}

#[test]
fn scenarios_of_wiremock_become_sequences() {
    let sandbox = Sandbox::new();
    let state = |required: &str, new: Option<&str>, body: &str| {
        let mut mapping = mapping(json!({"method": "GET", "url": "/job"}), json!({"status": 200, "body": body}));
        mapping["scenarioName"] = "job".into();
        mapping["requiredScenarioState"] = required.into();
        mapping["newScenarioState"] = new.into();
        mapping
    };
    // The order in the file is another one.
    let mappings = [state("done", None, "3"), state("Started", Some("half"), "1"), state("half", Some("done"), "2")];
    sandbox.write("mappings.json", json!({ "mappings": mappings }).to_string());
    import(&sandbox, &["mappings.json", "--base-url", "http://api.test"], 0);
    let server = sandbox.start(["replay", HAR]);
    let client = server.client(Proto::H1);
    let got: Vec<String> = (0..4).map(|_| client.get("http://api.test/job").text()).collect();
    assert_eq!(got, ["1", "2", "3", "3"]);
    server.stop().expect(0);
}

#[test]
fn examples_of_postman_have_names_and_values_of_variables() {
    let sandbox = Sandbox::new();
    let request = json!({
        "method": "POST",
        "header": [{"key": "X-Trace", "value": "{{trace}}"}, {"key": "X-Off", "value": "1", "disabled": true}],
        "url": {"raw": "{{baseUrl}}/users/:id?verbose=1&off=2", "variable": [{"key": "id", "value": "7"}],
                "query": [{"key": "verbose", "value": "1"}, {"key": "off", "value": "2", "disabled": true}]},
        "body": {"mode": "urlencoded", "urlencoded": [{"key": "name", "value": "Ada L"}]},
    });
    let example = json!({"name": "created", "originalRequest": request, "code": 201, "status": "Created",
                         "header": [{"key": "Content-Type", "value": "application/json"}], "body": "{\"id\": 7}"});
    let collection = json!({
        "info": {"name": "c", "schema": "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"},
        "variable": [{"key": "trace", "value": "t-1"}],
        "item": [{"name": "users", "item": [{"name": "create", "request": request, "response": [example]}]},
                 {"name": "ping", "request": {"method": "GET", "url": "{{baseUrl}}/ping"}, "response": []}],
    });
    sandbox.write("c.json", serde_json::to_string_pretty(&collection).unwrap());
    let (object, _) = import(&sandbox, &["c.json"], 1);
    assert_eq!(object["entries"], 0);
    let said: Vec<&str> = lost(&object).iter().map(|(_, text)| *text).collect();
    assert!(said[0].contains("no value for `baseUrl`") && said[1].contains("`ping` has no saved example"), "{said:?}");

    sandbox.write(
        "e.json",
        json!({"name": "e", "values": [{"key": "baseUrl", "value": "https://api.test", "enabled": true}]}).to_string(),
    );
    let (object, _) = import(&sandbox, &["e.json", "c.json"], 1);
    assert_eq!(object["entries"], 1, "{object}");
    let entry = &entries(&sandbox)[0];
    assert_eq!(
        (entry["_harproxy"]["name"].as_str(), &entry["request"]["url"]),
        (Some("created"), &"https://api.test/users/7?verbose=1".into())
    );
    let server = sandbox.start(["replay", HAR]);
    let request = TestRequest::new("POST", "https://api.test/users/7?verbose=1")
        .header("content-type", "application/x-www-form-urlencoded");
    let got = server.client(Proto::H1).send(request.body("name=Ada+L"));
    assert_eq!((got.status, got.text().as_str()), (201, "{\"id\": 7}"));
    server.stop().expect(0);

    import(&sandbox, &["c.json", "--force", "--variable", "baseUrl=http://other.test"], 1);
    assert_eq!(entries(&sandbox)[0]["request"]["url"], "http://other.test/users/7?verbose=1");
}

#[test]
fn output_lists_rules_and_lost_parts_with_their_lines() {
    let sandbox = Sandbox::new();
    let path = corpus("wiremock/remoteloader").display().to_string();
    let output = sandbox.run(["import", &path, "--base-url", "https://api.test"]).expect(1);
    let output = output.says("two.json:4: `contains` of the header `Accept` is not carried over");
    let output = output
        .says("were not carried over, listed above")
        .says("lines for harproxy.toml (`--write-policy` adds them):");
    output.says("glob = \"https://api.test/todo/items{,?**}\"").says("body = \"ignore\"");
    assert!(!sandbox.join("harproxy.toml").exists());
}
