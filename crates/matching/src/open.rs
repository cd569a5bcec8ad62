//! Recorded payloads in which placeholders stand, as each `--match-body` compares them: any value fits in the place of one,
//! the rest is compared as ever.

use serde_json::{Map, Value};
use url::form_urlencoded;

use super::MatchBody;
use super::pattern::Pattern;
use super::payload::{Comparison, Sent, json_equal};
use super::template::{Spelling, Template, Told, Values};
use harproxy_http::MediaType;
use harproxy_http::multipart::{self, Part};
use harproxy_redact::placeholder;

/// A payload with placeholders.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) enum Open {
    /// Its bytes are compared.
    Text(Pattern),
    /// It was cut off: a request's begins so.
    Beginning(Pattern),
    /// Its JSON value is.
    Json(Tree),
    /// Its fields are, decoded, in order.
    Form(Box<[(Text, Text)]>),
    /// Its parts are.
    Parts {
        /// `multipart/form-data`.
        essence: String,
        parts: Box<[OpenPart]>,
    },
}

/// A text that may have placeholders in it.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) enum Text {
    Fixed(Box<[u8]>),
    Open(Template),
}

/// A part of a multipart payload.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct OpenPart {
    headers: Box<[u8]>,
    content: Content,
}

#[derive(Debug, PartialEq, Eq, Hash)]
enum Content {
    Fixed(Box<[u8]>),
    Open(Pattern),
}

/// A JSON value. What has no placeholder in it stays as it is.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) enum Tree {
    Fixed(Value),
    /// A string.
    Text(Template),
    /// A number, whatever it is.
    Number(Template),
    List(Box<[Tree]>),
    Object(Box<[(String, Tree)]>),
}

impl Open {
    /// Reads a payload; `None` when there is no placeholder in it.
    pub(super) fn of(comparison: &Comparison, content_type: &str, bytes: &[u8]) -> Option<Self> {
        let media = MediaType::parse(content_type);
        if let Some(boundary) = media.parameter("boundary").filter(|_| media.is_multipart()) {
            let parts: Box<[OpenPart]> = multipart::parts(bytes, boundary)?.into_iter().map(OpenPart::new).collect();
            let open = parts.iter().any(|part| matches!(part.content, Content::Open(_)));
            return open.then(|| Open::Parts { essence: media.essence().to_owned(), parts });
        }
        if comparison.mode == MatchBody::Form && media.is_form_of(bytes) {
            let field = |(name, value): (std::borrow::Cow<'_, str>, std::borrow::Cow<'_, str>)| {
                (Text::new(name.as_bytes()), Text::new(value.as_bytes()))
            };
            let fields: Box<[_]> = form_urlencoded::parse(bytes).map(field).collect();
            return fields.iter().any(|(name, value)| name.is_open() || value.is_open()).then_some(Open::Form(fields));
        }
        if let Some(value) = comparison.value(bytes).filter(|_| placeholder::may_occur_in(bytes)) {
            return match Tree::new(value) {
                Tree::Fixed(_) => None,
                open => Some(Open::Json(open)),
            };
        }
        Pattern::of(content_type, bytes).map(Open::Text)
    }

    /// Reads what is left of a payload that was cut off.
    pub(super) fn beginning(content_type: &str, bytes: &[u8]) -> Option<Self> {
        Pattern::of(content_type, bytes).map(Open::Beginning)
    }

    /// Whether a request's payload is this one but for what stands in the place of placeholders; and what that tells.
    pub(super) fn fits(&self, sent: &Sent<'_>, comparison: &Comparison, values: &Values) -> Option<Told> {
        if sent.as_digested().is_some() {
            return None;
        }
        match self {
            // What did not decode was stored as it was received.
            Open::Text(pattern) => pattern.fits(sent.decoded(), values).or_else(|| pattern.fits(sent.raw(), values)),
            Open::Beginning(pattern) => {
                pattern.begins(sent.decoded(), values).or_else(|| pattern.begins(sent.raw(), values))
            }
            Open::Json(tree) => tree.fits(&*sent.value(comparison)?, values),
            Open::Form(fields) => {
                let (mut told, mut rest) = (Told::default(), fields.iter());
                for (name, value) in form_urlencoded::parse(sent.decoded()) {
                    let (recorded_name, recorded_value) = rest.next()?;
                    told.add(recorded_name.fits(name.as_bytes(), values)?);
                    told.add(recorded_value.fits(value.as_bytes(), values)?);
                }
                rest.next().is_none().then_some(told)
            }
            Open::Parts { essence, parts } => {
                let content_type = sent.content_type();
                let media = MediaType::parse(&content_type);
                let sent = multipart::parts(sent.decoded(), media.parameter("boundary")?)?;
                if media.essence() != essence || sent.len() != parts.len() {
                    return None;
                }
                let mut told = Told::default();
                for (recorded, sent) in parts.iter().zip(sent) {
                    told.add(recorded.fits(&sent, values)?);
                }
                Some(told)
            }
        }
    }

    /// The templates in it, in order.
    pub(super) fn templates(&self) -> Vec<&Template> {
        let mut found = Vec::new();
        match self {
            Open::Text(pattern) | Open::Beginning(pattern) => found.extend(pattern.templates()),
            Open::Json(tree) => tree.collect(&mut found),
            Open::Form(fields) => {
                found.extend(fields.iter().flat_map(|(name, value)| [name, value]).filter_map(|text| match text {
                    Text::Open(template) => Some(template),
                    Text::Fixed(_) => None,
                }));
            }
            Open::Parts { parts, .. } => found.extend(parts.iter().flat_map(|part| match &part.content {
                Content::Open(pattern) => pattern.templates().collect(),
                Content::Fixed(_) => Vec::new(),
            })),
        }
        found
    }
}

impl Text {
    fn new(text: &[u8]) -> Self {
        Template::of(text, Spelling::Plain).map_or_else(|| Text::Fixed(text.into()), Text::Open)
    }

    fn is_open(&self) -> bool {
        matches!(self, Text::Open(_))
    }

    fn fits(&self, sent: &[u8], values: &Values) -> Option<Told> {
        match self {
            Text::Fixed(text) => (&**text == sent).then(Told::default),
            Text::Open(template) => template.fits(sent, values),
        }
    }
}

impl OpenPart {
    fn new(part: Part<'_>) -> Self {
        let content = match Pattern::of(part.header("content-type").unwrap_or_default(), part.body) {
            Some(pattern) => Content::Open(pattern),
            None => Content::Fixed(part.body.into()),
        };
        let headers = match content {
            Content::Open(_) => without_length(part.headers),
            Content::Fixed(_) => part.headers.to_vec(),
        };
        OpenPart { headers: headers.into(), content }
    }

    fn fits(&self, sent: &Part<'_>, values: &Values) -> Option<Told> {
        match &self.content {
            Content::Fixed(content) => (*self.headers == *sent.headers && **content == *sent.body).then(Told::default),
            Content::Open(pattern) if *self.headers == *without_length(sent.headers) => pattern.fits(sent.body, values),
            Content::Open(_) => None,
        }
    }
}

/// Some clients tell how long each part is, and a part with another value in it is longer or shorter.
fn without_length(headers: &[u8]) -> Vec<u8> {
    let is_length = |line: &[u8]| {
        line.split(|byte| *byte == b':')
            .next()
            .is_some_and(|name| name.trim_ascii().eq_ignore_ascii_case(b"content-length"))
    };
    let lines: Vec<&[u8]> =
        headers.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line)).collect();
    lines.into_iter().filter(|line| !is_length(line)).collect::<Vec<_>>().join(&b'\n')
}

impl Tree {
    pub(super) fn new(value: Value) -> Self {
        match value {
            Value::String(text) => {
                Template::of(text.as_bytes(), Spelling::Plain).map_or(Tree::Fixed(Value::String(text)), Tree::Text)
            }
            Value::Number(number) => Template::of(number.to_string().as_bytes(), Spelling::Plain)
                .map_or(Tree::Fixed(Value::Number(number)), Tree::Number),
            Value::Array(items) if items.iter().any(is_in) => Tree::List(items.into_iter().map(Tree::new).collect()),
            Value::Object(members) if members.values().any(is_in) => {
                Tree::Object(members.into_iter().map(|(name, value)| (name, Tree::new(value))).collect())
            }
            fixed => Tree::Fixed(fixed),
        }
    }

    /// Whether a value is this one but for what stands in the place of placeholders; and what that tells.
    pub(super) fn fits(&self, sent: &Value, values: &Values) -> Option<Told> {
        let mut told = Told::default();
        match (self, sent) {
            (Tree::Fixed(value), sent) => json_equal(value, sent).then_some(())?,
            (Tree::Text(template), Value::String(sent)) => told = template.fits(sent.as_bytes(), values)?,
            (Tree::Number(template), Value::Number(sent)) => {
                told = template.fits(sent.to_string().as_bytes(), values)?;
            }
            (Tree::List(recorded), Value::Array(sent)) if recorded.len() == sent.len() => {
                for (recorded, sent) in recorded.iter().zip(sent) {
                    told.add(recorded.fits(sent, values)?);
                }
            }
            (Tree::Object(recorded), Value::Object(sent)) if recorded.len() == sent.len() => {
                for (name, recorded) in recorded {
                    told.add(recorded.fits(sent.get(name)?, values)?);
                }
            }
            _ => return None,
        }
        Some(told)
    }

    /// The value of this name, or at this place.
    fn collect<'t>(&'t self, found: &mut Vec<&'t Template>) {
        match self {
            Tree::Fixed(_) => {}
            Tree::Text(template) | Tree::Number(template) => found.push(template),
            Tree::List(items) => items.iter().for_each(|item| item.collect(found)),
            Tree::Object(members) => members.iter().for_each(|(_, value)| value.collect(found)),
        }
    }
}

/// Whether there is a placeholder in a value.
fn is_in(value: &Value) -> bool {
    match value {
        Value::String(text) => placeholder::occurs_in(text.as_bytes()),
        Value::Number(number) => placeholder::occurs_in(number.to_string().as_bytes()),
        Value::Array(items) => items.iter().any(is_in),
        Value::Object(members) => Map::values(members).any(is_in),
        Value::Null | Value::Bool(_) => false,
    }
}
