//! `record --twice`: differences between two runs become lines of the policy, and the next recording changes nothing.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::support::origin::{Origin, OriginResponse};
use crate::support::sandbox::{Output, Sandbox};

/// An API that numbers its responses and echoes requests.
fn origin() -> Origin {
    let answers = AtomicU64::new(7_000);
    Origin::answering(move |asked| {
        let n = answers.fetch_add(1, Ordering::Relaxed);
        let path = asked.path.split('?').next().unwrap_or_default();
        let json = |text: String| OriginResponse {
            status: 200,
            headers: vec![("content-type", "application/json".to_owned()), ("x-node", format!("node-{n}"))],
            body: text.into_bytes(),
            trailers: Vec::new(),
        };
        if let Some(id) = path.strip_prefix("/orders/") {
            return Some(json(format!(r#"{{"id":"{id}","at":{n},"total":12}}"#)));
        }
        if path == "/pay" {
            let sent: serde_json::Value = serde_json::from_slice(&asked.body).ok()?;
            return Some(json(format!(r#"{{"reference":{},"amount":{}}}"#, sent["nonce"], sent["amount"])));
        }
        Some(json(r#"{"fixed":true}"#.to_owned()))
    })
}

/// A test suite with new ids, times and nonces in each run.
const CMD: &str = r#"
n=$(cat count 2>/dev/null || echo 100); echo $((n + 1)) > count
set -e
curl -sf "https://api.test/search?q=x&ts=$n" >/dev/null
curl -sf "https://api.test/orders/order-$n" >/dev/null
curl -sf -H 'content-type: application/json' -d "{\"nonce\":\"nonce-$n\",\"amount\":5}" https://api.test/pay >/dev/null
"#;

fn record(sandbox: &Sandbox, origin: &Origin, options: &[&str]) -> Output {
    let args = ["record", "-o", "hars/api.har"].iter().chain(options).map(|arg| (*arg).to_owned());
    sandbox.run(args.chain(origin.args()).chain(["--", "sh", "-c", CMD].map(str::to_owned)))
}

const LINES: &str = r#"[volatile]
headers = ["x-node"]
json = ["$.at", "$.id", "$.reference"]

[[match]]
glob = "https://api.test/search*"
ignore-query = ["ts"]

[[match]]
glob = "https://api.test/orders/*"
path = "/orders/{id}"
echo = ["path:{id}"]

[[match]]
glob = "https://api.test/pay"
ignore-body = ["$.nonce"]
echo = ["json:$.nonce"]
"#;

#[test]
fn differences_are_proposed_and_written_only_with_write_policy() {
    let (sandbox, origin) = (Sandbox::new(), origin());
    let told = record(&sandbox, &origin, &["--twice"]).expect(0).stderr;
    assert!(told.contains(LINES), "{told}");
    assert!(told.contains("the second run changes nothing"), "{told}");
    assert!(!sandbox.join("harproxy.toml").exists());
    assert_eq!(sandbox.har("hars/api.har")["log"]["entries"].as_array().unwrap().len(), 3, "one run's entries");
}

#[test]
fn third_run_is_quiet_with_the_written_policy() {
    let (sandbox, origin) = (Sandbox::new(), origin());
    sandbox.write("harproxy.toml", "# ours\n[record]\njson-layout = \"indent\"\n\n");
    record(&sandbox, &origin, &["--twice", "--write-policy"]).expect(0);
    let policy = sandbox.read("harproxy.toml");
    assert_eq!(policy, format!("# ours\n[record]\njson-layout = \"indent\"\n\n{LINES}"));
    let fixture = sandbox.read("hars/api.har");

    record(&sandbox, &origin, &[]).expect(0).says("3 unchanged");
    assert_eq!(sandbox.read("hars/api.har"), fixture);
    let again = record(&sandbox, &origin, &["--twice", "--write-policy"]).expect(0).stderr;
    assert!(again.contains("the second run changes nothing"), "{again}");
    assert_eq!((sandbox.read("harproxy.toml"), sandbox.read("hars/api.har")), (policy, fixture));

    drop(origin);
    let check = format!(
        "{CMD}\ncurl -sf https://api.test/orders/order-999 | grep -q order-999\n\
         curl -sf -H 'content-type: application/json' -d '{{\"nonce\":\"mine-1234\",\"amount\":5}}' https://api.test/pay | grep -q mine-1234"
    );
    sandbox.run(["replay", "hars/api.har", "--", "sh", "-c", &check]).expect(0);
}

#[test]
fn failed_second_run_proposes_nothing() {
    let (sandbox, origin) = (Sandbox::new(), origin());
    let cmd = "[ -e ran ] && exit 5; touch ran; curl -sf https://api.test/x >/dev/null";
    let args = ["record", "-o", "hars/api.har", "--twice", "--write-policy"].map(str::to_owned);
    let run =
        || sandbox.run(args.iter().cloned().chain(origin.args()).chain(["--", "sh", "-c", cmd].map(str::to_owned)));
    let told = run().expect(5).stderr;
    assert!(told.contains("CMD failed in its second run"), "{told}");
    assert!(!sandbox.join("harproxy.toml").exists());
}

/// The policy has a list in one line, into which no line can be inserted.
#[test]
fn recording_is_kept_when_the_policy_cannot_be_written() {
    let (sandbox, origin) = (Sandbox::new(), origin());
    let config = "match = [{ glob = \"**/else\", body = \"json\" }]\n";
    sandbox.write("harproxy.toml", config);
    let told = record(&sandbox, &origin, &["--twice", "--write-policy", "--report", "report.json"]).expect(3).stderr;
    assert!(told.contains("`match`") && told.contains("3 added"), "{told}");
    assert_eq!(sandbox.har("hars/api.har")["log"]["entries"].as_array().unwrap().len(), 3);
    assert_eq!(sandbox.har("report.json")["source"], "harproxy");
    assert_eq!(sandbox.read("harproxy.toml"), config);

    let told = record(&sandbox, &origin, &["--twice", "--write-policy"]).expect(3).stderr;
    assert!(told.contains("harproxy recover hars/api.har"), "{told}");
}

#[test]
fn recording_is_kept_when_cmd_cannot_be_started_again() {
    let (sandbox, origin) = (Sandbox::new(), origin());
    sandbox.write("once", "#!/bin/sh\ncurl -sf https://api.test/x >/dev/null && rm \"$0\"\n");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(sandbox.join("once"), mode).unwrap();
    let args = ["record", "-o", "hars/api.har", "--twice"].map(str::to_owned);
    let args = args.into_iter().chain(origin.args()).chain(["--", "./once"].map(str::to_owned));
    sandbox.run(args).expect(127).says("1 added");
}

/// Secrets differ in each run, but are not proposed and not printed.
#[test]
fn changed_secrets_are_not_proposed() {
    let sandbox = Sandbox::new();
    let answers = AtomicU64::new(0);
    let origin = Origin::answering(move |_| {
        let n = answers.fetch_add(1, Ordering::Relaxed);
        let cookie = ("set-cookie", format!("sid=answered-secret-{n}; Path=/"));
        let body = format!(r#"{{"access_token":"answered-secret-{n}","kept":1}}"#).into_bytes();
        Some(OriginResponse {
            status: 200,
            headers: vec![("content-type", "application/json".to_owned()), cookie],
            body,
            trailers: Vec::new(),
        })
    });
    let cmd = "curl -sf \"https://api.test/login?key=sent-secret-$$\" -d \"password=sent-secret-$$\" >/dev/null";
    let args = ["record", "-o", "hars/api.har", "-vvv", "--twice", "--write-policy"].map(str::to_owned);
    let run = sandbox.run(args.into_iter().chain(origin.args()).chain(["--", "sh", "-c", cmd].map(str::to_owned)));
    let told = run.expect(0).says("nothing to learn").stderr;
    assert!(!told.contains("answered-secret") && !sandbox.join("harproxy.toml").exists(), "{told}");
    let next = told.rsplit_once("Next:").unwrap().0;
    assert!(!next.contains("sent-secret"), "{told}");
}

/// For each form of a fixture, with and without an existing one.
#[test]
fn twice_works_for_every_form_of_fixture() {
    for (output, options) in
        [("hars/api.zip", &[][..]), ("hars/api.har", &["--content", "embed"]), ("hars/api.har", &["--content", "omit"])]
    {
        let (sandbox, origin) = (Sandbox::new(), origin());
        let run = || {
            let args = ["record", "-o", output, "--twice", "--write-policy"].into_iter().chain(options.iter().copied());
            let args = args.map(str::to_owned).chain(origin.args());
            sandbox.run(args.chain(["--", "sh", "-c", CMD].map(str::to_owned))).expect(0)
        };
        run().says("3 added");
        let before = std::fs::read(sandbox.join(output)).unwrap();
        run().says("3 unchanged").says("the second run changes nothing");
        assert_eq!(std::fs::read(sandbox.join(output)).unwrap(), before, "{output} {options:?}");
    }
}

#[test]
fn twice_requires_a_cmd() {
    let sandbox = Sandbox::new();
    sandbox.run(["record", "--twice"]).expect(2).says("CMD");
    sandbox.run(["record", "--write-policy", "--", "true"]).expect(2).says("--twice");
}
