//! Secret values.

use std::fmt;

/// A secret from the configuration. `Debug` prints it as `(redacted)`.
///
/// ```
/// use harproxy_redact::Secret;
/// let secret = Secret::from("t0k3n");
/// assert_eq!(format!("{secret:?}"), "(redacted)");
/// assert_eq!(secret.reveal(), "t0k3n");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    /// Returns the value itself, which must not be printed.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl<T: Into<Box<str>>> From<T> for Secret {
    fn from(value: T) -> Self {
        Secret(value.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(redacted)")
    }
}
