//! What people read of a live request: logs, explanations, reports. Nothing there says which of several secrets it was.

use std::borrow::Cow;
use std::io::Read;
use std::ops::Range;

use ::http::HeaderMap;
use memchr::memmem;

use super::shapes::begins_token;
use super::{Form, Name, Namer, Outcome, Placeholder, Policy, Redactor, placeholder, spellings};
use harproxy_http::{Headers, coding};

/// Shorter values are not looked for elsewhere.
const SHORTEST: usize = 8;

/// Writes `REDACTED-<name>` in the place of values, and knows those of one request wherever they stand again in it.
#[derive(Default)]
pub struct Telling {
    known: Vec<(Vec<u8>, String)>,
}

impl Telling {
    /// A redactor of what is told of one request.
    #[must_use]
    pub fn of(policy: &Policy) -> Redactor<'_, Telling> {
        Redactor::new(policy, Telling::default())
    }

    /// A URL as it may be told: without its secrets, and without those that the headers of its request have.
    #[must_use]
    pub fn url<'u>(policy: &Policy, headers: &HeaderMap, url: &'u str) -> Cow<'u, str> {
        let mut telling = Telling::of(policy);
        telling.headers(&mut Headers::from(headers));
        telling.url(url).map_or(Cow::Borrowed(url), Cow::Owned)
    }

    /// Headers as they may be told.
    #[must_use]
    pub fn headers(policy: &Policy, headers: &HeaderMap) -> Headers {
        let mut told = Headers::from(headers);
        Telling::of(policy).headers(&mut told);
        told
    }

    /// The payload of a request as it may be told, decoded. `None` when it is longer than [`LONGEST_TOLD`] or can't be looked
    /// into.
    #[must_use]
    pub fn payload(policy: &Policy, headers: &HeaderMap, payload: &[u8]) -> Option<Vec<u8>> {
        let named = Headers::from(headers);
        let codings = coding::codings(named.get_all("content-encoding"))?;
        let mut decoded = Vec::new();
        let source = coding::decoder(&codings, Box::new(payload)).take(LONGEST_TOLD + 1);
        let read = { source }.read_to_end(&mut decoded).ok()?;
        if read as u64 > LONGEST_TOLD {
            return None;
        }
        let mut telling = Telling::of(policy);
        telling.headers(&mut named.clone());
        let told = match telling.payload(named.get_str("content-type").unwrap_or_default(), &decoded) {
            Outcome::Redacted(told) => Some(told),
            Outcome::Clean => None,
            Outcome::Opaque => return None,
        };
        telling.of_unknown_kind(told, &decoded).or(Some(decoded))
    }
}

impl Redactor<'_, Telling> {
    /// What is left of a payload, looked through for shapes and known values whatever it says it is: a part of a multipart
    /// payload, or all of one, may call itself binary and hold text. `None` when nothing had to be taken out.
    #[must_use]
    pub fn of_unknown_kind(&mut self, left: Option<Vec<u8>>, payload: &[u8]) -> Option<Vec<u8>> {
        match self.text(left.as_deref().unwrap_or(payload)) {
            Cow::Owned(told) => Some(told),
            Cow::Borrowed(_) => left,
        }
    }
}

/// Longer payloads are not told, bytes.
pub const LONGEST_TOLD: u64 = 4 << 20;

/// It holds secrets.
impl std::fmt::Debug for Telling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Telling(redacted)")
    }
}

impl Namer for Telling {
    fn stand_in(&mut self, secret: &[u8], name: &Name, form: Form) -> String {
        // What a replay gave out is no secret, and says more.
        if let Some(found) = placeholder::find(secret).next().filter(|found| found.range == (0..secret.len())) {
            return found.form.write(&found.placeholder);
        }
        let stand_in = match form.shared_name() {
            None => format!("{}{name}", placeholder::BEGINS),
            Some(name) => form.write(&Placeholder { name, number: 0 }),
        };
        if secret.len() >= SHORTEST && !self.known.iter().any(|(known, _)| known == secret) {
            let all = spellings::of(secret).into_iter();
            self.known.extend(all.map(|known| (known.into_vec(), stand_in.clone())));
        }
        stand_in
    }

    fn known(&mut self, text: &[u8]) -> Vec<(Range<usize>, String)> {
        let mut found: Vec<(Range<usize>, String)> = Vec::new();
        for (known, stand_in) in &self.known {
            let ends = |at: usize| text.get(at).is_none_or(|byte| !byte.is_ascii_alphanumeric());
            let whole = |range: &Range<usize>| begins_token(text, range.start) && ends(range.end);
            let places = memmem::find_iter(text, known).map(|start| start..start + known.len()).filter(whole);
            found.extend(places.map(|range| (range, stand_in.clone())));
        }
        found.sort_by_key(|(range, _)| (range.start, std::cmp::Reverse(range.end)));
        let mut end = 0;
        found.retain(|(range, _)| {
            let free = range.start >= end;
            end = if free { range.end } else { end };
            free
        });
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_named_and_not_numbered_and_known_again() {
        let policy = Policy::default();
        let mut telling = Telling::of(&policy);
        let url = telling.url("https://a.test/x?token=abcdefgh1234&page=2");
        assert_eq!(url.as_deref(), Some("https://a.test/x?token=REDACTED-token&page=2"));
        assert_eq!(&*telling.text(b"is abcdefgh1234, not abcdefgh12345"), b"is REDACTED-token, not abcdefgh12345");
        assert_eq!(telling.url("https://a.test/x?page=2"), None);
    }

    #[test]
    fn what_a_header_calls_secret_is_told_nowhere() {
        let headers = HeaderMap::from_iter([(::http::header::AUTHORIZATION, "Bearer a/b+c-12345".parse().unwrap())]);
        let told = |url| Telling::url(&Policy::default(), &headers, url).into_owned();
        assert_eq!(told("https://a.test/x/a%2Fb%2Bc-12345?y=1"), "https://a.test/x/REDACTED-authorization?y=1");
        assert_eq!(told("https://a.test/x?next=%2Fa%2Fb%2Bc-12345"), "https://a.test/x?next=%2FREDACTED-authorization");
        assert_eq!(told("https://a.test/x/12345"), "https://a.test/x/12345");
    }

    #[test]
    fn a_placeholder_stays_itself() {
        let policy = Policy::default();
        let url = "https://a.test/x?token=REDACTED-token-1";
        assert_eq!(Telling::of(&policy).url(url).unwrap_or_else(|| url.to_owned()), url);
    }
}
