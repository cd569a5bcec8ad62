//! A JSON tree that can be edited and written again without changing the value.
//!
//! Scalars are kept as text: numbers keep their spelling, names that occur twice stay, and a string that no parser can
//! hold (a lone surrogate) stays escaped. Writing changes only white space, the order of members, and escapes that are
//! not needed.

use std::borrow::Cow;

use serde::de::IgnoredAny;
use serde_json::Value;

use super::text::{is_name, quote, unquote};
use super::walk::{Container, Event, EventKind, MAX_DEPTH, Walker};

/// A JSON value whose scalars are text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextValue<'t> {
    /// The members of an object, in order.
    Object(Vec<TextMember<'t>>),
    Array(Vec<TextValue<'t>>),
    /// A string with its quotes, a number, a boolean or null.
    Scalar(Cow<'t, str>),
}

/// A member of an object: its name as a JSON string, and its value.
pub type TextMember<'t> = (Cow<'t, str>, TextValue<'t>);

/// The reason why a text can't be parsed. The message continues a sentence about the text.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    #[error("it is not JSON: {0}")]
    Invalid(#[from] serde_json::Error),
    #[error("it is nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
}

impl<'t> TextValue<'t> {
    pub fn parse(json: &'t str) -> Result<Self, ParseError> {
        serde_json::from_str::<IgnoredAny>(json)?;
        let mut walker = Walker::new(json.as_bytes());
        let first = walker.next();
        first.and_then(|first| read(json, &mut walker, &first)).ok_or(ParseError::TooDeep)
    }

    #[must_use]
    pub fn string(text: &str) -> TextValue<'static> {
        TextValue::Scalar(quote(text).into())
    }

    /// Decodes a string; `None` for any other value, and for a string with a lone surrogate.
    #[must_use]
    pub fn as_str(&self) -> Option<Cow<'_, str>> {
        match self {
            TextValue::Scalar(json) => unquote(json),
            _ => None,
        }
    }

    /// Returns the members of an object; nothing for other values.
    #[must_use]
    pub fn members(&self) -> &[TextMember<'t>] {
        match self {
            TextValue::Object(members) => members,
            _ => &[],
        }
    }

    /// Returns the values of all members with this name (printable ASCII).
    pub fn values_mut(&mut self, name: &str) -> impl Iterator<Item = &mut TextValue<'t>> {
        let members = match self {
            TextValue::Object(members) => &mut members[..],
            _ => &mut [],
        };
        members.iter_mut().filter(move |(found, _)| is_name(found, name)).map(|(_, value)| value)
    }

    /// Returns the value of the first member with this name (printable ASCII).
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&TextValue<'t>> {
        self.members().iter().find(|(found, _)| is_name(found, name)).map(|(_, value)| value)
    }

    /// Sets a member of an object: replaces the first one with this name, or appends one.
    pub fn set(&mut self, name: &str, value: TextValue<'t>) {
        if let Some(found) = self.values_mut(name).next() {
            *found = value;
        } else if let TextValue::Object(members) = self {
            members.push((quote(name).into(), value));
        }
    }

    /// Copies all borrowed text.
    #[must_use]
    pub fn into_owned(self) -> TextValue<'static> {
        match self {
            TextValue::Scalar(json) => TextValue::Scalar(json.into_owned().into()),
            TextValue::Array(elements) => TextValue::Array(elements.into_iter().map(TextValue::into_owned).collect()),
            TextValue::Object(members) => {
                let owned = |(name, value): TextMember<'_>| (name.into_owned().into(), value.into_owned());
                TextValue::Object(members.into_iter().map(owned).collect())
            }
        }
    }

    /// Writes the value over several lines, with two spaces a level. Every line but the first gets `margin` spaces
    /// more. `rules` decide which members share a line.
    #[must_use]
    pub fn indented(&self, margin: usize, rules: &dyn LineRules) -> String {
        let mut out = String::with_capacity(4 << 10);
        self.write(&mut out, margin, rules);
        out
    }

    /// Writes the value on one line without white space.
    #[must_use]
    pub fn compact(&self) -> String {
        let mut out = String::new();
        self.write_line(&mut out, "");
        out
    }

    fn write(&self, out: &mut String, margin: usize, rules: &dyn LineRules) {
        let inner = margin + 2;
        match self {
            TextValue::Array(elements) if !elements.is_empty() => {
                for (at, element) in elements.iter().enumerate() {
                    out.push(if at == 0 { '[' } else { ',' });
                    break_line(out, inner);
                    element.write(out, inner, rules);
                }
                break_line(out, margin);
                out.push(']');
            }
            TextValue::Object(members) if !members.is_empty() && !rules.is_on_one_line(members) => {
                let mut before = None;
                for member @ (name, value) in members {
                    out.push(if before.is_none() { '{' } else { ',' });
                    match before.is_some_and(|before| rules.shares_line(before, member)) {
                        true => out.push(' '),
                        false => break_line(out, inner),
                    }
                    out.push_str(name);
                    out.push_str(": ");
                    value.write(out, inner, rules);
                    before = Some(member);
                }
                break_line(out, margin);
                out.push('}');
            }
            _ => self.write_line(out, " "),
        }
    }

    /// Writes the value on one line. `space` stands behind separators and inside braces.
    fn write_line(&self, out: &mut String, space: &str) {
        match self {
            TextValue::Scalar(json) => out.push_str(json),
            TextValue::Array(elements) => {
                out.push('[');
                for (at, element) in elements.iter().enumerate() {
                    out.push_str(if at == 0 { "" } else { "," });
                    out.push_str(if at == 0 { "" } else { space });
                    element.write_line(out, space);
                }
                out.push(']');
            }
            TextValue::Object(members) if members.is_empty() => out.push_str("{}"),
            TextValue::Object(members) => {
                for (at, (name, value)) in members.iter().enumerate() {
                    out.push(if at == 0 { '{' } else { ',' });
                    out.push_str(space);
                    out.push_str(name);
                    out.push(':');
                    out.push_str(space);
                    value.write_line(out, space);
                }
                out.push_str(space);
                out.push('}');
            }
        }
    }
}

/// Decides which members of objects share a line in an indented text. By default each has its own.
pub trait LineRules {
    /// Returns true for an object that is written on one line.
    fn is_on_one_line(&self, members: &[TextMember<'_>]) -> bool {
        let _ = members;
        false
    }

    /// Returns true if a member continues the line of the one before it.
    fn shares_line(&self, before: &TextMember<'_>, member: &TextMember<'_>) -> bool {
        let _ = (before, member);
        false
    }
}

/// Each member has its own line, as `serde_json` writes it.
#[derive(Clone, Copy, Debug, Default)]
pub struct MemberPerLine;

impl LineRules for MemberPerLine {}

impl From<&str> for TextValue<'static> {
    fn from(text: &str) -> Self {
        TextValue::string(text)
    }
}

impl From<Value> for TextValue<'static> {
    fn from(value: Value) -> Self {
        match value {
            Value::Object(members) => TextValue::Object(
                members.into_iter().map(|(name, value)| (quote(&name).into(), TextValue::from(value))).collect(),
            ),
            Value::Array(elements) => TextValue::Array(elements.into_iter().map(TextValue::from).collect()),
            Value::String(text) => TextValue::string(&text),
            scalar => TextValue::Scalar(scalar.to_string().into()),
        }
    }
}

/// Returns the members of an object: names and values as they are spelled, each a slice of `json`. Other values have
/// none.
///
/// ```
/// use harproxy_json::text_value::members;
/// assert_eq!(members(r#"{"a": [1, 2], "b": {}}"#).unwrap(), [("\"a\"", "[1, 2]"), ("\"b\"", "{}")]);
/// ```
pub fn members(json: &str) -> Result<Vec<(&str, &str)>, ParseError> {
    serde_json::from_str::<IgnoredAny>(json)?;
    let mut walker = Walker::new(json.as_bytes());
    if walker.next().map(|first| first.kind) != Some(EventKind::Open(Container::Object)) {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    let (mut name, mut start) = (0..0, 0);
    while let Some(event) = walker.next() {
        match (event.kind, walker.depth()) {
            (EventKind::Name, 1) => name = event.span,
            (EventKind::Open(_), 2) => start = event.span.start,
            (EventKind::Scalar, 1) => found.push((&json[name.clone()], &json[event.span])),
            (EventKind::Close, 1) => found.push((&json[name.clone()], &json[start..event.span.end])),
            _ => {}
        }
    }
    if walker.is_too_deep() { Err(ParseError::TooDeep) } else { Ok(found) }
}

/// Reads the value that begins with this event. `None` if it is nested too deeply.
fn read<'t>(json: &'t str, walker: &mut Walker<'t>, first: &Event) -> Option<TextValue<'t>> {
    match first.kind {
        EventKind::Open(Container::Array) => {
            let mut elements = Vec::new();
            loop {
                let event = walker.next()?;
                if event.kind == EventKind::Close {
                    return Some(TextValue::Array(elements));
                }
                elements.push(read(json, walker, &event)?);
            }
        }
        EventKind::Open(Container::Object) => {
            let mut members = Vec::new();
            loop {
                let event = walker.next()?;
                if event.kind == EventKind::Close {
                    return Some(TextValue::Object(members));
                }
                let name = respelled(&json[event.span]);
                let first = walker.next()?;
                members.push((name, read(json, walker, &first)?));
            }
        }
        _ => Some(TextValue::Scalar(respelled(&json[first.span.clone()]))),
    }
}

/// Removes the escapes that a string does not need. Other scalars, and strings with a lone surrogate, stay as they are.
fn respelled(json: &str) -> Cow<'_, str> {
    match unquote(json) {
        Some(Cow::Owned(text)) => quote(&text).into(),
        _ => json.into(),
    }
}

fn break_line(out: &mut String, margin: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n(' ', margin));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_spelling() {
        let json = r#" { "a" : [ 1.0, 1e400, 12345678901234567890123, -0, 0.1000, { } , [ ] ],
            "b": "\ud83d", "b": "\u00e9\/\n", "\u0062": null } "#;
        let value = TextValue::parse(json).unwrap();
        assert_eq!(
            value.compact(),
            r#"{"a":[1.0,1e400,12345678901234567890123,-0,0.1000,{},[]],"b":"\ud83d","b":"é/\n","b":null}"#
        );
        assert_eq!(TextValue::parse(&value.indented(4, &MemberPerLine)).unwrap(), value);
    }

    #[test]
    fn layout_is_that_of_serde_json() {
        let value = serde_json::json!({"a": [1, [], {}, {"b": "x\u{7f}\u{2028}\"\\\t"}], "c": {"d": null}});
        let text = format!("{value:#}");
        assert_eq!(TextValue::from(value.clone()).indented(0, &MemberPerLine), text);
        assert_eq!(TextValue::parse(&text).unwrap().compact(), value.to_string());
    }

    #[test]
    fn line_rules_join_members() {
        struct Pairs;
        impl LineRules for Pairs {
            fn is_on_one_line(&self, members: &[TextMember<'_>]) -> bool {
                is_name(&members[0].0, "name")
            }

            fn shares_line(&self, before: &TextMember<'_>, member: &TextMember<'_>) -> bool {
                is_name(&before.0, "a") && is_name(&member.0, "b")
            }
        }
        let value = TextValue::parse(r#"{"a":1,"b":2,"c":[{"name":"x","y":[1,2,{}]},{"z":[]}]}"#).unwrap();
        let expected = "{\n  \"a\": 1, \"b\": 2,\n  \"c\": [\n    { \"name\": \"x\", \"y\": [1, 2, {}] },\n    {\n      \"z\": []\n    }\n  ]\n}";
        assert_eq!(value.indented(0, &Pairs), expected);
        assert_eq!(TextValue::parse(expected).unwrap(), value);
    }

    #[test]
    fn invalid_and_deep_json_is_refused() {
        for json in ["", "{", "[1,]", "{\"a\" 1}", "nil", "1 2", "\"a"] {
            assert!(matches!(TextValue::parse(json), Err(ParseError::Invalid(_))), "{json}");
        }
        let deep = "[".repeat(200) + &"]".repeat(200);
        assert!(TextValue::parse(&deep).unwrap_err().to_string().contains("128"));
    }

    #[test]
    fn members_are_slices_of_the_text() {
        let json = r#"{ "a" : "x}" , "a":[{"b":1}], "c" : {"d":{}} }"#;
        assert_eq!(members(json).unwrap(), [("\"a\"", "\"x}\""), ("\"a\"", "[{\"b\":1}]"), ("\"c\"", "{\"d\":{}}")]);
        for other in ["{}", "[[1]]", "1"] {
            assert!(members(other).unwrap().is_empty(), "{other}");
        }
    }
}
