//! The diagnosis of a run without requests names the runtime and the change that makes it use the proxy. Connections
//! past the proxy are found.

use std::net::{Ipv4Addr, SocketAddr};

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

/// A client that reads one response and ends, without an interpreter to start.
#[cfg(target_os = "linux")]
const NATIVE_CLIENT: &str = r#"
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main(int count, char **words) {
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(atoi(words[2])) };
    char answer[4096];
    int origin = socket(AF_INET, SOCK_STREAM, 0);
    inet_pton(AF_INET, words[1], &to.sin_addr);
    if (connect(origin, (struct sockaddr *)&to, sizeof to)) return 1;
    const char *request = "GET /users HTTP/1.1\r\n\r\n";
    write(origin, request, strlen(request));
    while (read(origin, answer, sizeof answer) > 0) {}
    return 0;
}
"#;

/// The command of a fast client: native if there is a compiler, else a shell.
#[cfg(target_os = "linux")]
fn fast_client(stage: &CliSandbox, to: SocketAddr) -> String {
    stage.sandbox.write("direct.c", NATIVE_CLIENT);
    let mut compiler = std::process::Command::new("cc");
    compiler.args(["-w", "-o", "direct", "direct.c"]).current_dir(stage.sandbox.path());
    let (ip, port) = (to.ip(), to.port());
    match compiler.status() {
        Ok(status) if status.success() => format!("./direct {ip} {port}"),
        _ => format!(
            "bash -c 'exec 3<>/dev/tcp/{ip}/{port}; printf \"GET /users HTTP/1.1\\r\\n\\r\\n\" >&3; read -r line <&3'"
        ),
    }
}

/// A fast client at the beginning of CMD, or at its end. A retry finds the closed connections of the first run.
#[cfg(target_os = "linux")]
#[test]
fn fast_connection_at_the_edge_of_cmd_fails_replay_in_a_retry_too() {
    const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi";
    let stage = CliSandbox::new();
    stage.record(&["-o", "hars/a.har"], CURL).expect(0);
    let origin = RawOrigin::answering_at([127, 0, 7, 7].into(), ANSWER);
    let (direct, proxied) = (fast_client(&stage, origin.addr), "curl -sS https://api.test/api/json");
    let glob = format!("http://{}/**", origin.addr);
    for script in [format!("{direct}; {proxied}"), format!("{proxied}; {direct}")] {
        for run in ["first", "second"] {
            let options = ["hars/a.har", "-g", "https://api.test/**", "-g", &glob];
            let output = stage.replay(&options, &["sh", "-c", &script]);
            assert_eq!(output.status, 1, "{script}, {run} run:\n{}", output.stderr);
            output.says("✗ bypass").says(&format!("connected to {} without the proxy", origin.addr));
        }
    }
}

/// The connection is to an address in scope, and CMD waits from before it began until after it closed.
#[cfg(target_os = "linux")]
#[test]
fn connection_of_another_program_while_cmd_waits_is_a_warning() {
    let (stage, [origin, other]) = (CliSandbox::new(), [(); 2].map(|()| RawOrigin::silent()));
    stage.record(&["-o", "hars/a.har"], CURL).expect(0);
    let fifos = ["started", "ended"].map(|name| stage.sandbox.join(name));
    assert!(std::process::Command::new("mkfifo").args(&fifos).status().unwrap().success());
    let glob = format!("http://{}/**", origin.addr);
    let script = "curl -sS https://api.test/api/json; echo >started; read -r line <ended";
    let mut command = stage.sandbox.command([
        "replay",
        "hars/a.har",
        "-g",
        "https://api.test/**",
        "-g",
        &glob,
        "--",
        "sh",
        "-c",
        script,
    ]);
    let running = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();

    std::fs::read(&fifos[0]).unwrap();
    // The clients give up after a second.
    for to in [origin.addr, other.addr] {
        let mut client = std::process::Command::new("curl");
        let url = format!("http://{to}/");
        assert_eq!(client.args(["-s", "-m", "1", "--noproxy", "*", &url]).status().unwrap().code(), Some(28));
    }
    std::fs::write(&fifos[1], "\n").unwrap();

    let output = finish(running.wait_with_output().unwrap()).expect(0).says("! bypass");
    output.says(&format!("an unknown program connected to {} without the proxy", origin.addr)).says("another program");
}

/// Returns a name of this machine other than `localhost`, if its hosts file has one.
#[cfg(target_os = "linux")]
fn name_of_this_machine() -> Option<(String, SocketAddr)> {
    let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    let lines = hosts.lines().map(|line| line.split('#').next().unwrap_or_default().split_whitespace());
    let names = lines.filter_map(|mut words| Some((words.next()?.parse::<Ipv4Addr>().ok()?, words.next_back()?)));
    let mut own = names.filter(|(ip, name)| ip.is_loopback() && !name.contains("localhost"));
    own.next().map(|(ip, name)| (name.to_owned(), (ip, 0).into()))
}

#[cfg(target_os = "linux")]
#[test]
fn connection_to_a_name_or_to_any_port_in_scope_is_a_bypass() {
    let (stage, silent) = (CliSandbox::new(), RawOrigin::silent());
    stage.record(&["-o", "hars/a.har"], CURL).expect(0);
    let port = silent.addr.port();
    let run = |glob: &str, past: &str| {
        let script = format!("curl -sS https://api.test/api/json; curl -s -m 1 --noproxy '*' {past}; true");
        stage.replay(&["hars/a.har", "-g", "https://api.test/**", "-g", glob], &["sh", "-c", &script])
    };
    let any_port = run("http://localhost:*/**", &format!("http://localhost:{port}/")).expect(1).says("✗ bypass");
    any_port.says(&format!("curl connected to 127.0.0.1:{port} without the proxy"));
    run("http://localhost:*/users/**", &format!("http://localhost:{port}/")).expect(1).says("✗ bypass");

    // Without such a name, the tests of `bypass` cover names alone.
    let Some((name, at)) = name_of_this_machine() else { return };
    let named = RawOrigin::silent_at(at.ip());
    let port = named.addr.port();
    let output = run(&format!("http://{name}:{port}/**"), &format!("http://{name}:{port}/")).expect(1);
    output.says("✗ bypass").says(&format!("curl connected to {} without the proxy", named.addr));
    run(&format!("http://{name}:1/**"), &format!("http://{name}:{port}/")).expect(0);
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
