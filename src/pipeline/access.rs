//! The access log: a line at level `info` for each request that was answered. It leaves out queries, since they may
//! contain secrets without a known name.

use super::event::{RequestEvent, RunEvent, Subscriber};
use harproxy_proxy::respond::MARK;

#[derive(Debug, Default)]
pub struct AccessLog;

impl Subscriber for AccessLog {
    fn notify(&self, event: &RunEvent<'_>) {
        if let RunEvent::Answered(request) = event
            && self.wants_rows()
        {
            write(request);
        }
    }

    fn wants_rows(&self) -> bool {
        tracing::enabled!(tracing::Level::INFO)
    }
}

fn write(request: &RequestEvent<'_>) {
    let Some(row) = request.row else { return };
    let url = row.url.split(['?', '#']).next().unwrap_or_default();
    let (method, took) = (&row.method, row.waited_ms.unwrap_or_default());
    match request.head {
        Some((status, headers)) => {
            let mark = headers.get(MARK).and_then(|mark| mark.to_str().ok()).unwrap_or_default();
            tracing::info!("{method} {url} {} in {took:.0} ms {mark}", status.as_u16());
        }
        None => tracing::info!("{method} {url} closed without an answer in {took:.0} ms"),
    }
}
