//! Suppressions, `drift accept`, severities and exit statuses.

use super::{args, ask, compare_entries, field, fields, get, har, json_response, report_of, server};
use crate::support::sandbox::{Output, Sandbox};

/// A fixture whose counterpart has another type, another name and a new field.
fn drifted(config: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("hars/api.har", har(&[get("/users/1", r#"{"data":[{"id":1,"name":"A"}]}"#)]));
    sandbox.write("prod.har", har(&[get("/users/7", r#"{"data":[{"id":"1","name":"A","url":"u"}]}"#)]));
    if !config.is_empty() {
        sandbox.write("harproxy.toml", config);
    }
    sandbox
}

fn against(sandbox: &Sandbox, more: &[&str]) -> Output {
    sandbox.run(args(&[&["--against", "prod.har"], more].concat()))
}

#[test]
fn min_severity_decides_the_status() {
    let sandbox = drifted("");
    for (severity, status) in [("critical", 1), ("warning", 1), ("info", 1)] {
        against(&sandbox, &["--min-severity", severity]).expect(status);
    }
    sandbox.write("prod.har", har(&[get("/users/7", r#"{"data":[{"id":1,"name":"A","url":"u"}]}"#)]));
    for (severity, status) in [("critical", 0), ("warning", 0), ("info", 1)] {
        against(&sandbox, &["--min-severity", severity]).expect(status);
    }
    sandbox.write("harproxy.toml", "[drift]\nmin-severity = 'info'\n");
    against(&sandbox, &[]).expect(1);
}

#[test]
fn suppressed_findings_stay_in_the_report() {
    let sandbox = drifted(
        "[[drift.suppress]]\npath = '$.data[*].id'\nissue = ['type-changed']\n\
         match = 'GET https://api.test/users/*'\nreason = 'ids are random'\nowner = 'team-a'\nexpires = 2999-01-01\n",
    );
    let report = report_of(&against(&sandbox, &[]).expect(0));
    let suppressed = &report["endpoints"][0]["fields"][0];
    assert_eq!((&suppressed["path"], &suppressed["issue"]), (&"$.data[0].id".into(), &"type_changed".into()));
    let expected = serde_json::json!({ "reason": "ids are random", "owner": "team-a", "expires": "2999-01-01" });
    assert_eq!(suppressed["suppressed"], expected);
    assert_eq!(report["endpoints"][0]["driftScore"], 97);
    assert_eq!(report["counts"]["suppressed"], 1);
}

#[test]
fn suppressions_of_a_file_are_read() {
    let sandbox = drifted("");
    sandbox.write("known.json", r#"{"suppressions":[{"path":"$.data[0].id","reason":"random"}]}"#);
    against(&sandbox, &["--suppressions", "known.json"]).expect(0);
    sandbox.write("known.json", r#"{"suppressions":[{"path":"$.data[0].id"}]}"#);
    against(&sandbox, &["--suppressions", "known.json"]).expect(2).says("known.json#0: a suppression needs a `reason`");
    sandbox.write("known.json", r#"{"suppressions":[{"path":"data.id","reason":"x"}]}"#);
    against(&sandbox, &["--suppressions", "known.json"]).expect(2).says("`data.id` is not a valid JSON path");
}

#[test]
fn suppression_without_a_reason_is_an_error() {
    let sandbox = drifted("[[drift.suppress]]\npath = '$.data[*].id'\n");
    against(&sandbox, &[]).expect(2).says("harproxy.toml:1:1: `suppress`: a suppression needs a `reason`");
    let unknown = drifted("[[drift.suppress]]\nissue = 'typo'\nreason = 'x'\n");
    against(&unknown, &[]).expect(2).says("unknown check `typo`; known are status-changed, ");
    let option = drifted("[drift]\nmin-severty = 'info'\n");
    against(&option, &[]).expect(2).says("unknown option of [drift] `min-severty`; did you mean `min-severity`?");
}

#[test]
fn expired_suppression_brings_its_finding_back() {
    let sandbox = drifted("[[drift.suppress]]\npath = '$.data[*].id'\nreason = 'until v2'\nexpires = 2020-12-31\n");
    let report = report_of(&against(&sandbox, &[]).expect(1));
    let note = report["expiredSuppressions"][0].as_str().unwrap();
    assert!(note.contains("harproxy.toml:1: expired on 2020-12-31") && note.contains("until v2"), "{note}");
    let text = sandbox.run(["drift", "--against", "prod.har"]).expect(1).stdout;
    assert!(text.contains("warning: suppression harproxy.toml:1: expired on 2020-12-31"), "{text}");
}

#[test]
fn unused_suppression_is_a_warning() {
    let sandbox = drifted("[[drift.suppress]]\npath = '$.gone'\nreason = 'old'\n");
    let report = report_of(&against(&sandbox, &[]).expect(1));
    assert!(report["unusedSuppressions"][0].as_str().unwrap().contains("no finding matches it: old"));
}

#[test]
fn findings_about_the_run_are_not_suppressed() {
    let sandbox = Sandbox::new();
    sandbox.write("hars/api.har", har(&[get("/users", "{}")]));
    sandbox.write("harproxy.toml", "[[drift.suppress]]\nreason = 'everything'\n");
    let origin = server(|_| crate::support::origin::OriginResponse { status: 503, ..json_response("{}") });
    ask(&sandbox, &origin, &[]).expect(4);
}

#[test]
fn accepted_findings_are_known_in_the_next_run() {
    let sandbox = drifted("# kept\n[record]\nglobs = ['https://api.test/**']\n");
    sandbox.run(["drift", "accept", "--against", "prod.har"]).expect(2).says("needs a reason");
    let accepted = sandbox
        .run([
            "drift",
            "accept",
            "--against",
            "prod.har",
            "--reason",
            "new ids",
            "--owner",
            "me",
            "--expires",
            "2999-01-01",
        ])
        .expect(0)
        .says("1 difference is accepted in harproxy.toml");
    assert!(accepted.stdout.contains("type-changed"), "{accepted:?}");
    let config = sandbox.read("harproxy.toml");
    assert!(config.starts_with("# kept\n[record]\n"), "{config}");
    for line in [
        "[[drift.suppress]]",
        r#"path = "$.data[*].id""#,
        r#"issue = ["type-changed"]"#,
        r#"match = "GET https://api.test/users/*""#,
        r#"owner = "me""#,
    ] {
        assert!(config.contains(line), "{line} is not in {config}");
    }
    let report = report_of(&against(&sandbox, &[]).expect(0));
    assert_eq!(report["unusedSuppressions"].as_array().unwrap().len(), 0);
    let again = sandbox.run(["drift", "accept", "--against", "prod.har", "--reason", "x"]).expect(0);
    assert_eq!(sandbox.read("harproxy.toml"), config, "{again:?}");
}

#[test]
fn reason_is_asked_for_on_a_terminal() {
    let sandbox = drifted("");
    let command = sandbox.command(["drift", "accept", "--against", "prod.har"]);
    let (shown, status) = crate::support::terminal::answer(command, 120, "ids changed\nteam-b\n");
    assert_eq!(status, 0, "{shown}");
    let config = sandbox.read("harproxy.toml");
    assert!(config.contains(r#"reason = "ids changed""#) && config.contains(r#"owner = "team-b""#), "{config}");
}

#[test]
fn findings_come_before_endpoints_that_were_not_compared() {
    let recorded = [get("/a", r#"{"x":1}"#), get("/b", r#"{"x":1}"#)];
    let mut down = get("/b", "{}");
    down["response"]["status"] = 503.into();
    let report = compare_entries(&recorded, &[get("/a", r#"{"x":"1"}"#), down], 1);
    assert_eq!(fields(&report).len(), 2);
    assert!(fields(&report).contains(&field("answer", "not_compared", "critical")));
}

#[test]
fn route_makes_names_one_endpoint() {
    let entries = [get("/users/ada", r#"{"a":1}"#), get("/users/bob", r#"{"a":1}"#)];
    let sandbox = Sandbox::new();
    sandbox.write("hars/api.har", har(&entries));
    sandbox.write("prod.har", har(&entries[..1]));
    let endpoints = |output: &Output| report_of(output)["endpoints"].as_array().unwrap().len();
    assert_eq!(endpoints(&against(&sandbox, &[]).expect(0)), 1);
    let routed = against(&sandbox, &["--route", "/users/{name}"]).expect(0);
    assert_eq!(report_of(&routed)["endpoints"][0]["endpoint"], "GET https://api.test/users/{name}");
    assert_eq!(report_of(&routed)["endpoints"][0]["entries"], 2);
    let most = against(&sandbox, &["--max", "1"]).expect(0);
    assert!(report_of(&most)["skipped"][0]["reason"].as_str().unwrap().contains("--max"));
}
