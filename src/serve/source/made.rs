//! Answers without a source: faults, `respond` and state.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ::http::header::{ALLOW, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use ::http::{HeaderValue, Method, Response, StatusCode};
use bytes::Bytes;
use percent_encoding::{AsciiSet, utf8_percent_encode};

use super::RuledSource;
use crate::pipeline::Exchange;
use crate::serve::control::{self, ControlHeaders};
use crate::serve::facts::RequestFacts;
use crate::serve::fault::Fault;
use crate::serve::payload;
use crate::serve::rule::{Respond, RespondPayload, RouteRule};
use crate::serve::state::{Seed, StateAnswer, StateRule};
use crate::source::Answer;
use crate::source::fixture::discard;
use crate::verdict::request::{ResultKind, SourceKind};
use crate::verdict::{CheckId, Finding, Location};
use harproxy_har::Fixture;
use harproxy_http::NormalUrl;
use harproxy_http::problem::Problem;
use harproxy_proxy::respond;

/// The time for which the fault `timeout` keeps a client waiting.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// The characters of an id that a path segment has in percent encoding.
const SEGMENT: &AsciiSet = &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

impl RuledSource {
    /// Answers a fault that needs no source. `early_by` is the time by which the request came before its `Retry-After`.
    pub(super) async fn fault_answer(
        &self,
        rule: &Arc<RouteRule>,
        fault: &Fault,
        early_by: Option<Duration>,
        exchange: &mut Exchange<'_>,
        facts: &RequestFacts,
    ) -> Answer {
        exchange.outcome().answering_rule = Some(rule.id.clone());
        if let Fault::Status { status, retry_after } = fault {
            return self.fault_status(rule, *status, *retry_after, early_by, exchange, facts);
        }
        exchange.outcome().decide(ResultKind::Served, SourceKind::MadeUp);
        if *fault == Fault::Timeout {
            let draining = exchange.connection.draining.clone();
            // The client is expected to time out first.
            let _ = tokio::time::timeout(LONGEST_WAIT, draining.cancelled()).await;
        }
        Answer::Close
    }

    fn fault_status(
        &self,
        rule: &Arc<RouteRule>,
        status: StatusCode,
        retry_after: Option<Duration>,
        early_by: Option<Duration>,
        exchange: &mut Exchange<'_>,
        facts: &RequestFacts,
    ) -> Answer {
        let client = facts.session.clone().unwrap_or_default();
        let mut wait = retry_after;
        if let Some(remaining) = early_by {
            let text = format!("it came {} ms before the time of `Retry-After`", remaining.as_millis());
            let severity = self.fixtures.options.fail_on.severity(&CheckId::RETRY_TOO_EARLY);
            let finding = Finding::new(CheckId::RETRY_TOO_EARLY, severity, text);
            let finding = finding.with_hint("wait for the time of `Retry-After` before the next attempt");
            let line = exchange.line();
            exchange.outcome().findings.push(Finding { at: Location::request(line), ..finding });
            wait = Some(remaining);
        } else if let Some(wait) = retry_after {
            // The client counts from the answer, and `delay` postpones the answer.
            let now = Instant::now();
            self.rules.retries.note(&client, &rule.id, now.checked_add(wait).unwrap_or(now));
        }
        discard(exchange.take_body());
        exchange.outcome().decide(ResultKind::Served, SourceKind::MadeUp);
        let reason = status.canonical_reason().unwrap_or("injected fault");
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

    pub(super) fn state_answer(
        &self,
        rule: &Arc<RouteRule>,
        exchange: &mut Exchange<'_>,
        facts: &RequestFacts,
    ) -> Option<Answer> {
        let state = rule.state.as_ref()?;
        let seed = || self.seed(&facts.url, state);
        let StateAnswer { status, payload, created } = self.rules.states.answer(state, facts, seed)?;
        exchange.outcome().decide(ResultKind::Served, SourceKind::MadeUp);
        if status.is_client_error() || status.is_server_error() {
            let detail = payload.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default();
            let title = format!("the collection `{}` can't answer", state.collection);
            let mut response = respond::problem(&Problem::new(status.as_u16(), title, detail), "");
            if status == StatusCode::METHOD_NOT_ALLOWED {
                let methods = if detail.starts_with("an item") {
                    "GET, HEAD, PUT, PATCH, DELETE"
                } else {
                    "GET, HEAD, POST, DELETE"
                };
                response.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
            }
            return Some(Answer::Response(response));
        }
        let mut response = Response::new(Bytes::from(payload.map(|payload| payload.to_string()).unwrap_or_default()));
        *response.status_mut() = status;
        if !response.body().is_empty() {
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let location = created.map(|id| format!("{}/{}", state.collection_path, utf8_percent_encode(&id, SEGMENT)));
        if let Some(location) = location.and_then(|location| HeaderValue::from_str(&location).ok()) {
            response.headers_mut().insert(LOCATION, location);
        }
        Some(Answer::Response(payload::with_payload(response)))
    }

    /// Returns the recorded content of a collection: its list, and then its items with answers of their own.
    fn seed(&self, url: &NormalUrl, state: &StateRule) -> Seed {
        let site = url.parts().site().into_owned();
        let fixtures = self.fixtures.matcher.fixtures();
        let payload = |fixture: &Fixture, entry: usize| {
            let content = fixture.entry(entry).ok()?.response.content.clone();
            let bytes = fixture.payload(entry, &content).ok()?.bytes().ok()?;
            serde_json::from_slice::<serde_json::Value>(&bytes).ok()
        };
        let list = NormalUrl::parse(&format!("{site}{}", state.collection_path)).ok();
        let lists = list.map(|list| control::entries_of(fixtures, &Method::GET, &list)).unwrap_or_default();
        let mut lists = lists.iter().filter(|entry| entry.status == 200);
        let list = lists.find_map(|entry| payload(&fixtures[entry.at.fixture], entry.at.entry));
        let mut seed = list.map(|list| Seed::of_list(list, &state.id)).unwrap_or_default();
        for fixture in fixtures {
            for head in fixture.heads().iter().filter(|head| head.method == Method::GET && head.status == 200) {
                let Ok(recorded) = NormalUrl::parse(head.url) else { continue };
                if recorded.parts().site() == site && state.path.matches(recorded.parts().path) {
                    seed.items.extend(payload(fixture, head.entry).filter(serde_json::Value::is_object));
                }
            }
        }
        seed
    }

    pub(super) async fn respond(&self, respond: &Respond, exchange: &mut Exchange<'_>, facts: &RequestFacts) -> Answer {
        let (payload, content_type) = match &respond.payload {
            RespondPayload::Example(name) => {
                let control = ControlHeaders { name: Some(name.clone()), ..ControlHeaders::default() };
                return match self.chosen_entry("the example of the rule", &control, exchange, facts).await {
                    Answer::Response(mut response) => {
                        let is_changed = respond.status.is_some() || !respond.headers.is_empty();
                        if is_changed && exchange.outcome().result() == ResultKind::Served {
                            set_head(&mut response, respond);
                            exchange.outcome().source = exchange.outcome().source.patched();
                        }
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
        discard(exchange.take_body());
        exchange.outcome().decide(ResultKind::Served, SourceKind::MadeUp);
        let mut response = Response::new(payload);
        if let Some(content_type) = content_type.and_then(|content_type| HeaderValue::from_str(content_type).ok()) {
            response.headers_mut().insert(CONTENT_TYPE, content_type);
        }
        set_head(&mut response, respond);
        Answer::Response(payload::with_payload(response))
    }
}

fn set_head<B>(response: &mut Response<B>, respond: &Respond) {
    if let Some(status) = respond.status {
        *response.status_mut() = status;
    }
    for (name, value) in &respond.headers {
        response.headers_mut().insert(name, value.clone());
    }
}
