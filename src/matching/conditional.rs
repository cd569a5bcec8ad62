//! Answers that only some requests may get: 206, 304, and failures that were recorded.

use ::http::HeaderMap;
use bytes::Bytes;

use crate::har::Entry;
use crate::har::model::Stored;

/// How good an answer is, the best first: a worse one is used only when no better one is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    /// What was asked for.
    Full,
    /// A 304 where nothing was asked to be validated.
    FromCache,
    /// The connection that failed.
    Failure,
}

/// What an entry's answer asks of a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Condition {
    /// Nothing.
    None,
    /// 206: Range and If-Range must be equal.
    Range([Option<Bytes>; 2]),
    /// 304: the validators must be equal; or, with the cached body at hand, the request has none.
    Validator { recorded: [Option<Bytes>; 2], cached_body: bool },
    /// A failure: no request wants it.
    Failure,
}

const RANGE: [&str; 2] = ["range", "if-range"];
const VALIDATORS: [&str; 2] = ["if-none-match", "if-modified-since"];

impl Condition {
    pub(super) fn of(entry: &Entry) -> Self {
        let recorded = |names: [&str; 2]| names.map(|name| entry.request.headers.get(name).map(Bytes::copy_from_slice));
        match entry.response.status {
            206 => Condition::Range(recorded(RANGE)),
            304 => {
                let cached_body = match &entry.response.content.stored {
                    Stored::Nowhere => false,
                    Stored::Text(text) | Stored::Base64(text) => !text.is_empty(),
                    Stored::File(_) => true,
                };
                Condition::Validator { recorded: recorded(VALIDATORS), cached_body }
            }
            100..=599 => Condition::None,
            _ => Condition::Failure,
        }
    }

    /// How the entry stands to a request with these headers, and the status it is then served with where that is not the
    /// recorded one. `None`: it is no candidate.
    pub(super) fn admits(&self, request: &HeaderMap) -> Option<(Standing, Option<u16>)> {
        match self {
            Condition::None => Some((Standing::Full, None)),
            Condition::Failure => Some((Standing::Failure, None)),
            Condition::Range(recorded) => equal(recorded, RANGE, request).then_some((Standing::Full, None)),
            Condition::Validator { recorded, cached_body } => {
                let plain = VALIDATORS.iter().all(|name| !request.contains_key(*name));
                match (plain, cached_body) {
                    (true, true) => Some((Standing::FromCache, Some(200))),
                    (true, false) => equal(recorded, VALIDATORS, request).then_some((Standing::FromCache, None)),
                    (false, _) => equal(recorded, VALIDATORS, request).then_some((Standing::Full, None)),
                }
            }
        }
    }

    /// The headers that keep a request from this entry: name, the request's value, the recorded one.
    pub(super) fn differences(&self, request: &HeaderMap) -> Vec<(&'static str, Option<Bytes>, Option<Bytes>)> {
        let (names, recorded) = match self {
            Condition::Range(recorded) => (RANGE, recorded),
            Condition::Validator { recorded, .. } => (VALIDATORS, recorded),
            Condition::None | Condition::Failure => return Vec::new(),
        };
        let sent = names.map(|name| request.get(name).map(|value| Bytes::copy_from_slice(value.as_bytes())));
        let both = sent.into_iter().zip(recorded.clone());
        names.into_iter().zip(both).filter(|(_, (a, b))| a != b).map(|(name, (a, b))| (name, a, b)).collect()
    }
}

fn equal(recorded: &[Option<Bytes>; 2], names: [&str; 2], request: &HeaderMap) -> bool {
    names
        .iter()
        .zip(recorded)
        .all(|(name, value)| request.get(*name).map(::http::HeaderValue::as_bytes) == value.as_deref())
}

#[cfg(test)]
mod tests {
    use ::http::HeaderValue;

    use super::*;

    fn condition(status: i32, headers: &[(&str, &str)], body: &str) -> Condition {
        let mut entry = Entry::default();
        entry.response.status = status;
        entry.response.content.stored = Stored::Text(body.to_owned());
        headers.iter().for_each(|(name, value)| entry.request.headers.push(*name, value.to_string()));
        Condition::of(&entry)
    }

    fn request(headers: &[(&'static str, &'static str)]) -> HeaderMap {
        headers.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_part_goes_to_who_asked_for_that_part() {
        let part = condition(206, &[("Range", "bytes=0-1"), ("if-range", "\"a\"")], "ab");
        let same = request(&[("range", "bytes=0-1"), ("if-range", "\"a\"")]);
        assert_eq!(part.admits(&same), Some((Standing::Full, None)));
        assert_eq!(part.admits(&request(&[("range", "bytes=0-1")])), None);
        assert_eq!(part.admits(&request(&[("range", "bytes=2-3"), ("if-range", "\"a\"")])), None);
        assert_eq!(part.admits(&request(&[])), None);
        assert_eq!(part.differences(&request(&[("range", "bytes=2-3")])).len(), 2);
        let whole = condition(200, &[("Range", "bytes=0-1")], "abcd");
        assert_eq!(whole.admits(&request(&[])), Some((Standing::Full, None)));
    }

    #[test]
    fn not_modified_goes_to_who_has_what_was_not_modified() {
        let bare = condition(304, &[("If-None-Match", "\"a\"")], "");
        assert_eq!(bare.admits(&request(&[("if-none-match", "\"a\"")])), Some((Standing::Full, None)));
        assert_eq!(bare.admits(&request(&[("if-none-match", "\"b\"")])), None);
        assert_eq!(bare.admits(&request(&[])), None);
        let both = [("if-none-match", "\"a\""), ("if-modified-since", "x")];
        assert_eq!(bare.admits(&request(&both)), None);
    }

    #[test]
    fn not_modified_with_the_cached_body_answers_a_plain_request_when_nothing_better_does() {
        let cached = condition(304, &[("If-None-Match", "\"a\"")], "body");
        assert_eq!(cached.admits(&request(&[])), Some((Standing::FromCache, Some(200))));
        assert_eq!(cached.admits(&request(&[("if-none-match", "\"a\"")])), Some((Standing::Full, None)));
        assert_eq!(cached.admits(&request(&[("if-none-match", "\"b\"")])), None);
        // Tools that hide the validator record a 304 to a plain request; that is what there is to serve.
        assert_eq!(condition(304, &[], "").admits(&request(&[])), Some((Standing::FromCache, None)));
        assert!(Standing::Full < Standing::FromCache && Standing::FromCache < Standing::Failure);
    }

    #[test]
    fn failures_are_any_status_that_is_none() {
        for status in [0, -1, 99, 600, 1000] {
            assert_eq!(condition(status, &[], "").admits(&request(&[])), Some((Standing::Failure, None)), "{status}");
        }
        for status in [100, 200, 599] {
            assert_eq!(condition(status, &[], "").admits(&request(&[])), Some((Standing::Full, None)), "{status}");
        }
    }
}
