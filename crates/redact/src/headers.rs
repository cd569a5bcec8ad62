//! Header fields and trailers, byte for byte but for what is taken out.

use std::borrow::Cow;

use bytes::Bytes;

use super::form::is_url;
use super::view::{Splice, apply, moved};
use super::{AnyRedactor, Form, Name};
use harproxy_http::{Header, Headers};

/// Fields whose value is a URL or relative to one.
const URLS: [&str; 3] = ["location", "content-location", "referer"];
/// Fields whose value is a scheme and what it needs (RFC 9110 section 11.4).
const CREDENTIALS: [&str; 2] = ["authorization", "proxy-authorization"];
/// Fields with host and port.
const AUTHORITIES: [&str; 3] = ["host", ":authority", "x-forwarded-host"];
/// Schemes that are met in fields that have none by their definition.
const SCHEMES: [&str; 2] = ["bearer", "basic"];

impl AnyRedactor<'_, '_> {
    /// Header fields or trailers of either direction, in place.
    pub fn headers(&mut self, headers: &mut Headers) {
        if self.policy.is_off() {
            return;
        }
        let left = |header: &Header| self.header(&header.name, &header.value);
        let redacted: Vec<_> = headers.iter().map(left).collect();
        if redacted.iter().all(Option::is_none) {
            return;
        }
        let left = |(header, value): (&Header, Option<Vec<u8>>)| Header {
            name: header.name.clone(),
            value: value.map_or_else(|| header.value.clone(), Bytes::from),
        };
        *headers = headers.iter().zip(redacted).map(left).collect();
    }

    /// The value of one field without its secrets; `None` when there are none.
    pub fn header(&mut self, name: &str, value: &[u8]) -> Option<Vec<u8>> {
        if self.policy.is_off() {
            return None;
        }
        apply(value, &self.header_value(name, value))
    }

    /// What is taken out of the value of one field.
    pub(super) fn header_value(&mut self, name: &str, value: &[u8]) -> Vec<Splice> {
        let name = match name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            true => Cow::Owned(name.to_ascii_lowercase()),
            false => Cow::Borrowed(name),
        };
        match &*name {
            name if !self.policy.headers.contains(name.as_bytes()) => self.plain_header(name, value),
            "cookie" => self.cookies(value),
            "set-cookie" => self.set_cookies(value),
            name => self.credentials(value, name),
        }
    }

    fn plain_header(&mut self, name: &str, value: &[u8]) -> Vec<Splice> {
        if URLS.contains(&name) || is_url(value) {
            return self.in_url(value, 0);
        }
        if AUTHORITIES.contains(&name) {
            return self.in_authority(value);
        }
        if name != "link" {
            return self.unnamed(value, false);
        }
        // RFC 8288: `<target>; rel=next, <target>; rel=last`. What stands around the targets is no place for secrets.
        let mut splices = Vec::new();
        let mut at = 0;
        for part in value.split(|&byte| byte == b'>') {
            let target = memchr::memrchr(b'<', part).map_or(part.len(), |open| open + 1);
            splices.extend(moved(self.in_url(&part[target..], 0), at + target));
            at += part.len() + 1;
        }
        splices
    }

    /// A value that is secret but for the scheme it may begin with.
    fn credentials(&mut self, value: &[u8], name: &str) -> Vec<Splice> {
        let from = after_scheme(value, is_credentials(name));
        self.whole(value, from, &Name::new(name))
    }

    /// All of a text from here on, as one value.
    pub(super) fn whole(&mut self, text: &[u8], from: usize, name: &Name) -> Vec<Splice> {
        let with = self.named(&text[from..], name, Form::Text);
        with.map(|with| Splice { range: from..text.len(), with }).into_iter().collect()
    }

    /// RFC 6265 section 4.2.1: `a=1; b=2`.
    fn cookies(&mut self, value: &[u8]) -> Vec<Splice> {
        let mut splices = Vec::new();
        let mut at = 0;
        for pair in value.split(|&byte| byte == b';') {
            splices.extend(moved(self.cookie(pair), at));
            at += pair.len() + 1;
        }
        splices
    }

    /// RFC 6265 section 4.1.1: `a=1; Path=/; Secure`. Browsers write several into one line of a HAR.
    fn set_cookies(&mut self, value: &[u8]) -> Vec<Splice> {
        let mut splices = Vec::new();
        let mut at = 0;
        for line in value.split(|&byte| byte == b'\n') {
            let pair = line.split(|&byte| byte == b';').next().unwrap_or_default();
            splices.extend(moved(self.cookie(pair), at));
            splices.extend(moved(self.unnamed(&line[pair.len()..], false), at + pair.len()));
            at += line.len() + 1;
        }
        splices
    }

    /// `name=value`; what has no name is a value.
    fn cookie(&mut self, pair: &[u8]) -> Vec<Splice> {
        match memchr::memchr(b'=', pair) {
            Some(at) => moved(self.cookie_value(pair[..at].trim_ascii(), &pair[at + 1..]), at + 1).collect(),
            None => self.cookie_value(b"cookie", pair),
        }
    }

    /// The value of one cookie, quoted or not.
    pub(super) fn cookie_value(&mut self, name: &[u8], value: &[u8]) -> Vec<Splice> {
        let trimmed = value.trim_ascii();
        let quoted = trimmed.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
        let start = value.len() - value.trim_ascii_start().len() + usize::from(quoted.is_some());
        let inside = quoted.unwrap_or(trimmed);
        let splices = match self.policy.plain_cookies.contains(name) {
            true => self.unnamed(inside, false),
            false => self.whole(inside, 0, &Name::new(&String::from_utf8_lossy(name))),
        };
        moved(splices, start).collect()
    }
}

/// Whether a field, or what is called as one, has a scheme before its credentials.
pub(super) fn is_credentials(name: &str) -> bool {
    CREDENTIALS.contains(&name)
}

/// Where the credentials begin behind their scheme: any first word that something follows, or only a well-known one.
pub(super) fn after_scheme(value: &[u8], any: bool) -> usize {
    let Some(space) = memchr::memchr(b' ', value) else { return 0 };
    let rest = value[space..].trim_ascii_start();
    let known = SCHEMES.iter().any(|scheme| value[..space].eq_ignore_ascii_case(scheme.as_bytes()));
    let is_scheme = value[..space].iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
    if rest.is_empty() || !(known || any && is_scheme) { 0 } else { value.len() - rest.len() }
}
