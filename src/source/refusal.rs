//! Refusals: one description for the problem document that the client gets, the log and the report. The last source of
//! a replay refuses requests that no other source may answer.

use ::http::{HeaderMap, Response};
use serde_json::{Map, Value, json};

use super::fixture::{LONGEST_REQUEST, discard};
use super::request_view::RequestView;
use super::{Answer, Source, cors};
use crate::pipeline::{Exchange, Outcome};
use crate::verdict::explain::{EntryPlace, Explanation, NearEntry};
use crate::verdict::request::{ResultKind, SourceKind};
use crate::verdict::{CheckId, FailOn, Finding, Location, Severity};
use harproxy_http::NormalUrl;
use harproxy_http::problem::Problem;
use harproxy_matching::noise;
use harproxy_proxy::{Body, BoxFuture, respond};
use harproxy_redact::RedactionView;
use harproxy_support::printable::Shown as _;

#[derive(Clone, Debug)]
pub(super) struct Refusal {
    /// The check of the finding; `None` if there is no finding.
    check: Option<CheckId>,
    pub(super) status: u16,
    title: &'static str,
    /// `METHOD URL`.
    request: String,
    explanation: String,
    hint: Option<String>,
    /// The most similar entry, or the one that can't be served.
    place: Option<EntryPlace>,
    /// The most similar entries.
    near: Vec<NearEntry>,
    /// Further members of the problem document.
    more: Map<String, Value>,
}

impl Refusal {
    fn new(check: impl Into<Option<CheckId>>, title: &'static str, request: String, explanation: String) -> Self {
        Refusal {
            check: check.into(),
            status: 501,
            title,
            request,
            explanation,
            hint: None,
            place: None,
            near: Vec::new(),
            more: Map::new(),
        }
    }

    pub(super) fn miss(request: &RequestView<'_>, explained: Explanation) -> Self {
        let mut refusal =
            Refusal::new(CheckId::MISS, "no entry matches this request", request.line(), explained.text());
        refusal.member("kind", explained.kind);
        refusal.member("operation", explained.operation.clone());
        refusal.member("urlRecorded", explained.url_recorded);
        refusal.member("samePath", explained.same_path);
        refusal.member("near", serde_json::to_value(&explained.near).unwrap_or_default());
        refusal.place = explained.near.first().map(|near| near.place.clone());
        refusal.hint = explained.hint;
        refusal.near = explained.near;
        refusal
    }

    /// Refuses a request whose payload is too long to be compared.
    pub(super) fn too_long(request: &RequestView<'_>) -> Self {
        let explanation =
            format!("its payload is longer than {} MiB, the most that is compared", LONGEST_REQUEST >> 20);
        let mut refusal =
            Refusal::new(CheckId::MISS, "the payload is too long to be compared", request.line(), explanation);
        refusal.status = 413;
        refusal.member("kind", "payload-too-long");
        refusal.hint = Some("match without the payload with `--match-body ignore`".to_owned());
        refusal
    }

    /// Refuses a WebSocket, or another protocol that a 101 was recorded for. If WebSockets fail the run, `allowing` is
    /// the `--fail-on` with which they don't.
    pub(super) fn websocket(request: &RequestView<'_>, recorded: Option<EntryPlace>, allowing: Option<&str>) -> Self {
        let explanation = match &recorded {
            Some(place) => format!("{place} is a change of protocol, which cannot be replayed yet"),
            None => "a WebSocket in scope cannot be replayed yet".to_owned(),
        };
        let title = "a WebSocket cannot be replayed yet";
        let mut refusal = Refusal::new(CheckId::WEBSOCKET, title, request.line(), explanation);
        refusal.member("kind", "websocket");
        refusal.place = recorded;
        refusal.hint = Some(match allowing {
            Some(list) => format!("{}; if CMD does without it, `--fail-on {list}` only lists it", passthrough(request)),
            None => passthrough(request),
        });
        refusal
    }

    /// Refuses a duplex exchange: its client and server answered each other while the request was still being sent.
    pub(super) fn duplex(request: &RequestView<'_>, recorded: EntryPlace) -> Self {
        let explanation = format!(
            "{recorded} is a stream in both directions, which cannot be replayed yet: client and server answered each \
             other while the request was still being sent"
        );
        let title = "a stream in both directions cannot be replayed yet";
        let mut refusal = Refusal::new(CheckId::STREAM, title, request.line(), explanation);
        refusal.member("kind", "stream");
        refusal.place = Some(recorded);
        refusal.hint = Some(passthrough(request));
        refusal
    }

    /// Refuses a request out of scope. A `local` one is refused only with `--no-local`. `same_host` is the option with
    /// which the entry of another origin answers it.
    pub(super) fn out_of_scope(
        request: &RequestView<'_>,
        scope: &[String],
        local: bool,
        same_host: Option<&str>,
    ) -> Self {
        // Not every client supports ports in NO_PROXY. A local server is the user's own whatever its port is.
        let host = if local { request.url.parts().host() } else { request.url.parts().authority() };
        let glob = format!("{}/**", request.url.parts().site());
        let why = match local {
            true => "it is local and out of scope, and `--no-local` is set",
            false => "it is out of scope",
        };
        let mut globs: Vec<String> =
            scope.iter().take(MAX_SHOWN_GLOBS).map(|glob| format!("`{}`", glob.shown())).collect();
        if scope.len() > MAX_SHOWN_GLOBS {
            globs.push(format!("and {} more", scope.len() - MAX_SHOWN_GLOBS));
        }
        let explanation = format!("{why}; the scope is {}", globs.join(", "));
        let mut refusal =
            Refusal::new(CheckId::OUT_OF_SCOPE, "this request is out of scope", request.line(), explanation);
        refusal.member("scope", scope.iter().take(MAX_LISTED_GLOBS).cloned().collect::<Vec<_>>());
        let hint = format!(
            "record it, too, with `harproxy record` and `-g {}`, or let CMD connect to it without the proxy with `--bypass {host}`",
            harproxy_support::shell_quote::word(&glob),
        );
        refusal.hint = Some(match same_host {
            Some(option) => format!("if the origins serve one API: `{option}`\nelse {hint}"),
            None => hint,
        });
        refusal
    }

    /// Refuses a request on the list of noise.
    pub(super) fn noise(request: &RequestView<'_>) -> Self {
        let favicon = request.url.parts().path == FAVICON;
        let why = "browsers, package managers and telemetry request it on their own; it is never recorded".to_owned();
        let title = "this request is noise";
        let mut refusal = Refusal::new(None, title, request.line(), why);
        refusal.status = if favicon { 404 } else { 501 };
        refusal
    }

    /// Refuses a request with an invalid URL or an invalid payload; `hint` says how to fix it.
    pub(super) fn malformed(request: String, why: String, hint: &str) -> Self {
        let mut refusal = Refusal::new(CheckId::UNREADABLE, "this request is malformed", request, why);
        refusal.status = 400;
        refusal.hint = Some(hint.to_owned());
        refusal
    }

    /// Refuses a request whose payload did not come within the time limit.
    pub(super) fn timed_out(request: &RequestView<'_>, why: String) -> Self {
        let mut refusal = Refusal::new(CheckId::UNREADABLE, "this request took too long", request.line(), why);
        refusal.status = 408;
        refusal.hint = Some(format!(
            "raise the limit with `--idle-timeout`; if the client waits for the response before it sends the rest, {}",
            passthrough(request)
        ));
        refusal
    }

    /// Redacts the values that are known as secrets in all texts.
    #[must_use]
    pub(super) fn redact(mut self, view: &RedactionView) -> Self {
        let redact = |text: &mut String| view.redact_in(text);
        redact(&mut self.request);
        redact(&mut self.explanation);
        self.hint.iter_mut().for_each(redact);
        self.near.iter_mut().for_each(|near| near.redact(view));
        self.more.values_mut().for_each(|value| view.redact_json(value));
        self
    }

    #[must_use]
    pub(super) fn with_hint(self, hint: &str) -> Self {
        Refusal { hint: Some(hint.to_owned()), ..self }
    }

    fn member(&mut self, name: &str, value: impl Into<Value>) {
        self.more.insert(name.to_owned(), value.into());
    }

    /// Returns the finding, if there is one; `severity` returns the severity of its check.
    pub(super) fn finding(&self, severity: impl FnOnce(&CheckId) -> Severity) -> Option<Finding> {
        let check = self.check.clone()?;
        let at = match self.place.clone() {
            Some(place) => Location::entry(place, self.request.clone()),
            None => Location::request(self.request.clone()),
        };
        let severity = severity(&check);
        let (hint, near) = (self.hint.clone(), self.near.clone());
        Some(Finding { at, hint, near, ..Finding::new(check, severity, self.explanation.clone()) })
    }

    /// Writes the reason and the most similar entry into the outcome.
    pub(super) fn note(&self, outcome: &mut Outcome) {
        outcome.entry = self.place.clone();
        outcome.explanation = Some(self.explanation.clone());
        outcome.hint = self.hint.clone();
    }

    /// Notes the refusal in the outcome, and answers with its problem document.
    pub(super) fn answer(self, request: &HeaderMap, outcome: &mut Outcome) -> Answer {
        self.note(outcome);
        Answer::Response(self.response(request))
    }

    /// Returns the problem document, which the code of a page may read.
    pub(super) fn response(self, request: &HeaderMap) -> Response<Body> {
        let detail = match &self.hint {
            Some(hint) => format!("{}\n{}\nhint: {hint}", self.request, self.explanation),
            None => format!("{}\n{}", self.request, self.explanation),
        };
        let mut problem = Problem::new(self.status, self.title, detail).with("request", self.request);
        problem.extra.extend(self.more);
        let problem = problem.with("remedy", json!(self.hint));
        let mut response = respond::problem(&problem, "");
        cors::allow(request, response.headers_mut());
        response
    }
}

/// Maximum number of globs of a scope in the text of a refusal.
const MAX_SHOWN_GLOBS: usize = 12;
/// Maximum number of globs of a scope in a problem document.
const MAX_LISTED_GLOBS: usize = 100;

/// Returns the option with which an entry of another origin answers a request out of scope, by method and URL.
pub type SameHostHint = Box<dyn Fn(&str, &NormalUrl) -> Option<String> + Send + Sync>;

/// Refuses requests out of scope, noise, and requests with an invalid URL.
pub struct RefusingSource {
    pub scope: Vec<String>,
    /// `[scope] noise`: true if there is a list of noise.
    pub noise: bool,
    /// The checks that fail the run.
    pub fail_on: FailOn,
    pub same_host: SameHostHint,
}

impl RefusingSource {
    fn refuse(&self, exchange: &mut Exchange<'_>) -> Answer {
        discard(exchange.take_body());
        if let Err(error) = &exchange.url {
            let refusal = Refusal::malformed(exchange.line(), error.reason(), "fix the URL in the client");
            let outcome = exchange.outcome();
            outcome.decide(ResultKind::Refused, SourceKind::None);
            outcome.findings.extend(refusal.finding(|check| self.fail_on.severity(check)));
            refusal.note(outcome);
            return Answer::Response(refusal.response(exchange.headers()));
        }
        let Some((request, outcome)) = RequestView::of(exchange, None) else { return Answer::Pass };
        if self.noise && is_noise(request.url) {
            outcome.decide(ResultKind::Noise, SourceKind::None);
            return Answer::Response(Refusal::noise(&request).response(request.headers));
        }
        outcome.decide(ResultKind::OutOfScope, SourceKind::None);
        let same_host = (self.same_host)(request.method.as_str(), request.url);
        let is_loopback = request.url.parts().is_loopback();
        let refusal = Refusal::out_of_scope(&request, &self.scope, is_loopback, same_host.as_deref());
        let refusal = refusal.redact(request.redaction.view());
        // A subresource is the page's concern; what the code of a page requests is the test's.
        let is_listed = request.is_subresource();
        let severity = |check: &CheckId| if is_listed { Severity::Warning } else { self.fail_on.severity(check) };
        outcome.findings.extend(refusal.finding(severity));
        refusal.answer(request.headers, outcome)
    }
}

impl Source for RefusingSource {
    fn answer<'a>(&'a self, exchange: &'a mut Exchange<'_>) -> BoxFuture<'a, Answer> {
        Box::pin(std::future::ready(self.refuse(exchange)))
    }
}

/// Returns true if a request is on the list of noise: browsers, package managers and telemetry send it by themselves.
pub(super) fn is_noise(url: &NormalUrl) -> bool {
    noise::is_noise(url) || url.parts().path == FAVICON
}

/// The path of the icon that browsers request from every origin.
const FAVICON: &str = "/favicon.ico";

/// Returns the advice to send a request to its server. Excluding it from the scope would fail the run.
fn passthrough(request: &RequestView<'_>) -> String {
    let glob = exact_glob(&request.redaction.redact_url(request.headers, request.url.as_str()));
    format!("pass it on to its server with `--passthrough {}`", harproxy_support::shell_quote::word(&glob))
}

/// Returns the glob of this URL with any query.
fn exact_glob(url: &str) -> String {
    let (whole, query) = url.split_once('?').map_or((url, ""), |(whole, _)| (whole, "?**"));
    harproxy_glob::escaped(whole) + query
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;
    use crate::verdict::explain::RerunOptions;
    use harproxy_glob::Globs;
    use harproxy_matching::{Difference, EntryRef, Miss, MissKind, NearMiss, RequestPart};

    async fn read(response: Response<Body>) -> (u16, HeaderMap, Value) {
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        (head.status.as_u16(), head.headers, serde_json::from_slice(&bytes).unwrap())
    }

    fn request<'a>(url: &'a NormalUrl, headers: &'a HeaderMap) -> RequestView<'a> {
        RequestView::get(url, headers)
    }

    fn miss() -> Explanation {
        let differences = vec![Difference {
            part: RequestPart::Query,
            name: "page".into(),
            request: Some("3".into()),
            recorded: Some("2".into()),
        }];
        let near = vec![NearMiss { at: EntryRef { fixture: 0, entry: 4 }, differences, operation: None }];
        let remedy = Some("`--ignore-query page`".to_owned());
        let miss = Miss { kind: MissKind::NoEntry, near, same_path: 3, remedy, ..Miss::of(MissKind::NoEntry) };
        let place = |at: EntryRef| EntryPlace { fixture: "hars/api.har".into(), entry: at.entry, line: Some(120) };
        Explanation::of(&miss, place, RerunOptions::default())
    }

    #[tokio::test]
    async fn miss_has_the_explanation_in_the_problem_document() {
        let url = NormalUrl::parse("https://api.example.com/users?page=3").unwrap();
        let headers = HeaderMap::from_iter([("origin".parse().unwrap(), "https://app.example".parse().unwrap())]);
        let refusal = Refusal::miss(&request(&url, &headers), miss());
        let finding = refusal.finding(|_| Severity::Error).unwrap();
        let (status, head, problem) = read(refusal.response(&headers)).await;
        assert_eq!(status, 501);
        assert_eq!(head["content-type"], "application/problem+json");
        assert_eq!(head["cache-control"], "no-store");
        assert_eq!(head["access-control-allow-origin"], "https://app.example");
        assert_eq!(problem["request"], "GET https://api.example.com/users?page=3");
        assert_eq!(problem["kind"], "no-entry");
        assert_eq!(problem["urlRecorded"], false);
        assert_eq!(problem["samePath"], 3);
        assert_eq!(problem["near"][0]["fixture"], "hars/api.har");
        assert_eq!(problem["near"][0]["entry"], 4);
        assert_eq!(
            problem["near"][0]["differences"][0],
            json!({"what": "query", "name": "page", "request": "3", "recorded": "2"})
        );
        let hint = "record it: `harproxy record`\nif the difference does not matter: `--ignore-query page`";
        assert_eq!(problem["remedy"], hint);
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("query parameter `page` is `3`, recorded `2`"), "{detail}");
        assert!(detail.contains(&format!("hint: {hint}")), "{detail}");
        assert_eq!((finding.at.entry, finding.at.line), (Some(4), Some(120)), "the report points at the nearest entry");
        assert!(detail.contains(&finding.text), "the report and the client read the same");
    }

    #[test]
    fn hint_for_a_local_request_bypasses_its_host() {
        let (url, headers) = (NormalUrl::parse("http://127.0.0.1:8443/x").unwrap(), HeaderMap::new());
        let remedy =
            |local| Refusal::out_of_scope(&request(&url, &headers), &["**/api/**".into()], local, None).hint.unwrap();
        assert!(remedy(true).ends_with("`--bypass 127.0.0.1`"), "{}", remedy(true));
        assert!(remedy(false).ends_with("`--bypass 127.0.0.1:8443`"), "{}", remedy(false));
    }

    #[tokio::test]
    async fn out_of_scope_has_the_scope_and_two_remedies() {
        let (url, headers) = (NormalUrl::parse("https://other.example:8443/x").unwrap(), HeaderMap::new());
        let refusal =
            Refusal::out_of_scope(&request(&url, &headers), &["https://api.example.com/**".into()], false, None);
        let (status, _, problem) = read(refusal.response(&headers)).await;
        assert_eq!(status, 501);
        assert_eq!(problem["scope"], json!(["https://api.example.com/**"]));
        let remedy = problem["remedy"].as_str().unwrap();
        assert!(remedy.contains("`-g 'https://other.example:8443/**'`"), "{remedy}");
        assert!(remedy.contains("`--bypass other.example:8443`"), "{remedy}");
    }

    #[tokio::test]
    async fn favicon_gets_404_and_other_noise_501() {
        let headers = HeaderMap::new();
        for (url, expected) in [("http://h/favicon.ico", 404), ("http://detectportal.firefox.com/", 501)] {
            let url = NormalUrl::parse(url).unwrap();
            let (status, ..) = read(Refusal::noise(&request(&url, &headers)).response(&headers)).await;
            assert_eq!(status, expected);
        }
    }

    #[test]
    fn websocket_has_the_option_that_forwards_it_and_the_one_that_lists_it() {
        for (url, glob) in [
            ("https://api.example.com/live", "https://api.example.com/live"),
            ("https://api.example.com/live/*?token=t", "https://api.example.com/live/\\*?**"),
        ] {
            let (url, headers) = (NormalUrl::parse(url).unwrap(), HeaderMap::new());
            let remedy = |allowing| {
                let refusal = Refusal::websocket(&request(&url, &headers), None, allowing);
                let finding = refusal.finding(|_| Severity::Warning).unwrap();
                assert_eq!(finding.check, CheckId::WEBSOCKET);
                finding.hint.unwrap()
            };
            let listed = remedy(None);
            assert!(listed.starts_with("pass it on"), "{listed}");
            assert!(
                listed.contains(&format!("`--passthrough {}`", harproxy_support::shell_quote::word(glob))),
                "{listed}"
            );
            assert!(remedy(Some("-websocket")).contains("`--fail-on -websocket`"));
            assert!(Globs::new([glob]).unwrap().matches(url.as_str()), "{glob}");
        }
    }
}
