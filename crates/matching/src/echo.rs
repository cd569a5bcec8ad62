//! `echo` of a `[[match]]`: what an answer repeats of its request, such as a request's id.

use std::ops::Range;

use ::http::HeaderName;
use memchr::memmem;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, percent_encode};
use serde_json::Value;
use url::form_urlencoded;

use harproxy_compare::{Encoding, Template};
use harproxy_json::{JsonPath, PathError};

use super::key::View;
use harproxy_redact::placeholder;

/// A place of the request whose value the answer repeats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Echo {
    /// `header:NAME`, in lower case.
    Header(String),
    /// `query:NAME`, a parameter, decoded.
    Query(String),
    /// `json:JSONPATH`: what it finds in the payload.
    Json(Box<JsonPath>),
    /// `path:{NAME}`: the segment that the rule's `path` has in these braces.
    Path(String),
}

/// What is no place to be echoed.
#[derive(Debug, thiserror::Error)]
pub enum BadEcho {
    /// It begins with none of the words.
    #[error("`{0}` is not a place in a request: use header:NAME, query:NAME, json:JSONPATH or path:{{NAME}}")]
    NoPlace(String),
    /// No header's name.
    #[error("`{0}` is not a valid header name")]
    Header(String),
    /// No JSON path.
    #[error(transparent)]
    Json(#[from] PathError),
    /// No name in braces.
    #[error("`{0}` is not a path segment: name it as `path` does, as in path:{{id}}")]
    Path(String),
}

impl Echo {
    /// Reads one.
    ///
    /// ```
    /// use harproxy_matching::Echo;
    /// assert_eq!(Echo::parse("header:X-Request-Id").unwrap(), Echo::Header("x-request-id".into()));
    /// assert_eq!(Echo::parse("path:{id}").unwrap(), Echo::Path("id".into()));
    /// assert!(Echo::parse("json:$.id").is_ok() && Echo::parse("cookie:a").is_err());
    /// ```
    ///
    /// # Errors
    /// [`BadEcho`].
    pub fn parse(text: &str) -> Result<Self, BadEcho> {
        let (kind, name) = text.split_once(':').unwrap_or_default();
        match kind.trim() {
            "header" => {
                let header = name.trim().parse::<HeaderName>();
                Ok(Echo::Header(header.map_err(|_| BadEcho::Header(name.to_owned()))?.as_str().to_owned()))
            }
            "query" if !name.is_empty() => Ok(Echo::Query(name.to_owned())),
            "json" => Ok(Echo::Json(Box::new(JsonPath::parse(name.trim())?))),
            "path" => {
                let inside = name.trim().strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
                let inside = inside.filter(|inside| !inside.is_empty() && !inside.contains(['{', '}']));
                Ok(Echo::Path(inside.ok_or_else(|| BadEcho::Path(name.to_owned()))?.to_owned()))
            }
            _ => Err(BadEcho::NoPlace(text.to_owned())),
        }
    }

    /// The parameter, if it is one.
    pub(super) fn query(&self) -> Option<&str> {
        if let Echo::Query(name) = self { Some(name) } else { None }
    }
}

/// One value that an answer is to repeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Echoed {
    /// What the recorded request had.
    recorded: Vec<u8>,
    /// What the live one has.
    live: Vec<u8>,
}

/// How an answer's text is spelt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spelt {
    /// As it is; percent-encoded within URLs.
    Plain,
    /// A URL, whole or relative.
    Url,
    /// JSON: escaped, in strings.
    Json,
}

impl Echoed {
    /// What an answer of an entry is to repeat of a request: the values of both in each of the places, where they differ.
    pub(super) fn of(echo: &[Echo], recorded: &Asked<'_>, live: &Asked<'_>) -> Vec<Self> {
        let mut found: Vec<Echoed> = Vec::new();
        let mut add = |recorded: &[u8], live: &[u8]| {
            if !recorded.is_empty() && recorded != live && !found.iter().any(|other| other.recorded == recorded) {
                found.push(Echoed { recorded: recorded.to_vec(), live: live.to_vec() });
            }
        };
        for echo in echo {
            for (recorded, live) in recorded.values(echo).iter().zip(live.values(echo)) {
                add(recorded, &live);
                // The answer may repeat the secret without what stood around it.
                let places = Template::parse(recorded, Encoding::Plain).and_then(|template| template.captures(&live));
                for (found, live) in placeholder::find(recorded).zip(places.unwrap_or_default()) {
                    add(&recorded[found.range], &live);
                }
            }
        }
        // What is longer may have the others in it.
        found.sort_by_key(|echoed| std::cmp::Reverse(echoed.recorded.len()));
        found
    }

    /// A text of the answer with the live values in it; `None` when it repeats none of the recorded ones.
    #[must_use]
    pub fn repeat(echoed: &[Echoed], text: &[u8], spelt: Spelt) -> Option<Vec<u8>> {
        let mut places: Vec<(Range<usize>, Vec<u8>)> = Vec::new();
        for Echoed { recorded, live } in echoed {
            let mut put = |recorded: &[u8], live: &dyn Fn(usize) -> Vec<u8>| {
                let whole = memmem::find_iter(text, recorded).map(|start| start..start + recorded.len());
                // Places of one value never overlap each other, and those of the others are in order.
                let is_free = |range: &Range<usize>| {
                    let after = places.partition_point(|(other, _)| other.end <= range.start);
                    places.get(after).is_none_or(|(other, _)| range.end <= other.start)
                };
                let found = whole.filter(|range| is_whole(text, range) && is_free(range));
                let found: Vec<_> = found.map(|range| (range.clone(), live(range.start))).collect();
                places.extend(found);
                places.sort_unstable_by_key(|(range, _)| range.start);
            };
            let in_url = |at| spelt == Spelt::Url || is_in_url(&text[..at]);
            put(&spelt.spell(recorded), &|at| if in_url(at) { encoded(live) } else { spelt.spell(live) });
            put(&encoded(recorded), &|_| encoded(live));
        }
        if places.is_empty() {
            return None;
        }
        let (mut out, mut kept) = (Vec::with_capacity(text.len()), 0);
        for (range, live) in places {
            out.extend_from_slice(&text[kept..range.start]);
            out.extend_from_slice(&live);
            kept = range.end;
        }
        out.extend_from_slice(&text[kept..]);
        Some(out)
    }
}

impl Spelt {
    fn spell(self, value: &[u8]) -> Vec<u8> {
        if self == Spelt::Json { json_escaped(value) } else { value.to_vec() }
    }
}

fn encoded(value: &[u8]) -> Vec<u8> {
    percent_encode(value, UNRESERVED).to_string().into_bytes()
}

/// Whether what follows is in a URL: a scheme stands before it, and nothing that ends one.
fn is_in_url(before: &[u8]) -> bool {
    const LONGEST: usize = 4096;
    let before = &before[before.len().saturating_sub(LONGEST)..];
    let ends = |byte: &u8| byte.is_ascii_whitespace() || b"\"'<>`".contains(byte);
    memmem::rfind(before, b"://").is_some_and(|scheme| !before[scheme..].iter().any(ends))
}

/// A request, recorded or live.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) url: &'a View<'a, 'a>,
    pub(super) headers: &'a dyn Fn(&str) -> Vec<Vec<u8>>,
    /// Its payload, if it is JSON.
    pub(super) payload: &'a dyn Fn() -> Option<Value>,
}

impl Asked<'_> {
    fn values(&self, echo: &Echo) -> Vec<Vec<u8>> {
        match echo {
            Echo::Header(name) => (self.headers)(name),
            Echo::Query(name) => {
                let parameters = form_urlencoded::parse(self.url.parts.query.unwrap_or_default().as_bytes());
                parameters.filter(|(other, _)| other == name).map(|(_, value)| value.as_bytes().to_vec()).collect()
            }
            Echo::Path(name) => {
                let segment = self.url.varying(name).and_then(|n| self.url.parts.segments().nth(n));
                segment.into_iter().map(|segment| percent_decode(segment.as_bytes()).collect()).collect()
            }
            Echo::Json(path) => {
                let payload = (self.payload)();
                let found = payload.as_ref().map(|payload| path.select(payload)).unwrap_or_default();
                found.into_iter().filter_map(scalar).collect()
            }
        }
    }
}

/// What of a JSON value an answer can repeat: what is `true` or `null` says nothing.
fn scalar(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => Some(text.as_bytes().to_vec()),
        Value::Number(number) => Some(number.to_string().into_bytes()),
        _ => None,
    }
}

/// Whether what stands here is no part of something longer: of a word, or of a number.
fn is_whole(text: &[u8], range: &Range<usize>) -> bool {
    let (before, after) = (&text[..range.start], &text[range.end..]);
    let is_number = text[range.clone()].iter().all(u8::is_ascii_digit);
    let part_of_number = is_number
        && (matches!(before, [.., b'0'..=b'9', b'.'])
            || matches!(before, [.., b'-'])
            || matches!(after, [b'.', b'0'..=b'9', ..]));
    let is_word = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    // `%2F` before it is a character of its own.
    let escaped = matches!(before, [.., b'%', a, b] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit());
    (escaped || !is_word(before.last())) && !is_word(after.first()) && !part_of_number
}

fn json_escaped(bytes: &[u8]) -> Vec<u8> {
    let quoted = serde_json::to_vec(&String::from_utf8_lossy(bytes)).unwrap_or_default();
    quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default().to_vec()
}

/// What needs no percent-encoding anywhere in a URL (RFC 3986 section 2.3).
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

#[cfg(test)]
mod tests {
    use super::*;

    fn repeated(recorded: &str, live: &str, text: &str, spelt: Spelt) -> Option<String> {
        let echoed = [Echoed { recorded: recorded.into(), live: live.into() }];
        Echoed::repeat(&echoed, text.as_bytes(), spelt).map(|text| String::from_utf8(text).unwrap())
    }

    #[test]
    fn whole_tokens_are_repeated_however_they_are_spelt() {
        for (recorded, live, text, spelt, expected) in [
            ("abc", "xyz", "abc", Spelt::Plain, Some("xyz")),
            ("abc", "xyz", "id=abc; abcd; _abc", Spelt::Plain, Some("id=xyz; abcd; _abc")),
            (
                "7",
                "8",
                r#"{"id":7,"n":17,"x":7.5,"y":-7,"z":1.7,"s":"7"}"#,
                Spelt::Json,
                Some(r#"{"id":8,"n":17,"x":7.5,"y":-7,"z":1.7,"s":"8"}"#),
            ),
            ("a", r#"say "x""#, r#"{"id":"a"}"#, Spelt::Json, Some(r#"{"id":"say \"x\""}"#)),
            ("a b", "c&d", "/cb?state=a%20b&x=1", Spelt::Plain, Some("/cb?state=c%26d&x=1")),
            ("ab", "c&d", "/cb?state=ab", Spelt::Url, Some("/cb?state=c%26d")),
            (
                "ab",
                "c d",
                r#"{"id":"ab","next":"http://a.test/ab"}"#,
                Spelt::Json,
                Some(r#"{"id":"c d","next":"http://a.test/c%20d"}"#),
            ),
            (
                "REDACTED-state-1",
                "live",
                "/cb?state=REDACTED-state-1&c=REDACTED-state-12",
                Spelt::Plain,
                Some("/cb?state=live&c=REDACTED-state-12"),
            ),
            ("abc", "xyz", "abcd", Spelt::Plain, None),
        ] {
            assert_eq!(repeated(recorded, live, text, spelt).as_deref(), expected, "{text}");
        }
    }

    /// However often a value stands in an answer, it takes no longer than reading it.
    #[test]
    fn a_value_that_is_repeated_all_over_ends() {
        let text = "7,".repeat(60_000);
        assert_eq!(repeated("7", "8", &text, Spelt::Json), Some("8,".repeat(60_000)));
    }

    #[test]
    fn places_are_read_and_what_is_none_says_why() {
        for good in ["header:X-Id", "query:id", "json:$.a.b", "path:{id}"] {
            Echo::parse(good).unwrap();
        }
        for (bad, why) in [
            ("x-id", "not a place"),
            ("cookie:a", "not a place"),
            ("query:", "not a place"),
            ("header:a b", "not a valid header name"),
            ("json:$.[", "JSON path"),
            ("path:id", "path:{id}"),
            ("path:{}", "path:{id}"),
        ] {
            let error = Echo::parse(bad).unwrap_err().to_string();
            assert!(error.contains(why), "{bad}: {error}");
        }
    }
}
