//! Reads a journal: first all frames up to the last complete one, then payloads on demand.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

use super::frame::{FrameHeader, FrameKind, HEADER, MAGIC, TRAILER};
use super::names::SecretNames;

/// The position of a payload in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PayloadSpan {
    /// Bytes from the start of the file.
    pub at: u64,
    /// Its length.
    pub len: u32,
}

#[derive(Debug)]
pub struct ReadFrame<'a> {
    /// The content of the payload.
    pub kind: FrameKind,
    /// The number of the exchange.
    pub exchange: u64,
    /// The position of the payload.
    pub span: PayloadSpan,
    /// The payload itself; empty for pieces of bodies.
    pub payload: &'a [u8],
}

/// A journal that is being read.
#[derive(Debug)]
pub struct JournalReader {
    file: BufReader<File>,
    /// The position in the file.
    at: u64,
    payload: Vec<u8>,
    /// Replaces the markers in heads and payloads; `None` keeps them.
    pub names: Option<SecretNames>,
}

impl JournalReader {
    /// Starts at the first frame. `None` if the file is empty or ends within its first line.
    ///
    /// # Errors
    /// When the file cannot be read; [`io::ErrorKind::InvalidData`] when it is not a journal of this version.
    pub fn open(mut file: File) -> io::Result<Option<Self>> {
        file.seek(SeekFrom::Start(0))?;
        let mut file = BufReader::with_capacity(128 << 10, file);
        let mut magic = [0; MAGIC.len()];
        if !fill(&mut file, &mut magic)? {
            return Ok(None);
        }
        if magic != MAGIC {
            let reason = "it is not a journal that this version of harproxy can read";
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        Ok(Some(JournalReader { file, at: MAGIC.len() as u64, payload: Vec::new(), names: None }))
    }

    /// Reads the next frame. `None` at the end of the file, and if the next bytes are not a complete frame.
    pub fn next_frame(&mut self) -> io::Result<Option<ReadFrame<'_>>> {
        let start = self.at;
        let Some(header) = self.read_frame()? else { return Ok(None) };
        let span = PayloadSpan { at: start + HEADER as u64, len: header.len };
        Ok(Some(ReadFrame { kind: header.kind, exchange: header.exchange, span, payload: &self.payload }))
    }

    /// Reads one payload.
    ///
    /// # Errors
    /// When the file cannot be read, or is shorter than it was.
    pub fn read(&mut self, span: PayloadSpan) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; span.len as usize];
        self.seek(span.at)?;
        self.file.read_exact(&mut bytes)?;
        self.at += u64::from(span.len);
        Ok(bytes)
    }

    /// Reads several payloads as one stream.
    pub fn stream<'a>(&'a mut self, spans: &'a [PayloadSpan]) -> SpanReader<'a> {
        SpanReader { reader: self, spans, done: 0 }
    }

    /// Reads a frame and checks it. The payload goes into `self.payload`, except for pieces of bodies.
    fn read_frame(&mut self) -> io::Result<Option<FrameHeader>> {
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
        let is_whole = self.fill(&mut sum)? && u32::from_le_bytes(sum) == crc.finalize();
        Ok(is_whole.then_some(header))
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

/// Fills `bytes`. False if the file ends before.
fn fill(file: &mut impl Read, bytes: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// Payloads of a journal as one stream.
#[derive(Debug)]
pub struct SpanReader<'a> {
    reader: &'a mut JournalReader,
    spans: &'a [PayloadSpan],
    /// Bytes of the first span that were read.
    done: u32,
}

impl Read for SpanReader<'_> {
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

    use bytes::Bytes;

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
        let mut reader = JournalReader::open(file(bytes)).unwrap()?;
        let mut seen = Vec::new();
        while let Some(frame) = reader.next_frame().unwrap() {
            seen.push((frame.kind, frame.exchange, frame.payload.to_vec()));
        }
        Some(seen)
    }

    #[test]
    fn tail_torn_at_any_byte_costs_the_last_frame_only() {
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
    fn damaged_byte_ends_the_journal_before_its_frame() {
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
    fn pieces_of_interleaved_bodies_are_one_stream() {
        let (bytes, _) = bytes(&frames());
        let mut reader = JournalReader::open(file(&bytes)).unwrap().unwrap();
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
    fn file_is_rejected_when_it_is_not_a_journal() {
        assert!(read(b"").is_none());
        let other = JournalReader::open(file(b"harproxy journal 0\n....................")).unwrap_err();
        assert_eq!(other.kind(), io::ErrorKind::InvalidData);
    }
}
