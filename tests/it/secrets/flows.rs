//! Login and signing flows of tests/corpus/flows: recorded with one set of values, replayed with another.
//!
//! No output of the recording contains a secret, and each request of the replay gets the response of its own step.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex};

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use regex::{Captures, Regex};

use super::escaped;
use crate::support::raw::{Raw, RawOrigin};
use crate::support::sandbox::Sandbox;

/// The values of a run: by flow and name.
type Values = BTreeMap<(usize, String), Value>;

#[derive(Clone, Debug)]
struct Value {
    text: String,
    is_secret: bool,
}

#[derive(Debug)]
struct Flow {
    name: String,
    steps: Vec<Step>,
}

/// A request and its response, with values to be filled in.
#[derive(Debug, Default)]
struct Step {
    request: Vec<String>,
    response: Vec<String>,
}

static VALUE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\{([a-z_]+[0-9]?)(?::(~?)([a-z0-9]+))?\}").unwrap());
static DERIVED: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"@(b64|pct)\(([^()]*)\)").unwrap());

fn flows() -> Vec<Flow> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/flows");
    let mut flows: Vec<Flow> = Vec::new();
    for file in ["oauth.http", "logins.http", "signing.http", "vendors.http"] {
        let text = std::fs::read_to_string(folder.join(file)).unwrap();
        for line in text.lines() {
            if let Some(name) = line.strip_prefix("### ") {
                flows.push(Flow { name: name.to_owned(), steps: Vec::new() });
            } else if let Some((side, rest)) = line.split_at_checked(1).filter(|(side, _)| "<>".contains(side)) {
                let steps = &mut flows.last_mut().unwrap().steps;
                if side == ">" && steps.last().is_none_or(|step| !step.response.is_empty()) {
                    steps.push(Step::default());
                }
                let step = steps.last_mut().unwrap();
                let lines = if side == ">" { &mut step.request } else { &mut step.response };
                lines.push(rest.strip_prefix(' ').unwrap_or(rest).to_owned());
            } else {
                assert!(line.is_empty(), "{file}: {line}");
            }
        }
    }
    flows
}

/// A step's name, its request for a proxy, and its response.
type Messages = (String, Vec<u8>, Vec<u8>);

/// A generator of values. The same seed gives the same values.
struct Random(u64);

impl Random {
    fn next(&mut self) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize
    }

    fn text(&mut self, length: usize, alphabet: &str) -> String {
        let letters: Vec<char> = alphabet.chars().collect();
        (0..length).map(|_| letters[self.next() % letters.len()]).collect()
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next().to_le_bytes()[0]).collect()
    }

    fn value(&mut self, kind: &str) -> String {
        const ALPHANUMERIC: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        const HEX: &str = "0123456789abcdef";
        let json = |text: String| BASE64_URL_SAFE_NO_PAD.encode(text);
        match kind.split_at(kind.find(|c: char| c.is_ascii_digit() && kind != "b64").unwrap_or(kind.len())) {
            // A letter and a digit, since no generator of tokens leaves one of them out in practice.
            ("token", "") => format!("Q7{}", self.text(38, ALPHANUMERIC)),
            ("token", length) => format!("Q7{}", self.text(length.parse::<usize>().unwrap() - 2, ALPHANUMERIC)),
            ("hex", "64") => self.text(64, HEX),
            ("hex", _) => self.text(32, HEX),
            ("upper", "16") => self.text(16, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"),
            ("num", _) => self.text(8, "123456789"),
            ("pw", _) => format!("Horse-{}-7", self.text(8, ALPHANUMERIC)),
            ("uuid", _) => {
                let hex = self.text(32, HEX);
                format!("{}-{}-4{}-a{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
            }
            ("jwt", _) => {
                let claims = format!(r#"{{"sub":"{}","exp":4102444800}}"#, self.text(12, ALPHANUMERIC));
                let signature = BASE64_URL_SAFE_NO_PAD.encode(self.bytes(32));
                format!("{}.{}.{signature}", json(r#"{"alg":"HS256","typ":"JWT"}"#.to_owned()), json(claims))
            }
            ("long", _) => self.text(120, ALPHANUMERIC),
            ("amzdate", _) => format!("20260101T{}Z", self.text(6, "012345")),
            ("epoch", _) => format!("17672{}", self.text(5, "0123456789")),
            ("b64", _) => BASE64_STANDARD.encode(self.bytes(30)),
            ("b", "64url") => BASE64_URL_SAFE_NO_PAD.encode(self.bytes(32)),
            ("b", "64long") => BASE64_STANDARD.encode(self.bytes(240)),
            other => panic!("{other:?}"),
        }
    }
}

/// Fills the values of a flow into a text, and notes new ones.
fn fill(text: &str, flow: usize, random: &mut Random, values: &mut Values) -> String {
    let filled = VALUE.replace_all(text, |found: &Captures<'_>| {
        let value = values.entry((flow, found[1].to_owned())).or_insert_with(|| {
            let kind = found.get(3).unwrap_or_else(|| panic!("{text}: no kind")).as_str();
            Value { text: random.value(kind), is_secret: &found[2] != "~" }
        });
        value.text.clone()
    });
    let derived = DERIVED.replace_all(&filled, |found: &Captures<'_>| match &found[1] {
        "b64" => BASE64_STANDARD.encode(&found[2]),
        _ => escaped(&found[2]),
    });
    derived.into_owned()
}

/// The messages of a step as bytes: the request for a proxy, and the response, which names the step.
fn messages(flows: &[Flow], seed: u64) -> (Vec<Messages>, Values) {
    let (mut random, mut values, mut all) = (Random(seed), Values::new(), Vec::new());
    for (number, flow) in flows.iter().enumerate() {
        for (at, step) in flow.steps.iter().enumerate() {
            let name = format!("{} [{at}]", flow.name);
            let mut message = |lines: &[String], first: &dyn Fn(&str) -> String| {
                let text = fill(&lines.join("\n"), number, &mut random, &mut values);
                let (head, body) = text.split_once("\n\n").unwrap_or((&text, ""));
                let multipart = text.contains("multipart/");
                let body = if multipart { body.replace('\n', "\r\n") } else { body.to_owned() };
                let (line, fields) = head.split_once('\n').unwrap_or((head, ""));
                let fields: String = fields.lines().map(|field| format!("{field}\r\n")).collect();
                let length =
                    if line.starts_with("204") { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
                format!("{}\r\n{fields}{length}Connection: close\r\n\r\n{body}", first(line)).into_bytes()
            };
            let request = message(&step.request, &|line| {
                let host = line.split('/').nth(2).unwrap();
                format!("{line} HTTP/1.1\r\nHost: {host}")
            });
            let response = message(&step.response, &|status| format!("HTTP/1.1 {status} Any\r\nX-Step: {name}"));
            all.push((name, request, response));
        }
    }
    (all, values)
}

/// Sends a request and reads its response.
fn send(proxy: SocketAddr, request: &[u8]) -> String {
    let mut client = Raw::to(proxy);
    client.send(request);
    client.rest_text()
}

/// Returns all texts that contain a secret value as written, percent-encoded, or in base64.
fn leaks(texts: &[(String, String)], flows: &[Flow], values: &Values) -> Vec<String> {
    let mut found = Vec::new();
    for ((flow, name), value) in values.iter().filter(|(_, value)| value.is_secret) {
        let encoded = [value.text.clone(), escaped(&value.text), BASE64_STANDARD.encode(&value.text)];
        for (file, text) in texts {
            let mut at = encoded.iter().flat_map(|spelling| text.match_indices(spelling.as_str()));
            // Digits occur by chance within longer numbers.
            let is_whole = |(at, spelling): (usize, &str)| {
                let is_digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_digit);
                let bytes = text.as_bytes();
                !spelling.bytes().all(|byte| byte.is_ascii_digit())
                    || !(at > 0 && is_digit(bytes.get(at - 1)) || is_digit(bytes.get(at + spelling.len())))
            };
            if at.any(is_whole) {
                found.push(format!("{}: {name} ({}) in {file}", flows[*flow].name, value.text));
            }
        }
    }
    found
}

/// The files below a folder as text, by path.
fn texts_in(folder: &Path) -> Vec<(String, String)> {
    let mut texts = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            texts.extend(texts_in(&path));
        } else {
            let mut bytes = Vec::new();
            std::fs::File::open(&path).unwrap().read_to_end(&mut bytes).unwrap();
            texts.push((path.display().to_string(), String::from_utf8_lossy(&bytes).into_owned()));
        }
    }
    texts
}

#[test]
fn login_and_signing_flows_keep_no_secret_and_replay_with_other_values() {
    let flows = flows();
    assert!(flows.len() >= 60, "{}", flows.len());
    let (recorded, values) = messages(&flows, 1);
    let hosts: BTreeSet<&str> = flows
        .iter()
        .flat_map(|flow| &flow.steps)
        .map(|step| step.request[0].split(['/', ':']).nth(3).unwrap())
        .collect();
    let answers: VecDeque<Vec<u8>> = recorded.iter().map(|(.., response)| response.clone()).collect();
    let answers = Arc::new(Mutex::new(answers));
    let origin = RawOrigin::start(move |head, stream| {
        let head = String::from_utf8_lossy(head).to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        stream.read_exact(&mut vec![0; length.unwrap_or(0)]).unwrap();
        stream.write_all(&answers.lock().unwrap().pop_front().unwrap()).unwrap();
        let _ = stream.shutdown(Shutdown::Write);
    });
    let sandbox = Sandbox::new();
    let maps = hosts.iter().flat_map(|host| ["--map".to_owned(), format!("{host}:80={}", origin.addr)]);
    let reports =
        ["json", "html", "xml", "md"].iter().flat_map(|form| ["--report".to_owned(), format!("out/record.{form}")]);
    let begin = ["record", "-o", "out/hars/flows.har", "-g", "http://*/**"].map(str::to_owned);
    let server = sandbox.start(begin.into_iter().chain(maps).chain(reports));
    for (name, request, _) in &recorded {
        let response = send(server.proxy(), request);
        assert!(
            response.contains(&format!("x-step: {name}\r\n")) || response.contains(&format!("X-Step: {name}\r\n")),
            "{name}: {response}"
        );
    }
    let output = server.stop().expect(0);
    let mut texts = texts_in(&sandbox.join("out"));
    texts.push(("standard error".to_owned(), output.stderr.clone()));
    let kept = leaks(&texts, &flows, &values);

    let (replayed, values) = messages(&flows, 2);
    let reports =
        ["json", "html", "xml", "md"].iter().flat_map(|form| ["--report".to_owned(), format!("again/replay.{form}")]);
    let server = sandbox.start(["replay", "out/hars/flows.har"].map(str::to_owned).into_iter().chain(reports));
    let mut wrong = Vec::new();
    for (name, request, _) in &replayed {
        let response = send(server.proxy(), request);
        if !response.contains(&format!("X-Step: {name}\r\n")) && !response.contains(&format!("x-step: {name}\r\n")) {
            wrong.push(format!("{name}: {}", response.lines().next().unwrap_or_default()));
        }
    }
    let output = server.stop();
    let mut texts = texts_in(&sandbox.join("again"));
    texts.push(("standard error".to_owned(), output.stderr.clone()));
    let told = leaks(&texts, &flows, &values);
    assert!(
        kept.is_empty() && told.is_empty() && wrong.is_empty(),
        "{} kept:\n{}\n{} told:\n{}\n{} wrong:\n{}",
        kept.len(),
        kept.join("\n"),
        told.len(),
        told.join("\n"),
        wrong.len(),
        wrong.join("\n")
    );
    output.expect(0);
}
