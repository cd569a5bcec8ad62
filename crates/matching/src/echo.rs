//! `echo` of a `[[match]]` rule: values of the live request, such as a request id, replace the recorded ones in the
//! response.

use std::ops::Range;

use ::http::HeaderName;
use memchr::memmem;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, percent_encode};
use serde_json::Value;
use url::form_urlencoded;

use harproxy_compare::{Encoding, Template};
use harproxy_json::JsonPath;

use super::key::View;
use harproxy_redact::placeholder;

/// A place of the request whose value the response repeats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Echo {
    /// `header:NAME`: a header, by its name in lower case.
    Header(String),
    /// `query:NAME`: a query parameter, by its decoded name.
    Query(String),
    /// `json:JSONPATH`: the strings and numbers that the path selects in the payload.
    Json(Box<JsonPath>),
    /// `path:{NAME}`: the segment for which `path` of the rule has this variable.
    Path(String),
}

impl Echo {
    /// Parses a value of `echo`.
    ///
    /// ```
    /// use harproxy_matching::Echo;
    /// assert_eq!(Echo::parse("header:X-Request-Id").unwrap(), Echo::Header("x-request-id".into()));
    /// assert_eq!(Echo::parse("path:{id}").unwrap(), Echo::Path("id".into()));
    /// assert!(Echo::parse("json:$.id").is_ok() && Echo::parse("cookie:a").is_err());
    /// ```
    pub fn parse(text: &str) -> Result<Self, String> {
        let (kind, name) = text.split_once(':').unwrap_or_default();
        match kind.trim() {
            "header" => {
                let header = name.trim().parse::<HeaderName>();
                let header = header.map_err(|_| format!("`{name}` is not a valid header name"))?;
                Ok(Echo::Header(header.as_str().to_owned()))
            }
            "query" if !name.is_empty() => Ok(Echo::Query(name.to_owned())),
            "json" => {
                let path = JsonPath::parse(name.trim()).map_err(|error| error.to_string())?;
                Ok(Echo::Json(Box::new(path)))
            }
            "path" => {
                let inside = name.trim().strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
                let inside = inside.filter(|inside| !inside.is_empty() && !inside.contains(['{', '}']));
                let bad = || format!("`{name}` is not a path segment: name it as `path` does, as in path:{{id}}");
                Ok(Echo::Path(inside.ok_or_else(bad)?.to_owned()))
            }
            _ => Err(format!(
                "`{text}` is not a place in a request: use header:NAME, query:NAME, json:JSONPATH or path:{{NAME}}"
            )),
        }
    }
}

/// A value that the response repeats, as recorded and as sent by the live request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EchoedValue {
    recorded: Vec<u8>,
    live: Vec<u8>,
}

/// The encoding of a text in a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EchoEncoding {
    /// Values are written as they are, and percent-encoded in URLs.
    Plain,
    /// The text is an absolute or relative URL.
    Url,
    /// The text is JSON: values are escaped.
    Json,
}

impl EchoedValue {
    /// Finds the values that differ between a recorded and a live request, in each of the places.
    pub(super) fn find(echo: &[Echo], recorded: &EchoSource<'_>, live: &EchoSource<'_>) -> Vec<Self> {
        let mut found: Vec<EchoedValue> = Vec::new();
        let mut add = |recorded: &[u8], live: &[u8]| {
            if !recorded.is_empty() && recorded != live && !found.iter().any(|other| other.recorded == recorded) {
                found.push(EchoedValue { recorded: recorded.to_vec(), live: live.to_vec() });
            }
        };
        for echo in echo {
            for (recorded, live) in recorded.values(echo).iter().zip(live.values(echo)) {
                add(recorded, &live);
                // The response may repeat the secret without the text around it.
                let places = Template::parse(recorded, Encoding::Plain).and_then(|template| template.captures(&live));
                for (found, live) in placeholder::find(recorded).zip(places.unwrap_or_default()) {
                    add(&recorded[found.range], &live);
                }
            }
        }
        // A longer value may contain a shorter one.
        found.sort_by_key(|echoed| std::cmp::Reverse(echoed.recorded.len()));
        found
    }

    /// Replaces the recorded values in a text of the response by the live ones. `None` if it contains none of them.
    #[must_use]
    pub fn repeat(echoed: &[EchoedValue], text: &[u8], encoding: EchoEncoding) -> Option<Vec<u8>> {
        let mut places: Vec<(Range<usize>, Vec<u8>)> = Vec::new();
        for EchoedValue { recorded, live } in echoed {
            let mut put = |recorded: &[u8], live: &dyn Fn(usize) -> Vec<u8>| {
                let whole = memmem::find_iter(text, recorded).map(|start| start..start + recorded.len());
                // Places of one value do not overlap, and those of the values before it are sorted.
                let is_free = |range: &Range<usize>| {
                    let after = places.partition_point(|(other, _)| other.end <= range.start);
                    places.get(after).is_none_or(|(other, _)| range.end <= other.start)
                };
                let found = whole.filter(|range| is_whole(text, range) && is_free(range));
                let found: Vec<_> = found.map(|range| (range.clone(), live(range.start))).collect();
                places.extend(found);
                places.sort_unstable_by_key(|(range, _)| range.start);
            };
            let in_url = |at| encoding == EchoEncoding::Url || is_in_url(&text[..at]);
            put(&encoding.encode(recorded), &|at| if in_url(at) { encoded(live) } else { encoding.encode(live) });
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

impl EchoEncoding {
    fn encode(self, value: &[u8]) -> Vec<u8> {
        if self != EchoEncoding::Json {
            return value.to_vec();
        }
        let quoted = serde_json::to_vec(&String::from_utf8_lossy(value)).unwrap_or_default();
        quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default().to_vec()
    }
}

fn encoded(value: &[u8]) -> Vec<u8> {
    percent_encode(value, UNRESERVED).to_string().into_bytes()
}

/// Returns true if the text behind `before` belongs to a URL: a scheme precedes it, without a character that ends a
/// URL.
fn is_in_url(before: &[u8]) -> bool {
    const LONGEST: usize = 4096;
    let before = &before[before.len().saturating_sub(LONGEST)..];
    let ends = |byte: &u8| byte.is_ascii_whitespace() || b"\"'<>`".contains(byte);
    memmem::rfind(before, b"://").is_some_and(|scheme| !before[scheme..].iter().any(ends))
}

/// A recorded or live request, from which values are echoed.
#[derive(Clone, Copy)]
pub(super) struct EchoSource<'a> {
    pub(super) url: &'a View<'a, 'a>,
    pub(super) headers: &'a dyn Fn(&str) -> Vec<Vec<u8>>,
    /// The payload, if it is JSON.
    pub(super) payload: &'a dyn Fn() -> Option<Value>,
}

impl EchoSource<'_> {
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

/// Returns a JSON string or number as text. Other values are too common to be echoed.
fn scalar(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => Some(text.as_bytes().to_vec()),
        Value::Number(number) => Some(number.to_string().into_bytes()),
        _ => None,
    }
}

/// Returns true if a range of a text is a whole token: not a part of a longer word or number.
fn is_whole(text: &[u8], range: &Range<usize>) -> bool {
    let (before, after) = (&text[..range.start], &text[range.end..]);
    let is_number = text[range.clone()].iter().all(u8::is_ascii_digit);
    let part_of_number = is_number
        && (matches!(before, [.., b'0'..=b'9', b'.'])
            || matches!(before, [.., b'-'])
            || matches!(after, [b'.', b'0'..=b'9', ..]));
    let is_word = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    // An escape such as `%2F` before the range is one character, not a part of the word.
    let escaped = matches!(before, [.., b'%', a, b] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit());
    (escaped || !is_word(before.last())) && !is_word(after.first()) && !part_of_number
}

/// All bytes except the unreserved characters of URLs (RFC 3986 section 2.3).
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

#[cfg(test)]
mod tests {
    use super::*;

    fn repeated(recorded: &str, live: &str, text: &str, encoding: EchoEncoding) -> Option<String> {
        let echoed = [EchoedValue { recorded: recorded.into(), live: live.into() }];
        EchoedValue::repeat(&echoed, text.as_bytes(), encoding).map(|text| String::from_utf8(text).unwrap())
    }

    #[test]
    fn whole_tokens_are_replaced_in_each_encoding() {
        for (recorded, live, text, encoding, expected) in [
            ("abc", "xyz", "abc", EchoEncoding::Plain, Some("xyz")),
            ("abc", "xyz", "id=abc; abcd; _abc", EchoEncoding::Plain, Some("id=xyz; abcd; _abc")),
            (
                "7",
                "8",
                r#"{"id":7,"n":17,"x":7.5,"y":-7,"z":1.7,"s":"7"}"#,
                EchoEncoding::Json,
                Some(r#"{"id":8,"n":17,"x":7.5,"y":-7,"z":1.7,"s":"8"}"#),
            ),
            ("a", r#"say "x""#, r#"{"id":"a"}"#, EchoEncoding::Json, Some(r#"{"id":"say \"x\""}"#)),
            ("a b", "c&d", "/cb?state=a%20b&x=1", EchoEncoding::Plain, Some("/cb?state=c%26d&x=1")),
            ("ab", "c&d", "/cb?state=ab", EchoEncoding::Url, Some("/cb?state=c%26d")),
            (
                "ab",
                "c d",
                r#"{"id":"ab","next":"http://a.test/ab"}"#,
                EchoEncoding::Json,
                Some(r#"{"id":"c d","next":"http://a.test/c%20d"}"#),
            ),
            (
                "REDACTED-state-1",
                "live",
                "/cb?state=REDACTED-state-1&c=REDACTED-state-12",
                EchoEncoding::Plain,
                Some("/cb?state=live&c=REDACTED-state-12"),
            ),
            ("abc", "xyz", "abcd", EchoEncoding::Plain, None),
        ] {
            assert_eq!(repeated(recorded, live, text, encoding).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn value_with_many_places_is_replaced_in_linear_time() {
        let text = "7,".repeat(60_000);
        assert_eq!(repeated("7", "8", &text, EchoEncoding::Json), Some("8,".repeat(60_000)));
    }

    #[test]
    fn invalid_echo_is_refused_with_a_reason() {
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
            let error = Echo::parse(bad).unwrap_err();
            assert!(error.contains(why), "{bad}: {error}");
        }
    }
}
