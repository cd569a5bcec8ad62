//! The examples in the help of these commands work on recorded fixtures.

use crate::cli::CliSandbox;
use crate::cli::help::{examples, run_line};
use crate::support::sandbox::Sandbox;

#[test]
fn help_examples_work_on_recorded_fixtures() {
    let help = Sandbox::new();
    let stage = CliSandbox::new();
    run_line(&stage, "harproxy record -o hars/api.har -- ./run-the-tests.sh").expect(0);
    run_line(&stage, "harproxy pack hars/api.har -o hars/packed.zip").expect(0);
    for command in ["ls", "show", "check", "redact", "fmt", "pack", "unpack"] {
        for example in examples(&help, command) {
            let output = run_line(&stage, &example);
            assert_eq!(output.status, 0, "{example}: {output:?}");
            assert!(!output.stderr.contains("error"), "{example}: {output:?}");
        }
    }
    assert_eq!(stage.sandbox.read("users.json"), stage.sandbox.run(["show", "--body", "hars/api.har#0"]).stdout);
}
