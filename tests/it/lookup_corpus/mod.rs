//! The responses of Playwright's own HAR replay, compared with harproxy's. They are equal except for named differences.
//! The core and `explain` of the binary are tested.

mod case;
mod differences;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use case::{Answer, Case, Header, Request, cases};
use differences::{DIFFERENCES, Difference};
use harproxy_glob::Globs;
use harproxy_har::Fixture;
use harproxy_http::NormalUrl;
use harproxy_matching::{Chosen, Matcher, Options, Outcome, Query, Repeat};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::support::sandbox::Sandbox;

/// A response in the form of `explain --json`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reply {
    action: String,
    entry: Option<usize>,
    status: Option<i32>,
    location: Option<String>,
    body_sha256: Option<String>,
}

impl Reply {
    fn answer(&self) -> Answer {
        match (&*self.action, self.entry) {
            ("serve", Some(entry)) => {
                Answer::Serve { entry, status: self.status.unwrap(), body: self.body_sha256.clone().unwrap() }
            }
            ("redirect", Some(entry)) => Answer::Redirect { entry, location: self.location.clone().unwrap() },
            ("abort", Some(entry)) => Answer::Abort { entry },
            ("miss", None) => Answer::Nothing,
            _ => panic!("{self:?}"),
        }
    }
}

/// A component that answers requests from a fixture.
trait Replies {
    fn reply(&mut self, method: &str, url: &str, headers: &[(&str, &str)], body: Option<&[u8]>) -> Reply;
}

/// The matcher of the core crates.
struct Core(Matcher);

impl Core {
    fn open(path: &Path) -> Option<Self> {
        let options = Options { repeat: Repeat::First, score_all_headers: true, ..Options::default() };
        let fixture = Fixture::open(path).ok()?;
        Some(Core(Matcher::new(vec![Arc::new(fixture)], Some(Globs::default()), options).unwrap()))
    }

    fn body(&self, chosen: &Chosen) -> String {
        let fixture = &self.0.fixtures()[chosen.at.fixture];
        let entry = fixture.entry(chosen.at.entry).unwrap();
        let payload = fixture.payload(chosen.at.entry, &entry.response.content).unwrap();
        Sha256::digest(payload.bytes().unwrap()).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl Replies for Core {
    fn reply(&mut self, method: &str, url: &str, headers: &[(&str, &str)], body: Option<&[u8]>) -> Reply {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            // Skips names that clients cannot send, such as `:authority`.
            if let Ok(name) = HeaderName::from_bytes(name.as_bytes()) {
                map.append(name, HeaderValue::from_str(value).unwrap());
            }
        }
        let url = NormalUrl::parse_any(url).unwrap();
        let query = Query::new(method, &url, &map, body);
        let (action, chosen) = match self.0.answer(&query, None) {
            Outcome::Serve(chosen) => ("serve", chosen),
            Outcome::Redirect(chosen) => ("redirect", chosen),
            Outcome::Abort(chosen) => ("abort", chosen),
            Outcome::Miss(_) => return Reply { action: "miss".into(), ..Reply::default() },
        };
        Reply {
            action: action.into(),
            entry: Some(chosen.at.entry),
            status: Some(chosen.status.into()),
            body_sha256: Some(self.body(&chosen)),
            location: chosen.location,
        }
    }
}

/// A `harproxy explain` process. It reads a request and writes a response per line.
struct Explain {
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Explain {
    /// Starts the process. `Err` has its message if it refuses the fixture.
    fn open(sandbox: &Sandbox, path: &Path) -> Result<Self, String> {
        let args = ["explain", "--json", "--repeat", "first", "--score-all-headers", "--requests", "-"];
        let mut command = sandbox.command(args);
        command.arg(path).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (requests, answers) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut explain = Explain { child, requests, answers };
        match explain.try_reply(r#"{"url":"http://ready.test/"}"#) {
            Some(_) => Ok(explain),
            None => {
                let status = explain.child.wait().unwrap();
                let mut output = String::new();
                explain.child.stderr.take().unwrap().read_to_string(&mut output).unwrap();
                assert_eq!(status.code(), Some(2), "{output}");
                Err(output)
            }
        }
    }

    fn try_reply(&mut self, request: &str) -> Option<Reply> {
        let mut line = String::new();
        // The process may have ended. The response is missing then, too.
        let _ = writeln!(self.requests, "{request}");
        self.answers.read_line(&mut line).unwrap();
        (!line.is_empty()).then(|| serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}")))
    }

    fn close(mut self) {
        drop(self.requests);
        assert_eq!(self.child.wait().unwrap().code(), Some(0), "the results do not change the status");
    }
}

impl Replies for Explain {
    fn reply(&mut self, method: &str, url: &str, headers: &[(&str, &str)], body: Option<&[u8]>) -> Reply {
        let headers: Vec<_> = headers.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
        let body = body.map(|body| BASE64_STANDARD.encode(body));
        let line = json!({"url": url, "method": method, "headers": headers, "bodyBase64": body});
        self.try_reply(&line.to_string()).expect("an answer")
    }
}

/// Sends a request, and follows redirects like the browser.
fn send(target: &mut dyn Replies, request: &Request) -> (Answer, Reply) {
    let mut headers: Vec<(&str, &str)> =
        request.headers.iter().map(|Header { name, value }| (&**name, &**value)).collect();
    if request.is_navigation {
        headers.retain(|(name, _)| !name.eq_ignore_ascii_case("sec-fetch-mode"));
        headers.push(("sec-fetch-mode", "navigate"));
    }
    let (mut method, mut url, mut body) = (request.method.as_str(), request.url.clone(), request.body());
    let mut sent_to = None;
    for _ in 0..20 {
        let reply = target.reply(method, &url, &headers, body.as_deref());
        match (reply.answer(), sent_to) {
            (Answer::Redirect { location, .. }, _) if request.is_navigation => {
                if NormalUrl::parse_any(&location).is_err() {
                    return (Answer::Nothing, reply);
                }
                if (matches!(reply.status, Some(301 | 302)) && method == "POST")
                    || (reply.status == Some(303) && !matches!(method, "GET" | "HEAD"))
                {
                    (method, body) = ("GET", None);
                }
                sent_to = Some((reply.entry.unwrap(), location.clone()));
                url = location;
            }
            (Answer::Serve { entry, .. }, Some((_, location))) => {
                return (Answer::Redirect { entry, location }, reply);
            }
            (_, Some((entry, location))) => return (Answer::Redirect { entry, location }, reply),
            (answer, None) => return (answer, reply),
        }
    }
    // `--repeat first` serves the same redirect again and again. The browser gives up.
    (Answer::Nothing, Reply::default())
}

/// The number of equal responses, and of different ones by reason.
#[derive(Default)]
struct Tally {
    agreed: usize,
    groups: BTreeMap<&'static str, usize>,
    wrong: Vec<String>,
}

impl Tally {
    /// Sends all requests of a case. `whom` is `None` if the fixture was refused.
    fn case(&mut self, case: &Case, path: &Path, whom: Option<&mut dyn Replies>) {
        let Some(whom) = whom else {
            match &*case.load {
                "error" => self.agreed += case.requests.len(),
                _ => self.wrong.push(format!("{}: not loaded", case.id)),
            }
            return;
        };
        for request in &case.requests {
            let theirs = request.expect.answer();
            let (ours, reply) = send(whom, request);
            if ours == theirs {
                self.agreed += 1;
                continue;
            }
            let (url, fixture) = (NormalUrl::parse_any(&request.url).unwrap(), Fixture::open(path).unwrap());
            let difference = Difference { case, request, url: &url, fixture: &fixture, ours: &ours, theirs: &theirs };
            match DIFFERENCES.iter().find(|(_, explains)| explains(&difference)) {
                Some((reason, _)) => *self.groups.entry(*reason).or_default() += 1,
                None => self.wrong.push(format!(
                    "{} [{}] {} {} nav={} quirks={:?} bug={:?}\n    ours {ours:?} {reply:?}\n    theirs {theirs:?} {:?}",
                    case.id,
                    case.tags.join(" "),
                    request.method,
                    request.url,
                    request.is_navigation,
                    request.quirks,
                    case.bug,
                    request.expect.error_kind,
                )),
            }
        }
    }

    fn add(&mut self, other: Tally) {
        self.agreed += other.agreed;
        self.wrong.extend(other.wrong);
        for (reason, count) in other.groups {
            *self.groups.entry(reason).or_default() += count;
        }
    }

    #[expect(clippy::print_stdout, reason = "how many answers differ, and why, is what one wants to read")]
    fn judge(&self) {
        println!("{} answers agree", self.agreed);
        for (reason, differing) in &self.groups {
            println!("{differing} answers differ: {reason}");
        }
        let (wrong, reported) = (self.wrong.len(), self.wrong.join("\n"));
        assert!(self.wrong.is_empty(), "{wrong} answers differ without a reason:\n{reported}");
        let reasons = DIFFERENCES.iter().map(|(reason, _)| *reason);
        let unused: Vec<_> = reasons.filter(|reason| !self.groups.contains_key(reason)).collect();
        assert!(unused.is_empty(), "nothing differs any more because of {unused:?}");
        assert!(self.agreed > 2_500, "the corpus is missing");
    }
}

#[test]
fn matcher_answers_like_playwright() {
    let mut tally = Tally::default();
    for case in &cases() {
        let folder = tempfile::tempdir().unwrap();
        let path = case.write_files(folder.path());
        let mut core = Core::open(&path);
        tally.case(case, &path, core.as_mut().map(|core| core as &mut dyn Replies));
    }
    tally.judge();
}

#[test]
fn explain_answers_like_playwright() {
    let (cases, next, tally) = (cases(), AtomicUsize::new(0), Mutex::new(Tally::default()));
    let work = || {
        let mut mine = Tally::default();
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            let sandbox = Sandbox::new();
            let path = case.write_files(sandbox.path());
            match Explain::open(&sandbox, &path) {
                Ok(mut explain) => {
                    mine.case(case, &path, Some(&mut explain));
                    explain.close();
                }
                Err(output) => {
                    assert!(
                        output.starts_with("error: ") && output.contains("f.har") && output.contains("\nhint: "),
                        "{output}"
                    );
                    mine.case(case, &path, None);
                }
            }
        }
        tally.lock().unwrap().add(mine);
    };
    std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(work))));
    tally.into_inner().unwrap().judge();
}

#[test]
fn reference_lists_each_difference() {
    let reference = include_str!("../../../docs/reference/matching.md");
    let quirks: BTreeSet<String> =
        cases().into_iter().flat_map(|case| case.requests).flat_map(|request| request.quirks).collect();
    // In a foreign HAR, an entry without a payload matches any payload, as in Playwright.
    for quirk in quirks.iter().filter(|quirk| *quirk != "bodyless-entry-matched-body") {
        assert!(reference.contains(&format!("`{quirk}`")), "{quirk}");
    }
}
