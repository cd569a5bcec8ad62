//! `--expect`, `[[expect]]`, and rules that applied to no request.

use super::{API, get, sandbox, serve};
use crate::support::sandbox::{Output, Sandbox};

/// Runs a replay of these requests with curl. A request is `METHOD PATH [PAYLOAD]`.
fn replay(sandbox: &Sandbox, options: &[&str], requests: &[&str]) -> Output {
    let mut script = String::new();
    for request in requests {
        let mut words = request.splitn(3, ' ');
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let payload = words.next().map(|payload| format!("-d '{payload}'")).unwrap_or_default();
        script.push_str(&format!("curl -sS -o /dev/null -X {method} {payload} {API}{path}\n"));
    }
    let args = ["replay", "--report", "report.json"].into_iter().chain(options.iter().copied());
    sandbox.run(args.chain(["--", "sh", "-ec", &script]))
}

fn findings(sandbox: &Sandbox, kind: &str) -> Vec<String> {
    let report = sandbox.har("report.json");
    let findings = report["findings"].as_array().unwrap().iter().filter(|finding| finding["kind"] == kind);
    findings.map(|finding| finding["explanation"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn replay_fails_unless_expected_requests_came() {
    let sandbox = sandbox("");
    let once = ["--expect", "GET https://api.test/orders = 1"];
    replay(&sandbox, &once, &["GET /orders"]).expect(0);
    let twice = replay(&sandbox, &once, &["GET /orders", "GET /orders"]).expect(1);
    twice.says("expected `GET https://api.test/orders` once, and 2 requests came");
    replay(&sandbox, &["--expect", "POST **/orders"], &["GET /orders/1"])
        .expect(1)
        .says("expected `POST **/orders` at least once, and no such request came");
    replay(&sandbox, &["--expect", "GET **/orders = never"], &["GET /orders"]).expect(1).says("never");
    assert_eq!(findings(&sandbox, "expectation-not-met").len(), 1);
    let any = ["--expect", "GET **/orders = never", "--fail-on", "none"];
    replay(&sandbox, &any, &["GET /orders"]).expect(1).says("never");
}

#[test]
fn finding_names_the_nearest_request() {
    let sandbox = sandbox("");
    replay(&sandbox, &["--expect", "GET https://api.test/orders/2 = 1"], &["GET /orders/1"]).expect(1);
    let text = &findings(&sandbox, "expectation-not-met")[0];
    assert!(text.contains("near: `GET https://api.test/orders/1` (1 request)"), "{text}");
}

#[test]
fn expectations_of_the_configuration_have_payloads_and_an_order() {
    let sandbox = sandbox(
        r#"
        [[match]]
        body = "ignore"
        [[expect]]
        match = "POST **/orders"
        times = { min = 1, max = 2 }
        body = { "$.currency" = "EUR" }
        before = "GET **/orders/*"
        "#,
    );
    let (euro, dollar) = (r#"POST /orders {"currency":"EUR"}"#, r#"POST /orders {"currency":"USD"}"#);
    replay(&sandbox, &[], &[euro, "GET /orders/1"]).expect(0);
    replay(&sandbox, &[], &[dollar, "GET /orders/1"]).expect(1).says("1 request differs at `$.currency`");
    replay(&sandbox, &[], &["GET /orders/1", euro]).expect(1).says("the order was the reverse");
}

#[test]
fn rule_that_applied_to_no_request_is_a_warning() {
    let sandbox =
        sandbox("[[route]]\nname = 'typo'\nmatch = 'GET https://api.test/ordrs'\nrespond = { status = 500 }\n");
    replay(&sandbox, &[], &["GET /orders"]).expect(0).says("rule `typo` (`GET https://api.test/ordrs`) applied to no");
    assert_eq!(findings(&sandbox, "rule-unused").len(), 1);
    replay(&sandbox, &["--fail-on", "+rule-unused"], &["GET /orders"]).expect(1);
}

#[test]
fn rule_behind_another_one_is_unused_and_the_mark_names_the_rule_that_answered() {
    let rule = |name: &str, option: &str| {
        format!("[[route]]\nname = '{name}'\nmatch = 'GET https://api.test/orders'\n{option}\n")
    };
    let (fault, respond) = ("fault = { kind = 'status', status = 503 }", "respond = { json = 1 }");
    let state = "state = { id = '$.id', path = '/orders/{id}' }";
    for (first, second, unused, answering) in [
        (fault, respond, Some("second"), "first"),
        (fault, "patch = [{ op = 'header', name = 'x', value = 'y' }]", Some("second"), "first"),
        (respond, "source = 'none'", Some("second"), "first"),
        ("source = 'none'", respond, Some("first"), "second"),
        (state, respond, Some("second"), "first"),
        (state, "source = ['fixture', 'none']", Some("second"), "first"),
        ("delay = '1ms'", fault, None, "second"),
        ("delay = '1ms'", "patch = [{ op = 'remove', path = '$.none' }]", None, "second"),
    ] {
        let sandbox = sandbox(&(rule("first", first) + &rule("second", second)));
        let server = serve(&sandbox, &["--report", "report.json"]);
        let answer = get(&server, "/orders");
        assert_eq!(answer.header("x-harproxy"), Some(&*format!("rule; id={answering}")), "{first} {second}");
        server.stop();
        let found = findings(&sandbox, "rule-unused");
        let is_named = |name: &str| found.iter().any(|finding| finding.contains(&format!("rule `{name}`")));
        assert_eq!(
            (found.len(), unused.is_none_or(is_named)),
            (usize::from(unused.is_some()), true),
            "{first} {second}"
        );
    }
}

#[test]
fn report_names_the_rules_of_each_request() {
    let sandbox = sandbox(
        "[[route]]\nname = 'slow'\nmatch = 'GET https://api.test/**'\ndelay = '1ms'\n\
         [[route]]\nmatch = 'GET https://api.test/orders'\npatch = [{ op = 'status', value = 203 }]\n",
    );
    replay(&sandbox, &[], &["GET /orders", "GET /orders/1"]).expect(0);
    let report = sandbox.har("report.json");
    let of = |at: usize| (report["requests"][at]["rules"].clone(), report["requests"][at]["source"].clone());
    assert_eq!(of(0), (serde_json::json!(["slow", "2"]), "fixture+patched".into()));
    assert_eq!(of(1), (serde_json::json!(["slow"]), "fixture".into()));
}

#[test]
fn invalid_expectations_are_errors_before_the_run() {
    let sandbox = sandbox("");
    for (expectation, said) in [
        ("POST https://a.test/x = many", "expected a number of requests"),
        ("POST https://a.test/x = 3..1", "the second number is less than the first"),
        ("G-T https://a.test/x", "`G-T` is not a method"),
    ] {
        sandbox.run(["replay", "--expect", expectation, "--", "true"]).expect(2).says(said);
    }
    for (table, said) in [
        ("times = 1", "an expectation needs `match`"),
        ("match = '**'\ntimes = -1", "expected a number"),
        ("match = '**'\ntimes = { min = 3, max = 1 }", "`max` is less than `min`"),
        ("match = '**'\ntime = 1", "unknown option of [[expect]] `time`; did you mean `times`?"),
        ("match = '**'\nbody = { currency = 'EUR' }", "`currency` is not a valid JSON path"),
    ] {
        sandbox.write("harproxy.toml", format!("[[expect]]\n{table}\n"));
        sandbox.run(["replay", "--", "true"]).expect(2).says(said);
    }
}
