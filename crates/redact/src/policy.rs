//! The redaction policy: the built-in table, and the changes that a project makes to it.

use std::collections::HashSet;

use regex::bytes::Regex;

use super::find::shapes::{self, EnabledShapes};
use harproxy_json::{JsonPath, PathError};

/// `[redact]` of harproxy.toml, as written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    pub headers: Vec<String>,
    /// Names of parameters in queries and forms.
    pub query: Vec<String>,
    /// JSON paths (RFC 9535) into payloads.
    pub json: Vec<String>,
    /// Regular expressions of secrets in any text.
    pub text: Vec<String>,
    /// Exceptions from the built-in table: a name (`state`), a name in one kind of place (`header:x-csrf-token`,
    /// `query:key`, `form:key`, `json:token`), one cookie (`cookie:theme`), or a shape or a family of shapes
    /// (`shape:jwt`, `shape:aws`).
    pub except: Vec<String>,
    /// True if e-mail addresses, telephone numbers, IBANs and card numbers are secret.
    pub personal: bool,
}

/// A rule of `[redact]` that is invalid.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    JsonPath(#[from] PathError),
    #[error("`{pattern}` is not a valid regular expression: {reason}")]
    Pattern { pattern: String, reason: String },
    /// An exception for something that the built-in table does not contain.
    #[error("`{name}` has no effect: nothing with this name is redacted")]
    Except { name: String },
}

/// Which values of an HTTP exchange are secret.
#[derive(Clone, Debug)]
pub struct Policy {
    off: bool,
    pub(super) headers: NameSet,
    pub(super) query: NameSet,
    pub(super) form: NameSet,
    pub(super) members: NameSet,
    /// Cookies that are not secret.
    pub(super) plain_cookies: NameSet,
    pub(super) paths: Vec<JsonPath>,
    /// The last member names of `paths`. They replace the paths where a document is malformed or only a part of it is
    /// available.
    pub(super) path_names: NameSet,
    pub(super) patterns: Vec<Regex>,
    pub(super) shapes: EnabledShapes,
}

impl Policy {
    /// Applies the rules to the built-in table.
    ///
    /// # Errors
    /// [`Error`] for the first invalid rule.
    pub fn new(rules: &Rules) -> Result<Self, Error> {
        let mut policy = Policy::default();
        rules.headers.iter().for_each(|name| policy.headers.insert(name));
        for name in &rules.query {
            policy.query.insert(name);
            policy.form.insert(name);
        }
        if rules.personal {
            policy.shapes.enable_personal();
        }
        let full = policy.clone();
        for name in &rules.except {
            let is_rule = rules.json.contains(name) || rules.text.contains(name);
            policy.remove(name);
            if !full.clone().remove(name) && !is_rule {
                return Err(Error::Except { name: name.clone() });
            }
        }
        for path in rules.json.iter().filter(|path| !rules.except.contains(path)) {
            policy.paths.push(JsonPath::parse(path)?);
            if let Some(name) = JsonPath::last_name(path) {
                policy.path_names.insert(&name);
            }
        }
        for pattern in rules.text.iter().filter(|pattern| !rules.except.contains(pattern)) {
            policy.patterns.push(parse_pattern(pattern)?);
        }
        Ok(policy)
    }

    /// Returns the policy of `--no-redact`, under which nothing is secret.
    #[must_use]
    pub fn off() -> Self {
        Policy { off: true, ..Policy::default() }
    }

    #[must_use]
    pub fn is_off(&self) -> bool {
        self.off
    }

    /// Returns true if the value of a header with this name is secret.
    #[must_use]
    pub fn is_secret_header(&self, name: &str) -> bool {
        !self.off && self.headers.contains(name.as_bytes())
    }

    /// Returns true if the value of a query parameter with this decoded name is secret.
    #[must_use]
    pub fn is_secret_parameter(&self, name: &str) -> bool {
        !self.off && self.query.contains(name.as_bytes())
    }

    /// Returns true if the value of a JSON member with this name is secret, wherever the member is.
    #[must_use]
    pub fn is_secret_member(&self, name: &str) -> bool {
        !self.off && self.members.contains(name.as_bytes())
    }

    /// Applies one exception. Returns true if it removed anything.
    fn remove(&mut self, exception: &str) -> bool {
        match exception.split_once(':') {
            Some(("header", name)) => self.headers.remove(name),
            Some(("query", name)) => self.query.remove(name),
            Some(("form", name)) => self.form.remove(name),
            Some(("json", name)) => self.members.remove(name),
            Some(("shape", name)) => self.shapes.disable(name),
            Some(("cookie", name)) => {
                self.plain_cookies.insert(name);
                !name.is_empty()
            }
            _ => {
                let sets = [&mut self.headers, &mut self.query, &mut self.form, &mut self.members];
                sets.map(|names| names.remove(exception)).contains(&true)
            }
        }
    }
}

/// The built-in table without changes.
impl Default for Policy {
    fn default() -> Self {
        let parameters: NameSet = PARAMETERS.into_iter().collect();
        Policy {
            off: false,
            headers: HEADERS.into_iter().collect(),
            query: parameters.clone(),
            form: parameters,
            members: members().collect(),
            plain_cookies: NameSet::default(),
            paths: Vec::new(),
            path_names: NameSet::default(),
            patterns: Vec::new(),
            shapes: EnabledShapes::default(),
        }
    }
}

/// Returns all exceptions that the built-in table allows: `state`, `header:cookie`, `shape:jwt`.
#[must_use]
pub fn exceptions() -> Vec<String> {
    let members: Vec<_> = members().collect();
    let shapes = shapes::names();
    let kinds: [(&str, &[&str]); 5] =
        [("header", &HEADERS), ("query", &PARAMETERS), ("form", &PARAMETERS), ("json", &members), ("shape", &shapes)];
    let bare = kinds[..4].iter().flat_map(|(_, names)| names.iter().map(|name| (*name).to_owned()));
    let of_kind = kinds.iter().flat_map(|(kind, names)| names.iter().map(move |name| format!("{kind}:{name}")));
    bare.chain(of_kind).collect()
}

pub fn parse_pattern(pattern: &str) -> Result<Regex, Error> {
    Regex::new(pattern).map_err(|error| Error::Pattern { pattern: pattern.to_owned(), reason: error.to_string() })
}

/// Headers with a secret value. In `cookie` and `set-cookie`, the values of the cookies are secret.
#[rustfmt::skip]
pub(crate) const HEADERS: [&str; 19] = [
    "authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key", "api-key", "apikey", "x-auth-token",
    "x-access-token", "x-csrf-token", "x-xsrf-token", "x-amz-security-token", "x-goog-api-key", "x-vault-token",
    "private-token", "x-gitlab-token", "x-shopify-access-token", "x-functions-key", "ocp-apim-subscription-key",
];

/// Parameters of queries and fields of forms with a secret value.
#[rustfmt::skip]
pub(crate) const PARAMETERS: [&str; 33] = [
    "access_token", "refresh_token", "id_token", "token", "auth", "api_key", "apikey", "key", "client_secret",
    "secret", "password", "passwd", "pwd", "code", "code_verifier", "state", "nonce", "sig", "signature", "hmac",
    "x-amz-signature", "x-amz-credential", "x-amz-security-token", "x-goog-signature", "x-goog-credential", "session",
    "sid", "csrf", "csrf_token", "samlresponse", "samlrequest", "assertion", "client_assertion",
];

/// Parameters that are not secret as members of JSON, where these names often have another meaning.
pub(crate) const ONLY_PARAMETERS: [&str; 8] = ["key", "code", "state", "nonce", "sid", "session", "auth", "hmac"];

/// Members of JSON with a secret value, in addition to the other parameters.
#[rustfmt::skip]
pub(crate) const ONLY_MEMBERS: [&str; 9] = [
    "secret_key", "private_key", "access_key", "secret_access_key", "session_token", "bearer_token", "authorization",
    "otp", "pin",
];

/// Returns the names of all members of JSON with a secret value.
pub(crate) fn members() -> impl Iterator<Item = &'static str> {
    PARAMETERS.into_iter().filter(|name| !ONLY_PARAMETERS.contains(name)).chain(ONLY_MEMBERS)
}

/// A set of names that are compared as a whole, ignoring case and the difference between `-` and `_`.
///
/// A name in camel case equals the same name with separators: the set with `access_token` contains `accessToken`.
#[derive(Clone, Debug, Default)]
pub(crate) struct NameSet(HashSet<Vec<u8>>);

impl NameSet {
    pub(crate) fn insert(&mut self, name: &str) {
        self.0.insert(fold(name.as_bytes(), false));
    }

    pub(crate) fn remove(&mut self, name: &str) -> bool {
        self.find(name.as_bytes()).is_some_and(|folded| self.0.remove(&folded))
    }

    pub(crate) fn contains(&self, name: &[u8]) -> bool {
        !name.is_empty() && self.find(name).is_some()
    }

    /// Returns the name in the set that equals a name. The spelling without camel case takes precedence.
    fn find(&self, name: &[u8]) -> Option<Vec<u8>> {
        [false, true].into_iter().map(|is_camel| fold(name, is_camel)).find(|folded| self.0.contains(folded))
    }
}

impl<'a> FromIterator<&'a str> for NameSet {
    fn from_iter<I: IntoIterator<Item = &'a str>>(names: I) -> Self {
        let mut set = NameSet::default();
        names.into_iter().for_each(|name| set.insert(name));
        set
    }
}

/// Converts a name to lower case, and `_` to `-`. `is_camel`: a `-` goes before each capital letter within a word.
fn fold(name: &[u8], is_camel: bool) -> Vec<u8> {
    let mut folded = Vec::with_capacity(name.len() + 4);
    let mut before = 0_u8;
    for &byte in name {
        if is_camel && before.is_ascii_lowercase() && byte.is_ascii_uppercase() {
            folded.push(b'-');
        }
        folded.push(if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() });
        before = byte;
    }
    folded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_set_contains_whole_names_in_every_spelling() {
        let names: NameSet =
            ["access_token", "x-amz-signature", "samlresponse", "apikey", "_csrf_"].into_iter().collect();
        for name in [
            "access_token",
            "Access-Token",
            "ACCESS_TOKEN",
            "accessToken",
            "AccessToken",
            "X-Amz-Signature",
            "x_amz_signature",
            "SAMLResponse",
            "apiKey",
            "APIKEY",
            "_csrf_",
            "-CSRF-",
        ] {
            assert!(names.contains(name.as_bytes()), "{name}");
        }
        for name in ["", "token", "access_tokens", "my_access_token", "accesstoken", "access token", "next_token"] {
            assert!(!names.contains(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn name_set_removes_one_name_and_prefers_the_exact_spelling() {
        let mut names: NameSet = ["api_key", "apikey"].into_iter().collect();
        assert!(names.remove("apiKey") && names.contains(b"api_key") && !names.contains(b"apikey"));
        assert!(names.remove("apiKey") && !names.remove("apiKey"));
    }
}
