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
use harproxy_redact::{Outcome, Stream};

/// Bytes that are decoded at a time.
const PIECE: usize = 64 << 10;
/// Bytes that go into the journal at a time, at least: a write that begins in the middle of a page costs as much as many bytes.
const PUT: usize = 512 << 10;

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
            .unwrap_or_else(|| self.long(&mut std::iter::once(bytes.clone())))
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
    pub fn long(&self, wire: &mut (dyn Iterator<Item = Bytes> + Send)) -> Option<Decoded> {
        let codings = self.media.codings.as_deref().unwrap_or_default();
        if codings.is_empty() {
            return Some(self.through(&mut wire.map(Ok), None, self.sink.side.decoded()));
        }
        let decodes = AtomicBool::new(false);
        let mut wire = Remembered { read: Joined::new(wire), beginning: Vec::new(), enough: &decodes };
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
        self.through(&mut all.map(Ok), None, self.sink.side.wire());
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
        pieces: &mut dyn Iterator<Item = io::Result<Bytes>>,
        max: Option<u64>,
        kind: FrameKind,
    ) -> Decoded {
        let mut redactor = self.sink.tape.screen().redactor();
        let mut stream = Stream::new(&self.media.content_type);
        let mut out = Vec::new();
        let (mut total, mut left) = (0, max.unwrap_or(u64::MAX));
        let mut broken = false;
        for piece in pieces {
            let Ok(piece) = piece else {
                broken = true;
                break;
            };
            let len = piece.len() as u64;
            let keep = len.min(left);
            (total, left) = (total + len, left - keep);
            for part in piece[..usize::try_from(keep).unwrap_or(usize::MAX)].chunks(PUT) {
                stream.push(&mut redactor, part, &mut out);
                if out.len() >= PUT {
                    self.journal(kind, std::mem::take(&mut out));
                }
            }
        }
        stream.finish(&mut redactor, &mut out);
        self.journal(kind, out);
        Decoded { more: max.is_some_and(|max| total > max), total: (!broken).then_some(total), broken }
    }

    /// Journals a piece; a thread that may wait does so until there is room.
    fn journal(&self, kind: FrameKind, piece: Vec<u8>) {
        let Sink { tape, flush, .. } = &self.sink;
        if !piece.is_empty() {
            tape.push(kind, piece.into(), *flush);
        }
        if self.may_wait {
            tape.wait_for_room();
        }
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
        (!piece.is_empty()).then(|| Ok(piece.into()))
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
