//! Recorded payloads that contain placeholders, as each `--match-body` compares them. Any value fits in the place of a
//! placeholder.

use std::borrow::Cow;

use harproxy_http::MediaType;
use harproxy_http::multipart::{self, BodyPart};
use harproxy_redact::placeholder;
use url::form_urlencoded;

use super::body_rules::{BodyRules, MatchBody};
use super::json_diff::score_json;
use super::json_template::JsonTemplate;
use super::sent::SentPayload;
use super::template::{Encoding, PlaceholderScore, PlaceholderValues, Template};
use super::text_pattern::TextPattern;

#[derive(Debug, PartialEq, Eq, Hash)]
pub enum PayloadTemplate {
    /// Its bytes are compared.
    Text(TextPattern),
    /// It was cut: a sent payload begins with it.
    Prefix(TextPattern),
    /// Its JSON value is compared.
    Json(JsonTemplate),
    /// Its fields are compared, decoded, in order.
    Form(Box<[(FieldTemplate, FieldTemplate)]>),
    /// Its parts are compared.
    Multipart {
        /// The media type, such as `multipart/form-data`.
        essence: String,
        /// The parts in order.
        parts: Box<[PartTemplate]>,
    },
}

/// A text that may contain placeholders.
#[derive(Debug, PartialEq, Eq, Hash)]
pub enum FieldTemplate {
    /// A text without placeholders.
    Plain(Box<[u8]>),
    Template(Template),
}

#[derive(Debug, PartialEq, Eq, Hash)]
pub struct PartTemplate {
    headers: Box<[u8]>,
    content: PartContent,
}

#[derive(Debug, PartialEq, Eq, Hash)]
enum PartContent {
    Plain(Box<[u8]>),
    Pattern(TextPattern),
}

impl PayloadTemplate {
    /// Finds the placeholders in a complete payload. Returns `None` if there is none.
    #[must_use]
    pub fn parse(rules: &BodyRules, content_type: &str, bytes: &[u8]) -> Option<Self> {
        let media = MediaType::parse(content_type);
        if let Some(boundary) = media.parameter("boundary").filter(|_| media.is_multipart()) {
            let parts = multipart::parts(bytes, boundary)?;
            let parts: Box<[PartTemplate]> = parts.into_iter().map(PartTemplate::parse).collect();
            let has_placeholder = parts.iter().any(|part| matches!(part.content, PartContent::Pattern(_)));
            return has_placeholder.then(|| PayloadTemplate::Multipart { essence: media.essence().to_owned(), parts });
        }
        if rules.mode == MatchBody::Form && media.is_form_of(bytes) {
            let field = |(name, value): (Cow<'_, str>, Cow<'_, str>)| {
                (FieldTemplate::parse(name.as_bytes()), FieldTemplate::parse(value.as_bytes()))
            };
            let fields: Box<[_]> = form_urlencoded::parse(bytes).map(field).collect();
            let has_placeholder = fields.iter().any(|(name, value)| name.template().or(value.template()).is_some());
            return has_placeholder.then_some(PayloadTemplate::Form(fields));
        }
        if let Some(value) = rules.json_value(bytes).filter(|_| placeholder::may_occur_in(bytes)) {
            return match JsonTemplate::parse(value) {
                JsonTemplate::Plain(_) => None,
                template => Some(PayloadTemplate::Json(template)),
            };
        }
        TextPattern::parse(content_type, bytes).map(PayloadTemplate::Text)
    }

    /// Finds the placeholders in the beginning of a payload that was cut.
    #[must_use]
    pub fn parse_prefix(content_type: &str, bytes: &[u8]) -> Option<Self> {
        TextPattern::parse(content_type, bytes).map(PayloadTemplate::Prefix)
    }

    /// Scores a sent payload. Returns `None` if it differs in more than placeholders.
    #[must_use]
    pub fn score(
        &self,
        sent: &SentPayload<'_>,
        rules: &BodyRules,
        values: &PlaceholderValues,
    ) -> Option<PlaceholderScore> {
        if sent.digested().is_some() {
            return None;
        }
        match self {
            // A payload that did not decode was stored as received.
            PayloadTemplate::Text(pattern) => {
                pattern.score(sent.decoded(), values).or_else(|| pattern.score(sent.raw(), values))
            }
            PayloadTemplate::Prefix(pattern) => {
                pattern.score_prefix(sent.decoded(), values).or_else(|| pattern.score_prefix(sent.raw(), values))
            }
            PayloadTemplate::Json(template) => score_json(&*sent.json_value(rules)?, template, values),
            PayloadTemplate::Form(fields) => score_form(fields, sent.decoded(), values),
            PayloadTemplate::Multipart { essence, parts } => {
                let content_type = sent.content_type();
                let media = MediaType::parse(&content_type);
                let sent = multipart::parts(sent.decoded(), media.parameter("boundary")?)?;
                if media.essence() != essence || sent.len() != parts.len() {
                    return None;
                }
                let mut score = PlaceholderScore::default();
                for (recorded, sent) in parts.iter().zip(sent) {
                    score.add(recorded.score(&sent, values)?);
                }
                Some(score)
            }
        }
    }

    /// Returns the templates in order.
    #[must_use]
    pub fn templates(&self) -> Vec<&Template> {
        match self {
            PayloadTemplate::Text(pattern) | PayloadTemplate::Prefix(pattern) => pattern.templates().collect(),
            PayloadTemplate::Json(template) => template.templates(),
            PayloadTemplate::Form(fields) => {
                fields.iter().flat_map(|(name, value)| [name, value]).filter_map(FieldTemplate::template).collect()
            }
            PayloadTemplate::Multipart { parts, .. } => {
                let patterns = parts.iter().filter_map(|part| match &part.content {
                    PartContent::Pattern(pattern) => Some(pattern),
                    PartContent::Plain(_) => None,
                });
                patterns.flat_map(TextPattern::templates).collect()
            }
        }
    }
}

fn score_form(
    recorded: &[(FieldTemplate, FieldTemplate)],
    sent: &[u8],
    values: &PlaceholderValues,
) -> Option<PlaceholderScore> {
    let (mut score, mut rest) = (PlaceholderScore::default(), recorded.iter());
    for (name, value) in form_urlencoded::parse(sent) {
        let (recorded_name, recorded_value) = rest.next()?;
        score.add(recorded_name.score(name.as_bytes(), values)?);
        score.add(recorded_value.score(value.as_bytes(), values)?);
    }
    rest.next().is_none().then_some(score)
}

impl FieldTemplate {
    fn parse(text: &[u8]) -> Self {
        Template::parse(text, Encoding::Plain)
            .map_or_else(|| FieldTemplate::Plain(text.into()), FieldTemplate::Template)
    }

    fn template(&self) -> Option<&Template> {
        match self {
            FieldTemplate::Template(template) => Some(template),
            FieldTemplate::Plain(_) => None,
        }
    }

    fn score(&self, sent: &[u8], values: &PlaceholderValues) -> Option<PlaceholderScore> {
        match self {
            FieldTemplate::Plain(text) => (&**text == sent).then(PlaceholderScore::default),
            FieldTemplate::Template(template) => template.score(sent, values),
        }
    }
}

impl PartTemplate {
    fn parse(part: BodyPart<'_>) -> Self {
        let content = match TextPattern::parse(part.header("content-type").unwrap_or_default(), part.body) {
            Some(pattern) => PartContent::Pattern(pattern),
            None => PartContent::Plain(part.body.into()),
        };
        let headers = match content {
            PartContent::Pattern(_) => without_length(part.headers),
            PartContent::Plain(_) => part.headers.to_vec(),
        };
        PartTemplate { headers: headers.into(), content }
    }

    fn score(&self, sent: &BodyPart<'_>, values: &PlaceholderValues) -> Option<PlaceholderScore> {
        match &self.content {
            PartContent::Plain(content) => {
                (*self.headers == *sent.headers && **content == *sent.body).then(PlaceholderScore::default)
            }
            PartContent::Pattern(pattern) if *self.headers == *without_length(sent.headers) => {
                pattern.score(sent.body, values)
            }
            PartContent::Pattern(_) => None,
        }
    }
}

/// Removes the `Content-Length` that some clients add to each part. It depends on the length of the secret.
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
