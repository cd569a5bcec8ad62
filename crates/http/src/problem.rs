//! `application/problem+json` (RFC 9457): how harproxy explains itself to the client that asked.

use std::error::Error;

use serde_json::{Map, Value};

/// A problem document; members beyond RFC 9457's own go into `extra`.
#[derive(Clone, Debug)]
pub struct Problem {
    /// The HTTP status it is sent with.
    pub status: u16,
    /// A short summary of the kind, the same for each occurrence.
    pub title: String,
    /// What happened this time and what to do about it.
    pub detail: String,
    /// Further members, in order.
    pub extra: Map<String, Value>,
}

/// An error and all that caused it, on one line.
///
/// ```
/// use harproxy_http::problem::in_words;
/// let error = crate::NormalUrl::parse("nowhere").unwrap_err();
/// assert_eq!(in_words(&error), "`nowhere` is not a URL: relative URL without a base");
/// ```
#[must_use]
pub fn in_words(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let reason = error.to_string();
        // Some errors repeat their cause in their own words.
        if !text.ends_with(&reason) {
            text = format!("{text}: {reason}");
        }
        cause = error.source();
    }
    text
}

impl Problem {
    /// The media type to send it with.
    pub const MEDIA_TYPE: &'static str = "application/problem+json";

    /// A problem without further members.
    pub fn new(status: u16, title: impl Into<String>, detail: impl Into<String>) -> Self {
        Problem { status, title: title.into(), detail: detail.into(), extra: Map::new() }
    }

    /// Adds a member.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.extra.insert(name.to_owned(), value.into());
        self
    }

    /// The document, indented, with a final newline.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut map = Map::new();
        map.insert("title".into(), self.title.clone().into());
        map.insert("status".into(), self.status.into());
        map.insert("detail".into(), self.detail.clone().into());
        map.extend(self.extra.clone());
        let mut json = format!("{:#}", Value::Object(map));
        json.push('\n');
        json
    }
}
