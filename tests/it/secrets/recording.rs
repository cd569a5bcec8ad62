//! The files that a recording writes.

use std::io::Write;

use harproxy::record::CmdEnd;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::{HAR, JOURNAL, Secrets, files, folder_holds_none, holds_none, record};
use crate::support::client::{Proto, TestRequest};
use crate::support::origin::{Origin, OriginResponse};
use crate::support::rig::setup;
use crate::support::sandbox::Sandbox;

#[test]
fn secrets_are_in_no_output_and_the_client_gets_real_values() {
    for (output, options) in [(HAR, &[][..]), (HAR, &["--content", "embed"]), ("hars/api.zip", &[])] {
        let (sandbox, secrets) = (Sandbox::new(), Secrets::of(7));
        let origin = secrets.origin();
        let options = [options, &["-vvv", "--report", "report.json"]].concat();
        let server = record(&sandbox, &origin, output, &options);
        let proto = if options.contains(&"embed") { Proto::H2 } else { Proto::H1 };
        let live = secrets.visit(&server.client(proto));
        let said = server.stop().expect(0);
        assert_eq!(live[0].json()["access_token"], secrets.jwt);
        assert!(live[0].header("set-cookie").unwrap().contains(&secrets.session));
        folder_holds_none(&sandbox, &secrets);
        holds_none("stderr", said.stderr.as_bytes(), &secrets);
        holds_none("stdout", said.stdout.as_bytes(), &secrets);
        holds_none("report", sandbox.read("report.json").as_bytes(), &secrets);
        let said = said.says("values; 1 payload could not be scanned");
        assert!(!said.stderr.contains("REDACTED_"), "{}", said.stderr);
    }
}

#[test]
fn equal_values_get_equal_placeholders_everywhere() {
    let (sandbox, secrets) = (Sandbox::new(), Secrets::of(7));
    let origin = secrets.origin();
    let server = record(&sandbox, &origin, HAR, &["--content", "embed"]);
    secrets.visit(&server.client(Proto::H1));
    server.stop().expect(0);
    let har = sandbox.har(HAR);
    let entries = har["log"]["entries"].as_array().unwrap();
    let header = |entry: usize, part: &str, name: &str| {
        let headers = entries[entry][part]["headers"].as_array().unwrap();
        headers.iter().find(|header| header["name"] == name).unwrap()["value"].as_str().unwrap().to_owned()
    };
    let text = |entry: usize| entries[entry]["response"]["content"]["text"].as_str().unwrap().to_owned();
    let login: Value = serde_json::from_str(&text(0)).unwrap();
    let jwt = login["access_token"].as_str().unwrap();
    assert!(jwt.ends_with(".REDACTED-access_token-1"), "{jwt}");
    assert_eq!(header(1, "request", "authorization"), format!("Bearer {jwt}"));
    assert_eq!(header(0, "response", "set-cookie"), "sid=REDACTED-sid-1; Path=/; HttpOnly");
    assert_eq!(header(1, "request", "cookie"), "sid=REDACTED-sid-1; theme=REDACTED-theme-1");
    assert_eq!(entries[1]["request"]["cookies"][0]["value"], "REDACTED-sid-1");
    assert_eq!(text(1), r#"{"name":"Ada","seen":["with","REDACTED-refresh_token-1"],"next_token":"page-2"}"#);
    let form = entries[2]["request"]["postData"]["text"].as_str().unwrap();
    assert_eq!(form, "grant_type=refresh_token&refresh_token=REDACTED-refresh_token-1");
    assert_eq!(header(3, "request", "authorization"), "Basic REDACTED-authorization-1");
    assert_eq!(entries[4]["request"]["url"], "https://api.test/list?token=REDACTED-token-1&page=1");
    assert_eq!(entries[4]["request"]["queryString"][0]["value"], "REDACTED-token-1");
    assert_eq!(
        entries[5]["response"]["redirectURL"],
        "https://app.test/cb?code=REDACTED-code-1&state=REDACTED-state-1"
    );
    assert_eq!(text(9), "data: {\"token\":\"REDACTED-token-2\"}\n\ndata: {\"n\":1}\n\n");
    assert_eq!(entries[0]["request"]["postData"]["text"], r#"{"username":"ada","password":"REDACTED-password-1"}"#);
}

#[test]
fn different_secrets_change_no_byte_of_the_fixture() {
    for (output, options) in [(HAR, &[][..]), (HAR, &["--content", "embed"]), ("hars/api.zip", &[])] {
        let sandbox = Sandbox::new();
        let run = |run: u64| {
            let secrets = Secrets::of(run);
            let origin = secrets.origin();
            let server = record(&sandbox, &origin, output, options);
            secrets.visit(&server.client(Proto::H1));
            (server.stop().expect(0), files(&sandbox.join("hars")))
        };
        let (_, first) = run(7);
        let (said, second) = run(8123);
        let said = said.says("11 unchanged");
        for ((name, before), (_, after)) in first.iter().zip(&second) {
            assert_eq!(String::from_utf8_lossy(before), String::from_utf8_lossy(after), "{name}: {}", said.stderr);
        }
        assert_eq!(first.len(), second.len());
    }
}

#[test]
fn journal_and_recovered_fixture_hold_no_secret() {
    let (sandbox, secrets) = (Sandbox::new(), Secrets::of(7));
    let origin = secrets.origin();
    let server = record(&sandbox, &origin, HAR, &[]);
    secrets.visit(&server.client(Proto::H1));
    server.signal(Signal::SIGKILL);
    server.wait();
    let journal = std::fs::read(sandbox.join(JOURNAL)).unwrap();
    holds_none("the journal", &journal, &secrets);
    assert!(memchr::memmem::find(&journal, b"REDACTED_").is_some());
    sandbox.run(["recover", HAR]).expect(0);
    folder_holds_none(&sandbox, &secrets);
    let text = sandbox.read(HAR);
    assert!(text.contains("REDACTED-password-1") && !text.contains("REDACTED_"), "{text}");
}

#[test]
fn held_recording_holds_no_secret() {
    let (sandbox, secrets) = (Sandbox::new(), Secrets::of(7));
    let origin = secrets.origin();
    for ending in [CmdEnd::Clean, CmdEnd::Failed] {
        let rig = setup(&sandbox).to(&origin).globs(["https://api.test/**"]).start(&sandbox).unwrap();
        secrets.visit(&rig.client(Proto::H1));
        let outcome = rig.finish(ending);
        assert_eq!(outcome.held.is_some(), ending == CmdEnd::Failed);
    }
    assert!(sandbox.join("hars/.api.har.held").exists());
    folder_holds_none(&sandbox, &secrets);
}

/// An origin that sends a value in an unsuspicious header and text before the value is known as a secret.
fn early(secrets: &Secrets) -> Origin {
    let (early, own) = (secrets.refresh.clone(), secrets.clone());
    Origin::answering(move |asked| {
        let text = format!("the value is {early}.");
        let page = |mime: &str, body: Vec<u8>| {
            let headers = vec![("content-type", mime.to_owned()), ("x-hint", early.clone())];
            OriginResponse { status: 200, headers, body, ..OriginResponse::default() }
        };
        let encoded = |body: Vec<u8>| {
            let mut page = page("text/plain", body);
            page.headers.push(("content-encoding", "gzip".into()));
            page
        };
        Some(match &*asked.path {
            "/early" => page("text/plain", text.into_bytes()),
            "/early.gz" => encoded(gzip(early.as_bytes())),
            "/early.cut" => encoded([&gzip(text.as_bytes())[..20], text.as_bytes()].concat()),
            "/early.bin" => page("application/octet-stream", vec![0, 1, 2]),
            "/none" => OriginResponse { status: 204, ..OriginResponse::default() },
            _ => return own.answer(asked),
        })
    })
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

/// The text of that response in the fixture.
fn hint(sandbox: &Sandbox) -> String {
    let har = sandbox.har(HAR);
    har["log"]["entries"][0]["response"]["content"]["text"].as_str().unwrap().to_owned()
}

const KNOWN: &str = "the value is REDACTED-refresh_token-1";
const EMBED: [&str; 2] = ["--content", "embed"];

/// Kills a recording after a value became known that was already in the journal.
fn killed(sandbox: &Sandbox, secrets: &Secrets) {
    let origin = early(secrets);
    let server = record(sandbox, &origin, HAR, &EMBED);
    server.client(Proto::H1).get("https://api.test/early");
    secrets.visit(&server.client(Proto::H1));
    server.signal(Signal::SIGKILL);
    server.wait();
}

#[test]
fn value_journalled_before_it_was_known_is_redacted_in_the_fixture() {
    let (sandbox, secrets) = (Sandbox::new(), Secrets::of(7));
    let origin = early(&secrets);
    let server = record(&sandbox, &origin, HAR, &EMBED);
    server.client(Proto::H1).get("https://api.test/early");
    secrets.visit(&server.client(Proto::H1));
    server.stop().expect(0);
    folder_holds_none(&sandbox, &secrets);
    assert!(hint(&sandbox).starts_with(KNOWN), "{}", hint(&sandbox));
}

/// The journal of a killed recording may contain a value that was not known yet. `recover` checks the entries.
#[test]
fn recover_fails_and_names_possible_secrets_of_a_killed_recording() {
    let (sandbox, refresh) = (Sandbox::new(), "q7Zt0WmXv4Lr9KdB2nYcJ8hUeG5sPaF3".to_owned());
    let secrets = Secrets { refresh, ..Secrets::of(7) };
    killed(&sandbox, &secrets);
    let said = sandbox.run(["recover", HAR, "--content", "embed"]).expect(1);
    let said = said.says("that was killed").says("hars/api.har#0").says("x-hint").says("harproxy redact hars/api.har");
    assert!(!said.stderr.contains(&secrets.refresh), "{}", said.stderr);
    assert!(hint(&sandbox).starts_with("the value is"), "{}", hint(&sandbox));
}

#[test]
fn recording_that_recovers_a_killed_one_recommends_check() {
    let (sandbox, secrets) = (Sandbox::new(), Secrets::of(7));
    killed(&sandbox, &secrets);
    record(&sandbox, &early(&secrets), HAR, &EMBED)
        .stop()
        .says("run `harproxy check hars/api.har` before you commit it");
}

#[test]
fn held_recording_holds_no_value_that_became_known_late() {
    let secrets = Secrets::of(7);
    let origin = early(&secrets);
    let [written, recovered] = [CmdEnd::Clean, CmdEnd::Failed].map(|ending| {
        let sandbox = Sandbox::new();
        let start = || setup(&sandbox).to(&origin).globs(["https://api.test/**"]).start(&sandbox).unwrap();
        let first = start();
        first.client(Proto::H1).get("https://api.test/none");
        first.finish(CmdEnd::Clean);
        let rig = start();
        let client = rig.client(Proto::H1);
        for path in ["early", "early.gz", "early.cut", "early.bin"] {
            client.get(&format!("https://api.test/{path}"));
        }
        client.send(
            TestRequest::new("POST", "https://api.test/early")
                .header("x-hint", &secrets.refresh)
                .body(&*secrets.refresh),
        );
        secrets.visit(&client);
        rig.finish(ending);
        if ending == CmdEnd::Failed {
            let gz = gzip(secrets.refresh.as_bytes());
            for (name, held) in files(&sandbox.join("hars/.api.har.held")) {
                holds_none(&name, &held, &secrets);
                assert!(memchr::memmem::find(&held, &gz[10..gz.len() - 8]).is_none(), "{name}, encoded");
            }
            sandbox.run(["recover", HAR]).expect(0);
        }
        folder_holds_none(&sandbox, &secrets);
        let mut har = sandbox.har(HAR);
        let all = har["log"]["entries"].as_array_mut().unwrap().iter_mut();
        all.map(|entry| {
            entry["response"]["headers"].as_array_mut().unwrap().retain(|header| header["name"] != "date");
            json!([entry["request"], entry["response"]])
        })
        .collect::<Vec<_>>()
    });
    assert_eq!(recovered.len(), written.len());
    for (recovered, written) in recovered.iter().zip(&written) {
        assert_eq!(recovered, written);
    }
}

#[test]
fn changed_response_keeps_placeholders_of_other_values() {
    let sandbox = Sandbox::new();
    let run = |run: u64, extra: bool| {
        let secrets = Secrets::of(run);
        let own = secrets.clone();
        let origin = Origin::answering(move |asked| {
            let mut page = own.answer(asked)?;
            if extra && asked.path == "/refresh" {
                page.body = json!({ "new": 1, "access_token": own.second, "token_type": "bearer" }).to_string().into();
            }
            Some(page)
        });
        let server = record(&sandbox, &origin, HAR, &["--content", "embed"]);
        secrets.visit(&server.client(Proto::H1));
        server.stop().expect(0);
        sandbox.read(HAR)
    };
    let (before, after) = (run(7, false), run(99, true));
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let (before, after) = (lines(&before), lines(&after));
    let changed: Vec<&String> = after.iter().filter(|line| !before.contains(line)).collect();
    assert!(changed.iter().all(|line| !line.contains("REDACTED") || line.contains("\\\"new\\\"")), "{changed:#?}");
    assert!(changed.iter().any(|line| line.contains("REDACTED-access_token-2")), "{changed:#?}");
}

#[test]
fn no_redact_stores_values_unchanged() {
    let (sandbox, secrets) = (Sandbox::new(), Secrets::of(7));
    let origin = secrets.origin();
    let server = record(&sandbox, &origin, HAR, &["--content", "embed", "--no-redact"]);
    secrets.visit(&server.client(Proto::H1));
    let said = server.stop().expect(0);
    assert!(sandbox.read(HAR).contains(&secrets.jwt) && !said.stderr.contains("redacted 1"), "{}", said.stderr);
}
