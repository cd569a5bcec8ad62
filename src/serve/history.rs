//! The last requests of a mock server, for the admin API. They are kept as the client sent them, in memory only: an
//! explanation and an entry need the whole request. Answers of the API show them redacted.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex};

use ::http::{HeaderMap, Method};
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};

use super::facts::RequestFacts;
use crate::pipeline::{RunEvent, Subscriber};
use crate::verdict::request::{RequestRow, ResultKind, SourceKind};
use harproxy_http::NormalUrl;
use harproxy_matching::RequestPattern;
use harproxy_proxy::body::{BodyEnd, BodyObserver};
use harproxy_support::sync::lock;

/// The greatest number of requests.
const MAX_REQUESTS: usize = 10_000;
/// The memory for their headers and payloads, in bytes.
const MAX_BYTES: usize = 64 << 20;
/// The longest payload that is kept, in bytes.
const MAX_PAYLOAD: usize = 1 << 20;

/// A request as the client sent it, without the key of the mock server.
#[derive(Clone)]
pub struct RecentRequest {
    pub method: Method,
    pub url: NormalUrl,
    pub headers: HeaderMap,
    /// `None` if it is longer than 1 MiB, or was not read.
    pub payload: Option<Bytes>,
    /// The name of its position in sequences; see `RequestSession`.
    pub sequence: Option<String>,
    /// The name of its test.
    pub test: Option<String>,
}

/// Hides headers and payload, which may have secrets.
impl fmt::Debug for RecentRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecentRequest").field("method", &self.method).finish_non_exhaustive()
    }
}

impl RecentRequest {
    /// Returns the request as rules see it. A payload that was not kept counts as empty.
    #[must_use]
    pub fn facts(&self) -> RequestFacts {
        let RecentRequest { method, url, headers, payload, sequence, .. } = self.clone();
        RequestFacts::new(method, url, headers, payload.unwrap_or_default(), sequence)
    }

    fn bytes(&self) -> usize {
        let headers = self.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum::<usize>();
        self.url.as_str().len() + headers + self.payload.as_ref().map_or(0, Bytes::len)
    }
}

/// A request of the history.
#[derive(Clone, Debug)]
pub struct HistoryItem {
    /// Its number in events and reports.
    pub id: u64,
    /// `None` for a tunnel, and for a request without a valid URL.
    pub request: Option<RecentRequest>,
    /// The account of the request, without secrets. `None` until its response begins.
    pub row: Option<RequestRow>,
}

impl HistoryItem {
    fn bytes(&self) -> usize {
        let row = self.row.as_ref().map_or(0, |row| row.url.len() + row.message_bytes());
        row + self.request.as_ref().map_or(0, RecentRequest::bytes)
    }
}

/// The conditions that listed requests fulfil. `Default` is all of them.
#[derive(Clone, Debug, Default)]
pub struct HistoryFilter {
    pub pattern: Option<RequestPattern>,
    pub status: Option<u16>,
    pub outcome: Option<ResultKind>,
    pub source: Option<SourceKind>,
    pub session: Option<String>,
    pub fixture: Option<String>,
    /// The name of a rule that applied.
    pub rule: Option<String>,
    /// Only later requests.
    pub after: u64,
}

impl HistoryFilter {
    /// Returns true if a request fulfils the conditions.
    #[must_use]
    pub fn includes(&self, item: &HistoryItem) -> bool {
        let Some(row) = item.row.as_ref().filter(|_| item.id > self.after) else { return false };
        let matches = |pattern: &RequestPattern| match &item.request {
            Some(request) => pattern.matches(request.method.as_str(), request.url.as_str()),
            None => pattern.matches(&row.method, &row.url),
        };
        self.pattern.as_ref().is_none_or(matches)
            && self.status.is_none_or(|status| row.status == Some(status))
            && self.outcome.is_none_or(|outcome| row.outcome == outcome)
            && self.source.is_none_or(|source| row.source == source)
            && self.session.as_ref().is_none_or(|session| row.session.as_ref() == Some(session))
            && self.fixture.as_ref().is_none_or(|fixture| row.fixture.as_ref() == Some(fixture))
            && self.rule.as_ref().is_none_or(|rule| row.rules.contains(rule))
    }
}

#[derive(Debug, Default)]
struct HistoryItems {
    /// In the order of their ids.
    items: VecDeque<Arc<HistoryItem>>,
    bytes: usize,
    /// True if requests were removed because of the limits.
    is_cut: bool,
}

/// The last requests, oldest first.
#[derive(Debug, Default)]
pub struct RequestHistory(Mutex<HistoryItems>);

impl RequestHistory {
    /// Keeps a request that begins.
    pub fn begin(&self, id: u64, request: RecentRequest) {
        lock(&self.0).update(id, true, |item| item.request = Some(request));
    }

    /// Adds the payload of a request, which was read to its end.
    fn set_payload(&self, id: u64, payload: Bytes) {
        lock(&self.0).update(id, false, |item| {
            if let Some(request) = &mut item.request {
                request.payload = Some(payload);
            }
        });
    }

    fn set_row(&self, row: &RequestRow) {
        // The id of a request without a valid URL is new, and so is that of a tunnel.
        let is_new = row.outcome == ResultKind::Tunnel || row.outcome == ResultKind::Refused;
        lock(&self.0).update(row.id, is_new, |item| item.row = Some(row.clone()));
    }

    /// Returns the requests, oldest first.
    #[must_use]
    pub fn items(&self) -> Vec<Arc<HistoryItem>> {
        lock(&self.0).items.iter().cloned().collect()
    }

    /// Returns true if the history has every request since its start, or since it was cleared.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        !lock(&self.0).is_cut
    }

    #[must_use]
    pub fn get(&self, id: u64) -> Option<Arc<HistoryItem>> {
        let history = lock(&self.0);
        let at = history.items.binary_search_by_key(&id, |item| item.id).ok()?;
        history.items.get(at).filter(|item| item.row.is_some()).cloned()
    }

    /// Forgets all requests.
    pub fn clear(&self) {
        *lock(&self.0) = HistoryItems::default();
    }

    /// Returns an observer that keeps the payload of a request.
    #[must_use]
    pub fn observer(self: &Arc<Self>, id: u64) -> Box<dyn BodyObserver> {
        Box::new(PayloadObserver { history: self.clone(), id, payload: Some(Vec::new()) })
    }
}

impl HistoryItems {
    /// Changes the item of a request, and adds it first if it is new.
    fn update(&mut self, id: u64, adds: bool, change: impl FnOnce(&mut HistoryItem)) {
        let at = match self.items.binary_search_by_key(&id, |item| item.id) {
            Ok(at) => at,
            Err(at) if adds => {
                self.items.insert(at, Arc::new(HistoryItem { id, request: None, row: None }));
                at
            }
            Err(_) => return,
        };
        let item = Arc::make_mut(&mut self.items[at]);
        let before = item.bytes();
        change(item);
        self.bytes = self.bytes + item.bytes() - before;
        // The oldest requests are removed beyond the limits.
        while self.items.len() > MAX_REQUESTS || (self.bytes > MAX_BYTES && self.items.len() > 1) {
            self.is_cut = true;
            self.bytes -= self.items.pop_front().map_or(0, |item| item.bytes());
        }
    }
}

impl Subscriber for RequestHistory {
    fn notify(&self, event: &RunEvent<'_>) {
        if let RunEvent::Answered(request) | RunEvent::Ended(request, _) = event
            && let Some(row) = request.row
        {
            self.set_row(row);
        }
    }

    fn wants_rows(&self) -> bool {
        true
    }
}

/// Copies the payload of a request while it passes.
struct PayloadObserver {
    history: Arc<RequestHistory>,
    id: u64,
    /// `None` if it is too long.
    payload: Option<Vec<u8>>,
}

impl BodyObserver for PayloadObserver {
    fn data(&mut self, data: &Bytes) {
        self.payload = self.payload.take().filter(|payload| payload.len() + data.len() <= MAX_PAYLOAD);
        if let Some(payload) = &mut self.payload {
            payload.extend_from_slice(data);
        }
    }

    fn end(self: Box<Self>, end: BodyEnd) -> BoxFuture<'static, ()> {
        if let (BodyEnd::Complete(_), Some(payload)) = (end, self.payload) {
            self.history.set_payload(self.id, payload.into_boxed_slice().into());
        }
        ready(()).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(path: &str) -> RecentRequest {
        RecentRequest {
            method: Method::GET,
            url: NormalUrl::parse(&format!("https://a.test{path}")).unwrap(),
            headers: HeaderMap::new(),
            payload: Some(Bytes::new()),
            sequence: None,
            test: None,
        }
    }

    fn row(id: u64, outcome: ResultKind) -> RequestRow {
        RequestRow { id, outcome, ..RequestRow::default() }
    }

    fn listed(history: &RequestHistory, filter: &HistoryFilter) -> Vec<Arc<HistoryItem>> {
        history.items().into_iter().filter(|item| filter.includes(item)).collect()
    }

    #[test]
    fn requests_are_listed_when_their_response_begins() {
        let history = RequestHistory::default();
        history.begin(2, request("/b"));
        history.begin(1, request("/a"));
        assert!(listed(&history, &HistoryFilter::default()).is_empty() && history.get(1).is_none());
        history.set_row(&row(1, ResultKind::Miss));
        history.set_row(&row(2, ResultKind::Served));
        let ids = |filter| listed(&history, &filter).iter().map(|item| item.id).collect::<Vec<_>>();
        assert_eq!(ids(HistoryFilter::default()), [1, 2]);
        assert_eq!(ids(HistoryFilter { outcome: Some(ResultKind::Miss), ..HistoryFilter::default() }), [1]);
        assert_eq!(ids(HistoryFilter { after: 1, ..HistoryFilter::default() }), [2]);
        let pattern = RequestPattern::parse("GET https://a.test/b").unwrap();
        assert_eq!(ids(HistoryFilter { pattern: Some(pattern), ..HistoryFilter::default() }), [2]);
        history.clear();
        assert!(ids(HistoryFilter::default()).is_empty());
    }

    #[test]
    fn oldest_requests_are_removed_beyond_the_limits() {
        let history = RequestHistory::default();
        for id in 1..=MAX_REQUESTS as u64 + 5 {
            history.begin(id, request("/"));
            history.set_row(&row(id, ResultKind::Served));
        }
        let all = listed(&history, &HistoryFilter::default());
        assert_eq!((all.len(), all[0].id, history.is_complete()), (MAX_REQUESTS, 6, false));
        history.clear();
        assert!(history.is_complete());
        for id in 1..=70 {
            history.begin(id, request("/"));
            history.set_payload(id, vec![b'x'; MAX_PAYLOAD].into());
            history.set_row(&row(id, ResultKind::Served));
        }
        let all = listed(&history, &HistoryFilter::default());
        assert!(all.len() < 64 && all.len() > 60, "{}", all.len());
        assert_eq!(all.last().unwrap().id, 70);
    }

    #[test]
    fn long_payloads_are_not_kept() {
        let history = Arc::new(RequestHistory::default());
        for (id, length) in [(1, MAX_PAYLOAD), (2, MAX_PAYLOAD + 1)] {
            history.begin(id, RecentRequest { payload: None, ..request("/") });
            history.set_row(&row(id, ResultKind::Served));
            let mut observer = history.observer(id);
            observer.data(&vec![b'x'; length].into());
            assert!(observer.end(BodyEnd::Complete(None)).now_or_never().is_some());
        }
        let kept = |id| {
            let item = history.get(id).unwrap();
            item.request.as_ref().unwrap().payload.as_ref().map(Bytes::len)
        };
        assert_eq!((kept(1), kept(2)), (Some(MAX_PAYLOAD), None));
    }
}
