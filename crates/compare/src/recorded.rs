//! The payload of an entry's request, reduced to what matching compares.

use std::io::{self, Read};

use harproxy_json::Digest;
use harproxy_redact::Placeholder;
use sha2::{Digest as _, Sha256};

use super::body_rules::{BodyRules, MatchBody};
use super::payload_template::PayloadTemplate;
use super::sent::{MAX_DECODED, SentPayload};
use super::stream_digest::digest_recorded;
use super::template::{PlaceholderScore, PlaceholderValues};

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
    },
    /// The payload can't be read. The text says why.
    Unreadable(String),
}

/// The lengths of a recorded payload that was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CutLengths {
    /// Bytes that were kept.
    pub kept: u64,
    /// Bytes of the whole payload, if known.
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
            (Sha256::digest(&bytes).into(), rules.meaning(content_type, &bytes))
        } else {
            digest_recorded(read, content_type)?
        };
        Ok(match cut {
            Some(CutLengths { kept, total }) => {
                RecordedPayload::Cut { kept: usize::try_from(kept).unwrap_or(usize::MAX), bytes, total }
            }
            None => RecordedPayload::Complete { bytes, meaning },
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
            plain => plain.equals(sent, rules).then(PlaceholderScore::default),
        }
    }

    /// Returns true if a sent payload equals this one, which has no placeholders.
    fn equals(&self, sent: &SentPayload<'_>, rules: &BodyRules) -> bool {
        match self {
            RecordedPayload::Any => true,
            RecordedPayload::Absent => sent.is_empty() || rules.mode == MatchBody::Ignore,
            RecordedPayload::Unreadable(_) | RecordedPayload::Template(_) => false,
            _ if sent.is_empty() => false,
            // A payload that did not decode was stored as received, so both forms are compared.
            RecordedPayload::Complete { bytes, meaning } => {
                sent.digests().contains(bytes) || (meaning.is_some() && *meaning == sent.meaning(rules))
            }
            RecordedPayload::Cut { kept, bytes, total } => match sent.digested() {
                Some(digested) => digested.begins_with(*kept as u64, bytes, *total),
                None => {
                    let fits = |body: &[u8]| {
                        total.is_none_or(|total| body.len() as u64 == total)
                            && body.get(..*kept).is_some_and(|start| Digest::from(Sha256::digest(start)) == *bytes)
                    };
                    fits(sent.decoded()) || fits(sent.raw())
                }
            },
        }
    }
}
