//! Concurrent workers, each with its own session: the user name in its proxy URL.

use std::io::Write;

use serde_json::{Value, json};

use crate::support::client::{Client, Proto};
use crate::support::repo;
use crate::support::sandbox::Sandbox;

const POLLED: [&str; 5] = ["queued", "running", "running", "running", "done"];

fn polled(url: &str, state: &str) -> Value {
    json!({
        "startedDateTime": "2026-11-20T09:30:00.000Z", "time": 1,
        "request": {"method": "GET", "url": url, "httpVersion": "HTTP/1.1", "headers": [], "cookies": [],
            "queryString": [], "headersSize": -1, "bodySize": 0},
        "response": {"status": 200, "statusText": "OK", "httpVersion": "HTTP/1.1", "headers": [], "cookies": [],
            "content": {"size": state.len(), "mimeType": "text/plain", "text": state}, "redirectURL": "",
            "headersSize": -1, "bodySize": -1},
        "cache": {}, "timings": {"send": 0, "wait": 0, "receive": 0},
    })
}

/// A fixture with all states of this URL, in order.
fn fixture(url: &str) -> String {
    let entries: Vec<Value> = POLLED.iter().map(|state| polled(url, state)).collect();
    let own = json!({"version": 1, "scope": ["**"]});
    json!({"log": {"version": "1.2", "creator": {"name": "harproxy", "version": "1"}, "_harproxy": own,
        "entries": entries}})
    .to_string()
}

#[test]
fn concurrent_workers_each_see_all_states_of_a_poll() {
    let sandbox = Sandbox::new();
    for scheme in ["http", "https"] {
        let url = format!("{scheme}://api.test/jobs/1");
        sandbox.write("api.har", fixture(&url));
        let replay = sandbox.start(["replay", "api.har", "--fail-on", "all"]);
        let (proxy, ca) = (replay.proxy(), replay.ca());
        // The barrier makes all workers send each request at the same time.
        let together = std::sync::Barrier::new(4);
        let seen: Vec<Vec<String>> = std::thread::scope(|scope| {
            let worker = |n: usize| {
                let (ca, url, together) = (ca.clone(), &url, &together);
                scope.spawn(move || {
                    let client = Client { user: Some(format!("worker-{n}")), ..Client::new(proxy, ca, Proto::H1) };
                    let poll = |_| {
                        together.wait();
                        client.get(url).text()
                    };
                    (0..POLLED.len()).map(poll).collect()
                })
            };
            let workers: Vec<_> = (0..4).map(worker).collect();
            workers.into_iter().map(|worker| worker.join().unwrap()).collect()
        });
        assert_eq!(seen, [POLLED; 4], "{scheme}");
        replay.stop().expect(0);
    }
}

/// Runs a worker's command as worker 1 to 4 under one replay. Each prints the states that it received.
fn run_four_workers(worker: &str) {
    let sandbox = Sandbox::new();
    sandbox.write("api.har", fixture("https://api.test/jobs/1"));
    let script = format!("for n in 1 2 3 4; do {worker} || exit 1; done");
    let output = sandbox.run(["replay", "api.har", "--fail-on", "all", "--", "sh", "-c", &script]).expect(0);
    let seen: Vec<&str> = output.stdout.lines().collect();
    assert_eq!(seen, vec![POLLED.join(" "); 4]);
}

fn is_installed(program: &str) -> bool {
    let found = std::process::Command::new(program).arg("--version").output().is_ok();
    if !found {
        let _ = writeln!(std::io::stderr(), "skipped: {program} is not installed");
    }
    found
}

#[cfg(unix)]
#[test]
fn workers_of_node_have_sessions_of_their_own() {
    let register = repo("packaging/npm/harproxy/register.js").display().to_string();
    let poll = "(async () => {
        const seen = [];
        while (seen.at(-1) !== 'done') seen.push(await (await fetch('https://api.test/jobs/1')).text());
        console.log(seen.join(' '));
    })()";
    if is_installed("node") {
        let required = format!(r#"NODE_OPTIONS="--require \"{register}\" $NODE_OPTIONS" NODE_USE_ENV_PROXY="#);
        run_four_workers(&format!("{required} node -e \"{poll}\""));
    }
}
