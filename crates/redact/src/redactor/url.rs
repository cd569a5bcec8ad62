//! Redaction of URLs, absolute or relative, and of the `name=value` pairs in queries and forms. Their other bytes do
//! not change.

use std::ops::Range;

use super::decoded::{DecodedText, TextEncoding};
use super::named_text::is_connection_string;
use super::text::is_graphql;
use super::{MAX_DEPTH, Redactor};
use crate::find::shapes::is_userinfo;
use crate::names::{self, NameLocation};
use crate::replace::placeholder::PlaceholderName;
use crate::splice::{Splice, apply_splices, of_part};

/// The name of the placeholder of user and password, and of their shape.
const USERINFO: &str = "userinfo";
/// The name in the placeholder of a value whose own name has a secret.
const UNNAMED: &str = "value";

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
            splices.extend(of_part(url, query, self.pairs_splices(query, NameLocation::Query, depth)));
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
            self.learn_password(&decoded.text);
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
                splices.extend(of_part(text, query, self.pairs_splices(query, NameLocation::Query, depth)));
                splices
            }
            (_, None) if text.contains(&b'=') => self.pairs_splices(text, NameLocation::Query, depth),
            (_, None) => self.percent_encoded_splices(text),
        }
    }

    pub(super) fn percent_encoded_splices(&mut self, text: &[u8]) -> Vec<Splice> {
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

/// Splits a text at the first of these bytes, which belongs to neither part.
pub(super) fn split_at_first(text: &[u8], byte: u8) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(byte, text) {
        Some(found) => (&text[..found], Some(&text[found + 1..])),
        None => (text, None),
    }
}

impl Redactor<'_> {
    pub(super) fn pairs_splices(&mut self, text: &[u8], location: NameLocation, depth: u8) -> Vec<Splice> {
        let pairs = || text.split(|&byte| byte == b'&');
        let name = |pair| DecodedText::new(split_at_first(pair, b'=').0, TextEncoding::Form);
        let is_signed = pairs().any(|pair| names::is_signed(&name(pair).text))
            && pairs().any(|pair| names::is_signature(&name(pair).text));
        pairs().flat_map(|pair| of_part(text, pair, self.pair_splices(pair, location, is_signed, depth))).collect()
    }

    /// `is_signed`: there is a signature beside the pair. Some servers separate pairs by `;`: `a=1;b=2`.
    fn pair_splices(&mut self, pairs: &[u8], location: NameLocation, is_signed: bool, depth: u8) -> Vec<Splice> {
        let (mut splices, mut rest) = (Vec::new(), Some(pairs));
        while let Some(pair) = rest {
            let found;
            (found, rest) = self.first_pair_splices(pair, location, is_signed, depth);
            splices.extend(of_part(pairs, pair, found));
        }
        splices
    }

    /// Finds the secrets in the first pair. Returns the pairs behind a `;`, too.
    fn first_pair_splices<'t>(
        &mut self,
        pair: &'t [u8],
        location: NameLocation,
        is_signed: bool,
        depth: u8,
    ) -> (Vec<Splice>, Option<&'t [u8]>) {
        let (name, value) = split_at_first(pair, b'=');
        let at = name.len() + 1;
        // The name may follow a pair that `;` separates, and `&amp;` is an `&` that was escaped once too often.
        let own_name = memchr::memrchr(b';', name).map_or(name, |at| &name[at + 1..]);
        let own_name = DecodedText::new(own_name, TextEncoding::Form);
        let name = DecodedText::new(name, TextEncoding::Form);
        let Some(raw) = value else {
            let splices = self.text_splices(&name.text, true);
            return (name.encode_splices(splices, 0).collect(), None);
        };
        let value = DecodedText::new(raw, TextEncoding::Form);
        let own_name = own_name.text.trim_ascii();
        let secret = self.secret_name(location, own_name).filter(|secret| secret.applies_to(&value.text));
        let placeholder = match secret {
            Some(secret) => Some(secret.placeholder),
            None => (is_signed && names::is_signed(own_name)).then(|| PlaceholderName::from_bytes(own_name)),
        };
        let in_name = self.text_splices(&name.text, true);
        // A placeholder repeats the name, which must have no secret.
        let is_plain = in_name.is_empty();
        let mut splices: Vec<Splice> = name.encode_splices(in_name, 0).collect();
        if let Some(placeholder) = placeholder {
            let placeholder = if is_plain { placeholder } else { PlaceholderName::new(UNNAMED) };
            let with = self.replace_value(&value.text, &placeholder);
            splices.extend(with.map(|with| Splice { range: at..at + raw.len(), with }));
            return (splices, None);
        }
        let (first, rest) = match split_at_first(raw, b';') {
            (first, Some(rest)) if rest.contains(&b'=') => (first, Some(rest)),
            _ => (raw, None),
        };
        let value = DecodedText::new(first, TextEncoding::Form);
        let in_value = self.nested_splices(&value.text, true, depth + 1);
        splices.extend(value.encode_splices(in_value, at));
        (splices, rest)
    }

    /// Finds the secrets in a decoded value that may be a URL, JSON or a form.
    pub(super) fn nested_splices(&mut self, text: &[u8], encoded: bool, depth: u8) -> Vec<Splice> {
        if depth < MAX_DEPTH {
            if is_url(text) {
                return self.url_splices(text, depth);
            }
            if is_json(text) && !is_graphql(text) {
                return self.json_splices(text, depth);
            }
            if text.contains(&b'&') && is_form(text) {
                return self.pairs_splices(text, NameLocation::Form, depth);
            }
            if is_connection_string(text) {
                let pairs = text.split(|&byte| byte == b';');
                return pairs
                    .flat_map(|pair| of_part(text, pair, self.pair_splices(pair, NameLocation::Form, false, depth)))
                    .collect();
            }
        }
        self.text_splices(text, encoded)
    }

    /// Finds the secrets in a form. White space around it does not belong to its values.
    pub(super) fn form_splices(&mut self, text: &[u8]) -> Vec<Splice> {
        let pairs = text.trim_ascii();
        of_part(text, pairs, self.pairs_splices(pairs, NameLocation::Form, 0)).collect()
    }
}

/// Returns true if the whole text is a URL with the scheme `http` or `https`.
pub(super) fn is_url(text: &[u8]) -> bool {
    let has_scheme = text
        .get(..8)
        .is_some_and(|start| start.eq_ignore_ascii_case(b"https://") || start[..7].eq_ignore_ascii_case(b"http://"));
    has_scheme && !text.iter().any(u8::is_ascii_whitespace)
}

/// Returns true if text of another or no type is a form: pairs without white space, with usual characters in their
/// names. White space may stand around it.
pub(super) fn is_form(text: &[u8]) -> bool {
    let text = text.trim_ascii();
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.~%+*[]$:@".contains(byte);
    let is_pair = |pair: &[u8]| match memchr::memchr(b'=', pair) {
        Some(at) => at > 0 && pair[..at].iter().all(is_name),
        None => pair.iter().all(is_name),
    };
    let is_excluded = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'<' | b'"' | b'{');
    text.contains(&b'=') && !text.iter().any(is_excluded) && text.split(|&byte| byte == b'&').all(is_pair)
}

/// Returns true if a text looks like a JSON object or array with strings.
fn is_json(text: &[u8]) -> bool {
    let text = text.trim_ascii();
    matches!((text.first(), text.last()), (Some(b'{'), Some(b'}')) | (Some(b'['), Some(b']'))) && text.contains(&b'"')
}
