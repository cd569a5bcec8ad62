//! The sources of a rule: their order, fallbacks, and the live one.

use std::sync::Arc;
use std::time::Instant;

use ::http::header::VIA;
use ::http::{HeaderValue, Request};
use bytes::Bytes;

use super::{RuledSource, ask_all, fail, refuse};
use crate::pipeline::Exchange;
use crate::serve::control::ControlHeaders;
use crate::serve::delay::share_of;
use crate::serve::facts::RequestFacts;
use crate::serve::rule::{Fallback, RouteRule, SourceName, SourceRule};
use crate::source::fixture::passthrough;
use crate::source::{Answer, Source as _};
use crate::verdict::CheckId;
use crate::verdict::request::ResultKind;
use harproxy_http::problem::Problem;
use harproxy_proxy::Body;

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
            let is_last = index + 1 == sources.len();
            let skips = || self.rules.breaker.skips(&exchange.connect_to, Instant::now()).is_some();
            if *name == SourceName::Live && !is_last && skips() {
                continue;
            }
            if last.take().is_some() {
                let outcome = exchange.outcome();
                outcome.findings.truncate(findings);
                (outcome.result, outcome.entry, outcome.explanation, outcome.hint) = (None, None, None, None);
                (outcome.upstream_error, outcome.payload) = (None, None);
                outcome.followed.clear();
            }
            exchange.request = parts.with(payload.clone());
            let answer = self.ask(*name, is_last, rule, exchange).await;
            let is_miss = matches!(exchange.outcome().result(), ResultKind::Miss);
            // A rule can't turn a miss of a replay into an answer without a source.
            let stays = is_miss && !self.rules.is_mock && sources.get(index + 1) == Some(&SourceName::None);
            if is_last || stays || !falls_back(&answer, exchange, source) {
                return answer;
            }
            last = Some(answer);
        }
        last.unwrap_or(Answer::Pass)
    }

    async fn ask(&self, name: SourceName, is_last: bool, rule: &Arc<RouteRule>, exchange: &mut Exchange<'_>) -> Answer {
        match name {
            // With `--on-miss` another source may follow.
            SourceName::Fixture if is_last => ask_all(&self.others, exchange).await,
            SourceName::Fixture => self.fixtures.answer(exchange).await,
            SourceName::Local => match &self.local {
                Some(local) => local.answer(exchange).await,
                None => {
                    fail(&self.rules, exchange, Problem::new(502, "no local source", "`--no-local` switches it off"))
                }
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
            return fail(&self.rules, exchange, Problem::new(502, "no live source", "harproxy is offline"));
        };
        let is_loop = exchange.headers().get_all(VIA).iter().any(|via| {
            let hops = via.as_bytes().split(|byte| *byte == b',');
            hops.map(<[u8]>::trim_ascii).any(|hop| hop == VIA_NAME.as_bytes())
        });
        if is_loop {
            let detail = "the request has passed this harproxy before";
            return fail(&self.rules, exchange, Problem::new(508, "a loop of live sources", detail));
        }
        let to = exchange.connect_to.clone();
        // A Host header decides on the URL, and never on the server that gets credentials.
        if !rule.live_headers.is_empty() && !rule.pattern.globs().may_match_origin(&to.to_string()) {
            let detail = format!("rule `{}` does not cover {to}", rule.id);
            return fail(&self.rules, exchange, Problem::new(502, "no credentials for this server", detail));
        }
        if !self.rules.is_mock {
            let severity = self.fixtures.options.fail_on.severity(&CheckId::PASSTHROUGH);
            let text = format!("it went to the network, as rule `{}` says", rule.id);
            let finding = passthrough(exchange.line(), severity, &text);
            exchange.outcome().findings.push(finding);
        }
        let headers = exchange.request.headers_mut();
        ControlHeaders::remove(headers);
        headers.append(VIA, HeaderValue::from_static(VIA_NAME));
        for (name, value) in &rule.live_headers {
            headers.insert(name, value.clone());
        }
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
