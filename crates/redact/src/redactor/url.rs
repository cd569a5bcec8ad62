//! Redaction of URLs, absolute or relative. Their other bytes do not change.

use std::ops::Range;

use super::Redactor;
use super::decoded::{DecodedText, TextEncoding};
use super::pairs::{PairSource, split_at_first};
use crate::find::shapes::is_userinfo;
use crate::replace::placeholder::PlaceholderName;
use crate::splice::{Splice, apply_splices, of_part};

/// The name of the placeholder of user and password, and of their shape.
const USERINFO: &str = "userinfo";

impl Redactor<'_> {
    /// Redacts a URL: user information, parameters of the query, and shapes anywhere. A fragment with parameters is
    /// redacted like a query. `None` if there are no secrets. A valid URL remains valid.
    pub fn redact_url(&mut self, url: &str) -> Option<String> {
        if self.policy.is_off() {
            return None;
        }
        let splices = self.url_splices(url.as_bytes(), 0);
        // A replacement never ends within a character.
        apply_splices(url.as_bytes(), &splices).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    pub(super) fn url_splices(&mut self, url: &[u8], depth: u8) -> Vec<Splice> {
        let (rest, fragment) = split_at_first(url, b'#');
        let (path, query) = split_at_first(rest, b'?');
        let mut splices = self.path_splices(path);
        if let Some(query) = query {
            splices.extend(of_part(url, query, self.pairs_splices(query, PairSource::Query, depth)));
        }
        if let Some(fragment) = fragment {
            splices.extend(of_part(url, fragment, self.fragment_splices(fragment, depth)));
        }
        splices
    }

    /// Finds the secrets in scheme, user information, host and path.
    fn path_splices(&mut self, text: &[u8]) -> Vec<Splice> {
        let mut splices = Vec::new();
        let mut rest = text;
        if let Some(userinfo) = find_userinfo(text).filter(|_| self.policy.shapes.has(USERINFO)) {
            let decoded = DecodedText::new(&text[userinfo.clone()], TextEncoding::Percent);
            let with = self.replace_value(&decoded.text, &PlaceholderName::new(USERINFO));
            rest = &text[userinfo.end..];
            splices.extend(with.map(|with| Splice { range: userinfo, with }));
        }
        splices.extend(of_part(text, rest, self.percent_encoded_splices(rest)));
        splices
    }

    /// Finds the secrets in a host with a port. HTTP/2 clients may write user information before it (RFC 9113
    /// section 8.3.1).
    pub(super) fn authority_splices(&mut self, text: &[u8]) -> Vec<Splice> {
        match memchr::memrchr(b'@', text) {
            Some(at) if self.policy.shapes.has(USERINFO) => {
                self.value_splice(&text[..at], 0, &PlaceholderName::new(USERINFO))
            }
            _ => self.text_splices(text, false),
        }
    }

    /// Finds the secrets in a fragment: parameters (RFC 6749 section 4.2.2), or a route of a web application with a
    /// query.
    fn fragment_splices(&mut self, text: &[u8], depth: u8) -> Vec<Splice> {
        match split_at_first(text, b'?') {
            (route, Some(query)) => {
                let mut splices = self.percent_encoded_splices(route);
                splices.extend(of_part(text, query, self.pairs_splices(query, PairSource::Query, depth)));
                splices
            }
            (_, None) if text.contains(&b'=') => self.pairs_splices(text, PairSource::Query, depth),
            (_, None) => self.percent_encoded_splices(text),
        }
    }

    fn percent_encoded_splices(&mut self, text: &[u8]) -> Vec<Splice> {
        let decoded = DecodedText::new(text, TextEncoding::Percent);
        let splices = self.text_splices(&decoded.text, true);
        decoded.encode_splices(splices, 0).collect()
    }
}

/// Returns the position of user and password, without the `@`.
fn find_userinfo(text: &[u8]) -> Option<Range<usize>> {
    let start = memchr::memmem::find(text, b"//")? + 2;
    let is_authority = start == 2 || text[start - 3] == b':' && !text[..start - 3].contains(&b'/');
    let end = memchr::memchr2(b'/', b'\\', &text[start..]).map_or(text.len(), |at| start + at);
    let at = memchr::memrchr(b'@', &text[start..end])?;
    (is_authority && is_userinfo(&text[start..start + at])).then_some(start..start + at)
}
