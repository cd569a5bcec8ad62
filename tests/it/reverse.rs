//! `--reverse` for a program without a proxy: the real binary, curl, several origins.

use serde_json::Value;

use crate::support::origin::{Origin, OriginRequest, OriginResponse};
use crate::support::sandbox::{Output, Sandbox};

/// Two origins in one: paths below `/v1`, and the others.
fn origins() -> Origin {
    Origin::answering(|request: &OriginRequest| {
        let see = |location: &str| OriginResponse {
            status: 302,
            headers: vec![("location", location.into())],
            ..OriginResponse::default()
        };
        let cookie = request.headers.get("cookie").map_or("none", |cookie| cookie.to_str().unwrap());
        let page = match &*request.path {
            "/v1/checkout" => see("https://api.test/pay?for=app"),
            "/pay?for=app" => OriginResponse {
                headers: vec![
                    ("location", "/receipt".into()),
                    ("set-cookie", "session=s1; Domain=api.test; Path=/".into()),
                ],
                ..see("")
            },
            "/v1/elsewhere" => see("https://nowhere.test/"),
            _ => OriginResponse {
                status: 200,
                headers: vec![("content-type", "text/plain".into())],
                body: format!("{} {cookie}\n", request.path).into(),
                ..OriginResponse::default()
            },
        };
        Some(page)
    })
}

/// The program. It has two addresses and no proxy.
const CMD: &str = r#"unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY
echo "$HARPROXY_URL_APP $HARPROXY_URL_PAY" >> urls
curl() { command curl -sS --fail "$@"; }
curl "$HARPROXY_URL_APP/users?page=2"
curl "$HARPROXY_URL_PAY/receipt"
curl -L -b '' "$HARPROXY_URL_APP/checkout"
curl -o /dev/null -w '%{http_code} %{redirect_url}\n' "$HARPROXY_URL_APP/elsewhere""#;

const REVERSE: [&str; 4] = ["--reverse", "APP=https://app.test/v1", "--reverse", "PAY=/pay=https://api.test"];

fn run(sandbox: &Sandbox, mode: &[String], tls: bool) -> Output {
    let tls = if tls { &["--tls"][..] } else { &[] };
    let before = mode.iter().map(String::as_str).chain(REVERSE).chain(tls.iter().copied());
    sandbox.run(before.chain(["--", "sh", "-ec", CMD]))
}

#[test]
fn program_without_a_proxy_is_recorded_replayed_and_redirected_back() {
    for tls in [false, true] {
        let sandbox = Sandbox::new();
        let origin = origins();
        let mut record: Vec<String> = ["record", "-o", "hars/api.har"].map(String::from).to_vec();
        record.extend(origin.args());
        record.extend(["--map".into(), format!("app.test:443={}", origin.https)]);
        let live = run(&sandbox, &record, tls).expect(0);
        assert_eq!(
            live.stdout,
            "/v1/users?page=2 none\n\
             /receipt none\n\
             /receipt session=s1\n\
             302 https://nowhere.test/\n"
        );
        origin.stop();
        let replay = ["replay", "hars", "--fail-on", "all", "--no-local"].map(String::from);
        let replayed = run(&sandbox, &replay, tls).expect(0);
        assert_eq!(replayed.stdout, live.stdout);

        let urls = sandbox.read("urls");
        let (scheme, [recorded, replayed]) =
            (if tls { "https" } else { "http" }, &urls.lines().collect::<Vec<_>>()[..])
        else {
            panic!("{urls}")
        };
        assert_ne!(recorded, replayed, "the ports differ");
        for line in [recorded, replayed] {
            let (app, pay) = line.split_once(' ').unwrap();
            assert!(app.starts_with(&format!("{scheme}://127.0.0.1:")) && !app.ends_with("/v1"), "{line}");
            assert!(pay.starts_with(&format!("{scheme}://127.0.0.1:")) && pay.ends_with("/pay"), "{line}");
        }
        assert_fixture_has_original_headers(&sandbox.har("hars/api.har"));
    }
}

fn assert_fixture_has_original_headers(har: &Value) {
    let line = |entry: &Value| {
        let location = entry["response"]["redirectURL"].as_str().unwrap();
        format!("{} {location}", entry["request"]["url"].as_str().unwrap())
    };
    let entries: Vec<String> = har["log"]["entries"].as_array().unwrap().iter().map(line).collect();
    assert_eq!(
        entries,
        [
            "https://app.test/v1/users?page=2 ",
            "https://api.test/receipt ",
            "https://app.test/v1/checkout https://api.test/pay?for=app",
            "https://api.test/pay?for=app /receipt",
            "https://api.test/receipt ",
            "https://app.test/v1/elsewhere https://nowhere.test/",
        ]
    );
    assert!(!har.to_string().contains("//127.0.0.1"), "no address of the proxy");
}

#[test]
fn fixture_recorded_through_the_proxy_answers_on_a_reverse_port() {
    let sandbox = Sandbox::new();
    let origin = origins();
    let mut record: Vec<String> = ["record", "-o", "hars/api.har"].map(String::from).to_vec();
    record.extend(origin.args());
    let ask = ["--", "sh", "-ec", "curl -sS --fail https://api.test/receipt"].map(String::from);
    sandbox.run(record.into_iter().chain(ask)).expect(0);
    origin.stop();
    let cmd = "curl -sS --fail --noproxy '*' \"$HARPROXY_URL_PAY/receipt\"";
    let replay = ["replay", "--reverse", "PAY=/pay=https://api.test", "--", "sh", "-ec", cmd];
    assert_eq!(sandbox.run(replay).expect(0).stdout, "/receipt none\n");
}
