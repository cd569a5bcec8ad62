//! The payload of a live request. Digests and values are computed when they are first needed.

use std::borrow::Cow;
use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

use ::http::{HeaderMap, HeaderValue};
use harproxy_http::coding;
use harproxy_json::Digest;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::{BodyRules, DigestedPayload};

/// A payload that decodes to more bytes is compared as it was received.
pub(super) const MAX_DECODED: u64 = 256 << 20;

#[derive(Debug)]
pub struct SentPayload<'a> {
    /// The bytes as received; empty if there are none.
    raw: &'a [u8],
    /// The digests of a payload that was too long for memory.
    digested: Option<&'a DigestedPayload>,
    headers: &'a HeaderMap,
    decoded: OnceCell<Cow<'a, [u8]>>,
    digests: OnceCell<[Digest; 2]>,
    /// By the rules of the last comparison. A redirect may lead to where others apply.
    meaning: ByRules<Digest>,
    value: ByRules<Rc<Value>>,
}

/// A value that was computed by some rules, identified by their address.
type ByRules<T> = RefCell<Option<(*const BodyRules, Option<T>)>>;

impl<'a> SentPayload<'a> {
    /// Takes a payload as received, with the headers of its request.
    #[must_use]
    pub fn new(headers: &'a HeaderMap, body: Option<&'a [u8]>) -> Self {
        SentPayload {
            raw: body.unwrap_or_default(),
            digested: None,
            headers,
            decoded: OnceCell::new(),
            digests: OnceCell::new(),
            meaning: RefCell::default(),
            value: RefCell::default(),
        }
    }

    /// Takes the digests of a payload that was not kept in memory.
    #[must_use]
    pub fn from_digests(headers: &'a HeaderMap, digested: &'a DigestedPayload) -> Self {
        SentPayload { digested: Some(digested), ..SentPayload::new(headers, None) }
    }

    /// Returns the same payload without any computed value.
    #[must_use]
    pub fn fresh(&self) -> Self {
        SentPayload { digested: self.digested, ..SentPayload::new(self.headers, Some(self.raw)) }
    }

    /// Returns the payload of the same request without a body.
    #[must_use]
    pub fn without_body(&self) -> Self {
        SentPayload::new(self.headers, None)
    }

    #[must_use]
    pub fn headers(&self) -> &'a HeaderMap {
        self.headers
    }

    /// Returns the digests of a payload that was not kept in memory.
    #[must_use]
    pub fn digested(&self) -> Option<&'a DigestedPayload> {
        self.digested
    }

    /// Returns true if the request has no payload.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty() && self.digested.is_none()
    }

    /// Returns the bytes without the content coding; as received if they do not decode, and nothing if they were not
    /// held.
    pub fn decoded(&self) -> &[u8] {
        self.decoded.get_or_init(|| decode(self.headers, self.raw).map_or(Cow::Borrowed(self.raw), Cow::Owned))
    }

    /// Returns the bytes as received.
    #[must_use]
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// Returns the length without the content coding, in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.digested.map_or_else(|| self.decoded().len() as u64, DigestedPayload::len)
    }

    /// Returns the value of the first `Content-Type`.
    #[must_use]
    pub fn content_type(&self) -> Cow<'a, str> {
        self.headers.get("content-type").map(|value| String::from_utf8_lossy(value.as_bytes())).unwrap_or_default()
    }

    /// Returns the digests of the bytes as received, and without the content coding.
    pub fn digests(&self) -> &[Digest; 2] {
        self.digests.get_or_init(|| {
            if let Some(digested) = self.digested {
                return digested.wholes();
            }
            let raw: Digest = Sha256::digest(self.raw).into();
            let decoded = self.decoded();
            [raw, if decoded == self.raw { raw } else { Sha256::digest(decoded).into() }]
        })
    }

    /// Returns the digest of the meaning by these rules; see [`BodyRules::meaning`].
    pub fn meaning(&self, rules: &BodyRules) -> Option<Digest> {
        if let Some(digested) = self.digested {
            return digested.parts();
        }
        by_rules(&self.meaning, rules, || rules.meaning(&self.content_type(), self.decoded()))
    }

    /// Returns the JSON value that these rules compare; see [`BodyRules::json_value`].
    pub fn json_value(&self, rules: &BodyRules) -> Option<Rc<Value>> {
        by_rules(&self.value, rules, || rules.json_value(self.decoded()).map(Rc::new))
    }
}

fn by_rules<T: Clone>(known: &ByRules<T>, rules: &BodyRules, compute: impl FnOnce() -> Option<T>) -> Option<T> {
    let mut known = known.borrow_mut();
    match &*known {
        Some((of, value)) if std::ptr::eq(*of, rules) => value.clone(),
        _ => known.insert((rules, compute())).1.clone(),
    }
}

fn decode(headers: &HeaderMap, raw: &[u8]) -> Option<Vec<u8>> {
    let codings = coding::codings(headers.get_all("content-encoding").iter().map(HeaderValue::as_bytes))?;
    if codings.is_empty() || raw.is_empty() {
        return None;
    }
    coding::decode(&codings, raw, MAX_DECODED)
}
