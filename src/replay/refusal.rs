//! What is not answered from an entry, and why: one description for the client's problem document, the log and the report.

use ::http::{HeaderMap, Response};
use serde_json::{Map, Value, json};

use super::asked::Asked;
use super::cors;
use super::intake::{IntakeError, LONGEST_REQUEST};
use crate::verdict::explain::{EntryPlace, Explanation, NearEntry};
use crate::verdict::{CheckId, Finding, Location, Severity};
use harproxy_http::NormalUrl;
use harproxy_http::problem::Problem;
use harproxy_proxy::respond;
use harproxy_proxy::{Body, Provenance, Way, Why};

/// A request that is refused.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    /// What it is reported as; noise and broken requests are not.
    check: Option<CheckId>,
    /// The status of the answer.
    pub(super) status: u16,
    /// What `x-harproxy` says.
    mark: &'static str,
    title: &'static str,
    /// `METHOD URL`.
    request: String,
    explanation: String,
    remedy: Option<String>,
    /// The nearest entry.
    place: Option<EntryPlace>,
    /// The nearest entries.
    near: Vec<NearEntry>,
    /// Further members of the problem document.
    more: Map<String, Value>,
}

impl Refusal {
    fn new(
        check: impl Into<Option<CheckId>>,
        mark: &'static str,
        title: &'static str,
        request: String,
        explanation: String,
    ) -> Self {
        Refusal {
            check: check.into(),
            status: 501,
            mark,
            title,
            request,
            explanation,
            remedy: None,
            place: None,
            near: Vec::new(),
            more: Map::new(),
        }
    }

    /// A miss, explained.
    pub(super) fn miss(asked: &Asked<'_>, explained: Explanation) -> Self {
        let mut refusal =
            Refusal::new(CheckId::MISS, "miss", "no entry answers this request", asked.line(), explained.text());
        refusal.member("kind", explained.kind);
        refusal.member("operation", explained.operation.clone());
        refusal.member("urlRecorded", explained.url_recorded);
        refusal.member("samePath", explained.same_path);
        refusal.member("near", serde_json::to_value(&explained.near).unwrap_or_default());
        refusal.place = explained.near.first().map(|near| near.place.clone());
        refusal.remedy = explained.hint().map(str::to_owned);
        refusal.near = explained.near;
        refusal
    }

    /// A payload that is too long to be compared.
    pub(super) fn too_long(asked: &Asked<'_>) -> Self {
        let explanation =
            format!("its payload is longer than {} MiB, which is as much as is compared", LONGEST_REQUEST >> 20);
        let mut refusal =
            Refusal::new(CheckId::MISS, "miss", "the payload is too long to be compared", asked.line(), explanation);
        refusal.status = 413;
        refusal.member("kind", "payload-too-long");
        refusal.remedy = Some("`--match-body ignore` matches without the payload".to_owned());
        refusal
    }

    /// A WebSocket (or another protocol that a 101 was recorded for). `allowing` is the `--fail-on` under which none fails a run, where
    /// it does.
    pub(super) fn websocket(asked: &Asked<'_>, recorded: Option<EntryPlace>, allowing: Option<&str>) -> Self {
        let explanation = match &recorded {
            Some(place) => format!("{place} is a change of protocol, which can't be replayed yet"),
            None => "a WebSocket in scope can't be replayed yet".to_owned(),
        };
        let title = "a WebSocket can't be replayed yet";
        let mut refusal = Refusal::new(CheckId::WEBSOCKET, "miss", title, asked.line(), explanation);
        refusal.member("kind", "websocket");
        refusal.place = recorded;
        // Out of the scope it would fail the run.
        let way_out = format!(
            "`--passthrough {}` lets it reach its server",
            harproxy_support::shell_quote::word(&exact_glob(asked.url))
        );
        refusal.remedy = Some(match allowing {
            Some(list) => format!("`--fail-on {list}` lists WebSockets without failing the run; {way_out}"),
            None => format!("nothing need be done, for it fails no run; {way_out}"),
        });
        refusal
    }

    /// Out of scope. `scope` says what is in; a `local` request is refused only by `--no-local`.
    pub(super) fn out_of_scope(asked: &Asked<'_>, scope: &[String], local: bool) -> Self {
        // Not every client knows ports in NO_PROXY, and on this machine it is one's own server whatever the port.
        let host = if local { asked.url.parts().host() } else { asked.url.parts().authority() };
        let glob = origin_glob(asked.url);
        let why = match local {
            true => "it is local and out of scope, and `--no-local` refuses that",
            false => "it is out of scope",
        };
        let globs: Vec<String> = scope.iter().map(|glob| format!("`{glob}`")).collect();
        let explanation = format!("{why}: in are {}", globs.join(", "));
        let mut refusal = Refusal::new(
            CheckId::OUT_OF_SCOPE,
            "out-of-scope",
            "this request is out of scope",
            asked.line(),
            explanation,
        );
        refusal.member("scope", scope.to_vec());
        refusal.remedy = Some(format!(
            "record it too, with `harproxy record` and {}, or let CMD reach it without the proxy with `--bypass {host}`",
            typed(&glob),
        ));
        refusal
    }

    /// On the list of noise.
    pub(super) fn noise(asked: &Asked<'_>) -> Self {
        let favicon = asked.url.parts().path == FAVICON;
        let why = "browsers, package managers and telemetry ask for it by themselves: it is never recorded".to_owned();
        let title = "this request is noise";
        let mut refusal = Refusal::new(None, "noise", title, asked.line(), why);
        refusal.status = if favicon { 404 } else { 501 };
        refusal
    }

    /// What the client can do nothing with but mend: a URL or a payload that is none.
    pub(super) fn broken(request: String, why: String) -> Self {
        let mut refusal = Refusal::new(None, "", "this request is broken", request, why);
        refusal.status = 400;
        refusal
    }

    /// A request whose payload did not come.
    pub(super) fn unread(request: String, error: &IntakeError) -> Self {
        if !matches!(error, IntakeError::Stalled(_)) {
            return Refusal::broken(request, error.to_string());
        }
        let mut refusal = Refusal::new(None, "", "this request took too long", request, error.to_string());
        refusal.status = 408;
        refusal.remedy = Some("`--idle-timeout` gives it more time".to_owned());
        refusal
    }

    fn member(&mut self, name: &str, value: impl Into<Value>) {
        self.more.insert(name.to_owned(), value.into());
    }

    /// The finding for the report, if it is one: `severity` says whether its kind fails the run.
    pub(super) fn finding(&self, severity: impl FnOnce(&CheckId) -> Severity) -> Option<Finding> {
        let check = self.check.clone()?;
        Some(Finding {
            at: Location {
                request: Some(self.request.clone()),
                fixture: self.place.as_ref().map(|place| place.fixture.clone()),
                entry: self.place.as_ref().map(|place| place.entry),
                line: self.place.as_ref().and_then(|place| place.line),
            },
            hint: self.remedy.clone(),
            near: self.near.clone(),
            ..Finding::new(check.clone(), severity(&check), self.explanation.clone())
        })
    }

    /// What the request's note says.
    pub(super) fn provenance(&self, way: Way) -> Provenance {
        let entry = self.place.as_ref().map(|place| (place.fixture.clone(), place.entry));
        let why = Why { explanation: self.explanation.clone(), remedy: self.remedy.clone() };
        Provenance { entry, why: Some(why), ..Provenance::of(way) }
    }

    /// The answer for the client, which a page's code can read.
    pub(super) fn response(self, request: &HeaderMap, mark: bool) -> Response<Body> {
        let detail = match &self.remedy {
            Some(remedy) => format!("{}\n{}\nhint: {remedy}", self.request, self.explanation),
            None => format!("{}\n{}", self.request, self.explanation),
        };
        let mut problem = Problem::new(self.status, self.title, detail).with("request", self.request);
        problem.extra.extend(self.more);
        let problem = problem.with("remedy", json!(self.remedy));
        let mut response = respond::problem(&problem, if mark { self.mark } else { "" });
        cors::allow(request, response.headers_mut());
        response
    }
}

/// The path that browsers ask every origin for.
pub(super) const FAVICON: &str = "/favicon.ico";

/// The glob of everything on the same origin.
fn origin_glob(url: &NormalUrl) -> String {
    format!("{}/**", url.parts().site())
}

/// The glob of this URL alone, whatever its query says.
fn exact_glob(url: &NormalUrl) -> String {
    let parts = url.parts();
    let query = if parts.query.is_some() { "?**" } else { "" };
    harproxy_glob::escaped(&url.as_str()[..parts.origin.len() + parts.path.len()]) + query
}

/// The option as it is typed.
fn typed(glob: &str) -> String {
    format!("`-g {}`", harproxy_support::shell_quote::word(glob))
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;
    use harproxy_glob::Globs;
    use harproxy_matching::{Difference, EntryRef, Miss, MissKind, Near, What};

    async fn read(response: Response<Body>) -> (u16, HeaderMap, Value) {
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        (head.status.as_u16(), head.headers, serde_json::from_slice(&bytes).unwrap())
    }

    fn asked<'a>(url: &'a NormalUrl, headers: &'a HeaderMap) -> Asked<'a> {
        Asked::get(url, headers)
    }

    fn miss() -> Explanation {
        let differences = vec![Difference {
            what: What::Query,
            name: "page".into(),
            request: Some("3".into()),
            recorded: Some("2".into()),
        }];
        let near = vec![Near { at: EntryRef { fixture: 0, entry: 4 }, differences, operation: None }];
        let remedy = Some("`--ignore-query page`".to_owned());
        let miss = Miss { kind: MissKind::NoEntry, near, same_path: 3, remedy, recordable: None, operation: None };
        Explanation::of(&miss, |at| EntryPlace { fixture: "hars/api.har".into(), entry: at.entry, line: Some(120) })
    }

    #[tokio::test]
    async fn a_miss_tells_the_client_all_that_is_known() {
        let url = NormalUrl::parse("https://api.example.com/users?page=3").unwrap();
        let headers = HeaderMap::from_iter([("origin".parse().unwrap(), "https://app.example".parse().unwrap())]);
        let refusal = Refusal::miss(&asked(&url, &headers), miss());
        let finding = refusal.finding(|_| Severity::Error).unwrap();
        let (status, head, problem) = read(refusal.response(&headers, true)).await;
        assert_eq!(status, 501);
        assert_eq!(head["content-type"], "application/problem+json");
        assert_eq!(head["cache-control"], "no-store");
        assert_eq!(head["x-harproxy"], "miss");
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
        assert_eq!(problem["remedy"], "`--ignore-query page`");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("query parameter `page` is `3`, recorded `2`"), "{detail}");
        assert!(detail.contains("hint: `--ignore-query page`"), "{detail}");
        assert_eq!((finding.at.entry, finding.at.line), (Some(4), Some(120)), "the report points at the nearest entry");
        assert!(detail.contains(&finding.text), "the report and the client read the same");
    }

    #[test]
    fn what_is_local_is_let_past_by_its_host_alone() {
        let (url, headers) = (NormalUrl::parse("http://127.0.0.1:8443/x").unwrap(), HeaderMap::new());
        let remedy =
            |local| Refusal::out_of_scope(&asked(&url, &headers), &["**/api/**".into()], local).remedy.unwrap();
        assert!(remedy(true).ends_with("`--bypass 127.0.0.1`"), "{}", remedy(true));
        assert!(remedy(false).ends_with("`--bypass 127.0.0.1:8443`"), "{}", remedy(false));
    }

    #[tokio::test]
    async fn out_of_scope_tells_what_is_in_and_two_ways_out() {
        let (url, headers) = (NormalUrl::parse("https://other.example:8443/x").unwrap(), HeaderMap::new());
        let refusal = Refusal::out_of_scope(&asked(&url, &headers), &["https://api.example.com/**".into()], false);
        let (status, head, problem) = read(refusal.response(&headers, true)).await;
        assert_eq!((status, &head["x-harproxy"]), (501, &"out-of-scope".parse().unwrap()));
        assert_eq!(problem["scope"], json!(["https://api.example.com/**"]));
        let remedy = problem["remedy"].as_str().unwrap();
        assert!(remedy.contains("`-g 'https://other.example:8443/**'`"), "{remedy}");
        assert!(remedy.contains("`--bypass other.example:8443`"), "{remedy}");
    }

    #[tokio::test]
    async fn a_favicon_is_not_found_and_other_noise_is_refused() {
        let headers = HeaderMap::new();
        for (url, expected) in [("http://h/favicon.ico", 404), ("http://detectportal.firefox.com/", 501)] {
            let url = NormalUrl::parse(url).unwrap();
            let (status, head, _) = read(Refusal::noise(&asked(&url, &headers)).response(&headers, true)).await;
            assert_eq!((status, &head["x-harproxy"]), (expected, &"noise".parse().unwrap()));
        }
    }

    #[test]
    fn a_websocket_says_how_to_let_it_through_and_how_it_fails_no_run() {
        for (url, glob) in [
            ("https://api.example.com/live", "https://api.example.com/live"),
            ("https://api.example.com/live/*?token=t", "https://api.example.com/live/\\*?**"),
        ] {
            let (url, headers) = (NormalUrl::parse(url).unwrap(), HeaderMap::new());
            let remedy = |allowing| {
                let refusal = Refusal::websocket(&asked(&url, &headers), None, allowing);
                let finding = refusal.finding(|_| Severity::Warning).unwrap();
                assert_eq!(finding.check, CheckId::WEBSOCKET);
                finding.hint.unwrap()
            };
            let listed = remedy(None);
            assert!(listed.starts_with("nothing need be done"), "{listed}");
            assert!(
                listed.contains(&format!("`--passthrough {}`", harproxy_support::shell_quote::word(glob))),
                "{listed}"
            );
            assert!(remedy(Some("-websocket")).starts_with("`--fail-on -websocket` "));
            assert!(Globs::new([glob]).unwrap().matches(url.as_str()), "{glob}");
        }
    }

    #[tokio::test]
    async fn without_marks_nothing_is_marked() {
        let (url, headers) = (NormalUrl::parse("http://h/").unwrap(), HeaderMap::new());
        let (_, head, _) = read(Refusal::miss(&asked(&url, &headers), miss()).response(&headers, false)).await;
        assert!(!head.contains_key("x-harproxy"));
    }
}
