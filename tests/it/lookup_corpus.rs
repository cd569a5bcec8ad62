//! What Playwright's own HAR replay answers, case by case, beside what harproxy does: equal but for the named differences.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use harproxy::har::{Entry, Fixture, Payload};
use harproxy::http::NormalUrl;
use harproxy::matching::{Chosen, Matcher, MissKind, Options, Outcome, Query, Repeat};
use harproxy::urlglob::Globs;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    id: String,
    har: Option<Box<RawValue>>,
    requests: Vec<Request>,
    tags: Vec<String>,
    bug: Option<String>,
    #[serde(default)]
    files: BTreeMap<String, String>,
    container: Option<String>,
    har_text: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    url: String,
    method: String,
    headers: Vec<Header>,
    body_base64: Option<String>,
    is_navigation: bool,
    expect: Expect,
    #[serde(default)]
    quirks: Vec<String>,
}

#[derive(Deserialize)]
struct Header {
    name: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Expect {
    action: String,
    entry: Option<usize>,
    status: Option<i64>,
    body_sha256: Option<String>,
    #[serde(rename = "redirectURL")]
    redirect_url: Option<String>,
    error_kind: Option<String>,
}

/// What an answer comes down to.
#[derive(Clone, Debug, PartialEq)]
enum Answer {
    Serve { entry: usize, status: i64, body: String },
    Redirect { entry: usize, location: String },
    Abort { entry: usize },
    Nothing,
}

fn cases() -> Vec<Case> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus/playwright/lookup.jsonl.gz");
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Puts the case's files on disk as it says, and opens what was put.
fn fixture(case: &Case, folder: &Path) -> Result<Fixture, harproxy::har::Error> {
    let members = case.har.as_ref().map_or("}", |har| har.get().trim_start().strip_prefix('{').unwrap());
    let comma = if members.trim_start().starts_with('}') { "" } else { "," };
    let wrapped = format!(r#"{{"log":{{"version":"1.2","creator":{{"name":"c","version":"1"}}{comma}{members}}}"#);
    let har = case.har_text.clone().unwrap_or(wrapped);
    let decoded = |content: &String| BASE64_STANDARD.decode(content).unwrap();
    let path: PathBuf;
    if case.container.as_deref() == Some("zip") {
        path = folder.join("f.zip");
        let mut zip = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
        let options = zip::write::SimpleFileOptions::default();
        zip.start_file("har.har", options).unwrap();
        zip.write_all(har.as_bytes()).unwrap();
        for (name, content) in &case.files {
            zip.start_file(name.as_str(), options).unwrap();
            zip.write_all(&decoded(content)).unwrap();
        }
        zip.finish().unwrap();
    } else {
        path = folder.join("f.har");
        std::fs::write(&path, har).unwrap();
        for (name, content) in &case.files {
            let file = folder.join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, decoded(content)).unwrap();
        }
    }
    Fixture::open(&path)
}

fn matcher(fixture: Fixture) -> Matcher {
    let options = Options { repeat: Repeat::First, score_all_headers: true, ..Options::default() };
    Matcher::new(vec![Arc::new(fixture)], Some(Globs::default()), options).unwrap()
}

fn headers(request: &Request) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for Header { name, value } in &request.headers {
        // A name that no client can send (`:authority`) is not sent.
        if let Ok(name) = HeaderName::from_bytes(name.as_bytes()) {
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
    }
    if request.is_navigation {
        headers.insert("sec-fetch-mode", HeaderValue::from_static("navigate"));
    }
    headers
}

/// Asks, and where the browser is sent on asks again as it would.
fn ask(matcher: &Matcher, request: &Request, url: &NormalUrl) -> (Answer, Outcome) {
    let headers = headers(request);
    let body = request.body_base64.as_ref().map(|body| BASE64_STANDARD.decode(body).unwrap());
    let (mut method, mut url, mut body) = (request.method.clone(), url.clone(), body);
    let mut navigated = None;
    for _ in 0..20 {
        let query = Query { method: &method, url: &url, headers: &headers, body: body.as_deref() };
        let outcome = matcher.answer(&query, None);
        match &outcome {
            Outcome::Redirect(chosen) if request.is_navigation => {
                let status = chosen.entry.response.status;
                let next = chosen.location.clone().unwrap();
                let Ok(next_url) = NormalUrl::parse_any(&next) else { return (Answer::Nothing, outcome) };
                if (matches!(status, 301 | 302) && method == "POST")
                    || (status == 303 && method != "GET" && method != "HEAD")
                {
                    method = "GET".to_owned();
                    body = None;
                }
                url = next_url;
                navigated = Some((chosen.at.entry, next));
            }
            _ => {
                let answer = match (navigated, &outcome) {
                    (Some((_, location)), Outcome::Serve(chosen)) => {
                        Answer::Redirect { entry: chosen.at.entry, location }
                    }
                    (Some((entry, location)), _) => Answer::Redirect { entry, location },
                    (None, outcome) => answer(matcher, outcome),
                };
                return (answer, outcome);
            }
        }
    }
    // `--repeat first` gives the same hop again and again; the browser gives up.
    (Answer::Nothing, matcher.would_answer(&Query { method: &method, url: &url, headers: &headers, body: None }, None))
}

fn answer(matcher: &Matcher, outcome: &Outcome) -> Answer {
    match outcome {
        Outcome::Serve(chosen) => {
            let body = payload(matcher, chosen, &chosen.entry);
            let status = i64::from(chosen.status);
            Answer::Serve { entry: chosen.at.entry, status, body: hex(&Sha256::digest(body)) }
        }
        Outcome::Redirect(chosen) => {
            Answer::Redirect { entry: chosen.at.entry, location: chosen.location.clone().unwrap() }
        }
        Outcome::Abort(chosen) => Answer::Abort { entry: chosen.at.entry },
        Outcome::Miss(_) => Answer::Nothing,
    }
}

fn payload(matcher: &Matcher, chosen: &Chosen, entry: &Entry) -> Vec<u8> {
    let fixture = &matcher.fixtures()[chosen.at.fixture];
    let payload: Payload = fixture.payload(chosen.at.entry, &entry.response.content).unwrap();
    payload.bytes().unwrap().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn theirs(expect: &Expect) -> Answer {
    match (&*expect.action, expect.entry) {
        ("fulfill", Some(entry)) => Answer::Serve {
            entry,
            status: expect.status.unwrap_or_default(),
            body: expect.body_sha256.clone().unwrap_or_default(),
        },
        ("redirect", Some(entry)) => Answer::Redirect { entry, location: expect.redirect_url.clone().unwrap() },
        _ => Answer::Nothing,
    }
}

/// Why harproxy may answer otherwise, in the order in which they are looked for. docs/matching.md lists them.
const DIFFERENCES: &[(&str, Explains)] = &[
    ("pw-bug: the corpus says that Playwright's answer is a defect", |d| d.case.bug.is_some()),
    ("URLs are compared in normal form, as browsers send them", |d| {
        d.url.as_str() != d.request.url || d.reaches(|entry| entry.request.url != d.url.as_str() && is_of(entry, d.url))
    }),
    ("body-ignored: payloads are compared for every method", |d| d.quirk("body-ignored")),
    ("bodyless-request-matched-body: a request without a payload has its own entries", |d| {
        d.quirk("bodyless-request-matched-body")
    }),
    ("redirect-target-missing: the redirect itself is served", |d| d.quirk("redirect-target-missing")),
    ("cycle-though-later-answer-recorded: no entry is passed twice", |d| d.quirk("cycle-though-later-answer-recorded")),
    ("served-304: only to who validates; else 200 with the cached body, when nothing better is there", |d| {
        d.quirk("served-304") || d.reaches(|entry| entry.response.status == 304)
    }),
    ("failures close the connection, and only when nothing answered", |d| {
        d.quirk("hangs-in-browser") || d.reaches(|entry| !(100..=599).contains(&entry.response.status))
    }),
    (
        "a body that was not kept is no empty body",
        |d| matches!(d.outcome, Outcome::Miss(miss) if matches!(miss.kind, MissKind::BodyNotRecorded(_))),
    ),
    ("reading: `encoding` is known in any case", |d| d.har_says("\"BASE64\"")),
    ("payloads are compared for every method, a payload of zero bytes is none", |d| {
        d.reaches(|entry| entry.request.post_data.is_some()) || d.reaches_dropped_payload()
    }),
    ("a navigation is sent to the next hop, also when that is its own URL", |d| d.request.is_navigation),
    ("a redirect to what is no URL is served as it is", |d| {
        d.request.expect.error_kind.as_deref() == Some("invalid-location")
    }),
    ("reading: a HAR without `log` is read", |d| d.case.tags.iter().any(|tag| tag == "load")),
    ("reading: a `text` that is a number is the text of that number", |d| d.har_says(r#""text":0"#)),
];

/// Whether a difference is of one kind.
type Explains = fn(&Difference<'_>) -> bool;

/// An answer that differs.
struct Difference<'a> {
    case: &'a Case,
    request: &'a Request,
    url: &'a NormalUrl,
    matcher: &'a Matcher,
    outcome: &'a Outcome,
}

impl Difference<'_> {
    fn quirk(&self, name: &str) -> bool {
        self.request.quirks.iter().any(|quirk| quirk == name)
    }

    fn har_says(&self, text: &str) -> bool {
        self.case.har.as_ref().is_some_and(|har| har.get().contains(text))
    }

    /// Whether an entry is so that the request can come to, by redirects or by itself.
    fn reaches(&self, is_so: impl Fn(&Entry) -> bool) -> bool {
        self.reachable().iter().any(|entry| is_so(entry))
    }

    /// Whether a payload was there that nobody kept; the reader leaves such a `postData` out.
    fn reaches_dropped_payload(&self) -> bool {
        self.har_says(r#""text":"","params""#) && self.request.body_base64.is_some()
    }

    fn reachable(&self) -> Vec<Arc<Entry>> {
        let fixture = &self.matcher.fixtures()[0];
        let entries: Vec<_> = fixture.heads().iter().filter_map(|head| fixture.entry(head.entry).ok()).collect();
        let mut urls = vec![self.url.clone()];
        let mut seen = 0;
        while seen < urls.len() {
            let from = urls[seen].clone();
            seen += 1;
            for entry in entries.iter().filter(|entry| is_of(entry, &from)) {
                let location = entry.response.headers.get_str("location").and_then(|location| from.join(location).ok());
                urls.extend(location.filter(|url| !urls.contains(url)));
            }
        }
        entries.into_iter().filter(|entry| urls.iter().any(|url| is_of(entry, url))).collect()
    }
}

fn is_of(entry: &Entry, url: &NormalUrl) -> bool {
    NormalUrl::parse_any(&entry.request.url).is_ok_and(|recorded| recorded == *url)
}

#[test]
fn answers_as_playwright_does() {
    let mut agreed = 0;
    let mut groups: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
    let mut wrong = Vec::new();
    let cases = cases();
    for case in &cases {
        let folder = tempfile::tempdir().unwrap();
        let matcher = match fixture(case, folder.path()) {
            Ok(fixture) => Some(matcher(fixture)),
            Err(_) => None,
        };
        for request in &case.requests {
            let theirs = theirs(&request.expect);
            let url = NormalUrl::parse_any(&request.url).unwrap();
            let (ours, outcome) = match &matcher {
                Some(matcher) => ask(matcher, request, &url),
                None => {
                    agreed += usize::from(theirs == Answer::Nothing);
                    if theirs != Answer::Nothing {
                        wrong.push(format!("{}: not loaded", case.id));
                    }
                    continue;
                }
            };
            if ours == theirs {
                agreed += 1;
                continue;
            }
            let what = format!(
                "{} [{}] {} {} nav={} quirks={:?} bug={:?}\n    ours {ours:?} {}\n    theirs {theirs:?} {:?}",
                case.id,
                case.tags.join(" "),
                request.method,
                request.url,
                request.is_navigation,
                request.quirks,
                case.bug,
                if let Outcome::Miss(miss) = &outcome { format!("{:?}", miss.kind) } else { String::new() },
                request.expect.error_kind,
            );
            let Some(matcher) = &matcher else { unreachable!() };
            let difference = Difference { case, request, url: &url, matcher, outcome: &outcome };
            match DIFFERENCES.iter().find(|(_, explains)| explains(&difference)).map(|(reason, _)| *reason) {
                Some(reason) => groups.entry(reason).or_default().push(what),
                None => wrong.push(what),
            }
        }
    }
    println!("{agreed} answers agree");
    for (reason, differing) in &groups {
        println!("{} answers differ: {reason}", differing.len());
    }
    let unused: Vec<_> = DIFFERENCES.iter().filter(|(reason, _)| !groups.contains_key(reason)).collect();
    assert!(wrong.is_empty(), "{} answers differ without a reason:\n{}", wrong.len(), wrong.join("\n"));
    assert!(
        unused.is_empty(),
        "nothing differs any more because of {:?}",
        unused.iter().map(|(r, _)| r).collect::<Vec<_>>()
    );
    assert!(agreed > 2_500, "the corpus is gone");
}

#[test]
fn the_reference_lists_each_difference() {
    let reference = include_str!("../../docs/matching.md");
    let quirks: BTreeSet<String> =
        cases().into_iter().flat_map(|case| case.requests).flat_map(|request| request.quirks).collect();
    // An entry without a payload in a HAR of another tool matches any: there the two agree.
    for quirk in quirks.iter().filter(|quirk| *quirk != "bodyless-entry-matched-body") {
        assert!(reference.contains(&format!("`{quirk}`")), "{quirk}");
    }
}
