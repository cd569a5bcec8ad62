//! `ca`, `env` and `glob`.

use std::io::Write;
use std::process::Stdio;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::Value;

use super::CliSandbox;
use crate::support::sandbox::{Sandbox, finish};

#[test]
fn ca_path_creates_the_authority_at_first_use() {
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
fn ca_show_prints_the_properties_of_the_certificate() {
    let sandbox = Sandbox::new();
    let text = sandbox.run(["ca", "show"]).expect(0).stdout;
    for what in ["file", "subject", "expires", "sha-256", "spki pin"] {
        assert!(text.lines().any(|line| line.starts_with(what) && line.len() > 20), "{what}: {text}");
    }
    assert!(text.contains("CN="), "{text}");
}

#[test]
fn ca_bundle_has_the_system_roots_and_the_ca_last() {
    let sandbox = Sandbox::new();
    let bundle = sandbox.run(["ca", "bundle"]).expect(0).stdout;
    let roots: Vec<_> = CertificateDer::pem_slice_iter(bundle.as_bytes()).map(Result::unwrap).collect();
    let ca = CertificateDer::from_pem_file(sandbox.run(["ca", "path"]).expect(0).stdout.trim_end()).unwrap();
    assert_eq!(roots.last(), Some(&ca));
    assert_eq!(sandbox.run(["ca", "bundle", "-o", "certs/all.pem"]).expect(0).stdout, "");
    assert_eq!(sandbox.read("certs/all.pem"), bundle);
}

#[test]
fn ca_new_creates_a_different_authority() {
    let sandbox = Sandbox::new();
    let old = sandbox.run(["ca", "show"]).expect(0).stdout;
    let new = sandbox.run(["ca", "new"]).expect(0).stdout;
    assert_ne!(old, new);
    assert_eq!(sandbox.run(["ca", "show"]).expect(0).stdout, new);
}

#[test]
fn env_makes_a_client_use_a_running_proxy() {
    let stage = CliSandbox::new();
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
fn env_supports_each_shell() {
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
fn env_prints_browser_flags_as_comments() {
    let sandbox = Sandbox::new();
    let text = sandbox.run(["env", "-p", "7777"]).expect(0).stdout;
    let pin = sandbox.run(["ca", "show"]).expect(0).stdout;
    let pin = pin.lines().find_map(|line| line.strip_prefix("spki pin")).unwrap().trim().to_owned();
    let chromium = text.lines().find(|line| line.starts_with("# Chromium")).unwrap();
    for flag in ["--proxy-server=http://127.0.0.1:7777", "--proxy-bypass-list=<-loopback>", &pin] {
        assert!(chromium.contains(flag), "{chromium}");
    }
    assert!(text.contains("network.proxy.ssl_port=7777"), "{text}");
}

#[test]
fn env_docker_prints_arguments_that_can_be_pasted() {
    let sandbox = Sandbox::new();
    let output = sandbox.run(["env", "--docker"]).expect(0).says("a container cannot reach 127.0.0.1:8899");
    let words: Vec<&str> = output.stdout.split_whitespace().collect();
    for word in ["HTTPS_PROXY=http://host.docker.internal:8899", "--add-host=host.docker.internal:host-gateway"] {
        assert!(words.contains(&word), "{}", output.stdout);
    }
    let value = |name: &str| {
        words.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('=')).unwrap_or_else(|| panic!("no {name}"))
    };
    assert_eq!(value("NO_PROXY"), "localhost,127.0.0.1,::1", "a container has a loopback of its own");
    let mount = words[words.iter().position(|word| *word == "-v").unwrap() + 1];
    let (folder, inside) = mount.strip_suffix(":ro").unwrap().split_once(':').unwrap();
    assert_eq!(folder, inside, "a path is the same inside");
    for name in ["SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "HARPROXY_RUN_CA", "WGETRC"] {
        let path = std::path::Path::new(value(name));
        assert!(path.starts_with(folder), "{name} is not mounted");
        let mode = std::os::unix::fs::PermissionsExt::mode(&path.metadata().unwrap().permissions());
        assert_eq!(mode & 0o444, 0o444, "{name} is for every user of a container");
    }
    let file = words[words.iter().position(|word| *word == "--env-file").unwrap() + 1];
    let file = std::fs::read_to_string(file).unwrap();
    assert!(file.lines().any(|line| line.starts_with("JAVA_TOOL_OPTIONS=-Djavax.net.ssl.trustStore=")), "{file}");
    assert!(file.contains("-Dhttps.proxyHost=host.docker.internal"), "{file}");

    let args = ["env", "--docker", "--listen", "0.0.0.0:9000", "--auth", "ci:secret"];
    let output = sandbox.run(args).expect(0);
    assert_eq!(output.stderr, "");
    assert!(output.stdout.contains("HTTPS_PROXY=http://ci:secret@host.docker.internal:9000"), "{}", output.stdout);
    sandbox.run(["env", "--docker", "--playwright"]).expect(2);
}

#[test]
fn env_playwright_matches_the_guide() {
    let sandbox = Sandbox::new();
    let snippet = sandbox.run(["env", "--playwright"]).expect(0).stdout;
    let guide = std::fs::read_to_string(crate::support::repo("docs/getting-started/browser.md")).unwrap();
    assert!(guide.contains(snippet.trim_end()), "{snippet}");
    let known = sandbox.run(["env", "--playwright", "--auth", "ci:it's"]).expect(0).stdout;
    assert!(known.contains(r#"server: "http://127.0.0.1:8899", username: "ci", password: "it's""#), "{known}");
}

#[test]
fn glob_keeps_each_input_line_unchanged() {
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
