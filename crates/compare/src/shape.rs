//! The shape of JSON values: types, fields, items and formats, merged over many observations. Two shapes are compared
//! by [`diff_shapes`](super::diff_shapes).

use std::collections::BTreeMap;
use std::fmt;

use indexmap::IndexMap;

use super::string_format::StringFormat;
use harproxy_json::text::unquote_lossy;
use harproxy_json::walk::MAX_DEPTH;
use harproxy_json::{Container, Event, EventKind, Walker, is_valid};
use harproxy_redact::placeholder;

/// The number of different field names up to which an object is a record. One with more of them is a map.
const MAX_FIELDS: usize = 1_000;
/// The number of different strings that one place keeps: a closed set has at most as many.
const MAX_VALUES: usize = 5;
/// A longer string is not a value of a closed set, in bytes.
const MAX_VALUE: usize = 64;
/// The number of different places that a shape has at most.
const MAX_PLACES: usize = 100_000;
/// The number of hexadecimal digits from which a member name is an id.
const MIN_HEX: usize = 16;

/// A JSON type. JSON has one type of numbers; clients have two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum JsonType {
    Boolean,
    /// A number without fraction and exponent.
    Integer,
    Number,
    String,
    Object,
    Array,
}

impl JsonType {
    #[must_use]
    pub fn is_container(self) -> bool {
        matches!(self, JsonType::Object | JsonType::Array)
    }

    fn of_scalar(spelled: &[u8]) -> Option<Self> {
        match spelled.first() {
            Some(b'"') => Some(JsonType::String),
            Some(b't' | b'f') => Some(JsonType::Boolean),
            Some(b'n') => None,
            _ if spelled.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E')) => Some(JsonType::Number),
            _ => Some(JsonType::Integer),
        }
    }
}

/// Writes the name that JSON Schema gives the type.
impl fmt::Display for JsonType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            JsonType::Boolean => "boolean",
            JsonType::Integer => "integer",
            JsonType::Number => "number",
            JsonType::String => "string",
            JsonType::Object => "object",
            JsonType::Array => "array",
        })
    }
}

/// A text without a shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    #[error("the payload is not valid JSON")]
    Invalid,
    #[error("the JSON is nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    #[error("the JSON has more than {MAX_PLACES} different places")]
    TooLarge,
}

/// The values that were observed at one place of JSON texts, without the values themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// The number of values.
    pub(super) seen: u64,
    pub(super) nulls: u64,
    /// The number of values of each type.
    pub(super) types: BTreeMap<JsonType, u64>,
    /// The fields of the objects, in order of first appearance.
    pub(super) fields: IndexMap<String, Shape>,
    /// The members of objects whose names are ids, dates or numbers: those are the keys of a map.
    pub(super) entries: Option<Box<Shape>>,
    /// There were so many field names that all of them are keys.
    pub(super) is_map: bool,
    /// The elements of the arrays.
    pub(super) items: Option<Box<Shape>>,
    pub(super) strings: Strings,
    /// The first scalar, as it is spelled.
    pub(super) example: Option<String>,
}

/// Evidence about the strings at one place. Empty strings and placeholders are not part of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Strings {
    pub(super) seen: u64,
    /// The format that all strings have.
    pub(super) format: Option<StringFormat>,
    /// The first different strings with their numbers.
    pub(super) values: BTreeMap<String, u64>,
    /// There are more different strings, or long ones.
    pub(super) is_open: bool,
}

impl Strings {
    fn observe(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        let format = StringFormat::of(text);
        self.format = if self.seen == 0 { format } else { StringFormat::common(self.format, format) };
        self.seen += 1;
        if let Some(times) = self.values.get_mut(text) {
            *times += 1;
        } else if self.values.len() <= MAX_VALUES && text.len() <= MAX_VALUE {
            self.values.insert(text.to_owned(), 1);
        } else {
            self.is_open = true;
        }
    }

    fn merge(&mut self, other: Strings) {
        if other.seen == 0 {
            return;
        }
        self.format = if self.seen == 0 { other.format } else { StringFormat::common(self.format, other.format) };
        self.seen += other.seen;
        self.is_open |= other.is_open;
        for (value, times) in other.values {
            if self.values.len() <= MAX_VALUES || self.values.contains_key(&value) {
                *self.values.entry(value).or_default() += times;
            } else {
                self.is_open = true;
            }
        }
    }

    /// Returns true if the values are a closed set: at least 4 observations, at most 5 different values, and each seen
    /// twice on average.
    pub(super) fn is_closed_set(&self) -> bool {
        !self.is_open
            && self.values.len() <= MAX_VALUES
            && self.seen >= 4
            && self.values.len() as u64 * 2 <= self.seen
            && self.format.is_none_or(StringFormat::can_be_enumerated)
    }
}

impl Shape {
    /// Merges the value of a JSON text. On an error the shape is unchanged, except after [`ShapeError::TooLarge`].
    ///
    /// ```
    /// use harproxy_compare::Shape;
    /// let mut shape = Shape::default();
    /// shape.observe_json(br#"{"id": 7, "tags": ["a", null]}"#).unwrap();
    /// assert_eq!(shape.to_string(), "{ id: integer, tags: [string?] }");
    /// ```
    pub fn observe_json(&mut self, text: &[u8]) -> Result<(), ShapeError> {
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        if !is_valid(text) {
            return Err(ShapeError::Invalid);
        }
        let walker = Walker::new(text);
        let mut check = walker.clone();
        check.by_ref().for_each(drop);
        if check.is_too_deep() {
            return Err(ShapeError::TooDeep);
        }
        let mut observation = Observation { text, walker, places: MAX_PLACES };
        if let Some(event) = observation.walker.next() {
            observation.observe(self, &event);
        }
        if observation.places == 0 { Err(ShapeError::TooLarge) } else { Ok(()) }
    }

    fn observe_scalar(&mut self, spelled: &[u8]) {
        if placeholder::occurs_in(spelled) {
            // A redacted value: its format is unknown. A number may have been an integer or not.
            if spelled.first() == Some(&b'"') {
                *self.types.entry(JsonType::String).or_default() += 1;
            }
            return;
        }
        match JsonType::of_scalar(spelled) {
            None => self.nulls += 1,
            Some(kind) => {
                *self.types.entry(kind).or_default() += 1;
                let text = String::from_utf8_lossy(spelled);
                if kind == JsonType::String {
                    self.strings.observe(&unquote_lossy(&text).unwrap_or_default());
                }
                if self.example.is_none() && spelled.len() <= MAX_VALUE {
                    self.example = Some(text.into_owned());
                }
            }
        }
    }

    /// Returns the shape of a member: that of its field, or that of the entries if the name is a key.
    fn field(&mut self, name: &str) -> &mut Shape {
        if !self.fields.contains_key(name) && self.fields.len() >= MAX_FIELDS {
            self.become_map();
        }
        if self.is_map || is_key(name) {
            return self.entries.get_or_insert_default();
        }
        self.fields.entry(name.to_owned()).or_default()
    }

    /// Merges all fields: their names are keys.
    pub(super) fn become_map(&mut self) {
        self.is_map = true;
        for (_, shape) in std::mem::take(&mut self.fields) {
            self.entries.get_or_insert_default().merge(shape);
        }
    }

    /// Merges the observations of another shape.
    pub fn merge(&mut self, other: Shape) {
        if other.is_map && !self.is_map {
            self.become_map();
        }
        self.seen += other.seen;
        self.nulls += other.nulls;
        for (kind, times) in other.types {
            *self.types.entry(kind).or_default() += times;
        }
        for (name, shape) in other.fields {
            self.field(&name).merge(shape);
        }
        if let Some(entries) = other.entries {
            self.entries.get_or_insert_default().merge(*entries);
        }
        if let Some(items) = other.items {
            self.items.get_or_insert_default().merge(*items);
        }
        self.strings.merge(other.strings);
        self.example = self.example.take().or(other.example);
    }

    /// Returns how many values of a type were observed.
    #[must_use]
    pub fn count(&self, kind: JsonType) -> u64 {
        self.types.get(&kind).copied().unwrap_or_default()
    }

    /// Returns the fields of the objects, in order of first appearance.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &Shape)> {
        self.fields.iter().map(|(name, shape)| (name.as_str(), shape))
    }

    /// Returns true if nothing but null was observed.
    pub(super) fn is_only_null(&self) -> bool {
        self.nulls > 0 && self.nulls == self.seen
    }

    pub(super) fn type_list(&self) -> Vec<JsonType> {
        self.types.keys().copied().collect()
    }

    /// Returns true if both have the same types, and objects the same fields.
    pub(super) fn is_similar(&self, other: &Shape) -> bool {
        let types = |shape: &Shape| {
            let mut types = shape.type_list();
            types.iter_mut().filter(|kind| **kind == JsonType::Integer).for_each(|kind| *kind = JsonType::Number);
            types.dedup();
            types
        };
        let has_all = |a: &Shape, b: &Shape| a.fields.keys().all(|name| b.fields.contains_key(name));
        types(self) == types(other) && has_all(self, other) && has_all(other, self)
    }
}

/// A JSON text that is being merged into a shape.
struct Observation<'t> {
    text: &'t [u8],
    walker: Walker<'t>,
    /// The number of places that may still be added.
    places: usize,
}

impl Observation<'_> {
    /// Merges the value that begins with this event. The recursion is as deep as the nesting, which is bounded.
    fn observe(&mut self, shape: &mut Shape, event: &Event) {
        if shape.seen == 0 {
            self.places = self.places.saturating_sub(1);
        }
        shape.seen += 1;
        match event.kind {
            EventKind::Open(Container::Object) => {
                *shape.types.entry(JsonType::Object).or_default() += 1;
                while let Some(name) = self.walker.next().filter(|event| event.kind == EventKind::Name) {
                    let spelled = String::from_utf8_lossy(&self.text[name.span]);
                    let name = unquote_lossy(&spelled).unwrap_or_default();
                    if let Some(value) = self.walker.next().filter(|_| self.places > 0) {
                        self.observe(shape.field(&name), &value);
                    }
                }
            }
            EventKind::Open(Container::Array) => {
                *shape.types.entry(JsonType::Array).or_default() += 1;
                while let Some(item) = self.walker.next().filter(|event| event.kind != EventKind::Close) {
                    self.observe(shape.items.get_or_insert_default(), &item);
                }
            }
            EventKind::Scalar => shape.observe_scalar(&self.text[event.span.clone()]),
            EventKind::Name | EventKind::Close => {}
        }
    }
}

/// Returns true if a member name is an id, a date or a number, and so a key of a map.
#[must_use]
pub fn is_key(name: &str) -> bool {
    let is_hex = name.len() >= MIN_HEX && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_address = name.contains('.') && name.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    // `+1` is the name of a reaction, and members of JSON-LD have URLs as names.
    let is_format = StringFormat::of(name).is_some_and(|format| format != StringFormat::Uri);
    is_hex || is_address || is_prefixed_id(name) || (is_format && !name.starts_with(['+', '-']))
}

/// Returns true for an id such as `user_8fj3k2`: digits stand between letters, as in no word.
fn is_prefixed_id(name: &str) -> bool {
    let Some((prefix, id)) = name.split_once('_') else { return false };
    let is_mixed = id.as_bytes().windows(2).any(|pair| pair[0].is_ascii_digit() && pair[1].is_ascii_alphabetic());
    let is_id = id.len() >= 6 && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_mixed && is_id && prefix.len() >= 2 && prefix.bytes().all(|byte| byte.is_ascii_lowercase())
}

/// Writes the shape as a type: `{ id: integer, name?: string, tags: [string] }`. `name?` is not in every object, and
/// `string?` may be null.
impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for kind in self.type_list() {
            f.write_str(separator)?;
            separator = " | ";
            match kind {
                JsonType::Object => self.fmt_object(f)?,
                JsonType::Array => match &self.items {
                    Some(items) => write!(f, "[{items}]")?,
                    None => f.write_str("[]")?,
                },
                JsonType::String => match self.strings.format {
                    Some(format) => write!(f, "string({format})")?,
                    None => f.write_str("string")?,
                },
                kind => write!(f, "{kind}")?,
            }
        }
        match (self.types.is_empty(), self.is_only_null()) {
            (true, true) => f.write_str("null"),
            (true, false) => f.write_str("any"),
            (false, _) if self.nulls > 0 => f.write_str("?"),
            (false, _) => Ok(()),
        }
    }
}

impl Shape {
    fn fmt_object(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        let mut separator = " ";
        for (name, field) in &self.fields {
            let optional = if field.seen < self.count(JsonType::Object) { "?" } else { "" };
            write!(f, "{separator}{name}{optional}: {field}")?;
            separator = ", ";
        }
        if let Some(entries) = &self.entries {
            write!(f, "{separator}*: {entries}")?;
        }
        f.write_str(if self.fields.is_empty() && self.entries.is_none() { "}" } else { " }" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(texts: &[&str]) -> Shape {
        let mut shape = Shape::default();
        texts.iter().for_each(|text| shape.observe_json(text.as_bytes()).unwrap());
        shape
    }

    #[test]
    fn shape_merges_all_elements_and_all_texts() {
        let merged = shape(&[r#"[{"a":1},{"a":2.5,"b":null}]"#, r#"[{"a":3,"b":"x"}]"#]);
        assert_eq!(merged.to_string(), "[{ a: integer | number, b?: string? }]");
        let mut one = shape(&[r#"[{"a":1},{"a":2.5,"b":null}]"#]);
        one.merge(shape(&[r#"[{"a":3,"b":"x"}]"#]));
        assert_eq!(one, merged);
    }

    #[test]
    fn ids_dates_and_numbers_are_keys_of_maps() {
        let map = r#"{"2026-01-01":{"n":1},"17":{"n":2},"1f0c9c2e-7b1f-4a36-9d0e-0b6f8f6f2a11":{"n":3},"total":6}"#;
        assert_eq!(shape(&[map]).to_string(), "{ total: integer, *: { n: integer } }");
    }

    #[test]
    fn names_of_fields_are_no_keys() {
        for name in ["http://schema.org/name", "+1", "address_line2", "firstName", "x", "", "oauth2", "md5_hash"] {
            assert!(!is_key(name), "{name}");
        }
        for name in ["17", "user_8fj3k2", "10.0.0.1", "2026-01-01", "a@b.test", "507f1f77bcf86cd799439011"] {
            assert!(is_key(name), "{name}");
        }
    }

    #[test]
    fn object_with_many_names_is_a_map() {
        let members: Vec<String> = (0..5_000).map(|n| format!(r#""user{n}x":{{"age":{n}}}"#)).collect();
        let text = format!("{{{}}}", members.join(","));
        assert_eq!(shape(&[&text]).to_string(), "{ *: { age: integer } }");
    }

    #[test]
    fn redacted_value_has_no_format() {
        let redacted = shape(&[r#"{"pin":"REDACTED-pin-1","n":73322833002}"#]);
        assert_eq!(redacted.to_string(), "{ pin: string, n: any }");
    }

    #[test]
    fn ids_do_not_make_other_names_keys() {
        let ids: Vec<String> = (0..1_100).map(|n| format!(r#""{n}":{{"n":1}}"#)).collect();
        let text = format!(r#"{{{},"total":1,"+1":2}}"#, ids.join(","));
        assert_eq!(shape(&[&text]).to_string(), "{ total: integer, +1: integer, *: { n: integer } }");
    }

    #[test]
    fn number_of_places_is_bounded() {
        let inner: Vec<String> = (0..800).map(|n| format!(r#""b{n}x":1"#)).collect();
        let outer: Vec<String> = (0..800).map(|n| format!(r#""a{n}x":{{{}}}"#, inner.join(","))).collect();
        let text = format!("{{{}}}", outer.join(","));
        assert_eq!(Shape::default().observe_json(text.as_bytes()), Err(ShapeError::TooLarge));
    }

    #[test]
    fn invalid_and_deep_texts_have_no_shape() {
        let mut shape = Shape::default();
        assert_eq!(shape.observe_json(b"<html>"), Err(ShapeError::Invalid));
        assert_eq!(shape.observe_json(b"{\"a\":1"), Err(ShapeError::Invalid));
        let deep = ["[".repeat(1_000), "]".repeat(1_000)].concat();
        assert_eq!(shape.observe_json(deep.as_bytes()), Err(ShapeError::TooDeep));
        assert_eq!(shape, Shape::default());
    }
}
