//! `harproxy init`: proposals from the files of a project and one run of its tests.

use std::process::Command;

use crate::cli::CliSandbox;
use crate::cli::help::run_line;

const RUN: &str = "harproxy init --yes -- ./run-the-tests.sh";

fn git(stage: &CliSandbox, args: &[&str]) {
    let done = Command::new("git").args(args).current_dir(stage.sandbox.path()).output().unwrap();
    assert!(done.status.success(), "{done:?}");
}

#[test]
fn proposed_configuration_records_and_replays() {
    let stage = CliSandbox::new();
    git(&stage, &["init", "-q"]);
    stage.sandbox.write("package.json", r#"{"scripts": {"test": "jest"}}"#);
    stage.sandbox.write(".github/workflows/test.yml", "on: push\n");
    let output = run_line(&stage, RUN).expect(0);
    let output = output.says("package.json: tests run with `npm test`; see docs/getting-started/node.md");
    let output = output.says("left out, of this machine: http://localhost:8000").says("globs = [");
    let output = output.says("/hars/**/*.har text eol=lf merge=harproxy").says("/hars/**/.*.journal");
    let output = output.says("- run: harproxy replay --report reports/run.html").says("actions/upload-artifact");
    output.says("Next:").says("harproxy record -- ./run-the-tests.sh").says("git add harproxy.toml");
    let config = stage.sandbox.read("harproxy.toml");
    assert!(config.contains("\"https://api.example.com/**\"") && !config.contains("localhost"), "{config}");

    run_line(&stage, "harproxy record -- ./run-the-tests.sh").expect(0).says("1 added");
    run_line(&stage, "harproxy replay -- ./run-the-tests.sh").expect(0).says("replay passed");
    // An existing file stays.
    let output = run_line(&stage, RUN).expect(0).says("harproxy.toml exists and is not changed");
    assert!(!output.stderr.contains("globs = ["), "{}", output.stderr);
    assert_eq!(stage.sandbox.read("harproxy.toml"), config);
    stage.sandbox.write("harproxy.toml", "[record]\nglobs = [\"https://other.test/**\"]\n");
    run_line(&stage, RUN).expect(0).says("add to `globs` under [record]: https://api.example.com/**");
}

#[test]
fn nothing_is_run_or_written_without_cmd_and_a_terminal() {
    let stage = CliSandbox::new();
    stage.sandbox.write("go.mod", "module shop\n");
    let output = run_line(&stage, "harproxy init").expect(0);
    let output = output.says("go.mod: tests run with `go test -count=1 ./...`").says("# globs = [");
    let output = output.says("this folder is not in a git work tree: nothing is proposed for git");
    output.says("hint: `harproxy init --yes` writes harproxy.toml");
    assert!(!stage.sandbox.join("harproxy.toml").exists());
    run_line(&stage, "harproxy init --yes").expect(0).says("harproxy record -- go test -count=1 ./...");
    run_line(&stage, "harproxy config").expect(0);
}

#[cfg(unix)]
#[test]
fn answer_on_the_terminal_decides_whether_the_file_is_written() {
    use crate::support::terminal;
    let stage = CliSandbox::new();
    stage.sandbox.write("go.mod", "module shop\n");
    let (shown, status) = terminal::answer(stage.sandbox.command(["init"]), 80, "n\n");
    assert_eq!((status, shown.contains("Write harproxy.toml? [Y/n] ")), (0, true), "{shown}");
    assert!(shown.contains("`harproxy init --yes` writes harproxy.toml"), "{shown}");
    assert!(!stage.sandbox.join("harproxy.toml").exists());
    let (shown, status) = terminal::answer(stage.sandbox.command(["init"]), 80, "\n");
    assert_eq!((status, stage.sandbox.join("harproxy.toml").exists()), (0, true), "{shown}");
}

#[test]
fn problems_of_the_project_and_of_cmd_are_told() {
    let stage = CliSandbox::new();
    stage.sandbox.write("package.json", "{");
    std::fs::create_dir(stage.sandbox.join("Gemfile")).unwrap();
    let output = run_line(&stage, "harproxy init --yes -- sh -c './run-the-tests.sh; exit 7'").expect(7);
    let output = output.says("package.json is not valid JSON").says("Gemfile cannot be read: it is not a regular file");
    output.says("CMD ended with status 7").says("https://api.example.com/**");
    assert!(stage.sandbox.read("harproxy.toml").contains("api.example.com"));

    let stage = CliSandbox::new();
    let output = run_line(&stage, "harproxy init --yes -- true").expect(1);
    output.says("no-traffic").says("no test command was found").says("# globs = [");
    run_line(&stage, "harproxy init -- no-such-program").expect(127);
}
