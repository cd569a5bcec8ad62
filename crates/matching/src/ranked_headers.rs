//! Request headers by which servers choose among the representations of a resource. An entry that contradicts the
//! request in one ranks after an entry that agrees.

use std::hash::{DefaultHasher, Hasher};

use ::http::HeaderMap;
use harproxy_http::Headers;

/// The names of these headers, in lower case.
pub(super) const RANKED_HEADERS: [&str; 5] =
    ["accept", "accept-language", "api-version", "x-api-version", "x-github-api-version"];

/// The hashes of the values of [`RANKED_HEADERS`], without case and white space; 0 for a header that is not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct RankedHeaders([u64; RANKED_HEADERS.len()]);

impl RankedHeaders {
    pub(super) fn of_entry(headers: &Headers) -> Self {
        RankedHeaders(RANKED_HEADERS.map(|name| hash(headers.get_all(name))))
    }

    pub(super) fn of_request(headers: &HeaderMap) -> Self {
        RankedHeaders(RANKED_HEADERS.map(|name| hash(headers.get_all(name).iter().map(|value| value.as_bytes()))))
    }

    /// Returns the names of the headers in which two requests differ.
    pub(super) fn differences(&self, other: &RankedHeaders) -> impl Iterator<Item = &'static str> {
        let pairs = self.0.into_iter().zip(other.0);
        RANKED_HEADERS.into_iter().zip(pairs).filter(|(_, (one, other))| one != other).map(|(name, _)| name)
    }
}

fn hash<'v>(values: impl Iterator<Item = &'v [u8]>) -> u64 {
    let mut hasher = DefaultHasher::new();
    let mut count = 0;
    for value in values {
        let kept = value.iter().filter(|byte| !byte.is_ascii_whitespace()).map(u8::to_ascii_lowercase);
        hasher.write(&kept.collect::<Vec<u8>>());
        // Separates values, and means the same as a comma in one value.
        hasher.write(b",");
        count += 1;
    }
    if count == 0 { 0 } else { hasher.finish().max(1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_ignore_case_and_white_space_and_find_missing_headers() {
        let of = |fields: &[(&str, &str)]| {
            let mut headers = Headers::default();
            fields.iter().for_each(|(name, value)| headers.push(*name, value.to_string()));
            RankedHeaders::of_entry(&headers)
        };
        let json = of(&[("Accept", "application/json, text/plain"), ("X-Other", "1")]);
        assert_eq!(json.differences(&of(&[("accept", "application/JSON,text/plain")])).count(), 0);
        assert_eq!(json.differences(&of(&[("accept", "text/csv")])).collect::<Vec<_>>(), ["accept"]);
        assert_eq!(json.differences(&of(&[])).collect::<Vec<_>>(), ["accept"]);
    }
}
