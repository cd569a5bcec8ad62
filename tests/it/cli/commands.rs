//! `ca`, `env` and `glob`.

use std::io::Write;
use std::process::Stdio;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::Value;

use super::Stage;
use crate::support::sandbox::{Sandbox, finish};

#[test]
fn ca_path_makes_the_authority_at_first_use() {
    let sandbox = Sandbox::new();
    let first = sandbox.run(["ca", "path"]).expect(0).stdout;
    let path = std::path::Path::new(first.trim_end());
    assert!(path.is_absolute() && path.starts_with(sandbox.join("data/harproxy")), "{first}");
    let pem = std::fs::read(path).unwrap();
    assert_eq!(sandbox.run(["ca", "path"]).expect(0).stdout, first);
    assert_eq!(std::fs::read(path).unwrap(), pem);
    let elsewhere = sandbox.run(["ca", "path", "--ca-dir", "mine"]).expect(0).stdout;
    assert!(std::path::Path::new(elsewhere.trim_end()).starts_with(sandbox.join("mine")), "{elsewhere}");
}

#[test]
fn ca_show_tells_what_a_trust_store_asks_for() {
    let sandbox = Sandbox::new();
    let text = sandbox.run(["ca", "show"]).expect(0).stdout;
    for what in ["file", "subject", "expires", "sha-256", "spki pin"] {
        assert!(text.lines().any(|line| line.starts_with(what) && line.len() > 20), "{what}: {text}");
    }
    assert!(text.contains("CN="), "{text}");
}

#[test]
fn ca_bundle_holds_the_systems_roots_and_the_ca_last() {
    let sandbox = Sandbox::new();
    let bundle = sandbox.run(["ca", "bundle"]).expect(0).stdout;
    let roots: Vec<_> = CertificateDer::pem_slice_iter(bundle.as_bytes()).map(Result::unwrap).collect();
    let ca = CertificateDer::from_pem_file(sandbox.run(["ca", "path"]).expect(0).stdout.trim_end()).unwrap();
    assert_eq!(roots.last(), Some(&ca));
    assert_eq!(sandbox.run(["ca", "bundle", "-o", "certs/all.pem"]).expect(0).stdout, "");
    assert_eq!(sandbox.read("certs/all.pem"), bundle);
}

#[test]
fn ca_new_makes_another_one() {
    let sandbox = Sandbox::new();
    let old = sandbox.run(["ca", "show"]).expect(0).stdout;
    let new = sandbox.run(["ca", "new"]).expect(0).stdout;
    assert_ne!(old, new);
    assert_eq!(sandbox.run(["ca", "show"]).expect(0).stdout, new);
}

#[test]
fn env_makes_a_client_use_a_running_proxy() {
    let stage = Stage::new();
    let recorder = stage.sandbox.start(stage.args("record", &["-o", "hars/a.har"], &[]));
    let port = recorder.proxy().port();
    let script =
        format!("eval \"$('{}' env -p {port})\" && curl -sS https://api.test/api/text", env!("CARGO_BIN_EXE_harproxy"));
    let mut shell = std::process::Command::new("sh");
    let scrubbed = stage.sandbox.command([""; 0]);
    shell.args(["-c", &script]).env_clear().current_dir(stage.sandbox.path());
    shell.envs(scrubbed.get_envs().filter_map(|(name, value)| Some((name, value?))));
    assert_eq!(finish(shell.output().unwrap()).expect(0).stdout, "Grüße\n");
    recorder.stop().expect(0);
}

#[test]
fn env_has_a_form_for_each_shell() {
    let sandbox = Sandbox::new();
    let json = sandbox.run(["env", "--shell", "json", "--bypass", "db.internal"]).expect(0).stdout;
    let variables: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(variables["HTTPS_PROXY"], "http://127.0.0.1:8899");
    assert_eq!(variables["NO_PROXY"], "db.internal");
    let bundle = variables["SSL_CERT_FILE"].as_str().unwrap();
    assert!(std::fs::read_to_string(bundle).unwrap().contains("BEGIN CERTIFICATE"), "the files stay");
    for (shell, line) in [
        ("sh", "export HTTPS_PROXY=http://127.0.0.1:8899"),
        ("fish", "set -gx HTTPS_PROXY http://127.0.0.1:8899"),
        ("powershell", "$env:HTTPS_PROXY = 'http://127.0.0.1:8899'"),
        ("dotenv", "HTTPS_PROXY=http://127.0.0.1:8899"),
    ] {
        let text = sandbox.run(["env", "--shell", shell]).expect(0).stdout;
        assert!(text.lines().any(|l| l == line), "{text}");
    }
}

#[test]
fn glob_answers_each_line_as_it_is() {
    let sandbox = Sandbox::new();
    let ask = |args: &[&str]| {
        let mut command = sandbox.command(args);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = b"https://a.test/api/x\n\n https://a.test/api/x\r\nhttps://a.test/api/health";
        // A malformed glob is refused before anything is read.
        let _ = child.stdin.take().unwrap().write_all(lines);
        finish(child.wait_with_output().unwrap())
    };
    let text = ask(&["glob", "https://a.test/**", "!**/health"]).expect(0).stdout;
    assert_eq!(text, "match\thttps://a.test/api/x\n-\t\n-\t https://a.test/api/x\n-\thttps://a.test/api/health\n");
    let json = ask(&["glob", "--json", "https://a.test/**"]).expect(0).stdout;
    let lines: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0], serde_json::json!({"url": "https://a.test/api/x", "match": true}));
    assert_eq!(lines[1], serde_json::json!({"url": "", "match": false}));
    assert_eq!(lines.len(), 4);
    ask(&["glob", "{a"]).expect(2).says("`{`");
}
