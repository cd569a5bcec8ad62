//! Hints of misses with the real binary: the command that records the request comes first, and a rule is proposed only
//! for volatile values.

use serde_json::{Value, json};

use crate::support::origin::{Origin, OriginResponse};
use crate::support::sandbox::{Output, Sandbox};

/// Words of a hint that make a comparison less strict.
const LOOSENING: [&str; 5] = ["[[match]]", "--ignore-", "--match-body", "--same-host", "path ="];

const ONE: &str = "1f0c9c2e-7b1f-4a36-9d0e-0b6f8f6f2a11";
const OTHER: &str = "9d0e7b1f-0c9c-4a36-8f6f-2a11d41d8cd9";

/// Records these curl command lines.
fn recorded(requests: &[&[&str]]) -> (Sandbox, Origin) {
    let origin = Origin::answering(|request| {
        let body = format!("{} {}", request.method, request.path).into_bytes();
        Some(OriginResponse { status: 200, body, ..OriginResponse::default() })
    });
    let sandbox = Sandbox::new();
    let record = ["record", "-o", "hars/api.har"].map(str::to_owned).into_iter().chain(origin.args());
    let lines: Vec<String> = requests.iter().map(|words| line(words)).collect();
    sandbox.run(record.chain(["--", "sh", "-c", &lines.join("; ")].map(str::to_owned))).expect(0);
    (sandbox, origin)
}

fn line(words: &[&str]) -> String {
    format!("curl -s {}", harproxy_support::shell_quote::words(words))
}

/// Replays one curl command line that is a miss. Returns the output and the hint.
fn missed(sandbox: &Sandbox, options: &[&str], request: &[&str]) -> (Output, String) {
    let args = [&["replay", "hars/api.har", "--report", "r.json"], options, &["--", "curl", "-s"], request].concat();
    let output = sandbox.run(args).expect(1);
    let report = sandbox.har("r.json");
    let miss = report["findings"].as_array().unwrap().iter().find(|finding| finding["kind"] == "miss");
    let hint = miss.unwrap_or_else(|| panic!("{report:#}"))["remedy"].as_str().unwrap().to_owned();
    (output, hint)
}

fn post<'a>(url: &'a str, body: &'a str) -> [&'a str; 5] {
    [url, "-H", "content-type: application/json", "-d", body]
}

#[test]
fn miss_is_recorded_first_and_no_rule_is_proposed_when_the_difference_may_matter() {
    const ORDERS: &str = "http://api.test/v1/orders";
    let graphql = |name: &str| format!(r#"{{"operationName":"{name}","query":"query {name} {{ a }}"}}"#);
    let (q1, q9) = (graphql("Q1"), graphql("Q9"));
    let order = r#"{"lines":[{"sku":"A-1","qty":1}],"note":"now","coupon":null}"#;
    let other_order = r#"{"lines":[{"sku":"B-7","qty":4}],"note":"later","coupon":"X"}"#;
    let upload = ["http://api.test/upload", "-F", "file=cat;filename=cat.png"];
    let (sandbox, _origin) = recorded(&[
        &[ORDERS],
        &["http://api.test/api/events"],
        &["http://api.test/list?page=1"],
        &["http://api.test/list?page=2"],
        &post("http://api.test/graphql", &q1),
        &post("http://api.test/order", order),
        &post("http://api.test/count", r#"{"count":2}"#),
        &upload,
    ]);
    for (request, meant) in [
        (&["http://api.test/v1/order"][..], Some(ORDERS)),
        (&["http://api.test/api/invoices"], None),
        (&post("http://api.test/graphql", &q9), None),
        (&post("http://api.test/order", other_order), None),
        (&["http://api.test/list?page=99"], None),
        (&post("http://api.test/count", r#"{"count":3}"#), None),
        (&["http://api.test/upload", "-F", "file=dog;filename=dog.png"], None),
    ] {
        let (output, hint) = missed(&sandbox, &[], request);
        let mut lines = hint.lines();
        let cmd = harproxy_support::shell_quote::words([&["curl", "-s"], request].concat());
        let record = format!("record it: `harproxy replay hars/api.har --on-miss record -- {cmd}`");
        assert_eq!(lines.next(), Some(record.as_str()));
        output.says(&format!("hint: {record}"));
        assert_eq!(lines.next(), meant.map(|url| format!("did you mean GET {url}?")).as_deref());
        assert_eq!(lines.next(), None, "{hint}");
        assert!(!LOOSENING.iter().any(|word| hint.contains(word)), "{hint}");
    }
}

#[test]
fn command_in_the_hint_records_the_miss() {
    let (sandbox, origin) = recorded(&[&["http://api.test/a"]]);
    let map: Vec<String> = origin.args();
    let options: Vec<&str> = map.iter().map(String::as_str).collect();
    let url = "http://api.test/b?x=1&y='2'";
    let (_, hint) = missed(&sandbox, &options, &[url]);
    let command = hint.split('`').nth(1).unwrap();
    let command = command.replacen("harproxy", env!("CARGO_BIN_EXE_harproxy"), 1);
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", &command]).current_dir(sandbox.path()).env_remove("CI");
    for (name, value) in sandbox.command([""; 0]).get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    crate::support::sandbox::finish(shell.output().unwrap()).expect(0);
    let output = sandbox.run(["replay", "hars/api.har", "--", "curl", "-s", url]).expect(0);
    assert!(output.stdout.starts_with("GET /b?x=1"), "{output:?}");
}

#[test]
fn secrets_of_cmd_are_not_in_the_hint() {
    let (sandbox, _origin) = recorded(&[&["http://api.test/a"]]);
    let request = ["-H", "authorization: Bearer hunter2-hunter2", "http://api.test/b"];
    let (output, hint) = missed(&sandbox, &["-g", "http://api.test/**"], &request);
    let command = "harproxy replay hars/api.har --on-miss record -g 'http://api.test/**' -- \
                   curl -s -H 'authorization: Bearer REDACTED-authorization' http://api.test/b";
    assert_eq!(hint, format!("record it: `{command}`"));
    assert!(!output.stderr.contains("hunter2"), "{output:?}");
}

#[test]
fn script_of_several_lines_is_one_line_in_the_hint() {
    let (sandbox, _origin) = recorded(&[&["http://api.test/a"]]);
    let args = ["replay", "hars/api.har", "--", "sh", "-c", "curl -s http://api.test/b\nexit 0"];
    let output = sandbox.run(args).expect(1);
    output.says(r"--on-miss record -- sh -c $'curl -s http://api.test/b\nexit 0'`");
}

#[test]
fn rule_for_a_volatile_value_follows_the_command_and_works() {
    let at = |seconds: u64| json!({"at": seconds, "name": "Ada"}).to_string();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let (user, other_user) = (format!("http://api.test/users/{ONE}"), format!("http://api.test/users/{OTHER}"));
    let (traced, other_traced) =
        (format!("http://api.test/list?page=1&trace={ONE}"), format!("http://api.test/list?page=1&trace={OTHER}"));
    let (body, other_body) = (at(now - 1000), at(now));
    let (sandbox, _origin) = recorded(&[&[&user], &[&traced], &post("http://api.test/events", &body)]);
    let event = post("http://api.test/events", &other_body);
    for (request, rule) in [
        (&[other_user.as_str()][..], "glob = \"http://api.test/users/*\"\npath = \"/users/{id}\""),
        (&[other_traced.as_str()], "glob = \"http://api.test/list?**\"\nignore-query = [\"trace\"]"),
        (&event, "glob = \"http://api.test/events\"\nignore-body = [\"$.at\"]"),
    ] {
        sandbox.write("harproxy.toml", "");
        let (_, hint) = missed(&sandbox, &[], request);
        let (record, toml) = hint.split_once("\nif the difference does not matter: in harproxy.toml:\n").unwrap();
        assert!(record.starts_with("record it: `harproxy replay hars/api.har --on-miss record -- curl -s "), "{hint}");
        assert_eq!(toml, format!("[[match]]\n{rule}"));
        sandbox.write("harproxy.toml", toml);
        sandbox.run([&["replay", "hars/api.har", "--", "curl", "-s"], request].concat()).expect(0);
    }
}

#[test]
fn id_with_several_recorded_values_has_no_rule() {
    let id = |id: &str| format!("http://api.test/users/{id}");
    let (sandbox, _origin) = recorded(&[&[&id(ONE)], &[&id("22222222-7b1f-4a36-9d0e-0b6f8f6f2a11")]]);
    let (_, hint) = missed(&sandbox, &[], &[&id(OTHER)]);
    assert_eq!(hint.lines().count(), 1, "{hint}");
}

/// An entry of a fixture that was written by hand.
fn entry(url: &str, status: i32) -> Value {
    let error = if status == 0 { json!({"error": {"kind": "tls", "message": "refused"}}) } else { Value::Null };
    json!({
        "startedDateTime": "2026-11-01T00:00:00.000Z", "time": 1, "cache": {},
        "timings": {"send": 0, "wait": 1, "receive": 0}, "_harproxy": error,
        "request": {"method": "GET", "url": url, "httpVersion": "HTTP/1.1", "cookies": [], "headers": [],
            "queryString": [], "headersSize": -1, "bodySize": -1},
        "response": {"status": status, "statusText": "", "httpVersion": "HTTP/1.1", "cookies": [], "headers": [],
            "content": {"size": 2, "mimeType": "text/plain", "text": "ok"}, "redirectURL": "", "headersSize": -1,
            "bodySize": -1},
    })
}

fn fixture(scope: &str, entries: &[Value]) -> Sandbox {
    let sandbox = Sandbox::new();
    let har = json!({"log": {"version": "1.2", "creator": {"name": "harproxy", "version": "1"},
        "_harproxy": {"version": 1, "scope": [scope]}, "entries": entries}});
    sandbox.write("hars/api.har", har.to_string());
    sandbox
}

#[test]
fn nearest_entry_that_is_a_failure_has_no_rule() {
    let sandbox = fixture("**", &[entry("https://nohost.test/s", 0), entry("http://api.test/t?at=2026-11-02", 0)]);
    for url in ["http://other.test/s", "http://api.test/t?at=2026-11-03"] {
        let (_, hint) = missed(&sandbox, &[], &[url]);
        assert!(hint.starts_with("record it: ") && hint.lines().count() == 1, "{hint}");
    }
}

#[test]
fn loopback_server_at_a_new_port_gets_a_pattern_for_any_port() {
    let sandbox = fixture("http://127.0.0.1:*/**", &[entry("http://127.0.0.1:44095/agg", 200)]);
    let (_, hint) = missed(&sandbox, &["-g", "http://127.0.0.1:*/**"], &["http://127.0.0.1:44581/agg"]);
    let option = "--same-host 'http://127.0.0.1:*=http://127.0.0.1:44095'";
    assert!(hint.starts_with("record it: ") && hint.ends_with(option), "{hint}");
    for port in [44581, 41999] {
        let url = format!("http://127.0.0.1:{port}/agg");
        let pair = "http://127.0.0.1:*=http://127.0.0.1:44095";
        let output = sandbox.run(["replay", "hars/api.har", "--same-host", pair, "--", "curl", "-s", &url]).expect(0);
        assert_eq!(output.stdout, "ok");
    }
}

#[test]
fn request_out_of_scope_gets_the_recorded_origin_and_is_the_only_finding() {
    let entries = [1, 2, 3].map(|page| entry(&format!("https://prod.test/list?page={page}"), 200));
    let sandbox = fixture("https://prod.test/**", &entries);
    let urls = [1, 2, 3].map(|page| format!("http://staging.test/list?page={page}"));
    let args = ["replay", "hars/api.har", "--report", "r.json", "--", "curl", "-s"].map(str::to_owned);
    let output = sandbox.run(args.into_iter().chain(urls.clone())).expect(1);
    let option = "--same-host http://staging.test=https://prod.test";
    output.says(option).says("and 2 more requests to this origin: GET /list?page=2");
}

#[test]
fn wrong_glob_is_one_finding_and_the_status_stays() {
    let entries = [1, 2, 3].map(|page| entry(&format!("http://api.test/list?page={page}"), 200));
    let sandbox = fixture("http://api.test/**", &entries);
    let replay = |fail_on: &str, cmd: &[&str]| {
        let args = ["replay", "hars/api.har", "-g", "http://api.test/v2/**", "--report", "r.json", fail_on, "--"];
        let output = sandbox.run([&args, cmd].concat());
        let report = sandbox.har("r.json");
        let kinds: Vec<String> = report["findings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|finding| finding["kind"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(report["fixtures"][0]["unusedEntries"], json!([0, 1, 2]), "the data is complete");
        (output, kinds)
    };
    let curl = ["curl", "-s", "http://api.test/list?page=1"];
    let (output, kinds) = replay("--fail-on=+unused", &curl);
    assert_eq!(kinds, ["out-of-scope"]);
    let output = output.expect(1).says("✗ replay failed: 1 request out of scope").says("no entry was used");
    assert!(!output.stderr.contains("unused:") && !output.stderr.contains("no-traffic"), "{output:?}");
    let (output, kinds) = replay("--fail-on=-out-of-scope", &curl);
    output.expect(1);
    assert_eq!(kinds, ["out-of-scope", "no-traffic"]);
    let (output, kinds) = replay("--fail-on=miss", &["true"]);
    output.expect(0);
    assert_eq!(kinds, ["no-traffic"]);
    let (output, kinds) = replay("--fail-on=unused", &["true"]);
    output.expect(1).says("✗ unused: 3 of 3 entries of hars/api.har");
    assert_eq!(kinds, ["no-traffic", "unused", "unused", "unused"]);
}

#[test]
fn misses_of_one_endpoint_are_grouped() {
    let (sandbox, _origin) = recorded(&[&["http://api.test/list?page=1"]]);
    let urls = (2..15).map(|page| format!("http://api.test/list?page={page}"));
    let args = ["replay", "hars/api.har", "--report", "r.json", "--", "curl", "-s"].map(str::to_owned);
    let output = sandbox.run(args.into_iter().chain(urls)).expect(1);
    let output = output.says("13 misses").says("and 12 more misses of this endpoint: /list?page=3, /list?page=4");
    assert!(output.stderr.lines().count() < 15, "{}", output.stderr);
    let report = sandbox.har("r.json");
    let misses = report["findings"].as_array().unwrap().iter().filter(|finding| finding["kind"] == "miss");
    assert_eq!(misses.count(), 13);
}
