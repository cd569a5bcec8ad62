//! JSON values of an entry that contain placeholders.

use std::collections::BTreeMap;

use harproxy_redact::placeholder;
use serde_json::{Number, Value};

use super::template::{Encoding, PlaceholderScore, PlaceholderValues, Template};

/// A JSON value that contains placeholders. Parts without placeholders stay plain values.
#[derive(Debug, PartialEq, Eq, Hash)]
pub enum JsonTemplate {
    /// A value without placeholders.
    Plain(Value),
    String(Template),
    Number(Template),
    Array(Box<[JsonTemplate]>),
    Object(BTreeMap<String, JsonTemplate>),
}

impl JsonTemplate {
    /// Finds the placeholders in a value.
    #[must_use]
    pub fn parse(value: Value) -> Self {
        match value {
            Value::String(text) => match Template::parse(text.as_bytes(), Encoding::Plain) {
                Some(template) => JsonTemplate::String(template),
                None => JsonTemplate::Plain(Value::String(text)),
            },
            Value::Number(number) => match Template::parse(number.to_string().as_bytes(), Encoding::Plain) {
                Some(template) => JsonTemplate::Number(template),
                None => JsonTemplate::Plain(Value::Number(number)),
            },
            Value::Array(elements) if elements.iter().any(has_placeholder) => {
                JsonTemplate::Array(elements.into_iter().map(JsonTemplate::parse).collect())
            }
            Value::Object(members) if members.values().any(has_placeholder) => JsonTemplate::Object(
                members.into_iter().map(|(name, value)| (name, JsonTemplate::parse(value))).collect(),
            ),
            plain => JsonTemplate::Plain(plain),
        }
    }

    /// Returns the templates in order.
    #[must_use]
    pub fn templates(&self) -> Vec<&Template> {
        let mut found = Vec::new();
        self.collect_templates(&mut found);
        found
    }

    fn collect_templates<'t>(&'t self, found: &mut Vec<&'t Template>) {
        match self {
            JsonTemplate::Plain(_) => {}
            JsonTemplate::String(template) | JsonTemplate::Number(template) => found.push(template),
            JsonTemplate::Array(elements) => elements.iter().for_each(|element| element.collect_templates(found)),
            JsonTemplate::Object(members) => members.values().for_each(|value| value.collect_templates(found)),
        }
    }
}

fn has_placeholder(value: &Value) -> bool {
    match value {
        Value::String(text) => placeholder::occurs_in(text.as_bytes()),
        Value::Number(number) => placeholder::occurs_in(number.to_string().as_bytes()),
        Value::Array(elements) => elements.iter().any(has_placeholder),
        Value::Object(members) => members.values().any(has_placeholder),
        Value::Null | Value::Bool(_) => false,
    }
}

/// A recorded JSON value as a comparison sees it.
#[derive(Clone, Copy, Debug)]
pub enum ExpectedJson<'v> {
    /// A value. Placeholders in its strings and numbers are found when they are compared.
    Value(&'v Value),
    /// A value whose placeholders are known. Never [`JsonTemplate::Plain`].
    Template(&'v JsonTemplate),
}

impl<'v> From<&'v Value> for ExpectedJson<'v> {
    fn from(value: &'v Value) -> Self {
        ExpectedJson::Value(value)
    }
}

impl<'v> From<&'v JsonTemplate> for ExpectedJson<'v> {
    fn from(template: &'v JsonTemplate) -> Self {
        match template {
            JsonTemplate::Plain(value) => ExpectedJson::Value(value),
            template => ExpectedJson::Template(template),
        }
    }
}

impl<'v> ExpectedJson<'v> {
    pub(super) fn array_len(self) -> Option<usize> {
        match self {
            ExpectedJson::Value(Value::Array(elements)) => Some(elements.len()),
            ExpectedJson::Template(JsonTemplate::Array(elements)) => Some(elements.len()),
            _ => None,
        }
    }

    pub(super) fn element(self, index: usize) -> Option<Self> {
        match self {
            ExpectedJson::Value(value) => value.get(index).map(ExpectedJson::Value),
            ExpectedJson::Template(JsonTemplate::Array(elements)) => elements.get(index).map(ExpectedJson::from),
            ExpectedJson::Template(_) => None,
        }
    }

    pub(super) fn object_len(self) -> Option<usize> {
        match self {
            ExpectedJson::Value(Value::Object(members)) => Some(members.len()),
            ExpectedJson::Template(JsonTemplate::Object(members)) => Some(members.len()),
            _ => None,
        }
    }

    pub(super) fn names(self) -> Vec<&'v str> {
        match self {
            ExpectedJson::Value(Value::Object(members)) => members.keys().map(String::as_str).collect(),
            ExpectedJson::Template(JsonTemplate::Object(members)) => members.keys().map(String::as_str).collect(),
            _ => Vec::new(),
        }
    }

    pub(super) fn member(self, name: &str) -> Option<Self> {
        match self {
            ExpectedJson::Value(value) => value.get(name).map(ExpectedJson::Value),
            ExpectedJson::Template(JsonTemplate::Object(members)) => members.get(name).map(ExpectedJson::from),
            ExpectedJson::Template(_) => None,
        }
    }

    /// Scores a sent scalar. Returns `None` if it differs in more than placeholders.
    pub(super) fn score_scalar(self, sent: &Value, values: &PlaceholderValues) -> Option<PlaceholderScore> {
        let number = |number: &Number| number.to_string().into_bytes();
        match (self, sent) {
            (ExpectedJson::Template(JsonTemplate::String(template)), Value::String(sent)) => {
                template.score(sent.as_bytes(), values)
            }
            (ExpectedJson::Template(JsonTemplate::Number(template)), Value::Number(sent)) => {
                template.score(&number(sent), values)
            }
            (ExpectedJson::Template(_), _) => None,
            (ExpectedJson::Value(value), sent) if equal_scalars(value, sent) => Some(PlaceholderScore::default()),
            (ExpectedJson::Value(Value::String(recorded)), Value::String(sent)) => {
                Template::parse(recorded.as_bytes(), Encoding::Plain)?.score(sent.as_bytes(), values)
            }
            (ExpectedJson::Value(Value::Number(recorded)), Value::Number(sent)) => {
                Template::parse(&number(recorded), Encoding::Plain)?.score(&number(sent), values)
            }
            (ExpectedJson::Value(_), _) => None,
        }
    }
}

/// Compares two values other than containers. Numbers are equal if their values are.
fn equal_scalars(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || canonical_number(a) == canonical_number(b),
        (a, b) => a == b,
    }
}

/// Returns a number in one spelling: `1.0` and `1e0` as `1`.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "only whole numbers that a f64 holds exactly get there")]
pub fn canonical_number(number: &Number) -> String {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match number.as_f64() {
        Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < EXACT => (float as i64).to_string(),
        _ => number.to_string(),
    }
}
