//! The sources of a rule: their order, fallbacks, and the live one.

use std::sync::Arc;
use std::time::Instant;

use ::http::header::VIA;
use ::http::{HeaderValue, Request};
use bytes::Bytes;

use super::{RuledSource, refuse};
use crate::pipeline::Exchange;
use crate::serve::delay::share_of;
use crate::serve::facts::RequestFacts;
use crate::serve::rule::{Fallback, RouteRule, SourceName, SourceRule};
use crate::source::{Answer, Source as _};
use crate::verdict::request::{ResultKind, SourceKind};
use harproxy_http::problem::Problem;
use harproxy_proxy::{Body, respond};

/// The name by which harproxy recognises its own requests in `Via`.
const VIA_NAME: &str = "1.1 harproxy-serve";

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
        let mut sources = source.sources.clone();
        if let Some(share) = source.live_share {
            let client = match &source.split_by {
                Some(name) => facts.header(name.as_str()).into_iter().next(),
                None => facts.session.clone(),
            };
            let is_live = share_of(&client.unwrap_or_default()) < share;
            sources.sort_by_key(|source| (*source == SourceName::Live) != is_live);
        }
        let (parts, findings) = (exchange.request.forwarded_head(), exchange.outcome().findings.len());
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
