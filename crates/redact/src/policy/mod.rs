//! The redaction policy: the built-in table, and the changes that a project makes to it.

mod names;
pub(crate) mod table;

use regex::bytes::Regex;

pub(crate) use names::NameSet;

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
    /// Whether e-mail addresses, telephone numbers, IBANs and card numbers are secret.
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
        let parameters: NameSet = table::PARAMETERS.into_iter().collect();
        Policy {
            off: false,
            headers: table::HEADERS.into_iter().collect(),
            query: parameters.clone(),
            form: parameters,
            members: table::members().collect(),
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
    let members: Vec<_> = table::members().collect();
    let shapes = shapes::names();
    let kinds: [(&str, &[&str]); 5] = [
        ("header", &table::HEADERS),
        ("query", &table::PARAMETERS),
        ("form", &table::PARAMETERS),
        ("json", &members),
        ("shape", &shapes),
    ];
    let bare = kinds[..4].iter().flat_map(|(_, names)| names.iter().map(|name| (*name).to_owned()));
    let of_kind = kinds.iter().flat_map(|(kind, names)| names.iter().map(move |name| format!("{kind}:{name}")));
    bare.chain(of_kind).collect()
}

/// Parses a regular expression of `text`.
pub fn parse_pattern(pattern: &str) -> Result<Regex, Error> {
    Regex::new(pattern).map_err(|error| Error::Pattern { pattern: pattern.to_owned(), reason: error.to_string() })
}
