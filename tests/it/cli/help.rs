//! The help lists every command, and its examples run.

use std::os::unix::fs::PermissionsExt;

use super::CliSandbox;
use crate::support::sandbox::{Sandbox, finish};

/// The commands in the help, by name.
pub fn commands(sandbox: &Sandbox) -> Vec<String> {
    let help = sandbox.run(["--help"]).expect(0).stdout;
    let list = help.split_once("Record & replay:\n").unwrap().1.split_once("Options:\n").unwrap().0;
    let is_command = |line: &&str| line.starts_with("  ") && !line.starts_with("   ");
    list.lines().filter(is_command).filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

#[test]
fn help_lists_exactly_the_commands() {
    let sandbox = Sandbox::new();
    let commands = commands(&sandbox);
    let expected = "record replay serve ctl recover report demo doctor explain drift glob config ls show diff check redact fmt merge rm prune pack unpack init import env ca git-setup completions man help version";
    assert_eq!(commands.join(" "), expected);
    for command in &commands {
        let help = sandbox.run([command.as_str(), "--help"]).expect(0);
        assert!(help.stdout.contains("Usage: harproxy"), "{}", help.stdout);
        assert_eq!(help.stderr, "");
        assert_eq!(sandbox.run([command.as_str(), "-h"]).expect(0).stderr, "");
    }
    sandbox.run(["doctor"]).expect(2).says("doctor");
    assert!(sandbox.run(["--version"]).expect(0).stdout.starts_with("harproxy 0."));
}

/// The help at a width, without a terminal.
fn help_at(sandbox: &Sandbox, columns: &str, args: &[&str]) -> String {
    finish(sandbox.command(args).env("COLUMNS", columns).output().unwrap()).expect(0).stdout
}

#[test]
fn help_and_version_are_commands_too() {
    let sandbox = Sandbox::new();
    for (command, option) in [
        (&["help"][..], &["--help"][..]),
        (&["help", "record"], &["record", "--help"]),
        (&["help", "ca", "trust"], &["ca", "trust", "--help"]),
        (&["version"], &["--version"]),
    ] {
        assert_eq!(sandbox.run(command).expect(0).stdout, sandbox.run(option).expect(0).stdout, "{command:?}");
    }
    sandbox.run(["help", "recrd"]).expect(2).says("no command `recrd`");
}

#[test]
fn help_groups_commands_and_has_exit_statuses_and_the_documentation() {
    let help = Sandbox::new().run(["--help"]).expect(0).stdout;
    let headings =
        ["\nRecord & replay:\n  record ", "\nDiagnose:\n  doctor ", "\nFixtures:\n  ls ", "\nSet-up:\n  init "];
    for words in headings.into_iter().chain(["\nExit statuses:\n  0  ", "\n  127 ", "docs/README.md"]) {
        assert!(help.contains(words), "{words}: {help}");
    }
}

#[test]
fn help_names_the_kinds_of_fail_on_and_the_variables() {
    let sandbox = Sandbox::new();
    for args in [["replay", "--help"], ["report", "--help"]] {
        let help = sandbox.run(args).expect(0).stdout;
        for kind in ["- miss: miss", "- unused: unused entry", "- stream: stream refused", "- bypass: "] {
            assert!(help.contains(kind), "{kind}: {help}");
        }
    }
    let mut command = sandbox.command(["replay", "--help"]);
    let help = finish(command.env("HARPROXY_AUTH", "me:hunter2").output().unwrap()).expect(0).stdout;
    for variable in ["[env: HARPROXY_MISS_STATUS]", "[env: HARPROXY_AUTH=]", "[env: HARPROXY_NO_MARK]"] {
        assert!(help.contains(variable.trim_end_matches("=]")), "{variable}: {help}");
    }
    assert!(!help.contains("hunter2") && !help.contains("HARPROXY_HELP"), "{help}");
}

#[test]
fn help_is_wrapped_once_and_ends_its_options_with_help() {
    let sandbox = Sandbox::new();
    for columns in ["80", "100"] {
        let width: usize = columns.parse().unwrap();
        for command in commands(&sandbox) {
            let help = help_at(&sandbox, columns, &[&command, "--help"]);
            let option = |line: &&str| {
                line.trim_start().starts_with('-') && line.starts_with("  ") && !line.starts_with("          -")
            };
            let last = help.lines().rfind(option).unwrap_or_default();
            assert!(last.contains("-h, --help"), "{command}: {last}");
            assert!(
                help.lines().all(|line| line.chars().count() <= width || line.starts_with("Usage:")),
                "{command} at {columns}: {help}"
            );
        }
        for (command, first) in [
            ("doctor", "The exit status is 0 if all"),
            ("check", "The exit status is 1 if there"),
            ("report", "An entry is unused"),
        ] {
            let help = help_at(&sandbox, columns, &[command, "--help"]);
            let paragraph = &help[help.find(first).unwrap_or_else(|| panic!("{help}"))..];
            let paragraph = paragraph.split("\n\n").next().unwrap();
            let lines: Vec<&str> = paragraph.lines().collect();
            for pair in lines.windows(2) {
                let word = pair[1].split(' ').next().unwrap();
                assert!(pair[0].len() + 1 + word.len() > width, "{command} at {columns} breaks early: {paragraph}");
            }
        }
    }
}

/// Options that record both origins of the examples.
const EVERYTHING: &str = "--glob 'https://api.example.com/**' --glob 'http://localhost:8000/**'";

/// The examples of a command, one per line.
pub fn examples(sandbox: &Sandbox, command: &str) -> Vec<String> {
    let help = sandbox.run(command.split(' ').chain(["--help"])).expect(0).stdout;
    let Some((_, examples)) = help.split_once("Examples:\n") else { panic!("{command} has no examples") };
    examples.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
}

/// Runs a line in a shell like a user, with harproxy and the tests of a project in PATH. The origin answers for the
/// hosts of the examples.
pub fn run_line(stage: &CliSandbox, line: &str) -> crate::support::sandbox::Output {
    let origin = &stage.origin;
    let tests = "#!/bin/sh\nexec curl -sSk http://localhost:8000/api/users https://api.example.com/api/users\n";
    for script in ["bin/npm", "run-the-tests.sh"] {
        let file = stage.sandbox.write(script, tests);
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let harproxy = std::path::Path::new(env!("CARGO_BIN_EXE_harproxy")).parent().unwrap();
    let own = [harproxy.to_owned(), stage.sandbox.join("bin")];
    let path = std::env::var_os("PATH").unwrap();
    let path = std::env::join_paths(own.into_iter().chain(std::env::split_paths(&path))).unwrap();
    let scrubbed = stage.sandbox.command([""; 0]);
    let mut shell = std::process::Command::new("sh");
    shell
        .args(["-c", line])
        .current_dir(stage.sandbox.path())
        .env_clear()
        .envs(scrubbed.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .env("PATH", path)
        .env("HARPROXY_MAP", format!("localhost:8000={},api.example.com:443={}", origin.http, origin.https))
        .env("HARPROXY_INSECURE", "**");
    finish(shell.output().unwrap())
}

#[test]
fn record_examples_work() {
    let sandbox = Sandbox::new();
    for example in examples(&sandbox, "record") {
        let output = run_line(&CliSandbox::new(), &example);
        assert_eq!(output.status, 0, "{example}: {output:?}");
    }
}

#[test]
fn replay_examples_work_on_recorded_fixtures() {
    let sandbox = Sandbox::new();
    for example in examples(&sandbox, "replay") {
        let stage = CliSandbox::new();
        let (options, cmd) = example.split_once(" -- ").unwrap();
        let output = options.split(' ').find(|word| word.ends_with(".har")).unwrap_or("hars/recorded.har");
        let recorded = run_line(&stage, &format!("harproxy record {EVERYTHING} -o {output} -- {cmd}"));
        assert_eq!(recorded.status, 0, "{example}: {recorded:?}");
        let replayed = run_line(&stage, &example);
        assert_eq!(replayed.status, 0, "{example}: {replayed:?}");
    }
}

#[test]
fn explain_examples_work_on_recorded_fixtures() {
    let stage = CliSandbox::new();
    run_line(&stage, "harproxy record -- ./run-the-tests.sh").expect(0);
    stage.sandbox.write("requests.jsonl", r#"{"url":"https://api.example.com/api/users","method":"GET"}"#);
    for example in examples(&stage.sandbox, "explain") {
        let output = run_line(&stage, &example);
        assert_eq!((output.status, output.stderr.as_str()), (0, ""), "{example}: {output:?}");
        assert!(output.stdout.contains("hars/recorded.har"), "{example}: {output:?}");
    }
}

#[test]
fn recover_examples_work_on_a_held_recording() {
    for example in examples(&Sandbox::new(), "recover") {
        let stage = CliSandbox::new();
        run_line(&stage, &format!("harproxy record {EVERYTHING} -o hars/api.har -- ./run-the-tests.sh")).expect(0);
        run_line(
            &stage,
            &format!("harproxy record {EVERYTHING} -o hars/api.har -- sh -c './run-the-tests.sh; exit 1'"),
        )
        .expect(1);
        let output = run_line(&stage, &example).expect(0);
        assert!(
            output.stderr.contains("from a recording that was held") || output.stderr.contains("dropped 2"),
            "{output:?}"
        );
    }
}

#[test]
fn report_examples_work_on_replay_reports() {
    for example in examples(&Sandbox::new(), "report") {
        let stage = CliSandbox::new();
        run_line(&stage, "harproxy record -- npm test").expect(0);
        for shard in ["shard-1.json", "shard-2.json", "shards/1.json"] {
            run_line(&stage, &format!("harproxy replay --report {shard} -- npm test")).expect(0);
        }
        run_line(&stage, &example).expect(0).says("replay passed");
    }
}

#[test]
fn examples_of_other_commands_work() {
    let sandbox = Sandbox::new();
    for command in ["ca", "env", "glob", "config", "completions", "man", "help"] {
        for example in examples(&sandbox, command) {
            let output = run_line(&CliSandbox::new(), &example);
            assert_eq!((output.status, output.stderr.as_str()), (0, ""), "{example}: {output:?}");
        }
    }
    for example in examples(&sandbox, "ca trust") {
        // The other examples would change the trust stores of this machine.
        let changes = example.contains("install");
        if !changes || example.ends_with("--store browsers") {
            let stage = CliSandbox::new();
            super::trust_stores::certutil(&stage.sandbox);
            let output = run_line(&stage, &example);
            assert_eq!(output.status, 0, "{example}: {output:?}");
        }
    }
    let output = run_line(&CliSandbox::new(), "harproxy demo");
    assert_eq!(output.status, 0, "{output:?}");
}
