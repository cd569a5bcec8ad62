//! Clients that refuse harproxy's certificate are reported, even if other clients of the host accept it.

use crate::cli::CliSandbox;
use crate::support::repo;
use crate::support::sandbox::{Output, finish};

/// Requests of two curls to one host. The second one trusts a CA that signed nothing.
fn one_that_trusts_and_one_that_does_not() -> String {
    let foreign = repo("certs/ca.pem").display().to_string();
    format!("curl -sS https://api.test/api/json; curl -s --cacert {foreign} https://api.test/api/json; true")
}

fn doctor(stage: &CliSandbox, script: &str) -> Output {
    let mut command = stage.sandbox.command(["doctor"]);
    command.args(stage.origin.args()).args(["--", "sh", "-c", script]);
    finish(command.output().unwrap())
}

#[test]
fn refusal_is_reported_when_another_client_of_the_host_is_served() {
    let stage = CliSandbox::new();
    let script = one_that_trusts_and_one_that_does_not();
    let cmd = ["sh", "-c", &script];
    let recorded = stage.record(&[], &cmd).expect(0).says("recorded 1 exchange");
    let replayed = stage.replay(&[], &cmd).expect(0).says("1 request served");
    let diagnosed = doctor(&stage, &script).expect(1).says("https://api.test  1 request");
    for output in [recorded, replayed, diagnosed] {
        assert_eq!(output.stderr.matches("! tls-refused").count(), 1, "{}", output.stderr);
        output.says("refused the certificate that harproxy made for api.test").says("harproxy ca path");
    }
}

#[test]
fn refusals_with_one_cause_are_one_finding_without_noise_hosts() {
    let stage = CliSandbox::new();
    let foreign = repo("certs/ca.pem").display().to_string();
    let hosts = ["https://a.test/", "https://b.test/", "https://a.test/x", "https://update.googleapis.com/"];
    let script = format!("curl -s --cacert {foreign} {}; true", hosts.join(" "));
    let names = ["a.test", "b.test", "update.googleapis.com"];
    let maps = names.map(|host| format!("{host}:443={}", stage.origin.https));
    let mut command = stage.sandbox.command(["doctor"]);
    for map in &maps {
        command.args(["--map", map]);
    }
    command.args(stage.origin.args()).args(["--", "sh", "-c", &script]);
    let output = finish(command.output().unwrap()).expect(1).says("made for a.test, b.test: ");
    assert_eq!(output.stderr.matches("! tls-refused").count(), 1, "{}", output.stderr);
    assert!(!output.stderr.contains("googleapis"), "{}", output.stderr);
}

#[test]
fn client_that_offers_only_http_1_0_is_served() {
    let stage = CliSandbox::new();
    let script = "curl -sS --http1.0 https://api.test/api/json";
    stage.record(&[], &["sh", "-c", script]).expect(0);
    let output = stage.replay(&[], &["sh", "-c", script]).expect(0);
    assert!(output.stdout.contains("Ada") && !output.stderr.contains("tls-refused"), "{output:?}");
}
