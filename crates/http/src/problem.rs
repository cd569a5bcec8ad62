//! Problem documents (`application/problem+json`, RFC 9457), the body of error responses that harproxy makes.

use std::error::Error;

use harproxy_support::printable;
use serde_json::{Map, Value};

/// A problem document. `extra` has the members beyond RFC 9457.
#[derive(Clone, Debug)]
pub struct Problem {
    pub status: u16,
    /// A short summary of the type of problem, equal for all occurrences.
    pub title: String,
    /// The explanation of this occurrence, with a hint.
    pub detail: String,
    /// Further members, in order.
    pub extra: Box<Map<String, Value>>,
}

/// An error with all its causes on one line, for people.
///
/// ```
/// use harproxy_http::problem::in_words;
/// let error = harproxy_http::NormalUrl::parse("nowhere").unwrap_err();
/// assert_eq!(in_words(&error), "`nowhere` is not a URL: relative URL without a base");
/// ```
#[must_use]
pub fn in_words(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let reason = error.to_string();
        // Some errors include the text of their cause.
        if !text.ends_with(&reason) {
            text = format!("{text}: {reason}");
        }
        cause = error.source();
    }
    printable::one_line(&text).into_owned()
}

impl Problem {
    pub const MEDIA_TYPE: &'static str = "application/problem+json";

    /// A problem without further members.
    pub fn new(status: u16, title: impl Into<String>, detail: impl Into<String>) -> Self {
        Problem { status, title: title.into(), detail: detail.into(), extra: Box::default() }
    }

    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.extra.insert(name.to_owned(), value.into());
        self
    }

    /// The document as indented JSON with a final newline. Clients print it, so it has no invisible characters.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut map = Map::new();
        map.insert("title".into(), self.title.clone().into());
        map.insert("status".into(), self.status.into());
        map.insert("detail".into(), self.detail.clone().into());
        map.extend(Map::clone(&self.extra));
        let json = format!("{:#}\n", Value::Object(map));
        printable::json(&json).into_owned()
    }
}
