//! Every kind of finding with the real binary: its default severity, the effect of `--fail-on`, and its hint.

use serde_json::{Value, json};

use crate::cli::{CURL, CliSandbox};
use crate::support::origin::Origin;
use crate::support::repo;
use crate::support::sandbox::{Output, Sandbox, finish};

/// A request that an entry answers, so that there is traffic.
const ASK: &str = "curl -s http://api.test/a;";

fn entry(method: &str, path: &str, content: &Value) -> Value {
    json!({
        "startedDateTime": "2024-01-01T00:00:00.000Z", "time": 1, "cache": {}, "timings": {"send": 0, "wait": 1, "receive": 0},
        "request": {"method": method, "url": format!("http://api.test{path}"), "httpVersion": "HTTP/1.1", "cookies": [],
            "headers": [], "queryString": [], "headersSize": -1, "bodySize": -1},
        "response": {"status": 200, "statusText": "OK", "httpVersion": "HTTP/1.1", "cookies": [], "headers": [],
            "content": content, "redirectURL": "", "headersSize": -1, "bodySize": -1},
    })
}

fn says(text: &str) -> Value {
    json!({"size": text.len(), "mimeType": "text/plain", "text": text})
}

/// A login entry whose password placeholder and response depend on `n`.
fn login(n: u64) -> Value {
    let mut entry = entry("POST", "/login", &says(&format!("answer {n}")));
    let form = format!("password=REDACTED-password-{n}");
    entry["request"]["postData"] = json!({"mimeType": "application/x-www-form-urlencoded", "text": form});
    entry
}

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    let mut failure = entry("GET", "/down", &says(""));
    failure["response"]["status"] = 0.into();
    failure["_harproxy"] = json!({"error": {"kind": "refused", "message": "connecting to http://api.test"}});
    let mut cut = entry("GET", "/cut", &says("half"));
    cut["response"]["content"]["_truncated"] = json!({"reason": "max-body", "kept": 4, "total": 8});
    let entries = [entry("GET", "/a", &says("a")), entry("GET", "/b", &says("b")), login(1), login(2), cut, failure];
    let har = json!({"log": {"version": "1.2", "creator": {"name": "harproxy", "version": "1"},
        "_harproxy": {"version": 1, "scope": ["http://api.test/**"]}, "entries": entries}});
    sandbox.write("hars/api.har", har.to_string());
    sandbox
}

/// The setup that causes a finding of one kind.
struct Case {
    kind: &'static str,
    options: Vec<String>,
    /// A shell script. Its exit status is ignored.
    cmd: String,
    /// True if the finding fails the run by default; `None` if it never does and `--fail-on` rejects it.
    fails: Option<bool>,
}

fn case(kind: &'static str, fails: impl Into<Option<bool>>, cmd: &str) -> Case {
    Case { kind, options: Vec::new(), cmd: format!("{ASK} {cmd}; true"), fails: fails.into() }
}

fn cases(origin: &Origin) -> Vec<Case> {
    let live = format!("http://127.0.0.1:{}", origin.http.port());
    let foreign = repo("certs/ca.pem").display().to_string();
    let upgrade = "-H 'connection: upgrade' -H 'upgrade: websocket' -H 'sec-websocket-version: 13' -H 'sec-websocket-key: \
                   dGhlIHNhbXBsZSBub25jZQ=='";
    vec![
        case("miss", true, "curl -s http://api.test/other"),
        case("out-of-scope", true, "curl -s http://other.test/"),
        case("truncated", true, "curl -s http://api.test/cut"),
        case("ambiguous", true, "curl -s -d password=live http://api.test/login"),
        Case { cmd: "true".into(), ..case("no-traffic", true, "") },
        case("unused", false, "true"),
        Case { options: vec!["--max-age".into(), "30d".into()], ..case("stale", false, "true") },
        Case {
            options: vec!["--passthrough".into(), format!("{live}/**")],
            ..case("passthrough", false, &format!("curl -s {live}/api/text"))
        },
        case("websocket", true, &format!("curl -s -m 5 {upgrade} http://api.test/live")),
        case("failed-served", None, "curl -s http://api.test/down"),
        case("tls-refused", None, &format!("curl -s --cacert {foreign} https://api.test/a")),
        case("unreadable", true, "printf '\\001\\002\\003\\004' | curl -s -m 5 -p telnet://db.test:5432"),
    ]
}

/// Replays a case. Returns the output and the finding.
fn replayed(sandbox: &Sandbox, case: &Case, fail_on: Option<&str>) -> (Output, Value) {
    let mut args: Vec<&str> = vec!["replay", "--report", "r.json"];
    args.extend(case.options.iter().map(String::as_str));
    let list = fail_on.map(|list| format!("--fail-on={list}"));
    args.extend(list.as_deref());
    args.extend(["--", "sh", "-c", &case.cmd]);
    let output = finish(sandbox.command(args).output().unwrap());
    let report = sandbox.har("r.json");
    let findings = report["findings"].as_array().unwrap();
    let found = findings.iter().find(|finding| finding["kind"] == case.kind);
    let found = found.unwrap_or_else(|| panic!("no {} in {findings:#?}\n{output:?}", case.kind)).clone();
    let fails = findings.iter().any(|finding| finding["severity"] == "error");
    assert_eq!(output.status, i32::from(fails), "{} {fail_on:?}: {output:?}", case.kind);
    (output, found)
}

#[test]
fn each_kind_has_its_default_severity_and_fail_on_changes_it() {
    let (sandbox, origin) = (sandbox(), Origin::start());
    for case in cases(&origin) {
        let kind = case.kind;
        let severity = |fail_on: Option<&str>| {
            let (output, found) = replayed(&sandbox, &case, fail_on);
            let severity = found["severity"].as_str().unwrap().to_owned();
            let mark = if severity == "error" { "✗" } else { "!" };
            assert!(output.stderr.contains(&format!("{mark} {kind}")), "{kind} {fail_on:?}: {}", output.stderr);
            assert!(found["remedy"].as_str().is_some_and(|text| !text.is_empty()), "{kind} has no remedy: {found:#}");
            severity
        };
        let expected = |fails: bool| if fails { "error" } else { "warning" };
        assert_eq!(severity(None), expected(case.fails == Some(true)), "{kind}");
        assert_eq!(severity(Some("none")), "warning", "{kind}");
        assert_eq!(severity(Some("all")), expected(case.fails.is_some()), "{kind}");
        match case.fails {
            Some(_) => {
                assert_eq!(severity(Some(&format!("+{kind}"))), "error", "{kind}");
                assert_eq!(severity(Some(&format!("-{kind}"))), "warning", "{kind}");
                assert_eq!(severity(Some(kind)), "error", "{kind}");
            }
            None => {
                let args = ["replay".to_owned(), format!("--fail-on=+{kind}"), "--".into(), "true".into()];
                sandbox.run(args).expect(2).says(kind);
            }
        }
    }
}

#[test]
fn empty_recording_fails_with_a_hint() {
    let stage = CliSandbox::new();
    stage.record(&["--report", "r.json"], &["true"]).expect(1).says("✗ nothing-recorded").says("harproxy doctor");
    let report = stage.sandbox.har("r.json");
    assert_eq!(
        (&report["findings"][0]["kind"], &report["findings"][0]["severity"]),
        (&"nothing-recorded".into(), &"error".into())
    );
}

/// A client with a pinned certificate accepts the certificates of other hosts, a client without the CA accepts none.
#[test]
fn refused_certificate_finding_tells_an_unknown_ca_from_a_pin() {
    let stage = CliSandbox::new();
    let foreign = repo("certs/ca.pem").display().to_string();
    let refuses = format!("curl -s --cacert {foreign} https://api.test:8443/api/json");
    let map = format!("api.test:8443={}", stage.origin.https);
    let alone = format!("{refuses}; true");
    let options = ["--map", &map, "-o", "hars/a.har"];
    let output = stage.record(&options, &["sh", "-c", &alone]).expect(1).says("! tls-refused");
    output
        .says("the CA is not trusted")
        .says("-g '!https://api.test:8443/**'")
        .says("refused the certificate that harproxy made");
    let both = format!("{refuses}; curl -sS https://api.test/api/json");
    let output = stage.record(&options, &["sh", "-c", &both]).expect(0).says("! tls-refused");
    output.says("most likely pins the certificate").says("-g '!https://api.test:8443/**'");
    let output = stage.replay(&["hars/a.har"], &["sh", "-c", &both]).expect(0).says("! tls-refused");
    output.says("most likely pins the certificate").says("-g '!https://api.test:8443/**'");

    // The hint works.
    let pinned = format!("{refuses} && curl -sS https://api.test/api/json");
    let alone = ["-g", "**/api/**", "-g", "!https://api.test:8443/**"];
    let reported = stage.record(&[&options[..], &alone].concat(), &["sh", "-c", &pinned]).expect(0).stderr;
    assert!(!reported.contains("tls-refused"), "{reported}");
    let reported = stage.replay(&[&["hars/a.har"][..], &alone].concat(), &["sh", "-c", &both]).expect(0).stderr;
    assert!(!reported.contains("tls-refused"), "{reported}");
}

/// Node.js completes the handshake before it verifies the certificate, and closes without an alert.
#[test]
fn connection_closed_after_the_handshake_is_a_refused_certificate() {
    let stage = CliSandbox::new();
    let script = "require('https').get('https://api.test/api/json').on('error', () => {})";
    let command = ["sh", "-c", "env -u NODE_EXTRA_CA_CERTS -u SSL_CERT_FILE node -e \"$0\"", script];
    stage.record(&["-o", "hars/a.har"], &command).expect(1).says("! tls-refused").says("https://api.test/**");
}

/// While recording, a tunnel of an unknown protocol passes, but a replay has no response for it.
#[test]
fn tunnel_of_an_unknown_protocol_is_a_finding() {
    let stage = CliSandbox::new();
    let mail = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let map = format!("mail.test:25={}", mail.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in mail.incoming() {
            let _ = std::io::Write::write_all(&mut stream.unwrap(), b"220 mail.test\r\n");
        }
    });
    let cmd = "curl -sS https://api.test/api/json; curl -s -m 5 -p telnet://mail.test:25 </dev/null; true";
    let output = stage.record(&["-o", "hars/a.har", "--map", &map], &["sh", "-c", cmd]).expect(0);
    assert!(output.stdout.contains("220 mail.test"), "{output:?}");
    output.says("! unreadable").says("the tunnel to mail.test:25").says("--bypass mail.test:25");
}

/// A limit on the size of files simulates a full disk. The client gets its response, and the run fails with the reason.
#[test]
fn full_disk_loses_the_exchange_and_fails_with_status_3() {
    let stage = CliSandbox::new();
    let args = stage.args("record", &["-o", "hars/a.har"], &["curl", "-sS", "https://api.test/api/big?mib=8"]);
    let mut shell = std::process::Command::new("sh");
    // 2 MiB, in blocks of 512 bytes (dash) or 1024 (bash).
    shell.args(["-c", "ulimit -f 2048; exec \"$0\" \"$@\" >/dev/null", env!("CARGO_BIN_EXE_harproxy")]);
    shell.args(args).env_clear().current_dir(stage.sandbox.path());
    let scrubbed = stage.sandbox.command([""; 0]);
    shell.envs(scrubbed.get_envs().filter_map(|(name, value)| Some((name, value?))));
    finish(shell.output().unwrap()).expect(3).says("✗ lost").says("ulimit -f");
    assert!(!stage.sandbox.join("hars/a.har").exists());
    stage.record(&["-o", "hars/b.har"], CURL).expect(0);
}

/// The value of the first hint in backticks that begins with this option, unquoted.
fn option(remedy: &str, name: &str) -> String {
    let reported = remedy.split('`').find(|text| text.starts_with(name));
    reported.unwrap_or_else(|| panic!("no {name} in {remedy}")).to_owned()
}

#[test]
fn hint_for_a_websocket_passes_when_followed() {
    let (sandbox, origin) = (sandbox(), Origin::start());
    let live = format!("http://127.0.0.1:{}", origin.http.port());
    let cmd = format!(
        "{ASK} curl -s -m 5 -H 'connection: upgrade' -H 'upgrade: websocket' -H 'sec-websocket-version: 13' -H 'sec-websocket-key: \
         dGhlIHNhbXBsZSBub25jZQ==' {live}/api/text?a=b; true"
    );
    let replay = |options: &str| {
        let line =
            format!("\"$0\" replay -g 'http://api.test/**' -g '{live}/**' --report r.json {options} -- sh -c \"$1\"");
        let harproxy = env!("CARGO_BIN_EXE_harproxy");
        let command = sandbox.command([""; 0]);
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &line, harproxy, &cmd]).current_dir(sandbox.path());
        command.get_envs().for_each(|(name, value)| match value {
            Some(value) => drop(shell.env(name, value)),
            None => drop(shell.env_remove(name)),
        });
        let output = finish(shell.output().unwrap());
        let report = sandbox.har("r.json");
        let found = report["findings"].as_array().unwrap().iter().find(|finding| finding["kind"] == "websocket");
        (output, found.map(|found| found["remedy"].as_str().unwrap().to_owned()))
    };
    let (failing, remedy) = replay("");
    failing.expect(1);
    let remedy = remedy.unwrap();
    assert!(remedy.starts_with("pass it on"), "{remedy}");
    let (listed, _) = replay(&option(&remedy, "--fail-on"));
    listed.expect(0);
    let (through, websocket) = replay(&option(&remedy, "--passthrough"));
    through.expect(0);
    assert_eq!(websocket, None);
    let (failing, remedy) = replay("--fail-on +unused,-miss");
    failing.expect(1);
    assert_eq!(option(&remedy.unwrap(), "--fail-on"), "--fail-on +unused,-miss,-websocket");
    let (failing, remedy) = replay("--fail-on websocket");
    failing.expect(1);
    let (listed, _) = replay(&option(&remedy.unwrap(), "--fail-on"));
    listed.expect(0);
}
