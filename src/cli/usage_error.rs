//! Errors that the user of a command must fix: options, files and folders that the command cannot use.

use harproxy_glob::GlobError;

/// An error in the use of a command, with its hint. The exit status is 2.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct UsageError {
    message: String,
    /// Advice with a command to run.
    pub hint: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl UsageError {
    pub fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        UsageError { message: message.into(), hint: hint.into(), source: None }
    }

    /// Adds the cause of the error.
    #[must_use]
    pub fn because(self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        UsageError { source: Some(source.into()), ..self }
    }
}

impl From<GlobError> for UsageError {
    fn from(error: GlobError) -> Self {
        let hint = "`*` stays within a path segment, `**` does not, `{a,b}` is one of several: `https://api.example.com/**`, `!**/health`";
        UsageError::new(error.to_string(), hint)
    }
}
