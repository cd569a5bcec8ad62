//! Recording as a source: requests go to the network, and the tap journals both messages on their way.

use std::sync::Arc;

use ::http::{Method, Response};
use http_body::Body as _;

use super::Recorder;
use super::tap::{ContentHeaders, ExchangeTap, RequestTap, ResponseTap, Unanswered};
use crate::pipeline::{Exchange, ends_with_head};
use crate::source::{Answer, Source};
use crate::verdict::request::ResultKind;
use harproxy_proxy::body::ObservedBody;
use harproxy_proxy::{Body, BoxFuture, upstream};

/// Forwards requests and records them in the journal of this recorder. Requests without a valid URL are only forwarded,
/// since no scope includes them.
#[derive(Debug)]
pub struct RecordingSource(pub Arc<Recorder>);

impl RecordingSource {
    async fn record(&self, exchange: &mut Exchange<'_>) -> Answer {
        let live = self.0.live();
        let Some(url) = exchange.url.as_ref().ok().cloned() else { return live.answer(exchange).await };
        let tap = ExchangeTap::begin(self.0.tap_context(), exchange, url);
        let outcome = exchange.outcome();
        outcome.exchange = Some(tap.context.number);
        // An exchange is recorded once it has a response or has failed. Until then it is only forwarded.
        outcome.result = Some(ResultKind::Passed);
        let method = exchange.method().clone();
        tap_request(exchange, &tap);
        let mut unanswered = Unanswered(Some(tap.clone()));
        let sent = live.send(exchange).await;
        let outcome = exchange.outcome();
        if sent.is_ok() || outcome.upstream_error.is_some() {
            unanswered.0 = None;
            let is_failure = outcome.upstream_error.as_ref().is_some_and(|error| !error.has_connected());
            let leaves_out = is_failure && !self.0.plan().record_failures;
            outcome.result = Some(if leaves_out { ResultKind::Failed } else { ResultKind::Recorded });
        }
        match (sent, &outcome.upstream_error) {
            (Ok(answer), _) => Answer::Response(tap_response(tap, *answer, &method).await),
            (Err(answer), Some(error)) => {
                tap.fail(error).await;
                answer
            }
            (Err(answer), None) => answer,
        }
    }
}

impl Source for RecordingSource {
    fn answer<'a>(&'a self, exchange: &'a mut Exchange<'_>) -> BoxFuture<'a, Answer> {
        Box::pin(self.record(exchange))
    }
}

/// Puts a tap on the payload of a request, if it has one.
fn tap_request(exchange: &mut Exchange<'_>, tap: &Arc<ExchangeTap>) {
    let body = exchange.take_body();
    let length = body.size_hint().exact();
    // Over HTTP/2 the stream of an empty body may end after its head.
    if body.is_end_stream() || length == Some(0) {
        return;
    }
    let request_tap = RequestTap::new(tap.clone(), ContentHeaders::of(exchange.headers()), length);
    *exchange.request.body_mut() = Body::boxed(ObservedBody::new(body, Box::new(request_tap)));
}

/// Journals the head of a response, and puts a tap on its payload. The end of the response is held back until the
/// journal has the exchange.
async fn tap_response(tap: Arc<ExchangeTap>, answer: upstream::Answer, method: &Method) -> Response<Body> {
    tap.push_response_head(&answer);
    if ends_with_head(method, answer.response.status()) {
        tap.complete().await;
        return answer.response.map(Body::boxed);
    }
    let (head, body) = answer.response.into_parts();
    let (headers, length) = (ContentHeaders::of(&head.headers), body.size_hint().exact());
    let response_tap = ResponseTap::new(tap, head.status, headers, length);
    let body = ObservedBody::new(Body::boxed(body), Box::new(response_tap)).buffer().await;
    Response::from_parts(head, Body::boxed(body))
}
