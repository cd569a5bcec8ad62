//! The last requests of a mock server, for the admin API. They are kept as the client sent them, in memory only: an
//! explanation and an entry need the whole request. Answers of the API show them redacted.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use ::http::{HeaderMap, Method};
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};

use super::facts::RequestFacts;
use crate::pipeline::{RunEvent, Subscriber};
use crate::verdict::request::RequestRow;
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

/// A request as the client sent it.
#[derive(Clone, Debug)]
pub struct KeptRequest {
    pub method: Method,
    pub url: NormalUrl,
    pub headers: HeaderMap,
    /// `None` if it is longer than 1 MiB, or was not read.
    pub payload: Option<Bytes>,
    /// The session that the client names.
    pub session: Option<String>,
}

impl KeptRequest {
    /// Returns the request as rules see it. A payload that was not kept counts as empty.
    #[must_use]
    pub fn facts(&self) -> RequestFacts {
        let KeptRequest { method, url, headers, payload, session } = self.clone();
        RequestFacts::new(method, url, headers, payload.unwrap_or_default(), session)
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
    pub request: Option<KeptRequest>,
    /// The account of the request, without secrets. `None` until its response begins.
    pub row: Option<RequestRow>,
}

/// The conditions that listed requests fulfil. `Default` is all of them.
#[derive(Clone, Debug, Default)]
pub struct HistoryFilter {
    pub pattern: Option<RequestPattern>,
    pub status: Option<u16>,
    /// Values of the members of a row, as in reports: `outcome`, `source`, `session`, `fixture`.
    pub members: Vec<(&'static str, String)>,
    /// The name of a rule that applied.
    pub rule: Option<String>,
    /// Only later requests.
    pub after: u64,
}

impl HistoryFilter {
    fn includes(&self, item: &HistoryItem) -> bool {
        let Some(row) = item.row.as_ref().filter(|_| item.id > self.after) else { return false };
        let matches = |pattern: &RequestPattern| match &item.request {
            Some(request) => pattern.matches(request.method.as_str(), request.url.as_str()),
            None => pattern.matches(&row.method, &row.url),
        };
        self.pattern.as_ref().is_none_or(matches)
            && self.status.is_none_or(|status| row.status == Some(status))
            && self.rule.as_ref().is_none_or(|rule| row.rules.contains(rule))
            && (self.members.is_empty() || {
                let json = serde_json::to_value(row).unwrap_or_default();
                self.members.iter().all(|(name, value)| json[*name].as_str() == Some(value))
            })
    }
}

#[derive(Debug, Default)]
struct KeptItems {
    /// In the order of their ids.
    items: VecDeque<HistoryItem>,
    bytes: usize,
}

/// The last requests, oldest first.
#[derive(Debug, Default)]
pub struct RequestHistory(Mutex<KeptItems>);

impl RequestHistory {
    /// Keeps a request that begins.
    pub fn begin(&self, id: u64, request: KeptRequest) {
        let mut kept = lock(&self.0);
        kept.bytes += request.bytes();
        kept.item(id).request = Some(request);
        kept.shrink();
    }

    /// Adds the payload of a request, which was read to its end.
    fn set_payload(&self, id: u64, payload: Bytes) {
        let mut kept = lock(&self.0);
        let Some(request) = kept.known(id).and_then(|item| item.request.as_mut()) else { return };
        let bytes = payload.len();
        request.payload = Some(payload);
        kept.bytes += bytes;
        kept.shrink();
    }

    fn set_row(&self, row: &RequestRow) {
        let mut kept = lock(&self.0);
        kept.item(row.id).row = Some(row.clone());
        kept.shrink();
    }

    /// Returns the first `limit` requests that fulfil the conditions, oldest first.
    #[must_use]
    pub fn list(&self, filter: &HistoryFilter, limit: usize) -> Vec<HistoryItem> {
        lock(&self.0).items.iter().filter(|item| filter.includes(item)).take(limit).cloned().collect()
    }

    /// Calls `visit` with each request that has a valid URL, oldest first.
    pub fn for_each(&self, mut visit: impl FnMut(&KeptRequest, &RequestRow)) {
        let requests = lock(&self.0).items.clone();
        requests.iter().filter_map(|item| item.request.as_ref().zip(item.row.as_ref())).for_each(|(request, row)| {
            visit(request, row);
        });
    }

    #[must_use]
    pub fn get(&self, id: u64) -> Option<HistoryItem> {
        lock(&self.0).known(id).cloned().filter(|item| item.row.is_some())
    }

    /// Forgets all requests.
    pub fn clear(&self) {
        *lock(&self.0) = KeptItems::default();
    }

    /// Returns an observer that keeps the payload of a request.
    #[must_use]
    pub fn observer(self: &Arc<Self>, id: u64) -> Box<dyn BodyObserver> {
        Box::new(PayloadKeeper { history: self.clone(), id, payload: Some(Vec::new()) })
    }
}

impl KeptItems {
    fn known(&mut self, id: u64) -> Option<&mut HistoryItem> {
        let at = self.items.binary_search_by_key(&id, |item| item.id).ok()?;
        self.items.get_mut(at)
    }

    /// Returns the item of a request, and adds it if it is new.
    fn item(&mut self, id: u64) -> &mut HistoryItem {
        let at = match self.items.binary_search_by_key(&id, |item| item.id) {
            Ok(at) => at,
            Err(at) => {
                self.items.insert(at, HistoryItem { id, request: None, row: None });
                at
            }
        };
        &mut self.items[at]
    }

    /// Removes the oldest requests beyond the limits.
    fn shrink(&mut self) {
        while self.items.len() > MAX_REQUESTS || (self.bytes > MAX_BYTES && self.items.len() > 1) {
            let request = self.items.pop_front().and_then(|item| item.request);
            self.bytes -= request.map_or(0, |request| request.bytes());
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

/// Keeps the payload of a request while it passes.
struct PayloadKeeper {
    history: Arc<RequestHistory>,
    id: u64,
    /// `None` if it is too long.
    payload: Option<Vec<u8>>,
}

impl BodyObserver for PayloadKeeper {
    fn data(&mut self, data: &Bytes) {
        self.payload = self.payload.take().filter(|payload| payload.len() + data.len() <= MAX_PAYLOAD);
        if let Some(payload) = &mut self.payload {
            payload.extend_from_slice(data);
        }
    }

    fn end(self: Box<Self>, end: BodyEnd) -> BoxFuture<'static, ()> {
        if let (BodyEnd::Complete(_), Some(payload)) = (end, self.payload) {
            self.history.set_payload(self.id, payload.into());
        }
        ready(()).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::request::ResultKind;

    fn request(path: &str) -> KeptRequest {
        KeptRequest {
            method: Method::GET,
            url: NormalUrl::parse(&format!("https://a.test{path}")).unwrap(),
            headers: HeaderMap::new(),
            payload: Some(Bytes::new()),
            session: None,
        }
    }

    fn row(id: u64, outcome: ResultKind) -> RequestRow {
        RequestRow { id, outcome, ..RequestRow::default() }
    }

    #[test]
    fn requests_are_listed_when_their_response_begins() {
        let history = RequestHistory::default();
        history.begin(2, request("/b"));
        history.begin(1, request("/a"));
        assert!(history.list(&HistoryFilter::default(), usize::MAX).is_empty() && history.get(1).is_none());
        history.set_row(&row(1, ResultKind::Miss));
        history.set_row(&row(2, ResultKind::Served));
        let ids = |filter| history.list(&filter, usize::MAX).iter().map(|item| item.id).collect::<Vec<_>>();
        assert_eq!(ids(HistoryFilter::default()), [1, 2]);
        assert_eq!(ids(HistoryFilter { members: vec![("outcome", "miss".into())], ..HistoryFilter::default() }), [1]);
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
        let all = history.list(&HistoryFilter::default(), usize::MAX);
        assert_eq!((all.len(), all[0].id), (MAX_REQUESTS, 6));
        history.clear();
        for id in 1..=70 {
            history.begin(id, request("/"));
            history.set_payload(id, vec![b'x'; MAX_PAYLOAD].into());
            history.set_row(&row(id, ResultKind::Served));
        }
        let all = history.list(&HistoryFilter::default(), usize::MAX);
        assert!(all.len() < 64 && all.len() > 60, "{}", all.len());
        assert_eq!(all.last().unwrap().id, 70);
    }

    #[test]
    fn long_payloads_are_not_kept() {
        let history = Arc::new(RequestHistory::default());
        for (id, length) in [(1, MAX_PAYLOAD), (2, MAX_PAYLOAD + 1)] {
            history.begin(id, KeptRequest { payload: None, ..request("/") });
            history.set_row(&row(id, ResultKind::Served));
            let mut observer = history.observer(id);
            observer.data(&vec![b'x'; length].into());
            assert!(observer.end(BodyEnd::Complete(None)).now_or_never().is_some());
        }
        let kept = |id| history.get(id).unwrap().request.unwrap().payload.map(|payload| payload.len());
        assert_eq!((kept(1), kept(2)), (Some(MAX_PAYLOAD), None));
    }
}
