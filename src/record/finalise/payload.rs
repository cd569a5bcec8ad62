//! Reads a journalled payload for a fixture: at most `--max-body` bytes, decoded, or as received if decoding fails.

use std::io::{self, Read};

use super::index::{ExchangeHeads, IndexedExchange, PayloadPieces};
use crate::record::journal::JournalReader;
use crate::record::journal::heads::{DecodedPayload, EndReason, JournalMeta};
use harproxy_har::model::{Body, Truncated};
use harproxy_har::write::PayloadSource;
use harproxy_http::coding::{self, Coding};
use harproxy_http::headers::to_chars;
use harproxy_http::{DecodeLimit, Headers};

/// The rest of the payload did not decode, and the payload was too long to be stored as received.
const UNDECODABLE: &str = "undecodable";

/// The most bytes of a truncated payload that are decoded only to count them.
const MAX_COUNTED: u64 = 1 << 30;

/// A payload in the journal, its coding, and the reason why it is truncated.
#[derive(Debug)]
pub struct JournalledPayload<'a> {
    pieces: &'a PayloadPieces,
    /// Set if the recorder decoded the payload before it journalled it.
    decoded: Option<DecodedPayload>,
    mime_type: String,
    /// `None` if a coding is unknown.
    codings: Option<Vec<Coding>>,
    /// The reason why the payload is incomplete.
    cut: Option<&'static str>,
    /// The encoded length: received, or declared for an incomplete payload.
    total: Option<u64>,
    max_body: Option<u64>,
    max_decoded: DecodeLimit,
}

impl<'a> JournalledPayload<'a> {
    /// Returns the payload of a request.
    #[must_use]
    pub fn of_request(exchange: &'a IndexedExchange, heads: &ExchangeHeads, meta: &JournalMeta) -> Self {
        let end = heads.request_end.as_ref();
        // A request without a payload has neither pieces nor an end.
        let is_whole = end.map_or(exchange.sent.spans.is_empty(), |end| end.complete);
        let is_answered = matches!(&heads.end, Some(end) if end.reason == EndReason::Complete);
        let cut = (!is_whole).then_some(if is_answered { Truncated::ANSWERED_EARLY } else { Truncated::CLIENT_LEFT });
        let end = end.map(|end| (end.seen, end.decoded.clone()));
        JournalledPayload::new(&exchange.sent, &heads.request.headers.0, cut, end, meta)
    }

    /// Returns the payload of a response.
    #[must_use]
    pub fn of_response(exchange: &'a IndexedExchange, heads: &ExchangeHeads, meta: &JournalMeta) -> Self {
        let cut = match heads.end.as_ref().map(|end| &end.reason) {
            Some(EndReason::Complete | EndReason::Failed { .. } | EndReason::Dropped) => None,
            Some(EndReason::ClientLeft) => Some(Truncated::CLIENT_LEFT),
            Some(EndReason::UpstreamDied) => Some(Truncated::UPSTREAM_DIED),
            None => Some(Truncated::INTERRUPTED),
        };
        let none = Headers::default();
        let headers = heads.response.as_ref().map_or(&none, |head| &head.headers.0);
        let end = heads.end.as_ref().map(|end| (end.seen, end.decoded.clone()));
        JournalledPayload::new(&exchange.received, headers, cut, end, meta)
    }

    /// Creates a payload. `end` has the number of received bytes, and the state of a payload that was decoded early.
    fn new(
        pieces: &'a PayloadPieces,
        headers: &Headers,
        cut: Option<&'static str>,
        end: Option<(u64, Option<DecodedPayload>)>,
        meta: &JournalMeta,
    ) -> Self {
        let declared = || headers.get_str("content-length").and_then(|length| length.trim().parse().ok());
        let (seen, decoded) = end.map_or((None, None), |(seen, decoded)| (Some(seen), decoded));
        JournalledPayload {
            pieces,
            // The journal of a killed recording has no end frame.
            decoded: pieces.decoded.then(|| decoded.unwrap_or_default()),
            mime_type: headers.get("content-type").map(|mime| to_chars(mime).into_owned()).unwrap_or_default(),
            codings: coding::codings(headers.get_all("content-encoding")),
            cut,
            total: if cut.is_some() { declared() } else { seen },
            max_body: meta.max_body,
            max_decoded: meta.max_decoded.map(DecodeLimit::new).unwrap_or_default(),
        }
    }

    /// Returns true for a message without a payload. A truncated payload may be empty.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.cut.is_none() && self.pieces.spans.iter().all(|piece| piece.len == 0)
    }

    /// Passes the decoded bytes to `store`. Of a truncated payload, these are the bytes that decode. If decoding fails,
    /// `store` is called a second time, with the bytes as received and marked as encoded.
    pub fn store<F>(&self, reader: &mut JournalReader, mut store: F) -> Result<Body, harproxy_har::Error>
    where
        F: FnMut(PayloadSource<'_>) -> Result<Body, harproxy_har::Error>,
    {
        let Some(mut names) = reader.names.take() else { return self.store_unnamed(reader, store) };
        let is_opaque = harproxy_redact::is_opaque(&self.mime_type);
        let stored = self.store_unnamed(reader, |source| {
            let mut named = names.redact_stream(source.read, is_opaque);
            store(PayloadSource { read: &mut named, ..source })
        });
        reader.names = Some(names);
        stored
    }

    fn store_unnamed<F>(&self, reader: &mut JournalReader, mut store: F) -> Result<Body, harproxy_har::Error>
    where
        F: FnMut(PayloadSource<'_>) -> Result<Body, harproxy_har::Error>,
    {
        let codings = match &self.codings {
            _ if self.decoded.is_some() => None,
            Some(codings) if self.pieces.spans.is_empty() || codings.is_empty() => None,
            Some(codings) => Some(&codings[..]),
            None => Some(&[][..]),
        };
        if let Some(codings) = codings.filter(|codings| !codings.is_empty()) {
            let pieces = Box::new(reader.stream(&self.pieces.spans));
            let decoder = self.max_decoded.decoder(codings, pieces, self.pieces.len());
            let mut decoded = LimitedReader::new(decoder, self.max_body, self.is_partial());
            let stored = store(self.source(&mut decoded, false));
            if !decoded.is_broken() {
                return stored.map(|body| self.mark_truncated(body, decoded, None));
            }
            self.pieces.exceeds_limit.set(decoded.exceeds_limit);
        }
        // The recorder applied `--max-body` to a decoded payload. Placeholders have another length than the secrets.
        let max_body = self.max_body.filter(|_| self.decoded.is_none());
        let mut raw = LimitedReader::new(Box::new(reader.stream(&self.pieces.spans)), max_body, false);
        let body = store(self.source(&mut raw, codings.is_some()))?;
        Ok(self.mark_truncated(body, raw, self.total))
    }

    /// Returns true if the journal has only the beginning of the payload.
    fn is_partial(&self) -> bool {
        self.cut.is_some() || self.total.is_some_and(|total| total > self.pieces.len())
    }

    fn source<'r>(&'r self, read: &'r mut dyn Read, encoded: bool) -> PayloadSource<'r> {
        let truncated = self.cut.map(|reason| Truncated { reason: reason.to_owned(), kept: 0, total: self.total });
        PayloadSource { read, mime_type: &self.mime_type, encoded, truncated }
    }

    /// Adds the reason and the lengths of a truncation. The payload must have been read.
    fn mark_truncated(&self, mut body: Body, mut read: LimitedReader<'_>, total: Option<u64>) -> Body {
        if let Some(decoded) = &self.decoded {
            return self.mark_decoded(body, read.kept, decoded);
        }
        let is_partial = self.is_partial();
        let reason = self.cut.or_else(|| (read.has_more() || is_partial).then_some(Truncated::MAX_BODY));
        body.truncated = reason.map(|reason| Truncated {
            reason: reason.to_owned(),
            kept: read.kept,
            total: total.or_else(|| if is_partial { None } else { read.count_all() }),
        });
        body
    }

    fn mark_decoded(&self, mut body: Body, read: u64, decoded: &DecodedPayload) -> Body {
        let reason = self.cut.or(decoded.more.then_some(Truncated::MAX_BODY)).or(decoded.broken.then_some(UNDECODABLE));
        let has_no_coding = self.codings.as_ref().is_some_and(Vec::is_empty);
        body.truncated = reason.map(|reason| Truncated {
            reason: reason.to_owned(),
            kept: body.size.and_then(|size| u64::try_from(size).ok()).unwrap_or(read),
            total: if self.cut.is_some() { self.total.filter(|_| has_no_coding) } else { decoded.total },
        });
        body
    }
}

/// Reads at most `--max-body` bytes of a payload.
struct LimitedReader<'a> {
    inner: Box<dyn Read + Send + 'a>,
    left: u64,
    kept: u64,
    /// Bytes read behind the limit: 1 if the payload is known to be longer.
    beyond: u64,
    /// If set, an error after the first byte is the end of the payload.
    is_partial: bool,
    has_failed: bool,
    /// The payload decodes beyond `--max-decoded`.
    exceeds_limit: bool,
}

impl<'a> LimitedReader<'a> {
    fn new(inner: Box<dyn Read + Send + 'a>, limit: Option<u64>, is_partial: bool) -> Self {
        let (left, exceeds_limit) = (limit.unwrap_or(u64::MAX), false);
        LimitedReader { inner, left, kept: 0, beyond: 0, is_partial, has_failed: false, exceeds_limit }
    }

    /// Returns true if decoding failed, and not only because the payload is partial.
    fn is_broken(&self) -> bool {
        self.has_failed && (self.exceeds_limit || !(self.is_partial && self.kept > 0))
    }

    /// Returns true if the payload is longer than the limit.
    fn has_more(&mut self) -> bool {
        if self.left == 0 && self.beyond == 0 {
            self.beyond = self.inner.read(&mut [0]).map_or(0, |read| read as u64);
        }
        self.beyond > 0
    }

    /// Returns the length of the whole payload. `None` if it does not decode or its rest exceeds [`MAX_COUNTED`].
    fn count_all(&mut self) -> Option<u64> {
        let rest = io::copy(&mut (&mut self.inner).take(MAX_COUNTED), &mut io::sink()).ok()?;
        (rest < MAX_COUNTED).then_some(self.kept + self.beyond + rest)
    }
}

impl Read for LimitedReader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buf.len());
        if wanted == 0 {
            return Ok(0);
        }
        match self.inner.read(&mut buf[..wanted]) {
            Ok(read) => {
                self.kept += read as u64;
                self.left -= read as u64;
                Ok(read)
            }
            Err(error) => {
                self.has_failed = true;
                self.exceeds_limit = DecodeLimit::is_exceeded(&error);
                if self.is_broken() { Err(error) } else { Ok(0) }
            }
        }
    }
}
