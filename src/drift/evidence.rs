//! The evidence of an endpoint: the properties that its answers have in common. A fixture gives one, production another.

use std::collections::BTreeMap;

use harproxy_compare::{Shape, ShapeError};
use harproxy_http::{Headers, MediaType};

/// One answer, recorded or live, with its payload decoded.
#[derive(Clone, Debug, Default)]
pub struct ObservedAnswer {
    pub status: u16,
    pub headers: Headers,
    /// `Content-Type`, or `mimeType` of an entry without that header.
    pub content_type: String,
    pub payload: AnswerPayload,
}

#[derive(Clone, Debug, Default)]
pub enum AnswerPayload {
    #[default]
    Empty,
    Bytes(bytes::Bytes),
    /// It was not recorded, or cannot be decoded.
    Unknown,
}

/// The payloads of an endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PayloadEvidence {
    /// No answer had a payload.
    #[default]
    Empty,
    Json(Shape),
    /// Payloads that are not JSON and not declared as JSON.
    Other,
    /// A payload is declared as JSON, and is not.
    Damaged(ShapeError),
    Unknown,
}

/// The common properties of the answers of an endpoint.
#[derive(Clone, Debug, Default)]
pub struct EndpointEvidence {
    /// The number of answers.
    pub answers: u64,
    /// The statuses, in order of first appearance.
    pub statuses: Vec<u16>,
    /// The content type of the first answer with one.
    pub content_type: String,
    /// The lower-case names of headers, with the number of answers that have each.
    pub headers: BTreeMap<String, u64>,
    /// `Location` of the first redirect.
    pub location: Option<String>,
    pub payload: PayloadEvidence,
}

impl EndpointEvidence {
    /// Adds an answer.
    pub fn observe(&mut self, answer: &ObservedAnswer) {
        self.answers += 1;
        if !self.statuses.contains(&answer.status) {
            self.statuses.push(answer.status);
        }
        if self.content_type.is_empty() {
            self.content_type = answer.content_type.trim().to_owned();
        }
        let mut names: Vec<String> = answer.headers.iter().map(|header| header.name.to_ascii_lowercase()).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            *self.headers.entry(name).or_default() += 1;
        }
        if self.location.is_none() && (300..400).contains(&answer.status) {
            self.location = answer.headers.get("location").map(|to| String::from_utf8_lossy(to).into_owned());
        }
        match &answer.payload {
            AnswerPayload::Empty => {}
            AnswerPayload::Bytes(bytes) => self.observe_payload(&MediaType::parse(&answer.content_type), bytes),
            AnswerPayload::Unknown if self.payload == PayloadEvidence::Empty => self.payload = PayloadEvidence::Unknown,
            AnswerPayload::Unknown => {}
        }
    }

    fn observe_payload(&mut self, media: &MediaType, payload: &[u8]) {
        let mut shape = match &mut self.payload {
            PayloadEvidence::Json(shape) => std::mem::take(shape),
            _ => Shape::default(),
        };
        let has_shape = shape != Shape::default();
        // A payload without a type is JSON if it is an object or array.
        let is_json = media.is_json() || matches!(payload.trim_ascii_start().first(), Some(b'{' | b'['));
        let observed = if is_json { shape.observe_json(payload) } else { Err(ShapeError::Invalid) };
        self.payload = match observed {
            Ok(()) => PayloadEvidence::Json(shape),
            Err(_) if has_shape => PayloadEvidence::Json(shape),
            Err(ShapeError::TooDeep) => PayloadEvidence::Damaged(ShapeError::TooDeep),
            Err(error) if media.is_json() => PayloadEvidence::Damaged(error),
            Err(_) => PayloadEvidence::Other,
        };
    }

    /// Returns true if every answer has this header.
    #[must_use]
    pub fn has_always(&self, name: &str) -> bool {
        self.answers > 0 && self.headers.get(name) == Some(&self.answers)
    }

    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.headers.contains_key(name)
    }

    /// Returns the first status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.statuses.first().copied().unwrap_or_default()
    }
}
