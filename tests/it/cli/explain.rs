//! `explain`: the entry that would answer a request, and the reason.

use std::io::Write;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::sandbox::{Output, Sandbox, finish};

fn entry(method: &str, url: &str, headers: &Value, post: Option<&str>, response: &Value) -> Value {
    let mut entry = json!({
        "startedDateTime": "2026-01-01T00:00:00.000Z", "time": 1, "cache": {}, "timings": {"send": 0, "wait": 1, "receive": 0},
        "request": {"method": method, "url": url, "httpVersion": "HTTP/1.1", "cookies": [], "headers": headers,
            "queryString": [], "headersSize": -1, "bodySize": -1},
        "response": {"status": 200, "statusText": "OK", "httpVersion": "HTTP/1.1", "cookies": [], "headers": [],
            "content": {"size": 1, "mimeType": "text/plain", "text": "x"}, "redirectURL": "", "headersSize": -1, "bodySize": -1},
    });
    if let Some(text) = post {
        entry["request"]["postData"] = json!({"mimeType": "application/json", "text": text});
    }
    for (name, value) in response.as_object().unwrap() {
        entry["response"][name] = value.clone();
    }
    entry
}

fn text(text: &str) -> Value {
    json!({"content": {"size": text.len(), "mimeType": "text/plain", "text": text}})
}

fn redirect(status: u16, location: &str) -> Value {
    json!({"status": status, "statusText": "Found", "headers": [{"name": "Location", "value": location}],
        "content": {"size": 0, "mimeType": "x-unknown"}})
}

/// A folder with a HAR of another tool under `hars/`.
fn foreign_fixture() -> Sandbox {
    let (none, en) =
        (json!([]), json!([{"name": "Accept-Language", "value": "en"}, {"name": "X-Tenant", "value": "a"}]));
    let entries = [
        entry("GET", "https://api.test/job", &none, None, &text("pending")),
        entry("GET", "https://api.test/job", &none, None, &text("done")),
        entry("GET", "https://api.test/users?page=1", &en, None, &text("one")),
        entry("GET", "https://api.test/old", &none, None, &redirect(302, "/job#top")),
        entry("GET", "https://api.test/out", &none, None, &redirect(307, "https://api.test/elsewhere")),
        entry("POST", "https://api.test/users", &none, Some(r#"{"name":"Ada"}"#), &text("made")),
        entry("GET", "https://api.test/down", &none, None, &json!({"status": 0, "statusText": ""})),
        entry("GET", "https://api.test/users?page=1", &none, None, &text("uno")),
    ];
    let sandbox = Sandbox::new();
    let har = json!({"log": {"version": "1.2", "creator": {"name": "tool", "version": "1"}, "entries": entries}});
    sandbox.write("hars/api.har", serde_json::to_string_pretty(&har).unwrap());
    sandbox
}

fn run_with_input(sandbox: &Sandbox, args: &[&str], input: &[u8]) -> Output {
    let mut command = sandbox.command(args);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let _ = child.stdin.take().unwrap().write_all(input);
    finish(child.wait_with_output().unwrap())
}

/// The results for these requests, read by one `explain`.
fn answers(sandbox: &Sandbox, options: &[&str], requests: &[Value]) -> Vec<Value> {
    let lines: Vec<String> = requests.iter().map(ToString::to_string).collect();
    let args = [&["explain", "--json", "--requests", "-"], options].concat();
    let output = run_with_input(sandbox, &args, lines.join("\n").as_bytes()).expect(0);
    assert_eq!(output.stderr, "");
    output.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn get(url: &str) -> Value {
    json!({"url": url, "method": "GET", "headers": [], "bodyBase64": null})
}

#[test]
fn explain_json_has_exactly_the_documented_members() {
    let sandbox = foreign_fixture();
    let output = answers(
        &sandbox,
        &[],
        &[
            get("https://api.test/job"),
            get("https://api.test/out"),
            get("https://api.test/down"),
            get("https://api.test/users?page=3"),
        ],
    );
    let sha256 = |text: &str| -> String {
        use sha2::Digest;
        sha2::Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let expected = [
        json!({"action": "serve", "fixture": "hars/api.har", "entry": 0, "status": 200, "location": null,
            "bodySha256": sha256("pending"), "followed": [], "score": 0, "near": [], "remedy": null}),
        json!({"action": "redirect", "fixture": "hars/api.har", "entry": 4, "status": 307,
            "location": "https://api.test/elsewhere", "bodySha256": sha256(""), "followed": [], "score": 0, "near": [],
            "remedy": null}),
        json!({"action": "abort", "fixture": "hars/api.har", "entry": 6, "status": null, "location": null,
            "bodySha256": null, "followed": [], "score": 0, "near": [], "remedy": null}),
        json!({"action": "miss", "fixture": null, "entry": null, "status": null, "location": null, "bodySha256": null,
            "followed": [], "score": null, "near": [
                {"fixture": "hars/api.har", "entry": 2,
                    "differences": [{"what": "query", "name": "page", "request": "3", "recorded": "1"}]},
                {"fixture": "hars/api.har", "entry": 7,
                    "differences": [{"what": "query", "name": "page", "request": "3", "recorded": "1"}]},
            ], "remedy": "record it: `harproxy record`"}),
    ];
    assert_eq!(output, expected);
    let names: Vec<&String> = output[0].as_object().unwrap().keys().collect();
    let order =
        ["action", "fixture", "entry", "status", "location", "bodySha256", "followed", "score", "near", "remedy"];
    assert_eq!(names, order);
}

#[test]
fn requests_advance_sequences_in_line_order() {
    let sandbox = foreign_fixture();
    let jobs = [get("https://api.test/job"), get("https://api.test/job"), get("https://api.test/job")];
    let entries = |options: &[&str]| -> Vec<Value> {
        answers(&sandbox, options, &jobs).iter().map(|answer| answer["entry"].clone()).collect()
    };
    assert_eq!(entries(&[]), [0, 1, 1]);
    assert_eq!(entries(&["--repeat", "first"]), [0, 0, 0]);
    assert_eq!(entries(&["--repeat", "once"]), [json!(0), json!(1), Value::Null]);
}

#[test]
fn explain_follows_redirects_like_replay() {
    let sandbox = foreign_fixture();
    let mut navigation = get("https://api.test/old");
    navigation["headers"] = json!([{"name": "Sec-Fetch-Mode", "value": "navigate"}]);
    let request = [get("https://api.test/old"), navigation];
    let output = answers(&sandbox, &["--repeat", "first"], &request);
    assert_eq!(
        (&output[0]["action"], &output[0]["entry"], &output[0]["followed"]),
        (&json!("serve"), &json!(0), &json!([3]))
    );
    assert_eq!(
        (&output[1]["action"], &output[1]["entry"], &output[1]["status"]),
        (&json!("redirect"), &json!(3), &json!(302))
    );
    assert_eq!(output[1]["location"], "https://api.test/job");
    let served = answers(&sandbox, &["--redirects", "serve"], &request[..1]);
    assert_eq!((&served[0]["action"], &served[0]["followed"]), (&json!("redirect"), &json!([])));
    let moved = answers(
        &sandbox,
        &["--redirects", "serve", "--same-host", "http://localhost:3000=https://api.test"],
        &[get("http://localhost:3000/out")],
    );
    assert_eq!(moved[0]["location"], "http://localhost:3000/elsewhere", "as the client receives it");
}

#[test]
fn request_is_built_from_options() {
    let sandbox = foreign_fixture();
    let ask = |more: &[&str], input: &[u8]| -> Value {
        let args = [&["explain", "--json", "hars", "--url"], more].concat();
        serde_json::from_str(&run_with_input(&sandbox, &args, input).expect(0).stdout).unwrap()
    };
    sandbox.write("ada.json", r#"{"name":"Ada"}"#);
    let users = "https://api.test/users";
    for (more, input) in [
        (&[users, "-d", r#"{"name":"Ada"}"#][..], &b""[..]),
        (&[users, "-X", "POST", "-d", "@ada.json"], b""),
        (&[users, "-d", "@-"], br#"{"name":"Ada"}"#),
        (&[users, "-d", r#"{ "name": "Ada" }"#, "--match-body", "json"], b""),
    ] {
        assert_eq!(ask(more, input)["entry"], 5, "{more:?}");
    }
    assert_eq!(ask(&[users, "-d", "{}"], b"")["action"], "miss");
    assert_eq!(ask(&[users, "-X", "PUT"], b"")["action"], "miss");
    let page = "https://api.test/users?page=1";
    let scored = ask(&[page, "-H", "accept-language: en", "-H", "X-Tenant:a", "-g", "https://other.test/**"], b"");
    assert_eq!((&scored["entry"], &scored["score"]), (&json!(2), &json!(2)), "the scope is ignored");
    assert_eq!(ask(&["https://api.test/users?page=9", "--ignore-query", "page"], b"")["entry"], 7);
    let english = ["https://api.test/users?page=9", "--ignore-query", "page", "-H", "accept-language: en"];
    assert_eq!(ask(&english, b"")["entry"], 2);
}

#[test]
fn explain_text_has_the_reason() {
    let sandbox = foreign_fixture();
    let ask = |more: &[&str]| sandbox.run([&["explain", "--url"], more].concat()).expect(0).stdout;
    let line = |entry: usize| {
        let har = sandbox.read("hars/api.har");
        let mut starts = har.lines().enumerate().filter(|(_, line)| *line == "      {").map(|(n, _)| n + 1);
        starts.nth(entry).unwrap()
    };
    assert_eq!(
        ask(&["https://api.test/users?page=1", "-H", "accept-language: en", "-H", "x-tenant: b"]),
        format!(
            "serve: GET https://api.test/users?page=1\n  \
               hars/api.har#2 (line {}): 200 OK, 3 bytes\n  \
               score 1: repeats accept-language; recorded, not repeated: x-tenant\n  \
               not hars/api.har#7 (line {}): another entry agrees in more of the headers that select a representation\n",
            line(2),
            line(7)
        )
    );
    let job = ask(&["https://api.test/job"]);
    assert!(
        job.contains(&format!("not hars/api.har#1 (line {}): equal rank; later in the sequence\n", line(1))),
        "{job}"
    );
    let miss = ask(&["https://api.test/users?page=3"]);
    assert!(miss.starts_with("miss: GET https://api.test/users?page=3\n  no entry has this URL; 3 entries"), "{miss}");
    assert!(miss.contains("query parameter `page` is `3`, recorded `1`"), "{miss}");
    assert!(miss.ends_with("  remedy: record it: `harproxy record`\n"), "{miss}");
    let body = ask(&["https://api.test/users", "-d", r#"{"name":"Bob"}"#]);
    assert!(body.contains("body `$.name` is `Bob`, recorded `Ada`"), "{body}");
    let followed = ask(&["https://api.test/old"]);
    assert!(followed.contains(&format!("redirects followed: hars/api.har#3 (line {})", line(3))), "{followed}");
    let away = ask(&["https://api.test/out"]);
    assert!(away.starts_with("redirect: ") && away.contains("307 to https://api.test/elsewhere"), "{away}");
    assert!(ask(&["https://api.test/down"]).contains("the connection is closed"));
    let outside = ask(&["https://api.test/job", "-g", "!**/job"]);
    assert!(outside.contains("out of scope: "), "{outside}");
    let coloured = sandbox.run(["explain", "--color", "always", "--url", "https://api.test/x"]).expect(0).stdout;
    assert!(coloured.starts_with("\u{1b}["), "{coloured:?}");
}

#[test]
fn explain_text_marks_used_entries() {
    let sandbox = foreign_fixture();
    let lines = format!("{0}\n\n{0}\r\n{0}\n", get("https://api.test/job"));
    sandbox.write("requests.jsonl", &lines);
    let output = sandbox.run(["explain", "--requests", "requests.jsonl"]).expect(0).stdout;
    let told: Vec<&str> = output.split("\n\n").collect();
    assert_eq!(told.len(), 3, "{output}");
    assert!(told[1].contains("api.har#1 ") && told[1].contains("equal rank; already used"), "{output}");
    assert!(told[2].contains("it was already used, and no other entry has the same rank"), "{output}");
}

#[test]
fn invalid_requests_are_errors_with_a_position() {
    let sandbox = foreign_fixture();
    let lines = format!("{}\n\n{{\"url\":7}}\n", get("https://api.test/job"));
    let output = run_with_input(&sandbox, &["explain", "--json", "--requests", "-"], lines.as_bytes()).expect(2);
    assert_eq!(output.stdout.lines().count(), 1, "earlier requests are answered");
    output.says("line 3 of standard input: ").says("hint: ");
    sandbox.write("bad.jsonl", "{\"url\":\"/relative\"}");
    sandbox.run(["explain", "--requests", "bad.jsonl"]).expect(2).says("line 1 of bad.jsonl: `/relative` is not a URL");
    sandbox.run(["explain", "--requests", "gone.jsonl"]).expect(2).says("gone.jsonl");
    sandbox.run(["explain", "gone.har", "--url", "http://a.test/"]).expect(2).says("gone.har");
    sandbox.write("bad.har", "{");
    sandbox.run(["explain", "bad.har", "--url", "http://a.test/"]).expect(2).says("bad.har");
    sandbox.run(["explain", "--url", "users"]).expect(2).says("https://api.example.com/users");
    sandbox.run(["explain", "--url", "http://a.test/", "-H", "x"]).expect(2).says("accept: application/json");
    sandbox.run(["explain", "--url", "http://a.test/", "-d", "@"]).expect(2).says("@order.json");
    sandbox.run(["explain", "--url", "http://a.test/", "--requests", "x"]).expect(2).says("cannot be used with");
    sandbox.run(["explain", "--requests", "x", "-d", "y"]).expect(2).says("cannot be used with");
    sandbox.run(["explain"]).expect(2).says("--url");
}

/// Runs `explain --json` for one URL in a folder of the sandbox. Returns the result.
fn explained_in(sandbox: &Sandbox, folder: &str, args: &[&str]) -> Value {
    std::fs::create_dir_all(sandbox.join(folder)).unwrap();
    let mut command = sandbox.command(["explain", "--json"]);
    let output = finish(command.args(args).current_dir(sandbox.join(folder)).output().unwrap()).expect(0);
    serde_json::from_str(&output.stdout).unwrap()
}

#[test]
fn configuration_is_found_from_subfolders() {
    let sandbox = foreign_fixture();
    sandbox.write(
        "harproxy.toml",
        "[replay]\nfixtures = ['hars']\nignore-query = ['ts']\n\n\
         [[match]]\nglob = 'https://api.test/users*'\nbody = 'ignore'\nmatch-header = ['x-tenant']\n",
    );
    for folder in ["", "deep/er"] {
        let ask = |args: &[&str]| explained_in(&sandbox, folder, args);
        let job = ask(&["--url", "https://api.test/job?ts=1"]);
        assert_eq!((&job["action"], &job["entry"]), (&json!("serve"), &json!(0)), "{folder}: {job}");
        // The rule applies to its URL: another payload matches, another tenant does not.
        let made = ask(&["--url", "https://api.test/users", "-X", "POST", "-d", "other"]);
        assert_eq!((&made["action"], &made["entry"]), (&json!("serve"), &json!(5)), "{folder}: {made}");
        let tenant = ask(&["--url", "https://api.test/users?page=1", "-H", "x-tenant: a"]);
        assert_eq!(tenant["entry"], json!(2), "{folder}: {tenant}");
        let stranger = ask(&["--url", "https://api.test/users?page=1", "-H", "x-tenant: b"]);
        assert_eq!(stranger["action"], json!("miss"), "{folder}: {stranger}");
        assert_eq!(stranger["near"][0]["differences"][0]["name"], json!("x-tenant"), "{folder}: {stranger}");
        // An option wins over the file.
        let strict = ask(&["--url", "https://api.test/job?ts=1", "--ignore-query", "other"]);
        assert_eq!(strict["action"], json!("miss"), "{folder}: {strict}");
    }
}

#[test]
fn config_option_replaces_the_project_file() {
    let sandbox = foreign_fixture();
    sandbox.write("harproxy.toml", "[replay]\nfixtures = ['nowhere']\n");
    sandbox.write(
        "ci/other.toml",
        "[replay]\nfixtures = ['../hars']\nrepeat = 'first'\n[[match]]\nglob = '**'\nignore-query = ['ts']\n",
    );
    let first = explained_in(&sandbox, "", &["--config", "ci/other.toml", "--url", "https://api.test/job?ts=1"]);
    assert_eq!((&first["fixture"], &first["entry"]), (&json!("ci/../hars/api.har"), &json!(0)), "{first}");
    let refused = sandbox.run(["explain", "--url", "https://api.test/job"]);
    assert!(refused.status == 2 && refused.stderr.contains("nowhere"), "{refused:?}");
}
