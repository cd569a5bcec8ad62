//! Looking into payloads for secrets, and journalling what is left of them.
//!
//! What holds no secret is journalled as it came over the wire, and decoded when the recording is finalised. What does is
//! journalled decoded, with markers.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ::http::{HeaderMap, HeaderValue, header};
use bytes::{Buf, Bytes};

use super::capture::Tape;
use super::heads::Decoded;
use super::journal::{Flush, FrameKind};
use super::screen::{Hold, LOOKED_INTO};
use harproxy_http::coding::{self, Coding};
use harproxy_http::headers::to_chars;
use harproxy_redact::{Glimpsed, Outcome, Remains, Stream};

/// Bytes that are decoded at a time.
const PIECE: usize = 64 << 10;
/// Bytes that go into the journal at a time, at least: a write that begins in the middle of a page costs as much as many bytes.
const PUT: usize = 512 << 10;
/// A part that goes on as it came has a frame of its own from so many bytes on; a shorter one is copied to what is around it.
const WORTH_A_FRAME: usize = 4 << 10;

/// Bytes of a frame: a payload may grow by its markers.
const FRAME: usize = 4 << 20;

/// What the head of a message says of its payload.
#[derive(Clone, Debug, Default)]
pub struct Media {
    /// `Content-Type`, or empty.
    pub content_type: String,
    /// `Content-Encoding`; `None` when one of the codings is unknown.
    pub codings: Option<Vec<Coding>>,
}

impl Media {
    /// Reads a head.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let content_type = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
        Media::said(content_type, headers.get_all(header::CONTENT_ENCODING).iter().map(HeaderValue::as_bytes))
    }

    /// Of the values of `Content-Type` and `Content-Encoding`.
    #[must_use]
    pub fn said<'v>(content_type: Option<&[u8]>, codings: impl IntoIterator<Item = &'v [u8]>) -> Self {
        Media {
            content_type: content_type.map(|value| to_chars(value).into_owned()).unwrap_or_default(),
            codings: coding::codings(codings),
        }
    }
}

/// Whose payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The request's.
    Request,
    /// The response's.
    Response,
}

impl Side {
    /// Frames of bytes as they came.
    fn wire(self) -> FrameKind {
        if self == Side::Request { FrameKind::RequestData } else { FrameKind::ResponseData }
    }

    /// Frames of decoded bytes.
    fn decoded(self) -> FrameKind {
        if self == Side::Request { FrameKind::RequestDecoded } else { FrameKind::ResponseDecoded }
    }
}

/// Where a payload goes.
#[derive(Clone, Debug)]
pub struct Sink {
    /// Whose.
    pub tape: Arc<Tape>,
    /// Whose of the two.
    pub side: Side,
    /// How soon.
    pub flush: Flush,
}

impl Sink {
    /// Journals bytes as they came.
    pub fn wire(&self, bytes: Bytes) {
        self.push(self.side.wire(), bytes);
    }

    /// Journals decoded bytes.
    pub fn decoded(&self, bytes: Bytes) {
        self.push(self.side.decoded(), bytes);
    }

    fn push(&self, kind: FrameKind, mut bytes: Bytes) {
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(FRAME));
            self.tape.push(kind, piece, self.flush);
        }
    }
}

/// How a payload is looked into.
#[derive(Clone, Debug)]
pub struct Look {
    /// Where it goes.
    pub sink: Sink,
    /// What it is.
    pub media: Media,
    /// This is a thread that may wait.
    pub may_wait: bool,
}

/// What decoding gave.
enum Plain {
    Whole(Vec<u8>),
    /// It does not decode beyond this.
    Broken(Vec<u8>),
    /// More than the limit, or than may be held.
    Long,
}

impl Look {
    /// A payload that was held, `whole` or cut.
    pub fn held(&self, bytes: &Bytes, whole: bool, hold: &mut Hold) -> Option<Decoded> {
        self.within(LOOKED_INTO, bytes, whole, hold)
            .unwrap_or_else(|| self.long(&mut std::iter::once(bytes.clone().into())))
    }

    /// The same, if no more than `limit` bytes come out of its codings; `None` when more do, and nothing was done about them.
    pub fn within(&self, limit: usize, bytes: &Bytes, whole: bool, hold: &mut Hold) -> Option<Option<Decoded>> {
        let codings = self.media.codings.as_deref().unwrap_or_default();
        if codings.is_empty() {
            return Some(self.settle(self.looked_into(bytes, whole), || self.sink.wire(bytes.clone())));
        }
        let max = self.sink.tape.max_body().and_then(|max| usize::try_from(max).ok()).unwrap_or(usize::MAX);
        Some(match decode(codings, bytes, limit, hold) {
            Plain::Whole(plain) if plain.len() > max => {
                let cut = Decoded { more: true, total: Some(plain.len() as u64), broken: false };
                self.sink
                    .decoded(self.looked_into(&plain[..max], false).unwrap_or_else(|| plain[..max].to_vec()).into());
                Some(cut)
            }
            Plain::Whole(plain) => self.settle(self.looked_into(&plain, whole), || self.sink.wire(bytes.clone())),
            // What decodes before it breaks can be read by anyone: a checksum that lacks, bytes behind the end.
            Plain::Broken(plain) if whole || plain.is_empty() => {
                let plain = &plain[..plain.len().min(max)];
                if let Some(left) = self.looked_into(plain, false) {
                    self.sink.decoded(left.into());
                    return Some(Some(Decoded { more: false, total: None, broken: true }));
                }
                let left = self.looked_into(bytes, whole).map_or_else(|| bytes.clone(), Bytes::from);
                self.sink.wire(left);
                None
            }
            Plain::Broken(plain) => {
                let plain = &plain[..plain.len().min(max)];
                self.sink.decoded(self.looked_into(plain, false).unwrap_or_else(|| plain.to_vec()).into());
                Some(Decoded { more: false, total: None, broken: false })
            }
            Plain::Long => return None,
        })
    }

    /// A payload that is too long to be held, as its pieces come.
    pub fn long(&self, wire: &mut (dyn Iterator<Item = Glimpsed<Bytes>> + Send)) -> Option<Decoded> {
        let codings = self.media.codings.as_deref().unwrap_or_default();
        if codings.is_empty() {
            return Some(self.through(&mut wire.map(Ok), None, self.sink.side.decoded()));
        }
        let mut wire = wire.map(Glimpsed::into_piece);
        let decodes = AtomicBool::new(false);
        let mut wire = Remembered { read: Joined::new(&mut wire), beginning: Vec::new(), enough: &decodes };
        let mut first = [0; 512];
        let mut decoder = coding::decoder(codings, Box::new(&mut wire));
        if let Ok(read) = decoder.read(&mut first) {
            decodes.store(true, Ordering::Relaxed);
            let mut plain = Parted { read: Read::chain(&first[..read], decoder), failed: None };
            return Some(self.through(&mut plain, self.sink.tape.max_body(), self.sink.side.decoded()));
        }
        drop(decoder);
        // It is not coded as it says: looked into as it came.
        let Remembered { read: Joined { piece, pieces }, beginning, .. } = wire;
        let all = [Bytes::from(beginning), piece].into_iter().chain(pieces);
        self.through(&mut all.map(|piece| Ok(piece.into())), None, self.sink.side.wire());
        None
    }

    /// What is left of a payload; `None` when that is all of it.
    fn looked_into(&self, plain: &[u8], whole: bool) -> Option<Vec<u8>> {
        let screen = self.sink.tape.screen();
        if whole {
            return match screen.payload(&self.media.content_type, plain) {
                Outcome::Redacted(left) => Some(left),
                Outcome::Clean | Outcome::Opaque => None,
            };
        }
        let mut redactor = screen.redactor();
        // Half a document can't be parsed.
        let mut stream = Stream::new(&self.media.content_type);
        let mut left = Vec::with_capacity(plain.len());
        stream.push(&mut redactor, plain, &mut left);
        stream.finish(&mut redactor, &mut left);
        (left != plain).then_some(left)
    }

    fn settle(&self, left: Option<Vec<u8>>, as_it_came: impl FnOnce()) -> Option<Decoded> {
        match left {
            Some(left) => {
                self.sink.decoded(left.into());
                Some(Decoded::default())
            }
            None => {
                as_it_came();
                None
            }
        }
    }

    /// Through a window, at most `max` bytes of it.
    fn through(
        &self,
        pieces: &mut dyn Iterator<Item = io::Result<Glimpsed<Bytes>>>,
        max: Option<u64>,
        kind: FrameKind,
    ) -> Decoded {
        let mut redactor = self.sink.tape.screen().redactor();
        let mut stream = Stream::new(&self.media.content_type);
        let mut remains = Pass { piece: Bytes::new(), changed: Vec::new(), ready: Vec::new(), len: 0 };
        let (mut total, mut left) = (0, max.unwrap_or(u64::MAX));
        let mut broken = false;
        for piece in pieces {
            let Ok(piece) = piece else {
                broken = true;
                break;
            };
            let len = piece.piece().len() as u64;
            let keep = len.min(left);
            (total, left) = (total + len, left - keep);
            for part in parts(piece, usize::try_from(keep).unwrap_or(usize::MAX)) {
                remains.piece = part.piece().clone();
                stream.push_glimpsed(&mut redactor, &part, &mut remains);
                if remains.len >= PUT {
                    self.journal(kind, remains.take());
                }
            }
        }
        stream.finish(&mut redactor, &mut remains);
        self.journal(kind, remains.take());
        Decoded { more: max.is_some_and(|max| total > max), total: (!broken).then_some(total), broken }
    }

    /// Journals pieces; a thread that may wait does so until there is room.
    fn journal(&self, kind: FrameKind, pieces: Vec<Bytes>) {
        let Sink { tape, flush, .. } = &self.sink;
        pieces.into_iter().for_each(|piece| tape.push(kind, piece, *flush));
        if self.may_wait {
            tape.wait_for_room();
        }
    }
}

/// The first `keep` bytes of a piece in parts, none of them longer than [`PUT`]. What was found out of all of a piece holds for no part of it.
fn parts(piece: Glimpsed<Bytes>, keep: usize) -> impl Iterator<Item = Glimpsed<Bytes>> {
    let (whole, mut rest) = match piece {
        piece if piece.piece().len() <= keep.min(PUT) => (Some(piece), Bytes::new()),
        piece => (None, piece.into_piece()),
    };
    rest.truncate(keep);
    let next = move || (!rest.is_empty()).then(|| rest.split_to(rest.len().min(PUT)).into());
    whole.into_iter().chain(std::iter::from_fn(next))
}

/// What remains of a payload on its way into the journal.
struct Pass {
    /// Of which parts go on as they came.
    piece: Bytes,
    /// What was put together last.
    changed: Vec<u8>,
    ready: Vec<Bytes>,
    /// Bytes of both.
    len: usize,
}

impl Pass {
    fn take(&mut self) -> Vec<Bytes> {
        self.settle();
        self.len = 0;
        std::mem::take(&mut self.ready)
    }

    fn settle(&mut self) {
        if !self.changed.is_empty() {
            self.ready.push(std::mem::take(&mut self.changed).into());
        }
    }
}

impl Remains for Pass {
    fn put(&mut self, bytes: &[u8]) {
        self.len += bytes.len();
        self.changed.extend_from_slice(bytes);
    }

    fn pass(&mut self, part: &[u8]) {
        if part.len() < WORTH_A_FRAME {
            return self.put(part);
        }
        self.settle();
        self.len += part.len();
        self.ready.push(self.piece.slice_ref(part));
    }
}

/// Pieces read as one stream.
struct Joined<I> {
    piece: Bytes,
    pieces: I,
}

impl<I: Iterator<Item = Bytes>> Joined<I> {
    fn new(pieces: I) -> Self {
        Joined { piece: Bytes::new(), pieces }
    }
}

impl<I: Iterator<Item = Bytes>> Read for Joined<I> {
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

/// A stream in pieces.
struct Parted<R> {
    read: R,
    /// What came behind bytes that were there.
    failed: Option<io::Error>,
}

impl<R: Read> Iterator for Parted<R> {
    type Item = io::Result<Glimpsed<Bytes>>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(error) = self.failed.take() {
            return Some(Err(error));
        }
        let mut piece = Vec::with_capacity(PIECE);
        match self.read.by_ref().take(PIECE as u64).read_to_end(&mut piece) {
            Err(error) if piece.is_empty() => return Some(Err(error)),
            read => self.failed = read.err(),
        }
        (!piece.is_empty()).then(|| Ok(Bytes::from(piece).into()))
    }
}

fn decode(codings: &[Coding], bytes: &Bytes, limit: usize, hold: &mut Hold) -> Plain {
    let mut decoder = coding::decoder(codings, Box::new(io::Cursor::new(bytes)));
    let mut plain = Vec::new();
    loop {
        let before = plain.len();
        let read = (&mut decoder).take(PIECE as u64).read_to_end(&mut plain);
        let more = plain.len() - before;
        if plain.len() > limit || !hold.more(more) {
            return Plain::Long;
        }
        match read {
            Ok(0) => return Plain::Whole(plain),
            Ok(_) => {}
            Err(_) => return Plain::Broken(plain),
        }
    }
}

/// Remembers what was read until it is known that it decodes.
struct Remembered<'a, R> {
    read: R,
    beginning: Vec<u8>,
    enough: &'a AtomicBool,
}

impl<R: Read> Read for Remembered<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.read.read(buf)?;
        if self.enough.load(Ordering::Relaxed) {
            self.beginning = Vec::new();
        } else {
            self.beginning.extend_from_slice(&buf[..read]);
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use harproxy_redact::Policy;

    #[test]
    fn what_was_found_out_of_a_piece_goes_with_all_of_it_alone() {
        let glimpse = |glimpsed: &Glimpsed<Bytes>| format!("{glimpsed:?}").contains("Some");
        for (len, keep) in [(PUT, PUT), (PUT, PUT + 1), (PUT, PUT - 1), (PUT + 1, PUT + 1), (3 * PUT, PUT), (PUT, 0)] {
            let bytes = Bytes::from(b"{\"a\":1},".repeat(len)).slice(..len);
            let piece = Glimpsed::new(bytes.clone(), &Policy::default());
            assert!(glimpse(&piece));
            let parts: Vec<_> = parts(piece, keep).collect();
            assert_eq!(parts.iter().any(glimpse), len <= PUT && keep >= len, "{keep} of {len}");
            assert!(parts.iter().all(|part| part.piece().len() <= PUT));
            let all: Vec<u8> = parts.into_iter().flat_map(Glimpsed::into_piece).collect();
            assert!(all == bytes[..keep.min(len)], "{keep} of {len}");
        }
    }
}
