//! The redaction policy: the built-in table, and the changes that a project makes to it.

use std::collections::HashSet;

use regex::bytes::Regex;

use super::find::shapes::{self, EnabledShapes};
use super::names::{self, NameClass, NameLocation};
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
#[derive(Clone, Debug, Default)]
pub struct Policy {
    off: bool,
    /// Names that the project adds, whose values are always secret.
    added: LocatedNames,
    /// Names that are not secret.
    excepted: LocatedNames,
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
        rules.headers.iter().for_each(|name| policy.added.insert(NameLocation::Header, name));
        for name in &rules.query {
            policy.added.insert(NameLocation::Query, name);
            policy.added.insert(NameLocation::Form, name);
        }
        if rules.personal {
            policy.shapes.enable_personal();
        }
        let full = policy.clone();
        for name in &rules.except {
            let is_rule = rules.json.contains(name) || rules.text.contains(name);
            policy.except(name);
            if !full.clone().except(name) && !is_rule {
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

    /// Returns which values under a decoded name are replaced.
    #[must_use]
    pub fn classify(&self, location: NameLocation, name: &[u8]) -> NameClass {
        if self.off || self.excepted.contains(location, name) {
            return NameClass::Public;
        }
        if self.added.contains(location, name) {
            return NameClass::Secret;
        }
        names::classify(location, name)
    }

    /// Returns true if values of a header with this name can be secret because of it.
    #[must_use]
    pub fn is_secret_header(&self, name: &str) -> bool {
        self.classify(NameLocation::Header, name.as_bytes()).is_secret()
    }

    /// Returns true if a name resembles those of secrets, although its values are not redacted: `token_data`.
    #[must_use]
    pub fn is_suspicious_name(&self, location: NameLocation, name: &str) -> bool {
        let is_listed =
            self.excepted.contains(location, name.as_bytes()) || self.added.contains(location, name.as_bytes());
        !self.off && !is_listed && names::is_suspicious(location, name.as_bytes())
    }

    /// Applies one exception. Returns true if it changes what is redacted.
    fn except(&mut self, exception: &str) -> bool {
        let located = |policy: &mut Self, locations: &[NameLocation], name: &str| {
            let is_secret = |&location: &NameLocation| policy.classify(location, name.as_bytes()) != NameClass::Public;
            let secret: Vec<NameLocation> = locations.iter().copied().filter(is_secret).collect();
            secret.iter().for_each(|&location| policy.excepted.insert(location, name));
            !secret.is_empty()
        };
        match exception.split_once(':') {
            Some(("header", name)) => located(self, &[NameLocation::Header], name),
            Some(("query", name)) => located(self, &[NameLocation::Query], name),
            Some(("form", name)) => located(self, &[NameLocation::Form], name),
            Some(("json", name)) => located(self, &[NameLocation::Member], name),
            Some(("shape", name)) => self.shapes.disable(name),
            Some(("cookie", name)) => {
                self.plain_cookies.insert(name);
                !name.is_empty()
            }
            Some(_) => false,
            None => located(self, &NameLocation::ALL, exception),
        }
    }
}

/// Returns valid exceptions that resemble an invalid one: the name with each last word of the table, and all shapes.
#[must_use]
pub fn similar_exceptions(exception: &str) -> Vec<String> {
    const PREFIXES: [&str; 5] = ["", "header:", "query:", "form:", "json:"];
    let name = exception.split_once(':').map_or(exception, |(_, name)| name);
    let stem = &name[..name.rfind(['-', '_', '.']).map_or(0, |at| at + 1)];
    let words = names::last_words().map(|word| format!("{stem}{word}"));
    let names = words.chain([name.to_owned()]).flat_map(|name| PREFIXES.map(|prefix| format!("{prefix}{name}")));
    let mut known: Vec<String> = names.filter(|name| Policy::default().except(name)).collect();
    known.extend(shapes::names().iter().map(|name| format!("shape:{name}")));
    known.sort_unstable();
    known
}

pub fn parse_pattern(pattern: &str) -> Result<Regex, Error> {
    Regex::new(pattern).map_err(|error| Error::Pattern { pattern: pattern.to_owned(), reason: error.to_string() })
}

/// Names in each location.
#[derive(Clone, Debug, Default)]
struct LocatedNames([NameSet; NameLocation::ALL.len()]);

impl LocatedNames {
    fn insert(&mut self, location: NameLocation, name: &str) {
        self.0[location as usize].insert(name);
    }

    /// Returns true if it contains a name, or the last part of a name that is a path, such as `user[password]`.
    fn contains(&self, location: NameLocation, name: &[u8]) -> bool {
        let names = &self.0[location as usize];
        !names.is_empty() && (names.contains(name) || names.contains(names::last_part(name)))
    }
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

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Compares both spellings of a name, without and with camel case.
    pub(crate) fn contains(&self, name: &[u8]) -> bool {
        !name.is_empty()
            && !self.is_empty()
            && [false, true].into_iter().any(|is_camel| self.0.contains(&fold(name, is_camel)))
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
        let mut names = NameSet::default();
        for name in ["access_token", "x-amz-signature", "samlresponse", "apikey", "_csrf_"] {
            names.insert(name);
        }
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
}
