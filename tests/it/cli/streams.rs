//! The use of the standard streams, and the output that other programs read.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::{CURL, CliSandbox};
use crate::fixtures::{entry, own};
use crate::support::sandbox::finish;

#[test]
fn standard_output_and_input_belong_to_cmd() {
    let stage = CliSandbox::new();
    let mut command =
        stage.sandbox.command(stage.args("record", &[], &["sh", "-c", "cat; curl -sS https://api.test/api/text"]));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"given\n").unwrap();
    let output = finish(child.wait_with_output().unwrap()).expect(0);
    assert_eq!(output.stdout, "given\nGrüße\n");
}

#[test]
fn standard_output_without_cmd_is_one_line() {
    let stage = CliSandbox::new();
    for format in ["text", "json"] {
        let options = ["-p", "0", "--log-format", format, "--reverse", "API=http://api.test", "-v"];
        let mut command = stage.sandbox.command(stage.args("record", &options, &[]));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGINT).unwrap();
        let mut rest = String::new();
        stdout.read_to_string(&mut rest).unwrap();
        let output = finish(child.wait_with_output().unwrap()).expect(1);
        assert_eq!(rest, "");
        let pid = format!("pid {}", child_pid(&line));
        match format {
            "json" => {
                let ready: Value = serde_json::from_str(&line).unwrap();
                assert_eq!(ready["event"], "ready");
                assert!(ready["proxy"].as_str().unwrap().starts_with("http://127.0.0.1:"), "{line}");
                assert!(ready["urls"]["API"].as_str().unwrap().starts_with("http://127.0.0.1:"), "{line}");
                for line in output.stderr.lines() {
                    serde_json::from_str::<Value>(line).unwrap_or_else(|e| panic!("{e}: {line}"));
                }
            }
            _ => {
                for fact in ["http://127.0.0.1:", "ca.pem", "bundle.pem", &pid, "API at http://127.0.0.1:"] {
                    assert!(line.contains(fact), "{fact}: {line}");
                }
            }
        }
    }
}

/// The number after `pid `, if there is one.
fn child_pid(line: &str) -> String {
    line.split_once("pid ").map(|(_, rest)| rest.chars().take_while(char::is_ascii_digit).collect()).unwrap_or_default()
}

#[test]
fn ready_file_has_all_addresses() {
    let stage = CliSandbox::new();
    let server = stage.sandbox.start(stage.args(
        "record",
        &["--ready-file", "run/ready.json", "--reverse", "API=http://api.test"],
        &[],
    ));
    let ready = stage.sandbox.har("run/ready.json");
    assert_eq!(ready["proxy"], server.ready()["proxy"]);
    assert_eq!(ready["pid"], server.pid());
    assert_eq!(ready["urls"], server.ready()["urls"]);
    for path in ["ca", "bundle"] {
        let path = Path::new(ready[path].as_str().unwrap());
        assert!(path.is_absolute() && path.is_file(), "{}", path.display());
        assert!(std::fs::read_to_string(path).unwrap().contains("BEGIN CERTIFICATE"));
    }
    assert_eq!(std::fs::read_dir(stage.sandbox.join("run")).unwrap().count(), 1, "written by rename");
    server.stop().expect(1);
}

#[test]
fn cmd_gets_the_url_of_each_reverse_origin() {
    let stage = CliSandbox::new();
    let script = "curl -sS \"$HARPROXY_URL_API_TEST/api/text\"; curl -sS \"$HARPROXY_URL_two/text\"";
    let options = ["--reverse", "http://api.test", "--reverse", "two=/v2=http://api.test/api"];
    let live = stage.record(&options, &["sh", "-c", script]).expect(0);
    assert_eq!(live.stdout, "Grüße\nGrüße\n");
    let replayed = stage.replay(&options, &["sh", "-c", script]).expect(0);
    assert_eq!(replayed.stdout, live.stdout);
}

#[test]
fn closed_pipe_is_not_an_error() {
    let stage = CliSandbox::new();
    let entries: Vec<_> = (0..5000).map(|n| entry(&format!("/{n}"), json!({"size": 0, "mimeType": "x"}))).collect();
    stage.sandbox.write("hars/api.har", own(&entries));
    let harproxy = env!("CARGO_BIN_EXE_harproxy");
    let environment = stage.sandbox.command([""; 0]);
    for command in ["ca bundle", "ls", "ls --json", "show --all hars/api.har"] {
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &format!("{{ {harproxy} {command}; echo $? > status; }} | head -n 1")]);
        shell.env_clear().current_dir(stage.sandbox.path()).stdin(Stdio::null());
        shell.envs(environment.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let output = finish(shell.output().unwrap()).expect(0);
        assert_eq!((output.stdout.lines().count(), output.stderr.as_str()), (1, ""), "{command}");
        assert_eq!(stage.sandbox.read("status"), "0\n", "{command}");
    }
}

#[test]
fn recording_ends_with_hosts_changes_and_next_commands() {
    let stage = CliSandbox::new();
    let script = "curl -sS https://api.test/api/json https://api.test/api/image -o /dev/null -o /dev/null; curl -sS http://api.test/page";
    let cmd = &["sh", "-c", script];
    let first = stage.record(&["-g", "**/api/**"], cmd).expect(0);
    for text in
        ["host", "requests", "recorded", "passed", "api.test", "2 added", "git add hars/recorded.har hars/recorded\n"]
    {
        assert!(first.stderr.contains(text), "{text}: {}", first.stderr);
    }
    assert!(first.stderr.contains(&format!("harproxy replay -- sh -c '{script}'\n")), "{}", first.stderr);
    let second = stage.record(&["-g", "**/api/**"], cmd).expect(0);
    assert!(second.stderr.contains("2 unchanged"), "{}", second.stderr);
    let third = stage.record(&["-g", "**/api/**"], CURL).expect(0);
    assert!(third.stderr.contains("1 unchanged") && third.stderr.contains("1 not seen"), "{}", third.stderr);
    let elsewhere = stage.record(&["-o", "my fixtures/a.har", "--content", "embed"], CURL).expect(0);
    assert!(elsewhere.stderr.contains("git add 'my fixtures/a.har'\n"), "{}", elsewhere.stderr);
    assert!(elsewhere.stderr.contains("harproxy replay 'my fixtures/a.har' -- curl"), "{}", elsewhere.stderr);
}

#[test]
fn quiet_prints_nothing_on_success() {
    let stage = CliSandbox::new();
    assert_eq!(stage.record(&["-q"], CURL).expect(0).stderr, "");
    assert_eq!(stage.replay(&["-q"], CURL).expect(0).stderr, "");
    stage.replay(&["-q"], &["true"]).expect(1).says("no-traffic");
    stage.replay(&["-q", "nothing.har"], &["true"]).expect(2).says("nothing.har");
}

#[test]
fn color_respects_option_and_terminal() {
    let stage = CliSandbox::new();
    stage.record(&[], CURL).expect(0);
    assert!(!stage.replay(&[], CURL).expect(0).stderr.contains('\u{1b}'));
    assert!(stage.replay(&["--color", "always"], CURL).expect(0).stderr.contains('\u{1b}'));
}

#[test]
fn option_takes_precedence_over_its_variable() {
    let stage = CliSandbox::new();
    let run = |options: &[&str], variables: &[(&str, &str)]| {
        finish(
            stage
                .sandbox
                .command(stage.args("record", options, CURL))
                .envs(variables.iter().copied())
                .output()
                .unwrap(),
        )
    };
    run(&[], &[("HARPROXY_OUTPUT", "by/variable.har"), ("HARPROXY_GLOB", "**/api/**\n!**/secret")]).expect(0);
    assert_eq!(
        stage.sandbox.har("by/variable.har")["log"]["_harproxy"]["scope"],
        serde_json::json!(["**/api/**", "!**/secret"])
    );
    run(&["-o", "by/option.har"], &[("HARPROXY_OUTPUT", "by/other.har"), ("HARPROXY_LISTEN", "")]).expect(0);
    assert!(stage.sandbox.join("by/option.har").exists() && !stage.sandbox.join("by/other.har").exists());
    run(&[], &[("HARPROXY_GRACE", "soon")]).expect(2).says("--grace");
}

#[test]
fn verbose_logs_each_request_without_secrets() {
    let stage = CliSandbox::new();
    let curl = &["curl", "-sS", "https://api.test/api/echo?access_token=hush", "-H", "authorization: Bearer hush"];
    for command in [stage.record(&["-vv"], curl), stage.replay(&["-vv"], curl)] {
        let output = command.expect(0).stderr;
        assert!(output.contains("GET https://api.test/api/echo 200"), "{output}");
        // The last two lines of a recording repeat CMD as it was typed.
        let log: Vec<&str> = output.lines().filter(|line| line.contains("Z ")).collect();
        assert!(!log.is_empty() && log.iter().all(|line| !line.contains("hush")), "{log:#?}");
    }
    assert!(!stage.replay(&[], curl).expect(0).stderr.contains("api/echo"), "not without -v");
}
