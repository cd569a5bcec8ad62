//! Answers that rules make or change.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use super::{API, client, get, sandbox, send, serve};
use crate::support::client::{Client, Proto, TestRequest, TestResponse};

#[test]
fn rule_answers_under_its_conditions() {
    let sandbox = sandbox(
        r#"
        [[route]]
        name = "expired"
        match = "GET https://api.test/orders/*"
        when = { header.authorization = "Bearer expired" }
        respond = { status = 401, json = { error = "expired" }, headers = { x-reason = "old" } }
        [[route]]
        match = "POST https://api.test/orders"
        when = { body."$.amount" = { gt = 100 } }
        respond = { status = 402 }
        [[route]]
        match = "GET https://api.test/orders"
        when = { nth = 2 }
        respond = { status = 500, text = "second" }
        "#,
    );
    let server = serve(&sandbox, &[]);
    let expired = send(&server, "GET", "/orders/1", &[("authorization", "Bearer expired")], "");
    assert_eq!((expired.status, expired.json()), (401, json!({ "error": "expired" })));
    assert_eq!((expired.header("x-reason"), expired.header("x-harproxy")), (Some("old"), Some("rule; id=expired")));
    assert_eq!(get(&server, "/orders/1").json()["item"], "tea");
    assert_eq!(send(&server, "POST", "/orders", &[], r#"{"amount":101}"#).status, 402);
    let statuses: Vec<u16> = (0..3).map(|_| get(&server, "/orders").status).collect();
    assert_eq!(statuses, [200, 500, 200]);
    let miss = get(&server, "/nothing");
    assert_eq!((miss.status, miss.json()["kind"].as_str()), (404, Some("no-entry")));
}

#[test]
fn patches_change_payload_head_and_outcome() {
    let sandbox = sandbox(
        r#"
        [[route]]
        match = "GET https://api.test/orders/1"
        patch = [
            { op = "replace", path = "$.price", value = 9 },
            { op = "remove", path = "$.debug" },
            { op = "header", name = "x-new", value = "1" },
            { op = "status", value = 203 },
        ]
        [[route]]
        match = "GET https://api.test/orders"
        patch = [{ op = "remove", path = "$.none" }]
        "#,
    );
    let server = serve(&sandbox, &[]);
    let patched = get(&server, "/orders/1");
    assert_eq!((patched.status, patched.json()), (203, json!({ "id": 1, "item": "tea", "price": 9 })));
    assert_eq!(patched.header("x-new"), Some("1"));
    assert_eq!(patched.header("x-harproxy"), Some("replay; entry=hars/api.har#1; patched"));
    let event = server.stderr().event("request", |event| event["url"] == format!("{API}/orders/1"));
    assert_eq!(event["source"], "fixture+patched");
    let wrong = get(&server, "/orders");
    let said = "rule `2`: the answer has no value at `$.none`";
    assert_eq!((wrong.status, wrong.json()["detail"].as_str()), (500, Some(said)));
}

#[test]
fn templates_are_rendered_only_where_a_rule_says_so() {
    let sandbox = sandbox(
        r#"
        [vars]
        tier = "gold"
        [[route]]
        match = "POST https://api.test/users/*"
        path = "/users/{id}"
        template = true
        respond = { status = 201, headers = { content-type = "application/json" }, text = '''
{"id":"{{ request.path.id }}","name":"{{ request.body.name }}","tier":"{{ vars.tier }}"}''' }
        [[route]]
        match = "GET https://api.test/users/*"
        template = true
        respond = { text = "{{ request.query.missing }}" }
        "#,
    );
    let server = serve(&sandbox, &[]);
    let created = send(&server, "POST", "/users/7", &[], r#"{"name":"A \"B\""}"#);
    assert_eq!(created.json(), json!({ "id": "7", "name": "A \"B\"", "tier": "gold" }));
    let failed = get(&server, "/users/7");
    assert_eq!((failed.status, failed.json()["title"].as_str()), (500, Some("the template fails")));
    assert_eq!(get(&server, "/braces").json(), json!({ "text": "{{ request.method }}" }), "a recorded `{{` is data");
}

#[test]
fn faults_of_every_kind_reach_the_client() {
    let fault = |path: &str, fault: &str| format!("[[route]]\nmatch = 'GET https://api.test{path}'\nfault = {fault}\n");
    let sandbox = sandbox(
        &[
            fault("/orders?f=status", "{ kind = 'status', status = 429, retry-after = '60s' }"),
            fault("/orders?f=reset", "'reset'"),
            fault("/orders?f=empty", "'empty'"),
            fault("/orders?f=truncate", "'truncate'"),
            fault("/orders?f=malformed", "'malformed-json'"),
            fault("/orders?f=set", "'empty-set'"),
            fault("/orders?f=slow", "{ kind = 'slow', rate = '100KiB/s' }"),
            fault("/orders?f=timeout", "'timeout'"),
        ]
        .concat(),
    );
    let server = serve(&sandbox, &["--ignore-query", "f"]);
    let ask = |fault: &str| get(&server, &format!("/orders?f={fault}"));
    let limited = ask("status");
    assert_eq!((limited.status, limited.header("retry-after")), (429, Some("60")));
    let early = ask("status");
    assert_eq!(early.status, 429);
    assert!(early.header("retry-after").unwrap().parse::<u64>().unwrap() <= 60);
    server.stderr().event("finding", |event| event["kind"] == "retry-too-early");
    for broken in ["reset", "empty", "truncate"] {
        let request = TestRequest::new("GET", &format!("{API}/orders?f={broken}"));
        assert!(client(&server).try_send(request).is_err(), "{broken}");
    }
    let malformed = ask("malformed");
    assert!(malformed.status == 200 && serde_json::from_slice::<serde_json::Value>(&malformed.body).is_err());
    assert_eq!(ask("set").json(), json!([]));
    assert_eq!(ask("slow").json(), json!([{ "id": 1, "item": "tea" }]));
}

#[test]
fn delays_hold_many_clients_at_once() {
    let sandbox = sandbox("[[route]]\nmatch = 'GET https://api.test/orders'\ndelay = '1s'\n");
    let server = serve(&sandbox, &[]);
    let client = client(&server);
    let began = Instant::now();
    let clients: Vec<_> = (0..100)
        .map(|_| {
            let client = client.clone();
            std::thread::spawn(move || client.get(&format!("{API}/orders")).status)
        })
        .collect();
    assert!(clients.into_iter().all(|client| client.join().unwrap() == 200));
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(1), "each of them waits: {took:?}");
    assert!(took < Duration::from_secs(50), "they wait together: {took:?}");
}

#[test]
fn state_is_that_of_each_session() {
    let sandbox = sandbox(
        r#"
        [[route]]
        match = "https://api.test/orders**"
        state = { collection = "orders", id = "$.id", path = "/orders/{id}" }
        "#,
    );
    let server = serve(&sandbox, &["--auth", "me:secret"]);
    let as_session = |session: &str| {
        let mut client = server.client(Proto::H1);
        client.user = Some(format!("me+{session}:secret"));
        client
    };
    let (one, two) = (as_session("one"), as_session("two"));
    let ask = |client: &Client, method: &str, path: &str, body: &str| {
        client.send(TestRequest::new(method, &format!("{API}{path}")).body(body.to_owned()))
    };
    assert_eq!(ask(&one, "GET", "/orders", "").json(), json!([{ "id": 1, "item": "tea" }]), "seeded from the fixture");
    let created = ask(&one, "POST", "/orders", r#"{"item":"cake"}"#);
    assert_eq!(
        (created.status, created.header("location"), created.json()),
        (201, Some("/orders/2"), json!({ "id": 2, "item": "cake" }))
    );
    assert_eq!(ask(&one, "GET", "/orders/2", "").json()["item"], "cake");
    assert_eq!(ask(&two, "GET", "/orders/2", "").status, 404, "another session");
    assert_eq!(ask(&one, "DELETE", "/orders/2", "").status, 204);
    assert_eq!(ask(&one, "GET", "/orders/2", "").status, 404);
}

#[test]
fn variables_have_environments_by_name_and_in_files() {
    let sandbox = sandbox(
        r#"
        [vars]
        plan = "free"
        [vars.staging]
        plan = "paid"
        [[route]]
        match = "GET https://api.test/plan"
        template = true
        respond = { json = { plan = "{{ vars.plan }}" } }
        "#,
    );
    sandbox.write("local.toml", "plan = \"own \\\"plan\\\"\"");
    for (options, plan) in
        [(&[][..], "free"), (&["--vars", "staging"], "paid"), (&["--vars", "local.toml"], "own \"plan\"")]
    {
        assert_eq!(get(&serve(&sandbox, options), "/plan").json()["plan"], plan);
    }
    sandbox.run(["serve", "--vars", "production"]).expect(2).says("the table `[vars.production]` is missing");
    sandbox.run(["serve", "--vars", "none.toml"]).expect(2).says("reading --vars none.toml");
    sandbox.write("local.toml", "plan =");
    sandbox.run(["serve", "--vars", "local.toml"]).expect(2).says("reading --vars local.toml");
}

#[test]
fn explain_names_the_rules_of_a_request() {
    let sandbox = sandbox(
        r#"
        [[route]]
        name = "expired"
        match = "GET https://api.test/orders/*"
        when = { header.authorization = "Bearer expired" }
        respond = { status = 401 }
        [[route]]
        match = "https://api.test/**"
        when = { nth = 2 }
        delay = "1ms"
        patch = [{ op = "remove", path = "$.debug" }]
        [[route]]
        match = "POST https://api.test/**"
        fault = "empty"
        "#,
    );
    let url = format!("{API}/orders/1");
    let text = sandbox.run(["explain", "--url", &url]).expect(0).stdout;
    for line in [
        "  rule `expired` does not apply: `when` has header.authorization\n",
        "  rule `2` applies to some of these requests (`nth` or `rate`): delay, patch",
    ] {
        assert!(text.contains(line), "{text}");
    }
    let args = ["explain", "--json", "--url", &url, "-H", "authorization: Bearer expired"];
    let json: serde_json::Value = serde_json::from_str(&sandbox.run(args).expect(0).stdout).unwrap();
    assert_eq!(
        json["rules"][0],
        json!({ "rule": "expired", "failing": null, "sometimes": false, "options": ["respond"] })
    );
    assert_eq!(json["rules"].as_array().unwrap().len(), 2);
    assert_eq!(json["action"], "rule", "the rule answers in place of the entry");
    let text = sandbox.run(["explain", "--url", &url, "-X", "POST"]).expect(0).stdout;
    assert!(text.starts_with("rule: POST "), "{text}");
    for (rules, word) in [
        ("source = 'live'", "rule: "),
        ("source = 'fixture'\n[[route]]\nmatch = '**'\nsource = 'live'", "serve: "),
        ("split = { live = 10 }", "serve: "),
    ] {
        sandbox.write("harproxy.toml", format!("[[route]]\nmatch = '**'\n{rules}\n"));
        let text = sandbox.run(["explain", "--url", &url]).expect(0).stdout;
        assert!(text.starts_with(word), "{rules}: {text}");
    }
}

#[test]
fn rules_are_loaded_again_when_the_file_changes() {
    let sandbox = sandbox("[[route]]\nmatch = 'GET https://api.test/orders'\nrespond = { status = 418 }\n");
    let server = serve(&sandbox, &[]);
    assert_eq!(get(&server, "/orders").status, 418);
    sandbox.write("harproxy.toml", "[[route]]\nmatch = 'GET https://api.test/orders'\nrespond = { status = 503 }\n");
    server.stderr().event("reloaded", |event| event["message"].as_str().unwrap().contains("1 rule"));
    assert_eq!(get(&server, "/orders").status, 503);
    sandbox.write("harproxy.toml", "[[route]]\nmatch = 'GET https://api.test/orders'\nrespond = { status = 9 }\n");
    server
        .stderr()
        .event("reload-failed", |event| event["message"].as_str().unwrap().contains("its rules stay in use"));
    sandbox.write("harproxy.toml", "[[route]]\nmatch = '**'\nrespond = { example = 'E1' }\n");
    server.stderr().event("reload-failed", |event| event["message"].as_str().unwrap().contains("the name `E1`"));
    assert_eq!(get(&server, "/orders").status, 503);
}

/// Every answer is wholly that of one configuration, while the file changes under the requests of four clients.
#[test]
fn edit_never_mixes_two_configurations_in_one_answer() {
    let config = |name: &str, status: u16| {
        format!(
            "[vars]\nname = '{name}'\n[[route]]\nmatch = 'GET https://api.test/mix'\ntemplate = true\n\
             respond = {{ status = {status}, text = '{name} {{{{ vars.name }}}}', headers = {{ x-name = '{name}' }} }}\n\
             [[route]]\nmatch = 'GET https://api.test/mix'\npatch = [{{ op = 'header', name = 'x-patched', value = '{name}' }}]\n"
        )
    };
    let sandbox = sandbox(&config("one", 418));
    let server = serve(&sandbox, &[]);
    let client = client(&server);
    let is_done = AtomicBool::new(false);
    let check = |answer: &TestResponse| {
        let (status, name) = if answer.status == 418 { (418, "one") } else { (503, "two") };
        let got = (answer.status, answer.text(), answer.header("x-name"), answer.header("x-patched"));
        assert_eq!(got, (status, format!("{name} {name}"), Some(name), Some(name)));
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !is_done.load(Ordering::Relaxed) {
                    check(&client.get(&format!("{API}/mix")));
                }
            });
        }
        for (name, status) in [("two", 503), ("one", 418), ("two", 503), ("one", 418)] {
            sandbox.write("harproxy.toml", config(name, status));
            let deadline = Instant::now() + Duration::from_secs(30);
            while client.get(&format!("{API}/mix")).status != status {
                let is_late = Instant::now() > deadline;
                is_done.fetch_or(is_late, Ordering::Relaxed);
                assert!(!is_late, "`{name}` is not in use");
            }
        }
        is_done.store(true, Ordering::Relaxed);
    });
}
