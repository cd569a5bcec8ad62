//! The subscribers that keep and log requests: rows for reports, bounded in number and memory, and log lines.

use std::sync::Mutex;

use super::event::{RequestEvent, RunEvent, Subscriber};
use crate::verdict::request::RequestRow;
use harproxy_proxy::respond::MARK;
use harproxy_support::sync::lock;

/// The number of requests that are kept. Further ones are only counted.
const MAX_REQUESTS: usize = 20_000;
/// The memory for headers and payloads of the requests that are kept, in bytes. Requests beyond it are kept without.
const MAX_MESSAGES: usize = 64 << 20;

/// Keeps the requests of a run.
#[derive(Default)]
pub struct RequestLog(Mutex<Rows>);

#[derive(Default)]
struct Rows {
    rows: Vec<RequestRow>,
    /// The memory of their headers and payloads, in bytes.
    message_bytes: usize,
}

impl RequestLog {
    /// The requests that have ended, in the order in which they came.
    #[must_use]
    pub fn rows(&self) -> Vec<RequestRow> {
        let mut rows = lock(&self.0).rows.clone();
        rows.sort_by_key(|row| row.id);
        rows
    }

    fn add(&self, mut row: RequestRow) {
        let mut kept = lock(&self.0);
        if kept.rows.len() >= MAX_REQUESTS {
            return;
        }
        match kept.message_bytes.saturating_add(row.message_bytes()) {
            bytes @ ..=MAX_MESSAGES => kept.message_bytes = bytes,
            _ => row.drop_messages(),
        }
        kept.rows.push(row);
    }
}

impl Subscriber for RequestLog {
    fn notify(&self, event: &RunEvent<'_>) {
        if let RunEvent::Ended(request, _) = event
            && let Some(row) = request.row
        {
            self.add(row.clone());
        }
    }

    fn wants_rows(&self) -> bool {
        lock(&self.0).rows.len() < MAX_REQUESTS
    }
}

/// Logs a line at level `info` for each request that was answered. It leaves out queries, since they may contain
/// secrets without a known name.
pub struct AccessLog;

impl Subscriber for AccessLog {
    fn notify(&self, event: &RunEvent<'_>) {
        let RunEvent::Answered(RequestEvent { head, row: Some(row), .. }) = event else { return };
        let url = row.url.split(['?', '#']).next().unwrap_or_default();
        let (method, took) = (&row.method, row.waited_ms.unwrap_or_default());
        match head {
            Some((status, headers)) => {
                let mark = headers.get(MARK).and_then(|mark| mark.to_str().ok()).unwrap_or_default();
                tracing::info!("{method} {url} {} in {took:.0} ms {mark}", status.as_u16());
            }
            None => tracing::info!("{method} {url} closed without an answer in {took:.0} ms"),
        }
    }

    fn wants_rows(&self) -> bool {
        tracing::enabled!(tracing::Level::INFO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use harproxy_http::Headers;

    fn row(id: u64, bytes: usize) -> RequestRow {
        let mut request_headers = Headers::default();
        request_headers.push("x", vec![b'x'; bytes]);
        RequestRow { id, request_headers, ..RequestRow::default() }
    }

    #[test]
    fn log_returns_rows_in_the_order_of_the_requests() {
        let log = RequestLog::default();
        [3, 1, 2].into_iter().for_each(|id| log.add(row(id, 0)));
        assert_eq!(log.rows().iter().map(|row| row.id).collect::<Vec<_>>(), [1, 2, 3]);
    }

    #[test]
    fn log_keeps_rows_without_messages_when_the_memory_is_used_up() {
        let log = RequestLog::default();
        log.add(row(1, MAX_MESSAGES / 2));
        log.add(row(2, MAX_MESSAGES));
        log.add(row(3, 7));
        let kept = log.rows().into_iter().map(|row| row.request_headers.len()).collect::<Vec<_>>();
        assert_eq!(kept, [1, 0, 1]);
    }

    #[test]
    fn log_wants_no_rows_when_it_is_full() {
        let log = RequestLog::default();
        (0..MAX_REQUESTS as u64).for_each(|id| log.add(row(id, 0)));
        assert!(!log.wants_rows());
        log.add(row(0, 0));
        assert_eq!(log.rows().len(), MAX_REQUESTS);
    }
}
