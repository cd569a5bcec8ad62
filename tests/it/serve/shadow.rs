//! `shadow`: copies of requests for the live API.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use serde_json::json;

use super::{entry, get, har, sandbox, send, serve_with};
use crate::support::origin::{Origin, OriginResponse};
use crate::support::raw::RawOrigin;

const RULE: &str = "[[route]]\nmatch = 'https://api.test/**'\nshadow = 'live'\nheaders = { x-key = 'injected' }\n";

fn json_response(body: &serde_json::Value) -> OriginResponse {
    OriginResponse {
        status: 200,
        headers: vec![("content-type", "application/json".to_owned())],
        body: body.to_string().into_bytes(),
        ..OriginResponse::default()
    }
}

/// An origin that answers `/orders/1` like the fixture, and other paths with a text in place of the number. Counts its
/// requests, and those with the credentials of the rule.
fn live(count: Arc<AtomicU64>, with_key: Arc<AtomicU64>) -> Origin {
    Origin::answering(move |request| {
        count.fetch_add(1, Ordering::SeqCst);
        with_key.fetch_add(u64::from(request.headers.contains_key("x-key")), Ordering::SeqCst);
        Some(json_response(&match request.path.as_str() {
            "/orders/1" => json!({ "id": 1, "item": "tea", "price": 3, "debug": { "x": 1 } }),
            _ => json!([{ "id": "one", "item": "tea" }]),
        }))
    })
}

#[test]
fn difference_of_a_live_answer_is_a_finding_and_the_client_gets_the_fixture() {
    let sandbox = sandbox(RULE);
    let (count, with_key) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
    let origin = live(count.clone(), with_key.clone());
    let server = serve_with(&sandbox, &origin);
    assert_eq!(get(&server, "/orders/1").json()["item"], "tea");
    let orders = get(&server, "/orders");
    assert_eq!(
        (orders.json()[0]["id"].as_u64(), orders.header("x-harproxy")),
        (Some(1), Some("replay; entry=hars/api.har#0"))
    );
    send(&server, "POST", "/orders", &[], "");
    let found = server.stderr().event("finding", |event| event["kind"] == "shadow-differs");
    assert_eq!(found["request"], "GET https://api.test/orders");
    assert!(found["explanation"].as_str().unwrap().contains("type-changed at $[0].id"), "{found}");
    let ended = server.stop();
    assert_eq!(ended.stderr.matches("! shadow-differs").count(), 1, "{}", ended.stderr);
    assert_eq!((count.load(Ordering::SeqCst), with_key.load(Ordering::SeqCst)), (2, 2), "a POST is not copied");
}

#[test]
fn hanging_live_api_does_not_delay_the_client() {
    let sandbox = sandbox(RULE);
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let (is_released, has_come) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
    let origin = {
        let (gate, is_released, has_come) = (gate.clone(), is_released.clone(), has_come.clone());
        Origin::answering(move |_| {
            has_come.store(true, Ordering::SeqCst);
            let (open, changed) = &*gate;
            drop(changed.wait_while(open.lock().unwrap(), |open| !*open).unwrap());
            is_released.store(true, Ordering::SeqCst);
            Some(json_response(&json!([])))
        })
    };
    let server = serve_with(&sandbox, &origin);
    for _ in 0..100 {
        assert_eq!(get(&server, "/orders/1").status, 200);
    }
    assert!(!is_released.load(Ordering::SeqCst), "all answers came before the first one of the live API");
    *gate.0.lock().unwrap() = true;
    gate.1.notify_all();
    server.stop();
    assert!(has_come.load(Ordering::SeqCst));
}

#[test]
fn unreachable_live_api_is_a_finding_and_no_failure() {
    let sandbox = sandbox(RULE);
    let origin = live(Arc::default(), Arc::default());
    let args = origin.args();
    origin.stop();
    let server = sandbox.start(["serve".to_owned()].into_iter().chain(args));
    assert_eq!(get(&server, "/orders/1").status, 200);
    let ended = server.stop().expect(0);
    assert!(ended.stderr.contains("the live API was not compared"), "{}", ended.stderr);
}

#[test]
fn shadow_of_a_replay_needs_allow_live() {
    let sandbox = sandbox(RULE);
    sandbox.run(["replay", "--", "true"]).expect(2).says("rule `1` has a live source").says("--allow-live");
    sandbox.run(["serve", "--offline"]).expect(2).says("has a live source");
    sandbox.write("harproxy.toml", RULE.replace("'live'", "'cloud'"));
    sandbox.run(["serve"]).expect(2).says("`shadow`: expected `live`");
    sandbox.write("harproxy.toml", RULE);
    let origin = live(Arc::default(), Arc::default());
    let args =
        ["replay", "--allow-live", "--fail-on", "+shadow-differs"].map(str::to_owned).into_iter().chain(origin.args());
    let cmd = ["--", "curl", "-sS", "-o", "/dev/null", "https://api.test/orders"].map(str::to_owned);
    sandbox.run(args.chain(cmd)).expect(1).says("shadow-differs");
}

#[test]
fn copy_without_an_answer_is_a_finding() {
    let sandbox = sandbox(RULE);
    let silent = RawOrigin::silent();
    let map = format!("api.test:443={}", silent.addr);
    let args = ["replay", "--allow-live", "--fail-on", "+shadow-differs", "--map", &map];
    let cmd = ["--", "curl", "-sS", "-o", "/dev/null", "https://api.test/orders"];
    sandbox.run(args.into_iter().chain(cmd)).expect(1).says("shadow-differs: 1 copy got no answer");
}

#[test]
fn copies_are_compared_with_the_entry_that_answered() {
    let sandbox = sandbox(RULE);
    let entries = [("a", r#"{"id":1}"#), ("b", r#"{"id":1,"only":"b"}"#)];
    sandbox.write(
        "hars/api.har",
        har(&entries.map(|(kind, body)| entry("", "GET", &format!("/x?kind={kind}"), 200, body))),
    );
    let count = Arc::<AtomicU64>::default();
    let origin = {
        let count = count.clone();
        Origin::answering(move |_| {
            count.fetch_add(1, Ordering::SeqCst);
            Some(json_response(&json!({ "id": 2 })))
        })
    };
    let server = serve_with(&sandbox, &origin);
    assert_eq!(get(&server, "/x?kind=a").status, 200);
    // These have no answer that can be compared.
    for headers in [&[("accept", "text/event-stream")][..], &[("upgrade", "websocket"), ("connection", "upgrade")]] {
        send(&server, "GET", "/x?kind=a", headers, "");
    }
    let ended = server.stop();
    assert!(!ended.stderr.contains("shadow-differs"), "{}", ended.stderr);
    assert_eq!(count.load(Ordering::SeqCst), 1);
}
