//! Report files, output for CI systems, and notifications.

use std::sync::{Arc, Mutex};

use super::{ask, get, har, json_response, server};
use crate::support::sandbox::{Sandbox, finish};

const DRIFTED: [(&str, &str); 2] = [
    (r#"{"data":[{"firstName":"A"}]}"#, r#"{"data":[{"first_name":"A","avatar_url":"u"}]}"#),
    (r#"{"ok":true}"#, r#"{"ok":true}"#),
];

fn drifted() -> Sandbox {
    let sandbox = Sandbox::new();
    let paths = ["/users", "/status"];
    let entries = |side: fn(&(&'static str, &'static str)) -> &'static str| {
        har(&DRIFTED.iter().zip(paths).map(|(bodies, path)| get(path, side(bodies))).collect::<Vec<_>>())
    };
    sandbox.write("hars/api.har", entries(|bodies| bodies.0));
    sandbox.write("prod.har", entries(|bodies| bodies.1));
    sandbox
}

#[test]
fn terminal_report_lists_the_worst_endpoint_first() {
    let sandbox = drifted();
    let output = sandbox.run(["drift", "--against", "prod.har"]).expect(1);
    let expected = "\
✗ drift: 1 critical, 1 info in 2 endpoints; fails from `critical`; least score 72, mean 86

 72  GET https://api.test/users  hars/api.har#0 (line 1)
     ✗ field-missing-in-production $.data[0].firstName: production does not send it; every recorded object has it
       → production has `first_name` instead: it was probably renamed
     · field-missing-in-mock $.data[0].avatar_url: production sends it; it was not recorded
";
    assert_eq!(output.stdout, expected);
    let same = sandbox.run(["drift", "--against", "hars/api.har"]).expect(0);
    assert_eq!(same.stdout, "✓ in sync: 2 endpoints compared; least score 100, mean 100\n");
    let quiet = sandbox.run(["drift", "--against", "hars/api.har", "--quiet"]).expect(0);
    assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("", ""));
}

#[test]
fn twelve_drifted_endpoints_fit_on_one_screen() {
    let sandbox = Sandbox::new();
    let fields = |from: usize| (from..from + 20).map(|n| format!(r#""f{n}":{n}"#)).collect::<Vec<_>>().join(",");
    let side =
        |from| har(&(0..12).map(|n| get(&format!("/api-{n}"), &format!("{{{}}}", fields(from)))).collect::<Vec<_>>());
    sandbox.write("hars/api.har", side(0));
    sandbox.write("prod.har", side(10));
    let output = sandbox.run(["drift", "--against", "prod.har"]).expect(1);
    let lines = output.stdout.lines().count();
    assert!(lines <= 40, "{lines} lines:\n{}", output.stdout);
    let all = sandbox.run(["drift", "--against", "prod.har", "-v"]).expect(1);
    assert!(all.stdout.lines().count() > 240, "{}", all.stdout);
}

#[test]
fn every_format_is_written() {
    let sandbox = drifted();
    let reports = ["json", "xml", "md", "html", "sarif"].map(|ending| format!("out/drift.{ending}"));
    let options = reports.iter().flat_map(|report| ["--report", report]);
    sandbox.run(["drift", "--against", "prod.har"].into_iter().chain(options)).expect(1);
    for (report, text) in reports.iter().zip([
        "\"driftScore\": 72",
        "<failure message=\"$.data[0].firstName: production does not send it",
        "first_name",
        "avatar_url",
        "\"ruleId\": \"drift/field-missing-in-production\"",
    ]) {
        assert!(sandbox.read(report).contains(text), "{report}: {}", sandbox.read(report));
    }
    sandbox.write("out/full", "");
    sandbox.run(["drift", "--against", "prod.har", "--report", "out/full/x.md"]).expect(3);
}

#[test]
fn run_that_compared_nothing_fails_in_every_format() {
    let sandbox = Sandbox::new();
    sandbox.write("hars/api.har", har(&[]));
    let options = ["--report", "drift.xml", "--report", "drift.json", "--report", "drift.sarif"];
    sandbox.run(["drift"].into_iter().chain(options)).expect(4);
    assert!(sandbox.read("drift.xml").contains("failures=\"1\""), "{}", sandbox.read("drift.xml"));
    assert_eq!(sandbox.har("drift.json")["result"], "not-compared");
    assert_eq!(sandbox.har("drift.sarif")["runs"][0]["invocations"][0]["executionSuccessful"], false);
}

#[test]
fn fingerprints_do_not_depend_on_lines() {
    let sandbox = drifted();
    let fingerprints = |sandbox: &Sandbox| {
        sandbox.run(["drift", "--against", "prod.har", "--report", "drift.sarif"]).expect(1);
        let sarif = sandbox.har("drift.sarif");
        let results = sarif["runs"][0]["results"].as_array().unwrap().clone();
        let line = results[0]["locations"][0]["physicalLocation"]["region"]["startLine"].clone();
        (line, results.into_iter().map(|result| result["partialFingerprints"].clone()).collect::<Vec<_>>())
    };
    let (line, before) = fingerprints(&sandbox);
    let recorded: serde_json::Value = serde_json::from_str(&sandbox.read("hars/api.har")).unwrap();
    sandbox.write("hars/api.har", serde_json::to_string_pretty(&recorded).unwrap());
    let (other_line, after) = fingerprints(&sandbox);
    assert_ne!(line, other_line);
    assert_eq!(before, after);
}

#[test]
fn ci_systems_get_annotations_and_summaries() {
    let sandbox = drifted();
    let with = |variables: &[(&str, &str)]| {
        let mut command = sandbox.command(["drift", "--against", "prod.har"]);
        finish(command.envs(variables.iter().copied()).output().unwrap()).expect(1)
    };
    let summary = sandbox.join("summary.md").display().to_string();
    let github = with(&[("GITHUB_ACTIONS", "true"), ("GITHUB_STEP_SUMMARY", &summary)]);
    assert!(github.stderr.contains("::error file=hars/api.har,line=1,title=harproxy%3A drift/"), "{github:?}");
    assert!(sandbox.read("summary.md").contains("first"), "{}", sandbox.read("summary.md"));
    with(&[("GITLAB_CI", "true")]);
    assert!(sandbox.read("gl-code-quality-report.json").contains("drift/field-missing-in-production"));
}

#[test]
fn notifications_do_not_mention_anyone_and_a_failed_one_is_a_warning() {
    let sandbox = Sandbox::new();
    sandbox.write("hars/api.har", har(&[get("/users", r#"{"<!channel>":1,"b":2}"#)]));
    sandbox.write("harproxy.toml", "[drift.notify]\nslack = 'env:SLACK_WEBHOOK'\nwebhook = 'env:GONE_WEBHOOK'\n");
    let received = Arc::new(Mutex::new(Vec::new()));
    let log = received.clone();
    let hook = server(move |request| {
        log.lock().unwrap().push((request.path.clone(), String::from_utf8_lossy(&request.body).into_owned()));
        json_response("ok")
    });
    let api = server(|_| json_response(r#"{"b":2}"#));
    let mut command = sandbox.command(["drift"].into_iter().map(str::to_owned).chain(api.args()));
    command.env("SLACK_WEBHOOK", format!("http://{}/services/T0/B0/s3cret", hook.http));
    command.env("GONE_WEBHOOK", "http://127.0.0.1:9/hooks/s3cret");
    let output = finish(command.output().unwrap()).expect(1);
    let (path, payload) = received.lock().unwrap().remove(0);
    assert_eq!(path, "/services/T0/B0/s3cret");
    assert!(payload.contains("&lt;!channel&gt;") && !payload.contains("<!channel>"), "{payload}");
    assert!(output.stderr.contains("warning: the notification to the webhook was not delivered"), "{output:?}");
    assert!(!format!("{output:?}").contains("s3cret"), "{output:?}");
}

#[test]
fn in_sync_run_does_not_notify() {
    let sandbox = Sandbox::new();
    sandbox.write("hars/api.har", har(&[get("/users", "{}")]));
    sandbox.write("harproxy.toml", "[drift.notify]\nslack = 'env:SLACK_WEBHOOK'\n");
    let api = server(|_| json_response("{}"));
    let output = ask(&sandbox, &api, &[]).expect(0);
    assert!(!output.stderr.contains("notification"), "{output:?}");
}

#[test]
fn repeated_runs_notify_when_the_findings_change() {
    let sandbox = Sandbox::new();
    sandbox.write("hars/api.har", har(&[get("/users", r#"{"a":1}"#)]));
    sandbox.write("harproxy.toml", "[drift.notify]\nwebhook = 'env:HOOK'\n");
    // The third run finds another field.
    let runs = Arc::new(Mutex::new(0));
    let count = runs.clone();
    let api = server(move |_| {
        let mut runs = count.lock().unwrap();
        *runs += 1;
        json_response(if *runs < 3 { r#"{"a":"x"}"# } else { r#"{"a":"x","b":1}"# })
    });
    let (sender, received) = std::sync::mpsc::channel();
    let sender = Mutex::new(sender);
    let seen = runs.clone();
    let hook = server(move |_| {
        let _ = sender.lock().unwrap().send(*seen.lock().unwrap());
        json_response("")
    });
    let mut command = sandbox.command(["drift", "--every", "1s"].into_iter().map(str::to_owned).chain(api.args()));
    command.env("HOOK", format!("http://{}/", hook.http));
    let mut child = command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
    let limit = std::time::Duration::from_secs(60);
    let notified = [received.recv_timeout(limit).unwrap(), received.recv_timeout(limit).unwrap()];
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(notified, [1, 3], "the second run has the findings of the first one");
}
