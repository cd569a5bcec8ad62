//! The redactor: applies a policy to URLs, headers and payloads.
//!
//! Each format has a file with the methods that find secrets in it. Texts can be nested: a URL in a parameter of a URL
//! in a JSON string. Each level is decoded for the search, and replacements are written into the text as it was
//! spelled.

mod decoded;
mod headers;
mod json;
mod links;
mod markup;
mod named_text;
mod named_values;
mod payload;
mod stream;
mod text;
mod url;
mod views;

use std::fmt;

pub use payload::{PayloadRedaction, is_lines, is_opaque};
pub use stream::StreamRedactor;

use self::decoded::{DecodedText, TextEncoding};
use self::named_text::NamedPlace;
use crate::names::value::{is_expression, is_message, is_password, is_reference};
use crate::names::{NameClass, NameLocation};
use crate::policy::Policy;
use crate::replace::Replacer;
use crate::replace::placeholder::{PREFIX, PlaceholderName};
use crate::splice::Splice;

/// The depth up to which nested texts are decoded. Deeper texts are searched as they are.
const MAX_DEPTH: u8 = 4;

/// Redacts values by a policy. `replacer` chooses the replacements.
pub struct Redactor<'a> {
    pub(crate) policy: &'a Policy,
    pub(crate) replacer: Box<dyn Replacer + 'a>,
    /// The number of views around the text that is searched.
    depth: u8,
}

/// Prints no secrets: the replacer may hold some.
impl fmt::Debug for Redactor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redactor").field("policy", self.policy).field("replacer", &"(redacted)").finish()
    }
}

impl<'a> Redactor<'a> {
    pub fn new(policy: &'a Policy, replacer: impl Replacer + 'a) -> Self {
        Redactor { policy, replacer: Box::new(replacer), depth: 0 }
    }
}

/// The location of a text in a HAR, which decides what is secret in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextLocation<'a> {
    /// A URL, absolute or relative.
    Url,
    /// The value of the header field or trailer with this name.
    Header(&'a str),
    /// The value of a cookie in the lists that HAR 1.2 has beside the header fields.
    Cookie {
        /// The field of the cookie: `cookie` or `set-cookie`.
        header: &'a str,
        name: &'a str,
    },
    /// The decoded value of the query parameter with this name.
    Parameter(&'a str),
    /// The decoded value of the form field with this name.
    Field(&'a str),
    /// A payload with this `Content-Type`.
    Payload(&'a str),
    /// The value of a JSON member with this name that a tool added to the HAR.
    Member(&'a str),
}

impl Redactor<'_> {
    /// Finds the secrets in a text, in order and without overlaps. `None` if its format is unknown.
    fn splices_at(&mut self, location: TextLocation<'_>, text: &[u8]) -> Option<Vec<Splice>> {
        if self.policy.is_off() || text.is_empty() {
            return Some(Vec::new());
        }
        Some(match location {
            TextLocation::Url => self.url_splices(text, 0),
            TextLocation::Header(name) => self.header_splices(name, text),
            TextLocation::Cookie { header, .. } if !self.policy.is_secret_header(header) => {
                self.text_splices(text, false)
            }
            TextLocation::Cookie { name, .. } => self.cookie_value_splices(name.as_bytes(), text),
            TextLocation::Parameter(name) => self.pair_value_splices(name, text, NameLocation::Query),
            TextLocation::Field(name) => self.pair_value_splices(name, text, NameLocation::Form),
            TextLocation::Member(name) => {
                match self.secret_name(NameLocation::Member, name.as_bytes()).filter(|name| name.applies_to(text)) {
                    Some(name) => self.member_splice(text, &name.placeholder),
                    None => self.nested_splices(text, false, 0),
                }
            }
            TextLocation::Payload(content_type) => return self.payload_splices(content_type, text),
        })
    }

    /// Finds the secrets in the raw inside of a JSON string. The splices are for the raw text.
    pub fn splices_in_json_string(&mut self, location: TextLocation<'_>, raw: &[u8]) -> Option<Vec<Splice>> {
        let decoded = DecodedText::new(raw, TextEncoding::Json);
        let splices = self.splices_at(location, &decoded.text)?;
        Some(decoded.encode_splices(splices, 0).collect())
    }

    fn pair_value_splices(&mut self, name: &str, value: &[u8], location: NameLocation) -> Vec<Splice> {
        match self.secret_name(location, name.as_bytes()).filter(|name| name.applies_to(value)) {
            Some(name) => self.value_splice(value, 0, &name.placeholder),
            None => self.nested_splices(value, true, 1),
        }
    }

    /// Returns a name whose values can be secret. `None` for other names. A text with a placeholder is a value that was
    /// redacted: the words of the placeholder name nothing.
    pub(super) fn secret_name(&self, location: NameLocation, name: &[u8]) -> Option<SecretName> {
        if memchr::memmem::find(name, PREFIX.as_bytes()).is_some() {
            return None;
        }
        SecretName::new(self.policy.classify(location, name), name)
    }
}

/// A name under which values can be secret.
#[derive(Clone, Debug)]
pub(super) struct SecretName {
    pub(super) class: NameClass,
    /// The name of the placeholder.
    pub(super) placeholder: PlaceholderName,
}

impl SecretName {
    /// Returns `None` for a public name.
    fn new(class: NameClass, name: &[u8]) -> Option<Self> {
        (class != NameClass::Public).then(|| SecretName { class, placeholder: PlaceholderName::from_bytes(name) })
    }

    /// Returns true if a decoded value under the name is secret.
    pub(super) fn applies_to(&self, value: &[u8]) -> bool {
        self.class.is_secret_value(value)
    }

    /// Returns true if a string in a list under the name is a message about the value, and not phrases of words.
    pub(super) fn stands_for_message(&self, value: &[u8]) -> bool {
        let is_phrase = ["phrase", "mnemonic"].iter().any(|end| self.placeholder.as_str().contains(end));
        !is_phrase && is_message(value)
    }

    /// Returns true if a decoded value that stands beside the name in a text is secret.
    fn applies_in(&self, place: NamedPlace, value: &[u8]) -> bool {
        let is_strict = self.class == NameClass::Secret;
        let is_opaque = || NameClass::SecretIfOpaque.is_secret_value(value);
        match place {
            NamedPlace::Control => self.applies_to(value),
            // `<code>` is an element of HTML.
            NamedPlace::Element => self.class != NameClass::SecretIfOpaque && self.applies_to(value),
            NamedPlace::Variable => self.class.is_secret() && self.applies_to(value) && !is_reference(value),
            NamedPlace::Line => {
                self.class.is_secret() && (is_opaque() || is_strict && is_password(value) && !is_expression(value))
            }
            NamedPlace::String => {
                self.class.is_secret()
                    && self.class != NameClass::SecretIfOpaque
                    && (is_opaque() || is_strict && is_password(value))
            }
        }
    }
}
