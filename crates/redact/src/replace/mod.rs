//! Replacing secrets: placeholders in fixtures, and markers for them in a journal.

mod allocator;
pub(crate) mod digit_groups;
pub(crate) mod jwt;
pub(crate) mod marker;
pub mod placeholder;
mod store;

use std::ops::Range;

pub use allocator::{FixtureReplacer, PlaceholderAllocator};
pub use digit_groups::DigitGroups;
pub use marker::RunId;
pub use placeholder::{Placeholder, PlaceholderMatch, PlaceholderName, ValueFormat};
pub use store::{Secret, SecretStore};

/// Chooses the replacements of secrets. Equal values get equal replacements.
pub trait Replacer {
    /// Returns the replacement of a secret that was found at a place with this name. It has the given format.
    ///
    /// A JWT is passed as a whole. Its replacement becomes the signature of the redacted token.
    fn replace(&mut self, secret: &[u8], name: &PlaceholderName, format: ValueFormat) -> String;

    /// Finds values in a text, as whole words, that are secrets of other places. In order, without overlaps.
    fn find_known(&mut self, text: &[u8]) -> Vec<Range<usize>>;

    /// Returns the replacement of a value that [`Replacer::find_known`] found.
    fn replace_known(&mut self, secret: &[u8]) -> String;

    /// Makes a secret known that has no place of its own, such as the password in Basic credentials.
    fn learn(&mut self, secret: &[u8], name: &PlaceholderName) {
        self.replace(secret, name, ValueFormat::Text);
    }
}
