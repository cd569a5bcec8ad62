//! Sessions of tests: CMD names the test of a client on the control socket, and each test gets its own answers.

use std::io::{BufRead, Write};
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

use crate::replay::stage::{own, text};
use crate::support::origin::{Origin, OriginResponse};
use crate::support::sandbox::{Output, Sandbox};

const HAR: &str = "hars/api.har";

/// The client of the tests. `name(TEST)` names the test of the client `gw0`, `get(PATH)` returns the answer of the API,
/// and `control(METHOD, PATH, PAYLOAD)` asks the control socket.
const CLIENT: &str = r#"
import http.client, json, os, socket, sys, urllib.error, urllib.parse, urllib.request

class Control(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(os.environ["HARPROXY_RUN_CONTROL"])

def control(method, path, payload=None):
    connection = Control("localhost")
    connection.request(method, path, None if payload is None else json.dumps(payload))
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())

def name(test, client="gw0"):
    status, answer = control("POST", "/sessions", {"client": client, "name": test})
    assert status == 200, answer

proxy = os.environ["HARPROXY_RUN_PROXY"].replace("//", "//gw0:x@")
opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": proxy}))

def get(path):
    try:
        return opener.open("http://api.test" + path).read().decode()
    except urllib.error.HTTPError as error:
        return str(error.code)
"#;

/// An API that counts its requests.
fn origin() -> Origin {
    let requests = AtomicU64::new(0);
    Origin::answering(move |_| {
        let body = format!("answer {}", requests.fetch_add(1, Ordering::Relaxed)).into_bytes();
        Some(OriginResponse { status: 200, body, ..OriginResponse::default() })
    })
}

fn has_python() -> bool {
    let found = std::process::Command::new("python3").arg("--version").output().is_ok();
    if !found {
        let _ = writeln!(std::io::stderr(), "skipped: python3 is not installed");
    }
    found
}

/// Runs a script of the client under harproxy.
fn run(sandbox: &Sandbox, args: &[&str], script: &str) -> Output {
    sandbox.write("client.py", format!("{CLIENT}{script}"));
    let command = ["--report", "report.json", "--", "python3", "client.py"];
    sandbox.run(args.iter().copied().chain(command))
}

/// Records two tests with the same requests.
fn record(sandbox: &Sandbox, origin: &Origin) {
    let script = r#"
print(get("/setup"))
for test in ["test_a.py::one", "test_a.py::two"]:
    name(test)
    print(get("/jobs"), get("/other"), get("/jobs"))
"#;
    let args: Vec<String> = ["record", "-o", HAR].map(String::from).into_iter().chain(origin.args()).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let output = run(sandbox, &args, script).expect(0);
    let lines: Vec<&str> = output.stdout.lines().collect();
    assert_eq!(lines, ["answer 0", "answer 1 answer 2 answer 3", "answer 4 answer 5 answer 6"]);
    let har = sandbox.har(HAR);
    let sessions = har["log"]["entries"].as_array().unwrap().iter().map(|entry| &entry["_harproxy"]["session"]);
    let sessions: Vec<Option<&str>> = sessions.map(Value::as_str).collect();
    let (one, two) = (Some("test_a.py::one"), Some("test_a.py::two"));
    assert_eq!(sessions, [None, one, one, one, two, two, two]);
}

#[test]
fn tests_get_their_own_answers_alone_and_in_any_order() {
    if !has_python() {
        return;
    }
    let (sandbox, origin) = (Sandbox::new(), origin());
    record(&sandbox, &origin);
    origin.stop();
    let one = r#"name("test_a.py::one"); print(get("/jobs"), get("/other"), get("/jobs"))"#;
    let two = r#"name("test_a.py::two"); print(get("/jobs"), get("/other"), get("/jobs"))"#;
    let (first, second) = ("answer 1 answer 2 answer 3", "answer 4 answer 5 answer 6");
    for (script, lines) in [
        (format!("{two}\n"), vec![second]),
        (format!("{two}\n{one}\n"), vec![second, first]),
        // A test that is repeated begins anew.
        (format!("{one}\n{one}\n{two}\n"), vec![first, first, second]),
        // The requests before it do not change its answers.
        (format!("name('other'); get('/setup')\n{two}\nprint(get('/setup'))\n"), vec![second, "answer 0"]),
    ] {
        let output = run(&sandbox, &["replay", HAR, "--fail-on", "+session-fallback"], &script).expect(0);
        assert_eq!(output.stdout.lines().collect::<Vec<_>>(), lines, "{script}");
        let report = sandbox.har("report.json");
        let sessions: Vec<_> = report["requests"].as_array().unwrap().iter().map(|row| &row["session"]).collect();
        assert!(sessions.contains(&&Value::from("test_a.py::two")), "{sessions:?}");
    }
}

#[test]
fn recording_keeps_the_last_run_of_a_test() {
    if !has_python() {
        return;
    }
    let (sandbox, origin) = (Sandbox::new(), origin());
    let one = r#"name("test_a.py::one"); print(get("/jobs"), get("/jobs"))"#;
    let two = r#"name("test_a.py::two"); print(get("/jobs"))"#;
    let args: Vec<String> = ["record", "-o", HAR].map(String::from).into_iter().chain(origin.args()).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    // The first attempt of a flaky test has another request, and the last one was retried beside another test.
    let script = format!("name('test_a.py::one'); get('/jobs'); get('/failed')\n{two}\n{one}\n");
    let output = run(&sandbox, &args, &script).expect(0);
    assert_eq!(output.stdout, "answer 2\nanswer 3 answer 4\n");
    assert!(output.stderr.contains("3 added; 2 left out, whose test ran again"), "{}", output.stderr);
    origin.stop();
    let output = run(&sandbox, &["replay", HAR, "--strict"], &format!("{one}\n{two}\n")).expect(0);
    assert_eq!(output.stdout, "answer 3 answer 4\nanswer 2\n");
}

#[test]
fn workers_run_their_tests_at_the_same_time() {
    if !has_python() {
        return;
    }
    let (sandbox, origin) = (Sandbox::new(), origin());
    record(&sandbox, &origin);
    let script = r#"
import threading
barrier = threading.Barrier(2)
def work(client, test, told):
    name(test, client)
    proxy = os.environ["HARPROXY_RUN_PROXY"].replace("//", f"//{client}:x@")
    own = urllib.request.build_opener(urllib.request.ProxyHandler({"http": proxy}))
    for path in ["/jobs", "/other", "/jobs"]:
        barrier.wait()
        told.append(own.open("http://api.test" + path).read().decode())
one, two = [], []
threads = [threading.Thread(target=work, args=work_of) for work_of in
           [("gw0", "test_a.py::one", one), ("gw1", "test_a.py::two", two)]]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(*one)
print(*two)
"#;
    let output = run(&sandbox, &["replay", HAR], script).expect(0);
    assert_eq!(output.stdout, "answer 1 answer 2 answer 3\nanswer 4 answer 5 answer 6\n");
}

#[test]
fn answers_of_other_tests_and_misses_are_told_with_the_test() {
    if !has_python() {
        return;
    }
    let (sandbox, origin) = (Sandbox::new(), origin());
    record(&sandbox, &origin);
    let script = r#"
name("test_a.py::new")
print(get("/jobs"), get("/none"))
status, told = control("GET", "/findings?session=" + urllib.parse.quote("test_a.py::new"))
print(status, *[finding["kind"] for finding in told["findings"]])
print(control("GET", "/findings?session=other")[1])
"#;
    let output = run(&sandbox, &["replay", HAR], script).expect(1);
    let lines: Vec<&str> = output.stdout.lines().collect();
    assert_eq!(lines, ["answer 1 501", "200 session-fallback miss", "{'findings': []}"]);
    let output = output.says("! session-fallback: GET http://api.test/jobs").says("that of `test_a.py::one`");
    let output = output.says("test: test_a.py::new");
    assert!(!output.stderr.contains("✗ session-fallback"), "{}", output.stderr);
    let report = sandbox.har("report.json");
    let findings = report["findings"].as_array().unwrap();
    assert!(findings.iter().take(2).all(|finding| finding["session"] == "test_a.py::new"), "{findings:?}");
    run(&sandbox, &["replay", HAR, "--fail-on", "+session-fallback"], "name('new'); get('/jobs')").expect(1);
}

#[test]
fn recording_one_test_again_changes_its_entries_only() {
    if !has_python() {
        return;
    }
    let (sandbox, origin) = (Sandbox::new(), origin());
    record(&sandbox, &origin);
    let args: Vec<String> = ["record", "-o", HAR].map(String::from).into_iter().chain(origin.args()).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let script = r#"name("test_a.py::two"); print(get("/jobs"), get("/other"), get("/jobs"))"#;
    run(&sandbox, &args, script).expect(0).says("3 changed");
    let script = r#"
for test in ["test_a.py::one", "test_a.py::two"]:
    name(test)
    print(get("/jobs"), get("/other"), get("/jobs"))
"#;
    let output = run(&sandbox, &["replay", HAR], script).expect(0);
    assert_eq!(output.stdout, "answer 1 answer 2 answer 3\nanswer 7 answer 8 answer 9\n");
}

/// Without sessions, a test that runs alone gets the answers of the tests before it.
#[test]
fn failed_run_says_that_answers_came_from_an_earlier_part_of_the_recording() {
    if !has_python() {
        return;
    }
    let (sandbox, origin) = (Sandbox::new(), origin());
    record(&sandbox, &origin);
    let script = "get('/setup'), get('/other'), get('/jobs')\nsys.exit(1)";
    let output = run(&sandbox, &["replay", HAR], script).expect(1);
    output.says("! out-of-sequence: GET http://api.test/jobs").says("name each test");
    let output = run(&sandbox, &["replay", HAR], "get('/setup'), get('/other'), get('/jobs')").expect(0);
    assert!(!output.stderr.contains("out-of-sequence"), "{}", output.stderr);
}

#[test]
fn control_socket_explains_requests_that_it_refuses() {
    if !has_python() {
        return;
    }
    let (sandbox, origin) = (Sandbox::new(), origin());
    record(&sandbox, &origin);
    let script = r#"
name("one", "gw1")
for method, path, payload in [
    ("POST", "/sessions", {"client": "gw0", "name": "one"}),
    ("POST", "/sessions", {"client": "gw0", "name": ""}),
    ("POST", "/sessions", {"client": "gw0", "name": "x" * 5000}),
    ("POST", "/sessions", {"client": "gw0", "name": "x" * 70000}),
    ("POST", "/sessions", {"client": "gw0", "test": "x"}),
    ("POST", "/sessions", ["x"]),
    ("GET", "/sessions", None),
    ("GET", "/findings", None),
    ("GET", "/", None),
]:
    status, problem = control(method, path, payload)
    print(status, problem["detail"])
odd = "tests/ü [\n\x1b\"' 💥/::].py"
name(odd)
print(get("/setup"))
status, told = control("GET", "/findings?session=" + urllib.parse.quote(odd))
name(None)
print(control("POST", "/sessions", {})[0])
"#;
    let output = run(&sandbox, &["replay", HAR], script).expect(0);
    let lines: Vec<&str> = output.stdout.lines().collect();
    let statuses: Vec<&str> = lines.iter().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(statuses, ["409", "400", "400", "400", "400", "400", "405", "400", "404", "answer", "200"]);
    assert!(lines[0].contains("another client runs a test with this name"), "{}", lines[0]);
    assert!(std::io::Cursor::new(&output.stderr).lines().all(|line| !line.unwrap().contains('\u{1b}')));
}

/// A fixture with one entry for each of these tests.
fn recorded_by(tests: &[&str]) -> String {
    let entries: Vec<Value> = tests
        .iter()
        .map(|test| {
            let mut entry = text("GET http://api.test/jobs", "queued");
            entry["_harproxy"] = serde_json::json!({ "session": test });
            entry
        })
        .collect();
    own(&["http://api.test/**"], &entries).to_string()
}

#[test]
fn merge_and_diff_keep_the_entries_of_tests_apart() {
    let sandbox = Sandbox::new();
    sandbox.write("base.har", recorded_by(&["one"]));
    sandbox.write("ours.har", recorded_by(&["one", "two"]));
    sandbox.write("theirs.har", recorded_by(&["one", "three"]));
    sandbox.run(["merge", "--driver", "base.har", "ours.har", "theirs.har", "api.har"]).expect(0);
    let har = sandbox.har("ours.har");
    let sessions: Vec<&str> = har["log"]["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["_harproxy"]["session"].as_str().unwrap())
        .collect();
    assert_eq!(sessions, ["one", "two", "three"]);
    let output = sandbox.run(["diff", "base.har", "ours.har"]).expect(1);
    assert!(output.stdout.contains("http://api.test/jobs"), "{}", output.stdout);
    sandbox.run(["diff", "base.har", "base.har"]).expect(0);
}
