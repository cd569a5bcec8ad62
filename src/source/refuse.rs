//! The last source of a replay: refuses requests that no other source may answer.

use super::fixture::discard;
use super::refusal::{Refusal, is_noise};
use super::request_view::RequestView;
use super::upstream::is_local;
use super::{Answer, Source};
use crate::pipeline::Exchange;
use crate::verdict::request::{ResultKind, SourceKind};
use crate::verdict::{CheckId, FailOn, Severity};
use harproxy_proxy::BoxFuture;

/// Refuses requests out of scope, noise, and requests with an invalid URL.
pub struct RefusingSource {
    /// The globs in scope.
    pub scope: Vec<String>,
    /// `[scope] noise`: true if there is a list of noise.
    pub noise: bool,
    /// The checks that fail the run.
    pub fail_on: FailOn,
}

impl RefusingSource {
    fn refuse(&self, exchange: &mut Exchange<'_>) -> Answer {
        discard(exchange.take_body());
        if let Err(error) = &exchange.url {
            let refusal = Refusal::malformed(exchange.line(), error.reason());
            exchange.outcome().decide(ResultKind::Refused, SourceKind::None);
            return Answer::Response(refusal.response(exchange.headers()));
        }
        let Some((request, outcome)) = RequestView::of(exchange, None) else { return Answer::Pass };
        if self.noise && is_noise(request.url) {
            outcome.decide(ResultKind::Noise, SourceKind::None);
            return Answer::Response(Refusal::noise(&request).response(request.headers));
        }
        outcome.decide(ResultKind::OutOfScope, SourceKind::None);
        let refusal = Refusal::out_of_scope(&request, &self.scope, is_local(request.url));
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
