//! Redacts payloads and journals the result.
//!
//! A payload without secrets is journalled as it came over the wire and decoded when the recording is finalised. A
//! payload with secrets is journalled decoded, with markers.

use std::io::{self, Read};
use std::sync::Arc;

use ::http::{HeaderMap, HeaderValue, header};
use bytes::{Buf, Bytes};

use super::exchange::{ExchangeTap, TapContext};
use crate::record::journal::heads::DecodedPayload;
use crate::record::journal::{Flush, FrameKind};
use crate::record::redaction::{MAX_WHOLE, MemoryReservation};
use harproxy_http::coding::{self, Coding};
use harproxy_http::headers::to_chars;
use harproxy_redact::{PayloadRedaction, StreamRedactor};

/// Bytes that are decoded at a time.
const PIECE: usize = 64 << 10;

/// The beginning of a long payload, bytes, which shows whether it decodes. The blocks of all codings are shorter.
const BEGINNING: u64 = 1 << 20;

/// Redacted bytes of a long payload that go into one frame, at least.
const BATCH: usize = 512 << 10;

/// The longest frame of a payload, bytes.
const MAX_FRAME: usize = 4 << 20;

/// The headers of a message that describe its payload.
#[derive(Clone, Debug, Default)]
pub struct ContentHeaders {
    /// `Content-Type`, or empty.
    pub content_type: String,
    /// `Content-Encoding`; `None` if a coding is unknown.
    pub codings: Option<Vec<Coding>>,
}

impl ContentHeaders {
    /// Reads the headers of a message.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let content_type = headers.get(header::CONTENT_TYPE).map(|value| to_chars(value.as_bytes()).into_owned());
        let codings = headers.get_all(header::CONTENT_ENCODING).iter().map(HeaderValue::as_bytes);
        ContentHeaders { content_type: content_type.unwrap_or_default(), codings: coding::codings(codings) }
    }

    /// Whether the payload has a coding.
    #[must_use]
    pub fn is_coded(&self) -> bool {
        self.codings.as_ref().is_none_or(|codings| !codings.is_empty())
    }
}

/// Writes the frames of one payload.
#[derive(Clone, Debug)]
pub struct PayloadFrames {
    pub tap: Arc<ExchangeTap>,
    /// [`FrameKind::RequestData`] or [`FrameKind::ResponseData`].
    pub wire_kind: FrameKind,
    /// How soon frames are written.
    pub flush: Flush,
}

impl PayloadFrames {
    /// Journals bytes as they came.
    pub fn push_wire(&self, bytes: Bytes) {
        self.push(self.wire_kind, bytes);
    }

    pub fn push_decoded(&self, bytes: Bytes) {
        let is_request = self.wire_kind == FrameKind::RequestData;
        self.push(if is_request { FrameKind::RequestDecoded } else { FrameKind::ResponseDecoded }, bytes);
    }

    fn push(&self, kind: FrameKind, mut bytes: Bytes) {
        while !bytes.is_empty() {
            let frame = bytes.split_to(bytes.len().min(MAX_FRAME));
            self.tap.push(kind, frame, self.flush);
        }
    }
}

#[derive(Clone, Debug)]
pub struct PayloadRedactor {
    /// The destination of the redacted payload.
    pub frames: PayloadFrames,
    pub headers: ContentHeaders,
}

/// The result of decoding a payload in memory.
enum Decoding {
    Complete(Vec<u8>),
    /// The payload does not decode beyond this.
    Broken(Vec<u8>),
    /// The decoded payload is longer than [`MAX_WHOLE`], or than the memory that is free.
    TooLong,
}

impl PayloadRedactor {
    /// Redacts a collected payload. `is_whole`: it is not cut off. `reservation` holds its bytes.
    pub fn redact_whole(
        &self,
        bytes: &Bytes,
        is_whole: bool,
        reservation: &mut MemoryReservation,
    ) -> Option<DecodedPayload> {
        if !self.headers.is_coded() {
            return self.push_redacted(self.redact(bytes, is_whole), bytes);
        }
        let max = self.frames.tap.context.max_body.and_then(|max| usize::try_from(max).ok()).unwrap_or(usize::MAX);
        let decoding = self.decode(bytes, reservation);
        if self.exceeds_limit(&decoding, bytes) {
            // Finalising stores it as received, like one with an unknown coding.
            self.frames.tap.context.redactor.count_opaque();
            self.frames.push_wire(bytes.clone());
            return None;
        }
        match decoding {
            Decoding::TooLong => self.redact_stream(&mut std::iter::once(bytes.clone())),
            Decoding::Complete(plain) if plain.len() > max => {
                self.push_decoded(&plain[..max]);
                Some(DecodedPayload { more: true, total: Some(plain.len() as u64), broken: false })
            }
            Decoding::Complete(plain) => self.push_redacted(self.redact(&plain, is_whole), bytes),
            Decoding::Broken(plain) if is_whole || plain.is_empty() => {
                // Anyone can read the beginning, for example of a payload whose checksum is missing.
                if let Some(redacted) = self.redact(&plain[..plain.len().min(max)], false) {
                    self.frames.push_decoded(redacted.into());
                    return Some(DecodedPayload { more: false, total: None, broken: true });
                }
                let redacted = self.redact(bytes, is_whole);
                self.frames.push_wire(redacted.map_or_else(|| bytes.clone(), Bytes::from));
                None
            }
            Decoding::Broken(plain) => {
                self.push_decoded(&plain[..plain.len().min(max)]);
                Some(DecodedPayload::default())
            }
        }
    }

    /// Redacts a long payload as its pieces come. Blocks: only for blocking threads.
    pub fn redact_stream(&self, pieces: &mut (dyn Iterator<Item = Bytes> + Send)) -> Option<DecodedPayload> {
        let codings = self.headers.codings.as_deref().unwrap_or_default();
        let max_body = self.frames.tap.context.max_body;
        let push_decoded = |bytes| self.frames.push_decoded(bytes);
        if codings.is_empty() {
            return Some(self.redact_pieces(&mut pieces.map(Ok), None, &push_decoded));
        }
        let mut wire = PieceReader { piece: Bytes::new(), pieces };
        let mut beginning = Vec::new();
        // Reading from memory can't fail.
        let _ = (&mut wire).take(BEGINNING).read_to_end(&mut beginning);
        if coding::decoder(codings, Box::new(&beginning[..])).read(&mut [0]).is_ok() {
            let (limit, received) = (self.frames.tap.context.max_decoded, beginning.len() + wire.piece.len());
            let wire = Box::new(Read::chain(io::Cursor::new(beginning), wire));
            let decoder = limit.decoder(codings, wire, received as u64);
            return Some(self.redact_pieces(&mut ReadPieces { read: decoder, failed: None }, max_body, &push_decoded));
        }
        // The payload is not coded as its headers say. It is redacted and stored as it came.
        let all = [Bytes::from(beginning), wire.piece].into_iter().chain(wire.pieces);
        self.redact_pieces(&mut all.map(Ok), None, &|bytes| self.frames.push_wire(bytes));
        None
    }

    /// Returns true if a collected payload decodes beyond `--max-decoded`, and is not cut before by `--max-body`.
    fn exceeds_limit(&self, decoding: &Decoding, bytes: &Bytes) -> bool {
        let TapContext { max_body, max_decoded, .. } = &self.frames.tap.context;
        let most = max_decoded.of(bytes.len() as u64);
        let codings = self.headers.codings.as_deref().unwrap_or_default();
        !max_body.is_some_and(|max| max <= most)
            && match decoding {
                Decoding::Complete(plain) | Decoding::Broken(plain) => plain.len() as u64 > most,
                Decoding::TooLong => max_decoded.is_exceeded_by(codings, bytes),
            }
    }

    /// Decodes a payload in memory.
    fn decode(&self, bytes: &Bytes, reservation: &mut MemoryReservation) -> Decoding {
        let codings = self.headers.codings.as_deref().unwrap_or_default();
        let mut decoder = coding::decoder(codings, Box::new(io::Cursor::new(bytes)));
        let mut plain = Vec::new();
        loop {
            let before = plain.len();
            let read = (&mut decoder).take(PIECE as u64).read_to_end(&mut plain);
            if plain.len() > MAX_WHOLE
                || !self.frames.tap.context.redactor.try_reserve(plain.len() - before, reservation)
            {
                return Decoding::TooLong;
            }
            match read {
                Ok(0) => return Decoding::Complete(plain),
                Ok(_) => {}
                Err(_) => return Decoding::Broken(plain),
            }
        }
    }

    /// Redacts decoded bytes. `None` when they hold no secret.
    fn redact(&self, plain: &[u8], is_whole: bool) -> Option<Vec<u8>> {
        let shared = &self.frames.tap.context.redactor;
        if is_whole {
            return match shared.redact_payload(&self.headers.content_type, plain) {
                PayloadRedaction::Redacted(redacted) => Some(redacted),
                PayloadRedaction::Clean | PayloadRedaction::Opaque => None,
            };
        }
        // Half a document can't be parsed.
        let (mut redactor, mut stream) = (shared.redactor(), StreamRedactor::new(&self.headers.content_type));
        let mut redacted = Vec::with_capacity(plain.len());
        stream.push(&mut redactor, plain, &mut redacted);
        stream.finish(&mut redactor, &mut redacted);
        (redacted != plain).then_some(redacted)
    }

    /// Journals the redacted payload, or the bytes as they came if they hold no secret.
    fn push_redacted(&self, redacted: Option<Vec<u8>>, wire: &Bytes) -> Option<DecodedPayload> {
        match redacted {
            Some(redacted) => {
                self.frames.push_decoded(redacted.into());
                Some(DecodedPayload::default())
            }
            None => {
                self.frames.push_wire(wire.clone());
                None
            }
        }
    }

    /// Redacts the beginning of a decoded payload and journals it.
    fn push_decoded(&self, plain: &[u8]) {
        self.frames.push_decoded(self.redact(plain, false).unwrap_or_else(|| plain.to_vec()).into());
    }

    /// Redacts pieces through a window and journals at most `max` bytes of them with `push`.
    fn redact_pieces(
        &self,
        pieces: &mut dyn Iterator<Item = io::Result<Bytes>>,
        max: Option<u64>,
        push: &dyn Fn(Bytes),
    ) -> DecodedPayload {
        let tap = &self.frames.tap;
        let (mut redactor, mut stream) =
            (tap.context.redactor.redactor(), StreamRedactor::new(&self.headers.content_type));
        let mut redacted = Vec::new();
        let (mut total, mut left, mut broken) = (0, max.unwrap_or(u64::MAX), false);
        for piece in pieces {
            let Ok(mut piece) = piece else {
                broken = true;
                break;
            };
            total += piece.len() as u64;
            piece.truncate(usize::try_from(left).unwrap_or(usize::MAX));
            left -= piece.len() as u64;
            for part in piece.chunks(BATCH) {
                stream.push(&mut redactor, part, &mut redacted);
                if redacted.len() >= BATCH {
                    push(std::mem::take(&mut redacted).into());
                    tap.wait_for_room();
                }
            }
        }
        stream.finish(&mut redactor, &mut redacted);
        push(redacted.into());
        DecodedPayload { more: max.is_some_and(|max| total > max), total: (!broken).then_some(total), broken }
    }
}

/// Pieces read as one stream.
struct PieceReader<I> {
    piece: Bytes,
    pieces: I,
}

impl<I: Iterator<Item = Bytes>> Read for PieceReader<I> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.pieces.next() {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let read = buf.len().min(self.piece.len());
        self.piece.copy_to_slice(&mut buf[..read]);
        Ok(read)
    }
}

/// A stream read in pieces.
struct ReadPieces<R> {
    read: R,
    /// The error that came after the last piece.
    failed: Option<io::Error>,
}

impl<R: Read> Iterator for ReadPieces<R> {
    type Item = io::Result<Bytes>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(error) = self.failed.take() {
            return Some(Err(error));
        }
        let mut piece = Vec::with_capacity(PIECE);
        match self.read.by_ref().take(PIECE as u64).read_to_end(&mut piece) {
            Err(error) if piece.is_empty() => return Some(Err(error)),
            read => self.failed = read.err(),
        }
        (!piece.is_empty()).then(|| Ok(Bytes::from(piece)))
    }
}
