//! Secrets by the words of their names: other values match at replay, and data under similar names does not.

use serde_json::{Value, json};

use super::{HAR, escaped, files, record};
use crate::support::client::{Client, Proto, TestRequest};
use crate::support::origin::{Origin, OriginRequest, OriginResponse};
use crate::support::sandbox::Sandbox;

const FORM: &str = "application/x-www-form-urlencoded";

/// A random value of a run, for a name.
fn value(run: u64, name: &str) -> String {
    format!("{name}.{:016x}Qz", run.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

fn page(status: u16, body: &Value) -> OriginResponse {
    let headers = vec![("content-type", "application/json".to_owned())];
    OriginResponse { status, headers, body: body.to_string().into_bytes(), ..OriginResponse::default() }
}

fn get(client: &Client, path: &str) -> (u16, String) {
    let got = client.get(&format!("https://api.test{path}"));
    (got.status, got.text())
}

fn post(client: &Client, path: &str, media: &str, body: &str) -> (u16, String) {
    let request = TestRequest::new("POST", &format!("https://api.test{path}")).header("content-type", media);
    let got = client.send(request.body(body.as_bytes()));
    (got.status, got.text())
}

/// The answers of an authorization server in a run.
fn authorization_server(run: u64) -> impl Fn(&OriginRequest) -> Option<OriginResponse> {
    move |request: &OriginRequest| {
        let form = String::from_utf8_lossy(&request.body).into_owned();
        Some(match request.path.split('?').next().unwrap_or_default() {
            "/authorize" => {
                let to = format!("https://app.test/cb?code={}&state={}", value(run, "code"), value(run, "state"));
                OriginResponse { status: 302, headers: vec![("location", to)], ..OriginResponse::default() }
            }
            "/device" => page(
                200,
                &json!({ "device_code": value(run, "device"), "user_code": "WDJB-MJHT", "interval": 5,
                         "verification_uri": "https://api.test/activate" }),
            ),
            "/token" if form.contains("device_code") => {
                page(200, &json!({ "access_token": value(run, "device-access") }))
            }
            "/token" => page(
                200,
                &json!({ "access_token": value(run, "access"), "refreshToken": value(run, "refresh"), "expires_in": 60 }),
            ),
            _ => page(200, &json!({ "name": "Ada" })),
        })
    }
}

/// Logs in with PKCE, and with a device code. Returns the statuses.
fn log_in(client: &Client, run: u64) -> Vec<u16> {
    let authorize = format!(
        "/authorize?response_type=code&client_id=app&code_challenge={}&code_challenge_method=S256&state={}&nonce={}",
        value(run, "challenge"),
        value(run, "state"),
        value(run, "nonce")
    );
    let exchange = format!(
        "grant_type=authorization_code&client_id=app&code={}&code_verifier={}",
        value(run, "code"),
        value(run, "verifier")
    );
    let device = format!(
        "grant_type={}&device_code={}&client_id=app",
        escaped("urn:ietf:params:oauth:grant-type:device_code"),
        value(run, "device")
    );
    let me = TestRequest::new("GET", "https://api.test/me").header("x-auth-key", &value(run, "access"));
    vec![
        get(client, &authorize).0,
        post(client, "/token", FORM, &exchange).0,
        client.send(me).status,
        post(client, "/device", FORM, "client_id=app&scope=openid").0,
        post(client, "/token", FORM, &device).0,
    ]
}

#[test]
fn login_with_pkce_and_device_code_replays_with_other_values() {
    let sandbox = Sandbox::new();
    let origin = Origin::answering(authorization_server(1));
    let server = record(&sandbox, &origin, HAR, &["--content", "embed"]);
    let expected = [302, 200, 200, 200, 200];
    assert_eq!(log_in(&server.client(Proto::H1), 1), expected);
    server.stop().expect(0);
    drop(origin);
    let har = sandbox.read(HAR);
    assert!(!har.contains(&value(1, "")), "{har}");
    for kept in
        ["code_challenge_method=S256", "REDACTED-code_challenge-1", "REDACTED-device_code-1", "REDACTED-user_code-1"]
    {
        assert!(har.contains(kept), "{kept}: {har}");
    }
    let server = sandbox.start(["replay", HAR, "--strict"]);
    assert_eq!(log_in(&server.client(Proto::H1), 2), expected);
    server.stop().expect(0);
    sandbox.run(["check"]).expect(0);
}

#[test]
fn discovery_and_pagination_replay_unchanged() {
    let discovery = json!({
        "issuer": "https://api.test", "authorization_endpoint": "https://api.test/oauth2/v2/authorize",
        "token_endpoint": "https://api.test/oauth2/v2/token", "password_reset_url": "https://api.test/reset-1234567890",
        "code_challenge_methods_supported": ["plain", "S256"], "token_type": "Bearer-0123456789",
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "private_key_jwt"], "max_tokens": 4096,
        "claims_supported": ["nonce", "auth_time"], "password_policy": "12-characters-and-3-digits",
    });
    let pages = ["", "q7Lx0PzR4vTn8KcWbY2m", "Jd6HsF1gAe5Uq7Lx0PzR", ""];
    let answer = {
        let discovery = discovery.clone();
        move |request: &OriginRequest| {
            let page_of = |n: usize| json!({ "n": n, "next_page_token": pages[n + 1], "NextToken": pages[n + 1] });
            Some(match request.path.split_once("page_token=") {
                None if request.path.starts_with("/list") => page(200, &page_of(0)),
                None => page(200, &discovery),
                Some((_, token)) => page(200, &page_of(pages.iter().position(|page| *page == token).unwrap_or(2))),
            })
        }
    };
    let sandbox = Sandbox::new();
    let origin = Origin::answering(answer);
    let visit = |client: &Client| {
        ["/discovery", "/list", "/list?page_token=q7Lx0PzR4vTn8KcWbY2m", "/list?page_token=Jd6HsF1gAe5Uq7Lx0PzR"]
            .map(|path| get(client, path))
    };
    let server = record(&sandbox, &origin, HAR, &[]);
    let live = visit(&server.client(Proto::H1));
    server.stop().expect(0);
    drop(origin);
    assert_eq!(live[0], (200, discovery.to_string()));
    let server = sandbox.start(["replay", HAR]);
    let client = server.client(Proto::H1);
    assert_eq!(visit(&client), live);
    assert_eq!(get(&client, "/list?page_token=AnotherTokenOfThePage12").0, 501);
    server.stop().expect(1);
}

#[test]
fn short_values_of_code_state_and_key_are_data() {
    let sandbox = Sandbox::new();
    let origin = Origin::answering(|request| Some(page(200, &json!({ "path": request.path }))));
    let paths =
        ["/c?code=FR", "/c?code=DE", "/s?state=NY", "/s?state=CA", "/k?key=date", "/k?key=name", "/u?session=42"];
    let server = record(&sandbox, &origin, HAR, &[]);
    let live = paths.map(|path| get(&server.client(Proto::H1), path));
    server.stop().expect(0);
    drop(origin);
    let server = sandbox.start(["replay", HAR]);
    let client = server.client(Proto::H1);
    let mut reversed = paths;
    reversed.reverse();
    let mut replayed = reversed.map(|path| get(&client, path));
    replayed.reverse();
    assert_eq!(replayed, live);
    for path in ["/c?code=IT", "/s?state=WA", "/k?key=size", "/u?session=43"] {
        assert_eq!(get(&client, path).0, 501, "{path}");
    }
    server.stop().expect(1);
}

#[test]
fn fields_of_forms_replay_with_other_values() {
    let names = [
        "pin",
        "otp",
        "secret_key",
        "password[]",
        "user.password",
        "user[password_confirmation]",
        "PHPSESSID",
        "currentPassword",
        "csrfmiddlewaretoken",
        "__RequestVerificationToken",
        "mfa_code",
        "webhookSecret",
    ];
    let form = |run: u64| {
        let pairs: Vec<String> = names.iter().map(|name| format!("{}={}", escaped(name), value(run, "v"))).collect();
        format!("user=ada&{}", pairs.join("&"))
    };
    let multipart = |run: u64| {
        let part = |name: &&str| {
            format!("--b\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{}\r\n", value(run, "v"))
        };
        format!("{}--b--\r\n", names.iter().map(part).collect::<String>())
    };
    let sandbox = Sandbox::new();
    let origin = Origin::answering(|_| Some(page(200, &json!({ "ok": true }))));
    let send = |client: &Client, run: u64| {
        let multipart = post(client, "/upload", "multipart/form-data; boundary=b", &multipart(run));
        [post(client, "/form", FORM, &form(run)), multipart]
    };
    let server = record(&sandbox, &origin, HAR, &["--content", "embed"]);
    let live = send(&server.client(Proto::H1), 3);
    server.stop().expect(0);
    drop(origin);
    assert!(!sandbox.read(HAR).contains(&value(3, "v")), "{}", sandbox.read(HAR));
    let server = sandbox.start(["replay", HAR, "--strict"]);
    assert_eq!(send(&server.client(Proto::H1), 4), live);
    server.stop().expect(0);
}

#[test]
fn signed_and_idempotent_requests_replay_at_another_time() {
    let sandbox = Sandbox::new();
    let origin = Origin::answering(|_| Some(page(200, &json!({ "ok": true, "expires_at": 1_767_225_600 }))));
    let send = |client: &Client, run: u64| {
        let signature = value(run, "sig").replace('.', "");
        let time = 1_767_225_600 + run;
        let paths = [
            format!(
                "/s3?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=202601{run:02}T030405Z&X-Amz-Signature={signature}"
            ),
            format!("/gcs?X-Goog-Date=202601{run:02}T030405Z&X-Goog-Expires=60&X-Goog-Signature={signature}"),
            format!("/cdn?Expires={time}&Signature={signature}&Key-Pair-Id=K2JCJMDEHXQW5F"),
            format!("/blob?sv=2022-11-02&st={time}&se={time}&sr=b&sig={signature}"),
        ];
        let body =
            json!({ "ClientRequestToken": format!("deploy-{run}"), "idempotencyKey": format!("k{run}"), "n": 1 });
        let mut got: Vec<(u16, String)> = paths.iter().map(|path| get(client, path)).collect();
        got.push(post(client, "/stacks", "application/json", &body.to_string()));
        got
    };
    let server = record(&sandbox, &origin, HAR, &[]);
    let live = send(&server.client(Proto::H1), 5);
    server.stop().expect(0);
    drop(origin);
    let server = sandbox.start(["replay", HAR, "--strict"]);
    let client = server.client(Proto::H1);
    assert_eq!(send(&client, 6), live);
    server.stop().expect(0);
    let server = sandbox.start(["replay", HAR]);
    assert_eq!(get(&server.client(Proto::H1), "/blob?sv=2022-11-02&st=1&se=1&sr=c&sig=0123456789abcdef").0, 501);
    server.stop().expect(1);
}

#[test]
fn random_values_under_suspicious_names_are_counted_and_fail_the_check() {
    let kept = "q7Lx0PzR4vTn8KcWbY2mJd6HsF1gAe5U";
    let sandbox = Sandbox::new();
    let body = json!({ "token_data": kept, "next_token": "V1StGXR8_Z5jdHi6B-myT9aQ0xKc", "access_token": kept });
    let origin = Origin::answering(move |_| Some(page(200, &json!({ "token_data": kept, "note": "x" }))));
    let server = record(&sandbox, &origin, HAR, &[]);
    get(&server.client(Proto::H1), "/data");
    let output = server.stop().expect(0);
    output.says("1 value looks like a secret and was kept: `harproxy check hars/api.har`");
    let check = sandbox.run(["check"]).expect(1).says("`harproxy redact`");
    assert!(check.stdout.contains("$.token_data looks like a secret and is kept"), "{}", check.stdout);
    assert!(check.stdout.contains("`json = [\"$..token_data\"]` under [redact]"), "{}", check.stdout);
    assert!(!check.stdout.contains(kept), "{}", check.stdout);
    sandbox.write("harproxy.toml", "[redact]\njson = [\"$..token_data\"]\n");
    sandbox.run(["check"]).expect(1);
    sandbox.run(["redact"]).expect(0);
    sandbox.run(["check"]).expect(0);
    for (name, bytes) in files(&sandbox.join("hars")) {
        assert!(memchr::memmem::find(&bytes, kept.as_bytes()).is_none(), "{name}");
    }
    drop(origin);

    let sandbox = Sandbox::new();
    let origin = Origin::answering(move |_| Some(page(200, &body)));
    let server = record(&sandbox, &origin, HAR, &[]);
    get(&server.client(Proto::H1), "/data");
    let output = server.stop().expect(0);
    assert!(!output.stderr.contains("looks like a secret"), "the value is known: {}", output.stderr);
    sandbox.run(["check"]).expect(0);
}

#[test]
fn exceptions_of_the_table_are_valid_and_others_have_a_suggestion() {
    let sandbox = Sandbox::new();
    let origin = Origin::answering(|request| Some(page(200, &json!({ "path": request.path }))));
    sandbox.write("harproxy.toml", "[redact]\nexcept = [\"query:invite_token\", \"header:x-session-token\"]\n");
    let path = format!("/a?invite_token={}&auth_token={0}2", value(7, "t"));
    let server = record(&sandbox, &origin, HAR, &[]);
    get(&server.client(Proto::H1), &path);
    server.stop().expect(0);
    let har = sandbox.read(HAR);
    assert!(har.contains(&format!("invite_token={}&auth_token=REDACTED-auth_token-1", value(7, "t"))), "{har}");
    for (except, hint) in [
        ("header:x-csrf-tokn", "did you mean `header:x-csrf-token`?"),
        ("next_token", "has no effect"),
        ("query:pin", "has no effect"),
    ] {
        sandbox.write("harproxy.toml", format!("[redact]\nexcept = [\"{except}\"]\n"));
        sandbox.run(["check"]).expect(2).says(hint).says("has no effect");
    }
}
