//! Mistakes on the command line, and their messages. Each suggested command works.

use std::os::unix::fs::{PermissionsExt, symlink};

use super::{CURL, CliSandbox};
use crate::support::client::Proto;
use crate::support::sandbox::{Output, Sandbox, finish};

/// The replay command that a recording suggests.
fn suggested_replay(recorded: &Output) -> String {
    let mut lines = recorded.stderr.lines().map(str::trim);
    lines.rfind(|line| line.starts_with("harproxy replay")).unwrap_or_default().to_owned()
}

#[test]
fn printed_next_command_works() {
    let stage = CliSandbox::new();
    let cmd = ["sh", "-c", "curl -sS \"$HARPROXY_URL_API/text\""];
    stage.sandbox.write("conf/my.toml", "[record]\nbypass = ['db.internal']\n");
    let options = ["-o", "my fixtures/a.har", "--config", "conf/my.toml", "--reverse", "API=http://api.test/api"];
    let recorded = stage.record(&[&options[..], &["--auth", "me:pa55"]].concat(), &cmd).expect(0);
    let line = suggested_replay(&recorded);
    let words =
        "replay 'my fixtures/a.har' --config conf/my.toml --auth me:PASS --bypass db.internal --reverse API=http";
    assert!(line.contains(words), "{line}");
    assert!(!recorded.stderr.contains("pa55"), "{}", recorded.stderr);
    let typed = line.replacen("harproxy", env!("CARGO_BIN_EXE_harproxy"), 1);
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", &typed]).current_dir(stage.sandbox.path()).env_clear();
    shell.env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", stage.sandbox.path());
    shell.env("XDG_DATA_HOME", stage.sandbox.join("data"));
    assert_eq!(finish(shell.output().unwrap()).expect(0).stdout, recorded.stdout);
}

#[test]
fn no_traffic_names_a_missing_reverse_option() {
    let stage = CliSandbox::new();
    let cmd = ["sh", "-c", "curl -sS \"$HARPROXY_URL_API/text\"; true"];
    stage.record(&["--reverse", "API=http://api.test/api"], &cmd).expect(0);
    stage.replay(&[], &cmd).expect(1).says("no-traffic").says("`--reverse API=URL`");
}

#[test]
fn recording_output_is_found_by_replay() {
    let stage = CliSandbox::new();
    for output in ["hars/api.json", "hars/api", "hars/api.har.gz"] {
        let refused = stage.record(&["-o", output], CURL).expect(2);
        assert!(refused.stderr.contains("ends neither in .har nor in .zip"), "{output}: {}", refused.stderr);
        assert_eq!(refused.stdout, "");
    }
    assert!(!stage.sandbox.join("hars").exists());
    stage.record(&["-o", "hars/"], CURL).expect(2).says("pass a file in it");
    stage.record(&["-o", "hars/API.HAR"], CURL).expect(0);
}

#[test]
fn invalid_switch_variable_is_an_error() {
    let stage = CliSandbox::new();
    for (value, status) in [("maybe", 2), ("2", 2), ("no", 0), ("1", 0)] {
        let args = stage.args("record", &["--update", "replace"], CURL);
        let mut command = stage.sandbox.command(args);
        let output = finish(command.env("HARPROXY_NO_REDACT", value).output().unwrap()).expect(status);
        assert!(status == 0 || output.stderr.contains("HARPROXY_NO_REDACT"), "{value}: {}", output.stderr);
    }
}

#[test]
fn double_dash_needs_a_program() {
    let sandbox = Sandbox::new();
    for command in ["record", "replay", "doctor"] {
        let output = sandbox.run([command, "--"]).expect(2);
        assert!(command == "doctor" || output.stderr.contains("no program follows `--`"), "{}", output.stderr);
    }
    let settings = sandbox.run(["config", "replay", "--json", "--", "curl", "x"]).expect(0).stdout;
    let fixtures = settings.lines().find(|line| line.contains("replay.fixtures")).unwrap();
    assert!(!fixtures.contains("curl"), "{fixtures}");
}

#[test]
fn hints_match_the_error() {
    let sandbox = Sandbox::new();
    sandbox.write("hars/a.har", r#"{"log":{"version":"1.2","creator":{"name":"x","version":"1"},"entries":[]}}"#);
    let script = sandbox.write("script", "#!/nowhere/python\n");
    std::fs::set_permissions(script, std::fs::Permissions::from_mode(0o755)).unwrap();
    sandbox.write("empty.pem", "nothing\n");
    sandbox.write("bad.toml", b"[record]\noutput = '\xff.har'\n");
    for (args, status, words, not) in [
        (
            &["record", "--reverse", "A=/p=http://a", "--reverse", "B=/p=http://b", "--", "true"][..],
            2,
            "prefix of its own",
            "name of its own",
        ),
        (&["replay", "--", "./script"], 126, "`#!…`", "chmod"),
        (&["env", "extra"], 2, "'extra'", "two dashes"),
        (&["ca", "bundle", "extra"], 2, "'extra'", "two dashes"),
        (&["record", "--upstream-ca", "nope.pem", "--", "true"], 2, "nope.pem", "os error"),
        (&["record", "--upstream-ca", "empty.pem", "--", "true"], 2, "empty.pem has no certificate\n", "certificate: "),
        (&["record", "--config", "bad.toml", "--", "true"], 2, "UTF-8", "check the disk"),
        (&["env", "-p", "0"], 2, "-p 8899", "http://127.0.0.1:0"),
    ] {
        let output = sandbox.run(args).expect(status);
        assert!(output.stderr.contains(words) && !output.stderr.contains(not), "{args:?}: {}", output.stderr);
        assert_eq!(output.stdout, "", "{args:?}");
    }
}

#[test]
fn messages_show_the_typo_and_suggest_the_right_form() {
    let sandbox = Sandbox::new();
    for (args, words) in [
        (
            &["record", "--reverse", "localhost:3000", "--", "true"][..],
            &["'localhost:3000'", "`https://api.example.com`"][..],
        ),
        (&["replay", "--ignore-body", "foo", "--", "true"], &["'foo'", "did you mean `$.foo`"]),
        (&["replay", "--same-host", "a.com=b.com", "--", "true"], &["'a.com=b.com'", "origin", "`https://host`"]),
        (&["explain", "--url", "foo"], &["'foo'", "expected a whole URL"]),
        (&["record", "--upstream-proxy", "proxy", "--", "true"], &["'proxy'", "`http://proxy.example.com:3128`"]),
        (&["replay", "curl"], &["did you mean `harproxy replay -- curl`"]),
        (&["record", "curl"], &["did you mean `harproxy record -- curl …`"]),
    ] {
        let stderr = sandbox.run(args).expect(2).stderr;
        assert!(words.iter().all(|word| stderr.contains(word)), "{args:?}: {stderr}");
        assert!(!stderr.contains("(redacted)") && !stderr.contains("JSON path is one"), "{args:?}: {stderr}");
    }
    for args in [
        &["record", "--auth", "hunter2", "--", "true"][..],
        &["record", "--upstream-proxy", "me:hunter2@proxy", "--", "true"],
        &["record", "--reverse", "http://me:hunter2@host", "--", "true"],
        &["explain", "--url", "http://x/", "-H", "Authorization hunter2"],
    ] {
        let stderr = sandbox.run(args).expect(2).stderr;
        assert!(stderr.contains("(redacted)") && !stderr.contains("hunter2"), "{args:?}: {stderr}");
    }
}

#[test]
fn invalid_value_of_a_variable_names_the_variable() {
    let sandbox = Sandbox::new();
    let run = |args: &[&str]| {
        finish(sandbox.command(args).env("HARPROXY_MISS_STATUS", "abc").output().unwrap()).expect(2).stderr
    };
    let stderr = run(&["replay", "--", "true"]);
    assert!(stderr.contains("'abc'") && stderr.contains("HARPROXY_MISS_STATUS"), "{stderr}");
    // A value on the command line has precedence.
    let stderr = run(&["replay", "--miss-status", "99", "--", "true"]);
    assert!(stderr.contains("'99'") && !stderr.contains("HARPROXY_MISS_STATUS"), "{stderr}");
}

#[test]
fn missing_fixture_hint_names_unfinished_recordings() {
    let stage = CliSandbox::new();
    let recorder = stage.sandbox.start(stage.args("record", &["-o", "hars/k.har"], &[]));
    recorder.client(Proto::H1).get("http://api.test/api/json");
    recorder.signal(nix::sys::signal::Signal::SIGKILL);
    recorder.wait();
    for args in [&["replay", "hars/k.har", "--", "true"][..], &["ls", "hars/k.har"], &["replay", "--", "true"]] {
        stage.sandbox.run(args).expect(2).says("`harproxy recover hars/k.har`");
    }
    stage.record(&["-o", "hars/b.har"], CURL).expect(0);
    stage.sandbox.run(["check"]).expect(0).says("`harproxy recover hars/k.har`");
    stage.sandbox.run(["recover", "hars/k.har"]).expect(0);
    let quiet = stage.sandbox.run(["check"]).expect(0);
    assert!(!quiet.stderr.contains("recover"), "{}", quiet.stderr);
}

/// The first signal ends CMD, which sends harproxy the second one.
fn signal_twice(before: &str) -> [String; 3] {
    let script = format!("{before}trap 'kill -INT $PPID' TERM; kill -TERM $PPID; while :; do sleep 0.05; done");
    ["sh".into(), "-c".into(), script]
}

#[test]
fn second_signal_reports_its_status_and_the_unfinished_recording() {
    let stage = CliSandbox::new();
    stage.record(&[], CURL).expect(0);
    let fetch = "curl -sS https://api.test/api/json >/dev/null; ";
    let words = signal_twice(fetch);
    let cmd: Vec<&str> = words.iter().map(String::as_str).collect();
    let replayed = stage.replay(&["--report", "r.json"], &cmd).expect(130);
    assert!(!replayed.stderr.contains("recover"), "{}", replayed.stderr);
    let report = stage.sandbox.har("r.json");
    assert_eq!((&report["status"], &report["source"]), (&130.into(), &"harproxy".into()));
    stage.record(&["-o", "hars/b.har"], &cmd).expect(130).says("`harproxy recover hars/b.har`");
    let words = signal_twice("");
    let cmd: Vec<&str> = words.iter().map(String::as_str).collect();
    let nothing = stage.record(&["-o", "hars/c.har"], &cmd).expect(130);
    assert!(!nothing.stderr.contains("recover"), "{}", nothing.stderr);
}

#[test]
fn stale_ready_file_is_removed_when_a_run_fails() {
    let sandbox = Sandbox::new();
    for args in [&["replay", "none.har"][..], &["record", "--upstream-ca", "none.pem"]] {
        sandbox.write("ready.json", "{}");
        let args: Vec<&str> = args.iter().copied().chain(["--ready-file", "ready.json", "--", "true"]).collect();
        sandbox.run(args).expect(2);
        assert!(!sandbox.join("ready.json").exists());
    }
}

#[test]
fn report_is_written_through_a_symbolic_link() {
    let stage = CliSandbox::new();
    stage.record(&[], CURL).expect(0);
    stage.sandbox.write("there/real.json", "{}");
    symlink("there/real.json", stage.sandbox.join("r.json")).unwrap();
    stage.replay(&["--report", "r.json"], CURL).expect(0);
    assert_eq!(stage.sandbox.har("there/real.json")["status"], 0);
    assert!(stage.sandbox.join("r.json").is_symlink());
    symlink("/dev/full", stage.sandbox.join("full.json")).unwrap();
    stage.replay(&["--report", "full.json"], CURL).expect(3).says("full.json");
}

#[test]
fn doctor_reports_that_no_program_was_observed() {
    let output = Sandbox::new().run(["doctor", "--", "sh", "-c", "exit 7"]).expect(7);
    assert!(!output.stderr.lines().any(|line| line.trim_end() == "  ran:"), "{}", output.stderr);
}
