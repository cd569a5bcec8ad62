//! The examples in the help of these commands work on recorded fixtures.

use crate::cli::CliSandbox;
use crate::cli::help::{examples, type_in};
use crate::support::sandbox::Sandbox;

#[test]
fn help_examples_work_on_recorded_fixtures() {
    let help = Sandbox::new();
    let stage = CliSandbox::new();
    type_in(&stage, "harproxy record -o hars/api.har -- ./run-the-tests.sh").expect(0);
    type_in(&stage, "harproxy pack hars/api.har -o hars/packed.zip").expect(0);
    for command in ["ls", "show", "check", "redact", "fmt", "pack", "unpack"] {
        for example in examples(&help, command) {
            let output = type_in(&stage, &example);
            assert_eq!(output.status, 0, "{example}: {output:?}");
            assert!(!output.stderr.contains("error"), "{example}: {output:?}");
        }
    }
    assert_eq!(stage.sandbox.read("users.json"), stage.sandbox.run(["show", "--body", "hars/api.har#0"]).stdout);
}
