//! The payload of an entry's request, reduced to what matching compares: a digest, or a template if it has
//! placeholders. Any value fits in the place of a placeholder.

use std::io::{self, Read};

use harproxy_http::MediaType;
use harproxy_http::multipart::{self, BodyPart};
use harproxy_json::Digest;
use harproxy_redact::{Placeholder, placeholder};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use url::form_urlencoded;

use super::sent::MAX_DECODED;
use super::stream_digest::digest_recorded;
use super::template::score_text;
use super::text_pattern::TextPattern;
use crate::form_digest::form_digest;
use crate::json_diff::score_json;
use crate::{BodyRules, MatchBody, PlaceholderScore, PlaceholderValues, SentPayload};

/// Longer recorded payloads are not read into memory and not searched for placeholders.
const MAX_TEMPLATE: u64 = 64 << 20;

/// The payload of an entry's request. Payloads without placeholders are reduced to digests, so an entry is read once,
/// however many requests come.
#[derive(Debug, PartialEq, Eq, Hash)]
pub enum RecordedPayload {
    /// The request was recorded without a payload.
    Absent,
    /// The payload was not kept, or does not count: it equals any payload.
    Any,
    /// The HAR of another tool has no payload. There was none, or the tool left it out: it equals any payload.
    Unstated,
    Complete {
        bytes: Digest,
        /// The digest of its meaning, if not only its bytes are compared.
        meaning: Option<Digest>,
    },
    Template(Box<PayloadTemplate>),
    /// The first `kept` bytes of a payload that was cut.
    Cut {
        /// The length of the beginning.
        kept: usize,
        /// The digest of the beginning.
        bytes: Digest,
        /// The length of the whole payload, if it is known.
        total: Option<u64>,
        /// The boundary of a multipart payload. Clients choose another one for each request, so it does not count.
        boundary: Option<Box<str>>,
    },
    /// Only the fields of a form were kept: the digest of these.
    Fields(Digest),
    /// The payload can't be read. The text says why.
    Unreadable(String),
}

/// The lengths of a recorded payload that was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CutLengths {
    pub kept: u64,
    pub total: Option<u64>,
}

impl RecordedPayload {
    /// Reads a payload of `len` bytes. A long one takes constant memory, unless the rules need its values.
    pub fn read(
        mut read: impl Read,
        len: u64,
        rules: &BodyRules,
        content_type: &str,
        cut: Option<CutLengths>,
    ) -> io::Result<Self> {
        let (bytes, meaning) = if len <= MAX_TEMPLATE || (len <= MAX_DECODED && !rules.can_stream(content_type)) {
            let mut bytes = Vec::new();
            read.read_to_end(&mut bytes)?;
            let template = match cut {
                None => PayloadTemplate::parse(rules, content_type, &bytes),
                Some(_) => PayloadTemplate::parse_prefix(content_type, &bytes),
            };
            if let Some(template) = template {
                return Ok(RecordedPayload::Template(Box::new(template)));
            }
            if let Some(CutLengths { kept, total }) = cut {
                let boundary = boundary(content_type).map(String::into_boxed_str);
                let digest = digest_without(&bytes, boundary.as_deref());
                let kept = usize::try_from(kept).unwrap_or(usize::MAX);
                return Ok(RecordedPayload::Cut { kept, bytes: digest, total, boundary });
            }
            (Sha256::digest(&bytes).into(), rules.meaning(content_type, &bytes))
        } else {
            digest_recorded(read, content_type)?
        };
        Ok(match cut {
            Some(CutLengths { kept, total }) => {
                let kept = usize::try_from(kept).unwrap_or(usize::MAX);
                RecordedPayload::Cut { kept, bytes, total, boundary: None }
            }
            None => RecordedPayload::Complete { bytes, meaning },
        })
    }

    /// Reads a form of which only the fields were kept; see [`RecordedPayload::Fields`].
    pub fn read_fields(mut read: impl Read, content_type: &str) -> io::Result<Self> {
        let mut bytes = Vec::new();
        read.read_to_end(&mut bytes)?;
        let rules = BodyRules { mode: MatchBody::Form, ..BodyRules::default() };
        Ok(match PayloadTemplate::parse(&rules, content_type, &bytes) {
            Some(template) => RecordedPayload::Template(Box::new(template)),
            None => form_digest(content_type, &bytes).map_or(RecordedPayload::Any, RecordedPayload::Fields),
        })
    }

    /// Returns the placeholders in order.
    #[must_use]
    pub fn placeholders(&self) -> Vec<Placeholder> {
        if let RecordedPayload::Template(template) = self { template.placeholders() } else { Vec::new() }
    }

    /// Compares a sent payload with this one. Returns `None` if it differs in more than placeholders.
    #[must_use]
    pub fn score(
        &self,
        sent: &SentPayload<'_>,
        rules: &BodyRules,
        values: &PlaceholderValues,
    ) -> Option<PlaceholderScore> {
        match self {
            RecordedPayload::Template(template) if !sent.is_empty() => template.score(sent, rules, values),
            // The rest of a payload that was cut is unknown. An entry with the whole payload is preferred.
            RecordedPayload::Cut { .. } => {
                self.equals(sent, rules).then(|| PlaceholderScore { unknown: 1, ..PlaceholderScore::default() })
            }
            plain => plain.equals(sent, rules).then(PlaceholderScore::default),
        }
    }

    /// Returns true if a sent payload that fits may differ from the one that was recorded, because not all of that was
    /// kept. A payload that does not count is not partial.
    #[must_use]
    pub fn is_partial(&self, sent: &SentPayload<'_>, rules: &BodyRules) -> bool {
        match self {
            RecordedPayload::Any => rules.mode != MatchBody::Ignore,
            RecordedPayload::Unstated => !sent.is_empty(),
            RecordedPayload::Cut { .. } => true,
            RecordedPayload::Template(template) => matches!(**template, PayloadTemplate::Text { is_cut: true, .. }),
            _ => false,
        }
    }

    /// Returns true if a sent payload equals this one, which has no placeholders.
    fn equals(&self, sent: &SentPayload<'_>, rules: &BodyRules) -> bool {
        match self {
            RecordedPayload::Any | RecordedPayload::Unstated => true,
            RecordedPayload::Absent => sent.is_empty() || rules.mode == MatchBody::Ignore,
            RecordedPayload::Unreadable(_) | RecordedPayload::Template(_) => false,
            _ if sent.is_empty() => false,
            RecordedPayload::Fields(digest) => {
                sent.digested().is_none() && form_digest(&sent.content_type(), sent.decoded()) == Some(*digest)
            }
            // A payload that did not decode was stored as received, so both forms are compared.
            RecordedPayload::Complete { bytes, meaning } => {
                sent.digests().contains(bytes) || (meaning.is_some() && *meaning == sent.meaning(rules))
            }
            RecordedPayload::Cut { kept, bytes, total, boundary: recorded } => match sent.digested() {
                Some(digested) => digested.begins_with(*kept as u64, bytes, *total),
                None => {
                    let boundary = recorded.as_ref().and_then(|_| boundary(&sent.content_type()));
                    let fits = |body: &[u8]| {
                        total.is_none_or(|total| body.len() as u64 == total)
                            && body
                                .get(..*kept)
                                .is_some_and(|start| digest_without(start, boundary.as_deref()) == *bytes)
                    };
                    fits(sent.decoded()) || fits(sent.raw())
                }
            },
        }
    }
}

/// Returns the boundary of a multipart payload.
fn boundary(content_type: &str) -> Option<String> {
    let media = MediaType::parse(content_type);
    media.parameter("boundary").filter(|_| media.is_multipart()).map(str::to_owned)
}

/// Returns the digest of bytes without the boundary.
fn digest_without(bytes: &[u8], boundary: Option<&str>) -> Digest {
    let Some(boundary) = boundary.map(str::as_bytes).filter(|boundary| !boundary.is_empty()) else {
        return Sha256::digest(bytes).into();
    };
    let (mut digest, mut start) = (Sha256::new(), 0);
    for at in memchr::memmem::find_iter(bytes, boundary) {
        digest.update(&bytes[start..at]);
        start = at + boundary.len();
    }
    digest.update(&bytes[start..]);
    digest.finalize().into()
}

/// A recorded payload with placeholders, as each `--match-body` compares it.
#[derive(Debug, PartialEq, Eq, Hash)]
pub enum PayloadTemplate {
    /// Its bytes are compared. If it was cut, a sent payload begins with it.
    Text { pattern: TextPattern, is_cut: bool },
    /// Its JSON value is compared.
    Json(Value),
    /// Its names and values are compared, decoded, in order.
    Form(Box<[[String; 2]]>),
    /// Its parts are compared.
    Multipart {
        /// The media type, such as `multipart/form-data`.
        essence: String,
        parts: Box<[PartTemplate]>,
    },
}

#[derive(Debug, PartialEq, Eq, Hash)]
pub struct PartTemplate {
    headers: Box<[u8]>,
    body: Box<[u8]>,
    /// The placeholders of the body, if it has any.
    pattern: Option<TextPattern>,
}

impl PayloadTemplate {
    /// Finds the placeholders in a complete payload. Returns `None` if there is none.
    pub(super) fn parse(rules: &BodyRules, content_type: &str, bytes: &[u8]) -> Option<Self> {
        let media = MediaType::parse(content_type);
        if let Some(boundary) = media.parameter("boundary").filter(|_| media.is_multipart()) {
            let parts = multipart::parts(bytes, boundary)?;
            let parts: Box<[PartTemplate]> = parts.into_iter().map(PartTemplate::parse).collect();
            let has_placeholder = parts.iter().any(|part| part.pattern.is_some());
            return has_placeholder.then(|| PayloadTemplate::Multipart { essence: media.essence().to_owned(), parts });
        }
        let template = if rules.mode == MatchBody::Form && media.is_form_of(bytes) {
            PayloadTemplate::Form(form_fields(bytes))
        } else if let Some(value) = rules.json_value(bytes).filter(|_| placeholder::may_occur_in(bytes)) {
            PayloadTemplate::Json(value)
        } else {
            return TextPattern::parse(content_type, bytes)
                .map(|pattern| PayloadTemplate::Text { pattern, is_cut: false });
        };
        (!template.placeholders().is_empty()).then_some(template)
    }

    /// Finds the placeholders in the beginning of a payload that was cut.
    pub(super) fn parse_prefix(content_type: &str, bytes: &[u8]) -> Option<Self> {
        TextPattern::parse(content_type, bytes).map(|pattern| PayloadTemplate::Text { pattern, is_cut: true })
    }

    /// Scores a sent payload. Returns `None` if it differs in more than placeholders.
    pub(super) fn score(
        &self,
        sent: &SentPayload<'_>,
        rules: &BodyRules,
        values: &PlaceholderValues,
    ) -> Option<PlaceholderScore> {
        if sent.digested().is_some() {
            return None;
        }
        match self {
            PayloadTemplate::Text { pattern, is_cut } => {
                let score = if *is_cut { TextPattern::score_prefix } else { TextPattern::score };
                // A payload that did not decode was stored as received.
                score(pattern, sent.decoded(), values).or_else(|| score(pattern, sent.raw(), values))
            }
            PayloadTemplate::Json(template) => score_json(&*sent.json_value(rules)?, template, values),
            PayloadTemplate::Form(recorded) => {
                let sent = form_fields(sent.decoded());
                if recorded.len() != sent.len() {
                    return None;
                }
                let texts = recorded.as_flattened().iter().zip(sent.as_flattened());
                texts.map(|(recorded, sent)| score_text(recorded.as_bytes(), sent.as_bytes(), values)).sum()
            }
            PayloadTemplate::Multipart { essence, parts } => {
                let content_type = sent.content_type();
                let media = MediaType::parse(&content_type);
                let sent = multipart::parts(sent.decoded(), media.parameter("boundary")?)?;
                if media.essence() != essence || sent.len() != parts.len() {
                    return None;
                }
                parts.iter().zip(&sent).map(|(recorded, sent)| recorded.score(sent, values)).sum()
            }
        }
    }

    /// Returns the placeholders in order.
    pub(super) fn placeholders(&self) -> Vec<Placeholder> {
        match self {
            PayloadTemplate::Text { pattern, .. } => pattern.placeholders().cloned().collect(),
            PayloadTemplate::Json(value) => json_placeholders(value),
            PayloadTemplate::Form(fields) => {
                fields.as_flattened().iter().flat_map(|text| text_placeholders(text)).collect()
            }
            PayloadTemplate::Multipart { parts, .. } => parts
                .iter()
                .filter_map(|part| part.pattern.as_ref())
                .flat_map(TextPattern::placeholders)
                .cloned()
                .collect(),
        }
    }
}

fn form_fields(text: &[u8]) -> Box<[[String; 2]]> {
    form_urlencoded::parse(text).map(|(name, value)| [name.into_owned(), value.into_owned()]).collect()
}

fn text_placeholders(text: &str) -> Vec<Placeholder> {
    placeholder::find(text.as_bytes()).map(|found| found.placeholder).collect()
}

fn json_placeholders(value: &Value) -> Vec<Placeholder> {
    match value {
        Value::String(text) => text_placeholders(text),
        Value::Number(number) => text_placeholders(&number.to_string()),
        Value::Array(elements) => elements.iter().flat_map(json_placeholders).collect(),
        Value::Object(members) => members.values().flat_map(json_placeholders).collect(),
        Value::Null | Value::Bool(_) => Vec::new(),
    }
}

impl PartTemplate {
    fn parse(part: BodyPart<'_>) -> Self {
        let pattern = TextPattern::parse(part.header("content-type").unwrap_or_default(), part.body);
        let headers = if pattern.is_some() { without_length(part.headers) } else { part.headers.to_vec() };
        PartTemplate { headers: headers.into(), body: part.body.into(), pattern }
    }

    fn score(&self, sent: &BodyPart<'_>, values: &PlaceholderValues) -> Option<PlaceholderScore> {
        match &self.pattern {
            Some(pattern) if *self.headers == *without_length(sent.headers) => pattern.score(sent.body, values),
            None if *self.headers == *sent.headers && *self.body == *sent.body => Some(PlaceholderScore::default()),
            _ => None,
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
    let lines = headers.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    lines.filter(|line| !is_length(line)).collect::<Vec<_>>().join(&b'\n')
}

#[cfg(test)]
mod tests {
    use ::http::{HeaderMap, HeaderValue};

    use super::*;

    /// Whether a sent multipart payload with this boundary begins with the recorded part, which has the boundary
    /// `aaaa`.
    fn fits(cut: CutLengths, boundary: &str, sent: &str) -> bool {
        let rules = BodyRules::default();
        let kept = "--aaaa\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\nfirst";
        let media_type = |boundary: &str| format!("multipart/form-data; boundary={boundary}");
        let recorded =
            RecordedPayload::read(kept.as_bytes(), kept.len() as u64, &rules, &media_type("aaaa"), Some(cut));
        let content_type = HeaderValue::from_str(&media_type(boundary)).unwrap();
        let headers = HeaderMap::from_iter([(::http::header::CONTENT_TYPE, content_type)]);
        let sent = SentPayload::new(&headers, Some(sent.as_bytes()));
        recorded.unwrap().score(&sent, &rules, &PlaceholderValues::default()).is_some()
    }

    #[test]
    fn boundary_of_a_multipart_payload_that_was_cut_does_not_count() {
        let cut = CutLengths { kept: 57, total: Some(80) };
        let sent = |first: &str| {
            let begin = format!("--bbbb\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\n{first}");
            format!("{begin:x<80}")
        };
        assert!(fits(cut, "bbbb", &sent("first and rest")));
        assert!(!fits(cut, "bbbb", &sent("other and rest")));
        assert!(!fits(CutLengths { total: Some(81), ..cut }, "bbbb", &sent("first and rest")));
    }
}
