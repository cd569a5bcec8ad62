//! Workers side by side, each with a session of its own: the user name in its proxy URL.

use serde_json::{Value, json};

use crate::support::client::{Client, Proto};
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

#[test]
fn four_workers_at_once_each_see_the_whole_of_a_poll() {
    let sandbox = Sandbox::new();
    for scheme in ["http", "https"] {
        let url = format!("{scheme}://api.test/jobs/1");
        let entries: Vec<Value> = POLLED.iter().map(|state| polled(&url, state)).collect();
        let own = json!({"version": 1, "scope": ["**"]});
        let har = json!({"log": {"version": "1.2", "creator": {"name": "harproxy", "version": "1"}, "_harproxy": own,
            "entries": entries}});
        sandbox.write("api.har", har.to_string());
        let replay = sandbox.start(["replay", "api.har", "--fail-on", "all"]);
        let (proxy, ca) = (replay.proxy(), replay.ca());
        // No one is ahead of the others: all go on to the next answer together.
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
