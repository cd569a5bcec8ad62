//! `harproxy demo`: the README's first command.

use crate::support::sandbox::Sandbox;

#[test]
fn demo_runs_repeatedly_with_one_miss() {
    let sandbox = Sandbox::new();
    let mut fixtures = Vec::new();
    for _ in 0..2 {
        let output = sandbox.run(["demo", "--keep", "kept"]).expect(0);
        for text in [
            "https://api.demo.test",
            "kept/demo.har",
            "8 of 8 responses",
            "/api/users?page=3",
            "501",
            "`page`",
            "passed, not recorded",
        ] {
            assert!(output.stdout.contains(text), "{text}\n{}", output.stdout);
        }
        assert!(output.stdout.lines().count() <= 45, "{}", output.stdout);
        fixtures.push(sandbox.read("kept/demo.har"));
    }
    assert_eq!(fixtures[0], fixtures[1], "recording the same behaviour twice changes no byte");
    let har = sandbox.har("kept/demo.har");
    let entries = har["log"]["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 8);
    for entry in entries {
        assert!(entry["request"]["url"].as_str().unwrap().starts_with("https://api.demo.test/api/"), "{entry}");
    }
    assert!(!sandbox.join("data").exists(), "the user's authority is not touched");
}

#[test]
fn demo_leaves_no_file_in_the_working_directory() {
    let sandbox = Sandbox::new();
    let output = sandbox.run(["demo"]).expect(0);
    assert!(output.stdout.contains("`harproxy demo --keep DIR` keeps it"), "{}", output.stdout);
    assert_eq!(std::fs::read_dir(sandbox.path()).unwrap().count(), 0);
}

#[test]
fn demo_ignores_the_proxy_of_the_environment() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command(["demo"]);
    command.env("HTTPS_PROXY", "http://127.0.0.1:9").env("ALL_PROXY", "http://127.0.0.1:9");
    crate::support::sandbox::finish(command.output().unwrap()).expect(0);
}
