//! Payloads as a part of the key: what is compared under each `--match-body`, reduced to digests.
//!
//! A digest stands for the payload, so an entry's payload is read once, whatever number of requests comes. Equal bytes are
//! always equal; what is said to mean the same (a multipart payload under another boundary, JSON in another order) is
//! equal when its meaning has the same digest.

use std::borrow::Cow;
use std::cell::{Cell, OnceCell, RefCell};
use std::io::Read;
use std::rc::Rc;

use ::http::HeaderMap;
use serde_json::Value;
use serde_json_path::JsonPath;
use sha2::{Digest as _, Sha256};
use url::form_urlencoded;

use super::digested::{self, Digested, Parts};
use super::open::Open;
use super::template::{Told, Values};
use super::{Error, MatchBody, graphql};
use harproxy_har::model::Truncated;
use harproxy_har::{Entry, Fixture, Payload};
use harproxy_http::problem::in_words;
use harproxy_http::{MediaType, coding};

/// SHA-256 of bytes, or of what they mean.
pub type Digest = [u8; 32];

/// A decoded request body larger than this is compared as it was received.
const MAX_DECODED: u64 = 256 << 20;
/// Longer recorded payloads are not held, and no placeholders are looked for in them.
const MAX_OPEN: u64 = 64 << 20;

/// Reads a JSON path (RFC 9535).
///
/// # Errors
/// [`Error::JsonPath`].
pub fn json_path(path: &str) -> Result<JsonPath, Error> {
    JsonPath::parse(path).map_err(|error| Error::JsonPath { path: path.to_owned(), reason: error.message().to_owned() })
}

/// How payloads are compared.
#[derive(Clone, Debug, Default)]
pub(super) struct Comparison {
    pub(super) mode: MatchBody,
    /// What is taken out of JSON before it is compared.
    pub(super) ignored: Vec<JsonPath>,
}

impl Comparison {
    pub(super) fn new(mode: MatchBody, ignore: &[String]) -> Result<Self, Error> {
        Ok(Comparison { mode, ignored: ignore.iter().map(|path| json_path(path)).collect::<Result<_, _>>()? })
    }

    /// Whether a JSON payload is compared by its value.
    fn by_value(&self) -> bool {
        self.mode == MatchBody::Json || !self.ignored.is_empty()
    }

    /// Whether what makes payloads of this media type equal can be digested while they pass: their bytes, or the parts of a
    /// multipart one. JSON values and form fields need all of it.
    pub(super) fn is_digestible(&self, content_type: &str) -> bool {
        let media_type = MediaType::parse(content_type);
        let by_fields = self.mode == MatchBody::Form && media_type.is_form();
        media_type.is_multipart() || !(self.by_value() || by_fields)
    }

    /// The value without what is ignored.
    pub(super) fn strip(&self, value: &mut Value) {
        for path in &self.ignored {
            let mut found: Vec<_> = path.query_located(value).locations().map(|at| at.to_json_pointer()).collect();
            // The last first: taking an element out of a list moves those after it.
            found.reverse();
            for pointer in found {
                remove(value, &pointer);
            }
        }
    }

    /// The digest of what a payload means, where it means more than its bytes.
    pub(super) fn meaning(&self, content_type: &str, bytes: &[u8]) -> Option<Digest> {
        let media_type = MediaType::parse(content_type);
        if media_type.is_multipart() {
            let mut parts = Parts::of(content_type)?;
            parts.push(bytes);
            return parts.end();
        }
        if self.mode == MatchBody::Form && media_type.is_form() {
            let mut digest = Sha256::new_with_prefix("form");
            for (name, value) in form_urlencoded::parse(bytes) {
                sized(&mut digest, name.as_bytes());
                sized(&mut digest, value.as_bytes());
            }
            return Some(digest.finalize().into());
        }
        let mut digest = Sha256::new_with_prefix("json");
        json_digest(&self.value(bytes)?, &mut digest);
        Some(digest.finalize().into())
    }

    /// What of a JSON payload is compared; `None` when it is none, or is compared by its bytes.
    pub(super) fn value(&self, bytes: &[u8]) -> Option<Value> {
        if !self.by_value() {
            return None;
        }
        let mut value: Value = serde_json::from_slice(bytes).ok()?;
        self.strip(&mut value);
        if self.mode == MatchBody::Json {
            fold_queries(&mut value);
        }
        Some(value)
    }
}

/// An entry's payload, as far as the key is concerned.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) enum Recorded {
    /// It was recorded without one.
    None,
    /// Nobody kept it: it matches any.
    Unknown,
    /// It has one.
    Kept { bytes: Digest, meaning: Option<Digest> },
    /// It has one with placeholders in it.
    Open(Box<Open>),
    /// It was cut after `kept` bytes: the request's must begin so, and be as long as this one was.
    Cut { kept: usize, bytes: Digest, total: Option<u64> },
    /// It can't be read; in words.
    Unreadable(String),
}

impl Recorded {
    /// Reads the payload of an entry.
    pub(super) fn of(fixture: &Fixture, at: usize, entry: &Entry, comparison: &Comparison) -> Self {
        let without = if fixture.is_own() { Recorded::None } else { Recorded::Unknown };
        if comparison.mode == MatchBody::Ignore {
            return Recorded::Unknown;
        }
        let Some(body) = &entry.request.post_data else { return without };
        let payload = match fixture.payload(at, body) {
            Ok(Payload::Empty) => return without,
            Ok(Payload::NotRecorded) => return Recorded::Unknown,
            Ok(payload) => payload,
            Err(error) => return Recorded::Unreadable(in_words(&error)),
        };
        let content_type = entry.request.headers.get("content-type").map(String::from_utf8_lossy).unwrap_or_default();
        let needed = payload.len() <= MAX_DECODED && !comparison.is_digestible(&content_type);
        let digested = if needed || payload.len() <= MAX_OPEN {
            let bytes = match payload.bytes() {
                Ok(bytes) => bytes,
                Err(error) => return Recorded::Unreadable(in_words(&error)),
            };
            let open = match &body.truncated {
                None => Open::of(comparison, &content_type, &bytes),
                Some(_) => Open::beginning(&content_type, &bytes),
            };
            if let Some(open) = open {
                return Recorded::Open(Box::new(open));
            }
            Ok((sha256(&bytes), comparison.meaning(&content_type, &bytes)))
        } else {
            payload.reader().and_then(|reader| {
                let io = |source| harproxy_har::Error::Io { doing: "reading", path: fixture.path().to_owned(), source };
                digested::of_recorded(reader, &content_type).map_err(io)
            })
        };
        match (digested, &body.truncated) {
            (Err(error), _) => Recorded::Unreadable(in_words(&error)),
            (Ok((bytes, _)), Some(Truncated { kept, total, .. })) => {
                Recorded::Cut { kept: usize::try_from(*kept).unwrap_or(usize::MAX), bytes, total: *total }
            }
            (Ok((bytes, meaning)), None) => Recorded::Kept { bytes, meaning },
        }
    }
}

/// A request's payload. What is needed of it is worked out when it is first asked for.
#[derive(Debug)]
pub(super) struct Sent<'a> {
    /// The bytes as received; empty when there were none.
    raw: &'a [u8],
    /// What there is of them when they were too many.
    digested: Option<&'a Digested>,
    headers: &'a HeaderMap,
    decoded: OnceCell<Cow<'a, [u8]>>,
    bytes: OnceCell<[Digest; 2]>,
    /// Of the last comparison that asked; a redirect may lead to where another holds.
    meaning: Cell<Of<Digest>>,
    value: RefCell<Of<Rc<Value>>>,
}

/// What there is by a comparison, if one has asked.
type Of<T> = Option<(*const Comparison, Option<T>)>;

impl<'a> Sent<'a> {
    pub(super) fn new(headers: &'a HeaderMap, body: Option<&'a [u8]>) -> Self {
        Sent {
            raw: body.unwrap_or_default(),
            digested: None,
            headers,
            decoded: OnceCell::new(),
            bytes: OnceCell::new(),
            meaning: Cell::new(None),
            value: RefCell::default(),
        }
    }

    /// A payload of which nothing but digests was kept.
    pub(super) fn digested(headers: &'a HeaderMap, digested: &'a Digested) -> Self {
        Sent { digested: Some(digested), ..Sent::new(headers, None) }
    }

    /// The same of which nothing is worked out yet.
    pub(super) fn anew(&self) -> Self {
        Sent { digested: self.digested, ..Sent::new(self.headers, Some(self.raw)) }
    }

    /// What the same request would have without one.
    pub(super) fn left_out(&self) -> Self {
        Sent::new(self.headers, None)
    }

    /// What there is of a payload that was too long to be held.
    pub(super) fn as_digested(&self) -> Option<&'a Digested> {
        self.digested
    }

    /// Whether there was none.
    pub(super) fn is_empty(&self) -> bool {
        self.raw.is_empty() && self.digested.is_none()
    }

    /// Without its Content-Encoding; as it came when it does not decode. Empty when nothing of it was kept.
    pub(super) fn decoded(&self) -> &[u8] {
        self.decoded.get_or_init(|| decode(self.headers, self.raw).map_or(Cow::Borrowed(self.raw), Cow::Owned))
    }

    /// As it was received.
    pub(super) fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// Its `Content-Type`, the first if there are several.
    pub(super) fn content_type(&self) -> Cow<'a, str> {
        self.headers.get("content-type").map(|value| String::from_utf8_lossy(value.as_bytes())).unwrap_or_default()
    }

    /// Whether an entry's payload is this one's equal, placeholders aside; what the client put in their places tells
    /// something of the entry.
    pub(super) fn fits(&self, recorded: &Recorded, comparison: &Comparison, values: &Values) -> Option<Told> {
        match recorded {
            Recorded::Open(open) if !self.is_empty() => open.fits(self, comparison, values),
            recorded => self.equals(recorded, comparison).then(Told::default),
        }
    }

    /// Whether an entry's payload, which has no placeholders, is this one's equal.
    fn equals(&self, recorded: &Recorded, comparison: &Comparison) -> bool {
        match recorded {
            Recorded::Unknown => true,
            Recorded::None => self.is_empty() || comparison.mode == MatchBody::Ignore,
            Recorded::Unreadable(_) | Recorded::Open(_) => false,
            _ if self.is_empty() => false,
            // A payload that did not decode was stored as received: both forms are looked for.
            Recorded::Kept { bytes, meaning } => {
                self.digests().contains(bytes) || (meaning.is_some() && *meaning == self.meaning(comparison))
            }
            Recorded::Cut { kept, bytes, total } if self.digested.is_some() => {
                self.digested.is_some_and(|digested| digested.begins(*kept as u64, bytes, *total))
            }
            Recorded::Cut { kept, bytes, total } => {
                let fits = |body: &[u8]| {
                    total.is_none_or(|total| body.len() as u64 == total)
                        && body.get(..*kept).is_some_and(|start| sha256(start) == *bytes)
                };
                fits(self.decoded()) || fits(self.raw)
            }
        }
    }

    /// As received, and without its Content-Encoding.
    pub(super) fn digests(&self) -> &[Digest; 2] {
        self.bytes.get_or_init(|| {
            if let Some(digested) = self.digested {
                return digested.wholes();
            }
            let raw = sha256(self.raw);
            let decoded = self.decoded();
            [raw, if decoded == self.raw { raw } else { sha256(decoded) }]
        })
    }

    /// What it means, where that is more than its bytes.
    pub(super) fn meaning(&self, comparison: &Comparison) -> Option<Digest> {
        match self.meaning.get() {
            _ if self.digested.is_some() => self.digested.and_then(Digested::parts),
            Some((known, meaning)) if std::ptr::eq(known, comparison) => meaning,
            _ => {
                let meaning = comparison.meaning(&self.content_type(), self.decoded());
                self.meaning.set(Some((comparison, meaning)));
                meaning
            }
        }
    }

    /// What of it is compared, where that is a JSON value.
    pub(super) fn value(&self, comparison: &Comparison) -> Option<Rc<Value>> {
        let mut known = self.value.borrow_mut();
        match &*known {
            Some((of, value)) if std::ptr::eq(*of, comparison) => value.clone(),
            _ => {
                let value = comparison.value(self.decoded()).map(Rc::new);
                *known = Some((comparison, value.clone()));
                value
            }
        }
    }
}

fn decode(headers: &HeaderMap, raw: &[u8]) -> Option<Vec<u8>> {
    let codings = coding::codings(headers.get_all("content-encoding").iter().map(::http::HeaderValue::as_bytes))?;
    if codings.is_empty() || raw.is_empty() {
        return None;
    }
    let mut decoded = Vec::new();
    coding::decoder(&codings, Box::new(raw)).take(MAX_DECODED + 1).read_to_end(&mut decoded).ok()?;
    (decoded.len() as u64 <= MAX_DECODED).then_some(decoded)
}

/// Equal for equal values: the order of members is set aside, `1` is `1.0`.
fn json_digest(value: &Value, digest: &mut Sha256) {
    match value {
        Value::Null => digest.update("n"),
        Value::Bool(bool) => digest.update(if *bool { "t" } else { "f" }),
        Value::Number(number) => {
            digest.update("#");
            sized(digest, plain_number(number).as_bytes());
        }
        Value::String(text) => {
            digest.update("s");
            sized(digest, text.as_bytes());
        }
        Value::Array(items) => {
            digest.update("[");
            items.iter().for_each(|item| json_digest(item, digest));
            digest.update("]");
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(name, _)| *name);
            digest.update("{");
            for (name, value) in members {
                sized(digest, name.as_bytes());
                json_digest(value, digest);
            }
            digest.update("}");
        }
    }
}

/// Whether two values have the same digest.
pub(super) fn json_equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => plain_number(a) == plain_number(b),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| json_equal(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| json_equal(a, b)))
        }
        (a, b) => a == b,
    }
}

/// `1.0` and `1e0` as `1`.
#[expect(clippy::cast_possible_truncation, reason = "only whole numbers that a f64 holds exactly get there")]
pub(super) fn plain_number(number: &serde_json::Number) -> String {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match number.as_f64() {
        Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < EXACT => (float as i64).to_string(),
        _ => number.to_string(),
    }
}

/// White space in the `query` of GraphQL payloads, folded.
pub(super) fn fold_queries(value: &mut Value) {
    match value {
        Value::Array(batch) => batch.iter_mut().for_each(fold_queries),
        _ => {
            if let Some(folded) = graphql::query(value).map(graphql::folded) {
                value["query"] = Value::String(folded);
            }
        }
    }
}

/// Takes out what a JSON pointer (RFC 6901) names.
fn remove(value: &mut Value, pointer: &str) {
    let Some((parent, last)) = pointer.rsplit_once('/') else { return };
    match value.pointer_mut(parent) {
        Some(Value::Object(members)) => {
            members.shift_remove(&last.replace("~1", "/").replace("~0", "~"));
        }
        Some(Value::Array(items)) => {
            if let Some(index) = last.parse().ok().filter(|&index: &usize| index < items.len()) {
                items.remove(index);
            }
        }
        _ => {}
    }
}

/// A field of a digest that cannot run into the next.
fn sized(digest: &mut Sha256, bytes: &[u8]) {
    digest.update((bytes.len() as u64).to_le_bytes());
    digest.update(bytes);
}

fn sha256(bytes: &[u8]) -> Digest {
    Sha256::digest(bytes).into()
}
