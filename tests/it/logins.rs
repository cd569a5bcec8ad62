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
