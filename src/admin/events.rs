//! `GET /events`: the events of a run as server-sent events, with the members of the log of events.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use ::http::{HeaderValue, Response, header};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, ready};
use http_body::{Body as HttpBody, Frame};
use serde::Serialize;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{Receiver, Sender, channel};

use crate::pipeline::{RunEvent, Subscriber};
use crate::verdict::Finding;
use crate::verdict::request::{ExplainedRow, ResultKind};
use harproxy_proxy::Body;

/// The number of events that a slow reader can be behind. Further ones are dropped and counted.
const CAPACITY: usize = 4096;

/// An event with its name.
#[derive(Serialize)]
struct NamedEvent<T> {
    event: &'static str,
    #[serde(flatten)]
    content: T,
}

/// Passes the events of a run to the readers of `GET /events`.
#[derive(Clone, Debug)]
pub struct AdminEvents(Sender<Bytes>);

impl Default for AdminEvents {
    fn default() -> Self {
        AdminEvents(channel(CAPACITY).0)
    }
}

impl AdminEvents {
    fn publish(&self, event: &'static str, content: impl Serialize) {
        // Without a reader there is nothing to send.
        let _ = self.0.send(frame(event, content));
    }

    /// Returns the response with the events from now on.
    #[must_use]
    pub fn response(&self) -> Response<Body> {
        let mut response = Response::new(Body::boxed(EventBody { next: receive(self.0.subscribe(), true) }));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

impl Subscriber for AdminEvents {
    fn notify(&self, event: &RunEvent<'_>) {
        if self.0.receiver_count() == 0 {
            return;
        }
        match event {
            RunEvent::Ended(request, _) => {
                if let Some(row) = request.row {
                    let name = if row.outcome == ResultKind::Tunnel { "tunnel" } else { "request" };
                    self.publish(name, ExplainedRow::of(row));
                }
            }
            RunEvent::Found(finding) => self.publish("finding", Finding::clone(finding)),
            RunEvent::Answered(_) | RunEvent::Connection(_) => {}
        }
    }
}

fn frame(event: &'static str, content: impl Serialize) -> Bytes {
    // Plain data with string keys can always be written, without line breaks.
    let json = serde_json::to_string(&NamedEvent { event, content }).unwrap_or_default();
    format!("event: {event}\ndata: {json}\n\n").into()
}

/// Waits for the next event. The first one, which is a comment, tells the client that the stream is open.
fn receive(mut events: Receiver<Bytes>, is_first: bool) -> BoxFuture<'static, Option<(Bytes, Receiver<Bytes>)>> {
    async move {
        if is_first {
            return Some((Bytes::from_static(b": events of harproxy\n\n"), events));
        }
        match events.recv().await {
            Ok(event) => Some((event, events)),
            Err(RecvError::Lagged(number)) => {
                let dropped = frame("dropped", serde_json::json!({ "number": number }));
                Some((dropped, events))
            }
            Err(RecvError::Closed) => None,
        }
    }
    .boxed()
}

struct EventBody {
    next: BoxFuture<'static, Option<(Bytes, Receiver<Bytes>)>>,
}

impl HttpBody for EventBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some((event, events)) = ready!(self.next.poll_unpin(cx)) else { return Poll::Ready(None) };
        self.next = receive(events, false);
        Poll::Ready(Some(Ok(Frame::data(event))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;

    #[tokio::test]
    async fn readers_get_events_from_their_start_on() {
        let events = AdminEvents::default();
        events.publish("request", serde_json::json!({ "id": 1 }));
        let mut body = events.response().into_body();
        events.publish("request", serde_json::json!({ "id": 2 }));
        let mut next = async || {
            let frame = body.frame().await.unwrap().unwrap();
            String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap()
        };
        assert!(next().await.starts_with(": "));
        assert_eq!(next().await, "event: request\ndata: {\"event\":\"request\",\"id\":2}\n\n");
        (0..=CAPACITY).for_each(|id| events.publish("request", serde_json::json!({ "id": id })));
        assert_eq!(next().await, "event: dropped\ndata: {\"event\":\"dropped\",\"number\":1}\n\n");
        assert!(next().await.contains("\"id\":1}"));
    }
}
