//! Headers that decide which response a client gets: those of the match key, those that select a representation, and
//! credentials.

use crate::support::origin::{Origin, OriginResponse};
use crate::support::sandbox::Sandbox;

/// Starts an origin that answers with the value of this request header.
fn repeating(header: &'static str) -> Origin {
    Origin::answering(move |request| {
        let value = request.headers.get(header).map_or("none", |value| value.to_str().unwrap());
        Some(OriginResponse { status: 200, body: format!("[{value}]").into_bytes(), ..OriginResponse::default() })
    })
}

/// A shell command that sends requests with these curl arguments, one after the other.
fn curls(requests: &[&str]) -> String {
    requests.iter().map(|arguments| format!("curl -s {arguments} http://api.test/")).collect::<Vec<_>>().join(" && ")
}

/// Records the requests of a shell command into `hars/api.har`.
fn record(sandbox: &Sandbox, origin: &Origin, options: &[&str], script: &str) {
    let words = ["record", "-o", "hars/api.har"].iter().chain(options).map(|word| (*word).to_owned());
    let cmd = ["--", "sh", "-c", script].map(str::to_owned);
    sandbox.run(words.chain(origin.args()).chain(cmd).collect::<Vec<_>>()).expect(0);
}

fn replay<'s>(options: &[&'s str], script: &'s str) -> Vec<&'s str> {
    let words = ["replay", "hars/api.har"].into_iter().chain(options.iter().copied());
    words.chain(["--", "sh", "-c", script]).collect()
}

const TABLE: &str = r#"-H 'Content-Type: application/x-amz-json-1.0' -d '{"TableName":"t"}'"#;

fn table(operation: &str) -> String {
    format!("-H 'X-Amz-Target: DynamoDB_20120810.{operation}' {TABLE}")
}

#[test]
fn operation_of_an_aws_request_is_part_of_the_match_key() {
    let (sandbox, origin) = (Sandbox::new(), repeating("x-amz-target"));
    let (create, describe, delete) = (table("CreateTable"), table("DescribeTable"), table("DeleteTable"));
    record(&sandbox, &origin, &[], &curls(&[&create, &describe]));
    let script = curls(&[&describe, &create]);
    let output = sandbox.run(replay(&[], &script)).expect(0);
    assert_eq!(output.stdout, "[DynamoDB_20120810.DescribeTable][DynamoDB_20120810.CreateTable]");
    let script = curls(&[&delete]);
    let output = sandbox.run(replay(&[], &script)).expect(1);
    output.says("header `x-amz-target` is `DynamoDB_20120810.DeleteTable`, recorded `DynamoDB_20120810.");
    let script = curls(&[TABLE]);
    let output = sandbox.run(replay(&[], &script)).expect(1);
    output.says("header `x-amz-target` is missing, recorded `DynamoDB_20120810.");
}

#[test]
fn soap_action_and_overridden_method_are_part_of_the_match_key() {
    for header in ["SOAPAction", "X-HTTP-Method-Override", "X-Method-Override"] {
        let (sandbox, origin) = (Sandbox::new(), repeating(header));
        let [one, other, third] = ["one", "other", "third"].map(|value| format!("-H '{header}: {value}' -d a=1"));
        record(&sandbox, &origin, &[], &curls(&[&one, &other, "-d a=1"]));
        let script = curls(&["-d a=1", &other, &one]);
        assert_eq!(sandbox.run(replay(&[], &script)).expect(0).stdout, "[none][other][one]", "{header}");
        let script = curls(&[&third]);
        sandbox.run(replay(&[], &script)).expect(1).says(&format!("header `{}` is `third`", header.to_lowercase()));
    }
}

#[test]
fn recording_again_updates_the_entry_of_the_same_operation() {
    let (sandbox, origin) = (Sandbox::new(), repeating("x-amz-target"));
    let (create, describe) = (table("CreateTable"), table("DescribeTable"));
    record(&sandbox, &origin, &[], &curls(&[&create, &describe]));
    let before = sandbox.har("hars/api.har")["log"]["entries"].clone();
    record(&sandbox, &origin, &["--update", "merge"], &curls(&[&describe]));
    record(&sandbox, &origin, &["--update", "replace"], &curls(&[&describe, &create]));
    let after = sandbox.har("hars/api.har")["log"]["entries"].clone();
    let text = |entries: &serde_json::Value, at: usize| entries[at]["response"]["content"]["text"].clone();
    assert_eq!(after.as_array().unwrap().len(), 2);
    assert_eq!([text(&before, 0), text(&before, 1)], [text(&after, 0), text(&after, 1)]);
    record(&sandbox, &origin, &["--update", "merge"], &curls(&[&table("DeleteTable")]));
    assert_eq!(sandbox.har("hars/api.har")["log"]["entries"].as_array().unwrap().len(), 3, "another operation");
}

#[test]
fn accepted_type_selects_the_recorded_representation() {
    let (sandbox, origin) = (Sandbox::new(), repeating("accept"));
    let [json, csv, xml] = ["application/json", "text/csv", "text/xml"].map(|media| format!("-H 'Accept: {media}'"));
    record(&sandbox, &origin, &[], &curls(&[&format!("{json} -A one"), &format!("{csv} -A one")]));
    // A header that scores in the wrong entry does not outweigh the type.
    let script = curls(&[&csv, &json]);
    assert_eq!(sandbox.run(replay(&[], &script)).expect(0).stdout, "[text/csv][application/json]");
    let script = curls(&[&xml]);
    let output = sandbox.run(replay(&[], &script)).expect(1);
    output.says("ambiguous").says("differ in the header `accept` and in their responses");
}

#[test]
fn type_that_one_entry_accepted_fits_another_one_without_a_guess() {
    let (sandbox, origin) = (Sandbox::new(), repeating("x-other"));
    record(&sandbox, &origin, &[], &curls(&["-H 'Accept: a/a'", "-H 'Accept: b/b'"]));
    let script = curls(&["-H 'Accept: c/c'"]);
    assert_eq!(sandbox.run(replay(&[], &script)).expect(0).stdout, "[none]", "the responses are equal");
}

#[test]
fn requests_with_and_without_credentials_keep_their_answers() {
    let origin = Origin::answering(|request| {
        let (status, body) = match request.headers.contains_key("authorization") {
            true => (200, "private"),
            false => (401, "public"),
        };
        Some(OriginResponse { status, body: body.into(), ..OriginResponse::default() })
    });
    let sandbox = Sandbox::new();
    let token = "-H 'Authorization: Bearer 3ff1a2c4e5d60718293a4b5c6d7e8f90' -H 'X-Trace: 1'";
    let other = "-H 'Authorization: Bearer 00112233445566778899aabbccddeeff'";
    record(&sandbox, &origin, &[], &curls(&[token, "-H 'X-Trace: 1'"]));
    // The trace header adds to the score of both entries; presence of credentials decides first.
    let script = curls(&["-H 'X-Trace: 1'", other]);
    assert_eq!(sandbox.run(replay(&[], &script)).expect(0).stdout, "publicprivate");
}

#[test]
fn forgotten_credentials_are_a_warning_and_fail_a_strict_run() {
    let (sandbox, origin) = (Sandbox::new(), repeating("x-other"));
    record(&sandbox, &origin, &[], &curls(&["-H 'Authorization: Bearer 3ff1a2c4e5d60718293a4b5c6d7e8f90'"]));
    let script = curls(&[""]);
    let output = sandbox.run(replay(&[], &script)).expect(0);
    output.says("credentials-missing").says("recorded with credentials (`authorization`), and the request has none");
    sandbox.run(replay(&["--strict"], &script)).expect(1).says("1 request without its credentials");
    let options = ["--strict", "--fail-on", "-credentials-missing"];
    sandbox.run(replay(&options, &script)).expect(0).says("credentials-missing");
    let script = curls(&["-H 'Authorization: Bearer other'"]);
    let output = sandbox.run(replay(&["--strict"], &script)).expect(0);
    assert!(!output.stderr.contains("credentials-missing"), "{}", output.stderr);
}

#[test]
fn strict_run_fails_for_unused_entries_and_repeated_requests() {
    let (sandbox, origin) = (Sandbox::new(), repeating("x-other"));
    record(&sandbox, &origin, &[], &curls(&["", "-d a=1"]));
    let all = curls(&["", "-d a=1"]);
    sandbox.run(replay(&["--strict"], &all)).expect(0);
    let some = curls(&[""]);
    sandbox.run(replay(&[], &some)).expect(0);
    sandbox.run(replay(&["--strict"], &some)).expect(1).says("1 unused entry");
    let repeated = curls(&["", "", "-d a=1"]);
    sandbox.run(replay(&[], &repeated)).expect(0);
    sandbox.run(replay(&["--strict"], &repeated)).expect(1).says("1 miss");
    sandbox.run(replay(&["--strict", "--repeat", "sequence"], &repeated)).expect(0);
}
