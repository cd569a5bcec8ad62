//! How well an entry fits: the recorded request headers that the request repeats.

use std::hash::{DefaultHasher, Hasher};

use ::http::HeaderMap;

use harproxy_http::{Headers, jwt};

/// Headers that say nothing about which answer is wanted: they belong to a hop, a body's framing, a client's make, a
/// trace or a condition. The policy will be able to change the list.
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
/// The same by how the name begins.
const FAMILIES: [&str; 5] = ["sec-ch-", "sec-fetch-", "sec-websocket-", "x-b3-", "x-forwarded-"];

/// Whether a header of this name (in lower case) counts.
fn is_scored(name: &str) -> bool {
    !NEVER_SCORED.contains(&name) && !FAMILIES.iter().any(|family| name.starts_with(family))
}

/// A header field as a number: equal for equal names, case aside, and equal values. A redacted token counts by its
/// placeholder: what the client was sent, and sends back, has moved with the clock.
fn field(name: &str, value: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(name.as_bytes());
    hasher.write_u8(0);
    hasher.write(&jwt::without_claims(value));
    hasher.finish()
}

/// The fields of an entry that can score, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Recorded(Box<[u64]>);

impl Recorded {
    /// `all`: `--score-all-headers`.
    pub(super) fn new(headers: &Headers, all: bool) -> Self {
        let mut fields: Vec<u64> = headers
            .iter()
            .map(|header| (header.name.to_lowercase(), &header.value))
            .filter(|(name, _)| all || is_scored(name))
            .map(|(name, value)| field(&name, value))
            .collect();
        fields.sort_unstable();
        fields.dedup();
        Recorded(fields.into())
    }
}

/// The fields of a request, to be counted against many entries.
#[derive(Clone, Debug)]
pub(super) struct Sent(Vec<u64>);

impl Sent {
    pub(super) fn new(headers: &HeaderMap) -> Self {
        let mut fields: Vec<u64> = headers.iter().map(|(name, value)| field(name.as_str(), value.as_bytes())).collect();
        fields.sort_unstable();
        Sent(fields)
    }

    /// The names of an entry's fields that score and of those that would, each once, in their order.
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

    /// How many of the entry's fields the request repeats.
    pub(super) fn score(&self, recorded: &Recorded) -> usize {
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
        Sent::new(&map).score(&Recorded::new(&headers, all))
    }

    #[test]
    fn names_without_case_values_exact_repeated_once() {
        assert_eq!(score(&[("Accept", "a"), ("X", "1")], &[("accept", "a"), ("x", "2")], false), 1);
        assert_eq!(score(&[("accept", "A")], &[("accept", "a")], false), 0);
        assert_eq!(score(&[("x", "1"), ("X", "1")], &[("x", "1"), ("x", "1")], false), 1);
        assert_eq!(score(&[("x", "1"), ("x", "2")], &[("x", "2"), ("x", "1")], false), 2);
    }

    #[test]
    fn a_redacted_token_scores_though_the_clock_has_moved_it() {
        // {"exp":1000}, {"exp":1500}
        let then = "Bearer eyJhbGciOiJub25lIn0.eyJleHAiOjEwMDB9.REDACTED-token-1";
        let now = "Bearer eyJhbGciOiJub25lIn0.eyJleHAiOjE1MDB9.REDACTED-token-1";
        let another = "Bearer eyJhbGciOiJub25lIn0.eyJleHAiOjE1MDB9.REDACTED-token-2";
        assert_eq!(score(&[("authorization", then)], &[("authorization", now)], false), 1);
        assert_eq!(score(&[("authorization", then)], &[("authorization", another)], false), 0);
    }

    #[test]
    fn the_reference_has_the_whole_list() {
        let reference = include_str!("../../../docs/reference/matching.md");
        for name in NEVER_SCORED.iter().chain(&FAMILIES) {
            assert!(reference.contains(&format!("`{name}`")), "{name}");
        }
    }

    #[test]
    fn the_list_never_scores_in_either_direction() {
        let families = ["sec-ch-ua", "sec-fetch-mode", "sec-websocket-key", "x-b3-traceid", "x-forwarded-for"];
        for name in NEVER_SCORED.into_iter().chain(families) {
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
