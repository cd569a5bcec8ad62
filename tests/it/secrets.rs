//! Secrets never reach the disk: not the fixture, not the journal, no log and no report; and new ones next time change nothing.

use std::io::{Read, Write};
use std::path::Path;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use harproxy::record::Ending;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::client::{Ask, Client, Got, Proto};
use crate::support::origin::{Asked, Origin, Page};
use crate::support::rig::setup;
use crate::support::sandbox::{Sandbox, Server};

const HAR: &str = "hars/api.har";
const JOURNAL: &str = "hars/.api.har.journal";

/// What nobody may find, of one run.
#[derive(Clone)]
struct Secrets {
    password: String,
    jwt: String,
    refresh: String,
    second: String,
    session: String,
    query: String,
    code: String,
    state: String,
    packed: String,
    buried: String,
    event: String,
    key: String,
}

impl Secrets {
    fn of(run: u64) -> Self {
        let word = |name: &str| format!("{name}+{run}/Qz{:x}", run.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let part = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let claims =
            json!({ "iss": "api.test", "iat": 1_700_000_000 + run, "exp": 1_700_003_600 + run, "email": word("mail") });
        let jwt = format!("{}.{}.{}", part(json!({ "alg": "HS256" })), part(claims), part(json!(word("signature"))));
        Secrets {
            password: word("pass"),
            jwt,
            refresh: word("refresh"),
            second: word("second"),
            session: word("session"),
            query: word("query"),
            code: word("code"),
            state: word("state"),
            packed: word("packed"),
            buried: word("buried"),
            event: word("event"),
            key: word("key"),
        }
    }

    fn basic(&self) -> String {
        BASE64_STANDARD.encode(format!("ada:{}", self.password))
    }

    /// As they may stand anywhere.
    fn needles(&self) -> Vec<String> {
        let mut parts = self.jwt.split('.').skip(1).map(str::to_owned).collect::<Vec<_>>();
        parts.extend([self.basic(), self.password.clone(), self.refresh.clone(), self.second.clone()]);
        parts.extend([self.session.clone(), self.query.clone(), self.code.clone(), self.state.clone()]);
        parts.extend([self.packed.clone(), self.buried.clone(), self.event.clone(), self.key.clone()]);
        let encoded: Vec<String> = parts.iter().map(|part| escaped(part)).collect();
        parts.into_iter().chain(encoded).collect()
    }

    fn answer(&self, asked: &Asked) -> Option<Page> {
        let page = |media: &str, body: Vec<u8>| Page {
            status: 200,
            headers: vec![("content-type", media.to_owned())],
            body,
            ..Page::default()
        };
        let json = |value: Value| page("application/json", value.to_string().into_bytes());
        let cookie = ("set-cookie", format!("sid={}; Path=/; HttpOnly", self.session));
        Some(match asked.path.split('?').next().unwrap_or_default() {
            "/login" if String::from_utf8_lossy(&asked.body).contains(&self.password) => {
                let mut page =
                    json(json!({ "access_token": self.jwt, "refresh_token": self.refresh, "expires_in": 3600 }));
                page.headers.push(cookie);
                page
            }
            "/login" => Page { status: 401, ..json(json!({ "error": "wrong" })) },
            "/refresh" => json(json!({ "access_token": self.second, "token_type": "bearer" })),
            "/me" => json(json!({ "name": "Ada", "seen": ["with", self.refresh], "next_token": "page-2" })),
            "/oauth" => {
                let to = format!("https://app.test/cb?code={}&state={}", escaped(&self.code), escaped(&self.state));
                Page { status: 302, headers: vec![("location", to)], ..Page::default() }
            }
            "/packed" => {
                let mut page = json(json!({ "secret": self.packed, "n": 1 }));
                let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                gzip.write_all(&page.body).unwrap();
                page.body = gzip.finish().unwrap();
                page.headers.push(("content-encoding", "gzip".to_owned()));
                page
            }
            "/long" => {
                let rows: Vec<Value> = (0..9000).map(|n| json!({ "n": n, "text": "some text" })).collect();
                json(json!({ "rows": rows, "deep": { "api_key": self.buried } }))
            }
            "/events" => {
                let event = json!({ "token": self.event });
                page("text/event-stream", format!("data: {event}\n\ndata: {{\"n\":1}}\n\n").into_bytes())
            }
            "/image" => page("image/png", vec![0x89, b'P', b'N', b'G', 0]),
            _ => json(json!({ "ok": true })),
        })
    }

    fn origin(&self) -> Origin {
        let own = self.clone();
        Origin::answering(move |asked| own.answer(asked))
    }

    /// What a program does with them.
    fn visit(&self, client: &Client) -> Vec<Got> {
        let url = |path: &str| format!("https://api.test{path}");
        let get = |path: &str| Ask::new("GET", &url(path));
        let post = |path: &str, media: &str, body: String| {
            Ask::new("POST", &url(path)).header("content-type", media).body(body.into_bytes())
        };
        let form = format!("grant_type=refresh_token&refresh_token={}", escaped(&self.refresh));
        let login = json!({ "username": "ada", "password": self.password }).to_string();
        let asks = [
            post("/login", "application/json", login),
            get("/me")
                .header("authorization", &format!("Bearer {}", self.jwt))
                .header("cookie", &format!("sid={}; theme=dark", self.session)),
            post("/refresh", "application/x-www-form-urlencoded", form),
            get("/basic").header("authorization", &format!("Basic {}", self.basic())),
            get(&format!("/list?token={}&page=1", escaped(&self.query))),
            get(&format!("/oauth?state={}", escaped(&self.state))),
            get("/packed").header("accept-encoding", "gzip").header("x-api-key", &self.key),
            get("/long"),
            get(&format!("/by/{}", self.jwt)),
            get("/events"),
            get("/image"),
        ];
        asks.into_iter().map(|ask| client.ask(ask)).collect()
    }
}

fn escaped(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn record(sandbox: &Sandbox, origin: &Origin, output: &str, options: &[&str]) -> Server {
    let args = ["record", "-o", output].into_iter().chain(options.iter().copied()).map(str::to_owned);
    sandbox.start(args.chain(origin.args()))
}

fn client(server: &Server) -> Client {
    Client::new(server.proxy(), server.ca(), Proto::H1)
}

/// Every file below a folder, archives with their members.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for item in std::fs::read_dir(folder).unwrap() {
        let path = item.unwrap().path();
        if path.is_dir() {
            files.extend(self::files(&path));
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        if path.extension().is_some_and(|ending| ending == "zip") {
            let mut archive = zip::ZipArchive::new(std::io::Cursor::new(&bytes)).unwrap();
            for at in 0..archive.len() {
                let mut member = archive.by_index(at).unwrap();
                let name = member.name().unwrap_or_default().into_owned();
                let mut text = Vec::new();
                member.read_to_end(&mut text).unwrap();
                files.push((format!("{}:{name}", path.display()), text));
            }
        }
        files.push((path.display().to_string(), bytes));
    }
    files.sort();
    files
}

#[track_caller]
fn holds_none(what: &str, bytes: &[u8], secrets: &Secrets) {
    for needle in secrets.needles() {
        let at = memchr::memmem::find(bytes, needle.as_bytes());
        if let Some(at) = at {
            let around = &bytes[at.saturating_sub(80)..(at + needle.len() + 40).min(bytes.len())];
            panic!("{what} holds {needle}: {}", String::from_utf8_lossy(around));
        }
    }
}

#[track_caller]
fn folder_holds_none(sandbox: &Sandbox, secrets: &Secrets) {
    let files = files(&sandbox.join("hars"));
    assert!(!files.is_empty());
    for (name, bytes) in files {
        holds_none(&name, &bytes, secrets);
        holds_none(&name, &base64_inside(&bytes), secrets);
    }
}

/// Base64 payloads of an embedded fixture, decoded.
fn base64_inside(bytes: &[u8]) -> Vec<u8> {
    let words = bytes.split(|byte| !(byte.is_ascii_alphanumeric() || b"+/=".contains(byte)));
    words.filter(|word| word.len() > 20).filter_map(|word| BASE64_STANDARD.decode(word).ok()).flatten().collect()
}

#[test]
fn no_file_no_log_and_no_report_holds_a_secret_and_the_client_works_with_the_real_ones() {
    for (output, options) in [(HAR, &[][..]), (HAR, &["--content", "embed"]), ("hars/api.zip", &[])] {
        let (sandbox, secrets) = (Sandbox::new(), Secrets::of(7));
        let origin = secrets.origin();
        let options = [options, &["-vvv", "--report", "report.json"]].concat();
        let server = record(&sandbox, &origin, output, &options);
        let proto = if options.contains(&"embed") { Proto::H2 } else { Proto::H1 };
        let live = secrets.visit(&Client::new(server.proxy(), server.ca(), proto));
        let said = server.stop().expect(0);
        assert_eq!(live[0].json()["access_token"], secrets.jwt);
        assert!(live[0].header("set-cookie").unwrap().contains(&secrets.session));
        folder_holds_none(&sandbox, &secrets);
        holds_none("stderr", said.stderr.as_bytes(), &secrets);
        holds_none("stdout", said.stdout.as_bytes(), &secrets);
        holds_none("report", sandbox.read("report.json").as_bytes(), &secrets);
        let said = said.says("values; 1 payload could not be looked into");
        assert!(!said.stderr.contains("REDACTED_"), "{}", said.stderr);
    }
}

#[test]
fn what_stands_for_a_value_is_the_same_wherever_it_stood() {
    let (sandbox, secrets) = (Sandbox::new(), Secrets::of(7));
    let origin = secrets.origin();
    let server = record(&sandbox, &origin, HAR, &["--content", "embed"]);
    secrets.visit(&client(&server));
    server.stop().expect(0);
    let har = sandbox.har(HAR);
    let entries = har["log"]["entries"].as_array().unwrap();
    let header = |entry: usize, part: &str, name: &str| {
        let headers = entries[entry][part]["headers"].as_array().unwrap();
        headers.iter().find(|header| header["name"] == name).unwrap()["value"].as_str().unwrap().to_owned()
    };
    let text = |entry: usize| entries[entry]["response"]["content"]["text"].as_str().unwrap().to_owned();
    let login: Value = serde_json::from_str(&text(0)).unwrap();
    let jwt = login["access_token"].as_str().unwrap();
    assert!(jwt.ends_with(".REDACTED-access_token-1"), "{jwt}");
    assert_eq!(header(1, "request", "authorization"), format!("Bearer {jwt}"));
    assert_eq!(header(0, "response", "set-cookie"), "sid=REDACTED-sid-1; Path=/; HttpOnly");
    assert_eq!(header(1, "request", "cookie"), "sid=REDACTED-sid-1; theme=REDACTED-theme-1");
    assert_eq!(entries[1]["request"]["cookies"][0]["value"], "REDACTED-sid-1");
    assert_eq!(text(1), r#"{"name":"Ada","seen":["with","REDACTED-refresh_token-1"],"next_token":"page-2"}"#);
    let form = entries[2]["request"]["postData"]["text"].as_str().unwrap();
    assert_eq!(form, "grant_type=refresh_token&refresh_token=REDACTED-refresh_token-1");
    assert_eq!(header(3, "request", "authorization"), "Basic REDACTED-authorization-1");
    assert_eq!(entries[4]["request"]["url"], "https://api.test/list?token=REDACTED-token-1&page=1");
    assert_eq!(entries[4]["request"]["queryString"][0]["value"], "REDACTED-token-1");
    assert_eq!(
        entries[5]["response"]["redirectURL"],
        "https://app.test/cb?code=REDACTED-code-1&state=REDACTED-state-1"
    );
    assert_eq!(text(9), "data: {\"token\":\"REDACTED-token-2\"}\n\ndata: {\"n\":1}\n\n");
    assert_eq!(entries[0]["request"]["postData"]["text"], r#"{"username":"ada","password":"REDACTED-password-1"}"#);
}

#[test]
fn entirely_new_secrets_change_no_byte() {
    for (output, options) in [(HAR, &[][..]), (HAR, &["--content", "embed"]), ("hars/api.zip", &[])] {
        let sandbox = Sandbox::new();
        let run = |run: u64| {
            let secrets = Secrets::of(run);
            let origin = secrets.origin();
            let server = record(&sandbox, &origin, output, options);
            secrets.visit(&client(&server));
            (server.stop().expect(0), files(&sandbox.join("hars")))
        };
        let (_, first) = run(7);
        let (said, second) = run(8123);
        let said = said.says("11 unchanged");
        for ((name, before), (_, after)) in first.iter().zip(&second) {
            assert_eq!(String::from_utf8_lossy(before), String::from_utf8_lossy(after), "{name}: {}", said.stderr);
        }
        assert_eq!(first.len(), second.len());
    }
}

#[test]
fn a_journal_holds_none_and_what_is_recovered_from_it_neither() {
    let (sandbox, secrets) = (Sandbox::new(), Secrets::of(7));
    let origin = secrets.origin();
    let server = record(&sandbox, &origin, HAR, &[]);
    secrets.visit(&client(&server));
    server.signal(Signal::SIGKILL);
    server.wait();
    let journal = std::fs::read(sandbox.join(JOURNAL)).unwrap();
    holds_none("the journal", &journal, &secrets);
    assert!(memchr::memmem::find(&journal, b"REDACTED_").is_some());
    sandbox.run(["recover", HAR]).expect(0);
    folder_holds_none(&sandbox, &secrets);
    let text = sandbox.read(HAR);
    assert!(text.contains("REDACTED-password-1") && !text.contains("REDACTED_"), "{text}");
}

#[test]
fn a_held_recording_holds_none() {
    let (sandbox, secrets) = (Sandbox::new(), Secrets::of(7));
    let origin = secrets.origin();
    for ending in [Ending::Clean, Ending::Failed] {
        let rig = setup(&sandbox).to(&origin).globs(["https://api.test/**"]).start(&sandbox).unwrap();
        secrets.visit(&rig.client(Proto::H1));
        let outcome = rig.finish(ending);
        assert_eq!(outcome.held.is_some(), ending == Ending::Failed);
    }
    assert!(sandbox.join("hars/.api.har.held").exists());
    folder_holds_none(&sandbox, &secrets);
}

#[test]
fn what_was_written_down_before_it_was_known_is_swept() {
    let (sandbox, secrets) = (Sandbox::new(), Secrets::of(7));
    let early = secrets.refresh.clone();
    let own = secrets.clone();
    let origin = Origin::answering(move |asked| match &*asked.path {
        "/early" => Some(Page {
            status: 200,
            headers: vec![("content-type", "text/plain".into()), ("x-hint", early.clone())],
            body: format!("the value is {early}.").into_bytes(),
            ..Page::default()
        }),
        _ => own.answer(asked),
    });
    let server = record(&sandbox, &origin, HAR, &["--content", "embed"]);
    client(&server).get("https://api.test/early");
    secrets.visit(&client(&server));
    server.stop().expect(0);
    folder_holds_none(&sandbox, &secrets);
    let har = sandbox.har(HAR);
    let text = har["log"]["entries"][0]["response"]["content"]["text"].as_str().unwrap();
    assert!(text.starts_with("the value is REDACTED-refresh_token-1"), "{text}");
}

#[test]
fn a_changed_answer_keeps_the_placeholders_of_its_neighbours() {
    let sandbox = Sandbox::new();
    let run = |run: u64, extra: bool| {
        let secrets = Secrets::of(run);
        let own = secrets.clone();
        let origin = Origin::answering(move |asked| {
            let mut page = own.answer(asked)?;
            if extra && asked.path == "/refresh" {
                page.body = json!({ "new": 1, "access_token": own.second, "token_type": "bearer" }).to_string().into();
            }
            Some(page)
        });
        let server = record(&sandbox, &origin, HAR, &["--content", "embed"]);
        secrets.visit(&client(&server));
        server.stop().expect(0);
        sandbox.read(HAR)
    };
    let (before, after) = (run(7, false), run(99, true));
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let (before, after) = (lines(&before), lines(&after));
    let changed: Vec<&String> = after.iter().filter(|line| !before.contains(line)).collect();
    assert!(changed.iter().all(|line| !line.contains("REDACTED") || line.contains("\\\"new\\\"")), "{changed:#?}");
    assert!(changed.iter().any(|line| line.contains("REDACTED-access_token-2")), "{changed:#?}");
}

#[test]
fn right_and_wrong_password_are_told_with_the_remedy() {
    let (sandbox, secrets) = (Sandbox::new(), Secrets::of(7));
    let origin = secrets.origin();
    let server = record(&sandbox, &origin, HAR, &[]);
    let login = |password: &str| {
        let body = json!({ "username": "ada", "password": password }).to_string();
        Ask::new("POST", "https://api.test/login").header("content-type", "application/json").body(body)
    };
    assert_eq!(client(&server).ask(login(&secrets.password)).status, 200);
    assert_eq!(client(&server).ask(login("wr0ng-one")).status, 401);
    let said = server.stop().expect(0).says("ambiguous").says("REDACTED-password-2").says("[redact.values]");
    assert!(!said.stderr.contains("wr0ng-one"), "{}", said.stderr);

    let config = sandbox.write("harproxy.toml", "[redact.values]\npassword-2 = \"env:BAD_PW\"\n");
    let args = ["record", "-o", HAR, "--update", "replace", "--config", config.to_str().unwrap()].map(str::to_owned);
    let args: Vec<String> = args.into_iter().chain(origin.args()).collect();
    let server = sandbox.start_with(&args, &[("BAD_PW", "wr0ng-one")]);
    client(&server).ask(login("wr0ng-one"));
    client(&server).ask(login(&secrets.password));
    let said = server.stop().expect(0);
    assert!(!said.stderr.contains("ambiguous"), "{}", said.stderr);
    let text = sandbox.read(HAR);
    assert!(text.contains("REDACTED-password-2") && text.contains("REDACTED-password-1"), "{text}");
}

/// Longer than is held: they pass through a window, coded or not, both ways.
#[test]
fn a_payload_that_is_too_long_to_be_held_holds_none() {
    const ROWS: usize = 16_000;
    let (sandbox, secrets) = (Sandbox::new(), Secrets::of(7));
    let long = |secret: &str| {
        let rows = format!("{{\"n\":1,\"text\":\"{}\"}},", "some words ".repeat(100)).repeat(ROWS);
        format!("{{\"rows\":[{rows}{{\"api_key\":\"{secret}\"}}],\"token\":\"{secret}\"}}")
    };
    let (plain, packed) = (long(&secrets.buried), long(&secrets.packed));
    assert!(plain.len() > 16 << 20);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(packed.as_bytes()).unwrap();
    let coded = gzip.finish().unwrap();
    let origin = Origin::answering(move |asked| {
        let (coding, body) = match &*asked.path {
            "/coded" => ("gzip", coded.clone()),
            _ => ("identity", b"{}".to_vec()),
        };
        let headers = vec![("content-type", "application/json".to_owned()), ("content-encoding", coding.to_owned())];
        Some(Page { status: 200, headers, body, ..Page::default() })
    });
    let server = record(&sandbox, &origin, HAR, &[]);
    let client = client(&server);
    let upload = Ask::new("POST", "https://api.test/plain").header("content-type", "application/json");
    client.ask(upload.body(plain.clone()));
    assert!(client.get("https://api.test/coded").decoded() == packed.as_bytes());
    server.stop().expect(0);
    folder_holds_none(&sandbox, &secrets);
    let har = sandbox.har(HAR);
    let entries = &har["log"]["entries"];
    let content = &entries[1]["response"]["content"];
    assert!(content.get("_truncated").is_none(), "{content}");
    assert!(content["size"].as_u64().unwrap().abs_diff(packed.len() as u64) < 100, "{content}");
    let sent = &entries[0]["request"]["postData"];
    assert!(sent["_file"].is_string() && sent.get("_truncated").is_none(), "{sent}");
}

/// Half a document can't be parsed, and is looked into all the same.
#[test]
fn a_payload_that_was_cut_holds_none() {
    let (sandbox, secrets) = (Sandbox::new(), Secrets::of(7));
    let own = secrets.clone();
    let origin = Origin::answering(move |_| {
        let body = json!({ "a_token": 1, "token": own.query, "text": "x".repeat(5000) }).to_string();
        let headers = vec![("content-type", "application/json".to_owned())];
        Some(Page { status: 200, headers, body: body.into(), ..Page::default() })
    });
    let server = record(&sandbox, &origin, HAR, &["--content", "embed", "--max-body", "1000"]);
    client(&server).get("https://api.test/cut");
    server.stop().expect(0);
    folder_holds_none(&sandbox, &secrets);
    let content = sandbox.har(HAR)["log"]["entries"][0]["response"]["content"].clone();
    assert!(content["text"].as_str().unwrap().contains("REDACTED-token-1"), "{content}");
    assert_eq!(content["_truncated"]["reason"], "max-body");
}

/// A coding that breaks off, or goes on behind its end, hides nothing: whoever has the bytes reads them all the same.
#[test]
fn a_payload_that_does_not_quite_decode_holds_none() {
    let (sandbox, secrets) = (Sandbox::new(), Secrets::of(7));
    let own = secrets.clone();
    let origin = Origin::answering(move |asked| {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(json!({ "token": own.packed, "n": 1 }).to_string().as_bytes()).unwrap();
        let mut body = gzip.finish().unwrap();
        match &*asked.path {
            "/short" => body.truncate(body.len() - 8),
            _ => body.extend(b"behind the end"),
        }
        let headers = vec![("content-type", "application/json".to_owned()), ("content-encoding", "gzip".to_owned())];
        Some(Page { status: 200, headers, body, ..Page::default() })
    });
    let server = record(&sandbox, &origin, HAR, &["--content", "embed"]);
    for path in ["/short", "/long"] {
        client(&server).get(&format!("https://api.test{path}"));
    }
    server.stop().expect(0);
    for entry in sandbox.har(HAR)["log"]["entries"].as_array().unwrap() {
        let content = &entry["response"]["content"];
        assert_eq!(content["text"], r#"{"token":"REDACTED-token-1","n":1}"#, "{content}");
        assert_eq!(content["_truncated"]["reason"], "undecodable", "{content}");
    }
}

/// What a project adds to the table and takes from it, and what is personal: found again by whatever else stands there.
#[test]
fn what_the_policy_names_is_taken_out_and_replays_with_other_values() {
    const POLICY: &str = r#"
[redact]
headers  = ["x-internal-token"]
query    = ["sig2"]
json     = ["$.card.number", "$..ssn"]
text     = ["acme_[0-9A-Za-z]+"]
except   = ["cookie:theme"]
personal = true
"#;
    let sandbox = Sandbox::new();
    sandbox.write("harproxy.toml", POLICY);
    let origin = Origin::answering(|asked| {
        let headers = vec![("content-type", asked.headers["content-type"].to_str().unwrap().to_owned())];
        Some(Page { status: 200, headers, body: asked.body.clone(), ..Page::default() })
    });
    let ask = |run: &str, number: u64, mail: &str| {
        let person = json!({ "ssn": format!("ssn{run}"), "mail": mail, "note": format!("see acme_{run}.") });
        let body = json!({ "card": { "number": number }, "people": [person], "plan": "free" });
        Ask::new("POST", &format!("https://api.test/orders?sig2=sig{run}&page=1"))
            .header("content-type", "application/json")
            .header("x-internal-token", &format!("internal{run}"))
            .header("cookie", "theme=dark")
            .body(body.to_string().into_bytes())
    };
    let server = record(&sandbox, &origin, HAR, &["--content", "embed", "-vvv"]);
    client(&server).ask(ask("Real1", 4_111_111_111_111_111, "ada@lovelace.test"));
    let said = server.stop().expect(0).stderr;
    let har = sandbox.read(HAR);
    for text in [&har, &said] {
        for secret in ["Real1", "4111111111111111", "lovelace"] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
    }
    for kept in ["theme=dark", "page=1", "plan", "@example.invalid", "73322833001", "REDACTED-ssn-1"] {
        assert!(har.contains(kept), "{kept}: {har}");
    }
    drop(origin);
    let server = sandbox.start(["replay", HAR]);
    let got = client(&server).ask(ask("Other22", 7, "eve@elsewhere.test"));
    assert_eq!(got.status, 200, "{}", got.text());
    server.stop().expect(0);
}

#[test]
fn without_redaction_everything_is_stored_as_it_came() {
    let (sandbox, secrets) = (Sandbox::new(), Secrets::of(7));
    let origin = secrets.origin();
    let server = record(&sandbox, &origin, HAR, &["--content", "embed", "--no-redact"]);
    secrets.visit(&client(&server));
    let said = server.stop().expect(0);
    assert!(sandbox.read(HAR).contains(&secrets.jwt) && !said.stderr.contains("redacted 1"), "{}", said.stderr);
}

/// Not in the variables, where it belongs, but in the document itself.
#[test]
fn a_password_in_a_graphql_document_is_taken_out_and_another_fits() {
    let sandbox = Sandbox::new();
    let origin = Origin::answering(|_| {
        let headers = vec![("content-type", "application/json".to_owned())];
        Some(Page { status: 200, headers, body: br#"{"data":{"ok":true}}"#.to_vec(), ..Page::default() })
    });
    let login = |user: &str, password: &str| {
        let document = format!("mutation {{ login(user: \"{user}\", password: \"{password}\") {{ ok }} }}");
        let ask = Ask::new("POST", "https://api.test/graphql").header("content-type", "application/json");
        ask.body(json!({ "query": document }).to_string())
    };
    let server = record(&sandbox, &origin, HAR, &[]);
    client(&server).ask(login("ada", "correct horse"));
    server.stop().expect(0);
    drop(origin);
    let har = sandbox.read(HAR);
    assert!(!har.contains("correct horse") && har.contains("REDACTED-password-1"), "{har}");
    let server = sandbox.start(["replay", HAR]);
    let client = client(&server);
    assert_eq!(client.ask(login("ada", "of the CI")).status, 200);
    let missed = client.ask(login("bob", "hidden from all"));
    assert_eq!(missed.status, 501);
    assert!(!missed.text().contains("hidden from all"), "{}", missed.text());
    let told = server.stop().expect(1).stderr;
    assert!(!told.contains("hidden from all"), "{told}");
}
