//! Redaction of header fields and trailers. Their other bytes do not change.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;

use super::Redactor;
use super::url::{is_url, split_at_first};
use crate::find::{find_redacted, known};
use crate::names::NameLocation;
use crate::replace::placeholder::PlaceholderName;
use crate::splice::{Splice, apply_splices, of_part, remove_overlaps};
use harproxy_http::{Header, Headers, cookies};

/// Fields with a URL, absolute or relative.
const URLS: [&str; 3] = ["location", "content-location", "referer"];
/// The last word of fields with a scheme and credentials (RFC 9110 section 11.4).
const CREDENTIALS: &str = "authorization";
/// Fields with a host and a port.
const AUTHORITIES: [&str; 3] = ["host", ":authority", "x-forwarded-host"];
/// The length of the shortest password of letters alone that is searched for elsewhere, bytes. Shorter ones are words.
const MAX_WORD: usize = 16;
/// Schemes that also occur in fields for credentials without a scheme.
const SCHEMES: [&str; 2] = ["bearer", "basic"];

impl Redactor<'_> {
    pub fn redact_headers(&mut self, headers: &mut Headers) {
        let redact = |Header { name, value }: &Header| Header {
            name: name.clone(),
            value: self.redact_header(name, value).map_or_else(|| value.clone(), Bytes::from),
        };
        *headers = headers.iter().map(redact).collect();
    }

    /// Redacts the value of a header field. `None` if it contains no secrets.
    pub fn redact_header(&mut self, name: &str, value: &[u8]) -> Option<Vec<u8>> {
        if self.policy.is_off() {
            return None;
        }
        apply_splices(value, &self.header_splices(name, value))
    }

    pub(super) fn header_splices(&mut self, name: &str, value: &[u8]) -> Vec<Splice> {
        let secret = self.secret_name(NameLocation::Header, name.as_bytes());
        let name = &*name.to_ascii_lowercase();
        let Some(secret) = secret.filter(|secret| secret.applies_to(value)) else {
            return self.plain_header_splices(name, value);
        };
        match name {
            "cookie" => self.cookies_splices(value),
            "set-cookie" => self.set_cookies_splices(value),
            name => {
                let from = after_scheme(value, has_scheme(name));
                self.credentials_splice(value, from, &secret.placeholder)
            }
        }
    }

    /// Returns a splice for credentials, whose scheme ends at `from`. The password in Basic credentials becomes known.
    pub(super) fn credentials_splice(&mut self, value: &[u8], from: usize, name: &PlaceholderName) -> Vec<Splice> {
        if value[..from].trim_ascii_end().eq_ignore_ascii_case(b"basic")
            && let Ok(pair) = BASE64_STANDARD.decode(value[from..].trim_ascii())
        {
            self.learn_password(&pair);
        }
        self.value_splice(value, from, name)
    }

    /// Makes the password of `user:password` known, or the user name if it is the only secret (RFC 7617 section 2).
    pub(super) fn learn_password(&mut self, pair: &[u8]) {
        let (user, password) = split_at_first(pair, b':');
        let password = password.filter(|password| !password.is_empty()).unwrap_or(user);
        let is_word = password.len() < MAX_WORD && password.iter().all(u8::is_ascii_alphabetic);
        if password.len() >= known::MIN_LEN && !is_word && find_redacted(password).is_empty() {
            self.replacer.learn(password, &PlaceholderName::new("password"));
        }
    }

    fn plain_header_splices(&mut self, name: &str, value: &[u8]) -> Vec<Splice> {
        if URLS.contains(&name) || is_url(value) {
            return self.url_splices(value, 0);
        }
        if AUTHORITIES.contains(&name) {
            return self.authority_splices(value);
        }
        if name != "link" {
            return self.field_splices(value);
        }
        // RFC 8288: `<target>; rel=next, <target>; rel=last`. Only the targets can contain secrets.
        let targets = value.split(|&byte| byte == b'>').map(|part| match memchr::memrchr(b'<', part) {
            Some(open) => &part[open + 1..],
            None => &part[part.len()..],
        });
        targets.flat_map(|target| of_part(value, target, self.url_splices(target, 0))).collect()
    }

    /// Finds the secrets in a value of any format, which may be percent-encoded.
    fn field_splices(&mut self, value: &[u8]) -> Vec<Splice> {
        let mut splices = self.text_splices(value, false);
        if memchr::memchr(b'%', value).is_some() {
            splices.extend(self.percent_encoded_splices(value));
            remove_overlaps(&mut splices, |splice| splice.range.clone());
        }
        splices
    }

    /// Finds the secrets in `a=1; b=2` (RFC 6265 section 4.2.1).
    fn cookies_splices(&mut self, value: &[u8]) -> Vec<Splice> {
        let cookie = |(name, cookie): (Option<&[u8]>, &[u8])| {
            let splices = self.cookie_value_splices(name.unwrap_or(b"cookie").trim_ascii(), cookie);
            of_part(value, cookie, splices)
        };
        cookies::optional_pairs(value).flat_map(cookie).collect()
    }

    /// Finds the secrets in `a=1; Path=/; Secure` (RFC 6265 section 4.1.1). HAR files of browsers have several cookies
    /// in one value, one a line.
    fn set_cookies_splices(&mut self, value: &[u8]) -> Vec<Splice> {
        let mut splices = Vec::new();
        for line in value.split(|&byte| byte == b'\n') {
            let (pair, attributes) = line.split_at(cookies::first_pair(line).len());
            splices.extend(of_part(value, pair, self.cookies_splices(pair)));
            splices.extend(of_part(value, attributes, self.text_splices(attributes, false)));
        }
        splices
    }

    /// Finds the secret in the value of a cookie, quoted or not.
    pub(super) fn cookie_value_splices(&mut self, name: &[u8], value: &[u8]) -> Vec<Splice> {
        let trimmed = value.trim_ascii();
        let quoted = trimmed.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
        let inside = quoted.unwrap_or(trimmed);
        let splices = match self.policy.plain_cookies.contains(name) {
            true => self.text_splices(inside, false),
            false => self.value_splice(inside, 0, &PlaceholderName::from_bytes(name)),
        };
        of_part(value, inside, splices).collect()
    }
}

/// Returns true if a field, or a member with its name, has a scheme before its credentials.
pub(super) fn has_scheme(name: &str) -> bool {
    name.ends_with(CREDENTIALS)
}

/// Returns the position of the credentials behind their scheme. `any`: each first word is a scheme, not only a
/// well-known one.
pub(super) fn after_scheme(value: &[u8], any: bool) -> usize {
    let Some(space) = memchr::memchr(b' ', value) else { return 0 };
    let rest = value[space..].trim_ascii_start();
    let is_known = SCHEMES.iter().any(|scheme| value[..space].eq_ignore_ascii_case(scheme.as_bytes()));
    let is_word = value[..space].iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
    if rest.is_empty() || !(is_known || any && is_word) { 0 } else { value.len() - rest.len() }
}
