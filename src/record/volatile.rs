//! `[volatile]`: what changes with every recording and means nothing.

/// What of a fixture stays as it was when nothing else of its entry changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Volatile {
    /// Names of response headers, lower case; beside the built-in ones.
    pub headers: Vec<String>,
    /// JSON paths (RFC 9535) into response payloads.
    pub json: Vec<String>,
}
