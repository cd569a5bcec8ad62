//! Secrets are written to no fixture, journal, log or report. Different secrets in the next recording change no byte.

mod flows;
mod formats;
mod known;
mod names;
mod outputs;
mod own;
mod payloads;
mod recording;
mod replaying;

use std::io::{Read, Write};
use std::path::Path;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::support::client::{Client, TestRequest, TestResponse};
use crate::support::origin::{Origin, OriginRequest, OriginResponse};
use crate::support::sandbox::{Sandbox, Server};

const HAR: &str = "hars/api.har";
const JOURNAL: &str = "hars/.api.har.journal";

/// The secrets of one run.
#[derive(Clone)]
pub struct Secrets {
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
    pub fn of(run: u64) -> Self {
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

    /// All spellings of the secrets that outputs are searched for.
    fn needles(&self) -> Vec<String> {
        let mut parts = self.jwt.split('.').skip(1).map(str::to_owned).collect::<Vec<_>>();
        parts.extend([self.basic(), self.password.clone(), self.refresh.clone(), self.second.clone()]);
        parts.extend([self.session.clone(), self.query.clone(), self.code.clone(), self.state.clone()]);
        parts.extend([self.packed.clone(), self.buried.clone(), self.event.clone(), self.key.clone()]);
        let encoded: Vec<String> = parts.iter().map(|part| escaped(part)).collect();
        parts.into_iter().chain(encoded).collect()
    }

    fn answer(&self, request: &OriginRequest) -> Option<OriginResponse> {
        let page = |media: &str, body: Vec<u8>| OriginResponse {
            status: 200,
            headers: vec![("content-type", media.to_owned())],
            body,
            ..OriginResponse::default()
        };
        let json = |value: Value| page("application/json", value.to_string().into_bytes());
        let cookie = ("set-cookie", format!("sid={}; Path=/; HttpOnly", self.session));
        Some(match request.path.split('?').next().unwrap_or_default() {
            "/login" if String::from_utf8_lossy(&request.body).contains(&self.password) => {
                let mut page =
                    json(json!({ "access_token": self.jwt, "refresh_token": self.refresh, "expires_in": 3600 }));
                page.headers.push(cookie);
                page
            }
            "/login" => OriginResponse { status: 401, ..json(json!({ "error": "wrong" })) },
            "/refresh" => json(json!({ "access_token": self.second, "token_type": "bearer" })),
            "/me" => json(json!({ "name": "Ada", "seen": ["with", self.refresh], "next_token": "page-2" })),
            "/oauth" => {
                let to = format!("https://app.test/cb?code={}&state={}", escaped(&self.code), escaped(&self.state));
                OriginResponse { status: 302, headers: vec![("location", to)], ..OriginResponse::default() }
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

    pub fn origin(&self) -> Origin {
        let own = self.clone();
        Origin::answering(move |request| own.answer(request))
    }

    /// Sends requests that contain the secrets, like a program would.
    pub fn visit(&self, client: &Client) -> Vec<TestResponse> {
        let url = |path: &str| format!("https://api.test{path}");
        let get = |path: &str| TestRequest::new("GET", &url(path));
        let post = |path: &str, media: &str, body: String| {
            TestRequest::new("POST", &url(path)).header("content-type", media).body(body.into_bytes())
        };
        let form = format!("grant_type=refresh_token&refresh_token={}", escaped(&self.refresh));
        let login = json!({ "username": "ada", "password": self.password }).to_string();
        let requests = [
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
        requests.into_iter().map(|request| client.send(request)).collect()
    }
}

fn escaped(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn record(sandbox: &Sandbox, origin: &Origin, output: &str, options: &[&str]) -> Server {
    let args = ["record", "-o", output].into_iter().chain(options.iter().copied()).map(str::to_owned);
    sandbox.start(args.chain(origin.args()))
}

/// All files below a folder, including the members of archives.
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
pub fn assert_no_secret(what: &str, bytes: &[u8], secrets: &Secrets) {
    for needle in secrets.needles() {
        let at = memchr::memmem::find(bytes, needle.as_bytes());
        if let Some(at) = at {
            let around = &bytes[at.saturating_sub(80)..(at + needle.len() + 40).min(bytes.len())];
            panic!("{what} holds {needle}: {}", String::from_utf8_lossy(around));
        }
    }
}

#[track_caller]
fn assert_no_secret_in_folder(sandbox: &Sandbox, secrets: &Secrets) {
    let files = files(&sandbox.join("hars"));
    assert!(!files.is_empty());
    for (name, bytes) in files {
        assert_no_secret(&name, &bytes, secrets);
        assert_no_secret(&name, &base64_inside(&bytes), secrets);
    }
}

/// Base64 payloads of an embedded fixture, decoded.
fn base64_inside(bytes: &[u8]) -> Vec<u8> {
    let words = bytes.split(|byte| !(byte.is_ascii_alphanumeric() || b"+/=".contains(byte)));
    words.filter(|word| word.len() > 20).filter_map(|word| BASE64_STANDARD.decode(word).ok()).flatten().collect()
}
