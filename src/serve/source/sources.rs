//! The sources of a rule: their order, fallbacks, and the live one.

use std::sync::{Arc, LazyLock};
use std::time::Instant;

use ::http::header::VIA;
use ::http::{HeaderMap, HeaderValue, Request};
use bytes::Bytes;

use super::credentials::{is_private_host, is_trusted_page, may_have_credentials};
use super::{RuledSource, ask_all, fail, note_failure, refuse};
use crate::pipeline::Exchange;
use crate::serve::control::ControlHeaders;
use crate::serve::delay::share_of;
use crate::serve::facts::RequestFacts;
use crate::serve::rule::{Fallback, RouteRule, SourceName, SourceRule};
use crate::serve::shadow::{ShadowCopy, is_comparable, make_copy};
use crate::serve::table::RouteDecision;
use crate::source::fixture::passthrough;
use crate::source::{Answer, Source as _, advice};
use crate::verdict::request::{ResultKind, SourceKind};
use crate::verdict::{CheckId, Finding, Location};
use harproxy_http::problem::{Problem, in_words};
use harproxy_proxy::Body;
use harproxy_proxy::upstream::UpstreamError;
use harproxy_tls::provider::random;

/// The hop in `Via` by which this process recognises its own requests. Another harproxy has another number.
static VIA_HOP: LazyLock<HeaderValue> = LazyLock::new(|| {
    let number = random::<4>().map_or(0, u32::from_ne_bytes);
    HeaderValue::try_from(format!("1.1 harproxy-{number:08x}")).unwrap_or(HeaderValue::from_static("1.1 harproxy"))
});

impl RuledSource {
    /// Asks the sources of a rule in order, until one answers.
    pub(super) async fn ask_sources(
        &self,
        rule: &Arc<RouteRule>,
        source: &SourceRule,
        exchange: &mut Exchange<'_>,
        facts: &RequestFacts,
        payload: Bytes,
    ) -> Answer {
        let mut sources = source.sources().to_vec();
        if let Some(split) = &source.split {
            let client = match &split.by {
                Some(name) => facts.header(name.as_str()).into_iter().next(),
                None => facts.session.clone(),
            };
            let is_live = share_of(&client.unwrap_or_default()) * 100.0 < split.live_percent;
            sources.sort_by_key(|source| (*source == SourceName::Live) != is_live);
        }
        let (parts, findings) = (exchange.request.forwarded_head(), exchange.outcome().findings.len());
        let mut last = None;
        for (index, name) in sources.iter().enumerate() {
            let is_last = index + 1 == sources.len();
            let skips = || self.rules.breaker.skips(&exchange.connect_to, Instant::now()).is_some();
            if *name == SourceName::Live && !is_last && skips() {
                exchange.outcome().fallback.push("live skipped".to_owned());
                continue;
            }
            if last.take().is_some() {
                let outcome = exchange.outcome();
                outcome.findings.truncate(findings);
                (outcome.result, outcome.entry, outcome.explanation, outcome.hint) = (None, None, None, None);
                (outcome.upstream_error, outcome.payload) = (None, None);
                outcome.followed.clear();
            }
            // A single source gets the payload as it comes.
            if sources.len() > 1 {
                exchange.request = parts.with(payload.clone());
            }
            let answer = self.ask(*name, is_last, rule, exchange).await;
            let is_miss = matches!(exchange.outcome().result(), ResultKind::Miss);
            // The explanation of the miss says more than `no source`.
            let stays = is_miss && !self.rules.is_mock && sources.get(index + 1) == Some(&SourceName::None);
            if is_last || stays || !falls_back(&answer, exchange, source) {
                return self.check_upstream(*name, rule, answer, exchange);
            }
            let reason = format!("{} {}", name.as_str(), result_in_a_word(&answer, exchange));
            exchange.outcome().fallback.push(reason);
            last = Some(answer);
        }
        last.unwrap_or(Answer::Pass)
    }

    /// Adds a finding if the server of the last source did not answer: the client has harproxy's own document. A server
    /// of this machine may be starting, and clients ask again.
    fn check_upstream(
        &self,
        name: SourceName,
        rule: &Arc<RouteRule>,
        answer: Answer,
        exchange: &mut Exchange<'_>,
    ) -> Answer {
        let is_judged = |error: &UpstreamError| match name {
            SourceName::Live => true,
            SourceName::Local => matches!(error, UpstreamError::NotLoopback { .. }),
            SourceName::Fixture | SourceName::None => false,
        };
        let to = exchange.connect_to.clone();
        let error = exchange.outcome().upstream_error.as_ref().filter(|error| is_judged(error));
        let about = |error: &UpstreamError| {
            let text =
                format!("the source `{}` of rule `{}` did not answer: {}", name.as_str(), rule.id, in_words(error));
            (text, advice(&to, error))
        };
        if let Some((text, hint)) = error.map(about) {
            note_failure(&self.rules, exchange, text, Some(hint));
        }
        answer
    }

    async fn ask(&self, name: SourceName, is_last: bool, rule: &Arc<RouteRule>, exchange: &mut Exchange<'_>) -> Answer {
        match name {
            // With `--on-miss` another source may follow.
            SourceName::Fixture if is_last => ask_all(&self.others, exchange).await,
            SourceName::Fixture => self.fixtures.answer(exchange).await,
            SourceName::Local => match &self.local {
                None => {
                    fail(&self.rules, exchange, Problem::new(502, "no local source", "`--no-local` switches it off"))
                }
                Some(_) if is_loop(exchange.headers()) => self.refuse_loop(exchange),
                Some(local) => {
                    exchange.request.headers_mut().append(VIA, VIA_HOP.clone());
                    local.answer(exchange).await
                }
            },
            SourceName::None => {
                // In a replay, `none` behind a miss of the fixture is an error.
                let has_missed =
                    !self.rules.is_mock && exchange.outcome().fallback.iter().any(|failed| failed == "fixture miss");
                let detail = format!("rule `{}` has no {}source", rule.id, if has_missed { "other " } else { "" });
                let problem = Problem::new(404, "no source", detail);
                if has_missed { fail(&self.rules, exchange, problem) } else { refuse(exchange, problem) }
            }
            SourceName::Live => self.ask_live(rule, exchange).await,
        }
    }

    /// Sends a copy of a safe request to the live API, if a rule says so and another source answered. Its answer is
    /// compared with the entry of the answer, and with those of the same method and path.
    pub(super) fn send_shadow(&self, decision: &RouteDecision, exchange: &mut Exchange<'_>, facts: &RequestFacts) {
        let Some(shadow) = &self.shadow else { return };
        let Some(rule) = decision.rules.iter().find(|rule| rule.shadow) else { return };
        let to = exchange.connect_to.clone();
        let outcome = exchange.outcome();
        // Without an answer there is nothing to compare.
        let is_missed = outcome.result() == ResultKind::Miss;
        // A live source was asked already.
        let was_asked = outcome.source == SourceKind::Live
            || outcome.fallback.iter().any(|failed| failed.starts_with(SourceName::Live.as_str()));
        let is_sent = is_comparable(facts)
            && !was_asked
            && !is_missed
            && exchange.may_forward
            && !is_loop(&facts.headers)
            && may_have_credentials(rule, &to)
            && (rule.live_headers.is_empty()
                || is_private_host(&facts.headers, &to) && is_trusted_page(&facts.headers, &to))
            && self.rules.breaker.skips(&to, Instant::now()).is_none();
        if !is_sent {
            return;
        }
        let mut headers = facts.headers.clone();
        prepare_headers(rule, &mut headers);
        let Some(request) = make_copy(facts.method.clone(), facts.url.clone(), to.clone(), &headers) else { return };
        let fixtures = self.fixtures.matcher.fixtures().to_vec();
        let copy = ShadowCopy { request, fixtures, answering: self.answering_entry(exchange) };
        let severity = self.fixtures.options.fail_on.severity(&CheckId::SHADOW_DIFFERS);
        let (line, id, observer) = (exchange.line(), exchange.id(), exchange.observer());
        let (test, rules) = (exchange.session.test().map(str::to_owned), self.rules.clone());
        let note = move |has_failed| _ = rules.breaker.note(&to, has_failed, Instant::now());
        shadow.send(copy, note, move |text, hint| {
            let finding = Finding::new(CheckId::SHADOW_DIFFERS, severity, text);
            let finding = finding.with_hint(hint);
            let (at, requests) = (Location::request(line), vec![id]);
            observer.publish_finding(&Finding { at, requests, session: test, ..finding });
        });
    }

    fn refuse_loop(&self, exchange: &mut Exchange<'_>) -> Answer {
        let detail = "the request has passed this harproxy before";
        fail(&self.rules, exchange, Problem::new(508, "a loop of sources", detail))
    }

    async fn ask_live(&self, rule: &Arc<RouteRule>, exchange: &mut Exchange<'_>) -> Answer {
        let Some(live) = self.live.as_ref().filter(|_| exchange.may_forward) else {
            return fail(&self.rules, exchange, Problem::new(502, "no live source", "harproxy is offline"));
        };
        if is_loop(exchange.headers()) {
            return self.refuse_loop(exchange);
        }
        let to = exchange.connect_to.clone();
        // A Host header decides on the URL, and never on the server that gets credentials.
        if !may_have_credentials(rule, &to) {
            let detail = format!("rule `{}` does not cover {to}", rule.id);
            return fail(&self.rules, exchange, Problem::new(502, "no credentials for this server", detail));
        }
        if !rule.live_headers.is_empty() && !is_private_host(exchange.headers(), &to) {
            let detail = format!(
                "rule `{}` sends credentials, and any page could point the name in `Host` here: use `localhost` or an \
                 address as the base URL",
                rule.id
            );
            return fail(&self.rules, exchange, Problem::new(403, "no credentials for a public name", detail));
        }
        if !rule.live_headers.is_empty() && !is_trusted_page(exchange.headers(), &to) {
            let detail = format!(
                "rule `{}` sends credentials, and the page of `Origin` or `Referer` is neither on this machine nor on \
                 the site of {to}",
                rule.id
            );
            return fail(&self.rules, exchange, Problem::new(403, "no credentials for a foreign page", detail));
        }
        if !self.rules.is_mock {
            let severity = self.fixtures.options.fail_on.severity(&CheckId::PASSTHROUGH);
            let text = format!("it went to the network, as rule `{}` says", rule.id);
            let finding = passthrough(exchange.line(), severity, &text);
            exchange.outcome().findings.push(finding);
        }
        prepare_headers(rule, exchange.request.headers_mut());
        let answer = live.answer(exchange).await;
        let has_failed = match &answer {
            Answer::Response(response) => response.status().is_server_error(),
            _ => true,
        };
        if self.rules.breaker.note(&to, has_failed, Instant::now()) {
            tracing::warn!("{to} has failed repeatedly, and rules with another source skip it for a while");
        }
        answer
    }
}

/// Returns true if a request has passed this program before.
fn is_loop(headers: &HeaderMap) -> bool {
    headers.get_all(VIA).iter().any(|via| {
        let hops = via.as_bytes().split(|byte| *byte == b',');
        hops.map(<[u8]>::trim_ascii).any(|hop| hop == VIA_HOP.as_bytes())
    })
}

/// Makes the headers of a live request: with `Via` and the credentials of the rule, without control headers.
fn prepare_headers(rule: &RouteRule, headers: &mut HeaderMap) {
    ControlHeaders::remove(headers);
    headers.append(VIA, VIA_HOP.clone());
    for (name, value) in &rule.live_headers {
        headers.insert(name, value.clone());
    }
}

/// Returns the result of a source that did not answer: a status, `timeout`, `connect` or `miss`.
fn result_in_a_word(answer: &Answer, exchange: &mut Exchange<'_>) -> String {
    match (exchange.outcome().upstream_error.as_ref().map(|error| error.kind()), answer) {
        (Some("timeout"), _) => "timeout".to_owned(),
        (Some(_), _) => "connect".to_owned(),
        (None, Answer::Response(response)) if exchange.outcome().result() != ResultKind::Miss => {
            response.status().as_u16().to_string()
        }
        _ => "miss".to_owned(),
    }
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

/// The head of a request, which is sent to several sources.
struct ForwardedHead(Request<()>);

trait ToForwardedHead {
    fn forwarded_head(&self) -> ForwardedHead;
}

impl ToForwardedHead for Request<Body> {
    fn forwarded_head(&self) -> ForwardedHead {
        let mut head = Request::new(());
        *head.method_mut() = self.method().clone();
        *head.uri_mut() = self.uri().clone();
        *head.version_mut() = self.version();
        *head.headers_mut() = self.headers().clone();
        *head.extensions_mut() = self.extensions().clone();
        ForwardedHead(head)
    }
}

impl ForwardedHead {
    fn with(&self, payload: Bytes) -> Request<Body> {
        let body = if payload.is_empty() { Body::default() } else { Body::full(payload) };
        self.0.clone().map(|()| body)
    }
}
