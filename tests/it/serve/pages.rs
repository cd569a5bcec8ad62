//! Pages of other origins (CORS): preflights, and answers that a page may read.

use std::process::Command;

use serde_json::json;

use super::{get, sandbox, send, serve, serve_with};
use crate::support::origin::{Origin, OriginResponse};

const PAGE: (&str, &str) = ("origin", "http://localhost:5173");

/// The origin that an answer allows.
fn allowed(response: &crate::support::client::TestResponse) -> Option<&str> {
    response.header("access-control-allow-origin")
}

#[test]
fn rules_apply_to_preflights_only_if_they_name_the_method() {
    let rules = "[[route]]\nmatch = 'https://api.test/orders'\nfault = { kind = 'status', status = 503 }\nwhen = { nth = 1 }\n\
                 [[route]]\nmatch = 'POST https://new.test/**'\nrespond = { status = 201 }\n";
    let sandbox = sandbox(rules);
    let server = serve(&sandbox, &[]);
    let preflight =
        |method| send(&server, "OPTIONS", "/orders", &[PAGE, ("access-control-request-method", method)], "");
    let allowed_method = |response: &crate::support::client::TestResponse| {
        response.header("access-control-allow-methods").map(str::to_owned)
    };
    let asked = preflight("GET");
    assert_eq!((asked.status, allowed_method(&asked).as_deref()), (204, Some("GET")));
    assert_eq!(get(&server, "/orders").status, 503, "the preflight was not the first request");
    let request = crate::support::client::TestRequest::new("OPTIONS", "https://new.test/x")
        .header(PAGE.0, PAGE.1)
        .header("access-control-request-method", "POST");
    let elsewhere = super::client(&server).send(request);
    assert_eq!((elsewhere.status, allowed(&elsewhere)), (204, Some(PAGE.1)), "a URL that only a rule covers");
    let sandbox = super::sandbox(&rules.replace("'https://api.test/orders'", "'OPTIONS https://api.test/orders'"));
    let server = serve(&sandbox, &[]);
    assert_eq!(send(&server, "OPTIONS", "/orders", &[PAGE, ("access-control-request-method", "GET")], "").status, 503);
}

#[test]
fn page_may_read_every_answer_of_the_mock() {
    let sandbox =
        sandbox("[[route]]\nmatch = 'GET https://api.test/braces'\nfault = { kind = 'status', status = 429 }\n");
    let server = serve(&sandbox, &["--api-key", "k"]);
    for (path, headers, status) in [
        ("/orders", &[PAGE, ("x-api-key", "k")][..], 200),
        ("/orders", &[PAGE], 401),
        ("/braces", &[PAGE, ("x-api-key", "k")], 429),
        ("/none", &[PAGE, ("x-api-key", "k")], 404),
        ("/orders", &[PAGE, ("x-api-key", "k"), ("x-mock-response-code", "many")], 400),
        ("/orders", &[PAGE, ("x-api-key", "k"), ("x-mock-response-code", "500")], 404),
    ] {
        let response = send(&server, "GET", path, headers, "");
        assert_eq!((response.status, allowed(&response)), (status, Some(PAGE.1)), "{path} {headers:?}");
    }
    let exposed = send(&server, "GET", "/orders", &[PAGE, ("x-api-key", "k")], "");
    assert!(exposed.header("access-control-expose-headers").unwrap().contains("content-type"));
    assert_eq!(allowed(&send(&server, "GET", "/orders", &[("x-api-key", "k")], "")), None, "not a page");
}

#[test]
fn cors_headers_of_a_live_answer_are_those_of_the_server() {
    let sandbox = sandbox("[[route]]\nmatch = 'GET https://api.test/orders'\nsource = 'live'\n");
    let origin = Origin::answering(|_| {
        Some(OriginResponse { status: 200, body: json!({}).to_string().into_bytes(), ..OriginResponse::default() })
    });
    let server = serve_with(&sandbox, &origin);
    let response = send(&server, "GET", "/orders", &[PAGE], "");
    assert_eq!((response.header("x-harproxy"), allowed(&response)), (Some("live"), None));
}

#[test]
fn foreign_page_gets_no_credentials_of_a_rule() {
    let sandbox = sandbox(
        "[[route]]\nmatch = 'https://api.test/**'\nsource = 'live'\nheaders = { authorization = 'Bearer l1ve' }\n",
    );
    let origin = Origin::answering(|request| {
        let authorized = request.headers.contains_key("authorization").to_string();
        Some(OriginResponse { status: 200, body: authorized.into_bytes(), ..OriginResponse::default() })
    });
    let server = serve_with(&sandbox, &origin);
    let delete = |page| send(&server, "DELETE", "/orders/1", &[("origin", page)], "");
    for page in
        ["https://evil.example", "null", "http://api.test.evil.example", "https://evil.test", "https://xapi.test"]
    {
        let refused = delete(page);
        assert_eq!(
            (refused.status, refused.json()["title"].as_str()),
            (403, Some("no credentials for a foreign page"))
        );
    }
    for page in ["http://localhost:5173", "http://127.0.0.1:3000", "https://app.api.test", "https://api.test"] {
        assert_eq!(delete(page).text(), "true", "{page}");
    }
    assert_eq!(send(&server, "DELETE", "/orders/1", &[], "").text(), "true", "not a page");
    let cross_site = ("sec-fetch-site", "cross-site");
    for (headers, status) in [
        (&[cross_site][..], 403),
        (&[cross_site, ("referer", "https://evil.example/x")], 403),
        (&[("referer", "https://evil.example/x")], 403),
        (&[cross_site, ("referer", "http://localhost:5173/")], 200),
        (&[("origin", "https://app.test"), ("sec-fetch-site", "same-site")], 200),
        (&[("host", "api.test"), ("sec-fetch-site", "none")], 200),
    ] {
        assert_eq!(send(&server, "GET", "/orders/1", headers, "").status, status, "{headers:?}");
    }
    origin.stop();
    let failed = send(&server, "GET", "/orders/1", &[PAGE], "");
    assert_eq!((failed.status, allowed(&failed)), (502, Some(PAGE.1)), "harproxy's own answer");
}

#[test]
fn foreign_name_of_a_reverse_port_gets_no_credentials_of_a_rule() {
    let sandbox = sandbox(
        "[[route]]\nmatch = 'https://api.test/**'\nsource = 'live'\nheaders = { authorization = 'Bearer l1ve' }\n",
    );
    let origin = Origin::answering(|_| {
        Some(OriginResponse { status: 200, body: b"live".to_vec(), ..OriginResponse::default() })
    });
    let reverse = ["serve", "--reverse", "https://api.test"].map(str::to_owned);
    let server = sandbox.start(reverse.into_iter().chain(origin.args()));
    let base = server.ready()["urls"]["API_TEST"].as_str().unwrap().to_owned();
    let status = |host: &str| {
        let args = ["-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", &format!("host: {host}")];
        let output = Command::new("curl").args(args).arg(format!("{base}/orders/1")).output().unwrap();
        String::from_utf8(output.stdout).unwrap().parse::<u16>().unwrap()
    };
    for (host, expected) in
        [("evil.example:4010", 403), ("localhost:4010", 200), ("harproxy:4010", 200), ("api.test", 200)]
    {
        assert_eq!(status(host), expected, "{host}");
    }
    // Over HTTP/2 the name is in `:authority`.
    let to = base.trim_start_matches("http://");
    let args = ["-sk", "--http2", "-w", "%{http_code} %{http_version}", "-o", "/dev/null", "--connect-to"];
    let output =
        Command::new("curl").args(args).arg(format!("::{to}")).arg("https://evil.example:4010/orders/1").output();
    assert_eq!(String::from_utf8(output.unwrap().stdout).unwrap(), "403 2");
}
