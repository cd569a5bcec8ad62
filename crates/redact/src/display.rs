//! Redaction for people: log lines, explanations and reports.
//!
//! A secret becomes `REDACTED-` and its name. Two secrets with one name can't be told apart.

use std::borrow::Cow;
use std::ops::Range;

use ::http::HeaderMap;
use memchr::memmem;

use crate::find::can_begin_token;
use crate::find::known::spellings;
use crate::policy::Policy;
use crate::redactor::{PayloadRedaction, Redactor};
use crate::replace::Replacer;
use crate::replace::placeholder::{self, Placeholder, PlaceholderName, ValueFormat};
use crate::splice::remove_overlaps;
use harproxy_http::{Headers, coding};

/// The length of the shortest secret that is replaced in other places of a request, too.
const MIN_KNOWN: usize = 8;

/// The length of the longest payload that is displayed, bytes decoded.
const MAX_PAYLOAD: u64 = 4 << 20;

/// Creates the redactor of one request.
#[must_use]
pub fn redactor(policy: &Policy) -> Redactor<'_> {
    Redactor::new(policy, DisplayReplacer::default())
}

/// Redacts the URL of a request. Secrets of its headers are replaced in the URL, too.
#[must_use]
pub fn redact_url<'u>(policy: &Policy, headers: &HeaderMap, url: &'u str) -> Cow<'u, str> {
    let mut redactor = redactor(policy);
    redactor.redact_headers(&mut Headers::from(headers));
    redactor.redact_url(url).map_or(Cow::Borrowed(url), Cow::Owned)
}

#[must_use]
pub fn redact_headers(policy: &Policy, headers: &HeaderMap) -> Headers {
    let mut headers = Headers::from(headers);
    redactor(policy).redact_headers(&mut headers);
    headers
}

/// Decodes and redacts the payload of a request. `None` if it is longer than 4 MiB or can't be searched.
#[must_use]
pub fn redact_payload(policy: &Policy, headers: &HeaderMap, payload: &[u8]) -> Option<Vec<u8>> {
    let mut headers = Headers::from(headers);
    let codings = coding::codings(headers.get_all("content-encoding"))?;
    let decoded = coding::decode(&codings, payload, MAX_PAYLOAD)?;
    let content_type = headers.get_str("content-type").unwrap_or_default().to_owned();
    let mut redactor = redactor(policy);
    redactor.redact_headers(&mut headers);
    let redacted = match redactor.redact_payload(&content_type, &decoded) {
        PayloadRedaction::Redacted(redacted) => Some(redacted),
        PayloadRedaction::Clean => None,
        PayloadRedaction::Opaque => return None,
    };
    redactor.redact_undeclared_text(redacted, &decoded).or(Some(decoded))
}

impl Redactor<'_> {
    /// Redacts text in a payload whatever its type, for example in a part of a multipart payload that is declared as
    /// binary. `redacted`: the payload redacted by its type. `None` if there are no secrets.
    #[must_use]
    pub fn redact_undeclared_text(&mut self, redacted: Option<Vec<u8>>, payload: &[u8]) -> Option<Vec<u8>> {
        match self.redact_text(redacted.as_deref().unwrap_or(payload)) {
            Cow::Owned(redacted) => Some(redacted),
            Cow::Borrowed(_) => redacted,
        }
    }
}

/// Replaces secrets by their names, and remembers those of one request in all spellings, with their replacements.
#[derive(Default)]
struct DisplayReplacer(Vec<(Vec<u8>, String)>);

impl Replacer for DisplayReplacer {
    fn replace(&mut self, secret: &[u8], name: &PlaceholderName, format: ValueFormat) -> String {
        // A placeholder from a fixture is not secret, and its number is useful.
        if let Some(found) = placeholder::find(secret).next().filter(|found| found.range == (0..secret.len())) {
            return found.format.write(&found.placeholder);
        }
        let replacement = match format.shared_name() {
            None => format!("{}{name}", placeholder::PREFIX),
            Some(name) => format.write(&Placeholder { name, number: 0 }),
        };
        if secret.len() >= MIN_KNOWN && !self.0.iter().any(|(known, _)| known == secret) {
            let all = spellings(secret, format).into_iter();
            self.0.extend(all.map(|(spelling, _)| (spelling.into_vec(), replacement.clone())));
        }
        replacement
    }

    fn find_known(&mut self, text: &[u8]) -> Vec<Range<usize>> {
        let mut found: Vec<Range<usize>> = Vec::new();
        for (known, _) in &self.0 {
            let ends_word = |at: usize| text.get(at).is_none_or(|byte| !byte.is_ascii_alphanumeric());
            let is_word = |range: &Range<usize>| can_begin_token(text, range.start) && ends_word(range.end);
            found.extend(memmem::find_iter(text, known).map(|start| start..start + known.len()).filter(is_word));
        }
        remove_overlaps(&mut found, |range| range.clone());
        found
    }

    fn replace_known(&mut self, secret: &[u8]) -> String {
        let known = self.0.iter().find(|(known, _)| known == secret);
        known.map(|(_, replacement)| replacement.clone()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_replaced_by_name_and_known_in_other_places() {
        let policy = Policy::default();
        let mut redactor = redactor(&policy);
        let url = redactor.redact_url("https://a.test/x?token=abcdefgh1234&page=2");
        assert_eq!(url.as_deref(), Some("https://a.test/x?token=REDACTED-token&page=2"));
        let text = redactor.redact_text(b"is abcdefgh1234, not abcdefgh12345").into_owned();
        assert_eq!(text, b"is REDACTED-token, not abcdefgh12345");
        assert_eq!(redactor.redact_url("https://a.test/x?page=2"), None);
    }

    #[test]
    fn secrets_of_headers_are_replaced_in_the_url() {
        let headers = HeaderMap::from_iter([(::http::header::AUTHORIZATION, "Bearer a/b+c-12345".parse().unwrap())]);
        let redacted = |url| redact_url(&Policy::default(), &headers, url).into_owned();
        assert_eq!(redacted("https://a.test/x/a%2Fb%2Bc-12345?y=1"), "https://a.test/x/REDACTED-authorization?y=1");
        let nested = redacted("https://a.test/x?next=%2Fa%2Fb%2Bc-12345");
        assert_eq!(nested, "https://a.test/x?next=%2FREDACTED-authorization");
        assert_eq!(redacted("https://a.test/x/12345"), "https://a.test/x/12345");
    }

    #[test]
    fn placeholders_are_displayed_unchanged() {
        let policy = Policy::default();
        let url = "https://a.test/x?token=REDACTED-token-1";
        assert_eq!(redactor(&policy).redact_url(url).unwrap_or_else(|| url.to_owned()), url);
    }
}
