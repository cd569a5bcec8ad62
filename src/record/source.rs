//! Recording as a source: requests go to the network, and the tap journals both messages on their way.

use std::sync::Arc;

use ::http::{HeaderMap, Method, Response, StatusCode};
use http_body::Body as _;

use super::Recorder;
use super::tap::{ContentHeaders, ExchangeTap, RequestTap, ResponseTap, Unanswered};
use crate::pipeline::Exchange;
use crate::source::{Answer, Source, UpstreamSource};
use crate::verdict::request::ResultKind;
use harproxy_proxy::body::ObservedBody;
use harproxy_proxy::{Body, BoxFuture, upstream};

/// Forwards requests and records them. Requests without a valid URL are forwarded alone, since no scope includes them.
#[derive(Debug)]
pub struct RecordingSource(Arc<Recorder>);

impl RecordingSource {
    /// A source that records into the journal of this recorder.
    #[must_use]
    pub fn new(recorder: Arc<Recorder>) -> Self {
        RecordingSource(recorder)
    }

    async fn record(&self, exchange: &mut Exchange<'_>) -> Answer {
        let live: &UpstreamSource = self.0.live();
        let Some(url) = exchange.url.as_ref().ok().cloned() else { return live.answer(exchange).await };
        let tap = ExchangeTap::begin(self.0.tap_context(), exchange, url);
        let outcome = exchange.outcome();
        outcome.result = Some(ResultKind::Recorded);
        outcome.exchange = Some(tap.number());
        let is_head = *exchange.method() == Method::HEAD;
        tap_request(exchange, &tap);
        let mut unanswered = Unanswered(Some(tap));
        let answer = live.send(exchange).await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(answer) => {
                if let Some(error) = &exchange.outcome().upstream_error
                    && let Some(tap) = unanswered.0.take()
                {
                    tap.fail(error).await;
                }
                return answer;
            }
        };
        match unanswered.0.take() {
            Some(tap) => Answer::Response(tap_response(tap, *answer, is_head).await),
            None => Answer::Response(answer.response.map(Body::boxed)),
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
async fn tap_response(tap: Arc<ExchangeTap>, answer: upstream::Answer, is_head: bool) -> Response<Body> {
    tap.push_response_head(&answer);
    if is_head || has_no_content(answer.response.status()) {
        // The head is the whole response, whatever length it declares.
        tap.complete().await;
        return answer.response.map(Body::boxed);
    }
    let (head, body) = answer.response.into_parts();
    let response_tap = response_tap(tap, &head.headers, body.size_hint().exact());
    let body = ObservedBody::new(body, Box::new(response_tap)).buffer().await;
    Response::from_parts(head, body.into_body())
}

fn response_tap(tap: Arc<ExchangeTap>, headers: &HeaderMap, length: Option<u64>) -> ResponseTap {
    ResponseTap::new(tap, ContentHeaders::of(headers), length)
}

/// Statuses whose responses end with their head (RFC 9110 section 6.4.1).
fn has_no_content(status: StatusCode) -> bool {
    status.is_informational() || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED
}
