//! The source that applies the rules: it asks the sources of a rule, or makes the answer, and changes it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ::http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER, VIA};
use ::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use arc_swap::ArcSwap;
use bytes::Bytes;
use http_body::Body as _;
use http_body_util::{BodyExt as _, Limited};

use super::breaker::CircuitBreaker;
use super::control::{self, ApiKeys, ControlHeaders, NoEntry};
use super::delay::share_of;
use super::facts::RequestFacts;
use super::fault::{self, Fault, RetryLimits};
use super::patch::patch_payload;
use super::payload;
use super::rule::{Fallback, Respond, RespondPayload, RouteDecision, RouteRule, RouteTable, SourceName, SourceRule};
use super::state::{StateAnswer, StateStore};
use super::template::{self, Variables};
use crate::pipeline::{Exchange, SourceList};
use crate::source::fixture::FixtureSource;
use crate::source::{Answer, Source, UpstreamSource};
use crate::verdict::request::{ResultKind, SourceKind};
use crate::verdict::{CheckId, Finding, Location, Severity};
use harproxy_har::Fixture;
use harproxy_http::problem::Problem;
use harproxy_http::{MediaType, NormalUrl};
use harproxy_proxy::{Body, BoxFuture, respond};

/// The longest request payload that rules read, in bytes.
const LONGEST_REQUEST: usize = 64 << 20;
/// The time for which the fault `timeout` keeps a client waiting.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// The name by which harproxy recognises its own requests in `Via`.
const VIA_NAME: &str = "1.1 harproxy-serve";

/// The check of a request that came before the time of `Retry-After`.
pub const RETRY_TOO_EARLY: CheckId = CheckId::new("retry-too-early");

/// The rules of a run, with everything that they remember. Reloads of fixtures keep it.
#[derive(Debug, Default)]
pub struct RouteState {
    pub table: ArcSwap<RouteTable>,
    pub states: StateStore,
    pub breaker: CircuitBreaker,
    pub retries: RetryLimits,
    pub variables: Variables,
    /// Whether `x-mock-…` headers count.
    pub has_control_headers: bool,
    pub keys: ApiKeys,
    /// The number of requests that rules applied to.
    pub number: AtomicU64,
}

impl RouteState {
    /// Returns true if a rule may apply to a request.
    #[must_use]
    pub fn covers(&self, method: &str, url: &NormalUrl) -> bool {
        !self.table.load().covering(method, url.as_str(), url.parts().path).is_empty()
    }

    /// Returns true if a rule may apply to a URL of this origin.
    #[must_use]
    pub fn may_match_origin(&self, origin: &str) -> bool {
        self.table.load().rules.iter().any(|rule| rule.pattern.globs().may_match_origin(origin))
    }

    /// Returns true if a rule may apply to a URL of this host, or of a host below it.
    #[must_use]
    pub fn may_match_domain(&self, domain: &str) -> bool {
        self.table.load().rules.iter().any(|rule| rule.pattern.globs().may_match_domain(domain))
    }

    /// Forgets everything that requests have changed.
    pub fn reset(&self) {
        self.states.reset(None);
        self.retries.reset();
        self.table.load().rules.iter().for_each(|rule| rule.occurrences.reset());
    }
}

/// Applies the rules to requests in scope.
pub struct RuledSource {
    pub rules: Arc<RouteState>,
    pub fixtures: Arc<FixtureSource>,
    pub live: Option<Arc<UpstreamSource>>,
    pub local: Option<Arc<UpstreamSource>>,
    /// The sources of a request without a rule.
    pub others: SourceList,
}

/// Refuses requests without an API key. The key is removed, so that no later stage sees it.
pub struct KeySource(pub Arc<RouteState>);

impl Source for KeySource {
    fn answer<'a>(&'a self, exchange: &'a mut Exchange<'_>) -> BoxFuture<'a, Answer> {
        Box::pin(async move {
            let is_preflight = exchange.method() == Method::OPTIONS
                && exchange.headers().contains_key("access-control-request-method");
            if self.0.keys.accept(exchange.request.headers_mut()) || is_preflight {
                return Answer::Pass;
            }
            let detail = format!("send a valid key in the header `{}`", control::API_KEY);
            refuse(exchange, Problem::new(401, "an API key is required", detail))
        })
    }
}

impl Source for RuledSource {
    fn answer<'a>(&'a self, exchange: &'a mut Exchange<'_>) -> BoxFuture<'a, Answer> {
        Box::pin(self.apply(exchange))
    }
}

/// Answers with a problem document of harproxy itself.
fn refuse(exchange: &mut Exchange<'_>, problem: Problem) -> Answer {
    let outcome = exchange.outcome();
    outcome.decide(ResultKind::Refused, SourceKind::MadeUp);
    outcome.explanation = Some(problem.detail.clone());
    Answer::Response(respond::problem(&problem, ""))
}

async fn ask_all(sources: &SourceList, exchange: &mut Exchange<'_>) -> Answer {
    for source in &**sources {
        match source.answer(exchange).await {
            Answer::Pass => {}
            answer => return answer,
        }
    }
    Answer::Pass
}

impl RuledSource {
    async fn apply(&self, exchange: &mut Exchange<'_>) -> Answer {
        let Some(url) = exchange.url.as_ref().ok().cloned() else { return ask_all(&self.others, exchange).await };
        let has_control = self.rules.has_control_headers && ControlHeaders::are_in(exchange.headers());
        let table = self.rules.table.load_full();
        let covering = table.covering(exchange.method().as_str(), url.as_str(), url.parts().path);
        if covering.is_empty() && !has_control {
            return ask_all(&self.others, exchange).await;
        }
        let control = match has_control.then(|| ControlHeaders::take(exchange.request.headers_mut())).transpose() {
            Ok(control) => control.unwrap_or_default(),
            Err(error) => return refuse(exchange, Problem::new(400, "invalid control header", error.to_string())),
        };
        let needs_payload = covering.iter().any(|rule| rule.needs_payload() || rule.source.is_some());
        let payload = match needs_payload {
            true => match take_payload(exchange).await {
                Ok(payload) => payload,
                Err(answer) => return answer,
            },
            false => Bytes::new(),
        };
        let session = exchange.session.name().map(str::to_owned);
        let facts =
            RequestFacts::new(exchange.method().clone(), url, exchange.headers().clone(), payload.clone(), session);
        let decision = table.decide(&covering, &facts);
        exchange.outcome().rules = decision.rules.iter().map(|rule| rule.id.clone()).collect();
        let number = self.rules.number.fetch_add(1, Ordering::Relaxed) + 1;
        if let Some((rule, fault)) = &decision.fault
            && let Some(answer) = self.early_fault(rule, fault, exchange, &facts).await
        {
            return answer;
        }
        let answer = self.answer_of(&decision, &control, exchange, &facts, payload).await;
        let recorded = self.recorded_time(exchange);
        let delays = decision.delays.iter().map(|delay| delay.of(number, recorded)).chain(control.delay);
        let delay = delays.fold(Duration::ZERO, Duration::saturating_add);
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        match answer {
            Answer::Response(response) => self.shape(&decision, response, exchange, &facts).await,
            answer => answer,
        }
    }

    /// Answers a fault that needs no source. `None` if the fault changes an answer.
    async fn early_fault(
        &self,
        rule: &Arc<RouteRule>,
        fault: &Fault,
        exchange: &mut Exchange<'_>,
        facts: &RequestFacts,
    ) -> Option<Answer> {
        match fault {
            Fault::Status { status, retry_after } => {
                Some(self.fault_status(rule, *status, *retry_after, exchange, facts))
            }
            Fault::Timeout => {
                exchange.outcome().decide(ResultKind::Served, SourceKind::MadeUp);
                let draining = exchange.connection.draining.clone();
                // The client gives up before.
                let _ = tokio::time::timeout(LONGEST_WAIT, draining.cancelled()).await;
                Some(Answer::Close)
            }
            Fault::Empty => {
                exchange.outcome().decide(ResultKind::Served, SourceKind::MadeUp);
                Some(Answer::Close)
            }
            _ => None,
        }
    }

    fn fault_status(
        &self,
        rule: &Arc<RouteRule>,
        status: StatusCode,
        retry_after: Option<Duration>,
        exchange: &mut Exchange<'_>,
        facts: &RequestFacts,
    ) -> Answer {
        let (now, client) = (Instant::now(), facts.session.clone().unwrap_or_default());
        let mut wait = retry_after;
        if let Some(remaining) = self.rules.retries.remaining(&client, &rule.id, now) {
            let text = format!("it came {} ms before the time of `Retry-After`", remaining.as_millis());
            let finding = Finding::new(RETRY_TOO_EARLY, Severity::Warning, text);
            let finding = finding.with_hint("wait for the time of `Retry-After` before the next attempt");
            let line = exchange.line();
            exchange.outcome().findings.push(Finding { at: Location::request(line), ..finding });
            wait = Some(remaining);
        } else if let Some(wait) = retry_after {
            self.rules.retries.note(&client, &rule.id, now + wait);
        }
        exchange.outcome().decide(ResultKind::Served, SourceKind::MadeUp);
        let reason = status.canonical_reason().unwrap_or("an error on purpose");
        let problem = Problem::new(status.as_u16(), reason, format!("rule `{}` answers with this status", rule.id));
        let mut response = respond::problem(&problem, "");
        if let Some(wait) = wait {
            response.headers_mut().insert(
                RETRY_AFTER,
                wait.as_secs_f64().ceil().to_string().parse().unwrap_or(HeaderValue::from_static("1")),
            );
        }
        Answer::Response(response)
    }

    /// Returns the answer before it is changed: by control headers, state, `respond`, or the sources.
    async fn answer_of(
        &self,
        decision: &RouteDecision,
        control: &ControlHeaders,
        exchange: &mut Exchange<'_>,
        facts: &RequestFacts,
        payload: Bytes,
    ) -> Answer {
        if control.code.is_some() || control.name.is_some() {
            return self.chosen_entry(control, exchange, facts).await;
        }
        if let Some(answer) = decision.state.as_ref().and_then(|rule| self.state_answer(rule, exchange, facts)) {
            return answer;
        }
        if let Some(rule) = &decision.respond
            && let Some(respond) = &rule.respond
        {
            return self.respond(respond, exchange, facts).await;
        }
        let answer = match &decision.source {
            Some((rule, sources)) => self.ask_sources(rule, sources, exchange, facts, payload).await,
            None => ask_all(&self.others, exchange).await,
        };
        if !control.match_headers.is_empty()
            && let Some(problem) = self.header_difference(control, exchange, facts)
        {
            return refuse(exchange, problem);
        }
        answer
    }

    /// Serves the entry that the control headers name.
    async fn chosen_entry(
        &self,
        control: &ControlHeaders,
        exchange: &mut Exchange<'_>,
        facts: &RequestFacts,
    ) -> Answer {
        let entries = control::entries_of(self.fixtures.matcher.fixtures(), &facts.method, &facts.url);
        match control::choose(&entries, control) {
            Ok(at) => self.fixtures.serve_entry(exchange, at).await,
            Err(NoEntry::Contradiction { name, status }) => {
                let detail = format!("the entry `{name}` has the status {status}");
                refuse(exchange, Problem::new(400, "the control headers contradict each other", detail))
            }
            Err(NoEntry::NotFound { statuses, names }) => {
                let detail = match statuses.is_empty() {
                    true => "no entry has this method and path".to_owned(),
                    false => format!("entries of this method and path have the statuses {}", list(&statuses)),
                };
                let problem = Problem::new(404, "no entry fits the control headers", detail);
                refuse(exchange, problem.with("statuses", statuses).with("names", names))
            }
        }
    }

    fn state_answer(&self, rule: &Arc<RouteRule>, exchange: &mut Exchange<'_>, facts: &RequestFacts) -> Option<Answer> {
        let state = rule.state.as_ref()?;
        let seed = || self.seed(&facts.url, &state.collection_path);
        let StateAnswer { status, payload, created } = self.rules.states.answer(state, facts, seed)?;
        exchange.outcome().decide(ResultKind::Served, SourceKind::MadeUp);
        let mut response = Response::new(Bytes::from(payload.map(|payload| payload.to_string()).unwrap_or_default()));
        *response.status_mut() = status;
        if !response.body().is_empty() {
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let location = created.map(|id| format!("{}/{id}", state.collection_path));
        if let Some(location) = location.and_then(|location| HeaderValue::from_str(&location).ok()) {
            response.headers_mut().insert(LOCATION, location);
        }
        Some(Answer::Response(payload::with_payload(response)))
    }

    /// Returns the items of a collection in the recorded answer of its list.
    fn seed(&self, url: &NormalUrl, path: &str) -> Vec<serde_json::Value> {
        let list = NormalUrl::parse(&format!("{}{path}", url.parts().site()));
        let Ok(list) = list else { return Vec::new() };
        let fixtures = self.fixtures.matcher.fixtures();
        let entries = control::entries_of(fixtures, &Method::GET, &list);
        let payload = entries.iter().filter(|entry| entry.status == 200).find_map(|entry| {
            let fixture: &Fixture = &fixtures[entry.at.fixture];
            let content = fixture.entry(entry.at.entry).ok()?.response.content.clone();
            let bytes = fixture.payload(entry.at.entry, &content).ok()?.bytes().ok()?;
            serde_json::from_slice::<serde_json::Value>(&bytes).ok()
        });
        match payload {
            Some(serde_json::Value::Array(items)) => items,
            // A list inside an object, such as `{"data":[…]}`.
            Some(serde_json::Value::Object(members)) => {
                members.into_iter().find_map(|(_, value)| value.as_array().cloned()).unwrap_or_default()
            }
            _ => Vec::new(),
        }
    }

    async fn respond(&self, respond: &Respond, exchange: &mut Exchange<'_>, facts: &RequestFacts) -> Answer {
        let (payload, content_type) = match &respond.payload {
            RespondPayload::Example(name) => {
                let control = ControlHeaders { name: Some(name.clone()), ..ControlHeaders::default() };
                return match self.chosen_entry(&control, exchange, facts).await {
                    Answer::Response(mut response) => {
                        set_head(&mut response, respond);
                        Answer::Response(response)
                    }
                    answer => answer,
                };
            }
            RespondPayload::Empty => (Bytes::new(), None),
            RespondPayload::Json(json) => (Bytes::from(json.clone()), Some("application/json")),
            RespondPayload::Text(text) => (Bytes::from(text.clone()), Some("text/plain; charset=utf-8")),
            RespondPayload::File { bytes, content_type } => (bytes.clone(), Some(content_type.as_str())),
        };
        exchange.outcome().decide(ResultKind::Served, SourceKind::MadeUp);
        let mut response = Response::new(payload);
        if let Some(content_type) = content_type.and_then(|content_type| HeaderValue::from_str(content_type).ok()) {
            response.headers_mut().insert(CONTENT_TYPE, content_type);
        }
        set_head(&mut response, respond);
        Answer::Response(payload::with_payload(response))
    }

    /// Asks the sources of a rule in order, until one answers.
    async fn ask_sources(
        &self,
        rule: &Arc<RouteRule>,
        source: &SourceRule,
        exchange: &mut Exchange<'_>,
        facts: &RequestFacts,
        payload: Bytes,
    ) -> Answer {
        let mut sources = source.sources.clone();
        if let Some(share) = source.live_share {
            let client = match &source.split_by {
                Some(name) => facts.header(name.as_str()).into_iter().next(),
                None => facts.session.clone(),
            };
            let is_live = share_of(&client.unwrap_or_default()) < share;
            sources.sort_by_key(|source| (*source == SourceName::Live) != is_live);
        }
        let (parts, findings) = (exchange.request.clone_head(), exchange.outcome().findings.len());
        let mut last = None;
        for (index, name) in sources.iter().enumerate() {
            if index > 0 {
                // The attempts before leave no trace but a note.
                let outcome = exchange.outcome();
                outcome.findings.truncate(findings);
                (outcome.result, outcome.entry, outcome.explanation, outcome.hint) = (None, None, None, None);
                outcome.upstream_error = None;
            }
            exchange.request = parts.with(payload.clone());
            let answer = self.ask(*name, rule, exchange).await;
            let is_last = index + 1 == sources.len();
            if is_last || !falls_back(&answer, exchange, source) {
                return answer;
            }
            last = Some(answer);
        }
        last.unwrap_or(Answer::Pass)
    }

    async fn ask(&self, name: SourceName, rule: &Arc<RouteRule>, exchange: &mut Exchange<'_>) -> Answer {
        match name {
            SourceName::Fixture => self.fixtures.answer(exchange).await,
            SourceName::Local => match &self.local {
                Some(local) => local.answer(exchange).await,
                None => refuse(exchange, Problem::new(502, "no local source", "local requests are switched off")),
            },
            SourceName::None => {
                let detail = format!("rule `{}` has no source", rule.id);
                refuse(exchange, Problem::new(404, "no source", detail))
            }
            SourceName::Live => self.ask_live(rule, exchange).await,
        }
    }

    async fn ask_live(&self, rule: &Arc<RouteRule>, exchange: &mut Exchange<'_>) -> Answer {
        let Some(live) = self.live.as_ref().filter(|_| exchange.may_forward) else {
            return refuse(exchange, Problem::new(502, "no live source", "harproxy is offline"));
        };
        let is_loop = exchange.headers().get_all(VIA).iter().any(|via| via.as_bytes() == VIA_NAME.as_bytes());
        if is_loop {
            let detail = "the request has passed this harproxy before";
            return refuse(exchange, Problem::new(508, "a loop of live sources", detail));
        }
        let (to, now) = (exchange.connect_to.clone(), Instant::now());
        if let Some(remaining) = self.rules.breaker.skips(&to, now) {
            let detail = format!("{to} has failed repeatedly and is skipped for {} s more", remaining.as_secs());
            let outcome = exchange.outcome();
            outcome.decide(ResultKind::Live, SourceKind::None);
            return Answer::Response(respond::problem(&Problem::new(503, "the live source is skipped", detail), ""));
        }
        let headers = exchange.request.headers_mut();
        headers.append(VIA, HeaderValue::from_static(VIA_NAME));
        for (name, value) in &rule.live_headers {
            headers.insert(name, value.clone());
        }
        let answer = live.answer(exchange).await;
        let has_failed = match &answer {
            Answer::Response(response) => response.status().is_server_error(),
            _ => true,
        };
        self.rules.breaker.note(&to, has_failed, Instant::now());
        answer
    }

    /// Returns the problem if a header that must be equal differs from that of the entry.
    fn header_difference(
        &self,
        control: &ControlHeaders,
        exchange: &mut Exchange<'_>,
        facts: &RequestFacts,
    ) -> Option<Problem> {
        let place = exchange.outcome().entry.clone()?;
        let fixture = self.fixtures.names.iter().position(|name| *name == place.fixture)?;
        let entry = self.fixtures.matcher.fixtures()[fixture].entry(place.entry).ok()?;
        let differs = |name: &&String| {
            let recorded: Vec<&[u8]> = entry.request.headers.get_all(name).collect();
            let sent: Vec<&[u8]> = facts.headers.get_all(name.as_str()).iter().map(HeaderValue::as_bytes).collect();
            recorded != sent
        };
        let name = control.match_headers.iter().find(differs)?;
        Some(Problem::new(404, "a header differs", format!("`{name}` is not that of the recorded request")))
    }

    /// Returns the time that the entry of the answer took.
    fn recorded_time(&self, exchange: &mut Exchange<'_>) -> Option<Duration> {
        let place = exchange.outcome().entry.clone()?;
        let fixture = self.fixtures.names.iter().position(|name| *name == place.fixture)?;
        let entry = self.fixtures.matcher.fixtures()[fixture].entry(place.entry).ok()?;
        Duration::try_from_secs_f64(entry.time / 1000.0).ok()
    }

    /// Changes an answer by patches, templates and faults.
    async fn shape(
        &self,
        decision: &RouteDecision,
        mut response: Response<Body>,
        exchange: &mut Exchange<'_>,
        facts: &RequestFacts,
    ) -> Answer {
        let patches = decision.patches();
        patches.iter().for_each(|patch| patch.apply_to_head(&mut response));
        let changes: Vec<_> = patches.iter().copied().filter(|patch| patch.changes_payload()).collect();
        let fault = decision.fault.as_ref().map(|(_, fault)| fault);
        let late = fault.filter(|fault| !matches!(fault, Fault::Status { .. } | Fault::Timeout | Fault::Empty));
        if !patches.is_empty() || late.is_some() {
            exchange.outcome().source = exchange.outcome().source.patched();
        }
        if changes.is_empty() && late.is_none() && decision.template().is_none() && decision.rate.is_none() {
            return Answer::Response(response);
        }
        let mut whole = match payload::read(response).await {
            Ok(whole) => whole,
            Err(detail) => return refuse(exchange, Problem::new(502, "the answer can't be changed", detail)),
        };
        if let Some(rule) = decision.template() {
            let is_json = is_json(whole.headers());
            let rendered = match std::str::from_utf8(whole.body()) {
                Ok(text) => template::render(text, is_json, facts, rule.path.as_ref(), &self.rules.variables),
                Err(_) => Err("the answer is not text in UTF-8".to_owned()),
            };
            match rendered {
                Ok(text) => *whole.body_mut() = text.into(),
                Err(reason) => {
                    let detail = format!("rule `{}`: {reason}", rule.id);
                    return refuse(exchange, Problem::new(500, "the template fails", detail));
                }
            }
        }
        if !changes.is_empty() {
            match patch_payload(whole.body(), &changes) {
                Ok(patched) => *whole.body_mut() = patched.into(),
                Err(error) => {
                    let detail = error.to_string();
                    return refuse(exchange, Problem::new(500, "the patch does not fit the answer", detail));
                }
            }
        }
        Answer::Response(with_fault(whole, late, decision.rate))
    }
}

/// Returns an answer with a fault of its payload.
fn with_fault(mut whole: Response<Bytes>, fault: Option<&Fault>, rate: Option<u64>) -> Response<Body> {
    match fault {
        Some(Fault::Reset) => return payload::broken_off(whole, 0),
        Some(Fault::Truncate) => {
            let kept = whole.body().len() / 2;
            return payload::broken_off(whole, kept);
        }
        Some(Fault::Slow(rate)) => return payload::at_rate(whole, *rate),
        Some(Fault::MalformedJson) => *whole.body_mut() = fault::malformed_json(whole.body()).into(),
        Some(Fault::EmptySet) => {
            if let Some(emptied) = fault::empty_lists(whole.body()) {
                *whole.body_mut() = emptied.into();
            }
        }
        Some(Fault::Status { .. } | Fault::Timeout | Fault::Empty) | None => {}
    }
    match rate {
        Some(rate) => payload::at_rate(whole, rate),
        None => payload::with_payload(whole),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    MediaType::parse(content_type).is_json()
}

fn set_head<B>(response: &mut Response<B>, respond: &Respond) {
    if let Some(status) = respond.status {
        *response.status_mut() = status;
    }
    for (name, value) in &respond.headers {
        response.headers_mut().insert(name, value.clone());
    }
}

fn list(statuses: &[u16]) -> String {
    statuses.iter().map(u16::to_string).collect::<Vec<_>>().join(", ")
}

/// Returns true if the next source is asked after this answer.
fn falls_back(answer: &Answer, exchange: &mut Exchange<'_>, source: &SourceRule) -> bool {
    let default = [Fallback::Miss];
    let causes = if source.fallback_on.is_empty() { &default[..] } else { &source.fallback_on };
    let outcome = exchange.outcome();
    let (result, error) = (outcome.result(), outcome.upstream_error.as_ref().map(|error| error.kind()));
    let status = match answer {
        Answer::Response(response) => Some(response.status()),
        _ => None,
    };
    let is_live = matches!(result, ResultKind::Live | ResultKind::Local);
    causes.iter().any(|cause| match cause {
        Fallback::Miss => matches!(answer, Answer::Pass) || matches!(result, ResultKind::Miss),
        Fallback::ClientError => is_live && error.is_none() && status.is_some_and(|status| status.is_client_error()),
        Fallback::ServerError => is_live && error.is_none() && status.is_some_and(|status| status.is_server_error()),
        Fallback::Timeout => error == Some("timeout"),
        Fallback::Connect => error.is_some_and(|kind| kind != "timeout"),
        Fallback::Status(wanted) => is_live && status.is_some_and(|status| status.as_u16() == *wanted),
    })
}

/// Reads the payload of a request.
async fn take_payload(exchange: &mut Exchange<'_>) -> Result<Bytes, Answer> {
    let body = exchange.take_body();
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    match Limited::new(body, LONGEST_REQUEST).collect().await {
        Ok(collected) => {
            let payload = collected.to_bytes();
            *exchange.request.body_mut() = Body::full(payload.clone());
            Ok(payload)
        }
        Err(_) => {
            let detail = format!("it broke off, or is longer than {} MiB", LONGEST_REQUEST >> 20);
            Err(refuse(exchange, Problem::new(413, "the payload can't be read", detail)))
        }
    }
}

/// The head of a request, which is sent to several sources.
struct RequestHead(Request<()>);

trait CloneHead {
    fn clone_head(&self) -> RequestHead;
}

impl CloneHead for Request<Body> {
    fn clone_head(&self) -> RequestHead {
        let mut head = Request::new(());
        *head.method_mut() = self.method().clone();
        *head.uri_mut() = self.uri().clone();
        *head.version_mut() = self.version();
        *head.headers_mut() = self.headers().clone();
        *head.extensions_mut() = self.extensions().clone();
        RequestHead(head)
    }
}

impl RequestHead {
    fn with(&self, payload: Bytes) -> Request<Body> {
        let body = if payload.is_empty() { Body::default() } else { Body::full(payload) };
        self.0.clone().map(|()| body)
    }
}
