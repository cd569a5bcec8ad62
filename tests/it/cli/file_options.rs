//! Options in `harproxy.toml` that a pull request could set: each run names those that turn a protection off, and files
//! are written inside the project alone.

use serde_json::{Value, json};

use crate::support::origin::Origin;
use crate::support::sandbox::{Output, Sandbox, finish};

const URL: &str = "https://api.test/api/json";

fn run(sandbox: &Sandbox, args: &[&str], variables: &[(&str, &str)]) -> Output {
    finish(sandbox.command(args).envs(variables.iter().copied()).output().unwrap())
}

/// A project whose file accepts any certificate and maps the API to another address.
fn project(origin: &Origin, more: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    let network = format!("insecure = true\nmap = ['api.test:443={}']\n", origin.https);
    sandbox.write("harproxy.toml", format!("[record]\n{network}{more}\n[replay]\n{network}"));
    sandbox
}

#[test]
fn options_of_the_file_that_turn_protections_off_are_printed() {
    let origin = Origin::with_certificate("expired");
    let more = "no-redact = true\nquiet = true\nupstream-proxy = 'http://me:proxy-pw@127.0.0.1:1'\n";
    let sandbox = project(&origin, more);
    let map = format!("map api.test:443={}", origin.https);
    let record = ["record", "-o", "hars/api.har", "--", "curl", "-s", URL];
    let line =
        format!("from harproxy.toml: no-redact, upstream-proxy http://(redacted)@127.0.0.1:1, insecure, {map}\n");
    let output = run(&sandbox, &record, &[]).expect(0).says(&line);
    assert!(!output.stderr.contains("proxy-pw"), "{}", output.stderr);
    run(&sandbox, &["doctor", "--", "curl", "-s", URL], &[]).says("from harproxy.toml: ").says(&map);

    let json = [&["--log-format", "json"], &record[..]].concat();
    let output = run(&sandbox, &json, &[]).expect(0);
    let events = output.stderr.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let event = events.into_iter().find(|event| event.get("settings").is_some()).unwrap();
    assert_eq!((&event["event"], &event["file"]), (&json!("warning"), &json!("harproxy.toml")));
    let settings: Vec<_> = event["settings"].as_array().unwrap().iter().map(|one| one["name"].clone()).collect();
    assert_eq!(settings, ["record.no-redact", "record.upstream-proxy", "record.insecure", "record.map"]);
    assert!(!output.stderr.contains("proxy-pw"), "{}", output.stderr);
    assert_eq!(event["settings"][3]["source"]["line"], 3);
}

#[test]
fn options_of_the_command_line_and_unused_ones_are_not_printed() {
    let origin = Origin::start();
    let sandbox = project(&origin, "");
    let map = format!("api.test:443={}", origin.https);
    let ours =
        ["record", "-o", "hars/api.har", "--map", &map, "--insecure=https://api.test/**", "--", "curl", "-s", URL];
    let output = run(&sandbox, &ours, &[]).expect(0);
    assert!(!output.stderr.contains("from harproxy.toml"), "{}", output.stderr);
    // A replay without the network does not use them.
    for variables in [&[][..], &[("CI", "true")]] {
        let output = run(&sandbox, &["replay", "--", "curl", "-s", URL], variables).expect(0);
        assert!(!output.stderr.contains("from harproxy.toml"), "{}", output.stderr);
    }
    let live = ["replay", "--on-miss", "passthrough", "--", "curl", "-s", URL];
    run(&sandbox, &live, &[]).expect(0).says("from harproxy.toml: insecure, map ");
}

#[test]
fn insecure_of_a_file_is_refused_in_ci() {
    let origin = Origin::with_certificate("expired");
    let sandbox = project(&origin, "");
    let ci = [("CI", "true")];
    for command in [
        &["record", "-o", "hars/api.har"][..],
        &["replay", "--on-miss", "passthrough"],
        &["replay", "--passthrough", "https://api.test/**"],
        &["doctor"],
    ] {
        let args = [command, &["--", "curl", "-s", URL]].concat();
        let output = run(&sandbox, &args, &ci).expect(2).says("harproxy.toml:").says("`insecure`");
        output.says("--insecure=**").says("on the command line");
    }
    assert!(!sandbox.join("hars/api.har").exists());
    let named = ["record", "-o", "hars/api.har", "--insecure=**", "--", "curl", "-s", URL];
    run(&sandbox, &named, &ci).expect(0).says("from harproxy.toml: map ");
    let variable = [("CI", "true"), ("HARPROXY_INSECURE", "https://api.test/**")];
    run(&sandbox, &["record", "-o", "hars/api.har", "--", "curl", "-s", URL], &variable).expect(0);
}

#[test]
fn reports_of_a_file_stay_inside_its_folder() {
    let outside = Sandbox::new();
    let victim = outside.write("victim.json", "precious");
    let at = |name: &str| outside.join(name).display().to_string();
    let sandbox = Sandbox::new();
    let mut refused =
        vec!["../victim.json".to_owned(), "out/../../victim.json".to_owned(), at("victim.json"), at("new.json")];
    #[cfg(unix)]
    {
        use std::os::unix::fs::symlink;
        symlink(outside.path(), sandbox.join("linked")).unwrap();
        symlink(&victim, sandbox.join("link.json")).unwrap();
        symlink(outside.join("new.json"), sandbox.join("dangling.json")).unwrap();
        refused.extend(["linked/victim.json", "linked/new/x.json", "link.json", "dangling.json"].map(str::to_owned));
    }
    for command in ["record", "replay"] {
        for path in &refused {
            for (key, value) in [("report", format!("['ok.json', '{path}']")), ("ready-file", format!("'{path}'"))] {
                sandbox.write("harproxy.toml", format!("[{command}]\n{key} = {value}\n"));
                let output = run(&sandbox, &[command, "--", "true"], &[]).expect(2);
                output.says("harproxy.toml:2:").says(&format!(": `{key}`: ")).says(path).says(&format!("--{key} "));
            }
        }
    }
    assert_eq!(outside.read("victim.json"), "precious");
    assert!(!outside.join("new.json").exists() && !outside.join("new").exists());

    let absolute = sandbox.join("out/b.json").display().to_string();
    sandbox.write(
        "harproxy.toml",
        format!("[record]\nreport = ['out/a.json', '{absolute}']\nready-file = 'out/ready.json'\n"),
    );
    run(&sandbox, &["record", "--", "true"], &[]).expect(1);
    for name in ["out/a.json", "out/b.json", "out/ready.json"] {
        assert!(sandbox.join(name).exists(), "{name}");
    }
    // The command line and the user's own file may name any file.
    sandbox.write(".config/harproxy/config.toml", format!("[record]\nready-file = '{}'\n", at("ready.json")));
    sandbox.write("harproxy.toml", "");
    run(&sandbox, &["record", "--report", &at("report.json"), "--", "true"], &[]).expect(1);
    assert!(outside.join("report.json").exists() && outside.join("ready.json").exists());
}
