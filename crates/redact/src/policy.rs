//! What is secret: the built-in table, and what a project adds to it and takes away.

use regex::bytes::Regex;
use serde_json_path::JsonPath;

use super::names::Names;
use super::shapes::{self, Shapes};
use super::table;

/// `[redact]` of harproxy.toml, as written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Names of headers.
    pub headers: Vec<String>,
    /// Names of parameters, in queries and forms.
    pub query: Vec<String>,
    /// JSON paths (RFC 9535) into payloads.
    pub json: Vec<String>,
    /// Regular expressions of secrets anywhere in text.
    pub text: Vec<String>,
    /// What the table names and is no secret here: a name (`state`), one kind of place (`header:x-csrf-token`,
    /// `query:key`, `form:key`, `json:token`), one cookie (`cookie:theme`), or a shape (`shape:jwt`, `shape:aws` for all
    /// of AWS).
    pub except: Vec<String>,
    /// E-mail addresses, telephone numbers, IBANs and card numbers too.
    pub personal: bool,
}

/// A rule that can't be carried out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No JSON path.
    #[error("`{path}` is no JSON path: {reason}")]
    JsonPath {
        /// As written.
        path: String,
        /// In the parser's words.
        reason: String,
    },
    /// No regular expression.
    #[error("`{pattern}` is no regular expression: {reason}")]
    Text {
        /// As written.
        pattern: String,
        /// In the parser's words.
        reason: String,
    },
    /// Nothing that the table has.
    #[error("`{name}` is nothing that would be redacted")]
    Except {
        /// As written.
        name: String,
    },
}

/// What is secret.
#[derive(Clone, Debug)]
pub struct Policy {
    /// `--no-redact`: nothing is.
    off: bool,
    pub(super) headers: Names,
    pub(super) query: Names,
    pub(super) form: Names,
    pub(super) json: Names,
    /// Cookies that are none.
    pub(super) plain_cookies: Names,
    pub(super) paths: Vec<JsonPath>,
    /// What the members are called that `paths` lead to: where a document is broken or too long to be read as a whole,
    /// the name has to do.
    pub(super) path_names: Names,
    pub(super) text: Vec<Regex>,
    pub(super) shapes: Shapes,
}

impl Policy {
    /// The table with these rules.
    ///
    /// # Errors
    /// [`Error`]: the first rule that can't be carried out.
    pub fn new(rules: &Rules) -> Result<Self, Error> {
        let mut policy = Policy::default();
        rules.headers.iter().for_each(|name| policy.headers.insert(name));
        for name in &rules.query {
            policy.query.insert(name);
            policy.form.insert(name);
        }
        if rules.personal {
            policy.shapes.add_personal();
        }
        let full = policy.clone();
        for name in &rules.except {
            let is_rule = rules.json.contains(name) || rules.text.contains(name);
            policy.take_away(name);
            if !full.clone().take_away(name) && !is_rule {
                return Err(Error::Except { name: name.clone() });
            }
        }
        for path in rules.json.iter().filter(|path| !rules.except.contains(path)) {
            policy.paths.push(json_path(path)?);
            if let Some(name) = last_name(path) {
                policy.path_names.insert(&name);
            }
        }
        for pattern in rules.text.iter().filter(|pattern| !rules.except.contains(pattern)) {
            policy.text.push(text_pattern(pattern)?);
        }
        Ok(policy)
    }

    /// `--no-redact`: nothing is secret.
    #[must_use]
    pub fn off() -> Self {
        Policy { off: true, ..Policy::default() }
    }

    /// Whether nothing is secret.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.off
    }

    /// Whether the value of a header of this name is secret.
    #[must_use]
    pub fn is_secret_header(&self, name: &str) -> bool {
        !self.off && self.headers.contains(name.as_bytes())
    }

    /// Whether the value of a query parameter of this name (decoded) is secret.
    #[must_use]
    pub fn is_secret_parameter(&self, name: &str) -> bool {
        !self.off && self.query.contains(name.as_bytes())
    }

    /// Whether a string in a JSON member of this name is secret, wherever the member is.
    #[must_use]
    pub fn is_secret_member(&self, name: &str) -> bool {
        !self.off && self.json.contains(name.as_bytes())
    }

    /// Takes one thing of `except` away; whether there was anything to take.
    fn take_away(&mut self, what: &str) -> bool {
        match what.split_once(':') {
            Some(("header", name)) => self.headers.remove(name),
            Some(("query", name)) => self.query.remove(name),
            Some(("form", name)) => self.form.remove(name),
            Some(("json", name)) => self.json.remove(name),
            Some(("shape", name)) => self.shapes.remove(name),
            Some(("cookie", name)) => {
                self.plain_cookies.insert(name);
                !name.is_empty()
            }
            _ => {
                let places = [&mut self.headers, &mut self.query, &mut self.form, &mut self.json];
                places.map(|names| names.remove(what)).contains(&true)
            }
        }
    }
}

/// The table alone.
impl Default for Policy {
    fn default() -> Self {
        let parameters: Names = table::PARAMETERS.into_iter().collect();
        let members = table::PARAMETERS.into_iter().filter(|name| !table::NOT_IN_JSON.contains(name));
        Policy {
            off: false,
            headers: table::HEADERS.into_iter().collect(),
            query: parameters.clone(),
            form: parameters,
            json: members.chain(table::ONLY_IN_JSON).collect(),
            plain_cookies: Names::default(),
            paths: Vec::new(),
            path_names: Names::default(),
            text: Vec::new(),
            shapes: shapes::Shapes::default(),
        }
    }
}

/// What `except` may name of the built-in table: `state`, `header:cookie`, `shape:jwt`.
#[must_use]
pub fn exceptable() -> Vec<String> {
    let members = table::PARAMETERS.into_iter().filter(|name| !table::NOT_IN_JSON.contains(name));
    let members: Vec<_> = members.chain(table::ONLY_IN_JSON).collect();
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

/// Reads a JSON path.
///
/// # Errors
/// [`Error::JsonPath`].
pub fn json_path(path: &str) -> Result<JsonPath, Error> {
    JsonPath::parse(path).map_err(|error| Error::JsonPath { path: path.to_owned(), reason: error.message().to_owned() })
}

/// Reads a regular expression.
///
/// # Errors
/// [`Error::Text`].
pub fn text_pattern(pattern: &str) -> Result<Regex, Error> {
    Regex::new(pattern).map_err(|error| Error::Text { pattern: pattern.to_owned(), reason: error.to_string() })
}

/// The name that a path of RFC 9535 ends with, as in `$.card.number`, `$..ssn`, `$['a b']` and `$.cards[*]`.
fn last_name(path: &str) -> Option<String> {
    let path = path.trim_end();
    let Some(inside) = path.strip_suffix(']') else {
        let start = path.rfind(['.', ']']).map_or(0, |at| at + 1);
        return Some(path[start..].to_owned()).filter(|name| !name.is_empty() && name != "*" && name != "$");
    };
    let (before, selector) = inside.rsplit_once('[')?;
    let selector = selector.trim();
    match selector.chars().next() {
        Some(quote @ ('\'' | '"')) => selector.strip_prefix(quote)?.strip_suffix(quote).map(str::to_owned),
        _ => last_name(before),
    }
}
