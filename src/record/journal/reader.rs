//! Reading a journal: one pass over its frames up to the last whole one, then pieces of it on demand.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::sync::Arc;

use bytes::Bytes;

use super::frame::{FrameHeader, FrameKind, HEADER, MAGIC, TRAILER};
use harproxy_redact::{Known, Naming, Vault, known};

/// Where a payload lies in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Bytes from the start of the file.
    pub at: u64,
    /// Its length.
    pub len: u32,
}

/// A whole frame.
#[derive(Debug)]
pub struct Seen<'a> {
    /// What it holds.
    pub kind: FrameKind,
    /// Which exchange it belongs to.
    pub exchange: u64,
    /// Where its payload is.
    pub span: Span,
    /// The payload itself, except for pieces of bodies.
    pub payload: &'a [u8],
}

/// A journal being read.
#[derive(Debug)]
pub struct Reader {
    file: BufReader<File>,
    /// Where the file stands.
    at: u64,
    payload: Vec<u8>,
    /// What is made of markers in what is read; `None` leaves them.
    pub names: Option<Names>,
}

/// How secrets are named in what is read from a journal.
#[derive(Debug)]
pub struct Names {
    /// Makes placeholders of markers.
    pub naming: Naming,
    /// The values, or clues to them: what became known after a text had been journalled is taken out of it.
    known: Option<Arc<dyn Known>>,
    /// The recording is known to have found none.
    found_none: bool,
}

impl Names {
    /// No value is known.
    #[must_use]
    pub fn new(naming: Naming) -> Self {
        Names { naming, known: None, found_none: false }
    }

    /// The recording's own values are.
    pub fn know(&mut self, vault: &Arc<Vault>) {
        self.found_none = vault.found() == 0;
        self.known = Some(vault.clone());
    }

    /// Values are known as far as these go.
    pub fn know_by(&mut self, known: Arc<dyn Known>) {
        self.known = Some(known);
    }

    /// Whether the recording is known to have found no value.
    #[must_use]
    pub fn found_none(&self) -> bool {
        self.found_none
    }

    /// A text with placeholders for what is secret.
    pub fn text(&mut self, text: String) -> String {
        let swept = match self.known.as_ref().map(|known| known.swept(text.as_bytes())) {
            Some(Cow::Owned(swept)) => String::from_utf8(swept).ok(),
            _ => None,
        };
        self.naming.string(swept.unwrap_or(text))
    }

    /// Bytes with placeholders for what is secret.
    pub fn bytes(&mut self, bytes: Bytes) -> Bytes {
        let swept = match self.known.as_ref().map(|known| known.swept(&bytes)) {
            Some(Cow::Owned(swept)) => swept.into(),
            _ => bytes,
        };
        match self.naming.text(&swept) {
            Cow::Owned(named) => named.into(),
            Cow::Borrowed(_) => swept,
        }
    }

    /// A payload with placeholders for what is secret. What can't be looked into is not swept.
    pub fn payload<'a>(&'a mut self, read: &'a mut dyn Read, is_opaque: bool) -> Box<dyn Read + 'a> {
        match self.known.as_deref().filter(|_| !is_opaque) {
            Some(values) => Box::new(self.naming.reader(known::sweeper(values, read))),
            None => Box::new(self.naming.reader(read)),
        }
    }
}

impl Reader {
    /// Starts at the first frame. `None` when there is none: an empty file, or one torn within its first line.
    ///
    /// # Errors
    /// When the file cannot be read; [`io::ErrorKind::InvalidData`] when it is no journal of this version.
    pub fn open(mut file: File) -> io::Result<Option<Self>> {
        file.seek(SeekFrom::Start(0))?;
        let mut file = BufReader::with_capacity(128 << 10, file);
        let mut magic = [0; MAGIC.len()];
        if !fill(&mut file, &mut magic)? {
            return Ok(None);
        }
        if magic != MAGIC {
            let reason = "it is no journal that this version of harproxy understands";
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        Ok(Some(Reader { file, at: MAGIC.len() as u64, payload: Vec::new(), names: None }))
    }

    /// The next frame; `None` at the end, or where what follows is not a whole frame.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn next_frame(&mut self) -> io::Result<Option<Seen<'_>>> {
        let start = self.at;
        let Some(header) = self.frame()? else { return Ok(None) };
        let span = Span { at: start + HEADER as u64, len: header.len };
        Ok(Some(Seen { kind: header.kind, exchange: header.exchange, span, payload: &self.payload }))
    }

    /// One payload.
    ///
    /// # Errors
    /// When the file cannot be read, or is shorter than it was.
    pub fn read(&mut self, span: Span) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; span.len as usize];
        self.seek(span.at)?;
        self.file.read_exact(&mut bytes)?;
        self.at += u64::from(span.len);
        Ok(bytes)
    }

    /// Several payloads, one after the other, as a stream.
    pub fn stream<'a>(&'a mut self, spans: &'a [Span]) -> Pieces<'a> {
        Pieces { reader: self, spans, done: 0 }
    }

    fn frame(&mut self) -> io::Result<Option<FrameHeader>> {
        let mut header = [0; HEADER];
        if !self.fill(&mut header)? {
            return Ok(None);
        }
        let Some(header) = FrameHeader::from_bytes(&header) else { return Ok(None) };
        let mut crc = header.start_checksum();
        self.payload.clear();
        let mut left = header.len as usize;
        while left > 0 {
            let piece = self.file.fill_buf()?;
            if piece.is_empty() {
                return Ok(None);
            }
            let piece = &piece[..piece.len().min(left)];
            crc.update(piece);
            if !header.kind.is_data() {
                self.payload.extend_from_slice(piece);
            }
            let used = piece.len();
            self.file.consume(used);
            self.at += used as u64;
            left -= used;
        }
        let mut sum = [0; TRAILER];
        let whole = self.fill(&mut sum)? && u32::from_le_bytes(sum) == crc.finalize();
        Ok(whole.then_some(header))
    }

    fn fill(&mut self, bytes: &mut [u8]) -> io::Result<bool> {
        let filled = fill(&mut self.file, bytes)?;
        if filled {
            self.at += bytes.len() as u64;
        } else {
            self.at = self.file.stream_position()?;
        }
        Ok(filled)
    }

    fn seek(&mut self, to: u64) -> io::Result<()> {
        // Within the buffer this moves nothing but an index.
        self.file.seek_relative(to.wrapping_sub(self.at).cast_signed())?;
        self.at = to;
        Ok(())
    }
}

/// Fills `bytes`, or says that the file ends before.
fn fill(file: &mut impl Read, bytes: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// Payloads of a journal as one stream.
#[derive(Debug)]
pub struct Pieces<'a> {
    reader: &'a mut Reader,
    spans: &'a [Span],
    /// Bytes of the first span that were read.
    done: u32,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while let [span, rest @ ..] = self.spans {
            if self.done == span.len {
                (self.spans, self.done) = (rest, 0);
                continue;
            }
            self.reader.seek(span.at + u64::from(self.done))?;
            let wanted = buf.len().min((span.len - self.done) as usize);
            let read = self.reader.file.read(&mut buf[..wanted])?;
            if read == 0 && wanted > 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.reader.at += read as u64;
            self.done += u32::try_from(read).unwrap_or(u32::MAX);
            return Ok(read);
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::frame::Frame;
    use super::*;

    fn frames() -> Vec<Frame> {
        let frame = |kind, exchange, payload: &'static str| Frame {
            kind,
            exchange,
            payload: Bytes::from_static(payload.as_bytes()),
        };
        vec![
            frame(FrameKind::Meta, 0, "{}"),
            frame(FrameKind::Request, 1, r#"{"a":1}"#),
            frame(FrameKind::Request, 2, r#"{"b":2}"#),
            frame(FrameKind::ResponseData, 2, "hello "),
            frame(FrameKind::ResponseData, 1, "other"),
            frame(FrameKind::ResponseData, 2, ""),
            frame(FrameKind::ResponseData, 2, "world"),
            frame(FrameKind::End, 2, "{}"),
        ]
    }

    fn bytes(frames: &[Frame]) -> (Vec<u8>, Vec<usize>) {
        let mut bytes = MAGIC.to_vec();
        let mut ends = vec![bytes.len()];
        for frame in frames {
            frame.write(&mut bytes).unwrap();
            ends.push(bytes.len());
        }
        (bytes, ends)
    }

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn read(bytes: &[u8]) -> Option<Vec<(FrameKind, u64, Vec<u8>)>> {
        let mut reader = Reader::open(file(bytes)).unwrap()?;
        let mut seen = Vec::new();
        while let Some(frame) = reader.next_frame().unwrap() {
            seen.push((frame.kind, frame.exchange, frame.payload.to_vec()));
        }
        Some(seen)
    }

    #[test]
    fn a_tail_torn_at_any_byte_costs_the_last_frame_alone() {
        let (bytes, ends) = bytes(&frames());
        for cut in 0..=bytes.len() {
            let whole = ends.iter().filter(|end| **end <= cut).count();
            match read(&bytes[..cut]) {
                None => assert_eq!(whole, 0, "cut at {cut}"),
                Some(seen) => assert_eq!(seen.len() + 1, whole, "cut at {cut}"),
            }
        }
    }

    #[test]
    fn a_damaged_byte_is_found_wherever_it_is() {
        let (bytes, ends) = bytes(&frames());
        for at in MAGIC.len()..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x40;
            let whole_before = ends.iter().filter(|end| **end <= at).count() - 1;
            let seen = read(&damaged).unwrap();
            assert_eq!(seen.len(), whole_before, "byte {at}");
        }
    }

    #[test]
    fn pieces_of_interleaved_bodies_come_together() {
        let (bytes, _) = bytes(&frames());
        let mut reader = Reader::open(file(&bytes)).unwrap().unwrap();
        let mut spans = Vec::new();
        while let Some(frame) = reader.next_frame().unwrap() {
            if frame.kind == FrameKind::ResponseData && frame.exchange == 2 {
                spans.push(frame.span);
            }
        }
        let mut text = String::new();
        reader.stream(&spans).read_to_string(&mut text).unwrap();
        assert_eq!(text, "hello world");
        assert_eq!(reader.read(spans[0]).unwrap(), b"hello ", "and again, backwards");
    }

    #[test]
    fn what_is_no_journal_is_not_read() {
        assert!(read(b"").is_none());
        let other = Reader::open(file(b"harproxy journal 0\n....................")).unwrap_err();
        assert_eq!(other.kind(), io::ErrorKind::InvalidData);
    }
}
