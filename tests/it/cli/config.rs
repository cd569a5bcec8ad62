//! `harproxy config`: every setting, its value, and where it comes from.

use serde_json::{Value, json};

use crate::support::sandbox::{Output, Sandbox, finish};

/// The example of the reference.
const EXAMPLE: &str = r#"[record]
output = "hars/api.har"
globs  = ["https://api.example.com/**", "!**/health"]
[replay]
passthrough = ["https://telemetry.example.com/**"]
max-age = "180d"

[redact]                       # added to the built-in table; `except` takes away
headers = ["x-internal-token"]
query   = ["sig2"]
json    = ["$.card.number", "$..ssn"]
text    = ["sk_live_[0-9A-Za-z]+"]
personal = false               # true: e-mail, phone, IBAN, card numbers too, format kept
[redact.values]                # tells equal-looking secrets apart at replay
password-2 = "env:BAD_PW"
token-1 = "s3cr3t-t0k3n"

[volatile]
headers = ["x-build"]
json    = ["$.generatedAt"]

[[match]]
glob         = "**/search*"
ignore-query = ["ts", "_"]
[[match]]
glob         = "**/graphql"
body         = "json"
match-header = ["x-tenant"]
"#;

fn run(sandbox: &Sandbox, args: &[&str], variables: &[(&str, &str)]) -> Output {
    finish(sandbox.command(args).envs(variables.iter().copied()).output().unwrap())
}

/// The settings of this name: value and source.
fn settings(output: &Output, name: &str) -> Vec<(Value, Value)> {
    let lines = output.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["name"] == name).map(|line| (line["value"].clone(), line["source"].clone())).collect()
}

fn file(file: &str, line: u64) -> Value {
    json!({"kind": "file", "file": file, "line": line, "column": 1})
}

#[test]
fn each_setting_has_its_origin() {
    let sandbox = Sandbox::new();
    sandbox.write("harproxy.toml", EXAMPLE);
    sandbox.write(".config/harproxy/config.toml", "[replay]\nclock = 'recorded'\nmax-age = '1d'\ngrace = '9s'\n");
    let variables = [("HARPROXY_GRACE", "7s"), ("HARPROXY_NO_LOCAL", "1"), ("BAD_PW", "hunter2")];
    let line = ["config", "replay", "--repeat", "once", "--json", "-vv", "hars/x.har", "--", "npm", "test"];
    let output = run(&sandbox, &line, &variables).expect(0);
    let users = sandbox.join(".config/harproxy/config.toml").display().to_string();
    for (name, value, source) in [
        ("replay.repeat", json!("once"), json!({"kind": "flag", "name": "--repeat"})),
        ("replay.verbose", json!(2), json!({"kind": "flag", "name": "--verbose"})),
        ("replay.fixtures", json!(["hars/x.har"]), json!({"kind": "flag", "name": "FILE|DIR"})),
        ("replay.grace", json!("7s"), json!({"kind": "env", "name": "HARPROXY_GRACE"})),
        ("replay.no-local", json!(true), json!({"kind": "env", "name": "HARPROXY_NO_LOCAL"})),
        ("replay.max-age", json!("180d"), file("harproxy.toml", 6)),
        ("replay.passthrough", json!(["https://telemetry.example.com/**"]), file("harproxy.toml", 5)),
        ("replay.clock", json!("recorded"), file(&users, 2)),
        ("replay.miss-status", json!("501"), json!({"kind": "default"})),
        ("replay.listen", json!(null), json!({"kind": "default"})),
        ("scope.noise", json!(true), json!({"kind": "default"})),
        ("redact.json", json!(["$.card.number", "$..ssn"]), file("harproxy.toml", 11)),
        ("redact.except", json!([]), json!({"kind": "default"})),
        ("redact.values.password-2", json!("env:BAD_PW (redacted)"), file("harproxy.toml", 15)),
        ("redact.values.token-1", json!("(redacted)"), file("harproxy.toml", 16)),
        ("volatile.headers", json!(["x-build"]), file("harproxy.toml", 19)),
    ] {
        assert_eq!(settings(&output, name), [(value, source)], "{name}");
    }
    let rules = settings(&output, "match");
    assert_eq!(rules[0], (json!({"glob": "**/search*", "ignore-query": ["ts", "_"]}), file("harproxy.toml", 22)));
    assert_eq!(rules.len(), 2);
    assert!(settings(&output, "record.output").is_empty(), "only settings of replay");
}

#[test]
fn config_prints_tables_without_secrets() {
    let sandbox = Sandbox::new();
    sandbox.write("harproxy.toml", EXAMPLE);
    let variables =
        [("BAD_PW", "hunter2"), ("HARPROXY_AUTH", "me:pa55"), ("HARPROXY_UPSTREAM_PROXY", "http://a:pa55@p.test:1")];
    for args in [&["config"][..], &["config", "--json"]] {
        let output = run(&sandbox, args, &variables).expect(0);
        for secret in ["hunter2", "pa55", "s3cr3t-t0k3n"] {
            assert!(!output.stdout.contains(secret), "{}", output.stdout);
        }
        assert!(output.stdout.contains("(redacted)") && output.stdout.contains("HARPROXY_AUTH"));
    }
    let text = run(&sandbox, &["config"], &variables).expect(0).stdout;
    let sections: Vec<&str> = text.lines().filter(|line| line.starts_with('[')).collect();
    let expected = [
        "[record]",
        "[replay]",
        "[scope]",
        "[[match]]",
        "[[match]]",
        "[redact]",
        "[redact.values]",
        "[volatile]",
        "[check]",
    ];
    assert_eq!(sections, expected, "{text}");
    let row = |key: &str| text.lines().find(|line| line.split_whitespace().next() == Some(key)).unwrap().to_owned();
    assert!(row("output").contains(" hars/api.har ") && row("output").ends_with(" harproxy.toml:2"), "{text}");
    let kinds = "(miss, out-of-scope, truncated, ambiguous, websocket, stream, entry-left-out, bypass, unreadable; with CMD no-traffic too)";
    assert!(row("fail-on").contains(kinds), "{text}");
    let columns: Vec<_> = ["output", "content", "headers"].map(|key| row(key).find(|c| c != ' ')).into();
    assert!(columns.iter().all(|at| *at == Some(2)), "{text}");
}

#[test]
fn config_option_applies_before_and_after_the_command() {
    let sandbox = Sandbox::new();
    sandbox.write("harproxy.toml", "[record]\noutput = 'a.har'\n");
    sandbox.write("conf/other.toml", "[record]\noutput = 'b.har'\n");
    for args in [
        &["config", "--json", "--config", "conf/other.toml"][..],
        &["config", "--json", "record", "--config", "conf/other.toml"],
    ] {
        let output = run(&sandbox, args, &[]).expect(0);
        assert_eq!(settings(&output, "record.output"), [(json!("conf/b.har"), file("conf/other.toml", 2))]);
    }
}

#[test]
fn config_reports_the_errors_of_the_command() {
    let sandbox = Sandbox::new();
    run(&sandbox, &["config", "replay", "--miss-stauts", "404"], &[]).expect(2).says("--miss-status");
    run(&sandbox, &["config", "recrod"], &[]).expect(2).says("record, replay");
    sandbox.write("harproxy.toml", "[redact]\nheader = ['x']\n");
    run(&sandbox, &["config"], &[])
        .expect(2)
        .says("harproxy.toml:2:1: unknown option of [redact] `header`; did you mean `headers`?");
    for command in ["config", "record", "replay", "explain", "recover"] {
        let url = if command == "explain" { &["--url", "http://a.test/"][..] } else { &[] };
        let args = [&[command, "--log-format", "json"], url].concat();
        let output = run(&sandbox, &args, &[]).expect(2).stderr;
        let line: Value = serde_json::from_str(&output).unwrap_or_else(|error| panic!("{command}: {error}: {output}"));
        assert_eq!((&line["event"], &line["status"]), (&json!("error"), &json!(2)), "{command}");
        assert!(line["error"].as_str().unwrap().starts_with("harproxy.toml:2:1: "), "{output}");
    }
}

#[test]
fn lists_are_replaced_by_the_source_with_precedence() {
    let sandbox = Sandbox::new();
    let globs = |args: &[&str], variables: &[(&str, &str)]| {
        let args = [&["config", "record", "--json"], args].concat();
        settings(&run(&sandbox, &args, variables).expect(0), "record.globs").remove(0)
    };
    let user =
        sandbox.write(".config/harproxy/config.toml", "[record]\nglobs = ['**/u1', '**/u2']\noutput = 'mine/a.har'\n");
    assert_eq!(globs(&[], &[]), (json!(["**/u1", "**/u2"]), file(&user.display().to_string(), 2)));
    let output = settings(&run(&sandbox, &["config", "--json"], &[]).expect(0), "record.output").remove(0).0;
    assert_eq!(output, json!(sandbox.join(".config/harproxy/mine/a.har")), "relative to the user's own file");
    sandbox.write("harproxy.toml", "[record]\nglob = ['**/p1']\n");
    assert_eq!(globs(&[], &[]), (json!(["**/p1"]), file("harproxy.toml", 2)));
    let variable = [("HARPROXY_GLOB", "**/v1\n**/v2")];
    assert_eq!(globs(&[], &variable), (json!(["**/v1", "**/v2"]), json!({"kind": "env", "name": "HARPROXY_GLOB"})));
    assert_eq!(globs(&["-g", "**/f1"], &variable), (json!(["**/f1"]), json!({"kind": "flag", "name": "--glob"})));
}

#[test]
fn unset_secret_variable_is_logged_only_with_verbose() {
    let sandbox = Sandbox::new();
    sandbox.write("harproxy.toml", EXAMPLE.replace("hars/api.har", "new.har"));
    run(&sandbox, &["record", "-v", "--", "true"], &[]).expect(1).says("BAD_PW");
    let silent = run(&sandbox, &["record", "--", "true"], &[]).expect(1);
    assert!(!silent.stderr.contains("BAD_PW"), "{}", silent.stderr);
    let set = run(&sandbox, &["record", "-vv", "--", "true"], &[("BAD_PW", "hunter2")]).expect(1);
    assert!(!set.stderr.contains("BAD_PW") && !set.stderr.contains("hunter2"), "{}", set.stderr);
}

#[test]
fn usage_errors_respect_the_json_log_format() {
    let sandbox = Sandbox::new();
    for (args, variables) in [
        (&["replay", "--log-format", "json", "--miss-stauts", "404"][..], &[][..]),
        (&["--log-format=json", "replay", "--miss-stauts", "404"], &[]),
        (&["replay", "--miss-stauts", "404"], &[("HARPROXY_LOG_FORMAT", "json")]),
        (&["--log-format", "json", "repaly", "--miss-stauts", "404"], &[]),
    ] {
        let output = run(&sandbox, args, variables).expect(2).stderr;
        let line: Value = serde_json::from_str(&output).unwrap_or_else(|error| panic!("{args:?}: {error}: {output}"));
        assert_eq!((&line["event"], &line["status"]), (&json!("error"), &json!(2)), "{args:?}");
        assert!(line["message"].as_str().unwrap().contains("similar"), "{output}");
    }
}

#[test]
fn changed_settings_are_listed_without_defaults() {
    let sandbox = Sandbox::new();
    sandbox.write("harproxy.toml", "[replay]\nmiss-status = 404\n");
    let all = sandbox.run(["config", "replay"]).expect(0).stdout;
    for args in [
        &["config", "--changed"][..],
        &["config", "replay", "--changed"],
        &["config", "--changed", "replay", "--no-mark"],
    ] {
        let output = sandbox.run(args).expect(0).stdout;
        assert!(output.contains("miss-status") && output.contains("404"), "{output}");
        assert!(!output.contains("default") && output.lines().count() < all.lines().count() / 4, "{output}");
        assert_eq!(output.contains("no-mark"), args.contains(&"--no-mark"), "{output}");
    }
}
