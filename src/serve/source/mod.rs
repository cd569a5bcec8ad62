//! The source that applies the rules: it asks the sources of a rule, or makes the answer, and changes it.

mod credentials;
mod made;
pub mod passing;
mod shape;
mod sources;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ::http::header::CONTENT_TYPE;
use ::http::{HeaderMap, HeaderValue, Response};
use bytes::Bytes;
use http_body::Body as _;

use super::closest::closest;
use super::control::{self, ControlHeaders, NoEntry};
use super::facts::RequestFacts;
use super::memory::RouteState;
use super::shadow::Shadow;
use super::table::RouteDecision;
use super::{graphql, payload};
use crate::pipeline::{Exchange, SourceList};
use crate::source::fixture::{FixtureSource, discard};
use crate::source::{self, Answer, Source, UpstreamSource, allow_page};
use crate::verdict::request::{ResultKind, SourceKind};
use crate::verdict::{CheckId, Finding, Location, Severity};
use harproxy_http::MediaType;
use harproxy_http::problem::Problem;
use harproxy_matching::EntryRef;
use harproxy_proxy::{BoxFuture, respond};

/// The longest request payload in which a persisted query is searched, in bytes.
const LONGEST_PERSISTED: u64 = 1 << 20;

/// Applies the rules to requests in scope.
pub struct RuledSource {
    pub rules: Arc<RouteState>,
    pub fixtures: Arc<FixtureSource>,
    pub live: Option<Arc<UpstreamSource>>,
    pub local: Option<Arc<UpstreamSource>>,
    /// For rules with `shadow`.
    pub shadow: Option<Arc<Shadow>>,
    /// The sources of a request without a rule.
    pub others: SourceList,
}

/// Returns true for a CORS preflight.
pub fn is_preflight(exchange: &Exchange<'_>) -> bool {
    source::is_preflight(exchange.method(), exchange.headers())
}

impl Source for RuledSource {
    fn answer<'a>(&'a self, exchange: &'a mut Exchange<'_>) -> BoxFuture<'a, Answer> {
        Box::pin(async move {
            let page = self.rules.is_mock.then(|| exchange.headers().clone());
            let answer = self.apply(exchange).await;
            match page {
                // The headers of a live answer are those of the server, unless there was none.
                Some(page) if !is_network(exchange.outcome().source) || exchange.outcome().upstream_error.is_some() => {
                    for_page(answer, &page)
                }
                _ => answer,
            }
        })
    }
}

/// Returns true if an answer came from another program. Its text is never a template.
fn is_network(source: SourceKind) -> bool {
    matches!(source, SourceKind::Live | SourceKind::LivePatched | SourceKind::Local)
}

/// Lets the page that sent the request read an answer.
fn for_page(answer: Answer, request: &HeaderMap) -> Answer {
    match answer {
        Answer::Response(mut response) => {
            allow_page(request, response.headers_mut());
            Answer::Response(response)
        }
        answer => answer,
    }
}

/// Answers with a problem document because the answer of a rule is not possible. That fails a replay.
fn fail(rules: &RouteState, exchange: &mut Exchange<'_>, problem: Problem) -> Answer {
    note_failure(rules, exchange, format!("{}: {}", problem.title, problem.detail), None);
    refuse(exchange, problem)
}

/// Adds the finding `rule-failed`: an error in a replay, a warning in `serve`.
fn note_failure(rules: &RouteState, exchange: &mut Exchange<'_>, text: String, hint: Option<String>) {
    let severity = if rules.is_mock { Severity::Warning } else { Severity::Error };
    let finding = Finding { hint, ..Finding::new(CheckId::RULE_FAILED, severity, text) };
    let line = exchange.line();
    exchange.outcome().findings.push(Finding { at: Location::request(line), ..finding });
}

/// Answers with a problem document of harproxy itself.
fn refuse(exchange: &mut Exchange<'_>, problem: Problem) -> Answer {
    discard(exchange.take_body());
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
        let mut covering = table.covering(exchange.method().as_str(), url.as_str(), url.parts().path);
        if is_preflight(exchange) {
            // The browser asks, and not the program: a rule without methods is about the requests of the program.
            covering.retain(|rule| rule.pattern.names_method("OPTIONS"));
        }
        if covering.is_empty() && !has_control && !self.rules.is_mock {
            return ask_all(&self.others, exchange).await;
        }
        let control = match has_control.then(|| ControlHeaders::take(exchange.request.headers_mut())).transpose() {
            Ok(control) => control.unwrap_or_default(),
            Err(error) => {
                return fail(&self.rules, exchange, Problem::new(400, "invalid control header", error.to_string()));
            }
        };
        let content_type = exchange.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        // The persisted queries of GraphQL are in JSON.
        let is_json = content_type.is_some_and(|content_type| MediaType::parse(content_type).is_json());
        let needs_payload = self.rules.closest
            || (self.rules.is_mock && is_json && is_short(exchange))
            || covering.iter().any(|rule| {
                rule.needs_payload() || rule.source.as_ref().is_some_and(|source| source.sources().len() > 1)
            });
        let payload = match needs_payload {
            true => match self.fixtures.take_payload(exchange).await {
                Ok(payload) => payload,
                Err(answer) => return answer,
            },
            false => Bytes::new(),
        };
        let session = exchange.session.for_matching().sequence.map(str::to_owned);
        let facts =
            RequestFacts::new(exchange.method().clone(), url, exchange.headers().clone(), payload.clone(), session);
        let client = facts.session.clone().unwrap_or_default();
        let has_limit = |rule: &str| self.rules.retries.remaining(&client, rule, Instant::now()).is_some();
        let decision = table.decide(&covering, &facts, has_limit);
        exchange.outcome().rules = decision.rules.iter().map(|rule| rule.id.clone()).collect();
        let number = self.rules.number.fetch_add(1, Ordering::Relaxed) + 1;
        let wait = async |recorded: Option<Duration>| {
            let delays = decision.delays.iter().map(|delay| delay.of(number, recorded)).chain(control.delay);
            let delay = delays.fold(Duration::ZERO, Duration::saturating_add);
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
        };
        if let Some((rule, fault)) = decision.fault.as_ref().filter(|(_, fault)| fault.answers()) {
            let early_by = self.rules.retries.remaining(&client, &rule.id, Instant::now());
            wait(None).await;
            return self.fault_answer(rule, fault, early_by, exchange, &facts).await;
        }
        let answer = self.answer_of(&decision, &control, exchange, &facts, payload).await;
        // The answer to an unknown persisted query is harproxy's own: rules are about the answer of the query.
        let is_own_answer = exchange.outcome().result() == ResultKind::Miss
            && self.rules.is_mock
            && graphql::is_persisted_query(&facts);
        let answer = match exchange.outcome().result() {
            ResultKind::Miss if self.rules.is_mock => self.without_match(answer, exchange, &facts).await,
            _ => answer,
        };
        // The client chose the answer.
        if control.code.is_none() && control.name.is_none() {
            self.send_shadow(&decision, exchange, &facts);
        }
        wait(self.recorded_time(exchange)).await;
        let outcome = exchange.outcome();
        let is_answered = matches!(outcome.result(), ResultKind::Served | ResultKind::Live | ResultKind::Local)
            && outcome.upstream_error.is_none()
            && !is_own_answer;
        match answer {
            Answer::Response(response) if is_answered => self.shape(&decision, response, exchange, &facts).await,
            answer => answer,
        }
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
            return self.chosen_entry("the control headers", control, exchange, facts).await;
        }
        if let Some(rule) = &decision.state
            && let Some(answer) = self.state_answer(rule, exchange, facts)
        {
            exchange.outcome().answering_rule = Some(rule.id.clone());
            return answer;
        }
        if let Some(rule) = &decision.respond
            && let Some(respond) = &rule.respond
        {
            exchange.outcome().answering_rule = Some(rule.id.clone());
            return self.respond(respond, exchange, facts).await;
        }
        let answer = match &decision.source {
            Some((rule, sources)) => {
                exchange.outcome().answering_rule = Some(rule.id.clone());
                self.ask_sources(rule, sources, exchange, facts, payload).await
            }
            None => ask_all(&self.others, exchange).await,
        };
        if exchange.outcome().result() == ResultKind::Served
            && !control.match_headers.is_empty()
            && let Some(problem) = self.header_difference(control, exchange, facts)
        {
            return fail(&self.rules, exchange, problem);
        }
        answer
    }

    /// Answers a miss of `serve`: an unknown persisted query gets its error, and with `--closest` another request gets
    /// the most similar entry. Without an entry of this method and path the miss stays.
    async fn without_match(&self, miss: Answer, exchange: &mut Exchange<'_>, facts: &RequestFacts) -> Answer {
        let is_persisted_query = graphql::is_persisted_query(facts);
        let fixtures = self.fixtures.matcher.fixtures();
        let entry = (self.rules.closest && !is_persisted_query).then(|| closest(fixtures, facts)).flatten();
        if !is_persisted_query && entry.is_none() {
            return miss;
        }
        let outcome = exchange.outcome();
        outcome.findings.retain(|finding| finding.check != CheckId::MISS);
        (outcome.result, outcome.entry, outcome.explanation, outcome.hint) = (None, None, None, None);
        if let Some(entry) = entry {
            outcome.closest = Some(entry.score);
            return self.fixtures.serve_entry(exchange, entry.at).await;
        }
        outcome.decide(ResultKind::Served, SourceKind::MadeUp);
        let mut response = Response::new(Bytes::from(graphql::not_found(facts).to_string()));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Answer::Response(payload::with_payload(response))
    }

    /// Serves the entry that control headers name. `chooser` has set them: the client, or a rule.
    async fn chosen_entry(
        &self,
        chooser: &str,
        control: &ControlHeaders,
        exchange: &mut Exchange<'_>,
        facts: &RequestFacts,
    ) -> Answer {
        let entries = control::entries_of(self.fixtures.matcher.fixtures(), &facts.method, &facts.url);
        match control::choose(&entries, control) {
            Ok(at) => self.fixtures.serve_entry(exchange, at).await,
            Err(NoEntry::Contradiction { name, status }) => {
                let detail = format!("the entry `{name}` has the status {status}");
                fail(&self.rules, exchange, Problem::new(400, "the control headers contradict each other", detail))
            }
            Err(NoEntry::NotFound { statuses, names }) => {
                let detail = match (statuses.is_empty(), &control.name) {
                    (true, _) => "no entry has this method and path".to_owned(),
                    (false, Some(name)) => format!("no entry of this method and path has the name `{name}`"),
                    (false, None) => format!("entries of this method and path have the statuses {}", list(&statuses)),
                };
                let problem = Problem::new(404, format!("no entry fits {chooser}"), detail);
                fail(&self.rules, exchange, problem.with("statuses", statuses).with("names", names))
            }
        }
    }

    /// Returns the problem if a header that must be equal differs from that of the entry.
    fn header_difference(
        &self,
        control: &ControlHeaders,
        exchange: &mut Exchange<'_>,
        facts: &RequestFacts,
    ) -> Option<Problem> {
        let at = self.answering_entry(exchange)?;
        let entry = self.fixtures.matcher.fixtures()[at.fixture].entry(at.entry).ok()?;
        let differs = |name: &&String| {
            let recorded: Vec<&[u8]> = entry.request.headers.get_all(name).collect();
            let sent: Vec<&[u8]> = facts.headers.get_all(name.as_str()).iter().map(HeaderValue::as_bytes).collect();
            recorded != sent
        };
        let name = control.match_headers.iter().find(differs)?;
        Some(Problem::new(404, "a header differs", format!("`{name}` is not that of the recorded request")))
    }

    /// Returns the entry that answered.
    fn answering_entry(&self, exchange: &mut Exchange<'_>) -> Option<EntryRef> {
        let outcome = exchange.outcome();
        let place = outcome.entry.as_ref().filter(|_| outcome.result() == ResultKind::Served)?;
        let fixture = self.fixtures.names.iter().position(|name| *name == place.fixture)?;
        Some(EntryRef { fixture, entry: place.entry })
    }

    /// Returns the time that the entry of the answer took.
    fn recorded_time(&self, exchange: &mut Exchange<'_>) -> Option<Duration> {
        let at = self.answering_entry(exchange)?;
        let entry = self.fixtures.matcher.fixtures()[at.fixture].entry(at.entry).ok()?;
        Duration::try_from_secs_f64(entry.time / 1000.0).ok()
    }
}

fn list(statuses: &[u16]) -> String {
    statuses.iter().map(u16::to_string).collect::<Vec<_>>().join(", ")
}

/// Returns true if the payload of a request has a length up to that of a persisted query.
fn is_short(exchange: &Exchange<'_>) -> bool {
    exchange.request.body().size_hint().upper().is_some_and(|length| length <= LONGEST_PERSISTED)
}
