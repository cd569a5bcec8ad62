//! Texts of a fixture by the place where they stand: what is taken out of each, as changes to the text as it is written.

use super::AnyRedactor;
use super::form::Pairs;
use super::headers::{after_scheme, is_credentials};
use super::view::{Coding, Splice, View};

/// Where a text stands in a HAR, which says what of it is secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// A URL, whole or relative.
    Url,
    /// The value of the header field or trailer of this name.
    Header(&'a str),
    /// The value of a cookie, of which HAR 1.2 keeps a list beside the header fields.
    Cookie {
        /// The field that carries it: `cookie` or `set-cookie`.
        header: &'a str,
        /// The cookie's own name.
        name: &'a str,
    },
    /// The decoded value of the query parameter of this name.
    Parameter(&'a str),
    /// The decoded value of the field of a form of this name.
    Field(&'a str),
    /// A payload of this `Content-Type`.
    Payload(&'a str),
    /// The value of a JSON member of this name that some tool wrote.
    Member(&'a str),
}

impl AnyRedactor<'_, '_> {
    /// What is taken out of a text at a place: in order, not overlapping. `None` when it can't be looked into.
    pub fn at(&mut self, place: Place<'_>, text: &[u8]) -> Option<Vec<Splice>> {
        if self.policy.is_off() || text.is_empty() {
            return Some(Vec::new());
        }
        Some(match place {
            Place::Url => self.in_url(text, 0),
            Place::Header(name) => self.header_value(name, text),
            Place::Cookie { header, .. } if !self.policy.is_secret_header(header) => self.unnamed(text, false),
            Place::Cookie { name, .. } => self.cookie_value(name.as_bytes(), text),
            Place::Parameter(name) => self.pair_value(name.as_bytes(), text, Pairs::Query),
            Place::Field(name) => self.pair_value(name.as_bytes(), text, Pairs::Form),
            Place::Member(name) => self.member_value(name, text),
            Place::Payload(content_type) => return self.text_payload(content_type, text),
        })
    }

    /// The same of a string of a JSON text as it is written, without its quotes: changes to what is written.
    pub fn at_string(&mut self, place: Place<'_>, written: &[u8]) -> Option<Vec<Splice>> {
        let view = View::new(written, Coding::Json);
        let splices = self.at(place, &view.text)?;
        Some(view.written(splices, 0).collect())
    }

    fn pair_value(&mut self, name: &[u8], value: &[u8], pairs: Pairs) -> Vec<Splice> {
        match self.secret_pair(name, pairs) {
            Some(name) => self.whole(value, 0, &name),
            None => self.nested(value, true, 1),
        }
    }

    fn member_value(&mut self, name: &str, value: &[u8]) -> Vec<Splice> {
        match self.secret_member(name.as_bytes(), false) {
            Some(name) => {
                let from = if is_credentials(name.as_str()) { after_scheme(value, true) } else { 0 };
                self.whole(value, from, &name)
            }
            None => self.nested(value, false, 0),
        }
    }
}
