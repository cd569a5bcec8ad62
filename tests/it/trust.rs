//! The CAs that CMD trusts: harproxy's, those of the user, and those of an outer harproxy.

use super::support::origin::Origin;
use super::support::repo;
use super::support::sandbox::{Sandbox, finish};

/// The inner harproxy uses the outer one as proxy and trusts its CA, which differs from its own.
#[test]
fn nested_recording_records_the_same_exchanges() {
    let (origin, sandbox) = (Origin::start(), Sandbox::new());
    let inner = ["record", "-o", "inner.har", "--ca-dir", "inner-ca", "--", "curl", "-sS", "https://api.test/api/json"];
    let mut outer = sandbox.command(["record", "-o", "outer.har"]);
    outer.args(origin.args()).args(["--", env!("CARGO_BIN_EXE_harproxy")]).args(inner);
    let said = finish(outer.output().unwrap()).expect(0);
    assert!(said.stdout.contains("Ada"), "{}", said.stdout);
    for fixture in ["outer.har", "inner.har"] {
        let har = sandbox.har(fixture);
        let entries = har["log"]["entries"].as_array().unwrap();
        assert_eq!(entries.len(), 1, "{fixture}");
        assert_eq!(entries[0]["request"]["url"], "https://api.test/api/json");
    }
}

/// A host out of scope is tunnelled, so the client sees the certificate of the origin. Its root is named only by a
/// variable of the user, and must be part of the bundle for CMD.
#[test]
fn root_named_by_the_user_is_still_trusted() {
    let (origin, sandbox) = (Origin::start(), Sandbox::new());
    let root = repo("certs/ca.pem");
    let run = |variables: &[&str]| {
        let mut command = sandbox.command(["record", "-o", "a.har", "--glob", "https://other.test/**"]);
        command.args(origin.args()).envs(variables.iter().map(|name| (name, &root)));
        command.args(["--", "curl", "-sS", "https://api.test/api/json"]);
        finish(command.output().unwrap())
    };
    assert_eq!(run(&[]).status, 60, "curl should not know this root");
    for variable in ["CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"] {
        let said = run(&[variable]);
        assert!(said.stdout.contains("Ada"), "{variable}: {}", said.stderr);
    }
}
