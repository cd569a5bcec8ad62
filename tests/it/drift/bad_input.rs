//! Unusable fixtures and options: one clear error each, and never a run that is in sync.

use super::{args, get, har};
use crate::support::sandbox::Sandbox;

#[test]
fn fixtures_that_cannot_be_compared_are_named() {
    let sandbox = Sandbox::new();
    sandbox.run(args(&[])).expect(2).says("reading hars");
    sandbox.write("hars/empty.har", har(&[]));
    let empty = sandbox.run(["drift"]).expect(4);
    assert!(empty.stdout.contains("nothing was compared"), "{empty:?}");
    sandbox.write("hars/broken.har", "{");
    sandbox.run(["drift"]).expect(2).says("broken.har");
    sandbox.run(["drift", "hars/none.har"]).expect(2).says("hars/none.har");
}

#[test]
fn damaged_recorded_payload_is_not_compared() {
    let sandbox = Sandbox::new();
    sandbox.write("prod.har", har(&[get("/users", "{}")]));
    sandbox.write("hars/api.har", har(&[get("/users", "{\"a\":")]));
    let output = sandbox.run(args(&["--against", "prod.har"])).expect(4);
    assert!(output.stdout.contains("the recorded answer can't be compared"), "{output:?}");
    let mut lost = get("/users", "");
    lost["response"]["content"] = serde_json::json!({ "mimeType": "application/json", "size": 5, "_file": "gone.txt" });
    sandbox.write("hars/api.har", har(&[lost]));
    let output = sandbox.run(args(&["--against", "prod.har"])).expect(4);
    assert!(output.stdout.contains("gone.txt"), "{output:?}");
}

#[test]
fn fixture_full_of_placeholders_is_compared_by_structure() {
    let sandbox = Sandbox::new();
    let recorded = r#"{"token":"REDACTED-token-1","pin":73322833001,"items":[{"id":"REDACTED-id-1"}]}"#;
    sandbox.write("hars/api.har", har(&[get("/users", recorded)]));
    sandbox.write(
        "prod.har",
        har(&[get("/users", r#"{"token":"2026-01-01","pin":1.7,"items":[{"id":"3"},{"id":null}]}"#)]),
    );
    let report =
        super::report_of(&sandbox.run(args(&["--against", "prod.har", "--min-severity", "warning"])).expect(1));
    // Null is another value than the redacted one.
    assert_eq!(super::fields(&report), [super::field("$.items[0].id", "nullability_changed", "warning")]);
}

#[test]
fn redacted_text_is_text() {
    let report = super::compare(r#"{"token":"REDACTED-token-1"}"#, r#"{"token":{"value":"x"}}"#, 1);
    assert_eq!(super::fields(&report), [super::field("$.token", "structure_changed", "critical")]);
}

#[test]
fn options_that_exclude_each_other_are_refused_wherever_they_are_set() {
    let sandbox = Sandbox::new();
    sandbox.write("hars/api.har", har(&[get("/users", "{}")]));
    sandbox.write("harproxy.toml", "[drift]\nagainst = ['hars/api.har']\nupdate = 'all'\n");
    sandbox.run(["drift"]).expect(2).says("--against and --update exclude each other");
    sandbox.write("harproxy.toml", "[drift]\nevery = '1h'\n");
    sandbox.run(["drift", "--update=all"]).expect(2).says("--update and --every exclude each other");
    sandbox.run(["drift", "accept", "--reason", "x"]).expect(2).says("no use for --update and --every");
}

#[test]
fn options_have_clear_errors() {
    let sandbox = Sandbox::new();
    sandbox.write("hars/api.har", har(&[get("/users", "{}")]));
    for (given, said) in [
        (vec!["--max", "0"], "expected a number from 1 on"),
        (vec!["--rate", "none"], "expected requests in a second"),
        (vec!["--values", "a.b"], "is not a valid JSON path"),
        (vec!["--report", "drift.pdf"], "expected a file that ends in `.json`, `.xml`, `.md`, `.html`, `.sarif`"),
        (vec!["--update", "all"], "--update"),
        (vec!["--update=some"], "non-breaking"),
        (vec!["--every", "often"], "--every"),
        (vec!["--base-url", "staging"], "expected a whole URL"),
        (vec!["--base-url", "ftp://a.test"], "expected an http or https URL without a query"),
        (vec!["--every", "0 0 31 2 *"], "no date of the next five years matches"),
        (vec!["--against", "hars/api.har", "--values", "$.none"], "selects no value of the fixtures"),
        (vec!["--against", "gone.har"], "gone.har"),
        (vec!["--suppressions", "gone.json"], "gone.json"),
        (vec!["--route", "/users"], "no segment is variable"),
    ] {
        sandbox.run([&["drift"], &given[..]].concat()).expect(2).says(said);
    }
}

#[test]
fn configuration_errors_have_a_position() {
    let sandbox = Sandbox::new();
    sandbox.write("hars/api.har", har(&[get("/users", "{}")]));
    for (config, said) in [
        ("[drift.headers]\n'a b' = 'x'\n", "harproxy.toml:2:1"),
        ("[drift.headers]\na = 'env:'\n", "expected the name of a variable after `env:`"),
        ("[drift.login]\nsned = 'x'\n", "unknown option of [drift.login] `sned`; did you mean `send`?"),
        ("[drift.notify]\nslack = 'https://hooks.example.com/T0/B0/x'\n", "the URL of a webhook is a secret"),
        ("[drift.notify]\nteams = 'env:X'\n", "unknown option of [drift.notify] `teams`"),
        ("[drift]\nallow-unsafe = ['POST {a']\n", "allow-unsafe"),
        ("[[drift.suppress]]\nreason = 'x'\nexpires = 'soon'\n", "expected a date, such as `2027-03-31`"),
        ("[drift.login]\nsend = 'POST https://api.test/none'\n", "no entry matches request 1 of `send`"),
    ] {
        sandbox.write("harproxy.toml", config);
        let output = sandbox.run(["drift"]).expect(2).says(said);
        assert!(!output.stderr.contains("/T0/B0"), "{output:?}");
    }
}
