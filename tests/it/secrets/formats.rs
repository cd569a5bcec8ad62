//! Secrets in texts within texts: JSON in markup, base64, URLs in headers, lists of names and values, tokens of vendors.

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

use super::{HAR, files, record};
use crate::support::client::{Client, Proto, TestRequest, TestResponse};
use crate::support::origin::{Origin, OriginResponse};
use crate::support::sandbox::Sandbox;

/// A request with the response to it.
struct Exchange {
    name: &'static str,
    request: TestRequest,
    headers: Vec<(&'static str, String)>,
    body: String,
}

/// Returns a secret of a run that no rule knows by its shape.
fn secret(run: u64, name: &str) -> String {
    format!("{name}{run}Qz{:x}", run.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

fn html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn exchanges(run: u64) -> Vec<Exchange> {
    let of = |name: &str| secret(run, name);
    let get = |path: &str| TestRequest::new("GET", &format!("https://api.test{path}"));
    let post = |path: &str, media: &str, body: String| {
        TestRequest::new("POST", &format!("https://api.test{path}")).header("content-type", media).body(body)
    };
    let page = |name, request, media: &str, body: String| {
        let headers = vec![("content-type", media.to_owned())];
        Exchange { name, request, headers, body }
    };
    let password = format!("p<&{}", of("basic"));
    let basic = format!("Basic {}", BASE64_STANDARD.encode(format!("ada:{password}")));
    let echo = format!("<p>{} {} {password}</p>", html(&password), BASE64_STANDARD.encode(&password));
    let state = format!(r#"{{"user":"ada","session":{{"access_token":"{}"}}}}"#, of("state"));
    let markup = format!(
        "<meta name=\"csrf-token\" content=\"{}\"><script type=\"application/json\">{state}</script>\n\
         <script>window.__STATE__ = {state};\nboot(\"{}\")</script><div data-page=\"{}\">\n\
         <input type=hidden name='SAMLResponse' value='{}'><a href=\"/f?a=1&amp;sig={}\">x</a>\
         <a href='#access_token={}'>y</a>",
        of("meta"),
        state.replace('"', "\\\""),
        html(&state),
        BASE64_STANDARD.encode(of("saml")),
        of("sig"),
        of("fragment"),
    );
    let document = format!("mutation {{ login(user: \"ada\", password: \"\"\"{}\"\"\") {{ ok }} }}", of("graphql"));
    let context = |n: u32| BASE64_STANDARD.encode(json!({ "n": n, "api_key": of("context") }).to_string());
    let mut urls = page("urls", get(&format!("/urls?a=1&amp;token={}", of("query"))), "text/plain", "ok".to_owned());
    urls.request = urls
        .request
        .header("x-forwarded-uri", &format!("/x?token={}", of("forwarded")))
        .header("cookie", &format!("a=1; b=\"x,{}; z{}\"; c=2", of("quoted"), of("behind")));
    urls.headers.extend([
        ("refresh", format!("0;url=/x?token={}", of("refresh"))),
        ("sourcemap", format!("/app.js.map?sig={}", of("sourcemap"))),
        ("set-cookie", format!("d=\"x; {}\"; Path=/", of("setcookie"))),
        ("x-client-key", pem(run).replace(' ', "%20").replace('\n', "%0A")),
    ]);
    let pairs = json!({
        "fields": [{ "name": "password", "value": of("field") }],
        "headers": [["Accept", "*/*"], ["Authorization", format!("Bearer {}", of("list"))]],
        "log": format!("> Authorization: Bearer {}\n", of("log")),
        "body": format!("user=ada&client_secret={}", of("form")),
    });
    vec![
        page("basic", get("/basic").header("authorization", &basic), "text/html", echo),
        page("html", get("/html"), "text/html", markup),
        page("jsonp", get("/jsonp"), "application/javascript", format!("cb({{\"token\":\"{}\"}});", of("jsonp"))),
        page("prefix", get("/prefix"), "text/plain", format!(")]}}',\n{{\"token\":\"{}\"}}", of("prefix"))),
        page(
            "events",
            get("/events"),
            "text/event-stream",
            format!("\u{feff}data: {{\"token\":\"{}\"}}\n\ndata: {{\"n\":1}}\n\n", of("event")),
        ),
        page(
            "graphql",
            post("/graphql", "application/json", json!({ "query": document }).to_string()),
            "application/json",
            r#"{"data":{"login":{"ok":true}}}"#.to_owned(),
        ),
        urls,
        page("pairs", post("/pairs", "application/json", pairs.to_string()), "application/json", "{}".to_owned()),
        page(
            "base64",
            post("/base64", "application/json", json!({ "context": context(1) }).to_string()),
            "application/json",
            json!({ "data": context(2) }).to_string(),
        ),
        page(
            "form",
            post("/form", "application/x-www-form-urlencoded", format!("a=1&context={}", super::escaped(&context(3)))),
            "text/plain",
            "ok".to_owned(),
        ),
        page("vendors", get("/vendors"), "text/plain", vendors(run).join(" and ")),
        page(
            "paths",
            get(&format!("/bot123456789:AA{}/x;jsessionid={}", digits(run, 33), digits(run + 7, 32))),
            "text/plain",
            "ok".to_owned(),
        ),
    ]
}

/// Returns random letters and digits of a run.
fn digits(run: u64, len: usize) -> String {
    let mut state = run.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from_digit((state >> 40) as u32 % 16, 16).unwrap()
    };
    let random: String = (0..len - 2).map(|_| next()).collect();
    format!("{random}a1")
}

/// Tokens in the formats of vendors, built from parts.
fn vendors(run: u64) -> Vec<String> {
    let of = |prefix: &str, len: usize| format!("{prefix}{}", digits(run + prefix.len() as u64, len));
    vec![
        of("hf_", 34),
        of("gsk_", 52),
        of("SG.", 22) + "." + &digits(run, 43),
        of("SK", 32),
        of("key-", 32),
        of("dop_v1_", 64),
        of("shpat_", 32),
        of("sq0csp-", 43),
        of("lin_api_", 40),
        of("ntn_", 46),
        of("dapi", 32),
        of("dp.pt.", 43),
        of("pscale_tkn_", 43),
        of("pul-", 40),
        of("hvs.", 95),
        of("sbp_", 40),
        of("glsa_", 32) + "_" + &digits(run, 8),
        of("figd_", 40),
        of("PMAK-", 24) + "-" + &digits(run, 34),
        of("rubygems_", 48),
        of("dckr_pat_", 27),
        of("sntryu_", 64),
        of("r8_", 37),
    ]
}

fn pem(run: u64) -> String {
    format!("-----BEGIN {0}-----\n{1}\n-----END {0}-----\n", "RSA PRIVATE KEY", secret(run, "MIIE"))
}

/// All texts that no output may contain.
fn needles(run: u64) -> Vec<String> {
    let names = [
        "basic",
        "state",
        "meta",
        "sig",
        "fragment",
        "graphql",
        "query",
        "forwarded",
        "quoted",
        "behind",
        "refresh",
        "sourcemap",
        "setcookie",
        "MIIE",
        "field",
        "list",
        "log",
        "form",
        "jsonp",
        "prefix",
        "event",
        "context",
    ];
    let mut all: Vec<String> = names.iter().map(|name| secret(run, name)).collect();
    all.extend(vendors(run));
    all.extend([digits(run, 33), digits(run + 7, 32), BASE64_STANDARD.encode(secret(run, "saml"))]);
    // At the start of base64 and within it.
    let password = format!("p<&{}", secret(run, "basic"));
    all.push(BASE64_STANDARD.encode(&password).trim_end_matches('=').to_owned());
    for before in ["", "x", "xx"] {
        let base64 = BASE64_STANDARD.encode(format!("{before}{}", secret(run, "context")));
        all.push(base64[4..base64.len() - 4].to_owned());
    }
    all
}

#[track_caller]
fn assert_without_secrets(label: &str, bytes: &[u8], run: u64) {
    for needle in needles(run) {
        let found = memchr::memmem::find(bytes, needle.as_bytes());
        let around =
            found.map(|at| String::from_utf8_lossy(&bytes[at.saturating_sub(80)..]).chars().take(200).collect());
        assert_eq!(around, None::<String>, "{label} contains {needle}");
    }
}

fn origin(run: u64) -> Origin {
    let answers: BTreeMap<String, Exchange> =
        exchanges(run).into_iter().map(|exchange| (format!("/{}", exchange.name), exchange)).collect();
    Origin::answering(move |request| {
        let path = request.path.split(['?', ';']).next().unwrap_or_default();
        let path = if path.starts_with("/bot") { "/paths" } else { path };
        let Exchange { headers, body, .. } = answers.get(path)?;
        let (headers, body) = (headers.clone(), body.clone().into_bytes());
        Some(OriginResponse { status: 200, headers, body, ..OriginResponse::default() })
    })
}

fn visit(client: &Client, run: u64) -> Vec<(&'static str, String, TestResponse)> {
    let exchanges = exchanges(run).into_iter();
    exchanges.map(|exchange| (exchange.name, exchange.body, client.send(exchange.request))).collect()
}

#[test]
fn secrets_in_texts_within_texts_are_in_no_output() {
    for (output, options) in [(HAR, &[][..]), (HAR, &["--content", "embed"]), ("hars/api.zip", &[])] {
        let sandbox = Sandbox::new();
        let origin = origin(7);
        let options = [options, &["-vvv", "--report", "report.json"]].concat();
        let server = record(&sandbox, &origin, output, &options);
        for (name, body, got) in visit(&server.client(Proto::H1), 7) {
            assert_eq!((got.status, got.text()), (200, body), "{name}: the client gets real values");
        }
        let said = server.stop().expect(0);
        let all = files(&sandbox.join("hars"));
        assert!(!all.is_empty());
        for (name, bytes) in &all {
            assert_without_secrets(name, bytes, 7);
        }
        assert_without_secrets("stderr", said.stderr.as_bytes(), 7);
        assert_without_secrets("report", sandbox.read("report.json").as_bytes(), 7);
        assert!(all.iter().all(|(_, bytes)| memchr::memmem::find(bytes, b"REDACTED_").is_none()), "a marker is left");
    }
}

#[test]
fn redacted_texts_within_texts_keep_their_format_and_match_any_value() {
    let sandbox = Sandbox::new();
    let recorded = origin(7);
    let server = record(&sandbox, &recorded, HAR, &["--content", "embed"]);
    visit(&server.client(Proto::H1), 7);
    server.stop().expect(0);
    drop(recorded);
    let server = sandbox.start(["replay", HAR]);
    let client = server.client(Proto::H1);
    let got: BTreeMap<_, _> = visit(&client, 8).into_iter().map(|(name, _, got)| (name, got)).collect();
    for (name, response) in &got {
        assert_eq!(response.status, 200, "{name}: {}", response.text());
        let length = response.header("content-length");
        assert!(length.is_none_or(|length| length == response.text().len().to_string()), "{name}: {length:?}");
    }
    let data = BASE64_STANDARD.decode(got["base64"].json()["data"].as_str().unwrap()).unwrap();
    assert_eq!(String::from_utf8(data).unwrap(), r#"{"n":2,"api_key":"REDACTED-api_key-1"}"#);
    assert!(got["html"].text().contains("{&quot;user&quot;:&quot;ada&quot;,"), "{}", got["html"].text());
    assert!(
        got["html"].text().contains("window.__STATE__ = {\"user\":\"ada\",\"session\":{\"access_token\":\"REDACTED-")
    );
    let script = got["jsonp"].text();
    assert!(script.starts_with("cb({\"token\":\"REDACTED-token-") && script.ends_with("\"});"), "{script}");
    assert_eq!(got["urls"].header("set-cookie").unwrap(), "d=\"REDACTED-d-1\"; Path=/");
    server.stop().expect(0);
    // The text beside the secret counts.
    let server = sandbox.start(["replay", HAR]);
    let other = BASE64_STANDARD.encode(json!({ "n": 5, "api_key": secret(8, "context") }).to_string());
    let request = TestRequest::new("POST", "https://api.test/base64").header("content-type", "application/json");
    let missed = server.client(Proto::H1).send(request.body(json!({ "context": other }).to_string()));
    assert_eq!(missed.status, 501, "{}", missed.text());
    assert_without_secrets("the answer", missed.text().as_bytes(), 8);
    assert_without_secrets("stderr", server.stop().expect(1).stderr.as_bytes(), 8);
}

#[test]
fn other_secrets_in_texts_within_texts_change_no_byte_of_the_fixture() {
    let sandbox = Sandbox::new();
    let [first, second] = [7, 8].map(|run| {
        let origin = origin(run);
        let server = record(&sandbox, &origin, HAR, &["--update", "replace"]);
        visit(&server.client(Proto::H1), run);
        server.stop().expect(0);
        files(&sandbox.join("hars"))
    });
    assert_eq!(first.len(), second.len());
    for ((name, before), (_, after)) in first.iter().zip(&second) {
        assert_eq!(String::from_utf8_lossy(before), String::from_utf8_lossy(after), "{name}");
    }
}

/// A page beyond the memory limit is redacted in windows.
#[test]
fn json_and_urls_in_a_long_page_are_redacted() {
    let sandbox = Sandbox::new();
    let row = |n: usize, run: u64| {
        format!(
            "<p class=\"row\">{n} it's</p><script>s({{\"n\":{n},\"token\":\"{}\"}})</script><a href=\"/x?a=1&amp;sig={}\">{}</a>\n",
            secret(run, "state"),
            secret(run, "sig"),
            "text ".repeat(180)
        )
    };
    let page: String = (0..16_500).map(|n| row(n, 7)).collect();
    assert!(page.len() > 16 << 20);
    let body = page.clone().into_bytes();
    let origin = Origin::answering(move |_| {
        let headers = vec![("content-type", "text/html".to_owned())];
        Some(OriginResponse { status: 200, headers, body: body.clone(), ..OriginResponse::default() })
    });
    let server = record(&sandbox, &origin, HAR, &[]);
    assert!(server.client(Proto::H1).get("https://api.test/page").text() == page);
    server.stop().expect(0);
    let mut longest = 0;
    for (name, bytes) in files(&sandbox.join("hars")) {
        assert_without_secrets(&name, &bytes, 7);
        longest = longest.max(bytes.len());
    }
    assert!(longest > 15 << 20, "{longest}");
}
