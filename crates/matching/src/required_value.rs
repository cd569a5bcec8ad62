//! Recorded values of the headers of the match key.

use bytes::Bytes;
use harproxy_compare::{Encoding, PlaceholderValues, Template};

/// A recorded value of a header of the match key.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct RequiredValue {
    pub(super) value: Bytes,
    /// The value in lower case, if it has placeholders.
    template: Option<Template>,
}

impl RequiredValue {
    pub(super) fn new(value: &[u8]) -> Self {
        let template = Template::parse(value, Encoding::Plain).map(Template::to_lowercase);
        RequiredValue { value: Bytes::copy_from_slice(value), template }
    }

    /// Returns true if a sent value is equal, apart from case and placeholders.
    pub(super) fn fits(&self, sent: &[u8]) -> bool {
        match &self.template {
            None => sent.eq_ignore_ascii_case(&self.value),
            Some(template) => template.score(&sent.to_ascii_lowercase(), &PlaceholderValues::default()).is_some(),
        }
    }
}
