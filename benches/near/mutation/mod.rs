//! Requests of recorded fixtures, changed as clients change, and whether the entry that each was made of is named as the nearest.
//!
//! Everything is drawn from a seed: the same seed gives the same requests on every machine. A mutated request that an entry
//! answers after all (a foreign fixture that kept no payload answers any) is counted apart, as it is no miss.

mod change;
mod dice;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use harproxy_har::{Fixture, Payload};
use harproxy_http::NormalUrl;
use harproxy_matching::{Matcher, Options, Outcome, Query};
use http::{HeaderMap, HeaderName, HeaderValue};

use change::Change;
use dice::Dice;

/// What is done to a request. The words are those of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operator {
    /// Another value for a query parameter.
    QueryValue,
    /// A query parameter more.
    QueryAdd,
    /// One less.
    QueryDrop,
    /// Two of them change places.
    QueryOrder,
    /// A segment of the path becomes another word.
    Segment,
    /// One character of a segment is another.
    SegmentTypo,
    /// A segment in upper case, or in lower.
    SegmentCase,
    /// A character of the path is percent-encoded.
    PathEncoding,
    /// A segment before all others: `/v2`, `/api` or another word.
    PathPrefix,
    /// A segment less.
    SegmentDrop,
    /// A slash at the end more or less.
    TrailingSlash,
    /// Another host.
    Host,
    /// `http` for `https`, or the other way round; or another port.
    Scheme,
    /// Another method.
    Method,
    /// Another value for a JSON member.
    JsonValue,
    /// A JSON member more.
    JsonAdd,
    /// One less.
    JsonDrop,
    /// Another value for a form field.
    FormValue,
    /// Another content of a multipart part.
    Part,
    /// Some bytes of the payload are others.
    PayloadAlter,
    /// No payload, and no `content-type`.
    PayloadDrop,
    /// Two of those above.
    Two,
}

use Operator::{
    FormValue, Host, JsonAdd, JsonDrop, JsonValue, Method, Part, PathEncoding, PathPrefix, PayloadAlter, PayloadDrop,
    QueryAdd, QueryDrop, QueryOrder, QueryValue, Scheme, Segment, SegmentCase, SegmentDrop, SegmentTypo, TrailingSlash,
    Two,
};

/// All of them, in the order of the table.
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

/// How often an operator's requests named what they were made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Score {
    /// Requests that missed.
    pub misses: usize,
    /// Those whose nearest entry is the one they were made of.
    pub exact: usize,
    /// Those whose nearest entry is that or one with the same method, URL and payload.
    pub equal: usize,
    /// Those whose nearest entry is one of these, or one of which the same change makes the very same request: nothing in
    /// the request tells which of them it was.
    pub alike: usize,
    /// How often the very entry can be named at most, in millionths: of several of which the same change makes the very same
    /// request, headers and all, one is as good as another, and only one is right.
    pub possible: u64,
    /// Mutated requests that an entry answers.
    pub answered: usize,
}

impl Score {
    fn add(&mut self, other: Score) {
        self.misses += other.misses;
        self.exact += other.exact;
        self.equal += other.equal;
        self.alike += other.alike;
        self.possible += other.possible;
        self.answered += other.answered;
    }
}

/// All scores of a seed, and their sum. `wrong` is told of each request that was taken for another entry's.
pub fn run(recorded: &[Recorded], seed: u64, mut wrong: impl FnMut(&str)) -> (BTreeMap<Operator, Score>, Score) {
    let (mut scores, mut total) = (BTreeMap::<Operator, Score>::new(), Score::default());
    // A recording at a time has nothing to do with the others.
    let all = std::thread::scope(|scope| {
        let running: Vec<_> = recorded.iter().map(|recording| scope.spawn(move || recording.try_all(seed))).collect();
        running.into_iter().flat_map(|one| one.join().unwrap()).collect::<Vec<_>>()
    });
    for (operator, score, line) in all {
        scores.entry(operator).or_default().add(score);
        total.add(score);
        line.iter().for_each(|line| wrong(line));
    }
    (scores, total)
}

/// A fixture and the requests of its entries.
pub struct Recorded {
    name: String,
    matcher: Matcher,
    requests: Vec<Request>,
}

/// A request as its entry has it.
#[derive(Clone, Debug)]
pub struct Request {
    entry: usize,
    method: String,
    url: String,
    headers: HeaderMap,
    /// Requests with the same headers have the same number.
    with_headers: usize,
    body: Vec<u8>,
}

impl Request {
    /// What a key is made of.
    fn key(&self) -> (&str, &str, &[u8]) {
        (&self.method, &self.url, &self.body)
    }

    fn media_type(&self) -> &str {
        self.headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// The fixtures under a folder, each in a folder of its own.
pub fn recorded(folder: &Path) -> Vec<Recorded> {
    let mut folders: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.retain(|path| path.is_dir());
    folders.sort();
    folders.iter().map(|folder| Recorded::open(folder)).collect()
}

impl Recorded {
    fn open(folder: &Path) -> Self {
        let names = ["rec.har", "rec.har.gz", "rec.zip", "rec.har.zip"];
        let path = names.iter().map(|name| folder.join(name)).find(|path| path.exists()).unwrap();
        let fixture = Arc::new(Fixture::open(&path).unwrap());
        let requests = fixture
            .heads()
            .iter()
            .filter(|head| head.url.starts_with("http"))
            .filter_map(|head| request(&fixture, head.entry));
        let mut requests: Vec<Request> = requests.collect();
        number_headers(&mut requests);
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        Recorded { name, requests, matcher: Matcher::new(vec![fixture], None, Options::default()).unwrap() }
    }

    fn try_all(&self, seed: u64) -> Vec<(Operator, Score, Option<String>)> {
        let each = (0..self.requests.len()).flat_map(|place| OPERATORS.map(|operator| (place, operator)));
        let tried = each.map(|(place, operator)| {
            let (score, line) = self.try_one(seed, place, operator);
            (operator, score, line)
        });
        tried.collect()
    }

    fn try_one(&self, seed: u64, place: usize, operator: Operator) -> (Score, Option<String>) {
        let mut score = Score::default();
        let made_of = &self.requests[place];
        let mut dice = Dice::of(seed, &format!("{}#{}{operator:?}", self.name, made_of.entry));
        let Some(change) = Change::draw(operator, made_of, &mut dice) else { return (score, None) };
        let Some(asked) = change.iter().try_fold(made_of.clone(), |request, change| change.apply(&request)) else {
            return (score, None);
        };
        if asked.key() == made_of.key() {
            return (score, None);
        }
        let Ok(url) = NormalUrl::parse(&asked.url) else { return (score, None) };
        let query = Query { method: &asked.method, url: &url, headers: &asked.headers, body: Some(&asked.body) };
        let Outcome::Miss(miss) = self.matcher.would_answer(&query, None) else {
            score.answered += 1;
            return (score, None);
        };
        score.misses += 1;
        score.possible = 1_000_000 / self.twins(made_of, &change, &asked);
        let named = miss.near.first().map(|near| near.at.entry);
        let named = self.requests.iter().find(|request| Some(request.entry) == named);
        if let Some(named) = named {
            let again = change.iter().try_fold(named.clone(), |request, change| change.apply(&request));
            score.exact += usize::from(named.entry == made_of.entry);
            score.equal += usize::from(named.key() == made_of.key());
            score.alike +=
                usize::from(named.key() == made_of.key() || again.is_some_and(|again| again.key() == asked.key()));
        }
        let line = (score.alike == 0).then(|| {
            let named = named.map_or("nothing".to_owned(), |one| format!("#{} {} {}", one.entry, one.method, one.url));
            let from = format!("{}#{} {} {}", self.name, made_of.entry, made_of.method, made_of.url);
            format!("{operator:?}: {from} -> {} {}: {named}", asked.method, asked.url)
        });
        (score, line)
    }

    /// Of how many entries the same change makes the very same request; the one it was made of is among them.
    fn twins(&self, made_of: &Request, change: &[Change], asked: &Request) -> u64 {
        let is_twin = |one: &&Request| {
            let again = || change.iter().try_fold((*one).clone(), |request, change| change.apply(&request));
            one.with_headers == made_of.with_headers
                && (one.key() == made_of.key() || again().is_some_and(|again| again.key() == asked.key()))
        };
        self.requests.iter().filter(is_twin).count().max(1) as u64
    }
}

/// Numbers requests by their headers, so that comparing these is comparing numbers.
fn number_headers(requests: &mut [Request]) {
    for at in 0..requests.len() {
        let (before, from_here) = requests.split_at_mut(at);
        let same = before.iter().find(|earlier| earlier.headers == from_here[0].headers);
        from_here[0].with_headers = same.map_or(at, |earlier| earlier.with_headers);
    }
}

/// The request of an entry: what a client sends by itself is left out of the headers.
fn request(fixture: &Fixture, entry: usize) -> Option<Request> {
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
        with_headers: 0,
        body,
    })
}
