//! `echo` of a `[[match]]`: what an answer repeats of its request, such as a request's id.

use ::http::HeaderName;
use serde_json_path::JsonPath;

use super::{Error, json_path};

/// A place of the request whose value the answer repeats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Echo {
    /// `header:NAME`, in lower case.
    Header(String),
    /// `query:NAME`, a parameter, decoded.
    Query(String),
    /// `json:JSONPATH`: what it finds in the payload.
    Json(Box<JsonPath>),
    /// `path:{NAME}`: the segment that the rule's `path` has in these braces.
    Path(String),
}

/// What is no place to be echoed.
#[derive(Debug, thiserror::Error)]
pub enum BadEcho {
    /// It begins with none of the words.
    #[error("`{0}` is no place of a request: use header:NAME, query:NAME, json:JSONPATH or path:{{NAME}}")]
    NoPlace(String),
    /// No header's name.
    #[error("`{0}` is no name of a header")]
    Header(String),
    /// No JSON path.
    #[error(transparent)]
    Json(#[from] Error),
    /// No name in braces.
    #[error("`{0}` is no segment of a path: name it as `path` does, as in path:{{id}}")]
    Path(String),
}

impl Echo {
    /// Reads one.
    ///
    /// ```
    /// use harproxy::matching::Echo;
    /// assert_eq!(Echo::parse("header:X-Request-Id").unwrap(), Echo::Header("x-request-id".into()));
    /// assert_eq!(Echo::parse("path:{id}").unwrap(), Echo::Path("id".into()));
    /// assert!(Echo::parse("json:$.id").is_ok() && Echo::parse("cookie:a").is_err());
    /// ```
    ///
    /// # Errors
    /// [`BadEcho`].
    pub fn parse(text: &str) -> Result<Self, BadEcho> {
        let (kind, name) = text.split_once(':').unwrap_or_default();
        match kind.trim() {
            "header" => {
                let header = name.trim().parse::<HeaderName>();
                Ok(Echo::Header(header.map_err(|_| BadEcho::Header(name.to_owned()))?.as_str().to_owned()))
            }
            "query" if !name.is_empty() => Ok(Echo::Query(name.to_owned())),
            "json" => Ok(Echo::Json(Box::new(json_path(name.trim())?))),
            "path" => {
                let inside = name.trim().strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
                let inside = inside.filter(|inside| !inside.is_empty() && !inside.contains(['{', '}']));
                Ok(Echo::Path(inside.ok_or_else(|| BadEcho::Path(name.to_owned()))?.to_owned()))
            }
            _ => Err(BadEcho::NoPlace(text.to_owned())),
        }
    }

    /// The parameter, if it is one.
    pub(super) fn query(&self) -> Option<&str> {
        if let Echo::Query(name) = self { Some(name) } else { None }
    }
}

/// One value that an answer is to repeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Echoed {
    /// What the recorded request had.
    pub recorded: Vec<u8>,
    /// What the live one has.
    pub live: Vec<u8>,
}
