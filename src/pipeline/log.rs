//! The requests of a run for its reports, bounded in number and memory.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use super::event::{RunEvent, Subscriber};
use crate::verdict::request::RequestRow;

/// The number of requests that are kept. Further ones are only counted.
const MAX_REQUESTS: usize = 20_000;
/// The memory for headers and payloads of the requests that are kept, in bytes. Requests beyond it are kept without.
const MAX_MESSAGES: usize = 64 << 20;

/// Keeps the requests of a run.
#[derive(Default)]
pub struct RequestLog(Mutex<Rows>);

struct Rows {
    rows: Vec<RequestRow>,
    messages_left: usize,
}

impl Default for Rows {
    fn default() -> Self {
        Rows { rows: Vec::new(), messages_left: MAX_MESSAGES }
    }
}

impl RequestLog {
    /// The requests that have ended, in the order in which they came.
    #[must_use]
    pub fn rows(&self) -> Vec<RequestRow> {
        let mut rows = self.0.lock().unwrap_or_else(PoisonError::into_inner).rows.clone();
        rows.sort_by_key(|row| row.id);
        rows
    }

    fn add(&self, mut row: RequestRow) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.rows.len() >= MAX_REQUESTS {
            return;
        }
        match kept.messages_left.checked_sub(row.message_bytes()) {
            Some(left) => kept.messages_left = left,
            None => row.drop_messages(),
        }
        kept.rows.push(row);
    }
}

impl fmt::Debug for RequestLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestLog").finish_non_exhaustive()
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
        self.0.lock().unwrap_or_else(PoisonError::into_inner).rows.len() < MAX_REQUESTS
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
