//! `harproxy.toml` and options that only replay has, with the real binary.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::support::client::{Client, Proto, TestRequest};
use crate::support::origin::Origin;
use crate::support::sandbox::{Sandbox, Server};
use serde_json::{Value, json};

/// An entry of a recording.
fn entry(method: &str, url: &str, body: Option<&str>, answer: &str) -> Value {
    let mut entry = json!({
        "startedDateTime": "2024-01-01T00:00:00.000Z", "time": 1, "cache": {}, "timings": {"send": 0, "wait": 1, "receive": 0},
        "request": {"method": method, "url": url, "httpVersion": "HTTP/1.1", "cookies": [], "headers": [], "queryString": [],
            "headersSize": -1, "bodySize": -1},
        "response": {"status": 200, "statusText": "OK", "httpVersion": "HTTP/1.1", "cookies": [], "headers": [],
            "content": {"size": answer.len(), "mimeType": "text/plain", "text": answer}, "redirectURL": "",
            "headersSize": -1, "bodySize": -1},
    });
    if let Some(body) = body {
        entry["request"]["postData"] = json!({"mimeType": "application/json", "text": body});
    }
    entry
}

fn get(url: &str, answer: &str) -> Value {
    entry("GET", url, None, answer)
}

/// A sandbox with an own recording and a configuration.
fn sandbox(entries: &[Value], config: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    let har = json!({"log": {"version": "1.2", "creator": {"name": "t", "version": "1"},
        "_harproxy": {"version": 1, "scope": ["http://api.test/**", "http://other.test/**"]}, "entries": entries}});
    sandbox.write("hars/api.har", har.to_string());
    sandbox.write("harproxy.toml", config);
    sandbox
}

/// Replays the entries under a configuration. Returns the payload of each response, or the status of a refusal.
fn answers(entries: &[Value], config: &str, requests: impl IntoIterator<Item = TestRequest>) -> Vec<String> {
    let sandbox = sandbox(entries, config);
    let server = sandbox.start(["replay"]);
    let client = server.client(Proto::H1);
    requests
        .into_iter()
        .map(|request| {
            let got = client.send(request);
            if got.status == 200 { got.text() } else { got.status.to_string() }
        })
        .collect()
}

fn ask(url: &str) -> TestRequest {
    TestRequest::new("GET", url)
}

fn post(url: &str, body: &str) -> TestRequest {
    TestRequest::new("POST", url).header("content-type", "application/json").body(body)
}

#[test]
fn path_with_a_uuid_matches_with_one_policy_line() {
    let entries = [get("http://api.test/users/0d9c3c1e-2f43-4d0c-8a3e-30a1d3f4b5c6/orders", "orders")];
    let rule = "[[match]]\nglob = 'http://api.test/**'\npath = '/users/{id}/orders'\n";
    let asks = || [ask("http://api.test/users/7/orders"), ask("http://api.test/users/7/orders/1")];
    assert_eq!(answers(&entries, rule, asks()), ["orders", "501"]);
    assert_eq!(answers(&entries, "", asks()), ["501", "501"]);
}

#[test]
fn same_hosts_replays_a_recording_of_another_host_and_port() {
    let mut moved = get("http://api.test/moved", "");
    moved["response"]["status"] = 302.into();
    moved["response"]["headers"] = json!([
        {"name": "Location", "value": "http://api.test/there"},
        {"name": "Set-Cookie", "value": "a=1; Domain=api.test"},
    ]);
    let rule = "[[match]]\nglob = 'http://api.test/**'\nsame-host = ['http://staging.test:*']\n";
    let sandbox = sandbox(&[get("http://api.test/x", "x"), moved], rule);
    let server = sandbox.start(["replay"]);
    let client = server.client(Proto::H1);
    assert_eq!(client.get("http://staging.test:8443/x").text(), "x");
    let moved = client.get("http://staging.test:8443/moved");
    assert_eq!(moved.header("location"), Some("http://staging.test:8443/there"));
    assert_eq!(moved.header("set-cookie"), Some("a=1; Domain=staging.test"));
    assert_eq!(client.get("http://elsewhere.test/x").header("x-harproxy"), Some("out-of-scope"));
    server.stop().expect(1);
}

#[test]
fn ignored_parameters_and_members_apply_to_the_urls_of_their_rule() {
    let entries = [
        get("http://api.test/search?q=a&ts=1", "search"),
        get("http://api.test/list?ts=1", "list"),
        entry("POST", "http://api.test/events", Some(r#"{"a":1,"at":5}"#), "event"),
    ];
    let rules = "[[match]]\nglob = '**/search*'\nignore-query = ['ts', '_']\n[[match]]\nglob = '**/events'\nignore-body = ['$.at']\n";
    let requests = [
        ask("http://api.test/search?q=a&ts=2&_=3"),
        ask("http://api.test/list?ts=2"),
        post("http://api.test/events", r#"{"a":1,"at":6}"#),
        post("http://api.test/events", r#"{"a":2,"at":6}"#),
    ];
    assert_eq!(answers(&entries, rules, requests), ["search", "501", "event", "501"]);
}

#[test]
fn payload_mode_follows_the_rule_of_its_url() {
    let entries = ["json", "form", "ignore", "exact"].map(|how| {
        let body = if how == "form" { "a=1&b=%32" } else { r#"{"a":1,"b":2}"# };
        let mut entry = entry("POST", &format!("http://api.test/{how}"), Some(body), how);
        let media = if how == "form" { "application/x-www-form-urlencoded" } else { "application/json" };
        entry["request"]["headers"] = json!([{"name": "content-type", "value": media}]);
        entry
    });
    let rules: String = ["json", "form", "ignore"]
        .iter()
        .map(|how| format!("[[match]]\nglob = '**/{how}'\nbody = '{how}'\n"))
        .collect();
    let form =
        TestRequest::new("POST", "http://api.test/form").header("content-type", "application/x-www-form-urlencoded");
    let requests = [
        post("http://api.test/json", r#"{ "b": 2, "a": 1 }"#),
        form.body("a=%31&b=2"),
        post("http://api.test/ignore", "x"),
        post("http://api.test/exact", r#"{ "b": 2, "a": 1 }"#),
    ];
    assert_eq!(answers(&entries, &rules, requests), ["json", "form", "ignore", "501"]);
}

#[test]
fn last_matching_rule_wins_over_earlier_rules_and_options() {
    let entries = [entry("POST", "http://api.test/x", Some(r#"{"a":1}"#), "x")];
    let config =
        "[replay]\nmatch-body = 'ignore'\n[[match]]\nbody = 'exact'\n[[match]]\nglob = '**/x'\nbody = 'json'\n";
    let requests = [post("http://api.test/x", r#"{"a": 1}"#), post("http://api.test/x", "y")];
    assert_eq!(answers(&entries, config, requests), ["x", "501"]);
}

#[test]
fn required_headers_of_a_rule_must_be_equal() {
    let mut a = get("http://api.test/graphql", "a");
    a["request"]["headers"] = json!([{"name": "X-Tenant", "value": "a"}]);
    let rule = "[[match]]\nglob = '**/graphql'\nmatch-header = ['X-Tenant']\n";
    let asks = || ["a", "b"].map(|tenant| ask("http://api.test/graphql").header("x-tenant", tenant));
    assert_eq!(answers(std::slice::from_ref(&a), rule, asks()), ["a", "501"]);
    assert_eq!(answers(&[a], "", asks()), ["a", "a"]);
}

#[test]
fn redirects_follow_the_rule_of_their_url() {
    let moved = |url: &str| {
        let mut entry = get(url, "");
        entry["response"]["status"] = 302.into();
        entry["response"]["headers"] = json!([{"name": "Location", "value": "/there"}]);
        entry
    };
    let entries = [moved("http://api.test/a"), moved("http://api.test/b"), get("http://api.test/there", "there")];
    let asks = || ["a", "b"].map(|path| ask(&format!("http://api.test/{path}")));
    let rule = "[[match]]\nglob = '**/a'\nredirects = 'follow'\n";
    assert_eq!(answers(&entries, rule, asks()), ["there", "302"]);
    let rule = "[replay]\nredirects = 'follow'\n[[match]]\nglob = '**/a'\nredirects = 'serve'\n";
    assert_eq!(answers(&entries, rule, asks()), ["302", "there"]);
}

#[test]
fn noise_is_a_miss_when_the_noise_list_is_off() {
    let entries = [get("http://api.test/x", "x")];
    let told = |config: &str| {
        let sandbox = sandbox(&entries, config);
        let server = sandbox.start(["replay"]);
        let client = server.client(Proto::H1);
        ["http://detectportal.firefox.com/success.txt", "http://api.test/favicon.ico"]
            .map(|url| client.get(url).header("x-harproxy").unwrap().to_owned())
    };
    assert_eq!(told(""), ["noise", "noise"]);
    assert_eq!(told("[scope]\nnoise = false"), ["out-of-scope", "miss"]);
}

#[test]
fn option_wins_over_variable_then_project_file_then_user_file() {
    let entries = [get("http://api.test/x", "x")];
    let sandbox = sandbox(&entries, "");
    let user = |text: &str| sandbox.write(".config/harproxy/config.toml", text);
    let status = |variable: Option<&str>, flags: &[&str]| {
        let mut command = sandbox.command(["replay", "--listen", "127.0.0.1:0", "--log-format", "json"]);
        command.args(flags);
        if let Some(value) = variable {
            command.env("HARPROXY_MISS_STATUS", value);
        }
        let server = Server::spawn(command);
        server.client(Proto::H1).get("http://api.test/none").status
    };
    user("[replay]\nmiss-status = 401\nno-mark = true\n");
    assert_eq!(status(None, &[]), 401);
    sandbox.write("harproxy.toml", "[replay]\nmiss-status = 402\n");
    assert_eq!(status(None, &[]), 402);
    assert_eq!(status(Some("403"), &[]), 403);
    assert_eq!(status(Some("403"), &["--miss-status", "404"]), 404);
}

#[test]
fn project_file_is_searched_upward_and_its_paths_are_relative_to_it() {
    let entries = [get("http://api.test/x", "x")];
    let sandbox = sandbox(&entries, "[replay]\nfixtures = ['recorded/api.har']\nmiss-status = 404\n");
    sandbox.write("recorded/api.har", sandbox.read("hars/api.har"));
    std::fs::remove_dir_all(sandbox.join("hars")).unwrap();
    sandbox.write("deep/er/other.toml", "[replay]\nfixtures = ['../../recorded']\nmiss-status = 405\n");
    let status = |folder: &str, flags: &[&str]| {
        let mut command = sandbox.command(["replay", "--listen", "127.0.0.1:0", "--log-format", "json"]);
        command.args(flags).current_dir(sandbox.join(folder));
        let server = Server::spawn(command);
        let client = server.client(Proto::H1);
        assert_eq!(client.get("http://api.test/x").text(), "x");
        client.get("http://api.test/none").status
    };
    assert_eq!(status("", &[]), 404);
    assert_eq!(status("deep/er", &[]), 404);
    assert_eq!(status("deep", &["--config", "er/other.toml"]), 405);
}

#[test]
fn recording_reads_options_from_the_project_file() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "harproxy.toml",
        "[record]\noutput = 'out/api.har'\ncontent = 'embed'\nglobs = ['**/api/**', '!**/health']\n",
    );
    let origin = Origin::start();
    let server = sandbox.start(["record".to_owned()].into_iter().chain(origin.args()));
    let client = server.client(Proto::H1);
    client.get("http://api.test/api/json");
    client.get("http://api.test/api/health");
    server.stop().expect(0);
    let har = sandbox.har("out/api.har");
    assert_eq!(har["log"]["_harproxy"]["scope"], json!(["**/api/**", "!**/health"]));
    assert_eq!(har["log"]["entries"].as_array().unwrap().len(), 1);
    assert!(har["log"]["entries"][0]["response"]["content"]["text"].is_string());
}

#[test]
fn noise_is_recorded_when_the_noise_list_is_off() {
    let recorded = |config: &str| {
        let sandbox = Sandbox::new();
        sandbox.write("harproxy.toml", config);
        let origin = Origin::start();
        let server = sandbox.record(&origin);
        let client = server.client(Proto::H1);
        client.get("http://api.test/favicon.ico");
        client.get("http://api.test/api/json");
        server.stop().expect(0);
        let har = sandbox.har("hars/api.har");
        let urls = har["log"]["entries"].as_array().unwrap().iter();
        urls.map(|entry| entry["request"]["url"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(recorded(""), ["http://api.test/api/json"]);
    let all = ["http://api.test/favicon.ico", "http://api.test/api/json"];
    assert_eq!(recorded("[scope]\nnoise = false"), all);
}

#[test]
fn invalid_settings_are_errors_with_positions_and_cmd_is_not_run() {
    let sandbox = sandbox(&[get("http://api.test/x", "x")], "[replay]\nmiss-status = 404\nignore-qurey = ['ts']\n");
    let out = sandbox.run(["replay", "--", "sh", "-c", "echo ran"]).expect(2);
    assert_eq!(out.stdout, "");
    out.says("harproxy.toml:3:1: unknown option of [replay] `ignore-qurey`; did you mean `ignore-query`?");
    sandbox.run(["record", "--", "true"]).expect(2);
    sandbox.run(["replay", "--config", "gone.toml"]).expect(2).says("gone.toml");
    sandbox.run(["replay", "--help"]).expect(0);
    sandbox.run(["ca", "path"]).expect(0);
    sandbox.write("harproxy.toml", "[replay]\nmiss-status = 'never'\n");
    sandbox.run(["replay", "--", "true"]).expect(2).says("harproxy.toml:2:15: `miss-status`: expected a status");
}

#[test]
fn pasted_hint_of_a_near_miss_works() {
    let [recorded, live] = ["1f0c9c2e-7b1f-4a36-9d0e-0b6f8f6f2a11", "9d0e7b1f-0c9c-4a36-8f6f-2a11d41d8cd9"]
        .map(|id| format!("http://api.test/users/{id}/orders"));
    let sandbox = sandbox(&[get(&recorded, "orders")], "");
    let remedy = {
        let server = sandbox.start(["replay"]);
        server.client(Proto::H1).get(&live).json()["remedy"].as_str().unwrap().to_owned()
    };
    let (before, rule) = remedy.split_once("in harproxy.toml:\n").unwrap();
    assert!(before.starts_with("record it: `harproxy "), "{remedy}");
    sandbox.write("harproxy.toml", rule);
    let server = sandbox.start(["replay"]);
    assert_eq!(server.client(Proto::H1).get(&live).text(), "orders");
}

/// The report of a finished run.
fn report(sandbox: &Sandbox) -> Value {
    serde_json::from_str(&sandbox.read("report.json")).unwrap()
}

fn findings(report: &Value, kind: &str) -> Vec<Value> {
    let findings = report["findings"].as_array().unwrap();
    findings.iter().filter(|finding| finding["kind"] == kind).cloned().collect()
}

#[test]
fn passthrough_forwards_only_matching_urls() {
    let origin = Origin::start();
    for proto in [Proto::H1, Proto::H2] {
        let config = "[replay]\nreport = ['report.json']\npassthrough = ['https://api.test/api/**', 'http://api.test/api/echo']\n";
        let sandbox = sandbox(&[get("http://api.test/api/json", "recorded")], config);
        let server = sandbox.start(["replay".to_owned()].into_iter().chain(origin.args()));
        let client = server.client(proto);
        let live = client.send(TestRequest::new("POST", "https://api.test/api/echo?x").body("sent"));
        assert_eq!((live.status, live.header("x-harproxy")), (200, Some("live")), "{proto:?}");
        assert_eq!((&live.json()["body"], &live.json()["path"]), (&json!("sent"), &json!("/api/echo?x")));
        assert_eq!(client.get("https://api.test/page").header("x-harproxy"), Some("out-of-scope"));
        let other = Client { proto: Proto::H1, ..client.clone() };
        assert_eq!(other.get("https://elsewhere.test/api/x").header("x-harproxy"), Some("out-of-scope"));
        assert_eq!(client.get("http://api.test/api/json").text(), "recorded");
        assert_eq!(client.get("http://api.test/api/text").header("x-harproxy"), Some("miss"));
        assert_eq!(client.get("http://api.test/api/echo").header("x-harproxy"), Some("live"));
        server.stop().expect(1);
        let report = report(&sandbox);
        assert_eq!((&report["counts"]["passed"], &report["counts"]["served"]), (&json!(2), &json!(1)));
        assert_eq!(report["counts"]["requests"], 6);
        let passed = findings(&report, "passthrough");
        assert_eq!(passed.len(), 2);
        assert_eq!(
            (&passed[0]["severity"], &passed[0]["request"]),
            (&json!("warning"), &json!("POST https://api.test/api/echo?x"))
        );
    }
}

#[test]
fn passthrough_forwards_upgrades_and_reports_an_unreachable_upstream() {
    let origin = Origin::start();
    let sandbox =
        sandbox(&[get("http://api.test/x", "x")], "[replay]\npassthrough = ['http://{api,gone}.test/live*']\n");
    let map = ["--map".to_owned(), "gone.test=127.0.0.1:1".to_owned()];
    let server = sandbox.start(["replay".to_owned()].into_iter().chain(origin.args()).chain(map));
    let mut stream = TcpStream::connect(server.proxy()).unwrap();
    stream
        .write_all(
            b"GET http://api.test/live HTTP/1.1\r\nHost: api.test\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n",
        )
        .unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    stream.write_all(b"hello").unwrap();
    let mut back = [0; 5];
    stream.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"hello");
    drop(stream);
    let down = server.client(Proto::H1).get("http://gone.test/live");
    assert_eq!((down.status, down.header("x-harproxy")), (502, Some("live")));
}

#[test]
fn on_miss_pass_forwards_misses_with_their_payload() {
    let origin = Origin::start();
    let entries =
        [get("http://api.test/api/json", "recorded"), entry("POST", "http://api.test/api/echo", Some("a"), "recorded")];
    let sandbox = sandbox(&entries, "[replay]\non-miss = 'passthrough'\n");
    let args = ["replay", "--report", "report.json", "--fail-on", "+passthrough"].map(str::to_owned);
    let server = sandbox.start(args.into_iter().chain(origin.args()));
    let client = server.client(Proto::H1);
    assert_eq!(client.get("http://api.test/api/json").text(), "recorded");
    let live = client.send(post("http://api.test/api/echo", "b"));
    assert_eq!((live.header("x-harproxy"), &live.json()["body"]), (Some("live"), &json!("b")));
    assert_eq!(client.get("http://elsewhere.test/x").header("x-harproxy"), Some("out-of-scope"));
    server.stop().expect(1);
    let report = report(&sandbox);
    assert_eq!((&report["counts"]["misses"], &report["counts"]["passed"]), (&json!(0), &json!(1)));
    let passed = findings(&report, "passthrough");
    assert_eq!(passed[0]["severity"], "error");
    assert!(passed[0]["explanation"].as_str().unwrap().contains("body is `b`, recorded `a`"), "{passed:?}");
}

#[test]
fn entries_older_than_max_age_are_reported() {
    let mut fresh = get("http://api.test/new", "new");
    fresh["startedDateTime"] = "2099-01-01T00:00:00.000Z".into();
    let sandbox = sandbox(&[get("http://api.test/old", "old"), fresh], "[replay]\nmax-age = '180d'\n");
    let run = |flags: &[&str], status: i32| {
        let args = ["replay", "--report", "report.json", "--fail-on"];
        sandbox.run(args.iter().chain(flags).chain(&["--", "true"])).expect(status);
        findings(&report(&sandbox), "stale")
    };
    let stale = run(&["none"], 0);
    assert_eq!((stale.len(), &stale[0]["entry"], &stale[0]["severity"]), (1, &json!(0), &json!("warning")));
    assert_eq!(stale[0]["request"], "GET http://api.test/old");
    run(&["stale"], 1);
    assert!(run(&["none", "--max-age", "36500d"], 0).is_empty());
}

#[test]
fn delayed_response_does_not_block_others() {
    let mut slow = get("http://api.test/slow", "slow");
    slow["time"] = 2000.into();
    let sandbox = sandbox(&[slow, get("http://api.test/quick", "quick")], "[replay]\nlatency = 'recorded'\n");
    let server = sandbox.start(["replay"]);
    let client = server.client(Proto::H1);
    let (tell, reported) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        for path in ["slow", "quick"] {
            let (tell, client) = (tell.clone(), client.clone());
            let request = move || tell.send(client.get(&format!("http://api.test/{path}")).text()).unwrap();
            scope.spawn(request);
        }
    });
    assert_eq!([reported.recv().unwrap(), reported.recv().unwrap()], ["quick", "slow"]);
}

/// A fixture has one finding, so that a thousand stale entries do not hide a miss.
#[test]
fn stale_entries_are_one_finding_per_fixture_in_replay_and_check() {
    let old: Vec<Value> = (0..1_200).map(|n| get(&format!("http://api.test/{n}"), "old")).collect();
    let sandbox = sandbox(&old, "[replay]\nmax-age = '180d'\nfail-on = ['+stale']\n");
    let cmd = ["--", "curl", "-s", "http://api.test/none", "http://api.test/0"];
    let output = sandbox.run(["replay", "--report", "report.json"].iter().chain(&cmd)).expect(1);
    let report = report(&sandbox);
    let stale = findings(&report, "stale");
    assert_eq!((stale.len(), &stale[0]["times"], &stale[0]["severity"]), (1, &json!(1_200), &json!("error")));
    assert_eq!(findings(&report, "miss").len(), 1, "stale entries do not hide the miss");
    let said = &output.stderr;
    assert!(said.contains("1 miss, 1200 stale entries"), "{said}");
    assert!(said.contains("1200 of 1200 entries of hars/api.har were recorded more than 180 days ago"), "{said}");
    assert!(said.contains("`harproxy record -o hars/api.har") && !said.contains("1200 times"), "{said}");
    let check = sandbox.run(["check", "hars/api.har"]);
    assert_eq!(check.stdout.matches("before --max-age").count(), 1_200, "{}", check.stdout);
    // `check` uses the fixtures of `[replay]`, too.
    sandbox.write("harproxy.toml", "[replay]\nmax-age = '180d'\nfixtures = ['hars/api.har']\n");
    let check = sandbox.run(["check", "--json"]).expect(0);
    assert_eq!(check.stdout.matches("\"kind\":\"stale\"").count(), 1_200, "{}", check.stdout);
    let check = sandbox.run(["check", "hars/api.har", "--max-age", "36500d"]);
    assert!(!check.stdout.contains("before --max-age"), "{}", check.stdout);
}
