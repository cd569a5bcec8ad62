//! The score of a candidate: the number of recorded header fields that the request repeats.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hasher};

use ::http::HeaderMap;

use harproxy_http::{Headers, jwt};

/// Headers that do not score, because they do not depend on the wanted response: those of a connection, of framing, of
/// the client software, of tracing, and of conditional requests.
const NEVER_SCORED: [&str; 36] = [
    "accept-encoding",
    "age",
    "b3",
    "baggage",
    "connection",
    "content-encoding",
    "content-length",
    "date",
    "expect",
    "forwarded",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "keep-alive",
    "origin-trial",
    "priority",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "sec-gpc",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "upgrade-insecure-requests",
    "user-agent",
    "via",
    "x-amzn-trace-id",
    "x-cloud-trace-context",
    "x-correlation-id",
    "x-request-id",
];
/// The prefixes of further names that do not score.
const FAMILIES: [&str; 5] = ["sec-ch-", "sec-fetch-", "sec-websocket-", "x-b3-", "x-forwarded-"];

/// Returns true if a header scores. `name` is in lower case.
fn is_scored(name: &str) -> bool {
    !NEVER_SCORED.contains(&name) && !FAMILIES.iter().any(|family| name.starts_with(family))
}

/// Returns the hash of a header field. `name` is in lower case. The times in a redacted token do not count, because the
/// clock shift changed them in the token that the client received.
fn field(name: &str, value: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(name.as_bytes());
    hasher.write_u8(0);
    hasher.write(&jwt::without_claims(value));
    hasher.finish()
}

/// The hashes of header fields: of those of an entry that score, or of all of a live request. Each is there once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct FieldHashes(Box<[u64]>);

impl FieldHashes {
    /// Takes the fields of an entry that score. `all` is `--score-all-headers`.
    pub(super) fn of_entry(headers: &Headers, all: bool) -> Self {
        let fields = headers.iter().map(|header| (header.name.to_lowercase(), &header.value));
        let scored = fields.filter(|(name, _)| all || is_scored(name));
        FieldHashes::new(scored.map(|(name, value)| field(&name, value)))
    }

    /// Takes the fields of a live request.
    pub(super) fn of_request(headers: &HeaderMap) -> Self {
        FieldHashes::new(headers.iter().map(|(name, value)| field(name.as_str(), value.as_bytes())))
    }

    fn new(fields: impl Iterator<Item = u64>) -> Self {
        FieldHashes(BTreeSet::from_iter(fields).into_iter().collect())
    }

    /// Returns the names of an entry's fields that score, and of those that the request lacks, each once and in order.
    pub(super) fn names(&self, headers: &Headers, all: bool) -> (Vec<String>, Vec<String>) {
        let mut seen = Vec::new();
        let (mut repeated, mut lacking) = (Vec::new(), Vec::new());
        for header in headers {
            let name = header.name.to_lowercase();
            let field = field(&name, &header.value);
            if (all || is_scored(&name)) && !seen.contains(&field) {
                seen.push(field);
                let list = if self.0.binary_search(&field).is_ok() { &mut repeated } else { &mut lacking };
                list.push(name);
            }
        }
        (repeated, lacking)
    }

    /// Returns the number of the entry's fields that the request repeats.
    pub(super) fn score(&self, recorded: &FieldHashes) -> usize {
        recorded.0.iter().filter(|field| self.0.binary_search(field).is_ok()).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(recorded: &[(&str, &str)], sent: &[(&'static str, &'static str)], all: bool) -> usize {
        let mut headers = Headers::default();
        recorded.iter().for_each(|(name, value)| headers.push(*name, value.to_string()));
        let mut map = HeaderMap::new();
        for (name, value) in sent {
            map.append(*name, ::http::HeaderValue::from_static(value));
        }
        FieldHashes::of_request(&map).score(&FieldHashes::of_entry(&headers, all))
    }

    #[test]
    fn field_scores_once_when_name_and_value_are_equal() {
        assert_eq!(score(&[("Accept", "a"), ("X", "1")], &[("accept", "a"), ("x", "2")], false), 1);
        assert_eq!(score(&[("accept", "A")], &[("accept", "a")], false), 0);
        assert_eq!(score(&[("x", "1"), ("X", "1")], &[("x", "1"), ("x", "1")], false), 1);
        assert_eq!(score(&[("x", "1"), ("x", "2")], &[("x", "2"), ("x", "1")], false), 2);
    }

    #[test]
    fn redacted_token_scores_when_its_times_were_shifted() {
        // {"exp":1000}, {"exp":1500}
        let then = "Bearer eyJhbGciOiJub25lIn0.eyJleHAiOjEwMDB9.REDACTED-token-1";
        let now = "Bearer eyJhbGciOiJub25lIn0.eyJleHAiOjE1MDB9.REDACTED-token-1";
        let another = "Bearer eyJhbGciOiJub25lIn0.eyJleHAiOjE1MDB9.REDACTED-token-2";
        assert_eq!(score(&[("authorization", then)], &[("authorization", now)], false), 1);
        assert_eq!(score(&[("authorization", then)], &[("authorization", another)], false), 0);
    }

    #[test]
    fn reference_lists_all_names_that_do_not_score() {
        let reference = include_str!("../../../docs/reference/matching.md");
        for name in NEVER_SCORED.iter().chain(&FAMILIES) {
            assert!(reference.contains(&format!("`{name}`")), "{name}");
        }
    }

    #[test]
    fn listed_header_scores_only_with_all_headers() {
        let of_families = ["sec-ch-ua", "sec-fetch-mode", "sec-websocket-key", "x-b3-traceid", "x-forwarded-for"];
        for name in NEVER_SCORED.into_iter().chain(of_families) {
            assert_eq!(score(&[(name, "v"), ("x", "1")], &[(name, "v"), ("x", "1")], false), 1, "{name}");
            assert_eq!(score(&[(name, "v"), ("x", "1")], &[(name, "v"), ("x", "1")], true), 2, "{name}");
        }
        for name in
            ["accept", "accept-language", "authorization", "content-type", "cookie", "origin", "referer", "x-api-key"]
        {
            assert_eq!(score(&[(name, "v")], &[(name, "v")], false), 1, "{name}");
        }
    }
}
