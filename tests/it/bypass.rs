//! The diagnosis of a run without requests names the runtime and the change that makes it use the proxy. Connections
//! past the proxy are found.

use std::net::SocketAddr;

use crate::cli::{CURL, CliSandbox};
use crate::support::raw::RawOrigin;
use crate::support::sandbox::{Output, finish};

/// A sandbox with a recording of `api.test` and these files.
fn recorded_sandbox(files: &[(&str, &str)]) -> CliSandbox {
    let stage = CliSandbox::new();
    stage.record(&[], CURL).expect(0);
    for (name, text) in files {
        stage.sandbox.write(name, text);
    }
    stage
}

/// Replays and records a CMD without requests, and returns both outputs.
fn run_without_requests(stage: &CliSandbox, cmd: &[&str]) -> [Output; 2] {
    let replayed = stage.replay(&[], cmd).expect(1).says("no-traffic");
    let recorded = stage.record(&["-o", "hars/other.har"], cmd).expect(1).says("nothing-recorded");
    [replayed, recorded]
}

#[test]
fn run_without_traffic_names_the_runtime_by_files_or_cmd() {
    for (files, cmd, words) in [
        (
            &[("playwright.config.ts", "")][..],
            &["true"][..],
            &["`playwright.config.ts` is here", "bypass: '<-loopback>'"][..],
        ),
        (
            &[("package.json", r#"{"scripts":{"test":"true"},"devDependencies":{"@playwright/test":"1"}}"#)],
            &["true"],
            &["mentions @playwright/test", "HARPROXY_RUN_PROXY"],
        ),
        (&[("go.mod", "module a\n")], &["true"], &["`go.mod` is here", "--reverse API=", "http.ProxyFromEnvironment"]),
        (&[("pyproject.toml", "dependencies = [\"aiohttp>=3\"]")], &["true"], &["mentions aiohttp", "trust_env=True"]),
        (&[("Gemfile", "")], &["true"], &["`Gemfile` is here", "Ruby bypasses the proxy for localhost"]),
        (&[("pom.xml", "<project/>")], &["true"], &["-Dhttps.proxyHost", "JAVA_TOOL_OPTIONS"]),
        (&[("package.json", "{}")], &["true"], &["EnvHttpProxyAgent"]),
        (
            &[("Cargo.toml", "")],
            &["sh", "-c", "docker --version; true"],
            &["`docker` is in CMD", "harproxy env --docker"],
        ),
        (&[], &["sh", "-c", "true # tox"], &["`pass_env = *`"]),
        (&[], &["true"], &["harproxy doctor -- true"]),
    ] {
        for output in run_without_requests(&recorded_sandbox(files), cmd) {
            for word in words.iter().chain(&["harproxy doctor -- "]) {
                assert!(output.stderr.contains(word), "{files:?} {cmd:?}: `{word}` is not in\n{}", output.stderr);
            }
        }
    }
}

#[test]
fn requests_with_407_explain_a_run_without_traffic() {
    let stage = recorded_sandbox(&[("go.mod", "module a\n")]);
    let auth = ["--auth", "me:s3cret-pass"];
    // The proxy without credentials, with wrong ones, and over CONNECT.
    let keyless = |url: &str, user: &str| format!("curl -s {user} -x \"${{HARPROXY_RUN_PROXY##*@}}\" {url}; true");
    for (cmd, came) in [
        (keyless("http://api.test/", ""), "the one request that came got 407"),
        (keyless("https://api.test/ https://api.test/", "-U me:wrong"), "each of the 2 requests that came got 407"),
    ] {
        let cmd = ["sh", "-c", &cmd];
        let replayed = stage.replay(&auth, &cmd).expect(1).says("no-traffic");
        let recorded =
            stage.record(&[&auth[..], &["-o", "hars/other.har"]].concat(), &cmd).expect(1).says("nothing-recorded");
        for output in [replayed, recorded] {
            let output = output.says(came).says("`--auth` were missing or wrong").says("http://USER:PASS@HOST:PORT");
            for other in ["go.mod", "nothing came", "no request came", "s3cret"] {
                assert!(!output.stderr.contains(other), "`{other}` is in\n{}", output.stderr);
            }
        }
    }
    // A client may send its credentials after a 407.
    let anyauth = "curl -sS --proxy-anyauth https://api.test/api/json";
    stage.replay(&auth, &["sh", "-c", anyauth]).expect(0);
}

/// A `go` that reports a cached result and starts nothing.
#[cfg(target_os = "linux")]
#[test]
fn cached_go_test_gets_a_hint_about_its_cache() {
    let stage = recorded_sandbox(&[("bin/go", "#!/bin/sh\necho 'ok  api  (cached)'\n")]);
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(stage.sandbox.join("bin/go"), std::fs::Permissions::from_mode(0o755)).unwrap();
    stage.replay(&[], &["bin/go", "test", "./..."]).expect(1).says("`-count=1`").says("from its cache");
    stage.replay(&[], &["bin/go", "test", "-count=1"]).expect(1).says("Go bypasses the proxy for localhost");
}

#[cfg(target_os = "linux")]
#[test]
fn client_that_bypasses_the_proxy_is_named_with_its_destination() {
    let (stage, origin) = (CliSandbox::new(), RawOrigin::silent());
    let url = format!("http://localhost:{}/api/users", origin.addr.port());
    let glob = format!("http://localhost:{}/**", origin.addr.port());
    stage.record(&["-o", "hars/a.har"], CURL).expect(0);
    let past = format!("curl --noproxy '*' -sS -m 1 {url}; true");
    let named = format!("curl connected to 127.0.0.1:{} without the proxy", origin.addr.port());

    let output = stage.replay(&["hars/a.har", "-g", &glob], &["sh", "-c", &past]).expect(1);
    output.says("no-traffic").says(&named).says("`--noproxy`").says("✗ bypass");

    // In a run with traffic, it fails the run too.
    let both = format!("curl -sS https://api.test/api/json; {past}");
    let globs = ["hars/a.har", "-g", &glob, "-g", "https://api.test/**", "--report", "r.json"];
    let output = stage.replay(&globs, &["sh", "-c", &both]).expect(1).says("✗ bypass").says(&named);
    output.says("✗ replay failed: CMD went past the proxy");
    let report = stage.sandbox.har("r.json");
    let bypass = report["findings"].as_array().unwrap().iter().find(|f| f["kind"] == "bypass").unwrap().clone();
    assert_eq!(bypass["severity"], "error");
    assert!(bypass["remedy"].as_str().unwrap().contains("--noproxy"), "{bypass}");
    let allowed = [&globs[..], &["--fail-on", "-bypass"]].concat();
    stage.replay(&allowed, &["sh", "-c", &both]).expect(0).says("! bypass").says(&named);

    // Addresses of `--bypass` are not reported, and those of its hosts.
    for host in ["127.0.0.1", "localhost"] {
        let bypass = ["--bypass", &format!("{host}:{}", origin.addr.port())];
        let output = stage.replay(&[&globs[..5], &bypass].concat(), &["sh", "-c", &both]).expect(0);
        let output = output.says("no connection past the proxy was seen (sampled)");
        assert!(!output.stderr.contains("bypass"), "{}", output.stderr);
    }
}

/// Clients that open a connection of their own for as long as one response takes.
#[cfg(target_os = "linux")]
#[test]
fn short_connection_past_the_proxy_fails_replay_and_warns_in_record() {
    const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi";
    let curl = |addr: SocketAddr| format!("curl -sS --noproxy '*' http://{addr}/users");
    let python = |addr: SocketAddr| {
        let port = addr.port();
        format!(
            "python3 -c \"import http.client\nc = http.client.HTTPConnection('127.0.7.7', {port})\nc.request('GET', '/')\n\
             print(c.getresponse().read())\""
        )
    };
    let stage = CliSandbox::new();
    stage.record(&["-o", "hars/a.har"], CURL).expect(0);
    for past in [&curl as &dyn Fn(SocketAddr) -> String, &python] {
        // Each run has an origin of its own, at an address that no other test uses: connections from before a run weaken
        // the evidence.
        let run = |command: &dyn Fn(&[&str], &[&str]) -> Output, file: &[&str]| {
            let origin = RawOrigin::answering_at([127, 0, 7, 7].into(), ANSWER);
            let script = format!("curl -sS https://api.test/api/json; {}", past(origin.addr));
            let glob = format!("http://{}/**", origin.addr);
            let options = [file, &["-g", "https://api.test/**", "-g", &glob]].concat();
            (command(&options, &["sh", "-c", &script]), format!("connected to {} without the proxy", origin.addr))
        };
        let (recorded, named) = run(&|options, cmd| stage.record(options, cmd), &["-o", "hars/b.har"]);
        recorded.expect(0).says("! bypass").says(&named).says("recorded 1 exchange");
        let (replayed, named) = run(&|options, cmd| stage.replay(options, cmd), &["hars/a.har"]);
        let replayed = replayed.expect(1).says("✗ bypass").says(&named);
        assert!(!replayed.stderr.contains("no connection past the proxy"), "{}", replayed.stderr);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn connection_to_a_mapped_address_is_a_bypass() {
    let (stage, silent) = (CliSandbox::new(), RawOrigin::silent());
    stage.record(&["-o", "hars/a.har"], CURL).expect(0);
    let direct = format!("curl -s -m 1 --noproxy '*' http://{}/; true", silent.addr);
    let script = format!("curl -sS https://api.test/api/json; {direct}");
    let map = format!("api.test:443={}", silent.addr);
    let output = stage.replay(&["hars/a.har", "--map", &map], &["sh", "-c", &script]).expect(1).says("✗ bypass");
    output.says(&format!("curl connected to {} without the proxy", silent.addr));
}

#[cfg(target_os = "linux")]
#[test]
fn connection_to_a_port_out_of_scope_is_listed_and_fails_nothing() {
    let (stage, database) = (CliSandbox::new(), RawOrigin::silent());
    stage.record(&["-o", "hars/a.har"], CURL).expect(0);
    let script =
        format!("curl -sS https://api.test/api/json; curl -s -m 1 --noproxy '*' http://{}/; true", database.addr);
    let options = ["hars/a.har", "-v", "--report", "r.json"];
    let output = stage.replay(&options, &["sh", "-c", &script]).expect(0);
    let output = output.says("no connection past the proxy was seen (sampled)");
    output.says(&format!("other connections: {} (curl)", database.addr));
    let observation = &stage.sandbox.har("r.json")["observation"];
    let connection = serde_json::json!({"program": "curl", "address": database.addr.to_string(), "protocol": "tcp"});
    assert_eq!(observation, &serde_json::json!({"sampled": true, "otherConnections": [connection]}));
    let output = stage.replay(&options[..1], &["sh", "-c", &script]).expect(0);
    assert!(!output.stderr.contains("other connections"), "{}", output.stderr);
}

#[cfg(target_os = "linux")]
#[test]
fn run_with_a_bypass_removes_no_unused_entry() {
    let stage = CliSandbox::new();
    stage.record(&["-o", "hars/a.har"], &["curl", "-sS", "https://api.test/api/json", "https://api.test/api/text"]);
    let silent = RawOrigin::silent();
    let direct = format!("curl -s -m 1 --noproxy '*' http://{}/; true", silent.addr);
    let script = format!("curl -sS https://api.test/api/json; {direct}");
    let before = stage.sandbox.read("hars/a.har");
    let glob = format!("http://{}/**", silent.addr);
    let options = ["hars/a.har", "--prune", "-g", "https://api.test/**", "-g", &glob];
    stage.replay(&options, &["sh", "-c", &script]).expect(1).says("the run failed");
    assert_eq!(stage.sandbox.read("hars/a.har"), before);
}

#[cfg(target_os = "linux")]
#[test]
fn wrapper_that_clears_the_environment_is_named() {
    let (stage, origin) = (CliSandbox::new(), RawOrigin::silent());
    stage.record(&["-o", "hars/a.har"], CURL).expect(0);
    let url = format!("http://127.0.0.1:{}/", origin.addr.port());
    let script = format!("env -i PATH=\"$PATH\" curl -sS -m 1 {url}; true");
    let mut command = stage.sandbox.command(["replay", "hars/a.har", "--", "sh", "-c", &script]);
    let output = finish(command.output().unwrap()).expect(1);
    output.says("`curl` was started without HTTP_PROXY").says("pass on all variables");
}
