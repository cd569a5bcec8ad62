//! Servers of this machine: the program under test is not recorded and not replayed unless an option names its origin.

use serde_json::Value;

use crate::support::origin::{Origin, OriginResponse};
use crate::support::sandbox::{Output, Sandbox};

/// The test of a project: starts the application on a port that the system assigns. Its code calls the API, and the
/// test demands the total that the API's items have.
const TEST: &str = r#"
import http.server, json, os, sys, threading, urllib.request
API = os.environ["API"]
class App(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        items = json.load(urllib.request.urlopen(API + "/api/items"))
        body = json.dumps({"total": 0 if os.environ.get("BROKEN") else sum(items)}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), App)
threading.Thread(target=server.serve_forever, daemon=True).start()
answer = json.load(urllib.request.urlopen("http://127.0.0.1:%d/api/total" % server.server_port))
sys.exit(0 if answer == {"total": 6} else 9)
"#;

fn api() -> Origin {
    Origin::answering(|_| {
        Some(OriginResponse { status: 200, body: b"[1, 2, 3]".to_vec(), ..OriginResponse::default() })
    })
}

/// Runs the project's test with the API at this URL.
fn run_test(sandbox: &Sandbox, options: &[&str], api: &str, is_broken: bool) -> Output {
    let mut command = sandbox.command(options.iter().chain(&["--", "python3", "test.py"]));
    command.env("API", api).env("PYTHONDONTWRITEBYTECODE", "1");
    if is_broken {
        command.env("BROKEN", "1");
    }
    crate::support::sandbox::finish(command.output().unwrap())
}

fn project() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("test.py", TEST);
    sandbox
}

fn urls(sandbox: &Sandbox) -> Vec<String> {
    let har = sandbox.har("hars/api.har");
    let entries = har["log"]["entries"].as_array().unwrap();
    entries.iter().map(|entry| entry["request"]["url"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn application_under_test_is_not_recorded_and_its_broken_code_fails_the_replay() {
    for glob in [None, Some("**/api/**")] {
        let (sandbox, origin) = (project(), api());
        let map = format!("api.test:80={}", origin.http);
        let mut record = vec!["record", "-o", "hars/api.har", "--map", &map, "--report", "report.json"];
        record.extend(glob.iter().flat_map(|glob| ["-g", glob]));
        let output = run_test(&sandbox, &record, "http://api.test", false).expect(0);
        let path = if glob.is_some() { "api/**" } else { "**" };
        output.says("1 local, not recorded").says(&format!("-g 'http://127.0.0.1:*/{path}'"));
        assert_eq!(urls(&sandbox), ["http://api.test/api/items"]);
        let report: Value = serde_json::from_str(&sandbox.read("report.json")).unwrap();
        assert_eq!((&report["counts"]["local"], &report["counts"]["recorded"]), (&1.into(), &1.into()));

        drop(origin);
        run_test(&sandbox, &["replay", "hars/api.har"], "http://api.test", false).expect(0).says("1 served, 1 local");
        run_test(&sandbox, &["replay", "hars/api.har"], "http://api.test", true).expect(9);
    }
}

#[test]
fn api_on_this_machine_is_recorded_when_a_glob_names_its_origin() {
    let (sandbox, origin) = (project(), api());
    let api = format!("http://{}", origin.http);
    let record = ["record", "-o", "hars/api.har", "-g", &format!("{api}/**")];
    run_test(&sandbox, &record, &api, false).expect(0).says("1 local, not recorded\n");
    assert_eq!(urls(&sandbox), [format!("{api}/api/items")]);
    drop(origin);
    run_test(&sandbox, &["replay", "hars/api.har"], &api, true).expect(9);
    run_test(&sandbox, &["replay", "hars/api.har"], &api, false).expect(0);
}

#[test]
fn wildcard_port_and_reverse_port_name_this_machine() {
    let origin = api();
    let url = format!("http://localhost:{}", origin.http.port());
    let get = [format!("{url}/api/items")];
    let sandbox = Sandbox::new();
    let record = ["record", "-o", "hars/api.har", "-g", "http://localhost:*/**", "--", "curl", "-s"];
    sandbox.run(record.map(String::from).iter().chain(&get)).expect(0);
    assert_eq!(urls(&sandbox), get);

    let sandbox = Sandbox::new();
    let reverse = format!("API={url}");
    let cmd = "curl -s \"$HARPROXY_URL_API/api/items\"";
    let options = ["-o", "hars/api.har", "--reverse", &reverse, "--", "sh", "-c", cmd];
    sandbox.run(["record"].iter().chain(&options)).expect(0);
    assert_eq!(urls(&sandbox), get);
}

#[test]
fn recording_of_this_machine_alone_names_the_globs() {
    let origin = api();
    let sandbox = Sandbox::new();
    let url = format!("http://{}/api/items", origin.http);
    for glob in ["**/api/**", "*://*/api/*"] {
        let output = sandbox.run(["record", "-o", "hars/api.har", "-g", glob, "--", "curl", "-s", &url]).expect(1);
        output.says("nothing-recorded").says("1 request went to this machine").says("-g 'http://127.0.0.1:*/api/*");
    }
    assert!(!sandbox.join("hars/api.har").exists());
    let other = sandbox.run(["record", "-g", "https://api.example.com/**", "--", "curl", "-s", &url]).expect(1);
    other.says("1 local, not recorded\n");
}

#[test]
fn entries_of_this_machine_are_served_whatever_the_scope_of_their_fixture() {
    for scope in ["**", "**/api/**"] {
        let (sandbox, origin) = (Sandbox::new(), api());
        let url = format!("http://{}/api/items", origin.http);
        let glob = format!("http://{}/**", origin.http);
        sandbox.run(["record", "-o", "hars/api.har", "-g", &glob, "--", "curl", "-s", &url]).expect(0);
        let har = sandbox.read("hars/api.har");
        assert!(har.contains(&glob));
        sandbox.write("hars/api.har", har.replace(&glob, scope));
        drop(origin);
        let output = sandbox.run(["replay", "hars/api.har", "--", "curl", "-s", &url]).expect(0);
        assert_eq!(output.stdout, "[1, 2, 3]");
        let other = url.replace("items", "other");
        sandbox.run(["replay", "hars/api.har", "--", "curl", "-s", &other]).expect(1).says("miss");
    }
}

#[test]
fn local_url_reaches_its_server_when_the_fixture_has_no_entry_of_its_origin() {
    let (sandbox, origin) = (Sandbox::new(), api());
    let map = format!("api.test:80={}", origin.http);
    let record = ["record", "-o", "hars/api.har", "-g", "**/api/**", "--map", &map, "--", "curl", "-s"];
    sandbox.run(record.iter().chain(&["http://api.test/api/items"])).expect(0);
    let url = format!("http://{}/api/items", origin.http);
    let both = ["replay", "hars/api.har", "--", "curl", "-s", "http://api.test/api/items", &url];
    sandbox.run(both).expect(0).says("1 served, 1 local");
    // Named by an equal origin, it is answered from the fixture.
    let same = format!("http://{}=http://api.test", origin.http);
    let both = ["replay", "hars/api.har", "--same-host", &same, "--", "curl", "-s", "http://api.test/api/items", &url];
    sandbox.run(both).expect(0).says("2 served");
}

#[test]
fn glob_without_scheme_is_an_error_with_a_suggestion() {
    let sandbox = Sandbox::new();
    for (glob, suggestion) in [
        ("api.example.com", "https://api.example.com/**"),
        ("*.example.com", "https://*.example.com/**"),
        ("!api.example.com/health", "!https://api.example.com/health"),
        ("localhost:3000", "http://localhost:3000/**"),
        ("/api/**", "**/api/**"),
        ("*.json", "**/*.json"),
        ("wss://api.example.com/live", "https://api.example.com/live"),
    ] {
        for command in ["record", "replay"] {
            let output = sandbox.run([command, "-g", glob, "--", "true"]).expect(2);
            output.says(&format!("did you mean `{suggestion}`?"));
        }
    }
}

#[test]
fn glob_without_path_is_completed_when_it_matched_nothing() {
    let (sandbox, origin) = (Sandbox::new(), api());
    let map = format!("api.test:80={}", origin.http);
    let args = ["record", "-g", "http://api.test", "--map", &map, "--", "curl", "-s", "http://api.test/api/items"];
    let output = sandbox.run(args).expect(1).says("did you mean `http://api.test/**`?");
    output.says("http://api.test/api/items");
}

#[test]
fn server_without_cmd_says_its_task_and_the_command_for_another_terminal() {
    let (sandbox, origin) = (Sandbox::new(), api());
    let map = format!("api.test:80={}", origin.http);
    let script = r#"
"$HARPROXY" record -o hars/api.har -g 'http://api.test/**' --map "$MAP" -p 127.0.0.1:0 --ready-file ready.json >out 2>err &
server=$!
until [ -e ready.json ] && grep -q Ctrl-C err; do :; done
eval "$(sed -n 's/.*in another terminal: //p' err | sed "s/harproxy env/\"\$HARPROXY\" env/")"
curl -s http://api.test/api/items
kill -INT $server
wait $server
cat err
"#;
    let binary = env!("CARGO_BIN_EXE_harproxy");
    let mut command = std::process::Command::new("bash");
    command.args(["-c", script]).current_dir(sandbox.path()).env("HARPROXY", binary).env("MAP", map);
    command.env("HOME", sandbox.path()).env("XDG_DATA_HOME", sandbox.join("data")).env("NO_COLOR", "1");
    let output = crate::support::sandbox::finish(command.output().unwrap()).expect(0);
    assert!(output.stdout.contains("recording http://api.test/** into hars/api.har\n"), "{}", output.stdout);
    assert!(output.stdout.contains("Ctrl-C ends it"), "{}", output.stdout);
    assert_eq!(urls(&sandbox), ["http://api.test/api/items"]);
}
