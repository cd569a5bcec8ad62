//! All outputs about a run: reports, CI files, logs, events and refusals. The missed requests and the words of CMD
//! contain secrets.

use std::process::Command;

use serde_json::json;

use super::{HAR, Secrets, assert_no_secret, base64_inside, escaped, files, record};
use crate::support::client::{Proto, TestRequest};
use crate::support::sandbox::{Output, Sandbox, finish};

const REPORTS: [&str; 4] = ["report.json", "report.xml", "report.md", "report.html"];
const GITHUB: [(&str, &str); 3] =
    [("GITHUB_ACTIONS", "true"), ("GITHUB_STEP_SUMMARY", "summary.md"), ("GITHUB_WORKSPACE", ".")];
const GITLAB: [(&str, &str); 1] = [("GITLAB_CI", "true")];
const JSON_LOG: [&str; 2] = ["--log-format", "json"];

/// A sandbox with a recording of a program that used these secrets.
fn recorded(secrets: &Secrets) -> Sandbox {
    let sandbox = Sandbox::new();
    let origin = secrets.origin();
    let server = record(&sandbox, &origin, HAR, &[]);
    secrets.visit(&server.client(Proto::H1));
    server.stop().expect(0);
    sandbox
}

/// Requests without an entry, with a secret in every place. Some are similar to an entry.
fn missing_requests(secrets: &Secrets) -> Vec<TestRequest> {
    let url = |path: &str| format!("https://api.test{path}");
    let get = |path: &str| TestRequest::new("GET", &url(path));
    let post = |path: &str, media: &str, body: String| {
        TestRequest::new("POST", &url(path)).header("content-type", media).body(body.into_bytes())
    };
    let form = |kind: &str| format!("grant_type={kind}&refresh_token={}", escaped(&secrets.refresh));
    let part =
        format!("--b\r\ncontent-disposition: form-data; name=\"password\"\r\n\r\n{}\r\n--b--\r\n", secrets.password);
    vec![
        get(&format!("/missing?token={}&page=1", escaped(&secrets.query))),
        get(&format!("/list?token={}&page=2", escaped(&secrets.query))),
        get(&format!("/missing/{}", secrets.jwt)),
        get("/missing/bearer").header("authorization", &format!("Bearer {}", secrets.jwt)),
        get("/missing/basic").header("authorization", &format!("Basic {}", secrets.basic())),
        get("/missing/cookie").header("cookie", &format!("sid={}; theme=dark", secrets.session)),
        // The value of a secret header is repeated in the URL and in the payload.
        post(&format!("/missing/again?q={}", escaped(&secrets.key)), "text/plain", format!("is {}.", secrets.key))
            .header("x-api-key", &secrets.key),
        post("/login", "application/json", json!({ "username": "eve", "password": secrets.password }).to_string()),
        post("/missing/json", "application/json", json!({ "deep": [{ "api_key": secrets.buried }] }).to_string()),
        post("/missing/cut", "application/json", format!("{{\"token\":\"{}\",\"n\":", secrets.event)),
        post("/refresh", "application/x-www-form-urlencoded", form("password")),
        post("/missing/form", "application/x-www-form-urlencoded", form("refresh_token")),
        post("/missing/parts", "multipart/form-data; boundary=b", part),
    ]
}

/// Asserts that a text contains neither a secret nor the common part of all secrets.
#[track_caller]
fn assert_no_output_secret(what: &str, text: &[u8], secrets: &Secrets) {
    let common = secrets.password.rsplit('/').next().unwrap();
    for bytes in [text, &base64_inside(text)] {
        assert_no_secret(what, bytes, secrets);
        if let Some(at) = memchr::memmem::find(bytes, common.as_bytes()) {
            panic!("{what} holds {common}: {}", String::from_utf8_lossy(&bytes[at.saturating_sub(200)..at]));
        }
    }
}

/// Asserts that neither the output nor any file except those of CMD contains a secret.
#[track_caller]
fn assert_run_has_no_secret(sandbox: &Sandbox, output: &Output, secrets: &Secrets) {
    assert_no_output_secret("stderr", output.stderr.as_bytes(), secrets);
    assert_no_output_secret("stdout", output.stdout.as_bytes(), secrets);
    for (name, bytes) in files(sandbox.path()).into_iter().filter(|(name, _)| !name.contains("/own/")) {
        assert_no_output_secret(&name, &bytes, secrets);
    }
}

/// Asserts that the reports contain the misses.
#[track_caller]
fn assert_reports_have_misses(sandbox: &Sandbox, reports: &[&str]) {
    for report in reports {
        assert!(sandbox.read(report).contains("REDACTED-"), "{report} tells of no secret at all");
    }
}

/// The arguments of a run that writes every report.
fn args<'a>(parts: &[&[&'a str]]) -> Vec<&'a str> {
    REPORTS.into_iter().fold(parts.concat(), |mut args, report| {
        args.splice(1..1, ["--report", report]);
        args
    })
}

fn run(mut command: Command, variables: &[(&str, &str)]) -> Output {
    finish(command.envs(variables.iter().copied()).output().unwrap())
}

/// Writes a script that sends all missing requests and stores the responses beside the reports.
fn script(sandbox: &Sandbox, secrets: &Secrets) {
    let mut script = String::new();
    for (n, ask) in missing_requests(secrets).iter().enumerate() {
        sandbox.write(&format!("own/{n}"), ask.body.clone().unwrap_or_default());
        let headers: String =
            ask.headers.iter().map(|(name, value)| format!("header = \"{name}: {value}\"\n")).collect();
        let payload = ask.body.as_ref().map(|_| format!("data-binary = \"@own/{n}\"\n")).unwrap_or_default();
        let (method, url) = (&ask.method, &ask.url);
        let config = format!("request = {method}\nurl = \"{url}\"\n{headers}{payload}output = \"answer-{n}.json\"\n");
        sandbox.write(&format!("own/{n}.curl"), config);
        script += &format!("curl -sS -K own/{n}.curl || exit 9\n");
    }
    sandbox.write("own/ask.sh", script);
}

#[test]
fn reports_logs_and_refusals_contain_no_secret_of_a_missed_request() {
    for (variables, options) in [(&GITHUB[..], &["-vv"][..]), (&GITLAB, &["-vv"]), (&GITHUB, &JSON_LOG)] {
        let secrets = Secrets::of(7);
        let sandbox = recorded(&secrets);
        script(&sandbox, &secrets);
        let args = args(&[&["replay", HAR], options, &["--", "sh", "own/ask.sh"]]);
        let output = run(sandbox.command(args), variables).expect(1);
        let asked = missing_requests(&secrets).len();
        for n in 0..asked {
            assert_eq!(sandbox.har(&format!("answer-{n}.json"))["status"], 501, "{n}");
        }
        assert_run_has_no_secret(&sandbox, &output, &secrets);
        assert_reports_have_misses(&sandbox, &REPORTS);
        let reported = match (variables, options) {
            (_, ["--log-format", _]) | (&[("GITLAB_CI", _)], _) => output.stderr,
            _ => output.says("::error ").stderr,
        };
        assert!(reported.contains("REDACTED-token"), "{reported}");
        let handed = if variables.len() > 1 { "summary.md" } else { "gl-code-quality-report.json" };
        assert!(sandbox.read(handed).contains("REDACTED-token"), "{handed}");
    }
}

/// Each request is logged when it arrives.
#[test]
fn events_and_live_list_contain_no_secret() {
    let secrets = Secrets::of(7);
    let sandbox = recorded(&secrets);
    let server = sandbox.start(args(&[&["replay", HAR, "-vv"]]));
    let client = server.client(Proto::H1);
    for request in missing_requests(&secrets) {
        let got = client.send(request);
        assert_eq!((got.status, got.header("content-type")), (501, Some("application/problem+json")));
        assert_no_output_secret("the refusal", &got.body, &secrets);
        assert_no_output_secret("its headers", format!("{:?}", got.headers).as_bytes(), &secrets);
    }
    let output = server.stop().expect(1).says("REDACTED-token");
    assert_run_has_no_secret(&sandbox, &output, &secrets);
    assert_reports_have_misses(&sandbox, &REPORTS);
}

/// All ways to pass a secret to a program: the words of CMD, and the part of them that `Next:` still shows.
#[test]
fn next_command_and_reports_mask_the_secrets_of_cmd() {
    let value = "Qz4f1-b7c9d2e8f6a3";
    let shape = format!("ghp_{}", "Qz4f1b7c9d2e8f6a3Qz4f1b7c9d2e8f6a3xyz");
    let url = format!("https://ada:{value}@api.test/x");
    let query = format!("https://api.test/x?access_token={value}");
    let pair = |name: &str| format!("{name}{value}");
    let forms: [(Vec<String>, &str); 17] = [
        (vec!["-H".into(), pair("authorization: Bearer ")], "authorization: Bearer REDACTED"),
        (vec![pair("-Hx-api-key: ")], "-Hx-api-key: REDACTED"),
        (vec!["-u".into(), pair("ada:")], "-u ada:REDACTED"),
        (vec![pair("-uada:")], "-uada:REDACTED"),
        (vec!["--user".into(), pair("ada:")], "--user ada:REDACTED"),
        (vec![pair("--user=ada:")], "--user=ada:REDACTED"),
        (vec!["-u".into(), format!("{value}:")], "-u REDACTED"),
        (vec!["--data".into(), pair("password=")], "--data password=REDACTED"),
        (vec!["-d".into(), format!("{{\"password\":\"{value}\"}}")], "password"),
        (vec!["-b".into(), pair("sid=")], "-b sid=REDACTED"),
        (vec!["--oauth2-bearer".into(), value.into()], "--oauth2-bearer REDACTED"),
        (vec![url], "https://REDACTED"),
        (vec![query], "access_token=REDACTED"),
        (vec![pair("API_KEY=")], "API_KEY=REDACTED"),
        (vec![pair("--access-token=")], "--access-token=REDACTED"),
        (vec!["--password".into(), value.into()], "--password REDACTED"),
        (vec![shape], "REDACTED-"),
    ];
    let (sandbox, origin) = (Sandbox::new(), Secrets::of(7).origin());
    sandbox.write("own/ask.sh", "curl -sS https://api.test/x -o answer");
    let to = origin.args();
    let to: Vec<&str> = to.iter().map(String::as_str).collect();
    for (words, shown) in forms {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let args = args(&[&["record", "-o", HAR], &to, &["--", "sh", "own/ask.sh"], &words]);
        let output = run(sandbox.command(args), &GITHUB).expect(0).says("harproxy replay -- sh own/ask.sh ");
        let next = output.stderr.lines().find(|line| line.contains("harproxy replay -- ")).unwrap();
        assert!(next.contains(shown), "`{shown}`: {next}");
        let written = files(sandbox.path()).into_iter().filter(|(name, _)| !name.contains("/own/"));
        let printed = [("stderr".to_owned(), output.stderr.into_bytes())];
        for (name, bytes) in written.chain(printed) {
            for text in [&bytes[..], &base64_inside(&bytes)] {
                assert_eq!(memchr::memmem::find(text, b"Qz4f1"), None, "{name} with {words:?}");
            }
        }
    }
}

/// `record` prints the next command with the words of CMD.
#[test]
fn printed_cmd_contains_no_secret() {
    let secrets = Secrets::of(7);
    let url = format!("https://api.test/list?token={}&page=1", escaped(&secrets.query));
    let bearer = format!("authorization: Bearer {}", secrets.jwt);
    let cookie = format!("Cookie: sid={}; theme={}", secrets.session, secrets.state);
    let user = format!("ada:{}", secrets.password);
    let form = format!("refresh_token={}", escaped(&secrets.refresh));
    let json = json!({ "password": secrets.password }).to_string();
    let line = format!("curl -sS -H '{bearer}' -H \"{cookie}\" -d '{json}' '{url}' # --token '{}'", secrets.event);
    let cmds: [&[&str]; 4] = [
        &["curl", "-sS", "-H", &bearer, "-H", &cookie, &url],
        &["curl", "-sS", "-u", &user, "-d", &form, &url],
        &["curl", "-sS", "-d", &json, &url],
        &["sh", "-c", &line],
    ];
    for cmd in cmds {
        let sandbox = recorded(&secrets);
        for ci in [&GITHUB[..], &GITLAB] {
            let output = run(sandbox.command(args(&[&["replay", "-vv", HAR, "--"], cmd])), ci);
            assert_run_has_no_secret(&sandbox, &output, &secrets);
            assert_reports_have_misses(&sandbox, &["report.json", "report.html"]);
        }
        let origin = secrets.origin();
        let to = origin.args();
        let to: Vec<&str> = to.iter().map(String::as_str).collect();
        let args = args(&[&["record", "-vv", "-o", HAR], &to, &["--"], cmd]);
        let output = run(sandbox.command(args), &GITHUB).expect(0).says("harproxy replay -- ");
        assert_run_has_no_secret(&sandbox, &output, &secrets);
        assert_reports_have_misses(&sandbox, &["report.json"]);
    }
}
