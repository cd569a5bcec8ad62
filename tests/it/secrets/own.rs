//! Secrets that harproxy receives itself: credentials of clients and of the upstream proxy, keys, and
//! `[redact.values]`. No output contains them, at any log level and after any error.

use std::io::Write;
use std::net::TcpListener;
use std::path::Path;

use super::{HAR, base64_inside, files};
use crate::support::client::{Client, Proto, TestRequest};
use crate::support::origin::Origin;
use crate::support::raw::RawOrigin;
use crate::support::repo;
use crate::support::sandbox::{Output, Sandbox, Server, finish};

const AUTH: &str = "au7horized-Qz4f1-client";
const UPSTREAM: &str = "upstr3am-Qz4f1-proxy";
const GIVEN: &str = "g1ven-Qz4f1-value";
const USERINFO: &str = "userinf0-Qz4f1-of-url";
const SENT: &str = "s3nt-Qz4f1-by-client";
/// A part of each secret, which needs no escaping in any format.
const COMMON: &str = "Qz4f1";

type Variables = &'static [(&'static str, &'static str)];

/// All options and variables that increase the output.
const TALK: [(&[&str], Variables); 5] = [
    (&[], &[]),
    (&["-v"], &[]),
    (&["-vv"], &[]),
    (&["-vvv"], &[]),
    (&["--log-format", "json"], &[("HARPROXY_LOG", "trace"), ("RUST_LOG", "trace")]),
];

const REPORTS: [&str; 8] =
    ["--report", "report.json", "--report", "report.xml", "--report", "report.md", "--report", "report.html"];

/// Files that contain secrets on purpose.
const OWN: [&str; 4] = ["harproxy.toml", "own.sh", "client-pair.pem", "ca-key.pem"];

/// The lines of the private keys in this folder and of the test certificates.
fn keys(sandbox: &Sandbox) -> Vec<String> {
    let mut keys = vec![repo("certs/client-key.pem")];
    let found = files(sandbox.path()).into_iter().map(|(name, _)| name);
    keys.extend(found.filter(|name| name.ends_with("-key.pem")).map(|name| Path::new(&name).to_owned()));
    let lines =
        keys.into_iter().filter_map(|key| std::fs::read_to_string(key).unwrap().lines().nth(1).map(str::to_owned));
    lines.collect()
}

#[track_caller]
fn tells_none(what: &str, text: &[u8], keys: &[String]) {
    for bytes in [text, &base64_inside(text)] {
        for secret in keys.iter().map(String::as_str).chain([COMMON]) {
            let at = memchr::memmem::find(bytes, secret.as_bytes());
            let around = at.map(|at| String::from_utf8_lossy(&bytes[at.saturating_sub(200)..at]).into_owned());
            assert_eq!(around, None, "{what} holds {secret}");
        }
    }
}

/// Asserts that neither the output nor any file except those in [`OWN`] contains a secret.
#[track_caller]
fn run_tells_none(sandbox: &Sandbox, said: &Output) {
    let keys = keys(sandbox);
    tells_none("stderr", said.stderr.as_bytes(), &keys);
    tells_none("stdout", said.stdout.as_bytes(), &keys);
    for (name, bytes) in files(sandbox.path()) {
        if !OWN.iter().any(|own| name.ends_with(own)) {
            tells_none(&name, &bytes, &keys);
        }
    }
}

/// All options of `record`, `replay` and `doctor` that have secrets.
fn given(sandbox: &Sandbox, upstream: &str) -> Vec<String> {
    let pair = sandbox.write("client-pair.pem", std::fs::read(repo("certs/client-pair.pem")).unwrap());
    let pair = format!("api.test={}", pair.display());
    let upstream = format!("http://bob:{UPSTREAM}@{upstream}");
    let auth = format!("ada:{AUTH}");
    ["--auth", &auth, "--upstream-proxy", &upstream, "--client-cert", &pair].map(str::to_owned).into()
}

fn args(command: &str, more: &[&[&str]], given: Vec<String>) -> Vec<String> {
    let words = [command].into_iter().chain(more.concat());
    words.map(str::to_owned).chain(given).collect()
}

fn client(server: &Server, proto: Proto) -> Client {
    Client { user: Some(format!("ada:{AUTH}")), ..server.client(proto) }
}

/// Sends requests with a secret in every place.
fn visit(client: &Client, host: &str) {
    let bearer = format!("Bearer {SENT}");
    let part = format!("--b\r\ncontent-disposition: form-data; name=\"password\"\r\n\r\n{SENT}\r\n--b--\r\n");
    let bodies = [
        ("application/json", format!("{{\"password\":\"{SENT}\"}}")),
        ("application/x-www-form-urlencoded", format!("a=b&client_secret={SENT}")),
        ("multipart/form-data; boundary=b", part),
    ];
    let urls = [
        format!("http://{host}/a?token={SENT}"),
        format!("https://{host}/a?access_token={SENT}"),
        format!("http://user:{USERINFO}@{host}/b"),
        format!("https://user:{USERINFO}@{host}/c"),
    ];
    for (url, (media, body)) in urls.iter().zip(bodies.iter().cycle()) {
        let ask =
            TestRequest::new("POST", url).header("authorization", &bearer).header("cookie", &format!("sid={SENT}"));
        if let Ok(got) = client.try_send(ask.header("content-type", media).body(body.as_str())) {
            tells_none("an answer", &got.body, &[]);
            tells_none("its headers", format!("{:?}", got.headers).as_bytes(), &[]);
        }
    }
}

/// The address of an unused port.
fn nobody() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// The upstream proxy answers, refuses the credentials, breaks off, or is not running.
#[test]
fn recording_output_contains_no_option_secret_whatever_the_upstream_proxy_does() {
    let good = RawOrigin::start(|head, stream| {
        assert!(String::from_utf8_lossy(head).to_lowercase().contains("proxy-authorization: basic"));
        let _ = match head.starts_with(b"CONNECT") {
            true => stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nno TLS at all\r\n\r\n"),
            false => stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"),
        };
    });
    let refusing = RawOrigin::saying(
        "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n",
    );
    let breaking = RawOrigin::saying("");
    let upstreams = [good.addr.to_string(), refusing.addr.to_string(), breaking.addr.to_string(), nobody()];
    for (n, upstream) in upstreams.iter().cycle().take(TALK.len() * 2).enumerate() {
        let (talk, variables) = TALK[n % TALK.len()];
        let sandbox = Sandbox::new();
        sandbox.write("harproxy.toml", format!("[redact.values]\npassword-1 = \"{GIVEN}\"\n"));
        let talk: &[&str] = if talk.contains(&"--log-format") { &[] } else { talk };
        let args = args("record", &[&["-o", HAR], talk, &REPORTS], given(&sandbox, upstream));
        let server = sandbox.start_with(&args, variables);
        tells_none("the ready line", server.ready().to_string().as_bytes(), &[]);
        visit(&client(&server, Proto::H1), "api.test");
        // Refused clients get no secret, and their own secrets are not logged.
        let stranger = Client { user: Some(format!("eve:{SENT}")), ..client(&server, Proto::H1) };
        visit(&stranger, "api.test");
        for path in ["/", "/healthz", "/ca.pem", "/nothing"] {
            let got = client(&server, Proto::H1).get(&format!("http://{}{path}", server.proxy()));
            tells_none(path, &got.body, &keys(&sandbox));
        }
        run_tells_none(&sandbox, &server.stop());
    }
}

/// A failed handshake is reported with host and reason only.
#[test]
fn tls_errors_contain_no_secret_of_the_request() {
    for (certificate, proto) in [("self-signed", Proto::H1), ("expired", Proto::H2), ("wrong-name", Proto::H1)] {
        let (sandbox, origin) = (Sandbox::new(), Origin::with_certificate(certificate));
        let options = args("record", &[&["-o", HAR, "-vvv"], &REPORTS], origin.args());
        let server = sandbox.start(&options);
        visit(&server.client(proto), "api.test");
        let said = server.stop();
        assert!(said.stderr.contains("certificate"), "{}", said.stderr);
        run_tells_none(&sandbox, &said);
    }
}

#[test]
fn doctor_output_contains_no_secret() {
    for (talk, variables) in TALK {
        let sandbox = Sandbox::new();
        sandbox.write("own.sh", format!("curl -sk -H 'authorization: Bearer {SENT}' 'https://u:{USERINFO}@api.test/?token={SENT}' -o /dev/null; true"));
        let options = args("doctor", &[talk], given(&sandbox, &nobody())[2..].to_vec());
        let mut command = sandbox.command(options.iter().map(String::as_str).chain(["--", "sh", "own.sh"]));
        let said = finish(command.envs(variables.iter().copied()).output().unwrap());
        run_tells_none(&sandbox, &said);
    }
}

/// Requests that match and requests that miss, as text and as JSON.
#[test]
fn explain_output_contains_no_secret() {
    let (sandbox, origin) = (Sandbox::new(), Origin::start());
    let server = sandbox.record(&origin);
    server.client(Proto::H1).get(&format!("https://api.test/api/json?token={SENT}"));
    server.stop().expect(0);
    let header = format!("Authorization: Bearer {SENT}");
    let data = format!("password={SENT}");
    for (talk, variables) in TALK {
        for url in [
            format!("https://api.test/api/json?token={SENT}-2"),
            format!("https://api.test/api/nothing?token={SENT}"),
            format!("https://user:{USERINFO}@api.test/api/json?access_token={SENT}"),
        ] {
            for form in [&[][..], &["--json"]] {
                let fixed = ["-H", &header, "-d", &data, "-X", "POST", "--url", &url];
                let mut command = sandbox.command(args("explain", &[&[HAR], talk, form, &fixed], Vec::new()));
                let said = finish(command.envs(variables.iter().copied()).output().unwrap());
                assert!(!said.stdout.is_empty(), "{}", said.stderr);
                run_tells_none(&sandbox, &said);
            }
        }
    }
}

/// An invalid value may be a mistyped secret, so the message does not repeat it.
#[test]
fn usage_errors_do_not_repeat_values() {
    let auth = format!("nocolon{AUTH}");
    let upstream = [format!("ftp://bob:{UPSTREAM}@proxy.test"), format!("bob:{UPSTREAM}@proxy.test:99999")];
    let reverse = [format!("api=https://u:{USERINFO}@h.test:999999"), format!("https://u:{USERINFO}@h.test/")];
    let (header, url) = (format!("authorization {SENT}"), format!("ht!tps://u:{USERINFO}@a.test/?token={SENT}"));
    let map = format!("https://u:{USERINFO}@h.test=1");
    let typed: [&[&str]; 8] = [
        &["record", "--auth", &auth],
        &["record", "--upstream-proxy", &upstream[0]],
        &["replay", "--upstream-proxy", &upstream[1]],
        &["record", "--reverse", &reverse[0]],
        &["record", "--reverse", &reverse[1]],
        &["record", "--map", &map],
        &["explain", "--url", "https://a.test", "-H", &header],
        &["explain", "--url", &url],
    ];
    for words in typed {
        let sandbox = Sandbox::new();
        let said = sandbox.run(words).expect(2).says("error: ");
        run_tells_none(&sandbox, &said);
        let sandbox = Sandbox::new();
        run_tells_none(&sandbox, &sandbox.run([words, &["--log-format", "json"]].concat()).expect(2));
    }
    for (name, value) in [("HARPROXY_AUTH", &auth), ("HARPROXY_UPSTREAM_PROXY", &upstream[0])] {
        let sandbox = Sandbox::new();
        let said = sandbox.command(["record", "--", "true"]).env(name, value).output().unwrap();
        run_tells_none(&sandbox, &finish(said).expect(2));
    }
    for line in [
        format!("auth = \"{auth}\""),
        format!("upstream-proxy = \"{}\"", upstream[0]),
        format!("auth = [\"{auth}\", 3]"),
    ] {
        let sandbox = Sandbox::new();
        sandbox.write("harproxy.toml", format!("[record]\n{line}\n"));
        run_tells_none(&sandbox, &sandbox.run(["record", "--", "true"]).expect(2));
    }
}

/// `config` shows the origin of each setting.
#[test]
fn config_shows_that_a_secret_is_set_without_its_value() {
    let sandbox = Sandbox::new();
    let lines = format!("auth = \"ada:{AUTH}\"\nupstream-proxy = \"http://bob:{UPSTREAM}@proxy.test\"\n");
    sandbox.write(
        "harproxy.toml",
        format!("[record]\n{lines}[replay]\n{lines}[redact.values]\npassword-1 = \"{GIVEN}\"\n"),
    );
    for form in [&["config"][..], &["config", "--json"]] {
        let said = sandbox.run(form).expect(0);
        assert!(said.stdout.contains("(redacted)"), "{}", said.stdout);
        run_tells_none(&sandbox, &said);
    }
    let mut command = sandbox.command(["config", "--json"]);
    command.env("HARPROXY_AUTH", format!("ada:{AUTH}"));
    let said = finish(command.output().unwrap()).expect(0);
    run_tells_none(&sandbox, &said);
}

/// The message names the files of the refused CA only.
#[cfg(unix)]
#[test]
fn error_about_a_readable_ca_key_does_not_print_it() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = Sandbox::new();
    sandbox.run(["ca", "path"]).expect(0);
    let key = files(sandbox.path()).into_iter().find(|(name, _)| name.ends_with("-key.pem")).unwrap().0;
    for spoilt in [false, true] {
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
        if spoilt {
            let text = std::fs::read_to_string(&key).unwrap();
            std::fs::write(&key, text.replacen('M', "!", 1)).unwrap();
            std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
        }
        let said = sandbox.run(["record", "-vvv", "--", "true"]);
        assert!(said.status == 2 || said.status == 3, "{said:?}");
        run_tells_none(&sandbox, &said);
    }
}

/// `{:?}` of types with secrets may be used in log lines.
#[test]
fn debug_output_contains_no_secret() {
    use harproxy_proxy::Credentials;
    use harproxy_proxy::upstream::{UpstreamPlan, UpstreamProxy};
    use harproxy_redact::{Placeholder, PlaceholderName, RunId, Secret, SecretStore};
    let values = vec![(Placeholder { name: PlaceholderName::new("password"), number: 1 }, Secret::from(GIVEN))];
    let plan = UpstreamPlan {
        proxy: UpstreamProxy::Url(format!("http://bob:{UPSTREAM}@proxy.test")),
        client_certs: vec![("api.test".to_owned(), repo("certs/client-pair.pem"))],
        ..UpstreamPlan::default()
    };
    let sandbox = Sandbox::new();
    let authority = harproxy_tls::authority::Authority::load_or_create(&sandbox.join("ca-folder")).unwrap();
    let options = harproxy_matching::Options { values: values.clone(), ..Default::default() };
    let printed = [
        format!("{:?}", Credentials { user: "ada".into(), password: AUTH.into() }),
        format!("{plan:?}"),
        format!("{:?}", harproxy_proxy::upstream::Upstream::anywhere(plan.clone()).unwrap()),
        format!("{:?}", harproxy::diagnose::doctor::Doctor::new(plan).unwrap()),
        format!("{values:?} {options:?}"),
        format!("{:?}", SecretStore::new(RunId::random(), &values)),
        format!("{:?}", harproxy_matching::Matcher::new(Vec::new(), None, options.clone())),
        format!("{authority:?}"),
    ];
    let keys = keys(&sandbox);
    printed.iter().for_each(|printed| tells_none(printed, printed.as_bytes(), &keys));
    let bytes = format!("{:?}", keys[0].as_bytes());
    assert!(!printed.concat().contains(bytes.trim_matches(['[', ']'])));
}
