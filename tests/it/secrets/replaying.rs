//! Replay of redacted values: other values match, and messages about misses do not contain them.

use serde_json::json;

use super::{HAR, Secrets, record};
use crate::support::client::{Proto, TestRequest};
use crate::support::origin::{Origin, OriginResponse};
use crate::support::sandbox::Sandbox;

#[test]
fn right_and_wrong_password_are_ambiguous_with_a_hint() {
    let (sandbox, secrets) = (Sandbox::new(), Secrets::of(7));
    let origin = secrets.origin();
    let server = record(&sandbox, &origin, HAR, &[]);
    let login = |password: &str| {
        let body = json!({ "username": "ada", "password": password }).to_string();
        TestRequest::new("POST", "https://api.test/login").header("content-type", "application/json").body(body)
    };
    assert_eq!(server.client(Proto::H1).send(login(&secrets.password)).status, 200);
    assert_eq!(server.client(Proto::H1).send(login("wr0ng-one")).status, 401);
    let said = server.stop().expect(0).says("ambiguous").says("REDACTED-password-2").says("[redact.values]");
    assert!(!said.stderr.contains("wr0ng-one"), "{}", said.stderr);

    let config = sandbox.write("harproxy.toml", "[redact.values]\npassword-2 = \"env:BAD_PW\"\n");
    let args = ["record", "-o", HAR, "--update", "replace", "--config", config.to_str().unwrap()].map(str::to_owned);
    let args: Vec<String> = args.into_iter().chain(origin.args()).collect();
    let server = sandbox.start_with(&args, &[("BAD_PW", "wr0ng-one")]);
    server.client(Proto::H1).send(login("wr0ng-one"));
    server.client(Proto::H1).send(login(&secrets.password));
    let said = server.stop().expect(0);
    assert!(!said.stderr.contains("ambiguous"), "{}", said.stderr);
    let text = sandbox.read(HAR);
    assert!(text.contains("REDACTED-password-2") && text.contains("REDACTED-password-1"), "{text}");
}

/// Names that the policy adds and removes, and personal data. Other values match in the same places.
#[test]
fn values_named_by_the_policy_are_redacted_and_match_any_value() {
    const POLICY: &str = r#"
[redact]
headers  = ["x-internal-token"]
query    = ["sig2"]
json     = ["$.card.number", "$..ssn"]
text     = ["acme_[0-9A-Za-z]+"]
except   = ["cookie:theme"]
personal = true
"#;
    let sandbox = Sandbox::new();
    sandbox.write("harproxy.toml", POLICY);
    let origin = Origin::answering(|asked| {
        let headers = vec![("content-type", asked.headers["content-type"].to_str().unwrap().to_owned())];
        Some(OriginResponse { status: 200, headers, body: asked.body.clone(), ..OriginResponse::default() })
    });
    let ask = |run: &str, number: u64, mail: &str| {
        let person = json!({ "ssn": format!("ssn{run}"), "mail": mail, "note": format!("see acme_{run}.") });
        let body = json!({ "card": { "number": number }, "people": [person], "plan": "free" });
        TestRequest::new("POST", &format!("https://api.test/orders?sig2=sig{run}&page=1"))
            .header("content-type", "application/json")
            .header("x-internal-token", &format!("internal{run}"))
            .header("cookie", "theme=dark")
            .body(body.to_string().into_bytes())
    };
    let server = record(&sandbox, &origin, HAR, &["--content", "embed", "-vvv"]);
    server.client(Proto::H1).send(ask("Real1", 4_111_111_111_111_111, "ada@lovelace.test"));
    let said = server.stop().expect(0).stderr;
    let har = sandbox.read(HAR);
    for text in [&har, &said] {
        for secret in ["Real1", "4111111111111111", "lovelace"] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
    }
    for kept in ["theme=dark", "page=1", "plan", "@example.invalid", "73322833001", "REDACTED-ssn-1"] {
        assert!(har.contains(kept), "{kept}: {har}");
    }
    drop(origin);
    let server = sandbox.start(["replay", HAR]);
    let got = server.client(Proto::H1).send(ask("Other22", 7, "eve@elsewhere.test"));
    assert_eq!(got.status, 200, "{}", got.text());
    server.stop().expect(0);
}

/// The password is in the document, not in its variables.
#[test]
fn password_in_a_graphql_document_is_redacted_and_matches_any_value() {
    let sandbox = Sandbox::new();
    let origin = Origin::answering(|_| {
        let headers = vec![("content-type", "application/json".to_owned())];
        Some(OriginResponse {
            status: 200,
            headers,
            body: br#"{"data":{"ok":true}}"#.to_vec(),
            ..OriginResponse::default()
        })
    });
    let login = |user: &str, password: &str| {
        let document = format!("mutation {{ login(user: \"{user}\", password: \"{password}\") {{ ok }} }}");
        let ask = TestRequest::new("POST", "https://api.test/graphql").header("content-type", "application/json");
        ask.body(json!({ "query": document }).to_string())
    };
    let server = record(&sandbox, &origin, HAR, &[]);
    server.client(Proto::H1).send(login("ada", "correct horse"));
    server.stop().expect(0);
    drop(origin);
    let har = sandbox.read(HAR);
    assert!(!har.contains("correct horse") && har.contains("REDACTED-password-1"), "{har}");
    let server = sandbox.start(["replay", HAR]);
    let client = server.client(Proto::H1);
    assert_eq!(client.send(login("ada", "of the CI")).status, 200);
    let missed = client.send(login("bob", "hidden from all"));
    assert_eq!(missed.status, 501);
    assert!(!missed.text().contains("hidden from all"), "{}", missed.text());
    let told = server.stop().expect(1).stderr;
    assert!(!told.contains("hidden from all"), "{told}");
}

/// `curl -d` sends JSON with the content type of a form.
#[test]
fn password_in_json_with_a_form_content_type_is_redacted_and_matches_any_value() {
    let sandbox = Sandbox::new();
    let origin = Secrets::of(7).origin();
    let login = |user: &str, password: &str| {
        TestRequest::new("POST", "https://api.test/session")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(json!({ "user": user, "password": password }).to_string())
    };
    let server = record(&sandbox, &origin, HAR, &["--content", "embed"]);
    server.client(Proto::H1).send(login("ada", "correct horse"));
    server.stop().expect(0);
    drop(origin);
    let har = sandbox.read(HAR);
    assert!(!har.contains("correct") && har.contains("REDACTED-password-1"), "{har}");
    for mode in ["exact", "json", "form"] {
        let server = sandbox.start(["replay", HAR, "--match-body", mode]);
        assert_eq!(server.client(Proto::H1).send(login("ada", "of the CI")).status, 200, "{mode}");
        let missed = server.client(Proto::H1).send(login("bob", "hidden from all"));
        assert_eq!((missed.status, missed.text().contains("hidden")), (501, false), "{mode}: {}", missed.text());
        server.stop().expect(1);
    }
}
