//! Finding secrets in text: by their shape, by the names around them, and by their value once it is known.

pub(crate) mod known;
mod personal;
pub(crate) mod prefilter;
pub(crate) mod redacted;
pub(crate) mod secret_match;
pub(crate) mod shapes;
pub(crate) mod spellings;
