//! Fixtures and configurations that are hostile by their size or their type.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::bad_input::assert_plain_error;
use crate::replay::stage::{entry, foreign, own, posted, text};
use crate::support::client::Proto;
use crate::support::sandbox::Sandbox;

fn good() -> Value {
    text("GET http://api.test/api/good", "good")
}

#[test]
fn fixture_that_is_no_regular_file_is_refused_at_once() {
    let sandbox = Sandbox::new();
    let good = sandbox.write("elsewhere/good.har", own(&["**"], &[good()]).to_string());
    let at = |name: &str| sandbox.join(name);
    std::fs::create_dir(at("hars")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", at("hars/device.har")).unwrap();
    nix::unistd::mkfifo(&at("pipe.har"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    std::os::unix::fs::symlink(&good, at("link.har")).unwrap();
    for path in ["hars/device.har", "pipe.har"] {
        for (args, status) in [
            (vec!["ls", path], 2),
            (vec!["show", "--all", path], 2),
            (vec!["fmt", path], 2),
            (vec!["redact", path], 2),
            (vec!["pack", path], 2),
            (vec!["diff", "link.har", path], 2),
            (vec!["merge", "link.har", path, "link.har"], 2),
            (vec!["explain", "--url", "http://api.test/", path], 2),
            (vec!["replay", path, "--", "true"], 2),
            (vec!["record", "-o", path, "--", "true"], 2),
        ] {
            let output = assert_plain_error(sandbox.run(&args).expect(status));
            output.says(path).says("a device, a pipe or a socket, not a regular file");
        }
        let output = sandbox.run(["check", path]).expect(1);
        assert!(output.stdout.contains("not a regular file") || output.stderr.contains("not a regular file"));
    }
    assert_plain_error(sandbox.run(["replay", "hars", "--", "true"]).expect(2)).says("device.har");
    sandbox.run(["ls", "link.har"]).expect(0);
}

#[test]
fn entry_with_30_000_header_fields_is_a_miss_that_names_it() {
    let fields = |count: usize| (0..count).map(|n| json!({"name": format!("x-{n}"), "value": "1"})).collect::<Value>();
    let sandbox = Sandbox::new();
    let many = |path: &str, count| entry(&format!("GET http://api.test{path}"), json!({"headers": fields(count)}));
    let mut asked = text("GET http://api.test/api/asked", "good");
    asked["request"]["headers"] = fields(30_000);
    let mut trailers = text("GET http://api.test/api/trailers", "good");
    trailers["response"]["_trailers"] = fields(30_000);
    let entries =
        [good(), many("/api/most", 16_384), many("/api/more", 16_385), many("/api/all", 100_000), trailers, asked];
    sandbox.write("hars/api.har", own(&["**"], &entries).to_string());
    let replay = sandbox.start(["replay", "hars/api.har"]);
    let client = replay.client(Proto::H1);
    for (path, count) in [("more", 16_385), ("all", 100_000), ("trailers", 30_000)] {
        let got = client.get(&format!("http://api.test/api/{path}"));
        assert_eq!((got.status, got.header("x-harproxy")), (501, Some("miss")), "{path}");
        let says = format!("has {count} header fields or trailers, and replay sends at most 16384");
        assert!(got.text().contains(&says) && got.text().contains("hars/api.har#"), "{}", got.text());
    }
    // Test clients accept fewer fields.
    let mut raw = crate::support::raw::Raw::to(replay.proxy());
    raw.send("GET http://api.test/api/most HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n\r\n");
    assert!(raw.rest_text().contains("x-16383: 1\r\n"));
    for path in ["asked", "good"] {
        assert_eq!(client.get(&format!("http://api.test/api/{path}")).text(), "good");
    }
    let output = replay.stop().expect(1).says("hars/api.har#2").says("at most 16384");
    assert!(!output.stderr.contains("panicked") && !output.stderr.contains("defect"), "{}", output.stderr);
}

#[test]
fn names_longer_than_a_column_are_printed() {
    let name = "n".repeat(70_000);
    let sandbox = Sandbox::new();
    let form = posted(text("POST http://api.test/form", "good"), &format!("{name}=1&b=2"));
    let mut form = form;
    form["request"]["postData"]["mimeType"] = json!("application/x-www-form-urlencoded");
    sandbox.write("hars/api.har", own(&["**"], &[form]).to_string());
    let output = sandbox.run(["show", "hars/api.har#0", "--no-pager"]).expect(0);
    assert!(output.stdout.contains(&format!("{name} = 1\n")));
    assert!(output.stdout.contains(&format!("\n{:40} = 2\n", "b")));
    let listed = sandbox.run(["ls", "hars/api.har"]).expect(0);
    assert!(listed.stdout.contains("POST"));

    sandbox.write("harproxy.toml", format!("[redact]\nquery = [\"{name}\"]\n"));
    let output = sandbox.run(["config"]).expect(0);
    assert!(output.stdout.contains(&format!("{name}  harproxy.toml:2\n")), "{}", output.stdout.len());
}

#[test]
fn deeply_nested_json_paths_are_errors() {
    let sandbox = Sandbox::new();
    sandbox.write("hars/api.har", own(&["**"], &[good()]).to_string());
    for path in ["[?@", "[?(", "("].map(|open| format!("${}", open.repeat(20_000))) {
        let output = sandbox.run(["replay", "hars/api.har", "--ignore-body", &path, "--", "true"]).expect(2);
        assert!(output.stderr.contains("nested deeper than 16 levels"), "{}", output.stderr);
        for section in ["[replay]\nignore-body", "[[match]]\nignore-body", "[redact]\njson", "[volatile]\njson"] {
            sandbox.write("harproxy.toml", format!("{section} = ['{path}']\n"));
            let output = assert_plain_error(sandbox.run(["replay", "hars/api.har", "--", "true"]).expect(2));
            output.says("nested deeper than 16 levels").says("flatter");
        }
        std::fs::remove_file(sandbox.join("harproxy.toml")).unwrap();
    }
}

/// The position of an error in a long file is found without a search from its beginning.
#[test]
fn configuration_with_very_many_rules_is_read() {
    let sandbox = Sandbox::new();
    sandbox.write("hars/api.har", own(&["**"], &[good()]).to_string());
    let rule = "[[match]]\nglob = \"http://other.test/**\"\nignore-query = [\"a\"]\n\n";
    sandbox.write("harproxy.toml", format!("{}[[match]]\nbody = 7\n", rule.repeat(20_000)));
    let output = assert_plain_error(sandbox.run(["replay", "hars/api.har", "--", "true"]).expect(2));
    output.says("harproxy.toml:80002:8: `body`: expected a string, not a number");
}

/// A pipe holds less than the last part of the list, so the command waits while its memory is read.
#[test]
fn ls_holds_a_part_of_its_lines() {
    let mime = "m".repeat(5000);
    let entries: Vec<Value> = (0..8000)
        .map(|n| entry(&format!("GET http://api.test/{n}"), json!({"content": {"size": 0, "mimeType": mime}})))
        .collect();
    let sandbox = Sandbox::new();
    sandbox.write("hars/api.har", foreign(&entries).to_string());
    let mut child = sandbox.command(["ls", "--json", "hars/api.har"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let last = lines.by_ref().nth(7900).unwrap().unwrap();
    assert!(last.contains("http://api.test/7900"), "{last}");
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    // Not that of the program's file, which depends on the page cache.
    let held = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    let held: u64 = held.split_whitespace().next().unwrap().parse().unwrap();
    assert_eq!(lines.count(), 99);
    assert!(child.wait().unwrap().success());
    // The process holds about 40 MiB, and all lines would add 40 MB.
    assert!(held < 60 << 10, "{held} KiB");
}

/// Each secret is found at its place, in time that grows with their number.
#[test]
fn check_finds_the_places_of_very_many_secrets() {
    const MANY: usize = 3000;
    // They begin alike, as JWTs do.
    let secret = |kind: &str, n: usize| format!("{}{kind}{:016x}", ["eyJhbGci", "OiJI"].concat(), n * 7_919_317);
    let list = |of: &dyn Fn(usize) -> Value| (0..MANY).map(of).collect::<Value>();
    let mut many = good();
    many["request"]["cookies"] = list(&|n| json!({"name": format!("c{n}"), "value": secret("c", n)}));
    many["request"]["headers"] = list(&|n| json!({"name": "x-api-key", "value": secret("h", n)}));
    many["response"]["headers"] = list(&|n| json!({"name": "x-plain", "value": n.to_string()}));
    let text = list(&|n| json!({"password": secret("p", n)})).to_string();
    many["response"]["content"] = json!({"mimeType": "application/json", "text": text});
    let sandbox = Sandbox::new();
    let har = serde_json::to_string_pretty(&foreign(&[many])).unwrap();
    let line_of = |text: &str| har.lines().position(|line| line.contains(text)).unwrap() + 1;
    sandbox.write("hars/api.har", &har);
    let output = sandbox.run(["check", "--json", "hars/api.har"]).expect(1);
    let findings: Vec<Value> = output.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for kind in ["request cookie c", "request header x-api-key", "].password"] {
        let places = findings.iter().filter_map(|found| found["place"].as_str());
        assert_eq!(places.filter(|place| place.contains(kind)).count(), MANY, "{kind}");
    }
    let last =
        findings.iter().find(|found| found["place"] == format!("response body $[{}].password", MANY - 1)).unwrap();
    assert_eq!(last["line"], line_of("\"text\": \"[{"), "{last}");
    let cookie = findings.iter().find(|found| found["place"] == "request cookie c77").unwrap();
    assert_eq!(cookie["line"], line_of(&secret("c", 77)), "{cookie}");
}
