//! The fields of an answer, of which a fixture's have much in common: names, and most values. What they share is there once, so that
//! among a hundred thousand answers, each of which needs other memory than the one before it, there is less to fetch.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use ::http::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;

use super::kept;

/// More than these many lists of names are not a recording's: what comes after shares nothing.
const LISTS: usize = 4096;

/// What answers have in common: the fields of the first with the same names.
#[derive(Debug, Default)]
pub(super) struct Common(Mutex<HashMap<Box<[HeaderName]>, Arc<HeaderMap>>>);

/// Fields, made to be cloned into answers.
#[derive(Debug)]
pub(super) struct Fields {
    common: Arc<HeaderMap>,
    /// The values that are others, by their places.
    own: Box<[(usize, HeaderValue)]>,
}

impl Fields {
    /// These fields, and a payload beside their values: what is sent together lies together.
    pub(super) fn with_payload(headers: &HeaderMap, payload: &[u8], common: &Common) -> (Self, Bytes) {
        let common = common.of(headers);
        let own = || headers.values().enumerate().zip(common.values()).filter(|((_, own), common)| own != common);
        let mut bytes = Vec::with_capacity(own().map(|((_, own), _)| own.len()).sum::<usize>() + payload.len());
        own().for_each(|((_, own), _)| bytes.extend_from_slice(own.as_bytes()));
        bytes.extend_from_slice(payload);
        let mut left = kept::keep(&bytes);
        let own = own().map(|((place, value), _)| (place, valid(left.split_to(value.len()), value))).collect();
        (Fields { common, own }, left)
    }

    /// Only fields.
    pub(super) fn new(headers: &HeaderMap, common: &Common) -> Self {
        Fields::with_payload(headers, &[], common).0
    }

    /// All of them.
    pub(super) fn all(&self) -> HeaderMap {
        let mut all = HeaderMap::clone(&self.common);
        let mut own = self.own.iter().peekable();
        for (place, value) in all.values_mut().enumerate() {
            if let Some((_, own)) = own.next_if(|(at, _)| *at == place) {
                *value = own.clone();
            }
        }
        all
    }

    /// What it holds in memory of its own, bytes, roughly.
    pub(super) fn weight(&self) -> usize {
        self.own.iter().map(|(_, value)| value.len() + size_of::<(usize, HeaderValue)>()).sum()
    }
}

impl Common {
    fn of(&self, headers: &HeaderMap) -> Arc<HeaderMap> {
        let names: Box<[HeaderName]> = headers.iter().map(|(name, _)| name.clone()).collect();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(common) = known.get(&names) {
            return common.clone();
        }
        if known.len() >= LISTS {
            return Arc::new(headers.clone());
        }
        let common = Arc::new(uncounted(headers));
        known.insert(names, common.clone());
        common
    }
}

/// The same fields in memory that nobody counts.
fn uncounted(headers: &HeaderMap) -> HeaderMap {
    let name = |name: &HeaderName| kept::keep_text(name.as_str()).map_or_else(|| name.clone(), HeaderName::from_static);
    let value = |value: &HeaderValue| valid(kept::keep(value.as_bytes()), value);
    headers.iter().map(|(n, v)| (name(n), value(v))).collect()
}

/// What was a value is still one, as others' bytes.
fn valid(bytes: Bytes, value: &HeaderValue) -> HeaderValue {
    HeaderValue::from_maybe_shared(bytes).unwrap_or_else(|_| value.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&str, &str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn told(headers: &HeaderMap) -> Vec<(&str, &str)> {
        headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect()
    }

    const MANY: &[&[(&str, &str)]] = &[
        &[("content-type", "a/b"), ("x-own", "1"), ("set-cookie", "a"), ("etag", "\"1\""), ("set-cookie", "b")],
        &[("content-type", "a/b"), ("x-own", "2"), ("set-cookie", "a"), ("etag", "\"2\""), ("set-cookie", "c")],
        &[("content-type", "c/d"), ("x-own", ""), ("set-cookie", "b"), ("etag", "\"1\""), ("set-cookie", "b")],
        &[("x-own", "2"), ("content-type", "a/b")],
        &[("content-type", "a/b"), ("x-own", "2")],
        &[("set-cookie", "a"), ("set-cookie", "b"), ("set-cookie", "c")],
        &[("set-cookie", "a"), ("set-cookie", "b")],
        &[("set-cookie", "b"), ("set-cookie", "a")],
        &[],
    ];

    #[test]
    fn all_fields_are_there_in_their_order_whatever_answers_share() {
        let common = Common::default();
        let kept: Vec<_> = MANY
            .iter()
            .map(|fields| (headers(fields), Fields::with_payload(&headers(fields), b"payload", &common)))
            .collect();
        for (headers, (fields, payload)) in &kept {
            assert_eq!((told(&fields.all()), &payload[..]), (told(headers), &b"payload"[..]));
        }
        let lists: Vec<usize> = kept.iter().map(|(_, (fields, _))| fields.own.len()).collect();
        assert_eq!(lists, [0, 3, 3, 0, 0, 0, 0, 2, 0]);
    }

    #[test]
    fn names_beyond_the_limit_share_nothing_and_are_right_all_the_same() {
        let common = Common::default();
        for n in 0..LISTS + 3 {
            let name = format!("x-{n}");
            let one = headers(&[(&name, "a"), ("b", "c")]);
            assert_eq!(Fields::new(&one, &common).all(), one);
        }
        assert_eq!(common.0.lock().unwrap().len(), LISTS);
    }
}
