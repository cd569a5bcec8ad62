//! Logins with a right and a wrong password, which a fixture cannot tell apart: in recorded order they replay without a
//! finding, and otherwise they are a guess.

use crate::support::origin::{Origin, OriginResponse};
use crate::support::sandbox::Sandbox;

const RIGHT: &str = "correct-horse-battery";
const WRONG: &str = "guessed-by-a-stranger";

/// A shell command that logs in with these passwords, one after the other.
fn logins(passwords: &[&str]) -> String {
    let login = |password: &&str| {
        format!(r#"curl -s -H 'Content-Type: application/json' -d '{{"password":"{password}"}}' http://api.test/login"#)
    };
    passwords.iter().map(login).collect::<Vec<_>>().join(" && ")
}

fn recorded(passwords: &[&str]) -> Sandbox {
    let origin = Origin::answering(|request| {
        let is_right = String::from_utf8_lossy(&request.body).contains(RIGHT);
        let (status, body) = if is_right { (200, "welcome;") } else { (401, "denied;") };
        Some(OriginResponse { status, body: body.into(), ..OriginResponse::default() })
    });
    let sandbox = Sandbox::new();
    let record = ["record", "-o", "hars/api.har"].map(str::to_owned).into_iter().chain(origin.args());
    let cmd = ["--".to_owned(), "sh".to_owned(), "-c".to_owned(), logins(passwords)];
    sandbox.run(record.chain(cmd).collect::<Vec<_>>()).expect(0);
    sandbox
}

fn replay(sandbox: &Sandbox, passwords: &[&str]) -> crate::support::sandbox::Output {
    let script = logins(passwords);
    sandbox.run(["replay", "hars/api.har", "--report", "report.json", "--", "sh", "-c", &script])
}

/// The number of `ambiguous` findings in the report.
fn ambiguous(sandbox: &Sandbox) -> usize {
    let report = sandbox.har("report.json");
    let findings = report["findings"].as_array().unwrap();
    findings.iter().filter(|finding| finding["kind"] == "ambiguous").count()
}

#[test]
fn logins_in_recorded_order_are_not_ambiguous() {
    let sandbox = recorded(&[RIGHT, WRONG, RIGHT]);
    let output = replay(&sandbox, &[RIGHT, WRONG, RIGHT]).expect(0);
    assert_eq!(output.stdout, "welcome;denied;welcome;");
    assert!(!output.stderr.contains("ambiguous"), "{}", output.stderr);
    assert_eq!(ambiguous(&sandbox), 0);
}

#[test]
fn logins_in_another_order_are_ambiguous() {
    let sandbox = recorded(&[RIGHT, WRONG, RIGHT]);
    replay(&sandbox, &[WRONG, RIGHT, RIGHT]).expect(1).says("ambiguous");
    assert!(ambiguous(&sandbox) > 0);
}

#[test]
fn single_or_repeated_login_is_ambiguous() {
    let sandbox = recorded(&[RIGHT, WRONG]);
    for passwords in [&[WRONG][..], &[RIGHT], &[RIGHT, RIGHT], &[RIGHT, WRONG, WRONG]] {
        replay(&sandbox, passwords).expect(1).says("ambiguous");
        assert!(ambiguous(&sandbox) > 0, "{passwords:?}");
    }
}

#[test]
fn logins_with_another_ignored_value_are_not_ambiguous() {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let script = |passwords: &[&str], first: u64| {
        let login = |(n, password): (u64, &&str)| {
            let body = format!(r#"{{"password":"{password}","ts":{}}}"#, now + first + n);
            format!("curl -s -H 'Content-Type: application/json' -d '{body}' http://api.test/login")
        };
        (0..).zip(passwords).map(login).collect::<Vec<_>>().join(" && ")
    };
    let origin = Origin::answering(|request| {
        let is_right = String::from_utf8_lossy(&request.body).contains(RIGHT);
        Some(OriginResponse { status: if is_right { 200 } else { 401 }, ..OriginResponse::default() })
    });
    let sandbox = Sandbox::new();
    let record = ["record", "-o", "hars/api.har"].map(str::to_owned).into_iter().chain(origin.args());
    let passwords = [WRONG, RIGHT, RIGHT];
    sandbox.run(record.chain(["--", "sh", "-c", &script(&passwords, 1)].map(str::to_owned))).expect(0);
    let args = ["replay", "hars/api.har", "--ignore-body", "$.ts", "--", "sh", "-c"].map(str::to_owned);
    let output = sandbox.run(args.into_iter().chain([script(&passwords, 7)])).expect(0);
    assert!(!output.stderr.contains("ambiguous"), "{}", output.stderr);
}

#[test]
fn known_wrong_password_never_gets_the_answer_of_the_right_one() {
    let sandbox = recorded(&[WRONG, RIGHT]);
    let values = format!("[redact.values]\npassword-1 = \"{WRONG}\"\npassword-2 = \"{RIGHT}\"\n");
    sandbox.write("harproxy.toml", values);
    let output = replay(&sandbox, &[RIGHT, WRONG]).expect(0);
    assert_eq!(output.stdout, "welcome;denied;");
    let script = logins(&[WRONG, WRONG]);
    let output = sandbox.run(["replay", "hars/api.har", "--strict", "--", "sh", "-c", &script]).expect(1).says("miss");
    assert!(!output.stdout.contains("welcome"), "{}", output.stdout);
}
