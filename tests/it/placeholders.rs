//! Redacted fixtures, replayed by the binary to clients with other secrets.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::support::client::{Proto, TestRequest, TestResponse};
use crate::support::sandbox::Sandbox;

const FORM: &str = "application/x-www-form-urlencoded";

/// An entry of a fixture.
struct Entry(Value);

fn entry(method: &str, url: &str) -> Entry {
    Entry(json!({
        "startedDateTime": "2024-01-01T00:00:00.000Z", "time": 1, "cache": {}, "timings": {"send": 0, "wait": 1, "receive": 0},
        "request": {"method": method, "url": url, "httpVersion": "HTTP/1.1", "cookies": [], "headers": [], "queryString": [],
            "headersSize": -1, "bodySize": -1},
        "response": {"status": 200, "statusText": "OK", "httpVersion": "HTTP/1.1", "cookies": [],
            "headers": [{"name": "date", "value": "Mon, 01 Jan 2024 00:00:00 GMT"}],
            "content": {"size": 0, "mimeType": "application/json", "text": ""}, "redirectURL": "", "headersSize": -1, "bodySize": -1},
    }))
}

impl Entry {
    fn with(mut self, name: &str, value: &str) -> Self {
        self.0["request"]["headers"].as_array_mut().unwrap().push(json!({"name": name, "value": value}));
        self
    }

    fn sent(mut self, mime_type: &str, body: &str) -> Self {
        self.0["request"]["postData"] = json!({"mimeType": mime_type, "text": body});
        self.with("content-type", mime_type)
    }

    fn status(mut self, status: u16) -> Self {
        self.0["response"]["status"] = status.into();
        self
    }

    fn answers(mut self, name: &str, value: &str) -> Self {
        self.0["response"]["headers"].as_array_mut().unwrap().push(json!({"name": name, "value": value}));
        self
    }

    fn says(mut self, text: &str) -> Self {
        let content = json!({"size": text.len(), "mimeType": "application/json", "text": text});
        self.0["response"]["content"] = content;
        self.answers("content-type", "application/json")
    }
}

fn sandbox(entries: impl IntoIterator<Item = Entry>, config: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    let entries: Vec<Value> = entries.into_iter().map(|entry| entry.0).collect();
    let har = json!({"log": {"version": "1.2", "creator": {"name": "harproxy", "version": "1"},
        "_harproxy": {"version": 1, "scope": ["http://api.test/**"]}, "entries": entries}});
    sandbox.write("hars/api.har", har.to_string());
    sandbox.write("harproxy.toml", config);
    sandbox
}

fn jwt(expires: i64) -> String {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let claims = format!(r#"{{"iss":"http://api.test","iat":{},"exp":{expires}}}"#, expires - 3600);
    format!("{}.{}.REDACTED-access_token-1", part(r#"{"alg":"RS256"}"#), part(&claims))
}

fn expires(token: &str) -> i64 {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice::<Value>(&claims).unwrap()["exp"].as_i64().unwrap()
}

fn login(password: &str) -> TestRequest {
    let body = format!(r#"{{"user":"ada","password":"{password}"}}"#);
    TestRequest::new("POST", "http://api.test/login").header("content-type", "application/json").body(body)
}

fn recorded_login(n: u64) -> Entry {
    entry("POST", "http://api.test/login")
        .sent("application/json", &format!(r#"{{"user":"ada","password":"REDACTED-password-{n}"}}"#))
}

fn me(bearer: &str) -> TestRequest {
    TestRequest::new("GET", "http://api.test/me").header("authorization", &format!("Bearer {bearer}"))
}

fn recorded_me(bearer: &str, name: &str) -> Entry {
    entry("GET", "http://api.test/me")
        .with("authorization", &format!("Bearer {bearer}"))
        .says(&format!(r#"{{"name":"{name}"}}"#))
}

/// 2024-01-01T01:00:00Z, an hour after the recording.
const THEN: i64 = 1_704_070_800;
/// 2026-01-01T01:00:00Z, an hour after the replay.
const NOW: i64 = 1_767_229_200;

#[test]
fn login_with_a_dummy_password_and_its_tokens_works_two_years_later() {
    let cookie = "sid=REDACTED-sid-1";
    let entries = [
        recorded_login(1)
            .answers("set-cookie", &format!("{cookie}; Path=/; HttpOnly"))
            .says(&format!(r#"{{"access_token":"{}","refresh_token":"REDACTED-refresh_token-1"}}"#, jwt(THEN))),
        recorded_me("REDACTED-access_token-7", "somebody else"),
        recorded_me(&jwt(THEN), "ada").with("cookie", &format!("theme=dark; {cookie}")),
        entry("POST", "http://api.test/token")
            .sent(FORM, &format!("grant_type=refresh_token&refresh_token=REDACTED-refresh_token-1&hint={}", jwt(THEN)))
            .says("{}"),
        entry("GET", &format!("http://api.test/stream?access_token={}&v=1", jwt(THEN))).says("[]"),
    ];
    let sandbox = sandbox(entries, "[[match]]\nmatch-header = ['authorization']\n");
    let replay = sandbox.start_with(["replay"], &[("HARPROXY_TEST_NOW", "2026-01-01T00:00:00Z")]);
    let client = replay.client(Proto::H1);
    let given = client.send(login("hunter2-live"));
    let token = given.json()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(expires(&token), NOW);
    let cookie = given.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    assert_eq!(client.send(me(&token).header("cookie", &cookie)).json()["name"], "ada");
    let refresh = given.json()["refresh_token"].as_str().unwrap().to_owned();
    let refresh = format!("grant_type=refresh_token&refresh_token={refresh}&hint={token}");
    let ask = TestRequest::new("POST", "http://api.test/token").header("content-type", FORM).body(refresh);
    assert_eq!(client.send(ask).status, 200);
    assert_eq!(client.get(&format!("http://api.test/stream?access_token={token}&v=1")).text(), "[]");
    replay.stop().expect(0);
}

#[test]
fn each_user_is_identified_by_the_token_that_the_login_gave() {
    let user = |n: u64, name: &str| {
        let login = entry("POST", "http://api.test/login")
            .sent(FORM, &format!("user={name}&password=REDACTED-password-{n}"))
            .says(&format!(r#"{{"token":"REDACTED-token-{n}"}}"#));
        [login, recorded_me(&format!("REDACTED-token-{n}"), name)]
    };
    let sandbox = sandbox(user(1, "ada").into_iter().chain(user(2, "bob")), "");
    let replay = sandbox.start(["replay"]);
    let client = replay.client(Proto::H1);
    let logs_in = |name: &str| {
        let form = format!("user={name}&password=x");
        let ask = TestRequest::new("POST", "http://api.test/login").header("content-type", FORM).body(form);
        client.send(ask).json()["token"].as_str().unwrap().to_owned()
    };
    let [bob, ada] = ["bob", "ada"].map(logs_in);
    for _ in 0..2 {
        assert_eq!(client.send(me(&bob)).json()["name"], "bob");
        assert_eq!(client.send(me(&ada)).json()["name"], "ada");
    }
    replay.stop().expect(0);
}

fn right_and_wrong() -> [Entry; 2] {
    [recorded_login(1).says(r#"{"ok":true}"#), recorded_login(2).status(401).says(r#"{"ok":false}"#)]
}

#[test]
fn right_and_wrong_password_are_ambiguous_and_fail_the_run() {
    let sandbox = sandbox(right_and_wrong(), "");
    let replay = sandbox.start(["replay", "--report", "run.json"]);
    let client = replay.client(Proto::H1);
    client.send(login("live-one"));
    client.send(login("live-two"));
    let output = replay.stop().expect(1).says("served by guess").says("[redact.values]");
    assert!(output.stderr.contains("hars/api.har#0") && output.stderr.contains("hars/api.har#1"), "{}", output.stderr);
    let report: Value = serde_json::from_str(&sandbox.read("run.json")).unwrap();
    let findings = report["findings"].as_array().unwrap();
    assert_eq!((findings.len(), &findings[0]["kind"], &findings[0]["times"]), (1, &json!("ambiguous"), &json!(2)));
    let tolerant = sandbox.start(["replay", "--fail-on=-ambiguous"]);
    tolerant.client(Proto::H1).send(login("live-one"));
    tolerant.stop().expect(0);
}

#[test]
fn configured_value_or_placeholder_selects_the_entry() {
    let values = "[redact.values]\npassword-2 = \"env:BAD_PW\"\n";
    let sandbox = sandbox(right_and_wrong(), values);
    let replay = sandbox.start_with(["replay"], &[("BAD_PW", "s3cr\"t wrong")]);
    let client = replay.client(Proto::H1);
    for _ in 0..2 {
        assert_eq!(client.send(login(r#"s3cr\"t wrong"#)).status, 401);
        assert_eq!(client.send(login("right")).status, 200);
        assert_eq!(client.send(login("REDACTED-password-2")).status, 401);
        assert_eq!(client.send(login("REDACTED-password-1")).status, 200);
    }
    replay.stop().expect(0);
}

/// Live secrets, none of which may occur in any output.
const SECRETS: [&str; 8] = [
    "live-query-value-1",
    "live-header-value-2",
    "live-cookie-value-3",
    "live-password-value-4",
    "ghp_liveliveliveliveliveliveliveliveli55",
    "live-form-value-6",
    "live-user-value-7",
    "live-part-value-8",
];

fn leaks(message: &str) -> Vec<&'static str> {
    SECRETS.into_iter().filter(|secret| message.contains(secret)).collect()
}

#[test]
fn secrets_of_live_requests_are_in_no_output() {
    let entries = [
        entry("POST", "http://api.test/x?token=REDACTED-token-1&page=1")
            .with("x-api-key", "REDACTED-x-api-key-1")
            .sent("application/json", r#"{"password":"REDACTED-password-1","n":1}"#),
        entry("GET", "http://api.test/me").with("authorization", "Bearer REDACTED-token-2").says("1"),
        entry("GET", "http://api.test/me").with("authorization", "Bearer REDACTED-token-3").says("2"),
        entry("POST", "http://api.test/form").sent(FORM, "user=ada&password=plain-recorded&n=1"),
    ];
    let sandbox = sandbox(entries, "[[match]]\nmatch-header = ['x-api-key', 'authorization']\n");
    let replay = sandbox.start(["replay", "-vv", "--report", "run.json", "--passthrough", "http://127.0.0.1:1/**"]);
    let client = replay.client(Proto::H1);
    let [query, header, cookie, password, path, form, user, part] = SECRETS;
    let multipart = format!("--b\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\n{part}\r\n--b--\r\n");
    let asks = [
        TestRequest::new("POST", &format!("http://api.test/x?token={query}&page=2"))
            .header("x-api-key", header)
            .header("cookie", &format!("sid={cookie}"))
            .header("content-type", "application/json")
            .body(format!(r#"{{"password":"{password}","n":2,"note":"{password}"}}"#)),
        me(header),
        TestRequest::new("POST", "http://api.test/x?page=3")
            .header("x-api-key", header)
            .header("authorization", header),
        TestRequest::new("GET", &format!("http://api.test/files/{path}/raw")),
        TestRequest::new("POST", "http://api.test/form")
            .header("content-type", FORM)
            .body(format!("user=ada&password={form}&n=2")),
        TestRequest::new("POST", "http://api.test/form")
            .header("content-type", "multipart/form-data; boundary=b")
            .body(multipart),
        TestRequest::new("GET", &format!("http://other.test/x?access_token={query}")),
        TestRequest::new("GET", &format!("http://127.0.0.1:1/x?access_token={query}")),
    ];
    let answers: Vec<TestResponse> = asks.into_iter().map(|ask| client.send(ask)).collect();
    for got in &answers {
        assert_eq!(leaks(&got.text()), [""; 0], "{}", got.text());
    }
    assert_eq!(answers[0].json()["near"][0]["differences"][0]["name"], "page");
    assert!(answers[0].text().contains("token=REDACTED-token"), "{}", answers[0].text());
    assert!(answers[4].text().contains("REDACTED-password"), "{}", answers[4].text());
    let output = replay.stop().expect(1);
    assert_eq!(leaks(&output.stderr), [""; 0], "{}", output.stderr);
    assert!(output.stderr.contains("served by guess"), "{}", output.stderr);
    assert_eq!(leaks(&sandbox.read("run.json")), [""; 0]);

    let url = format!("http://api.test/x?token={query}&page=2");
    let body = format!(r#"{{"password":"{user}","n":2}}"#);
    for json in [&["--json"][..], &[]] {
        let args = [&["explain", "--url", &url, "-H", "content-type: application/json", "-d", &body], json].concat();
        let output = sandbox.run(args).expect(0);
        assert_eq!(leaks(&format!("{}{}", output.stdout, output.stderr)), [""; 0], "{}", output.stdout);
        assert!(output.stdout.contains("page"), "{}", output.stdout);
    }
}

#[test]
fn explain_counts_the_placeholders_that_were_sent_back() {
    let sandbox = sandbox([recorded_me("REDACTED-token-1", "ada"), recorded_me("REDACTED-token-2", "bob")], "");
    let args = ["explain", "--url", "http://api.test/me", "-H", "authorization: Bearer REDACTED-token-2"];
    let output = sandbox.run(args).expect(0).stdout;
    assert!(output.contains("redacted: 1 of 1 placeholders sent back"), "{output}");
    assert!(output.contains("0 of 1 placeholders sent back"), "{output}");
    let both = ["explain", "--url", "http://api.test/me", "-H", "authorization: Bearer live"];
    assert!(sandbox.run(both).expect(0).stdout.contains("served by guess"));
}

#[test]
fn echoed_values_are_those_of_the_live_request() {
    let rpc = |id: u64| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"sum","params":[1,17]}}"#);
    let gzipped = entry("GET", "http://api.test/users/7/card?state=REDACTED-state-1&v=1")
        .with("x-request-id", "req-1")
        .answers("x-request-id", "req-1")
        .answers("location", "http://api.test/cb?state=REDACTED-state-1&code=REDACTED-code-1")
        .answers("content-encoding", "gzip")
        .says(r#"{"id":"7","request":"req-1","state":"REDACTED-state-1","count":177}"#);
    let entries = [
        entry("POST", "http://api.test/rpc")
            .sent("application/json", &rpc(5))
            .says(r#"{"jsonrpc":"2.0","result":55,"id":5}"#),
        gzipped,
    ];
    let config = "[[match]]\nglob = 'http://api.test/rpc'\necho = 'json:$.id'\n\
                  [[match]]\nglob = '**/users/**'\npath = '/users/{id}/card'\n\
                  echo = ['header:X-Request-Id', 'query:state', 'path:{id}']\n";
    let sandbox = sandbox(entries, config);
    let replay = sandbox.start(["replay"]);
    let client = replay.client(Proto::H1);
    for id in [5, 6, 12_345] {
        let ask =
            TestRequest::new("POST", "http://api.test/rpc").header("content-type", "application/json").body(rpc(id));
        assert_eq!(client.send(ask).text(), format!(r#"{{"jsonrpc":"2.0","result":55,"id":{id}}}"#));
    }
    let url = "http://api.test/users/bob/card?state=a%20%22b&v=1";
    for accepts in ["gzip", "identity"] {
        let got = client
            .send(TestRequest::new("GET", url).header("accept-encoding", accepts).header("x-request-id", "live-9"));
        assert_eq!(got.header("x-request-id"), Some("live-9"));
        assert_eq!(got.header("location"), Some("http://api.test/cb?state=a%20%22b&code=REDACTED-code-1"));
        assert_eq!(got.header("content-encoding").is_some(), accepts == "gzip");
        let text = String::from_utf8(got.decoded()).unwrap();
        assert_eq!(text, r#"{"id":"bob","request":"live-9","state":"a \"b","count":177}"#);
    }
    replay.stop().expect(0);
}

#[test]
fn invalid_echo_is_an_error_with_its_line() {
    for (echo, why) in
        [("cookie:a", "is not a place in a request"), ("path:{id}", "no segment `{id}`"), ("json:$[", "JSON path")]
    {
        let sandbox = sandbox([], &format!("[[match]]\necho = ['{echo}']\n"));
        sandbox.run(["replay", "--", "true"]).expect(2).says("harproxy.toml:2:").says(why);
    }
}
