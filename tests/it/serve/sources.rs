//! Lists of sources, and the bridge to the live API.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};

use serde_json::json;

use super::{API, get, sandbox, send, serve, serve_with};
use crate::support::client::Proto;
use crate::support::origin::{Origin, OriginResponse};

fn live(status: Arc<AtomicU16>, count: Arc<AtomicU64>) -> Origin {
    Origin::answering(move |request| {
        count.fetch_add(1, Ordering::Relaxed);
        let body = json!({ "live": true, "key": request.headers.get("x-key").map(|key| key.to_str().unwrap()) });
        Some(OriginResponse {
            status: status.load(Ordering::Relaxed),
            headers: vec![("content-type", "application/json".to_owned())],
            body: body.to_string().into_bytes(),
            ..OriginResponse::default()
        })
    })
}

#[test]
fn live_source_falls_back_to_the_fixture() {
    let sandbox = sandbox(
        r#"
        [[route]]
        match = "GET https://api.test/orders/*"
        source = ["live", "fixture"]
        fallback-on = ["5xx", "timeout", "connect"]
        headers = { x-key = "injected" }
        "#,
    );
    let (status, count) = (Arc::new(AtomicU16::new(200)), Arc::default());
    let origin = live(status.clone(), count);
    let server = serve_with(&sandbox, &origin);
    let first = get(&server, "/orders/1");
    assert_eq!(first.json(), json!({ "live": true, "key": "injected" }));
    assert_eq!(first.header("x-harproxy"), Some("live"));
    status.store(404, Ordering::Relaxed);
    assert_eq!(get(&server, "/orders/1").status, 404, "a live 404 is an answer");
    status.store(503, Ordering::Relaxed);
    let fallback = get(&server, "/orders/1");
    assert_eq!((fallback.status, fallback.json()["item"].as_str()), (200, Some("tea")));
    assert_eq!(fallback.header("x-harproxy"), Some("replay; entry=hars/api.har#1; fallback=live 503"));
    origin.stop();
    assert_eq!(get(&server, "/orders/1").json()["item"], "tea", "no connection");
}

#[test]
fn fixture_falls_back_to_the_live_source() {
    let sandbox = sandbox("[[route]]\nmatch = 'https://api.test/**'\nsource = ['fixture', 'live']\n");
    let origin = live(Arc::new(AtomicU16::new(200)), Arc::default());
    let server = serve_with(&sandbox, &origin);
    assert_eq!(get(&server, "/orders/1").json()["item"], "tea");
    assert_eq!(get(&server, "/new").json()["live"], true);
    assert_eq!(send(&server, "POST", "/new", &[], r#"{"a":1}"#).json()["live"], true);
}

#[test]
fn failing_live_source_is_skipped_for_a_while() {
    let sandbox =
        sandbox("[[route]]\nmatch = 'https://api.test/**'\nsource = ['live', 'fixture']\nfallback-on = ['5xx']\n");
    let count = Arc::new(AtomicU64::new(0));
    let origin = live(Arc::new(AtomicU16::new(503)), count.clone());
    let server = serve_with(&sandbox, &origin);
    for _ in 0..10 {
        assert_eq!(get(&server, "/orders/1").json()["item"], "tea");
    }
    assert_eq!(count.load(Ordering::Relaxed), 5);
}

#[test]
fn live_answers_can_be_patched() {
    let sandbox = sandbox(
        "[[route]]\nmatch = 'https://api.test/**'\nsource = 'live'\npatch = [{ op = 'replace', path = '$.live', value = 'changed' }]\n",
    );
    let origin = live(Arc::new(AtomicU16::new(200)), Arc::default());
    let server = serve_with(&sandbox, &origin);
    assert_eq!(get(&server, "/orders/1").json()["live"], "changed");
    let event = server.stderr().event("request", |event| event["url"] == format!("{API}/orders/1"));
    assert_eq!(event["source"], "live+patched");
}

#[test]
fn share_of_sessions_is_stable() {
    let sandbox = sandbox(
        "[[route]]\nmatch = 'GET https://api.test/orders/1'\nsplit = { live = 30, by = 'x-client' }\nfallback-on = ['connect']\n",
    );
    let origin = live(Arc::new(AtomicU16::new(200)), Arc::default());
    let server = serve_with(&sandbox, &origin);
    let is_live = |client: usize| {
        let name = format!("client-{client}");
        send(&server, "GET", "/orders/1", &[("x-client", &name)], "").json()["live"] == true
    };
    let first: Vec<bool> = (0..60).map(is_live).collect();
    assert_eq!(first, (0..60).map(is_live).collect::<Vec<_>>());
    let count = first.iter().filter(|live| **live).count();
    assert!((8..=30).contains(&count), "{count} of 60");
}

#[test]
fn loop_of_sources_is_refused() {
    for source in ["live", "local"] {
        let sandbox = sandbox(&format!("[[route]]\nmatch = 'http://**/orders/*'\nsource = '{source}'\n"));
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        // The API of the rule is the reverse port of the same server.
        let (reverse, map) = (format!("{port}=http://api.test"), format!("api.test:80=127.0.0.1:{port}"));
        let reverse = if source == "local" { format!("{port}=http://127.0.0.1:{port}") } else { reverse };
        let server = serve(&sandbox, &["--reverse", &reverse, "--map", &map]);
        let looped = server.client(Proto::H1).get(&format!("http://127.0.0.1:{port}/orders/1"));
        assert_eq!((looped.status, looped.json()["title"].as_str()), (508, Some("a loop of sources")), "{source}");
    }
}

#[test]
fn live_rules_need_permission() {
    let sandbox = sandbox("[[route]]\nname = 'bridge'\nmatch = 'https://api.test/**'\nsource = ['fixture', 'live']\n");
    sandbox
        .run(["serve", "--offline"])
        .expect(2)
        .says("rule `bridge` has a live source, and --offline or CI=true forbids it");
    sandbox.run(["replay", "--", "true"]).expect(2).says("pass `--allow-live`");
    sandbox.run(["replay", "--allow-live", "--fail-on", "none", "--", "true"]).expect(0);
}

#[test]
fn rules_are_part_of_a_replay() {
    let sandbox = sandbox("[[route]]\nmatch = 'GET https://api.test/orders'\nrespond = { status = 418 }\n");
    let server = sandbox.start(["replay"]);
    assert_eq!(get(&server, "/orders").status, 418);
    assert_eq!(get(&server, "/orders/1").json()["item"], "tea");
    assert_eq!(server.stop().status, 0);
}

#[test]
fn base_url_on_a_fixed_port_answers_from_the_origins_entries() {
    let sandbox = sandbox("[[route]]\nmatch = 'GET https://api.test/orders/*'\nrespond = { status = 418 }\n");
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = serve(&sandbox, &["--reverse", &format!("{port}=https://api.test")]);
    assert_eq!(server.ready()["urls"]["API_TEST"], format!("http://127.0.0.1:{port}"));
    let by_url = |path: &str| server.client(Proto::H1).get(&format!("http://127.0.0.1:{port}{path}"));
    assert_eq!(by_url("/orders").json()[0]["item"], "tea");
    assert_eq!(by_url("/orders/1").status, 418);
    let used = format!("{port}=https://other.test");
    sandbox.run(["serve", "-p", "0", "--reverse", &used]).expect(3).says("for --reverse").says("leave the number out");
    let twice = ["serve", "--reverse", "4010=https://a.test", "--reverse", "4010=https://b.test"];
    sandbox.run(twice).expect(2).says("two --reverse origins are on port 4010");
}
