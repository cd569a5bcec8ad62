//! The redactor: applies a policy to URLs, headers and payloads.
//!
//! Each format has a file with the methods that find secrets in it. Texts can be nested: a URL in a parameter of a URL
//! in a JSON string. Each level is decoded for the search, and replacements are written into the text as it was
//! spelled.

mod decoded;
mod headers;
mod json;
mod location;
mod multipart;
mod pairs;
mod payload;
mod stream;
mod text;
mod url;
mod window;

use std::fmt;

pub use location::TextLocation;
pub use payload::{PayloadRedaction, is_lines, is_opaque};
pub use stream::StreamRedactor;

use crate::policy::Policy;
use crate::replace::Replacer;

/// The depth up to which nested texts are decoded. Deeper texts are searched as they are.
const MAX_DEPTH: u8 = 4;

/// Redacts values by a policy. `replacer` chooses the replacements.
pub struct Redactor<'a> {
    pub(crate) policy: &'a Policy,
    pub(crate) replacer: Box<dyn Replacer + 'a>,
}

/// Prints no secrets: the replacer may hold some.
impl fmt::Debug for Redactor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redactor").field("policy", self.policy).field("replacer", &"(redacted)").finish()
    }
}

impl<'a> Redactor<'a> {
    pub fn new(policy: &'a Policy, replacer: impl Replacer + 'a) -> Self {
        Redactor { policy, replacer: Box::new(replacer) }
    }
}
