//! The admin API of `harproxy serve`, and `harproxy ctl`.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::{API, client, entry, get, har, sandbox, send, serve};
use crate::support::client::{Proto, TestRequest};
use crate::support::origin::{Origin, OriginResponse};
use crate::support::raw::Raw;
use crate::support::sandbox::{Sandbox, Server};

/// Starts a server, with `--ready-file`. Returns it with the file.
fn start(sandbox: &Sandbox, more: &[&str]) -> (Server, Admin) {
    let server = serve(sandbox, &[&["--ready-file", "ready.json"][..], more].concat());
    let ready = sandbox.har("ready.json");
    (server, Admin(ready))
}

/// A client of the API.
struct Admin(Value);

impl Admin {
    fn host(&self) -> String {
        self.0["admin"].as_str().unwrap().strip_prefix("http://").unwrap().to_owned()
    }

    fn token(&self) -> &str {
        self.0["adminToken"].as_str().unwrap()
    }

    /// Sends a request with these headers. Returns the head and the payload of the response.
    fn raw(&self, method: &str, target: &str, headers: &[(&str, &str)], payload: &str) -> (String, String) {
        let fields: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let length = payload.len();
        let mut connection = Raw::to(self.host().parse().unwrap());
        connection.send(format!(
            "{method} {target} HTTP/1.1\r\n{fields}content-length: {length}\r\nconnection: close\r\n\r\n{payload}"
        ));
        let text = connection.rest_text();
        let (head, payload) = text.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), payload.to_owned())
    }

    /// Sends an authorized request. The answer must be the one that the OpenAPI file describes.
    fn call(&self, method: &str, target: &str, payload: &Value) -> (u16, Value) {
        let bearer = format!("Bearer {}", self.token());
        let host = self.host();
        let payload = if payload.is_null() { String::new() } else { payload.to_string() };
        let (head, answer) = self.raw(method, target, &[("host", &host), ("authorization", &bearer)], &payload);
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let answer = if answer.is_empty() { Value::Null } else { serde_json::from_str(&answer).unwrap() };
        fits_the_description(method, target, status, &answer);
        (status, answer)
    }

    fn get(&self, target: &str) -> Value {
        let (status, answer) = self.call("GET", target, &Value::Null);
        assert_eq!(status, 200, "{target}: {answer}");
        answer
    }

    fn put(&self, rule: &str, change: Value) -> (u16, Value) {
        self.call("PUT", &format!("/routes/{rule}"), &change)
    }
}

/// Asserts that an answer is valid under docs/reference/admin.openapi.json.
fn fits_the_description(method: &str, target: &str, status: u16, answer: &Value) {
    let openapi: Value = serde_json::from_str(include_str!("../../../docs/reference/admin.openapi.json")).unwrap();
    let path: Vec<&str> = target.split(['?']).next().unwrap().split('/').collect();
    let matches = |template: &str| {
        let segments: Vec<&str> = template.split('/').collect();
        segments.len() == path.len() && segments.iter().zip(&path).all(|(a, b)| a == b || *a == "{id}")
    };
    let paths = openapi["paths"].as_object().unwrap();
    let Some((_, methods)) = paths.iter().find(|(template, _)| matches(template)) else {
        assert_eq!(status, 404, "{target}");
        return;
    };
    let Some(operation) = methods.get(method.to_lowercase()) else {
        assert_eq!(status, 405, "{method} {target}");
        return;
    };
    let response = &operation["responses"][status.to_string()];
    assert!(response.is_object(), "{method} {target}: status {status} is not described: {answer}");
    let Some(content) = response["content"].as_object() else {
        assert!(answer.is_null(), "{method} {target}: {answer}");
        return;
    };
    let schema = &content.values().next().unwrap()["schema"];
    let violation = crate::reports::json_schema::find_violation(&openapi, schema, answer, "");
    assert_eq!(violation, None, "{method} {target}: {answer:#}");
}

const RULES: &str = r#"
[[route]]
name = "orders"
match = "GET https://api.test/orders"
when = { nth = [2] }
fault = { kind = "status", status = 503 }
[[route]]
match = "POST https://api.test/orders"
state = { collection = "orders", id = "$.id", path = "/orders/{id}" }
"#;

#[test]
fn requests_are_listed_filtered_and_explained() {
    let sandbox = sandbox(RULES);
    let (server, admin) = start(&sandbox, &[]);
    get(&server, "/orders");
    get(&server, "/none?token=s3cr3t-s3cr3t");
    send(
        &server,
        "POST",
        "/orders",
        &[("authorization", "Bearer s3cr3t-token")],
        r#"{"item":"cake","password":"hunter22"}"#,
    );
    send(&server, "GET", &format!("/own?a={}", admin.token()), &[], "");
    let own = admin.get("/requests?match=GET+**/own**").to_string() + &admin.get("/requests/4/explain").to_string();
    assert!(own.contains("/own?a=") && !own.contains(admin.token()), "{own}");
    let all = admin.get("/requests");
    let urls: Vec<&str> = all["requests"].as_array().unwrap().iter().map(|row| row["url"].as_str().unwrap()).collect();
    assert_eq!(urls.len(), 4, "{all:#}");
    assert_eq!(all["requests"][0]["rules"], Value::Null, "nth = 2");
    let misses = admin.get("/requests?outcome=miss");
    assert_eq!(misses["requests"].as_array().unwrap().len(), 2);
    assert_eq!(misses["requests"][0]["status"], 404);
    let posts = admin.get("/requests?match=POST+**");
    let post = posts["requests"][0]["id"].as_u64().unwrap();
    let shown = admin.get(&format!("/requests/{post}"));
    assert!(shown["payload"].as_str().unwrap().contains("cake"), "{shown:#}");
    let first = admin.get("/requests?limit=1");
    assert_eq!(admin.get(&format!("/requests?limit=1&after={}", first["next"]))["requests"][0]["id"], 2);
    let explained = admin.get("/requests/2/explain");
    assert_eq!(explained["answer"]["action"], "miss");
    assert_eq!(admin.get("/requests/1/explain")["answer"]["rules"][0]["rule"], "orders");
    let texts = [all.to_string(), shown.to_string(), misses.to_string(), explained.to_string()].concat();
    for secret in ["s3cr3t", "hunter22"] {
        assert!(!texts.contains(secret), "{secret}: {texts}");
    }
    for (target, status) in
        [("/requests/99", 404), ("/requests/x", 404), ("/requests?color=red", 400), ("/nothing", 404)]
    {
        assert_eq!(admin.call("GET", target, &Value::Null).0, status, "{target}");
    }
    assert_eq!(admin.call("DELETE", "/requests", &Value::Null).0, 204);
    assert_eq!(admin.get("/requests")["requests"], json!([]));
    assert_eq!(admin.call("DELETE", "/routes", &Value::Null).0, 405);
}

#[test]
fn routes_are_changed_and_their_counts_stay() {
    let sandbox = sandbox(RULES);
    let (server, admin) = start(&sandbox, &[]);
    let statuses = |n: usize| (0..n).map(|_| get(&server, "/orders").status).collect::<Vec<_>>();
    assert_eq!(statuses(3), [200, 503, 200]);
    let (status, rule) = admin.put("orders", json!({ "fault": { "kind": "status", "status": 500 }, "delay": "1ms" }));
    assert_eq!((status, &rule["fault"]["status"], &rule["delay"]), (200, &json!(500), &json!("1ms")));
    assert_eq!(admin.get("/routes")["routes"][0]["requests"], 1);
    assert_eq!(statuses(1), [200], "the second request was counted before");
    let (status, problem) = admin.put("orders", json!({ "fallback-on": "5xx" }));
    assert_eq!((status, &problem["detail"]), (409, &json!("rule `orders`: a rule with `fallback-on` needs `source`")));
    assert_eq!(admin.put("orders", json!({ "source": ["fixture", "none"], "fallback-on": "miss" })).0, 200);
    let (status, rule) = admin.put("orders", json!({ "source": null }));
    assert_eq!((status, &rule["source"]), (200, &Value::Null), "`fallback-on` goes with the sources");
    assert_eq!(admin.call("POST", "/reset", &json!({ "counts": true })).0, 204);
    assert_eq!(statuses(2), [200, 500]);
    let (status, rule) = admin.put("orders", json!({ "fault": null, "delay": null }));
    assert_eq!((status, &rule["fault"], &rule["delay"]), (200, &Value::Null, &Value::Null));
    assert_eq!(admin.put("2", json!({ "delay": { "min": "1ms", "max": "2ms", "seed": 7 } })).0, 200);
    // PUT accepts the values that GET shows.
    let change = json!({ "delay": "1001ms", "split": { "live": 29, "by": "x-client" }, "fallback-on": ["5xx", "404"] });
    let (_, shown) = admin.put("2", change.clone());
    assert_eq!((&shown["delay"], &shown["split"]["by"]), (&change["delay"], &change["split"]["by"]));
    assert_eq!(shown["source"], json!(["live", "fixture"]), "the default of a split");
    let options = ["delay", "split", "fallback-on", "source", "rate", "fault", "shadow"];
    let same: serde_json::Map<String, Value> =
        options.iter().map(|name| ((*name).to_owned(), shown[*name].clone())).collect();
    assert_eq!(admin.put("2", same.into()).1, shown);
    let (_, shown) = admin.put("2", json!({ "split": null }));
    assert_eq!((&shown["source"], &shown["fallback-on"][0]), (&json!(["live", "fixture"]), &json!("5xx")));
    assert_eq!(admin.put("2", json!({ "source": null, "fallback-on": null, "delay": null })).1["source"], Value::Null);
    for (rule, change, status, said) in [
        ("nope", json!({}), 404, "known are `orders`, `2`"),
        ("orders", json!({ "source": ["cloud"] }), 400, "expected fixture, live"),
        ("orders", json!({ "fault": { "kind": "status", "status": 42 } }), 400, "400 to 599"),
        ("orders", json!({ "template": true }), 400, "can't be changed"),
    ] {
        let (got, problem) = admin.put(rule, change);
        assert_eq!(got, status, "{problem}");
        assert!(problem.to_string().contains(said), "{problem}");
    }
    let edited = RULES.replace("status = 503", "status = 502");
    sandbox.write("harproxy.toml", edited);
    server.stderr().wait_for("the reload", |text| text.contains("reloaded harproxy.toml").then_some(()));
    let rules = admin.get("/routes");
    assert_eq!((&rules["routes"][0]["fault"]["status"], &rules["routes"][0]["requests"]), (&json!(502), &json!(2)));
}

#[test]
fn sequences_state_and_counts_are_reset() {
    let sandbox = sandbox(
        "[[route]]\nmatch = 'GET,POST,DELETE https://api.test/orders{,/*}'\nstate = { id = '$.id', path = '/orders/{id}' }\n",
    );
    sandbox.write(
        "hars/jobs.har",
        har(&["PENDING", "COMPLETED"]
            .map(|state| entry("", "GET", "/job", 200, &json!({ "state": state }).to_string()))),
    );
    let (server, admin) = start(&sandbox, &["--expect", "GET https://api.test/job = 1"]);
    let job = || get(&server, "/job").json()["state"].as_str().unwrap().to_owned();
    assert_eq!([job(), job(), job()], ["PENDING", "COMPLETED", "COMPLETED"]);
    send(&server, "POST", "/orders", &[], r#"{"item":"cake"}"#);
    let orders = || get(&server, "/orders").json().as_array().unwrap().len();
    assert_eq!(orders(), 2);
    let met = || admin.call("POST", "/verify", &Value::Null).1["met"] == true;
    assert!(!met());
    admin.call("POST", "/reset", &json!({ "state": true }));
    assert_eq!((orders(), job().as_str()), (1, "COMPLETED"));
    admin.call("POST", "/reset", &Value::Null);
    assert_eq!((job().as_str(), met()), ("PENDING", true));
    assert_eq!(admin.call("POST", "/reset", &json!({ "everything": true })).0, 400);
    job();
    admin.call("POST", "/reset", &json!({ "sequence": true, "session": "gw7" }));
    assert_eq!(job(), "COMPLETED", "another session");
    admin.call("POST", "/sessions", &json!({ "name": "shop::one" }));
    assert_eq!([job(), job()], ["PENDING", "COMPLETED"], "a test begins anew");
    admin.call("POST", "/reset", &json!({ "sequence": true, "session": "shop::one" }));
    assert_eq!(job(), "PENDING");
}

#[test]
fn verification_compares_the_requests_so_far() {
    let sandbox = sandbox("");
    let (server, admin) = start(&sandbox, &[]);
    get(&server, "/orders");
    send(&server, "POST", "/orders", &[], r#"{"currency":"EUR"}"#);
    let verify = |expect: Value| admin.call("POST", "/verify", &json!({ "expect": expect })).1;
    let met = verify(json!([
        { "match": "GET https://api.test/orders", "times": 1, "before": "POST **" },
        { "match": "POST **/orders", "times": "1..2", "body": { "$.currency": "EUR" } },
        { "match": "DELETE **", "times": "never" },
    ]));
    assert_eq!(met["met"], true, "{met:#}");
    let unmet = verify(json!([{ "match": "POST **/orders", "body": { "$.currency": "USD" } }]));
    assert_eq!(unmet["met"], false);
    assert!(unmet["expectations"][0]["difference"].as_str().unwrap().contains("$.currency"), "{unmet:#}");
    let invalid = admin.call("POST", "/verify", &json!({ "expect": [{ "match": "G-T **" }] }));
    assert_eq!(invalid.0, 400);
    assert_eq!(admin.call("POST", "/verify", &json!({ "expect": [], "x": 1 })).0, 400);
    assert_eq!(admin.call("POST", "/verify", &json!({ "expect": [] })).0, 409);
    assert_eq!(admin.call("POST", "/verify", &Value::Null).0, 409, "the server has no expectations");
    assert_eq!(verify(json!(["GET https://api.test/orders = 1"]))["met"], true);
    let long = TestRequest::new("POST", &format!("{API}/orders")).body(vec![b' '; 2 << 20]);
    client(&server).send(long);
    let unsure = verify(json!([{ "match": "POST **/orders", "times": "never", "body": { "$.currency": "USD" } }]));
    assert_eq!((&unsure["met"], &unsure["complete"]), (&json!(false), &json!(false)), "a payload was not kept");
}

#[test]
fn requests_without_a_key_do_not_count() {
    let sandbox = sandbox("");
    let expected = "GET https://api.test/orders = 1";
    let (server, admin) = start(&sandbox, &["--api-key", "k3y", "--expect", expected]);
    get(&server, "/orders");
    for expect in [Value::Null, json!({ "expect": [expected] })] {
        assert_eq!(admin.call("POST", "/verify", &expect).1["met"], false, "{expect}");
    }
    send(&server, "GET", "/orders", &[("x-api-key", "k3y")], "");
    for expect in [Value::Null, json!({ "expect": [expected] })] {
        assert_eq!(admin.call("POST", "/verify", &expect).1["met"], true, "{expect}");
    }
}

#[test]
fn entries_are_listed_with_their_counts_and_added() {
    let sandbox = sandbox("");
    let (server, admin) = start(&sandbox, &[]);
    get(&server, "/orders");
    get(&server, "/orders");
    let entries = admin.get("/entries?limit=2");
    assert_eq!((&entries["entries"][0]["requests"], &entries["next"]), (&json!(2), &json!(1)));
    assert_eq!(admin.get("/entries?after=1")["entries"].as_array().unwrap().len(), 2);
    assert_eq!(get(&server, "/new?api_key=9f8e7d6c5b4a39281706").status, 404);
    let missed = admin.get("/requests?outcome=miss")["requests"][0]["id"].clone();
    let name = format!("N1 {}", admin.token());
    let new = json!({ "request": missed, "response": { "status": 201, "json": { "new": true } }, "name": name });
    let (status, added) = admin.call("POST", "/entries", &new);
    assert_eq!((status, &added["entry"]), (201, &json!(4)), "{added}");
    let answer = get(&server, "/new?api_key=9f8e7d6c5b4a39281706");
    assert_eq!((answer.status, answer.json()), (201, json!({ "new": true })));
    let scratch = json!({
        "fixture": "hars/api.har",
        "request": { "method": "POST", "url": "https://api.test/made", "json": { "a": 1 } },
        "response": { "status": 200, "headers": { "x-made": "yes" }, "text": "made" },
    });
    assert_eq!(admin.call("POST", "/entries", &scratch).0, 201);
    let made = send(&server, "POST", "/made", &[("content-type", "application/json")], r#"{"a":1}"#);
    assert_eq!((made.text().as_str(), made.header("x-made")), ("made", Some("yes")));
    let written = sandbox.read("hars/api.har");
    assert!(written.contains("\"N1 ") && !written.contains(admin.token()), "{written}");
    assert!(!written.contains("9f8e7d6c5b4a39281706"), "{written}");
    sandbox.run(["check", "hars/api.har"]).expect(0);
    let elsewhere = json!({
        "request": { "method": "GET", "url": "http://localhost:1/a", "headers": { "x-mock-response-delay": "1" } },
        "response": { "status": 200, "json": null },
    });
    assert_eq!(admin.call("POST", "/entries", &elsewhere).0, 201);
    let har = sandbox.har("hars/api.har");
    assert_eq!(har["log"]["_harproxy"]["scope"][1], "http://localhost:1/a**", "not the whole server");
    for (new, status) in [
        (json!({ "request": 99, "response": { "status": 200 } }), 400),
        (json!({ "fixture": "no.har", "request": missed, "response": { "status": 200 } }), 404),
        (json!({ "request": missed, "response": { "status": 99 } }), 400),
        (json!({ "request": missed, "response": { "status": 204, "text": "x" } }), 400),
        (json!({ "request": "7", "response": { "status": 200 } }), 400),
        (json!({ "request": { "method": "get", "url": "https://api.test/" }, "response": { "status": 200 } }), 400),
        (json!([null, missed, { "status": 200 }, null]), 400),
        (json!({ "request": { "method": "GET", "url": "nowhere" }, "response": { "status": 200 } }), 400),
        (json!({}), 400),
    ] {
        assert_eq!(admin.call("POST", "/entries", &new).0, status, "{new}");
    }
}

#[test]
fn sessions_begin_by_the_api() {
    let sandbox = sandbox("");
    let (server, admin) = start(&sandbox, &[]);
    let (status, session) = admin.call("POST", "/sessions", &json!({ "client": "", "name": "shop::one" }));
    assert_eq!((status, &session["name"]), (200, &json!("shop::one")));
    get(&server, "/orders");
    assert_eq!(admin.get("/requests")["requests"][0]["session"], "shop::one");
    assert_eq!(admin.call("POST", "/sessions", &json!({ "name": "" })).0, 400);
    assert_eq!(admin.call("POST", "/sessions", &json!({ "client": "gw1", "name": "shop::one" })).0, 409);
}

#[test]
fn events_are_a_stream() {
    let sandbox = sandbox("");
    let (server, admin) = start(&sandbox, &[]);
    let mut stream = Raw::to(admin.host().parse().unwrap());
    let (host, token) = (admin.host(), admin.token().to_owned());
    stream.send(format!("GET /events HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\n\r\n"));
    assert!(stream.head().contains("text/event-stream"));
    get(&server, "/none");
    let mut seen = String::new();
    while !(seen.contains("event: request\ndata: {") && seen.contains("event: finding\ndata: {")) {
        seen.push(char::from(stream.exactly(1)[0]));
    }
    while !seen.ends_with("\n\n") {
        seen.push(char::from(stream.exactly(1)[0]));
    }
    let data = |name: &str| -> Value {
        let (_, rest) = seen.split_once(&format!("event: {name}\ndata: ")).unwrap();
        serde_json::from_str(rest.lines().next().unwrap()).unwrap()
    };
    assert_eq!((&data("request")["outcome"], &data("request")["status"]), (&json!("miss"), &json!(404)));
    assert_eq!(data("finding")["kind"], "miss");
}

#[test]
fn only_this_machine_with_the_token_gets_answers() {
    let sandbox = sandbox("");
    let (server, admin) = start(&sandbox, &["--report", "report.json", "-v"]);
    let (host, bearer) = (admin.host(), format!("Bearer {}", admin.token()));
    let status = |headers: &[(&str, &str)]| {
        let (head, payload) = admin.raw("GET", "/health", headers, "");
        assert!(!head.to_lowercase().contains("access-control"), "{head}");
        (head.split(' ').nth(1).unwrap().to_owned(), payload)
    };
    let token = ("authorization", bearer.as_str());
    assert_eq!(status(&[("host", &host), token]).0, "200");
    assert_eq!(status(&[("host", "evil.test"), token]).0, "403");
    assert_eq!(status(&[("host", &host), token, ("origin", "https://evil.test")]).0, "403");
    let (wrong, none) = (status(&[("host", &host), ("authorization", "Bearer x")]), status(&[("host", &host)]));
    assert_eq!((wrong.0.as_str(), &wrong), ("401", &none), "a wrong token and none look alike");
    let (preflight, _) = admin.raw("OPTIONS", "/health", &[("host", &host), ("origin", "https://evil.test")], "");
    assert!(preflight.starts_with("HTTP/1.1 403"), "{preflight}");
    // A client that sends the token through the proxy does not leak it either.
    let request = TestRequest::new("GET", &format!("{API}/orders")).header("authorization", &bearer);
    client(&server).send(request);
    let ready = server.ready().to_string();
    let token = admin.token().to_owned();
    let ended = server.stop();
    let report = sandbox.read("report.json");
    for (place, text) in [("the ready line", &ready), ("the log", &ended.stderr), ("the report", &report)] {
        assert!(!text.contains(&token), "{place}: {text}");
    }
    assert!(!std::path::Path::new(admin.0["adminTokenFile"].as_str().unwrap()).exists(), "the token file is removed");
}

#[test]
fn invalid_admin_options_are_errors() {
    let sandbox = sandbox("");
    sandbox.run(["serve", "--admin", "0.0.0.0:4100"]).expect(2).says("address of this machine");
    let (_server, admin) = start(&sandbox, &[]);
    sandbox
        .run(["serve", "-p", "0", "--admin", &admin.host()])
        .expect(3)
        .says("for --admin")
        .says("choose another port");
    let off = serve(&sandbox, &["--no-admin"]);
    assert_eq!(off.ready()["admin"], Value::Null);
}

#[test]
fn live_source_is_refused_offline() {
    let sandbox = sandbox(RULES);
    let (_server, admin) = start(&sandbox, &["--offline"]);
    assert_eq!(admin.put("orders", json!({ "source": "live" })).0, 409);
    assert_eq!(admin.put("orders", json!({ "source": "fixture" })).0, 200);
}

#[test]
fn ctl_lists_switches_verifies_and_resets() {
    let sandbox = sandbox(RULES);
    sandbox.run(["ctl", "routes"]).expect(2).says("no `harproxy serve` of this user runs with an admin API");
    let (server, admin) = start(&sandbox, &[]);
    get(&server, "/orders");
    get(&server, "/none");
    let listed = sandbox.run(["ctl", "requests"]).expect(0);
    assert!(
        listed.stdout.contains("GET https://api.test/orders") && listed.stdout.contains("miss"),
        "{}",
        listed.stdout
    );
    let json = sandbox.run(["ctl", "requests", "--outcome", "miss", "--json"]).expect(0);
    assert_eq!(serde_json::from_str::<Value>(&json.stdout).unwrap()["requests"].as_array().unwrap().len(), 1);
    let explained = sandbox.run(["ctl", "explain", "2"]).expect(0);
    assert!(
        explained.stdout.starts_with("GET https://api.test/none\n  miss, 404, from none\n"),
        "{}",
        explained.stdout
    );
    let changed = sandbox.run(["ctl", "route", "orders", "--fault", "status=500", "--delay", "1ms"]).expect(0);
    assert!(changed.stdout.contains("delay=1ms") && changed.stdout.contains("500"), "{}", changed.stdout);
    sandbox.run(["ctl", "route", "nope", "--delay", "1ms"]).expect(2).says("known are `orders`, `2`");
    sandbox.run(["ctl", "verify", "GET https://api.test/orders = 1"]).expect(0);
    sandbox.run(["ctl", "verify", "GET https://api.test/orders = 2"]).expect(1);
    sandbox.run(["ctl", "verify", "GET x = many"]).expect(2);
    sandbox.run(["ctl", "reset"]).expect(0);
    assert_eq!(get(&server, "/orders").status, 200);
    assert_eq!(get(&server, "/orders").status, 500);
    sandbox.run(["ctl", "requests", "--clear"]).expect(0);
    let (_second, other) = start(&sandbox, &[]);
    sandbox.run(["ctl", "routes"]).expect(2).says("several servers run").says(&other.host());
    sandbox.run(["ctl", "routes", "--admin", &admin.host()]).expect(0);
}

/// Answers with the length of the request payload, and whether all of its bytes are `x`.
fn measuring() -> Origin {
    Origin::answering(|request| {
        let is_whole = request.body.iter().all(|byte| *byte == b'x');
        Some(OriginResponse {
            status: 200,
            headers: vec![("content-type", "text/plain".to_owned())],
            body: format!("{} {is_whole}", request.body.len()).into_bytes(),
            ..OriginResponse::default()
        })
    })
}

#[test]
fn payload_of_an_upload_passes_while_it_is_kept() {
    let sandbox = sandbox("[[route]]\nmatch = 'POST https://api.test/upload'\nsource = 'live'\n");
    let origin = measuring();
    let args = origin.args();
    let (server, admin) = start(&sandbox, &args.iter().map(String::as_str).collect::<Vec<_>>());
    for (proto, length) in [(Proto::H1, 10), (Proto::H1, 1 << 20), (Proto::H2, 3 << 20)] {
        let upload = TestRequest::new("POST", &format!("{API}/upload")).body(vec![b'x'; length]);
        assert_eq!(server.client(proto).send(upload).text(), format!("{length} true"));
        let newest = admin.get("/requests?newest=true&limit=1");
        let shown = admin.get(&format!("/requests/{}", newest["requests"][0]["id"]));
        // Payloads that are not text are not shown.
        assert_eq!(shown["payload"].is_string(), length <= 1 << 20, "up to 1 MiB");
    }
}

#[test]
fn route_is_switched_under_load_without_errors_or_mixed_answers() {
    let sandbox = sandbox("[[route]]\nname = 'orders'\nmatch = 'GET https://api.test/orders/*'\nsource = 'fixture'\n");
    let origin = Origin::answering(|_| {
        Some(OriginResponse {
            status: 200,
            headers: vec![("content-type", "application/json".to_owned())],
            body: br#"{"live":true}"#.to_vec(),
            ..OriginResponse::default()
        })
    });
    let args = origin.args();
    let (server, admin) = start(&sandbox, &args.iter().map(String::as_str).collect::<Vec<_>>());
    let is_done = AtomicBool::new(false);
    let (fixture, live) = std::thread::scope(|scope| {
        let ask = || {
            let (mut fixture, mut live) = (0, 0);
            while !is_done.load(Ordering::SeqCst) {
                let answer = get(&server, "/orders/1");
                let mark = answer.header("x-harproxy").unwrap().to_owned();
                match (mark.as_str(), answer.text().as_str()) {
                    ("live", r#"{"live":true}"#) => live += 1,
                    ("replay; entry=hars/api.har#1", text) if text.contains("tea") => fixture += 1,
                    mixed => panic!("{mixed:?}"),
                }
            }
            (fixture, live)
        };
        let askers: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
        for round in 0..40 {
            let source = if round % 2 == 0 { "live" } else { "fixture" };
            let (status, rule) = admin.put("orders", json!({ "source": source }));
            assert_eq!((status, &rule["source"][0]), (200, &json!(source)));
        }
        is_done.store(true, Ordering::SeqCst);
        let counts = askers.into_iter().map(|asker| asker.join().unwrap());
        counts.fold((0, 0), |(fixture, live), (more, others)| (fixture + more, live + others))
    });
    assert!(fixture > 0 && live > 0, "{fixture} {live}");
    assert_eq!(get(&server, "/orders/1").json()["item"], "tea", "the last switch");
}

#[test]
fn entries_that_are_added_continue_the_sequences() {
    let sandbox = sandbox("");
    let states = ["PENDING", "RUNNING", "COMPLETED"];
    sandbox.write(
        "hars/api.har",
        har(&states.map(|state| entry("", "GET", "/job", 200, &json!({ "state": state }).to_string()))),
    );
    let (server, admin) = start(&sandbox, &[]);
    let job = || get(&server, "/job").json()["state"].as_str().unwrap().to_owned();
    assert_eq!(job(), "PENDING");
    assert_eq!(admin.get("/requests/1/explain")["answer"]["entry"], 1, "the next answer");
    let add = |path: &str| {
        let request = json!({ "method": "GET", "url": format!("{API}{path}") });
        admin.call("POST", "/entries", &json!({ "request": request, "response": { "status": 200, "json": path } })).0
    };
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let adders = ["/a", "/b", "/c", "/d"].map(|path| scope.spawn(move || add(path)));
        adders.into_iter().map(|adder| adder.join().unwrap()).collect()
    });
    assert_eq!(statuses, [201; 4], "one after the other");
    assert_eq!([job(), job()], ["RUNNING", "COMPLETED"]);
    assert_eq!(get(&server, "/c").json(), "/c");
    let entries = admin.get("/entries");
    assert_eq!(entries["entries"].as_array().unwrap().len(), 7);
    assert!(!server.stop().stderr.contains("reloaded"), "harproxy itself wrote it");
}

#[test]
fn fixtures_do_not_change_in_ci() {
    let sandbox = sandbox("");
    let args = ["serve", "--ready-file", "ready.json"];
    let _server = sandbox.start_with(args, &[("CI", "true")]);
    let admin = Admin(sandbox.har("ready.json"));
    let new = json!({ "request": { "method": "GET", "url": API }, "response": { "status": 200 } });
    assert_eq!(admin.call("POST", "/entries", &new).0, 403);
    assert_eq!(admin.put("1", json!({ "source": "live" })).0, 404);
}
