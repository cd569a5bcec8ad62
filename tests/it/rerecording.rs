//! Recording again under git: the diff holds what changed, and nothing else.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::support::client::{Proto, TestRequest};
use crate::support::origin::{Origin, OriginRequest, OriginResponse};
use crate::support::sandbox::{Output, Sandbox};

/// The data of the API that tests change.
#[derive(Clone, Debug)]
struct ApiData {
    name: &'static str,
    price: u32,
    version: &'static str,
}

/// A project with its fixture in git, and an API whose volatile values change with every response.
struct Project {
    sandbox: Sandbox,
    origin: Origin,
    world: Arc<Mutex<ApiData>>,
    form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Attach,
    Embed,
    Zip,
}

impl Form {
    fn args(self) -> &'static [&'static str] {
        match self {
            Form::Attach => &["-o", "hars/api.har"],
            Form::Embed => &["-o", "hars/api.har", "--content", "embed"],
            Form::Zip => &["-o", "hars/api.zip"],
        }
    }
}

const POLICY: &str = "[volatile]\nheaders = [\"x-build\"]\njson = [\"$.generatedAt\", \"$.items[*].seen\"]\n";

impl Project {
    /// A project that was recorded once and committed.
    fn new(form: Form) -> Self {
        let world = Arc::new(Mutex::new(ApiData { name: "Ada", price: 100, version: "1" }));
        let (api, answers) = (world.clone(), AtomicU64::new(1_000_000));
        let origin = Origin::answering(move |request| {
            let n = answers.fetch_add(1, Ordering::Relaxed);
            Some(page(&api.lock().unwrap(), request, n))
        });
        let project = Project { sandbox: Sandbox::new(), origin, world, form };
        project.sandbox.write("harproxy.toml", POLICY);
        project.sandbox.write(".gitignore", "/*\n!/hars\n");
        project.git(&["init", "-q"]);
        project.record(Proto::H1, 3, &VISIT).expect(0);
        project.commit();
        project
    }

    fn record(&self, proto: Proto, polls: usize, visit: &[(&str, &str)]) -> Output {
        self.record_with(proto, polls, visit, &[])
    }

    fn record_with(&self, proto: Proto, polls: usize, visit: &[(&str, &str)], more: &[&str]) -> Output {
        let mut args = vec!["record".to_owned(), "--record-failures".to_owned()];
        args.extend(self.form.args().iter().chain(more).map(|&arg| arg.to_owned()));
        args.extend(self.origin.args());
        let recorder = self.sandbox.start(args);
        let client = recorder.client(proto);
        for (method, path) in visit {
            let times = if *path == "/job" { polls } else { 1 };
            for poll in 0..times {
                let agent = format!("{proto:?} {:?}", std::time::Instant::now());
                let mut request = TestRequest::new(method, &format!("https://api.test{path}"))
                    .header("user-agent", &agent)
                    .header("te", "trailers");
                if poll + 1 == times && *path == "/job" {
                    request = request.header("x-last", "yes");
                }
                if *method == "POST" {
                    request = request.header("content-type", "application/json").body(r#"{"item":7}"#);
                }
                client.send(request);
            }
        }
        // A port without a listener.
        client.get("http://127.0.0.1:1/down");
        recorder.stop()
    }

    fn git(&self, args: &[&str]) -> String {
        let output = Command::new("git")
            .args(["-c", "user.name=t", "-c", "user.email=t@example.invalid", "-c", "core.autocrlf=false"])
            .args(args)
            .current_dir(self.sandbox.path())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn commit(&self) {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", "recorded"]);
    }

    fn status(&self) -> String {
        self.git(&["status", "--porcelain"])
    }

    /// The added and removed lines of each file. A renamed payload is one file.
    fn numstat(&self) -> Vec<String> {
        self.git(&["add", "-A"]);
        let stat = self.git(&["diff", "--cached", "-M30%", "--minimal", "--numstat"]);
        stat.lines().map(|line| line.replace('\t', " ")).collect()
    }

    /// The changed lines of the HAR.
    fn lines(&self) -> Vec<String> {
        self.git(&["add", "-A"]);
        let diff = self.git(&["diff", "--cached", "-U0", "--", "hars/api.har"]);
        let lines = diff
            .lines()
            .filter(|line| line.starts_with(['+', '-']) && !line.starts_with("+++") && !line.starts_with("---"));
        lines.map(|line| format!("{}{}", &line[..1], line[1..].trim())).collect()
    }

    fn change(&self, change: impl FnOnce(&mut ApiData)) {
        change(&mut self.world.lock().unwrap());
    }

    /// Edits a file of the fixture.
    fn edit(&self, path: &str, edit: impl FnOnce(String) -> String) {
        let text = self.sandbox.read(path);
        let edited = edit(text.clone());
        assert_ne!(text, edited, "nothing was edited");
        self.sandbox.write(path, edited);
    }

    /// The payload file of the entry for a path.
    fn payload(&self, path: &str) -> String {
        let har = self.sandbox.har("hars/api.har");
        let entries = har["log"]["entries"].as_array().unwrap();
        let url = format!("https://api.test{path}");
        let entry = entries.iter().find(|entry| entry["request"]["url"] == url).unwrap_or_else(|| panic!("no {url}"));
        format!("hars/{}", entry["response"]["content"]["_file"].as_str().unwrap())
    }
}

const VISIT: [(&str, &str); 14] = [
    ("POST", "/login"),
    ("GET", "/user"),
    ("HEAD", "/user"),
    ("GET", "/old"),
    ("GET", "/old/2"),
    ("GET", "/items"),
    ("GET", "/job"),
    ("POST", "/orders"),
    ("GET", "/list"),
    ("GET", "/page"),
    ("GET", "/image"),
    ("GET", "/sum"),
    ("DELETE", "/user"),
    ("GET", "/missing"),
];

/// A response; `n` differs every time.
fn page(world: &ApiData, asked: &OriginRequest, n: u64) -> OriginResponse {
    let ApiData { name, price, version } = world;
    let json = |status, body: String| OriginResponse {
        status,
        headers: vec![("content-type", "application/json".into())],
        body: body.into(),
        trailers: vec![],
    };
    let text = |mime: &str, body: &[u8]| OriginResponse {
        status: 200,
        headers: vec![("content-type", mime.into())],
        body: body.to_vec(),
        trailers: vec![],
    };
    let to = |location: &str| OriginResponse {
        status: 302,
        headers: vec![("location", location.into())],
        ..OriginResponse::default()
    };
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_795_000_000 + n);
    let date = httpdate::fmt_http_date(time);
    let mut page = match asked.path.as_str() {
        "/login" => {
            let claims = format!(r#""iat":{},"exp":{}"#, 1_795_000_000 + n, 1_795_003_600 + n);
            let token = format!(r#""access_token":"s3cr3t-of-{n}","expires_in":{n}"#);
            let mut page = json(200, format!(r#"{{"user":7,{claims},{token},"id_token":"{}"}}"#, jwt(n)));
            page.headers.push(("set-cookie", format!("sid=session-{n}; Path=/; HttpOnly")));
            page.headers.push(("set-cookie", format!("lang=en; Expires={date}; Max-Age={n}; Path=/")));
            page.headers.push(("set-cookie", "theme=dark; Path=/".into()));
            page
        }
        "/user" if asked.method == "DELETE" => OriginResponse { status: 204, ..OriginResponse::default() },
        "/user" => json(200, format!(r#"{{"generatedAt":{n},"id":7,"name":"{name}","tags":["a","b"],"ratio":1.50}}"#)),
        "/old" => to("/old/2"),
        "/old/2" => to("/user"),
        "/items" => {
            let item =
                |at: u32| format!(r#"{{"id":{at},"price":{},"seen":{n}}}"#, if at == 4 { *price } else { 10 * at });
            json(200, format!(r#"{{"items":[{}]}}"#, (0..8).map(item).collect::<Vec<_>>().join(",")))
        }
        "/job" => {
            let last = asked.headers.contains_key("x-last");
            json(200, format!(r#"{{"state":"{}"}}"#, if last { "done" } else { "pending" }))
        }
        "/orders" => json(201, String::from_utf8_lossy(&asked.body).into_owned()),
        "/list" => {
            let list: Vec<String> = (0..50).map(|at| format!(r#"{{"at":{at},"price":{price}}}"#)).collect();
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            gzip.write_all(format!("[{}]", list.join(",")).as_bytes()).unwrap();
            let mut page = text("application/json", &gzip.finish().unwrap());
            page.headers.push(("content-encoding", "gzip".into()));
            page
        }
        "/page" => text("text/html", b"<!doctype html>\n<title>Page</title>\n"),
        "/image" => text("image/png", b"\x89PNG\r\n\x1a\n"),
        "/sum" => {
            let mut page =
                OriginResponse { trailers: vec![("x-checksum", "abc")], ..text("text/plain", b"with trailers") };
            page.headers.push(("trailer", "x-checksum".into()));
            page
        }
        "/new" => json(200, r#"{"is":"new"}"#.into()),
        _ => json(404, r#"{"error":"none"}"#.into()),
    };
    page.headers.push(("date", date.clone()));
    page.headers.push(("etag", format!("\"{n}\"")));
    page.headers.push(("last-modified", date));
    page.headers.push(("x-request-id", format!("req-{n}")));
    page.headers.push(("x-build", n.to_string()));
    page.headers.push(("x-version", (*version).into()));
    page
}

fn jwt(n: u64) -> String {
    use base64::Engine;
    let part = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    let claims = format!(r#"{{"iss":"api.test","sub":"{n}","iat":{},"exp":{}}}"#, 1_795_000_000 + n, 1_795_003_600 + n);
    format!(
        "{}.{}.{}",
        part(r#"{"alg":"HS256"}"#),
        part(&claims),
        part(&format!("a signature that is long enough {n}"))
    )
}

#[test]
fn unchanged_recording_leaves_git_clean() {
    for form in [Form::Attach, Form::Embed, Form::Zip] {
        let project = Project::new(form);
        for (proto, polls) in [(Proto::H2, 3), (Proto::H1, 5), (Proto::H2, 2)] {
            let mut visit = VISIT;
            visit.rotate_left(polls);
            let output = project.record(proto, polls, &visit).expect(0);
            assert!(output.stderr.contains("17 unchanged, 0 changed, 0 added, 0 not seen\\n"), "{}", output.stderr);
            assert_eq!(project.status(), "", "{form:?} {proto:?}");
        }
    }
}

#[test]
fn changed_field_changes_one_line_of_its_payload() {
    let project = Project::new(Form::Attach);
    project.change(|world| world.name = "Eva");
    project.record(Proto::H2, 3, &[("GET", "/user")]).expect(0).says("1 unchanged, 1 changed, 0 added, 15 not seen");
    let stat = project.numstat();
    assert_eq!(stat.len(), 2, "{stat:?}");
    // The name of the payload, and its validator.
    assert_eq!((&*stat[0], stat[1].starts_with("1 1 hars/api/{")), ("2 2 hars/api.har", true), "{stat:?}");
    let lines = project.lines();
    assert!(lines.iter().all(|line| line.contains("\"_file\"") || line.contains("\"value\": \"\\\"1")), "{lines:?}");
    assert!(project.sandbox.read(&project.payload("/user")).contains("\"name\": \"Eva\""));
    // The next recording changes nothing.
    project.commit();
    project.record(Proto::H1, 3, &VISIT).expect(0).says(": 17 unchanged");
}

#[test]
fn changed_list_item_header_and_status_change_one_line_each() {
    let project = Project::new(Form::Attach);
    project.change(|world| world.price = 101);
    project.record(Proto::H2, 3, &[("GET", "/items")]).expect(0).says("1 changed");
    assert_eq!(project.numstat()[0], "2 2 hars/api.har");
    assert!(project.numstat()[1].starts_with("1 1 "), "what was seen when is volatile: {:?}", project.numstat());
    project.commit();
    project.change(|world| world.version = "2");
    // The same for a login with new cookies and tokens.
    for request in [("GET", "/old"), ("POST", "/login")] {
        project.record(Proto::H1, 3, &[request]).expect(0).says("1 changed");
        assert_eq!(
            project.lines(),
            ["-{ \"name\": \"x-version\", \"value\": \"1\" },", "+{ \"name\": \"x-version\", \"value\": \"2\" },"]
        );
        assert_eq!(project.numstat(), ["1 1 hars/api.har"]);
        project.commit();
    }
}

#[test]
fn changed_embedded_payload_changes_its_text_line() {
    let project = Project::new(Form::Embed);
    project.change(|world| world.name = "Eva");
    project.record(Proto::H2, 3, &[("GET", "/user")]).expect(0).says("1 changed");
    assert_eq!(project.numstat(), ["2 2 hars/api.har"]);
    let lines = project.lines();
    let text =
        |sign: &str| lines.iter().find(|line| line.starts_with(&format!("{sign}\"text\""))).unwrap()[1..].to_owned();
    assert_eq!(text("-").replace("Ada", "Eva"), text("+"));
}

#[test]
fn new_endpoint_adds_one_block_and_its_payload() {
    let project = Project::new(Form::Attach);
    let mut visit = VISIT.to_vec();
    visit.insert(4, ("GET", "/new"));
    project.record(Proto::H2, 3, &visit).expect(0).says(": 17 unchanged, 0 changed, 1 added, 0 not seen");
    let stat = project.numstat();
    assert_eq!(stat.len(), 2, "{stat:?}");
    assert!(stat[0].split(' ').nth(1) == Some("0") && stat[0].ends_with("hars/api.har"), "{stat:?}");
    assert!(stat[1].starts_with("3 0 hars/api/"), "{stat:?}");
    let har = project.sandbox.har("hars/api.har");
    let urls: Vec<&str> = har["log"]["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["request"]["url"].as_str().unwrap())
        .collect();
    let new = urls.iter().position(|url| url.ends_with("/new")).unwrap();
    assert!(urls[new - 1].ends_with("/old"), "behind what preceded it on its connection: {urls:?}");
}

#[test]
fn unseen_entries_stay_unless_the_fixture_is_replaced() {
    let project = Project::new(Form::Attach);
    let all = project.sandbox.har("hars/api.har")["log"]["entries"].as_array().unwrap().len();
    let some = [("GET", "/user"), ("GET", "/list")];
    project
        .record(Proto::H2, 3, &some)
        .expect(0)
        .says(&format!(": 3 unchanged, 0 changed, 0 added, {} not seen", all - 3));
    assert_eq!(project.status(), "");
    project.change(|world| world.name = "Eva");
    project.record_with(Proto::H2, 3, &some, &["--update", "missing"]).expect(0);
    assert_eq!(project.status(), "", "missing only adds");
    project.change(|world| world.name = "Ada");
    project.record_with(Proto::H2, 3, &some, &["--update", "replace"]).expect(0);
    let har = project.sandbox.har("hars/api.har");
    assert_eq!(har["log"]["entries"].as_array().unwrap().len(), 3);
    let stat = project.numstat();
    assert!(stat[0].starts_with("0 ") || stat[0].starts_with("1 "), "lines only go: {stat:?}");
    assert!(stat[1..].iter().all(|line| line.starts_with("0 ") || line.starts_with("- ")), "{stat:?}");
}

#[test]
fn manual_edits_of_a_fixture_survive() {
    let project = Project::new(Form::Attach);
    // Another layout, and comments wherever HAR allows them.
    let user = project.payload("/user");
    project.edit(&user, |text| text.replace("[\n    \"a\",\n    \"b\"\n  ]", "[ \"a\", \"b\" ]"));
    project.edit("hars/api.har", |text| {
        text.replacen("\"_compact\": true", "\"comment\": \"by hand\",\n            \"_compact\": true", 9)
            .replacen("\"name\": \"x-version\",", "\"name\": \"x-version\", \"comment\": \"mine\",", 99)
            .replacen("\"cache\": {}", "\"cache\": {}, \"_other\": {\"tool\": [1, 2]}", 99)
            .replacen("\"httpVersion\": \"HTTP/1.1\",", "\"httpVersion\": \"HTTP/1.1\", \"comment\": \"asked\",", 99)
    });
    project.commit();
    project.record(Proto::H2, 3, &VISIT).expect(0).says(": 17 unchanged");
    assert_eq!(project.status(), "");
    project.change(|world| world.name = "Eva");
    project.record(Proto::H2, 3, &[("GET", "/user")]).expect(0).says("1 changed");
    assert!(project.sandbox.read(&project.payload("/user")).contains("[ \"a\", \"b\" ]"));
    assert_eq!(project.numstat()[0], "2 2 hars/api.har");
    assert!(project.numstat()[1].starts_with("1 1 hars/api/{"));
}

#[test]
fn lost_payload_is_restored() {
    let project = Project::new(Form::Attach);
    std::fs::remove_file(project.sandbox.join(project.payload("/page"))).unwrap();
    project.record(Proto::H2, 3, &VISIT).expect(0);
    assert_eq!(project.status(), "", "only the payload is restored");
    let mut har = project.sandbox.har("hars/api.har");
    let entries = har["log"]["entries"].as_array_mut().unwrap();
    let at = entries.iter().position(|entry| entry["request"]["url"] == "https://api.test/page").unwrap();
    entries.remove(at);
    project.sandbox.write("hars/api.har", serde_json::to_string_pretty(&har).unwrap() + "\n");
    project.sandbox.run(["fmt", "hars/api.har"]).expect(0);
    project.commit();
    project.record(Proto::H2, 3, &VISIT).expect(0).says(": 16 unchanged, 0 changed, 1 added, 0 not seen");
    let stat = project.numstat();
    assert!(stat[0].ends_with("0 hars/api.har"), "{stat:?}");
    assert_eq!(project.sandbox.har("hars/api.har")["log"]["entries"][at]["request"]["url"], "https://api.test/page");
}

#[test]
fn fixture_of_another_harproxy_version_stays_unchanged() {
    let project = Project::new(Form::Attach);
    let version = concat!("\"version\": \"", env!("CARGO_PKG_VERSION"), "\"");
    project.edit("hars/api.har", |text| text.replace(version, "\"version\": \"0.0.1\""));
    project.commit();
    project.change(|world| world.name = "Eva");
    project.record(Proto::H2, 3, &[("GET", "/user")]).expect(0).says("1 changed");
    assert!(project.sandbox.read("hars/api.har").contains("\"version\": \"0.0.1\""));
}

/// Collects all requests, then answers them in an order that depends on the seed.
fn answer_in_any_order(listener: &TcpListener, requests: usize, seed: u64) {
    let mut waiting = Vec::new();
    while waiting.len() < requests {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            assert_eq!(stream.read(&mut byte).unwrap(), 1, "a request");
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        let field = |name: &str| head.split(name).nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
        waiting.push((stream, field("get "), field("x-turn:")));
    }
    let mut random = seed;
    while !waiting.is_empty() {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let chosen = usize::try_from(random >> 33).unwrap() % waiting.len();
        let (mut stream, path, turn) = waiting.swap_remove(chosen);
        let body = format!(r#"{{"path":"{path}","user":{}}}"#, turn.len() % 4);
        let length = body.len();
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close";
        write!(stream, "{head}\r\nX-Request-Id: {random}\r\nContent-Length: {length}\r\n\r\n{body}").unwrap();
    }
}

#[test]
fn order_of_parallel_responses_is_not_a_change() {
    const CONNECTIONS: usize = 64;
    let sandbox = Sandbox::new();
    let mut before = None;
    for seed in [1, 2, 77, 4096] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let map = format!("api.test:80={}", listener.local_addr().unwrap());
        let recorder = sandbox.start(["record", "-o", "hars/api.har", "--map", &map]);
        let client = recorder.client(Proto::H1);
        std::thread::scope(|scope| {
            scope.spawn(|| answer_in_any_order(&listener, CONNECTIONS, seed));
            for at in 0..CONNECTIONS {
                let client = &client;
                // Four users under each of sixteen keys, with different responses.
                let at = (at * 29 + usize::try_from(seed).unwrap()) % CONNECTIONS;
                let request = TestRequest::new("GET", &format!("http://api.test/{}", at % 16))
                    .header("x-turn", &"x".repeat(1 + at / 16));
                scope.spawn(move || client.send(request));
            }
        });
        recorder.stop().expect(0);
        let text = sandbox.read("hars/api.har");
        assert_eq!(before.get_or_insert(text.clone()), &text, "seed {seed}");
    }
}
