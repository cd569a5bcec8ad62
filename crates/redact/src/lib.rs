//! Redaction: which values of an HTTP exchange are secret, and what replaces them in a fixture.
//!
//! | module | content |
//! | --- | --- |
//! | `policy` | [`Policy`]: the built-in tables and the changes of a project |
//! | `names` | the table of secret names, and the values that look like secrets |
//! | `find` | shapes of secrets, known secrets, the prefilter of the JSON walk |
//! | `redactor` | [`Redactor`]: finds and replaces secrets in URLs, headers and payloads |
//! | `base64_text` | base64 of text, decoded and encoded again |
//! | `replace` | [`Replacer`]: placeholders, markers, and their numbers |
//! | [`display`] | redaction of log lines and reports |
//!
//! Nothing here does I/O. A secret can't be computed from its placeholder.

#![forbid(unsafe_code)]

mod base64_text;
pub mod display;
mod find;
mod names;
mod policy;
mod redactor;
mod replace;
mod splice;

pub use display::RedactionView;
pub use names::{NameClass, NameLocation};
pub use policy::{Error, Policy, Rules, parse_pattern, similar_exceptions};
pub use redactor::{PayloadRedaction, Redactor, StreamRedactor, TextLocation, is_lines, is_opaque};
pub use replace::{
    DigitGroups, FixtureReplacer, Placeholder, PlaceholderAllocator, PlaceholderMatch, PlaceholderName, Replacer,
    RunId, Secret, SecretStore, ValueFormat, placeholder,
};
pub use splice::{Splice, apply_splices};

#[cfg(test)]
mod tests;
