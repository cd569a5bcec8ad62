//! The evidence of an endpoint: the properties that its answers have in common. A fixture gives one, and production
//! another.

use std::borrow::Cow;
use std::collections::BTreeMap;

use encoding_rs::Encoding;

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
pub struct PayloadEvidence {
    /// The shape of the JSON payloads, if there are any.
    pub json: Option<Shape>,
    /// The number of answers without a payload.
    pub empty: u64,
    /// The number of payloads that are not JSON and not declared as JSON.
    pub other: u64,
    /// A payload is declared as JSON, and can't be read as such.
    pub damaged: Option<ShapeError>,
    /// A payload was not recorded, or cannot be decoded.
    pub has_unknown: bool,
}

impl PayloadEvidence {
    fn observe(&mut self, media: &MediaType, payload: &[u8]) {
        // A payload without a type is JSON if it is an object or array.
        let is_json = media.is_json() || matches!(payload.trim_ascii_start().first(), Some(b'{' | b'['));
        if !is_json {
            self.other += 1;
            return;
        }
        let charset = Encoding::for_bom(payload).map(|(encoding, _)| encoding).or(media.charset());
        let text = match charset {
            Some(encoding) if encoding != encoding_rs::UTF_8 => {
                Cow::Owned(encoding.decode(payload).0.into_owned().into_bytes())
            }
            _ => Cow::Borrowed(payload),
        };
        match self.json.get_or_insert_default().observe_json(&text) {
            Ok(()) => return,
            Err(ShapeError::Invalid) if !media.is_json() => self.other += 1,
            Err(error) => self.damaged = Some(error),
        }
        self.json = self.json.take().filter(|shape| *shape != Shape::default());
    }
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
            AnswerPayload::Empty => self.payload.empty += 1,
            AnswerPayload::Bytes(bytes) => self.payload.observe(&MediaType::parse(&answer.content_type), bytes),
            AnswerPayload::Unknown => self.payload.has_unknown = true,
        }
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
