//! Sources that look at a request and pass it on: API keys, expectations, and the history.

use std::sync::Arc;

use bytes::Bytes;
use http_body::Body as _;

use super::{for_page, is_preflight, refuse};
use crate::pipeline::Exchange;
use crate::serve::control;
use crate::serve::facts::RequestFacts;
use crate::serve::history::{RecentRequest, RequestHistory};
use crate::serve::memory::RouteState;
use crate::source::fixture::FixtureSource;
use crate::source::{Answer, Source};
use harproxy_http::problem::Problem;
use harproxy_proxy::body::ObservedBody;
use harproxy_proxy::{Body, BoxFuture};

/// Refuses requests without an API key. The key is removed, so that no later stage sees it.
pub struct KeySource(pub Arc<RouteState>);

impl Source for KeySource {
    fn answer<'a>(&'a self, exchange: &'a mut Exchange<'_>) -> BoxFuture<'a, Answer> {
        Box::pin(async move {
            if self.0.keys.accept(exchange.request.headers_mut()) {
                return Answer::Pass;
            }
            let detail = format!("send a valid key in the header `{}`", control::API_KEY);
            let page = exchange.headers().clone();
            let answer = refuse(exchange, Problem::new(401, "an API key is required", detail));
            for_page(answer, &page)
        })
    }
}

/// Counts the requests that `--expect` and `[[expect]]` name, and passes them on. CORS preflights do not count.
pub struct CountingSource {
    pub rules: Arc<RouteState>,
    pub fixtures: Arc<FixtureSource>,
}

impl Source for CountingSource {
    fn answer<'a>(&'a self, exchange: &'a mut Exchange<'_>) -> BoxFuture<'a, Answer> {
        Box::pin(async move {
            let Some(url) = exchange.url.as_ref().ok().cloned() else { return Answer::Pass };
            if is_preflight(exchange) {
                return Answer::Pass;
            }
            let (verification, method) = (&self.rules.verification, exchange.method().clone());
            let payload = match verification.needs_payload(method.as_str(), url.as_str()) {
                true => match self.fixtures.take_payload(exchange).await {
                    Ok(payload) => payload,
                    Err(answer) => return answer,
                },
                false => Bytes::new(),
            };
            let line = exchange.line();
            let facts = RequestFacts::new(method, url, exchange.headers().clone(), payload, None);
            verification.note(facts.method.as_str(), facts.url.as_str(), facts.json(), line);
            Answer::Pass
        })
    }
}

/// Keeps requests for the admin API, and passes them on.
pub struct HistorySource(pub Arc<RequestHistory>);

impl Source for HistorySource {
    fn answer<'a>(&'a self, exchange: &'a mut Exchange<'_>) -> BoxFuture<'a, Answer> {
        Box::pin(async move {
            let Some(url) = exchange.url.as_ref().ok().cloned() else { return Answer::Pass };
            let (id, body) = (exchange.id(), exchange.take_body());
            let is_empty = body.is_end_stream();
            let mut headers = exchange.headers().clone();
            headers.remove(control::API_KEY);
            let session = exchange.session.for_matching();
            let request = RecentRequest {
                method: exchange.method().clone(),
                url,
                headers,
                payload: is_empty.then(Bytes::new),
                sequence: session.sequence.map(str::to_owned),
                test: session.test.map(str::to_owned),
            };
            self.0.begin(id, request);
            *exchange.request.body_mut() =
                if is_empty { body } else { Body::boxed(ObservedBody::new(body, self.0.observer(id))) };
            Answer::Pass
        })
    }
}
