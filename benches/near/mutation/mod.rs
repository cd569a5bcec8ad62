//! Applies random changes to the requests of recorded fixtures, and scores how often the original entry is the first
//! near miss.
//!
//! The same seed gives the same requests on every machine. A changed request may still match an entry, because a
//! foreign fixture without payloads matches any payload. Such hits are counted separately.

mod change;
mod random;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use harproxy_har::{Fixture, Payload};
use harproxy_http::NormalUrl;
use harproxy_matching::{Matcher, Options, Outcome, Query};
use http::{HeaderMap, HeaderName, HeaderValue};

use change::Change;
use random::Random;

/// A kind of change. Its name is in the first column of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operator {
    /// Replaces the value of a query parameter.
    QueryValue,
    /// Adds a query parameter.
    QueryAdd,
    /// Removes a query parameter.
    QueryDrop,
    /// Swaps two query parameters.
    QueryOrder,
    /// Replaces a path segment by a word.
    Segment,
    /// Replaces one character of a path segment.
    SegmentTypo,
    /// Changes the case of a path segment.
    SegmentCase,
    /// Percent-encodes a character of the path.
    PathEncoding,
    /// Inserts a first path segment: `/v2`, `/api` or a word.
    PathPrefix,
    /// Removes a path segment.
    SegmentDrop,
    /// Adds or removes the trailing slash.
    TrailingSlash,
    /// Replaces the host.
    Host,
    /// Replaces the scheme (`http` and `https`) or the port.
    Scheme,
    /// Replaces the method.
    Method,
    /// Replaces a JSON scalar.
    JsonValue,
    /// Adds a JSON member.
    JsonAdd,
    /// Removes a JSON member.
    JsonDrop,
    /// Replaces the value of a form field.
    FormValue,
    /// Replaces the content of a multipart part.
    Part,
    /// Replaces some bytes of the payload.
    PayloadAlter,
    /// Removes the payload and the `content-type` header.
    PayloadDrop,
    /// Applies two of the operators above.
    Two,
}

use Operator::{
    FormValue, Host, JsonAdd, JsonDrop, JsonValue, Method, Part, PathEncoding, PathPrefix, PayloadAlter, PayloadDrop,
    QueryAdd, QueryDrop, QueryOrder, QueryValue, Scheme, Segment, SegmentCase, SegmentDrop, SegmentTypo, TrailingSlash,
    Two,
};

/// All operators, in the order of the table.
pub const OPERATORS: [Operator; 22] = [
    QueryValue,
    QueryAdd,
    QueryDrop,
    QueryOrder,
    Segment,
    SegmentTypo,
    SegmentCase,
    PathEncoding,
    PathPrefix,
    SegmentDrop,
    TrailingSlash,
    Host,
    Scheme,
    Method,
    JsonValue,
    JsonAdd,
    JsonDrop,
    FormValue,
    Part,
    PayloadAlter,
    PayloadDrop,
    Two,
];

/// The results of an operator. The original is the entry whose request was changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Score {
    /// Changed requests that matched no entry.
    pub misses: usize,
    /// Misses whose nearest entry is the original.
    pub exact: usize,
    /// Misses whose nearest entry has the original's method, URL and payload.
    pub same_key: usize,
    /// Misses whose nearest entry has that key, or gets the key of the changed request by the same change.
    /// The request itself does not distinguish these entries.
    pub equal: usize,
    /// The expected maximum of `exact`, in millionths: each miss adds 1/n, if the same change of n entries gives the
    /// same request including its headers.
    pub possible: u64,
    /// Changed requests that matched an entry.
    pub hits: usize,
}

impl Score {
    fn add(&mut self, other: Score) {
        self.misses += other.misses;
        self.exact += other.exact;
        self.same_key += other.same_key;
        self.equal += other.equal;
        self.possible += other.possible;
        self.hits += other.hits;
    }
}

/// The scores of all operators for a seed, and their sum. Calls `on_wrong` for each miss whose nearest entry is not
/// equal to the original.
pub fn run(recordings: &[Recording], seed: u64, mut on_wrong: impl FnMut(&str)) -> (BTreeMap<Operator, Score>, Score) {
    let (mut scores, mut total) = (BTreeMap::<Operator, Score>::new(), Score::default());
    let all = std::thread::scope(|scope| {
        let running: Vec<_> = recordings.iter().map(|recording| scope.spawn(move || recording.try_all(seed))).collect();
        running.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    for (operator, score, line) in all {
        scores.entry(operator).or_default().add(score);
        total.add(score);
        line.iter().for_each(|line| on_wrong(line));
    }
    (scores, total)
}

/// A fixture and the requests of its entries.
pub struct Recording {
    name: String,
    matcher: Matcher,
    requests: Vec<Request>,
}

/// A recorded request.
#[derive(Clone, Debug)]
pub struct Request {
    entry: usize,
    method: String,
    url: String,
    headers: HeaderMap,
    /// A number that requests with equal headers share.
    header_id: usize,
    body: Vec<u8>,
}

impl Request {
    /// Method, URL and payload.
    fn key(&self) -> (&str, &str, &[u8]) {
        (&self.method, &self.url, &self.body)
    }

    fn media_type(&self) -> &str {
        self.headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// Opens the fixtures of all subfolders.
pub fn open_recordings(folder: &Path) -> Vec<Recording> {
    let mut folders: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.retain(|path| path.is_dir());
    folders.sort();
    folders.iter().map(|folder| Recording::open(folder)).collect()
}

impl Recording {
    fn open(folder: &Path) -> Self {
        let names = ["rec.har", "rec.har.gz", "rec.zip", "rec.har.zip"];
        let path = names.iter().map(|name| folder.join(name)).find(|path| path.exists()).unwrap();
        let fixture = Arc::new(Fixture::open(&path).unwrap());
        let requests = fixture
            .heads()
            .iter()
            .filter(|head| head.url.starts_with("http"))
            .filter_map(|head| read_request(&fixture, head.entry));
        let mut requests: Vec<Request> = requests.collect();
        assign_header_ids(&mut requests);
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        Recording { name, requests, matcher: Matcher::new(vec![fixture], None, Options::default()).unwrap() }
    }

    fn try_all(&self, seed: u64) -> Vec<(Operator, Score, Option<String>)> {
        let pairs = (0..self.requests.len()).flat_map(|index| OPERATORS.map(|operator| (index, operator)));
        let results = pairs.map(|(index, operator)| {
            let (score, line) = self.try_one(seed, index, operator);
            (operator, score, line)
        });
        results.collect()
    }

    /// Applies an operator to the request with this index. The text describes a miss with a wrong nearest entry.
    fn try_one(&self, seed: u64, index: usize, operator: Operator) -> (Score, Option<String>) {
        let mut score = Score::default();
        let original = &self.requests[index];
        let mut random = Random::new(seed, &format!("{}#{}{operator:?}", self.name, original.entry));
        let Some(change) = Change::draw(operator, original, &mut random) else { return (score, None) };
        let Some(changed) = change.iter().try_fold(original.clone(), |request, change| change.apply(&request)) else {
            return (score, None);
        };
        if changed.key() == original.key() {
            return (score, None);
        }
        let Ok(url) = NormalUrl::parse(&changed.url) else { return (score, None) };
        let query = Query::new(&changed.method, &url, &changed.headers, Some(&changed.body));
        let Outcome::Miss(miss) = self.matcher.answer(&query, None) else {
            score.hits += 1;
            return (score, None);
        };
        score.misses += 1;
        score.possible = 1_000_000 / self.count_equal(original, &change, &changed);
        let named = miss.near.first().map(|near| near.at.entry);
        let named = self.requests.iter().find(|request| Some(request.entry) == named);
        if let Some(named) = named {
            let repeated = change.iter().try_fold(named.clone(), |request, change| change.apply(&request));
            score.exact += usize::from(named.entry == original.entry);
            score.same_key += usize::from(named.key() == original.key());
            score.equal += usize::from(
                named.key() == original.key() || repeated.is_some_and(|repeated| repeated.key() == changed.key()),
            );
        }
        let line = (score.equal == 0).then(|| {
            let named = named.map_or("nothing".to_owned(), |one| format!("#{} {} {}", one.entry, one.method, one.url));
            let from = format!("{}#{} {} {}", self.name, original.entry, original.method, original.url);
            format!("{operator:?}: {from} -> {} {}: {named}", changed.method, changed.url)
        });
        (score, line)
    }

    /// The number of entries, the original included, of which the same change makes the same request.
    fn count_equal(&self, original: &Request, change: &[Change], changed: &Request) -> u64 {
        let is_equal = |one: &&Request| {
            let repeated = || change.iter().try_fold((*one).clone(), |request, change| change.apply(&request));
            one.header_id == original.header_id
                && (one.key() == original.key() || repeated().is_some_and(|repeated| repeated.key() == changed.key()))
        };
        self.requests.iter().filter(is_equal).count().max(1) as u64
    }
}

/// Sets `header_id`, so that headers are compared once.
fn assign_header_ids(requests: &mut [Request]) {
    for index in 0..requests.len() {
        let (earlier, rest) = requests.split_at_mut(index);
        let same = earlier.iter().find(|request| request.headers == rest[0].headers);
        rest[0].header_id = same.map_or(index, |request| request.header_id);
    }
}

/// Reads the request of an entry, without the headers that clients set for each connection.
fn read_request(fixture: &Fixture, entry: usize) -> Option<Request> {
    let recorded = fixture.entry(entry).ok()?;
    let mut headers = HeaderMap::new();
    for header in &recorded.request.headers {
        let name = HeaderName::from_bytes(header.name.as_bytes()).ok();
        let value = HeaderValue::from_bytes(&header.value).ok();
        if let (Some(name), Some(value)) = (name, value)
            && !matches!(name.as_str(), "host" | "content-length")
        {
            headers.append(name, value);
        }
    }
    let body = match recorded.request.post_data.as_ref().map(|body| fixture.payload(entry, body)) {
        Some(Ok(payload @ (Payload::Bytes(_) | Payload::File(_)))) => payload.bytes().ok()?.to_vec(),
        _ => Vec::new(),
    };
    let url = NormalUrl::parse(&recorded.request.url).ok()?;
    Some(Request {
        entry,
        method: recorded.request.method.clone(),
        url: url.as_str().to_owned(),
        headers,
        header_id: 0,
        body,
    })
}
