//! What is secret: the built-in table, and what a project adds to it and takes away.

use regex::bytes::Regex;
use serde_json_path::JsonPath;

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
    /// `query:key`, `json:token`), or a shape (`shape:jwt`).
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
}

impl Policy {
    /// The table with these rules.
    ///
    /// # Errors
    /// [`Error`]: the first rule that can't be carried out.
    pub fn new(rules: &Rules) -> Result<Self, Error> {
        let _ = rules;
        Ok(Policy { off: false })
    }

    /// `--no-redact`: nothing is secret.
    #[must_use]
    pub fn off() -> Self {
        Policy { off: true }
    }

    /// Whether nothing is secret.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.off
    }
}

/// The table alone.
impl Default for Policy {
    fn default() -> Self {
        Policy { off: false }
    }
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
