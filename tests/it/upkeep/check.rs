//! `harproxy check`.

use serde_json::{Value, json};

use super::redact::{SECRETS, Storage, jwt, shapes, write};
use super::{entry, fixture, named, own, tree};
use crate::support::sandbox::{Output, Sandbox};

/// The findings of `check --json` with these options.
fn findings(sandbox: &Sandbox, options: &[&str], status: i32) -> Vec<Value> {
    let output = sandbox.run([&["check", "--json"], options].concat()).expect(status);
    output.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn of_kind<'f>(findings: &'f [Value], kind: &str) -> Vec<&'f Value> {
    findings.iter().filter(|finding| finding["kind"] == kind).collect()
}

/// The hash of a value as `check` prints it.
fn told(value: &str) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(value).iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

fn says(output: &Output, line: &str) {
    assert!(output.stdout.contains(line), "`{line}` is not in\n{}", output.stdout);
}

#[test]
fn recorded_fixtures_have_no_findings() {
    let stage = crate::cli::CliSandbox::new();
    let script = "curl -sS https://api.test/api/json https://api.test/api/users -d a=1 https://api.test/api/gzip \
         -H 'authorization: Bearer s3cret-token-1' -o /dev/null";
    for options in [&["-o", "hars/a.har"][..], &["-o", "hars/b.zip"], &["-o", "hars/c.har", "--content", "embed"]] {
        stage.record(options, &["sh", "-c", script]).expect(0);
    }
    let before = tree(&stage.sandbox.join("hars"));
    let check = stage.sandbox.run(["check"]).expect(0);
    assert_eq!(check.stderr, "");
    let lines: Vec<_> = check.stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{}", check.stdout);
    assert!(lines.iter().all(|line| line.ends_with(" entries, no problems")), "{}", check.stdout);
    assert_eq!(stage.sandbox.run(["check", "-q"]).expect(0).stdout, "");
    stage.sandbox.run(["redact"]).expect(0).says("hars/a.har: nothing to redact");
    assert_eq!(tree(&stage.sandbox.join("hars")), before);
}

#[test]
fn secrets_are_reported_by_entry_line_and_location_without_their_value() {
    for (storage, is_own) in [(Storage::Files, true), (Storage::Inside, false)] {
        let sandbox = Sandbox::new();
        write(&sandbox, storage, is_own);
        let plain = sandbox.run(["check"]).expect(1).says("`harproxy redact`");
        let all = findings(&sandbox, &[], 1);
        for text in [&plain.stdout, &plain.stderr, &json!(all).to_string()] {
            for secret in SECRETS.into_iter().chain(shapes().iter().map(String::as_str)).chain([&*jwt()]) {
                assert!(!text.contains(secret), "{secret} is told: {text}");
            }
        }
        let har = sandbox.read("hars/api.har");
        let secrets = of_kind(&all, "secret");
        let expected = [
            (0, "request header authorization", "authorization", "bearer-s3cret-one"),
            (0, "request header proxy-authorization", "proxy-authorization", "dXNlcjpoZW1saWNo"),
            (0, "request header cookie", "sid", "cookie-s3cret%2Ftwo%2Bx"),
            (0, "request header x-api-key", "x-api-key", "xk-short"),
            (0, "request URL", "token", "query-s3cret-three"),
            (0, "request URL", "userinfo", "userinf0:pass-w0rd"),
            (0, "request body field password", "password", "f0rm-s3cret four"),
            (0, "response header set-cookie", "sid", "set-c00kie-six"),
            (0, "response body $.access_token", "access_token", "acc3ss-token-seven"),
            (0, "response body $.user.password", "password", "n3sted-eight-8"),
            (0, "response body $.secret[0]", "secret", "l1st-nine-99"),
            (0, "response body $.self", "token", "acc3ss-token-seven"),
            (0, "response body $.note", "access_token", "acc3ss-token-seven"),
            (0, "response body $.note", "github-token", &shapes()[0]),
            (0, "response body $.id", "jwt", &jwt()),
            (0, "response trailer x-auth-token", "x-auth-token", "trailer-key-ten10"),
            (0, "request header x-api-key", "x-api-key", "hint-key-thirteen"),
            (0, "_webSocketMessages[0].data", "password", "ws-pw-fourteen14"),
            (0, "_initiator.url", "token", "initiator-token-15"),
            (0, "_initiator.stack[0]", "stripe-key", &shapes()[1]),
            (1, "response body line 1", "password", "event-pw-eleven"),
            (2, "response body line 4", "password", "multip4rt-twelve"),
        ];
        for (entry, place, name, secret) in expected {
            let is_it = |finding: &&&Value| {
                finding["entry"] == entry
                    && finding["place"] == place
                    && finding["name"] == name
                    && finding["sha256"] == told(secret)
            };
            let Some(finding) = secrets.iter().find(is_it) else { panic!("{place}: {name}: {}", json!(secrets)) };
            assert_eq!((&finding["fixture"], &finding["severity"]), (&json!("hars/api.har"), &json!("problem")));
            let line = usize::try_from(finding["line"].as_u64().unwrap()).unwrap();
            let text = har.lines().nth(line - 1).unwrap();
            assert!(
                ["\"value\"", "\"url\"", "\"text\"", "\"_file\"", "\"data\"", "sk_live"]
                    .iter()
                    .any(|w| text.contains(w)),
                "{text}"
            );
            says(&plain, &format!("hars/api.har#{entry} (line {line}): problem: {place} holds "));
        }
        let around = secrets.iter().find(|finding| finding["entry"].is_null()).unwrap();
        assert_eq!((&around["place"], &around["name"]), (&json!("pages[0].title"), &json!("token")));
        let [opaque] = of_kind(&all, "opaque")[..] else { panic!("{all:?}") };
        assert_eq!((&opaque["entry"], &opaque["severity"]), (&json!(4), &json!("warning")));
        assert!(opaque["message"].as_str().unwrap().contains("image/png"));
    }
}

#[test]
fn listed_hashes_allow_their_values() {
    let sandbox = Sandbox::new();
    let mut one = entry("/a?token=well-known-value", json!({"size": 0, "mimeType": ""}));
    one["request"]["headers"] = json!([{"name": "authorization", "value": "Bearer other-value-2"}]);
    sandbox.write("hars/api.har", own(&[one]));
    assert_eq!(findings(&sandbox, &[], 1).len(), 2);
    let allow = |list: String| sandbox.write("harproxy.toml", format!("[check]\nallow = [{list}]\n"));
    allow(format!("'sha256:{}'", told("well-known-value")));
    let [left] = &findings(&sandbox, &[], 1)[..] else { panic!() };
    assert_eq!(left["name"], "authorization");
    allow(format!("'{}', '{}'", told("well-known-value").to_uppercase(), told("other-value-2")));
    assert_eq!(findings(&sandbox, &[], 0).len(), 0);
    allow("'12'".to_owned());
    sandbox.run(["check"]).expect(2).says("12 hex digits");
}

#[test]
fn payloads_that_contradict_their_entry_are_findings() {
    let sandbox = Sandbox::new();
    let [user, text] = fixture(&sandbox);
    let [edited] = &findings(&sandbox, &[], 0)[..] else { panic!() };
    assert_eq!(
        (&edited["kind"], &edited["severity"], &edited["entry"]),
        (&json!("size"), &json!("warning"), &json!(2))
    );
    let good = sandbox.read("hars/api.har").replace("\"size\": 5", "\"size\": 7");
    sandbox.write("hars/api.har", &good);
    assert_eq!(findings(&sandbox, &[], 0).len(), 0);
    let cases = [
        (good.replace(&text, "0123456789abcdef.txt"), "payload", 1, "does not exist"),
        (good.replace(&format!("api/{text}"), "../x.txt"), "payload", 1, "leaves the folder"),
        (good.replace("\"size\": 6", "\"size\": 7"), "size", 1, "says 7 bytes"),
        (
            good.replace("\"text\": \"Grüße\"", "\"text\": \"no base64!\", \"encoding\": \"base64\""),
            "payload",
            2,
            "not valid base64",
        ),
    ];
    for (har, kind, entry, says) in cases {
        sandbox.write("hars/api.har", &har);
        let found = findings(&sandbox, &[], 1);
        let of_kind = of_kind(&found, kind);
        assert_eq!(of_kind.len(), 1, "{says}: {found:?}");
        assert_eq!(of_kind[0]["entry"], entry);
        assert!(of_kind[0]["message"].as_str().unwrap().contains(says), "{found:?}");
    }
    sandbox.write("hars/api.har", &good);
    sandbox.write("hars/api/0123456789abcdef.json", "{}");
    sandbox.write("hars/api/notes.md", "not ours");
    let [found] = &findings(&sandbox, &[], 1)[..] else { panic!() };
    assert_eq!((&found["kind"], &found["entry"]), (&json!("unreferenced"), &Value::Null));
    assert!(found["message"].as_str().unwrap().contains("api/0123456789abcdef.json"));
    std::fs::remove_file(sandbox.join("hars/api/0123456789abcdef.json")).unwrap();

    sandbox.write(&format!("hars/api/{user}"), "{\n  \"name\": \"Grace\"\n}\n");
    let [found] = &findings(&sandbox, &[], 0)[..] else { panic!() };
    assert_eq!((&found["kind"], &found["severity"]), (&json!("edited"), &json!("warning")));
    sandbox.run(["fmt"]).expect(0);
    assert_eq!(findings(&sandbox, &[], 0).len(), 0);
}

#[cfg(unix)]
#[test]
fn payload_behind_a_symbolic_link_is_refused() {
    let sandbox = Sandbox::new();
    let [_, text] = fixture(&sandbox);
    std::fs::remove_file(sandbox.join(format!("hars/api/{text}"))).unwrap();
    sandbox.write("elsewhere", "hello\n");
    std::os::unix::fs::symlink(sandbox.join("elsewhere"), sandbox.join(format!("hars/api/{text}"))).unwrap();
    let found = findings(&sandbox, &[], 1);
    assert!(found[0]["message"].as_str().unwrap().contains("passes through a link"), "{found:?}");
    assert_eq!(found[0]["kind"], "payload");
}

#[test]
fn warnings_alone_do_not_fail() {
    let sandbox = Sandbox::new();
    let random = "q7Lx0PzR4vTn8KcWbY2mJd6HsF1gAe5U";
    let body = json!({"apiv": random, "sha": "da39a3ee5e6b4b0d3255bfef95601890afd80709"}).to_string();
    let cut = json!({"size": body.len(), "mimeType": "application/json", "text": body,
        "_truncated": {"reason": "client-left", "kept": body.len()}});
    sandbox.write("hars/api.har", own(&[entry("/a", cut)]).replace("\"time\": 12.5", "\"time\":   12.5"));
    let found = findings(&sandbox, &["--max-age", "30d"], 0);
    let kinds: Vec<_> = found.iter().map(|finding| finding["kind"].as_str().unwrap()).collect();
    for kind in ["truncated", "entropy", "stale", "form"] {
        assert!(kinds.contains(&kind), "{kind}: {found:?}");
    }
    let [entropy] = of_kind(&found, "entropy")[..] else { panic!("{found:?}") };
    assert_eq!((&entropy["place"], &entropy["sha256"]), (&json!("response body $.apiv"), &json!(told(random))));
    assert!(found.iter().all(|finding| finding["severity"] == "warning"));
    let check = sandbox.run(["check"]).expect(0);
    says(&check, "hars/api.har#0 (line ");
    says(&check, "hars/api.har: 1 entry, 3 warnings");
    assert!(!check.stdout.contains("stale") && !check.stdout.contains(random));
    assert_eq!(sandbox.run(["check", "-q"]).expect(0).stdout, "");
}

#[test]
fn malformed_entries_are_findings_and_unreadable_fixtures_are_listed_last() {
    let sandbox = Sandbox::new();
    let good = own(&[entry("/x", json!({"size": 0, "mimeType": ""}))]);
    let at = good.lines().position(|line| line.contains("\"method\"")).unwrap();
    let lines: Vec<_> = good.lines().collect();
    let conflict = [&lines[..at], &["<<<<<<< HEAD"], &lines[at..], &["=======", ">>>>>>> theirs"]].concat().join("\n");
    sandbox.write("hars/a.har", conflict);
    sandbox.write("hars/b.har", &good[..good.len() / 2]);
    sandbox.write("hars/c.har", own(&[json!({"request": {}, "response": {}}), json!(null)]));
    sandbox.write("hars/d.har", &good);
    sandbox.write("hars/e.har", "{\"log\": {}}");
    let check = sandbox.run(["check"]).expect(1);
    says(&check, &format!("hars/a.har:{}: problem: unresolved git conflict", at + 1));
    says(&check, "hars/b.har:");
    says(&check, "hars/c.har#0 (line ");
    says(&check, "hars/c.har#1 (line ");
    says(&check, "hars/c.har: 2 entries, 2 problems");
    says(&check, "hars/d.har: 1 entry, no problems");
    says(&check, "hars/e.har: 0 entries, 1 problem");
    let check = sandbox.run(["check", "gone.har", "hars/d.har"]).expect(2).says("gone.har");
    says(&check, "hars/d.har: 1 entry, no problems");
    let quiet = sandbox.run(["check", "-q", "hars/d.har", "hars/c.har"]).expect(1);
    assert_eq!(quiet.stdout.lines().count(), 2, "{}", quiet.stdout);
}

#[test]
fn archives_compressed_and_foreign_hars_are_checked() {
    let sandbox = Sandbox::new();
    write(&sandbox, Storage::Files, true);
    sandbox.run(["pack", "hars/api.har", "-o", "other/api.zip"]).expect(0);
    let [har, zip] = ["hars", "other"].map(|folder| {
        let mut found = findings(&sandbox, &[folder], 1);
        found.iter_mut().for_each(|finding| finding["fixture"] = json!(null));
        found.retain(|finding| finding["kind"] == "secret");
        found
    });
    assert_eq!(har, zip);
    for name in ["recorded/minimal-embed/rec.har.gz", "recorded/attach-full-zip/rec.zip"] {
        let path = crate::support::repo(&format!("tests/corpus/{name}"));
        let check = sandbox.run(["check", path.to_str().unwrap()]);
        assert!(check.status < 2 && !check.stderr.contains("panicked"), "{check:?}");
    }
}

#[test]
fn notes_of_the_reader_are_printed_on_request() {
    let sandbox = Sandbox::new();
    let lost = json!({"size": 4, "mimeType": "text/plain", "text": "a\u{fffd}b"});
    let mut har: Value = serde_json::from_str(&own(&[entry("/a", lost)])).unwrap();
    har["log"].as_object_mut().unwrap().shift_remove("_harproxy");
    sandbox.write("hars/api.har", har.to_string());
    assert_eq!(sandbox.run(["check"]).expect(0).stdout, "hars/api.har: 1 entry, no problems\n");
    let check = sandbox.run(["check", "-v"]).expect(0);
    says(&check, "note: the response body has U+FFFD");
    says(&check, "hars/api.har: 1 entry, 1 note");
}

#[test]
fn names_that_only_resemble_secrets_are_not_findings() {
    let sandbox = Sandbox::new();
    let body =
        json!({"max_tokens": 5, "next_token": "abcdefgh", "password": "", "token": null, "pageToken": "x"}).to_string();
    let file = named(body.as_bytes(), "txt");
    sandbox.write(&format!("hars/api/{file}"), &body);
    let content = json!({"size": body.len(), "mimeType": "application/json", "_file": format!("api/{file}")});
    sandbox.write("hars/api.har", own(&[entry("/a?page_token=abc", content)]));
    assert_eq!(findings(&sandbox, &[], 0).len(), 0);
}
